"""Sports, gaming, music, health, finance and pastime functions that compute their answers."""
# ruff: noqa: E501 (a template is one line)

from __future__ import annotations

import datetime
import random
from fractions import Fraction
from typing import Any, Literal, TypedDict

from xlam_lib.synthesis.library.base import api
from xlam_lib.synthesis.library.pools import CITIES, FIRST_NAMES, FULL_NAMES, SURNAMES, WORDS
from xlam_lib.synthesis.values import (
    clock,
    date,
    decimal,
    enum,
    flag,
    fraction,
    items,
    made,
    measurements,
    money,
    one,
    percent,
    plain,
    quoted,
    record,
    whole,
)

_CLUBS = [
    f"{city} {name}" for city in CITIES[1:70:3] for name in ("United", "Athletic", "Harriers", "Kestrels")
]
_WORDS = [
    *WORDS, "quiver", "jackal", "oxygen", "zebra", "whisky", "puffin", "maze", "hazel", "vixen", "jukebox",
    "squid", "topaz", "waltz", "flummox", "glyph", "kiwi", "lynx", "mango", "oboe", "pixel", "quilt", "rhubarb",
    "saffron", "tundra", "vortex", "wizard", "yacht", "zinc", "bazaar", "cobalt", "dogma", "fjord", "gazebo",
    "hyphen", "ivory", "jigsaw", "knack", "lacquer", "nymph", "parquet",
]  # fmt: skip
_TITLES = [
    f"{first} {second}"
    for first in ("Crimson", "Hollow", "Distant", "Paper", "Silent", "Borrowed", "Electric", "Winter")
    for second in ("Harvest", "Signal", "Cathedral", "Horizon", "Comedians", "Passage", "Meadow", "Orchard")
]
_MEDICINES = [
    "amoxicillin", "ibuprofen", "paracetamol", "cetirizine", "doxycycline", "naproxen", "metformin",
    "omeprazole", "loratadine", "penicillin", "azithromycin", "prednisolone", "famotidine", "vitamin C",
    "cough syrup", "eye drops", "iron tablets", "magnesium", "aspirin", "folic acid",
]  # fmt: skip
_CHORES = [
    "vacuuming", "dishes", "laundry", "grocery shopping", "mopping", "dusting", "taking out the trash",
    "cleaning the bathroom", "watering the plants", "walking the dog", "cooking dinner", "ironing",
    "feeding the cat", "recycling", "mowing the lawn", "washing the windows",
]  # fmt: skip

_LETTERS = "CDEFGAB"
_PITCHES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_TONICS = ["C", "D", "E", "F", "G", "A", "B", "Bb", "Eb", "Ab", "Db", "F#", "C#", "G#"]
# Each degree is its number of letters and of semitones above the tonic, so that notes are spelled properly.
_SCALES = {
    "major": ((0, 0), (1, 2), (2, 4), (3, 5), (4, 7), (5, 9), (6, 11)),
    "natural_minor": ((0, 0), (1, 2), (2, 3), (3, 5), (4, 7), (5, 8), (6, 10)),
    "harmonic_minor": ((0, 0), (1, 2), (2, 3), (3, 5), (4, 7), (5, 8), (6, 11)),
    "dorian": ((0, 0), (1, 2), (2, 3), (3, 5), (4, 7), (5, 9), (6, 10)),
    "phrygian": ((0, 0), (1, 1), (2, 3), (3, 5), (4, 7), (5, 8), (6, 10)),
    "lydian": ((0, 0), (1, 2), (2, 4), (3, 6), (4, 7), (5, 9), (6, 11)),
    "mixolydian": ((0, 0), (1, 2), (2, 4), (3, 5), (4, 7), (5, 9), (6, 10)),
    "major_pentatonic": ((0, 0), (1, 2), (2, 4), (4, 7), (5, 9)),
    "minor_pentatonic": ((0, 0), (2, 3), (3, 5), (4, 7), (6, 10)),
}
_CHORDS = {
    "major": ("", ((0, 0), (2, 4), (4, 7))),
    "minor": ("m", ((0, 0), (2, 3), (4, 7))),
    "diminished": ("dim", ((0, 0), (2, 3), (4, 6))),
    "augmented": ("aug", ((0, 0), (2, 4), (4, 8))),
    "suspended fourth": ("sus4", ((0, 0), (3, 5), (4, 7))),
    "dominant seventh": ("7", ((0, 0), (2, 4), (4, 7), (6, 10))),
    "major seventh": ("maj7", ((0, 0), (2, 4), (4, 7), (6, 11))),
    "minor seventh": ("m7", ((0, 0), (2, 3), (4, 7), (6, 10))),
    "half-diminished seventh": ("m7b5", ((0, 0), (2, 3), (4, 6), (6, 10))),
}


def _pitch(note: str) -> int:
    """Semitones of a note above the C below it; flats may go under 0, sharps over 11."""
    if note[:1] not in _PITCHES or not note or set(note[1:]) not in (set(), {"#"}, {"b"}):
        raise ValueError(f"unknown note: {note!r}")
    return _PITCHES[note[0]] + note.count("#") - note.count("b")


def _above(tonic: str, letters: int, semitones: int) -> str:
    """The note that many letters and semitones above the tonic, with the accidentals it takes."""
    letter = _LETTERS[(_LETTERS.index(tonic[0]) + letters) % 7]
    shift = (_pitch(tonic) + semitones - _PITCHES[letter] + 6) % 12 - 6
    return letter + ("#" * shift if shift > 0 else "b" * -shift)


def _spoken(note: str) -> str:
    return note.replace("#", " sharp").replace("b", " flat")


def _time_after(start: str, minutes: int) -> str:
    moment = datetime.datetime.combine(datetime.date(2000, 1, 1), datetime.time.fromisoformat(start))
    return (moment + datetime.timedelta(minutes=minutes)).strftime("%H:%M")


