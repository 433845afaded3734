"""Make notebooks fit to commit: ``python tests/tidy.py notebooks/*.ipynb`` (a part of ``make sync``).

Outputs and execution counts go, and the metadata that papermill needs is put in. A file that is tidy
already is not written again.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat

KERNEL = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}


def tidy(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Drop outputs, counts and the traces of an execution; keep cells, their tags and ids."""
    notebook.metadata["kernelspec"] = KERNEL
    # No version: it would change with everyone's Python.
    notebook.metadata["language_info"] = {"name": "python"}
    for key in ("papermill", "widgets"):
        notebook.metadata.pop(key, None)
    for cell in notebook.cells:
        for key in ("papermill", "execution", "collapsed", "scrolled"):
            cell.metadata.pop(key, None)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]):
        text = nbformat.writes(tidy(nbformat.read(path, 4))) + "\n"
        if text != path.read_text(encoding="utf-8"):
            path.write_text(text, encoding="utf-8")
