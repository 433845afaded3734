"""The reproduction scorecard: what the reports publish beside what a run measured, row by row.

:func:`rows` makes the rows out of a run's ``run.json``, its small artifacts, the published figures of
:mod:`xlam_lib.paper` and the measurements that ship in ``xlam_lib/data``; :func:`page` writes them as a page
of the book. No figure is typed. What a run did not measure becomes an unmeasured row with the command that
would measure it; it is never an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from xlam_lib.scorecard import ablations, agents, bfcl, data, synthesis, training
from xlam_lib.scorecard.base import STATES, Row, Run
from xlam_lib.scorecard.page import page

__all__ = ["STATES", "Row", "page", "rows"]

_GROUPS = {
    "Models and training": training.rows,
    "Data: unify, augment, verify": data.rows,
    "Synthesis": synthesis.rows,
    "Mixture and preferences": synthesis.mixture,
    "The function-calling leaderboard": bfcl.rows,
    "Agent environments": agents.rows,
    "Ablations": ablations.rows,
    "Questions that the reports leave open": ablations.questions,
    "Announced, and beyond the reports": agents.announced,
}


def rows(manifest: Mapping[str, Any], artifacts: Path) -> list[Row]:
    """The scorecard of a run.

    Parameters
    ----------
    manifest
        The run's ``run.json``.
    artifacts
        Its folder ``artifacts/``, of which small JSON files are read; any of them may be missing.
    """
    run = Run(manifest, artifacts)
    return [msgspec.structs.replace(row, group=group) for group, part in _GROUPS.items() for row in part(run)]
