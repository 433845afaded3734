"""APIGen's loop (report, section 5): samples -> format -> execution -> semantic check -> verified -> seeds.

Samples come in rounds; of a round all calls are executed together, and what was verified returns to the seeds
that the generator may show as examples in the next. Everything that was asked for is accounted for: asked =
failed at each check + duplicates + verified, per style.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from xlam_lib.errors import ProfileError
from xlam_lib.records import atomic_file, write_json
from xlam_lib.schema import Reject, Step, Trajectory
from xlam_lib.synthesis.checks import Fault, executable_calls, format_check, outcome_fault, parse_answer
from xlam_lib.synthesis.execute import Limits, Outcome
from xlam_lib.synthesis.generators import Generator, TemplateGenerator
from xlam_lib.synthesis.library import LIBRARY
from xlam_lib.synthesis.registry import Registry
from xlam_lib.synthesis.samples import STYLES, Sample
from xlam_lib.synthesis.semantic import Case, RuleJudge, SemanticJudge

if TYPE_CHECKING:
    from xlam_lib.synthesis.execute import Executor

STAGES = ("generation", "format", "execution", "semantic")
BATCH = 512  # samples a round that come from elsewhere
SEEDS = 512  # of the verified samples that return to the seeds, so many are kept, the latest


class Counts(msgspec.Struct):
    """How many samples ended where; the columns of the report's table, and duplicates."""

    asked: int = 0
    fail_format: int = 0
    fail_execution: int = 0
    fail_semantic: int = 0
    duplicate: int = 0
    verified: int = 0

    @property
    def pass_rate(self) -> float:
        """Verified samples of those asked, 0 to 1."""
        return self.verified / self.asked if self.asked else 0.0

    def add(self, stage: str) -> None:
        """Count one sample that ended at ``stage``."""
        self.asked += 1
        field = stage if stage in ("verified", "duplicate") else f"fail_{stage}"
        setattr(self, field, getattr(self, field) + 1)


class Funnel(msgspec.Struct):
    """Counts per query style and in total, and per stage how often each reason was given."""

    styles: dict[str, Counts]
    total: Counts
    reasons: dict[str, dict[str, int]]

    def rows(self) -> list[dict[str, Any]]:
        """One row a style, and the total, each with its pass rate."""
        return [
            {"style": name, **msgspec.structs.asdict(counts), "pass_rate": counts.pass_rate}
            for name, counts in [*self.styles.items(), ("total", self.total)]
        ]


class Cost(msgspec.Struct):
    """What each stage cost: wall-clock seconds, and tokens where a model worked.

    Stages are ``generation``, ``format``, ``execution`` and ``semantic``.
    """

    seconds: dict[str, float] = msgspec.field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    tokens: dict[str, int] = msgspec.field(default_factory=lambda: dict.fromkeys(STAGES, 0))

    def rows(self, verified: int) -> list[dict[str, Any]]:
        """One row a stage: seconds and tokens, in all and per verified sample (None if there is none)."""
        rows = []
        for stage in STAGES:
            row: dict[str, Any] = {
                "stage": stage,
                "seconds": self.seconds[stage],
                "tokens": self.tokens[stage],
            }
            for unit in ("seconds", "tokens"):
                row[f"{unit} per verified"] = row[unit] / verified if verified else None
            rows.append(row)
        return rows


class Result(msgspec.Struct):
    """What a synthesis gave.

    Attributes
    ----------
    funnel
        The counts.
    verified
        The trajectories; empty when they were streamed to a folder.
    rejected
        Everything turned away, with stage, reason and the sample; empty when they were streamed.
    paths
        The files written, by name.
    cost
        What it cost by stage. Unlike everything else it differs from run to run, so it is in no file.
    """

    funnel: Funnel
    verified: list[Trajectory]
    rejected: list[Reject]
    paths: dict[str, Path] = {}
    cost: Cost = msgspec.field(default_factory=Cost)


