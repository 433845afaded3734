"""An OpenAI-compatible server for one small model, on a CPU or a single GPU.

``POST /v1/chat/completions`` takes messages and tools, and the model is asked in the prompt it was trained
with (:mod:`xlam_lib.chat_template`). By default it is held to the tools' schemas
(:mod:`xlam_lib.constrained`), so that every call is a legal one. Requests that wait at the same time are
answered in one batch. What a client should know:

- Decoding is greedy unless a ``temperature`` is given. A parameter that would change the answer and is not
  supported (``n``, ``stop``, ``top_p``, penalties, ``logprobs``) is an error and never passed over.
- An assistant says something or calls tools. Our function-calling models write nothing but calls, so where
  one makes none, it is asked once more without tools, and those words are the ``content``: a second answer to
  wait for, by a model that has learnt little of talking. The usage counts both.
- ``tool_choice`` ``required`` or a named function always hold the answer to the schema.
- ``stream`` sends OpenAI's chunks when the answer is complete, not token by token.

For many users on a GPU there is vLLM (:func:`xlam_lib.chat_template.vllm_command`).
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import logging
import secrets
import socket
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from xlam_lib.chat_template import Prompting, plain_chat, read_conversation, read_tools, render
from xlam_lib.constrained import FORMATS, answer_schema
from xlam_lib.errors import ProfileError, SchemaError, XlamError
from xlam_lib.formats import ParseError, dump_json, extract_calls, get_format
from xlam_lib.generation import Generation, Message
from xlam_lib.schema import Tool, ToolCall

log = logging.getLogger(__name__)


class RequestError(XlamError):
    """A request that is not answered: its HTTP ``status``, and ``kind`` and ``code`` as OpenAI names them."""

    def __init__(
        self, status: int, message: str, kind: str = "invalid_request_error", code: str = ""
    ) -> None:
        super().__init__(message)
        self.status, self.kind, self.code = status, kind, code


@dataclass(frozen=True)
class Limits:
    """What one request may ask for, and how many may wait.

    Attributes: ``body`` in bytes; ``tools``; ``messages``; ``tokens`` of an answer at most, and those of one
    that names no limit (``usual_tokens``); requests ``waiting``, beyond which one is refused; answers in one
    ``batch``; ``seconds`` after which a request is given up.
    """

    body: int = 1 << 20
    tools: int = 128
    messages: int = 256
    tokens: int = 1024
    usual_tokens: int = 256
    waiting: int = 64
    batch: int = 16
    seconds: float = 600.0


# --------------------------------------------------------------------------------------- the model's thread

_GATHER_S = 0.01  # waited for company before a batch begins


@dataclass(frozen=True)
class Ask:
    """One answer that is wanted; those with the same settings can share a batch."""

    chat: list[Message]
    tokens: int
    schema: str | None = None
    temperature: float = 0.0
    seed: int | None = None
    stop_at_json: bool = False

    @property
    def settings(self) -> tuple[Any, ...]:
        return self.tokens, self.temperature, self.seed, self.stop_at_json


class Worker:
    """The thread in which the model lives, and the queue before it.

    ``model`` has the attributes and the method ``generate`` of :class:`xlam_lib.inference.LocalModel`; nobody
    else may use it meanwhile.
    """

    def __init__(self, model: Any, limits: Limits) -> None:
        self._model, self._limits = model, limits
        self._queue: deque[tuple[Ask, Future[Generation]]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self.batches: deque[int] = deque(maxlen=1000)  # sizes of the latest
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive() and not self._closed

    def submit(self, ask: Ask) -> Future[Generation]:
        """Put a request into the queue.

        Raises
        ------
        RequestError
            429 where too many wait, 503 where nobody will answer any more.
        """
        with self._changed:
            if not self.alive:
                raise RequestError(503, "the model has stopped; start the server again", "server_error")
            self._queue = deque(item for item in self._queue if not item[1].cancelled())  # given up
            if len(self._queue) >= self._limits.waiting:
                raise RequestError(
                    429,
                    f"{len(self._queue)} requests wait already; send this one again in a moment",
                    "rate_limit_error",
                    "queue_full",
                )
            future: Future[Generation] = Future()
            self._queue.append((ask, future))
            self._changed.notify()
            return future

    def close(self) -> None:
        """Answer nothing more; whoever waits is told so."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closed)
                if self._closed:
                    for _, future in self._queue:
                        if future.set_running_or_notify_cancel():
                            future.set_exception(RequestError(503, "the server is closing", "server_error"))
                    return
            time.sleep(_GATHER_S)
            with self._changed:
                first = next((ask.settings for ask, _ in self._queue), None)
                batch = [item for item in self._queue if item[0].settings == first][: self._limits.batch]
                for item in batch:
                    self._queue.remove(item)
            batch = [item for item in batch if item[1].set_running_or_notify_cancel()]
            if batch:
                self.batches.append(len(batch))
                self._answer(batch)

    def _answer(self, batch: Sequence[tuple[Ask, Future[Generation]]]) -> None:
        asks = [ask for ask, _ in batch]
        model, first = self._model, asks[0]
        model.temperature = first.temperature or None
        model.seed = secrets.randbits(31) if first.seed is None else first.seed
        model.stop_at_json = first.stop_at_json
        try:
            answers = model.generate(
                [ask.chat for ask in asks], first.tokens, schemas=[ask.schema for ask in asks]
            )
        except XlamError as error:
            if len(batch) > 1:  # one of the schemas may be to blame: nobody else has to suffer
                for item in batch:
                    self._answer([item])
                return
            batch[0][1].set_exception(RequestError(400, str(error)))
        except Exception as error:
            log.exception("the model failed")
            for _, future in batch:
                told = f"the model failed ({type(error).__name__}); the server's log says more"
                future.set_exception(RequestError(500, told, "server_error"))
        else:
            for (_, future), answer in zip(batch, answers, strict=True):
                future.set_result(answer)


