"""The labelled-positions head: the same losses, outputs and gradients as TRL's own forward."""

from __future__ import annotations

import copy

import pytest
import torch
from transformers import MixtralConfig, MixtralForCausalLM
from trl.trainer.utils import add_fused_lm_head

from xlam_lib.train import attention, common
from xlam_lib.train.data import IGNORE
from xlam_lib.train.head import score_labels_only

FIELDS = ("log_probs", "entropy", "log_sum_sq_probs", "mean_logits", "is_top1")


@pytest.fixture(scope="module")
def both(tiny_model):
    model, _ = common.load(tiny_model, torch.float32)
    ours = copy.deepcopy(model)
    for one in (model, ours):
        add_fused_lm_head(one, outputs=FIELDS)
    assert score_labels_only(ours)
    return model, ours


def batch(seed: int = 0):
    draw = torch.Generator().manual_seed(seed)
    ids = torch.randint(5, 40_000, (3, 14), generator=draw)
    labels = torch.where(torch.rand(3, 14, generator=draw) < 0.4, ids, IGNORE)
    labels[0, 9:] = IGNORE
    mask = torch.ones_like(ids)
    mask[0, 10:] = 0
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


@pytest.mark.parametrize("items", [None, 7])
def test_outputs_and_gradients_equal_trls(both, items):
    theirs, ours = both
    extra = {} if items is None else {"num_items_in_batch": torch.tensor(items)}
    outcomes = []
    for model in (theirs, ours):
        model.zero_grad()
        out = model(**batch(), fused_lm_head=True, **extra)
        out.loss.backward()
        outcomes.append((out, [p.grad.clone() for p in model.parameters()]))
    (first, gradients), (second, again) = outcomes
    assert torch.equal(first.label_mask, second.label_mask)
    assert second.loss.item() == pytest.approx(first.loss.item(), rel=1e-5)
    scored = first.label_mask
    for name in FIELDS:
        one, two = getattr(first, name), getattr(second, name)
        torch.testing.assert_close(two[scored].float(), one[scored].float(), rtol=1e-4, atol=1e-4)
        assert not two[~scored].any()
    for one, two in zip(gradients, again, strict=True):
        torch.testing.assert_close(two, one, rtol=1e-3, atol=1e-5)


def test_a_prompt_tokens_label_changes_nothing_and_a_supervised_one_does(both):
    _, ours = both
    given = batch(1)
    loss = ours(**given, fused_lm_head=True).loss.item()
    first = given | {"labels": given["labels"].clone()}
    first["labels"][:, 0] = 17  # the first position is predicted from nothing
    assert ours(**first, fused_lm_head=True).loss.item() == loss
    place = (given["labels"][:, 1:] != IGNORE).nonzero()[0]
    other = given | {"labels": given["labels"].clone()}
    other["labels"][place[0], place[1] + 1] = 17
    assert ours(**other, fused_lm_head=True).loss.item() != loss


def test_a_batch_without_labels_has_no_loss_and_no_error(both):
    _, ours = both
    given = batch(2)
    given["labels"][:] = IGNORE
    assert ours(**given, fused_lm_head=True).loss.item() == 0


def test_models_that_scale_their_logits_keep_trls_forward(tiny_model):
    model, _ = common.load(tiny_model)
    model.config.logit_scale = 0.5
    add_fused_lm_head(model)
    before = model.forward
    assert not score_labels_only(model)
    assert model.forward == before


@pytest.fixture(scope="module")
def stripped(both):
    """TRL's forward, and ours with packed attention installed."""
    theirs, ours = both
    ours = copy.deepcopy(ours)
    attention.install(ours)
    return theirs, ours


def preference_batch(side: str):
    """Two prompts with two answers each, chosen before rejected, as the DPO trainer lays them out."""
    draw = torch.Generator().manual_seed(3)
    system, *prompts = (torch.randint(5, 40_000, (n,), generator=draw) for n in (6, 9, 5))
    rows, labels = [], []
    for lengths in ((4, 7), (3, 5)):
        for prompt, length in zip(prompts, lengths, strict=True):
            answer = torch.randint(5, 40_000, (length,), generator=draw)
            answer[0] = 17  # answers begin alike too
            rows.append(torch.cat((system, prompt, answer)))
            labels.append(torch.cat((torch.full((6 + len(prompt),), IGNORE), answer)))
    longest = max(map(len, rows))

    def padded(values, fill):
        ends = [torch.full((longest - len(one),), fill) for one in values]
        both = zip(values, ends, strict=True)
        return torch.stack([torch.cat((one, end) if side == "right" else (end, one)) for one, end in both])

    return {
        "input_ids": padded(rows, 2),
        "attention_mask": padded([torch.ones_like(row) for row in rows], 0),
        "labels": padded(labels, IGNORE),
    }


def tokens_run(model) -> list[int]:
    """A list that each pass through the decoder adds its number of tokens to."""
    seen: list[int] = []
    model.base_model.layers[0].register_forward_pre_hook(
        lambda _, args: seen.append(args[0].shape[:2].numel())
    )
    return seen


