"""Supervised fine-tuning over TRL's SFTTrainer: loss on the answer only, cosine schedule with warm-up.

What the report states is followed (cosine, 100 warm-up steps, several epochs, a fresh shuffle each);
learning rate, batch and epochs are not reported, so ours are named in each profile.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from xlam_lib.errors import TrainingError
from xlam_lib.inference import best_device
from xlam_lib.mixture import Example
from xlam_lib.records import write_json
from xlam_lib.train import common
from xlam_lib.train.head import score_labels_only


@dataclass(frozen=True)
class Settings:
    """Settings of one fine-tuning.

    Attributes
    ----------
    method
        ``full``, ``lora`` or ``top-N`` (see :func:`xlam_lib.train.common.choose_trained`).
    epochs, batch_size, accumulation
        Passes over the examples, examples a forward pass, and passes an optimizer step.
    learning_rate, warmup_steps, weight_decay
        Peak of the cosine schedule, its linear start (at most a tenth of all steps), decay.
    max_tokens
        Longer examples are left out and counted; an answer is never cut.
    early_share
        The part of the steps after which the "early" checkpoint, the weaker model, is saved.
    save_steps
        Steps between resumable checkpoints; 0 for none.
    """

    method: str = "full"
    epochs: float = 1.0
    batch_size: int = 8
    accumulation: int = 1
    learning_rate: float = 2e-4
    warmup_steps: int = 100
    weight_decay: float = 0.0
    lora_rank: int = 16
    max_tokens: int = 1024
    early_share: float = 0.34
    save_steps: int = 0
    seed: int = 0


@dataclass(frozen=True)
class Outcome:
    """What came of a fine-tuning.

    ``history`` holds ``step``, ``loss``, ``learning_rate`` and ``grad_norm`` at each logged step, and
    ``eval_loss``; ``seconds``, ``tokens`` and ``answer_tokens`` are of this process's own steps (a
    resumed training counts from where it resumed).
    """

    history: list[dict[str, float]]
    steps: int
    examples: int
    over_long: int
    seconds: float
    tokens: int
    answer_tokens: int
    trained: int
    parameters: int


def dataset(tokenizer: Any, examples: Sequence[Example], max_tokens: int) -> tuple[Any, int]:
    """The tokenized examples as a ``datasets.Dataset``, and how many were too long.

    Its columns are ``input_ids``, ``labels`` and ``length``.

    Raises
    ------
    TrainingError
        None is left.
    """
    from datasets import Dataset

    rows, over = [], 0
    for example in examples:
        try:
            ids, labels = common.tokenize(tokenizer, example.prompt, example.answer)
        except TrainingError as error:
            raise TrainingError(f"example {example.id}: {error}") from None
        if len(ids) > max_tokens:
            over += 1
            continue
        rows.append({"input_ids": ids, "labels": labels, "length": len(ids)})
    if not rows:
        raise TrainingError(
            f"no example to train on: {len(examples)} given, "
            f"{over} of them longer than max_tokens={max_tokens}; "
            "raise max_tokens or mix other data"
        )
    return Dataset.from_list(rows), over


def train(
    base: str | Path,
    examples: Sequence[Example],
    held_out: Sequence[Example],
    out: Path,
    early: Path,
    work: Path,
    settings: Settings,
    report: common.Report | None = None,
) -> Outcome:
    """Fine-tune ``base`` on ``examples``; write the model to ``out`` and an early checkpoint to ``early``.

    Parameters
    ----------
    base
        Folder of a safetensors checkpoint with a chat template.
    held_out
        Examples for the loss measured before and after; may be empty.
    work
        Checkpoints go here; an interrupted call with the same arguments resumes from them.
    report
        Called with (steps done, steps, note).

    Raises
    ------
    TrainingError
        Nothing to train on, an unknown method, no usable base, or memory ran out (with what to change).
    """
    import torch
    from transformers import TrainerCallback
    from transformers.trainer_callback import PrinterCallback
    from trl import SFTConfig, SFTTrainer

    common.set_seed(settings.seed)
    model, tokenizer = common.load(base)
    data, over = dataset(tokenizer, examples, settings.max_tokens)
    held, _ = dataset(tokenizer, held_out, settings.max_tokens) if held_out else (None, 0)
    model = common.choose_trained(model, settings.method, settings.lora_rank)
    trained, parameters = common.trained_share(model)

    a_step = settings.batch_size * settings.accumulation
    steps = max(int(-(-len(data) // a_step) * settings.epochs), 1)
    early_step = max(int(steps * settings.early_share), 1)

    class Early(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step == early_step:
                _save(trainer.model, tokenizer, early)

    watch = common.Watch(report)
    config = SFTConfig(
        output_dir=str(work),
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch_size,
        per_device_eval_batch_size=settings.batch_size,
        gradient_accumulation_steps=settings.accumulation,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=min(settings.warmup_steps, max(steps // 10, 1)),
        weight_decay=settings.weight_decay,
        activation_checkpointing=best_device().type == "cuda",
        bf16=False,  # the weights themselves are in the machine's best dtype
        max_length=None,  # over-long examples are already out, none is cut
        train_sampling_strategy="group_by_length",
        logging_steps=1,
        save_strategy="steps" if settings.save_steps else "no",
        save_steps=settings.save_steps or 500,
        save_total_limit=1,
        eval_strategy="no",
        dataloader_pin_memory=best_device().type == "cuda",
        seed=settings.seed,
        data_seed=settings.seed,
        report_to="none",
        disable_tqdm=True,
        dataset_kwargs={"skip_prepare_dataset": True},
    )
    trainer = SFTTrainer(
        model=model,
        args=config,
        train_dataset=data,
        eval_dataset=held,
        processing_class=tokenizer,
        callbacks=[watch, Early(), common.MarkComplete()],
    )
    trainer.remove_callback(PrinterCallback)
    score_labels_only(trainer.model)
    try:
        before = trainer.evaluate()["eval_loss"] if held is not None else None
        common.set_seed(settings.seed)
        started = time.time()
        trainer.train(resume_from_checkpoint=common.last_checkpoint(work))
        seconds = time.time() - started
        after = trainer.evaluate()["eval_loss"] if held is not None else None
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise TrainingError(
            f"out of memory at batch_size={settings.batch_size}, max_tokens={settings.max_tokens}; "
            "halve batch_size and double accumulation, or lower max_tokens"
        ) from error
    log = common.history(trainer.state, ("loss", "learning_rate", "grad_norm"))
    if before is not None and after is not None:
        log = [
            {"step": 0, "eval_loss": before},
            *log,
            {"step": trainer.state.global_step, "eval_loss": after},
        ]
    done = trainer.state.global_step - watch.step_before
    share = done / max(trainer.state.global_step, 1)
    lengths, answers = (
        sum(data["length"]),
        sum(sum(x != common.IGNORE for x in row) for row in data["labels"]),
    )
    outcome = Outcome(
        history=log,
        steps=trainer.state.global_step,
        examples=len(data),
        over_long=over,
        seconds=seconds,
        tokens=int(lengths * settings.epochs * share),
        answer_tokens=int(answers * settings.epochs * share),
        trained=trained,
        parameters=parameters,
    )
    _save(trainer.model, tokenizer, out)
    write_json(out / "history.json", log)
    write_json(out / "settings.json", asdict(settings) | {"examples": len(data), "over_long": over})
    return outcome


def _save(model: Any, tokenizer: Any, folder: Path) -> None:
    """Save a model as a plain checkpoint; LoRA is merged into a copy, so that training can go on."""
    if hasattr(model, "merge_and_unload"):
        model = copy.deepcopy(model).merge_and_unload()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
