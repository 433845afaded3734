"""The HTTP back end against a real server: order, bounds, retries, refusals, resuming unpaid."""

from __future__ import annotations

import asyncio
import email.utils
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.endpoint_server import Reply, completion, echo, serve
from xlam_lib.endpoint import Endpoint, EndpointError, Usage, request_key, retry_after
from xlam_lib.errors import ArtifactError, ProfileError
from xlam_lib.generation import Backend, Generation, generate


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def chat(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def chats(count: int) -> list[list[dict[str, str]]]:
    return [chat(f"q{number}") for number in range(count)]


def endpoint(server, **settings) -> Endpoint:
    settings = {"backoff_s": 0.01, "retries": 3, "timeout_s": 5.0} | settings
    return Endpoint(server.url, "m", **settings)


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_answers_come_in_the_order_of_the_requests_whatever_their_speed():
    def slow_first(body, nth):
        number = int(body["messages"][-1]["content"][1:])
        return completion(f"a{number}", delay=0.15 if number < 4 else 0.0)

    with serve(slow_first) as server:
        backend = endpoint(server, concurrency=4)
        answers = backend.complete(chats(20), max_new_tokens=9)
    assert [answer.text for answer in answers] == [f"a{number}" for number in range(20)]
    assert answers[0] == Generation("a0", 7, 1, "stop")
    assert server.paths == ["/v1/chat/completions"] * 20
    assert server.bodies[server.asked().index("q0")] == {
        "model": "m",
        "messages": chat("q0"),
        "temperature": 0.0,
        "top_p": 1.0,
        "max_tokens": 9,
        "stream": False,
        "seed": 0,
    }
    usage = backend.usage
    assert (usage.requests, usage.retries, usage.answers) == (20, 0, 20)
    assert (usage.prompt_tokens, usage.completion_tokens, usage.uncounted) == (140, 20, 0)
    assert usage.seconds > 0.15


@pytest.mark.parametrize("bound", [1, 3])
def test_never_more_requests_at_once_than_the_bound(bound):
    with serve(lambda body, nth: completion("x", delay=0.02)) as server:
        endpoint(server, concurrency=bound).complete(chats(12))
    assert server.most_at_once == bound


def test_it_is_a_back_end_and_gets_all_chats_at_once():
    with serve() as server:
        backend: Backend = endpoint(server, concurrency=64)
        answers = generate(chats(70), backend, max_new_tokens=5, batch_size=2)
    assert [answer.text for answer in answers] == [f"echo q{number}" for number in range(70)]
    assert generate([], backend) == []


def test_it_runs_inside_an_event_loop():
    """A notebook's cell is run by a loop that is already running."""

    async def cell(backend):
        with pytest.raises(EndpointError, match="HTTP 403"):
            backend.complete([chat("forbidden")])
        return backend.complete(chats(3))

    def script(body, nth):
        return Reply("no", 403) if body["messages"][-1]["content"] == "forbidden" else echo(body, nth)

    with serve(script) as server:
        answers = asyncio.run(cell(endpoint(server)))
    assert [answer.text for answer in answers] == ["echo q0", "echo q1", "echo q2"]


def test_an_interrupted_cell_sends_nothing_more(tmp_path):
    """As in a kernel, which lets the interrupt through while a cell runs."""
    journal = tmp_path / "journal.jsonl"

    async def cell(backend):
        signal.signal(signal.SIGINT, signal.default_int_handler)
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            backend.complete(chats(60), journal)

    with serve(lambda body, nth: completion("x", delay=0.05)) as server:
        asyncio.run(cell(endpoint(server, concurrency=2)))
        sent = len(server.bodies)
        time.sleep(0.15)
        assert len(server.bodies) == sent < 30 and sent - len(lines(journal)) <= 2


# ------------------------------------------------------------------------------------------------ retries

PASSING = {
    "server error": Reply("oops", 500),
    "bad gateway": Reply("<html>", 502),
    "request time-out": Reply("", 408),
    "conflict": Reply("", 409),
    "too many": Reply("{}", 429),
    "dropped connection": Reply(drop=True),
    "garbage": Reply("<html>not json"),
    "no choices": Reply('{"choices": []}'),
    "a list": Reply("[1]"),
    "nested": Reply("[" * 100_000),
    "content is a number": Reply('{"choices": [{"message": {"content": 3}}]}'),
    "message is null": Reply('{"choices": [{"message": null}]}'),
    "undecodable": Reply(b"\xff\xfe\x00"),
    "wrong compression": Reply("abc", headers={"Content-Encoding": "gzip"}),
}


@pytest.mark.parametrize("failure", PASSING)
def test_failures_that_pass_are_retried(failure, tmp_path):
    with serve(lambda body, nth: PASSING[failure] if nth < 2 else echo(body, nth)) as server:
        backend = endpoint(server)
        answers = backend.complete(chats(3), tmp_path / "journal.jsonl")
    assert [answer.text for answer in answers] == ["echo q0", "echo q1", "echo q2"]
    assert (backend.usage.requests, backend.usage.retries, backend.usage.answers) == (9, 6, 3)
    assert len(lines(tmp_path / "journal.jsonl")) == 3


def test_a_time_out_is_retried_and_covers_the_whole_answer():
    with serve(lambda body, nth: completion("late", delay=1.0 if nth == 0 else 0.0)) as server:
        backend = endpoint(server, timeout_s=0.2)
        assert backend.complete([chat("q")])[0].text == "late"
    assert backend.usage.retries >= 1


def test_a_request_that_keeps_failing_ends_the_run_with_its_reason(tmp_path):
    def script(body, nth):
        bad = body["messages"][-1]["content"] == "q2"
        return Reply("model is\nbroken", 503) if bad else echo(body, nth)

    journal = tmp_path / "journal.jsonl"
    with serve(script) as server:
        with pytest.raises(EndpointError, match=r"request 2 failed 4 times.*HTTP 503 model is broken.*again"):
            endpoint(server, concurrency=2).complete(chats(5), journal)
    assert server.asked().count("q2") == 4
    assert {entry["answer"]["text"] for entry in lines(journal)} >= {"echo q0", "echo q1"}


def test_no_server_is_said_plainly():
    with serve() as server:
        url = server.url
    with pytest.raises(EndpointError, match=r"ConnectError.*check the server"):
        Endpoint(url, "m", retries=1, backoff_s=0.01).complete([chat("q")])


def test_retry_after_is_honoured():
    def script(body, nth):
        return Reply("wait", 429, {"Retry-After": "1"}) if nth == 0 else echo(body, nth)

    with serve(script) as server:
        endpoint(server).complete([chat("q")])
    assert 1.0 <= server.times[1] - server.times[0] < 4.0


def test_retry_after_holds_the_other_requests_too():
    def script(body, nth):
        first = body["messages"][-1]["content"] == "q0" and nth == 0
        return Reply("wait", 429, {"Retry-After": "1"}) if first else completion("x", delay=0.3)

    with serve(script) as server:
        endpoint(server, concurrency=2).complete(chats(6))
    held = server.times[server.asked().index("q0")]
    assert len(server.times) == 7 and all(moment - held >= 1.0 for moment in server.times[2:])


def test_an_endless_retry_after_fails_at_once():
    with serve(lambda body, nth: Reply("quota", 429, {"Retry-After": "86400"})) as server:
        with pytest.raises(EndpointError, match=r"wait 86400 s.*quota"):
            endpoint(server).complete([chat("q")])
    assert len(server.bodies) == 1


def test_retry_after_in_seconds_or_as_a_date():
    assert retry_after("2.5") == 2.5 and retry_after("-3") == 0
    assert retry_after(None) is None and retry_after("soon") is None and retry_after("nan") is None
    soon = email.utils.formatdate(time.time() + 30, usegmt=True)
    found = retry_after(soon)
    assert found is not None and 28 < found <= 30


@given(st.text())
def test_any_retry_after_is_read(text):
    found = retry_after(text)
    assert found is None or found >= 0


# ----------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "at fault"),
        (401, "set api_key_env"),
        (403, "set api_key_env"),
        (404, "model 'm' is served"),
        (422, "at fault"),
        (301, "redirects"),
    ],
)
def test_refusals_fail_at_once(status, message):
    reply = Reply('{"error": "because"}', status, {"Location": "http://127.0.0.1:9/v1"})
    with serve(lambda body, nth: reply) as server:
        with pytest.raises(EndpointError, match=f"request 0: HTTP {status}.*because.*{message}"):
            endpoint(server, concurrency=1).complete(chats(4))
    assert len(server.bodies) == 1


