"""The execution check against a REST API: calls become HTTP requests, judged by their status code.

APIGen executes its REST calls and keeps those whose response says success (report, section 5). Here an
argument is data: it is checked against the tool's schema, encoded into the one place its operation names,
and can reach neither the host, nor the structure of the path, nor a header line of its own.
"""

from __future__ import annotations

import asyncio
import base64
import os
import re
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Literal
from urllib.parse import quote, unquote

import httpx
import msgspec

from xlam_lib.endpoint import retry_after, run_anywhere
from xlam_lib.errors import ProfileError, XlamError
from xlam_lib.schema import Tool
from xlam_lib.synthesis.execute import Limits, Outcome
from xlam_lib.synthesis.registry import arguments_fault

SAFE_METHODS = ("GET", "HEAD")
"""Methods that change nothing on the server, so that a call may be repeated or answered from another."""

MAX_REDIRECTS = 3
RETRIES = 4  # of a request that the server turns away only for now
BACKOFF_S = 0.5  # before the first of them, then doubled, where the server does not say how long
MAX_WAIT_S = 60.0  # a server that asks for more has a quota that is used up, not a busy moment
ERROR_BYTES = 4096  # read of a failed response, to say why
MIN_SECRET = 6  # shorter header values are no keys, and hiding them would garble results

_HEADER_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_HARMLESS_HEADERS = frozenset(("accept", "accept-language", "user-agent", "content-type"))


@dataclass(frozen=True)
class Place:
    """Where a request carries an argument.

    Attributes
    ----------
    where
        ``path``, ``query``, ``header``, ``cookie`` or ``body``.
    name
        Its name there; empty for the whole body.
    style, explode
        OpenAPI's: ``simple``, ``form``, ``spaceDelimited``, ``pipeDelimited`` or ``deepObject``; or ``json``
        for a value that is sent as JSON text.
    """

    where: Literal["path", "query", "header", "cookie", "body"]
    name: str
    style: str = "form"
    explode: bool = False


@dataclass(frozen=True)
class Key:
    """Where a request carries the user's key: a header, query or cookie name, and what stands before it."""

    where: Literal["header", "query", "cookie"] = "header"
    name: str = "Authorization"
    prefix: str = "Bearer "


@dataclass(frozen=True)
class Operation:
    """One operation of an API.

    Attributes
    ----------
    tool
        What a call is checked against.
    method, path
        ``GET`` and ``/books/{isbn}``, with the wire names in braces.
    places
        Parameter of the tool to its place in the request.
    body_required
        Send a body, ``{}``, even where no argument belongs to it.
    json
        Status (``200``, ``2XX``, ``default``) to whether its body must be JSON.
    key
        Where the user's key goes, if it has one.
    """

    tool: Tool
    method: str
    path: str
    places: Mapping[str, Place] = field(default_factory=dict)
    body_required: bool = False
    json: Mapping[str, bool] = field(default_factory=dict)
    key: Key = Key()

    @property
    def safe(self) -> bool:
        """Whether a call changes nothing on the server."""
        return self.method in SAFE_METHODS

    def promises_json(self, status: int) -> bool:
        """Whether the API's description says that a response of this status is JSON."""
        for key in (str(status), f"{status // 100}XX", "default"):
            if key in self.json:
                return self.json[key]
        return False


@dataclass
class Traffic:
    """What an executor sent: requests, those of them that repeat one, and calls answered by an equal one."""

    requests: int = 0
    retries: int = 0
    shared: int = 0


class _Unsendable(Exception):
    """An argument that fits its schema and cannot be put into a request."""


class _Busy(Exception):
    """The server turns a request away for now."""

    def __init__(self, outcome: Outcome, wait: float | None) -> None:
        self.outcome, self.wait = outcome, wait


@dataclass(frozen=True)
class _Request:
    operation: Operation
    url: str
    headers: list[tuple[str, str]]
    content: bytes | None


