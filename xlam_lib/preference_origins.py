"""Preference pairs that need no weaker model (xLAM report, section 3.5, and the failed data of 3.3 and 5).

- :func:`branch_pairs`: where a search parted from the path that led to the answer, that path's step is chosen
  and the failed branch's rejected, as in TP-LLaMA (Chen et al., 2024); so too where an attempt that gave up
  parts from one that did not.
- :func:`check_pairs`: what a sample answered that failed a check of the synthesis is rejected, and chosen is
  an answer to the same query that passed all the checks.
- :func:`planted_pairs`: a verified answer is chosen and its copy with a planted error rejected. No model made
  these mistakes: use them where the others give too few.

The prompt is the one that supervised examples have, and each pair is judged as a weaker model's answer is
(:func:`xlam_lib.preferences.judge`): what turns out right, equivalent or undecided makes none. Nothing is
dropped without being counted.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from xlam_lib.equivalence import same_calls
from xlam_lib.errors import SchemaError
from xlam_lib.formats import ParseError
from xlam_lib.mixture import INSTRUCTION, Example, make_examples, not_trainable
from xlam_lib.preferences import (
    EQUIVALENT,
    FAILED_BRANCH,
    FAILED_CHECK,
    NO_CALLS,
    PLANTED,
    Pair,
    pair_of,
)
from xlam_lib.prompts import answer_format
from xlam_lib.schema import Reject, Step, Tool, ToolCall, Trajectory
from xlam_lib.sources.toolbench import GAVE_ANSWER, GAVE_UP
from xlam_lib.synthesis import corrupt
from xlam_lib.synthesis.checks import parse_answer
from xlam_lib.synthesis.execute import Limits
from xlam_lib.synthesis.library import LIBRARY
from xlam_lib.synthesis.pipeline import BATCH, Cost, check_round
from xlam_lib.synthesis.registry import Function, Registry
from xlam_lib.synthesis.samples import Sample
from xlam_lib.synthesis.semantic import RuleJudge, SemanticJudge
from xlam_lib.verify import ERRORS, SEVERITY, check, planted, repair

Made = tuple[list[Pair], Counter[str]]
_NOT_WRITABLE = "cannot be written in the format"
_FAULTY = "right side has a finding"


class _Collector:
    """Pairs, and the count of what became of everything that was offered."""

    def __init__(self) -> None:
        self.pairs: list[Pair] = []
        self.counts: Counter[str] = Counter()

    def add(self, pair: Pair | str) -> None:
        if isinstance(pair, Pair):
            self.pairs.append(pair)
        self.counts[pair.fault if isinstance(pair, Pair) else pair] += 1

    @property
    def made(self) -> Made:
        return self.pairs, self.counts


def _pair(example: Example, rejected: Step, trajectory: Trajectory, origin: str, detail: str) -> Pair | str:
    """The pair with a rejected step, written as the trajectory's answers are."""
    try:
        text = answer_format(trajectory).render(rejected.tool_calls, rejected.thought)
    except ParseError:
        return _NOT_WRITABLE
    return pair_of(example, text, origin, detail)


# Failed branches ------------------------------------------------------------------------------------------


def branch_pairs(
    trajectories: Iterable[Trajectory], *, length: str = "brief", style: str = "brackets"
) -> Made:
    """Pairs of a right path's steps with the failed branches that left it there.

    Branches are those of ``meta["failed_branches"]`` (see :mod:`xlam_lib.sources.toolbench`), and whole
    attempts at the same query with the same tools that gave up, where these part from a right path after
    equal steps.

    Parameters
    ----------
    trajectories
        Right ones and those that gave up; only what may be trained on is used.
    length, style
        Of the prompts, as for :func:`xlam_lib.mixture.make_examples`.

    Returns
    -------
    The pairs, whose ``detail`` is the branch's outcome, and counts that add up to the branches that the
    searches had plus the combinations of a right path with an attempt that gave up.
    """
    found = _Collector()
    right: list[Trajectory] = []
    failed: dict[Hashable, list[Trajectory]] = {}
    for trajectory in trajectories:
        branches = trajectory.meta.get("failed_branches")
        branches = branches if isinstance(branches, list) else []
        reason = not_trainable(trajectory)
        known = trajectory.meta.get("failed_branches_total")
        if isinstance(known, int) and known > len(branches):
            found.counts["no call of its own"] += known - len(branches)
        if reason is not None:
            if branches:
                found.counts[reason] += len(branches)
            if trajectory.meta.get("outcome") == GAVE_UP and trajectory.meta.get("split", "train") == "train":
                failed.setdefault(_task(trajectory), []).append(trajectory)
            continue
        right.append(trajectory)
        if branches:
            _branches(trajectory, branches, found, length, style)
    for trajectory in right if failed else ():
        for attempt in failed.get(_task(trajectory), ()):
            found.add(_parted(trajectory, attempt, length, style))
    return found.made


