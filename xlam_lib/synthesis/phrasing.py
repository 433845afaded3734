"""From rendered templates to a query: politeness, context, several requests in one text, noise."""

from __future__ import annotations

import random
from collections.abc import Sequence

from xlam_lib.synthesis.grammar import Piece

CONTEXTS = {
    "Finance": (
        "I'm sorting out my finances this week.",
        "I have to report to my accountant.",
        "Money is a bit tight.",
    ),
    "Data": (
        "I'm cleaning up a data set.",
        "We're preparing a dashboard.",
        "This is for an analysis at work.",
    ),
    "Sports": (
        "I'm a huge sports fan.",
        "We're getting ready for the season.",
        "My team and I had a debate.",
    ),
    "Travel": ("I'm planning a trip.", "We finally got some days off.", "I'm putting together an itinerary."),
    "Technology": (
        "I'm setting up a new machine.",
        "Our service has been acting up.",
        "I'm on call tonight.",
    ),
    "Social": (
        "I'm catching up with friends.",
        "Our community is growing.",
        "I'm looking after our social accounts.",
    ),
    "Media": ("I'm preparing a story.", "Our newsroom is short of time.", "I want to stay informed."),
    "Entertainment": ("It's movie night at our place.", "I'm bored.", "We have friends coming over."),
    "Tools": ("I need a quick hand.", "I'm in the middle of something.", "This should be easy for you."),
    "Math": (
        "I'm helping my daughter with homework.",
        "I have an exam soon.",
        "I'd like to double-check a result.",
    ),
    "Business": (
        "We have a meeting in an hour.",
        "My manager asked for this.",
        "I'm running a small company.",
    ),
    "Gaming": ("We're about to start a campaign.", "I'm designing a game.", "My friends are waiting online."),
    "Music": ("I'm practising for a gig.", "I'm learning an instrument.", "We're arranging a song."),
    "Commerce": ("I'm shopping for gifts.", "I run an online store.", "I'm comparing offers."),
    "Environment": (
        "I'm trying to live greener.",
        "We're writing a sustainability report.",
        "I like to plan ahead.",
    ),
    "Education": ("The semester is about to start.", "I'm teaching a class.", "I'm studying tonight."),
    "Communication": ("I've got a busy day.", "I need to get the word out.", "Let me get this off my list."),
    "Lifestyle": ("I'm trying to get organised.", "Guests arrive tonight.", "I've had a long day."),
    "Health": ("I'm trying to get in shape.", "My doctor suggested this.", "I'm keeping a health diary."),
    "Other": ("I have a small request.", "I was wondering about something.", "Here is an odd one."),
    "Science": ("I'm writing up a lab report.", "We have a physics test.", "I'm curious about science."),
}
_OPENERS = (
    "Please ",
    "Could you ",
    "Can you ",
    "Would you please ",
    "I need you to ",
    "I want you to ",
    "Can you please ",
)
_GREETINGS = ("Hi, ", "Hello, ", "Hey, ", "Hi there, ", "Quick request: ", "Hey there! ")
_NEXT = ("Then ", "Also, ", "Next, ", "After that, ", "Additionally, ", "And ", "Besides that, ")
_MORE = ("Also, ", "And ", "Additionally, ", "One more thing: ", "Besides that, ")
_KEPT = {"I", "I'm", "I've", "I'd", "I'll", "GCD", "CRM"}


def kind(pieces: Sequence[Piece]) -> str:
    """``question``, ``statement`` or ``imperative``, by how the text ends (an imperative has no mark)."""
    text = pieces[-1][0] if not pieces[-1][1] else ""
    return "question" if text.endswith("?") else "statement" if text.endswith((".", "!")) else "imperative"


def _lowered(pieces: list[Piece]) -> list[Piece]:
    text, is_slot = pieces[0]
    first = text.split(" ", 1)[0]
    if is_slot or first.strip(",:") in _KEPT or not text[:1].isupper() or text[1:2].isupper():
        return pieces
    return [(text[0].lower() + text[1:], False), *pieces[1:]]


def _plain_verb(pieces: list[Piece]) -> bool:
    """Whether an imperative starts with its verb, so that "Could you ..." may go in front."""
    text, is_slot = pieces[0]
    words = text.split()
    if is_slot or kind(pieces) != "imperative" or not words or not words[0].isalpha():
        return False
    return words[0].lower() in _VERBS


