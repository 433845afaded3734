"""Diagnosis: each kind of mistake is found where it is, agrees with the judges, and leads to a request."""

from __future__ import annotations

import json
import random
from collections import Counter

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlam_lib import diagnose as d
from xlam_lib import preferences
from xlam_lib.agents.loop import Episode
from xlam_lib.diagnose.circles import circles
from xlam_lib.diagnose.demand import DEFAULTS, style_of
from xlam_lib.diagnose.reports import mcnemar
from xlam_lib.diagnose.unreadable import DETAILS, unreadable
from xlam_lib.diagnose.values import DETAILS as VALUE_DETAILS
from xlam_lib.environments.core import Result
from xlam_lib.equivalence import same_calls, stated
from xlam_lib.errors import AssetError, ProfileError
from xlam_lib.evaluate import bfcl
from xlam_lib.evaluate.oracle import oracle
from xlam_lib.schema import Step, Tool, ToolCall
from xlam_lib.synthesis import STYLES, generate, synthesize

TIDES = Tool(
    "tides.next",
    "Next high tide at a port.",
    {
        "port": {"type": "string", "required": True},
        "day": {"type": "string", "required": True},
        "metres": {"type": "number", "required": False, "default": 1.5},
        "unit": {"type": "string", "enum": ["metric", "imperial"], "required": False, "default": "metric"},
        "stations": {"type": "array", "items": {"type": "string"}, "required": False},
        "exact": {"type": "boolean", "required": False, "default": False},
    },
)
FERRY = Tool("ferry_times", "Ferries.", {"origin": {"type": "string", "required": True}})
BOAT = Tool("boat_hire", "Boats.", {"count": {"type": "integer", "required": True}})
TOOLS = [TIDES, FERRY, BOAT]
QUERY = "When is high tide in Port Ellen on 2026-03-04, 2.5 metres or more, at stations Alder and Birch?"
RIGHT = ToolCall(
    "tides.next",
    {"port": "Port Ellen", "day": "2026-03-04", "metres": 2.5, "stations": ["Alder", "Birch"]},
)


def text_of(*calls: ToolCall) -> str:
    return json.dumps({"tool_calls": [{"name": call.name, "arguments": call.arguments} for call in calls]})


def found(answer: str, expected: list[ToolCall] | None = None, tools: list[Tool] | None = None):
    """Kind, detail and place of each mistake."""
    wanted = [RIGHT] if expected is None else expected
    mistakes = d.diagnose(answer, tools or TOOLS, QUERY, wanted)
    return [(mistake.kind, mistake.detail, mistake.where) for mistake in mistakes]


def changed(**arguments) -> str:
    kept = {**RIGHT.arguments, **arguments}
    return text_of(ToolCall(RIGHT.name, {name: value for name, value in kept.items() if value != "-"}))


def test_right_answers_have_no_mistakes():
    assert found(text_of(RIGHT)) == []
    assert found(changed(unit="metric", port="port ellen")) == []  # a default said, another case
    assert found('{"tool_calls": []}', []) == []
    pair = [RIGHT, ToolCall("ferry_times", {"origin": "Oban"})]
    assert found(text_of(*pair[::-1]), pair) == []


ARGUMENT = "tool_calls[0].arguments."


