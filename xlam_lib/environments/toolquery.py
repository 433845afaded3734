"""ToolQuery: questions that are answered by looking things up with tools (AgentBoard; xLAM report).

Three domains with tools of their own: weather, movie and academia. The scoring is AgentBoard's:

- every call that succeeds leaves its result, without the parts that change from year to year; a call that
  fails leaves nothing; ``finish`` leaves the answer, a list of it sorted;
- a subgoal is reached when an equal result was left; each result counts for one subgoal. Weather at
  coordinates is equal when the places are less than 50 km apart and the rest is the same;
- progress is the share of subgoals reached, and success is ``finish`` with all of them reached.

Equality is strict: ``"18"`` is not 18. One accident of the published loop is left out: there any call whose
text has the word *finish* in it ends the task.

The questions can be asked in two ways, see :func:`setting`: ``toolquery`` with ReAct text, as AgentBoard
does, and ``toolquery_unified`` in the report's unified format.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from xlam_lib.agents.prompting import Prompting, ReAct, Unified
from xlam_lib.environments import toolquery_academia, toolquery_movie, toolquery_weather
from xlam_lib.environments.core import Reply, Result, Task
from xlam_lib.environments.toolquery_base import Refused, Source, Toolkit, show
from xlam_lib.environments.toolquery_weather import SAME_PLACE_KM, distance_km
from xlam_lib.errors import ArtifactError, ProfileError, SchemaError
from xlam_lib.formats import get_format
from xlam_lib.prompts import STYLES
from xlam_lib.records import read_jsonl
from xlam_lib.schema import Tool, ToolCall

MAX_STEPS = 20
MAX_OBSERVATION = 20_000  # characters; no result of the embedded data comes near
EMBEDDED = Path(__file__).parent / "data" / "toolquery_tasks.jsonl"
NAMES = ("toolquery", "toolquery_unified")

TOOLS: dict[str, list[Tool]] = {
    "weather": toolquery_weather.TOOLS,
    "movie": toolquery_movie.TOOLS,
    "academia": toolquery_academia.TOOLS,
}
_CLOSING = "When you know the answer, call finish with it: nothing else ends the task."
_CONTEXT = {
    "weather": f"Take the coordinates of a place from get_latitude_longitude, never from memory. {_CLOSING}",
    "movie": _CLOSING,
    "academia": _CLOSING,
}


class _Information(msgspec.Struct):
    tool: str
    answer: Any = None
    init_config: dict[str, str] | None = None


class _Record(msgspec.Struct):
    """One line of AgentBoard's task files; ``calls`` is our own addition."""

    id: int
    goal: str
    subgoals: list[Any]
    additional_info: _Information
    difficulty: str = ""
    calls: list[ToolCall] | None = None


@dataclass(frozen=True)
class Services:
    """What stands behind the tools; where there is nothing, each call is answered with ``tool_error``."""

    weather: Source | None = None
    movie: Source | None = None
    academia: toolquery_academia.Nets | None = None


