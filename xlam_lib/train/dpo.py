"""Direct preference optimization with LoRA over TRL's DPOTrainer (xLAM report, sections 3.5 and 4).

The reference model is the fine-tuned model itself with its adapter off. The report names DPO with LoRA
and not its rank or beta: ours stand in each profile.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from xlam_lib.errors import TrainingError
from xlam_lib.inference import best_device
from xlam_lib.preferences import Pair
from xlam_lib.records import read_json, write_json
from xlam_lib.train import common
from xlam_lib.train.head import score_labels_only

_KEYS = (
    "loss",
    "learning_rate",
    "rewards/chosen",
    "rewards/rejected",
    "rewards/margins",
    "rewards/accuracies",
)


@dataclass(frozen=True)
class Settings:
    """Settings of one alignment: ``beta`` weighs the distance from the reference; the others as in SFT.

    Pairs longer than ``max_tokens`` (prompt and the longer answer) are left out and counted.
    """

    beta: float = 0.1
    epochs: float = 1.0
    batch_size: int = 4
    accumulation: int = 1
    learning_rate: float = 5e-5
    warmup_steps: int = 100
    lora_rank: int = 16
    max_tokens: int = 1024
    seed: int = 0


@dataclass(frozen=True)
class Outcome:
    """``history``: TRL's loss and ``rewards/*`` at each ``step``; ``seconds``: the training's own."""

    history: list[dict[str, float]]
    steps: int
    pairs: int
    over_long: int
    seconds: float


def train(
    base: str | Path,
    pairs: Sequence[Pair],
    out: Path,
    work: Path,
    settings: Settings,
    report: common.Report | None = None,
) -> Outcome:
    """Align ``base`` on ``pairs`` and write the LoRA adapter to ``out``.

    Raises
    ------
    TrainingError
        No pair, or none short enough; no usable base; memory ran out.
    """
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from trl import DPOConfig, DPOTrainer

    if not pairs:
        raise TrainingError(
            "no preference pair to train on: the weaker model made no mistake, or had no prompts"
        )
    common.set_seed(settings.seed)
    model, tokenizer = common.load(base)
    rows, over = [], 0
    for pair in pairs:
        longest = max(
            len(common.tokenize(tokenizer, pair.prompt, answer or " .")[0])
            for answer in (pair.chosen, pair.rejected)
        )
        if longest > settings.max_tokens:
            over += 1
            continue
        rows.append(
            {
                "prompt": [{"role": "user", "content": pair.prompt}],
                "chosen": [{"role": "assistant", "content": pair.chosen}],
                "rejected": [{"role": "assistant", "content": pair.rejected}],
            }
        )
    if not rows:
        raise TrainingError(
            f"all {len(pairs)} pairs are longer than max_tokens={settings.max_tokens}; raise it"
        )
    steps = max(int(-(-len(rows) // (settings.batch_size * settings.accumulation)) * settings.epochs), 1)
    config = DPOConfig(
        output_dir=str(work),
        beta=settings.beta,
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch_size,
        gradient_accumulation_steps=settings.accumulation,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=min(settings.warmup_steps, max(steps // 10, 1)),
        activation_checkpointing=best_device().type == "cuda",
        bf16=False,
        max_length=None,
        logging_steps=1,
        save_strategy="no",
        dataloader_pin_memory=best_device().type == "cuda",
        seed=settings.seed,
        data_seed=settings.seed,
        report_to="none",
        disable_tqdm=True,
    )
    lora = LoraConfig(
        r=settings.lora_rank,
        lora_alpha=2 * settings.lora_rank,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    trainer = DPOTrainer(
        model=model,
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=lora,
        callbacks=[common.Watch(report)],
    )
    from transformers.trainer_callback import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    score_labels_only(trainer.model)
    started = time.time()
    try:
        trainer.train()
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise TrainingError(
            f"out of memory at batch_size={settings.batch_size}; halve it and double accumulation"
        ) from error
    seconds = time.time() - started
    log: list[dict[str, Any]] = common.history(trainer.state, _KEYS)
    aligned: Any = trainer.model
    aligned.save_pretrained(out)
    # The adapter's card and base path name this machine's folders; the run's own layout says the same;
    (out / "README.md").unlink(missing_ok=True)
    # and peft writes the names of its modules as a set, in an order that differs from process to process.
    adapter = read_json(out / "adapter_config.json", dict[str, Any])
    settled = {"base_model_name_or_path": "models/sft", "target_modules": sorted(adapter["target_modules"])}
    write_json(out / "adapter_config.json", adapter | settled)
    write_json(out / "history.json", log)
    write_json(out / "settings.json", asdict(settings) | {"pairs": len(rows), "over_long": over})
    return Outcome(log, trainer.state.global_step, len(rows), over, seconds)
