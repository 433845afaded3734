"""What parameters, values and tools are called in sentences that :mod:`xlam_lib.synthesis.auto` makes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xlam_lib.synthesis.grammar import VERBS, Draw
from xlam_lib.synthesis.mask import words_of

Schema = Mapping[str, Any]


class Undrawable(Exception):
    """No value can be drawn under a schema; the text says why."""


@dataclass(frozen=True)
class Saying:
    """How a parameter's values are drawn, and how its texts read in a sentence.

    ``form`` is ``proper`` (stands for itself: a city, a date), ``named`` (wants its label: a code, a title),
    ``number``, ``flag`` (holds its label: "including tax"), ``list`` or ``record`` (goes into parentheses).
    """

    draw: Draw
    form: str
    ordered: bool = False  # two values can be compared: an earlier and a later date


_ABBREVIATIONS = {
    "q": "query", "lat": "latitude", "lon": "longitude", "lng": "longitude", "qty": "quantity",
    "num": "number", "max": "maximum", "min": "minimum", "addr": "address", "msg": "message",
    "lang": "language", "tz": "time zone", "timezone": "time zone", "amt": "amount", "src": "source",
    "dst": "destination", "dest": "destination", "desc": "description", "loc": "location",
    "pct": "percentage", "temp": "temperature", "id": "ID", "ids": "IDs", "url": "URL", "uri": "URI",
    "ip": "IP", "uuid": "UUID", "guid": "GUID", "sku": "SKU", "dob": "date of birth", "n": "number",
    "cat": "category", "iso": "ISO", "email": "email address", "mail": "email address",
    "phone": "phone number",
}  # fmt: skip
_MORE_VERBS = set(
    (
        "access activate adjust allow analyse annotate append apply approve archive ask attach authenticate "
        "authorize backup begin block browse cache capture clear clone close collect combine complete "
        "compose compress configure confirm connect consult control copy correct crawl crop customize "
        "deactivate debug define deliver deploy derive detail diagnose disable discover display download "
        "drive drop edit email enable enter execute expand explain explore export extend fetch finish fix "
        "follow guess handle help hide highlight import improve include increase index insert inspect "
        "install interpret keep kill launch learn lift load locate lock lookup manage map message modify "
        "monitor move navigate notify obtain offer optimize organize output pause pay perform place play "
        "poll preview print process produce protect provide purchase push query read receive recognize "
        "redeem redirect refresh refund register reject release reload replace reply resolve restore resume "
        "retrieve return review sample scan scrape select sell ship sign skip spell start stop store stream "
        "study submit subtract supply suspend sync synchronize tag take time toggle trace train transcribe "
        "transfer transform trigger turn undo unlock unsubscribe upload upgrade use view visualize wait "
        "watch water withdraw zip "
    ).split()
)


def label(name: str, schema: Schema) -> str:
    """What a parameter is called in a sentence: ``start_date`` is ``start date``, ``q`` is ``query``."""
    words = words_of(name) or [name]
    if words[0] in ("from", "to") and len(words) > 1:
        timed = words[-1] in {"date", "time", "day", "year", "month"}
        ends = ("start", "end") if timed else ("source", "target")
        words = [ends[words[0] == "to"], *words[1:]]
    said = " ".join(_ABBREVIATIONS.get(word, word) for word in words)
    for doubled in ("address address", "number number"):
        said = said.replace(doubled, doubled.split()[0])
    if len(name) <= 2 and name.lower() not in _ABBREVIATIONS:
        told = re.match(
            r"(?:The |An? )?([A-Za-z][a-z]*(?: [a-z]+){0,3})\.?$", str(schema.get("description", ""))
        )
        return told[1].lower() if told else said
    return said


def title_of(name: str) -> str:
    """A tool's name as words."""
    words = words_of(name.rpartition(".")[2])
    kept = {"email", "mail", "phone", "n"}  # what parameters of these names are called is too much here
    return " ".join(word if word in kept else _ABBREVIATIONS.get(word, word) for word in words) or name


def singular_of(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if re.search(r"(sses|shes|ches|xes)$", word):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def verb_of(word: str) -> str:
    """The base form of a verb, or an empty text: ``Gets`` and ``get`` are ``get``, ``Calculating`` is too."""
    word = word.lower()
    known = VERBS | _MORE_VERBS
    if word in known:
        return word
    for ending, back in (("ies", "y"), ("es", ""), ("s", ""), ("ing", ""), ("ing", "e")):
        stem = word.removesuffix(ending) + back
        if word.endswith(ending) and stem in known:
            return stem
    doubled = re.fullmatch(r"(\w+?)(\w)\2ing", word)
    return doubled[1] + doubled[2] if doubled and doubled[1] + doubled[2] in known else ""


def plain_phrase(name: str, schema: Schema, said: Saying) -> str:
    """A parameter as a word and its value: ``length 3``, ``8 packets``."""
    slot, words = f"{{{name}}}", label(name, schema)
    if said.form == "flag":
        return slot
    if said.form == "record":
        return f"{words} ({slot})"
    if said.form == "number" and is_count(words):
        return f"{slot} {words}"
    return f"{words} {slot}"


def is_count(words: str) -> bool:
    """Whether a number is said before the words: ``packets``, ``kilograms``."""
    return words.endswith("s") and singular_of(words) != words and len(words.split()) < 3
