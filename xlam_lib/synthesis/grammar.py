"""A small template language for queries, so that text and arguments come from one draw.

``{name}`` is a slot, ``[...]`` a part that may be left out (with it go the arguments in it), and
``<...>`` the part that is repeated when one sentence asks for several calls: ``What is the weather
in <{city}>[ in {unit}]?`` becomes ``What is the weather in Oslo and Rome in Celsius?`` and two calls.
Slots outside ``<...>`` hold for all the calls, so nothing is ambiguous.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from xlam_lib.errors import SchemaError

Draw = Callable[[random.Random], tuple[Any, Any]]
"""Draws a value and the text that stands for it; for a joint slot two tuples of them."""

Piece = tuple[str, bool]
"""Text and whether it is a slot's (noise and changes of case leave such text alone)."""

_TOKEN = re.compile(r"\{(\w+)\}|([\[\]<>])")


@dataclass(frozen=True)
class Node:
    """One part of a template: ``text``, ``slot``, ``optional`` or ``repeat``."""

    kind: str
    text: str = ""
    nodes: tuple[Node, ...] = ()


@dataclass(frozen=True)
class Template:
    """A parsed template, its slots, and the slots that appear however it is rendered."""

    source: str
    nodes: tuple[Node, ...]
    slots: frozenset[str]
    certain: frozenset[str]
    repeatable: bool


@dataclass(frozen=True)
class Rendered:
    """Text pieces, and for each call its arguments as name -> (value, text)."""

    pieces: list[Piece]
    calls: list[dict[str, tuple[Any, str]]]


def parse(source: str) -> Template:
    """Parse a template.

    Raises
    ------
    SchemaError
        Brackets that do not pair, or more than one ``<...>``.
    """
    stack: list[tuple[str, list[Node]]] = [("", [])]
    position = 0
    for match in _TOKEN.finditer(source):
        if match.start() > position:
            stack[-1][1].append(Node("text", source[position : match.start()]))
        position = match.end()
        if match[1]:
            stack[-1][1].append(Node("slot", match[1]))
        elif match[2] in "[<":
            stack.append((match[2], []))
        else:
            opened, nodes = stack.pop()
            if not stack or opened + match[2] not in ("[]", "<>"):
                raise SchemaError(f"template {source!r}: {match[2]!r} closes nothing; pair the brackets")
            stack[-1][1].append(Node("optional" if opened == "[" else "repeat", nodes=tuple(nodes)))
    if position < len(source):
        stack[-1][1].append(Node("text", source[position:]))
    if len(stack) != 1:
        raise SchemaError(f"template {source!r}: {stack[-1][0]!r} is never closed; pair the brackets")
    nodes = tuple(stack[0][1])
    repeats = sum(node.kind == "repeat" for node in _walk(nodes, certain=False))
    if repeats > 1:
        raise SchemaError(f"template {source!r}: has {repeats} parts <...>; one at most")
    return Template(
        source,
        nodes,
        frozenset(node.text for node in _walk(nodes, certain=False) if node.kind == "slot"),
        frozenset(node.text for node in _walk(nodes, certain=True) if node.kind == "slot"),
        repeats == 1,
    )


def _walk(nodes: tuple[Node, ...], certain: bool):
    for node in nodes:
        yield node
        if not (certain and node.kind == "optional"):
            yield from _walk(node.nodes, certain)


