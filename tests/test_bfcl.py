import copy
import json
import os
import random
import sys
from collections import Counter
from pathlib import Path

import pytest

from xlam_lib import assets, intervals, prompts, schema
from xlam_lib.errors import AssetError, ProfileError, SchemaError
from xlam_lib.evaluate import bfcl, official
from xlam_lib.evaluate import questions as question_files
from xlam_lib.evaluate.executable import REGISTRY
from xlam_lib.evaluate.oracle import oracle
from xlam_lib.formats import FORMATS, ParseError, extract_calls
from xlam_lib.records import read_json, write_json
from xlam_lib.synthesis.execute import Pool

# Questions that no answer can pass, with what stands in the way in the package's own files.
IMPOSSIBLE = {
    "simple_java_36": "value_error:list/tuple",  # a list of numbers and booleans read as strings
    "simple_java_65": "value_error:list/tuple",
    "live_simple_106-63-0": "type_error:",  # an argument that must be there, with no allowed value
    "live_simple_112-68-0": "type_error:",
    "live_multiple_862-181-3": "simple_function_checker:unexpected_param",  # wanted, but not declared
    "live_multiple_964-207-0": "simple_function_checker:missing_required",  # required, but not allowed
}


@pytest.fixture(scope="session")
def root() -> Path:
    """The benchmark's folder: ``$XLAM_BFCL_ROOT`` if it is set, else the pinned download."""
    if given := os.environ.get("XLAM_BFCL_ROOT"):
        return official.benchmark_root(Path(given))
    try:
        return assets.benchmark()
    except AssetError as error:
        pytest.skip(f"the benchmark cannot be fetched: {error}")


@pytest.fixture(scope="session")
def everything(root) -> list[bfcl.Question]:
    return bfcl.questions(root=root)


@pytest.fixture(scope="session")
def perfect(everything, root) -> bfcl.Score:
    return bfcl.score({q.id: oracle(q) for q in everything}, questions=everything, root=root)


@pytest.fixture(scope="module")
def pool():
    with Pool(1, registry=REGISTRY) as pool:
        yield pool


def question(category="simple_python", **changes) -> bfcl.Question:
    """A question of our own, in the package's native shape."""
    function = {
        "name": "weather.forecast",
        "description": "Forecast.",
        "parameters": {
            "type": "dict",
            "properties": {
                "city": {"type": "string", "description": "City."},
                "days": {"type": "integer", "description": "Days.", "default": 3},
                "limit": {"type": "float", "description": "Limit."},
            },
            "required": ["city"],
        },
    }
    answer = [{"weather.forecast": {"city": ["Oslo"], "days": [2, ""], "limit": [1.5, 2.0, ""]}}]
    fields = {
        "id": "simple_python_0",
        "category": category,
        "language": bfcl.CATEGORIES[category].language,
        "query": "Weather in Oslo?",
        "messages": (("user", "Weather in Oslo?"),),
        "functions": [function],
        "tools": [bfcl.to_tool(function, "python")],
        "possible_answer": answer if bfcl.CATEGORIES[category].kind == "ast" else [],
    }
    return bfcl.Question(**fields | changes)


def answer(*calls) -> str:
    return json.dumps({"tool_calls": [{"name": name, "arguments": given} for name, given in calls]})


# ---------------------------------------------------------------------------------- official package


def test_import_leaves_no_trace(root):
    official._load.cache_clear()
    path, modules = list(sys.path), {n for n in sys.modules if n.startswith("bfcl_eval")}
    flag = sys.dont_write_bytecode
    valid, fault, message = official.ast_check(
        question().functions,
        [{"weather.forecast": {"city": "oslo"}}],
        question().possible_answer,
        "python",
        "simple_python",
        root,
    )
    assert (valid, fault, message) == (True, "", "")
    assert sys.path == path
    assert {n for n in sys.modules if n.startswith("bfcl_eval")} == modules
    assert sys.dont_write_bytecode == flag


