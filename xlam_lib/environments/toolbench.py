"""ToolBench as an environment: user queries over RapidAPI's tools, answered by a local server.

Two sets of queries. The default is our own, twelve invented tools with thirty APIs and forty queries, each
with a reference solution. :meth:`ToolBench.from_files` reads StableToolBench's ``solvable_queries``
(``G1_instruction.json`` and its like) as they are, without the test data being part of this project. Either
way the calls go over HTTP to :mod:`xlam_lib.environments.toolbench_server`. Functions are named as ToolBench
names them in its prompts, ``latest_for_parcel_tracker``, and ``Finish`` ends a session.

Of the published setting are taken: an observation is cut at 1,024 characters, with three dots after it; and a
chain ends at twelve nodes of the search tree, which are six calls where the model writes no thoughts (four
where it does, since a thought is a node): we allow six steps. The published environment lets any arguments
pass to the API; here a call without a required argument, with an unknown one or with one of a wrong type is
answered by saying so, as most APIs do.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpx

from xlam_lib.environments.core import Reply, Result, Task
from xlam_lib.environments.toolbench_server import Api, ToolServer, category_folder
from xlam_lib.errors import ArtifactError, SchemaError
from xlam_lib.evaluate.pass_rate import SOLVED, Attempt, Made, RuleJudge, succeeded
from xlam_lib.records import read_json, read_jsonl
from xlam_lib.schema import Tool, ToolCall, type_matches
from xlam_lib.sources.base import Native, Unfit
from xlam_lib.sources.toolbench import FINISH, GAVE_ANSWER, GAVE_UP, convert, function_name
from xlam_lib.sources.typed import lossless

MAX_STEPS = 6
MAX_OBSERVATION = 1024
MAX_ARGUMENTS = 1 << 16  # characters of a call's arguments as JSON
OWN_DATA = "our own: 40 queries over 30 invented APIs"
GROUPS = ("G1_instruction", "G1_category", "G1_tool", "G2_instruction", "G2_category", "G3_instruction")
_TIMEOUT_S = 20
_OWN = Path(__file__).parent / "data"
_CLOSED = "The task has ended; no further call is answered."


@dataclass(frozen=True)
class ToolBench:
    """ToolBench's queries and the server that answers their calls; also a context manager that ends it.

    Attributes
    ----------
    queries
        The tasks.
    server
        Where calls are answered; it starts at the first call. After it was killed, calls get a
        ``tool_error`` until ``server.start()``; sessions that are open go on then.
    data
        Where the tasks come from.
    max_steps
        See the module.
    """

    queries: tuple[Task, ...]
    server: ToolServer
    data: str = OWN_DATA
    max_steps: int = MAX_STEPS
    name: str = "toolbench"
    client: httpx.Client = field(
        default_factory=lambda: httpx.Client(timeout=_TIMEOUT_S, trust_env=False), compare=False, repr=False
    )

    @classmethod
    def embedded(cls, record: str | Path | None = None) -> ToolBench:
        """Our own queries; ``record`` names a folder that gets every answer, in the layout of a cache."""
        tasks, apis = _read(_own_queries(), "our own queries")
        for (tool, api), answers in _own_answers().items():
            entry = next(entry for entry in apis if (entry.tool, entry.api) == _folders(tool, api))
            entry.answers.update(answers)
        return cls(tuple(tasks), ToolServer(apis, None, record))

    @classmethod
    def from_files(
        cls, folder: str | Path, cache: str | Path | None = None, record: str | Path | None = None
    ) -> ToolBench:
        """StableToolBench's queries.

        Parameters
        ----------
        folder
            With the files of :data:`GROUPS`, as many as there are (``solvable_queries/test_instruction``).
        cache
            StableToolBench's folder of cached answers, asked before the templates.
        record
            A folder that gets every answer, in the same layout.

        Raises
        ------
        ArtifactError
            A folder does not exist, or has none of the files.
        SchemaError
            A file or a record is not of that layout; the message names both.
        """
        folder = Path(folder)
        tasks: list[Task] = []
        apis: dict[tuple[str, str, str], Api] = {}
        for group in GROUPS:
            path = folder / f"{group}.json"
            if not path.is_file():
                continue
            native = read_json(path)
            if not isinstance(native, list):
                raise SchemaError(f"{path}: is no list of queries; give StableToolBench's solvable_queries")
            found, known = _read([(group, record_) for record_ in native], str(path))
            tasks += found
            for api in known:
                kept = apis.setdefault((api.category, api.tool, api.api), api)
                if kept.template is None:
                    kept.template = api.template
        if not tasks:
            raise ArtifactError(
                f"{folder}: holds no query in any of {', '.join(f'{group}.json' for group in GROUPS)}; "
                "give the folder of StableToolBench's solvable_queries"
            )
        shaped = sum(api.template is not None for api in apis.values())
        told = f"the cache {Path(cache).name}, else " if cache is not None else ""
        data = (
            f"StableToolBench's {len(tasks)} queries; answers from {told}stand-ins of the shape of templates "
            f"({shaped} of {len(apis)} APIs have one)"
        )
        return cls(tuple(tasks), ToolServer(list(apis.values()), cache, record), data)

    def tasks(self) -> list[Task]:
        """The queries in the files' order."""
        return list(self.queries)

    def open(self, task: Task) -> ToolBenchSession:
        """A session; nothing is sent before its first call."""
        return ToolBenchSession(self, task)

    def solution(self, task: Task) -> list[ToolCall]:
        """The reference calls and answer; only our own queries come with them."""
        if "solution" not in task.meta:
            raise ArtifactError(
                f"{task.id}: StableToolBench's queries come without a solution; only our own have one"
            )
        calls = [ToolCall(call["name"], call["arguments"]) for call in task.meta["solution"]]
        return [*calls, ToolCall(FINISH, {"return_type": GAVE_ANSWER, "final_answer": task.meta["answer"]})]

    def close(self) -> None:
        """End the server."""
        self.server.close()

    def __enter__(self) -> ToolBench:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class ToolBenchSession:
    """A query being worked on: calls go to the server, ``Finish`` ends it."""

    def __init__(self, environment: ToolBench, task: Task) -> None:
        self.environment = environment
        self.task = task
        self.done = False
        self.made: list[Made] = []
        self.calls: list[ToolCall] = []
        self._tools = {tool.name: tool for tool in task.tools}

    def act(self, call: ToolCall) -> Reply:
        """Answer one call.

        Raises
        ------
        ArtifactError
            The server cannot keep its record (a full disk), or the user's cache is damaged.
        """
        if self.done:
            return Reply(_CLOSED, True, "invalid_action")
        try:
            written = json.dumps(call.arguments, ensure_ascii=False, allow_nan=False)
            written.encode()
        except (ValueError, TypeError, RecursionError):
            return _wrong("bad_arguments", "the arguments are no JSON object of valid text")
        if len(written) > MAX_ARGUMENTS:
            return _wrong("bad_arguments", f"the arguments are longer than {MAX_ARGUMENTS} characters")
        tool = self._tools.get(call.name)
        if tool is None:
            return _wrong("unknown_tool", f"there is no function {call.name[:100]!r}; see the tools on offer")
        arguments = {name: _typed(value, tool.parameters.get(name)) for name, value in call.arguments.items()}
        if fault := _fault(tool, arguments):
            return _wrong("bad_arguments", fault)
        reply = self._finish(arguments) if call.name == FINISH else self._ask(call.name, arguments)
        if not reply.error:
            self.calls.append(ToolCall(call.name, arguments))
        self.made.append(Made(call.name, written, reply.observation))
        return reply

    def _finish(self, arguments: Mapping[str, Any]) -> Reply:
        answered = arguments["return_type"] == GAVE_ANSWER
        if answered and not str(arguments.get("final_answer", "")).strip():
            return _wrong("bad_arguments", "final_answer is needed with give_answer")
        self.done = True
        return Reply(json.dumps({"response": "answer given" if answered else "gave up"}), True)

    def _ask(self, name: str, arguments: dict[str, Any]) -> Reply:
        category, tool, api = self.task.meta["apis"][name]
        body = {
            "category": category,
            "tool_name": tool,
            "api_name": api,
            "tool_input": arguments,
            "strip": "",
            "toolbench_key": "",
        }
        try:
            response = self.environment.client.post(self.environment.server.url(), json=body)
            value = response.json()
            error = value["error"]
        except httpx.HTTPError as failure:
            return _wrong("tool_error", f"the service does not answer ({type(failure).__name__})")
        except (ValueError, TypeError, LookupError, RecursionError):
            return _wrong("tool_error", "the service's answer cannot be read")
        if response.status_code == 507:
            raise ArtifactError(str(error))
        text = json.dumps({"error": error, "response": value.get("response", "")}, ensure_ascii=False)
        if len(text) > MAX_OBSERVATION:
            text = text[:MAX_OBSERVATION] + "..."
        return Reply(text, False, "tool_error" if error else "")

    def result(self) -> Result:
        """How it went, by the rule judge.

        ``progress`` is the share of the reference calls that were made, else of the relevant APIs that gave
        an answer. ``reward`` is, for our own queries, the share of the expected facts in the final answer;
        for others 1 if the query is solved. Neither enters ``success``.
        """
        attempt = Attempt(self.task.goal, [tool.name for tool in self.task.tools], self.made)
        verdict = RuleJudge().verdicts([attempt])[0]
        meta, solved = self.task.meta, verdict.status == SOLVED
        details: dict[str, Any] = {
            "status": verdict.status,
            "reason": verdict.reason,
            "calls": len(self.made),
        }
        if "solution" in meta:
            wanted = meta["solution"]
            reached = sum(ToolCall(call["name"], call["arguments"]) in self.calls for call in wanted)
            facts = meta["facts"]
            told = sum(_stands(fact, attempt.answer) for fact in facts)
            details["facts"] = f"{told}/{len(facts)}"
            return Result(solved, reached / len(wanted), told / len(facts), details)
        relevant = meta["relevant"]
        answered = {call.name for call in self.made if succeeded(call.response)}
        progress = len(answered & set(relevant)) / len(relevant) if relevant else float(solved)
        return Result(solved, progress, float(solved), details)

    def close(self) -> None:
        """Nothing is held."""


