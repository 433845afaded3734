"""The functions of BFCL's executable questions that ask a service, and asking it for real (option).

Scoring compares their arguments with the ground truth's and asks nobody: most services need a key, and what
they say changes. With :class:`Live` the calls are made: in a worker that may open sockets and nothing else,
to the hosts of this table and of the ground truth only, whatever a model writes.
"""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

_LARGEST = 1 << 20  # bytes of an answer that are read
_AGENT = {"User-Agent": "xlam-bfcl"}
KEYS = ("RAPID-API-KEY", "EXCHANGERATE-API-KEY", "OMDB-API-KEY", "GEOCODE-API-KEY")
"""The keys that the services ask for; in the questions each stands as ``YOUR-`` and its name."""


class Live(msgspec.Struct, frozen=True):
    """How services are asked.

    Attributes
    ----------
    keys
        Your keys, by the names in :data:`KEYS`.
    servers
        For a service's host, the server that is asked in its place, such as
        ``{"api.open-meteo.com": "http://127.0.0.1:8000"}``.
    seconds
        How long one call may take.
    """

    keys: dict[str, str] = {}
    servers: dict[str, str] = {}
    seconds: float = 20.0


class Service(NamedTuple):
    """What to ask and where the answer stands: a URL and its query, filled from the arguments.

    ``path`` leads to the value in the JSON answer; where it is not there, ``otherwise`` does.
    """

    url: Callable[[dict[str, Any]], str]
    query: Callable[[dict[str, Any]], dict[str, Any]]
    path: tuple[str | int, ...] | Callable[[Any, dict[str, Any]], Any]
    otherwise: tuple[str | int, ...] = ()
    rapid: bool = False


def _at(url: str) -> Callable[[dict[str, Any]], str]:
    return lambda _: url


def _part(value: Any) -> str:
    return urllib.parse.quote(str(value), safe="")


def _none(_: dict[str, Any]) -> dict[str, Any]:
    return {}


def _weather(arguments: dict[str, Any]) -> dict[str, Any]:
    latitude, longitude = arguments["coordinates"]
    return {"latitude": latitude, "longitude": longitude, "current": "temperature_2m"}


def _pair(*names: str) -> Callable[[Any, dict[str, Any]], Any]:
    def read(answer: Any, _: dict[str, Any]) -> Any:
        found = answer[0] if isinstance(answer, list) else answer
        return [found[name] for name in names] if names[0] in found else found["message"]

    return read


def _movie(field: str) -> Service:
    return Service(_at("http://www.omdbapi.com/"), lambda a: {"t": a["movie_name"]}, (field,))


def _covid(*path: str) -> Service:
    url = _at("https://covid-193.p.rapidapi.com/statistics")
    return Service(url, lambda a: {"country": a["country"]}, ("response", 0, *path), rapid=True)


def _product(field: str) -> Service:
    url = _at("https://real-time-amazon-data.p.rapidapi.com/product-details")
    return Service(url, lambda a: {"asin": a["ASIN"], "country": "US"}, ("data", field), rapid=True)


_YAHOO = "https://yahoo-finance15.p.rapidapi.com/api/v1/markets"
SERVICES: dict[str, Service] = {
    "get_weather_data": Service(
        _at("https://api.open-meteo.com/v1/forecast"), _weather, ("current", "temperature_2m")
    ),
    "get_coordinates_from_city": Service(
        _at("https://geocode.maps.co/search"), lambda a: {"q": a["city_name"]}, _pair("lat", "lon")
    ),
    "convert_currency": Service(
        lambda a: (
            f"https://v6.exchangerate-api.com/v6/YOUR-EXCHANGERATE-API-KEY/latest/{_part(a['from_currency'])}"
        ),
        _none,
        lambda answer, a: a["amount"] * answer["conversion_rates"][a["to_currency"]],
    ),
    "find_term_on_urban_dictionary": Service(
        _at("https://mashape-community-urban-dictionary.p.rapidapi.com/define"),
        lambda a: {"term": a["term"]},
        ("list", 0, "definition"),
        rapid=True,
    ),
    "get_coordinate_by_ip_address": Service(
        lambda a: f"http://ip-api.com/json/{_part(a['ip_address'])}", _none, _pair("lat", "lon")
    ),
    "get_zipcode_by_ip_address": Service(
        lambda a: f"http://ip-api.com/json/{_part(a['ip_address'])}", _none, ("zip",), ("message",)
    ),
    "get_covid_death_by_country": _covid("deaths", "total"),
    "get_active_covid_case_by_country": _covid("cases", "active"),
    "get_rating_by_amazon_ASIN": _product("product_star_rating"),
    "get_price_by_amazon_ASIN": _product("product_price"),
    "get_product_name_by_amazon_ASIN": _product("product_title"),
    "get_company_name_by_stock_name": Service(
        _at(f"{_YAHOO}/search"), lambda a: {"search": a["stock_name"]}, ("body", 0, "name"), rapid=True
    ),
    "get_stock_price_by_stock_name": Service(
        _at(f"{_YAHOO}/quote"),
        lambda a: {"ticker": a["stock_name"], "type": "STOCKS"},
        ("body", "primaryData", "lastSalePrice"),
        rapid=True,
    ),
    "get_stock_history": Service(
        _at(f"{_YAHOO}/stock/history"),
        lambda a: {"symbol": a["stock_name"], "interval": a["interval"]},
        lambda answer, _: dict(list(answer["body"].items())[-10:]),
        rapid=True,
    ),
    "retrieve_city_based_on_zipcode": Service(
        lambda a: f"http://ziptasticapi.com/{_part(a['zipcode'])}", _none, ("city",)
    ),
    "retrieve_holiday_by_year": Service(
        lambda a: f"https://date.nager.at/api/v3/publicholidays/{_part(a['year'])}/{_part(a['country'])}",
        _none,
        (),
    ),
    "get_time_zone_by_coord": Service(
        _at("https://timezone-by-location.p.rapidapi.com/timezone"),
        lambda a: {"lat": a["lat"], "lon": a["long"], "c": "1", "s": "0"},
        ("Zones", 0, "TimezoneId"),
        rapid=True,
    ),
    "get_movie_rating": _movie("Rated"),
    "get_movie_director": _movie("Director"),
    "get_movie_genre": _movie("Genre"),
    "get_director_by_movie_name": _movie("Director"),
}
UNUSED = {"get_stock_history": {"diffandsplits"}}
"""Arguments that a service is not asked with, so that they change nothing."""
# What a request carries beside its function's arguments, by the host it goes to.
_KEY_FIELDS = {
    "www.omdbapi.com": ("apikey", "OMDB-API-KEY"),
    "geocode.maps.co": ("api_key", "GEOCODE-API-KEY"),
}


