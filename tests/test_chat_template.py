"""A conversation as our prompt: read from OpenAI's messages, and the same from the Jinja template."""

from __future__ import annotations

import json
import shlex
import sys
import types

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlam_lib.chat_template import (
    PARSER,
    Prompting,
    plain_chat,
    read_conversation,
    read_tools,
    render,
    template,
    vllm_command,
    write,
)
from xlam_lib.errors import ProfileError, SchemaError
from xlam_lib.prompts import messages as prompt_messages
from xlam_lib.schema import Tool, Trajectory, tool_to_openai

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "find_berth",
            "description": 'Find a berth for a boat. "Quoted", <b>bold</b> & it\'s over.',
            "parameters": {
                "type": "object",
                "properties": {
                    "boat": {
                        "type": "object",
                        "description": "The boat.",
                        "properties": {
                            "name": {"type": "string", "description": "Ihr Name, z. B. „Möwe“"},
                            "metres": {"type": "number", "minimum": 2.5},
                            "crew": {"type": "array", "items": {"type": "string"}},
                        },
                        "required": ["name", "metres"],
                    },
                    "nights": {"type": "integer", "default": 1},
                    "sides": {"type": "array", "items": {"type": "string", "enum": ["port", "starboard"]}},
                    "note": {"type": ["string", "null"], "default": None},
                },
                "required": ["boat"],
            },
        },
    },
    {
        "type": "function",
        "function": {"name": "tide.now", "parameters": {"type": "object", "properties": {}}},
    },
    {
        "type": "function",
        "function": {"name": "潮", "description": "潮汐表\nzwei Zeilen", "parameters": None},
    },
]


def call(identity: str, name: str, **arguments) -> dict:
    function = {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}
    return {"id": identity, "type": "function", "function": function}


HISTORY = [
    {"role": "system", "content": "Speak like a harbour master."},
    {"role": "user", "content": 'A berth for "Möwe", 8.5 m?'},
    {"role": "assistant", "content": None, "tool_calls": [
        call("a", "find_berth", boat={"name": "Möwe", "metres": 8.5}), call("b", "tide.now")]},
    {"role": "tool", "tool_call_id": "b", "content": "low"},
    {"role": "tool", "tool_call_id": "a", "content": '{"berth": 12}'},
    {"role": "assistant", "content": "Berth 12 is yours."},
    {"role": "user", "content": "And for two nights?"},
    {"role": "user", "content": "With breakfast, please."},
]  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer():
    from transformers import AutoTokenizer

    from xlam_lib import assets

    return AutoTokenizer.from_pretrained(str(assets.embedded_model()))


def as_engines_do(messages: list[dict]) -> list[dict]:
    """vLLM hands a template the arguments of earlier calls as objects."""
    messages = json.loads(json.dumps(messages))
    for message in messages:
        for made in message.get("tool_calls") or []:
            made["function"]["arguments"] = json.loads(made["function"]["arguments"])
    return messages


def rendered(tokenizer, messages, tools, prompting) -> str:
    text = template(tokenizer.chat_template, prompting)
    return tokenizer.apply_chat_template(
        messages, tools=tools, chat_template=text, add_generation_prompt=True, tokenize=False
    )


def expected(tokenizer, messages, tools, prompting) -> str:
    conversation = read_conversation(messages, read_tools(tools), prompting)
    return tokenizer.apply_chat_template(
        render(conversation, prompting), add_generation_prompt=True, tokenize=False
    )


def test_a_conversation_becomes_a_trajectory():
    found = read_conversation(HISTORY, read_tools(TOOLS), Prompting())
    assert found.query == 'A berth for "Möwe", 8.5 m?'
    assert found.task_instruction.endswith("call none.\nSpeak like a harbour master.")
    first, second = found.steps
    assert [made.name for made in first.tool_calls] == ["find_berth", "tide.now"]
    assert first.tool_calls[0].arguments == {"boat": {"name": "Möwe", "metres": 8.5}}
    assert (first.next_observation, first.user_input) == ('low\n{"berth": 12}', "")
    assert (second.thought, second.tool_calls) == ("Berth 12 is yours.", [])
    assert second.user_input == "And for two nights?\nWith breakfast, please."


