"""Travel, environment and lifestyle functions."""
# ruff: noqa: E501 (a template is one line)

from __future__ import annotations

import datetime
from typing import Literal, NotRequired, TypedDict

from xlam_lib.synthesis.library.base import api, pick, steady
from xlam_lib.synthesis.library.pools import CITIES, INGREDIENTS, US_PLACES
from xlam_lib.synthesis.values import clock, date, decimal, enum, flag, items, one, pair, plain, record, whole


@api(
    "Travel",
    "search_flights",
    slots={
        "origin,destination": pair(one(CITIES)),
        "departure_date": date(2025, 2027),
        "passengers": whole(2, 9),
        "cabin": enum(
            {
                "economy": ("economy", "economy class", "coach"),
                "business": ("business class", "business"),
                "first": "first class",
            }
        ),
        "direct_only": flag(["non-stop only", "direct flights only"], ["stopovers are fine"]),
    },
    asks=[
        "Find flights <from {origin} to {destination} on {departure_date}>[ for {passengers} passengers][ in {cabin}][, {direct_only}]",
        "Are there any flights <from {origin} to {destination} on {departure_date}>[, {direct_only}]?",
        "Flights <{origin} to {destination}, {departure_date}>[, {passengers} people][, {cabin}]",
        "I need to get from {origin} to {destination} on {departure_date}. What can I fly[ in {cabin}][ with {passengers} travellers]?",
        "Search for[ {cabin}] flights <leaving {origin} for {destination} on {departure_date}>[ for {passengers} people]",
        "We want to fly to {destination} from {origin} on {departure_date}[ with a group of {passengers}]. Please search for tickets[, {direct_only}].",
    ],
    missing=[
        "Find me a flight to {destination} on {departure_date}",
        "I want to fly from {origin} to {destination}. What is available?",
    ],
)
def search_flights(
    origin: str,
    destination: str,
    departure_date: str,
    passengers: int = 1,
    cabin: Literal["economy", "business", "first"] = "economy",
    direct_only: bool = False,
) -> list[dict]:
    """Search for flights between two cities on a date.

    origin: City of departure.
    destination: City of arrival.
    departure_date: Day of departure in the format YYYY-MM-DD.
    passengers: Number of travellers.
    cabin: Cabin class.
    direct_only: Only flights without a stop.
    """
    datetime.date.fromisoformat(departure_date)
    key = (origin, destination, departure_date, cabin)
    factor = {"economy": 1, "business": 3, "first": 5}[cabin]
    return [
        {
            "flight": f"{pick(('SK', 'QV', 'NT'), *key, n)}{int(steady(100, 999, *key, n))}",
            "stops": 0 if direct_only else n,
            "price": steady(90, 700, *key, n) * factor * passengers,
        }
        for n in range(2)
    ]


@api(
    "Travel",
    "hotels.find_rooms",
    slots={
        "location": one(US_PLACES),
        "check_in": date(2025, 2026),
        "nights": whole(2, 14),
        "guests": whole(2, 6),
        "max_price": whole(60, 600, 5, words=False),
        "amenities": items(one(["pool", "gym", "parking", "breakfast", "spa", "pet friendly"]), 1, 3),
    },
    asks=[
        "Find a hotel room <in {location} from {check_in} for {nights} nights>[ for {guests} guests][ under ${max_price} a night]",
        "Which hotels have rooms <in {location} for {nights} nights starting {check_in}>[ with these amenities: {amenities}]?",
        "Hotel <in {location}, {check_in}, {nights} nights>[, {guests} guests][, max ${max_price}]",
        "I'll be staying in {location} for {nights} nights from {check_in}. Can you find me a room[ for at most ${max_price} per night]?",
        "Look for a place to stay <in {location}, arriving {check_in}, for {nights} nights>[, offering {amenities}]",
    ],
    missing=["Find me a hotel room in {location}", "I need a hotel room for {nights} nights from {check_in}"],
)
def find_rooms(
    location: str,
    check_in: str,
    nights: int,
    guests: int = 1,
    max_price: float | None = None,
    amenities: list[str] | None = None,
) -> list[dict]:
    """Find hotels with free rooms.

    location: City and state, in the format "City, ST", for example "Austin, TX".
    check_in: Day of arrival, YYYY-MM-DD.
    nights: Number of nights.
    guests: Number of guests.
    max_price: Highest price for a night, in dollars.
    amenities: What the hotel must offer.
    """
    offers = [
        {"hotel": f"{name} {location.split(',')[0]}", "price": steady(60, 400, name, location, check_in)}
        for name in ("Grand", "Garden Inn", "Station Lodge")
    ]
    return [
        {**offer, "total": offer["price"] * nights}
        for offer in offers
        if max_price is None or offer["price"] <= max_price
    ]


