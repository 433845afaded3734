"""The processes that run library functions: ``python -m xlam_lib.synthesis.worker REGISTRY ...``.

This process, the *template*, imports the registry once and then only forks: each fork is a *worker*, which
limits itself and serves calls until its input ends. So a worker that died or was stopped is replaced in
milliseconds, and a fresh one has nothing of what the last one did.

A worker reads one JSON list a line, a secret token and then ``[function, arguments]`` pairs. It answers
with a line of the token alone when it begins, and with one line for each call as soon as it is done, the
token and ``{"ok": result}`` or ``{"error": reason, "detail": text}``. A name is looked up in the registry
and the arguments are checked against the tool's schema; nothing is evaluated as code.

Layers, outermost first, each independent of the others; the worker's first line says which are active:

1. *Resource limits* (``resource``): address space, CPU seconds a batch, files may not grow, few open
   files, no core dumps, no further processes (``RLIMIT_NPROC``, which the kernel ignores for root).
2. *Network namespace* of its own with no interface up (``unshare``), where that is allowed. A worker
   dies with its template, which ends with the pool's process.
3. *System call filter* (:mod:`xlam_lib.synthesis.seccomp`, Linux only): no processes or threads, no
   sockets, no signals to others, no change to the file system, no opening for writing, no raising of the
   limits of layer 1. It binds native code too, and root.
4. *Audit hook* (Python's own): raises on the same acts, and on foreign code by ``ctypes``, on tracing and
   on searching the collector's objects. It cannot be removed, yet it binds Python code only. Threads have
   no audit event in Python 3.11, so the functions that start one are replaced by one that raises.
5. *Sealed modules*: attributes of ``builtins``, the standard library and this package cannot be
   assigned, so that one function cannot change what the next one calls.
6. *Channels*: requests and answers use private descriptors; descriptors 0-2 point at ``/dev/null``,
   so a function's printing cannot mix with answers. A line without the batch's token is no answer.
   An answer above the output cap is an error.

The parent adds the wall-clock limit of each call (:mod:`xlam_lib.synthesis.execute`). ``network``
permits sockets in layers 2 to 4 and nothing else.

What this does not stop: files can be read; and a function that sets out to attack its own interpreter (a
token found by walking the frames, a module's ``__dict__`` changed in place) can falsify results of later
calls in the same worker, though nothing outside it. Library code is trusted not to do that on purpose; only
its *arguments* come from a model. State that a function may well change (a random seed, a
decimal context) lasts until its worker ends.
"""

from __future__ import annotations

import _thread
import contextlib
import ctypes
import errno
import gc
import importlib
import importlib.util
import json.encoder
import os
import resource
import signal
import socket
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import msgspec

from xlam_lib.synthesis import seccomp
from xlam_lib.synthesis.registry import Function, Registry, arguments_fault

