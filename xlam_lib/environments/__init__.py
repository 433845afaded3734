"""Environments that answer an agent's calls: WebShop, ToolQuery, ToolBench."""
