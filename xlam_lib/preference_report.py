"""The quality of preference pairs, by rules (xLAM report, section 3.5, where people check a sample by hand).

:func:`report` looks for what makes pairs teach the wrong thing: a chosen side that is wrong itself or a
rejected one that is not, a rejected side that is always longer or shorter (a length bias), pairs that differ
in almost nothing or in everything, and one fault or source that dominates.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from statistics import median
from typing import Any

import msgspec

from xlam_lib.formats import ParseError, extract_calls
from xlam_lib.preferences import ORIGINS, Pair, clean, judge, offered_tools
from xlam_lib.verify.structure import check_call, tools_by_name

NEAR = 0.95  # similarity from which on a pair differs in one small thing
FAR = 0.3  # and below which its sides have little in common
_TOKEN = re.compile(r"\w+|[^\w\s]")


class Quality(msgspec.Struct, frozen=True):
    """The quality of some pairs: numbers of pairs, lengths in the report's unit, similarities from 0 to 1.

    Attributes
    ----------
    pairs
        How many.
    chosen_reads, chosen_fits
        Those whose chosen answer can be read; and whose calls fit the tools that the prompt shows (one
        that names another call's result in a number's place does not).
    rejected_reads, rejected_wrong
        Those whose rejected answer can be read; and is judged to have the pair's fault.
    chosen_length, rejected_length
        The medians.
    rejected_longer, rejected_shorter
        Where one side is always longer, a model can learn the length instead of the fault.
    similarity
        The median of :func:`similarity`.
    near, far
        Pairs of at least :data:`NEAR` and of less than :data:`FAR` similarity.
    """

    pairs: int
    chosen_reads: int
    chosen_fits: int
    rejected_reads: int
    rejected_wrong: int
    chosen_length: float
    rejected_length: float
    rejected_longer: int
    rejected_shorter: int
    similarity: float
    near: int
    far: int


class Report(msgspec.Struct, frozen=True):
    """What :func:`report` found; JSON data.

    Attributes
    ----------
    unit
        Of the lengths: ``characters``, or ``tokens``.
    total, origins
        The quality of all pairs and of each origin's; ``None`` and empty where there is no pair.
    by_source, by_fault, by_detail
        Pairs of each, most first.
    left
        What :func:`xlam_lib.preferences.clean` would still take out: duplicates and contradictions.
    outcomes
        The counts that were given.
    """

    unit: str
    total: Quality | None
    origins: dict[str, Quality]
    by_source: dict[str, int]
    by_fault: dict[str, int]
    by_detail: dict[str, int]
    left: dict[str, int]
    outcomes: dict[str, dict[str, int]]

    def rows(self) -> list[dict[str, Any]]:
        """One row an origin and the total: pairs, lengths and similarity, and all else as shares of them."""
        whole = {"all": self.total} if self.total else {}
        return [_row(name, quality) for name, quality in [*self.origins.items(), *whole.items()]]

    def outcome_rows(self) -> list[dict[str, Any]]:
        """What became of everything: a row for each group of counts and each outcome, most first."""
        return [
            {"step": step, "outcome": outcome, "number": number}
            for step, counts in self.outcomes.items()
            for outcome, number in counts.items()
        ]


def report(
    pairs: Sequence[Pair],
    counts: Mapping[str, Mapping[str, int]] | None = None,
    count_tokens: Callable[[str], int] | None = None,
) -> Report:
    """The quality of pairs.

    Parameters
    ----------
    pairs
        Of any origin.
    counts
        What became of all that was offered, by step: the counts that came with each origin's pairs, with
        :func:`~xlam_lib.preferences.clean` and with :func:`~xlam_lib.preferences.balance`.
    count_tokens
        A text's length in tokens (:func:`xlam_lib.mixture.token_counter`); by default characters count.
    """
    length = count_tokens or len
    looked = [(pair.origin, _look(pair, length)) for pair in pairs]
    origins = [origin for origin in ORIGINS if any(its == origin for its, _ in looked)]
    return Report(
        "tokens" if count_tokens else "characters",
        _quality([look for _, look in looked]) if looked else None,
        {origin: _quality([look for its, look in looked if its == origin]) for origin in origins},
        _most_first(pair.source for pair in pairs),
        _most_first(pair.fault for pair in pairs),
        _most_first(pair.detail or "not stated" for pair in pairs),
        dict(clean(pairs)[1]),
        {step: dict(Counter(told).most_common()) for step, told in (counts or {}).items()},
    )


def similarity(left: str, right: str) -> float:
    """The share of two texts' words and signs that they have in common in one order, 0 to 1."""
    one, two = _TOKEN.findall(left), _TOKEN.findall(right)
    return SequenceMatcher(None, one, two, autojunk=False).ratio()


class _Look(msgspec.Struct):
    chosen_reads: bool
    chosen_fits: bool
    rejected_reads: bool
    rejected_wrong: bool
    chosen_length: int
    rejected_length: int
    similarity: float


def _look(pair: Pair, length: Callable[[str], int]) -> _Look:
    calls, format = None, pair.format or None
    try:
        calls = extract_calls(pair.chosen, format)
    except ParseError:
        pass
    tools = tools_by_name(offered_tools(pair.prompt, pair.tools))
    fits = calls is not None and not any(fault for call in calls for fault in check_call(call, tools))
    try:
        extract_calls(pair.rejected, format)
        reads = True
    except ParseError:
        reads = False
    wrong = calls is not None and judge(pair, pair.rejected) == pair.fault
    return _Look(
        calls is not None,
        fits,
        reads,
        wrong,
        length(pair.chosen),
        length(pair.rejected),
        similarity(pair.chosen, pair.rejected),
    )


def _quality(looks: Sequence[_Look]) -> Quality:
    return Quality(
        len(looks),
        sum(look.chosen_reads for look in looks),
        sum(look.chosen_fits for look in looks),
        sum(look.rejected_reads for look in looks),
        sum(look.rejected_wrong for look in looks),
        median(look.chosen_length for look in looks),
        median(look.rejected_length for look in looks),
        sum(look.rejected_length > look.chosen_length for look in looks),
        sum(look.rejected_length < look.chosen_length for look in looks),
        median(look.similarity for look in looks),
        sum(look.similarity >= NEAR for look in looks),
        sum(look.similarity < FAR for look in looks),
    )


def _row(name: str, quality: Quality) -> dict[str, Any]:
    def share(number: int) -> float:
        return round(number / quality.pairs, 3)

    return {
        "origin": name,
        "pairs": quality.pairs,
        "chosen reads": share(quality.chosen_reads),
        "chosen fits": share(quality.chosen_fits),
        "rejected reads": share(quality.rejected_reads),
        "rejected wrong": share(quality.rejected_wrong),
        "chosen length": quality.chosen_length,
        "rejected length": quality.rejected_length,
        "rejected longer": share(quality.rejected_longer),
        "rejected shorter": share(quality.rejected_shorter),
        "similarity": round(quality.similarity, 3),
        "near": share(quality.near),
        "far": share(quality.far),
    }


def _most_first(names: Iterable[str]) -> dict[str, int]:
    return dict(Counter(names).most_common())
