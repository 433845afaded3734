"""A small template language for queries, so that text and arguments come from one draw.

``{name}`` is a slot, ``[...]`` a part that may be left out (with it go the arguments in it), and
``<...>`` the part that is repeated when one sentence asks for several calls: ``What is the weather
in <{city}>[ in {unit}]?`` becomes ``What is the weather in Oslo and Rome in Celsius?`` and two calls.
Slots outside ``<...>`` hold for all the calls, so nothing is ambiguous.

Optional parts that stand side by side and open alike (``[ for {days} days][ in {unit}]``) may change places,
and one that closes a sentence may open it: ``In Celsius, what is the weather in Oslo?``
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from typing import Any

from xlam_lib.errors import SchemaError

Draw = Callable[[random.Random], tuple[Any, Any]]
"""Draws a value and the text that stands for it; for a joint slot two tuples of them."""

Piece = tuple[str, bool]
"""Text and whether it is a slot's (noise and changes of case leave such text alone)."""

VERBS = frozenset(
    (
        "add analyse analyze apply approximate bring come display have map note provide submit take "
        "tally arrange assess assign average balance bill book build calculate call cancel categorize "
        "change check choose classify clean compare compute condense convert count create cut decide "
        "decode delete deploy describe design detect determine divide draft draw encode encrypt enroll "
        "enumerate estimate evaluate exchange express extract fetch figure file fill filter find flag "
        "flip forecast format generate get give go grade group hash identify invite invoice issue join "
        "keep let line list log look make mark measure merge multiply name normalize open order pack "
        "parse pick place plan play plot post predict prepare produce project propose publish pull put "
        "query quote rank rate read recommend record remind remove render rent replace report request "
        "reserve reset resize restart retrieve reverse rewrite roll round route run save scale schedule "
        "score search select send set share shift show simulate solve sort split start stop subscribe "
        "suggest sum summarize switch tell test throw track transform translate transpose trim turn "
        "update validate verify work write"
    ).split()
)
"""Verbs (lower case) that a request's sentence may start with."""

_QUESTIONS = frozenset("what what's how which who when where is are do does can could will would".split())

_TOKEN = re.compile(r"\{(\w+)\}|([\[\]<>])")
_LINKED = re.compile(r",? (?:and|or|but|nor|that|which|who|whose|then)\b")
_MOVABLE = re.compile(r",? (?:in|for|on|with|over|within|during|using|at(?! most| least)) (?!a$|an$)")
_FRONTED = 0.2  # of the times that a movable part is said, it opens the sentence
_BACK_REFERENCE = re.compile(r"\b(?:them|it|its|there|those|these|each|both)\b")


@dataclass(frozen=True)
class Node:
    """One part of a template: ``text``, ``slot``, ``optional``, ``repeat``, or ``group``.

    A group holds optional parts whose order is free.
    """

    kind: str
    text: str = ""
    nodes: tuple[Node, ...] = ()
    slots: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Template:
    """A parsed template, its slots, and the slots that appear however it is rendered.

    ``movable`` are the optional parts that may open the sentence.
    """

    source: str
    nodes: tuple[Node, ...]
    slots: frozenset[str]
    certain: frozenset[str]
    repeatable: bool
    movable: tuple[Node, ...] = ()


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
            stack[-1][1].append(_node("optional" if opened == "[" else "repeat", _grouped(nodes)))
    if position < len(source):
        stack[-1][1].append(Node("text", source[position:]))
    if len(stack) != 1:
        raise SchemaError(f"template {source!r}: {stack[-1][0]!r} is never closed; pair the brackets")
    nodes = _grouped(stack[0][1])
    repeats = sum(node.kind == "repeat" for node in _walk(nodes, certain=False))
    if repeats > 1:
        raise SchemaError(f"template {source!r}: has {repeats} parts <...>; one at most")
    return Template(
        source,
        nodes,
        frozenset(node.text for node in _walk(nodes, certain=False) if node.kind == "slot"),
        frozenset(node.text for node in _walk(nodes, certain=True) if node.kind == "slot"),
        repeats == 1,
        _movable(nodes),
    )


def _node(kind: str, nodes: tuple[Node, ...]) -> Node:
    said = frozenset(node.text for node in _walk(nodes, certain=False) if node.kind == "slot")
    return Node(kind, nodes=nodes, slots=said)


def _opening(node: Node) -> str:
    """``,`` or a space where an optional part may trade places with its neighbours, else nothing."""
    if node.kind != "optional" or not node.nodes:
        return ""
    first = node.nodes[0]
    text = first.text if first.kind == "text" else ""
    if _LINKED.match(text):
        return ""
    if text.startswith(", "):
        return ","
    return " " if re.match(r" [a-z]", text) else ""


