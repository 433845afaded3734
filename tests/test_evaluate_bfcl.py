"""BFCL around the verdicts: question sets, formulas, the official folders, malformed answers, templates."""

import csv
import json
import os
import shutil
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xlam_lib import paper
from xlam_lib.errors import AssetError, ProfileError, SchemaError
from xlam_lib.evaluate import bfcl, formulas, layout
from xlam_lib.evaluate.executable import REGISTRY
from xlam_lib.evaluate.oracle import oracle
from xlam_lib.evaluate.questions import DATED
from xlam_lib.records import read_json, read_jsonl, write_json, write_jsonl
from xlam_lib.synthesis.execute import Pool

TABLES = Path(os.environ.get("XLAM_DATA", "data")).parent / "paper_tables"


@pytest.fixture(scope="module")
def package() -> list[bfcl.Question]:
    try:
        return bfcl.questions()
    except AssetError as error:
        pytest.skip(f"the benchmark cannot be fetched: {error}")


@pytest.fixture(scope="module")
def dated(package, xlam_data) -> list[bfcl.Question]:
    return bfcl.questions(which=DATED, folder=xlam_data / "bfcl_v2")


@pytest.fixture(scope="module")
def pool():
    with Pool(1, registry=REGISTRY) as pool:
        yield pool


# ------------------------------------------------------------------------------------------ question sets

FUNCTION = {
    "name": "tides.next",
    "description": "The next high tide.",
    "parameters": {
        "type": "dict",
        "properties": {"port": {"type": "string", "description": "Port."}},
        "required": ["port"],
    },
}


def write_set(folder: Path, category: str = "simple", **changes) -> Path:
    """A question set of one question of our own in the older files' shape."""
    record = {
        "id": f"{category}_0",
        "question": [{"role": "user", "content": "When is high tide in Brest?"}],
        "function": [FUNCTION],
    }
    answer = {"id": f"{category}_0", "ground_truth": [{"tides.next": {"port": ["Brest"]}}]}
    write_jsonl(folder / f"BFCL_v2_{category}.json", [record | changes])
    write_jsonl(folder / "possible_answer" / f"BFCL_v2_{category}.json", [answer])
    return folder


def read_set(folder: Path, categories=("simple_python",)) -> list[bfcl.Question]:
    return bfcl.questions(categories, which=DATED, folder=folder)


def test_the_older_files_are_read_under_todays_names(tmp_path):
    (question,) = read_set(write_set(tmp_path))
    assert (question.id, question.category) == ("simple_python_0", "simple_python")
    assert question.messages == (("user", "When is high tide in Brest?"),)
    assert question.possible_answer == [{"tides.next": {"port": ["Brest"]}}]
    (java,) = read_set(write_set(tmp_path, "java"), ["simple_java"])
    assert (java.id, java.language) == ("simple_java_0", "java")


def test_right_calls_stand_in_the_older_files_themselves(tmp_path):
    changes = {"ground_truth": ["math_gcd(a=4, b=6)"], "execution_result_type": ["exact_match"]}
    (question,) = read_set(write_set(tmp_path, "exec_simple", **changes), ["exec_simple"])
    assert (question.ground_truth, question.result_types) == (["math_gcd(a=4, b=6)"], ["exact_match"])


def test_faulty_files_are_errors_that_name_the_record(tmp_path):
    with pytest.raises(ProfileError, match="2023-01-01"):
        bfcl.questions(which="2023-01-01")
    with pytest.raises(ProfileError, match="give the folder"):
        bfcl.questions(which=DATED)
    with pytest.raises(ProfileError, match="takes no folder"):
        bfcl.questions(folder=tmp_path)
    with pytest.raises(AssetError, match="BFCL_v2_simple"):
        read_set(tmp_path)
    faults = [({"id": "simple_7"}, "no answer"), ({"function": 3}, "shape"), ({"question": []}, "record 1")]
    for changes, message in faults:
        with pytest.raises((AssetError, SchemaError), match=message):
            read_set(write_set(tmp_path, **changes))
    with pytest.raises(SchemaError, match="record 1"):
        read_set(write_set(tmp_path, id=5))


