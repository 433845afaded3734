"""Preference pairs for DPO (xLAM report, section 3.5): a wrong answer against the right one, and why.

The report lets less powerful models answer prompts of each source, has the answers rated, and takes the poor
ones as the rejected side. :func:`make_pairs` does so with an exact judge: the calls equal the reference's or
they do not, and what an exact comparison cannot tell makes no pair.
:mod:`xlam_lib.preference_origins` adds pairs from failed branches of a search, from samples that failed a
check and from planted errors; :mod:`xlam_lib.preference_report` looks at the quality of them all.

For an agent's step the judge knows one path that led to the goal. Another step may lead there too, so such a
pair prefers the path that is known to be right, and its fault is one against that path.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import msgspec

from xlam_lib.dedup import normalise
from xlam_lib.equivalence import canonical, same_calls, stated
from xlam_lib.errors import ProfileError, TrainingError
from xlam_lib.formats import ParseError, extract_calls
from xlam_lib.mixture import INSTRUCTION, Example
from xlam_lib.schema import Tool, ToolCall

WEAKER_MODEL, FAILED_BRANCH, FAILED_CHECK, PLANTED = ORIGINS = (
    "weaker model",
    "failed branch",
    "failed check",
    "planted error",
)
"""Where a rejected answer comes from. The last is our own, for where the others give too few."""

FAULTS = (
    "unreadable",
    "no call",
    "needless call",
    "wrong count",
    "undefined function",
    "wrong function",
    "wrong arguments",
    "wrong values",
)
RIGHT, EQUIVALENT, UNDECIDED = "right", "equivalent", "undecided"
"""Verdicts that make no pair: equal; equal up to :mod:`xlam_lib.equivalence`; free texts that differ."""
CUT_OFF, NO_CALLS, BAD_REFERENCE = "cut off", "answer without calls", "unreadable reference"
"""Prompts without a verdict: no whole answer, instruction data, a reference that holds no calls."""
FREE_TEXT = 4  # words; a shorter text is a value


class Pair(msgspec.Struct, forbid_unknown_fields=True):
    """One preference: for ``prompt``, the ``chosen`` answer over the ``rejected``.

    Attributes
    ----------
    id
        The example's that the prompt is of.
    fault
        What is wrong with the rejected answer, one of :data:`FAULTS`.
    source
        The example's.
    origin
        One of :data:`ORIGINS`.
    detail
        The weaker model's name, the branch's outcome, the check and its reason, or the error's kind.
    format, tools
        The example's: how the answers are written, and the names on offer.
    """

    id: str
    prompt: str
    chosen: str
    rejected: str
    fault: str
    source: str = ""
    origin: str = WEAKER_MODEL
    detail: str = ""
    format: str = ""
    tools: list[str] = []


# Judging --------------------------------------------------------------------------------------------------


def fault(
    reference: Sequence[ToolCall], answer: str, tools: Sequence[str], format: str | None = None
) -> str | None:
    """What is wrong with an answer, or ``None`` if its calls are the reference's in any order.

    ``format`` is the output format that was asked for; JSON where it is ``None``. One of :data:`FAULTS`.
    """
    try:
        calls = extract_calls(answer, format)
        if _bag(calls) == _bag(reference):
            return None
    except (ParseError, RecursionError):  # arguments nested so deeply are none that a tool takes
        return "unreadable"
    if not calls:
        return "no call"
    if not reference:
        return "needless call"
    if any(call.name not in tools for call in calls):
        return "undefined function"
    if len(calls) != len(reference):
        return "wrong count"
    if Counter(c.name for c in calls) != Counter(c.name for c in reference):
        return "wrong function"
    if _shapes(calls) != _shapes(reference):
        return "wrong arguments"
    return "wrong values"


def _bag(calls: Iterable[ToolCall]) -> Counter[bytes]:
    return Counter(msgspec.json.encode(call, order="deterministic") for call in calls)


def _shapes(calls: Iterable[ToolCall], tools: Sequence[Tool] = ()) -> Counter[tuple[str, frozenset[str]]]:
    return Counter((call.name, stated(call, tools)) for call in calls)


def judge(example: Example | Pair, answer: str) -> str:
    """The verdict on an answer: a fault, or :data:`RIGHT`, :data:`EQUIVALENT` or :data:`UNDECIDED`.

    The example's answer (a pair's chosen one) is the reference. An answer is undecided if it differs from it
    in nothing but free texts: arguments for which the reference has a text of :data:`FREE_TEXT` words or
    more that the prompt does not say, such as a message or an SQL query, which can be put in many ways.

    Raises
    ------
    ParseError
        The reference cannot be read.
    ProfileError
        The example's format is unknown.
    """
    format = example.format or None
    reference = extract_calls(example.chosen if isinstance(example, Pair) else example.answer, format)
    found = fault(reference, answer, example.tools, format)
    if found in (None, "unreadable"):
        return found or RIGHT
    calls = extract_calls(answer, format)
    tools = offered_tools(example.prompt, example.tools)
    try:
        if same_calls(reference, calls, tools):
            return EQUIVALENT
        if found == "wrong arguments" and _shapes(calls, tools) == _shapes(reference, tools):
            found = "wrong values"
        if found == "wrong values":
            free = _free_texts(reference, example.prompt)
            if free and same_calls(_blanked(reference, free), _blanked(calls, free), tools):
                return UNDECIDED
    except RecursionError:
        return "unreadable"
    return found or RIGHT


def offered_tools(prompt: str, names: Sequence[str]) -> list[Tool]:
    """The tools of these names as the prompt shows them, or none where it does not.

    The inverse of :func:`xlam_lib.prompts.render_tools`, which writes them on one line of JSON.
    """
    for line in prompt.split("\n"):  # not splitlines: a description may hold any other line separator
        if line.startswith('[{"'):
            try:
                tools = msgspec.json.decode(line, type=list[Tool])
            except (msgspec.DecodeError, RecursionError):
                continue
            if [tool.name for tool in tools] == list(names):
                return tools
    return []


def _free_texts(calls: Iterable[ToolCall], prompt: str) -> set[tuple[str, str]]:
    """The arguments, as (function, name), whose text is composed and not taken from the prompt."""
    told = f" {normalise(prompt)} "
    return {
        (call.name, name)
        for call in calls
        for name, value in call.arguments.items()
        if isinstance(value, str) and len(value.split()) >= FREE_TEXT and f" {normalise(value)} " not in told
    }


def _blanked(calls: Iterable[ToolCall], free: set[tuple[str, str]]) -> list[ToolCall]:
    """The calls with one and the same text in place of each free one that is not empty."""

    def blank(function: str, name: str, value: Any) -> Any:
        return "text" if (function, name) in free and isinstance(value, str) and value.strip() else value

    return [ToolCall(c.name, {n: blank(c.name, n, v) for n, v in c.arguments.items()}) for c in calls]


# Pairs ----------------------------------------------------------------------------------------------------


def make_pairs(
    prompts: Sequence[Example], answers: Sequence[str | None], model: str = ""
) -> tuple[list[Pair], Counter[str]]:
    """Pairs from a weaker model's answers to prompts, and the counts of what became of each answer.

    Parameters
    ----------
    answers
        One a prompt; ``None`` for one that was cut off at the limit of tokens, which is no wrong answer.
    model
        Its name, kept in the pairs' ``detail``. Several models: one call each, the pairs put together.

    Returns
    -------
    The pairs, and counts that add up to the prompts: the faults (a pair each), :data:`RIGHT`,
    :data:`EQUIVALENT`, :data:`UNDECIDED`, :data:`CUT_OFF`, :data:`NO_CALLS` and :data:`BAD_REFERENCE`.
    """
    pairs: list[Pair] = []
    counts: Counter[str] = Counter()
    for prompt, answer in zip(prompts, answers, strict=True):
        if prompt.format == INSTRUCTION:
            counts[NO_CALLS] += 1
        elif answer is None:
            counts[CUT_OFF] += 1
        else:
            pair = pair_of(prompt, answer, WEAKER_MODEL, model)
            counts[pair.fault if isinstance(pair, Pair) else pair] += 1
            if isinstance(pair, Pair):
                pairs.append(pair)
    return pairs, counts


def pair_of(example: Example, rejected: str, origin: str, detail: str = "") -> Pair | str:
    """The pair of an example's answer and a rejected one, or the verdict by which there is none."""
    try:
        found = judge(example, rejected)
    except ParseError:
        return BAD_REFERENCE
    if found in (RIGHT, EQUIVALENT, UNDECIDED):
        return found
    return Pair(
        example.id, example.prompt, example.answer, rejected, found,
        example.source, origin, detail, example.format, example.tools,
    )  # fmt: skip


