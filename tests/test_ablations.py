"""Arms that differ in one thing only, units that are kept, and intervals that know seeds and questions."""

from __future__ import annotations

import ast
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import pyplot as plt

from xlam_lib import ablations, assets, mixture, verify
from xlam_lib.ablations import arms as arms_module
from xlam_lib.ablations import figures, layouts, reporting, running
from xlam_lib.ablations.differences import METRICS, compare, crossed_bootstrap, from_rows, level_of, rows
from xlam_lib.ablations.material import BFCL, OWN_LAYOUT, SOURCES, SYNTHETIC, plain
from xlam_lib.bench import ablations as bench
from xlam_lib.equivalence import same_calls
from xlam_lib.errors import ProfileError
from xlam_lib.evaluate.bfcl import read_answer
from xlam_lib.formats import get_format
from xlam_lib.intervals import bootstrap
from xlam_lib.records import read_json, write_jsonl
from xlam_lib.schema import Step, Tool, ToolCall, Trajectory
from xlam_lib.sources import SAMPLES, unify
from xlam_lib.synthesis import LIBRARY, format_check, synthesize
from xlam_lib.synthesis.checks import executable_calls
from xlam_lib.train import common, data, sft

COUNT, SHARE = 24, 0.25
COMMON = ablations.Settings(COUNT, SHARE, "xml", ("json", "json_list", "json_lines"), 512)


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory) -> dict[str, Path]:
    """What chapters 1, 3 and 4 leave, of the sources that single requests come from."""
    folder = tmp_path_factory.mktemp("artifacts")
    for name in layouts.SOURCE_LAYOUTS:
        found = [o for o in unify(name, SAMPLES / name) if isinstance(o, Trajectory)]
        write_jsonl(folder / "unified" / f"{name}.jsonl", found)
        write_jsonl(folder / "verified" / f"{name}.jsonl", verify.verify(found).accepted)
    synthesize(600, folder / "synthetic", seed=0)
    return {name: folder / name for name in ("unified", "verified", "synthetic")}


@pytest.fixture(scope="module")
def material(artifacts) -> ablations.Material:
    count = mixture.token_counter(assets.model_folder())
    return ablations.gather(
        artifacts, COMMON, count, held_out=21, questions={"simple_python": 2, "irrelevance": 1}, seed=0
    )


@pytest.fixture(scope="module")
def built(material) -> dict[str, list[mixture.Example]]:
    return {name: ablations.build(arm, material, 0) for name, arm in ablations.ARMS.items()}


def record_of(example: mixture.Example) -> str:
    return example.id.split("#")[0].split("~")[0]


def by_record(examples):
    return {record_of(example): example for example in examples}


def query_of(example: mixture.Example) -> str:
    """What a unified prompt of any style asks."""
    for begin, end in (("<query>\n", "\n</query>"), ("[BEGIN OF QUERY]\n", "\n[END OF QUERY]")):
        if begin in example.prompt:
            return example.prompt.split(begin)[1].split(end)[0]
    return example.prompt.split("Query:\n")[1].split("\n\n")[0]


# --------------------------------------------------------------------------------------------- layouts


def back(answer: str, layout: str) -> list[ToolCall]:
    """Calls as a layout writes them, read without the code that wrote them."""
    if layout == "rows":
        return [ToolCall(**call) for call in json.loads(answer)]
    if layout == "fenced":
        return [ToolCall(**call) for call in json.loads(answer.strip("`"))]
    if layout == "dialogue":
        # Not splitlines(): JSON leaves a next-line character (U+0085) within a string as it is.
        lines = answer.split("\n") if answer.startswith("{") else []
        return [ToolCall(**json.loads(line)) for line in lines]
    if layout == "literals":
        return [ToolCall(call["api"], call["parameters"]) for call in ast.literal_eval(answer)]
    return get_format({"actions": "react", "requests": "python"}[layout]).parse(answer).calls


values = st.one_of(
    st.text(max_size=8), st.integers(-99, 99), st.booleans(), st.lists(st.integers(0, 9), max_size=3)
)
calls = st.lists(
    st.builds(
        ToolCall, st.sampled_from(["find_boat", "tide"]), st.dictionaries(st.sampled_from("abc"), values)
    ),
    max_size=3,
)


