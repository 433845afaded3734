"""The OpenAI-compatible server, asked by OpenAI's own client: calls, a tool loop, streams, refusals."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from xlam_lib import serve
from xlam_lib.__main__ import main
from xlam_lib.chat_template import Prompting
from xlam_lib.constrained import answer_schema
from xlam_lib.endpoint import Endpoint
from xlam_lib.errors import ProfileError
from xlam_lib.generation import Generation
from xlam_lib.schema import Tool, tool_to_openai

openai = pytest.importorskip("openai", reason="the client's package is not installed: openai")
pytest.importorskip("uvicorn", reason="the server's packages are not installed: uvicorn and starlette")

HALVE = Tool("halve", "Halve a number.", {"number": {"type": "integer", "required": True}})
FLAG = Tool("raise_flag", "Raise a flag.", {"high": {"type": "boolean", "required": True}})
TOOLS = [tool_to_openai(HALVE), tool_to_openai(FLAG)]
NAMELESS = {"type": "function", "function": {"name": "nobody"}}
ASKED = [{"role": "user", "content": "Halve 44, please."}]


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


class Scripted:
    """A model that answers by a rule; it notes what it was asked, and waits while ``gate`` is closed."""

    def __init__(self, rule) -> None:
        self.rule, self.asked, self.gate = rule, [], threading.Event()
        self.gate.set()
        self.temperature = self.seed = self.stop_at_json = None
        self.settings: list[tuple] = []

    def generate(self, chats, max_new_tokens, schemas=None):
        self.gate.wait(10)
        self.asked += zip(chats, schemas, strict=True)
        self.settings.append((len(chats), max_new_tokens, self.temperature, self.seed, self.stop_at_json))
        return [self.rule(chat[-1]["content"]) for chat in chats]


def said(text: str, finish: str = "json") -> Generation:
    return Generation(text, 20, 5, finish)


def calls(*made: tuple[str, dict]) -> Generation:
    return said(json.dumps({"tool_calls": [{"name": name, "arguments": a} for name, a in made]}))


def loop_rule(prompt: str) -> Generation:
    """Call once, then call nothing, then put the result into words."""
    if "Reply in JSON only" not in prompt:
        return said(f"It is {prompt.rsplit(': ', 1)[-1]}.", "stop")
    return calls() if "Earlier steps" in prompt else calls(("halve", {"number": 44}))


class Running:
    """A server, its model and a client."""

    def __init__(self, model, url: str, worker: serve.Worker, key: str) -> None:
        self.model, self.url, self.worker = model, url, worker
        self.client = openai.OpenAI(base_url=url, api_key=key or "none", max_retries=0, timeout=60)

    def ask(self, messages=ASKED, **more):
        return self.client.chat.completions.create(model="own", messages=messages, **more)


@pytest.fixture
def started():
    """Start servers that end with the test."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def start(model, limits=None, key="", **settings) -> Running:
            limits = limits or serve.Limits()
            worker = serve.Worker(model, limits)
            service = serve.Service("own", worker, limits=limits, key=key, **settings)
            url = stack.enter_context(serve.running(service))
            running = Running(model, url, worker, key)
            stack.callback(running.client.close)
            stack.callback(lambda: getattr(model, "gate", threading.Event()).set())
            return running

        yield start


# ------------------------------------------------------------------------------------------ what is answered


def test_a_call_comes_back_as_openai_sends_it(started):
    server = started(Scripted(loop_rule))
    assert [model.id for model in server.client.models.list()] == ["own"]
    assert httpx.get(server.url.replace("/v1", "/health")).json() == {"status": "ok"}
    done = server.ask(tools=TOOLS)
    (choice,) = done.choices
    assert choice.finish_reason == "tool_calls" and choice.message.content is None
    (made,) = choice.message.tool_calls
    assert made.type == "function" and made.id.startswith("call_")
    assert (made.function.name, json.loads(made.function.arguments)) == ("halve", {"number": 44})
    assert (done.usage.prompt_tokens, done.usage.completion_tokens, done.usage.total_tokens) == (20, 5, 25)
    chat, schema = server.model.asked[0]
    assert chat[0]["content"].startswith("Task:\nCall the tools that answer the query.")
    assert json.loads(schema) == answer_schema([HALVE, FLAG])
    assert server.model.settings == [(1, 256, None, server.model.seed, True)]


