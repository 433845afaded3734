"""Functions about dates, places, spelling and learning; the astronomy, holidays and number words are real.

Coordinates and time zones of cities are those of the astral package.
"""
# ruff: noqa: E501 (a template is one line)

from __future__ import annotations

import datetime
import functools
import itertools
import math
import random
import re
from typing import TYPE_CHECKING, Any, Literal, NotRequired, TypedDict
from zoneinfo import ZoneInfo

from xlam_lib.synthesis.library.base import api
from xlam_lib.synthesis.library.pools import FIRST_NAMES, FULL_NAMES, SURNAMES
from xlam_lib.synthesis.values import (
    clock,
    date,
    decimal,
    enum,
    flag,
    items,
    measurements,
    one,
    pair,
    plain,
    quoted,
    whole,
)

if TYPE_CHECKING:
    from astral import LocationInfo, Observer

_CITIES = (
    "Oslo Rome Lima Cairo Nairobi Lisbon Madrid Vienna Prague Dublin Athens Warsaw Helsinki Stockholm "
    "Copenhagen Berlin Paris London Edinburgh Glasgow Tokyo Seoul Beijing Singapore Bangkok Jakarta Manila "
    "Hanoi Mumbai Dhaka Ankara Tehran Doha Sydney Melbourne Perth Brisbane Adelaide Wellington Toronto "
    "Montreal Vancouver Calgary Edmonton Winnipeg Chicago Boston Seattle Denver Houston Atlanta Phoenix "
    "Dallas Detroit Philadelphia Minneapolis Nashville Memphis Honolulu Havana Bogota Quito Caracas Santiago "
    "Montevideo Accra Dakar Tunis Kampala Lusaka Harare Luanda Windhoek Budapest Bucharest Sofia Zagreb "
    "Belgrade Ljubljana Bratislava Riga Tallinn Vilnius Moscow Brussels Amsterdam Zurich Kathmandu Tbilisi "
    "Baku Riyadh Amman Beirut Tashkent"
).split() + [
    "New York", "Los Angeles", "San Francisco", "San Diego", "Las Vegas", "New Orleans", "Salt Lake City",
    "Cape Town", "Hong Kong", "Kuala Lumpur", "Addis Ababa", "New Delhi", "Abu Dhabi",
]  # fmt: skip
"""Cities whose name is unambiguous in astral's table; none so far north that it lacks a golden hour."""

_MONTHS = "January February March April May June July August September October November December".split()


@functools.cache
def _city_table() -> Any:
    from astral.geocoder import database

    return database()


@functools.lru_cache(512)
def _place(city: str) -> LocationInfo:
    from astral import LocationInfo
    from astral.geocoder import lookup

    try:
        found = lookup(city, _city_table())
    except KeyError as error:
        raise ValueError(f"unknown city: {city!r}") from error
    if not isinstance(found, LocationInfo):
        raise ValueError(f"not a city: {city!r}")
    return found


def _on_the_meridian(place: LocationInfo) -> Observer:
    """An observer at the place's latitude and longitude 0, where astral's UTC day is the solar day.

    Elsewhere astral loses or shifts events that come near UTC's midnight. The sun's course there is that of
    the place itself, 4 minutes of time earlier for each degree east and a minute off at most.
    """
    from astral import Observer

    return Observer(place.latitude, 0.0)


def _distance(start: str, finish: str) -> float:
    """Meters over the globe between two cities, by the haversine formula on a sphere."""
    here, there = _place(start), _place(finish)
    phi, psi = math.radians(here.latitude), math.radians(there.latitude)
    turn = math.radians(there.longitude - here.longitude)
    haversine = math.sin((psi - phi) / 2) ** 2 + math.cos(phi) * math.cos(psi) * math.sin(turn / 2) ** 2
    return 2 * 6_371_008.8 * math.asin(math.sqrt(haversine))


class FlightTime(TypedDict):
    """Time in the air.

    hours: Whole hours.
    minutes: Minutes beyond the whole hours.
    """

    hours: int
    minutes: NotRequired[int]


def _flight(rng: random.Random) -> tuple[tuple[Any, ...], tuple[str, ...]]:
    while True:
        start, finish = rng.sample(_CITIES, 2)
        minutes = 5 * round((_distance(start, finish) / 850_000 * 60 + rng.uniform(20, 60)) / 5)
        if 120 <= minutes <= 17 * 60:  # what a plane does without a stop
            break
    hours, rest = divmod(minutes, 60)
    said = "{} hours" if not rest else rng.choice(("{} hours and {} minutes", "{} h {} min"))
    value = {"hours": hours, "minutes": rest} if rest else {"hours": hours}
    return (start, finish, value), (start, finish, said.format(hours, rest))


@api(
    "Travel",
    "flights.local_arrival",
    slots={
        "origin,destination,flight_time": _flight,
        "departure_date": date(2025, 2027),
        "departure_time": clock(0, 23),
        "delay_minutes": plain(10, 180),
    },
    asks=[
        "I board in {origin} on {departure_date} at {departure_time} and the flight to {destination} takes {flight_time}. What will the local clock say when I land[ if we leave {delay_minutes} minutes late]?",
        "Work out the local arrival time <of a flight from {origin} to {destination} leaving on {departure_date} at {departure_time} and lasting {flight_time}>[, delayed by {delay_minutes} minutes]",
        "Local arrival <{origin} to {destination}, off at {departure_time} on {departure_date}, {flight_time} in the air>[, delay {delay_minutes} min]",
        "My sister flies {origin} to {destination}: take-off {departure_time}, {departure_date}, {flight_time} of flying. When should I be at the airport to meet her, in local time?",
        "At what time in {destination} does a plane touch down that took off from {origin} at {departure_time} on {departure_date}, given a flight of {flight_time}[ and a late start of {delay_minutes} minutes]?",
        "Account for the time difference and tell me the landing time <for {origin} to {destination} on {departure_date}, departing {departure_time}, flying time {flight_time}>",
        "Taking off from {origin} at {departure_time} on {departure_date}[, {delay_minutes} minutes behind schedule], flying {flight_time}, landing in {destination} when exactly?",
        "hey, our flight out of {origin} leaves at {departure_time} on {departure_date} and it's {flight_time} to {destination}. what time is it over there when we arrive?",
    ],
    missing=[
        "I leave {origin} on {departure_date} at {departure_time}. What time is it when I land in {destination}?",
        "What is the local arrival time in {destination} after a flight of {flight_time} from {origin}?",
    ],
    bad=("origin", "Atlantis"),
    needs=("astral.geocoder",),
)
def local_arrival(
    origin: str,
    destination: str,
    departure_date: str,
    departure_time: str,
    flight_time: FlightTime,
    delay_minutes: int = 0,
) -> dict:
    """Calculate the local date and time at which a flight arrives.

    origin: City of departure.
    destination: City of arrival.
    departure_date: Local day of departure, YYYY-MM-DD.
    departure_time: Local time of departure on the 24-hour clock, HH:MM.
    flight_time: Time in the air.
    delay_minutes: Minutes by which the departure is late.
    """
    zones = [ZoneInfo(_place(city).timezone) for city in (origin, destination)]
    leaves = datetime.datetime.fromisoformat(f"{departure_date}T{departure_time}").replace(tzinfo=zones[0])
    minutes = flight_time["hours"] * 60 + flight_time.get("minutes", 0) + delay_minutes
    if minutes <= 0:
        raise ValueError("the flight must take some time")
    # Added in UTC, for aware times of one zone are subtracted and added as wall clocks.
    arrives = (leaves.astimezone(datetime.UTC) + datetime.timedelta(minutes=minutes)).astimezone(zones[1])
    return {
        "arrival": arrives.strftime("%Y-%m-%d %H:%M"),
        "days_later": (arrives.date() - leaves.date()).days,
    }


