"""The kinds of mistakes, and the form in which one is told."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import msgspec

BAD_FORMAT = "bad_format"
EARLY_STOP = "early_stop"
REPETITION = "repetition"
HALLUCINATED_FUNCTION = "hallucinated_function"
WRONG_FUNCTION = "wrong_function"
MISSING_CALL = "missing_call"
EXTRA_CALL = "extra_call"
NEEDLESS_CALL = "needless_call"
HALLUCINATED_ARGUMENT = "hallucinated_argument"
MISSING_ARGUMENT = "missing_argument"
EXTRA_ARGUMENT = "extra_argument"
WRONG_TYPE = "wrong_type"
WRONG_VALUE = "wrong_value"
UNEXPLAINED = "unexplained"

KINDS: dict[str, str] = {
    BAD_FORMAT: "the answer cannot be read",
    EARLY_STOP: "nothing, or no call, where one was due",
    REPETITION: "a call made again, or a text that runs in circles",
    HALLUCINATED_FUNCTION: "a function that is not on offer",
    WRONG_FUNCTION: "a function on offer, but not the one that was asked for",
    MISSING_CALL: "some calls were made, and this one was not",
    EXTRA_CALL: "a call beyond those that were asked for",
    NEEDLESS_CALL: "a call where no function fits",
    HALLUCINATED_ARGUMENT: "an argument that the function does not have",
    MISSING_ARGUMENT: "an argument that is required, or was asked for, is left out",
    EXTRA_ARGUMENT: "an optional argument that was not asked for",
    WRONG_TYPE: "a value of another type",
    WRONG_VALUE: "a value of the right type that is not the right one",
    UNEXPLAINED: "judged wrong, and no rule here says why",
}
"""Each kind, and what it means."""

SPECTOOL: dict[str, str] = {
    BAD_FORMAT: "Invalid Format Error",
    EARLY_STOP: "Insufficient API Calls",
    MISSING_CALL: "Insufficient API Calls",
    REPETITION: "Repeated API Calls",
    HALLUCINATED_FUNCTION: "Incorrect Function Name",
    HALLUCINATED_ARGUMENT: "Incorrect Argument Name",
    MISSING_ARGUMENT: "Incorrect Argument Value",
    WRONG_TYPE: "Incorrect Argument Type",
    WRONG_VALUE: "Incorrect Argument Value",
}
"""The name of SpecTool's seven patterns (arXiv 2411.13547) that a kind comes under; the others have none.

It is about an agent's steps, so this goes by meaning; it has no pattern for a text that repeats itself.
"""

FAULTS: dict[str, tuple[str, ...]] = {
    "unreadable": (BAD_FORMAT, EARLY_STOP, REPETITION),
    "no call": (EARLY_STOP,),
    "needless call": (NEEDLESS_CALL, HALLUCINATED_FUNCTION, REPETITION),
    "undefined function": (HALLUCINATED_FUNCTION,),
    "wrong count": (MISSING_CALL, EXTRA_CALL, REPETITION),
    "wrong function": (WRONG_FUNCTION, REPETITION),
    "wrong arguments": (HALLUCINATED_ARGUMENT, MISSING_ARGUMENT, EXTRA_ARGUMENT),
    "wrong values": (WRONG_VALUE, WRONG_TYPE),
}
"""For each fault of :mod:`xlam_lib.preferences`, which names one an answer, kinds of which one is found."""

SHOWN = 80  # characters of a value that a mistake keeps


class Mistake(msgspec.Struct, frozen=True):
    """One thing that is wrong with an answer.

    Attributes
    ----------
    kind
        One of :data:`KINDS`.
    detail
        The kind more finely, in a word or two out of a closed stock (never the model's or the task's words),
        or empty.
    where
        The place in the answer, such as ``tool_calls[0].arguments.city``; empty for the answer as a whole.
    expected, found
        What should stand there and what does, as JSON cut to :data:`SHOWN` characters; empty where nothing
        should, or does.
    """

    kind: str
    detail: str = ""
    where: str = ""
    expected: str = ""
    found: str = ""

    @property
    def short(self) -> str:
        """The mistake in a line."""
        name = f"{self.kind} ({self.detail})" if self.detail else self.kind
        parts = [f"{name} at {self.where}" if self.where else name]
        if self.expected:
            parts.append(f"expected {self.expected}")
        if self.found:
            parts.append(f"found {self.found}")
        return ", ".join(parts)


def shown(value: Any) -> str:
    """A value as a mistake shows it: JSON, cut, and text that can always be written."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (ValueError, TypeError, RecursionError):
        text = type(value).__name__
    return clipped(text)


def clipped(text: str) -> str:
    """A text cut to :data:`SHOWN` characters, without control characters and halves of surrogate pairs."""
    text = text if len(text) <= SHOWN else text[:SHOWN] + "..."
    return "".join(c if c.isprintable() else c.encode("ascii", "backslashreplace").decode() for c in text)


def spectool(mistake: Mistake) -> str | None:
    """SpecTool's name for a mistake, or ``None``."""
    if mistake.kind == REPETITION and mistake.detail != "call":
        return None
    return SPECTOOL.get(mistake.kind)


def kinds_of(mistakes: Iterable[Mistake]) -> list[str]:
    """The kinds that occur, each once, in the order of :data:`KINDS`."""
    found = {mistake.kind for mistake in mistakes}
    return [kind for kind in KINDS if kind in found]
