"""Training: the loss sees the answers alone, layouts and resumptions change nothing, bad input is named."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tiny import make_series
from xlam_lib import models
from xlam_lib.errors import TrainingError
from xlam_lib.inference import LocalModel
from xlam_lib.mixture import Example
from xlam_lib.preferences import Pair
from xlam_lib.records import hash_folder, read_json, write_json, write_jsonl
from xlam_lib.runs import load_profile
from xlam_lib.train import card, common, data, dpo, job, schedule, sft


def example(number: int) -> Example:
    answer = json.dumps({"tool_calls": [{"name": "add", "arguments": {"a": number, "b": number + 1}}]})
    query = f"Query: add {number} {'and ' * (number % 5)}one more."
    source = "own" if number % 3 else "other"
    return Example(f"own/{number}#1", source, "simple", f"Tools: add. {query}", answer, ["add"])


EXAMPLES = [example(number) for number in range(20)]
FAST = sft.Settings(batch_size=4, learning_rate=1e-2, epochs=2, seed=3)


@pytest.fixture(scope="module")
def parts(tiny_model):
    return common.load(tiny_model)


@settings(max_examples=60, deadline=None)
@given(prompt=st.text(max_size=60), answer=st.text(min_size=1, max_size=60).filter(str.strip))
def test_any_text_is_labelled_from_the_answers_first_token(parts, prompt, answer):
    _, tokenizer = parts
    ids, labels = data.tokenize(tokenizer, prompt, answer)
    context = tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}], add_generation_prompt=True, return_dict=False
    )
    assert ids[: len(context)] == list(context)  # what the model is given when it generates
    assert set(labels[: len(context)]) <= {data.IGNORE}
    assert labels[len(context) :] == ids[len(context) :] and labels[-1] == tokenizer.eos_token_id


def test_trl_computes_the_loss_on_the_answer_only(parts, tiny_model, tmp_path):
    """What SFTTrainer reports is the cross-entropy over the answers' tokens, by hand, and nothing else."""
    model, tokenizer = common.load(tiny_model)
    by_hand = []
    for item in EXAMPLES[:4]:
        ids, labels = data.tokenize(tokenizer, item.prompt, item.answer)
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0, :-1].float()
        target = torch.tensor(labels[1:])
        by_hand.append(
            torch.nn.functional.cross_entropy(
                logits[target != data.IGNORE], target[target != data.IGNORE], reduction="none"
            )
        )
    expected = torch.cat(by_hand).mean().item()
    outcome = sft.train(
        tiny_model,
        EXAMPLES[:4],
        EXAMPLES[:4],
        tmp_path / "o",
        tmp_path / "e",
        tmp_path / "w",
        sft.Settings(batch_size=4),
    )
    assert outcome.history[0]["eval_loss"] == pytest.approx(expected, rel=1e-4)
    assert outcome.history[1]["loss"] == pytest.approx(expected, rel=1e-3)


@pytest.fixture(scope="module")
def ready(tiny_model):
    model, tokenizer = common.load(tiny_model)
    return sft.ready(model), tokenizer


@settings(max_examples=25, deadline=None)
@given(order=st.permutations(range(8)), size=st.integers(1, 5))
def test_neighbours_and_layout_change_no_examples_loss(ready, order, size):
    model, tokenizer = ready
    rows = data.encode(tokenizer, EXAMPLES[:8], 200)
    batch = order[:size]
    for packing in (True, False):
        together = sft.scores(model, tokenizer, rows, batch, packing)
        alone = torch.cat([sft.scores(model, tokenizer, rows, [number], packing) for number in batch])
        torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-4)
    assert together[:, 1].tolist() == [rows.answers[number] for number in batch]


