"""Sentences that ask for a tool: templates of its description's verb phrase and its parameters' names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from xlam_lib.schema import Tool
from xlam_lib.synthesis.auto_values import OPPOSITES
from xlam_lib.synthesis.auto_words import (
    Saying,
    Schema,
    is_count,
    label,
    plain_phrase,
    singular_of,
    title_of,
    verb_of,
)

_ASIDES = 3  # optional parameters that one sentence may say
_PLAINER = {"return": "get", "retrieve": "get", "provide": "get", "output": "get", "obtain": "get",
            "lookup": "look up", "display": "show", "query": "look up", "list": "list"}  # fmt: skip
_SUBJECT = re.compile(
    r"^(?:(?:this|the|an?)\s+)?(?:function|tool|method|endpoint|api|operation|service|utility|helper|action)"
    r"\s+(?:(?:that|which)\s+)?",
    re.IGNORECASE,
)
_PURPOSE = re.compile(
    r"^(?:(?:can be |is |are )?used (?:to|for)|(?:allows|enables|lets|helps)(?: (?:you|users|us|me))?(?: to)?"
    r"|will|can|is able to|to|for|that|which)\s+",
    re.IGNORECASE,
)
_FOREIGN = re.compile(
    r"\b(el|los|las|una|del|para|por|der|das|und|ein|eine|für|les|des|une|pour|dans|het|een|voor|och|för|il|gli|"
    r"della|di|che|um|uma|na)\b",
    re.IGNORECASE,
)


def _prose(text: str) -> str:
    """A description's first sentence without markup, parentheses and anything a template would misread."""
    text = re.sub(r"```.*?```|<[^>]*>|!?\[([^\]]*)\]\([^)]*\)", lambda m: m[1] or " ", text, flags=re.DOTALL)
    paragraphs = [line for line in re.split(r"\n\s*\n", text) if re.search(r"\w", line)]
    text = next((part for part in paragraphs if not re.match(r"\s*(#{1,6}\s.*$|[-*+]\s|\|)", part)), "")
    text = text or "".join(paragraphs[:1])
    lines = [line for line in text.splitlines() if not re.match(r"\s*(#{1,6}\s|[-*+]\s|\|)", line)] or [text]
    text = re.sub(r"\([^()]*\)|https?://\S+|[*`#{}\[\]<>\"]|(?<!\w)_|_(?!\w)", " ", " ".join(lines))
    text = re.split(r"(?<=[a-z0-9])[.!?](?:\s|$)|[;:]\s", " ".join(text.split()))[0]
    text = re.sub(r"\s+([,.])", r"\1", text).strip(" .,-")
    text = re.sub(r" on behalf of the user\b", "", re.sub(r"\b(the|a) user's\b", "my", text))
    return re.sub(r"\bthe user\b", "me", text)


_DANGLING = (
    "and|or|the|an?|of|to|under|by|in|on|at|for|from|with|that|which|using|while|than|is|are|currently|based|"
    "such|as"
)


def _shortened(text: str, most: int = 95) -> str:
    """The text up to a clause's end, where it is longer than a request would be."""
    text = re.sub(r"^(\S+ \S+ .+?),? and (?:returns?|gives?|outputs?) .*$", r"\1", text)
    if len(text) > 60:
        text = re.sub(
            r",? (?:which|using|based on|given (?:a|an|the)|by providing|including|optionally) .*$", "", text
        )
    while len(text) > most:
        cut = max(
            text.rfind(mark, 20, most)
            for mark in (", ", " that ", " and ", " from ", " in ", " for ", " with ")
        )
        if cut < 0:
            return " ".join(text[:most].split()[:-1])
        text = text[:cut]
    return re.sub(rf"(?:[, ]+(?:{_DANGLING}))+$", "", text).rstrip(" ,")


