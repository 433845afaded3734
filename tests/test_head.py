"""The labelled-positions head: the same losses, outputs and gradients as TRL's own forward."""

from __future__ import annotations

import copy

import pytest
import torch
from trl.trainer.utils import add_fused_lm_head

from xlam_lib.train import common
from xlam_lib.train.head import score_labels_only

FIELDS = ("log_probs", "entropy", "log_sum_sq_probs", "mean_logits", "is_top1")


@pytest.fixture(scope="module")
def both(tiny_model):
    model, _ = common.load(tiny_model)
    ours = copy.deepcopy(model)
    for one in (model, ours):
        add_fused_lm_head(one, outputs=FIELDS)
    assert score_labels_only(ours)
    return model, ours


def batch(seed: int = 0):
    draw = torch.Generator().manual_seed(seed)
    ids = torch.randint(5, 40_000, (3, 14), generator=draw)
    labels = torch.where(torch.rand(3, 14, generator=draw) < 0.4, ids, common.IGNORE)
    labels[0, 9:] = common.IGNORE
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
    place = (given["labels"][:, 1:] != common.IGNORE).nonzero()[0]
    other = given | {"labels": given["labels"].clone()}
    other["labels"][place[0], place[1] + 1] = 17
    assert ours(**other, fused_lm_head=True).loss.item() != loss


def test_a_batch_without_labels_has_no_loss_and_no_error(both):
    _, ours = both
    given = batch(2)
    given["labels"][:] = common.IGNORE
    assert ours(**given, fused_lm_head=True).loss.item() == 0


def test_models_that_scale_their_logits_keep_trls_forward(tiny_model):
    model, _ = common.load(tiny_model)
    model.config.logit_scale = 0.5
    add_fused_lm_head(model)
    before = model.forward
    assert not score_labels_only(model)
    assert model.forward == before