def _journey(rng: random.Random) -> tuple[tuple[Any, ...], tuple[str, ...]]:
    first, last, *between = rng.sample(_CITIES, rng.randint(3, 5))
    return (first, last, between), (first, last, ", then ".join(between))


@api(
    "Travel",
    "greatCircleDistance",
    slots={
        "origin,destination,via": _journey,
        "unit": enum({"km": ("kilometers", "km"), "mi": ("miles",), "nmi": ("nautical miles", "sea miles")}),
    },
    asks=[
        "How far is it as the crow flies <from {origin} to {destination}>[, in {unit}]?",
        "Give me the great-circle distance <between {origin} and {destination}>[ in {unit}]",
        "Straight-line distance <{origin} to {destination}>[ ({unit})]",
        "We're tracing air routes on a globe from {origin} to {destination}[ by way of {via}]. How long is that line over the surface[, measured in {unit}]?",
        "Tell me how many {unit} lie <between {origin} and {destination}> through the air",
        "A pigeon sets off from {origin}[, passes over {via}] and settles in {destination}. How far did it fly at the very least?",
        "Compute the shortest distance over the globe <from {origin} to {destination}>[, going over {via}]",
        "just curious, {origin} and {destination} - what's the distance in a beeline[ in {unit}]?",
    ],
    missing=[
        "How far is {destination} as the crow flies[, in {unit}]?",
        "What's the great-circle distance from {origin}?",
    ],
    bad=("destination", "El Dorado"),
    needs=("astral.geocoder",),
)
def great_circle_distance(
    origin: str,
    destination: str,
    via: list[str] | None = None,
    unit: Literal["km", "mi", "nmi"] = "km",
) -> float:
    """Measure the shortest distance over the Earth's surface between two cities.

    origin: City where the line starts.
    destination: City where the line ends.
    via: Cities the line passes on its way, in order.
    unit: Unit of the distance: kilometers, miles or nautical miles.
    """
    stops = [origin, *(via or ()), destination]
    meters = sum(_distance(*leg) for leg in itertools.pairwise(stops))
    return round(meters / {"km": 1000, "mi": 1609.344, "nmi": 1852}[unit], 1)


@api(
    "Tools",
    "calendar.week_number",
    slots={
        "day": date(2020, 2032),
        "system": enum({"iso": ("ISO",), "us": ("US", "North American")}),
    },
    asks=[
        "Which calendar week does <{day}> fall in[ in the {system} system]?",
        "Give me the week number of <{day}>[, {system} numbering]",
        "Week number <{day}>[, {system}]",
        "My planner counts weeks only[, the {system} way], and the deadline is {day}. Which week is that?",
        "Look up the number of the week that contains <{day}>[ under the {system} convention]",
        "The delivery note just says {day}. I need that as a week of the year, please.",
        "what week of the year was or will be <{day}>?",
    ],
    missing=[
        "Which week of the year does the deadline fall in[, {system} numbering]?",
        "Give me the {system} week number of my birthday",
    ],
    bad=("day", "someday"),
)
def week_number(day: str, system: Literal["iso", "us"] = "iso") -> dict:
    """Find the number of the calendar week of a date, with the week's first and last day.

    day: The date, YYYY-MM-DD.
    system: How weeks are counted: "iso" starts them on Monday and gives week 1 to the year's first Thursday,
        "us" starts them on Sunday and gives week 1 to 1 January.
    """
    moment = datetime.date.fromisoformat(day)
    if system == "iso":
        year, week, weekday = moment.isocalendar()
        first = moment - datetime.timedelta(days=weekday - 1)
    else:
        before = moment.replace(month=1, day=1).isoweekday() % 7
        year, week = moment.year, (moment.timetuple().tm_yday - 1 + before) // 7 + 1
        first = moment - datetime.timedelta(days=moment.isoweekday() % 7)
    return {
        "year": year,
        "week": week,
        "first_day": first.isoformat(),
        "last_day": (first + datetime.timedelta(days=6)).isoformat(),
    }


