"""Draw a scenario's run: the panels that the scenario names, with a colour for each variant."""

import math
import statistics
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.analysis import histogram
from bench.analysis.cases import CaseTrials, Summary
from bench.experiment.definition import Bars, Curves, Distribution, Panel, Scenario
from bench.report import style
from bench.report.scenario import text
from bench.report.style import FAINT, INK, PALETTE, QUIET, SUBJECT_DASHES
from bench.report.text_table import format_number
from bench.runs.record import ScenarioRun
from bench.runs.timeline import Series, read

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PICTURE = "picture"
_PERCENTS = (50.0, 90.0, 99.0, 99.9, 99.99)
_ACROSS = 2
_WIDTH_INCHES = 14.0
_PROSE_WIDTH = 160
_BAR_INCHES, _PANEL_INCHES, _LINE_INCHES = 0.3, 3.6, 0.2


def draw(scenario: Scenario, run: ScenarioRun) -> "Figure":
    """Return the picture: the title, what the run shows, and the panels for which there is something."""
    from matplotlib.figure import Figure  # noqa: PLC0415

    summary = _select_compared(scenario, Summary.of(run))
    series = read(Path(run.directory)) if run.directory is not None else Series()
    panels = [panel for panel in scenario.panels if _has_data(panel, summary, series)]
    rows = max(1, math.ceil(len(panels) / _ACROSS))
    sentence = textwrap.fill(text.summarize(scenario, run), _PROSE_WIDTH)
    missing = "\n".join(
        textwrap.fill(f"Not measured: {each}", _PROSE_WIDTH) for each in text.summarize_refusals(run)
    )
    head, foot = 0.5 + _measure_inches(sentence), _measure_inches(missing)
    height = head + rows * max(_PANEL_INCHES, 1.3 + _BAR_INCHES * len(summary.rows)) + foot
    figure = Figure(figsize=(_WIDTH_INCHES, height))
    place = (0, foot / height, 1, 1 - (head + foot) / height)
    figure.set_layout_engine("constrained", h_pad=0.25, w_pad=0.25, rect=place)
    figure.text(0.012, 1 - 0.3 / height, scenario.title, size=16, weight="bold", color=INK, va="center")
    figure.text(0.012, 1 - 0.52 / height, sentence, size=10.5, color=QUIET, va="top")
    figure.text(0.012, 0.1 / height, missing, size=9.5, color=QUIET, va="bottom")
    grid = figure.subplots(rows, _ACROSS, squeeze=False).flatten()
    for axes, panel in zip(grid, panels, strict=False):
        _draw_panel(axes, panel, summary, series)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    return figure


def _measure_inches(text: str) -> float:
    """Return how much of the picture's height a text takes, with some air; nothing where there is none."""
    return _LINE_INCHES * (text.count("\n") + 2) if text else 0.0


def _select_compared(scenario: Scenario, summary: Summary) -> Summary:
    """Return what can be compared: all but the illustrations, unless there is nothing else."""
    illustrations = {variant.name for variant in scenario.variants if variant.illustrates}
    rows = tuple(row for row in summary.rows if row.variant not in illustrations)
    return Summary(rows) if rows else summary


def _has_data(panel: Panel, summary: Summary, series: Series) -> bool:
    """Return whether any row has what the panel shows."""
    match panel:
        case Bars():
            return any(row.sample(panel.key).values for row in summary.rows)
        case Curves():
            return any(trial.curves.get(panel.curve) for row in summary.rows for trial in row.counted)
        case Distribution():
            return any(each.kind == panel.times for each in series.latencies)


def _draw_panel(axes: "Axes", panel: Panel, summary: Summary, series: Series) -> None:
    style.draw_title(axes, panel.title, panel.subtitle)
    axes.spines[["top", "right"]].set_visible(False)
    match panel:
        case Bars():
            _draw_bars(axes, panel, summary)
        case Curves():
            _draw_curves(axes, panel, summary)
        case Distribution():
            _draw_distribution(axes, panel, summary, series)


