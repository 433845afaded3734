"""In which way a value is wrong, as far as it can be told from the value, the right ones and the query."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from xlam_lib.diagnose.circles import circles
from xlam_lib.equivalence import text_key
from xlam_lib.preferences import FREE_TEXT
from xlam_lib.schema import json_type
from xlam_lib.verify.dates import is_dated
from xlam_lib.verify.grounding import Context, is_grounded
from xlam_lib.verify.names import one_slip
from xlam_lib.verify.structure import choices_of, in_enum

_COMPARED = 80  # characters; longer texts are not compared letter by letter
_LONG = 1000  # characters; longer texts are not looked for word by word
_ALIKE = 0.8  # share of letters in common from which two texts are one misspelled
# Ratios of units of time, length, weight and storage, and of a share to per cent.
_UNITS = (
    7, 12, 24, 30, 52, 60, 365, 1024, 1440, 3600, 86400, 2.54, 3.28084, 1.60934, 2.20462,
)  # fmt: skip
_SUFFIX = re.compile(r"[lLfFdDn]\Z")  # of a number in Java or JavaScript
_TEMPERATURES = ((lambda v: v * 9 / 5 + 32), (lambda v: (v - 32) * 5 / 9), (lambda v: v + 273.15))

DETAILS = (
    "swapped",
    "sign",
    "scale",
    "unit",
    "off by one",
    "number",
    "boolean",
    "date format",
    "date",
    "not a choice",
    "other choice",
    "spelling",
    "too little",
    "too much",
    "free text",
    "order",
    "items missing",
    "items added",
    "items",
    "keys",
    "inside",
    "runs in circles",
    "not in the query",
    "other",
)
"""The ways in which a value of the right type can be wrong."""


def kind_of(value: Any) -> str:
    """JSON Schema's name of a value's type."""
    if isinstance(value, bool):
        return "boolean"
    names = {dict: "object", list: "array", str: "string", int: "integer", float: "number"}
    return names.get(type(value), "null")


def type_detail(value: Any, schema: Mapping[str, Any], language: str) -> str:
    """A wrong type as ``found for declared``, or ``items`` where it is inside a list."""
    found = kind_of(value)
    if language != "python" and found != "string":
        return f"{found} for language text"
    declared = schema.get("type")
    wanted = json_type(declared[0] if isinstance(declared, list) and declared else declared) or "any"
    return "items" if found == wanted == "array" else f"{found} for {wanted}"


def value_detail(
    value: Any, right: Sequence[Any], others: Sequence[Any], schema: Mapping[str, Any], query: str
) -> str:
    """One of :data:`DETAILS`.

    Parameters
    ----------
    right
        The values that would have been right.
    others
        Right values of the other arguments, of this call and of the answer's other calls.
    schema
        The parameter's.
    query
        The user's words.
    """
    if any(_same(value, other) for other in others) and value not in (True, False, 0, 1, ""):
        return "swapped"
    number = _number(value)
    numbers = [wanted for item in right if (wanted := _number(item)) is not None]
    if number is not None and numbers:
        return _number_detail(number, numbers, query)
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, list):
        return next((_list_detail(value, item) for item in right if isinstance(item, list)), "items")
    if isinstance(value, dict):
        known = [item for item in right if isinstance(item, dict)]
        return "inside" if any(item.keys() == value.keys() for item in known) else "keys"
    if isinstance(value, str):
        return _text_detail(value, [item for item in right if isinstance(item, str)], schema, query)
    return _elsewhere(value, query)


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        return text_key(left) == text_key(right)
    return type(left) is type(right) and left == right


def _number(value: Any) -> float | None:
    """A number, also one that Java or JavaScript is given as text; None for any other value."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    if isinstance(value, str) and (len(value) > 40 or not value.strip(" -+")[:1].isdecimal()):
        return None
    try:
        return float(_SUFFIX.sub("", value.strip()) if isinstance(value, str) else value)
    except (ValueError, OverflowError):
        return None


def _number_detail(number: float, right: Sequence[float], query: str) -> str:
    if any(number == -wanted for wanted in right):
        return "sign"
    for wanted in right:
        ratio = _ratio(number, wanted)
        if ratio and any(_near(ratio, 10.0**power) for power in range(1, 10)):
            return "scale"
        if ratio and any(_near(ratio, unit) for unit in _UNITS):
            return "unit"
        if any(_near(convert(wanted), number) for convert in _TEMPERATURES):
            return "unit"
        if abs(number - wanted) == 1:
            return "off by one"
    return "number" if is_grounded(number, _said(query)) else "not in the query"


def _ratio(left: float, right: float) -> float:
    """The greater by the smaller of two numbers of the same sign, at least 1; 0 where there is none."""
    if not left or not right or (left < 0) != (right < 0):
        return 0.0
    ratio = abs(left / right)
    return max(ratio, 1 / ratio) if ratio else 0.0


def _near(left: float, right: float) -> bool:
    return abs(left - right) <= 1e-3 * max(abs(left), abs(right))


def _list_detail(value: list[Any], right: list[Any]) -> str:
    left = list(right)
    added = 0
    for item in value[:1000]:
        at = next((place for place, wanted in enumerate(left) if _same(item, wanted)), None)
        if at is None:
            added += 1
        else:
            del left[at]
    if added and left:
        return "items"
    if left:
        return "items missing"
    return "items added" if added or len(value) != len(right) else "order"


def _text_detail(value: str, right: Sequence[str], schema: Mapping[str, Any], query: str) -> str:
    choices = choices_of(schema, value)
    if choices:
        return "other choice" if in_enum(value, choices) else "not a choice"
    if circles(value):
        return "runs in circles"
    bare = _bare(value)
    for wanted in right:
        if is_dated(value) or is_dated(wanted):
            same = sorted(re.findall(r"\d+", value)) == sorted(re.findall(r"\d+", wanted))
            return "date format" if same else "date"
    for wanted in right:
        theirs = _bare(wanted)
        if len(value) <= _COMPARED and len(wanted) <= _COMPARED and bare and theirs:
            if bare == theirs or one_slip(bare, theirs):
                return "spelling"
            if _is_part(value, wanted):
                return "too little"
            if _is_part(wanted, value):
                return "too much"
            if difflib.SequenceMatcher(None, bare, theirs, autojunk=False).ratio() >= _ALIKE:
                return "spelling"
    if any(len(wanted.split()) >= FREE_TEXT for wanted in right):
        return "free text"
    return _elsewhere(value, query)


def _bare(text: str) -> str:
    """Letters and digits only, in small letters and without accents."""
    text = unicodedata.normalize("NFKD", text[:_COMPARED]).casefold()
    return "".join(char for char in text if char.isalnum())


def _is_part(part: str, whole: str) -> bool:
    few, many = part.casefold().split(), whole.casefold().split()
    return 0 < len(few) < len(many) and {word.strip(",.") for word in few} <= {w.strip(",.") for w in many}


def _elsewhere(value: Any, query: str) -> str:
    if isinstance(value, str) and len(value) > _LONG:
        return "other" if value in query else "not in the query"
    if isinstance(value, (str, int, float)) and value != "" and not is_grounded(value, _said(query)):
        return "not in the query"
    return "other"


def _said(query: str) -> Context:
    context = Context()
    context.add(query)
    return context
