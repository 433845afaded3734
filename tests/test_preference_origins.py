"""Pairs from failed branches, failed checks and planted errors: right against wrong, and all is counted."""

from __future__ import annotations

import random
from collections import Counter

import msgspec
import pytest

from xlam_lib.errors import SchemaError
from xlam_lib.formats import FORMATS, extract_calls
from xlam_lib.mixture import INSTRUCTION, make_examples
from xlam_lib.preference_origins import branch_pairs, check_pairs, planted_pairs
from xlam_lib.preference_report import report, similarity
from xlam_lib.preferences import (
    FAILED_BRANCH,
    FAILED_CHECK,
    PLANTED,
    RIGHT,
    WEAKER_MODEL,
    Pair,
    clean,
    judge,
)
from xlam_lib.schema import Reject, Step, Tool, ToolCall, Trajectory
from xlam_lib.sources import unify
from xlam_lib.synthesis import corrupt, generate, synthesize

# Failed branches ------------------------------------------------------------------------------------------

TOOLS = [
    Tool("find", "Find a ferry.", {"port": {"type": "string", "required": True}}),
    Tool("fare", "What a ferry costs.", {"ferry": {"type": "integer", "required": True}}),
    Tool(
        "Finish",
        "End.",
        {"return_type": {"type": "string", "enum": ["give_answer", "give_up_and_restart"], "required": True}},
    ),
]
DONE = ToolCall("Finish", {"return_type": "give_answer"})
GIVEN_UP = ToolCall("Finish", {"return_type": "give_up_and_restart"})


def search(*calls: ToolCall, name: str = "1", thought: str = "", **meta) -> Trajectory:
    steps = [
        Step(i, thought or f"Step {i}.", [call], f"Ferry 7 leaves Bergen at {i}.")
        for i, call in enumerate(calls, 1)
    ]
    meta = {"outcome": "give_answer", "split": "train", **meta}
    return Trajectory(
        f"ferries/{name}", "ferries", tools=TOOLS, query="What is the fare of ferry 7 from Bergen?",
        steps=steps, meta=meta,
    )  # fmt: skip


def find(port: str = "Bergen") -> ToolCall:
    return ToolCall("find", {"port": port})


FARE = ToolCall("fare", {"ferry": 7})


def branch(
    after: int, call: ToolCall, outcome: str = "give_up_and_restart", thought: str = "Perhaps."
) -> dict:
    calls = [msgspec.to_builtins(call)]
    return {"after_step": after, "thought": thought, "tool_calls": calls, "outcome": outcome}


def test_a_failed_branch_stands_against_the_step_where_it_left_the_path():
    right = search(find(), FARE, DONE, failed_branches=[branch(1, GIVEN_UP)], format="json_thought")
    (pair,), counts = branch_pairs([right])
    example = list(make_examples([right]))[1]
    assert (pair.id, pair.prompt, pair.chosen) == (example.id, example.prompt, example.answer)
    assert pair.rejected == FORMATS["json_thought"].render([GIVEN_UP], "Perhaps.")
    assert (pair.origin, pair.detail, pair.source) == (FAILED_BRANCH, "give_up_and_restart", "ferries")
    assert counts == {"wrong function": 1}


def test_what_makes_no_pair_of_a_branch_is_counted():
    branches = [
        branch(0, find("Oslo")),
        branch(0, find("bergen"), "pruned"),  # the right call but for a capital
        branch(0, FARE),  # which the right path makes next
        branch(1, GIVEN_UP, "give_answer"),
        branch(9, GIVEN_UP),
        {"after_step": 0},
    ]
    right = search(find(), FARE, DONE, failed_branches=branches, failed_branches_total=10)
    pairs, counts = branch_pairs([right])
    assert [pair.fault for pair in pairs] == ["wrong values"]
    assert counts == {
        "wrong values": 1,
        "equivalent": 1,
        "on the right path later": 1,
        "the branch answers too": 1,
        "beyond the right path": 1,
        "ill-formed branch": 1,
        "no call of its own": 4,
    }


def test_only_right_training_records_give_a_chosen_side():
    branches = [branch(0, find("Oslo"))]
    test = search(find(), DONE, failed_branches=branches, split="test")
    lost = search(find(), GIVEN_UP, failed_branches=branches, outcome="give_up_and_restart", name="2")
    wrong = search(ToolCall("fnd", {"port": "Bergen"}), DONE, failed_branches=branches, name="3")
    pairs, counts = branch_pairs([test, lost, wrong])
    # The attempt that was lost stands against the one with a misspelt tool, which is no right side either.
    assert not pairs and counts == {"test split": 1, "gave up": 1, "right side has a finding": 2}


