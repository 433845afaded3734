"""The blind rules of the semantic check: is an answer what the query's own words ask for (APIGen, section 5)?

Nothing is known but the query, the tools on offer and the calls, as for a pair that a model wrote. What the
query asks is derived from its text and compared: the values, the number of calls, the choice of tools. Each
rule leans to silence, so what is flagged is very likely wrong, and what is not may still be: that is for a
model (:mod:`xlam_lib.synthesis.semantic_model`). The reasons are stable phrases.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import log
from typing import Any

import msgspec

from xlam_lib.schema import Tool, ToolCall
from xlam_lib.synthesis.checks import Fault
from xlam_lib.synthesis.semantic_text import (
    Said,
    ToolWords,
    Used,
    abbreviates,
    months_named,
    name_stems,
    said,
    squeezed,
    stem,
    stems,
    tool_words,
)
from xlam_lib.verify.dates import is_dated
from xlam_lib.verify.grounding import Context, is_grounded
from xlam_lib.verify.numerals import numbers, tokens, value_of

NOT_SAID = "value not said in the query"
MISSING = "said value missing from the call"
COUNT = "number of calls disagrees with the query"
REPEATED = "call repeated"
OTHER_VALUE = "value disagrees with the query"
EXCHANGED = "values exchanged between arguments"
NOT_ASKED = "call not asked for"
OTHER_TOOL = "another tool fits the query better"


@lru_cache(maxsize=4096)
def _words_of(encoded: bytes) -> ToolWords:
    return tool_words(msgspec.json.decode(encoded, type=Tool))


@lru_cache(maxsize=4096)
def _context(text: str) -> Context:
    context = Context()
    context.add(text)
    return context


_said = lru_cache(maxsize=256)(said)
_OF_TIME = re.compile(r"\b(?:year|month|day|hour|minute|second|date|time|season)s?\b|^$", re.I)


@lru_cache(maxsize=256)
def _undated(query: str) -> str:
    return _without(query, "date", "time")


def _without(query: str, *kinds: str) -> str:
    """The query with the values of some kinds blanked."""
    for value in _said(query):
        if value.kind in kinds:
            size = len(value.text) + 2 * (value.kind == "text")  # its quotation marks
            query = query[: value.start] + " " * size + query[value.start + size :]
    return query


def grounded(value: Any, query: str, schema: Mapping[str, Any] | None = None) -> bool:
    """Whether a value can be told from the query, by the rules of :mod:`xlam_lib.verify.grounding`.

    Booleans, null, enumerated values and the schema's default need not be said in so many words, nor need
    what the parameter's description gives as an example; a number has to be in the query.
    """
    schema = schema or {}
    if isinstance(value, bool) or value is None or "enum" in schema or value == schema.get("default"):
        return True
    if isinstance(value, list):
        items = schema.get("items")
        items = items if isinstance(items, Mapping) else None
        return all(grounded(item, query, items) for item in value)
    if isinstance(value, dict):
        properties = schema.get("properties")
        properties = properties if isinstance(properties, Mapping) else {}
        return all(grounded(item, query, properties.get(key)) for key, item in value.items())
    description = str(schema.get("description", ""))
    if isinstance(value, (int, float)):
        _, _, default = description.casefold().rpartition("default")
        # The 9 of "March 9th" is no number of people.
        text = query if _OF_TIME.search(description) else _undated(query)
        if is_grounded(value, _context(text)) or abs(value) in numbers(default):
            return True
        return value in months_named(query) and "month" in description.casefold()
    if is_grounded(value, _context(query)) or (len(value) > 3 and squeezed(value) in squeezed(query)):
        return True
    if not value or is_dated(value):
        # What a description says of dates in general tells none.
        return not value or Used([{"": value}]).has_any_date(_said(query))
    return is_grounded(value, _context(description)) or _is_code(value, query, description)


def _is_code(value: str, query: str, description: str) -> bool:
    """Whether a value is a short code that stands for a word of the query, or may: ``VN``, ``HR``."""
    if not (2 <= len(value) <= 3 and value.isalpha()):
        return False
    if re.search(r"\bcode|\biso\b", description, re.I):
        return True
    return any(abbreviates(value.casefold(), word) for word in tokens(query))


@dataclass(frozen=True)
class _View:
    """A query, its tools and its calls, with what the rules ask of them worked out once."""

    query: str
    tools: Sequence[Tool]
    calls: Sequence[ToolCall]

    @cached_property
    def by_name(self) -> dict[str, Tool]:
        return {tool.name: tool for tool in self.tools}

    @cached_property
    def said(self) -> list[Said]:
        return _said(self.query)

    @cached_property
    def used(self) -> Used:
        return Used([call.arguments for call in self.calls])

    @cached_property
    def words(self) -> dict[str, ToolWords]:
        return {tool.name: _words_of(msgspec.json.encode(tool, order="sorted")) for tool in self.tools}

    @cached_property
    def asked(self) -> set[str]:
        """The stems of the query's words that are no part of a value."""
        kinds = ("text", "address", "identifier", "date", "time", "name")
        return {s for s in stems(_without(self.query, *kinds)) if value_of(s) is None}

    @cached_property
    def rarity(self) -> dict[str, float]:
        """How telling a stem is among the tools on offer: all have it, or one."""
        counts = Counter(s for words in self.words.values() for s in words.all)
        return {s: log(1 + len(self.words) / n) for s, n in counts.items()}

    def shared(self, tool: str) -> set[str]:
        return self.asked & self.words[tool].all

    def fit(self, tool: str) -> float:
        """How well a tool's words fit the query's, those of its name twice."""
        words = self.words[tool]
        return sum(self.rarity[s] * (2 if s in words.name else 1) for s in self.asked & words.all)


