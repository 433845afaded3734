"""What verification costs and what it buys, by the complexity of the API: the report's open question.

Errors are planted into a known share of samples, and the three checks run as on a model's samples: what the
generator knew of its queries is hidden from them. So the share of wrong samples is known before and after
every check.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from xlam_lib.errors import ProfileError
from xlam_lib.schema import Tool
from xlam_lib.synthesis.corrupt import EXPECTED, KINDS, plant
from xlam_lib.synthesis.execute import Limits
from xlam_lib.synthesis.library import LIBRARY
from xlam_lib.synthesis.pipeline import BATCH, Cost, check_round
from xlam_lib.synthesis.registry import Registry
from xlam_lib.synthesis.sampler import generate
from xlam_lib.synthesis.samples import Sample
from xlam_lib.synthesis.semantic import RuleJudge, SemanticJudge

COMPLEXITIES = ("1-2 parameters", "3-4 parameters", "5 or more parameters", "nested parameters")
CHECKS = ("format", "execution", "semantic")
PRICED = tuple(kind for kind in KINDS if kind not in ("time-out", "crash"))
"""The errors planted: all but those that cost the time limit which one chooses."""


def complexity(tool: Tool) -> str:
    """One of :data:`COMPLEXITIES`: by the number of parameters, unless one holds an object."""
    for schema in tool.parameters.values():
        inner = schema.get("items") if isinstance(schema.get("items"), dict) else schema
        if schema.get("type") == "object" or (inner and inner.get("type") == "object"):
            return COMPLEXITIES[3]
    count = len(tool.parameters)
    return COMPLEXITIES[0] if count <= 2 else COMPLEXITIES[1] if count <= 4 else COMPLEXITIES[2]


class Step(msgspec.Struct, frozen=True):
    """The state after one check, over ``asked`` samples of one complexity.

    Attributes
    ----------
    stage
        ``generation`` (before any check), ``format``, ``execution`` or ``semantic``.
    kept, wrong
        Samples that passed so far, and those of them with a planted error.
    lost
        Samples without one that this check turned away.
    seconds, tokens
        What the checks cost so far, in all.
    """

    stage: str
    asked: int
    kept: int
    wrong: int
    lost: int
    seconds: float
    tokens: int

    @property
    def wrong_share(self) -> float:
        """Wrong samples of those kept, 0 to 1."""
        return self.wrong / self.kept if self.kept else 0.0

    @property
    def milliseconds(self) -> float:
        """Of checking, for each sample asked for."""
        return 1000 * self.seconds / self.asked if self.asked else 0.0


def blind(count: int, seed: int, share: float, library: Registry, kinds: Sequence[str]) -> Iterator[Sample]:
    """Samples as from a model: a share with a planted error of one of ``kinds``, all without what they say.

    An error that finds no place in a sample leaves it as it is; errors are drawn until the share is met.
    """
    functions = library.functions
    for sample in generate(count, seed=seed, registry=library):
        rng = random.Random(f"{seed}/price/{sample.index}")
        if rng.random() < share:
            for _ in range(8):
                planted = plant(sample, rng.choice(list(kinds)), rng, functions)
                if planted.planted:
                    sample = planted
                    break
        yield msgspec.structs.replace(sample, slots=None)


def measure(
    count: int,
    *,
    share: float = 0.3,
    seed: int = 0,
    library: Registry = LIBRARY,
    judge: SemanticJudge | None = None,
    workers: int = 1,
    limits: Limits | None = None,
    kinds: Sequence[str] = PRICED,
) -> dict[str, list[Step]]:
    """Run the three checks over ``count`` samples of each complexity, with errors planted into a share.

    Parameters
    ----------
    judge
        As for :func:`~xlam_lib.synthesis.pipeline.synthesize`; by default rules, which see the text only.
    kinds
        The errors to plant.

    Returns
    -------
    For each complexity that the library has, the four states in order.

    Raises
    ------
    ProfileError
        The share is outside 0 to 1, or a kind is unknown.
    """
    if not 0 <= share <= 1:
        raise ProfileError(f"share: is {share}; give a share between 0 and 1")
    for kind in kinds:
        if kind not in EXPECTED:
            raise ProfileError(f"kinds: {kind!r} is unknown; choose among {', '.join(KINDS)}")
    judge = judge or RuleJudge()
    found = {}
    with library.open(workers, limits) as executor:
        executor.run([("", {})] * workers)  # a start is nobody's cost
        for group in COMPLEXITIES:
            part = library.subset(lambda function, group=group: complexity(function.tool) == group)
            if not any(function.asks for function in part.functions.values()):
                continue
            cost, seen = Cost(), set()
            samples = list(blind(count, seed, share, part, kinds))
            turned: dict[str, list[Sample]] = {stage: [] for stage in CHECKS}
            for first in range(0, len(samples), BATCH):
                batch = samples[first : first + BATCH]
                for sample, fault, _ in check_round(batch, executor, judge, seen, cost):
                    if fault and fault.stage in turned:  # a duplicate is not wrong
                        turned[fault.stage].append(sample)
            found[group] = _steps(samples, turned, cost)
    return found


def _steps(samples: Sequence[Sample], turned: Mapping[str, Sequence[Sample]], cost: Cost) -> list[Step]:
    wrong = sum(bool(sample.planted) for sample in samples)
    kept, seconds, tokens = len(samples), 0.0, 0
    steps = [Step("generation", kept, kept, wrong, 0, 0.0, 0)]
    for stage, away in turned.items():
        bad = sum(bool(sample.planted) for sample in away)
        kept, wrong = kept - len(away), wrong - bad
        seconds += cost.seconds[stage]
        tokens += cost.tokens[stage]
        steps.append(Step(stage, len(samples), kept, wrong, len(away) - bad, seconds, tokens))
    return steps