def test_an_attempt_that_gave_up_stands_against_one_that_did_not():
    right = search(find(), FARE, DONE)
    lost = search(find(), find("Oslo"), GIVEN_UP, name="2", outcome="give_up_and_restart")
    elsewhere = msgspec.structs.replace(lost, query="Another?", unique_trajectory_id="ferries/3")
    otherwise = search(find(), GIVEN_UP, name="4", outcome="give_up_and_restart", thought="Hm.")
    held_out = search(GIVEN_UP, name="5", outcome="give_up_and_restart", split="test")
    pairs, counts = branch_pairs([lost, elsewhere, otherwise, held_out, right])
    assert [(pair.id, pair.fault) for pair in pairs] == [("ferries/1#2", "wrong function")]
    assert extract_calls(pairs[0].rejected) == [find("Oslo")]
    assert counts == {"wrong function": 1, "histories differ": 1}
    assert branch_pairs([right, search(find(), name="6", outcome="give_up_and_restart")])[1] == {
        "never parted": 1
    }


def test_real_search_trees_give_pairs(xlam_data):
    records = [r for r in unify("toolbench", xlam_data / "toolbench/answer") if isinstance(r, Trajectory)]
    pairs, counts = branch_pairs(records)
    branches = sum(record.meta.get("failed_branches_total", 0) for record in records)
    assert pairs and counts.total() == branches
    assert all(judge(pair, pair.rejected) == pair.fault for pair in pairs)


# Failed checks --------------------------------------------------------------------------------------------

QUICK = tuple(k for k in corrupt.KINDS if k not in ("time-out", "crash"))  # which take their time


@pytest.fixture(scope="module")
def broken():
    return synthesize(80, seed=3, mask=0.3, corrupt=0.5, corrupt_kinds=QUICK)


def test_a_failed_sample_stands_against_what_its_query_asks_for(broken):
    rejects = [
        msgspec.json.decode(msgspec.json.encode(r), type=Reject) for r in broken.rejected
    ]  # the file's
    pairs, counts = check_pairs(rejects, broken.verified)
    assert counts.total() == len(broken.rejected) and len(pairs) > 15
    clean_samples = {s.query: s for s in generate(80, seed=3, mask=0.3)}
    by_position = {f"synthetic/{r.position}#1": r for r in broken.rejected}
    for pair in pairs:
        assert judge(pair, pair.chosen) == RIGHT and judge(pair, pair.rejected) == pair.fault
        assert (pair.origin, pair.source) == (FAILED_CHECK, "synthetic")
        reject = by_position[pair.id]
        assert pair.detail == f"{reject.stage}: {reject.reason}"
        assert reject.record.query in pair.prompt
        # The sample as it was before the error was planted is what is chosen.
        original = clean_samples[reject.record.query]
        assert [msgspec.to_builtins(c) for c in extract_calls(pair.chosen)] == msgspec.json.decode(
            original.answer
        )["answers"]


def test_where_nothing_is_known_but_the_text_the_repaired_answer_is_checked():
    sample = next(s for s in generate(60, seed=4) if '"answers":[]' not in s.answer and s.style == "simple")
    answer = msgspec.json.decode(sample.answer)
    call = answer["answers"][0]
    wrong = {"query": sample.query, "answers": [{**call, "name": call["name"].upper()}]}
    lone = msgspec.structs.replace(sample, answer=msgspec.json.encode(wrong).decode(), slots=None)
    lost = msgspec.structs.replace(
        lone, answer='{"query": "", "answers": [{"name": "made_up", "arguments": {}}]}'
    )
    odd = msgspec.structs.replace(lone, answer="{")
    none = msgspec.structs.replace(lone, answer=" ")
    rejects = [
        Reject("synthetic", i, "undefined function invoked", "", stage, each)
        for i, (stage, each) in enumerate(
            [
                ("format", lone),
                ("format", lone),
                ("format", lost),
                ("format", odd),
                ("format", none),
                ("duplicate", lone),
            ]
        )
    ]
    pairs, counts = check_pairs(rejects)
    assert counts == {
        "undefined function": 2,
        "no verified answer": 1,
        "answer holds no calls": 1,
        "nothing answered": 1,
        "duplicate": 1,
    }
    assert extract_calls(pairs[0].chosen)[0].name == call["name"]
    assert clean(pairs)[1]["duplicate"] == 1
    with pytest.raises(SchemaError, match="is no sample"):
        check_pairs([Reject("mix", 0, "near-duplicate query", stage="mix", record={"id": "x"})])


def test_a_verified_twin_is_preferred_and_its_format_kept(broken):
    right = broken.verified[0]
    other = msgspec.structs.replace(right, meta=right.meta | {"format": "python"})
    sample = next(s for s in generate(80, seed=3, mask=0.3) if s.query == right.query)
    text = msgspec.json.encode(
        {"query": sample.query, "answers": [{"name": "made_up", "arguments": {}}]}
    ).decode()
    reject = Reject(
        "synthetic", 0, "undefined function invoked", "", "format",
        msgspec.structs.replace(sample, answer=text, slots=None),
    )  # fmt: skip
    (pair,), _ = check_pairs([reject], [other])
    assert pair.format == "python" and pair.rejected == FORMATS["python"].render([ToolCall("made_up", {})])
    assert extract_calls(pair.chosen, "python") == right.steps[0].tool_calls


