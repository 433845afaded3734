"""A library of APIs from what a user already has: Python, a list of tools, OpenAPI, an MCP server.

Every importer gives a :class:`~xlam_lib.synthesis.registry.Registry` for ``synthesize(library=...)``; what it
could not take stands in ``registry.skipped``, with the reason.
"""

from __future__ import annotations

import importlib.util
import json
import shlex
from pathlib import Path
from typing import Any

import yaml

from xlam_lib.errors import SchemaError
from xlam_lib.synthesis.auto import report_obstacles
from xlam_lib.synthesis.importers.callables import from_callables, from_file, from_module, registry_of_module
from xlam_lib.synthesis.importers.openai_tools import from_openai_tools
from xlam_lib.synthesis.registry import Registry

__all__ = ["from_callables", "from_file", "from_module", "from_openai_tools", "load", "registry_of_module"]

RECOGNISED = (
    "a Python file (tools.py, or tools.py:REGISTRY), a module (package.module), a JSON or YAML file with a "
    "list of tools in OpenAI's form or an OpenAPI document, or an MCP server (mcp:COMMAND ..., mcp+https://...)"
)


def load(source: str | Path, **options: Any) -> Registry:
    """The library of APIs at ``source``, which is recognised by its form.

    Python files and modules are imported, in this process too: load what you would import.

    Parameters
    ----------
    source
        A Python file, a module's name, a JSON or YAML file (OpenAPI document or list of tools), or an MCP
        server as ``mcp:COMMAND ...`` or ``mcp+http://...``.
    options
        For the importers of OpenAPI documents and MCP servers.

    Raises
    ------
    SchemaError
        The source is of none of these forms, cannot be read, or options are given that its importer lacks.
    """
    text = str(source)
    if text.startswith("mcp:") or text.startswith(("mcp+http://", "mcp+https://")):
        mcp = importlib.import_module("xlam_lib.synthesis.importers.mcp")
        server = text.removeprefix("mcp+") if text.startswith("mcp+") else shlex.split(text[4:])
        return report_obstacles(mcp.from_mcp(server, **options))
    if text.lower().endswith((".json", ".yaml", ".yml")):
        return _document(Path(text), options)
    if options:
        raise SchemaError(f"{text}: options {sorted(options)} are for OpenAPI documents and MCP servers only")
    if ".py" in (text[-3:], Path(text.rpartition(":")[0]).suffix):
        return from_file(text)
    if all(part.isidentifier() for part in text.split(".")):
        return from_module(text)
    raise SchemaError(f"{text!r}: not recognised as a library of APIs; give {RECOGNISED}")


def _document(path: Path, options: dict[str, Any]) -> Registry:
    content = read_document(path)
    if isinstance(content, dict) and ("openapi" in content or "swagger" in content):
        openapi = importlib.import_module("xlam_lib.synthesis.importers.openapi")
        return report_obstacles(openapi.from_openapi(path, **options))
    if options:
        raise SchemaError(f"{path}: options {sorted(options)} are for OpenAPI documents and MCP servers only")
    if isinstance(content, list) or (
        isinstance(content, dict) and {"tools", "function", "name"} & content.keys()
    ):
        return from_openai_tools(path)
    raise SchemaError(f"{path}: holds neither tools nor an OpenAPI document; give {RECOGNISED}")


def read_document(path: Path) -> Any:
    """What a JSON or YAML file holds.

    Raises
    ------
    SchemaError
        It cannot be read.
    """
    try:
        text = path.read_text("utf-8")
        return json.loads(text) if path.suffix.lower() == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise SchemaError(f"{path}: cannot be read: {error}") from None