class RestExecutor:
    """Executes calls as requests to one API; satisfies :class:`~xlam_lib.synthesis.execute.Executor`.

    An outcome is the parsed JSON (or the text) of a 2xx response, or its status if it has no body. Errors,
    beside those of the schema check: ``argument cannot be sent``, ``HTTP client error`` (4xx), ``rate
    limited`` (429 after all retries), ``HTTP server error`` (5xx), ``redirected``, ``time-out``,
    ``connection failed``, ``response is not JSON`` (where the content type or the API's description promises
    it), ``response cannot be read`` (an unknown or broken compression or character set), ``output limit
    exceeded``.

    Redirects are followed for safe methods, within the same scheme, host and port, at most three times.
    Calls of a safe method that make the same request are sent once a run. A request that meets 429, or
    503 with ``Retry-After``, waits and is repeated, since the sample is not at fault. Cookies that the
    server sets are not kept, so that no call depends on another.

    Parameters
    ----------
    base_url
        The address that the paths are appended to.
    operations
        By function name.
    headers
        Sent with every request. Those that may hold a key are hidden in all results and errors.
    key_env
        The variable that holds the API's key, read when requests are sent; never written or shown.
    limits
        ``seconds`` for one request with its whole response, and ``output`` bytes of the response,
        uncompressed.
    concurrency
        Requests in flight at once, at most.
    requests_per_second
        Kept by spacing requests evenly; None for no limit.
    """

    def __init__(
        self,
        base_url: str,
        operations: Mapping[str, Operation],
        *,
        headers: Mapping[str, str] | None = None,
        key_env: str | None = None,
        limits: Limits | None = None,
        concurrency: int = 8,
        requests_per_second: float | None = None,
    ):
        if concurrency < 1 or (requests_per_second is not None and requests_per_second <= 0):
            raise ProfileError(
                f"concurrency is {concurrency}, requests_per_second {requests_per_second}; "
                "give at least 1, and a number above 0 or None"
            )
        self.base_url, self.operations = checked_base_url(base_url), dict(operations)
        self.headers, self.key_env = checked_headers(headers), key_env
        self.limits, self.concurrency = limits or Limits(), concurrency
        self.interval = 1 / requests_per_second if requests_per_second else 0.0
        self.next_start = self.held_until = 0.0
        self.traffic = Traffic()
        self.secrets: tuple[str, ...] = ()

    def __enter__(self) -> RestExecutor:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing is left open between runs."""

    def run(self, calls: Sequence[tuple[str, dict[str, Any]]]) -> list[Outcome]:
        """Run ``(name, arguments)`` calls; one outcome each, in the same order, in a notebook too.

        Raises
        ------
        XlamError
            ``key_env`` names a variable that is not set, or that holds no key.
        """
        return run_anywhere(self._run(calls))

    async def _run(self, calls: Sequence[tuple[str, dict[str, Any]]]) -> list[Outcome]:
        key = self._key()
        outcomes: list[Outcome | None] = [None] * len(calls)
        jobs: list[tuple[_Request, list[int]]] = []
        known: dict[tuple[Any, ...], list[int]] = {}
        for position, (name, arguments) in enumerate(calls):
            request = self._request(name, arguments, key)
            if isinstance(request, Outcome):
                outcomes[position] = request
                continue
            if request.operation.safe:
                same = known.setdefault((name, request.url, tuple(request.headers)), [])
            else:
                same = []
            same.append(position)
            if len(same) > 1:
                self.traffic.shared += 1
            else:
                jobs.append((request, same))
        queue = iter(jobs)
        workers = min(self.concurrency, len(jobs))
        async with httpx.AsyncClient(
            headers={"User-Agent": "xlam-book"},
            limits=httpx.Limits(max_connections=workers, max_keepalive_connections=workers),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            timeout=self.limits.seconds,
        ) as client:
            async with asyncio.TaskGroup() as group:
                for _ in range(workers):
                    group.create_task(self._work(client, queue, outcomes))
        return [outcome for outcome in outcomes if outcome is not None]

    async def _work(
        self,
        client: httpx.AsyncClient,
        queue: Iterator[tuple[_Request, list[int]]],
        outcomes: list[Outcome | None],
    ) -> None:
        for request, positions in queue:
            outcome = await self._ask(client, request)
            for position in positions:
                outcomes[position] = outcome

    async def _ask(self, client: httpx.AsyncClient, request: _Request) -> Outcome:
        """Send one request, again where the server is only busy, and judge the response."""
        broken = 0
        for attempt in range(RETRIES + 1):
            await self._turn()
            self.traffic.requests += 1
            self.traffic.retries += attempt > 0
            try:
                async with asyncio.timeout(self.limits.seconds):
                    return await self._send(client, request)
            except (TimeoutError, httpx.TimeoutException):
                return self._failed("time-out", f"no whole answer within {self.limits.seconds:g} s", request)
            except (httpx.InvalidURL, UnicodeError) as error:
                return self._failed("argument cannot be sent", f"{type(error).__name__}: {error}", request)
            except httpx.HTTPError as error:
                # Once more where that is harmless: a server may have closed an idle connection.
                broken += 1
                if broken > 1 or not (request.operation.safe or isinstance(error, httpx.ConnectError)):
                    return self._failed("connection failed", f"{type(error).__name__}: {error}", request)
            except _Busy as busy:
                wait = BACKOFF_S * 2**attempt if busy.wait is None else busy.wait
                if attempt == RETRIES or wait > MAX_WAIT_S:
                    return busy.outcome
                self.held_until = max(self.held_until, time.monotonic() + wait)
        return self._failed("connection failed", "no answer", request)

    async def _turn(self) -> None:
        """Wait for this request's turn under the rate limit, and as long as the server has asked for."""
        start = max(time.monotonic(), self.next_start)
        self.next_start = start + self.interval
        while (left := max(start, self.held_until) - time.monotonic()) > 0:
            await asyncio.sleep(left)

    async def _send(self, client: httpx.AsyncClient, request: _Request) -> Outcome:
        url = httpx.URL(request.url)
        for _ in range(MAX_REDIRECTS + 1):
            built = client.build_request(
                request.operation.method, url, headers=request.headers, content=request.content
            )
            response = await client.send(built, stream=True, follow_redirects=False)
            try:
                target = self._redirect(response, url, request)
                if isinstance(target, Outcome):
                    return target
                if target is None:
                    return await self._judge(response, request)
                url = target
            finally:
                await response.aclose()
        return self._failed("redirected", f"more than {MAX_REDIRECTS} times", request)

    def _redirect(
        self, response: httpx.Response, url: httpx.URL, request: _Request
    ) -> httpx.URL | Outcome | None:
        """Where a response sends us, an outcome if we do not go there, or None where it is no redirect."""
        status = response.status_code
        if not 300 <= status < 400:
            return None
        location = response.headers.get("location")
        if location is None:
            return self._failed("redirected", f"HTTP {status} without an address", request)
        if not request.operation.safe:
            return self._failed("redirected", f"HTTP {status}; only GET and HEAD follow", request)
        try:
            target = url.join(location)
        except (httpx.InvalidURL, ValueError):
            return self._failed("redirected", f"HTTP {status} to no address", request)
        if target.userinfo or _origin(target) != _origin(url):
            detail = f"HTTP {status} to {target.scheme}://{target.host}; give that as base_url if it is right"
            return self._failed("redirected", detail, request)
        return target

    async def _judge(self, response: httpx.Response, request: _Request) -> Outcome:
        status, limit = response.status_code, self.limits.output
        if not 200 <= status < 300:
            body = await _body(response, ERROR_BYTES)
            text = "" if body is None else " ".join(body[:ERROR_BYTES].decode("utf-8", "replace").split())
            detail = f"HTTP {status} {self._hidden(text)[:200]}".strip()
            wait = retry_after(response.headers.get("retry-after"))
            if status == 429:
                raise _Busy(self._failed("rate limited", detail, request), wait)
            error = "HTTP client error" if 400 <= status < 500 else "HTTP server error"
            outcome = self._failed(error, detail, request)
            if status == 503 and wait is not None:
                raise _Busy(outcome, wait)
            return outcome
        if status in (204, 205) or request.operation.method == "HEAD":
            return Outcome(ok={"status": status})  # all that such an answer says
        body = await _body(response, limit)
        if body is None:
            detail = f"the compression {response.headers.get('content-encoding')!r} is unknown or broken"
            return self._failed("response cannot be read", detail, request)
        if len(body) > limit:
            return self._failed("output limit exceeded", f"more than {limit} bytes", request)
        return self._value(response, body, request)

    def _value(self, response: httpx.Response, body: bytes, request: _Request) -> Outcome:
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        is_json = kind == "application/json" or kind.endswith("+json")
        if not body and not (is_json or request.operation.promises_json(response.status_code)):
            return Outcome()
        try:
            text = body.decode(response.charset_encoding or "utf-8-sig")
        except (UnicodeDecodeError, LookupError):
            detail = f"its characters are not {response.charset_encoding or 'UTF-8'}"
            return self._failed("response cannot be read", detail, request)
        if is_json or request.operation.promises_json(response.status_code) or not kind:
            try:
                value = msgspec.json.decode(text.removeprefix("\ufeff"))
                msgspec.json.encode(value)  # as it will have to be written
                return Outcome(ok=self._hidden(value))
            except (msgspec.DecodeError, UnicodeError, ValueError, OverflowError, RecursionError) as error:
                if kind or body[:1] in b"[{":
                    shown = " ".join(text[:80].split())
                    detail = f"{error}; {kind or 'no content type'}, begins {self._hidden(shown)!r}"
                    return self._failed("response is not JSON", detail, request)
        return Outcome(ok=self._hidden(text))

    def _request(self, name: str, arguments: Any, key: str | None) -> _Request | Outcome:
        """The request of a call, or why it cannot be made."""
        operation = self.operations.get(name)
        if operation is None:
            return Outcome(error="undefined function invoked", detail=f"{name!r} is not in the registry")
        if not isinstance(arguments, Mapping):
            return Outcome(error="incorrect argument type", detail=f"{name}: arguments are not an object")
        fault = arguments_fault(arguments, operation.tool.parameters, name)
        if fault:
            return Outcome(error=fault[0], detail=self._hidden(fault[1]))
        try:
            return self._built(operation, arguments, key)
        except (_Unsendable, UnicodeError) as error:
            return Outcome(error="argument cannot be sent", detail=self._hidden(f"{name}: {error}"))

    def _built(self, operation: Operation, arguments: Mapping[str, Any], key: str | None) -> _Request:
        path = operation.path
        query: list[str] = []
        cookies: list[str] = []
        headers = {"Accept": "application/json, */*;q=0.5", "Accept-Encoding": "gzip"}
        headers |= self.headers
        fields: dict[str, Any] = {}
        body: Any = fields
        has_body = operation.body_required
        values: dict[str, str] = {}
        for parameter, place in operation.places.items():
            if parameter not in arguments:
                continue
            value = arguments[parameter]
            if place.where == "body":
                has_body = True
                if place.name:
                    fields[place.name] = value
                else:
                    body = value
            elif value is None:
                continue
            elif place.where == "path":
                values[place.name] = _path_value(value, place)
            elif place.where == "query":
                query += _pairs(value, place)
            elif place.where == "header":
                headers[place.name] = _header_value(value, place)
            else:
                cookies += _pairs(value, place)
        path = re.sub(r"\{([^{}]*)\}", lambda match: values.get(match[1], ""), path)
        if path.count("/") != operation.path.count("/") or any(
            unquote(part) in (".", "..") for part in path.split("/")
        ):
            raise _Unsendable("it would change the structure of the path")
        if key is not None:
            where, shown = operation.key, operation.key.prefix + key
            if where.prefix == "Basic ":
                shown = "Basic " + base64.b64encode(key.encode()).decode()
            if where.where == "header":
                headers[where.name] = shown
            else:
                pair = f"{quote(where.name, safe='')}={quote(shown, safe='')}"
                (query if where.where == "query" else cookies).append(pair)
        if cookies:
            headers["Cookie"] = "; ".join(cookies)
        content = None
        if has_body:
            headers["Content-Type"] = "application/json"
            try:
                content = msgspec.json.encode(body)
            except (TypeError, ValueError, OverflowError, RecursionError) as error:
                raise _Unsendable(str(error)) from None
        url = self.base_url + path + ("?" + "&".join(query) if query else "")
        return _Request(operation, url, list(headers.items()), content)

    def _key(self) -> str | None:
        """The user's key; with it everything that must never be shown is known."""
        secrets = header_secrets(self.headers)
        key = None
        if self.key_env is not None:
            key = os.environ.get(self.key_env, "").strip()
            if not key:
                raise XlamError(
                    f"{self.base_url}: the variable {self.key_env} is not set; put the key into it"
                )
            if not _HEADER_VALUE.fullmatch(key):
                raise XlamError(
                    f"{self.base_url}: the value of {self.key_env} is no key: it holds characters that no "
                    "header can carry; set it again"
                )
            secrets += [key, base64.b64encode(key.encode()).decode()]
        self.secrets = usable_secrets(secrets)
        return key

    def _hidden(self, value: Any) -> Any:
        return hidden(value, self.secrets)

    def _failed(self, error: str, detail: str, request: _Request) -> Outcome:
        operation = request.operation  # its path as described: the address itself may hold a key
        return Outcome(error=error, detail=f"{operation.method} {operation.path}: {self._hidden(detail)}")


