"""The samplers and the template generator (APIGen, figure 2): from a seed and an index to a sample.

Styles as in the report: ``simple`` (one tool, one call), ``multiple`` (several tools, one call),
``parallel`` (one tool, several calls), ``parallel_multiple`` (several tools, several calls of different
tools), and ``irrelevant``: no tool on offer fits, or a required argument is not said or only vaguely said;
its answer is an empty list of calls.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec

from xlam_lib.errors import ProfileError
from xlam_lib.schema import Tool
from xlam_lib.synthesis import phrasing
from xlam_lib.synthesis.corrupt import KINDS, plant
from xlam_lib.synthesis.grammar import Draw, Piece, Rendered, Template, render, surroundings, text_of
from xlam_lib.synthesis.library import LIBRARY
from xlam_lib.synthesis.mask import MASKS, Masked
from xlam_lib.synthesis.mask import dress as dress_tool
from xlam_lib.synthesis.mask import mask as mask_tools
from xlam_lib.synthesis.registry import REPORT_CATEGORIES, Function, Registry
from xlam_lib.synthesis.samples import STYLES, Sample, Slot
from xlam_lib.synthesis.values import vague_words

FUNCTIONS: Mapping[str, Function] = LIBRARY.functions
TOOLS: dict[str, Tool] = {name: function.tool for name, function in FUNCTIONS.items()}
CATEGORIES: tuple[str, ...] = tuple(sorted({function.category for function in FUNCTIONS.values()}))

Call = tuple[Function, dict[str, tuple[Any, str]]]
NO_TOOL, MISSING, VAGUE = "no fitting tool", "required argument missing", "value only vaguely said"
"""Notes of irrelevant samples: why no call can be made."""

_BLOCK = 1000  # samples over which weighted categories keep their shares
_TRIES = 40  # draws for a value that is to be said


@dataclass(frozen=True)
class _Aim:
    """What a visit of a function is to say: a template, and an optional parameter or an enum's value.

    ``parameter`` is empty where nothing optional is said, and ``chosen`` says that ``value`` is wanted.
    """

    template: Template
    parameter: str = ""
    chosen: bool = False
    value: Any = None


@dataclass(frozen=True)
class _Vague:
    """A template in which a required parameter can be said only vaguely, and the words for it."""

    template: Template
    parameter: str
    words: tuple[str, ...]


class _Index:
    """The functions a query can be about, by category, all as distractors, and plans for their visits."""

    def __init__(self, registry: Registry) -> None:
        self.every = list(registry.functions.values())
        self.functions = registry.functions
        self.askable = [function for function in self.every if function.asks]
        self.by_category: dict[str, list[Function]] = {}
        for function in self.askable:
            self.by_category.setdefault(function.category, []).append(function)
        self.aims: dict[tuple[int, str], list[_Aim]] = {}
        self.vague: dict[str, list[_Vague]] = {}

    def pairs(self, askable: bool) -> bool:
        """Whether some function can be offered, or asked for, beside another that is asked for."""
        others = self.askable if askable else self.every
        return any(
            one.name != other.name and not (one.kin and one.kin == other.kin)
            for one in self.askable[:1]
            for other in others
        ) or any(function.kin != self.askable[0].kin for function in self.askable)

    def aims_of(self, function: Function, seed: int) -> list[_Aim]:
        """What the visits of a function aim at, one after the other and then again from the start."""
        key = (seed, function.name)
        if key not in self.aims:
            self.aims[key] = _aims(function, random.Random(f"{seed}/aims/{function.name}"))
        return self.aims[key]

    def vague_of(self, function: Function) -> list[_Vague]:
        """The ways to ask for a function with a required value left vague; none for many."""
        if function.name not in self.vague:
            self.vague[function.name] = _vague_ways(function)
        return self.vague[function.name]


@lru_cache(maxsize=8)
def _index(registry: Registry, size: int) -> _Index:
    return _Index(registry)


def enum_of(schema: Mapping[str, Any]) -> list[Any]:
    """The values of an enum, a parameter's own or that of its list's items; empty if there is none."""
    if "enum" in schema:
        return list(schema["enum"])
    items = schema.get("items")
    return list(items.get("enum", ())) if isinstance(items, dict) else []


def _aims(function: Function, rng: random.Random) -> list[_Aim]:
    """Templates in turns, each time with what of its optional parameters and enum values was aimed at least.

    Every template is visited equally often; a round is long enough for all its aims.
    """
    goals: dict[tuple[str, str], tuple[str, bool, Any]] = {("", ""): ("", False, None)}
    for name, schema in function.tool.parameters.items():
        if not any(name in template.slots for template in function.asks):
            continue
        said = _drawn_values(function, name, rng) if enum_of(schema) else []
        for value in enum_of(schema):
            if value in said:
                goals[name, repr(value)] = (name, True, value)
        if not said and any(name in t.slots - t.certain for t in function.asks):
            goals[name, ""] = (name, False, None)
    counts = dict.fromkeys(goals, 0)
    order = list(function.asks)
    aims: list[_Aim] = []
    for _ in range(max(4, len(goals))):
        rng.shuffle(order)
        for template in order:
            fitting = [key for key, (name, _, _) in goals.items() if not name or name in template.slots]
            rng.shuffle(fitting)
            key = min(fitting, key=counts.__getitem__)
            counts[key] += 1
            aims.append(_Aim(template, *goals[key]))
    return aims


def _drawn_values(function: Function, name: str, rng: random.Random) -> list[Any]:
    """Values that a parameter's draw gives, those of its items for a list; a sample of them."""
    found: list[Any] = []
    for _ in range(_TRIES):
        value = _draw_of(function, name, rng)[0]
        found += [item for item in (value if isinstance(value, list) else [value]) if item not in found]
    return found


