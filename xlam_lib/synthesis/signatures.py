"""A typed, documented Python callable becomes a :class:`~xlam_lib.schema.Tool`.

Types come from the signature (``Literal`` -> enum, ``list[float]`` -> array, dataclass -> nested object, a
default -> optional), descriptions from the docstring: its first paragraph describes the function, and the
parameters are described by lines ``name: text`` or in Google, NumPy, Sphinx or Epydoc style.

What JSON has no type for is a string with a ``format`` (``date``, ``uuid``, ...), and an ``Enum`` is its
values where they are strings, else its members' names. :func:`runnable` converts both ways, so that a call's
JSON arguments reach the function as the types it asks for.
"""

from __future__ import annotations

import asyncio
import collections.abc
import dataclasses
import datetime
import decimal
import enum
import functools
import inspect
import math
import pathlib
import re
import time
import types
import typing
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xlam_lib.errors import SchemaError
from xlam_lib.schema import Tool, flat_parameters, type_matches

Decode = Callable[[Any], Any]

_SCALARS = {str: "string", int: "integer", float: "number", bool: "boolean"}
_TEXTS: dict[type, tuple[str, Decode]] = {
    datetime.datetime: ("date-time", datetime.datetime.fromisoformat),
    datetime.date: ("date", datetime.date.fromisoformat),
    datetime.time: ("time", datetime.time.fromisoformat),
    uuid.UUID: ("uuid", uuid.UUID),
    decimal.Decimal: ("decimal", decimal.Decimal),
    pathlib.Path: ("path", pathlib.Path),
    pathlib.PurePath: ("path", pathlib.PurePath),
}
_LISTS: dict[Any, Decode | None] = {
    list: None,
    tuple: tuple,
    set: set,
    frozenset: frozenset,
    collections.abc.Sequence: None,
    collections.abc.MutableSequence: None,
    collections.abc.Collection: None,
    collections.abc.Iterable: None,
    collections.abc.Set: set,
}
_MAPS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
_BOUNDS = {  # of pydantic's fields and of annotated_types, which say them with these attributes
    "ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum",
    "multiple_of": "multipleOf", "pattern": "pattern",
}  # fmt: skip
_LINE = re.compile(r"^(\w+): (.+)$")
_STYLED = re.compile(
    r"^\s*(?:[:@](?:param|parameter|arg|type|returns?|rtype|raises?)\b"
    r"|(?:Args|Arguments|Params|Parameters|Attributes|Returns|Raises|Yields|Examples?|Notes?)\s*:?\s*$)",
    re.MULTILINE,
)


@dataclass(frozen=True)
class _Kind:
    """A type: its schema, and what makes the Python value of a JSON value (None: it is used as it is)."""

    schema: dict[str, Any]
    decode: Decode | None = None


class _Missing(Exception):
    """A type without a counterpart; the text says why."""


def tool_of(call: Callable[..., Any], name: str = "", *, strict: bool = True) -> Tool:
    """The tool of a Python callable, from its signature, type hints and docstring.

    Functions, coroutine functions, bound methods, classes, objects with ``__call__`` and partial objects
    (what they fix is not on offer) are taken. ``**kwargs`` are left out.

    Parameters
    ----------
    name
        The tool's name, by default the callable's.
    strict
        Whether every parameter must be described. If not, its name stands in.

    Raises
    ------
    SchemaError
        A parameter without type or (if strict) description, one that cannot be given by name, or a type
        that JSON Schema or our tools have no counterpart for.
    """
    name = name or name_of(call)
    summary, descriptions = _docstring(call)
    parameters: dict[str, dict[str, Any]] = {}
    for parameter, kind, description in _parameters(call, name):
        where = f"function {name!r}, parameter {parameter.name!r}"
        text = descriptions.get(parameter.name) or description
        if not text and strict:
            raise SchemaError(f"{where}: has no description; add '{parameter.name}: ...' to the docstring")
        schema = {**kind.schema, "description": text or _spoken(parameter.name)}
        schema["required"] = parameter.default is inspect.Parameter.empty
        if not schema["required"]:
            schema |= _default(parameter.default, kind.schema)
        parameters[parameter.name] = schema
    return Tool(name, summary if strict else summary or _spoken(name), parameters)


