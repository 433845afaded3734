"""What a query states, as far as its text alone tells: quotations, dates, times, numbers, names and so on.

:func:`said` takes a query apart for the rules of :mod:`xlam_lib.synthesis.semantic_rules`, and :class:`Used`
answers whether calls use such a value. Both lean to silence: what may be mere prose (*one*, *24-hour clock*,
*the 3rd*) is not said, and a value counts as used in any of the ways people write it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from xlam_lib.schema import Tool
from xlam_lib.verify.dates import is_dated
from xlam_lib.verify.grounding import Context
from xlam_lib.verify.names import words
from xlam_lib.verify.numerals import numbers, tokens

LARGEST = 1e300  # integers of JSON may be larger than any float


class Said(NamedTuple):
    """One value in a query: its kind, its text, where it stands, the numbers it may stand for, what follows.

    Kinds: ``text`` (in quotation marks), ``address`` (e-mail or web), ``date`` (year or 0, month, day),
    ``time`` (hours, minutes), ``identifier``, ``number``, ``name``.
    """

    kind: str
    text: str
    start: int
    numbers: tuple[float, ...] = ()
    context: str = ""


_MONTHS = "january february march april may june july august september october november december".split()
_MONTH = "(?P<month>" + "|".join(f"{name[:3]}(?:{name[3:]})?" if name[3:] else name for name in _MONTHS) + ")"
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_DATES = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?<![\w-])(?P<year>\d{4})[-/](?P<number>\d\d?)[-/](?P<day>\d\d?)(?![\w-])",
        r"(?<![\w.,/-])(?P<day>\d\d?)(?P<mark>[./])(?P<number>\d\d?)(?P=mark)(?P<year>\d{4})(?![\w-])",
        rf"\b{_MONTH}\.? {_DAY}\b(?:(?:,| of)? ?(?P<year>\d{{4}})\b)?",
        rf"(?<![\w.,]){_DAY}(?: of)? {_MONTH}\b\.?(?:,? ?(?P<year>\d{{4}})\b)?",
    )
]
_TIME = re.compile(
    r"(?<![\w:.,])(\d{1,2})(?:[:.](\d\d))?\s*([ap])\.?m\b\.?|(?<![\w:.])(\d{1,2}) o'clock"
    r"|(?<![\w:.])(\d{1,2}):(\d\d)(?![\w:])",
    re.I,
)
_QUOTED = re.compile(r'"([^"\n]+)"|“([^”\n]+)”|(?<!\w)\'(.+?)\'(?!\w)|‘([^’\n]+)’(?!\w)')
_ADDRESS = re.compile(r"\b(?:https?://|www\.)[^\s\"'<>]+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_TOKEN = re.compile(r"[@#]?\w(?:[\w./:@#+-]*\w)?")
_HANDLE = re.compile(r"[@#][A-Za-z_]\w{2,}")
_MEASURED = re.compile(
    r"[\d.,:]+-?[A-Za-zµ°]{1,10}|[A-Za-z]{1,3}\d|\d+x\d+|\d+-[A-Za-z-]+|[\d./-]+[A-Za-z]{1,2}\d?"
)
_NUMBER = re.compile(
    r"(?<![\w.,])(?:(?<![\w)]-)|(?<=\s)-|(?<=[=(\[])-)?(?<!\^)\d+(?:,\d{3})*(?:\.\d+)?"
    r"(?!\w)(?![.,:/]\d)(?!-\w)"
)
_ENUMERATES = re.compile(r"(?m)^\s*\d+[.)]\s")
_SPELLED = re.compile(r"\b(?:three|four|five|six|seven|eight|nine|ten|eleven|twelve)\b(?!-)", re.I)
_WORD = r"[A-Z][a-z]{2,}(?:[-'’][A-Z]?[a-z]+)*(?!\w)"
_ISO = re.compile(r"(?<!\d)(\d{4})-(\d\d)-(\d\d)(?!\d)")
_NAME = re.compile(rf"(?<![\w-]){_WORD}(?: {_WORD})*")
_NOT_NAMES = frozenset(
    (*_MONTHS, *(name[:3] for name in _MONTHS))
    + tuple(
        "monday tuesday wednesday thursday friday saturday sunday hi hello hey please thanks thank".split()
    )
    + tuple("could can would what which how the and then also next tell give find get show may sept".split())
    + tuple("separately finally lastly furthermore meanwhile however alternatively specifically".split())
)
MOST_QUOTED = 0.8
_AFTER = 24  # characters after a number in which its unit stands


def said(query: str) -> list[Said]:
    """The values a query states, in order; no two overlap."""
    found: list[Said] = []
    rest = query

    def take(start: int, end: int, kind: str, values: Iterable[float] = (), text: str = "") -> None:
        nonlocal rest
        shown = text or query[start:end]
        found.append(Said(kind, shown, start, tuple(values), f"{shown} {query[end : end + _AFTER]}"))
        rest = rest[:start] + "\0" * (end - start) + rest[end:]

    for match in _QUOTED.finditer(rest):
        if len(match[0]) < MOST_QUOTED * len(query):  # a query may stand in quotation marks as a whole
            take(*match.span(), "text", text=next(filter(None, match.groups())))
    for match in _ADDRESS.finditer(rest):
        text = match[0].rstrip(".,;:!?)")
        take(match.start(), match.start() + len(text), "address")
    for pattern in _DATES:
        for match in pattern.finditer(rest):
            parts = match.groupdict()
            month = int(parts["number"]) if "number" in parts else _month(parts["month"])
            take(*match.span(), "date", (float(parts["year"] or 0), float(month), float(parts["day"])))
    for match in _TIME.finditer(rest):
        hour, minutes, half, full_hour, plain_hour, plain_minutes = match.groups()
        hours = float(hour or full_hour or plain_hour)
        if half:
            hours = hours % 12 + (12 if half in "pP" else 0)
        take(*match.span(), "time", (hours, float(minutes or plain_minutes or 0)))
    for match in _TOKEN.finditer(rest):
        text = match[0]
        mixed = any(c.isdigit() for c in text) and any(c.isalpha() for c in text)
        if _HANDLE.fullmatch(text) or (mixed and len(text) >= 5 and not _MEASURED.fullmatch(text)):
            take(*match.span(), "identifier")
    for match in _ENUMERATES.finditer(rest):  # the marks of a numbered list
        rest = rest[: match.start()] + "\0" * len(match[0]) + rest[match.end() :]
    for match in _NUMBER.finditer(rest):
        following = re.split(r"[\d\0]", rest[match.end() : match.end() + _AFTER])[0]
        take(*match.span(), "number", _stated(match[0].lstrip("-"), following))
    for match in _SPELLED.finditer(rest):
        following = re.split(r"[\d\0.?!,;]", rest[match.end() : match.end() + _AFTER])[0]
        if not rest[: match.start()].endswith(" of "):  # groups of four
            take(*match.span(), "number", _stated(match[0], following))
    for match in _NAME.finditer(rest):
        if not _begins_sentence(query, match.start()):
            take(*match.span(), "name")
        elif " " in match[0]:
            # The first word of a sentence is written large anyway; the ones after it are names.
            take(match.start() + match[0].index(" ") + 1, match.end(), "name")
    kept = (value for value in found if value.kind != "name" or value.text.casefold() not in _NOT_NAMES)
    return sorted(kept, key=lambda value: value.start)


def _stated(number: str, following: str) -> list[float]:
    """What a number may stand for with the unit behind it, without what that unit says by itself."""
    return sorted(numbers(number) | (numbers(number + following) - numbers(following)))


def _month(text: str) -> int:
    return next(at for at, name in enumerate(_MONTHS, 1) if name.startswith(text.lower()[:3]))


def _begins_sentence(query: str, start: int) -> bool:
    before = query[:start].rstrip(" \n\"'“‘(")
    return not before or before[-1] in ".?!:;-\n" or query[:start].endswith("\n")


def months_named(query: str) -> set[int]:
    """The months a query names, as numbers from 1."""
    parts = set(tokens(query))
    return {at for at, name in enumerate(_MONTHS, 1) if name in parts or (name[:3] in parts and at != 5)}


def squeezed(text: str) -> str:
    """The letters and digits of a text, in small letters."""
    return re.sub(r"[\W_]+", "", text.casefold())


def leaves(value: Any) -> Iterator[str | int | float | bool | None]:
    """The scalars inside a JSON value, keys of objects included."""
    if isinstance(value, Mapping):
        for key, child in value.items():
            yield str(key)
            yield from leaves(child)
    elif isinstance(value, (list, tuple)):
        for child in value:
            yield from leaves(child)
    else:
        yield value


def _sizes(value: Any) -> Iterator[int]:
    if isinstance(value, Mapping):
        for child in value.values():
            yield from _sizes(child)
    elif isinstance(value, list):
        yield len(value)
        for child in value:
            yield from _sizes(child)


class Used:
    """The values of some calls' arguments, ready to be asked for what a query says."""

    def __init__(self, arguments: Sequence[Mapping[str, Any]]) -> None:
        self.texts: list[str] = []
        self.numbers: set[float] = {float(len(arguments))}  # "two quotes" may be two calls, or a list of two
        for value in (value for given in arguments for value in given.values()):
            self.numbers.update(map(float, _sizes(value)))
            for leaf in leaves(value):
                if isinstance(leaf, str):
                    self.texts.append(leaf)
                elif isinstance(leaf, (int, float)) and abs(leaf) < LARGEST:
                    self.texts.append(str(leaf))
                    self.numbers.add(_rounded(float(leaf)))
        self.parts = set(self.numbers)  # with those inside dates and times
        for text in self.texts:
            stated = set(map(_rounded, numbers(text)))
            self.parts |= stated
            if not is_dated(text):
                self.numbers |= stated
        self.dates = [
            tuple(map(float, match.groups())) for text in self.texts for match in _ISO.finditer(text)
        ]
        self.squeezed = "|".join(squeezed(text) for text in self.texts)
        self.words = {token for text in self.texts for token in tokens(text)}
        self.context = Context()
        self.context.add(" | ".join(self.texts))

    def has(self, value: Said) -> bool:
        """Whether some argument uses a value, however it is written."""
        if squeezed(value.text) in self.squeezed:
            return True
        if value.kind == "number":
            return any(_rounded(number) in self.numbers for number in value.numbers)
        if value.kind == "date":
            return self._has_date(*value.numbers)
        if value.kind == "time":
            hours, minutes = value.numbers
            there = {hours, (hours - 1) % 12 + 1, hours % 12 + 12} & self.parts
            return bool(there) and minutes in self.parts | {0.0}
        parts = tokens(value.text)
        if value.kind in ("text", "name"):
            if "".join(part[0] for part in parts) in self.words and len(parts) > 1:
                return True
            own = Context()
            own.add(value.context or value.text)
            known = [self._has_word(part) for part in parts if len(part) > 2]
            if value.kind == "text":  # of a name one word may do, of a quotation it does not
                return 2 * sum(known) > len(known)
            if any(known) or any(len(s) == 2 and s.isalpha() and s[0] == parts[0][0] for s in self.words):
                return True  # a code of two letters may stand for any name that begins so
            return any(
                own.has_word(short) for short in self.words if len(short) in (2, 3) and short.isalpha()
            )
        # "v1.2.3" is version 1.2.3
        return value.kind == "identifier" and squeezed(value.text).removeprefix("v") in self.squeezed

    def has_any_date(self, said: Iterable[Said]) -> bool:
        """Whether one of the dates that are said is used."""
        return any(value.kind == "date" and self._has_date(*value.numbers) for value in said)

    def _has_date(self, year: float, month: float, day: float) -> bool:
        if self.dates:
            return any(
                day in (d, m) and month in (d, m) and (not year or year == y) for y, m, d in self.dates
            )
        named = 1 <= month <= 12 and any(_MONTHS[int(month) - 1][:3] == word[:3] for word in self.words)
        there = day in self.parts and (named or month in self.parts)
        return there and (not year or year in self.parts)

    def _has_word(self, word: str) -> bool:
        if self.context.has_word(word):
            return True
        return any(abbreviates(short, word) for short in self.words if 1 < len(short) <= 4)


