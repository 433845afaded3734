"""The samplers and the template generator (APIGen, figure 2): from a seed and an index to a sample.

Styles as in the report: ``simple`` (one tool, one call), ``multiple`` (several tools, one call),
``parallel`` (one tool, several calls), ``parallel_multiple`` (several tools, several calls of different
tools), and ``irrelevant``: either no tool on offer fits or a required argument is not said; its answer
is an empty list of calls.
"""

from __future__ import annotations

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
from xlam_lib.synthesis.grammar import Piece, render, text_of
from xlam_lib.synthesis.library import LIBRARY
from xlam_lib.synthesis.mask import MASKS, Masked
from xlam_lib.synthesis.mask import dress as dress_tool
from xlam_lib.synthesis.mask import mask as mask_tools
from xlam_lib.synthesis.registry import Function, Registry
from xlam_lib.synthesis.samples import STYLES, Sample, Slot

FUNCTIONS: Mapping[str, Function] = LIBRARY.functions
TOOLS: dict[str, Tool] = {name: function.tool for name, function in FUNCTIONS.items()}
CATEGORIES: tuple[str, ...] = tuple(sorted({function.category for function in FUNCTIONS.values()}))

Call = tuple[Function, dict[str, tuple[Any, str]]]


@dataclass(frozen=True)
class _Index:
    """The functions a query can be about, by category, and all as distractors."""

    by_category: dict[str, list[Function]]
    askable: list[Function]
    every: list[Function]


@lru_cache(maxsize=8)
def _index(registry: Registry) -> _Index:
    every = list(registry.functions.values())
    by_category: dict[str, list[Function]] = {}
    for function in every:
        if function.asks:
            by_category.setdefault(function.category, []).append(function)
    return _Index(by_category, [f for f in every if f.asks], every)


