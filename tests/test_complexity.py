"""Complexity of a question is counted; accuracy by it comes in bins with intervals, and by columns."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlam_lib import paper
from xlam_lib.errors import ProfileError
from xlam_lib.evaluate import bfcl
from xlam_lib.evaluate import complexity as hard
from xlam_lib.evaluate.complexity import Complexity


def document(name: str, **properties: str) -> dict:
    shown = {key: {"type": kind, "description": key} for key, kind in properties.items()}
    return {
        "name": name,
        "description": "Of the harbour.",
        "parameters": {"type": "dict", "properties": shown, "required": list(properties)},
    }


def question(identity: str, answers: list, *functions: dict, category: str = "parallel") -> bfcl.Question:
    return bfcl.Question(
        id=identity,
        category=category,
        language="python",
        query="When does the ferry leave?",
        messages=(("user", "When does the ferry leave?"),),
        functions=list(functions),
        tools=[bfcl.to_tool(function, "python") for function in functions],
        possible_answer=answers,
    )


FERRY = document("ferry.next", pier="string", at="integer")
TIDE = document("tide", where="string", marks="array")


def test_a_question_is_counted():
    asked = question(
        "parallel_0",
        [
            {"ferry.next": {"pier": ["north"], "at": [9, 10]}},
            {"tide": {"where": ["pier"], "marks": [[[1, 2], [3]]]}},
        ],
        FERRY,
        TIDE,
    )  # fmt: skip
    found = hard.measure(asked)
    assert found == Complexity(tools=2, calls=2, arguments=4, depth=3, parameters=4)
    counted = hard.measure(asked, count_tokens=lambda text: len(text.split()))
    assert counted.prompt_tokens and counted.prompt_tokens > 20
    more = hard.measure(asked, count_tokens=lambda text: len(text.split()), style="xml")
    assert more.prompt_tokens != counted.prompt_tokens


def test_no_call_has_no_depth_and_an_empty_list_has_one():
    none = question("irrelevance_0", [], FERRY, category="irrelevance")
    assert hard.measure(none) == Complexity(tools=1, calls=0, arguments=0, depth=0, parameters=2)
    empty = question("simple_python_0", [{"tide": {"where": ["sea"], "marks": [[]]}}], TIDE)
    assert hard.measure(empty).depth == 2


@given(
    st.recursive(
        st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12
    )
)
def test_a_value_in_a_list_is_one_deeper(value):
    assert hard._depth([value]) == hard._depth({"a": value}) == hard._depth(value) + 1
    assert hard._depth(value) <= json.dumps(value).count("[") + json.dumps(value).count("{")


def verdict(identity: str, valid: bool, category: str = "multiple") -> bfcl.Verdict:
    return bfcl.Verdict(identity, category, valid, valid)


def counted(values: list[int]) -> dict[str, Complexity]:
    return {str(n): Complexity(value, 1, 1, 1, 1) for n, value in enumerate(values)}


def test_bins_hold_every_calling_question_once():
    found = counted([1, 1, 2, 3, 4, 9, 1])
    given = [verdict(str(n), n < 3) for n in range(6)] + [verdict("6", True, "irrelevance")]
    bins = hard.by_bin(found, given, "tools")
    assert [(one.label, one.rate.correct, one.rate.count) for one in bins] == [
        ("1", 2, 2), ("2", 1, 1), ("3 to 4", 0, 2), ("5 or more", 0, 1),
    ]  # fmt: skip
    assert [(one.low, one.high) for one in bins] == [(1, 1), (2, 2), (3, 4), (5, None)]
    assert hard.by_bin(found, given, "tools", edges=[3])[0].label == "1 to 3"


@given(
    st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=1),
    st.sets(st.integers(0, 12), max_size=4),
)
def test_bins_add_up_to_the_verdicts(pairs, edges):
    found = counted([value for value, _ in pairs])
    bins = hard.by_bin(
        found, [verdict(str(n), ok) for n, (_, ok) in enumerate(pairs)], "tools", sorted(edges)
    )
    assert sum(one.rate.count for one in bins) == len(pairs)
    assert sum(one.rate.correct for one in bins) == sum(ok for _, ok in pairs)
    assert [one.low for one in bins] == sorted({one.low for one in bins})
    for one in bins:
        inside = [ok for value, ok in pairs if one.low <= value and (one.high is None or value <= one.high)]
        assert (len(inside), sum(inside)) == (one.rate.count, one.rate.correct)


def test_a_finding_says_so_when_chance_could_make_it():
    found = counted([1] * 40 + [2] * 40)
    clear = hard.by_bin(found, [verdict(str(n), n < 40) for n in range(80)], "tools")
    assert hard.finding(clear, "tools") == "Tools on offer: 100% right at 1, 0% above"
    even = hard.by_bin(found, [verdict(str(n), n % 2 == 0) for n in range(80)], "tools")
    assert hard.finding(even, "tools") == "Tools on offer: 50% right at 1, 50% above (intervals overlap)"
    few = hard.by_bin(counted([1, 2]), [verdict("0", True), verdict("1", False)], "tools")
    contrast = hard.contrast(few)
    assert contrast and not contrast.apart
    alone = hard.by_bin(counted([1]), [verdict("0", True)], "tools")
    assert (
        hard.contrast(alone) is None and hard.finding(alone, "tools") == "Tools on offer: 1 in all questions"
    )
    assert hard.finding([], "tools") == "No question wants a call"


@pytest.mark.parametrize(
    ("name", "edges", "message"),
    [
        ("colour", None, "measure 'colour' is unknown; choose one of tools, calls"),
        ("tools", [3, 2], "do not rise"),
        ("prompt_tokens", None, "give measure\\(\\) a count_tokens"),
    ],
)
def test_what_cannot_be_binned_is_told(name, edges, message):
    with pytest.raises(ProfileError, match=message):
        hard.by_bin(counted([1]), [verdict("0", True)], name, edges)


def test_a_question_that_was_not_measured_is_told():
    with pytest.raises(ProfileError, match="question '7' was not measured"):
        hard.by_bin(counted([1]), [verdict("7", True)], "tools")


# ----------------------------------------------------------------------------------------- by category


def test_squares_are_read_within_their_group():
    """Pooled, more tools would look harder here only because users' questions are."""
    found = hard.squares(
        {"simple_python": (3, 4), "live_multiple": (1, 12), "irrelevance": (9, 9), "rest": (1, 2)}
    )
    assert {group: list(square) for group, square in found.items()} == {
        "the authors' questions": [hard.KINDS[0]], "users' questions (live)": [hard.KINDS[1]],
    }  # fmt: skip
    several = found["users' questions (live)"][hard.KINDS[1]]
    assert (several.correct, several.count, several.accuracy) == (1, 12, 1 / 12)
    whole = hard.squares(dict.fromkeys(bfcl.CATEGORIES, (1, 2)))
    assert all(list(square) == list(hard.KINDS) for square in whole.values()) and len(whole) == 3
    named = [name for parts in hard.GROUPS.values() for name in parts]
    assert len(named) == 12 and all(hard.is_calling(name) for name in named)


