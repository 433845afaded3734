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
RUN = launch.run
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
DPO = dpo.Settings(batch_size=2, streams=2, epochs=2, learning_rate=2e-2, lora_rank=4, seed=3)
# By name: which base, what is learnt, and how. Of 7 pairs one stream has four, two and two, the other three,
# two and one; of 5 one has three, and in an epoch's second step the other has none.
TRAININGS: dict[str, tuple[str, list[Any], list[Any], Any]] = {
    "full": ("llama", EXAMPLES, HELD, FULL),
    "lora": ("llama", EXAMPLES, HELD, replace(FULL, method="lora", lora_rank=4, save_steps=0)),
    "mixtral": ("mixtral", EXAMPLES[:9], HELD, replace(FULL, save_steps=0)),
    "mixtral lora": ("mixtral", EXAMPLES[:9], HELD, replace(FULL, method="lora", lora_rank=4, save_steps=0)),
    "dpo uneven": ("mixtral", [pair(n) for n in range(7)], [pair(n) for n in range(17, 20)], DPO),
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
        patch.setattr(launch, "run", functools.partial(RUN, timeout=LIMIT, module=WORKER))
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


def trained(path: Path, folder: Path) -> Trained:
    reads = [read_json(path.with_suffix(f".reads.{rank}.json")) for rank in range(2)]
    return Trained(folder, read_json(job.beside(path, "outcome")), reads)


@pytest.fixture(scope="module")
def together(bases, folder, watched) -> Callable[[str], dict[str, Trained]]:
    """All trainings on two processes, in a row, by the name of the configuration."""

    @functools.cache
    def train(where: str) -> dict[str, Trained]:
        own = folder / where
        jobs = {name: write_job(name, bases, own / name.replace(" ", "-")) for name in TRAININGS}
        write_json(own / "jobs.json", [str(path) for path in jobs.values()])
        launch.run(own / "jobs.json", where)
        return {name: trained(path, path.parent) for name, path in jobs.items()}

    return train


# --------------------------------------------------------------------------------------- the curve of one
def same(found: Trained, expected: Trained) -> None:
    """Both took the same steps and ended with the same weights, but for the order of additions."""
    assert found.outcome["steps"] == expected.outcome["steps"]
    entries = zip(found.outcome["history"], expected.outcome["history"], strict=True)
    for one, other in entries:
        assert one == pytest.approx(other, rel=1e-4, abs=1e-6)
    files = sorted(
        path.relative_to(expected.folder) for path in expected.folder.glob("[eo]*/**/*.safetensors")
    )
    assert files and files == sorted(
        path.relative_to(found.folder) for path in found.folder.glob("[eo]*/**/*.safetensors")
    )
    for file in files:
        one, other = load_file(found.folder / file), load_file(expected.folder / file)
        assert one.keys() == other.keys()
        # The farthest that a weight has come is about 0.07.
        assert max(float((one[name] - other[name]).abs().max()) for name in one) < 1e-5, file


@pytest.mark.parametrize("where", [COPIED, SHARDED])
@pytest.mark.parametrize("name", list(TRAININGS))
def test_two_processes_train_as_one_does(alone, together, where, name):
    found, expected = together(where)[name], alone(name)
    assert (found.outcome["processes"], expected.outcome["processes"]) == (2, 1)
    same(found, expected)
    losses = expected.curve("loss")
    assert max(losses) - min(losses) > 0.02  # a curve, not a line


@pytest.mark.parametrize("name", ["dpo uneven"])
def test_an_alignment_is_launched_as_a_notebook_does(alone, bases, folder, monkeypatch, name):
    """Nothing is watched here: the processes run the library's own command."""
    monkeypatch.setattr(launch, "run", functools.partial(RUN, timeout=LIMIT))
    base, given, held, settings = TRAININGS[name]
    own, told = folder / "launched", []
    outcome = job.align(
        bases[base], given, held, own / "out", own / "work", settings, lambda *what: told.append(what), COPIED
    )
    assert isinstance(outcome, dpo.Outcome) and outcome.processes == 2
    assert [file.name for file in (own / "out").rglob("*.safetensors")] == ["adapter_model.safetensors"]
    assert told[-1][:2] == (outcome.steps, outcome.steps)
    # Where the processor is fast at bfloat16 the launched processes compute in it.
    expected = alone(name).curve("loss")
    assert [entry["loss"] for entry in outcome.history if "loss" in entry] == pytest.approx(
        expected, abs=2e-2
    )


def test_an_error_in_a_launched_training_comes_back_word_for_word(bases, folder, monkeypatch):
    monkeypatch.setattr(launch, "run", functools.partial(RUN, timeout=LIMIT))
    own, settings = folder / "error", replace(FULL, max_tokens=9)
    out, early, work = own / "out", own / "early", own / "work"
    said = "^no example to train on: 17 given, 17 of them longer than max_tokens=9; raise max_tokens or"
    with pytest.raises(TrainingError, match=said):
        job.fine_tune(bases["llama"], EXAMPLES, HELD, out, early, work, settings, launch=COPIED)


def test_two_hosts_train_as_one_process_does(alone, bases, folder, root):
    path = write_job("full", bases, folder / "hosts")
    sharded = yaml.safe_load((root / "notebooks" / "profiles" / "launch" / f"{SHARDED}.yaml").read_text())
    machines = path.with_name("machines.yaml")
    machines.write_text(yaml.safe_dump(sharded | {"num_machines": 2, "same_network": True}))
    with two_hosts() as hosts:
        head = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(machines)]
        head += ["--main_process_ip", hosts[0].address, "--main_process_port", "29400"]
        logs = [path.with_name(f"{host.name}.log") for host in hosts]
        started = [
            host.start(
                [*head, "--machine_rank", str(number), "-m", WORKER, "train", str(path)],
                log,
                **launch._environment({"use_cpu": True}, {}),
            )
            for number, (host, log) in enumerate(zip(hosts, logs, strict=True))
        ]
        try:
            statuses = [process.wait(LIMIT) for process in started]
        finally:
            for process in started:
                process.kill()
                process.wait(20)
        assert statuses == [0, 0], "\n".join(log.read_text()[-3000:] for log in logs)
    found = trained(path, path.parent)
    assert found.outcome["processes"] == 2
    same(found, alone("full"))


