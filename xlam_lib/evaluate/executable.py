"""BFCL's executable questions: calls are run, and their results compared with the right calls' (section 4).

Right calls are Python source, ``f(a=1)``, read as literals and never evaluated. How a pair of calls is
compared depends on the right one:

- A function that needs nothing but its arguments runs in the execution check's workers, for both calls, and
  the results are compared by the rule of the record: ``exact_match`` equal, ``real_time_match`` numbers
  within 20%, ``structural_match`` the same type with the same keys or length. As in the benchmark's own
  runner the results alone count, not how they came about.
- A function that asks a service, and ``requests.get`` of the REST questions, is compared **by its
  arguments**: the same function with the same values, numbers as numbers, text without regard to case and
  outer space. A request is its URL, query and headers; its time limit and the like change nothing. This is
  stricter than the benchmark was, where another query could give an answer of the same shape. With
  :class:`~xlam_lib.evaluate.bfcl_services.Live` both calls are made instead; where the right one fails,
  arguments decide again.

:class:`Finding` says which of the two it was. Several calls are matched in any order: each right call takes
the first remaining one that fits, as the benchmark's runner did.
"""

from __future__ import annotations

import ast
import json
import operator
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from xlam_lib.errors import AssetError
from xlam_lib.evaluate.bfcl_services import SERVICES, UNUSED, Live
from xlam_lib.evaluate.questions import Question
from xlam_lib.synthesis.execute import Executor, Limits, Outcome, Pool

REGISTRY = "xlam_lib.evaluate.bfcl_functions:FUNCTIONS"
ALLOWED_DIFFERENCE = 0.2
REQUEST = "requests.get"
_REQUEST_PARTS = ("url", "params", "headers")
_WORKERS = 2

Calls = list[dict[str, Any]]


class Finding(NamedTuple):
    """Whether an answer's calls are right, and how that was found out.

    Attributes: ``valid``; the ``error_type`` and ``message`` of a wrong one; and the ``basis``: ``executed``,
    ``arguments`` (compared without a call), ``live`` (services asked), or several joined by " and ".
    """

    valid: bool
    error_type: str = ""
    message: str = ""
    basis: str = ""


class RightCall(NamedTuple):
    """A ground truth: the function's ``name``, its ``arguments`` and the ``rule`` for its result."""

    name: str
    arguments: dict[str, Any]
    rule: str


# --------------------------------------------------------------------------------------- the right calls


def right_calls(question: Question) -> list[RightCall]:
    """The right calls of an executable question.

    Raises
    ------
    AssetError
        A ground truth is not a call with literal arguments, or does not go with its rules.
    """
    if len(question.ground_truth) > len(question.result_types):
        raise AssetError(
            f"question {question.id}: {len(question.ground_truth)} right calls and "
            f"{len(question.result_types)} rules; fetch the benchmark again"
        )
    result = []
    # One question of the package has a rule too many, of a call that was taken out.
    for source, rule in zip(question.ground_truth, question.result_types, strict=False):
        try:
            name, places, arguments = read_call(source)
        except ValueError as error:
            raise AssetError(f"question {question.id}: ground truth {source[:80]!r}: {error}") from None
        if places:
            order = _parameters(question, name)
            if len(places) > len(order):
                raise AssetError(f"question {question.id}: ground truth {source[:80]!r}: too many arguments")
            arguments = dict(zip(order, places, strict=False)) | arguments
        result.append(RightCall(name, arguments, rule))
    return result


def _parameters(question: Question, name: str) -> dict[str, Any]:
    for function in question.functions:
        if function["name"] == name:
            return function["parameters"]["properties"]
    return {}


def read_call(source: str) -> tuple[str, list[Any], dict[str, Any]]:
    """A call in Python's notation as name, arguments by place and by name; tuples become lists.

    Raises
    ------
    ValueError
        Not one call, or an argument that is neither a literal nor arithmetic on numbers.
    """
    try:
        node = ast.parse(source.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"not a Python expression ({error})") from None
    if not isinstance(node, ast.Call):
        raise ValueError("not a call")
    named = {}
    for keyword in node.keywords:
        if keyword.arg is None:
            raise ValueError("** is not a literal")
        named[keyword.arg] = _literal(keyword.value)
    return _name(node.func), [_literal(argument) for argument in node.args], named


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_name(node.value)}.{node.attr}"
    if isinstance(node, ast.Name):
        return node.id
    raise ValueError("the function is not a name")


_ARITHMETIC = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def _literal(node: ast.expr) -> Any:
    if isinstance(node, ast.Constant) and isinstance(node.value, (str, int, float, bool, type(None))):
        return node.value
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_literal(item) for item in node.elts]
    if isinstance(node, ast.Dict) and all(key is not None for key in node.keys):
        keys = [_literal(key) for key in node.keys if key is not None]
        return dict(zip(keys, map(_literal, node.values), strict=True))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        value = _number(_literal(node.operand))
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        left, right = _number(_literal(node.left)), _number(_literal(node.right))
        try:
            return _ARITHMETIC[type(node.op)](left, right)
        except ArithmeticError as error:
            raise ValueError(str(error)) from None
    raise ValueError(f"{ast.unparse(node)[:60]!r} is not a literal")


