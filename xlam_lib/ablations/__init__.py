"""Ablations: what each step of the recipe is worth, arm against arm (both reports' ablations).

:mod:`~xlam_lib.ablations.material` reads a run's records and sets probes aside,
:mod:`~xlam_lib.ablations.arms` makes each arm's examples of them, :mod:`~xlam_lib.ablations.running` trains
and measures arm by arm, and :mod:`~xlam_lib.ablations.differences` compares.
"""

from xlam_lib.ablations.arms import ARMS, QUESTIONS, Arm, build, chosen
from xlam_lib.ablations.differences import (
    LOSSES,
    METRICS,
    SHARES,
    Difference,
    compare,
    crossed_bootstrap,
    from_rows,
    rows,
)
from xlam_lib.ablations.layouts import LAYOUTS
from xlam_lib.ablations.material import (
    BFCL,
    FEW,
    SOURCES,
    SYNTHETIC,
    Material,
    Settings,
    arguments_of,
    gather,
)
from xlam_lib.ablations.reporting import (
    PRIMARY,
    arm_rows,
    by_group,
    differences,
    finding,
    level_rows,
    not_run,
    published,
    summary,
    to_the_letter,
)
from xlam_lib.ablations.running import Outcome, Pace, Result, Setup, Unit, plan, read_results, run, units

__all__ = [
    "ARMS",
    "BFCL",
    "FEW",
    "LAYOUTS",
    "LOSSES",
    "METRICS",
    "PRIMARY",
    "QUESTIONS",
    "SHARES",
    "SOURCES",
    "SYNTHETIC",
    "Arm",
    "Difference",
    "Material",
    "Outcome",
    "Pace",
    "Result",
    "Settings",
    "Setup",
    "Unit",
    "arguments_of",
    "arm_rows",
    "build",
    "by_group",
    "chosen",
    "compare",
    "crossed_bootstrap",
    "differences",
    "finding",
    "from_rows",
    "gather",
    "level_rows",
    "not_run",
    "plan",
    "published",
    "read_results",
    "rows",
    "run",
    "summary",
    "to_the_letter",
    "units",
]