def _draw_of(function: Function, name: str, rng: random.Random) -> tuple[Any, str]:
    key = function.joint.get(name, name)
    value, text = function.draws[key](rng)
    if key == name:
        return value, text
    at = key.split(",").index(name)
    return value[at], text[at]


def _aimed(function: Function, aim: _Aim) -> Mapping[str, Draw]:
    """The function's draws; the first draw of the aim's parameter gives its value."""
    if not aim.chosen:
        return function.draws
    key = function.joint.get(aim.parameter, aim.parameter)
    draw = function.draws[key]
    at = key.split(",").index(aim.parameter) if key != aim.parameter else None
    waiting = [True]

    def first(rng: random.Random) -> tuple[Any, Any]:
        drawn = draw(rng)
        for _ in range(_TRIES if waiting else 0):
            value = drawn[0] if at is None else drawn[0][at]
            if value == aim.value or (isinstance(value, list) and aim.value in value):
                break
            drawn = draw(rng)
        waiting.clear()
        return drawn

    return {**function.draws, key: first}


def generate(
    count: int,
    *,
    seed: int = 0,
    styles: Mapping[str, float] | None = None,
    irrelevant: float = 0.15,
    ambiguous: float = 0.15,
    mask: float = 0.0,
    noise: float = 0.08,
    dress: float = 0.3,
    corrupt: float = 0.0,
    corrupt_kinds: tuple[str, ...] = KINDS,
    category_weights: Mapping[str, float] | None = None,
    start: int = 0,
    registry: Registry = LIBRARY,
) -> Iterator[Sample]:
    """Yield ``count`` samples; sample ``i`` depends on the seed, ``i`` and these settings only.

    Categories are balanced, or have the shares of ``category_weights``, over each block of samples; within a
    category the functions are asked for in turns; and the visits of a function take its templates in turns
    and see to it that each optional parameter and each enum value is said.

    Parameters
    ----------
    styles
        Weight of each of the four styles with calls; equal by default. Styles that need more functions than
        the registry has get none.
    irrelevant
        Share of samples whose answer is no call.
    ambiguous
        Share of those in which a required value is only vaguely said; where no template of the function
        allows that, there is another reason.
    mask
        Share whose tools are renamed; half of them by style, half neutrally.
    noise
        Share whose prose is misspelled or in lower case.
    dress
        Share whose tools' defaults and enums are told in the descriptions, as other providers do.
    corrupt, corrupt_kinds
        Share with a planted error, and its kinds (see :mod:`xlam_lib.synthesis.corrupt`).
    category_weights
        Weight of each category, such as :data:`xlam_lib.paper.CATEGORY_SHARES`; all equal by default. Those
        it does not name are left out, and those of the report that the registry lacks are passed over.
    start
        The first index.
    registry
        Functions to ask for, by default the library of the book.

    Raises
    ------
    ProfileError
        A style, kind or category is unknown, a share outside 0 to 1, or the registry cannot give what is
        asked for.
    """
    weights: dict[str, float] = {style: 1.0 for style in STYLES[:4]} if styles is None else dict(styles)
    for name in weights:
        if name not in STYLES[:4]:
            raise ProfileError(f"styles: {name!r} is unknown; choose among {', '.join(STYLES[:4])}")
    for name in corrupt_kinds:
        if name not in KINDS:
            raise ProfileError(f"corrupt_kinds: {name!r} is unknown; choose among {', '.join(KINDS)}")
    for name, share in (
        ("irrelevant", irrelevant),
        ("ambiguous", ambiguous),
        ("mask", mask),
        ("noise", noise),
        ("dress", dress),
        ("corrupt", corrupt),
    ):
        if not 0 <= share <= 1:
            raise ProfileError(f"{name}: is {share}; give a share between 0 and 1")
    for name, weight in weights.items():
        if not 0 <= weight < math.inf:
            raise ProfileError(f"styles: the weight of {name!r} is {weight}; give a number of 0 or more")
    if irrelevant < 1 and sum(weights.values()) <= 0:
        raise ProfileError("styles: the weights add up to 0; give at least one style a weight")
    index = _index(registry, len(registry.functions))
    if not index.askable:
        raise ProfileError("registry: no function has query templates; give some `asks`")
    _fit(weights, irrelevant, index)
    shares = _shares(category_weights, index)
    for position in range(start, start + count):
        yield _sample(
            position, seed, weights, irrelevant, ambiguous, mask, noise, dress, corrupt, corrupt_kinds, index,
            shares,
        )  # fmt: skip