def _wrong(error: str, reason: str) -> Reply:
    return Reply(json.dumps({"error": reason, "response": ""}, ensure_ascii=False), False, error)


def _typed(value: Any, schema: Mapping[str, Any] | None) -> Any:
    """A value as its declared type where nothing is lost; a whole float is written as an integer."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    if schema is None or (isinstance(value, str) and len(value) > MAX_OBSERVATION):
        return value
    return lossless(value, dict(schema))


def _fault(tool: Tool, arguments: Mapping[str, Any]) -> str:
    """What is wrong with a call's arguments, or an empty text."""
    unknown = sorted(set(arguments) - set(tool.parameters))
    missing = [
        name for name, schema in tool.parameters.items() if schema.get("required") and name not in arguments
    ]
    if missing:
        return f"required but missing: {', '.join(missing)}"
    if unknown:
        return f"unknown: {', '.join(name[:100] for name in unknown[:10])}"
    for name, value in arguments.items():
        schema = tool.parameters[name]
        if not type_matches(value, schema):
            return f"{name} is no {schema['type']}"
        if tool.name == FINISH and value not in schema.get("enum", [value]):
            return f"{name} is neither {GAVE_ANSWER} nor {GAVE_UP}"
    return ""


def _stands(fact: str, answer: str) -> bool:
    """Whether a fact stands in an answer as a whole, not as a part of a word or a number."""
    answer, fact = answer.casefold(), fact.casefold()
    start = answer.find(fact)
    while start >= 0:
        end = start + len(fact)
        before, after = answer[start - 1 : start], answer[end : end + 1]
        inside = after in (".", ",") and answer[end + 1 : end + 2].isdigit() and fact[-1].isdigit()
        if not before.isalnum() and not after.isalnum() and not inside:
            return True
        start = answer.find(fact, start + 1)
    return False


