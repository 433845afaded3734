"""Fine-tuning speed: this project against TRL's SFTTrainer as it comes.

``python -m xlam_lib bench train [steps] [seed] [ladder]`` trains all weights of the embedded model on the
same examples in the same order, with the same learning rates, in every way, and writes speeds and loss
curves to ``xlam_lib/data/training_speed.json``, where the book reads them. ``ladder`` measures the
differences one by one, too. Run it on a quiet machine.

On a machine without bfloat16 arithmetic TRL's default of training in it would take hours a step, so its other
defaults are measured in float32; the rates of matrix products in both say what that one default would cost.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from xlam_lib import __version__, assets, mixture
from xlam_lib.inference import best_device, best_dtype
from xlam_lib.mixture import make_examples
from xlam_lib.records import write_json
from xlam_lib.runs import hardware
from xlam_lib.synthesis import synthesize
from xlam_lib.train import common, data, planner, schedule, sft
from xlam_lib.train.head import score_labels_only

FILE = Path(__file__).parents[1] / "data" / "training_speed.json"
BATCH = 8  # TRL's default
MOST = 448  # tokens of an example, as in the laptop profile
LEARNING_RATE = 2e-5  # TRL's default
LAPTOP = "top-15"  # the laptop profile's method
BASELINE = "TRL's defaults"


def main(arguments: list[str]) -> None:
    """Arguments: steps (4), seed (0), ``ladder``. Prints a line for each way, then the ratios as JSON."""
    steps = int(arguments[0]) if arguments else 4
    seed = int(arguments[1]) if len(arguments) > 1 else 0
    ladder = arguments[2:] == ["ladder"]
    base = assets.model_folder()
    records = synthesize(4 * BATCH * steps, seed=seed, irrelevant=0.1).verified
    examples = list(make_examples(records, length="brief", style="plain"))
    _, tokenizer = common.load(base)
    short, _ = mixture.fits(examples, lambda text: len(tokenizer(text)["input_ids"]), MOST)
    rows = data.encode(tokenizer, short[: BATCH * steps], 2 * MOST)
    settings = sft.Settings(batch_size=BATCH, learning_rate=LEARNING_RATE, warmup_steps=1, seed=seed)
    plan = schedule.plan(rows.lengths, rows.sources, batch_size=BATCH, seed=seed)
    order = [number for batch in schedule.batches_of(plan, 0, 1) for number in batch]
    fast = common.precision("full")[1]
    rate, half = matrix_rate(), matrix_rate(512, dtype=torch.bfloat16)
    print(f"matrix products: {rate / 1e9:.0f} GFLOP/s, in bfloat16 {half / 1e9:.1f}", flush=True)
    found: list[dict[str, Any]] = []

    def note(name: str, log: list[dict[str, float]], times: Sequence[float]) -> None:
        # The first step pays for what the others find ready.
        measured = times[1:] or times
        read = [plan.steps[k][0][0] for k in range(len(times) - len(measured), len(times))]
        seconds = sum(measured)
        tokens = sum(rows.lengths[i] for batch in read for i in batch)
        answers = sum(rows.answers[i] for batch in read for i in batch)
        row = {
            "name": name,
            "steps": len(times),
            "seconds_a_step": round(seconds / len(measured), 2),
            "tokens_a_second": round(tokens / seconds, 1),
            "answer_tokens_a_second": round(answers / seconds, 1),
            "losses": [entry["loss"] for entry in log if "loss" in entry],
        }
        found.append(row)
        print(f"{name}: {row['seconds_a_step']} s a step, {row['tokens_a_second']} tokens/s", flush=True)

    def trl(name: str, steps: int, **changes: Any) -> None:
        head = changes.pop("head", False)
        with tempfile.TemporaryDirectory() as folder:
            note(name, *_trl(base, rows, order, steps, Path(folder), head, changes))

    def ours(name: str, **changes: Any) -> None:
        with tempfile.TemporaryDirectory() as folder:
            clock = _Report()
            model, tokenizer = common.load(base, common.precision("full")[0])
            outcome = sft.fit(
                model, tokenizer, rows, None, Path(folder), replace(settings, **changes), report=clock
            )
            note(name, outcome.history, clock.times())

    trl(BASELINE, steps, bf16=fast)
    if ladder:
        trl("and no recomputation", steps, bf16=fast, activation_checkpointing=False)
        trl(
            "and labelled positions scored alone", steps, bf16=fast, activation_checkpointing=False, head=True
        )
    ours("this project, all weights")
    ours("this project, the upper half of the layers", method=LAPTOP)

    slow = next(row for row in found if row["name"] == BASELINE)
    for row in found:
        row["ratio"] = round(row["answer_tokens_a_second"] / slow["answer_tokens_a_second"], 2)
    full = found[-2]
    difference = max(abs(a - b) for a, b in zip(slow["losses"], full["losses"], strict=True))
    config = common.load(base)[0].config
    mean, answers = sum(rows.lengths) / len(rows), sum(rows.answers) / len(rows)
    recipe = planner.Recipe(method="full", length=round(mean), labelled=answers / mean, recompute=False)
    work = planner.flops_per_token(config, recipe).model
    result = {
        "command": f"python -m xlam_lib bench train {steps} {seed}" + " ladder" * ladder,
        "version": __version__,
        "hardware": hardware(),
        "model": assets.EMBEDDED_MODEL,
        "examples_a_step": BATCH,
        "mean_tokens": round(mean, 1),
        "mean_answer_tokens": round(answers, 1),
        "precision": "bfloat16" if fast else "float32",
        "matrix_gflops": round(rate / 1e9, 1),
        "matrix_gflops_bfloat16": round(half / 1e9, 1),
        "utilisation": round(work * full["tokens_a_second"] / rate, 3),
        "largest_loss_difference": difference,
        "rows": found,
    }
    write_json(FILE, result)
    print(json.dumps({key: value for key, value in result.items() if key != "rows"}))
    print(json.dumps({row["name"]: row["ratio"] for row in found}))


def matrix_rate(size: int = 2048, seconds: float = 2.0, device: Any = None, dtype: Any = None) -> float:
    """Floating-point operations a second of square matrix products, the best of several rounds."""
    device = device or best_device()
    dtype = dtype or best_dtype(device)
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))

    def finish() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

    best, until = 0.0, time.perf_counter() + seconds
    products = 20 if device.type == "cuda" else 2
    while time.perf_counter() < until:
        started = time.perf_counter()
        for _ in range(products):
            torch.mm(a, b)
        finish()
        best = max(best, products * 2 * size**3 / (time.perf_counter() - started))
    return best


class _Times(TrainerCallback):
    def __init__(self) -> None:
        self.at: list[float] = []

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if not self.at:
            self.at.append(time.perf_counter())

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.at.append(time.perf_counter())


class _Report:
    """Stands where a progress bar would: called at each step's end, it keeps the times."""

    def __init__(self) -> None:
        self.at = [time.perf_counter()]

    def __call__(self, done: int, total: int, note: str) -> None:
        self.at.append(time.perf_counter())

    def times(self) -> list[float]:
        return [b - a for a, b in zip(self.at, self.at[1:], strict=False)]