def checked_base_url(base_url: str) -> str:
    """The address without a slash at its end.

    Raises
    ------
    ProfileError
        It is no address, or holds a password, a query or a fragment.
    """
    try:
        url = httpx.URL(base_url)
    except (httpx.InvalidURL, TypeError):
        url = httpx.URL("")
    if url.scheme not in ("http", "https") or not url.host:
        raise ProfileError(
            f"base_url {base_url!r} is no address; give one such as https://api.example.org/v1"
        )
    if url.userinfo:
        raise ProfileError("base_url holds a password; put the key into a variable named by key_env")
    if url.query or url.fragment:
        raise ProfileError("base_url holds a query or a fragment; give the address before them")
    return str(url).rstrip("/")


def checked_headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    """The user's own headers.

    Raises
    ------
    ProfileError
        A name or value that no header can carry. The value is not shown: it may be a key.
    """
    for name, value in (headers or {}).items():
        if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name) or not _HEADER_VALUE.fullmatch(value):
            raise ProfileError(f"headers: {name!r} has a name or value that no header can carry; correct it")
    return dict(headers or {})


def header_secrets(headers: Mapping[str, str]) -> list[str]:
    """The values, and their words, of headers that may hold a key."""
    values = [value for name, value in headers.items() if name.lower() not in _HARMLESS_HEADERS]
    return values + [word for value in values for word in value.split()]


