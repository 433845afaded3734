"""The tools of an MCP server become a library of APIs whose calls are run by that server.

The Model Context Protocol lets a program offer tools to models, over its standard input and output or over
HTTP. The package ``mcp`` (the extra ``mcp``) speaks the protocol and is imported when it is needed.
"""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec

from xlam_lib.endpoint import run_anywhere
from xlam_lib.errors import ProfileError, SchemaError, XlamError
from xlam_lib.schema import Tool, flat_parameters
from xlam_lib.synthesis import auto
from xlam_lib.synthesis.execute import Limits, Outcome
from xlam_lib.synthesis.importers.schemas import Schemas, Unsupported, legal_name
from xlam_lib.synthesis.registry import Function, Registry, arguments_fault
from xlam_lib.synthesis.rest import (
    checked_base_url,
    checked_headers,
    header_secrets,
    hidden,
    usable_secrets,
)

MAX_PAGES = 1000
"""Pages of a list of tools: a server that never ends its list is at fault."""


@dataclass(frozen=True)
class Server:
    """An MCP server: a command that is started for each connection, or an address.

    Attributes
    ----------
    command, env
        The program with its arguments, and variables added to its environment, which is otherwise a
        small one (``PATH``, ``HOME`` and the like).
    url, headers
        The address of a server that speaks streamable HTTP, and headers sent with every request.
    """

    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def title(self) -> str:
        """The address, or the program without its arguments, which may hold a key."""
        return self.url or self.command[0]

    @property
    def secrets(self) -> tuple[str, ...]:
        """Values that results and errors must not show: of headers, and of variables named like keys."""
        named = [v for n, v in self.env.items() if re.search("key|token|secret|passw", n, re.IGNORECASE)]
        return usable_secrets([*header_secrets(self.headers), *named])


@dataclass(frozen=True)
class RemoteTool:
    """A tool with its name and its parameters' names on the server."""

    tool: Tool
    name: str
    parameters: Mapping[str, str]


def from_mcp(
    server: Sequence[str] | str,
    *,
    env: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    unsafe: bool = False,
    only: Callable[[Function], bool] | None = None,
    start_seconds: float = 60.0,
) -> Registry:
    """The tools of an MCP server as a library; what cannot be imported is in ``Registry.skipped``.

    Parameters
    ----------
    server
        The server's command with its arguments (a list, or one string that is split as a shell does), or
        its address (streamable HTTP).
    env
        Variables for the command's environment, a key for instance.
    headers
        Sent to the address with every request.
    unsafe
        Import tools that the server does not declare read-only. Synthesis really calls them, thousands of
        times; say this of a test instance, or of a server that you know to change nothing.
    only
        Says which of the functions to keep.
    start_seconds
        Time for connecting and listing the tools.

    ``Registry.open(workers)`` gives an executor with that many connections, each with a server process of
    its own where the server is a command.

    Raises
    ------
    ProfileError
        The address or the command is none; or the package ``mcp`` is not installed.
    XlamError
        The server cannot be reached or does not list its tools.
    """
    _package()
    if isinstance(server, str) and server.startswith(("http://", "https://")):
        checked_base_url(server)
        described = Server(url=server, headers=checked_headers(headers))
    else:
        command = _command(server)
        described = Server(command=command, env=dict(env or {}))
    title, listed = run_anywhere(_listed(described, start_seconds))

    tools: dict[str, RemoteTool] = {}
    registry = Registry(
        name=title, opener=lambda workers, limits: McpExecutor(described, tools, workers, limits)
    )
    for entry in listed:
        hints = entry.annotations
        if not unsafe and not (hints and hints.read_only_hint):
            registry.skipped[entry.name] = "it is not declared read-only; unsafe=True imports it"
            continue
        try:
            remote = _tool(entry, tools)
        except (Unsupported, SchemaError) as error:
            registry.skipped[entry.name] = str(error)
            continue
        function = Function(remote.tool.name, title, remote.tool)
        if only is not None and not only(function):
            registry.skipped[entry.name] = "left out by `only`"
            continue
        registry.add(auto.complete(function))
        tools[remote.tool.name] = remote
    return auto.report_obstacles(registry)