@pytest.mark.parametrize(
    ("arguments", "kind", "detail", "name"),
    [
        ({"port": "-"}, "missing_argument", "required", "port"),
        ({"metres": "-"}, "missing_argument", "asked for", "metres"),
        ({"wind": 3}, "hallucinated_argument", "invented", "wind"),
        ({"stations": "-", "station": ["Alder", "Birch"]}, "hallucinated_argument", "near", "station"),
        ({"exact": True}, "extra_argument", "", "exact"),
        ({"metres": "2.5"}, "wrong_type", "string for number", "metres"),
        ({"stations": "Alder"}, "wrong_type", "string for array", "stations"),
        ({"port": None}, "wrong_type", "null for string", "port"),
        ({"metres": -2.5}, "wrong_value", "sign", "metres"),
        ({"metres": 250}, "wrong_value", "scale", "metres"),
        ({"metres": 3.5}, "wrong_value", "off by one", "metres"),
        ({"metres": 8.2021}, "wrong_value", "unit", "metres"),
        ({"metres": 777.7}, "wrong_value", "not in the query", "metres"),
        ({"day": "04/03/2026"}, "wrong_value", "date format", "day"),
        ({"day": "2027-09-01"}, "wrong_value", "date", "day"),
        ({"port": "Port Elen"}, "wrong_value", "spelling", "port"),
        ({"port": "Ellen"}, "wrong_value", "too little", "port"),
        ({"port": "Port Ellen, Islay"}, "wrong_value", "too much", "port"),
        ({"port": "Zeebrugge"}, "wrong_value", "not in the query", "port"),
        ({"port": "2026-03-04"}, "wrong_value", "swapped", "port"),
        ({"port": "tide " * 60}, "wrong_value", "runs in circles", "port"),
        ({"stations": ["Birch", "Alder"]}, "wrong_value", "order", "stations"),
        ({"stations": ["Alder"]}, "wrong_value", "items missing", "stations"),
        ({"stations": ["Alder", "Birch", "Cedar"]}, "wrong_value", "items added", "stations"),
        ({"stations": ["Alder", "Cedar"]}, "wrong_value", "items", "stations"),
    ],
)
def test_arguments(arguments, kind, detail, name):
    assert found(changed(**arguments)) == [(kind, detail, ARGUMENT + name)]


def test_choices_and_truth_values():
    wanted = [ToolCall(RIGHT.name, {**RIGHT.arguments, "unit": "imperial", "exact": True})]
    answer = ToolCall(RIGHT.name, {**RIGHT.arguments, "unit": "metric", "exact": False})
    told = found(text_of(answer), wanted)
    # What states a default is as if it were left out, and here another value was asked for.
    assert told == [
        ("wrong_value", "other choice", ARGUMENT + "unit"),
        ("wrong_value", "boolean", ARGUMENT + "exact"),
    ]
    assert found(changed(unit="feet"), wanted[:1])[0] == (
        "wrong_value", "not a choice", ARGUMENT + "unit",
    )  # fmt: skip


def test_calls():
    ferry, boat = ToolCall("ferry_times", {"origin": "Oban"}), ToolCall("boat_hire", {"count": 2})
    assert found(text_of(ferry)) == [("wrong_function", "", "tool_calls[0].name")]
    assert found(text_of(ToolCall("tides_next"))) == [("hallucinated_function", "near", "tool_calls[0].name")]
    assert found(text_of(ToolCall("moon")))[0][:2] == ("hallucinated_function", "invented")
    assert found(text_of(RIGHT), [RIGHT, ferry]) == [("missing_call", "", "tool_calls")]
    assert found(text_of(RIGHT, ferry)) == [("extra_call", "", "tool_calls[1]")]
    assert found(text_of(RIGHT, RIGHT)) == [("repetition", "call", "tool_calls[1]")]
    assert found(text_of(ferry), []) == [("needless_call", "", "tool_calls[0]")]
    assert found('{"tool_calls": []}') == [("early_stop", "no calls", "tool_calls")]
    assert found("") == [("early_stop", "empty answer", "")]
    assert found(text_of(*[boat] * 3, RIGHT, *[ferry] * 90))[-1] == (
        "extra_call",
        "a flood",
        "tool_calls[64:]",
    )


def test_parallel_calls_are_put_where_they_fit_best():
    ports = ["Oban", "Tarbert", "Ullapool"]
    wanted = [ToolCall("ferry_times", {"origin": port}) for port in ports]
    answer = [ToolCall("ferry_times", {"origin": port}) for port in ("Ullapool", "Obann", "Tarbert")]
    (mistake,) = d.diagnose(text_of(*answer), TOOLS, QUERY, wanted)
    assert (mistake.where, mistake.detail) == ("tool_calls[1].arguments.origin", "spelling")
    assert (mistake.expected, mistake.found) == ('"Oban"', '"Obann"')
    assert mistake.short == (
        'wrong_value (spelling) at tool_calls[1].arguments.origin, expected "Oban", found "Obann"'
    )


