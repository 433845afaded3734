"""From samples to verified trajectories: format check -> execution check -> semantic check.

Samples stream through in batches; of a batch the calls run in the pool in one round. Everything that
was asked for is accounted for: asked = failed at each check + duplicates + verified, per style.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from xlam_lib.records import write_json, write_jsonl
from xlam_lib.schema import Reject, Step, Trajectory
from xlam_lib.synthesis.checks import (
    Fault,
    executable_calls,
    format_check,
    outcome_fault,
    parse_answer,
)
from xlam_lib.synthesis.execute import DEFAULT_REGISTRY, Limits, Outcome, Pool
from xlam_lib.synthesis.sampler import generate
from xlam_lib.synthesis.samples import STYLES, Sample
from xlam_lib.synthesis.semantic import semantic_check

BATCH = 512


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


class Result(msgspec.Struct):
    """What a synthesis gave.

    Attributes
    ----------
    funnel
        The counts.
    verified
        The trajectories; empty when they were streamed to a folder.
    rejected
        Everything turned away, with stage, reason and the sample.
    paths
        The files written, by name.
    """

    funnel: Funnel
    verified: list[Trajectory]
    rejected: list[Reject]
    paths: dict[str, Path] = {}


def synthesize(
    count: int,
    out: str | Path | None = None,
    *,
    seed: int = 0,
    workers: int = 1,
    limits: Limits | None = None,
    samples: Iterable[Sample] | None = None,
    registry: str = DEFAULT_REGISTRY,
    registry_path: tuple[str, ...] = (),
    **settings: Any,
) -> Result:
    """Generate and verify ``count`` samples; the same bytes whatever the number of workers.

    Parameters
    ----------
    count
        Samples asked for; what is verified is at most that.
    out
        Folder for ``verified.jsonl``, ``rejected.jsonl`` and ``funnel.json``; None keeps all in memory.
    seed, settings
        See :func:`xlam_lib.synthesis.generate` for the settings.
    workers, limits
        Processes that run the calls, and their limits.
    samples
        Samples from elsewhere (a language model's answers, say) instead of the template generator's;
        the first ``count`` of them are checked.
    registry, registry_path
        Where the workers find the executable functions, see :class:`~xlam_lib.synthesis.execute.Pool`.

    Raises
    ------
    ProfileError
        A setting is out of range.
    ArtifactError
        The folder cannot be written.
    """
    counts = {style: Counts() for style in STYLES}
    reasons: dict[str, dict[str, int]] = {}
    rejected: list[Reject] = []
    total = Counts()

    def verified(pool: Pool) -> Iterator[Trajectory]:
        source = (
            generate(count, seed=seed, **settings) if samples is None else itertools.islice(samples, count)
        )
        for sample, fault, record in check_all(source, pool):
            stage = fault.stage if fault else "verified"
            counts.setdefault(sample.style, Counts()).add(stage)
            total.add(stage)
            if fault:
                told = reasons.setdefault(fault.stage, {})
                told[fault.reason] = told.get(fault.reason, 0) + 1
                rejected.append(
                    Reject("synthetic", sample.index, fault.reason, fault.detail, fault.stage, sample)
                )
            elif record is not None:
                yield record

    with Pool(workers, registry=registry, limits=limits, path=registry_path) as pool:
        if out is None:
            kept = list(verified(pool))
            paths: dict[str, Path] = {}
        else:
            kept, folder = [], Path(out)
            paths = {name: folder / name for name in ("verified.jsonl", "rejected.jsonl", "funnel.json")}
            write_jsonl(paths["verified.jsonl"], verified(pool))
            write_jsonl(paths["rejected.jsonl"], rejected)
    funnel = Funnel(
        counts, total, {stage: dict(sorted(told.items())) for stage, told in sorted(reasons.items())}
    )
    if out is not None:
        write_json(paths["funnel.json"], {"rows": funnel.rows(), "reasons": funnel.reasons})
    return Result(funnel, kept, rejected, paths)


def check_all(
    samples: Iterable[Sample], pool: Pool
) -> Iterator[tuple[Sample, Fault | None, Trajectory | None]]:
    """Each sample with its first fault, or with its trajectory; in order.

    A query that was verified before (letter by letter) is a fault of stage ``duplicate``.
    """
    seen: set[str] = set()
    source = iter(samples)
    while batch := list(itertools.islice(source, BATCH)):
        faults = [format_check(sample) for sample in batch]
        spans: list[tuple[int, int]] = []
        calls: list[tuple[str, dict[str, Any]]] = []
        for sample, fault in zip(batch, faults, strict=True):
            begin = len(calls)
            if fault is None:
                calls += executable_calls(sample)
            spans.append((begin, len(calls)))
        outcomes = pool.run(calls)
        for sample, fault, (begin, end) in zip(batch, faults, spans, strict=True):
            fault = fault or outcome_fault(outcomes[begin:end]) or semantic_check(sample)
            if fault is None and sample.query in seen:
                fault = Fault("duplicate", "query asked before", sample.query)
            if fault is not None:
                yield sample, fault, None
                continue
            seen.add(sample.query)
            yield sample, None, trajectory_of(sample, outcomes[begin:end])


def trajectory_of(sample: Sample, outcomes: list[Outcome]) -> Trajectory:
    """A verified sample as a trajectory of one step; the observation is the results as a JSON list."""
    calls = parse_answer(sample.answer)
    observation = msgspec.json.encode([outcome.ok for outcome in outcomes]).decode() if calls else ""
    meta: dict[str, Any] = {"style": sample.style, "category": sample.category, "functions": sample.functions}
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
