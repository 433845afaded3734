"""Sports, entertainment, gaming and music functions."""
# ruff: noqa: E501 (a template is one line)

from __future__ import annotations

from typing import Literal

from xlam_lib.synthesis.library.base import api, pick, steady
from xlam_lib.synthesis.library.pools import CITIES, FIRST_NAMES, FULL_NAMES
from xlam_lib.synthesis.values import (
    clock,
    date,
    decimal,
    enum,
    flag,
    items,
    made,
    one,
    pair,
    plain,
    quoted,
    whole,
)

_TEAMS = [f"{city} {name}" for city in CITIES[:60:2] for name in ("Falcons", "Rovers", "Comets", "Wolves")]
_GENRES = {
    "comedy": ("comedy",),
    "drama": ("drama",),
    "thriller": ("thriller",),
    "sci-fi": ("science fiction", "sci-fi"),
    "horror": ("horror",),
    "documentary": ("documentary",),
}
_MOVIES = [
    "The Glass Harbor",
    "Midnight Atlas",
    "Seven Lanterns",
    "Paper Tigers",
    "A Winter in Porto",
    "Zero Hour",
    "The Last Cartographer",
    "Salt and Honey",
    "Night Ferry",
    "Orbit 9",
]
_SONGS = [
    "Silver Rain",
    "Back to Lisbon",
    "Neon Rivers",
    "Hold the Line Softly",
    "Paper Moonlight",
    "Dust and Diamonds",
    "Ocean Drive 88",
    "Letters Home",
]
_ARTISTS = [
    "The Velvet Foxes",
    "Mara Quinn",
    "Polar Static",
    "DJ Kestrel",
    "Iron Meadow",
    "Sunday Orchestra",
    "Luz y Sombra",
]
_NOTES = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"]


@api(
    "Sports",
    "get_match_result",
    slots={
        "home_team,away_team": pair(one(_TEAMS)),
        "season": plain(2005, 2025),
        "sport": enum(
            {
                "football": ("football", "soccer"),
                "basketball": ("basketball",),
                "hockey": ("ice hockey", "hockey"),
            }
        ),
    },
    asks=[
        "What was the result of <{home_team} against {away_team}>[ in the {season} season]?",
        "Get the score of <{home_team} vs {away_team}>[ in {season}]",
        "Who won the[ {sport}] match <between {home_team} and {away_team}>[ in {season}]?",
        "<{home_team} - {away_team}>[ {season}], final score",
        "I missed the game of {home_team} at home to {away_team}[ back in {season}]. How did it end?",
    ],
    missing=["What was the result of the {home_team} game?", "Get the score of last night's match"],
)
def get_match_result(
    home_team: str,
    away_team: str,
    season: int | None = None,
    sport: Literal["football", "basketball", "hockey"] = "football",
) -> dict:
    """Get the result of a match between two teams.

    home_team: Team that played at home.
    away_team: Visiting team.
    season: Year in which the season started.
    sport: The sport.
    """
    high = {"football": 4, "basketball": 110, "hockey": 7}[sport]
    return {
        "home": steady(0, high, home_team, away_team, season),
        "away": steady(0, high, away_team, home_team, season),
    }


@api(
    "Sports",
    "athlete.statistics",
    slots={
        "athlete": one(FULL_NAMES),
        "stat": enum(
            {
                "goals": ("goals",),
                "assists": ("assists",),
                "minutes": ("minutes played",),
                "fouls": ("fouls",),
            }
        ),
        "year": plain(2010, 2025),
        "per_game": flag(["per game", "on average per game"], ["in total"]),
    },
    asks=[
        "How many {stat} does <{athlete}> have[ in {year}][ {per_game}]?",
        "Show the {stat} of <{athlete}>[ for {year}]",
        "<{athlete}>'s {stat}[ {per_game}]",
        "We argued about {athlete}. Can you look up the {stat}[ from {year}][, {per_game}]?",
        "Look up {stat} for <{athlete}>[ in the year {year}]",
    ],
    missing=["How many {stat} in {year}?", "Show me the statistics of {athlete}"],
)
def athlete_statistics(
    athlete: str,
    stat: Literal["goals", "assists", "minutes", "fouls"],
    year: int | None = None,
    per_game: bool = False,
) -> float:
    """Look up a statistic of an athlete.

    athlete: Full name of the athlete.
    stat: Which statistic.
    year: Calendar year; the whole career if left out.
    per_game: Whether to divide by the games played.
    """
    total = steady(5, 900 if stat == "minutes" else 60, athlete, stat, year)
    return round(total / steady(10, 40, athlete, year), 2) if per_game else total


