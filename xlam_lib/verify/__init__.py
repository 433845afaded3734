"""Verification of trajectories (xLAM report, section 3.3): find faults, mend them, reject the rest."""

from xlam_lib.verify.findings import (
    ERRORS,
    HALLUCINATED_NAME,
    INCORRECT_TYPE,
    LOW_QUALITY,
    MISSING_ARGUMENT,
    NOT_IN_ENUM,
    SEVERITY,
    UNDEFINED_ARGUMENT,
    UNDEFINED_FUNCTION,
    UNGROUNDED_VALUE,
    Finding,
    Repair,
)
from xlam_lib.verify.repairing import repair
from xlam_lib.verify.stage import Result, Verdict, check, judge, verdicts, verify

__all__ = [
    "ERRORS",
    "HALLUCINATED_NAME",
    "INCORRECT_TYPE",
    "LOW_QUALITY",
    "MISSING_ARGUMENT",
    "NOT_IN_ENUM",
    "SEVERITY",
    "UNDEFINED_ARGUMENT",
    "UNDEFINED_FUNCTION",
    "UNGROUNDED_VALUE",
    "Finding",
    "Repair",
    "Result",
    "Verdict",
    "check",
    "judge",
    "repair",
    "verdicts",
    "verify",
]
