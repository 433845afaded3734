"""API-Bank: dialogues and tasks whose API calls are written as text.

Three native shapes are read, told apart by the file:

* a *dialogue*, one JSON Lines file each (``level-1-given-desc/*.jsonl``): turns of ``User``, ``AI`` and
  ``API``; the functions on offer are those the file's name lists and the dialogue calls, described in
  ``all_apis.csv`` if it stands in or above the folder (``meta["inferred_tools"]`` names those whose
  parameters come from the calls instead, because the table lacks or contradicts them);
* a *training record* (``lv3-api-train.json``): instruction, input, output, the calls as
  ``[ApiName(key='value')]``;
* a *test record* (``level-1-api.json``): the same with ``expected_output``, the APIs in the instruction.

Nothing in these files has a type: every value stands as text. It is converted to the type its API
declares where nothing is lost. API-Bank never says which arguments are required, so all are, except
those whose description calls them optional; ``meta["required"]`` says so.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from xlam_lib.errors import ArtifactError
from xlam_lib.schema import Step, Tool, ToolCall, Trajectory, type_matches
from xlam_lib.sources.base import (
    Native,
    Source,
    Unfit,
    as_text,
    distinct_tools,
    expect,
    key_of,
    load_json,
    native_files,
    read_json,
    read_lines,
    relative_name,
)
from xlam_lib.sources.literals import LiteralError, parse_literal, read_calls, read_literal
from xlam_lib.sources.typed import lossless, type_schema, value_schema

API_TABLE = "all_apis.csv"
SEARCHER = "ToolSearcher"
# A class name in the table's Chinese header.
_CLASS_COLUMN = "类名"
_REQUEST = "API-Request:"
_PROMPT_END = "Generate API Request:"
_TURN = re.compile(r"^(User|AI|API-Request): ?", re.MULTILINE)
_TIME = re.compile(r"\s*TIME: (.+)$", re.DOTALL)
_YEAR = re.compile(r"The current year is (\d{4})")
_ASSIGNED = re.compile(r"^[ \t]*(\w+)\s*=\s*", re.MULTILINE)
_SIGNATURE = re.compile(r"(\w+)\s*:\s*([^,()]+(?:\[[^\]]*\])?)")
_OPTIONAL = re.compile(r"\boptional(?:ly)?\b", re.IGNORECASE)


class Dialogue(NamedTuple):
    """A dialogue's turns, the APIs its file name lists, and the table that describes them."""

    turns: list[Any]
    listed: tuple[str, ...]
    table: dict[str, Tool]


def read(path: Path) -> Iterator[Native]:
    """Every dialogue file, and every record of every JSON list, below ``path``."""
    table = _api_table(path)
    for file in native_files(path, (".json", ".jsonl")):
        name = relative_name(file, path)
        if file.suffix == ".jsonl":
            yield _read_dialogue(file, name, table)
            continue
        native = read_json(file, name)
        if native.unfit or not isinstance(native.value, list):
            yield native
            continue
        for index, record in enumerate(native.value):
            yield Native(native.file, f"{native.key}/{index}", record)


def _read_dialogue(file: Path, name: str, table: dict[str, Tool]) -> Native:
    listed = tuple(re.split(r"-(?:level\b|\d+$)", file.stem, maxsplit=1)[0].split("-"))
    turns = []
    for native in read_lines(file, name):
        if native.unfit:
            # A dialogue with a hole is another dialogue, so the whole record goes.
            return Native(name, key_of(name), line=native.line, unfit=native.unfit)
        turns.append(native.value)
    return Native(name, key_of(name), Dialogue(turns, listed, table))


def convert(native: Native) -> Trajectory:
    """One dialogue, training record or test record as a trajectory.

    Raises
    ------
    Unfit
        A call cannot be parsed, a turn is unknown, no user speaks, or no API is called or described.
    """
    if isinstance(native.value, Dialogue):
        return _convert_dialogue(native.value)
    return _convert_record(expect(native.value, dict, "the record"))


# Turns to steps -------------------------------------------------------------------------------------------


class _Turn(NamedTuple):
    role: str  # user, ai or api
    text: str = ""
    call: ToolCall | None = None


