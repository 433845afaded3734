"""DFSDT: back-tracking, other decisions at a node, budgets, replays, and the tree as ToolBench writes it."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlam_lib.agents.loop import Decision, run
from xlam_lib.agents.model import ModelAgent
from xlam_lib.agents.scripted import Oracle, Random
from xlam_lib.agents.search import Search, answer_tree, search, write_trees
from xlam_lib.environments.core import Reply, Result, Task
from xlam_lib.environments.toolbench import ToolBench
from xlam_lib.errors import ProfileError
from xlam_lib.generation import Generation
from xlam_lib.preference_origins import branch_pairs
from xlam_lib.schema import Tool, ToolCall
from xlam_lib.sources.toolbench import FINISH, FINISH_TOOL, GAVE_ANSWER, GAVE_UP, SOURCE

_WAYS = ("left", "right", "up")
TOOLS = [Tool(name, f"Go {name}.") for name in _WAYS] + [FINISH_TOOL]
TASK = Task("maze/1", "Find the way out.", TOOLS, meta={"group": "G1_tool", "query_id": 1})
ANSWER = ToolCall(FINISH, {"return_type": GAVE_ANSWER, "final_answer": "The way out lies here."})
RETREAT = ToolCall(FINISH, {"return_type": GAVE_UP})


class Maze:
    """Paths of words; the right one is known, and every call is counted."""

    name, data, max_steps = "maze", "a maze of our own", 4

    def __init__(self, right: tuple[str, ...] = ("left", "up"), tasks: int = 1) -> None:
        self.right = right
        self.count = tasks
        self.opened = self.acted = self.closed = 0

    def tasks(self) -> list[Task]:
        return [
            msgspec.structs.replace(TASK, id=f"maze/{i}", meta={"group": "G1_tool", "query_id": i})
            for i in range(1, self.count + 1)
        ]

    def open(self, task: Task) -> Walker:
        self.opened += 1
        return Walker(self, task)

    def solution(self, task: Task) -> list[ToolCall]:
        return [*(ToolCall(way) for way in self.right), ANSWER]


class Walker:
    def __init__(self, maze: Maze, task: Task) -> None:
        self.maze, self.task = maze, task
        self.path: list[str] = []
        self.done = self.answered = False

    def act(self, call: ToolCall) -> Reply:
        self.maze.acted += 1
        assert not self.done
        if call.name == FINISH:
            self.done = True
            self.answered = call.arguments["return_type"] == GAVE_ANSWER
            return Reply("ended", True)
        if call.name not in _WAYS:
            return Reply("a wall", False, "unknown_tool")
        self.path.append(call.name)
        return Reply(f"at {'/'.join(self.path)}")

    def result(self) -> Result:
        success = self.answered and tuple(self.path) == self.maze.right
        return Result(success, 0, float(success), {"path": list(self.path)})

    def close(self) -> None:
        self.maze.closed += 1


class Told:
    """Decides by what it is told of earlier tries: the n-th entry of a list of choices for each path."""

    name = "told"

    def __init__(self, choices: dict[tuple[str, ...], list[Decision]]) -> None:
        self.choices = choices
        self.asked: list[str] = []

    def decide(self, cases):
        decisions = []
        for task, steps in cases:
            path = tuple(step.tool_calls[0].name for step in steps if step.tool_calls)
            said = steps[-1].next_observation if steps else task.context
            self.asked.append(said)
            tries = said.count(" -> ") if "before" in said else 0
            options = self.choices.get(path, [Decision(calls=[RETREAT])])
            decisions.append(options[min(tries, len(options) - 1)])
        return decisions


def go(*ways: str, thought: str = "") -> Decision:
    return Decision(thought, [ToolCall(way) for way in ways], prompt_tokens=10, tokens=2)


def leave() -> Decision:
    return Decision("Here it is.", [ANSWER], prompt_tokens=10, tokens=2)


def retreat() -> Decision:
    return Decision("Lost.", [RETREAT], prompt_tokens=10, tokens=2)


# The walk -------------------------------------------------------------------------------------------------


def test_a_right_first_chain_is_that_of_the_loop():
    maze = Maze()
    (found,) = search(maze, Oracle(maze))
    (episode,) = run(maze, Oracle(maze))
    assert found.episode == msgspec.structs.replace(episode, agent="oracle, DFSDT")
    assert found.queries == 3 and maze.opened == maze.closed == 2


def test_giving_up_goes_two_levels_back_and_the_other_way_is_found():
    agent = Told({(): [go("left")], ("left",): [go("right"), go("up")], ("left", "up"): [leave()]})
    maze = Maze()
    (found,) = search(maze, agent)
    assert found.episode.result.success and found.episode.ended == "done"
    assert [step.tool_calls[0].name for step in found.episode.steps] == ["left", "up", FINISH]
    left = found.root.children[0]
    assert [child.calls[0].name for child in left.children] == ["right", "up"]
    assert left.children[0].children[0].pruned == "gave up"
    assert len(left.children[0].children) == 1  # two levels back: no other try where it gave up
    assert [child.finished for child in left.children] == [False, True]
    assert found.queries == 5 and found.episode.tokens == 8 and found.episode.prompt_tokens == 40
    # left, right, give up; then a new session for left, up, answer
    assert maze.acted == 6 and maze.opened == 2 and maze.closed == 2
    told = next(said for said in agent.asked if "before" in said)
    assert "right {} -> at left/right" in told and told.startswith("at left\n\n")


def test_giving_up_at_once_ends_the_search():
    (found,) = search(Maze(), Told({(): [retreat(), go("left")]}))
    assert found.queries == 1 and found.episode.ended == "done" and not found.episode.result.success


def test_at_the_limit_of_steps_one_level_is_gone_back():
    agent = Told({(): [go("left")], ("left",): [go("left"), leave()]})
    (found,) = search(Maze(right=("left",)), agent, max_steps=2)
    assert found.episode.result.success and found.root.children[0].children[0].pruned == "steps"
    assert [step.step_id for step in found.episode.steps] == [1, 2]


def test_tries_at_the_root_are_told_in_the_context():
    agent = Told({(): [go("left"), go("up")], ("left",): [retreat()], ("up",): [leave()]})
    (found,) = search(Maze(right=("up",)), agent)
    assert found.episode.result.success and agent.asked[-2].startswith("You were at this point before")
    assert found.episode.steps[0].next_observation == "at up"


def test_a_try_that_repeats_another_is_left_at_once():
    agent = Told({(): [go("left")], ("left",): [go("up")], ("left", "up"): [retreat()]})
    maze = Maze()
    (found,) = search(maze, agent)
    left = found.root.children[0]
    assert [child.pruned for child in left.children] == ["", "repeats"]
    assert [child.pruned for child in found.root.children] == ["", "repeats"]
    assert found.episode.ended == "done" and found.queries == 5
    assert maze.acted == 3  # nothing is carried out twice
    assert found.episode.steps[-1].tool_calls == [RETREAT]


def test_what_cannot_be_read_is_asked_for_again():
    broken = Decision(text="{oops", error="no JSON")
    agent = Told({(): [broken, go("up")], ("up",): [Decision("Hm."), leave()], ("up", FINISH): []})
    (found,) = search(Maze(right=("up",)), agent, max_steps=3)
    assert [child.error for child in found.root.children] == ["bad_format", ""]
    assert "could not be read: no JSON" in agent.asked[1]
    nothing = found.root.children[1].children[0]
    assert nothing.error == "no_call" and nothing.children[0].calls == []


def test_budgets_end_a_search():
    agent = Told({})
    agent.decide = lambda cases: [go(_WAYS[len(steps) % 3]) for _, steps in cases]
    (found,) = search(Maze(), agent, max_queries=3)
    assert found.queries == 3 and found.episode.ended == "queries" and len(found.episode.steps) == 3
    (found,) = search(Maze(), agent, max_steps=2)
    assert found.episode.ended == "steps" and not found.episode.result.success
    full = Told({(): [Decision(finish="context")]})
    (found,) = search(Maze(), full)
    assert (found.episode.ended, found.episode.steps, found.queries) == ("context", [], 1)
    for wrong in ({"width": 0}, {"max_steps": 0}, {"max_queries": 0}):
        with pytest.raises(ProfileError, match="at least 1"):
            search(Maze(), agent, **wrong)


def test_many_tasks_are_decided_together_and_as_alone():
    maze = Maze(tasks=6)
    batches: list[int] = []

    class Counting(Random):
        def decide(self, cases):
            batches.append(len(cases))
            return super().decide(cases)

    ended: list[tuple[int, int]] = []
    together = search(maze, Counting(3), width=3, progress=lambda done, of: ended.append((done, of)))
    assert batches[0] == 6 and ended[-1] == (6, 6) and maze.opened == maze.closed
    for task, found in zip(maze.tasks(), together, strict=True):
        assert search(maze, Random(3), [task], width=3) == [found]


_DECISIONS = st.one_of(
    st.sampled_from([retreat(), leave(), Decision("Hm."), Decision(text="{", error="broken")]),
    st.lists(st.sampled_from([*_WAYS, "through the wall"]), min_size=1, max_size=2).map(lambda w: go(*w)),
)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(_DECISIONS, min_size=1, max_size=30), st.integers(1, 3), st.integers(1, 4), st.integers(1, 25)
)
def test_any_agent_gives_a_sound_tree(decisions, width, steps, queries):
    class Any:
        name = "any"
        asked = 0

        def decide(self, cases):
            self.asked += 1
            return [decisions[self.asked % len(decisions)] for _ in cases]

    maze = Maze()
    (found,) = search(maze, Any(), width=width, max_steps=steps, max_queries=queries)
    assert found.queries <= queries and maze.opened == maze.closed
    assert len(found.episode.steps) <= steps
    assert [step.step_id for step in found.episode.steps] == list(range(1, len(found.episode.steps) + 1))
    nodes, answers = [found.root], 0
    while nodes:
        node = nodes.pop()
        assert len(node.children) <= width and not (node.pruned and node.children)
        answers += node.finished and not node.children
        nodes += node.children
    assert answers == (found.episode.ended == "done" and found.episode.steps[-1].tool_calls[-1] == ANSWER)
    # What the result says is what a fresh session says after the same steps.
    walker = maze.open(maze.tasks()[0])
    for step in found.episode.steps:
        for call in step.tool_calls:
            if not walker.done:
                walker.act(call)
    assert walker.result() == found.episode.result
    tree = answer_tree(found, maze.tasks()[0])
    json.dumps(tree)
    assert tree["tree"]["size"] >= 1 + found.queries - 1
    assert msgspec.json.decode(msgspec.json.encode(found), type=Search) == found


# Trees ----------------------------------------------------------------------------------------------------


def found_by_detour() -> tuple[Maze, list[Search]]:
    agent = Told(
        {
            (): [go("left", thought="First left.")],
            ("left",): [go("right"), go("up", thought="Then up.")],
            ("left", "up"): [leave()],
        }
    )
    maze = Maze()
    return maze, search(maze, agent)


def test_trees_are_read_as_toolbench_trees(tmp_path):
    maze, found = found_by_detour()
    (path,) = write_trees(tmp_path, found, maze.tasks())
    assert path == tmp_path / "G1_tool/1_DFS_woFilter_w2.json"
    (native,) = SOURCE.read(path)
    trajectory = SOURCE.convert(native)
    assert trajectory.query == TASK.goal and [tool.name for tool in trajectory.tools] == [*_WAYS, FINISH]
    episode = found[0].episode
    assert [(step.thought, step.tool_calls) for step in trajectory.steps] == [
        (step.thought, step.tool_calls) for step in episode.steps
    ]
    assert trajectory.meta["outcome"] == GAVE_ANSWER and trajectory.meta["style"] == "dfs"
    (branch,) = trajectory.meta["failed_branches"]
    assert branch["after_step"] == 1 and branch["outcome"] == GAVE_UP
    assert branch["tool_calls"] == [{"name": "right", "arguments": {}}]


def test_failed_branches_become_preference_pairs():
    maze, found = found_by_detour()
    native = answer_tree(found[0], maze.tasks()[0])
    (trajectory,) = [
        SOURCE.convert(type("N", (), {"value": native})())  # a record as the reader gives it
    ]
    trajectory = msgspec.structs.replace(trajectory, unique_trajectory_id="toolbench/1", source="toolbench")
    pairs, counts = branch_pairs([trajectory])
    assert len(pairs) == 1 and "up" in pairs[0].chosen and "right" in pairs[0].rejected, counts


def test_a_tree_has_toolbenchs_fields():
    maze, found = found_by_detour()
    tree = answer_tree(found[0], maze.tasks()[0])
    kinds = []
    node = tree["tree"]["tree"]
    while node["children"]:
        node = node["children"][-1]
        kinds.append(node["node_type"])
    assert kinds[:3] == ["Thought", "Action", "Action Input"] and node["observation_code"] == 3
    assert node["is_terminal"] and node["finished"] and tree["win"]
    made = tree["answer_generation"]
    assert json.loads(made["final_answer"]) == ANSWER.arguments and made["finish_type"] == GAVE_ANSWER
    assert made["query_count"] == 5 and made["valid_data"]
    conversation = made["train_messages"][-1]
    assert [message["role"] for message in conversation[:4]] == ["system", "user", "assistant", "function"]
    (lost,) = search(maze, Told({(): [go("left"), go("left")], ("left",): [go("up")]}), max_steps=2)
    assert not answer_tree(lost, maze.tasks()[0])["answer_generation"]["valid_data"]


def test_half_surrogate_pairs_are_written(tmp_path):
    maze = Maze()
    odd = Decision("\ud800", [ToolCall("left", {"x": "\udfff"})])
    found = search(maze, Told({(): [odd], ("left",): [leave()]}))
    (path,) = write_trees(tmp_path, found, maze.tasks())
    assert SOURCE.convert(next(iter(SOURCE.read(path)))).steps[0].tool_calls[0].name == "left"


# With ToolBench and a model -------------------------------------------------------------------------------


class Script:
    """A back end that gives up after a wrong call the first time, and answers from its tool the second."""

    name = "script"

    def __init__(self, dies_after: int = 10**9) -> None:
        self.left = dies_after
        self.made = 0

    def generate(self, chats, max_new_tokens):
        if self.left <= 0:
            raise KeyboardInterrupt
        self.left -= 1
        self.made += len(chats)
        return [Generation(self._answer(chat[-1]["content"]), 5, 3, "json") for chat in chats]

    def _answer(self, prompt: str) -> str:
        call = ("current_conditions_for_skylark_weather", {"city": "Bergen"})
        if "at this point before" in prompt:
            pass
        elif "31" in prompt and "light rain" in prompt:
            said = "Bergen has light rain at 9.5 degrees now, with 31 km/h of wind."
            call = (FINISH, {"return_type": GAVE_ANSWER, "final_answer": said})
        elif "Atlantis" in prompt:
            call = (FINISH, {"return_type": GAVE_UP})
        else:
            call = ("current_conditions_for_skylark_weather", {"city": "Atlantis"})
        calls = [{"name": call[0], "arguments": call[1]}]
        return json.dumps({"thought": "Go on.", "tool_calls": calls})


def test_a_search_beats_one_chain_and_goes_on_after_it_was_killed(tmp_path):
    with ToolBench.embedded() as bench:
        tasks = bench.tasks()[:1]
        (chain,) = run(bench, ModelAgent(Script()), tasks)
        assert not chain.result.success
        whole = search(bench, ModelAgent(Script()), tasks)
        assert whole[0].episode.result.success and whole[0].queries == 4
        cache = tmp_path / "answers.jsonl"
        with pytest.raises(KeyboardInterrupt):
            search(bench, ModelAgent(Script(dies_after=2), cache=cache), tasks)
        backend = Script()
        assert search(bench, ModelAgent(backend, cache=cache), tasks) == whole
        assert backend.made == 2


def test_the_oracle_searches_as_it_runs_on_all_of_our_queries():
    with ToolBench.embedded() as bench:
        found = search(bench, Oracle(bench))
        assert all(one.episode.result.success for one in found)
        assert sum(one.queries for one in found) == sum(len(bench.solution(task)) for task in bench.tasks())
