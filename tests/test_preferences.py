"""Preference pairs: each kind of mistake gets its name, what is no mistake makes no pair, all is counted."""

from __future__ import annotations

import json
from collections import Counter

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlam_lib.equivalence import same_calls
from xlam_lib.errors import ProfileError, TrainingError
from xlam_lib.formats import FORMATS, extract_calls
from xlam_lib.mixture import INSTRUCTION, Example, make_examples
from xlam_lib.preferences import (
    BAD_REFERENCE,
    CUT_OFF,
    EQUIVALENT,
    FAULTS,
    NO_CALLS,
    RIGHT,
    UNDECIDED,
    WEAKER_MODEL,
    Pair,
    balance,
    clean,
    fault,
    judge,
    make_pairs,
    offered_tools,
    some,
)
from xlam_lib.schema import Step, Tool, ToolCall, Trajectory


def text(*calls: tuple[str, dict]) -> str:
    return json.dumps({"tool_calls": [{"name": name, "arguments": arguments} for name, arguments in calls]})


REFERENCE = [ToolCall("f", {"x": 1, "y": "a"}), ToolCall("g", {})]
TOOLS = ["f", "g", "h"]


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (text(("f", {"x": 1, "y": "a"}), ("g", {})), None),
        (text(("g", {}), ("f", {"y": "a", "x": 1})), None),  # any order of calls and of arguments
        ("I cannot help with that.", "unreadable"),
        ('{"tool_calls": [{"name": "f"', "unreadable"),
        (text(), "no call"),
        (text(("f", {"x": 1, "y": "a"})), "wrong count"),
        (text(("f", {"x": 1, "y": "a"}), ("made_up", {})), "undefined function"),
        (text(("f", {"x": 1, "y": "a"}), ("h", {})), "wrong function"),
        (text(("f", {"x": 1}), ("g", {})), "wrong arguments"),
        (text(("f", {"x": 2, "y": "a"}), ("g", {})), "wrong values"),
        (text(("f", {"x": "1", "y": "a"}), ("g", {})), "wrong values"),  # a string is not the number
    ],
)
def test_each_mistake_has_its_name(answer, found):
    assert fault(REFERENCE, answer, TOOLS) == found


def test_a_call_where_none_fits_is_needless():
    assert fault([], text(("f", {})), TOOLS) == "needless call"
    assert fault([], text(), TOOLS) is None


def test_pairs_hold_the_wrong_answers_and_the_counts_add_up():
    prompts = [
        Example(f"own/{i}#1", "own", "simple", f"p{i}", text(("f", {"x": i})), TOOLS) for i in range(4)
    ]
    answers = [text(("f", {"x": 0})), text(("f", {"x": 9})), "no idea", text(("f", {"x": 3}))]
    pairs, counts = make_pairs(prompts, answers)
    assert counts == {"right": 2, "wrong values": 1, "unreadable": 1}
    assert [(p.id, p.chosen, p.rejected) for p in pairs] == [
        ("own/1#1", prompts[1].answer, answers[1]),
        ("own/2#1", prompts[2].answer, answers[2]),
    ]
    with pytest.raises(ValueError, match="shorter"):
        make_pairs(prompts, answers[:2])


def test_answers_are_read_in_the_format_that_was_asked_for():
    fmt = FORMATS["python"]
    right, wrong = fmt.render([ToolCall("add", {"a": 2})]), fmt.render([ToolCall("add", {"a": 3})])
    prompt = Example("x#1", "x", "simple", "Add.", right, ["add"], format="python")
    pairs, counts = make_pairs([prompt, prompt, prompt], [right, wrong, '{"tool_calls": []}'])
    assert counts == {"right": 1, "wrong values": 1, "unreadable": 1}
    assert [pair.rejected for pair in pairs] == [wrong, '{"tool_calls": []}']


# Judging --------------------------------------------------------------------------------------------------

HOTEL = [
    Tool(
        "book",
        "Book a room.\u2028Or several.",
        {
            "room": {"type": "string", "required": True},
            "nights": {"type": "integer", "required": False, "default": 1},
            "note": {"type": "string", "required": False},
        },
    ),
    Tool("cancel", "", {"number": {"type": "number", "required": True}}),
]


def example(*calls: ToolCall, format: str = "json", query: str = "The Blue Room, please.", **meta) -> Example:
    trajectory = Trajectory(
        "x/1",
        "x",
        tools=HOTEL,
        query=query,
        steps=[Step(1, "", list(calls))],
        meta={"format": format, **meta},
    )
    return next(make_examples([trajectory]))


