"""A trial of semantic judges: clean cases and cases with one planted error of meaning each, all executed.

The planted errors pass format and execution, so what a judge finds of them is its own merit, and what it says
against a clean case is a false alarm. Clean cases are clean by construction: a template gave query and calls
from one draw. A judge's precision depends on the share of planted cases, its recall by kind does not.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from xlam_lib.errors import ProfileError
from xlam_lib.intervals import wilson
from xlam_lib.synthesis.checks import executable_calls, format_check, outcome_fault, parse_answer
from xlam_lib.synthesis.corrupt import RESULT_KINDS, SEMANTIC_KINDS, plant, plant_result
from xlam_lib.synthesis.execute import Outcome
from xlam_lib.synthesis.library import LIBRARY
from xlam_lib.synthesis.registry import Registry
from xlam_lib.synthesis.sampler import generate
from xlam_lib.synthesis.samples import Sample
from xlam_lib.synthesis.semantic import Case, SemanticJudge

TRIAL_KINDS = (*SEMANTIC_KINDS, *RESULT_KINDS)
EXAMPLES = 3  # of each reason for a false alarm


class Trial(msgspec.Struct, frozen=True):
    """What a judge made of clean and of planted cases.

    Attributes
    ----------
    judge
        Its name.
    asked
        Cases built; ``clean`` + all ``planted`` + all ``left_out``.
    left_out
        Those that did not pass format or execution, by the check that found them.
    clean, false_alarms
        Clean cases judged, and those the judge turned away.
    planted, found
        Cases with a planted error, and those turned away, by kind.
    reasons
        How often each reason was given against a clean case.
    examples
        For each of these reasons some details with their queries.
    """

    judge: str
    asked: int
    left_out: dict[str, int]
    clean: int
    false_alarms: int
    planted: dict[str, int]
    found: dict[str, int]
    reasons: dict[str, int]
    examples: dict[str, list[str]]

    @property
    def precision(self) -> tuple[int, int]:
        """Planted cases turned away, of all turned away."""
        found = sum(self.found.values())
        return found, found + self.false_alarms

    @property
    def recall(self) -> tuple[int, int]:
        """Planted cases turned away, of all planted cases."""
        return sum(self.found.values()), sum(self.planted.values())

    def rows(self) -> list[dict[str, Any]]:
        """Precision, recall, the rate of false alarms and recall by kind, with Wilson's 95% intervals."""
        measures = [
            ("precision", self.precision),
            ("recall", self.recall),
            ("false alarms on clean cases", (self.false_alarms, self.clean)),
            *((f"recall: {kind}", (self.found[kind], n)) for kind, n in self.planted.items()),
        ]
        rows = []
        for measure, (count, total) in measures:
            low, high = wilson(count, total) if total else (None, None)
            rate = count / total if total else None
            rows.append(
                {"measure": measure, "count": count, "of": total, "rate": rate, "low": low, "high": high}
            )
        return rows


def cases(
    count: int,
    seed: int,
    kinds: Sequence[str] = TRIAL_KINDS,
    share: float = 0.5,
    library: Registry = LIBRARY,
    **settings: Any,
) -> tuple[list[Case], dict[str, int]]:
    """Executed cases, clean and planted (``sample.planted``), and how many more were left out at which check.

    Case ``i`` depends on the seed, ``i`` and these settings only, but for the donor of an unrelated result.

    Parameters
    ----------
    kinds
        Of :data:`TRIAL_KINDS`; each is tried as the first in turn, the next where it has no place.
    share
        Of the cases to be planted.
    settings
        See :func:`xlam_lib.synthesis.sampler.generate`.

    Raises
    ------
    ProfileError
        A kind is unknown, or the share is not between 0 and 1.
    """
    for kind in kinds:
        if kind not in TRIAL_KINDS:
            raise ProfileError(f"kinds: {kind!r} is unknown; choose among {', '.join(TRIAL_KINDS)}")
    if not 0 <= share <= 1:
        raise ProfileError(f"share: is {share}; give a share between 0 and 1")
    plans = [_plan(sample, seed, kinds, share, library) for sample in generate(count, seed=seed, **settings)]
    faults = [format_check(sample) for sample, _, _ in plans]
    spans: list[tuple[int, int]] = []
    calls: list[tuple[str, dict[str, Any]]] = []
    for (sample, _, _), fault in zip(plans, faults, strict=True):
        begin = len(calls)
        calls += [] if fault else executable_calls(sample)
        spans.append((begin, len(calls)))
    with library.open() as executor:
        outcomes = executor.run(calls)
    donors = [
        (name, outcome) for (name, _), outcome in zip(calls, outcomes, strict=True) if not outcome.error
    ]
    built: list[Case] = []
    left_out: dict[str, int] = {}
    for (sample, later, rng), fault, (begin, end) in zip(plans, faults, spans, strict=True):
        fault = fault or outcome_fault(outcomes[begin:end])
        if fault:
            left_out[fault.stage] = left_out.get(fault.stage, 0) + 1
            continue
        case = Case(sample, parse_answer(sample.answer), outcomes[begin:end])
        built.append(_with_result(case, later, rng, donors))
    return built, left_out


