"""A language model as the generator of a synthesis: what is read, counted and shown, and what survives."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import synthesis_endpoint_run as scripted
from tests.endpoint_server import Reply, completion, serve
from tests.synthesis_endpoint_run import COUNT, ROUND, STAGE, Model, endpoint, files, identities, synthesis
from xlam_lib.endpoint import EndpointError
from xlam_lib.errors import ProfileError
from xlam_lib.generation import Generation, Message
from xlam_lib.records import read_jsonl
from xlam_lib.schema import Reject, Trajectory
from xlam_lib.synthesis import ModelGenerator, prompts
from xlam_lib.synthesis.generators import TemplateGenerator, read_pairs
from xlam_lib.synthesis.library import LIBRARY
from xlam_lib.synthesis.pipeline import synthesize
from xlam_lib.synthesis.samples import Sample


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture(scope="module")
def tasks() -> list[Sample]:
    return scripted.tasks_of(scripted.telling_seed())


@dataclass
class Local:
    """A back end in this process, batch by batch; it breaks down once it has answered ``lasts`` batches."""

    model: Model
    lasts: int = 1_000_000
    name: str = "scripted"
    batches: int = 0
    answers: list[Generation] = field(default_factory=list)

    def generate(self, chats: Sequence[Sequence[Message]], max_new_tokens: int) -> list[Generation]:
        if self.batches == self.lasts:
            raise KeyboardInterrupt
        self.batches += 1
        texts = [self.model.read(chat) for chat in chats]
        found = [Generation(text, 11, len(text.split()), "stop") for text in texts]
        self.answers += found
        return found


def server_script(model: Model, **more):
    return lambda body, nth: completion(model.read(body["messages"]), **more)


# -------------------------------------------------------------------------------------- what is read

ONE = '{"query":"How far?","answers":[]}'
TWO = '{"query":"How long?","answers":[{"name":"f","arguments":{"text":"a ] and a } and \\"q\\""}}]}'


@pytest.mark.parametrize(
    "text",
    [
        ONE,
        f"[{ONE}]",
        f'{{"pairs": [{ONE}]}}',
        f'{{"note": "one", "data": [{ONE}], "count": 1}}',
        f"```json\n{ONE}\n```",
        f"Here it is:\n\n```\n[{ONE}]\n```\nShall I go on? {TWO}",
        f"Sure [as you asked] {{really}}: {ONE}",
        f"  \n\ufeff{ONE}",
        f"{ONE}\n{TWO}",
    ],
)
def test_one_pair_in_any_wrapping(text):
    assert read_pairs(text) == [("How far?", ONE)]


def test_several_pairs_in_order_with_brackets_in_their_strings():
    assert read_pairs(f"[{TWO}, {ONE}]") == [("How long?", TWO), ("How far?", ONE)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no",
        "]",
        "}{",
        "[",
        ONE[:-1],
        f"[{ONE}, {TWO[:-1]}",
        "{]}",
        "{'query': 'x'}",
        ONE.replace("]", "],"),
    ],
)
def test_no_pairs_in_what_is_no_json(text):
    assert read_pairs(text) == []


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("[]", []),
        ("[3, null]", [("", "3"), ("", "null")]),
        ('{"query": 7, "answers": []}', [("", '{"query":7,"answers":[]}')]),
        ('{"answers": [{"name": "f"}, {"name": "g"}]}', [("", '{"answers":[{"name":"f"},{"name":"g"}]}')]),
        ('{"a": [1], "b": [2]}', [("", '{"a":[1],"b":[2]}')]),
        ('[{"query": "x", "n": 123456789012345678901234567890}]', None),
    ],
)
def test_pairs_of_another_shape_stay_pairs_for_the_format_check_to_judge(text, pairs):
    assert read_pairs(text) == pairs or (pairs is None and read_pairs(text)[0][0] == "x")


HOSTILE = [
    "[" * 100_000,
    "[" * 100_000 + "]" * 100_000,
    '{"query":' * 3_000 + "1" + "}" * 3_000,
    "[x] " * 5_000,
    '{"query": "\ud83d"}',
    '{"query": "\\ud83d", "answers": []}',
    "[1e400]",
    '"' * 9_999 + "{",
    "\x00{\x00}",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_are_read_in_no_time(text):
    begun = time.perf_counter()
    read_pairs(text)
    assert time.perf_counter() - begun < 2


_pieces = st.sampled_from(
    list('[]{},:"\\ \n') + ["```", '"query"', '"answers"', "null", "1e999", "\ud83d", ONE]
)


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters()) | st.lists(_pieces, max_size=30).map("".join))
def test_anything_is_read_without_an_error(text):
    for query, pair in read_pairs(text):
        msgspec.json.decode(pair)
        query.encode()


_queries = st.text(st.characters(codec="utf-8"))
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _queries,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_queries, inner, max_size=3),
    max_leaves=8,
)
_prose = st.text(st.characters(codec="utf-8", exclude_characters='[]{}"'))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(_queries, _values), min_size=1, max_size=4), _prose, _prose, st.booleans())
def test_what_was_written_is_read_back(pairs, before, after, ascii_only):
    written = [{"query": query, "answers": value} for query, value in pairs]
    found = read_pairs(before + json.dumps(written, ensure_ascii=ascii_only) + after)
    assert [query for query, _ in found] == [query for query, _ in pairs]
    assert [json.loads(text) for _, text in found] == written


# ---------------------------------------------------------------------------------- what is counted


def ends(tasks: Sequence[Sample]) -> dict[str, Counter[str]]:
    """How often the samples of each style, and all, are to end where."""
    counts: dict[str, Counter[str]] = {"total": Counter()}
    for task in tasks:
        kind = scripted.kind_of(task)
        end = STAGE.get(kind) or ("duplicate" if counts["total"]["again"] else "verified")
        counts["total"]["again"] += kind == "again"
        for key in ("total", task.style):
            counts.setdefault(key, Counter())[end] += 1
    del counts["total"]["again"]
    return counts


def test_the_funnel_of_a_model_that_is_sometimes_wrong(tasks):
    model = Model(tasks)
    result, generator = synthesis(Local(model), library=LIBRARY)
    wanted = ends(tasks)
    assert all(wanted["total"][end] for end in ("verified", "duplicate", *STAGE.values()))
    for row in result.funnel.rows():
        found = {end: row[end] for end in ("verified", "duplicate", *STAGE.values()) if row[end]}
        assert found == wanted.get(row["style"], {}), row["style"]
    kinds = Counter(map(scripted.kind_of, tasks))
    assert result.funnel.reasons["format"] == {
        "answer is not JSON": kinds["prose"] + kinds["cut"],
        "answer without a query": kinds["no query"],
        "undefined function invoked": kinds["unknown"],
    }
    assert generator.surplus == 0 and generator.usage.requests == len(model.asked) == COUNT
    by_index = {task.index: task for task in tasks}
    for record in result.verified:
        task = by_index[int(record.unique_trajectory_id.rpartition("/")[2])]
        assert record.tools == task.tools and record.meta["generator"] == "scripted"
        assert record.query.endswith(task.query) or record.query.startswith("The same")
        assert len(record.steps[0].tool_calls) == len(json.loads(record.steps[0].next_observation or "[]"))
    assert any(record.meta.get("masked") for record in result.verified)


GIVEN = {0: 4, 4: 3, 8: 5, 10: 0, 14: 1, 18: 2, 20: 3}
"""Of 22 samples in rounds of 10 and groups of 4: pairs written for the group that begins at this index."""


def test_several_pairs_a_request_share_its_tools_and_missing_ones_are_counted(tasks):
    def answer(task: Sample) -> str:
        return f"[{', '.join(scripted.pair(task, 'good', n) for n in range(GIVEN[task.index]))}]"

    model = Model(tasks, answer)
    result, generator = synthesis(Local(model), library=LIBRARY, count=22, round_size=10, pairs=4)
    wanted = {0: 4, 4: 4, 8: 2, 10: 4, 14: 4, 18: 2, 20: 2}
    assert len(model.asked) == len(wanted)
    for chat in model.asked:
        number = wanted[model.task(chat[-1]["content"]).index]
        assert f"Write {number} different pairs" in chat[-1]["content"]
    kept = {first: min(given, wanted[first]) for first, given in GIVEN.items()}
    total = result.funnel.total
    assert (total.asked, total.verified, total.fail_format) == (
        22,
        sum(kept.values()),
        22 - sum(kept.values()),
    )
    assert generator.surplus == sum(GIVEN[first] - kept[first] for first in GIVEN) == 4
    # "[]" for the group of 10: nothing was given, and the text is kept to be looked at
    assert result.funnel.reasons == {"format": {"answer is not a list of calls": 4, "pair not given": 4}}
    verified = {int(record.unique_trajectory_id.rpartition("/")[2]): record for record in result.verified}
    assert sorted(verified) == [first + place for first in kept for place in range(kept[first])]
    for index, record in verified.items():
        first = max(begin for begin in kept if begin <= index)
        assert record.tools == tasks[first].tools and record.meta["style"] == tasks[first].style
        assert record.query.startswith(f"{first}.{index - first}: ")


@pytest.mark.parametrize(
    ("pairs", "round_size", "sizes"),
    [(1, 4, [1] * 11), (4, 64, [4, 4, 3]), (4, 4, [4, 4, 3]), (3, 4, [3, 1, 3, 1, 3]), (64, 7, [7, 4])],
)
def test_every_index_is_asked_for_once_whatever_the_grouping(tasks, pairs, round_size, sizes):
    model = Model(tasks, lambda task: "[]")
    result, generator = synthesis(Local(model), count=11, pairs=pairs, round_size=round_size)
    assert [reject.position for reject in result.rejected] == list(range(11))
    assert generator.usage.requests == len(model.asked) == len(sizes)
    asked = {model.task(chat[-1]["content"]).index for chat in model.asked}
    assert asked == {0, *itertools.accumulate(sizes[:-1])}


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_answers_fail_the_format_check_and_are_on_record(tasks, text, tmp_path):
    result, _ = synthesis(Local(Model(tasks, lambda task: text)), tmp_path, count=4)
    assert result.funnel.total.fail_format == 4
    assert len(list(read_jsonl(tmp_path / "rejected.jsonl", Reject))) == 4


DEEP = "[" * 3_000


@pytest.mark.parametrize("closed", [DEEP.replace("[", "]") + "}}]}", ""], ids=["whole", "cut short"])
def test_arguments_nested_without_end_fail_the_format_check(tasks, closed):
    text = f'{{"query":"x","answers":[{{"name":"f","arguments":{{"a":{DEEP}{closed}'
    result, _ = synthesis(Local(Model(tasks, lambda task: text)), count=2)
    assert result.funnel.reasons == {"format": {"answer is nested too deeply": 2}}


@pytest.mark.parametrize("levels", [50, 70])
def test_arguments_may_have_64_levels(tasks, levels):
    name = next(iter(tasks[0].tools)).name
    text = f'{{"query":"x","answers":[{{"name":"{name}","arguments":{{"a":{"[" * levels}{"]" * levels}}}}}]}}'
    result, _ = synthesis(Local(Model(tasks, lambda task: text)), count=1)
    deep = "answer is nested too deeply" in result.funnel.reasons["format"]
    assert deep is (levels > 64)


def test_nothing_can_be_asked_of_settings_out_of_range(tasks):
    wrong: list[dict[str, Any]] = [{"pairs": 0}, {"round_size": 0}, {"shots": -1}]
    for attributes in wrong:
        with pytest.raises(ProfileError):
            ModelGenerator(Local(Model(tasks)), **attributes)


def test_tokens_and_costs_add_up(tasks):
    local = Local(Model(tasks))
    result, generator = synthesis(local)
    tokens = sum(answer.tokens for answer in local.answers)
    assert (generator.usage.requests, generator.usage.prompt_tokens) == (COUNT, 11 * COUNT)
    assert generator.usage.tokens == tokens > COUNT
    verified = result.funnel.total.verified
    rows = {row["stage"]: row for row in result.cost.rows(verified)}
    assert list(rows) == ["generation", "format", "execution", "semantic"]
    assert rows["generation"]["tokens"] == tokens + 11 * COUNT and rows["generation"]["seconds"] > 0
    assert rows["generation"]["tokens per verified"] == rows["generation"]["tokens"] / verified
    assert not any(rows[stage]["tokens"] for stage in ("format", "execution", "semantic"))
    assert result.cost.rows(0)[0]["tokens per verified"] is None


# ------------------------------------------------------------------------------------- what is shown


def shown(chat: Sequence[dict[str, str]]) -> list[str]:
    """The queries of a prompt's examples."""
    assert [message["role"] for message in chat] == ["user", "assistant"] * (len(chat) // 2) + ["user"]
    return [json.loads(message["content"])["query"] for message in chat[1::2]]


def test_what_was_verified_is_shown_in_the_next_round(tasks):
    model = Model(tasks)
    result, _ = synthesis(Local(model))
    places = {record.query: int(record.unique_trajectory_id.rpartition("/")[2]) for record in result.verified}
    taken = 0
    for chat in model.asked:
        task = model.task(chat[-1]["content"])
        now = task.index // ROUND
        for query, message in zip(shown(chat), chat[1::2], strict=True):
            assert places[query] // ROUND < now, "an example of the same round, or one that was not verified"
            names = {call["name"] for call in json.loads(message["content"])["answers"]}
            assert not names & {tool.name for tool in task.tools}
            taken += 1
        if now == 0:
            assert len(chat) == 1
    assert taken > ROUND


def test_verified_examples_to_start_from_are_shown_at_once(tasks):
    start = synthesize(12, seed=77, library=scripted.paper()).verified
    model = Model(tasks)
    synthesis(Local(model), seeds=start, count=8)
    queries = {query for chat in model.asked for query in shown(chat)}
    assert queries and queries <= {record.query for record in start}
    model = Model(tasks)
    synthesis(Local(model), seeds=start, shots=0)
    assert all(len(chat) == 1 for chat in model.asked)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 30), st.integers(0, 5), st.integers(0, 999), st.integers(0, 40))
