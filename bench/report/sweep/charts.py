"""Build the charts of a sweep: its figures along an axis, a line for each curve, and over two axes."""

import math
from collections.abc import Iterator, Sequence

from bench.analysis import sweep
from bench.analysis.sweep import Curve, Point, SweepFigure
from bench.plan.grid import Axis
from bench.report.charts import Chart, Charts, ChartSide, HeatCell, HeatMap, Line, Mark
from bench.report.style import PALETTE
from bench.report.sweep import text
from bench.report.text_table import format_number
from bench.runs.sweep_trial import SweepRun

_WIDE = 8.0
"""Values that span so much, the largest over the smallest, stand on a logarithmic axis."""


def build_heat_maps(run: SweepRun) -> list[HeatMap]:
    """Return a heat map of what a sweep of two axes is about, and one of the connections."""
    figures = dict.fromkeys((sweep.leading(run), sweep.OPENED))
    return [_build_heat_map(run, figure) for figure in figures]


def _build_heat_map(run: SweepRun, figure: SweepFigure) -> HeatMap:
    """Return a figure over the two axes of a sweep."""
    across, down = sweep.axes_by_length(run)
    points = sweep.points(run, figure)
    rows = [
        (
            down.format(y),
            [_build_cell(points.get((str(x), str(y))), figure) for x in across.values],
        )
        for y in down.values
    ]
    columns = [across.format(value) for value in across.values]
    return HeatMap(figure.title, "", across.name, down.name, columns, rows)


def _build_cell(point: Point | None, figure: SweepFigure) -> HeatCell:
    if point is None:
        return HeatCell("", None)
    if point.center is None:
        return HeatCell(text.format_point(point, figure), None, is_void=True)
    mark = " <" if point.is_cut and figure is sweep.RATE else ""
    return HeatCell(f"{format_number(point.center, figure.unit)}{mark}", point.center)


def build_charts(run: SweepRun, axis: Axis) -> Charts:
    """Return a chart for each figure over the values of an axis: a line for each curve."""
    every = list(axis.values)
    figures = sweep.figures(run)
    curves = {figure.title: sweep.curves(run, axis, figure) for figure in figures}
    is_numeric = all(curve.is_numeric for each in curves.values() for curve in each)
    places = positions(every) if is_numeric else [float(index) for index in range(len(every))]
    at = dict(zip(map(str, every), places, strict=True))
    charts = [
        Chart(
            figure.title, _tell_void(drawn), [_build_line(rank, each, at) for rank, each in enumerate(drawn)],
            x="linear", x_label=axis.name, ticks=[(at[str(value)], axis.format(value)) for value in every],
            marks=list(_mark_bend(axis, drawn, at)), is_sparse=True, is_scattered=not is_numeric,
        )
        for figure, drawn in zip(figures, curves.values(), strict=True)
    ]  # fmt: skip
    first = next(iter(curves.values()), [])
    names = [
        ChartSide(curve.label or "all", index % len(PALETTE), dashes=index // len(PALETTE))
        for index, curve in enumerate(first)
    ]
    return Charts(names, charts, "Medians over the trials that count; a gap: no figure counts.")


def _tell_void(drawn: Sequence[Curve]) -> str:
    """Return what stands below the title of a chart in which nothing counts."""
    is_void = all(point.center is None for curve in drawn for point in curve.points)
    return "void: no figure counts" if is_void else ""


def _build_line(index: int, curve: Curve, at: dict[str, float]) -> Line:
    """Return a curve; a point without a figure is a gap, since nothing is known of what lies there."""
    placed = sorted(
        ((at[str(value)], point) for value, point in zip(curve.values, curve.points, strict=True)),
        key=lambda each: each[0],
    )
    points = [(x, math.nan if point.center is None else point.center) for x, point in placed]
    ranges = [(x, min(point.values), max(point.values)) for x, point in placed if point.values]
    is_rate = curve.figure is sweep.RATE
    rings = [
        (x, point.center) for x, point in placed if is_rate and point.is_cut and point.center is not None
    ]
    return Line(index, points, dashes=index // len(PALETTE), ranges=ranges, rings=rings)


def _mark_bend(axis: Axis, drawn: Sequence[Curve], at: dict[str, float]) -> Iterator[Mark]:
    bend = drawn[0].bend() if len(drawn) == 1 else None
    if bend is not None and bend.knee is not None:
        value = next(each for each in axis.values if each == bend.knee.at)
        yield Mark(f"{bend.knee.kind} at {axis.format(value)}", x=at[str(value)])


def _is_logarithmic(xs: Sequence[float]) -> bool:
    """Return whether so spread values are to stand on a logarithmic axis."""
    positive = [x for x in xs if x > 0]
    return min(xs) >= 0 and len(positive) > 2 and max(positive) / min(positive) >= _WIDE


def positions(xs: Sequence[float]) -> list[float]:
    """Return where values stand on their axis; on a logarithmic one 0 stands one doubling below the least."""
    if not _is_logarithmic(xs):
        return [float(x) for x in xs]
    least = min(x for x in xs if x > 0)
    return [math.log2(x) if x > 0 else math.log2(least) - 1 for x in xs]
