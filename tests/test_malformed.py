"""Ten thousand malformed outputs: each is scored and classified, none crashes anything or takes long."""

from __future__ import annotations

import contextlib
import signal
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from xlam_lib.agents.prompting import ReAct, Unified
from xlam_lib.diagnose import KINDS, diagnose_answer
from xlam_lib.diagnose.malformed import DEEP, HUGE, WAYS, malformed
from xlam_lib.errors import AssetError
from xlam_lib.evaluate import bfcl
from xlam_lib.evaluate.oracle import oracle
from xlam_lib.formats import FORMATS, ParseError

COUNT, PARTS = 10_000, 8
LIMIT = 5.0  # seconds of processor time for all that is done with one output


class Hang(Exception):
    """A case took longer than the limit."""


@pytest.fixture(scope="module")
def questions() -> list[bfcl.Question]:
    """One question each for Python, several calls, Java and JavaScript with lists, and irrelevance."""
    try:
        return [
            bfcl.questions(["simple_python"])[7],
            bfcl.questions(["parallel_multiple"])[7],
            with_list("simple_java"),
            with_list("simple_javascript"),
            bfcl.questions(["irrelevance"])[7],
        ]
    except AssetError as error:
        pytest.skip(f"the benchmark cannot be fetched: {error}")


def with_list(category: str) -> bfcl.Question:
    """The first question in whose answer a list is written in the language."""
    return next(
        question
        for question in bfcl.questions([category])
        if any(
            isinstance(value, list)
            for answer in question.possible_answer
            for allowed in answer.values()
            for values in allowed.values()
            for value in values
        )
    )


@contextlib.contextmanager
def limit(seconds: float = LIMIT) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    began = time.process_time()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    if time.process_time() - began > seconds:
        raise Hang


def tried(text: str, questions: list[bfcl.Question]) -> list[str]:
    """Everything that is done with an output; the classes that its diagnoses name."""
    kinds = []
    for question in questions:
        verdict = bfcl.judge(text, question)
        assert verdict.valid or verdict.error_type
        verdict.message.encode()
        mistakes = diagnose_answer(text, question, verdict)
        assert bool(mistakes) != verdict.strict
        for mistake in mistakes:
            assert mistake.kind in KINDS
            assert max(map(len, (mistake.where, mistake.expected, mistake.found))) < 400
            mistake.short.encode()
        kinds.append(mistakes[0].kind if mistakes else "right")
    for prompting in (Unified(), ReAct(), Unified("react"), Unified("python")):
        with contextlib.suppress(ParseError):
            thought, calls = prompting.read(text)
            assert isinstance(thought, str) and all(isinstance(call.arguments, dict) for call in calls)
    return kinds


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_each_output_is_scored_and_classified_in_time(part, questions):
    answers = [oracle(question) for question in questions[:4]]
    size = COUNT // PARTS
    classes: Counter[str] = Counter()
    ways: Counter[str] = Counter()
    for index, (way, text) in enumerate(malformed(answers, size, 6, part * size), part * size):
        try:
            with limit():
                found = tried(text, questions)
        except BaseException as error:
            pytest.fail(f"malformed(answers, 1, 6, {index}) [{way}] {text[:200]!r}: {error!r}")
        classes.update(found)
        ways[way] += 1
    assert sum(classes.values()) == size * len(questions) and ways.keys() == WAYS.keys()
    assert classes["bad_format"] > size and len(classes) > 6
    assert classes["right"] < 0.3 * size * len(questions)


def test_the_worst_cases_come_up():
    answers = ['{"tool_calls": [{"name": "f", "arguments": {"x": 1}}]}']
    texts = [text for _, text in malformed(answers, 2000, 6)]
    assert max(map(len, texts)) >= HUGE
    assert any("[" * DEEP in text for text in texts)
    for part in ("\x00", "\ufeff", "\ud800", "1e400", "NaN", "__import__", "```", "{'tool_calls'"):
        assert any(part in text for text in texts), part
    assert texts[1700:1710] == [text for _, text in malformed(answers, 10, 6, 1700)]


@pytest.mark.parametrize("format", list(FORMATS))
def test_every_format_is_read_without_a_crash(format, questions):
    question = questions[0]
    answers = [oracle(question, "json")]
    for _, text in malformed(answers, 60, 7):
        with limit():
            verdict = bfcl.judge(text, question, format)
            assert bool(diagnose_answer(text, question, verdict, format)) != verdict.strict
