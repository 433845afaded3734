"""The loop of agents: what a step is, how an episode ends, what a model is asked, coming back after death."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlam_lib.agents import loop
from xlam_lib.agents.loop import Decision, run
from xlam_lib.agents.model import ModelAgent
from xlam_lib.agents.prompting import ReAct, Unified
from xlam_lib.agents.scripted import Oracle, Random
from xlam_lib.environments.core import Reply, Result, Task
from xlam_lib.errors import ProfileError
from xlam_lib.formats import ParseError, get_format
from xlam_lib.generation import Generation
from xlam_lib.inference import LocalModel
from xlam_lib.schema import Step, Tool, ToolCall

TOOLS = [
    Tool("press", "Press a button.", {"button": {"type": "integer", "required": True}}),
    Tool("stop", "Say that it is done."),
]


class Buttons:
    """Press button 1, 2 and 3 in order, then stop."""

    name, data, max_steps = "buttons", "for tests", 8

    def tasks(self) -> list[Task]:
        return [Task(f"buttons/{n}", f"Press {n} buttons.", TOOLS, meta={"count": n}) for n in (1, 2, 3)]

    def open(self, task: Task) -> Pressing:
        return Pressing(task)

    def solution(self, task: Task) -> Sequence[ToolCall]:
        presses = [ToolCall("press", {"button": n + 1}) for n in range(task.meta["count"])]
        return [*presses, ToolCall("stop")]


class Pressing:
    def __init__(self, task: Task) -> None:
        self.task, self.pressed, self.stopped, self.closed = task, 0, False, False

    def act(self, call: ToolCall) -> Reply:
        if call.name == "stop":
            self.stopped = True
            return Reply("bye", done=True)
        if call.name != "press":
            return Reply(f"there is no {call.name}", error="unknown_tool")
        if call.arguments.get("button") != self.pressed + 1:
            return Reply("nothing happens", error="invalid_action")
        self.pressed += 1
        return Reply(f"button {self.pressed} is down")

    def result(self) -> Result:
        progress = min(self.pressed / self.task.meta["count"], 1.0)
        return Result(self.stopped and progress == 1, progress, progress)

    def close(self) -> None:
        self.closed = True


class Scripted:
    """Decides by a function of the task and the steps."""

    name = "scripted"

    def __init__(self, decide: Callable[[Task, Sequence[Step]], Decision]) -> None:
        self._decide = decide

    def decide(self, cases: Sequence[tuple[Task, Sequence[Step]]]) -> list[Decision]:
        return [self._decide(task, steps) for task, steps in cases]


def always(*calls: ToolCall, **more) -> Scripted:
    return Scripted(lambda task, steps: Decision("so be it", list(calls), **more))


PRESS, STOP = ToolCall("press", {"button": 1}), ToolCall("stop")


def test_the_oracle_solves_all_and_its_steps_are_kept():
    told = []
    episodes = run(Buttons(), Oracle(Buttons()), progress=lambda *counts: told.append(counts))
    assert [episode.result.success for episode in episodes] == [True] * 3
    assert [len(episode.steps) for episode in episodes] == [2, 3, 4]
    assert [episode.ended for episode in episodes] == ["done"] * 3
    assert [step.step_id for step in episodes[2].steps] == [1, 2, 3, 4]
    assert episodes[2].steps[1].next_observation == "button 2 is down"
    assert told[-1] == (3, 3) and told[0] == (0, 3)


def test_random_calls_are_well_formed_and_the_same_for_the_same_seed():
    one, again, other = (run(Buttons(), Random(seed)) for seed in (1, 1, 2))
    assert one == again != other
    assert all(set(step.errors) <= {"", "invalid_action"} for step in one)


def test_every_way_to_end():
    tasks = Buttons().tasks()[1:2]
    (steps,) = run(Buttons(), always(PRESS), tasks, max_steps=5)
    assert (steps.ended, len(steps.steps), steps.result.progress) == ("steps", 5, 0.5)
    (circle,) = run(Buttons(), always(PRESS), tasks, patience=3)
    assert (circle.ended, len(circle.steps)) == ("repetition", 4)  # the first one was answered otherwise
    (full,) = run(Buttons(), always(PRESS, finish="context"), tasks)
    assert (full.ended, full.steps) == ("context", [])
    (done,) = run(Buttons(), always(STOP), tasks)
    assert (done.ended, done.result.success) == ("done", False)


def test_answers_that_say_nothing_are_steps_and_named():
    agent = Scripted(
        lambda task, steps: [
            Decision(error="no JSON", text="hm", tokens=3, prompt_tokens=50),
            Decision("I wonder", []),
            Decision(calls=[ToolCall("fly")]),
            Decision(calls=[STOP]),
        ][len(steps)]
    )
    episode = run(Buttons(), agent, Buttons().tasks()[:1])[0]
    assert episode.errors == ["bad_format", "no_call", "unknown_tool", ""]
    assert episode.steps[0].next_observation == "The answer could not be read: no JSON"
    assert episode.texts[0] == "hm" and (episode.tokens, episode.prompt_tokens) == (3, 50)


def test_several_calls_of_a_step_are_carried_out_until_the_end():
    calls = [PRESS, ToolCall("press", {"button": 9}), STOP, PRESS]
    episode = run(Buttons(), always(*calls), Buttons().tasks()[:1])[0]
    assert episode.result.success and episode.errors == ["invalid_action"]
    shown = json.loads(episode.steps[0].next_observation)
    assert [entry["name"] for entry in shown] == ["press", "press", "stop"]


def test_advice_is_read_behind_the_observation():
    def advise(task: Task, steps: Sequence[Step], calls: Sequence[ToolCall]) -> str:
        return "gently" if calls[0].name == "press" and not steps else ""

    episode = run(Buttons(), Oracle(Buttons()), Buttons().tasks()[:1], advise=advise)[0]
    assert [step.next_observation for step in episode.steps] == ["button 1 is down\ngently", "bye"]


def test_limits_that_make_no_sense_are_refused():
    for limits in ({"max_steps": 0}, {"patience": 1}):
        with pytest.raises(ProfileError, match="at least"):
            run(Buttons(), always(STOP), **limits)


# ------------------------------------------------------------------------------------------------ models


class Reader:
    """A back end that does what the prompt's history says comes next; killed after so many batches."""

    name = "reader"

    def __init__(self, write: Callable[[str, list[ToolCall]], str], dies: int = 10**9) -> None:
        self.write, self.dies, self.batches = write, dies, 0

    def generate(self, chats, max_new_tokens):
        if self.batches == self.dies:
            raise KeyboardInterrupt
        self.batches += 1
        out = []
        for chat in chats:
            text = "\n".join(message["content"] for message in chat)
            wanted = int(text.split(" buttons.")[0][-1])
            pressed = text.count("is down")
            call = STOP if pressed == wanted else ToolCall("press", {"button": pressed + 1})
            out.append(Generation(self.write("next", [call]), len(text), 5, "stop"))
        return out


