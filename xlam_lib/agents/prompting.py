"""How a task and its history become a chat, and how an answer becomes thought and calls.

Two ways: the unified format of the xLAM report (section 3.1), in any of its output formats and prompt
styles, and ReAct text, which the agent benchmarks of 2023 and 2024 ask their models for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from xlam_lib import prompts
from xlam_lib.constrained import answer_schema
from xlam_lib.environments.core import Task
from xlam_lib.errors import ProfileError
from xlam_lib.formats import ParseError, extract_calls, find_end, get_format, load_json
from xlam_lib.generation import Message
from xlam_lib.schema import Step, ToolCall, Trajectory

# No pattern backtracks: a model may answer with a megabyte of blanks.
_ACTION = re.compile(r"^[ \t]*Action[ \t]*:(.*)$", re.MULTILINE)
_INPUT = re.compile(r"\s*Action Input[ \t]*:[ \t]*")


class Prompting(Protocol):
    """A way to ask and to read."""

    @property
    def name(self) -> str: ...

    def chat(self, task: Task, steps: Sequence[Step]) -> list[Message]:
        """What the model is sent."""
        ...

    def schema(self, task: Task) -> str:
        """The JSON Schema, as JSON text, of an answer with at least one call that fits the task's tools.

        Raises :class:`~xlam_lib.errors.ProfileError` where answers are not JSON.
        """
        ...

    def read(self, text: str) -> tuple[str, list[ToolCall]]:
        """Thought and calls of an answer; raises :class:`~xlam_lib.formats.ParseError`."""
        ...


@dataclass(frozen=True)
class Unified:
    """The report's prompt: one user message with sections, the history among them.

    Attributes: a ``format`` of :data:`xlam_lib.formats.FORMATS`, a ``style`` of
    :data:`xlam_lib.prompts.STYLES`, and the ``length`` of our instructions (``full`` or ``brief``).
    """

    format: str = "json_thought"
    style: str = "brackets"
    length: str = "full"

    @property
    def name(self) -> str:
        return f"unified, {self.format}, {self.style}"

    def chat(self, task: Task, steps: Sequence[Step]) -> list[Message]:
        shown = Trajectory(
            unique_trajectory_id=task.id,
            source=task.id.split("/")[0],
            tools=task.tools,
            query=f"{task.goal}\n\n{task.context}" if task.context else task.goal,
        )
        text = prompts.render_prompt(shown, self.style, history=steps, format=self.format, length=self.length)
        return [{"role": "user", "content": text}]

    def schema(self, task: Task) -> str:
        return json.dumps(answer_schema(task.tools, self.format, least=1), ensure_ascii=False)

    def read(self, text: str) -> tuple[str, list[ToolCall]]:
        format = get_format(self.format)
        if format.name in ("json", "json_thought"):
            return _thought(text), extract_calls(text)
        answer = format.parse(text)
        return answer.thought, answer.calls


def _thought(text: str) -> str:
    """The ``thought`` of a JSON answer, or nothing where it has none."""
    start = text.find("{")
    try:
        value = json.JSONDecoder().raw_decode(text, start)[0] if start >= 0 else {}
    except (ValueError, RecursionError):
        return ""
    thought = value.get("thought", "") if isinstance(value, dict) else ""
    return thought if isinstance(thought, str) else ""


@dataclass(frozen=True)
class ReAct:
    """Thought, action and action input on lines of their own; the observation is the next user message.

    Attributes: ``closing``, a sentence that names what ends a task; it is put after the tools.
    """

    closing: str = ""

    @property
    def name(self) -> str:
        return "ReAct"

    def chat(self, task: Task, steps: Sequence[Step]) -> list[Message]:
        system = (
            "Solve the user's task with the tools below, one call at a time. Answer in exactly this form:\n"
            "Thought: why the next call helps\n"
            "Action: the name of one tool\n"
            "Action Input: its arguments as one JSON object\n"
            "You then get the tool's answer as an observation and go on."
        )
        if self.closing:
            system += f" {self.closing}"
        system += f"\n\nTools:\n{prompts.render_tools(task.tools)}"
        first = f"{task.goal}\n\n{task.context}" if task.context else task.goal
        chat: list[Message] = [{"role": "system", "content": system}, {"role": "user", "content": first}]
        for step in steps:
            chat.append({"role": "assistant", "content": _written(step)})
            chat.append({"role": "user", "content": f"Observation: {step.next_observation}"})
        return chat

    def schema(self, task: Task) -> str:
        raise ProfileError(f"{self.name}: answers that are not JSON cannot be held to a schema; use Unified")

    def read(self, text: str) -> tuple[str, list[ToolCall]]:
        found = _ACTION.search(text)
        if found is None:
            raise ParseError("no line 'Action: NAME'; write Thought, Action and Action Input on three lines")
        given = _INPUT.match(text, found.end())
        if given is None:
            raise ParseError("no line 'Action Input: {...}' after the action; write the arguments as JSON")
        rest = text[given.end() :].lstrip()
        try:
            arguments = load_json(rest[: find_end(rest)]) if rest else {}
        except ParseError as error:
            raise ParseError(f"the action input is not JSON ({error}); write one JSON object") from None
        if not isinstance(arguments, dict):
            raise ParseError(f"the action input is {type(arguments).__name__}, expected one JSON object")
        said = text[: found.start()].strip().removeprefix("Thought:").strip()
        return said, [ToolCall(found.group(1).strip("`'\" \t\r"), arguments)]


def _written(step: Step) -> str:
    """A step as the model would have written it; the first call, for ReAct takes one at a time."""
    if not step.tool_calls:
        return f"Thought: {step.thought}"
    call = step.tool_calls[0]
    arguments = json.dumps(call.arguments, ensure_ascii=False)
    return f"Thought: {step.thought}\nAction: {call.name}\nAction Input: {arguments}"
