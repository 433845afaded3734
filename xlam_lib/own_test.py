"""A test of somebody's own tools in BFCL's form: questions, possible answers, the official checker's verdict.

A test is worth something only where it is apart from the training data. Two queries of one template are
alike, however different their values; so :func:`split_phrasings` takes some *phrasings* of every function
away before the training data are made, and the test asks with those. What remains alike are the generator's
own habits. Questions in a user's words (:func:`read_written`) have none of them, and a few dozen of those are
the better test.

The files are the benchmark's own (:func:`write`): questions and possible answers, a file each a category,
which :func:`xlam_lib.evaluate.bfcl.questions` reads and its checker scores, as ``simple_python``,
``multiple``, ``parallel``, ``parallel_multiple`` and ``irrelevance``. For irrelevance the strict rule counts:
a well-formed answer without calls.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from xlam_lib.dedup import References, jaccard, normalise
from xlam_lib.diagnose.reports import mcnemar
from xlam_lib.errors import ArtifactError, ProfileError, SchemaError
from xlam_lib.evaluate import bfcl
from xlam_lib.evaluate.official import PACKAGE
from xlam_lib.evaluate.questions import CATEGORIES, Question, to_tool
from xlam_lib.generation import Backend, Progress, generate
from xlam_lib.intervals import Interval, wilson
from xlam_lib.prompts import messages
from xlam_lib.records import write_jsonl
from xlam_lib.schema import Tool, ToolCall, Trajectory, parameters_schema
from xlam_lib.synthesis import synthesize
from xlam_lib.synthesis.grammar import Template
from xlam_lib.synthesis.registry import Function, Registry, arguments_fault

ASKED = ("simple_python", "multiple", "parallel", "parallel_multiple", "irrelevance")
"""The benchmark's categories that a test of one's own tools has."""

ALIKE = 0.7  # Jaccard similarity from which two templates are wordings of one phrasing
NEAR = 0.8  # from which two queries are near-duplicates
_SPARE = 8  # samples made for each question that is wanted
_BENCHMARK_TYPES = {"number": "float", "object": "dict"}

# -------------------------------------------------------------------------------------------- phrasings


@dataclass(frozen=True)
class Split:
    """A library for the training data and the same one for the test, each with phrasings of its own.

    ``rows`` hold for each function the ``templates`` it has, those ``held out``, and ``apart``: by
    ``phrasing`` (no template of the training is alike), by ``wording`` only, or ``no`` where a function has
    a single template, so that its test differs by values alone.
    """

    training: Registry
    test: Registry
    rows: list[dict[str, Any]]


def split_phrasings(library: Registry, share: float = 0.3, seed: int = 0) -> Split:
    """Take about ``share`` of each function's query templates away from the training, for the test.

    Templates that are alike (:data:`ALIKE`, directly or through others) are wordings of one phrasing and stay
    together; the phrasing with the most wordings is always trained on.

    Raises
    ------
    ProfileError
        The share is not between 0 and 1.
    """
    if not 0 < share < 1:
        raise ProfileError(f"share of phrasings: {share} is not between 0 and 1; 0.3 is usual")
    kept, held, rows = {}, {}, []
    for name, function in library.functions.items():
        rng = random.Random(f"{seed}/phrasings/{name}")
        asks, other_asks, how = _apart(function.asks, share, rng)
        missing, other_missing, _ = _apart(function.missing, share, rng)
        kept[name] = replace(function, asks=asks, missing=missing)
        held[name] = replace(function, asks=other_asks, missing=other_missing)
        if function.asks:
            rows.append(
                {
                    "function": name,
                    "templates": len(function.asks),
                    "held out": len(other_asks) if how != "no" else 0,
                    "apart": how,
                }
            )
    return Split(_with(library, kept), _with(library, held), rows)


def _with(library: Registry, functions: dict[str, Function]) -> Registry:
    part = library.subset(lambda _: True)
    part.functions = functions
    return part


def _apart(
    templates: Sequence[Template], share: float, rng: random.Random
) -> tuple[tuple[Template, ...], tuple[Template, ...], str]:
    """The templates for the training, those for the test, and how the two are apart."""
    if len(templates) < 2:
        return tuple(templates), tuple(templates), "no"
    wanted = max(1, round(share * len(templates)))
    groups = sorted(_alike(templates), key=len, reverse=True)
    if len(groups) == 1:
        chosen, how = rng.sample(groups[0], min(wanted, len(templates) - 1)), "wording"
    else:
        others = groups[1:]
        rng.shuffle(others)
        chosen, how = [], "phrasing"
        for group in others:
            if len(chosen) < wanted:
                chosen += group
    held = set(chosen)
    return (
        tuple(template for place, template in enumerate(templates) if place not in held),
        tuple(template for place, template in enumerate(templates) if place in held),
        how,
    )


def _alike(templates: Sequence[Template]) -> list[list[int]]:
    """Places of the templates in groups, each linked by likeness."""
    groups: list[list[int]] = []
    for place, template in enumerate(templates):
        near = [g for g in groups if any(jaccard(template.source, templates[i].source) >= ALIKE for i in g)]
        groups = [group for group in groups if group not in near]
        groups.append([i for group in near for i in group] + [place])
    return groups


# -------------------------------------------------------------------------------------------- questions


def document(tool: Tool) -> dict[str, Any]:
    """A tool as the benchmark's function document: its type names, required parameters as a list.

    A parameter without a type is of type ``any``, which the checker takes for a text; of several types the
    first that is not ``null`` counts.
    """
    schema = parameters_schema(tool.parameters)
    properties = {name: _benchmark_schema(child) for name, child in schema["properties"].items()}
    parameters = {"type": "dict", "properties": properties, "required": schema["required"]}
    return {"name": tool.name, "description": tool.description, "parameters": parameters}


def _benchmark_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    declared = schema.get("type", "any")
    if isinstance(declared, list):
        declared = next((name for name in declared if name != "null"), "any")
    shown = {**schema, "type": _BENCHMARK_TYPES.get(declared, declared)}
    if declared == "array":
        items = schema.get("items")
        shown["items"] = _benchmark_schema(items) if isinstance(items, Mapping) else {"type": "any"}
    if isinstance(schema.get("properties"), Mapping):
        shown["properties"] = {name: _benchmark_schema(c) for name, c in schema["properties"].items()}
    return shown


def possible_answer(call: ToolCall, tool: Tool) -> dict[str, Any]:
    """What the checker lets pass for a call: its values, and defaults that may be said or left out."""
    return {call.name: _allowed(call.arguments, tool.parameters)}


def _allowed(arguments: Mapping[str, Any], parameters: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    allowed: dict[str, list[Any]] = {}
    for name, schema in parameters.items():
        default = schema.get("default")
        if name in arguments:
            value = arguments[name]
            allowed[name] = _spellings(value, schema)
            if schema.get("required") is not True and default is not None and value == default:
                allowed[name].append("")
        elif schema.get("required") is not True and default is not None:
            allowed[name] = [*_spellings(default, schema), ""]
    return allowed


def _spellings(value: Any, schema: Mapping[str, Any]) -> list[Any]:
    """An allowed value in the checker's form: objects hold a list of values a key."""
    items = schema.get("items")
    if isinstance(value, dict):
        return [_entries(value, schema)]
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        return [[_entries(item, items if isinstance(items, Mapping) else {}) for item in value]]
    if isinstance(value, list) and any(isinstance(item, float) and item.is_integer() for item in value):
        # The checker compares types inside lists, and 5 is as good a number as 5.0.
        whole = [int(item) if isinstance(item, float) and item.is_integer() else item for item in value]
        return [value, whole]
    return [value]


