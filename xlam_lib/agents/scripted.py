"""Agents that need no model: the oracle follows the ground truth, the random one presses any button.

They say what an environment's scores mean. An oracle below 100 per cent shows a fault of the environment;
a random agent that does well shows a task that needs no understanding.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xlam_lib.agents.loop import Decision
from xlam_lib.environments.core import Environment, Task
from xlam_lib.schema import Step, ToolCall

_WORDS = ("red", "2022", "large", "name", "first", "all", "1", "city", "book", "none")


@dataclass(frozen=True)
class Oracle:
    """Makes the calls of :meth:`~xlam_lib.environments.core.Environment.solution`, one a step."""

    environment: Environment
    name: str = "oracle"

    def decide(self, cases: Sequence[tuple[Task, Sequence[Step]]]) -> list[Decision]:
        decisions = []
        for task, steps in cases:
            calls = self.environment.solution(task)
            rest = calls[len(steps) : len(steps) + 1]
            decisions.append(Decision("Follow the known solution.", list(rest)))
        return decisions


@dataclass(frozen=True)
class Random:
    """Calls a random tool with random arguments of the right types, taken from what it has read.

    Strings are words of the goal and of the last observation, or one of a few fixed ones; what is drawn
    depends on the seed, the task and the step alone.
    """

    seed: int = 0
    name: str = "random"

    def decide(self, cases: Sequence[tuple[Task, Sequence[Step]]]) -> list[Decision]:
        return [Decision("", [self._call(task, steps)]) for task, steps in cases]

    def _call(self, task: Task, steps: Sequence[Step]) -> ToolCall:
        draw = random.Random(f"{self.seed}/{task.id}/{len(steps)}")
        tool = draw.choice(task.tools)
        read = f"{task.goal} {steps[-1].next_observation if steps else task.context}"
        words = [word.strip("[](){}.,;:'\"") for word in read.split()]
        words = [word for word in words if word] + list(_WORDS)
        arguments = {
            name: _value(schema, words, draw)
            for name, schema in tool.parameters.items()
            if schema.get("required") or draw.random() < 0.3
        }
        return ToolCall(tool.name, arguments)


def _value(schema: Mapping[str, Any], words: Sequence[str], draw: random.Random) -> Any:
    if "enum" in schema:
        return draw.choice(schema["enum"])
    kind = schema.get("type", "string")
    if isinstance(kind, list):
        kind = kind[0]
    if kind == "integer":
        return draw.randint(0, 20)
    if kind == "number":
        return round(draw.uniform(0, 100), 2)
    if kind == "boolean":
        return draw.random() < 0.5
    if kind == "array":
        return [_value(schema.get("items", {}), words, draw) for _ in range(draw.randint(1, 2))]
    if kind == "object":
        inner = schema.get("properties", {})
        return {name: _value(child, words, draw) for name, child in inner.items()}
    start = draw.randrange(len(words))
    return " ".join(words[start : start + draw.randint(1, 3)])
