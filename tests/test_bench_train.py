"""The training benchmark: TRL's trainer and ours take the same steps; the figures in the book are a run's."""

from __future__ import annotations

import pytest

from xlam_lib import assets
from xlam_lib.bench import train
from xlam_lib.records import read_json


@pytest.mark.slow
def test_trl_with_its_defaults_and_this_project_take_the_same_steps(tiny_model, tmp_path, monkeypatch):
    monkeypatch.setattr(assets, "model_folder", lambda: tiny_model)
    monkeypatch.setattr(train, "FILE", tmp_path / "speed.json")
    monkeypatch.setattr(train, "LEARNING_RATE", 1e-2)
    monkeypatch.setattr(train, "LAPTOP", "top-1")
    train.main(["3", "0", "ladder"])
    found = read_json(tmp_path / "speed.json")
    rows = {row["name"]: row for row in found["rows"]}
    assert len(rows) == 5 and rows[train.BASELINE]["ratio"] == 1
    baseline = rows[train.BASELINE]["losses"]
    assert len(baseline) == 3 and baseline[2] < baseline[0] - 0.01
    for name, row in rows.items():
        if row["steps"] == 3 and "upper half" not in name:  # which trains other weights
            assert row["losses"] == pytest.approx(baseline, rel=1e-4)
    assert found["largest_loss_difference"] < 1e-3 and found["utilisation"] > 0


def test_the_books_figures_are_a_whole_run_with_its_command():
    found = read_json(train.FILE)
    assert found["command"].startswith("python -m xlam_lib bench train ")
    rows = {row["name"]: row for row in found["rows"]}
    ours, baseline = found["rows"][-2], rows[train.BASELINE]
    assert baseline["ratio"] == 1 and ours["steps"] == baseline["steps"] == len(ours["losses"])
    assert ours["ratio"] == pytest.approx(
        ours["answer_tokens_a_second"] / baseline["answer_tokens_a_second"], abs=0.01
    )
    assert found["largest_loss_difference"] == max(
        abs(a - b) for a, b in zip(ours["losses"], baseline["losses"], strict=True)
    )


def test_the_matrix_rate_is_one():
    assert train.matrix_rate(size=256, seconds=0.2) > 1e8
