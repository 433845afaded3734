"""The execution pool: limits hold, the guilty call alone is blamed, the pool lives on."""

from __future__ import annotations

import errno
import itertools
import os
import random
import re
import socket
import threading
import time
from pathlib import Path

import pytest

from xlam_lib.errors import XlamError
from xlam_lib.synthesis import Limits, Outcome, Pool, seccomp
from xlam_lib.synthesis.execute import Executor

HERE = str(Path(__file__).parent)
OUTPUT = Path("/tmp/xlam_hostile_output")
FAST = Limits(seconds=0.4, memory=112 << 20)  # little memory, so that filling it is no matter of time
REASONS = {
    "loop": "time-out",
    "big_power": "time-out",
    "slow_pattern": "time-out",
    "endless_items": ("time-out", "memory limit exceeded"),
    "stubborn": "time-out",
    "hog": "memory limit exceeded",
    "many_small": "memory limit exceeded",
    "hoard": "memory limit exceeded",
    "fork": "forbidden operation",
    "thread": "forbidden operation",
    "spawn": "forbidden operation",
    "kill": "forbidden operation",
    "write_file": "forbidden operation",
    "remove_file": "forbidden operation",
    "network": "forbidden operation",
    "download": ("forbidden operation", "run-time error"),
    "foreign": "forbidden operation",
    "chatter": "output limit exceeded",
    "odd": "result is not JSON",
    "not_a_number": "result is not JSON",
    "circle": "result is not JSON",
    "endless_generator": "result is not JSON",
    "surrogate": "result is not JSON",
    "huge_integer": "result is not JSON",
    "leave": "function tried to exit",
    "vanish": "worker died",
    "abort": "worker died",
    "native_abort": "worker died",
    "segfault": "worker died",
    "deep": "run-time error",
    "unlimited": ("worker died", "memory limit exceeded", "run-time error", "time-out"),
    "raise_struct": "run-time error",
    "raise_zlib": "run-time error",
    "raise_unicode": "run-time error",
    "raise_overflow": "run-time error",
    "raise_surrogate": "run-time error",
    "raise_interrupt": "run-time error",
    "mute": "run-time error",
    "wordy": "run-time error",
    "close_all": "worker died",
    "close_each": "worker died",
    "scribble": "forbidden operation",
    "forge": "forbidden operation",
    "forge_token": "forbidden operation",
    "flood": ("forbidden operation", "time-out"),
    "patch_json": "forbidden operation",
    "patch_builtin": "forbidden operation",
    "patch_math": "forbidden operation",
    "patch_worker": "forbidden operation",
    "trace": "forbidden operation",
    "collect_secrets": "forbidden operation",
    "absent": "undefined function invoked",
}
NATIVE = {  # what native code gets back under the system call filter
    "native_fork": [-1] * 50,
    "native_exec": -1,
    "native_kill": [-1] * 4,
    "native_limits": -1,
    "native_write": [-1] * 4,
    "native_network": -1,
}
HARMLESS = {"print_much": 3, "patch_registry": 3, "no_collection": 3, "read_file": True}


@pytest.fixture(scope="module")
def pool():
    with Pool(registry="synthesis_hostile:HOSTILE", path=(HERE,), limits=FAST) as pool:
        yield pool


@pytest.mark.parametrize("name", sorted(REASONS))
def test_hostile_functions_are_contained(pool, name):
    before, bad, after, dumped = pool.run(
        [("fine", {"x": 1}), (name, {"x": 3}), ("fine", {"x": 2}), ("dumped", {"x": 4})]
    )
    assert (before.ok, after.ok, dumped.ok) == (2, 4, '{"x": [2.0, 1]}')
    expected = REASONS[name]
    assert bad.error in ((expected,) if isinstance(expected, str) else expected), bad
    assert bad.detail
    assert not OUTPUT.exists()