@api(
    "Sports",
    "elo_rating_update",
    slots={
        "rating": plain(1000, 2700),
        "opponent_rating": plain(1000, 2700),
        "outcome": enum({"win": ("win", "victory"), "draw": ("draw", "tie"), "loss": ("loss", "defeat")}),
        "k_factor": one([10, 12, 15, 16, 20, 24, 25, 30, 40]),
    },
    asks=[
        "Update the Elo rating <of a player rated {rating} after a {outcome} against someone rated {opponent_rating}>[, using K = {k_factor}]",
        "What does the Elo rating become after <a {outcome} by someone rated {rating} against an opponent rated {opponent_rating}>[ if the K-factor is {k_factor}]?",
        "I was at {rating} Elo before today's game, which ended in a {outcome} for me. My opponent had {opponent_rating}. What is my rating now[ with a K-factor of {k_factor}]?",
        "Elo update: <own rating {rating}, opponent {opponent_rating}, {outcome}>[, K={k_factor}]",
        "How many Elo points do you gain or lose <with a {outcome} against a rating of {opponent_rating} when your own is {rating}>?",
        "My daughter had {rating} Elo points before yesterday's {outcome} against a club member with {opponent_rating}, and she's dying to know her new score[ (our club plays with K {k_factor})].",
        "Calculate the Elo change for a {outcome}, <player {rating} against opponent {opponent_rating}>",
        "new elo after a {outcome}, me {rating}, them {opponent_rating}[, k {k_factor}]",
    ],
    missing=[
        "What is my new Elo rating after a {outcome} against someone rated {opponent_rating}?",
        "I'm at {rating} Elo and just played a game. Please update my rating.",
        "Update the Elo rating of a player rated {rating} after a {outcome}",
    ],
    bad=("rating", -200),
)
def elo_rating_update(
    rating: int, opponent_rating: int, outcome: Literal["win", "draw", "loss"], k_factor: int = 32
) -> dict:
    """Update a player's Elo rating after one game.

    rating: Rating of the player before the game.
    opponent_rating: Rating of the opponent before the game.
    outcome: Result from the player's point of view.
    k_factor: Largest number of points that one game can move.
    """
    if min(rating, opponent_rating, k_factor) <= 0:
        raise ValueError("ratings and K-factor must be positive")
    expected = 1 / (1 + 10 ** ((opponent_rating - rating) / 400))
    change = round(k_factor * ({"win": 1, "draw": 0.5, "loss": 0}[outcome] - expected), 1)
    return {"rating": round(rating + change, 1), "change": change, "expected_score": round(expected, 3)}


