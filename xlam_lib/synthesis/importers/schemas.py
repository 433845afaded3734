"""Foreign JSON Schemas as our flat parameters: references resolved, ``allOf`` merged, unions where they fit.

OpenAPI documents and MCP servers describe arguments in JSON Schema (OpenAPI 3.0 in a dialect of it). A
:class:`~xlam_lib.schema.Tool` has no references and no unions of structures, so what cannot be said without
them is refused with the reason, never cut down silently.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any
from urllib.parse import unquote

MAX_NODES = 2000
"""Schemas one operation may unfold to: a small document of nested references can mean billions."""

MAX_DEPTH = 32

_KEPT = (
    "description", "format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    "multipleOf", "minLength", "maxLength", "pattern", "minItems", "maxItems", "uniqueItems",
    "minProperties", "maxProperties",
)  # fmt: skip
_REFUSED = (
    "not", "if", "dependentSchemas", "dependentRequired", "patternProperties", "prefixItems", "contains",
    "propertyNames", "$dynamicRef", "$recursiveRef",
)  # fmt: skip
_LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_TYPES = ("string", "integer", "number", "boolean", "array", "object", "null")


class Unsupported(Exception):
    """What a description says and our tools cannot say, or what is wrong with it; the text is the reason."""


class Schemas:
    """The schemas of one document.

    Parameters
    ----------
    root
        The document that local references point into.
    """

    def __init__(self, root: Mapping[str, Any]):
        self.root = root
        self.nodes = 0

    def restart(self) -> None:
        """Begin to count the schemas of another operation."""
        self.nodes = 0

    def resolve(self, reference: Any) -> Any:
        """What a local reference such as ``#/components/schemas/Book`` points at.

        Raises
        ------
        Unsupported
            It is no local reference, or points at nothing.
        """
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise Unsupported(f"remote $ref {reference!r} is refused; bundle the document into one file")
        if not (reference == "#" or reference.startswith("#/")):
            raise Unsupported(f"$ref {reference!r} names an anchor; write it as a path, #/...")
        found: Any = self.root
        for part in reference.split("/")[1:]:
            key = unquote(part).replace("~1", "/").replace("~0", "~")
            if isinstance(found, list) and key.isdigit() and int(key) < len(found):
                found = found[int(key)]
            elif isinstance(found, Mapping) and key in found:
                found = found[key]
            else:
                raise Unsupported(f"$ref {reference!r} points at nothing")
        return found

    def followed(self, item: Any) -> Any:
        """An object that may stand as a reference: a parameter, a request body, a response, a path."""
        for _ in range(MAX_DEPTH):
            if not isinstance(item, Mapping) or "$ref" not in item:
                return item
            item = self.resolve(item["$ref"])
        raise Unsupported("a $ref leads to itself")

    def plain(self, schema: Any, trail: tuple[str, ...] = (), depth: int = 0) -> dict[str, Any]:
        """A JSON Schema that stands for itself, with ``required`` still a list of names.

        Raises
        ------
        Unsupported
            It refers to itself or elsewhere, or says what our tools cannot.
        """
        self.nodes += 1
        if self.nodes > MAX_NODES or depth > MAX_DEPTH:
            raise Unsupported(f"its schema unfolds to more than {MAX_NODES} parts or {MAX_DEPTH} levels")
        if schema is True:
            return {}
        if not isinstance(schema, Mapping):
            raise Unsupported(f"a schema is {_shown(schema)}, which is none")
        for key in _REFUSED:
            if key in schema:
                raise Unsupported(f"its schema uses {key!r}, which a tool cannot say")
        result = self._own(schema, trail, depth)
        if "$ref" in schema:
            reference = schema["$ref"]
            if reference in trail:
                raise Unsupported(f"its schema contains itself ({reference})")
            target = self.plain(self.resolve(reference), (*trail, reference), depth + 1)
            result = merged(target, result)
        together: dict[str, Any] = {}
        for part in _list(schema, "allOf"):
            together = merged(together, self.plain(part, trail, depth + 1))
        result = merged(together, result)
        for key in ("anyOf", "oneOf"):
            if key in schema:
                options = [self.plain(option, trail, depth + 1) for option in _list(schema, key)]
                result = merged(_union(options, key), result)
        if schema.get("nullable") is True and "type" in result:
            result["type"] = _type_of([*_kinds(result), "null"])
            if "enum" in result and None not in result["enum"]:
                result["enum"] = [*result["enum"], None]
        return result

    def _own(self, schema: Mapping[str, Any], trail: tuple[str, ...], depth: int) -> dict[str, Any]:
        """What a schema says itself, without its references and its allOf, anyOf and oneOf."""
        result = {key: schema[key] for key in _KEPT if key in schema}
        if "description" in result:
            result["description"] = " ".join(str(result["description"]).split())
        for bound, flag in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
            # OpenAPI 3.0: a flag beside the bound, where JSON Schema has a bound of its own.
            if isinstance(result.get(flag), bool):
                exclusive = result.pop(flag)
                if exclusive and bound in result:
                    result[flag] = result.pop(bound)
        for bound in (*_LOWER, *_UPPER):
            if bound in result and (
                isinstance(result[bound], bool) or not isinstance(result[bound], (int, float))
            ):
                raise Unsupported(f"{bound} is {_shown(result[bound])}, not a number")
        if "const" in schema:
            result["enum"] = [schema["const"]]
        if "enum" in schema:
            result["enum"] = list(_list(schema, "enum"))
        if "default" in schema and schema["default"] is not None:
            result["default"] = schema["default"]
        examples = [schema["example"]] if "example" in schema else schema.get("examples")
        if isinstance(examples, list) and examples:
            result["examples"] = examples
        for key in ("enum", "default", "examples"):
            if key in result:
                _must_be_json(result[key], key)
        if isinstance(schema.get("properties"), Mapping):
            result["properties"] = {
                str(name): self.plain(child, trail, depth + 1)
                for name, child in schema["properties"].items()
                if not (isinstance(child, Mapping) and child.get("readOnly") is True)
            }
        if isinstance(schema.get("required"), list):
            result["required"] = [str(name) for name in schema["required"]]
        if isinstance(schema.get("items"), Mapping):
            result["items"] = self.plain(schema["items"], trail, depth + 1)
        if isinstance(schema.get("additionalProperties"), Mapping) and schema["additionalProperties"]:
            result["additionalProperties"] = self.plain(schema["additionalProperties"], trail, depth + 1)
        kinds = schema.get("type")
        kinds = kinds if isinstance(kinds, list) else [] if kinds is None else [kinds]
        for kind in kinds:
            if kind not in _TYPES:
                raise Unsupported(f"type {_shown(kind)} is not one of JSON Schema's")
        if not kinds and ("properties" in result or "additionalProperties" in result):
            kinds = ["object"]
        elif not kinds and "items" in result:
            kinds = ["array"]
        elif not kinds and result.get("enum"):
            kinds = sorted({_type_name(value) for value in result["enum"]})
        if kinds:
            result["type"] = _type_of(kinds)
        return result


def merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """A schema that both hold of (``allOf``); of two descriptions or defaults the second stays.

    Raises
    ------
    Unsupported
        Nothing could satisfy both.
    """
    result = {**first, **second}
    if "type" in first and "type" in second:
        ours, theirs = _kinds(first), _kinds(second)
        both = [kind for kind in ours if kind in theirs or (kind == "integer" and "number" in theirs)]
        both += [kind for kind in theirs if kind == "integer" and "number" in ours and kind not in both]
        if not both:
            raise Unsupported(f"allOf asks for the types {first['type']} and {second['type']} at once")
        result["type"] = _type_of(both)
    if "enum" in first and "enum" in second:
        result["enum"] = [value for value in first["enum"] if value in second["enum"]]
        if not result["enum"]:
            raise Unsupported("allOf asks for enums that have no value in common")
    if "properties" in first and "properties" in second:
        result["properties"] = {
            **first["properties"],
            **{
                name: merged(first["properties"][name], child) if name in first["properties"] else child
                for name, child in second["properties"].items()
            },
        }
    if "items" in first and "items" in second:
        result["items"] = merged(first["items"], second["items"])
    if "required" in first and "required" in second:
        result["required"] = list(dict.fromkeys([*first["required"], *second["required"]]))
    for keys, stricter in ((_LOWER, max), (_UPPER, min)):
        for key in keys:
            if key in first and key in second:
                result[key] = stricter(first[key], second[key])
    return result


def _union(options: list[dict[str, Any]], key: str) -> dict[str, Any]:
    """One schema that says what the options do: a nullable value, several scalar types, joined enums."""
    nullable = any(option.get("type") == "null" for option in options)
    options = [option for option in options if option.get("type") != "null"]
    bare = [{k: v for k, v in option.items() if k != "description"} for option in options]
    if not options:
        return {"type": "null"} if nullable else {}
    result: dict[str, Any]
    if all(option == bare[0] for option in bare):
        result = dict(options[0]) if len(options) == 1 else bare[0]
    elif all("type" in o and not {"array", "object"} & set(_kinds(o)) for o in bare):
        kinds = list(dict.fromkeys(kind for option in bare for kind in _kinds(option)))
        if "number" in kinds and "integer" in kinds:
            kinds.remove("integer")
        result = {"type": _type_of(kinds)}
        if all("enum" in option for option in bare):
            result["enum"] = [value for option in bare for value in option["enum"]]
    else:
        raise Unsupported(f"its schema is a choice ({key}) between structures, which a tool cannot say")
    if nullable and "type" in result:
        result["type"] = _type_of([*_kinds(result), "null"])
    if nullable and "enum" in result and None not in result["enum"]:
        result["enum"] = [*result["enum"], None]
    return result


def without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without the value null, which a path or a query cannot carry."""
    kinds = [kind for kind in _kinds(schema) if kind != "null"]
    result = {**schema, "type": _type_of(kinds)} if kinds else schema
    if "enum" in result:
        result["enum"] = [value for value in result["enum"] if value is not None]
    return result


