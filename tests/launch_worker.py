"""What launched test processes run (``python -m tests.launch_worker train JOB``): a training's manners.

The job is a JSON object whose ``do`` names what happens: ``sum`` adds up over all processes; ``fail`` lets
process 1 fail on purpose, ``crash`` by accident; with ``wait`` process 1 never comes to the barrier.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import torch

from xlam_lib.records import read_json, write_json
from xlam_lib.train import cluster


def main(job: Path) -> int:
    todo = read_json(job)["do"]
    cluster.start()
    me = cluster.rank()
    total = cluster.gather_sum(torch.tensor([me + 1.0])).item()
    seen = {
        "processes": cluster.processes(),
        "total": total,
        "main": cluster.is_main(),
        "sharded": cluster.sharded(),
        "local_rank": os.environ.get("LOCAL_RANK", "0"),
        "machine": os.environ.get("SLURM_PROCID", "0"),
        "master": os.environ.get("MASTER_ADDR", ""),
        "process": os.getpid(),
    }
    write_json(job.with_suffix(f".{me}.json"), seen)
    if todo == "fail" and me == 1:
        write_json(
            job.with_suffix(".error.json"), {"type": "TrainingError", "message": "the loss is nan at step 3"}
        )
        return 1
    if todo == "crash" and me == 1:
        raise RuntimeError("an accident in process 1")
    if todo == "wait" and me == 1:
        time.sleep(300)
    cluster.barrier()
    if cluster.is_main():
        for done in (1, 2):
            write_json(job.with_suffix(".progress.json"), {"done": done, "total": 2, "note": "adding up"})
            time.sleep(0.5)
    cluster.leave()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[2])))
