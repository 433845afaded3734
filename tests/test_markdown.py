"""Markdown of cards: one line a cell, one column a key."""

from __future__ import annotations

import pytest

from xlam_lib import markdown


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (True, "yes"), (False, "no"), (None, ""), (12345, "12,345"), (0.123456, "0.1235"), (5e-6, "5e-06"),
        ([1, "a"], "1, a"), ([], "none"), ({"a": 1, "b": [2]}, "a: 1; b: 2"), ({}, "none"),
        ("one | two\nthree", "one \\| two three"),
    ],
)  # fmt: skip
def test_a_cell_is_one_line_that_cannot_break_its_table(value, written):
    assert markdown.cell(value) == written


def test_a_table_has_a_column_for_every_key_and_facts_choose_their_form():
    rows = [{"a": 1}, {"a": 2, "b": "x"}]
    assert markdown.table(rows) == ["| a | b |", "| --- | --- |", "| 1 |  |", "| 2 | x |"]
    assert markdown.table([]) == ["none"]
    assert markdown.facts({"first_thing": 1, "other": "x"}) == ["- first thing: 1", "- other: x"]
    assert markdown.facts({"p": {"n": 1}, "q": {"n": 2}}) == markdown.table(
        [{"": "p", "n": 1}, {"": "q", "n": 2}]
    )
    assert markdown.facts(rows) == markdown.table(rows)
    assert markdown.facts("word") == ["word"]