def test_examples_are_of_the_style_and_of_other_tools(index, count, seed, size):
    seeds = synthesize_once()[:size]
    [task] = TemplateGenerator(seed=5).samples(index, 1)
    found = prompts.examples(seeds, task, count, random.Random(seed))
    own = {tool.name for tool in task.tools}
    assert not any(own & {tool.name for tool in example.tools} for example in found)
    assert len(found) <= count and len({example.query for example in found}) == len(found)
    if any(example.meta["style"] == task.style for example in seeds):
        assert all(example.meta["style"] == task.style for example in found)
    assert found == prompts.examples(seeds, task, count, random.Random(seed))


_once: list[Trajectory] = []


def synthesize_once() -> list[Trajectory]:
    if not _once:
        _once.extend(synthesize(40, seed=3, library=scripted.paper()).verified)
    return _once


def test_the_same_seed_asks_the_same(tasks):
    first, again = Model(tasks), Model(tasks)
    synthesis(Local(first))
    synthesis(Local(again))
    assert first.asked == again.asked
    other_tasks = scripted.tasks_of(scripted.telling_seed() + 1, 8)
    other = Model(other_tasks, lambda task: "[]")
    other.task = lambda content: other_tasks[0]  # its tools may be those of another task
    synthesis(Local(other), seed=scripted.telling_seed() + 1, count=8)
    assert not any(chat in first.asked for chat in other.asked)