def test_without_expected_calls_the_tools_alone_tell():
    answer = text_of(ToolCall("tides.next", {"port": 3, "prt": 1, "unit": "feet"}), ToolCall("moon"))
    kinds = Counter(mistake.kind for mistake in d.diagnose(answer, TOOLS))
    assert kinds == {
        "wrong_type": 1, "hallucinated_argument": 1, "wrong_value": 1, "missing_argument": 1,
        "hallucinated_function": 1,
    }  # fmt: skip
    assert d.diagnose('{"tool_calls": []}', TOOLS) == ()


GOOD = text_of(RIGHT)


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        (GOOD[:40], "cut off"),
        (GOOD[:-1], "cut off"),
        ("```json\n" + GOOD[:-9], "cut off"),
        ("Sure! " + GOOD, "prose around"),
        (GOOD + " I hope that helps.", "prose around"),
        (GOOD + "\n" + GOOD, "several values"),
        (repr(json.loads(GOOD)), "Python syntax"),
        ("[tides.next(port='Port Ellen')]", "another format"),
        ("I cannot help with tides.", "no JSON"),
        ('{"tool_calls": [{"name": }]}', "not JSON"),
        ('{"calls": []}', "wrong shape"),
        ('{"tool_calls": "none"}', "wrong shape"),
        ('{"tool_calls": [], "tool_calls": []}', "duplicate key"),
        (GOOD.replace("2.5", "NaN"), "number"),
        (GOOD.replace("2.5", "1e400"), "number"),
        (GOOD.replace("2.5", "[" * 80 + "]" * 80), "nested too deeply"),
        ("[" * 100_000, "nested too deeply"),
        (GOOD.replace("Ellen", "\ud800"), "encoding"),
        (GOOD.replace("Ellen", "\\ud800"), "encoding"),
        (GOOD.replace("Ellen", "a\nb"), "encoding"),
        (GOOD.replace("Ellen", "x" * 300_000), "too long"),
    ],
)
def test_what_cannot_be_read(text, detail):
    assert detail in DETAILS
    mistakes = d.diagnose(text, TOOLS, QUERY, [RIGHT])
    assert [(m.kind, m.detail) for m in mistakes if m.kind != "repetition"] == [("bad_format", detail)]


@given(st.integers(1, len(GOOD) - 1))
def test_an_answer_cut_anywhere_is_cut_off(at):
    (mistake,) = d.diagnose(GOOD[:at], TOOLS, QUERY, [RIGHT])
    assert (mistake.kind, mistake.detail) == ("bad_format", "cut off")


def test_a_text_in_circles():
    assert circles('{"name": "f"}, ' * 30) and circles("and then the tide " * 20) and circles("x" * 300)
    assert not circles(GOOD) and not circles(" ".join(map(str, range(200))))
    assert [mistake.kind for mistake in unreadable("I will call it. " * 40)] == ["bad_format", "repetition"]


# The judges ----------------------------------------------------------------------------------------------


@st.composite
def answers(draw) -> list[ToolCall]:
    calls = []
    for _ in range(draw(st.integers(0, 3))):
        tool = draw(st.sampled_from([*TOOLS, Tool("moon")]))
        if tool is TIDES and draw(st.booleans()):
            arguments = dict(RIGHT.arguments)
            if draw(st.booleans()):
                arguments.pop(draw(st.sampled_from(list(arguments))))
        else:
            arguments = {}
        names = st.sampled_from(["port", "day", "metres", "unit", "origin", "count", "wind"])
        values = st.sampled_from(["Port Ellen", "metric", "Oban", 1.5, 2, True, None, [], {"a": 1}])
        arguments |= draw(st.dictionaries(names, values, max_size=2))
        calls.append(ToolCall(tool.name, arguments))
    return calls