def test_a_label_on_the_prompt_would_change_the_loss_and_none_is_there(ready):
    """The loss is that of the answers by hand; had any prompt token a label, it would not be."""
    model, tokenizer = ready
    rows = data.encode(tokenizer, EXAMPLES[:3], 200)
    inputs = data.packed([(row["input_ids"], int(row["start"])) for row in rows.dataset], 2)
    loss = model(**inputs, use_cache=False, fused_lm_head=True).loss.item()
    by_hand = sum(sft.scores(model, tokenizer, rows, [n])[0, 0].item() for n in range(3)) / sum(rows.answers)
    assert loss == pytest.approx(by_hand, rel=1e-5)
    prompt = (inputs["labels"][0, 1:] == data.IGNORE).nonzero()[:, 0] + 1
    starts = set(inputs["cu_seq_lens_q"].tolist())
    for place in [int(p) for p in prompt if int(p) not in starts][::7]:
        labelled = inputs["labels"].clone()
        labelled[0, place] = inputs["input_ids"][0, place]
        changed = model(**(inputs | {"labels": labelled}), use_cache=False, fused_lm_head=True).loss.item()
        assert abs(changed - loss) > 1e-4


def train(tiny_model, folder, settings=FAST, examples=EXAMPLES[:16], report=None):
    return sft.train(
        tiny_model,
        examples,
        EXAMPLES[16:],
        folder / "sft",
        folder / "early",
        folder / "work",
        settings,
        report,
    )


def run(tiny_model, folder, settings=FAST):
    outcome = train(tiny_model, folder, settings)
    return outcome, hash_folder(folder / "sft"), hash_folder(folder / "early")


def curve(outcome, key="loss"):
    return [entry[key] for entry in outcome.history if key in entry]


def test_training_learns_follows_the_schedule_and_repeats_to_the_byte(tiny_model, tmp_path):
    first, model, early = run(tiny_model, tmp_path / "1")
    again, model_again, early_again = run(tiny_model, tmp_path / "2")
    assert (model, early) == (model_again, early_again) and model != early
    assert first.history == again.history
    losses, rates = curve(first), curve(first, "learning_rate")
    assert len(losses) == first.steps == 8 and losses[-1] < losses[0]
    assert curve(first, "eval_loss")[-1] < curve(first, "eval_loss")[0]
    peak = rates.index(max(rates))
    assert max(rates) == pytest.approx(1e-2, rel=0.05) and rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] < 0.1 * max(rates)  # a cosine's end
    assert [epoch["read"] for epoch in first.coverage] == [16, 16]
    lengths = data.encode(common.load(tiny_model)[1], EXAMPLES[:16], 200)
    assert (first.tokens, first.answer_tokens) == (2 * sum(lengths.lengths), 2 * sum(lengths.answers))


def test_packed_padded_and_recomputed_trainings_take_the_same_steps(tiny_model, tmp_path):
    packed = train(tiny_model, tmp_path / "packed", FAST)
    for name, change in {"padded": {"packing": False}, "recomputed": {"checkpointing": True}}.items():
        other = train(tiny_model, tmp_path / name, replace(FAST, **change))
        assert curve(other) == pytest.approx(curve(packed), rel=1e-4)
        assert curve(other, "eval_loss") == pytest.approx(curve(packed, "eval_loss"), rel=1e-4)
        close = 1e-2 if common.precision("full")[1] else 1e-3  # products in bfloat16 keep eight bits
        assert curve(other, "grad_norm") == pytest.approx(curve(packed, "grad_norm"), rel=close)


def test_a_step_is_the_mean_over_its_labelled_tokens_however_they_are_shared_out(tiny_model, tmp_path):
    """Micro-batches of one example and of eight add up to the same steps."""
    big = replace(FAST, batch_size=8, streams=1)
    lengths = data.encode(common.load(tiny_model)[1], EXAMPLES[:16], 200)
    whole = schedule.plan(lengths.lengths, lengths.sources, batch_size=8, seed=3, epochs=2)
    parts = schedule.plan(lengths.lengths, lengths.sources, batch_size=1, accumulation=8, seed=3, epochs=2)
    read = [[{n for s in step for b in s for n in b} for step in plan.steps] for plan in (whole, parts)]
    assert read[0] == read[1]
    one = train(tiny_model, tmp_path / "1", big)
    eight = train(tiny_model, tmp_path / "8", replace(big, batch_size=1, accumulation=8))
    assert curve(eight) == pytest.approx(curve(one), rel=1e-4)