@api(
    "Sports",
    "tournament.roundRobinFixtures",
    slots={
        "teams": items(one(_CLUBS), 3, 6),
        "double_round": flag(
            ["home and away", "with two legs per pairing"], ["with a single leg per pairing", "one leg only"]
        ),
        "first_date": date(2025, 2027),
        "days_between": whole(2, 14),
    },
    asks=[
        "Draw up <a round-robin for {teams}>[, {double_round}][, starting on {first_date}]",
        "Generate <league fixtures for {teams}>[, {days_between} days between rounds]",
        "If every team meets every other, which matches make up each round for {teams}[, {double_round}]?",
        "Round-robin fixtures: <{teams}>[, {double_round}][, first matchday {first_date}]",
        "We run a small league with {teams}. Can you work out who plays whom and when[, beginning on {first_date}][, {days_between} days apart]?",
        "I promised to organise the summer cup and these clubs entered: {teams}. Please make the pairings so that everyone faces everyone[, {double_round}].",
        "Who plays whom in each round when {teams} play an all-play-all tournament[ that begins on {first_date}][ with {days_between} days from round to round]?",
    ],
    missing=[
        "Draw up the fixtures for a round-robin tournament[ starting on {first_date}]",
        "Which matches make up each round of our league[ if it begins on {first_date}]?",
        "Our league needs fixtures with {days_between} days between rounds.",
    ],
    bad=("teams", ["Lone Rangers"]),
)
def round_robin_fixtures(
    teams: list[str], double_round: bool = False, first_date: str | None = None, days_between: int = 7
) -> list[dict]:
    """Draw up the fixtures of a tournament in which every team meets every other.

    teams: Names of the teams.
    double_round: Whether each pair meets twice, once at either home.
    first_date: Day of the first round, YYYY-MM-DD; rounds get no dates if left out.
    days_between: Days from one round to the next.
    """
    if len(set(teams)) != len(teams) or len(teams) < 2:
        raise ValueError("at least two different teams are needed")
    start = datetime.date.fromisoformat(first_date) if first_date else None
    circle: list[str | None] = [*teams, None] if len(teams) % 2 else [*teams]
    rounds: list[list[tuple[str, str]]] = []
    for turn in range(len(circle) - 1):
        pairs = []
        for place, (one_side, other) in enumerate(
            zip(circle[: len(circle) // 2], circle[::-1], strict=False)
        ):
            # The team that stays in its place changes sides each round, the others as they move on.
            swap = turn % 2 if place == 0 else place % 2
            if one_side and other:
                pairs.append((other, one_side) if swap else (one_side, other))
        rounds.append(pairs)
        circle = [circle[0], circle[-1], *circle[1:-1]]
    if double_round:
        rounds += [[(away, home) for home, away in pairs] for pairs in rounds]
    return [
        {
            "round": number + 1,
            "date": (start + datetime.timedelta(days=number * days_between)).isoformat() if start else None,
            "matches": [f"{home} - {away}" for home, away in pairs],
        }
        for number, pairs in enumerate(rounds)
    ]


@api(
    "Sports",
    "heart_rate_zones",
    slots={
        "age": plain(15, 85),
        "resting_rate": plain(42, 84),
        "formula": enum(
            {
                "fox": ("the Fox formula", "the Fox method"),
                "tanaka": ("the Tanaka formula", "the Tanaka method"),
                "gulati": ("the Gulati formula", "the Gulati method"),
            }
        ),
        "zone": plain(1, 5),
    },
    asks=[
        "Calculate training heart rate zones for <a {age}-year-old[ with a resting pulse of {resting_rate}]>[, using {formula}]",
        "What are the heart rate zones at <age {age}>[, according to {formula}]?",
        "I'm {age} and just bought a chest strap[; my resting heart rate is {resting_rate}]. Which pulse ranges should I train in[, going by {formula}]?",
        "Heart rate zones, <age {age}[, resting {resting_rate} bpm]>[; zone {zone} only]",
        "My coach keeps talking about training zones and I have no idea what my numbers are. For the record, I turned {age} this year[ and wake up with a pulse of {resting_rate}].",
        "How many beats per minute should somebody aged {age} aim for when training[ in zone {zone}][ by {formula}]?",
        "Give me the lower and upper pulse limits[ of zone {zone}] for <an athlete of {age}>",
    ],
    missing=[
        "Calculate my training heart rate zones[ with a resting pulse of {resting_rate}]",
        "How many beats per minute is zone {zone} for me?",
        "I'd like to know my heart rate zones[ according to {formula}].",
    ],
    bad=("age", 0),
)
def heart_rate_zones(
    age: int,
    resting_rate: int | None = None,
    formula: Literal["fox", "tanaka", "gulati"] = "tanaka",
    zone: int | None = None,
) -> dict:
    """Calculate the heart rate zones for endurance training, in beats per minute.

    age: Age in years.
    resting_rate: Heart rate at rest in beats per minute; zones are shares of the heart rate reserve if
        it is given and of the maximum otherwise.
    formula: How the maximum heart rate is estimated from the age.
    zone: Which of the zones 1 to 5 to return; all of them if left out.
    """
    if not 0 < age < 120 or zone not in (None, 1, 2, 3, 4, 5):
        raise ValueError("age must be 1 to 119 and zone 1 to 5")
    base, slope = {"fox": (220, 1), "tanaka": (208, 0.7), "gulati": (206, 0.88)}[formula]
    maximum, rest = base - slope * age, resting_rate or 0
    if rest >= maximum:
        raise ValueError("the resting rate is above the maximum")
    bounds = [round(rest + (maximum - rest) * share / 100) for share in (50, 60, 70, 80, 90, 100)]
    return {f"zone {n}": bounds[n - 1 : n + 1] for n in ((zone,) if zone else range(1, 6))}


def _draw_dice_sum(rng: random.Random) -> tuple[tuple[int, int, int], tuple[str, str, str]]:
    (count, said), sides = whole(2, 8)(rng), rng.choice((4, 6, 6, 8, 10, 12, 20))
    target = rng.randint(count + 1, count * sides - 1)
    return (count, sides, target), (said, str(sides), str(target))


@api(
    "Gaming",
    "dice_sum_probability",
    slots={
        "count,sides,target": _draw_dice_sum,
        "comparison": enum(
            {
                "exactly": ("exactly",),
                "at_least": ("at least", "no less than"),
                "at_most": ("at most", "no more than"),
            }
        ),
        "modifier": plain(1, 9),
    },
    asks=[
        "What is the probability of a total of <{comparison} {target} on {count} {sides}-sided dice>[ when {modifier} is added to the sum]?",
        "Compute the odds that <{count} dice with {sides} sides each sum to {comparison} {target}>[, after adding {modifier}]",
        "Chance of <{comparison} {target}, {count} dice, {sides} sides>[, bonus {modifier}]",
        "My rogue only survives with a total of {comparison} {target} on {count} {sides}-sided dice[ plus a bonus of {modifier}]. How likely is that?",
        "We're balancing a board game where a player throws {count} {sides}-sided dice[ and adds {modifier}]. Please tell me how likely a sum of {comparison} {target} is.",
        "how likely is {comparison} {target} in total with {count} {sides}-sided dice?",
        "Before I bet my last potion: in what share of throws do {count} dice of {sides} sides come to {comparison} {target}[ with {modifier} added on top]?",
        "Determine the probability of <rolling {comparison} {target} in sum with {count} {sides}-sided dice>",
    ],
    missing=[
        "What is the probability of a total of {comparison} {target}[ when {modifier} is added to the sum]?",
        "How likely am I to hit {target} with {sides}-sided dice?",
        "My rogue throws {count} {sides}-sided dice. What are the odds that she makes it?",
    ],
    bad=("sides", 0),
)
def dice_sum_probability(
    count: int,
    sides: int,
    target: int,
    comparison: Literal["exactly", "at_least", "at_most"],
    modifier: int = 0,
) -> dict:
    """Compute the probability that the sum of several fair dice meets a target.

    count: Number of dice.
    sides: Number of sides of each die.
    target: Sum to compare with.
    comparison: Whether the sum must equal the target, reach it, or not exceed it.
    modifier: Number added to the sum before it is compared.
    """
    if not (1 <= count <= 40 and 1 <= sides <= 100):
        raise ValueError("use 1 to 40 dice with 1 to 100 sides")
    ways = {modifier: 1}
    for _ in range(count):
        following: dict[int, int] = {}
        for total, number in ways.items():
            for face in range(1, sides + 1):
                following[total + face] = following.get(total + face, 0) + number
        ways = following
    meets = {
        "exactly": lambda total: total == target,
        "at_least": lambda total: total >= target,
        "at_most": lambda total: total <= target,
    }[comparison]
    share = Fraction(sum(number for total, number in ways.items() if meets(total)), sides**count)
    return {"probability": round(float(share), 6), "fraction": str(share)}


_TILES = {
    letter: points
    for points, letters in {
        1: "AEIORT", 2: "DLNSU", 3: "BGHMP", 4: "CFWY", 6: "KV", 8: "JX", 9: "QZ"
    }.items()
    for letter in letters
}  # fmt: skip


def _draw_tiles(rng: random.Random) -> tuple[tuple[str, list[str]], tuple[str, str]]:
    word, said = quoted(_WORDS)(rng)
    blanks, blanks_said = items(one(sorted(set(word.upper()))), 1, 2)(rng)
    return (word, blanks), (said, blanks_said)


@api(
    "Gaming",
    "wordGame.scoreWord",
    slots={
        "word,blank_letters": _draw_tiles,
        "premium": enum(
            {
                "double_word": ("a double word square", "a double word field"),
                "triple_word": ("a triple word square", "a triple word field"),
            }
        ),
        "seventh_tile_bonus": flag(
            ["with the all-tiles bonus", "including the bonus for using all tiles"],
            ["without the all-tiles bonus"],
        ),
    },
    asks=[
        "How many points would <{word}> score in our tile game[ on {premium}][, {seventh_tile_bonus}]?",
        "Score the word <{word}>[ played across {premium}] for our word game[, {seventh_tile_bonus}]",
        "Tile points for <{word}[ (blanks: {blank_letters})]>[, {seventh_tile_bonus}]",
        "My sister just laid {word}[ over {premium}][, using blank tiles for {blank_letters}]. What do I write on the score sheet?",
        "Add up the letter tiles of <{word}[ with blanks for {blank_letters}]>",
        "I could play {word} next in our word game. Would you tell me what it would score[ on {premium}]?",
        "word game score <{word}>[, {seventh_tile_bonus}]",
    ],
    missing=[
        "How many points do I get for my word[ on {premium}]?",
        "Score my next move in the word game[, {seventh_tile_bonus}]",
        "My sister just laid a word over {premium}. What do I write on the score sheet?",
    ],
    bad=("word", "42"),
)
def score_word(
    word: str,
    blank_letters: list[str] | None = None,
    premium: Literal["none", "double_word", "triple_word"] = "none",
    seventh_tile_bonus: bool = False,
) -> int:
    """Score a word that is laid in a letter tile game.

    word: The word, of the letters A to Z.
    blank_letters: Letters of the word for which a blank tile was used; each counts nothing.
    premium: Square of the board that multiplies the word's points.
    seventh_tile_bonus: Whether 50 points are added because all tiles in hand were used.
    """
    letters = list(word.upper())
    if not letters or not set(letters) <= _TILES.keys():
        raise ValueError(f"{word!r} is not a word of the letters A to Z")
    for blank in blank_letters or ():
        letters.remove(blank.upper())  # raises where the word has no such letter
    points = sum(_TILES[letter] for letter in letters)
    return points * {"none": 1, "double_word": 2, "triple_word": 3}[premium] + 50 * seventh_tile_bonus


@api(
    "Gaming",
    "nim_best_move",
    slots={
        "heaps": measurements(1, 19, (2, 5)),
        "misere": flag(
            ["where whoever takes the last stone loses", "under misère rules"],
            ["where whoever takes the last stone wins", "under normal rules"],
        ),
        "max_take": whole(2, 7),
    },
    asks=[
        "Find the best move in Nim <with heaps of {heaps}>[ {misere}]",
        "It's my turn in a game of Nim[ {misere}] and the heaps hold {heaps} stones. What should I take[ if {max_take} stones is the most a turn allows]?",
        "Is the Nim position <with heaps of {heaps}> won for the player to move[ {misere}]?",
        "Nim, <heaps {heaps}>[, at most {max_take} per turn], best move",
        "My nephew and I are playing Nim with pebbles[ {misere}]. There are {heaps} left in the piles, and I'd love to know how to beat him.",
        "Which heap do I take from in Nim, and how many, when the heaps are {heaps}[ and nobody may take more than {max_take} at once]?",
        "Analyze the Nim position <with heaps {heaps}>[ {misere}]",
    ],
    missing=[
        "Find the best move in our game of Nim[ {misere}]",
        "It's my turn at Nim and nobody may take more than {max_take} stones at once. What should I do?",
    ],
    bad=("heaps", [3, -1]),
)
def nim_best_move(heaps: list[int], misere: bool = False, max_take: int | None = None) -> dict:
    """Find a winning move in a position of Nim.

    heaps: Number of stones in each heap.
    misere: Whether the player who takes the last stone loses instead of winning.
    max_take: Most stones that may be taken from a heap in one turn; any number if left out.
    """
    if min(heaps, default=-1) < 0 or not 0 < max(heaps) <= 10_000 or (max_take is not None and max_take < 1):
        raise ValueError("heaps must hold 1 to 10000 stones, and at least one may be taken")
    limit = max_take or max(heaps)

    def lost(position: list[int]) -> bool:
        """Whether the player to move loses against best play."""
        parity = 0
        reduced = [heap % (limit + 1) for heap in position]
        for heap in reduced:
            parity ^= heap
        # Misère play differs from normal play only once no reduced heap is larger than one.
        return (parity != 0) if misere and max(reduced) <= 1 else parity == 0

    for index, heap in enumerate(heaps):
        for take in range(1, min(heap, limit) + 1):
            if lost([*heaps[:index], heap - take, *heaps[index + 1 :]]):
                return {"winning": True, "heap": index + 1, "take": take}
    return {"winning": False, "heap": None, "take": None}


def _draw_note(rng: random.Random) -> tuple[str, str]:
    note, octave = rng.choice([*_TONICS, "Gb", "D#"]), rng.randint(1, 7)
    said = f"{_spoken(note)} {octave}" if len(note) > 1 and rng.random() < 0.4 else f"{note}{octave}"
    return f"{note}{octave}", said


def _draw_cents(rng: random.Random) -> tuple[int, str]:
    cents = rng.randint(2, 49)
    return (cents, f"{cents} cents sharp") if rng.random() < 0.5 else (-cents, f"{cents} cents flat")


@api(
    "Music",
    "note_frequency",
    slots={
        "note": _draw_note,
        "concert_pitch": one([415, 430, 432, 435, 438, 439, 441, 442, 443, 444, 445, 446, 452, 466]),
        "detune_cents": _draw_cents,
    },
    asks=[
        "What is the frequency of <the note {note}>[ when A4 is tuned to {concert_pitch} Hz]?",
        "Calculate the pitch in hertz of <{note}[, {detune_cents}]>",
        "Frequency of <{note}[, {detune_cents}]>[; A4 = {concert_pitch} Hz]",
        "I'm building a synthesizer and need to know how many hertz {note} has[ with A4 at {concert_pitch} Hz].",
        "How fast does a string vibrate when it sounds <the note {note}[, {detune_cents}]>?",
        "Our orchestra tunes[ to {concert_pitch} Hz for A4] before the show. Could you give me the frequency of {note} in hertz?",
        "{note} in Hz please[, but {detune_cents}]",
    ],
    missing=[
        "What is the frequency of the note[ when A4 is tuned to {concert_pitch} Hz]?",
        "How many hertz does my note have if it is {detune_cents}?",
    ],
    bad=("note", "H4"),
)
def note_frequency(note: str, concert_pitch: float = 440.0, detune_cents: float = 0.0) -> float:
    """Calculate the frequency of a note in equal temperament, in hertz.

    note: Note and octave in scientific notation, such as C#4 or Bb3.
    concert_pitch: Frequency of A4 in hertz.
    detune_cents: Hundredths of a semitone by which the note is sharp, or flat if negative.
    """
    name, octave = note.rstrip("0123456789"), note[len(note.rstrip("0123456789")) :]
    if not octave or int(octave) > 10 or concert_pitch <= 0:
        raise ValueError(f"no frequency for {note!r} at {concert_pitch} Hz")
    semitones = _pitch(name) - _pitch("A") + 12 * (int(octave) - 4) + detune_cents / 100
    return round(concert_pitch * 2 ** (semitones / 12), 3)


@api(
    "Music",
    "music.scaleNotes",
    slots={
        "tonic": one([(note, note, _spoken(note)) for note in _TONICS]),
        "scale": enum(
            {
                "major": ("major",),
                "natural_minor": ("natural minor", "minor"),
                "harmonic_minor": ("harmonic minor",),
                "dorian": ("Dorian",),
                "phrygian": ("Phrygian",),
                "lydian": ("Lydian",),
                "mixolydian": ("Mixolydian",),
                "major_pentatonic": ("major pentatonic",),
                "minor_pentatonic": ("minor pentatonic",),
            }
        ),
        "octaves": whole(2, 4),
        "direction": enum({"up": ("ascending", "upwards"), "down": ("descending", "downwards")}),
    },
    asks=[
        "Which notes are in <the {tonic} {scale} scale>?",
        "List the notes of <the {tonic} {scale} scale>[, {direction}][, over {octaves} octaves]",
        "Notes: <{tonic} {scale}>[, {octaves} octaves][, {direction}]",
        "My piano teacher wants me to practise the {scale} scale that starts on {tonic}[, {direction}]. What do I play?",
        "Spell out <the {scale} scale on {tonic}>[ across {octaves} octaves]",
        "I want to improvise in {tonic} {scale} but keep hitting wrong notes. Show me the right ones, please.",
        "what's in <{tonic} {scale}>, note by note[, {direction}]?",
    ],
    missing=[
        "Which notes are in the {scale} scale?",
        "List the notes of a scale on {tonic}[, {direction}]",
        "My piano teacher wants me to practise a scale over {octaves} octaves. What do I play?",
    ],
    bad=("tonic", "H"),
)
def scale_notes(
    tonic: str,
    scale: Literal[
        "major",
        "natural_minor",
        "harmonic_minor",
        "dorian",
        "phrygian",
        "lydian",
        "mixolydian",
        "major_pentatonic",
        "minor_pentatonic",
    ],
    octaves: int = 1,
    direction: Literal["up", "down"] = "up",
) -> list[str]:
    """List the notes of a musical scale from tonic to tonic.

    tonic: Note the scale starts on, such as D or Bb.
    scale: Kind of scale.
    octaves: How many octaves to run through.
    direction: Whether the notes go up or down.
    """
    if not 1 <= octaves <= 8:
        raise ValueError("octaves must be 1 to 8")
    notes = [_above(tonic, *degree) for degree in _SCALES[scale]] * octaves + [tonic]
    return notes if direction == "up" else notes[::-1]


def _draw_chord(rng: random.Random) -> tuple[list[str], str]:
    root, (_, degrees) = rng.choice(_TONICS[:10]), rng.choice(list(_CHORDS.values()))
    notes = [_above(root, *degree) for degree in degrees]
    turn = rng.choice((0, 0, 1, 2))
    notes = notes[turn:] + notes[:turn]
    joined = (", ".join(notes), ", ".join(notes[:-1]) + " and " + notes[-1], "-".join(notes))
    return notes, rng.choice(joined)


@api(
    "Music",
    "identify_chord",
    slots={
        "notes": _draw_chord,
        "notation": enum(
            {
                "symbol": ("as a chord symbol", "in symbol notation"),
                "words": ("in words", "in full words"),
            }
        ),
        "name_bass": flag(
            ["with the bass note if it differs from the root", "slash chords allowed"],
            ["ignoring the bass note", "without slash notation"],
        ),
    },
    asks=[
        "Which chord consists of <{notes}>[ ({name_bass})]?",
        "Identify <the chord made of {notes}>[ and name it {notation}]",
        "Chord with <{notes}>[; {notation}][; {name_bass}]",
        "I stumbled upon a lovely sound on my guitar. The strings ring {notes}. What is it called[, {notation}]?",
        "My left hand plays {notes} together. Can you name this chord[, {name_bass}]?",
        "name of the chord: {notes}[ ({notation})]",
        "Tell me what <the notes {notes}> form together[, {name_bass}]",
    ],
    missing=[
        "Which chord am I playing?",
        "Please name the chord that I found on my guitar[, {name_bass}].",
        "Identify the chord and name it {notation}",
    ],
    bad=("notes", ["C", "C#", "D"]),
)
def identify_chord(
    notes: list[str], notation: Literal["symbol", "words"] = "symbol", name_bass: bool = True
) -> str:
    """Name the chord that several notes form.

    notes: Names of the notes from the lowest up, such as C, Eb and G.
    notation: Whether the chord is named by its symbol or in words.
    name_bass: Whether the lowest note is added to the name where it is not the root, as in C/E.
    """
    pitches = {_pitch(note) % 12 for note in notes}
    over = "/" if notation == "symbol" else " over "
    for root in notes:
        for quality, (symbol, degrees) in _CHORDS.items():
            if {(_pitch(root) + semitones) % 12 for _, semitones in degrees} == pitches:
                name = f"{root}{symbol}" if notation == "symbol" else f"{root} {quality}"
                return name + over + notes[0] if name_bass and root != notes[0] else name
    raise ValueError(f"no known chord consists of {notes}")


@api(
    "Health",
    "daily_water_target",
    slots={
        "weight_kg": decimal(42, 125, 1),
        "exercise_minutes": plain(15, 150),
        "climate": enum(
            {"cool": ("cool", "cold"), "temperate": ("temperate", "mild"), "hot": ("hot", "very hot")}
        ),
        "unit": enum({"liters": ("liters", "litres"), "fluid_ounces": ("fluid ounces",), "cups": ("cups",)}),
    },
    asks=[
        "How much water should <a person weighing {weight_kg} kg> drink per day[ in a {climate} climate]?",
        "Calculate the daily water need at <{weight_kg} kg>[, with {exercise_minutes} minutes of exercise][, in {unit}]",
        "I weigh {weight_kg} kg[ and work out for {exercise_minutes} minutes a day]. How much should I be drinking[, expressed in {unit}]?",
        "Daily water, <{weight_kg} kg body weight>[, {climate} climate][, {unit}]",
        "I keep getting headaches and my flatmate says I drink too little. I'm {weight_kg} kilos[ and the weather here is {climate}], so what should I aim for every day?",
        "Set me a hydration goal. My weight is {weight_kg} kg[ and I exercise {exercise_minutes} minutes daily].",
        "Estimate how many {unit} of water I need a day if I weigh <{weight_kg} kg>",
    ],
    missing=[
        "How much water should I drink per day[ in a {climate} climate]?",
        "I exercise for {exercise_minutes} minutes a day. What is my daily water target[ in {unit}]?",
    ],
    bad=("weight_kg", 0),
)
def daily_water_target(
    weight_kg: float,
    exercise_minutes: int = 0,
    climate: Literal["cool", "temperate", "hot"] = "temperate",
    unit: Literal["liters", "fluid_ounces", "cups"] = "liters",
) -> float:
    """Estimate how much water a person should drink in a day, by a rule of thumb.

    weight_kg: Body weight in kilograms.
    exercise_minutes: Minutes of exercise a day.
    climate: Climate the person lives in.
    unit: Unit of the result.
    """
    if weight_kg <= 0 or exercise_minutes < 0:
        raise ValueError("weight must be positive and exercise not negative")
    per_kilogram = {"cool": 0.031, "temperate": 0.033, "hot": 0.038}[climate]
    liters = weight_kg * per_kilogram + exercise_minutes * 0.011
    return round(liters * {"liters": 1, "fluid_ounces": 33.814, "cups": 4.2268}[unit], 1)


@api(
    "Health",
    "health.basalMetabolicRate",
    slots={
        "sex": enum({"female": ("woman",), "male": ("man",)}),
        "age": plain(18, 82),
        "weight_kg": decimal(46, 118, 1),
        "height_cm": plain(150, 202),
        "activity": enum(
            {
                "sedentary": ("sedentary",),
                "light": ("light",),
                "moderate": ("moderate",),
                "high": ("high",),
            }
        ),
        "formula": enum(
            {
                "mifflin_st_jeor": ("the Mifflin-St Jeor equation", "the Mifflin-St Jeor formula"),
                "harris_benedict": ("the Harris-Benedict equation", "the Harris-Benedict formula"),
            }
        ),
    },
    asks=[
        "Calculate the basal metabolic rate of <a {age}-year-old {sex} who weighs {weight_kg} kg and measures {height_cm} cm>[, using {formula}]",
        "How many calories does the body of <a {sex} aged {age}, {height_cm} cm tall and weighing {weight_kg} kg> burn at rest?",
        "BMR: <{sex}, {age} years, {height_cm} cm, {weight_kg} kg>[, {formula}][, activity level {activity}]",
        "I'm a {sex} of {age}, I stand {height_cm} cm tall and the scale says {weight_kg} kg. What is my basal metabolic rate[ by {formula}]?",
        "My nutritionist asked for my resting energy expenditure. I am {age} years old, {height_cm} cm, {weight_kg} kg and a {sex}[; my activity level is {activity}].",
        "what's the bmr for <a {sex}, age {age}, weight {weight_kg} kg, height {height_cm} cm>[, activity: {activity}]?",
        "Estimate resting calories per day[ with {formula}] for <a {sex} of {height_cm} cm and {weight_kg} kg, aged {age}>",
    ],
    missing=[
        "Calculate the basal metabolic rate of a {sex} weighing {weight_kg} kg[, using {formula}]",
        "I'm {height_cm} cm tall and {age} years old. How many calories do I burn at rest?",
    ],
    bad=("age", -4),
)
def basal_metabolic_rate(
    sex: Literal["female", "male"],
    age: int,
    weight_kg: float,
    height_cm: float,
    formula: Literal["mifflin_st_jeor", "harris_benedict"] = "mifflin_st_jeor",
    activity: Literal["sedentary", "light", "moderate", "high"] | None = None,
) -> dict:
    """Estimate the energy that a body burns at rest, in kilocalories per day.

    sex: Sex of the person.
    age: Age in years.
    weight_kg: Body weight in kilograms.
    height_cm: Height in centimetres.
    formula: Equation used.
    activity: Level of daily activity; if given, the need including activity is added to the result.
    """
    if min(age, weight_kg, height_cm) <= 0:
        raise ValueError("age, weight and height must be positive")
    if formula == "mifflin_st_jeor":
        rate = 10 * weight_kg + 6.25 * height_cm - 5 * age + (5 if sex == "male" else -161)
    elif sex == "male":
        rate = 88.362 + 13.397 * weight_kg + 4.799 * height_cm - 5.677 * age
    else:
        rate = 447.593 + 9.247 * weight_kg + 3.098 * height_cm - 4.330 * age
    result = {"at_rest": round(rate)}
    if activity:
        factor = {"sedentary": 1.2, "light": 1.375, "moderate": 1.55, "high": 1.725}[activity]
        result["with_activity"] = round(rate * factor)
    return result


@api(
    "Health",
    "medication.doseTimes",
    slots={
        "medicine": one(_MEDICINES),
        "first_dose": clock(5, 22),
        "every_hours": one([(n, str(n)) for n in (4, 6, 8, 12, 24, 48)]),
        "doses": whole(3, 20),
        "start_date": date(2025, 2027),
        "night_pause": flag(["skipping doses at night", "leaving out doses at night"], ["day and night"]),
    },
    asks=[
        "Plan <{doses} doses of {medicine}, one every {every_hours} hours from {first_dose}>[, {night_pause}]",
        "At what times should I take <{medicine} if there are {doses} doses, {every_hours} hours apart, and the first is at {first_dose}[ on {start_date}]>?",
        "Dose times: <{medicine}, {doses} doses, first at {first_dose}[ on {start_date}], every {every_hours} hours>[; {night_pause}]",
        "The pharmacist gave me {medicine} with {doses} doses in the pack and told me to take one every {every_hours} hours. I'll begin at {first_dose}[ on {start_date}]. When do I take the others[, {night_pause}]?",
        "Make me a list of dose times for {medicine}. There are {doses} of them, {every_hours} hours apart, and the first is at {first_dose}[ on {start_date}].",
        "I'm looking after my grandfather and I'm afraid of missing his {medicine}. He gets {doses} doses, {every_hours} hours apart, starting at {first_dose}[, {night_pause}], so please write down the times.",
        "Work out the times for <{medicine} every {every_hours} hours starting at {first_dose}, {doses} doses>",
    ],
    missing=[
        "At what times is my {medicine} due if I take it every {every_hours} hours?",
        "Plan {doses} doses of {medicine}[, starting on {start_date}]",
        "I begin with my tablets at {first_dose}[ on {start_date}]. When do I take the others?",
    ],
    bad=("every_hours", 0),
)
def dose_times(
    medicine: str,
    first_dose: str,
    every_hours: int,
    doses: int,
    start_date: str | None = None,
    night_pause: bool = False,
) -> list[str]:
    """Plan the times at which the doses of a medicine are taken.

    medicine: Name of the medicine.
    first_dose: Time of the first dose on the 24-hour clock, HH:MM.
    every_hours: Hours from one dose to the next.
    doses: Number of doses, the first one included.
    start_date: Day of the first dose, YYYY-MM-DD; days are numbered if left out.
    night_pause: Whether doses due between 23:00 and 05:59 are left out.
    """
    if every_hours <= 0 or not 0 < doses <= 500:
        raise ValueError("the interval must be positive and doses 1 to 500")
    day = datetime.date.fromisoformat(start_date) if start_date else datetime.date(2000, 1, 1)
    start = datetime.datetime.combine(day, datetime.time.fromisoformat(first_dose))
    times = [start + datetime.timedelta(hours=every_hours * number) for number in range(doses)]
    return [
        f"{medicine}, {time.date().isoformat() if start_date else f'day {(time.date() - day).days + 1}'} {time:%H:%M}"
        for time in times
        if not (night_pause and (time.hour >= 23 or time.hour < 6))
    ]


@api(
    "Finance",
    "net_present_value",
    slots={
        "discount_rate": fraction(2, 16, 0.5),
        "cash_flows": items(whole(200, 9500, 50, words=False), 3, 6, distinct=False),
        "initial_cost": money(500, 40000, 0.0),
        "timing": enum(
            {
                "end": ("at the end of each year", "at year end"),
                "start": ("at the start of each year", "at the beginning of each year"),
            }
        ),
    },
    asks=[
        "Calculate the net present value of <yearly cash flows of {cash_flows} at a discount rate of {discount_rate}[ after an initial cost of {initial_cost}]>",
        "What is a project worth today that pays out {cash_flows} in successive years[, each time {timing}], discounted at {discount_rate}[, given that it costs {initial_cost} up front]?",
        "NPV: <cash flows {cash_flows}; discount rate {discount_rate}[; initial cost {initial_cost}]>",
        "We might buy a machine[ for {initial_cost}] that should bring in {cash_flows} over the coming years. At a discount rate of {discount_rate}, does it pay off?",
        "My uncle wants me to put money into his food truck and promises yearly payouts of {cash_flows}[, always {timing}]. I discount at {discount_rate}. Please find out what that is worth now.",
        "Discount to today's value <the annual payments {cash_flows}[, payable {timing},] with a rate of {discount_rate}>",
        "present value of <yearly payments of {cash_flows} at {discount_rate}[ less an outlay of {initial_cost}]>",
    ],
    missing=[
        "What is a project worth today that pays out {cash_flows} in successive years?",
        "Calculate the net present value at a discount rate of {discount_rate}[ after an initial cost of {initial_cost}]",
    ],
    bad=("discount_rate", -1),
)
def net_present_value(
    discount_rate: float,
    cash_flows: list[float],
    initial_cost: float = 0.0,
    timing: Literal["end", "start"] = "end",
) -> dict:
    """Compute the net present value of a series of yearly cash flows.

    discount_rate: Yearly discount rate as a fraction, for example 0.08 for 8%.
    cash_flows: Cash flow of each year, the first year first.
    initial_cost: Amount spent at the outset, which is subtracted.
    timing: Whether cash flows arrive at the start or at the end of each year.
    """
    if discount_rate <= -1:
        raise ValueError("the discount rate must be above -1")
    first = 1 if timing == "end" else 0
    worth = sum(flow / (1 + discount_rate) ** year for year, flow in enumerate(cash_flows, first))
    return {"npv": round(worth - initial_cost, 2), "worthwhile": worth > initial_cost}


@api(
    "Finance",
    "bonds.fairPrice",
    slots={
        "face_value": money(500, 50000, 0.0),
        "coupon_rate": percent(0.5, 9, 0.25),
        "market_yield": percent(1, 10, 0.25),
        "years": whole(2, 30),
        "payments_per_year": enum(
            {1: ("annual", "yearly"), 2: ("semiannual", "half-yearly"), 4: ("quarterly",)}
        ),
    },
    asks=[
        "What is the fair price of <a bond with a face value of {face_value}, a {coupon_rate} coupon and {years} years to maturity> at a market yield of {market_yield}[, with {payments_per_year} payments]?",
        "Price <a {years}-year bond over {face_value} with a coupon of {coupon_rate} and a yield of {market_yield}>[, {payments_per_year} coupons]",
        "Bond price: <face {face_value}, coupon {coupon_rate}, yield {market_yield}, {years} years>[, {payments_per_year} payments]",
        "My broker offers me a bond that repays {face_value} in {years} years and carries a coupon of {coupon_rate}[, with {payments_per_year} interest payments]. Comparable bonds yield {market_yield}. What should I pay for it at most?",
        "I inherited a bond with {years} years left to run. It has a par value of {face_value} and a {coupon_rate} coupon[ paid in {payments_per_year} instalments], while the market yields {market_yield}. Please tell me what it's worth.",
        "Compute what <a bond with par value {face_value}, coupon {coupon_rate} and {years} years to go> should trade at when yields are {market_yield}",
        "how much is a {coupon_rate} coupon bond worth, {years} years left, {face_value} at par, market yield {market_yield}?",
    ],
    missing=[
        "What is the fair price of a bond with a face value of {face_value} and a {coupon_rate} coupon?",
        "I inherited a bond with {years} years left to run and a coupon of {coupon_rate}. What is it worth?",
    ],
    bad=("years", 0),
)
def fair_price(
    face_value: float,
    coupon_rate: float,
    market_yield: float,
    years: int,
    payments_per_year: Literal[1, 2, 4] = 1,
) -> float:
    """Compute the fair price of a bond with fixed coupons, in dollars.

    face_value: Amount repaid at maturity, in dollars.
    coupon_rate: Interest that the bond pays a year, in percent of the face value.
    market_yield: Yearly yield of comparable bonds, in percent.
    years: Years to maturity.
    payments_per_year: How many coupons are paid in a year.
    """
    if years <= 0 or face_value <= 0:
        raise ValueError("years and face value must be positive")
    growth = 1 + market_yield / 100 / payments_per_year
    coupon = face_value * coupon_rate / 100 / payments_per_year
    periods = years * payments_per_year
    coupons = sum(coupon / growth**period for period in range(1, periods + 1))
    return round(coupons + face_value / growth**periods, 2)


_draw_list_of_films = items(
    record(
        ["{title} ({minutes} min)", "{title} ({minutes} minutes)"],
        title=quoted(_TITLES),
        minutes=plain(78, 189),
    ),
    2,
    4,
)


def _draw_films(rng: random.Random) -> tuple[list[dict[str, Any]], str]:
    films, said = _draw_list_of_films(rng)
    while len({film["title"] for film in films}) < len(films):
        films, said = _draw_list_of_films(rng)
    return films, said


class Film(TypedDict):
    """A film of a marathon.

    title: Title of the film.
    minutes: Running time in minutes.
    """

    title: str
    minutes: int


@api(
    "Entertainment",
    "movie_marathon.timeline",
    slots={
        "films": _draw_films,
        "start_time": clock(9, 20),
        "break_minutes": one([5, 10, 12, 15, 20, 25, 30, 40, 45]),
        "order": enum(
            {
                "as_given": ("in the order given", "in this order"),
                "shortest_first": ("shortest first",),
                "longest_first": ("longest first",),
            }
        ),
    },
    asks=[
        "Plan <a movie marathon with {films}, starting at {start_time}>[, {order}][, with breaks of {break_minutes} minutes]",
        "When does each film start if we watch <{films} from {start_time} on>[ with {break_minutes}-minute breaks]?",
        "Movie marathon <from {start_time} with {films}>[; {order}]",
        "We want to see {films} back to back this weekend and press play at {start_time}[, {order}]. When will we be done?",
        "My friends are bringing {films}. Can you lay out a timetable for the evening that begins at {start_time}[ and leaves {break_minutes} minutes between films]?",
        "Marathon timeline: {films}[, {break_minutes} min breaks], first one at {start_time}",
        "It's going to be a long night! The line-up is {films} and the first film rolls at {start_time}[, {order}]. Please work out the start and end of every film[ with a {break_minutes}-minute pause in between].",
    ],
    missing=[
        "Plan a movie marathon with {films}",
        "Our movie marathon begins at {start_time}. When does each film start[ with {break_minutes}-minute breaks]?",
    ],
    bad=("start_time", "27:00"),
)
def marathon_timeline(
    films: list[Film],
    start_time: str,
    break_minutes: int = 15,
    order: Literal["as_given", "shortest_first", "longest_first"] = "as_given",
) -> list[dict]:
    """Work out when each film of a movie marathon starts and ends.

    films: Films with their running times.
    start_time: Time the first film starts, on the 24-hour clock, HH:MM.
    break_minutes: Break between two films, in minutes.
    order: Order in which the films are shown.
    """
    if break_minutes < 0 or any(film["minutes"] <= 0 for film in films):
        raise ValueError("running times must be positive and breaks not negative")
    shown = list(films)
    if order != "as_given":
        shown.sort(key=lambda film: film["minutes"], reverse=order == "longest_first")
    timeline, passed = [], 0
    for film in shown:
        end = passed + film["minutes"]
        timeline.append(
            {
                "title": film["title"],
                "start": _time_after(start_time, passed),
                "end": _time_after(start_time, end),
            }
        )
        passed = end + break_minutes
    return timeline


_SIGNS = (
    (120, "Capricorn", "♑", "earth"), (219, "Aquarius", "♒", "air"), (321, "Pisces", "♓", "water"),
    (420, "Aries", "♈", "fire"), (521, "Taurus", "♉", "earth"), (621, "Gemini", "♊", "air"),
    (723, "Cancer", "♋", "water"), (823, "Leo", "♌", "fire"), (923, "Virgo", "♍", "earth"),
    (1023, "Libra", "♎", "air"), (1122, "Scorpio", "♏", "water"), (1222, "Sagittarius", "♐", "fire"),
    (1232, "Capricorn", "♑", "earth"),
)  # fmt: skip
"""Month and day (``MMDD``) on which the sign has ended, its name, symbol and element."""


@api(
    "Other",
    "zodiac.sign_of_birthday",
    slots={
        "birth_date": date(1938, 2016),
        "form": enum(
            {"name": ("as a name", "by name"), "symbol": ("as a symbol", "as an astrological symbol")}
        ),
        "with_element": flag(
            ["along with its element", "element included"], ["without the element", "element left out"]
        ),
    },
    asks=[
        "Which zodiac sign belongs to <someone born on {birth_date}>[, {with_element}]?",
        "Find the star sign for <a birthday on {birth_date}>[, {form}]",
        "I was born on {birth_date}. What does that make me, astrologically speaking[, {with_element}]?",
        "Zodiac sign, <born {birth_date}>[, {form}][, {with_element}]",
        "My new colleague is into astrology and asked me for my star sign, but I never learned it. My date of birth is {birth_date}.",
        "Determine the sun sign of <a person with the birth date {birth_date}>[ and give it {form}]",
        "what star sign do you get with <the birth date {birth_date}>[, {form}]?",
    ],
    missing=[
        "What is my star sign[, {with_element}]?",
        "Find my sister's zodiac sign and give it {form}",
    ],
    bad=("birth_date", "2001-02-30"),
)
def sign_of_birthday(
    birth_date: str, form: Literal["name", "symbol"] = "name", with_element: bool = False
) -> dict:
    """Find the Western zodiac sign for a date of birth.

    birth_date: Date of birth, YYYY-MM-DD.
    form: Whether the sign is given by its name or its symbol.
    with_element: Whether the sign's element is given too.
    """
    day = datetime.date.fromisoformat(birth_date)
    _, name, symbol, element = next(sign for sign in _SIGNS if day.month * 100 + day.day < sign[0])
    answer = {"sign": name if form == "name" else symbol}
    return answer | {"element": element} if with_element else answer


_NAME_DRAWS = (
    one(FULL_NAMES),
    made("{first} {middle} {last}", first=one(FIRST_NAMES), middle=one(FIRST_NAMES), last=one(SURNAMES)),
    made(
        "{first} {last}-{other}", first=one(FIRST_NAMES), last=one(SURNAMES[::2]), other=one(SURNAMES[1::2])
    ),
)


def _draw_name(rng: random.Random) -> tuple[str, str]:
    return rng.choice(_NAME_DRAWS)(rng)


@api(
    "Other",
    "nameInitials",
    slots={
        "full_name": _draw_name,
        "style": enum(
            {
                "plain": ("without dots", "with no dots"),
                "dotted": ("with dots", "with a dot after each letter"),
                "hyphenated": ("with hyphens", "joined by hyphens"),
            }
        ),
        "middle_names": flag(
            ["middle names included", "counting middle names"],
            ["skipping middle names", "ignoring middle names"],
        ),
    },
    asks=[
        "What are the initials of <{full_name}>[, {style}]?",
        "Write <{full_name}> as initials[ {style}][, {middle_names}]",
        "Initials: <{full_name}>[, {style}][, {middle_names}]",
        "I'm having cufflinks engraved for {full_name} and only the initials will fit[, {style}]. What should the engraver put on them?",
        "Abbreviate <{full_name}> to initials[, {middle_names}]",
        "Our ticket system uses initials[ {style}] to sign notes. My name is {full_name}, so how should I sign[, {middle_names}]?",
        "how would <{full_name}> be shortened to initials[, {style}]?",
    ],
    missing=[
        "What are my initials[, {style}]?",
        "I'm having cufflinks engraved with my initials, {style}. What should the engraver put on them?",
    ],
    bad=("full_name", "  "),
)
def name_initials(
    full_name: str, style: Literal["plain", "dotted", "hyphenated"] = "dotted", middle_names: bool = True
) -> str:
    """Shorten a person's name to initials.

    full_name: First name, middle names if any, and last name.
    style: What stands between the letters.
    middle_names: Whether middle names count.
    """
    parts = [part[0].upper() for part in full_name.replace("-", " ").split()]
    if not parts:
        raise ValueError("the name is empty")
    if not middle_names:
        parts = [parts[0], *parts[1:][-1:]]
    return {"plain": "".join(parts), "dotted": ".".join([*parts, ""]), "hyphenated": "-".join(parts)}[style]


def _draw_monday(rng: random.Random) -> tuple[str, str]:
    value, said = date(2025, 2027)(rng)
    while datetime.date.fromisoformat(value).weekday():
        value, said = date(2025, 2027)(rng)
    return value, said


@api(
    "Lifestyle",
    "chores.rotation_plan",
    slots={
        "people": items(one(FIRST_NAMES), 2, 5),
        "chores": items(one(_CHORES), 2, 5),
        "weeks": whole(2, 12),
        "first_monday": _draw_monday,
    },
    asks=[
        "Make <a rota for {people} that covers {chores}>[ over {weeks} weeks]",
        "Who does what if <{people} take turns at {chores}>[ for {weeks} weeks][, starting on Monday, {first_monday}]?",
        "Chore rotation: <people {people}, chores {chores}>[; {weeks} weeks]",
        "We share a flat and keep arguing about housework. The tasks are {chores}. The people are {people}. Can you make a fair rotation[ from Monday, {first_monday}, on]?",
        "Split {chores} fairly among {people}[, changing places every week for {weeks} weeks]",
        "My kids ({people}) are old enough to help with {chores}, so I need a weekly rotation[ that lasts {weeks} weeks][, beginning on Monday, {first_monday}].",
        "Please rotate {chores} week by week between {people}.",
    ],
    missing=[
        "Make a rota for {people}[ over {weeks} weeks]",
        "Who does what if we take turns at {chores}[ for {weeks} weeks]?",
        "My flatmates and I need a chore rotation[ from Monday, {first_monday}, on].",
    ],
    bad=("people", []),
)
def rotation_plan(
    people: list[str], chores: list[str], weeks: int = 4, first_monday: str | None = None
) -> list[dict]:
    """Make a weekly rotation of household chores.

    people: Names of those who share the chores.
    chores: Chores to be done every week.
    weeks: How many weeks to plan.
    first_monday: Monday of the first week, YYYY-MM-DD; weeks are numbered if left out.
    """
    if not people or not chores or weeks < 1:
        raise ValueError("people, chores and at least one week are needed")
    monday = datetime.date.fromisoformat(first_monday) if first_monday else None
    if monday and monday.weekday() != 0:
        raise ValueError(f"{first_monday} is no Monday")
    plan = []
    for week in range(weeks):
        label = (monday + datetime.timedelta(weeks=week)).isoformat() if monday else f"week {week + 1}"
        turns = {chore: people[(index + week) % len(people)] for index, chore in enumerate(chores)}
        plan.append({"week": label, "turns": turns})
    return plan
