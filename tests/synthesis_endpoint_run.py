"""A synthesis by a model behind an endpoint, the same whoever runs it; as a process of its own to be killed.

``python -m tests.synthesis_endpoint_run URL JOURNAL OUT``. The model is a script: it knows from a prompt
which task was given, and answers well, or wrongly in a way that is known beforehand.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from xlam_lib.endpoint import Endpoint
from xlam_lib.generation import Backend
from xlam_lib.prompts import render_tools
from xlam_lib.synthesis import sampler
from xlam_lib.synthesis.checks import Fault
from xlam_lib.synthesis.generators import ModelGenerator
from xlam_lib.synthesis.library import LIBRARY
from xlam_lib.synthesis.pipeline import Result, synthesize
from xlam_lib.synthesis.registry import Registry
from xlam_lib.synthesis.samples import Sample
from xlam_lib.synthesis.semantic import Case, Usage

COUNT, ROUND = 40, 16
SETTINGS: dict[str, Any] = {"mask": 0.25, "corrupt": 0.0}
KINDS = ("good", "good", "prose", "good", "unknown", "good", "unsaid", "failing", "again", "no query", "cut")
STAGE = {
    "good": "verified",
    "prose": "fail_format",
    "unknown": "fail_format",
    "no query": "fail_format",
    "cut": "fail_format",
    "failing": "fail_execution",
    "unsaid": "fail_semantic",
}
"""Where a sample of each kind ends; of those asked ``again`` all but the first are duplicates."""


@cache
def paper() -> Registry:
    """The library as if nobody could call it, which spares a run its worker processes."""
    library = LIBRARY.subset(lambda function: True)
    library.executable = False
    return library


def tasks_of(seed: int, count: int = COUNT) -> list[Sample]:
    """The tasks that a generator with this seed is given."""
    return list(sampler.generate(count, seed=seed, **SETTINGS))


@cache
def telling_seed() -> int:
    """A seed whose tasks all have different tools, so that a prompt says which of them it is for."""
    for seed in range(1000):
        if len({render_tools(task.tools) for task in tasks_of(seed)}) == COUNT:
            return seed
    raise AssertionError("no seed below 1000 gives tasks that differ in their tools")


def kind_of(task: Sample) -> str:
    """What the model is to do with this task; what cannot go wrong that way goes well."""
    kind = KINDS[task.index % len(KINDS)]
    function = LIBRARY.functions[task.functions[0]]
    if kind == "failing" and (task.masked or not task.expected or function.bad is None):
        return "good"
    return kind


def pair(task: Sample, kind: str, number: int = 0) -> str:
    """A pair for a task, as JSON; no two numbers of one task have the same query."""
    answer = json.loads(task.answer)
    answer["query"] = f"{task.index}.{number}: {answer['query']}"
    if kind == "unknown":
        answer["answers"] = [{"name": "no_such_function", "arguments": {}}]
    elif kind == "no query":
        answer["query"] = " "
    elif kind == "unsaid":
        answer["query"] = f"UNSAID {task.index}.{number}"
    elif kind == "again":
        answer["query"] = "The same once more, please."
    elif kind == "failing":
        name, value = LIBRARY.functions[task.functions[0]].bad or ("", None)
        answer["answers"][0]["arguments"][name] = value
    return json.dumps(answer)


def write(task: Sample) -> str:
    """The model's answer to a prompt for one pair, now and then with words or a code fence around it."""
    kind = kind_of(task)
    text = pair(task, kind)
    if kind == "prose":
        return "I am afraid that I cannot write that."
    if kind == "cut":
        return text[:-9]
    dressed = (text, f"```json\n{text}\n```", f"Sure [as asked]:\n{text}\nAnything else?")
    return dressed[task.index % 3]


@dataclass
class Model:
    """Answers chats by a script; ``answer`` is given the task that a prompt shows."""

    tasks: Sequence[Sample]
    answer: Callable[[Sample], str] = write
    asked: list[Sequence[dict[str, str]]] = field(default_factory=list)

    def task(self, content: str) -> Sample:
        """The task whose tools a prompt shows, no more and no fewer."""
        [found] = [task for task in self.tasks if f":\n{render_tools(task.tools)}\nWrite" in content]
        return found

    def read(self, chat: Sequence[dict[str, str]]) -> str:
        self.asked.append(chat)
        return self.answer(self.task(chat[-1]["content"]))


@dataclass
class WordJudge:
    """Finds at fault what says UNSAID, whatever the rules say of the rest."""

    name: str = "words"
    usage: Usage = field(default_factory=Usage)

    def faults(self, cases: Sequence[Case]) -> list[Fault | None]:
        fault = Fault("semantic", "unsaid", "")
        return [fault if "UNSAID" in case.sample.query else None for case in cases]


def endpoint(url: str, journal: Path | None, **settings: Any) -> Endpoint:
    settings = {"concurrency": 3, "retries": 1, "backoff_s": 0.01, "timeout_s": 20.0} | settings
    return Endpoint(url, "m", journal=journal, **settings)


def synthesis(
    backend: Backend,
    out: Path | None = None,
    *,
    library: Registry | None = None,
    count: int = COUNT,
    seeds: Sequence[Any] = (),
    **options: Any,
) -> tuple[Result, ModelGenerator]:
    """The run of these tests: its result, and the generator with what it counted."""
    library = library or paper()
    options = {"seed": telling_seed(), "settings": SETTINGS, "round_size": ROUND} | options
    generator = ModelGenerator(backend, library, **options)
    result = synthesize(count, out, library=library, generator=generator, judge=WordJudge(), seeds=seeds)
    return result, generator


def files(folder: Path) -> dict[str, bytes]:
    """The bytes of what a synthesis wrote."""
    return {
        name: (folder / name).read_bytes() for name in ("verified.jsonl", "rejected.jsonl", "funnel.json")
    }


def identities(bodies: Sequence[dict[str, Any]]) -> Iterator[bytes]:
    """A request's body as bytes: the same for the same request of another run."""
    return (msgspec.json.encode(body, order="sorted") for body in bodies)


if __name__ == "__main__":
    url, journal, out = sys.argv[1:]
    synthesis(endpoint(url, Path(journal)), Path(out))
