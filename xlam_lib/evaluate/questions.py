"""BFCL v2's questions: the categories, two sets of files, samples, and a question as a task (section 4).

Two sets of questions, by name:

- ``package`` (default): what the pinned package holds today, among its unused files the executable part.
- ``2024-08-29``: the files as they stood when the report was written, in the ``data`` folder of the
  leaderboard's repository at commit eca516a. A user downloads them; pass the folder.

A question keeps its id in both sets: the older files' ``simple_0``, ``java_0`` and ``javascript_0`` are
read under today's names ``simple_python_0``, ``simple_java_0`` and ``simple_javascript_0``.
:func:`differences` lists what was added, removed and changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from xlam_lib.errors import AssetError, ProfileError, SchemaError
from xlam_lib.evaluate.official import PACKAGE, benchmark_root
from xlam_lib.formats import Format, get_format
from xlam_lib.records import read_jsonl
from xlam_lib.schema import Tool, Trajectory, flat_parameters
from xlam_lib.tally import place

PACKAGED, DATED = "package", "2024-08-29"
QUESTION_SETS = (PACKAGED, DATED)
_PREFIXES = {PACKAGED: "BFCL_v4_", DATED: "BFCL_v2_"}
_DATED_NAMES = {"simple_python": "simple", "simple_java": "java", "simple_javascript": "javascript"}
_CHECKED_CALLS = "executable_eval_sanity_check/api_status_check_ground_truth_rest.json"


class Category(msgspec.Struct, frozen=True):
    """A group of questions: its ``name``, its ``kind`` (which rule judges it) and its ``language``."""

    name: str
    kind: str = "ast"  # or "executable", "rest", "irrelevance" or "relevance"
    language: str = "python"

    @property
    def live(self) -> bool:
        """Whether the questions were contributed by users rather than written by the authors."""
        return self.name.startswith("live_")

    @property
    def file(self) -> str:
        """The file's name in the package's ``data``; the answers' file has the same name."""
        return f"{_PREFIXES[PACKAGED]}{self.name}.json"

    @property
    def executed(self) -> bool:
        """Whether calls are judged by what they give; the package keeps these among its unused files."""
        return self.kind in ("executable", "rest")


CATEGORIES: dict[str, Category] = {
    category.name: category
    for category in (
        Category("simple_python"),
        Category("simple_java", language="java"),
        Category("simple_javascript", language="javascript"),
        Category("multiple"),
        Category("parallel"),
        Category("parallel_multiple"),
        Category("exec_simple", "executable"),
        Category("rest", "rest"),
        Category("exec_multiple", "executable"),
        Category("exec_parallel", "executable"),
        Category("exec_parallel_multiple", "executable"),
        Category("irrelevance", "irrelevance"),
        Category("live_simple"),
        Category("live_multiple"),
        Category("live_parallel"),
        Category("live_parallel_multiple"),
        Category("live_irrelevance", "irrelevance"),
        Category("live_relevance", "relevance"),
    )
}


class Question(msgspec.Struct, frozen=True):
    """One question.

    Attributes
    ----------
    id, category, language
        As the package has them; ``language`` is ``python``, ``java`` or ``javascript``.
    query
        The user's words. Where there is a system message or a conversation, every message with its role.
    messages
        The same as ``(role, content)`` pairs.
    functions
        The native function documents, which the checker reads.
    tools
        The same in the unified format, which the prompt shows.
    possible_answer
        The allowed values of each call; empty for relevance, irrelevance and the executable categories.
    ground_truth
        For the executable categories: the right calls, as Python source such as ``f(a=1)``.
    result_types
        For these, one a call: ``exact_match``, ``real_time_match`` (within 20%) or ``structural_match``.
    recorded
        For ``rest``: what the service answered when the questions were made, where that is known.
    """

    id: str
    category: str
    language: str
    query: str
    messages: tuple[tuple[str, str], ...]
    functions: list[dict[str, Any]]
    tools: list[Tool]
    possible_answer: list[dict[str, Any]] = []
    ground_truth: list[str] = []
    result_types: list[str] = []
    recorded: Any = None


