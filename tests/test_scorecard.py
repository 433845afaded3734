"""The scorecard: every published figure has its row, every row comes from data, every gap has a command."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from xlam_lib import __main__ as command_line
from xlam_lib import bench, paper, runs, scorecard
from xlam_lib.evaluate.formulas import COLUMNS
from xlam_lib.records import read_json, write_json
from xlam_lib.scorecard import Row, base
from xlam_lib.scorecard.ablations import METRICS
from xlam_lib.scorecard.page import text
from xlam_lib.verify import INCORRECT_TYPE

CONSTANTS = [
    name
    for name, value in vars(paper).items()
    if name.isupper() and not name.startswith("_") and not isinstance(value, str)
]
STATED = "stated by the code: formats, styles, library, and the formula on the published columns"
OF_THE_CODE = {
    "Output formats",
    "Concatenation styles of the prompt",
    "Categories of the APIs",
    "How the overall is computed",
}


# ------------------------------------------------------------------------------------------ a small run


def manifest() -> dict[str, Any]:
    """A run.json of a run that measured everything."""
    arms = [("augmented", "raw"), ("cleaned", "augmented"), ("unified", "raw")]
    arms += [(arm, "verified") for arm in ("sources", "shuffled", "failed semantic", "failed execution")]
    measures = {
        "02_augment": {"rewordings": {"proposed": 41, "kept": 29}},
        "03_verify": {"planted": {INCORRECT_TYPE: {"planted": 83, "found": 79}}},
        "04_synthesize": {
            "semantic": {"planted": 310, "found": 205},
            "price": [
                {"group": "1-2 parameters", "wrong_before": 0.31, "wrong_after": 0.07, "milliseconds": 1.7}
            ],
        },
        "08_bfcl": {"seconds_per_model": {"SFT+DPO": 97.0}},
        "09_agents": {"feedback": {"without": [0.22, 0.18, 0.27], "with": [0.91, 0.87, 0.94]}},
        "10_ablations": {
            "arms": [
                {
                    "arm": a,
                    "against": b,
                    "metric": m,
                    "value": -0.125,
                    "low": -0.25,
                    "high": 0.0625,
                    "seeds": 2,
                }
                for a, b in arms
                for m in METRICS
            ]
        },
        "11_diagnose": {"right": {"before": "7/90", "after": "13/90"}, "p": 0.125},
        "12_scaling": {
            "accuracy_by_size": [{"model": "tiny", "what": "one call", "right": 3, "questions": 17}],
            "cost_per_call": [
                {"model": m.name, "at a time": 1, "seconds a call takes": 0.25} for m in paper.MODELS
            ],
        },
        "13_your_tools": {"before": {"right": 2, "questions": 40}, "after": {"right": 31, "questions": 40}},
    }
    stages = ["01_unify", "02_augment", "03_verify", "04_synthesize", "05_mix", "06_sft", "07_dpo", "08_bfcl",
              "09_agents", "10_ablations", "11_diagnose", "12_scaling", "13_your_tools"]  # fmt: skip
    return {
        "run_id": "own",
        "profile": "laptop",
        "parameters": {"model": "a tiny model", "recipe": "laptop", "weaker_models": ["early"]},
        "hardware": {"cores": 3, "gpus": []},
        "notebooks": {stage: {"measures": measures.get(stage, {})} for stage in stages},
    }


def artifacts() -> dict[str, Any]:
    """The small files of that run."""
    settings = {"learning_rate": 3e-4, "epochs": 2, "batch_size": 5, "beta": 0.2}
    history = [{"step": n, "learning_rate": min(n - 1, 4) / 4 * 3e-4} for n in range(1, 12)]
    categories = {
        name: {"correct": 2 + place % 3, "count": 11 + place}
        for place, name in enumerate(sorted({name for parts in COLUMNS.values() for name in parts}))
    }
    files: dict[str, Any] = {
        "scaling/plan.json": {
            "cluster": {"device": "a device", "plan_tokens": 2e8},
            "rows": [
                {"model": m.name, "parameters": int(m.parameters * 1.001e9), "device hours": 3.25,
                 "utilisation source": "assumed"}
                for m in paper.MODELS
            ],
        },
        "models/sft/settings.json": {"method": "full"} | settings,
        "models/sft/history.json": history,
        "models/dpo/settings.json": settings,
        "models/dpo/history.json": history,
        "rejected/error_table.json": [{"error": INCORRECT_TYPE, "before": 23, "after": 6}],
        "synthetic/funnel.json": {
            "rows": [{"style": style, "asked": 700, "verified": 651} for style in ("simple", "total")]
        },
        "sft/card.json": {
            "pools": {
                "synthetic/simple": {"taken": 70}, "dialogstudio": {"taken": 20}, "webshop": {"taken": 9}
            },
            "near_duplicates": {"threshold": 0.75, "removed": 37},
        },
        "pairs/report.json": {"origins": {"weaker model": {"pairs": 53}}},
    }  # fmt: skip
    for model in ("base", "SFT", "SFT+DPO"):
        files[f"evaluations/bfcl/{model}.json"] = {"categories": categories}
    for environment in ("webshop", "toolquery", "toolquery_unified", "toolbench"):
        files[f"evaluations/{environment}/scores.json"] = {
            "model": {"agent": "tiny", "data": "own", "tasks": 19, "success": 0.375, "progress": 0.4375,
                      "interval": [0.1875, 0.5625]}
        }  # fmt: skip
    return files


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("artifacts"), artifacts())


def write(folder: Path, files: dict[str, Any]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_json(folder / name, content)
    return folder


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables are read and intervals drawn once, so that the rows can be made hundreds of times."""
    first, again = paper.bfcl_v2_table5(), paper.bfcl_v2_remeasured()
    monkeypatch.setattr(paper, "bfcl_v2_table5", lambda: first)
    monkeypatch.setattr(paper, "bfcl_v2_remeasured", lambda: again)
    monkeypatch.setattr(scorecard.bfcl, "stratified_bootstrap", lambda *_: (0.0, 1.0))


