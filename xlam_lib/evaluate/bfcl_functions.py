"""The functions that BFCL's executable questions call, written from their documents (paper section 4).

Those that need nothing but their arguments are here and run for real, always in the execution check's
workers (:mod:`xlam_lib.synthesis.worker`): their arguments come from a model. As in the benchmark's own
runner, no type is checked before a call; what does not fit fails or gives another result. Those that ask a
service are named in :mod:`xlam_lib.evaluate.bfcl_services`, whose ``live`` is served from here too.

A result is JSON: a tuple becomes a list, and a complex root an object of its two parts. Counts are bounded
far above what the questions ask, so that a verdict does not hang on how fast the machine is.
"""

from __future__ import annotations

import ast
import math
import operator
import random
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from xlam_lib.evaluate.bfcl_services import live
from xlam_lib.schema import Tool
from xlam_lib.synthesis.registry import Function, Registry

Number = float
Point = Sequence[float]

FUNCTIONS = Registry("xlam_lib.evaluate.bfcl_functions:FUNCTIONS", name="BFCL's executable functions")
_STEP = 1e-10  # of the estimated derivative
_EXPRESSION = 1000  # characters of a function given as text
_EXPONENT = 1000
_COUNT = 10_000  # of terms, periods or trials
_FACTORED = 10**12


def _function(call: Callable[..., Any]) -> Callable[..., Any]:
    summary = (call.__doc__ or "").partition("\n")[0]
    # Hidden: a worker checks the types of those that are not.
    FUNCTIONS.add(Function(call.__name__, "BFCL", Tool(call.__name__, summary, {}), call), hidden=True)
    return call


_function(live)


def _bounded(count: Number, largest: int = _COUNT) -> Any:
    if abs(count) > largest:
        raise ValueError(f"a number beyond {largest:,}")
    return count


def _dot(first: Sequence[Number], second: Sequence[Number]) -> Number:
    return sum(a * b for a, b in zip(first, second, strict=True))


# ---------------------------------------------------------------------------------- numbers and sequences


@_function
def add_binary_numbers(a: str, b: str) -> str:
    """The sum of two binary numbers, in binary."""
    return format(int(a, 2) + int(b, 2), "b")


@_function
def convert_binary_to_decimal(binary: str) -> int:
    """A binary number's value."""
    return int(binary, 2)


@_function
def convert_decimal_to_hex(decimal: int) -> str:
    """A number in hexadecimal."""
    return format(decimal, "x")


@_function
def math_factorial(n: int) -> int:
    """The product of the numbers up to n."""
    return math.factorial(_bounded(n))


@_function
def math_gcd(a: int, b: int) -> int:
    """The greatest common divisor."""
    return math.gcd(a, b)


@_function
def math_lcm(a: int, b: int) -> int:
    """The least common multiple."""
    return math.lcm(a, b)


@_function
def get_prime_factors(number: int) -> list[int]:
    """The prime factors in ascending order, each as often as it divides."""
    factors, divisor = [], 2
    _bounded(number, _FACTORED)
    while divisor * divisor <= number:
        while number % divisor == 0:
            factors.append(divisor)
            number //= divisor
        divisor += 1
    return [*factors, number] if number > 1 else factors


@_function
def get_fibonacci_sequence(n: int) -> list[int]:
    """The first n Fibonacci numbers, from 0 and 1."""
    numbers, pair = [], (0, 1)
    for _ in range(_bounded(n)):
        numbers.append(pair[0])
        pair = (pair[1], sum(pair))
    return numbers


@_function
def get_fibonacci_number(n: int) -> int:
    """The Fibonacci number at place n, where place 0 holds 0 and place 1 holds 1."""
    if n < 0:
        raise ValueError("the place is negative")
    return get_fibonacci_sequence(n + 1)[n]


@_function
def calculate_permutations(n: int, k: int) -> int:
    """How many ordered choices of k out of n there are."""
    return math.perm(_bounded(n), k)


@_function
def generate_random_number(min: int, max: int) -> int:
    """A random whole number between the two bounds, both included."""
    return random.randint(min, max)


@_function
def sort_array(array: list[Any], reverse: bool = False) -> list[Any]:
    """The array in ascending order, or in descending."""
    return sorted(array, reverse=reverse)


# -------------------------------------------------------------------------------------------- statistics


@_function
def calculate_mean(numbers: list[Number]) -> Number:
    """The arithmetic mean."""
    return sum(numbers) / len(numbers)


