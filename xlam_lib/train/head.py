"""A language-model head that scores labelled positions only, for training on a CPU.

TRL's trainers never build all logits: their patched forward scores the vocabulary in tiles. Without
Triton, that is on a CPU, it scores **every** position, prompts included, and twice (again in the
backward pass), in Python. On a 135M model with short answers this costs more than the network below it.
Here the hidden states of the labelled positions are selected first and scored by plain matrix products.

With packed attention (:mod:`xlam_lib.train.attention`) the network below does less too: a padded batch is
laid out as one row, without its padding, without what follows the last labelled token, and with a beginning
that rows have in common computed once. So a pair of answers costs its prompt one time, not two.
"""

from __future__ import annotations

import types
from typing import Any

import torch
from trl.trainer.utils import FusedCausalLMOutput

from xlam_lib.train import attention
from xlam_lib.train.data import IGNORE

# What a plain padded batch consists of; with anything else in it, the batch is run as it is.
_PLAIN = {"input_ids", "attention_mask", "use_cache", "return_dict"}

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
    ``log_sum_sq_probs``, ``mean_logits`` and ``is_top1``. If :func:`xlam_lib.train.attention.install` was
    called, before or after, padded batches run as one row; packed ones run as they are.
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
        as_before = kwargs.get("shift_labels") is not None or kwargs.get("output_router_logits")
        if not fused_lm_head or as_before:
            return fused(*args, fused_lm_head=fused_lm_head, **kwargs)
        labels = kwargs.pop("labels")[:, 1:]
        items = kwargs.pop("num_items_in_batch", None)
        kwargs["use_cache"] = False
        mask = labels != IGNORE
        targets = labels[mask]
        hidden = _predicting(self, mask, args, kwargs)
        logits = self.get_output_embeddings()(hidden).float()
        log_all = torch.log_softmax(logits, -1)
        log_probs = log_all.gather(-1, targets[:, None])[:, 0]
        with torch.no_grad():
            probs = log_all.exp()
            entropy = -(probs * log_all).sum(-1)
            squares = probs.square().sum(-1).log()
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


def _predicting(model: Any, scored: torch.Tensor, args: tuple[Any, ...], kwargs: Any) -> torch.Tensor:
    """The hidden states that predict labelled tokens, shape (labelled, width), row after row.

    ``scored`` has the shape (batch, length - 1): whether the token after each position is labelled.
    """
    given = {name for name, value in kwargs.items() if value is not None and value is not False}
    if not args and "input_ids" in given and given <= _PLAIN and attention.installed(model):
        ids = kwargs["input_ids"]
        attended = kwargs.get("attention_mask")
        attended = torch.ones_like(ids) if attended is None else attended
        found = _strip(ids, attended.bool(), scored) if attended.dim() == 2 else None
        if found is not None:
            packed, places = found
            return model.base_model(**packed.inputs, use_cache=False).last_hidden_state[0, places]
    return model.base_model(*args, **kwargs).last_hidden_state[:, :-1][scored]


def _strip(
    ids: torch.Tensor, attended: torch.Tensor, scored: torch.Tensor
) -> tuple[attention.Packed, torch.Tensor] | None:
    """A padded batch as one row, and where in it the positions that predict labelled tokens are.

    None where the batch cannot be had that way: no label, a mask with holes, a token predicted from padding.
    """
    numbers, columns = scored.nonzero(as_tuple=True)
    first = attended.int().argmax(1)
    places = torch.arange(ids.shape[1])
    end = first + attended.sum(1)
    unbroken = torch.equal(attended, (places >= first[:, None]) & (places < end[:, None]))
    if not len(numbers) or not unbroken or not attended[numbers, columns].all():
        return None
    rows, wanted = [], []
    for number in numbers.unique().tolist():
        wanted.append(columns[numbers == number] - first[number])
        start = int(first[number])
        # A causal model needs nothing that follows the last position that predicts a label.
        rows.append(ids[number, start : start + int(wanted[-1][-1]) + 1])
    packed = attention.pack(rows)
    return packed, torch.cat([packed.places(row)[columns] for row, columns in enumerate(wanted)])
