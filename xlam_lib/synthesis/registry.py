"""The API library's registry: a typed, documented Python function becomes a :class:`Tool`.

One mechanism for all: types come from the signature (``Literal`` -> enum, ``list[float]`` -> array,
``TypedDict`` -> nested object, a default -> optional), descriptions from the docstring, whose first
paragraph describes the function and whose lines ``name: text`` describe the parameters.
"""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from xlam_lib.errors import SchemaError
from xlam_lib.schema import Tool
from xlam_lib.synthesis.grammar import Draw, Template, parse

REPORT_CATEGORIES = (
    "Finance", "Data", "Sports", "Travel", "Technology", "Social", "Media", "Entertainment", "Tools",
    "Math", "Business", "Gaming", "Music", "Commerce", "Environment", "Education", "Communication",
    "Lifestyle", "Health", "Other", "Science",
)  # fmt: skip
"""The 21 categories of APIGen's API library, largest share first."""

_SCALARS = {str: "string", int: "integer", float: "number", bool: "boolean"}
_LINE = re.compile(r"^(\w+): (.+)$")


@dataclass(frozen=True)
class Function:
    """One executable function and what is needed to write queries for it.

    Attributes
    ----------
    name, category, tool
        The tool's name (may be dotted), its category and the tool derived from the code.
    call
        The Python function; it is run in worker processes only.
    draws, joint
        Slot to its draw, and slot to the key ``a,b`` of slots drawn together.
    asks
        Query templates; each names every required parameter outside ``[...]``.
    missing
        Templates that leave a required parameter out, so no call can be made.
    bad
        A parameter and a well-typed value for which the function raises.
    kin
        Functions of one kin could answer each other's queries and are never offered together.
    needs
        Modules that the function imports when it is called; a worker imports them before its first call.
    """

    name: str
    category: str
    tool: Tool
    call: Callable[..., Any]
    draws: Mapping[str, Draw] = field(default_factory=dict)
    joint: Mapping[str, str] = field(default_factory=dict)
    asks: tuple[Template, ...] = ()
    missing: tuple[Template, ...] = ()
    bad: tuple[str, Any] | None = None
    kin: str = ""
    needs: tuple[str, ...] = ()


class Registry:
    """Functions by name. ``registry.api(...)`` is the decorator that adds one.

    ``hidden`` functions can be run but are never offered (the planted faults use them).
    """

    def __init__(self) -> None:
        self.functions: dict[str, Function] = {}
        self.hidden: dict[str, Function] = {}

    def api(
        self,
        category: str,
        name: str = "",
        *,
        slots: Mapping[str, Draw] | None = None,
        asks: Sequence[str] = (),
        missing: Sequence[str] = (),
        bad: tuple[str, Any] | None = None,
        kin: str = "",
        needs: Sequence[str] = (),
        hidden: bool = False,
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Register the decorated function; parameters as in :class:`Function`.

        Raises
        ------
        SchemaError
            A type or description that cannot be derived, a template whose slots do not fit the
            function, or a name taken already.
        """

        def register(call: Callable[..., Any]) -> Callable[..., Any]:
            tool = tool_of(call, name)
            draws = dict(slots or {})
            joint = {part: key for key in draws if "," in key for part in key.split(",")}
            function = Function(
                tool.name,
                category,
                tool,
                call,
                draws,
                joint,
                tuple(map(parse, asks)),
                tuple(map(parse, missing)),
                bad,
                kin,
                tuple(needs),
            )
            _check(function)
            if tool.name in self.functions or tool.name in self.hidden:
                raise SchemaError(f"function {tool.name!r}: the name is taken; choose another")
            (self.hidden if hidden else self.functions)[tool.name] = function
            return call

        return register

    def find(self, name: str) -> Function | None:
        """The function of that name, hidden ones included, or None."""
        return self.functions.get(name) or self.hidden.get(name)


def _check(function: Function) -> None:
    parameters = function.tool.parameters
    required = {name for name, schema in parameters.items() if schema["required"]}
    drawn = {part for key in function.draws for part in key.split(",")}
    where = f"function {function.name!r}"
    if drawn - parameters.keys():
        raise SchemaError(f"{where}: slots {sorted(drawn - parameters.keys())} are no parameters of it")
    for template in (*function.asks, *function.missing):
        if template.slots - drawn:
            raise SchemaError(
                f"{where}: {template.source!r} has slots without values {template.slots - drawn}"
            )
    for template in function.asks:
        if required - template.certain:
            raise SchemaError(f"{where}: {template.source!r} lacks {sorted(required - template.certain)}")
    for template in function.missing:
        if required <= template.slots:
            raise SchemaError(f"{where}: {template.source!r} should leave a required parameter out")
    if function.bad and function.bad[0] not in parameters:
        raise SchemaError(f"{where}: the bad value is for {function.bad[0]!r}, which is no parameter of it")


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


def value_fault(value: Any, schema: Mapping[str, Any], path: str) -> tuple[str, str] | None:
    """What is wrong with a JSON value under a schema, as (reason, detail), or None; any depth."""
    kind = schema.get("type")
    inner: Any = value
    if kind == "string":
        fits = isinstance(value, str)
    elif kind == "integer":
        fits = isinstance(value, int) and not isinstance(value, bool)
    elif kind == "number":
        fits = isinstance(value, (int, float)) and not isinstance(value, bool)
    elif kind == "boolean":
        fits = isinstance(value, bool)
    elif kind == "array":
        fits = isinstance(value, list)
    elif kind == "object":
        fits = isinstance(value, dict)
    else:
        fits = True
    if not fits:
        return "incorrect argument type", f"{path}: {value!r} is not of type {kind}"
    if "enum" in schema and value not in schema["enum"]:
        return "value outside the enum", f"{path}: {value!r} is not one of {schema['enum']}"
    if kind == "array" and isinstance(schema.get("items"), dict):
        for index, item in enumerate(inner):
            fault = value_fault(item, schema["items"], f"{path}[{index}]")
            if fault:
                return fault
    elif kind == "object" and "properties" in schema:
        return arguments_fault(inner, schema["properties"], path)
    elif kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        for key, item in inner.items():
            fault = value_fault(item, schema["additionalProperties"], f"{path}.{key}")
            if fault:
                return fault
    return None


def arguments_fault(
    arguments: Mapping[str, Any], parameters: Mapping[str, Mapping[str, Any]], path: str
) -> tuple[str, str] | None:
    """What is wrong with a call's arguments under a flat parameter map, or None."""
    for name in arguments:
        if name not in parameters:
            return "undefined argument passed", f"{path}.{name}: not among {sorted(parameters)}"
    for name, schema in parameters.items():
        if name in arguments:
            fault = value_fault(arguments[name], schema, f"{path}.{name}")
            if fault:
                return fault
        elif schema.get("required") is True:
            return "required argument missing", f"{path}.{name}: is required"
    return None