def test_a_single_question_gives_the_prompt_that_was_trained_on():
    tool = Tool("knots", "Convert a speed.", {"speed": {"type": "number", "required": True}})
    asked = Trajectory("x/1", "x", tools=[tool], query="How fast is 12 km/h?")
    question = [{"role": "user", "content": "How fast is 12 km/h?"}]
    tools = read_tools([tool_to_openai(tool)])
    for style in ("plain", "brackets", "xml"):
        prompting = Prompting(style)
        found = render(read_conversation(question, tools, prompting), prompting)
        assert found == prompt_messages(asked, style, length="brief")


@pytest.mark.parametrize("style", ["plain", "brackets", "xml"])
@pytest.mark.parametrize("length, format", [("brief", "json"), ("full", "json"), ("brief", "json_thought")])
@pytest.mark.parametrize("end", [2, 5, 8])
def test_the_template_renders_our_prompt(tokenizer, style, length, format, end):
    prompting = Prompting(style, length, format)
    messages = HISTORY[:end]
    assert rendered(tokenizer, messages, TOOLS, prompting) == expected(tokenizer, messages, TOOLS, prompting)
    assert rendered(tokenizer, as_engines_do(messages), TOOLS, prompting) == expected(
        tokenizer, messages, TOOLS, prompting
    )


def test_without_tools_the_model_s_own_template_is_left_as_it_is(tokenizer):
    messages = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Ahoy"}, HISTORY[-1]]
    own = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    assert rendered(tokenizer, messages, None, Prompting()) == own


_TEXT = st.text(max_size=12)
_SIMPLE = st.fixed_dictionaries(
    {"type": st.sampled_from(["string", "integer", "number", "boolean"])},
    optional={
        "description": _TEXT,
        "default": st.one_of(st.integers(), _TEXT),
        "enum": st.lists(_TEXT, max_size=2),
    },
)


def _object(inner):
    named = st.dictionaries(st.text(min_size=1, max_size=6), inner, max_size=3)
    return named.flatmap(
        lambda properties: st.fixed_dictionaries(
            {
                "type": st.just("object"),
                "properties": st.just(properties),
                "required": st.lists(st.sampled_from(sorted(properties)), unique=True)
                if properties
                else st.just([]),
            }
        )
    )


_SCHEMA = st.recursive(
    _SIMPLE,
    lambda inner: st.one_of(
        _object(inner),
        st.fixed_dictionaries({"type": st.just("array"), "items": inner, "description": _TEXT}),
    ),
    max_leaves=5,
)


@settings(max_examples=40)
@given(_object(_SCHEMA), _TEXT, st.lists(_TEXT.filter(str.strip), min_size=1, max_size=3), _TEXT)
def test_any_schema_and_any_words_render_alike(tokenizer, schema, description, words, result):
    function = {"name": "f", "description": description, "parameters": schema}
    tools = [{"type": "function", "function": function}]
    messages = [{"role": "user", "content": word} for word in words]
    messages += [
        {
            "role": "assistant",
            "content": description,
            "tool_calls": [call("1", "f", x=result, y=[1, {"z": None}])],
        },
        {"role": "tool", "tool_call_id": "1", "content": result},
    ]
    assert rendered(tokenizer, messages, tools, Prompting()) == expected(
        tokenizer, messages, tools, Prompting()
    )


def test_a_conversation_in_plain_words_keeps_the_results():
    chat = plain_chat(HISTORY[:5])
    assert [message["role"] for message in chat] == ["system", "user"]
    assert chat[1]["content"].splitlines() == [
        'A berth for "Möwe", 8.5 m?', "", "Result of tide.now({}): low", "",
        'Result of find_berth({"boat": {"name": "Möwe", "metres": 8.5}}): {"berth": 12}',
    ]  # fmt: skip


USER = {"role": "user", "content": "Go"}
CALLED = {"role": "assistant", "tool_calls": [call("a", "tide.now")]}