def _steps(turns: list[_Turn]) -> tuple[str, list[Step]]:
    """The first request, and the steps: what the AI says, then calls, then what came back."""
    if not turns:
        raise Unfit("no turns", "the dialogue is empty")
    if turns[0].role != "user":
        raise Unfit("the user does not speak first", f"the first turn is the {turns[0].role}'s")
    steps: list[Step] = []
    said: str | None = None
    query = ""

    def say() -> None:
        nonlocal said
        if said is not None:
            steps.append(Step(len(steps) + 1, said))
            said = None

    for turn in turns:
        if turn.role == "ai":
            say()
            said = turn.text
        elif turn.role == "api":
            calls = [turn.call] if turn.call else []
            steps.append(Step(len(steps) + 1, said or "", calls, turn.text))
            said = None
        else:
            say()
            if steps:
                steps[-1].user_input = "\n".join(filter(None, [steps[-1].user_input, turn.text]))
            else:
                query = "\n".join(filter(None, [query, turn.text]))
    say()
    return query, steps


def _convert_dialogue(dialogue: Dialogue) -> Trajectory:
    turns = []
    for entry in dialogue.turns:
        expect(entry, dict, "a turn")
        role = entry.get("role")
        if role in ("User", "AI"):
            turns.append(_Turn(role.lower(), expect(entry.get("text"), str, "a turn's text")))
        elif role == "API":
            name = expect(entry.get("api_name"), str, "api_name")
            arguments = dict(expect(entry.get("param_dict"), dict, "param_dict"))
            turns.append(_Turn("api", _result(entry.get("result")), ToolCall(name, arguments)))
        else:
            raise Unfit("not the native shape", f"a turn of the role {role!r}")
    query, steps = _steps(turns)
    calls = [call for step in steps for call in step.tool_calls]
    wanted = dict.fromkeys([name for name in dialogue.listed if name in dialogue.table])
    wanted |= dict.fromkeys(call.name for call in calls)
    if not wanted:
        raise Unfit(
            "no tools described", f"no API is called and none is listed: {', '.join(dialogue.listed)}"
        )
    tools, inferred = [], []
    for name in wanted:
        tool = dialogue.table.get(name)
        executed = [call.arguments for call in calls if call.name == name]
        if tool is None or not all(_fits(arguments, tool) for arguments in executed):
            tool = _inferred(name, executed, tool)
            inferred.append(name)
        tools.append(tool)
    meta: dict[str, Any] = {"level": "dialogue", "required": "assumed"}
    if inferred:
        meta["inferred_tools"] = inferred
    return Trajectory("", "", tools=tools, query=query, steps=_typed(steps, tools), meta=meta)


def _result(result: Any) -> str:
    """What an API answered: its output, or its exception."""
    if not isinstance(result, dict):
        return as_text(result)
    if result.get("exception") is not None:
        return json.dumps({"exception": result["exception"]}, ensure_ascii=False)
    return as_text(result.get("output"))


def _convert_record(record: dict[str, Any]) -> Trajectory:
    instruction = expect(record.get("instruction"), str, "instruction")
    prompt = expect(record.get("input"), str, "input")
    output = record.get("expected_output", record.get("output"))
    if not isinstance(output, str) or not output.strip():
        raise Unfit("no answer", "output is missing or empty")
    described, history = _split_prompt(prompt)
    tools = described + _described_in(instruction)
    turns, bare, unread = [], 0, 0
    for role, text in history:
        if role == "API-Request":
            call, result, loose = _request(text)
            bare += loose
            turns += [_Turn("api", "", one) for one in call[:-1]] + [_Turn("api", result, call[-1])]
            if call[-1].name == SEARCHER:
                found = _discovered(result)
                tools += found
                unread += not found
        else:
            turns.append(_Turn(role.lower(), text.strip()))
    answer, _, loose = _request(output.strip().removeprefix(_REQUEST))
    turns += [_Turn("api", "", one) for one in answer]
    query, steps = _steps(turns)
    if not tools:
        raise Unfit("no tools described", "neither instruction nor input describes an API")
    meta: dict[str, Any] = {"level": "record", "required": "assumed", "target_steps": len(answer)}
    if loose + bare:
        meta["unquoted_values"] = loose + bare
    if unread:
        meta["unread_searches"] = unread
    query, meta["time"] = _with_time(query, instruction)
    tools = distinct_tools(tools)
    return Trajectory("", "", tools=tools, query=query, steps=_typed(steps, tools), meta=meta)


