"""The stages: one a notebook, with what it reads and writes.

The table stands by itself so that a new stage does not make the finished ones stale: :mod:`xlam_lib.runs`
counts among the modules of every stage, this one does not.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StageSpec:
    """One row of the design: what a notebook reads and writes below ``artifacts/``, and its modules.

    ``modules`` are the files of ``xlam_lib`` whose change makes a finished stage stale.
    """

    name: str
    title: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    modules: tuple[str, ...]


STAGES = {
    spec.name: spec
    for spec in (
        StageSpec(
            "01_unify", "Unify", (), ("unified",),
            ("sources", "samples", "engine.py", "parallel.py", "explore.py", "running_example.py"),
        ),
        StageSpec(
            "02_augment", "Augment", ("unified",), ("augmented",),
            ("augment.py", "augment_instructions.py", "augment_checks.py", "rephrase.py", "prompts.py",
             "formats", "engine.py", "parallel.py", "endpoint.py", "generation.py",
             "explore.py", "running_example.py"),
        ),
        StageSpec(
            "03_verify", "Verify", ("augmented",), ("verified", "rejected"),
            ("verify", "engine.py", "parallel.py", "explore.py", "running_example.py"),
        ),
        StageSpec(
            "04_synthesize", "Synthesize", (), ("synthetic", "own", "release"),
            ("synthesis", "samples", "data/diversity.json", "data/generators.json", "verify",
             "contamination.py", "dedup.py", "endpoint.py", "generation.py", "inference.py", "formats",
             "prompts.py", "explore.py", "running_example.py"),
        ),
        StageSpec(
            "05_mix", "Mix", ("verified", "synthetic"), ("sft", "preferences"),
            ("mixture.py", "markdown.py", "instruct.py", "dedup.py", "contamination.py", "splits.py",
             "prompts.py", "formats", "evaluate", "explore.py", "running_example.py"),
        ),
        StageSpec(
            "06_sft", "Fine-tune", ("sft",), ("models/early", "models/sft"),
            ("train", "inference.py", "preferences.py", "equivalence.py", "mixture.py",
             "explore.py", "running_example.py"),
        ),
        StageSpec(
            "07_dpo", "Align",
            ("preferences", "sft", "verified", "synthetic", "models/early", "models/sft"),
            ("models/dpo", "pairs"),
            ("preferences.py", "preference_origins.py", "preference_report.py", "equivalence.py", "train",
             "inference.py", "formats", "mixture.py", "prompts.py", "explore.py", "running_example.py"),
        ),
        StageSpec(
            "08_bfcl", "Evaluate", ("models/sft", "models/dpo"), ("evaluations/bfcl",),
            ("evaluate", "inference.py", "generation.py", "constrained.py", "formats", "prompts.py",
             "data/parity.json", "data/decoding_speed.json", "explore.py", "running_example.py"),
        ),
        StageSpec(
            "09_agents", "Act", ("models/sft", "models/dpo"),
            ("evaluations/webshop", "evaluations/toolquery", "evaluations/toolquery_unified",
             "evaluations/toolbench"),
            ("environments", "agents", "evaluate/pass_rate.py", "verify", "together.py",
             "inference.py", "generation.py", "formats", "prompts.py", "explore.py", "running_example.py"),
        ),
        StageSpec(
            "10_ablations", "Ablate", ("unified", "verified", "synthetic"), ("ablations",),
            ("ablations", "augment.py", "rephrase.py", "contamination.py", "verify", "evaluate", "synthesis",
             "mixture.py", "train", "inference.py", "generation.py", "formats", "prompts.py", "paper.py",
             "data/ablations.json"),
        ),
        StageSpec(
            "11_diagnose", "Diagnose", ("sft", "models/sft", "evaluations/bfcl"), ("diagnosis",),
            ("diagnose", "evaluate", "synthesis", "mixture.py", "train", "inference.py", "generation.py",
             "formats", "prompts.py", "explore.py", "running_example.py"),
        ),
        StageSpec(
            "12_scaling", "Scale", ("evaluations/bfcl",), ("scaling",),
            ("train/planner.py", "inference_cost.py", "evaluate", "prompts.py", "formats", "mixture.py",
             "ablations/differences.py", "data/planner.json", "data/training_speed.json",
             "data/latency.json", "data/data_amount.json", "data/decoding_speed.json",
             "data/api_prices.csv", "paper.py", "plots.py"),
        ),
        StageSpec(
            "13_your_tools", "Your own tools", ("sft", "models/sft"), ("your_tools",),
            ("own_test.py", "serve.py", "chat_template.py", "samples", "synthesis", "verify", "diagnose",
             "evaluate", "dedup.py", "mixture.py", "train", "inference.py", "generation.py", "constrained.py",
             "formats", "prompts.py"),
        ),
    )
}  # fmt: skip
