"""Values for a tool that nobody described further: which ones its schemas allow, and how they are said.

By the schemas' enums, formats, bounds and patterns, by examples, and by what the parameters are called. A
value is only ever drawn if it is valid under its schema.
"""

from __future__ import annotations

import datetime
import math
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from xlam_lib.schema import Tool, type_matches
from xlam_lib.synthesis import values
from xlam_lib.synthesis.auto_words import (
    Saying,
    Schema,
    Undrawable,
    label,
    plain_phrase,
    singular_of,
    verb_of,
)
from xlam_lib.synthesis.grammar import Draw, parse, render, text_of
from xlam_lib.synthesis.library import pools

_DEPTH = 6  # levels of nesting that values are drawn for

_TRIALS = 40  # draws until one is valid


def _fits(value: Any, schema: Schema) -> bool:
    """Whether a JSON value is valid under a schema of ours, at any depth."""
    if not type_matches(value, schema):
        return False
    if "enum" in schema and not any(_equal(value, choice) for choice in schema["enum"]):
        return False
    if "const" in schema and not _equal(value, schema["const"]):
        return False
    if any(key in schema and not any(_fits(value, part) for part in schema[key]) for key in ("anyOf",)):
        return False
    if isinstance(value, bool):
        return True
    if isinstance(value, (int, float)):
        return _number_fits(value, schema)
    if isinstance(value, str):
        pattern = schema.get("pattern")
        return _sized(value, schema, "Length") and (not pattern or bool(re.search(pattern, value)))
    if isinstance(value, list):
        distinct = not schema.get("uniqueItems") or len({repr(item) for item in value}) == len(value)
        items = schema.get("items")
        every = not isinstance(items, dict) or all(_fits(item, items) for item in value)
        return _sized(value, schema, "Items") and distinct and every
    if isinstance(value, dict):
        return _object_fits(value, schema)
    return True


def _equal(value: Any, other: Any) -> bool:
    return value == other and isinstance(value, bool) == isinstance(other, bool)


def _number_fits(value: float, schema: Schema) -> bool:
    step = schema.get("multipleOf")
    return (
        value >= schema.get("minimum", -math.inf)
        and value <= schema.get("maximum", math.inf)
        and value > schema.get("exclusiveMinimum", -math.inf)
        and value < schema.get("exclusiveMaximum", math.inf)
        and (not step or (value / step).is_integer())
    )


def _sized(value: Any, schema: Schema, what: str) -> bool:
    return schema.get(f"min{what}", 0) <= len(value) <= schema.get(f"max{what}", math.inf)


def _object_fits(value: dict[str, Any], schema: Schema) -> bool:
    properties = schema.get("properties")
    if not _sized(value, schema, "Properties"):
        return False
    if isinstance(properties, dict):
        missing = [name for name, child in properties.items() if child.get("required") is True]
        return (
            value.keys() <= properties.keys()
            and all(name in value for name in missing)
            and all(_fits(item, properties[name]) for name, item in value.items())
        )
    others = schema.get("additionalProperties")
    return not isinstance(others, dict) or all(_fits(item, others) for item in value.values())


def saying_of(
    name: str, schema: Schema, examples: Sequence[Any] | None, python: bool, depth: int = 0
) -> Saying:
    """How values of a parameter are drawn; only valid ones come out.

    Parameters
    ----------
    python
        Whether a Python function is called, which takes times without a zone.

    Raises
    ------
    Undrawable
        No valid value is found.
    """
    if not re.fullmatch(r"\w+", name):
        raise Undrawable("its name is not made of letters, digits and underscores")
    said = _proposal(name, schema, examples, python, depth)
    rng = random.Random(name)
    good = [drawn for drawn in (said.draw(rng) for _ in range(_TRIALS)) if _fits(drawn[0], schema)]
    if not good:
        raise Undrawable(f"no valid value was found for the schema {_brief(schema)}")

    def draw(rng: random.Random) -> tuple[Any, str]:
        for _ in range(_TRIALS):
            value, text = said.draw(rng)
            if _fits(value, schema):
                return value, text
        return rng.choice(good)

    return replace(said, draw=draw)


def _brief(schema: Schema) -> str:
    told = {key: value for key, value in schema.items() if key not in ("description", "required", "default")}
    return str(told)[:120]