def test_differences(tmp_path):
    (old,) = read_set(write_set(tmp_path))
    words = [{"role": "user", "content": "High tide in Brest, please?"}]
    (new,) = read_set(write_set(tmp_path, question=words))
    (found,) = bfcl.differences([old], [new])
    assert (found.category, found.before, found.after) == ("simple_python", 1, 1)
    assert found.changed == {"queries": ["simple_python_0"], "functions": [], "answers": []}
    (gone,) = bfcl.differences([old], [])
    assert (gone.removed, gone.added) == (["simple_python_0"], [])


def test_the_reports_questions(dated, package):
    counts = Counter(question.category for question in dated)
    assert counts == paper.BFCL_V2_COUNTS
    score = bfcl.score({q.id: oracle(q) for q in dated}, questions=dated)
    # What no answer can pass under the checker: answers that contradict their own question.
    assert [v.id for v in score.verdicts if not v.valid] == [
        "simple_python_363",
        "simple_java_36",
        "simple_java_65",
        "simple_javascript_41",
        "parallel_multiple_179",
        "live_simple_106-63-0",
        "live_simple_112-68-0",
        "live_multiple_862-181-3",
        "live_multiple_964-207-0",
    ]
    assert score.overall_v2 == pytest.approx(0.99856, abs=1e-5)
    found = {item.category: item for item in bfcl.differences(dated, package)}
    assert (len(found["live_relevance"].removed), len(found["live_relevance"].added)) == (34, 9)
    assert (len(found["live_multiple"].added), len(found["live_irrelevance"].added)) == (16, 9)
    assert found["exec_parallel"].changed["queries"] == ["exec_parallel_10"]
    assert found["exec_parallel_multiple"].changed["answers"] == ["exec_parallel_multiple_30"]
    assert not any(found["rest"].changed.values()) and not found["rest"].removed


# ----------------------------------------------------------------------------------------------- formulas


def test_table5_by_our_formula():
    for row in paper.bfcl_v2_table5():
        made = formulas.assemble("v2", {name: value / 100 for name, value in row.columns.items()})
        assert made.overall is not None
        assert 100 * made.overall == pytest.approx(row.overall, abs=0.0101), row.model


def test_remeasured_columns_from_categories():
    for row in paper.bfcl_v2_remeasured():
        parts = row.categories | {name: row.columns[name] for name in bfcl.EXEC_COLUMNS}
        parts |= {
            "irrelevance": row.categories["non_live_irrelevance"],
            "exec_simple": row.categories["exec_python"],
        }
        made = formulas.summary("v2", parts, paper.BFCL_V2_COUNTS)
        assert made.overall == pytest.approx(row.overall, abs=0.0101), row.model
        for name, value in row.columns.items():
            assert made.parts[name] == pytest.approx(value, abs=0.0101), (row.model, name)