def test_exact_is_the_share_that_greedy_decoding_writes_to_the_letter(tiny_model, tmp_path):
    settings = sft.Settings(batch_size=4, learning_rate=1e-2, epochs=150, warmup_steps=5)
    out = tmp_path / "sft"
    outcome = sft.train(
        tiny_model, EXAMPLES[:4], EXAMPLES[:8], out, tmp_path / "early", tmp_path / "work", settings
    )
    chats = [[{"role": "user", "content": example.prompt}] for example in EXAMPLES[:8]]
    written = [g.text for g in LocalModel.load(out, "trained").generate(chats, 60)]
    share = sum(a == e.answer for a, e in zip(written, EXAMPLES[:8], strict=True)) / 8
    assert curve(outcome, "eval_exact")[-1] == share and 0 < share < 1
    assert curve(outcome, "eval_exact")[0] == 0
    assert curve(outcome, "eval_token_accuracy")[-1] > 0.9


class Stop(Exception):
    pass


def stop_after(step: int):
    def report(done: int, total: int, note: str) -> None:
        if done == step:
            raise Stop

    return report


@pytest.mark.parametrize(
    "change",
    [{}, {"method": "lora"}, {"streams": 2, "batch_size": 2, "eval_steps": 3}, {"batch_tokens": 150}],
    ids=["full", "lora", "streams", "batch_tokens"],
)
def test_an_interrupted_training_resumes_to_the_same_bytes(tiny_model, tmp_path, change):
    settings = replace(FAST, save_steps=2, **change)
    whole, model, early = run(tiny_model, tmp_path / "whole", settings)
    broken = tmp_path / "broken"
    with pytest.raises(Stop):
        train(tiny_model, broken, settings, report=stop_after(5))
    assert not (broken / "sft").exists() and not (broken / "early").exists()
    (broken / "work" / "checkpoint-5").mkdir()  # a checkpoint that was being written is not trusted
    resumed, model_again, early_again = run(tiny_model, broken, settings)
    assert (model, early) == (model_again, early_again)
    assert resumed.history == whole.history
    assert resumed.tokens < whole.tokens


def test_checkpoints_of_another_training_are_not_taken_up(tiny_model, tmp_path):
    settings = replace(FAST, save_steps=2)
    with pytest.raises(Stop):
        train(tiny_model, tmp_path, settings, report=stop_after(5))
    with pytest.raises(TrainingError, match="a training with other data or settings; remove the folder"):
        train(tiny_model, tmp_path, replace(settings, learning_rate=2e-2))
    with pytest.raises(TrainingError, match="other data or settings"):
        train(tiny_model, tmp_path, settings, EXAMPLES[:15])


@pytest.mark.parametrize("method", ["top-1", "lora"])
def test_partial_methods_train_less_and_save_a_whole_model(tiny_model, tmp_path, method):
    outcome, _, _ = run(tiny_model, tmp_path, sft.Settings(method=method, batch_size=4, learning_rate=1e-2))
    assert 0 < outcome.trained < outcome.parameters / 2
    model, _ = common.load(tmp_path / "sft")
    before, _ = common.load(tiny_model)
    assert torch.equal(model.model.embed_tokens.weight, before.model.embed_tokens.weight)
    changed = [not torch.equal(a, b) for a, b in zip(model.parameters(), before.parameters(), strict=True)]
    assert any(changed)


