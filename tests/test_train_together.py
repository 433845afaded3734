"""The real trainings on two processes and two hosts: the curve of one, what each reads, death and return."""

from __future__ import annotations

import functools
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
import torch
import yaml
from safetensors.torch import load_file

from tests.hosts import two_hosts
from tests.tiny import make_series
from xlam_lib.errors import TrainingError
from xlam_lib.mixture import Example
from xlam_lib.preferences import Pair
from xlam_lib.records import read_json, write_json, write_jsonl
from xlam_lib.train import common, data, dpo, job, launch, schedule, sft

pytestmark = pytest.mark.slow

WORKER = "tests.together_worker"
LIMIT = 240.0  # seconds for a launch; the longest takes about 25 on two quiet cores
COPIED, SHARDED = "cpu-2", "cpu-2-fsdp2"


def example(number: int) -> Example:
    answer = json.dumps({"tool_calls": [{"name": "lend", "arguments": {"book": number, "days": number + 7}}]})
    prompt = f"Tools: lend. Query: I would like {'very ' * (number % 4)}much to borrow book {number}."
    return Example(
        f"library/{number}#1", "desk" if number % 3 else "post", "simple", prompt, answer, ["lend"]
    )


def pair(number: int) -> Pair:
    of = example(number)
    wrong = of.answer.replace("lend", "sell")
    return Pair(of.id, of.prompt, of.answer, wrong, "wrong function", source=of.source)


# Of 17 examples and two streams one reads nine in an epoch: the other has nothing in the epoch's last step.
EXAMPLES, HELD = [example(number) for number in range(17)], [example(number) for number in range(17, 22)]
FULL = sft.Settings(
    batch_size=2, accumulation=2, streams=2, epochs=3, learning_rate=1e-2, eval_steps=3, save_steps=4, seed=3
)
STEPS, SAVED, DIES = 9, 4, 6  # steps; the one whose checkpoint is resumed from; the one that is not finished
DPO = dpo.Settings(batch_size=2, streams=2, epochs=2, learning_rate=5e-3, lora_rank=4, seed=3)
# By name: which base, what is learnt, and how. Of 7 pairs one stream has four, two and two, the other three,
# two and one; of 5 one has three, and in an epoch's second step the other has none.
TRAININGS: dict[str, tuple[str, list[Any], list[Any], Any]] = {
    "full": ("llama", EXAMPLES, HELD, FULL),
    "lora": ("llama", EXAMPLES, HELD, replace(FULL, method="lora", lora_rank=4, save_steps=0)),
    "mixtral": ("mixtral", EXAMPLES[:9], HELD, replace(FULL, save_steps=0)),
    "mixtral lora": ("mixtral", EXAMPLES[:9], HELD, replace(FULL, method="lora", lora_rank=4, save_steps=0)),
    "dpo uneven": ("llama", [pair(n) for n in range(7)], [pair(n) for n in range(17, 20)], DPO),
    "dpo empty": ("llama", [pair(n) for n in range(5)], [pair(n) for n in range(17, 20)], DPO),
}


@dataclass(frozen=True)
class Trained:
    """What came of a training: its folder, its outcome, and what each process read (see the worker)."""

    folder: Path
    outcome: dict[str, Any]
    reads: list[Any]

    def curve(self, key: str) -> list[float]:
        return [entry[key] for entry in self.outcome["history"] if key in entry]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Iterator[Path]:
    """Where all trainings of this module are; no process that names it is left afterwards."""
    folder = tmp_path_factory.mktemp("together")
    yield folder
    left = [
        process.info
        for process in psutil.process_iter(["pid", "cmdline"])
        if str(folder) in " ".join(process.info["cmdline"] or [])
    ]
    assert not left


@pytest.fixture(scope="module")
def bases(tiny_model, folder) -> dict[str, Path]:
    return {"llama": tiny_model, "mixtral": make_series(folder / "mixtral", "xLAM-8x7b-r")}


