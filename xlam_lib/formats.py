"""Output formats: how an agent writes its calls, with the strict reader of each (xLAM report, 3.1 and 3.2).

A :class:`Format` is an instruction for the prompt and a pair of functions that are each other's inverse:
``parse(render(calls, thought))`` gives the calls and the thought back. Training targets and the format
check of the synthesis use the strict reader; scoring uses :func:`extract_calls`, which forgives wrappings.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn

from xlam_lib.errors import ProfileError, XlamError
from xlam_lib.schema import ToolCall


class ParseError(XlamError):
    """A text is not an answer in the format that was asked for."""


class Answer(NamedTuple):
    """What an agent said: its calls in order, and its thought where the format carries one."""

    calls: list[ToolCall]
    thought: str = ""


@dataclass(frozen=True)
class Format:
    """One output format.

    Attributes
    ----------
    name
        Its key in :data:`FORMATS`.
    instruction, brief
        What the prompt says about it: in full, and in as few tokens as will do.
    writer, reader
        The two converters; call them through :meth:`render` and :meth:`parse`.
    has_thought
        Whether an answer carries a thought; where not, ``render`` leaves it out.
    """

    name: str
    instruction: str
    brief: str
    writer: Callable[[Sequence[ToolCall], str], str]
    reader: Callable[[str], Answer]
    has_thought: bool = False

    def render(self, calls: Sequence[ToolCall], thought: str = "") -> str:
        """Write an answer.

        Raises
        ------
        ParseError
            The calls cannot be written in this format (a value such as NaN, which JSON has not).
        """
        try:
            return self.writer(calls, thought)
        except (ValueError, TypeError, RecursionError) as error:
            raise ParseError(f"format {self.name}: cannot write the calls ({error})") from None

    def parse(self, text: str) -> Answer:
        """Read an answer strictly: exactly what :meth:`render` could have written, white space aside.

        Raises
        ------
        ParseError
            What is wrong, and where.
        """
        try:
            return self.reader(text)
        except ParseError as error:
            raise ParseError(f"format {self.name}: {error}") from None


def get_format(name: str | Format) -> Format:
    """The format of that name.

    Raises
    ------
    ProfileError
        There is none.
    """
    if isinstance(name, Format):
        return name
    try:
        return FORMATS[name]
    except KeyError:
        raise ProfileError(f"format {name!r} is unknown; choose one of {', '.join(FORMATS)}") from None


# ---------------------------------------------------------------------------------------------- JSON


def load_json(text: str) -> Any:
    """Read one JSON value and nothing beside it, more strictly than :func:`json.loads`.

    Raises
    ------
    ParseError
        Not JSON, text after the value, a key twice in one object, NaN or an infinity, half a surrogate
        pair, or nesting or digits beyond what Python can hold.
    """

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(items)
        if len(result) < len(items):
            keys = [key for key, _ in items]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise ParseError(f"the key {twice!r} stands twice in one object")
        return result

    def constant(name: str) -> NoReturn:
        raise ParseError(f"{name} is not a JSON number")

    def real(digits: str) -> float:
        value = float(digits)
        if math.isinf(value):
            raise ParseError(f"the number {digits[:24]} is too large")
        return value

    text = text.strip()
    if not text:
        raise ParseError("the text is empty")
    try:
        value = json.loads(text, object_pairs_hook=pairs, parse_constant=constant, parse_float=real)
        if "\\ud" in text.lower():
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            rest = text[error.pos :].strip()
            raise ParseError(f"extra text after the JSON value: {_clip(rest)}") from None
        raise ParseError(f"not JSON at character {error.pos}: {error.msg}; text: {_clip(text)}") from None
    except UnicodeEncodeError:
        raise ParseError("a string holds half of a surrogate pair") from None
    except RecursionError:
        raise ParseError("nested too deeply") from None
    except ValueError as error:  # an integer beyond Python's digit limit
        raise ParseError(f"not a usable number: {error}") from None
    return value


def dump_json(value: Any) -> str:
    """One line of JSON with a space after each comma and colon and other scripts left readable.

    Raises
    ------
    ValueError
        The value holds NaN or an infinity.
    """
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _clip(text: str, width: int = 60) -> str:
    return repr(text if len(text) <= width else text[:width] + "...")


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _read_call(value: Any, path: str) -> ToolCall:
    if not isinstance(value, dict):
        raise ParseError(f"{path}: is {_kind(value)}, expected an object with name and arguments")
    name = value.get("name")
    if not isinstance(name, str) or not name:
        raise ParseError(f"{path}.name: the call has no name")
    if "arguments" not in value:
        raise ParseError(f"{path}.arguments: is missing; a call without arguments says {{}}")
    if not isinstance(value["arguments"], dict):
        raise ParseError(f"{path}.arguments: is {_kind(value['arguments'])}, expected an object")
    _only(value, ("name", "arguments"), path)
    return ToolCall(name, value["arguments"])


def _read_calls(value: Any, path: str) -> list[ToolCall]:
    if not isinstance(value, list):
        raise ParseError(f"{path}: is {_kind(value)}, expected a list of calls")
    return [_read_call(item, f"{path}[{index}]") for index, item in enumerate(value)]


def _only(value: dict[str, Any], known: Sequence[str], path: str) -> None:
    unknown = [key for key in value if key not in known]
    if unknown:
        raise ParseError(f"{path}: unknown key {unknown[0]!r}; expected {' and '.join(known)}")


def calls_as_data(calls: Sequence[ToolCall]) -> list[dict[str, Any]]:
    """Calls as plain ``{"name", "arguments"}`` objects, in that order of keys."""
    return [{"name": call.name, "arguments": call.arguments} for call in calls]


def _write_json(calls: Sequence[ToolCall], thought: str) -> str:
    return dump_json({"tool_calls": calls_as_data(calls)})


def _write_json_thought(calls: Sequence[ToolCall], thought: str) -> str:
    return dump_json({"thought": thought, "tool_calls": calls_as_data(calls)})


def _read_object(text: str, keys: Sequence[str]) -> dict[str, Any]:
    value = load_json(text)
    if not isinstance(value, dict):
        raise ParseError(f"is {_kind(value)}, expected an object with {' and '.join(keys)}")
    missing = [key for key in keys if key not in value]
    if missing:
        raise ParseError(f"{missing[0]}: is missing")
    _only(value, keys, "the answer")
    return value


def _read_json(text: str) -> Answer:
    return Answer(_read_calls(_read_object(text, ("tool_calls",))["tool_calls"], "tool_calls"))


def _read_json_thought(text: str) -> Answer:
    value = _read_object(text, ("thought", "tool_calls"))
    if not isinstance(value["thought"], str):
        raise ParseError(f"thought: is {_kind(value['thought'])}, expected a string")
    return Answer(_read_calls(value["tool_calls"], "tool_calls"), value["thought"])


FORMATS: dict[str, Format] = {
    fmt.name: fmt
    for fmt in (
        Format(
            "json",
            "Write nothing but one JSON object with the key tool_calls. Its value is the list of calls in "
            "the order they should run, each with the function's name and an object of arguments, and it is "
            "empty when nothing is to be called. The shape is:\n"
            '{"tool_calls": [{"name": "function", "arguments": {"argument": "value"}}]}',
            'Reply in JSON only: {"tool_calls": [{"name": "f", "arguments": {"x": 1}}]}',
            _write_json,
            _read_json,
        ),
        Format(
            "json_thought",
            "Write nothing but one JSON object with two keys. thought is a sentence on why you act as you "
            "do, or what you say to the user. tool_calls is the list of calls in the order they should run, "
            "each with the function's name and an object of arguments, and it is empty when nothing is to be "
            "called. The shape is:\n"
            '{"thought": "why", "tool_calls": [{"name": "function", "arguments": {"argument": "value"}}]}',
            'Reply in JSON only: {"thought": "why", "tool_calls": [{"name": "f", "arguments": {"x": 1}}]}',
            _write_json_thought,
            _read_json_thought,
            has_thought=True,
        ),
    )
}


# ------------------------------------------------------------------------------------------ evaluation

_FENCE = re.compile(r"\A```[A-Za-z]*[ \t]*\n?(.*?)\n?[ \t]*```\Z", re.DOTALL)


def extract_calls(text: str) -> list[ToolCall]:
    """The calls of a JSON answer, as a decoder on the evaluation's side may read them.

    Forgiven, and nothing else: white space around, one code fence around, a thought or another key beside
    ``tool_calls``, a bare list of calls, and a bare single call. Text around the JSON is not: where a model
    is scored for *not* calling, an answer in prose must stay one that holds no calls.

    Raises
    ------
    ParseError
        No calls can be read.
    """
    text = text.strip()
    fenced = _FENCE.match(text)
    value = load_json(fenced.group(1) if fenced else text)
    if isinstance(value, dict) and "tool_calls" in value:
        value = value["tool_calls"]
    elif isinstance(value, dict) and "name" in value:
        value = [value]
    elif isinstance(value, dict):
        raise ParseError("the object has neither tool_calls nor name")
    return _read_calls(value, "tool_calls")


# A string that the text's end cuts off is one token too, so that brackets inside it do not count.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[{}\[\]]', re.DOTALL)
_START = re.compile(r"[{\[]")
_CLOSES = {"}": "{", "]": "["}


def find_end(text: str) -> int | None:
    """The index just past the first JSON object or list in ``text``, or ``None`` while it is open.

    Brackets inside strings and escaped quotes are seen as such. Text before the first bracket is skipped.
    Generation can stop here: ``text[:find_end(text)]``. Brackets that do not match never end.
    """
    start = _START.search(text)
    if start is None:
        return None
    stack: list[str] = []
    for token in _TOKEN.finditer(text, start.start()):
        mark = token.group()
        if mark in ("{", "["):
            stack.append(mark)
        elif mark in _CLOSES:
            if stack.pop() != _CLOSES[mark]:
                return None
            if not stack:
                return token.end()
    return None
