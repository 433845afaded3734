"""The release shape of synthesized data: the dialect of xlam-60k, what is left out, and the card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from xlam_lib import contamination
from xlam_lib.contamination import Benchmark
from xlam_lib.errors import ArtifactError, ProfileError
from xlam_lib.records import hash_file, read_jsonl
from xlam_lib.schema import Reject, Step, Tool, ToolCall, Trajectory
from xlam_lib.sources import unify, xlam_60k
from xlam_lib.synthesis import synthesize
from xlam_lib.synthesis.release import FILE, Release, annotation, release, tool_row

FOREIGN = Benchmark("foreign", (("q1", "Quelle heure est-il au Groenland maintenant ?"),))


def trajectory(query: str, *calls: ToolCall, tools: list[Tool] | None = None, **fields: Any) -> Trajectory:
    parameters = {"city": {"type": "string", "description": "City.", "required": True}}
    tools = [Tool("tram_times", "When trams leave.", parameters)] if tools is None else tools
    key = fields.pop("key", query)
    return Trajectory(
        f"synthetic/{key}", "synthetic", tools=tools, query=query, steps=[Step(1, "", list(calls))], **fields
    )


def call(city: str = "Graz") -> ToolCall:
    return ToolCall("tram_times", {"city": city})


def written(out: Path, samples: Any, **more: Any) -> Release:
    return release(samples, out, **{"benchmarks": [FOREIGN], **more})


def rows(out: Path) -> list[dict[str, Any]]:
    return json.loads((out / FILE).read_text(encoding="utf-8"))


def read_back(out: Path) -> list[Trajectory]:
    outcomes = list(unify("xlam_60k", out / FILE))
    assert all(isinstance(outcome, Trajectory) for outcome in outcomes), outcomes
    return [outcome for outcome in outcomes if isinstance(outcome, Trajectory)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("synthesis")
    synthesize(2000, path, seed=21, mask=0.3, noise=0.1, corrupt=0.05, corrupt_kinds=("wrong type",))
    return path


@pytest.fixture(scope="module")
def released(folder, tmp_path_factory) -> tuple[Release, Path]:
    out = tmp_path_factory.mktemp("release")
    return written(out, folder, judge="rules", command="make samples"), out


# Round trip -----------------------------------------------------------------------------------------------


def test_generated_samples_read_back_as_they_were(folder, released):
    result, out = released
    by_id = {t.unique_trajectory_id: t for t in read_jsonl(folder / "verified.jsonl", Trajectory)}
    origins = list(read_jsonl(out / "provenance.jsonl", dict[str, Any]))
    got = read_back(out)
    assert len(got) == len(origins) == result.written > 1800
    for number, (read, origin) in enumerate(zip(got, origins, strict=True)):
        original = by_id[origin["trajectory"]]
        assert (origin["id"], origin["meta"]) == (number, original.meta) and read.meta["id"] == number
        assert (read.query, read.tools) == (original.query, original.tools)
        assert read.steps[0].tool_calls == original.steps[0].tool_calls
    assert set(result.lost) == {"observation"}
    assert result.lost["observation"] == result.executed == result.written - result.irrelevant


NAMES = ("string", "integer", "number", "boolean", "null", "array", "object")
PLAIN = st.sampled_from(["string", "integer", "number", "boolean"]).map(lambda kind: {"type": kind})
SCHEMAS = st.recursive(
    st.one_of(
        PLAIN,
        st.just({}),
        st.just({"type": "null"}),
        st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map(lambda kinds: {"type": kinds}),
        st.lists(st.text(max_size=5), min_size=1).map(lambda values: {"type": "string", "enum": values}),
        st.just({"type": "string", "format": "date"}),
        st.just({"type": "string", "nullable": True}),
    ),
    lambda inner: st.one_of(
        inner.map(lambda items: {"type": "array", "items": items}),
        inner.map(lambda items: {"type": "array", "items": items, "uniqueItems": True, "minItems": 2}),
        inner.map(lambda values: {"type": "object", "additionalProperties": values}),
        st.booleans().map(lambda more: {"type": "object", "additionalProperties": more}),
        st.dictionaries(st.text("abc", min_size=1), inner.map(lambda s: s | {"required": True})).map(
            lambda properties: {"type": "object", "properties": properties}
        ),
    ),
    max_leaves=6,
)
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 5), st.floats(-5, 5), st.sampled_from(["", "3", "true", "x"]),
    st.lists(st.integers(0, 3), max_size=2), st.just({"a": 1}),
)  # fmt: skip


@st.composite
def parameter(draw: st.DrawFn) -> dict[str, Any]:
    schema = dict(draw(SCHEMAS)) | {"description": draw(st.text(max_size=8)), "required": draw(st.booleans())}
    if draw(st.booleans()):
        schema["default"] = draw(VALUES)
    return schema


PARAMETERS = st.dictionaries(st.text(max_size=5), parameter(), min_size=1, max_size=4)


def exact(value: Any) -> bytes:
    return msgspec.json.encode(value, order="deterministic")


@settings(max_examples=80, deadline=None)
@given(st.text(min_size=1, max_size=8), st.text(max_size=8), PARAMETERS)
def test_tools_read_back_up_to_what_the_dialect_cannot_say(name, description, parameters):
    (read,) = xlam_60k.tools_of(json.dumps([tool_row(Tool(name, description, parameters))]))
    assert (read.name, read.description, list(read.parameters)) == (name, description, list(parameters))
    for key, schema in parameters.items():
        got, want = dict(read.parameters[key]), dict(schema)
        assert got["required"] is want["required"]  # whatever else is lost
        kinds = want.get("type")
        if isinstance(kinds, list):
            told = set(kinds) if len(set(kinds)) == 1 else set(kinds) - {"null"}
            told -= {"integer"} if "number" in told else set()
            want["type"] = min(told) if len(told) == 1 else sorted(told)
            if told != set(kinds) - ({"integer"} if "number" in kinds else set()):
                want["nullable"] = True
        if "default" not in got:
            want.pop("default", None)
        assert exact(got) == exact(want)


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "string"}, "str"),
        ({"type": "array", "items": {"type": "array", "items": {"type": "number"}}}, "List[List[float]]"),
        ({"type": "array"}, "List"),
        ({"type": "array", "items": {"enum": [1, 2]}}, "List"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "Dict[str, int]"),
        ({"type": "object", "properties": {"a": {"type": "string", "required": True}}}, "Dict"),
        ({"type": ["string", "integer", "null"]}, "Union[str, int]"),
        ({"type": ["null", "null"]}, "None"),
        ({}, "Any"),
    ],
)
def test_annotations(schema, text):
    assert annotation(schema) == text


def test_a_parameter_in_the_dialect():
    enum = {"type": "string", "description": "Line.", "enum": ["A", "B"], "required": False, "default": "A"}
    need = {"type": "integer", "description": "Stops.", "required": True}
    null = {"type": ["string", "null"], "required": True}
    assert tool_row(Tool("f", "F.", {"line": enum, "stops": need, "via": null}))["parameters"] == {
        "line": {"description": "Line.", "type": "str, optional", "default": "A", "enum": ["A", "B"]},
        "stops": {"description": "Stops.", "type": "int"},
        "via": {"description": "", "type": "str", "nullable": True},
    }


@pytest.mark.parametrize(
    ("schema", "lost"),
    [
        ({"type": "integer", "required": True, "default": 3}, "default of a required parameter"),
        ({"type": "integer", "required": False, "default": 2.5}, "default of another type"),
        ({"type": "boolean", "required": False, "default": "true"}, "default of another type"),
        ({"type": ["string", "integer"], "required": False, "default": ""}, "default of another type"),
        ({"type": ["string", "null"], "required": True}, "null among a parameter's types"),
        ({"type": "integer", "required": False, "default": None}, None),
        ({"type": "array", "items": {"type": "string", "enum": ["a"]}}, None),
        ({"type": ["number", "string"], "description": "D"}, None),
    ],
)
def test_what_the_dialect_cannot_say_of_a_tool_is_counted(tmp_path, schema, lost):
    tools = [Tool("f", "F.", {"x": schema})]
    result = written(tmp_path, [trajectory("Do it", ToolCall("f", {}), tools=tools)])
    assert result.lost == ({lost: 1} if lost else {})


def test_what_the_dialect_cannot_say_of_a_record_is_counted(tmp_path):
    one = trajectory("  Trams in Graz? ", call(), key="1", task_instruction="Help.")
    one.steps[0] = msgspec.structs.replace(one.steps[0], thought="Look.", next_observation="[1]")
    result = written(tmp_path, [one, trajectory("Trams in Linz?", call("Linz"))])
    assert result.lost == dict.fromkeys(
        ("blanks around the query", "observation", "task or format instruction", "thought"), 1
    )
    assert rows(tmp_path)[0]["query"] == "Trams in Graz?"


# The file -------------------------------------------------------------------------------------------------


def test_four_fields_and_no_call_is_an_empty_list(released):
    _, out = released
    got = rows(out)
    assert all(list(row) == ["id", "query", "tools", "answers"] for row in got)
    assert [row["id"] for row in got] == list(range(len(got)))
    meta = [origin["meta"] for origin in read_jsonl(out / "provenance.jsonl", dict[str, Any])]
    assert {row["answers"] == "[]" for row, told in zip(got, meta, strict=True)
            if told["style"] == "irrelevant"} == {True}  # fmt: skip
    assert sum(row["answers"] == "[]" for row in got) == sum(m["style"] == "irrelevant" for m in meta) > 100


def test_datasets_reads_it(released, tmp_path):
    datasets = pytest.importorskip("datasets")
    result, out = released
    cache = str(tmp_path)
    data = datasets.load_dataset("json", data_files=str(out / FILE), split="train", cache_dir=cache)
    assert sorted(data.column_names) == ["answers", "id", "query", "tools"] and len(data) == result.written
    by_card = datasets.load_dataset(str(out), split="train", cache_dir=cache)  # the card says which file
    assert by_card.num_rows == result.written and by_card[5] == data[5]

    chats = data.map(as_chat, remove_columns=data.column_names)
    for chat, row in zip(chats, rows(out), strict=True):
        user, answer = chat["messages"]
        assert user["content"] == row["query"] and json.loads(answer["content"]) == json.loads(row["answers"])
        assert [tool["function"]["name"] for tool in json.loads(chat["tools"])] == [
            tool["name"] for tool in json.loads(row["tools"])
        ]


PYTHON = {"str": "string", "int": "integer", "float": "number", "bool": "boolean", "List": "array",
          "Dict": "object"}  # fmt: skip


def as_chat(row: dict[str, Any]) -> dict[str, Any]:
    """A row as a training script turns it into a chat, which knows the data set and not this library."""
    functions = []
    for tool in json.loads(row["tools"]):
        properties, required = {}, []
        for name, told in tool["parameters"].items():
            kind, _, optional = told["type"].partition(", ")
            properties[name] = {"type": PYTHON[kind.partition("[")[0]], "description": told["description"]}
            if optional != "optional" and "default" not in told:
                required.append(name)
        parameters = {"type": "object", "properties": properties, "required": required}
        function = {"name": tool["name"], "description": tool["description"], "parameters": parameters}
        functions.append({"type": "function", "function": function})
    calls = [{"name": one["name"], "arguments": one["arguments"]} for one in json.loads(row["answers"])]
    user, answer = {"role": "user", "content": row["query"]}, json.dumps(calls)
    return {
        "tools": json.dumps(functions),
        "messages": [user, {"role": "assistant", "content": answer}],
    }


def test_same_bytes_again_and_another_order_with_a_seed(folder, released, tmp_path):
    _, out = released
    written(tmp_path / "again", folder, judge="rules", command="make samples")
    for path in sorted(out.iterdir()):
        assert hash_file(path) == hash_file(tmp_path / "again" / path.name), path.name
    written(tmp_path / "shuffled", folder, shuffle=1)
    first, second = ([{**row, "id": 0} for row in rows(path)] for path in (out, tmp_path / "shuffled"))
    assert first != second and sorted(map(exact, first)) == sorted(map(exact, second))
    origins = list(read_jsonl(tmp_path / "shuffled" / "provenance.jsonl", dict[str, Any]))
    by_id = {t.unique_trajectory_id: t.query for t in read_jsonl(folder / "verified.jsonl", Trajectory)}
    assert [by_id[origin["trajectory"]] for origin in origins] == [row["query"] for row in second]
    assert not list(out.glob(".*"))


# What is left out -----------------------------------------------------------------------------------------


def test_everything_left_out_is_counted_by_reason_and_named(tmp_path):
    long = "Tell me please when the next tram leaves from the main square in {} today"
    samples = [
        trajectory(long.format("Graz"), call(), key="0"),
        trajectory(long.format("Graz").upper() + "!", call(), key="1"),  # the same words
        trajectory(long.format("Graz") + " now", call(), key="2"),  # nearly
        trajectory(long.format("Graz") + " now", call("Linz"), key="3"),  # but other calls
        trajectory("quelle heure est il au groenland maintenant", call(), key="4"),
        trajectory("Two steps", call(), key="5"),
        trajectory("A tool twice", call(), tools=[Tool("tram_times"), Tool("tram_times")], key="6"),
        trajectory("Too deep for JSON", ToolCall("tram_times", {"city": float("nan")}), key="7"),
        trajectory("A number for a text", ToolCall("tram_times", {"city": 8010}), key="8"),
    ]
    samples[5].steps.append(Step(2))
    result = written(tmp_path, iter(samples))
    assert (result.read, result.written) == (9, 2)
    assert result.left_out == {
        "contamination": {"same query": 1},
        "duplicate": {"near-duplicate query, same calls": 1, "same query and calls": 1},
        "release": {
            "breaks the unified format": 1,
            "calls would be read back otherwise": 1,
            "cannot be written as JSON": 1,
            "not one step": 1,
        },
    }
    rejects = list(read_jsonl(tmp_path / "left_out.jsonl", Reject))
    assert [(reject.position, reject.record["id"]) for reject in rejects] == [
        (place, f"synthetic/{place}") for place in (1, 2, 4, 5, 6, 7, 8)
    ]
    assert rejects[0].detail == rejects[1].detail == "synthetic/0"
    assert result.contamination.records == 9 and result.contamination.contaminated == 1


def test_without_a_similarity_only_the_same_words_repeat(tmp_path):
    samples = [
        trajectory("When does the next tram leave in Graz today", call(), key="0"),
        trajectory("When does the next tram leave in Graz today?", call(), key="1"),
        trajectory("When does the next tram leave in Graz, today, a", call(), key="2"),
    ]
    assert written(tmp_path / "a", samples, near_duplicates=None).left_out == {
        "duplicate": {"same query and calls": 1}
    }
    assert written(tmp_path / "b", samples).written == 1


def test_bfcl_is_the_default(tmp_path, monkeypatch):
    monkeypatch.setattr(contamination, "bfcl", lambda: Benchmark("bfcl", (("7", "Trams in Graz?"),)))
    result = release([trajectory("Trams in Graz?", call()), trajectory("In Linz?", call("Linz"))], tmp_path)
    assert result.left_out == {"contamination": {"same query": 1}} and "| bfcl |" in card(tmp_path)[1]


def test_errors_say_what_is_missing(tmp_path):
    with pytest.raises(ArtifactError, match=r"verified\.jsonl: no such file"):
        written(tmp_path / "out", tmp_path)
    with pytest.raises(ArtifactError, match="nothing to write; no sample was given"):
        written(tmp_path / "out", [])
    with pytest.raises(ArtifactError, match=r"none stays \(same query: 1\)"):
        written(tmp_path / "out", [trajectory(FOREIGN.queries[0][1], call())])
    with pytest.raises(ProfileError, match="at least one"):
        written(tmp_path / "out", [], benchmarks=[])
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="cannot be written"):
        written(tmp_path / "file", [trajectory("Trams in Graz?", call())])


# The card -------------------------------------------------------------------------------------------------


def card(out: Path) -> tuple[dict[str, Any], str]:
    _, front, text = (out / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(front), text


def test_the_card_tells_what_was_counted(folder, released):
    result, out = released
    front, text = card(out)
    assert front["license"] == "apache-2.0" and front["language"] == ["en"]
    assert front["size_categories"] == ["1K<n<10K"]
    assert front["configs"][0]["data_files"] == [{"split": "train", "path": FILE}]
    assert f"| without calls (irrelevant) | {result.irrelevant} |" in text
    assert f"| with masked tools (names changed) | {result.masked} |" in text and result.masked > 400
    assert f"| with noisy prose (misspelled or lower case) | {result.noisy} |" in text and result.noisy > 100
    assert "Judge: rules." in text and "make samples" in text and "| foreign | 1 |" in text
    assert f"{result.apis} different functions are on offer" in text and result.asked <= result.apis
    funnel = json.loads((folder / "funnel.json").read_text())
    for row in funnel["rows"]:
        assert f"| {row['style']} | {row['asked']:,} | {row['fail_format']:,} |" in text
    assert "| format |" in text  # why samples failed
    for style, told in result.styles.items():
        assert style in text and sum(told.values()) > 0
    assert sum(sum(told.values()) for told in result.styles.values()) == result.written
    shown = json.loads(text.split("````json\n")[1].split("````")[0])
    assert shown in rows(out) and shown["answers"] != "[]"


def test_the_card_claims_nothing_that_is_not_known(tmp_path):
    named = trajectory("Trams in Graz?", call(), meta={"generator": "a|model"})
    written(tmp_path, [named], name="Trams", licence="Own terms")
    front, text = card(tmp_path)
    assert (front["pretty_name"], front["license"], front["license_name"]) == ("Trams", "other", "Own terms")
    assert "\n# Trams\n" in text and "The licence is Own terms" in text
    assert r"| a\|model | 1 | 100.0% |" in text and "names no generator" not in text
    assert "Judge: not recorded." in text and "The command was not recorded." in text
    assert "How many samples failed each check was not recorded." in text
    assert "with such results: 0." in text and "60,000" not in text