def _task(trajectory: Trajectory) -> Hashable:
    """The query and the tools on offer, whatever their order."""
    return trajectory.query, _tools_key(trajectory.tools)


def _tools_key(tools: Sequence[Tool]) -> frozenset[bytes]:
    return frozenset(msgspec.json.encode(tool, order="sorted") for tool in tools)


class _Branch(msgspec.Struct):
    after_step: int
    tool_calls: list[ToolCall]
    outcome: str
    thought: str = ""


def _branches(
    trajectory: Trajectory, branches: Sequence[Any], found: _Collector, length: str, style: str
) -> None:
    faulty = {finding.step_id for finding in check(trajectory)}
    examples = list(make_examples([trajectory], length, "all", style))
    for record in branches:
        try:
            branch = msgspec.convert(record, _Branch)
        except msgspec.ValidationError:
            found.add("ill-formed branch")
            continue
        at, steps = branch.after_step, trajectory.steps
        if not 0 <= at < len(steps):
            found.add("beyond the right path")
        elif branch.outcome == GAVE_ANSWER:
            found.add("the branch answers too")
        elif {0, steps[at].step_id} & faulty:
            found.add(_FAULTY)
        elif _comes_later(branch.tool_calls, steps[at + 1 :], trajectory.tools):
            found.add("on the right path later")
        else:
            step = Step(at + 1, branch.thought, branch.tool_calls)
            found.add(_pair(examples[at], step, trajectory, FAILED_BRANCH, branch.outcome))


def _comes_later(calls: Sequence[ToolCall], steps: Iterable[Step], tools: Sequence[Tool]) -> bool:
    """Whether a branch only made early what the right path makes later: then it was no mistake."""
    return any(same_calls(calls, step.tool_calls, tools) for step in steps)


def _parted(right: Trajectory, attempt: Trajectory, length: str, style: str) -> Pair | str:
    """The pair where an attempt that gave up leaves a right path."""
    for at, (good, bad) in enumerate(zip(right.steps, attempt.steps, strict=False)):
        if same_calls(good.tool_calls, bad.tool_calls, right.tools):
            if good != bad:  # another observation or thought: from here on the prompts differ
                return "histories differ"
            continue
        if {0, good.step_id} & {finding.step_id for finding in check(right)}:
            return _FAULTY
        if _comes_later(bad.tool_calls, right.steps[at + 1 :], right.tools):
            return "on the right path later"
        example = list(make_examples([right], length, "all", style))[at]
        return _pair(example, bad, right, FAILED_BRANCH, str(attempt.meta.get("outcome")))
    return "never parted"


# Failed checks --------------------------------------------------------------------------------------------


