"""Draws and query templates derived from a tool alone."""

from __future__ import annotations

import random

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlam_lib.schema import Tool, flat_parameters, parameters_schema
from xlam_lib.synthesis import Function, Registry, format_check, generate, semantic_check
from xlam_lib.synthesis.auto import complete, obstacle, report_obstacles
from xlam_lib.synthesis.grammar import parse, render, text_of
from xlam_lib.synthesis.registry import arguments_fault
from xlam_lib.synthesis.values import one


def _function(name: str, description: str, properties: dict, required: list[str] | None = None) -> Function:
    wanted = list(properties) if required is None else required
    flat = flat_parameters({"properties": properties, "required": wanted})
    return complete(Function(name, "Tools", Tool(name, description, flat)))


def _rendered(function: Function, seed: int = 0, chance: float = 0.5) -> list[tuple[str, dict, dict]]:
    """Text, arguments and texts of each call that the templates give."""
    result = []
    for number, template in enumerate(function.asks):
        for repeats in (1, 2) if template.repeatable else (1,):
            rng = random.Random(f"{seed}/{number}/{repeats}")
            done = render(template, function.draws, function.joint, rng, repeats=repeats, chance=chance)
            for call in done.calls:
                values = {name: value for name, (value, _) in call.items()}
                texts = {name: text for name, (_, text) in call.items()}
                result.append((text_of(done.pieces), values, texts))
    return result


_names = st.sampled_from(
    "city start_date end_date n limit price user_email tags q title order_id is_open include_tax min_age "
    "max_age x flags latitude note language country_code point to from_city percent".split()
)
_number_bounds = st.fixed_dictionaries(
    {},
    optional={
        "minimum": st.integers(-50, 50),
        "maximum": st.integers(60, 500),
        "multipleOf": st.sampled_from((1, 2, 5, 0.5, 0.25)),
    },
)
_scalars = st.one_of(
    st.builds(
        lambda kind, more: {"type": kind, **more}, st.sampled_from(("integer", "number")), _number_bounds
    ),
    st.just({"type": "boolean"}),
    st.builds(
        lambda more: {"type": "string", **more},
        st.fixed_dictionaries(
            {}, optional={"minLength": st.integers(0, 30), "maxLength": st.integers(30, 60)}
        ),
    ),
    st.sampled_from(("date", "date-time", "time", "email", "uri", "uuid", "ipv4", "made-up")).map(
        lambda form: {"type": "string", "format": form}
    ),
    st.sampled_from(
        (r"^[A-Z]{2}\d{3,5}$", r"^(red|green|blue)$", r"[a-f]+", r"^\d{4}-\d{2}$", r"^\w+\.\w{2}$")
    ).map(lambda pattern: {"type": "string", "pattern": pattern}),
    st.lists(st.sampled_from(("a", "B", "in_use", "two words", "x.y")), min_size=1, unique=True).map(
        lambda values: {"type": "string", "enum": values}
    ),
    st.lists(st.integers(-3, 9), min_size=1, unique=True).map(
        lambda values: {"type": "integer", "enum": values}
    ),
    st.sampled_from(({"const": "fixed"}, {"type": "integer", "const": 4})),
    st.just({"type": ["string", "null"]}),
    st.just({"anyOf": [{"type": "integer", "minimum": 3}, {"type": "null"}]}),
)
_schemas = st.recursive(
    _scalars,
    lambda inner: st.one_of(
        st.builds(
            lambda items, low, more, unique: {
                "type": "array",
                "items": items,
                "minItems": low,
                "maxItems": low + more,
                "uniqueItems": unique,
            },
            inner,
            st.integers(0, 3),
            st.integers(1, 3),
            st.booleans(),
        ),
        st.builds(
            lambda properties, required: {
                "type": "object",
                "properties": properties,
                "required": [name for name in properties if name in required],
            },
            st.dictionaries(_names, inner, min_size=1, max_size=3),
            st.sets(_names),
        ),
        st.builds(lambda values: {"type": "object", "additionalProperties": values}, _scalars),
    ),
    max_leaves=4,
)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(_names, _schemas, min_size=1, max_size=4), st.sets(_names), st.integers(0, 99))
def test_drawn_values_are_valid_and_said(properties, required, seed):
    wanted = [name for name in properties if name in required]
    function = _function("do_it", "Do something with a thing.", properties, wanted)
    parameters = function.tool.parameters
    if not function.asks:
        assert "no value can be drawn for" in obstacle(function)
        return
    assert len(function.asks) >= 8 or not wanted
    Registry().add(function)  # templates fit the parameters
    schema = {**parameters_schema(parameters), "additionalProperties": False}
    for text, values, texts in _rendered(function, seed):
        jsonschema.validate(values, schema)
        assert arguments_fault(values, parameters, "do_it") is None
        assert all(said in text for said in texts.values())
        assert not set("\1\2<>") & set(text.replace("<", "", sum(t.count("<") for t in texts.values())))


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "minLength": 9, "maxLength": 3},
        {"type": "integer", "minimum": 5, "maximum": 4},
        {"type": "integer", "enum": []},
        {"type": "array", "items": {"type": "integer"}, "maxItems": 0},
        {"type": "object", "properties": {}},
        {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
        {"$ref": "#/$defs/node"},
        {"type": "string", "pattern": "(?=never)(?!simple)"},
        {"type": "string", "pattern": "["},
    ],
)
def test_what_cannot_be_drawn_is_told_and_no_query_asks_for_it(schema):
    function = _function("f", "Do it.", {"odd": schema})
    assert not function.asks and "odd" in obstacle(function)
    registry = Registry(name="x")
    registry.add(function)
    registry.add(_function("g", "Do more.", {"city": {"type": "string"}, "odd": schema}, ["city"]))
    assert set(report_obstacles(registry).skipped) == {"f"}
    assert "odd" not in registry.functions["g"].draws and registry.functions["g"].asks