@dataclass(frozen=True)
class ToolQuery:
    """The environment; made by :meth:`embedded` or :meth:`from_files`."""

    items: Sequence[Task]
    services: Services
    data: str
    name: str = "toolquery"
    max_steps: int = MAX_STEPS
    _ids: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_ids", frozenset(task.id for task in self.items))

    @classmethod
    def embedded(cls) -> ToolQuery:
        """60 questions of our own, 20 a domain, about an invented world; no network is needed."""
        services = Services(
            toolquery_weather.invented(), toolquery_movie.invented(), toolquery_academia.invented()
        )
        return cls(_read([EMBEDDED]), services, "our own 60 questions about an invented world")

    @classmethod
    def from_files(cls, path: str | Path, services: Services | None = None) -> ToolQuery:
        """AgentBoard's questions, from files that the user has.

        Parameters
        ----------
        path
            A file of tasks, or a folder with ``test.jsonl`` or ``weather.jsonl``, ``movie.jsonl`` and
            ``academia.jsonl``, whichever of these it has.
        services
            Live services or recordings (:mod:`xlam_lib.environments.toolquery_live`) and a graph. By default
            there are none, and only the tasks can be looked at.

        Raises
        ------
        ArtifactError
            There is no such file.
        SchemaError
            A line is not a task; the message names the file, the record and the fault.
        """
        path = Path(path)
        files = [path]
        if path.is_dir():
            whole = path / "test.jsonl"
            parts = [path / f"{domain}.jsonl" for domain in TOOLS]
            files = [whole] if whole.exists() else [part for part in parts if part.exists()]
            if not files:
                raise ArtifactError(
                    f"{path}: holds neither test.jsonl nor {', '.join(part.name for part in parts)}; "
                    "give the folder with AgentBoard's tool-query data"
                )
        return cls(_read(files), services or Services(), f"AgentBoard's tasks from {path.name}")

    def tasks(self) -> list[Task]:
        return list(self.items)

    def open(self, task: Task) -> QuerySession:
        return QuerySession(task, self._toolkit(task))

    def solution(self, task: Task) -> Sequence[ToolCall]:
        """The task's own calls; where it has none, the answer at once, if that reaches every subgoal.

        Raises
        ------
        ArtifactError
            There are no calls to follow, and the answer alone does not reach the subgoals.
        """
        if task.id not in self._ids:
            raise ArtifactError(f"{task.id}: is no task of {self.data}")
        calls = task.meta["calls"]
        if calls is not None:
            return calls
        answer = task.meta["answer"]
        try:
            if reached(task.meta["subgoals"], [_sorted(answer)]) == len(task.meta["subgoals"]):
                return [ToolCall("finish", {"answer": answer})]
        except Refused:  # a list that cannot be sorted, and so cannot be handed in
            pass
        raise ArtifactError(
            f"{task.id}: the answer alone does not reach its {len(task.meta['subgoals'])} subgoals, "
            "and its calls are not known"
        )

    def _toolkit(self, task: Task) -> Toolkit | None:
        domain, setting = task.meta["domain"], task.meta["setting"]
        source = getattr(self.services, domain)
        if source is None:
            return None
        if domain == "weather":
            return toolquery_weather.WeatherTools(
                source, setting["current_date"], setting["current_location"]
            )
        return (
            toolquery_movie.MovieTools(source)
            if domain == "movie"
            else toolquery_academia.AcademiaTools(source)
        )


class QuerySession:
    """One question being worked on; ``toolkit`` is ``None`` where no service stands behind the tools."""

    def __init__(self, task: Task, toolkit: Toolkit | None) -> None:
        self._task = task
        self.toolkit = toolkit
        self.left: list[Any] = []
        self.progress = 0.0
        self.ended = False
        self.answer: Any = None
        self.errors: Counter[str] = Counter()

    @property
    def task(self) -> Task:
        return self._task

    def act(self, call: ToolCall) -> Reply:
        if self.ended:
            return Reply("ERROR | the task has ended", True, "invalid_action")
        try:
            return self._act(call)
        except Refused as refused:
            self.errors[refused.error] += 1
            return Reply(f"ERROR | {refused}", False, refused.error)

    def _act(self, call: ToolCall) -> Reply:
        names = [tool.name for tool in TOOLS[self.task.meta["domain"]]]
        if call.name == "check_valid_actions":
            return Reply(f"These actions can be called: {', '.join(names)}")
        if call.name == "finish":
            if "answer" not in call.arguments:
                raise Refused("bad_arguments", "the argument 'answer' is missing")
            self.answer = _sorted(call.arguments["answer"])
            self._leave(self.answer)
            self.ended = True
            return Reply(_text(self.answer), True)
        if call.name not in names and call.name != "neighborCheck":
            raise Refused("unknown_tool", f"no action is called {show(call.name)}")
        if self.toolkit is None:
            raise Refused("tool_error", f"no service stands behind the {self.task.meta['domain']} tools")
        value = self.toolkit.call(call.name, call.arguments)
        self._leave(self.toolkit.subgoal(value))
        return Reply(_text(value))

    def _leave(self, value: Any) -> None:
        """Note a result and what the results have reached so far."""
        self.left.append(value)
        subgoals = self.task.meta["subgoals"]
        self.progress = max(self.progress, reached(subgoals, self.left) / len(subgoals))

    def result(self) -> Result:
        details = {
            "domain": self.task.meta["domain"],
            "difficulty": self.task.meta["difficulty"],
            "finished": self.ended,
            "subgoals": len(self.task.meta["subgoals"]),
            "errors": dict(self.errors),
        }
        return Result(self.ended and self.progress == 1.0, self.progress, self.progress, details)

    def close(self) -> None:
        """Nothing is held open."""


