"""The reference run: what of a finished run is committed, and the README's table and picture made from it.

``python -m xlam_lib.reference laptop`` copies the executed notebooks, ``run.json`` and the small artifacts
of ``papermill_runs/laptop`` to ``papermill_runs/reference`` (no weights, no data), draws ``bfcl.png`` and
rewrites the part of ``README.md`` between the two ``reference run`` marks. No figure is typed by hand.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

from xlam_lib import runs
from xlam_lib.errors import ArtifactError
from xlam_lib.evaluate.bfcl import Score
from xlam_lib.records import read_json, write_text

SMALL = (
    "sft/card.json",
    "synthetic/funnel.json",
    "rejected/error_table.json",
    "models/sft/history.json",
    "models/sft/settings.json",
    "models/dpo/history.json",
    "models/dpo/settings.json",
    "models/sft/README.md",
    "models/dpo/README.md",
    "pairs/report.json",
    "evaluations/bfcl/base.json",
    "evaluations/bfcl/SFT.json",
    "evaluations/bfcl/SFT+DPO.json",
    "evaluations/webshop/scores.json",
    "evaluations/toolquery/scores.json",
    "evaluations/toolquery_unified/scores.json",
    "evaluations/toolbench/scores.json",
    "scaling/plan.json",
)
MODELS = ("base", "SFT", "SFT+DPO")
BEGIN, END = "<!-- reference run: begin -->", "<!-- reference run: end -->"


def keep(run_id: str, name: str = "reference") -> Path:
    """Copy a finished run's small parts to ``papermill_runs/<name>`` and return that folder.

    Raises
    ------
    ArtifactError
        A notebook of the run has not been executed, or a small artifact is missing.
    """
    run, target = runs.folder(run_id), runs.folder(name)
    manifest = runs.manifest(run_id)
    missing = [stage for stage in runs.STAGES if stage not in manifest["notebooks"]]
    if missing:
        raise ArtifactError(
            f"{run}: {missing[0]} is not finished; run `python -m xlam_lib run --run-id {run_id}` first"
        )
    fresh = target.with_name(f".{target.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    for stage in runs.STAGES:
        write_text(fresh / f"{stage}.ipynb", without_paths(run / f"{stage}.ipynb"))
    shutil.copy(run / runs.RUN_FILE, fresh)
    for small in SMALL:
        source = run / "artifacts" / small
        if not source.exists():
            raise ArtifactError(f"{source}: missing; run `python -m xlam_lib run --run-id {run_id}` again")
        (fresh / "artifacts" / small).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, fresh / "artifacts" / small)
    draw(fresh)
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)
    return target


def without_paths(notebook: Path) -> str:
    """An executed notebook's text without papermill's record of where on this machine it was run."""
    import nbformat

    executed = nbformat.read(notebook, 4)
    executed.metadata.pop("papermill", None)
    for cell in executed.cells:
        cell.metadata.pop("papermill", None)
    return nbformat.writes(executed).replace(f"{runs.root()}/", "") + "\n"


def longer_run() -> Path | None:
    """The committed scores of the profile ``evening``, where they are."""
    path = runs.folder(runs.LONGER)
    return path if path.is_dir() else None


def scores(run: Path) -> dict[str, Score]:
    """The BFCL scores of a run's three models."""
    return {name: read_json(run / "artifacts/evaluations/bfcl" / f"{name}.json", Score) for name in MODELS}


def draw(run: Path) -> None:
    """Draw the README's picture: accuracy by calling category, from the run's scores."""
    from xlam_lib import plots

    found = scores(run)
    calling = [c for c in found["base"].categories if not c.endswith("irrelevance")]
    means = [
        f"{name} {100 * sum(score.categories[c].accuracy for c in calling) / len(calling):.0f}%"
        for name, score in found.items()
    ]
    figure = plots.accuracy(
        {name: {c: score.categories[c] for c in calling} for name, score in found.items()},
        f"BFCL v2, mean of the categories: {', '.join(means)}",
    )
    figure.savefig(run / "bfcl.png", dpi=110)


