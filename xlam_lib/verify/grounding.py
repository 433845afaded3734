"""Are the values of arguments grounded? A first, rule-based reading (xLAM report, section 3.3).

A value is grounded when it occurs in what the agent could know before the call: the task instruction, the
query, earlier observations, the user's later inputs (and the words of the agent that they answer), and the
called tool's own texts: descriptions, enumerations, defaults. The report asks an LLM judge, step by step;
rules are cheaper and come first, so they lean to silence. They forgive

- case, accents, punctuation, word endings, and one slip of spelling in a word;
- ``1,500``, ``1.5k``, ``2 million``, ``5%`` as 5 or 0.05, small number words, and the everyday conversions
  of time, length and mass; 0, 1, true, false, null and empty values, which hardly carry a fact;
- dates and times that a date, a month, a weekday or a word such as *tomorrow* may stand for;
- abbreviations, either way: initials, beginnings of words, common codes of currencies and languages;
- translation: words in Latin letters where the context is in another script;
- composed texts: more than :data:`MAX_QUOTED` words are written rather than quoted, and a shorter value is
  grounded when at least :data:`MIN_SHARE` of its words are.

So a value that is flagged is very likely invented, and one that is not may still be: that is for a judge.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from xlam_lib.schema import Step, Tool, Trajectory
from xlam_lib.verify.dates import date_fits
from xlam_lib.verify.findings import UNGROUNDED_VALUE, Finding
from xlam_lib.verify.names import one_slip
from xlam_lib.verify.numerals import TOKEN, numbers, opened, tokens, value_of

MAX_QUOTED = 12
MIN_SHARE = 0.5

_ENDINGS = ("ations", "ation", "ings", "ing", "ies", "ied", "ers", "ed", "es", "er", "ly", "s", "y", "e")
_STOP = frozenset(
    (
        "a",
        "an",
        "the",
        "of",
        "in",
        "on",
        "at",
        "to",
        "for",
        "from",
        "with",
        "by",
        "and",
        "or",
        "is",
        "are",
        "be",
    )
    + ("as", "it", "its", "this", "that")
)
_SYMBOLS = "$€£¥₹"
# Codes that are no beginning and no initials of what people say for them.
_CODES = {
    "usd": "dollar $ us", "eur": "euro €", "gbp": "pound sterling £", "jpy": "yen japanese ¥", "cny": "yuan",
    "inr": "rupee ₹", "btc": "bitcoin", "eth": "ethereum", "chf": "franc swiss", "krw": "won korean",
    "de": "german germany", "es": "spanish spain", "zh": "chinese china", "cn": "chinese china",
    "ja": "japanese", "kr": "korean korea", "ko": "korean", "sv": "swedish", "se": "swedish sweden",
    "gb": "british britain kingdom english england uk", "uk": "british britain england kingdom",
    "us": "america american states usa", "usa": "america american states us", "nl": "dutch netherlands",
    "ch": "swiss switzerland", "m": "male man he his meter metre", "f": "female woman she her fahrenheit",
    "c": "celsius",
}  # fmt: skip


_BEYOND_LATIN = 0x250


def _rounded(number: float) -> float:
    return float(f"{number:.9g}")


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


class Context:
    """What the agent could know so far: texts that are added as the steps go by."""

    def __init__(self) -> None:
        self.text = " "
        self.words: set[str] = set()
        self.joined: set[str] = set()  # two or three words written as one
        self.stems: set[str] = set()
        self.heads: set[str] = set()  # the first five letters of each telling word
        self.initials = ""
        self.codes: set[str] = set()  # "cad" of "Canadian dollars"
        self.other_script = False
        self.numbers: set[float] = set()

    def add(self, text: str) -> None:
        """Take a text in."""
        if not text:
            return
        shown = TOKEN.findall(opened(text))
        parts = [token.casefold() for token in shown]
        self.text += " ".join(parts) + " "
        self.joined.update(map("".join, pairwise(parts)))
        self.joined.update(map("".join, zip(parts, parts[1:], parts[2:], strict=False)))
        words = [token for token in parts if token.isalpha()]
        self.words.update(words)
        self.words.update(symbol for symbol in _SYMBOLS if symbol in text)
        self.stems.update(map(_stem, words))
        self.heads.update(word[:5] for word in words if word not in _STOP)
        # Capitals stay capitals: two of them are initials, two small letters are not.
        self.initials += "".join(token[0] for token in shown if token.isalpha() and token not in _STOP) + " "
        self.codes.update(left[:2] + right[0] for left, right in pairwise(words))
        self.other_script = self.other_script or any(ord(word[0]) >= _BEYOND_LATIN for word in words)
        self.numbers.update(_rounded(number) for number in numbers(text))

    def has_number(self, value: float) -> bool:
        """Whether a number is stated; 0 and 1 always are, and the sign is not looked at."""
        value = abs(value)
        return value in (0, 1) or _rounded(value) in self.numbers

    def has_word(self, word: str) -> bool:
        """Whether a word is there, give or take its ending, a slip, or its being an abbreviation."""
        if word in self.words or word in self.joined or word in self.codes or _stem(word) in self.stems:
            return True
        if self.other_script and ord(word[0]) < _BEYOND_LATIN:
            return True
        if len(word) >= 5:
            return word[:5] in self.heads or any(one_slip(word, known) for known in self.words)
        names = _CODES.get(word, "").split()
        if any(name in self.words or name + "s" in self.words for name in names):
            return True
        if len(word) < 2:
            return False
        initials = self.initials.casefold() if len(word) > 2 else self.initials
        spelled = word if len(word) > 2 else word.upper()
        return spelled in initials or any(head.startswith(word) for head in self.heads)


def is_grounded(value: str | int | float, context: Context) -> bool:
    """Whether one string or number can be told from the context, as the module says it."""
    if not isinstance(value, str):
        return context.has_number(float(value))
    dated = date_fits(value, context.words, context.numbers)
    if dated is not None:
        return dated
    parts = [token for token in tokens(value) if token != "%"]
    if not parts or len(parts) > MAX_QUOTED or f" {' '.join(parts)} " in context.text:
        return True
    whole = "".join(parts)
    if whole.isalpha() and (whole in context.words or whole in context.joined):
        return True
    telling = [token for token in parts if token not in _STOP] or parts
    if len(telling) > 1 and "".join(token[0] for token in telling) in context.words:
        return True
    return sum(_is_known(token, context) for token in telling) >= MIN_SHARE * len(telling)


def _is_known(token: str, context: Context) -> bool:
    number = value_of(token)
    if number is not None and context.has_number(number):
        return True
    return token.isalpha() and context.has_word(token)


def _texts(schema: Mapping[str, Any]) -> Iterator[str]:
    for key, value in schema.items():
        if key in ("type", "required"):
            continue
        yield from _strings(value)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield from _texts(value)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif value is not None:
        yield str(value)


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str | int | float]]:
    if isinstance(value, Mapping):
        for name, child in value.items():
            yield from _leaves(child, f"{path}.{name}")
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _leaves(child, f"{path}[{index}]")
    elif isinstance(value, (str, int, float)) and not isinstance(value, bool):
        yield path, value


def _tool_context(tool: Tool | None) -> Context:
    context = Context()
    if tool is not None:
        context.add(tool.description)
        for schema in tool.parameters.values():
            for text in _texts(schema):
                context.add(text)
    return context


def check_grounding(trajectory: Trajectory) -> Iterator[Finding]:
    """Yield a finding for each value that nothing before its call tells."""
    tools: dict[str, Tool] = {}
    for tool in trajectory.tools:
        tools.setdefault(tool.name, tool)
    documents: dict[str, Context] = {}
    context = Context()
    context.add(trajectory.task_instruction)
    context.add(trajectory.query)
    for step in trajectory.steps:
        for index, call in enumerate(step.tool_calls):
            for path, value in _leaves(call.arguments, "arguments"):
                if is_grounded(value, context):
                    continue
                if call.name not in documents:
                    documents[call.name] = _tool_context(tools.get(call.name))
                if not is_grounded(value, documents[call.name]):
                    message = (
                        f"{value!r} is neither in the query, in what came before, nor in the tool's texts"
                    )
                    yield Finding(UNGROUNDED_VALUE, step.step_id, index, path, message)
        _take_in(step, context)


def _take_in(step: Step, context: Context) -> None:
    if step.user_input and not step.tool_calls:
        context.add(step.thought)  # what the agent told the user, who then goes by it
    context.add(step.next_observation)
    context.add(step.user_input)