@pytest.mark.skipif(not TABLES.is_dir(), reason="no folder paper_tables beside XLAM_DATA")
def test_v3_by_our_formula():
    """The table hides irrelevance's two halves: each follows from a formula, and their mean is shown."""
    with (TABLES / "bfcl_v3_leaderboard_2024-09-20.csv").open(encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 30
    counts = paper.BFCL_V2_COUNTS
    names = ("Simple", "Multiple", "Parallel", "Parallel Multiple")
    for row in rows:
        number = {key: float(value[:-1]) for key, value in row.items() if value.endswith("%")}
        live = [number[f"Live {name} AST"] for name in names] + [number["Relevance Detection"]]
        sizes = [counts[f"live_{name.lower().replace(' ', '_')}"] for name in names] + [
            counts["live_relevance"]
        ]
        every = sum(sizes) + counts["live_irrelevance"]
        known = sum(a * b for a, b in zip(live, sizes, strict=True))
        refused_live = (number["Live Acc"] * every - known) / counts["live_irrelevance"]
        refused = 2 * number["Irrelevance Detection"] - refused_live
        columns = {f"ast_{n.lower().replace(' ', '_')}": number[f"Non-Live {n} AST"] for n in names}
        columns |= {f"exec_{n.lower().replace(' ', '_')}": number[f"Non-Live {n} Exec"] for n in names}
        parts = {
            "non_live": formulas.non_live_v3(columns | {"irrelevance": refused}),
            "live": number["Live Acc"],
            "multi_turn": number["Multi Turn Acc"],
        }
        # The hidden half is known to 0.03 only, which is 0.001 of the overall.
        assert formulas.overall_v3(parts) == pytest.approx(number["Overall Acc"], abs=0.02), row["Model"]


def test_todays_versions_say_what_is_not_measured():
    accuracy = {name: 0.5 for name in bfcl.CATEGORIES} | {"live_multiple": 1.0, "simple_java": 1.0}
    v4 = formulas.summary("v4", accuracy, paper.BFCL_V2_COUNTS)
    assert v4.overall is None and set(v4.unmeasured) == {"multi_turn", "agentic"}
    assert v4.parts["non_live"] == pytest.approx((0.5 + 1 / 6 + 3 * 0.5) / 4)
    assert v4.parts["live"] == pytest.approx((0.5 * (258 + 16 + 24) + 1037) / 1335)
    v3 = formulas.summary("v3", accuracy, paper.BFCL_V2_COUNTS)
    assert v3.parts["non_live"] == pytest.approx((0.5 * 9 + 1 / 6) / 9)
    assert v3.parts["live"] == pytest.approx((0.5 * (2251 - 1037) + 1037) / 2251)
    assert v3.overall is None and list(v3.unmeasured) == ["multi_turn"]
    del accuracy["live_simple"], accuracy["rest"]
    assert formulas.summary("v3", accuracy, paper.BFCL_V2_COUNTS).parts["non_live"] is None
    v4 = formulas.summary("v4", accuracy, paper.BFCL_V2_COUNTS)
    assert v4.parts["live"] is None and "not all" in v4.unmeasured["live"]
    v2 = formulas.summary("v2", accuracy, paper.BFCL_V2_COUNTS)
    assert list(v2.unmeasured) == ["ast_simple", "exec_simple"] and v2.overall is None
    parts = {"non_live": 0.5, "live": 0.5, "irrelevance": 1.0, "multi_turn": 0.0, "agentic": 0.25}
    assert formulas.assemble("v4", parts).overall == pytest.approx(0.3)
    with pytest.raises(ProfileError, match="v1"):
        formulas.summary("v1", accuracy, {})


def test_small_columns_weigh_much():
    results = {name: (round(0.8 * count), count) for name, count in paper.BFCL_V2_COUNTS.items()}
    found = formulas.influence(results)
    assert found.overall == pytest.approx(0.8, abs=0.01)
    columns = {item.column: item for item in found.columns}
    assert list(columns) == list(bfcl.COLUMNS)
    assert sum(item.share for item in found.columns) == pytest.approx(1)
    assert columns["relevance"].smallest == ("live_relevance", 41)
    assert columns["relevance"].per_question == pytest.approx(0.1 / 41)
    assert columns["ast_parallel"].smallest == ("live_parallel", 16)
    assert columns["ast_parallel"].per_question == pytest.approx(0.05 / 16)
    # 41 questions of 3,951 make up more of the spread than the 1,295 of the multiple column.
    assert columns["relevance"].share > 5 * columns["ast_multiple"].share
    wide = found.interval[1] - found.interval[0]
    results["live_relevance"] = (13, 16)
    again = formulas.influence(results)
    assert again.interval[1] - again.interval[0] > wide
    perfect = formulas.influence({"live_relevance": (16, 16)})
    assert (perfect.overall, len(perfect.columns)) == (1.0, 1) and perfect.interval[0] < 0.95


def test_influence_is_the_bootstraps(package):
    """The formula's interval is close to what resampling the verdicts gives."""
    asked = bfcl.sample(package, 30, 3)
    asked = [q for q in asked if not bfcl.CATEGORIES[q.category].executed]
    right = {q.id: oracle(q) if place % 3 else "Sorry." for place, q in enumerate(asked)}
    score = bfcl.score(right, questions=asked)
    found = formulas.influence({n: (rate.correct, rate.count) for n, rate in score.categories.items()})
    assert found.overall == pytest.approx(score.measured_mean.value)
    widths = [b - a for a, b in (found.interval, score.measured_mean.interval)]
    assert widths[0] == pytest.approx(widths[1], rel=0.25)


def test_influence_refuses_what_is_no_rate():
    for results in ({}, {"rest": (1, 2)}, {"live_relevance": (3, 2)}, {"live_relevance": (0, 0)}):
        with pytest.raises(ProfileError):
            formulas.influence(results)
    with pytest.raises(ProfileError, match="level"):
        formulas.influence({"live_relevance": (1, 2)}, level=2)


# --------------------------------------------------------------------------------- official tool's folders


@pytest.fixture
def few(package) -> list[bfcl.Question]:
    return bfcl.sample(
        package, {"simple_python": 3, "live_parallel": 2, "irrelevance": 2, "exec_multiple": 2}, 1
    )


def test_results_are_written_and_read(few, pool, tmp_path):
    responses = {q.id: oracle(q) for q in few} | {few[0].id: "Sorry, \ud800 no."}
    del responses[few[1].id]
    files = layout.write_results(tmp_path, "org/model-1", few, responses)
    names = [str(path.relative_to(tmp_path)) for path in files]
    assert names == [
        "result/org_model-1/non_live/BFCL_v4_simple_python_result.json",
        "result/org_model-1/non_live/BFCL_v4_exec_multiple_result.json",
        "result/org_model-1/non_live/BFCL_v4_irrelevance_result.json",
        "result/org_model-1/live/BFCL_v4_live_parallel_result.json",
    ]
    assert set(next(iter(read_jsonl(files[0])))) == {"id", "result"}
    back = layout.read_results(tmp_path, "org/model-1", few)
    assert back == responses | {few[0].id: "Sorry, ? no."}
    verdicts = [
        [v.valid for v in bfcl.score(r, questions=few, executor=pool).verdicts] for r in (back, responses)
    ]
    assert verdicts[0] == verdicts[1]


def test_results_as_calls_are_scored_alike(package, tmp_path):
    asked = bfcl.sample(package, {"multiple": 30, "live_simple": 30, "parallel": 10, "irrelevance": 3}, 2)
    responses = {q.id: oracle(q) for q in asked} | {asked[3].id: "Sorry."}
    files = layout.write_results(tmp_path, "m", asked, responses, form="calls")
    for record in read_jsonl(files[0]):
        assert record["result"] == "Sorry." or all(
            isinstance(json.loads(arguments), dict)
            for call in record["result"]
            for arguments in call.values()
        )
    # An interface that forbids dots: the names come back with underscores.
    for file in files:
        text = [json.loads(line) for line in file.read_text().splitlines()]
        for record in text:
            if isinstance(record["result"], list):
                record["result"] = [{n.replace(".", "_"): a for n, a in c.items()} for c in record["result"]]
        write_jsonl(file, text)
    back = layout.read_results(tmp_path, "m", asked)
    first, second = (bfcl.score(given_, questions=asked) for given_ in (responses, back))
    assert [v.valid for v in first.verdicts] == [v.valid for v in second.verdicts]


def test_results_made_elsewhere(package, tmp_path):
    asked = bfcl.sample(package, {"simple_python": 4}, 0)
    name = asked[0].functions[0]["name"]
    old = asked[0].id.replace("simple_python", "simple")
    folder = tmp_path / "result" / "gpt"
    records = [
        {"id": old, "result": [{name: {"x": 1}}], "latency": 0.4, "input_token_count": 12},
        {"id": asked[1].id, "result": [{name: "{not json"}]},
        {"id": asked[2].id, "result": [{name: "[1]"}]},
        {"id": "multi_turn_base_3", "result": [["x"]]},
    ]
    write_jsonl(folder / "BFCL_v3_simple_result.json", records)
    write_jsonl(folder / "notes_result.json", [{"anything": 1}])
    back = layout.read_results(tmp_path, "gpt", asked)
    assert json.loads(back[asked[0].id]) == {"tool_calls": [{"name": name, "arguments": {"x": 1}}]}
    assert set(back) == {q.id for q in asked[:3]}
    score = bfcl.score(back, questions=asked)
    assert score.categories["simple_python"].correct == 0 and score.missing == [asked[3].id]
    for bad, message in (
        ([{"result": "x"}], "record 1.*id"),
        ([{"id": old, "result": 5}], "neither"),
        ([{"id": old, "result": "a"}, {"id": asked[0].id, "result": "b"}], "record 2.*twice"),
    ):
        write_jsonl(folder / "BFCL_v3_simple_result.json", bad)
        with pytest.raises(SchemaError, match=message):
            layout.read_results(tmp_path, "gpt", asked)
    with pytest.raises(AssetError, match="result"):
        layout.read_results(tmp_path, "other", asked)


def test_scores_are_written(few, pool, tmp_path):
    responses = {q.id: oracle(q) for q in few} | {few[0].id: "Sorry."}
    score = bfcl.score(responses, questions=few, executor=pool)
    files = layout.write_scores(tmp_path, "m", few, score, responses)
    assert [path.name for path in files][0] == "BFCL_v4_simple_python_score.json"
    head, wrong = read_jsonl(files[0])
    assert head == {"accuracy": 2 / 3, "correct_count": 2, "total_count": 3}
    assert (wrong["id"], wrong["valid"], wrong["model_result_raw"]) == (few[0].id, False, "Sorry.")
    assert sum(len(list(read_jsonl(path))) for path in files) == len(files) + 1


def test_model_names_stay_in_the_folder(few, tmp_path):
    for name in ("", "..", ".", "a\\b", "a\x00"):
        with pytest.raises(ProfileError, match="model"):
            layout.write_results(tmp_path, name, few, {})
    assert layout.model_folder_name("../x") == ".._x"
    with pytest.raises(ProfileError, match="form"):
        layout.write_results(tmp_path, "m", few, {}, form="tables")


# --------------------------------------------------------------------------------------- malformed answers

MALFORMED = [
    "[" * 100_000,
    '{"a":' * 50_000,
    '{"tool_calls": [{"name": "f", "arguments": {"x": ' + "[" * 200 + "]" * 200 + "}}]}",
    '{"tool_calls": [{"name": "f", "arguments": {"x": ' + '{"a":' * 90 + "1" + "}" * 90 + "}}]}",
    '{"tool_calls": [{"name": "f", "arguments": {"x": ' + "9" * 5000 + "}}]}",
    '{"tool_calls": [{"name": "f", "arguments": {"x": ' + "9" * 4000 + "}}]}",
    '{"tool_calls": [{"name": "f", "arguments": {"x": 1e400}}]}',
    '{"tool_calls": [{"name": "f", "arguments": {"x": "\\ud800"}}]}',
    '{"tool_calls": [{"name": "f", "arguments": {"x": "\ud800"}}]}',
    '{"tool_calls": [{"name": "\ud800", "arguments": {}}]}',
    "\ud800 lone",
    '{"tool_calls": [{"name": "f", "arguments": {"x": "' + "a" * 250_000 + '"}}]}',
    "a" * 400_000,
    '{"tool_calls": ' + json.dumps([{"name": "f", "arguments": {}}] * 300) + "}",
    '{"tool_calls": [{"name": "f", "arguments": []}]}',
    "\x00\x01\x02",
    "```json\n" * 1000,
]


@pytest.fixture(scope="module")
def one_of_each(package):
    return bfcl.sample(package, 1, 5)


@pytest.mark.parametrize("text", MALFORMED, ids=range(len(MALFORMED)))
def test_malformed_answers_are_judged_and_can_be_written(text, one_of_each, pool, tmp_path):
    for format in ("json", "python"):
        responses = {question.id: text for question in one_of_each}
        score = bfcl.score(responses, questions=one_of_each, format=format, executor=pool)
        assert not any(
            v.valid
            for v in score.verdicts
            if bfcl.CATEGORIES[v.category].kind not in ("irrelevance", "relevance")
        )
        write_json(tmp_path / "score.json", score)
        assert read_json(tmp_path / "score.json", bfcl.Score) == score
        layout.write_scores(tmp_path, "m", one_of_each, score, responses)


def test_arguments_of_any_shape_are_judged(package, pool):
    """Each argument of a right answer replaced by values of every kind."""
    odd = [None, True, 0, -1, 2**64, 1e308, "", "\u0000", [], {}, [[]], [{}], {"": None}, "x" * 10_000]
    asked = [
        q
        for q in bfcl.sample(package, 3, 8)
        if bfcl.CATEGORIES[q.category].kind not in ("irrelevance", "relevance")
    ]
    answers = []
    for question in asked:
        calls = json.loads(oracle(question))["tool_calls"]
        for value in odd:
            changed = [{**call, "arguments": dict.fromkeys(call["arguments"], value)} for call in calls]
            answers.append((json.dumps({"tool_calls": changed}), question))
    verdicts = bfcl.judge_all(answers, executor=pool)
    assert len(verdicts) == len(answers)
    assert all(v.valid or v.error_type for v in verdicts)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda b: b.decode("utf-8", "surrogateescape")))