def _fit(weights: dict[str, float], irrelevant: float, index: _Index) -> None:
    """Take the weight from styles that need more functions than there are."""
    asked = {style for style, weight in weights.items() if weight}
    if not index.pairs(askable=False):
        weights["multiple"] = 0.0
    if not index.pairs(askable=True):
        weights["parallel_multiple"] = 0.0
    if irrelevant < 1 and sum(weights.values()) <= 0:
        raise ProfileError(
            f"styles: {', '.join(sorted(asked))} need more functions than the registry's {len(index.every)}; "
            "give simple or parallel a weight, or add functions"
        )
    if irrelevant == 1 and not index.pairs(askable=False) and not _unanswerable(index.askable[0], index):
        raise ProfileError(
            "irrelevant: the registry's functions have neither others beside them nor `missing` templates; "
            "add some or give a smaller share"
        )


def _unanswerable(function: Function, index: _Index) -> bool:
    return bool(function.missing or index.vague_of(function))


def _shares(given: Mapping[str, float] | None, index: _Index) -> tuple[tuple[str, int], ...]:
    """How often each category occurs in a block of samples."""
    categories = tuple(index.by_category)
    if given is None:
        # Every block of samples visits each category once, so that categories stay balanced.
        return tuple((category, 1) for category in categories)
    for name, weight in given.items():
        if name not in index.by_category and name not in REPORT_CATEGORIES:
            raise ProfileError(f"category_weights: {name!r} is unknown; choose among {', '.join(categories)}")
        if not 0 <= weight < math.inf:
            raise ProfileError(f"category_weights: {name!r} has {weight}; give a number of 0 or more")
    kept = {name: given[name] for name in categories if given.get(name, 0) > 0}
    if not kept:
        raise ProfileError(
            f"category_weights: none is above 0 for {', '.join(categories)}; weigh one of them"
        )
    total = sum(kept.values())
    return tuple((name, max(1, round(_BLOCK * weight / total))) for name, weight in kept.items())


@lru_cache(maxsize=64)
def _block(seed: int, block: int, shares: tuple[tuple[str, int], ...]) -> list[tuple[str, int]]:
    """The categories of a block's samples, each with how often the category came before in the run."""
    order = [category for category, count in shares for _ in range(count)]
    random.Random(f"{seed}/block/{block}").shuffle(order)
    visits = {category: block * count for category, count in shares}
    result = []
    for category in order:
        result.append((category, visits[category]))
        visits[category] += 1
    return result


@lru_cache(maxsize=1024)
def _turn(seed: int, category: str, cycle: int, count: int) -> list[int]:
    """The order in which a category's functions are asked for in one cycle."""
    return random.Random(f"{seed}/turn/{category}/{cycle}").sample(range(count), count)


