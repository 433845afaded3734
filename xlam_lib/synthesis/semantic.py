"""APIGen's third check (report, section 5): do the calls and their results do what the query asks?

A judge of cases is a :class:`SemanticJudge`: :class:`RuleJudge` here, a language model in
:mod:`xlam_lib.synthesis.semantic_model`. The rules are exact where the generator says what its query asks,
and go by the query's text (:mod:`xlam_lib.synthesis.semantic_rules`) where a model wrote the pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import msgspec

from xlam_lib.schema import ToolCall
from xlam_lib.synthesis.checks import Fault, parse_answer
from xlam_lib.synthesis.execute import Outcome
from xlam_lib.synthesis.samples import Sample, Slot
from xlam_lib.synthesis.semantic_results import results_check
from xlam_lib.synthesis.semantic_rules import (
    COUNT,
    MISSING,
    NOT_ASKED,
    NOT_SAID,
    OTHER_VALUE,
    blind_check,
    grounded,
)

__all__ = ["Case", "RuleJudge", "SemanticJudge", "Usage", "grounded", "semantic_check"]


class Case(NamedTuple):
    """What a semantic judge looks at: a sample that passed the first two checks, its calls, their results.

    ``outcomes`` is empty where nobody could execute the calls.
    """

    sample: Sample
    calls: list[ToolCall]
    outcomes: list[Outcome]


class Usage(msgspec.Struct):
    """What a model behind a generator or a judge was asked: requests, and tokens in and out."""

    requests: int = 0
    prompt_tokens: int = 0
    tokens: int = 0


class SemanticJudge(Protocol):
    """Anything that judges cases; ``usage`` counts what it asked a model (nothing for rules)."""

    @property
    def name(self) -> str: ...

    @property
    def usage(self) -> Usage: ...

    def faults(self, cases: Sequence[Case]) -> list[Fault | None]:
        """A fault of stage ``semantic`` for each case that does not pass, in order; else None."""
        ...


@dataclass
class RuleJudge:
    """Judges by rules: exactly where the generator says what its query asks, else from the text."""

    name: str = "rules"
    usage: Usage = field(default_factory=Usage)

    def faults(self, cases: Sequence[Case]) -> list[Fault | None]:
        """See :class:`SemanticJudge`."""
        return [semantic_check(case.sample, case.outcomes) for case in cases]


def semantic_check(sample: Sample, outcomes: Sequence[Outcome] = ()) -> Fault | None:
    """The calls are what the query asks for (number, tools, each value as said), and so are their results.

    With the generator's slots the calls are compared exactly; the slots' texts must also stand in the query.
    For a pair without slots (from a model) it goes by :func:`xlam_lib.synthesis.semantic_rules.blind_check`.

    Parameters
    ----------
    outcomes
        The calls' results in order; empty where they were not executed.
    """
    calls = parse_answer(sample.answer)
    if sample.slots is None:
        fault = blind_check(sample.query, sample.tools, calls)
    else:
        fault = _exact(sample, sample.slots, calls)
    return fault or results_check(sample, calls, outcomes)


def _exact(sample: Sample, stated: Sequence[Slot], calls: Sequence[ToolCall]) -> Fault | None:
    if len(calls) != len(sample.expected):
        return Fault("semantic", COUNT, f"{len(calls)} calls where the query asks for {len(sample.expected)}")
    said: list[dict[str, Slot]] = [{} for _ in calls]
    for slot in stated:
        if slot.text not in sample.query:
            return Fault("semantic", NOT_SAID, f"{slot.text!r} for {slot.parameter!r}")
        said[slot.call][slot.parameter] = slot
    for number, (call, name, slots) in enumerate(zip(calls, sample.expected, said, strict=True)):
        path = f"answers[{number}].{call.name}"
        if call.name != name:
            return Fault("semantic", NOT_ASKED, f"{path}: the query asks for {name!r}")
        for argument, value in call.arguments.items():
            if argument not in slots:
                return Fault("semantic", "argument not said in the query", f"{path}.{argument}: {value!r}")
            if not _same(value, slots[argument].value):
                detail = f"{path}.{argument}: {value!r} where the query says {slots[argument].text!r}"
                return Fault("semantic", OTHER_VALUE, detail)
        for parameter in slots:
            if parameter not in call.arguments:
                return Fault("semantic", MISSING, f"{path}.{parameter}")
    return None


def _same(value: Any, said: Any) -> bool:
    return type(value) is type(said) and value == said
