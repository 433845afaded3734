"""Science and health functions."""
# ruff: noqa: E501 (a template is one line)

from __future__ import annotations

import math
from typing import Literal

from xlam_lib.synthesis.library.base import api, steady
from xlam_lib.synthesis.library.pools import CITIES, FULL_NAMES
from xlam_lib.synthesis.values import (
    clock,
    date,
    decimal,
    enum,
    flag,
    items,
    one,
    plain,
    quoted,
    table,
    whole,
)

_PLANETS = {
    "Mercury": 3.7,
    "Venus": 8.87,
    "Earth": 9.81,
    "Mars": 3.71,
    "Jupiter": 24.79,
    "Saturn": 10.44,
    "Uranus": 8.69,
    "Neptune": 11.15,
    "the Moon": 1.62,
}
_ELEMENTS = {
    "hydrogen": 1.008,
    "carbon": 12.011,
    "oxygen": 15.999,
    "nitrogen": 14.007,
    "sodium": 22.99,
    "chlorine": 35.45,
    "iron": 55.845,
    "sulfur": 32.06,
    "calcium": 40.078,
    "copper": 63.546,
}


@api(
    "Science",
    "physics.fall_time",
    slots={
        "height": decimal(1, 900, 1),
        "body": one([(p.removeprefix("the "), p) for p in _PLANETS]),
        "initial_speed": decimal(1, 40, 1),
    },
    asks=[
        "How long does an object take to fall <{height} meters>[ on {body}]?",
        "Calculate the time of a fall from <{height} m>[ on {body}][, thrown down at {initial_speed} m/s]",
        "Fall time from <{height} meters>[, {body}]",
        "A stone is dropped from a tower of {height} meters[ on {body}]. After how many seconds does it land?",
        "Find the fall time for <a height of {height} m>[ with an initial speed of {initial_speed} m/s]",
    ],
    missing=["How long does an object take to fall[ on {body}]?"],
    bad=("body", "Pluto X"),
)
def fall_time(height: float, body: str = "Earth", initial_speed: float = 0.0) -> float:
    """Calculate how long a body falls without air, in seconds.

    height: Height of the fall in meters.
    body: Planet or moon on which it falls, such as Mars.
    initial_speed: Downward speed at the start in meters per second.
    """
    gravity = _PLANETS.get(body) or _PLANETS.get(f"the {body}")
    if gravity is None:
        raise ValueError(f"unknown body {body!r}")
    return round((math.sqrt(initial_speed**2 + 2 * gravity * height) - initial_speed) / gravity, 4)


@api(
    "Science",
    "molarMass",
    slots={
        "composition": table("{value} {key}", one(list(_ELEMENTS)), plain(1, 12), 1, 4),
        "decimals": whole(1, 4),
    },
    asks=[
        "What is the molar mass of a molecule with these atoms: {composition}[, to {decimals} decimals]?",
        "Compute the molar mass for <{composition}>[ rounded to {decimals} decimals]",
        "Molar mass of <{composition}>",
        "Our chemistry lab found a compound made of {composition} atoms. What is its molar mass?",
        "Calculate the molecular weight given the atoms <{composition}>[, {decimals} decimals]",
    ],
    missing=["What is the molar mass of the compound[, to {decimals} decimals]?"],
    bad=("composition", {"kryptonite": 2}),
)
def molar_mass(composition: dict[str, int], decimals: int = 3) -> float:
    """Calculate the molar mass of a compound, in grams per mole.

    composition: Number of atoms of each element, by the element's name.
    decimals: Decimal places of the result.
    """
    return round(sum(_ELEMENTS[name] * count for name, count in composition.items()), decimals)


