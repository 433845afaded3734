"""What verification can find, under the report's names (xLAM report, section 3.3)."""

from __future__ import annotations

from typing import Any

import msgspec

UNDEFINED_FUNCTION = "undefined function invoked"
UNDEFINED_ARGUMENT = "undefined argument passed"
INCORRECT_TYPE = "incorrect argument type"
HALLUCINATED_NAME = "argument hallucination: name"
UNGROUNDED_VALUE = "argument hallucination: value"
LOW_QUALITY = "low-quality reasoning and planning"
# The report's table does not list these two; a call that lacks an argument, or breaks an enumeration,
# fails when it is executed, so they are counted under names of our own.
MISSING_ARGUMENT = "missing required argument"
NOT_IN_ENUM = "value outside the enumeration"

# Every error with its severity, gravest first: a record with several is rejected for the first of them.
# A structural error always rejects, ungrounded values do above a number the caller sets.
SEVERITY = {
    UNDEFINED_FUNCTION: "structural",
    HALLUCINATED_NAME: "structural",
    UNDEFINED_ARGUMENT: "structural",
    MISSING_ARGUMENT: "structural",
    INCORRECT_TYPE: "structural",
    NOT_IN_ENUM: "structural",
    UNGROUNDED_VALUE: "semantic",
    LOW_QUALITY: "quality",
}
ERRORS = tuple(SEVERITY)


class Finding(msgspec.Struct, frozen=True):
    """One fault of a trajectory.

    Attributes
    ----------
    error
        One of :data:`ERRORS`.
    step_id
        The step's own number; 0 when the fault is the trajectory's.
    call
        Index of the call in the step, from 0; ``None`` when the fault is the step's.
    path
        Where in the call: ``name`` or ``arguments.filters[0].min``.
    message
        What is wrong there.
    """

    error: str
    step_id: int
    call: int | None
    path: str
    message: str


class Repair(msgspec.Struct, frozen=True):
    """One change that :func:`xlam_lib.verify.repair` made.

    Attributes
    ----------
    error
        The error it mends, one of :data:`ERRORS`.
    step_id, call, path
        Where, as in :class:`Finding`; for a renamed argument the path holds the old name.
    before, after
        The name or value as it was and as it is now.
    removed
        Whether the argument was taken out instead (an optional one of null or ``""``); ``after`` is null.
    """

    error: str
    step_id: int
    call: int
    path: str
    before: Any
    after: Any
    removed: bool = False
