"""Tools in OpenAI's form, which nobody can call: data are synthesized without the execution check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from xlam_lib.errors import SchemaError
from xlam_lib.schema import Tool, Trajectory, tool_from_openai, validate
from xlam_lib.synthesis import auto
from xlam_lib.synthesis.importers.schemas import Schemas, Unsupported
from xlam_lib.synthesis.registry import Function, Registry


def from_openai_tools(source: str | Path | Sequence[Any]) -> Registry:
    """A list of tools as a library that is not executable; what cannot be taken is in ``skipped``.

    Parameters
    ----------
    source
        The tools, or the JSON or YAML file with them: each ``{"type": "function", "function": {...}}`` or its
        inner part; a list, one tool, or an object with the list under ``tools``.

    Raises
    ------
    SchemaError
        The file cannot be read, or holds no tool that can be taken (the message says why).
    """
    name, content = "tools", source
    if isinstance(source, (str, Path)):
        from xlam_lib.synthesis.importers import read_document

        name, content = str(source), read_document(Path(source))
    if isinstance(content, Mapping):
        content = content["tools"] if isinstance(content.get("tools"), list) else [content]
    if not isinstance(content, Sequence) or isinstance(content, str):
        raise SchemaError(f"{name}: is no list of tools in OpenAI's form")
    registry = Registry(name=name, executable=False)
    category = (Path(name).stem.replace("_", " ").replace("-", " ").strip() or "tools").capitalize()
    for position, record in enumerate(content):
        where = f"tools[{position}]"
        try:
            if not isinstance(record, Mapping):
                raise SchemaError("is not an object")
            tool = _tool(record)
            where = tool.name if tool.name not in registry.functions else where
            registry.add(auto.complete(Function(tool.name, category, tool)))
        except (SchemaError, Unsupported) as error:
            registry.skipped[where] = str(error)
    if not registry.functions:
        reasons = "; ".join(f"{where}: {reason}" for where, reason in registry.skipped.items())
        raise SchemaError(f"{name}: holds no tool that can be taken ({reasons or 'the list is empty'})")
    return auto.report_obstacles(registry)


def _tool(record: Mapping[str, Any]) -> Tool:
    """The tool, its references and unions resolved.

    Raises
    ------
    SchemaError
        It is none, or its schemas are broken.
    Unsupported
        Its schemas say what our tools cannot.
    """
    function = record.get("function", record)
    parameters = function.get("parameters") if isinstance(function, Mapping) else None
    if isinstance(parameters, Mapping) and _refers(parameters):
        function = {**function, "parameters": Schemas(parameters).plain(parameters)}
    tool = tool_from_openai(function if isinstance(function, Mapping) else record)
    faults = list(validate(Trajectory("tools/0", "tools", tools=[tool], query="?")))
    if faults:
        raise SchemaError("; ".join(fault.removeprefix("tools[0].") for fault in faults))
    return tool


def _refers(schema: Any) -> bool:
    if isinstance(schema, Mapping):
        return bool({"$ref", "allOf", "anyOf", "oneOf"} & schema.keys()) or any(map(_refers, schema.values()))
    return isinstance(schema, list) and any(map(_refers, schema))