def table(run: Path, longer: Path | None = None) -> str:
    """The README's section: the run's means, the longer run by category, and where they come from.

    ``longer`` is the committed run of the profile ``evening``, whose questions are enough for a table by
    category; without it the run's own categories are shown.
    """
    found, manifest = scores(run), read_json(run / runs.RUN_FILE)
    wide = scores(longer) if longer else found
    lines = [
        f"| BFCL v2 | questions | {' | '.join(MODELS)} |",
        "| --- | --- | --- | --- | --- |",
        *_means(found, f"profile `{manifest['profile']}`"),
        *(_means(wide, "profile `evening`") if longer else []),
        "",
        _provenance(run, manifest),
        "",
        f"By category{', in the longer run' if longer else ''}, with 95% Wilson intervals:",
        "",
        f"| category | questions | {' | '.join(MODELS)} |",
        "| --- | --- | --- | --- | --- |",
    ]
    base = wide["base"]
    for category, rate in base.categories.items():
        strict = category in base.strict
        cells = [_cell((s.strict if strict else s.categories)[category]) for s in wide.values()]
        lines.append(f"| {category}{' (strict)' if strict else ''} | {rate.count} | {' | '.join(cells)} |")
    lines += [
        "",
        "Accuracy in per cent by the official AST checker, on a fixed sample of the packaged benchmark "
        "(bfcl-eval 2026.3.23). Irrelevance is by the strict rule, a well-formed empty call list: the "
        "official one also counts garbage as right. The executable categories (exec, rest) are run; "
        "questions that need a network service are compared by their arguments. The overall counts the "
        "official irrelevance, as the report does.",
    ]
    return "\n".join(lines)


def _means(found: dict[str, Score], label: str) -> list[str]:
    """Two rows of the README's table: the mean of the calling categories, and v2's overall."""
    calling = [c for c in found["base"].categories if not c.endswith("irrelevance")]
    asked = sum(rate.count for rate in found["base"].categories.values())
    means = [
        100 * sum(score.categories[c].accuracy for c in calling) / len(calling) for score in found.values()
    ]
    lines = [
        f"| {label}: mean of the calling categories | {asked} | {' | '.join(f'{m:.1f}' for m in means)} |"
    ]
    whole = [score.overall_v2 for score in found.values()]
    if None not in whole:
        shown = " | ".join(f"{100 * value:.1f}" for value in whole if value is not None)
        lines.append(f"| {label}: overall, mean of v2's ten columns | {asked} | {shown} |")
    return lines


def _cell(rate: Any) -> str:
    return f"{100 * rate.accuracy:.0f} ({100 * rate.interval[0]:.0f}-{100 * rate.interval[1]:.0f})"


def _provenance(run: Path, manifest: dict[str, Any]) -> str:
    """How long the run took, on what, and where it is recorded."""
    seconds = sum(entry["seconds"] for entry in manifest["notebooks"].values())
    peak = max(entry["measures"]["peak_memory_gb"] for entry in manifest["notebooks"].values())
    hardware, pace = manifest["hardware"], manifest["notebooks"]["06_sft"]["measures"]["tokens_per_second"]
    fast = {"avx512_bf16", "amx_bf16"} & set(hardware.get("instructions", []))
    halved = ", products in bfloat16" if fast else ""
    return (
        f"Made by `python -m xlam_lib run --profile {manifest['profile']}` (seed {manifest['seed']}). Its "
        f"notebooks took {seconds / 60:.0f} minutes together on "
        f"{hardware['cores']} cores ({hardware['processor']}{halved}), "
        f"with at most {peak:.1f} GB of memory in a notebook; fine-tuning ran at {pace:.0f} tokens a second. "
        f"Everything about the run stands in [`papermill_runs/{run.name}/run.json`]"
        f"(papermill_runs/{run.name}/run.json)."
    )


def fill_readme(run: Path, readme: Path) -> None:
    """Rewrite the marked part of the README from the run.

    Raises
    ------
    ArtifactError
        The marks are not there.
    """
    text = readme.read_text()
    if BEGIN not in text or END not in text:
        raise ArtifactError(
            f"{readme}: the marks {BEGIN} and {END} are missing; put them around the result's table"
        )
    head, rest = text.split(BEGIN, 1)
    text = table(run, longer_run())
    write_text(readme, f"{head}{BEGIN}\n{text}\n{END}{rest.split(END, 1)[1]}")


if __name__ == "__main__":
    kept = keep(sys.argv[1] if len(sys.argv) > 1 else "laptop")
    fill_readme(kept, runs.root() / "README.md")
    print(kept)
