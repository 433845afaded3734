"""An MCP server of the standard library alone: it starts at once, lists its tools in pages, and can die."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

OBJECT: dict[str, Any] = {"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"]}
NAMES = (
    "say",
    "die",
    "linger",
    "refuse",
    "picture",
    "odd/name",
    "say_key",
    "free",
    "stray",
    "unlisted-error",
)


def listed(name: str) -> dict[str, Any]:
    """A tool as the list says it."""
    schema = OBJECT
    if name == "stray":
        schema = {**OBJECT, "required": ["x", "y"]}
    tool = {"name": name, "description": f"To {name}.", "inputSchema": schema}
    return tool if name == "free" else {**tool, "annotations": {"readOnlyHint": True}}


def called(name: str, x: str) -> dict[str, Any]:
    """What a call gives."""
    if name == "die":  # where x is a path, only if no file is there, and it leaves one
        if x and Path(x).exists():
            return {"content": [{"type": "text", "text": '"survived"'}]}
        if x:
            Path(x).touch()
        os._exit(3)
    if name == "linger":
        time.sleep(float(x))
    if name == "refuse":
        return {"content": [{"type": "text", "text": f"I refuse\n{x}"}], "isError": True}
    if name == "picture":
        return {"content": [{"type": "image", "data": "aaaa", "mimeType": "image/png"}]}
    if name == "say_key":
        return {"content": [{"type": "text", "text": os.environ.get("ORCHARD_KEY", "")}]}
    return {"content": [{"type": "text", "text": x}]}


def answer(method: str, params: dict[str, Any]) -> dict[str, Any]:
    """The result or the error of a request."""
    if method == "initialize":
        about = {"name": "plain", "version": "1"}
        version = params["protocolVersion"]
        return {"result": {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": about}}
    if method == "tools/list":
        start = int(params.get("cursor") or 0)
        page: dict[str, Any] = {"tools": [listed(name) for name in NAMES[start : start + 3]]}
        if start + 3 < len(NAMES):
            page["nextCursor"] = str(start + 3)
        return {"result": page}
    if method == "tools/call" and params["name"] != "unlisted-error":
        return {"result": called(params["name"], params["arguments"]["x"])}
    return {"error": {"code": -32601, "message": f"no {method}"}}


def main() -> None:
    """Answer one line after another."""
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message:
            reply = {"jsonrpc": "2.0", "id": message["id"]}
            reply |= answer(message["method"], message.get("params") or {})
            print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