@api(
    "Travel",
    "trainTimetable",
    slots={
        "station_from,station_to": pair(one(CITIES)),
        "after": clock(),
        "first_class": flag(["first class"], ["second class"]),
    },
    asks=[
        "When do trains leave <from {station_from} to {station_to}>[ after {after}]?",
        "Show the train timetable <from {station_from} to {station_to}>[, departing after {after}]",
        "Trains <{station_from} to {station_to}>[, not before {after}][, {first_class}]",
        "I'd like to take the train from {station_from} to {station_to}[ some time after {after}]. Which ones are there?",
        "Get me the[ {first_class}] rail connections <between {station_from} and {station_to}>",
    ],
    missing=[
        "When does the next train to {station_to} leave?",
        "Show the train timetable[, departing after {after}]",
    ],
)
def train_timetable(
    station_from: str, station_to: str, after: str = "00:00", first_class: bool = False
) -> list[str]:
    """List train departures between two cities.

    station_from: City the train leaves from.
    station_to: City the train goes to.
    after: Earliest departure on the 24-hour clock, HH:MM.
    first_class: Only trains with a first class.
    """
    hours = sorted({int(steady(5, 23, station_from, station_to, n, first_class)) for n in range(5)})
    return [
        f"{hour:02d}:{int(steady(0, 59, hour, station_to)):02d}"
        for hour in hours
        if f"{hour:02d}" >= after[:2]
    ]


@api(
    "Travel",
    "rent_vehicle",
    slots={
        "pickup_city": one(CITIES),
        "start_date": date(2025, 2026),
        "days": whole(2, 21),
        "vehicle": enum(
            {
                "compact": ("compact car", "compact"),
                "suv": ("SUV",),
                "van": ("van", "minivan"),
                "motorbike": ("motorbike", "motorcycle"),
            }
        ),
        "insurance": flag(["with full insurance", "with insurance"], ["without insurance"]),
        "driver_age": plain(21, 75),
    },
    asks=[
        "Rent a {vehicle} <in {pickup_city} for {days} days from {start_date}>[ {insurance}]",
        "I need a {vehicle} in {pickup_city} from {start_date} for {days} days[, {insurance}]. The driver is {driver_age} years old.",
        "Reserve a {vehicle} <in {pickup_city}, starting {start_date}, {days} days>[, {insurance}]",
        "What would a rental {vehicle} cost <in {pickup_city} from {start_date} for {days} days>[ {insurance}]?",
        "Rental {vehicle}, <{pickup_city}, {days} days from {start_date}>[, driver aged {driver_age}]",
    ],
    missing=[
        "Rent a {vehicle} in {pickup_city}",
        "I need a rental {vehicle} for {days} days from {start_date}",
    ],
)
def rent_vehicle(
    pickup_city: str,
    start_date: str,
    days: int,
    vehicle: Literal["compact", "suv", "van", "motorbike"],
    insurance: bool = False,
    driver_age: int = 30,
) -> dict:
    """Reserve a rental vehicle.

    pickup_city: City where the vehicle is picked up.
    start_date: First day of the rental, YYYY-MM-DD.
    days: Length of the rental in days.
    vehicle: Kind of vehicle.
    insurance: Whether full insurance is included.
    driver_age: Age of the driver in years.
    """
    rate = (
        {"compact": 35, "suv": 70, "van": 85, "motorbike": 40}[vehicle]
        + 12 * insurance
        + 15 * (driver_age < 25)
    )
    return {"total": rate * days, "reservation": f"RV{int(steady(1000, 9999, pickup_city, start_date))}"}


class Stop(TypedDict):
    """A stop of a journey.

    city: City of the stop.
    nights: Nights to stay there.
    """

    city: str
    nights: NotRequired[int]


