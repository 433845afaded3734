"""Generators behind one interface: templates (the offline default) or any model that answers chats.

Both are given the same tasks by the API sampler (:mod:`xlam_lib.synthesis.sampler`): sample ``i`` of a seed
has the same query style and the same tools on offer, whoever writes its query and its answer.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import msgspec

from xlam_lib.endpoint import open_backend
from xlam_lib.errors import ProfileError
from xlam_lib.formats import find_end
from xlam_lib.generation import Backend, Generation, Progress, generate
from xlam_lib.schema import Trajectory
from xlam_lib.synthesis import prompts, sampler
from xlam_lib.synthesis.library import LIBRARY
from xlam_lib.synthesis.registry import Registry
from xlam_lib.synthesis.samples import Sample
from xlam_lib.synthesis.semantic import Usage


class Generator(Protocol):
    """Anything that writes samples.

    Attributes: ``name`` for tables and data cards; ``round_size``, how many samples are asked for before what
    was verified returns to the seeds; ``usage``, what a model was asked so far (nothing, for templates).
    """

    @property
    def name(self) -> str: ...

    @property
    def round_size(self) -> int: ...

    @property
    def usage(self) -> Usage: ...

    def samples(self, start: int, count: int, seeds: Sequence[Trajectory]) -> Iterator[Sample]:
        """Exactly ``count`` samples, unchecked, from index ``start`` on; ``seeds`` are verified examples."""
        ...


@dataclass(frozen=True)
class TemplateGenerator:
    """Hand-written phrasings filled with drawn values; ``settings`` as :func:`sampler.generate` takes them.

    Templates read no examples, so the seeds change nothing for it.
    """

    seed: int = 0
    library: Registry = LIBRARY
    settings: Mapping[str, Any] = field(default_factory=dict)
    name: str = "templates"
    round_size: int = 512
    usage: Usage = field(default_factory=Usage)

    def samples(self, start: int, count: int, seeds: Sequence[Trajectory] = ()) -> Iterator[Sample]:
        """See :class:`Generator`."""
        for sample in sampler.generate(
            count, seed=self.seed, start=start, registry=self.library, **self.settings
        ):
            sample.generator = self.name
            yield sample


@dataclass
class ModelGenerator:
    """A language model, asked in APIGen's way for pairs of a query and the calls that answer it.

    Attributes
    ----------
    backend
        Who writes: a local model, an :class:`~xlam_lib.endpoint.Endpoint`, or anything that answers chats.
        The report samples at a temperature of 0.7, which is the back end's to set.
    library, seed, settings
        What the API sampler draws tasks from, see :func:`sampler.generate`.
    pairs
        Pairs asked for in one request; they share the style and the tools of the first one's task. A missing
        pair counts as a failed format, one too many is left out and counted in ``surplus``.
    shots
        Verified examples shown in a prompt.
    round_size
        Samples a round: its requests are sent together, with the same seeds to draw examples from.
    max_new_tokens
        The longest answer to one request.
    cache
        Where the answers of a back end that keeps no journal of its own are kept, round by round, so that an
        interrupted run does not ask twice.
    progress
        Called with (answered, requests) of the round.
    """

    backend: Backend
    library: Registry = LIBRARY
    seed: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    pairs: int = 1
    shots: int = 2
    round_size: int = 64
    max_new_tokens: int = 512
    batch_size: int = 16
    cache: str | Path | None = None
    progress: Progress | None = None
    usage: Usage = field(default_factory=Usage)
    surplus: int = 0

    def __post_init__(self) -> None:
        if self.pairs < 1 or self.round_size < 1 or self.shots < 0:
            raise ProfileError(
                f"pairs is {self.pairs}, round_size {self.round_size}, shots {self.shots}; "
                "give at least 1, 1 and 0"
            )

    @property
    def name(self) -> str:
        """The model's name, with its sampling where the back end says it."""
        return self.backend.name

    def samples(self, start: int, count: int, seeds: Sequence[Trajectory]) -> Iterator[Sample]:
        """See :class:`Generator`.

        Raises
        ------
        EndpointError
            The server refused or kept failing; what was answered is in its journal.
        """
        tasks = list(
            sampler.generate(count, seed=self.seed, start=start, registry=self.library, **self.settings)
        )
        groups = [tasks[first : first + self.pairs] for first in range(0, count, self.pairs)]
        chats = []
        for group in groups:
            rng = random.Random(f"{self.seed}/prompt/{group[0].index}")
            shown = prompts.examples(seeds, group[0], self.shots, rng)
            chats.append(prompts.request(group[0], len(group), shown, rng))
        answers = generate(
            chats,
            self.backend,
            max_new_tokens=self.max_new_tokens,
            batch_size=self.batch_size,
            cache=None if getattr(self.backend, "journal", None) else self.cache,
            progress=self.progress,
        )
        for group, answer in zip(groups, answers, strict=True):
            self.usage.requests += 1
            self.usage.prompt_tokens += answer.prompt_tokens
            self.usage.tokens += answer.tokens
            yield from self._read(group, answer)

    def _read(self, group: list[Sample], answer: Generation) -> Iterator[Sample]:
        whole = answer.text.encode(errors="replace").decode()  # half a surrogate pair is no text to write
        pairs = read_pairs(whole)
        self.surplus += max(0, len(pairs) - len(group))
        task = group[0]  # the one that the prompt showed
        for place in range(len(group)):
            query, text = "", whole
            if place < len(pairs):
                query, text = pairs[place]
            elif pairs:
                text = ""  # a pair that was asked for and not given
            yield Sample(
                index=group[place].index,
                style=task.style,
                category=task.category,
                functions=task.functions,
                query=query,
                tools=task.tools,
                answer=text,
                names=task.names,
                parameters=task.parameters,
                note=task.note,
                masked=task.masked,
                generator=self.name,
            )