def _request(tool: Tool) -> str:
    """What the tool does, as somebody would ask for it: ``get the weather forecast for a city``."""
    text = _prose(tool.description)
    english = text.isascii() and not _FOREIGN.search(text)
    bare = _SUBJECT.sub("", text)
    for candidate in (_PURPOSE.sub("", bare), bare, text) if english else ():
        first, _, rest = candidate.partition(" ")
        base = verb_of(first)
        if base and rest and not (rest.split()[0] in {"of", "service", "API"} or first.isupper()):
            if first.lower() != base:  # "Creates and returns"
                rest = re.sub(r"^(and|or) (\w+)", lambda m: f"{m[1]} {verb_of(m[2]) or m[2]}", rest)
            return _shortened(f"{_PLAINER.get(base, base)} {rest}")
    named = title_of(tool.name)
    words = named.split()
    short = 0 < len(text.split()) <= 12 and english
    noun_phrase = re.match(r"(the|an?|my|all)\b", text, re.IGNORECASE) or not verb_of(
        words[0] if words else ""
    )
    if short and text.lower() != named and noun_phrase and bare == text:
        noun = text[0].lower() + text[1:] if not text[:2].isupper() else text
        noun = noun if re.match(r"(the|an?|my|all|every)\b", noun) else f"the {noun}"
        return (
            f"use {noun}"
            if re.search(r"\b(service|api|tool|endpoint|operation)$", noun, re.I)
            else f"get {noun}"
        )
    if words and verb_of(words[0]) and len(words) > 1:
        return f"{_PLAINER.get(words[0], words[0])} {_with_article(words[1:])}"
    if short:
        noun = text[0].lower() + text[1:] if not text[:2].isupper() else text
        return f"get {noun}" if re.match(r"(the|an?|my)\b", noun) else f"get the {noun}"
    return f"run {named or tool.name}"


def _with_article(words: Sequence[str]) -> str:
    plural = words[-1].endswith("s") and not words[-1].endswith("ss")
    return " ".join(
        words if plural or words[0] in {"all", "a", "the", "my", "to", "if", "by"} else ("the", *words)
    )


def _mention(name: str, schema: Schema) -> re.Pattern[str]:
    """How a request may speak of a parameter in general: ``a city``, ``the given bed``."""
    words = label(name, schema)
    shorter = re.sub(r" (?:name|ID|code|title|number|symbol|address)$", "", words)
    either = "|".join(re.escape(text) for text in dict.fromkeys((words, shorter)))
    return re.compile(
        r"\b(?:an?|the|any|some|one|your|its|each|this|that|specific)\s+"
        rf"(?:(?:given|specified|specific|particular|certain|provided|single|chosen|selected)\s+)*({either})(?![\w'-])",
        re.IGNORECASE,
    )


def _substituted(
    request: str, tool: Tool, sayings: Mapping[str, Saying], required: Sequence[str]
) -> tuple[str, list[str]]:
    """The request with slots where it speaks of required parameters (between marks), and those it names."""
    named: list[str] = []
    for name in sorted(required, key=lambda name: -len(label(name, tool.parameters[name]))):
        said = sayings[name]
        match = _mention(name, tool.parameters[name]).search(request)
        after = request[match.end() :] if match else ""
        if not match or said.form == "flag" or (said.form == "number" and after.startswith((" of ", " to "))):
            continue
        words = label(name, tool.parameters[name])
        if words != match[1]:  # "the order" for an order ID
            words = match[1] if re.search(r" (ID|number|code)$", words) else words
            after = re.sub(
                r"^ (?:with|by|of|for|using) (?:(?:the|its|an?|given|specified) )*(?:ID|number|code)\b",
                "",
                after,
            )
        phrase = {
            "proper": f"{{{name}}}",
            "number": f"{match[0]} of {{{name}}}",
            "record": f"the {match[1]} ({{{name}}})",
            "list": f"the {match[1]} {{{name}}}",
        }.get(said.form, f"{{{name}}}" if "enum" in tool.parameters[name] else f"the {words} {{{name}}}")
        request = f"{request[: match.start()]}\1{phrase}\2{after}"
        named.append(name)
    return request, named


def _repeatable(text: str) -> str:
    """The marked part as what is repeated in a list of calls."""
    if "\1" not in text:
        return text
    first, last = text.index("\1"), text.rindex("\2")
    return f"{text[:first]}<{text[first:last]}>{text[last:]}".replace("\1", "").replace("\2", "")


_PREPOSITIONS = {
    "on",
    "to",
    "by",
    "in",
    "at",
    "from",
    "for",
    "with",
    "of",
    "until",
    "since",
    "before",
    "after",
}


def _phrase(name: str, schema: Schema, said: Saying) -> str:
    """A parameter in a list of what is given: ``the city {city}``, ``{days} days``, ``sown on {sown_on}``."""
    slot, words = f"{{{name}}}", label(name, schema)
    last = words.split()[-1]
    plain = plain_phrase(name, schema, said)
    if said.form == "flag" or last in _PREPOSITIONS:
        return plain
    if said.form == "number":
        article = "an" if words[0].lower() in "aeiou" else "a"
        return plain if is_count(words) else f"{article} {words} of {slot}"
    return f"the {plain}"