# ------------------------------------------------------------------------------------------------- requests


class ChatRequest(msgspec.Struct):
    """The fields of a chat request that are read; others are passed over unless :data:`_UNSUPPORTED`."""

    messages: list[dict[str, Any]]
    model: str = ""
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    seed: int | None = None
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    response_format: dict[str, Any] | None = None
    n: int | None = None
    stop: Any = None
    top_p: float | None = None
    logprobs: bool | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    functions: Any = None
    function_call: Any = None


# The values of each with which it changes nothing.
_UNSUPPORTED: dict[str, tuple[Any, ...]] = {
    "n": (None, 1),
    "stop": (None, []),
    "top_p": (None, 1),
    "logprobs": (None, False),
    "presence_penalty": (None, 0),
    "frequency_penalty": (None, 0),
    "functions": (None,),
    "function_call": (None,),
}


@dataclass(frozen=True)
class Plan:
    """How a request is answered: the first :class:`Ask`, whether its text holds ``calls``, and what is asked
    for ``words`` where it holds none.
    """

    ask: Ask
    calls: bool = False
    words: Ask | None = None


def plan(request: ChatRequest, prompting: Prompting, limits: Limits, held: bool) -> Plan:
    """Decide how to answer a request.

    Raises
    ------
    RequestError
        400, with what to change.
    """
    for name, harmless in _UNSUPPORTED.items():
        if getattr(request, name) not in harmless:
            hint = "; send tools instead" if name.startswith("function") else "; leave it out"
            raise RequestError(400, f"{name}: is not supported by this server{hint}", code="unsupported")
    if len(request.messages) > limits.messages:
        raise RequestError(400, f"messages: {len(request.messages)}; at most {limits.messages} are read")
    tokens = request.max_completion_tokens or request.max_tokens or limits.usual_tokens
    if not 1 <= tokens <= limits.tokens:
        raise RequestError(400, f"max_tokens: is {tokens}; give 1 to {limits.tokens}")
    temperature = request.temperature or 0.0
    if not 0 <= temperature <= 2:
        raise RequestError(400, f"temperature: is {temperature}; give 0 to 2")
    if len(request.tools or ()) > limits.tools:
        raise RequestError(400, f"tools: {len(request.tools or ())}; at most {limits.tools} are read")
    try:
        tools = read_tools(request.tools or [])
        choice, allowed = _choice(request, tools)
        wanted = _wanted(request.response_format)
        words = Ask(plain_chat(request.messages), tokens, wanted, temperature, request.seed)
        if choice == "none":
            return Plan(words)
        if wanted is not None:
            raise SchemaError("response_format: cannot be kept beside tools; send one, or tool_choice 'none'")
        conversation = read_conversation(request.messages, tools, prompting)
        schema = None
        if held or choice == "required":
            legal = answer_schema(allowed, prompting.format, least=int(choice == "required"))
            if request.parallel_tool_calls is False:
                legal["properties"]["tool_calls"]["maxItems"] = 1
            schema = json.dumps(legal, ensure_ascii=False)
        ask = Ask(render(conversation, prompting), tokens, schema, temperature, request.seed, True)
        return Plan(ask, True, words if choice == "auto" else None)
    except XlamError as error:
        raise RequestError(400, str(error)) from None
    except RecursionError:
        raise RequestError(400, "tools: a schema is nested too deeply; send a flatter one") from None