def synthesize(
    count: int,
    out: str | Path | None = None,
    *,
    library: Registry = LIBRARY,
    generator: Generator | None = None,
    judge: SemanticJudge | None = None,
    seeds: Sequence[Trajectory] = (),
    seed: int = 0,
    workers: int = 1,
    limits: Limits | None = None,
    samples: Iterable[Sample] | None = None,
    progress: Callable[[int, int], None] | None = None,
    **settings: Any,
) -> Result:
    """Generate and verify ``count`` samples; the same bytes whatever the number of workers.

    Parameters
    ----------
    count
        Samples asked for; what is verified is at most that.
    out
        Folder for ``verified.jsonl``, ``rejected.jsonl`` and ``funnel.json``; None keeps all in memory.
    library
        The APIs; :func:`xlam_lib.synthesis.importers.load` makes one of your own.
    generator
        Who writes, by default templates with ``seed`` and ``settings`` (see
        :func:`xlam_lib.synthesis.sampler.generate`).
    judge
        Who makes the semantic check, by default rules.
    seeds
        Verified examples to start from.
    workers, limits
        Processes (or connections) that execute the calls, and their limits.
    samples
        Samples from elsewhere instead of a generator's; the first ``count`` of them are checked.
    progress
        Called with (samples checked, samples asked for) after each round.

    Raises
    ------
    ProfileError
        A setting is out of range, or settings are given to a generator that has its own.
    ArtifactError
        The folder cannot be written.
    """
    if settings and (generator or samples is not None):
        raise ProfileError(f"settings {sorted(settings)} are the template generator's; give them to yours")
    judge = judge or RuleJudge()
    cost = Cost()
    counts = {style: Counts() for style in STYLES}
    total = Counts()
    reasons: dict[str, dict[str, int]] = {}
    rounds = (
        _rounds_of(samples, count)
        if samples is not None
        else _Rounds(generator or TemplateGenerator(seed, library, settings), count, seeds, cost)
    )

    def run() -> Iterator[Trajectory | Reject]:
        seen: set[str] = set()
        with library.open(workers, limits) as executor:
            for batch in rounds:
                used = executor if library.executable else None
                for sample, fault, record in check_round(batch, used, judge, seen, cost):
                    stage = fault.stage if fault else "verified"
                    counts.setdefault(sample.style, Counts()).add(stage)
                    total.add(stage)
                    if fault:
                        told = reasons.setdefault(fault.stage, {})
                        told[fault.reason] = told.get(fault.reason, 0) + 1
                        yield Reject(
                            "synthetic", sample.index, fault.reason, fault.detail, fault.stage, sample
                        )
                    elif record is not None:
                        if isinstance(rounds, _Rounds):
                            rounds.seeds.append(record)
                        yield record
                if progress:
                    progress(total.asked, count)

    kept: list[Trajectory] = []
    rejected: list[Reject] = []
    paths: dict[str, Path] = {}
    if out is None:
        for item in run():
            (rejected if isinstance(item, Reject) else kept).append(item)  # pyright: ignore[reportArgumentType]
    else:
        paths = {name: Path(out) / name for name in ("verified.jsonl", "rejected.jsonl", "funnel.json")}
        with atomic_file(paths["verified.jsonl"]) as good, atomic_file(paths["rejected.jsonl"]) as bad:
            for item in run():
                (bad if isinstance(item, Reject) else good).write(msgspec.json.encode(item) + b"\n")
    funnel = Funnel(
        counts, total, {stage: dict(sorted(told.items())) for stage, told in sorted(reasons.items())}
    )
    if out is not None:
        write_json(paths["funnel.json"], {"rows": funnel.rows(), "reasons": funnel.reasons})
    return Result(funnel, kept, rejected, paths, cost)


def _rounds_of(samples: Iterable[Sample], count: int) -> Iterator[list[Sample]]:
    source = itertools.islice(samples, count)
    while batch := list(itertools.islice(source, BATCH)):
        yield batch


class _Rounds:
    """A generator's samples round by round; ``seeds`` grows in between."""

    def __init__(self, generator: Generator, count: int, seeds: Sequence[Trajectory], cost: Cost) -> None:
        self.generator, self.count, self.cost = generator, count, cost
        self.seeds = list(seeds)
        self.first = len(self.seeds)  # what one starts from is never crowded out

    def __iter__(self) -> Iterator[list[Sample]]:
        usage = self.generator.usage
        for start in range(0, self.count, self.generator.round_size):
            begun, tokens = time.perf_counter(), usage.prompt_tokens + usage.tokens
            del self.seeds[self.first : max(self.first, len(self.seeds) - SEEDS)]
            size = min(self.generator.round_size, self.count - start)
            batch = list(self.generator.samples(start, size, self.seeds))
            self.cost.seconds["generation"] += time.perf_counter() - begun
            self.cost.tokens["generation"] += usage.prompt_tokens + usage.tokens - tokens
            yield batch


