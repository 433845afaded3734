"""Starting a training: on one machine, under Slurm, on two hosts; failures, killed processes, time limits."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import yaml

from tests.hosts import two_hosts
from xlam_lib.errors import TrainingError
from xlam_lib.records import read_json, write_json
from xlam_lib.train import launch

WORKER = "tests.launch_worker"
LIMIT = 120.0  # seconds for a launch that takes about seven
NAMES = ["cpu-2", "cpu-2-fsdp2", "fsdp2-8gpu", "fsdp2-nodes", "one-gpu"]


@pytest.fixture
def job(tmp_path):
    """Writes a job for the worker; afterwards none of the processes it names is left."""

    def write(do: str) -> Path:
        path = tmp_path / "job.json"
        write_json(path, {"do": do})
        return path

    yield write
    for seen in tmp_path.rglob("job.[0-9].json"):
        process = read_json(seen)["process"]
        assert not psutil.pid_exists(process), f"process {process} of {seen} is still there"


def seen(job: Path) -> list[dict]:
    return [read_json(job.with_suffix(f".{rank}.json")) for rank in range(2)]


# ------------------------------------------------------------------------------------------ configurations
def test_every_configuration_says_what_it_is_for_and_accelerate_reads_it(root):
    from accelerate.commands.config.config_args import load_config_from_file

    assert launch.configurations() == NAMES
    for name in NAMES:
        path = root / "notebooks" / "profiles" / "launch" / f"{name}.yaml"
        assert path.read_text().startswith("# ")
        config: Any = load_config_from_file(str(path))  # refuses unknown keys
        assert config.num_processes % config.num_machines == 0
        assert config.mixed_precision == ("no" if name.startswith("cpu") else "bf16")


def test_sharded_configurations_ask_for_the_same_of_fsdp(root, monkeypatch):
    from accelerate.utils import FullyShardedDataParallelPlugin
    from torch.distributed.fsdp.fully_sharded_data_parallel import StateDictType

    folder = root / "notebooks" / "profiles" / "launch"
    asked = [
        yaml.safe_load((folder / f"{name}.yaml").read_text())["fsdp_config"]
        for name in NAMES
        if "fsdp2" in name
    ]
    assert len(asked) == 3 and all(one == asked[0] for one in asked)
    for key, value in asked[0].items():
        monkeypatch.setenv(key.upper(), str(value).lower() if isinstance(value, bool) else str(value))
    plugin = FullyShardedDataParallelPlugin()
    assert plugin.fsdp_version == 2 and plugin.reshard_after_forward and plugin.cpu_ram_efficient_loading
    assert plugin.state_dict_type == StateDictType.SHARDED_STATE_DICT
    assert plugin.transformer_cls_names_to_wrap is None  # the models name their layers themselves


def test_an_unknown_configuration_names_the_known_ones(job):
    with pytest.raises(TrainingError, match=r"'two-gpu' is unknown; choose one of cpu-2, .*one-gpu"):
        launch.run(job("sum"), "two-gpu")


@pytest.mark.parametrize("text", ["- a\n- list\n", "distributed_type: 'NO'\n", "a: [\n"])
def test_a_file_that_is_no_configuration_is_named(job, tmp_path, text):
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(TrainingError, match=r"mine\.yaml"):
        launch.run(job("sum"), str(file))


def test_more_gpus_than_there_are(job, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(TrainingError, match=r"fsdp2-8gpu: wants 8 GPUs on a machine and finds 2; choose"):
        launch.run(job("sum"), "fsdp2-8gpu")


def test_several_machines_need_slurm(job, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with pytest.raises(TrainingError, match=r"fsdp2-nodes: .*no Slurm allocation; submit .*train\.sbatch"):
        launch.run(job("sum"), "fsdp2-nodes")


def test_slurm_gpus_are_counted_before_anything_starts(job, monkeypatch):
    for name, value in {"SLURM_JOB_ID": "7", "SLURM_NNODES": "2", "SLURM_GPUS_ON_NODE": "4"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(TrainingError, match="wants 8 GPUs on a machine and finds 4"):
        launch.run(job("sum"), "fsdp2-nodes")


@pytest.mark.parametrize(
    "outer, visible", [({}, "0"), ({"CUDA_VISIBLE_DEVICES": "3,4"}, "3"), ({"CUDA_VISIBLE_DEVICES": ""}, "")]
)
def test_one_gpu_is_the_first_that_is_allowed(outer, visible):
    assert launch._environment({"num_processes": 1}, outer)["CUDA_VISIBLE_DEVICES"] == visible


# ------------------------------------------------------------------------------------------ one machine
@pytest.mark.slow
@pytest.mark.parametrize("name", ["cpu-2", "cpu-2-fsdp2"])
def test_processes_find_one_another_and_progress_is_relayed(job, name):
    told = []
    path = job("sum")
    launch.run(path, name, report=lambda *what: told.append(what), timeout=LIMIT, module=WORKER)
    both = seen(path)
    assert [one["total"] for one in both] == [3.0, 3.0]
    assert [one["processes"] for one in both] == [2, 2]
    assert [one["main"] for one in both] == [True, False]
    assert {one["sharded"] for one in both} == {name == "cpu-2-fsdp2"}
    assert told[-1] == (2, 2, "adding up")
    assert path.with_suffix(".log").exists()


@pytest.mark.slow
def test_a_failure_on_purpose_is_repeated_word_for_word(job):
    path = job("fail")
    write_json(path.with_suffix(".error.json"), {"type": "TrainingError", "message": "of an earlier run"})
    with pytest.raises(TrainingError, match=r"^the loss is nan at step 3$"):
        launch.run(path, "cpu-2", timeout=LIMIT, module=WORKER)


@pytest.mark.slow
def test_an_accident_is_told_with_its_log(job):
    path = job("crash")
    with pytest.raises(TrainingError, match=r"RuntimeError: an accident in process 1; its log: .*job\.log$"):
        launch.run(path, "cpu-2", timeout=LIMIT, module=WORKER)


@pytest.mark.slow
def test_a_killed_process_ends_the_others(job):
    path = job("wait")
    killed = []

    def kill() -> None:
        marks = [path.with_suffix(f".{rank}.json") for rank in range(2)]
        while not all(mark.exists() for mark in marks):
            time.sleep(0.1)
        os.kill(read_json(marks[1])["process"], signal.SIGKILL)
        killed.append(time.monotonic())

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    with pytest.raises(TrainingError, match=r"was killed \(out of memory\?\); run again to resume"):
        launch.run(path, "cpu-2", timeout=LIMIT, module=WORKER)
    assert time.monotonic() - killed[0] < 20


@pytest.mark.slow
def test_time_runs_out(job, monkeypatch):
    path = job("wait")
    begun = [path.with_suffix(f".{rank}.json") for rank in range(2)]
    clock = SimpleNamespace(monotonic=lambda: 1000.0 if all(one.exists() for one in begun) else 0.0)
    monkeypatch.setattr(launch, "time", clock)  # the limit is reached once both processes are at work
    with pytest.raises(TrainingError, match=r"took longer than 900 s; its log: "):
        launch.run(path, "cpu-2", timeout=900, module=WORKER)


@pytest.mark.slow
def test_a_training_ends_with_whoever_started_it(job):
    path = job("wait")
    call = (
        "import pathlib, sys; from xlam_lib.train import launch; "
        "launch.run(pathlib.Path(sys.argv[1]), 'cpu-2', module=sys.argv[2])"
    )
    starter = subprocess.Popen([sys.executable, "-c", call, str(path), WORKER])
    try:
        until(lambda: all(path.with_suffix(f".{rank}.json").exists() for rank in range(2)))
        started = [psutil.Process(one["process"]) for one in seen(path)]
        starter.kill()
        starter.wait(20)
        _, alive = psutil.wait_procs(started, 20)
        assert not alive
    finally:
        starter.kill()
        starter.wait(20)


def until(true, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


# ------------------------------------------------------------------------------------------ several machines
SRUN = """#!{python}
# A Slurm of two machines, both this one: every task of a step is a process here.
import json, os, pathlib, subprocess, sys
options, command = sys.argv[1:sys.argv.index("bash")], sys.argv[sys.argv.index("bash"):]
pathlib.Path({calls!r}).write_text(json.dumps(options))
tasks = [
    subprocess.Popen(command, env=os.environ | {{"SLURM_PROCID": str(number)}})
    for number in range(int(options[options.index("--ntasks") + 1]))
]
failed = False
while tasks:
    for task in list(tasks):
        try:
            failed = task.wait(0.1) != 0 or failed
            tasks.remove(task)
        except subprocess.TimeoutExpired:
            if failed:
                task.terminate()