def react(thought: str, calls: list[ToolCall]) -> str:
    return f"Thought: {thought}\nAction: {calls[0].name}\nAction Input: {json.dumps(calls[0].arguments)}"


@pytest.mark.parametrize("name", ["json_thought", "json", "yaml", "xml", "react"])
def test_a_model_that_reads_its_history_solves_the_tasks(name):
    prompting = ReAct("Call stop to end.") if name == "react" else Unified(name, "xml", "brief")
    write = react if name == "react" else lambda thought, calls: get_format(name).render(calls, thought)
    episodes = run(Buttons(), ModelAgent(Reader(write), prompting))
    assert all(episode.result.success for episode in episodes)
    assert all(not any(episode.errors) for episode in episodes)
    assert episodes[0].tokens == 10 and "reader" in episodes[0].agent


def test_a_run_that_was_killed_ends_with_the_same_episodes(tmp_path):
    cache = tmp_path / "answers.jsonl"

    def agent(dies: int = 10**9) -> ModelAgent:
        return ModelAgent(Reader(react, dies), ReAct(), batch_size=2, cache=cache)

    whole = run(Buttons(), ModelAgent(Reader(react), ReAct(), batch_size=2))
    with pytest.raises(KeyboardInterrupt):
        run(Buttons(), agent(dies=3))
    again = agent()
    assert run(Buttons(), again) == whole
    assert (
        isinstance(again.backend, Reader) and again.backend.batches == 5 - 3 + 1
    )  # six, of which three kept


