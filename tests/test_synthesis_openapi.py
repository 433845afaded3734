"""An OpenAPI document as a library: each operation is imported or named with a reason; the sample serves."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import xlam_lib
from xlam_lib.errors import ArtifactError, ProfileError, SchemaError, XlamError
from xlam_lib.samples.apis.library_server import serve
from xlam_lib.schema import Trajectory, validate
from xlam_lib.synthesis import check_all, generate
from xlam_lib.synthesis.importers.openapi import from_openapi
from xlam_lib.synthesis.importers.schemas import Schemas, Unsupported, legal_name
from xlam_lib.synthesis.rest import Key, Place

SAMPLE = Path(xlam_lib.__file__).parent / "samples" / "apis" / "library.yaml"
DOCUMENT = yaml.safe_load(SAMPLE.read_text("utf-8"))
URL = "http://127.0.0.1:1/api"


def document(paths: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"openapi": "3.0.3", "info": {"title": "T", "version": "1"}, "paths": paths, **more}


def get(**described: Any) -> dict[str, Any]:
    """A document with one operation, ``GET /things``."""
    components = described.pop("components", {})
    return document({"/things": {"get": {"operationId": "f", **described}}}, components=components)


def query(schema: Any, **more: Any) -> dict[str, Any]:
    components = more.pop("components", {})
    return get(parameters=[{"name": "x", "in": "query", "schema": schema, **more}], components=components)


def parameters(described: dict[str, Any], **settings: Any) -> dict[str, dict[str, Any]]:
    registry = from_openapi(described, base_url=URL, **settings)
    assert not registry.skipped
    (function,) = registry.functions.values()
    found = function.tool.parameters.items()
    return {name: {key: value for key, value in schema.items() if value != ""} for name, schema in found}


def reason(described: dict[str, Any], **settings: Any) -> str:
    registry = from_openapi(described, base_url=URL, **settings)
    assert not registry.functions
    (told,) = registry.skipped.values()
    return told


@pytest.fixture(scope="module")
def library():
    with serve() as url:
        yield from_openapi(SAMPLE, base_url=url, unsafe=True)


def test_the_sample_is_imported_whole(library):
    assert library.name == "Alderbrook Town Library"
    assert library.skipped == {"GET /catalogue": "it is deprecated"}
    assert len(library.functions) == 10
    tools = [function.tool for function in library.functions.values()]
    assert not list(validate(Trajectory("a/1", "a", tools=tools, query="q")))
    assert library.functions["listEvents"].category == "Entertainment"
    reserve = library.functions["reserveBook"].tool.parameters
    assert list(reserve) == ["branch", "until", "isbn", "contact", "note"]
    assert [name for name, schema in reserve.items() if schema["required"]] == list(reserve)[:4]
    assert reserve["contact"]["properties"]["name"]["required"] is True
    assert reserve["until"]["format"] == "date" and reserve["note"]["type"] == ["string", "null"]
    languages = library.functions["searchBooks"].tool.parameters["language"]
    assert languages["items"] == {"type": "string", "enum": ["english", "french", "german", "spanish"]}
    assert "X_Card_Number" in library.functions["listLoans"].tool.parameters


def test_without_unsafe_only_reading_operations_are_imported():
    registry = from_openapi(SAMPLE)  # with the document's own address
    assert set(registry.skipped) == {"POST /reservations", "DELETE /reservations/{number}", "GET /catalogue"}
    assert "unsafe=True" in registry.skipped["POST /reservations"]
    with registry.open() as pool:
        assert pool.base_url == "http://127.0.0.1:8765/v1"  # type: ignore[attr-defined]


def test_the_sample_answers_and_refuses(library):
    calls: list[tuple[str, dict[str, Any]]] = [
        ("searchBooks", {"genre": "novel", "language": ["german", "french"], "limit": 2}),
        ("listBooksByAuthor", {"author": "Zofia Żeleńska", "order": "year"}),
        ("findRooms", {"branch": "Old Mill", "seats": 4, "equipment": ["projector", "whiteboard"]}),
        ("listLoans", {"X_Card_Number": "AL-20871", "overdue": True}),
        ("estimateFine", {"days": 10, "books": 2, "daily_rate": 0.5}),
        (
            "reserveBook",
            {"branch": "Central", "until": "2026-05-01", "isbn": "9780000001016", "contact": {"name": "A"}},
        ),
        ("cancelReservation", {"number": "R-1"}),
        ("getBook", {"isbn": "123"}),
        ("findRooms", {"branch": "Central", "seats": 99}),
        ("openingHours", {"branch": "Central", "day": "tomorrow"}),
        ("openingHours", {"branch": "Nowhere", "day": "2026-05-01"}),
        ("getBook", {"isbn": "../events"}),
    ]
    with library.open() as pool:
        outcomes = pool.run(calls)
    assert [outcome.error for outcome in outcomes] == [""] * 7 + ["HTTP client error"] * 3 + [
        "value outside the enum",
        "argument cannot be sent",
    ]
    assert {book["language"] for book in outcomes[0].ok} <= {"german", "french"} and len(outcomes[0].ok) == 2
    assert outcomes[1].ok == sorted(outcomes[1].ok, key=lambda book: book["published"])
    assert outcomes[4].ok == {"amount": 10.0, "currency": "USD"}
    assert outcomes[5].ok["title"] == "The Quiet Harbour" and outcomes[6].ok["cancelled"] is True
    assert "404" in outcomes[7].detail and "422" in outcomes[8].detail and "400" in outcomes[9].detail


def test_samples_of_the_library_are_verified(library):
    with library.open() as pool:
        results = list(check_all(generate(200, registry=library), pool))
    good = [record for _, fault, record in results if fault is None]
    assert len(results) == 200 and len(good) >= 180, [fault for _, fault, _ in results if fault]
    called = {call.name for record in good if record for step in record.steps for call in step.tool_calls}
    assert called == set(library.functions)


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "integer", "minimum": 1, "default": 3}, {"type": "integer", "minimum": 1, "default": 3}),
        (
            {"type": "number", "minimum": 0, "exclusiveMinimum": True},
            {"type": "number", "exclusiveMinimum": 0},
        ),
        ({"type": "string", "nullable": True, "enum": ["a", None]}, {"type": "string", "enum": ["a"]}),
        ({"const": 4}, {"type": "integer", "enum": [4]}),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, {"type": "string"}),
        (
            {"oneOf": [{"type": "integer"}, {"type": "string", "enum": ["all"]}]},
            {"type": ["integer", "string"]},
        ),
        ({"oneOf": [{"enum": ["a"]}, {"enum": ["b"]}]}, {"type": "string", "enum": ["a", "b"]}),
        (
            {"allOf": [{"type": "string", "maxLength": 9}, {"maxLength": 5, "enum": ["a", "b"]}]},
            {"type": "string", "maxLength": 5, "enum": ["a", "b"]},
        ),
        (
            {"allOf": [{"type": "number"}, {"type": "integer"}], "description": "d\n e"},
            {"type": "integer", "description": "d e"},
        ),
        (
            {"$ref": "#/components/schemas/A~1B", "description": "own"},
            {"type": "boolean", "description": "own"},
        ),
    ],
)
def test_schemas_are_made_plain(schema, expected):
    described = query(schema, components={"schemas": {"A/B": {"type": "boolean", "description": "theirs"}}})
    assert parameters(described)["x"] == {**expected, "required": False}


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"$ref": "https://example.org/a.json"}, "remote"),
        ({"$ref": "other.yaml#/A"}, "remote"),
        ({"$ref": "#/components/schemas/None"}, "points at nothing"),
        ({"$ref": "#/components/schemas/Loop"}, "contains itself"),
        ({"$ref": "#/components/schemas/Self"}, "contains itself"),
        ({"$ref": "#/components/schemas/Wide0"}, "unfolds"),
        ({"oneOf": [{"type": "object", "properties": {}}, {"type": "string"}]}, "choice"),
        ({"allOf": [{"type": "string"}, {"type": "integer"}]}, "at once"),
        ({"not": {"type": "string"}}, "'not'"),
        ({"type": "file"}, "'file'"),
        ({"type": "object"}, "object in the query"),
        ({"type": "array", "items": {"type": "array", "items": {"type": "string"}}}, "nested"),
        ({"type": "string", "enum": "abc"}, "not a list"),
        ("string", "which is none"),
    ],
)
def test_what_a_tool_cannot_say_is_skipped_with_the_reason(schema, told):
    wide = {
        f"Wide{n}": {
            "type": "object",
            "properties": {k: {"$ref": f"#/components/schemas/Wide{n + 1}"} for k in "abcdefgh"},
        }
        for n in range(20)
    }
    loop = {"type": "object", "properties": {"next": {"$ref": "#/components/schemas/Loop"}}}
    components = {"schemas": {"Loop": loop, "Self": {"$ref": "#/components/schemas/Self"}, **wide}}
    assert told in reason(query(schema, components=components))


def test_parameters_come_from_path_and_operation_and_keys_stay_ours():
    described = document(
        {
            "/a/{id}": {
                "parameters": [
                    {"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}},
                    {"name": "page-size", "in": "query", "schema": {"type": "integer"}},
                ],
                "get": {
                    "summary": "Get it.",
                    "description": "More about it.\n\nAnd pages of prose.",
                    "parameters": [
                        {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}},
                        {"name": "id", "in": "query", "schema": {"type": "string"}},
                        {"name": "api_key", "in": "query", "schema": {"type": "string"}},
                        {"name": "Authorization", "in": "header", "required": True},
                        {"name": "Host", "in": "header", "schema": {"type": "string"}},
                        {"name": "X-Team", "in": "header", "required": True, "schema": {"type": "string"}},
                        {"name": "X-Trace", "in": "header"},
                        {"name": "crumb", "in": "cookie", "schema": {"type": "string"}},
                        {"name": "raw", "in": "query", "content": {"application/json": {"schema": {}}}},
                    ],
                },
            }
        },
        components={"securitySchemes": {"k": {"type": "apiKey", "in": "query", "name": "api_key"}}},
        security=[{"k": []}],
    )
    registry = from_openapi(described, base_url=URL, headers={"x-team": "blue"})
    (function,) = registry.functions.values()
    assert function.name == "get_a_by_id" and function.category == "Other"
    assert function.tool.description == "Get it. More about it."
    assert list(function.tool.parameters) == ["id", "page_size", "query_id", "X_Trace", "crumb", "raw"]
    assert function.tool.parameters["id"]["type"] == "string" and function.tool.parameters["id"]["required"]
    with registry.open(4) as pool:
        operation = pool.operations["get_a_by_id"]  # type: ignore[attr-defined]
    assert operation.key == Key("query", "api_key", "")
    assert operation.places["query_id"] == Place("query", "id", "form", True)
    assert operation.places["raw"].style == "json"


def test_bodies_become_parameters():
    def body(schema: Any, required: bool = True) -> dict[str, Any]:
        content = {"application/json": {"schema": schema}}
        operation = {"operationId": "f", "requestBody": {"required": required, "content": content}}
        clash = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
        return document({"/t/{id}": {"put": {**operation, "parameters": [clash]}}})

    fields = {
        "id": {"type": "integer"},
        "made": {"type": "string", "readOnly": True},
        "$top": {"type": "string", "nullable": True},
    }
    schema = {"type": "object", "required": ["id", "made"], "properties": fields}
    found = parameters(body(schema), unsafe=True)
    assert list(found) == ["id", "body_id", "top"] and found["body_id"]["required"] is True
    assert found["top"]["type"] == ["string", "null"]
    found = parameters(body({"type": "array", "items": {"type": "integer"}}, False), unsafe=True)
    assert found["body"] == {"type": "array", "items": {"type": "integer"}, "required": False}
    prices = {"type": "object", "additionalProperties": {"type": "number"}}
    assert parameters(body(prices), unsafe=True)["body"] == {**prices, "required": True}
    form = body(schema)
    put = form["paths"]["/t/{id}"]["put"]
    put["requestBody"]["content"] = {"multipart/form-data": {"schema": schema}}
    assert "not JSON" in reason(form, unsafe=True)


@pytest.mark.parametrize(
    ("described", "told"),
    [
        (document({"/a/{id}": {"get": {}}}), "which no parameter describes"),
        (document({"/a": {"get": {"servers": [{"url": "http://b"}]}}}), "server of its own"),
        (document({"/a": {"trace": {}}}), "no method"),
        (document({"/a": {"$ref": "#/nothing"}}), "points at nothing"),
        (document({"/a": {"get": []}}), "not an object"),
        (document({"a?b=1": {"get": {}}}), "no path"),
        (get(parameters=[{"in": "query"}]), "has no name"),
        (get(parameters=[{"name": "x", "in": "body", "schema": {}}]), "no place"),
        (query({"type": "array", "items": {}}, style="matrix"), "style 'matrix'"),
        (get(parameters=[{"name": "x", "in": "query", "content": {"text/csv": {}}}]), "not as JSON"),
    ],
)
def test_operations_that_cannot_be_called_are_skipped_with_the_reason(described, told):
    assert told in reason(described)


def test_names_are_legal_and_distinct_and_only_keeps_what_it_says():
    paths = {f"/{n}": {"get": {"operationId": name}} for n, name in enumerate(["a b", "a-b", "9", "", "ü.x"])}
    registry = from_openapi(document(paths), base_url=URL)
    assert list(registry.functions) == ["a_b", "a_b_2", "n9", "get_3", "x"]
    some = from_openapi(document(paths), base_url=URL, only=lambda function: function.name == "x")
    assert list(some.functions) == ["x"] and len(some.skipped) == 4


@settings(deadline=None)
@given(st.lists(st.text(min_size=1, max_size=80), max_size=6))
def test_any_text_becomes_a_legal_name(texts):
    taken: dict[str, str] = {}
    for text in texts:
        name = legal_name(text, taken)
        assert name.isascii() and name.isidentifier() and len(name) <= 64 and name not in taken
        taken[name] = text


def test_yaml_is_read_as_json_means_it(tmp_path):
    path = tmp_path / "api.yaml"
    path.write_text(
        "openapi: 3.1.0\ninfo: {title: T}\n"
        "servers: [{url: 'https://{host}/v1', variables: {host: {default: a.b}}}]\n"
        "paths:\n  /x:\n    get:\n      operationId: f\n      parameters:\n"
        "      - {name: answer, in: query, schema: {type: string, enum: [no, on, 12:30, 2026-01-01, 010]}}\n"
        "      - {name: size, in: query, schema: {enum: [1, 2.5, -3, 1e3]}}\n"
        "      responses: {200: {description: ok, content: {application/json: {}}}}\n"
    )
    registry = from_openapi(path)
    found = registry.functions["f"].tool.parameters
    assert found["answer"]["enum"] == ["no", "on", "12:30", "2026-01-01", "010"]
    assert found["size"]["enum"] == [1, 2.5, -3, 1000.0]
    with registry.open() as pool:
        assert pool.base_url == "https://a.b/v1"  # type: ignore[attr-defined]
        assert pool.operations["f"].promises_json(200)  # type: ignore[attr-defined]
    as_json = json.dumps(document({"/x": {"get": {}}}, servers=[{"url": "http://a"}]))
    assert list(from_openapi(as_json).functions) == ["get_x"]


@pytest.mark.parametrize(
    ("given", "error", "told"),
    [
        ({"swagger": "2.0", "paths": {}}, SchemaError, "swagger2openapi"),
        ({"openapi": "4.0.0", "paths": {}}, SchemaError, "4.0.0"),
        ({"openapi": "3.0.0"}, SchemaError, "no paths"),
        ("{broken", SchemaError, "not JSON or YAML"),
        ("- a\n- b\n", SchemaError, "list"),
        ("!!python/object/apply:os.getcwd []\n", SchemaError, "not JSON or YAML"),
        ("/no/such/file.yaml", ArtifactError, "cannot be read"),
        ("https://example.org/openapi.json", ProfileError, "download"),
        (document({}), ProfileError, "give base_url"),
        (document({}, servers=[{"url": "/v1"}]), ProfileError, "give base_url"),
        (document({}, servers=[{"url": "https://{region}.example.org"}]), ProfileError, "without a default"),
    ],
)
def test_documents_that_are_none_are_named(given, error, told):
    with pytest.raises(error, match=told):
        from_openapi(given)


WORDS = ["type", "properties", "items", "allOf", "anyOf", "enum", "$ref", "required", "nullable", "minimum"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "properties",
                    "items",
                    "allOf",
                    "anyOf",
                    "enum",
                    "$ref",
                    "required",
                    "nullable",
                    "minimum",
                ]
            ),
            inner | st.sampled_from(["object", "string", "#", "#/a"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
@settings(deadline=None)
def test_any_schema_is_plain_or_refused(schema):
    try:
        plain = Schemas({"a": schema}).plain(schema)
    except Unsupported as error:
        assert str(error)
    else:
        assert "$ref" not in json.dumps(plain) or "enum" in json.dumps(plain)


def _nodes(value: Any) -> list[tuple[Any, Any]]:
    """Every place of a document, as (container, key)."""
    pairs = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
    inner = [node for _, child in pairs if isinstance(child, (dict, list)) for node in _nodes(child)]
    return [(value, key) for key, _ in pairs] + inner


@given(st.integers(0, 10_000), JSON)
@settings(max_examples=25, deadline=None)
def test_a_damaged_document_is_named_or_loses_an_operation(place, damage):
    described = copy.deepcopy(DOCUMENT)
    nodes = _nodes(described)
    container, key = nodes[place % len(nodes)]
    container[key] = damage
    try:
        registry = from_openapi(described, base_url=URL, unsafe=True)
    except XlamError as error:
        assert str(error)
    else:
        tools = [function.tool for function in registry.functions.values()]
        assert not list(validate(Trajectory("a/1", "a", tools=tools, query="q")))
        assert container is described or len(tools) + len(registry.skipped) >= 9