# ---------------------------------------------------------------------------------- what survives


@dataclass(frozen=True)
class Untroubled:
    """A run in which nothing failed: its files, and the requests that it sent."""

    files: dict[str, bytes]
    requests: Counter[bytes]


@pytest.fixture(scope="module")
def untroubled(tasks, tmp_path_factory) -> Untroubled:
    folder = tmp_path_factory.mktemp("untroubled")
    with pytest.MonkeyPatch.context() as patch, serve(server_script(Model(tasks))) as server:
        patch.setenv("NO_PROXY", "127.0.0.1")
        backend = endpoint(server.url, folder / "journal.jsonl")
        result, generator = synthesis(backend, folder)
    assert backend.usage.requests == backend.usage.answers == COUNT and backend.usage.retries == 0
    assert generator.usage.prompt_tokens == backend.usage.prompt_tokens == 7 * COUNT
    assert (
        generator.usage.tokens
        == backend.usage.completion_tokens
        == sum(len(scripted.write(task).split()) for task in tasks)
    )
    assert result.cost.tokens["generation"] == 7 * COUNT + generator.usage.tokens
    ended = [
        *read_jsonl(folder / "verified.jsonl", Trajectory),
        *read_jsonl(folder / "rejected.jsonl", Reject),
    ]
    assert len(ended) == COUNT == result.funnel.total.asked and result.funnel.total.verified > 10
    return Untroubled(files(folder), Counter(identities(server.bodies)))


