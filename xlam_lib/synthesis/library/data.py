"""Functions on texts and data."""
# ruff: noqa: E501 (a template is one line)

from __future__ import annotations

import collections
import re
from typing import Literal, NotRequired, TypedDict

from xlam_lib.synthesis.library.base import api
from xlam_lib.synthesis.library.pools import FIRST_NAMES, WORDS
from xlam_lib.synthesis.values import (
    enum,
    flag,
    items,
    measurements,
    one,
    plain,
    prose,
    quoted,
    record,
    table,
    whole,
)

_TEXT = prose()
_COLUMNS = [
    "price",
    "created_at",
    "age",
    "rating",
    "country",
    "quantity",
    "status",
    "score",
    "name",
    "department",
]
_TABLES = [
    "orders",
    "customers",
    "employees",
    "products",
    "invoices",
    "visits",
    "shipments",
    "students",
    "tickets",
]


@api(
    "Data",
    "count_words",
    slots={
        "text": _TEXT,
        "unique": flag(["counting each different word once"], ["counting repeated words too"]),
        "min_length": whole(2, 7),
    },
    asks=[
        "How many words are in <{text}>[, {unique}]?",
        "Count the words of <{text}>[ that have at least {min_length} letters]",
        "Word count for <{text}>",
        "Give me the number of words in <{text}>[, {unique}]",
        "My headline is {text}. How many words is that[, {unique}]?",
    ],
    missing=["How many words does my text have?", "Count the words[, {unique}]"],
)
def count_words(text: str, unique: bool = False, min_length: int = 1) -> int:
    """Count the words of a text.

    text: The text.
    unique: Whether each different word counts once.
    min_length: Shortest word that counts, in letters.
    """
    words = [word.lower() for word in re.findall(r"\w+", text) if len(word) >= min_length]
    return len(set(words) if unique else words)


@api(
    "Data",
    "text.changeCase",
    slots={
        "text": _TEXT,
        "style": enum(
            {
                "upper": ("upper case", "uppercase", "capital letters"),
                "lower": ("lower case", "lowercase"),
                "title": ("title case",),
                "snake": ("snake case",),
            }
        ),
    },
    asks=[
        "Convert <{text}> to {style}",
        "How does <{text}> look in {style}?",
        "Change <{text}> to {style}",
        "{style}: <{text}>",
        "Our style guide wants {style}. Please rewrite {text} that way",
    ],
    missing=["Convert my title to {style}", "Change the case of {text}"],
)
def change_case(text: str, style: Literal["upper", "lower", "title", "snake"]) -> str:
    """Change the letter case of a text.

    text: The text to change.
    style: The case style wanted.
    """
    if style == "snake":
        return "_".join(re.findall(r"\w+", text.lower()))
    return getattr(text, style)()


@api(
    "Data",
    "sort_records",
    slots={
        "values": items(one(FIRST_NAMES + WORDS), 3, 6),
        "descending": flag(["in descending order", "from Z to A"], ["in ascending order", "from A to Z"]),
        "by": enum({"alphabet": ("alphabetically",), "length": ("by length",)}),
    },
    asks=[
        "Sort <{values}>[ {by}][ {descending}]",
        "Put <{values}> in order[, {descending}]",
        "How would <{values}> be ordered[ {by}][ {descending}]?",
        "Could you sort these for me: {values}[; please do it {by}]?",
        "Arrange the entries <{values}>[ {by}]",
    ],
    missing=["Sort the list[ {by}][ {descending}]", "Arrange my entries[ {descending}]"],
)
def sort_records(
    values: list[str], descending: bool = False, by: Literal["alphabet", "length"] = "alphabet"
) -> list[str]:
    """Sort a list of texts.

    values: The texts to sort.
    descending: Whether the order is reversed.
    by: What to sort by.
    """
    return sorted(values, key=len if by == "length" else str.lower, reverse=descending)


class Filter(TypedDict):
    """A condition on a column.

    column: Name of the column.
    operator: How the column is compared.
    value: What it is compared with.
    """

    column: str
    operator: Literal["=", ">", "<", ">=", "<="]
    value: float


