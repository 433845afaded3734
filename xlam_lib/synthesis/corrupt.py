"""Planted errors, so that the checks themselves can be checked (and for the ablation on bad data).

:data:`EXPECTED` says for each kind of error in an answer which check must find it,
:data:`RESULT_EXPECTED` the same for errors in results. Most kinds after the first eight pass format and
execution, so that only the semantic check can find them. A value can also be one that the function refuses
(:data:`REFUSABLE`); then the execution check, which comes first, finds it.
"""

from __future__ import annotations

import datetime
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from xlam_lib.schema import Tool
from xlam_lib.synthesis.execute import Outcome
from xlam_lib.synthesis.grammar import render, text_of
from xlam_lib.synthesis.registry import Function
from xlam_lib.synthesis.samples import Sample

if TYPE_CHECKING:
    from xlam_lib.synthesis.semantic import Case

EXPECTED = {
    "bad JSON": "format",
    "unknown function": "format",
    "missing required": "format",
    "unknown argument": "format",
    "wrong type": "format",
    "bad value": "execution",
    "time-out": "execution",
    "crash": "execution",
    "wrong value": "semantic",
    "dropped call": "semantic",
    "needless call": "semantic",
    "another tool": "semantic",
    "swapped values": "semantic",
    "wrong enum value": "semantic",
    "wrong string value": "semantic",
    "wrong date": "semantic",
    "dropped optional": "semantic",
    "invented optional": "semantic",
    "extra call": "semantic",
    "repeated call": "semantic",
    "refused": "semantic",
    "wrong query": "semantic",
}
"""Each kind of error in an answer, and the check that must find it. ``wrong value`` is a wrong number."""
KINDS = tuple(EXPECTED)
REFUSABLE = ("wrong value", "swapped values", "wrong enum value", "wrong string value", "wrong date")
"""Kinds whose new value the function may refuse."""
SEMANTIC_KINDS = tuple(kind for kind, stage in EXPECTED.items() if stage == "semantic")
RESULT_EXPECTED = {"empty result": "semantic", "error result": "semantic", "unrelated result": "semantic"}
"""Each kind of error in a result, planted by :func:`plant_result`."""
RESULT_KINDS = tuple(RESULT_EXPECTED)
_TRIES = 12  # draws until one differs