def test_names_formats_and_descriptions_say_what_is_drawn():
    function = _function(
        "plan",
        "Plan it.",
        {
            "city": {"type": "string"},
            "start_date": {"type": "string", "format": "date"},
            "end_date": {"type": "string", "format": "date"},
            "day": {"type": "string", "description": "Day as DD/MM/YYYY"},
            "genre": {"type": "string", "description": "One of 'jazz', 'folk' or 'rock'."},
            "min_price": {"type": "number"},
            "max_price": {"type": "number"},
            "to": {"type": "string", "description": "Email address of the recipient"},
            "page": {"type": "integer", "minimum": 1},
        },
    )
    for text, values, _ in _rendered(function):
        assert values["start_date"] < values["end_date"] and values["min_price"] < values["max_price"], text
        assert values["genre"] in ("jazz", "folk", "rock") and "@" in values["to"] and values["page"] < 10
        day, month, year = values["day"].split("/")
        assert int(day) <= 31 and int(month) <= 12 and len(year) == 4
        assert values["city"].istitle() and values["day"] in text


def test_a_booleans_words_tell_its_value():
    names = (
        "include_tax",
        "is_open",
        "organic",
        "with_photos",
        "notifications",
        "exclude_spam",
        "hasParking",
    )
    function = _function("f", "Find things.", {name: {"type": "boolean"} for name in names}, [])
    for name in names:
        rng = random.Random(1)
        drawn = {function.draws[name](rng) for _ in range(40)}
        assert len(drawn) == 2 and len({text for _, text in drawn}) == 2
    texts = {
        value: text for value, text in (function.draws["include_tax"](random.Random(i)) for i in range(9))
    }
    assert texts == {True: "with tax", False: "without tax"}


@pytest.mark.parametrize(
    ("name", "description", "start"),
    [
        ("get_weather", "Get the weather forecast for a city.", "Get the weather forecast for {city}"),
        ("weather", "Returns the current weather in the given city", "Get the current weather in {city}"),
        ("w", "This function fetches and returns rain for a given city.", "Fetch and return rain for {city}"),
        ("weather_api", "Weather service", "Use the weather service, with the city {city}"),
        ("get_weather", "", "Get the weather, with the city {city}"),
        ("get_weather", "Obtiene el clima de una ciudad.", "Get the weather, with the city {city}"),
        ("getWeather", "获取城市天气", "Get the weather, with the city {city}"),
        ("w", "# Rain\n\nFinds the **rain** of a `city`. See [docs](http://a.b).", "Find the rain of {city}"),
        ("w", "Allows you to check the rain (live) for a city <b>{now}</b>", "Check the rain for {city}"),
    ],
)  # fmt: skip
def test_requests_are_made_of_the_description(name, description, start):
    function = _function(name, description, {"city": {"type": "string", "description": "City."}})
    first = function.asks[0].source.replace("<", "").replace(">", "")
    assert first.startswith(start), first
    assert all(template.certain == {"city"} for template in function.asks)
    assert all(not template.slots for template in function.missing) and function.missing
    assert any(template.repeatable for template in function.asks)


def test_long_descriptions_are_cut_at_a_clause():
    long = (
        "Calculate the "
        + "very " * 40
        + "long sum of all numbers that anybody could ever think of, and more."
    )
    function = _function("total", long, {"n": {"type": "integer"}})
    assert all(len(template.source) < 200 for template in function.asks)


def test_what_is_written_by_hand_stays():
    tool = Tool("f", "Find a city.", {"city": {"type": "string", "required": True}, "n": {"type": "integer"}})
    draw = one(["Oslo"])
    written = Function("f", "Tools", tool, draws={"city": draw}, asks=(parse("Find {city}"),))
    assert complete(written).asks == written.asks and complete(written).draws == {"city": draw}
    half = complete(Function("f", "Tools", tool, draws={"city": draw}))
    assert half.draws["city"] is draw and "n" in half.draws and len(half.asks) >= 8
    assert half.tool.parameters["city"]["description"] == ""  # other stages read it
    told = complete(Function("f", "Tools", tool), examples={"city": ["Bree", "Dale"]})
    assert {values["city"] for _, values, _ in _rendered(told)} == {"Bree", "Dale"}


def test_completing_is_deterministic():
    first, second = (
        _function("f", "Find flights.", {"origin": {"type": "string"}, "destination": {"type": "string"}})
        for _ in range(2)
    )
    assert [t.source for t in first.asks] == [t.source for t in second.asks]
    assert _rendered(first, 3) == _rendered(second, 3)


def test_the_sampler_takes_completed_functions():
    registry = Registry(name="mine", executable=False)
    registry.add(_function("get_weather", "Get the weather for a city.", {"city": {"type": "string"}}))
    registry.add(_function("convert", "Convert an amount of money.", {"amount": {"type": "number"}}))
    properties = {"days": {"type": "integer"}, "gps": {"type": "boolean"}}
    registry.add(_function("rent_car", "Rent a car.", properties, ["days"]))
    samples = list(generate(120, registry=registry, seed=2, noise=0))
    assert {sample.style for sample in samples} >= {"simple", "multiple", "parallel", "irrelevant"}
    for sample in samples:
        assert format_check(sample) is None and semantic_check(sample) is None, sample.query