@pytest.mark.parametrize("layout", layouts.LAYOUTS)
@given(calls=calls)
def test_a_layout_writes_every_call(layout, calls):
    schema = {name: {"type": "string", "required": name == "a", "enum": ["x", "y"]} for name in "abc"}
    tools = [Tool("find_boat", "Find a boat.", schema), Tool("tide", "How high the tide is.")]
    record = Trajectory("t/1", "t", tools=tools, query="Is there a boat?", steps=[Step(1, tool_calls=calls)])
    prompt, answer = layouts.write(record, layout)
    assert "Is there a boat?" in prompt and all(tool.name in prompt for tool in tools)
    assert back(answer, layout) == calls


# ------------------------------------------------------------------------------------------------ arms


def test_what_the_chat_template_adds_is_counted(tiny_model):
    """Else an example that seems to fit is too long in training, hours later."""
    _, tokenizer = common.load(tiny_model)
    apart = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("Is there a boat?", "[]")]
    whole, _ = data.tokenize(tokenizer, "Is there a boat?", "[]")
    settings = ablations.Settings(1, 0.0, "xml", (), 512)
    assert 0 < len(whole) - sum(map(len, apart)) <= settings.max_tokens - settings.limit


def test_arms_of_a_question_are_as_large_and_read_as_many_tokens(material, built):
    for name, examples in built.items():
        assert len(examples) == COUNT, name
        for against in ablations.ARMS[name].against[:1]:
            ours, theirs = (sum(map(material.tokens, built[arm])) for arm in (name, against))
            # Two dozen examples leave little to even out; the book's arms have more.
            assert abs(ours / theirs - 1) < 0.05, (name, against, ours, theirs)
    # In the same order, too.
    for baseline, others in (
        ("unified", ["raw", "augmented"]),
        ("verified", ["failed execution", "shuffled"]),
    ):
        for other in others:
            assert [*map(record_of, built[other])] == [*map(record_of, built[baseline])]


def test_raw_and_unified_differ_in_the_layout_alone(built):
    raw, unified = by_record(built["raw"]), by_record(built["unified"])
    assert set(raw) == set(unified)
    assert len({example.format for example in raw.values()}) > 3
    for record, example in raw.items():
        other = unified[record]
        assert other.format == "json" and example.format in layouts.LAYOUTS
        assert back(example.answer, example.format) == read_answer(other.answer)
        assert example.tools == other.tools and query_of(other) in example.prompt
        own = layouts.SOURCE_LAYOUTS.get(example.source)
        assert own in (None, example.format)


def test_augmented_asks_and_calls_the_same(built):
    unified = by_record(built["unified"])
    styles = set()
    for example in built["augmented"]:
        other = unified[record_of(example)]
        assert sorted(example.tools) == sorted(other.tools) and query_of(example) == query_of(other)
        assert same_calls(get_format(example.format).parse(example.answer).calls, read_answer(other.answer))
        styles |= {name for name in ("[BEGIN", "<query>", "Query:\n") if name in example.prompt}
    assert styles == {"[BEGIN", "<query>", "Query:\n"}
    assert {example.format for example in built["augmented"]} == {"json", "json_list", "json_lines"}


def test_cleaned_is_augmented_with_the_wrong_records_mended_or_replaced(material, built):
    records, _ = arms_module.drawn(material, 0)
    wrong = {t.unique_trajectory_id for t in records if verify.check(t)}
    assert len(wrong) == round(SHARE * COUNT)
    augmented, cleaned = by_record(built["augmented"]), by_record(built["cleaned"])
    for record in set(augmented) - wrong:
        assert cleaned[record] == augmented[record]
    changed = [record for record in cleaned if cleaned[record] != augmented.get(record)]
    assert len(changed) == len(wrong)
    known = {t.unique_trajectory_id: t for t in [*material.records, *material.synthetic]}
    assert all(not verify.check(known[record]) for record in set(cleaned) - set(augmented))


