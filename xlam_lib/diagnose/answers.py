"""What is wrong with one answer, mistake by mistake.

Calls are put beside the expected ones so that as few mistakes as possible are left: first those of the same
function, by the best match of their arguments, then what remains. For a BFCL question an argument is right
if the official checker lets a call of it alone pass, so our findings and the official verdict cannot drift
apart; elsewhere it is right if it equals the expected one up to :mod:`xlam_lib.equivalence`, as the
preferences have it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import networkx as nx

from xlam_lib.diagnose.mistakes import (
    EARLY_STOP,
    EXTRA_ARGUMENT,
    EXTRA_CALL,
    HALLUCINATED_ARGUMENT,
    HALLUCINATED_FUNCTION,
    MISSING_ARGUMENT,
    MISSING_CALL,
    NEEDLESS_CALL,
    REPETITION,
    UNEXPLAINED,
    WRONG_FUNCTION,
    WRONG_TYPE,
    WRONG_VALUE,
    Mistake,
    clipped,
    shown,
)
from xlam_lib.diagnose.unreadable import unreadable
from xlam_lib.diagnose.values import kind_of, type_detail, value_detail
from xlam_lib.equivalence import canonical, same_calls
from xlam_lib.evaluate.bfcl import CATEGORIES, Question, Verdict, judge, read_answer
from xlam_lib.evaluate.executable import right_calls
from xlam_lib.evaluate.official import ast_check
from xlam_lib.evaluate.oracle import write_value
from xlam_lib.formats import Format, ParseError
from xlam_lib.schema import Tool, ToolCall, type_matches
from xlam_lib.verify import HALLUCINATED_NAME, INCORRECT_TYPE, UNDEFINED_ARGUMENT, UNDEFINED_FUNCTION
from xlam_lib.verify import MISSING_ARGUMENT as REQUIRED_MISSING
from xlam_lib.verify.names import near_names
from xlam_lib.verify.structure import check_call, tools_by_name

CALLS = 64  # of an answer that are looked at one by one; the rest is told in one mistake


@dataclass(frozen=True)
class Wanted:
    """One expected call.

    Attributes
    ----------
    name
        The function.
    schemas
        Its parameters by name.
    required
        Those that must be there.
    allowed
        For each argument that may stand there the values that are right; the others may not.
    optional
        Those of them that may be left out.
    """

    name: str
    schemas: Mapping[str, Mapping[str, Any]]
    required: frozenset[str]
    allowed: Mapping[str, Sequence[Any]]
    optional: frozenset[str]
    language: str = "python"

    def fault(self, argument: str, value: Any) -> str:
        """Nothing if an argument with this value is right, else the kind of mistake."""
        raise NotImplementedError


@dataclass(frozen=True)
class _Official(Wanted):
    """A call as BFCL's possible answers have it; the official checker compares."""

    document: Mapping[str, Any] = field(default_factory=dict)
    root: Path | None = None

    def fault(self, argument: str, value: Any) -> str:
        if argument not in self.schemas:
            return HALLUCINATED_ARGUMENT
        if argument not in self.allowed:
            return EXTRA_ARGUMENT
        allowed = self.document["parameters"]["properties"][argument]
        alone = {"name": self.name, "parameters": {"properties": {argument: allowed}, "required": []}}
        answer = {self.name: {argument: self.allowed[argument]}}
        valid, error, _ = ast_check(
            [alone], [{self.name: {argument: value}}], [answer], self.language, "simple_python", self.root
        )
        if valid:
            return ""
        if all(right == "" for right in self.allowed[argument]):
            return EXTRA_ARGUMENT  # it may only be left out
        return WRONG_TYPE if error.startswith("type_error") else WRONG_VALUE


@dataclass(frozen=True)
class _Plain(Wanted):
    """A call with one right value for each argument."""

    tool: Tool = field(default_factory=lambda: Tool(""))

    def fault(self, argument: str, value: Any) -> str:
        right = self.allowed.get(argument, ())
        expected = [ToolCall(self.name, {argument: item}) for item in right] or [ToolCall(self.name)]
        if any(
            same_calls([ToolCall(self.name, {argument: value})], [item], [self.tool]) for item in expected
        ):
            return ""
        if not right:
            return EXTRA_ARGUMENT if argument in self.schemas else HALLUCINATED_ARGUMENT
        schema = self.schemas.get(argument, {})
        fits = type_matches(value, schema) if "type" in schema else kind_of(value) == kind_of(right[0])
        return WRONG_VALUE if fits else WRONG_TYPE


