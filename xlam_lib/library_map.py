"""A map of the library, drawn from its code: every module in its room, and which room builds on which.

A *room* is a package of ``xlam_lib``; modules that belong to none stand by themselves. Names, first lines and
imports are read with :mod:`ast`: nothing is imported for it, and the map is never out of date.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from xlam_lib import runs
from xlam_lib.stages import STAGES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURE = "library_map.svg"


@dataclass(frozen=True)
class Module:
    """One file of the library.

    Attributes: ``name`` with dots and without the package's, ``path`` below the package, ``room`` (empty for
    a module that stands by itself), ``summary`` (its docstring's first line) and ``imports``, the names of
    the modules it imports, at its top or within a function.
    """

    name: str
    path: str
    room: str
    summary: str
    imports: frozenset[str]


def modules(package: Path = runs.PACKAGE) -> tuple[Module, ...]:
    """Every module below a package, sorted by path; the package's own ``__init__.py`` is not among them."""
    paths = sorted(path.relative_to(package).as_posix() for path in package.rglob("*.py"))
    names = {path: _name(path) for path in paths if path != "__init__.py"}
    known = set(names.values())
    found = []
    for path, name in names.items():
        tree = ast.parse((package / path).read_text(encoding="utf-8"), path)
        summary = (ast.get_docstring(tree) or "").partition("\n")[0]
        imports = frozenset(_imported(tree, package.name, known) - {name})
        found.append(Module(name, path, path.partition("/")[0] if "/" in path else "", summary, imports))
    return tuple(found)


def _name(path: str) -> str:
    """``train/sft.py`` is ``train.sft``, ``train/__init__.py`` is ``train``."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _imported(tree: ast.Module, package: str, known: Set[str]) -> set[str]:
    """The modules of the package that a file imports."""
    asked: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            asked |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            # What is imported from a package may be one of its modules, or a name in its __init__.
            asked |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name.removeprefix(f"{package}.") for name in asked if name.startswith(f"{package}.")} & known


# -------------------------------------------------------------------------------------------------- page


def page(found: Sequence[Module]) -> str:
    """The map as a page of the book, beside the chapters and the picture :data:`FIGURE` (Markdown)."""
    rooms = list(dict.fromkeys(module.room for module in found if module.room))
    alone = [module for module in found if not module.room]
    parts = [
        "# Map of the library",
        f"The logic of the chapters is the package `xlam_lib`: {len(found)} modules, most of them in "
        f"{len(rooms)} packages, called rooms here. The build draws this page from the code. The last "
        "column names the chapters whose results depend on a module: when it changes, they are run again.",
        f"```{{image}} {FIGURE}\n:alt: {alt_text(found)}\n:width: 440px\n:align: center\n```",
        "An arrow goes from a room to one that it imports from; those that follow from others are left out. "
        "Dashed arrows go against the order: two rooms use parts of one another. Modules that stand by "
        "themselves are not drawn, as nearly every room uses some of them.",
    ]
    for room in rooms:
        inside = [module for module in found if module.room == room]
        summary = next(module.summary for module in inside if module.name == room)
        parts += [f"## {room}", _plain(summary), _table([m for m in inside if m.name != room], room)]
    parts += ["## Modules that stand by themselves", _table(alone, "")]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(found: Sequence[Module], room: str) -> str:
    if not found:
        return ""
    lines = ["| module | what it is | chapters |", "| --- | --- | --- |"]
    for module in found:
        name = module.name.removeprefix(f"{room}.")
        lines.append(f"| `{name}` | {_plain(module.summary)} | {_chapters(module)} |")
    return "\n".join(lines)


def _chapters(module: Module) -> str:
    """Links to the chapters that name the module, or a folder it lies in, among their modules."""
    own = {module.path, *(str(parent) for parent in Path(module.path).parents)}
    return ", ".join(
        f"[{stage.partition('_')[0].lstrip('0')}]({stage})"
        for stage, spec in STAGES.items()
        if own & set(spec.modules)
    )


def _plain(text: str) -> str:
    """A docstring's line as Markdown: literals stay literals, roles become them, the rest is text."""
    text = re.sub(r":\w+:`~?([^`]*)`", r"``\1``", text)
    pieces = re.split(r"``(.*?)``", text)
    for place in range(0, len(pieces), 2):
        pieces[place] = re.sub(r"([\\`*_|<>\[\]{}$&])", r"\\\1", pieces[place])
    for place in range(1, len(pieces), 2):
        pieces[place] = "`" + pieces[place].replace("|", "\\|") + "`"
    return "".join(pieces)


# ------------------------------------------------------------------------------------------------ figure


def dependencies(found: Sequence[Module]) -> Counter[tuple[str, str]]:
    """Pairs of rooms, the first importing from the second, with the number of modules that do."""
    room_of = {module.name: module.room for module in found}
    pairs: Counter[tuple[str, str]] = Counter()
    for module in found:
        used = {room_of[name] for name in module.imports} - {"", module.room}
        pairs.update((module.room, room) for room in used if module.room)
    return pairs


def order(pairs: Counter[tuple[str, str]]) -> list[str]:
    """The rooms from top to bottom, so that as few imports as possible go upwards; ties go to the alphabet.

    Who is imported by nobody left goes to the top, and who imports nobody left to the bottom: that costs
    nothing. Among the rest, which use one another, the best order is found by trying the sets that can stand
    above each room (dynamic programming).
    """
    left = sorted({room for pair in pairs for room in pair})
    top: list[str] = []
    bottom: list[str] = []
    while True:
        unused = [room for room in left if not any(pairs[other, room] for other in left)]
        idle = [room for room in left if not any(pairs[room, other] for other in left)]
        if not unused and not idle:
            break
        top += unused
        bottom = [*(room for room in idle if room not in unused), *bottom]
        left = [room for room in left if room not in unused and room not in idle]
    best: dict[frozenset[str], tuple[int, tuple[str, ...]]] = {frozenset(): (0, ())}
    for _ in left:
        longer: dict[frozenset[str], tuple[int, tuple[str, ...]]] = {}
        for above, (upwards, sequence) in best.items():
            for room in left:
                if room not in above:
                    cost = upwards + sum(pairs[room, other] for other in above)
                    option = cost, (*sequence, room)
                    key = above | {room}
                    longer[key] = min(longer.get(key, option), option)
        best = longer
    (_, middle) = best[frozenset(left)]
    return [*top, *middle, *bottom]


def layers(pairs: Counter[tuple[str, str]]) -> list[list[str]]:
    """The rooms in layers, the topmost first: each stands above all that it builds on.

    A room that builds on none stands right below those that use it, so that no arrow is longer than need be.
    """
    height: dict[str, int] = {}
    ordered = order(pairs)
    for place in reversed(range(len(ordered))):
        below = [height[room] for room in ordered[place + 1 :] if pairs[ordered[place], room]]
        height[ordered[place]] = 1 + max(below, default=-1)
    for place, room in enumerate(ordered):
        above = [height[user] for user in ordered[:place] if pairs[user, room]]
        if height[room] == 0 and above:
            height[room] = min(above) - 1
    levels = sorted(set(height.values()), reverse=True)
    return [[room for room in ordered if height[room] == level] for level in levels]


def alt_text(found: Sequence[Module]) -> str:
    """What the figure shows, in a sentence or two."""
    pairs = dependencies(found)
    levels = layers(pairs)
    upward = _upward(pairs, levels)
    text = "Rooms of the library in layers, each building on those below: "
    text += "; ".join(", ".join(level) for level in levels) + "."
    if upward:
        text += " Against the order: " + ", ".join(f"{a} uses {b}" for a, b in upward) + "."
    return text


def _upward(pairs: Counter[tuple[str, str]], levels: Sequence[Sequence[str]]) -> list[tuple[str, str]]:
    at = {room: level for level, rooms in enumerate(levels) for room in rooms}
    return sorted((a, b) for a, b in pairs if at[a] >= at[b])


def _direct(pairs: Counter[tuple[str, str]], levels: Sequence[Sequence[str]]) -> list[tuple[str, str]]:
    """The pairs that go down and do not follow from two others."""
    down = set(pairs) - set(_upward(pairs, levels))
    reach = set(down)
    for middle in [room for level in reversed(levels) for room in level]:
        reach |= {(a, c) for a, b in reach if b == middle for d, c in reach if d == middle}
    return sorted((a, c) for a, c in down if not any((a, b) in reach and (b, c) in reach for _, b in reach))


def draw(found: Sequence[Module]) -> Figure:
    """The rooms and their dependencies, narrow enough for a phone and on a ground of its own."""
    import matplotlib.pyplot as plt

    from xlam_lib.plots import COLOURS

    pairs = dependencies(found)
    levels = layers(pairs)
    upward = _upward(pairs, levels)
    sizes = Counter(module.room for module in found)
    figure, axes = plt.subplots(figsize=(4.6, 0.9 + 0.8 * len(levels)))
    boxes = {}
    for row, level in enumerate(levels):
        aside = (0.1 if row % 2 else -0.1) / len(level)  # else arrows over several layers would coincide
        for place, room in enumerate(level):
            boxes[room] = axes.text(
                (place + 0.5) / len(level) + aside, -row, f"{room}\n{sizes[room]}", ha="center", va="center",
                fontsize=10, linespacing=1.15,
                bbox={"boxstyle": "round,pad=0.3", "facecolor": "#DCEBF5", "edgecolor": COLOURS[0]},
            )  # fmt: skip
    down = {"color": "#666666", "connectionstyle": "arc3"}
    up = {"color": COLOURS[5], "linestyle": (0, (4, 2)), "connectionstyle": "arc3,rad=0.35"}
    for drawn, style in ((_direct(pairs, levels), down), (upward, up)):
        for user, used in drawn:
            ends = {"patchA": boxes[user].get_bbox_patch(), "patchB": boxes[used].get_bbox_patch()}
            style = {**style, **ends, "arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 1, "linewidth": 1.1}
            axes.annotate("", boxes[used].get_position(), boxes[user].get_position(), arrowprops=style)
    axes.set_xlim(0, 1)
    axes.set_ylim(0.6 - len(levels), 0.5)
    axes.set_axis_off()
    whole = pairs.total()
    against = sum(pairs[pair] for pair in upward)
    axes.set_title(
        f"{whole - against} of {whole} imports between rooms go down", fontsize=11, fontweight="bold"
    )
    return figure


def write(folder: Path) -> Path:
    """Write the page and its figure into a folder; the same code gives the same bytes.

    Returns
    -------
    Path
        The page.
    """
    import matplotlib.pyplot as plt

    found = modules()
    figure = draw(found)
    with plt.rc_context({"svg.hashsalt": "map", "svg.fonttype": "path"}):
        figure.savefig(folder / FIGURE, metadata={"Date": None})
    plt.close(figure)
    target = folder / "library_map.md"
    target.write_text(page(found), encoding="utf-8")
    return target
