"""More and more data: amounts are parts of one another, results are kept, 0 is the untrained model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from xlam_lib import ablations, mixture, verify
from xlam_lib.ablations import layouts, running
from xlam_lib.ablations.differences import from_rows
from xlam_lib.bench import data_amount as bench
from xlam_lib.errors import ProfileError
from xlam_lib.records import read_json, write_jsonl
from xlam_lib.schema import Trajectory
from xlam_lib.sources import SAMPLES, unify
from xlam_lib.synthesis import synthesize

ASKED = {"simple_python": 1}


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory) -> Path:
    """What chapters 1, 3 and 4 leave, a little of it."""
    folder = tmp_path_factory.mktemp("artifacts")
    for name in list(layouts.SOURCE_LAYOUTS)[:2]:
        found = [o for o in unify(name, SAMPLES / name) if isinstance(o, Trajectory)]
        write_jsonl(folder / "unified" / f"{name}.jsonl", found)
        write_jsonl(folder / "verified" / f"{name}.jsonl", verify.verify(found).accepted)
    synthesize(120, folder / "synthetic", seed=0)
    return folder


@pytest.fixture
def setup(tiny_model) -> ablations.Setup:
    return ablations.Setup(tiny_model, replace(bench.TRAINING, method="full"), answer_tokens=4)


def test_each_amount_is_trained_measured_and_kept(artifacts, setup, tmp_path, monkeypatch):
    def measured() -> dict:
        return bench.amount_of(artifacts, setup, (4, 8), 1, tmp_path, held_out=4, questions=ASKED)

    found = measured()
    assert [row["examples"] for row in found["amounts"]] == [4, 8]
    assert found["amounts"][0]["tokens"] < found["amounts"][1]["tokens"]
    assert found["probes"]["synthetic"] == 4 and found["probes"]["BFCL"] == 1
    levels = {(d.arm, d.metric): d for d in from_rows(found["levels"])}
    assert {arm for arm, _ in levels} == {"0", "4", "8"}
    assert all(
        level.seeds == 1 and level.low <= level.value <= level.high
        for level in levels.values()
        if level.value
    )
    pairs = [(d.arm, d.against) for d in from_rows(found["differences"]) if d.metric == "loss, synthetic"]
    assert pairs == [("4", "0"), ("8", "4")]
    changes = {
        (d.arm, d.against): d for d in from_rows(found["differences"]) if d.metric == "loss, synthetic"
    }
    gap = levels["8", "loss, synthetic"].value - levels["4", "loss, synthetic"].value
    assert changes["8", "4"].value == pytest.approx(gap, abs=2e-4)

    def again(*_, **__):
        raise AssertionError("it was there already")

    monkeypatch.setattr(running, "do", again)
    monkeypatch.setattr(bench, "measured", again)
    assert measured()["levels"] == found["levels"]


def test_smaller_amounts_are_parts_of_larger_ones(artifacts, setup):
    folders = {name: artifacts / name for name in ("unified", "verified", "synthetic")}
    settings = ablations.Settings(8, 0.0, bench.STYLE, (), bench.MAX_TOKENS)
    material = ablations.gather(
        folders, settings, mixture.token_counter(setup.base), held_out=4, questions=ASKED, seed=0
    )
    few, many = (
        ablations.build(ablations.ARMS[bench.ARM], replace(material, settings=replace(settings, count=n)), 0)
        for n in (4, 8)
    )
    assert {example.id for example in few} < {example.id for example in many}


@pytest.mark.parametrize("amounts", [(), (8, 4), (0, 4), (4, 4)])
def test_amounts_rise(amounts, setup, tmp_path):
    with pytest.raises(ProfileError, match="do not rise from at least 1"):
        bench.amount_of(tmp_path, setup, amounts, 1, tmp_path)


def test_the_command_takes_a_run_amounts_and_seeds(monkeypatch, tmp_path):
    asked = {}

    def amount_of(artifacts, setup, amounts, seeds, work):
        asked.update(artifacts=artifacts, amounts=amounts, seeds=seeds)
        return {"levels": []}

    monkeypatch.setattr(bench, "amount_of", amount_of)
    monkeypatch.setattr(bench, "FILE", tmp_path / "found.json")
    bench.main(["night", "2,4", "3"])
    assert asked["artifacts"].parts[-2:] == ("night", "artifacts")
    assert (asked["amounts"], asked["seeds"]) == ((2, 4), 3)
    assert read_json(tmp_path / "found.json")["command"].endswith("bench data_amount night 2,4 3")
