"""Rows about the model series and its training (xLAM, table 1 and section 4; APIGen, appendix B.3)."""

from __future__ import annotations

from collections.abc import Iterable

from xlam_lib import models, paper
from xlam_lib.scorecard.base import Row, Run, make

# Names of :class:`paper.Training`, and of a run's settings, that say the same.
_SETTINGS = {
    "learning_rate": "learning_rate",
    "epochs": "epochs",
    "batch": "batch_size",
    "accumulation": "accumulation",
    "max_length": "max_tokens",
    "lora_rank": "lora_rank",
    "dpo_beta": "beta",
}
# The profile that follows a source of settings, where it is not the last one's.
_PROFILES = {"xLAM series": "h100-7b-fc", "APIGen function-calling models": "h100-1b-fc"}


def rows(run: Run) -> Iterable[Row]:
    """Sizes of the five models, then one row for each source of settings."""
    yield _sizes(run)
    for training in paper.TRAINING:
        stage, model = ("07_dpo", "dpo") if training.dpo_beta is not None else ("06_sft", "sft")
        yield make(
            f"Settings: {training.what}",
            training.source,
            _reported(training),
            stage,
            ours=_settings(run, model, stage),
            made_on=f"{run.model}, {run.machine}",
            why="a small model with few examples wants a larger rate and fewer steps; the full-size profile "
            "follows what is published",
            here=run.command(stage),
            scale=f"python -m xlam_lib run --profile {_PROFILES.get(training.what, 'h100-8x7b')}",
        )


def _sizes(run: Run) -> Row:
    plan = run.artifact("12_scaling", "scaling/plan.json")
    counted = {row["model"]: row["parameters"] / 1e9 for row in plan["rows"]} if plan else {}
    there = [model for model in paper.MODELS if model.name in counted]
    off = max((abs(counted[model.name] / model.parameters - 1) for model in there), default=0)
    return make(
        "The five models: parameters and context",
        "xLAM, table 1",
        [
            f"{m.name}: {m.parameters:g} B, {m.context}k, from {m.base}, SFT {m.sft}, DPO {m.dpo}"
            for m in paper.MODELS
        ],
        ("06_sft", "12_scaling"),
        ours=[f"{m.name}: {counted[m.name]:.3f} B, {models.SERIES[m.name].context // 1024}k" for m in there],
        made_on="counted from the architectures of the bases; none was trained at full size",
        why=f"counts and table differ by {off:.1%} at most",
        state="reproduced",
        here=run.command("12_scaling"),
    )


def _reported(training: paper.Training) -> list[str]:
    """Settings as published, the note, and what is not reported."""
    values = {
        name.replace("_", " "): getattr(training, name)
        for name in training.__struct_fields__
        if name not in ("what", "source", "note")
    }
    said = [
        f"{name} {value:g}" if isinstance(value, float | int) else value
        for name, value in values.items()
        if value is not None
    ]
    unsaid = [name for name, value in values.items() if value is None]
    return [
        ", ".join(said),
        *([training.note] if training.note else []),
        f"not reported: {', '.join(unsaid)}",
    ]


def _settings(run: Run, model: str, stage: str) -> list[str]:
    """A training's settings as its stage wrote them, and the warm-up as its learning rates show it."""
    settings = run.artifact(stage, f"models/{model}/settings.json")
    if not settings:
        return []
    said = [f"trained: {settings['method']}"] if "method" in settings else []
    lora = settings.get("method", "lora") == "lora"
    said += [
        f"{name.replace('_', ' ')} {settings[key]:g}"
        for name, key in _SETTINGS.items()
        if key in settings and (lora or key != "lora_rank")
    ]
    history = run.artifact(stage, f"models/{model}/history.json") or []
    rates = {line["step"]: line["learning_rate"] for line in history if "learning_rate" in line}
    if not rates:
        return [", ".join(said)]
    # The rate is largest in the first step after the warm-up.
    peak = max(rates, key=lambda step: rates[step])
    return [", ".join(said), f"warm-up: {peak - 1} of {max(rates)} steps"]