def test_a_refusal_lets_the_requests_in_flight_finish_and_sends_no_more(tmp_path):
    def script(body, nth):
        return Reply("no", 400) if body["messages"][-1]["content"] == "q0" else completion("x", delay=0.2)

    journal = tmp_path / "journal.jsonl"
    with serve(script) as server:
        with pytest.raises(EndpointError, match="HTTP 400"):
            endpoint(server, concurrency=4).complete(chats(40), journal)
    assert len(server.bodies) == 4 and len(lines(journal)) == 3


def test_a_prompt_beyond_the_context_is_an_answer_of_its_own(tmp_path):
    reason = '{"error": {"message": "This model\'s maximum context length is 512 tokens", "code": 400}}'

    def script(body, nth):
        return Reply(reason, 400) if body["messages"][-1]["content"] == "q1" else echo(body, nth)

    with serve(script) as server:
        answers = endpoint(server).complete(chats(3), tmp_path / "journal.jsonl")
    assert answers[1] == Generation("", 0, 0, "context") and answers[2].text == "echo q2"


def test_missing_counts_and_odd_texts_are_taken_as_they_are(tmp_path):
    replies = {
        "q0": Reply({"choices": [{"message": {"content": None}, "finish_reason": None}]}),
        "q1": completion("cut", "length"),
        "q2": completion("\ud83d half"),
    }
    with serve(lambda body, nth: replies[body["messages"][-1]["content"]]) as server:
        backend = endpoint(server)
        answers = backend.complete(chats(3), tmp_path / "journal.jsonl")
        again = backend.complete(chats(3), tmp_path / "journal.jsonl")
    assert answers[0] == Generation("", 0, 0, "stop") and backend.usage.uncounted == 1
    assert answers[1].finish == "length" and answers[2].text == "? half"
    assert again == answers


