"""Math functions."""
# ruff: noqa: E501 (a template is one line)

from __future__ import annotations

import math
from typing import Literal, TypedDict

from xlam_lib.synthesis.library.base import api
from xlam_lib.synthesis.values import decimal, enum, flag, items, matrix, measurements, record, rising, whole


@api(
    "Math",
    "geometry.ring_area",
    slots={"inner_radius,outer_radius": rising(decimal(1, 60)), "decimals": whole(1, 5)},
    asks=[
        "What is the area of a ring with <inner radius {inner_radius} and outer radius {outer_radius}>[, rounded to {decimals} decimals]?",
        "Compute the area of the ring between two circles of <radius {inner_radius} and {outer_radius}>[ to {decimals} decimal places]",
        "Work out the surface of <an annulus whose inner radius is {inner_radius} and whose outer radius is {outer_radius}>",
        "Ring area, <inner {inner_radius}, outer {outer_radius}>",
        "I'm cutting a washer with an inner radius of {inner_radius} and an outer radius of {outer_radius}. How much metal area remains[, to {decimals} decimals]?",
    ],
    missing=[
        "What is the area of a ring with an outer radius of {outer_radius}?",
        "Compute the area of a ring for me",
    ],
)
def ring_area(inner_radius: float, outer_radius: float, decimals: int = 2) -> float:
    """Calculate the area between two concentric circles.

    inner_radius: Radius of the inner circle.
    outer_radius: Radius of the outer circle; must be larger than the inner radius.
    decimals: Number of decimal places of the result.
    """
    if outer_radius <= inner_radius:
        raise ValueError("outer radius must exceed inner radius")
    return round(math.pi * (outer_radius**2 - inner_radius**2), decimals)


@api(
    "Math",
    "greatest_divisor_of_list",
    slots={"numbers": items(whole(6, 900, words=False), 2, 5)},
    asks=[
        "What is the greatest common divisor of <{numbers}>?",
        "Find the largest number that divides all of <{numbers}>",
        "GCD of <{numbers}>",
        "I have these numbers: {numbers}. Which is the biggest integer dividing every one of them?",
        "Determine the greatest common factor of <{numbers}>",
    ],
    missing=["What is the greatest common divisor?", "Find the GCD of my numbers"],
    bad=("numbers", []),
)
def greatest_divisor_of_list(numbers: list[int]) -> int:
    """Find the greatest common divisor of a list of integers.

    numbers: The integers, at least one.
    """
    if not numbers:
        raise ValueError("numbers is empty")
    return math.gcd(*numbers)


@api(
    "Math",
    "solveLinearSystem",
    slots={"coefficients": matrix((2, 2), (2, 2), -9, 12), "constants": measurements(-20, 40, (2, 2))},
    asks=[
        "Solve the linear system with <coefficient matrix {coefficients} and right-hand side {constants}>",
        "What x and y satisfy the equations given by <coefficients {coefficients} and constants {constants}>?",
        "Linear system: <coefficients {coefficients}, constants {constants}>. Solve it",
        "My homework has two equations in two unknowns, with coefficients {coefficients} and constants {constants}. What is the solution?",
        "Find the solution of <the 2x2 system {coefficients} with constants {constants}>",
    ],
    missing=["Solve the linear system with coefficients {coefficients}"],
)
def solve_linear_system(coefficients: list[list[float]], constants: list[float]) -> list[float] | str:
    """Solve a system of two linear equations in two unknowns.

    coefficients: Two rows of two coefficients each.
    constants: The right-hand side of each of the two equations.
    """
    (a, b), (c, d) = coefficients
    e, f = constants
    determinant = a * d - b * c
    if determinant == 0:
        return "no unique solution"
    return [round((e * d - b * f) / determinant, 6), round((a * f - e * c) / determinant, 6)]


