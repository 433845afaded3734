"""The execution check's pool: calls run in limited worker processes, answers come in call order.

Each worker answers a call before it begins the next, so when one dies or is late, the first call
without an answer is the guilty one. After a death that call is tried once more, alone and in a fresh
worker, and blamed only if that one dies too; the rest of the batch goes on in another worker.
What limits a worker and what does not: see :mod:`xlam_lib.synthesis.worker`.
"""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from xlam_lib.errors import XlamError

DEFAULT_REGISTRY = "xlam_lib.synthesis.library:LIBRARY"


class Outcome(msgspec.Struct, frozen=True):
    """What a call gave: a JSON value in ``ok``, or a stable ``error`` phrase and its detail.

    Errors: ``undefined function invoked``, ``undefined argument passed``, ``required argument missing``,
    ``incorrect argument type``, ``value outside the enum``, ``run-time error``, ``time-out``,
    ``memory limit exceeded``, ``forbidden operation``, ``function tried to exit``,
    ``output limit exceeded``, ``result is not JSON``, ``worker died``.
    """

    ok: Any = None
    error: str = ""
    detail: str = ""


class Limits(msgspec.Struct, frozen=True):
    """A worker's limits: wall-clock seconds a call, memory bytes, CPU seconds a batch, bytes of output."""

    seconds: float = 5.0
    memory: int = 1 << 30
    cpu_seconds: int = 30
    output: int = 1 << 20
    start_seconds: float = 60.0


class _Worker:
    def __init__(self, registry: str, limits: Limits, path: Sequence[str]):
        root = str(Path(__file__).resolve().parents[2])
        environment = {
            "PATH": os.defpath,
            "LANG": "C.UTF-8",
            "PYTHONPATH": os.pathsep.join([root, *path]),
            "PYTHONHASHSEED": "0",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        command = [
            sys.executable,
            "-m",
            "xlam_lib.synthesis.worker",
            registry,
            str(limits.memory),
            str(limits.cpu_seconds),
            str(limits.output),
        ]
        self.registry = registry
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
        )
        assert self.process.stdin and self.process.stdout and self.process.stderr
        self.input, self.output = self.process.stdin.fileno(), self.process.stdout.fileno()
        os.set_blocking(self.input, False)
        os.set_blocking(self.output, False)
        self.limit = limits.start_seconds
        self.deadline = time.monotonic() + self.limit
        self.ready = False
        self.received = b""
        self.unsent = b""
        self.jobs: list[int] = []
        self.done = 0

    def give(self, jobs: list[int], calls: Sequence[tuple[str, dict[str, Any]]], seconds: float) -> None:
        self.jobs, self.done = jobs, 0
        self.unsent += msgspec.json.encode([calls[job] for job in jobs]) + b"\n"
        self.limit = seconds
        if self.ready:
            self.deadline = time.monotonic() + seconds

    def send(self) -> None:
        try:
            self.unsent = self.unsent[os.write(self.input, self.unsent) :]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self.unsent = b""

    def receive(self) -> tuple[list[bytes], bool]:
        """Whole lines that have arrived, and whether the worker is still there."""
        try:
            data = os.read(self.output, 1 << 16)
        except BlockingIOError:
            return [], True
        *lines, self.received = (self.received + data).split(b"\n")
        if lines and not self.ready:
            self.ready = True
            lines = lines[1:]
            self.deadline = time.monotonic() + self.limit
        if lines:
            self.deadline = time.monotonic() + self.limit
        return lines, bool(data)

    def close(self) -> str:
        """Kill the worker and return how it ended (its exit status and last words)."""
        natural = self.process.poll()
        self.process.kill()
        assert self.process.stdin and self.process.stdout and self.process.stderr
        self.process.wait()
        words = self.process.stderr.read().decode("utf-8", "replace").strip().splitlines()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            stream.close()
        status = natural if natural is not None else self.process.returncode
        return f"exit status {status}" + (f", {words[-1]}" if words else "")