def test_no_text_breaks_the_scorer(text):
    function = FUNCTION
    for category in ("simple_python", "irrelevance", "live_relevance"):
        question = bfcl.Question(
            id=f"{category}_0",
            category=category,
            language="python",
            query="?",
            messages=(("user", "?"),),
            functions=[function],
            tools=[bfcl.to_tool(function, "python")],
            possible_answer=[{"tides.next": {"port": ["Brest"]}}],
        )
        verdict = bfcl.judge(text, question)
        assert verdict.valid == (category == "irrelevance") or verdict.calls is not None
        verdict.message.encode()


def test_scoring_asks_no_model(one_of_each, pool, monkeypatch):
    from xlam_lib import generation

    def refuse(*_, **__):
        raise AssertionError("a model was asked")

    monkeypatch.setattr(generation, "generate", refuse)
    given_ = {question.id: oracle(question) for question in one_of_each}
    score = bfcl.score(given_, questions=one_of_each, executor=pool)
    assert len(score.verdicts) == len(one_of_each)


# ---------------------------------------------------------------------------------------- own chat template

WITH_TOOLS = (
    "{% if tools %}<tools>{% for t in tools %}{{ t.function | tojson }}\n{% endfor %}</tools>{% endif %}"
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}</{{ m.role }}>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def with_template(tiny_model, folder: Path, template: str):
    from transformers import AutoTokenizer

    from xlam_lib.evaluate.own_template import OwnTemplate

    shutil.copytree(tiny_model, folder, dirs_exist_ok=True)
    for old in folder.glob("*.jinja"):
        old.unlink()
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    return OwnTemplate.load(folder, "own")


