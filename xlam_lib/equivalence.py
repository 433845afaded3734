"""When two answers make the same calls: equal up to what is no fault (xLAM report, section 3.5).

A rejected answer that is right after all would teach a model to avoid what it should do. So calls are equal
here if they differ only in

- the order of calls and of arguments,
- the writing of a number (3 and 3.0; true is not 1, and the text "3" is no number),
- an optional argument that states its default, or is left out,
- case, spaces and the punctuation that BFCL's checker does not compare in texts.

The last is deliberately wide: it takes ``1.5`` and ``15`` in quotes for the same, as the benchmark does. Such
an answer is not called right, it is only no example of a mistake.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

from xlam_lib.schema import Tool, ToolCall

_NOT_COMPARED = re.compile(r"[ ,./\-_*^]")


def same_calls(left: Sequence[ToolCall], right: Sequence[ToolCall], tools: Sequence[Tool] = ()) -> bool:
    """Whether two lists of calls are equal up to the module's differences.

    ``tools`` tell the defaults; a call to none of them is compared as it stands.
    """
    return canonical(left, tools) == canonical(right, tools)


def canonical(calls: Iterable[ToolCall], tools: Sequence[Tool] = ()) -> Hashable:
    """A key that equal lists of calls have in common, and no others.

    Raises
    ------
    RecursionError
        An argument is nested too deeply.
    """
    named = {tool.name: tool.parameters for tool in reversed(tools)}
    return frozenset(
        Counter((call.name, _object(call.arguments, named.get(call.name, {}))) for call in calls).items()
    )


def stated(call: ToolCall, tools: Sequence[Tool] = ()) -> frozenset[str]:
    """The names of a call's arguments without those optional ones that only state their default."""
    parameters = next((tool.parameters for tool in tools if tool.name == call.name), {})
    return frozenset(n for n, value in call.arguments.items() if not _is_default(value, parameters.get(n)))


def text_key(text: str) -> str:
    """A text without what BFCL does not compare; one of nothing but that (an operator ``/``) as it is."""
    return (_NOT_COMPARED.sub("", text) or text).lower().replace("'", '"')


def _object(values: Mapping[str, Any], parameters: Mapping[str, Any]) -> frozenset[tuple[str, Hashable]]:
    return frozenset(
        (name, _value(value, parameters.get(name)))
        for name, value in values.items()
        if not _is_default(value, parameters.get(name))
    )


def _is_default(value: Any, schema: Any) -> bool:
    if not isinstance(schema, Mapping) or schema.get("required") is True or "default" not in schema:
        return False
    return _value(value, schema) == _value(schema["default"], schema)


def _value(value: Any, schema: Any) -> Hashable:
    """A key of a JSON value; each kind has its tag, as Python takes True for 1."""
    schema = schema if isinstance(schema, Mapping) else {}
    if isinstance(value, str):
        return ("text", text_key(value))
    if isinstance(value, dict):
        properties = schema.get("properties")
        return ("object", _object(value, properties if isinstance(properties, Mapping) else {}))
    if isinstance(value, list):
        return ("list", tuple(_value(item, schema.get("items")) for item in value))
    return (type(value).__name__ if isinstance(value, bool) or value is None else "number", value)
