"""Equal calls: what is no fault makes no difference, and everything else does."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from xlam_lib import assets
from xlam_lib.equivalence import canonical, same_calls, stated, text_key
from xlam_lib.errors import AssetError
from xlam_lib.evaluate.official import ast_check
from xlam_lib.schema import Tool, ToolCall

TOOLS = [
    Tool(
        "book",
        "",
        {
            "room": {"type": "string", "required": True},
            "nights": {"type": "integer", "required": False, "default": 1},
            "price": {"type": "number", "required": True, "default": 5},
            "guest": {
                "type": "object",
                "required": False,
                "properties": {
                    "name": {"type": "string", "required": True},
                    "child": {"type": "boolean", "required": False, "default": False},
                },
            },
        },
    ),
    Tool("list", "", {}),
]


def book(**arguments) -> ToolCall:
    return ToolCall("book", {"room": "Blue Room", "price": 5, **arguments})


@pytest.mark.parametrize(
    "other",
    [
        book(room="blue room"),
        book(room="Blue-Room."),
        book(nights=1),
        book(nights=1.0),
        book(price=5.0),
        ToolCall("book", {"price": 5, "room": "BLUE ROOM"}),
    ],
)
def test_what_is_no_fault(other):
    assert same_calls([book(), ToolCall("list")], [ToolCall("list"), other], TOOLS)


@pytest.mark.parametrize(
    "other",
    [
        book(room="Green Room"),
        book(nights=2),
        book(nights="1"),
        book(price=True),
        book(price="5"),
        book(price=None),
        book(price=[5]),
        ToolCall("book", {"room": "Blue Room"}),  # a required argument must be stated, default or not
        ToolCall("Book", book().arguments),
        book(other=1),
    ],
)
def test_what_is_one(other):
    assert not same_calls([book()], [other], TOOLS)


def test_defaults_count_inside_objects_too():
    plain, stated_ = book(guest={"name": "Ada"}), book(guest={"name": "ada", "child": False})
    assert same_calls([plain], [stated_], TOOLS)
    assert not same_calls([plain], [book(guest={"name": "Ada", "child": True})], TOOLS)
    assert not same_calls([plain], [stated_])  # nobody says what the default is


def test_how_often_a_call_is_made_counts():
    assert not same_calls([book()], [book(), book()], TOOLS)
    assert not same_calls([], [book()], TOOLS)
    assert same_calls([], [], TOOLS)


def test_stated_arguments_are_those_beyond_the_defaults():
    assert stated(book(nights=1), TOOLS) == {"room", "price"}
    assert stated(book(nights=2), TOOLS) == {"room", "price", "nights"}
    assert stated(book(nights=1)) == {"room", "price", "nights"}


def test_a_text_of_signs_alone_is_kept():
    assert text_key("/") != text_key("*")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)
calls = st.lists(
    st.builds(ToolCall, st.sampled_from(["book", "list"]), st.dictionaries(st.text(max_size=3), values)),
    max_size=3,
)


@settings(deadline=None, max_examples=50)
@given(calls, st.randoms())
def test_any_order_is_the_same_and_keys_are_hashable(made, rng):
    shuffled = [ToolCall(c.name, dict(rng.sample(list(c.arguments.items()), len(c.arguments)))) for c in made]
    rng.shuffle(shuffled)
    assert hash(canonical(made, TOOLS)) == hash(canonical(shuffled, TOOLS))
    assert same_calls(made, shuffled, TOOLS)


@pytest.fixture(scope="module")
def benchmark() -> Path:
    try:
        return assets.benchmark()
    except AssetError as error:
        pytest.skip(f"the benchmark cannot be fetched: {error}")


texts = st.text(alphabet="aB1 ,./-_*^'\"é", max_size=6)


@settings(deadline=None, max_examples=50)
@given(texts, texts)
def test_texts_are_compared_as_the_benchmark_compares_them(benchmark, one, other):
    assume(one.strip(" ,./-_*^") and other.strip(" ,./-_*^"))  # of signs alone: there we are stricter
    schema = {"type": "dict", "properties": {"x": {"type": "string"}}, "required": ["x"]}
    document = {"name": "f", "parameters": schema}
    valid, _, _ = ast_check(
        [document], [{"f": {"x": one}}], [{"f": {"x": [other]}}], "python", "simple", benchmark
    )
    assert (text_key(one) == text_key(other)) == valid