sys.exit(failed)
"""
SCONTROL = """#!{python}
import sys
assert sys.argv[1:] == ["show", "hostnames", "node[1-2]"], sys.argv
print("127.0.0.1")
print("127.0.0.2")
"""


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """An allocation of two machines; returns where ``srun`` notes its options."""
    calls = tmp_path / "srun.json"
    for name, text in {"srun": SRUN, "scontrol": SCONTROL}.items():
        program = tmp_path / name
        program.write_text(text.format(python=sys.executable, calls=str(calls)))
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    port = free_port()
    allocation = {
        "SLURM_JOB_ID": str(port - 20_000),
        "SLURM_NNODES": "2",
        "SLURM_JOB_NODELIST": "node[1-2]",
        "SLURM_CPUS_PER_TASK": "4",
    }
    for name, value in allocation.items():
        monkeypatch.setenv(name, value)
    return calls


def free_port() -> int:
    """One of the ports that a job's number stands for."""
    for port in range(21_000 + os.getpid() % 5000, 32_000):
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)):
                return port
    raise AssertionError("no port is free")


@pytest.fixture
def machines(tmp_path) -> str:
    """A configuration of two machines with one CPU process each."""
    file = tmp_path / "machines.yaml"
    settings = {
        "compute_environment": "LOCAL_MACHINE",
        "distributed_type": "FSDP",
        "mixed_precision": "no",
        "num_machines": 2,
        "num_processes": 2,
        "same_network": True,
        "use_cpu": True,
        "fsdp_config": {"fsdp_version": 2, "fsdp_auto_wrap_policy": "TRANSFORMER_BASED_WRAP"},
    }
    file.write_text(yaml.safe_dump(settings))
    return str(file)