def shown(rows: list[Row]) -> list[Any]:
    return [(row.what, row.published, row.ours, row.why) for row in rows]


def changed(value: Any) -> Iterator[tuple[str, Any]]:
    """Copies of published data, each with one number changed, and where that is."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return
    if isinstance(value, int):
        yield "", value + 7
    elif isinstance(value, float):
        yield "", value + 0.0137
    elif isinstance(value, dict):
        for key, child in value.items():
            yield from ((f".{key}{at}", value | {key: new}) for at, new in changed(child))
    elif isinstance(value, tuple):
        for place, child in enumerate(value):
            for at, new in changed(child):
                yield f"[{place}]{at}", (*value[:place], new, *value[place + 1 :])
    else:
        for name in value.__struct_fields__:
            for at, new in changed(getattr(value, name)):
                yield f".{name}{at}", msgspec.structs.replace(value, **{name: new})


# --------------------------------------------------------------------------------------------- published


@pytest.mark.parametrize("constant", CONSTANTS)
def test_every_published_figure_is_shown(
    constant: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Change any one number of paper.py, and the scorecard is another."""
    before = shown(scorecard.rows(manifest(), folder))
    value = getattr(paper, constant)
    for at, other in changed(value):
        monkeypatch.setattr(paper, constant, other)
        assert shown(scorecard.rows(manifest(), folder)) != before, f"no row shows paper.{constant}{at}"
    if not list(changed(value)):  # names alone
        page = scorecard.page(scorecard.rows(manifest(), folder), manifest())
        assert all(str(name).replace("_", " ") in page for name in value)


def test_there_are_constants_with_figures() -> None:
    assert {
        "MODELS",
        "TRAINING",
        "BFCL_V1",
        "APIGEN_GENERATORS",
        "CATEGORY_SHARES",
        "CASES",
        "CLAIMS",
    } <= set(CONSTANTS)
    assert sum(1 for name in CONSTANTS for _ in changed(getattr(paper, name))) > 150