def test_a_whole_tool_loop(started):
    server = started(Scripted(loop_rule))
    messages = list(ASKED)
    first = server.ask(messages, tools=TOOLS).choices[0].message
    messages.append(first)
    for made in first.tool_calls:
        result = json.loads(made.function.arguments)["number"] // 2
        messages.append({"role": "tool", "tool_call_id": made.id, "content": str(result)})
    last = server.ask(messages, tools=TOOLS)
    assert last.choices[0].finish_reason == "stop" and last.choices[0].message.tool_calls is None
    assert last.choices[0].message.content == "It is 22."
    assert last.usage.prompt_tokens == 40  # the answer without calls, and the one in words
    prompt, words = server.model.asked[1][0][0]["content"], server.model.asked[2][0][0]["content"]
    assert (
        '"tool_calls": [{"name": "halve", "arguments": {"number": 44}}], "next_observation": "22"' in prompt
    )
    assert words == 'Halve 44, please.\n\nResult of halve({"number": 44}): 22'


def test_tool_choice_decides_what_may_be_written(started):
    server = started(Scripted(loop_rule), held=False)

    def schema_of(**more):
        server.ask(tools=TOOLS, **more)
        return server.model.asked[-1][1]

    assert schema_of() is None
    assert schema_of(tool_choice="none") is None and "Tools:" not in server.model.asked[-1][0][0]["content"]
    required = schema_of(tool_choice="required")
    assert json.loads(required) == answer_schema([HALVE, FLAG], least=1) and '"minItems": 1' in required
    named = {"type": "function", "function": {"name": "raise_flag"}}
    assert json.loads(schema_of(tool_choice=named)) == answer_schema([FLAG], least=1)
    assert "halve" in server.model.asked[-1][0][0]["content"]  # all the tools stay in the prompt
    one = json.loads(schema_of(tool_choice="required", parallel_tool_calls=False))
    assert one["properties"]["tool_calls"]["maxItems"] == 1


def test_streamed_chunks_make_the_same_answer(started):
    server = started(Scripted(loop_rule))
    pieces, arguments, finish, usage = [], "", None, None
    for chunk in server.ask(tools=TOOLS, stream=True, stream_options={"include_usage": True}):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            finish = choice.finish_reason or finish
            for made in choice.delta.tool_calls or []:
                pieces += [made.function.name] if made.function.name else []
                arguments += made.function.arguments
    assert (pieces, json.loads(arguments), finish, usage.total_tokens) == (
        ["halve"], {"number": 44}, "tool_calls", 25,
    )  # fmt: skip
    text = "".join(chunk.choices[0].delta.content or "" for chunk in server.ask(stream=True))
    assert text == "It is Halve 44, please.."


def test_an_answer_that_is_cut_off_is_text(started):
    server = started(Scripted(lambda prompt: said('{"tool_calls": [{"na', "length")))
    (choice,) = server.ask(tools=TOOLS, max_tokens=5).choices
    assert (choice.message.content, choice.finish_reason) == ('{"tool_calls": [{"na', "length")
    assert choice.message.tool_calls is None and server.model.settings[0][1] == 5


def test_settings_reach_the_model_and_thoughts_become_content(started):
    rule = lambda prompt: said('{"thought": "Nothing to do.", "tool_calls": []}')  # noqa: E731
    server = started(Scripted(rule), prompting=Prompting(format="json_thought"))
    done = server.ask(tools=TOOLS, temperature=0.7, seed=5)
    assert done.choices[0].message.content == "Nothing to do." and len(server.model.asked) == 1
    assert server.model.settings == [(1, 256, 0.7, 5, True)]
    with pytest.raises(ProfileError, match="serve one of json, json_thought"):
        serve.Service("own", server.worker, Prompting(format="yaml"))


def test_our_own_client_can_be_answered_and_hold_it_to_a_schema(started):
    server = started(Scripted(loop_rule))
    endpoint = Endpoint(server.url, "own")
    schema = '{"type": "object"}'
    answer, _ = endpoint.complete([ASKED, ASKED], schemas=[schema, None])
    assert (answer.text, answer.prompt_tokens, answer.finish) == ("It is Halve 44, please..", 20, "stop")
    assert sorted(str(asked[1]) for asked in server.model.asked) == ["None", schema]