def _number(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{value!r} is not a number")
    return value


# ---------------------------------------------------------------------------------------------- judging


def judge_calls(
    answers: Sequence[tuple[Question, Calls]],
    *,
    executor: Executor | None = None,
    live: Live | None = None,
) -> list[Finding]:
    """Judge the calls of executable questions, all in one pass through the workers.

    Parameters
    ----------
    answers
        Questions, each with what was answered, ``[{name: {argument: value}}]``.
    executor
        Who runs the calls; by default a pool of workers, which ends with this call.
    live
        How services are asked; by default none is.

    Raises
    ------
    AssetError
        A ground truth cannot be read, or does not run.
    XlamError
        The workers cannot start.
    """
    judged = [(question, right_calls(question), calls) for question, calls in answers]
    local = {key for question, right, calls in judged for key in _local(right, calls)}
    asked = {key for question, right, calls in judged for key in _remote(right, calls)} if live else set()
    results = _run(sorted(local), executor)
    if live is not None:
        results |= _ask(sorted(asked), live)
    return [_judge(question, right, calls, results, live is not None) for question, right, calls in judged]


Key = tuple[str, str, str]  # a function's name, its arguments as JSON, and the only host a request may go to


def _key(name: str, arguments: Mapping[str, Any], host: str = "") -> Key:
    return name, json.dumps(arguments, sort_keys=True), host


def _calls(calls: Calls) -> Iterator[tuple[str, dict[str, Any]]]:
    for call in calls:
        yield from call.items()


def _asks(name: str) -> bool:
    return name == REQUEST or name in SERVICES


def _local(right: Sequence[RightCall], calls: Calls) -> Iterator[Key]:
    if all(_asks(call.name) for call in right):
        return
    for name, arguments in (*((c.name, c.arguments) for c in right), *_calls(calls)):
        if not _asks(name):
            yield _key(name, arguments)


def _remote(right: Sequence[RightCall], calls: Calls) -> Iterator[Key]:
    for call in right:
        if _asks(call.name):
            host = _host(call)
            yield _key(call.name, call.arguments, host)
            for name, arguments in _calls(calls):
                if name == call.name:
                    yield _key(name, arguments, host)


def _host(call: RightCall) -> str:
    return urllib.parse.urlsplit(call.arguments["url"]).hostname or "" if call.name == REQUEST else ""


def _run(keys: Sequence[Key], executor: Executor | None) -> dict[Key, Outcome]:
    if not keys:
        return {}
    calls = [(name, json.loads(arguments)) for name, arguments, _ in keys]
    if executor is not None:
        return dict(zip(keys, executor.run(calls), strict=True))
    with Pool(_WORKERS, registry=REGISTRY) as pool:
        return dict(zip(keys, pool.run(calls), strict=True))


def _ask(keys: Sequence[Key], live: Live) -> dict[Key, Outcome]:
    if not keys:
        return {}
    settings: dict[str, Any] = msgspec.to_builtins(live)
    calls: list[tuple[str, dict[str, Any]]] = [
        ("live", {"name": name, "arguments": json.loads(arguments), "settings": settings | {"host": host}})
        for name, arguments, host in keys
    ]
    limits = Limits(seconds=live.seconds + 1, network=True, output=4 << 20)
    with Pool(1, registry=REGISTRY, limits=limits) as pool:
        return dict(zip(keys, pool.run(calls), strict=True))


def _judge(
    question: Question, right: Sequence[RightCall], calls: Calls, results: Mapping[Key, Outcome], live: bool
) -> Finding:
    given = list(_calls(calls))
    basis = " and ".join(sorted({_basis(question, call, results, live) for call in right}))
    if len(given) != len(right):
        message = f"{len(given)} calls where {len(right)} are right"
        return Finding(False, "executable:wrong_count", message, basis)
    remaining = list(given)
    for call in right:
        faults = []
        for place, (name, arguments) in enumerate(remaining):
            fault = _compare(question, call, name, arguments, results, live)
            if fault is None:
                del remaining[place]
                break
            faults.append(fault)
        else:
            kind, message = faults[0] if len(right) == 1 else ("no_match", "; ".join(f[1] for f in faults))
            return Finding(False, f"executable:{kind}", f"for {call.name}: {message}", basis)
    return Finding(True, "", "", basis)


def _basis(question: Question, call: RightCall, results: Mapping[Key, Outcome], live: bool) -> str:
    if not _asks(call.name):
        return "executed"
    return "live" if live and _expected(question, call, results) is not None else "arguments"


def _expected(question: Question, call: RightCall, results: Mapping[Key, Outcome]) -> Any:
    """What the services gave for the right call, or ``None`` where they failed."""
    outcome = results[_key(call.name, call.arguments, _host(call))]
    if not outcome.error:
        return outcome.ok
    return question.recorded if call.name == REQUEST else None


def _compare(
    question: Question,
    right: RightCall,
    name: str,
    arguments: dict[str, Any],
    results: Mapping[Key, Outcome],
    live: bool,
) -> tuple[str, str] | None:
    """What is wrong with a call, as (kind, message), or ``None``."""
    if _asks(right.name):
        expected = _expected(question, right, results) if live else None
        if expected is None:
            return _compare_arguments(question, right, name, arguments)
        if name != right.name:
            return "wrong_function", f"{name[:80]!r} is called"
        outcome = results[_key(name, arguments, _host(right))]
    else:
        reference = results[_key(right.name, right.arguments)]
        if reference.error:
            raise AssetError(
                f"question {question.id}: the right call {right.name} does not run "
                f"({reference.error}: {reference.detail}); fetch the benchmark again"
            )
        if _asks(name):
            return "wrong_function", f"{name} asks a service"
        expected, outcome = reference.ok, results[_key(name, arguments)]
    if outcome.error:
        return "execution_error", f"{outcome.error}: {outcome.detail}"
    rule = _same_keys if right.name == REQUEST else _RULES[right.rule]
    if rule(expected, outcome.ok):
        return None
    return "wrong_result", f"gives {_short(outcome.ok)}, right is {_short(expected)} ({right.rule})"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else text[:120] + "..."


# ------------------------------------------------------------------------------------------------ rules


def _exact(expected: Any, given: Any) -> bool:
    return expected == given


def _close(expected: Any, given: Any) -> bool:
    numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in (expected, given))
    low, high = (
        sorted(((1 - ALLOWED_DIFFERENCE) * expected, (1 + ALLOWED_DIFFERENCE) * expected))
        if numbers
        else (0, 0)
    )
    return numbers and low <= given <= high


