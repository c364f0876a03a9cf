"""Draw a sweep: a picture for each axis with a panel for each figure, and heat maps where there are two axes.

Narrow, so that it can be read on a phone: one panel a row.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.analysis import knee, sweep
from bench.analysis.sweep import Curve, Point, SweepFigure
from bench.plan.grid import Axis
from bench.report import style
from bench.report.style import FAINT, INK, PALETTE, QUIET, annotate
from bench.report.text_table import format_number
from bench.runs.sweep_trial import SweepRun

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH = 5.6
_PANEL = 2.3
_MOST_CURVES = 6
_MARKERS = "osD^vP"
_VOID = "////"
_FOOT = (
    "Medians, least and greatest. x, hatched: no trial counts.\n"
    "Ringed: the rate before half of the ports were used."
)


def save_run(run: SweepRun) -> list[Path]:
    """Draw the sweep into its folder; return the paths of the PNGs."""
    folder = Path(str(run.directory))
    return [style.save_figure(folder / name, draw, run)[0] for name, draw in pictures(run).items()]


def pictures(run: SweepRun) -> "dict[str, Draw]":
    """Return what is drawn of a sweep, by the names of the files."""
    axes = sweep.grid_of(run).axes
    drawn = {f"axis-{axis.name}": Draw(axis) for axis in axes}
    if len(axes) == 2:
        drawn["heat-map"] = Draw(None)
    return drawn


class Draw:
    """What draws one picture of a sweep: along an axis, or the heat maps."""

    def __init__(self, axis: Axis | None) -> None:
        self.axis = axis

    def __call__(self, run: SweepRun) -> "Figure":
        """Return the picture."""
        return draw_heat_maps(run) if self.axis is None else draw_axis(run, self.axis)

    @property
    def label(self) -> str:
        """Return what replaces the picture where it cannot be seen."""
        return "Heat maps" if self.axis is None else f"The figures along {self.axis.name}"


# -- along an axis


def draw_axis(run: SweepRun, axis: Axis) -> "Figure":
    """Return a panel for each figure over the values of an axis: medians, with whiskers to both extremes."""
    from matplotlib.figure import Figure  # noqa: PLC0415

    figures = sweep.figures(run)
    lines = [sweep.curves(run, axis, figure)[:_MOST_CURVES] for figure in figures]
    has_labels = any(curve.label for curve in lines[0])
    legend = 0.3 + 0.24 * ((len(lines[0]) + 1) // 2) if has_labels else 0.0
    height = _PANEL * len(figures) + 1.0 + legend
    drawn = Figure(figsize=(_WIDTH, height), facecolor="white", layout="constrained")
    panels = drawn.subplots(len(figures), 1, sharex=True, squeeze=False)[:, 0]
    for axes, figure, curves in zip(panels, figures, lines, strict=True):
        _draw_panel(axes, axis, figure, curves)
    panels[-1].set_xlabel(f"{axis.name}\n\n{_FOOT}", size=10)
    if has_labels:
        handles, labels = panels[0].get_legend_handles_labels()
        drawn.legend(handles, labels, loc="outside upper left", ncols=2, frameon=False, fontsize=10)
    return drawn


def _draw_panel(axes: "Axes", axis: Axis, figure: SweepFigure, curves: Sequence[Curve]) -> None:
    axes.set_title(figure.title, loc="left", size=11.5, weight="bold", color=INK)
    every = list(axis.values)
    is_numeric = all(curve.is_numeric for curve in curves)
    places = knee.positions(every) if is_numeric else [float(index) for index in range(len(every))]
    at = dict(zip(map(str, every), places, strict=True))
    for index, curve in enumerate(curves):
        colour, marker = PALETTE[index % len(PALETTE)], _MARKERS[index % len(_MARKERS)]
        _draw_curve(axes, curve, at, colour, marker)
        bend = curve.bend()
        if bend.knee is not None and len(curves) == 1:
            _mark_knee(axes, at[str(_whole(bend.knee.at, every))], axis, bend.knee)
    _hatch_void(axes, curves, at)
    axes.set_xticks(places, [axis.format(value) for value in every], size=10)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    axes.tick_params(axis="y", labelsize=10)
    axes.margins(x=0.06, y=0.1)
    axes.set_ylim(bottom=0)
    if all(point.center is None for curve in curves for point in curve.points):
        # An axis without a figure on it has no scale.
        axes.set_yticks([])
        void = {"xycoords": "axes fraction", "ha": "center", "size": 11, "bbox": style.TEXT_GROUND}
        annotate(axes, "void: no trial counts", (0.5, 0.5), (0, 0), **void)
    axes.grid(axis="y", color=FAINT)
    axes.set_axisbelow(True)


def _draw_curve(axes: "Axes", curve: Curve, at: dict[str, float], colour: str, marker: str) -> None:
    places = [at[str(value)] for value in curve.values]
    drawn = sorted(zip(places, curve.points, strict=True), key=lambda each: each[0])
    # A point without a figure interrupts the line: nothing is known of what lies between.
    ys = [math.nan if point.center is None else point.center for _, point in drawn]
    line = "-" if curve.is_numeric else "none"
    axes.plot([x for x, _ in drawn], ys, line, color=colour, marker=marker, markersize=5, label=curve.label)
    for x, point in drawn:
        if point.center is None:
            axes.plot([x], [0], color=colour, marker="x", markersize=8, clip_on=False, linestyle="none")
            continue
        axes.plot([x, x], [min(point.values), max(point.values)], color=colour, linewidth=1)
        if point.is_cut and curve.figure is sweep.RATE:
            axes.plot(
                [x], [point.center], "o", markersize=11, markerfacecolor="none", color=INK, clip_on=False
            )


def _hatch_void(axes: "Axes", curves: Sequence[Curve], at: dict[str, float]) -> None:
    """Hatch the values of the axis at which no curve has a figure."""
    known = {
        str(value)
        for curve in curves
        for value, point in zip(curve.values, curve.points, strict=True)
        if point.center is not None
    }
    for value in dict.fromkeys(str(value) for curve in curves for value in curve.values):
        if value not in known:
            span = (at[value] - 0.15, at[value] + 0.15)
            axes.axvspan(*span, facecolor="none", edgecolor=QUIET, hatch=_VOID, linewidth=0)


def _mark_knee(axes: "Axes", x: float, axis: Axis, found: knee.Knee) -> None:
    axes.axvline(x, color=QUIET, linewidth=1, linestyle=(0, (3, 2)))
    value = axis.format(_whole(found.at, axis.values))
    text = f"{found.kind} at {value}"
    annotate(axes, text, (x, 0), (4, 4), size=9.5, color=QUIET, bbox=style.TEXT_GROUND)


def _whole(value: float, values: Sequence[object]) -> object:
    """Return the value of the axis that equals a number."""
    return next(each for each in values if each == value)


# -- two axes


def heat_figures(run: SweepRun) -> tuple[SweepFigure, ...]:
    """Return the figures that have a heat map: what the sweep is about, and the connections."""
    return tuple(dict.fromkeys((sweep.leading(run), sweep.OPENED)))


def draw_heat_maps(run: SweepRun) -> "Figure":
    """Return a heat map of the first figure over both axes, and one of the connections."""
    from matplotlib.figure import Figure  # noqa: PLC0415

    across, down = sweep.axes_by_length(run)
    shown = heat_figures(run)
    height = len(shown) * (0.9 + 0.34 * len(down.values)) + 0.4
    drawn = Figure(figsize=(_WIDTH, height), facecolor="white", layout="constrained")
    panels = drawn.subplots(len(shown), 1, squeeze=False)[:, 0]
    for axes, figure in zip(panels, shown, strict=True):
        _draw_heat(axes, run, figure, across, down)
    return drawn


def _draw_heat(axes: "Axes", run: SweepRun, figure: SweepFigure, across: Axis, down: Axis) -> None:
    import numpy  # noqa: PLC0415

    found = sweep.points(run, figure)
    points = [[found.get((str(x), str(y))) for x in across.values] for y in down.values]
    centers = numpy.array([[_center(point) for point in row] for row in points])
    axes.set_title(figure.title, loc="left", size=11.5, weight="bold", color=INK)
    known = centers[~numpy.isnan(centers)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    axes.imshow(centers, cmap="cividis", aspect="auto", vmin=low, vmax=high if high > low else low + 1)
    for row, line in enumerate(points):
        for column, point in enumerate(line):
            _draw_cell(axes, figure, (column, row), point, (low, high))
    axes.set_xticks(range(len(across.values)), [across.format(value) for value in across.values], size=10)
    axes.set_yticks(range(len(down.values)), [down.format(value) for value in down.values], size=10)
    axes.set_xlabel(across.name, size=11)
    axes.set_ylabel(down.name, size=11)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


def _center(point: Point | None) -> float:
    return float("nan") if point is None or point.center is None else point.center


def _draw_cell(
    axes: "Axes", figure: SweepFigure, at: tuple[int, int], point: Point | None, span: tuple[float, float]
) -> None:
    from matplotlib.patches import Rectangle  # noqa: PLC0415

    column, row = at
    if point is None or point.center is None:
        box = (column - 0.5, row - 0.5)
        axes.add_patch(Rectangle(box, 1, 1, facecolor="white", edgecolor=QUIET, hatch=_VOID, linewidth=0))
        word = "" if point is None else "past half" if point.is_cut else "void"
        axes.text(column, row, word, ha="center", va="center", size=9.5, bbox=style.TEXT_GROUND)
        return
    low, high = span
    ink = "white" if point.center < low + 0.55 * (high - low) else "black"
    mark = " <" if point.is_cut and figure is sweep.RATE else ""
    text = f"{format_number(point.center, figure.unit)}{mark}"
    axes.text(column, row, text, ha="center", va="center", size=10, color=ink)