def test_import_does_not_disturb_another_copy(root, monkeypatch):
    official._load.cache_clear()
    other = type(sys)("bfcl_eval")
    monkeypatch.setitem(sys.modules, "bfcl_eval", other)
    assert official._load(root.resolve()).check.__module__.startswith("bfcl_eval")
    assert sys.modules["bfcl_eval"] is other
    official._load.cache_clear()


def test_folder_without_the_package_is_an_error(tmp_path):
    with pytest.raises(AssetError, match="assets"):
        bfcl.questions(root=tmp_path)


def test_package_without_the_checker_is_an_error(tmp_path):
    (tmp_path / "bfcl_eval" / "data").mkdir(parents=True)
    before = list(sys.path)
    with pytest.raises(AssetError, match="cannot be imported"):
        official.ast_check([], [], [], "python", "simple_python", tmp_path)
    assert sys.path == before


def test_unknown_language(root):
    with pytest.raises(ValueError, match="cobol"):
        official.ast_check([], [], [], "cobol", "simple_python", root)


def test_checker_that_breaks_down_gives_a_verdict(root):
    functions = copy.deepcopy(question().functions)
    functions[0]["parameters"]["properties"]["city"]["type"] = "no such type"
    valid, fault, _ = official.ast_check(
        functions,
        [{"weather.forecast": {"city": "Oslo"}}],
        question().possible_answer,
        "python",
        "multiple",
        root,
    )
    assert (valid, fault) == (False, "checker:KeyError")


# ----------------------------------------------------------------------------------------- questions


def test_questions_are_the_files_lines(everything, root):
    counts = Counter(q.category for q in everything)
    assert list(counts) == list(bfcl.CATEGORIES)
    for name, category in bfcl.CATEGORIES.items():
        data = root / "bfcl_eval" / "data"
        folder = data / "unused_datasets" / "question" if category.executed else data
        lines = (folder / category.file).read_text().splitlines()
        assert counts[name] == len(lines)
    assert len({q.id for q in everything}) == len(everything)
    assert all(bool(q.possible_answer) == (bfcl.CATEGORIES[q.category].kind == "ast") for q in everything)
    assert all(bool(q.ground_truth) == bfcl.CATEGORIES[q.category].executed for q in everything)
    assert all(bool(q.recorded) == (q.category == "rest") for q in everything)


def test_every_question_makes_a_valid_trajectory_and_a_prompt(everything):
    for q in everything:
        made = bfcl.trajectory(q)
        assert not list(schema.validate(made)), q.id
        prompt = prompts.render_prompt(made, style="brackets")
        assert q.query in prompt
        for tool, function in zip(q.tools, q.functions, strict=True):
            assert tool.name == function["name"]  # dots stay
            assert list(tool.parameters) == list(function["parameters"]["properties"])
            required = [name for name, child in tool.parameters.items() if child["required"]]
            assert set(required) == set(function["parameters"]["required"])
        if q.language != "python":
            assert all(c["type"] == "string" for t in q.tools for c in t.parameters.values())


def test_answer_stays_out_of_the_trajectory():
    q = question(possible_answer=[{"weather.forecast": {"city": ["secret-value"]}}])
    assert b"secret-value" not in schema.encode(bfcl.trajectory(q))


def test_trajectory_instructions():
    brief, full = bfcl.trajectory(question()), bfcl.trajectory(question(), "full")
    assert brief.task_instruction == prompts.TASK_INSTRUCTION_FC_BRIEF
    assert full.task_instruction == prompts.TASK_INSTRUCTION_FC
    assert full.format_instruction == FORMATS["json"].instruction
    assert bfcl.trajectory(question(), format="json_thought").meta["format"] == "json_thought"
    with pytest.raises(ProfileError, match="short"):
        bfcl.trajectory(question(), "short")