@api(
    "Travel",
    "plan_route",
    slots={
        "start": record(
            ["{city}", "{city} (staying {nights} nights)"], city=one(CITIES), nights=whole(2, 6, words=False)
        ),
        "finish": record(
            ["{city}", "{city} (staying {nights} nights)"], city=one(CITIES), nights=whole(2, 6, words=False)
        ),
        "avoid": items(
            enum(
                {
                    "tolls": ("tolls", "toll roads"),
                    "ferries": "ferries",
                    "highways": ("highways", "motorways"),
                }
            ),
            1,
            2,
        ),
        "mode": enum({"car": ("by car",), "bicycle": ("by bicycle", "by bike"), "walking": ("on foot",)}),
    },
    asks=[
        "Plan a route {mode} <from {start} to {finish}>[, avoiding {avoid}]",
        "What is the best way {mode} <from {start} to {finish}>[ that avoids {avoid}]?",
        "Route <{start} to {finish}> {mode}[, no {avoid}]",
        "We're travelling {mode} from {start} to {finish}. Could you lay out the route[ without {avoid}]?",
        "Please plan a journey <from {start} to {finish}> {mode}",
    ],
    missing=["Plan a route {mode} to {finish}", "What is the best way from {start} to {finish}?"],
)
def plan_route(
    start: Stop,
    finish: Stop,
    mode: Literal["car", "bicycle", "walking"],
    avoid: list[Literal["tolls", "ferries", "highways"]] | None = None,
) -> dict:
    """Plan a journey between two stops.

    start: Where the journey starts, with the nights to stay there if any.
    finish: Where the journey ends, with the nights to stay there if any.
    mode: Means of transport.
    avoid: What the route should avoid.
    """
    distance = steady(40, 1800, start["city"], finish["city"])
    speed = {"car": 85, "bicycle": 18, "walking": 5}[mode]
    return {"km": distance, "hours": round(distance / speed + len(avoid or ()) * 0.5, 1)}


@api(
    "Environment",
    "get_weather_outlook",
    slots={
        "city": one(CITIES),
        "days": whole(2, 10),
        "unit": enum(
            {"celsius": ("Celsius", "degrees Celsius"), "fahrenheit": ("Fahrenheit", "degrees Fahrenheit")}
        ),
    },
    asks=[
        "What will the weather be like in <{city}>[ over the next {days} days][, in {unit}]?",
        "Give me the weather outlook for <{city}>[ for {days} days][ in {unit}]",
        "Weather in <{city}>[, {unit}]",
        "I'm packing for {city}. What's the forecast[ for the coming {days} days]?",
        "Show the forecast for <{city}>[, {days} days ahead][, temperatures in {unit}]",
        "Will I need an umbrella in <{city}>[ within the next {days} days]?",
    ],
    missing=[
        "What will the weather be like[ over the next {days} days]?",
        "Give me a {days}-day weather forecast in {unit}",
    ],
    kin="weather",
)
def get_weather_outlook(
    city: str, days: int = 1, unit: Literal["celsius", "fahrenheit"] = "celsius"
) -> list[dict]:
    """Get the weather forecast for a city.

    city: Name of the city.
    days: How many days ahead, starting today.
    unit: Unit of the temperatures.
    """
    outlook = []
    for day in range(days):
        celsius = steady(-5, 33, city, day)
        outlook.append(
            {
                "sky": pick(("sunny", "cloudy", "rain", "wind"), city, day, "sky"),
                "temperature": celsius if unit == "celsius" else round(celsius * 1.8 + 32),
            }
        )
    return outlook


@api(
    "Environment",
    "airQuality.current",
    slots={
        "latitude,longitude": lambda rng: (lambda a, b: ((a, b), (str(a), str(b))))(
            round(rng.uniform(-55, 65), 4), round(rng.uniform(-170, 170), 3)
        ),
        "pollutants": items(
            enum(
                {
                    "pm25": ("PM2.5",),
                    "pm10": ("PM10",),
                    "ozone": ("ozone",),
                    "no2": ("nitrogen dioxide", "NO2"),
                }
            ),
            1,
            3,
        ),
    },
    asks=[
        "How good is the air at <latitude {latitude}, longitude {longitude}>[, looking at {pollutants}]?",
        "Get the air quality for <the coordinates {latitude}, {longitude}>[, only {pollutants}]",
        "Air quality at <{latitude}, {longitude}>",
        "Please check the levels of {pollutants} at <latitude {latitude} and longitude {longitude}>",
        "Our sensor stands at {latitude}, {longitude}. What is the current air quality there[ in terms of {pollutants}]?",
    ],
    missing=["How good is the air here?", "Get the air quality for latitude {latitude}"],
)
def air_quality(
    latitude: float, longitude: float, pollutants: list[Literal["pm25", "pm10", "ozone", "no2"]] | None = None
) -> dict:
    """Read the current air quality at a place.

    latitude: Latitude in decimal degrees, from -90 to 90.
    longitude: Longitude in decimal degrees, from -180 to 180.
    pollutants: Which pollutants to report; all of them if left out.
    """
    if abs(latitude) > 90 or abs(longitude) > 180:
        raise ValueError("no such coordinates")
    return {
        name: steady(2, 90, latitude, longitude, name)
        for name in pollutants or ("pm25", "pm10", "ozone", "no2")
    }