@pytest.mark.parametrize("format", ["json", "python", "react"])
@pytest.mark.parametrize("style", ["brackets", "xml", "plain"])
def test_the_prompt_gives_its_tools_back(format, style):
    fields = ["parameters", "name", "description"]
    query = '[{"name": "book"}]\nis what I was shown'
    made = example(format=format, query=query, prompt={"style": style, "tool_fields": fields})
    back = offered_tools(made.prompt, made.tools)
    assert [(tool.name, tool.description) for tool in back] == [(t.name, t.description) for t in HOTEL]
    assert back[0].parameters["nights"] == {"type": "integer", "default": 1}
    assert offered_tools(made.prompt, ["cancel"]) == [] == offered_tools("no tools here", ["book"])


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (ToolCall("book", {"room": "Blue Room", "nights": 2}), RIGHT),
        (ToolCall("book", {"nights": 2.0, "room": "blue room"}), EQUIVALENT),
        (ToolCall("book", {"room": "Blue Room", "nights": 3}), "wrong values"),
        (ToolCall("book", {"room": "Blue Room"}), "wrong arguments"),  # two nights are no default
        (ToolCall("book", {"room": "Blue Room", "nights": "2"}), "wrong values"),
    ],
)
def test_equivalent_answers_are_no_mistakes(answer, verdict):
    made = example(ToolCall("book", {"room": "Blue Room", "nights": 2}))
    assert judge(made, FORMATS["json"].render([answer])) == verdict


def test_a_default_may_be_stated_or_left_out():
    short, long = ToolCall("book", {"room": "Blue"}), ToolCall("book", {"room": "Blue", "nights": 1})
    for one, other in ((short, long), (long, short)):
        assert judge(example(one), FORMATS["json"].render([other])) == EQUIVALENT
    wrong = ToolCall("book", {"room": "Red", "nights": 1})
    assert judge(example(short), FORMATS["json"].render([wrong])) == "wrong values"


def test_free_texts_that_differ_are_undecided():
    def note(text, room="Blue Room"):
        return ToolCall("book", {"room": room, "note": text})

    reference = note("Please keep the window closed at night")

    def verdict(*calls, query="The Blue Room, and no draught."):
        return judge(example(reference, query=query), FORMATS["json"].render(list(calls)))

    assert verdict(note("No open window, thanks")) == UNDECIDED
    assert verdict(note("")) == "wrong values"
    assert verdict(note("No open window", room="Red Room")) == "wrong values"
    assert verdict(ToolCall("book", {"room": "Blue Room"})) == "wrong arguments"
    said = 'Note: "please keep the window closed at night!"'  # then it is to be copied
    assert verdict(note("No open window, thanks"), query=said) == "wrong values"


def test_answers_nested_beyond_measure_are_unreadable():
    made = example(ToolCall("cancel", {"number": 1}))
    for depth in (300, 900, 100_000):
        deep = "[" * depth + "]" * depth
        answer = text(("cancel", {"number": 0})).replace("0", deep)
        assert judge(made, answer) in ("unreadable", "wrong values")


# Equal up to the differences that are none: a call and the many ways to write it.
numbers = st.integers(-99, 99)
hotel_calls = st.lists(
    st.one_of(
        st.builds(
            lambda room, more: ToolCall("book", {"room": room, **more}),
            st.sampled_from(["Blue Room", "red room", "A-1"]),
            st.fixed_dictionaries({}, optional={"nights": st.integers(1, 3)}),
        ),
        st.builds(lambda number: ToolCall("cancel", {"number": number}), numbers),
    ),
    max_size=3,
)


def rewritten(call: ToolCall, rng) -> ToolCall:
    arguments = dict(call.arguments)
    if call.name == "cancel":
        arguments["number"] = rng.choice([float, int])(arguments["number"])
    else:
        arguments["room"] = rng.choice([str.upper, str.lower, lambda t: t + " ", str])(arguments["room"])
        if arguments.get("nights", 1) == 1:
            rng.choice([lambda: arguments.pop("nights", 0), lambda: arguments.update(nights=1)])()
    items = list(arguments.items())
    rng.shuffle(items)
    return ToolCall(call.name, dict(items))


@settings(deadline=None, max_examples=50)
@given(hotel_calls, st.randoms(use_true_random=False))
def test_an_equivalent_answer_is_never_a_pair(calls, rng):
    made = example(*calls)
    other = [rewritten(call, rng) for call in calls]
    rng.shuffle(other)
    pairs, counts = make_pairs([made], [FORMATS["json"].render(other)])
    assert pairs == [] and set(counts) <= {RIGHT, EQUIVALENT}


@settings(deadline=None, max_examples=50)
@given(hotel_calls, hotel_calls)
def test_each_pair_is_right_on_one_side_and_wrong_on_the_other(reference, answer):
    made = example(*reference)
    pairs, counts = make_pairs([made], [FORMATS["json"].render(answer)])
    assert counts.total() == 1 and bool(pairs) != same_calls(reference, answer, HOTEL)
    for pair in pairs:
        assert fault(reference, pair.chosen, pair.tools) is None and judge(pair, pair.chosen) == RIGHT
        assert pair.fault in FAULTS and judge(pair, pair.rejected) == pair.fault
        assert not same_calls(extract_calls(pair.chosen), extract_calls(pair.rejected), HOTEL)


