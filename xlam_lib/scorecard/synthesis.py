"""Rows about synthesis (APIGen) and the mixture of all data (xLAM, section 3.5)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from xlam_lib import paper
from xlam_lib.mixture import INSTRUCTION, RECIPES, group_of
from xlam_lib.scorecard.base import Row, Run, make, rate, shipped
from xlam_lib.synthesis import FUNCTIONS

JUDGED = (
    "python -m xlam_lib run --run-id judged --only 04_synthesize "
    "-p semantic_judge deepseek-ai/DeepSeek-V2-Chat -p semantic_endpoint http://localhost:8000/v1"
)
_OWN_APIS = "python -m xlam_lib synthesize openapi.yaml --count 40000 --out my_data"
_STAGES_TO_MIX = "--only 01_unify 02_augment 03_verify 04_synthesize 05_mix"


def rows(run: Run) -> Iterable[Row]:
    """Generators, library, checks and set."""
    funnel = run.artifact("04_synthesize", "synthetic/funnel.json") or {"rows": []}
    total = next((row for row in funnel["rows"] if row["style"] == "total"), None)
    here = run.command("04_synthesize")
    measured = shipped("generators.json") or []
    yield make(
        "Generators: verified of those asked, and what failed",
        "APIGen, table 1",
        [
            f"{g.name}: {g.verified:,} of {g.asked:,}, {g.pass_rate}%; format {g.fail_format:,}, execution "
            f"{g.fail_execution:,}, meaning {g.fail_semantic:,}" + (f" ({g.note})" if g.note else "")
            for g in paper.APIGEN_GENERATORS
        ],
        "04_synthesize",
        ours=[
            *(f"{entry['name']}: {rate(entry['verified'], entry['asked'])}" for entry in measured),
            *([f"templates: {rate(total['verified'], total['asked'])}"] if total else []),
        ],
        made_on="our functions and checks; the embedded model, and the template generator",
        why="the embedded model is far smaller; a template cannot misunderstand its own query",
        here=here,
        scale="python -m xlam_lib run --run-id deepseek-v2 --only 04_synthesize -p generator_count 40000 "
        "-p generator_model deepseek-ai/DeepSeek-V2-Chat -p generator_endpoint http://localhost:8000/v1",
    )
    yield from _library()
    people = paper.APIGEN_HUMAN_CHECK
    yield make(
        "A check by people",
        "APIGen",
        [
            f"{people['with_minor_issues']} of {people['records']} records with minor issues, "
            f"{people['with_minor_issues'] / people['records']:.1%}"
        ],
        "04_synthesize",
        ours=None,
        missing=f"needs people; the command writes the records of which they would read {people['records']}",
        scale="python -m xlam_lib run --run-id to-read --only 04_synthesize",
    )
    semantic = run.measure("04_synthesize", "semantic")
    yield make(
        "Planted errors that the semantic check finds",
        "APIGen",
        ["no figure"],
        "04_synthesize",
        ours=[rate(semantic["found"], semantic["planted"])] if semantic else None,
        made_on="rules that see the text only",
        why="APIGen's check is a language model's; how well it judges is not reported",
        here=here,
        scale=JUDGED,
    )
    best = paper.APIGEN_GENERATORS[-2:]
    yield make(
        "The synthetic set",
        "APIGen",
        [
            f"about {paper.CLAIMS['released records'].value:,} records, of the two best generators "
            f"({sum(g.verified for g in best):,} verified)",
            f"{paper.CLAIMS['query styles'].value} query styles; almost no irrelevant queries",
        ],
        "04_synthesize",
        ours=[
            f"{total['verified']:,} verified of {total['asked']:,}",
            ", ".join(row["style"].replace("_", " ") for row in funnel["rows"] if row is not total),
        ]
        if total
        else None,
        made_on=f"template generator, {run.machine}",
        why="the size is a parameter; irrelevant queries are added because the public set lacks them",
        here=here,
        scale="python -m xlam_lib run --run-id large --only 04_synthesize "
        f"-p synthetic_count {paper.CLAIMS['released records'].value}",
    )


def _library() -> Iterable[Row]:
    sizes = paper.APIGEN_LIBRARY
    coverage = (shipped("diversity.json") or {}).get("coverage", [])
    yield make(
        "Size of the API library",
        "APIGen",
        [
            f"{sizes['apis']:,} APIs: {sizes['rest_apis']:,} REST services, "
            f"{sizes['python_functions']} Python functions",
            f"from ToolBench's {sizes['toolbench_apis']:,} in {sizes['toolbench_categories']} categories",
        ],
        "04_synthesize",
        ours=[f"{row['all']} Python functions" for row in coverage if row["what"] == "functions"],
        made_on="written for this book: deterministic, executed without a network",
        why="ours has to run without a network and without keys",
        here="python -m xlam_lib bench diversity 1000",
        scale=_OWN_APIS,
    )
    published = paper.CATEGORY_SHARES
    own = Counter(function.category for function in FUNCTIONS.values())
    shares = {name: 100 * count / own.total() for name, count in own.items()}
    # Half the sum of the differences is the share that would have to move for the two to be alike.
    away = sum(abs(published.get(name, 0) - shares.get(name, 0)) for name in {*published, *shares}) / 2
    largest = max(shares, key=lambda name: shares[name])
    yield make(
        "Categories of the APIs",
        "APIGen",
        [
            f"{sizes['categories']} categories, in %:",
            ", ".join(f"{name} {share:g}" for name, share in published.items()),
        ],
        "04_synthesize",
        ours=[
            f"{len(shares.keys() & published.keys())} of these categories",
            f"largest: {largest} {shares[largest]:.1f}%",
            f"{away:.0f}% would have to move for the shares to be equal",
        ],
        made_on=f"our {own.total()} functions",
        why="ours cover the categories evenly, the report's follow its APIs",
        scale=_OWN_APIS,
    )


def mixture(run: Run) -> Iterable[Row]:
    """Shares of the mixture, and preferences."""
    card = run.artifact("05_mix", "sft/card.json") or {}
    drawn: Counter[str] = Counter()
    for name, pool in card.get("pools", {}).items():
        drawn[group_of(name)] += pool["taken"]
    examples = drawn.total()
    shares = {name: dict(RECIPES[name].parts) for name in ("fc", "general")}
    here = run.command("05_mix")
    made_on = f"{examples} examples, recipe {run.parameter('recipe')!r}"
    yield make(
        "Mixture of the function-calling models: synthetic data",
        "xLAM, section 3.5",
        [f"{paper.CLAIMS['synthetic share'].value:.0%}"],
        "05_mix",
        ours=[
            f"{drawn['synthetic'] / examples:.0%} in this run",
            f"{shares['fc'][('synthetic',)]:.0%} in the recipe 'fc'",
        ]
        if examples
        else None,
        made_on=made_on,
        why="the few samples of the other sources would not fill half of it",
        here=here,
        scale=f"python -m xlam_lib run --profile h100-7b-fc {_STAGES_TO_MIX}",
    )
    least, greatest = (paper.CLAIMS[f"{end} instruction share"] for end in ("least", "greatest"))
    yield make(
        "Mixture of the general models: instruction data",
        "xLAM, section 3.5",
        [f"{least.value:.0%} to {greatest.value:.0%}"],
        "05_mix",
        ours=[
            f"{drawn[INSTRUCTION] / examples:.1%} in this run",
            f"{shares['general'][(INSTRUCTION,)]:.0%} in the recipe 'general'",
        ]
        if examples
        else None,
        made_on=made_on,
        why="a few records of our own stand for the instruction data",
        here=here,
        scale=f"python -m xlam_lib run --profile h100-7b {_STAGES_TO_MIX}",
    )
    near = card.get("near_duplicates")
    yield make(
        "Similar queries removed",
        "xLAM, section 3.5",
        ["no threshold, no count"],
        "05_mix",
        ours=[f"{near['removed']} at a similarity of {near['threshold']:g}"] if near else None,
        made_on="all verified and synthetic records of this run",
        why="the threshold is ours",
        here=here,
        scale=f"python -m xlam_lib run --profile h100-7b {_STAGES_TO_MIX}",
    )
    pairs = run.artifact("07_dpo", "pairs/report.json")
    yield make(
        "Preference pairs",
        "xLAM, section 3.5",
        ["answers of less powerful models, rated; no counts"],
        "07_dpo",
        ours=[f"{name}: {found['pairs']}" for name, found in pairs["origins"].items()] if pairs else None,
        made_on=f"weaker models: {', '.join(run.parameter('weaker_models') or ['not recorded'])}",
        why="answers are judged by comparing their calls with verified ones, not rated; no people check",
        here=run.command("07_dpo"),
        scale="python -m xlam_lib run --profile h100-7b",
    )