@pytest.fixture(scope="module")
def plainly() -> Iterator[None]:
    """This process trains as the launched ones do: on the CPU in float32, with one thread."""
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(common, "best_dtype", lambda device="cpu": torch.float32)
        for module in (common, sft, dpo):
            patch.setattr(module, "best_device", lambda: torch.device("cpu"))
        torch.set_num_threads(1)
        yield
        torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def watched() -> Iterator[None]:
    """Launched trainings run in the worker that notes what they read, and for a limited time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch, "run", functools.partial(launch.run, timeout=LIMIT, module=WORKER))
        yield


def start(name: str, bases: dict[str, Path], folder: Path, where: str = "") -> Any:
    """The call that a notebook makes for a training of that name."""
    base, given, held, settings = TRAININGS[name]
    if isinstance(settings, dpo.Settings):
        return job.align(bases[base], given, held, folder / "out", folder / "work", settings, launch=where)
    out, early, work = folder / "out", folder / "early", folder / "work"
    return job.fine_tune(bases[base], given, held, out, early, work, settings, launch=where)


@pytest.fixture(scope="module")
def alone(bases, folder, plainly) -> Callable[[str], Trained]:
    """A training in this process, which plays both streams."""

    @functools.cache
    def train(name: str) -> Trained:
        own = folder / "alone" / name.replace(" ", "-")
        return Trained(own, asdict(start(name, bases, own)), [])

    return train


def write_job(name: str, bases: dict[str, Path], folder: Path) -> Path:
    """What :mod:`xlam_lib.train.job` writes before it launches a training."""
    base, given, held, settings = TRAININGS[name]
    folder.mkdir(parents=True)
    write_jsonl(folder / "data.jsonl", given)
    write_jsonl(folder / "held_out.jsonl", held)
    made = job.Job(
        kind="dpo" if isinstance(settings, dpo.Settings) else "sft",
        base=str(bases[base]),
        data=str(folder / "data.jsonl"),
        held_out=str(folder / "held_out.jsonl"),
        out=str(folder / "out"),
        early=str(folder / "early"),
        work=str(folder / "work"),
        settings=asdict(settings),
    )
    write_json(folder / "job.json", msgspec.to_builtins(made))
    return folder / "job.json"


def trained(path: Path) -> Trained:
    reads = [read_json(path.with_suffix(f".reads.{rank}.json")) for rank in range(2)]
    return Trained(path.parent, read_json(job.beside(path, "outcome")), reads)


@pytest.fixture(scope="module")
def together(bases, folder, watched) -> Callable[[str], dict[str, Trained]]:
    """All trainings on two processes, in a row, by the name of the configuration."""

    @functools.cache
    def train(where: str) -> dict[str, Trained]:
        own = folder / where
        jobs = {name: write_job(name, bases, own / name.replace(" ", "-")) for name in TRAININGS}
        write_json(own / "jobs.json", [str(path) for path in jobs.values()])
        launch.run(own / "jobs.json", where)
        return {name: trained(path) for name, path in jobs.items()}

    return train


# --------------------------------------------------------------------------------------- the curve of one
def same(found: Trained, expected: Trained) -> None:
    """Both took the same steps and ended with the same weights, but for the order of additions."""
    assert found.outcome["steps"] == expected.outcome["steps"]
    entries = zip(found.outcome["history"], expected.outcome["history"], strict=True)
    for one, other in entries:
        assert one == pytest.approx(other, rel=1e-3, abs=1e-5)
    files = sorted(
        path.relative_to(expected.folder) for path in expected.folder.glob("[eo]*/**/*.safetensors")
    )
    assert files and files == sorted(
        path.relative_to(found.folder) for path in found.folder.glob("[eo]*/**/*.safetensors")
    )
    for file in files:
        one, other = load_file(found.folder / file), load_file(expected.folder / file)
        assert one.keys() == other.keys()
        apart = {name: float((one[name] - other[name]).abs().max()) for name in one}
        print(file, max(apart.values()))
        assert max(apart.values()) < 1e-4, file


@pytest.mark.parametrize("where", [COPIED, SHARDED])
@pytest.mark.parametrize("name", list(TRAININGS))
def test_two_processes_train_as_one_does(alone, together, where, name):
    found, expected = together(where)[name], alone(name)
    assert (found.outcome["processes"], expected.outcome["processes"]) == (2, 1)
    same(found, expected)
    losses = expected.curve("loss")
    assert max(losses) - min(losses) > 0.02  # a curve, not a line