def _draw_bars(axes: "Axes", panel: Bars, summary: Summary) -> None:
    rows = [row for row in summary.rows if row.sample(panel.key).values]
    places = range(len(rows))
    for place, row in zip(places, rows, strict=True):
        spread = row.spread(panel.key)
        if spread is None:
            values = row.sample(panel.key).values
            axes.barh(
                place, statistics.median(values), 0.68, fill=False, edgecolor=_get_colour(row, summary),
                hatch="//",
            )  # fmt: skip
            axes.text(max(values), place, "  void", va="center", fontsize=8.5, color=QUIET)
            continue
        axes.barh(place, spread.median, 0.68, color=_get_colour(row, summary))
        if spread.least < spread.greatest:
            axes.plot([spread.least, spread.greatest], [place, place], color=INK, linewidth=1)
        label = f"  {format_number(spread.median, panel.unit)}"
        axes.text(spread.greatest, place, label, va="center", fontsize=8.5, color=QUIET)
    axes.set_yticks(places, [row.name for row in rows], fontsize=8.5)
    axes.invert_yaxis()
    least = min((value for row in rows if (value := row.value(panel.key))), default=0)
    if panel.log and least > 0:
        axes.set_xscale("log")
        axes.set_xlabel("logarithmic scale")
        axes.margins(x=0.2)
    else:
        axes.margins(x=0.16)
        axes.set_xlim(left=0)


def _draw_curves(axes: "Axes", panel: Curves, summary: Summary) -> None:
    chosen = [row for row in summary.rows if row.subject in panel.subjects]
    marks: list[float] = []
    for row in chosen or summary.rows:
        for trial in row.counted[:1]:  # one trial stands for its case: lines of several would hide each other
            points = trial.curves.get(panel.curve)
            if not points:
                continue
            x, y = zip(*points, strict=True)
            look: dict[str, Any] = {"color": _get_colour(row, summary), "ls": _get_dashes(row, summary)}
            axes.plot(x, y, drawstyle="steps-post" if panel.step else "default", label=row.name, **look)
            moment = None if panel.mark is None else trial.figures.get(panel.mark)
            if moment is not None:
                marks.append(float(moment))
    if marks:  # what happened to one trial happened to all at about the same moment
        moment = statistics.median(marks)
        axes.axvline(moment, color=QUIET, lw=1, ls=(0, (4, 3)))
        label = f" {panel.marked}"
        axes.text(moment, 1, label, transform=axes.get_xaxis_transform(), va="top", fontsize=8.5)
    axes.set_xlabel(panel.x)
    if panel.log:
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    axes.grid(color=FAINT, lw=0.8)
    axes.legend(fontsize=8.5, frameon=False)


def _draw_distribution(axes: "Axes", panel: Distribution, summary: Summary, series: Series) -> None:
    axes.set_yscale("log")
    axes.set_xscale("log")
    rarest = 1.0
    for row in summary.rows:
        trials = {trial.trial for trial in row.counted}
        counts = histogram.merge(
            each.counts for each in series.latencies if each.kind == panel.times and each.trial in trials
        )
        points = [(1 / share, value_ms) for share, value_ms in histogram.curve(counts)]
        if points:
            rarest = max(rarest, points[-1][0])
            x, y = zip(*points, strict=True)
            axes.plot(x, y, color=_get_colour(row, summary), ls=_get_dashes(row, summary), label=row.name)
    style.label_percentiles(axes, _PERCENTS, rarest * 1.01)
    axes.set_xlabel("percentile: this share was at least as fast")
    axes.grid(color=FAINT, lw=0.8)
    axes.legend(fontsize=8.5, frameon=False)


def _get_colour(row: CaseTrials, summary: Summary) -> str:
    return PALETTE[_rank_variant(row, summary) % len(PALETTE)]


def _get_dashes(row: CaseTrials, summary: Summary) -> Sequence[object] | str:
    """Return the dashes of a row's subject; where a colour is used a second time, further ones."""
    rank = summary.subjects.index(row.subject) + _rank_variant(row, summary) // len(PALETTE)
    return SUBJECT_DASHES[rank % len(SUBJECT_DASHES)]


def _rank_variant(row: CaseTrials, summary: Summary) -> int:
    return list(dict.fromkeys(each.variant for each in summary.rows)).index(row.variant)