def live(name: str, arguments: dict[str, Any], settings: dict[str, Any]) -> Any:
    """Ask a service; runs in a worker.

    Parameters
    ----------
    name
        A key of :data:`SERVICES`, or ``requests.get``.
    arguments
        The call's.
    settings
        :class:`Live` as JSON values; for ``requests.get`` also ``host``, the only one that is asked.

    Raises
    ------
    ValueError
        Another host, or an answer without what was asked for.
    OSError
        The service cannot be reached or answers with an error.
    """
    if name == "requests.get":
        return _request(arguments, settings)
    service = SERVICES[name]
    url, query = service.url(arguments), service.query(arguments)
    host = urllib.parse.urlsplit(url).hostname or ""
    headers = {"X-RapidAPI-Key": "YOUR-RAPID-API-KEY", "X-RapidAPI-Host": host} if service.rapid else {}
    if host in _KEY_FIELDS:
        field, key = _KEY_FIELDS[host]
        query[field] = f"YOUR-{key}"
    answer = _get(url, query, headers, settings)
    if callable(service.path):
        return service.path(answer, arguments)
    try:
        return _follow(answer, service.path)
    except (KeyError, IndexError, TypeError):
        if not service.otherwise:
            raise ValueError(f"the service's answer has no {service.path}") from None
        return _follow(answer, service.otherwise)


def _request(arguments: dict[str, Any], settings: dict[str, Any]) -> Any:
    url = arguments["url"]
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or parts.hostname != settings["host"]:
        raise ValueError(f"{url[:200]!r} is not at {settings['host']}")
    headers = {str(key): str(value) for key, value in (arguments.get("headers") or {}).items()}
    return _get(url, dict(arguments.get("params") or {}), headers, settings)


def _follow(value: Any, path: Sequence[str | int]) -> Any:
    for step in path:
        value = value[step]
    return value


def _get(url: str, query: Mapping[str, Any], headers: Mapping[str, str], settings: Mapping[str, Any]) -> Any:
    keys: dict[str, str] = settings.get("keys", {})

    def filled(text: Any) -> Any:
        if isinstance(text, list):
            return [filled(item) for item in text]
        if isinstance(text, bool) or not isinstance(text, str):
            return str(text)
        for name in KEYS:
            text = text.replace(f"YOUR-{name}", keys.get(name, f"YOUR-{name}"))
        return text

    parts = urllib.parse.urlsplit(filled(url))
    server = settings.get("servers", {}).get(parts.hostname)
    if server:
        there = urllib.parse.urlsplit(server)
        parts = parts._replace(scheme=there.scheme, netloc=there.netloc)
    more = urllib.parse.urlencode({name: filled(value) for name, value in query.items()}, doseq=True)
    parts = parts._replace(query="&".join(filter(None, (parts.query, more))))
    request = urllib.request.Request(
        parts.geturl(), headers=_AGENT | {name: filled(value) for name, value in headers.items()}
    )
    # Without redirects, which could lead to another host.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect)
    with opener.open(request, timeout=settings.get("seconds", 20.0)) as answer:
        data = answer.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise ValueError(f"an answer of more than {_LARGEST:,} bytes")
    return json.loads(data)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None