@pytest.mark.parametrize("name", sorted(NATIVE))
def test_native_code_is_bound_by_the_kernel(pool, name):
    if not pool.layers["seccomp"]:
        pytest.skip("no system call filter on this machine")
    bad, after = pool.run([(name, {"x": 3}), ("fine", {"x": 2})])
    assert bad.ok == NATIVE[name], bad
    assert after.ok == 4
    assert not OUTPUT.exists()


def test_an_alarm_is_refused_by_the_kernel_with_the_verdict_of_the_hook(pool):
    if not pool.layers["seccomp"]:
        pytest.skip("no system call filter on this machine")
    assert pool.run([("native_alarm", {"x": 1})])[0].error == "forbidden operation"


@pytest.mark.parametrize("name", sorted(HARMLESS))
def test_what_does_no_harm_is_no_fault(pool, name):
    bad, after = pool.run([(name, {"x": 3}), ("fine", {"x": 2})])
    assert (bad.ok, after.ok) == (HARMLESS[name], 4), bad


def test_the_recursion_limit_is_each_calls_own(pool):
    assert [outcome.ok for outcome in pool.run([("unlimited", {"x": 1}), ("depth", {"x": 1})])][1] == 1000


def test_layers_are_told(pool):
    assert pool.layers.keys() == {"limits", "network_namespace", "seccomp", "audit_hook"}
    assert pool.layers["limits"] and pool.layers["audit_hook"]


def test_deep_and_large_results_arrive_or_are_told(pool):
    nested, large, integer = pool.run(
        [("nested", {"x": 1}), ("large", {"x": 1}), ("large_integer", {"x": 1})]
    )
    assert nested.ok is not None or nested.error == "result is not JSON"
    assert len(large.ok) == 1_000_000
    assert integer.ok == 10**400 or integer.error == "result is not JSON"


def test_requests_and_results_larger_than_a_pipe(pool):
    outcomes = pool.run([("large", {"x": 1})] * 40)
    assert all(len(outcome.ok) == 1_000_000 for outcome in outcomes)
    wide = {"x": 1, "y": "z" * 5_000_000}
    assert [outcome.error for outcome in pool.run([("fine", wide)] * 3)] == ["undefined argument passed"] * 3


def test_arguments_that_are_not_json_are_a_fault_of_their_call_alone(pool):
    outcomes = pool.run([("fine", {"x": 1}), ("fine", {"x": "\ud800"}), ("fine", {"x": object()})])
    assert [outcome.error for outcome in outcomes] == ["", *["incorrect argument type"] * 2]


def test_dead_and_late_workers_are_replaced_and_only_the_guilty_call_is_blamed(pool):
    calls = [("fine", {"x": n}) for n in range(20)]
    calls[5], calls[11], calls[12] = ("vanish", {"x": 0}), ("loop", {"x": 0}), ("vanish", {"x": 0})
    begun = time.monotonic()
    outcomes = pool.run(calls)
    assert [n for n, outcome in enumerate(outcomes) if outcome.error] == [5, 11, 12]
    assert [outcomes[n].error for n in (5, 11, 12)] == ["worker died", "time-out", "worker died"]
    assert "exit status 4" in outcomes[5].detail
    assert all(outcome.ok == 2 * n for n, outcome in enumerate(outcomes) if not outcome.error)
    assert time.monotonic() - begun < 15


@pytest.mark.parametrize("left", ["hoard", "unlimited", "no_collection"])
def test_what_one_call_leaves_behind_is_not_the_next_ones_fault(pool, left):
    calls = [(left, {"x": 1}), ("large", {"x": 1}), ("fine", {"x": 5})] * 2
    assert [outcome.error for outcome in pool.run(calls)][1:3] == ["", ""]