def name_of(call: Callable[..., Any]) -> str:
    """A callable's own name."""
    while isinstance(call, functools.partial):
        call = call.func
    return getattr(call, "__name__", "") or type(call).__name__


def runnable(call: Callable[..., Any]) -> Callable[..., Any]:
    """The callable for JSON arguments: they are converted to the annotated types, and the result to JSON.

    A coroutine function is run to its end. A result JSON has no form for is returned as it is.

    Raises
    ------
    SchemaError
        As :func:`tool_of`.
    """
    decoders = {
        parameter.name: kind.decode
        for parameter, kind, _ in _parameters(call, name_of(call))
        if kind.decode is not None
    }

    @functools.wraps(call, updated=())
    def run(**arguments: Any) -> Any:
        for name, decode in decoders.items():
            if arguments.get(name) is not None:
                arguments[name] = decode(arguments[name])
        result = call(**arguments)
        if inspect.iscoroutine(result):
            with asyncio.Runner(loop_factory=_Loop) as runner:
                result = runner.run(result)
        return json_value(result)

    return run


class _Loop(asyncio.BaseEventLoop):
    """An event loop without sockets, which a worker may not open: it schedules and sleeps."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = self

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("the coroutine waits for something that nobody will do")
        time.sleep(timeout)
        return []

    def _process_events(self, event_list: list[Any]) -> None:
        """Nothing is watched, so nothing happens."""


def json_value(value: Any) -> Any:
    """A value as JSON has it: dates as text, enums as they are shown, records as objects, sets as lists.

    What has no such form is returned as it is.
    """
    if isinstance(value, enum.Enum):
        return _shown(value)
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, (uuid.UUID, decimal.Decimal, pathlib.PurePath)):
        return str(value)
    if isinstance(value, Mapping):
        return {str(json_value(key)): json_value(item) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: json_value(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {name: json_value(getattr(value, name)) for name in value._fields}  # type: ignore[attr-defined]
    if isinstance(value, (list, tuple)):
        return [json_value(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted((json_value(item) for item in value), key=lambda item: (str(type(item)), repr(item)))
    dump = getattr(value, "model_dump", None)  # pydantic's
    return value if dump is None else dump(mode="json")


def _shown(member: enum.Enum) -> str:
    """What an enum's member is called in a tool."""
    texts = all(isinstance(other.value, str) for other in type(member))
    return member.value if texts else member.name


def _parameters(call: Callable[..., Any], name: str) -> list[tuple[inspect.Parameter, _Kind, str]]:
    """The parameters that can be given by name, with their kinds and the descriptions in their types."""
    fixed: set[str] = set()
    inner: Any = call
    while isinstance(inner, functools.partial):
        fixed |= inner.keywords.keys()
        inner = inner.func
    if isinstance(inner, type):
        annotated: Any = inner.__init__
    elif inspect.isroutine(inner) or hasattr(inner, "__wrapped__"):
        annotated = inspect.unwrap(inner)
    else:
        annotated = type(inner).__call__
    try:
        signature = inspect.signature(call)
        hints = typing.get_type_hints(annotated, include_extras=True)
    except NameError as error:
        raise SchemaError(
            f"function {name!r}: an annotation cannot be resolved ({error}); "
            "import the type where the function is defined, not under TYPE_CHECKING"
        ) from None
    except (TypeError, ValueError) as error:
        raise SchemaError(f"function {name!r}: has no signature that can be read ({error})") from None
    result = []
    for parameter in signature.parameters.values():
        where = f"function {name!r}, parameter {parameter.name!r}"
        if parameter.kind is inspect.Parameter.VAR_KEYWORD or parameter.name in fixed:
            continue
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            raise SchemaError(f"{where}: takes any number of values; make it a list parameter")
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            raise SchemaError(f"{where}: is positional-only, and calls give arguments by name; drop the '/'")
        if parameter.name not in hints:
            raise SchemaError(f"{where}: has no type; annotate it")
        try:
            kind = _kind(hints[parameter.name], ())
        except _Missing as error:
            raise SchemaError(f"{where}: {error}") from None
        result.append((parameter, kind, kind.schema.pop("description", "")))
    return result


