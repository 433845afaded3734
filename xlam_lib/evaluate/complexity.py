"""How hard a question of BFCL is, and what that costs in accuracy (a question that both reports leave open).

A question's complexity is counted, not judged: the tools on offer, the calls that the right answer makes,
their arguments, how deeply their values are nested, the parameters that the tools declare, and the length of
the prompt. Accuracy by bins of a measure comes from verdicts of single questions (:func:`by_bin`); where only
the categories' results are known, as for a published table, categories stand for their questions
(:func:`squares`, :func:`effects`). The benchmark is made so that eight of its columns are two tables of two
by two: one tool or several on offer, one call or several to make.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from xlam_lib.errors import ProfileError
from xlam_lib.evaluate.bfcl import Rate, Verdict, rate, read_answer
from xlam_lib.evaluate.formulas import COLUMNS, Uncertainty, influence
from xlam_lib.evaluate.oracle import oracle
from xlam_lib.evaluate.questions import CATEGORIES, Question, trajectory
from xlam_lib.paper import BfclRow
from xlam_lib.prompts import render_prompt


class Complexity(msgspec.Struct, frozen=True):
    """What is counted of one question.

    Attributes
    ----------
    tools
        On offer.
    calls
        Of the right answer; 0 where it is to make none.
    arguments
        Of its calls together, those that the official answer cannot leave out.
    depth
        Of its values: 0 without arguments, 1 for plain values, one more for each list or object around them.
    parameters
        That the tools on offer declare, together.
    prompt_tokens
        Of the prompt that is shown, ``None`` where nobody counted.
    """

    tools: int
    calls: int
    arguments: int
    depth: int
    parameters: int
    prompt_tokens: int | None = None


# What is counted, and where its bins end (the last has no end).
MEASURES: dict[str, tuple[str, tuple[int, ...]]] = {
    "tools": ("tools on offer", (1, 2, 4)),
    "calls": ("calls to make", (1, 2, 3)),
    "arguments": ("arguments to fill in", (1, 2, 4)),
    "depth": ("deepest nesting of a value", (1,)),
    "parameters": ("parameters that the tools declare", (3, 8)),
    "prompt_tokens": ("tokens of the prompt", (300, 500, 800)),
}
KINDS: tuple[str, ...] = (
    "one tool, one call",
    "several tools, one call",
    "one tool, several calls",
    "several tools and calls",
)
# What the calling columns of v2 ask for, however they are judged.
_DESIGN = dict(zip(("simple", "multiple", "parallel", "parallel_multiple"), KINDS, strict=True))


def measure(
    question: Question, count_tokens: Callable[[str], int] | None = None, style: str = "plain"
) -> Complexity:
    """A question's complexity.

    The right answer is the official one with its optional arguments left out. A relevance question has none:
    its calls count as one without arguments.

    Parameters
    ----------
    count_tokens
        How many tokens a text has; without it no prompt is made.
    style
        Of the prompt, a name in :data:`xlam_lib.prompts.STYLES`.
    """
    calls = read_answer(oracle(question))
    tokens = None
    if count_tokens:
        tokens = count_tokens(render_prompt(trajectory(question), style))
    return Complexity(
        tools=len(question.tools),
        calls=len(calls),
        arguments=sum(len(call.arguments) for call in calls),
        depth=max((_depth(call.arguments) for call in calls if call.arguments), default=0),
        parameters=sum(len(tool.parameters) for tool in question.tools),
        prompt_tokens=tokens,
    )


def _depth(value: Any) -> int:
    """0 for a plain value, and one more for each list or object around the deepest; empty ones count."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if not isinstance(value, (list, tuple)):
        return 0
    return 1 + max(map(_depth, value), default=0)


def is_calling(category: str) -> bool:
    """Whether the category's questions want calls that are compared with right ones."""
    return CATEGORIES[category].kind in ("ast", "executable", "rest")


class Bin(msgspec.Struct, frozen=True):
    """The questions whose measure lies from ``low`` to ``high`` (``None``: no end), and their result."""

    label: str
    low: int
    high: int | None
    rate: Rate


def by_bin(
    found: Mapping[str, Complexity],
    verdicts: Iterable[Verdict],
    name: str,
    edges: Sequence[int] | None = None,
) -> list[Bin]:
    """Accuracy by bins of a measure, of the questions that want calls; bins without a question are left out.

    Parameters
    ----------
    found
        Complexity by the question's id.
    verdicts
        Of the answers of one model.
    name
        In :data:`MEASURES`.
    edges
        The last value of each bin but the last, rising; by default those of the measure.

    Raises
    ------
    ProfileError
        The measure is unknown or was not counted, the edges do not rise, or a verdict's question was not
        measured.
    """
    if name not in MEASURES:
        raise ProfileError(f"measure {name!r} is unknown; choose one of {', '.join(MEASURES)}")
    edges = list(MEASURES[name][1] if edges is None else edges)
    if edges != sorted(set(edges)):
        raise ProfileError(f"edges {edges} of {name} do not rise; give the last value of each bin, in order")
    results: dict[int, list[tuple[int, bool]]] = {}
    for verdict in verdicts:
        if not is_calling(verdict.category):
            continue
        if verdict.id not in found:
            raise ProfileError(f"question {verdict.id!r} was not measured; measure all that were asked")
        value = getattr(found[verdict.id], name)
        if value is None:
            raise ProfileError(f"{name} of {verdict.id!r} was not counted; give measure() a count_tokens")
        results.setdefault(sum(value > edge for edge in edges), []).append((value, verdict.valid))
    bins = []
    for place, members in sorted(results.items()):
        low = edges[place - 1] + 1 if place else min(value for value, _ in members)
        high = edges[place] if place < len(edges) else None
        right = sum(valid for _, valid in members)
        bins.append(Bin(_label(low, high), low, high, rate(right, len(members))))
    return bins