def test_ten_thousand_calls_with_one_in_a_hundred_hostile_lose_none(pool):
    draw = random.Random(4)
    certain = {name: reason for name, reason in REASONS.items() if isinstance(reason, str)}
    slow = sorted(name for name, reason in certain.items() if reason == "time-out")
    native = NATIVE.keys() if pool.layers["seccomp"] else set()
    quick = sorted((certain.keys() | native | HARMLESS.keys()) - set(slow))
    hostile = [*slow, *itertools.islice(itertools.cycle(quick), 100 - len(slow))]  # a slow kind once only
    draw.shuffle(hostile)
    calls = [("fine", {"x": n}) for n in range(10_000)]
    places = sorted(draw.sample(range(10_000), 100))
    for place, name in zip(places, hostile, strict=True):
        calls[place] = (name, {"x": 3})
    limits = Limits(seconds=0.75, memory=FAST.memory)
    kept: list[list[str]] = []
    for workers in (1, 2):
        with Pool(workers, registry="synthesis_hostile:HOSTILE", path=(HERE,), limits=limits) as some:
            outcomes = some.run(calls)
        assert len(outcomes) == len(calls)
        for place, outcome in enumerate(outcomes):
            if place not in places:
                assert outcome == Outcome(ok=2 * place)
        kept.append([outcomes[place].error for place in places])
        for place, error in zip(places, kept[-1], strict=True):
            assert error == REASONS.get(calls[place][0], ""), (calls[place], outcomes[place])
    assert kept[0] == kept[1]


def test_sockets_are_permitted_where_asked_and_nothing_else():
    limits = Limits(seconds=2.0, network=True)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            connection, _ = server.accept()
            with connection:
                connection.sendall(connection.recv(16).upper())

        threading.Thread(target=answer, daemon=True).start()
        port = server.getsockname()[1]
        with Pool(registry="synthesis_hostile:HOSTILE", path=(HERE,), limits=limits) as pool:
            names = ("echo", "spawn", "write_file", "native_fork")
            said, spawned, wrote, forked = pool.run([(name, {"x": port}) for name in names])
            assert said.ok == "PING", said
            assert (spawned.error, wrote.error) == ("forbidden operation",) * 2
            assert forked.ok == [-1] * 50 or not pool.layers["seccomp"]


def test_arguments_are_checked_again_in_the_worker(pool):
    missing, wrong, unknown = pool.run([("fine", {}), ("fine", {"x": "1"}), ("fine", {"x": 1, "y": 2})])
    assert missing.error == "required argument missing"
    assert wrong.error == "incorrect argument type"
    assert unknown.error == "undefined argument passed"


def test_order_and_results_do_not_depend_on_workers():
    calls = [("greatest_divisor_of_list", {"numbers": [n, 12]}) for n in range(300)]
    with Pool(1) as one, Pool(2, chunk=7) as two:
        executors: list[Executor] = [one, two]
        assert executors[0].run(calls) == executors[1].run(calls)
        assert one.run([]) == []


def test_a_registry_can_be_a_file(tmp_path):
    (tmp_path / "beside.py").write_text("FACTOR = 3\n")
    path = tmp_path / "my_tools.py"
    path.write_text(
        "from beside import FACTOR\n"
        "from xlam_lib.synthesis import Registry\n"
        "MINE = Registry()\n"
        "@MINE.api('Math')\n"
        "def triple(x: int) -> int:\n"
        "    '''Three times a number.\n\n    x: The number.'''\n"
        "    return FACTOR * x\n"
    )
    with Pool(registry=f"{path}:MINE") as pool:
        assert pool.run([("triple", {"x": 5})]) == [Outcome(ok=15)]


def test_a_registry_that_cannot_be_imported_is_named(tmp_path):
    with Pool(registry="no_such_module:X") as pool, pytest.raises(XlamError, match="no_such_module"):
        pool.run([("f", {})])
    (tmp_path / "loud.py").write_text(
        "import sys\nsys.stderr.write('x' * 300_000)\nraise OSError('no luck')\n"
    )
    with Pool(registry="loud:X", path=(str(tmp_path),)) as pool, pytest.raises(XlamError, match="no luck"):
        pool.run([("f", {})])
    with pytest.raises(XlamError, match="workers"):
        Pool(0)


def test_a_pool_can_be_used_again_after_it_was_closed(pool):
    pool.run([("fine", {"x": 1})])
    pool.close()
    assert pool.run([("fine", {"x": 1})]) == [Outcome(ok=2)]


# The filter's program, run by a small interpreter, so that both processors are tested on either.


