"""The repository holds together: pins, environments, commands, notebook pairs, workflows."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests import pins
from xlam_lib import build

TOP = """
README.md LICENSE CITATION.cff Makefile pyproject.toml constraints.txt environment.yml .ci/run
.github/workflows/test.yml .github/workflows/book.yml book/_config.yml book/_toc.yml book/references.bib
notebooks/profiles/smoke.yaml notebooks/profiles/laptop.yaml papermill_runs/README.md
xlam_lib/__init__.py xlam_lib/__main__.py
""".split()


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def project(root: Path) -> dict[str, Any]:
    return tomllib.loads((root / "pyproject.toml").read_text())


@pytest.fixture(scope="session")
def pinned(root: Path) -> dict[str, str]:
    return pins.read_pins(root / "constraints.txt")


# ------------------------------------------------------------------------------------------- packages


def test_what_the_repository_promises_is_there(root: Path) -> None:
    assert [name for name in TOP if not (root / name).is_file()] == []
    assert "Apache License" in (root / "LICENSE").read_text()
    assert os.access(root / ".ci/run", os.X_OK)


def test_every_package_that_the_extras_need_is_pinned_as_installed(pinned: dict[str, str]) -> None:
    installed = pins.closure("xlam-book", frozenset({"all"}))
    assert len(installed) > 100, "the closure was not followed"
    wrong = {
        name: (version, pinned.get(name))
        for name, version in installed.items()
        if pinned.get(name) != version
    }
    assert wrong == {}, "installed against pinned; run `make setup`, or `make pins` to renew constraints.txt"
    if sys.platform == "linux" and sys.version_info[:2] == (3, 11):
        assert set(pinned) - set(installed) == set(), "pinned, but no extra needs it; run `make pins`"


def test_every_dependency_says_why_and_accepts_its_pin(
    root: Path, project: dict[str, Any], pinned: dict[str, str]
) -> None:
    groups = [project["project"]["dependencies"], *project["project"]["optional-dependencies"].values()]
    lines = (root / "pyproject.toml").read_text().splitlines()
    seen = 0
    for text in (text for group in groups for text in group):
        requirement = Requirement(text)
        if requirement.name == project["project"]["name"]:
            continue
        seen += 1
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), text
        for line in (line for line in lines if line.strip().startswith(f'"{text}"')):
            assert re.search(r'",\s+# \w.{10,}', line), f"no reason beside {text}"
    assert seen > 20


def test_all_is_the_union_of_the_extras(project: dict[str, Any]) -> None:
    extras = project["project"]["optional-dependencies"]
    (union,) = (Requirement(text) for text in extras["all"])
    assert union.extras == set(extras) - {"all"}


def test_conda_installs_the_same_pins(root: Path, project: dict[str, Any], pinned: dict[str, str]) -> None:
    environment = load(root / "environment.yml")
    conda = [entry for entry in environment["dependencies"] if isinstance(entry, str)]
    (pip,) = (entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    # Every package comes through pip from constraints.txt; conda brings Python and other tools.
    assert pip == ["-c constraints.txt", "-e .[all]"]
    assert {re.split("[=<>]", entry)[0] for entry in conda} == {"python", "pip", "make"}
    assert not {re.split("[=<>]", entry)[0] for entry in conda} & set(pinned)
    (python,) = (entry.split("=")[1] for entry in conda if entry.startswith("python="))
    assert project["project"]["requires-python"] == f">={python}"
    for workflow in ("test", "book"):
        assert f'python-version: "{python}"' in (root / f".github/workflows/{workflow}.yml").read_text()
    assert f"({python.replace('.', ', ')})" in (root / "Makefile").read_text()


def test_every_folder_of_the_library_is_packaged(root: Path) -> None:
    folders = {path.parent for path in (root / "xlam_lib").rglob("*.py")}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_versions_and_addresses_agree(root: Path, project: dict[str, Any]) -> None:
    citation = load(root / "CITATION.cff")
    assert citation["version"] == importlib.metadata.version("xlam-book")
    assert citation["license"] == project["project"]["license"] == "Apache-2.0"
    address = load(root / "book/_config.yml")["repository"]["url"]
    assert citation["repository-code"] == address == project["project"]["urls"]["Repository"]


# ------------------------------------------------------------------------------------------- commands


def test_ci_runs_the_test_command_of_the_readme(root: Path) -> None:
    fenced = "\n".join(
        re.findall(r"^```(?:bash|sh|console)?\n(.*?)^```", (root / "README.md").read_text(), re.M | re.S)
    )
    commands = [line.removeprefix("$ ").split("#")[0].strip() for line in fenced.splitlines()]
    assert "make test" in commands
    # `make test`, and the long tests after it.
    assert (root / ".ci/run").read_text().rstrip().splitlines()[-1] == "make test-all"
    assert re.search(r"^test-all: lint typecheck pytest long\b", (root / "Makefile").read_text(), re.M)
    steps = load(root / ".github/workflows/test.yml")["jobs"]["test"]["steps"]
    assert steps[-1]["run"] == ".ci/run"
    assert "make book" in commands


def test_commands_that_the_texts_name_exist(root: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (root / "Makefile").read_text(), re.M))
    for page in [
        root / "README.md",
        *sorted((root / "book").glob("*.md")),
        *sorted((root / "notebooks").glob("*.md")),
    ]:
        named = re.findall(r"(?:^|`|&& )make ([a-z]+)", page.read_text(), re.M)
        assert set(named) <= targets, f"{page.name} names an unknown target"


def test_make_refuses_an_old_python_with_a_remedy(root: Path, tmp_path: Path) -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = -V ] && { echo Python 3.10.1; exit 0; }\nexit 1\n')
    old.chmod(0o755)
    for python, said in (
        (old, "Python 3.10.1, and 3.11 or newer is needed"),
        ("no-such-python", "was not found"),
    ):
        result = subprocess.run(
            ["make", "setup", f"PYTHON={python}", f"VENV={tmp_path / 'env'}"],
            cwd=root, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert result.returncode != 0
        assert said in result.stderr and "make setup PYTHON=" in result.stderr
        assert not (tmp_path / "env").exists()


def test_shell_scripts_parse(root: Path) -> None:
    subprocess.run(["bash", "-n", str(root / ".ci/run")], check=True)


@pytest.mark.parametrize("name", ["test", "book"])
def test_workflows_are_whole(root: Path, name: str) -> None:
    workflow = load(root / f".github/workflows/{name}.yml")
    # YAML 1.1 reads the key `on` as true.
    assert set(workflow) >= {"name", True, "jobs", "permissions"}
    for job in workflow["jobs"].values():
        assert job["runs-on"]
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            if "uses" in step:
                assert re.fullmatch(r"actions/[a-z-]+@(v\d+|[0-9a-f]{40})", step["uses"]), (
                    "an action that GitHub does not publish"
                )


def test_the_published_site_is_what_make_site_builds(root: Path) -> None:
    steps = load(root / ".github/workflows/book.yml")["jobs"]["build"]["steps"]
    assert any(step.get("run") == "make site" for step in steps)
    (upload,) = (step for step in steps if "upload-pages-artifact" in step.get("uses", ""))
    assert root / upload["with"]["path"] == build.sources() / "_build" / "html"


# ------------------------------------------------------------------------------- notebooks and the book


def notebooks() -> list[Path]:
    return sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks_and_each_has_its_text(root: Path) -> None:
    names = [path.stem for path in notebooks()]
    assert names, "no notebooks at all"
    texts = [path.stem for path in sorted((root / "notebooks").glob("*.md")) if path.stem != "README"]
    assert texts == names


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.stem)
def test_a_notebook_and_its_text_are_in_sync(path: Path) -> None:
    def cells(notebook: nbformat.NotebookNode) -> list[tuple[str, str, list[str]]]:
        return [
            (cell.cell_type, cell.source.strip(), sorted(cell.metadata.get("tags", [])))
            for cell in notebook.cells
        ]

    text = jupytext.read(path.with_suffix(".md"))
    for number, (ours, theirs) in enumerate(zip(cells(nbformat.read(path, 4)), cells(text), strict=True), 1):
        assert ours == theirs, f"{path.name}, cell {number} differs from {path.stem}.md; run `make sync`"


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.stem)
def test_a_notebook_is_clean_and_runnable_by_papermill(path: Path) -> None:
    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert notebook.metadata.language_info.name == "python"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert "parameters" in code[0].metadata.get("tags", []), "the first code cell must be tagged parameters"
    assert sum("parameters" in cell.metadata.get("tags", []) for cell in code) == 1
    for cell in code:
        assert not cell.outputs and cell.execution_count is None, "outputs are committed; run `make sync`"
    assert notebook.cells[0].cell_type == "markdown" and notebook.cells[0].source.startswith("# ")


def test_the_contents_name_pages_that_exist(root: Path) -> None:
    from tests.test_book import pages

    chapters = build.chapter_names(root / "book")
    assert sorted(name for name in chapters if name not in build.MADE) == [path.stem for path in notebooks()]
    for page in pages():
        if not page.startswith("chapters/"):
            assert (root / "book" / f"{page}.md").is_file(), page
    listed = {page for page in pages() if "/" not in page}
    assert {path.stem for path in (root / "book").glob("*.md")} == listed, "a page that no reader can reach"


def test_every_reference_that_a_page_cites_exists_and_is_used(root: Path) -> None:
    keys = set(re.findall(r"^@\w+\{(\w+),", (root / "book/references.bib").read_text(), re.M))
    texts = [*(root / "book").glob("*.md"), *(root / "notebooks").glob("*.md")]
    cited = {
        key.strip()
        for page in texts
        for keys in re.findall(r"\{cite(?::\w)?\}`([^`]+)`", page.read_text())
        for key in keys.split(",")
    }
    assert cited <= keys
    assert keys


def test_the_readmes_python_does_what_it_says(root: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    code = re.search(r"^  ```python\n(.*?)^  ```", (root / "README.md").read_text(), re.M | re.S)
    assert code
    monkeypatch.chdir(tmp_path)
    exec(textwrap.dedent(code.group(1)), {"__name__": "readme"})
    assert re.match(r"\d+ read; \d+ kept; ", capsys.readouterr().out)
    assert (tmp_path / "data" / "trl.jsonl").stat().st_size > 0