@api(
    "Science",
    "electric_circuit.total_resistance",
    slots={
        "resistances": items(whole(1, 900, words=False), 2, 5, distinct=False),
        "arrangement": enum({"series": ("in series",), "parallel": ("in parallel",)}),
        "voltage": plain(1, 240),
    },
    asks=[
        "What is the total resistance of <{resistances} ohms> connected {arrangement}[ at {voltage} volts]?",
        "Calculate the total resistance of resistors of <{resistances} ohms> {arrangement}",
        "Resistors <{resistances} ohms> {arrangement}[, {voltage} V]",
        "For my circuit I wired resistors of {resistances} ohms {arrangement}. What is the overall resistance[ and the current at {voltage} volts]?",
        "Find the combined resistance for <{resistances} ohms> {arrangement}",
    ],
    missing=[
        "What is the total resistance of {resistances} ohms?",
        "Calculate the resistance of my resistors {arrangement}",
    ],
    bad=("resistances", []),
)
def total_resistance(
    resistances: list[float], arrangement: Literal["series", "parallel"], voltage: float | None = None
) -> dict:
    """Calculate the total resistance of several resistors.

    resistances: Resistance of each resistor in ohms.
    arrangement: How they are connected.
    voltage: Voltage across them in volts; if given, the current is returned too.
    """
    if not resistances:
        raise ValueError("no resistors")
    total = sum(resistances) if arrangement == "series" else 1 / sum(1 / r for r in resistances)
    return {"ohms": round(total, 4), **({"amperes": round(voltage / total, 4)} if voltage else {})}


@api(
    "Science",
    "astronomy.sunrise_sunset",
    slots={
        "place": one(CITIES),
        "day": date(2024, 2027),
        "event": enum({"sunrise": ("sunrise",), "sunset": ("sunset",), "noon": ("solar noon",)}),
    },
    asks=[
        "When is {event} in <{place} on {day}>?",
        "Get the time of {event} for <{place} on {day}>",
        "{event} <in {place}, {day}>",
        "We want to take pictures in {place} on {day}. At what time is {event}?",
        "Look up {event} <in {place} on {day}>",
    ],
    missing=["When is {event} on {day}?", "At what time is {event} in {place}?"],
)
def sunrise_sunset(place: str, day: str, event: Literal["sunrise", "sunset", "noon"]) -> str:
    """Look up the time of a solar event at a place on a day.

    place: City.
    day: The day, YYYY-MM-DD.
    event: Which event.
    """
    hour = {"sunrise": steady(4, 8, place, day), "sunset": steady(16, 22, place, day), "noon": 12}[event]
    return f"{int(hour):02d}:{int(steady(0, 59, place, day, event)):02d}"


@api(
    "Health",
    "body_mass_index",
    slots={
        "weight": plain(42, 150),
        "height": lambda rng: (lambda v: (v, f"{v} m" if rng.random() < 0.5 else f"{v} meters"))(
            round(rng.uniform(1.45, 2.05), 2)
        ),
        "age": plain(18, 90),
        "rounded": flag(["rounded to a whole number"], ["unrounded"]),
    },
    asks=[
        "What is the BMI of a person who <weighs {weight} kg and is {height} tall>[, {rounded}]?",
        "Calculate the body mass index for <{weight} kg and {height}>[, age {age}]",
        "BMI: <{weight} kg, {height}>[, {rounded}]",
        "I'm {height} tall and weigh {weight} kilograms. What is my BMI[, {rounded}]?",
        "Work out the BMI for <a weight of {weight} kg and a height of {height}>[ at age {age}]",
    ],
    missing=["What is my BMI if I weigh {weight} kg?", "Calculate my body mass index"],
    bad=("height", 0.0),
)
def body_mass_index(weight: float, height: float, age: int | None = None, rounded: bool = False) -> float:
    """Calculate the body mass index.

    weight: Body weight in kilograms.
    height: Height in meters.
    age: Age in years.
    rounded: Whether the result is rounded to a whole number.
    """
    index = weight / height**2
    return round(index) if rounded else round(index, 2)


