"""The book's figures, one function each: data in, a matplotlib figure out, the finding as its title.

Colours are the Okabe-Ito set, which stays readable for colour-blind readers and in grey.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#7F7F7F")
plt.rcParams.update(
    {
        "figure.dpi": 110,
        "figure.constrained_layout.use": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 11,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.labelsize": 9.5,
        "xtick.labelsize": 9,
        "ytick.labelsize": 9,
        "legend.fontsize": 9,
        "legend.frameon": False,
        "figure.facecolor": "white",
        "savefig.facecolor": "white",
    }
)


class Titled(Figure):
    """A figure that says its title where it cannot be shown: in a terminal, and as the alt text of a page."""

    def __repr__(self) -> str:
        titles = [self.get_suptitle(), *(a.get_title(loc=at) for a in self.axes for at in ("left", "center"))]
        return next((title.replace("\n", " ") for title in titles if title), super().__repr__())


def subplots(*grid: int, **options: Any) -> tuple[Any, Any]:
    """:func:`matplotlib.pyplot.subplots`, of a :class:`Titled` figure."""
    return plt.subplots(*grid, FigureClass=Titled, **options)


def stacked(
    rows: Mapping[str, Mapping[str, float]], title: str, unit: str, series: Sequence[str] | None = None
) -> Figure:
    """Horizontal stacked bars: ``rows[label][series]`` in ``unit``, each bar's total written at its end."""
    series = list(series or dict.fromkeys(name for row in rows.values() for name in row))
    labels = list(rows)
    figure, axes = subplots(
        figsize=(7.6, 1.0 + 0.25 * (len(series) > 1) + min(0.42, 9 / len(labels)) * max(len(labels), 2))
    )
    left = np.zeros(len(labels))
    for index, name in enumerate(series):
        values = np.array([rows[label].get(name, 0) for label in labels], dtype=float)
        axes.barh(labels, values, left=left, label=name, color=COLOURS[index % len(COLOURS)])
        left += values
    for place, total in enumerate(left):
        axes.text(total, place, f" {_short(total)}", va="center", fontsize=9)
    axes.set_ylim(-0.6, len(labels) - 0.4)
    axes.invert_yaxis()
    axes.set_xlabel(unit)
    axes.set_title(title)
    axes.margins(x=0.08)
    if all(float(total).is_integer() for total in left):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(series) > 1:
        figure.legend(loc="outside lower left", ncols=min(len(series), 4))
    return figure


def _short(value: float) -> str:
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def grouped(groups: Mapping[str, Mapping[str, float]], title: str, unit: str, label: str = "") -> Figure:
    """Vertical bars side by side: ``groups[series][place]`` in ``unit``."""
    places = list(dict.fromkeys(place for values in groups.values() for place in values))
    figure, axes = subplots(figsize=(7.6, 3.2))
    width = 0.8 / len(groups)
    for index, (name, values) in enumerate(groups.items()):
        at = np.arange(len(places)) + (index - (len(groups) - 1) / 2) * width
        axes.bar(at, [values.get(place, 0) for place in places], width, label=name, color=COLOURS[index])
    axes.set_xticks(np.arange(len(places)), places)
    axes.set_xlabel(label)
    axes.set_ylabel(unit)
    axes.set_title(title)
    if len(groups) > 1:
        figure.legend(loc="outside lower left", ncols=min(len(groups), 4))
    return figure


def histogram(values: Mapping[str, Sequence[float]], title: str, unit: str, bins: int = 30) -> Figure:
    """Overlaid histograms of several series on common bins."""
    figure, axes = subplots(figsize=(7.6, 3.2))
    everything = [value for series in values.values() for value in series]
    edges = np.histogram_bin_edges(everything, bins=bins)
    for index, (name, series) in enumerate(values.items()):
        axes.hist(series, list(edges), alpha=0.65, label=f"{name} ({len(series)})", color=COLOURS[index])
    axes.set_xlabel(unit)
    axes.set_ylabel("examples")
    axes.set_title(title)
    axes.legend()
    return figure