@api(
    "Environment",
    "carbon_footprint_of_trip",
    slots={
        "distance_km": decimal(5, 4000, 1),
        "mode": enum(
            {
                "car": ("by car",),
                "train": ("by train",),
                "plane": ("by plane",),
                "bus": ("by bus", "by coach"),
            }
        ),
        "travellers": whole(2, 6),
        "return_trip": flag(["there and back", "as a round trip"], ["one way"]),
    },
    asks=[
        "How much CO2 does <a trip of {distance_km} km {mode}> cause[ for {travellers} people][, {return_trip}]?",
        "Estimate the carbon footprint of <travelling {distance_km} kilometers {mode}>[ {return_trip}]",
        "Emissions for <{distance_km} km {mode}>[, {travellers} travellers]",
        "We went {distance_km} km {mode}[ with {travellers} of us]. What was our carbon footprint[, counted {return_trip}]?",
        "Calculate emissions for <a journey of {distance_km} km {mode}>[, {return_trip}]",
    ],
    missing=[
        "How much CO2 does a trip of {distance_km} km cause?",
        "Estimate the carbon footprint of going {mode}",
    ],
    bad=("distance_km", -3),
)
def carbon_footprint_of_trip(
    distance_km: float,
    mode: Literal["car", "train", "plane", "bus"],
    travellers: int = 1,
    return_trip: bool = False,
) -> float:
    """Estimate the carbon dioxide of a trip, in kilograms.

    distance_km: Distance in kilometers, one way.
    mode: Means of transport.
    travellers: Number of people travelling.
    return_trip: Whether the way back is included.
    """
    if distance_km < 0:
        raise ValueError("negative distance")
    rate = {"car": 0.17, "train": 0.035, "plane": 0.25, "bus": 0.03}[mode]
    return round(distance_km * rate * travellers * (2 if return_trip else 1), 3)


@api(
    "Environment",
    "solar_output",
    slots={
        "panel_area": decimal(2, 90, 1),
        "sun_hours": decimal(1, 11, 1),
        "efficiency": lambda rng: (
            lambda p: (round(p / 100, 2), rng.choice((f"{p}%", str(round(p / 100, 2)))))
        )(rng.randint(12, 24)),
        "tilt": plain(5, 60),
    },
    asks=[
        "How much energy do <{panel_area} square meters of solar panels produce with {sun_hours} hours of sun>[ at an efficiency of {efficiency}]?",
        "Calculate the solar yield of <{panel_area} m2 of panels and {sun_hours} hours of sun>[, efficiency {efficiency}][, tilted {tilt} degrees]",
        "Solar output: <{panel_area} m2, {sun_hours} sun hours>[, efficiency {efficiency}]",
        "Our roof has {panel_area} square meters of panels and gets {sun_hours} hours of sunshine. What do they yield[ at {efficiency} efficiency]?",
        "Estimate the daily output of <{panel_area} square meters of panels in {sun_hours} hours of sunshine>[ with a tilt of {tilt} degrees]",
    ],
    missing=["How much energy do my solar panels produce in {sun_hours} hours of sun?"],
)
def solar_output(panel_area: float, sun_hours: float, efficiency: float = 0.18, tilt: int = 30) -> float:
    """Estimate the daily energy of solar panels, in kilowatt hours.

    panel_area: Area of the panels in square meters.
    sun_hours: Hours of full sun in the day.
    efficiency: Efficiency of the panels as a fraction between 0 and 1.
    tilt: Tilt of the panels in degrees.
    """
    return round(panel_area * sun_hours * efficiency * (1 - abs(tilt - 35) / 300), 3)


@api(
    "Lifestyle",
    "recipes.by_ingredients",
    slots={
        "ingredients": items(one(INGREDIENTS), 1, 4),
        "diet": enum(
            {
                "vegetarian": ("vegetarian", "meat-free"),
                "vegan": "vegan",
                "gluten_free": "gluten-free",
                "keto": "keto",
            }
        ),
        "max_minutes": plain(10, 90),
        "servings": whole(2, 8),
    },
    asks=[
        "What[ {diet}] dish can I cook with <{ingredients}>[ in under {max_minutes} minutes]?",
        "Find[ {diet}] recipes using <{ingredients}>[ for {servings} people]",
        "Recipes with <{ingredients}>[, {diet}][, max {max_minutes} minutes]",
        "There's nothing left in my fridge but {ingredients}. What can I make[ for {servings} people][ within {max_minutes} minutes]?",
        "Suggest some[ {diet}] meals made from <{ingredients}>",
    ],
    missing=["Find {diet} recipes for dinner", "What can I cook in under {max_minutes} minutes?"],
)
def find_recipes(
    ingredients: list[str],
    diet: Literal["vegetarian", "vegan", "gluten_free", "keto"] | None = None,
    max_minutes: int = 60,
    servings: int = 2,
) -> list[dict]:
    """Find recipes that use given ingredients.

    ingredients: Names of the ingredients at hand.
    diet: Diet the recipes must follow.
    max_minutes: Longest cooking time in minutes.
    servings: Number of people to cook for.
    """
    return [
        {
            "recipe": f"{ingredients[0].title()} {dish}",
            "minutes": min(max_minutes, int(steady(10, 60, dish, *ingredients))),
        }
        for dish in ("bowl", "bake")
    ]


