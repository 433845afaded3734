"""Libraries of APIs from a user's own functions and tools."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import functools
import json
import math
import pathlib
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, NewType, NotRequired, Required, TypedDict

import pytest

from xlam_lib.errors import SchemaError
from xlam_lib.schema import Trajectory, validate
from xlam_lib.synthesis import check_all, generate, importers, tool_of
from xlam_lib.synthesis.importers import from_callables, from_file, from_module, from_openai_tools, load
from xlam_lib.synthesis.signatures import json_value, runnable


class Size(enum.Enum):
    SMALL = "small"
    LARGE = "large"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@dataclasses.dataclass
class Spot:
    """A place.

    Args:
        x: Across.
        day: When.
    """

    x: float
    day: datetime.date = datetime.date(2026, 5, 1)
    size: Size = Size.SMALL


class Pair(NamedTuple):
    first: int
    second: int = 3


class Loose(TypedDict, total=False):
    a: Required[int]
    when: datetime.date


class Strict(TypedDict):
    a: int
    b: NotRequired[str]


@dataclasses.dataclass
class Node:
    child: Node | None = None


class Note:
    description = "A remark."


class Model:
    """What a pydantic model looks like from outside."""

    def __init__(self, x: int) -> None:
        self.x = x

    @classmethod
    def model_json_schema(cls) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {"x": {"$ref": "#/$defs/X"}},
            "required": ["x"],
            "$defs": {"X": {"type": "integer", "minimum": 1}},
        }

    @classmethod
    def model_validate(cls, value: dict[str, Any]) -> Model:
        return cls(**value)

    def model_dump(self, mode: str) -> dict[str, Any]:
        return {"x": self.x, "mode": mode}


Key = NewType("Key", str)


def _kind(hint: Any, default: Any = ...) -> dict[str, Any]:
    def f(value):
        return value

    f.__annotations__ = {"value": hint}
    if default is not ...:
        f.__defaults__ = (default,)
    schema = tool_of(f, strict=False).parameters["value"]
    del schema["required"]
    assert schema.pop("description")
    return schema


_STRING = {"type": "string"}


@pytest.mark.parametrize(
    ("hint", "schema"),
    [
        (str, _STRING),
        (Key, _STRING),
        (int | None, {"type": "integer"}),
        (int | str, {"type": ["integer", "string"]}),
        (int | float, {"type": "number"}),
        (str | list[str], {"type": ["string", "array"], "items": _STRING}),
        (Literal["a", 2, None], {"type": ["string", "integer"], "enum": ["a", 2]}),
        (Literal["a"] | Literal["b"], {"type": "string", "enum": ["a", "b"]}),
        (Size, {"type": "string", "enum": ["small", "large"]}),
        (Level, {"type": "string", "enum": ["LOW", "HIGH"]}),
        (list, {"type": "array"}),
        (set[int], {"type": "array", "items": {"type": "integer"}, "uniqueItems": True}),
        (tuple[float, float], {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}),
        (tuple[int, ...], {"type": "array", "items": {"type": "integer"}}),
        (Sequence[bool], {"type": "array", "items": {"type": "boolean"}}),
        (Iterable[str], {"type": "array", "items": _STRING}),
        (dict, {"type": "object"}),
        (Mapping[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
        (datetime.date, {"type": "string", "format": "date"}),
        (datetime.datetime, {"type": "string", "format": "date-time"}),
        (datetime.time, {"type": "string", "format": "time"}),
        (uuid.UUID, {"type": "string", "format": "uuid"}),
        (decimal.Decimal, {"type": "string", "format": "decimal"}),
        (pathlib.Path, {"type": "string", "format": "path"}),
        (Any, {}),
        (object, {}),
    ],
    ids=str,
)
def test_types_and_their_schemas(hint, schema):
    assert _kind(hint) == schema


def test_records_are_nested_objects():
    spot = _kind(Spot)["properties"]
    assert spot["x"] == {"type": "number", "description": "Across.", "required": True}
    assert spot["day"]["default"] == "2026-05-01" and spot["day"]["description"] == "When."
    assert spot["size"]["default"] == "small" and not spot["size"]["required"]
    pair = _kind(Pair)["properties"]
    assert pair["first"]["required"] and pair["second"] | {"description": ""} == {
        "type": "integer",
        "description": "",
        "required": False,
        "default": 3,
    }
    loose, strict = _kind(Loose)["properties"], _kind(Strict)["properties"]
    assert [loose[name]["required"] for name in ("a", "when")] == [True, False]
    assert [strict[name]["required"] for name in ("a", "b")] == [True, False]
    assert _kind(Model)["properties"]["x"]["minimum"] == 1


def test_annotations_describe_and_bound():
    def f(a: Annotated[int, "How many."], b: Annotated[str, Note()] = "x", c: int = 1) -> None:
        """Do it."""

    parameters = tool_of(f, strict=False).parameters
    assert [parameters[name]["description"] for name in "abc"] == ["How many.", "A remark.", "C."]

    bound = type("Bound", (), {"ge": 1, "lt": 9})()
    assert _kind(Annotated[int, bound]) == {"type": "integer", "minimum": 1, "exclusiveMaximum": 9}


@pytest.mark.parametrize(
    ("default", "hint", "shown"),
    [
        (datetime.date(2026, 1, 2), datetime.date, "2026-01-02"),
        (Size.LARGE, Size, "large"),
        (Level.HIGH, Level, "HIGH"),
        ((1, 2), tuple[int, ...], [1, 2]),
        (Spot(2.5), Spot, {"x": 2.5, "day": "2026-05-01", "size": "small"}),
        (math.inf, float, None),
        (object(), object, None),
        (None, str | None, None),
        ("odd", int, None),
    ],
)
def test_defaults_become_json_or_are_left_out(default, hint, shown):
    assert _kind(hint, default).get("default") == shown


def test_a_call_gets_the_types_it_asks_for():
    def f(
        day: datetime.date,
        at: datetime.datetime,
        size: Size,
        level: Level,
        spot: Spot,
        pair: Pair,
        loose: Loose,
        tags: set[str],
        money: dict[str, decimal.Decimal],
        model: Model,
        maybe: datetime.date | int,
        key: uuid.UUID | None = None,
    ):
        return locals()

    arguments = {
        "day": "2026-03-04",
        "at": "2026-03-04T10:00:00",
        "size": "large",
        "level": "HIGH",
        "spot": {"x": 1, "day": "2026-01-01"},
        "pair": {"first": 1},
        "loose": {"a": 1, "when": "2026-02-02"},
        "tags": ["b", "a"],
        "money": {"rent": "9.50"},
        "model": {"x": 4},
        "maybe": 7,
        "key": None,
    }
    seen: dict[str, Any] = {}

    @functools.wraps(f)
    def spy(**given):
        seen.update(given)
        return f(**given)

    result = runnable(spy)(**arguments)
    assert seen["day"] == datetime.date(2026, 3, 4) and seen["at"].hour == 10
    assert seen["size"] is Size.LARGE and seen["level"] is Level.HIGH
    assert seen["spot"] == Spot(1, datetime.date(2026, 1, 1)) and seen["pair"] == Pair(1, 3)
    assert seen["loose"]["when"] == datetime.date(2026, 2, 2) and seen["tags"] == {"a", "b"}
    assert seen["money"] == {"rent": decimal.Decimal("9.50")} and seen["model"].x == 4
    assert seen["maybe"] == 7 and seen["key"] is None
    expected = {**arguments, "spot": {**arguments["spot"], "size": "small"}, "tags": ["a", "b"]}
    assert result == expected | {"pair": {"first": 1, "second": 3}, "model": {"x": 4, "mode": "json"}}
    assert json.loads(json.dumps(result)) == result
    assert json_value({1: {2}}) == {"1": [2]}


def test_callables_of_every_sort():
    async def wait(n: int) -> int:
        """Wait."""
        import asyncio

        await asyncio.sleep(0.001)
        return sum(await asyncio.gather(wait(n - 1), wait(n - 1))) if n else 1

    class Shop:
        """Open a shop."""

        def __init__(self, name: str) -> None:
            self.name = name

        def sell(self, item: str, *, count: int = 1) -> str:
            """Sell an item.

            item: What.
            count: How many.
            """
            return f"{self.name}: {count} {item}"

        def __call__(self, item: str) -> str:
            """Order an item."""
            return item

    shop = Shop("x")
    assert runnable(wait)(n=2) == 4
    assert tool_of(shop.sell).name == "sell" and list(tool_of(shop.sell).parameters) == ["item", "count"]
    assert runnable(shop.sell)(item="egg", count=2) == "x: 2 egg"
    fixed = functools.partial(shop.sell, count=4)
    assert list(tool_of(fixed).parameters) == ["item"] and runnable(fixed)(item="egg") == "x: 4 egg"
    assert tool_of(fixed).description == "Sell an item."
    assert tool_of(shop, "order", strict=False).description == "Order an item."
    assert list(tool_of(Shop, strict=False).parameters) == ["name"]


def _styles() -> list[str]:
    google = """Do it now.

    Longer words.

    Args:
        a (int): First.
            Still first.
        b: Second.

    Returns:
        Nothing.
    """
    numpy = """Do it now.

    Parameters
    ----------
    a : int
        First.
        Still first.
    b
        Second.
    """
    sphinx = """Do it now.
    :param a: First.
        Still first.
    :type a: int
    :param b: Second.
    :raises ValueError: never
    """
    epydoc = """Do it now.

    @param a: First.
        Still first.
    @param b: Second.
    """
    plain = """Do it now.

    a: First.
        Still first.
    b: Second.
    """
    return [google, numpy, sphinx, epydoc, plain]


@pytest.mark.parametrize("text", _styles(), ids=["google", "numpy", "sphinx", "epydoc", "plain"])
def test_docstrings_of_every_style(text):
    def f(a: int, b: int) -> None: ...

    f.__doc__ = text
    tool = tool_of(f)
    assert tool.description == "Do it now."
    assert [schema["description"] for schema in tool.parameters.values()] == [
        "First. Still first.",
        "Second.",
    ]


def test_signatures_that_cannot_be_taken_say_why():
    def positional(a: int, /): ...

    def several(*values: int): ...

    def untyped(a): ...

    def unknown(a: complex): ...

    def mixed(a: tuple[int, str]): ...

    def structures(a: Spot | Pair): ...

    def recursive(a: Node): ...

    def keyed(a: dict[int, str]): ...

    def lost(a: Elsewhere): ...  # noqa: F821 # type: ignore[name-defined]

    for call, reason in (
        (positional, "positional-only"),
        (several, "any number of values"),
        (untyped, "has no type"),
        (unknown, "no counterpart"),
        (mixed, "tuple of different types"),
        (structures, "choice between structures"),
        (recursive, "contains itself"),
        (keyed, "keys of type integer"),
        (lost, "Elsewhere"),
    ):
        with pytest.raises(SchemaError, match=reason):
            tool_of(call, strict=False)

    def bare(how_many: int, **rest: int): ...

    with pytest.raises(SchemaError, match="no description"):
        tool_of(bare)
    loose = tool_of(bare, strict=False)
    assert loose.parameters["how_many"]["description"] == "How many." and list(loose.parameters) == [
        "how_many"
    ]
    assert loose.description == "Bare."


@pytest.fixture(scope="module")
def garden(root) -> pathlib.Path:
    return root / "xlam_lib" / "samples" / "apis" / "garden.py"


def test_a_module_is_taken_in_source_order(garden):
    registry = load(garden)
    assert list(registry.functions) == [
        "count_plants", "harvest_date", "find_companions", "compute_watering", "rent_plot",
        "summarize_harvest", "average_temperature", "order_seeds",
    ]  # fmt: skip
    assert registry.skipped == {} and registry.source == f"{garden}:" and registry.executable
    tools = [function.tool for function in registry.functions.values()]
    assert list(validate(Trajectory("x/1", "x", tools=tools, query="q"))) == []
    texts = [s["description"] for tool in tools for s in tool.parameters.values()]
    assert "Day of sowing." in texts and "Most neighbours to return." in texts and "Kind of soil." in texts
    assert all(len(function.asks) >= 8 and function.missing for function in registry.functions.values())


def test_a_users_file_gives_verified_data(garden):
    """The whole way, with worker processes that import the file."""
    registry = from_file(garden)
    samples = list(generate(150, registry=registry, seed=0))
    ended: Counter[str] = Counter()
    with registry.open() as pool:
        for _, fault, record in check_all(samples, pool):
            ended[fault.stage if fault else "verified"] += 1
            assert fault is None or fault.stage in ("execution", "duplicate"), fault
            assert fault is not None or record is not None
    assert ended["verified"] >= 140, ended


_MODULE = '''
"""Tools."""
from __future__ import annotations
import enum
from dataclasses import dataclass
from functools import lru_cache, partial
from math import sqrt
from typing import NewType
import neighbour
from neighbour import helper

Id = NewType("Id", str)

@dataclass
class Thing:
    """A thing."""
    size: int

def measure(thing: Thing, label: Id) -> int:
    """Measure a thing."""
    return thing.size + neighbour.EXTRA

@lru_cache
def double(number: int) -> int:
    """Double a number."""
    return 2 * number

triple = partial(measure, label="x")

def broken(anything) -> None:
    """Do anything."""

def stream(count: int):
    """Count up."""
    yield from range(count)

def _hidden(a: int) -> int:
    return a
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "neighbour.py").write_text("EXTRA = 5\ndef helper(a: int) -> int:\n    return a\n")
    (tmp_path / "handiwork.py").write_text(_MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    import sys

    for name in ("neighbour", "handiwork", "boxed", "boxed.tools", "mine"):
        sys.modules.pop(name, None)


def test_what_cannot_be_taken_is_reported(folder):
    registry = from_file(folder / "handiwork.py")
    assert list(registry.functions) == ["measure", "double", "triple"]
    assert set(registry.skipped) == {"broken", "stream"} and "has no type" in registry.skipped["broken"]
    with registry.open() as pool:
        answers = pool.run([("measure", {"thing": {"size": 2}, "label": "a"}), ("double", {"number": 4})])
    assert [answer.ok for answer in answers] == [7, 8], answers


def test_all_says_what_is_public(folder):
    with (folder / "handiwork.py").open("a") as file:
        file.write("\n__all__ = ['helper', 'double']\n")
    assert list(from_file(folder / "handiwork.py").functions) == ["helper", "double"]


def test_modules_of_packages_and_single_functions(folder):
    (folder / "boxed").mkdir()
    (folder / "boxed" / "__init__.py").write_text("FACTOR = 3\n")
    (folder / "boxed" / "tools.py").write_text(
        "from . import FACTOR\n"
        'def scale(number: int) -> int:\n    """Scale a number."""\n    return FACTOR * number\n'
        'def shrink(number: int) -> float:\n    """Shrink a number."""\n    return number / FACTOR\n'
    )
    registry = load("boxed.tools")
    with registry.open() as pool:
        assert [answer.ok for answer in pool.run([("scale", {"number": 2})])] == [6]
    import boxed.tools  # type: ignore[import-not-found]

    part = from_callables([boxed.tools.shrink])
    assert list(part.functions) == ["shrink"]
    with part.open() as pool:
        assert pool.run([("shrink", {"number": 6})])[0].ok == 2
    with pytest.raises(SchemaError, match="2 modules"):
        from_callables([boxed.tools.shrink, len])
    inner = lambda number: number  # noqa: E731
    inner.__module__ = "boxed.tools"
    assert "no public function" in from_callables([boxed.tools.scale, inner]).skipped["<lambda>"]


def test_a_registry_of_ones_own_is_used_as_it_is(folder):
    (folder / "mine.py").write_text(
        "from xlam_lib.synthesis import Registry\n"
        "from xlam_lib.synthesis.values import one\n"
        "REG = Registry()\n"
        "@REG.api('Tools', slots={'city': one(['Oslo'])}, asks=['Greet {city}'])\n"
        "def greet(city: str) -> str:\n"
        '    """Greet a city.\n\n    city: City.\n    """\n'
        "    return 'hi ' + city\n"
        "@REG.api('Tools')\n"
        "def leave(city: str) -> str:\n"
        '    """Leave a city.\n\n    city: City.\n    """\n'
        "    return 'bye ' + city\n"
    )
    registry = load(folder / "mine.py")
    assert [template.source for template in registry.functions["greet"].asks] == ["Greet {city}"]
    assert len(registry.functions["leave"].asks) >= 8
    with registry.open() as pool:
        assert [a.ok for a in pool.run([("leave", {"city": "Oslo"})])] == ["bye Oslo"]
    assert load(f"{folder / 'mine.py'}:REG").functions.keys() == registry.functions.keys()
    with (folder / "mine.py").open("a") as file:
        file.write("OTHER = Registry()\n")
    with pytest.raises(SchemaError, match="REG"):
        load(folder / "mine.py")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import does_not_exist_at_all", "does_not_exist"),
        ("raise SystemExit(3)", "SystemExit"),
        ("x = (", "Syntax"),
    ],
)
def test_a_file_that_cannot_be_imported(tmp_path, text, reason):
    (tmp_path / "bad.py").write_text(text)
    with pytest.raises(SchemaError, match=reason):
        from_file(tmp_path / "bad.py")
    (tmp_path / "bad.py").write_text("def _f(): ...")
    with pytest.raises(SchemaError, match="offers no function"):
        from_file(tmp_path / "bad.py")


_TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "find_ferry",
            "description": "Find a ferry between two harbours.",
            "parameters": {
                "type": "object",
                "properties": {
                    "origin": {"type": "string"},
                    "day": {"$ref": "#/$defs/day"},
                    "class": {"type": "string", "enum": ["deck", "cabin"]},
                },
                "required": ["origin", "day"],
                "$defs": {"day": {"type": "string", "format": "date"}},
            },
        },
    },
    {"name": "count_gulls", "parameters": {"type": "object", "properties": {"harbour": {"type": "string"}}}},
]


def test_tools_without_code_are_a_library_that_is_not_executed(tmp_path):
    node = {"$ref": "#/$defs/n"}
    recursive = {
        "name": "walk",
        "parameters": {
            "type": "object",
            "properties": {"node": node},
            "required": ["node"],
            "$defs": {"n": {"type": "object", "properties": {"next": node}}},
        },
    }
    odd = {"name": "odd", "parameters": {"properties": {"a": {"type": "array", "items": 3, "required": "x"}}}}
    registry = from_openai_tools([*_TOOLS, recursive, {"description": "?"}, _TOOLS[1], "text", odd])
    assert list(registry.functions) == ["find_ferry", "count_gulls", "odd"] and not registry.executable
    assert set(registry.skipped) == {"tools[2]", "tools[3]", "tools[4]", "tools[5]"}
    assert "contains itself" in registry.skipped["tools[2]"] and "taken" in registry.skipped["tools[4]"]
    for content in (_TOOLS, {"tools": _TOOLS}):
        for path, text in (("t.json", json.dumps(content)), ("t.yaml", json.dumps(content))):
            (tmp_path / path).write_text(text)
            assert list(load(tmp_path / path).functions) == ["find_ferry", "count_gulls"]
    samples = list(generate(40, registry=registry, seed=1))
    assert {name for sample in samples for name in sample.expected} >= {"find_ferry", "count_gulls"}


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("what is this?", "not recognised"),
        ("gone.py", "no such Python file"),
        ("gone.json", "cannot be read"),
        ("no.such.module_at_all", "cannot be imported"),
    ],
)
def test_other_sources_are_refused_with_what_is_recognised(source, reason):
    with pytest.raises(SchemaError, match=reason):
        load(source)


def test_documents_and_servers_go_to_their_importers(tmp_path, monkeypatch):
    path = tmp_path / "api.yaml"
    path.write_text("openapi: 3.0.0\npaths: {}\n")
    asked = []

    class Stand:
        @staticmethod
        def from_openapi(document, **options):
            asked.append((document, options))
            return importers.Registry(name="o")

        @staticmethod
        def from_mcp(server, **options):
            asked.append((server, options))
            return importers.Registry(name="m")

    monkeypatch.setattr(importers.importlib, "import_module", lambda name: Stand)
    load(path, unsafe=True)
    load("mcp:python -m 'my server'")
    load("mcp+https://example.com/mcp", unsafe=True)
    assert asked == [
        (path, {"unsafe": True}),
        (["python", "-m", "my server"], {}),
        ("https://example.com/mcp", {"unsafe": True}),
    ]
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(SchemaError, match="neither tools nor"):
        load(tmp_path / "x.json")
    with pytest.raises(SchemaError, match="unsafe"):
        load("json", unsafe=True)


def test_modules_by_name():
    registry = from_module("xlam_lib.samples.apis.garden")
    with registry.open() as pool:
        answer = pool.run([("harvest_date", {"vegetable": "radish", "sown_on": "2026-04-01"})])[0]
    assert answer.ok == "2026-04-29", answer
