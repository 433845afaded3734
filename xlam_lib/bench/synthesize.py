"""A large synthesis: time, funnel, and the same bytes for one worker and two.

``python -m xlam_lib bench synthesize [samples] [seed]``. The baseline of the ratio is one worker process.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from xlam_lib.bench.verify import table
from xlam_lib.records import hash_folder
from xlam_lib.synthesis import synthesize


def main(arguments: list[str]) -> None:
    """Synthesize with one worker and with two, and print what each took and gave."""
    count = int(arguments[0]) if arguments else 60_000
    seed = int(arguments[1]) if len(arguments) > 1 else 0
    rows, hashes = [], set()
    with tempfile.TemporaryDirectory() as folder:
        for workers in (1, 2):
            started = time.perf_counter()
            result = synthesize(count, Path(folder) / str(workers), seed=seed, workers=workers, mask=0.5)
            hashes.add(hash_folder(Path(folder) / str(workers)))
            rows.append(
                {
                    "workers": workers,
                    "asked": count,
                    "verified": result.funnel.total.verified,
                    "seconds": round(time.perf_counter() - started, 1),
                    **{stage: round(seconds, 1) for stage, seconds in result.cost.seconds.items()},
                }
            )
    print(table(rows) + "\n")
    print(table(result.funnel.rows()) + "\n")
    print(f"two workers against one: {rows[0]['seconds'] / rows[1]['seconds']:.2f}")
    print("the same bytes" if len(hashes) == 1 else "DIFFERENT BYTES")