@settings(max_examples=150, deadline=None)
@given(answers(), answers())
def test_it_says_what_the_preferences_say(reference, calls):
    """The same answers are right, and a fault's name goes with kinds that it stands for."""
    if any(call.name == "moon" for call in reference):
        return  # a reference calls what is on offer
    mistakes = d.diagnose(text_of(*calls), TOOLS, QUERY, reference)
    assert (not mistakes) == same_calls(reference, calls, TOOLS)
    fault = preferences.fault(reference, text_of(*calls), [tool.name for tool in TOOLS])
    if mistakes:
        shapes = [Counter((c.name, stated(c, TOOLS)) for c in side) for side in (reference, calls)]
        if fault == "wrong arguments" and shapes[0] == shapes[1]:  # as the preferences' judge has it
            fault = "wrong values"
        assert fault is not None
        assert {mistake.kind for mistake in mistakes} & set(d.FAULTS[fault])


@pytest.fixture(scope="module")
def benchmark() -> list[bfcl.Question]:
    try:
        return bfcl.questions()
    except AssetError as error:
        pytest.skip(f"the benchmark cannot be fetched: {error}")


def test_no_mistakes_if_and_only_if_the_verdict_is_right(benchmark):
    """Mutated answers of all AST categories: the rules alone and the official checker agree."""
    from xlam_lib.evaluate.mutations import mutants

    rng = random.Random(11)
    asked = [q for q in benchmark if bfcl.CATEGORIES[q.category].kind == "ast"]
    asked = rng.sample(asked, 500)
    seen: Counter[str] = Counter()
    right = 0
    for mutant in mutants(asked, 1500, 5):
        verdict = bfcl.judge(mutant.text, mutant.question)
        mistakes = d.mistakes_of(mutant.text, mutant.question)
        assert (not mistakes) == verdict.valid, (mutant.text, verdict, mistakes)
        assert all(m.detail in VALUE_DETAILS for m in mistakes if m.kind == "wrong_value")
        seen.update(d.kinds_of(mistakes))
        right += verdict.valid
    assert 100 < right < 1000 and seen["unexplained"] == 0
    assert {"wrong_value", "wrong_type", "missing_argument", "hallucinated_argument"} <= seen.keys()


def test_every_category_is_diagnosed(benchmark):
    for category in bfcl.CATEGORIES:
        for question in [q for q in benchmark if q.category == category][:5]:
            assert d.diagnose_answer(oracle(question), question) == ()
            kinds = d.kinds_of(d.diagnose_answer("No.", question))
            assert kinds == ["bad_format"]
            assert d.kinds_of(d.diagnose_answer(None, question)) == ["early_stop"]
            nothing = d.kinds_of(d.diagnose_answer('{"tool_calls": []}', question))
            assert nothing == ([] if "irrelevance" in category else ["early_stop"])


def test_a_match_that_the_official_checker_misses_is_unexplained(benchmark):
    question = next(q for q in benchmark if q.category == "parallel")
    verdict = bfcl.Verdict(question.id, question.category, False, False, "cannot_find_match")
    (mistake,) = d.diagnose_answer(oracle(question), question, verdict)
    assert mistake.kind == "unexplained"


# Episodes ------------------------------------------------------------------------------------------------


def episode(errors: list[str], calls: list[ToolCall], ended: str = "done", success: bool = False) -> Episode:
    steps = [
        Step(
            number + 1, tool_calls=[] if error in ("bad_format", "no_call") else [call], next_observation="o"
        )
        for number, (error, call) in enumerate(zip(errors, calls, strict=True))
    ]
    return Episode("t/1", "a", steps, [""] * len(steps), errors, ended, Result(success, 0.5, 0.5))


