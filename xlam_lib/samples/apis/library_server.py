"""The town library of ``library.yaml`` as a small HTTP server, with the standard library only.

The same request always gets the same answer: nothing is stored, so that calls do not depend on one another.
Senseless values get 400, 404 or 422 with a JSON body that says why.
"""

from __future__ import annotations

import datetime
import json
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

GENRES = ("novel", "crime", "poetry", "history", "science", "travel")
LANGUAGES = ("english", "french", "german", "spanish")
AUTHORS = ("Ines Calloway", "Théo Marchand", "Priya Raman", "Olaf Brandt", "Zofia Żeleńska")
BRANCHES = ("Central", "Riverside", "Hillcrest", "Old Mill")
EQUIPMENT = ("projector", "whiteboard", "piano", "printer")
AUDIENCES = ("children", "teenagers", "adults", "seniors")
CARDS = ("AL-10234", "AL-20871", "AL-33502", "AL-47719")
_FIRST = ("The Quiet", "A Distant", "The Ninth", "Beyond the", "Letters from the", "The Salt")
_SECOND = ("Harbour", "Orchard", "Observatory", "Winter", "Lighthouse")


def _isbn(number: int) -> str:
    digits = f"978{number:09d}"
    total = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(digits))
    return digits + str(-total % 10)


