"""The execution check's pool: calls run in limited worker processes, answers come in call order.

Each worker answers a call before it begins the next, so when one dies, is late, runs out of memory or
writes what is no answer, the first call without an answer is the one it was at. That call is blamed only
if it was the first of a fresh worker: otherwise it runs again as just that, since an earlier call may have
left the worker damaged. The rest of the batch goes on in another worker.
What limits a worker and what does not: see :mod:`xlam_lib.synthesis.worker`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

import msgspec

from xlam_lib.errors import XlamError

DEFAULT_REGISTRY = "xlam_lib.synthesis.library:LIBRARY"
_READ = 1 << 16  # bytes; a buffer of more is mapped anew by the allocator at every read
_PIPE = 1 << 20  # bytes, where the system permits it
_TAKE_SECONDS = 5.0  # at least this long for a worker to take a batch, before its first call begins
_GATHER_SECONDS, _GATHER_ABOVE = 0.0005, 32  # with more calls ahead, not every answer wakes the pool
_MARGIN = 1 << 12  # bytes of an answer's line beside its output
_MEMORY = "memory limit exceeded"


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


class Executor(Protocol):
    """What runs calls: this module's :class:`Pool`, a REST service, an MCP server."""

    def run(self, calls: Sequence[tuple[str, dict[str, Any]]]) -> list[Outcome]:
        """Run ``(executable name, arguments)`` calls; one outcome each, in the same order."""
        ...

    def close(self) -> None:
        """Give back what it holds; a later ``run`` may take it anew."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...


class Limits(msgspec.Struct, frozen=True):
    """A worker's limits: wall-clock seconds a call, memory bytes, CPU seconds a batch, bytes of output.

    ``start_seconds`` is for importing the registry; ``network`` permits sockets, and nothing else, for
    functions that call a service.
    """

    seconds: float = 5.0
    memory: int = 1 << 30
    cpu_seconds: int = 30
    output: int = 1 << 20
    start_seconds: float = 60.0
    network: bool = False


class _Batch(NamedTuple):
    jobs: list[int]
    fresh: bool = False  # for a worker that has run nothing yet


class _Template:
    """The process that has imported the registry and forks the workers."""

    def __init__(self, registry: str, limits: Limits, path: Sequence[str]):
        root = str(Path(__file__).resolve().parents[2])
        environment = {
            "PATH": os.defpath,
            "LANG": "C.UTF-8",
            "PYTHONPATH": os.pathsep.join([root, *path]),
            "PYTHONHASHSEED": "0",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        settings = {
            "registry": registry,
            "memory": limits.memory,
            "cpu_seconds": limits.cpu_seconds,
            "output": limits.output,
            "network": limits.network,
        }
        command = [sys.executable, "-m", "xlam_lib.synthesis.worker", msgspec.json.encode(settings).decode()]
        self.registry = registry
        # Not a pipe, which would stop a talkative import when full.
        self.words = tempfile.TemporaryFile()  # noqa: SIM115
        self.control, theirs = socket.socketpair()
        self.control.settimeout(limits.start_seconds)
        with theirs:
            self.process = subprocess.Popen(
                command,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=self.words,
                env=environment,
                start_new_session=True,  # no terminal, and its interrupts go to the pool alone
            )

    def start(self, seconds: float) -> _Worker:
        requests, into = os.pipe()
        out_of, answers = os.pipe()
        with contextlib.suppress(OSError, AttributeError):  # only faster
            for descriptor in (requests, answers):
                fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE)
        try:
            pid = self._ask(b"start", [requests, answers])
        except XlamError:
            os.close(into)
            os.close(out_of)
            raise
        finally:
            os.close(requests)
            os.close(answers)
        return _Worker(pid, into, out_of, seconds)

    def end(self, worker: _Worker) -> int:
        """Kill the worker, if it has not ended; its exit status."""
        os.close(worker.input)
        os.close(worker.output)
        return self._ask(b"%d" % worker.pid)

    def _ask(self, message: bytes, descriptors: Sequence[int] = ()) -> int:
        try:
            socket.send_fds(self.control, [message], descriptors)
            answer = self.control.recv(64)
        except OSError:  # it ended, or is late
            answer = b""
        if not answer:
            status = self.process.poll()
            self.words.seek(0)
            lines = self.words.read().decode("utf-8", "replace").strip().splitlines()
            ended = "no answer" if status is None else f"exit status {status}"
            said = f", {lines[-1]}" if lines else ""
            raise XlamError(
                f"execution workers did not start ({ended}{said}); "
                f"check that {self.registry!r} can be imported"
            )
        return int(answer)

    def close(self) -> None:
        self.control.close()  # it ends its workers, then itself
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:  # still importing
            self.process.kill()
            self.process.wait()
        self.words.close()


class _Worker:
    def __init__(self, pid: int, into: int, out_of: int, seconds: float):
        self.pid, self.input, self.output = pid, into, out_of
        os.set_blocking(into, False)
        os.set_blocking(out_of, False)
        self.layers: dict[str, bool] = {}  # empty until it is ready
        self.seconds = seconds
        self.deadline = time.monotonic() + seconds
        self.token = b""
        self.unsent = memoryview(b"")
        self.parts: list[bytes] = []  # of a line that has not wholly arrived
        self.jobs: list[int] = []
        self.begun = False
        self.done = 0
        self.before = 0  # calls of earlier batches

    def give(self, jobs: list[int], token: str, request: bytes, seconds: float) -> None:
        self.jobs, self.begun, self.done = jobs, False, 0
        self.token, self.unsent = token.encode(), memoryview(request)
        self.seconds = seconds
        if self.layers:
            self.deadline = time.monotonic() + max(seconds, _TAKE_SECONDS)

    def send(self) -> None:
        try:
            while self.unsent:
                self.unsent = self.unsent[os.write(self.input, self.unsent) :]
                if self.layers:
                    self.deadline = time.monotonic() + max(self.seconds, _TAKE_SECONDS)
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self.unsent = memoryview(b"")

    def receive(self) -> tuple[list[bytes], bool]:
        """Whole lines that have arrived, and whether the worker can still send."""
        try:
            data = os.read(self.output, _READ)
        except BlockingIOError:
            return [], True
        first, *others = data.split(b"\n")
        self.parts.append(first)
        if not others:
            return [], bool(data)
        lines = [b"".join(self.parts), *others[:-1]]
        self.parts = [others[-1]]
        return lines, True


class Pool:
    """Persistent worker processes; use as a context manager. An :class:`Executor`.

    Parameters
    ----------
    workers
        How many processes; results do not depend on it.
    registry
        ``module:NAME`` or ``/path/file.py:NAME`` of the :class:`~xlam_lib.synthesis.registry.Registry` to
        serve; ``/path/file.py:`` serves the functions of a plain Python file.
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
        self._template: _Template | None = None
        self._idle: list[_Worker] = []
        self._layers: dict[str, bool] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def layers(self) -> dict[str, bool]:
        """Which of the layers of :mod:`xlam_lib.synthesis.worker` hold on this machine, by name."""
        if not self._layers:
            self.run([("", {})])
        return dict(self._layers)

    def close(self) -> None:
        """End all processes."""
        for worker in self._idle:
            os.close(worker.input)
            os.close(worker.output)
        self._idle = []
        if self._template is not None:
            self._template.close()
            self._template = None

    def run(self, calls: Sequence[tuple[str, dict[str, Any]]]) -> list[Outcome]:
        """Run ``(executable name, arguments)`` calls; one outcome each, in the same order.

        Raises
        ------
        XlamError
            The workers cannot start (a registry that cannot be imported, say).
        """
        outcomes: list[Outcome | None] = [None] * len(calls)
        size = max(1, min(self.chunk, -(-len(calls) // self.size)))
        waiting = deque(
            _Batch(list(range(start, min(start + size, len(calls))))) for start in range(0, len(calls), size)
        )
        busy: dict[int, _Worker] = {}
        with selectors.DefaultSelector() as selector:
            try:
                while waiting or busy:
                    while waiting and len(busy) < self.size:
                        batch = waiting.popleft()
                        token = secrets.token_hex(8)
                        jobs, request = _request(token, batch.jobs, calls, outcomes)
                        if not jobs:
                            continue
                        worker = self._worker(batch.fresh)
                        worker.give(jobs, token, request, self.limits.seconds)
                        worker.send()
                        busy[worker.output] = worker
                        selector.register(worker.output, selectors.EVENT_READ)
                        if worker.unsent:
                            selector.register(worker.input, selectors.EVENT_WRITE)
                    if not busy:
                        break
                    if min(len(worker.jobs) - worker.done for worker in busy.values()) > _GATHER_ABOVE:
                        time.sleep(_GATHER_SECONDS)
                    first = min(worker.deadline for worker in busy.values())
                    ready = {key.fd for key, _ in selector.select(max(0.0, first - time.monotonic()))}
                    for worker in list(busy.values()):
                        if worker.input in ready:
                            worker.send()
                            if not worker.unsent:
                                selector.unregister(worker.input)
                        late = time.monotonic() > worker.deadline
                        fault = None
                        if late or worker.output in ready:  # a late one's answer may have come meanwhile
                            fault = self._collect(worker, outcomes)
                            late = time.monotonic() > worker.deadline
                        finished = worker.done == len(worker.jobs)
                        if not fault and not finished and not late:
                            continue
                        del busy[worker.output]
                        selector.unregister(worker.output)
                        if worker.unsent:
                            selector.unregister(worker.input)
                        if finished and not fault:
                            worker.before += worker.done
                            self._idle.append(worker)
                        else:
                            waiting.extendleft(reversed(self._replace(worker, fault, outcomes)))
            except BaseException:
                for worker in busy.values():
                    os.close(worker.input)
                    os.close(worker.output)
                self.close()
                raise
        return [outcome for outcome in outcomes if outcome is not None]

    def _worker(self, fresh: bool) -> _Worker:
        if self._idle and not fresh:
            return self._idle.pop()
        if self._template is None:
            self._template = _Template(self.registry, self.limits, self.path)
        if self._idle:  # makes room for the fresh one
            self._template.end(self._idle.pop())
        return self._template.start(self.limits.start_seconds)

    def _collect(self, worker: _Worker, outcomes: list[Outcome | None]) -> Outcome | None:
        """Take the answers that have come; what is wrong with the worker, if anything is."""
        forged = Outcome(error="forbidden operation", detail="wrote to the worker's answers")
        lines, alive = worker.receive()
        for line in lines:
            if not worker.layers:
                self._layers = worker.layers = msgspec.json.decode(line)
            elif not worker.begun and line == worker.token:
                worker.begun = True
            elif not worker.begun or not line.startswith(worker.token) or worker.done == len(worker.jobs):
                return forged
            else:
                outcome = _decode(line[len(worker.token) :])
                if outcome.error == _MEMORY:
                    return outcome
                outcomes[worker.jobs[worker.done]] = outcome
                worker.done += 1
        if lines:
            worker.deadline = time.monotonic() + (
                worker.seconds if worker.begun else max(worker.seconds, _TAKE_SECONDS)
            )
        if sum(map(len, worker.parts)) > self.limits.output + _MARGIN:
            return forged
        return None if alive else Outcome(error="worker died")

    def _replace(
        self, worker: _Worker, fault: Outcome | None, outcomes: list[Outcome | None]
    ) -> list[_Batch]:
        """End the worker, judge the call it was at (no fault: it is late), and return what is left to run."""
        assert self._template is not None
        status = self._template.end(worker)
        ended = f"exit status {status}"
        if status < 0:
            with contextlib.suppress(ValueError):
                ended += f" ({signal.Signals(-status).name})"
        left, fresh = worker.jobs[worker.done :], worker.before + worker.done == 0
        if not left:
            return []
        if not worker.begun and (fresh or not worker.layers):
            raise XlamError(
                f"execution worker for {self.registry!r} does not take calls ({ended}); raise Limits.memory, "
                f"now {self.limits.memory} bytes, or Limits.start_seconds, now {self.limits.start_seconds:g}"
            )
        if not fresh:
            return [_Batch(left, fresh=True)]
        if fault is None:
            fault = Outcome(error="time-out", detail=f"no answer within {self.limits.seconds:g} s")
        elif not fault.detail:
            fault = Outcome(error=fault.error, detail=ended)
        outcomes[left[0]] = fault
        return [_Batch(left[1:])] if left[1:] else []


def _request(
    token: str,
    jobs: list[int],
    calls: Sequence[tuple[str, dict[str, Any]]],
    outcomes: list[Outcome | None],
) -> tuple[list[int], bytes]:
    """The batch as a line; a call whose arguments are not JSON is left out and gets its outcome."""
    try:
        return jobs, msgspec.json.encode([token, *(calls[job] for job in jobs)]) + b"\n"
    except (TypeError, ValueError, RecursionError):
        pass
    sound = []
    for job in jobs:
        try:
            msgspec.json.encode(calls[job])
            sound.append(job)
        except (TypeError, ValueError, RecursionError) as error:
            outcomes[job] = Outcome(
                error="incorrect argument type", detail=f"arguments are not JSON: {error}"
            )
    return sound, msgspec.json.encode([token, *(calls[job] for job in sound)]) + b"\n"


_decoder = msgspec.json.Decoder(Outcome)


def _decode(line: bytes) -> Outcome:
    try:
        return _decoder.decode(line)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:  # nested too deeply for a reader, say
        return Outcome(error="result is not JSON", detail=f"cannot be read back: {error}")
