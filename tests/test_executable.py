"""BFCL's executable questions: their functions, right calls, rules, and services that are asked."""

import json
import math
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xlam_lib.errors import AssetError
from xlam_lib.evaluate import bfcl, bfcl_functions, executable
from xlam_lib.evaluate.bfcl_services import SERVICES, Live
from xlam_lib.evaluate.oracle import oracle
from xlam_lib.synthesis.execute import Outcome, Pool

EXECUTED = [name for name, category in bfcl.CATEGORIES.items() if category.executed]
UNHURRIED = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow]
)  # a busy machine is no fault
RUN = {name: function.call for name, function in bfcl_functions.FUNCTIONS.hidden.items()}


@pytest.fixture(scope="module")
def asked() -> list[bfcl.Question]:
    try:
        return bfcl.questions(EXECUTED)
    except AssetError as error:
        pytest.skip(f"the benchmark cannot be fetched: {error}")


@pytest.fixture(scope="module")
def pool():
    with Pool(1, registry=executable.REGISTRY) as pool:
        yield pool


def question(*right: str, rules=("exact_match",), category="exec_parallel", functions=(), **fields):
    return bfcl.Question(
        id=f"{category}_0",
        category=category,
        language="python",
        query="Please.",
        messages=(("user", "Please."),),
        functions=list(functions),
        tools=[],
        ground_truth=list(right),
        result_types=list(rules) * len(right),
        **fields,
    )


def find(q, *calls, **options) -> executable.Finding:
    return executable.judge_calls([(q, [{name: arguments} for name, arguments in calls])], **options)[0]


# ---------------------------------------------------------------------------------------- right answers


def test_right_calls_are_right_in_every_category(asked):
    score = bfcl.score({q.id: oracle(q) for q in asked}, questions=asked)
    assert {name: (rate.correct, rate.count) for name, rate in score.categories.items()} == {
        "exec_simple": (100, 100),
        "rest": (70, 70),
        "exec_multiple": (50, 50),
        "exec_parallel": (50, 50),
        "exec_parallel_multiple": (40, 40),
    }
    assert [score.columns[name] for name in bfcl.EXEC_COLUMNS] == [1.0] * 4
    bases = {verdict.basis for verdict in score.verdicts}
    assert bases == {"executed", "arguments", "arguments and executed"}
    assert all(v.basis == "arguments" for v in score.verdicts if v.category == "rest")


def test_other_questions_right_calls_are_wrong(asked, pool):
    """Each question answered with the next one's right calls: right only where the two ask the same."""
    same = 0
    pairs = []
    for q, other in zip(asked, asked[1:] + asked[:1], strict=True):
        calls = [{call.name: call.arguments} for call in executable.right_calls(other)]
        pairs.append((q, calls))
    for (q, _), found in zip(pairs, executable.judge_calls(pairs, executor=pool), strict=True):
        same += found.valid
        assert found.valid or found.error_type.startswith("executable:"), q.id
    assert same <= 25  # some neighbours ask the same: a long weekend, a currency table


def test_every_function_of_the_questions_is_known(asked):
    named = {function["name"] for q in asked for function in q.functions} - {executable.REQUEST}
    assert named == (set(RUN) - {"live"}) | set(SERVICES)
    assert len(set(RUN) - {"live"}) == 51 and len(SERVICES) == 21


def test_functions_take_the_arguments_of_their_documents(asked):
    import inspect

    for q in asked:
        for function in q.functions:
            call = RUN.get(function["name"])
            if call is not None:
                known = set(inspect.signature(call).parameters)
                assert set(function["parameters"]["properties"]) <= known, function["name"]


