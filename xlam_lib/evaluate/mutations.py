"""Right answers changed in small ways, and our verdict on each beside the official checker's own.

:func:`mutants` is the stock of answers: each is one change to a right one. :func:`compare` sends an answer
both ways, through the text and our decoder and scorer, and straight to the official checker, and says
whether the two agree in validity and in the kind of error.
"""

from __future__ import annotations

import copy
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from xlam_lib.evaluate.bfcl import CATEGORIES, judge
from xlam_lib.evaluate.official import official_check
from xlam_lib.evaluate.oracle import oracle
from xlam_lib.evaluate.questions import Question

Call = dict[str, Any]  # {"name": ..., "arguments": {...}}

_RENDERED = ("json", "json", "json", "json_list", "json_fenced", "json_thought")


class Mutant(NamedTuple):
    """A changed answer: its ``question``, the ``change``'s name, the ``calls`` and the ``text`` they make."""

    question: Question
    change: str
    calls: list[Call]
    text: str


class Disagreement(NamedTuple):
    """A mutant on which the two verdicts differ, each as (valid, error type)."""

    id: str
    change: str
    text: str
    ours: tuple[bool, str]
    official: tuple[bool, str]


# ------------------------------------------------------------------------------------------- the changes


def _spot(call: Call, rng: random.Random) -> tuple[Any, Any] | None:
    """A container and a key in it, at any depth of a call's arguments."""
    spots = list(_spots(call["arguments"]))
    return rng.choice(spots) if spots else None


