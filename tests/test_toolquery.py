"""ToolQuery: the embedded questions can be solved, scoring is AgentBoard's, and no call breaks a session."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlam_lib.agents.loop import run
from xlam_lib.agents.scripted import Oracle, Random
from xlam_lib.environments import toolquery_academia, toolquery_movie, toolquery_weather
from xlam_lib.environments.core import Task
from xlam_lib.environments.toolquery import (
    EMBEDDED,
    TOOLS,
    QuerySession,
    Services,
    ToolQuery,
    reached,
    setting,
)
from xlam_lib.environments.toolquery_academia import Author, Graph, Nets, Paper
from xlam_lib.environments.toolquery_base import Refused, ServiceError, number_of, text_of
from xlam_lib.errors import ArtifactError, ProfileError, SchemaError
from xlam_lib.formats import get_format
from xlam_lib.records import write_jsonl
from xlam_lib.schema import ToolCall, Trajectory, validate

ENVIRONMENT = ToolQuery.embedded()
TASKS = {task.id: task for task in ENVIRONMENT.tasks()}


def session_of(identity: str) -> QuerySession:
    return ENVIRONMENT.open(TASKS[identity])


def weather(**subgoals: Any) -> QuerySession:
    """A session in which it is 2024-05-10 in Velmora."""
    meta = {
        "domain": "weather",
        "difficulty": "",
        "setting": {"current_date": "2024-05-10", "current_location": "Velmora"},
        "subgoals": subgoals.get("subgoals", [1]),
        "answer": 1,
        "calls": None,
    }
    return ENVIRONMENT.open(Task("toolquery/weather-x", "?", TOOLS["weather"], "", meta))


def test_the_oracle_solves_all_and_the_random_agent_hardly_any() -> None:
    assert Counter(task.meta["domain"] for task in TASKS.values()) == dict.fromkeys(TOOLS, 20)
    episodes = run(ENVIRONMENT, Oracle(ENVIRONMENT))
    assert [episode.task for episode in episodes if not episode.result.success] == []
    assert all(episode.result.progress == 1.0 and not any(episode.errors) for episode in episodes)
    lengths = {len(episode.steps) - 1 for episode in episodes}
    assert lengths == {1, 2, 3, 4, 5, 6}, "questions of varied difficulty"
    guesses = [episode.result for seed in range(3) for episode in run(ENVIRONMENT, Random(seed))]
    assert sum(result.success for result in guesses) / len(guesses) < 0.03
    assert 0 < sum(result.progress for result in guesses) / len(guesses) < 0.15


def test_tools_are_agentboards_and_records_are_valid() -> None:
    assert {domain: len(tools) for domain, tools in TOOLS.items()} == {
        "weather": 19,
        "movie": 16,
        "academia": 9,
    }
    for task in TASKS.values():
        shown = Trajectory(task.id, "toolquery", tools=task.tools, query=task.goal)
        assert list(validate(shown)) == []


def test_tools_have_agentboards_names_and_parameters(xlam_data: Path) -> None:
    for domain, tools in TOOLS.items():
        theirs = json.loads((xlam_data / "agentboard" / f"{domain}_raw.json").read_text())["tool_set_message"]
        ours = {
            tool.name: {name: schema["type"] for name, schema in tool.parameters.items()} for tool in tools
        }
        assert ours == {
            tool["name"]: {
                name: schema["type"] for name, schema in tool["parameters"].get("properties", {}).items()
            }
            for tool in theirs
        }


def test_the_answer_alone_is_no_success() -> None:
    for task in TASKS.values():
        session = ENVIRONMENT.open(task)
        assert session.act(ToolCall("finish", {"answer": task.meta["answer"]})).done
        assert not session.result().success, task.goal
        assert 0 < session.result().progress < 1


def test_an_answer_that_is_nearly_right_is_wrong() -> None:
    for task in TASKS.values():
        *calls, _ = ENVIRONMENT.solution(task)
        answer = task.meta["answer"]
        session = ENVIRONMENT.open(task)
        for call in calls:
            assert not session.act(call).done
        wrong = f"{answer} " if isinstance(answer, str) else str(answer)
        session.act(ToolCall("finish", {"answer": wrong}))
        assert session.ended and not session.result().success


def test_ended_sessions_say_so() -> None:
    session = weather(subgoals=[[1, 2]])
    assert session.act(ToolCall("finish", {"answer": [2, 1]})).observation == "[1, 2]", "lists are sorted"
    assert session.result().success
    after = session.act(ToolCall("get_user_current_date", {}))
    assert (after.done, after.error) == (True, "invalid_action")


def test_success_needs_finish() -> None:
    session = weather(subgoals=["Velmora"])
    session.act(ToolCall("get_user_current_location"))
    assert (session.result().progress, session.result().success) == (1.0, False)
    session.act(ToolCall("finish", {"answer": "here"}))
    assert session.result().success, "by the published rule only what the subgoals name must be right"


def test_wrong_answers_of_finish_do_not_end_a_task() -> None:
    session = weather()
    for arguments in ({}, {"answer": [1, "a"]}, {"answer": [{}, {}]}, {"Answer": 1}):
        reply = session.act(ToolCall("finish", arguments))
        assert (reply.done, reply.error) == (False, "bad_arguments")
    assert not session.result().success


@pytest.mark.parametrize(
    ("subgoals", "left", "count"),
    [
        (["a", "a"], ["a"], 1),
        (["a", "a"], ["a", "b", "a"], 2),
        ([18], [18.0], 1),
        ([18], ["18"], 0),
        ([{"a": [1]}], [{"a": [1]}], 1),
        ([[1, 2]], [[2, 1]], 0),
        ([None], [None], 1),
        # 0.3 degrees of latitude are 33 km, 0.6 are 67 km.
        ([{"latitude": 1.0, "longitude": 2, "x": 1}], [{"latitude": 1.3, "longitude": 2, "x": 1}], 1),
        ([{"latitude": 1.0, "longitude": 2, "x": 1}], [{"latitude": 1.6, "longitude": 2, "x": 1}], 0),
        ([{"latitude": 1.0, "longitude": 2, "x": 1}], [{"latitude": 1.0, "longitude": 2, "x": 2}], 0),
        ([{"latitude": "1", "longitude": 2}], [{"latitude": 1, "longitude": 2}], 0),
    ],
)
def test_each_result_reaches_one_equal_subgoal(subgoals: list[Any], left: list[Any], count: int) -> None:
    assert reached(subgoals, left) == count


def test_what_changes_from_year_to_year_is_not_compared() -> None:
    session = weather()
    place = {"latitude": 47.2134, "longitude": 9.8812}
    days = {"start_date": "2024-05-01", "end_date": "2024-05-02"}
    session.act(ToolCall("get_historical_temp", place | days))
    session.act(ToolCall("get_historical_rain", place | days))
    temperatures, rain = session.left
    assert temperatures["daily"] == {"time": ["2024-05-01", "2024-05-02"]}
    assert set(rain["daily"]) == {"time", "rain_sum"}
    movie = session_of("toolquery/movie-1")
    for call in ENVIRONMENT.solution(movie.task)[:2]:
        movie.act(call)
    assert movie.left == [[{"id": 8839, "title": "Harbour of Glass"}], {"title": "Harbour of Glass"}]


PLACE = {"latitude": 47.2134, "longitude": 9.8812}


@pytest.mark.parametrize(
    ("name", "arguments", "error"),
    [
        ("get_wether", {}, "unknown_tool"),
        ("finish_line", {}, "unknown_tool"),
        ("get_elevation", {"latitude": 1}, "bad_arguments"),
        ("get_elevation", {"latitude": [47.2], "longitude": 9.9}, "bad_arguments"),
        ("get_elevation", {"latitude": True, "longitude": 9.9}, "bad_arguments"),
        ("get_elevation", {"latitude": "north", "longitude": 9.9}, "bad_arguments"),
        ("get_elevation", {"latitude": float("nan"), "longitude": 9.9}, "invalid_action"),
        ("get_elevation", {"latitude": 10**400, "longitude": 9.9}, "invalid_action"),
        ("get_elevation", {"latitude": 91, "longitude": 9.9}, "invalid_action"),
        ("get_elevation", {"latitude": 0, "longitude": 0}, "tool_error"),
        ("get_latitude_longitude", {"name": "Atlantis"}, "invalid_action"),
        (
            "get_historical_rain",
            PLACE | {"start_date": "2024-05-01", "end_date": "2024-05-10"},
            "invalid_action",
        ),
        (
            "get_rain_forecast",
            PLACE | {"start_date": "2024-05-10", "end_date": "2024-05-12"},
            "invalid_action",
        ),
        (
            "get_rain_forecast",
            PLACE | {"start_date": "2024-06-01", "end_date": "2024-07-02"},
            "invalid_action",
        ),
        (
            "get_rain_forecast",
            PLACE | {"start_date": "2024-06-02", "end_date": "2024-06-01"},
            "invalid_action",
        ),
        ("get_historical_rain", PLACE | {"start_date": "1999-01-01", "end_date": "1999-01-02"}, "tool_error"),
        ("get_current_rain", PLACE | {"current_date": "tomorrow"}, "invalid_action"),
        ("get_rain_forecast", PLACE | {"start_date": "2024-06-01", "end_date": "2024-07-01"}, ""),
        ("get_elevation", {"latitude": "47.2", "longitude": 9.9, "unit": "m"}, ""),
    ],
)
def test_wrong_weather_calls_are_answered(name: str, arguments: dict[str, Any], error: str) -> None:
    session = weather()
    reply = session.act(ToolCall(name, arguments))
    assert reply.error == error
    assert reply.observation.startswith("ERROR | ") == bool(error)
    assert len(session.left) == (not error)


def test_nets_must_be_loaded_and_nodes_exist() -> None:
    session = session_of("toolquery/academia-0")
    node = {"node": "Farida Quennell"}
    assert "load it first" in session.act(ToolCall("authorNodeCheck", node)).observation
    session.act(ToolCall("loadAuthorNet"))
    assert json.loads(session.act(ToolCall("authorNodeCheck", node)).observation)["name"] == "Farida Quennell"
    for name, arguments in (
        ("paperNodeCheck", {"node": "x"}),
        ("neighbourCheck", {"graph": "PaperNet", "node": "x"}),
        ("neighbourCheck", {"graph": "AuthorNet", "node": "x"}),
        ("authorEdgeCheck", {"node1": "Farida Quennell", "node2": "Ulrike Sandmoor"}),
    ):
        assert session.act(ToolCall(name, arguments)).error == "invalid_action"
    assert session.act(ToolCall("neighbourCheck", {"graph": "Net", "node": "x"})).error == "bad_arguments"


def test_ids_are_digits_and_no_path() -> None:
    session = session_of("toolquery/movie-0")
    for identity, error in (
        ("../person/4100", "invalid_action"),
        ("8839/credits", "invalid_action"),
        ("", "invalid_action"),
        ("٣", "invalid_action"),
        ("9" * 900, "tool_error"),
        (None, "bad_arguments"),
    ):
        assert session.act(ToolCall("get_movie_details", {"movie_id": identity})).error == error
    assert not session.act(ToolCall("get_movie_details", {"movie_id": 8839})).error, "a number is its digits"


def test_people_nobody_knows_are_an_empty_list_and_films_an_error() -> None:
    session = session_of("toolquery/movie-0")
    assert session.act(ToolCall("get_search_person", {"person_name": "Nobody"})).observation == "[]"
    assert session.act(ToolCall("get_search_movie", {"movie_name": "Nothing"})).error == "invalid_action"


def test_directors_producers_and_writers_come_first() -> None:
    others = [{"id": number, "name": "n", "job": "Editor"} for number in range(12)]
    crew = [*others, {"id": 99, "name": "d", "job": "Director"}, {"id": 0, "name": "w", "job": "Writer"}]

    class Fixed:
        def get(self, service: str, path: str, params: Any) -> Any:
            return {"crew": crew}

    listed = toolquery_movie.MovieTools(Fixed()).call("get_movie_crew", {"movie_id": "1"})["crew"]
    assert [item["id"] for item in listed] == [99, 0, 1, 2, 3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize("answer", [None, [], 3, {}, {"daily": 1}, {"results": 1}, {"results": [1]}])
def test_services_that_answer_nonsense_are_a_tool_error(answer: Any) -> None:
    class Fixed:
        def get(self, service: str, path: str, params: Any) -> Any:
            return answer

    services = Services(Fixed(), Fixed(), toolquery_academia.invented())
    environment = ToolQuery(ENVIRONMENT.items, services, "nonsense")
    for domain in ("weather", "movie"):
        session = environment.open(TASKS[f"toolquery/{domain}-3"])
        value = {"string": "2024-01-01", "number": 1.0}
        for tool in session.task.tools[:-1]:  # all but finish
            arguments = {
                name: "1" if name.endswith("_id") else value[schema["type"]]
                for name, schema in tool.parameters.items()
            }
            assert session.act(ToolCall(tool.name, arguments)).error in ("", "tool_error", "invalid_action")


def test_air_quality_is_the_hour_of_noon_and_levels_leave_no_gap() -> None:
    session = weather()
    days = {"start_date": "2024-05-01", "end_date": "2024-05-03"}
    reply = json.loads(session.act(ToolCall("get_historical_air_quality_index", PLACE | days)).observation)
    assert reply["daily"]["time"] == [f"2024-05-0{day}T12:00" for day in (1, 2, 3)]
    assert len(reply["daily"]["european_aqi_pm2_5"]) == 3
    levels = [
        session.act(ToolCall("get_air_quality_level", {"air_quality_index": index})).observation
        for index in (20, 20.5, 40, 41, 60.1, 81, 100, 101)
    ]
    words = ["good", "fair", "fair", "moderate", "poor", "very poor", "very poor", "extremely poor"]
    assert levels == words


@given(st.dates(date(2020, 1, 1), date(2029, 12, 31)), st.sampled_from(toolquery_weather.invented().cities))
@settings(max_examples=100, deadline=None)
def test_weather_is_possible(day: date, city: dict[str, Any]) -> None:
    values = toolquery_weather.weather_of(city, day)
    assert values["temperature_2m_min"] < values["temperature_2m_mean"] < values["temperature_2m_max"]
    assert min(values["rain_sum"], values["snowfall_sum"]) == 0.0 <= values["rain_sum"]
    assert values["snowfall_sum"] == 0 or values["temperature_2m_mean"] <= 1


def test_summer_is_warmer_than_winter() -> None:
    city = toolquery_weather.invented().cities[0]

    def mean(month: int) -> float:
        days = [date(2024, month, 1) + timedelta(days=index) for index in range(28)]
        found = [toolquery_weather.weather_of(city, day)["temperature_2m_mean"] for day in days]
        return sum(found) / len(found)

    assert mean(7) - mean(1) > 10


def test_distance_of_a_degree_is_111_km() -> None:
    assert toolquery_weather.distance_km((0, 0), (1, 0)) == pytest.approx(111.19, abs=0.01)
    assert toolquery_weather.distance_km((0, 0), (0, 180)) == pytest.approx(20015.09, abs=0.01)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3)
    ),
    max_leaves=4,
)
SURROGATES = st.text(alphabet=st.sampled_from("\ud800\udfff\x00\x1b\u202ea/."), max_size=8)


@given(st.sampled_from(sorted(TASKS)), st.data())
@settings(max_examples=80, deadline=None)
def test_no_call_breaks_a_session(identity: str, data: st.DataObject) -> None:
    session = session_of(identity)
    if session.task.meta["domain"] == "academia":
        session.act(ToolCall("loadPaperNet"))
    for _ in range(3):
        tool = data.draw(st.sampled_from(session.task.tools))
        arguments = {name: data.draw(VALUES | SURROGATES) for name in tool.parameters}
        arguments |= data.draw(st.dictionaries(SURROGATES, VALUES, max_size=1))
        name = data.draw(st.sampled_from([tool.name, tool.name.upper()]) | SURROGATES)
        reply = session.act(ToolCall(name, arguments))
        msgspec.json.encode(reply)  # as a run keeps it
    assert 0.0 <= session.result().progress <= 1.0


@pytest.mark.parametrize("value", ["x" * 2_000_000, ["y"] * 500_000, "9" * 5000])
def test_huge_arguments_get_short_answers(value: Any) -> None:
    for identity in ("toolquery/weather-0", "toolquery/movie-0", "toolquery/academia-0"):
        session = session_of(identity)
        for tool in session.task.tools:
            arguments = dict.fromkeys(tool.parameters, value)
            assert len(session.act(ToolCall(tool.name, arguments)).observation) < 21_000


def test_deep_answers_are_answered() -> None:
    deep: Any = 1
    for _ in range(50_000):
        deep = [deep]
    session = weather()
    assert session.act(ToolCall("finish", {"answer": deep})).done
    other = weather()
    assert other.act(ToolCall("get_latitude_longitude", {"name": deep})).error == "bad_arguments"


def record(**changes: Any) -> dict[str, Any]:
    """A task in AgentBoard's layout."""
    whole = {
        "task": "tool-query",
        "id": 4,
        "goal": "Is it warm?",
        "subgoals": ["Yes"],
        "additional_info": {
            "answer": "Yes",
            "init_config": {"current_date": "2024-05-05", "current_location": "Velmora"},
            "goal_type": 0,
            "tool": "weather",
        },
        "difficulty": "easy",
    }
    return whole | changes


