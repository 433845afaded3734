"""Calls as HTTP requests: judged by status code, unharmed by what a server does, arguments stay data."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
import tracemalloc
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import rest_server
from xlam_lib.errors import ProfileError, XlamError
from xlam_lib.schema import Tool
from xlam_lib.synthesis import Limits, Outcome
from xlam_lib.synthesis.rest import Key, Operation, Place, RestExecutor

ARRAY = {"type": "array", "items": {"type": "string"}}


def operation(path: str, method: str = "GET", json: dict[str, bool] | None = None, **more: Any) -> Operation:
    """An operation whose arguments are the braces in its path."""
    names = [part.strip("{}") for part in path.split("/") if part.startswith("{")]
    tool = Tool("f", "", {name: {"type": "string", "required": True} for name in names})
    places = {name: Place("path", name, "simple") for name in names}
    return Operation(tool, method, path, places, json=json or {}, **more)


OPERATIONS = {
    "status": operation("/status/{code}"),
    "post": operation("/status/{code}", "POST"),
    "head": operation("/status/{code}", "HEAD"),
    "loop_post": operation("/loop", "POST"),
    "body": operation("/body/{name}"),
    "promised": operation("/body/{name}", json={"2XX": True}),
    "busy": operation("/busy/{status}/{wait}/{times}/{mark}"),
    "hop": operation("/hop/{n}"),
    "sleep": operation("/sleep/{s}"),
    "once": operation("/once-reset/{mark}"),
    "once_post": operation("/once-reset/{mark}", "POST"),
    **{name: operation("/" + name) for name in ("loop", "away", "lost", "drip", "flood", "reset", "torn")},
    "cookie": operation("/cookie"),
    "echo": Operation(
        Tool(
            "echo",
            "",
            {
                "id": {"type": "string", "required": True},
                "q": {"type": "string"},
                "flag": {"type": "boolean"},
                "number": {"type": "number"},
                "many": ARRAY,
                "joined": ARRAY,
                "piped": ARRAY,
                "filter": {"type": "object", "properties": {"max": {"type": "integer"}}},
                "raw": {"type": "object"},
                "head": {"type": "string"},
                "crumb": {"type": "string"},
            },
        ),
        "GET",
        "/echo/{id}/end",
        {
            "id": Place("path", "id", "simple"),
            "q": Place("query", "q"),
            "flag": Place("query", "flag"),
            "number": Place("query", "number"),
            "many": Place("query", "many", "form", True),
            "joined": Place("query", "joined", "form", False),
            "piped": Place("query", "piped", "pipeDelimited", False),
            "filter": Place("query", "filter", "deepObject", True),
            "raw": Place("query", "raw", "json"),
            "head": Place("header", "X-Head", "simple"),
            "crumb": Place("cookie", "crumb"),
        },
    ),
    "make": Operation(
        Tool("make", "", {"title": {"type": "string"}, "tags": ARRAY}),
        "POST",
        "/echo/make",
        {"title": Place("body", "title"), "tags": Place("body", "the tags")},
        body_required=True,
    ),
}


@pytest.fixture(scope="module")
def server():
    with rest_server.serve() as server:
        yield server


def executor(server: rest_server.Server, **settings: Any) -> RestExecutor:
    settings.setdefault("limits", Limits(seconds=2.0, output=100_000))
    return RestExecutor(server.url, OPERATIONS, **settings)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (("status", {"code": "200"}), ""),
        (("status", {"code": "201"}), ""),
        (("status", {"code": "400"}), "HTTP client error"),
        (("status", {"code": "404"}), "HTTP client error"),
        (("status", {"code": "422"}), "HTTP client error"),
        (("status", {"code": "500"}), "HTTP server error"),
        (("status", {"code": "503"}), "HTTP server error"),
        (("status", {"code": "301"}), "redirected"),
        (("status", {"code": "304"}), "redirected"),
        (("lost", {}), "redirected"),
        (("loop", {}), "redirected"),
        (("away", {}), "redirected"),
        (("hop", {"n": "4"}), "redirected"),
        (("reset", {}), "connection failed"),
        (("torn", {}), "connection failed"),
        (("flood", {}), "output limit exceeded"),
        (("body", {"name": "bomb"}), "output limit exceeded"),
        (("body", {"name": "bad"}), "response is not JSON"),
        (("body", {"name": "nan"}), "response is not JSON"),
        (("body", {"name": "half-pair"}), "response is not JSON"),
        (("body", {"name": "deep"}), ("response is not JSON", "output limit exceeded")),
        (("body", {"name": "empty"}), "response is not JSON"),
        (("promised", {"name": "html"}), "response is not JSON"),
        (("body", {"name": "not-utf8"}), "response cannot be read"),
        (("body", {"name": "odd-charset"}), "response cannot be read"),
        (("body", {"name": "torn-gzip"}), "response cannot be read"),
        (("body", {"name": "false-gzip"}), "response cannot be read"),
        (("body", {"name": "brotli"}), "response cannot be read"),
        (("nothing", {}), "undefined function invoked"),
        (("status", {}), "required argument missing"),
        (("status", {"code": 200}), "incorrect argument type"),
        (("status", {"code": "200", "x": 1}), "undefined argument passed"),
        (("status", ["200"]), "incorrect argument type"),
    ],
)
def test_every_response_has_its_phrase(server, call, error):
    with executor(server) as pool:
        (outcome,) = pool.run([call])
    assert outcome.error in ((error,) if isinstance(error, str) else error), outcome
    assert bool(outcome.detail) == bool(error)
    if error:
        assert outcome.ok is None
    assert server.sent < 64 << 20  # the flood was left, not drunk up


def test_a_compressed_bomb_does_not_go_off(server):
    with executor(server) as pool:
        tracemalloc.start()
        try:
            (outcome,) = pool.run([("body", {"name": "bomb"})])
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert outcome.error == "output limit exceeded" and peak < 10_000_000


@pytest.mark.parametrize(
    ("call", "value"),
    [
        (("status", {"code": "204"}), {"status": 204}),
        (("head", {"code": "200"}), {"status": 200}),
        (("hop", {"n": "3"}), "there"),
        (("body", {"name": "good"}), {"a": [1, 2.5, None, "é"]}),
        (("body", {"name": "gzip"}), {"zipped": True}),
        (("body", {"name": "text"}), "grüß"),
        (("body", {"name": "html"}), "<html>Log in, please</html>"),
        (("promised", {"name": "mislabelled"}), {"a": 1}),
        (("body", {"name": "unlabelled"}), [1]),
        (("body", {"name": "bom"}), [1]),
        (("body", {"name": "problem"}), {"title": "x"}),
        (("once", {"mark": "get"}), "second"),
        (("busy", {"status": "429", "wait": "0", "times": "2", "mark": "a"}), "at last"),
        (("busy", {"status": "503", "wait": "0", "times": "4", "mark": "b"}), "at last"),
        (("busy", {"status": "429", "wait": "none", "times": "1", "mark": "c"}), "at last"),
    ],
)
def test_what_a_good_response_gives(server, call, value):
    with executor(server) as pool:
        (outcome,) = pool.run([call])
    assert (outcome.ok, outcome.error, outcome.detail) == (value, "", "")


def test_a_server_that_stays_busy_is_told_from_a_wrong_call(server):
    with executor(server) as pool:
        first, second, third = pool.run(
            [
                ("busy", {"status": "429", "wait": "0", "times": "99", "mark": "d"}),
                ("busy", {"status": "503", "wait": "0", "times": "99", "mark": "e"}),
                ("busy", {"status": "429", "wait": "86400", "times": "99", "mark": "f"}),
            ]
        )
    assert [o.error for o in (first, second, third)] == ["rate limited", "HTTP server error", "rate limited"]
    assert server.counts["/busy/429/0/99/d"] == 5 and server.counts["/busy/429/86400/99/f"] == 1
    assert pool.traffic.retries == 8


def test_retry_after_is_waited_for(server):
    with executor(server) as pool:
        started = time.monotonic()
        (outcome,) = pool.run([("busy", {"status": "503", "wait": "1", "times": "1", "mark": "g"})])
    assert outcome.ok == "at last" and time.monotonic() - started >= 0.99


def test_an_unsafe_call_is_not_repeated_when_its_connection_breaks(server):
    with executor(server) as pool:
        (outcome,) = pool.run([("once_post", {"mark": "post"})])
    assert outcome.error == "connection failed" and server.counts["/once-reset/post"] == 1


def test_late_answers_and_dripping_bodies_end_in_time(server):
    with executor(server, limits=Limits(seconds=0.3)) as pool:
        started = time.monotonic()
        late, dripping, well = pool.run([("sleep", {"s": "1"}), ("drip", {}), ("status", {"code": "200"})])
    assert (late.error, dripping.error, well.error) == ("time-out", "time-out", "")
    assert time.monotonic() - started < 1


def test_another_host_is_never_asked(server):
    before = server.counts["/hop/0"]
    with executor(server, headers={"X-Secret": "s3cret-token"}) as pool:
        (outcome,) = pool.run([("away", {})])
    assert outcome.error == "redirected" and "localhost" in outcome.detail
    assert server.counts["/hop/0"] == before


def test_redirects_of_unsafe_methods_are_not_followed(server):
    with executor(server) as pool:
        (outcome,) = pool.run([("loop_post", {})])
    assert outcome.error == "redirected" and "only GET" in outcome.detail


def echoed(server: rest_server.Server, **arguments: Any) -> dict[str, Any]:
    with executor(server) as pool:
        (outcome,) = pool.run([("echo", arguments)])
    assert not outcome.error, outcome
    return outcome.ok


def test_every_place_gets_its_argument(server):
    seen = echoed(
        server,
        id="Żółw/1?x=#%2F",
        q="a&b=c +;",
        flag=True,
        number=2.5,
        many=["x,y", "z"],
        joined=["x,y", "z"],
        piped=["p|q", "r"],
        filter={"max": 3},
        raw={"deep": [1, {"é": None}]},
        head="plain text, 1",
        crumb="a;b=ü",
    )
    path, _, query = seen["target"].partition("?")
    assert path == "/echo/%C5%BB%C3%B3%C5%82w%2F1%3Fx%3D%23%252F/end"
    assert query.split("&") == [
        "q=a%26b%3Dc%20%2B%3B",
        "flag=true",
        "number=2.5",
        "many=x%2Cy",
        "many=z",
        "joined=x%2Cy,z",
        "piped=p%7Cq%7Cr",
        "filter%5Bmax%5D=3",
        "raw=%7B%22deep%22%3A%5B1%2C%7B%22%C3%A9%22%3Anull%7D%5D%7D",
    ]
    assert seen["headers"]["x-head"] == "plain text, 1"
    assert seen["headers"]["cookie"] == "crumb=a%3Bb%3D%C3%BC"


def test_a_body_is_json_under_the_names_of_the_service(server):
    with executor(server) as pool:
        full, empty = pool.run([("make", {"title": "Café", "tags": ["a"]}), ("make", {})])
    assert json.loads(full.ok["body"]) == {"title": "Café", "the tags": ["a"]}
    assert empty.ok["body"] == "{}" and empty.ok["headers"]["content-type"] == "application/json"


@pytest.mark.parametrize(
    "arguments",
    [
        {"id": ""},
        {"id": ".."},
        {"id": "."},
        {"id": "../../admin"},
        {"id": "a\\..\\b"},
        {"id": "%2e%2e/.."},
        {"id": "x" * 70_000},
        {"id": "\ud800"},
        {"id": "a", "head": "a\r\nHost: elsewhere"},
        {"id": "a", "head": "a\nb"},
        {"id": "a", "head": "naïve"},
        {"id": "a", "head": ""},
        {"id": "a", "q": "\udfff"},
    ],
)
def test_arguments_that_would_change_the_request_are_not_sent(server, arguments):
    asked = len(server.asked)
    with executor(server) as pool:
        (outcome,) = pool.run([("echo", arguments)])
    assert outcome.error == "argument cannot be sent" and len(server.asked) == asked


@given(
    st.text(max_size=30),
    st.text(max_size=30),
    st.text(max_size=30),
    st.lists(st.text(max_size=8), max_size=3),
)
@settings(max_examples=300, deadline=None)
def test_no_argument_changes_host_path_or_headers(path, query, header, items):
    executor = RestExecutor("http://api.example:81/v1", OPERATIONS)
    arguments = {"id": path, "q": query, "head": header, "many": items, "crumb": query}
    request = executor._request("echo", arguments, None)
    if isinstance(request, Outcome):
        assert request.error == "argument cannot be sent"
        return
    address = urlsplit(request.url)
    assert (address.scheme, address.netloc, address.fragment) == ("http", "api.example:81", "")
    before, middle, after = address.path.rpartition("/end")[0].rpartition("/echo/")
    assert (before, middle, after.count("/")) == ("/v1", "/echo/", 0) and unquote(after) == path
    names = [pair.partition("=")[0] for pair in address.query.split("&")]
    assert names == ["q"] + ["many"] * len(items)
    assert unquote(address.query.split("&")[0].partition("=")[2]) == query
    assert [name for name, _ in request.headers] == ["Accept", "Accept-Encoding", "X-Head", "Cookie"]
    assert not any(set("\r\n\x00") & set(value) for _, value in request.headers)


def test_equal_safe_calls_are_sent_once_and_others_each_time(server):
    server.counts.clear()
    get, post = ("status", {"code": "226"}), ("post", {"code": "226"})
    with executor(server) as pool:
        outcomes = pool.run([get, post, get, post, get])
    assert [outcome.error for outcome in outcomes] == [""] * 5
    assert server.counts["/status/226"] == 3 and pool.traffic.shared == 2


def test_order_holds_whatever_finishes_first_and_concurrency_is_bounded(server):
    server.most_at_once = 0
    calls = [("sleep", {"s": f"0.0{9 - n % 10}{n}"}) for n in range(40)]
    calls[5] = ("nothing", {})
    with executor(server, concurrency=3) as pool:
        outcomes = pool.run([*calls, ("echo", {"id": "last"})])
    assert [bool(o.error) for o in outcomes] == [n == 5 for n in range(41)]
    assert outcomes[-1].ok["target"] == "/echo/last/end"
    assert server.most_at_once == 3


def test_requests_are_spaced_across_runs(server):
    with executor(server, requests_per_second=20) as pool:
        begun = len(server.times)
        for n in range(2):
            pool.run([("echo", {"id": f"{n}-{k}"}) for k in range(3)])
    times = server.times[begun:]
    assert times[-1] - times[0] >= 0.2


def test_cookies_of_the_server_are_not_kept(server):
    with executor(server, concurrency=1) as pool:
        outcomes = pool.run([("cookie", {}), ("echo", {"id": "c"})])
    assert "cookie" not in outcomes[1].ok["headers"]


def test_a_key_is_sent_and_never_shown(server, monkeypatch):
    monkeypatch.setenv("SHOP_KEY", "k3y-of-the-shop")
    bearer, query, basic = Key(), Key("query", "api_key", ""), Key(prefix="Basic ")
    operations = {
        "bearer": operation("/echo/a", key=bearer),
        "query": operation("/echo/b", key=query),
        "basic": operation("/echo/c", key=basic),
        "cookie": operation("/echo/d", key=Key("cookie", "session", "")),
        "wrong": operation("/status/401", key=bearer),
    }
    with RestExecutor(
        server.url, operations, key_env="SHOP_KEY", headers={"X-App": "app-s3cret", "Accept": "text/plain"}
    ) as pool:
        begun = len(server.asked)
        outcomes = pool.run([(name, {}) for name in operations])
    sent = {request["target"][:7]: request for request in server.asked[begun:]}
    assert sent["/echo/a"]["headers"]["authorization"] == "Bearer k3y-of-the-shop"
    assert sent["/echo/b"]["target"] == "/echo/b?api_key=k3y-of-the-shop"
    assert sent["/echo/d"]["headers"]["cookie"] == "session=k3y-of-the-shop"
    encoded = base64.b64encode(b"k3y-of-the-shop").decode()
    assert sent["/echo/c"]["headers"]["authorization"] == f"Basic {encoded}"
    assert sent["/echo/a"]["headers"]["x-app"] == "app-s3cret"
    shown = repr(outcomes)
    assert outcomes[0].ok["headers"]["authorization"] == "Bearer ***" and outcomes[0].ok["headers"]["accept"]
    assert not any(secret in shown for secret in ("k3y", encoded, "s3cret"))
    assert outcomes[-1].error == "HTTP client error"


def test_a_key_that_cannot_be_sent_is_an_error_that_does_not_show_it(server, monkeypatch):
    with executor(server, key_env="NO_SUCH_KEY") as pool, pytest.raises(XlamError, match="NO_SUCH_KEY"):
        pool.run([("echo", {"id": "a"})])
    monkeypatch.setenv("ODD_KEY", "one\r\ntwo")
    with executor(server, key_env="ODD_KEY") as pool, pytest.raises(XlamError) as caught:
        pool.run([("echo", {"id": "a"})])
    assert "two" not in str(caught.value)
    with pytest.raises(ProfileError) as refused:
        executor(server, headers={"X-Key": "one\ntwo"})
    assert "two" not in str(refused.value)


def test_a_server_killed_in_the_middle_loses_no_outcome():
    with rest_server.serve() as server:
        threading.Timer(0.3, server.stop.set).start()
        calls = [("sleep", {"s": f"0.02{n:04}"}) for n in range(300)]
        with executor(server, concurrency=4) as pool:
            outcomes = pool.run(calls)
            again = pool.run(calls[:3])
    good = [not outcome.error for outcome in outcomes]
    assert len(outcomes) == 300 and 0 < sum(good) < 300
    assert {o.error for o in outcomes if o.error} == {"connection failed"}
    assert sum(good[: sum(good)]) >= sum(good) - 4  # the good ones came first
    assert [outcome.error for outcome in again] == ["connection failed"] * 3


def test_it_runs_where_an_event_loop_is_running(server):
    async def cell():
        with executor(server) as pool:
            return pool.run([("status", {"code": "200"})])

    assert asyncio.run(cell())[0].ok["status"] == 200


@pytest.mark.parametrize(
    "settings",
    [
        {"base_url": "api.example.org"},
        {"base_url": "ftp://api.example.org"},
        {"base_url": "https://me:secret@api.example.org"},
        {"base_url": "https://api.example.org?x=1"},
        {"base_url": "http://a", "concurrency": 0},
        {"base_url": "http://a", "requests_per_second": 0},
    ],
)
def test_settings_out_of_range_are_named(settings):
    with pytest.raises(ProfileError) as error:
        RestExecutor(settings.pop("base_url"), {}, **settings)
    assert "secret" not in str(error.value)
