"""Generator, masking, checks and pipeline."""

from __future__ import annotations

import itertools
import subprocess
import sys

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlam_lib.errors import ProfileError
from xlam_lib.records import hash_file, read_jsonl
from xlam_lib.schema import Reject, Tool, Trajectory, validate
from xlam_lib.synthesis import (
    CATEGORIES,
    FUNCTIONS,
    STYLES,
    TOOLS,
    Limits,
    Pool,
    Sample,
    execution_check,
    format_check,
    generate,
    grounded,
    semantic_check,
    synthesize,
)
from xlam_lib.synthesis.checks import executable_calls, parse_answer
from xlam_lib.synthesis.corrupt import EXPECTED
from xlam_lib.synthesis.registry import arguments_fault
from xlam_lib.synthesis.sampler import MISSING, NO_TOOL, VAGUE


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return list(generate(900, seed=11, mask=0.4, irrelevant=0.2))


def test_styles_have_their_shape(samples):
    for sample in samples:
        calls = parse_answer(sample.answer)
        names = {call.name for call in calls}
        shown = {tool.name for tool in sample.tools}
        assert len(shown) == len(sample.tools) and names <= shown
        if sample.style == "simple":
            assert (len(calls), len(shown)) == (1, 1)
        elif sample.style == "multiple":
            assert len(calls) == 1 and 2 <= len(shown) <= 5
        elif sample.style == "parallel":
            assert 2 <= len(calls) <= 4 and len(shown) == 1
            assert len({msgspec.json.encode(call) for call in calls}) == len(calls)
        elif sample.style == "parallel_multiple":
            assert 2 <= len(calls) <= 4 and len(names) >= 2 and len(shown) <= 5
        else:
            assert calls == [] and shown and sample.note in (NO_TOOL, MISSING, VAGUE)
    assert {sample.style for sample in samples} == set(STYLES)


def test_categories_are_balanced():
    drawn = [sample.category for sample in generate(len(CATEGORIES) * 20, seed=3)]
    assert all(drawn.count(category) == 20 for category in CATEGORIES)


def test_an_index_alone_decides_a_sample():
    whole = list(generate(60, seed=5, mask=0.3))
    assert list(generate(20, seed=5, mask=0.3, start=40)) == whole[40:]
    assert list(generate(60, seed=6, mask=0.3)) != whole


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["simple", "multiple", "parallel", "parallel_multiple"]))
def test_answers_fit_the_shown_tools_and_map_back(seed, style):
    for sample in generate(5, seed=seed, styles={style: 1}, irrelevant=0.1, mask=0.7, noise=0.5):
        assert format_check(sample) is None
        assert semantic_check(sample) is None
        for name, arguments in executable_calls(sample):
            assert arguments_fault(arguments, FUNCTIONS[name].tool.parameters, name) is None
        for tool in sample.tools:
            real = FUNCTIONS[sample.names.get(tool.name, tool.name)].tool
            back = sample.parameters.get(tool.name, {name: name for name in real.parameters})
            assert [back[name] for name in tool.parameters] == list(real.parameters)
            for name, schema in tool.parameters.items():
                assert schema["type"] == real.parameters[back[name]]["type"]
                assert schema["required"] == real.parameters[back[name]]["required"]


def test_masking_renames_consistently(samples):
    masked = [sample for sample in samples if sample.masked]
    assert {sample.masked for sample in masked} == {"style", "neutral"}
    for sample in masked:
        if sample.masked == "neutral":
            assert not {tool.name for tool in sample.tools} & set(TOOLS)
        assert sorted(sample.names.values()) == sorted(set(sample.names.values()))
    assert not any(sample.names for sample in samples if not sample.masked)


def test_irrelevant_queries_cannot_be_answered(samples):
    notes = set()
    for sample in samples:
        if sample.style != "irrelevant":
            continue
        notes.add(sample.note)
        asked = FUNCTIONS[sample.functions[0]]
        offered = {sample.names.get(tool.name, tool.name) for tool in sample.tools}
        assert (asked.name in offered) is (sample.note != NO_TOOL)
        assert not asked.kin or asked.kin not in {FUNCTIONS[name].kin for name in offered - {asked.name}}
    assert notes == {NO_TOOL, MISSING, VAGUE}


def test_noise_leaves_the_values_alone():
    changed = 0
    for clean, noisy in zip(generate(300, seed=2, noise=0.0), generate(300, seed=2, noise=1.0), strict=True):
        assert clean.style == noisy.style and parse_answer(clean.answer) == parse_answer(noisy.answer)
        assert all(slot.text in noisy.query for slot in noisy.slots or [])
        changed += clean.query != noisy.query
    assert changed > 250


@pytest.mark.parametrize("kind", sorted(EXPECTED))
def test_planted_errors_are_found_by_the_right_check(kind):
    settings = {"irrelevant": 0.5 if kind == "needless call" else 0.0, "mask": 0.3}
    slow = kind in ("time-out", "crash")
    source = generate(12 if slow else 120, seed=4, corrupt=1.0, corrupt_kinds=(kind,), **settings)
    planted = [sample for sample in source if sample.planted]
    planted = planted[: 3 if slow else None]
    assert len(planted) >= 3
    result = synthesize(len(planted), samples=planted, limits=Limits(seconds=0.3) if slow else None)
    assert result.funnel.total.verified == 0
    found = [reject for reject in result.rejected if reject.stage == EXPECTED[kind]]
    others = [reject for reject in result.rejected if reject.stage != EXPECTED[kind]]
    if EXPECTED[kind] == "semantic":
        # Some functions refuse a wrong value, and execution comes first.
        assert len(found) > 4 * len(others) and {r.reason for r in others} <= {"run-time error"}
    else:
        assert not others, [(r.stage, r.reason, r.detail) for r in others][:5]


