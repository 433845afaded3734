"""From patterns of mistakes to what to synthesize next (xLAM report, section 5, and the announced SpecTool).

A request names settings of :func:`xlam_lib.synthesis.sampler.generate` and weights of features that
:func:`select` honours among generated samples. It is made of counts and kinds alone: no word of a question,
a tool or an answer gets into it, so a benchmark that was diagnosed does not leak into training data.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from xlam_lib.diagnose import mistakes as m
from xlam_lib.diagnose.reports import Report
from xlam_lib.equivalence import stated
from xlam_lib.errors import ProfileError
from xlam_lib.preferences import FREE_TEXT
from xlam_lib.schema import Tool, ToolCall, Trajectory
from xlam_lib.synthesis.checks import parse_answer
from xlam_lib.synthesis.samples import STYLES, Sample
from xlam_lib.verify.dates import is_dated
from xlam_lib.verify.names import words

# The settings that a request can change, with the values they have in `generate`.
DEFAULTS: dict[str, float] = {"irrelevant": 0.15, "ambiguous": 0.15, "mask": 0.0, "dress": 0.3}
_RANGES = {"irrelevant": (0.05, 0.4), "ambiguous": (0.15, 0.5), "mask": (0.0, 0.4), "dress": (0.3, 0.7)}
STRENGTH = 3.0  # by how much a rate of one raises a weight above 1
T = TypeVar("T", Sample, Trajectory)
_RICH, _MANY = 4, 4  # arguments of a call, tools on offer

FEATURES: dict[str, str] = {
    "enum": "an argument with a list of choices",
    "number": "a number",
    "boolean": "a truth value",
    "date": "a date or a time of day",
    "list": "a list",
    "nested": "an object, or a list of objects or lists",
    "text": "a text of the query's own words",
    "long text": f"a text of {FREE_TEXT} words or more",
    "optional said": "an optional argument that the query asks for",
    "optional left out": "an optional argument that the query does not ask for",
    "argument-rich": f"a call with {_RICH} arguments or more",
    "similar tools": "two tools on offer whose names share a word",
    "many tools": f"{_MANY} tools or more on offer",
    "repeated function": "several calls of one function",
    "many calls": "three calls or more",
}
"""What :func:`select` can look for in a sample."""

# Which features teach against a kind, and against a kind with one detail. Types are told by what was
# declared: "string for integer".
_AGAINST: dict[str, tuple[str, ...]] = {
    m.HALLUCINATED_FUNCTION: ("many tools",),
    m.WRONG_FUNCTION: ("similar tools", "many tools"),
    m.MISSING_CALL: ("many calls", "repeated function"),
    m.EXTRA_CALL: ("repeated function",),
    m.HALLUCINATED_ARGUMENT: ("argument-rich", "optional said"),
    m.MISSING_ARGUMENT: ("argument-rich",),
    m.EXTRA_ARGUMENT: ("optional left out",),
}
_AGAINST_DETAIL: dict[tuple[str, str], tuple[str, ...]] = {
    (m.MISSING_ARGUMENT, "asked for"): ("optional said",),
    (m.WRONG_VALUE, "swapped"): ("argument-rich",),
    (m.WRONG_VALUE, "sign"): ("number",),
    (m.WRONG_VALUE, "scale"): ("number",),
    (m.WRONG_VALUE, "unit"): ("number",),
    (m.WRONG_VALUE, "off by one"): ("number",),
    (m.WRONG_VALUE, "number"): ("number",),
    (m.WRONG_VALUE, "boolean"): ("boolean",),
    (m.WRONG_VALUE, "date"): ("date",),
    (m.WRONG_VALUE, "date format"): ("date",),
    (m.WRONG_VALUE, "other choice"): ("enum",),
    (m.WRONG_VALUE, "not a choice"): ("enum",),
    (m.WRONG_VALUE, "spelling"): ("text",),
    (m.WRONG_VALUE, "too little"): ("text",),
    (m.WRONG_VALUE, "too much"): ("text",),
    (m.WRONG_VALUE, "other"): ("text",),
    (m.WRONG_VALUE, "free text"): ("long text",),
    (m.WRONG_VALUE, "order"): ("list",),
    (m.WRONG_VALUE, "items"): ("list",),
    (m.WRONG_VALUE, "items missing"): ("list",),
    (m.WRONG_VALUE, "items added"): ("list",),
    (m.WRONG_VALUE, "keys"): ("nested",),
    (m.WRONG_VALUE, "inside"): ("nested",),
    (m.WRONG_TYPE, "items"): ("list",),
}
_AGAINST_TYPE = {
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "array": "list",
    "object": "nested",
    "string": "text",
}


class Reason(msgspec.Struct, frozen=True):
    """Why a setting or a feature was changed: so many of so many answers have these kinds of mistakes."""

    name: str
    value: float
    default: float
    kinds: tuple[str, ...]
    count: int
    answers: int

    @property
    def text(self) -> str:
        """The reason in a sentence."""
        share = f"{self.count} of {self.answers} answers"
        return f"{self.name} {self.value:g} (else {self.default:g}): {', '.join(self.kinds)} in {share}"


class Request(msgspec.Struct, frozen=True):
    """What to synthesize next.

    Attributes
    ----------
    styles
        Weight of each of the four query styles with calls, 1 where nothing asks for more.
    shares
        Those of :data:`DEFAULTS` that change.
    features
        How much more a sample with the feature is wanted, above 0; see :func:`select`.
    reasons
        One for each of the above that is not the default.
    """

    styles: dict[str, float]
    shares: dict[str, float]
    features: dict[str, float]
    reasons: list[Reason]

    def settings(self) -> dict[str, Any]:
        """Keyword arguments for :func:`~xlam_lib.synthesis.synthesize` and its ``generate``."""
        return {"styles": dict(self.styles), **self.shares}


def style_of(category: str) -> str | None:
    """The query style that a category of BFCL, or of samples, asks for; ``None`` for any other."""
    name = category.removeprefix("live_").removeprefix("exec_")
    if name.startswith("simple") or name == "rest":
        return "simple"
    if name in ("irrelevance", "irrelevant"):
        return "irrelevant"
    return name if name in STYLES else None


def request(report: Report, strength: float = STRENGTH) -> Request:
    """What to synthesize to meet a report's mistakes; the same report gives the same request.

    A weight is ``1 + strength * rate`` where the rate is the share of answers with the mistakes that it
    meets, so that nothing that works is dropped. Shares move from their default towards the end of their
    range with the rate.

    Raises
    ------
    ProfileError
        ``strength`` is negative.
    """
    if strength < 0:
        raise ProfileError(f"request: strength is {strength}; give 0 or more")
    reasons: list[Reason] = []
    styles = {style: _style(style, report, strength, reasons) for style in STYLES[:4]}
    shares = _shares(report, reasons)
    features = _features(report, strength, reasons)
    return Request(styles, shares, features, reasons)


def _style(style: str, report: Report, strength: float, reasons: list[Reason]) -> float:
    names = [name for name in report.answers if style_of(name) == style]
    answers, wrong = sum(report.answers[n] for n in names), sum(report.wrong[n] for n in names)
    if not wrong:
        return 1.0
    weight = round(1 + strength * wrong / answers, 3)
    found = tuple(kind for kind in m.KINDS if any(report.counts[name].get(kind) for name in names))
    reasons.append(Reason(f"style {style}", weight, 1.0, found, wrong, answers))
    return weight


def _shares(report: Report, reasons: list[Reason]) -> dict[str, float]:
    due = [name for name in report.answers if style_of(name) != "irrelevant"]
    not_due = [name for name in report.answers if style_of(name) == "irrelevant"]
    everywhere = list(report.answers)
    invented = (m.HALLUCINATED_FUNCTION, m.HALLUCINATED_ARGUMENT, m.WRONG_FUNCTION)
    shares: dict[str, float] = {}

    def move(name: str, kinds: tuple[str, ...], among: list[str], down: bool = False) -> None:
        answers = sum(report.answers[category] for category in among)
        # An answer with several of the kinds counts once for each; the rate is kept within 1.
        count = sum(report.counts[category].get(kind, 0) for category in among for kind in kinds)
        if not count:
            return
        low, high = _RANGES[name]
        start, end = DEFAULTS[name], low if down else high
        change = (end - start) * min(1.0, count / answers)
        shares[name] = round(shares.get(name, start) + change, 3)
        reasons.append(Reason(name, shares[name], DEFAULTS[name], kinds, count, answers))

    move("irrelevant", (m.NEEDLESS_CALL,), not_due)
    move("irrelevant", (m.EARLY_STOP,), due, down=True)
    made_up = _detailed(report, m.WRONG_VALUE, "not in the query")
    if made_up:
        answers = sum(report.answers.values())
        low, high = DEFAULTS["ambiguous"], _RANGES["ambiguous"][1]
        shares["ambiguous"] = round(low + (high - low) * min(1.0, made_up / answers), 3)
        reasons.append(Reason("ambiguous", shares["ambiguous"], low, (m.WRONG_VALUE,), made_up, answers))
    move("mask", invented, everywhere)
    choices = _detailed(report, m.WRONG_VALUE, "not a choice") + sum(
        report.counts[name].get(m.EXTRA_ARGUMENT, 0) for name in everywhere
    )
    if choices:
        answers = sum(report.answers.values())
        low, high = DEFAULTS["dress"], _RANGES["dress"][1]
        shares["dress"] = round(low + (high - low) * min(1.0, choices / answers), 3)
        kinds = (m.WRONG_VALUE, m.EXTRA_ARGUMENT)
        reasons.append(Reason("dress", shares["dress"], low, kinds, choices, answers))
    return shares


def _detailed(report: Report, kind: str, detail: str) -> int:
    return sum(of.get(kind, {}).get(detail, 0) for of in report.details.values())


def _features(report: Report, strength: float, reasons: list[Reason]) -> dict[str, float]:
    counts: Counter[str] = Counter()
    kinds: dict[str, set[str]] = {}
    for of in report.details.values():
        for kind, details in of.items():
            for detail, count in details.items():
                for feature in _against(kind, detail):
                    counts[feature] += count
                    kinds.setdefault(feature, set()).add(kind)
    answers = sum(report.answers.values())
    features: dict[str, float] = {}
    for feature in FEATURES:
        if counts[feature]:
            features[feature] = round(strength * min(1.0, counts[feature] / answers), 4)
            found = tuple(kind for kind in m.KINDS if kind in kinds[feature])
            reasons.append(Reason(feature, features[feature], 0.0, found, counts[feature], answers))
    return features


def _against(kind: str, detail: str) -> tuple[str, ...]:
    found = [*_AGAINST.get(kind, ()), *_AGAINST_DETAIL.get((kind, detail), ())]
    if kind == m.WRONG_TYPE:
        feature = _AGAINST_TYPE.get(detail.partition(" for ")[2])
        found += [feature] if feature else []
    return tuple(found)


# Selecting ------------------------------------------------------------------------------------------------


def features(item: Sample | Trajectory) -> frozenset[str]:
    """The features of a generated sample, or of the trajectory that it became, out of :data:`FEATURES`."""
    if isinstance(item, Sample):
        calls, tools = parse_answer(item.answer), item.tools
    else:
        calls, tools = [call for step in item.steps for call in step.tool_calls], item.tools
    return frozenset(name for name, has in _TESTS.items() if has(calls, tools)) | _of_values(calls, tools)


def _of_values(calls: Sequence[ToolCall], tools: Sequence[Tool]) -> frozenset[str]:
    named = {tool.name: tool for tool in tools}
    found: set[str] = set()
    for call in calls:
        tool = named.get(call.name)
        schemas: Mapping[str, Mapping[str, Any]] = tool.parameters if tool else {}
        said = stated(call, tools)
        for name, value in call.arguments.items():
            found |= _of_value(value, schemas.get(name, {}))
            if name in said and schemas.get(name, {}).get("required") is False:
                found.add("optional said")
        if any(schema.get("required") is False and name not in said for name, schema in schemas.items()):
            found.add("optional left out")
    return frozenset(found)


def _of_value(value: Any, schema: Mapping[str, Any]) -> set[str]:
    items = schema.get("items")
    if "enum" in schema or (isinstance(items, Mapping) and "enum" in items):
        return {"enum", "list"} if isinstance(value, list) else {"enum"}
    if isinstance(value, bool):
        return {"boolean"}
    if isinstance(value, (int, float)):
        return {"number"}
    if isinstance(value, list):
        return {"list", "nested"} if any(isinstance(item, (dict, list)) for item in value) else {"list"}
    if isinstance(value, dict):
        return {"nested"}
    if not isinstance(value, str):
        return set()
    if is_dated(value):
        return {"date"}
    return {"text", "long text"} if len(value.split()) >= FREE_TEXT else {"text"}


def _similar(calls: Sequence[ToolCall], tools: Sequence[Tool]) -> bool:
    seen: Counter[str] = Counter(word for tool in tools for word in set(words(tool.name)) if len(word) > 2)
    return any(count > 1 for count in seen.values())


_TESTS: dict[str, Callable[[Sequence[ToolCall], Sequence[Tool]], bool]] = {
    "argument-rich": lambda calls, tools: any(len(call.arguments) >= _RICH for call in calls),
    "similar tools": _similar,
    "many tools": lambda calls, tools: len(tools) >= _MANY,
    "repeated function": lambda calls, tools: len({call.name for call in calls}) < len(calls),
    "many calls": lambda calls, tools: len(calls) > 2,
}


def select(samples: Sequence[T], request: Request, n: int, seed: int) -> list[T]:
    """Draw ``n`` of generated samples so that the features a request names come more often.

    A sample weighs 1 and the weights of its features; the draw is without replacement, within each query
    style by its share of what was generated, so that the shares the request asked of the generator stay.

    Parameters
    ----------
    samples
        Generated by us, with some to spare: twice ``n`` leave room to choose. Never a benchmark's questions.
    seed
        The same seed gives the same samples, in their order.

    Raises
    ------
    ProfileError
        There are fewer than ``n`` samples.
    """
    if not 0 <= n <= len(samples):
        raise ProfileError(f"select: {n} of {len(samples)} samples; generate more, or ask for fewer")
    groups: dict[str, list[tuple[float, int]]] = {}
    for place, item in enumerate(samples):
        style = item.style if isinstance(item, Sample) else str(item.meta.get("style", ""))
        weight = 1 + sum(request.features.get(name, 0.0) for name in features(item))
        # The n largest of u**(1/w) are a weighted draw without replacement (Efraimidis and Spirakis).
        key = random.Random(f"{seed}/select/{place}").random() ** (1 / weight)
        groups.setdefault(style, []).append((key, place))
    quotas = _quotas({style: len(group) for style, group in groups.items()}, n)
    chosen: list[int] = []
    for style, group in groups.items():
        chosen += [place for _, place in sorted(group, reverse=True)[: quotas[style]]]
    return [samples[place] for place in sorted(chosen)]


def _quotas(sizes: Mapping[str, int], n: int) -> dict[str, int]:
    """``n`` shared out in proportion to the sizes, by the largest remainders."""
    total = sum(sizes.values())
    if not total:
        return {}
    quotas = {name: n * size // total for name, size in sizes.items()}
    by_rest = sorted(sizes, key=lambda name: (-(n * sizes[name] % total), name))
    for name in by_rest[: n - sum(quotas.values())]:
        quotas[name] += 1
    return quotas
