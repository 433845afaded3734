"""The local server of tools: protocol, stand-ins, records, and what happens when it is killed."""

from __future__ import annotations

import errno
import json
import os
import socket
import time

import httpx
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlam_lib import records
from xlam_lib.agents.loop import run
from xlam_lib.agents.scripted import Oracle
from xlam_lib.environments.toolbench import ToolBench
from xlam_lib.environments.toolbench_server import (
    MAX_BODY,
    MAX_ITEMS,
    Answers,
    Api,
    Settings,
    ToolServer,
    category_folder,
    fill,
)
from xlam_lib.errors import ArtifactError

API = Api("Music", "tuner", "find_song", ["title", "year"], {"song": "str", "plays": "int"})
CALL = {
    "category": "Music",
    "tool_name": "tuner",
    "api_name": "find_song",
    "tool_input": {"title": "Reed"},
    "strip": "",
    "toolbench_key": "",
}


@pytest.fixture(scope="module")
def server():
    with ToolServer([API]) as running:
        yield running


def post(server, **more):
    return httpx.post(server.url(), json=CALL | more, trust_env=False)


# Protocol -------------------------------------------------------------------------------------------------


def test_a_call_is_answered_as_the_virtual_server_does(server):
    answer = post(server)
    assert answer.status_code == 200 and answer.json()["error"] == ""
    assert set(answer.json()["response"]) == {"song", "plays"}
    assert post(server, tool_input='{"title": "Reed"}').json() == answer.json()
    assert post(server, tool_input={"title": "Rush"}).json() != answer.json()
    assert post(server, tool_input="").json()["error"] == ""


def test_what_is_no_call_is_refused(server):
    assert post(server, api_name="other").json()["error"]
    assert post(server, tool_input="{").status_code == 400
    assert post(server, tool_input=[1]).status_code == 400
    assert httpx.post(server.url(), content=b"[" * 100_000, trust_env=False).status_code == 400
    assert httpx.post(server.url(), content=b"\xff\xfe{", trust_env=False).status_code == 400
    assert httpx.post(server.url().replace("virtual", "other"), json=CALL, trust_env=False).status_code == 404
    assert httpx.get(server.url(), trust_env=False).status_code == 501


def test_a_body_is_bounded(server):
    port = httpx.URL(server.url()).port
    assert port is not None
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        head = f"POST /virtual HTTP/1.1\r\nHost: x\r\nContent-Length: {MAX_BODY + 1}\r\n\r\n"
        connection.sendall(head.encode())
        assert b" 413 " in connection.recv(100)
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(b"POST /virtual HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 411 " in connection.recv(100)
    assert post(server).status_code == 200


def test_it_listens_on_the_loopback_address_alone(server):
    server.url()
    listening = [c for c in psutil.Process(server.process.pid).net_connections() if c.status == "LISTEN"]
    assert {connection.laddr.ip for connection in listening} == {"127.0.0.1"}


# The process ----------------------------------------------------------------------------------------------


def test_it_ends_when_closed_and_starts_again():
    server = ToolServer([API])
    assert not server.running
    first = post(server).json()
    process = server.process
    assert process is not None and server.running
    server.close()
    assert process.poll() == 0 and not server.running
    assert post(server).json() == first
    server.close()
    server.close()


def test_it_ends_with_its_owner():
    server = ToolServer([API])
    server.start()
    process = server.process
    assert process is not None and process.stdin is not None and process.stdout is not None
    process.stdin.close()  # what the system does with a dead owner's end of the pipe
    assert process.wait(5) == 0
    server.close()


def test_a_server_that_cannot_start_is_an_error(monkeypatch):
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(ArtifactError, match=r"did not start \(exit status 1\)"):
        ToolServer([API]).start()


def test_killed_in_the_middle_and_started_again():
    with ToolBench.embedded() as environment:
        oracle, tasks = Oracle(environment), environment.tasks()[:12]
        whole = run(environment, oracle, tasks)

        def kill(ended: int, _: int) -> None:
            process = environment.server.process
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()

        broken = run(environment, oracle, tasks, progress=kill)
        assert not environment.server.running
        assert {error for episode in broken for error in episode.errors} == {"", "tool_error"}
        session = environment.open(tasks[0])
        call = oracle.environment.solution(tasks[0])[0]
        reply = session.act(call)
        assert reply.error == "tool_error" and "does not answer" in reply.observation
        environment.server.start()
        assert session.act(call).error == ""
        again = run(environment, oracle, tasks)
        assert again == whole and all(episode.result.success for episode in again)


# Stand-ins ------------------------------------------------------------------------------------------------


def test_stand_ins_have_the_templates_shape():
    template = {
        "name": "str",
        "city": "str",
        "count": "int",
        "share": "float",
        "open": "bool",
        "note": "NoneType",
        "none": "empty list",
        "tags": ["list of str with length 9"],
        "rows": [{"id": "int", "_list_length": 40}],
        "pair": ["int", "str"],
        "fixed": "EUR",
    }
    filled = fill(template, {"city": "Ulm"}, "seed")
    assert filled["city"] == "Ulm" and filled["name"].startswith("name ")
    assert [type(filled[key]) for key in ("count", "share", "open")] == [int, float, bool]
    assert filled["note"] is None and filled["none"] == [] and filled["fixed"] == "EUR"
    assert len(filled["tags"]) == MAX_ITEMS and all(isinstance(tag, str) for tag in filled["tags"])
    assert [set(row) for row in filled["rows"]] == [{"id"}] * MAX_ITEMS
    assert [type(part) for part in filled["pair"]] == [int, str]
    assert fill(json.dumps(template), {"city": "Ulm"}, "seed") == filled
    assert fill(template, {"city": "Ulm"}, "other") != filled


_TEMPLATES = st.recursive(
    st.sampled_from(["str", "int", "float", "bool", "NoneType", "empty list", "list of int with length 4"])
    | st.none() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=6) | st.just("_list_length"), inner | st.integers(), max_size=4),
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(_TEMPLATES, st.dictionaries(st.text(max_size=6), st.text(max_size=6), max_size=3))
def test_any_template_is_filled_the_same_way_each_time(template, arguments):
    filled = fill(template, arguments, "seed")
    assert filled == fill(template, arguments, "seed")
    json.dumps(filled)


