"""A REST API on 127.0.0.1 that misbehaves on demand: each path is one way to answer; requests are kept."""

from __future__ import annotations

import gzip
import json
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

JSON = {"Content-Type": "application/json"}
BODIES: dict[str, tuple[bytes, dict[str, str]]] = {
    "good": (b'{"a": [1, 2.5, null, "\xc3\xa9"]}', JSON),
    "bad": (b'{"a": ', JSON),
    "html": (b"<html>Log in, please</html>", {"Content-Type": "text/html"}),
    "mislabelled": (b'{"a": 1}', {"Content-Type": "text/html; charset=utf-8"}),
    "text": ("grüß".encode("latin-1"), {"Content-Type": "text/plain; charset=iso-8859-1"}),
    "not-utf8": (b"\xff\xfe\xfa", {"Content-Type": "text/plain"}),
    "odd-charset": (b"abc", {"Content-Type": "text/plain; charset=klingon"}),
    "empty": (b"", JSON),
    "unlabelled": (b"[1]", {}),
    "nan": (b"[NaN]", JSON),
    "half-pair": (rb'["\ud800"]', JSON),
    "deep": (b"[" * 100_000 + b"]" * 100_000, JSON),
    "bom": (b"\xef\xbb\xbf[1]", JSON),
    "problem": (b'{"title": "x"}', {"Content-Type": "application/problem+json"}),
    "gzip": (gzip.compress(b'{"zipped": true}'), {**JSON, "Content-Encoding": "gzip"}),
    "torn-gzip": (gzip.compress(b'{"zipped": true}')[:-6], {**JSON, "Content-Encoding": "gzip"}),
    "false-gzip": (b'{"zipped": false}', {**JSON, "Content-Encoding": "gzip"}),
    "brotli": (b"\x0b\x02\x80{}\x03", {**JSON, "Content-Encoding": "br"}),
    "bomb": (gzip.compress(b"[" + b" " * 30_000_000 + b"]"), {**JSON, "Content-Encoding": "gzip"}),
}


@dataclass
class Server:
    """A running server: its address, what it was asked, how much it sent, the most requests at one time."""

    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    at_once: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    stop: threading.Event = field(default_factory=threading.Event)


class _Threads(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that stop reading leave broken pipes behind."""


@contextmanager
def serve() -> Iterator[Server]:
    """A server for as long as the block lasts."""
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def reply(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            if status not in (204, 304):
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD" and status != 204:
                self.wfile.write(body)

        def reset(self) -> None:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True

        def handle_any(self) -> None:
            if server.stop.is_set():  # a stopped server's threads live on; its connections shall not
                return self.reset()
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            with server.lock:
                server.asked.append(
                    {
                        "method": self.command,
                        "target": self.path,
                        "headers": {name.lower(): value for name, value in self.headers.items()},
                        "body": body.decode(),
                    }
                )
                server.times.append(time.monotonic())
                server.counts[self.path] += 1
                count = server.counts[self.path]
                server.at_once += 1
                server.most_at_once = max(server.most_at_once, server.at_once)
            try:
                self.route(self.path.partition("?")[0].strip("/").split("/"), count)
            finally:
                with server.lock:
                    server.at_once -= 1

        def route(self, parts: list[str], count: int) -> None:
            match parts:
                case ["status", status]:
                    body = json.dumps({"status": int(status), "key": self.headers.get("Authorization")})
                    self.reply(int(status), body.encode(), JSON)
                case ["body", name]:
                    self.reply(200, *BODIES[name])
                case ["busy", status, wait, times, _]:
                    if count <= int(times):
                        self.reply(int(status), b"busy", {"Retry-After": wait} if wait != "none" else {})
                    else:
                        self.reply(200, b'"at last"', JSON)
                case ["hop", "0"]:
                    self.reply(200, b'"there"', JSON)
                case ["hop", number]:
                    self.reply(302, b"", {"Location": f"/hop/{int(number) - 1}"})
                case ["loop"]:
                    self.reply(307, b"", {"Location": "/loop"})
                case ["away"]:
                    self.reply(
                        301, b"", {"Location": server.url.replace("127.0.0.1", "localhost") + "/hop/0"}
                    )
                case ["lost"]:
                    self.reply(301)
                case ["sleep", seconds]:
                    time.sleep(float(seconds))
                    self.reply(200, b'"slept"', JSON)
                case ["drip"]:
                    self.send_response(200)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", "100000")
                    self.end_headers()
                    while not server.stop.is_set():
                        self.wfile.write(b" ")
                        time.sleep(0.02)
                case ["flood"]:
                    self.send_response(200)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Connection", "close")
                    self.end_headers()
                    self.close_connection = True
                    while not server.stop.is_set() and server.sent < 1 << 30:
                        self.wfile.write(b" " * 65536)
                        server.sent += 65536
                case ["reset"]:
                    self.reset()
                case ["torn"]:
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n[1,")
                    self.reset()
                case ["once-reset", _]:
                    if count == 1:
                        self.reset()
                    else:
                        self.reply(200, b'"second"', JSON)
                case ["cookie"]:
                    self.reply(200, b"1", {**JSON, "Set-Cookie": f"visit={count}; Path=/"})
                case _:
                    self.reply(200, json.dumps(server.asked[-1]).encode(), JSON)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with _Threads(("127.0.0.1", 0), Handler) as threads:
        server.url = f"http://127.0.0.1:{threads.server_port}"
        thread = threading.Thread(target=threads.serve_forever, args=(0.02,), daemon=True)
        thread.start()

        def watch() -> None:
            server.stop.wait()
            threads.shutdown()
            threads.server_close()

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield server
        finally:
            server.stop.set()
            watcher.join()
            thread.join()
