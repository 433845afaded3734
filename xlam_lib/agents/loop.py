"""The loop in which an agent acts in an environment, many tasks side by side.

All tasks that are still open are decided together, so a model answers one batch a round. The model's answers
are cached by :func:`xlam_lib.generation.generate`: a run that was killed is started again, passes the rounds
it had done from the cache, and ends with the same episodes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from xlam_lib.environments.core import Environment, Reply, Result, Session, Task
from xlam_lib.errors import ProfileError
from xlam_lib.schema import Step, ToolCall

Advise = Callable[[Task, Sequence[Step], Sequence[ToolCall]], str]


class Decision(msgspec.Struct, frozen=True):
    """What an agent wants to do next.

    Attributes
    ----------
    thought, calls
        Its reasoning and its calls, in order.
    text
        The raw answer of a model, empty for others.
    error
        Why the answer could not be read; there are no calls then.
    prompt_tokens, tokens
        What the answer cost.
    finish
        Why the answer ended; ``context`` if the history no longer fits the model.
    """

    thought: str = ""
    calls: list[ToolCall] = []
    text: str = ""
    error: str = ""
    prompt_tokens: int = 0
    tokens: int = 0
    finish: str = "stop"


class Agent(Protocol):
    """Whoever decides."""

    @property
    def name(self) -> str: ...

    def decide(self, cases: Sequence[tuple[Task, Sequence[Step]]]) -> list[Decision]:
        """One decision for each task, given the steps it has taken so far."""
        ...


class Episode(msgspec.Struct, frozen=True):
    """A task that an agent worked on until it ended.

    Attributes
    ----------
    task, agent
        The task's id and the agent's name.
    steps
        Thought, calls and observation of each step.
    texts, errors
        For each step the raw answer, and what was wrong with it: empty, ``bad_format``, ``no_call`` or an
        error of :class:`~xlam_lib.environments.core.Reply`.
    ended
        ``done`` (the environment ended it), ``steps`` (the limit), ``context`` (the history no longer fits
        the model) or ``repetition`` (see :func:`run`).
    result
        The environment's judgement.
    prompt_tokens, tokens
        Sums over the steps.
    """

    task: str
    agent: str
    steps: list[Step]
    texts: list[str]
    errors: list[str]
    ended: str
    result: Result
    prompt_tokens: int = 0
    tokens: int = 0


class _Open:
    """An episode under way."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.steps: list[Step] = []
        self.texts: list[str] = []
        self.errors: list[str] = []
        self.ended = ""
        self.prompt_tokens = self.tokens = 0

    def repeats(self, patience: int) -> bool:
        last = self.steps[-patience:]
        return len(last) == patience and all(
            (step.tool_calls, step.next_observation) == (last[0].tool_calls, last[0].next_observation)
            for step in last
        )

    def close(self, agent: str) -> Episode:
        result = self.session.result()
        self.session.close()
        return Episode(
            self.session.task.id,
            agent,
            self.steps,
            self.texts,
            self.errors,
            self.ended,
            result,
            self.prompt_tokens,
            self.tokens,
        )


def run(
    environment: Environment,
    agent: Agent,
    tasks: Sequence[Task] | None = None,
    *,
    max_steps: int | None = None,
    patience: int | None = None,
    advise: Advise | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Episode]:
    """Let an agent work on tasks until each has ended; one episode a task, in the tasks' order.

    Parameters
    ----------
    environment, agent
        Where, and who.
    tasks
        By default all of the environment's.
    max_steps
        Steps a task; by default the environment's own limit. An answer that cannot be read is a step.
    patience
        End a task after so many steps in a row with the same calls and the same observation. A model that
        decodes greedily seldom leaves such a circle; the published settings have no such rule, so the
        default is ``None``.
    advise
        Called with the task, the steps so far and the calls of the next one before they are carried out;
        the text that it returns, if any, is shown to the agent after the observation.
    progress
        Called with (tasks ended, tasks).

    Raises
    ------
    ProfileError
        A limit is not positive.
    """
    limit = environment.max_steps if max_steps is None else max_steps
    if limit < 1 or (patience is not None and patience < 2):
        raise ProfileError(f"max_steps {limit} must be at least 1 and patience {patience} None or at least 2")
    tasks = environment.tasks() if tasks is None else tasks
    episodes = [_Open(environment.open(task)) for task in tasks]
    while going := [episode for episode in episodes if not episode.ended]:
        decisions = agent.decide([(episode.session.task, episode.steps) for episode in going])
        for episode, decision in zip(going, decisions, strict=True):
            _take(episode, decision, advise)
            if not episode.ended and len(episode.steps) >= limit:
                episode.ended = "steps"
            if not episode.ended and patience is not None and episode.repeats(patience):
                episode.ended = "repetition"
        if progress:
            progress(sum(bool(episode.ended) for episode in episodes), len(episodes))
    return [episode.close(agent.name) for episode in episodes]


def _take(episode: _Open, decision: Decision, advise: Advise | None) -> None:
    """Carry out one decision and note what came of it."""
    episode.prompt_tokens += decision.prompt_tokens
    episode.tokens += decision.tokens
    if decision.finish == "context":
        episode.ended = "context"
        return
    advice = ""
    if decision.calls and advise is not None:
        advice = advise(episode.session.task, episode.steps, decision.calls)
    error, replies = carry_out(episode.session, decision)
    if replies[-1].done:
        episode.ended = "done"
    observation = observe(decision.calls, replies)
    episode.steps.append(
        Step(
            step_id=len(episode.steps) + 1,
            thought=decision.thought,
            tool_calls=decision.calls,
            next_observation=f"{observation}\n{advice}" if advice else observation,
        )
    )
    episode.texts.append(decision.text)
    episode.errors.append(error)


def carry_out(session: Session, decision: Decision) -> tuple[str, list[Reply]]:
    """The first error, as in :class:`Episode`, and the replies: one a call, up to the one that ends the task.

    An answer that cannot be read or calls nothing gets one reply that says so.
    """
    if decision.error:
        return "bad_format", [Reply(f"The answer could not be read: {decision.error}")]
    if not decision.calls:
        return "no_call", [Reply("No tool was called. Call a tool, or the one that ends the task.")]
    replies = []
    for call in decision.calls:
        replies.append(session.act(call))
        if replies[-1].done:
            break
    return next((reply.error for reply in replies if reply.error), ""), replies


def observe(calls: Sequence[ToolCall], replies: Sequence[Reply]) -> str:
    """What the agent reads: one reply as it is, several as a JSON list with the calls' names."""
    if len(replies) == 1:
        return replies[0].observation
    shown = [
        {"name": call.name, "observation": reply.observation}
        for call, reply in zip(calls, replies, strict=False)
    ]
    return json.dumps(shown, ensure_ascii=False)