@api(
    "Sports",
    "calculateRunningPace",
    slots={
        "distance": decimal(1, 60, 1),
        "duration_minutes": plain(8, 400),
        "unit": enum({"km": ("kilometers", "km"), "mile": ("miles",)}),
    },
    asks=[
        "What is my pace if I run <{distance} {unit} in {duration_minutes} minutes>?",
        "Calculate the running pace for <{distance} {unit} in {duration_minutes} minutes>",
        "Pace: <{distance} {unit}, {duration_minutes} min>",
        "Yesterday I ran {distance} {unit} and it took me {duration_minutes} minutes. How fast was I?",
        "Work out the pace of a runner who covers <{distance} {unit} in {duration_minutes} minutes>",
    ],
    missing=["What is my pace if I run {distance} {unit}?", "Calculate my running pace"],
    bad=("distance", 0),
)
def calculate_running_pace(
    distance: float, duration_minutes: float, unit: Literal["km", "mile"] = "km"
) -> str:
    """Calculate the pace of a run in minutes and seconds per unit of distance.

    distance: Distance covered.
    duration_minutes: Time taken, in minutes.
    unit: Unit of the distance.
    """
    seconds = round(duration_minutes * 60 / distance)
    return f"{seconds // 60}:{seconds % 60:02d} min/{unit}"


@api(
    "Sports",
    "league.standings",
    slots={
        "league": one(
            [
                "Northern Premier League",
                "Coastal Conference",
                "Alpine Cup",
                "Pacific Division",
                "Continental League",
            ]
        ),
        "top": whole(3, 12),
        "matchday": plain(1, 38),
    },
    asks=[
        "Show the standings of <the {league}>[ after matchday {matchday}][, top {top} only]",
        "Who leads <the {league}>[ after matchday {matchday}]?",
        "<{league}> table[, top {top}]",
        "How do the standings look in <the {league}>[ on matchday {matchday}]?",
        "Give me the top {top} teams of <the {league}>",
    ],
    missing=["Show the standings[ after matchday {matchday}]", "Which are the top {top} teams?"],
)
def league_standings(league: str, top: int = 10, matchday: int | None = None) -> list[str]:
    """List the teams of a league by rank.

    league: Name of the league.
    top: How many teams to list.
    matchday: The table after this matchday; the current one if left out.
    """
    return [pick(_TEAMS, league, matchday, rank) for rank in range(top)]


@api(
    "Entertainment",
    "movies_search",
    slots={
        "genre": enum(_GENRES),
        "year_from": plain(1970, 2022),
        "min_rating": decimal(5, 9, 1),
        "actor": one(FULL_NAMES),
        "streaming_only": flag(["available for streaming", "on streaming only"], ["streaming or not"]),
    },
    asks=[
        "Find {genre} movies[ with {actor}][ from {year_from} or later][ rated at least {min_rating}]",
        "Which {genre} films are worth watching[, {streaming_only}][, rated {min_rating} or higher]?",
        "Recommend some {genre} movies[ starring {actor}][, {streaming_only}]",
        "We're in the mood for {genre} tonight. Any movies[ made since {year_from}][ with a rating of at least {min_rating}]?",
        "{genre} movies[ since {year_from}][, {streaming_only}]",
    ],
    missing=["Find movies[ with {actor}][ from {year_from} or later]", "Recommend me a movie"],
)
def movies_search(
    genre: Literal["comedy", "drama", "thriller", "sci-fi", "horror", "documentary"],
    year_from: int | None = None,
    min_rating: float = 0.0,
    actor: str | None = None,
    streaming_only: bool = False,
) -> list[dict]:
    """Search for movies of a genre.

    genre: The genre.
    year_from: Earliest year of release.
    min_rating: Lowest rating, from 0 to 10.
    actor: Full name of an actor who appears in it.
    streaming_only: Whether it must be available for streaming.
    """
    titles = [pick(_MOVIES, genre, year_from, actor, n) for n in range(3)]
    return [
        {"title": title, "rating": steady(min_rating, 9.5, title, digits=1)}
        for title in dict.fromkeys(titles)
    ]