def _proposal(name: str, schema: Schema, examples: Sequence[Any] | None, python: bool, depth: int) -> Saying:
    if depth > _DEPTH:
        raise Undrawable(f"is nested more than {_DEPTH} levels deep")
    if "$ref" in schema or "oneOf" in schema or "allOf" in schema:
        raise Undrawable(f"its schema uses {next(k for k in ('$ref', 'oneOf', 'allOf') if k in schema)}")
    if examples:
        return _among(list(examples), schema)
    if "const" in schema:
        return _among([schema["const"]], schema)
    kinds = schema.get("type")
    if isinstance(schema.get("anyOf"), list):
        described = {"description": schema.get("description", "")}
        return _first_of([{**described, **option} for option in schema["anyOf"]], name, python, depth)
    if isinstance(kinds, list):
        return _first_of([{**schema, "type": kind} for kind in kinds], name, python, depth)
    if kinds == "boolean":
        return _flag(name, schema)
    if "enum" in schema:
        return _among([value for value in schema["enum"] if _fits(value, schema)], schema)
    if kinds in ("integer", "number"):
        return _number(name, schema)
    if kinds == "array" or (kinds is None and "items" in schema):
        return _list(name, schema, python, depth)
    if kinds == "object" or (kinds is None and "properties" in schema):
        return _object(name, schema, python, depth)
    if kinds in ("string", None):
        return _string(name, schema, python)
    raise Undrawable(f"no value can be said for the type {kinds!r}")


def _first_of(options: Iterable[Schema], name: str, python: bool, depth: int) -> Saying:
    for option in options:
        if option.get("type") != "null":
            try:
                return saying_of(name, option, None, python, depth)
            except Undrawable:
                continue
    raise Undrawable("none of its types can be drawn")


def _among(choices: Sequence[Any], schema: Schema) -> Saying:
    """One of given values, each said in words of its own."""
    scalars = [
        choice for choice in choices if isinstance(choice, (str, int, float)) and _fits(choice, schema)
    ]
    if not scalars:
        raise Undrawable("none of its possible values can be said in words")
    spoken = [_spoken_value(choice) for choice in scalars]
    if len({text.casefold() for text in spoken}) < len(spoken):
        spoken = [str(choice) for choice in scalars]
    if len(set(spoken)) < len(spoken):
        raise Undrawable("two of its possible values look the same")
    numeric = all(not isinstance(choice, str) for choice in scalars)
    if any(map(_needs_quotes, spoken)):
        spoken = [_in_quotes(choice) if isinstance(choice, str) else str(choice) for choice in scalars]
    pool = list(zip(scalars, spoken, strict=True))
    return Saying(values.one(pool), "number" if numeric else "named")


def _spoken_value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value)
    return text.replace("_", " ") if re.fullmatch(r"[a-z]+(_[a-z]+)+", text) else text


def _needs_quotes(text: str) -> bool:
    return (
        not text.strip()
        or text != text.strip()
        or len(text.split()) > 5
        or bool(re.search(r"[.!?;:\n]\s|[\n\"]", text))
    )


def _in_quotes(text: str) -> str:
    return f"'{text}'" if '"' in text else f'"{text}"'


_ADJECTIVE = re.compile(
    r".*(?:ed|ic|al|able|ible|ive|ous|ful|only|en|ish|private|public|exact|strict|free|urgent|verbose|"
    r"recent|current|direct|nonstop|anonymous|raw|fast|dark)$"
)
_ASSERTING = {"is", "are", "be", "was", "should"}
_HAVING = {"has", "have", "with", "add", "include", "includes"}
_TURNING = {"enable", "enabled", "activate"}
_DOUBLING = {"get", "skip", "set", "put", "run", "cut", "trim", "stop", "drop", "map", "plan", "let", "log"}


def _flag(name: str, schema: Schema) -> Saying:
    """A boolean, whose text names it: ``including tax``, ``not organic``, ``without photos``."""
    words = label(name, schema).split()
    first, rest = words[0].lower(), " ".join(words[1:])
    if first in _ASSERTING and rest:
        yes, no = rest, f"not {rest}"
    elif (first in _HAVING or first in _TURNING) and rest:
        yes, no = f"with {rest}", f"without {rest}"
    elif first in {"without", "no", "exclude"} and rest:
        yes, no = f"without {rest}", f"with {rest}"
    elif rest and verb_of(first):
        gerund = _gerund(first)
        yes, no = f"{gerund} {rest}", f"not {gerund} {rest}"
    elif _ADJECTIVE.match(words[-1].lower()):
        yes, no = " ".join(words), f"not {' '.join(words)}"
    else:
        yes, no = f"with {' '.join(words)}", f"without {' '.join(words)}"
    pool = [(value, text) for value, text in ((True, yes), (False, no)) if _fits(value, schema)]
    if not pool:
        raise Undrawable("neither true nor false is allowed")
    return Saying(values.one(pool), "flag")


