"""ToolQuery's weather tools over services that speak open-meteo's language, and an invented world of cities.

Tool names, parameters and the rules about dates are AgentBoard's. The embedded world is our own: two dozen
cities that do not exist, whose daily weather follows from a hash of city and day, so that no file of
measurements is needed and every machine sees the same weather.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from xlam_lib.environments.toolquery_base import (
    CHECK_VALID_ACTIONS,
    FINISH,
    Refused,
    ServiceError,
    Source,
    number_of,
    show,
    text_of,
    tool,
)
from xlam_lib.records import read_json

MAX_DAYS = 30
SAME_PLACE_KM = 50.0
EARTH_KM = 6371.0
FIRST_DAY, LAST_DAY = date(2020, 1, 1), date(2029, 12, 31)  # of the embedded world
_FILE = Path(__file__).parent / "data" / "toolquery_weather.json"

_LATITUDE = ("number", "Degrees north, from -90 to 90.")
_LONGITUDE = ("number", "Degrees east, from -180 to 180.")
_PLACE: dict[str, Any] = {"latitude": _LATITUDE, "longitude": _LONGITUDE}
_DAYS: dict[str, Any] = _PLACE | {
    "start_date": ("string", "First day, as YYYY-MM-DD."),
    "end_date": ("string", "Last day, as YYYY-MM-DD; at most 30 days after the first."),
}
_TODAY: dict[str, Any] = _PLACE | {"current_date": ("string", "Today, as YYYY-MM-DD.")}

_TEMP, _RAIN, _SNOW = "temperature_2m_max,temperature_2m_min,temperature_2m_mean", "rain_sum", "snowfall_sum"
_AIR = "european_aqi_pm2_5"
# Tool name -> (which days it answers for, which series).
_SERIES = {
    "get_historical_temp": ("past", _TEMP),
    "get_historical_rain": ("past", _RAIN),
    "get_historical_snow": ("past", _SNOW),
    "get_historical_air_quality_index": ("past", _AIR),
    "get_temp_forecast": ("future", _TEMP),
    "get_rain_forecast": ("future", _RAIN),
    "get_snow_forecast": ("future", _SNOW),
    "get_current_temp": ("today", _TEMP),
    "get_current_rain": ("today", _RAIN),
    "get_current_snow": ("today", _SNOW),
    "get_current_air_quality_index": ("today", _AIR),
}
_LEVELS = ((20, "good"), (40, "fair"), (60, "moderate"), (80, "poor"), (100, "very poor"))

TOOLS = [
    tool("get_user_current_date", "Today's date where the user is, as YYYY-MM-DD."),
    tool("get_user_current_location", "The city that the user is in."),
    tool("get_historical_temp", "Highest, lowest and mean temperature of each past day, in °C.", **_DAYS),
    tool("get_historical_rain", "Rain of each past day, in mm.", **_DAYS),
    tool("get_historical_snow", "Snowfall of each past day, in cm.", **_DAYS),
    tool("get_snow_forecast", "Snowfall forecast for each coming day, in cm.", **_DAYS),
    tool("get_current_snow", "Today's snowfall, in cm.", **_TODAY),
    tool("get_current_temp", "Today's highest, lowest and mean temperature, in °C.", **_TODAY),
    tool(
        "get_latitude_longitude",
        "Coordinates of the places of a name, up to three.",
        name=("string", "The place's name, such as a city's."),
    ),
    tool("get_elevation", "Height of a place above the sea, in metres.", **_PLACE),
    tool(
        "get_temp_forecast", "Forecast highest, lowest and mean temperature of coming days, in °C.", **_DAYS
    ),
    tool("get_rain_forecast", "Rain forecast for each coming day, in mm.", **_DAYS),
    tool("get_current_rain", "Today's rain, in mm.", **_TODAY),
    tool(
        "get_distance",
        "Distance between two places, in kilometres.",
        latitude1=_LATITUDE,
        longitude1=_LONGITUDE,
        latitude2=_LATITUDE,
        longitude2=_LONGITUDE,
    ),
    tool(
        "get_historical_air_quality_index",
        "Air quality index (fine particles) of each past day at noon.",
        **_DAYS,
    ),
    tool("get_current_air_quality_index", "Today's air quality index (fine particles) at noon.", **_TODAY),
    tool(
        "get_air_quality_level",
        "The word for an air quality index: good, fair, moderate, poor, very poor or extremely poor.",
        air_quality_index=("number", "The index."),
    ),
    CHECK_VALID_ACTIONS,
    FINISH,
]


def distance_km(first: tuple[float, float], second: tuple[float, float]) -> float:
    """Great-circle distance of two (latitude, longitude) on a sphere of 6,371 km."""
    (lat1, lon1), (lat2, lon2) = (tuple(map(math.radians, place)) for place in (first, second))
    half = math.sin((lat2 - lat1) / 2) ** 2
    half += math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return 2 * EARTH_KM * math.asin(min(1.0, math.sqrt(half)))


class WeatherTools:
    """The weather tools for one session, in which it is a given day and the user is in a given city."""

    def __init__(self, source: Source, current_date: str, current_location: str) -> None:
        self.source = source
        self.current_date = current_date
        self.current_location = current_location

    def call(self, name: str, arguments: Mapping[str, Any]) -> Any:
        if name in _SERIES:
            return self._series(*_SERIES[name], arguments)
        if name == "get_user_current_date":
            return self.current_date
        if name == "get_user_current_location":
            return self.current_location
        if name == "get_latitude_longitude":
            return self._places(text_of(arguments, "name"))
        if name == "get_elevation":
            latitude, longitude = _place(arguments)
            return self._get("elevation", {"latitude": latitude, "longitude": longitude})
        if name == "get_distance":
            return round(distance_km(_place(arguments, "1"), _place(arguments, "2")), 2)
        if name == "get_air_quality_level":
            index = number_of(arguments, "air_quality_index")
            return next((word for limit, word in _LEVELS if index <= limit), "extremely poor")
        raise Refused("unknown_tool", f"no action is called {show(name)}")

    def subgoal(self, value: Any) -> Any:
        """A result without its temperatures, which differ from one archive to the next; the days stay."""
        daily = value.get("daily") if isinstance(value, dict) else None
        if not isinstance(daily, dict) or "temperature_2m_max" not in daily:
            return value
        return value | {"daily": {key: kept for key, kept in daily.items() if key not in _TEMP.split(",")}}

    def _get(self, service: str, params: Mapping[str, Any]) -> Any:
        try:
            return self.source.get(service, "", params)
        except ServiceError as error:
            raise Refused("tool_error", str(error)) from None

    def _places(self, name: str) -> Any:
        found = self._get("geocoding", {"name": name, "count": 3, "language": "en", "format": "json"})
        results = found.get("results") if isinstance(found, dict) else None
        if not isinstance(results, list) or not results:
            raise Refused("invalid_action", f"no place is called {show(name)}")
        kept = ("name", "latitude", "longitude", "country_code")
        return {
            "results": [
                {key: place[key] for key in kept if key in place}
                for place in results[:3]
                if isinstance(place, dict)
            ]
        }

    def _series(self, when: str, series: str, arguments: Mapping[str, Any]) -> Any:
        latitude, longitude = _place(arguments)
        if when == "today":
            start = end = _day(arguments, "current_date")
        else:
            start, end = _day(arguments, "start_date"), _day(arguments, "end_date")
            today = date.fromisoformat(self.current_date)
            for name, day in (("start_date", start), ("end_date", end)):
                if when == "past" and day >= today:
                    raise Refused("invalid_action", f"{name} must be earlier than the current date")
                if when == "future" and day <= today:
                    raise Refused("invalid_action", f"{name} must be later than the current date")
        if start > end:
            raise Refused("invalid_action", "end_date must not be earlier than start_date")
        if end - start > timedelta(days=MAX_DAYS):
            raise Refused(
                "invalid_action", f"at most {MAX_DAYS} days may lie between the dates; ask in several parts"
            )
        params = {"latitude": latitude, "longitude": longitude}
        params |= {"start_date": start.isoformat(), "end_date": end.isoformat(), "timezone": "GMT"}
        service, rhythm = ("air_quality", "hourly") if series == _AIR else ("archive", "daily")
        answer = self._get(service, params | {rhythm: series})
        try:
            return _noons(answer) if series == _AIR else {key: answer[key] for key in _KEPT}
        except (KeyError, TypeError, AttributeError):
            raise Refused("tool_error", f"the service's answer lacks the {rhythm} series") from None


_KEPT = ("latitude", "longitude", "daily_units", "daily")


def _noons(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The hourly series' values at noon, one a day."""
    hourly = answer["hourly"]
    noons = {key: list(values)[12::24] for key, values in hourly.items()}
    values = (answer["latitude"], answer["longitude"], answer["hourly_units"], noons)
    return dict(zip(_KEPT, values, strict=True))


