"""Build the charts of a scenario's run: the panels that the scenario names, a colour for each variant."""

import statistics
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

from bench.analysis import histogram, stats
from bench.analysis.cases import CaseTrials, Summary
from bench.analysis.claims import Standing
from bench.experiment.definition import Bars, Curves, Distribution, Scenario
from bench.report.charts import Bar, BarChart, Chart, Charts, ChartSide, Line, Mark
from bench.report.run.series import compute_curve
from bench.report.style import PALETTE
from bench.report.text_table import format_number
from bench.runs import timeline
from bench.runs.record import ScenarioRun
from bench.runs.timeline import Series

_HINT = "A line is a case: its colour the variant, its dashes the subject."


def build_charts(scenario: Scenario, run: ScenarioRun) -> Charts:
    """Return the lines of the cases: what happened along a trial, and times by percentile."""
    rows = _select_compared(scenario, run)
    measured = timeline.read(Path(run.directory)) if run.directory is not None else Series()
    charts: list[Chart] = []
    for panel in scenario.panels:
        if isinstance(panel, Curves):
            charts.append(_build_curves(panel, rows))
        elif isinstance(panel, Distribution):
            charts.append(_build_distribution(panel, rows, measured))
    drawn = [chart for chart in charts if chart.lines]
    shown = {line.side for chart in drawn for line in chart.lines}
    names = [ChartSide(row.name, _rank(row, rows), not row.counted, _dashes(row, rows)) for row in rows]
    moved = {old: new for new, old in enumerate(sorted(shown))}
    return Charts(
        [names[index] for index in sorted(shown)], [_renumber(chart, moved) for chart in drawn], _HINT
    )


def build_bars(scenario: Scenario, run: ScenarioRun) -> list[BarChart]:
    """Return the magnitudes of the cases: a bar from zero, or a dot on a logarithmic axis."""
    rows = _select_compared(scenario, run)
    built = (
        BarChart(
            panel.title,
            panel.subtitle + ("; logarithmic axis" if panel.log else ""),
            [bar for row in rows if (bar := _build_bar(row, panel, rows)) is not None],
            panel.log,
        )
        for panel in scenario.panels
        if isinstance(panel, Bars)
    )
    return [chart for chart in built if chart.rows]


def _select_compared(scenario: Scenario, run: ScenarioRun) -> list[CaseTrials]:
    """Return what can be compared: all but the illustrations, unless there is nothing else."""
    rows = list(Summary.of(run).rows)
    illustrations = {variant.name for variant in scenario.variants if variant.illustrates}
    return [row for row in rows if row.variant not in illustrations] or rows


def _build_bar(row: CaseTrials, panel: Bars, rows: list[CaseTrials]) -> Bar | None:
    sample = row.sample(panel.key)
    if not sample.values:
        return None
    is_void = sample.standing is not Standing.COUNTS
    middle = stats.median(sample.values, sample.is_count)
    text = str(sample.standing) if is_void else format_number(middle, panel.unit)
    span = (min(sample.values), max(sample.values))
    return Bar(row.name, middle, text, *span, colour=_rank(row, rows), is_void=is_void)


def _build_curves(panel: Curves, rows: list[CaseTrials]) -> Chart:
    chosen = [row for row in rows if row.subject in panel.subjects] or rows
    lines, moments = [], []
    for row in chosen:
        for trial in row.counted[:1]:  # one trial stands for its case: lines of several would hide each other
            points = trial.curves.get(panel.curve)
            if points:
                lines.append(Line(rows.index(row), points, dashes=_dashes(row, rows)))
                moment = None if panel.mark is None else trial.figures.get(panel.mark)
                moments += [] if moment is None else [float(moment)]
    scale: Literal["log", "linear"] = "log" if panel.log else "linear"
    # What happened to one trial happened to all at about the same moment.
    marks = [Mark(panel.marked, x=statistics.median(moments))] if moments else []
    return Chart(
        panel.title, panel.subtitle, lines, x=scale, x_label=panel.x, y=scale, marks=marks,
        is_step=panel.step, merge="max",
    )  # fmt: skip


def _build_distribution(panel: Distribution, rows: list[CaseTrials], measured: Series) -> Chart:
    return Chart(
        panel.title, panel.subtitle, list(_build_distribution_lines(panel, rows, measured)),
        x="percentile", y="log", x_label="share that was at least as fast",
    )  # fmt: skip


def _build_distribution_lines(
    panel: Distribution, rows: list[CaseTrials], measured: Series
) -> Iterator[Line]:
    for index, row in enumerate(rows):
        trials = {trial.trial for trial in row.counted}
        counts = histogram.merge(
            each.counts for each in measured.latencies if each.kind == panel.times and each.trial in trials
        )
        if points := compute_curve(counts):
            yield Line(index, points, dashes=_dashes(row, rows))


def _rank(row: CaseTrials, rows: list[CaseTrials]) -> int:
    """Return the rank of the colour of a row: that of its variant."""
    return list(dict.fromkeys(each.variant for each in rows)).index(row.variant)


def _dashes(row: CaseTrials, rows: list[CaseTrials]) -> int:
    """Return the rank of the dashes of a row's subject; further ones where a colour is there again."""
    subjects = list(dict.fromkeys(each.subject for each in rows))
    return subjects.index(row.subject) + _rank(row, rows) // len(PALETTE)


def _renumber(chart: Chart, moved: dict[int, int]) -> Chart:
    return replace(chart, lines=[replace(line, side=moved[line.side]) for line in chart.lines])