_VERBS = set(
    (
        "add analyze arrange assess assign balance bill book build calculate call cancel categorize "
        "change check choose classify clean compare compute convert count create decide decode delete "
        "describe design detect determine draft draw encode encrypt estimate evaluate exchange extract "
        "fetch file fill filter find flag forecast format generate get give grade group hash identify "
        "invite invoice issue join keep let line list log look make mark measure merge multiply name "
        "normalize open order pack parse pick plan play plot post predict prepare project publish pull "
        "put quote rank rate recommend record remind remove render report request reserve resize restart "
        "reverse rewrite roll round run save scale schedule score search send set share shift show "
        "simulate solve sort split start subscribe suggest sum summarize switch tell test track "
        "translate transpose turn update validate verify work write "
    ).split()
)


def single(pieces: list[Piece], category: str, rng: random.Random) -> list[Piece]:
    """One request with an optional greeting, context or polite opening, and its full stop."""
    form = rng.random()
    shape = kind(pieces)
    if shape == "imperative" and _plain_verb(pieces) and form < 0.45:
        opener = rng.choice(_OPENERS)
        asks = opener.startswith(("Could", "Can", "Would"))
        pieces = [(opener, False), *_lowered(pieces), ("?" if asks else ".", False)]
    elif shape == "imperative":
        endings = (
            (".", ".", "", "!", "")
            if any("lease" in text for text, _ in pieces)
            else (".", ".", "!", ", please.", "")
        )
        pieces = [*pieces, (rng.choice(endings), False)]
    front = rng.random()
    if front < 0.1:
        pieces = [(rng.choice(CONTEXTS[category]) + " ", False), *pieces] if category in CONTEXTS else pieces
    elif front < 0.17:
        pieces = [(rng.choice(_GREETINGS), False), *_lowered(pieces)]
    if rng.random() < 0.04:
        pieces = [*pieces, (" Thanks!" if pieces[-1][0][-1:] in ".?!" else ". Thanks!", False)]
    return pieces


def joined(sentences: list[list[Piece]], category: str, rng: random.Random) -> list[Piece]:
    """Several requests in one text, in their order."""
    if all(_plain_verb(pieces) for pieces in sentences) and rng.random() < 0.4:
        pieces = [("" if rng.random() < 0.6 else "Please ", False)]
        if pieces[0][0]:
            pieces += _lowered(sentences[0])
        else:
            pieces = list(sentences[0])
        for index, sentence in enumerate(sentences[1:], 2):
            last = index == len(sentences)
            link = rng.choice((", and ", ", then ", " and then ") if last else (", ", ", then ", "; "))
            if last and len(sentences) > 2:
                link = rng.choice((", and finally ", ", and then ", ", and "))
            pieces += [(link, False), *_lowered(sentence)]
        return [*pieces, (".", False)]
    pieces = []
    if rng.random() < 0.08 and category in CONTEXTS:
        pieces.append((rng.choice(CONTEXTS[category]) + " ", False))
    for index, sentence in enumerate(sentences):
        shape = kind(sentence)
        if index:
            pieces.append((" ", False))
            links = _MORE if shape == "question" else _NEXT
            if shape == "statement" or rng.random() < 0.2:
                pieces += sentence
            else:
                pieces += [(rng.choice(links), False), *_lowered(sentence)]
        elif shape == "imperative" and _plain_verb(sentence) and rng.random() < 0.25:
            pieces += [("Please ", False), *_lowered(sentence)]
        else:
            pieces += sentence
        if shape == "imperative":
            pieces.append((".", False))
    return pieces


def noise(pieces: list[Piece], rng: random.Random) -> list[Piece]:
    """Prose as people type it: lower case, a misspelled word or two, no final mark; slots stay."""
    form = rng.random()
    result = list(pieces)
    if form < 0.45:
        result = [(text if slot else text.lower(), slot) for text, slot in result]
    if form > 0.3:
        for _ in range(rng.randint(1, 2)):
            spots = [i for i, (text, slot) in enumerate(result) if not slot and len(text) > 5]
            if not spots:
                break
            spot = rng.choice(spots)
            result[spot] = (_misspelled(result[spot][0], rng), False)
    text, slot = result[-1]
    if not slot and rng.random() < 0.5:
        result[-1] = (text.rstrip(".!?"), False)
    return result


def _misspelled(text: str, rng: random.Random) -> str:
    words = text.split(" ")
    long = [i for i, word in enumerate(words) if len(word) > 4 and word.isalpha()]
    if not long:
        return text
    which = rng.choice(long)
    word = words[which]
    at = rng.randint(1, len(word) - 3)
    change = rng.random()
    if change < 0.4:
        word = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    elif change < 0.75:
        word = word[:at] + word[at + 1 :]
    else:
        word = word[:at] + word[at] + word[at:]
    words[which] = word
    return " ".join(words)