def test_a_local_model_gives_the_same_files_as_the_endpoint(tasks, untroubled, tmp_path):
    synthesis(Local(Model(tasks), name="m"), tmp_path)
    assert files(tmp_path) == untroubled.files


FAILURES = (
    Reply("oops", 500),
    Reply("{}", 429, {"Retry-After": "0.05"}),
    Reply(drop=True),
    Reply("<html>"),
    Reply('{"choices": []}'),
)


def test_failures_now_and_then_change_nothing(tasks, untroubled, tmp_path):
    model = Model(tasks)

    def script(body, nth):
        place = model.task(body["messages"][-1]["content"]).index
        if place % 3 == 0 and nth < 2:
            return FAILURES[(place + nth) % len(FAILURES)]
        return completion(model.read(body["messages"]))

    with serve(script) as server:
        backend = endpoint(server.url, tmp_path / "journal.jsonl", retries=3)
        _, generator = synthesis(backend, tmp_path)
    troubled = len([task for task in tasks if task.index % 3 == 0])
    assert backend.usage.retries == 2 * troubled and backend.usage.answers == COUNT == len(model.asked)
    assert generator.usage.requests == COUNT
    assert files(tmp_path) == untroubled.files


def resumed(tasks, untroubled: Untroubled, folder: Path, paid: Counter[bytes]) -> None:
    """Run again against a fresh server: only what was not answered is sent, the files are as ever."""
    model = Model(tasks)
    with serve(server_script(model)) as server:
        backend = endpoint(server.url, folder / "journal.jsonl")
        synthesis(backend, folder)
    assert Counter(identities(server.bodies)) == untroubled.requests - paid
    assert files(folder) == untroubled.files
    assert backend.usage.requests + backend.usage.journalled == COUNT
    keys = [entry["key"] for entry in read_jsonl(folder / "journal.jsonl")]
    assert len(keys) == len(set(keys)) == COUNT