@api(
    "Lifestyle",
    "smartHome.setThermostat",
    slots={
        "room": one(
            ["living room", "bedroom", "kitchen", "office", "bathroom", "nursery", "guest room", "basement"]
        ),
        "temperature": decimal(15, 26, 1),
        "mode": enum(
            {"heat": ("heating", "heat"), "cool": ("cooling", "cool"), "eco": ("eco", "energy saving")}
        ),
        "until": clock(),
    },
    asks=[
        "Set the thermostat <in the {room} to {temperature} degrees>[ in {mode} mode][ until {until}]",
        "Could it be {temperature} degrees in the {room}[ until {until}]?",
        "Thermostat: <{room}, {temperature} degrees>[, {mode} mode]",
        "Make <the {room} {temperature} degrees>[ until {until}]",
        "I'm cold. Please turn the {room} up to {temperature} degrees[ until {until}]",
    ],
    missing=["Set the thermostat to {temperature} degrees", "Change the temperature in the {room}"],
)
def set_thermostat(
    room: str,
    temperature: float,
    mode: Literal["heat", "cool", "eco"] | None = None,
    until: str | None = None,
) -> dict:
    """Set the thermostat of a room.

    room: Name of the room.
    temperature: Target temperature in degrees Celsius.
    mode: Operating mode.
    until: Time at which the normal program returns, HH:MM on the 24-hour clock.
    """
    if not 5 <= temperature <= 35:
        raise ValueError("temperature out of range")
    return {"room": room, "temperature": temperature, "status": "set", "until": until}


@api(
    "Lifestyle",
    "table_reservation",
    slots={
        "restaurant": one(
            [
                "Blue Lantern",
                "Casa Verde",
                "The Copper Pot",
                "Nonna's Kitchen",
                "Sakura Garden",
                "Harbour House",
                "Le Petit Four",
                "Spice Route",
                "The Old Mill",
                "Taverna Irini",
            ]
        ),
        "party_size": whole(2, 14),
        "on_date": date(2025, 2026),
        "at_time": clock(11, 22),
        "seating": enum(
            {"indoor": ("indoors", "inside"), "outdoor": ("outdoors", "outside"), "bar": "at the bar"}
        ),
        "requests": items(
            one(["high chair", "window view", "quiet corner", "birthday cake", "wheelchair access"]), 1, 2
        ),
    },
    asks=[
        "Book a table <at {restaurant} for {party_size} people on {on_date} at {at_time}>[, {seating}]",
        "Can we get a table for {party_size} at {restaurant} on {on_date} at {at_time}[, preferably {seating}]?",
        "Reserve <{restaurant}, {on_date}, {at_time}, party of {party_size}>[, {seating}]",
        "We'd like to eat at {restaurant} on {on_date}. Please book a table for {party_size} at {at_time}[ and note: {requests}]",
        "Get me a reservation <at {restaurant} on {on_date} at {at_time} for {party_size} guests>[ with {requests}]",
    ],
    missing=[
        "Book a table at {restaurant}",
        "Reserve a table for {party_size} people on {on_date} at {at_time}",
    ],
)
def table_reservation(
    restaurant: str,
    party_size: int,
    on_date: str,
    at_time: str,
    seating: Literal["indoor", "outdoor", "bar"] = "indoor",
    requests: list[str] | None = None,
) -> dict:
    """Reserve a table in a restaurant.

    restaurant: Name of the restaurant.
    party_size: Number of guests.
    on_date: Day of the visit, YYYY-MM-DD.
    at_time: Time of the visit on the 24-hour clock, HH:MM.
    seating: Where the guests want to sit.
    requests: Special requests.
    """
    return {
        "confirmed": True,
        "code": f"T{int(steady(100, 999, restaurant, on_date, at_time))}",
        "seating": seating,
    }