# ------------------------------------------------------------------------------------ what each process reads
def planned(name: str, bases: dict[str, Path]) -> tuple[schedule.Plan, dict[tuple[int, ...], int]]:
    """What a training should read, and the number of each example by its token ids."""
    base, given, _, settings = TRAININGS[name]
    tokenizer = common.load(bases[base])[1]
    if isinstance(settings, dpo.Settings):
        rows, _ = dpo.encode(tokenizer, given, settings.max_tokens)
        ids = [tuple(row["prompt_ids"] + row["chosen_ids"]) for row in rows]
        lengths = [len(one) + len(row["rejected_ids"]) for one, row in zip(ids, rows, strict=True)]
    else:
        dataset = data.encode(tokenizer, given, settings.max_tokens).dataset
        ids = [tuple(row["input_ids"].tolist()) for row in dataset]
        lengths = list(map(len, ids))
    plan = schedule.plan(
        lengths,
        [one.source for one in given],
        streams=2,
        batch_size=settings.batch_size,
        accumulation=settings.accumulation,
        epochs=settings.epochs,
        seed=settings.seed,
    )
    assert len(set(ids)) == len(ids)
    return plan, {one: number for number, one in enumerate(ids)}


def numbered(reads: list[Any], number: dict[tuple[int, ...], int]) -> list[list[tuple[int, ...]]]:
    return [[tuple(number[tuple(one)] for one in batch) for batch in own] for own in reads]


@pytest.mark.parametrize("where", [COPIED, SHARDED])
@pytest.mark.parametrize("name", list(TRAININGS))
def test_each_process_reads_its_part_of_the_plan_and_both_read_all(together, bases, where, name):
    plan, number = planned(name, bases)
    read = numbered(together(where)[name].reads, number)
    assert read == [schedule.batches_of(plan, rank, 2) for rank in range(2)]
    epochs = int(plan.epochs[-1])
    each = len(read[0]) // epochs
    orders = []
    for epoch in range(epochs):
        in_epoch = [[n for batch in own[epoch * each : (epoch + 1) * each] for n in batch] for own in read]
        assert sorted(in_epoch[0] + in_epoch[1]) == list(range(len(number)))
        orders.append(in_epoch)
    assert all(set(orders[0][rank]) == set(orders[1][rank]) for rank in range(2))  # the parts stay
    assert orders[0] != orders[1]  # the shuffle does not


