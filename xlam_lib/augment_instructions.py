"""Rewordings of task instructions, tried on records before the augmentation uses them (xLAM report, 3.2).

The report lets strong models reword the task instructions and keeps a rewording where a model that is given
it still produces the right calls. :func:`try_rewordings` does this for the instructions of a run's files;
:func:`kept` is what :func:`xlam_lib.augment.augment` takes as its ``instructions``. Without a model there is
nothing to try, and the rules of :mod:`xlam_lib.rephrase` are the offline default.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from xlam_lib.augment import INSTRUCTION, has_thought
from xlam_lib.formats import FORMATS
from xlam_lib.generation import Backend, Progress
from xlam_lib.records import read_jsonl
from xlam_lib.rephrase import Rewording, Verified, instruction_of, paraphrases, propose, verify
from xlam_lib.schema import Trajectory
from xlam_lib.tally import by_frequency


class Tried(msgspec.Struct, frozen=True):
    """One instruction and what became of its rewordings.

    Attributes
    ----------
    instruction
        The instruction as the prompts show it.
    records
        Records whose copies may show it.
    by_rules, by_model
        Rewordings of each origin that were tried.
    unusable
        What the model proposed and no prompt can hold, with the reasons.
    verified
        The rewordings kept and turned away, each with its share of right answers.
    """

    instruction: str
    records: int
    by_rules: int
    by_model: int
    unusable: list[Rewording]
    verified: Verified


def try_rewordings(
    files: Sequence[str | Path],
    backend: Backend,
    count: int,
    *,
    seed: int = 0,
    length: str = "full",
    formats: Sequence[str] = (),
    most: int = 8,
    probes: int = 12,
    at_least: float = 0.5,
    progress: Progress | None = None,
) -> list[Tried]:
    """Reword the most frequent instructions of some files and try each rewording on their records.

    Candidates are ``count`` rewordings by rule and ``count`` asked of the model, which then answers every
    step of the probe records under the original and under each of them (:func:`xlam_lib.rephrase.verify`).
    Only what may be trained on is a probe, no other split: nothing is chosen by what it is measured on later.

    Parameters
    ----------
    files
        JSON Lines of trajectories; they are read twice and never held.
    length, formats
        As for :func:`xlam_lib.augment.augment`: they decide which instruction a record without one shows.
    most
        How many instructions, at most; the others have no rewordings and stay as they are.
    probes
        Records to try an instruction on, at most, drawn by ``seed`` and id.
    at_least
        As for :func:`xlam_lib.rephrase.verify`.
    progress
        Told the number of instructions done, and of all.

    Returns
    -------
    One result an instruction, the most frequent first.
    """
    counts = Counter(instruction for instruction, _ in _probes(files, length, formats))
    chosen = list(by_frequency(counts))[:most]
    drawn: dict[str, list[tuple[int, str, Trajectory]]] = {text: [] for text in chosen}
    for text, record in _probes(files, length, formats):
        if text in drawn:
            identity = record.unique_trajectory_id
            digest = hashlib.blake2b(f"{seed}/{identity}".encode(), digest_size=8).digest()
            # The heap gives its smallest away: with minus signs, the records with the largest draws go.
            entry = (-int.from_bytes(digest, "big"), identity, record)
            (heapq.heappush if len(drawn[text]) < probes else heapq.heappushpop)(drawn[text], entry)
    results = []
    for text in chosen:
        tried_on = [record for _, _, record in sorted(drawn[text], key=lambda entry: -entry[0])]
        rules = paraphrases(text, count, seed)
        proposals = propose(text, backend, count)
        new = [candidate for candidate in proposals.texts if candidate not in rules]
        verified = verify([*rules, *new], tried_on, backend, at_least=at_least)
        results.append(Tried(text, counts[text], len(rules), len(new), proposals.rejected, verified))
        if progress:
            progress(len(results), len(chosen))
    return results


def kept(results: Sequence[Tried]) -> dict[str, list[str]]:
    """The rewordings that stood the trial, by instruction."""
    return {result.instruction: [found.text for found in result.verified.kept] for result in results}


def rows(results: Sequence[Tried], width: int = 60) -> list[Mapping[str, Any]]:
    """A line of a table for each instruction."""
    return [
        {
            "instruction": result.instruction[:width],
            "records": result.records,
            "by rules": result.by_rules,
            "by the model": result.by_model,
            "unusable": len(result.unusable),
            "right under the original": f"{result.verified.original:.0%} of {result.verified.answers}",
            "kept": len(result.verified.kept),
            "turned away": len(result.verified.rejected),
        }
        for result in results
    ]


def _probes(
    files: Sequence[str | Path], length: str, formats: Sequence[str]
) -> Iterator[tuple[str, Trajectory]]:
    """Each instruction that copies of a record may show, with the record in a format that shows it."""
    for file in files:
        for record in read_jsonl(file, Trajectory):
            if (
                record.meta.get("kind") == INSTRUCTION
                or record.meta.get("split", "train") != "train"
                or not record.steps
            ):
                continue
            drawn = [name for name in formats if FORMATS[name].has_thought or not has_thought(record)]
            shown: dict[str, Trajectory] = {}
            # All in the usual style and order, so that nothing but the instruction differs.
            plain = {key: value for key, value in record.meta.items() if key != "prompt"}
            for meta in [plain | {"format": name} for name in drawn] or [plain]:
                dressed = msgspec.structs.replace(record, meta=meta)
                shown.setdefault(instruction_of(dressed, length), dressed)
            yield from shown.items()