def _gerund(verb: str) -> str:
    if verb in _DOUBLING:
        return f"{verb}{verb[-1]}ing"
    return f"{verb[:-1]}ing" if verb.endswith("e") and not verb.endswith(("ee", "ye")) else f"{verb}ing"


# What numbers are likely to be, by the words of their name: low, high, and how they are written.
_RANGES: tuple[tuple[str, float, float, str], ...] = (
    (r"\b(year|yyyy)\b", 2000, 2030, "plain"),
    (r"\b(timestamp|epoch|unix)\b", 1_700_000_000, 1_800_000_000, "plain"),
    (r"\blatitude\b", -60, 65, "point"),
    (r"\blongitude\b", -150, 150, "point"),
    (r"\bport\b", 1024, 49151, "plain"),
    (r"\b(percent|percentage)\b", 1, 95, "percent"),
    (r"\b(probability|fraction|share|threshold|confidence|alpha)\b", 0.05, 0.95, "share"),
    (r"\bage\b", 18, 80, "number"),
    (r"\bhours?\b", 1, 23, "number"),
    (r"\b(minutes?|seconds?|duration|timeout)\b", 5, 55, "number"),
    (r"\bmonth\b", 1, 12, "plain"),
    (r"\bday\b", 1, 28, "plain"),
    (r"\b(days|nights|weeks|months|years)\b", 2, 14, "number"),
    (r"\b(ID|identifier)$", 1000, 99999, "plain"),
    (r"\b(page|offset|level|priority|version)\b", 1, 9, "plain"),
    (r"\b(limit|count|quantity|top|results|size)\b", 2, 20, "number"),
    (r"\b(guests|people|passengers|adults|children|members|students)\b", 2, 12, "number"),
    (r"\b(rating|stars|score|grade)\b", 1, 5, "number"),
    (r"\b(price|amount|cost|budget|salary|income|balance|payment|fee|principal|loan|deposit|rent|revenue)\b",
     20, 5000, "number"),
    (r"\btemperature\b", -10, 35, "number"),
    (r"\b(weight|height|length|width|depth|radius|diameter|distance|area|mass|speed)\b", 1, 60, "number"),
    (r"\brate\b", 1, 12, "number"),
)  # fmt: skip


def _number(name: str, schema: Schema) -> Saying:
    words, described = label(name, schema), str(schema.get("description", ""))
    whole = schema["type"] == "integer"
    low, high, style = 2.0, 12.0 if whole else 50.0, "number"
    default = schema.get("default")
    for pattern, lowest, highest, written in _RANGES:
        if re.search(pattern, words):
            low, high, style = lowest, highest, written
            break
    else:
        if isinstance(default, (int, float)) and not isinstance(default, bool) and default >= 0:
            low, high = default / 2, default * 3 if default >= 2 else default + 4
        if re.search(r"\b(percent|%)", described) and "fraction" not in described:
            low, high, style = 1.0, 95.0, "percent"
    low, high = _bounded(low, high, schema)
    step = schema.get("multipleOf") or (1 if whole else 0)
    if whole:
        step = _whole_step(step)
    if whole and style == "share":
        style = "number"
    if step:
        draw = _multiples(low, high, step, style)
    elif low == high:
        draw = values.one([(low, str(low))])
    else:
        digits = 4 if style == "point" else 2 if style == "share" or high - low < 5 else 1
        draw = _decimals(low, high, digits, style)
    known = re.search(r"\b(ID|number|code|year|page)$", words)  # "the order ID 17", not "an order ID of 17"
    return Saying(draw, "named" if known else "number", ordered=True)


def _bounded(low: float, high: float, schema: Schema) -> tuple[float, float]:
    """The likely range within what is allowed; where they do not meet, a range that is allowed."""
    least = max(schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf))
    most = min(schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf))
    if least > most:
        raise Undrawable(f"its least value {least:g} is above its greatest {most:g}")
    if max(low, least) < min(high, most):
        return max(low, least), min(high, most)
    span = max(10.0, abs(least) / 2 if math.isfinite(least) else abs(most) / 2)
    if math.isfinite(least):
        return least, min(most, least + span)
    return most - span, most


def _whole_step(step: float) -> int:
    for factor in range(1, 101):
        if float(step * factor).is_integer():
            return int(step * factor)
    raise Undrawable(f"no whole number is a multiple of {step}")


