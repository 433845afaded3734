"""The figure of an ablation: published points above, our differences with their intervals below them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from xlam_lib.ablations.differences import Difference
from xlam_lib.plots import COLOURS, Titled

_AXES = {
    "nats": "loss saved,\nnats per answer token",
    "points": "gain,\npercentage points",
}


def differences(
    found: Sequence[Difference], title: str, published: Sequence[tuple[str, float]] = ()
) -> Figure:
    """Differences as dots with 95% intervals, a panel for losses and one for shares; right is better.

    A loss is drawn as what is saved, so that all panels read the same way; a probe has one colour in all of
    them. ``published`` are (label, points)
    of other models on other benchmarks, in a panel of their own above; they have no interval.
    """
    ours: Mapping[str, list[Difference]] = {
        unit: [d for d in found if d.unit == unit and d.value is not None] for unit in _AXES
    }
    panels = [unit for unit in _AXES if ours[unit]]
    pairs = list(dict.fromkeys((d.arm, d.against) for d in found if d.value is not None))
    probes = list(dict.fromkeys(_probe(d) for d in found))
    heights = [0.34 * len(published) + 0.5] * bool(published) + [0.5 * max(len(pairs), 1) + 0.6]
    figure = plt.figure(FigureClass=Titled, figsize=(7.6, sum(heights) + 1.7))
    grid = figure.add_gridspec(len(heights), max(len(panels), 1), height_ratios=heights)
    if published:
        axes = figure.add_subplot(grid[0, :])
        labels, points = zip(*published, strict=True)
        axes.barh(labels, points, color=COLOURS[7], height=0.6)
        axes.axvline(0, color="#444444", linewidth=0.8)
        axes.invert_yaxis()
        for place, value in enumerate(points):
            axes.annotate(
                f" {value:+.1f} ",
                (value, place),
                va="center",
                ha="left" if value > 0 else "right",
                fontsize=8,
            )
        axes.margins(x=0.15)
        axes.set_xlabel("published: points of accuracy or success, one run an arm, no interval", fontsize=9)
    for column, unit in enumerate(panels):
        axes = figure.add_subplot(grid[-1, column])
        first = {d.metric: probes.index(_probe(d)) for d in ours[unit]}
        metrics = sorted(first, key=lambda metric: first[metric])
        for index, metric in enumerate(metrics):
            chosen = [d for d in ours[unit] if d.metric == metric]
            shift = 0.22 * (index - (len(metrics) - 1) / 2)
            at = [pairs.index((d.arm, d.against)) + shift for d in chosen]
            value = np.array([d.better * (d.value or 0.0) for d in chosen])
            ends = np.array([sorted((d.better * d.low, d.better * d.high)) for d in chosen])
            whiskers = np.maximum([value - ends[:, 0], ends[:, 1] - value], 0)
            axes.errorbar(
                value, at, xerr=whiskers, fmt="o", markersize=5, capsize=2.5, linewidth=1.2,
                color=COLOURS[first[metric] % len(COLOURS)], label=metric,
            )  # fmt: skip
        axes.axvline(0, color="#444444", linewidth=0.8)
        labels = [f"{arm} - {against}" for arm, against in pairs] if column == 0 else [""] * len(pairs)
        axes.set_yticks(range(len(pairs)), labels)
        axes.set_ylim(len(pairs) - 0.4, -0.6)
        axes.grid(axis="x", color="#DDDDDD", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.set_xlabel(f"ours: {_AXES[unit]}", fontsize=9)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.6 / heights[-1] - 0.12), fontsize=8)
    figure.suptitle(title, fontsize=11, fontweight="bold", x=0.01, ha="left", wrap=True)
    return figure


def _probe(difference: Difference) -> str:
    """What was asked, as in ``loss, BFCL``."""
    return difference.metric.partition(", ")[2]