@api(
    "Tools",
    "age_on_date",
    slots={
        "birth_date": date(1935, 2014),
        "on_date": date(2016, 2032),
        "unit": enum(
            {
                "years": ("whole years", "completed years"),
                "months": ("months",),
                "weeks": ("weeks",),
                "years_and_months": ("years and months",),
            }
        ),
    },
    asks=[
        "How old is somebody <born on {birth_date}> on {on_date}[, in {unit}]?",
        "Work out the age on {on_date} for a date of birth of <{birth_date}>[, expressed in {unit}]",
        "Age on {on_date}: <born {birth_date}>[, in {unit}]",
        "Our running club sorts its members by their age on {on_date}. I was born on {birth_date}; what do I put down[, in {unit}]?",
        "Date of birth {birth_date}, travelling on {on_date}. I need the passenger's age on that day[ in {unit}].",
        "My cousin came into the world on {birth_date}. What age does that make her on {on_date}[, counted in {unit}]?",
        "can you tell me what age someone has on {on_date} if their birthday is <{birth_date}>?",
    ],
    missing=[
        "How old will my nephew be on {on_date}[, in {unit}]?",
        "What age will a person born on {birth_date} have at the wedding?",
    ],
    bad=("on_date", "1901-01-01"),
    kin="birthday",
)
def age_on_date(
    birth_date: str, on_date: str, unit: Literal["years", "months", "weeks", "years_and_months"] = "years"
) -> dict:
    """Calculate the age of a person on a date.

    birth_date: Date of birth, YYYY-MM-DD.
    on_date: The date for which the age is wanted, YYYY-MM-DD.
    unit: What the age is counted in; only completed units count.
    """
    born, day = datetime.date.fromisoformat(birth_date), datetime.date.fromisoformat(on_date)
    if day < born:
        raise ValueError(f"{on_date} is before the birth on {birth_date}")
    months = (day.year - born.year) * 12 + day.month - born.month - (day.day < born.day)
    return {
        "years": {"years": months // 12},
        "months": {"months": months},
        "weeks": {"weeks": (day - born).days // 7},
        "years_and_months": {"years": months // 12, "months": months % 12},
    }[unit]


@api(
    "Environment",
    "daylight_length",
    slots={
        "city": one([*_CITIES, "Reykjavik", "Anchorage"]),
        "day": date(2024, 2028),
        "compare_with": date(2024, 2028),
        "unit": enum({"minutes": ("minutes",), "hours": ("decimal hours", "hours with decimals")}),
    },
    asks=[
        "How long is the daylight in <{city} on {day}>[, in {unit}][, and how does that compare with {compare_with}]?",
        "Get the length of the day <in {city} on {day}>[ in {unit}]",
        "Daylight duration <{city}, {day}>[, {unit}]",
        "Our solar lamps in {city} charge only while the sun is up. How much daylight will they have on {day}[, given in {unit}]?",
        "On {day}, between sunrise and sunset, how much time passes <in {city}>?",
        "Tell me how much daylight there is <in {city} on {day}>[ and the difference from {compare_with}]",
        "I'm moving to {city} and dread the dark winters. How long does the sun stay up there on {day}[, against {compare_with}]?",
        "hours of light on {day} for <{city}> please[, compared to {compare_with}]",
    ],
    missing=["How long is the daylight on {day}[, in {unit}]?", "How much daylight does {city} get?"],
    bad=("city", "Atlantis"),
    needs=("astral.geocoder", "astral.sun"),
)
def daylight_length(
    city: str, day: str, unit: Literal["minutes", "hours"] = "hours", compare_with: str | None = None
) -> dict:
    """Calculate how long the sun is above the horizon in a city on a day.

    city: Name of the city.
    day: The day, YYYY-MM-DD.
    unit: Unit of the result, minutes or decimal hours.
    compare_with: Another day, YYYY-MM-DD; if given, the difference from it is returned too.
    """
    from astral import sun

    observer = _on_the_meridian(_place(city))
    lengths = []
    for text in (day, compare_with):
        if text is not None:
            up, down = sun.daylight(observer, datetime.date.fromisoformat(text))
            lengths.append((down - up).total_seconds() / (60 if unit == "minutes" else 3600))
    difference = {"difference": round(lengths[0] - lengths[1], 2)} if len(lengths) == 2 else {}
    return {"daylight": round(lengths[0], 2), "unit": unit, **difference}


_PHASES = (
    "new moon", "waxing crescent", "first quarter", "waxing gibbous",
    "full moon", "waning gibbous", "last quarter", "waning crescent",
)  # fmt: skip


@api(
    "Environment",
    "moon.phases",
    slots={
        "first_day": date(2023, 2030),
        "days": whole(2, 21),
        "illumination": flag(
            ["with the illuminated share", "including how much of it is lit"],
            ["without the illuminated share", "leaving out how much of it is lit"],
        ),
    },
    asks=[
        "What phase is the moon in on <{first_day}>[, {illumination}]?",
        "Show the phases of the moon <from {first_day}>[ for {days} days][, {illumination}]",
        "Moon phase, <{first_day}>[, {days} days][, {illumination}]",
        "I'm planning a night hike on {first_day}. What will the moon look like[ over the {days} days from then on]?",
        "Our tide-pool walk depends on the moon, so look up its phase on <{first_day}>[ {illumination}]",
        "Was the moon full, new or something in between on <{first_day}>?",
        "For my gardening calendar: lunar phases starting {first_day}[, {days} days in a row][, {illumination}]",
    ],
    missing=["What phase is the moon in[, {illumination}]?", "List the phases of the moon for {days} days"],
    bad=("days", 0),
    needs=("astral.moon",),
)
def moon_phases(first_day: str, days: int = 1, illumination: bool = False) -> list[dict]:
    """List the phase of the moon for one day or several days in a row.

    first_day: The first day, YYYY-MM-DD.
    days: Number of days to list, at least 1.
    illumination: Whether to give the lit share of the disc in percent as well.
    """
    from astral import moon

    if not 1 <= days <= 366:
        raise ValueError(f"{days} days: choose 1 to 366")
    listed = []
    for offset in range(days):
        day = datetime.date.fromisoformat(first_day) + datetime.timedelta(days=offset)
        turn = moon.phase(day) / 28  # astral counts a lunation as 28
        lit = {"lit_percent": round(50 - 50 * math.cos(2 * math.pi * turn))} if illumination else {}
        listed.append({"day": day.isoformat(), "phase": _PHASES[round(turn * 8) % 8], **lit})
    return listed


_COUNTRY_CODES = {
    "NO": "Norway", "IT": "Italy", "PT": "Portugal", "ES": "Spain", "AT": "Austria", "IE": "Ireland",
    "GR": "Greece", "PL": "Poland", "FI": "Finland", "SE": "Sweden", "DK": "Denmark", "DE": "Germany",
    "FR": "France", "JP": "Japan", "TR": "Turkey", "AU": "Australia", "CA": "Canada", "BR": "Brazil",
    "CL": "Chile", "AR": "Argentina", "MX": "Mexico", "HU": "Hungary", "RO": "Romania", "BG": "Bulgaria",
    "HR": "Croatia", "BE": "Belgium", "NL": "the Netherlands", "CH": "Switzerland", "IS": "Iceland",
    "US": "the United States", "GB": "the United Kingdom", "ZA": "South Africa", "NZ": "New Zealand",
    "KR": "South Korea", "SG": "Singapore", "TH": "Thailand", "ID": "Indonesia", "VN": "Vietnam",
    "KE": "Kenya", "PE": "Peru", "CO": "Colombia", "CZ": "the Czech Republic",
}  # fmt: skip


@api(
    "Social",
    "holidays.list_public",
    slots={
        "country_code": enum(_COUNTRY_CODES),
        "year": plain(2018, 2030),
        "month": one([(number, month) for number, month in enumerate(_MONTHS, 1)]),
        "weekdays_only": flag(
            ["skipping those on a weekend", "only the ones on weekdays"], ["weekends included"]
        ),
    },
    asks=[
        "What are the public holidays in <{country_code} in {year}>[, {weekdays_only}]?",
        "List the bank holidays <of {country_code} for {year}>[, {weekdays_only}]",
        "Public holidays, <{country_code}, {year}>[, {month} only][, {weekdays_only}]",
        "I'm rostering staff in {country_code} for {year}. On which days is the whole country off[, {weekdays_only}]?",
        "We have family in {country_code} and would like to visit in {year}[, ideally in {month}]. Which national holidays should we know about?",
        "Get me every official holiday of {year} <in {country_code}>[ that falls in {month}]",
        "days off in <{country_code}>, {year}? just the public ones[, {month}]",
    ],
    missing=["What are the public holidays in {year}?", "List the national holidays of {country_code}"],
    bad=("country_code", "QX"),
    needs=("holidays",),
)
def list_public_holidays(
    country_code: str, year: int, month: int | None = None, weekdays_only: bool = False
) -> list[dict]:
    """List the national public holidays of a country in a year.

    country_code: The country's ISO 3166 code of two letters, such as NO for Norway.
    year: The year.
    month: Number of a month, 1 to 12, to list only that month's holidays.
    weekdays_only: Whether to leave out holidays on Saturdays and Sundays.
    """
    if month is not None and not 1 <= month <= 12:
        raise ValueError(f"no month {month}")
    return [
        {"day": day.isoformat(), "name": name}
        for day, name in _holidays_of(country_code, year)
        if (month is None or day.month == month) and not (weekdays_only and day.weekday() >= 5)
    ]


@functools.lru_cache(1024)
def _holidays_of(country_code: str, year: int) -> list[tuple[datetime.date, str]]:
    import holidays

    try:
        return sorted(holidays.country_holidays(country_code, years=year, language="en_US").items())
    except NotImplementedError as error:
        raise ValueError(f"unknown country code: {country_code!r}") from error


class Person(TypedDict):
    """A person with a birthday.

    name: The person's name.
    birth_date: Date of birth, YYYY-MM-DD.
    """

    name: str
    birth_date: str


def _people(rng: random.Random) -> tuple[list[dict[str, str]], str]:
    said = rng.choice(("{} ({})", "{} (born {})", "{}, born {}"))
    people, texts = [], []
    for name in rng.sample(FIRST_NAMES, rng.randint(2, 4)):
        value, text = date(1948, 2019)(rng)
        people.append({"name": name, "birth_date": value})
        texts.append(said.format(name, text))
    return people, "; ".join(texts)


@api(
    "Social",
    "upcomingBirthdays",
    slots={
        "people": _people,
        "from_date": date(2025, 2029),
        "within_days": plain(120, 366),
    },
    asks=[
        "Whose birthday comes next after <{from_date}>[, looking {within_days} days ahead]? Here are my friends: {people}",
        "Sort these birthdays by when they come up, counting from <{from_date}>[, within {within_days} days]: {people}",
        "Upcoming birthdays from <{from_date}>[, next {within_days} days]: {people}",
        "I keep forgetting to send cards. These are the people: {people}. In what order are their birthdays due, counting from {from_date}?",
        "Starting on {from_date}, which of these birthdays are coming up first[ in the {within_days} days after it], and how old does each one turn? {people}",
        "Make a birthday reminder list that begins on {from_date}. It's for {people}[, up to {within_days} days ahead].",
        "so it's {from_date}, who do i have to buy a present for next? {people}",
    ],
    missing=[
        "Whose birthday comes next? Here are my friends: {people}",
        "Which birthdays are coming up from {from_date} on[, within {within_days} days]?",
    ],
    bad=("people", []),
    kin="birthday",
)
def upcoming_birthdays(people: list[Person], from_date: str, within_days: int = 366) -> list[dict]:
    """List people's next birthdays in the order they come up, with the age each person turns.

    A birthday on 29 February is kept on 1 March in other years.

    people: The people with their dates of birth.
    from_date: The day to count from, YYYY-MM-DD; a birthday on that very day counts.
    within_days: How many days ahead to look.
    """
    if not people:
        raise ValueError("no people")
    start = datetime.date.fromisoformat(from_date)
    listed = []
    for person in people:
        born = datetime.date.fromisoformat(person["birth_date"])
        if born > start:
            raise ValueError(f"{person['name']} is not born by {from_date}")
        day = min(day for day in (_birthday(born, start.year + ahead) for ahead in (0, 1)) if day >= start)
        if (day - start).days <= within_days:
            listed.append({"name": person["name"], "day": day.isoformat(), "turns": day.year - born.year})
    return sorted(listed, key=lambda entry: (entry["day"], entry["name"]))


def _birthday(born: datetime.date, year: int) -> datetime.date:
    try:
        return born.replace(year=year)
    except ValueError:
        return datetime.date(year, 3, 1)


class Couple(TypedDict):
    """Two people who may not draw each other.

    first: One of them.
    second: The other.
    """

    first: str
    second: str


def _party(rng: random.Random) -> tuple[tuple[Any, Any], tuple[str, str]]:
    names = rng.sample(rng.choice((FIRST_NAMES, FIRST_NAMES, FULL_NAMES)), rng.randint(5, 8))
    couples = [{"first": names[0], "second": names[3]}]
    if rng.random() < 0.4:
        couples.append({"first": names[1], "second": names[4]})
    text = " or ".join(f"{couple['first']} and {couple['second']}" for couple in couples)
    return (names, couples), (", ".join(names[:-1]) + " and " + names[-1], text)


@api(
    "Social",
    "gift_exchange.draw_names",
    slots={
        "participants,couples": _party,
        "budget": plain(10, 80),
        "seed": plain(2, 9999),
    },
    asks=[
        "Draw names for a gift exchange among <{participants}>[ without letting {couples} draw each other][, budget ${budget}]",
        "Who gives a present to whom if <{participants}> do Secret Santa[ with a limit of ${budget}]?",
        "Secret Santa draw: <{participants}>[, seed {seed}][, ${budget} each]",
        "There are a few of us this year: {participants}. Can you assign everyone a person to buy a gift for[, with no draws between {couples}][, spending at most ${budget}]?",
        "Set up our office gift swap. Taking part are {participants}[, and the price cap is ${budget}][. Use {seed} as the random seed].",
        "Please put {participants} in a hat and pull a recipient for each[, but never pair up {couples}][ (random seed {seed})].",
        "we're doing secret santa at home, just {participants}. who gets who[, max ${budget}]?",
        "Match givers with receivers for the holiday party[, using seed {seed}]: <{participants}>",
    ],
    missing=[
        "Draw names for our gift exchange[ with a budget of ${budget}]",
        "Do a Secret Santa draw that keeps {couples} from giving to each other",
    ],
    bad=("participants", ["Ana"]),
)
def draw_gift_names(
    participants: list[str],
    couples: list[Couple] | None = None,
    budget: float | None = None,
    seed: int = 1,
) -> dict:
    """Draw who gives a present to whom in a gift exchange; nobody draws themselves.

    participants: Names of everyone taking part.
    couples: Pairs of participants who may not draw each other.
    budget: Highest price of a present, in dollars.
    seed: Seed of the draw; the same seed gives the same draw.
    """
    if len(set(participants)) != len(participants) or len(participants) < 2:
        raise ValueError("needs at least two participants with different names")
    forbidden = {(name, name) for name in participants}
    for couple in couples or ():
        forbidden |= {(couple["first"], couple["second"]), (couple["second"], couple["first"])}
    rng, receivers = random.Random(seed), list(participants)
    for _ in range(2000):
        rng.shuffle(receivers)
        drawn = dict(zip(participants, receivers, strict=True))
        if not forbidden & set(drawn.items()):
            return {"gives_to": drawn, **({"budget": budget} if budget is not None else {})}
    raise ValueError("no draw keeps all these couples apart")


@api(
    "Lifestyle",
    "goldenHour.times",
    slots={
        "city": one(_CITIES),
        "day": date(2024, 2028),
        "part_of_day": enum(
            {"morning": ("morning", "early morning"), "evening": ("evening", "late afternoon")}
        ),
        "setup_minutes": plain(10, 90),
    },
    asks=[
        "When is the {part_of_day} golden hour in <{city} on {day}>[, with {setup_minutes} minutes before it to set up]?",
        "Find the {part_of_day} golden hour <for {city} on {day}>[ and allow {setup_minutes} minutes of preparation]",
        "Golden hour, {part_of_day}: <{city}, {day}>[, {setup_minutes} min setup]",
        "I'm shooting a couple's engagement portraits in {city} on {day} and want that warm {part_of_day} light. From when until when is the golden hour?",
        "The film crew is in {city} on {day}. Which {part_of_day} slot has golden hour light, and when must we arrive[ if rigging takes {setup_minutes} minutes]?",
        "Tell me the start and end of golden hour in the {part_of_day} <in {city} on {day}>",
        "golden hour {part_of_day} times pls <{city} {day}>",
    ],
    missing=[
        "When is the {part_of_day} golden hour in {city}?",
        "When should I set up for the golden hour on {day}[, if I need {setup_minutes} minutes]?",
    ],
    bad=("city", "Atlantis"),
    needs=("astral.geocoder", "astral.sun"),
)
def golden_hour_times(
    city: str, day: str, part_of_day: Literal["morning", "evening"], setup_minutes: int = 0
) -> dict:
    """Find the photographers' golden hour, when the sun is from 4 degrees below to 6 above the horizon.

    city: Name of the city.
    day: The day, YYYY-MM-DD.
    part_of_day: The golden hour after dawn or the one around sunset.
    setup_minutes: Minutes needed on the spot before it begins.
    """
    from astral import SunDirection, sun

    place = _place(city)
    direction = SunDirection.RISING if part_of_day == "morning" else SunDirection.SETTING
    hour = sun.golden_hour(_on_the_meridian(place), datetime.date.fromisoformat(day), direction)
    east = datetime.timedelta(minutes=4 * place.longitude)
    start, end = [(moment - east).astimezone(ZoneInfo(place.timezone)) for moment in hour]
    arrive = start - datetime.timedelta(minutes=setup_minutes)
    return {"arrive": f"{arrive:%H:%M}", "start": f"{start:%H:%M}", "end": f"{end:%H:%M}"}


class Plant(TypedDict):
    """A plant to be watered.

    name: Name of the plant.
    every_days: Days from one watering to the next.
    millilitres: Water for one watering, in millilitres.
    """

    name: str
    every_days: int
    millilitres: NotRequired[int]


_PLANTS = (
    "fern", "basil", "orchid", "peace lily", "cactus", "rubber plant", "spider plant", "monstera", "jade plant",
    "bonsai", "lavender", "rosemary", "mint", "snake plant", "begonia", "hibiscus", "lemon tree", "ivy",
)  # fmt: skip


def _plants(rng: random.Random) -> tuple[list[dict[str, Any]], str]:
    plants, texts = [], []
    for name in rng.sample(_PLANTS, rng.randint(2, 4)):
        plant: dict[str, Any] = {"name": name, "every_days": rng.randint(2, 16)}
        text = f"the {name} every {plant['every_days']} days"
        if rng.random() < 0.35:
            plant["millilitres"] = rng.randrange(50, 800, 50)
            text += f" ({plant['millilitres']} ml)"
        plants.append(plant)
        texts.append(text)
    return plants, ", ".join(texts[:-1]) + " and " + texts[-1]


@api(
    "Lifestyle",
    "watering_schedule",
    slots={
        "plants": _plants,
        "start_date": date(2025, 2027),
        "days": plain(10, 45),
        "skip_weekdays": items(one("Mondays Tuesdays Thursdays Saturdays Sundays".split()), 1, 2),
    },
    asks=[
        "Make a watering schedule starting <{start_date}>[ for {days} days]: {plants}[; nothing on {skip_weekdays}]",
        "On which days do I have to water if {plants} need it, starting <{start_date}>[, over {days} days]?",
        "Watering plan: {plants}, first day <{start_date}>[, {days} days]",
        "I'm away from {start_date}[ for {days} days] and my neighbour takes over: {plants}. Which days should I write down for her[, given that she can't come on {skip_weekdays}]?",
        "Plan out when my plants get water, beginning {start_date}. They want it like this: {plants}[, and I skip {skip_weekdays}].",
        "Everything was watered on {start_date}. Now work out the coming dates[ for the {days} days from then], with {plants}.",
        "so i have to water {plants}, starting {start_date}. what are the dates[, leaving out {skip_weekdays}]?",
    ],
    missing=[
        "Make a watering schedule for my plants from {start_date}[ for {days} days]",
        "On which days do I have to water, if it's {plants}?",
    ],
    bad=("days", 0),
)
def watering_schedule(
    plants: list[Plant],
    start_date: str,
    days: int = 14,
    skip_weekdays: list[
        Literal["Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays"]
    ]
    | None = None,
) -> list[dict]:
    """Plan on which days plants are watered; a watering on a skipped weekday moves to the next day.

    plants: The plants with the days between waterings.
    start_date: First day of the plan, on which all plants are watered, YYYY-MM-DD.
    days: Length of the plan in days.
    skip_weekdays: Days of the week without watering.
    """
    names = "Mondays Tuesdays Wednesdays Thursdays Fridays Saturdays Sundays".split()
    skipped = {names.index(name) for name in skip_weekdays or ()}
    if days < 1 or len(skipped) == 7 or any(plant["every_days"] < 1 for plant in plants):
        raise ValueError(
            "the plan needs a day to water on, and each plant at least one day between waterings"
        )
    start = datetime.date.fromisoformat(start_date)
    plan: dict[str, list[str]] = {}
    water: dict[str, int] = {}
    for plant in plants:
        for offset in range(0, days, plant["every_days"]):
            day = start + datetime.timedelta(days=offset)
            while day.weekday() in skipped:
                day += datetime.timedelta(days=1)
            if plant["name"] not in plan.setdefault(day.isoformat(), []):
                plan[day.isoformat()].append(plant["name"])
                water[day.isoformat()] = water.get(day.isoformat(), 0) + plant.get("millilitres", 0)
    return [{"day": day, "plants": plan[day], "millilitres": water[day]} for day in sorted(plan)]


@api(
    "Communication",
    "numbers.spellOut",
    slots={
        "number": whole(13, 999_999, words=False),
        "language": enum(
            {
                "en": ("English",),
                "fr": ("French",),
                "de": ("German",),
                "pt": ("Portuguese",),
                "it": ("Italian",),
                "nl": ("Dutch",),
                "no": ("Norwegian",),
                "tr": ("Turkish",),
                "hu": ("Hungarian",),
                "id": ("Indonesian",),
            }
        ),
        "form": enum(
            {
                "cardinal": ("a cardinal number", "a plain counting number"),
                "ordinal": ("an ordinal", "an ordinal number"),
            }
        ),
    },
    asks=[
        "Write the number <{number}> out in {language} words[, as {form}]",
        "How is the figure <{number}> written in full in {language}[ when used as {form}]?",
        "Spell out: <{number}>, {language}[, {form}]",
        "I'm filling in a cheque in {language} and the amount {number} has to appear in letters. What do I write?",
        "For the invitation I need <{number}> in words instead of digits, in {language}[ and as {form}]",
        "Turn these digits into {language} words: <{number}>[ (as {form})]",
        "My {language} teacher wants {number} written in letters rather than digits[, treated as {form}]. What's the right answer?",
        "digits to words please, in {language}: <{number}>",
    ],
    missing=[
        "Write the number {number} out in words[, as {form}]",
        "Spell my house number out in {language} words",
    ],
    bad=("number", -5),
    needs=("num2words",),
)
def spell_out_number(
    number: int,
    language: Literal["en", "fr", "de", "pt", "it", "nl", "no", "tr", "hu", "id"],
    form: Literal["cardinal", "ordinal"] = "cardinal",
) -> str:
    """Write a number in the words of a language.

    number: The number, from 0 to 999,999,999.
    language: Code of the language, such as "fr" for French.
    form: Whether the words are those for counting or for a rank.
    """
    from num2words import num2words

    if not 0 <= number <= 999_999_999:
        raise ValueError(f"{number} is not between 0 and 999,999,999")
    return num2words(number, lang=language, to=form)


_SPELLING = {
    "nato": "Alfa Bravo Charlie Delta Echo Foxtrot Golf Hotel India Juliett Kilo Lima Mike November Oscar Papa "
    "Quebec Romeo Sierra Tango Uniform Victor Whiskey X-ray Yankee Zulu",
    "police": "Adam Boy Charles David Edward Frank George Henry Ida John King Lincoln Mary Nora Ocean Paul Queen "
    "Robert Sam Tom Union Victor William X-ray Young Zebra",
    "german": "Aachen Berlin Chemnitz Düsseldorf Essen Frankfurt Goslar Hamburg Ingelheim Jena Köln Leipzig "
    "München Nürnberg Offenbach Potsdam Quickborn Rostock Salzwedel Tübingen Unna Völklingen Wuppertal Xanten "
    "Ypsilon Zwickau",
}
_DIGITS = "zero one two three four five six seven eight nine".split()


def _to_spell(rng: random.Random) -> tuple[str, str]:
    kind = rng.random()
    if kind < 0.3:
        value = rng.choice(SURNAMES)
    elif kind < 0.45:
        value = rng.choice(FIRST_NAMES)
    else:
        # Booking codes and plates leave out I and O, which look like digits.
        letters = [rng.choice("ABCDEFGHJKLMNPQRSTUVWXYZ") for _ in range(rng.randint(3, 5))]
        value = "".join(letters + [rng.choice("23456789") for _ in range(rng.randint(1, 4))])
    return value, value if rng.random() < 0.7 else f'"{value}"'


@api(
    "Communication",
    "phonetic_spelling",
    slots={
        "text": _to_spell,
        "alphabet": enum(
            {
                "nato": ("NATO", "ICAO"),
                "police": ("US police", "American police radio"),
                "german": ("German DIN 5009", "German"),
            }
        ),
        "separator": quoted([" - ", ", ", " / ", " | ", "; "]),
    },
    asks=[
        "Spell <{text}> with the[ {alphabet}] spelling alphabet[, separated by {separator}]",
        "How do I spell <{text}> over the radio[ in the {alphabet} alphabet]?",
        "Phonetic spelling of <{text}>[, {alphabet} alphabet]",
        "The agent on the phone keeps mishearing {text}. Which code words do I say, letter by letter[, going by the {alphabet} alphabet]?",
        "Give me the code words for each character of <{text}>[ ({alphabet} alphabet)][, joined by {separator}]",
        "I have to read {text} out to air traffic control in a minute. Put it into spelling-alphabet words for me.",
        "bad line, need the word for every letter: <{text}>[, {alphabet} alphabet]",
    ],
    missing=[
        "Spell my name with the[ {alphabet}] spelling alphabet",
        "Which radio code words do I say for my booking code[, separated by {separator}]?",
    ],
    bad=("text", "???"),
)
def phonetic_spelling(
    text: str, alphabet: Literal["nato", "police", "german"] = "nato", separator: str = " "
) -> str:
    """Spell a name or code with the words of a radio spelling alphabet.

    text: The letters and digits to spell.
    alphabet: The spelling alphabet: NATO's, that of police radio in the United States, or the German city names
        of DIN 5009.
    separator: Characters between the words.
    """
    words = {word[0].lower(): word for word in _SPELLING[alphabet].split()}
    words |= {str(digit): name for digit, name in enumerate(_DIGITS)}
    unknown = [character for character in text.lower() if character not in words and character != " "]
    if unknown or not text.strip():
        raise ValueError(f"no code word for {unknown[0]!r}" if unknown else "nothing to spell")
    return separator.join(words[character] for character in text.lower() if character != " ")


_MORSE = dict(
    zip(
        "abcdefghijklmnopqrstuvwxyz0123456789",
        ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- -..- -.-- "
        "--.. ----- .---- ..--- ...-- ....- ..... -.... --... ---.. ----.".split(),
        strict=True,
    )
)
_MESSAGES = [
    f"{subject} {news}"
    for subject in (
        "The ferry", "Our convoy", "The night train", "Base camp", "The supply ship", "Radio tower 4", "Team B",
        "The lighthouse", "The mountain hut", "My balloon", "The rescue boat", "Platform 9",
    )
    for news in (
        "is running late", "arrives at dawn", "needs fuel", "has lost power", "is safe and sound", "moves north",
        "waits for orders", "can hear you", "is out of range", "returns on Sunday", "sends greetings",
        "is iced in", "asks for a doctor",
    )
]  # fmt: skip


@api(
    "Communication",
    "morse.encode",
    slots={
        "text": quoted(_MESSAGES),
        "words_per_minute": plain(8, 35),
        "symbols": enum({"dots": ("dots and dashes",), "spoken": ("dits and dahs", "spoken dits and dahs")}),
    },
    asks=[
        "Translate <{text}> into Morse code[, written in {symbols}]",
        "What does <{text}> look like in Morse[ as {symbols}]?",
        "Morse code for <{text}>[, {words_per_minute} words per minute]",
        "I'm blinking a message to the next hill with a torch: {text}. What do I send[ and how long does it take at {words_per_minute} words per minute]?",
        "Encode <{text}> for the telegraph[ at a speed of {words_per_minute} words per minute][, in {symbols}]",
        "My scout troop has to key {text} tonight. Please give us the Morse signals[ in {symbols}][ and the time on air at {words_per_minute} wpm].",
        "how would a ship's operator tap out <{text}> in morse?",
    ],
    missing=[
        "Translate my message into Morse code[, written in {symbols}]",
        "How long does my telegram take in Morse at {words_per_minute} words per minute?",
    ],
    bad=("text", "§"),
)
def morse_encode(
    text: str, words_per_minute: int = 20, symbols: Literal["dots", "spoken"] = "dots"
) -> dict[str, Any]:
    """Encode a text in international Morse code and time its transmission.

    text: Words of unaccented letters and digits.
    words_per_minute: Keying speed, where a word lasts as long as "PARIS".
    symbols: Whether to write dots and dashes or the syllables "dit" and "dah".
    """
    unknown = set(text.lower()) - _MORSE.keys() - {" "}
    if unknown or not text.strip() or words_per_minute < 1:
        raise ValueError(f"cannot send {min(unknown)!r}" if unknown else "needs a text and a speed above 0")
    words = [[_MORSE[letter] for letter in word] for word in text.lower().split()]
    units = 7 * (len(words) - 1)
    for word in words:
        units += 3 * (len(word) - 1)
        units += sum(3 * code.count("-") + code.count(".") + len(code) - 1 for code in word)
    code = " / ".join(" ".join(word) for word in words)
    if symbols == "spoken":
        code = " / ".join(
            " ".join("-".join("dit" if mark == "." else "dah" for mark in letter) for letter in word)
            for word in words
        )
    # "PARIS" with the gap after it is 50 units long.
    return {"code": code, "seconds": round(units * 60 / (50 * words_per_minute), 2)}


_PROSE = (
    "The cat slept on the warm stone wall.",
    "Photosynthesis converts light into chemical energy inside the leaves.",
    "We ran to the bus and just made it.",
    "International negotiations collapsed after several unsuccessful compromises.",
    "Rain fell all night and the river rose.",
    "Her grandfather repaired clocks in a small shop by the harbour.",
    "The committee postponed its decision until further evidence became available.",
    "Bees carry pollen from one flower to the next.",
    "Economists disagree about the consequences of unexpected inflation.",
    "A dog barked twice and then it was quiet again.",
    "The experiment demonstrated a considerable improvement in battery capacity.",
    "Tom put the red ball in the box.",
    "Medieval architects understood the distribution of weight remarkably well.",
    "You can see the moon from my window.",
    "Volcanic ash interrupted air traffic across the entire continent.",
    "They shared the last slice of bread.",
    "Researchers interviewed four hundred participants over a period of six years.",
    "The bridge swayed gently whenever a lorry crossed it.",
    "Fish swim in schools to keep safe.",
    "Archaeologists carefully catalogued every fragment of pottery.",
    "Snow covered the path, so we followed the fence.",
    "Constitutional reform requires the agreement of both chambers.",
    "My aunt bakes a cake each Sunday.",
    "Antibiotics are ineffective against infections caused by viruses.",
)


def _passage(rng: random.Random) -> tuple[str, str]:
    value = " ".join(rng.sample(_PROSE, rng.randint(1, 3)))
    return value, rng.choice((f'"{value}"', f"'{value}'"))


@api(
    "Education",
    "reading_level",
    slots={
        "text": _passage,
        "formula": enum(
            {
                "flesch_kincaid_grade": ("Flesch-Kincaid grade", "Flesch-Kincaid grade level"),
                "flesch_reading_ease": ("Flesch reading ease", "Flesch reading-ease"),
                "automated_readability": ("automated readability index", "ARI"),
                "coleman_liau": ("Coleman-Liau", "Coleman-Liau index"),
            }
        ),
        "decimals": whole(2, 4, words=False),
    },
    asks=[
        "How hard is this to read[ by the {formula} formula]? <{text}>",
        "Score the readability of <{text}>[ with the {formula} formula][ to {decimals} decimal places]",
        "Readability, <{text}>[, {formula} formula]",
        "I teach a class of ten-year-olds and want to hand out this passage: {text} What reading level does it have[ under the {formula} formula]?",
        "Which grade of reader is <{text}> written for?[ Use the {formula} formula.]",
        "Check whether our leaflet is plain enough. It says: {text} - give me its readability score[, rounded to {decimals} decimals].",
        "is this too difficult for kids? <{text}>",
    ],
    missing=[
        "How hard is my essay to read[ by the {formula} formula]?",
        "Compute the {formula} score of the passage I have in mind",
    ],
    bad=("text", "..."),
)
def reading_level(
    text: str,
    formula: Literal[
        "flesch_kincaid_grade", "flesch_reading_ease", "automated_readability", "coleman_liau"
    ] = "flesch_kincaid_grade",
    decimals: int = 1,
) -> dict:
    """Estimate how difficult an English text is to read.

    text: The text, in sentences.
    formula: The readability formula; reading ease is higher for easier texts, the others are school grades.
    decimals: Decimal places of the score.
    """
    words = re.findall(r"[A-Za-z]+(?:['-][A-Za-z]+)*", text)
    if not words:
        raise ValueError("the text has no words")
    sentences = max(1, len(re.findall(r"[.!?]+(?=\s|$)", text)))
    letters = sum(character.isalnum() for character in text)
    length, syllables = len(words) / sentences, sum(map(_syllables, words)) / len(words)
    score = {
        "flesch_kincaid_grade": 0.39 * length + 11.8 * syllables - 15.59,
        "flesch_reading_ease": 206.835 - 1.015 * length - 84.6 * syllables,
        "automated_readability": 4.71 * letters / len(words) + 0.5 * length - 21.43,
        "coleman_liau": 0.0588 * 100 * letters / len(words) - 0.296 * 100 * sentences / len(words) - 15.8,
    }[formula]
    return {"formula": formula, "score": round(score, decimals), "words": len(words), "sentences": sentences}


def _syllables(word: str) -> int:
    """Groups of vowels, less a silent final ``e``: the usual estimate for English."""
    groups = len(re.findall(r"[aeiouy]+", word.lower()))
    silent = re.search(r"[^aeiouyl]e$", word.lower()) is not None
    return max(1, groups - silent)


@api(
    "Education",
    "flashcards.next_review",
    slots={
        "grades": items(one((0, 1, 2, 3, 3, 4, 4, 4, 5, 5, 5)), 2, 7, distinct=False),
        "last_review": date(2024, 2027),
        "ease": one([round(1.3 + 0.05 * step, 2) for step in range(30) if step != 24]),
        "longest_gap": plain(5, 120),
    },
    asks=[
        "When should I see a flashcard again that I graded {grades} in turn, the last time on {last_review}[, starting from an ease of {ease}]?",
        "Compute the next SM-2 review date for <a card with the grades {grades}>, last seen {last_review}[, initial ease {ease}][, at most {longest_gap} days ahead]",
        "Next review: <grades {grades}>, last reviewed {last_review}[, ease {ease}]",
        "I've been learning vocabulary and marked one card {grades} over my sessions, most recently on {last_review}. On which day is it due[ if no gap may exceed {longest_gap} days]?",
        "Apply spaced repetition to <a flashcard answered with grades of {grades}>; the latest review was on {last_review}[ and intervals stop at {longest_gap} days]",
        "My card's history reads {grades} on the scale from zero to five. Its latest review: {last_review}. Schedule the following one[ with a starting ease factor of {ease}].",
        "when's my card due again? scores so far {grades}, last time was {last_review}[, cap it at {longest_gap} days]",
    ],
    missing=[
        "When should I review my flashcard again? I last saw it on {last_review}.",
        "Schedule the next review of a flashcard with the grades {grades}[, initial ease {ease}]",
    ],
    bad=("grades", [9, 9]),
)
def next_review(
    grades: list[int], last_review: str, ease: float = 2.5, longest_gap: int | None = None
) -> dict:
    """Schedule a flashcard's next review by the SM-2 algorithm of spaced repetition.

    grades: Grades of the reviews so far from 0 (forgotten) to 5 (perfect), oldest first.
    last_review: Day of the latest review, YYYY-MM-DD.
    ease: Ease factor before the first review, at least 1.3.
    longest_gap: Longest interval to schedule, in days.
    """
    if not grades or not all(0 <= grade <= 5 for grade in grades) or ease < 1.3:
        raise ValueError("needs grades from 0 to 5 and an ease of at least 1.3")
    streak, gap = 0, 1
    for grade in grades:
        if grade >= 3:
            gap = (1, 6)[streak] if streak < 2 else math.ceil(gap * ease)
            streak += 1
        else:
            streak, gap = 0, 1
        ease = max(1.3, ease + 0.1 - (5 - grade) * (0.08 + (5 - grade) * 0.02))
    if longest_gap is not None:
        gap = min(gap, longest_gap)
    due = datetime.date.fromisoformat(last_review) + datetime.timedelta(days=gap)
    return {"due": due.isoformat(), "interval_days": gap, "ease": round(ease, 2)}


_LADDER_WORDS = (
    "cold cord card ward warm word wood good gold bold bald ball bell belt melt meat heat head lead load road "
    "read real seal seat boat coat goat moat most post past last lost list mist miss kiss king ring sing sang "
    "sand hand band bank tank talk walk wall tall tale pale page cage cake lake like bike bite kite mite mine "
    "wine wind wild mild mile pile pine line lane cane cave wave save same game gate late hate have hive five "
    "fire hire hare care core more mole hole home come cone bone bond fond food foot boot root room roam foam "
    "form fork pork park dark dare date data rate race rice nice mice dice dine done tone tune tube cube cure "
    "pure sure"
).split()


@functools.cache
def _ladder_graph() -> Any:
    import networkx

    graph = networkx.Graph()
    graph.add_nodes_from(_LADDER_WORDS)
    for index, word in enumerate(_LADDER_WORDS):
        for other in _LADDER_WORDS[index + 1 :]:
            if sum(a != b for a, b in zip(word, other, strict=True)) == 1:
                graph.add_edge(word, other)
    return graph


@api(
    "Entertainment",
    "word_ladder",
    slots={
        "start,target": pair(quoted(_LADDER_WORDS)),
        "all_shortest": flag(
            ["with every shortest solution", "with all the shortest ways"],
            ["with just one solution", "with a single solution"],
        ),
    },
    asks=[
        "Solve the word ladder <from {start} to {target}>[, {all_shortest}]",
        "How do you turn <{start} into {target}> by changing one letter at a time[, {all_shortest}]?",
        "Word ladder <{start} to {target}>[, {all_shortest}]",
        "The puzzle page starts with {start} and ends with {target}, and only one letter may change per rung. I'm stuck. What are the words in between[, {all_shortest}]?",
        "Find me the shortest chain of words <between {start} and {target}>, swapping a single letter in each step",
        "Last night my kids asked me to get from {start} to {target} letter by letter, each rung a real word. What's the quickest ladder?",
        "doublets game: <{start} to {target}>, what's the solution?",
    ],
    missing=[
        "Solve a word ladder that starts at {start}[, {all_shortest}]",
        "Which word ladder ends in {target}?",
    ],
    bad=("target", "zzzz"),
    needs=("networkx",),
)
def word_ladder(start: str, target: str, all_shortest: bool = False) -> list[list[str]]:
    """Solve a word ladder, where each step changes one letter and gives another common word.

    start: The first word, of four letters, in lower case.
    target: The last word, of four letters, in lower case.
    all_shortest: Whether to return every shortest ladder instead of one.
    """
    import networkx

    graph = _ladder_graph()
    for word in (start, target):
        if word not in graph:
            raise ValueError(f"not in the list of common words: {word!r}")
    if not networkx.has_path(graph, start, target):
        raise ValueError(f"no ladder leads from {start!r} to {target!r}")
    ladders = sorted(networkx.all_shortest_paths(graph, start, target))
    return ladders if all_shortest else ladders[:1]


@api(
    "Entertainment",
    "bingeWatch.plan",
    slots={
        "episodes_per_season": measurements(4, 24, (2, 6)),
        "episode_minutes": plain(18, 75),
        "start_date": date(2025, 2027),
        "hours_per_day": decimal(1.5, 7, 1),
        "weekends_only": flag(["on weekends only", "just on Saturdays and Sundays"], ["on any day"]),
    },
    asks=[
        "When will I be done with a series whose seasons have {episodes_per_season} episodes of {episode_minutes} minutes, if I start on {start_date}[ and watch {hours_per_day} hours a day][, {weekends_only}]?",
        "Plan a binge of <a show with seasons of {episodes_per_season} episodes, {episode_minutes} minutes each>, from {start_date}[ at {hours_per_day} hours a day]",
        "Binge plan: <seasons of {episodes_per_season} episodes, {episode_minutes} min each>, starting {start_date}[, {hours_per_day} hours daily][, {weekends_only}]",
        "A friend recommended a series to me. The seasons run to {episodes_per_season} episodes and each episode lasts {episode_minutes} minutes. Starting {start_date}, on which day would I see the finale[, watching {weekends_only}]?",
        "I begin on {start_date}[ with {hours_per_day} hours of TV a day]. Work out my last evening with <a drama that has seasons of {episodes_per_season} episodes at {episode_minutes} minutes>",
        "Calculate how many days it takes to watch <seasons of {episodes_per_season} episodes that last {episode_minutes} minutes> from {start_date} on[, {weekends_only}]",
        "rewatching my favourite from {start_date}, seasons are {episodes_per_season} episodes long, {episode_minutes} min a piece. how long will that keep me busy[, {hours_per_day} hours per day]?",
    ],
    missing=[
        "When will I finish my series if I start on {start_date}[ and watch {hours_per_day} hours a day]?",
        "Plan a binge of a show with seasons of {episodes_per_season} episodes from {start_date}",
    ],
    bad=("episode_minutes", 0),
)
def plan_binge(
    episodes_per_season: list[int],
    episode_minutes: int,
    start_date: str,
    hours_per_day: float = 2,
    weekends_only: bool = False,
) -> dict:
    """Plan how long it takes to watch a whole series; an episode begun is watched to its end.

    episodes_per_season: Number of episodes of each season, in order.
    episode_minutes: Length of an episode in minutes.
    start_date: First day of watching, YYYY-MM-DD.
    hours_per_day: Hours of watching a day.
    weekends_only: Whether to watch on Saturdays and Sundays only.
    """
    episodes = sum(episodes_per_season)
    if episode_minutes <= 0 or hours_per_day <= 0 or not 0 < episodes <= 5000:
        raise ValueError("needs 1 to 5000 episodes that last, and time to watch them")
    a_day = math.ceil(hours_per_day * 60 / episode_minutes)
    sittings = math.ceil(episodes / a_day)
    day, done = datetime.date.fromisoformat(start_date), 0
    while True:
        if not weekends_only or day.weekday() >= 5:
            done += 1
            if done == sittings:
                break
        day += datetime.timedelta(days=1)
    return {
        "episodes": episodes,
        "hours": round(episodes * episode_minutes / 60, 2),
        "days_of_watching": sittings,
        "last_day": day.isoformat(),
    }
