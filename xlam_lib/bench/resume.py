"""What a kill costs: a run killed at random moments and resumed, against the same run left alone.

Both must end with the same hashes, models included; the ratio is the time of the killed run (all
attempts together) to that of the run left alone.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from xlam_lib import runs
from xlam_lib.errors import XlamError


def main(arguments: list[str]) -> None:
    """Arguments: kills (5), profile (smoke), seed of the moments (the clock's), further words for ``run``.

    Further words are such as ``-p model FOLDER``. Raises if a hash differs.
    """
    kills = int(arguments[0]) if arguments else 5
    profile = arguments[1] if len(arguments) > 1 else "smoke"
    seed = int(arguments[2]) if len(arguments) > 2 else time.time_ns()
    words = arguments[3:]
    draw = random.Random(seed)
    folder = Path(tempfile.mkdtemp(prefix="xlam-resume-"))
    try:
        whole, took = folder / "whole", time.time()
        subprocess.run(_command(whole, profile, words), check=True, stderr=subprocess.DEVNULL)
        took = time.time() - took
        print(f"left alone: {took:.0f} s (seed of the moments: {seed})", flush=True)

        killed, total = folder / "killed", 0.0
        for number in range(kills):
            wait = draw.uniform(0.1, 0.9) * took / (kills - number if kills > 1 else 1)
            started = time.time()
            process = subprocess.Popen(
                _command(killed, profile, words), stderr=subprocess.DEVNULL, start_new_session=True
            )
            try:
                process.wait(timeout=wait)
            except subprocess.TimeoutExpired:
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
            total += time.time() - started
            done = (
                list(runs.read_json(killed / "run.json")["notebooks"])
                if (killed / "run.json").exists()
                else []
            )
            print(
                f"kill {number + 1} after {wait:.0f} s, in the stage after {done[-1] if done else 'none'}",
                flush=True,
            )
        started = time.time()
        subprocess.run(_command(killed, profile, words), check=True, stderr=subprocess.DEVNULL)
        total += time.time() - started
        hashes = [
            {name: entry["outputs"] for name, entry in runs.read_json(run / "run.json")["notebooks"].items()}
            for run in (whole, killed)
        ]
        different = [name for name in hashes[0] if hashes[0][name] != hashes[1].get(name)]
        left = [p.name for p in killed.rglob("*") if p.name.endswith(".tmp") or ".failed" in p.name]
        print(
            json.dumps(
                {"ratio": round(total / took, 2), "kills": kills, "different": different, "left": left}
            )
        )
        if different or left:
            raise XlamError(f"a killed and resumed run ended differently: {different or left}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _command(run: Path, profile: str, words: list[str]) -> list[str]:
    return [sys.executable, "-m", "xlam_lib", "run", "--profile", profile, "--run-id", str(run), *words]
