"""APIGen's example and prompt samplers: which verified examples a model is shown, and how it is asked."""

from __future__ import annotations

import random
from collections.abc import Sequence

from xlam_lib.formats import dump_json
from xlam_lib.generation import Message
from xlam_lib.prompts import render_tools
from xlam_lib.schema import Tool, Trajectory
from xlam_lib.synthesis.samples import Sample

_TASKS = {
    "simple": "Each query asks for exactly one call of the function.",
    "multiple": "Each query asks for exactly one call, of the one function among these that fits it.",
    "parallel": "Each query asks for two to four calls of the same function, with different arguments.",
    "parallel_multiple": "Each query asks for two to four calls, of at least two different functions.",
    "no fitting tool": (
        'Each query sounds like these functions and none can answer it, so "answers" is an empty list.'
    ),
    "required argument missing": (
        "Each query asks for one of the functions and leaves out a value that it requires, "
        'so "answers" is an empty list.'
    ),
    "value only vaguely said": (
        "Each query asks for one of the functions and tells a value that it requires only vaguely "
        '(the usual place, in a while), so "answers" is an empty list.'
    ),
}
_MANNERS = (
    "Write the queries as different people would: a student, a clerk, a traveller.",
    "Write short queries, as into a search box.",
    "Give the situation first and the request after it.",
    "Write the queries as questions.",
    "Write as people type on a phone: lower case, a misspelled word now and then; values stay exact.",
    "Be indirect: do not repeat the words of the functions' descriptions.",
    "Write polite, complete sentences.",
    "Let a query leave open what a function has a default for.",
)
_RULES = """\
You write training data for an assistant that calls functions: pairs of a user's query and the calls that \
answer it, as JSON: {"query": "...", "answers": [{"name": "...", "arguments": {...}}]}
A query tells every value that its calls use, in plain words, and never names a function. Arguments have the \
names and the types that the function's parameters say; required ones are all there, others only where the \
query tells them. Write the JSON and nothing else."""


def examples(seeds: Sequence[Trajectory], task: Sample, count: int, rng: random.Random) -> list[Trajectory]:
    """Verified examples for a task: of its own query style where the seeds have any, none of its own tools.

    Fewer come back where there are fewer.
    """
    own = {tool.name for tool in task.tools}
    fitting = [seed for seed in seeds if seed.meta.get("style") == task.style]
    apart = [seed for seed in fitting or seeds if not own & {tool.name for tool in seed.tools}]
    return rng.sample(apart, min(count, len(apart)))


def request(task: Sample, pairs: int, shown: Sequence[Trajectory], rng: random.Random) -> list[Message]:
    """The chat that asks a model for so many pairs for the tools of a task.

    Examples are earlier turns of the chat, each asked for and answered as the task is to be; the first turn
    begins with the rules. The wording depends on the query style, and one manner of writing is drawn
    (the prompt library of APIGen).
    """
    asked = [
        _ask(example.tools, str(example.meta.get("note") or example.meta.get("style", "simple")), 1, "")
        for example in shown
    ]
    asked.append(_ask(task.tools, task.note or task.style, pairs, rng.choice(_MANNERS)))
    asked[0] = f"{_RULES}\n\n{asked[0]}"
    chat: list[Message] = []
    for question, example in zip(asked, shown, strict=False):
        chat.append({"role": "user", "content": question})
        chat.append({"role": "assistant", "content": dump_json(pair_of(example))})
    return [*chat, {"role": "user", "content": asked[-1]}]


def _ask(tools: Sequence[Tool], style: str, pairs: int, manner: str) -> str:
    if pairs == 1:
        wanted, form = "one pair", "one JSON object"
    else:
        wanted, form = f"{pairs} different pairs", f"a JSON list of {pairs} such objects"
    wishes = " ".join(wish for wish in (_TASKS.get(style, _TASKS["simple"]), manner) if wish)
    return f"Functions:\n{render_tools(tools)}\nWrite {wanted} for them. {wishes} Answer with {form}."


def pair_of(trajectory: Trajectory) -> dict[str, object]:
    """A verified single-turn record as the pair a generator writes."""
    calls = [
        {"name": call.name, "arguments": call.arguments}
        for step in trajectory.steps[:1]
        for call in step.tool_calls
    ]
    return {"query": trajectory.query, "answers": calls}