# -------------------------------------------------------------------------------------------- functions


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("add_binary_numbers", {"a": "101", "b": "1"}, "110"),
        ("convert_binary_to_decimal", {"binary": "1010"}, 10),
        ("convert_decimal_to_hex", {"decimal": 254}, "fe"),
        ("math_factorial", {"n": 6}, 720),
        ("math_gcd", {"a": 18, "b": 12}, 6),
        ("math_lcm", {"a": 4, "b": 6}, 12),
        ("get_prime_factors", {"number": 360}, [2, 2, 2, 3, 3, 5]),
        ("get_fibonacci_sequence", {"n": 6}, [0, 1, 1, 2, 3, 5]),
        ("get_fibonacci_number", {"n": 6}, 8),
        ("calculate_permutations", {"n": 5, "k": 2}, 20),
        ("sort_array", {"array": [2, 3, 1], "reverse": True}, [3, 2, 1]),
        ("calculate_mean", {"numbers": [1, 2, 6]}, 3),
        ("calculate_standard_deviation", {"numbers": [2, 4, 4, 4, 5, 5, 7, 9]}, 2),
        ("calc_binomial_probability", {"n": 4, "k": 2.0, "p": 0.5}, 0.375),
        ("linear_regression", {"x": [0, 1, 2], "y": [1, 3, 5], "point": 10}, 21),
        ("calculate_cosine_similarity", {"vectorA": [1, 0], "vectorB": [1, 1]}, 2**-0.5),
        ("mat_mul", {"matA": [[1, 2]], "matB": [[3], [4]]}, [[11]]),
        ("quadratic_roots", {"a": 1, "b": -3, "c": 2}, [2, 1]),
        ("calculate_triangle_area", {"base": 3, "height": 4}, 6),
        ("geometry_area_circle", {"radius": 2}, 4 * math.pi),
        ("get_distance", {"pointA": [0, 0], "pointB": [3, 4]}, 5),
        ("polygon_area", {"vertices": [[0, 0], [4, 0], [4, 3], [0, 3]]}, 12),
        ("validate_polygon", {"vertices": [[0, 0], [1, 1]]}, False),
        ("convert_coordinates", {"coordinates": [(1, 2)]}, [[1, 2]]),
        ("maxPoints", {"points": [[1, 1], [2, 2], [3, 4], [5, 5]]}, 3),
        ("calculate_final_velocity", {"initial_velocity": 2, "acceleration": 3, "time": 4}, 14),
        ("calculate_displacement", {"initial_velocity": 2, "acceleration": 3, "time": 4}, 32),
        ("calculate_electrostatic_potential_energy", {"charge": 2, "voltage": 3}, 6),
        ("calculate_density", {"mass": 6, "volume": 4}, 1.5),
        ("convert_temperature", {"temperature": 100, "unit_from": "Celsius", "unit_to": "Fahrenheit"}, 212),
        ("calculate_future_value", {"present_value": 100, "interest_rate": 0.1, "periods": 2}, 121),
        (
            "calculate_future_value",
            {"present_value": 100, "annual_contribution": 10, "years": 2, "rate_of_return": 0.1},
            142,
        ),
        ("compound_interest", {"principal": 100, "rate": 0.2, "times_compounded": 2, "years": 1}, 121),
        ("inflation_adjustment", {"amount": 121, "inflation_rate": 0.1, "years": 2}, 100),
        ("adjust_for_inflation", {"investment_value": 121, "inflation_rates": [0.1, 0.1]}, 100),
        ("mortgage_calculator", {"loan_amount": 120_000, "interest_rate": 0.06, "loan_period": 30}, 719.46),
        (
            "calculate_investment_value",
            {
                "initial_investment": 100,
                "annual_contribution": 10,
                "years": 1,
                "annual_return": 0.1,
                "inflation_rate": [0.1],
            },
            109,
        ),
        (
            "book_room",
            {
                "room_type": "double",
                "price": 50,
                "check_in_date": "a",
                "check_out_date": "b",
                "customer_id": "7",
                "discount_code": "DISCOUNT10",
            },
            {
                "customer_id": "7",
                "room_number": "double",
                "check_in_date": "a",
                "check_out_date": "b",
                "total_price": 45,
            },
        ),
        ("order_food", {"item": ["tea", "bun"], "quantity": [2, 3], "price": [1.5, 2]}, 9),
        ("calculate_total_price", {"room_price": 50, "nights": 3, "discount": 20}, 130),
        ("estimate_derivative", {"function": "lambda t: 3*t**2 + math.sin(0)", "x": 2}, 12),
    ],
)
def test_functions(name, arguments, expected):
    given_ = RUN[name](**arguments)
    if isinstance(expected, (int, float)) and not isinstance(expected, bool):
        assert given_ == pytest.approx(expected, rel=1e-4)
    else:
        assert given_ == expected


@pytest.mark.parametrize(
    "text",
    [
        "lambda x: __import__('os').system('true')",
        "lambda x: x.__class__",
        "lambda x: (lambda y: y)(x)",
        "lambda x: x ** 10 ** 9",
        "lambda x: [x for _ in range(9)]",
        "lambda x, y: x",
        "lambda x: open('f')",
        "lambda x: math.factorial(9)",
        "x + 1",
        "lambda x: " + "-" * 2000 + "x",
        "lambda x: x^2",
        "",
    ],
)
def test_a_function_as_text_is_walked_and_never_evaluated(text):
    with pytest.raises((ValueError, SyntaxError)):
        RUN["estimate_derivative"](text, 1)