@pytest.mark.parametrize("end", [Reply("gone", 503), Reply(drop=True), Reply("no such model", 404)])
@pytest.mark.parametrize("lasts", [0, 7, ROUND, ROUND + 9, COUNT - 1])
def test_a_server_that_dies_for_good_costs_nothing_twice(tasks, untroubled, tmp_path, lasts, end):
    model, paid = Model(tasks), []

    def script(body, nth):
        with server.lock:
            if len(paid) == lasts:
                return end
            paid.append(body)
        return completion(model.read(body["messages"]))

    with serve(script) as server:
        backend = endpoint(server.url, tmp_path / "journal.jsonl")
        with pytest.raises(EndpointError):
            synthesis(backend, tmp_path)
    assert not (tmp_path / "verified.jsonl").exists() and not (tmp_path / "funnel.json").exists()
    assert len(paid) == lasts == backend.usage.answers
    resumed(tasks, untroubled, tmp_path, Counter(identities(paid)))


def test_a_server_that_is_gone_is_said_within_seconds(tasks, untroubled, tmp_path):
    with serve() as server:
        url = server.url
    begun = time.monotonic()
    with pytest.raises(EndpointError, match="check the server"):
        synthesis(endpoint(url, tmp_path / "journal.jsonl", retries=2), tmp_path)
    assert time.monotonic() - begun < 10
    resumed(tasks, untroubled, tmp_path, Counter())