def test_a_bottomless_template_ends():
    template: object = "int"
    for _ in range(5000):
        template = [template]
    assert fill(template, {}, "seed")


# Cache and record -----------------------------------------------------------------------------------------


def test_category_folders_are_spelled_as_the_cache_has_them():
    assert category_folder("Video, Images") == "Video_Images"
    assert category_folder("Artificial Intelligence/Machine Learning") == (
        "Artificial_Intelligence_Machine_Learning"
    )


def test_answers_are_recorded_in_the_layout_of_a_cache(tmp_path):
    with ToolServer([API], record=tmp_path / "kept") as server:
        answers = [post(server, tool_input={"title": title}).json() for title in ("Reed", "Rush", "Reed")]
    file = tmp_path / "kept/Music/tuner_for_Music/find_song.json"
    kept = json.loads(file.read_text())
    assert kept == {"{'title': 'Reed'}": answers[0], "{'title': 'Rush'}": answers[1]}
    changed = kept | {"{'title': 'Reed'}": {"error": "", "response": "as told"}}
    file.write_text(json.dumps(changed))
    with ToolServer([API], cache=tmp_path / "kept") as server:
        assert post(server).json()["response"] == "as told"


def test_a_full_disk_is_told_and_the_record_stays_whole(tmp_path, monkeypatch):
    answers = Answers(Settings([API], record=str(tmp_path)))
    first = answers.answer("Music", "tuner", "find_song", {"title": "Reed"})
    file = tmp_path / "Music/tuner_for_Music/find_song.json"
    before = file.read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(records.os, "fsync", full)
    with pytest.raises(ArtifactError, match=r"find_song\.json: cannot be written \(No space left"):
        answers.answer("Music", "tuner", "find_song", {"title": "Rush"})
    assert file.read_bytes() == before
    assert answers.answer("Music", "tuner", "find_song", {"title": "Reed"}) == first
    monkeypatch.undo()
    answers.answer("Music", "tuner", "find_song", {"title": "Rush"})
    assert len(json.loads(file.read_bytes())) == 2


def test_what_cannot_be_recorded_stops_a_session_with_the_reason(tmp_path):
    (tmp_path / "kept").write_text("a file where a folder should be")
    with ToolBench.embedded(record=tmp_path / "kept") as environment:
        task = environment.tasks()[0]
        with pytest.raises(ArtifactError, match=r"kept.*cannot be written.*free some disk space"):
            environment.open(task).act(environment.solution(task)[0])


def test_names_cannot_lead_out_of_a_folder(tmp_path):
    answers = Answers(Settings([Api("..", "..", "../../x", [], {"a": "int"})], record=str(tmp_path / "in")))
    with pytest.raises(ArtifactError, match="leads out of"):
        answers.answer("..", "..", "../../x", {})


def test_a_stalled_client_does_not_stop_others(server):
    port = httpx.URL(server.url()).port
    assert port is not None
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(b"POST /virtual HTTP/1.1\r\nContent-Length: 10\r\n\r\n")
        started = time.monotonic()
        assert post(server).status_code == 200
        assert time.monotonic() - started < 5