def _split_prompt(prompt: str) -> tuple[list[Tool], list[tuple[str, str]]]:
    """The APIs that a prompt describes, a line each, and its turns."""
    prompt = prompt.rstrip().removesuffix(_PROMPT_END).rstrip()
    marks = list(_TURN.finditer(prompt))
    head = prompt[: marks[0].start()] if marks else prompt
    ends = [mark.start() for mark in marks[1:]] + [len(prompt)] * bool(marks)
    turns = [(mark.group(1), prompt[mark.end() : end].strip()) for mark, end in zip(marks, ends, strict=True)]
    return _described_in(head), turns


def _described_in(text: str) -> list[Tool]:
    """The lines of a text that are JSON descriptions of an API."""
    return [_described(line) for line in text.split("\n") if line.lstrip().startswith("{")]


@lru_cache(maxsize=4096)  # many records offer the same APIs
def _described(line: str) -> Tool:
    try:
        value = load_json(line)
    except ValueError as error:
        raise Unfit("a tool is ill-formed", f"{error} in {line[:60]!r}") from None
    return _tool(expect(value, dict, "an API's description"))


def _request(text: str) -> tuple[list[ToolCall], str, int]:
    """The calls of ``[Name(key='value')]->result``, the result, and how many values had no quotes."""
    text = text.strip().removeprefix(_REQUEST).strip()
    try:
        calls, end = read_calls(text)
    except LiteralError as error:
        raise Unfit("a call cannot be parsed", str(error)) from None
    rest = text[end:].strip()
    if rest and not rest.startswith("->"):
        raise Unfit("a call cannot be parsed", f"followed by {rest[:40]!r}")
    if not calls:
        raise Unfit("no API is called", repr(text[:60]))
    unquoted = sum(len(call.bare) for call in calls)
    return [ToolCall(call.name, call.arguments) for call in calls], rest.removeprefix("->").strip(), unquoted


def _with_time(query: str, instruction: str) -> tuple[str, str]:
    """The query with the moment the record is set in, in words, as dates in the calls depend on it."""
    if found := _TIME.search(query):
        return f"{query[: found.start()]}\nThe current time is {found.group(1).strip()}.", found.group(
            1
        ).strip()
    if found := _YEAR.search(instruction):
        return f"{query}\nThe current year is {found.group(1)}.", found.group(1)
    return query, ""


def _typed(steps: list[Step], tools: list[Tool]) -> list[Step]:
    """The steps with each argument in its declared type, where nothing is lost."""
    schemas = {tool.name: tool.parameters for tool in tools}
    for step in steps:
        for call in step.tool_calls:
            declared = schemas.get(call.name, {})
            call.arguments = {
                key: lossless(value, declared.get(key, {})) for key, value in call.arguments.items()
            }
    return steps


# Tools ----------------------------------------------------------------------------------------------------


def _tool(entry: dict[str, Any]) -> Tool:
    name = entry.get("name") or entry.get("apiCode")
    if not isinstance(name, str):
        raise Unfit("a tool is ill-formed", f"it has no name: {as_text(entry)[:60]}")
    parameters = entry.get("input_parameters", entry.get("parameters")) or {}
    expect(parameters, dict, f"the parameters of {name}")
    return Tool(
        name,
        as_text(entry.get("description")).strip(),
        {str(key): _parameter(name, key, schema) for key, schema in parameters.items()},
    )


def _parameter(tool: str, name: str, declared: Any) -> dict[str, Any]:
    expect(declared, dict, f"the parameter {name} of {tool}")
    text = as_text(declared.get("description")).strip()
    return type_schema(declared.get("type")) | {"description": text, "required": not _OPTIONAL.search(text)}


