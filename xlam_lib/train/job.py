"""A training as a file: what each process of a launched training reads, and what it leaves behind.

:func:`fine_tune` and :func:`align` are what the notebooks call. Without ``launch`` they train in the calling
process. With it they write the job down and start it on the devices that the named configuration of
``notebooks/profiles/launch/`` describes; every process then runs ``python -m xlam_lib train JOB``.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from xlam_lib.errors import TrainingError, XlamError
from xlam_lib.mixture import Example
from xlam_lib.preferences import Pair
from xlam_lib.records import read_json, read_jsonl, write_json, write_jsonl


class Job(msgspec.Struct, forbid_unknown_fields=True):
    """One training: its ``kind`` (``sft`` or ``dpo``), the files it reads and writes, and its settings.

    ``data`` and ``held_out`` are JSON Lines of examples or pairs; ``early`` is for ``sft`` alone. Beside the
    job's own file stand ``.progress.json`` while it runs, and then ``.outcome.json`` or ``.error.json``.
    """

    kind: str
    base: str
    data: str
    held_out: str
    out: str
    work: str
    settings: dict[str, Any]
    early: str = ""


def fine_tune(
    base: str | Path,
    examples: Sequence[Example],
    held_out: Sequence[Example],
    out: Path,
    early: Path,
    work: Path,
    settings: Any,
    report: Any = None,
    launch: str = "",
) -> Any:
    """:func:`xlam_lib.train.sft.train`, here or, with ``launch``, on what that configuration names."""
    from xlam_lib.train import sft

    if not launch:
        return sft.train(base, examples, held_out, out, early, work, settings, report)
    folders = {"out": str(out), "early": str(early)}
    return sft.Outcome(**_launched("sft", base, examples, held_out, work, folders, settings, report, launch))


def align(
    base: str | Path,
    pairs: Sequence[Pair],
    held_out: Sequence[Pair],
    out: Path,
    work: Path,
    settings: Any,
    report: Any = None,
    launch: str = "",
) -> Any:
    """:func:`xlam_lib.train.dpo.train`, here or, with ``launch``, on what that configuration names."""
    from xlam_lib.train import dpo

    if not launch:
        return dpo.train(base, pairs, held_out, out, work, settings, report)
    folders = {"out": str(out)}
    return dpo.Outcome(**_launched("dpo", base, pairs, held_out, work, folders, settings, report, launch))


def _launched(
    kind: str,
    base: str | Path,
    data: Sequence[Any],
    held_out: Sequence[Any],
    work: Path,
    folders: Mapping[str, str],
    settings: Any,
    report: Any,
    launch: str,
) -> dict[str, Any]:
    from xlam_lib.train.launch import run

    work.mkdir(parents=True, exist_ok=True)
    write_jsonl(work / "data.jsonl", data)
    write_jsonl(work / "held_out.jsonl", held_out)
    job = Job(
        kind=kind,
        base=str(base),
        data=str(work / "data.jsonl"),
        held_out=str(work / "held_out.jsonl"),
        work=str(work / "checkpoints"),
        settings=asdict(settings),
        **folders,
    )
    path = work / "job.json"
    write_json(path, msgspec.to_builtins(job))
    run(path, launch, report=report)
    return read_json(beside(path, "outcome"))


def beside(job: Path, what: str) -> Path:
    """The file of a job that holds its ``progress``, ``outcome`` or ``error``."""
    return job.with_suffix(f".{what}.json")


def main(path: Path) -> int:
    """Run a job in this process, which may be one of many; return the exit status.

    The first process writes progress and outcome. Any process that fails on purpose writes its error, so that
    whoever launched it can repeat the message instead of a traceback.
    """
    from xlam_lib.train import cluster

    try:
        outcome = _train(_read(path), path)
    except XlamError as error:
        if not path.parent.is_dir():
            raise
        write_json(beside(path, "error"), {"type": type(error).__name__, "message": str(error)})
        print(f"error: {error}", file=sys.stderr)
        return 1
    if cluster.is_main():
        write_json(beside(path, "outcome"), asdict(outcome))
    cluster.leave()
    return 0


def _read(path: Path) -> Job:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Job)
    except OSError as error:
        raise TrainingError(f"{path}: cannot be read ({error.strerror}); name a job file") from None
    except msgspec.DecodeError as error:
        raise TrainingError(f"{path}: no training job ({error}); chapters 6 and 7 write them") from None


def _train(job: Job, path: Path) -> Any:
    from xlam_lib.train import dpo, sft

    told = 0.0

    def report(done: int, total: int, note: str) -> None:
        nonlocal told
        if time.time() - told > 0.5 or done == total:
            told = time.time()
            progress = beside(path, "progress")
            temporary = progress.with_suffix(".tmp")
            temporary.write_text(json.dumps({"done": done, "total": total, "note": note}))
            temporary.replace(progress)

    try:
        if job.kind == "sft":
            return sft.train(
                job.base,
                list(read_jsonl(Path(job.data), Example)),
                list(read_jsonl(Path(job.held_out), Example)),
                Path(job.out),
                Path(job.early),
                Path(job.work),
                sft.Settings(**job.settings),
                report,
            )
        if job.kind == "dpo":
            return dpo.train(
                job.base,
                list(read_jsonl(Path(job.data), Pair)),
                list(read_jsonl(Path(job.held_out), Pair)),
                Path(job.out),
                Path(job.work),
                dpo.Settings(**job.settings),
                report,
            )
    except TypeError as error:
        if "unexpected keyword" in str(error):
            raise TrainingError(f"{path}: {error}; this job was written by another version") from None
        raise
    raise TrainingError(f"{path}: kind {job.kind!r} is unknown; choose sft or dpo")
