"""ToolQuery's services over the network, and recordings of what they answered.

Nothing here is used unless a user asks for it. Weather comes from services that speak open-meteo's language
and films from one that speaks TMDB's; a :class:`Recorded` source keeps every answer in a file, so that a run
on the official tasks is repeated with the same answers when the services have changed or are out of reach::

    weather = Recorded("weather.jsonl", Live(OPEN_METEO))
    movie = Recorded("movie.jsonl", Live(TMDB, key_env="TMDB_TOKEN"))
    environment = ToolQuery.from_files("tool-query", Services(weather, movie))
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec

from xlam_lib.asking import one_line
from xlam_lib.environments.toolquery_base import ServiceError, Source
from xlam_lib.errors import ArtifactError, ProfileError
from xlam_lib.generation import drop_torn_line
from xlam_lib.records import read_jsonl

OPEN_METEO = {
    "geocoding": "https://geocoding-api.open-meteo.com/v1/search",
    "archive": "https://archive-api.open-meteo.com/v1/archive",
    "air_quality": "https://air-quality-api.open-meteo.com/v1/air-quality",
    "elevation": "https://api.open-meteo.com/v1/elevation",
}
TMDB = {"tmdb": "https://api.themoviedb.org/3"}
_MESSAGE = 300  # characters of a service's refusal that the agent is shown


@dataclass(frozen=True)
class Live:
    """Services that are asked over HTTP, one GET request a call.

    Attributes
    ----------
    urls
        The address of each service: :data:`OPEN_METEO`, :data:`TMDB`, or a mirror's.
    key_env
        Name of the environment variable that holds the key, sent as a bearer token; ``None`` for none. It
        is read when a request is sent, and is never kept or shown. Redirects are not followed.
    timeout_s
        For one request, from connecting to the last byte.
    max_bytes
        The longest answer that is read.
    """

    urls: Mapping[str, str]
    key_env: str | None = None
    timeout_s: float = 20.0
    max_bytes: int = 2_000_000
    _client: httpx.Client = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.key_env is not None:
            self._key(self.key_env)  # rather now than in the middle of a run
        client = httpx.Client(timeout=self.timeout_s, follow_redirects=False)
        object.__setattr__(self, "_client", client)
        for service, url in self.urls.items():
            if httpx.URL(url).scheme not in ("http", "https") or not httpx.URL(url).host:
                raise ProfileError(f"{service}: {url!r} is no address; give one such as {TMDB['tmdb']}")

    def _key(self, variable: str) -> str:
        key = os.environ.get(variable)
        if not key:
            raise ProfileError(f"{variable} is not set; put the key of {', '.join(self.urls)} there")
        return key

    def get(self, service: str, path: str, params: Mapping[str, Any]) -> Any:
        if service not in self.urls:
            raise ServiceError(f"there is no {service} service here")
        headers = {"Accept": "application/json"}
        if self.key_env is not None:
            headers["Authorization"] = f"Bearer {self._key(self.key_env)}"
        try:
            status, body = self._read(self.urls[service] + path, params, headers)
        # A lone surrogate in a name can be put into no address.
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            raise ServiceError(f"the {service} service did not answer ({type(error).__name__})") from None
        if status != 200:
            told = one_line(body.decode("utf-8", "replace"), _MESSAGE)
            lasting = 400 <= status < 500 and status not in (401, 403, 408, 429)
            raise ServiceError(f"the {service} service refused ({status}): {told}", lasting)
        try:
            return msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise ServiceError(f"the {service} service's answer is not JSON") from None

    def _read(self, url: str, params: Mapping[str, Any], headers: Mapping[str, str]) -> tuple[int, bytes]:
        end = time.monotonic() + self.timeout_s
        parts: list[bytes] = []
        with self._client.stream("GET", url, params=dict(params), headers=dict(headers)) as response:
            for part in response.iter_bytes(65_536):
                parts.append(part)
                if sum(map(len, parts)) > self.max_bytes:
                    raise httpx.DecodingError(f"more than {self.max_bytes} bytes")
                if time.monotonic() > end:  # httpx's own limit is for each read, and a drip meets it forever
                    raise httpx.ReadTimeout(f"no end after {self.timeout_s} s")
        return response.status_code, b"".join(parts)


class _Line(msgspec.Struct):
    """One recorded answer: its JSON, or the message of a refusal that lasts."""

    key: str
    answer: Any = None
    refusal: str = ""


class Recorded:
    """Answers kept in a JSON Lines file; what is not there is asked of ``source``, if there is one.

    Answers and lasting refusals (no such film) are kept the moment they arrive. A service that is down or
    busy is not, so that a rerun asks again. A line that a killed run left unfinished is cut off. Where the
    file cannot be written, :class:`~xlam_lib.errors.ArtifactError` says so.
    """

    def __init__(self, path: str | Path, source: Source | None = None) -> None:
        self.path = Path(path)
        self.source = source
        drop_torn_line(self.path)
        lines = read_jsonl(self.path, _Line) if self.path.exists() else ()
        self._lines = {line.key: line for line in lines}

    def get(self, service: str, path: str, params: Mapping[str, Any]) -> Any:
        # Escaped to ASCII: an agent may ask for half of a surrogate pair, which a file cannot hold.
        key = json.dumps([service, path, dict(params)], sort_keys=True)
        line = self._lines.get(key)
        if line is None:
            line = self._ask(key, service, path, params)
        if line.refusal:
            raise ServiceError(line.refusal, lasting=True)
        return line.answer

    def _ask(self, key: str, service: str, path: str, params: Mapping[str, Any]) -> _Line:
        if self.source is None:
            raise ServiceError(f"this request to the {service} service is not in the recording")
        try:
            line = _Line(key, self.source.get(service, path, params))
        except ServiceError as error:
            if not error.lasting:
                raise
            line = _Line(key, refusal=str(error))
        self._lines[key] = line
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                file.write(msgspec.json.encode(line) + b"\n")
        except OSError as error:
            raise ArtifactError(
                f"{self.path}: cannot be written ({error}); free the disk or choose another"
            ) from None
        return line