def _sample(
    position: int,
    seed: int,
    weights: dict[str, float],
    irrelevant: float,
    ambiguous: float,
    masked: float,
    noisy: float,
    dressed: float,
    corrupt: float,
    corrupt_kinds: tuple[str, ...],
    index: _Index,
    shares: tuple[tuple[str, int], ...],
) -> Sample:
    rng = random.Random(f"{seed}/synthetic/{position}")
    block, place = divmod(position, sum(count for _, count in shares))
    category, visit = _block(seed, block, shares)[place]
    members = index.by_category[category]
    cycle, turn = divmod(visit, len(members))
    function = members[_turn(seed, category, cycle, len(members))[turn]]
    aims = index.aims_of(function, seed)
    aim = aims[cycle % len(aims)]
    style, note, calls, pieces, tools = "irrelevant", "", [], [], []
    if rng.random() < irrelevant:
        note, pieces, tools = _irrelevant(function, aim, ambiguous, rng, index)
    if not note:
        style = rng.choices(list(weights), list(weights.values()))[0]
        calls, pieces, tools = _WAYS[style](function, aim, rng, index)
        style = _style_of(calls, tools)
    is_noisy = rng.random() < noisy
    if is_noisy:
        pieces = phrasing.noise(pieces, rng)
    rng.shuffle(tools)
    offered = [tool.tool for tool in tools]
    if rng.random() < dressed:
        offered = [dress_tool(tool, rng) for tool in offered]
    way = rng.choice(MASKS) if rng.random() < masked else ""
    renamed = mask_tools(offered, way, rng) if way else Masked(offered, {}, {})
    sample = _assembled(position, style, category, calls, pieces, renamed)
    sample.note, sample.masked, sample.noisy = note, way, is_noisy
    sample.functions = sample.functions or [function.name]
    if rng.random() < corrupt:
        sample = plant(sample, rng.choice(corrupt_kinds), rng, index.functions)
    return sample


def _style_of(calls: list[Call], tools: list[Function]) -> str:
    """The style that was reached: a function with one possible value gives no parallel calls."""
    if len(calls) == 1:
        return "simple" if len(tools) == 1 else "multiple"
    return "parallel" if len({function.name for function, _ in calls}) == 1 else "parallel_multiple"


def _assembled(
    position: int, style: str, category: str, calls: list[Call], pieces: list[Piece], renamed: Masked
) -> Sample:
    shown = {name: alias for alias, name in renamed.names.items()}
    answers, slots, expected = [], [], []
    for number, (function, said) in enumerate(calls):
        name = shown.get(function.name, function.name)
        forth = {real: alias for alias, real in renamed.parameters.get(name, {}).items()}
        order = [parameter for parameter in function.tool.parameters if parameter in said]
        answers.append({"name": name, "arguments": {forth.get(p, p): said[p][0] for p in order}})
        slots += [Slot(number, forth.get(p, p), said[p][0], said[p][1]) for p in order]
        expected.append(name)
    query = text_of(pieces).strip()
    return Sample(
        index=position,
        style=style,
        category=category,
        functions=[function.name for function, _ in calls],
        query=query,
        tools=renamed.tools,
        answer=msgspec.json.encode({"query": query, "answers": answers}).decode(),
        slots=slots,
        expected=expected,
        names=renamed.names,
        parameters=renamed.parameters,
    )


Made = tuple[list[Call], list[Piece], list[Function]]


def _said(
    function: Function, aim: _Aim, rng: random.Random, template: Template | None = None, repeats: int = 1
) -> Rendered:
    """A request for the function that says what the aim wants, where its template can."""
    template = template or aim.template
    hit = aim.parameter in template.slots
    return render(
        template,
        _aimed(function, aim) if hit else function.draws,
        function.joint,
        rng,
        repeats=repeats,
        chance=rng.choice((0.25, 0.5, 0.75)) if aim.parameter else rng.choice((0.0, 0.25)),
        said=frozenset((aim.parameter,)) if hit else frozenset(),
    )


def _any_said(function: Function, rng: random.Random, repeats: int = 1) -> Rendered:
    """A request for the function, its template drawn freely."""
    among = [template for template in function.asks if template.repeatable or repeats == 1]
    return render(
        rng.choice(among), function.draws, function.joint, rng, repeats=repeats,
        chance=rng.choice((0.2, 0.5, 0.8)),
    )  # fmt: skip


def _simple(function: Function, aim: _Aim, rng: random.Random, index: _Index) -> Made:
    done = _said(function, aim, rng)
    return [(function, done.calls[0])], phrasing.single(done.pieces, function.category, rng), [function]


def _multiple(function: Function, aim: _Aim, rng: random.Random, index: _Index) -> Made:
    calls, pieces, tools = _simple(function, aim, rng, index)
    return calls, pieces, [*tools, *_distractors([function], rng.randint(1, 4), rng, index)]


