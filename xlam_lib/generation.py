"""One :func:`generate` over any back end that answers chats; nothing here needs torch.

Batches are fixed by the prompts alone: those that begin alike go together, because a back end may read their
common beginning once, and such groups follow one another by length. Answers are kept in a cache file batch by
batch, so that an interrupted call goes on where it stopped and ends with the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from xlam_lib.errors import XlamError
from xlam_lib.records import read_jsonl

Message = dict[str, str]
Progress = Callable[[int, int], None]


class Generation(msgspec.Struct):
    """One answer.

    Attributes: the ``text`` without special tokens, the number of ``prompt_tokens`` and ``tokens``
    generated, and why it ended: ``stop`` (end-of-text token), ``json`` (a whole JSON value),
    ``length`` (the limit), ``context`` (the prompt does not fit the model's context; text is empty) or
    a server's own word (``content_filter``).
    """

    text: str
    prompt_tokens: int
    tokens: int
    finish: str


class Backend(Protocol):
    """Anything that answers chats: a local model, an HTTP endpoint, an engine.

    Attributes: ``name`` for tables and cache keys. A back end with a true ``schedules`` is given all chats
    at once, because it bounds its own concurrency and memory (an endpoint, an engine). One with a true
    ``constrains`` takes a third argument, ``schemas``, and holds each answer to its JSON Schema.
    """

    @property
    def name(self) -> str: ...

    def generate(self, chats: Sequence[Sequence[Message]], max_new_tokens: int) -> list[Generation]:
        """Answer one batch of chats, in order."""
        ...


def generate(
    chats: Sequence[Sequence[Message]],
    backend: Backend,
    *,
    max_new_tokens: int = 256,
    batch_size: int = 32,
    batch_characters: int = 160_000,
    schemas: Sequence[str | None] | None = None,
    cache: str | Path | None = None,
    progress: Progress | None = None,
) -> list[Generation]:
    """Answer every chat, in order.

    Parameters
    ----------
    chats
        Lists of ``{"role", "content"}`` messages.
    backend
        Who answers.
    max_new_tokens
        The longest answer, in tokens.
    batch_size
        Chats a batch, at most.
    batch_characters
        Chats of a batch times its longest, in characters: long prompts go in smaller batches, which bounds
        memory.
    schemas
        For each chat a JSON Schema (as JSON text) that the answer is held to, or ``None`` where it is free.
    cache
        A JSON Lines file of answered batches; those found there are not generated again.
    progress
        Called with (chats answered, chats) after each batch.

    Raises
    ------
    XlamError
        The batch size or the limit is not positive, or the back end cannot hold answers to a schema.
    """
    if batch_size < 1 or max_new_tokens < 1:
        raise XlamError(
            f"batch_size {batch_size} and max_new_tokens {max_new_tokens} must both be at least 1"
        )
    if schemas is not None and not getattr(backend, "constrains", False):
        raise XlamError(f"{backend.name}: cannot hold answers to a schema; use a local model or an endpoint")
    if schemas is not None and len(schemas) != len(chats):
        raise XlamError(f"{len(schemas)} schemas for {len(chats)} chats; give one for each, or None")
    answers: list[Generation | None] = [None] * len(chats)
    known = _read_cache(cache)
    done = 0
    if getattr(backend, "schedules", False):
        batches = [list(range(len(chats)))] if chats else []
    else:
        batches = _batches(chats, batch_size, batch_characters)
    for batch in batches:
        asked = [chats[i] for i in batch]
        held = [schemas[i] for i in batch] if schemas is not None else None
        key = _key(backend.name, max_new_tokens, asked, held)
        found = known.get(key)
        if found is None:
            more: dict[str, Any] = {} if held is None else {"schemas": held}
            found = backend.generate(asked, max_new_tokens, **more)
            _append(cache, key, found)
        for i, answer in zip(batch, found, strict=True):
            answers[i] = answer
        done += len(batch)
        if progress:
            progress(done, len(chats))
    return [answer for answer in answers if answer is not None]


def _batches(chats: Sequence[Sequence[Message]], size: int, characters: int) -> Iterator[list[int]]:
    """Indices in batches; a batch's count times its longest chat stays within ``characters``.

    Chats that have more than half in common with the one before them in alphabetical order make a group.
    """
    texts = ["\0".join(f"{message['role']}\1{message['content']}" for message in chat) for chat in chats]
    groups: list[list[int]] = []
    before = ""
    for i in sorted(range(len(texts)), key=lambda i: (texts[i], i)):
        if not groups or 2 * _common(before, texts[i]) <= len(texts[i]):
            groups.append([])
        groups[-1].append(i)
        before = texts[i]
    groups.sort(key=lambda group: (max(len(texts[i]) for i in group), texts[group[0]]))
    batch: list[int] = []
    longest = 0
    for i in (i for group in groups for i in group):
        longest = max(longest, len(texts[i]))
        if batch and (len(batch) == size or (len(batch) + 1) * longest > characters):
            yield batch
            batch, longest = [], len(texts[i])
        batch.append(i)
    if batch:
        yield batch


def _common(one: str, two: str) -> int:
    """How many characters two texts begin with in common."""
    return next(
        (i for i, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two))
    )


def _key(
    name: str, limit: int, chats: Sequence[Sequence[Message]], schemas: Sequence[str | None] | None
) -> str:
    parts = [name, limit, chats] if schemas is None else [name, limit, chats, schemas]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class _Batch(msgspec.Struct):
    key: str
    answers: list[Generation]


def _read_cache(path: str | Path | None) -> dict[str, list[Generation]]:
    if path is None or not Path(path).exists():
        return {}
    drop_torn_line(Path(path))
    return {batch.key: batch.answers for batch in read_jsonl(path, _Batch)}


def drop_torn_line(path: Path) -> None:
    """Cut off a last line without its newline: what was being written when the run was killed."""
    data = path.read_bytes() if path.exists() else b""
    if data and not data.endswith(b"\n"):
        with path.open("r+b") as file:
            file.truncate(data.rfind(b"\n") + 1)


def _append(path: str | Path | None, key: str, answers: list[Generation]) -> None:
    if path is None:
        return
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with Path(path).open("ab") as file:
        file.write(msgspec.json.encode(_Batch(key, answers)) + b"\n")
