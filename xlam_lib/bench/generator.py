"""The embedded model as APIGen's generator: its funnel, seconds and tokens, kept for the book's table.

``python -m xlam_lib bench generator [samples] [seed]`` writes what it measured to
``xlam_lib/data/generators.json``, where chapter 4 reads it.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import msgspec

from xlam_lib import __version__, assets
from xlam_lib.records import read_json, write_json
from xlam_lib.synthesis import synthesize
from xlam_lib.synthesis.generators import open_generator

FILE = Path(__file__).parents[1] / "data" / "generators.json"


def main(arguments: list[str]) -> None:
    """Arguments: samples asked for (200), seed (0)."""
    count = int(arguments[0]) if arguments else 200
    seed = int(arguments[1]) if len(arguments) > 1 else 0
    generator = open_generator(
        assets.EMBEDDED_MODEL, seed=seed, shots=1, max_new_tokens=160,
        progress=lambda done, of: print(f"{done} of {of}", flush=True),
    )  # fmt: skip
    assert generator is not None
    seeds = synthesize(200, seed=seed + 1).verified
    started = time.perf_counter()
    result = synthesize(count, generator=generator, seeds=seeds)
    total = result.funnel.total
    row = {
        "name": f"{assets.EMBEDDED_MODEL} (embedded)",
        "command": f"python -m xlam_lib bench generator {count} {seed}",
        "version": __version__,
        "sampling": generator.name,
        **msgspec.structs.asdict(total),
        "reasons": result.funnel.reasons,
        "requests": generator.usage.requests,
        "prompt_tokens": generator.usage.prompt_tokens,
        "tokens": generator.usage.tokens,
        "seconds": round(time.perf_counter() - started, 1),  # of this machine at that time
        "stage_seconds": {stage: round(value, 3) for stage, value in result.cost.seconds.items()},
    }
    known = read_json(FILE) if FILE.exists() else []
    write_json(FILE, [entry for entry in known if entry["name"] != row["name"]] + [row])
    print(json.dumps(row, indent=1))