def run(model, given):
    """The outputs of a batch, and gradients in which each labelled token has a weight of its own."""
    model.zero_grad()
    out = model(**given, fused_lm_head=True)
    (out.log_probs * torch.linspace(1, 2, out.log_probs.numel()).view_as(out.log_probs)).sum().backward()
    return out, [p.grad.clone() for p in model.parameters() if p.grad is not None]


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_padded_batch_with_shared_prompts_equals_trls(stripped, side):
    given = preference_batch(side)
    seen = tokens_run(stripped[1])
    (first, gradients), (second, again) = (run(model, given) for model in stripped)
    # Each prompt once, the second without the system's part, and of each answer what predicts a token; the
    # rejected answers begin with the chosen ones' first token, of which the shorter keeps one of its own.
    assert seen == [(6 + 9 + 3) + (5 + 6) + 1 + 3]
    assert torch.equal(first.label_mask, second.label_mask)
    assert second.loss.item() == pytest.approx(first.loss.item(), rel=1e-5)
    for name in FIELDS:
        one, two = getattr(first, name), getattr(second, name)
        assert one.shape == two.shape
        torch.testing.assert_close(
            two[second.label_mask].float(), one[first.label_mask].float(), rtol=1e-4, atol=1e-4
        )
    for one, two in zip(gradients, again, strict=True):
        torch.testing.assert_close(two, one, rtol=1e-3, atol=1e-4)


def test_an_adapter_gets_the_same_gradients_and_off_the_same_outputs(stripped):
    from peft import LoraConfig, get_peft_model

    given = preference_batch("right")
    outcomes = []
    for model in stripped:
        torch.manual_seed(0)
        lora = LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
        adapted = get_peft_model(copy.deepcopy(model), lora)
        with torch.no_grad(), adapted.disable_adapter():
            reference = adapted(**given, fused_lm_head=True).log_probs
        outcomes.append((reference, *run(adapted, given)))
    (one, first, gradients), (two, second, again) = outcomes
    torch.testing.assert_close(two, one, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(second.log_probs, first.log_probs, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(one, first.log_probs, atol=0.01)
    assert gradients
    for a, b in zip(gradients, again, strict=True):
        torch.testing.assert_close(b, a, rtol=1e-3, atol=1e-4)


def test_batches_that_cannot_be_stripped_run_as_they_are(stripped):
    given = preference_batch("left")
    hole = {**given, "attention_mask": given["attention_mask"].clone()}
    hole["attention_mask"][:, -9] = 0
    from_padding = {**given, "labels": given["input_ids"]}  # the first real token, predicted from padding
    unlabelled = {**given, "labels": torch.full_like(given["labels"], IGNORE)}
    places = {**given, "position_ids": torch.arange(given["labels"].shape[1])[None]}
    seen = tokens_run(stripped[1])
    for one in (hole, from_padding, unlabelled, places):
        seen.clear()
        with torch.no_grad():
            first, second = (model(**one, fused_lm_head=True).log_probs for model in stripped)
        assert seen == [given["labels"].numel()]
        torch.testing.assert_close(second, first, rtol=1e-4, atol=1e-4)


def test_a_packed_row_runs_as_it_is_and_scores_as_its_examples_do(stripped):
    theirs, ours = stripped
    given = preference_batch("right")
    rows = [ids[mask.bool()] for ids, mask in zip(given["input_ids"], given["attention_mask"], strict=True)]
    answers = [row[mask.bool()] for row, mask in zip(given["labels"], given["attention_mask"], strict=True)]
    packed = attention.pack(rows, share=False)
    seen = tokens_run(ours)
    with torch.no_grad():
        expected = theirs(**given, fused_lm_head=True)
        found = ours(**packed.inputs, labels=torch.cat(answers)[None], fused_lm_head=True)
    assert seen == [sum(map(len, rows))]
    assert found.log_probs.shape == (1, seen[0] - 1)
    torch.testing.assert_close(
        found.log_probs[found.label_mask], expected.log_probs[expected.label_mask], rtol=1e-4, atol=1e-4
    )


def test_a_mixture_of_experts_runs_stripped_unless_its_routing_loss_is_asked_for():
    torch.manual_seed(0)
    config = MixtralConfig(
        vocab_size=40_000,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        num_local_experts=4,
        initializer_range=0.3,
    )
    theirs = MixtralForCausalLM(config)
    ours = copy.deepcopy(theirs)
    for model in (theirs, ours):
        add_fused_lm_head(model)
    assert score_labels_only(ours)
    attention.install(ours)
    given = preference_batch("right")
    seen = tokens_run(ours)
    with torch.no_grad():
        first, second = (model(**given, fused_lm_head=True) for model in (theirs, ours))
        assert seen[0] < given["attention_mask"].sum()
        torch.testing.assert_close(second.log_probs, first.log_probs, rtol=1e-4, atol=1e-4)
        first, second = (
            model(**given, fused_lm_head=True, output_router_logits=True) for model in (theirs, ours)
        )
    torch.testing.assert_close(second.loss, first.loss)
    assert second.aux_loss is not None
    ours.config.output_router_logits = True
    assert not score_labels_only(ours)