def test_a_stream_for_each_process_would_not_be_read_by_accelerates_default(together, folder):
    """Why there is a plan: of an iterable data set, process 0's own stream is handed out to all."""
    together(COPIED)
    found = [read_json(folder / COPIED / f"jobs.default.{rank}.json") for rank in range(2)]
    assert found[1] and set(found[0] + found[1]) == {0}


# ----------------------------------------------------------------------------------------- death and return
@dataclass(frozen=True)
class Interrupted:
    """A training of which a process was killed: what was said, how long after, and what was on disk then."""

    error: str
    seconds: float
    half: Path
    resumed: Trained


@pytest.fixture(scope="module")
def interrupted(bases, folder, watched) -> Callable[[str], Interrupted]:
    """The training "full", killed half-way and run again, by the name of the configuration."""

    @functools.cache
    def train(where: str) -> Interrupted:
        own = folder / f"{where}-killed"
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TOGETHER_KILL", f"1:{DIES * FULL.accumulation}")
            with pytest.raises(TrainingError) as raised:
                start("full", bases, own, where)
        seconds = time.time() - read_json(own / "work" / "job.killed.json")["at"]
        shutil.copytree(own / "work" / "checkpoints", own / "half")
        start("full", bases, own, where)
        resumed = trained(own / "work" / "job.json", own)
        return Interrupted(str(raised.value), seconds, own / "half", resumed)

    return train


@pytest.mark.parametrize("where", [COPIED, SHARDED])
def test_a_killed_process_ends_the_training_and_leaves_its_checkpoint(interrupted, where):
    found = interrupted(where)
    assert "was killed (out of memory?); run again to resume" in found.error
    assert found.seconds < 30
    saved = found.half / f"checkpoint-{SAVED}"
    assert list(found.half.glob("checkpoint-*")) == [saved] and (saved / "COMPLETE").exists()
    parts = {path.name for path in saved.glob("pytorch_model_fsdp_0/*.distcp")}
    assert parts == ({"__0_0.distcp", "__1_0.distcp"} if where == SHARDED else set())
    assert (saved / "model.safetensors").exists() == (where == COPIED)


@pytest.mark.parametrize("where", [COPIED, SHARDED])
def test_a_resumed_training_equals_an_uninterrupted_one_step_by_step(interrupted, together, bases, where):
    resumed, whole = interrupted(where).resumed, together(where)["full"]
    assert resumed.outcome["history"] == whole.outcome["history"]
    assert resumed.outcome["steps"] == STEPS and resumed.outcome["tokens"] < whole.outcome["tokens"]
    for name in ("out", "early"):
        one, other = (load_file(done.folder / name / "model.safetensors") for done in (resumed, whole))
        assert all(torch.equal(one[key], other[key]) for key in other)
    plan, number = planned("full", bases)
    left = [schedule.batches_of(plan, rank, 2)[SAVED * FULL.accumulation :] for rank in range(2)]
    assert numbered(resumed.reads, number) == left


def test_one_process_finishes_what_two_began(interrupted, alone, bases, folder):
    own = folder / "taken-over"
    shutil.copytree(interrupted(COPIED).half, own / "work")
    found = Trained(own, asdict(start("full", bases, own)), [])
    assert found.outcome["tokens"] < alone("full").outcome["tokens"]  # it did not begin anew
    same(found, alone("full"))


def test_a_sharded_checkpoint_is_for_sharded_processes(interrupted, plainly, bases, folder):
    own = folder / "not-taken-over"
    shutil.copytree(interrupted(SHARDED).half, own / "work")
    with pytest.raises(TrainingError, match=f"checkpoint-{SAVED}: a sharded checkpoint"):
        start("full", bases, own)
