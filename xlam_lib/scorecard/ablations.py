"""Rows about ablations (xLAM, figure 3; APIGen) and the questions that the reports leave open."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from xlam_lib import paper
from xlam_lib.scorecard.base import Row, Run, make, rate, shipped
from xlam_lib.scorecard.bfcl import OURS, results_of
from xlam_lib.scorecard.synthesis import JUDGED

# Chapter 10's arms that answer what a report published, and what they are compared with.
_PUBLISHED = {
    "augment": ("augmented", "raw"),
    "clean": ("cleaned", "augmented"),
    "add data that failed the semantic check": ("failed semantic", "verified"),
    "add data that failed the execution check": ("failed execution", "verified"),
}
_OPEN = {
    "Raw against augmented data on a small model": ("augmented", "raw"),
    "With and without filtering by verification": ("cleaned", "augmented"),
    "Real against synthetic data": ("sources", "verified"),
    "Format unification alone": ("unified", "raw"),
    "Order of parameters shuffled or not": ("shuffled", "verified"),
}
# Of chapter 10's metrics, the one that was named beforehand and the benchmark's own.
METRICS = ("loss, BFCL", "accuracy, BFCL")


def rows(run: Run) -> Iterable[Row]:
    """The published ablations, one row an arm."""
    for section, ablation in (("xLAM, figure 3", paper.XLAM_ABLATION), ("APIGen", paper.APIGEN_ABLATION)):
        for change, against in dict.fromkeys((arm.change, arm.against) for arm in ablation):
            published = [
                f"{arm.model}, {arm.benchmark}: {arm.points:+g} points"
                for arm in ablation
                if (arm.change, arm.against) == (change, against)
            ]
            what = f"{change[0].upper()}{change[1:]}, against {against}"
            yield _row(run, what, section, published, *_PUBLISHED[change])


def _row(run: Run, what: str, section: str, published: Sequence[str], arm: str, against: str) -> Row:
    """A comparison of two arms: by the long run that ships with the library, else by this run."""
    long = shipped("ablations.json") or {}
    found = _of(long.get("differences", ()), arm, against)
    where = f"the long run of {long['trainings']} trainings" if found else "this run"
    found = found or _of(run.measure("10_ablations", "arms") or (), arm, against)
    return make(
        what,
        section,
        published,
        "10_ablations",
        ours=[
            f"{one['metric']}: {one['value']:+.3g} [{one['low']:+.3g}, {one['high']:+.3g}]"
            f"{'' if one['low'] <= 0 <= one['high'] else ', 0 is outside'}"
            for one in found
        ],
        made_on=f"{run.model}: {arm} against {against}; {where}, seeds: {found[0]['seeds']}; "
        "the loss in nats, the accuracy in points"
        if found
        else "",
        why="a small model and few examples; the reports give one run an arm and no interval",
        here="python -m xlam_lib bench ablations",
        scale="python -m xlam_lib run --profile h100-7b --only 10_ablations",
    )


def _of(rows: Iterable[Mapping[str, Any]], arm: str, against: str) -> list[Mapping[str, Any]]:
    """The comparison of two arms in the metrics that are shown."""
    return [
        row for row in rows if (row["arm"], row["against"]) == (arm, against) and row["metric"] in METRICS
    ]


def questions(run: Run) -> Iterable[Row]:
    """What the reports leave open, one row a question."""
    for question, (arm, against) in _OPEN.items():
        yield _row(run, question, "left open", ["not measured"], arm, against)
    price = run.measure("04_synthesize", "price") or []
    yield make(
        "What verification gains and costs, by complexity of the API",
        "left open",
        ["not measured"],
        "04_synthesize",
        ours=[
            f"{one['group']}: wrong samples {one['wrong_before']:.0%} before and {one['wrong_after']:.0%} "
            f"after it, {one['milliseconds']:.2g} ms a sample"
            for one in price
        ],
        made_on=f"{run.parameter('price_count')} samples of each complexity, with planted errors",
        why="what is gained follows from the errors that were planted",
        here=run.command("04_synthesize"),
        scale=JUDGED,
    )
    sizes = run.measure("12_scaling", "accuracy_by_size") or []
    table = {row.model.removesuffix(" (FC)"): row.overall for row in paper.bfcl_v2_table5()}
    yield make(
        "Accuracy against size of the model and complexity of the task",
        "left open",
        [f"{model.parameters:g} B: {table[model.name]} (BFCL v2)" for model in paper.MODELS],
        ("08_bfcl", "12_scaling"),
        ours=[f"{one['model']}, {one['what']}: {rate(one['right'], one['questions'])}" for one in sizes],
        made_on=run.machine,
        why="few sizes, few examples; the published points have different bases and data",
        here="python -m xlam_lib run --run-id smollm2-360m -p model HuggingFaceTB/SmolLM2-360M-Instruct",
        scale="python -m xlam_lib run --profile h100-1b-fc",
        missing="this run trains one size; the command trains the next one",
    )
    yield _amount(run)
    yield _cost(run)


def _amount(run: Run) -> Row:
    measured = shipped("data_amount.json") or {}
    return make(
        "Accuracy against the amount of data",
        "left open",
        ["not measured: no report varies the amount alone"],
        "12_scaling",
        ours=[
            f"{row['arm']} examples: {row['metric']} {row['value']:.3g} [{row['low']:.3g}, {row['high']:.3g}]"
            for row in measured.get("levels", ())
            if row["metric"] in METRICS
        ],
        made_on=f"{measured.get('model')}, seeds: {measured.get('seeds')}; "
        "the loss in nats, the accuracy in per cent",
        why="a small model and few examples",
        here="python -m xlam_lib bench data_amount",
        scale="python -m xlam_lib run --profile h100-1b-fc",
    )


def _cost(run: Run) -> Row:
    """What an answer takes here, and what training and serving the series take by computation."""
    seconds = run.measure("08_bfcl", "seconds_per_model") or {}
    asked = sum(count for _, count in results_of(run, OURS).values())
    ours = [f"{run.model}: {seconds[OURS] / asked:.1f} s an answer"] if asked and OURS in seconds else []
    if whole := shipped("decoding_speed.json"):
        own = whole["rows"][0]
        ours.append(f"all {own['questions']:,} questions: {own['seconds_a_question']:.1f} s an answer")
    if speed := shipped("training_speed.json"):
        best = max(row["tokens_a_second"] for row in speed["rows"])
        ours.append(f"{speed['model']}: trained at {best:.0f} tokens a second at most")
    series = {model.name for model in paper.MODELS}
    if plan := run.artifact("12_scaling", "scaling/plan.json"):
        ours += [
            f"{row['model']}: {row['device hours']:.2g} hours of {plan['cluster']['device']} for "
            f"{plan['cluster']['plan_tokens'] / 1e6:g} M tokens (utilisation {row['utilisation source']})"
            for row in plan["rows"]
            if row["model"] in series
        ]
    ours += [
        f"{row['model']}: {1000 * row['seconds a call takes']:.0f} ms a call, {row['at a time']} at a time"
        for row in run.measure("12_scaling", "cost_per_call") or ()
        if row["model"] in series
    ]
    return make(
        "Cost and latency against size",
        "left open",
        ["not reported"],
        ("08_bfcl", "12_scaling"),
        ours=ours,
        made_on=f"{run.machine}; the series by computation, its calls at the rates that chapter 12 assumes",
        why="the large models are planned, not run",
        here=run.command("12_scaling"),
        scale="python -m xlam_lib bench gpu",
    )