def test_files_in_agentboards_layout(tmp_path: Path) -> None:
    film = record(additional_info={"answer": "Yes", "init_config": None, "goal_type": 0, "tool": "movie"})
    write_jsonl(tmp_path / "weather.jsonl", [record(), record(id=5, subgoals=["Yes", 3])])
    write_jsonl(tmp_path / "movie.jsonl", [film])
    environment = ToolQuery.from_files(tmp_path)
    names = ["toolquery/weather-4", "toolquery/weather-5", "toolquery/movie-4"]
    assert [task.id for task in environment.tasks()] == names
    first, second, _ = environment.tasks()
    session = environment.open(first)
    assert session.act(ToolCall("get_user_current_date")).error == "tool_error"
    assert environment.solution(first) == [ToolCall("finish", {"answer": "Yes"})]
    with pytest.raises(ArtifactError, match=r"weather-5.*2 subgoals"):
        environment.solution(second)
    write_jsonl(tmp_path / "test.jsonl", [film])
    assert len(ToolQuery.from_files(tmp_path).tasks()) == 1, "the whole set stands before its parts"
    assert len(ToolQuery.from_files(tmp_path / "weather.jsonl").tasks()) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": "four"}, "line 1.*id"),
        ({"subgoals": []}, "record 0.*no subgoals"),
        ({"additional_info": {"answer": 1, "tool": "todo"}}, "record 0.*'todo'"),
        ({"additional_info": {"answer": 1, "tool": "weather"}}, "current_date"),
        (
            {
                "additional_info": {
                    "answer": 1,
                    "tool": "weather",
                    "init_config": {"current_date": "today", "current_location": "x"},
                }
            },
            "'today' is not a date",
        ),
    ],
)
def test_faulty_files_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    write_jsonl(tmp_path / "test.jsonl", [record(**changes)])
    with pytest.raises(SchemaError, match=f"(?s)test.jsonl.*{message}"):
        ToolQuery.from_files(tmp_path)