def test_calls_run_in_workers_and_their_failures_are_verdicts(pool):
    q = question("math_factorial(n=3)", category="exec_simple")
    cases = [
        ("math_factorial", {"n": "3"}),
        ("math_factorial", {"n": -1}),
        ("math_factorial", {"n": 3, "m": 1}),
        ("math_factorial", {}),
        ("no_such_function", {}),
        ("generate_random_number", {"min": 3, "max": 1}),
        ("get_fibonacci_sequence", {"n": 9_999}),  # more output than a worker may give
        ("get_fibonacci_sequence", {"n": 2**64}),
        ("get_prime_factors", {"number": 2**64}),
        ("mortgage_calculator", {"loan_amount": 1, "interest_rate": 2**64, "loan_period": 2**64}),
    ]
    for name, arguments in cases:
        found = find(q, (name, arguments), executor=pool)
        assert (found.valid, found.error_type) == (False, "executable:execution_error"), name
    assert find(q, ("math_factorial", {"n": 3}), executor=pool) == (True, "", "", "executed")
    wrong = find(q, ("math_factorial", {"n": 4}), executor=pool)
    assert wrong.error_type == "executable:wrong_result" and "24" in wrong.message
    # The result counts, not how it came about: 3! is also lcm(2, 3).
    assert find(q, ("math_lcm", {"a": 2, "b": 3}), executor=pool).valid
    asks = find(q, ("get_movie_rating", {"movie_name": "X"}), executor=pool)
    assert asks.error_type == "executable:wrong_function"


def test_several_calls_in_any_order(pool):
    q = question("math_gcd(a=4, b=6)", "math_lcm(a=4, b=6)")
    two = ("math_gcd", {"a": 4, "b": 6}), ("math_lcm", {"a": 4, "b": 6})
    assert find(q, *two, executor=pool).valid and find(q, *two[::-1], executor=pool).valid
    assert find(q, two[0], executor=pool).error_type == "executable:wrong_count"
    assert find(q, *two, two[0], executor=pool).error_type == "executable:wrong_count"
    assert find(q, two[0], two[0], executor=pool).error_type == "executable:no_match"
    assert find(q, executor=pool).error_type == "executable:wrong_count"


# ------------------------------------------------------------------------------------------- right calls


def test_right_calls_are_read_as_literals():
    read = executable.read_call("f.g(1, a=-2.5, b=[(1, 2), {'k': None}], c=1/4, d=3*3, e='x', g=True)")
    assert read == (
        "f.g",
        [1],
        {"a": -2.5, "b": [[1, 2], {"k": None}], "c": 0.25, "d": 9, "e": "x", "g": True},
    )


@pytest.mark.parametrize(
    "source",
    [
        "f",
        "f(a=g())",
        "f(a=x)",
        "f(**{})",
        "f(a=1/0)",
        "f(a='x'*3)",
        "f(a=2**9)",
        "f(",
        "",
        "f(a=[*b])",
        "f()()",
    ],
)
def test_what_is_not_a_literal_call_is_an_error(source):
    with pytest.raises(ValueError):
        executable.read_call(source)
    with pytest.raises(AssetError, match="exec_parallel_0"):
        executable.right_calls(question(source))


_LITERALS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@UNHURRIED
@given(st.dictionaries(st.sampled_from(["a", "b_c", "d2"]), _LITERALS, max_size=3))
def test_a_written_call_is_read_back(arguments):
    source = f"f({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"
    assert executable.read_call(source) == ("f", [], arguments)


@UNHURRIED
@given(st.text(max_size=60))
def test_no_text_breaks_the_reader(text):
    try:
        executable.read_call(text)
    except ValueError:
        pass


def test_arguments_by_place_take_the_documents_names():
    document = {"name": "f", "parameters": {"properties": {"a": {}, "b": {}}, "required": []}}
    right = executable.right_calls(question("f(1, b=2)", functions=[document]))
    assert right == [("f", {"a": 1, "b": 2}, "exact_match")]
    with pytest.raises(AssetError, match="too many"):
        executable.right_calls(question("f(1, 2, 3)", functions=[document]))
    with pytest.raises(AssetError, match="2 right calls and 1 rules"):
        executable.right_calls(msgspec.structs.replace(question("f()", "f()"), result_types=["exact_match"]))


def test_a_right_call_that_does_not_run_is_an_error(pool):
    with pytest.raises(AssetError, match="does not run"):
        find(question("math_factorial(n=-1)"), ("math_factorial", {"n": 1}), executor=pool)


# ------------------------------------------------------------------------------------------------- rules


class Given:
    """An executor that answers from a table."""

    def __init__(self, table):
        self.table = table

    def run(self, calls):
        return [Outcome(ok=self.table[name]) for name, _ in calls]