def clean(pairs: Iterable[Pair]) -> tuple[list[Pair], Counter[str]]:
    """The pairs without duplicates and contradictions, in their order, and how many of each went.

    Of pairs with the same prompt and the same rejected calls the first is kept (``duplicate``). Pairs are
    ``contradictory`` when what one rejects is what one of the same prompt chooses; all of them go, as nothing
    tells which is right. Answers are compared by their calls (:mod:`xlam_lib.equivalence`), unreadable ones
    as text.
    """
    pairs = list(pairs)
    keys = [_keys(pair) for pair in pairs]
    chosen = {(pair.prompt, key) for pair, (key, _) in zip(pairs, keys, strict=True)}
    rejected = {(pair.prompt, key) for pair, (_, key) in zip(pairs, keys, strict=True)}
    both = chosen & rejected
    counts: Counter[str] = Counter({"duplicate": 0, "contradictory": 0})
    seen: set[tuple[str, Hashable]] = set()
    kept: list[Pair] = []
    for pair, (good, bad) in zip(pairs, keys, strict=True):
        if (pair.prompt, good) in both or (pair.prompt, bad) in both:
            counts["contradictory"] += 1
        elif (pair.prompt, bad) in seen:
            counts["duplicate"] += 1
        else:
            seen.add((pair.prompt, bad))
            kept.append(pair)
    return kept, counts


