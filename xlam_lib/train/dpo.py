"""Direct preference optimization with LoRA over TRL's DPOTrainer (xLAM report, sections 3.5 and 4).

The reference model is the fine-tuned model itself with its adapter off. The report names DPO with LoRA
and not its rank or beta: ours stand in each profile.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from xlam_lib.errors import TrainingError
from xlam_lib.inference import best_device
from xlam_lib.preferences import Pair
from xlam_lib.records import write_json
from xlam_lib.train import attention, cluster, common, data, schedule
from xlam_lib.train.head import score_labels_only

_COUNT = "num_tokens"  # TRL keeps one value of it, all of the training so far
_REWARDS = ("rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies")
_LOGGED = ("loss", "learning_rate", "grad_norm", *_REWARDS, *(f"eval_{name}" for name in ("loss", *_REWARDS)))


@dataclass(frozen=True)
class Settings:
    """Settings of one alignment.

    Attributes
    ----------
    beta
        Weight of the distance from the reference; the report does not say, 0.1 is the method's usual one.
    batch_size, accumulation, streams
        Pairs a micro-batch, micro-batches a step and stream, and streams.
    max_tokens
        Pairs longer than this (the prompt with the longer answer) are left out and counted.

    The others are as in :class:`xlam_lib.train.sft.Settings`.
    """

    beta: float = 0.1
    epochs: float = 1.0
    batch_size: int = 4
    accumulation: int = 1
    streams: int = 0
    learning_rate: float = 5e-5
    warmup_steps: int = 100
    weight_decay: float = 0.0
    lora_rank: int = 16
    max_tokens: int = 1024
    save_steps: int = 0
    checkpointing: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Outcome:
    """What came of an alignment.

    ``history`` holds TRL's ``loss``, ``learning_rate``, ``grad_norm`` and ``rewards/*`` at each ``step``, and
    ``eval_loss`` and ``eval_rewards/*`` on the held-out pairs after the last; ``seconds`` is the training's.
    """

    history: list[dict[str, float]]
    steps: int
    pairs: int
    over_long: int
    seconds: float
    trained: int
    parameters: int
    processes: int


def train(
    base: str | Path,
    pairs: Sequence[Pair],
    held_out: Sequence[Pair],
    out: Path,
    work: Path,
    settings: Settings,
    report: common.Report | None = None,
) -> Outcome:
    """Align ``base`` on ``pairs`` and write the LoRA adapter to ``out``.

    Parameters
    ----------
    held_out
        Pairs that are not trained on, for rewards on unseen prompts; may be empty.
    work
        Checkpoints go here; an interrupted call with the same arguments resumes from them.

    Raises
    ------
    TrainingError
        No pair, or none short enough; no usable base; memory ran out; the loss diverged.
    """
    if not pairs:
        raise TrainingError(
            "no preference pair to train on: the weaker model made no mistake, or had no prompts"
        )
    cluster.start()
    common.set_seed(settings.seed)
    model, tokenizer = common.load(base, common.precision("lora")[0])
    rows, over_long = encode(tokenizer, pairs, settings.max_tokens)
    if not rows:
        raise TrainingError(
            f"all {len(pairs)} pairs are longer than max_tokens={settings.max_tokens}; raise it"
        )
    held, _ = encode(tokenizer, held_out, settings.max_tokens)
    plan = schedule.plan(
        [len(row["prompt_ids"]) + len(row["chosen_ids"]) + len(row["rejected_ids"]) for row in rows],
        [row["source"] for row in rows],
        streams=settings.streams or cluster.processes(),
        batch_size=settings.batch_size,
        accumulation=settings.accumulation,
        epochs=settings.epochs,
        seed=settings.seed,
    )
    watch = common.Watch(report)
    common.set_seed(settings.seed)  # the adapter is drawn here
    model = common.choose_trained(model, "lora", settings.lora_rank)
    trained, parameters = common.trained_share(model)
    trainer = _trainer(model, tokenizer, rows, held, plan, work, settings)
    for callback in (watch, _Ended(watch), common.MarkComplete()):
        trainer.add_callback(callback)
    common.quiet(trainer)
    cluster.settle_sharding(trainer, settings.checkpointing)
    attention.install(trainer.model)
    score_labels_only(trainer.model)
    common.same_training(work, common.digest(asdict(settings), plan.steps, [pair.id for pair in pairs]))
    try:
        trainer.train(resume_from_checkpoint=common.last_checkpoint(work))
        if held:
            trainer.evaluate()
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise TrainingError(
            f"out of memory at batch_size={settings.batch_size}; halve it and double accumulation, set "
            "checkpointing, or lower max_tokens"
        ) from error
    log = common.history(trainer.state, _LOGGED)
    common.finite(log, settings.learning_rate)
    state = cluster.full_state_dict(trainer)
    if cluster.is_main():
        aligned = trainer.accelerator.unwrap_model(trainer.model)
        aligned.save_pretrained(out, state_dict=state)
        common.settle_adapter(out, "models/sft")
        write_json(out / "history.json", log)
        write_json(out / "settings.json", asdict(settings) | {"pairs": len(rows), "over_long": over_long})
    cluster.barrier()
    return Outcome(
        history=log,
        steps=trainer.state.global_step,
        pairs=len(rows),
        over_long=over_long,
        seconds=watch.ended,
        trained=trained,
        parameters=parameters,
        processes=cluster.processes(),
    )


def encode(tokenizer: Any, pairs: Sequence[Pair], max_tokens: int) -> tuple[list[dict[str, Any]], int]:
    """Token ids of each pair, encoded as for fine-tuning and generation, and how many were too long.

    Raises
    ------
    TrainingError
        A chosen answer is empty. An empty rejected one is a mistake like others: the end-of-text token alone.
    """
    rows, over_long = [], 0
    for pair in pairs:
        try:
            ids, labels = data.tokenize(tokenizer, pair.prompt, pair.chosen)
        except TrainingError as error:
            raise TrainingError(f"pair {pair.id}: {error}") from None
        start = sum(label == data.IGNORE for label in labels)
        rejected = tokenizer(pair.rejected.strip(), add_special_tokens=False)["input_ids"]
        row = {
            "prompt_ids": ids[:start],
            "chosen_ids": ids[start:],
            "rejected_ids": [*rejected, tokenizer.eos_token_id],
            "source": pair.source,
        }
        if start + max(len(row["chosen_ids"]), len(row["rejected_ids"])) > max_tokens:
            over_long += 1
        else:
            rows.append(row)
    return rows, over_long


class _Ended(TrainerCallback):
    """Stops the clock when the training ends, before the held-out pairs are measured."""

    def __init__(self, watch: common.Watch) -> None:
        self.watch = watch

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.watch.ended = self.watch.seconds


@contextmanager
def _each_for_itself(accelerator: Any) -> Iterator[None]:
    """Gathering gives a process what is its own."""
    accelerator.gather = accelerator.gather_for_metrics = lambda values: values
    try:
        yield
    finally:
        del accelerator.gather, accelerator.gather_for_metrics


def _trainer(
    model: Any,
    tokenizer: Any,
    rows: list[dict[str, Any]],
    held: list[dict[str, Any]],
    plan: schedule.Plan,
    work: Path,
    settings: Settings,
) -> Any:
    """TRL's trainer, reading what the plan says."""
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    processes = cluster.processes()
    batches = schedule.batches_of(plan, cluster.rank(), processes)
    micro = plan.streams * settings.accumulation
    # The weight of a micro-batch's mean, so that a step is the mean over its pairs however they are shared
    # out: micro-batches are averaged, but the last ones of an epoch may hold fewer pairs or none.
    weights = []
    per_process = len(batches) // len(plan.steps)
    for number, batch in enumerate(batches):
        step = plan.steps[number // per_process]
        weights.append(len(batch) * micro / sum(len(b) for stream in step for b in stream))

    own = range(cluster.rank(), len(held), processes)
    rounds = -(-len(held) // processes)

    class Trainer(DPOTrainer):
        def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
            return dataset  # its rows are tokenized already, as they are for fine-tuning

        def get_train_dataloader(self) -> Any:
            def read(number: int) -> data.Batch:
                # A micro-batch of no pair reads the first one and weighs nothing.
                chosen = [rows[place] for place in batches[number] or (0,)]
                return {**self.data_collator(chosen), "weight": weights[number]}

            return data.loader(len(batches), read, best_device().type == "cuda")

        def get_eval_dataloader(self, eval_dataset: Any = None) -> Any:
            def read(number: int) -> data.Batch:
                within = number < len(own)  # one process may have a pair more than another
                chosen = held[own[number] if within else 0]
                return {**self.data_collator([chosen]), "weight": within * rounds * processes / len(held)}

            return data.loader(rounds, read, best_device().type == "cuda")

        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            weight = inputs.pop("weight")
            # TRL gathers rewards from all processes at once, which takes as many pairs from each. Here each
            # keeps its own micro-batch's means, weighs them as its loss, and `log` adds them up.
            with _each_for_itself(self.accelerator):
                loss = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
            for name, values in self._metrics["train" if model.training else "eval"].items():
                if name != _COUNT:
                    values[-1] *= weight
            return loss * weight

        def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
            own_model: Any = self.model
            metrics = self._metrics["train" if own_model.training else "eval"]
            if metrics:
                names = sorted(metrics)
                own = [[float(sum(metrics[name])), float(len(metrics[name]))] for name in names]
                sums = cluster.gather_sum(torch.tensor(own, device=self.accelerator.device))
                for name, (total, count) in zip(names, sums.tolist(), strict=True):
                    metrics[name] = [total if name == _COUNT else total / count]
            super().log(logs, start_time)

    trainer = Trainer(
        model=model,
        args=DPOConfig(
            **common.arguments(work, settings, len(plan.steps), per_process, common.precision("lora")[1]),
            beta=settings.beta,
            per_device_eval_batch_size=1,
        ),
        train_dataset=Dataset.from_list(rows),
        eval_dataset=Dataset.from_list(held) if held else None,
        processing_class=tokenizer,
    )
    # TRL keeps a copy of the adapter as it was for the reference. Ours begins at nothing: the reference is
    # the model with the adapter off, which TRL takes where there is no copy.
    aligned: Any = trainer.model
    aligned.delete_adapter("ref")
    return trainer