@api(
    "Data",
    "database.query_table",
    slots={
        "table": one(_TABLES),
        "columns": items(one(_COLUMNS), 1, 3),
        "condition": record(
            ["{column} {operator} {value}"],
            column=one(["price", "age", "rating", "quantity", "score"]),
            operator=enum(
                {
                    ">": ("is greater than", ">"),
                    "<": ("is less than", "<"),
                    "=": ("equals", "="),
                    ">=": ("is at least", ">="),
                    "<=": ("is at most", "<="),
                }
            ),
            value=plain(1, 500),
        ),
        "limit": plain(5, 200),
    },
    asks=[
        "Select <{columns} from {table}>[ where {condition}][, at most {limit} rows]",
        "Query the table {table} for the columns {columns}[ where {condition}]",
        "Show {columns} of all {table}[ whose {condition}][ but no more than {limit} rows]",
        "What are the {columns} in the {table} table[ where {condition}]?",
        "I need an extract of {table} with {columns}[, only rows where {condition}][, limited to {limit} rows].",
    ],
    missing=["Select {columns} from the database", "Query the table {table}[ where {condition}]"],
)
def query_table(table: str, columns: list[str], condition: Filter | None = None, limit: int = 100) -> dict:
    """Read columns of a database table.

    table: Name of the table.
    columns: Columns to return.
    condition: Only rows that fulfil this condition.
    limit: Most rows to return.
    """
    where = f" WHERE {condition['column']} {condition['operator']} {condition['value']}" if condition else ""
    return {"sql": f"SELECT {', '.join(columns)} FROM {table}{where} LIMIT {limit}"}


@api(
    "Data",
    "normalizeSeries",
    slots={
        "series": measurements(1, 400, (3, 7)),
        "method": enum(
            {"minmax": ("min-max scaling", "min-max"), "zscore": ("z-scores", "z-score"), "sum": ("the sum",)}
        ),
        "decimals": plain(1, 6),
    },
    asks=[
        "Normalize <{series}>[ with {method}][, keeping {decimals} decimals]",
        "Scale the series <{series}>[ using {method}]",
        "What do you get when normalizing <{series}>[ by {method}]?",
        "Before plotting, I want {series} normalized[ using {method}][ to {decimals} decimals].",
        "Normalization of <{series}>[, {method}]",
    ],
    missing=["Normalize my data[ with {method}]"],
    bad=("series", [5, 5, 5]),
)
def normalize_series(
    series: list[float], method: Literal["minmax", "zscore", "sum"] = "minmax", decimals: int = 4
) -> list[float]:
    """Scale a series of numbers.

    series: The numbers.
    method: How to scale them.
    decimals: Decimal places of the results.
    """
    if max(series) == min(series):
        raise ValueError("all values are equal")
    if method == "sum":
        return [round(value / sum(series), decimals) for value in series]
    mean = sum(series) / len(series)
    spread = (sum((value - mean) ** 2 for value in series) / len(series)) ** 0.5
    low, width = (min(series), max(series) - min(series)) if method == "minmax" else (mean, spread)
    return [round((value - low) / width, decimals) for value in series]


@api(
    "Data",
    "extract_pattern",
    slots={
        "text": quoted(
            [
                "Mail ana@example.com or call 555-0134",
                "Order #4471 ships on 2025-03-09",
                "See https://example.com and #sale",
                "Tickets: 12, 15 and 99",
                "Contact ops@northwind.io before 17:30",
            ]
        ),
        "kind": enum(
            {
                "email": ("email addresses", "e-mail addresses"),
                "number": ("numbers",),
                "hashtag": ("hashtags",),
                "url": ("links", "URLs"),
            }
        ),
        "first_only": flag(["only the first one"], ["every occurrence"]),
    },
    asks=[
        "Extract the {kind} from <{text}>[, {first_only}]",
        "Which {kind} occur in <{text}>?",
        "Find all {kind} in <{text}>",
        "Pull the {kind} out of <{text}>[ ({first_only})]",
        "A customer wrote {text}. Are there any {kind} in it?",
    ],
    missing=["Extract the {kind}", "Which {kind} occur in my message?"],
    kin="extraction",
)
def extract_pattern(
    text: str, kind: Literal["email", "number", "hashtag", "url"], first_only: bool = False
) -> list[str]:
    """Extract parts of a kind from a text.

    text: The text to search.
    kind: What to extract.
    first_only: Whether to return only the first one.
    """
    pattern = {
        "email": r"[\w.]+@[\w.]+\w",
        "number": r"\d+(?:\.\d+)?",
        "hashtag": r"#\w+",
        "url": r"https?://\S+",
    }[kind]
    found = re.findall(pattern, text)
    return found[:1] if first_only else found