def curves(
    panels: Mapping[str, Mapping[str, tuple[Sequence[float], Sequence[float]]]],
    title: str,
    x: str = "optimizer step",
    smooth: int = 0,
) -> Figure:
    """Line panels side by side: ``panels[y label][series] = (x values, y values)``.

    ``smooth`` draws, over the faint raw line of a named series, its mean over that many points.
    """
    figure, grid = subplots(1, len(panels), figsize=(7.6, 3.1), squeeze=False)
    for axes, (y, lines) in zip(grid[0], panels.items(), strict=True):
        for index, (name, (xs, ys)) in enumerate(lines.items()):
            colour = COLOURS[index]
            if name and smooth > 1 and len(ys) > 2 * smooth:
                mean = np.convolve(ys, np.ones(smooth) / smooth, mode="valid")
                axes.plot(xs, ys, color=colour, alpha=0.25, linewidth=0.8)
                axes.plot(xs[smooth - 1 :], mean, color=colour, label=name)
            else:
                axes.plot(xs, ys, color=colour, label=name, marker="o" if len(ys) < 6 else "")
        if all(float(value).is_integer() for xs, _ in lines.values() for value in xs):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        if len(lines) > 1:
            axes.legend()
    figure.suptitle(title, fontsize=11, fontweight="bold", x=0.01, ha="left")
    return figure


def accuracy(
    scores: Mapping[str, Mapping[str, Any]], title: str, names: Mapping[str, str] | None = None
) -> Figure:
    """Accuracy by category with intervals: ``scores[model][category]`` holds ``accuracy`` and ``interval``.

    Accuracies are fractions; bars are in per cent, whiskers the 95% interval.
    """
    categories = list(dict.fromkeys(category for rates in scores.values() for category in rates))
    figure, axes = subplots(figsize=(7.6, 0.9 + 0.5 * len(categories)))
    height = 0.8 / len(scores)
    for index, (model, rates) in enumerate(scores.items()):
        at = np.arange(len(categories)) + (index - (len(scores) - 1) / 2) * height
        values = np.array([100 * rates[c].accuracy if c in rates else np.nan for c in categories])
        low = np.array([100 * rates[c].interval[0] if c in rates else np.nan for c in categories])
        high = np.array([100 * rates[c].interval[1] if c in rates else np.nan for c in categories])
        whiskers = np.maximum([values - low, high - values], 0)
        axes.barh(
            at,
            values,
            height,
            label=model,
            color=COLOURS[index],
            xerr=whiskers,
            error_kw={"lw": 0.8, "ecolor": "#444444"},
        )
    labels = [(names or {}).get(category, category) for category in categories]
    axes.set_yticks(np.arange(len(categories)), labels)
    axes.set_ylim(-0.6, len(categories) - 0.4)
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("accuracy, % (whiskers: 95% Wilson interval)")
    axes.set_title(title)
    figure.legend(loc="outside lower left", ncols=len(scores))
    return figure