def test_failed_arms_differ_from_verified_in_a_share_of_answers_that_really_fail(material, built):
    verified = by_record(built["verified"])
    samples = {t.unique_trajectory_id: arms_module.sample_of(t) for t in material.synthetic}
    wrong = {}
    for name in ("failed execution", "failed semantic"):
        failed = by_record(built[name])
        assert set(failed) == set(verified)
        assert all(failed[record].prompt == verified[record].prompt for record in verified)
        wrong[name] = {record for record in verified if failed[record].answer != verified[record].answer}
        assert len(wrong[name]) == round(SHARE * COUNT)
        with LIBRARY.open() as executor:
            for record in wrong[name]:
                answers = [
                    {"name": c.name, "arguments": c.arguments} for c in read_answer(failed[record].answer)
                ]
                sample = samples[record]
                sample.answer = json.dumps({"query": sample.query, "answers": answers})
                runs = not format_check(sample) and not any(
                    outcome.error for outcome in executor.run(executable_calls(sample))
                )
                assert runs == (name == "failed semantic"), (record, answers)
    assert wrong["failed execution"] == wrong["failed semantic"]


def test_shuffled_differs_in_the_order_of_parameters_alone(built):
    verified = by_record(built["verified"])
    moved = 0
    for example in built["shuffled"]:
        other = verified[record_of(example)]
        assert example.tools == other.tools and query_of(example) == query_of(other)
        assert sorted(example.prompt) == sorted(other.prompt)
        assert read_answer(example.answer) == read_answer(other.answer)
        moved += example.prompt != other.prompt
    assert moved > COUNT / 2


def test_seeds_draw_other_records_and_the_same_seed_the_same(material, built):
    arm = ablations.ARMS["verified"]
    assert ablations.build(arm, material, 0) == built["verified"]
    assert set(by_record(ablations.build(arm, material, 1))) != set(by_record(built["verified"]))


# ------------------------------------------------------------------------------------- pools and probes


def test_no_arm_trains_on_a_probe(material, built):
    asked = {record_of(e) for name in (SYNTHETIC, SOURCES, BFCL) for e in material.probes[name].examples}
    pools = {t.unique_trajectory_id for t in [*material.records, *material.synthetic]}
    pools |= {record_of(example) for example in material.sources}
    assert not asked & pools
    assert not any(asked & set(by_record(examples)) for examples in built.values())


def test_probes_are_in_one_form_and_the_own_layouts_hold_the_same(material):
    probes = material.probes
    assert set(probes[SYNTHETIC].groups.values()) == {t.meta["category"] for t in material.synthetic}
    for name in (SYNTHETIC, SOURCES, BFCL):
        assert all("<query>" in e.prompt and e.format == "json" for e in probes[name].examples), name
        assert set(probes[name].groups) == {e.id for e in probes[name].examples}
    for own, other in zip(probes[OWN_LAYOUT].examples, probes[SYNTHETIC].examples, strict=True):
        assert own.id == other.id and own.format in layouts.LAYOUTS
    few = [e for e in probes[SYNTHETIC].examples if ablations.arguments_of(e) == ablations.FEW]
    assert 0 < len(few) < len(probes[SYNTHETIC].examples)
    assert all(len(call.arguments) < 2 for e in few for call in read_answer(e.answer))


def test_plain_form_has_nothing_of_its_source_but_tools_query_and_calls():
    step = Step(1, "Let me see.", [ToolCall("tide", {})], "high")
    meta = {"prompt": {"style": "plain"}, "format": "yaml", "split": "train"}
    record = Trajectory("s/1", "s", "Be kind.", [Tool("tide")], "YAML", [], "How high?", [step], meta)
    made = plain(record)
    assert (made.task_instruction, made.format_instruction, made.meta) == ("", "", {"split": "train"})
    assert made.steps == [Step(1, "", [ToolCall("tide", {})], "high")]


def test_too_little_material_and_wrong_settings_are_told(artifacts):
    count = mixture.token_counter(assets.model_folder())
    with pytest.raises(ProfileError, match="raise synthetic_count or max_tokens"):
        ablations.gather(
            artifacts, replace(COMMON, count=2000), count, held_out=1, questions={"multiple": 1}, seed=0
        )
    with pytest.raises(ProfileError, match="at least 1 example and a share"):
        replace(COMMON, wrong_share=1.0)
    with pytest.raises(ProfileError, match="leave out json"):
        replace(COMMON, formats=("yaml",))
    with pytest.raises(ProfileError, match="'rwa' is unknown; choose from raw"):
        ablations.chosen(["rwa"])
    assert [arm.name for arm in ablations.chosen([])] == list(ablations.ARMS)