def test_lora_writes_the_adapter_that_the_merged_model_is_made_of(tiny_model, tmp_path):
    settings = replace(FAST, method="lora")
    train(tiny_model, tmp_path / "merged", settings)
    train(tiny_model, tmp_path / "alone", replace(settings, merge=False))
    adapter = tmp_path / "merged" / "sft" / "adapter"
    assert hash_folder(adapter) != hash_folder(tmp_path / "merged" / "early" / "adapter")
    assert not (tmp_path / "alone" / "sft" / "model.safetensors").exists()
    weights = [
        (folder / "adapter_model.safetensors").read_bytes() for folder in (adapter, tmp_path / "alone/sft")
    ]
    assert weights[0] == weights[1]
    merged, _ = common.load(tmp_path / "merged" / "sft")
    again = LocalModel.load(tiny_model, "tiny", adapter).model
    for one, two in zip(merged.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(one, two)


def test_too_long_examples_are_counted_and_none_left_is_an_error(tiny_model, tmp_path):
    long = Example("own/long#1", "own", "simple", "word " * 400, EXAMPLES[0].answer, ["add"])
    outcome = train(tiny_model, tmp_path / "1", sft.Settings(max_tokens=200), [*EXAMPLES[:4], long])
    assert (outcome.examples, outcome.over_long) == (4, 1)
    with pytest.raises(TrainingError, match="1 of them longer than max_tokens=200"):
        train(tiny_model, tmp_path / "2", sft.Settings(max_tokens=200), [long])


def test_bad_input_is_named(tiny_model, tmp_path):
    empty = Example("own/empty#1", "own", "simple", "prompt", " ", [])
    with pytest.raises(TrainingError, match=r"own/empty#1.*no answer"):
        train(tiny_model, tmp_path, FAST, [empty])
    with pytest.raises(TrainingError, match="no example to train on"):
        train(tiny_model, tmp_path, FAST, [])
    with pytest.raises(TrainingError, match="no checkpoint to train from"):
        train(tmp_path, tmp_path, FAST)
    with pytest.raises(TrainingError, match="choose full, lora, or top-N with N from 1 to 2"):
        train(tiny_model, tmp_path, sft.Settings(method="top-3"))
    with pytest.raises(TrainingError, match="batch_tokens"):
        train(tiny_model, tmp_path, sft.Settings(batch_tokens=10))
    with pytest.raises(TrainingError, match="no preference pair"):
        align(tiny_model, tmp_path, dpo.Settings(), [])
    with pytest.raises(TrainingError, match="pair own/0#1: no answer to learn"):
        align(tiny_model, tmp_path, dpo.Settings(), [replace_pair(PAIRS[0], chosen="")])
    with pytest.raises(TrainingError, match="all 8 pairs are longer than max_tokens=9; raise it"):
        align(tiny_model, tmp_path, dpo.Settings(max_tokens=9))


def test_memory_that_runs_out_and_losses_that_diverge_say_what_to_change(tiny_model, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with monkeypatch.context() as patch:
        patch.setattr("trl.SFTTrainer.training_step", fail)
        with pytest.raises(TrainingError, match=r"out of memory at batch_size=4.*halve batch_size"):
            train(tiny_model, tmp_path / "1")
    with monkeypatch.context() as patch:
        patch.setattr("trl.DPOTrainer.training_step", fail)
        with pytest.raises(TrainingError, match="out of memory at batch_size=2; halve it"):
            align(tiny_model, tmp_path / "2", dpo.Settings(batch_size=2))
    with pytest.raises(TrainingError, match=r"the loss is nan at step \d: the training diverged; lower"):
        train(tiny_model, tmp_path / "3", replace(FAST, learning_rate=1e30))


# ----------------------------------------------------------------------------------------------- alignment

PAIRS = [
    Pair(e.id, e.prompt, e.answer, e.answer.replace("add", "sum"), "wrong function", source=e.source)
    for e in EXAMPLES[:8]
]


def replace_pair(pair: Pair, **changes: str) -> Pair:
    import msgspec

    return msgspec.structs.replace(pair, **changes)


def align(tiny_model, folder, settings, pairs=PAIRS, report=None):
    return dpo.train(tiny_model, pairs, PAIRS[6:], folder / "dpo", folder / "work", settings, report)


def test_dpo_separates_the_pairs_and_repeats_to_the_byte(tiny_model, tmp_path):
    settings = dpo.Settings(batch_size=2, learning_rate=5e-3, epochs=2)
    first = align(tiny_model, tmp_path / "1", settings)
    again = align(tiny_model, tmp_path / "2", settings)
    assert first.history == again.history
    assert hash_folder(tmp_path / "1" / "dpo") == hash_folder(tmp_path / "2" / "dpo")
    margins = curve(first, "rewards/margins")
    assert margins[0] == pytest.approx(0, abs=1e-6) and margins[-1] > 0.01
    assert curve(first)[0] == pytest.approx(0.6931, abs=1e-3)  # -log(1/2): policy equals reference
    assert curve(first, "eval_rewards/margins")[-1] > 0.01
    assert (tmp_path / "1" / "dpo" / "adapter_model.safetensors").exists()
    assert not list((tmp_path / "1" / "dpo").glob("*.bin"))
    adapter = json.loads((tmp_path / "1" / "dpo" / "adapter_config.json").read_text())
    assert adapter["base_model_name_or_path"] == "models/sft"
    # A set's order differs between processes, so it must have been settled before it is hashed.
    names = adapter["target_modules"]
    assert names == sorted(names) and len(names) > 3


def test_a_step_of_dpo_is_the_mean_over_its_pairs_however_they_are_shared_out(tiny_model, tmp_path):
    """Six pairs by four: the last step has two, in one micro-batch or in one of two, the other empty."""
    settings = dpo.Settings(batch_size=4, learning_rate=5e-3, epochs=2)
    whole = align(tiny_model, tmp_path / "1", settings, PAIRS[:6])
    parts = align(tiny_model, tmp_path / "2", replace(settings, batch_size=2, accumulation=2), PAIRS[:6])
    assert curve(parts) == pytest.approx(curve(whole), rel=1e-4)
    margins = curve(whole, "rewards/margins")
    assert curve(parts, "rewards/margins") == pytest.approx(margins, rel=1e-2, abs=1e-5)
    assert parts.steps == whole.steps == 4


def test_an_interrupted_alignment_resumes_to_the_same_bytes(tiny_model, tmp_path):
    settings = dpo.Settings(batch_size=2, learning_rate=5e-3, epochs=2, save_steps=2)
    whole = align(tiny_model, tmp_path / "1", settings)
    with pytest.raises(Stop):
        align(tiny_model, tmp_path / "2", settings, report=stop_after(5))
    resumed = align(tiny_model, tmp_path / "2", settings)
    assert resumed.history == whole.history
    assert hash_folder(tmp_path / "1" / "dpo") == hash_folder(tmp_path / "2" / "dpo")


def test_a_pair_is_encoded_as_it_is_for_fine_tuning(parts):
    _, tokenizer = parts
    rows, over = dpo.encode(tokenizer, [PAIRS[0], replace_pair(PAIRS[1], rejected="")], 200)
    ids, labels = data.tokenize(tokenizer, PAIRS[0].prompt, PAIRS[0].chosen)
    assert over == 0 and rows[0]["prompt_ids"] + rows[0]["chosen_ids"] == ids
    assert labels[len(rows[0]["prompt_ids"])] == rows[0]["chosen_ids"][0]
    assert rows[1]["rejected_ids"] == [tokenizer.eos_token_id]  # to say nothing is a mistake like others


# ------------------------------------------------------------------------------- the series, jobs, cards


@pytest.mark.parametrize("profile", ["h100-1b-fc", "h100-7b-fc", "h100-7b", "h100-8x7b", "h100-8x22b"])
def test_every_profile_takes_its_steps_with_a_tiny_model_of_its_architecture(tmp_path, profile):
    values = load_profile(profile)
    series = models.find(values["model"])
    base = make_series(tmp_path / "base", series.name)
    # As the profile says, but for what makes it large, and for the number of processes.
    known: dict[str, Any] = {key: values[key] for key in asdict(sft.Settings()) if key in values}
    small: dict[str, Any] = {
        "max_tokens": 400,
        "batch_tokens": 400,
        "accumulation": 2,
        "streams": 2,
        "lora_rank": 4,
    }
    settings = sft.Settings(**(known | small | {"save_steps": 0, "epochs": 1, "eval_steps": 0}))
    assert settings.method == series.sft and settings.warmup_steps == 100
    outcome = train(base, tmp_path, settings, EXAMPLES[:8])
    assert outcome.steps >= 1 and all(torch.tensor(curve(outcome)).isfinite())
    share = outcome.trained / outcome.parameters
    assert share == 1 if series.sft == "full" else share < 1
    aligned = dpo.train(
        tmp_path / "sft", PAIRS[:4], [], tmp_path / "dpo", tmp_path / "work_dpo",
        dpo.Settings(batch_size=2, lora_rank=4, learning_rate=1e-3),
    )  # fmt: skip
    assert aligned.steps == 2 and aligned.trained < aligned.parameters
    assert type(LocalModel.load(tmp_path / "sft", "x", tmp_path / "dpo").model).__name__ == {
        "llama": "LlamaForCausalLM", "mistral": "MistralForCausalLM", "mixtral": "MixtralForCausalLM"
    }[models.config(series).model_type]  # fmt: skip


def write_job(folder: Path, tiny_model: Path, **changes) -> Path:
    folder.mkdir()
    write_jsonl(folder / "data.jsonl", EXAMPLES[:8])
    write_jsonl(folder / "held.jsonl", EXAMPLES[16:])
    made = {
        "kind": "sft", "base": str(tiny_model), "data": str(folder / "data.jsonl"),
        "held_out": str(folder / "held.jsonl"), "out": str(folder / "out"), "early": str(folder / "early"),
        "work": str(folder / "work"), "settings": asdict(FAST),
    }  # fmt: skip
    write_json(folder / "job.json", made | changes)
    return folder / "job.json"


def test_a_job_file_trains_as_the_call_does(tiny_model, tmp_path):
    path = write_job(tmp_path / "job", tiny_model)
    assert job.main(path) == 0
    outcome = sft.Outcome(**read_json(job.beside(path, "outcome")))
    direct = train(tiny_model, tmp_path / "direct", FAST, EXAMPLES[:8])
    assert outcome.history == direct.history and outcome.coverage == direct.coverage
    assert hash_folder(tmp_path / "job" / "out") == hash_folder(tmp_path / "direct" / "sft")
    assert read_json(job.beside(path, "progress"))["done"] == outcome.steps
    out, early, work = (tmp_path / "c" / name for name in ("out", "early", "work"))
    here = job.fine_tune(tiny_model, EXAMPLES[:8], EXAMPLES[16:], out, early, work, FAST)
    assert here.history == direct.history


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "ppo"}, "kind 'ppo' is unknown; choose sft or dpo"),
        # A path, not a word: words are asked of the Hub, which is tried for long where there is no network.
        ({"base": "/no/where"}, "/no/where: no checkpoint to train from"),
        ({"settings": {"method": "full", "beta": 1}}, "written by another version"),
    ],
)
def test_a_job_that_cannot_be_done_leaves_its_message(tiny_model, tmp_path, change, message, capsys):
    path = write_job(tmp_path / "job", tiny_model, **change)
    assert job.main(path) == 1
    assert message in read_json(job.beside(path, "error"))["message"]
    assert message in capsys.readouterr().err and not job.beside(path, "outcome").exists()


def test_the_model_card_holds_data_settings_and_outcome_and_no_more_than_the_run(tiny_model, tmp_path):
    outcome = train(tiny_model, tmp_path)
    given = {
        "kind": "sft", "base": "tiny", "licence": "Apache-2.0", "settings": asdict(FAST),
        "history": outcome.history, "facts": {"examples": 16}, "data": {"sft": "0" * 64},
        "command": "make it",
        "data_card": {
            "examples": 16, "tokens": {"total": 1234}, "by_source": {"own": 16},
            "sources": {"own": {"licences": {"MIT": 16}}},
        },
    }  # fmt: skip
    text = card.write(tmp_path / "sft", **given).read_text()
    assert text.startswith("---\nbase_model: tiny\n") and "license: apache-2.0\n" in text
    for part in ("make it", "learning rate: 0.01", "| own | 16 | MIT |", "0" * 64, "| loss |", "eval_exact"):
        assert part in text
    (tmp_path / "again").mkdir()
    assert card.write(tmp_path / "again", **given).read_text() == text
