"""The notebook pairs: ``NN_stage.md`` (MyST, the text people edit and review) makes ``NN_stage.ipynb``.

``python -m xlam_lib.pairs`` writes every ``.ipynb`` anew from its text, with stable cell ids, the
metadata papermill needs and no outputs; with ``--back`` it first takes the cells of the notebooks over
into the texts (after the formatter). An edit made in JupyterLab lands in both files by jupytext's
pairing; run it afterwards all the same, so that the ids stay stable.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from xlam_lib import runs
from xlam_lib.records import write_text


def notebook(text: Path) -> Any:
    """The notebook of a MyST text file, without outputs."""
    import jupytext

    made = jupytext.read(text)
    made.metadata["language_info"] = {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"}
    for number, cell in enumerate(made.cells):
        cell["id"] = f"{text.stem[:2]}-{number:02d}"
    return made


def write_pairs(folder: Path | None = None) -> list[Path]:
    """Write the ``.ipynb`` of every ``.md`` in ``folder`` (default: ``notebooks/``); return their paths."""
    import nbformat

    written = []
    for text in sorted((folder or runs.root() / "notebooks").glob("[0-9][0-9]_*.md")):
        path = text.with_suffix(".ipynb")
        write_text(path, nbformat.writes(notebook(text)) + "\n")
        written.append(path)
    return written


def write_texts(folder: Path | None = None) -> None:
    """Take the cells of every ``.ipynb`` over into its text."""
    import jupytext

    for text in sorted((folder or runs.root() / "notebooks").glob("[0-9][0-9]_*.md")):
        made = jupytext.read(text)
        made.cells = jupytext.read(text.with_suffix(".ipynb")).cells
        write_text(text, jupytext.writes(made, fmt="md:myst"))


if __name__ == "__main__":
    if "--back" in sys.argv:
        write_texts()
    for path in write_pairs():
        print(path)
