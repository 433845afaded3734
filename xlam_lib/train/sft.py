"""Supervised fine-tuning over TRL's SFTTrainer: loss on the answer only, cosine schedule with warm-up.

What the report states is followed (section 4: full fine-tuning or LoRA, cosine, 100 warm-up steps, several
epochs, a fresh shuffle each, data partitioned over the processes, which shuffle by seeds of their own);
learning rate, batch and epochs are not reported, so ours are named in each profile.

TRL's trainer is kept for what it does well: the loop, accumulation, the optimizer, checkpoints, and the
ways through Accelerate to many devices. Ours are the order of the data (:mod:`xlam_lib.train.schedule`), rows
without padding (:mod:`xlam_lib.train.attention`), a head for CPUs (:mod:`xlam_lib.train.head`) and the
measures on held-out data.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from xlam_lib.errors import TrainingError
from xlam_lib.inference import best_device
from xlam_lib.mixture import Example
from xlam_lib.records import write_json
from xlam_lib.train import attention, cluster, common, data, schedule
from xlam_lib.train.head import score_labels_only

_LOGGED = ("loss", "learning_rate", "grad_norm", "mean_token_accuracy", "eval_loss", "eval_token_accuracy")
_LOGGED = (*_LOGGED, "eval_exact")


@dataclass(frozen=True)
class Settings:
    """Settings of one fine-tuning.

    Attributes
    ----------
    method
        ``full``, ``lora`` or ``top-N`` (see :func:`xlam_lib.train.common.choose_trained`).
    epochs, batch_size, accumulation
        Passes over the examples, examples a micro-batch, and micro-batches an optimizer step and stream.
    streams
        Into how many parts the data are dealt, each with a shuffle of its own; 0 for one a process. One
        process may play several, and then takes the same steps as that many processes.
    packing
        Lay a micro-batch's examples end to end in one row, apart from one another (on a CPU, with what their
        prompts have in common computed once); else pad them.
    batch_tokens
        Above 0, a micro-batch takes as many examples as fit into so many tokens, not ``batch_size``.
    learning_rate, warmup_steps, weight_decay
        Peak of the cosine schedule, its linear start (at most a tenth of all steps), decay.
    max_tokens
        Longer examples are left out and counted; an answer is never cut.
    early_share
        The part of the steps after which the "early" checkpoint, the weaker model, is saved.
    eval_steps
        Steps between measurements on held-out examples; 0 for one before and one after.
    save_steps
        Steps between resumable checkpoints; 0 for none.
    merge
        With LoRA, write the merged model too, beside the adapter.
    checkpointing
        Recompute activations in the backward pass: about a quarter more arithmetic for much less memory.
    """

    method: str = "full"
    epochs: float = 1.0
    batch_size: int = 8
    accumulation: int = 1
    streams: int = 0
    packing: bool = True
    batch_tokens: int = 0
    learning_rate: float = 2e-4
    warmup_steps: int = 100
    weight_decay: float = 0.0
    lora_rank: int = 16
    max_tokens: int = 1024
    early_share: float = 0.34
    eval_steps: int = 0
    save_steps: int = 0
    merge: bool = True
    checkpointing: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Outcome:
    """What came of a fine-tuning.

    ``history`` holds ``step``, ``loss``, ``learning_rate``, ``grad_norm`` and ``mean_token_accuracy`` at each
    step, and ``eval_loss``, ``eval_token_accuracy`` and ``eval_exact`` where the held-out examples were
    measured (see :class:`Held`). ``seconds``, ``tokens`` and ``answer_tokens`` are of this call's own steps
    on all processes (a resumed training counts from where it resumed), without the measurements.
    ``coverage`` says for each epoch what was read (see :func:`xlam_lib.train.schedule.coverage`).
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
    processes: int
    coverage: list[dict[str, Any]]


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

    Every process of a launched training makes this same call (:mod:`xlam_lib.train.job`); one process
    needs no more than this.

    Parameters
    ----------
    base
        Folder of a safetensors checkpoint with a chat template.
    held_out
        Examples for the loss measured before, during and after; may be empty.
    work
        Checkpoints go here; an interrupted call with the same arguments resumes from them.
    report
        Called with (steps done, steps, note).

    Raises
    ------
    TrainingError
        Nothing to train on, an unknown method, no usable base, memory ran out, or the loss diverged (with
        what to change).
    """
    cluster.start()
    common.set_seed(settings.seed)
    model, tokenizer = common.load(base, common.precision(settings.method)[0])
    rows = data.encode(tokenizer, examples, settings.max_tokens)
    held = data.encode(tokenizer, held_out, settings.max_tokens) if held_out else None
    return fit(model, tokenizer, rows, held, work, settings, out, early, base, report)


def fit(
    model: Any,
    tokenizer: Any,
    rows: data.Rows,
    held: data.Rows | None,
    work: Path,
    settings: Settings,
    out: Path | None = None,
    early: Path | None = None,
    base: str | Path | None = None,
    report: common.Report | None = None,
) -> Outcome:
    """:func:`train` on a model in memory and tokenized rows; without ``out`` nothing is saved at its end.

    ``base`` is where the model came from: with LoRA, the checkpoint that the adapter is merged into.
    """
    streams = settings.streams or cluster.processes()
    plan = schedule.plan(
        rows.lengths,
        rows.sources,
        streams=streams,
        batch_size=settings.batch_size,
        accumulation=settings.accumulation,
        epochs=settings.epochs,
        seed=settings.seed,
        batch_tokens=settings.batch_tokens,
    )
    common.set_seed(settings.seed)  # LoRA's adapters are drawn here
    model = common.choose_trained(model, settings.method, settings.lora_rank)
    trained, parameters = common.trained_share(model)
    watch = common.Watch(report)
    collate = partial(_collate, data.packed if _in_one_row(settings) else data.padded, tokenizer)
    trainer = _trainer(model, tokenizer, rows, plan, work, settings, collate)
    measure = _Measure(trainer, held, settings, plan.streams, watch)
    early_step = max(int(len(plan.steps) * settings.early_share), 1)

    def save_early() -> None:
        # Beside the checkpoints: a training that resumes after this step does not make it again.
        save(trainer, tokenizer, work / "early", base, settings.merge)

    callbacks = [watch, measure, common.MarkComplete()]
    for callback in [*callbacks, _At(early_step, save_early)] if early is not None else callbacks:
        trainer.add_callback(callback)
    common.quiet(trainer)
    cluster.settle_sharding(trainer, settings.checkpointing)
    if settings.packing:
        attention.install(trainer.model)
    score_labels_only(trainer.model)
    common.same_training(work, common.digest(asdict(settings), plan.steps, rows.ids))
    try:
        trainer.train(resume_from_checkpoint=common.last_checkpoint(work))
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise TrainingError(
            f"out of memory at batch_size={settings.batch_size}, batch_tokens={settings.batch_tokens}, "
            f"max_tokens={settings.max_tokens}; halve batch_size (or batch_tokens) and double accumulation, "
            "set checkpointing, or lower max_tokens"
        ) from error
    log = common.history(trainer.state, _LOGGED)
    common.finite(log, settings.learning_rate)
    own = [
        number
        for step in plan.steps[watch.step_before :]
        for stream in step
        for batch in stream
        for number in batch
    ]
    outcome = Outcome(
        history=log,
        steps=trainer.state.global_step,
        examples=len(rows),
        over_long=rows.over_long,
        seconds=watch.ended,
        tokens=sum(rows.lengths[number] for number in own),
        answer_tokens=sum(rows.answers[number] for number in own),
        trained=trained,
        parameters=parameters,
        processes=cluster.processes(),
        coverage=[{**asdict(epoch), "by_stream": list(epoch.by_stream)} for epoch in schedule.coverage(plan)],
    )
    if out is not None:
        save(trainer, tokenizer, out, base, settings.merge)
        if cluster.is_main():
            if early is not None:
                shutil.copytree(work / "early", early, dirs_exist_ok=True)
            write_json(out / "history.json", log)
            write_json(
                out / "settings.json",
                asdict(settings) | {"streams": streams, "examples": len(rows), "over_long": rows.over_long},
            )
    cluster.barrier()
    return outcome


def _in_one_row(settings: Settings) -> bool:
    """Whether the loader lays a micro-batch out in one row.

    On a CPU the head does (:mod:`xlam_lib.train.head`), from padded rows, and computes what their prompts
    have in common once.
    """
    return settings.packing and best_device().type != "cpu"


def _collate(collate: Callable[..., data.Batch], tokenizer: Any, items: Sequence[Any]) -> data.Batch:
    return collate([(item["input_ids"], int(item["start"])) for item in items], tokenizer.pad_token_id)


def _trainer(
    model: Any,
    tokenizer: Any,
    rows: data.Rows,
    plan: schedule.Plan,
    work: Path,
    settings: Settings,
    collate: Callable[[Sequence[Any]], data.Batch],
) -> Any:
    """TRL's trainer, reading what the plan says."""
    from trl import SFTConfig, SFTTrainer

    processes = cluster.processes()
    batches = schedule.batches_of(plan, cluster.rank(), processes)

    class Trainer(SFTTrainer):
        # Labelled tokens, those predicted right, and the entropies' sum since the last log, on the device.
        sums: torch.Tensor | None = None

        def get_train_dataloader(self) -> Any:
            def read(number: int) -> data.Batch:
                return collate([rows.dataset[place] for place in batches[number]])

            return data.loader(len(batches), read, best_device().type == "cuda")

        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            """TRL's loss; its metrics without waiting for the device at every micro-batch."""
            if return_outputs or not model.training:
                return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
            if self.aux_loss_enabled:
                inputs = {**inputs, "output_router_logits": True}
            outputs = model(**inputs, use_cache=False, fused_lm_head=True)
            items = outputs.label_mask.sum() if num_items_in_batch is None else num_items_in_batch
            loss = -outputs.log_probs.sum() / torch.as_tensor(items).clamp(min=1)
            if self.args.average_tokens_across_devices and num_items_in_batch is not None:
                loss = loss * self.accelerator.num_processes  # which DDP and FSDP divide by
            if self.aux_loss_enabled:  # a mean over a micro-batch's tokens, and so over micro-batches
                steps = 1 if num_items_in_batch is None else self.current_gradient_accumulation_steps
                loss = loss + self.router_aux_loss_coef * outputs.aux_loss / steps
            with torch.no_grad():
                found = torch.stack([outputs.label_mask.sum(), outputs.is_top1.sum()]).double()
                self.sums = found if self.sums is None else self.sums + found
            return loss

        def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
            if self.sums is not None:
                labelled, right = cluster.gather_sum(self.sums).tolist()
                logs["mean_token_accuracy"] = right / max(labelled, 1)
                self.sums = None
            super().log(logs, start_time)

    per_process = settings.accumulation * plan.streams // processes
    bf16 = common.precision(settings.method)[1]
    return Trainer(
        model=model,
        args=SFTConfig(
            **common.arguments(work, settings, len(plan.steps), per_process, bf16),
            dataset_kwargs={"skip_prepare_dataset": True},
        ),
        train_dataset=rows.dataset,
        processing_class=tokenizer,
    )


