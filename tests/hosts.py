"""Two hosts on one machine: network namespaces joined by a cable (a veth pair), to rehearse a cluster."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

_CARD = "wire0"


@dataclass(frozen=True)
class Host:
    """A network namespace: ``address`` on the cable, whose end here is the interface ``card``."""

    name: str
    address: str
    card: str = _CARD

    def start(self, command: Sequence[str], log: Path, **environment: str) -> subprocess.Popen[bytes]:
        """Start a command on this host, in a session of its own; what it prints goes to ``log``."""
        with log.open("wb") as output:
            return subprocess.Popen(
                ["ip", "netns", "exec", self.name, *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | {"GLOO_SOCKET_IFNAME": self.card} | environment,
                start_new_session=True,
            )


@contextlib.contextmanager
def two_hosts() -> Iterator[tuple[Host, Host]]:
    """Two hosts that reach each other and nothing else; gone when the block ends.

    Skips the test, with the reason, where network namespaces cannot be made.
    """
    if not shutil.which("ip"):
        pytest.skip("no network namespaces: the command `ip` (package iproute2) is not installed")
    mark = uuid.uuid4().hex[:6]
    hosts = Host(f"xlam-{mark}-a", "10.213.7.1"), Host(f"xlam-{mark}-b", "10.213.7.2")
    with contextlib.ExitStack() as undo:
        for host in hosts:
            _ip("netns", "add", host.name)
            undo.callback(_remove, host.name)
        # Both ends are made inside their namespaces: this machine's own network never sees them.
        _ip("-n", hosts[0].name, "link", "add", _CARD, "type", "veth", "peer", _CARD, "netns", hosts[1].name)
        for host in hosts:
            _ip("-n", host.name, "address", "add", f"{host.address}/24", "dev", _CARD)
            _ip("-n", host.name, "link", "set", _CARD, "up")
            _ip("-n", host.name, "link", "set", "lo", "up")
        yield hosts


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, timeout=20)
    if done.returncode:
        pytest.skip(f"no network namespaces: `ip {' '.join(words)}` says {done.stderr.strip()!r}")


def _remove(name: str) -> None:
    """End whatever still runs on a host, then the host; its end of the cable goes with it."""
    held = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, timeout=20)
    for process in held.stdout.split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(process), 9)
    subprocess.run(["ip", "netns", "delete", name], capture_output=True, timeout=20)