def _label(low: int, high: int | None) -> str:
    return f"{low} or more" if high is None else f"{low}" if low == high else f"{low} to {high}"


class Contrast(msgspec.Struct, frozen=True):
    """The first bin against all others together; ``apart``: their 95% intervals have no value in common."""

    first: Rate
    others: Rate
    apart: bool


def contrast(bins: Sequence[Bin]) -> Contrast | None:
    """What the first bin's questions have ahead of the rest; ``None`` where there are no others."""
    if len(bins) < 2:
        return None
    first = bins[0].rate
    others = rate(sum(one.rate.correct for one in bins[1:]), sum(one.rate.count for one in bins[1:]))
    apart = first.interval[0] > others.interval[1] or others.interval[0] > first.interval[1]
    return Contrast(first, others, apart)


def finding(bins: Sequence[Bin], name: str) -> str:
    """What the bins say, for a title: the first against all others, and whether chance could make it."""
    found, title = contrast(bins), MEASURES[name][0].capitalize()
    if found is None:
        return f"{title}: {bins[0].label} in all questions" if bins else "No question wants a call"
    return (
        f"{title}: {100 * found.first.accuracy:.0f}% right at {bins[0].label}, "
        f"{100 * found.others.accuracy:.0f}% above" + ("" if found.apart else " (intervals overlap)")
    )


# ----------------------------------------------------------------------------------------- by category


# Who wrote the questions and how answers are judged; a square is read within one of these, as they differ.
GROUPS: dict[str, dict[str, str]] = {
    "the authors' questions": dict(
        zip(("simple_python", "multiple", "parallel", "parallel_multiple"), KINDS, strict=True)
    ),
    "users' questions (live)": {f"live_{name}": kind for name, kind in _DESIGN.items()},
    "calls that are executed": {f"exec_{name}": kind for name, kind in _DESIGN.items()},
}


def squares(results: Mapping[str, tuple[int, int]]) -> dict[str, dict[str, Rate]]:
    """Accuracy of each of :data:`KINDS` in each of :data:`GROUPS`, from categories' (right, questions).

    Java, JavaScript and REST, which have one tool and one call only, are in no square. What was not asked is
    left out.
    """
    found = {
        group: {kind: rate(*results[name]) for name, kind in parts.items() if name in results}
        for group, parts in GROUPS.items()
    }
    return {group: square for group, square in found.items() if square}


def categories_of(row: BfclRow) -> dict[str, float]:
    """A row's categories, in per cent, under the names of :data:`xlam_lib.evaluate.questions.CATEGORIES`.

    The leaderboard's tables give the executable simple column in parts, ``exec_python`` and ``rest``. A
    column of one category stands for it.
    """
    names = {"exec_python": "exec_simple", "non_live_irrelevance": "irrelevance"}
    alone = {part: row.columns[name] for name, parts in COLUMNS.items() for part in parts if len(parts) == 1}
    return alone | {names.get(name, name): value for name, value in row.categories.items()}


def overall_of(row: BfclRow, counts: Mapping[str, int]) -> Uncertainty:
    """A row's overall with the uncertainty of its questions; the row must give its categories."""
    shares = categories_of(row)
    return influence({name: (round(shares[name] * count / 100), count) for name, count in counts.items()})


class Effect(msgspec.Struct, frozen=True):
    """How many points of accuracy go with several in the place of one, with a 95% interval."""

    points: float
    low: float
    high: float


def effects(
    columns: Mapping[str, float], counts: Mapping[str, int], categories: Mapping[str, float] | None = None
) -> dict[str, Effect]:
    """What several ``tools`` on offer and several ``calls`` to make cost, by v2's eight calling columns.

    Each is the mean of the four columns with several less the mean of the four with one, in the unit that the
    columns are given in, per cent. The interval is that of independent questions (a normal approximation from
    the categories' shares): it leaves out that another model of the size, or another training, would differ.

    Parameters
    ----------
    columns
        The columns of :data:`xlam_lib.evaluate.formulas.COLUMNS`, in per cent.
    counts
        Questions of each category.
    categories
        Shares of the categories in per cent, as far as known; for the others the column's stands.
    """
    found = {}
    for name, places in (("tools", (1, 3)), ("calls", (2, 3))):
        points, variance = 0.0, 0.0
        for way in ("ast", "exec"):
            for place, part in enumerate(_DESIGN):
                column = f"{way}_{part}"
                weight = (1 if place in places else -1) / 4
                points += weight * columns[column]
                for category, share in COLUMNS[column].items():
                    p = (categories or {}).get(category, columns[column]) / 100
                    variance += (100 * weight * share) ** 2 * p * (1 - p) / counts[category]
        half = 1.96 * variance**0.5
        found[name] = Effect(points, points - half, points + half)
    return found


def column_means(
    found: Mapping[str, Complexity], questions: Iterable[Question]
) -> dict[str, dict[str, float]]:
    """Mean of each measure in each calling column of v2, categories weighted as the column weighs them."""
    groups: dict[str, list[Complexity]] = {}
    for question in questions:
        groups.setdefault(question.category, []).append(found[question.id])
    names = [name for name in MEASURES if name != "prompt_tokens"]
    means = {
        category: {name: sum(getattr(one, name) for one in group) / len(group) for name in names}
        for category, group in groups.items()
    }
    return {
        column: {name: sum(w * means[part][name] for part, w in parts.items()) for name in names}
        for column, parts in COLUMNS.items()
        if all(part in means and is_calling(part) for part in parts)
    }
