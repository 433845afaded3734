"""Stage 11, diagnosis: what kinds of mistakes a model makes, and what to synthesize next.

The patterns are in the spirit of SpecTool (arXiv 2411.13547), which the xLAM report announces.
"""

from xlam_lib.diagnose.answers import diagnose, diagnose_answer, mistakes_of
from xlam_lib.diagnose.demand import FEATURES, Reason, Request, features, request, select
from xlam_lib.diagnose.episodes import EPISODE_KINDS, diagnose_episode, episode_mistakes
from xlam_lib.diagnose.loop import ASKED, SAME, Arm, make_arms
from xlam_lib.diagnose.mistakes import FAULTS, KINDS, SPECTOOL, Mistake, kinds_of, spectool
from xlam_lib.diagnose.reports import Case, Example, Report, compare, mcnemar, report, report_bfcl

__all__ = [
    "ASKED",
    "EPISODE_KINDS",
    "FAULTS",
    "FEATURES",
    "KINDS",
    "SAME",
    "SPECTOOL",
    "Arm",
    "Case",
    "Example",
    "Mistake",
    "Reason",
    "Report",
    "Request",
    "compare",
    "diagnose",
    "diagnose_answer",
    "diagnose_episode",
    "episode_mistakes",
    "features",
    "kinds_of",
    "make_arms",
    "mcnemar",
    "mistakes_of",
    "report",
    "report_bfcl",
    "request",
    "select",
    "spectool",
]