def test_everything_asked_for_is_accounted_for():
    result = synthesize(
        400, seed=9, corrupt=0.3, corrupt_kinds=tuple(k for k in EXPECTED if k not in ("time-out", "crash"))
    )
    total = result.funnel.total
    assert total.asked == 400 == total.verified + len(result.rejected)
    assert total.verified == len(result.verified)
    assert total.fail_format and total.fail_execution and total.fail_semantic
    for row in result.funnel.rows():
        ended = sum(
            row[k] for k in ("fail_format", "fail_execution", "fail_semantic", "duplicate", "verified")
        )
        assert ended == row["asked"]
        assert row["pass_rate"] == pytest.approx(row["verified"] / row["asked"])
    assert sum(n for told in result.funnel.reasons.values() for n in told.values()) == len(result.rejected)
    assert all(not sample.planted for sample in _samples_of(result.verified))


def _samples_of(verified: list[Trajectory]) -> list[Sample]:
    wanted = {int(t.unique_trajectory_id.split("/")[1]) for t in verified}
    kinds = tuple(k for k in EXPECTED if k not in ("time-out", "crash"))
    return [s for s in generate(400, seed=9, corrupt=0.3, corrupt_kinds=kinds) if s.index in wanted]


def test_same_bytes_for_one_worker_and_two(tmp_path):
    for workers in (1, 2):
        synthesize(400, tmp_path / str(workers), seed=1, workers=workers, mask=0.2, corrupt=0.1,
                   corrupt_kinds=("bad value", "wrong type", "wrong value"))  # fmt: skip
    names = ("verified.jsonl", "rejected.jsonl", "funnel.json")
    assert [hash_file(tmp_path / "1" / n) for n in names] == [hash_file(tmp_path / "2" / n) for n in names]
    trajectories = list(read_jsonl(tmp_path / "1" / "verified.jsonl", Trajectory))
    rejects = list(read_jsonl(tmp_path / "1" / "rejected.jsonl", Reject))
    assert len(trajectories) + len(rejects) == 400
    assert len({t.query for t in trajectories}) == len(trajectories)
    for trajectory in trajectories:
        assert list(validate(trajectory)) == []
        step = trajectory.steps[0]
        if step.tool_calls:
            assert len(msgspec.json.decode(step.next_observation)) == len(step.tool_calls)
        else:
            assert trajectory.meta["style"] == "irrelevant" and step.next_observation == ""


def test_repeated_queries_are_rejected_and_counted():
    sample = next(iter(generate(1, seed=1, irrelevant=0.0)))
    result = synthesize(3, samples=itertools.repeat(sample))
    assert (result.funnel.total.verified, result.funnel.total.duplicate) == (1, 2)
    assert [reject.reason for reject in result.rejected] == ["query asked before"] * 2


def test_answers_of_a_model_are_checked_without_slots():
    tool = TOOLS["get_weather_outlook"]

    def sample(answers: str, query: str = "Weather in Oslo for 3 days?") -> Sample:
        return Sample(0, "simple", "Environment", [tool.name], query, [tool], answers)

    call = '{"name": "get_weather_outlook", "arguments": {"city": "Oslo", "days": 3}}'
    good = '{"query": "q", "answers": [' + call + "]}"
    with Pool() as pool:
        assert (
            format_check(sample(good)),
            execution_check(sample(good), pool),
            semantic_check(sample(good)),
        ) == (
            None,
            None,
            None,
        )
    assert semantic_check(sample(good.replace("3", "5"))).reason == "value not said in the query"
    assert semantic_check(sample(good.replace("Oslo", "Rome"))).stage == "semantic"
    assert semantic_check(sample('{"answers": []}')).reason == "number of calls disagrees with the query"
    assert format_check(sample("sorry, no")).reason == "answer is not JSON"
    assert format_check(sample('{"calls": []}')).reason == "answer is not a list of calls"
    assert format_check(sample(good), [Tool("other")]).reason == "undefined function invoked"


@pytest.mark.parametrize(
    ("value", "query", "found"),
    [
        (1500, "pay $1,500 now", True),
        (0.075, "at 7.5% a year", True),
        (2_500_000, "worth $2.5 million", True),
        (7, "seven days", True),
        (8, "seven days", False),
        ("15:30", "at 3:30 PM", True),
        ("2025-03-09", "on March 9th, 2025", True),
        ("2025-03-09", "on March 8th, 2025", False),
        (["a b", "c"], "A-B and c", True),
        ({"x": 4}, "x is 5", False),
        (True, "whatever", True),
        ("Oslo", "rome", False),
    ],
)  # fmt: skip
def test_grounding_rule(value, query, found):
    assert grounded(value, query) is found


@pytest.mark.parametrize(
    "settings",
    [{"styles": {"odd": 1}}, {"irrelevant": 2}, {"corrupt_kinds": ("odd",)}, {"styles": {"simple": 0}}],
)
def test_settings_out_of_range_are_named(settings):
    with pytest.raises(ProfileError):
        next(iter(generate(1, **settings)))


def test_import_is_cheap():
    code = (
        "import sys, xlam_lib.synthesis; print(sorted({'torch', 'transformers', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
