"""The mixture: nothing repeated, nothing lost uncounted, the same draw for the same seed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlam_lib import mixture
from xlam_lib.errors import ProfileError
from xlam_lib.formats import FORMATS
from xlam_lib.mixture import Example
from xlam_lib.schema import Step, Tool, ToolCall, Trajectory


def example(name: str, number: int, copy: int = 0, step: int = 1) -> Example:
    identity = f"{name}/{number}" + (f"~{copy}" if copy else "")
    return Example(
        f"{identity}#{step}", name, "simple", f"prompt {name} {number}", f"answer {copy} {step}", ["f"]
    )


def pool(name: str, size: int) -> list[Example]:
    return [example(name, number) for number in range(size)]


@settings(max_examples=200, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=4),
    weights=st.lists(st.floats(0, 1), min_size=4, max_size=4),
    count=st.integers(1, 100),
    seed=st.integers(0, 5),
)
def test_a_mixture_repeats_nothing_and_accounts_for_every_place(sizes, weights, count, seed):
    pools = {f"p{i}": pool(f"p{i}", size) for i, size in enumerate(sizes)}
    chosen = {name: weights[i] for i, name in enumerate(pools)}
    if not sum(chosen.values()):
        with pytest.raises(ProfileError):
            mixture.mix(pools, chosen, count, seed)
        return
    mixed = mixture.mix(pools, chosen, count, seed)
    ids = [e.id for e in mixed.examples]
    assert len(ids) == len(set(ids)) == sum(row["taken"] for row in mixed.table.values())
    for name, row in mixed.table.items():
        assert row["taken"] == sum(e.source == name for e in mixed.examples) <= row["available"]
        assert row["short"] == max(row["asked"] - row["taken"], 0)
        if not chosen[name]:
            assert row["taken"] == 0
    weighted = sum(len(pools[name]) for name, weight in chosen.items() if weight)
    assert len(ids) <= max(count, sum(row["asked"] for row in mixed.table.values()))
    assert len(ids) >= min(count, weighted) - len(pools)  # rounding of the shares
    assert mixture.mix(pools, chosen, count, seed) == mixed


def test_shares_follow_the_weights_where_the_pools_allow():
    mixed = mixture.mix({"a": pool("a", 100), "b": pool("b", 100)}, {"a": 0.5, "b": 0.5}, 60, 0)
    assert {name: row["taken"] for name, row in mixed.table.items()} == {"a": 30, "b": 30}
    assert [e.source for e in mixed.examples[:30]].count("a") not in (0, 30)  # shuffled
    short = mixture.mix({"a": pool("a", 10), "b": pool("b", 100)}, {"a": 0.5, "b": 0.5}, 60, 0)
    assert short.table["a"] == {"available": 10, "asked": 30, "taken": 10, "short": 20}
    assert short.table["b"]["taken"] == 50


def test_bad_weights_are_named():
    pools = {"a": pool("a", 3)}
    with pytest.raises(ProfileError, match="'b', but the pools are a"):
        mixture.mix(pools, {"b": 1.0}, 3, 0)
    for weights, count in (({"a": -1.0}, 3), ({"a": 0.0}, 3), ({"a": 1.0}, 0)):
        with pytest.raises(ProfileError, match="above 0"):
            mixture.mix(pools, weights, count, 0)


def test_held_out_examples_share_no_trajectory_with_the_rest():
    examples = [example("a", n, copy, step) for n in range(20) for copy in (0, 1, 2) for step in (1, 2)]
    rest, held = mixture.hold_out(examples, 24, seed=1)
    assert len(rest) + len(held) == len(examples) and 24 <= len(held) < 30
    origin = {e.id.split("#")[0].split("~")[0] for e in held}
    assert not origin & {e.id.split("#")[0].split("~")[0] for e in rest}
    assert mixture.hold_out(list(reversed(examples)), 24, seed=1)[1] == list(reversed(held))
    assert mixture.hold_out(examples, 24, seed=2)[1] != held


def test_repeated_and_long_examples_are_counted():
    kept, repeated = mixture.unique([*pool("a", 3), *pool("a", 3), example("a", 9)])
    assert (len(kept), repeated) == (4, 3)
    kept, over = mixture.fits(pool("a", 3), lambda text: 1000 if text.startswith("prompt a 1") else 1, 10)
    assert [e.id for e in kept] == ["a/0#1", "a/2#1"] and over == ["a/1#1"]


def trajectory(**changes) -> Trajectory:
    steps = [
        Step(1, "think", [ToolCall("f", {"x": 1})], "seen"),
        Step(2, "done", []),
    ]
    base = {
        "unique_trajectory_id": "own/1",
        "source": "own",
        "query": "do",
        "tools": [Tool("f")],
        "steps": steps,
    }
    return Trajectory(**(base | changes))


def test_a_trajectory_becomes_one_example_a_step():
    every = list(mixture.make_examples([trajectory()]))
    assert [e.id for e in every] == ["own/1#1", "own/1#2"]
    assert FORMATS["json"].parse(every[0].answer).calls == [ToolCall("f", {"x": 1})]
    assert "HISTORY" in every[1].prompt and "HISTORY" not in every[0].prompt
    assert [e.id for e in mixture.make_examples([trajectory()], steps="calls")] == ["own/1#1"]
    refusal = trajectory(steps=[Step(1, "", [])])  # one step without a call is an answer: nothing fits
    assert len(list(mixture.make_examples([refusal], steps="calls"))) == 1


def test_the_drawn_style_wins_over_the_default():
    drawn = trajectory(meta={"prompt": {"style": "xml"}})
    assert "<query>" in next(mixture.make_examples([drawn], style="plain")).prompt
    assert "<query>" not in next(mixture.make_examples([trajectory()], style="plain")).prompt


def test_test_splits_and_surrender_are_left_out_and_counted():
    records = [
        trajectory(),
        trajectory(meta={"split": "test"}),
        trajectory(meta={"outcome": "give_up_and_restart"}),
    ]
    kept, out = mixture.trainable(records)
    assert kept == records[:1] and out == {"test split": 1, "gave up": 1}


def test_the_card_counts_what_was_drawn():
    mixed = mixture.mix({"a": pool("a", 5)}, {"a": 1.0}, 5, 0)
    card = mixture.card(mixed, [10, 20, 30, 40, 50], note="x")
    assert card["examples"] == 5 and card["by_source"] == {"a": 5} and card["note"] == "x"
    assert card["tokens"] == {"total": 150, "p5": 10, "p50": 30, "p95": 50, "p100": 50}