def test_a_finished_run_asks_nothing_again(tasks, untroubled, tmp_path):
    with serve(server_script(Model(tasks))) as server:
        synthesis(endpoint(server.url, tmp_path / "journal.jsonl"), tmp_path)
    backend = endpoint(server.url, tmp_path / "journal.jsonl")  # there is no server any more
    _, generator = synthesis(backend, tmp_path / "again")
    assert backend.usage.requests == 0 and backend.usage.journalled == generator.usage.requests == COUNT
    assert files(tmp_path / "again") == untroubled.files


def start(server, folder: Path, root: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "tests.synthesis_endpoint_run", server.url]
    return subprocess.Popen([*command, str(folder / "journal.jsonl"), str(folder)], cwd=root, env=os.environ)


def test_killed_in_the_second_round_and_run_again(tasks, untroubled, tmp_path, root):
    """SIGKILL, which nothing can prepare for: at most the requests in flight are sent again."""
    with serve(server_script(Model(tasks), delay=0.03)) as server:
        child = start(server, tmp_path, root)
        while len(server.bodies) < ROUND + 5 and child.poll() is None:
            time.sleep(0.005)
        child.send_signal(signal.SIGKILL)
        assert child.wait(10) == -signal.SIGKILL
        kept = len((tmp_path / "journal.jsonl").read_bytes().splitlines())
        sent = len(server.bodies)
        assert ROUND <= kept < COUNT and sent - kept <= 3
        assert not any(tmp_path.glob("*.json")) and not (tmp_path / "verified.jsonl").exists()
        assert start(server, tmp_path, root).wait(60) == 0
    assert files(tmp_path) == untroubled.files
    requests = Counter(identities(server.bodies))
    assert requests.keys() == untroubled.requests.keys()
    assert sum(requests.values()) == COUNT + sent - kept and max(requests.values()) <= 2
    keys = [entry["key"] for entry in read_jsonl(tmp_path / "journal.jsonl")]
    assert len(keys) == len(set(keys)) == COUNT


# --------------------------------------------------------------- a back end that keeps no journal


@pytest.mark.parametrize("lasts", [0, 1, 5, 9])
def test_an_interrupted_local_model_goes_on_from_its_cache(tasks, untroubled, tmp_path, lasts):
    """At most four requests a batch: 1 is in the first round, 5 in the second, 9 near the end."""
    cache = tmp_path / "cache.jsonl"
    first, second = Model(tasks), Model(tasks)
    with pytest.raises(KeyboardInterrupt):
        synthesis(Local(first, lasts, name="m"), tmp_path, cache=cache, batch_size=4)
    assert not (tmp_path / "verified.jsonl").exists()
    with (cache if cache.exists() else tmp_path / "none").open("ab") as file:
        file.write(b'{"key":"torn')  # as a killed process leaves it
    if lasts == 0:
        (tmp_path / "none").rename(cache)
    _, generator = synthesis(Local(second, name="m"), tmp_path, cache=cache, batch_size=4)
    assert len(first.asked) + len(second.asked) == COUNT and lasts <= len(first.asked) <= 4 * lasts
    assert not any(chat in first.asked for chat in second.asked)
    assert files(tmp_path) == untroubled.files
    assert generator.usage.requests == COUNT  # the cached ones cost tokens, too, when they were written


def test_an_endpoint_without_a_journal_uses_the_cache(tasks, untroubled, tmp_path):
    with serve(server_script(Model(tasks))) as server:
        synthesis(endpoint(server.url, None), tmp_path / "first", cache=tmp_path / "cache.jsonl")
        backend = endpoint(server.url, None)
        synthesis(backend, tmp_path / "again", cache=tmp_path / "cache.jsonl")
        assert len(server.bodies) == COUNT and backend.usage.requests == 0
        synthesis(endpoint(server.url, tmp_path / "journal.jsonl"), tmp_path / "third", cache=tmp_path / "no")
    assert files(tmp_path / "first") == files(tmp_path / "again") == untroubled.files
    assert not (tmp_path / "no").exists()
