"""The memory planner against what it plans: estimated, traced and measured peaks of one training step.

`python -m xlam_lib bench planner` measures the small models on this machine's CPU (10 GB of memory, about
fifteen minutes on two cores), traces the large ones without memory, and writes `xlam_lib/data/planner.json`,
where chapter 12 reads it. `bench planner traced` leaves the measurements out and writes nothing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from xlam_lib.bench.verify import table
from xlam_lib.records import write_json
from xlam_lib.train.peaks import measure_peak, trace_peak
from xlam_lib.train.planner import Recipe, memory

FILE = Path(__file__).parents[1] / "data" / "planner.json"
SMALL, MIDDLE = "SmolLM2-135M-Instruct", "SmolLM2-360M-Instruct"


def _small(**changes: Any) -> Recipe:
    return Recipe(**{"precision": "fp32", "micro_tokens": 512, "length": 256, "recompute": False} | changes)


MEASURED = (
    (SMALL, _small()),
    (SMALL, _small(recompute=True, micro_tokens=1024)),
    (SMALL, _small(recompute=True, accumulation=2)),
    (SMALL, _small(method="lora")),
    (SMALL, _small(method="lora", recompute=True, micro_tokens=1024)),
    (MIDDLE, _small()),
    (MIDDLE, _small(method="lora")),
)
"""What fits this machine: both methods, with and without recomputation, in float32 as CPUs train."""
TRACED = (
    ("xLAM-1b-fc-r", 1, Recipe()),
    ("xLAM-1b-fc-r", 1, Recipe(recompute=False)),
    ("xLAM-7b-fc-r", 8, Recipe(sharding="fsdp")),
    ("xLAM-7b-r", 8, Recipe(sharding="fsdp")),
    ("xLAM-7b-r", 8, Recipe(sharding="fsdp", recompute=False)),
    ("xLAM-7b-r", 1, Recipe(method="lora")),
    ("xLAM-8x7b-r", 16, Recipe(sharding="fsdp")),
    ("xLAM-8x7b-r", 1, Recipe(method="lora")),
    ("xLAM-8x22b-r", 1, Recipe(method="lora")),
)
"""The series, with the devices that share a model; one device may be of any size."""


def main(arguments: list[str]) -> None:
    """Print one line a setting as it is found, then all as a table and as JSON."""
    rows = []
    settings = [(name, 1, recipe, True) for name, recipe in MEASURED if arguments != ["traced"]]
    for name, devices, recipe, measured in [*settings, *((*traced, False) for traced in TRACED)]:
        rows.append(compare(name, devices, recipe, measured))
        print(json.dumps(rows[-1]), flush=True)
        if arguments != ["traced"]:  # at once: it is long, and what is cut off has measured what it has
            write_json(FILE, {"command": "python -m xlam_lib bench planner", "rows": rows})
    print("\n" + table(rows))


def compare(name: str, devices: int, recipe: Recipe, measured: bool) -> dict[str, Any]:
    """One setting's peaks in GB a device, and the estimate over each of the others."""
    estimated = max(sum(parts.values()) for parts in memory(name, recipe, devices).values())
    traced = trace_peak(name, recipe, devices)
    found = measure_peak(name, recipe) if measured else None
    return {
        "model": name,
        "method": recipe.method,
        "precision": recipe.precision,
        "devices": devices,
        "micro_tokens": recipe.micro_tokens,
        "accumulation": recipe.accumulation,
        "recompute": recipe.recompute,
        "estimated_GB": round(estimated / 1e9, 3),
        "traced_GB": round(traced / 1e9, 3),
        "measured_GB": round(found / 1e9, 3) if found else None,
        "estimated_over_traced": round(estimated / traced, 3),
        "estimated_over_measured": round(estimated / found, 3) if found else None,
    }