# Queries --------------------------------------------------------------------------------------------------


def _folders(tool: str, api: str) -> tuple[str, str]:
    """A tool's and an API's names as the cache's folders and files spell them."""
    # The name of a function is both, joined; a placeholder for the other one leaves no doubt where.
    return function_name("x", tool).removeprefix("x_for_"), function_name(api, "x").removesuffix("_for_x")


def _read(records: Sequence[tuple[str, Any]], place: str) -> tuple[list[Task], list[Api]]:
    """Tasks and APIs of native records, each with its group.

    Raises
    ------
    SchemaError
        A record is not of the native layout; the message names it.
    """
    tasks = []
    apis: dict[tuple[str, str, str], Api] = {}
    for index, (group, record) in enumerate(records):
        shown = f"{place}, query {record.get('query_id', index) if isinstance(record, dict) else index}"
        try:
            named: dict[str, dict[str, Any]] = {}
            for entry in record["api_list"]:
                # Two long names may end alike; a call goes to the first of them, as in ToolBench.
                named.setdefault(function_name(entry["api_name"], entry["tool_name"]), entry)
            trajectory = convert(Native(place, str(index), {**record, "api_list": list(named.values())}))
            places: dict[str, list[str]] = {}
            for name, entry in named.items():
                category, (tool, api) = (
                    entry["category_name"],
                    _folders(entry["tool_name"], entry["api_name"]),
                )
                places[name] = [category, tool, api]
                order = list(next(t for t in trajectory.tools if t.name == name).parameters)
                known = Api(category_folder(category), tool, api, order, entry.get("template_response"))
                kept = apis.setdefault((known.category, tool, api), known)
                if kept.template is None:
                    kept.template = known.template
            pairs = [function_name(api, tool) for tool, api in record.get("relevant APIs") or []]
            relevant = [name for name in dict.fromkeys(pairs) if name in named]
        except Unfit as fault:
            raise SchemaError(f"{shown}: {fault}; correct the record") from None
        except (LookupError, TypeError, ValueError, AttributeError) as fault:
            raise SchemaError(f"{shown}: has no sound api_list ({fault!r}); correct the record") from None
        if not trajectory.tools:
            raise SchemaError(f"{shown}: lists no APIs; this environment has no retrieval")
        meta = {
            "group": group,
            "query_id": record["query_id"],
            "apis": places,
            "shadowed": len(record["api_list"]) - len(named),
            "relevant": relevant,
        }
        for key in ("solution", "answer", "facts"):
            if key in record:
                meta[key] = record[key]
        tasks.append(
            Task(f"toolbench/{group}/{record['query_id']}", trajectory.query, trajectory.tools, meta=meta)
        )
    return tasks, list(apis.values())