def test_conversations_keep_every_message(everything):
    several = [q for q in everything if len(q.messages) > 1]
    assert several
    for q in several:
        assert all(content in q.query for _, content in q.messages)
        assert q.query.startswith(("System: ", "User: "))
    assert question_files._query([("system", "Be kind."), ("user", "Hi")]) == "System: Be kind.\n\nUser: Hi"


def test_python_types():
    function = {
        "name": "f",
        "description": "d",
        "parameters": {
            "type": "dict",
            "properties": {
                "a": {"type": "any"},
                "b": {"type": "tuple", "items": {"type": "float"}},
                "c": {"type": "dict", "properties": {"x": {"type": "any"}}, "required": ["x"]},
            },
            "required": ["b"],
        },
    }
    before = copy.deepcopy(function)
    assert bfcl.to_tool(function, "python").parameters == {
        "a": {"type": "string", "required": False},
        "b": {"type": "array", "items": {"type": "number"}, "required": True},
        "c": {
            "type": "object",
            "properties": {"x": {"type": "string", "required": True}},
            "required": False,
        },
    }
    assert function == before


def test_java_and_javascript_types():
    parameters = {
        "type": "dict",
        "properties": {
            "a": {"type": "ArrayList", "description": "Names.", "items": {"type": "String"}},
            "b": {"type": "any", "description": "Thing.", "default": True},
        },
        "required": [],
    }
    tool = bfcl.to_tool({"name": "f", "description": "d", "parameters": parameters}, "java")
    assert tool.parameters["a"]["type"] == "string" and "items" not in tool.parameters["a"]
    assert "ArrayList" in tool.parameters["a"]["description"]
    assert "type String" in tool.parameters["a"]["description"]
    assert tool.parameters["b"]["default"] == "true"
    entries = {"type": "dict", "description": "Map.", "properties": {"k": {"type": "integer"}}}
    parameters = {"type": "dict", "properties": {"m": entries}, "required": ["m"]}
    tool = bfcl.to_tool({"name": "f", "description": "d", "parameters": parameters}, "javascript")
    assert '"k"' in tool.parameters["m"]["description"] and tool.parameters["m"]["required"]


def test_samples_nest_and_repeat(everything):
    small, large = bfcl.sample(everything, 5, 1), bfcl.sample(everything, 20, 1)
    assert {q.id for q in small} < {q.id for q in large}
    for name in bfcl.CATEGORIES:
        first, more = ([q.id for q in s if q.category == name] for s in (small, large))
        assert len(first) == 5 and more[:5] == first
    shuffled = list(everything)
    random.Random(3).shuffle(shuffled)
    assert [q.id for q in bfcl.sample(shuffled, 5, 1)] == [q.id for q in small]
    assert [q.id for q in bfcl.sample(everything, 5, 2)] != [q.id for q in small]


def test_samples_of_some_categories(everything):
    chosen = bfcl.sample(everything, {"live_parallel": 1000, "multiple": 3, "parallel": 0}, 0)
    counts = Counter(q.category for q in chosen)
    there = sum(q.category == "live_parallel" for q in everything)
    assert counts == {"live_parallel": there, "multiple": 3}
    with pytest.raises(ProfileError, match="simple"):
        bfcl.sample(everything, {"simple": 3}, 0)
    with pytest.raises(ProfileError, match="negative"):
        bfcl.sample(everything, {"multiple": -1}, 0)
    with pytest.raises(ProfileError, match="java"):
        bfcl.questions(["java"])


# ------------------------------------------------------------------------------------------- scoring


def test_official_answers_are_right(perfect):
    wrong = {v.id: v.error_type for v in perfect.verdicts if not v.valid}
    assert wrong.keys() == IMPOSSIBLE.keys()
    assert all(fault.startswith(IMPOSSIBLE[identifier]) for identifier, fault in wrong.items())
    assert perfect.missing == []
    for name, rate in perfect.categories.items():
        excused = sum(identifier.rsplit("_", 1)[0] == name for identifier in IMPOSSIBLE)
        assert rate.correct == rate.count - excused, name
    assert all(rate.accuracy == 1 for rate in perfect.strict.values())


