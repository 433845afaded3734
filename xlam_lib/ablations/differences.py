"""Differences between arms, paired over probes and seeds, with intervals.

Two arms answer the same probes and are trained from the same seeds, so what is compared is one number for
each pair of a seed and a probe. Both are samples: other probes could have been asked, and other seeds drawn.
The bootstrap therefore draws seeds *and* probes anew (:func:`crossed_bootstrap`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xlam_lib.ablations.material import BFCL, OWN_LAYOUT, SOURCES, SYNTHETIC
from xlam_lib.ablations.running import Result
from xlam_lib.errors import ProfileError
from xlam_lib.intervals import Interval

_POWER = (1.96 + 0.84) / (
    2 * 1.96
)  # a true difference of so many interval widths is found four times of five


@dataclass(frozen=True)
class Metric:
    """What is measured of an arm's answers to a probe.

    Attributes
    ----------
    name
        Its key in :data:`METRICS`.
    probe, field
        Where it stands in a result: a field of the probe's scores, or ``valid`` for answers that were judged.
    title
        For tables and axes.
    scale
        What a value is multiplied with: 100 for a share shown in points.
    better
        1 if more is better, -1 if less is.
    """

    name: str
    probe: str
    field: str
    title: str
    scale: float = 1.0
    better: int = -1

    @property
    def unit(self) -> str:
        """What a difference is given in."""
        return "nats" if self.scale == 1.0 else "points"


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("loss, BFCL", BFCL, "loss", "loss of BFCL's official answers, nats per token"),
        Metric("loss, synthetic", SYNTHETIC, "loss", "loss of held-out synthetic answers, nats per token"),
        Metric("loss, sources", SOURCES, "loss", "loss of held-out answers of sources, nats per token"),
        Metric("exact, synthetic", SYNTHETIC, "exact", "held-out synthetic answers, to the letter", 100, 1),
        Metric("exact, sources", SOURCES, "exact", "held-out answers of sources, to the letter", 100, 1),
        Metric(
            "exact, own layout", OWN_LAYOUT, "exact", "held-out answers in own layouts, to the letter", 100, 1
        ),
        Metric("accuracy, BFCL", BFCL, "valid", "BFCL, answers judged right", 100, 1),
    )
}
LOSSES = ("loss, BFCL", "loss, synthetic", "loss, sources")
SHARES = ("accuracy, BFCL", "exact, synthetic", "exact, sources")


@dataclass(frozen=True)
class Difference:
    """An arm less the one that it is compared with, in the metric's unit, with its 95% interval.

    ``value`` is ``None`` where nothing was measured of both.
    """

    arm: str
    against: str
    metric: str
    unit: str
    value: float | None
    low: float
    high: float
    seeds: int
    probes: int
    better: int

    @property
    def clear(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.value is not None and (self.low > 0 or self.high < 0)

    @property
    def detectable(self) -> float:
        """The true difference that a run of this size would find four times of five."""
        return _POWER * (self.high - self.low)

    def sentence(self) -> str:
        """What may be said, in plain words."""
        pair = f"{self.arm} against {self.against}, {self.metric}"
        if self.value is None:
            return f"{pair}: not run."
        digits = 3 if self.unit == "nats" else 1
        shown = f"{self.value:+.{digits}f} {self.unit} [{self.low:+.{digits}f}, {self.high:+.{digits}f}]"
        if not self.clear:
            verdict = "the interval contains 0, so no difference is shown"
        else:
            verdict = f"the interval leaves 0 out: {'better' if self.value * self.better > 0 else 'worse'}"
        return f"{pair}: {shown}; {verdict}."


def crossed_bootstrap(
    values: Sequence[Sequence[float]] | np.ndarray, seed: int, n: int = 2000, level: float = 0.95
) -> Interval:
    """Percentile bootstrap interval of the mean of a table whose rows and columns are both samples.

    Each resample draws rows and columns independently with replacement and takes the mean of what they cross
    at. A single row says nothing of the spread between rows: the interval then speaks of that row alone. With
    two or three rows that spread is known badly, and the interval is rather too narrow.

    Parameters
    ----------
    values
        Shape (seeds, probes).
    seed, n, level
        As in :func:`xlam_lib.intervals.bootstrap`.

    Raises
    ------
    ProfileError
        The table is empty or not a rectangle, or ``level`` is not in (0, 1).
    """
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or not table.size or n < 1 or not 0 < level < 1:
        raise ProfileError(
            "bootstrap: needs a table of at least one seed and one probe, and a level in (0, 1)"
        )
    rng = np.random.default_rng(seed)
    rows, columns = table.shape

    def weights(size: int) -> np.ndarray:
        """How often each is drawn, as shares; shape (n, size)."""
        return rng.multinomial(size, np.full(size, 1 / size), size=n) / size

    means = np.einsum("ns,sp,np->n", weights(rows), table, weights(columns), optimize=True)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def values_of(results: Iterable[Result], arm: str, metric: Metric) -> dict[int, dict[str, float]]:
    """An arm's measured values by seed and probe, in the metric's unit."""
    found = {}
    for result in results:
        if result.arm != arm or metric.probe not in result.scores:
            continue
        scores = result.scores[metric.probe]
        values = getattr(scores, metric.field)
        if values:
            found[result.seed] = dict(
                zip(scores.ids, (metric.scale * float(value) for value in values), strict=True)
            )
    return found


def level_of(results: Sequence[Result], arm: str, metric: Metric, seed: int = 0) -> Difference:
    """An arm's own mean with its interval (``against`` is empty)."""
    table = _table(values_of(results, arm, metric))
    return _difference(arm, "", metric, table, seed)