class _Renderer:
    def __init__(
        self, draws: Mapping[str, Draw], joint: Mapping[str, str], rng: random.Random, chance: float
    ):
        self.draws, self.joint, self.rng, self.chance = draws, joint, rng, chance
        self.shared: dict[str, tuple[Any, str]] = {}
        self.spare: dict[int, dict[str, tuple[Any, str]]] = {}
        self.groups: list[dict[str, tuple[Any, str]]] = []

    def value(self, name: str, store: dict[str, tuple[Any, str]]) -> tuple[Any, str]:
        if name in store:
            return store[name]
        key = self.joint.get(name, name)
        value, text = self.draws[key](self.rng)
        if key == name:
            store[name] = (value, text)
            return store[name]
        # A joint draw gives values to several slots; only the ones that get mentioned are stored.
        spare = self.spare.setdefault(id(store), {})
        if name not in spare:
            spare.update(zip(key.split(","), zip(value, text, strict=True), strict=True))
        store[name] = spare[name]
        return store[name]

    def run(self, nodes: tuple[Node, ...], store: dict[str, tuple[Any, str]], repeats: int) -> list[Piece]:
        pieces: list[Piece] = []
        for node in nodes:
            if node.kind == "text":
                pieces.append((node.text, False))
            elif node.kind == "slot":
                pieces.append((self.value(node.text, store)[1], True))
            elif node.kind == "optional":
                if self.rng.random() < self.chance:
                    pieces += self.run(node.nodes, store, repeats)
            else:
                pieces += self.repeat(node, repeats)
        return pieces

    def repeat(self, node: Node, repeats: int) -> list[Piece]:
        if repeats == 1:
            return self.run(node.nodes, self.shared, 1)
        # What is optional inside is said for every item or for none: half-said would be ambiguous.
        chance, self.chance = self.chance, float(self.rng.random() < self.chance)
        seen, texts = [], []
        for _ in range(repeats * 12):
            group: dict[str, tuple[Any, str]] = {}
            pieces = self.run(node.nodes, group, 1)
            values = {name: value for name, (value, _) in group.items()}
            if values not in seen:
                seen.append(values)
                texts.append(pieces)
                self.groups.append(group)
            if len(seen) == repeats:
                break
        self.chance = chance
        return _listed(texts, self.rng)


def _listed(items: list[list[Piece]], rng: random.Random) -> list[Piece]:
    inner = any(("," in text or " and " in text) for item in items for text, _ in item)
    if inner:
        middle, last = rng.choice((("; ", "; and "), ("; ", ", and also ")))
    else:
        middle, last = rng.choice(
            ((", ", " and "), (", ", ", and "), (", ", " and "), (", ", " as well as "))
        )
        if len(items) == 2 and last == ", and ":
            last = " and "
    pieces: list[Piece] = []
    for index, item in enumerate(items):
        if index:
            pieces.append((last if index == len(items) - 1 else middle, False))
        pieces += item
    return pieces


def render(
    template: Template,
    draws: Mapping[str, Draw],
    joint: Mapping[str, str],
    rng: random.Random,
    repeats: int = 1,
    chance: float = 0.5,
) -> Rendered:
    """Fill a template in.

    Parameters
    ----------
    draws, joint
        Slot (or ``a,b`` for slots drawn together) to its draw, and slot to its joint key.
    repeats
        How many different calls the ``<...>`` part lists; fewer come back where the draws do not
        give that many.
    chance
        Of each optional part being said.
    """
    renderer = _Renderer(draws, joint, rng, chance)
    pieces = _with_articles(renderer.run(template.nodes, renderer.shared, repeats))
    calls = [{**renderer.shared, **group} for group in renderer.groups] or [dict(renderer.shared)]
    return Rendered(pieces, calls)


_VOWEL = re.compile(r"(?!eu|uni|one|use)[aeio]|un|8|11\b|18\b|SUV", re.IGNORECASE)


def _with_articles(pieces: list[Piece]) -> list[Piece]:
    """``a`` before a slot becomes ``an`` where its text starts with a vowel."""
    result = list(pieces)
    for index, (text, is_slot) in enumerate(result[:-1]):
        if not is_slot and (text.endswith(" a ") or text in ("a ", "A ")):
            following = next((later for later, _ in result[index + 1 :] if later), "")
            if _VOWEL.match(following):
                result[index] = (text[:-1] + "n ", False)
    return result


def text_of(pieces: list[Piece]) -> str:
    """The pieces as one string."""
    return "".join(text for text, _ in pieces)
