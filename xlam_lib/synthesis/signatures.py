"""A typed, documented Python callable becomes a :class:`~xlam_lib.schema.Tool`.

Types come from the signature (``Literal`` -> enum, ``list[float]`` -> array, ``TypedDict`` -> nested object,
a default -> optional), descriptions from the docstring, whose first paragraph describes the function and
whose lines ``name: text`` describe the parameters.
"""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Callable
from typing import Any

from xlam_lib.errors import SchemaError
from xlam_lib.schema import Tool

_SCALARS = {str: "string", int: "integer", float: "number", bool: "boolean"}
_LINE = re.compile(r"^(\w+): (.+)$")


def tool_of(call: Callable[..., Any], name: str = "") -> Tool:
    """The tool of a Python function, from its signature, type hints and docstring.

    Raises
    ------
    SchemaError
        A parameter without type or description, or a type JSON Schema has no counterpart for.
    """
    name = name or call.__name__
    summary, descriptions = _docstring(call)
    hints = typing.get_type_hints(call)
    parameters: dict[str, dict[str, Any]] = {}
    for parameter in inspect.signature(call).parameters.values():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            continue  # a hidden function that takes whatever it is sent
        where = f"function {name!r}, parameter {parameter.name!r}"
        if parameter.name not in hints:
            raise SchemaError(f"{where}: has no type; annotate it")
        if parameter.name not in descriptions:
            raise SchemaError(f"{where}: has no description; add '{parameter.name}: ...' to the docstring")
        schema = _schema(hints[parameter.name], where)
        schema["description"] = descriptions[parameter.name]
        schema["required"] = parameter.default is inspect.Parameter.empty
        if not schema["required"] and parameter.default is not None:
            schema["default"] = parameter.default
        parameters[parameter.name] = schema
    return Tool(name, summary, parameters)


def _docstring(item: Any) -> tuple[str, dict[str, str]]:
    summary: list[str] = []
    descriptions: dict[str, str] = {}
    last = ""
    body = False
    for line in (inspect.getdoc(item) or "").splitlines():
        match = _LINE.match(line.strip()) if body else None
        if not line.strip():
            body = True
        elif match:
            last = match[1]
            descriptions[last] = match[2]
        elif body and last:
            descriptions[last] += " " + line.strip()
        else:
            summary.append(line.strip())
    return " ".join(summary), descriptions


def _schema(kind: Any, where: str) -> dict[str, Any]:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind in _SCALARS:
        return {"type": _SCALARS[kind]}
    if origin is typing.Literal:
        return {"type": _SCALARS[type(arguments[0])], "enum": list(arguments)}
    if origin is list:
        return {"type": "array", "items": _schema(arguments[0], where)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema(arguments[1], where)}
    if origin in (types.UnionType, typing.Union):
        kinds = [argument for argument in arguments if argument is not type(None)]
        if len(kinds) == 1:
            return _schema(kinds[0], where)
    if typing.is_typeddict(kind):
        descriptions = _docstring(kind)[1]
        properties = {}
        # Not __required_keys__: it is wrong where annotations are strings.
        for name, child in typing.get_type_hints(kind, include_extras=True).items():
            optional = typing.get_origin(child) is typing.NotRequired
            properties[name] = {
                **_schema(typing.get_args(child)[0] if optional else child, where),
                "description": descriptions.get(name, ""),
                "required": not optional,
            }
        return {"type": "object", "properties": properties}
    raise SchemaError(f"{where}: type {kind!r} has no counterpart in JSON Schema; use a simpler one")
