"""A test of one's own tools: apart from the training, in the benchmark's files, judged by its checker."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xlam_lib
from xlam_lib import own_test
from xlam_lib.dedup import normalise
from xlam_lib.errors import ArtifactError, ProfileError, SchemaError
from xlam_lib.evaluate import bfcl
from xlam_lib.evaluate.oracle import oracle
from xlam_lib.formats import get_format
from xlam_lib.generation import Generation
from xlam_lib.schema import Tool, ToolCall, flat_parameters
from xlam_lib.synthesis import Registry, synthesize
from xlam_lib.synthesis.grammar import parse
from xlam_lib.synthesis.importers import load

SAMPLES = Path(xlam_lib.__file__).parent / "samples" / "your_tools"


@pytest.fixture(scope="module")
def library() -> Registry:
    return load(SAMPLES / "workshop.py")


@pytest.fixture(scope="module")
def split(library) -> own_test.Split:
    return own_test.split_phrasings(library, seed=3)


@pytest.fixture(scope="module")
def trained(split):
    return synthesize(60, library=split.training, seed=3).verified


@pytest.fixture(scope="module")
def made(split, trained) -> own_test.Made:
    return own_test.make_test(split.test, 3, trained, seed=3)


def tools_of(library: Registry) -> list[Tool]:
    return [function.tool for function in library.functions.values()]


# -------------------------------------------------------------------------------------------- phrasings


def test_training_and_test_share_no_phrasing(library, split):
    assert [row["apart"] for row in split.rows] == ["phrasing"] * len(library.functions)
    for name, function in library.functions.items():
        kept, held = split.training.functions[name].asks, split.test.functions[name].asks
        assert held and {*kept, *held} == {*function.asks} and not {*kept} & {*held}
        assert len(kept) > len(held)
        near = [own_test.jaccard(one.source, two.source) for one in kept for two in held]
        assert max(near) < own_test.ALIKE
        assert {*split.training.functions[name].missing}.isdisjoint(split.test.functions[name].missing)
    again = own_test.split_phrasings(library, seed=3)
    assert again.rows == split.rows
    assert {n: f.asks for n, f in again.test.functions.items()} == {
        n: f.asks for n, f in split.test.functions.items()
    }
    other = own_test.split_phrasings(library, seed=4)
    assert any(other.test.functions[n].asks != f.asks for n, f in split.test.functions.items())


def test_few_templates_are_split_as_far_as_they_go(library):
    function = library.functions["gear_ratio"]
    alike = [parse(f"Ratio of {{chainring}} and {{sprocket}}{mark}") for mark in ("", "!", "?")]
    for asks, apart, held in ((alike, "wording", 1), (alike[:1], "no", 0)):
        small = library.subset(lambda _: True)
        small.functions = {"gear_ratio": replace(function, asks=tuple(asks))}
        found = own_test.split_phrasings(small)
        assert found.rows == [
            {"function": "gear_ratio", "templates": len(asks), "held out": held, "apart": apart}
        ]
        assert found.training.functions["gear_ratio"].asks and found.test.functions["gear_ratio"].asks
    with pytest.raises(ProfileError, match="share of phrasings: 1 is not between 0 and 1"):
        own_test.split_phrasings(library, 1)


# -------------------------------------------------------------------------------------------- questions


def test_the_questions_are_new_and_their_right_answers_pass(made, trained, tmp_path):
    counts = made.counts
    assert counts["questions"] == len(made.questions) == 15 and counts["short"] == 0
    known = {normalise(sample.query) for sample in trained}
    assert not known & {normalise(question.query) for question in made.questions}
    assert [q.category for q in made.questions] == [c for c in own_test.ASKED for _ in range(3)]
    score = bfcl.score({q.id: oracle(q) for q in made.questions}, questions=made.questions)
    assert own_test.right(score)["all"] == (15, 15)

    own_test.write(tmp_path, made.questions)
    names = sorted(path.name for path in (tmp_path / "bfcl_eval" / "data" / "possible_answer").iterdir())
    assert names == [f"BFCL_v4_{name}.json" for name in sorted(own_test.ASKED) if name != "irrelevance"]
    assert own_test.read(tmp_path) == made.questions


def test_queries_that_were_trained_on_are_left_out_and_counted(split):
    samples = synthesize(120, library=split.test, seed=500_003, irrelevant=0.2, noise=0.0, dress=0.0).verified
    samples = samples[::2]  # half of those that the test is going to be made of
    found = own_test.make_test(split.test, 3, samples, seed=3)
    assert found.counts["equal to the training's"] == len(samples)
    known = {normalise(sample.query) for sample in samples}
    assert not known & {normalise(question.query) for question in found.questions}
    shared = own_test.overlap(["A bell for Harbour", "something else"], ["a BELL, for harbour!"])
    assert (shared.equal, shared.near) == ([0], [])
    near = "please order exactly twenty inner tubes for the harbour workshop by friday"
    assert own_test.overlap([near + " now"], [near]).near == [0]


def judged(tool: Tool, right: dict, given_: dict) -> bool:
    (question,) = own_test.make_questions([("x", [ToolCall(tool.name, right)], [tool])])
    text = get_format("json").render([ToolCall(tool.name, given_)])
    return bfcl.judge(text, question).valid


NESTED = Tool(
    "ship",
    "",
    flat_parameters(
        {
            "properties": {
                "box": {
                    "type": "object",
                    "properties": {
                        "grams": {"type": "number"},
                        "label": {"type": "string", "default": "none"},
                    },
                    "required": ["grams"],
                },
                "stops": {
                    "type": "array",
                    "items": {"type": "object", "properties": {"town": {"type": "string"}}},
                },
                "weights": {"type": "array", "items": {"type": "number"}},
                "fast": {"type": "boolean", "default": False},
                "note": {"type": "string"},
            },
            "required": ["box"],
        }
    ),
)


def test_what_may_be_said_or_left_out_is_allowed_and_nothing_else():
    box = {"grams": 5.0}
    assert judged(NESTED, {"box": box}, {"box": box})
    assert judged(NESTED, {"box": box}, {"box": {"grams": 5, "label": "none"}, "fast": False})
    assert not judged(NESTED, {"box": box}, {"box": box, "fast": True})
    assert not judged(NESTED, {"box": box}, {"box": box, "note": "hello"})
    assert not judged(NESTED, {"box": box}, {"box": {"grams": 6}})
    assert not judged(NESTED, {"box": box, "fast": True}, {"box": box})
    right = {"box": box, "stops": [{"town": "Lund"}], "weights": [1.0, 2.5]}
    assert judged(NESTED, right, right)
    assert judged(NESTED, right, {**right, "weights": [1, 2.5]})
    assert not judged(NESTED, right, {**right, "weights": [1, 2]})
    assert not judged(NESTED, right, {**right, "stops": [{"town": "Bath"}]})


_VALUES = {
    "string": st.text(min_size=1, max_size=8),
    "integer": st.integers(-99, 99),
    "number": st.floats(-99, 99).map(lambda value: round(value, 2)),
    "boolean": st.booleans(),
}


@settings(max_examples=60)
@given(st.data())
def test_right_calls_of_any_simple_tool_pass(data):
    kinds = data.draw(st.lists(st.sampled_from(sorted(_VALUES)), min_size=1, max_size=4))
    parameters, arguments = {}, {}
    for number, kind in enumerate(kinds):
        listed, required = data.draw(st.booleans()), data.draw(st.booleans())
        inner = {"type": kind}
        schema = {"type": "array", "items": inner} if listed else inner
        value = st.lists(_VALUES[kind], min_size=1, max_size=3) if listed else _VALUES[kind]
        parameters[f"p{number}"] = {**schema, "required": required}
        if required or data.draw(st.booleans()):
            arguments[f"p{number}"] = data.draw(value)
    tool = Tool("f", "", parameters)
    assert judged(tool, arguments, arguments)
    (question,) = own_test.make_questions([("x", [ToolCall("f", arguments)], [tool])])
    assert question.tools == [tool]


# --------------------------------------------------------------------------------------- questions by hand


def test_the_sample_questions_are_right_about_their_tools(library):
    questions = own_test.read_written(SAMPLES / "questions.jsonl", tools_of(library))
    assert {question.category for question in questions} == set(own_test.ASKED)
    score = bfcl.score({q.id: oracle(q) for q in questions}, questions=questions)
    assert own_test.right(score)["all"] == (len(questions), len(questions))
    with library.open() as executor:
        for line in (SAMPLES / "questions.jsonl").read_text().splitlines():
            calls = [(call["name"], call["arguments"]) for call in json.loads(line)["calls"]]
            assert all(not outcome.error for outcome in executor.run(calls))


def test_separators_of_lines_within_a_string_end_no_line(library, tmp_path):
    path = tmp_path / "questions.jsonl"
    path.write_text(json.dumps({"query": "What\u2028now\u0085?", "calls": []}, ensure_ascii=False) + "\r\n")
    (question,) = own_test.read_written(path, tools_of(library))
    assert question.id


def test_every_wrong_line_is_told_at_once(library, tmp_path, trained):
    path = tmp_path / "questions.jsonl"
    lines = [
        "not JSON",
        {"query": "x", "call": []},
        {"query": "a", "calls": [{"name": "sell_bike", "arguments": {}}]},
        {"query": "b", "calls": [{"name": "gear_ratio", "arguments": {"chainring": 40}}]},
        {"query": "c", "calls": [{"name": "gear_ratio", "arguments": {"chainring": "40", "sprocket": 9}}]},
        {"query": "d", "calls": [], "tools": ["gear"]},
        {"query": "Fine?", "calls": []},
        {"query": "fine", "calls": []},
        {"query": trained[0].query, "calls": []},
    ]
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    with pytest.raises(SchemaError) as caught:
        own_test.read_written(path, tools_of(library), trained)
    told = str(caught.value).split("; line ")
    assert len(told) == 8
    expected = [
        "malformed", "unknown field `call`", "'sell_bike' is not on offer", "sprocket: is required",
        "'40' is not of type integer", "tools: 'gear' is unknown", "line 7 has it",
        "the training data have it",
    ]  # fmt: skip
    for one, words in zip(told, expected, strict=True):
        assert words in one
    path.write_text("\n")
    with pytest.raises(ArtifactError, match="holds no questions"):
        own_test.read_written(path, tools_of(library))
    with pytest.raises(ArtifactError, match=r"absent\.jsonl: cannot be read"):
        own_test.read_written(tmp_path / "absent.jsonl", [])
    with pytest.raises(ArtifactError, match="holds no BFCL_v4"):
        own_test.read(tmp_path)


# ---------------------------------------------------------------------------------- asking and comparing


class Scripted:
    """Answers with the right calls, but for the questions that it ``fails``."""

    name = "scripted"
    constrains = True

    def __init__(self, questions, fails=()) -> None:
        self.answers = {q.query: "?" if place in fails else oracle(q) for place, q in enumerate(questions)}
        self.held = 0

    def generate(self, chats, max_new_tokens, schemas=None):
        self.held += sum(schema is not None for schema in schemas or ())
        texts = [next(a for q, a in self.answers.items() if f"Query:\n{q}" in c[0]["content"]) for c in chats]
        return [Generation(text, 1, 1, "stop") for text in texts]


def test_before_and_after_are_compared_question_by_question(made):
    before = own_test.run(Scripted(made.questions, range(0, 15)), made.questions)
    backend = Scripted(made.questions, (0,))
    after = own_test.run(backend, made.questions, held=True)
    assert backend.held == 15
    # Where no call is right, an answer that cannot be read passes officially, and not by the strict rule.
    assert own_test.right(before)["all"] == (0, 15) and before.categories["irrelevance"].correct == 3
    rows = own_test.compare(before, after)
    assert [row["category"] for row in rows] == [*own_test.ASKED, "all"]
    every = rows[-1]
    assert (every["questions"], every["mended"], every["broken"]) == (15, 14, 0)
    assert every["p"] == pytest.approx(2 / 2**14)
    assert every["before"].startswith("0 (0%") and every["after"].startswith("14 (93% [70, 99])")
    rate, low, high = own_test.rates(after)["all"]
    assert rate == pytest.approx(14 / 15) and low < rate < high
    with pytest.raises(ProfileError, match="different questions"):
        own_test.compare(before, own_test.run(backend, made.questions[:5]))