def table(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Rows as an HTML table for a notebook (escaped, and with a plain-text form for terminals)."""
    import html

    columns = list(dict.fromkeys(column for row in rows for column in row))

    def show(value: Any) -> str:
        return (
            f"{value:,.2f}"
            if isinstance(value, float)
            else f"{value:,}"
            if isinstance(value, int)
            else str(value)
        )

    class Table:
        def _repr_html_(self) -> str:
            head = "".join(f"<th>{html.escape(str(column))}</th>" for column in columns)
            body = "".join(
                "<tr>" + "".join(f"<td>{html.escape(show(row.get(c, '')))}</td>" for c in columns) + "</tr>"
                for row in rows
            )
            return f'<table class="dataframe"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'

        def __repr__(self) -> str:
            lines = [columns, *([show(row.get(column, "")) for column in columns] for row in rows)]
            widths = [max(len(str(line[i])) for line in lines) for i in range(len(columns))]
            return "\n".join(
                "  ".join(str(cell).ljust(width) for cell, width in zip(line, widths, strict=True))
                for line in lines
            )

    return Table()


def heatmaps(panels: Mapping[str, Mapping[str, Mapping[str, float]]], title: str, unit: str) -> Figure:
    """Grids one below the other on common places: ``panels[name][row][column]`` in ``unit``, 0 left blank.

    Colours grow with the logarithm, so that a rare count next to a frequent one can still be seen; the
    number itself stands in each cell.
    """
    rows = list(dict.fromkeys(row for grid in panels.values() for row in grid))
    columns = list(dict.fromkeys(c for grid in panels.values() for cells in grid.values() for c in cells))
    values = {
        name: np.array([[grid.get(row, {}).get(c, 0) for c in columns] for row in rows], dtype=float)
        for name, grid in panels.items()
    }
    top = np.log1p(max(grid.max(initial=1) for grid in values.values()))
    figure, places = subplots(
        len(panels), 1, figsize=(7.6, 1.7 + len(panels) * (0.5 + 0.27 * len(rows))), sharex=True,
        squeeze=False,
    )  # fmt: skip
    for axes, (name, grid) in zip(places[:, 0], values.items(), strict=True):
        axes.imshow(np.log1p(grid), cmap="Blues", vmin=0, vmax=1.25 * top, aspect="auto")
        for (y, x), value in np.ndenumerate(grid):
            if value:
                ink = "white" if np.log1p(value) > 0.8 * top else "black"
                axes.text(x, y, f"{value:g}", ha="center", va="center", fontsize=8, color=ink)
        axes.set_yticks(np.arange(len(rows)), rows)
        axes.set_xticks(np.arange(len(columns)), columns, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_xticks(np.arange(len(columns) - 1) + 0.5, minor=True)
        axes.set_yticks(np.arange(len(rows) - 1) + 0.5, minor=True)
        axes.grid(which="minor", color="#DDDDDD", linewidth=0.6)
        axes.tick_params(which="both", length=0)
        axes.spines[:].set_visible(False)
        if len(panels) > 1:
            axes.set_title(name, fontsize=9.5, fontweight="normal")
    places[-1, 0].set_xlabel(unit)
    figure.suptitle(title, fontsize=11, fontweight="bold", x=0.01, ha="left")
    return figure


def rates(series: Mapping[str, Mapping[str, tuple[float, float, float]]], title: str, unit: str) -> Figure:
    """Dots with whiskers: ``series[name][place] = (rate, low, high)``, fractions drawn in per cent."""
    places = list(dict.fromkeys(place for rates in series.values() for place in rates))
    figure, axes = subplots(figsize=(7.6, 1.1 + 0.34 * max(len(places), 2)))
    for index, (name, found) in enumerate(series.items()):
        shift = 0.26 * (index - (len(series) - 1) / 2)
        at = [places.index(place) + shift for place in found]
        value, low, high = 100 * np.array(list(found.values()), dtype=float).reshape(-1, 3).T
        axes.errorbar(
            value, at, xerr=np.maximum([value - low, high - value], 0), fmt="o", markersize=5, capsize=2.5,
            linewidth=1.2, color=COLOURS[index % len(COLOURS)], label=name, clip_on=False,
        )  # fmt: skip
    axes.set_yticks(np.arange(len(places)), places)
    axes.set_ylim(len(places) - 0.4, -0.6)
    axes.set_xlim(0, 100)
    axes.grid(axis="x", color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel(unit)
    axes.set_title(title)
    if len(series) > 1:
        figure.legend(loc="outside lower left", ncols=len(series))
    return figure


def strips(
    rows: Mapping[str, Sequence[tuple[float, str]]],
    title: str,
    unit: str,
    series: Sequence[str] | None = None,
) -> Figure:
    """Horizontal bars of consecutive pieces: ``rows[label] = [(length in unit, series), ...]``, in order."""
    series = list(series or dict.fromkeys(name for pieces in rows.values() for _, name in pieces))
    figure, axes = subplots(figsize=(7.6, 1.25 + 0.34 * max(len(rows), 2)))
    for place, pieces in enumerate(rows.values()):
        left = 0.0
        for length, name in pieces:
            colour = COLOURS[series.index(name) % len(COLOURS)]
            axes.barh(place, length, left=left, color=colour, edgecolor="white", linewidth=0.6)
            left += length
    axes.set_yticks(range(len(rows)), list(rows))
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel(unit)
    axes.set_title(title)
    for index, name in enumerate(series):
        axes.barh([0], [0], color=COLOURS[index % len(COLOURS)], label=name)
    figure.legend(loc="outside lower left", ncols=len(series))
    return figure


def scatter(
    series: Mapping[str, Sequence[tuple[float, float, str]]],
    title: str,
    x: str,
    y: str,
    logarithmic: str = "",
    diagonal: bool = False,
) -> Figure:
    """Points, with a label if it is not empty: ``series[name] = [(x, y, label), ...]``.

    ``logarithmic`` names the axes that are (``x``, ``y`` or ``xy``); ``diagonal`` draws the line on which
    both are equal.
    """
    figure, axes = subplots(figsize=(7.6, 3.6))
    for index, (name, points) in enumerate(series.items()):
        xs, ys, labels = zip(*points, strict=True) if points else ((), (), ())
        axes.scatter(xs, ys, s=36, color=COLOURS[index % len(COLOURS)], label=name, zorder=3)
        for place in zip(xs, ys, labels, strict=True):
            offset = (6, -11 if index % 2 else 3)  # points of two series often lie side by side
            axes.annotate(place[2], place[:2], xytext=offset, textcoords="offset points", fontsize=8)
    if "x" in logarithmic:
        axes.set_xscale("log")
    if "y" in logarithmic:
        axes.set_yscale("log")
    if diagonal:
        values = [value for points in series.values() for point in points for value in point[:2]]
        axes.plot(
            [min(values), max(values)], [min(values), max(values)], color="#999999", linewidth=1, zorder=1
        )
    axes.margins(x=0.16, y=0.12)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_title(title)
    if len(series) > 1:
        axes.legend()
    return figure


def portions(
    rows: Mapping[str, Mapping[str, float]], title: str, unit: str, series: Sequence[str] | None = None
) -> Figure:
    """Horizontal bars of full length, cut by ``rows[label][series]``; each row's total stands at its end.

    For rows of very different totals, whose parts :func:`stacked` would make invisible. A row of nothing
    has no bar.
    """
    series = list(series or dict.fromkeys(name for row in rows.values() for name in row))
    labels = list(rows)
    totals = np.array([sum(rows[label].get(name, 0) for name in series) for label in labels], dtype=float)
    figure, axes = subplots(figsize=(7.6, 1.25 + 0.3 * max(len(labels), 2)))
    left = np.zeros(len(labels))
    for index, name in enumerate(series):
        values = np.array([rows[label].get(name, 0) for label in labels], dtype=float)
        shares = 100 * np.divide(values, totals, out=np.zeros_like(values), where=totals > 0)
        axes.barh(labels, shares, left=left, label=name, color=COLOURS[index % len(COLOURS)])
        left += shares
    for place, total in enumerate(totals):
        axes.text(101, place, f"{total:,.0f}", va="center", fontsize=9)
    axes.set_xlim(0, 100)
    axes.set_ylim(-0.6, len(labels) - 0.4)
    axes.invert_yaxis()
    axes.set_xlabel(f"share, % (at the end of each bar: {unit})")
    axes.set_title(title)
    # About 100 characters fit below the figure; a wider legend would widen the page.
    columns = max(1, 100 // (max(map(len, series)) + 6))
    figure.legend(loc="outside lower left", ncols=min(len(series), columns))
    return figure


def trends(
    panels: Mapping[str, Mapping[str, Sequence[tuple[float, float, float, float]]]],
    title: str,
    x: str,
    logarithmic: bool = True,
    hollow: Sequence[str] = (),
) -> Figure:
    """Panels of points with intervals along a scale: ``panels[y][series] = [(x, value, low, high), ...]``.

    A series' points are joined in their order of ``x``. Those of the series in ``hollow`` are drawn as empty
    squares and not joined: figures that others measured, each of another model.
    """
    figure, grid = subplots(1, len(panels), figsize=(7.6, 3.3), squeeze=False)
    names = list(dict.fromkeys(name for series in panels.values() for name in series))
    drawn = {}
    for axes, (y, series) in zip(grid[0], panels.items(), strict=True):
        for name, points in series.items():
            if not points:
                continue
            at, value, low, high = np.array(sorted(points), dtype=float).T
            foreign = name in hollow
            drawn[name] = axes.errorbar(
                at, value, yerr=np.maximum([value - low, high - value], 0), label=name,
                fmt="s" if foreign else "o-", markersize=5, capsize=2.5, linewidth=1.2,
                markerfacecolor="white" if foreign else None, color=COLOURS[names.index(name) % len(COLOURS)],
            )  # fmt: skip
        if logarithmic:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter("{x:g}")
            places = sorted({point[0] for points in series.values() for point in points})
            if len(places) <= 4:
                axes.set_xticks(places)
                axes.xaxis.set_minor_locator(NullLocator())
        axes.margins(x=0.1)
        axes.grid(axis="y", color="#DDDDDD", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
    if len(names) > 1:
        figure.legend(list(drawn.values()), list(drawn), loc="outside lower left", ncols=min(len(names), 3))
    figure.suptitle(title, fontsize=11, fontweight="bold", x=0.01, ha="left")
    return figure