def categories_named(names: Iterable[str] | None = None) -> list[Category]:
    """The categories of those names in the usual order, by default all.

    Raises
    ------
    ProfileError
        A name is unknown.
    """
    if names is None:
        return list(CATEGORIES.values())
    wanted = {names} if isinstance(names, str) else set(names)
    unknown = sorted(wanted - set(CATEGORIES))
    if unknown:
        raise ProfileError(f"category {unknown[0]!r}: unknown; choose from {', '.join(CATEGORIES)}")
    return [category for name, category in CATEGORIES.items() if name in wanted]


def questions(
    categories: Iterable[str] | None = None,
    root: Path | None = None,
    *,
    which: str = PACKAGED,
    folder: str | Path | None = None,
) -> list[Question]:
    """Read the questions of some categories, by default all, in the files' order.

    Parameters
    ----------
    categories
        Names in :data:`CATEGORIES`.
    root
        The folder that holds ``bfcl_eval``; by default the pinned download.
    which
        The question set, a name in :data:`QUESTION_SETS`.
    folder
        For the set ``2024-08-29``: the downloaded folder, with ``BFCL_v2_*.json`` and ``possible_answer``.

    Raises
    ------
    ProfileError
        A category or a set is unknown, or a folder is missing or given where none is read.
    AssetError
        A file is missing, or questions and answers do not go together.
    SchemaError
        A record lacks a field, or is of another shape than its file's.
    """
    chosen = categories_named(categories)
    if which not in QUESTION_SETS:
        raise ProfileError(f"question set {which!r}: unknown; choose from {', '.join(QUESTION_SETS)}")
    if (folder is not None) != (which == DATED):
        raise ProfileError(
            f"question set {which!r}: "
            + ("takes no folder" if folder is not None else "give the folder that you downloaded it to")
        )
    files = _Files(which, None if folder is None else Path(folder), root)
    return [question for category in chosen for question in _read(category, files)]


class _Files:
    """Where a question set's files are, and how they name things."""

    def __init__(self, which: str, folder: Path | None, root: Path | None) -> None:
        self.which, self.folder = which, folder
        self.root = root

    @property
    def package(self) -> Path:
        return benchmark_root(self.root) / PACKAGE / "data"

    def name(self, category: Category) -> str:
        return _DATED_NAMES.get(category.name, category.name) if self.which == DATED else category.name

    def question(self, category: Category) -> Path:
        file = f"{_PREFIXES[self.which]}{self.name(category)}.json"
        if self.folder is not None:
            return self.folder / file
        return (
            self.package / "unused_datasets" / "question" / file if category.executed else self.package / file
        )

    def answer(self, category: Category) -> Path:
        """The file of answers, for the older set that of the questions where they are one."""
        if self.folder is not None:
            path = self.question(category)
            return path if category.executed else path.parent / "possible_answer" / path.name
        folder = self.package / "unused_datasets" if category.executed else self.package
        return folder / "possible_answer" / category.file

    def identifier(self, category: Category, native: str) -> str:
        """The id under today's name of the category."""
        return category.name + native.removeprefix(self.name(category))


def _records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    if not path.exists():
        raise AssetError(
            f"{path}: no such file; run `python -m xlam_lib assets` for the packaged questions, "
            "or give the folder that holds the downloaded ones"
        )
    for number, record in enumerate(read_jsonl(path), 1):
        if not isinstance(record, dict) or not isinstance(record.get("id"), str):
            raise SchemaError(
                f"{path}, record {number}: is not an object with an id; download the file again"
            )
        yield number, record


