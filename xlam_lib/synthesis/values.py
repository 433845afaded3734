"""Draws: each gives a canonical value and one of the texts that stand for it in a query.

The mapping from text to value is always unique: ``7.5%`` is 7.5 where the schema speaks of percent
(:func:`percent`) and 0.075 where it speaks of a fraction (:func:`fraction`).
"""

from __future__ import annotations

import datetime
import random
import re
from collections.abc import Mapping, Sequence
from typing import Any

from xlam_lib.synthesis.grammar import Draw, parse, render, text_of

_WORDS = "zero one two three four five six seven eight nine ten eleven twelve".split()
_DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
_MONTHS = ("January February March April May June July August September October November December").split()


def grouped(value: float | int) -> str:
    """The number with a comma between thousands."""
    return f"{value:,}"


def whole(low: int, high: int, step: int = 1, words: bool = True) -> Draw:
    """An integer: ``7``, ``seven``, ``12500`` or ``12,500``."""

    def draw(rng: random.Random) -> tuple[int, str]:
        value = rng.randrange(low, high + 1, step)
        if words and 1 < value <= 12 and rng.random() < 0.25:
            return value, _WORDS[value]
        if value >= 1000 and rng.random() < 0.5:
            return value, grouped(value)
        return value, str(value)

    return draw


def plain(low: int, high: int) -> Draw:
    """An integer that is always written plainly: a year, an identifier."""

    def draw(rng: random.Random) -> tuple[int, str]:
        value = rng.randint(low, high)
        return value, str(value)

    return draw


def decimal(low: float, high: float, digits: int = 1, whole_share: float = 0.4) -> Draw:
    """A number; a share of them whole (then a JSON integer, as it was written)."""

    def draw(rng: random.Random) -> tuple[float, str]:
        if rng.random() < whole_share:
            number = rng.randint(max(1, round(low)) if low >= 0 else round(low), max(1, round(high)))
            return number, grouped(number) if number >= 1000 and rng.random() < 0.5 else str(number)
        value = round(rng.uniform(low, high), rng.randint(1, digits))
        return value, grouped(value) if value >= 1000 and rng.random() < 0.5 else str(value)

    return draw


def money(low: int, high: int, cents: float = 0.25) -> Draw:
    """An amount of dollars: ``$1,500``, ``1500 dollars``, ``$19.99``, ``$2.5 million``."""
    step = 1 if high < 200 else 5 if high < 2000 else 50 if high < 50_000 else 500

    def draw(rng: random.Random) -> tuple[float, str]:
        if rng.random() < cents:
            value: float = round(rng.randint(low, high) + rng.choice((0.25, 0.49, 0.5, 0.75, 0.95, 0.99)), 2)
            text = f"{value:,.2f}" if rng.random() < 0.7 else f"{value:.2f}"
            return value, f"${text}"
        value = rng.randrange(low, high + 1, step)
        if value >= 1_000_000 and value % 100_000 == 0:
            return value, f"${value / 1_000_000:g} million"
        text = grouped(value) if rng.random() < 0.6 else str(value)
        way = rng.random()
        if way < 0.5:
            return value, f"${text}"
        return value, f"{text} dollars" if way < 0.72 else f"{text} USD" if way < 0.9 else f"${text}.00"

    return draw


def percent(low: float, high: float, step: float = 0.5) -> Draw:
    """A percentage whose value is in percent: ``7.5%`` is 7.5."""
    count = round((high - low) / step)

    def draw(rng: random.Random) -> tuple[float, str]:
        value = round(low + step * rng.randint(0, count), 4)
        value = int(value) if value == int(value) else value
        return value, rng.choice((f"{value}%", f"{value}%", f"{value} percent"))

    return draw


def fraction(low: float, high: float, step: float = 1) -> Draw:
    """A share whose value is a fraction of one: ``7.5%`` and ``0.075`` are 0.075."""
    count = round((high - low) / step)

    def draw(rng: random.Random) -> tuple[float, str]:
        value = round(low + step * rng.randint(0, count), 4)
        share = round(value / 100, 6)
        text = str(int(value) if value == int(value) else value)
        return share, rng.choice((f"{text}%", f"{text} percent", str(share)))

    return draw


def one(pool: Sequence[Any]) -> Draw:
    """One of a pool; an entry ``(value, text, ...)`` has texts of its own, another is its own text."""

    def draw(rng: random.Random) -> tuple[Any, str]:
        entry = rng.choice(pool)
        if isinstance(entry, tuple):
            return entry[0], rng.choice(entry[1:])
        return entry, str(entry)

    return draw


def enum(texts: Mapping[Any, Sequence[str] | str]) -> Draw:
    """An enum's value, said in one of its texts."""
    return one([(value, *([said] if isinstance(said, str) else said)) for value, said in texts.items()])