def _multiples(low: float, high: float, step: float, style: str) -> Draw:
    first, last = math.ceil(low / step), math.floor(high / step)
    if first > last:
        first = last = round(low / step)
        last += 1

    def draw(rng: random.Random) -> tuple[float, str]:
        value = rng.randint(first, last) * step
        if isinstance(value, float):
            value = round(value, 10)
            value = int(value) if value.is_integer() else value
        return value, _number_text(value, style, rng)

    return draw


def _decimals(low: float, high: float, digits: int, style: str) -> Draw:
    def draw(rng: random.Random) -> tuple[float, str]:
        places = digits if style in ("point", "share") else rng.choice((0, 0, digits))
        value: float = round(rng.uniform(low, high), places)
        if not low <= value <= high:  # rounded out of a narrow range
            value = rng.uniform(low, high)
        value = int(value) if value.is_integer() else value
        return value, _number_text(value, style, rng)

    return draw


def _number_text(value: float, style: str, rng: random.Random) -> str:
    text = str(value)
    if style == "percent":
        return f"{text}{rng.choice(('%', '%', ' percent'))}"
    if style == "number" and abs(value) >= 10_000 and "e" not in text and rng.random() < 0.5:
        return values.grouped(value)
    return text


def _list(name: str, schema: Schema, python: bool, depth: int) -> Saying:
    item_schema = schema.get("items") if isinstance(schema.get("items"), dict) else {}
    assert isinstance(item_schema, dict)
    described = {"description": schema.get("description", ""), **item_schema}
    item = saying_of(singular_of(name), described, None, python, depth + 1)
    low = int(schema.get("minItems", 0))
    high = int(schema.get("maxItems", max(low, 4)))
    low, high = (min(2, high) if low < 2 else low), min(high, max(low, 4))
    if high < max(low, 1):
        raise Undrawable("it may only be empty" if high == 0 else "its greatest length is below its least")
    unique = bool(schema.get("uniqueItems"))
    free = item.form == "number"  # readings may repeat
    nested = item.form in ("list", "record")

    def draw(rng: random.Random) -> tuple[list[Any], str]:
        wanted = rng.randint(low, high)
        if nested:
            drawn = [item.draw(rng) for _ in range(wanted)]
            return [value for value, _ in drawn], "; ".join(text for _, text in drawn)
        several = values.items(item.draw, wanted, wanted, distinct=unique or not free)(rng)
        if len(several[0]) < wanted and not unique:
            several = values.items(item.draw, wanted, wanted, distinct=False)(rng)
        return several

    if nested and item.form == "list":
        return Saying(lambda rng: _as_json(draw(rng)[0]), "list")
    return Saying(draw, "record" if nested else "list")


def _as_json(value: Any) -> tuple[Any, str]:
    return value, str(value).replace("'", '"')


def _object(name: str, schema: Schema, python: bool, depth: int) -> Saying:
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return _table(name, schema, python, depth)
    sayings: dict[str, Saying] = {}
    for field, child in properties.items():
        try:
            sayings[field] = saying_of(field, child, None, python, depth + 1)
        except Undrawable as fault:
            if child.get("required") is True:
                raise Undrawable(f"{field}: {fault}") from None
    for field, child in () if sayings else properties.items():
        try:  # nothing tells what it takes; an object has to hold something
            free = {key: value for key, value in child.items() if key != "required"}
            sayings[field] = saying_of(field, free, None, python, depth + 1)
            break
        except Undrawable:
            continue
    if not sayings:
        raise Undrawable("is an object without properties that can be said")
    parts = []
    for field, said in sayings.items():
        phrase = plain_phrase(field, properties[field], said)
        optional = properties[field].get("required") is not True and len(sayings) > 1
        parts.append((phrase, optional))
    parts.sort(key=lambda part: part[1])
    first, *others = parts
    source = first[0] + "".join(f"[, {text}]" if optional else f", {text}" for text, optional in others)
    template = parse(source)
    draws = {field: said.draw for field, said in sayings.items()}

    def draw(rng: random.Random) -> tuple[dict[str, Any], str]:
        done = render(template, draws, {}, rng)
        said = done.calls[0]
        return {field: said[field][0] for field in properties if field in said}, text_of(done.pieces)

    return Saying(draw, "record")


def _table(name: str, schema: Schema, python: bool, depth: int) -> Saying:
    """An object of free keys."""
    others = schema.get("additionalProperties")
    inner = others if isinstance(others, dict) else {}
    if inner.get("type") in ("object", "array"):
        raise Undrawable("is an object of free keys that hold structures")
    item = saying_of("value", inner or {"type": "integer"}, None, python, depth + 1)
    low = int(schema.get("minProperties", 0))
    high = int(schema.get("maxProperties", max(low, 3)))
    low, high = max(1, min(2, high)) if low < 2 else low, min(high, max(low, 3))
    if high < max(low, 1) or low > len(pools.WORDS):
        raise Undrawable("its number of keys cannot be met")
    joiner = "{key} " if item.form == "flag" else "{key}: "
    return Saying(values.table(joiner + "{value}", values.one(pools.WORDS), item.draw, low, high), "record")


