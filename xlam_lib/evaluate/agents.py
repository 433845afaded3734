"""What agents' episodes say in figures: success, progress, reward, steps, tokens, and what went wrong."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

import msgspec

from xlam_lib.agents.loop import Episode
from xlam_lib.environments.core import Environment, Task
from xlam_lib.errors import ProfileError
from xlam_lib.intervals import Interval, wilson
from xlam_lib.tally import by_frequency, place


class AgentScore(msgspec.Struct, frozen=True):
    """An agent's episodes in an environment.

    Attributes
    ----------
    environment, data, agent
        Where, with which tasks and answers (official or a stand-in), and who.
    tasks, solved, success, interval
        Tasks, those solved, their share (the report's success rate) and its 95% Wilson interval.
    progress, reward
        Means over the tasks, 0 to 1: AgentBoard's progress rate and the environment's own reward.
    steps, prompt_tokens, tokens
        Means a task.
    ended, errors
        How often episodes ended in which way, and steps had which error, most frequent first.
    """

    environment: str
    data: str
    agent: str
    tasks: int
    solved: int
    success: float
    interval: Interval
    progress: float
    reward: float
    steps: float
    prompt_tokens: float
    tokens: float
    ended: dict[str, int]
    errors: dict[str, int]


def score(
    environment: Environment, episodes: Sequence[Episode], solved: Sequence[bool] | None = None
) -> AgentScore:
    """The figures of one agent's episodes.

    Parameters
    ----------
    environment, episodes
        Where they took place, and at least one of them.
    solved
        Another judgement of each episode than the environment's, such as a judge's (ToolBench's pass rate).

    Raises
    ------
    ProfileError
        There is no episode, or not as many judgements.
    """
    if not episodes:
        raise ProfileError(f"{environment.name}: no episode to score; choose at least one task")
    judged = [episode.result.success for episode in episodes] if solved is None else list(solved)
    if len(judged) != len(episodes):
        raise ProfileError(f"{environment.name}: {len(judged)} judgements for {len(episodes)} episodes")
    right, count = sum(judged), len(episodes)
    return AgentScore(
        environment=environment.name,
        data=environment.data,
        agent=episodes[0].agent,
        tasks=count,
        solved=right,
        success=right / count,
        interval=wilson(right, count),
        progress=fmean(episode.result.progress for episode in episodes),
        reward=fmean(episode.result.reward for episode in episodes),
        steps=fmean(len(episode.steps) for episode in episodes),
        prompt_tokens=fmean(episode.prompt_tokens for episode in episodes),
        tokens=fmean(episode.tokens for episode in episodes),
        ended=by_frequency(episode.ended for episode in episodes),
        errors=by_frequency(error for episode in episodes for error in episode.errors if error),
    )


def row(found: AgentScore) -> dict[str, Any]:
    """A score as a row of a table, rates in per cent."""
    low, high = found.interval
    return {
        "environment": found.environment,
        "agent": found.agent,
        "tasks": found.tasks,
        "success %": f"{100 * found.success:.0f} [{100 * low:.0f}, {100 * high:.0f}]",
        "progress %": round(100 * found.progress, 1),
        "reward %": round(100 * found.reward, 1),
        "steps": round(found.steps, 1),
        "ended": ", ".join(f"{name} {number}" for name, number in found.ended.items()),
    }


def sample(tasks: Sequence[Task], count: int, seed: int) -> list[Task]:
    """A fixed sample in the tasks' order; a larger one of the same seed contains a smaller one.

    Raises
    ------
    ProfileError
        The count is not positive.
    """
    if count < 1:
        raise ProfileError(f"a sample of {count} tasks; choose at least 1")
    drawn = sorted(tasks, key=lambda task: place(seed, task.id))[:count]
    chosen = {task.id for task in drawn}
    return [task for task in tasks if task.id in chosen]
