"""Rows about agents in environments (xLAM, section 4), and what the authors announced beside the report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from xlam_lib import paper
from xlam_lib.scorecard.base import Row, Run, between, make, rate, span

ENVIRONMENTS = {  # the report's name: ours, and the parameter that names the original files
    "WebShop": ("webshop", "webshop_files"),
    "ToolQuery": ("toolquery", "toolquery_files"),
    "ToolQuery-Unified": ("toolquery_unified", "toolquery_files"),
}
_FULL = "python -m xlam_lib run --profile h100-7b"
_TOOLBENCH = (
    f"{_FULL} -p toolbench_files folder -p judge gpt-4-0125-preview "
    "-p judge_endpoint https://api.openai.com/v1 -p judge_key_env OPENAI_API_KEY"
)


def rows(run: Run) -> Iterable[Row]:
    """Success and progress by environment; ToolBench's pass rates by setting."""
    for environment, (name, files) in ENVIRONMENTS.items():
        scores = run.artifact("09_agents", f"evaluations/{name}/scores.json") or {}
        for metric, key in (("success rate", "success"), ("progress rate", "progress")):
            cells = [
                cell
                for cell in paper.AGENT_RESULTS
                if (cell.environment, cell.metric) == (environment, metric)
            ]
            if cells:
                yield make(
                    f"{environment}: {metric}, {_cases(environment)}",
                    "xLAM, section 4",
                    [*(f"{cell.model}: {cell.value:.3f}" for cell in cells), *_origins(cells)],
                    "09_agents",
                    ours=[_played(score, key) for score in scores.values()],
                    made_on=_made_on(run, scores),
                    why="tasks of our own under the published rules; few tasks and few steps for the model",
                    mark=", ".join(sorted({cell.mark for cell in cells if cell.mark})),
                    here=run.command("09_agents"),
                    scale=f"{_FULL} -p {files} folder",
                )
    yield from _toolbench(run)


def _cases(environment: str) -> str:
    exact = environment.startswith("ToolQuery")  # of the others the number is known roughly
    return f"{'' if exact else 'about '}{paper.CASES[environment]:,} cases"


def _origins(cells: Iterable[paper.Cell]) -> list[str]:
    """Where the figures come from, if not from the report's own text."""
    return sorted({cell.note or cell.source for cell in cells if cell.mark})


def _played(score: Mapping[str, Any], key: str) -> str:
    figure = (
        between(score["success"], *score["interval"], scale=1, digits=3)
        if key == "success"
        else f"{score[key]:.3f}"
    )
    return f"{score['agent']}: {figure}, {score['tasks']} tasks"


def _made_on(run: Run, scores: Mapping[str, Any]) -> str:
    data = next((score["data"] for score in scores.values()), "")
    return f"{run.model}; {data}; the model has {run.parameter('agent_steps')} steps"


def _toolbench(run: Run) -> Iterable[Row]:
    scores = run.artifact("09_agents", "evaluations/toolbench/scores.json") or {}
    xlam = [cell for cell in paper.TOOLBENCH_RESULTS if cell.model.startswith("xLAM")]
    yield make(
        f"ToolBench: pass rate, {_cases('ToolBench')}",
        "xLAM, section 4",
        [f"xLAM: {span((c.value for c in xlam if c.value is not None), 4)}, judged by GPT-4; settings below"],
        "09_agents",
        ours=[_played(score, "success") for score in scores.values()],
        made_on=_made_on(run, scores),
        why="our own queries and tools; rules are the judge unless a model is named",
        mark="disputed",
        here=run.command("09_agents"),
        scale=_TOOLBENCH,
    )
    for setting in paper.TOOLBENCH_SETTINGS:
        cells = [cell for cell in paper.TOOLBENCH_RESULTS if cell.environment == f"ToolBench, {setting}"]
        disputed = [cell for cell in cells if cell.mark == "disputed"]
        lines = [
            f"{cell.model}: {cell.value:.4f}"
            if cell.value is not None
            else f"{cell.model}: {'none' if cell.mark else cell.note}"
            for cell in cells
        ]
        if setting == paper.TOOLBENCH_SETTINGS[-1]:
            lines += [
                f"{model}: {value:.4f} by the summaries that give xLAM's figures"
                for model, value in paper.TOOLBENCH_AS_SUMMARISED.items()
            ]
        yield make(
            f"ToolBench: {setting}",
            "xLAM, section 4; AgentOhana",
            lines,
            "09_agents",
            ours=None,
            mark="disputed (xLAM's figures)" if disputed else "secondhand (xLAM's figures)",
            missing="our queries have no such split" + (f"; {disputed[0].note}" if disputed else ""),
            scale=_TOOLBENCH,
        )


def announced(run: Run) -> Iterable[Row]:
    """Synthesis from failures, feedback on calls, and what is for a reader's own use."""
    right = run.measure("11_diagnose", "right") or {}
    yield make(
        "Data synthesized from failures",
        "launch article",
        ["no figure"],
        "11_diagnose",
        ours=[
            *(f"{arm}: {rate(*map(int, count.split('/')))}" for arm, count in right.items()),
            *([f"p = {run.measure('11_diagnose', 'p')}, the two arms compared"] if right else []),
        ],
        made_on=f"{run.model}, one turn with {run.parameter('loop_count')} new examples an arm",
        why="one seed, few questions",
        here=run.command("11_diagnose"),
        scale="python -m xlam_lib run --profile h100-1b-fc --only 11_diagnose",
    )
    feedback = run.measure("09_agents", "feedback") or {}
    yield make(
        "Feedback on plans and calls",
        "announced: xLAM simulator",
        ["no figure"],
        "09_agents",
        ours=[f"{way}: {between(*found)} %" for way, found in feedback.items()],
        made_on="ToolQuery's rules, tasks of our own, a scripted agent",
        why="a scripted agent does what it is told; a model may not",
        here=run.command("09_agents"),
        scale=f"{_FULL} --only 09_agents",
    )
    own = {when: run.measure("13_your_tools", when) for when in ("before", "after")}
    yield make(
        "A model tuned on a reader's own tools",
        "beyond the reports",
        ["no figure"],
        "13_your_tools",
        ours=[f"{when}: {rate(one['right'], one['questions'])}" for when, one in own.items() if one],
        made_on=f"{run.model}, the tools of chapter 13",
        why="nothing is published to compare it with",
        here=run.command("13_your_tools"),
        scale="python -m xlam_lib run --profile h100-1b-fc --only 13_your_tools",
    )
