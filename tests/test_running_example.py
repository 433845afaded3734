"""The running example: found by its id, the same through all chapters, and silent where a run has none."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import pytest

from xlam_lib import running_example
from xlam_lib.augment import augment
from xlam_lib.errors import ArtifactError
from xlam_lib.explore import Panel
from xlam_lib.records import write_jsonl
from xlam_lib.verify import check


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An artifact with the example, its copies and another record."""
    own = running_example.record()
    other = msgspec.structs.replace(own, unique_trajectory_id="toolalpaca/train_data/2/10")
    write_jsonl(tmp_path / "toolalpaca.jsonl", [other, own, *augment(own, 0, 2, instructions=5)])
    return tmp_path


@pytest.fixture
def without(tmp_path: Path) -> Path:
    """An artifact in which another record has the example's id."""
    other = msgspec.structs.replace(running_example.record(), query="Which comets come in 2031?")
    write_jsonl(tmp_path / "toolalpaca.jsonl", [other])
    return tmp_path


def test_the_record_is_one_request_with_one_call_and_no_fault():
    own = running_example.record()
    assert own.unique_trajectory_id == running_example.ID and not check(own)
    assert len(own.tools) > 2 and [len(step.tool_calls) for step in own.steps] == [1, 0]
    assert own.steps[0].next_observation


def test_a_record_that_went_from_the_samples_is_named(monkeypatch: pytest.MonkeyPatch):
    running_example.record.cache_clear()
    monkeypatch.setattr(running_example, "ID", "toolalpaca/train_data/99/0")
    with pytest.raises(ArtifactError, match="train_data/99/0"):
        running_example.record()
    running_example.record.cache_clear()


def test_a_run_holds_it_with_its_copies(folder: Path):
    found = [t.unique_trajectory_id.removeprefix(running_example.ID) for t in running_example.of_run(folder)]
    assert found == ["", "~1", "~2"]


def test_chapters_say_where_a_run_has_other_records(without: Path, tmp_path: Path):
    for place in (without, tmp_path / "nothing"):
        assert running_example.of_run(place) == []
        assert repr(running_example.moved(place)) == running_example.ABSENT
        assert running_example.verified(place) == [{"": running_example.ABSENT}]
    assert running_example.became([], {}) == [{"": running_example.ABSENT}]


def test_the_native_form_and_the_unified_one_stand_side_by_side():
    page = running_example.native_and_unified()._repr_html_()
    assert "intermediate_steps" in page and "Function_Description" in page and "minRate?: integer" in page


def test_what_a_copy_moved_is_marked_and_nothing_in_the_record(folder: Path):
    page = running_example.moved(folder, "brief")._repr_html_()
    record, *copies = page.split("<strong>toolalpaca")[1:]
    assert "<mark>" not in record and len(copies) == 2 and all("<mark>" in copy for copy in copies)


def test_the_rules_see_every_planted_error_but_the_exchanged_numbers(folder: Path):
    rows = {row["the record"]: row for row in running_example.verified(folder)}
    silent = {name for name, row in rows.items() if row["the verifier says"] == "nothing"}
    assert silent == {"as it is", running_example.EXCHANGED} and len(rows) == 6
    mended = {name for name, row in rows.items() if row["after repair"] == "nothing"} - silent
    assert mended == {"a number is written as text"}


def test_the_checks_of_synthesis_and_a_sample_of_its_kind(tmp_path: Path):
    own = running_example.record()
    sample = msgspec.structs.replace(
        own, unique_trajectory_id="synthetic/7", meta={"style": "multiple"}, steps=own.steps[:1]
    )
    masked = msgspec.structs.replace(sample, meta={"style": "multiple", "masked": "neutral"})
    write_jsonl(tmp_path / "verified.jsonl", [masked, sample])
    rows = {row["sample"]: row for row in running_example.checked(tmp_path / "verified.jsonl")}
    assert rows["the running example"]["format"] == rows["the running example"]["semantic"] == "passes"
    assert rows["the running example"]["execution"] == "no such function here"
    assert rows[f"synthetic/7: {own.query}"]["execution"].startswith("Status Code")
    assert rows["the year is left out"]["semantic"] == "not reached"
    assert rows["another year"]["semantic"] != "passes"
    assert rows[running_example.EXCHANGED]["semantic"] == "passes"
    write_jsonl(tmp_path / "verified.jsonl", [masked])
    assert len(running_example.checked(tmp_path / "verified.jsonl")) == len(rows) - 1