def test_missing_files_and_double_ids(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"weather\.jsonl"):
        ToolQuery.from_files(tmp_path)
    with pytest.raises(ArtifactError, match=r"none\.jsonl"):
        ToolQuery.from_files(tmp_path / "none.jsonl")
    write_jsonl(tmp_path / "test.jsonl", [record(), record()])
    with pytest.raises(SchemaError, match=r"record 1.*same id"):
        ToolQuery.from_files(tmp_path)


def test_real_tasks(xlam_data: Path) -> None:
    environment = ToolQuery.from_files(xlam_data / "agentboard" / "tasks")
    assert Counter(task.meta["domain"] for task in environment.tasks()) == {
        "weather": 343,
        "movie": 238,
        "academia": 20,
    }
    unknown = []
    for task in environment.tasks():
        try:
            calls = environment.solution(task)
        except ArtifactError:
            unknown.append(task.id)
            continue
        session = environment.open(task)
        for call in calls:
            session.act(call)
        assert session.result().success, task.id
    assert len(unknown) == 2, "two tasks list both the rounded and the unrounded answer as subgoals"


def test_embedded_subgoals_are_what_the_calls_bring() -> None:
    for task in TASKS.values():
        session = ENVIRONMENT.open(task)
        for call in ENVIRONMENT.solution(task):
            session.act(call)
        loads = sum(call.name.startswith("load") for call in ENVIRONMENT.solution(task))
        assert len(session.left) - loads == len(task.meta["subgoals"])
    assert len(EMBEDDED.read_text("utf-8").splitlines()) == 60


