"""The notebooks for real: the data stages killed and resumed, and the whole smoke run built into a book."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

from tests import tiny
from xlam_lib import own_test, runs
from xlam_lib.build import build
from xlam_lib.errors import XlamError

HARBOUR = '''
from typing import Literal


def ferry_minutes(island: Literal["Lund", "Skarv", "Storholm"], fast: bool = False) -> int:
    """How many minutes the ferry takes to an island.

    Args:
        island: The island.
        fast: Whether to take the fast boat.
    """
    slow = {"Lund": 25, "Skarv": 40, "Storholm": 70}[island]
    return slow // 2 if fast else slow


def berth_fee(length: float, nights: int) -> float:
    """The fee of a berth in the guest harbour.

    Args:
        length: Length of the boat in metres.
        nights: How many nights it stays.
    """
    return round(length * 2.5 * nights, 2)
'''
DATA = ["01_unify", "02_augment", "03_verify", "04_synthesize", "05_mix"]


def command(run: Path, *words: str) -> list[str]:
    """The smoke profile; with the tiny model of the run's folder, where one was put."""
    small = run.parent / "tiny"
    if small.is_dir():
        words = (*words, "-p", "model", str(small), "-p", "generator_model", str(small))
    return [sys.executable, "-m", "xlam_lib", "run", "--profile", "smoke", "--run-id", str(run), *words]


