"""Constrained decoding: at every step only the tokens that can still become a legal answer for the tools.

:func:`answer_schema` says what is legal: the calls of :func:`xlam_lib.verify.structure.check_call` that have
no fault, written as our JSON formats write them. ``llguidance`` makes token masks of it (:class:`Constrainer`
says why it and not ``xgrammar``).

What a mask cannot promise: an answer that the token limit cuts off is not JSON, and a legal value need not
be a right one. Arguments come in the order in which the tool declares them.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from xlam_lib.errors import ProfileError, XlamError
from xlam_lib.formats import load_json
from xlam_lib.formats.base import ParseError
from xlam_lib.schema import Tool, type_matches
from xlam_lib.verify.structure import accepts_null, is_closed

if TYPE_CHECKING:
    import torch

FORMATS = ("json", "json_thought")
INSTALL = 'pip install "llguidance>=1.9"'
_KEPT = 512  # compiled schemas that a Constrainer remembers

# ---------------------------------------------------------------------------------------------- schemas


def answer_schema(tools: Sequence[Tool], format: str = "json", least: int = 0) -> dict[str, Any]:
    """The JSON Schema of a legal answer: a list of calls that fit the tools.

    Keys stand in the order in which they must be written. Enforced are what
    :mod:`xlam_lib.verify.structure` checks: names, required and unknown arguments, types and
    enumerations at every depth. Bounds, patterns and other keywords are not.

    Parameters
    ----------
    tools
        On offer. Where two share a name, the first counts, as in the verifier.
    format
        ``json`` or ``json_thought``.
    least
        Calls at least; by default the list may be empty. Where no tool is on offer it always is.

    Raises
    ------
    ProfileError
        Another format: it is not JSON, or not JSON of this shape.
    """
    if format not in FORMATS:
        raise ProfileError(f"format {format!r}: cannot be constrained; choose one of {', '.join(FORMATS)}")
    named: dict[str, Tool] = {}
    for tool in tools:
        named.setdefault(tool.name, tool)
    calls: dict[str, Any] = {"type": "array"}
    if named:
        calls["items"] = {"anyOf": [_call(tool) for tool in named.values()]}
        if least:
            calls["minItems"] = least
    else:
        calls["maxItems"] = 0
    thought = {"thought": {"type": "string"}} if format == "json_thought" else {}
    return _closed(thought | {"tool_calls": calls})


def _closed(properties: dict[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    """An object with these properties and no others; all of them are required unless told otherwise."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties) if required is None else required,
        "additionalProperties": False,
    }


def _call(tool: Tool) -> dict[str, Any]:
    return _closed({"name": {"const": tool.name}, "arguments": _object(tool.parameters)})


def _object(parameters: Mapping[str, Any]) -> dict[str, Any]:
    properties = {n: _value(schema) if isinstance(schema, dict) else {} for n, schema in parameters.items()}
    required = [
        n for n, schema in parameters.items() if isinstance(schema, dict) and schema.get("required") is True
    ]
    return _closed(properties, required)