def _trl(
    base: Path,
    rows: data.Rows,
    order: Sequence[int],
    steps: int,
    work: Path,
    head: bool,
    changes: dict[str, Any],
) -> tuple[list[dict[str, float]], list[float]]:
    """TRL's trainer with its defaults but ``changes`` on the same rows in the same order."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM
    from trl import SFTConfig, SFTTrainer

    _, tokenizer = common.load(base)
    chosen = [rows.dataset[number] for number in order[: steps * BATCH]]
    labelled = [
        {
            "input_ids": row["input_ids"].tolist(),
            "labels": [data.IGNORE] * int(row["start"]) + row["input_ids"][row["start"] :].tolist(),
        }
        for row in chosen
    ]
    times = _Times()
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(str(base), dtype=torch.float32, use_safetensors=True),
        args=SFTConfig(
            output_dir=str(work),
            max_steps=steps,
            use_cpu=best_device().type == "cpu",
            # The data's order, the schedule and the log are ours: then the curves can be laid on one another.
            train_sampling_strategy="sequential",
            learning_rate=LEARNING_RATE,
            lr_scheduler_type="cosine",
            warmup_steps=1,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            dataset_num_proc=None,
            **changes,
        ),
        train_dataset=Dataset.from_list(labelled),
        processing_class=tokenizer,
        callbacks=[times],
    )
    common.quiet(trainer)
    if head:
        score_labels_only(trainer.model)
    trainer.train()
    spans = [b - a for a, b in zip(times.at, times.at[1:], strict=False)]
    return common.history(trainer.state, ("loss",)), spans