def compare(
    results: Sequence[Result],
    arm: str,
    against: str,
    metric: Metric,
    seed: int = 0,
    among: Iterable[str] | None = None,
) -> Difference:
    """An arm less another, over the seeds that both have and the same probes.

    ``among`` are the ids of the probes to look at; by default all.
    """
    first, second = (values_of(results, name, metric) for name in (arm, against))
    wanted = None if among is None else set(among)
    paired = {
        own: {
            identity: value - second[own][identity]
            for identity, value in first[own].items()
            if identity in second[own] and (wanted is None or identity in wanted)
        }
        for own in first
        if own in second
    }
    return _difference(arm, against, metric, _table(paired), seed)


def _table(values: Mapping[int, Mapping[str, float]]) -> np.ndarray:
    """Seeds by probes, of the probes that every seed has."""
    common: set[str] = set.intersection(*map(set, values.values())) if values else set()
    return np.array([[values[own][i] for i in sorted(common)] for own in sorted(values)]).reshape(
        len(values), len(common)
    )


def _difference(arm: str, against: str, metric: Metric, table: np.ndarray, seed: int) -> Difference:
    if not table.size:
        return Difference(arm, against, metric.name, metric.unit, None, 0.0, 0.0, 0, 0, metric.better)
    low, high = crossed_bootstrap(table, seed)
    value, (seeds, probes) = float(table.mean()), table.shape
    return Difference(arm, against, metric.name, metric.unit, value, low, high, seeds, probes, metric.better)


def rows(differences: Iterable[Difference]) -> list[dict[str, Any]]:
    """Differences as the rows of ``run.json`` and of the committed results; what was not run has none."""
    return [
        {
            "arm": d.arm,
            "against": d.against,
            "metric": d.metric,
            "unit": d.unit,
            "value": round(d.value, 4),
            "low": round(d.low, 4),
            "high": round(d.high, 4),
            "seeds": d.seeds,
            "probes": d.probes,
            "better": d.better,
        }
        for d in differences
        if d.value is not None
    ]


def from_rows(rows: Iterable[Mapping[str, Any]]) -> list[Difference]:
    """The inverse of :func:`rows`."""
    return [Difference(**row) for row in rows]