def blind_check(query: str, tools: Sequence[Tool], calls: Sequence[ToolCall]) -> Fault | None:
    """The first fault that the query's text shows in the calls, which fit their tools' schemas; else None."""
    view = _View(query, tools, calls)
    for rule in _RULES if calls else (_unanswered,):
        for reason, detail in rule(view):
            return Fault("semantic", reason, detail)
    return None


Told = Iterator[tuple[str, str]]


def _ungrounded(view: _View) -> Told:
    for number, call in enumerate(view.calls):
        for argument, value in call.arguments.items():
            if not grounded(value, view.query, view.by_name[call.name].parameters[argument]):
                yield NOT_SAID, f"answers[{number}].{call.name}.{argument}: {value!r}"


_AGAIN = re.compile(r"\b(?:twice|thrice|once more|(?:\d+|two|three|four|five|ten) (?:more )?times)\b", re.I)


def _repeated(view: _View) -> Told:
    """The same call twice, though the query does not ask for that."""
    if _AGAIN.search(view.query):
        return
    for number, call in enumerate(view.calls):
        if call in view.calls[:number]:
            yield REPEATED, f"answers[{number}].{call.name}"


def _other_choice(view: _View) -> Told:
    """An enumerated value that the query does not say, where it says another of the list."""
    for number, call in enumerate(view.calls):
        for argument, schema in view.by_name[call.name].parameters.items():
            choices = _choices(schema)
            if argument not in call.arguments or len(choices) < 2:
                continue
            given = call.arguments[argument]
            for value in given if isinstance(given, list) else [given]:
                if not isinstance(value, str) or _says(view.query, value):
                    continue
                present = f" {' '.join(tokens(view.query))} "
                others = [c for c in choices if c != value and len(c) >= 4 and f" {c.casefold()} " in present]
                unused = [c for c in others if squeezed(c) not in view.used.squeezed]
                if len(unused) == 1 and not _part_of_a_value(view, unused[0]):
                    path = f"answers[{number}].{call.name}.{argument}"
                    yield OTHER_VALUE, f"{path}: {value!r} where the query says {unused[0]!r}"