# Texts, by format and by what the parameter is called.

_TITLES = [
    "Quarterly Review", "Summer Plans", "Team Offsite", "Moving Day", "Budget Draft", "Weekly Update",
    "Welcome Pack", "Night Shift", "Open House", "Lost and Found", "Harvest Notes", "First Steps",
]  # fmt: skip
_TOPICS = [
    "solar panels", "remote work", "vegan recipes", "bike repair", "electric cars", "jazz history",
    "home insulation", "space telescopes", "used books", "hiking trails", "tax returns", "machine learning",
    "urban gardening", "coffee roasting", "language courses",
]  # fmt: skip
_LABELS = "Willow Harbor Sunrise Juniper Cobalt Meadow Falcon Amber Orchard Summit Cedar Lantern".split()
_COLORS = "red blue green yellow orange purple black white grey brown pink teal".split()
_STREETS = ["Harbour Street", "Mill Lane", "Station Road", "Elm Avenue", "Chapel Street", "Park Row"]
_ZONES = ["Europe/Oslo", "Europe/Paris", "America/New_York", "Asia/Tokyo", "Australia/Sydney", "UTC"]
_AIRPORTS = "OSL LHR CDG FRA JFK LAX NRT SIN SYD GRU AMS MAD".split()
_TICKERS = "AAPL MSFT NVDA TSLA AMZN SHEL NESN VOLV SAP SONY".split()
_DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
_MONTHS = "January February March April May June July August September October November December".split()
_CURRENCIES = [
    ("USD", "USD", "US dollars"), ("EUR", "EUR", "euros"), ("GBP", "GBP", "British pounds"),
    ("JPY", "JPY", "Japanese yen"), ("NOK", "NOK", "Norwegian kroner"), ("CHF", "CHF", "Swiss francs"),
    ("INR", "INR", "Indian rupees"), ("CAD", "CAD", "Canadian dollars"),
]  # fmt: skip
_LANGUAGE_CODES = [
    ("en", "English", "en"), ("fr", "French", "fr"), ("de", "German", "de"), ("es", "Spanish", "es"),
    ("it", "Italian", "it"), ("pt", "Portuguese", "pt"), ("nl", "Dutch", "nl"), ("ja", "Japanese", "ja"),
]  # fmt: skip
_COUNTRY_CODES = [
    ("NO", "Norway", "NO"), ("IT", "Italy", "IT"), ("DE", "Germany", "DE"), ("FR", "France", "FR"),
    ("ES", "Spain", "ES"), ("JP", "Japan", "JP"), ("BR", "Brazil", "BR"), ("CA", "Canada", "CA"),
]  # fmt: skip
_HANDLES = [f"{first.lower()}{number}" for number, first in enumerate(pools.FIRST_NAMES, 17)]
_PERSON = (
    r"(full|customer|person|patient|member|author|owner|recipient|contact|employee|student|guest|artist|sender|"
    r"assignee|attendee|participant|client|passenger|traveller|teacher|doctor|manager)"
)


def _uuid(rng: random.Random) -> tuple[str, str]:
    digits = f"{rng.getrandbits(128):032x}"
    text = f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"
    return text, text


def _ipv4(rng: random.Random) -> tuple[str, str]:
    text = ".".join(str(part) for part in (rng.choice((10, 172, 192)), *rng.choices(range(1, 255), k=3)))
    return text, text


def _phone(rng: random.Random) -> tuple[str, str]:
    text = f"+1-555-{rng.randint(200, 989)}-{rng.randint(1000, 9999)}"
    return text, text


def _code(rng: random.Random) -> tuple[str, str]:
    text = "".join(rng.choices("ABCDEFGHJKLMNPRSTUVWXYZ", k=2)) + f"-{rng.randint(1000, 9999)}"
    return text, text


def _address(rng: random.Random) -> tuple[str, str]:
    text = f"{rng.randint(1, 140)} {rng.choice(_STREETS)}"
    return text, text


def _decimal_text(rng: random.Random) -> tuple[str, str]:
    text = f"{rng.randint(1, 900)}.{rng.randint(0, 99):02d}"
    return text, text


def _digits(count: int) -> Draw:
    return values.made("{number}", number=values.plain(10 ** (count - 1), 10**count - 1))


