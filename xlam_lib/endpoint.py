"""An OpenAI-compatible ``/chat/completions`` server as a back end: vLLM, ``transformers serve``, hosted.

Requests go out over ``httpx`` with bounded concurrency, retries and rate limits, and each answer is
appended to a journal the moment it arrives, so that a rerun asks only for what is missing. ``httpx``
rather than the ``openai`` package: one request shape is all that is needed, and with one layer of retries
every request that costs money is seen, counted and journalled here.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, TypeVar

import httpx
import msgspec

from xlam_lib.errors import ArtifactError, ProfileError, XlamError
from xlam_lib.generation import Backend, Generation, Message, Progress, drop_torn_line
from xlam_lib.records import read_jsonl

MAX_RETRY_AFTER_S = 600  # a server that asks for more has a quota that is used up, not a busy moment
CHARACTERS_PER_TOKEN = 4  # the estimate a token limit goes by until the server has counted
_RETRIED = (408, 409, 429)  # and every 5xx

T = TypeVar("T")


class EndpointError(XlamError):
    """A model server refused a request, or did not answer it however often it was asked."""


@dataclass
class Usage:
    """What an endpoint was asked and what it answered, over all calls of one :class:`Endpoint`.

    Attributes
    ----------
    requests
        HTTP requests sent, retries included.
    retries
        Those of them that repeat a failed one.
    answers
        Answers received.
    journalled
        Answers taken from a journal, which cost nothing.
    prompt_tokens, completion_tokens
        As the server counts them, over the answers received.
    uncounted
        Answers for which the server gave no count of tokens.
    seconds
        Wall-clock time spent in :meth:`Endpoint.complete`.
    """

    requests: int = 0
    retries: int = 0
    answers: int = 0
    journalled: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    uncounted: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Endpoint:
    """A model behind an OpenAI-compatible server; satisfies :class:`xlam_lib.generation.Backend`.

    Attributes
    ----------
    base_url
        Up to and including the version: ``http://127.0.0.1:8000/v1``.
    model
        The model's name on that server.
    api_key_env
        Name of the environment variable that holds the key; ``None`` for a server that wants none. The key
        is read when requests are sent, and is never written, logged or shown.
    temperature, top_p, seed
        Sampling. The n-th of several equal requests is sent ``seed + n``, so that they draw apart.
        ``transformers serve`` samples only for a model whose ``generation_config.json`` has ``do_sample``.
    timeout_s
        For one request, from sending to the last byte. A server that answers one request after the other
        (``transformers serve``) must answer :attr:`concurrency` of them in that time: give 1 there.
    concurrency
        Requests in flight at once, at most.
    retries
        How often one request is repeated after a failure that may pass.
    backoff_s, max_backoff_s
        The wait before the first repetition, doubled each time up to the second, then jittered by half.
    requests_per_minute, tokens_per_minute
        Limits kept by spacing requests evenly; ``None`` for no limit. A request counts with its prompt's
        and its longest answer's tokens, until the server says how many they were.
    limit_field
        ``max_tokens``, or ``max_completion_tokens`` for hosted models that insist on the new name.
    journal
        Where :meth:`generate` keeps its answers; ``None`` to keep none.
    usage
        The running counts.
    """

    base_url: str
    model: str
    api_key_env: str | None = None
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = 0
    timeout_s: float = 120.0
    concurrency: int = 8
    retries: int = 6
    backoff_s: float = 1.0
    max_backoff_s: float = 60.0
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    limit_field: str = "max_tokens"
    journal: Path | None = None
    usage: Usage = field(default_factory=Usage, compare=False, repr=False)

    schedules: ClassVar[bool] = True
    constrains: ClassVar[bool] = True

    def __post_init__(self) -> None:
        url = httpx.URL(self.base_url)
        if url.scheme not in ("http", "https") or not url.host:
            raise ProfileError(
                f"base_url {self.base_url!r} is no address; give one such as http://127.0.0.1:8000/v1"
            )
        if url.userinfo:
            raise ProfileError("base_url holds a password; put the key into a variable named by api_key_env")
        if self.limit_field not in ("max_tokens", "max_completion_tokens"):
            raise ProfileError(
                f"limit_field {self.limit_field!r} is unknown; choose max_tokens or max_completion_tokens"
            )
        if self.concurrency < 1 or self.retries < 0:
            raise ProfileError(
                f"concurrency is {self.concurrency}, retries {self.retries}; give at least 1 and at least 0"
            )
        for name in ("timeout_s", "backoff_s", "max_backoff_s", "requests_per_minute", "tokens_per_minute"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ProfileError(f"{name} is {value}; give a number above 0")

    @property
    def name(self) -> str:
        """The model, and its sampling unless it is greedy: another temperature is another back end."""
        if self.temperature == 0:
            return self.model
        return f"{self.model} (temperature {self.temperature:g}, top_p {self.top_p:g}, seed {self.seed})"

    def generate(
        self,
        chats: Sequence[Sequence[Message]],
        max_new_tokens: int,
        schemas: Sequence[str | None] | None = None,
    ) -> list[Generation]:
        """Answer chats in order, through the :attr:`journal` if there is one; see :meth:`complete`."""
        return self.complete(chats, self.journal, max_new_tokens=max_new_tokens, schemas=schemas)

    def complete(
        self,
        requests: Sequence[Sequence[Message]],
        journal: str | Path | None = None,
        *,
        max_new_tokens: int = 512,
        progress: Progress | None = None,
        schemas: Sequence[str | None] | None = None,
    ) -> list[Generation]:
        """Answer every request, in order; may be called where an event loop is running (Jupyter).

        Parameters
        ----------
        requests
            Chats. Equal ones are asked separately: that is how to draw several answers to one prompt.
        journal
            A JSON Lines file to which every answer is appended as it arrives. Requests found in it are not
            sent again, in whatever order and company they come. It holds neither key nor address.
        max_new_tokens
            The longest answer, in tokens.
        progress
            Called with (requests answered, requests), from the thread that runs the requests.
        schemas
            For each request a JSON Schema (as JSON text) that the server holds its answer to, or ``None``;
            sent as ``response_format``, which vLLM and OpenAI understand.

        Returns
        -------
        One answer a request. One whose prompt does not fit the model's context has ``finish`` ``context``.

        Raises
        ------
        EndpointError
            The server refused a request (400, 401, 403, 404, any other 4xx), or one failed after all
            retries. Requests in flight are awaited and journalled first; no further ones are sent.
        ArtifactError
            The journal is in use by another run, or cannot be written.
        """
        if max_new_tokens < 1:
            raise ProfileError(f"max_new_tokens is {max_new_tokens}; give at least 1")
        started = time.monotonic()
        try:
            with _opened(journal) as (known, file):
                held = schemas if schemas is not None else [None] * len(requests)
                run = _Run(self, requests, max_new_tokens, known, file, progress, held)
                return run_anywhere(run.answers())
        finally:
            self.usage.seconds += time.monotonic() - started

    def _key(self) -> str | None:
        if self.api_key_env is None:
            return None
        key = os.environ.get(self.api_key_env, "").strip()
        if not key:
            raise EndpointError(
                f"{self.base_url}: the variable {self.api_key_env} is not set; put the API key into it"
            )
        if not (key.isascii() and key.isprintable()):  # an HTTP library's own error would show the key
            raise EndpointError(
                f"{self.base_url}: the value of {self.api_key_env} is no API key: it holds characters "
                "that no header can carry; set it again"
            )
        return key

    def _body(
        self, chat: Sequence[Message], index: int, max_new_tokens: int, schema: str | None
    ) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.model,
            "messages": list(chat),
            "temperature": self.temperature,
            "top_p": self.top_p,
            self.limit_field: max_new_tokens,
            "stream": False,
        }
        if self.seed is not None:
            body["seed"] = self.seed + index
        if schema is not None:
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": json.loads(schema)},
            }
        return body


class _Entry(msgspec.Struct):
    """A line of the journal: the request's key, its answer, and the seconds that the answer took."""

    key: str
    answer: Generation
    seconds: float


