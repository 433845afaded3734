"""The scorecard as a page of the book."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from xlam_lib import runs
from xlam_lib.scorecard.base import STATES, Row, State

_HEAD = ("item", "published", "here")


def page(rows: Sequence[Row], manifest: Mapping[str, Any]) -> str:
    """The page in Markdown: a table a group, then the commands; it lies beside the chapters."""
    counts = {state: sum(row.state == state for row in rows) for state in STATES}
    name = manifest.get("run_id") or manifest.get("profile") or "not named"
    parts = [
        "# Reproduction scorecard",
        "Every table and figure of the reports and their smaller claims, beside what was measured here: "
        f"**{len(rows)} rows, of which {', '.join(f'{count} {state}' for state, count in counts.items())}**. "
        f"The build makes this page from the `run.json` and small files of the run `{name}`, from the "
        "published figures and from the measurements that ship with the library. No figure of ours is typed.",
        "\n".join(f"- **{state}** ({counts[state]}): {meaning}." for state, meaning in STATES.items()),
        "A mark in italics says where a published figure cannot be taken as it stands. *Secondhand*: known "
        "from summaries by others or from a later paper. *Disputed*: the sources contradict each other. "
        "*Measured again*: others measured the same models later, and both figures are given. Brackets hold "
        "95% intervals; scores of the leaderboard are in per cent, rates of the environments are fractions.",
    ]
    for group in dict.fromkeys(row.group for row in rows):
        lines = [_HEAD, ("---",) * len(_HEAD), *(_cells(row) for row in rows if row.group == group)]
        table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        parts += [f"## {group}", table]
    parts += [
        "(scorecard-commands)=\n\n## What would measure the rest",
        "Each command stands above the rows that it would fill. `folder`, files and addresses are yours to "
        "put in. [Chapter 12](12_scaling) computes what the profiles for H100s need.",
        *_commands(rows, "unmeasured"),
        "## What would take a stand-in's place",
        "The same for what was measured at a smaller scale or on data of our own.",
        *_commands(rows, "stand-in"),
    ]
    return "\n\n".join(parts) + "\n"


def _cells(row: Row) -> tuple[str, str, str]:
    """Item, published and ours: three columns, of which a phone shows two at once."""
    state = f"[{row.state}](#scorecard-commands)" if row.state == "unmeasured" else row.state
    chapters = ", ".join(_link(chapter) for chapter in row.chapters)
    return (
        f"**{text(row.what)}**<br>{text(row.section)}<br>"
        f"{state}, {'chapters' if len(row.chapters) > 1 else 'chapter'} {chapters}",
        text(*row.published) + (f"<br>*{row.mark}*" if row.mark else ""),
        "<br>".join(
            part
            for part in (
                text(*row.ours),
                f"*Made on:* {text(row.made_on)}" if row.made_on else "",
                f"*{'Why they differ' if row.ours else 'Missing'}:* {text(row.why)}" if row.why else "",
            )
            if part
        ),
    )


def text(*lines: str) -> str:
    """Lines of plain text as Markdown within a table's cell: every character is shown as it is."""
    shown = []
    for line in lines:
        for character in "\\`*_|<>[]$&":
            line = line.replace(character, f"\\{character}")
        shown.append(" ".join(line.split()))
    return "<br>".join(shown)


def _link(chapter: str) -> str:
    number = chapter.split("_")[0].lstrip("0")
    return f"[{number}]({chapter})" if chapter in runs.STAGES else number


def _commands(rows: Sequence[Row], state: State) -> list[str]:
    found: dict[str, list[str]] = {}
    for row in rows:
        if row.state == state and row.command:
            found.setdefault(row.command, []).append(row.what)
    return [f"```bash\n{command}\n```\n\n{text('; '.join(items))}" for command, items in found.items()] or [
        "Nothing."
    ]
