"""What an agent's task, its session and its result are, whichever environment they belong to.

An environment names its tasks and opens a session for one. A session answers calls with text, as a tool
would, and never raises for what an agent asked: a wrong call is answered by saying what is wrong with it.
Sessions are deterministic: the same calls give the same replies, so an interrupted run is repeated from
its cached model answers and ends with the same scores, and a search branches by opening a session again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from xlam_lib.schema import Tool, ToolCall


class Task(msgspec.Struct, frozen=True):
    """One thing to do.

    Attributes
    ----------
    id
        ``environment/number``, unique.
    goal
        The user's words.
    tools
        What the agent may call.
    context
        What the agent is told besides, such as the first page; may be empty.
    meta
        What the environment needs to judge the task; an agent never sees it.
    """

    id: str
    goal: str
    tools: list[Tool]
    context: str = ""
    meta: dict[str, Any] = {}


class Reply(msgspec.Struct, frozen=True):
    """The answer to one call.

    Attributes
    ----------
    observation
        What the agent reads.
    done
        Whether the task has ended with this call.
    error
        Empty, or what kind of wrong call it was: ``unknown_tool``, ``bad_arguments`` (missing, unknown or
        ill-typed), ``invalid_action`` (well-formed, but not possible here) or ``tool_error`` (the tool
        itself failed, as a service that is down).
    """

    observation: str
    done: bool = False
    error: str = ""


class Result(msgspec.Struct, frozen=True):
    """How a session went so far.

    Attributes
    ----------
    success
        Whether the task is solved.
    progress
        The share of its subgoals that were reached, 0 to 1; where there are none, the reward.
    reward
        The environment's own score, 0 to 1.
    details
        What it is made of, for tables.
    """

    success: bool
    progress: float
    reward: float
    details: dict[str, Any] = {}


class Session(Protocol):
    """A task being worked on."""

    @property
    def task(self) -> Task: ...

    def act(self, call: ToolCall) -> Reply:
        """Answer one call; after the end, every call is answered by saying so."""
        ...

    def result(self) -> Result: ...

    def close(self) -> None: ...


class Environment(Protocol):
    """A set of tasks and what they are done in.

    Attributes
    ----------
    name
        ``webshop``, ``toolquery`` or ``toolbench``.
    data
        Where tasks and answers come from, in words for tables: the official files, or which stand-in.
    max_steps
        The steps after which an agent is stopped, in the benchmark's own setting.
    """

    @property
    def name(self) -> str: ...

    @property
    def data(self) -> str: ...

    @property
    def max_steps(self) -> int: ...

    def tasks(self) -> list[Task]: ...

    def open(self, task: Task) -> Session: ...

    def solution(self, task: Task) -> Sequence[ToolCall]:
        """The calls of one right way to solve a task, from its ground truth.

        Raises
        ------
        ArtifactError
            The task comes without a ground truth to follow.
        """
        ...
