"""Why an answer cannot be read."""

from __future__ import annotations

import json

from xlam_lib.diagnose.circles import END, circles
from xlam_lib.diagnose.mistakes import BAD_FORMAT, EARLY_STOP, REPETITION, Mistake, clipped
from xlam_lib.evaluate.bfcl import ANSWER_LIMIT
from xlam_lib.formats import FORMATS, Format, ParseError, extract_calls, find_end, get_format, load_json
from xlam_lib.formats.json_text import unfence

_TRIED = 4000  # characters; longer texts are not tried in the other formats
# What load_json says, and what it is called here.
_SAID = (
    ("stands twice", "duplicate key"),
    ("is not a JSON number", "number"),
    ("is too large", "number"),
    ("not a usable number", "number"),
    ("surrogate", "encoding"),
    ("nested too deeply", "nested too deeply"),
)

DETAILS = (
    "too long",
    "encoding",
    "nested too deeply",
    "number",
    "duplicate key",
    "cut off",
    "prose around",
    "several values",
    "Python syntax",
    "another format",
    "no JSON",
    "not JSON",
    "wrong shape",
)
"""What can be the matter with an answer that cannot be read."""


def unreadable(text: str, format: str | Format = "json") -> list[Mistake]:
    """The mistakes of an answer that :func:`xlam_lib.evaluate.bfcl.decode` does not read."""
    if not text.strip():
        return [Mistake(EARLY_STOP, "empty answer", expected="an answer")]
    fmt = get_format(format)
    mistakes = [Mistake(BAD_FORMAT, _detail(text, fmt), expected=f"format {fmt.name}", found=clipped(text))]
    if circles(text):
        mistakes.append(Mistake(REPETITION, "text", found=clipped(text[-END:])))
    return mistakes


def _detail(text: str, fmt: Format) -> str:
    if len(text) > ANSWER_LIMIT:
        return "too long"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "encoding"
    detail = _json_detail(text.strip()) if fmt.name in ("json", "json_thought") else "not JSON"
    if detail in ("no JSON", "not JSON", "wrong shape", "several values") and len(text) <= _TRIED:
        for other in FORMATS.values():
            if other.name != fmt.name and _makes_calls(text, other):
                return "another format"
    if fmt.name not in ("json", "json_thought") and detail == "not JSON":
        return "wrong shape"
    return detail


def _makes_calls(text: str, fmt: Format) -> bool:
    try:
        return bool(fmt.parse(text).calls)
    except (ParseError, RecursionError):
        return False


def _json_detail(text: str) -> str:
    inner = unfence(text)
    body = text if inner is None else inner
    try:
        load_json(body)
    except ParseError as error:
        message = str(error)
    else:
        return "nested too deeply" if _is_call(body) else "wrong shape"
    for phrase, detail in _SAID:
        if phrase in message and not message.startswith(("not JSON", "extra text")):
            return detail
    start = min((place for mark in "{[" if (place := body.find(mark)) >= 0), default=-1)
    if start < 0:
        return "no JSON"
    end = find_end(body)
    if end is None:
        return _broken(body[start:])
    if _reads(body[start:end]):
        # Beside the first value there is more: another one, or words.
        rest = body[end:].removeprefix("```").strip(" \t\r\n,;")
        return "several values" if rest[:1] in ("{", "[") and find_end(rest) is not None else "prose around"
    return _broken(body[start:end])


def _broken(body: str) -> str:
    """What is the matter with JSON that begins with a bracket."""
    try:
        json.JSONDecoder(strict=False).raw_decode(body)
    except json.JSONDecodeError as error:
        rest = body[error.pos :]
        if find_end(body) is None and (error.msg.startswith("Unterminated string") or len(rest) <= 8):
            return "cut off"
        if rest.lstrip()[:1] == "'" or rest.lstrip().startswith(("True", "False", "None")):
            return "Python syntax"
        return "not JSON"
    except RecursionError:
        return "nested too deeply"
    except ValueError:
        return "number"
    return "encoding"  # nothing but a control character inside a string was in the way


def _reads(body: str) -> bool:
    try:
        load_json(body)
    except ParseError:
        return False
    return True


def _is_call(body: str) -> bool:
    try:
        extract_calls(body)
    except (ParseError, RecursionError):
        return False
    return True