def test_score_can_be_written_and_read(perfect, tmp_path):
    write_json(tmp_path / "score.json", perfect)
    assert read_json(tmp_path / "score.json", bfcl.Score) == perfect


def test_ast_rules(root):
    def fault(text, **changes):
        return bfcl.judge(text, question(**changes), root=root).error_type

    name = "weather.forecast"
    assert fault(answer((name, {"city": "O-S.L_O"}))) == ""  # case and some punctuation are ignored
    assert fault(answer((name, {"city": "Oslo", "limit": 2}))) == ""  # an integer is a float
    assert fault(answer((name, {"city": "Oslo", "days": 2.0}))) == "type_error:simple"
    assert fault(answer((name, {"city": "Oslo", "days": "2"}))) == "type_error:simple"
    assert fault(answer((name, {"city": "Oslo", "days": 3}))) == "value_error:others"
    assert fault(answer((name, {"city": "Bergen"}))) == "value_error:string"
    assert fault(answer((name, {}))) == "simple_function_checker:missing_required"
    assert fault(answer((name, {"city": "Oslo", "x": 1}))) == "simple_function_checker:unexpected_param"
    assert fault(answer(("weather_forecast", {"city": "Oslo"}))) == "simple_function_checker:wrong_func_name"
    assert fault(answer()) == "simple_function_checker:wrong_count"
    assert fault(answer(*[(name, {"city": "Oslo"})] * 2)) == "simple_function_checker:wrong_count"
    assert fault("I cannot do that.") == "ast_decoder:decoder_failed"
    assert fault("") == "ast_decoder:decoder_failed"
    number = answer(("f", {"n": 5}))
    java = {
        "functions": [{"name": "f", "parameters": {"properties": {"n": {"type": "integer"}}, "required": []}}]
    }
    java |= {"possible_answer": [{"f": {"n": [5]}}]}
    assert fault(number, category="simple_java", **java) == "type_error:java"
    assert fault(answer(("f", {"n": "5"})), category="simple_java", **java) == ""


GARBAGE = [
    "",
    "   ",
    "no",
    "{",
    "[1]",
    "null",
    "3",
    '{"tool_calls": 5}',
    '{"tool_calls": [{"name": 1}]}',
    "\x00",
]
GARBAGE += [
    '{"tool_calls": [{"name": "f"}]}',
    '{"a": NaN}',
    "[" * 5000,
    "```json\n{}\n```",
    '{"thought": "x"}',
]


@pytest.mark.parametrize("text", GARBAGE)
def test_garbage_is_wrong_but_officially_irrelevant(text, root):
    assert not bfcl.judge(text, question(), root=root).valid
    assert not bfcl.judge(text, question("live_relevance"), root=root).valid
    verdict = bfcl.judge(text, question("irrelevance"), root=root)
    assert verdict.valid and not verdict.strict and verdict.calls is None and verdict.message


def test_empty_list_and_calls_under_relevance(root):
    empty, call = answer(), answer(("anything", {}))
    assert bfcl.judge(empty, question("irrelevance"), root=root).strict
    assert bfcl.judge("[]", question("live_irrelevance"), root=root).strict
    verdict = bfcl.judge(call, question("irrelevance"), root=root)
    assert not verdict.valid and not verdict.strict
    assert verdict.error_type == "irrelevance_error:decoder_success"
    assert bfcl.judge(call, question("live_relevance"), root=root).valid
    assert bfcl.judge(empty, question("live_relevance"), root=root).error_type == "relevance_error:no_call"


def test_garbage_over_all_questions(everything, root):
    result = bfcl.score({q.id: "Sorry." for q in everything}, root=root)
    for name, rate in result.categories.items():
        assert rate.accuracy == (1.0 if name.endswith("irrelevance") else 0.0)
    assert all(rate.accuracy == 0 for rate in result.strict.values())
    assert result.columns["irrelevance"] == 1 and result.ast_mean.value == 0
    counts = bfcl.error_counts(result)
    assert counts["multiple"] == {"ast_decoder:decoder_failed": result.categories["multiple"].count}
    assert counts["irrelevance"] == {}