@api(
    "Health",
    "fitness.log_workout",
    slots={
        "activity": enum(
            {
                "running": ("running", "a run"),
                "swimming": ("swimming", "a swim"),
                "cycling": ("cycling", "a bike ride"),
                "yoga": ("yoga",),
                "weights": ("weight training", "lifting weights"),
            }
        ),
        "minutes": plain(10, 180),
        "intensity": enum({"low": ("low",), "moderate": ("moderate",), "high": ("high",)}),
        "heart_rate": plain(80, 185),
        "on_date": date(2025, 2026),
    },
    asks=[
        "Log <{minutes} minutes of {activity}>[ at {intensity} intensity][ on {on_date}]",
        "Add <{activity} for {minutes} minutes> to my training diary[, average heart rate {heart_rate}]",
        "Workout: <{activity}, {minutes} min>[, {intensity} intensity]",
        "I just did {minutes} minutes of {activity}. Could you record that[ with {intensity} intensity][ and a heart rate of {heart_rate}]?",
        "Record <{minutes} minutes of {activity}>[ for {on_date}]",
    ],
    missing=["Log {minutes} minutes of exercise", "Add {activity} to my training diary"],
)
def log_workout(
    activity: Literal["running", "swimming", "cycling", "yoga", "weights"],
    minutes: int,
    intensity: Literal["low", "moderate", "high"] = "moderate",
    heart_rate: int | None = None,
    on_date: str | None = None,
) -> dict:
    """Record a workout in the training diary.

    activity: Kind of exercise.
    minutes: Duration in minutes.
    intensity: How hard it was.
    heart_rate: Average heart rate in beats per minute.
    on_date: Day of the workout, YYYY-MM-DD; today if left out.
    """
    burned = (
        minutes * {"low": 4, "moderate": 7, "high": 11}[intensity] * (1.1 if (heart_rate or 0) > 150 else 1)
    )
    return {"logged": activity, "kilocalories": round(burned), "date": on_date}


@api(
    "Health",
    "bookDoctorAppointment",
    slots={
        "patient": one(FULL_NAMES),
        "specialty": enum(
            {
                "dentist": ("dentist",),
                "dermatologist": ("dermatologist", "skin doctor"),
                "cardiologist": ("cardiologist", "heart specialist"),
                "pediatrician": ("pediatrician",),
            }
        ),
        "on_date": date(2025, 2026),
        "at_time": clock(8, 17),
        "reason": quoted(
            ["yearly check-up", "rash on the arm", "chest pain", "toothache", "follow-up visit"]
        ),
        "first_visit": flag(["as a new patient"], ["as a returning patient"]),
    },
    asks=[
        "Book an appointment with the {specialty} <for {patient} on {on_date} at {at_time}>[ because of {reason}]",
        "Can {patient} see a {specialty} on {on_date} at {at_time}[, {first_visit}]?",
        "Make an appointment with a {specialty}: <{patient}, {on_date}, {at_time}>[, reason {reason}]",
        "{patient} needs to see a {specialty}. Please arrange it for {on_date} at {at_time}[, {first_visit}]",
        "Schedule a visit to the {specialty} <for {patient} on {on_date} at {at_time}>[, {first_visit}]",
    ],
    missing=[
        "Book an appointment with a {specialty} for {patient}",
        "Make a doctor's appointment on {on_date} at {at_time}",
    ],
    kin="appointment",
)
def book_doctor_appointment(
    patient: str,
    specialty: Literal["dentist", "dermatologist", "cardiologist", "pediatrician"],
    on_date: str,
    at_time: str,
    reason: str = "",
    first_visit: bool = False,
) -> dict:
    """Book an appointment with a doctor.

    patient: Full name of the patient.
    specialty: The doctor's specialty.
    on_date: Day of the appointment, YYYY-MM-DD.
    at_time: Time of the appointment on the 24-hour clock, HH:MM.
    reason: Reason for the visit.
    first_visit: Whether it is the patient's first visit.
    """
    return {
        "appointment": int(steady(1000, 9999, patient, specialty, on_date, at_time)),
        "minutes": 45 if first_visit else 20,
    }


@api(
    "Health",
    "nutrition.meal_calories",
    slots={
        "foods": table(
            "{value} grams of {key}",
            one(
                [
                    "rice",
                    "chicken",
                    "broccoli",
                    "salmon",
                    "bread",
                    "cheese",
                    "apples",
                    "oats",
                    "yogurt",
                    "lentils",
                ]
            ),
            plain(20, 400),
            1,
            4,
        ),
        "per_person": whole(2, 6),
    },
    asks=[
        "How many calories are in {foods}[, split between {per_person} people]?",
        "Count the calories of a meal with {foods}[ for {per_person} people]",
        "Calories: {foods}",
        "For lunch I had {foods}. How many calories was that?",
        "Estimate the calories of {foods}[ when {per_person} people share it]",
    ],
    missing=["How many calories did my lunch have[, split between {per_person} people]?"],
)
def meal_calories(foods: dict[str, float], per_person: int = 1) -> int:
    """Estimate the calories of a meal.

    foods: Weight in grams of each food.
    per_person: Number of people who share the meal.
    """
    return round(sum(grams * steady(30, 400, name) / 100 for name, grams in foods.items()) / per_person)
