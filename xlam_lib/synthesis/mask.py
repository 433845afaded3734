"""Masking: tools and parameters are renamed, so that a model has to read the descriptions (as Hammer does).

Two ways: ``style`` changes words and writing (``get_stock_quote`` -> ``finance.fetchStockQuote``), and
``neutral`` takes the meaning away (``function_3``, ``arg2``). The way back is kept with the sample.
"""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass

from xlam_lib.schema import Tool

MASKS = ("style", "neutral")

_SYNONYMS = {
    "get": ("fetch", "retrieve", "lookup", "obtain"),
    "find": ("search", "locate", "lookup"),
    "calculate": ("compute", "determine", "calc"),
    "compute": ("calculate", "determine", "eval"),
    "convert": ("transform", "change", "translate"),
    "create": ("make", "new", "generate", "add"),
    "search": ("find", "query", "lookup"),
    "list": ("show", "get", "enumerate"),
    "add": ("insert", "create", "put"),
    "send": ("dispatch", "deliver", "submit"),
    "set": ("update", "configure", "assign"),
    "check": ("verify", "inspect"),
    "estimate": ("predict", "approximate", "calculate"),
    "book": ("reserve", "order"),
    "plan": ("schedule", "arrange"),
    "schedule": ("plan", "arrange"),
    "recommend": ("suggest", "propose"),
    "summarize": ("describe", "condense"),
    "forecast": ("predict", "project"),
    "city": ("city_name", "town", "location"),
    "amount": ("value", "sum", "quantity"),
    "start": ("begin", "from", "first"),
    "end": ("finish", "to", "last"),
    "number": ("num", "value"),
    "name": ("full_name", "label"),
    "text": ("content", "input_text", "string"),
    "values": ("data", "numbers", "series"),
    "date": ("day", "on_date", "calendar_date"),
    "unit": ("units", "measure_unit"),
    "limit": ("max_results", "top_n"),
    "source": ("origin", "from"),
    "target": ("destination", "to"),
    "kind": ("type", "category"),
    "distance": ("length", "dist"),
    "weight": ("mass",),
    "price": ("cost", "price_value"),
    "message": ("body", "text"),
}
_SUFFIXES = ("", "", "", "", "_tool", "_v2", "_api", "_func", "_info")
_PREFIXES = ("api", "tools", "service", "utils", "my_app", "lib")
_NEUTRAL = ("function", "func", "tool", "api", "method", "action", "op", "f")
_NEUTRAL_PARAMETERS = ("arg", "param", "p", "x", "input", "parameter_", "field")


@dataclass(frozen=True)
class Masked:
    """Renamed tools; shown name to executable name, and per shown name the parameters' way back."""

    tools: list[Tool]
    names: dict[str, str]
    parameters: dict[str, dict[str, str]]


def dress(tool: Tool, rng: random.Random) -> Tool:
    """The tool as another provider might document it: defaults and enums told in the descriptions.

    Defaults may stand in the description, in the schema or in both; what a call may say is unchanged.
    """
    told, kept = rng.choice(((True, True), (True, False), (False, False)))
    phrase = rng.choice(("Default is {}.", "Defaults to {}.", "(default: {})", "Optional, {} by default."))
    listed = rng.random() < 0.4
    schemas = {}
    for name, schema in tool.parameters.items():
        changed = dict(schema)
        text = changed["description"]
        if listed and "enum" in changed:
            text += " One of: " + ", ".join(map(str, changed["enum"])) + "."
        if "default" in changed:
            if told:
                text += " " + phrase.format(json.dumps(changed["default"]))
            if not kept:
                del changed["default"]
        changed["description"] = text
        schemas[name] = changed
    return Tool(tool.name, tool.description, schemas)


def words_of(name: str) -> list[str]:
    """The words of an identifier, dotted, snake or camel."""
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", name)]


def mask(tools: list[Tool], way: str, rng: random.Random) -> Masked:
    """Rename all offered tools and their parameters.

    Parameters
    ----------
    way
        ``style`` or ``neutral``.
    """
    shown: list[Tool] = []
    names: dict[str, str] = {}
    parameters: dict[str, dict[str, str]] = {}
    case = rng.choice(("snake", "snake", "camel", "dotted", "pascal"))
    base = rng.choice(_NEUTRAL)
    parameter_base = rng.choice(_NEUTRAL_PARAMETERS)
    numbers = rng.sample(range(1, 60), len(tools))
    for tool, number in zip(tools, numbers, strict=True):
        if way == "neutral":
            name = (
                f"{base}_{number}"
                if rng.random() < 0.6 or len(base) < 3
                else f"{base}{chr(64 + 1 + number % 26)}"
            )
        else:
            name = _restyled(tool.name, case, rng)
        while name in names:
            name += "_alt"
        back: dict[str, str] = {}
        schemas = {}
        for index, (parameter, schema) in enumerate(tool.parameters.items(), 1):
            new = (
                f"{parameter_base}{index}" if way == "neutral" else _restyled_parameter(parameter, case, rng)
            )
            if new in back or (new != parameter and new in tool.parameters):
                new = parameter if parameter not in back else f"{parameter}_{index}"
            back[new] = parameter
            schemas[new] = schema
        names[name], parameters[name] = tool.name, back
        shown.append(Tool(name, tool.description, schemas))
    return Masked(shown, names, parameters)


def _cased(words: list[str], case: str) -> str:
    if case == "camel":
        return words[0] + "".join(word.capitalize() for word in words[1:])
    if case == "pascal":
        return "".join(word.capitalize() for word in words)
    return "_".join(words)


def _swapped(words: list[str], rng: random.Random, chance: float) -> list[str]:
    result: list[str] = []
    for word in words:
        if word in _SYNONYMS and rng.random() < chance:
            result += rng.choice(_SYNONYMS[word]).split("_")
        else:
            result.append(word)
    return result


def _restyled(name: str, case: str, rng: random.Random) -> str:
    module, _, function = name.rpartition(".")
    words = _swapped(words_of(function), rng, 0.6)
    if case == "dotted":
        return f"{module or rng.choice(_PREFIXES)}.{_cased(words, rng.choice(('snake', 'camel')))}"
    if module and rng.random() < 0.5:
        words = words_of(module) + words
    return _cased(words, case) + (rng.choice(_SUFFIXES) if case == "snake" else "")


def _restyled_parameter(name: str, case: str, rng: random.Random) -> str:
    words = _swapped(words_of(name), rng, 0.35)
    return _cased(words, "camel" if case in ("camel", "pascal") else "snake")