def flag(yes: Sequence[str] = (), no: Sequence[str] = ()) -> Draw:
    """A boolean that is said as a phrase, such as ``including tax``."""
    pool: list[tuple[bool, str]] = [(True, text) for text in yes] + [(False, text) for text in no]
    return lambda rng: rng.choice(pool)


def quoted(pool: Sequence[str]) -> Draw:
    """A text in quotation marks; the value is what is between them."""

    def draw(rng: random.Random) -> tuple[str, str]:
        value = rng.choice(pool)
        if '"' in value:
            return value, f"'{value}'"
        if rng.random() < 0.12:
            return value, f"\u201c{value}\u201d"
        return value, f"'{value}'" if "'" not in value and rng.random() < 0.4 else f'"{value}"'

    return draw


_WHO = (
    "the neighbours", "our new colleague", "the team", "my sister", "the committee", "a customer",
    "the editor", "the night shift", "everyone in the office", "the driver", "our landlord", "the choir",
    "my old teacher", "the support desk", "the gardener", "half the class", "the mayor", "my flatmate",
    "the courier", "our guide",
)  # fmt: skip
_DID = (
    "forgot about", "is waiting for", "was delighted with", "complained about", "asked about",
    "has just delivered", "will present", "cannot find", "was worried about", "finally repaired",
    "talked for hours about", "praised", "wrote to us about", "wants to replace", "took a picture of",
    "paid for", "lost patience with",
)  # fmt: skip
_WHAT = (
    "the new schedule", "the broken heater", "the missing keys", "the birthday cake", "the first draft",
    "a blue umbrella", "the garden gate", "the lost parcel", "the winter menu", "an old map",
    "the coffee machine", "the budget plan", "the spare room", "the opening speech", "the wrong invoice",
    "a second opinion", "the museum tickets", "the train connection", "a box of tools", "the hotel lobby",
    "the group photo", "the quiet keyboard",
)  # fmt: skip
_HOW = (
    "", "", "", " once more", " without a word", " before lunch", " in the end", " after the meeting",
    " with a smile", " over the phone", " as promised", " despite the rain", " at the last minute",
    " for no good reason",
)  # fmt: skip


def prose(low: int = 1, high: int = 2) -> Draw:
    """Free text of ``low`` to ``high`` invented sentences, in quotation marks; the value is between them."""

    def draw(rng: random.Random) -> tuple[str, str]:
        sentences = [
            f"{rng.choice(_WHO)} {rng.choice(_DID)} {rng.choice(_WHAT)}{rng.choice(_HOW)}"
            for _ in range(rng.randint(low, high))
        ]
        value = ". ".join(sentence[0].upper() + sentence[1:] for sentence in sentences)
        if len(sentences) > 1 or rng.random() < 0.4:
            value += "."
        return value, f'"{value}"' if rng.random() < 0.6 else f"'{value}'"

    return draw


def made(pattern: str, **parts: Draw) -> Draw:
    """A string put together from drawn values, which is its own text."""
    template = parse(pattern)

    def draw(rng: random.Random) -> tuple[str, str]:
        text = text_of(render(template, parts, {}, rng).pieces)
        return text, text

    return draw


def items(draw_item: Draw, low: int, high: int, distinct: bool = True) -> Draw:
    """A list of ``low`` to ``high`` items: ``3, 5 and 7``, ``[3, 5, 7]`` (numbers) or ``3, 5, 7``."""

    def draw(rng: random.Random) -> tuple[list[Any], str]:
        wanted = rng.randint(low, high)
        values: list[Any] = []
        texts: list[str] = []
        for _ in range(wanted * 10):
            value, text = draw_item(rng)
            if not distinct or value not in values:
                values.append(value)
                texts.append(text)
            if len(values) == wanted:
                break
        numeric = all(isinstance(value, (int, float)) for value in values)
        style = rng.random()
        if numeric:
            # A comma inside a number would blur the list.
            texts = [text.replace(",", "") for text in texts]
        if numeric and style < 0.35:
            return values, "[" + ", ".join(map(str, values)) + "]"
        if style < 0.6 or len(values) == 1:
            return values, ", ".join(texts)
        if not numeric and style > 0.85:
            last = ", and " if len(values) > 2 and style < 0.94 else " as well as " if style > 0.97 else " & "
            return values, ", ".join(texts[:-1]) + last + texts[-1]
        return values, ", ".join(texts[:-1]) + " and " + texts[-1]

    return draw


def measurements(low: float, high: float, count: tuple[int, int], digits: int = 0) -> Draw:
    """A list of readings, repeats allowed."""

    def number(rng: random.Random) -> tuple[float, str]:
        value = rng.randint(int(low), int(high)) if not digits else round(rng.uniform(low, high), digits)
        return value, str(value)

    return items(number, *count, distinct=False)