def test_decode_keeps_values_and_names_the_question():
    q = question("simple_java")
    assert bfcl.decode(answer(("a.b", {"x": 1, "y": "2L"})), q) == [{"a.b": {"x": 1, "y": "2L"}}]
    with pytest.raises(ParseError, match="simple_python_0"):
        bfcl.decode("Hello", q)


def test_other_formats_are_read_by_their_own_readers(everything, root, pool):
    asked = [q for q in bfcl.sample(everything, 4, 0) if q.id not in IMPOSSIBLE]
    for name in FORMATS:
        result = bfcl.score(
            {q.id: oracle(q, name) for q in asked}, questions=asked, root=root, format=name, executor=pool
        )
        assert [v.id for v in result.verdicts if not v.valid] == [], name


def test_columns_and_overall(everything, root):
    asked = bfcl.sample(everything, 4, 0)
    right = {q.id: oracle(q) for q in asked}
    for q in [q for q in asked if q.category == "simple_java"][:2]:
        right[q.id] = "Sorry."
    result = bfcl.score(right, questions=asked, root=root)
    assert result.columns["ast_simple"] == pytest.approx(1 - 0.5 / 6)
    assert result.ast_mean.value == pytest.approx(1 - 0.5 / 24)
    assert result.measured_mean.value == pytest.approx(1 - 0.5 / 36)
    assert result.category_mean.value == pytest.approx(1 - 0.5 / len(bfcl.CATEGORIES))
    low, high = result.ast_mean.interval
    assert low < result.ast_mean.value <= high
    assert [result.columns[name] for name in bfcl.EXEC_COLUMNS] == [1.0] * 4
    assert result.overall_v2 == pytest.approx((10 - 0.5 / 6) / 10) == result.summary.overall
    with pytest.raises(ProfileError, match="measured here"):
        bfcl.score(right, questions=asked, root=root, executable={"exec_multiple": 0.5})
    asked = [q for q in asked if not bfcl.CATEGORIES[q.category].executed]
    right = {q.id: right[q.id] for q in asked}
    result = bfcl.score(right, questions=asked, root=root)
    assert [name for name, value in result.columns.items() if value is None] == list(bfcl.EXEC_COLUMNS)
    assert result.overall_v2 is None and list(result.summary.unmeasured) == list(bfcl.EXEC_COLUMNS)
    executable = dict.fromkeys(bfcl.EXEC_COLUMNS, 0.5)
    whole = bfcl.score(right, questions=asked, root=root, executable=executable)
    assert whole.overall_v2 == pytest.approx((4 * 0.5 + 6 - 0.5 / 6) / 10) == whole.summary.overall
    with pytest.raises(ProfileError, match="exec_rest"):
        bfcl.score(right, questions=asked, root=root, executable={"exec_rest": 0.5})
    with pytest.raises(ProfileError, match="fraction"):
        bfcl.score(right, questions=asked, root=root, executable={"exec_simple": 95.0})


def test_columns_of_a_part_are_not_measured(everything, root):
    asked = bfcl.sample(everything, {"simple_python": 3, "irrelevance": 3}, 0)
    result = bfcl.score({q.id: oracle(q) for q in asked}, questions=asked, root=root)
    assert set(result.columns.values()) == {None}
    assert result.ast_mean is None and result.measured_mean is None
    assert result.category_mean.value == 1
    assert list(result.categories) == ["simple_python", "irrelevance"]


