"""Rows about the function-calling leaderboard (xLAM, table 5; APIGen; BFCL's versions by date)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import NormalDist
from typing import Any

import msgspec

from xlam_lib import paper
from xlam_lib.evaluate.formulas import COLUMNS, Uncertainty, influence, overall_v2
from xlam_lib.intervals import stratified_bootstrap
from xlam_lib.scorecard.base import Row, Run, between, make, shipped, span

OURS = "SFT+DPO"  # the model of a run that stands beside the published ones
MODELS = ("base", "SFT", OURS)
_SMALLEST = "python -m xlam_lib run --profile h100-1b-fc"
Results = Mapping[str, tuple[int, int]]  # category to right answers and questions


class Scores(msgspec.Struct, frozen=True):
    """One model's answers: ``what`` names the model, and where it was scored if not in this run."""

    what: str
    results: Results
    sure: Uncertainty | None

    @property
    def questions(self) -> int:
        """How many were asked."""
        return sum(count for _, count in self.results.values())


def rows(run: Run) -> Iterable[Row]:
    """Overall, columns, the five models, the benchmark itself, version 1."""
    found = evidence(run)
    tuned = [scores for scores in found if not scores.what.startswith("base")]
    made_on = f"{run.model}; of {sum(paper.BFCL_V2_COUNTS.values()):,} questions those that each line says"
    first, again = _xlam(paper.bfcl_v2_table5()), _xlam(paper.bfcl_v2_remeasured())
    here = run.command("08_bfcl")
    yield make(
        "Overall of version 2, five models",
        "xLAM, table 5",
        [
            f"2024-09-03: {span(row.overall for row in first.values())}",
            f"2024-09-14: {span(row.overall for row in again.values())}",
        ],
        "08_bfcl",
        ours=[
            f"{scores.what}: {between(scores.sure.overall, *scores.sure.interval)}, "
            f"{scores.questions:,} questions"
            for scores in found
            if scores.sure
        ],
        made_on=made_on,
        why="a tenth of the smallest model's size, trained for minutes; today's questions, few in a run",
        mark="measured again",
        here=here,
        scale=_SMALLEST,
    )
    for column in paper.BFCL_V2_COLUMNS:
        yield make(
            f"Column: {column.replace('_', ' ')}",
            "xLAM, table 5",
            [
                f"2024-09-03: {span(row.columns[column] for row in first.values())}",
                f"2024-09-14: {span(row.columns[column] for row in again.values())}",
            ],
            "08_bfcl",
            ours=[
                _column(column, scores.what, scores.results, scores.sure) for scores in tuned if scores.sure
            ],
            made_on=made_on,
            why="as for the overall"
            + ("; the official rule, by which garbage is right" if column == "irrelevance" else ""),
            mark="measured again",
            here=here,
            scale=_SMALLEST,
        )
    for model in paper.MODELS:
        size = model.name.removeprefix("xLAM-").removesuffix("-r")
        yield make(
            f"{model.name}, trained at its full size",
            "xLAM, table 5",
            [
                f"2024-09-03: {first[model.name].overall}, rank {first[model.name].rank}",
                f"2024-09-14: {again[model.name].overall}, rank {again[model.name].rank}",
            ],
            "08_bfcl",
            ours=None,
            mark="measured again",
            missing="not trained here; the profile was stepped through with a tiny model",
            scale=f"python -m xlam_lib run --profile h100-{size}",
        )
    yield from _benchmark(run, sum(count for _, count in results_of(run, OURS).values()))
    yield _version_1(run, tuned)


def evidence(run: Run) -> list[Scores]:
    """The widest answers there are to each model: all questions where they were asked, then the larger run.

    The committed run of the profile ``evening`` stands in the place of a run that asks fewer questions.
    """
    evening = run.evening()
    own, kept = ({name: results_of(one, name) for name in MODELS} for one in (run, evening))
    more = sum(count for found in kept.values() for _, count in found.values())
    longer = more > sum(count for found in own.values() for _, count in found.values())
    chosen, where = (kept, ", profile evening") if longer else (own, "")
    scores = [Scores(f"{name}{where}", found, _sure(found)) for name, found in chosen.items() if found]
    whole = (shipped("decoding_speed.json") or {}).get("accuracy", {}).get("right", {})
    results = {name: (right, count) for name, (right, count) in whole.items()}
    if sum(count for _, count in results.values()) > max((s.questions for s in scores), default=0):
        scores.append(Scores("SFT, all questions", results, _sure(results)))
    return scores


