"""Starting a training on one GPU, eight, several machines under Slurm, or CPU processes for a rehearsal.

Which of them is said by a configuration of Accelerate's own format in ``notebooks/profiles/launch``. Each
process runs ``python -m xlam_lib train JOB`` (:mod:`xlam_lib.train.job`). Process 0 tells how far it is in a
file beside the job, and a process that fails on purpose says why in another.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import yaml

from xlam_lib import runs
from xlam_lib.errors import TrainingError, XlamError
from xlam_lib.records import read_json
from xlam_lib.train.cluster import LAUNCHED

Report = Callable[[int, int, str], None]

_POLL = 0.2  # seconds between looks at the training's processes and progress
_GRACE = 15.0  # seconds that they have to end when asked to
_TAIL = 20  # lines of the log in an error that gives no reason of its own
# Starts a command that is asked to end when whoever started it dies, even by SIGKILL (1 is PR_SET_PDEATHSIG):
# a notebook that is killed and run again must not find its old training still at work.
_WITH_PARENT = (
    "import ctypes, os, signal, sys\n"
    "if sys.platform == 'linux': ctypes.CDLL(None).prctl(1, signal.SIGTERM, 0, 0, 0)\n"
    "os.execvp(sys.argv[1], sys.argv[1:])"
)
_ERROR = re.compile(r"^(?:\[rank\d+\]: ?)?((?:\w+\.)*\w*(?:Error|Exception)\b.*)$")
# What launchers say of their processes, and processes of one another, when one has failed: not why it did.
_CONSEQUENCE = re.compile(
    r"ChildFailedError|CalledProcessError|DistBackendError|DistNetworkError|[Rr]emote (worker|process)"
    r"|[Cc]onnection (closed|reset|was)|[Bb]roken pipe"
)
_KILLED = re.compile(r"Signal 9 \(SIGKILL\)|exitcode\s*: -9|died with <Signals\.SIGKILL")


def configurations() -> list[str]:
    """The names of the configurations in ``notebooks/profiles/launch``."""
    return sorted(path.stem for path in _folder().glob("*.yaml"))


def run(
    job: Path,
    launch: str,
    *,
    report: Report | None = None,
    timeout: float | None = None,
    module: str = "xlam_lib",
) -> None:
    """Run a training job on the processes that a configuration describes, and wait for it.

    Parameters
    ----------
    job
        The JSON file of the job; on several machines all must see its folder. The log goes beside it, to
        ``JOB.log``.
    launch
        A name in ``notebooks/profiles/launch`` or a YAML file.
    report
        Called with (steps done, steps, note) as the training goes on.
    timeout
        Seconds after which the training is ended.
    module
        What each process runs: ``python -m MODULE train JOB``.

    Raises
    ------
    TrainingError
        The configuration is unknown or does not fit this machine, a process failed or was killed, or time
        ran out. No process is left then.
    """
    job = job.resolve()
    file, settings = _load(launch)
    command = _command(file, settings, ["-m", module, "train", str(job)])
    for what in ("progress", "error"):
        job.with_suffix(f".{what}.json").unlink(missing_ok=True)
    log = job.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", _WITH_PARENT, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=_environment(settings, os.environ),
            start_new_session=True,
        )
    try:
        status = _wait(process, job, report, timeout)
    finally:
        _end(process)
    if status is None:
        raise TrainingError(f"the training took longer than {timeout:.0f} s; its log: {log}")
    if status != 0:
        raise TrainingError(_reason(job, log, status))


def _folder() -> Path:
    return runs.root() / "notebooks" / "profiles" / "launch"


def _load(launch: str) -> tuple[Path, dict[str, Any]]:
    """A configuration's file and its content."""
    file = Path(launch)
    if file.suffix not in (".yaml", ".yml"):
        file = _folder() / f"{launch}.yaml"
    try:
        settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TrainingError(
            f"launch {launch!r} is unknown; choose one of {', '.join(configurations())}, or name a YAML file"
        ) from None
    except yaml.YAMLError as error:
        raise TrainingError(f"{file}: {error}; write it as `accelerate config` does") from None
    if not isinstance(settings, dict) or "num_processes" not in settings:
        raise TrainingError(f"{file}: names no num_processes; write it as `accelerate config` does")
    return file.resolve(), settings