def matrix(rows: tuple[int, int], columns: tuple[int, int], low: int, high: int) -> Draw:
    """A rectangular list of lists, written in brackets."""

    def draw(rng: random.Random) -> tuple[list[list[int]], str]:
        height, width = rng.randint(*rows), rng.randint(*columns)
        value = [[rng.randint(low, high) for _ in range(width)] for _ in range(height)]
        return value, str(value)

    return draw


def pair(first: Draw) -> Draw:
    """Two different values of one draw, for a joint slot ``a,b``."""

    def draw(rng: random.Random) -> tuple[tuple[Any, Any], tuple[str, str]]:
        one_value, one_text = first(rng)
        other, text = first(rng)
        while other == one_value:
            other, text = first(rng)
        return (one_value, other), (one_text, text)

    return draw


def rising(first: Draw) -> Draw:
    """Two values of one draw, the smaller first, for a joint slot ``a,b``."""
    both = pair(first)

    def draw(rng: random.Random) -> tuple[tuple[Any, ...], tuple[str, ...]]:
        values, texts = both(rng)
        ordered = sorted(zip(values, texts, strict=True), key=lambda entry: entry[0])
        return (ordered[0][0], ordered[1][0]), (ordered[0][1], ordered[1][1])

    return draw


def _date_text(day: datetime.date, rng: random.Random) -> str:
    month = _MONTHS[day.month - 1]
    number, year = day.day, day.year
    ending = "th" if 10 < number < 14 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    way = int(rng.random() * 16)
    if way < 3:
        return day.isoformat()
    if way < 5:
        return f"{month} {number}, {year}"
    if way < 7:
        return f"{number} {month} {year}"
    if way < 9:
        return f"{month} {number}{ending}, {year}"
    if way == 9:
        return f"{month[:3]} {number} {year}"
    if way == 10:
        return f"{month[:3]} {number}, {year}"
    if way == 11:
        return f"{number} {month[:3]} {year}"
    if way == 12:
        return f"the {number}{ending} of {month} {year}"
    if way == 13:
        return f"{_DAYS[day.weekday()]}, {month} {number}, {year}"
    if way == 14:
        return f"{year}/{day.month:02d}/{number:02d}"
    # Day and month in digits, where only one of them can be the month.
    if number <= 12:
        return f"{number}{ending} {month} {year}"
    return f"{day.month:02d}/{number}/{year}" if rng.random() < 0.5 else f"{number}/{day.month:02d}/{year}"


def date(low: int = 2023, high: int = 2027) -> Draw:
    """A date ``YYYY-MM-DD``, said in digits or words, never so that day and month could be confused."""
    start = datetime.date(low, 1, 1).toordinal()
    end = datetime.date(high, 12, 31).toordinal()

    def draw(rng: random.Random) -> tuple[str, str]:
        day = datetime.date.fromordinal(rng.randint(start, end))
        return day.isoformat(), _date_text(day, rng)

    return draw


def clock(low: int = 6, high: int = 22) -> Draw:
    """A time of day ``HH:MM``: ``15:30``, ``3:30 PM``, ``3 p.m.`` or ``3 o'clock in the afternoon``."""

    def draw(rng: random.Random) -> tuple[str, str]:
        hour, minute = rng.randint(low, high), rng.choice((0, 0, 15, 30, 45, rng.randrange(0, 60, 5)))
        value = f"{hour:02d}:{minute:02d}"
        half = "AM" if hour < 12 else "PM"
        twelve = (hour - 1) % 12 + 1
        digits = f"{twelve}:{minute:02d}" if minute else str(twelve)
        way = rng.random()
        if way < 0.35:
            return value, value
        if way < 0.55:
            return value, f"{digits} {half}"
        if way < 0.75:
            return value, f"{digits}{half.lower()}"
        if way < 0.85:
            return value, f"{digits} {half[0].lower()}.m."
        if way < 0.92 and 5 <= hour < 22 and hour != 12:
            part = "morning" if hour < 12 else "afternoon" if hour < 18 else "evening"
            return value, f"{digits if minute else f'{digits} o{chr(39)}clock'} in the {part}"
        return value, f"{digits} {half.lower()}"

    return draw


def record(phrases: Sequence[str], **fields: Draw) -> Draw:
    """A nested object said by one of the phrases (templates over its fields)."""
    templates = [parse(phrase) for phrase in phrases]

    def draw(rng: random.Random) -> tuple[dict[str, Any], str]:
        done = render(rng.choice(templates), fields, {}, rng)
        said = done.calls[0]
        return {name: said[name][0] for name in fields if name in said}, text_of(done.pieces)

    return draw


