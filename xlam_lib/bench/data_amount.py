"""How much more data buys: the same fine-tuning on more and more verified examples, with two seeds.

``python -m xlam_lib bench data_amount [run] [amounts] [seeds]`` reads a finished run's records (default:
``laptop``; amounts 16,48,144; two seeds), sets probes aside once for all, trains the ablations' arm
``verified`` at each amount and writes ``xlam_lib/data/data_amount.json``, which chapter 12 shows. The model
before any training is measured on the same probes. Every training is kept in a temporary folder when it is
done, so an interrupted call goes on. About twenty minutes on two quiet cores.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from xlam_lib import __version__, assets, mixture, runs
from xlam_lib.ablations import (
    METRICS,
    Material,
    Pace,
    Result,
    Settings,
    Setup,
    Unit,
    chosen,
    gather,
    run,
    units,
)
from xlam_lib.ablations.differences import compare, level_of, rows
from xlam_lib.ablations.running import measured
from xlam_lib.errors import ProfileError
from xlam_lib.records import hash_file, read_json, write_json
from xlam_lib.train import sft

FILE = Path(__file__).parents[1] / "data" / "data_amount.json"
RUN, AMOUNTS, SEEDS = "laptop", (16, 48, 144), 2
ARM = "verified"
SHOWN = ("loss, BFCL", "loss, synthetic", "loss, sources", "exact, synthetic", "accuracy, BFCL")
HELD_OUT = 24
QUESTIONS = {"simple_python": 12, "multiple": 6, "parallel": 3, "live_simple": 3}
ANSWER = 112
STYLE, MAX_TOKENS = "xml", 512  # as in chapter 10
TRAINING = sft.Settings(
    method="top-15",
    batch_size=4,
    learning_rate=5e-4,
    warmup_steps=100,
    max_tokens=MAX_TOKENS,
    early_share=0.0,
)


def main(arguments: list[str]) -> None:
    """Arguments: a run, amounts with commas between them, seeds. Trains what is missing, writes the file."""
    name = arguments[0] if arguments else RUN
    amounts = tuple(map(int, arguments[1].split(","))) if len(arguments) > 1 else AMOUNTS
    seeds = int(arguments[2]) if len(arguments) > 2 else SEEDS
    base = assets.model_folder()
    artifacts = runs.folder(name) / "artifacts"
    # What the kept results depend on; each unit beside that has its own fingerprint.
    work = Path(tempfile.gettempdir()) / f"xlam-data-amount-{hash_file(base / 'config.json')[:12]}"
    setup = Setup(base, TRAINING, answer_tokens=ANSWER)
    result = amount_of(artifacts, setup, amounts, seeds, work)
    command = f"python -m xlam_lib bench data_amount {name} {','.join(map(str, amounts))} {seeds}"
    write_json(FILE, {"command": command, "version": __version__, "hardware": runs.hardware()} | result)
    print(json.dumps(result["levels"][:2]))


def amount_of(
    artifacts: Path,
    setup: Setup,
    amounts: Sequence[int],
    seeds: int,
    work: Path,
    held_out: int = HELD_OUT,
    questions: dict[str, int] | None = None,
) -> dict[str, Any]:
    """Train at each amount, and say what came of it: means and paired differences, with intervals.

    Parameters
    ----------
    artifacts
        A run's, with ``unified``, ``verified`` and ``synthetic``.
    setup
        How every training goes.
    amounts
        Examples, rising; the smaller amounts are parts of the larger ones as far as their lengths allow.
    seeds
        Trainings at each amount.
    work
        Where results are kept between calls.

    Raises
    ------
    ProfileError
        The amounts do not rise or are not positive, or the run has too few records.
    """
    if not amounts or list(amounts) != sorted(set(amounts)) or amounts[0] < 1:
        raise ProfileError(f"amounts {list(amounts)} do not rise from at least 1; give them in order")
    settings = Settings(amounts[-1], 0.0, STYLE, (), setup.training.max_tokens)
    folders = {part: artifacts / part for part in ("unified", "verified", "synthetic")}
    largest = gather(
        folders, settings, mixture.token_counter(setup.base), held_out=held_out,
        questions=QUESTIONS if questions is None else questions, seed=setup.training.seed,
    )  # fmt: skip
    pace, started = Pace(), time.time()
    results: list[Result] = []
    table = []
    for amount in amounts:
        material = replace(largest, settings=replace(settings, count=amount))
        wanted = units(chosen([ARM]), seeds, material, setup)
        outcome = run(wanted, material, setup, work / str(amount), pace=pace, report=_say(amount))
        results += [msgspec.structs.replace(result, arm=str(amount)) for result in outcome.results]
        table.append(
            {
                "examples": amount,
                "tokens": sum(sum(map(material.tokens, unit.examples)) for unit in wanted) // len(wanted),
                "distinct": min(len({example.id for example in unit.examples}) for unit in wanted),
            }
        )
    before = _before(wanted[0], largest, setup, pace, work / "0")
    results += [msgspec.structs.replace(before, seed=seed) for seed in range(seeds)]
    arms = ["0", *map(str, amounts)]
    pairs = [*zip(arms[1:], arms, strict=False)]
    if len(amounts) > 2:
        pairs.append((arms[-1], arms[1]))  # all steps together
    return {
        "model": setup.base.name,
        "method": setup.training.method,
        "amounts": table,
        "seeds": seeds,
        "probes": {name: len(probe.examples) for name, probe in largest.probes.items()},
        "levels": rows(level_of(results, arm, METRICS[metric]) for metric in SHOWN for arm in arms),
        "differences": rows(compare(results, *pair, METRICS[metric]) for pair in pairs for metric in SHOWN),
        "trained_tokens_a_second": round(pace.rate("trained"), 1) if pace.measured else None,
        "seconds": round(time.time() - started),
    }


def _before(unit: Unit, material: Material, setup: Setup, pace: Pace, folder: Path) -> Result:
    """The model before any training, on the probes of a unit."""
    file = folder / f"{unit.fingerprint}.json"
    if not file.exists():
        scores = measured(setup.base, unit, material, setup, pace, _say(0))
        write_json(file, Result("0", 0, unit.fingerprint, 0, 0, 0, 0, 0, scores))
    return read_json(file, Result)


def _say(amount: int) -> Any:
    def say(done: int, total: int, note: str) -> None:
        print(f"{amount} examples: {done} of {total} {note}", flush=True)

    return say
