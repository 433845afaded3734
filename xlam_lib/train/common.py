"""What both trainings share: loading, choosing what is trained, seeds, progress, logs, checkpoints."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import TrainerCallback

from xlam_lib.errors import TrainingError
from xlam_lib.inference import best_device, best_dtype
from xlam_lib.records import read_json, write_json
from xlam_lib.train import cluster

# Of TRL's and PEFT's own making, and not for the reader of a page.
warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)

Report = Callable[[int, int, str], None]
_PLAN = "plan.json"


def precision(method: str) -> tuple[torch.dtype, bool]:
    """The dtype the weights are held in, and whether the arithmetic runs in bfloat16 beside it.

    Where bfloat16 is fast, trained weights stay in float32 and are multiplied in bfloat16 (autocast on one
    device, FSDP's mixed precision on several): at the learning rates used here a weight in bfloat16 would
    round most of its updates away. Frozen weights under LoRA need no such care and are held in bfloat16.
    """
    fast = best_dtype(best_device()) == torch.bfloat16
    return (torch.bfloat16 if fast and method == "lora" else torch.float32), fast


def load(folder: str | Path, dtype: torch.dtype | None = None) -> tuple[Any, Any]:
    """A checkpoint's model (on the CPU; in ``dtype``, else this machine's best) and its tokenizer.

    Of the processes of a sharded training one reads the weights and FSDP hands them to the others.

    Raises
    ------
    TrainingError
        The folder holds no checkpoint that transformers can read.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer, logging

    logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
        dtype = dtype or best_dtype(best_device())
        if cluster.reads_weights():
            model = AutoModelForCausalLM.from_pretrained(
                str(folder), dtype=dtype, trust_remote_code=False, use_safetensors=True
            )
        else:
            model = cluster.empty_model(folder, dtype)
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"{folder}: no checkpoint to train from ({str(error).splitlines()[0]}); "
            "name a folder with config.json, tokenizer.json and *.safetensors"
        ) from None
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return model, tokenizer


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
        from peft import get_peft_model

        return get_peft_model(model, lora(lora_rank))
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


def lora(rank: int) -> Any:
    """The LoRA configuration of both trainings: every linear map of the decoder, alpha twice the rank.

    Of a mixture-of-experts model that includes the experts and their router. The report names LoRA and
    neither rank, alpha nor targets.
    """
    from peft import LoraConfig

    return LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")


def settle_adapter(folder: Path, base: str) -> None:
    """Make a saved adapter's files the same for every run, and name its base.

    PEFT writes the names of the adapted modules as a set, in an order that differs from process to process,
    a card of placeholders, and the base as a path of this machine.
    """
    (folder / "README.md").unlink(missing_ok=True)
    adapter = read_json(folder / "adapter_config.json", dict[str, Any])
    settled = {"base_model_name_or_path": base, "target_modules": sorted(adapter["target_modules"])}
    write_json(folder / "adapter_config.json", adapter | settled)


def merge(base: str | Path, adapter: Path, out: Path) -> None:
    """Write ``base`` with its LoRA ``adapter`` merged in as a plain checkpoint (merged on the CPU)."""
    from peft import PeftModel

    model, tokenizer = load(
        base, torch.float32 if best_dtype(best_device()) == torch.float32 else torch.bfloat16
    )
    PeftModel.from_pretrained(model, str(adapter)).merge_and_unload().save_pretrained(out)
    tokenizer.save_pretrained(out)


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
    """Reports progress, and keeps the time.

    ``seconds`` of training so far, without the ``paused`` ones of measurements; ``ended`` is what they came
    to; ``step_before`` the step at which this process began (above 0 after a resume).
    """

    def __init__(self, report: Report | None) -> None:
        self.report = report if cluster.is_main() else None
        self.started = time.time()
        self.paused = self.ended = 0.0
        self.step_before = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.started, self.paused, self.step_before = time.time(), 0.0, state.global_step

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.report:
            pace = self.seconds / max(state.global_step - self.step_before, 1)
            left = pace * (state.max_steps - state.global_step)
            self.report(state.global_step, state.max_steps, f"{pace:.1f} s/step, {left / 60:.0f} min left")

    @property
    def seconds(self) -> float:
        return time.time() - self.started - self.paused


def history(state: Any, keys: Sequence[str]) -> list[dict[str, float]]:
    """The trainer's log: ``step`` and those of ``keys`` that an entry has, in order."""
    return [
        {"step": entry["step"]} | {key: entry[key] for key in keys if key in entry}
        for entry in state.log_history
        if any(key in entry for key in keys)
    ]