def _choice_left_out(view: _View) -> Told:
    """A listed value that the query says, of a parameter that no call of its tool has."""
    present = f" {' '.join(tokens(view.query))} "
    prose = set().union(*(words.all - words.choices for words in view.words.values()))
    for tool in view.tools:
        calls = [call for call in view.calls if call.name == tool.name]
        for name, schema in tool.parameters.items():
            if not calls or any(name in call.arguments for call in calls):
                continue
            told = [
                choice
                for choice in _choices(schema)
                if len(choice) >= 4
                and choice != schema.get("default")
                and f" {choice.casefold()} " in present
                and squeezed(choice) not in view.used.squeezed
                and not stems(choice) & prose
                and not _part_of_a_value(view, choice)
            ]
            if len(told) == 1:
                yield MISSING, f"{told[0]!r} for {tool.name}.{name}"


def _choices(schema: Mapping[str, Any]) -> list[str]:
    items = schema.get("items")
    listed = schema.get("enum") or (items.get("enum") if isinstance(items, Mapping) else None) or ()
    return [choice for choice in listed if isinstance(choice, str)]


def _says(query: str, choice: str) -> bool:
    """Whether the query has an enumerated value's own words, endings aside."""
    wanted = [word for word in tokens(choice.replace("_", " ")) if word.isalpha()]
    if not wanted:
        return squeezed(choice) in squeezed(query)
    present = {stem(word) for word in tokens(query)} | set(tokens(query))
    return all(word in present or (len(word) > 3 and stem(word) in present) for word in wanted)


def _part_of_a_value(view: _View, word: str) -> bool:
    """Whether a word stands inside a longer value that the calls use."""
    return any(squeezed(word) in squeezed(v.text) for v in view.said if v.kind in ("text", "address", "name"))


_FROM = frozenset(
    "from source origin start begin first lower low old departure departing minimum min".split()
)
_TO = frozenset(
    "to target destination end finish second last upper high new arrival arriving maximum max".split()
)
_ROUTE = re.compile(
    r"\b(?:from|between)\s+(?P<a>.{1,60}?)\s+(?:to|until|and|through|into)\s+(?P<b>.{1,60})", re.I
)
_BACK = re.compile(r"\bto\s+(?P<b>.{1,60}?)\s+from\s+(?P<a>.{1,60})", re.I)


def _exchanged(view: _View) -> Told:
    """Two values of a call, each in the place of the other by the words that stand beside them."""
    for number, call in enumerate(view.calls):
        plain = [
            (name, value)
            for name, value in call.arguments.items()
            if isinstance(value, (str, int, float)) and not isinstance(value, bool)
        ]
        parameters = view.by_name[call.name].parameters
        for i, (left, one) in enumerate(plain):
            for right, two in plain[i + 1 :]:
                if one == two or parameters[left].get("type") != parameters[right].get("type"):
                    continue
                if "enum" in parameters[left] or "enum" in parameters[right]:
                    continue
                if _ends_swapped(view, (left, parameters[left], one), (right, parameters[right], two)) or (
                    _cues_swapped(view, call, left, right)
                ):
                    path = f"answers[{number}].{call.name}"
                    yield EXCHANGED, f"{path}: {left} is {one!r} and {right} {two!r}"


Argument = tuple[str, Mapping[str, Any], Any]


def _ends_swapped(view: _View, left: Argument, right: Argument) -> bool:
    """Whether the query goes from one value to another and the call the other way."""
    sides = []
    for name, schema, _ in (left, right):
        told = [tokens(name.replace("_", " ")), tokens(str(schema.get("description", "")))[:6]]
        sides.append(next((s for words in told if (s := _side(words))), 0))
    if sorted(sides) != [-1, 1]:
        return False
    start, end = (left[2], right[2]) if sides[0] == -1 else (right[2], left[2])
    forward = backward = False
    for pattern in (_ROUTE, _BACK):
        for match in pattern.finditer(view.query):
            forward |= _opens(match["a"], start) and _opens(match["b"], end)
            backward |= _opens(match["a"], end) and _opens(match["b"], start)
    return backward and not forward


def _side(words: Sequence[str]) -> int:
    start, end = bool(_FROM & set(words)), bool(_TO & set(words))
    return 0 if start == end else (-1 if start else 1)


