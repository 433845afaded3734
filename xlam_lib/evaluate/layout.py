"""Answers and scores in the official tool's folders, written and read.

The tool (bfcl-eval 2026.3.23) keeps, for each model, ``result/MODEL/GROUP/BFCL_v4_CATEGORY_result.json`` with
a line ``{"id", "result"}`` a question, and ``score/MODEL/GROUP/BFCL_v4_CATEGORY_score.json`` with a line of
totals and then the wrong answers. MODEL is its name with ``_`` for ``/``; GROUP is ``live`` or ``non_live``.

What ``result`` holds depends on the handler that the tool uses for a model. ``raw`` is the model's own words,
right for a handler written for that model. ``calls`` is the form of handlers of function-calling
interfaces, a list of ``{name: arguments as JSON}``.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from xlam_lib.errors import AssetError, ProfileError, SchemaError
from xlam_lib.evaluate.bfcl import Score, decode
from xlam_lib.evaluate.questions import CATEGORIES, Question
from xlam_lib.formats import Format, ParseError, dump_json, get_format
from xlam_lib.records import read_jsonl, write_jsonl
from xlam_lib.schema import ToolCall

FORMS = ("raw", "calls")
_RESULT = re.compile(r"BFCL_v\d+_(\w+?)_result\.json")
_OLD_NAMES = {"simple": "simple_python", "java": "simple_java", "javascript": "simple_javascript"}


def model_folder_name(model: str) -> str:
    """A model's name as the tool names its folder.

    Raises
    ------
    ProfileError
        The name is empty or would lead out of the folder.
    """
    name = model.replace("/", "_")
    if not name.strip(".") or "\\" in name or "\x00" in name:
        raise ProfileError(f"model {model!r}: not a name that a folder can have; give one such as org/model")
    return name


def _folder(root: str | Path, kind: str, model: str, category: str) -> Path:
    group = "live" if CATEGORIES[category].live else "non_live"
    return Path(root) / kind / model_folder_name(model) / group


def write_results(
    root: str | Path,
    model: str,
    questions: Sequence[Question],
    responses: Mapping[str, str],
    *,
    form: str = "raw",
    format: str | Format = "json",
) -> list[Path]:
    """Write answers as ``root/result/MODEL/...``, one file a category; return the files.

    Parameters
    ----------
    root
        The tool's project folder (its ``BFCL_PROJECT_ROOT``).
    model
        The name that the tool knows the model by.
    questions, responses
        What was asked, and id to raw output. Questions without a response are left out, as the tool does.
    form
        ``raw`` or ``calls``. With ``calls``, an answer that does not decode stays as it was written.
    format
        The output format the model was asked for; read for ``calls`` only.

    Raises
    ------
    ProfileError
        The form is unknown, or the model's name unusable.
    """
    if form not in FORMS:
        raise ProfileError(f"form {form!r}: unknown; choose from {', '.join(FORMS)}")
    model_folder_name(model)
    files = []
    for category in CATEGORIES:
        lines = [
            {"id": question.id, "result": _result(responses[question.id], question, form, format)}
            for question in questions
            if question.category == category and question.id in responses
        ]
        if lines:
            files.append(_folder(root, "result", model, category) / f"BFCL_v4_{category}_result.json")
            write_jsonl(files[-1], lines)
    return files


def _result(text: str, question: Question, form: str, format: str | Format) -> str | list[dict[str, str]]:
    if form == "calls":
        try:
            calls = decode(text, question, format)
            return [{name: dump_json(arguments) for name, arguments in call.items()} for call in calls]
        except ParseError:
            pass
    return text.encode("utf-8", "replace").decode()


def read_results(
    root: str | Path, model: str, questions: Sequence[Question], *, format: str | Format = "json"
) -> dict[str, str]:
    """Answers that stand in the tool's layout, as id to text that :func:`xlam_lib.evaluate.bfcl.score` reads.

    A text is taken as it is. A list of ``{name: arguments}``, which function-calling interfaces give, is
    written in ``format``; a name there that is a question's function with its dots made underscores gets the
    dots back, as the official checker does for such interfaces. Files and ids of the older naming
    (``simple``, ``java``, ``javascript``) are taken too, and answers to other questions left out.

    Raises
    ------
    AssetError
        There is no folder of that model, or no file of results in it.
    SchemaError
        A record has no id or no usable result, or an id stands twice; the message names file and record.
    """
    folder = Path(root) / "result" / model_folder_name(model)
    files = sorted(path for path in folder.rglob("BFCL_v*_result.json") if _RESULT.fullmatch(path.name))
    if not files:
        raise AssetError(f"{folder}: holds no BFCL_v*_result.json; give the folder that holds result/MODEL/")
    asked = {question.id: question for question in questions}
    found: dict[str, str] = {}
    for path in files:
        for number, record in enumerate(read_jsonl(path), 1):
            where = f"{path}, record {number}"
            if not isinstance(record, dict) or not isinstance(record.get("id"), str):
                raise SchemaError(f"{where}: has no id; expected {{'id': ..., 'result': ...}}")
            stem, _, rest = record["id"].rpartition("_")
            identifier = f"{_OLD_NAMES.get(stem, stem)}_{rest}"
            if identifier not in asked:
                continue
            if identifier in found:
                raise SchemaError(f"{where}: {identifier} stands twice; keep one answer a question")
            found[identifier] = _text(record.get("result"), asked[identifier], where, format)
    return found


def _text(result: Any, question: Question, where: str, format: str | Format) -> str:
    if isinstance(result, str):
        return result
    if not isinstance(result, list) or not all(isinstance(call, dict) for call in result):
        raise SchemaError(f"{where}: result is neither text nor a list of {{name: arguments}}")
    names = Counter(function["name"].replace(".", "_") for function in question.functions)
    dotted = {function["name"].replace(".", "_"): function["name"] for function in question.functions}
    known = {function["name"] for function in question.functions}
    calls = []
    for call in result:
        for name, arguments in call.items():
            if isinstance(arguments, str):
                try:
                    arguments = json.loads(arguments)
                except (ValueError, RecursionError):
                    return json.dumps(result)  # as it was: it will be judged as what it is
            if not isinstance(arguments, dict):
                return json.dumps(result)
            restored = dotted[name] if name not in known and names[name] == 1 else name
            calls.append(ToolCall(restored, arguments))
    try:
        return get_format(format).render(calls)
    except ParseError:
        return json.dumps(result)


def write_scores(
    root: str | Path,
    model: str,
    questions: Sequence[Question],
    score: Score,
    responses: Mapping[str, str],
) -> list[Path]:
    """Write a score as ``root/score/MODEL/...``: totals, then each wrong answer; return the files.

    ``questions`` and ``responses`` are those that were scored.
    """
    asked = {question.id: question for question in questions}
    files = []
    for category, rate in score.categories.items():
        lines: list[dict[str, Any]] = [
            {"accuracy": rate.accuracy, "correct_count": rate.correct, "total_count": rate.count}
        ]
        for verdict in score.verdicts:
            if verdict.category != category or verdict.valid:
                continue
            question = asked[verdict.id]
            lines.append(
                {
                    "id": verdict.id,
                    "model_name": model,
                    "test_category": category,
                    "valid": False,
                    "error": [verdict.message],
                    "error_type": verdict.error_type,
                    "prompt": {"id": question.id, "question": [_messages(question)]},
                    "model_result_raw": responses.get(verdict.id, "").encode("utf-8", "replace").decode(),
                    "model_result_decoded": verdict.calls,
                    "possible_answer": question.possible_answer or question.ground_truth,
                }
            )
        files.append(_folder(root, "score", model, category) / f"BFCL_v4_{category}_score.json")
        write_jsonl(files[-1], lines)
    return files


def _messages(question: Question) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in question.messages]