# What is expected ---------------------------------------------------------------------------------------


def _wanted_calls(calls: Sequence[ToolCall], tools: Sequence[Tool]) -> list[Wanted]:
    named = tools_by_name(tools)
    wanted: list[Wanted] = []
    for call in calls:
        tool = named.get(call.name) or Tool(call.name, "", {name: {} for name in call.arguments})
        required = {name for name, schema in tool.parameters.items() if schema.get("required") is True}
        optional = {
            name
            for name in call.arguments
            if same_calls([ToolCall(call.name, {name: call.arguments[name]})], [ToolCall(call.name)], [tool])
        }
        wanted.append(
            _Plain(
                call.name,
                tool.parameters,
                frozenset(required & call.arguments.keys()),
                {name: [value] for name, value in call.arguments.items()},
                frozenset(optional),
                tool=tool,
            )
        )
    return wanted


def _wanted_of(question: Question, root: Path | None) -> list[Wanted] | None:
    """The expected calls of a question; ``None`` where any call will do."""
    kind = CATEGORIES[question.category].kind
    if kind == "relevance":
        return None
    if kind != "ast":
        calls = right_calls(question) if kind in ("executable", "rest") else []
        return _wanted_calls([ToolCall(call.name, call.arguments) for call in calls], question.tools)
    wanted: list[Wanted] = []
    for answer in question.possible_answer:
        for name, allowed in list(answer.items())[:1]:
            document = next((f for f in question.functions if f["name"] == name), question.functions[0])
            parameters = document["parameters"]
            if not isinstance(allowed, Mapping):  # one answer of the older files holds an argument by itself
                continue
            required = frozenset(parameters["required"])
            optional = frozenset(name for name, values in allowed.items() if "" in values) - required
            wanted.append(
                _Official(
                    document["name"],
                    parameters["properties"],
                    required,
                    allowed,
                    optional,
                    question.language,
                    document,
                    root,
                )
            )
    return wanted


# Diagnosis ----------------------------------------------------------------------------------------------


def diagnose(
    text: str,
    tools: Sequence[Tool],
    query: str = "",
    expected: Sequence[ToolCall] | None = None,
    format: str | Format = "json",
) -> tuple[Mistake, ...]:
    """The mistakes of an answer; none if it makes the expected calls, in any order.

    Parameters
    ----------
    text
        The model's output.
    tools
        What was on offer.
    query
        The user's words: tells a value that is not in them from one that is.
    expected
        The right calls; an empty list where no function fits. ``None`` if they are not known: then calls
        are only compared with the tools.
    format
        The output format that was asked for.
    """
    wanted = None if expected is None else _wanted_calls(expected, tools)
    return tuple(_diagnose(text, tools, query, wanted, format))


def diagnose_answer(
    text: str | None,
    question: Question,
    verdict: Verdict | None = None,
    format: str | Format = "json",
    root: Path | None = None,
) -> tuple[Mistake, ...]:
    """The mistakes of an answer to a BFCL question; none if and only if it is judged right.

    Parameters
    ----------
    text
        The model's output; ``None`` for a response that is missing.
    verdict
        That of :func:`xlam_lib.evaluate.bfcl.judge`; it is made here if it is not given, except that the
        calls of executable questions are compared with the right ones and not run.
    format, root
        As for :func:`xlam_lib.evaluate.bfcl.judge`.

    Notes
    -----
    Right means the strict verdict: prose in answer to an irrelevant question is no call, and a bad format.
    Where a verdict is wrong and the rules find nothing, the one mistake is ``unexplained``: the official
    checker takes parallel calls in order of the answer and may miss a match that exists.
    """
    if text is None:
        return (Mistake(EARLY_STOP, "no response", expected="an answer"),)
    if verdict is None and CATEGORIES[question.category].kind not in ("executable", "rest"):
        verdict = judge(text, question, format, root)
    if verdict is not None and verdict.strict:
        return ()
    mistakes = mistakes_of(text, question, format, root)
    if not mistakes and verdict is not None:
        return (Mistake(UNEXPLAINED, found=clipped(text)),)
    return mistakes