def _keys(pair: Pair) -> tuple[Hashable, Hashable]:
    """What a pair's two answers are compared by."""
    tools = offered_tools(pair.prompt, pair.tools)

    def key(answer: str) -> Hashable:
        try:
            return canonical(extract_calls(answer, pair.format or None), tools)
        except (ParseError, RecursionError):
            return answer.strip()

    return key(pair.chosen), key(pair.rejected)


def balance(pairs: Sequence[Pair], limit: int, seed: int) -> tuple[list[Pair], Counter[str]]:
    """Draw at most ``limit`` pairs so that no fault and no source dominates, and count what is not drawn.

    Each next pair is of the fault and source that have given least so far, taken together; among the pairs
    of one fault and source the seed decides. So a rare fault or a small source gives all it has before the
    common ones give more than it. The same pairs, limit and seed give the same draw in the same order.

    Returns
    -------
    The pairs in the order of the draw, and the faults of the others, counted.

    Raises
    ------
    ProfileError
        The limit is not positive.
    """
    if limit < 1:
        raise ProfileError(f"preferences: a limit of {limit} pairs; give 1 or more")
    cells: dict[tuple[str, str], list[Pair]] = {}
    for pair in pairs:
        cells.setdefault((pair.fault, pair.source), []).append(pair)
    order = sorted(cells)
    random.Random(f"{seed}/order").shuffle(order)
    for fault_name, source in order:
        random.Random(f"{seed}/{fault_name}/{source}").shuffle(cells[fault_name, source])
    faults: Counter[str] = Counter()
    sources: Counter[str] = Counter()
    drawn: list[Pair] = []
    while order and len(drawn) < limit:
        cell = min(order, key=lambda c: (faults[c[0]] + sources[c[1]], max(faults[c[0]], sources[c[1]])))
        drawn.append(cells[cell].pop())
        faults[cell[0]] += 1
        sources[cell[1]] += 1
        if not cells[cell]:
            order.remove(cell)
    left: Counter[str] = Counter()
    for fault_name, source in order:
        left[fault_name] += len(cells[fault_name, source])
    return drawn, left


def some(pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs, if there are any.

    Raises
    ------
    TrainingError
        There are none: no report can be made on them, and no model aligned.
    """
    if not pairs:
        raise TrainingError(
            "no preference pair is left: every answer was right or undecided, or too few prompts were "
            "answered; give more prompts, a weaker model, or plant errors"
        )
    return list(pairs)