def generate(
    count: int,
    *,
    seed: int = 0,
    styles: Mapping[str, float] | None = None,
    irrelevant: float = 0.15,
    mask: float = 0.0,
    noise: float = 0.08,
    dress: float = 0.3,
    corrupt: float = 0.0,
    corrupt_kinds: tuple[str, ...] = KINDS,
    start: int = 0,
    registry: Registry = LIBRARY,
) -> Iterator[Sample]:
    """Yield ``count`` samples; sample ``i`` depends on the seed, ``i`` and these settings only.

    Parameters
    ----------
    styles
        Weight of each of the four styles with calls; equal by default.
    irrelevant
        Share of samples whose answer is no call.
    mask
        Share whose tools are renamed; half of them by style, half neutrally.
    noise
        Share whose prose is misspelled or in lower case.
    dress
        Share whose tools' defaults and enums are told in the descriptions, as other providers do.
    corrupt, corrupt_kinds
        Share with a planted error, and its kinds (see :mod:`xlam_lib.synthesis.corrupt`).
    start
        The first index.
    registry
        Functions to ask for, by default the library of the book.

    Raises
    ------
    ProfileError
        A style or kind is unknown, a share outside 0 to 1, or the registry has no query templates.
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
        ("mask", mask),
        ("noise", noise),
        ("dress", dress),
        ("corrupt", corrupt),
    ):
        if not 0 <= share <= 1:
            raise ProfileError(f"{name}: is {share}; give a share between 0 and 1")
    if irrelevant < 1 and sum(weights.values()) <= 0:
        raise ProfileError("styles: the weights add up to 0; give at least one style a weight")
    index = _index(registry)
    if len(index.askable) < 2:
        raise ProfileError("registry: fewer than two functions have query templates; give some `asks`")
    for position in range(start, start + count):
        yield _sample(position, seed, weights, irrelevant, mask, noise, dress, corrupt, corrupt_kinds, index)


@lru_cache(maxsize=64)
def _block(seed: int, block: int, categories: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(random.Random(f"{seed}/block/{block}").sample(categories, len(categories)))


def _sample(
    position: int,
    seed: int,
    weights: dict[str, float],
    irrelevant: float,
    masked: float,
    noisy: float,
    dressed: float,
    corrupt: float,
    corrupt_kinds: tuple[str, ...],
    index: _Index,
) -> Sample:
    rng = random.Random(f"{seed}/synthetic/{position}")
    categories = tuple(index.by_category)
    # Every block of samples visits each category once, so that categories stay balanced.
    category = _block(seed, position // len(categories), categories)[position % len(categories)]
    function = rng.choice(index.by_category[category])
    if rng.random() < irrelevant:
        style = "irrelevant"
    else:
        style = rng.choices(list(weights), list(weights.values()))[0]
    note = ""
    if style == "irrelevant":
        note, calls, pieces, tools = _irrelevant(function, rng, index)
    elif style in ("simple", "multiple"):
        calls, pieces = _one_call(function, rng)
        tools = [
            function,
            *(_distractors([function], rng.randint(1, 4), rng, index) if style == "multiple" else ()),
        ]
    elif style == "parallel":
        calls, pieces = _parallel(function, rng)
        tools = [function]
    else:
        calls, pieces, tools = _several(function, rng, index)
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
        sample = plant(sample, rng.choice(corrupt_kinds), rng, {f.name: f for f in index.every})
    return sample


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


def _one_call(function: Function, rng: random.Random) -> tuple[list[Call], list[Piece]]:
    done = render(rng.choice(function.asks), function.draws, function.joint, rng)
    return [(function, done.calls[0])], phrasing.single(done.pieces, function.category, rng)


def _parallel(function: Function, rng: random.Random) -> tuple[list[Call], list[Piece]]:
    wanted = rng.choice((2, 2, 2, 3, 3, 4))
    listable = [template for template in function.asks if template.repeatable]
    if listable and rng.random() < 0.65:
        done = render(rng.choice(listable), function.draws, function.joint, rng, repeats=wanted)
        if len(done.calls) > 1:
            pieces = phrasing.single(done.pieces, function.category, rng)
            return [(function, call) for call in done.calls], pieces
    calls: list[Call] = []
    sentences: list[list[Piece]] = []
    seen: list[dict[str, Any]] = []
    for _ in range(wanted * 10):
        done = render(rng.choice(function.asks), function.draws, function.joint, rng)
        values = {name: value for name, (value, _) in done.calls[0].items()}
        if values in seen:
            continue
        seen.append(values)
        calls.append((function, done.calls[0]))
        sentences.append(done.pieces)
        if len(calls) == min(wanted, 3):
            break
    return calls, phrasing.joined(sentences, function.category, rng)


def _several(
    function: Function, rng: random.Random, index: _Index
) -> tuple[list[Call], list[Piece], list[Function]]:
    wanted = rng.choice((2, 2, 2, 3, 3, 4))
    chosen = [function, *_distractors([function], wanted - 1, rng, index, askable=True)]
    calls: list[Call] = []
    sentences: list[list[Piece]] = []
    for member in chosen:
        listable = [template for template in member.asks if template.repeatable]
        if len(chosen) == 2 and listable and rng.random() < 0.2:
            done = render(rng.choice(listable), member.draws, member.joint, rng, repeats=2)
        else:
            done = render(rng.choice(member.asks), member.draws, member.joint, rng)
        calls += [(member, call) for call in done.calls]
        sentences.append(done.pieces)
    tools = [*chosen, *_distractors(chosen, rng.randint(0, 5 - len(chosen)), rng, index)]
    return calls, phrasing.joined(sentences, function.category, rng), tools


def _irrelevant(
    function: Function, rng: random.Random, index: _Index
) -> tuple[str, list[Call], list[Piece], list[Function]]:
    if function.missing and rng.random() < 0.35:
        done = render(rng.choice(function.missing), function.draws, function.joint, rng)
        pieces = phrasing.single(done.pieces, function.category, rng)
        tools = [function, *_distractors([function], rng.choice((0, 0, 1, 2, 3)), rng, index)]
        return "required argument missing", [], pieces, tools
    done = render(rng.choice(function.asks), function.draws, function.joint, rng)
    pieces = phrasing.single(done.pieces, function.category, rng)
    tools = _distractors([function], rng.choice((1, 1, 1, 2, 3, 4)), rng, index)
    return "no fitting tool", [], pieces, tools


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