def _default(value: Any, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The entry for a default, empty where JSON has no such value of that type."""
    shown = json_value(value)
    if shown is None or not type_matches(shown, schema) or not _is_json(shown):
        return {}
    return {"default": shown}


def _is_json(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_is_json(item) for item in value.values())
    if isinstance(value, list):
        return all(map(_is_json, value))
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, (str, int))


def _spoken(name: str) -> str:
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", name) or [name]
    text = " ".join(word if word.isupper() and len(word) > 1 else word.lower() for word in words)
    return text[:1].upper() + text[1:] + "."


def _docstring(item: Any) -> tuple[str, dict[str, str]]:
    """What a docstring says of the thing itself and of its parameters."""
    if isinstance(item, functools.partial):
        return _docstring(item.func)
    if not isinstance(item, type) and not inspect.isroutine(item) and not hasattr(item, "__wrapped__"):
        item = item if item.__doc__ != type(item).__doc__ else type(item).__call__
    own = item.__doc__ if isinstance(item, type) else inspect.getdoc(item)  # not what a class inherits
    text = inspect.cleandoc(own or "")
    if dataclasses.is_dataclass(item) and text.startswith(f"{getattr(item, '__name__', '')}("):
        text = ""  # the signature that dataclasses write themselves
    if _STYLED.search(text):
        return _styled(text)
    summary: list[str] = []
    descriptions: dict[str, str] = {}
    last = ""
    body = False
    for line in text.splitlines():
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


def _styled(text: str) -> tuple[str, dict[str, str]]:
    from docstring_parser import ParseError, parse

    heads = text[: next(_STYLED.finditer(text)).start()].strip().split("\n\n")
    try:
        entries = parse(text).params
    except ParseError:
        entries = []
    descriptions = {
        name.strip().lstrip("*"): " ".join((entry.description or "").split())
        for entry in entries
        for name in entry.arg_name.split(",")
    }
    return " ".join(heads[0].split()), descriptions


def _kind(hint: Any, trail: tuple[Any, ...]) -> _Kind:
    """The kind of a type hint; ``trail`` are the records it stands in.

    Raises
    ------
    _Missing
        There is none.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Annotated, typing.Required, typing.NotRequired):
        kind = _kind(arguments[0], trail)
        return _Kind({**kind.schema, **_noted(arguments[1:], kind.schema)}, kind.decode)
    if isinstance(hint, typing.NewType):
        return _kind(hint.__supertype__, trail)
    if isinstance(hint, typing.TypeVar):
        return _kind(hint.__bound__ or Any, trail)
    if hint in (Any, object):
        return _Kind({})
    if hint in (None, type(None)):
        return _Kind({"type": "null"})
    if hint in _SCALARS:
        return _Kind({"type": _SCALARS[hint]})
    if hint in _TEXTS:
        form, decode = _TEXTS[hint]
        return _Kind({"type": "string", "format": form}, decode)
    if origin is typing.Literal:
        return _literal(arguments)
    if origin in (types.UnionType, typing.Union):
        return _union([_kind(argument, trail) for argument in arguments if argument is not type(None)])
    if (origin or hint) in _LISTS:
        return _list(origin or hint, arguments, trail)
    if (origin or hint) in _MAPS:
        return _map(arguments, trail)
    if hint in trail:
        raise _Missing(f"type {hint.__name__} contains itself; tools have no references")
    if typing.is_typeddict(hint):
        return _record(hint, _typed_dict(hint), trail, lambda values: values)
    if isinstance(hint, type):
        if issubclass(hint, enum.Enum):
            members = {_shown(member): member for member in hint}
            if not members:
                raise _Missing(f"type {hint.__name__} has no members")
            return _Kind({"type": "string", "enum": list(members)}, lambda text: members[text])
        if hasattr(hint, "model_json_schema"):
            return _model(hint)
        if dataclasses.is_dataclass(hint):
            return _record(hint, _dataclass(hint), trail, lambda values: hint(**values))
        if issubclass(hint, tuple) and hasattr(hint, "_fields"):
            return _record(hint, _named_tuple(hint), trail, lambda values: hint(**values))
    raise _Missing(
        f"type {getattr(hint, '__name__', None) or hint!r} has no counterpart in JSON Schema; "
        "use a simpler one"
    )