@lru_cache(maxsize=1)
def _own_tools() -> dict[str, dict[str, Any]]:
    return {tool["tool_name"]: tool for tool in read_jsonl(_OWN / "toolbench_tools.jsonl")}


def _own_answers() -> dict[tuple[str, str], dict[str, Any]]:
    """What our tools answer, by tool and API, and then by arguments as a cache has them."""
    return {
        (tool["tool_name"], api["api_name"]): {
            str(answer["arguments"]): answer["response"] for answer in api["answers"]
        }
        for tool in _own_tools().values()
        for api in tool["apis"]
    }


def _own_queries() -> list[tuple[str, dict[str, Any]]]:
    """Our queries in the native layout, with reference calls by the names of functions."""
    tools = _own_tools()
    records = []
    for query in read_jsonl(_OWN / "toolbench_queries.jsonl"):
        listed = [tools[name] for name in query["tools"]]
        calls = [
            {"name": function_name(call["api_name"], call["tool_name"]), "arguments": call["arguments"]}
            for call in query["solution"]
        ]
        shared = ("category_name", "tool_name")
        native = {
            "query_id": query["query_id"],
            "query": query["query"],
            "api_list": [
                {key: tool[key] for key in shared} | {k: v for k, v in api.items() if k != "answers"}
                for tool in listed
                for api in tool["apis"]
            ],
            "relevant APIs": [[call["tool_name"], call["api_name"]] for call in query["solution"]],
            "solution": calls,
            "answer": query["answer"],
            "facts": query["facts"],
        }
        records.append(("own", native))
    return records