_CLONE_NEWUSER, _CLONE_NEWNET, _PR_SET_PDEATHSIG = 0x10000000, 0x40000000, 1
_NETWORK = ("socket.", "ftplib.", "http.client.", "urllib.Request", "smtplib.")
_BLOCKED = (
    "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "pty.",
    "os.kill", "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate",
    "os.chmod", "os.chown", "os.putenv", "os.unsetenv", "os.chdir", "os.setxattr", "os.utime", "shutil.",
    "tempfile.", "ctypes.", "_thread.start_", "signal.pthread_kill", "webbrowser.", "sqlite3.", "mmap.",
    "resource.", "syslog.", "sys.settrace", "sys.setprofile", "sys.monitoring", "sys.addaudithook",
    "sys._current_", "gc.",
)  # fmt: skip
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_THREAD_STARTERS = (
    (_thread, "start_new_thread"),
    (_thread, "start_new"),
    (_thread, "start_joinable_thread"),
    (threading, "_start_new_thread"),
    (threading, "_start_joinable_thread"),
)
_OPEN_TO_CHANGE = {"sys", "warnings"}  # redirect_stdout and catch_warnings assign their attributes
_RECURSION = 1000
MEMORY = "memory limit exceeded"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the template is told: the registry, memory bytes, CPU seconds a batch, output bytes, sockets."""

    registry: str
    memory: int
    cpu_seconds: int
    output: int
    network: bool


def load(source: str) -> Registry:
    """The registry at ``module:NAME`` or ``/path/file.py:NAME``; without NAME, of the module's functions.

    Raises
    ------
    ImportError, AttributeError
        There is no such module or name.
    """
    place, _, attribute = source.rpartition(":")
    module = _module_at(Path(place)) if place.endswith(".py") else importlib.import_module(place)
    if attribute:
        return getattr(module, attribute)
    callables = importlib.import_module("xlam_lib.synthesis.importers.callables")
    return callables.registry_of_module(module)


def _module_at(path: Path) -> ModuleType:
    name = path.stem if path.stem not in sys.modules else f"{path.stem}_file"
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path}: not a Python file")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _isolate_network() -> bool:
    if sys.platform != "linux":  # unshare is Linux's; the other layers remain
        return False
    libc = ctypes.CDLL(None)
    return libc.unshare(_CLONE_NEWNET) == 0 or libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0


def _limit(kind: int, value: int) -> bool:
    hard = resource.getrlimit(kind)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    try:
        resource.setrlimit(kind, (value, value))
    except (ValueError, OSError):
        return False
    return True


def _guard(event: str, arguments: tuple[Any, ...], blocked: tuple[str, ...]) -> None:
    if event == "open":
        path, mode, flags = arguments
        if (isinstance(mode, str) and mode.strip("rbtU")) or (isinstance(flags, int) and flags & _WRITING):
            raise PermissionError(f"blocked: opening {path!r} for writing")
    elif event.startswith(blocked):
        raise PermissionError(f"blocked: {event}")


def _no_threads(*_: object, **__: object) -> NoReturn:
    raise PermissionError("blocked: starting a thread")


class _Sealed(ModuleType):
    def __setattr__(self, name: str, value: Any) -> None:
        # The import system assigns a submodule to its package; everything else is a change from outside.
        if not isinstance(value, ModuleType) or value.__name__ != f"{self.__name__}.{name}":
            raise PermissionError(f"blocked: assigning {self.__name__}.{name}")
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        raise PermissionError(f"blocked: deleting {self.__name__}.{name}")


def _seal() -> None:
    for module, name in _THREAD_STARTERS:
        if hasattr(module, name):
            setattr(module, name, _no_threads)
    for name, module in list(sys.modules.items()):
        top = name.partition(".")[0]
        library = top in sys.stdlib_module_names or top in ("xlam_lib", "__main__")
        if library and name not in _OPEN_TO_CHANGE and type(module) is ModuleType:
            module.__class__ = _Sealed


def _detail(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {str(error)[:300]}"[:300]
    except BaseException:  # a message that cannot be made
        return type(error).__name__


def _answer(function: Function | None, checked: bool, name: Any, arguments: Any, cap: int) -> bytes:
    try:
        if function is None:
            return _failed("undefined function invoked", f"{name!r} is not in the registry")
        if checked:
            fault = arguments_fault(arguments, function.tool.parameters, name)
            if fault:
                return _failed(*fault)
        if function.call is None:
            return _failed("undefined function invoked", f"{name!r} is not a Python function")
        result = function.call(**arguments)
    except BaseException as error:
        return _failed(*_reason(error))
    try:
        line = _encode(result)
    except MemoryError:
        return _failed(MEMORY, "MemoryError in writing the result")
    except BaseException as error:
        return _failed("result is not JSON", _detail(error))
    if len(line) > cap:
        return _failed("output limit exceeded", f"{len(line)} bytes, {cap} allowed")
    return line


def _reason(error: BaseException) -> tuple[str, str]:
    detail = _detail(error)
    if isinstance(error, MemoryError):
        return MEMORY, detail
    if isinstance(error, PermissionError) and detail.startswith("PermissionError: blocked: "):
        return "forbidden operation", detail.removeprefix("PermissionError: ")
    if isinstance(error, OSError) and error.errno == errno.EPERM:  # what the system call filter gives
        return "forbidden operation", detail
    if isinstance(error, SystemExit):
        return "function tried to exit", detail
    return "run-time error", detail


def _not_json(value: object) -> NoReturn:
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _encode(result: Any) -> bytes:
    """The result as strict JSON, by the encoder in C that ``json.dumps`` makes for each call too."""
    make: Any = vars(json.encoder)["c_make_encoder"]
    write = make({}, _not_json, json.encoder.encode_basestring, None, ": ", ", ", False, False, False)
    return "".join(write({"ok": result}, 0)).encode()


def _failed(reason: str, detail: str) -> bytes:
    detail = detail.encode("utf-8", "replace").decode()  # a lone surrogate cannot be sent
    return json.dumps({"error": reason, "detail": detail}).encode()


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _serve(
    registry: Registry, settings: Settings, isolated: bool, requests: int, answers: int, template: int
) -> None:
    """The life of a worker; it ends with its input."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != template:  # it ended before the line above
            return
    functions = {**registry.hidden, **registry.functions}
    unchecked = frozenset(registry.hidden)  # those stand in for broken services and take anything
    limited = [
        _limit(resource.RLIMIT_AS, settings.memory),
        _limit(resource.RLIMIT_FSIZE, 0),
        _limit(resource.RLIMIT_CORE, 0),
        _limit(resource.RLIMIT_NPROC, 0),
        _limit(resource.RLIMIT_NOFILE, 64 if settings.network else 16),
    ]
    layers = {
        "limits": all(limited),
        "network_namespace": isolated,
        "seccomp": seccomp.install(settings.network),
        "audit_hook": True,
    }
    cap, seconds = settings.output, settings.cpu_seconds
    cpu, limit_cpu, usage = resource.RLIMIT_CPU, resource.setrlimit, resource.getrusage
    hard = resource.getrlimit(cpu)[1]
    decode, limit_recursion, write = json.loads, sys.setrecursionlimit, _write
    blocked = _BLOCKED if settings.network else _BLOCKED + _NETWORK
    guarded = False

    def hook(event: str, values: tuple[Any, ...]) -> None:
        if guarded:
            _guard(event, values, blocked)

    sys.addaudithook(hook)
    write(answers, json.dumps(layers).encode() + b"\n")
    for line in os.fdopen(requests, "rb"):
        token, *calls = decode(line)
        token = token.encode()
        used = usage(resource.RUSAGE_SELF)
        # The soft limit moves with the batch, so that a long-lived worker is not killed for its age.
        limit_cpu(cpu, (int(used.ru_utime + used.ru_stime) + seconds + 1, hard))
        guarded = True
        write(answers, token + b"\n")
        for name, arguments in calls:
            limit_recursion(_RECURSION)
            answer = _answer(functions.get(name), name not in unchecked, name, arguments, cap)
            write(answers, token + answer + b"\n")
            if answer.startswith(_NO_MEMORY):
                return  # what holds the memory may be an earlier call's; the pool finds out in a fresh worker
        guarded = False


