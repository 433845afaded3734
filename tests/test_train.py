"""Training: the loss sees the answer's tokens alone, runs repeat and resume exactly, bad input is named."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xlam_lib.errors import TrainingError
from xlam_lib.mixture import Example
from xlam_lib.preferences import Pair
from xlam_lib.records import hash_folder
from xlam_lib.train import common, dpo, sft


def example(number: int) -> Example:
    answer = json.dumps({"tool_calls": [{"name": "add", "arguments": {"a": number, "b": number + 1}}]})
    return Example(
        f"own/{number}#1", "own", "simple", f"Tools: add. Query: add {number} and one more.", answer, ["add"]
    )


EXAMPLES = [example(number) for number in range(20)]
FAST = sft.Settings(batch_size=4, learning_rate=1e-2, epochs=2, seed=3)


@pytest.fixture(scope="module")
def parts(tiny_model):
    return common.load(tiny_model)


def test_labels_are_the_answers_tokens_and_the_end_token_alone(parts):
    _, tokenizer = parts
    for item in EXAMPLES[:5]:
        ids, labels = common.tokenize(tokenizer, item.prompt, item.answer)
        supervised = [i for i, label in zip(ids, labels, strict=True) if label != common.IGNORE]
        assert tokenizer.decode(supervised) == item.answer + tokenizer.eos_token
        assert all(label in (common.IGNORE, i) for i, label in zip(ids, labels, strict=True))
        head = [i for i, label in zip(ids, labels, strict=True) if label == common.IGNORE]
        assert item.prompt in tokenizer.decode(head) and tokenizer.decode(head).endswith("assistant\n")
        # The labelled part is one block at the end.
        assert labels.index(supervised[0]) == len(head)


@settings(max_examples=60, deadline=None)
@given(prompt=st.text(max_size=60), answer=st.text(min_size=1, max_size=60).filter(str.strip))
def test_any_text_is_labelled_from_the_answers_first_token(parts, prompt, answer):
    _, tokenizer = parts
    ids, labels = common.tokenize(tokenizer, prompt, answer)
    context = tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}], add_generation_prompt=True, return_dict=False
    )
    assert ids[: len(context)] == list(context)  # what the model is given when it generates
    assert set(labels[: len(context)]) <= {common.IGNORE}
    assert labels[len(context) :] == ids[len(context) :] and labels[-1] == tokenizer.eos_token_id


def test_trl_computes_the_loss_on_the_answer_only(parts, tiny_model, tmp_path):
    """What SFTTrainer reports is the cross-entropy over the answers' tokens, by hand, and nothing else."""
    model, tokenizer = common.load(tiny_model)
    by_hand = []
    for item in EXAMPLES[:4]:
        ids, labels = common.tokenize(tokenizer, item.prompt, item.answer)
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0, :-1].float()
        target = torch.tensor(labels[1:])
        by_hand.append(
            torch.nn.functional.cross_entropy(
                logits[target != common.IGNORE], target[target != common.IGNORE], reduction="none"
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


def run(tiny_model, folder, settings=FAST):
    outcome = sft.train(
        tiny_model, EXAMPLES[:16], EXAMPLES[16:], folder / "sft", folder / "early", folder / "work", settings
    )
    return outcome, hash_folder(folder / "sft"), hash_folder(folder / "early")


def test_training_learns_follows_the_schedule_and_repeats_to_the_byte(tiny_model, tmp_path):
    first, model, early = run(tiny_model, tmp_path / "1")
    again, model_again, early_again = run(tiny_model, tmp_path / "2")
    assert (model, early) == (model_again, early_again) and model != early
    assert first.history == again.history
    losses = [entry["loss"] for entry in first.history if "loss" in entry]
    rates = [entry["learning_rate"] for entry in first.history if "learning_rate" in entry]
    assert len(losses) == first.steps == 8 and losses[-1] < losses[0]
    assert first.history[-1]["eval_loss"] < first.history[0]["eval_loss"]
    peak = rates.index(max(rates))
    assert max(rates) == pytest.approx(1e-2, rel=0.05) and rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] < 0.1 * max(rates)  # a cosine's end


def test_an_interrupted_training_resumes_to_the_same_bytes(tiny_model, tmp_path):
    from dataclasses import replace

    settings = replace(FAST, save_steps=2)
    whole, model, early = run(tiny_model, tmp_path / "whole", settings)

    class Stop(Exception):
        pass

    def stop_after_five(done: int, total: int, note: str) -> None:
        if done == 5:
            raise Stop

    broken = tmp_path / "broken"
    with pytest.raises(Stop):
        sft.train(
            tiny_model,
            EXAMPLES[:16],
            EXAMPLES[16:],
            broken / "sft",
            broken / "early",
            broken / "work",
            settings,
            stop_after_five,
        )
    assert not (broken / "sft").exists()
    (broken / "work" / "checkpoint-5").mkdir()  # a checkpoint that was being written is not trusted
    resumed, model_again, early_again = run(tiny_model, broken, settings)
    assert (model, early) == (model_again, early_again)
    assert resumed.history == whole.history


@pytest.mark.parametrize("method", ["top-1", "lora"])
def test_partial_methods_train_less_and_save_a_whole_model(tiny_model, tmp_path, method):
    outcome, _, _ = run(tiny_model, tmp_path, sft.Settings(method=method, batch_size=4, learning_rate=1e-2))
    assert 0 < outcome.trained < outcome.parameters / 2
    model, _ = common.load(tmp_path / "sft")
    before, _ = common.load(tiny_model)
    assert torch.equal(model.model.embed_tokens.weight, before.model.embed_tokens.weight)
    changed = [not torch.equal(a, b) for a, b in zip(model.parameters(), before.parameters(), strict=True)]
    assert any(changed)


def test_too_long_examples_are_counted_and_none_left_is_an_error(tiny_model, tmp_path):
    long = Example("own/long#1", "own", "simple", "word " * 400, EXAMPLES[0].answer, ["add"])
    outcome = sft.train(
        tiny_model,
        [*EXAMPLES[:4], long],
        [],
        tmp_path / "o",
        tmp_path / "e",
        tmp_path / "w",
        sft.Settings(max_tokens=200),
    )
    assert (outcome.examples, outcome.over_long) == (4, 1)
    with pytest.raises(TrainingError, match="1 of them longer than max_tokens=200"):
        sft.train(
            tiny_model,
            [long],
            [],
            tmp_path / "o",
            tmp_path / "e",
            tmp_path / "w",
            sft.Settings(max_tokens=200),
        )


def test_bad_input_is_named(tiny_model, tmp_path):
    folders = (tmp_path / "o", tmp_path / "e", tmp_path / "w")
    empty = Example("own/empty#1", "own", "simple", "prompt", " ", [])
    with pytest.raises(TrainingError, match=r"own/empty#1.*no answer"):
        sft.train(tiny_model, [empty], [], *folders, FAST)
    with pytest.raises(TrainingError, match="no example to train on"):
        sft.train(tiny_model, [], [], *folders, FAST)
    with pytest.raises(TrainingError, match="no checkpoint to train from"):
        sft.train(tmp_path, EXAMPLES, [], *folders, FAST)
    with pytest.raises(TrainingError, match="choose full, lora, or top-N with N from 1 to 2"):
        sft.train(tiny_model, EXAMPLES, [], *folders, sft.Settings(method="top-3"))
    with pytest.raises(TrainingError, match="no preference pair"):
        dpo.train(tiny_model, [], tmp_path / "o", tmp_path / "w", dpo.Settings())


def pairs() -> list[Pair]:
    return [
        Pair(e.id, e.prompt, e.answer, e.answer.replace("add", "sum"), "wrong function") for e in EXAMPLES[:8]
    ]


def test_dpo_separates_the_pairs_and_repeats_to_the_byte(tiny_model, tmp_path):
    settings = dpo.Settings(batch_size=2, learning_rate=5e-3, epochs=2)
    first = dpo.train(tiny_model, pairs(), tmp_path / "1", tmp_path / "w1", settings)
    again = dpo.train(tiny_model, pairs(), tmp_path / "2", tmp_path / "w2", settings)
    assert first.history == again.history
    assert hash_folder(tmp_path / "1") == hash_folder(tmp_path / "2")
    assert first.history[0]["rewards/margins"] == pytest.approx(0, abs=1e-6)
    assert first.history[-1]["rewards/margins"] > 0.01
    assert first.history[0]["loss"] == pytest.approx(0.6931, abs=1e-3)  # -log(1/2): policy equals reference
    assert (tmp_path / "1" / "adapter_model.safetensors").exists()
    assert not list((tmp_path / "1").glob("*.bin"))
    adapter = json.loads((tmp_path / "1" / "adapter_config.json").read_text())
    assert adapter["base_model_name_or_path"] == "models/sft"
    # A set's order differs between processes, so it must have been settled before it is hashed.
    assert (
        adapter["target_modules"] == sorted(adapter["target_modules"]) and len(adapter["target_modules"]) > 3
    )
