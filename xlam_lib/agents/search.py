"""DFSDT: depth-first search over an agent's decisions (ToolLLM, Qin et al., 2023).

Where :func:`xlam_lib.agents.loop.run` follows one chain, the search tries again. A chain that gives up
(``Finish`` with ``give_up_and_restart``), reaches the limit of steps or writes what cannot be read is left,
and an earlier decision is asked for once more, with the tries that were made there shown, so that the agent,
which would decide the same again, decides otherwise. The first answer ends the search.

As published: two tries a node, in the order of a depth-first walk without ranking; after giving up, two
levels are gone back, so that the decision before the last is reconsidered. So an agent that gives up with its
first call ends the search. Ours: a try that makes the same calls as an earlier one there is left at once,
since sessions are deterministic and what follows would be the same.

All tasks are searched side by side and decided together, a batch a round; with an agent that keeps its
answers, a search that was killed passes what it had done and ends with the same tree.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from xlam_lib.agents.loop import Agent, Decision, Episode, carry_out, observe
from xlam_lib.environments.core import Environment, Reply, Session, Task
from xlam_lib.errors import ProfileError
from xlam_lib.evaluate.pass_rate import written
from xlam_lib.records import write_text
from xlam_lib.schema import Step, ToolCall, tool_to_openai
from xlam_lib.sources.toolbench import FINISH, GAVE_ANSWER, GAVE_UP

WIDTH = 2
MAX_QUERIES = 200
BACK = 2  # levels gone back after giving up
_FOUND = 1 << 30
_SHOWN = 300  # characters of an earlier try's observation that the agent is shown again
# ToolBench's numbers for how a call went.
_CODES = {"": 0, "unknown_tool": 1, "bad_arguments": 2, "invalid_action": 2, "tool_error": 12}
_ANSWERED, _GIVEN_UP = 3, 4


class Node(msgspec.Struct):
    """A decision and what came of it; the root has none.

    Attributes
    ----------
    thought, calls
        What the agent decided.
    replies
        The answer to each call, as far as they were made.
    text
        The raw answer of a model.
    error
        As in :class:`~xlam_lib.agents.loop.Episode`.
    pruned
        Why the search turned back here: empty, ``gave up``, ``steps``, ``context``, ``bad_format`` or
        ``repeats`` (an earlier try's calls).
    finished
        Whether this node gives the answer, or leads to it.
    children
        Later decisions, in the order of the search.
    """

    thought: str = ""
    calls: list[ToolCall] = []
    replies: list[Reply] = []
    text: str = ""
    error: str = ""
    pruned: str = ""
    finished: bool = False
    children: list[Node] = []


class Search(msgspec.Struct):
    """A searched task.

    Attributes
    ----------
    episode
        The path that gave the answer, else the first that gave up, else the last one tried; its tokens are
        those of the whole search. It ended ``done``, or without an answer by ``steps``, ``context`` or
        ``queries`` (the budget).
    root
        The tree.
    queries
        Decisions that the agent was asked for.
    width, max_steps, max_queries
        The search's settings.
    """

    episode: Episode
    root: Node
    queries: int
    width: int
    max_steps: int
    max_queries: int


_Asked = tuple[Task, list[Step]]


def search(
    environment: Environment,
    agent: Agent,
    tasks: Sequence[Task] | None = None,
    *,
    width: int = WIDTH,
    max_steps: int | None = None,
    max_queries: int = MAX_QUERIES,
    progress: Callable[[int, int], None] | None = None,
) -> list[Search]:
    """Search an answer to each task; one :class:`Search` a task, in the tasks' order.

    Parameters
    ----------
    environment, agent, tasks, max_steps
        As for :func:`~xlam_lib.agents.loop.run`; the limit is that of a path's steps.
    width
        Tries a node, at most.
    max_queries
        Decisions a task, at most.
    progress
        Called with (tasks ended, tasks).

    Raises
    ------
    ProfileError
        A limit is not positive.
    """
    limit = environment.max_steps if max_steps is None else max_steps
    if min(width, limit, max_queries) < 1:
        raise ProfileError(
            f"width {width}, max_steps {limit} and max_queries {max_queries} must all be at least 1"
        )
    tasks = environment.tasks() if tasks is None else tasks
    walks = [_Walk(environment, agent.name, task, width, limit, max_queries) for task in tasks]
    asked: dict[int, _Asked] = {}
    running = {place: walk.run() for place, walk in enumerate(walks)}
    for place, steps in list(running.items()):
        asked[place] = next(steps)  # every walk asks at least once
    while asked:
        places = list(asked)
        decisions = agent.decide([asked[place] for place in places])
        for place, decision in zip(places, decisions, strict=True):
            try:
                asked[place] = running[place].send(decision)
            except StopIteration:
                del asked[place]
        if progress:
            progress(len(walks) - len(asked), len(walks))
    return [walk.close() for walk in walks]


class _Walk:
    """The search of one task: a generator that asks for decisions."""

    def __init__(
        self, environment: Environment, agent: str, task: Task, width: int, max_steps: int, max_queries: int
    ) -> None:
        self.environment, self.agent, self.task = environment, agent, task
        self.width, self.max_steps, self.max_queries = width, max_steps, max_queries
        self.root = Node()
        self.queries = self.prompt_tokens = self.tokens = 0
        self.answer: list[Node] | None = None
        self.gave_up: list[Node] | None = None
        self.last: list[Node] = []
        self.out_of_context = False
        self.session: Session = environment.open(task)
        self.carried: list[Node] = []  # what the open session has carried out

    def run(self) -> Generator[_Asked, Decision, None]:
        yield from self._below(self.root, [])

    def _below(self, node: Node, path: list[Node]) -> Generator[_Asked, Decision, int]:
        """Try decisions after a node; how many levels to go back."""
        for _ in range(self.width):
            if self.queries >= self.max_queries:
                return _FOUND
            decision = yield self._shown(node, path)
            self.queries += 1
            self.prompt_tokens += decision.prompt_tokens
            self.tokens += decision.tokens
            child = self._carry_out(node, path, decision)
            node.children.append(child)
            self.last = [*path, child]
            if child.pruned == "context":
                self.out_of_context = True
                return 1
            if child.pruned in ("bad_format", "repeats"):
                continue
            back = yield from self._after(child, self.last)
            if back > 1:
                return back - 1 if back != _FOUND else _FOUND
        return 1

    def _after(self, node: Node, path: list[Node]) -> Generator[_Asked, Decision, int]:
        if any(reply.done for reply in node.replies):
            if _gives_up(node.calls):
                node.pruned = "gave up"
                self.gave_up = self.gave_up or path
                return BACK
            for step in path:
                step.finished = True
            self.answer = path
            return _FOUND
        if len(path) >= self.max_steps:
            node.pruned = "steps"
            return 1
        return (yield from self._below(node, path))

    def _shown(self, node: Node, path: list[Node]) -> _Asked:
        """Task and steps as the agent is asked, the tries at this node told at the end."""
        steps = _steps(path)
        if not node.children:
            return self.task, steps
        told = _told(node.children)
        if not steps:
            context = f"{self.task.context}\n\n{told}" if self.task.context else told
            return msgspec.structs.replace(self.task, context=context), steps
        observation = f"{steps[-1].next_observation}\n\n{told}"
        steps[-1] = msgspec.structs.replace(steps[-1], next_observation=observation)
        return self.task, steps

    def _carry_out(self, node: Node, path: list[Node], decision: Decision) -> Node:
        child = Node(decision.thought, list(decision.calls), [], decision.text, children=[])
        if decision.finish == "context":
            child.pruned = "context"
        elif not decision.error and any(_same(child, other) for other in node.children):
            child.pruned = "repeats"
        else:
            if child.calls:
                self._go(path)
                self.carried = [*path, child]
            child.error, child.replies = carry_out(self.session, decision)
            if child.error == "bad_format":
                child.pruned = child.error
        return child

    def _go(self, path: list[Node]) -> None:
        """Have a session that has carried out this path and nothing else."""
        if len(self.carried) != len(path) or any(a is not b for a, b in zip(self.carried, path, strict=True)):
            self._replay(path)

    def _replay(self, path: list[Node]) -> None:
        self.session.close()
        self.session = self.environment.open(self.task)
        for node in path:
            if node.calls:
                carry_out(self.session, Decision(calls=node.calls))
        self.carried = list(path)

    def close(self) -> Search:
        path = self.answer or self.gave_up or self.last
        ended = "done"
        if not (self.answer or self.gave_up):
            ended = "queries" if self.queries >= self.max_queries else "steps"
            ended = "context" if self.out_of_context else ended
        # What could not be read, was cut off by the context or repeats a try was never carried out.
        kept = [node for node in path if node.pruned not in ("context", "repeats")]
        self._go(kept)
        result = self.session.result()
        self.session.close()
        episode = Episode(
            self.task.id,
            f"{self.agent}, DFSDT",
            _steps(kept),
            [node.text for node in kept],
            [node.error for node in kept],
            ended,
            result,
            self.prompt_tokens,
            self.tokens,
        )
        return Search(episode, self.root, self.queries, self.width, self.max_steps, self.max_queries)


def _gives_up(calls: Sequence[ToolCall]) -> bool:
    return any(call.name == FINISH and call.arguments.get("return_type") == GAVE_UP for call in calls)


def _same(node: Node, other: Node) -> bool:
    return node.calls == other.calls and (bool(node.calls) or node.text == other.text)


def _observation(node: Node) -> str:
    return observe(node.calls, node.replies)


def _steps(path: Sequence[Node]) -> list[Step]:
    return [Step(number, node.thought, node.calls, _observation(node)) for number, node in enumerate(path, 1)]


def _told(tries: Sequence[Node]) -> str:
    """The tries at a node in words, for the agent that is to try once more."""
    lines = []
    for number, node in enumerate(tries, 1):
        calls = [f"{call.name} {written(call.arguments)}" for call in node.calls]
        seen = " ".join(_observation(node).split()) if node.replies else "the same as before"
        seen = seen if len(seen) <= _SHOWN else f"{seen[:_SHOWN]}..."
        lines.append(f"{number}. {'; '.join(calls) or 'no call'} -> {seen}")
    return (
        "You were at this point before, and what you did next led to no answer:\n"
        + "\n".join(lines)
        + "\nNow do something else than each of these: another tool, or other arguments."
    )


# Answer trees ---------------------------------------------------------------------------------------------


def answer_tree(found: Search, task: Task) -> dict[str, Any]:
    """A search as one of ToolBench's answer trees, which :mod:`xlam_lib.sources.toolbench` reads.

    Nodes alternate between an optional thought, an action and its input. ``valid_data`` is false where the
    search neither answered nor gave up.
    """
    root = _native("Action Input", "", 0) | {"children": [_chain(child, 1) for child in found.root.children]}
    root["child_count"] = len(root["children"])
    size, depth = _measure(root)
    last = found.episode.steps[-1].tool_calls[-1:] if found.episode.steps else []
    ended = found.episode.ended == "done" and bool(last)
    answered = ended and not _gives_up(last)
    return {
        "win": answered,
        "tree": {"size": size, "max_length": depth, "tree": root},
        "forward_args": {
            "single_chain_max_step": found.max_steps,
            "tree_beam_size": found.width,
            "max_query_count": found.max_queries,
            "answer": 1,
            "with_filter": False,
        },
        "compare_candidates": [],
        "answer_generation": {
            "valid_data": ended,
            "query_count": found.queries,
            "total_tokens": found.episode.prompt_tokens + found.episode.tokens,
            "final_answer": written(last[0].arguments) if ended else "",
            "finish_type": GAVE_ANSWER if answered else "give_up",
            "function": [tool_to_openai(tool)["function"] for tool in task.tools],
            "chain": [],
            "train_messages": [_messages(task, found.episode.steps)],
            "query": task.goal,
        },
    }


def write_trees(folder: str | Path, found: Sequence[Search], tasks: Sequence[Task]) -> list[Path]:
    """Write each search as ToolBench names its files, ``GROUP/57_DFS_woFilter_w2.json``; the paths.

    Raises
    ------
    ArtifactError
        A file cannot be written.
    """
    paths = []
    for one, task in zip(found, tasks, strict=True):
        group, key = task.meta.get("group", "tasks"), task.meta.get("query_id", task.id.split("/")[-1])
        path = Path(folder) / str(group) / f"{key}_DFS_woFilter_w{one.width}.json"
        # Half a surrogate pair, which a model can spell in JSON, cannot be written.
        tree = json.dumps(answer_tree(one, task), ensure_ascii=False, indent=1)
        write_text(path, tree.encode(errors="replace"))
        paths.append(path)
    return paths


def _native(kind: str, text: str, depth: int) -> dict[str, Any]:
    return {
        "is_terminal": False,
        "pruned": False,
        "finished": False,
        "depth": depth,
        "node_type": kind,
        "description": text,
        "child_count": 0,
        "children": [],
    }


def _chain(node: Node, depth: int) -> dict[str, Any]:
    """A decision as a chain of native nodes: thought, action, action input, and so on for each call."""
    chain: list[dict[str, Any]] = []
    said = node.thought if node.calls else node.thought or node.text
    if said or not node.calls:
        chain.append(_native("Thought", said, depth))
    for place, call in enumerate(node.calls):
        reply = node.replies[place] if place < len(node.replies) else Reply("")
        code = _CODES[reply.error]
        if reply.done and not reply.error:
            code = _GIVEN_UP if _gives_up([call]) else _ANSWERED
        chain.append(_native("Action", call.name, depth + len(chain)))
        chain.append(
            _native("Action Input", written(call.arguments), depth + len(chain))
            | {"observation": reply.observation, "observation_code": code}
        )
    for entry in chain:
        entry["finished"] = node.finished
    chain[-1]["pruned"] = bool(node.pruned)
    chain[-1]["is_terminal"] = node.finished and not node.children
    chain[-1]["children"] = [_chain(child, depth + len(chain)) for child in node.children]
    for above, below in itertools.pairwise(chain):
        above["children"] = [below]
    for entry in chain:
        entry["child_count"] = len(entry["children"])
    return chain[0]


def _measure(root: dict[str, Any]) -> tuple[int, int]:
    """How many nodes a tree has, and the depth of the deepest."""
    size = depth = 0
    stack = [root]
    while stack:
        entry = stack.pop()
        size, depth = size + 1, max(depth, entry["depth"])
        stack += entry["children"]
    return size, depth


def _messages(task: Task, steps: Sequence[Step]) -> list[dict[str, Any]]:
    """The chosen path as a conversation; the converter of ToolBench goes by it."""
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "Use the functions to answer the user; end with Finish."},
        {"role": "user", "content": task.goal},
    ]
    for step in steps:
        if not step.tool_calls:
            messages.append({"role": "assistant", "content": step.thought})
        for call in step.tool_calls:
            function = {"name": call.name, "arguments": written(call.arguments)}
            messages.append({"role": "assistant", "content": step.thought, "function_call": function})
            messages.append({"role": "function", "name": call.name, "content": step.next_observation})
    return messages
