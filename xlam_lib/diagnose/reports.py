"""Mistakes counted: per category and kind, with intervals and examples, and two models side by side."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from xlam_lib.diagnose.answers import diagnose_answer
from xlam_lib.diagnose.episodes import EPISODE_KINDS
from xlam_lib.diagnose.mistakes import KINDS, Mistake, spectool
from xlam_lib.errors import ProfileError
from xlam_lib.evaluate.bfcl import Question, Verdict
from xlam_lib.intervals import wilson

ORDER = tuple(dict.fromkeys([*KINDS, *EPISODE_KINDS]))
LEVEL = 0.05  # a change less likely than this by chance is called one


class Case(msgspec.Struct, frozen=True):
    """An answer, or an episode, with its mistakes.

    Attributes: its ``id``, the ``category`` it is counted under, the ``mistakes``, and the raw ``text``, of
    which an example shows the beginning.
    """

    id: str
    category: str
    mistakes: tuple[Mistake, ...]
    text: str = ""


class Example(msgspec.Struct, frozen=True):
    """One mistake as it happened."""

    id: str
    category: str
    mistake: Mistake
    text: str


class Report(msgspec.Struct, frozen=True):
    """What a model gets wrong.

    Attributes
    ----------
    answers, wrong
        For each category the answers, and those with at least one mistake.
    counts
        For each category and kind the answers with at least one mistake of the kind.
    mistakes
        For each kind the mistakes, of which an answer can have several.
    details
        For each category and kind, the mistakes by detail.
    kinds
        For each wrong answer's id its kinds; ``ids`` has all answers.
    examples
        For each kind the first few.
    """

    answers: dict[str, int]
    wrong: dict[str, int]
    counts: dict[str, dict[str, int]]
    mistakes: dict[str, int]
    details: dict[str, dict[str, dict[str, int]]]
    ids: list[str]
    kinds: dict[str, list[str]]
    examples: dict[str, list[Example]]

    def rows(self) -> list[dict[str, Any]]:
        """One row a category and kind that occurs, and one a kind for all categories (``all``).

        ``rate`` is the share of the answers with such a mistake, ``low`` and ``high`` Wilson's 95% interval.
        """
        totals: Counter[str] = Counter()
        for counts in self.counts.values():
            totals.update(counts)
        groups = {"all": (sum(self.answers.values()), dict(totals))}
        groups |= {name: (self.answers[name], self.counts[name]) for name in self.answers}
        rows = []
        for category, (answers, counts) in groups.items():
            for kind in _ordered(counts):
                low, high = wilson(counts[kind], answers)
                rows.append(
                    {
                        "category": category,
                        "kind": kind,
                        "spectool": spectool(Mistake(kind, "call")),
                        "answers": answers,
                        "with": counts[kind],
                        "rate": counts[kind] / answers,
                        "low": low,
                        "high": high,
                    }
                )
        return rows

    def matrix(self) -> tuple[list[str], list[str], list[list[float]]]:
        """Categories, the kinds that occur, and the rates as rows of a heat map."""
        names = list(self.answers)
        kinds = _ordered(self.mistakes)
        rates = [[self.counts[name].get(kind, 0) / self.answers[name] for kind in kinds] for name in names]
        return names, kinds, rates


def report(cases: Iterable[Case], examples: int = 3) -> Report:
    """Count the mistakes of all answers, right ones included: a rate is of all that were asked.

    Parameters
    ----------
    cases
        One an answer.
    examples
        How many to keep of each kind.

    Raises
    ------
    ProfileError
        An id occurs twice, or there are no cases.
    """
    answers: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    counts: dict[str, Counter[str]] = {}
    mistakes: Counter[str] = Counter()
    details: dict[str, dict[str, Counter[str]]] = {}
    ids: list[str] = []
    kinds: dict[str, list[str]] = {}
    kept: dict[str, list[Example]] = {}
    seen: set[str] = set()
    for case in cases:
        if case.id in seen:
            raise ProfileError(f"report: {case.id!r} is there twice; give each answer an id of its own")
        seen.add(case.id)
        ids.append(case.id)
        answers[case.category] += 1
        wrong[case.category] += bool(case.mistakes)
        own = counts.setdefault(case.category, Counter())
        found = {mistake.kind: mistake for mistake in reversed(case.mistakes)}
        own.update(list(found))
        for mistake in case.mistakes:
            mistakes[mistake.kind] += 1
            of = details.setdefault(case.category, {}).setdefault(mistake.kind, Counter())
            of[mistake.detail] += 1
        if found:
            kinds[case.id] = _ordered(found)
        for kind, mistake in found.items():
            if len(kept.setdefault(kind, [])) < examples:
                text = case.text if len(case.text) <= 400 else case.text[:400] + "..."
                text = text.encode("utf-8", "backslashreplace").decode()
                kept[kind].append(Example(case.id, case.category, mistake, text))
    if not ids:
        raise ProfileError("report: no answers; diagnose at least one")
    return Report(
        dict(answers),
        dict(wrong),
        {name: {kind: own[kind] for kind in _ordered(own)} for name, own in counts.items()},
        {kind: mistakes[kind] for kind in _ordered(mistakes)},
        {
            name: {kind: dict(sorted(of.items())) for kind, of in sorted(own.items())}
            for name, own in details.items()
        },
        ids,
        kinds,
        {kind: kept[kind] for kind in _ordered(kept)},
    )


def report_bfcl(
    questions: Iterable[Question],
    responses: Mapping[str, str],
    verdicts: Iterable[Verdict] = (),
    examples: int = 3,
) -> Report:
    """The report on answers to BFCL questions.

    Parameters
    ----------
    questions, responses
        As :func:`xlam_lib.evaluate.bfcl.score` takes them.
    verdicts
        Its verdicts; an answer without one is judged here, see
        :func:`xlam_lib.diagnose.answers.diagnose_answer`.
    """
    judged = {verdict.id: verdict for verdict in verdicts}
    return report(
        (
            Case(
                question.id,
                question.category,
                diagnose_answer(responses.get(question.id), question, judged.get(question.id)),
                responses.get(question.id, ""),
            )
            for question in questions
        ),
        examples,
    )


def compare(before: Report, after: Report) -> list[dict[str, Any]]:
    """Which kinds of mistakes went down from one model to another, on the answers that both have.

    One row a kind: ``answers`` compared, how many of them have the kind ``before`` and ``after``, their rates
    with Wilson's intervals, ``mended`` (before, not after) and ``new`` (the reverse), McNemar's exact
    two-sided ``p``, and ``change``: ``down``, ``up`` or ``unclear``. Many kinds are tested at once, so a
    single one near the level is weak evidence.

    Raises
    ------
    ProfileError
        The two have no answer in common.
    """
    others = set(after.ids)
    shared = [name for name in before.ids if name in others]
    if not shared:
        raise ProfileError("compare: the two reports have no answer in common; ask both the same questions")
    rows = []
    for kind in _ordered({**before.mistakes, **after.mistakes}):
        first = {name for name in shared if kind in before.kinds.get(name, ())}
        second = {name for name in shared if kind in after.kinds.get(name, ())}
        mended, new = len(first - second), len(second - first)
        p = mcnemar(mended, new)
        change = "unclear" if p >= LEVEL else "down" if mended > new else "up"
        rows.append(
            {
                "kind": kind,
                "answers": len(shared),
                "before": len(first),
                "after": len(second),
                "rate before": len(first) / len(shared),
                "rate after": len(second) / len(shared),
                "interval before": wilson(len(first), len(shared)),
                "interval after": wilson(len(second), len(shared)),
                "mended": mended,
                "new": new,
                "p": p,
                "change": change,
            }
        )
    return rows


def mcnemar(mended: int, new: int) -> float:
    """How likely a split at least so uneven is where better and worse are equally likely (two-sided)."""
    n, least = mended + new, min(mended, new)
    tail = sum(math.comb(n, k) for k in range(least + 1)) / 2**n
    return min(1.0, 2 * tail)


def _ordered(kinds: Iterable[str]) -> list[str]:
    found = set(kinds)
    return [kind for kind in ORDER if kind in found] + sorted(found - set(ORDER))
