"""The book: a run's executed notebooks become pages, and Jupyter Book becomes a site that needs no network.

Nothing is executed here. A page shows what its notebook computed when the run was made; notebooks that
are missing, failed or stopped half-way are errors, so a built book is always one whole run.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from xlam_lib import library_map, runs, scorecard
from xlam_lib.errors import ArtifactError
from xlam_lib.records import read_json

# One state of a tqdm bar: " 40%|####   | 2/5 [00:01<00:02,  1.5it/s]" or "7it [00:01, 5.2it/s]".
_BAR = re.compile(r"\d+%\|.*\||\d+\s?\w+ \[\d\d:\d\d")
_PARAMETER_TAGS = {"parameters", "injected-parameters"}
# Pages that are made from run.json and the code; every other page of a run is one of its notebooks.
MADE = ("run", "scorecard", "library_map")
_WIDGETS = "application/vnd.jupyter.widget-"
# Jupyter Book has no `python -m` entry, and its script need not be in PATH.
_JUPYTER_BOOK = "from jupyter_book.cli.main import main; main()"


def build(run: str | Path, out: Path | None = None) -> Path:
    """Build the book from one run.

    Sources are copied to a temporary folder inside ``out`` and the finished site is moved into place, so
    builds may run side by side and a failed one leaves the previous site as it was.

    Parameters
    ----------
    run
        A run's name under ``papermill_runs/``, or the path of its folder.
    out
        Where ``html/`` is put; ``book/_build`` by default.

    Returns
    -------
    Path
        The site's ``index.html``.

    Raises
    ------
    ArtifactError
        The run, one of its notebooks or its ``run.json`` is missing, a notebook failed or was not run to
        its end, or Jupyter Book reported a warning or an error.
    """
    started = time.monotonic()
    folder = find_run(run)
    out = Path(out or sources() / "_build").resolve()
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".build-", dir=out) as work:
        source = Path(work, "book")
        shutil.copytree(sources(), source, ignore=shutil.ignore_patterns("_build", "chapters", "__pycache__"))
        place_chapters(folder, source)
        _jupyter_book(source, Path(work))
        _name_no_icon(Path(work, "_build", "html", "index.html"))
        _replace(Path(work, "_build", "html"), out / "html")
    index = out / "html" / "index.html"
    print(f"built from {folder} in {time.monotonic() - started:.0f} s", file=sys.stderr)
    return index


def sources() -> Path:
    """The folder of the book's own pages and settings."""
    return runs.root() / "book"


def find_run(run: str | Path) -> Path:
    """The folder of a run, given its name or path; raises ``ArtifactError`` with the runs there are."""
    folder = runs.folder(run)
    for candidate in (folder, Path(run)):
        if candidate.is_dir():
            return candidate.resolve()
    known = sorted(path.parent.name for path in folder.parent.glob(f"*/{runs.RUN_FILE}"))
    raise ArtifactError(
        f"{folder}: no such run (there are: {', '.join(known) or 'none yet'}); "
        "execute one with `python -m xlam_lib run --profile laptop`"
    )


def place_chapters(folder: Path, source: Path) -> list[Path]:
    """Write the pages that a run provides into ``source/chapters``; return them in the order of the book.

    Which ones these are is read from the table of contents. Errors as in :func:`build`.
    """
    import nbformat

    pages = chapter_names(source)
    missing = [name for name in pages if name not in MADE and not (folder / f"{name}.ipynb").is_file()]
    manifest = folder / runs.RUN_FILE
    if missing or not manifest.is_file():
        names = [f"{name}.ipynb" for name in missing] + ([] if manifest.is_file() else ["run.json"])
        raise ArtifactError(
            f"{folder}: {', '.join(names)} missing, so the book would be incomplete; "
            f"run what is left with `python -m xlam_lib run --profile {_profile(manifest, folder)}`"
        )
    target = source / "chapters"
    target.mkdir(exist_ok=True)
    placed = []
    for name in pages:
        if name in MADE:
            page = _make(name, folder, target)
        else:
            page = target / f"{name}.ipynb"
            try:
                notebook = nbformat.read(folder / page.name, as_version=4)
            except Exception as error:  # nbformat raises JSON, validation and attribute errors alike
                raise ArtifactError(
                    f"{folder / page.name}: not a readable notebook ({error}); delete it and run it again "
                    f"with `python -m xlam_lib run --profile {_profile(manifest, folder)}`"
                ) from error
            nbformat.write(clean_notebook(notebook, folder / page.name), page)
        placed.append(page)
    return placed