def plant(sample: Sample, kind: str, rng: random.Random, functions: Mapping[str, Function]) -> Sample:
    """A copy of the sample with an error of that kind, or the sample itself where the kind has no place.

    A time-out and a crash are the service's: the call stays right, and what it is routed to fails.
    """
    if kind in _MEANINGS:
        scene = _Scene(sample, msgspec.json.decode(sample.answer)["answers"], rng, functions, sample.query)
        if not _MEANINGS[kind](scene):
            return sample
        text = msgspec.json.encode({"query": scene.query, "answers": scene.calls}).decode()
        return msgspec.structs.replace(sample, query=scene.query, answer=text, planted=kind)
    answer = msgspec.json.decode(sample.answer)
    calls = answer["answers"]
    names = dict(sample.names)
    if not calls and kind != "bad JSON":
        return sample
    call = calls[rng.randrange(len(calls))] if calls else {}
    tool = next((tool for tool in sample.tools if tool.name == call.get("name")), None)
    text: str | None = None
    if kind == "bad JSON":
        full = msgspec.json.encode(answer).decode()
        text = full[: rng.randint(len(full) // 2, len(full) - 1)]
    elif kind == "unknown function":
        call["name"] += rng.choice(("_new", "_all", "2"))
    elif tool is None:
        return sample
    elif kind == "missing required":
        required = [name for name in call["arguments"] if tool.parameters[name]["required"]]
        if not required:
            return sample
        del call["arguments"][rng.choice(required)]
    elif kind == "unknown argument":
        call["arguments"]["verbose_mode_flag"] = True
    elif kind == "wrong type":
        name = rng.choice(list(call["arguments"]))
        value = call["arguments"][name]
        call["arguments"][name] = str(value) if not isinstance(value, str) else [value]
    elif kind == "bad value":
        function = functions[names.get(tool.name, tool.name)]
        if not function.bad:
            return sample
        real, value = function.bad
        back = {real: shown for shown, real in sample.parameters.get(tool.name, {}).items()}
        call["arguments"][back.get(real, real)] = value
    elif kind in ("time-out", "crash"):
        # Keep the way back for every other tool; only this one is routed to a broken service.
        names = {tool.name: tool.name for tool in sample.tools} | names
        names[tool.name] = "fault.stall" if kind == "time-out" else "fault.crash"
    if text is None:
        text = msgspec.json.encode(answer).decode()
    return msgspec.structs.replace(sample, answer=text, names=names, planted=kind)


# Errors of meaning ----------------------------------------------------------------------------------------


@dataclass
class _Scene:
    """A sample's query and calls while an error is planted in them."""

    sample: Sample
    calls: list[dict[str, Any]]
    rng: random.Random
    functions: Mapping[str, Function]
    query: str

    def one_call(self) -> dict[str, Any]:
        return self.calls[self.rng.randrange(len(self.calls))]

    def tool(self, call: Mapping[str, Any]) -> Tool:
        return next(tool for tool in self.sample.tools if tool.name == call["name"])

    def function(self, tool: Tool) -> Function:
        return self.functions[self.sample.names.get(tool.name, tool.name)]

    def drawn(self, tool: Tool) -> dict[str, Any]:
        """A value of each parameter that has a draw, by shown name."""
        forth = {real: shown for shown, real in self.sample.parameters.get(tool.name, {}).items()}
        values: dict[str, Any] = {}
        for key, draw in self.function(tool).draws.items():
            value = draw(self.rng)[0]
            values |= dict(zip(key.split(","), value, strict=True)) if "," in key else {key: value}
        return {forth.get(name, name): value for name, value in values.items()}

    def call_of(self, tool: Tool) -> dict[str, Any] | None:
        """A call with drawn values for what the tool requires; None where a draw is lacking."""
        drawn = self.drawn(tool)
        required = [name for name, schema in tool.parameters.items() if schema["required"]]
        if not all(name in drawn for name in required):
            return None
        return {"name": tool.name, "arguments": {name: drawn[name] for name in required}}

    def place(self, fits: Callable[[dict[str, Any], str], bool]) -> tuple[dict[str, Any], str] | None:
        """A call and an argument of it for which ``fits`` holds, or None."""
        places = [(call, name) for call in self.calls for name in call["arguments"] if fits(call, name)]
        return self.rng.choice(places) if places else None

    def schema(self, call: Mapping[str, Any], name: str) -> Mapping[str, Any]:
        return self.tool(call).parameters[name]


def _wrong_value(scene: _Scene) -> bool:
    def fits(call: dict[str, Any], name: str) -> bool:
        value = call["arguments"][name]
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return number and "enum" not in scene.schema(call, name)

    found = scene.place(fits)
    if found is None:
        return False
    call, name = found
    call["arguments"][name] += scene.rng.choice((1, 2, 10))
    return True


def _dropped_call(scene: _Scene) -> bool:
    if len(scene.calls) < 2:
        return False
    scene.calls.remove(scene.one_call())
    return True


def _needless_call(scene: _Scene) -> bool:
    call = scene.call_of(scene.sample.tools[0]) if not scene.calls and scene.sample.tools else None
    scene.calls += [call] if call else []
    return call is not None


def _another_tool(scene: _Scene) -> bool:
    called = {call["name"] for call in scene.calls}
    others = [tool for tool in scene.sample.tools if tool.name not in called]
    call = scene.call_of(scene.rng.choice(others)) if others and scene.calls else None
    if call is None:
        return False
    scene.calls[scene.rng.randrange(len(scene.calls))] = call
    return True


def _swapped_values(scene: _Scene) -> bool:
    """Two texts that are no dates, two dates, or two numbers of one type, exchanged within a call."""
    places = []
    for call in scene.calls:
        arguments = call["arguments"]
        plain = [
            name
            for name, value in arguments.items()
            if isinstance(value, (str, int, float))
            and not isinstance(value, bool)
            and "enum" not in scene.schema(call, name)
        ]
        for i, left in enumerate(plain):
            for right in plain[i + 1 :]:
                one, two = arguments[left], arguments[right]
                alike = scene.schema(call, left).get("type") == scene.schema(call, right).get("type")
                if alike and one != two and _shape(one) == _shape(two):
                    places.append((arguments, left, right))
    if not places:
        return False
    arguments, left, right = scene.rng.choice(places)
    arguments[left], arguments[right] = arguments[right], arguments[left]
    return True


_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_CLOCK = re.compile(r"\d\d:\d\d")


def _shape(value: Any) -> str:
    if not isinstance(value, str):
        return "number"
    return "date" if _DATE.fullmatch(value) else "time" if _CLOCK.fullmatch(value) else "text"


def _wrong_enum_value(scene: _Scene) -> bool:
    found = scene.place(lambda call, name: len(scene.schema(call, name).get("enum", ())) > 1)
    if found is None:
        return False
    call, name = found
    choices = [choice for choice in scene.schema(call, name)["enum"] if choice != call["arguments"][name]]
    call["arguments"][name] = scene.rng.choice(choices)
    return True


def _wrong_string_value(scene: _Scene) -> bool:
    """Another text of the same draw, which the query does not say."""

    def fits(call: dict[str, Any], name: str) -> bool:
        value = call["arguments"][name]
        return isinstance(value, str) and "enum" not in scene.schema(call, name) and _shape(value) == "text"

    found = scene.place(fits)
    if found is None:
        return False
    call, name = found
    for _ in range(_TRIES):
        value = scene.drawn(scene.tool(call)).get(name)
        if isinstance(value, str) and value.casefold() not in scene.query.casefold():
            call["arguments"][name] = value
            return True
    return False


def _wrong_date(scene: _Scene) -> bool:
    found = scene.place(lambda call, name: _shape(call["arguments"][name]) == "date")
    if found is None:
        return False
    call, name = found
    days = scene.rng.choice((1, 2, 7, 30, 365))
    day = datetime.date.fromisoformat(call["arguments"][name]) + datetime.timedelta(days=days)
    call["arguments"][name] = day.isoformat()
    return True


def _dropped_optional(scene: _Scene) -> bool:
    """An optional argument left out, unless it is the default anyway."""

    def fits(call: dict[str, Any], name: str) -> bool:
        schema = scene.schema(call, name)
        return not schema["required"] and schema.get("default", ...) != call["arguments"][name]

    found = scene.place(fits)
    if found is None:
        return False
    call, name = found
    del call["arguments"][name]
    return True


def _invented_optional(scene: _Scene) -> bool:
    """An optional argument that the query does not mention, with another value than the default."""
    places = []
    for call in scene.calls:
        tool = scene.tool(call)
        drawn = scene.drawn(tool)
        for name, schema in tool.parameters.items():
            told = name in call["arguments"] or schema["required"]
            if not told and name in drawn and drawn[name] != schema.get("default"):
                places.append((call, name, drawn[name]))
    if not places:
        return False
    call, name, value = scene.rng.choice(places)
    call["arguments"][name] = value
    return True


def _extra_call(scene: _Scene) -> bool:
    call = scene.call_of(scene.rng.choice(scene.sample.tools)) if scene.calls else None
    if call is None or call in scene.calls:
        return False
    scene.calls.append(call)
    return True


def _repeated_call(scene: _Scene) -> bool:
    if not scene.calls:
        return False
    scene.calls.append(scene.one_call())
    return True


def _refused(scene: _Scene) -> bool:
    refused = bool(scene.calls)
    scene.calls.clear()
    return refused


def _wrong_query(scene: _Scene) -> bool:
    """The query of other calls of the category, which does not say this sample's values."""
    slots = scene.sample.slots or []
    if not scene.calls or not slots:
        return False
    near = [f for f in scene.functions.values() if f.category == scene.sample.category and f.asks]
    for _ in range(_TRIES if near else 0):
        function = scene.rng.choice(near)
        done = render(scene.rng.choice(function.asks), function.draws, function.joint, scene.rng)
        query = text_of(done.pieces).strip()
        if any(slot.text not in query for slot in slots):
            scene.query = query
            return True
    return False


_MEANINGS: dict[str, Callable[[_Scene], bool]] = {
    "wrong value": _wrong_value,
    "dropped call": _dropped_call,
    "needless call": _needless_call,
    "another tool": _another_tool,
    "swapped values": _swapped_values,
    "wrong enum value": _wrong_enum_value,
    "wrong string value": _wrong_string_value,
    "wrong date": _wrong_date,
    "dropped optional": _dropped_optional,
    "invented optional": _invented_optional,
    "extra call": _extra_call,
    "repeated call": _repeated_call,
    "refused": _refused,
    "wrong query": _wrong_query,
}


# Errors in results ----------------------------------------------------------------------------------------

_ERRORS: tuple[Any, ...] = (
    {"error": "the service is not available"},
    {"status": 404, "message": "not found"},
    {"success": False, "message": "quota exceeded"},
    {"errors": ["invalid request"]},
    "Error: upstream request failed",
)


def plant_result(
    case: Case, kind: str, rng: random.Random, donors: Sequence[tuple[str, Outcome]]
) -> Case | None:
    """A copy of the case with one result replaced, or None where the kind has no place.

    Parameters
    ----------
    donors
        Results of other calls with the names of the functions that gave them, for ``unrelated result``.
    """
    if not case.outcomes:
        return None
    place = rng.randrange(len(case.outcomes))
    old = case.outcomes[place]
    if kind == "empty result":
        same: Any = type(old.ok)() if isinstance(old.ok, (str, list, dict)) else None
        new = Outcome(ok=rng.choice((None, same)))
    elif kind == "error result":
        new = Outcome(ok=rng.choice(_ERRORS))
    else:
        name = case.calls[place].name
        name = case.sample.names.get(name, name)
        # Texts and objects only: of a number nobody could tell that it is another function's.
        others = [o for giver, o in donors if giver != name and isinstance(o.ok, (str, dict, list)) and o.ok]
        if not others:
            return None
        new = rng.choice(others)
    if new.ok == old.ok:
        return None
    outcomes = [*case.outcomes[:place], new, *case.outcomes[place + 1 :]]
    sample = msgspec.structs.replace(case.sample, planted=kind)
    return case._replace(sample=sample, outcomes=outcomes)