def _spots(value: Any) -> Iterator[tuple[Any, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield value, key
        yield from _spots(item)


def _change(
    call: Call, rng: random.Random, change: Callable[[Any], Any], fits: type | tuple[type, ...]
) -> bool:
    spots = [(box, key) for box, key in _spots(call["arguments"]) if isinstance(box[key], fits)]
    if not spots:
        return False
    box, key = rng.choice(spots)
    box[key] = change(box[key])
    return True


def _name(calls: list[Call], call: Call, rng: random.Random, question: Question) -> bool:
    others = [function["name"] for function in question.functions if function["name"] != call["name"]]
    call["name"] = rng.choice(
        [call["name"] + "_x", call["name"].upper(), call["name"].replace(".", "_") + "2", *others]
    )
    return True


def _underscored(calls: list[Call], call: Call, rng: random.Random, question: Question) -> bool:
    call["name"], before = call["name"].replace(".", "_"), call["name"]
    return call["name"] != before


def _dropped(calls: list[Call], call: Call, rng: random.Random, question: Question) -> bool:
    if not call["arguments"]:
        return False
    del call["arguments"][rng.choice(list(call["arguments"]))]
    return True


def _extra(calls: list[Call], call: Call, rng: random.Random, question: Question) -> bool:
    call["arguments"][rng.choice(["no_such_argument", "", "unit"])] = rng.choice([1, "", None, "x"])
    return True


def _optional(calls: list[Call], call: Call, rng: random.Random, question: Question) -> bool:
    """An argument that the document has and the answer left out."""
    for function in question.functions:
        if function["name"] == call["name"]:
            left = [name for name in function["parameters"]["properties"] if name not in call["arguments"]]
            if left:
                call["arguments"][rng.choice(left)] = rng.choice(["", 0, 1, True, "units", None, []])
                return True
    return False


def _renamed(calls: list[Call], call: Call, rng: random.Random, question: Question) -> bool:
    if not call["arguments"]:
        return False
    key = rng.choice(list(call["arguments"]))
    value = call["arguments"].pop(key)
    other = rng.choice([key + "s", key.upper(), key.replace("_", ""), f" {key}"])
    call["arguments"][other] = value
    return other != key


def _typed(calls: list[Call], call: Call, rng: random.Random, question: Question) -> bool:
    spot = _spot(call, rng)
    if spot is None:
        return False
    box, key = spot
    value = box[key]
    box[key] = rng.choice(
        [
            str(value),
            json.dumps(value),
            [value],
            {"value": value},
            {},
            [],
            None,
            True,
            7,
            0.5,
            float(value) if isinstance(value, int) and abs(value) < 1 << 53 else "",
            int(value) if isinstance(value, float) else "0",
        ]
    )
    return True


def _number(calls: list[Call], call: Call, rng: random.Random, question: Question) -> bool:
    change = rng.choice(
        [lambda v: v + 1, lambda v: -v, lambda v: v * 10, lambda v: v + 1e-9, lambda v: v / 100]
    )
    return _change(call, rng, change, (int, float))


def _case(calls: list[Call], call: Call, rng: random.Random, question: Question) -> bool:
    return _change(call, rng, rng.choice([str.upper, str.lower, str.title, str.swapcase]), str)


def _spaced(calls: list[Call], call: Call, rng: random.Random, question: Question) -> bool:
    change = rng.choice(
        [lambda v: f" {v} ", lambda v: v.replace(" ", ""), lambda v: v.replace(" ", "  "), lambda v: v + "\n"]
    )
    return _change(call, rng, change, str)


def _punctuated(calls: list[Call], call: Call, rng: random.Random, question: Question) -> bool:
    mark = rng.choice(",./-_*^'\"!?;:#\u2019\u00e9\u4e2d")
    change = rng.choice(
        [
            lambda v: v + mark,
            lambda v: mark.join(v.split(" ")),
            lambda v: v.replace(rng.choice(v) if v else "x", mark),
            lambda v: v.replace(",", "").replace(".", ""),
        ]
    )
    return _change(call, rng, change, str)


def _words(calls: list[Call], call: Call, rng: random.Random, question: Question) -> bool:
    change = rng.choice([lambda v: f"{v} and more", lambda v: v[:-1], lambda v: "", lambda v: v[::-1]])
    return _change(call, rng, change, str)


def _listed(calls: list[Call], call: Call, rng: random.Random, question: Question) -> bool:
    def change(value: list[Any]) -> list[Any]:
        way = rng.randrange(4)
        if way == 0:
            return value[::-1]
        if way == 1:
            return value[:-1]
        if way == 2:
            return [*value, *value[:1]]
        return [value]

    return _change(call, rng, change, list)


def _mapped(calls: list[Call], call: Call, rng: random.Random, question: Question) -> bool:
    def change(value: dict[str, Any]) -> dict[str, Any]:
        way, keys = rng.randrange(4), list(value)
        if way == 0:
            return dict(reversed(value.items()))
        if way == 1:
            return {key: value[key] for key in keys[1:]}
        if way == 2:
            return {**value, "no_such_key": 1}
        return {f"{key}_x": item for key, item in value.items()}

    return _change(call, rng, change, dict)


def _flipped(calls: list[Call], call: Call, rng: random.Random, question: Question) -> bool:
    return _change(call, rng, lambda v: not v, bool)


def _reordered(calls: list[Call], call: Call, rng: random.Random, question: Question) -> bool:
    before = list(calls)
    rng.shuffle(calls)
    return calls != before


def _arguments(calls: list[Call], call: Call, rng: random.Random, question: Question) -> bool:
    """The arguments in another order, which changes nothing."""
    call["arguments"] = dict(reversed(call["arguments"].items()))
    return len(call["arguments"]) > 1


def _twice(calls: list[Call], call: Call, rng: random.Random, question: Question) -> bool:
    calls.insert(rng.randrange(len(calls) + 1), copy.deepcopy(call))
    return True


def _fewer(calls: list[Call], call: Call, rng: random.Random, question: Question) -> bool:
    calls.remove(call)
    return True


def _swapped(calls: list[Call], call: Call, rng: random.Random, question: Question) -> bool:
    """One call in another's place, so that the count stays right."""
    others = [other for other in calls if other is not call]
    if not others:
        return False
    calls[calls.index(call)] = copy.deepcopy(rng.choice(others))
    return True


def _crossed(calls: list[Call], call: Call, rng: random.Random, question: Question) -> bool:
    """The values of two arguments exchanged."""
    if len(call["arguments"]) < 2:
        return False
    first, second = rng.sample(list(call["arguments"]), 2)
    arguments = call["arguments"]
    arguments[first], arguments[second] = arguments[second], arguments[first]
    return True


CHANGES: dict[str, Callable[[list[Call], Call, random.Random, Question], bool]] = {
    "wrong name": _name,
    "dots made underscores": _underscored,
    "argument dropped": _dropped,
    "argument added": _extra,
    "optional argument added": _optional,
    "argument renamed": _renamed,
    "another type": _typed,
    "another number": _number,
    "other case": _case,
    "other spaces": _spaced,
    "other punctuation": _punctuated,
    "other words": _words,
    "list changed": _listed,
    "map changed": _mapped,
    "boolean flipped": _flipped,
    "calls reordered": _reordered,
    "arguments reordered": _arguments,
    "call twice": _twice,
    "call dropped": _fewer,
    "call replaced by another": _swapped,
    "values exchanged": _crossed,
}
"""The changes by name. Each changes the calls in place and says whether it could."""


def mutants(questions: Sequence[Question], count: int, seed: int) -> Iterator[Mutant]:
    """That many changed answers, the questions in turn; every twentieth answer is left right.

    Parameters
    ----------
    questions
        Questions of AST categories; others are passed over.
    count
        How many.
    seed
        The same seed gives the same answers.
    """
    asked = [question for question in questions if CATEGORIES[question.category].kind == "ast"]
    right = {question.id: json.loads(oracle(question))["tool_calls"] for question in asked}
    rng = random.Random(f"mutants/{seed}")
    names = list(CHANGES)
    for number in range(count if asked else 0):
        question = asked[number % len(asked)]
        calls: list[Call] = copy.deepcopy(right[question.id])
        change = "none"
        if number % 20:
            for change in rng.sample(names, len(names)):
                attempt = copy.deepcopy(calls)
                if attempt and CHANGES[change](attempt, rng.choice(attempt), rng, question):
                    calls = attempt
                    break
        yield Mutant(question, change, calls, _render(calls, rng))


def _render(calls: Sequence[Mapping[str, Any]], rng: random.Random) -> str:
    """The calls as text of one of the JSON notations that the decoder forgives."""
    name = rng.choice(_RENDERED)
    data: Any = list(calls) if name == "json_list" else {"tool_calls": list(calls)}
    if name == "json_thought":
        data = {"thought": "That will do.", **data}
    text = json.dumps(data, ensure_ascii=rng.random() < 0.5, indent=rng.choice([None, None, 2]))
    return f"```json\n{text}\n```" if name == "json_fenced" else text


# ------------------------------------------------------------------------------------------------ parity


def compare(mutant: Mutant, root: Path | None = None) -> tuple[tuple[bool, str], tuple[bool, str]]:
    """Our verdict and the official one, each as (valid, error type).

    Ours starts from the text; the official checker is given the calls themselves. Where it breaks down, which
    would end the official run, the answer counts as wrong with ``checker:`` and the exception's name.
    """
    verdict = judge(mutant.text, mutant.question, root=root)
    direct = [{call["name"]: call["arguments"]} for call in mutant.calls]
    question = mutant.question
    try:
        result = official_check(
            question.functions, direct, question.possible_answer, question.language, question.category, root
        )
    except Exception as error:
        return (verdict.valid, verdict.error_type), (False, f"checker:{type(error).__name__}")
    official = (result["valid"], "" if result["valid"] else result["error_type"])
    return (verdict.valid, verdict.error_type), official


class Parity(msgspec.Struct):
    """How often the two verdicts were compared and differed.

    Attributes: the number of ``verdicts``, how many were ``right``, counts by ``categories``, ``changes`` and
    ``errors`` (the official error types), and the ``disagreements``.
    """

    verdicts: int
    right: int
    categories: dict[str, int]
    changes: dict[str, int]
    errors: dict[str, int]
    disagreements: list[Disagreement]


def parity(
    questions: Sequence[Question],
    count: int,
    seed: int,
    root: Path | None = None,
    progress: Callable[[], object] | None = None,
) -> Parity:
    """Compare that many verdicts; see :func:`mutants` and :func:`compare`."""
    categories, changes, errors = Counter[str](), Counter[str](), Counter[str]()
    different, right, done = [], 0, 0
    for mutant in mutants(questions, count, seed):
        ours, official = compare(mutant, root)
        if ours != official:
            different.append(Disagreement(mutant.question.id, mutant.change, mutant.text, ours, official))
        done += 1
        right += official[0]
        categories[mutant.question.category] += 1
        changes[mutant.change] += 1
        if official[1]:
            errors[official[1]] += 1
        if progress:
            progress()
    return Parity(
        done, right, dict(categories), dict(changes.most_common()), dict(errors.most_common()), different
    )