def _place(arguments: Mapping[str, Any], suffix: str = "") -> tuple[float, float]:
    latitude = number_of(arguments, f"latitude{suffix}")
    longitude = number_of(arguments, f"longitude{suffix}")
    if abs(latitude) > 90 or abs(longitude) > 180:
        raise Refused("invalid_action", "a latitude is from -90 to 90, a longitude from -180 to 180")
    return latitude, longitude


def _day(arguments: Mapping[str, Any], name: str) -> date:
    text = text_of(arguments, name)
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError:
        raise Refused("invalid_action", f"{show(text)} is not a date as YYYY-MM-DD") from None


class InventedWeather:
    """The embedded world, answering as open-meteo's services do."""

    def __init__(self, cities: list[dict[str, Any]]) -> None:
        self.cities = cities

    def get(self, service: str, path: str, params: Mapping[str, Any]) -> Any:
        if service == "geocoding":
            return self._geocode(str(params["name"]), int(params["count"]))
        city = self._near(params["latitude"], params["longitude"])
        if service == "elevation":
            return {"elevation": [city["elevation"]]}
        start, end = date.fromisoformat(params["start_date"]), date.fromisoformat(params["end_date"])
        if start < FIRST_DAY or end > LAST_DAY:
            raise ServiceError(f"there is data from {FIRST_DAY} to {LAST_DAY} only", lasting=True)
        days = [start + timedelta(days=index) for index in range((end - start).days + 1)]
        answer = {
            "latitude": city["latitude"],
            "longitude": city["longitude"],
            "elevation": city["elevation"],
        }
        if service == "air_quality":
            hours = [f"{day}T{hour:02}:00" for day in days for hour in range(24)]
            values = [_air(city, day, hour) for day in days for hour in range(24)]
            units = {"time": "iso8601", _AIR: "EAQI"}
            return answer | {"hourly_units": units, "hourly": {"time": hours, _AIR: values}}
        wanted = params["daily"].split(",")
        weather = [weather_of(city, day) for day in days]
        daily: dict[str, list[Any]] = {"time": [str(day) for day in days]}
        daily |= {key: [each[key] for each in weather] for key in wanted}
        units = {"time": "iso8601"} | {key: _UNITS[key] for key in wanted}
        return answer | {"daily_units": units, "daily": daily}

    def _geocode(self, name: str, count: int) -> dict[str, Any]:
        sought = name.split(",")[0].strip().casefold()
        found = [city for city in self.cities if city["name"].casefold() == sought]
        if len(sought) >= 3:
            found += [
                city
                for city in self.cities
                if city["name"].casefold().startswith(sought) and city not in found
            ]
        kept = ("name", "latitude", "longitude", "elevation", "country_code")
        return {"results": [{key: city[key] for key in kept} for city in found[:count]]}

    def _near(self, latitude: float, longitude: float) -> dict[str, Any]:
        def away(city: Mapping[str, Any]) -> float:
            return distance_km((latitude, longitude), (city["latitude"], city["longitude"]))

        nearest = min(self.cities, key=away)
        if away(nearest) > SAME_PLACE_KM:
            raise ServiceError("there is no station near these coordinates", lasting=True)
        return nearest


