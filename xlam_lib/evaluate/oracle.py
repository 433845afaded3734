"""The official answers, written as a model would write them: the proof that the scorer lets right ones pass.

An oracle that scores 100 shows that prompt format, decoding and checker fit together; a scorer that loses
answers on the way would blame the model for it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from xlam_lib.evaluate.executable import right_calls
from xlam_lib.evaluate.questions import CATEGORIES, Question
from xlam_lib.formats import Format, get_format
from xlam_lib.schema import ToolCall


def oracle(question: Question, format: str | Format = "json") -> str:
    """A right answer: the first allowed value of each argument, optional arguments left out.

    Relevance has no official answer: the first function is called without arguments, which is all that
    its rule looks at. Irrelevance is answered with no call. The executable categories have their right calls.
    """
    kind = CATEGORIES[question.category].kind
    if kind == "relevance":
        calls = [ToolCall(question.functions[0]["name"], {})]
    elif kind in ("executable", "rest"):
        calls = [ToolCall(call.name, call.arguments) for call in right_calls(question)]
    else:
        calls = [
            ToolCall(name, _arguments(question, name, allowed))
            for answer in question.possible_answer
            for name, allowed in answer.items()
            if isinstance(allowed, Mapping)  # one answer of the older files holds an argument by itself
        ]
    return get_format(format).render(calls, "")


def _arguments(question: Question, name: str, allowed: Mapping[str, Any]) -> dict[str, Any]:
    document = next((f for f in question.functions if f["name"] == name), question.functions[0])
    schema = document["parameters"]
    chosen = {}
    for argument, values in allowed.items():
        # A few answers name arguments that the function does not have, and allow leaving them out.
        known = argument in schema["properties"]
        if "" in values and (not known or argument not in schema["required"]):
            continue
        declared = schema["properties"].get(argument, {"type": "string"})
        chosen[argument] = write_value(_first(values), declared, question.language)
    return chosen


def _first(values: list[Any]) -> Any:
    """The first allowed value that is not ``""``, the mark of an optional one."""
    return _plain(next((value for value in values if value != ""), ""))


def _plain(value: Any) -> Any:
    """An allowed dictionary holds a list of allowed values for each key; the checker goes no deeper."""
    if isinstance(value, dict):
        return {key: next(v for v in inner if v != "") for key, inner in value.items() if "" not in inner}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def write_value(value: Any, schema: Mapping[str, Any], language: str) -> Any:
    """A JSON value as the language's own text, for Java and JavaScript; unchanged for Python."""
    if language == "java":
        return _java(value, schema["type"], schema.get("items", {}).get("type", "any"))
    if language == "javascript":
        return _javascript(value, schema["type"], schema.get("items", {}).get("type", "any"))
    return value


def _java(value: Any, kind: str, item: str = "any") -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        puts = " ".join(f'put("{key}", {_java_literal(inner)});' for key, inner in value.items())
        return f"new HashMap<String, Object>() {{{{ {puts} }}}}"
    if isinstance(value, list):
        items = ", ".join(_java_item(inner, item, kind) for inner in value)
        return (
            f"new ArrayList<>(Arrays.asList({items}))" if kind == "ArrayList" else f"new {item}[]{{{items}}}"
        )
    suffix = {"long": "L", "float": "f"}.get(kind, "")
    return f"{value}{suffix}" if isinstance(value, (int, float)) else str(value)


def _java_item(value: Any, item: str, kind: str) -> str:
    # The checker strips the quotes of a list's strings and characters, but not those of an array's.
    if isinstance(value, str) and kind == "ArrayList" and item in ("String", "char"):
        return f'"{value}"'
    return _java(value, item)


def _java_literal(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else _java(value, "any")


def _javascript(value: Any, kind: str, item: str = "any") -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "[" + ", ".join(_javascript_item(inner, item) for inner in value) + "]"
    if isinstance(value, dict):
        entries = (f"{json.dumps(key)}: {_javascript_item(inner, 'any')}" for key, inner in value.items())
        return "{" + ", ".join(entries) + "}"
    text = json.dumps(value)
    return f"{text}n" if kind == "Bigint" else text


def _javascript_item(value: Any, item: str) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else _javascript(value, item)