@dataclass(frozen=True)
class Held:
    """Held-out examples under the model: mean ``loss`` a labelled token, and two early signs of accuracy.

    ``token_accuracy`` is the share of labelled tokens that the model would choose itself, given the right
    ones before; ``exact`` is the share of answers all of whose tokens it would choose, which is the share
    that greedy decoding would write out to the letter.
    """

    loss: float
    token_accuracy: float
    exact: float


def measure(model: Any, tokenizer: Any, rows: data.Rows, settings: Settings, streams: int = 1) -> Held:
    """Measure held-out rows; every process of a training calls this together and takes its part."""
    plan = schedule.plan(
        rows.lengths,
        ["held out"] * len(rows),
        streams=streams,
        batch_size=settings.batch_size,
        batch_tokens=settings.batch_tokens,
    )
    was_training = model.training
    model.eval()
    sums = torch.zeros(5, dtype=torch.float64, device=next(model.parameters()).device)
    for batch in schedule.batches_of(plan, cluster.rank(), cluster.processes()):
        found = scores(model, tokenizer, rows, batch, _in_one_row(settings))
        if batch:
            exact = found[:, 1] == found[:, 2]
            sums += torch.stack([*found.sum(0), exact.sum(), torch.tensor(len(batch), device=sums.device)])
    model.train(was_training)
    loss, labelled, right, exact, number = cluster.gather_sum(sums).tolist()
    return Held(loss / max(labelled, 1), right / max(labelled, 1), exact / max(number, 1))