_UNITS = dict.fromkeys(_TEMP.split(","), "°C") | {_RAIN: "mm", _SNOW: "cm"}


def _drawn(*what: Any) -> float:
    """A number from 0 up to 1 that depends on ``what`` alone."""
    digest = hashlib.sha256("/".join(map(str, what)).encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32


def weather_of(city: Mapping[str, Any], day: date) -> dict[str, float]:
    """The weather of one invented city on one day, under open-meteo's names."""

    def drawn(what: str) -> float:
        return _drawn(city["name"], city["country_code"], day, what)

    # A year of two straight lines: arithmetic that is the same on every machine, which sines are not.
    of_year = (day.timetuple().tm_yday - city["coldest_day"]) % 365 / 365
    warmth = 1 - abs(2 * of_year - 1)
    mean = round(city["low"] + (city["high"] - city["low"]) * warmth + 8 * drawn("mean") - 4, 1)
    fallen = round(0.2 + 20 * drawn("amount") ** 2, 1) if drawn("wet") < city["wet"] else 0.0
    values = (
        round(mean + 2 + 5 * drawn("max"), 1),
        round(mean - 2 - 5 * drawn("min"), 1),
        mean,
        fallen if mean > 1 else 0.0,
        fallen if mean <= 1 else 0.0,
    )
    return dict(zip(_UNITS, values, strict=True))


def _air(city: Mapping[str, Any], day: date, hour: int) -> int:
    base = city["air"] * (0.5 + _drawn(city["name"], city["country_code"], day, "air"))
    return round(base) + abs(hour - 12) // 3


@cache
def invented() -> InventedWeather:
    """The embedded world."""
    return InventedWeather(read_json(_FILE)["cities"])
