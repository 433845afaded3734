"""The bicycle workshop as an MCP server on standard input and output: ``python workshop_mcp.py``.

``readOnlyHint`` says that a tool changes nothing; only such tools are called when data are made.
"""

from __future__ import annotations

import workshop  # the module beside this one
from mcp.server.mcpserver import MCPServer
from mcp_types import ToolAnnotations

server = MCPServer("Workshop")
for function in (workshop.gear_ratio, workshop.tyre_pressure, workshop.battery_range, workshop.chain_wear):
    server.tool(annotations=ToolAnnotations(read_only_hint=True))(function)
server.tool()(workshop.order_part)

if __name__ == "__main__":
    server.run()