@api(
    "Math",
    "statistics.summarize_values",
    slots={
        "values": measurements(1, 99, (4, 8)),
        "measure": enum(
            {"mean": ("mean", "average"), "median": "median", "stdev": "standard deviation", "range": "range"}
        ),
        "sample": flag(["treating them as a sample"], ["treating them as the whole population"]),
    },
    asks=[
        "What is the {measure} of <{values}>[, {sample}]?",
        "Calculate the {measure} for the data set <{values}>[, {sample}]",
        "{measure} of <{values}>",
        "Could you tell me the {measure} of these readings: {values}?",
        "I recorded the values {values} in the lab and need their {measure}.",
    ],
    missing=["What is the {measure} of my data?", "Calculate the {measure}"],
    bad=("values", []),
    kin="average",
)
def summarize_values(
    values: list[float], measure: Literal["mean", "median", "stdev", "range"], sample: bool = True
) -> float:
    """Compute one summary statistic of a list of numbers.

    values: The numbers to summarize.
    measure: Which statistic to compute.
    sample: Whether the values are a sample (n - 1 in the standard deviation) or the whole population.
    """
    if len(values) < 2:
        raise ValueError("at least two values are needed")
    ordered, count = sorted(values), len(values)
    mean = sum(values) / count
    if measure == "median":
        return (ordered[(count - 1) // 2] + ordered[count // 2]) / 2
    if measure == "range":
        return ordered[-1] - ordered[0]
    if measure == "stdev":
        return round(math.sqrt(sum((v - mean) ** 2 for v in values) / (count - sample)), 6)
    return round(mean, 6)


@api(
    "Math",
    "primes_in_range",
    slots={"start,end": rising(whole(2, 3000, words=False)), "limit": whole(3, 20)},
    asks=[
        "List the prime numbers <between {start} and {end}>[, at most {limit} of them]",
        "Which primes lie <between {start} and {end}>?",
        "Primes <from {start} to {end}>[, first {limit} only]",
        "Please give me all primes <from {start} up to {end}>",
        "For a number theory quiz I need the prime numbers from {start} to {end}[, but no more than {limit}].",
    ],
    missing=["List all the prime numbers starting at {start}", "Which primes are below my limit?"],
)
def primes_in_range(start: int, end: int, limit: int | None = None) -> list[int]:
    """List the prime numbers between two bounds, both included.

    start: Lower bound.
    end: Upper bound, at most 100000.
    limit: Return only this many primes, the smallest first.
    """
    if end > 100_000:
        raise ValueError("end is too large")
    primes = [n for n in range(max(2, start), end + 1) if all(n % d for d in range(2, math.isqrt(n) + 1))]
    return primes[:limit]


@api(
    "Math",
    "matrixMultiply",
    slots={"left": matrix((2, 2), (2, 2), -5, 9), "right": matrix((2, 2), (1, 3), -5, 9)},
    asks=[
        "Multiply <the matrix {left} by {right}>",
        "What is the product of <the matrices {left} and {right}>?",
        "<{left} times {right}>, as matrices",
        "Compute the matrix product <{left} x {right}>",
        "In my linear algebra class we have A = {left} and B = {right}. What is AB?",
    ],
    missing=["Multiply the matrix {left} by the other one"],
)
def matrix_multiply(left: list[list[float]], right: list[list[float]]) -> list[list[float]]:
    """Multiply two matrices.

    left: The first matrix as a list of rows.
    right: The second matrix as a list of rows; it has as many rows as the first has columns.
    """
    if any(len(row) != len(right) for row in left):
        raise ValueError("shapes do not fit")
    return [
        [sum(a * b for a, b in zip(row, col, strict=True)) for col in zip(*right, strict=True)]
        for row in left
    ]


@api(
    "Math",
    "convert_number_base",
    slots={
        "number": whole(10, 5000, words=False),
        "base": enum(
            {2: ("binary", "base 2"), 8: ("octal", "base 8"), 16: ("hexadecimal", "hex", "base 16")}
        ),
        "prefix": flag(["with the usual prefix", "including the prefix"], ["without any prefix"]),
    },
    asks=[
        "Convert <{number}> to {base}[ {prefix}]",
        "What is <{number}> in {base}[, {prefix}]?",
        "Write the decimal number <{number}> in {base}[, {prefix}]",
        "{number} in {base} please",
        "I'm debugging firmware and need the value {number} in {base}[, {prefix}].",
    ],
    missing=["Convert {number} to another base", "What is my number in {base}?"],
)
def convert_number_base(number: int, base: Literal[2, 8, 16], prefix: bool = False) -> str:
    """Write a decimal integer in another base.

    number: The integer, in decimal.
    base: The target base: 2 (binary), 8 (octal) or 16 (hexadecimal).
    prefix: Whether to put 0b, 0o or 0x in front.
    """
    digits = {2: bin, 8: oct, 16: hex}[base](number)
    return digits if prefix else digits[2:]


class Point(TypedDict):
    """A point in the plane.

    x: Horizontal coordinate.
    y: Vertical coordinate.
    """

    x: float
    y: float


_POINT = record(
    ["({x}, {y})", "({x}, {y})", "x={x}, y={y}"], x=whole(-40, 60, words=False), y=whole(-40, 60, words=False)
)


@api(
    "Math",
    "geometry.pointDistance",
    slots={
        "start": _POINT,
        "end": _POINT,
        "metric": enum({"euclidean": ("Euclidean", "straight-line"), "manhattan": ("Manhattan", "taxicab")}),
    },
    asks=[
        "How far apart are <the points {start} and {end}>[ in the {metric} metric]?",
        "Calculate the distance <from {start} to {end}>[ using the {metric} metric]",
        "Distance <between {start} and {end}>[, {metric}]",
        "Please measure the[ {metric}] distance <between the points {start} and {end}>",
        "On my plot there is a point at {start} and another at {end}. What is the[ {metric}] distance between them?",
    ],
    missing=["How far is the point {start} from the other point?"],
)
def point_distance(
    start: Point, end: Point, metric: Literal["euclidean", "manhattan"] = "euclidean"
) -> float:
    """Measure the distance between two points in the plane.

    start: The first point, with its x and y.
    end: The second point, with its x and y.
    metric: How the distance is measured.
    """
    width, height = abs(end["x"] - start["x"]), abs(end["y"] - start["y"])
    return width + height if metric == "manhattan" else round(math.hypot(width, height), 6)
