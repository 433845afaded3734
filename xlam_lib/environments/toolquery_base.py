"""What the three domains of ToolQuery share: where data comes from, refusals, and reading of arguments."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Protocol

from xlam_lib.schema import Tool

MAX_TEXT = 1000  # characters of a name or date that is looked up; nothing real is longer
_SHOWN = 80


class Refused(Exception):
    """A call that brings no result.

    Attributes: ``error`` (a kind of :class:`~xlam_lib.environments.core.Reply`) and the message.
    """

    def __init__(self, error: str, message: str) -> None:
        super().__init__(message)
        self.error = error


class ServiceError(Exception):
    """A service has no answer: it is down, refuses, or knows nothing of that name.

    Attributes: ``lasting``, whether the same request will fail again, as for an unknown identifier.
    """

    def __init__(self, message: str, lasting: bool = False) -> None:
        super().__init__(message)
        self.lasting = lasting


class Source(Protocol):
    """Where weather and films come from: the embedded data, a live service, or a recording."""

    def get(self, service: str, path: str, params: Mapping[str, Any]) -> Any:
        """The JSON answer of a service; raises :class:`ServiceError`."""
        ...


class Toolkit(Protocol):
    """The tools of one domain for one session."""

    def call(self, name: str, arguments: Mapping[str, Any]) -> Any:
        """The JSON value that a tool returns; raises :class:`Refused`."""
        ...

    def subgoal(self, value: Any) -> Any:
        """What of a result is compared with a task's subgoals."""
        ...


def show(value: Any) -> str:
    """A value of somebody else's on one short line of ASCII."""
    try:
        text = json.dumps(value)
    except (ValueError, TypeError, RecursionError):
        text = f"a {type(value).__name__}"
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def _given(arguments: Mapping[str, Any], name: str) -> Any:
    if name not in arguments:
        raise Refused("bad_arguments", f"the argument '{name}' is missing")
    return arguments[name]


# The published tools do not say which argument it was either: they fail deep inside a library.
def _unusable() -> Refused:
    return Refused("bad_arguments", "an argument is not of a type that can be used")


def text_of(arguments: Mapping[str, Any], name: str) -> str:
    """A text argument; a number is taken for its digits, as the published tools do."""
    value = _given(arguments, name)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = str(value) if abs(value) < 1e15 else ""
    if not isinstance(value, str):
        raise _unusable()
    if len(value) > MAX_TEXT:
        raise Refused("invalid_action", f"{show(value)} is too long to be looked up")
    return value


def number_of(arguments: Mapping[str, Any], name: str) -> float:
    """A number argument; digits in a text are taken for the number, as the published tools do."""
    value = _given(arguments, name)
    if isinstance(value, str) and len(value) <= 40:
        try:
            value = float(value)
        except ValueError:
            raise _unusable() from None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _unusable()
    if not abs(value) < 1e15 or not math.isfinite(value):
        raise Refused("invalid_action", f"{show(value)} is out of range")
    return float(value)


def tool(name: str, description: str, /, **parameters: Any) -> Tool:
    """A tool whose parameters are all required; each is ``(type, description)`` or a whole schema."""
    flat: dict[str, dict[str, Any]] = {}
    for key, given in parameters.items():
        schema = dict(given) if isinstance(given, Mapping) else {"type": given[0], "description": given[1]}
        flat[key] = schema | {"required": True}
    return Tool(name, description, flat)


CHECK_VALID_ACTIONS = tool("check_valid_actions", "List the names of the actions that can be called here.")
FINISH = tool(
    "finish",
    "End the task and hand in the answer.",
    answer={"type": ["string", "number", "array"], "description": "The answer to the question."},
)