def _opens(text: str, value: Any) -> bool:
    """Whether a text begins with a value (after an article or a currency sign)."""
    text = re.sub(r"^(?:the|a|an|\W)+\s*", "", text.casefold())
    shown = str(value).casefold()
    if isinstance(value, str):
        return text.startswith(shown)
    head = re.match(r"[\d,.]+", text)
    return bool(head) and head[0].replace(",", "").rstrip(".") in (shown, shown.removesuffix(".0"))


_NEAR = 3  # words on either side in which a value's parameter is named


def _cues_swapped(view: _View, call: ToolCall, left: str, right: str) -> bool:
    """Whether each value stands beside the other parameter's words and not beside its own."""
    parameters = view.by_name[call.name].parameters
    marks = {}
    values = set().union(*(stems(str(value)) for value in call.arguments.values()))
    for name in (left, right):
        schema = parameters[name]
        marks[name] = name_stems(name), name_stems(name) | stems(str(schema.get("description", "")))
    near = {name: _beside(view.query, call.arguments[name]) - values for name in (left, right)}
    if any(near[name] & marks[name][1] for name in (left, right)):
        return False
    crossed = [near[one] & (marks[other][0] - marks[one][1]) for one, other in ((left, right), (right, left))]
    return all(crossed) or (any(crossed) and bool(near[left] & _SIGNED or near[right] & _SIGNED))


def _beside(query: str, value: Any) -> set[str]:
    """The stems of the words next to a value that the query has exactly once; empty otherwise."""
    shown = value if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)
    spelled = {shown, f"{value:,}" if isinstance(value, int) else shown}
    places = [
        match.span()
        for text in sorted(spelled)
        for match in re.finditer(rf"(?<![\w.,]){re.escape(text)}(?![\w])(?!\.\d)", query, re.I)
    ]
    if len(places) != 1:
        return set()
    start, end = places[0]
    told = " ".join(
        _SIGNS[sign] for sign in _SIGNS if sign in query[start - 1 : start] + query[end : end + 1]
    )
    before = re.split(r"[,.;:?!\d]", query[:start].rstrip(" \"'$€£"))[-1].split()[-_NEAR:]
    after = re.split(r"[,.;:?!\d]", query[end:].lstrip(" \"'%"))[0].split()[:_NEAR]
    ends = next((i for i, word in enumerate(after) if word in _JOINING), None)
    begins = max((i + 1 for i, word in enumerate(before) if word in _JOINING - {"of"}), default=0)
    return stems(" ".join([told, *before[begins:], *after[:ends]]))


_SIGNS = {"$": "dollars amount price cost", "€": "euros amount price cost", "%": "percent percentage rate"}
_SIGNED = frozenset().union(*(stems(words) for words in _SIGNS.values()))
_JOINING = frozenset("and for at with to in from of or over on by".split())


_BEFORE_A_VALUE = re.compile(
    r"(?:\b(?:for|in|to|from|of|by|with|at|and|or|between|about|named|called|is)|,|;) $", re.I
)


def _unused(view: _View) -> Told:
    """A value that the query says and no call uses, unless a default or a tool's own words account for it."""
    told: set[str] = set()
    defaults = Used(
        [{"": _defaults(tool)} for tool in view.tools if any(c.name == tool.name for c in view.calls)]
    )
    for words in view.words.values():
        told |= words.all - words.choices
    for value in view.said:
        if value.kind == "text" and value.text in view.by_name:
            continue
        if view.used.has(value) or defaults.has(value):
            continue
        if value.kind == "number" and (0.0 in value.numbers or 1.0 in value.numbers):
            continue
        if value.kind == "name" and stems(value.text) <= told:
            continue
        if value.kind == "name" and not _BEFORE_A_VALUE.search(view.query[: value.start]):
            continue
        yield MISSING, f"{value.kind} {value.text!r}"


def _defaults(tool: Tool) -> list[Any]:
    found: list[Any] = []
    for schema in tool.parameters.values():
        if "default" in schema:
            found.append(schema["default"])
        _, mark, default = str(schema.get("description", "")).rpartition("efault")
        if mark:
            found.append(default)
    return found