def usable_secrets(secrets: Sequence[str]) -> tuple[str, ...]:
    """The secrets that are long enough to be hidden, as they are and percent-encoded, longest first."""
    written = {secret for given in secrets for secret in (given, quote(given, safe=""))}
    return tuple(sorted((w for w in written if len(w) >= MIN_SECRET), key=lambda w: (-len(w), w)))


def hidden(value: Any, secrets: Sequence[str]) -> Any:
    """A JSON value in which no text holds a secret; servers repeat keys, in errors and in results."""
    if not secrets:
        return value
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, "***")
        return value
    if isinstance(value, list):
        return [hidden(item, secrets) for item in value]
    if isinstance(value, dict):
        return {hidden(name, secrets): hidden(item, secrets) for name, item in value.items()}
    return value


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _word(value: Any) -> str:
    """A scalar as text: ``true``, ``2.5``, a string itself."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    raise _Unsendable(f"{str(value)[:60]!r} is not a plain value")


def _encoded(value: Any) -> str:
    return quote(_word(value), safe="")


def _path_value(value: Any, place: Place) -> str:
    if isinstance(value, list):
        text = ",".join(_encoded(item) for item in value)
    else:
        text = _encoded(value)
    # Servers differ in when they decode %2F, so a climbing path is refused however it is written.
    if not text or any(part in (".", "..") for part in re.split(r"[/\\]", unquote(text))):
        raise _Unsendable(f"{place.name}: {str(value)[:60]!r} would change the structure of the path")
    return text


def _header_value(value: Any, place: Place) -> str:
    text = ",".join(_word(item) for item in value) if isinstance(value, list) else _word(value)
    if not _HEADER_VALUE.fullmatch(text):
        raise _Unsendable(f"{place.name}: {text[:60]!r} cannot stand in a header")
    return text


_SEPARATORS = {"spaceDelimited": "%20", "pipeDelimited": "%7C"}


def _pairs(value: Any, place: Place) -> list[str]:
    """``name=value`` pairs of a query or a cookie, percent-encoded, in OpenAPI's styles."""
    name = quote(place.name, safe="")
    if place.style == "json":
        return [f"{name}={quote(msgspec.json.encode(value).decode(), safe='')}"]
    if isinstance(value, dict):
        if place.style == "deepObject":
            return [f"{name}%5B{quote(key, safe='')}%5D={_encoded(item)}" for key, item in value.items()]
        if place.explode:
            return [f"{quote(key, safe='')}={_encoded(item)}" for key, item in value.items()]
        return [f"{name}=" + ",".join(f"{quote(key, safe='')},{_encoded(v)}" for key, v in value.items())]
    if isinstance(value, list):
        if place.explode:
            return [f"{name}={_encoded(item)}" for item in value]
        return [f"{name}=" + _SEPARATORS.get(place.style, ",").join(map(_encoded, value))]
    return [f"{name}={_encoded(value)}"]


async def _body(response: httpx.Response, limit: int) -> bytes | None:
    """At most ``limit`` + 1 bytes of the body, uncompressed; None if it cannot be uncompressed.

    Compressed bytes are taken apart piece by piece and never further than the limit, so that a small
    response cannot become a large one.
    """
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity", "gzip", "x-gzip", "deflate"):
        return None
    decoder = zlib.decompressobj(47) if encoding not in ("", "identity") else None
    body = bytearray()
    async for chunk in response.aiter_raw():
        if decoder is None:
            body += chunk
        else:
            try:
                body += decoder.decompress(chunk, limit + 1 - len(body))
            except zlib.error:
                return None
        if len(body) > limit:
            return bytes(body[: limit + 1])
    if decoder is not None and not decoder.eof and body:
        return None
    return bytes(body)