# Planted errors -------------------------------------------------------------------------------------------


def test_planted_errors_are_spread_over_their_kinds(broken):
    pairs, counts = planted_pairs(broken.verified, 1)
    unused = counts["no place for an error"] + counts["right side has a finding"]
    assert counts.total() == len(broken.verified) == len({pair.id for pair in pairs}) + unused
    kinds = {pair.detail for pair in pairs}
    assert len(kinds) > 10 and kinds <= set(corrupt.KINDS)
    assert planted_pairs(broken.verified, 1) == (pairs, counts) != planted_pairs(broken.verified, 2)
    originals = {f"{t.unique_trajectory_id}#1": t for t in broken.verified}
    for pair in pairs:
        assert pair.origin == PLANTED and judge(pair, pair.rejected) == pair.fault
        assert extract_calls(pair.chosen) == originals[pair.id].steps[0].tool_calls


def test_records_of_other_sources_are_planted_too():
    records = [search(find(), FARE, DONE, name=str(i)) for i in range(8)]
    talk = Trajectory("t/1", "t", query="Hello", steps=[Step(1, "Hi")], meta={"kind": INSTRUCTION})
    pairs, counts = planted_pairs([*records, talk, search(find(), split="test")], 0)
    assert len(pairs) == 8 and counts["answer without calls"] == counts["test split"] == 1
    assert max(Counter(pair.detail for pair in pairs).values()) <= 2  # one kind after another
    assert all(judge(pair, pair.rejected) == pair.fault for pair in pairs)
    steps = {f"{r.unique_trajectory_id}#{s.step_id}": s for r in records for s in r.steps}
    assert all(extract_calls(pair.chosen) == steps[pair.id].tool_calls for pair in pairs)


def test_masked_records_are_planted_by_their_shown_names(broken):
    masked = [record for record in broken.verified if record.meta.get("masked")]
    pairs, _ = planted_pairs(masked, 0)
    assert pairs and {pair.detail for pair in pairs} <= set(corrupt.KINDS)
    assert planted_pairs(masked, 0, functions={})[0] != pairs  # what no library knows is no sample


# The report -----------------------------------------------------------------------------------------------


def test_the_report_finds_what_is_wrong_with_pairs(broken):
    good, counts = planted_pairs(broken.verified, 1)
    told = report(good, {PLANTED: counts})
    assert told.total is not None and told.total.pairs == len(good) == told.total.chosen_fits
    assert told.total.rejected_wrong == told.total.rejected_reads == len(good)
    assert told.left == {"duplicate": 0, "contradictory": 0}
    assert sum(told.by_fault.values()) == sum(told.by_source.values()) == len(good)
    assert sum(row["number"] for row in told.outcome_rows()) == len(broken.verified)

    first = good[0]
    bad = [
        msgspec.structs.replace(first, rejected=first.chosen),  # no mistake
        msgspec.structs.replace(first, chosen="oh"),
        msgspec.structs.replace(first, rejected="oh " * 200, fault="unreadable", origin=WEAKER_MODEL),
        msgspec.structs.replace(first, chosen='{"tool_calls": [{"name": "made_up", "arguments": {}}]}'),
    ]
    told = report(bad, count_tokens=lambda text: len(text.split()))
    assert told.total is not None and told.unit == "tokens"
    assert (told.total.chosen_reads, told.total.chosen_fits, told.total.rejected_reads) == (3, 2, 3)
    assert told.total.near >= 1 and told.total.far >= 1 and told.total.rejected_longer >= 1
    assert list(told.origins) == [WEAKER_MODEL, PLANTED]
    assert [row["origin"] for row in told.rows()] == [WEAKER_MODEL, PLANTED, "all"]
    assert told.left["contradictory"] > 0
    assert msgspec.json.decode(msgspec.json.encode(told), type=type(told)) == told


def test_a_report_on_nothing():
    told = report([])
    assert told.total is None and told.rows() == [] == told.outcome_rows()


def test_similarity_is_a_share():
    assert similarity("a b", "a  b") == 1.0 and similarity("a", "b") == 0.0
    assert similarity("", "") == 1.0
    rng = random.Random(0)
    for _ in range(50):
        one, two = ("".join(rng.choices("ab ,", k=9)) for _ in range(2))
        assert 0 <= similarity(one, two) <= 1
    assert Pair("x", "p", "a", "b", "no call").origin == WEAKER_MODEL  # as files of older runs have it