@api(
    "Entertainment",
    "cinema.bookTickets",
    slots={
        "movie": quoted(_MOVIES),
        "show_date": date(2025, 2026),
        "show_time": clock(12, 23),
        "seats": whole(2, 8),
        "row": one(list("ABCDEFGHJK")),
        "snacks": items(one(["popcorn", "nachos", "soda", "ice cream"]), 1, 2),
    },
    asks=[
        "Book {seats} seats for <{movie} on {show_date} at {show_time}>[ in row {row}][ with {snacks}]",
        "Can you get {seats} tickets for <{movie} on {show_date} at {show_time}>[, row {row}]?",
        "Reserve {seats} seats, <{movie}, {show_date}, {show_time}>",
        "We want to see {movie} on {show_date}. Please book {seats} seats for the {show_time} showing[, plus {snacks}]",
        "Cinema tickets: <{movie}, {show_date} {show_time}>, {seats} seats[, row {row}]",
    ],
    missing=["Book {seats} seats for {movie}", "Get tickets for the {show_time} showing on {show_date}"],
)
def book_tickets(
    movie: str,
    show_date: str,
    show_time: str,
    seats: int,
    row: str | None = None,
    snacks: list[str] | None = None,
) -> dict:
    """Book cinema tickets.

    movie: Title of the movie.
    show_date: Day of the showing, YYYY-MM-DD.
    show_time: Time of the showing on the 24-hour clock, HH:MM.
    seats: Number of seats.
    row: Letter of the row.
    snacks: Snacks to order along with the tickets.
    """
    return {
        "booking": f"C{int(steady(1000, 9999, movie, show_date, show_time))}",
        "seats": seats,
        "price": seats * 12 + 6 * len(snacks or ()),
    }


@api(
    "Entertainment",
    "tell_joke",
    slots={
        "topic": one(
            [
                "cats",
                "programmers",
                "school",
                "cooking",
                "dentists",
                "space",
                "football",
                "office life",
                "penguins",
            ]
        ),
        "length": enum({"short": ("short",), "long": ("long",)}),
        "family_friendly": flag(["suitable for kids", "family friendly"], ["adults only"]),
    },
    asks=[
        "Tell me a[ {length}] joke about <{topic}>[, {family_friendly}]",
        "Do you know a[ {length}] joke about <{topic}>?",
        "Joke about <{topic}>[, {family_friendly}]",
        "Make me laugh with a[ {length}] joke on <{topic}>",
        "Cheer me up! I'd love a joke about {topic}[, {family_friendly}].",
    ],
    missing=["Tell me a {length} joke[, {family_friendly}]"],
)
def tell_joke(topic: str, length: Literal["short", "long"] = "short", family_friendly: bool = True) -> str:
    """Tell a joke about a topic.

    topic: What the joke is about.
    length: How long the joke may be.
    family_friendly: Whether it must be suitable for children.
    """
    return f"A {length} joke about {topic} (no. {int(steady(1, 99, topic, length, family_friendly))})"