def _date_written(pattern: str) -> Draw:
    """A date in a style of its own, which the query gives letter by letter."""

    def draw(rng: random.Random) -> tuple[str, str]:
        day = datetime.date.fromisoformat(values.date()(rng)[0])
        text = pattern.replace("YYYY", f"{day.year}").replace("MM", f"{day.month:02d}")
        text = text.replace("DD", f"{day.day:02d}")
        return text, text

    return draw


def _date_time(zone: str) -> Draw:
    day, clock = values.date(2025, 2027), values.clock(7, 21)

    def draw(rng: random.Random) -> tuple[str, str]:
        (date, date_text), (hour, hour_text) = day(rng), clock(rng)
        value = f"{date}T{hour}:00{zone}"
        said = f"{date_text} at {hour_text}" + (" UTC" if zone else "")
        return value, rng.choice((value, said, said))

    return draw


_FORMATS: dict[str, Saying] = {
    "date": Saying(values.date(2025, 2027), "proper", ordered=True),
    "time": Saying(values.clock(), "proper", ordered=True),
    "email": Saying(values.one(pools.EMAILS), "proper"),
    "idn-email": Saying(values.one(pools.EMAILS), "proper"),
    "uri": Saying(values.one(pools.URLS), "proper"),
    "url": Saying(values.one(pools.URLS), "proper"),
    "uuid": Saying(_uuid, "named"),
    "ipv4": Saying(_ipv4, "named"),
    "ip": Saying(_ipv4, "named"),
    "hostname": Saying(values.one(["shop.example.com", "api.northwind.io", "mail.example.org"]), "proper"),
    "phone": Saying(_phone, "named"),
    "decimal": Saying(_decimal_text, "number"),
    "path": Saying(values.one(pools.FILES), "named"),
}

# By name, first match first: pattern, draw, form, and whether a description may say it too.
_NAMED: tuple[tuple[str, Draw, str, bool], ...] = (
    (r"\be ?mail", values.one(pools.EMAILS), "proper", True),
    (r"\b(phone|telephone|mobile)\b", _phone, "named", True),
    (r"\b(UUID|GUID)\b", _uuid, "named", True),
    (r"\b(URL|URI|link|website|webpage|homepage)\b", values.one(pools.URLS), "proper", True),
    (r"\bIP\b", _ipv4, "named", True),
    (r"\b(time ?zone)\b", values.one(_ZONES), "proper", True),
    (r"\b(currency|currencies)\b", values.one(_CURRENCIES), "proper", True),
    (r"\b(zip|postal|postcode|PLZ)\b", _digits(5), "named", True),
    (r"\bairport\b", values.one(_AIRPORTS), "proper", True),
    (r"\b(ticker|stock symbol|symbol)\b", values.one(_TICKERS), "proper", True),
    (r"\b(weekday|day of the week|day of week)\b", values.one(_DAYS), "proper", True),
    (r"\bmonth\b", values.one(_MONTHS), "proper", False),
    (r"\b(street|address)\b", _address, "named", False),
    (r"\b(city|town|location|place|destination|origin|venue)\b", values.one(pools.CITIES), "proper", True),
    (r"\b(first|given) name\b", values.one(pools.FIRST_NAMES), "proper", True),
    (r"\b(last|family) name\b|\bsurname\b", values.one(pools.SURNAMES), "proper", True),
    (r"\b(user ?name|login|handle|user)\b", values.one(_HANDLES), "proper", False),
    (rf"^{_PERSON}( name)?$|\b(full name|name of the {_PERSON})\b", values.one(pools.FULL_NAMES), "proper",
     True),
    (r"\b(company|organi[sz]ation|employer|brand|supplier)\b", values.one(pools.COMPANIES), "proper", True),
    (r"\b(product|item|article)( name)?$", values.one(pools.PRODUCTS), "named", False),
    (r"\b(ingredient|ingredients|food)\b", values.one(pools.INGREDIENTS), "named", True),
    (r"\bcolou?r\b", values.one(_COLORS), "named", False),
    (r"\b(file ?name|file|path|folder|directory)\b", values.one(pools.FILES), "named", True),
    (r"\b(identifier|code|number|reference|SKU|key|token)$", _code, "named", False),
    (r"\b(title|subject|headline)\b", values.quoted(_TITLES), "named", False),
    (r"\b(query|search|keyword|keywords|term|topic)\b", values.quoted(_TOPICS), "named", False),
    (r"\b(text|message|content|body|comment|notes?|description|prompt|sentence|question|caption|summary|review"
     r"|reason)\b", values.quoted(pools.SENTENCES), "named", False),
    (r"\bword\b", values.quoted(pools.WORDS), "named", False),
    (r"\bname\b", values.quoted(_LABELS), "named", False),
)  # fmt: skip
_STYLE_OF_DATE = re.compile(
    r"\b(YYYY[-/.]?MM[-/.]?DD|DD[-/.]MM[-/.]YYYY|MM[-/.]DD[-/.]YYYY)\b", re.IGNORECASE
)