def _verdict(program, arch, number, arguments=()):
    data = [number, arch, 0, 0]
    for value in (*arguments, *[0] * (6 - len(arguments))):
        data += [value & 0xFFFFFFFF, value >> 32 & 0xFFFFFFFF]
    at = held = 0
    while True:
        code, yes, no, constant = program[at]
        assert 0 <= yes < 256 and 0 <= no < 256
        at += 1
        if code == 0x20:
            held = data[constant // 4]
        elif code == 0x06:
            return constant & 0xFFFF if constant >> 16 == 5 else 0
        else:
            holds = {0x15: held == constant, 0x25: held > constant, 0x45: bool(held & constant)}[code]
            at += yes if holds else no


@pytest.mark.parametrize(("machine", "arch"), [("x86_64", 0xC000003E), ("aarch64", 0xC00000B7)])
def test_the_filter_refuses_what_it_should(machine, arch):
    column = ("x86_64", "aarch64").index(machine)
    pid, write_flags = 77, os.O_WRONLY | os.O_CREAT

    def verdict(name, *arguments, network=False):
        number = seccomp.NUMBERS[name][column]
        return 0 if number is None else _verdict(program[network], arch, number, arguments)

    program = [seccomp.program(machine, pid, network) for network in (False, True)]
    assert len(program[0]) < 4096
    for name in ("clone", "clone3", "execve", "socket", "sendto", "unlinkat", "ptrace", "openat2", "bpf"):
        assert verdict(name) == errno.EPERM
        assert verdict(name, network=True) == (0 if name in ("socket", "sendto") else errno.EPERM)
    assert verdict("openat", 0, 0, os.O_RDONLY | os.O_CLOEXEC) == 0
    assert verdict("openat", 0, 0, write_flags) == verdict("openat", 0, 0, os.O_RDWR) == errno.EPERM
    assert verdict("openat", write_flags, write_flags, 0) == 0
    for name in ("kill", "tkill", "tgkill"):
        assert verdict(name, pid, 6) == 0
        assert {verdict(name, other) for other in (0, 1, -1 & (1 << 64) - 1, pid + 1)} == {errno.EPERM}
    assert verdict("prlimit64", 0, 0, 12345) == verdict("prlimit64", pid, 7, 0) == 0
    assert verdict("prlimit64", 0, 7, 12345) == verdict("prlimit64", 0, 7, 1 << 40) == errno.EPERM
    assert verdict("prlimit64", 1, 0, 12345) == errno.EPERM
    assert verdict("ioctl", 3, 0x5401) == 0 and verdict("ioctl", 3, 0x5412) == errno.EPERM
    assert verdict("fcntl", 3, 1) == 0
    assert {verdict("fcntl", 3, command) for command in (8, 10, 15, 1024)} == {errno.EPERM}
    assert verdict("prctl", 1) == errno.EPERM and verdict("prctl", 15) == 0
    reads = (0, 1) if machine == "x86_64" else (63, 64)
    assert [_verdict(program[0], arch, number) for number in reads] == [0, 0]
    assert _verdict(program[0], arch, 600) == errno.ENOSYS
    assert _verdict(program[0], 0x40000003, reads[0]) == errno.EPERM
    if machine == "x86_64":
        assert verdict("open", 0, write_flags) == errno.EPERM and verdict("open", 0, 0) == 0
        assert verdict("fork") == verdict("creat") == errno.EPERM
        assert _verdict(program[0], arch, 0x40000000) == errno.ENOSYS


@pytest.mark.parametrize(
    ("header", "column"),
    [("x86_64-linux-gnu/asm/unistd_64.h", 0), ("asm-generic/unistd.h", 1)],
)
def test_the_numbers_are_the_kernels(header, column):
    path = Path("/usr/include") / header
    if not path.exists():
        pytest.skip("the kernel's headers are not installed")
    pairs = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", path.read_text())
    known = {name: int(number) for name, number in pairs}
    for name, numbers in seccomp.NUMBERS.items():
        assert known.get(name) == numbers[column], name
