"""What launched test processes run (``python -m tests.together_worker train JOB``): real jobs, watched.

JOB is a training's job, or a JSON list of the files of several, which are done in a row. Beside each job
every process notes what its training steps were given, in ``.reads.RANK.json``: of every micro-batch the
token ids of each example (of a pair, the prompt with the chosen answer). Beside a list it also notes what it
would have read of an iterable data set by Accelerate's default, in ``.default.RANK.json``.

With ``TOGETHER_KILL=RANK:NUMBER`` that process is killed, as by the system when memory runs out, when it is
given its NUMBER-th micro-batch, and notes the time in ``.killed.json``.

All is computed in float32, whatever the processor is fast at: curves are compared to the last digits.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import transformers
from torch.utils.data import DataLoader, IterableDataset

from xlam_lib.records import read_json, write_json
from xlam_lib.train import cluster, common, job
from xlam_lib.train.data import IGNORE

Reads = list[list[list[int]]]


def in_float32() -> None:
    """Let this process train on the CPU in float32."""
    common.best_dtype = lambda device="cpu": torch.float32


def watch(reads: Reads, path: Path) -> None:
    """Note in ``reads`` what the training steps from now on are given."""
    trainer: Any = transformers.Trainer
    step = trainer.training_step
    dies, _, number = os.environ.get("TOGETHER_KILL", "").partition(":")

    def training_step(self: Any, model: Any, inputs: dict[str, Any], *rest: Any) -> Any:
        reads.append(examples(inputs))
        if dies == str(cluster.rank()) and number == str(len(reads)):
            write_json(path.with_suffix(".killed.json"), {"at": time.time()})
            os.kill(os.getpid(), signal.SIGKILL)
        return step(self, model, inputs, *rest)

    trainer.training_step = training_step


def examples(inputs: dict[str, Any]) -> list[list[int]]:
    """The token ids of each example of a micro-batch, of which there may be none to learn from."""
    ids, mask = inputs["input_ids"], inputs["attention_mask"].bool()
    if "weight" in inputs:  # pairs: the rows with the chosen answers, then those with the rejected
        mask = mask[: len(mask) // 2] if inputs["weight"] else mask[:0]
    elif (inputs["labels"] == IGNORE).all():
        return []
    return [row[own].tolist() for row, own in zip(ids, mask, strict=False)]


class Stream(IterableDataset[torch.Tensor]):
    """Items that name the process that made them."""

    def __iter__(self) -> Iterator[torch.Tensor]:
        return iter(torch.full((4,), cluster.rank()))


def by_default() -> list[int]:
    """Whose items this process reads if each has a stream of its own and leaves the rest to Accelerate."""
    from accelerate import Accelerator

    loader: Any = Accelerator(cpu=True).prepare(DataLoader(Stream(), batch_size=2))
    return torch.cat(list(loader)).tolist()


def main(path: Path) -> int:
    todo = read_json(path)
    leave, cluster.leave = cluster.leave, lambda: None
    in_float32()
    reads: Reads = []
    watch(reads, path)
    status = 0
    for one in map(Path, todo) if isinstance(todo, list) else [path]:
        reads.clear()
        status = status or job.main(one)
        write_json(one.with_suffix(f".reads.{cluster.rank()}.json"), reads)
    if isinstance(todo, list):
        write_json(path.with_suffix(f".default.{cluster.rank()}.json"), by_default())
    leave()
    return status


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[2])))
