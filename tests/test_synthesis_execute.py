"""The execution pool: limits hold, the guilty call alone is blamed, the pool lives on."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from xlam_lib.errors import XlamError
from xlam_lib.synthesis import Limits, Pool

HERE = str(Path(__file__).parent)
REASONS = {
    "hog": "memory limit exceeded",
    "fork": "forbidden operation",
    "thread": "forbidden operation",
    "spawn": "forbidden operation",
    "write_file": "forbidden operation",
    "remove_file": "forbidden operation",
    "network": "forbidden operation",
    "download": ("forbidden operation", "run-time error"),
    "foreign": "forbidden operation",
    "kill": "forbidden operation",
    "chatter": "output limit exceeded",
    "leave": "function tried to exit",
    "deep": "run-time error",
    "odd": "result is not JSON",
    "not_a_number": "result is not JSON",
    "absent": "undefined function invoked",
}


@pytest.fixture(scope="module")
def pool():
    with Pool(registry="synthesis_hostile:HOSTILE", path=(HERE,), limits=Limits(seconds=1.0)) as pool:
        yield pool


@pytest.mark.parametrize("name", sorted(REASONS))
def test_hostile_functions_are_contained(pool, name):
    before, bad, after = pool.run([("fine", {"x": 1}), (name, {"x": 1}), ("fine", {"x": 2})])
    assert (before.ok, after.ok) == (2, 4)
    expected = REASONS[name]
    assert bad.error in ((expected,) if isinstance(expected, str) else expected), bad
    assert bad.detail
    assert not Path("/tmp/xlam_hostile_output").exists()


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


def test_arguments_are_checked_again_in_the_worker(pool):
    missing, wrong, unknown = pool.run([("fine", {}), ("fine", {"x": "1"}), ("fine", {"x": 1, "y": 2})])
    assert missing.error == "required argument missing"
    assert wrong.error == "incorrect argument type"
    assert unknown.error == "undefined argument passed"


def test_order_and_results_do_not_depend_on_workers():
    calls = [("greatest_divisor_of_list", {"numbers": [n, 12]}) for n in range(300)]
    with Pool(1) as one, Pool(2, chunk=7) as two:
        assert one.run(calls) == two.run(calls)
        assert one.run([]) == []


def test_a_registry_that_cannot_be_imported_is_named():
    with Pool(registry="no_such_module:X") as pool, pytest.raises(XlamError, match="no_such_module"):
        pool.run([("f", {})])
    with pytest.raises(XlamError, match="workers"):
        Pool(0)