def test_a_model_is_asked_by_its_own_template(tiny_model, tmp_path, package):
    from xlam_lib.evaluate.own_template import chat, prompt
    from xlam_lib.inference import generate

    model = with_template(tiny_model, tmp_path, WITH_TOOLS)
    question = next(q for q in package if q.category == "live_simple" and len(q.messages) == 1)
    asked = chat(question)
    text = prompt(model.tokenizer, asked)
    assert text.startswith("<tools>") and text.endswith("</user><assistant>")
    assert question.functions[0]["name"] in text and question.query in text
    assert model.tokenizer.decode(model.encode(asked)) == text
    shown = json.loads(text.removeprefix("<tools>").partition("\n")[0])
    assert set(shown["parameters"]) == {"type", "properties", "required"}
    (answer,) = generate([asked], model, max_new_tokens=2)
    assert answer.prompt_tokens == len(model.encode(asked))
    plain = [{"role": "user", "content": "Hello"}]
    assert model.tokenizer.decode(model.encode(plain)) == "<user>Hello</user><assistant>"


def test_a_template_without_tools_is_an_error(tiny_model, tmp_path, package):
    from xlam_lib.evaluate.own_template import chat

    blind = with_template(tiny_model, tmp_path / "a", "{% for m in messages %}{{ m.content }}{% endfor %}")
    asked = chat(package[0])
    with pytest.raises(ProfileError, match="own: its chat template does not show"):
        blind.encode(asked)
    failing = with_template(tiny_model, tmp_path / "b", "{{ raise_exception('no system role') }}")
    with pytest.raises(ProfileError, match="no system role"):
        failing.encode(asked)
