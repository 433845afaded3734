"""ToolQuery's movie tools over a service that speaks TMDB's language, and an invented catalogue of films.

Tool names, parameters and what of an answer the agent is shown are AgentBoard's. The embedded films and
people do not exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from xlam_lib.environments.toolquery_base import (
    CHECK_VALID_ACTIONS,
    FINISH,
    Refused,
    ServiceError,
    Source,
    show,
    text_of,
    tool,
)
from xlam_lib.records import read_json

MAX_LISTED = 10
_JOBS = ("Director", "Producer", "Writer")
_TRANSLATED = ("NL", "CN", "US", "DE")
_UNSTABLE = ("overview", "biography", "vote_average", "genres", "revenue", "budget", "release_date")
_FILE = Path(__file__).parent / "data" / "toolquery_movie.json"

_MOVIE: dict[str, Any] = {"movie_id": ("string", "The film's id, as the search gives it.")}
_PERSON: dict[str, Any] = {
    "person_id": ("string", "The person's id, as a search or a list of people gives it.")
}

TOOLS = [
    tool(
        "get_search_movie",
        "Find a film by its title: id, title and a summary of the best match.",
        movie_name=("string", "The title, or words of it."),
    ),
    tool("get_movie_details", "A film's budget, genres, revenue, average vote and release date.", **_MOVIE),
    tool("get_movie_production_companies", "The companies that made a film.", **_MOVIE),
    tool("get_movie_production_countries", "The countries a film was made in.", **_MOVIE),
    tool("get_movie_cast", "The first 10 of a film's cast: id, name and role.", **_MOVIE),
    tool(
        "get_movie_crew",
        "Up to 10 of a film's crew, directors, producers and writers first: id, name and job.",
        **_MOVIE,
    ),
    tool("get_movie_keywords", "The keywords given to a film.", **_MOVIE),
    tool(
        "get_search_person",
        "Find a person of the film world: id and name of the best match.",
        person_name=("string", "The name, or words of it."),
    ),
    tool("get_person_details", "A person's biography, birthday and place of birth.", **_PERSON),
    tool("get_person_cast", "The first 10 films a person acted in: id, title and role.", **_PERSON),
    tool(
        "get_person_crew",
        "The first 10 films a person worked on behind the camera: id, title, job.",
        **_PERSON,
    ),
    tool(
        "get_person_external_ids",
        "A person's identifiers on IMDb, Facebook, Instagram and Twitter.",
        **_PERSON,
    ),
    tool("get_movie_alternative_titles", "A film's titles in other countries.", **_MOVIE),
    tool("get_movie_translation", "A film's summary in other languages.", **_MOVIE),
    CHECK_VALID_ACTIONS,
    FINISH,
]

# Tool name -> (path, id argument).
_PATHS = {
    "get_movie_details": ("/movie/{}", "movie_id"),
    "get_movie_production_companies": ("/movie/{}", "movie_id"),
    "get_movie_production_countries": ("/movie/{}", "movie_id"),
    "get_movie_cast": ("/movie/{}/credits", "movie_id"),
    "get_movie_crew": ("/movie/{}/credits", "movie_id"),
    "get_movie_keywords": ("/movie/{}/keywords", "movie_id"),
    "get_movie_alternative_titles": ("/movie/{}/alternative_titles", "movie_id"),
    "get_movie_translation": ("/movie/{}/translations", "movie_id"),
    "get_person_details": ("/person/{}", "person_id"),
    "get_person_cast": ("/person/{}/movie_credits", "person_id"),
    "get_person_crew": ("/person/{}/movie_credits", "person_id"),
    "get_person_external_ids": ("/person/{}/external_ids", "person_id"),
}


class MovieTools:
    """The movie tools for one session."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def call(self, name: str, arguments: Mapping[str, Any]) -> Any:
        if name == "get_search_movie":
            found = self._search("/search/movie", text_of(arguments, "movie_name"))
            if not found:
                raise Refused("invalid_action", f"no film is called {show(arguments['movie_name'])}")
            return [_pick(found[0], "id", "overview", "title")]
        if name == "get_search_person":
            found = self._search("/search/person", text_of(arguments, "person_name"))
            return [_pick(found[0], "id", "name")] if found else []
        if name not in _PATHS:
            raise Refused("unknown_tool", f"no action is called {show(name)}")
        path, key = _PATHS[name]
        identity = text_of(arguments, key).strip()
        if not (identity.isascii() and identity.isdigit()):
            raise Refused("invalid_action", f"{show(identity)} is not an id; look it up by name first")
        answer = self._get(path.format(identity), {})
        try:
            return _shown(name, answer)
        except (KeyError, TypeError, AttributeError):
            raise Refused("tool_error", "the service's answer lacks what was asked") from None

    def subgoal(self, value: Any) -> Any:
        """A result without what changes from year to year: summaries, votes, money, dates, genres."""
        if isinstance(value, list):
            return [_steady(item) if isinstance(item, dict) else item for item in value]
        return _steady(value) if isinstance(value, dict) else value

    def _get(self, path: str, params: Mapping[str, Any]) -> Any:
        try:
            return self.source.get("tmdb", path, params)
        except ServiceError as error:
            raise Refused("tool_error", str(error)) from None

    def _search(self, path: str, query: str) -> list[Any]:
        params = {"query": query, "include_adult": "false", "language": "en-US", "page": "1"}
        found = self._get(path, params)
        results = found.get("results") if isinstance(found, dict) else None
        if not isinstance(results, list) or not all(isinstance(item, dict) for item in results):
            raise Refused("tool_error", "the service's answer has no list of results")
        return results