def read_pairs(text: str) -> list[tuple[str, str]]:
    """The pairs in a model's answer, each as its query and the JSON text of the whole pair.

    Read is the first whole JSON object or list; words and a code fence around it are forgiven, and nothing
    inside it is. It is a list of pairs, one pair, or an object that holds one list of pairs. Empty if there
    is none.
    """
    value = _first_value(text)
    if value is None:
        return []
    if isinstance(value, dict) and not value.keys() & {"query", "answers"}:
        lists = [item for item in value.values() if isinstance(item, list)]
        value = lists[0] if len(lists) == 1 else value
    pairs = []
    for item in value if isinstance(value, list) else [value]:
        query = item.get("query") if isinstance(item, dict) else None
        pairs.append((query if isinstance(query, str) else "", msgspec.json.encode(item).decode()))
    return pairs


def _first_value(text: str) -> Any:
    """The first whole JSON object or list; words in brackets before it are passed over. None if none."""
    begin = 0
    while end := find_end(text[begin:]):
        start = min(place for mark in "[{" if (place := text.find(mark, begin)) >= 0)
        try:
            return msgspec.json.decode(text[start : begin + end])
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            begin += end
    return None


def open_generator(
    model: str,
    endpoint: str = "",
    key_env: str = "",
    *,
    answers: str | Path | None = None,
    temperature: float = 0.7,
    seed: int = 0,
    **options: Any,
) -> ModelGenerator | None:
    """The model generator that a notebook's parameters name, or None where they name none.

    Parameters
    ----------
    model, endpoint, key_env
        As :func:`xlam_lib.endpoint.open_backend` takes them.
    answers
        A file in which answers are kept as they arrive, so that an interrupted run asks for none twice.
    temperature
        Of the draws; 0.7 is the report's.
    options
        Further attributes of :class:`ModelGenerator`.

    Raises
    ------
    ProfileError
        There is an endpoint or a key and nothing that uses it.
    AssetError
        The local model is not there.
    """
    kept = None if answers is None else Path(answers)
    backend: Any = open_backend(model, endpoint, key_env, journal=kept)
    if backend is None:
        return None
    backend = replace(backend, temperature=temperature, seed=seed)
    if not endpoint:  # a local model's name says nothing of its sampling, and the cache goes by the name
        backend = replace(backend, name=f"{backend.name} (temperature {temperature:g}, seed {seed})")
    return ModelGenerator(backend, seed=seed, cache=None if endpoint else kept, **options)