@api(
    "Gaming",
    "dice.roll",
    slots={
        "sides": one([(n, str(n)) for n in (4, 6, 8, 10, 12, 20, 100)]),
        "count": whole(2, 10),
        "modifier": plain(1, 9),
        "advantage": flag(["with advantage"], ["without advantage"]),
    },
    asks=[
        "Roll <{count} dice with {sides} sides>[ and add {modifier}][ {advantage}]",
        "What do I get for <{count} {sides}-sided dice>[ plus {modifier}]?",
        "Throw <{count} dice of {sides} sides each>[, modifier {modifier}]",
        "My wizard attacks: please roll <{count} {sides}-sided dice>[ {advantage}]",
        "Dice roll, <{count} dice, {sides} sides>[, {advantage}]",
    ],
    missing=["Roll {count} dice", "Roll the dice[ {advantage}]"],
)
def roll_dice(sides: int, count: int, modifier: int = 0, advantage: bool = False) -> dict:
    """Roll dice for a game.

    sides: Number of sides of each die.
    count: Number of dice.
    modifier: Number added to the total.
    advantage: Whether the better of two rolls counts.
    """
    rolls = [int(steady(1, sides, sides, count, n, advantage)) for n in range(count)]
    return {"rolls": rolls, "total": sum(rolls) + modifier}


@api(
    "Gaming",
    "create_game_character",
    slots={
        "name": quoted(
            ["Thorin", "Lyra", "Mistral", "Kael of the North", "Old Bess", "Zyx", "Seraphine", "Grim"]
        ),
        "role": enum(
            {
                "warrior": ("warrior", "fighter"),
                "mage": ("mage", "wizard"),
                "healer": ("healer", "cleric"),
                "rogue": ("rogue", "thief"),
            }
        ),
        "level": plain(2, 60),
        "skills": items(one(["archery", "stealth", "alchemy", "swimming", "lockpicking", "diplomacy"]), 1, 3),
        "hardcore": flag(["in hardcore mode"], ["not in hardcore mode"]),
    },
    asks=[
        "Create a {role} <named {name}>[ at level {level}][ skilled in {skills}][, {hardcore}]",
        "Make me a {role} <called {name}>[ with these skills: {skills}]",
        "New character: <{name}>, {role}[, level {level}]",
        "I'd like to play a {role} with the name {name}[, starting at level {level}][, {hardcore}].",
        "Could you set up a[ level {level}] {role} <called {name}>?",
    ],
    missing=["Create a level {level} {role}", "Create a character named {name}"],
)
def create_game_character(
    name: str,
    role: Literal["warrior", "mage", "healer", "rogue"],
    level: int = 1,
    skills: list[str] | None = None,
    hardcore: bool = False,
) -> dict:
    """Create a character for a role-playing game.

    name: Name of the character.
    role: Class of the character.
    level: Level it starts at.
    skills: Skills it has learned.
    hardcore: Whether death is permanent.
    """
    return {
        "name": name,
        "role": role,
        "health": 20 + level * {"warrior": 12, "mage": 6, "healer": 8, "rogue": 9}[role],
        "skills": skills or [],
    }


@api(
    "Gaming",
    "leaderboard.getPlayerRank",
    slots={
        "player_id": made("{n}{k}", n=one([f"{name.lower()}_" for name in FIRST_NAMES]), k=plain(10, 9999)),
        "game": one(["Star Forge", "Castle Rush", "Pixel Racers", "Deep Dungeon", "Word Duel"]),
        "region": enum({"eu": ("Europe",), "na": ("North America",), "asia": ("Asia",)}),
        "include_history": flag(["with the rank history", "including past seasons"], ["without history"]),
    },
    asks=[
        "What rank does <{player_id} have in {game}>[ in {region}]?",
        "Get the leaderboard position of <{player_id} in {game}>[, {include_history}]",
        "Look up <player {player_id} in {game}>[, region {region}] on the leaderboard",
        "Rank of <{player_id}, {game}>",
        "My gamertag is {player_id} and I play {game}. Where do I stand on the leaderboard[ of {region}][, {include_history}]?",
    ],
    missing=["What is my rank in {game}?", "Where does {player_id} stand?"],
)
def get_player_rank(
    player_id: str,
    game: str,
    region: Literal["eu", "na", "asia"] | None = None,
    include_history: bool = False,
) -> dict:
    """Get a player's rank on the leaderboard of a game.

    player_id: The player's identifier.
    game: Title of the game.
    region: Region of the leaderboard; worldwide if left out.
    include_history: Whether the ranks of past seasons are included.
    """
    rank = steady(1, 50000, player_id, game, region)
    return {
        "rank": rank,
        "history": [steady(1, 50000, player_id, game, n) for n in range(3)] if include_history else [],
    }