def _make(name: str, folder: Path, target: Path) -> Path:
    """Write one of the pages :data:`MADE` from a run's folder."""
    if name == "library_map":
        return library_map.write(target)
    manifest = read_json(folder / runs.RUN_FILE)
    text = (
        about_run(manifest)
        if name == "run"
        else scorecard.page(scorecard.rows(manifest, folder / "artifacts"), manifest)
    )
    page = target / f"{name}.md"
    page.write_text(text, encoding="utf-8")
    return page


def chapter_names(source: Path) -> list[str]:
    """Names of the pages that a run provides (``chapters/...``), in the order of ``_toc.yml``."""
    names: list[str] = []

    def walk(entry: Any) -> None:
        if isinstance(entry, dict):
            if str(entry.get("file", "")).startswith("chapters/"):
                names.append(entry["file"].removeprefix("chapters/"))
            for value in entry.values():
                walk(value)
        elif isinstance(entry, list):
            for value in entry:
                walk(value)

    walk(yaml.safe_load((source / "_toc.yml").read_text(encoding="utf-8")))
    return names


def clean_notebook(notebook: Any, path: Path) -> Any:
    """Turn an executed notebook into a page: outputs stay, the machinery of the run goes.

    Parameter cells are folded, progress bars and widget states dropped (a page cannot animate them), and
    papermill's timings removed (they are on the page about the run). Everything else is left as it is.

    Raises
    ------
    ArtifactError
        A cell failed, or was never executed.
    """
    notebook.metadata.pop("papermill", None)
    notebook.metadata.pop("widgets", None)
    for number, cell in enumerate(notebook.cells, 1):
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        if cell.cell_type != "code":
            continue
        for output in cell.outputs:
            if output.output_type == "error":
                raise ArtifactError(
                    f"{path}, cell {number}: the run failed there with {output.ename}: {output.evalue}; "
                    "correct the cause and resume the run with `python -m xlam_lib run`"
                )
        if cell.source.strip() and cell.execution_count is None:
            raise ArtifactError(
                f"{path}, cell {number}: never executed, so the run stopped before its end; "
                "resume it with `python -m xlam_lib run`"
            )
        tags = list(cell.metadata.get("tags", []))
        if _PARAMETER_TAGS.intersection(tags) and "hide-input" not in tags:
            cell.metadata["tags"] = [*tags, "hide-input"]
            given = "of this run" if "injected-parameters" in tags else "and their defaults"
            cell.metadata["mystnb"] = {
                key: f"Parameters {given}" for key in ("code_prompt_show", "code_prompt_hide")
            }
        cell.outputs = [output for output in cell.outputs if _keep(output)]
    return notebook


def _keep(output: Any) -> bool:
    """Drop progress bars from a stream and widgets from a display, in place; is anything left to show?"""
    if output.output_type == "stream":
        # A terminal shows only what follows the last carriage return of a line.
        lines = [line.rstrip("\r").rsplit("\r", 1)[-1] for line in output.text.split("\n")]
        kept = [line for line in lines if not _BAR.search(line)]
        if len(kept) < len(lines) or "\r" in output.text:
            output.text = "\n".join(kept)
        return bool(output.text.strip())
    data = output.get("data", {})
    widgets = [kind for kind in data if kind.startswith(_WIDGETS)]
    if widgets:  # of a view that says the same in HTML, that stays; of a progress bar, nothing
        for kind in widgets:
            del data[kind]
        return "text/html" in data
    return bool(data) or output.output_type == "error"


