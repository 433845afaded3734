"""Two arms to try a request on: as many new examples with it as without (xLAM launch article)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from xlam_lib.diagnose.demand import Request, select
from xlam_lib.errors import ProfileError
from xlam_lib.mixture import Example, fits, make_examples
from xlam_lib.schema import Trajectory
from xlam_lib.synthesis import synthesize

SAME, ASKED = "more of the same", "what was asked for"
_SPARE = 3  # samples for each example that is wanted, to choose from


@dataclass(frozen=True)
class Arm:
    """New training examples, and the verified samples that they were made of, in the same order."""

    samples: list[Trajectory]
    examples: list[Example]


def make_arms(
    request: Request, count: int, count_tokens: Callable[[str], int], *, seed: int, style: str, limit: int
) -> dict[str, Arm]:
    """The synthesizer's samples without a request (:data:`SAME`) and with it (:data:`ASKED`).

    Both begin with other samples than a training with the same seed. Samples that are longer than
    ``limit`` tokens with their answer are passed over in both.

    Parameters
    ----------
    count
        Examples in each arm.
    count_tokens
        How many tokens a text has.
    style
        The prompts' concatenation style.

    Raises
    ------
    ProfileError
        ``count`` is not positive, or too few samples are short enough.
    """
    if count < 1:
        raise ProfileError(f"count {count}: give at least 1 example an arm")
    plain = synthesize(_SPARE * count, seed=seed + 1000).verified
    wanted = synthesize(2 * _SPARE * count, seed=seed + 1000, **request.settings()).verified
    wanted = select(wanted, request, min(_SPARE * count, len(wanted)), seed)
    return {
        name: _arm(name, samples, count, count_tokens, style, limit)
        for name, samples in ((SAME, plain), (ASKED, wanted))
    }


def _arm(
    name: str,
    samples: list[Trajectory],
    count: int,
    count_tokens: Callable[[str], int],
    style: str,
    limit: int,
) -> Arm:
    chosen: list[Trajectory] = []
    examples: list[Example] = []
    for sample in samples:
        made, over = fits(make_examples([sample], length="brief", style=style), count_tokens, limit)
        if made and not over and len(examples) < count:
            chosen.append(sample)
            examples += made
    if len(examples) < count:
        raise ProfileError(
            f"{name}: {len(examples)} of {count} examples have at most {limit} tokens; raise the limit"
        )
    return Arm(chosen, examples[:count])