@api(
    "Music",
    "transpose_chords",
    slots={
        "chords": items(one(_NOTES), 2, 5),
        "semitones": plain(2, 11),
        "direction": enum({"up": ("up", "upwards"), "down": ("down", "downwards")}),
    },
    asks=[
        "Transpose the chords <{chords}> {direction} by {semitones} semitones",
        "What are the chords <{chords}> when shifted {direction} {semitones} semitones?",
        "Shift <{chords}> {direction} by {semitones} semitones",
        "Our singer can't reach this. Please move {chords} {direction} by {semitones} semitones",
        "Chords <{chords}>, {semitones} semitones {direction}",
    ],
    missing=["Transpose my song {direction} by {semitones} semitones", "Transpose the chords {chords}"],
    bad=("chords", ["H"]),
)
def transpose_chords(chords: list[str], semitones: int, direction: Literal["up", "down"]) -> list[str]:
    """Transpose major chords.

    chords: Root notes of the chords, such as C or F#.
    semitones: How far to move them.
    direction: Whether to move up or down.
    """
    shift = semitones if direction == "up" else -semitones
    return [_NOTES[(_NOTES.index(chord) + shift) % 12] for chord in chords]


@api(
    "Music",
    "musicPlayer.play",
    slots={
        "song": quoted(_SONGS),
        "artist": one(_ARTISTS),
        "volume": plain(5, 100),
        "shuffle": flag(["with shuffle on", "shuffled"], ["with shuffle off"]),
        "room": one(["kitchen", "bedroom", "living room", "garage"]),
    },
    asks=[
        "Play <{song}>[ by {artist}][ at volume {volume}][ in the {room}]",
        "Can I hear <{song}>[ by {artist}][ in the {room}]?",
        "Put on <{song}>[ by {artist}][, {shuffle}]",
        "Start playing <{song}>[ at a volume of {volume}]",
        "I've had {song} stuck in my head all day. Please play it[ in the {room}][ at volume {volume}]",
    ],
    missing=["Play something by {artist}[ in the {room}]", "Turn on some music at volume {volume}"],
)
def play_music(
    song: str, artist: str | None = None, volume: int = 50, shuffle: bool = False, room: str | None = None
) -> dict:
    """Play a song.

    song: Title of the song.
    artist: Who performs it.
    volume: Volume from 0 to 100.
    shuffle: Whether to go on with random songs.
    room: Room whose speaker is used.
    """
    return {
        "playing": song,
        "artist": artist or pick(_ARTISTS, song),
        "volume": volume,
        "shuffle": shuffle,
        "room": room,
    }


@api(
    "Music",
    "metronome_interval",
    slots={
        "bpm": plain(40, 220),
        "beats": whole(2, 7),
        "subdivision": enum(
            {"quarter": ("quarter notes",), "eighth": ("eighth notes",), "triplet": ("triplets",)}
        ),
    },
    asks=[
        "How long is a bar <at {bpm} bpm with {beats} beats>[ in {subdivision}]?",
        "Calculate the click interval <at {bpm} beats per minute and {beats} beats per bar>[ for {subdivision}]",
        "Metronome, <{bpm} bpm, {beats} beats a bar>[, {subdivision}]",
        "We play at {bpm} bpm with {beats} beats to the bar. What is the time between clicks[ in {subdivision}]?",
        "Work out metronome clicks <for {bpm} bpm, {beats} beats>[, {subdivision}]",
    ],
    missing=["How long is a bar with {beats} beats?", "Calculate the click interval at {bpm} bpm"],
    bad=("bpm", 0),
)
def metronome_interval(
    bpm: int, beats: int, subdivision: Literal["quarter", "eighth", "triplet"] = "quarter"
) -> dict:
    """Calculate the times of a metronome, in seconds.

    bpm: Tempo in beats per minute.
    beats: Beats in a bar.
    subdivision: Notes that are clicked.
    """
    beat = 60 / bpm
    return {
        "click": round(beat / {"quarter": 1, "eighth": 2, "triplet": 3}[subdivision], 4),
        "bar": round(beat * beats, 4),
    }
