"""Planted errors, so that the checks themselves can be checked (and for the ablation on bad data).

:data:`EXPECTED` says for each kind which check must find it. (A wrong value can also be one that the
function refuses; then the execution check, which comes first, finds it.)
"""

from __future__ import annotations

import random
from collections.abc import Mapping

import msgspec

from xlam_lib.synthesis.registry import Function
from xlam_lib.synthesis.samples import Sample

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
}
KINDS = tuple(EXPECTED)


def plant(sample: Sample, kind: str, rng: random.Random, functions: Mapping[str, Function]) -> Sample:
    """A copy of the sample with an error of that kind, or the sample itself where the kind has no place.

    A time-out and a crash are the service's: the call stays right, and what it is routed to fails.
    """
    answer = msgspec.json.decode(sample.answer)
    calls = answer["answers"]
    names = dict(sample.names)
    if kind == "needless call":
        target = next((tool for tool in sample.tools if not calls), None)
        if target is None:
            return sample
        function = functions[names.get(target.name, target.name)]
        back = {real: shown for shown, real in sample.parameters.get(target.name, {}).items()}
        drawn = {}
        for key, draw in function.draws.items():
            value = draw(rng)[0]
            drawn |= dict(zip(key.split(","), value, strict=True)) if "," in key else {key: value}
        arguments = {
            back.get(name, name): drawn[name]
            for name, schema in function.tool.parameters.items()
            if schema["required"] and name in drawn
        }
        calls.append({"name": target.name, "arguments": arguments})
    elif not calls and kind != "bad JSON":
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
    elif kind == "wrong value":
        changeable = [
            n
            for n, v in call["arguments"].items()
            if isinstance(v, (int, float)) and "enum" not in tool.parameters[n] and not isinstance(v, bool)
        ]
        if not changeable:
            return sample
        name = rng.choice(changeable)
        call["arguments"][name] += rng.choice((1, 2, 10))
    elif kind == "dropped call":
        if len(calls) < 2:
            return sample
        calls.remove(call)
    if text is None:
        text = msgspec.json.encode(answer).decode()
    return msgspec.structs.replace(sample, answer=text, names=names, planted=kind)