def _steady(item: Mapping[str, Any]) -> dict[str, Any]:
    return {key: kept for key, kept in item.items() if key not in _UNSTABLE}


def _pick(item: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: item.get(key) for key in keys}


def _shown(name: str, answer: Any) -> Any:
    """What of a service's answer a tool shows."""
    match name:
        case "get_movie_details":
            return _pick(answer, "title", "budget", "genres", "revenue", "vote_average", "release_date")
        case "get_movie_production_companies":
            return {"production_companies": answer["production_companies"]}
        case "get_movie_production_countries":
            return {"production_countries": answer["production_countries"]}
        case "get_movie_cast":
            return {"cast": [_pick(item, "id", "name", "character") for item in answer["cast"][:MAX_LISTED]]}
        case "get_movie_crew":
            return {"crew": [_pick(item, "id", "name", "job") for item in _crew(answer["crew"])]}
        case "get_movie_keywords":
            return {"keywords": [item["name"] for item in answer["keywords"]]}
        case "get_movie_alternative_titles":
            return answer
        case "get_movie_translation":
            kept = [item for item in answer["translations"] if item["iso_3166_1"] in _TRANSLATED]
            kept = [
                item | {"data": {key: text for key, text in item["data"].items() if key != "title"}}
                for item in kept
            ]
            return answer | {"translations": kept}
        case "get_person_details":
            return _pick(answer, "name", "biography", "birthday", "place_of_birth")
        case "get_person_cast":
            return {"cast": [_pick(item, "id", "title", "character") for item in answer["cast"][:MAX_LISTED]]}
        case "get_person_crew":
            return {"crew": [_pick(item, "id", "title", "job") for item in answer["crew"][:MAX_LISTED]]}
        case _:
            return _pick(answer, "imdb_id", "facebook_id", "instagram_id", "twitter_id")


def _crew(crew: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Directors, producers and writers, all of them; then others, until there are ten."""
    first = [item for item in crew if item["job"] in _JOBS]
    known = {item["id"] for item in first}
    others = [item for item in crew if item["id"] not in known]
    return first + others[: max(0, MAX_LISTED - len(first))]


class InventedFilms:
    """The embedded catalogue, answering as TMDB does."""

    def __init__(self, films: list[dict[str, Any]], people: list[dict[str, Any]]) -> None:
        self.films = {film["id"]: film for film in films}
        self.people = {person["id"]: person for person in people}

    def get(self, service: str, path: str, params: Mapping[str, Any]) -> Any:
        parts = path.strip("/").split("/")
        if parts == ["search", "movie"]:
            return {"results": _best(self.films.values(), "title", params["query"])}
        if parts == ["search", "person"]:
            return {"results": _best(self.people.values(), "name", params["query"])}
        table = self.films if parts[0] == "movie" else self.people
        # Python refuses to read integers of thousands of digits; no id is that long.
        record = table.get(int(parts[1])) if len(parts[1]) < 10 else None
        if record is None:
            raise ServiceError(f"there is no {parts[0]} with the id {show(parts[1])}", lasting=True)
        what = parts[2] if len(parts) > 2 else ""
        if what == "credits":
            return {"id": record["id"]} | {
                part: [item | {"name": self.people[item["id"]]["name"]} for item in record[part]]
                for part in ("cast", "crew")
            }
        if what == "movie_credits":
            return {"id": record["id"]} | {part: self._work(record["id"], part) for part in ("cast", "crew")}
        if what == "alternative_titles":
            return {"id": record["id"], "titles": record["titles"]}
        if what in ("keywords", "translations"):
            return {"id": record["id"], what: record[what]}
        return record if what == "" else record["external_ids"]

    def _work(self, person: int, part: str) -> list[dict[str, Any]]:
        """What a person did in each film, the latest film first."""
        films = sorted(self.films.values(), key=lambda film: film["release_date"], reverse=True)
        return [
            {**item, "id": film["id"], "title": film["title"]}
            for film in films
            for item in film[part]
            if item["id"] == person
        ]


def _best(records: Any, key: str, query: str) -> list[dict[str, Any]]:
    """The records whose title or name is the query, and then those that hold all of its words."""
    sought = query.strip().casefold()
    words = set(sought.split())
    same = [record for record in records if record[key].casefold() == sought]
    holding = [record for record in records if words and words <= set(record[key].casefold().split())]
    return same + [record for record in holding if record not in same]


@cache
def invented() -> InventedFilms:
    """The embedded catalogue."""
    stored = read_json(_FILE)
    return InventedFilms(stored["films"], stored["people"])
