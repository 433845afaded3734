"""The first two of APIGen's checks (report, section 5), format and execution; each gives a fault or None.

The third is :mod:`xlam_lib.synthesis.semantic`. The reasons are stable phrases, so that they can be counted;
the particulars are in the detail.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from xlam_lib.schema import Tool, ToolCall
from xlam_lib.synthesis.execute import Outcome, Pool
from xlam_lib.synthesis.registry import arguments_fault
from xlam_lib.synthesis.samples import Sample

DEPTH = 64  # levels of arguments
TOO_DEEP = "answer is nested too deeply"


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
    if not sample.answer.strip():
        return Fault("format", "pair not given", "the generator wrote nothing for this pair")
    try:
        calls = parse_answer(sample.answer)
    except msgspec.ValidationError as error:
        return Fault("format", "answer is not a list of calls", str(error))
    except RecursionError:
        return Fault("format", TOO_DEEP, "no call needs that")
    except msgspec.DecodeError as error:
        return Fault("format", "answer is not JSON", str(error))
    if any(_deeper(call.arguments, DEPTH) for call in calls):
        return Fault("format", TOO_DEEP, f"arguments of more than {DEPTH} levels")
    if not sample.query.strip():
        return Fault("format", "answer without a query", "the query is missing, empty or no text")
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


def _deeper(value: Any, levels: int) -> bool:
    """Whether a JSON value has more levels than that."""
    if not isinstance(value, (dict, list)):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_deeper(item, levels - 1) for item in inner)


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