@_function
def calculate_standard_deviation(numbers: list[Number]) -> Number:
    """The standard deviation of a whole population."""
    return statistics.pstdev(numbers)


@_function
def calc_binomial_probability(n: int, k: int, p: float) -> float:
    """The probability of exactly k successes in n independent trials."""
    # k may be written as a float, which its document asks for in one question.
    return math.comb(int(_bounded(n)), int(k)) * p**k * (1 - p) ** (n - k)


@_function
def calculate_slope(x: list[Number], y: list[Number]) -> Number:
    """The slope of the least squares line."""
    return statistics.linear_regression(x, y).slope


@_function
def calculate_intercept(x: list[Number], y: list[Number], slope: Number) -> Number:
    """Where a line of that slope through the points' mean crosses the y axis."""
    return calculate_mean(y) - slope * calculate_mean(x)


@_function
def predict_value(slope: Number, intercept: Number, x: Number) -> Number:
    """A line's value at x."""
    return slope * x + intercept


@_function
def linear_regression(x: list[Number], y: list[Number], point: Number) -> Number:
    """The least squares line's value at a point."""
    slope = calculate_slope(x, y)
    return predict_value(slope, calculate_intercept(x, y, slope), point)


# ------------------------------------------------------------------------------- algebra and the calculus


@_function
def calculate_cosine_similarity(vectorA: list[Number], vectorB: list[Number]) -> Number:
    """The cosine of the angle between two vectors."""
    return _dot(vectorA, vectorB) / (math.hypot(*vectorA) * math.hypot(*vectorB))


@_function
def mat_mul(matA: list[list[Number]], matB: list[list[Number]]) -> list[list[Number]]:
    """The product of two matrices, given as lists of rows.

    Columns of the first beyond the rows of the second are left out: one right call has such.
    """
    columns = list(zip(*matB, strict=True))
    return [[_dot(row[: len(matB)], column) for column in columns] for row in matA]


@_function
def quadratic_roots(a: Number, b: Number, c: Number) -> list[Any]:
    """Both roots, that with the positive square root of the discriminant first."""
    root = (b * b - 4 * a * c) ** 0.5
    return [_json((-b + sign * root) / (2 * a)) for sign in (1, -1)]


def _json(value: Any) -> Any:
    return {"real": value.real, "imaginary": value.imag} if isinstance(value, complex) else value


@_function
def estimate_derivative(function: str, x: Number) -> Number:
    """A forward difference of a function of one variable, which is written as a Python lambda."""
    curve = _curve(function)
    return (curve(x + _STEP) - curve(x)) / _STEP


_OPERATORS: dict[type, Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}
_NAMED = {
    name: getattr(math, name)
    for name in ("sin", "cos", "tan", "asin", "acos", "atan", "exp", "log", "log10", "sqrt", "pi", "e")
}  # fmt: skip


def _curve(text: str) -> Callable[[Number], Any]:
    """The function that a lambda of one argument describes: arithmetic and the functions of ``math``.

    The text is walked, never evaluated.
    """
    if len(text) > _EXPRESSION:
        raise ValueError(f"a function of {len(text)} characters")
    node = ast.parse(text.strip(), mode="eval").body
    if not isinstance(node, ast.Lambda) or len(node.args.args) != 1:
        raise ValueError("not a lambda of one argument")
    variable = node.args.args[0].arg
    return lambda x: _value(node.body, variable, x)


def _value(node: ast.expr, variable: str, x: Number) -> Any:
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        return node.value
    if isinstance(node, ast.Name) and node.id == variable:
        return x
    if isinstance(node, ast.UnaryOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_value(node.operand, variable, x))
    if isinstance(node, ast.BinOp):
        left, right = _value(node.left, variable, x), _value(node.right, variable, x)
        if isinstance(node.op, ast.Pow):
            return _power(left, right)
        if type(node.op) in _OPERATORS:
            return _OPERATORS[type(node.op)](left, right)
    if isinstance(node, ast.Call) and not node.keywords:
        return _named(node.func)(*(_value(argument, variable, x) for argument in node.args))
    if isinstance(node, (ast.Name, ast.Attribute)):
        return _named(node)
    raise ValueError(f"{type(node).__name__} is not arithmetic")


def _power(base: Any, exponent: Any) -> Any:
    if abs(exponent) > _EXPONENT:
        raise ValueError(f"an exponent of {exponent}")
    return base**exponent


