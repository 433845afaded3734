"""Figures: what is drawn is what was given, and tables escape what they show."""

from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

import pytest
from matplotlib import pyplot

from xlam_lib import plots
from xlam_lib.evaluate.bfcl import Rate


@pytest.fixture(autouse=True)
def close():
    yield
    pyplot.close("all")


def widths(figure):
    return [patch.get_width() for patch in figure.axes[0].patches]


def test_stacked_bars_hold_the_values_and_state_the_finding():
    figure = plots.stacked({"a": {"x": 3, "y": 1}, "b": {"y": 2}}, "a has 4", "records")
    assert widths(figure) == [3, 0, 1, 2]
    assert figure.axes[0].get_title(loc="left") == "a has 4" and figure.axes[0].get_xlabel() == "records"
    assert [text.get_text().strip() for text in figure.axes[0].texts] == ["4", "2"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["x", "y"]
    assert not plots.stacked({"a": {"x": 3}}, "t", "u").legends


def test_accuracy_shows_per_cent_and_intervals():
    rate = Rate(count=10, correct=5, missing=0, accuracy=0.5, interval=(0.24, 0.76))
    figure = plots.accuracy({"m": {"c": rate}}, "t")
    assert widths(figure) == [50]
    (segment,) = figure.axes[0].collections[0].get_segments()
    assert segment[:, 0].tolist() == pytest.approx([24, 76])


def test_curves_grouped_and_histogram_draw_every_series():
    figure = plots.curves(
        {"loss": {"train": (range(40), range(40)), "held": ([0, 39], [1, 2])}}, "t", smooth=4
    )
    assert len(figure.axes[0].lines) == 3  # faint, smooth, held out
    assert figure.axes[0].lines[1].get_ydata()[0] == pytest.approx(1.5)
    assert len(plots.grouped({"a": {"1": 1, "2": 2}, "b": {"1": 3}}, "t", "u").axes[0].patches) == 4
    assert plots.histogram({"a": [1, 2, 3], "b": [4]}, "t", "u").axes[0].get_legend() is not None


def test_tables_escape_html_and_align_text():
    table = plots.table([{"name": "<b>", "n": 1234}, {"name": "x", "more": 0.5}])
    assert (
        "&lt;b&gt;" in table._repr_html_()
        and "1,234" in table._repr_html_()
        and "0.50" in table._repr_html_()
    )
    lines = repr(table).splitlines()
    assert len({len(line) for line in lines}) == 1 and len(lines) == 3


def test_heatmaps_write_each_count_into_its_cell():
    grids = {"before": {"x": {"a": 3, "b": 120}, "y": {"b": 1}}, "after": {"y": {"a": 2}}}
    figure = plots.heatmaps(grids, "found", "source")
    before, after = figure.axes
    assert [text.get_text() for text in before.texts] == ["3", "120", "1"]
    assert [(text.get_text(), text.get_position()) for text in after.texts] == [("2", (0, 1))]
    assert [label.get_text() for label in after.get_xticklabels()] == ["a", "b"]
    assert after.get_images()[0].get_clim() == before.get_images()[0].get_clim()
    assert not plots.heatmaps({"none": {"x": {"a": 0}}}, "t", "u").axes[0].texts


def test_rates_are_dots_in_per_cent_with_their_intervals():
    figure = plots.rates({"recall": {"x": (0.5, 0.25, 1.0), "y": (1.0, 0.9, 1.0)}}, "t", "%")
    axes = figure.axes[0]
    assert axes.lines[0].get_xdata().tolist() == [50, 100] and not figure.legends
    whiskers = axes.collections[0].get_segments()
    assert [segment[:, 0].tolist() for segment in whiskers] == [[25, 100], [pytest.approx(90), 100]]
    assert plots.rates({"a": {"x": (0, 0, 1)}, "b": {}}, "t", "%").legends


def test_portions_are_shares_of_each_row_and_state_its_total():
    rows = {"large": {"kept": 3000, "dropped": 1000}, "small": {"kept": 1}, "none": {}}
    figure = plots.portions(rows, "t", "records", ["dropped", "kept"])
    assert widths(figure) == [25, 0, 0, 75, 100, 0]
    assert [text.get_text() for text in figure.axes[0].texts] == ["4,000", "1", "0"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["dropped", "kept"]


def test_strips_lay_their_pieces_end_to_end_in_the_series_colour():
    figure = plots.strips({"one": [(3, "a"), (2, "b")], "two": [(4, "a")]}, "t", "tokens", ["a", "b"])
    pieces = [patch for patch in figure.axes[0].patches if patch.get_width()]
    assert [(piece.get_x(), piece.get_width()) for piece in pieces] == [(0, 3), (3, 2), (0, 4)]
    assert pieces[0].get_facecolor() == pieces[2].get_facecolor() != pieces[1].get_facecolor()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["one", "two"]


def test_scatter_places_and_labels_its_points():
    series = {"a": [(1, 2, "first"), (10, 3, "")], "b": [(100, 1, "last")]}
    figure = plots.scatter(series, "t", "x", "y", logarithmic="x", diagonal=True)
    axes = figure.axes[0]
    assert [points.get_offsets().tolist() for points in axes.collections] == [[[1, 2], [10, 3]], [[100, 1]]]
    assert [text.get_text() for text in axes.texts] == ["first", "", "last"]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "linear")
    assert list(axes.lines[0].get_xdata()) == [1, 100]
    assert not plots.scatter({"a": [(1, 1, "")]}, "t", "x", "y").axes[0].get_legend()


def test_trends_join_our_points_with_intervals_and_leave_published_ones_hollow():
    ours, theirs = [(10, 2.0, 1.5, 2.5), (1, 3.0, 3.0, 3.5)], [(100, 1.0, 0.5, 1.0)]
    figure = plots.trends(
        {"loss": {"ours": ours, "theirs": theirs}, "share": {"ours": []}}, "t", "n", hollow=["theirs"]
    )
    first, second = figure.axes
    own, foreign = (container.lines[0] for container in first.containers)
    assert own.get_xdata().tolist() == [1, 10] and own.get_ydata().tolist() == [3, 2]
    assert own.get_linestyle() == "-" and foreign.get_linestyle() == "None"
    assert foreign.get_marker() == "s" and foreign.get_markerfacecolor() == "white"
    assert [s[:, 1].tolist() for s in first.containers[0].lines[2][0].get_segments()] == [
        [3, 3.5],
        [1.5, 2.5],
    ]
    assert first.get_xscale() == "log" and not second.containers
    assert [label.get_text() for label in first.get_xticklabels()] == ["1", "10", "100"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["ours", "theirs"]
    alone = plots.trends({"loss": {"ours": ours}}, "t", "n", logarithmic=False)
    assert alone.axes[0].get_xscale() == "linear" and not alone.legends
