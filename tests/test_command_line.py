"""The command line: an error is one paragraph and a status, never a traceback."""

from __future__ import annotations

import pytest

from xlam_lib import bench, runs
from xlam_lib.__main__ import main


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["run", "--profile", "nope"],
            "profile 'nope' is unknown; choose one of ablations, evening, h100-1b-fc,",
        ),
        (["run", "--only", "06"], "notebook '06' is unknown; choose from 01_unify"),
        (["run", "-p", "epoch", "2"], "parameter 'epoch' belongs to no notebook; known:"),
        (
            ["bench", "nope"],
            "bench 'nope' is unknown; choose one of ablations, curate, data_amount, diversity, execution",
        ),
    ],
)
def test_bad_words_are_one_line_errors(words, said, capsys):
    assert main(words) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {said}") and "Traceback" not in error


def test_a_training_job_that_is_not_there_names_its_file(capsys, tmp_path):
    assert main(["train", str(tmp_path / "job.json")]) == 1
    assert "job.json" in capsys.readouterr().err
    (tmp_path / "job.json").write_text("{}")
    assert main(["train", str(tmp_path / "job.json")]) == 1
    assert "job.json: no training job" in capsys.readouterr().err


def test_building_a_run_that_is_not_there_names_it(capsys):
    assert main(["build", "--run", "no-such-run"]) == 1
    assert "no-such-run" in capsys.readouterr().err


def test_parameters_are_read_as_yaml_and_given_to_the_run(monkeypatch):
    seen = {}

    def execute(profile, run_id, only, resume, overrides):
        seen.update(locals())

    monkeypatch.setattr(runs, "execute", execute)
    words = [
        "run",
        "--profile",
        "smoke",
        "--run-id",
        "x",
        "--no-resume",
        "-p",
        "epochs",
        "2",
        "-p",
        "sources",
        "[api_bank]",
    ]
    assert main(words) == 0
    assert seen["overrides"] == {"epochs": 2, "sources": ["api_bank"]}
    assert (seen["profile"], seen["run_id"], seen["resume"]) == ("smoke", "x", False)


def test_every_measurement_has_a_main():
    import importlib

    known = {"curate", "fuzz", "generate", "memory", "resume", "sources", "train", "verify"}
    assert known <= set(bench.names())
    for name in bench.names():
        assert callable(importlib.import_module(f"xlam_lib.bench.{name}").main)