@pytest.mark.parametrize(
    ("rule", "right", "answer", "valid"),
    [
        ("exact_match", 0.1 + 0.2, 0.3, False),
        ("exact_match", [1, 2], [1, 2], True),
        ("exact_match", 2, 2.0, True),
        ("real_time_match", 100, 120, True),
        ("real_time_match", 100, 120.5, False),
        ("real_time_match", 100.0, 80, True),
        ("real_time_match", -10, -11, True),
        ("real_time_match", "100", "100", False),
        ("real_time_match", 1, True, False),
        ("structural_match", {"a": 1}, {"a": "x"}, True),
        ("structural_match", {"a": 1}, {"a": 1, "b": 2}, False),
        ("structural_match", [1, 2], [3, 4], True),
        ("structural_match", [1, 2], [3], False),
        ("structural_match", 1.5, 1, False),
        ("structural_match", "x", "y", True),
    ],
)
def test_rules(rule, right, answer, valid):
    found = find(question("r()", rules=[rule]), ("a", {}), executor=Given({"r": right, "a": answer}))
    assert found.valid is valid


def arguments_agree(right: str, name: str, arguments: dict, **fields) -> bool:
    found = find(question(right, **fields), (name, arguments))
    assert found.basis == "arguments"
    return found.valid


def test_services_are_compared_by_arguments():
    right = "convert_currency(amount=5000, from_currency='EUR', to_currency='JPY')"
    same = {"amount": 5000.0, "from_currency": "eur", "to_currency": " JPY"}
    assert arguments_agree(right, "convert_currency", same)
    assert not arguments_agree(right, "convert_currency", same | {"amount": 4999})
    assert not arguments_agree(right, "convert_currency", same | {"note": ""})
    assert not arguments_agree(right, "convert_currency", {"amount": 5000, "from_currency": "EUR"})
    assert not arguments_agree(right, "get_movie_rating", same)
    ip = "get_zipcode_by_ip_address(ip_address='10.0.0.1')"
    assert arguments_agree(ip, "get_zipcode_by_ip_address", {"ip_address": "10.0.0.1"})
    assert not arguments_agree(ip, "get_zipcode_by_ip_address", {"ip_address": "100.0.1"})
    point = "get_time_zone_by_coord(long='-80.75', lat='35.20')"
    assert arguments_agree(point, "get_time_zone_by_coord", {"long": -80.75, "lat": "35.2"})
    assert not arguments_agree(point, "get_time_zone_by_coord", {"long": 80.75, "lat": "35.2"})
    history = "get_stock_history(stock_name='AAPL', interval='1d')"
    given_ = {"stock_name": "AAPL", "interval": "1d", "diffandsplits": "true"}
    assert arguments_agree(history, "get_stock_history", given_)  # it is not asked with it
    weather = "get_weather_data(coordinates=[90.00, 0.00])"
    assert arguments_agree(weather, "get_weather_data", {"coordinates": [90, 0]})
    assert not arguments_agree(weather, "get_weather_data", {"coordinates": [90]})
    assert not arguments_agree(weather, "get_weather_data", {"coordinates": None})


def test_requests_are_compared_by_address_query_and_headers():
    right = (
        "requests.get(url='https://a.example/x', headers={'X-Key': 'YOUR-RAPID-API-KEY'}, "
        "params={'q': 'one two', 'n': 3, 'f': ['a', 'b']}, timeout=5)"
    )
    good = {
        "url": "https://a.example/x/",
        "headers": {"x-key": "YOUR-RAPID-API-KEY"},
        "params": {"q": "One two", "n": "3", "f": ["a", "b"]},
    }

    def agree(**changes):
        return arguments_agree(right, "requests.get", good | changes, category="rest")

    assert agree() and agree(timeout=9, stream=False)
    inside = "https://A.example/x?q=one+two&n=3"
    assert agree(url=inside, params={"f": ["a", "b"]})
    assert not agree(url="https://b.example/x") and not agree(url="http://a.example/x")
    assert not agree(params={"q": "one two", "n": 4, "f": ["a", "b"]})
    assert not agree(params={"q": "one two", "n": 3}) and not agree(params=None)
    assert not agree(headers={}) and not agree(headers="X-Key") and not agree(url=7)
    assert not agree(url="http://[") and not agree(params=["q"])


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


@UNHURRIED
@given(st.dictionaries(st.sampled_from(["url", "params", "headers", "x"]), _ANY))
def test_no_arguments_break_the_comparison(arguments):
    found = find(
        question("requests.get(url='http://a.example/')", category="rest"), ("requests.get", arguments)
    )
    assert found.basis == "arguments"