def _entries(value: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    properties = schema.get("properties")
    if isinstance(properties, Mapping):
        known = _allowed(value, properties)
        return known | {key: [inner] for key, inner in value.items() if key not in known}
    return {key: [inner] for key, inner in value.items()}


def category_of(calls: Sequence[ToolCall], tools: Sequence[Tool]) -> str:
    """The benchmark's category of a question with these calls and these tools on offer."""
    if not calls:
        return "irrelevance"
    if len(calls) == 1:
        return "simple_python" if len(tools) == 1 else "multiple"
    return "parallel" if len(tools) == 1 else "parallel_multiple"


def make_questions(items: Iterable[tuple[str, Sequence[ToolCall], Sequence[Tool]]]) -> list[Question]:
    """Questions of (query, right calls, tools on offer), numbered within their categories.

    Raises
    ------
    SchemaError
        A call of a function that is not on offer.
    """
    numbers: Counter[str] = Counter()
    questions = []
    for query, calls, tools in items:
        category = category_of(calls, tools)
        named = {tool.name: tool for tool in tools}
        unknown = [call.name for call in calls if call.name not in named]
        if unknown:
            raise SchemaError(f"question {query[:60]!r}: {unknown[0]!r} is called and not on offer")
        documents = [document(tool) for tool in tools]
        questions.append(
            Question(
                id=f"{category}_{numbers[category]}",
                category=category,
                language="python",
                query=query,
                messages=(("user", query),),
                functions=documents,
                tools=[to_tool(one, "python") for one in documents],
                possible_answer=[possible_answer(call, named[call.name]) for call in calls],
            )
        )
        numbers[category] += 1
    return questions


@dataclass(frozen=True)
class Overlap:
    """How a test's queries and the training's compare.

    Attributes: the number of ``queries``; the places of those that are ``equal`` to one that was trained on
    (case and punctuation aside) and, of the others, of ``near``-duplicates.
    """

    queries: int
    equal: list[int]
    near: list[int]


def overlap(queries: Sequence[str], trained: Iterable[str]) -> Overlap:
    """Which queries of a test stand in the training data, or nearly (:data:`NEAR`)."""
    trained = list(trained)
    known = {normalise(query) for query in trained}
    equal = [place for place, query in enumerate(queries) if normalise(query) in known]
    found = References(trained, NEAR).near(queries) if trained else [[]] * len(queries)
    near = [place for place, others in enumerate(found) if others and place not in set(equal)]
    return Overlap(len(queries), equal, near)


@dataclass(frozen=True)
class Made:
    """A test out of verified samples: its ``questions`` and the ``counts`` of what was made and left out."""

    questions: list[Question]
    counts: dict[str, int]


def make_test(
    library: Registry, each: int, trained: Sequence[Trajectory], *, seed: int = 0, workers: int = 1
) -> Made:
    """A test of ``each`` questions a category, of samples that passed all the checks.

    Parameters
    ----------
    library
        The functions with the phrasings that were held out (:attr:`Split.test`).
    each
        Questions a category; fewer where the library does not give them (``counts`` says so).
    trained
        The training's samples: a query that equals one of theirs, or nearly does, is left out and counted.
    seed, workers
        Of the synthesis. The seed is made another than that of a training with the same number.

    Raises
    ------
    ProfileError
        ``each`` is not positive, or no question is left.
    """
    if each < 1:
        raise ProfileError(f"questions a category: {each}; give at least 1")
    found = synthesize(
        _SPARE * each * len(ASKED),
        library=library,
        seed=seed + 500_000,
        workers=workers,
        irrelevant=1 / len(ASKED),
        noise=0.0,
        dress=0.0,
    )
    samples = found.verified
    shared = overlap([sample.query for sample in samples], [sample.query for sample in trained])
    out = {*shared.equal, *shared.near}
    room: dict[str, int] = dict.fromkeys(ASKED, each)
    chosen = []
    for place, sample in enumerate(samples):
        category = category_of(sample.steps[0].tool_calls, sample.tools)
        if place not in out and room[category]:
            room[category] -= 1
            chosen.append((sample.query, sample.steps[0].tool_calls, sample.tools))
    if not chosen:
        raise ProfileError(
            f"{library.name}: of {found.funnel.total.asked} samples none is left for a test "
            f"({len(shared.equal)} equal to the training's, {len(shared.near)} nearly); add templates"
        )
    counts = {
        "made": found.funnel.total.asked,
        "verified": len(samples),
        "equal to the training's": len(shared.equal),
        "near-duplicates of the training's": len(shared.near),
        "questions": len(chosen),
        "short": sum(room.values()),
    }
    order = {category: place for place, category in enumerate(ASKED)}
    chosen.sort(key=lambda item: order[category_of(item[1], item[2])])
    return Made(make_questions(chosen), counts)


# ------------------------------------------------------------------------------------- questions by hand


class _Written(msgspec.Struct, forbid_unknown_fields=True):
    query: str
    calls: list[ToolCall]
    tools: list[str] | None = None


def read_written(
    path: str | Path, tools: Sequence[Tool], trained: Sequence[Trajectory] = ()
) -> list[Question]:
    """Questions that somebody wrote: JSON Lines of ``query``, ``calls`` and ``tools`` (by default all).

    ``{"query": "...", "calls": [{"name": "...", "arguments": {...}}], "tools": ["...", "..."]}``; an empty
    list of calls where none is right. Every line is checked against the tools.

    Raises
    ------
    ArtifactError
        The file is not there or holds nothing.
    SchemaError
        All lines that are wrong, each with what to correct: not of this form, an unknown tool, a call that
        does not fit its tool, a query twice, or one that the training data hold.
    """
    path = Path(path)
    try:
        lines = path.read_bytes().split(b"\n")  # not splitlines(): JSON may hold U+2028 within a string
    except OSError as error:
        raise ArtifactError(
            f"{path}: cannot be read ({error.strerror}); name your file of questions"
        ) from None
    known = {tool.name: tool for tool in tools}
    seen = {normalise(sample.query): "the training data have it" for sample in trained}
    items, faults = [], []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            written = msgspec.json.decode(line, type=_Written)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            faults.append(f"line {number}: {error}")
            continue
        found = list(_faults(written, known))
        place = normalise(written.query)
        if place in seen:
            found.append(f"the query stands elsewhere: {seen[place]}")
        seen[place] = f"line {number} has it"
        faults += [f"line {number}: {fault}" for fault in found]
        if not found:
            offered = [known[name] for name in written.tools or known]
            items.append((written.query, written.calls, offered))
    if faults:
        raise SchemaError(f"{path}: " + "; ".join(faults))
    if not items:
        raise ArtifactError(f"{path}: holds no questions; write one JSON object a line")
    return make_questions(items)


def _faults(written: _Written, known: Mapping[str, Tool]) -> Iterable[str]:
    if not written.query.strip():
        yield "query: is empty"
    offered = list(known) if written.tools is None else written.tools
    unknown = [name for name in offered if name not in known]
    if unknown or not offered or len(set(offered)) < len(offered):
        wrong = f"{unknown[0]!r} is unknown" if unknown else "is empty, or a name stands twice"
        yield f"tools: {wrong}; choose from {', '.join(known)}"
        return
    for number, call in enumerate(written.calls):
        if call.name not in offered:
            yield f"calls[{number}].name: {call.name!r} is not on offer; choose from {', '.join(offered)}"
            continue
        fault = arguments_fault(call.arguments, known[call.name].parameters, f"calls[{number}].arguments")
        if fault:
            yield f"{fault[0]} ({fault[1]})"


# ------------------------------------------------------------------------------------------------ files


def write(folder: str | Path, questions: Sequence[Question]) -> list[Path]:
    """Write a test in the benchmark's folders below ``folder``; return the files.

    ``bfcl_eval/data/BFCL_v4_CATEGORY.json`` holds the questions and ``possible_answer/`` beside it the
    answers: exactly where the official package keeps its own.
    """
    data = Path(folder) / PACKAGE / "data"
    files = []
    for category in ASKED:
        group = [question for question in questions if question.category == category]
        if not group:
            continue
        path = data / CATEGORIES[category].file
        lines = [
            {
                "id": question.id,
                "question": [[{"role": role, "content": text} for role, text in question.messages]],
                "function": question.functions,
            }
            for question in group
        ]
        write_jsonl(path, lines)
        files.append(path)
        if category != "irrelevance":
            answers = [{"id": question.id, "ground_truth": question.possible_answer} for question in group]
            write_jsonl(data / "possible_answer" / path.name, answers)
            files.append(data / "possible_answer" / path.name)
    return files


def read(folder: str | Path) -> list[Question]:
    """The questions that :func:`write` wrote, or any in that layout.

    Raises
    ------
    ArtifactError
        There are none.
    """
    data = Path(folder) / PACKAGE / "data"
    there = [category for category in ASKED if (data / CATEGORIES[category].file).exists()]
    if not there:
        raise ArtifactError(f"{data}: holds no BFCL_v4_*.json; write a test there first")
    return bfcl.questions(there, Path(folder))


# ------------------------------------------------------------------------------------- asking and comparing


def run(
    model: Backend,
    questions: Sequence[Question],
    *,
    style: str = "plain",
    max_new_tokens: int = 112,
    batch_size: int = 64,
    held: bool = False,
    cache: str | Path | None = None,
    progress: Progress | None = None,
) -> bfcl.Score:
    """Ask a model the questions, in the prompts it was trained with, and score it by the official checker.

    ``held`` lets it write nothing but legal calls (:mod:`xlam_lib.constrained`); ``cache`` keeps answers, as
    for :func:`xlam_lib.generation.generate`.
    """
    chats = [messages(bfcl.trajectory(question), style, length="brief") for question in questions]
    schemas = None
    if held:
        from xlam_lib.constrained import answer_schema

        schemas = [json.dumps(answer_schema(question.tools)) for question in questions]
    answers = generate(
        chats,
        model,
        max_new_tokens=max_new_tokens,
        batch_size=batch_size,
        schemas=schemas,
        cache=cache,
        progress=progress,
    )
    responses = {question.id: answer.text for question, answer in zip(questions, answers, strict=True)}
    return bfcl.score(responses, questions=questions)


def right(score: bfcl.Score) -> dict[str, tuple[int, int]]:
    """Right answers and questions of each category, and of ``all``; irrelevance by the strict rule."""
    found: dict[str, tuple[int, int]] = {}
    for verdict in score.verdicts:
        for name in (verdict.category, "all"):
            done, count = found.get(name, (0, 0))
            found[name] = (done + verdict.strict, count + 1)
    return {name: found[name] for name in (*score.categories, "all")}


def rates(score: bfcl.Score) -> dict[str, tuple[float, float, float]]:
    """Rate and its 95% Wilson interval of each category and of ``all``, as fractions, for a figure."""
    return {name: (done / count, *wilson(done, count)) for name, (done, count) in right(score).items()}


def compare(before: bfcl.Score, after: bfcl.Score) -> list[dict[str, Any]]:
    """Two scores of the same questions, a row a category and one for ``all``.

    ``mended`` and ``broken`` count questions that only one of the two answered rightly, and ``p`` is
    McNemar's exact two-sided test on them: how likely a split at least so uneven is by chance.

    Raises
    ------
    ProfileError
        The two were not asked the same questions.
    """
    if [v.id for v in before.verdicts] != [v.id for v in after.verdicts]:
        raise ProfileError("compare: the two scores are of different questions; score the same test twice")
    first, second = right(before), right(after)
    rows = []
    for name in first:
        pairs = [
            (old.strict, new.strict)
            for old, new in zip(before.verdicts, after.verdicts, strict=True)
            if name in (old.category, "all")
        ]
        mended, broken = pairs.count((False, True)), pairs.count((True, False))
        rows.append(
            {
                "category": name,
                "questions": first[name][1],
                "before": _shown(*first[name]),
                "after": _shown(*second[name]),
                "mended": mended,
                "broken": broken,
                "p": mcnemar(mended, broken),
            }
        )
    return rows


def _shown(done: int, count: int) -> str:
    low, high = _percent(wilson(done, count))
    return f"{done} ({100 * done / count:.0f}% [{low}, {high}])"


def _percent(interval: Interval) -> tuple[str, str]:
    return f"{100 * interval[0]:.0f}", f"{100 * interval[1]:.0f}"