def _says_it(query: str, value: Any) -> bool:
    """Whether a value stands in the query as it is."""
    return not isinstance(value, bool) and squeezed(str(value)) in squeezed(query)


_LISTED = re.compile(
    r"(?:,? and(?: also)?|,? as well as|,? or|,) (?P<item>(?!also)[^\W\d_]+(?: [^\W\d_]+)?)"
    r"(?: please)?\s*(?:[.?!]|$)"
)


def _listed(view: _View) -> Told:
    """A word listed behind a value that the calls use, at a sentence's end, and not used itself."""
    for number, call in enumerate(view.calls):
        for argument, value in call.arguments.items():
            if not isinstance(value, str) or len(value) < 2 or not value.replace(" ", "").isalpha():
                continue
            others = (other for each in view.calls for other in each.arguments.values())
            if not all(_says_it(view.query, other) for other in others):
                continue  # the word may be another argument's, said in other words
            for match in re.finditer(re.escape(value.casefold()), view.query.casefold()):
                item = _LISTED.match(view.query, match.end())
                if item is None or view.query[match.start() - 1 : match.start()].isalpha():
                    continue
                word = item["item"]
                known = Said("text", word, 0)
                telling = stems(word)
                if (
                    telling
                    and not view.used.has(known)
                    and not telling & set().union(*map(view.shared, view.words))
                ):
                    yield MISSING, f"{word!r}, listed behind {value!r} of answers[{number}].{argument}"


MARGIN = 4.0
"""How much better, in shared words weighed by their rarity, an unused tool must fit to be the right one."""


def _choice(view: _View) -> Told:
    """The one called tool, where another one on offer fits the query clearly better."""
    if len(view.calls) != 1:
        return  # several requests in one text: each word may belong to any of them
    name = view.calls[0].name
    unused = [tool.name for tool in view.tools if tool.name != name]
    best = max(unused, key=view.fit, default=name)
    if view.asked & view.words[best].name and view.fit(best) >= 2 * view.fit(name) + MARGIN:
        yield OTHER_TOOL, f"{best!r} rather than {name!r}"


def _unanswered(view: _View) -> Told:
    """No call, though a tool on offer fits and every value that it requires is there."""
    for tool in view.tools:
        words = view.words[tool.name]
        shared = view.asked & words.all
        if len(shared) >= 2 and len(shared) / len(view.asked) >= SHARE and _answerable(view, tool):
            yield COUNT, f"no call, though {tool.name!r} fits"


SHARE = 0.5
"""The share of a query's telling words that a tool must have for the tool to fit clearly."""


def _answerable(view: _View, tool: Tool) -> bool:
    """Whether the query plainly has a value for each required parameter, as far as their kinds tell."""
    free = Counter(value.kind for value in view.said)
    texts = ("text", "address", "identifier", "name")
    for schema in tool.parameters.values():
        if schema.get("required") is not True:
            continue
        kind = schema.get("type")
        description = str(schema.get("description", "")).casefold()
        items = schema.get("items")
        if _choices(schema):
            if not any(_says(view.query, choice) for choice in _choices(schema)):
                return False
            continue
        if kind in ("integer", "number"):
            wanted, count = ("number",), 1
        elif kind == "array" and isinstance(items, Mapping) and items.get("type") in ("integer", "number"):
            wanted, count = ("number",), 2
        elif kind == "string" and "yyyy" in description:
            wanted, count = ("date",), 1
        elif kind == "string" and "hh:mm" in description:
            wanted, count = ("time",), 1
        elif kind == "string":
            wanted, count = texts, 1
        elif kind == "array" and isinstance(items, Mapping) and items.get("type") == "string":
            wanted, count = texts, 2
        else:
            return False
        for _ in range(count):
            found = next((k for k in wanted if free[k]), None)
            if found is None:
                return False
            free[found] -= 1
    return True


_RULES: tuple[Callable[[_View], Told], ...] = (
    _repeated,
    _ungrounded,
    _other_choice,
    _choice_left_out,
    _exchanged,
    _unused,
    _listed,
    _choice,
)