@pytest.mark.parametrize(
    "messages, told",
    [
        ([], "hold no words of the user"),
        ([{"role": "system", "content": "x"}], "hold no words of the user"),
        ([{"role": "assistant", "content": "x"}], r"messages\[0\]: an assistant message stands before"),
        ([USER, {"role": "assistant", "content": "x"}], "end with the assistant's turn"),
        ([USER, CALLED], "the call 'a' has no result"),
        ([USER, CALLED, USER], r"messages\[2\]: the call 'a' has no result"),
        ([USER, CALLED, {"role": "tool", "tool_call_id": "z"}], "'z' is no call .*waiting are a"),
        ([USER, {"role": "tool", "tool_call_id": "z", "content": ""}], "'z' is no call"),
        ([{"role": "robot", "content": "x"}], r"messages\[0\].role: 'robot' is unknown"),
        ([{"role": "user", "content": [{"type": "image_url"}]}], "reads text only"),
        ([USER, {"role": "assistant", "tool_calls": [{"id": "a"}]}], "has no function with a name"),
        ([USER, {"role": "assistant", "tool_calls": 7}], "tool_calls: is not a list"),
        (
            [USER, {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}],
            "arguments: not JSON",
        ),
    ],
)  # fmt: skip
def test_what_is_no_conversation_is_told(messages, told):
    with pytest.raises(SchemaError, match=told):
        read_conversation(messages, [], Prompting())


def test_tools_that_are_none_are_told():
    with pytest.raises(SchemaError, match=r"tools\[0\]: is not of type 'function'"):
        read_tools([{"type": "web_search"}])
    with pytest.raises(SchemaError, match=r"tools\[1\]: tool: has no name"):
        read_tools([TOOLS[1], {"type": "function", "function": {}}])
    with pytest.raises(SchemaError, match="stands twice"):
        read_tools([TOOLS[1], TOOLS[1]])
    with pytest.raises(ProfileError, match="json_list"):
        template("", Prompting(format="json_list"))
    with pytest.raises(ProfileError, match="prompt style 'fancy' is unknown"):
        Prompting("fancy")


def test_the_files_for_vllm_and_its_command(tokenizer, tmp_path, monkeypatch):
    from xlam_lib import assets

    one, two = write(tmp_path, Prompting(), assets.embedded_model())
    assert one.read_text() == template(tokenizer.chat_template, Prompting())
    words = shlex.split(vllm_command("models/sft", tmp_path, tmp_path / "adapter"))
    assert words[:3] == ["vllm", "serve", "models/sft"]
    assert words[words.index("--chat-template") + 1] == str(one)
    assert words[words.index("--tool-parser-plugin") + 1] == str(two)
    assert words[words.index("--lora-modules") + 1] == f"own={tmp_path / 'adapter'}"

    # The reader itself, with stand-ins for the names that it takes from vLLM.
    registered = {}

    class Manager:
        @staticmethod
        def register_module(name):
            return lambda kind: registered.setdefault(name, kind)

    def module(name: str, **names) -> None:
        found = types.ModuleType(name)
        vars(found).update(names)
        monkeypatch.setitem(sys.modules, name, found)

    record = types.SimpleNamespace
    for name in ("vllm", "vllm.entrypoints", "vllm.entrypoints.openai", "vllm.entrypoints.openai.engine",
                 "vllm.tool_parsers"):  # fmt: skip
        module(name)
    module("vllm.entrypoints.openai.engine.protocol", DeltaMessage=record, FunctionCall=record,
           ExtractedToolCallInformation=record, ToolCall=record)  # fmt: skip
    module("vllm.tool_parsers.abstract_tool_parser", ToolParser=object, ToolParserManager=Manager)
    exec(compile(two.read_text(), str(two), "exec"), {"__name__": "plugin"})
    parser = registered[PARSER]()
    found = parser.extract_tool_calls('{"tool_calls": [{"name": "f", "arguments": {"ä": 1}}]}', None)
    assert found.tools_called and found.tool_calls[0].function.arguments == '{"ä": 1}'
    for text in ("words", '{"tool_calls": 1}', "[]"):
        assert parser.extract_tool_calls(text, None).content == text