def request_key(
    endpoint: Endpoint, chat: Sequence[Message], index: int, max_new_tokens: int, schema: str | None = None
) -> str:
    """SHA-256 of what decides an answer: model, messages, sampling, schema, and which of equal requests."""
    decisive = {
        "model": endpoint.model,
        "messages": [dict(message) for message in chat],
        "temperature": float(endpoint.temperature),
        "top_p": float(endpoint.top_p),
        "seed": endpoint.seed,
        "max_new_tokens": max_new_tokens,
        "index": index,
    }
    if schema is not None:
        decisive["schema"] = schema
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


@contextmanager
def _opened(journal: str | Path | None) -> Iterator[tuple[dict[str, Generation], BinaryIO | None]]:
    """The answers that a journal holds, and the journal, locked and open at its end."""
    if journal is None:
        yield {}, None
        return
    path = Path(journal)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab", buffering=0)  # a line is with the system as soon as it is written
    except OSError as error:
        raise ArtifactError(
            f"{path}: cannot be written ({error.strerror}); choose another journal"
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ArtifactError(
                f"{path}: another run is writing this journal; wait for it or use another"
            ) from None
        drop_torn_line(path)
        yield {entry.key: entry.answer for entry in read_jsonl(path, _Entry)}, file


def run_anywhere(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, in a thread of its own where this one already runs an event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    loop = asyncio.new_event_loop()
    task = loop.create_task(coroutine)

    def drive() -> None:
        with asyncio.Runner(loop_factory=lambda: loop):
            loop.run_until_complete(asyncio.wait([task]))

    thread = threading.Thread(target=drive, name="endpoint")
    thread.start()
    try:
        thread.join()
    except BaseException:  # the user interrupts the cell: nothing more is to be sent
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
        raise
    return task.result()


class _Pace:
    """Even spacing of requests: the time at which the next one may start, under each limit."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.request_s = 60 / endpoint.requests_per_minute if endpoint.requests_per_minute else 0.0
        self.token_s = 60 / endpoint.tokens_per_minute if endpoint.tokens_per_minute else 0.0
        self.next_request = self.next_token = self.held_until = 0.0

    def reserve(self, tokens: int) -> float:
        """Reserve a place for a request of so many tokens; return its start on the monotonic clock."""
        start = max(time.monotonic(), self.next_request, self.next_token)
        self.next_request = start + self.request_s
        self.next_token = start + tokens * self.token_s
        return start

    def correct(self, estimated: int, actual: int) -> None:
        """Give back what a request was counted with too much, or take what it was too little."""
        self.next_token += (actual - estimated) * self.token_s

    def hold(self, seconds: float) -> None:
        """Let nobody start for a while: the server has asked for it."""
        self.held_until = max(self.held_until, time.monotonic() + seconds)


class _Transient(Exception):
    """A failure that may pass, with the wait the server asked for."""

    def __init__(self, what: str, wait: float | None = None) -> None:
        super().__init__(what)
        self.wait = wait


class _Stopped(Exception):
    """Another request has failed for good; this one need not be sent any more."""


class _Run:
    """One call of :meth:`Endpoint.complete`: as many workers as requests may be in flight."""

    def __init__(
        self,
        endpoint: Endpoint,
        requests: Sequence[Sequence[Message]],
        max_new_tokens: int,
        known: dict[str, Generation],
        journal: BinaryIO | None,
        progress: Progress | None,
        schemas: Sequence[str | None],
    ) -> None:
        self.endpoint, self.requests, self.max_new_tokens = endpoint, requests, max_new_tokens
        self.schemas = schemas
        self.journal, self.progress = journal, progress
        self.found: list[Generation | None] = []
        self.missing: list[tuple[int, int, str]] = []  # position, index among equal requests, key
        seen: Counter[str] = Counter()
        for position, (chat, schema) in enumerate(zip(requests, schemas, strict=True)):
            plain = request_key(endpoint, chat, 0, max_new_tokens, schema)
            index = seen[plain]
            seen[plain] += 1
            key = request_key(endpoint, chat, index, max_new_tokens, schema) if index else plain
            self.found.append(known.get(key))
            if key not in known:
                self.missing.append((position, index, key))
        self.done = len(requests) - len(self.missing)
        endpoint.usage.journalled += self.done
        self.failure: BaseException | None = None

    async def answers(self) -> list[Generation]:
        if self.missing:
            endpoint = self.endpoint
            key = self.secret = endpoint._key()
            self.stopped = asyncio.Event()
            self.pace = _Pace(endpoint)
            self.url = endpoint.base_url.rstrip("/") + "/chat/completions"
            queue = iter(self.missing)
            workers = min(endpoint.concurrency, len(self.missing))
            async with httpx.AsyncClient(
                headers={"Authorization": f"Bearer {key}"} if key else {},
                limits=httpx.Limits(max_connections=workers, max_keepalive_connections=workers),
                timeout=endpoint.timeout_s,
            ) as self.client:
                async with asyncio.TaskGroup() as group:
                    for _ in range(workers):
                        group.create_task(self.work(queue))
            if self.failure is not None:
                raise self.failure
        elif self.progress:
            self.progress(self.done, len(self.requests))
        return [answer for answer in self.found if answer is not None]

    async def work(self, queue: Iterator[tuple[int, int, str]]) -> None:
        for position, index, key in queue:
            try:
                answer, seconds = await self.ask(position, index)
                self.keep(_Entry(key, answer, round(seconds, 3)))
            except _Stopped:
                return
            except (XlamError, OSError) as error:
                # Kept, not raised: a raise would cancel the others, whose answers are already being paid for.
                self.failure = self.failure or error
                self.stopped.set()
                return
            self.found[position] = answer
            self.done += 1
            if self.progress:
                self.progress(self.done, len(self.requests))
            if self.stopped.is_set():
                return

    def keep(self, entry: _Entry) -> None:
        if self.journal is None:
            return
        line = msgspec.json.encode(entry) + b"\n"
        try:
            written = self.journal.write(line)
        except OSError as error:
            raise ArtifactError(
                f"{self.journal.name}: cannot be written ({error.strerror}); free some disk space, run again"
            ) from error
        if written != len(line):
            raise ArtifactError(f"{self.journal.name}: the disk is full; free some space, then run again")

    async def ask(self, position: int, index: int) -> tuple[Generation, float]:
        """Send one request until it is answered; return the answer and the seconds the last try took."""
        endpoint, chat = self.endpoint, self.requests[position]
        body = endpoint._body(chat, index, self.max_new_tokens, self.schemas[position])
        estimate = self.max_new_tokens + sum(len(m["content"]) for m in chat) // CHARACTERS_PER_TOKEN
        for attempt in range(endpoint.retries + 1):
            await self.wait_until(self.pace.reserve(estimate))
            endpoint.usage.requests += 1
            endpoint.usage.retries += attempt > 0
            started = time.monotonic()
            try:
                async with asyncio.timeout(endpoint.timeout_s):
                    response = await self.client.post(self.url, json=body)
                answer = self.read(response, position, estimate)
                return answer, time.monotonic() - started
            except (TimeoutError, httpx.TimeoutException):
                failure = _Transient(f"no answer within {endpoint.timeout_s:g} s")
            except httpx.TransportError as error:
                failure = _Transient(f"{type(error).__name__}: {error}".rstrip(": "))
            except httpx.DecodingError as error:
                failure = _Transient(f"an answer that cannot be decompressed ({error})")
            except _Transient as error:
                failure = error
            if attempt == endpoint.retries:
                raise EndpointError(
                    f"{self.url}: request {position} failed {attempt + 1} times, the last time with: "
                    f"{failure}; check the server, then run again: answers in the journal are not asked again"
                )
            delay = min(endpoint.max_backoff_s, endpoint.backoff_s * 2**attempt) * random.uniform(0.5, 1)
            if failure.wait is not None:
                self.pace.hold(failure.wait)
                delay = max(failure.wait, random.uniform(0, endpoint.backoff_s) + failure.wait)
            await self.wait_until(time.monotonic() + delay)
        raise AssertionError("the loop above returns or raises")

    async def wait_until(self, moment: float) -> None:
        """Sleep until then, and as long as the server has asked for.

        Raises
        ------
        _Stopped
            Meanwhile another request has failed for good.
        """
        while True:
            left = max(moment, self.pace.held_until) - time.monotonic()
            if self.stopped.is_set():
                raise _Stopped
            if left <= 0:
                return
            try:
                await asyncio.wait_for(self.stopped.wait(), left)
            except TimeoutError:
                pass

    def read(self, response: httpx.Response, position: int, estimate: int) -> Generation:
        """The answer in a response; raises what its status or its body asks for."""
        status = response.status_code
        if status != 200:
            shown = self.shown(response)
            if status in _RETRIED or status >= 500:
                wait = retry_after(response.headers.get("retry-after"))
                if wait is not None and wait > MAX_RETRY_AFTER_S:
                    raise EndpointError(
                        f"{self.url}: asks to wait {wait:.0f} s ({shown}); "
                        "a quota may be used up: run again later"
                    )
                raise _Transient(shown, wait)
            if status == 400 and _beyond_context(response.text):
                self.endpoint.usage.answers += 1
                self.pace.correct(estimate, 0)
                return Generation("", 0, 0, "context")
            raise EndpointError(f"{self.url}: request {position}: {shown}; {self.remedy(status)}")
        try:
            body = response.json()
            choice = body["choices"][0]
            text = choice["message"].get("content")
            finish = choice.get("finish_reason")
            counts = body.get("usage") or {}
            prompt, completion = counts.get("prompt_tokens"), counts.get("completion_tokens")
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            raise _Transient(f"an answer that is no chat completion: {self.shown(response)}") from None
        if not isinstance(text, (str, type(None))) or not isinstance(finish, (str, type(None))):
            raise _Transient(f"an answer that is no chat completion: {self.shown(response)}")
        usage = self.endpoint.usage
        usage.answers += 1
        if isinstance(prompt, int) and isinstance(completion, int):
            usage.prompt_tokens += prompt
            usage.completion_tokens += completion
            self.pace.correct(estimate, prompt + completion)
        else:
            prompt = completion = 0
            usage.uncounted += 1
        # Half a surrogate pair, which JSON can spell, could not be written to the journal.
        text = (text or "").strip().encode(errors="replace").decode()
        return Generation(text, prompt, completion, finish or "stop")

    def shown(self, response: httpx.Response) -> str:
        """Status and beginning of a response, without the key, which some servers repeat."""
        text = " ".join(response.text.split())
        if self.secret:
            text = text.replace(self.secret, "***")
        return f"HTTP {response.status_code} {text[:200]}".strip()

    def remedy(self, status: int) -> str:
        endpoint = self.endpoint
        if status in (401, 403):
            named = endpoint.api_key_env
            return f"check the key in {named}" if named else "the server wants a key: set api_key_env"
        if status == 404:
            return (
                f"check that base_url ends with the version (/v1) and that model {endpoint.model!r} is served"
            )
        if 300 <= status < 400:
            return "the server redirects; give the address it redirects to as base_url"
        return "the request is at fault, so it is not repeated"


def _beyond_context(text: str) -> bool:
    """Whether a refusal says that the prompt is too long for the model."""
    return "context_length_exceeded" in text or "maximum context length" in text


def retry_after(value: str | None) -> float | None:
    """Seconds in a ``Retry-After`` header (seconds or a date); ``None`` if it is absent or unreadable."""
    if not value:
        return None
    value = value.strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = parsedate_to_datetime(value)
        except (ValueError, TypeError, OverflowError):
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        seconds = (moment - datetime.now(UTC)).total_seconds()
    return max(seconds, 0.0) if seconds == seconds and seconds != float("inf") else None


def open_backend(
    model: str, endpoint: str = "", key_env: str = "", journal: Path | None = None
) -> Backend | None:
    """The back end that a notebook's parameters name, or ``None`` where they name none.

    Parameters
    ----------
    model
        A model's name on the server; without an ``endpoint`` a local model, as
        :func:`xlam_lib.assets.model_folder` finds it. ``ctranslate2:`` before it chooses the engine of
        :mod:`xlam_lib.engines`.
    endpoint
        The address of an OpenAI-compatible server, up to and including the version.
    key_env
        The environment variable that holds the server's key; empty for a server that wants none.
    journal
        Where a server's answers are kept, so that a stage that is run again asks for none of them twice.

    Raises
    ------
    ProfileError
        There is an endpoint or a key and nothing that uses it.
    AssetError
        The local model is not there.
    """
    if endpoint and not model:
        raise ProfileError(f"endpoint {endpoint!r} is given without a model; name the model that it serves")
    if key_env and not endpoint:
        raise ProfileError(
            f"key variable {key_env!r} is given without an endpoint; only a server wants a key"
        )
    if not model:
        return None
    if endpoint:
        return Endpoint(endpoint, model, api_key_env=key_env or None, journal=journal)
    from xlam_lib import assets, engines
    from xlam_lib.inference import LocalModel  # brings torch

    if model.startswith(engines.PREFIX):
        name = model.removeprefix(engines.PREFIX)
        return engines.CTranslate2Model.load(assets.model_folder(name), model)
    return LocalModel.load(assets.model_folder(model), model)
