"""The prompt's sections and the output formats."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlam_lib.errors import ProfileError, SchemaError
from xlam_lib.formats import FORMATS, Answer, ParseError, extract_calls, find_end, get_format
from xlam_lib.prompts import SECTIONS, STYLES, examples, messages, render_prompt
from xlam_lib.schema import Example, Step, Tool, ToolCall, Trajectory

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
calls = st.lists(
    st.builds(ToolCall, texts.filter(bool), st.dictionaries(texts, values, max_size=4)), max_size=3
)


def task(**fields) -> Trajectory:
    parameters = {
        "city": {"type": "string", "description": "where", "required": True},
        "days": {"type": "integer", "required": False, "default": 3},
        "box": {"type": "object", "properties": {"required": {"type": "string", "required": False}}},
    }
    steps = [
        Step(1, "look it up", [ToolCall("forecast", {"city": "Oslo"})], "rain", "and Bergen?"),
        Step(2, "again", [ToolCall("forecast", {"city": "Bergen"})], "sun"),
        Step(3, "Rain in Oslo, sun in Bergen."),
    ]
    return Trajectory(
        "own/1",
        "own",
        tools=[Tool("forecast", "tells the weather", parameters), Tool("sell", "sells")],
        query="Is it raining in Oslo?",
        **{"steps": steps, **fields},
    )


@pytest.mark.parametrize("name", FORMATS)
@given(calls=calls, thought=texts)
def test_a_format_reads_back_what_it_writes(name, calls, thought):
    fmt = FORMATS[name]
    text = fmt.render(calls, thought)
    assert fmt.parse(text) == Answer(calls, thought if fmt.has_thought else "")
    assert fmt.parse(f"\n {text} \n").calls == calls


@given(calls=calls, thought=texts)
def test_json_answers_end_where_find_end_says(calls, thought):
    for name in ("json", "json_thought"):
        text = FORMATS[name].render(calls, thought)
        assert find_end(text) == len(text)
        assert find_end(f'say "hm": {text} and {text}') == len(text) + 10
        assert all(find_end(text[:cut]) is None for cut in range(len(text)))
        assert extract_calls(text) == calls


def test_find_end_of_what_never_ends():
    assert find_end("no bracket") is None
    assert find_end('{"a": [1}') is None
    assert find_end('["\\') is None
    assert find_end("[1] [2]") == 3


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "empty"),
        ("I cannot do that.", "not JSON"),
        ('{"tool_calls": []} Done.', "extra text.*Done"),
        ('{"tool_calls": [}', "not JSON at character 16"),
        ("[]", "is a list, expected an object"),
        ('{"calls": []}', "tool_calls: is missing"),
        ('{"tool_calls": {}}', "tool_calls: is an object, expected a list"),
        ('{"tool_calls": ["f"]}', r"tool_calls\[0\]: is a string"),
        ('{"tool_calls": [{"arguments": {}}]}', r"tool_calls\[0\].name: the call has no name"),
        ('{"tool_calls": [{"name": "", "arguments": {}}]}', "has no name"),
        ('{"tool_calls": [{"name": "f"}]}', "arguments: is missing"),
        ('{"tool_calls": [{"name": "f", "arguments": []}]}', "arguments: is a list, expected an object"),
        ('{"tool_calls": [{"name": "f", "arguments": {}, "id": 1}]}', "unknown key 'id'"),
        ('{"tool_calls": [], "tool_calls": []}', "'tool_calls' stands twice"),
        ('{"tool_calls": [{"name": "f", "arguments": {"a": 1, "a": 2}}]}', "'a' stands twice"),
        ('{"tool_calls": [{"name": "f", "arguments": {"a": NaN}}]}', "NaN"),
        ('{"tool_calls": [{"name": "f", "arguments": {"a": 1e999}}]}', "too large"),
        ('{"tool_calls": [{"name": "f", "arguments": {"a": "\\ud800"}}]}', "surrogate"),
        ('{"thought": "x", "tool_calls": []}', "unknown key 'thought'"),
        ('{"tool_calls": ' + "[" * 100_000, "nested too deeply|not JSON"),
        ('{"tool_calls": ' + "9" * 5000 + "}", "usable number"),
    ],
)
def test_the_strict_reader_says_what_is_wrong(text, fault):
    with pytest.raises(ParseError, match=f"format json: .*(?:{fault})"):
        FORMATS["json"].parse(text)


def test_thought_must_be_text():
    with pytest.raises(ParseError, match="thought: is a number, expected a string"):
        FORMATS["json_thought"].parse('{"thought": 1, "tool_calls": []}')


def test_writing_what_json_has_not_is_an_error():
    with pytest.raises(ParseError, match="cannot write"):
        FORMATS["json"].render([ToolCall("f", {"x": float("nan")})])


def test_unknown_format():
    with pytest.raises(ProfileError, match="'yml' is unknown; choose one of json"):
        get_format("yml")


@pytest.mark.parametrize(
    "text",
    [
        '{"tool_calls": [{"name": "f", "arguments": {"x": 1}}]}',
        '{"thought": "so", "tool_calls": [{"name": "f", "arguments": {"x": 1}}]}',
        '```json\n{"tool_calls": [{"name": "f", "arguments": {"x": 1}}]}\n```',
        '\n [{"name": "f", "arguments": {"x": 1}}]  ',
        '```\n{"name": "f", "arguments": {"x": 1}}```',
    ],
)
def test_the_forgiving_reader_sees_through_wrappings(text):
    assert extract_calls(text) == [ToolCall("f", {"x": 1})]


@pytest.mark.parametrize("text", ["", "No tool fits.", "{}", "3", 'I call {"name": "f", "arguments": {}}'])
def test_the_forgiving_reader_does_not_invent_calls(text):
    with pytest.raises(ParseError):
        extract_calls(text)


@pytest.mark.parametrize("style", STYLES)
def test_sections_stand_in_order_and_hold_their_content(style):
    examples_ = [Example("old query", [Step(1, "", [ToolCall("sell", {})], "sold")])]
    prompt = render_prompt(task(few_shot_examples=examples_), style, history=task().steps[:1])
    content = [
        "function calls",
        '"name": "forecast"',
        "one JSON object",
        "old query",
        "Is it raining",
        '"step_id": 1',
    ]
    places = [prompt.index(text) for text in content]
    assert places == sorted(places)
    assert 'Answer: {"tool_calls": [{"name": "sell", "arguments": {}}]}\nObservation: sold' in prompt


def test_markers_of_the_styles():
    brackets, xml, plain = (render_prompt(task(), style) for style in ("brackets", "xml", "plain"))
    assert brackets.startswith("[BEGIN OF TASK INSTRUCTION]\n")
    assert brackets.endswith("[BEGIN OF QUERY]\nIs it raining in Oslo?\n[END OF QUERY]")
    assert xml.endswith("<query>\nIs it raining in Oslo?\n</query>")
    assert plain.endswith("Query:\nIs it raining in Oslo?")
    assert len(plain) < len(xml) < len(brackets)


def test_tools_are_a_json_list_with_required_only_where_true():
    prompt = render_prompt(task())
    body = re.search(r"TOOLS\]\n(.*)\n\[END", prompt).group(1)
    tools = json.loads(body)
    assert [list(tool) for tool in tools] == [["name", "description", "parameters"]] * 2
    parameters = tools[0]["parameters"]
    assert parameters["city"]["required"] is True
    assert "required" not in parameters["days"] and parameters["days"]["default"] == 3
    # A property that happens to be called "required" is no flag.
    assert parameters["box"]["properties"] == {"required": {"type": "string"}}


def test_drawn_order_and_style_are_followed_unless_overruled():
    drawn = {"style": "xml", "sections": ["query", "tools"], "tool_fields": ["parameters", "name"]}
    prompt = render_prompt(task(meta={"prompt": drawn}))
    assert prompt.startswith("<query>") and prompt.index("<available_tools>") < prompt.index(
        "<task_instruction>"
    )
    assert '[{"parameters": {' in prompt
    overruled = render_prompt(task(meta={"prompt": drawn}), "brackets", SECTIONS)
    assert overruled.startswith("[BEGIN OF TASK INSTRUCTION]")


def test_own_instructions_win_and_another_format_brings_its_own():
    own = task(task_instruction="Do as told.", format_instruction="In JSON, please.")
    assert "Do as told." in render_prompt(own) and "In JSON, please." in render_prompt(own)
    other = render_prompt(own, format="json_thought")
    assert "In JSON, please." not in other and FORMATS["json_thought"].instruction in other
    assert FORMATS["json_thought"].instruction in render_prompt(task(meta={"format": "json_thought"}))


def test_brief_instructions_are_brief():
    """Measured with SmolLM2's tokenizer: 16 + 28 tokens for json, 20 + 34 for json_thought.

    Counted here as words and single marks, which overstates JSON's marks.
    """
    bare = Trajectory("own/2", "own", query="q")
    for name in ("json", "json_thought"):
        prompt = render_prompt(bare, "plain", length="brief", format=name)
        assert len(re.findall(r"\w+|[^\w\s]", prompt)) < 75
        fmt = FORMATS[name]
        assert fmt.parse(fmt.brief.partition(": ")[2]).calls == [ToolCall("f", {"x": 1})]
        assert fmt.parse(fmt.instruction.splitlines()[-1]).calls[0].name == "function"


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ({"style": "markdown"}, "style 'markdown' is unknown"),
        ({"order": ["steps"]}, "section 'steps' is unknown"),
        ({"order": ["query", "query"]}, "stands twice"),
        ({"length": "long"}, "length 'long' is unknown"),
        ({"format": "toml"}, "format 'toml' is unknown"),
    ],
)
def test_wrong_parameters_are_named(wrong, fault):
    with pytest.raises(ProfileError, match=fault):
        render_prompt(task(), **wrong)


def test_each_step_is_an_example_with_the_earlier_ones_as_history():
    pairs = list(examples(task(), format="json_thought"))
    assert len(pairs) == 3
    assert "HISTORY" not in pairs[0][0]
    history = json.loads(re.search(r"HISTORY STEPS\]\n(.*)\n\[END", pairs[2][0]).group(1))
    assert history == [
        {
            "step_id": index,
            "thought": thought,
            "tool_calls": [{"name": "forecast", "arguments": {"city": city}}],
            "next_observation": seen,
            "user_input": said,
        }
        for index, thought, city, seen, said in (
            (1, "look it up", "Oslo", "rain", "and Bergen?"),
            (2, "again", "Bergen", "sun", ""),
        )
    ]
    assert json.loads(pairs[2][1]) == {"thought": "Rain in Oslo, sun in Bergen.", "tool_calls": []}


def test_messages_are_the_prompt_and_the_answer():
    pairs = list(examples(task(), "plain"))
    for number, (prompt, answer) in enumerate(pairs, 1):
        expected = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
        assert messages(task(), "plain", step=number) == expected
    assert messages(task(), "plain") == messages(task(), "plain", step=3)
    assert messages(task(steps=[])) == [{"role": "user", "content": render_prompt(task(steps=[]))}]
    with pytest.raises(SchemaError, match=r"own/1.*has no step 4"):
        messages(task(), step=4)
