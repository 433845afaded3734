"""An OpenAPI 3 document becomes a library of APIs whose calls are requests to the service it describes.

Every operation becomes a function or an entry of ``Registry.skipped`` with the reason. Parameters keep their
schemas; those of a JSON body that is an object become parameters of their own, so that a tool is flat.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import yaml

from xlam_lib.errors import ArtifactError, ProfileError, SchemaError
from xlam_lib.schema import Tool, flat_parameters
from xlam_lib.synthesis import auto
from xlam_lib.synthesis.importers.schemas import Schemas, Unsupported, legal_name, without_null
from xlam_lib.synthesis.registry import Function, Registry
from xlam_lib.synthesis.rest import (
    SAFE_METHODS,
    Key,
    Operation,
    Place,
    RestExecutor,
    checked_base_url,
    checked_headers,
)

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
_UNSAFE = ("POST", "PUT", "PATCH", "DELETE")
_STYLES = {
    "path": ("simple",),
    "query": ("form", "spaceDelimited", "pipeDelimited", "deepObject"),
    "header": ("simple",),
    "cookie": ("form",),
}
_OWN_HEADERS = frozenset(
    (
        "accept", "accept-encoding", "authorization", "connection", "content-encoding", "content-length",
        "content-type", "cookie", "expect", "host", "keep-alive", "proxy-authorization", "te", "trailer",
        "transfer-encoding", "upgrade", "user-agent",
    )
)  # fmt: skip
"""Headers of the request itself: no argument may set them."""


def from_openapi(
    document: str | Path | Mapping[str, Any],
    *,
    base_url: str | None = None,
    headers: Mapping[str, str] | None = None,
    key_env: str | None = None,
    unsafe: bool = False,
    only: Callable[[Function], bool] | None = None,
    concurrency: int = 8,
    requests_per_second: float | None = None,
) -> Registry:
    """The operations of an OpenAPI 3.0 or 3.1 document as a library.

    Parameters
    ----------
    document
        The document, its text (JSON or YAML), or the path of its file.
    base_url
        Where the service is; by default the document's first server, with the defaults of its variables.
    headers
        Sent with every request; a parameter of the same name is not offered to the model.
    key_env
        The variable that holds the API's key. It goes where the document's security scheme says, or into
        ``Authorization: Bearer`` where it says nothing.
    unsafe
        Import POST, PUT, PATCH and DELETE too. Synthesis really sends thousands of calls, so say this of
        a test instance only; by default these operations are skipped.
    only
        Says which of the functions to keep.
    concurrency, requests_per_second
        See :class:`~xlam_lib.synthesis.rest.RestExecutor`. ``Registry.open(workers)`` gives the same
        executor whatever the number of workers.

    Raises
    ------
    ArtifactError
        The file cannot be read.
    SchemaError
        It is no OpenAPI 3 document.
    ProfileError
        There is no absolute server address and no ``base_url``; or a header is not sendable.
    """
    read = _read(document)
    info = read.get("info") if isinstance(read.get("info"), Mapping) else {}
    title = str((info or {}).get("title") or "OpenAPI")
    address = checked_base_url(base_url) if base_url is not None else _server(read, title)
    operations: dict[str, Operation] = {}

    def opened(_workers: int, limits: Any) -> RestExecutor:
        return RestExecutor(
            address,
            operations,
            headers=headers,
            key_env=key_env,
            limits=limits,
            concurrency=concurrency,
            requests_per_second=requests_per_second,
        )

    registry = Registry(name=title, opener=opened)
    importer = _Importer(read, {name.lower() for name in checked_headers(headers)})
    for path, item in read["paths"].items():
        try:
            item = importer.schemas.followed(item)
            if not isinstance(item, Mapping):
                raise Unsupported("its path item is not an object")
        except Unsupported as error:
            registry.skipped[str(path)] = str(error)
            continue
        for method in METHODS:
            if method.lower() not in item:
                continue
            where = f"{method} {path}"
            try:
                operation, category = importer.operation(
                    str(path), method, item, unsafe, frozenset(operations)
                )
            except (Unsupported, SchemaError) as error:
                registry.skipped[where] = str(error)
                continue
            function = Function(operation.tool.name, category, operation.tool)
            if only is not None and not only(function):
                registry.skipped[where] = "left out by `only`"
                continue
            registry.add(auto.complete(function))
            operations[operation.tool.name] = operation
    return auto.report_obstacles(registry)


class _Loader(yaml.SafeLoader):
    """YAML as JSON means it: ``no``, ``12:30`` and ``2026-01-01`` are strings, and nothing is a date."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.endswith((":null", ":merge"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
    ("float", r"[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?", "-+0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), list(_first))


def _read(document: str | Path | Mapping[str, Any]) -> Mapping[str, Any]:
    where = "the document"
    if isinstance(document, Mapping):
        read: Any = document
    else:
        text = str(document)
        if isinstance(document, Path) or not ("\n" in text or text.lstrip().startswith("{")):
            if text.startswith(("http://", "https://")):
                raise ProfileError(f"{text}: is an address; download the document and give its path")
            where = text
            try:
                text = Path(document).read_text(encoding="utf-8-sig")
            except (OSError, UnicodeDecodeError) as error:
                raise ArtifactError(f"{where}: cannot be read ({error}); give an OpenAPI document") from None
        try:
            read = json.loads(text) if text.lstrip().startswith("{") else _yaml(text)
        except ValueError as json_error:
            try:
                read = _yaml(text)  # YAML's flow style also begins with a brace
            except ValueError:
                raise SchemaError(f"{where}: is not JSON or YAML ({json_error}); correct it") from None
    if not isinstance(read, Mapping):
        raise SchemaError(f"{where}: is no OpenAPI document but a {type(read).__name__}")
    if "swagger" in read:
        raise SchemaError(
            f"{where}: is Swagger {read['swagger']}; convert it to OpenAPI 3 (swagger2openapi does that)"
        )
    version = str(read.get("openapi", ""))
    if not version.startswith(("3.0", "3.1")):
        raise SchemaError(f"{where}: openapi is {version!r}; give an OpenAPI 3.0 or 3.1 document")
    if not isinstance(read.get("paths"), Mapping):
        raise SchemaError(f"{where}: has no paths, so there is nothing to call")
    return read


def _yaml(text: str) -> Any:
    try:
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(" ".join(str(error).split())) from None


def _server(item: Mapping[str, Any], title: str) -> str:
    """The address of the first server, its variables at their defaults."""
    servers = item.get("servers")
    first = servers[0] if isinstance(servers, list) and servers and isinstance(servers[0], Mapping) else {}
    url = str(first.get("url", ""))
    variables = first.get("variables")
    for name, variable in variables.items() if isinstance(variables, Mapping) else ():
        if isinstance(variable, Mapping) and "default" in variable:
            url = url.replace("{" + str(name) + "}", str(variable["default"]))
    if not urlsplit(url).netloc:
        raise ProfileError(f"{title}: its server {url!r} is no absolute address; give base_url")
    if "{" in url:
        raise ProfileError(f"{title}: its server {url!r} has a variable without a default; give base_url")
    return checked_base_url(url)


class _Importer:
    def __init__(self, document: Mapping[str, Any], fixed: set[str]):
        self.document, self.fixed = document, fixed
        self.schemas = Schemas(document)
        components = document.get("components")
        schemes = components.get("securitySchemes") if isinstance(components, Mapping) else None
        self.schemes: dict[str, Mapping[str, Any]] = {}
        for name, scheme in schemes.items() if isinstance(schemes, Mapping) else ():
            try:
                followed = self.schemas.followed(scheme)
            except Unsupported:
                continue  # no key can be sent by it; a request then goes without and the server decides
            if isinstance(followed, Mapping):
                self.schemes[str(name)] = followed
        self.keys = {
            (str(scheme.get("in")), str(scheme.get("name")).lower())
            for scheme in self.schemes.values()
            if scheme.get("type") == "apiKey"
        }

    def operation(
        self, path: str, method: str, item: Mapping[str, Any], unsafe: bool, taken: frozenset[str]
    ) -> tuple[Operation, str]:
        """One operation and its category.

        Raises
        ------
        Unsupported
            Why it cannot be imported.
        """
        described = item[method.lower()]
        if not isinstance(described, Mapping):
            raise Unsupported("it is not an object")
        if described.get("deprecated") is True:
            raise Unsupported("it is deprecated")
        if method not in (*SAFE_METHODS, *_UNSAFE):
            raise Unsupported(f"{method} is no method to call an API with")
        if method in _UNSAFE and not unsafe:
            raise Unsupported(f"{method} may change something on the server; unsafe=True imports it")
        if described.get("servers") or item.get("servers"):
            raise Unsupported("it has a server of its own")
        if not path.startswith("/") or re.search(r"[?#\s]", path):
            raise Unsupported("its path is no path")
        self.schemas.restart()
        properties: dict[str, dict[str, Any]] = {}
        places: dict[str, Place] = {}
        required: list[str] = []

        def take(place: Place, schema: dict[str, Any], needed: bool) -> None:
            name = legal_name(place.name or "body")
            if name in properties:
                name = legal_name(f"{place.where}_{place.name or 'whole'}", properties)
            properties[name], places[name] = schema, place
            if needed:
                required.append(name)

        for parameter in self._parameters(item, described):
            taken_up = self._parameter(parameter)
            if taken_up:
                take(*taken_up)
        missing = set(re.findall(r"\{([^{}]*)\}", path)) - {
            place.name for place in places.values() if place.where == "path"
        }
        if missing:
            raise Unsupported(f"its path has {sorted(missing)}, which no parameter describes")
        body_required = self._body(described, take)
        if body_required and method in SAFE_METHODS:
            raise Unsupported(f"{method} with a required body")
        if method in SAFE_METHODS:
            for name in [name for name, place in places.items() if place.where == "body"]:
                del places[name], properties[name]
            required = [name for name in required if name in places]
        name = described.get("operationId")
        if not isinstance(name, str) or not re.search(r"[A-Za-z0-9]", name):
            name = f"{method.lower()}_{path.replace('{', 'by_')}"
        flat = flat_parameters({"properties": properties, "required": required})
        tool = Tool(legal_name(name, taken, dots=True), _prose(described), flat)
        tags = described.get("tags")
        category = str(tags[0]) if isinstance(tags, list) and tags else "Other"
        operation = Operation(
            tool, method, path, places, body_required, self._promises(described), self._key(described)
        )
        return operation, category

    def _parameters(self, item: Mapping[str, Any], described: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """The parameters of the path and of the operation, whose own override the path's."""
        found: dict[tuple[str, str], Mapping[str, Any]] = {}
        for part in (item, described):
            listed = part.get("parameters") or []
            for parameter in listed if isinstance(listed, list) else [listed]:
                followed = self.schemas.followed(parameter)
                if not isinstance(followed, Mapping) or not isinstance(followed.get("name"), str):
                    raise Unsupported("one of its parameters has no name")
                found[str(followed.get("in")), followed["name"]] = followed
        return list(found.values())

    def _parameter(self, parameter: Mapping[str, Any]) -> tuple[Place, dict[str, Any], bool] | None:
        """A parameter's place, schema and whether it is required; None for one that is not the model's."""
        name: str = parameter["name"]
        where: Any = str(parameter.get("in"))
        if where not in _STYLES:
            raise Unsupported(f"parameter {name!r} is in {where!r}, which is no place in a request")
        if (where, name.lower()) in self.keys or (where == "header" and name.lower() in self.fixed):
            return None
        needed = parameter.get("required") is True or where == "path"
        if where == "header" and (
            name.lower() in _OWN_HEADERS or not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name)
        ):
            return None  # as the OpenAPI specification asks for Accept, Content-Type and Authorization
        style = str(parameter.get("style") or _STYLES[where][0])
        schema = parameter.get("schema")
        if isinstance(parameter.get("content"), Mapping):
            kinds = list(parameter["content"])
            if len(kinds) != 1 or not _is_json(kinds[0]) or where not in ("query", "cookie"):
                raise Unsupported(f"parameter {name!r} is sent as {kinds}, not as JSON in the query")
            style, schema = "json", _media_schema(parameter["content"], kinds[0])
        elif style not in _STYLES[where]:
            raise Unsupported(
                f"parameter {name!r} has the style {style!r}, which is not supported in a {where}"
            )
        plain = without_null(self.schemas.plain({"type": "string"} if schema is None else schema))
        if isinstance(parameter.get("description"), str):
            plain["description"] = " ".join(parameter["description"].split())
        examples = _examples(parameter)
        if examples:
            plain["examples"] = examples
        explode = parameter.get("explode")
        explode = style == "form" if not isinstance(explode, bool) else explode
        if style != "json":
            _check_wire(name, where, style, plain)
        return Place(where, name, style, explode), plain, needed

    def _body(
        self, described: Mapping[str, Any], take: Callable[[Place, dict[str, Any], bool], None]
    ) -> bool:
        """Take up the JSON body's parameters; whether a body must be sent."""
        body = self.schemas.followed(described.get("requestBody"))
        if body is None:
            return False
        content = body.get("content") if isinstance(body, Mapping) else None
        if not isinstance(content, Mapping) or not content:
            raise Unsupported("its body has no content")
        needed = body.get("required") is True
        kind = next((kind for kind in content if _is_json(kind)), None)
        if kind is None:
            if needed:
                raise Unsupported(f"its body is {', '.join(map(str, content))}, not JSON")
            return False
        plain = self.schemas.plain(_media_schema(content, kind))
        if plain.get("type") == "object" and plain.get("properties"):
            # Required fields stay required where the body itself is not: such calls are always whole.
            for name, child in plain["properties"].items():
                take(Place("body", name), child, name in plain.get("required", ()))
        elif plain.get("type") != "object" or "additionalProperties" in plain or "properties" not in plain:
            if isinstance(body.get("description"), str):
                plain.setdefault("description", " ".join(body["description"].split()))
            take(Place("body", ""), plain, needed)
        return needed

    def _promises(self, described: Mapping[str, Any]) -> dict[str, bool]:
        """Status to whether the document promises nothing but JSON for it."""
        promises = {}
        responses = described.get("responses")
        for status, response in responses.items() if isinstance(responses, Mapping) else ():
            followed = self.schemas.followed(response)
            content = followed.get("content") if isinstance(followed, Mapping) else None
            promises[str(status).upper().replace("DEFAULT", "default")] = bool(
                isinstance(content, Mapping) and content and all(map(_is_json, content))
            )
        return promises

    def _key(self, described: Mapping[str, Any]) -> Key:
        """Where the first security scheme that applies wants its key."""
        asked = described.get("security", self.document.get("security"))
        for requirement in asked if isinstance(asked, list) else []:
            for name in requirement if isinstance(requirement, Mapping) else ():
                scheme = self.schemes.get(str(name), {})
                where: Literal["header", "query", "cookie"] | None = scheme.get("in")
                if scheme.get("type") == "apiKey" and where in ("header", "query", "cookie"):
                    return Key(where, str(scheme.get("name")), "")
                if scheme.get("type") == "http" and str(scheme.get("scheme")).lower() == "basic":
                    return Key(prefix="Basic ")
        return Key()


def _check_wire(name: str, where: str, style: str, schema: Mapping[str, Any]) -> None:
    """Whether a value of that schema has a form in a path, a query, a header or a cookie."""

    def nested(child: Mapping[str, Any]) -> bool:
        return bool({"array", "object"} & set(child.get("type") or ())) or child.get("type") in (
            "array",
            "object",
        )

    kind = schema.get("type")
    if isinstance(kind, list) and {"array", "object"} & set(kind):
        raise Unsupported(f"parameter {name!r} may be a plain value or a structure")
    if kind == "array" and (nested(schema.get("items") or {}) or where == "cookie"):
        raise Unsupported(f"parameter {name!r} is a nested list in the {where}, which has no form there")
    if kind == "object":
        children = schema.get("properties") or {}
        if where != "query" or not children or any(map(nested, children.values())):
            raise Unsupported(
                f"parameter {name!r} is an object in the {where} whose form or fields are not described"
            )
    elif style == "deepObject":
        raise Unsupported(f"parameter {name!r} has the style 'deepObject' and is no object")


def _is_json(kind: Any) -> bool:
    plain = str(kind).partition(";")[0].strip().lower()
    return plain == "application/json" or plain.endswith("+json")


def _media_schema(content: Mapping[str, Any], kind: str) -> Any:
    media = content[kind]
    if not isinstance(media, Mapping):
        raise Unsupported(f"its {kind} is not described by an object")
    return media.get("schema", {})


def _examples(parameter: Mapping[str, Any]) -> list[Any]:
    if "example" in parameter:
        return [parameter["example"]]
    listed = parameter.get("examples")
    values = listed.values() if isinstance(listed, Mapping) else ()
    return [entry["value"] for entry in values if isinstance(entry, Mapping) and "value" in entry]


def _prose(described: Mapping[str, Any]) -> str:
    """The summary and the first paragraph of the description, where that says more."""
    summary = " ".join(str(described.get("summary") or "").split())
    text = re.split(r"\n\s*\n", str(described.get("description") or "").strip())[0]
    text = " ".join(text.split())
    if not summary or text.lower().startswith(summary.lower().rstrip(".")):
        return text or summary
    return f"{summary.rstrip('.')}. {text}" if text else summary
