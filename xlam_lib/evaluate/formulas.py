"""How BFCL makes one figure of many: v2's ten columns, v3's and v4's parts, and what each column weighs.

v2 (the report's, table 5) is the plain mean of ten columns. v3 (from 2024-09-19) is the mean of non-live,
live and multi-turn; v4 weighs five parts 10, 10, 10, 30 and 40. Multi-turn and agentic questions are not
asked here, so those parts, and with them v3's and v4's overall, are ``None``: not measured, never zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import NormalDist

import msgspec

from xlam_lib.errors import ProfileError
from xlam_lib.intervals import Interval

VERSIONS = ("v2", "v3", "v4")

# v2's ten columns as weighted sums of categories.
COLUMNS: dict[str, dict[str, float]] = {
    "ast_simple": {
        "simple_python": 1 / 6,
        "simple_java": 1 / 6,
        "simple_javascript": 1 / 6,
        "live_simple": 1 / 2,
    },
    "ast_multiple": {"multiple": 1 / 2, "live_multiple": 1 / 2},
    "ast_parallel": {"parallel": 1 / 2, "live_parallel": 1 / 2},
    "ast_parallel_multiple": {"parallel_multiple": 1 / 2, "live_parallel_multiple": 1 / 2},
    "exec_simple": {"exec_simple": 1 / 2, "rest": 1 / 2},
    "exec_multiple": {"exec_multiple": 1.0},
    "exec_parallel": {"exec_parallel": 1.0},
    "exec_parallel_multiple": {"exec_parallel_multiple": 1.0},
    "irrelevance": {"irrelevance": 1 / 2, "live_irrelevance": 1 / 2},
    "relevance": {"live_relevance": 1.0},
}
AST_COLUMNS = tuple(name for name in COLUMNS if name.startswith("ast_"))
EXEC_COLUMNS = tuple(name for name in COLUMNS if name.startswith("exec_"))
MEASURED_COLUMNS = tuple(name for name in COLUMNS if name not in EXEC_COLUMNS)
"""The six columns that are judged without running anything."""

# The simple column outside live questions, which v3 and v4 show by itself.
_SIMPLE = {"simple_python": 1 / 3, "simple_java": 1 / 3, "simple_javascript": 1 / 3}
_NON_LIVE_AST = (_SIMPLE, {"multiple": 1.0}, {"parallel": 1.0}, {"parallel_multiple": 1.0})
_LIVE_AST = ("live_simple", "live_multiple", "live_parallel", "live_parallel_multiple")
_LIVE = (*_LIVE_AST, "live_irrelevance", "live_relevance")
_IRRELEVANCE = {"irrelevance": 1 / 2, "live_irrelevance": 1 / 2}
_V4_WEIGHTS = {"non_live": 0.10, "live": 0.10, "irrelevance": 0.10, "multi_turn": 0.30, "agentic": 0.40}


class Summary(msgspec.Struct, frozen=True):
    """A version's figures.

    Attributes
    ----------
    version
        A name in :data:`VERSIONS`.
    parts
        What the overall is made of, by name; ``None`` where it is not measured.
    overall
        ``None`` unless every part is there.
    unmeasured
        Why, for each part that is ``None``.
    """

    version: str
    parts: dict[str, float | None]
    overall: float | None
    unmeasured: dict[str, str]


def weighted(weights: Mapping[str, float], accuracy: Mapping[str, float]) -> float | None:
    """A weighted sum of categories, or ``None`` where one of them was not asked."""
    if any(name not in accuracy for name in weights):
        return None
    return sum(weight * accuracy[name] for name, weight in weights.items())


def columns_v2(accuracy: Mapping[str, float]) -> dict[str, float | None]:
    """v2's ten columns from the categories' accuracies; ``None`` where not all of a column were asked."""
    return {column: weighted(parts, accuracy) for column, parts in COLUMNS.items()}


def overall_v2(columns: Mapping[str, float | None]) -> float:
    """v2's overall: the plain mean of the ten columns, in the unit they are given in.

    The table's caption says "weighted average"; it is the plain mean in all of its 55 rows.

    Raises
    ------
    ProfileError
        A column is missing, ``None`` (not measured) or unknown.
    """
    unknown = [name for name in columns if name not in COLUMNS]
    if unknown:
        raise ProfileError(f"column {unknown[0]!r}: unknown; the ten are {', '.join(COLUMNS)}")
    values = [columns.get(name) for name in COLUMNS]
    measured = [value for value in values if value is not None]
    if len(measured) < len(values):
        absent = [name for name, value in zip(COLUMNS, values, strict=True) if value is None]
        raise ProfileError(f"overall: {', '.join(absent)} not measured; v2's overall needs all ten columns")
    return sum(measured) / len(measured)


def overall_v3(parts: Mapping[str, float]) -> float:
    """v3's overall: the plain mean of ``non_live``, ``live`` and ``multi_turn``."""
    return (parts["non_live"] + parts["live"] + parts["multi_turn"]) / 3


def non_live_v3(columns: Mapping[str, float]) -> float:
    """v3's non-live part: the plain mean of nine columns.

    These are the four AST and four executable columns without live questions, and irrelevance without them.
    """
    names = [*AST_COLUMNS, *EXEC_COLUMNS, "irrelevance"]
    return sum(columns[name] for name in names) / len(names)


