"""The tools of a real MCP server as a library: over standard input and output, and over HTTP."""

from __future__ import annotations

import asyncio
import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from xlam_lib.errors import ProfileError, XlamError
from xlam_lib.synthesis import Limits

pytest.importorskip("mcp")
from xlam_lib.synthesis.importers.mcp import from_mcp

SERVER = Path(__file__).parent / "mcp_server.py"
COMMAND = [sys.executable, str(SERVER)]
PLAIN = [sys.executable, "-E", "-S", str(SERVER.with_name("mcp_plain_server.py"))]


@pytest.fixture(scope="module")
def orchard():
    return from_mcp(COMMAND, unsafe=True)


def test_tools_become_functions(orchard):
    assert orchard.name == "Orchard"
    assert orchard.skipped == {"plant": "its schema contains itself (#/$defs/Tree)"}
    count = orchard.functions["count_trees"].tool
    assert count.description == "Count the trees of a kind."
    assert count.parameters["kind"] == {
        "description": "Kind of tree.",
        "enum": ["apple", "pear", "plum"],
        "type": "string",
        "required": True,
    }
    assert count.parameters["rows"]["default"] == 2 and count.parameters["rows"]["required"] is False
    plot = orchard.functions["plot_area"].tool.parameters
    assert plot["plot"]["properties"]["width"] == {"type": "number", "required": True}
    assert plot["unit"]["type"] == ["string", "null"]
    assert "weather.note_today" in orchard.functions


def test_calls_run_in_order_and_each_failure_has_its_phrase(orchard):
    calls = [
        ("count_trees", {"kind": "apple", "rows": 3}),
        ("count_trees", {"kind": "fig"}),
        ("nothing", {}),
        ("plot_area", {"plot": {"width": 2, "length": 3.5}}),
        ("weather.note_today", {"town": "Łódź"}),
        ("json_text", {"size": 3}),
        ("json_text", {"size": 4000}),
        ("refuse", {"reason": "x"}),
        ("picture", {"name": "x"}),
        ("count_trees", {"kind": "plum"}),
    ]
    with orchard.open(1, Limits(seconds=20, output=2000)) as pool:
        outcomes = pool.run(calls)
    assert [outcome.error for outcome in outcomes] == [
        "",
        "value outside the enum",
        "undefined function invoked",
        "",
        "",
        "",
        "output limit exceeded",
        "tool error",
        "result is not JSON",
        "",
    ]
    assert outcomes[0].ok == {"trees": 36} and outcomes[3].ok == {"result": 7.0}
    assert outcomes[4].ok == "Mild in Łódź." and outcomes[5].ok == [0, 1, 2]


@pytest.fixture(scope="module")
def plain():
    return from_mcp(PLAIN, env={"ORCHARD_KEY": "s3cret-key"})


def test_all_pages_are_listed_and_what_is_left_out_is_named(plain):
    assert list(plain.functions) == [
        "say", "die", "linger", "refuse", "picture", "odd_name", "say_key", "unlisted_error",
    ]  # fmt: skip
    assert plain.skipped == {
        "free": "it is not declared read-only; unsafe=True imports it",
        "stray": "it requires parameters that it does not describe",
    }
    only = from_mcp(shlex.join(PLAIN), unsafe=True, only=lambda function: function.name in ("say", "free"))
    assert list(only.functions) == ["say", "free"] and len(only.skipped) == len(plain.functions)


def test_a_server_that_dies_or_lingers_costs_one_call_at_most(plain, tmp_path):
    said = [("say", {"x": f'"{n}"'}) for n in range(20)]
    calls = [
        *said[:5],
        ("die", {"x": str(tmp_path / "marker")}),
        *said[5:10],
        ("die", {"x": ""}),
        ("refuse", {"x": "now"}),
        ("linger", {"x": "30"}),
        *said[10:],
        ("unlisted_error", {"x": ""}),
        ("odd_name", {"x": "[1"}),
        ("say_key", {"x": ""}),
    ]
    with plain.open(1, Limits(seconds=1.0)) as pool:
        outcomes = pool.run(calls)
    assert [o.ok for o, call in zip(outcomes, calls, strict=True) if call[0] == "say"] == [
        str(n) for n in range(20)
    ]
    assert outcomes[5].ok == "survived"  # the first of its two servers died, the second did not
    assert [outcomes[n].error for n in (11, 12, 13)] == ["connection failed", "tool error", "time-out"]
    assert outcomes[12].detail == "refuse: I refuse now"
    assert outcomes[-3].error == "tool error" and "-32601" in outcomes[-3].detail
    assert outcomes[-2].ok == "[1" and outcomes[-1].ok == "***"


def test_results_do_not_depend_on_the_number_of_connections(plain):
    calls = [("say", {"x": str(n)}) for n in range(60)]
    with plain.open(1, Limits(seconds=5)) as one, plain.open(3, Limits(seconds=5)) as three:
        assert one.run(calls) == three.run(calls)
        assert one.run([]) == []


@pytest.fixture(scope="module")
def address():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([*COMMAND, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(400):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            time.sleep(0.05)
    yield f"http://127.0.0.1:{port}/mcp"
    process.kill()
    process.wait()


def test_http_runs_on_several_connections_and_in_a_running_loop(address):
    async def cell():
        registry = from_mcp(address, headers={"X-Key": "s3cret-key"})
        with registry.open(2, Limits(seconds=5)) as pool:
            return registry, pool.run([("count_trees", {"kind": "pear", "rows": n}) for n in range(20)])

    registry, outcomes = asyncio.run(cell())
    assert "unsafe=True" in registry.skipped["fell"] and "fell" not in registry.functions
    assert [outcome.ok for outcome in outcomes] == [{"trees": 8 * n} for n in range(20)]


def test_a_dead_server_loses_no_outcome(address):
    registry = from_mcp(address)
    with registry.open(1, Limits(seconds=5)) as pool:
        count = ("count_trees", {"kind": "pear"})
        outcomes = pool.run([count, ("die", {"reason": ""})] + [count] * 50)
    assert not outcomes[0].error
    assert {outcome.error for outcome in outcomes[1:]} == {"connection failed"} and len(outcomes) == 52


@pytest.mark.parametrize(
    ("server", "error", "told"),
    [
        ([sys.executable, "-c", "import sys; sys.exit('no licence')"], XlamError, "no licence"),
        (["/no/such/program"], XlamError, "no/such/program"),
        ("http://127.0.0.1:9/mcp", XlamError, "check its command or address"),
        ("python 'server.py", ProfileError, "pair the quotes"),
        ([], ProfileError, "empty"),
    ],
)
def test_servers_that_cannot_be_reached_are_named(server, error, told):
    with pytest.raises(error, match=told):
        from_mcp(server)


def test_without_the_package_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "mcp", None)
    with pytest.raises(ProfileError, match=r"xlam-book\[mcp\]"):
        from_mcp(COMMAND)