def _aside(name: str, schema: Schema, said: Saying) -> str:
    """An optional parameter at a sentence's end."""
    slot, words = f"{{{name}}}", label(name, schema)
    if said.form == "proper" and words in ("date", "day"):
        return f"on {slot}"
    if said.form == "proper" and words == "time":
        return f"at {slot}"
    if said.form in ("proper", "named") and words in ("language", "unit", "units", "currency"):
        return f"in {slot}"
    if words == "limit":
        return f"at most {slot}"
    return plain_phrase(name, schema, said)


def _fact(name: str, schema: Schema, said: Saying) -> str:
    """A parameter as a sentence: ``The city is {city}.``"""
    slot, words = f"{{{name}}}", label(name, schema)
    last = words.split()[-1]
    if said.form == "flag" or last in _PREPOSITIONS:
        return f"{words[0].upper()}{words[1:]}: {slot}."
    plural = last.endswith("s") and singular_of(last) != last
    if said.form == "record":
        return f"Here {'are' if plural else 'is'} the {words}: {slot}."
    if said.form == "number" and is_count(words):
        return f"The number of {words} is {slot}."
    return f"The {words} {'are' if plural else 'is'} {slot}."


def _joined(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def _given(names: Sequence[str], tool: Tool, sayings: Mapping[str, Saying]) -> str:
    """Parameters as what follows a request: ``with <the city {city} and {days} days>``."""
    parts = {name: _phrase(name, tool.parameters[name], sayings[name]) for name in names}
    linked = [name for name in names if label(name, {}).split()[-1] in _PREPOSITIONS]
    spans: list[str] = []
    for first in names:
        for opening, closing in OPPOSITES[:3]:
            second = first.replace(opening, closing, 1)
            if first in parts and second in parts and first != second and sayings[first].form == "proper":
                spans.append(f"from {{{first}}} to {{{second}}}")
                del parts[first], parts[second]
    before = [parts.pop(name) for name in linked if name in parts] + spans
    others = _joined(list(parts.values())) if parts else ""
    if not before:
        return f"with <{others}>"
    return f"<{', '.join(before)}{', with ' if others else ''}{others}>"


def templates_of(
    tool: Tool, sayings: Mapping[str, Saying], required: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Query templates, and templates that leave a required parameter out."""
    request = _request(tool)
    parameters = tool.parameters
    optional = [name for name in parameters if name in sayings and name not in required]
    title = title_of(tool.name)

    def tail(turn: int) -> str:
        start = turn % len(optional) if optional else 0
        turned = (optional[start:] + optional[:start])[:_ASIDES]
        return "".join(f"[, {_aside(name, parameters[name], sayings[name])}]" for name in turned)

    direct, named = _direct(request, tool, sayings, required)
    forms = [
        direct,
        f"I need you to {direct}",
        f"Can you {direct}%?",
        f"I want to {direct}",
        f"Could you {direct}%?",
        f"Help me {direct}",
    ]
    if required:
        facts = " ".join(_fact(name, parameters[name], sayings[name]) for name in required)
        listed = ", ".join(plain_phrase(name, parameters[name], sayings[name]) for name in required)
        forms += [
            f"{title}: <{listed}>",
            f"Can you {request}? {facts.removesuffix('.')}%.",
            f"I want to {request}. {facts.removesuffix('.')}%.",
            f"{request}. Details: {listed}%.",
        ]
        if not named:
            forms += [f"{_capital(_given(required, tool, sayings))}, {request}"]
    else:
        forms += [f"I'd like you to {direct}", f"{title}", f"Would you {direct}%?", f"Let's {direct}"]
    asks = []
    for turn, form in enumerate(dict.fromkeys(forms)):
        before, mark, after = form.partition("%")
        asks.append(_capital(f"{before}{tail(turn)}{after if mark else ''}"))
    missing = []
    for left in required[:3]:
        text = _direct(request, tool, sayings, [name for name in required if name != left])[0]
        text = text.replace("<", "").replace(">", "")
        missing += [_capital(text), f"Can you {text}?"]
    return list(dict.fromkeys(asks)), list(dict.fromkeys(missing))


def _direct(
    request: str, tool: Tool, sayings: Mapping[str, Saying], required: Sequence[str]
) -> tuple[str, list[str]]:
    """The request with its parameters in it or after it, and those it names itself."""
    marked, named = _substituted(request, tool, sayings, required)
    rest = [name for name in required if name not in named]
    if not rest:
        return _repeatable(marked), named
    text, given = marked.replace("\1", "").replace("\2", ""), _given(rest, tool, sayings)
    if given.startswith("<from"):
        return f"{re.sub(r' (?:from one .+ to another|between two .+)$', '', text)} {given}", named
    return f"{text}, {given}", named


def _capital(text: str) -> str:
    return re.sub(r"^(<?)([a-z])", lambda match: match[1] + match[2].upper(), text)
