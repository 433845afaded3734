"""A local server in the place of RapidAPI: each call is answered from a cache, else from a template.

It speaks the protocol of StableToolBench's virtual API server (one address, ``POST /virtual``, with the
category, tool, API and arguments of a call) and reads the same cache folders,
``category/tool_for_category/api.json``, whose keys are argument dictionaries as Python prints them. Where the
cache has no answer, the API's ``template_response`` gives the shape of one: it says ``"int"`` where a number
stood, and the server puts a stand-in there, always the same one for the same call. No API is reached and no
model is asked.

The server is a process of its own, on the loopback address and a port that was free. It ends when its owner
closes it or dies: it reads its settings from the standard input, and that input's end is its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Mapping
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec

from xlam_lib.errors import ArtifactError
from xlam_lib.records import write_text

MAX_BODY = 1 << 20  # bytes of a request; a call's arguments are a few hundred
MAX_ITEMS = 3  # of a list that a template describes
MAX_DEPTH = 64  # of a template, or of arguments
START_S = 30  # seconds that a server may take to say its port
_STALLED_S = 10  # seconds that a client may keep a connection without sending
_LIST = re.compile(r"list of (\w+) with length (\d{1,6})")
_LENGTH = "_list_length"


class Api(msgspec.Struct):
    """What the server knows of an API.

    Attributes
    ----------
    category, tool, api
        Its place in a cache, in the spelling of folders (:func:`category_folder` for the first).
    order
        Its parameters in the declared order.
    template
        The shape of an answer, or ``None`` where there is none.
    answers
        Known responses by argument dictionary as Python prints it, as in a file of the cache.
    """

    category: str
    tool: str
    api: str
    order: list[str] = []
    template: Any = None
    answers: dict[str, Any] = {}


class Settings(msgspec.Struct):
    """What a server is started with: its APIs, the user's cache folder and where it records its answers."""

    apis: list[Api]
    cache: str | None = None
    record: str | None = None
    port: int = 0


def category_folder(category: str) -> str:
    """The folder of a category: ``Video, Images`` lies in ``Video_Images``."""
    name = re.sub(r"[ ,/]", "_", category)
    return name.replace("__", "_")


# Answers --------------------------------------------------------------------------------------------------