def about_run(manifest: Mapping[str, Any]) -> str:
    """The page "About this run": what ``run.json`` records, as tables in Markdown."""
    notebooks: Mapping[str, Mapping[str, Any]] = manifest.get("notebooks") or {}
    groups = {
        key: value
        for key, value in manifest.items()
        if isinstance(value, Mapping) and key not in ("notebooks", "git")
    }
    facts = {key: value for key, value in manifest.items() if not isinstance(value, Mapping)}
    git: Mapping[str, Any] = manifest.get("git") or {}
    changed = git.get("changed")
    state = (
        "not recorded"
        if changed is None
        else "with changes that were not committed"
        if changed
        else "unchanged"
    )
    rows = [[_words(key), _code(value)] for key, value in facts.items()]
    rows += [["commit", _code(git.get("commit"))], ["code", state]]
    parts = [
        "# About this run",
        "Every figure and table of the chapters was computed in one run. This page is made from the "
        "`run.json` that the run wrote, so that you can make the same run and compare.",
        _table(["what", "value"], rows),
    ]
    if notebooks:
        together = sum(entry.get("seconds") or 0 for entry in notebooks.values())
        parts += [
            "## Time and memory",
            _table(
                ["notebook", "duration", "peak memory"],
                [
                    *(
                        [name, _duration(entry.get("seconds")), _memory(entry)]
                        for name, entry in notebooks.items()
                    ),
                    ["**together**", _duration(together), ""],
                ],
            ),
        ]
    hashes = [
        [name, f"`{artifact}`", f"`{_short(str(digest))}`"]
        for name, entry in notebooks.items()
        for artifact, digest in (entry.get("outputs") or {}).items()
    ]
    if hashes:
        parts += [
            "## What each stage wrote",
            "The same inputs, parameters and seed give the same bytes: a second run of the data stages must "
            "show the same SHA-256 (here its first 16 digits). Weights, and what is measured with them, may "
            "differ in the last digits between processors.",
            _table(["notebook", "artifact", "SHA-256"], hashes),
        ]
    for key, group in groups.items():
        rows = [[_words(name), _code(value)] for name, value in group.items()]
        parts += [f"## {_words(key).capitalize()}", _table(["name", "value"], rows)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "not recorded"
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"


def _memory(entry: Mapping[str, Any]) -> str:
    peak = (entry.get("measures") or {}).get("peak_memory_gb")
    return "not recorded" if peak is None else f"{peak:.1f} GB"


def _short(digest: str) -> str:
    return digest[:16] if re.fullmatch(r"[0-9a-f]{64}", digest) else digest


def _words(key: str) -> str:
    return key.replace("_", " ")


def _code(value: Any) -> str:
    if value is None or value == "":
        return "not recorded"
    if isinstance(value, list | tuple):
        value = ", ".join(map(str, value)) or "none"
    if isinstance(value, float):
        value = f"{value:g}"
    return "`" + str(value).replace("|", "\\|").replace("`", "'").replace("\n", " ") + "`"


def _table(header: list[str], rows: list[list[str]]) -> str:
    if not rows:
        return ""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in lines)


def _profile(manifest: Path, folder: Path) -> str:
    """The profile to name in a remedy: the manifest's, or else the folder's name."""
    try:
        return str(read_json(manifest)["profile"])
    except Exception:  # only used to word another error
        return folder.name


def _jupyter_book(source: Path, out: Path) -> None:
    """Run Jupyter Book with warnings as errors; raise ``ArtifactError`` with what it complained about."""
    command = [sys.executable, "-c", _JUPYTER_BOOK, "build", str(source), "--path-output", str(out)]
    command += ["-W", "-n", "--keep-going", "--quiet"]
    environment = {**os.environ, "NO_COLOR": "1", "PYTHONWARNINGS": "ignore", "PYTHONDONTWRITEBYTECODE": "1"}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if result.returncode == 0 and (out / "_build" / "html" / "index.html").is_file():
        return
    text = re.sub(r"\x1b\[[0-9;]*m", "", result.stdout + result.stderr).replace(str(source) + os.sep, "")
    lines = [line for line in text.splitlines() if re.search(r"WARNING|ERROR|Error|No module", line)]
    raise ArtifactError(
        "Jupyter Book refused the pages (warnings count as errors):\n  "
        + "\n  ".join(lines or text.splitlines()[-15:] or [f"exit status {result.returncode}, no message"])
        + "\ncorrect these pages (a chapter's text lives in notebooks/) and build again"
    )


def _name_no_icon(index: Path) -> None:
    """Tell a browser that the first page, which only sends it on, has no icon to ask for."""
    index.write_text('<!doctype html>\n<link rel="icon" href="data:," />\n' + index.read_text())


def _replace(new: Path, target: Path) -> None:
    """Put folder ``new`` at ``target``; what was there is moved beside ``new``, to go away with it."""
    try:
        for attempt in range(1000):
            with contextlib.suppress(FileNotFoundError):
                os.rename(target, new.with_name(f"previous-{attempt}"))
            try:
                os.rename(new, target)
                return
            except OSError as error:
                # Another build put its site there in between: move that one away, too.
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
        raise OSError(errno.EBUSY, "other builds keep writing there")
    except OSError as error:
        raise ArtifactError(
            f"{target}: cannot be replaced ({error.strerror}); free the folder and build again"
        ) from error