_NO_MEMORY = _failed(MEMORY, "")[:-3]


def main(arguments: list[str]) -> None:
    """The template. Arguments: :class:`Settings` as JSON. Descriptor 0 is a socket with the pool.

    Two descriptors (requests, answers) start a worker on them and give its process id. A process id ends
    that worker and gives its exit status.
    """
    settings = msgspec.json.decode(arguments[0], type=Settings)
    commands = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    registry = load(settings.registry)
    for module in sorted({module for function in registry.functions.values() for module in function.needs}):
        importlib.import_module(module)  # now, so that no call's time limit pays for it
    os.dup2(null, 2)  # only now, so that a failed import still says why
    os.close(null)
    os.chdir("/")
    isolated = not settings.network and _isolate_network()
    _seal()
    gc.collect()
    gc.freeze()
    template, children = os.getpid(), set[int]()
    while True:
        message, descriptors, _, _ = socket.recv_fds(commands, 64, 2)
        if not message:
            break
        if descriptors:
            pid = os.fork()
            if pid == 0:
                commands.close()
                try:
                    _serve(registry, settings, isolated, descriptors[0], descriptors[1], template)
                finally:
                    os._exit(0 if sys.exc_info()[0] is None else 1)
            for descriptor in descriptors:
                os.close(descriptor)
            children.add(pid)
            commands.sendall(b"%d" % pid)
        else:
            commands.sendall(b"%d" % _end(int(message)))
            children.discard(int(message))
    for pid in children:
        _end(pid)


def _end(pid: int) -> int:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)  # one that has ended keeps its own status
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    main(sys.argv[1:])
