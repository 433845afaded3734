"""Tables and lists of Markdown for cards: JSON data made readable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def facts(value: Any) -> list[str]:
    """JSON data as Markdown: objects of objects as a table, objects as a list, anything else as itself."""
    if isinstance(value, Mapping) and value:
        if all(isinstance(child, Mapping) and child for child in value.values()):
            return table([{"": name, **child} for name, child in value.items()])
        return [f"- {str(name).replace('_', ' ')}: {cell(child)}" for name, child in value.items()]
    if isinstance(value, list) and value and all(isinstance(child, Mapping) for child in value):
        return table(value)
    return [cell(value)]


def table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The lines of a table with a column for every key; ``none`` where no row has one."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    if not columns:
        return ["none"]
    lines = [columns, ["---"] * len(columns), *([row.get(column) for column in columns] for row in rows)]
    return ["| " + " | ".join(cell(value) for value in line) + " |" for line in lines]


def cell(value: Any) -> str:
    """A value on one line: numbers with separators, lists with commas, objects with semicolons."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: ""}[value]
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(cell, value)) or "none"
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {cell(child)}" for name, child in value.items()) or "none"
    return str(value).replace("|", "\\|").replace("\n", " ")