@torch.no_grad()
def scores(
    model: Any, tokenizer: Any, rows: data.Rows, batch: Sequence[int], packing: bool = True
) -> torch.Tensor:
    """How a model with a fused head (see :func:`ready`) does on one micro-batch.

    Returns, of shape (examples of the batch, or 1 if it has none; 3), each example's summed negative
    log-likelihood in nats, its labelled tokens, and those of them that the model would choose itself.
    """
    device = next(model.parameters()).device
    items = [rows.dataset[number] for number in batch]
    inputs = {
        name: value.to(device) if isinstance(value, torch.Tensor) else value
        for name, value in _collate(data.packed if packing else data.padded, tokenizer, items).items()
    }
    out = model(**inputs, use_cache=False, fused_lm_head=True)
    found = torch.stack([-out.log_probs, out.label_mask, out.is_top1], -1).double()
    if not packing:
        return found.sum(1)
    # One row: which example a position belongs to follows from where the examples begin.
    places = torch.arange(found.shape[1], device=device)
    owner = torch.bucketize(places, inputs["cu_seq_lens_q"][1:-1], right=True)
    sums = torch.zeros(max(len(items), 1), 3, dtype=torch.float64, device=device)
    return sums.index_add_(0, owner, found[0])


def ready(model: Any) -> Any:
    """Give a model outside of a trainer what :func:`scores` needs: packed attention and TRL's fused head."""
    from trl.trainer.utils import add_fused_lm_head

    add_fused_lm_head(model, outputs=("log_probs", "entropy", "is_top1"))
    attention.install(model)
    score_labels_only(model)
    return model