def _kinds(schema: Mapping[str, Any]) -> list[str]:
    kinds = schema.get("type")
    return kinds if isinstance(kinds, list) else [] if kinds is None else [kinds]


def _type_of(kinds: Iterable[str]) -> str | list[str]:
    distinct = list(dict.fromkeys(kinds))
    return distinct[0] if len(distinct) == 1 else distinct


def _type_name(value: Any) -> str:
    if value is None:
        return "null"
    names = ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string"), (list, "array"))
    return next((name for kind, name in names if isinstance(value, kind)), "object")


def _list(schema: Mapping[str, Any], key: str) -> list[Any]:
    value = schema.get(key, [])
    if not isinstance(value, list):
        raise Unsupported(f"{key} is {_shown(value)}, not a list")
    return value


def _must_be_json(value: Any, key: str) -> None:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise Unsupported(f"{key} holds {_shown(value)}, which is no JSON value") from None


def _shown(value: Any) -> str:
    try:
        return repr(value)[:60]
    except RecursionError:
        return "something that contains itself"


def legal_name(text: str, taken: Collection[str] = (), *, dots: bool = False) -> str:
    """A name made of letters, digits and underscores (and dots) that is not taken; at most 64 characters.

    Everything else becomes an underscore, so ``page-size`` is ``page_size``; of two equal names the second
    gets a number.
    """
    name = re.sub(r"[^A-Za-z0-9_.]+" if dots else r"[^A-Za-z0-9_]+", "_", text).strip("_.")[:60]
    name = re.sub(r"_{2,}", "_", name) or "unnamed"
    if name[0].isdigit():
        name = f"n{name}"
    number, candidate = 1, name
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    return candidate