def check_pairs(
    rejects: Iterable[Reject],
    verified: Iterable[Trajectory] = (),
    *,
    library: Registry = LIBRARY,
    judge: SemanticJudge | None = None,
    workers: int = 1,
    limits: Limits | None = None,
    length: str = "brief",
    style: str = "brackets",
) -> Made:
    """Pairs from samples that failed a check of the synthesis (``rejected.jsonl``).

    The chosen side is, in this order: a verified record of the same query and tools; the calls that the
    generator says its query asks for; the sample's own calls, repaired (:func:`xlam_lib.verify.repair`). The
    last two count only once they have passed format, execution and semantic check themselves.

    Parameters
    ----------
    rejects
        As written by :func:`xlam_lib.synthesis.synthesize`: the sample is the ``record``.
    verified
        Its verified records, or their augmented copies.
    library, judge, workers, limits
        As for :func:`~xlam_lib.synthesis.synthesize`: the same that turned the samples away.
    length, style
        Of the prompts, as for :func:`xlam_lib.mixture.make_examples`.

    Returns
    -------
    The pairs, whose ``detail`` is the check and its reason, and counts that add up to the rejects.

    Raises
    ------
    SchemaError
        A reject holds no sample.
    """
    found = _Collector()
    answered = {_task(trajectory): trajectory for trajectory in verified}
    pending: list[tuple[Reject, list[ToolCall], Sample]] = []
    for reject in rejects:
        sample = _sample_of(reject)
        calls = _rejected_calls(reject, sample)
        if isinstance(calls, str):
            found.add(calls)
            continue
        known = answered.get((sample.query, _tools_key(sample.tools)))
        if known is not None:
            found.add(_checked_pair(reject, calls, known, length, style))
            continue
        better = _expected_calls(sample)
        better = _repaired_calls(sample, calls) if better is None else better
        if better is None:
            found.add("no verified answer")
        elif same_calls(better, calls, sample.tools):
            # The fault is not the calls': a service that failed, or a query that says something else.
            found.add(EQUIVALENT)
        else:
            text = _answer_text(sample.query, better)
            pending.append((reject, calls, msgspec.structs.replace(sample, answer=text, planted="")))
    if pending:  # worker processes take seconds to start
        with library.open(workers, limits) as executor:
            used = executor if library.executable else None
            while pending:
                batch, pending = _distinct_queries(pending)
                samples = [sample for _, _, sample in batch]
                checked = check_round(samples, used, judge or RuleJudge(), set(), Cost())
                for (reject, calls, _), (_, _, record) in zip(batch, checked, strict=True):
                    if record is None:
                        found.add("no verified answer")
                    else:
                        found.add(_checked_pair(reject, calls, record, length, style))
    return found.made


def _sample_of(reject: Reject) -> Sample:
    if isinstance(reject.record, Sample):
        return reject.record
    try:
        return msgspec.convert(reject.record, Sample)
    except msgspec.ValidationError as error:
        raise SchemaError(
            f"reject {reject.source}/{reject.position}: its record is no sample ({error}); "
            "give the rejected.jsonl of a synthesis"
        ) from None


def _rejected_calls(reject: Reject, sample: Sample) -> list[ToolCall] | str:
    """What the sample called, or why that is no rejected side."""
    if reject.stage not in ("format", "execution", "semantic"):
        return str(reject.stage)
    if not sample.answer.strip():
        return "nothing answered"
    try:
        # What holds no calls cannot be written in the prompt's format.
        return parse_answer(sample.answer)
    except (msgspec.DecodeError, RecursionError):
        return "answer holds no calls"


def _expected_calls(sample: Sample) -> list[ToolCall] | None:
    """The calls that the generator says its query asks for; None where it says nothing."""
    if sample.slots is None or any(not 0 <= slot.call < len(sample.expected) for slot in sample.slots):
        return None
    calls = [ToolCall(name, {}) for name in sample.expected]
    for slot in sample.slots:
        calls[slot.call].arguments[slot.parameter] = slot.value
    return calls


def _repaired_calls(sample: Sample, calls: list[ToolCall]) -> list[ToolCall] | None:
    record = Trajectory("", "", tools=sample.tools, query=sample.query, steps=[Step(1, tool_calls=calls)])
    mended, changes = repair(record)
    return mended.steps[0].tool_calls if changes else None


def _distinct_queries(
    pending: list[tuple[Reject, list[ToolCall], Sample]],
) -> tuple[list[tuple[Reject, list[ToolCall], Sample]], list[tuple[Reject, list[ToolCall], Sample]]]:
    """A round of samples, and the rest: of two with one query the check would call the second a duplicate."""
    seen: set[str] = set()
    batch, rest = [], []
    for entry in pending:
        query = entry[2].query
        (rest if query in seen or len(batch) == BATCH else batch).append(entry)
        seen.add(query)
    return batch, rest


def _checked_pair(
    reject: Reject, calls: list[ToolCall], right: Trajectory, length: str, style: str
) -> Pair | str:
    example = next(make_examples([right], length, "all", style))
    return _pair(example, Step(1, "", calls), right, FAILED_CHECK, f"{reject.stage}: {reject.reason}")


# Planted errors -------------------------------------------------------------------------------------------

