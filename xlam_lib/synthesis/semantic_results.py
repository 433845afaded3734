"""Whether a call's result is one to learn from (APIGen, section 5).

A result is an error that was returned instead of raised, is empty though the function promises something,
or repeats a parameter with another text than the call's. Whether numbers, or fields with names of their own,
belong to the call, rules cannot say: that is for a model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from xlam_lib.schema import Tool, ToolCall
from xlam_lib.synthesis.checks import Fault
from xlam_lib.synthesis.execute import Outcome
from xlam_lib.synthesis.samples import Sample
from xlam_lib.synthesis.semantic_text import leaves, name_stems, squeezed, stem, stems

_ERROR_KEYS = frozenset(("error", "errors", "exception", "error_message", "errormessage", "traceback"))
_ERROR_STARTS = (
    "error:",
    "error ",
    "exception:",
    "traceback (most recent",
    "internal server error",
    "http 4",
    "http 5",
)
_NOT_FOUND = (
    "not found",
    "no such ",
    "does not exist",
    "invalid request",
    "bad request",
    "unauthorized",
    "forbidden",
)
_TAKES_OUT = frozenset(map(stem, "extract parse match detect".split()))
_SEEKS = _TAKES_OUT | frozenset(map(stem, "search find list filter query lookup look scan".split()))
_SHOWN = 120


def results_check(sample: Sample, calls: Sequence[ToolCall], outcomes: Sequence[Outcome]) -> Fault | None:
    """The first fault of the results, or None; None as well where nothing was executed."""
    by_name = {tool.name: tool for tool in sample.tools}
    for number, (call, outcome) in enumerate(zip(calls, outcomes, strict=False)):
        tool = by_name.get(call.name)
        if tool is None or outcome.error:
            continue
        path = f"results[{number}] of {call.name}"
        said = {squeezed(str(leaf)) for leaf in leaves(call.arguments)}
        wrong = _error(outcome.ok, said)
        if wrong:
            return Fault("semantic", "result is an error", f"{path}: {wrong[:_SHOWN]}")
        if outcome.ok is None or (isinstance(outcome.ok, (str, list, dict)) and not outcome.ok):
            if not _may_be_empty(tool, call, outcome.ok):
                return Fault("semantic", "result is empty", f"{path}: {outcome.ok!r}")
            continue
        other = _contradiction(call, sample.parameters.get(call.name, {}), outcome.ok)
        if other:
            return Fault("semantic", "result disagrees with the call", f"{path}: {other[:_SHOWN]}")
    return None


def _error(result: Any, said: set[str]) -> str:
    """The words of an error that was returned as a result; empty if it is none."""
    if isinstance(result, Mapping):
        for key, value in result.items():
            name = str(key).casefold()
            if name in _ERROR_KEYS and value not in (None, False, "", 0, "none", "None") and value != []:
                return f"{key}: {value}"
            if name in ("success", "ok") and value is False:
                return f"{key}: {value}"
            if (
                name in ("status", "status_code", "statuscode", "code")
                and isinstance(value, int)
                and not isinstance(value, bool)
                and 400 <= value <= 599
            ):
                return f"{key}: {value}"
            if (
                name in ("status", "message", "detail")
                and isinstance(value, str)
                and _tells_failure(value, said)
            ):
                return f"{key}: {value}"
        return ""
    if isinstance(result, str) and _tells_failure(result, said):
        return result
    return ""


def _tells_failure(text: str, said: set[str]) -> bool:
    if squeezed(text) in said or len(text) > 200:
        return False
    low = text.casefold().strip()
    return (
        low in ("error", "failed", "failure")
        or low.startswith(_ERROR_STARTS)
        or any(w in low for w in _NOT_FOUND)
    )


def _may_be_empty(tool: Tool, call: ToolCall, result: Any) -> bool:
    """Whether nothing is an answer: a search finds nothing, or the call narrows what is listed."""
    verbs = name_stems(tool.name) | stems(tool.description)
    if verbs & _TAKES_OUT:
        return True
    if result != []:
        return False
    narrowed = any(tool.parameters.get(name, {}).get("required") is not True for name in call.arguments)
    return narrowed or bool(verbs & _SEEKS)


def _contradiction(call: ToolCall, back: Mapping[str, str], result: Any) -> str:
    """A parameter that the result repeats, by name, with another text than the call's."""
    given = {back.get(name, name): value for name, value in call.arguments.items()}
    for record in result if isinstance(result, list) else [result]:
        if not isinstance(record, Mapping):
            continue
        for key, value in record.items():
            asked = given.get(str(key))
            if not (isinstance(asked, str) and isinstance(value, str)):
                continue
            ours, theirs = squeezed(asked), squeezed(value)
            if ours and theirs and ours not in theirs and theirs not in ours:
                return f"{key} is {value!r}, the call says {asked!r}"
    return ""