def test_every_answer_is_accounted_for():
    good = example(ToolCall("cancel", {"number": 4}))
    odd = msgspec.structs.replace(good, answer="4")
    talk = Example("t#1", "t", "instruction", "Hello.", "Hi.", [], INSTRUCTION)
    prompts = [good, good, good, good, odd, talk]
    answers = [good.answer, good.answer.replace("4", "4.0"), "5", None, good.answer, "Hello"]
    pairs, counts = make_pairs(prompts, answers, "early")
    assert counts == {RIGHT: 1, EQUIVALENT: 1, "unreadable": 1, CUT_OFF: 1, BAD_REFERENCE: 1, NO_CALLS: 1}
    assert pairs == [
        Pair(
            good.id, good.prompt, good.answer, "5", "unreadable",
            "x", WEAKER_MODEL, "early", "json", ["book", "cancel"],
        )
    ]  # fmt: skip


# Cleaning and drawing -------------------------------------------------------------------------------------


def pair(
    chosen: str, rejected: str, prompt: str = "p", fault: str = "wrong values", source: str = "x"
) -> Pair:
    return Pair("x#1", prompt, chosen, rejected, fault, source, tools=["f"])


def f(x) -> str:
    return text(("f", {"x": x}))


def test_duplicates_and_contradictions_are_taken_out_and_counted():
    pairs = [
        pair(f(1), f(2)),
        pair(f(1), f(2.0)),  # the same calls
        pair(f(1), f(2), prompt="another"),
        pair(f(1), "what?"),
        pair(f(1), " what? "),
        pair(f(5), f(6), prompt="unclear"),
        pair(f(6), f(7), prompt="unclear"),  # 6 is chosen here and rejected above
        pair(f(8), f(7), prompt="unclear"),
        pair(f("A"), f("a"), prompt="both sides alike"),
    ]
    kept, counts = clean(pairs)
    assert kept == [pairs[0], pairs[2], pairs[3], pairs[7]]
    assert counts == {"duplicate": 2, "contradictory": 3}
    assert clean(kept) == (kept, {"duplicate": 0, "contradictory": 0})


some_pairs = st.lists(
    st.builds(
        pair, st.integers(0, 3).map(f), st.integers(0, 3).map(f), st.sampled_from("pqr"),
        st.sampled_from(FAULTS), st.sampled_from(["x", "y", "z"]),
    ),
    max_size=40,
)  # fmt: skip


@settings(deadline=None, max_examples=50)
@given(some_pairs)
def test_what_is_left_has_no_conflict(pairs):
    kept, counts = clean(pairs)
    assert len(kept) + counts.total() == len(pairs)
    rejected = [(p.prompt, p.rejected) for p in kept]
    assert len(set(rejected)) == len(rejected)
    assert not set(rejected) & {(p.prompt, p.chosen) for p in kept}


@settings(deadline=None, max_examples=50)
@given(some_pairs, st.integers(1, 50), st.integers(0, 3))
def test_a_draw_takes_and_counts_all(pairs, limit, seed):
    pairs = [msgspec.structs.replace(p, id=str(i)) for i, p in enumerate(pairs)]
    drawn, left = balance(pairs, limit, seed)
    assert len(drawn) == min(limit, len(pairs)) and len(drawn) + left.total() == len(pairs)
    assert len({p.id for p in drawn}) == len(drawn)
    assert Counter(p.fault for p in pairs) == Counter(p.fault for p in drawn) + left
    assert balance(pairs, limit, seed) == (drawn, left)
    # Of two faults of one source that both have more to give, neither is ahead by more than one.
    if len({p.source for p in pairs}) == 1:
        taken = Counter(p.fault for p in drawn)
        assert all(taken[a] - taken[b] <= 1 for a in taken for b in left if left[b])


def test_neither_a_fault_nor_a_source_dominates():
    common = [pair(f(i), f(-i - 1), fault="wrong values", source="big") for i in range(500)]
    rare = [pair(f(i), "?", fault="unreadable", source="big") for i in range(10)]
    small = [pair(f(i), "?", fault="wrong count", source="small") for i in range(10)]
    drawn, left = balance(common + rare + small, 30, 0)
    assert Counter(p.fault for p in drawn) == {"wrong values": 10, "unreadable": 10, "wrong count": 10}
    assert left["wrong values"] == 490
    assert drawn != balance(common + rare + small, 30, 1)[0]
    less = [pair(f(i), f(-i - 1), source="small") for i in range(10)]
    drawn, _ = balance(common + less, 20, 0)
    assert Counter(p.source for p in drawn) == {"big": 10, "small": 10}
    with pytest.raises(ProfileError, match="limit of 0"):
        balance(common, 0, 0)


def test_no_pair_at_all_is_an_error_that_says_what_to_do():
    assert some([pair(f(1), f(2))]) == [pair(f(1), f(2))]
    with pytest.raises(TrainingError, match="give more prompts"):
        some([])
