"""APIGen's third check (report, section 5): do the calls and their results do what the query asks?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import msgspec

from xlam_lib.schema import ToolCall
from xlam_lib.synthesis.checks import Fault, parse_answer
from xlam_lib.synthesis.execute import Outcome
from xlam_lib.synthesis.samples import Sample, Slot


class Case(NamedTuple):
    """What a semantic judge looks at: a sample that passed the first two checks, its calls, their results."""

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
        return [semantic_check(case.sample) for case in cases]


def semantic_check(sample: Sample) -> Fault | None:
    """The calls are what the query asks for: their number, their tools, and each value as it is said.

    With the generator's slots this is exact; the slots' texts must also stand in the query. For a pair
    without slots (from a model) the values must be found in the query itself, which is a light rule:
    booleans and enum values, which can be said in any words, pass.
    """
    calls = parse_answer(sample.answer)
    if sample.slots is None:
        return _grounding(sample, calls)
    if len(calls) != len(sample.expected):
        detail = f"{len(calls)} calls where the query asks for {len(sample.expected)}"
        return Fault("semantic", "number of calls disagrees with the query", detail)
    said: list[dict[str, Slot]] = [{} for _ in calls]
    for slot in sample.slots:
        if slot.text not in sample.query:
            return Fault("semantic", "value not said in the query", f"{slot.text!r} for {slot.parameter!r}")
        said[slot.call][slot.parameter] = slot
    for number, (call, name, slots) in enumerate(zip(calls, sample.expected, said, strict=True)):
        path = f"answers[{number}].{call.name}"
        if call.name != name:
            return Fault("semantic", "call not asked for", f"{path}: the query asks for {name!r}")
        for argument, value in call.arguments.items():
            if argument not in slots:
                return Fault("semantic", "argument not said in the query", f"{path}.{argument}: {value!r}")
            if not _same(value, slots[argument].value):
                detail = f"{path}.{argument}: {value!r} where the query says {slots[argument].text!r}"
                return Fault("semantic", "value disagrees with the query", detail)
        for parameter in slots:
            if parameter not in call.arguments:
                return Fault("semantic", "said value missing from the call", f"{path}.{parameter}")
    return None


def _same(value: Any, said: Any) -> bool:
    return type(value) is type(said) and value == said


_NUMBER = re.compile(r"-?\d[\d,]*\.?\d*")
_WORDS = {
    word: value
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve".split()
    )
}


def _numbers(query: str) -> set[float]:
    """All numbers a query says, also as a share (7.5% -> 0.075) and as millions."""
    found: set[float] = set()
    for match in _NUMBER.finditer(query):
        value = float(match[0].replace(",", "").rstrip("."))
        found |= {value, abs(value)}
        rest = query[match.end() : match.end() + 9].lower().lstrip()
        if rest.startswith(("%", "percent")):
            found.add(round(value / 100, 8))
        if rest.startswith("million"):
            found.add(value * 1_000_000)
    found |= {float(_WORDS[word]) for word in re.findall(r"[a-z]+", query.lower()) if word in _WORDS}
    return found


def _squeezed(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.casefold())


def grounded(value: Any, query: str, schema: dict[str, Any] | None = None) -> bool:
    """Whether a value can be found in the query's text (see :func:`semantic_check` for what passes)."""
    schema = schema or {}
    if isinstance(value, bool) or value is None or "enum" in schema or value == schema.get("default"):
        return True
    if isinstance(value, (int, float)):
        return float(value) in _numbers(query)
    if isinstance(value, list):
        return all(grounded(item, query, schema.get("items")) for item in value)
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        return all(grounded(item, query, properties.get(key)) for key, item in value.items())
    if _squeezed(value) in _squeezed(query):
        return True
    # A date or time that is said in words holds the same numbers.
    numbers = [float(part) for part in re.findall(r"\d+", value)]
    if re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        return {numbers[0], numbers[2]} <= _numbers(query)
    if re.fullmatch(r"\d\d:\d\d", value):
        return bool({numbers[0], (numbers[0] - 1) % 12 + 1} & _numbers(query))
    return False


def _grounding(sample: Sample, calls: list[ToolCall]) -> Fault | None:
    if sample.style == "irrelevant" and calls:
        return Fault("semantic", "number of calls disagrees with the query", f"{len(calls)} calls, none fits")
    if sample.style != "irrelevant" and not calls:
        return Fault("semantic", "number of calls disagrees with the query", "no call")
    by_name = {tool.name: tool for tool in sample.tools}
    for number, call in enumerate(calls):
        for argument, value in call.arguments.items():
            schema = by_name[call.name].parameters[argument]
            if not grounded(value, sample.query, schema):
                return Fault(
                    "semantic",
                    "value not said in the query",
                    f"answers[{number}].{call.name}.{argument}: {value!r}",
                )
    return None