class Answers:
    """Finds the answer to a call; the part of the server that is no HTTP."""

    def __init__(self, settings: Settings) -> None:
        self.apis = {(api.category, api.tool, api.api): api for api in settings.apis}
        self.cache = Path(settings.cache) if settings.cache else None
        self.record = Path(settings.record) if settings.record else None
        self._writing = threading.Lock()

    def answer(self, category: str, tool: str, api: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """``{"error": ..., "response": ...}``, as the virtual server has it.

        Raises
        ------
        ArtifactError
            A file of the cache is damaged, or the answer cannot be recorded.
        """
        known = self.apis.get((category_folder(category), tool, api))
        if known is None:
            return _failed(f"there is no API {api!r} of the tool {tool!r} in the category {category!r}")
        reply = self._cached(known, arguments)
        if reply is None:
            if known.template is None:
                return _failed(f"no answer of {api} is known: neither in the cache nor as a template")
            seed = json.dumps([category, tool, api, arguments], sort_keys=True)
            reply = {"error": "", "response": fill(known.template, arguments, seed)}
        self._keep(known, arguments, reply)
        return reply

    def _cached(self, api: Api, arguments: dict[str, Any]) -> dict[str, Any] | None:
        declared = [name for name in api.order if name in arguments]
        ordered = {name: arguments[name] for name in [*declared, *(set(arguments) - set(declared))]}
        for key in (str(arguments), str(ordered)):
            if key in api.answers:
                return {"error": "", "response": api.answers[key]}
            if self.cache is not None:
                found = _cache_file(_file_of(self.cache, api)).get(key)
                if found is not None:
                    return found
        return None

    def _keep(self, api: Api, arguments: dict[str, Any], reply: dict[str, Any]) -> None:
        if self.record is None:
            return
        path = _file_of(self.record, api)
        with self._writing:
            kept = _cache_file(path)
            if kept.get(str(arguments)) != reply:
                write_text(path, json.dumps({**kept, str(arguments): reply}, indent=1))


def _file_of(folder: Path, api: Api) -> Path:
    path = folder / api.category / f"{api.tool}_for_{api.category}" / f"{api.api}.json"
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ArtifactError(f"{path}: the API's name leads out of {folder}; correct the file of queries")
    return path


def _cache_file(path: Path) -> dict[str, dict[str, Any]]:
    try:
        stamp = path.stat().st_mtime_ns
    except OSError:  # also a name too long for a file
        return {}
    return _read_cache(path, stamp)


@lru_cache(maxsize=512)
def _read_cache(path: Path, stamp: int) -> dict[str, dict[str, Any]]:
    try:
        value = json.loads(path.read_bytes())
    except (ValueError, RecursionError, OSError) as error:
        raise ArtifactError(f"{path}: cannot be read ({error}); copy it again or delete it") from None
    if not isinstance(value, dict):
        raise ArtifactError(f"{path}: is no map of arguments to answers; copy it again or delete it")
    return {
        key: {"error": str(reply.get("error", "")), "response": reply["response"]}
        for key, reply in value.items()
        if isinstance(reply, dict) and "response" in reply
    }


def _failed(reason: str) -> dict[str, Any]:
    return {"error": reason, "response": ""}


def fill(template: Any, arguments: Mapping[str, Any], seed: str) -> Any:
    """A response of a template's shape; the same seed gives the same one.

    Strings are the argument of the same name where there is one, else the field's name and a number, so that
    nobody takes them for facts. Lists have as many entries as the template says, at most :data:`MAX_ITEMS`.
    """
    if isinstance(template, str) and template[:1] in "{[":
        with contextlib.suppress(ValueError, RecursionError):
            template = json.loads(template)
    return _fill(template, arguments, seed, "value", 0)


def _fill(template: Any, arguments: Mapping[str, Any], seed: str, field: str, depth: int) -> Any:
    if depth > MAX_DEPTH:
        return None
    if isinstance(template, dict):
        return {
            key: _fill(child, arguments, f"{seed}/{key}", key, depth + 1)
            for key, child in template.items()
            if key != _LENGTH
        }
    if isinstance(template, list):
        if len(template) == 1 and isinstance(template[0], str) and _LIST.fullmatch(template[0]):
            return _fill(template[0], arguments, seed, field, depth)
        length = len(template)
        if length == 1 and isinstance(template[0], dict) and isinstance(template[0].get(_LENGTH), int):
            length = min(template[0][_LENGTH], MAX_ITEMS)
        children = template if length == len(template) else template * max(length, 0)
        return [
            _fill(child, arguments, f"{seed}/{place}", field, depth + 1)
            for place, child in enumerate(children[: max(length, 0)])
        ]
    if isinstance(template, str):
        return _stand_in(template, arguments, seed, field, depth)
    return template


def _stand_in(kind: str, arguments: Mapping[str, Any], seed: str, field: str, depth: int) -> Any:
    number = int.from_bytes(hashlib.sha256(seed.encode("utf-8", "replace")).digest()[:4])
    if kind == "str":
        given = arguments.get(field)
        return given if isinstance(given, str) else f"{field} {number % 900 + 100}"
    if kind == "int":
        return number % 500
    if kind == "float":
        return number % 50_000 / 100
    if kind == "bool":
        return number % 2 == 0
    if kind == "NoneType":
        return None
    if kind == "empty list":
        return []
    if described := _LIST.fullmatch(kind):
        return [
            _fill(described[1], arguments, f"{seed}/{place}", field, depth + 1)
            for place in range(min(int(described[2]), MAX_ITEMS))
        ]
    return kind


# The process ----------------------------------------------------------------------------------------------


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that was killed leaves a broken connection behind."""


def _handler(answers: Answers) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        timeout = _STALLED_S

        def reply(self, status: int, value: dict[str, Any]) -> None:
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            if status in (411, 413):  # the body was not read and would pass for the next request
                self.send_header("Connection", "close")
                self.close_connection = True
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if not length.isdecimal() or len(length) > 12:
                return self.reply(411, _failed("the request has no length"))
            if int(length) > MAX_BODY:
                return self.reply(413, _failed(f"the request is longer than {MAX_BODY} bytes"))
            body = self.rfile.read(int(length))
            if self.path != "/virtual":
                return self.reply(404, _failed("calls go to /virtual"))
            try:
                call = json.loads(body)
                given = call["tool_input"]
                arguments = json.loads(given or "{}") if isinstance(given, str) else given
                names = [str(call[key]) for key in ("category", "tool_name", "api_name")]
                if not isinstance(arguments, dict):
                    raise TypeError("tool_input is no object")
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                return self.reply(400, _failed(f"the request is no call: {error}"))
            try:
                self.reply(200, answers.answer(names[0], names[1], names[2], arguments))
            except ArtifactError as error:
                self.reply(507, _failed(str(error)))
            except (ValueError, RecursionError) as error:
                self.reply(400, _failed(f"the call cannot be answered: {error}"))

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    return Handler


def main() -> None:
    """Serve until the standard input ends; the first line of it holds the settings, the port goes out."""
    settings = msgspec.json.decode(sys.stdin.buffer.readline(), type=Settings)
    with _Server(("127.0.0.1", settings.port), _handler(Answers(settings))) as server:
        print(server.server_port, flush=True)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        while os.read(sys.stdin.fileno(), 1024):
            pass
        server.shutdown()


class ToolServer:
    """A server process and its address; also a context manager.

    It starts at the first :meth:`url` that is asked for and ends with :meth:`close`, or with this process.
    """

    def __init__(
        self, apis: list[Api], cache: str | Path | None = None, record: str | Path | None = None
    ) -> None:
        """A server of ``apis`` that answers from ``cache`` first and keeps its answers below ``record``.

        Raises
        ------
        ArtifactError
            The cache folder does not exist.
        """
        if cache is not None and not Path(cache).is_dir():
            raise ArtifactError(f"{cache}: no such folder; give the folder of StableToolBench's cache")
        self.settings = Settings(
            apis,
            str(Path(cache).resolve()) if cache is not None else None,
            str(Path(record).resolve()) if record is not None else None,
        )
        self.process: subprocess.Popen[bytes] | None = None
        self._port = 0

    def url(self) -> str:
        """The address that calls go to; starts the server if it never ran or was closed."""
        if self.process is None:
            self.start()
        return f"http://127.0.0.1:{self._port}/virtual"

    @property
    def running(self) -> bool:
        """Whether there is a process that has not ended."""
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start a server, after ending the one before; this is also how to go on after one was killed.

        Raises
        ------
        ArtifactError
            The process ended at once, or said no port in :data:`START_S` seconds.
        """
        self.close()
        process = subprocess.Popen(
            [sys.executable, "-m", "xlam_lib.environments.toolbench_server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        assert process.stdin is not None and process.stdout is not None
        late = threading.Timer(START_S, process.kill)
        late.start()
        try:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(msgspec.json.encode(self.settings) + b"\n")
                process.stdin.flush()
            said = process.stdout.readline().strip()
        finally:
            late.cancel()
        self.process = process
        if not said.isdigit():
            self.close()
            raise ArtifactError(
                f"the local server of tools did not start (exit status {process.returncode}); "
                "its message stands above"
            )
        self._port = int(said)

    def close(self) -> None:
        """End the server, if there is one; the next :meth:`url` starts another."""
        process, self.process = self.process, None
        if process is None:
            return
        assert process.stdin is not None and process.stdout is not None
        with contextlib.suppress(OSError):
            process.stdin.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()

    def __enter__(self) -> ToolServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


if __name__ == "__main__":
    main()