def test_an_arm_is_compared_with_arms_of_the_baselines_question_that_exist():
    for arm in ablations.ARMS.values():
        assert arm.question in ablations.QUESTIONS
        assert all(against in ablations.ARMS for against in arm.against)
    assert {arm.name for arm in ablations.ARMS.values() if not arm.against} == {"raw", "verified"}


# ------------------------------------------------------------------------------------------------- units


@pytest.fixture(scope="module")
def setup(tiny_model) -> ablations.Setup:
    training = sft.Settings(method="full", batch_size=4, max_tokens=512, early_share=0.0, warmup_steps=1)
    return ablations.Setup(tiny_model, training, "", 4, 8)


@pytest.fixture(scope="module")
def work(material, setup) -> list[ablations.Unit]:
    return ablations.units(ablations.chosen(["raw", "unified"]), 2, material, setup)


def scores(value: float, ids=("a", "b", "c")) -> running.Scores:
    return running.Scores(list(ids), [value] * len(ids), [0.5] * len(ids), [False] * len(ids))


def fake(unit, value=1.0) -> ablations.Result:
    found = {SYNTHETIC: scores(value)}
    return ablations.Result(unit.arm.name, unit.seed, unit.fingerprint, 8, 8, 1000, 200, 2, found)


@pytest.fixture
def done(monkeypatch) -> list[str]:
    """What was trained, without a training."""
    names: list[str] = []

    def do(unit, material, setup, folder, pace, report=None):
        names.append(unit.file)
        pace.add("trained", 1000, 1.0)
        return fake(unit)

    monkeypatch.setattr(running, "do", do)
    return names


def test_every_arm_comes_once_before_any_comes_twice(work):
    assert [(unit.arm.name, unit.seed) for unit in work] == [
        ("raw", 0), ("unified", 0), ("raw", 1), ("unified", 1),
    ]  # fmt: skip
    assert len({unit.fingerprint for unit in work}) == 4


def test_a_unit_is_done_once_and_again_when_anything_has_changed(work, material, setup, done, tmp_path):
    first = ablations.run(work, material, setup, tmp_path, most=1)
    assert done == ["raw-0.json"] and [u.file for u in first.not_run] == [u.file for u in work[1:]]
    whole = ablations.run(work, material, setup, tmp_path)
    assert done == [unit.file for unit in work] and not whole.not_run
    assert ablations.run(work, material, setup, tmp_path).results == whole.results and len(done) == 4
    # Results of an earlier run are taken over, and stand in the new folder too.
    again = ablations.run(work, material, setup, tmp_path / "new", earlier=[tmp_path])
    assert again.results == whole.results and len(done) == 4
    assert read_json(tmp_path / "new" / "raw-1.json", ablations.Result) == whole.results[2]
    other = replace(setup, training=replace(setup.training, learning_rate=1e-3))
    changed = ablations.units(ablations.chosen(["raw"]), 1, material, other)
    assert ablations.read_results(changed, [tmp_path]) == []