COUNTS = dict.fromkeys(bfcl.CATEGORIES, 100)


def test_effects_are_means_of_columns_and_shrink_with_the_questions():
    columns = {
        f"{way}_{part}": value
        for way in ("ast", "exec")
        for part, value in (
            ("simple", 90.0),
            ("multiple", 80.0),
            ("parallel", 60.0),
            ("parallel_multiple", 50.0),
        )
    }
    found = hard.effects(columns, COUNTS)
    assert found["tools"].points == pytest.approx(-10) and found["calls"].points == pytest.approx(-30)
    assert found["calls"].low < -30 < found["calls"].high
    wide, narrow = (
        found["calls"].high + 30,
        hard.effects(columns, dict.fromkeys(COUNTS, 400))["calls"].high + 30,
    )
    assert wide == pytest.approx(2 * narrow)
    sure = hard.effects(columns, COUNTS, dict.fromkeys(COUNTS, 100.0))["calls"]
    assert sure.low == sure.high == pytest.approx(-30)


def test_the_interval_is_that_of_drawn_questions():
    """Columns drawn again and again from questions of known chances spread as the interval says."""
    import numpy as np

    rng = np.random.default_rng(0)
    chances = {name: 40 + 3 * place for place, name in enumerate(bfcl.CATEGORIES)}
    true = {name: chance / 100 for name, chance in chances.items()}

    def columns(values):
        return {
            column: 100 * sum(w * values[part] for part, w in parts.items())
            for column, parts in bfcl.COLUMNS.items()
        }

    def draw() -> float:
        values = {name: rng.binomial(100, chance) / 100 for name, chance in true.items()}
        return hard.effects(columns(values), COUNTS)["calls"].points

    drawn = [draw() for _ in range(1500)]
    expected = hard.effects(columns(true), COUNTS, {n: float(c) for n, c in chances.items()})["calls"]
    assert np.std(drawn) == pytest.approx((expected.high - expected.low) / (2 * 1.96), rel=0.08)


def test_the_published_columns_have_their_effects():
    for row in paper.bfcl_v2_remeasured():
        shares = hard.categories_of(row)
        assert set(shares) == set(paper.BFCL_V2_COUNTS)
        sure = hard.overall_of(row, paper.BFCL_V2_COUNTS)
        assert 100 * sure.overall == pytest.approx(row.overall, abs=0.05)
        assert sure.interval[0] < sure.overall < sure.interval[1]
        found = hard.effects(row.columns, paper.BFCL_V2_COUNTS, shares)
        assert all(effect.low < effect.points < effect.high for effect in found.values())


def test_columns_of_the_benchmark_ask_what_their_names_say():
    asked = bfcl.questions()
    means = hard.column_means({one.id: hard.measure(one) for one in asked}, asked)
    assert set(means) == {f"{way}_{part}" for way in ("ast", "exec") for part in hard._DESIGN}
    for column, found in means.items():
        several_calls, several_tools = "parallel" in column, "multiple" in column
        assert (found["calls"] > 2) == several_calls and (found["calls"] == 1) != several_calls
        assert (found["tools"] > 2) == several_tools and (found["tools"] < 1.1) != several_tools
    assert hard.column_means({}, []) == {}
