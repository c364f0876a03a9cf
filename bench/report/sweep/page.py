"""Build the page of a sweep: what bends where, the pictures, the table, and all of it as data."""

import math
from collections.abc import Iterator, Sequence

from bench.analysis import knee, sweep
from bench.analysis.sweep import Curve, Point, SweepFigure
from bench.plan import toml
from bench.plan.grid import Axis
from bench.report import certainty
from bench.report.charts import Chart, Charts, ChartSide, HeatCell, HeatMap, Line, Mark
from bench.report.html import Code, FactList, Page, Prose, Section
from bench.report.run import page as run_page
from bench.report.run import tables
from bench.report.style import PALETTE
from bench.report.sweep import picture, search_text, text
from bench.report.text_table import format_number
from bench.runs.record import TrialRecord
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
        certainty=_format_certainty(run),
    )


def _format_certainty(run: SweepRun) -> str:
    """Return how many trials stand behind the page: a search has its interval, a sweep only its knees'."""
    if run.objective and run.trials:
        return f"{search_text.format_trial_count(run)}."
    cells: dict[str, list[TrialRecord]] = {}
    for trial in run.trials:
        cells.setdefault(str(trial.cell), []).append(trial)
    return certainty.count_trials(cells.values(), "cell")


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


def _build_charts(run: SweepRun, axis: Axis) -> Charts:
    """Return a chart for each figure over the values of an axis: a line for each curve."""
    every = list(axis.values)
    figures = sweep.figures(run)
    curves = {figure.title: sweep.curves(run, axis, figure) for figure in figures}
    is_numeric = all(curve.is_numeric for each in curves.values() for curve in each)
    places = knee.positions(every) if is_numeric else [float(index) for index in range(len(every))]
    at = dict(zip(map(str, every), places, strict=True))
    charts = [
        Chart(
            figure.title, figure.unit, [_build_line(index, curve, at) for index, curve in enumerate(drawn)],
            x="linear", x_label=axis.name, ticks=[(at[str(value)], axis.format(value)) for value in every],
            marks=list(_mark_bend(axis, drawn, at)), is_sparse=True, is_scattered=not is_numeric,
        )
        for figure, drawn in zip(figures, curves.values(), strict=True)
    ]  # fmt: skip
    first = next(iter(curves.values()), [])
    names = [ChartSide(curve.label or "all", index % len(PALETTE)) for index, curve in enumerate(first)]
    return Charts(names, charts, "Medians over the trials that count; a gap: no trial counts.")


def _build_line(index: int, curve: Curve, at: dict[str, float]) -> Line:
    """Return a curve; a point without a figure is a gap, since nothing is known of what lies there."""
    pairs = zip(curve.values, curve.points, strict=True)
    return Line(index, [(at[str(v)], math.nan if p.center is None else p.center) for v, p in pairs])


def _mark_bend(axis: Axis, drawn: Sequence[Curve], at: dict[str, float]) -> Iterator[Mark]:
    bend = drawn[0].bend() if len(drawn) == 1 else None
    if bend is not None and bend.knee is not None:
        value = next(each for each in axis.values if each == bend.knee.at)
        yield Mark(f"{bend.knee.kind} at {axis.format(value)}", x=at[str(value)])


def _sections(run: SweepRun, sentences: list[str]) -> list[Section]:
    drawn = [
        Section(f"The figures along {axis.name}", [_build_charts(run, axis)])
        for axis in sweep.grid_of(run).axes
        if run.trials
    ]
    if len(sweep.grid_of(run).axes) == 2:
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
