"""The process that runs library functions: ``python -m xlam_lib.synthesis.worker MODULE:NAME ...``.

It reads one JSON list of ``[function, arguments]`` a line and answers each call with one line as soon
as it is done, ``{"ok": result}`` or ``{"error": reason, "detail": text}``. A name is looked up in the
registry and the arguments are checked against the tool's schema; nothing is evaluated as code.

Layers, outermost first, each independent of the others:

1. *Kernel limits* (``resource``): address space, CPU seconds a batch, files may not grow, few open
   files, no core dumps, no further processes (``RLIMIT_NPROC``, which the kernel ignores for root).
2. *Kernel isolation* where it is allowed: a network namespace of its own with no interface up
   (``unshare``). ``no_new_privs`` is set and the process dies with its parent.
3. *Audit hook* (Python's own): raises on sockets, on opening files for writing, on changing the file
   system, on starting processes, on foreign code by ``ctypes`` and on signals to others. Threads have
   no audit event in Python 3.11, so the functions that start one are replaced by one that raises.
   It cannot be removed, yet it binds Python code only: a function that already holds native code
   could pass it, so library code is trusted to be Python, and only its *arguments* come from a model.
4. *Channels*: requests and answers use private descriptors; descriptors 0-2 point at ``/dev/null``,
   so a function's printing cannot mix with answers. An answer above the output cap is an error.

The parent adds the wall-clock limit of each call (:mod:`xlam_lib.synthesis.execute`).
"""

from __future__ import annotations

import _thread
import contextlib
import ctypes
import importlib
import json
import os
import resource
import sys
import threading
from typing import Any

from xlam_lib.synthesis.registry import Registry, arguments_fault

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_BLOCKED = (
    "socket.", "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "pty.",
    "os.kill", "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate",
    "os.chmod", "os.chown", "os.putenv", "os.unsetenv", "os.chdir", "os.setxattr", "os.utime", "shutil.",
    "tempfile.", "ctypes.", "_thread.start_new_thread", "signal.pthread_kill", "ftplib.", "http.client.",
    "urllib.Request", "smtplib.", "webbrowser.", "sqlite3.", "mmap.", "resource.", "syslog.",
)  # fmt: skip
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def _isolate_network() -> bool:
    if sys.platform != "linux":  # prctl and unshare are Linux's; the other layers remain
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, 9, 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.unshare(_CLONE_NEWNET) == 0:
        return True
    return libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0


def _limit(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(kind, (value, value))


def _guard(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open":
        path, mode, flags = arguments
        if (isinstance(mode, str) and mode.strip("rbtU")) or (isinstance(flags, int) and flags & _WRITING):
            raise PermissionError(f"blocked: opening {path!r} for writing")
    elif event.startswith(_BLOCKED):
        raise PermissionError(f"blocked: {event}")


def _no_threads(*_: object, **__: object) -> None:
    raise PermissionError("blocked: starting a thread")


def _detail(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:300]


def _answer(registry: Registry, request: Any, cap: int) -> bytes:
    try:
        name, arguments = request
        function = registry.find(name)
        if function is None:
            return _failed("undefined function invoked", f"{name!r} is not in the registry")
        if name not in registry.hidden:  # those stand in for broken services and take anything
            fault = arguments_fault(arguments, function.tool.parameters, name)
            if fault:
                return _failed(*fault)
        result = function.call(**arguments)
    except MemoryError:
        return _failed("memory limit exceeded", "MemoryError")
    except PermissionError as error:
        if str(error).startswith("blocked: "):
            return _failed("forbidden operation", str(error))
        return _failed("run-time error", _detail(error))
    except SystemExit as error:
        return _failed("function tried to exit", _detail(error))
    except BaseException as error:
        return _failed("run-time error", _detail(error))
    try:
        line = json.dumps({"ok": result}, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError, MemoryError) as error:
        return _failed("result is not JSON", _detail(error))
    if len(line) > cap:
        return _failed("output limit exceeded", f"{len(line)} bytes, {cap} allowed")
    return line


def _failed(reason: str, detail: str) -> bytes:
    return json.dumps({"error": reason, "detail": detail}).encode("utf-8", "replace")


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def main(arguments: list[str]) -> None:
    """Serve calls until the input ends. Arguments: registry, memory bytes, CPU seconds, output bytes."""
    source, memory, seconds, cap = arguments[0], int(arguments[1]), int(arguments[2]), int(arguments[3])
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    package, _, attribute = source.partition(":")
    registry = getattr(importlib.import_module(package), attribute)
    for module in sorted({module for function in registry.functions.values() for module in function.needs}):
        importlib.import_module(module)  # now, so that no call's time limit pays for it
    os.dup2(null, 2)  # only now, so that a failed import still says why
    os.chdir("/")
    isolated = _isolate_network()
    _limit(resource.RLIMIT_AS, memory)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NPROC, 0)
    _limit(resource.RLIMIT_NOFILE, 16)
    _write(answers, json.dumps({"ready": os.getpid(), "network_namespace": isolated}).encode() + b"\n")
    cpu, limit_cpu, usage = resource.RLIMIT_CPU, resource.setrlimit, resource.getrusage
    hard = resource.getrlimit(cpu)[1]
    guarded = False

    def hook(event: str, values: tuple[Any, ...]) -> None:
        if guarded:
            _guard(event, values)

    sys.addaudithook(hook)
    for module, name in (
        (_thread, "start_new_thread"),
        (_thread, "start_new"),
        (threading, "_start_new_thread"),
    ):
        setattr(module, name, _no_threads)
    for line in requests:
        batch = json.loads(line)
        used = usage(resource.RUSAGE_SELF)
        # The soft limit moves with the batch, so that a long-lived worker is not killed for its age.
        limit_cpu(cpu, (int(used.ru_utime + used.ru_stime) + seconds + 1, hard))
        guarded = True
        for request in batch:
            _write(answers, _answer(registry, request, cap) + b"\n")
        guarded = False


if __name__ == "__main__":
    main(sys.argv[1:])