def test_an_episode():
    boat = ToolCall("boat_hire", {"count": 2})
    fine = episode(["", ""], [RIGHT, boat], success=True)
    assert d.diagnose_episode(fine, TOOLS) == {}
    bad = episode(
        ["bad_format", "no_call", "unknown_tool", "bad_arguments", "invalid_action"],
        [boat, boat, ToolCall("moon"), ToolCall("boat_hire", {"count": "2"}), boat],
    )
    assert d.diagnose_episode(bad, TOOLS) == {
        "bad_format": 1, "early_stop": 1, "hallucinated_function": 1, "invalid_action": 1,
        "premature_finish": 1, "wrong_type": 1,
    }  # fmt: skip
    assert d.diagnose_episode(bad)["bad_arguments"] == 1
    circling = episode([""] * 5, [boat] * 5, ended="steps")
    assert d.diagnose_episode(circling, TOOLS) == {"repetition": 3, "steps_out": 1}
    places = [mistake.where for mistake in d.episode_mistakes(bad, TOOLS)]
    assert places[0] == "steps[0]" and places[3] == "steps[3].tool_calls[0].arguments.count"


# Reports -------------------------------------------------------------------------------------------------


def case(name: str, category: str, *kinds: tuple[str, str]) -> d.Case:
    return d.Case(name, category, tuple(d.Mistake(kind, detail) for kind, detail in kinds), "text")


WORSE = [
    case("1", "simple_python", ("wrong_type", "string for integer"), ("wrong_type", "string for number")),
    case("2", "simple_python"),
    case("3", "live_parallel", ("missing_call", "")),
    case("4", "irrelevance", ("needless_call", "")),
]


def test_a_report_counts_answers_and_mistakes():
    report = d.report(WORSE)
    assert report.counts == {
        "simple_python": {"wrong_type": 1}, "live_parallel": {"missing_call": 1},
        "irrelevance": {"needless_call": 1},
    }  # fmt: skip
    assert report.mistakes["wrong_type"] == 2 and report.wrong["simple_python"] == 1
    row = next(r for r in report.rows() if r["category"] == "simple_python")
    assert (row["answers"], row["with"], row["rate"]) == (2, 1, 0.5) and row["low"] < 0.5 < row["high"]
    assert row["spectool"] == "Incorrect Argument Type"
    names, kinds, rates = report.matrix()
    assert rates[names.index("live_parallel")][kinds.index("missing_call")] == 1.0
    assert report.examples["wrong_type"][0].mistake.detail == "string for integer"
    assert msgspec.json.decode(msgspec.json.encode(report), type=d.Report) == report
    with pytest.raises(ProfileError, match="twice"):
        d.report(WORSE * 2)
    with pytest.raises(ProfileError, match="no answers"):
        d.report([])


def test_two_models_side_by_side():
    before = d.report(case(str(i), "simple_python", ("wrong_type", "")) for i in range(30))
    after = d.report(
        case(str(i), "simple_python", *([("wrong_value", "scale")] if i < 3 else [])) for i in range(30)
    )
    types, values = d.compare(before, after)
    assert (types["kind"], types["mended"], types["new"], types["change"]) == ("wrong_type", 30, 0, "down")
    assert (values["kind"], values["before"], values["after"], values["change"]) == (
        "wrong_value", 0, 3, "unclear",
    )  # fmt: skip
    assert mcnemar(5, 5) == mcnemar(0, 0) == 1.0 and mcnemar(6, 0) == pytest.approx(2 / 64)
    with pytest.raises(ProfileError, match="in common"):
        d.compare(before, d.report([case("x", "simple_python")]))


def test_spectools_names():
    assert set(d.SPECTOOL) <= set(d.KINDS) and len(set(d.SPECTOOL.values())) == 7
    assert d.spectool(d.Mistake("repetition", "text")) is None
    assert d.spectool(d.Mistake("repetition", "call")) == "Repeated API Calls"
    assert d.spectool(d.Mistake("wrong_function")) is None


# Requests ------------------------------------------------------------------------------------------------


