"""BFCL v2: prompts, decoding and scores (xLAM report, table 5).

Questions come from :mod:`xlam_lib.evaluate.questions`, formulas from :mod:`xlam_lib.evaluate.formulas`; both
modules' names can be had from here. The AST checker is the official package's
(:mod:`xlam_lib.evaluate.official`). What a reader must know about the scores:

- *Irrelevance* counts any output that does not decode to a call as right, so garbage scores 100. Beside
  the official score stands a strict one, which wants a well-formed answer with an empty list of calls.
  *Relevance* asks only for some call that decodes.
- *Executable* questions are no longer scored by the official package. Here their calls are run, except those
  that ask a service, whose arguments are compared with the right call's: see
  :mod:`xlam_lib.evaluate.executable`. Each verdict says which of the two it rests on.
- The package's live files differ from those of September 2024 (relevance has 16 questions, not 41), so its
  columns are close to the report's and not the same. The files of that date are read by
  ``questions(which="2024-08-29", folder=...)``; today's checker judges them too.
- Function names keep their dots. The official handlers turn them into underscores for vendors whose
  interface forbids dots and undo it in the checker; a prompt in the unified format has no such limit.
- Java and JavaScript parameters are shown as strings that hold an expression of the language, as the
  official handlers do, and the checker reads them as such. Values are passed on as the model wrote them:
  a bare number where a string was asked for is a type error.

:func:`score` takes answers and never asks a model. Scores are fractions, 0 to 1; the report's tables are in
per cent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from xlam_lib.errors import ProfileError, SchemaError
from xlam_lib.evaluate import executable as execution
from xlam_lib.evaluate.bfcl_services import Live
from xlam_lib.evaluate.formulas import (
    AST_COLUMNS,
    COLUMNS,
    EXEC_COLUMNS,
    MEASURED_COLUMNS,
    Influence,
    Summary,
    Uncertainty,
    assemble,
    columns_v2,
    influence,
    overall_v2,
    summary,
)
from xlam_lib.evaluate.official import ast_check, benchmark_root
from xlam_lib.evaluate.questions import (
    CATEGORIES,
    QUESTION_SETS,
    Category,
    Difference,
    Question,
    categories_named,
    differences,
    questions,
    sample,
    to_tool,
    trajectory,
)
from xlam_lib.formats import Format, ParseError, extract_calls, get_format
from xlam_lib.intervals import Interval, stratified_bootstrap, wilson
from xlam_lib.schema import ToolCall
from xlam_lib.synthesis.execute import Executor
from xlam_lib.tally import by_frequency

__all__ = [
    "AST_COLUMNS",
    "CATEGORIES",
    "COLUMNS",
    "EXEC_COLUMNS",
    "MEASURED_COLUMNS",
    "QUESTION_SETS",
    "Category",
    "Difference",
    "Influence",
    "Live",
    "Mean",
    "Question",
    "Rate",
    "Score",
    "Summary",
    "Uncertainty",
    "Verdict",
    "categories_named",
    "decode",
    "differences",
    "error_counts",
    "influence",
    "judge",
    "judge_all",
    "overall_v2",
    "questions",
    "rate",
    "read_answer",
    "sample",
    "score",
    "summary",
    "to_tool",
    "trajectory",
]

_MESSAGE_LIMIT = 500  # characters kept of a checker's message
ANSWER_LIMIT = 200_000  # characters; no answer to these questions needs a hundredth of it
DEPTH_LIMIT = 60  # of values within values
_all_questions = questions  # :func:`score` has a parameter of that name


class Verdict(msgspec.Struct, frozen=True):
    """One answer judged.

    Attributes
    ----------
    valid, error_type, message
        The official verdict; type and message are empty when valid.
    strict
        For irrelevance: whether the answer is a well-formed empty list of calls. Else the same as ``valid``.
    calls
        What the answer decoded to, ``[{name: {argument: value}}]``, or ``None`` where it did not.
    basis
        For the executable categories: ``executed``, ``arguments`` (compared without a call) or ``live``
        (services asked), or several of them; else empty.
    """

    id: str
    category: str
    valid: bool
    strict: bool
    error_type: str = ""
    message: str = ""
    calls: list[dict[str, Any]] | None = None
    basis: str = ""


class Rate(msgspec.Struct, frozen=True):
    """A category's result: ``correct`` of ``count``, with Wilson's 95% interval of the accuracy.

    ``missing`` of the ``count`` questions have no response and count as wrong.
    """

    count: int
    correct: int
    missing: int
    accuracy: float
    interval: Interval


class Mean(msgspec.Struct, frozen=True):
    """A weighted mean of category accuracies, with its stratified bootstrap 95% interval."""

    value: float
    interval: Interval


class Score(msgspec.Struct, frozen=True):
    """The scores of one run, as fractions.

    Attributes
    ----------
    version
        Whose formula ``summary`` follows: ``v2``, ``v3`` or ``v4``.
    categories
        Each category that was asked, by the official rules.
    strict
        The irrelevance categories by the strict rule.
    columns
        v2's ten columns. ``None``: not all its categories were asked, and it was not given.
    category_mean
        Plain mean over the categories that were asked, whichever they are; compare only like with like.
    ast_mean
        Mean of the four AST columns, or ``None`` where one of them is.
    measured_mean
        Mean of the six columns that are judged without running anything. Not v2's overall.
    overall_v2
        v2's overall; ``None`` unless all ten columns are there.
    missing
        The ids without a response, which count as wrong.
    verdicts
        One a question, in the questions' order.
    summary
        The version's parts and overall; for ``v2`` the same as ``columns`` and ``overall_v2``.
    """

    version: str
    categories: dict[str, Rate]
    strict: dict[str, Rate]
    columns: dict[str, float | None]
    category_mean: Mean
    ast_mean: Mean | None
    measured_mean: Mean | None
    overall_v2: float | None
    missing: list[str]
    verdicts: list[Verdict]
    summary: Summary | None = None


# --------------------------------------------------------------------------------------------- scoring


def decode(text: str, question: Question, format: str | Format = "json") -> list[dict[str, Any]]:
    """A model's answer in the checker's form, ``[{name: {argument: value}}]``; see :func:`read_answer`.

    Raises
    ------
    ParseError
        The answer does not decode; the message names the question.
    """
    try:
        return [{call.name: call.arguments} for call in read_answer(text, format)]
    except ParseError as error:
        raise ParseError(f"answer to {question.id}: {error}") from None


def read_answer(text: str, format: str | Format = "json") -> list[ToolCall]:
    """The calls of a model's answer, whatever it wrote.

    The JSON formats are read by :func:`xlam_lib.formats.extract_calls`, which forgives a code fence and the
    like; any other by its own strict reader. Names and values are passed on unchanged in every language.

    Raises
    ------
    ParseError
        The answer is not of the format, too long, nested too deeply, or no text that can be encoded.
    """
    fmt = get_format(format)
    if len(text) > ANSWER_LIMIT:
        raise ParseError(f"{len(text):,} characters; the longest that is read has {ANSWER_LIMIT:,}")
    try:
        text.encode()
        calls = extract_calls(text) if fmt.name in ("json", "json_thought") else fmt.parse(text).calls
    except UnicodeEncodeError as error:
        raise ParseError(f"half of a surrogate pair at character {error.start}") from None
    except RecursionError as error:
        raise ParseError(str(error)) from None
    if any(_deeper(call.arguments, DEPTH_LIMIT) for call in calls):
        raise ParseError(f"nested more than {DEPTH_LIMIT} deep")
    return calls


def _deeper(value: Any, limit: int) -> bool:
    if not isinstance(value, (dict, list)):
        return False
    if limit == 0:
        return True
    return any(_deeper(item, limit - 1) for item in (value.values() if isinstance(value, dict) else value))


def judge(
    text: str | None,
    question: Question,
    format: str | Format = "json",
    root: Path | None = None,
    *,
    executor: Executor | None = None,
    live: Live | None = None,
) -> Verdict:
    """Judge one answer; ``None`` stands for a response that is missing and is wrong.

    An answer that does not decode is wrong, with the reason, except that irrelevance officially counts it
    as right. ``executor`` and ``live`` are those of :func:`xlam_lib.evaluate.executable.judge_calls`.
    """
    return judge_all([(text, question)], format, root, executor=executor, live=live)[0]


def judge_all(
    answers: Sequence[tuple[str | None, Question]],
    format: str | Format = "json",
    root: Path | None = None,
    *,
    executor: Executor | None = None,
    live: Live | None = None,
) -> list[Verdict]:
    """Judge answers, in order; the calls of all executable questions run in one pool of workers."""
    verdicts: list[Verdict | None] = []
    waiting: list[tuple[int, Question, list[dict[str, Any]]]] = []
    for place, (text, question) in enumerate(answers):
        verdict = _judge(text, question, format, root)
        if isinstance(verdict, list):
            waiting.append((place, question, verdict))
            verdict = None
        verdicts.append(verdict)
    if waiting:
        pairs = [(question, calls) for _, question, calls in waiting]
        findings = execution.judge_calls(pairs, executor=executor, live=live)
        for (place, question, calls), finding in zip(waiting, findings, strict=True):
            verdicts[place] = Verdict(
                question.id,
                question.category,
                finding.valid,
                finding.valid,
                finding.error_type,
                _cut(finding.message),
                calls,
                finding.basis,
            )
    return [verdict for verdict in verdicts if verdict is not None]


def _judge(
    text: str | None, question: Question, format: str | Format, root: Path | None
) -> Verdict | list[dict[str, Any]]:
    """The verdict, or the calls where they have to be run."""
    kind = CATEGORIES[question.category].kind
    if text is None:
        return Verdict(
            question.id, question.category, False, False, "missing_response", "no response was given"
        )
    try:
        calls = decode(text, question, format)
    except ParseError as error:
        if kind == "irrelevance":
            return Verdict(question.id, question.category, True, False, message=_cut(str(error)))
        fault = "relevance_error:decoder_failed" if kind == "relevance" else "ast_decoder:decoder_failed"
        return Verdict(question.id, question.category, False, False, fault, _cut(str(error)))
    if kind in ("executable", "rest"):
        return calls
    if kind == "irrelevance":
        valid = not calls
        fault, message = "irrelevance_error:decoder_success", "a call was made where no function fits"
    elif kind == "relevance":
        valid = bool(calls)
        fault, message = "relevance_error:no_call", "no call was made where a function fits"
    else:
        valid, fault, message = ast_check(
            question.functions, calls, question.possible_answer, question.language, question.category, root
        )
    if valid:
        fault = message = ""
    return Verdict(question.id, question.category, valid, valid, fault, _cut(message), calls)


def _cut(text: str) -> str:
    text = text if len(text) <= _MESSAGE_LIMIT else text[:_MESSAGE_LIMIT] + "..."
    return text.encode("utf-8", "replace").decode()  # half a surrogate pair cannot be written


def score(
    responses: Mapping[str, str],
    version: str = "v2",
    questions: Sequence[Question] | None = None,
    root: Path | None = None,
    *,
    executable: Mapping[str, float] | None = None,
    format: str | Format = "json",
    seed: int = 0,
    executor: Executor | None = None,
    live: Live | None = None,
) -> Score:
    """Score raw model outputs. No model is asked for anything.

    Parameters
    ----------
    responses
        Test id to raw output text.
    version
        Whose formula the ``summary`` follows: ``v2``, the report's, or today's ``v3`` and ``v4``, as far as
        these questions allow. The other figures do not depend on it.
    questions
        What was asked, such as a :func:`sample`. By default the whole benchmark, where an id without a
        response counts as wrong: so pass the sample to score a sample.
    root
        The folder that holds ``bfcl_eval``; by default the pinned download.
    executable
        Executable columns as fractions, if they were measured elsewhere. A column whose questions are
        asked here cannot be given as well.
    format
        The output format the model was asked for.
    seed
        Of the bootstrap.
    executor, live
        Who runs calls, and whether services are asked: see
        :func:`xlam_lib.evaluate.executable.judge_calls`.

    Raises
    ------
    ProfileError
        An unknown version, no questions, an id twice, or an executable column unknown, not in 0..1 or also
        measured here.
    SchemaError
        A response to an id that was not asked, or one that is not text.
    """
    summary(version, {}, {})  # an unknown version is told before anything is judged
    root = benchmark_root(root)
    if questions is None:
        questions = _all_questions(root=root)
    asked = Counter(question.id for question in questions)
    if not asked:
        raise ProfileError("score: no questions; choose at least one category and a size above 0")
    twice = [identifier for identifier, times in asked.items() if times > 1]
    if twice:
        raise ProfileError(f"score: question {twice[0]!r} is asked {asked[twice[0]]} times; ask it once")
    _check_responses(responses, asked)
    answers = [(responses.get(question.id), question) for question in questions]
    verdicts = judge_all(answers, format, root, executor=executor, live=live)

    groups: dict[str, list[Verdict]] = {}
    for category in CATEGORIES:
        group = [verdict for verdict in verdicts if verdict.category == category]
        if group:
            groups[category] = group
    values = {name: [float(v.valid) for v in group] for name, group in groups.items()}
    rates = {name: _rate(group, [v.valid for v in group]) for name, group in groups.items()}
    accuracy = {name: rate.accuracy for name, rate in rates.items()}

    columns = columns_v2(accuracy)
    columns |= _executable(executable or {}, columns)
    counts = {name: rate.count for name, rate in rates.items()}
    result = assemble("v2", columns) if version == "v2" else summary(version, accuracy, counts)
    plain = dict.fromkeys(groups, 1 / len(groups))
    return Score(
        version=version,
        categories=rates,
        strict={
            name: _rate(group, [v.strict for v in group])
            for name, group in groups.items()
            if CATEGORIES[name].kind == "irrelevance"
        },
        columns=columns,
        category_mean=_mean(values, plain, seed),
        ast_mean=_column_mean(values, AST_COLUMNS, seed),
        measured_mean=_column_mean(values, MEASURED_COLUMNS, seed),
        overall_v2=None if None in columns.values() else overall_v2(columns),
        summary=result,
        missing=[verdict.id for verdict in verdicts if verdict.error_type == "missing_response"],
        verdicts=verdicts,
    )


def _check_responses(responses: Mapping[str, str], asked: Mapping[str, int]) -> None:
    unknown = [identifier for identifier in responses if identifier not in asked]
    if unknown:
        raise SchemaError(
            f"responses: {len(unknown)} of {len(responses)} ids were not asked, such as {unknown[0]!r}; "
            "pass the questions that were, with ids such as simple_python_0"
        )
    for identifier, text in responses.items():
        if not isinstance(text, str):
            raise SchemaError(
                f"response to {identifier!r}: is {type(text).__name__}, expected the raw output as text; "
                "leave out an id that was not answered"
            )


def _executable(given: Mapping[str, float], columns: Mapping[str, float | None]) -> dict[str, float]:
    for name, value in given.items():
        if name not in EXEC_COLUMNS:
            raise ProfileError(f"executable column {name!r}: unknown; choose from {', '.join(EXEC_COLUMNS)}")
        if not 0 <= value <= 1:
            raise ProfileError(f"executable column {name!r}: {value} is not a fraction between 0 and 1")
        if columns[name] is not None:
            raise ProfileError(f"executable column {name!r}: is measured here; leave it out")
    return dict(given)


def rate(correct: int, count: int, missing: int = 0) -> Rate:
    """So many right of at least one, with their interval."""
    return Rate(count, correct, missing, correct / count, wilson(correct, count))


def _rate(group: Sequence[Verdict], right: Sequence[bool]) -> Rate:
    missing = sum(verdict.error_type == "missing_response" for verdict in group)
    return rate(sum(right), len(group), missing)


def _mean(values: Mapping[str, Sequence[float]], weights: Mapping[str, float], seed: int) -> Mean:
    value = sum(weight * sum(values[name]) / len(values[name]) for name, weight in weights.items())
    groups = [values[name] for name in weights]
    return Mean(value, stratified_bootstrap(groups, seed, list(weights.values())))


def _column_mean(values: Mapping[str, Sequence[float]], columns: Sequence[str], seed: int) -> Mean | None:
    weights = {n: w / len(columns) for column in columns for n, w in COLUMNS[column].items()}
    return _mean(values, weights, seed) if all(name in values for name in weights) else None


def error_counts(score: Score) -> dict[str, dict[str, int]]:
    """For each category, how often each error type occurs, most frequent first; valid answers left out."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in score.categories}
    for verdict in score.verdicts:
        if not verdict.valid:
            counts[verdict.category][verdict.error_type] += 1
    return {name: by_frequency(counter) for name, counter in counts.items()}