def summary(version: str, accuracy: Mapping[str, float], counts: Mapping[str, int]) -> Summary:
    """A version's figures from the categories' accuracies and numbers of questions.

    Raises
    ------
    ProfileError
        The version is unknown.
    """
    parts: dict[str, float | None]
    if version == "v2":
        parts = columns_v2(accuracy)
    elif version == "v3":
        non_live: dict[str, float | None] = {
            column: weighted(weights, accuracy)
            for column, weights in zip(AST_COLUMNS, _NON_LIVE_AST, strict=True)
        }
        non_live |= {column: weighted(COLUMNS[column], accuracy) for column in EXEC_COLUMNS}
        non_live["irrelevance"] = accuracy.get("irrelevance")
        whole = {name: value for name, value in non_live.items() if value is not None}
        parts = {
            "non_live": non_live_v3(whole) if len(whole) == len(non_live) else None,
            "live": _by_question(_LIVE, accuracy, counts),
            "multi_turn": None,
        }
    elif version == "v4":
        simple = [weighted(weights, accuracy) for weights in _NON_LIVE_AST]
        known = [value for value in simple if value is not None]
        parts = {
            "non_live": sum(known) / len(known) if len(known) == len(simple) else None,
            "live": _by_question(_LIVE_AST, accuracy, counts),
            "irrelevance": weighted(_IRRELEVANCE, accuracy),
            "multi_turn": None,
            "agentic": None,
        }
    else:
        raise ProfileError(f"version {version!r}: unknown; choose from {', '.join(VERSIONS)}")
    return assemble(version, parts)


def assemble(version: str, parts: Mapping[str, float | None]) -> Summary:
    """A summary of parts, with the overall where all are there."""
    elsewhere = {
        "multi_turn": "needs conversations with simulated systems, which are not part of v2's questions",
        "agentic": "needs web search and memory, which are not part of v2's questions",
    }
    unmeasured = {
        name: elsewhere.get(name, "not all of its categories were asked")
        for name, value in parts.items()
        if value is None
    }
    measured = {name: value for name, value in parts.items() if value is not None}
    overall = None
    if not unmeasured:
        if version == "v2":
            overall = overall_v2(measured)
        elif version == "v3":
            overall = overall_v3(measured)
        else:
            overall = sum(weight * measured[name] for name, weight in _V4_WEIGHTS.items())
    return Summary(version, dict(parts), overall, unmeasured)


def _by_question(
    names: tuple[str, ...], accuracy: Mapping[str, float], counts: Mapping[str, int]
) -> float | None:
    if any(name not in accuracy for name in names):
        return None
    return sum(accuracy[name] * counts[name] for name in names) / sum(counts[name] for name in names)


# --------------------------------------------------------------------------- what a column's size weighs


class Influence(msgspec.Struct, frozen=True):
    """What one column does to v2's overall.

    Attributes
    ----------
    column, weight
        The column and its weight in the overall.
    questions
        How many questions it rests on.
    smallest
        Its smallest category and that category's number of questions.
    per_question
        How much one question of that category moves the overall (a fraction).
    standard_error
        Of the column, as a fraction.
    share
        The column's share of the overall's variance; the shares sum to 1.
    """

    column: str
    weight: float
    questions: int
    smallest: tuple[str, int]
    per_question: float
    standard_error: float
    share: float


class Uncertainty(msgspec.Struct, frozen=True):
    """v2's overall over the columns that are there, its interval, and what each column adds to it."""

    overall: float
    interval: Interval
    columns: list[Influence]


def influence(results: Mapping[str, tuple[int, int]], level: float = 0.95) -> Uncertainty:
    """How sure v2's overall is, and which columns make it unsure.

    Every question is taken as an independent draw. A category's variance is that of its rate after two more
    right and two more wrong answers (Agresti and Coull), so that a category without a mistake is not taken
    as certain.

    Parameters
    ----------
    results
        Category to (right answers, questions). Columns that lack a category are left out, and the mean is
        over those that are there.
    level
        The interval's coverage.

    Raises
    ------
    ProfileError
        No column has all its categories, a category has no questions or more right answers than questions,
        or ``level`` is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise ProfileError(f"level: {level} is not between 0 and 1; 0.95 is usual")
    for name, (right, count) in results.items():
        if count < 1 or not 0 <= right <= count:
            raise ProfileError(f"category {name!r}: {right} right answers of {count} is no rate")
    there = [column for column, parts in COLUMNS.items() if all(name in results for name in parts)]
    if not there:
        raise ProfileError("influence: no column has all its categories; give at least those of one")
    values, variances = {}, {}
    for column in there:
        parts = COLUMNS[column]
        values[column] = sum(w * results[name][0] / results[name][1] for name, w in parts.items())
        variances[column] = sum(w * w * _variance(*results[name]) for name, w in parts.items())
    weight = 1 / len(there)
    overall = sum(values.values()) * weight
    total = sum(variances.values())
    half = NormalDist().inv_cdf(0.5 + level / 2) * weight * total**0.5
    found = []
    for column in there:
        sizes = {name: results[name][1] for name in COLUMNS[column]}
        smallest = min(sizes, key=lambda name: sizes[name])
        found.append(
            Influence(
                column,
                weight,
                sum(sizes.values()),
                (smallest, sizes[smallest]),
                weight * COLUMNS[column][smallest] / sizes[smallest],
                variances[column] ** 0.5,
                variances[column] / total,
            )
        )
    return Uncertainty(overall, (max(0.0, overall - half), min(1.0, overall + half)), found)


def _variance(right: int, count: int) -> float:
    rate = (right + 2) / (count + 4)
    return rate * (1 - rate) / (count + 4)