def _parallel(function: Function, aim: _Aim, rng: random.Random, index: _Index) -> Made:
    wanted = rng.choice((2, 2, 2, 3, 3, 4))
    listable = [template for template in function.asks if template.repeatable]
    if listable and rng.random() < 0.65:
        template = aim.template if aim.template.repeatable else rng.choice(listable)
        done = _said(function, aim, rng, template, repeats=wanted)
        if len(done.calls) > 1:
            pieces = phrasing.single(done.pieces, function.category, rng)
            return [(function, call) for call in done.calls], pieces, [function]
    calls: list[Call] = []
    sentences: list[list[Piece]] = []
    seen: list[dict[str, Any]] = []
    for attempt in range(wanted * 10):
        done = _any_said(function, rng) if attempt else _said(function, aim, rng)
        values = {name: value for name, (value, _) in done.calls[0].items()}
        if values in seen:
            continue
        seen.append(values)
        calls.append((function, done.calls[0]))
        sentences.append(done.pieces)
        if len(calls) == min(wanted, 3):
            break
    if len(sentences) == 1:
        return calls, phrasing.single(sentences[0], function.category, rng), [function]
    return calls, phrasing.joined(sentences, function.category, rng), [function]


def _several(function: Function, aim: _Aim, rng: random.Random, index: _Index) -> Made:
    wanted = rng.choice((2, 2, 2, 3, 3, 4))
    chosen = [function, *_distractors([function], wanted - 1, rng, index, askable=True)]
    calls: list[Call] = []
    sentences: list[list[Piece]] = []
    for member in chosen:
        listable = any(template.repeatable for template in member.asks)
        if len(chosen) == 2 and listable and rng.random() < 0.2:
            done = _any_said(member, rng, repeats=2)
        else:
            done = _said(member, aim, rng) if member is function else _any_said(member, rng)
        calls += [(member, call) for call in done.calls]
        sentences.append(done.pieces)
    tools = [*chosen, *_distractors(chosen, rng.randint(0, 5 - len(chosen)), rng, index)]
    if len(sentences) == 1:
        return calls, phrasing.single(sentences[0], function.category, rng), tools
    return calls, phrasing.joined(sentences, function.category, rng), tools


_WAYS = {"simple": _simple, "multiple": _multiple, "parallel": _parallel, "parallel_multiple": _several}


def _irrelevant(
    function: Function, aim: _Aim, ambiguous: float, rng: random.Random, index: _Index
) -> tuple[str, list[Piece], list[Function]]:
    """A request without a call, as (note, text, tools); the note is empty where the registry gives none."""
    vague = index.vague_of(function) if rng.random() < ambiguous else []
    others = _distractors([function], rng.choice((1, 1, 1, 2, 3, 4)), rng, index)
    if vague:
        note, done = VAGUE, _vaguely(function, rng.choice(vague), rng)
    elif function.missing and (not others or rng.random() < 0.35):
        note = MISSING
        done = render(rng.choice(function.missing), function.draws, function.joint, rng)
    elif others:
        note, done = NO_TOOL, _said(function, aim, rng)
    elif index.vague_of(function):
        note, done = VAGUE, _vaguely(function, rng.choice(index.vague_of(function)), rng)
    else:
        return "", [], []
    tools = others if note == NO_TOOL else [function, *others[: rng.choice((0, 0, 1, 2, 3))]]
    return note, phrasing.single(done.pieces, function.category, rng), tools


def _vaguely(function: Function, way: _Vague, rng: random.Random) -> Rendered:
    words = rng.choice(way.words)
    draws = {**function.draws, way.parameter: lambda _: (None, words)}
    return render(way.template, draws, function.joint, rng)


def _vague_ways(function: Function) -> list[_Vague]:
    """Templates whose slot of a required parameter can hold vague words, by what stands around it."""
    ways = []
    for template in function.asks:
        for name in sorted(template.certain):
            schema = function.tool.parameters[name]
            if schema["required"] and name not in function.joint and not enum_of(schema):
                rng = random.Random(f"vague/{function.name}/{name}")
                drawn = [function.draws[name](rng) for _ in range(4)]
                words = vague_words(name, schema, *surroundings(template, name), drawn)
                if words:
                    ways.append(_Vague(template, name, words))
    return ways


def _distractors(
    asked: list[Function], count: int, rng: random.Random, index: _Index, askable: bool = False
) -> list[Function]:
    """Other functions, half of them from the asked category (hard), none of the same kin."""
    names = {function.name for function in asked}
    kin = {function.kin for function in asked if function.kin}
    near = index.by_category.get(asked[0].category, [])
    everyone = index.askable if askable else index.every
    chosen: list[Function] = []
    for _ in range(count * 20):
        if len(chosen) == count:
            break
        candidate = rng.choice(near if near and rng.random() < 0.5 else everyone)
        if candidate.name in names or (candidate.kin and candidate.kin in kin):
            continue
        names.add(candidate.name)
        if askable and candidate.kin:
            kin.add(candidate.kin)
        chosen.append(candidate)
    return chosen
