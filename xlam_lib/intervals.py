"""Confidence intervals for success rates.

Two kinds, for two uses. A single category can be small or end at zero successes, where resampling
says ``[0, 0]`` as if nothing were uncertain: it takes Wilson's interval. A mean over categories has
no such formula: it takes the stratified bootstrap, which resamples the questions within each category.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from xlam_lib.errors import ProfileError

Interval = tuple[float, float]


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ProfileError(f"level: {level} is not between 0 and 1; 0.95 is usual")


def wilson(successes: int, n: int, level: float = 0.95) -> Interval:
    """Wilson's score interval of a rate, as fractions; sound for small ``n`` and for 0 or ``n`` successes.

    Raises
    ------
    ProfileError
        ``n`` is not positive, ``successes`` is not in 0..n, or ``level`` is not in (0, 1).
    """
    _check_level(level)
    if n <= 0 or not 0 <= successes <= n:
        raise ProfileError(f"wilson: {successes} successes of {n} is no rate; 0 <= successes <= n, n > 0")
    z = NormalDist().inv_cdf(0.5 + level / 2)
    rate, square = successes / n, z * z
    centre = (rate + square / (2 * n)) / (1 + square / n)
    half = z / (1 + square / n) * (rate * (1 - rate) / n + square / (4 * n * n)) ** 0.5
    # The end points at 0 and n successes are exactly 0 and 1; rounding must not move them.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return low, high


def _means(values: Sequence[float], rng: np.random.Generator, n: int) -> np.ndarray:
    """The means of ``n`` resamples of ``values``, shape ``(n,)``."""
    data = np.asarray(values, dtype=np.float64)
    if data.ndim != 1 or not data.size:
        raise ProfileError("bootstrap: needs a flat, non-empty list of numbers")
    return data[rng.integers(0, data.size, size=(n, data.size))].mean(axis=1)


def bootstrap(values: Sequence[float], seed: int, n: int = 2000, level: float = 0.95) -> Interval:
    """Percentile bootstrap interval of the mean of ``values``.

    Parameters
    ----------
    values
        One number a question (0/1 verdicts, or rewards), at least one.
    seed
        The same seed gives the same interval.
    n
        Resamples.
    level
        Coverage; 0.95 takes the percentiles 2.5 and 97.5.
    """
    return stratified_bootstrap([values], seed, n=n, level=level)


def stratified_bootstrap(
    groups: Sequence[Sequence[float]],
    seed: int,
    weights: Sequence[float] | None = None,
    n: int = 2000,
    level: float = 0.95,
) -> Interval:
    """Percentile bootstrap interval of a weighted sum of group means, resampling within each group.

    A group whose values are all alike adds no spread: with many such small groups the interval is
    too narrow, so look at the groups' own Wilson intervals too.

    Parameters
    ----------
    groups
        The values of each group, none empty.
    seed, n, level
        As in :func:`bootstrap`.
    weights
        One a group; by default all equal, summing to 1, which gives the plain mean of the groups' means.

    Raises
    ------
    ProfileError
        No group, an empty group, or weights that do not match the groups.
    """
    _check_level(level)
    if not groups or n < 1:
        raise ProfileError("bootstrap: needs at least one group of values and one resample")
    shares = [1 / len(groups)] * len(groups) if weights is None else list(weights)
    if len(shares) != len(groups):
        raise ProfileError(f"bootstrap: {len(shares)} weights for {len(groups)} groups; give one a group")
    rng = np.random.default_rng(seed)
    total = np.zeros(n)
    for share, group in zip(shares, groups, strict=True):
        total += share * _means(group, rng, n)
    low, high = np.quantile(total, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