class _Measure(TrainerCallback):
    """Measures the held-out rows before, every ``eval_steps`` and after, into the trainer's own log."""

    def __init__(
        self, trainer: Any, held: data.Rows | None, settings: Settings, streams: int, watch: common.Watch
    ) -> None:
        self.trainer, self.held, self.settings = trainer, held, settings
        self.streams, self.watch = streams, watch

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 0:
            self._measure(state)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        every = self.settings.eval_steps
        if every and state.global_step % every == 0 and state.global_step < state.max_steps:
            self._measure(state)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.watch.ended = self.watch.seconds
        self._measure(state)

    def _measure(self, state: Any) -> None:
        if self.held is None:
            return
        started = time.time()
        found = measure(
            self.trainer.model, self.trainer.processing_class, self.held, self.settings, self.streams
        )
        state.log_history.append(
            {
                "step": state.global_step,
                "eval_loss": found.loss,
                "eval_token_accuracy": found.token_accuracy,
                "eval_exact": found.exact,
            }
        )
        self.watch.paused += time.time() - started


class _At(TrainerCallback):
    """Calls a function at the end of one step."""

    def __init__(self, step: int, call: Callable[[], None]) -> None:
        self.step, self.call = step, call

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.step:
            self.call()


def save(trainer: Any, tokenizer: Any, folder: Path, base: str | Path | None, merge: bool) -> None:
    """Save the trainer's model, whole, whatever it is sharded over; every process calls this together.

    A LoRA adapter goes to ``adapter/`` below the folder and, with ``merge``, the plain checkpoint that it
    makes of ``base`` into the folder itself; without, the adapter stands alone there.
    """
    state = cluster.full_state_dict(trainer)
    if cluster.is_main():
        model = trainer.accelerator.unwrap_model(trainer.model)
        if hasattr(model, "merge_and_unload"):
            adapter = folder / "adapter" if merge else folder
            model.save_pretrained(adapter, state_dict=state)
            common.settle_adapter(adapter, Path(base).name if base else "")
            if merge and base is not None:
                common.merge(base, adapter, folder)
        else:
            model.save_pretrained(folder, state_dict=state)
        tokenizer.save_pretrained(folder)
    cluster.barrier()