def _sure(results: Results) -> Uncertainty | None:
    """The overall's uncertainty, or ``None`` where a category was not asked."""
    asked = all(category in results for parts in COLUMNS.values() for category in parts)
    return influence(results) if asked else None


def results_of(run: Run, model: str) -> dict[str, tuple[int, int]]:
    """A model's right answers and questions by category, empty where it was not scored."""
    score: dict[str, Any] = run.artifact("08_bfcl", f"evaluations/bfcl/{model}.json") or {"categories": {}}
    return {name: (found["correct"], found["count"]) for name, found in score["categories"].items()}


def _xlam(table: Iterable[paper.BfclRow]) -> dict[str, paper.BfclRow]:
    """The rows of the series, by the names of table 1."""
    rows = {row.model.removesuffix(" (FC)"): row for row in table}
    return {model.name: rows[model.name] for model in paper.MODELS}


def _column(column: str, what: str, results: Results, sure: Uncertainty) -> str:
    """A model's column with its interval and its number of questions."""
    entry = next(entry for entry in sure.columns if entry.column == column)
    value = sum(w * results[name][0] / results[name][1] for name, w in COLUMNS[column].items())
    half = NormalDist().inv_cdf(0.975) * entry.standard_error
    figure = between(value, max(0.0, value - half), min(1.0, value + half))
    return f"{what}: {figure}, {entry.questions:,} questions"


def _benchmark(run: Run, asked: int) -> Iterable[Row]:
    table = paper.bfcl_v2_table5()
    off = max(abs(overall_v2(row.columns) - row.overall) for row in table)
    yield make(
        "How the overall is computed",
        "xLAM, table 5",
        ['a "weighted average", by the caption'],
        "08_bfcl",
        ours=[f"plain mean of the ten columns: off by {off:.3f} at most in the {len(table)} rows"],
        made_on="the published columns",
        why="columns and overall were rounded before they were published",
        state="reproduced",
    )
    parity = shipped("parity.json")
    then = paper.BFCL_V2_COUNTS
    now = {name: count for name, (_, count) in parity["right_answers"].items()} if parity else {}
    live = sum(count for name, count in then.items() if name.startswith("live_"))
    moved = [
        f"{name}: {then.get(name, 0)} then, {count} now"
        for name, count in now.items()
        if count != then.get(name)
    ]
    yield make(
        "Questions of version 2",
        "BFCL, files of 2024-08-29",
        [f"{sum(then.values()):,}: {sum(then.values()) - live:,} non-live, {live:,} live"],
        "08_bfcl",
        ours=[f"{sum(now.values()):,} in today's package", *moved, f"{asked} asked in this run"]
        if now and asked
        else None,
        made_on="the official package",
        why="some live questions were moved since",
        here=run.command("08_bfcl"),
        scale="python -m xlam_lib run --run-id all-questions -p question_counts 5000",
    )
    yield make(
        "Verdicts of the official checker",
        "BFCL",
        ["the leaderboard's own code"],
        "08_bfcl",
        ours=[f"{parity['disagreements']} disagreements in {parity['verdicts']:,} verdicts"]
        if parity
        else None,
        made_on="right answers, mutated; our scorer against the checker called directly",
        state="reproduced",
        here="python -m xlam_lib bench parity",
    )


def _version_1(run: Run, found: Iterable[Scores]) -> Row:
    """Version 1 weighs all its questions alike: those that are not live."""
    counts = {name: count for name, count in paper.BFCL_V2_COUNTS.items() if not name.startswith("live_")}
    shares = [count / sum(counts.values()) for count in counts.values()]
    ours = []
    for scores in found:
        if all(name in scores.results for name in counts):
            parts = [scores.results[name] for name in counts]
            verdicts = [[1.0] * right + [0.0] * (of - right) for right, of in parts]
            value = sum(share * right / of for share, (right, of) in zip(shares, parts, strict=True))
            figure = between(value, *stratified_bootstrap(verdicts, 0, shares))
            ours.append(f"{scores.what}: {figure}, {sum(of for _, of in parts):,} questions")
    return make(
        "Overall of version 1, by date",
        "APIGen; project page; leaderboard",
        [
            f"{entry.date}, {entry.source.split(',')[0]}: {entry.model} {entry.overall}"
            + (f", rank {entry.rank}" if entry.rank else "")
            for entry in paper.BFCL_V1
        ],
        "08_bfcl",
        ours=ours,
        made_on=f"{run.model}; each category weighed by its part of the {sum(counts.values()):,} questions",
        why="as for version 2; the dates are those of different checkpoints",
        here=run.command("08_bfcl"),
        scale="python -m xlam_lib run --profile h100-7b-fc",
    )
