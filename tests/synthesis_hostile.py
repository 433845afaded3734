"""Functions that misbehave, for the tests of the execution pool; imported by its workers only."""

from __future__ import annotations

import builtins
import ctypes
import gc
import json
import math
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import urllib.request
import zlib

from xlam_lib.synthesis.registry import Registry

HOSTILE = Registry()
OUTPUT = "/tmp/xlam_hostile_output"
KEPT = []

# Made while the module is imported, before the audit hook is there: native code that Python does not see.
libc = ctypes.CDLL(None)
native = {
    name: getattr(libc, name)
    for name in ("fork", "open", "socket", "kill", "memset", "abort", "unlink", "mkdir")
}
native_execv, native_setrlimit = libc.execv, libc.setrlimit
two_strings, thousand = ctypes.c_char_p * 2, (ctypes.c_ulong * 2)(1000, 1000)


def _hostile(call):
    call.__doc__ = "Misbehave.\n\nx: Anything."
    call.__annotations__ = {"x": int}
    return HOSTILE.api("Tools")(call)


@_hostile
def fine(x):
    print("noise on standard output", file=sys.stdout)
    sys.stderr.write("noise on standard error")
    return x * 2


@_hostile
def dumped(x):
    return json.dumps({"x": [math.sqrt(x), len(str(x))]})


# Time.


@_hostile
def loop(x):
    while True:
        pass


@_hostile
def big_power(x):
    return 7 ** (10**9) % 10


@_hostile
def slow_pattern(x):
    return bool(re.fullmatch(r"(a+)+b", "a" * 60))


@_hostile
def endless_items(x):
    class Endless(dict):
        def items(self):
            while True:
                yield "a", 1

    return Endless(a=1)


@_hostile
def stubborn(x):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGXCPU, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)
    while True:
        try:
            while True:
                pass
        except BaseException:
            continue


# Memory.


@_hostile
def hog(x):
    return len(bytearray(8 << 30))


@_hostile
def many_small(x):
    pieces = []
    while True:
        pieces.append(bytearray(1 << 16))


@_hostile
def hoard(x):
    while True:
        KEPT.append(bytearray(1 << 20))


# Processes, threads, signals.


@_hostile
def fork(x):
    while True:
        os.fork()


@_hostile
def native_fork(x):
    return [native["fork"]() for _ in range(50)]


@_hostile
def native_exec(x):
    return native_execv(b"/bin/true", two_strings(b"true", None))


@_hostile
def thread(x):
    threading.Thread(target=print).start()


@_hostile
def spawn(x):
    return subprocess.run(["true"]).returncode


@_hostile
def kill(x):
    os.kill(os.getppid(), 0)


@_hostile
def native_kill(x):
    return [native["kill"](pid, 0) for pid in (os.getppid(), -1, 0, 1)]


@_hostile
def native_alarm(x):
    signal.setitimer(signal.ITIMER_REAL, 0.001)


@_hostile
def native_limits(x):
    """Raise the limits (7: files), which root may."""
    return native_setrlimit(7, thousand)


# Files and network.


@_hostile
def write_file(x):
    with open(OUTPUT, "w") as file:
        file.write("x")


@_hostile
def native_write(x):
    return [
        native["open"](OUTPUT.encode(), os.O_WRONLY | os.O_CREAT, 0o600),
        native["open"](OUTPUT.encode(), os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600),
        native["mkdir"](OUTPUT.encode(), 0o700),
        native["unlink"](OUTPUT.encode()),
    ]


@_hostile
def remove_file(x):
    os.remove(OUTPUT)


@_hostile
def read_file(x):
    with open(__file__, encoding="utf-8") as file:
        return file.readline().startswith('"""')


@_hostile
def network(x):
    return socket.create_connection(("127.0.0.1", 9)).fileno()


@_hostile
def native_network(x):
    return native["socket"](socket.AF_INET, socket.SOCK_STREAM, 0)


@_hostile
def download(x):
    return urllib.request.urlopen("http://127.0.0.1:9/").read().decode()


