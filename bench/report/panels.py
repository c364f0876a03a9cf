"""Draw one panel with matplotlib: lines over an axis, bars from zero, dots on a logarithmic axis, a heat map.

Only the axes are drawn here, with the labels of their ticks and what stands in the cells of a heat map; all
other text is the sheet's.
"""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from bench.report.charts import Bar, BarChart, Chart, ChartSide, HeatCell, HeatMap, Line, Points
from bench.report.style import DASHES, FAINT, INK, PALETTE, QUIET, SHADE, TEXT_GROUND, VOID_DASHES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LETTERS = 55
"""Letters of ticks' labels for which there is room below a panel."""
_FEWEST_TICKS = 2
_DARK = 0.55
"""Share of a heat map's span below which its colours are dark."""
_PALE = 0.3
"""Opacity of a line that does not count, and whose dashes mean something else."""
_PERCENTS = (50.0, 90.0, 99.0, 99.9, 99.99, 99.999)


def draw_chart(axes: "Axes", chart: Chart, sides: Sequence[ChartSide]) -> None:
    """Draw the lines of `chart`: single trials thin, the median bold, what does not count dotted or pale."""
    if chart.x in ("percentile", "log"):
        axes.set_xscale("log")
    if chart.y == "log":
        axes.set_yscale("log")
    for line in chart.lines:
        if not chart.is_scattered:
            _draw_line(axes, chart.select_points(line), line, sides[line.side], chart.is_step)
        if chart.is_sparse:
            _draw_points(axes, line, _colour(sides[line.side].colour))
    axes.autoscale_view()
    _set_ranges(axes, chart)
    for mark in chart.marks:
        colour = INK if mark.side is None else PALETTE[sides[mark.side].colour % len(PALETTE)]
        if mark.x is not None:
            axes.axvline(mark.x, color=colour, lw=1.1, ls=(0, (2, 2)), zorder=1)
        if mark.y is not None:
            axes.axhline(mark.y, color=colour, lw=1.1, ls=(0, (4, 3)), zorder=2)
    if chart.shaded_until:
        axes.axvspan(0, chart.shaded_until, color=SHADE, lw=0, zorder=0)
    axes.set_xlabel(chart.x_label, size=8.5, labelpad=2)
    axes.tick_params(labelsize=8.5)
    axes.grid(axis="both" if chart.y == "log" else "y", color=FAINT, lw=0.8)
    axes.set_axisbelow(True)


def draw_bars(axes: "Axes", chart: BarChart) -> None:
    """Draw the magnitudes of `chart`, the first at the top, each with its least and greatest value."""
    for place, drawn in enumerate(chart.drawn):
        bar, end = drawn.bar, drawn.end
        if end is not None:
            (_draw_dot if chart.ticks else _draw_bar)(axes, place, end, bar)
        if drawn.low is not None and drawn.high is not None and drawn.low < drawn.high and not bar.is_void:
            colour, width = (_colour(bar.colour), 2.4) if chart.ticks else (INK, 1.1)
            axes.plot([drawn.low, drawn.high], [place, place], color=colour, lw=width, solid_capstyle="butt")
    axes.set_xlim(0, 100)
    axes.set_ylim(len(chart.rows) - 0.5, -0.5)
    axes.set_yticks([])
    axes.set_xticks([at for at, _ in chart.ticks], [label for _, label in chart.ticks], size=8)
    axes.tick_params(axis="x", length=0, pad=3)
    axes.grid(axis="x", color=FAINT, lw=0.8)
    axes.set_axisbelow(True)
    axes.spines[["bottom", "right", "top"]].set_visible(False)
    axes.spines["left"].set_visible(not chart.ticks)


def draw_heat_map(axes: "Axes", heat: HeatMap) -> None:
    """Draw a coloured cell for each value, the figure in it; what is void is hatched."""
    shares = [
        [math.nan if cell.value is None else heat.heats[cell.value] for cell in cells]
        for _, cells in heat.rows
    ]
    axes.imshow(shares, cmap="cividis", aspect="auto", vmin=0, vmax=1)
    for row, (_, cells) in enumerate(heat.rows):
        for column, cell in enumerate(cells):
            _draw_cell(axes, column, row, cell, shares[row][column])
    axes.set_xticks(range(len(heat.columns)), heat.columns, size=8.5)
    axes.set_yticks(range(len(heat.rows)), [name for name, _ in heat.rows], size=8.5)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


def list_mark_lines(chart: Chart) -> Iterator[str]:
    """Yield the legend of what is marked in a chart, each kind of mark once."""
    if described := chart.describe_lines():
        yield "; ".join(described)
    labels = list(dict.fromkeys(mark.label for mark in chart.marks))
    for label in labels:
        marks = [mark for mark in chart.marks if mark.label == label]
        ats = list(
            dict.fromkeys(mark.at for mark in sorted(marks, key=lambda mark: mark.x or 0.0) if mark.at)
        )
        moments = f" after {' to '.join((ats[0], ats[-1]) if len(ats) > 1 else ats)}" if ats else ""
        yield f"{'vertical' if marks[0].x is not None else 'dashed'} line: {label}{moments}"
    if chart.shaded_until:
        yield "grey: warm-up"