def _plan(
    sample: Sample, seed: int, kinds: Sequence[str], share: float, library: Registry
) -> tuple[Sample, list[str], random.Random]:
    """A sample, planted already or to be planted in its results (the kinds to try), and its numbers."""
    rng = random.Random(f"{seed}/trial/{sample.index}")
    if not kinds or rng.random() >= share:
        return sample, [], rng
    turn = rng.randrange(len(kinds))
    order = [*kinds[turn:], *kinds[:turn]]
    for kind in order:
        if kind in RESULT_KINDS and parse_answer(sample.answer):
            return sample, [k for k in order if k in RESULT_KINDS], rng
        if kind not in RESULT_KINDS:
            planted = plant(sample, kind, rng, library.functions)
            if planted.planted:
                return planted, [], rng
    return sample, [], rng


def _with_result(
    case: Case, kinds: Sequence[str], rng: random.Random, donors: Sequence[tuple[str, Outcome]]
) -> Case:
    for kind in kinds:
        planted = plant_result(case, kind, rng, donors)
        if planted is not None:
            return planted
    return case


def blinded(case: Case) -> Case:
    """The case as if a model had written it: what the query says is known from its text alone."""
    hidden = msgspec.structs.replace(
        case.sample, slots=None, expected=[], style="", note="", planted="", functions=[], index=0
    )
    return case._replace(sample=hidden)


def trial(
    judge: SemanticJudge,
    count: int,
    seed: int,
    kinds: Sequence[str] = TRIAL_KINDS,
    blind: bool = True,
    share: float = 0.5,
    **settings: Any,
) -> Trial:
    """Let a judge look at ``count`` cases of :func:`cases`.

    Parameters
    ----------
    blind
        Hide what the generator knows (slots, expected tools, style), as for a pair that a model wrote.
    """
    built, left_out = cases(count, seed, kinds, share, **settings)
    faults = judge.faults([blinded(case) for case in built] if blind else built)
    planted, found = dict.fromkeys(kinds, 0), dict.fromkeys(kinds, 0)
    reasons: dict[str, int] = {}
    examples: dict[str, list[str]] = {}
    clean = 0
    for case, fault in zip(built, faults, strict=True):
        kind = case.sample.planted
        if kind:
            planted[kind] += 1
            found[kind] += fault is not None
            continue
        clean += 1
        if fault:
            reasons[fault.reason] = reasons.get(fault.reason, 0) + 1
            told = examples.setdefault(fault.reason, [])
            if len(told) < EXAMPLES:
                told.append(f"{fault.detail} | {case.sample.query}")
    return Trial(judge.name, count, left_out, clean, sum(reasons.values()), planted, found, reasons, examples)


def missed(judge: SemanticJudge, built: Sequence[Case], blind: bool = True) -> Iterator[Case]:
    """The planted cases that a judge lets pass, to look at."""
    faults = judge.faults([blinded(case) for case in built] if blind else list(built))
    for case, fault in zip(built, faults, strict=True):
        if case.sample.planted and fault is None:
            yield case