@api(
    "Data",
    "aggregate_totals",
    slots={
        "groups": table(
            "{key} {value}",
            one(["north", "south", "east", "west", "online", "retail", "wholesale"]),
            plain(10, 990),
            2,
            4,
        ),
        "operation": enum(
            {
                "sum": ("sum", "total"),
                "max": ("largest value", "maximum"),
                "min": ("smallest value", "minimum"),
                "average": ("average", "mean"),
            }
        ),
    },
    asks=[
        "What is the {operation} of these regional figures: {groups}?",
        "Compute the {operation} over <{groups}>",
        "{operation} for <{groups}>",
        "Here are the sales by channel: {groups}. Please give me the {operation}",
        "Determine the {operation} given the figures <{groups}>",
    ],
    missing=["What is the {operation} of the regional figures?"],
    bad=("groups", {}),
    kin="average",
)
def aggregate_totals(groups: dict[str, float], operation: Literal["sum", "max", "min", "average"]) -> float:
    """Aggregate one figure for each group into one number.

    groups: Figure of each group, by the group's name.
    operation: How to aggregate.
    """
    values = list(groups.values())
    if not values:
        raise ValueError("no groups")
    return {
        "sum": sum(values),
        "max": max(values),
        "min": min(values),
        "average": round(sum(values) / len(values), 4),
    }[operation]


class Column(TypedDict):
    """A column of a chart.

    name: Name of the column.
    color: Color it is drawn in.
    """

    name: str
    color: NotRequired[str]


@api(
    "Data",
    "charts.drawChart",
    slots={
        "column": record(
            ["{name}", "{name} (in {color})"],
            name=one(_COLUMNS),
            color=one(["red", "blue", "green", "orange", "purple", "gray"]),
        ),
        "chart_type": enum(
            {
                "bar": ("bar chart",),
                "line": ("line chart", "line plot"),
                "pie": ("pie chart",),
                "scatter": ("scatter plot",),
            }
        ),
        "title": quoted(["Monthly revenue", "Visits by country", "Class results", "Stock levels"]),
        "legend": flag(["with a legend", "including a legend"], ["without a legend"]),
    },
    asks=[
        "Draw a {chart_type} of <{column}>[ titled {title}][, {legend}]",
        "Make a {chart_type} showing <{column}>[ {legend}]",
        "Can I get a {chart_type} of <{column}>[ with the title {title}]?",
        "For the slides we want {column} as a {chart_type}[, {legend}][, headed {title}].",
        "{chart_type}: <{column}>",
    ],
    missing=["Draw a {chart_type}", "Plot {column}"],
)
def draw_chart(
    column: Column, chart_type: Literal["bar", "line", "pie", "scatter"], title: str = "", legend: bool = True
) -> dict:
    """Draw a chart of one column.

    column: The column to draw, with its color if one is wanted.
    chart_type: Kind of chart.
    title: Title above the chart.
    legend: Whether a legend is shown.
    """
    return {"chart": f"{chart_type}-{column['name']}.svg", "title": title, "legend": legend}


@api(
    "Data",
    "letter_frequency",
    slots={
        "word": quoted(WORDS),
        "letter": one(list("abeilmnorst")),
        "case_sensitive": flag(["respecting upper and lower case"], ["ignoring case"]),
    },
    asks=[
        "How often does the letter {letter} occur in <{word}>[, {case_sensitive}]?",
        "Count the letter {letter} in <{word}>",
        "Occurrences of {letter} in <{word}>[, {case_sensitive}]",
        "Please count how many times {letter} appears in <{word}>",
        "We're playing a word game with {word}. How many times does {letter} come up[, {case_sensitive}]?",
    ],
    missing=["How often does the letter {letter} occur?", "Count a letter in {word}"],
)
def letter_frequency(word: str, letter: str, case_sensitive: bool = False) -> int:
    """Count how often a letter occurs in a word.

    word: The word.
    letter: The letter to count.
    case_sensitive: Whether upper and lower case differ.
    """
    return collections.Counter(word if case_sensitive else word.lower())[letter]
