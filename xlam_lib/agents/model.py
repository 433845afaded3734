"""A model behind any back end as an agent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from xlam_lib.agents.loop import Decision
from xlam_lib.agents.prompting import Prompting, Unified
from xlam_lib.environments.core import Task
from xlam_lib.formats import ParseError
from xlam_lib.generation import Backend, Generation, generate
from xlam_lib.schema import Step


@dataclass(frozen=True)
class ModelAgent:
    """A language model that is shown the task, its tools and its history, and answers with calls.

    Attributes
    ----------
    backend
        A local model, an engine or an endpoint.
    prompting
        How it is asked.
    max_new_tokens
        The longest answer; one that is cut off can usually not be read, and is a step.
    batch_size
        Tasks answered together.
    cache
        A JSON Lines file of answers; a run that was killed passes what it had done from there.
    held
        Hold each answer to calls that fit the task's tools (:mod:`xlam_lib.constrained`).
    """

    backend: Backend
    prompting: Prompting = field(default_factory=Unified)
    max_new_tokens: int = 256
    batch_size: int = 16
    cache: str | Path | None = None
    held: bool = False

    @property
    def name(self) -> str:
        return f"{self.backend.name} ({self.prompting.name}{', held to the tools' if self.held else ''})"

    def decide(self, cases: Sequence[tuple[Task, Sequence[Step]]]) -> list[Decision]:
        chats = [self.prompting.chat(task, steps) for task, steps in cases]
        answers = generate(
            chats,
            self.backend,
            max_new_tokens=self.max_new_tokens,
            batch_size=self.batch_size,
            schemas=[self.prompting.schema(task) for task, _ in cases] if self.held else None,
            cache=self.cache,
        )
        return [self._read(answer) for answer in answers]

    def _read(self, answer: Generation) -> Decision:
        cost = (answer.text, "", answer.prompt_tokens, answer.tokens, answer.finish)
        if answer.finish == "context":
            return Decision("", [], *cost)
        try:
            thought, calls = self.prompting.read(answer.text)
        except ParseError as error:
            return Decision("", [], answer.text, str(error), *cost[2:])
        return Decision(thought, calls, *cost)
