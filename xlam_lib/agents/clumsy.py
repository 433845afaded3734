"""A scripted agent that knows the solution but slips: what feedback is worth when an agent heeds it.

It is no model of a language model. It shows that feedback reaches an agent and names what must be named: the
same slips are made with and without it, and a slip is mended only where a text names the remedy.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from xlam_lib.agents.loop import Decision
from xlam_lib.environments.core import Environment, Task
from xlam_lib.environments.feedback import FAILED_BEFORE, REPEATED_CALL
from xlam_lib.schema import Step, ToolCall

MISTAKES = ("misspelt tool", "dropped argument", "wrong type", "repeated call")
TRIES = 2  # of a wrong call that nobody explains, before the agent goes on without it
REPEATS = 8  # of a call that worked, if nobody says that it is pointless


@dataclass(frozen=True)
class Clumsy:
    """Follows :meth:`~xlam_lib.environments.core.Environment.solution` and makes seeded mistakes.

    Attributes
    ----------
    environment
        Whose solutions it knows.
    rate
        The share of the solution's calls at which it slips, 0 to 1.
    seed
        Which slips; they depend on it, on the task and on the call's place alone.
    """

    environment: Environment
    rate: float = 0.3
    seed: int = 0
    name: str = "clumsy (scripted)"

    def decide(self, cases: Sequence[tuple[Task, Sequence[Step]]]) -> list[Decision]:
        return [self._decide(task, steps) for task, steps in cases]

    def _decide(self, task: Task, steps: Sequence[Step]) -> Decision:
        read = iter([step.next_observation for step in steps])
        for call in self._plan(task, read):
            return Decision("Follow the known solution.", [call])
        return Decision("There is nothing left to do.")

    def _plan(self, task: Task, read: Iterator[str]) -> Iterator[ToolCall]:
        """The calls that have not been answered yet, the first of which is due.

        A call whose answer is already in ``read`` is passed over, so that the agent needs no memory.
        """
        for place, call in enumerate(self.environment.solution(task)):
            draw = random.Random(f"{self.seed}/{task.id}/{place}")
            slip = draw.choice(_possible(call)) if draw.random() < self.rate else ""
            attempts = [call]
            remedies: tuple[str, ...] = ()
            if slip == "repeated call":
                attempts, remedies = [call] * (1 + REPEATS), (REPEATED_CALL, FAILED_BEFORE)
            elif slip:
                wrong, remedies = _spoilt(call, slip, draw)
                attempts = [wrong] * TRIES
            named = False
            for attempt in attempts:
                answer = next(read, None)
                if answer is None:
                    yield attempt
                    return
                named = any(remedy in answer for remedy in remedies)
                if named:
                    break
            if named and slip != "repeated call" and next(read, None) is None:
                yield call
                return


def _possible(call: ToolCall) -> tuple[str, ...]:
    """The slips that a call allows: one without arguments can be misspelt or repeated only."""
    return MISTAKES if call.arguments else (MISTAKES[0], MISTAKES[3])


def _spoilt(call: ToolCall, slip: str, draw: random.Random) -> tuple[ToolCall, tuple[str, ...]]:
    """The call with a slip, and the words of which any one names the remedy."""
    if slip == "misspelt tool":
        place = len(call.name) - 2  # the last two letters change places, so the slip is never in the first
        name = call.name[:place] + call.name[-1] + call.name[place]
        return ToolCall(name, call.arguments), (f"'{call.name}'",)
    argument = draw.choice(sorted(call.arguments))
    arguments: dict[str, Any] = dict(call.arguments)
    if slip == "dropped argument":
        del arguments[argument]
    else:
        arguments[argument] = {"value": arguments[argument]}
    return ToolCall(call.name, arguments), (f"'{argument}'", f"arguments.{argument}")