def test_a_malformed_address_is_wrong_and_no_crash():
    q = question("requests.get(url='http://a.example/')", category="rest")
    for url in ("http://[::", "http://a.example:port/", "\x00", "http://\u2100/", "x" * 100_000):
        assert not find(q, ("requests.get", {"url": url})).valid


# ---------------------------------------------------------------------------------------- asked for real


class _Service(BaseHTTPRequestHandler):
    seen: list[tuple[str, dict, dict]]

    def do_GET(self):
        parts = urlsplit(self.path)
        query = {key: value[0] for key, value in parse_qs(parts.query).items()}
        self.server.seen.append((parts.path, query, dict(self.headers)))
        if parts.path == "/away":
            self.send_response(302)
            self.send_header("Location", "http://192.0.2.1/")
            self.end_headers()
            return
        bodies = {
            "/v1/forecast": {"current": {"temperature_2m": float(query.get("latitude", 0))}},
            "/v6/secret/latest/EUR": {"conversion_rates": {"JPY": 160}},
            "/define": {"list": [{"definition": "A word."}]},
            "/x": {"a": 1, "b": 2} if query.get("q") != "odd" else {"c": 3},
        }
        body = bodies.get(parts.path)
        self.send_response(200 if body is not None else 404)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_):
        pass


@contextmanager
def services(*hosts):
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Service)
    server.seen = []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        live = Live(keys={"EXCHANGERATE-API-KEY": "secret"}, servers=dict.fromkeys(hosts, url), seconds=5)
        yield live, server.seen
    finally:
        server.shutdown()
        server.server_close()


def test_live_calls_ask_the_services():
    hosts = (
        "api.open-meteo.com",
        "v6.exchangerate-api.com",
        "mashape-community-urban-dictionary.p.rapidapi.com",
    )
    with services(*hosts) as (live, seen):
        weather = question("get_weather_data(coordinates=[10.5, 0])", rules=["structural_match"])
        money = question(
            "convert_currency(amount=100, from_currency='EUR', to_currency='JPY')", rules=["real_time_match"]
        )
        word = question("find_term_on_urban_dictionary(term='lit')")
        answers = [
            (weather, [{"get_weather_data": {"coordinates": [20.5, 0]}}]),  # another place, the same shape
            (money, [{"convert_currency": {"amount": 110, "from_currency": "EUR", "to_currency": "JPY"}}]),
            (money, [{"convert_currency": {"amount": 150, "from_currency": "EUR", "to_currency": "JPY"}}]),
            (money, [{"convert_currency": {"amount": 100, "from_currency": "../x", "to_currency": "JPY"}}]),
            (word, [{"find_term_on_urban_dictionary": {"term": "Lit"}}]),
        ]
        found = executable.judge_calls(answers, live=live)
    assert [item.valid for item in found] == [True, True, False, False, True]
    assert {item.basis for item in found} == {"live"}
    assert found[3].error_type == "executable:execution_error"
    headers = next(headers for path, _, headers in seen if path == "/define")
    assert headers["X-Rapidapi-Key"] == "YOUR-RAPID-API-KEY"  # none was given


def test_live_requests_stay_with_the_right_host():
    right = "requests.get(url='http://a.example/x', params={'q': 'one'})"
    q = question(right, rules=["structural_match"], category="rest", recorded={"a": 0, "b": 0})
    with services("a.example") as (live, _):
        cases = {
            "other query, same keys": ({"url": "http://a.example/x", "params": {"q": "two"}}, True),
            "other keys": ({"url": "http://a.example/x", "params": {"q": "odd"}}, False),
            "no such page": ({"url": "http://a.example/y"}, False),
            "another host": ({"url": "http://b.example/x"}, False),
            "a file": ({"url": "file:///etc/hostname"}, False),
            "away": ({"url": "http://a.example/away"}, False),
            "no address": ({"params": {}}, False),
        }
        found = executable.judge_calls([(q, [{"requests.get": a}]) for a, _ in cases.values()], live=live)
    assert [item.valid for item in found] == [valid for _, valid in cases.values()]
    assert {item.basis for item in found} == {"live"}


def test_where_the_service_fails_arguments_decide():
    live = Live(servers={"api.open-meteo.com": "http://127.0.0.1:9"}, seconds=2)
    q = question("get_weather_data(coordinates=[1, 2])", rules=["structural_match"])
    for coordinates, valid in (([1, 2], True), ([3, 4], False)):
        found = find(q, ("get_weather_data", {"coordinates": coordinates}), live=live)
        assert (found.valid, found.basis) == (valid, "arguments")
