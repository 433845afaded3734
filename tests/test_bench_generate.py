"""The decoding benchmark: the same answers in three ways, and figures that are a whole run's."""

from __future__ import annotations

import pytest

from xlam_lib.bench import generate
from xlam_lib.records import read_json


@pytest.mark.slow
def test_our_loop_and_transformers_give_the_same_answers(tiny_model, tmp_path, monkeypatch):
    monkeypatch.setattr(generate, "FILE", tmp_path / "speed.json")
    monkeypatch.setattr(generate.tempfile, "gettempdir", lambda: str(tmp_path))
    generate.main(["4", str(tiny_model), "60"])
    found = read_json(tmp_path / "speed.json")
    ours, alone, padded = found["rows"]
    assert ours["questions"] == alone["questions"] == padded["questions"] > 60
    assert alone["measured"] == padded["measured"] == found["compared"] < 20
    assert found["equal_answers"] == found["compared"]
    assert ours["ratio"] == 1 and alone["ratio"] == pytest.approx(
        alone["seconds"] / ours["seconds"], rel=0.01, abs=0.01
    )

    right = found["accuracy"]["right"]
    assert sum(count for _, count in right.values()) == ours["questions"]
    assert all(correct == 0 for name, (correct, _) in right.items() if "irrelevance" not in name)

    monkeypatch.setattr(generate.LocalModel, "generate", None)  # all are kept: nothing is answered again
    rows, seconds = generate._timed(
        generate.LocalModel("x", None, None), [], 4, next(tmp_path.glob("xlam-decoding-*"))
    )
    assert rows == [] and seconds == pytest.approx(ours["seconds"], abs=0.001)
