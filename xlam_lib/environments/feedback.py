"""Feedback on a plan and its calls while an agent works, as the announced xLAM simulator gives it.

:func:`advise` is made for the agent loop: for the step that is about to be carried out it checks every call
with the rules of verification (:mod:`xlam_lib.verify`) and the plan as far as rules can see it, and says
what it found in a short JSON text behind the observation. It leans to silence: an agent that is told wrong
things does worse than one that is told nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from functools import partial

import msgspec

from xlam_lib.agents.loop import Advise
from xlam_lib.asking import one_line
from xlam_lib.environments.core import Task
from xlam_lib.schema import Step, ToolCall, Trajectory
from xlam_lib.verify.findings import INCORRECT_TYPE, UNDEFINED_FUNCTION
from xlam_lib.verify.grounding import check_grounding
from xlam_lib.verify.structure import check_call, tools_by_name

REPEATED_CALL = "repeated call"
FAILED_BEFORE = "call that failed before"
EARLY_END = "ended before anything was found"
STEPS_RUN_OUT = "steps run out"

MAX_SHOWN = 5
_MESSAGE = 240  # characters
_OPENING = '{"feedback": ['
_ENDING = ("finish", "Finish")  # the tools that end a task
# An answer is concluded and a search is worded, neither is quoted: nobody is asked where they come from.
_OWN_WORDS = (*_ENDING, "search")
_LOOKING_UP = ("toolquery", "toolbench")  # where the same call brings the same answer
_LAST_STEPS = 2
_NAME = 100  # characters of a name that are compared; the comparison's time grows with their square
_LIKENESS = 0.6  # difflib's measure: 1 for the same name, 0 for no letter in common


class Feedback(msgspec.Struct, frozen=True):
    """One thing to know about the step.

    Attributes
    ----------
    kind
        An error of :mod:`xlam_lib.verify.findings`, or one of this module's four.
    about
        Which call of the step, by its number from 1, and where in it: ``call 1, arguments.city``; ``plan``.
    message
        What is wrong, in words.
    """

    kind: str
    about: str
    message: str


def check(
    task: Task, steps: Sequence[Step], calls: Sequence[ToolCall], max_steps: int = 20
) -> list[Feedback]:
    """What there is to say about the calls that are about to be carried out; mostly nothing.

    Parameters
    ----------
    task, steps, calls
        The task, what was done so far, and the calls of the next step.
    max_steps
        The limit after which the agent is stopped.
    """
    try:
        return [*_of_calls(task, steps, calls), *_of_plan(task, steps, calls, max_steps)]
    except RecursionError:
        message = "an argument is nested too deeply to be read; give plain values"
        return [Feedback(INCORRECT_TYPE, "arguments", message)]


def advise(task: Task, steps: Sequence[Step], calls: Sequence[ToolCall], max_steps: int = 20) -> str:
    """The feedback as one line of JSON, ``{"feedback": [{"kind", "about", "message"}]}``, or nothing."""
    found = check(task, steps, calls, max_steps)
    if not found:
        return ""
    shown = [
        {"kind": each.kind, "about": one_line(each.about, 80), "message": one_line(each.message, _MESSAGE)}
        for each in found[:MAX_SHOWN]
    ]
    text = json.dumps({"feedback": shown}, ensure_ascii=False)
    return text.encode("utf-8", "replace").decode()  # a lone surrogate can be written nowhere


def adviser(max_steps: int) -> Advise:
    """:func:`advise` for an environment with another limit of steps."""
    return partial(advise, max_steps=max_steps)


def without_feedback(observation: str) -> str:
    """An observation as the environment gave it."""
    return observation.partition(f"\n{_OPENING}")[0]


def _of_calls(task: Task, steps: Sequence[Step], calls: Sequence[ToolCall]) -> Iterator[Feedback]:
    tools = tools_by_name(task.tools)
    for number, call in enumerate(calls, 1):
        for error, path, message in check_call(call, tools):
            if error == UNDEFINED_FUNCTION:
                message += _nearest(call.name, tools)
            yield Feedback(error, f"call {number}, {path}", message)
    checked = [ToolCall(call.name, {} if call.name in _OWN_WORDS else call.arguments) for call in calls]
    # What was said about an earlier call must not ground the value it complained of.
    read = [Step(step.step_id, next_observation=without_feedback(step.next_observation)) for step in steps]
    last = Step(len(steps) + 1, tool_calls=checked)
    trajectory = Trajectory(
        task.id, "feedback", tools=task.tools, query=f"{task.goal}\n{task.context}", steps=[*read, last]
    )
    for finding in check_grounding(trajectory):
        where = f"call {(finding.call or 0) + 1}, {finding.path}"
        yield Feedback(finding.error, where, finding.message)


def _nearest(name: str, listed: Iterable[str]) -> str:
    """The listed name most like one that is not listed, further away than a single slip."""
    near = get_close_matches(name[:_NAME], list(listed), n=1, cutoff=_LIKENESS)
    return f"; the nearest is {near[0]!r}" if near else ""


def _of_plan(
    task: Task, steps: Sequence[Step], calls: Sequence[ToolCall], max_steps: int
) -> Iterator[Feedback]:
    made = [pair for step in steps for pair in _pairs(step)]
    before = [task.context, *(without_feedback(step.next_observation) for step in steps)]
    looking_up = task.id.partition("/")[0] in _LOOKING_UP
    for number, call in enumerate(calls, 1):
        same = [observation for other, observation in made if other == call]
        if any(map(_failed, same)) and looking_up:
            yield Feedback(FAILED_BEFORE, f"call {number}", f"{call.name} failed with these arguments before")
        elif same and (looking_up or _stuck(call, steps, before)):
            yield Feedback(
                REPEATED_CALL, f"call {number}", f"{call.name} was called with these arguments before"
            )
        if call.name in _ENDING and number == 1 and not any(not _failed(seen) for _, seen in made):
            yield Feedback(EARLY_END, "plan", "no call has brought anything yet; look up what is asked first")
    left = max_steps - len(steps) - 1
    ending = next((tool.name for tool in task.tools if tool.name in _ENDING), None)
    if ending and left <= _LAST_STEPS and not any(call.name == ending for call in calls):
        yield Feedback(
            STEPS_RUN_OUT, "plan", f"{left} steps are left after this one; end with {ending!r} in time"
        )


def _pairs(step: Step) -> Iterator[tuple[ToolCall, str]]:
    """The calls of a step, each with what it brought."""
    observation = without_feedback(step.next_observation)
    if len(step.tool_calls) > 1:
        try:
            parts = [str(part["observation"]) for part in json.loads(observation)]
        except (ValueError, TypeError, KeyError, RecursionError):
            parts = []
        yield from zip(step.tool_calls, parts, strict=False)
    elif step.tool_calls:
        yield step.tool_calls[0], observation


def _failed(observation: str) -> bool:
    """Whether an observation reports a wrong call, in ToolQuery's or in ToolBench's way."""
    if observation.startswith("ERROR"):
        return True
    if not observation.startswith('{"error": "'):
        return False
    return not observation.startswith('{"error": ""')


def _stuck(call: ToolCall, steps: Sequence[Step], before: Sequence[str]) -> bool:
    """Whether a call changed nothing when it was made, and nothing has changed since."""
    return any(
        step.tool_calls == [call] and before[index] == before[index + 1] == before[-1]
        for index, step in enumerate(steps)
    )