# The others break the text or the service, or leave the answer as it is and change the query.
_SAMPLE_KINDS = tuple(
    kind for kind in corrupt.KINDS if kind not in ("bad JSON", "time-out", "crash", "wrong query")
)
_RECORD_KINDS = tuple(error for error in ERRORS if SEVERITY[error] != "quality")


def planted_pairs(
    trajectories: Sequence[Trajectory],
    seed: int,
    *,
    functions: Mapping[str, Function] | None = None,
    length: str = "brief",
    style: str = "brackets",
) -> Made:
    """Pairs of verified answers with copies of them that hold one planted error: at most one a record.

    Records of this project's synthesis get the errors of :mod:`xlam_lib.synthesis.corrupt`, any other those
    of :mod:`xlam_lib.verify.planted`. Of the kinds that have a place in a record the one planted least so far
    is taken.

    Parameters
    ----------
    trajectories
        Verified ones.
    seed
        With the records' ids, of the draws.
    functions
        The functions that synthesized records call, by default those of this project's library.
    length, style
        Of the prompts, as for :func:`xlam_lib.mixture.make_examples`.

    Returns
    -------
    The pairs, whose ``detail`` is the kind of error, and counts that add up to the records.
    """
    found = _Collector()
    functions = LIBRARY.functions if functions is None else functions
    usable: list[Trajectory] = []
    for trajectory in trajectories:
        if trajectory.meta.get("kind") == INSTRUCTION:
            found.add(NO_CALLS)
        elif reason := not_trainable(trajectory):
            found.add(reason)
        elif check(trajectory):
            found.add(_FAULTY)
        else:
            usable.append(trajectory)
    donors = planted.donors_of(usable)
    used: Counter[str] = Counter()
    for trajectory in usable:
        identity = trajectory.unique_trajectory_id
        rng = random.Random(f"{seed}/{identity}/preferences")
        sample = _as_sample(trajectory, functions)
        kinds = list(_RECORD_KINDS if sample is None else _SAMPLE_KINDS)
        rng.shuffle(kinds)
        kinds.sort(key=lambda kind: used[kind])
        examples = list(make_examples([trajectory], length, "all", style))
        for kind in kinds:
            at, step = (
                _planted_step(trajectory, kind, seed, donors)
                if sample is None
                else _corrupted_step(sample, kind, rng, functions)
            )
            if step is None:
                continue
            pair = _pair(examples[at], step, trajectory, PLANTED, kind)
            if isinstance(pair, Pair):  # not what is equal after all, such as a default left out
                used[kind] += 1
                found.add(pair)
                break
        else:
            found.add("no place for an error")
    return found.made


def _planted_step(
    trajectory: Trajectory, error: str, seed: int, donors: planted.Donors
) -> tuple[int, Step | None]:
    made = planted.plant(trajectory, error, seed, donors)
    if made is None:
        return 0, None
    at = made.step_id - 1
    return at, made.trajectory.steps[at]


def _as_sample(trajectory: Trajectory, functions: Mapping[str, Function]) -> Sample | None:
    """A synthesized record as the sample it was, as far as planting needs it; None for any other record."""
    meta = trajectory.meta
    names, parameters = meta.get("names") or {}, meta.get("parameters") or {}
    ours = trajectory.source == "synthetic" and len(trajectory.steps) == 1
    if not ours or any(names.get(tool.name, tool.name) not in functions for tool in trajectory.tools):
        return None
    return Sample(
        index=0,
        style=str(meta.get("style", "")),
        category=str(meta.get("category", "")),
        functions=list(meta.get("functions") or ()),
        query=trajectory.query,
        tools=trajectory.tools,
        answer=_answer_text(trajectory.query, trajectory.steps[0].tool_calls),
        names=names,
        parameters=parameters,
    )


def _corrupted_step(
    sample: Sample, kind: str, rng: random.Random, functions: Mapping[str, Function]
) -> tuple[int, Step | None]:
    calls = parse_answer(sample.answer)
    if kind == "wrong type" and not all(call.arguments for call in calls):
        return 0, None  # it takes any call and then an argument of it
    made = corrupt.plant(sample, kind, rng, functions)
    return 0, Step(1, "", parse_answer(made.answer)) if made.planted else None


def _answer_text(query: str, calls: Sequence[ToolCall]) -> str:
    return msgspec.json.encode({"query": query, "answers": calls}).decode()
