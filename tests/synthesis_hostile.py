"""Functions that misbehave, for the tests of the execution pool; imported by its workers only."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import sys
import threading
import urllib.request

from xlam_lib.synthesis.registry import Registry

HOSTILE = Registry()


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
def loop(x):
    while True:
        pass


@_hostile
def hog(x):
    return len(bytearray(8 << 30))


@_hostile
def fork(x):
    return os.fork()


@_hostile
def thread(x):
    threading.Thread(target=print).start()


@_hostile
def spawn(x):
    return subprocess.run(["true"]).returncode


@_hostile
def write_file(x):
    with open("/tmp/xlam_hostile_output", "w") as file:
        file.write("x")


@_hostile
def remove_file(x):
    os.remove("/tmp/xlam_hostile_output")


@_hostile
def network(x):
    return socket.create_connection(("127.0.0.1", 9)).fileno()


@_hostile
def download(x):
    return urllib.request.urlopen("http://127.0.0.1:9/").read().decode()


@_hostile
def foreign(x):
    return ctypes.CDLL(None).getpid()


@_hostile
def kill(x):
    os.kill(os.getppid(), 0)


@_hostile
def chatter(x):
    return "x" * 3_000_000


@_hostile
def leave(x):
    sys.exit(3)


@_hostile
def vanish(x):
    os._exit(4)


@_hostile
def deep(x):
    return deep(x)


@_hostile
def odd(x):
    return {1, 2}


@_hostile
def not_a_number(x):
    return float("nan")