def _noted(notes: Sequence[Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """What ``Annotated`` says: a description, and bounds as pydantic's fields name them."""
    found: dict[str, Any] = {}
    size = "Items" if schema.get("type") == "array" else "Length"
    keys = {**_BOUNDS, "min_length": f"min{size}", "max_length": f"max{size}"}
    for note in notes:
        text = note if isinstance(note, str) else getattr(note, "description", None)
        text = text if isinstance(text, str) else getattr(note, "documentation", None)  # typing's Doc
        if isinstance(text, str):
            found["description"] = " ".join(text.split())
        for part in (note, *(getattr(note, "metadata", None) or ())):
            for attribute, key in keys.items():
                bound = getattr(part, attribute, None)
                if isinstance(bound, (int, float, str)) and not isinstance(part, str):
                    found[key] = bound
    return found


def _literal(choices: Sequence[Any]) -> _Kind:
    values = [json_value(choice) for choice in choices if choice is not None]
    names = list(dict.fromkeys(_SCALARS.get(type(value), "") for value in values))
    if not values or "" in names:
        raise _Missing(f"the choices {list(choices)} are not JSON values; use text, numbers or booleans")
    members = {json_value(choice): choice for choice in choices if isinstance(choice, enum.Enum)}
    decode = (lambda value: members.get(value, value)) if members else None
    return _Kind({"type": names[0] if len(names) == 1 else names, "enum": values}, decode)


def _union(kinds: list[_Kind]) -> _Kind:
    """Several types in one schema: scalars, at most one list, or enums of one another's kind."""
    schemas = [kind.schema for kind in kinds]
    if len(kinds) == 1:
        return kinds[0]
    if any(not schema for schema in schemas):
        return _Kind({})
    choices = [schema.get("enum") for schema in schemas]
    arrays = [schema for schema in schemas if schema["type"] == "array"]
    named = [schema["type"] if isinstance(schema["type"], list) else [schema["type"]] for schema in schemas]
    names = list(dict.fromkeys(name for group in named for name in group))
    if "object" in names or len(arrays) > 1 or (any(choices) and not all(choices)):
        raise _Missing("is a choice between structures, which a tool cannot say; take one of them")
    if "number" in names and "integer" in names:
        names.remove("integer")
    schema: dict[str, Any] = {"type": names[0] if len(names) == 1 else names}
    if all(choices):
        schema["enum"] = [value for values in choices for value in values or ()]
    formats = {inner.get("format") for inner in schemas if inner["type"] == "string"}
    if len(formats) == 1 and None not in formats:
        schema |= {"format": formats.pop()}
    if arrays:
        schema |= {key: value for key, value in arrays[0].items() if key != "type"}
    plain_first = sorted(kinds, key=lambda kind: kind.decode is not None)

    def decode(value: Any) -> Any:
        for kind in plain_first:
            if type_matches(value, kind.schema) and value in kind.schema.get("enum", [value]):
                return kind.decode(value) if kind.decode else value
        return value

    return _Kind(schema, decode if any(kind.decode for kind in kinds) else None)


def _list(container: Any, arguments: Sequence[Any], trail: tuple[Any, ...]) -> _Kind:
    schema: dict[str, Any] = {"type": "array"}
    item = _Kind({})
    if container is tuple and arguments and arguments[-1] is not Ellipsis:
        if any(argument != arguments[0] for argument in arguments):
            raise _Missing("is a tuple of different types; use a NamedTuple or a dataclass, which name them")
        schema |= {"minItems": len(arguments), "maxItems": len(arguments)}
    if arguments and arguments != ((),):
        item = _kind(arguments[0], trail)
        if item.schema:
            schema["items"] = item.schema
    make, inner = _LISTS[container], item.decode
    if make in (set, frozenset):
        schema["uniqueItems"] = True
    if make is None and inner is None:
        return _Kind(schema)
    return _Kind(schema, lambda values: (make or list)(map(inner, values) if inner else values))


def _map(arguments: Sequence[Any], trail: tuple[Any, ...]) -> _Kind:
    if not arguments:
        return _Kind({"type": "object"})
    key, item = (_kind(argument, trail) for argument in arguments)
    if key.schema.get("type", "string") != "string":
        raise _Missing(f"is a mapping with keys of type {key.schema['type']}; JSON's keys are text")
    schema = {"type": "object", "additionalProperties": item.schema}
    if not key.decode and not item.decode:
        return _Kind(schema)
    of_key, of_item = key.decode or str, item.decode or (lambda value: value)
    return _Kind(schema, lambda values: {of_key(name): of_item(value) for name, value in values.items()})


def _typed_dict(hint: Any) -> dict[str, tuple[Any, bool, Any]]:
    fields = {}
    # __required_keys__ overlooks NotRequired and Required where annotations are strings.
    for name, child in typing.get_type_hints(hint, include_extras=True).items():
        origin = typing.get_origin(child)
        told = origin in (typing.Required, typing.NotRequired)
        required = origin is typing.Required if told else name in hint.__required_keys__
        fields[name] = (child, required, None)
    return fields


def _dataclass(hint: Any) -> dict[str, tuple[Any, bool, Any]]:
    hints = typing.get_type_hints(hint, include_extras=True)
    missing = dataclasses.MISSING
    return {
        field.name: (
            hints[field.name],
            field.default is missing and field.default_factory is missing,
            None if field.default is missing else field.default,
        )
        for field in dataclasses.fields(hint)
        if field.init
    }


def _named_tuple(hint: Any) -> dict[str, tuple[Any, bool, Any]]:
    hints = typing.get_type_hints(hint, include_extras=True)
    defaults = hint._field_defaults
    return {name: (hints.get(name, Any), name not in defaults, defaults.get(name)) for name in hint._fields}


def _record(
    hint: Any, fields: Mapping[str, tuple[Any, bool, Any]], trail: tuple[Any, ...], make: Decode
) -> _Kind:
    """An object with the given fields (type, required, default)."""
    descriptions = _docstring(hint)[1]
    properties: dict[str, dict[str, Any]] = {}
    decoders: dict[str, Decode] = {}
    for name, (child, required, default) in fields.items():
        kind = _kind(child, (*trail, hint))
        text = descriptions.get(name) or kind.schema.get("description", "")
        properties[name] = {**kind.schema, "description": text, "required": required}
        if not required:
            properties[name] |= _default(default, kind.schema)
        if kind.decode:
            decoders[name] = kind.decode

    def decode(values: dict[str, Any]) -> Any:
        return make(
            {
                name: decoders[name](value) if name in decoders and value is not None else value
                for name, value in values.items()
            }
        )

    as_is = typing.is_typeddict(hint) and not decoders
    return _Kind({"type": "object", "properties": properties}, None if as_is else decode)


def _model(hint: Any) -> _Kind:
    """A pydantic model, whose schema may refer to parts of itself."""
    from xlam_lib.synthesis.importers.schemas import Schemas, Unsupported

    root = hint.model_json_schema()
    try:
        plain = Schemas(root).plain(root)
    except Unsupported as error:
        raise _Missing(f"type {hint.__name__}: {error}") from None
    schema = {"type": "object", "properties": flat_parameters(plain)}
    for child in schema["properties"].values():
        child.setdefault("description", "")
    return _Kind(schema, hint.model_validate)
