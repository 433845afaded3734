"""The generator's record: a query, the tools on offer, the answer as text, and what the query says."""

from __future__ import annotations

from typing import Any

import msgspec

from xlam_lib.schema import Tool

STYLES = ("simple", "multiple", "parallel", "parallel_multiple", "irrelevant")
"""The report's four query styles, and queries that no call answers."""


class Slot(msgspec.Struct, forbid_unknown_fields=True):
    """A value the query gives: for which call and (shown) parameter, and in which words."""

    call: int
    parameter: str
    value: Any
    text: str


class Sample(msgspec.Struct, forbid_unknown_fields=True):
    """One generated pair of query and answer, not yet checked.

    Attributes
    ----------
    index
        Its place in the run; with the seed it determines everything else.
    style, category, functions
        The query style, the category drawn, and the executable names the query is about (asks for, unless
        it is irrelevant).
    answer
        The raw text of the answer, ``{"query": ..., "answers": [...]}``, as a generator would write it.
    slots
        What the query says, by call; the semantic check compares the answer to it. None for a pair
        from a model, where nothing is known but the text.
    expected
        The tool names the query asks for, in order.
    names, parameters
        For masked tools: shown name to executable name, and shown name to {shown: executable} parameters.
    note
        What the sample is beyond its style: ``no fitting tool``, ``required argument missing``.
    masked, noisy
        Whether tools were renamed and whether the prose was misspelled.
    planted
        The kind of planted error, if any.
    generator
        Who wrote it.
    """

    index: int
    style: str
    category: str
    functions: list[str]
    query: str
    tools: list[Tool]
    answer: str
    slots: list[Slot] | None = None
    expected: list[str] = []
    names: dict[str, str] = {}
    parameters: dict[str, dict[str, str]] = {}
    note: str = ""
    masked: str = ""
    noisy: bool = False
    planted: str = ""
    generator: str = ""
