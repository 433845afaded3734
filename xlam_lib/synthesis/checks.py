"""APIGen's three checks (report, section 5): format, execution, semantic. Each gives a fault or None.

The reasons are stable phrases, so that they can be counted; the particulars are in the detail.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from xlam_lib.schema import Tool, ToolCall
from xlam_lib.synthesis.execute import Outcome, Pool
from xlam_lib.synthesis.registry import arguments_fault
from xlam_lib.synthesis.samples import Sample, Slot


class Fault(NamedTuple):
    """Why a sample is turned away: the stage, a stable phrase, and the particulars."""

    stage: str
    reason: str
    detail: str


class _Answer(msgspec.Struct):
    answers: list[ToolCall]
    query: str = ""
    thought: str = ""


_decoder = msgspec.json.Decoder(_Answer)


def parse_answer(text: str) -> list[ToolCall]:
    """The calls in an answer's text.

    Raises
    ------
    msgspec.ValidationError
        It is JSON of another form.
    msgspec.DecodeError
        It is not JSON.
    """
    return _decoder.decode(text).answers


def format_check(sample: Sample, tools: Sequence[Tool] | None = None) -> Fault | None:
    """The answer is JSON of the right form, and each call fits a tool on offer (name, arguments, types)."""
    try:
        calls = parse_answer(sample.answer)
    except msgspec.ValidationError as error:
        return Fault("format", "answer is not a list of calls", str(error))
    except msgspec.DecodeError as error:
        return Fault("format", "answer is not JSON", str(error))
    by_name = {tool.name: tool for tool in (sample.tools if tools is None else tools)}
    for number, call in enumerate(calls):
        tool = by_name.get(call.name)
        if tool is None:
            return Fault(
                "format", "undefined function invoked", f"answers[{number}]: {call.name!r} is not on offer"
            )
        fault = arguments_fault(call.arguments, tool.parameters, f"answers[{number}].{call.name}")
        if fault:
            return Fault("format", *fault)
    return None


def executable_calls(sample: Sample) -> list[tuple[str, dict[str, Any]]]:
    """The answer's calls under the executable names (masking undone)."""
    calls = []
    for call in parse_answer(sample.answer):
        back = sample.parameters.get(call.name)
        arguments = {back.get(k, k): v for k, v in call.arguments.items()} if back else call.arguments
        calls.append((sample.names.get(call.name, call.name), arguments))
    return calls


def outcome_fault(outcomes: Sequence[Outcome]) -> Fault | None:
    """The first failed call of a sample, as an execution fault."""
    for number, outcome in enumerate(outcomes):
        if outcome.error:
            return Fault("execution", outcome.error, f"answers[{number}]: {outcome.detail}")
    return None


def execution_check(sample: Sample, pool: Pool) -> Fault | None:
    """Every call runs in the pool and returns. (The pipeline runs many samples a round trip instead.)"""
    return outcome_fault(pool.run(executable_calls(sample)))


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