def _choice(request: ChatRequest, tools: list[Tool]) -> tuple[str, list[Tool]]:
    """``none``, ``auto`` or ``required``, and the tools that may be called: all, or the named one."""
    choice = request.tool_choice
    if isinstance(choice, dict):
        function = choice.get("function")
        name = function.get("name") if isinstance(function, dict) else None
        named = [tool for tool in tools if tool.name == name]
        if not named:
            raise SchemaError(
                f"tool_choice: {name!r} is not among the tools; choose from "
                f"{', '.join(tool.name for tool in tools) or 'none, because no tools were sent'}"
            )
        return "required", named
    if choice not in (None, "auto", "none", "required"):
        raise SchemaError(
            f"tool_choice: {choice!r} is unknown; send auto, none, required or a named function"
        )
    if choice == "required" and not tools:
        raise SchemaError("tool_choice: 'required' and no tools; send some")
    return choice or "auto" if tools else "none", tools


def _wanted(response_format: dict[str, Any] | None) -> str | None:
    """The JSON Schema, as text, that the answer is held to."""
    kind = (response_format or {"type": "text"}).get("type")
    if kind == "text" or response_format is None:
        return None
    if kind == "json_object":
        return '{"type": "object"}'
    inner = response_format.get("json_schema")
    schema = inner.get("schema") if isinstance(inner, dict) else None
    if kind != "json_schema" or not isinstance(schema, dict):
        raise SchemaError(
            "response_format: send {'type': 'json_schema', 'json_schema': {'name': ..., 'schema': {...}}}, "
            "json_object or text"
        )
    return json.dumps(schema, ensure_ascii=False)


@dataclass(frozen=True)
class Answer:
    """What goes back: calls or ``content``, why it ended (``finish``), and the tokens it took."""

    calls: list[ToolCall]
    content: str | None
    finish: str
    prompt_tokens: int
    tokens: int


def read_answer(text: str, format: str) -> tuple[list[ToolCall], str]:
    """Calls and thought of an answer that is to hold calls.

    Raises
    ------
    ParseError
        It holds none that can be read.
    """
    try:
        answer = get_format(format).parse(text)
        return answer.calls, answer.thought
    except ParseError:
        return extract_calls(text, format), ""


# -------------------------------------------------------------------------------------------------- service


