"""The long run of chapter 10: every arm with three seeds, written down beside the hardware it ran on.

``python -m xlam_lib bench ablations [profile]`` runs the chapters that the ablations need with the profile
``ablations`` (what is there already is kept, so a killed run goes on arm by arm) and writes
``xlam_lib/data/ablations.json``, which chapter 10 shows. Run it on a quiet machine.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from xlam_lib import __version__, runs
from xlam_lib.records import read_json, write_json

FILE = Path(__file__).parents[1] / "data" / "ablations.json"
PROFILE = "ablations"
STAGES = ("01_unify", "02_augment", "03_verify", "04_synthesize", "10_ablations")


def main(arguments: list[str]) -> None:
    """Argument: a profile (default ``ablations``). Runs it, writes the file, prints what was not run."""
    profile = arguments[0] if arguments else PROFILE
    manifest = runs.execute(profile, only=STAGES)
    result = committed(runs.folder(Path(profile).stem), manifest, profile)
    write_json(FILE, result)
    print(f"{result['trainings']} trainings; not run: {', '.join(result['not_run']) or 'none'}")


def committed(run: Path, manifest: dict[str, Any], profile: str) -> dict[str, Any]:
    """What is kept of a finished run: its summary, and what made it."""
    entry = manifest["notebooks"]["10_ablations"]
    chosen = {name: value for name, value in entry["parameters"].items() if name.startswith("ablation_")}
    return {
        "command": f"python -m xlam_lib bench ablations{'' if profile == PROFILE else ' ' + profile}",
        "version": __version__,
        "hardware": manifest["hardware"],
        "parameters": chosen,
        **read_json(run / "artifacts" / "ablations" / "summary.json"),
    }
