"""How well a checker finds planted errors: recall and precision by class (xLAM report, section 3.3).

:func:`validate` plants every class of error (:mod:`xlam_lib.verify.planted`) in every record of a pool, lets
a checker judge the planted records and the untouched ones, and counts what it found, missed and raised
without cause.

The pool must be right for reasons of its own: were it chosen with the checker, its precision would be 1 by
construction. :func:`synthetic_pool` is right because its calls were executed and compared with what the query
says, :func:`benchmark_pool` because people wrote its answers and others relied on them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from xlam_lib.intervals import wilson
from xlam_lib.schema import Step, Trajectory
from xlam_lib.verify.findings import ERRORS, SEVERITY, Finding
from xlam_lib.verify.model_judge import Judge
from xlam_lib.verify.planted import Planted, donors_of, plant
from xlam_lib.verify.stage import check


@dataclass
class Scores:
    """What a checker made of planted and untouched records.

    Attributes
    ----------
    clean
        Untouched records judged.
    flagged
        Plants left out because the checker raised that very finding on the untouched record already.
    planted, found
        Errors planted, and of them those found (the right class at the right place), by class and grade.
    false_on_clean, false_on_planted
        Findings that no plant explains, by class: on untouched records, and on planted ones. What an
        untouched record has is not counted again in its planted copies.
    confusion
        How often a plant of the first class was given the second; ``""`` where nothing was found there.
    missed, false_alarms
        The plants not found, and the unexplained findings with their records' ids, to look at.
    """

    clean: int = 0
    flagged: int = 0
    planted: Counter[tuple[str, str]] = field(default_factory=Counter)
    found: Counter[tuple[str, str]] = field(default_factory=Counter)
    false_on_clean: Counter[str] = field(default_factory=Counter)
    false_on_planted: Counter[str] = field(default_factory=Counter)
    confusion: Counter[tuple[str, str]] = field(default_factory=Counter)
    missed: list[Planted] = field(default_factory=list)
    false_alarms: list[tuple[str, Finding]] = field(default_factory=list)

    def recall(self, error: str) -> tuple[int, int]:
        """Errors of a class found, and planted."""
        found, planted = (
            sum(n for (e, _), n in counts.items() if e == error) for counts in (self.found, self.planted)
        )
        return found, planted

    def precision(self, error: str) -> tuple[int, int]:
        """Findings of a class that a plant explains, and all of that class."""
        found, _ = self.recall(error)
        return found, found + self.false_on_clean[error] + self.false_on_planted[error]

    def rows(self) -> list[dict[str, Any]]:
        """A row for each class, gravest first; rates are fractions with Wilson's 95% interval."""
        rows = []
        for error in ERRORS:
            found, planted = self.recall(error)
            rows.append(
                {"error": error, "severity": SEVERITY[error], "planted": planted, "found": found}
                | _rate("recall", found, planted)
                | {"false_on_clean": self.false_on_clean[error]}
                | {"false_on_planted": self.false_on_planted[error]}
                | _rate("precision", *self.precision(error))
            )
        return rows

    def grades(self) -> list[dict[str, Any]]:
        """A row for each grade that was planted: how many, how many found, and the recall."""
        order = sorted(self.planted, key=lambda key: (ERRORS.index(key[0]), key[1]))
        return [
            {"error": error, "grade": grade, "planted": self.planted[error, grade]}
            | {"found": self.found[error, grade]}
            | _rate("recall", self.found[error, grade], self.planted[error, grade])
            for error, grade in order
        ]

    def structural(self) -> dict[str, Any]:
        """The structural classes together, as one row of :meth:`rows`."""
        classes = [error for error in ERRORS if SEVERITY[error] == "structural"]
        found, planted = (sum(pair) for pair in zip(*map(self.recall, classes), strict=True))
        told = sum(self.precision(error)[1] for error in classes)
        return (
            {"planted": planted, "found": found}
            | _rate("recall", found, planted)
            | _rate("precision", found, told)
        )


def _rate(name: str, successes: int, n: int) -> dict[str, Any]:
    low, high = wilson(successes, n) if n else (None, None)
    return {name: successes / n if n else None, f"{name}_low": low, f"{name}_high": high}


def validate(
    trajectories: Sequence[Trajectory],
    seed: int,
    judge: Callable[[Trajectory], Sequence[Finding]] | Judge = check,
) -> Scores:
    """Plant every class of error in every record that has a place for it, and see what a checker finds.

    Parameters
    ----------
    trajectories
        Records that are right for reasons independent of the checker.
    seed
        Decides what is planted where.
    judge
        A function from a record to its findings, or a judge that takes all records at once
        (:class:`xlam_lib.verify.model_judge.Judge`).
    """
    donors = donors_of(trajectories)
    plants = [
        (index, planted)
        for index, trajectory in enumerate(trajectories)
        for error in ERRORS
        if (planted := plant(trajectory, error, seed, donors)) is not None
    ]
    records = [*trajectories, *(planted.trajectory for _, planted in plants)]
    judged = [list(judge(record)) for record in records] if callable(judge) else judge.findings(records)
    scores = Scores(clean=len(trajectories))
    for trajectory, findings in zip(trajectories, judged[: scores.clean], strict=True):
        for finding in findings:
            scores.false_on_clean[finding.error] += 1
            scores.false_alarms.append((trajectory.unique_trajectory_id, finding))
    for (index, planted), findings in zip(plants, judged[scores.clean :], strict=True):
        _score(scores, planted, findings, judged[index])
    return scores


def _score(scores: Scores, planted: Planted, findings: Sequence[Finding], before: Sequence[Finding]) -> None:
    if any(planted.matches(finding) and finding.error == planted.error for finding in before):
        scores.flagged += 1
        return
    # Without the step's number, which a plant may have moved.
    known = {(finding.error, finding.call, finding.path) for finding in before}
    here = [finding for finding in findings if planted.matches(finding)]
    right = any(finding.error == planted.error for finding in here)
    said = planted.error if right else here[0].error if here else ""
    key = planted.error, planted.grade
    scores.planted[key] += 1
    scores.confusion[planted.error, said] += 1
    if right:
        scores.found[key] += 1
    else:
        scores.missed.append(planted)
    for finding in findings:
        explained = finding.error == planted.error and finding in here
        if not explained and (finding.error, finding.call, finding.path) not in known:
            scores.false_on_planted[finding.error] += 1
            scores.false_alarms.append((planted.trajectory.unique_trajectory_id, finding))


# Pools ----------------------------------------------------------------------------------------------------


def synthetic_pool(count: int, seed: int) -> list[Trajectory]:
    """Up to ``count`` records of the synthesis: executed, and compared with what the query says."""
    from xlam_lib.synthesis import synthesize

    return synthesize(count, None, seed=seed).verified


def benchmark_pool(root: Path | None = None) -> list[Trajectory]:
    """BFCL's questions that ask for calls, each answered with its official answer; never for training.

    Raises
    ------
    AssetError
        The benchmark is not there; see :func:`xlam_lib.evaluate.bfcl.questions`.
    """
    from xlam_lib.evaluate import bfcl
    from xlam_lib.evaluate.oracle import oracle
    from xlam_lib.formats import FORMATS

    asked = [name for name, category in bfcl.CATEGORIES.items() if category.kind == "ast"]
    records = []
    for question in bfcl.questions(asked, root):
        calls = FORMATS["json"].parse(oracle(question)).calls
        # The prompt's own instructions ground nothing, so the record goes without them.
        record = bfcl.trajectory(question)
        steps = [Step(1, "", calls)]
        records.append(msgspec.structs.replace(record, task_instruction="", steps=steps))
    return records