def _named(node: ast.expr) -> Any:
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "math":
        name = node.attr
    else:
        name = node.id if isinstance(node, ast.Name) else ""
    if name not in _NAMED:
        raise ValueError(f"{name or type(node).__name__} is not a function that can be used here")
    return _NAMED[name]


# ---------------------------------------------------------------------------------------------- geometry


@_function
def calculate_triangle_area(base: Number, height: Number) -> Number:
    """A triangle's area."""
    return base * height / 2


@_function
def geometry_area_circle(radius: Number) -> Number:
    """A circle's area."""
    return math.pi * radius**2


@_function
def get_distance(pointA: Point, pointB: Point) -> Number:
    """The distance of two points of the plane."""
    return math.hypot(pointA[0] - pointB[0], pointA[1] - pointB[1])


@_function
def polygon_area(vertices: list[Point]) -> Number:
    """A polygon's area by the shoelace formula."""
    if not validate_polygon(vertices):
        raise ValueError("a polygon has at least three vertices")
    following = [*vertices[1:], vertices[0]]
    return abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(vertices, following, strict=True))) / 2


@_function
def validate_polygon(vertices: list[Point]) -> bool:
    """Whether there are at least three vertices, each of two coordinates."""
    return len(vertices) >= 3 and all(len(vertex) == 2 for vertex in vertices)


@_function
def convert_coordinates(coordinates: list[Point]) -> list[list[float]]:
    """Pairs as lists."""
    return [list(pair) for pair in coordinates]


@_function
def maxPoints(points: list[Point]) -> int:
    """The largest number of points on one line."""
    best = min(len(points), 1)
    for place, (x, y) in enumerate(points):
        slopes = Counter(
            Fraction(b - y) / Fraction(a - x) if a != x else None for a, b in points[place + 1 :]
        )
        best = max([best, *(count + 1 for count in slopes.values())])
    return best


# ----------------------------------------------------------------------------------------------- physics


@_function
def calculate_final_velocity(initial_velocity: Number, acceleration: Number, time: Number) -> Number:
    """The velocity after a time of constant acceleration."""
    return initial_velocity + acceleration * time


@_function
def calculate_displacement(initial_velocity: Number, acceleration: Number, time: Number) -> Number:
    """The distance covered in a time of constant acceleration."""
    return initial_velocity * time + acceleration * time**2 / 2


@_function
def calculate_electrostatic_potential_energy(charge: Number, voltage: Number) -> Number:
    """The energy of a charge at a voltage."""
    return charge * voltage


@_function
def calculate_density(mass: Number, volume: Number) -> Number:
    """Mass by volume."""
    return mass / volume


@_function
def convert_temperature(temperature: Number, unit_from: str, unit_to: str) -> Number:
    """Celsius to Fahrenheit or back."""
    units = (unit_from.strip().lower(), unit_to.strip().lower())
    if units == ("celsius", "fahrenheit"):
        return temperature * 9 / 5 + 32
    if units == ("fahrenheit", "celsius"):
        return (temperature - 32) * 5 / 9
    if units[0] == units[1] and units[0] in ("celsius", "fahrenheit"):
        return temperature
    raise ValueError(f"from {unit_from!r} to {unit_to!r}: give Celsius and Fahrenheit")


# ----------------------------------------------------------------------------------------------- finance


@_function
def calculate_future_value(
    present_value: Number,
    interest_rate: Number | None = None,
    periods: int | None = None,
    annual_contribution: Number = 0,
    years: int | None = None,
    rate_of_return: Number | None = None,
) -> Number:
    """What an amount grows to, with a contribution at the end of each year where one is given.

    Two documents share the name: one has ``interest_rate`` and ``periods``, the other the last three.
    """
    rate = interest_rate if interest_rate is not None else rate_of_return
    count = periods if periods is not None else years
    if rate is None or count is None:
        raise TypeError("needs a rate and a number of periods")
    _bounded(count)
    value = present_value * (1 + rate) ** count
    return value + sum(annual_contribution * (1 + rate) ** past for past in range(count)) if years else value


@_function
def compound_interest(principal: Number, rate: Number, times_compounded: int, years: int) -> Number:
    """What a principal grows to, compounded several times a year."""
    return principal * (1 + rate / times_compounded) ** _bounded(times_compounded * years)


@_function
def calculate_interest_rate(principal: Number, rate: Number, time: Number) -> Number:
    """Simple interest on a principal."""
    return principal * rate * time


@_function
def inflation_adjustment(amount: Number, inflation_rate: Number, years: int) -> Number:
    """What an amount is worth after years of inflation."""
    return amount / (1 + inflation_rate) ** _bounded(years)