def _read(category: Category, files: _Files) -> list[Question]:
    path = files.question(category)
    answers: dict[str, dict[str, Any]] = {}
    if category.kind in ("ast", "executable"):
        answers = {record["id"]: record for _, record in _records(files.answer(category))}
    right, recorded = _rest_answers(files.package) if category.kind == "rest" else ({}, {})
    result = []
    for number, record in _records(path):
        try:
            question = _question(category, files, record)
            if category.kind == "ast":
                answer = answers[record["id"]]
                question = msgspec.structs.replace(question, possible_answer=answer["ground_truth"])
            elif category.kind == "executable":
                answer = answers[record["id"]]
                question = msgspec.structs.replace(
                    question,
                    ground_truth=answer["ground_truth"],
                    result_types=answer["execution_result_type"],
                )
            elif category.kind == "rest":
                question = msgspec.structs.replace(
                    question,
                    ground_truth=[right[question.id]],
                    result_types=["structural_match"],
                    recorded=recorded.get(question.id),
                )
        except KeyError as error:
            fault = f"has no answer ({error})" if error.args[0] == record["id"] else f"lacks {error}"
            raise AssetError(
                f"{path}, record {number}: question {record['id']!r} {fault}; "
                "fetch the benchmark again with `python -m xlam_lib assets`"
            ) from None
        except (TypeError, AttributeError, IndexError, SchemaError) as error:
            raise SchemaError(
                f"{path}, record {number}: question {record['id']!r} is not in its shape ({error}); "
                "download the file again"
            ) from None
        result.append(question)
    return result


def _question(category: Category, files: _Files, record: Mapping[str, Any]) -> Question:
    # The package holds a list of turns, the older files the one turn itself.
    turns = record["question"] if isinstance(record["question"][0], list) else [record["question"]]
    messages = tuple((m["role"], m["content"]) for turn in turns for m in turn)
    return Question(
        id=files.identifier(category, record["id"]),
        category=category.name,
        language=category.language,
        query=_query(messages),
        messages=messages,
        functions=record["function"],
        tools=[to_tool(function, category.language) for function in record["function"]],
    )