def table(said: str, keys: Draw, values: Draw, low: int, high: int) -> Draw:
    """An object of free keys, such as ``{"rent": 900}``, said as a list of ``said`` (``{key} {value}``)."""

    def draw(rng: random.Random) -> tuple[dict[str, Any], str]:
        wanted, result, texts = rng.randint(low, high), {}, []
        for _ in range(wanted * 10):
            key, key_text = keys(rng)
            if key not in result:
                result[key], value_text = values(rng)
                texts.append(said.format(key=key_text, value=value_text))
            if len(result) == wanted:
                break
        joined = ", ".join(texts[:-1]) + " and " + texts[-1] if len(texts) > 1 else texts[0]
        return result, joined

    return draw


_FIGURE = (
    "the number we spoke about", "the number from before", "that figure I mentioned", "some number or other",
)  # fmt: skip
_PREPOSITIONS = frozenset(
    (
        "about against around as at between by for from in into is of on onto over than through to "
        "towards under until using vs with within"
    ).split()
)
_TAKES_OBJECT = frozenset(
    (
        "add bill call check convert delete find get invoice look message open play profile read "
        "restart route search see send show suggest translate track visit has have"
    ).split()
)
_NO_NOUN = frozenset(
    ("id text url to end start host left right base count sides values series body value").split()
)


def vague_words(
    name: str, schema: Mapping[str, Any], before: str, after: str, drawn: Sequence[tuple[Any, Any]]
) -> tuple[str, ...]:
    """Words that only allude to a required value (``my usual restaurant``, ``a few``); empty if none fit.

    Parameters
    ----------
    name, schema
        The parameter.
    before, after
        The text around its slot.
    drawn
        Some values and texts of its draw, which tell dates, times and amounts of money from other values.
    """
    if not before.endswith(" ") or not re.match(r"(?:[ ,.?!;:]|$)", after):
        return ()
    previous = re.findall(r"[A-Za-z']+$", before.rstrip())
    word = previous[0].lower() if previous else ""
    following = re.match(r" ([a-z]+)", after)
    texts = [str(text) for _, text in drawn]
    values = [value for value, _ in drawn]
    if schema.get("type") in ("integer", "number"):
        return _vague_number(word, after, texts)
    if word not in _PREPOSITIONS | _TAKES_OBJECT:
        return ()
    dated = [isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value) for value in values]
    timed = [isinstance(value, str) and re.fullmatch(r"\d\d:\d\d", value) for value in values]
    if all(dated):
        return (
            "the day I told you about",
            "the day I mentioned",
            "that day we spoke about",
            "the date you know",
        )
    if all(timed):
        return ("the usual time", "the time we agreed on", "the time I mentioned", "the same time as always")
    noun = name.lower().replace("_", " ")
    if not re.fullmatch(r"[a-z]{4,}(?: [a-z]{3,})?", noun) or noun in _NO_NOUN:
        return ()
    if any(part in before.lower() for part in (noun, noun.removesuffix("s"))):
        return ()
    if schema.get("type") == "array":
        if not noun.endswith("s") or (following and following[1] not in _PREPOSITIONS):
            return ()
        return (
            f"the usual {noun}", f"the {noun} I sent you", f"those {noun} from before",
            f"the same {noun} as last time", f"the {noun} on my list",
        )  # fmt: skip
    if schema.get("type") != "string" or noun.endswith("s"):
        return ()
    return (
        f"the {noun} I mentioned", f"the {noun} we spoke about", f"my usual {noun}",
        f"the same {noun} as last time",
        f"that {noun} from the other day", f"that {noun} I told you about",
    )  # fmt: skip


def _vague_number(word: str, after: str, texts: Sequence[str]) -> tuple[str, ...]:
    """Vague words for a number by the word before it, the text after it, and its usual texts."""
    if word in ("a", "an", "the", "my", "each", "am", "is", "are", "weigh", "at", "level"):
        return ()
    if all(re.search(r"\$|USD|dollars", text) for text in texts):
        return ("a reasonable amount", "a modest sum", "the usual amount", "that amount I mentioned")
    if any("%" in text or "percent" in text for text in texts):
        return ("the usual percentage", "a small percentage", "that percentage I mentioned")
    unit = re.match(r" (?!(?:this|was|has|does|its|plus|less|minus)\b)([a-z]{3,}s|people)\b(?! old)", after)
    if unit:
        if word in ("every", "next", "last", "past", "following", "coming", "first"):
            return ("few", "couple of")
        return ("a few", "several", "a couple of", "quite a few", "a bunch of")
    return _FIGURE if re.match(r"[,.?!;:]|$", after) and word in _PREPOSITIONS else ()