def test_graphs_are_checked(tmp_path: Path) -> None:
    paper = Paper("A", ["x"], 2001, "v", 0, [], "Journal")
    with pytest.raises(SchemaError, match="twice"):
        Nets(Graph([paper, paper], [Author("x", "o")]))
    with pytest.raises(SchemaError, match="'A' names 'x'"):
        Nets(Graph([paper], []))
    file = tmp_path / "graph.json"
    file.write_bytes(msgspec.json.encode(Graph([paper], [Author("x", "o")])))
    assert Nets.from_file(file).papers["A"].year == 2001
    file.write_text('{"papers": 1, "authors": []}')
    with pytest.raises(SchemaError, match=r"graph\.json"):
        Nets.from_file(file)


def test_both_ways_to_ask() -> None:
    environment, asked = setting("toolquery")
    assert (environment.name, asked.name) == ("toolquery", "ReAct")
    task = environment.tasks()[0]
    system = asked.chat(task, [])[0]["content"]
    assert "finish" in system and "get_user_current_location" in system
    unified, brackets = setting("toolquery_unified", environment)
    assert unified.name == "toolquery_unified" and unified.items is environment.items
    other = setting("toolquery_unified", environment, format="xml", style="plain")[1]
    texts = [prompting.chat(task, [])[0]["content"] for prompting in (brackets, other)]
    assert texts[0] != texts[1] and all(task.goal in text for text in texts)
    thought, calls = other.read(_written(other))
    assert (thought, calls) == ("why", [ToolCall("finish", {"answer": "Eastmere"})])
    with pytest.raises(ProfileError, match="choose one of toolquery"):
        setting("toolqueries")
    with pytest.raises(ProfileError, match="choose one of brackets"):
        setting("toolquery_unified", style="loud")
    with pytest.raises(ProfileError, match="loud"):
        setting("toolquery_unified", format="loud")


def _written(prompting: Any) -> str:
    return get_format(prompting.format).render([ToolCall("finish", {"answer": "Eastmere"})], "why")


def test_other_peoples_tasks_have_no_solution_here() -> None:
    foreign = msgspec.structs.replace(TASKS["toolquery/movie-0"], id="toolquery/movie-999")
    with pytest.raises(ArtifactError, match="movie-999"):
        ENVIRONMENT.solution(foreign)


def test_arguments_are_read_as_the_published_tools_do() -> None:
    assert text_of({"id": 12}, "id") == "12"
    assert number_of({"x": " 1.5 "}, "x") == 1.5
    for wrong in (None, [], {}, "abc", "", True):
        with pytest.raises(Refused):
            number_of({"x": wrong}, "x")
    assert not ServiceError("down").lasting
