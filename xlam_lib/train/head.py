"""A language-model head that scores labelled positions only, for training on a CPU.

TRL's trainers never build all logits: their patched forward scores the vocabulary in tiles. Without
Triton, that is on a CPU, it scores **every** position, prompts included, and twice (again in the
backward pass), in Python. On a 135M model with short answers this costs more than the network below it.
Here the hidden states of the labelled positions are selected first and scored by plain matrix products.
"""

from __future__ import annotations

import types
from typing import Any

import torch
from torch.nn import functional
from trl.trainer.utils import FusedCausalLMOutput

from xlam_lib.train.common import IGNORE

# Models that scale or cap their logits keep TRL's forward, which knows how.
_SCALED = (
    "final_logit_softcapping",
    "logit_scale",
    "output_multiplier",
    "lm_head_multiplier",
    "logits_scaling",
)


def score_labels_only(model: Any) -> bool:
    """Replace the trainer's fused forward of ``model`` on a CPU; return whether that was done.

    Call it after the trainer is made, which patches the forward that this one wraps. The outputs are the
    same fields with the same values: ``log_probs`` of shape (batch, length - 1), zero where the label is
    ``IGNORE``, and without gradient ``entropy``,
    ``log_sum_sq_probs``, ``mean_logits`` and ``is_top1``.
    """
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    config = base.config.get_text_config()
    parameter = next(base.parameters())
    if parameter.device.type != "cpu" or any(
        getattr(config, name, None) not in (None, 1.0) for name in _SCALED
    ):
        return False
    if getattr(config, "output_router_logits", False):
        return False  # the load-balancing loss of mixture-of-experts models is TRL's to add
    fused = base.forward

    def forward(self: Any, *args: Any, fused_lm_head: bool = False, **kwargs: Any) -> Any:
        if not fused_lm_head or kwargs.get("shift_labels") is not None:
            return fused(*args, fused_lm_head=fused_lm_head, **kwargs)
        labels = kwargs.pop("labels")[:, 1:]
        items = kwargs.pop("num_items_in_batch", None)
        kwargs["use_cache"] = False
        hidden = self.base_model(*args, **kwargs).last_hidden_state[:, :-1]
        mask = labels != IGNORE
        targets = labels[mask]
        logits = self.get_output_embeddings()(hidden[mask]).float()
        log_probs = -functional.cross_entropy(logits, targets, reduction="none")
        with torch.no_grad():
            log_all = torch.log_softmax(logits, -1)
            entropy = -(log_all.exp() * log_all).sum(-1)
            squares = torch.logsumexp(2 * log_all, -1)
            means = logits.mean(-1)
            is_top1 = logits.argmax(-1) == targets

        def spread(values: torch.Tensor) -> torch.Tensor:
            return values.new_zeros(mask.shape).masked_scatter(mask, values)

        loss = -log_probs.sum() / (mask.sum().clamp(min=1) if items is None else items)
        return FusedCausalLMOutput(
            loss=loss,
            log_probs=spread(log_probs),
            entropy=spread(entropy),
            log_sum_sq_probs=spread(squares),
            mean_logits=spread(means),
            is_top1=spread(is_top1),
            label_mask=mask,
        )

    base.forward = types.MethodType(forward, base)
    return True