class Pool:
    """Persistent worker processes; use as a context manager.

    Parameters
    ----------
    workers
        How many processes; results do not depend on it.
    registry
        ``module:name`` of the :class:`~xlam_lib.synthesis.registry.Registry` to serve.
    limits
        See :class:`Limits`.
    path
        Folders put on the workers' import path, for a registry of one's own.
    chunk
        Calls a round trip.
    """

    def __init__(
        self,
        workers: int = 1,
        *,
        registry: str = DEFAULT_REGISTRY,
        limits: Limits | None = None,
        path: Sequence[str] = (),
        chunk: int = 256,
    ):
        if workers < 1:
            raise XlamError(f"execution pool: {workers} workers asked; give 1 or more")
        self.registry, self.limits, self.path, self.chunk = registry, limits or Limits(), tuple(path), chunk
        self.size = workers
        self.workers: list[_Worker] = []

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End all workers."""
        for worker in self.workers:
            worker.close()
        self.workers = []

    def run(self, calls: Sequence[tuple[str, dict[str, Any]]]) -> list[Outcome]:
        """Run ``(executable name, arguments)`` calls; one outcome each, in the same order.

        Raises
        ------
        XlamError
            The workers cannot start (a registry that cannot be imported, say).
        """
        outcomes: list[Outcome | None] = [None] * len(calls)
        size = max(1, min(self.chunk, -(-len(calls) // self.size)))
        waiting = [list(range(start, min(start + size, len(calls)))) for start in range(0, len(calls), size)]
        suspects: set[int] = set()
        idle, self.workers = self.workers, []
        busy: dict[int, _Worker] = {}
        with selectors.DefaultSelector() as selector:
            try:
                while waiting or busy:
                    while waiting and len(busy) < self.size:
                        worker = idle.pop() if idle else _Worker(self.registry, self.limits, self.path)
                        worker.give(waiting.pop(0), calls, self.limits.seconds)
                        busy[worker.output] = worker
                        selector.register(worker.output, selectors.EVENT_READ)
                        selector.register(worker.input, selectors.EVENT_WRITE)
                    first = min(worker.deadline for worker in busy.values())
                    ready = {key.fd for key, _ in selector.select(max(0.0, first - time.monotonic()))}
                    for worker in list(busy.values()):
                        if worker.input in ready:
                            worker.send()
                            if not worker.unsent:
                                selector.unregister(worker.input)
                        alive = self._collect(worker, outcomes) if worker.output in ready else True
                        late = time.monotonic() > worker.deadline
                        finished = worker.done == len(worker.jobs)
                        if alive and not finished and not late:
                            continue
                        for descriptor in (worker.output, worker.input):
                            if descriptor in selector.get_map():
                                selector.unregister(descriptor)
                        del busy[worker.output]
                        if finished and alive:
                            idle.append(worker)
                        else:
                            waiting[:0] = self._blame(worker, late, outcomes, suspects)
            except BaseException:
                for worker in busy.values():
                    worker.close()
                raise
            finally:
                self.workers = idle
        return [outcome for outcome in outcomes if outcome is not None]

    def _collect(self, worker: _Worker, outcomes: list[Outcome | None]) -> bool:
        lines, alive = worker.receive()
        for line in lines[: len(worker.jobs) - worker.done]:
            outcomes[worker.jobs[worker.done]] = _decode(line)
            worker.done += 1
        return alive

    def _blame(
        self, worker: _Worker, late: bool, outcomes: list[Outcome | None], suspects: set[int]
    ) -> list[list[int]]:
        """End the worker, judge the call it was at, and return what is left to run."""
        ended = worker.close()
        if not worker.ready:
            raise XlamError(
                f"execution worker did not start ({ended}); check that {self.registry!r} can be imported"
            )
        rest = worker.jobs[worker.done :]
        if not rest:
            return []
        guilty, others = rest[0], rest[1:]
        left = [others] if others else []
        if late:
            outcomes[guilty] = Outcome(error="time-out", detail=f"no answer within {self.limits.seconds:g} s")
        elif guilty in suspects:
            outcomes[guilty] = Outcome(error="worker died", detail=ended)
        else:
            suspects.add(guilty)
            return [[guilty], *left]
        return left


def _decode(line: bytes) -> Outcome:
    return msgspec.json.decode(line, type=Outcome)