def _string(name: str, schema: Schema, python: bool) -> Saying:
    words, described = label(name, schema), str(schema.get("description", ""))
    form = schema.get("format")
    if form == "date-time":
        return Saying(_date_time("" if python else "Z"), "proper", ordered=True)
    if isinstance(form, str) and form in _FORMATS:
        return _FORMATS[form]
    given = [value for value in schema.get("examples") or () if isinstance(value, str)]
    if given:
        return _among(list(dict.fromkeys(given)), {})
    if schema.get("pattern"):
        return Saying(_matching(str(schema["pattern"])), "named")
    style = _STYLE_OF_DATE.search(described) if "format" not in words else None
    if style:
        written = style[1].upper()
        if written == "YYYY-MM-DD":
            return _FORMATS["date"]
        return Saying(_date_written(written), "proper", ordered=written.startswith("YYYY"))
    told = _told_examples(described, schema.get("default"))
    said = _by_name(words, described, len(told) > 1)
    if len(told) > 1 or (told and said is None):
        return _among(told, {})
    default = schema.get("default")
    if said is None and isinstance(default, str) and default and _fits(default, schema):
        return _among([default], {})
    if said is None and schema.get("required") is False:
        raise Undrawable("nothing tells which texts it takes")
    said = said or Saying(values.quoted(_TOPICS), "named")
    rng = random.Random(name)
    if any(_fits(said.draw(rng)[0], schema) for _ in range(_TRIALS)):
        return said
    return Saying(_of_length(schema), "named")


def _by_name(words: str, described: str, known: bool) -> Saying | None:
    """The draw that the name, else the description, speaks of; None if neither does."""
    if re.search(r"\b(language|locale)\b", words):
        coded = re.search(r"\bcode\b|\bISO\b|\blocale\b", f"{words} {described}")
        return Saying(values.one(_LANGUAGE_CODES if coded else pools.LANGUAGES), "proper")
    if re.search(r"\b(country|nation)\b", words):
        coded = re.search(r"\bcode\b|\bISO\b", f"{words} {described}")
        return Saying(values.one(_COUNTRY_CODES if coded else pools.COUNTRIES), "proper")
    if re.search(r"\b(date|deadline|birthday)\b", words):
        return Saying(_date_written("YYYY-MM-DD"), "proper", ordered=True)
    if re.search(r"\btime$", words):
        return Saying(values.clock(), "proper", ordered=True)
    if re.search(r"\bID$", words):
        return Saying(_code, "named")
    for pattern, draw, form, _ in _NAMED:
        if re.search(pattern, words):
            return Saying(draw, form)
    if known:
        return None
    for pattern, draw, form, told in _NAMED:
        if told and re.search(pattern, described[:100], re.IGNORECASE):
            return Saying(draw, form)
    return None


def _told_examples(described: str, default: Any) -> list[str]:
    """Values that a description gives as examples: quoted ones, or a list after ``such as`` and the like."""
    found = re.findall(r"[\"“`]([^\"”`]{1,40})[\"”`]|(?<![\w])'([^']{1,40})'(?!\w)", described)
    told = [first or second for first, second in found]
    if not told:
        listed = re.search(r"\b(?:such as|e\.g\.,?|for example,?|like|one of:?)\s+([^.;()]{2,80})", described)
        parts = re.split(r",\s*(?:or |and )?|\s+or\s+|\s+and\s+", listed[1]) if listed else []
        told = [part.strip() for part in parts if 0 < len(part.split()) <= 3]
        told = told if len(told) > 1 else []
    if isinstance(default, str) and default and told:
        told.append(default)
    return list(dict.fromkeys(told))


def _of_length(schema: Schema) -> Draw:
    """Words of a length that is asked for."""
    least, most = int(schema.get("minLength", 0)), int(schema.get("maxLength", 10**6))
    if least > most or most < 1 or least > 4000:
        raise Undrawable(f"no text has a length from {least} to {most}")

    def draw(rng: random.Random) -> tuple[str, str]:
        text = rng.choice(pools.WORDS)
        while len(text) < least:
            text += f" {rng.choice(pools.WORDS)}"
        text = text[:most]
        text = text if text == text.rstrip() else text.rstrip().ljust(len(text), "s")
        return text, _in_quotes(text)

    return draw