def mistakes_of(
    text: str, question: Question, format: str | Format = "json", root: Path | None = None
) -> tuple[Mistake, ...]:
    """What the rules find in an answer to a BFCL question, whatever its verdict."""
    wanted = _wanted_of(question, root)
    mistakes = _diagnose(text, question.tools, question.query, wanted, format)
    if wanted is None and not mistakes and not read_answer(text, format):
        mistakes = [Mistake(EARLY_STOP, "no calls", "tool_calls", "a call")]
    return tuple(mistakes)


def _diagnose(
    text: str, tools: Sequence[Tool], query: str, wanted: Sequence[Wanted] | None, format: str | Format
) -> list[Mistake]:
    try:
        calls = read_answer(text, format)
    except ParseError:
        return unreadable(text, format)
    if wanted is None:
        return structure_of(calls[:CALLS], tools) + _beyond(calls)
    if not calls and wanted:
        return [Mistake(EARLY_STOP, "no calls", "tool_calls", f"{len(wanted)} calls")]
    return _compared(calls[:CALLS], wanted, tools, query) + _beyond(calls)


def _beyond(calls: Sequence[ToolCall]) -> list[Mistake]:
    """Calls too many to be looked at one by one."""
    more = len(calls) - CALLS
    if more <= 0:
        return []
    return [Mistake(EXTRA_CALL, "a flood", f"tool_calls[{CALLS}:]", found=f"{more:,} more calls")]


_STRUCTURE = {
    UNDEFINED_ARGUMENT: (HALLUCINATED_ARGUMENT, "invented"),
    REQUIRED_MISSING: (MISSING_ARGUMENT, "required"),
    INCORRECT_TYPE: (WRONG_TYPE, ""),
}


def structure_of(calls: Sequence[ToolCall], tools: Sequence[Tool], under: str = "") -> list[Mistake]:
    """What can be told of calls by the tools alone; ``under`` is the path that they are below."""
    named = tools_by_name(tools)
    mistakes: list[Mistake] = []
    seen: set[Any] = set()
    for place, call in enumerate(calls):
        where = f"{under}.tool_calls[{place}]" if under else f"tool_calls[{place}]"
        key = canonical([call], tools)
        if key in seen:
            mistakes.append(Mistake(REPETITION, "call", where, found=shown(call.name)))
        seen.add(key)
        for error, path, message in check_call(call, named):
            if error == UNDEFINED_FUNCTION or (error == HALLUCINATED_NAME and path == "name"):
                mistakes.append(_hallucinated(call.name, named, where))
                continue
            if error == HALLUCINATED_NAME:
                kind, detail = HALLUCINATED_ARGUMENT, "near"
            else:
                kind, detail = _STRUCTURE.get(error, (WRONG_VALUE, "not a choice"))
            mistakes.append(Mistake(kind, detail, f"{where}.{clipped(path)}", found=clipped(message)))
    return mistakes


def _hallucinated(name: str, tools: Mapping[str, Tool], where: str, expected: str = "") -> Mistake:
    detail = "near" if len(name) <= 200 and near_names(name, tools) else "invented"
    return Mistake(HALLUCINATED_FUNCTION, detail, f"{where}.name", expected, shown(name))


# Calls beside the expected ones -------------------------------------------------------------------------


def _compared(
    calls: Sequence[ToolCall], wanted: Sequence[Wanted], tools: Sequence[Tool], query: str
) -> list[Mistake]:
    named = tools_by_name(tools)
    matched = _matched(calls, wanted, query)
    mistakes = [mistake for _, _, found in matched for mistake in found]
    taken = {place for place, _, _ in matched}
    left = [target for number, target in enumerate(wanted) if number not in {n for _, n, _ in matched}]
    seen = {canonical([calls[place]], tools) for place in taken}
    for place, call in enumerate(calls):
        if place in taken:
            continue
        where, key = f"tool_calls[{place}]", canonical([call], tools)
        if key in seen:
            mistakes.append(Mistake(REPETITION, "call", where, found=shown(call.name)))
            continue
        seen.add(key)
        if not wanted:
            mistakes.append(Mistake(NEEDLESS_CALL, "", where, "no call", shown(call.name)))
            if call.name not in named:
                mistakes.append(_hallucinated(call.name, named, where))
        elif call.name not in named:
            mistakes.append(_hallucinated(call.name, named, where, left.pop(0).name if left else ""))
        elif left:
            expected = shown(left.pop(0).name)
            mistakes.append(Mistake(WRONG_FUNCTION, "", f"{where}.name", expected, shown(call.name)))
        else:
            mistakes.append(Mistake(EXTRA_CALL, "", where, found=shown(call.name)))
    mistakes += [Mistake(MISSING_CALL, "", "tool_calls", shown(target.name)) for target in left]
    return mistakes