def test_a_request_turns_patterns_into_settings_with_reasons():
    wish = d.request(d.report(WORSE))
    assert wish.styles["parallel"] > wish.styles["simple"] > wish.styles["multiple"] == 1.0
    assert wish.shares["irrelevant"] > DEFAULTS["irrelevant"]
    assert set(wish.features) == {"number", "many calls", "repeated function"}
    assert wish == d.request(d.report(WORSE))
    assert all(reason.count and reason.text for reason in wish.reasons)
    named = {reason.name for reason in wish.reasons}
    assert named == {"style simple", "style parallel", "irrelevant", *wish.features}
    made = synthesize(8, seed=3, **wish.settings())
    assert made.funnel.total.asked == 8
    shy = d.request(d.report([case("1", "simple_python", ("early_stop", "no calls"))]))
    assert shy.shares["irrelevant"] < DEFAULTS["irrelevant"]
    calm = d.request(d.report([case("1", "simple_python")]))
    assert calm.shares == calm.features == {} and calm.reasons == []
    with pytest.raises(ProfileError, match="strength"):
        d.request(d.report(WORSE), strength=-1)


def test_every_category_has_a_style():
    assert {style_of(category) for category in bfcl.CATEGORIES} == {*STYLES, None}
    assert [c for c in bfcl.CATEGORIES if style_of(c) is None] == ["live_relevance"]


def test_no_word_of_the_benchmark_gets_into_a_request(benchmark):
    rng = random.Random(5)
    asked = rng.sample(benchmark, 300)
    cases = []
    for question in asked:
        texts = [oracle(q) for q in rng.sample(asked, 1)] + ['{"tool_calls": [{"name": "made_up"}]}']
        if bfcl.CATEGORIES[question.category].kind == "ast":
            data = json.loads(oracle(question))
            for call in data["tool_calls"]:
                call["arguments"] = {name: [value] for name, value in call["arguments"].items()}
            texts = [json.dumps(data)]
        mistakes = d.diagnose_answer(texts[0], question)
        cases.append(d.Case(question.id, question.category, mistakes, texts[0]))
    wish = d.request(d.report(cases))
    assert wish.reasons
    words = {name for reason in wish.reasons for name in (reason.name, *reason.kinds)}
    known = {*d.KINDS, *d.FEATURES, *DEFAULTS, *(f"style {style}" for style in STYLES)}
    assert words <= known and {*wish.styles, *wish.shares, *wish.features} <= {*known, *STYLES}
    told = msgspec.json.encode(wish).decode() + " ".join(reason.text for reason in wish.reasons)
    for question in asked:
        assert question.id not in told and question.query not in told
        assert not any(tool.name in told for tool in question.tools if len(tool.name) > 6)


def test_selection_follows_the_request():
    pool = list(generate(400, seed=8))
    wish = d.Request({}, {}, {"nested": 20.0}, [])
    chosen = d.select(pool, wish, 100, seed=1)
    assert chosen == d.select(pool, wish, 100, seed=1) != d.select(pool, wish, 100, seed=2)
    assert len({sample.index for sample in chosen}) == 100

    def share(samples, feature):
        return sum(feature in d.features(sample) for sample in samples) / len(samples)

    assert share(chosen, "nested") > 1.8 * share(pool, "nested") > 0
    plain = d.select(pool, d.Request({}, {}, {}, []), 100, seed=1)
    assert share(chosen, "nested") > 1.5 * share(plain, "nested")
    styles, before = Counter(s.style for s in chosen), Counter(s.style for s in pool)
    assert all(abs(styles[style] - before[style] / 4) < 1 for style in before)
    assert [s.index for s in d.select(pool, wish, 400, seed=1)] == [s.index for s in pool]
    with pytest.raises(ProfileError, match="fewer"):
        d.select(pool[:3], wish, 4, seed=1)


def test_features_are_the_same_before_and_after_verification():
    pool = list(generate(40, seed=4))
    made = synthesize(40, samples=pool)
    by_index = {f"synthetic/{sample.index}": sample for sample in pool}
    assert made.verified
    for record in made.verified:
        assert d.features(record) == d.features(by_index[record.unique_trajectory_id]) <= set(d.FEATURES)
    assert d.select(made.verified, d.Request({}, {}, {"date": 3.0}, []), 5, seed=0)