_ATOM = re.compile(
    r"\\(?P<escape>.)|\[(?P<set>\^?(?:\\.|[^\]\\])+)\]|\((?:\?:)?(?P<group>[^()|?*+\[\]{}\\]+(?:\|[^()|?*+\[\]{}\\]+)*)\)"
    r"|(?P<any>\.)|(?P<char>[^\\\[\](){}|?*+^$.])"
)
_COUNT = re.compile(r"\{(\d+)(,(\d*))?\}|[?*+]")
_CLASSES = {"d": "0123456789", "w": "abcdefghijklmnopqrstuvwxyz0123456789", "s": " "}


def _matching(pattern: str) -> Draw:
    """Text that a simple pattern matches: characters, sets, groups of words, and counts.

    Raises
    ------
    Undrawable
        The pattern is not as simple, or does not compile.
    """
    try:
        re.compile(pattern)
    except re.error as error:
        raise Undrawable(f"its pattern {pattern!r} is broken: {error}") from None
    body = pattern.removeprefix("^").removesuffix("$")
    if "|" in body and re.fullmatch(r"\(?[\w |-]+\)?", body):
        return values.one(body.strip("()").split("|"))
    parts: list[tuple[Sequence[str], int, int]] = []
    place = 0
    while place < len(body):
        atom = _ATOM.match(body, place)
        if not atom:
            raise Undrawable(f"its pattern {pattern!r} is not simple")
        place = atom.end()
        count = _COUNT.match(body, place)
        low = high = 1
        if count:
            place = count.end()
            low, high = {"?": (0, 1), "*": (0, 4), "+": (1, 5)}.get(count[0], (-1, -1))
            if low < 0:
                low = int(count[1])
                high = low if not count[2] else int(count[3]) if count[3] else low + 4
        parts.append((_alphabet(atom, pattern), low, high))

    def draw(rng: random.Random) -> tuple[str, str]:
        text = "".join(
            rng.choice(letters) for letters, low, high in parts for _ in range(rng.randint(low, high))
        )
        return text, _in_quotes(text) if _needs_quotes(text) else text

    return draw


def _alphabet(atom: re.Match[str], pattern: str) -> Sequence[str]:
    if atom["escape"]:
        if atom["escape"].isalnum() and atom["escape"] not in _CLASSES:
            raise Undrawable(f"its pattern {pattern!r} is not simple")
        return _CLASSES.get(atom["escape"], atom["escape"])
    if atom["group"]:
        return atom["group"].split("|")
    if atom["any"]:
        return _CLASSES["w"]
    if atom["char"]:
        return atom["char"]
    one = re.compile(f"[{atom['set']}]")
    letters = [chr(code) for code in range(32, 127) if one.fullmatch(chr(code))]
    letters = [letter for letter in letters if letter.isalnum()] or letters
    if not letters:
        raise Undrawable(f"its pattern {pattern!r} is not simple")
    return letters


# Pairs of parameters whose values depend on each other.

OPPOSITES = (
    ("start", "end"), ("begin", "end"), ("from", "to"), ("min", "max"), ("minimum", "maximum"),
    ("lower", "upper"), ("low", "high"), ("source", "target"), ("origin", "destination"), ("since", "until"),
    ("after", "before"), ("check_in", "check_out"), ("checkin", "checkout"), ("departure", "arrival"),
    ("departure", "return"), ("first", "last"),
)  # fmt: skip


def related_pairs(tool: Tool, sayings: Mapping[str, Saying]) -> list[tuple[str, str, bool]]:
    """Parameters such as start and end that are drawn together: different, rising where there is an order."""
    found: list[tuple[str, str, bool]] = []
    taken: set[str] = set()
    for first in sayings:
        for opening, closing in OPPOSITES:
            second = re.sub(rf"(?<![a-z]){opening}(?![a-z])", closing, first, count=1)
            pair = {first, second}
            if len(pair) == 1 or second not in sayings or pair & taken:
                continue
            ours, theirs = (_bare(tool.parameters[name]) for name in (first, second))
            drawn = {repr(sayings[first].draw(random.Random(seed))[0]) for seed in range(12)}
            if ours != theirs or len(drawn) < 4 or sayings[first].form in ("flag", "list", "record"):
                continue
            taken |= pair
            found.append((first, second, sayings[first].ordered and sayings[second].ordered))
    return found


def _bare(schema: Schema) -> dict[str, Any]:
    return {
        key: value
        for key, value in schema.items()
        if key not in ("description", "required", "default", "title")
    }