BOOKS = [
    {
        "isbn": _isbn(101 + number),
        "title": f"{_FIRST[number % 6]} {_SECOND[number % 5]}",
        "author": AUTHORS[number % 5],
        "genre": GENRES[number // 5 % 6],
        "published": datetime.date(1988 + number * 7 % 37, 1 + number % 12, 1 + number % 28).isoformat(),
        "language": LANGUAGES[number // 3 % 4],
    }
    for number in range(60)
]


class Problem(Exception):
    """A request that cannot be answered: its status and why."""

    def __init__(self, status: int, detail: str):
        super().__init__(detail)
        self.status = status


class _Query:
    """A request's query, each of whose parameters may be asked for."""

    def __init__(self, text: str):
        try:
            self.values = parse_qs(text, keep_blank_values=True, errors="strict")
        except ValueError:
            raise Problem(400, "the query is not UTF-8") from None

    def text(self, name: str, default: str | None = None) -> str:
        value = self.values.get(name, [default])[0]
        if value is None:
            raise Problem(400, f"{name} is required")
        return value

    def one(self, name: str, choices: tuple[str, ...], default: str | None = None) -> str:
        value = self.text(name, default)
        if value not in choices:
            raise Problem(400, f"{name} must be one of {', '.join(choices)}")
        return value

    def number(self, name: str, low: float, high: float, default: float | None = None) -> float:
        text = self.text(name, None if default is None else str(default))
        try:
            value = float(text)
        except ValueError:
            raise Problem(400, f"{name} must be a number") from None
        if not low <= value <= high:
            raise Problem(422, f"{name} must lie between {low} and {high}")
        return value

    def flag(self, name: str) -> bool:
        return self.one(name, ("true", "false"), "false") == "true"

    def day(self, name: str, default: str | None = None) -> datetime.date:
        return _day(name, self.text(name, default))


def _day(name: str, text: Any) -> datetime.date:
    try:
        return datetime.date.fromisoformat(text)
    except (ValueError, TypeError):
        raise Problem(400, f"{name} must be a date such as 2026-03-14") from None


def _branch(name: str) -> str:
    if name not in BRANCHES:
        raise Problem(404, f"there is no branch {name!r}")
    return name


def _book(isbn: Any) -> dict[str, str]:
    for book in BOOKS:
        if book["isbn"] == isbn:
            return book
    raise Problem(404, f"no book has the ISBN {isbn!r}")


def _search(query: _Query) -> list[dict[str, str]]:
    genre, after = query.one("genre", GENRES), query.day("published_after", "1900-01-01")
    wanted = [part for part in query.text("language", "").split(",") if part]
    for language in wanted:
        if language not in LANGUAGES:
            raise Problem(400, f"language must be one of {', '.join(LANGUAGES)}")
    found = [
        book
        for book in BOOKS
        if book["genre"] == genre
        and book["published"] > after.isoformat()
        and (not wanted or book["language"] in wanted)
    ]
    return found[: int(query.number("limit", 1, 50, 10))]


def _by_author(author: str, query: _Query) -> list[dict[str, str]]:
    order = {"title": "title", "year": "published"}[query.one("order", ("title", "year"), "title")]
    found = [book for book in BOOKS if book["author"] == author]
    if not found:
        raise Problem(404, f"no author is called {author!r}")
    return sorted(found, key=lambda book: book[order])


def _hours(branch: str, query: _Query) -> dict[str, Any]:
    day = query.day("day")
    if day.weekday() == 6:
        return {"branch": _branch(branch), "day": day.isoformat(), "opens": None, "closes": None}
    closes = "20:00" if day.weekday() in (1, 3) else "18:00" if day.weekday() < 5 else "14:00"
    return {"branch": _branch(branch), "day": day.isoformat(), "opens": "09:00", "closes": closes}


def _rooms(branch: str, query: _Query) -> list[dict[str, Any]]:
    _branch(branch)
    seats = int(query.number("seats", 1, 12))
    wanted = set(query.values.get("equipment", []))
    if wanted - set(EQUIPMENT):
        raise Problem(400, f"equipment must be one of {', '.join(EQUIPMENT)}")
    rooms = [
        {
            "room": f"{branch[0]}{number + 1}",
            "seats": 2 + 2 * number,
            "equipment": list(EQUIPMENT[: number + 1]),
        }
        for number in range(6)
    ]
    return [room for room in rooms if room["seats"] >= seats and wanted <= set(room["equipment"])]


def _events(query: _Query) -> list[dict[str, Any]]:
    audience, first = query.one("audience", AUDIENCES), query.day("from", "2026-01-01")
    free = query.flag("free_only")
    titles = ("Story hour", "Chess evening", "Writing workshop", "Film night", "Repair café")
    events = [
        {
            "title": titles[(AUDIENCES.index(audience) + number) % 5],
            "day": (first + datetime.timedelta(days=2 + 3 * number)).isoformat(),
            "branch": BRANCHES[number % 4],
            "fee": 0 if number % 3 else 4.5,
        }
        for number in range(12)
    ]
    return [event for event in events if not free or not event["fee"]][
        : int(query.number("limit", 1, 50, 10))
    ]


def _loans(card: str | None, query: _Query) -> list[dict[str, Any]]:
    if card not in CARDS:
        raise Problem(404, "no reader has this card number")
    start = CARDS.index(card) * 7
    loans = [{**book, "overdue": number % 3 == 0} for number, book in enumerate(BOOKS[start : start + 5])]
    return [loan for loan in loans if loan["overdue"] or not query.flag("overdue")]


def _fine(query: _Query) -> dict[str, Any]:
    days, books = query.number("days", 1, 120), query.number("books", 1, 20, 1)
    if days % 1 or books % 1:
        raise Problem(400, "days and books must be whole numbers")
    amount = min(days * books * query.number("daily_rate", 0.05, 2, 0.2), 50 * books)
    return {"amount": round(amount, 2), "currency": "USD"}


def _reserve(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise Problem(400, "the body must be a JSON object")
    contact = body.get("contact")
    if (
        not isinstance(contact, dict)
        or not isinstance(contact.get("name"), str)
        or not contact["name"].strip()
    ):
        raise Problem(422, "contact must hold a name")
    book, branch = _book(body.get("isbn")), _branch(body.get("branch", ""))
    until = _day("until", body.get("until"))
    number = zlib.crc32(json.dumps(body, sort_keys=True).encode()) % 9000 + 1000
    return {"number": f"R-{number}", "title": book["title"], "branch": branch, "until": until.isoformat()}


def answer(method: str, target: str, card: str | None, body: bytes) -> tuple[int, Any]:
    """Status and JSON value of a request.

    Raises
    ------
    Problem
        The request cannot be answered.
    """
    address = urlsplit(target)
    try:
        parts = [unquote(part, errors="strict") for part in address.path.strip("/").split("/")]
    except UnicodeDecodeError:
        raise Problem(400, "the path is not UTF-8") from None
    query = _Query(address.query)
    match (method, parts):
        case ("GET", ["v1", "books"]):
            return 200, _search(query)
        case ("GET", ["v1", "books", isbn]):
            return 200, _book(isbn)
        case ("GET", ["v1", "authors", author, "books"]):
            return 200, _by_author(author, query)
        case ("GET", ["v1", "branches", branch, "hours"]):
            return 200, _hours(branch, query)
        case ("GET", ["v1", "branches", branch, "rooms"]):
            return 200, _rooms(branch, query)
        case ("GET", ["v1", "events"]):
            return 200, _events(query)
        case ("GET", ["v1", "loans"]):
            return 200, _loans(card, query)
        case ("GET", ["v1", "fines", "estimate"]):
            return 200, _fine(query)
        case ("POST", ["v1", "reservations"]):
            try:
                return 201, _reserve(json.loads(body))
            except (ValueError, RecursionError):
                raise Problem(400, "the body is not JSON") from None
        case ("DELETE", ["v1", "reservations", number]) if number.startswith("R-"):
            return 200, {"number": number, "cancelled": True}
    raise Problem(404, f"nothing is at {address.path}")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def handle_any(self) -> None:
        length = self.headers.get("Content-Length", "0")
        body = self.rfile.read(int(length)) if length.isdigit() else b""
        kind = "application/json"
        try:
            status, value = answer(self.command, self.path, self.headers.get("X-Card-Number"), body)
        except Problem as problem:
            status, kind = problem.status, "application/problem+json"
            value = {"title": "The request cannot be answered", "detail": str(problem)}
        data = json.dumps(value, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: a notebook's output is not the place for it."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128


@contextmanager
def serve(port: int = 0) -> Iterator[str]:
    """Serve the library on 127.0.0.1 while the block lasts; yields the base URL for ``library.yaml``.

    Parameters
    ----------
    port
        Where to listen; 0 for any free port.
    """
    with _Server(("127.0.0.1", port), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            thread.join()