@_function
def adjust_for_inflation(investment_value: Number, inflation_rates: list[Number]) -> Number:
    """What a value is worth after each year's inflation."""
    return investment_value / math.prod(1 + rate for rate in inflation_rates)


@_function
def mortgage_calculator(loan_amount: Number, interest_rate: Number, loan_period: Number) -> Number:
    """The monthly payment of an annuity loan; the rate is a year's."""
    monthly, payments = interest_rate / 12, _bounded(loan_period * 12)
    growth = (1 + monthly) ** payments
    return loan_amount * monthly * growth / (growth - 1)


@_function
def calculate_investment_value(
    initial_investment: Number,
    annual_contribution: Number,
    years: int,
    annual_return: Number,
    inflation_rate: list[Number],
    adjust_for_inflation: bool = True,
) -> Number:
    """What an investment with yearly contributions is worth, by default less each year's inflation.

    A year beyond the list has the list's last rate.
    """
    value = initial_investment
    for year in range(_bounded(years)):
        lost = inflation_rate[min(year, len(inflation_rate) - 1)] if adjust_for_inflation else 0
        value = value * (1 + annual_return - lost) + annual_contribution * (1 - lost)
    return value


# --------------------------------------------------------------------------------------- health, bookings

_ACTIVITY = (1.2, 1.375, 1.55, 1.725, 1.9)
_GOALS = {"lose": -500, "gain": 500}
_MACRONUTRIENTS = (("proteins_g", 0.30, 4), ("fats_g", 0.25, 9), ("carbohydrates_g", 0.45, 4))


@_function
def calculate_basal_metabolic_rate(weight: Number, height: Number, age: Number, gender: str) -> Number:
    """Kilocalories a day at rest, by the revised Harris-Benedict equations."""
    if gender == "male":
        return 88.362 + 13.397 * weight + 4.799 * height - 5.677 * age
    return 447.593 + 9.247 * weight + 3.098 * height - 4.330 * age


@_function
def calculate_daily_energy_expenditure(basal_metabolic_rate: Number, activity_level: float) -> Number:
    """Kilocalories a day at an activity level of 1 to 5."""
    place = int(activity_level) - 1
    if place != activity_level - 1 or not 0 <= place < len(_ACTIVITY):
        raise ValueError(f"activity level {activity_level}: not 1, 2, 3, 4 or 5")
    return basal_metabolic_rate * _ACTIVITY[place]


@_function
def calculate_nutritional_needs(
    weight: Number, height: Number, age: Number, gender: str, activity_level: float, goal: str
) -> dict[str, Number]:
    """Kilocalories and grams of macronutrients a day."""
    resting = calculate_basal_metabolic_rate(weight, height, age, gender)
    energy = calculate_daily_energy_expenditure(resting, activity_level) + _GOALS.get(goal, 0)
    return {"calories": energy} | {name: energy * part / per for name, part, per in _MACRONUTRIENTS}


@_function
def book_room(
    room_type: Any,
    check_in_date: str,
    check_out_date: str,
    customer_id: str,
    price: Number = 0.0,
    discount_code: str | None = None,
) -> dict[str, Any]:
    """The booking's details; the code ``DISCOUNT10`` takes a tenth off."""
    return {
        "customer_id": customer_id,
        "room_number": room_type,
        "check_in_date": check_in_date,
        "check_out_date": check_out_date,
        "total_price": apply_discount(price, 10) if discount_code == "DISCOUNT10" else price,
    }


@_function
def confirm_booking(customer_id: str, room_number: str, total_price: Number) -> dict[str, Any]:
    """A confirmation of a booking."""
    return {"customer_id": customer_id, "room_number": room_number, "total_price": total_price}


@_function
def calculate_total_price(room_price: Number, nights: int, discount: Number = 0) -> Number:
    """The price of some nights less a discount amount."""
    return room_price * nights - discount


@_function
def apply_discount(total: Number, discount: Number) -> Number:
    """A total less a percentage."""
    return total * (1 - discount / 100)


@_function
def calculate_total(quantities: list[int], prices: list[Number]) -> Number:
    """The price of some of each product."""
    return _dot(quantities, prices)


@_function
def order_food(item: list[str], quantity: list[int], price: list[Number]) -> Number:
    """The total price of an order."""
    if len(item) != len(quantity):
        raise ValueError(f"{len(item)} items and {len(quantity)} quantities")
    return calculate_total(quantity, price)