def _command(file: Path, settings: Mapping[str, Any], worker: list[str]) -> list[str]:
    """The command that starts all processes: Accelerate's launcher, by Slurm's on several machines."""
    machines, processes = int(settings.get("num_machines", 1)), int(settings["num_processes"])
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(file)]
    if machines == 1:
        _check_gpus(file, settings, processes, None)
        return [*launcher, "--main_process_port", "0", *worker]
    each = processes // machines
    job, nodes = os.environ.get("SLURM_JOB_ID"), os.environ.get("SLURM_NNODES")
    if not job or not nodes:
        raise TrainingError(
            f"{file.stem}: several machines are started by Slurm, and this is no Slurm allocation; submit "
            f"{file.parent / 'train.sbatch'}, or choose another launch"
        )
    _check_gpus(file, settings, each, os.environ.get("SLURM_GPUS_ON_NODE"))
    launcher += ["--num_machines", nodes, "--num_processes", str(each * int(nodes))]
    if int(nodes) == 1:
        return [*launcher, "--main_process_port", "0", *worker]
    # Below the ports that systems give out by themselves, and another one for each of a user's jobs.
    launcher += ["--main_process_ip", _first_host(), "--main_process_port", str(20_000 + int(job) % 12_000)]
    # A machine's number is known there only. One that fails ends the others, which cannot tell.
    there = f'exec {shlex.join(launcher)} --machine_rank "$SLURM_PROCID" {shlex.join(worker)}'
    step = ["srun", "--nodes", nodes, "--ntasks", nodes, "--ntasks-per-node", "1", "--kill-on-bad-exit=1"]
    if processors := os.environ.get("SLURM_CPUS_PER_TASK"):
        step += ["--cpus-per-task", processors]
    return [*step, "bash", "-c", there]


def _first_host() -> str:
    """The name of the allocation's first machine, which Slurm writes shortened, as ``gpu[01-04]``."""
    if not shutil.which("scontrol") or not shutil.which("srun"):
        raise TrainingError(
            "SLURM_JOB_ID is set, but scontrol and srun are not on the PATH; load Slurm's tools"
        )
    listed = subprocess.run(
        ["scontrol", "show", "hostnames", os.environ.get("SLURM_JOB_NODELIST", "")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    if listed.returncode or not listed.stdout.split():
        raise TrainingError(
            f"scontrol names no machine of job {os.environ['SLURM_JOB_ID']}: {listed.stderr.strip()}"
        )
    return listed.stdout.split()[0]


def _check_gpus(file: Path, settings: Mapping[str, Any], wanted: int, present: str | None) -> None:
    if settings.get("use_cpu"):
        return
    if present is None:
        import torch

        present = str(torch.cuda.device_count())
    if present.isdigit() and int(present) < wanted:
        raise TrainingError(
            f"{file.stem}: wants {wanted} GPUs on a machine and finds {present}; choose another launch "
            f"({', '.join(configurations())}), or set num_processes in a copy of {file}"
        )


def _environment(settings: Mapping[str, Any], outer: Mapping[str, str]) -> dict[str, str]:
    """The environment of the processes: this one's, and what Accelerate's launcher leaves out."""
    environment = dict(outer)
    here = [str(runs.PACKAGE.parent), *filter(None, [outer.get("PYTHONPATH")])]
    environment["PYTHONPATH"] = os.pathsep.join(here)
    environment |= {"PYTHONUNBUFFERED": "1", LAUNCHED: "1"}
    if settings.get("use_cpu"):
        environment |= {"ACCELERATE_USE_CPU": "true", "CUDA_VISIBLE_DEVICES": ""}
        # The launcher shares the cores out; what this process was given is for one process alone.
        environment.pop("OMP_NUM_THREADS", None)
    elif int(settings["num_processes"]) == 1:
        # A single process would else spread its batches over every GPU it sees.
        environment["CUDA_VISIBLE_DEVICES"] = outer.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    return environment


def _wait(
    process: subprocess.Popen[bytes], job: Path, report: Report | None, timeout: float | None
) -> int | None:
    """Relay progress until the launcher ends; its exit status, or ``None`` if time ran out."""
    deadline = None if timeout is None else time.monotonic() + timeout
    told: Any = None
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_POLL)
        if report is not None:
            with contextlib.suppress(XlamError):  # there is none yet
                progress = read_json(job.with_suffix(".progress.json"), dict[str, Any])
                if progress != told:
                    told = progress
                    report(progress["done"], progress["total"], progress["note"])
        if process.returncode is not None:
            return process.returncode
        if deadline is not None and time.monotonic() > deadline:
            return None


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the launcher and all it started; the training's processes have sessions of their own."""
    family: list[psutil.Process] = []
    with contextlib.suppress(psutil.NoSuchProcess):
        family = psutil.Process(process.pid).children(recursive=True)
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
    for one in (process, *family):
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            one.kill()
    process.wait()
    psutil.wait_procs(family, _GRACE)


def _reason(job: Path, log: Path, status: int) -> str:
    """Why a training failed: what a process wrote down, else what the log says."""
    with contextlib.suppress(XlamError):
        return str(read_json(job.with_suffix(".error.json"), dict[str, Any])["message"])
    text = log.read_text(encoding="utf-8", errors="replace")
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    errors = [found[1] for line in lines if (found := _ERROR.match(line))]
    reasons = [error for error in errors if not _CONSEQUENCE.search(error)]
    if not reasons and (status == -signal.SIGKILL or _KILLED.search(text)):
        return f"a process of the training was killed (out of memory?); run again to resume; its log: {log}"
    said = (reasons or errors or ["\n".join(lines[-_TAIL:]) or f"exit status {status}"])[0]
    return f"the training failed: {said}; its log: {log}"