@dataclass
class Service:
    """The application: one model under one name.

    Attributes
    ----------
    name
        What requests call the model.
    worker
        Who answers.
    prompting
        How the model was trained to be asked.
    limits
        Of a request.
    key
        If not empty, requests must bring it as ``Authorization: Bearer``.
    held
        Whether calls are held to the tools' schemas where the request leaves that open.
    """

    name: str
    worker: Worker
    prompting: Prompting = field(default_factory=Prompting)
    limits: Limits = field(default_factory=Limits)
    key: str = ""
    held: bool = True

    def __post_init__(self) -> None:
        if self.prompting.format not in FORMATS:
            raise ProfileError(f"format {self.prompting.format!r}: serve one of {', '.join(FORMATS)}")

    def app(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[
                Route("/health", self._health),
                Route("/v1/models", self._models),
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
            ],
            exception_handlers={RequestError: _refused, HTTPException: _not_served, Exception: _failed},
        )

    async def _health(self, request: Request) -> Response:
        if not self.worker.alive:
            raise RequestError(503, "the model has stopped; start the server again", "server_error")
        return JSONResponse({"status": "ok"})

    async def _models(self, request: Request) -> Response:
        self._admit(request)
        model = {"id": self.name, "object": "model", "created": 0, "owned_by": "local"}
        return JSONResponse({"object": "list", "data": [model]})

    async def _chat(self, request: Request) -> Response:
        self._admit(request)
        asked = await self._read(request)
        if asked.model != self.name:
            told = f"model {asked.model!r} is not served here; ask for {self.name!r}"
            raise RequestError(404, told, code="model_not_found")
        answer = await self._answer(plan(asked, self.prompting, self.limits, self.held))
        head = {
            "id": f"chatcmpl-{secrets.token_hex(12)}",
            "created": int(time.time()),
            "model": self.name,
        }
        if asked.stream:
            usage = bool((asked.stream_options or {}).get("include_usage"))
            return StreamingResponse(_chunks(answer, head, usage), media_type="text/event-stream")
        return JSONResponse(
            {
                **head,
                "object": "chat.completion",
                "choices": [
                    {
                        "index": 0,
                        "message": _message(answer),
                        "finish_reason": answer.finish,
                        "logprobs": None,
                    }
                ],
                "usage": _usage(answer),
            }
        )

    def _admit(self, request: Request) -> None:
        given = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
        if self.key and not hmac.compare_digest(given.encode(), self.key.encode()):
            told = "no valid API key; send the server's key as 'Authorization: Bearer KEY'"
            raise RequestError(401, told, "authentication_error", "invalid_api_key")

    async def _read(self, request: Request) -> ChatRequest:
        # Any other type could be sent, unasked, by a web page that is open in a browser of this machine.
        if not request.headers.get("content-type", "").startswith("application/json"):
            raise RequestError(400, "the body is not announced as JSON; send Content-Type: application/json")
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > self.limits.body:
                raise RequestError(413, f"the body is longer than {self.limits.body:,} bytes; send less")
        try:
            return msgspec.json.decode(bytes(body), type=ChatRequest)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise RequestError(400, f"the body is not a chat request: {error}") from None

    async def _answer(self, plan: Plan) -> Answer:
        first = await self._ask(plan.ask)
        if not plan.calls:
            return _said(first, first.text)
        try:
            calls, thought = read_answer(first.text, self.prompting.format)
        except ParseError:  # cut off, or free and not to be read
            return _said(first, first.text)
        if calls:
            return Answer(calls, thought or None, "tool_calls", first.prompt_tokens, first.tokens)
        if thought or plan.words is None:
            return _said(first, thought)
        second = await self._ask(plan.words)
        return _said(second, second.text, first)

    async def _ask(self, ask: Ask) -> Generation:
        try:
            answer = await asyncio.wait_for(asyncio.wrap_future(self.worker.submit(ask)), self.limits.seconds)
        except TimeoutError:
            told = f"no answer within {self.limits.seconds:g} seconds; ask for fewer tokens or try later"
            raise RequestError(503, told, "server_error", "timeout") from None
        if answer.finish == "context":
            told = (
                f"the prompt's {answer.prompt_tokens} tokens and {ask.tokens} of the answer do not fit the "
                "model's context; send fewer tools or messages, or lower max_tokens"
            )
            raise RequestError(400, told, code="context_length_exceeded")
        return answer