def test_held_to_the_tools_even_a_random_model_makes_legal_calls(tiny_model):
    tools = [
        Tool("press", "Press.", {"button": {"type": "integer", "enum": [1, 2, 3], "required": True}}),
        Tool("stop", "Say that it is done."),
    ]
    tasks = [Task(f"buttons/{n}", f"Press {n} buttons.", tools, meta={"count": n}) for n in (1, 2, 3)]
    model = LocalModel.load(tiny_model)
    free, held = (
        ModelAgent(model, Unified("json", "plain", "brief"), 160, held=held) for held in (False, True)
    )
    unread = [error for episode in run(Buttons(), free, tasks, max_steps=2) for error in episode.errors]
    assert set(unread) == {"bad_format"}
    episodes = run(Buttons(), held, tasks, max_steps=2)
    whole = [step for episode in episodes for step in episode.steps if step.tool_calls]
    assert len(whole) >= 3 and {call.name for step in whole for call in step.tool_calls} <= {"press", "stop"}
    assert {error for e in episodes for error in e.errors} <= {"", "invalid_action", "bad_format"}
    assert "no_call" not in {error for e in episodes for error in e.errors}
    assert held.name != free.name


def test_answers_that_are_no_json_cannot_be_held():
    with pytest.raises(ProfileError, match="ReAct: answers that are not JSON"):
        run(Buttons(), ModelAgent(Reader(react), ReAct(), held=True))


def test_a_task_shows_its_context_and_not_its_truth():
    task = Task("shop/1", "Buy it.", TOOLS, "You are at the door.", {"answer": "secret"})
    for prompting in (Unified(), ReAct()):
        text = json.dumps(prompting.chat(task, []))
        assert "You are at the door." in text and "press" in text and "secret" not in text


@settings(deadline=None)
@given(st.text())
def test_reading_gives_calls_or_says_what_is_wrong(text):
    for prompting in (Unified(), Unified("json"), Unified("yaml"), ReAct()):
        try:
            thought, calls = prompting.read(text)
        except ParseError as error:
            assert str(error)
        else:
            assert isinstance(thought, str) and all(isinstance(call, ToolCall) for call in calls)


@settings(deadline=None)
@given(st.text(), st.text(alphabet="abc_", min_size=1), st.dictionaries(st.text(), st.integers() | st.text()))
def test_react_reads_what_it_writes(thought, name, arguments):
    step = Step(1, " ".join(thought.split()).replace("Action", "act"), [ToolCall(name, arguments)])
    chat = ReAct().chat(Buttons().tasks()[0], [step])
    read, calls = ReAct().read(chat[2]["content"])
    assert calls == step.tool_calls and read == step.thought.strip()


def test_react_says_which_line_is_missing():
    for text, said in (
        ("Thought: hm", "no line 'Action: NAME'"),
        ("Action: press\nInput: 1", "no line 'Action Input"),
        ("Action: press\nAction Input: {1", "not JSON"),
        ("Action: press\nAction Input: [1]", "list, expected one JSON object"),
    ):
        with pytest.raises(ParseError, match=said):
            ReAct().read(text)


def test_decisions_are_plain_data():
    assert loop.Decision() == Decision("", [], "", "", 0, 0, "stop")
