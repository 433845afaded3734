"""A small MCP server for tests: on standard input and output, or with a port as argument over HTTP."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Literal

from mcp.server.mcpserver import Image, MCPServer
from mcp_types import ToolAnnotations
from pydantic import BaseModel, Field

server = MCPServer("Orchard")
READ = ToolAnnotations(read_only_hint=True)


class Plot(BaseModel):
    """A piece of land."""

    width: float
    length: float


class Tree(BaseModel):
    """A tree that holds trees: a schema that contains itself."""

    name: str
    children: list[Tree] = []


@server.tool(annotations=READ)
def count_trees(
    kind: Annotated[Literal["apple", "pear", "plum"], Field(description="Kind of tree.")],
    rows: Annotated[int, Field(description="Number of rows.")] = 2,
) -> dict[str, int]:
    """Count the trees of a kind."""
    return {"trees": rows * {"apple": 12, "pear": 8, "plum": 5}[kind]}


@server.tool(annotations=READ)
def plot_area(plot: Plot, unit: str | None = None) -> float:
    """The area of a plot."""
    return plot.width * plot.length


@server.tool("weather.note-today", annotations=READ, structured_output=False)
def note(town: str) -> str:
    """A note on the weather, as plain text."""
    return f"Mild in {town}."


@server.tool(annotations=READ, structured_output=False)
def json_text(size: int) -> str:
    """A list as JSON text."""
    return str(list(range(size)))


@server.tool(annotations=READ)
def refuse(reason: str) -> str:
    """Always fails."""
    raise ValueError(f"refused: {reason}")


@server.tool(annotations=READ, structured_output=False)
def picture(name: str) -> Image:
    """A picture."""
    return Image(data=b"\x89PNG", format="png")


@server.tool(annotations=READ)
def die(reason: str) -> str:
    """Ends the server."""
    os._exit(3)


@server.tool(annotations=READ)
def plant(tree: Tree) -> str:
    """Takes a tree of trees."""
    return tree.name


@server.tool()
def fell(kind: str) -> str:
    """Fells the trees of a kind, so it is not read-only."""
    return f"no more {kind}"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        server.run("streamable-http", port=int(sys.argv[1]))
    else:
        server.run()