def test_what_became_of_its_examples(folder: Path):
    made = running_example.examples(running_example.of_run(folder), "plain")
    assert [example.id.rsplit("/", 1)[1] for example in made] == ["1#1", "1~1#1", "1~2#1"]
    rows = running_example.became(made, {"drawn": made[1:2], "in its pool": made[:2]})
    assert [row["became"] for row in rows] == ["in its pool", "drawn", "in no pool: too long, or repeated"]
    assert made[0].answer in running_example.prompt_and_answer(made[0]).text


def test_tokens_are_marked_where_they_count(tiny_model: Path):
    from transformers import AutoTokenizer

    from xlam_lib.train.data import tokenize

    tokenizer = AutoTokenizer.from_pretrained(str(tiny_model))
    (example,) = running_example.examples([running_example.record()], "plain")
    ids, labels = tokenize(tokenizer, example.prompt, example.answer)
    panel = running_example.tokens(tokenizer, ids, labels)
    counted = sum(label >= 0 for label in labels)
    assert panel.text == f"{counted} of {len(ids)} tokens count"
    assert panel.body.count("<mark>") == counted and panel.body.count("<i>") == len(ids) - counted
    split = running_example.tokens(tokenizer, tokenizer("Flåm 🌠")["input_ids"], [-100] * 99)
    assert "\ufffd" not in split.body and "🌠" in split.body


def test_a_pair_of_the_right_answer_and_exchanged_numbers():
    pair = running_example.preference("plain")
    assert (pair.fault, pair.detail) == ("wrong values", running_example.EXCHANGED)
    judged = running_example.judged(
        running_example.examples([running_example.record()], "plain")[0],
        {"good": pair.chosen, "bad": pair.rejected, "talker": "I like stars."},
    )
    assert [row["verdict"] for row in judged] == ["right", "wrong values", "unreadable"]


def test_log_likelihoods_are_those_of_the_whole_sequence(tiny_model: Path):
    import torch

    from xlam_lib.inference import LocalModel
    from xlam_lib.train.data import tokenize

    model = LocalModel.load(tiny_model, "tiny")
    model.model.float()
    for weights in model.model.parameters():  # far from a fair draw, so that every token read matters
        weights.data.mul_(4 if weights.ndim > 1 else 1)
    pair = running_example.preference("plain")
    found = running_example.log_likelihoods(model, pair)
    for side in ("chosen", "rejected"):
        ids, labels = tokenize(model.tokenizer, pair.prompt, getattr(pair, side))
        with torch.inference_mode():
            likely = model.model(torch.tensor([ids])).logits[0].log_softmax(-1)
        expected = sum(float(likely[at - 1, ids[at]]) for at, label in enumerate(labels) if label >= 0)
        assert found[side] == pytest.approx(expected, rel=1e-5) and math.isfinite(expected)


def test_margins_begin_at_zero_and_grow_with_the_difference():
    likely = {"a": {"chosen": -3.0, "rejected": -5.0}, "b": {"chosen": -2.0, "rejected": -7.0}}
    assert [row["margin of the rewards"] for row in running_example.margins(likely, 0.1)] == [
        "+0.000",
        "+0.300",
    ]


def test_the_question_most_like_it_has_several_tools_and_one_call():
    from xlam_lib.evaluate import bfcl

    found = running_example.like_question(bfcl.questions(["multiple", "simple_python"]))
    assert found is not None and found.category == "multiple" and len(found.possible_answer) == 1
    assert running_example.like_question([]) is None


def test_an_agent_reads_in_its_second_step_what_the_call_brought():
    panel = running_example.as_agent("plain")
    assert isinstance(panel, Panel) and "Earlier steps" in panel.text
    assert (
        panel.body.split("step 2 reads besides")[1].count("Perseids")
        and "Perseids" not in panel.body.split("step 2")[0]
    )


def test_the_diagnosis_knows_the_right_answer():
    rows = {row["answer"]: row["mistakes"] for row in running_example.diagnosed()}
    assert rows["the right one"] == "none" and "swapped" in rows[running_example.EXCHANGED]
    assert all(mistakes != "none" for name, mistakes in rows.items() if name != "the right one")