def reached(subgoals: Sequence[Any], left: Sequence[Any]) -> int:
    """How many subgoals the results of calls reach; each result counts once."""
    rest = list(left)
    count = 0
    for subgoal in subgoals:
        found = next((index for index, value in enumerate(rest) if _equal(subgoal, value)), None)
        if found is not None:
            del rest[found]
            count += 1
    return count


def _equal(subgoal: Any, value: Any) -> bool:
    if not (_placed(subgoal) and _placed(value)):
        return bool(subgoal == value)
    places = [(each["latitude"], each["longitude"]) for each in (subgoal, value)]
    if not distance_km(*places) < SAME_PLACE_KM:
        return False
    first, second = (
        {key: kept for key, kept in each.items() if key not in ("latitude", "longitude")}
        for each in (subgoal, value)
    )
    return first == second


def _placed(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(value.get(key), (int, float)) for key in ("latitude", "longitude")
    )


def _sorted(answer: Any) -> Any:
    """An answer as ``finish`` leaves it."""
    if not isinstance(answer, list):
        return answer
    try:
        return sorted(answer)
    except (TypeError, RecursionError):
        raise Refused("bad_arguments", "the items of a list must be of one kind, texts or numbers") from None


def _text(value: Any) -> str:
    """A result as the agent reads it: text as it is, anything else as JSON."""
    if isinstance(value, str):
        text = value.encode("utf-8", "replace").decode()
    else:
        try:
            text = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace").decode()
        except (ValueError, TypeError, RecursionError):
            text = show(value)
    return text if len(text) <= MAX_OBSERVATION else f"{text[:MAX_OBSERVATION]}... ({len(text)} characters)"


def _read(files: Sequence[Path]) -> list[Task]:
    tasks: dict[str, Task] = {}
    for file in files:
        for position, record in enumerate(read_jsonl(file, _Record)):
            domain = record.additional_info.tool
            where = f"{file}, record {position} (id {record.id})"
            if domain not in TOOLS:
                raise SchemaError(
                    f"{where}: tool {domain!r} is none of {', '.join(TOOLS)}; ToolQuery has no other"
                )
            if not record.subgoals:
                raise SchemaError(f"{where}: has no subgoals; progress is measured by them, add the answer")
            identity = f"toolquery/{domain}-{record.id}"
            if identity in tasks:
                raise SchemaError(f"{where}: another {domain} task has the same id; make each one unique")
            meta = {
                "domain": domain,
                "difficulty": record.difficulty,
                "setting": _setting_of(record, where) if domain == "weather" else {},
                "subgoals": record.subgoals,
                "answer": record.additional_info.answer,
                "calls": record.calls,
            }
            tasks[identity] = Task(identity, record.goal, TOOLS[domain], _CONTEXT[domain], meta)
    return list(tasks.values())


def _setting_of(record: _Record, where: str) -> Mapping[str, str]:
    """The day and the city of a weather task."""
    setting = record.additional_info.init_config or {}
    for key in ("current_date", "current_location"):
        if key not in setting:
            raise SchemaError(f"{where}: init_config lacks {key}; a weather task needs it")
    try:
        date.fromisoformat(setting["current_date"])
    except ValueError:
        raise SchemaError(
            f"{where}: current_date {setting['current_date']!r} is not a date; write YYYY-MM-DD"
        ) from None
    return setting


def setting(
    name: str, environment: ToolQuery | None = None, *, format: str = "json_thought", style: str = "brackets"
) -> tuple[ToolQuery, Prompting]:
    """The environment and how its questions are asked.

    Parameters
    ----------
    name
        ``toolquery`` (ReAct text) or ``toolquery_unified`` (the unified format).
    environment
        By default the embedded one.
    format, style
        For ``toolquery_unified``: one of :data:`xlam_lib.formats.FORMATS` and of
        :data:`xlam_lib.prompts.STYLES`, such as an augmented one (report, section 3.2).

    Raises
    ------
    ProfileError
        A name is unknown.
    """
    asked: dict[str, Callable[[], Prompting]] = {
        "toolquery": lambda: ReAct(_CLOSING),
        "toolquery_unified": lambda: Unified(get_format(format).name, style),
    }
    if name not in asked:
        raise ProfileError(f"setting {name!r} is unknown; choose one of {', '.join(NAMES)}")
    if style not in STYLES:
        raise ProfileError(f"prompt style {style!r} is unknown; choose one of {', '.join(STYLES)}")
    return replace(environment or ToolQuery.embedded(), name=name), asked[name]()
