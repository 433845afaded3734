"""What both trainings share: labels on the answer alone, logging, choosing what is trained."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import TrainerCallback

from xlam_lib.errors import TrainingError
from xlam_lib.inference import best_device, best_dtype

IGNORE = -100
Report = Callable[[int, int, str], None]


def load(folder: str | Path) -> tuple[Any, Any]:
    """A checkpoint's model (best dtype of this machine, on the CPU) and tokenizer.

    Raises
    ------
    TrainingError
        The folder holds no checkpoint that transformers can read.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer, logging

    logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
        model = AutoModelForCausalLM.from_pretrained(
            str(folder), dtype=best_dtype(best_device()), trust_remote_code=False, use_safetensors=True
        )
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"{folder}: no checkpoint to train from ({str(error).splitlines()[0]}); "
            "name a folder with config.json, tokenizer.json and *.safetensors"
        ) from None
    return model, tokenizer


def tokenize(tokenizer: Any, prompt: str, answer: str) -> tuple[list[int], list[int]]:
    """Token ids of a chat and its labels.

    The prompt is encoded exactly as it is for generation, then the answer and the end-of-text token
    follow; so the model is trained on the context it will see. Labels are ``IGNORE`` on the prompt.

    Raises
    ------
    TrainingError
        The answer is empty.
    """
    if not answer.strip():
        raise TrainingError(f"an example has no answer to learn; its prompt begins {prompt[:80]!r}")
    head = list(
        tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}], add_generation_prompt=True, return_dict=False
        )
    )
    tail = [*tokenizer(answer, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    return head + tail, [IGNORE] * len(head) + tail


def choose_trained(model: Any, method: str, lora_rank: int = 16) -> Any:
    """Choose what is trained: ``full``, ``lora``, or ``top-N`` for the last N layers of the decoder.

    ``top-N`` freezes the embeddings and the layers below: their backward pass falls away, which on a
    CPU buys about twice as many examples an hour. Returns the model (wrapped for LoRA).

    Raises
    ------
    TrainingError
        The method is unknown, or there are not that many layers.
    """
    if method == "full":
        return model
    if method == "lora":
        from peft import LoraConfig, get_peft_model

        config = LoraConfig(
            r=lora_rank, lora_alpha=2 * lora_rank, target_modules="all-linear", task_type="CAUSAL_LM"
        )
        return get_peft_model(model, config)
    kind, _, number = method.partition("-")
    layers = model.model.layers
    if kind != "top" or not number.isdigit() or not 0 < int(number) <= len(layers):
        raise TrainingError(
            f"method {method!r} is unknown; choose full, lora, or top-N with N from 1 to {len(layers)} layers"
        )
    model.requires_grad_(False)
    for layer in layers[len(layers) - int(number) :]:
        layer.requires_grad_(True)
    model.model.norm.requires_grad_(True)
    return model


def trained_share(model: Any) -> tuple[int, int]:
    """The number of parameters that are trained, and of all."""
    every = list(model.parameters())
    return sum(p.numel() for p in every if p.requires_grad), sum(p.numel() for p in every)


def set_seed(seed: int) -> None:
    """Seed Python, numpy and torch."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


class Watch(TrainerCallback):
    """Reports progress, and remembers the step at which this process began (above 0 after a resume)."""

    def __init__(self, report: Report | None) -> None:
        self.report = report
        self.started = time.time()
        self.step_before = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.started, self.step_before = time.time(), state.global_step

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.report:
            pace = (time.time() - self.started) / max(state.global_step - self.step_before, 1)
            left = pace * (state.max_steps - state.global_step)
            self.report(state.global_step, state.max_steps, f"{pace:.1f} s/step, {left / 60:.0f} min left")


def history(state: Any, keys: Sequence[str]) -> list[dict[str, float]]:
    """The trainer's log: ``step`` and those of ``keys`` that an entry has, in order."""
    return [
        {"step": entry["step"]} | {key: entry[key] for key in keys if key in entry}
        for entry in state.log_history
        if any(key in entry for key in keys)
    ]


def last_checkpoint(folder: Path) -> str | None:
    """The newest whole checkpoint of an interrupted training; half-written ones are removed."""
    found = []
    for path in folder.glob("checkpoint-*"):
        # trainer_state.json is what the trainer writes last of those it resumes from.
        if (path / "trainer_state.json").exists() and (path / "COMPLETE").exists():
            found.append((int(path.name.rsplit("-", 1)[1]), path))
        else:
            shutil.rmtree(path, ignore_errors=True)
    return str(max(found)[1]) if found else None


class MarkComplete(TrainerCallback):
    """Marks a checkpoint once all of it is on disk; :func:`last_checkpoint` trusts no other."""

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if folder.is_dir():
            os.sync()
            (folder / "COMPLETE").touch()
