"""What a run of the ablations says: differences by question, by category, the arms, the published figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from xlam_lib import paper
from xlam_lib.ablations.arms import ARMS, QUESTIONS, Arm
from xlam_lib.ablations.differences import LOSSES, METRICS, Difference, compare, level_of, rows
from xlam_lib.ablations.material import FEW, OWN_LAYOUT, SYNTHETIC, Material, arguments_of
from xlam_lib.ablations.running import Outcome, Result, Unit

PRIMARY = "loss, BFCL"  # the probe that is none of the arms' own kind, and the least noisy measure on it


def comparisons(arms: Iterable[Arm], question: str = "") -> list[tuple[str, str]]:
    """The pairs of arms that are compared, of one question or of all, where both are among ``arms``."""
    names = [arm.name for arm in arms]
    return [
        (name, against)
        for name in names
        if not question or ARMS[name].question == question
        for against in ARMS[name].against
        if against in names
    ]


def differences(
    results: Sequence[Result], arms: Sequence[Arm], metrics: Iterable[str], question: str = "", seed: int = 0
) -> list[Difference]:
    """Every comparison in each metric; those of which nothing was measured have no value."""
    return [
        compare(results, arm, against, METRICS[name], seed)
        for arm, against in comparisons(arms, question)
        for name in metrics
    ]


def by_group(
    results: Sequence[Result], arm: str, against: str, metric: str, material: Material, seed: int = 0
) -> dict[str, Difference]:
    """A comparison in each group of the metric's probe (API category, source, category of BFCL)."""
    chosen = METRICS[metric]
    groups: dict[str, list[str]] = {}
    for identity, group in material.probes[chosen.probe].groups.items():
        groups.setdefault(group, []).append(identity)
    found = {
        group: compare(results, arm, against, chosen, seed, among) for group, among in sorted(groups.items())
    }
    return {group: difference for group, difference in found.items() if difference.value is not None}


def finding(differences: Iterable[Difference], metric: str = PRIMARY) -> str:
    """What a metric says of each pair, for a title; empty where none was measured."""
    said = []
    for difference in differences:
        if difference.metric != metric or difference.value is None:
            continue
        verdict = "not told apart from"
        if difference.clear:
            verdict = "better than" if difference.value * difference.better > 0 else "worse than"
        said.append(f"{difference.arm} {verdict} {difference.against}")
    return "; ".join(said)


def published(question: str) -> list[tuple[str, float]]:
    """What the reports measured for a question, as (label, points); empty where they measured nothing."""
    if question == "format":
        return [(f"{a.change} against {a.against}, {a.benchmark}", a.points) for a in paper.XLAM_ABLATION]
    if question == "checks":
        return [
            (f"{a.change.removeprefix('add data that ')}, {a.model}", a.points) for a in paper.APIGEN_ABLATION
        ]
    return []


def arm_rows(units: Iterable[Unit], material: Material) -> list[dict[str, Any]]:
    """The arms of the first seed: what differs, how many examples and tokens, and whose records they are.

    ``tokens against`` is the arm's tokens less its baseline's, in per cent of these.
    """
    first = {unit.arm.name: unit for unit in units if unit.seed == 0}
    tokens = {name: sum(map(material.tokens, unit.examples)) for name, unit in first.items()}
    table = []
    for name, unit in first.items():
        base = next((tokens[other] for other in unit.arm.against if other in tokens), tokens[name])
        origin = Counter("synthetic" if e.source == "synthetic" else "sources" for e in unit.examples)
        table.append(
            {
                "question": QUESTIONS[unit.arm.question],
                "arm": name,
                "what it is": unit.arm.differs,
                "examples": len(unit.examples),
                "distinct": len({example.id for example in unit.examples}),
                "from sources": origin["sources"],
                "tokens": tokens[name],
                "tokens against": f"{100 * (tokens[name] / base - 1):+.1f}%",
            }
        )
    return table


def level_rows(
    results: Sequence[Result], arms: Iterable[Arm], metrics: Iterable[str]
) -> list[dict[str, Any]]:
    """Every arm's own mean in each metric, with its interval, as text; empty where it was not measured."""
    table = []
    for arm in arms:
        row: dict[str, Any] = {"arm": arm.name, "seeds": sum(r.arm == arm.name for r in results)}
        for name in metrics:
            level = level_of(results, arm.name, METRICS[name])
            digits = 3 if level.unit == "nats" else 1
            row[name] = (
                ""
                if level.value is None
                else f"{level.value:.{digits}f} [{level.low:.{digits}f}, {level.high:.{digits}f}]"
            )
        table.append(row)
    return table


def to_the_letter(results: Sequence[Result], arm: str) -> list[Difference]:
    """How often an arm would write an answer to the letter: asked in one format, and in sources' layouts."""
    names = ("exact, synthetic", f"exact, {OWN_LAYOUT}")
    return [level_of(results, arm, METRICS[name]) for name in names]


def summary(
    outcome: Outcome, work: Sequence[Unit], arms: Sequence[Arm], material: Material, seed: int = 0
) -> dict[str, Any]:
    """All of a run that is worth keeping, as JSON data: arms, means, differences, groups, units not run."""
    results = outcome.results
    few = [e.id for e in material.probes[SYNTHETIC].examples if arguments_of(e) == FEW]
    chosen = METRICS["loss, synthetic"]
    return {
        "arms": arm_rows(work, material),
        "levels": level_rows(results, arms, METRICS),
        "differences": rows(differences(results, arms, METRICS, seed=seed)),
        "groups": [
            {"group": group} | row
            for arm, against in comparisons(arms, "origin")
            for metric in LOSSES
            for group, difference in by_group(results, arm, against, metric, material, seed).items()
            for row in rows([difference])
        ],
        "at most one argument": rows(
            compare(results, arm, against, chosen, seed, few) for arm, against in comparisons(arms)
        ),
        "seeds": len({result.seed for result in results}),
        "trainings": len(results),
        "tokens": sum(result.tokens for result in results),
        "answers": len(results) * len(material.questions),
        "seconds": _seconds(results),
        "probes": {name: len(probe.examples) for name, probe in material.probes.items()},
        "not_run": not_run(outcome),
    }


def _seconds(results: Sequence[Result]) -> float | None:
    """What all units took together, whichever call of the run did them; ``None`` where one does not say."""
    return round(sum(result.seconds for result in results), 1) if all(r.seconds for r in results) else None


def not_run(outcome: Outcome) -> list[str]:
    """The units for which the budget left no time, in words."""
    return [f"{unit.arm.name}, seed {unit.seed}" for unit in outcome.not_run]