def test_an_interrupted_run_keeps_what_is_done(work, material, setup, done, tmp_path, monkeypatch):
    working = running.do

    def dies(unit, *rest):
        if unit.seed == 1:
            raise KeyboardInterrupt
        return working(unit, *rest)

    monkeypatch.setattr(running, "do", dies)
    with pytest.raises(KeyboardInterrupt):
        ablations.run(work, material, setup, tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*.json")) == ["raw-0.json", "unified-0.json"]
    monkeypatch.setattr(running, "do", working)
    assert len(ablations.run(work, material, setup, tmp_path).results) == 4
    assert done == [unit.file for unit in work]


def test_what_the_budget_leaves_no_time_for_is_reported(work, material, setup, done, tmp_path):
    said = []
    outcome = ablations.run(
        work, material, setup, tmp_path, hours=1e-6, report=lambda *told: said.append(told)
    )
    assert done == ["raw-0.json"]
    assert ablations.not_run(outcome) == ["unified, seed 0", "raw, seed 1", "unified, seed 1"]
    assert said[-1] == (1, 4, "3 not run")
    table = ablations.plan(work, material, ablations.Pace(), outcome.results)
    assert [(row["arm"], row["seeds"], row["done"]) for row in table] == [("raw", 2, 1), ("unified", 2, 0)]
    assert table[1]["seconds left"] > table[0]["seconds left"] > 0


def test_a_pace_is_guessed_until_it_is_measured():
    pace = ablations.Pace()
    assert pace.rate("trained") == 200 and not pace.measured
    pace.add("trained", 900, 3.0)
    assert pace.rate("trained") == 300 and pace.measured


def test_a_unit_trains_and_measures(work, material, setup, tmp_path):
    raw, unified = work[:2]
    pace = ablations.Pace()
    result = running.do(raw, material, setup, tmp_path / "work", pace)
    assert (result.arm, result.seed, result.examples, result.steps) == ("raw", 0, COUNT, COUNT // 4)
    assert set(result.scores) == {SYNTHETIC, SOURCES, BFCL, OWN_LAYOUT}
    for name, found in result.scores.items():
        assert found.ids == [e.id for e in material.probes[name].examples]
        assert all(np.isfinite(found.loss)) and all(0 <= share <= 1 for share in found.right)
    assert len(result.scores[BFCL].valid) == 3 and not any(result.scores[BFCL].valid)
    assert pace.measured and pace.done["answers"] == 3
    assert not (tmp_path / "work").exists() and result.seconds > 0
    assert OWN_LAYOUT not in [probe.name for probe in running.probes_of(unified.arm, material)]
    with pytest.raises(ProfileError, match="longer than max_tokens=64"):
        tight = replace(setup, training=replace(setup.training, max_tokens=64))
        short = replace(raw, examples=[replace_prompt(raw.examples[0]), *raw.examples[1:3]])
        running.do(short, material, tight, tmp_path / "work", pace)


def replace_prompt(example: mixture.Example) -> mixture.Example:
    return mixture.Example(example.id, example.source, example.style, "Which boat?", "[]", [])


# ------------------------------------------------------------------------------------------- differences


def results_of(tables: dict[str, list[list[float]]]) -> list[ablations.Result]:
    """One result a row: losses of probes ``a``, ``b``, ..."""
    return [
        ablations.Result(arm, seed, "", 1, 1, 1, 1, 1, {
            SYNTHETIC: running.Scores([chr(97 + i) for i in range(len(row))], row, row, [v < 1 for v in row])
        })
        for arm, table in tables.items()
        for seed, row in enumerate(table)
    ]  # fmt: skip


LOSS = METRICS["loss, synthetic"]


def test_differences_are_paired_over_seeds_and_probes():
    found = results_of({"unified": [[1.0, 2.0], [3.0, 4.0]], "raw": [[1.5, 2.5], [3.5, 4.5], [9.0, 9.0]]})
    d = compare(found, "unified", "raw", LOSS)
    assert (d.value, d.low, d.high, d.seeds, d.probes) == (-0.5, -0.5, -0.5, 2, 2)
    said = "-0.500 nats [-0.500, -0.500]; the interval leaves 0 out: better."
    assert d.clear and d.sentence() == f"unified against raw, loss, synthetic: {said}"
    assert compare(found, "unified", "raw", LOSS, among=["b"]).probes == 1
    exact = compare(found, "unified", "raw", METRICS["exact, synthetic"])
    assert exact.value == 0 and not exact.clear and "no difference is shown" in exact.sentence()
    missing = compare(found, "cleaned", "raw", LOSS)
    assert missing.value is None and missing.sentence().endswith("not run.")
    assert rows([missing]) == [] and from_rows(rows([d])) == [d]
    assert level_of(found, "raw", LOSS).seeds == 3
    assert reporting.finding([d], "loss, synthetic") == "unified better than raw"


@given(st.lists(st.lists(st.floats(-5, 5), min_size=4, max_size=4), min_size=1, max_size=4), st.floats(-3, 3))
def test_the_crossed_bootstrap_moves_with_its_values_and_stays_among_them(table, shift):
    low, high = crossed_bootstrap(table, 0, n=200)
    moved = crossed_bootstrap(np.array(table) + shift, 0, n=200)
    assert np.allclose(moved, (low + shift, high + shift), atol=1e-9)
    assert np.min(table) - 1e-9 <= low <= high <= np.max(table) + 1e-9


def test_one_seed_is_judged_by_its_questions_and_more_by_both():
    rng = np.random.default_rng(1)
    row = rng.normal(size=60)
    assert np.allclose(crossed_bootstrap([row], 0, n=20_000), bootstrap(row, 1, n=20_000), atol=0.02)
    width = np.diff(crossed_bootstrap([row, row, row], 0, n=4000))[0]
    apart = np.diff(crossed_bootstrap([row - 1, row, row + 1], 0, n=4000))[0]
    assert apart > 2 * width


def test_the_interval_covers_the_truth_when_seeds_and_questions_both_vary():
    rng = np.random.default_rng(2)
    hits = 0
    for trial in range(200):
        table = rng.normal(size=(8, 1)) + rng.normal(size=(1, 40)) + rng.normal(size=(8, 40))
        low, high = crossed_bootstrap(table, trial, n=300)
        hits += low <= 0 <= high
    assert 0.86 <= hits / 200 <= 0.99


def test_the_crossed_bootstrap_refuses_what_is_no_table():
    for bad in ([], [[]], [1.0, 2.0]):
        with pytest.raises(ProfileError, match="at least one seed and one probe"):
            crossed_bootstrap(bad, 0)  # pyright: ignore[reportArgumentType]


# --------------------------------------------------------------------------------------------- reporting


def test_the_published_figures_are_the_papers():
    assert len(ablations.published("format")) == 4 and len(ablations.published("checks")) == 4
    assert ablations.published("order") == []
    assert ("failed the semantic check, xLAM-7B (FC)", -4.06) in ablations.published("checks")


def test_the_arms_table_says_how_much_each_reads(work, material):
    table = ablations.arm_rows(work, material)
    assert [row["arm"] for row in table] == ["raw", "unified"]
    assert table[0]["tokens against"] == "+0.0%" and table[0]["examples"] == COUNT
    assert 0 < table[0]["from sources"] <= COUNT


def test_a_summary_holds_the_differences_and_what_was_not_run(work, material):
    outcome = ablations.Outcome([fake(work[0], 2.0), fake(work[1], 1.0)], list(work[2:]), 5.0)
    arms = ablations.chosen(["raw", "unified"])
    made = ablations.summary(outcome, work, arms, material)
    assert [(row["arm"], row["metric"], row["value"]) for row in made["differences"]] == [
        ("unified", "loss, synthetic", -1.0), ("unified", "exact, synthetic", 0.0),
    ]  # fmt: skip
    assert made["not_run"] == ["raw, seed 1", "unified, seed 1"] and made["trainings"] == 2
    assert json.loads(json.dumps(made)) == made


def test_the_figure_draws_gains_to_the_right():
    found = results_of({"unified": [[1.0, 2.0]], "raw": [[1.5, 2.5]]})
    pairs = [
        compare(found, "unified", "raw", METRICS[name]) for name in ("loss, synthetic", "exact, synthetic")
    ]
    figure = figures.differences(pairs, "A title", [("augment against raw", 2.3)])
    published, ours, shares = figure.axes
    assert figure.get_suptitle() == "A title"
    assert [patch.get_width() for patch in published.patches] == [2.3]
    assert ours.lines[0].get_xdata()[0] == 0.5 and "loss saved" in ours.get_xlabel()
    assert "points" in shares.get_xlabel()
    plt.close(figure)


def test_what_the_bench_keeps_says_how_it_was_made(tmp_path):
    (tmp_path / "artifacts" / "ablations").mkdir(parents=True)
    summary = '{"trainings": 4, "seconds": 5400.5, "not_run": []}'
    (tmp_path / "artifacts" / "ablations" / "summary.json").write_text(summary)
    entry = {"parameters": {"ablation_seeds": 3, "method": "full"}, "measures": {"seconds": 3}}
    manifest = {"hardware": {"cores": 2}, "notebooks": {"10_ablations": entry}}
    made = bench.committed(tmp_path, manifest, "ablations")
    assert made["command"] == "python -m xlam_lib bench ablations"
    assert (made["seconds"], made["parameters"], made["trainings"]) == (5400.5, {"ablation_seeds": 3}, 4)
