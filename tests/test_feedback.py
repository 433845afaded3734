"""Simulator feedback is silent on right trajectories, names what is wrong, and helps who heeds it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlam_lib.agents.clumsy import MISTAKES, Clumsy, _possible, _spoilt
from xlam_lib.agents.loop import run
from xlam_lib.agents.scripted import Oracle, Random
from xlam_lib.environments.core import Environment, Task
from xlam_lib.environments.feedback import (
    EARLY_END,
    FAILED_BEFORE,
    MAX_SHOWN,
    REPEATED_CALL,
    STEPS_RUN_OUT,
    Feedback,
    advise,
    adviser,
    check,
    without_feedback,
)
from xlam_lib.environments.toolbench import ToolBench
from xlam_lib.environments.toolquery import ToolQuery
from xlam_lib.environments.webshop import WebShop
from xlam_lib.schema import Step, Tool, ToolCall
from xlam_lib.verify import (
    HALLUCINATED_NAME,
    INCORRECT_TYPE,
    MISSING_ARGUMENT,
    UNDEFINED_ARGUMENT,
    UNDEFINED_FUNCTION,
    UNGROUNDED_VALUE,
)

ENVIRONMENT = ToolQuery.embedded()
TASKS = {task.id: task for task in ENVIRONMENT.tasks()}
TASK = next(task for task in TASKS.values() if "Tirenza on 2024-07-14" in task.goal)
PLACES = ToolCall("get_latitude_longitude", {"name": "Tirenza"})
FOUND = Step(1, "", [PLACES], '{"results": [{"latitude": 38.7719, "longitude": -6.4416}]}')
PLACE = {"latitude": 38.7719, "longitude": -6.4416}


def kinds(found: list[Feedback]) -> list[str]:
    return [each.kind for each in found]


@pytest.mark.parametrize("make", [ToolQuery.embedded, WebShop, ToolBench.embedded])
def test_right_trajectories_hear_nothing(make: Callable[[], Environment]) -> None:
    environment = make()
    tasks = {task.id: task for task in environment.tasks()}
    for episode in run(environment, Oracle(environment)):
        task = tasks[episode.task]
        for number, step in enumerate(episode.steps):
            found = check(task, episode.steps[:number], step.tool_calls, environment.max_steps)
            assert found == [], task.goal


@pytest.mark.parametrize(
    ("call", "kind", "about", "message"),
    [
        (ToolCall("get_elevaton", PLACE), HALLUCINATED_NAME, "call 1, name", "'get_elevation'"),
        (ToolCall("get_elevatoins", PLACE), UNDEFINED_FUNCTION, "call 1, name", "nearest is 'get_elevation'"),
        (
            ToolCall("book_a_flight", {}),
            UNDEFINED_FUNCTION,
            "call 1, name",
            "no tool 'book_a_flight' among 19",
        ),
        (
            ToolCall("get_elevation", {"latitude": 38.7719}),
            MISSING_ARGUMENT,
            "arguments.longitude",
            "'longitude'",
        ),
        (
            ToolCall("get_elevation", PLACE | {"unit": "Tirenza"}),
            UNDEFINED_ARGUMENT,
            "arguments.unit",
            "no argument 'unit'",
        ),
        (
            ToolCall("get_elevation", PLACE | {"latitude": "38.7719"}),
            INCORRECT_TYPE,
            "arguments.latitude",
            "is not of type number",
        ),
        (
            ToolCall("get_elevation", PLACE | {"latitude": 41.25}),
            UNGROUNDED_VALUE,
            "arguments.latitude",
            "41.25",
        ),
        (PLACES, REPEATED_CALL, "call 1", "was called with these arguments before"),
    ],
)
def test_calls_are_checked(call: ToolCall, kind: str, about: str, message: str) -> None:
    found = check(TASK, [FOUND], [call])
    assert kinds(found) == [kind]
    assert found[0].about.endswith(about) and message in found[0].message


def test_plans_are_checked() -> None:
    finish = ToolCall("finish", {"answer": 3})
    assert kinds(check(TASK, [], [finish])) == [EARLY_END]
    failed = Step(1, "", [PLACES], "ERROR | the geocoding service did not answer")
    assert kinds(check(TASK, [failed], [finish])) == [EARLY_END]
    assert kinds(check(TASK, [failed], [PLACES])) == [FAILED_BEFORE]
    assert check(TASK, [FOUND], [finish]) == []
    assert check(TASK, [], [PLACES, finish]) == []


def test_a_limit_that_is_near_is_named_once_it_matters() -> None:
    call = ToolCall("get_elevation", PLACE)
    assert check(TASK, [FOUND], [call], max_steps=5) == []
    assert kinds(check(TASK, [FOUND], [call], max_steps=4)) == [STEPS_RUN_OUT]
    assert "\"2 steps are left after this one; end with 'finish' in time\"" in adviser(4)(
        TASK, [FOUND], [call]
    )
    assert check(TASK, [FOUND], [ToolCall("finish", {"answer": 1})], max_steps=2) == []


def test_feedback_grounds_nothing() -> None:
    """A value that was complained of stands in the observation from then on, and is complained of again."""
    call = ToolCall("get_elevation", PLACE | {"latitude": 41.25})
    text = advise(TASK, [FOUND], [call])
    assert "41.25" in text
    told = Step(2, "", [call], f"ERROR | there is no station near these coordinates\n{text}")
    assert without_feedback(told.next_observation) == "ERROR | there is no station near these coordinates"
    other = ToolCall("get_elevation", PLACE | {"latitude": 41.25, "longitude": -6.4416})
    assert UNGROUNDED_VALUE in kinds(check(TASK, [FOUND, told], [other]))


def test_calls_of_one_step_are_told_apart() -> None:
    shown = json.dumps(
        [{"name": "get_latitude_longitude", "observation": "[]"}, {"name": "x", "observation": "ERROR | no"}]
    )
    bad = ToolCall("get_elevation", PLACE)
    step = Step(1, "", [PLACES, bad], shown)
    found = check(TASK, [FOUND, step], [bad, PLACES])
    assert [(each.kind, each.about) for each in found] == [
        (FAILED_BEFORE, "call 1"),
        (REPEATED_CALL, "call 2"),
    ]


def test_where_calls_change_things_only_a_call_without_effect_is_a_repetition() -> None:
    task = Task(
        "webshop/1", "red shoes", [Tool("click", "", {"on": {"type": "string", "required": True}})], "a"
    )
    turn = ToolCall("click", {"on": "red"})
    assert check(task, [Step(1, "", [turn], "b")], [turn]) == []
    assert check(task, [Step(1, "", [turn], "b"), Step(2, "", [turn], "c")], [turn]) == []
    assert kinds(check(task, [Step(1, "", [turn], "a")], [turn])) == [REPEATED_CALL]


def test_the_text_is_short_json() -> None:
    assert advise(TASK, [], [PLACES]) == ""
    calls = [ToolCall(f"tool{number}" + "x" * 5000, {"\ud800": "\ud800"}) for number in range(30)]
    text = advise(TASK, [], calls)
    feedback = json.loads(text)["feedback"]
    assert len(feedback) == MAX_SHOWN and len(text) < 2500
    assert all(set(each) == {"kind", "about", "message"} for each in feedback)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("\ud800\x00"),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=4), children, max_size=3)
    ),
    max_leaves=4,
)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_no_call_and_no_observation_breaks_it(data: st.DataObject) -> None:
    tool = data.draw(st.sampled_from(TASK.tools))
    arguments: dict[str, Any] = {name: data.draw(VALUES) for name in tool.parameters}
    arguments |= data.draw(st.dictionaries(st.text(max_size=4), VALUES, max_size=1))
    call = ToolCall(data.draw(st.sampled_from([tool.name, "", "\ud800", "get"])), arguments)
    said = data.draw(
        st.text(max_size=20) | st.sampled_from(['\n{"feedback": [', "[1]", '{"error": ""}', "[" * 999])
    )
    steps = [Step(1, "", [call] * data.draw(st.integers(0, 2)), said)]
    advise(TASK, steps, [call, call]).encode()


def test_deep_and_huge_arguments() -> None:
    deep: Any = 1
    for _ in range(50_000):
        deep = [deep]
    assert kinds(check(TASK, [FOUND], [ToolCall("get_elevation", PLACE | {"latitude": deep})])) == [
        INCORRECT_TYPE
    ]
    huge = ToolCall("get_latitude_longitude", {"name": "x " * 500_000})
    assert len(advise(TASK, [FOUND], [huge, ToolCall("y" * 1_000_000)])) < 2500


def test_random_agents_hear_much() -> None:
    heard = [
        bool(advise(TASKS[episode.task], episode.steps[:number], step.tool_calls))
        for episode in run(ENVIRONMENT, Random(1), list(TASKS.values())[::6])
        for number, step in enumerate(episode.steps)
    ]
    assert sum(heard) / len(heard) > 0.25


def test_a_clumsy_agent_without_slips_is_the_oracle() -> None:
    tasks = list(TASKS.values())[::7]
    exact = run(ENVIRONMENT, Oracle(ENVIRONMENT), tasks)
    assert [e.steps for e in run(ENVIRONMENT, Clumsy(ENVIRONMENT, rate=0.0), tasks)] == [
        e.steps for e in exact
    ]


def test_every_slip_changes_the_call() -> None:
    for task in TASKS.values():
        for call in ENVIRONMENT.solution(task):
            for slip in set(_possible(call)) - {MISTAKES[3]}:
                wrong, remedies = _spoilt(call, slip, random.Random(0))
                assert wrong != call and remedies
                assert check(task, [], [wrong])[0].kind in (
                    HALLUCINATED_NAME,
                    UNDEFINED_FUNCTION,
                    MISSING_ARGUMENT,
                    INCORRECT_TYPE,
                )


def test_feedback_helps_the_clumsy_agent() -> None:
    agent = Clumsy(ENVIRONMENT, rate=0.3, seed=0)
    alone, told = run(ENVIRONMENT, agent), run(ENVIRONMENT, agent, advise=advise)
    solved = [sum(episode.result.success for episode in episodes) / 60 for episodes in (alone, told)]
    assert solved[0] < 0.7 and solved[1] > 0.9
    length = [sum(len(episode.steps) for episode in episodes) for episodes in (alone, told)]
    assert length[1] < length[0]
    assert told == run(ENVIRONMENT, agent, advise=advise)