# -------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    "more, told",
    [
        ({"n": 2}, "n: is not supported"),
        ({"stop": ["x"]}, "stop: is not supported"),
        ({"top_p": 0.5}, "top_p: is not supported"),
        ({"max_tokens": 9999}, "max_tokens: is 9999; give 1 to 1024"),
        ({"temperature": 3}, "temperature: is 3"),
        ({"tools": TOOLS * 2}, "stands twice"),
        ({"tools": TOOLS * 65}, "tools: 130; at most 128"),
        ({"tool_choice": "required"}, "'required' and no tools"),
        ({"tools": TOOLS, "tool_choice": NAMELESS}, "choose from halve, raise_flag"),
        ({"tools": TOOLS, "response_format": {"type": "json_object"}}, "cannot be kept beside tools"),
        ({"response_format": {"type": "json_schema"}}, "response_format: send"),
        ({"messages": [{"role": "tool", "tool_call_id": "z"}], "tools": TOOLS}, "'z' is no call"),
        ({"messages": [{"role": "pirate", "content": ""}]}, "'pirate' is unknown"),
        ({"messages": ASKED * 300}, "messages: 300; at most 256"),
        ({"extra_body": {"tools": "all"}}, "the body is not a chat request"),
    ],
)  # fmt: skip
def test_a_wrong_request_is_told_what_to_change(crowd, more, told):
    with pytest.raises(openai.BadRequestError, match=told.replace("(", r"\(")) as caught:
        crowd.ask(**more)
    assert caught.value.body["type"] == "invalid_request_error"


@pytest.fixture(scope="module")
def crowd():
    """One server for all the requests that it refuses without asking its model."""
    import os

    os.environ["NO_PROXY"] = "127.0.0.1"
    worker = serve.Worker(Scripted(loop_rule), serve.Limits())
    with serve.running(serve.Service("own", worker)) as url:
        running = Running(None, url, worker, "")
        yield running
        running.client.close()


def test_keys_names_paths_and_sizes(started):
    server = started(Scripted(loop_rule), serve.Limits(body=2000), key="sesame-1")
    wrong = openai.OpenAI(base_url=server.url, api_key="other", max_retries=0)
    with pytest.raises(openai.AuthenticationError, match="no valid API key"):
        wrong.models.list()
    with pytest.raises(openai.AuthenticationError):
        wrong.chat.completions.create(model="own", messages=ASKED)
    wrong.close()

    headers = {"Authorization": "Bearer sesame-1"}
    url = f"{server.url}/chat/completions"

    def post(content, **more):
        reply = httpx.post(url, content=content, headers={**headers, **more})
        return reply.status_code, reply.json()["error"]["message"]

    kind = {"Content-Type": "application/json"}
    body = {"model": "other", "messages": ASKED}
    assert post(json.dumps(body), **kind)[0] == 404
    assert "ask for 'own'" in post(json.dumps(body), **kind)[1]
    assert post("[" * 100_000, **kind)[0] == 413
    assert post("[" * 1900, **kind)[0] == 400
    assert post(json.dumps(body))[1].startswith("the body is not announced as JSON")
    assert httpx.get(url, headers=headers).status_code == 405
    missing = httpx.get(f"{server.url}/embeddings", headers=headers)
    assert missing.status_code == 404 and "served are GET /v1/models" in missing.json()["error"]["message"]


def test_a_prompt_beyond_the_context_and_a_model_that_fails(started):
    def rule(prompt: str) -> Generation:
        if "boom" in prompt:
            raise RuntimeError("secret detail")
        return Generation("", 9000, 0, "context")

    server = started(Scripted(rule))
    with pytest.raises(
        openai.BadRequestError, match="9000 tokens and 256 of the answer do not fit"
    ) as caught:
        server.ask()
    assert caught.value.code == "context_length_exceeded"
    with pytest.raises(openai.InternalServerError, match=r"the model failed \(RuntimeError") as caught:
        server.ask([{"role": "user", "content": "boom"}])
    assert "secret" not in str(caught.value)
    with pytest.raises(openai.BadRequestError):  # it goes on after that
        server.ask()