def _grouped(nodes: list[Node]) -> tuple[Node, ...]:
    """The nodes, neighbouring optional parts that open alike as one group."""
    result: list[Node] = []
    run: list[Node] = []

    def close() -> None:
        result.extend([_node("group", tuple(run))] if len(run) > 1 else run)
        run.clear()

    for node in nodes:
        if run and _opening(node) != _opening(run[0]):
            close()
        if _opening(node):
            run.append(node)
        else:
            result.append(node)
    close()
    return tuple(result)


def _movable(nodes: tuple[Node, ...]) -> tuple[Node, ...]:
    """The closing optional parts of a template of one sentence that may open it instead."""
    first = nodes[0].text.split() if nodes and nodes[0].kind == "text" else []
    if not first or first[0].lower() not in VERBS | _QUESTIONS:
        return ()
    texts = [node.text for node in _walk(nodes, certain=False) if node.kind == "text"]
    if any(re.search(r"[.?!:;]( |$)", text) for text in texts[:-1]) or re.search(r"[.?!:;] ", texts[-1]):
        return ()
    tail = list(nodes)
    if tail[-1].kind == "text" and tail[-1].text in ("?", "."):
        tail.pop()
    if not tail or tail[-1].kind not in ("optional", "group"):
        return ()
    parts = tail[-1].nodes if tail[-1].kind == "group" else (tail[-1],)
    return tuple(
        part
        for part in parts
        if part.nodes[0].kind == "text"
        and _MOVABLE.match(part.nodes[0].text)
        and not any(_BACK_REFERENCE.search(node.text) for node in part.nodes if node.kind == "text")
    )


def _walk(nodes: tuple[Node, ...], certain: bool):
    for node in nodes:
        yield node
        if not (certain and node.kind == "optional"):
            yield from _walk(node.nodes, certain)


class _Renderer:
    def __init__(
        self,
        draws: Mapping[str, Draw],
        joint: Mapping[str, str],
        rng: random.Random,
        chance: float,
        said: Set[str],
    ):
        self.draws, self.joint, self.rng, self.chance, self.said = draws, joint, rng, chance, said
        self.moved: Node | None = None
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
                if node is not self.moved and (
                    self.rng.random() < self.chance or not self.said.isdisjoint(node.slots)
                ):
                    pieces += self.run(node.nodes, store, repeats)
            elif node.kind == "group":
                parts = list(node.nodes)
                if self.rng.random() < 0.5:
                    self.rng.shuffle(parts)
                pieces += self.run(tuple(parts), store, repeats)
            else:
                pieces += self.repeat(node, repeats)
        return pieces

    def whole(self, template: Template, repeats: int) -> list[Piece]:
        """The template's text, now and then with a closing optional part in front."""
        if not template.movable or self.rng.random() > _FRONTED * self.chance:
            return self.run(template.nodes, self.shared, repeats)
        self.moved = self.rng.choice(template.movable)
        front = self.run(self.moved.nodes, self.shared, repeats)
        opening = front[0][0].lstrip(", ")
        rest = self.run(template.nodes, self.shared, repeats)
        text = rest[0][0]
        return [
            (opening[0].upper() + opening[1:], False),
            *front[1:],
            (", ", False),
            (text[0].lower() + text[1:], False),
            *rest[1:],
        ]

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
            (
                (", ", " and "),
                (", ", ", and "),
                (", ", " and "),
                (", ", " as well as "),
                (", ", " and also "),
                (", then ", " and then "),
                (" and ", " and "),
            )
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
    said: Set[str] = frozenset(),
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
    said
        Slots whose optional parts are said in any case.
    """
    renderer = _Renderer(draws, joint, rng, chance, said)
    pieces = _with_articles(renderer.whole(template, repeats))
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


def surroundings(template: Template, slot: str) -> tuple[str, str]:
    """The text right before and right after a slot's first place; optional parts in between are skipped."""
    before, after, found = "", "", False

    def walk(nodes: tuple[Node, ...]) -> None:
        nonlocal before, after, found
        for node in nodes:
            if after:
                return
            if node.kind == "repeat":
                walk(node.nodes)
            elif node.kind == "slot" and not found and node.text == slot:
                found = True
            elif node.kind in ("text", "slot"):
                text = node.text if node.kind == "text" else "{}"
                if found:
                    after = text
                else:
                    before = text

    walk(template.nodes)
    return before, after