def _matched(
    calls: Sequence[ToolCall], wanted: Sequence[Wanted], query: str
) -> list[tuple[int, int, list[Mistake]]]:
    """Calls and expected calls of the same functions, paired so that the fewest mistakes are left.

    Each pair as the call's place, the expected one's, and the mistakes.
    """
    others = [[value for values in target.allowed.values() for value in values] for target in wanted]

    def mistakes(place: int, number: int) -> list[Mistake]:
        elsewhere = [value for at, values in enumerate(others) if at != number for value in values]
        return _arguments(calls[place], wanted[number], f"tool_calls[{place}]", elsewhere, query)

    pairs = [
        (place, number)
        for place, call in enumerate(calls)
        for number, target in enumerate(wanted)
        if call.name == target.name
    ]
    if len({place for place, _ in pairs}) == len(pairs) == len({number for _, number in pairs}):
        return [(place, number, mistakes(place, number)) for place, number in pairs]
    graph = nx.Graph()
    for place, number in pairs:
        cost = sum(
            bool(_kind(calls[place], wanted[number], argument))
            for argument in _named(calls[place], wanted[number])
        )
        # Among equally good pairs the first: whole numbers keep the comparison exact.
        graph.add_edge(("call", place), ("wanted", number), weight=-(cost * 10_000 + abs(place - number)))
    found = nx.max_weight_matching(graph, maxcardinality=True)
    chosen = sorted((a[1], b[1]) if a[0] == "call" else (b[1], a[1]) for a, b in found)
    return [(place, number, mistakes(place, number)) for place, number in chosen]


def _named(call: ToolCall, target: Wanted) -> list[str]:
    """The arguments that a call has or should have."""
    due = [name for name in (*target.required, *target.allowed) if name not in target.optional]
    return list(dict.fromkeys([*call.arguments, *sorted(due)]))


def _kind(call: ToolCall, target: Wanted, argument: str) -> str:
    """The kind of mistake in one argument, or nothing."""
    if argument in call.arguments:
        return target.fault(argument, call.arguments[argument])
    return MISSING_ARGUMENT


def _arguments(
    call: ToolCall, target: Wanted, where: str, elsewhere: Sequence[Any], query: str
) -> list[Mistake]:
    """The mistakes in a call's arguments."""
    mistakes: list[Mistake] = []
    missing = [name for name in _named(call, target) if name not in call.arguments]
    meant: set[str] = set()
    for name, value in call.arguments.items():
        kind = target.fault(name, value)
        if not kind:
            continue
        schema = target.schemas.get(name, {})
        right = [item for item in target.allowed.get(name, ()) if item != ""]
        if target.language != "python":
            right = [write_value(_first(item), schema, target.language) for item in right]
        detail = ""
        if kind == HALLUCINATED_ARGUMENT:
            near = near_names(name, missing) if len(name) <= 200 else []
            meant.update(near)
            detail = "near" if near else "invented"
        elif kind == WRONG_TYPE:
            detail = type_detail(value, schema, target.language)
        elif kind == WRONG_VALUE:
            rest = [item for other, values in target.allowed.items() if other != name for item in values]
            detail = value_detail(value, right, [*rest, *elsewhere], schema, query)
        expected = shown(_first(right[0])) if right else ""
        mistakes.append(Mistake(kind, detail, f"{where}.arguments.{clipped(name)}", expected, shown(value)))
    for name in missing:
        if name not in meant:  # an argument under a slip of its name is not missing as well
            detail = "required" if name in target.required else "asked for"
            right = [item for item in target.allowed.get(name, ()) if item != ""]
            expected = shown(_first(right[0])) if right else ""
            mistakes.append(Mistake(MISSING_ARGUMENT, detail, f"{where}.arguments.{clipped(name)}", expected))
    return mistakes


def _first(value: Any) -> Any:
    """A right value as one would write it: an allowed map holds a list of right values for each key."""
    if isinstance(value, dict) and all(isinstance(inner, list) and inner for inner in value.values()):
        return {
            key: next((v for v in inner if v != ""), "") for key, inner in value.items() if "" not in inner
        }
    if isinstance(value, list):
        return [_first(item) for item in value]
    return value