def _said(answer: Generation, text: str, before: Generation | None = None) -> Answer:
    prompt = answer.prompt_tokens + (before.prompt_tokens if before else 0)
    tokens = answer.tokens + (before.tokens if before else 0)
    return Answer([], text, "length" if answer.finish == "length" else "stop", prompt, tokens)


def _message(answer: Answer) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": answer.content, "refusal": None}
    if answer.calls:
        message["tool_calls"] = [_call(call) for call in answer.calls]
    return message


def _call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": dump_json(call.arguments)}
    return {"id": f"call_{secrets.token_hex(12)}", "type": "function", "function": function}


def _usage(answer: Answer) -> dict[str, int]:
    total = answer.prompt_tokens + answer.tokens
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.tokens,
        "total_tokens": total,
    }


async def _chunks(answer: Answer, head: dict[str, Any], usage: bool) -> AsyncIterator[str]:
    """The answer as server-sent events: role, text or calls (name, then arguments), end."""

    def event(delta: dict[str, Any] | None, finish: str | None = None, **more: Any) -> str:
        choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
        body = {**head, "object": "chat.completion.chunk", "choices": choices, **more}
        return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"

    yield event({"role": "assistant", "content": None if answer.calls else ""})
    if answer.content:
        yield event({"content": answer.content})
    for index, call in enumerate(answer.calls):
        whole = _call(call)
        arguments = whole["function"].pop("arguments")
        whole["function"]["arguments"] = ""
        yield event({"tool_calls": [{"index": index, **whole}]})
        yield event({"tool_calls": [{"index": index, "function": {"arguments": arguments}}]})
    yield event({}, answer.finish)
    if usage:
        yield event(None, usage=_usage(answer))
    yield "data: [DONE]\n\n"


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    body = {"message": str(error), "type": error.kind, "param": None, "code": error.code or None}
    headers = {"Retry-After": "1"} if error.status == 429 else None
    return JSONResponse({"error": body}, error.status, headers)


async def _not_served(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    served = "GET /v1/models, GET /health and POST /v1/chat/completions"
    told = f"{request.method} {request.url.path}: {error.detail}; served are {served}"
    return await _refused(request, RequestError(error.status_code, told))


async def _failed(request: Request, error: Exception) -> Response:
    told = f"the server failed ({type(error).__name__}); its log says more"
    return await _refused(request, RequestError(500, told, "server_error"))


# -------------------------------------------------------------------------------------------------- running


def _bound(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise ProfileError(
            f"{host}:{port}: cannot be listened at ({error.strerror}); choose another port"
        ) from None


def _server(service: Service) -> Any:
    import uvicorn

    return uvicorn.Server(
        uvicorn.Config(service.app(), log_level="warning", lifespan="off", timeout_graceful_shutdown=5)
    )


def run(service: Service, host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve until interrupted.

    Raises
    ------
    ProfileError
        The address is taken, or is none of this machine's.
    """
    with _bound(host, port) as listening:
        url = f"http://{host}:{listening.getsockname()[1]}/v1"
        print(f"{service.name} answers at {url} (Ctrl-C ends it)", flush=True)
        try:
            _server(service).run(sockets=[listening])
        finally:
            service.worker.close()


@contextlib.contextmanager
def running(service: Service, port: int = 0) -> Iterator[str]:
    """Serve on this machine, in a thread, for as long as the block lasts; yield the address (``.../v1``).

    Port 0 takes a free one.
    """
    with _bound("127.0.0.1", port) as listening:
        server = _server(service)
        thread = threading.Thread(
            target=server.run, kwargs={"sockets": [listening]}, name="server", daemon=True
        )
        thread.start()
        try:
            while not server.started and thread.is_alive():
                time.sleep(0.01)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        finally:
            server.should_exit = True
            thread.join()
            service.worker.close()
