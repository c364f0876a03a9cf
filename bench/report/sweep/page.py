"""Build the page of a sweep: what bends where, the pictures, the table, and all of it as data."""

from collections.abc import Sequence
from typing import Literal

from bench.analysis import knee, sweep
from bench.analysis.sweep import Curve, Point, SweepFigure
from bench.plan import toml
from bench.plan.grid import Axis
from bench.report import style
from bench.report.charts import Chart, Charts, ChartSide, HeatCell, HeatMap, Line
from bench.report.html import Code, FactList, Page, Picture, Prose, Section
from bench.report.run import page as run_page
from bench.report.run import tables
from bench.report.sweep import picture, search_text, text
from bench.report.text_table import format_number
from bench.runs.sweep_trial import SweepRun

_HOW_TO_READ = (
    "Figures are medians over the trials of a cell that count, with the least and the greatest. Where half of"
    " the ports were used (marked < in the table, ringed in the picture) the rate is that of the time before."
    " Hatched: no trial counts. A knee is where the curve of medians is farthest from a straight line between"
    " its ends (Kneedle), with the interval of resampled trials; where that is not clear, none is named.",
)


def build_page(run: SweepRun) -> Page:
    """Return the page of `run`, as it is in its directory."""
    sentences = list(text.summarize(run)) if run.trials else ["No trial was finished."]
    if run.objective and run.trials:
        sentences = [search_text.summarize(run), *sentences]
    return Page(
        kicker="bench: connection reuse behind a reverse proxy",
        title=text.format_title(run),
        sentence=sentences[0],
        warnings=[*text.summarize_warnings(run), *run.damage],
        sections=_sections(run, sentences[1:]),
        started=run.started,
    )


def _build_charts(run: SweepRun, axis: Axis) -> Charts | Picture:
    """Return the figures along an axis of numbers as charts, along another as a picture."""
    figures = sweep.figures(run)
    curves = [sweep.curves(run, axis, figure) for figure in figures]
    if not all(curve.is_numeric for curve in curves[0]):
        draw = picture.Draw(axis)
        return Picture(style.render_svg(draw, run), draw.label)
    values = [float(value) for value in axis.values]
    scale: Literal["linear", "log"] = "log" if knee.is_logarithmic(values) and min(values) > 0 else "linear"
    charts = [
        Chart(figure.title, "", _build_lines(found), x=scale, x_label=axis.name)
        for figure, found in zip(figures, curves, strict=True)
    ]
    sides = [ChartSide(curve.label or "median", index) for index, curve in enumerate(curves[0])]
    return Charts(sides, charts, "Medians over the trials that count; a cell without one has no point.")


def _build_lines(curves: Sequence[Curve]) -> list[Line]:
    return [
        Line(
            index,
            sorted(
                (float(value), point.center)
                for value, point in zip(curve.values, curve.points, strict=True)
                if point.center is not None
            ),
        )
        for index, curve in enumerate(curves)
    ]


def _build_heat_map(run: SweepRun, figure: SweepFigure) -> HeatMap:
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


def _sections(run: SweepRun, sentences: list[str]) -> list[Section]:
    axes = sweep.grid_of(run).axes
    drawn = [Section(f"The figures along {axis.name}", [_build_charts(run, axis)]) for axis in axes]
    if len(axes) == 2:
        drawn.append(Section("Both axes", [_build_heat_map(run, each) for each in picture.heat_figures(run)]))
    varied = [(axis.name, ", ".join(map(axis.format, axis.values))) for axis in sweep.grid_of(run).axes]
    return [
        *([Section("", [Prose(sentence) for sentence in sentences])] if sentences else []),
        *(drawn if run.trials else []),
        Section("The figures", [text.build_table(run), *map(Prose, _HOW_TO_READ)]),
        Section("What was varied", [FactList(varied)]),
        Section("Every trial", [tables.build_trial_table(run)], folded=True),
        run_page.build_machine_section(run.machine),
        Section("The plan that the cells share", [Code(toml.to_toml(run.plan))], folded=True),
        run_page.build_data_section(run),
    ]