def _draw_line(axes: "Axes", points: Points, line: Line, side: ChartSide, is_step: bool) -> None:
    if not points:
        return
    x, y = zip(*points, strict=True)
    is_bold = line.trial is None and not line.is_void
    axes.plot(
        x, y, color=_colour(side.colour), lw=2.2 if is_bold else 0.8,
        alpha=1.0 if is_bold else _PALE if line.is_pale else 0.5,
        ls=VOID_DASHES if line.is_dotted else DASHES[line.dashes % len(DASHES)],
        zorder=4 if is_bold else 3, drawstyle="steps-post" if is_step else "default",
    )  # fmt: skip


def _draw_points(axes: "Axes", line: Line, colour: str) -> None:
    """Draw a dot and a range for each point, and a cross on the axis where a point has no figure."""
    for x, y in line.points:
        if math.isnan(y):
            axes.plot([x], [0], "x", ms=8, color=colour, clip_on=False)
        else:
            axes.plot([x], [y], "o", ms=5, color=colour, zorder=5)
    for x, low, high in line.ranges:
        axes.plot([x, x], [low, high], color=colour, lw=1, zorder=4)
    for x, y in line.rings:
        axes.plot([x], [y], "o", ms=11, mfc="none", color=INK, zorder=6, clip_on=False)


def _set_ranges(axes: "Axes", chart: Chart) -> None:
    xs = [x for line in chart.lines for x, _ in line.points]
    ys = [y for line in chart.lines for _, y in line.points if math.isfinite(y)]
    ys += [high for line in chart.lines for _, _, high in line.ranges]
    levels = [mark.y for mark in chart.marks if mark.y is not None]
    if chart.x == "percentile":
        rarest = max([100.0, *xs])
        ticks = [percent for percent in _PERCENTS if 1 / (1 - percent / 100) <= rarest]
        axes.set_xlim(1, rarest * 1.1)
        axes.set_xticks([1 / (1 - percent / 100) for percent in ticks], [f"{percent:g}" for percent in ticks])
        axes.set_xticks([], minor=True)
    elif chart.ticks:
        _set_ticks(axes, chart.ticks)
    elif xs and chart.x != "log":
        axes.set_xlim(min(0.0, *xs), max(*xs, 1e-9))
    if chart.y == "linear":
        axes.set_ylim(min([0.0, *ys]), max([*ys, *levels, 1e-9]) * 1.06)
    if chart.y == "log":
        _set_log_ticks(axes)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    axes.yaxis.set_minor_formatter(lambda value, _: "")
    if not ys and chart.is_sparse:
        axes.set_yticks([])  # an axis without a figure on it has no scale
    if chart.x in ("log", "linear", "seconds") and not chart.ticks:
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")
        axes.xaxis.set_minor_formatter(lambda value, _: "")


def _set_log_ticks(axes: "Axes") -> None:
    """Have numbers on a logarithmic axis: powers of ten, or their doubles and fives, or whatever is round."""
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415

    low, high = axes.get_ylim()
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1,), (1, 2, 5)):
        found = [factor * 10.0**power for power in powers for factor in factors]
        found = [value for value in found if low <= value <= high]
        if len(found) >= _FEWEST_TICKS:
            break
    else:
        found = [value for value in MaxNLocator(4).tick_values(low, high) if low <= value <= high]
    axes.set_yticks(found)


def _set_ticks(axes: "Axes", ticks: Sequence[tuple[float, str]]) -> None:
    """Set the ticks of the x axis, and the labels of those that do not cover the one before."""
    placed, labels, free = sorted(ticks), [], -math.inf
    (first, _), (last, _) = placed[0], placed[-1]
    span = (last - first) or 1.0
    for at, label in placed:
        middle, half = _LETTERS * (at - first) / span, (len(label) + 1) / 2
        labels.append(label if middle - half >= free else "")
        free = middle + half if labels[-1] else free
    axes.set_xlim(first - 0.06 * span, last + 0.06 * span)
    axes.set_xticks([at for at, _ in placed], labels)


def _draw_cell(axes: "Axes", column: int, row: int, cell: HeatCell, share: float) -> None:
    from matplotlib.patches import Rectangle  # noqa: PLC0415

    if cell.value is None:
        box = (column - 0.5, row - 0.5)
        axes.add_patch(Rectangle(box, 1, 1, facecolor="white", edgecolor=QUIET, hatch="////", lw=0))
        axes.text(column, row, cell.text, ha="center", va="center", size=8.5, bbox=TEXT_GROUND)
        return
    ink = "white" if share < _DARK else "black"
    axes.text(column, row, cell.text, ha="center", va="center", size=8.5, color=ink)


def _draw_bar(axes: "Axes", place: int, end: float, bar: Bar) -> None:
    if bar.is_void:
        axes.barh(place, end, 0.72, fill=False, edgecolor=_colour(bar.colour), hatch="////", lw=0.8)
    else:
        axes.barh(place, end, 0.72, color=_colour(bar.colour), alpha=0.55 if bar.is_light else 1.0)


def _draw_dot(axes: "Axes", place: int, end: float, bar: Bar) -> None:
    fill = "white" if bar.is_void else _colour(bar.colour)
    axes.plot(
        end, place, "o", ms=6.5, mfc=fill, mec=_colour(bar.colour), color=QUIET, clip_on=False, zorder=5
    )


def _colour(rank: int) -> str:
    return PALETTE[rank % len(PALETTE)]
