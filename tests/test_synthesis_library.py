"""The API library: derived tools, templates that agree with them, functions that run."""

from __future__ import annotations

import random
from typing import Literal, NotRequired, TypedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlam_lib.errors import SchemaError
from xlam_lib.schema import Trajectory, validate
from xlam_lib.synthesis import CATEGORIES, FUNCTIONS, TOOLS, Registry, tool_of
from xlam_lib.synthesis.grammar import parse, render, text_of
from xlam_lib.synthesis.registry import REPORT_CATEGORIES, arguments_fault
from xlam_lib.synthesis.values import clock, date, fraction, items, one, percent, whole


class _Spot(TypedDict):
    """A spot.

    x: Across.
    note: What is there.
    """

    x: float
    note: NotRequired[str]


def _example(
    spot: _Spot,
    tags: list[str],
    kind: Literal["a", "b"] = "a",
    count: int = 3,
    extra: dict[str, float] | None = None,
    on: bool = True,
) -> None:
    """Do something
    to a spot.

    spot: The spot.
    tags: Labels, which may
        run over two lines.
    kind: The kind.
    count: How many.
    extra: Figures by name.
    on: Whether it is on.
    """


def test_a_tool_is_derived_from_signature_and_docstring():
    tool = tool_of(_example, "pkg.example")
    assert (tool.name, tool.description) == ("pkg.example", "Do something to a spot.")
    p = tool.parameters
    assert p["spot"] == {
        "type": "object",
        "properties": {
            "x": {"type": "number", "description": "Across.", "required": True},
            "note": {"type": "string", "description": "What is there.", "required": False},
        },
        "description": "The spot.",
        "required": True,
    }
    assert p["tags"] == {
        "type": "array",
        "items": {"type": "string"},
        "description": "Labels, which may run over two lines.",
        "required": True,
    }
    assert p["kind"]["enum"] == ["a", "b"] and p["kind"]["default"] == "a" and not p["kind"]["required"]
    assert p["count"]["type"] == "integer" and p["on"] == {
        "type": "boolean",
        "description": "Whether it is on.",
        "required": False,
        "default": True,
    }
    assert p["extra"]["additionalProperties"] == {"type": "number"} and "default" not in p["extra"]


def test_library_is_broad_and_valid():
    assert len(FUNCTIONS) >= 134  # as many as APIGen
    assert set(CATEGORIES) == set(REPORT_CATEGORIES)
    assert list(validate(Trajectory("x/1", "x", tools=list(TOOLS.values()), query="q"))) == []
    kinds = {s.get("type") for tool in TOOLS.values() for s in tool.parameters.values()}
    assert kinds == {"string", "integer", "number", "boolean", "array", "object"}
    assert any("." in name for name in TOOLS) and any(name != name.lower() for name in TOOLS)
    for function in FUNCTIONS.values():
        assert len(function.asks) >= 5 and function.missing, function.name
        assert len({template.source for template in function.asks}) == len(function.asks)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_template_gives_valid_arguments_that_run(name):
    function = FUNCTIONS[name]
    for number, template in enumerate(function.asks):
        for repeats in (1, 2) if template.repeatable else (1,):
            rng = random.Random(f"{name}/{number}/{repeats}")
            done = render(template, function.draws, function.joint, rng, repeats=repeats)
            text = text_of(done.pieces)
            assert "  " not in text, text
            for said in done.calls:
                arguments = {key: value for key, (value, _) in said.items()}
                assert arguments_fault(arguments, function.tool.parameters, name) is None
                assert all(words in text for _, words in said.values())
                assert function.call(**arguments) == function.call(**arguments)
    if function.bad:
        with pytest.raises((ValueError, ArithmeticError, LookupError)):
            said = render(function.asks[0], function.draws, function.joint, random.Random(1)).calls[0]
            function.call(
                **{key: value for key, (value, _) in said.items()} | {function.bad[0]: function.bad[1]}
            )


def test_repeated_part_lists_calls_and_shares_the_rest():
    template = parse("Weather in <{city}>[ in {unit}]?")
    draws = {"city": one(["Oslo", "Rome", "Lima"]), "unit": one([("c", "Celsius")])}
    done = render(template, draws, {}, random.Random(1), repeats=3, chance=1.0)
    assert sorted(call["city"][0] for call in done.calls) == ["Lima", "Oslo", "Rome"]
    assert all(call["unit"] == ("c", "Celsius") for call in done.calls)
    assert text_of(done.pieces).endswith(" in Celsius?")
    assert len(render(template, draws, {}, random.Random(1), repeats=9).calls) == 3


@pytest.mark.parametrize("source", ["a [b", "a ]", "<{x}> <{y}>", "[<a]>"])
def test_broken_templates_are_named(source):
    with pytest.raises(SchemaError, match="template"):
        parse(source)


def test_registration_refuses_what_does_not_fit():
    def f(city: str, days: int = 1) -> str:
        """Do it.

        city: City.
        days: Days.
        """
        return city

    slots = {"city": one(["Oslo"])}
    for asks, missing, fault in (
        (["go[ to {city}]"], [], "lacks"),
        (["{city} for {days}"], [], "without values"),
        ([], ["only {city}"], "should leave"),
    ):
        with pytest.raises(SchemaError, match=fault):
            Registry().api("Travel", slots=slots, asks=asks, missing=missing)(f)
    registry = Registry()
    registry.api("Travel", slots=slots, asks=["{city}"])(f)
    with pytest.raises(SchemaError, match="taken"):
        registry.api("Travel")(f)


@settings(max_examples=60, deadline=None)
@given(st.integers())
def test_texts_and_values_agree(seed):
    rng = random.Random(seed)
    value, text = percent(0.5, 40, 0.25)(rng)
    assert float(text.replace("percent", "").rstrip("% ")) == value
    share, text = fraction(1, 60, 0.5)(rng)
    shown = float(text.replace("percent", "").rstrip("% "))
    assert share == (round(shown / 100, 6) if "%" in text or "percent" in text else shown)
    number, text = whole(13, 90_000)(rng)
    assert int(text.replace(",", "")) == number
    day, text = date()(rng)
    assert day[:4] in text and str(int(day[8:])) in text
    moment, text = clock()(rng)
    assert (int(moment[:2]) - 1) % 12 + 1 == int(
        "".join(c for c in text.split(":")[0] if c.isdigit())
    ) or text == moment
    numbers, text = items(whole(13, 5000, words=False), 2, 5)(rng)
    assert [int(part) for part in text.strip("[]").replace(" and ", ", ").split(", ")] == numbers