@pytest.mark.slow
def test_slurm_starts_a_launcher_on_each_machine(job, slurm, machines):
    path = job("sum")
    launch.run(path, machines, timeout=LIMIT, module=WORKER)
    both = seen(path)
    assert [one["total"] for one in both] == [3.0, 3.0]
    assert [one["machine"] for one in both] == ["0", "1"]
    assert [one["local_rank"] for one in both] == ["0", "0"]
    assert {one["master"] for one in both} == {"127.0.0.1"} and all(one["sharded"] for one in both)
    options = read_json(slurm)
    assert options[:6] == ["--nodes", "2", "--ntasks", "2", "--ntasks-per-node", "1"]
    assert "--kill-on-bad-exit=1" in options and options[-2:] == ["--cpus-per-task", "4"]


@pytest.mark.slow
def test_a_failure_on_one_machine_ends_the_others(job, slurm, machines):
    with pytest.raises(TrainingError, match="an accident in process 1"):
        launch.run(job("crash"), machines, timeout=LIMIT, module=WORKER)


@pytest.mark.slow
def test_two_hosts_on_a_cable(job, machines, tmp_path):
    path = job("sum")
    with two_hosts() as hosts:
        head = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", machines]
        head += ["--main_process_ip", hosts[0].address, "--main_process_port", "29400"]
        environment = launch._environment({"use_cpu": True}, {})
        logs = [tmp_path / f"host-{number}.log" for number in range(2)]
        started = [
            host.start(
                [*head, "--machine_rank", str(number), "-m", WORKER, "train", str(path)], log, **environment
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
    both = seen(path)
    assert [one["total"] for one in both] == [3.0, 3.0]
    assert {one["master"] for one in both} == {hosts[0].address}
    assert not any(Path("/var/run/netns").glob(hosts[0].name.rsplit("-", 1)[0] + "*"))
