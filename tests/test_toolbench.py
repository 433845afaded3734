"""ToolBench as an environment: our queries and the official ones, calls over HTTP, malformed calls."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xlam_lib.agents.loop import Decision, run
from xlam_lib.agents.scripted import Oracle, Random
from xlam_lib.environments.toolbench import GROUPS, MAX_ARGUMENTS, MAX_OBSERVATION, ToolBench
from xlam_lib.errors import ArtifactError, SchemaError
from xlam_lib.evaluate.pass_rate import RuleJudge, attempt_of
from xlam_lib.schema import ToolCall
from xlam_lib.sources.toolbench import FINISH, GAVE_ANSWER, GAVE_UP


@pytest.fixture(scope="module")
def bench():
    with ToolBench.embedded() as environment:
        yield environment


def api(name: str = "Find Stops", tool: str = "Tram/Line 7", **more) -> dict:
    return {
        "category_name": "Transportation, Local",
        "tool_name": tool,
        "api_name": name,
        "api_description": "Stops near a square.",
        "required_parameters": [{"name": "square", "type": "STRING", "description": "", "default": ""}],
        "optional_parameters": [{"name": "limit", "type": "NUMBER", "description": "", "default": ""}],
        "method": "GET",
        "template_response": {
            "stops": [{"name": "str", "metres": "int", "_list_length": 12}],
            "square": "str",
        },
    } | more


def query(number: int = 3, *apis: dict) -> dict:
    return {
        "query_id": number,
        "query": "Which tram stops lie near Mill Square?",
        "api_list": list(apis) or [api()],
        "relevant APIs": [["Tram/Line 7", "Find Stops"]],
    }


def folder_with(path, *queries: dict, group: str = "G1_tool"):
    path.mkdir(exist_ok=True)
    (path / f"{group}.json").write_text(json.dumps(list(queries)))
    return path


# Our own queries ------------------------------------------------------------------------------------------


def test_our_queries_are_many_different_and_named_so(bench):
    tasks = bench.tasks()
    assert len(tasks) == 40 and len({task.goal for task in tasks}) == 40
    assert len(bench.server.settings.apis) == 30 and "our own" in bench.data
    assert all(1 <= len(task.meta["solution"]) <= 3 for task in tasks)
    assert all(task.tools[-1].name == FINISH for task in tasks)
    assert {len(task.meta["solution"]) for task in tasks} == {1, 2, 3}


def test_the_oracle_solves_all_and_random_agents_nothing(bench):
    right = run(bench, Oracle(bench))
    assert all(episode.result.success for episode in right)
    assert all(episode.result.progress == episode.result.reward == 1 for episode in right)
    assert all(not any(episode.errors) for episode in right)
    lucky = [episode for seed in range(2) for episode in run(bench, Random(seed))]
    assert sum(episode.result.success for episode in lucky) <= 0.02 * len(lucky)
    assert sum(episode.result.progress for episode in lucky) <= 0.1 * len(lucky)


def test_facts_come_from_answers_and_not_from_queries(bench):
    for task in bench.tasks():
        session = bench.open(task)
        seen = " ".join(session.act(call).observation for call in bench.solution(task)[:-1])
        for fact in task.meta["facts"]:
            assert fact in seen and fact not in task.goal


def test_progress_and_facts_of_a_half_right_session(bench):
    task = next(task for task in bench.tasks() if len(task.meta["solution"]) == 2)
    session = bench.open(task)
    first, _, finish = bench.solution(task)
    session.act(first)
    assert session.result().progress == 0.5 and not session.result().success
    session.act(ToolCall(FINISH, finish.arguments | {"final_answer": "There is nothing to tell you here."}))
    result = session.result()
    assert not result.success and result.reward == 0 and result.details["reason"] == "draws on no call"


def test_a_session_ends_with_finish_alone(bench):
    session = bench.open(bench.tasks()[0])
    assert session.act(ToolCall(FINISH, {"return_type": GAVE_ANSWER})).error == "bad_arguments"
    assert session.act(ToolCall(FINISH, {"return_type": "later"})).error == "bad_arguments"
    assert session.act(ToolCall(FINISH, {})).error == "bad_arguments"
    assert session.act(ToolCall(FINISH, {"return_type": GAVE_UP})).done
    after = session.act(bench.solution(bench.tasks()[0])[0])
    assert after.done and after.error == "invalid_action"
    assert session.result().details["reason"] == "gave up"


def test_the_session_and_the_episode_are_judged_alike(bench):
    tasks = bench.tasks()[:8]
    for agent in (Oracle(bench), Random(5)):
        for task, episode in zip(tasks, run(bench, agent, tasks), strict=True):
            verdict = RuleJudge().verdicts([attempt_of(task, episode.steps)])[0]
            assert verdict.status == episode.result.details["status"]
            assert verdict.reason == episode.result.details["reason"]


# Calls ----------------------------------------------------------------------------------------------------


def test_wrong_calls_are_answered(bench):
    task = bench.tasks()[1]
    session = bench.open(task)
    name = "daily_forecast_for_skylark_weather"
    for call, error, told in (
        (ToolCall("daily_forecast", {}), "unknown_tool", "daily_forecast"),
        (ToolCall(name, {"city": "Porto"}), "bad_arguments", "days"),
        (ToolCall(name, {"city": "Porto", "days": 2, "hour": 3}), "bad_arguments", "hour"),
        (ToolCall(name, {"city": ["Porto"], "days": 2}), "bad_arguments", "city"),
        (ToolCall(name, {"city": "Porto", "days": "two"}), "bad_arguments", "days"),
        (ToolCall(name, {"city": "x" * MAX_ARGUMENTS, "days": 2}), "bad_arguments", "longer"),
        (ToolCall(name, {"city": "\ud800", "days": 2}), "bad_arguments", "JSON"),
        (ToolCall(name, {"city": "Porto", "days": float("nan")}), "bad_arguments", "JSON"),
    ):
        reply = session.act(call)
        assert (reply.error, reply.done) == (error, False) and told in reply.observation


def test_arguments_are_matched_whatever_their_order_and_spelling(bench):
    task = bench.tasks()[1]
    name = "daily_forecast_for_skylark_weather"
    replies = [
        bench.open(task).act(ToolCall(name, arguments)).observation
        for arguments in (
            {"city": "Porto", "days": 2},
            {"days": 2, "city": "Porto"},
            {"city": "Porto", "days": 2.0},
            {"city": "Porto", "days": "2"},
        )
    ]
    assert len(set(replies)) == 1 and "showers" in replies[0]


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=70, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_call_raises(bench, data):
    task = bench.tasks()[data.draw(st.integers(0, 39))]
    name = data.draw(st.sampled_from([tool.name for tool in task.tools]) | st.text(st.characters()))
    known = next((list(tool.parameters) for tool in task.tools if tool.name == name), ["city"])
    arguments = data.draw(st.dictionaries(st.sampled_from(known) | st.text(), _VALUES, max_size=4))
    session = bench.open(task)
    reply = session.act(ToolCall(name, arguments))
    assert isinstance(reply.observation, str) and len(reply.observation) <= MAX_OBSERVATION + 300
    assert reply == bench.open(task).act(ToolCall(name, arguments))
    session.result()


def test_deep_arguments_are_answered(bench):
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    session = bench.open(bench.tasks()[0])
    call = ToolCall(bench.tasks()[0].tools[0].name, {"city": deep})
    assert session.act(call).error == "bad_arguments"


# The official layout --------------------------------------------------------------------------------------


def test_the_native_layout_is_read(tmp_path):
    folder = folder_with(tmp_path / "queries", query(), query(9, api(), api("id", template_response=None)))
    with ToolBench.from_files(folder) as environment:
        first, second = environment.tasks()
        assert first.id == "toolbench/G1_tool/3" and first.meta["group"] == "G1_tool"
        assert [tool.name for tool in second.tools] == [
            "find_stops_for_tram_line_7",
            "is_id_for_tram_line_7",
            FINISH,
        ]
        assert "2 queries" in environment.data and "1 of 2 APIs" in environment.data
        session = environment.open(first)
        reply = session.act(ToolCall("find_stops_for_tram_line_7", {"square": "Mill Square"}))
        response = json.loads(reply.observation)["response"]
        assert response["square"] == "Mill Square" and len(response["stops"]) == 3
        assert isinstance(response["stops"][0]["metres"], int)
        assert session.result().progress == 1.0
        missing = environment.open(second).act(ToolCall("is_id_for_tram_line_7", {"square": "x"}))
        assert missing.error == "tool_error" and "no answer" in missing.observation
        with pytest.raises(ArtifactError, match=r"toolbench/G1_tool/3: .* without a solution"):
            environment.solution(first)


def test_the_cache_is_asked_first(tmp_path):
    folder = folder_with(tmp_path / "queries", query())
    file = tmp_path / "cache/Transportation_Local/tram_line_7_for_Transportation_Local/find_stops.json"
    file.parent.mkdir(parents=True)
    known = {"{'square': 'Mill Square', 'limit': 2}": {"error": "", "response": {"stops": ["Weir Lane"]}}}
    file.write_text(json.dumps(known))
    name = "find_stops_for_tram_line_7"
    with ToolBench.from_files(folder, cache=tmp_path / "cache") as environment:
        session = environment.open(environment.tasks()[0])
        assert "Weir Lane" in session.act(ToolCall(name, {"limit": 2, "square": "Mill Square"})).observation
        assert "Weir Lane" not in session.act(ToolCall(name, {"square": "Mill Square"})).observation
        file.write_text("{")
        with pytest.raises(ArtifactError, match=r"find_stops\.json: cannot be read"):
            session.act(ToolCall(name, {"square": "Mill Square", "limit": 2}))
    with pytest.raises(ArtifactError, match="no such folder"):
        ToolBench.from_files(folder, cache=tmp_path / "none")


def test_long_observations_are_cut(tmp_path):
    long = api(template_response={f"field{i}": "str" for i in range(200)})
    with ToolBench.from_files(folder_with(tmp_path / "queries", query(1, long))) as environment:
        session = environment.open(environment.tasks()[0])
        reply = session.act(ToolCall("find_stops_for_tram_line_7", {"square": "a"}))
        assert len(reply.observation) == MAX_OBSERVATION + 3 and reply.observation.endswith("...")


@pytest.mark.parametrize(
    ("native", "message"),
    [
        ({"a": 1}, "no list of queries"),
        ([{"query_id": 5, "query": "Hm?"}], "query 5: has no sound api_list"),
        ([query(5) | {"api_list": [{"tool_name": "x"}]}], "query 5: "),
        ([query(5) | {"api_list": [api(required_parameters="none")]}], "query 5: .*correct the record"),
        ([7], "query 0: "),
    ],
)
def test_files_that_are_not_native_are_named(tmp_path, native, message):
    (tmp_path / "G1_tool.json").write_text(json.dumps(native))
    with pytest.raises(SchemaError, match=rf"G1_tool\.json.*{message}"):
        ToolBench.from_files(tmp_path)


def test_a_folder_without_queries_is_an_error(tmp_path):
    with pytest.raises(ArtifactError, match="holds no query in any of G1_instruction"):
        ToolBench.from_files(tmp_path)


def test_all_official_queries_are_read_and_answered(xlam_data):
    with ToolBench.from_files(xlam_data / "toolbench/solvable_queries") as environment:
        tasks = environment.tasks()
        assert {task.meta["group"] for task in tasks} <= set(GROUPS)
        assert len(tasks) == 580
        assert all(task.meta["relevant"] for task in tasks)
        chosen = tasks[::20]
        episodes = run(environment, Random(1), chosen)
        assert not any(episode.result.success for episode in episodes)
        assert any(not error for episode in episodes for error in episode.errors)


class _FirstCalls:
    """Calls each relevant API with its sample values, then answers with what the last one said."""

    name = "samples"

    def decide(self, cases):
        decisions = []
        for task, steps in cases:
            left = task.meta["relevant"][len(steps) :]
            if left and len(steps) < 4:
                tool = next(tool for tool in task.tools if tool.name == left[0])
                decisions.append(Decision("", [ToolCall(tool.name, _samples(tool))]))
            else:
                said = f"This is what I could learn for you: {steps[-1].next_observation[:300]}"
                arguments = {"return_type": GAVE_ANSWER, "final_answer": said}
                decisions.append(Decision("", [ToolCall(FINISH, arguments)]))
        return decisions


def _samples(tool) -> dict:
    plain = {"string": "x", "integer": 1, "number": 1, "boolean": True, "array": [], "object": {}}
    return {
        name: schema.get("examples", [plain.get(schema.get("type", "string"), "x")])[0]
        for name, schema in tool.parameters.items()
        if schema["required"]
    }


def test_official_queries_can_be_worked_on(xlam_data):
    with ToolBench.from_files(xlam_data / "toolbench/solvable_queries") as environment:
        chosen = environment.tasks()[::12]
        episodes = run(environment, _FirstCalls(), chosen)
        assert sum(episode.result.success for episode in episodes) > 0.4 * len(chosen)