def _structure(expected: Any, given: Any) -> bool:
    if type(expected) is not type(given):
        return False
    if isinstance(expected, dict):
        return expected.keys() == given.keys()
    return not isinstance(expected, list) or len(expected) == len(given)


def _same_keys(expected: Any, given: Any) -> bool:
    """The rule of the REST questions: an object of the same keys, or a list of as many such objects."""
    if isinstance(expected, list) and isinstance(given, list):
        return len(expected) == len(given) and all(map(_same_keys, expected, given))
    return isinstance(expected, dict) and isinstance(given, dict) and expected.keys() == given.keys()


_RULES = {"exact_match": _exact, "real_time_match": _close, "structural_match": _structure}


# -------------------------------------------------------------------------------------------- arguments


def _compare_arguments(
    question: Question, right: RightCall, name: str, arguments: dict[str, Any]
) -> tuple[str, str] | None:
    if name != right.name:
        return "wrong_function", f"{name[:80]!r} is called"
    if name == REQUEST:
        wanted, given = _request_parts(right.arguments), _request_parts(arguments)
    else:
        defaults = {
            key: schema["default"]
            for key, schema in _parameters(question, name).items()
            if "default" in schema
        }
        unused = UNUSED.get(name, set())
        wanted, given = (
            {key: value for key, value in (defaults | values).items() if key not in unused}
            for values in (right.arguments, arguments)
        )
    for key in dict.fromkeys((*wanted, *given)):
        if key not in given:
            return "wrong_arguments", f"{key}: is missing"
        if key not in wanted:
            return "wrong_arguments", f"{str(key)[:80]}: is not among the right call's arguments"
        if not _alike(wanted[key], given[key]):
            return "wrong_arguments", f"{key}: is {_short(given[key])}, right is {_short(wanted[key])}"
    return None


def _request_parts(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A request's address, query and headers; a query inside the URL counts with ``params``."""
    url, params, headers = (arguments.get(part) for part in _REQUEST_PARTS)
    result: dict[str, Any] = {"url": url}
    try:
        parts = urllib.parse.urlsplit(url) if isinstance(url, str) else None
    except ValueError:  # a malformed address is compared as it stands
        parts = None
    if parts is not None:
        result["url"] = [parts.scheme, parts.netloc.lower(), parts.path.rstrip("/")]
        result |= {f"params.{key}": value for key, value in urllib.parse.parse_qsl(parts.query)}
    for name, values in (("params", params), ("headers", headers)):
        if isinstance(values, Mapping):
            lower = name == "headers"
            result |= {f"{name}.{key.lower() if lower else key}": value for key, value in values.items()}
        elif values is not None:
            result[name] = values
    return result


def _alike(wanted: Any, given: Any) -> bool:
    if isinstance(wanted, list) and isinstance(given, list):
        return len(wanted) == len(given) and all(map(_alike, wanted, given))
    if isinstance(wanted, dict) and isinstance(given, dict):
        return wanted.keys() == given.keys() and all(_alike(wanted[key], given[key]) for key in wanted)
    if isinstance(wanted, (list, dict, type(None))) or isinstance(given, (list, dict, type(None))):
        return wanted is given
    first, second = (_plain(value) for value in (wanted, given))
    return first == second


def _plain(value: Any) -> str | float:
    """A number where it can be read as one, else the text in lower case; a boolean is its word."""
    text = str(value).strip().lower()
    if isinstance(value, bool):
        return text
    try:
        return float(text)
    except (ValueError, OverflowError):
        return text