def _value(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A parameter's schema as plain JSON Schema; null is allowed where the verifier allows it."""
    declared = schema.get("type")
    kinds = [declared] if isinstance(declared, str) else list(declared or ())
    chosen = _choices(schema, kinds)
    if chosen is not None:
        return {"enum": chosen + [None] if accepts_null(schema) and None not in chosen else chosen}
    if not kinds:
        return {}
    alternatives = [_of_kind(kind, schema) for kind in kinds]
    if accepts_null(schema) and "null" not in kinds:
        alternatives.append({"type": "null"})
    return alternatives[0] if len(alternatives) == 1 else {"anyOf": alternatives}


def _of_kind(kind: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    if kind == "array":
        items = _value(schema["items"]) if isinstance(schema.get("items"), dict) else {}
        # Some providers put the enumeration of the elements on the list itself.
        inner = schema.get("enum")
        if isinstance(inner, list) and inner:
            items = {"enum": inner}
        return {"type": "array", "items": items} if items else {"type": "array"}
    properties = schema.get("properties")
    if kind == "object" and isinstance(properties, dict) and properties:
        made = _object(properties)
        return made if is_closed(schema) else {**made, "additionalProperties": True}
    return {"type": kind}


def _choices(schema: Mapping[str, Any], kinds: Sequence[str]) -> list[Any] | None:
    """The enumerated values that are of the declared type, or ``None`` where none are or none are listed.

    Choices of a number that are all written as strings are read as numbers, as the verifier does.
    """
    listed = schema.get("enum")
    if not isinstance(listed, list):
        return None
    fitting = [choice for choice in listed if type_matches(choice, schema)]
    if not fitting and {"integer", "number"} & set(kinds):
        read = [_number(choice) for choice in listed if isinstance(choice, str)]
        fitting = [number for number in read if number is not None and type_matches(number, schema)]
    return fitting or None


def _number(text: str) -> int | float | None:
    try:
        value = load_json(text)
    except ParseError:
        return None
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


# ------------------------------------------------------------------------------------------------ masks


class Mask:
    """Where one answer stands: which tokens may come next.

    Attributes: ``ended`` once the answer is whole and nothing but the end-of-text token may follow.
    """

    def __init__(self, matcher: Any, vocabulary: int) -> None:
        self._matcher = matcher
        self._vocabulary = vocabulary

    def apply(self, logits: torch.Tensor) -> None:
        """Set the logits of all tokens that are not legal to minus infinity, in place.

        ``logits`` has the shape (vocabulary,), on any device; the mask must not have ended.
        """
        import numpy
        import torch

        bits = numpy.empty((self._vocabulary + 31) // 32, dtype=numpy.int32)
        self._matcher.unsafe_compute_mask_ptr(bits.ctypes.data, bits.nbytes)
        allowed = numpy.unpackbits(bits.view(numpy.uint8), bitorder="little", count=self._vocabulary)
        logits.masked_fill_(torch.from_numpy(allowed == 0).to(logits.device), float("-inf"))

    def accept(self, token: int) -> bool:
        """Take the token that was chosen; false, and the mask is of no more use, if it is not legal."""
        return self._matcher.consume_token(token)

    @property
    def ended(self) -> bool:
        return self._matcher.is_stopped()

    @property
    def fault(self) -> str:
        """Why the mask is of no more use: an illegal token, or a limit of the library. Empty while it is."""
        return self._matcher.get_error()


class Constrainer:
    """Compiles schemas to :class:`Mask` objects for one tokenizer.

    The library is ``llguidance``: a wheel without dependencies. On samples of the benchmark's questions a
    schema took 2.1 ms of processor time to compile and a mask 0.05 ms a token. ``xgrammar`` took 3.2 ms and
    0.007 ms, both small beside a step of a model, but it depends on triton and does not let an enumerated
    object pass as our formats write it. ``llguidance`` in turn does not let the character U+007F pass in a
    text, which our formats write as it is; a model can write it as an escape.

    Parameters
    ----------
    tokenizer
        A fast tokenizer of transformers. Reading it takes about a second.
    vocabulary
        Entries of a row of logits, which may be more than the tokenizer has tokens; none of those beyond is
        ever allowed.

    Raises
    ------
    XlamError
        ``llguidance`` is not installed, or the tokenizer has no fast form.
    """

    def __init__(self, tokenizer: Any, vocabulary: int) -> None:
        try:
            import llguidance
            import llguidance.hf
        except ImportError as error:
            raise XlamError(f"constrained decoding needs llguidance: {INSTALL}") from error
        self.vocabulary = vocabulary
        self._matcher_of = llguidance.LLMatcher
        try:
            self._tokenizer = llguidance.hf.from_tokenizer(tokenizer, n_vocab=vocabulary)
        except ValueError as error:
            raise XlamError(f"tokenizer {type(tokenizer).__name__}: {error}") from error
        self._compiled: OrderedDict[str, Any] = OrderedDict()

    def mask(self, schema: str | Mapping[str, Any]) -> Mask:
        """The mask at the start of an answer by this schema, which may be JSON text; compiled once.

        Raises
        ------
        XlamError
            The schema cannot be compiled.
        """
        text = schema if isinstance(schema, str) else json.dumps(schema, ensure_ascii=False)
        compiled = self._compiled.get(text)
        if compiled is None:
            compiled = self._compiled[text] = self._compile(text)
            if len(self._compiled) > _KEPT:
                self._compiled.popitem(last=False)
        self._compiled.move_to_end(text)
        return Mask(compiled.deep_copy(), self.vocabulary)

    def _compile(self, text: str) -> Any:
        # The writing of formats.dump_json: a space after each comma and colon, and no other white space.
        writing: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
        try:
            grammar = self._matcher_of.grammar_from_json_schema(text, overrides=writing)
        except ValueError as error:
            raise XlamError(f"schema {text[:80]!r}: {error}") from None
        matcher = self._matcher_of(self._tokenizer, grammar, log_level=0)
        if matcher.is_error():
            raise XlamError(f"schema {text[:80]!r}: cannot be compiled ({matcher.get_error()})")
        return matcher
