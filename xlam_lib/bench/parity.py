"""Parity with the official BFCL checker: right answers, changed in small ways, judged by both.

``python -m xlam_lib bench parity [count] [seed]``; the bar is zero disagreements over at least 20,000
verdicts. The counts go to ``xlam_lib/data/parity.json``; a disagreement is told with its text.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

from xlam_lib.errors import XlamError
from xlam_lib.evaluate import bfcl
from xlam_lib.evaluate.mutations import parity
from xlam_lib.evaluate.oracle import oracle
from xlam_lib.records import write_json

DATA = Path(__file__).parents[1] / "data" / "parity.json"
_SHOWN = 5


def main(arguments: list[str]) -> None:
    """Arguments: verdicts (25,000), seed (0). Raises if a verdict differs."""
    count = int(arguments[0]) if arguments else 25_000
    seed = int(arguments[1]) if len(arguments) > 1 else 0
    report = measure(count, seed)
    write_json(DATA, report)
    print(json.dumps(report, indent=2))
    if report["disagreements"]:
        raise XlamError(f"{report['disagreements']} of {count} verdicts differ; the first are listed above")


def measure(count: int, seed: int) -> dict[str, Any]:
    """The counts as JSON values: verdicts compared, and right answers' accuracy in every category."""
    questions = bfcl.questions()
    started = time.time()
    with tqdm(total=count, unit="verdict", desc=f"seed {seed}", mininterval=2, file=sys.stderr) as bar:
        found = parity(questions, count, seed, progress=lambda: bar.update())
    seconds = time.time() - started
    right = bfcl.score({question.id: oracle(question) for question in questions}, questions=questions)
    return {
        "verdicts": found.verdicts,
        "seed": seed,
        "disagreements": len(found.disagreements),
        "right": found.right,
        "verdicts_per_second": round(found.verdicts / seconds),
        "categories": found.categories,
        "changes": found.changes,
        "official_errors": found.errors,
        "first_disagreements": [item._asdict() for item in found.disagreements[:_SHOWN]],
        "right_answers": {name: [rate.correct, rate.count] for name, rate in right.categories.items()},
        "right_answers_wrong": {v.id: v.error_type for v in right.verdicts if not v.valid},
        "overall_v2_of_right_answers": right.overall_v2,
    }