def _rounded(number: float) -> float:
    return float(f"{abs(number):.9g}")


def abbreviates(short: str, word: str) -> bool:
    """Whether a short word has some of a longer one's letters in their order: ``GA`` of Georgia.

    A code of three letters may end with another word's, as currencies do: ``JPY`` is Japanese yen.
    """
    if short[0] != word[0] or not short.isalpha() or len(short) >= len(word):
        return False
    rest = iter(word)
    return all(letter in rest for letter in (short[:2] if len(short) == 3 else short))


_ENDINGS = (
    "ations", "ation", "ments", "ment", "ings", "ions", "ing", "ion", "ies", "ied", "ers", "ed", "es", "er",
    "or", "ly", "s", "y", "e",
)  # fmt: skip
_HEAD = 6
_EMPTY = frozenset(
    (
        "the and for with from into that this these those what which who whom whose how when where why can "
        "could would will shall should may might must please need want like have has had are was were been "
        "being does did you your our their his her its she him they them there here then also next after "
        "before additionally besides finally lastly furthermore moreover one two some any all each every "
        "both other another more most give tell show get let make use using used given via per not but out "
        "about over under than too very just only now hello thanks thank help know provide specify specified "
        "specific based string integer number boolean list array value values optional required default true "
        "false function tool returns return"
    ).split()
)


def stem(word: str) -> str:
    """A word without its ending, its first letters only: ``conversion`` and ``converted`` are one."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            break
    return word[:_HEAD]


def stems(text: str) -> set[str]:
    """The stems of a text's telling words."""
    return {stem(w) for w in tokens(text) if len(w) > 2 and w[0].isalpha() and w not in _EMPTY}


def name_stems(name: str) -> set[str]:
    """The stems of an identifier's telling words."""
    return {stem(word) for word in words(name) if len(word) > 2 and word.isalpha() and word not in _EMPTY}


class ToolWords(NamedTuple):
    """A tool's stems: of its name, of all its texts, and of the values it lists."""

    name: set[str]
    all: set[str]
    choices: set[str]


def tool_words(tool: Tool) -> ToolWords:
    """The words by which a tool may be asked for."""
    own = name_stems(tool.name)
    found = own | stems(tool.description)
    choices: set[str] = set()
    for parameter, schema in tool.parameters.items():
        found |= name_stems(parameter) | stems(str(schema.get("description", "")))
        for choice in schema.get("enum") or ():
            choices |= stems(str(choice))
    return ToolWords(own, found | choices, choices)