def _discovered(result: str) -> list[Tool]:
    """The APIs that the searcher found, none if its answer is no description: from here on, on offer."""
    try:
        found = parse_literal(result)
    except LiteralError:
        return []
    entries = found if isinstance(found, list) else [found]
    return [_tool(entry) for entry in entries if isinstance(entry, dict) and "name" in entry]


def _fits(arguments: dict[str, Any], tool: Tool) -> bool:
    required = {name for name, schema in tool.parameters.items() if schema["required"]}
    return required <= arguments.keys() <= tool.parameters.keys() and all(
        _is_declared(value, tool.parameters[name]) for name, value in arguments.items()
    )


def _is_declared(value: Any, schema: dict[str, Any]) -> bool:
    return type_matches(lossless(value, schema), schema)


def _written_schema(value: Any) -> dict[str, Any]:
    """The type of a value that stands as text: a list or a map if it is written as one."""
    if isinstance(value, str) and value.lstrip().startswith(("[", "{")):
        try:
            value = parse_literal(value)
        except LiteralError:
            pass
    return value_schema(value)


def _inferred(name: str, executed: list[dict[str, Any]], described: Tool | None) -> Tool:
    """A tool from the calls that its API answered, where the table has none or contradicts them.

    The table is older than the dialogues: it names other arguments than the API took. A call that came
    back with a result shows what the API takes; an argument that all of them give is required. What the
    table says of an argument of the same name still holds.
    """
    known = described.parameters if described else {}
    parameters: dict[str, dict[str, Any]] = {}
    for arguments in executed:
        for key, value in arguments.items():
            schema = known.get(key) or {"description": ""}
            if key not in known or not _is_declared(value, schema):
                schema = {"description": schema["description"]} | _written_schema(value)
            parameters.setdefault(key, schema | {"required": all(key in other for other in executed)})
    return Tool(name, described.description if described else "", parameters)


def _api_table(path: Path) -> dict[str, Tool]:
    """The table of APIs in the folder or one of the two above it; empty if there is none."""
    folder = path if path.is_dir() else path.parent
    for place in (folder, *list(folder.resolve().parents)[:2]):
        table = place / API_TABLE
        if table.is_file():
            try:
                rows = list(csv.DictReader(io.StringIO(table.read_text(encoding="utf-8-sig"))))
            except (OSError, UnicodeDecodeError, csv.Error) as error:
                raise ArtifactError(f"{table}: not a table of APIs ({error}); fetch it again") from None
            tools = [tool for row in rows if (tool := _table_tool(row))]
            return {tool.name: tool for tool in tools}
    return {}


def _table_tool(row: dict[str, Any]) -> Tool | None:
    """A row of the table: from its ``api_info``, or else from its signature."""
    name = (row.get(_CLASS_COLUMN) or row.get("name") or "").strip()
    if not name:
        return None
    info = row.get("api_info") or ""
    assigned: dict[str, Any] = {}
    for mark in _ASSIGNED.finditer(info):
        try:
            assigned[mark.group(1)], _ = read_literal(info, mark.end())
        except LiteralError:
            continue
    description = assigned.get("description", "")
    if isinstance(assigned.get("input_parameters"), dict):
        try:
            return _tool({**assigned, "name": name})
        except Unfit:
            pass
    signature = row.get("input_parameters") or ""
    parameters = {
        key: type_schema(kind.strip()) | {"description": "", "required": True}
        for key, kind in _SIGNATURE.findall(signature)
    }
    return Tool(name, as_text(description), parameters)


SOURCE = Source(
    name="api_bank",
    title="API-Bank",
    licence="MIT",
    citation="li2023apibank",
    home="https://github.com/AlibabaResearch/DAMO-ConvAI/tree/main/api-bank",
    revision="483554e",
    layout=(
        "API-Bank's dialogues (level-1-given-desc/*.jsonl, one file a dialogue, with all_apis.csv beside or "
        "above them), or its lists of records (training/lv3-api-train.json, test/level-1-api.json)"
    ),
    suffixes=(".json", ".jsonl"),
    read=read,
    convert=convert,
    held_out=("*level-[12]-*", "test/*"),
)