def check_all(
    samples: Iterable[Sample], executor: Executor | None, judge: SemanticJudge | None = None
) -> Iterator[tuple[Sample, Fault | None, Trajectory | None]]:
    """Each sample with its first fault, or with its trajectory; in order, see :func:`check_round`."""
    seen: set[str] = set()
    source = iter(samples)
    while batch := list(itertools.islice(source, BATCH)):
        yield from check_round(batch, executor, judge or RuleJudge(), seen, Cost())


def check_round(
    batch: Sequence[Sample], executor: Executor | None, judge: SemanticJudge, seen: set[str], cost: Cost
) -> Iterator[tuple[Sample, Fault | None, Trajectory | None]]:
    """The three checks over one round of samples; the first fault of each, or its trajectory.

    A query that was verified before (letter by letter, ``seen``) is a fault of stage ``duplicate``.

    Parameters
    ----------
    executor
        Executes the calls; None for tools that nobody can call, whose execution check is left out.
    cost
        Is added to.
    """
    clock = time.perf_counter()

    def lap(stage: str) -> None:
        nonlocal clock
        now = time.perf_counter()
        cost.seconds[stage] += now - clock
        clock = now

    faults = [format_check(sample) for sample in batch]
    lap("format")
    spans: list[tuple[int, int]] = []
    calls: list[tuple[str, dict[str, Any]]] = []
    if executor is not None:
        for sample, fault in zip(batch, faults, strict=True):
            begin = len(calls)
            if fault is None:
                calls += executable_calls(sample)
            spans.append((begin, len(calls)))
        outcomes = executor.run(calls)
        results = [outcomes[begin:end] for begin, end in spans]
        faults = [fault or outcome_fault(of) for fault, of in zip(faults, results, strict=True)]
    else:
        results = [[] for _ in batch]
    lap("execution")
    cases = {
        place: Case(sample, parse_answer(sample.answer), results[place])
        for place, sample in enumerate(batch)
        if faults[place] is None
    }
    before = judge.usage.prompt_tokens + judge.usage.tokens
    for place, fault in zip(cases, judge.faults(list(cases.values())), strict=True):
        faults[place] = fault
    lap("semantic")
    cost.tokens["semantic"] += judge.usage.prompt_tokens + judge.usage.tokens - before
    for place, sample in enumerate(batch):
        fault = faults[place]
        if fault is None and sample.query in seen:
            fault = Fault("duplicate", "query asked before", sample.query)
        if fault is not None:
            yield sample, fault, None
            continue
        seen.add(sample.query)
        yield sample, None, trajectory_of(sample, results[place], executed=executor is not None)


def trajectory_of(sample: Sample, outcomes: Sequence[Outcome], executed: bool = True) -> Trajectory:
    """A verified sample as a trajectory of one step; the observation is the results as a JSON list.

    Where nothing could be executed there is no observation, and ``meta["executed"]`` is false.
    """
    calls = parse_answer(sample.answer)
    observation = msgspec.json.encode([outcome.ok for outcome in outcomes]).decode() if outcomes else ""
    meta: dict[str, Any] = {"style": sample.style, "category": sample.category, "functions": sample.functions}
    if sample.generator:
        meta["generator"] = sample.generator
    if not executed and calls:
        meta["executed"] = False
    if sample.note:
        meta["note"] = sample.note
    if sample.noisy:
        meta["noisy"] = True
    if sample.masked:
        back: Mapping[str, Any] = {"names": sample.names, "parameters": sample.parameters}
        meta |= {"masked": sample.masked, **back}
    return Trajectory(
        unique_trajectory_id=f"synthetic/{sample.index}",
        source="synthetic",
        tools=sample.tools,
        query=sample.query,
        steps=[Step(1, tool_calls=calls, next_observation=observation)],
        meta=meta,
    )