def test_a_full_queue_and_a_slow_model(started):
    model = Scripted(loop_rule)
    server = started(model, serve.Limits(waiting=1, batch=1, seconds=0.5))
    model.gate.clear()
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(server.ask)]
        while server.worker._queue or not server.worker.batches:  # the first is with the model
            time.sleep(0.01)
        waiting.append(pool.submit(server.ask))
        while not server.worker._queue:
            time.sleep(0.01)
        with pytest.raises(openai.RateLimitError, match="1 requests wait already") as caught:
            server.ask()
        assert caught.value.response.headers["retry-after"] == "1"
        for future in waiting:
            with pytest.raises(openai.InternalServerError, match=r"no answer within 0\.5 seconds"):
                future.result()
    model.gate.set()
    assert server.ask().choices[0].message.content
    assert len(model.asked) == 2  # the one that had been given up in the queue was never answered


def test_whoever_waits_is_told_that_the_server_closes():
    model = Scripted(loop_rule)
    worker = serve.Worker(model, serve.Limits(batch=1))
    model.gate.clear()
    first = worker.submit(serve.Ask(ASKED, 5))
    while not worker.batches:
        time.sleep(0.01)
    second = worker.submit(serve.Ask(ASKED, 5))
    closing = threading.Thread(target=worker.close)
    closing.start()
    while worker.alive:
        time.sleep(0.01)
    model.gate.set()
    closing.join()
    assert first.result().text
    with pytest.raises(serve.RequestError, match="the server is closing"):
        second.result()
    with pytest.raises(serve.RequestError, match="the model has stopped"):
        worker.submit(serve.Ask(ASKED, 5))


# -------------------------------------------------------------------------------------------- a real model


@pytest.fixture(scope="module")
def tiny(tiny_model):
    pytest.importorskip("llguidance")
    from xlam_lib.inference import LocalModel

    worker = serve.Worker(LocalModel.load(tiny_model, "tiny"), serve.Limits())
    with serve.running(serve.Service("own", worker)) as url:
        running = Running(None, url, worker, "")
        yield running
        running.client.close()


def test_a_real_model_makes_legal_calls_and_batches_two_clients(tiny):
    named = {"type": "function", "function": {"name": "raise_flag"}}
    only = [tool_to_openai(FLAG)]
    done = tiny.ask(tools=only, tool_choice=named, parallel_tool_calls=False, max_tokens=60)
    (made,) = done.choices[0].message.tool_calls
    assert made.function.name == "raise_flag" and set(json.loads(made.function.arguments)) == {"high"}
    assert done.usage.prompt_tokens > 50

    with ThreadPoolExecutor(4) as pool:
        questions = [[{"role": "user", "content": f"Flag number {n}"}] for n in range(4)]
        asked = [
            pool.submit(tiny.ask, question, tools=only, tool_choice="required", parallel_tool_calls=False,
                        max_tokens=60)
            for question in questions
        ]  # fmt: skip
        names = [future.result().choices[0].message.tool_calls[0].function.name for future in asked]
    assert names == ["raise_flag"] * 4 and max(tiny.worker.batches) > 1


def test_a_schema_that_cannot_be_kept_harms_nobody_else(tiny):
    broken = {
        "type": "json_schema",
        "json_schema": {"name": "x", "schema": {"type": "string", "pattern": "("}},
    }
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(tiny.ask, max_tokens=4, response_format=broken)
        two = pool.submit(tiny.ask, max_tokens=4)
        with pytest.raises(openai.BadRequestError, match="schema"):
            one.result()
        assert two.result().usage.completion_tokens <= 4
    with pytest.raises(openai.BadRequestError, match="do not fit the model's context"):
        tiny.ask([{"role": "user", "content": "word " * 600}])


def test_the_command_line_wants_its_key_and_a_free_port(tiny_model, monkeypatch, capsys):
    monkeypatch.delenv("WORKSHOP_KEY", raising=False)
    assert main(["serve", str(tiny_model), "--key-env", "WORKSHOP_KEY"]) == 1
    assert "WORKSHOP_KEY is not set" in capsys.readouterr().err
    with serve._bound("127.0.0.1", 0) as taken:
        port = str(taken.getsockname()[1])
        assert main(["serve", str(tiny_model), "--port", port]) == 1
    assert "cannot be listened at" in capsys.readouterr().err
    assert main(["serve", str(tiny_model), "--style", "fancy"]) == 1
    assert "prompt style 'fancy' is unknown" in capsys.readouterr().err
