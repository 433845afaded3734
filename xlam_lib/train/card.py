"""The model card: what a checkpoint was made of, how, with what outcome, and what it must not be taken for.

It follows the Hub's form (YAML front matter, then Markdown in ``README.md``) and is a pure function of the
run, so the same run writes the same bytes: no dates, no speeds, no names of machines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from xlam_lib import markdown
from xlam_lib.records import write_text

_KINDS = {
    "sft": "Supervised fine-tuning; the loss counts the answers' tokens alone.",
    "dpo": "Direct preference optimization with LoRA; the reference is the fine-tuned model, adapter off.",
}
_FIRST_AND_LAST = ("loss", "mean_token_accuracy", "rewards/margins", "rewards/accuracies")


def write(
    folder: Path,
    *,
    kind: str,
    base: str,
    licence: str,
    settings: Mapping[str, Any],
    history: Sequence[Mapping[str, float]],
    facts: Mapping[str, Any],
    data: Mapping[str, str],
    data_card: Mapping[str, Any] | None = None,
    command: str = "",
) -> Path:
    """Write ``README.md`` into a model's folder and return its path.

    Parameters
    ----------
    kind
        ``sft`` or ``dpo``.
    base, licence
        The model that was trained, and the licence it is under (empty where it is not known).
    settings, history
        Of the training; of the history, the first and last values are shown.
    facts
        More to set down, such as the numbers of examples and parameters.
    data
        Artifact to SHA-256, of everything the training read.
    data_card
        The mixture's card (:func:`xlam_lib.mixture.card`): its sources and licences are repeated.
    command
        What makes this model again.
    """
    lines = [f"# {'Fine-tuned' if kind == 'sft' else 'Aligned'} for function calling: {base}", ""]
    lines += [_KINDS[kind], ""]
    if command:
        lines += ["Made by", "", "```", command, "```", ""]
    lines += ["## Training", "", *markdown.facts({"base": base, **facts}), ""]
    lines += ["### Settings", "", *markdown.facts(dict(settings)), ""]
    lines += ["### Outcome", "", *markdown.table(_outcome(history)), ""]
    lines += ["## Data", ""]
    if data_card is not None:
        sources = [
            {
                "source": source,
                "examples": count,
                "licences": ", ".join(data_card["sources"][source].get("licences", {})) or "not stated",
            }
            for source, count in data_card["by_source"].items()
        ]
        lines += [f"{data_card['examples']:,} examples, {data_card['tokens']['total']:,} tokens.", ""]
        lines += [*markdown.table(sources), ""]
    lines += [*markdown.table([{"read": name, "sha256": digest} for name, digest in data.items()]), ""]
    lines += [
        "## Limits",
        "",
        "Calls that this model writes are data: check name and arguments against the tools before anything",
        "is called. It was trained to answer in the formats of its data and knows no tool that its prompt",
        "does not name. How well it calls is measured by the evaluation chapters, not by these figures.",
        "",
    ]
    front: dict[str, Any] = {
        "base_model": base,
        "library_name": "transformers" if kind == "sft" else "peft",
        "pipeline_tag": "text-generation",
        "tags": ["function-calling", kind],
    }
    if licence:
        front["license"] = licence.lower()
    path = folder / "README.md"
    write_text(path, f"---\n{yaml.safe_dump(front, sort_keys=False)}---\n\n" + "\n".join(lines))
    return path


def _outcome(history: Sequence[Mapping[str, float]]) -> list[dict[str, Any]]:
    """Rows of the first and last value of what was measured; rewards begin at zero by definition."""
    rows = []
    names = [*_FIRST_AND_LAST, *sorted({name for entry in history for name in entry if "eval_" in name})]
    for name in names:
        values = [(entry["step"], entry[name]) for entry in history if name in entry]
        if values:
            row = {"measure": name, "first": float(values[0][1]), "last": float(values[-1][1])}
            rows.append(row | {"steps": f"{values[0][0]:.0f} to {values[-1][0]:.0f}"})
    return rows