@_hostile
def echo(x):
    with socket.create_connection(("127.0.0.1", x), timeout=2) as connection:
        connection.sendall(b"ping")
        return connection.recv(16).decode()


@_hostile
def foreign(x):
    return ctypes.CDLL(None).getpid()


# Output.


@_hostile
def chatter(x):
    return "x" * 3_000_000


@_hostile
def print_much(x):
    for _ in range(200):
        print("x" * 100_000)
        sys.stderr.write("x" * 100_000)
    return x


@_hostile
def large(x):
    return "x" * 1_000_000


@_hostile
def odd(x):
    return {1, 2}


@_hostile
def not_a_number(x):
    return float("nan")


@_hostile
def circle(x):
    values: list = []
    values.append(values)
    return values


@_hostile
def endless_generator(x):
    return iter(int, 1)


@_hostile
def nested(x):
    values: list = []
    for _ in range(900):
        values = [values]
    return values


@_hostile
def surrogate(x):
    return "\ud800"


@_hostile
def huge_integer(x):
    return 10**5000


@_hostile
def large_integer(x):
    return 10**400


# Ends of the process.


@_hostile
def leave(x):
    sys.exit(3)


@_hostile
def vanish(x):
    os._exit(4)


@_hostile
def abort(x):
    os.abort()


@_hostile
def native_abort(x):
    native["abort"]()


@_hostile
def segfault(x):
    native["memset"](0, 0, 8)


@_hostile
def deep(x):
    return deep(x)


@_hostile
def unlimited(x):
    sys.setrecursionlimit(10**9)

    class Deep:
        def __repr__(self):
            return repr(self)

    return repr(Deep())


@_hostile
def depth(x):
    return sys.getrecursionlimit()


# Exceptions.


@_hostile
def raise_struct(x):
    return struct.unpack("<Q", b"12")


@_hostile
def raise_zlib(x):
    return zlib.decompress(b"not compressed").decode()


@_hostile
def raise_unicode(x):
    return b"\xff\xfe\x00\x80".decode("utf-8")


@_hostile
def raise_overflow(x):
    return 2.0**5000


@_hostile
def raise_surrogate(x):
    raise ValueError("\udcff")


@_hostile
def raise_interrupt(x):
    raise KeyboardInterrupt


@_hostile
def mute(x):
    class Mute(Exception):
        def __str__(self):
            raise RuntimeError("no words")

    raise Mute


@_hostile
def wordy(x):
    raise ValueError("x" * 5_000_000)


# The worker itself.


@_hostile
def close_all(x):
    os.closerange(3, 64)


@_hostile
def close_each(x):
    for descriptor in range(3, 16):
        try:
            os.close(descriptor)
        except OSError:
            pass


def _scribble(data):
    for descriptor in range(3, 16):
        try:
            os.write(descriptor, data)
        except OSError:
            pass


@_hostile
def scribble(x):
    _scribble(b"garbage without an end")
    return x


@_hostile
def forge(x):
    _scribble(b'{"ok": 99}\n' * 20)
    return x


@_hostile
def forge_token(x):
    _scribble(b'0123456789abcdef{"ok": 99}\n' * 20)
    return x


@_hostile
def flood(x):
    while True:
        _scribble(b"x" * 65536)


@_hostile
def patch_json(x):
    json.dumps = lambda *_, **__: "forged"


@_hostile
def patch_builtin(x):
    builtins.len = lambda _: 99


@_hostile
def patch_math(x):
    math.sqrt = lambda _: 99


@_hostile
def patch_worker(x):
    setattr(sys.modules["__main__"], "_answer", lambda *_: b'{"ok": 99}')  # noqa: B010


@_hostile
def patch_registry(x):
    HOSTILE.functions.clear()
    return x


@_hostile
def trace(x):
    sys.settrace(lambda *_: None)


@_hostile
def collect_secrets(x):
    return len(gc.get_objects())


@_hostile
def no_collection(x):
    gc.disable()
    return x