def outputs(run: Path) -> dict[str, dict[str, str]]:
    entries = json.loads((run / runs.RUN_FILE).read_text())["notebooks"]
    return {name: entry["outputs"] for name, entry in entries.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder for runs, with a tiny random model in it: enough for all but what a model says."""
    folder = tmp_path_factory.mktemp("runs")
    tiny.make(folder / "tiny", layers=4, context=8192)
    return folder


@pytest.fixture(scope="module")
def smoke(folder) -> Path:
    """The whole smoke profile, uninterrupted, with one worker."""
    run = folder / "smoke"
    done = subprocess.run(command(run), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return run


def test_every_notebook_runs_and_the_manifest_says_how(smoke):
    manifest = json.loads((smoke / runs.RUN_FILE).read_text())
    assert list(manifest["notebooks"]) == list(runs.STAGES)
    assert manifest["profile"] == "smoke" and manifest["versions"]["torch"] and manifest["hardware"]["cores"]
    for name, entry in manifest["notebooks"].items():
        assert entry["seconds"] > 0 and len(entry["code"]) == 64
        assert set(entry["outputs"]) == set(runs.STAGES[name].writes)
        assert set(entry["inputs"]) == set(runs.STAGES[name].reads)
        for artifact, found in entry["outputs"].items():
            assert runs.check_artifact(smoke / "artifacts", artifact) == found
        notebook = nbformat.read(smoke / f"{name}.ipynb", 4)
        assert all(c.execution_count for c in notebook.cells if c.cell_type == "code" and c.source.strip())
        assert not [o for c in notebook.cells for o in c.get("outputs", []) if o.output_type == "error"]
    assert manifest["notebooks"]["06_sft"]["measures"]["tokens_per_second"] > 0
    assert not list(smoke.glob("*.failed.ipynb")) and not (smoke / ".progress.json").exists()


@pytest.mark.slow
def test_every_notebook_runs_on_the_embedded_model(tmp_path):
    run = tmp_path / "embedded"
    done = subprocess.run(command(run), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert list(json.loads((run / runs.RUN_FILE).read_text())["notebooks"]) == list(runs.STAGES)


def test_chapter_13_takes_tools_that_it_has_never_seen(smoke, folder):
    """What its text tells a reader to do: two typed functions in a file, given to the notebook."""
    (folder / "harbour.py").write_text(HARBOUR)
    words = ("--only", "13_your_tools", "-p", "own_tools", str(folder / "harbour.py"))
    run = folder / "harbour"
    shutil.copytree(smoke, run)
    done = subprocess.run(command(run, *words), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    made = run / "artifacts" / "your_tools"
    queries = [json.loads(line) for line in (made / "data" / "verified.jsonl").open()]
    called = {call["name"] for record in queries for call in record["steps"][0]["tool_calls"]}
    assert called == {"ferry_minutes", "berth_fee"} and len(queries) > 10
    questions = own_test.read(made / "test")
    assert {question.category for question in questions} >= {"simple_python", "multiple", "irrelevance"}
    scores = json.loads((made / "scores.json").read_text())
    assert scores["generated test"]["before"]["all"][1] == len(questions)
    page = (run / "13_your_tools.ipynb").read_text()
    assert "ferry_minutes" in page and "berth_fee" in page and "quote_repair" not in page


def test_no_weights_are_pickled(smoke):
    names = {p.suffix for p in (smoke / "artifacts").rglob("*") if p.is_file()}
    assert ".safetensors" in names and not names & {".bin", ".pt", ".pth", ".pkl"}


def test_a_finished_run_is_left_alone_and_a_changed_parameter_reruns_what_follows(smoke):
    before = (smoke / "03_verify.ipynb").stat().st_mtime_ns
    done = subprocess.run(command(smoke), capture_output=True, text=True, check=True)
    assert done.stderr.count("unchanged") == len(runs.STAGES)
    assert (smoke / "03_verify.ipynb").stat().st_mtime_ns == before


def test_killed_at_random_moments_and_resumed_with_two_workers_the_data_is_the_same(smoke, folder):
    run = folder / "killed"
    words = ("--only", *DATA, "-p", "workers", "2")
    moments = random.Random(time.time_ns())
    killed = 0
    for _ in range(4):
        process = subprocess.Popen(command(run, *words), stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            process.wait(timeout=moments.uniform(1, 9))
            break
        except subprocess.TimeoutExpired:
            # As a machine that loses its power: the runner dies at once and cleans up nothing.
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            killed += 1
    assert killed, "the run ended before it could be killed"
    for path in (run / "artifacts").glob("*/"):  # what is there under its final name is whole
        if not path.name.startswith("."):
            runs.check_artifact(run / "artifacts", path.name)
    done = subprocess.run(command(run, *words), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    expected = outputs(smoke)
    assert outputs(run) == {name: expected[name] for name in DATA}
    assert not list((run / "artifacts" / ".work").iterdir())
    left = [p.name for p in run.rglob("*") if p.name.endswith(".tmp") or ".failed" in p.name]
    assert left == []


@pytest.mark.slow
def test_the_data_notebooks_run_by_hand_with_their_own_defaults(root, tmp_path, monkeypatch):
    """As in JupyterLab: no papermill, no injected parameters, started in the notebooks' folder."""
    from nbclient import NotebookClient

    (tmp_path / "notebooks").symlink_to(root / "notebooks")  # so that the run "lab" is written elsewhere
    monkeypatch.setenv("XLAM_HOME", str(tmp_path))
    for name in DATA:
        notebook = nbformat.read(root / "notebooks" / f"{name}.ipynb", 4)
        resources = {"metadata": {"path": str(root / "notebooks")}}
        NotebookClient(notebook, kernel_name="python3", resources=resources, timeout=300).execute()
    artifacts = tmp_path / "papermill_runs" / "lab" / "artifacts"
    wanted = runs.declared_parameters("05_mix")["examples"]
    assert sum(1 for _ in (artifacts / "sft" / "train.jsonl").open()) == wanted
    assert not (root / "papermill_runs" / "lab").exists()


def test_a_kernel_that_dies_is_an_error_and_not_a_wait(tmp_path, monkeypatch):
    notebooks = tmp_path / "notebooks"
    notebooks.mkdir()
    cells = [
        nbformat.v4.new_code_cell('run_id = "x"', metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"),
    ]
    metadata = {
        "kernelspec": {"name": "python3", "display_name": "p", "language": "python"},
        "language_info": {"name": "python"},
    }
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), notebooks / "01_unify.ipynb")
    monkeypatch.setenv("XLAM_HOME", str(tmp_path))
    with pytest.raises(XlamError, match=r"kernel died \(killed, or out of memory\?\); run again to resume"):
        runs._papermill("01_unify", tmp_path, {})


def test_the_smoke_run_becomes_a_book_without_a_warning(smoke, tmp_path):
    index = build(smoke, tmp_path / "book")
    chapters = index.parent / "chapters"
    for name in runs.STAGES:
        page = (chapters / f"{name}.html").read_text()
        assert "What this shows" in page and "Try it" in page
    assert "<img" in (chapters / "08_bfcl.html").read_text()