def test_missing_and_unknown_responses(everything, root):
    asked = bfcl.sample(everything, {"multiple": 4}, 0)
    given = {q.id: oracle(q) for q in asked[1:]}
    result = bfcl.score(given, questions=asked, root=root)
    assert result.missing == [asked[0].id]
    rate = result.categories["multiple"]
    assert (rate.count, rate.correct, rate.missing) == (4, 3, 1)
    assert bfcl.error_counts(result)["multiple"] == {"missing_response": 1}
    with pytest.raises(SchemaError, match="not_a_test_7"):
        bfcl.score(given | {"not_a_test_7": ""}, questions=asked, root=root)
    with pytest.raises(SchemaError, match="NoneType"):
        bfcl.score(given | {asked[0].id: None}, questions=asked, root=root)
    with pytest.raises(ProfileError, match="v5"):
        bfcl.score(given, version="v5", root=root)
    with pytest.raises(ProfileError, match="no questions"):
        bfcl.score({}, questions=[], root=root)
    with pytest.raises(ProfileError, match="2 times"):
        bfcl.score(given, questions=asked + asked[:1], root=root)


def test_missing_is_wrong_even_for_irrelevance(root):
    result = bfcl.score({}, questions=[question("irrelevance")], root=root)
    assert result.categories["irrelevance"].accuracy == 0


def test_overall_needs_all_ten():
    with pytest.raises(ProfileError, match="exec_simple"):
        bfcl.overall_v2({name: 1.0 for name in bfcl.COLUMNS if name != "exec_simple"})
    with pytest.raises(ProfileError, match="speed"):
        bfcl.overall_v2(dict.fromkeys(bfcl.COLUMNS, 1.0) | {"speed": 1.0})
    assert bfcl.overall_v2(dict.fromkeys(bfcl.COLUMNS, 1.0)) == 1.0


# --------------------------------------------------------------------------- intervals, contamination


def test_wilson():
    assert intervals.wilson(0, 20) == pytest.approx((0, 0.1611), abs=1e-4)  # textbook values
    assert intervals.wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert intervals.wilson(20, 20)[1] == 1.0 and intervals.wilson(0, 20)[0] == 0.0
    narrow, wide = intervals.wilson(8, 10, 0.5), intervals.wilson(8, 10, 0.99)
    assert wide[0] < narrow[0] < 0.8 < narrow[1] < wide[1]
    for successes, n, level in ((1, 0, 0.95), (3, 2, 0.95), (-1, 2, 0.95), (1, 2, 1.0)):
        with pytest.raises(ProfileError):
            intervals.wilson(successes, n, level)


def test_bootstrap():
    values = [1.0] * 60 + [0.0] * 40
    low, high = intervals.bootstrap(values, 0)
    # The binomial's normal approximation: 0.6 +- 1.96 * sqrt(0.24 / 100)
    assert low == pytest.approx(0.504, abs=0.02) and high == pytest.approx(0.696, abs=0.02)
    assert intervals.bootstrap(values, 0) == (low, high)
    assert intervals.bootstrap(values, 1, n=200) != intervals.bootstrap(values, 2, n=200)
    assert intervals.bootstrap([0.0] * 20, 0) == (0, 0)  # why single categories take Wilson's interval
    with pytest.raises(ProfileError):
        intervals.bootstrap([], 0)


def test_stratified_bootstrap_keeps_the_strata():
    groups = [[1.0] * 50, [0.0] * 50]
    assert intervals.stratified_bootstrap(groups, 0) == pytest.approx((0.5, 0.5))
    low, high = intervals.bootstrap(groups[0] + groups[1], 0)
    assert high - low > 0.1
    assert intervals.stratified_bootstrap(groups, 0, [0.25, 0.75]) == pytest.approx((0.25, 0.25))
    with pytest.raises(ProfileError, match="weights"):
        intervals.stratified_bootstrap(groups, 0, [1.0])
    with pytest.raises(ProfileError):
        intervals.stratified_bootstrap([], 0)


def test_extract_calls_is_what_decodes(everything):
    q = everything[0]
    assert bfcl.decode(oracle(q), q) == [{c.name: c.arguments} for c in extract_calls(oracle(q))]