class McpExecutor:
    """Executes calls on an MCP server; satisfies :class:`~xlam_lib.synthesis.execute.Executor`.

    An outcome is the tool's structured result, else its text (parsed where it is JSON). Errors, beside
    those of the schema check: ``tool error`` (the tool or the server says so), ``time-out``, ``connection
    failed``, ``output limit exceeded``, ``result is not JSON`` (an image, say).

    A call during which the connection breaks is repeated once on a new one, and then blamed. After a
    time-out the connection is given up with the call, since the server may still be at it.

    Parameters
    ----------
    server
        See :class:`Server`.
    tools
        By function name.
    workers
        Connections; each runs one call at a time and lasts for one ``run``.
    limits
        ``seconds`` a call, ``output`` bytes of a result (measured when it has arrived), and
        ``start_seconds`` for connecting.
    """

    def __init__(
        self,
        server: Server,
        tools: Mapping[str, RemoteTool],
        workers: int = 1,
        limits: Limits | None = None,
    ):
        if workers < 1:
            raise XlamError(f"MCP executor: {workers} workers asked; give 1 or more")
        self.server, self.tools, self.workers = server, dict(tools), workers
        self.limits = limits or Limits()

    def __enter__(self) -> McpExecutor:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing is left open between runs."""

    def run(self, calls: Sequence[tuple[str, dict[str, Any]]]) -> list[Outcome]:
        """Run ``(name, arguments)`` calls; one outcome each, in the same order, in a notebook too."""
        outcomes: list[Outcome | None] = [self._fault(*call) for call in calls]
        todo = [position for position, outcome in enumerate(outcomes) if outcome is None]
        if todo:
            run_anywhere(self._run(calls, todo, outcomes))
        lost = Outcome(error="connection failed", detail=f"{self.server.title}: no connection")
        return [lost if outcome is None else outcome for outcome in outcomes]

    def _fault(self, name: str, arguments: Any) -> Outcome | None:
        remote = self.tools.get(name)
        if remote is None:
            return Outcome(error="undefined function invoked", detail=f"{name!r} is not in the registry")
        if not isinstance(arguments, Mapping):
            return Outcome(error="incorrect argument type", detail=f"{name}: arguments are not an object")
        fault = arguments_fault(arguments, remote.tool.parameters, name)
        return Outcome(error=fault[0], detail=fault[1]) if fault else None

    def _without_secrets(self, outcome: Outcome) -> Outcome:
        secrets = self.server.secrets
        return Outcome(hidden(outcome.ok, secrets), outcome.error, hidden(outcome.detail, secrets))

    async def _run(
        self, calls: Sequence[tuple[str, dict[str, Any]]], todo: list[int], outcomes: list[Outcome | None]
    ) -> None:
        queue = iter(todo)
        async with asyncio.TaskGroup() as group:
            for _ in range(min(self.workers, len(todo))):
                group.create_task(self._work(calls, queue, outcomes))

    async def _work(
        self,
        calls: Sequence[tuple[str, dict[str, Any]]],
        queue: Iterator[int],
        outcomes: list[Outcome | None],
    ) -> None:
        """Take calls from the queue, over one connection after another, until it is empty."""
        suspect: int | None = None
        while True:
            position = suspect if suspect is not None else next(queue, None)
            if position is None:
                return
            try:
                async with _connected(self.server, self.limits.start_seconds) as client:
                    while position is not None:
                        outcome = await self._call(client, *calls[position])
                        outcomes[position] = self._without_secrets(outcome)
                        suspect = None
                        if outcome.error == "time-out":
                            break
                        position = next(queue, None)
            except _Unreachable as error:
                # The others' connections may live; what nobody takes from the queue is reported as lost.
                if position is not None:
                    outcomes[position] = Outcome(error="connection failed", detail=str(error))
                return
            except Exception as error:
                if position is None or outcomes[position] is not None:
                    continue  # it broke while it was being closed
                if suspect != position:
                    suspect = position
                    continue
                detail = f"{self.server.title}: {_words(error)}"
                outcomes[position] = Outcome(error="connection failed", detail=detail)
                suspect = None

    async def _call(self, client: Any, name: str, arguments: Mapping[str, Any]) -> Outcome:
        """One call's outcome; raises what a broken connection raises."""
        from mcp import MCPError
        from mcp_types import CONNECTION_CLOSED, REQUEST_TIMEOUT

        remote = self.tools[name]
        sent = {remote.parameters[parameter]: value for parameter, value in arguments.items()}
        late = Outcome(error="time-out", detail=f"{name}: no answer within {self.limits.seconds:g} s")
        try:
            async with asyncio.timeout(self.limits.seconds):
                result = await client.call_tool(remote.name, sent)
        except TimeoutError:
            return late
        except MCPError as error:
            if error.code == CONNECTION_CLOSED:
                raise
            if error.code == REQUEST_TIMEOUT:
                return late
            return Outcome(error="tool error", detail=f"{name}: {error.message[:300]} ({error.code})")
        except RuntimeError as error:  # the result breaks the form that the server has declared
            return Outcome(error="tool error", detail=f"{name}: {_words(error)}")
        return self._value(name, result)

    def _value(self, name: str, result: Any) -> Outcome:
        texts = [part.text for part in result.content if part.type == "text"]
        if result.is_error:
            return Outcome(error="tool error", detail=f"{name}: {' '.join(' '.join(texts).split())[:300]}")
        if result.structured_content is not None:
            value: Any = result.structured_content
        else:
            other = sorted({part.type for part in result.content} - {"text"})
            if other:
                return Outcome(error="result is not JSON", detail=f"{name}: {', '.join(other)}")
            text = "\n".join(texts)
            try:
                value = json.loads(text)
            except (ValueError, RecursionError):
                value = text
        try:
            size = len(msgspec.json.encode(value))
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            return Outcome(error="result is not JSON", detail=f"{name}: {_words(error)}")
        if size > self.limits.output:
            detail = f"{name}: {size} bytes, {self.limits.output} allowed"
            return Outcome(error="output limit exceeded", detail=detail)
        return Outcome(ok=value)


