"""ToolQuery's services over HTTP, tried on a local server; recordings repeat them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from xlam_lib.agents.loop import run
from xlam_lib.agents.scripted import Oracle
from xlam_lib.environments import toolquery_academia, toolquery_movie, toolquery_weather
from xlam_lib.environments.toolquery import Services, ToolQuery
from xlam_lib.environments.toolquery_base import ServiceError
from xlam_lib.environments.toolquery_live import OPEN_METEO, TMDB, Live, Recorded
from xlam_lib.errors import ArtifactError, ProfileError

KEY = "TOOLQUERY_TEST_KEY"


@dataclass
class Server:
    url: str = ""
    asked: list[tuple[str, str | None]] = field(default_factory=list)


def _answer(path: str, params: dict[str, Any]) -> tuple[int, bytes]:
    """The embedded world's answers under the services' addresses, and some bad manners."""
    bad = {
        "/bad/json": (200, b'{"a": '),
        "/bad/deep": (200, b"[" * 200_000),
        "/bad/long": (200, b'"' + b"x" * 300_000 + b'"'),
        "/bad/busy": (503, b"come back later"),
        "/bad/moved": (302, b""),
        "/bad/none": (404, b"no such thing " * 100),
        "/bad/pair": (200, rb'{"a": "\ud800"}'),
    }
    if path in bad:
        return bad[path]
    for key in ("latitude", "longitude"):
        if key in params:
            params[key] = float(params[key])
    try:
        if path.startswith("/3/"):
            value = toolquery_movie.invented().get("tmdb", path.removeprefix("/3"), params)
        else:
            value = toolquery_weather.invented().get(path.strip("/"), "", params)
    except ServiceError as error:
        return 404, str(error).encode()
    return 200, json.dumps(value).encode()


@contextmanager
def serve() -> Iterator[Server]:
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            server.asked.append((self.path, self.headers["Authorization"]))
            status, body = _answer(parts.path, dict(parse_qsl(parts.query)))
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "/3/movie/8839")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    server.url = f"http://127.0.0.1:{httpd.server_address[1]}"
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve() as running:
        yield running


def services(server: Server, folder: Path, live: bool = True) -> Services:
    urls = {service: f"{server.url}/{service}" for service in OPEN_METEO}
    weather = Live(urls) if live else None
    movie = Live({"tmdb": f"{server.url}/3"}, KEY) if live else None
    return Services(
        Recorded(folder / "weather.jsonl", weather),
        Recorded(folder / "movie.jsonl", movie),
        toolquery_academia.invented(),
    )


def test_live_services_solve_the_tasks_and_a_recording_repeats_them(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY, "s3cret-token")
    embedded = ToolQuery.embedded()
    tasks = [task for task in embedded.tasks() if task.meta["domain"] != "academia"]
    environment = ToolQuery(tasks, services(server, tmp_path), "the local server")
    server.asked.clear()
    first = run(environment, Oracle(environment))
    assert all(episode.result.success for episode in first)
    assert {key for path, key in server.asked if path.startswith("/3/")} == {"Bearer s3cret-token"}
    assert {key for path, key in server.asked if not path.startswith("/3/")} == {None}
    assert b"s3cret" not in (tmp_path / "movie.jsonl").read_bytes()
    assert first == run(embedded, Oracle(embedded), tasks), (
        "a live service and the embedded one look the same"
    )

    monkeypatch.delenv(KEY)
    count = len(server.asked)
    replayed = ToolQuery(tasks, services(server, tmp_path, live=False), "the recording")
    assert run(replayed, Oracle(replayed)) == first
    assert len(server.asked) == count


@pytest.mark.parametrize(
    ("path", "message", "lasting"),
    [
        ("json", "not JSON", False),
        ("deep", "not JSON", False),
        ("pair", "not JSON", False),
        ("long", "did not answer", False),
        ("busy", r"refused \(503\): come back", False),
        ("moved", r"refused \(302\)", False),
        ("none", r"refused \(404\)", True),
    ],
)
def test_bad_answers_are_service_errors(server: Server, path: str, message: str, lasting: bool) -> None:
    live = Live({"tmdb": f"{server.url}/bad"}, max_bytes=250_000)
    with pytest.raises(ServiceError, match=message) as caught:
        live.get("tmdb", f"/{path}", {})
    assert caught.value.lasting == lasting
    assert len(str(caught.value)) < 400


def test_servers_that_are_not_there_and_names_no_address_can_hold() -> None:
    gone = Live({"tmdb": "http://127.0.0.1:9/3"}, timeout_s=2)
    for params in ({}, {"query": "\ud800"}, {"query": "\x00"}):
        with pytest.raises(ServiceError, match="did not answer"):
            gone.get("tmdb", "/search/movie", params)
    with pytest.raises(ServiceError, match="no weather service"):
        gone.get("weather", "", {})


def test_keys_and_addresses_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY, raising=False)
    with pytest.raises(ProfileError, match=KEY):
        Live(TMDB, KEY)
    with pytest.raises(ProfileError, match="no address"):
        Live({"tmdb": "api.themoviedb.org"})


class Counting:
    """A source that counts, and answers by path."""

    def __init__(self) -> None:
        self.count = 0

    def get(self, service: str, path: str, params: Any) -> Any:
        self.count += 1
        if path == "/down":
            raise ServiceError("down")
        if path == "/unknown":
            raise ServiceError("unknown", lasting=True)
        return {"odd": "é\x00", "path": path}


def test_recordings_keep_what_lasts(tmp_path: Path) -> None:
    file, source = tmp_path / "kept" / "answers.jsonl", Counting()
    recorded = Recorded(file, source)
    for _ in range(2):
        assert recorded.get("s", "/a", {"q": 1})["path"] == "/a"
        with pytest.raises(ServiceError, match="unknown"):
            recorded.get("s", "/unknown", {})
    assert source.count == 2
    for _ in range(2):
        with pytest.raises(ServiceError, match="down"):
            recorded.get("s", "/down", {})
    assert source.count == 4, "a service that is down is asked again"
    recorded.get("s", "/a", {"q": 2})
    recorded.get("s", "/a", {"q": "\ud800"})
    with file.open("ab") as half:
        half.write(b'{"key": "torn')
    again = Recorded(file)
    assert again.get("s", "/a", {"q": 2})["odd"] == "é\x00"
    assert again.get("s", "/a", {"q": "\ud800"})["path"] == "/a"
    with pytest.raises(ServiceError, match="not in the recording"):
        again.get("s", "/a", {"q": 3})
    with pytest.raises(ServiceError, match="unknown"):
        again.get("s", "/unknown", {})


def test_recordings_that_cannot_be_written_say_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    recorded = Recorded(tmp_path / "file" / "answers.jsonl", Counting())
    with pytest.raises(ArtifactError, match=r"answers\.jsonl: cannot be written"):
        recorded.get("s", "/a", {})
