"""Fine-tuning speed: our settings and labelled-positions head against TRL's SFTTrainer as it comes.

Same model, examples, batch and process; only the head and gradient checkpointing differ.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from unittest import mock

from xlam_lib import assets
from xlam_lib.mixture import make_examples
from xlam_lib.synthesis import synthesize
from xlam_lib.train import sft


def main(arguments: list[str]) -> None:
    """Print seconds and tokens a second of both, their ratio, and the largest difference of the losses."""
    count = int(arguments[0]) if arguments else 16
    base = assets.model_folder()
    records = synthesize(4 * count, None, seed=0, styles={"simple": 1.0}, irrelevant=0.0).verified
    examples = list(make_examples(records, style="plain"))[:count]
    settings = sft.Settings(batch_size=4, learning_rate=1e-5)
    found = {}
    for name in ("TRL's head (baseline)", "labelled positions"):
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            started = time.time()
            with mock.patch.object(
                sft, "score_labels_only", sft.score_labels_only if "positions" in name else lambda _: False
            ):
                outcome = sft.train(base, examples, [], work / "o", work / "e", work / "w", settings)
            found[name] = outcome
            print(
                f"{name}: {outcome.tokens / outcome.seconds:.0f} tokens/s ({time.time() - started:.0f} s)",
                flush=True,
            )
    first, second = found.values()
    losses = [[entry["loss"] for entry in outcome.history] for outcome in (first, second)]
    difference = max(abs(a - b) for a, b in zip(*losses, strict=True))
    print(
        json.dumps({"ratio": round(first.seconds / second.seconds, 2), "largest_loss_difference": difference})
    )