def _rest_answers(package: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """The right call of each ``rest`` question and what the service answered, by id.

    Both sets of questions ask the same 70; only the package holds the calls, in its check that the services
    are up.
    """
    unused = package / "unused_datasets"
    calls = {
        f"rest_{record['idx']}": record["ground_truth"] for record in read_jsonl(unused / _CHECKED_CALLS)
    }
    given = {
        record["id"]: json.loads(record["ground_truth"])
        for _, record in _records(unused / "possible_answer" / CATEGORIES["rest"].file)
    }
    return calls, given


class Difference(msgspec.Struct, frozen=True):
    """What two question sets do not share in one category, by id.

    Attributes: the ``category``; ids ``removed`` and ``added`` from the first to the second; ids whose
    words (``queries``), ``functions`` or right ``answers`` ``changed``, each map from what changed to ids.
    """

    category: str
    before: int
    after: int
    removed: list[str]
    added: list[str]
    changed: dict[str, list[str]]


def differences(before: Sequence[Question], after: Sequence[Question]) -> list[Difference]:
    """What distinguishes two question sets, one entry a category in the usual order.

    ``differences(questions(which="2024-08-29", folder=...), questions())`` says what has become of the
    questions that the report was measured on.
    """
    result = []
    for name in CATEGORIES:
        old = {question.id: question for question in before if question.category == name}
        new = {question.id: question for question in after if question.category == name}
        if not old and not new:
            continue
        both = [identifier for identifier in old if identifier in new]
        changed = {
            what: [i for i in both if getattr(old[i], field) != getattr(new[i], field)]
            for what, field in (("queries", "messages"), ("functions", "functions"))
        }
        changed["answers"] = [
            i
            for i in both
            if (old[i].possible_answer, old[i].ground_truth) != (new[i].possible_answer, new[i].ground_truth)
        ]
        result.append(
            Difference(
                name,
                len(old),
                len(new),
                [identifier for identifier in old if identifier not in new],
                [identifier for identifier in new if identifier not in old],
                changed,
            )
        )
    return result


def _query(messages: Sequence[tuple[str, str]]) -> str:
    if len(messages) == 1:
        return messages[0][1]
    return "\n\n".join(f"{role.capitalize()}: {content}" for role, content in messages)


_LANGUAGES = {"java": "Java", "javascript": "JavaScript"}
_COLLECTIONS = {"array", "Array", "ArrayList"}


def to_tool(function: Mapping[str, Any], language: str) -> Tool:
    """A native function document as a :class:`Tool`, the way the official handlers show it to a model.

    Python types become JSON Schema's, and ``any`` a string, which is what the checker expects of it. A
    Java or JavaScript parameter becomes a string, and its description says which type the string holds.
    """
    schema = function["parameters"]
    description = function["description"]
    if language in _LANGUAGES:
        description = f"{description} (A {_LANGUAGES[language]} function.)"
        properties = {
            name: _as_string(child, _LANGUAGES[language]) for name, child in schema["properties"].items()
        }
    else:
        properties = {name: _any_as_string(child) for name, child in schema["properties"].items()}
    return Tool(function["name"], description, flat_parameters({**schema, "properties": properties}))


def _any_as_string(schema: Mapping[str, Any]) -> dict[str, Any]:
    shown = dict(schema)
    if shown.get("type") == "any":
        shown["type"] = "string"
    if isinstance(shown.get("items"), Mapping):
        shown["items"] = _any_as_string(shown["items"])
    if isinstance(shown.get("properties"), Mapping):
        shown["properties"] = {name: _any_as_string(child) for name, child in shown["properties"].items()}
    return shown


def _as_string(schema: Mapping[str, Any], language: str) -> dict[str, Any]:
    shown = {key: value for key, value in schema.items() if key not in ("items", "properties", "required")}
    kind = schema["type"]
    if kind == "any":
        hint = f"A string that holds any {language} value or variable name."
    else:
        hint = f"A string that holds a {language} {kind} as it is written in {language}."
    if kind in _COLLECTIONS and "items" in schema:
        hint += f" Its elements are of type {schema['items']['type']}."
    if "properties" in schema:
        hint += f" Its entries: {json.dumps(schema['properties'], ensure_ascii=False)}"
    shown["type"] = "string"
    shown["description"] = f"{schema.get('description', '')} {hint}".strip()
    if "default" in shown and not isinstance(shown["default"], str):
        shown["default"] = json.dumps(shown["default"])
    return shown


def sample(questions: Sequence[Question], sizes: Mapping[str, int] | int, seed: int) -> list[Question]:
    """A fixed sample, stratified by category; a larger one of the same seed contains a smaller one.

    Each question's place is drawn from the seed and its id alone, so the sample does not depend on the
    order of ``questions`` or on which others are there.

    Parameters
    ----------
    questions
        What to draw from.
    sizes
        How many of each category; with a map, categories it does not name are left out. Where more are
        asked for than there are, all are taken.
    seed
        The same seed gives the same sample.

    Raises
    ------
    ProfileError
        A category is unknown or a size negative.
    """
    if isinstance(sizes, int):
        sizes = dict.fromkeys(CATEGORIES, sizes)
    chosen = categories_named(sizes)
    negative = [name for name, size in sizes.items() if size < 0]
    if negative:
        raise ProfileError(f"size of {negative[0]!r}: {sizes[negative[0]]} is negative")
    result = []
    for category in chosen:
        group = [question for question in questions if question.category == category.name]
        group.sort(key=lambda question: place(seed, question.id))
        result += group[: sizes[category.name]]
    return result


def trajectory(question: Question, instruction: str = "brief", format: str | Format = "json") -> Trajectory:
    """A question as a trajectory without steps, ready for :func:`xlam_lib.prompts.render_prompt`.

    Parameters
    ----------
    question
        What is asked. Its answer stays out of the result.
    instruction
        ``brief`` or ``full``: which of our own instructions the prompt carries. Use the one the model
        was trained with.
    format
        The output format, a name in :data:`xlam_lib.formats.FORMATS`.

    Raises
    ------
    ProfileError
        The instruction or the format is unknown.
    """
    from xlam_lib import prompts

    if instruction not in prompts.LENGTHS:
        raise ProfileError(
            f"instruction {instruction!r}: unknown; choose one of {', '.join(prompts.LENGTHS)}"
        )
    fmt, brief = get_format(format), instruction == "brief"
    task = prompts.TASK_INSTRUCTION_FC_BRIEF if brief else prompts.TASK_INSTRUCTION_FC
    if fmt.has_thought:
        task = prompts.TASK_INSTRUCTION_AGENT_BRIEF if brief else prompts.TASK_INSTRUCTION_AGENT
    return Trajectory(
        unique_trajectory_id=f"bfcl/{question.id}",
        source="bfcl",
        task_instruction=task,
        tools=question.tools,
        format_instruction=fmt.brief if brief else fmt.instruction,
        query=question.query,
        meta={"category": question.category, "format": fmt.name},
    )