# ---------------------------------------------------------------------------------------------------- key


def test_the_key_is_sent_and_shown_nowhere(monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("TEST_KEY", " sk-secret-1 ")
    journal = tmp_path / "journal.jsonl"

    def script(body, nth):
        bad = body["messages"][-1]["content"] == "q1"
        return Reply('{"error": "wrong key sk-secret-1"}', 401) if bad else echo(body, nth)

    with serve(script) as server, caplog.at_level("DEBUG"):
        backend = endpoint(server, api_key_env="TEST_KEY", concurrency=1)
        with pytest.raises(EndpointError) as caught:
            backend.complete(chats(2), journal)
    assert server.headers[0]["Authorization"] == "Bearer sk-secret-1"
    assert "check the key in TEST_KEY" in str(caught.value)
    for text in (str(caught.value), repr(backend), journal.read_text(), caplog.text, backend.name):
        assert "sk-secret-1" not in text


@pytest.mark.parametrize("value", [None, "", "abc\ndef", "schlüssel"])
def test_a_key_that_cannot_be_used_is_said_before_anything_is_sent(value, monkeypatch):
    monkeypatch.delenv("TEST_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("TEST_KEY", value)
    with serve() as server:
        with pytest.raises(EndpointError, match="TEST_KEY") as caught:
            endpoint(server, api_key_env="TEST_KEY").complete([chat("q")])
    assert not server.bodies and not (value and value in str(caught.value))


@pytest.mark.parametrize(
    "settings",
    [
        {"base_url": "localhost:8000"},
        {"base_url": "http://me:word@127.0.0.1/v1"},
        {"concurrency": 0},
        {"retries": -1},
        {"timeout_s": 0},
        {"requests_per_minute": 0},
        {"limit_field": "max_new_tokens"},
    ],
)
def test_settings_out_of_range(settings):
    with pytest.raises(ProfileError):
        Endpoint(**{"base_url": "http://127.0.0.1:1/v1", "model": "m"} | settings)
    with pytest.raises(ProfileError):
        Endpoint("http://127.0.0.1:1/v1", "m").complete([], max_new_tokens=0)


def test_another_temperature_is_another_name():
    assert Endpoint("http://h/v1", "m").name == "m"
    assert Endpoint("http://h/v1", "m", temperature=0.7).name == "m (temperature 0.7, top_p 1, seed 0)"


# ------------------------------------------------------------------------------------------------- limits


def test_requests_a_minute_are_spaced_evenly():
    with serve() as server:
        endpoint(server, requests_per_minute=600).complete(chats(6))
    assert server.times[-1] - server.times[0] >= 0.45


def test_tokens_a_minute_go_by_the_server_s_count():
    choices = [{"message": {"content": "x"}}]
    reply = Reply({"choices": choices, "usage": {"prompt_tokens": 10, "completion_tokens": 10}})
    with serve(lambda body, nth: reply) as server:
        # counted as 100 tokens each before, as 20 each after: 0.2 s apart rather than 1 s
        limited = endpoint(server, tokens_per_minute=6000, concurrency=1)
        limited.complete(chats(4), max_new_tokens=100)
    assert 0.55 <= server.times[-1] - server.times[0] < 2.7


# ------------------------------------------------------------------------------------------------ journal


def test_a_rerun_asks_only_for_what_is_missing_in_any_order(tmp_path):
    journal = tmp_path / "deep" / "journal.jsonl"
    with serve() as server:
        first = endpoint(server).complete(chats(6), journal)
        backend = endpoint(server, journal=journal)
        again = backend.generate([chat("q9"), *reversed(chats(6))], 512)
    assert server.asked()[6:] == ["q9"]
    assert again[1:] == first[::-1] and again[0].text == "echo q9"
    assert (backend.usage.journalled, backend.usage.requests) == (6, 1)


def test_other_settings_are_other_requests(tmp_path):
    journal = tmp_path / "journal.jsonl"
    with serve() as server:
        endpoint(server).complete([chat("q")], journal)
        for settings in ({"temperature": 0.7}, {"top_p": 0.9}, {"seed": 1}, {"seed": None}):
            endpoint(server, **settings).complete([chat("q")], journal)
        endpoint(server).complete([chat("q")], journal, max_new_tokens=3)
        Endpoint(server.url, "other").complete([chat("q")], journal)
        assert len(server.bodies) == 7 and len({entry["key"] for entry in lines(journal)}) == 7
        Endpoint(server.url.replace("127.0.0.1", "localhost"), "m", retries=0).complete([chat("q")], journal)
    assert len(server.bodies) == 7


def test_equal_requests_are_separate_draws(tmp_path):
    journal = tmp_path / "journal.jsonl"
    with serve(lambda body, nth: completion(f"seed {body['seed']}")) as server:
        backend = endpoint(server, temperature=1.0, seed=5)
        assert [answer.text for answer in backend.complete([chat("q")] * 2, journal)] == ["seed 5", "seed 6"]
        more = backend.complete([chat("q")] * 3, journal)
    assert [answer.text for answer in more] == ["seed 5", "seed 6", "seed 7"] and len(server.bodies) == 3


def test_a_torn_last_line_is_cut_off_and_asked_again(tmp_path):
    journal = tmp_path / "journal.jsonl"
    with serve() as server:
        endpoint(server, concurrency=1).complete(chats(3), journal)
        whole = journal.read_bytes()
        for cut in (1, 20, len(whole.splitlines()[-1])):
            journal.write_bytes(whole[:-cut])
            del server.bodies[:]
            answers = endpoint(server).complete(chats(3), journal)
            assert server.asked() == ["q2"] and len(lines(journal)) == 3
            assert [answer.text for answer in answers] == ["echo q0", "echo q1", "echo q2"]


def test_two_runs_cannot_write_one_journal(tmp_path):
    journal = tmp_path / "journal.jsonl"
    inner: list[str] = []

    def script(body, nth):
        with pytest.raises(ArtifactError, match="another run is writing") as caught:
            Endpoint("http://127.0.0.1:1/v1", "m").complete([chat("other")], journal)
        inner.append(str(caught.value))
        return completion("x")

    with serve(script) as server:
        endpoint(server).complete([chat("q")], journal)
    assert inner


def test_a_journal_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ArtifactError, match="cannot be written"):
        Endpoint("http://127.0.0.1:1/v1", "m").complete([chat("q")], tmp_path / "file" / "journal.jsonl")


_CHILD = """
import sys
from xlam_lib.endpoint import Endpoint
chats = [[{"role": "user", "content": f"q{n}"}] for n in range(int(sys.argv[3]))]
Endpoint(sys.argv[1], "m", concurrency=4).complete(chats, sys.argv[2])
assert "torch" not in sys.modules, "the endpoint needs no torch"
"""


def run_child(server, journal: Path, count: int, root: Path) -> subprocess.Popen:
    command = [sys.executable, "-c", _CHILD, server.url, str(journal), str(count)]
    return subprocess.Popen(command, cwd=root, env=os.environ | {"PYTHONPATH": str(root)})


def test_killed_and_run_again_nothing_is_paid_twice(tmp_path, root):
    """SIGKILL in the middle: the journal holds every answer but those in flight."""
    journal, count = tmp_path / "journal.jsonl", 60
    with serve(lambda body, nth: completion(body["messages"][-1]["content"], delay=0.03)) as server:
        child = run_child(server, journal, count, root)
        while len(server.bodies) < 25 and child.poll() is None:
            time.sleep(0.005)
        child.send_signal(signal.SIGKILL)
        assert child.wait(10) == -signal.SIGKILL
        time.sleep(0.1)
        before = server.asked()
        kept = {entry["answer"]["text"] for entry in lines(journal)}
        assert len(before) < count and len(before) - len(kept) <= 4
        assert run_child(server, journal, count, root).wait(60) == 0
    after = server.asked()[len(before) :]
    assert set(after) == {f"q{n}" for n in range(count)} - kept and len(after) == len(set(after))
    found = lines(journal)
    assert len(found) == count == len({entry["key"] for entry in found})


def test_errors_mid_run_then_a_rerun_gives_every_answer_once(tmp_path):
    journal = tmp_path / "journal.jsonl"
    broken = True

    def script(body, nth):
        return Reply("down", 500) if broken and len(server.bodies) > 15 else echo(body, nth)

    with serve(script) as server:
        with pytest.raises(EndpointError):
            endpoint(server, retries=1).complete(chats(40), journal)
        kept = len(lines(journal))
        broken = False
        del server.bodies[:]
        answers = endpoint(server).complete(chats(40), journal)
    assert 0 < kept <= 15 and len(server.bodies) == 40 - kept
    assert [answer.text for answer in answers] == [f"echo q{n}" for n in range(40)]


def test_keys_are_what_they_were():
    """A change of the key would make every journal worthless."""
    key = request_key(Endpoint("http://h/v1", "m"), chat("q"), 0, 512)
    assert key == request_key(Endpoint("http://other/v1", "m", concurrency=1), chat("q"), 0, 512)
    assert key == "4f47c561bb6dee664aaa67df7d5f5edf8b46ff9ab2f08c93319ea9a8f752d23d"


def test_schemas_go_to_the_server_and_make_other_requests(tmp_path):
    schema = '{"type": "object"}'
    journal = tmp_path / "journal.jsonl"
    with serve() as server:
        backend = endpoint(server, journal=journal)
        held = generate(chats(2), backend, schemas=[schema, None])
        assert [body.get("response_format") for body in sorted(server.bodies, key=str)].count(None) == 1
        formats = [body["response_format"] for body in server.bodies if "response_format" in body]
        assert formats == [
            {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}}
        ]
        free = generate(chats(2), backend)
    assert len(server.bodies) == 3 and held == free  # of the four requests one was the same
    assert len(lines(journal)) == 3


def test_progress_counts_journalled_answers_too(tmp_path):
    seen: list[tuple[int, int]] = []
    with serve() as server:
        endpoint(server).complete(chats(2), tmp_path / "journal.jsonl")
        endpoint(server).complete(
            chats(4), tmp_path / "journal.jsonl", progress=lambda done, total: seen.append((done, total))
        )
    assert seen == [(3, 4), (4, 4)]
    assert Usage() == Usage(0, 0, 0, 0, 0, 0, 0, 0.0)
