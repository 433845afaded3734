"""The committed reference run: whole, small, free of anyone's paths, and what the README says."""

from __future__ import annotations

import re

import nbformat
import pytest

from xlam_lib import reference, runs
from xlam_lib.errors import ArtifactError
from xlam_lib.records import read_json


@pytest.fixture(scope="module")
def run():
    return runs.folder("reference")


def test_the_reference_run_is_whole_and_small(run):
    manifest = read_json(run / "run.json")
    assert list(manifest["notebooks"]) == list(runs.STAGES) and manifest["profile"] == "laptop"
    for name in runs.STAGES:
        notebook = nbformat.read(run / f"{name}.ipynb", 4)
        assert all(c.execution_count for c in notebook.cells if c.cell_type == "code" and c.source.strip())
    for small in reference.SMALL:
        assert (run / "artifacts" / small).exists()
    assert sum(p.stat().st_size for p in run.rglob("*") if p.is_file()) < 6e6


def test_it_names_no_folder_of_the_machine_it_ran_on(run):
    """No absolute path to a clone, an environment or a run (model answers may hold paths of their own)."""
    absolute = re.compile(
        r"/[\w.-]+/(?:[\w.-]+/)*(?:site-packages|papermill_runs|xlam_lib|notebooks)/[\w./-]*"
    )
    assert absolute.search("warning in /srv/me/env/lib/python3.11/site-packages/a.py:3")
    for path in run.rglob("*"):
        if path.suffix in (".ipynb", ".json"):
            text = re.sub(r"https?://\S+", "", path.read_text())
            found = absolute.search(text)
            assert found is None, f"{path.name}: {found.group(0) if found else ''}"


def test_the_readme_is_made_from_it(root, run):
    text = (root / "README.md").read_text()
    said = text.split(reference.BEGIN)[1].split(reference.END)[0].strip()
    assert said == reference.table(run, reference.longer_run())


def test_a_readme_without_marks_is_an_error(run, tmp_path):
    (tmp_path / "README.md").write_text("nothing")
    with pytest.raises(ArtifactError, match="marks"):
        reference.fill_readme(run, tmp_path / "README.md")


def test_an_unfinished_run_is_not_kept(tmp_path):
    from xlam_lib.records import write_json

    write_json(tmp_path / "run.json", {"notebooks": {"01_unify": {}}})
    with pytest.raises(ArtifactError, match="02_augment is not finished"):
        reference.keep(str(tmp_path))