class _Unreachable(Exception):
    """The server cannot be started or does not answer the protocol's greeting."""


@asynccontextmanager
async def _connected(server: Server, seconds: float) -> AsyncIterator[Any]:
    """A client of the server.

    Raises
    ------
    _Unreachable
        There is no connection. What breaks later is raised as it comes.
    """
    from mcp import Client, StdioServerParameters, stdio_client

    reached = False
    with tempfile.TemporaryFile("w+", errors="replace") as words:
        try:
            if server.url:
                transport = _over_http(server)
            else:
                parameters = StdioServerParameters(
                    command=server.command[0], args=list(server.command[1:]), env=dict(server.env)
                )
                # Not our own stderr: a notebook's has no file that a process could write to.
                transport = stdio_client(parameters, errlog=words)
            async with asyncio.timeout(seconds) as patience:
                async with Client(transport, cache=None) as client:
                    patience.reschedule(None)
                    reached = True
                    yield client
        except Exception as error:
            if reached:
                raise
            words.seek(0)
            said = words.read()[-2000:].strip().splitlines()
            last = f"; it said: {said[-1][:200]}" if said else ""
            raise _Unreachable(hidden(f"{server.title}: {_words(error)}{last}", server.secrets)) from None


@asynccontextmanager
async def _over_http(server: Server) -> AsyncIterator[Any]:
    from mcp.client.streamable_http import streamable_http_client
    from mcp.shared._httpx_utils import create_mcp_http_client

    async with create_mcp_http_client(headers=dict(server.headers)) as http:
        async with streamable_http_client(server.url, http_client=http) as streams:
            yield streams


async def _listed(server: Server, seconds: float) -> tuple[str, list[Any]]:
    """The server's name and its tools, from all pages."""
    tools: list[Any] = []
    title = server.title
    try:
        async with _connected(server, seconds) as client:
            async with asyncio.timeout(seconds):
                info = client.server_info
                title = (info.title or info.name or title) if info else title
                cursor = None
                for _ in range(MAX_PAGES):
                    page = await client.list_tools(cursor=cursor)
                    tools += page.tools
                    cursor = page.next_cursor
                    if cursor is None:
                        return title, tools
    except _Unreachable as error:
        raise XlamError(f"MCP server {error}; check its command or address") from None
    except Exception as error:
        detail = hidden(_words(error), server.secrets)
        raise XlamError(f"MCP server {title}: {detail}; it does not list its tools") from None
    raise XlamError(f"MCP server {title}: its list of tools has more than {MAX_PAGES} pages")


def _tool(entry: Any, taken: Mapping[str, Any]) -> RemoteTool:
    """A listed tool in our form.

    Raises
    ------
    Unsupported, SchemaError
        Its parameters cannot be said in our form.
    """
    schema = entry.input_schema
    plain = Schemas(schema).plain(schema)
    if plain.get("type", "object") != "object":
        raise Unsupported("its input is not an object")
    names: dict[str, str] = {}
    properties = {}
    for theirs, child in (plain.get("properties") or {}).items():
        ours = legal_name(theirs, names)
        names[ours], properties[ours] = theirs, child
    required = [ours for ours, theirs in names.items() if theirs in plain.get("required", ())]
    if set(plain.get("required", ())) - set(names.values()):
        raise Unsupported("it requires parameters that it does not describe")
    flat = flat_parameters({"properties": properties, "required": required})
    description = " ".join((entry.description or entry.title or "").split())
    return RemoteTool(Tool(legal_name(entry.name, taken, dots=True), description, flat), entry.name, names)


def _command(server: Sequence[str] | str) -> tuple[str, ...]:
    try:
        command = tuple(shlex.split(server) if isinstance(server, str) else server)
    except ValueError as error:
        raise ProfileError(f"MCP server {server!r}: is no command ({error}); pair the quotes") from None
    if not command or not command[0]:
        raise ProfileError("MCP server: the command is empty; give the program and its arguments")
    return command


def _words(error: BaseException) -> str:
    """What an error says; of a group of errors, what the first does."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}".rstrip(": ")


def _package() -> None:
    try:
        import mcp  # noqa: F401
    except ImportError as error:
        raise ProfileError(
            f"from_mcp needs the package mcp ({error}); install it: pip install 'xlam-book[mcp]'"
        ) from None
