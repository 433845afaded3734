"""What the template generator needs, derived from a tool alone: values to draw and sentences to ask with.

:func:`complete` gives a function its draws (by the schemas' enums, formats, bounds and patterns, by examples,
and by what the parameters are called) and templates made from the description's verb phrase. Everything is
deterministic, and a value is only ever drawn if it is valid under its schema.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from xlam_lib.schema import Tool
from xlam_lib.synthesis import values
from xlam_lib.synthesis.auto_phrases import templates_of
from xlam_lib.synthesis.auto_values import related_pairs, saying_of
from xlam_lib.synthesis.auto_words import Saying, Undrawable
from xlam_lib.synthesis.grammar import parse
from xlam_lib.synthesis.registry import Function, Registry, joint_of

Examples = Mapping[str, Sequence[Any]]


def complete(function: Function, *, examples: Examples | None = None) -> Function:
    """The function with what query templates need; hand-written draws and templates are kept.

    A function with a required parameter that cannot be drawn gets no templates: :func:`obstacle` says why.

    Parameters
    ----------
    examples
        Parameter to values that its service knows; only these are drawn.
    """
    tool = _described(function.tool)
    if function.asks:
        return replace(function, tool=tool)
    sayings, _ = _sayings(function, examples or {})
    draws = dict(function.draws)
    joint = dict(function.joint)
    drawn = {part for key in draws for part in key.split(",")}
    free = {name: said for name, said in sayings.items() if name not in drawn}
    for first, second, ordered in related_pairs(tool, free):
        both = values.rising if ordered else values.pair
        draws[f"{first},{second}"] = both(free[first].draw)
        del free[first], free[second]
    draws |= {name: said.draw for name, said in free.items()}
    joint |= joint_of(draws)
    required = [name for name, schema in tool.parameters.items() if schema.get("required") is True]
    if any(name not in sayings for name in required):
        return replace(function, tool=tool, draws=draws, joint=joint)
    asks, missing = templates_of(tool, sayings, required)
    return replace(
        function,
        tool=tool,
        draws=draws,
        joint=joint,
        asks=tuple(map(parse, asks)),
        missing=function.missing or tuple(map(parse, missing)),
    )


def obstacle(function: Function) -> str:
    """Why no query can ask for a completed function, or an empty text."""
    if function.asks:
        return ""
    parameters = function.tool.parameters
    faults = _sayings(function, {})[1]
    told = [f"{name}: {fault}" for name, fault in faults.items() if parameters[name].get("required") is True]
    return "no value can be drawn for " + "; ".join(told) if told else "has no query templates"


def report_obstacles(registry: Registry) -> Registry:
    """The registry, its ``skipped`` saying also which functions are offered but never asked for, and why."""
    for name, function in registry.functions.items():
        reason = obstacle(function)
        if reason:
            registry.skipped[name] = f"offered, but never asked for: {reason}"
    return registry


def _described(tool: Tool) -> Tool:
    """The tool with a description, if an empty one, for every parameter."""
    parameters = {name: {"description": "", **schema} for name, schema in tool.parameters.items()}
    return Tool(tool.name, tool.description, parameters)


def _sayings(function: Function, examples: Examples) -> tuple[dict[str, Saying], dict[str, str]]:
    """How each parameter is drawn; and those that cannot be, with the reason."""
    written = {part for key in function.draws for part in key.split(",")}
    sayings: dict[str, Saying] = {}
    faults: dict[str, str] = {}
    for name, schema in function.tool.parameters.items():
        if name in written:
            sayings[name] = Saying(function.draws.get(name, lambda _: ("", "")), "named")
            continue
        try:
            sayings[name] = saying_of(name, schema, examples.get(name), function.call is not None)
        except Undrawable as fault:
            faults[name] = str(fault)
    return sayings, faults
