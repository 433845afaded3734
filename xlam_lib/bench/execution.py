"""Execution checks per second: the pool against one Python process per call, on the same library calls.

``python -m xlam_lib bench execution [calls] [baseline calls] [seed]``. The baseline is plain: each call is a
``python -c`` that imports the function's module, calls it and prints the result as JSON, without limits.
That import brings this package with it, so the table also has the least that any process per call costs: an
interpreter that starts and does nothing.
"""

from __future__ import annotations

import inspect
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import xlam_lib
from xlam_lib.bench.verify import table
from xlam_lib.errors import XlamError
from xlam_lib.synthesis import Pool, generate
from xlam_lib.synthesis.checks import executable_calls
from xlam_lib.synthesis.library import LIBRARY

Call = tuple[str, dict[str, Any]]
_ROUNDS = 3
_PROGRAM = """\
import importlib, json, sys
module, name, arguments = sys.argv[1:]
print(json.dumps(getattr(importlib.import_module(module), name)(**json.loads(arguments))))
"""


def drawn(count: int, seed: int) -> list[Call]:
    """The first ``count`` calls of the template generator's answers."""
    samples = generate(count, seed=seed)  # one sample asks for more than one call on average
    return list(itertools.islice((call for sample in samples for call in executable_calls(sample)), count))


def alone(call: Call) -> Any:
    """The baseline: the call's result from a process of its own.

    Raises
    ------
    XlamError
        The process failed.
    """
    name, arguments = call
    function = LIBRARY.find(name)
    assert function is not None and function.call is not None
    run = inspect.unwrap(function.call)
    command = [sys.executable, "-c", _PROGRAM, run.__module__, run.__name__, json.dumps(arguments)]
    root = str(Path(xlam_lib.__file__).resolve().parents[1])
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": root}, check=False
    )
    if done.returncode:
        raise XlamError(f"baseline of {name!r} failed: {done.stderr.strip().splitlines()[-1:]}")
    return json.loads(done.stdout)


def _pooled(workers: int, calls: Sequence[Call]) -> tuple[float, list[Any]]:
    """Calls a second, the workers already started (the best of a few rounds), and the results."""
    with Pool(workers) as pool:
        pool.run(calls[: 2 * workers])
        rates, results = [], []
        for _ in range(_ROUNDS):
            seconds, outcomes = _timed(lambda: pool.run(calls))
            results = [outcome.ok for outcome in outcomes]
            rates.append(len(calls) / seconds)
    return max(rates), results


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def measure(count: int, few: int, seed: int) -> dict[str, Any]:
    """Calls a second of the baseline (over ``few`` calls) and of the pool (over ``count``), and ratios."""
    calls = drawn(count, seed)
    seconds, expected = _timed(lambda: [alone(call) for call in calls[:few]])
    baseline = len(calls[:few]) / seconds
    seconds, _ = _timed(
        lambda: [subprocess.run([sys.executable, "-c", "pass"], check=True) for _ in range(few)]
    )
    least = few / seconds
    rows = [
        {"what": "a process per call (baseline)", "calls_per_second": baseline, "ratio": 1.0},
        {"what": "an empty process per call", "calls_per_second": least, "ratio": least / baseline},
    ]
    for workers in (1, 2):
        rate, results = _pooled(workers, calls)
        rows.append({"what": f"pool, workers: {workers}", "calls_per_second": rate, "ratio": rate / baseline})
        if results[:few] != expected:
            raise XlamError(f"the pool of {workers} and the baseline disagree on a call's result")
    return {"calls": len(calls), "baseline_calls": len(calls[:few]), "rows": rows}


def main(arguments: list[str]) -> None:
    """Arguments: calls (20,000), baseline calls (40), seed (0). Prints a table, then all of it as JSON."""
    count, few, seed = (
        int(arguments[place]) if len(arguments) > place else default
        for place, default in enumerate((20_000, 40, 0))
    )
    found = measure(count, few, seed)
    shown = [
        {**row, "calls_per_second": f"{row['calls_per_second']:,.0f}", "ratio": f"{row['ratio']:,.0f}"}
        for row in found["rows"]
    ]
    print(f"{table(shown)}\n")
    print(json.dumps({**found, "ratio": min(row["ratio"] for row in found["rows"][2:])}))