@pytest.mark.parametrize("table", ["bfcl_v2_table5", "bfcl_v2_remeasured"])
def test_both_measurements_of_each_model_are_shown(
    table: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = shown(scorecard.rows(manifest(), folder))
    rows = getattr(paper, table)()
    for model in paper.MODELS:
        (place,) = (n for n, row in enumerate(rows) if row.model.removesuffix(" (FC)") == model.name)
        for field in ("overall", "rank"):
            other = msgspec.structs.replace(rows[place], **{field: getattr(rows[place], field) + 1})
            monkeypatch.setattr(paper, table, lambda o=other: (*rows[:place], o, *rows[place + 1 :]))  # noqa: B023
            assert shown(scorecard.rows(manifest(), folder)) != before
    for column in paper.BFCL_V2_COLUMNS:
        raised = tuple(
            msgspec.structs.replace(row, columns=row.columns | {column: row.columns[column] + 1})
            for row in rows
        )
        monkeypatch.setattr(paper, table, lambda r=raised: r)
        assert shown(scorecard.rows(manifest(), folder)) != before


def test_marks_say_which_figures_cannot_be_taken_as_they_stand(folder: Path) -> None:
    marks = {row.what: row.mark for row in scorecard.rows(manifest(), folder)}
    assert marks["Overall of version 2, five models"] == "measured again"
    assert marks["WebShop: success rate, about 250 cases"] == "secondhand"
    assert marks["ToolBench: unseen tools, unseen categories"].startswith("disputed")
    assert marks["Generators: verified of those asked, and what failed"] == ""


# -------------------------------------------------------------------------------------------------- ours


def test_none_of_our_figures_is_typed(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other numbers in the run and in the shipped measurements give other figures in every row."""
    data = tmp_path / "data"
    data.mkdir()
    for file in sorted(base.DATA.glob("*.json")):
        write_json(data / file.name, altered(read_json(file)))
    before = {row.what: row for row in scorecard.rows(manifest(), folder)}
    monkeypatch.setattr(base, "DATA", data)
    other = write(tmp_path / "artifacts", {name: altered(content) for name, content in artifacts().items()})
    after = {row.what: row for row in scorecard.rows(altered(manifest()), other)}
    assert before.keys() == after.keys()
    same = {what for what, row in before.items() if row.ours and row.ours == after[what].ours}
    assert same == OF_THE_CODE, STATED


def altered(value: Any) -> Any:
    """JSON data with every number changed."""
    if isinstance(value, dict):
        return {key: altered(child) for key, child in value.items()}
    if isinstance(value, list):
        return [altered(child) for child in value]
    if isinstance(value, str) and re.fullmatch(r"\d+/\d+", value):
        return "/".join(str(altered(int(part))) for part in value.split("/"))
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    return value + 3 + value // 7 if isinstance(value, int) else value * 1.25


def test_a_run_that_measured_everything_leaves_only_what_it_cannot_measure(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(base.DATA, tmp_path / "data")
    level = {"arm": "16", "metric": METRICS[1], "value": 12.5, "low": 6.25, "high": 25.0}
    amount = {"model": "a tiny model", "seeds": 2, "levels": [level]}
    write_json(tmp_path / "data" / "data_amount.json", amount)
    monkeypatch.setattr(base, "DATA", tmp_path / "data")
    rows = {row.what: row for row in scorecard.rows(manifest(), folder)}
    assert rows["Accuracy against the amount of data"].ours == (
        "16 examples: accuracy, BFCL 12.5 [6.25, 25]",
    )
    missing = [row.what for row in scorecard.rows(manifest(), folder) if row.state == "unmeasured"]
    assert missing == [
        "A check by people",
        *(f"{model.name}, trained at its full size" for model in paper.MODELS),
        *(f"ToolBench: {setting}" for setting in paper.TOOLBENCH_SETTINGS),
    ]


@pytest.mark.parametrize("stage", list(manifest()["notebooks"]))
def test_without_a_stage_its_rows_are_unmeasured(
    stage: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stage's files may still lie there: what run.json does not list does not count."""
    # Without the long run that ships with the library, which stands in for a run's own ablations.
    shutil.copytree(base.DATA, tmp_path / "data", ignore=shutil.ignore_patterns("ablations.json"))
    monkeypatch.setattr(base, "DATA", tmp_path / "data")
    whole = scorecard.rows(manifest(), folder)
    less = manifest()
    del less["notebooks"][stage]
    rows = scorecard.rows(less, folder)
    assert [row.what for row in rows] == [row.what for row in whole]
    lost = [new for old, new in zip(whole, rows, strict=True) if old.ours != new.ours]
    assert lost or stage == "01_unify", "no row depends on it"
    for row in lost:
        assert row.state == "unmeasured" or row.ours, row
    gone = [row for row in lost if not row.ours]
    assert all(row.why and row.command and not row.made_on for row in gone)
    if stage not in ("01_unify", "12_scaling", "08_bfcl"):
        assert {stage} == {row.chapters[0] for row in gone}


def test_nothing_at_all_is_no_error(tmp_path: Path) -> None:
    rows = scorecard.rows({}, tmp_path)
    shipped = {row.chapters[0] for row in rows if row.ours}
    assert shipped <= {
        *("01_unify", "02_augment", "03_verify", "04_synthesize"),
        *("08_bfcl", "10_ablations", "12_scaling"),
    }
    assert "SFT+DPO:" not in scorecard.page(rows, {})


def test_the_long_run_of_ablations_stands_in_the_place_of_the_runs_own(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = {
        "arm": "unified",
        "against": "raw",
        "metric": METRICS[0],
        "value": -0.375,
        "low": -0.5,
        "high": -0.25,
    }
    write_json(tmp_path / "ablations.json", {"trainings": 27, "differences": [one | {"seeds": 3}]})
    monkeypatch.setattr(base, "DATA", tmp_path)
    rows = {row.what: row for row in scorecard.rows(manifest(), folder)}
    row = rows["Format unification alone"]
    assert row.ours == ("loss, BFCL: -0.375 [-0.5, -0.25], 0 is outside",)
    assert "unified against raw; the long run of 27 trainings, seeds: 3" in row.made_on
    row = rows["Real against synthetic data"]  # not among the long run's
    assert row.ours[0] == "loss, BFCL: -0.125 [-0.25, +0.0625]"
    assert "this run, seeds: 2" in row.made_on


@pytest.mark.parametrize(("each", "expected"), [(2, "SFT+DPO"), (90, "SFT+DPO, profile evening")])
def test_the_larger_of_two_runs_speaks_for_a_model_and_all_questions_stand_beside_it(
    each: int, expected: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The committed run is used where it asks more; who answered everything has a line of its own."""
    names = {name for parts in COLUMNS.values() for name in parts}
    scores = {"categories": {name: {"correct": 1, "count": each} for name in names}}
    kept = tmp_path / runs.LONGER
    write(kept, {f"artifacts/evaluations/bfcl/{model}.json": scores for model in scorecard.bfcl.MODELS})
    write_json(kept / "run.json", {"notebooks": {"08_bfcl": {}}})
    whole = {
        "accuracy": {"right": {name: [40, 100] for name in names}},
        "rows": [{"questions": 1800, "seconds_a_question": 1.5}],
    }
    write_json(tmp_path / "decoding_speed.json", whole)
    monkeypatch.setattr(base, "DATA", tmp_path)
    monkeypatch.setattr(runs, "folder", lambda name: tmp_path / name)
    rows = {row.what: row.ours for row in scorecard.rows(manifest(), folder)}
    *_, tuned, everything = rows["Overall of version 2, five models"]
    assert tuned.startswith(f"{expected}: ")
    assert everything.startswith("SFT, all questions: 40.0 [") and everything.endswith("1,800 questions")
    assert len(rows["Column: exec multiple"]) == 3
    assert rows["Overall of version 1, by date"][-1].startswith("SFT, all questions: 40.0 [")
    assert "all 1,800 questions: 1.5 s an answer" in rows["Cost and latency against size"]
    whole["accuracy"] = {"right": {name: [1, 1] for name in names}}
    write_json(tmp_path / "decoding_speed.json", whole)
    rows = {row.what: row.ours for row in scorecard.rows(manifest(), folder)}
    assert not any("all questions" in line for line in rows["Overall of version 2, five models"])


def test_the_metrics_of_the_ablations_are_chapter_10s(root: Path) -> None:
    text = (root / "xlam_lib" / "ablations" / "differences.py").read_text()
    assert all(f'Metric("{name}"' in text for name in METRICS)


def test_figures_are_computed_as_the_chapters_do(folder: Path) -> None:
    rows = {row.what: row.ours for row in scorecard.rows(manifest(), folder)}
    assert rows["A model tuned on a reader's own tools"][1] == "after: 31 of 40: 77.5 [62.5, 87.7] %"
    assert rows["Settings: xLAM series"][-1] == "warm-up: 4 of 11 steps"
    assert rows["Mixture of the function-calling models: synthetic data"][0] == "71% in this run"
    found = artifacts()["evaluations/bfcl/SFT.json"]["categories"]
    mean = sum(
        weight * found[name]["correct"] / found[name]["count"]
        for parts in COLUMNS.values()
        for name, weight in parts.items()
    )
    overall = rows["Overall of version 2, five models"]
    assert any(line.startswith(f"SFT+DPO: {10 * mean:.1f} [") for line in overall)


def test_the_reference_run_has_its_scorecard(root: Path) -> None:
    run = root / "papermill_runs" / "reference"
    rows = scorecard.rows(read_json(run / "run.json"), run / "artifacts")
    measured = [row for row in rows if row.ours]
    assert len(rows) > 50 and len(measured) > len(rows) / 2
    assert len({row.what for row in rows}) == len(rows)
    page = scorecard.page(rows, read_json(run / "run.json"))
    assert all(f"## {group}" in page for group in {row.group for row in rows})


# ---------------------------------------------------------------------------------------------- commands


def test_every_gap_has_a_command(folder: Path, tmp_path: Path) -> None:
    for rows in (scorecard.rows(manifest(), folder), scorecard.rows({}, tmp_path)):
        for row in rows:
            assert row.state in scorecard.STATES
            assert (row.state == "unmeasured") == (not row.ours)
            assert row.command or row.state == "reproduced", row
            assert row.chapters and set(row.chapters) <= set(runs.STAGES), row
            assert row.published and all(row.published) and (row.why or row.state == "reproduced"), row


def test_every_command_is_one_that_the_command_line_takes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[Any] = []
    monkeypatch.setattr(command_line, "_run", lambda options: said.append(options) or 0)
    declared = {name for stage in runs.STAGES for name in runs.declared_parameters(stage)}
    commands = {row.command for row in scorecard.rows(manifest(), folder)}
    commands |= {row.command for row in scorecard.rows({}, tmp_path)} - {""}
    checked: dict[str, Callable[[Any], None]] = {
        "run": lambda options: check_run(options, declared),
        "bench": lambda options: check_bench(options.name),
        "synthesize": lambda options: None,
    }
    for command in sorted(commands - {""}):
        words = [word for word in shlex.split(command) if not re.fullmatch(r"[A-Z_]+=.*", word)]
        assert words[:3] == ["python", "-m", "xlam_lib"], command
        assert command_line.main(words[3:]) == 0
        options = said.pop()
        checked[options.command](options)


def check_run(options: Any, declared: set[str]) -> None:
    assert runs.load_profile(options.profile)
    assert set(options.only or ()) <= set(runs.STAGES), options.only
    assert {name for name, _ in options.parameters} <= declared, options.parameters


def check_bench(name: str) -> None:
    assert name in bench.names()


# -------------------------------------------------------------------------------------------------- page


def test_the_page_has_whole_tables_and_links_to_chapters(folder: Path) -> None:
    rows = scorecard.rows(manifest(), folder)
    page = scorecard.page(rows, manifest())
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(page)
    assert html.count("<table>") == len({row.group for row in rows})
    cells = [re.findall(r"<td.*?>(.*?)</td>", line, re.S) for line in html.split("<tr>")[1:]]
    lines = [line for line in cells if line]
    assert len(lines) == len(rows) and {len(line) for line in lines} == {3}
    assert set(re.findall(r"\]\((\d\d_\w+)\)", page)) <= set(runs.STAGES)
    for state in scorecard.STATES:
        assert f"**{state}** ({sum(row.state == state for row in rows)})" in page
    for row in rows:
        if row.state != "reproduced":
            assert f"```bash\n{row.command}\n```" in page


@given(st.text(st.characters(exclude_categories=("Cs", "Cc"))))
def test_a_cell_shows_every_character_as_it_is(line: str) -> None:
    page = f"| a | b |\n| --- | --- |\n| x{text(line)}x | y |"
    tokens = MarkdownIt("commonmark").enable("table").parse(page)
    first, second = [token.children or [] for token in tokens if token.type == "inline"][2:]
    assert "".join(token.content for token in first) == f"x{' '.join(line.split())}x"
    assert {token.type for token in first} <= {"text"} and second[0].content == "y"


def test_the_run_file_may_be_json_from_disk(folder: Path) -> None:
    again = json.loads(json.dumps(manifest()))
    assert scorecard.rows(again, folder) == scorecard.rows(manifest(), folder)