def digest(*parts: Any) -> str:
    """A hash that two trainings share only if they read the same rows in the same order."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def same_training(work: Path, identity: str) -> None:
    """Note in ``work`` which training its checkpoints belong to.

    Raises
    ------
    TrainingError
        They belong to another one: other data, model or settings.
    """
    cluster.barrier()
    if (work / _PLAN).exists():
        if read_json(work / _PLAN) != {"training": identity}:
            raise TrainingError(
                f"{work}: holds the checkpoints of a training with other data or settings; "
                "remove the folder to begin anew, or name another"
            )
    elif cluster.is_main():
        work.mkdir(parents=True, exist_ok=True)
        write_json(work / _PLAN, {"training": identity})
    cluster.barrier()


def last_checkpoint(folder: Path) -> str | None:
    """The newest whole checkpoint of an interrupted training; half-written ones are removed.

    Raises
    ------
    TrainingError
        It is sharded and this training is not, or the other way round.
    """
    cluster.barrier()
    found = []
    for path in folder.glob("checkpoint-*"):
        # trainer_state.json is what the trainer writes last of those it resumes from.
        if (path / "trainer_state.json").exists() and (path / "COMPLETE").exists():
            found.append((int(path.name.rsplit("-", 1)[1]), path))
        elif cluster.is_main():
            shutil.rmtree(path, ignore_errors=True)
    cluster.barrier()
    if not found:
        return None
    newest = max(found)[1]
    shards = any(newest.glob("*_fsdp_*"))
    if shards != cluster.sharded():
        raise TrainingError(
            f"{newest}: {'a' if shards else 'not a'} sharded checkpoint; resume with the launch "
            "configuration that it was begun with, or remove the folder to begin anew"
        )
    return str(newest)


class MarkComplete(TrainerCallback):
    """Marks a checkpoint once all of it is on disk; :func:`last_checkpoint` trusts no other.

    The one before it is removed only then: with several processes the trainer itself would remove it while
    another process may still be writing its part of the new one.
    """

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        cluster.barrier()
        if cluster.is_main() and folder.is_dir():
            os.sync()
            (folder / "COMPLETE").touch()
            for other in folder.parent.glob("checkpoint-*"):
                if other != folder:
                    shutil.rmtree(other, ignore_errors=True)
        cluster.barrier()


def quiet(trainer: Any, unwanted: Iterable[type] = ()) -> None:
    """Take off the callbacks that print: progress and figures have their own places here."""
    from transformers.trainer_callback import PrinterCallback

    for callback in (PrinterCallback, *unwanted):
        trainer.remove_callback(callback)


def arguments(work: Path, settings: Any, steps: int, per_process: int, bf16: bool) -> dict[str, Any]:
    """The arguments that both of TRL's trainers are given.

    ``settings`` has the fields that :class:`xlam_lib.train.sft.Settings` and ``dpo.Settings`` share;
    ``per_process`` is the number of micro-batches that this process adds up for one step.
    """
    gpu = best_device().type == "cuda"
    return {
        "output_dir": str(work),
        "max_steps": steps,
        "per_device_train_batch_size": settings.batch_size,
        "gradient_accumulation_steps": per_process,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": "cosine",
        # The report warms up for 100 steps. A short training would then be over before its peak, so it
        # warms up for a tenth of its steps.
        "warmup_steps": min(settings.warmup_steps, max(steps // 10, 1)),
        "weight_decay": settings.weight_decay,
        # Under FSDP the layers themselves recompute (cluster.settle_sharding).
        "activation_checkpointing": settings.checkpointing and not cluster.sharded(),
        "use_cpu": not gpu,
        "bf16": bf16,
        "tf32": True if gpu else None,
        "max_length": None,  # over-long examples are already out, none is cut
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # it would wait for the device after every micro-batch
        "save_strategy": "steps" if settings.save_steps else "no",
        "save_steps": settings.save_steps or 500,
        "save_total_limit": None,  # see MarkComplete
        "eval_strategy": "no",
        "seed": settings.seed,
        "data_seed": settings.seed,
        "ddp_find_unused_parameters": False,
        "report_to": "none",
        "disable_tqdm": True,
    }


def finite(history: Sequence[dict[str, float]], learning_rate: float) -> None:
    """Raise :class:`TrainingError` if the training diverged: a loss that is no number."""
    for entry in history:
        if "loss" in entry and not np.isfinite(entry["loss"]):
            raise TrainingError(
                f"the loss is {entry['loss']} at step {entry['step']:.0f}: the training diverged; "
                f"lower learning_rate={learning_rate:g} or lengthen the warm-up"
            )
