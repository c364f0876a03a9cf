"""The page and the picture of a recording: its hops over time, its figures, its stretches as data."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.analysis.sides import ComparedCase
from bench.plan import toml
from bench.report import sheet, style
from bench.report.charts import Chart, Charts, ChartSide, Line
from bench.report.html import Code, Page, Prose, Section, Table
from bench.report.run.page import build_data_section, build_place_section
from bench.report.style import PALETTE
from bench.report.watch import recorded
from bench.runs.watch_trial import HOST_CASE, WatchRun, WatchTrial

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURE = "picture"
MOST_DRAWN = 6
"""Hops that are drawn: more lines cannot be told apart."""
_HINT = "A line is a hop; what opens or holds most comes first."
_PANELS = (
    ("Connections opened", "per second", "opened_per_s"),
    ("TIME_WAIT", "sockets", "time_wait"),
    ("Local ports used", "towards the peer", "ports_used"),
    ("Established", "connections", "established"),
)
_HOW_TO_READ = (
    "A hop is all connections of this host with one peer at one port; `others` are peers beyond those that"
    " are told apart. Opened: came to ESTABLISHED. A sampled count is a lower bound, but for what this host"
    " closed first, which stays in its TIME_WAIT for a minute. Ports used are those towards one peer, in any"
    " state."
)


def build_page(run: WatchRun) -> Page:
    """Return the page of `run`."""
    return Page(
        kicker="bench: a watch of connections",
        title=recorded.format_title(run),
        sentence=recorded.summarize(run),
        warnings=[*recorded.summarize_limits(run), *run.damage],
        sections=list(_sections(run)),
        started=run.started,
        certainty=recorded.count_stretches(run),
    )


def save_picture(run: WatchRun) -> tuple[Path, Path]:
    """Draw `run` into its directory; return the paths of the PNG and the SVG."""
    return style.save_figure(Path(str(run.directory)) / PICTURE, draw, run)


def draw(run: WatchRun) -> "Figure":
    """Return the picture: the title, what wasted connections, and the hops over time."""
    return sheet.compose(
        [recorded.format_title(run)], recorded.summarize(run), build_charts(run), [], small_print=[]
    )


def build_charts(run: WatchRun) -> Charts:
    """Return the hops over time: what they open, what they hold, which ports they take."""
    sides = [side for side in recorded.select_sides(run) if side.case != HOST_CASE][:MOST_DRAWN]
    if not sides:
        sides = recorded.select_sides(run)[:1]
    charts = [
        Chart(title, unit, list(_lines(sides, curve)), x_label="seconds since the start", merge="max")
        for title, unit, curve in _PANELS
    ]
    named = [ChartSide(side.name, rank % len(PALETTE)) for rank, side in enumerate(sides)]
    return Charts(named, [each for each in charts if _is_telling(each)], _HINT)


def _is_telling(chart: Chart) -> bool:
    """Return whether a chart shows anything but zeros."""
    return any(y for line in chart.lines for _, y in line.points)


def _lines(sides: Sequence[ComparedCase[WatchTrial]], curve: str) -> Iterator[Line]:
    for rank, side in enumerate(sides):
        points = [point for trial in side.trials for point in _points(trial, curve)]
        if any(curve in trial.curves for trial in side.trials):
            yield Line(rank, points)


def _points(trial: WatchTrial, curve: str) -> Sequence[tuple[float, float]]:
    """Return a curve of a stretch; one in which nothing happened has no curves, and was zero throughout."""
    if trial.curves:
        return trial.curves.get(curve, ())
    return (trial.t_s, 0.0), (trial.t_s + trial.window_s, 0.0)


def _sections(run: WatchRun) -> Iterator[Section]:
    if run.trials:
        yield Section("", [build_charts(run)])
    yield Section("The hops", [recorded.build_table(run), Prose(_HOW_TO_READ)])
    yield Section("The verdict, stretch by stretch", [_build_verdicts(run)])
    yield build_place_section(run)
    yield Section("What was watched", [Code(toml.to_toml(run.plan))], folded=True)
    yield build_data_section(run)


def _build_verdicts(run: WatchRun) -> Table:
    rows = [
        (
            f"{trial.t_s:.0f} to {trial.t_s + trial.window_s:.0f} s",
            trial.source,
            " ".join(trial.verdict) or "nothing wasted connections",
        )
        for trial in recorded.of_host(run)
    ]
    words = ("how", "what wasted connections")
    return Table(("time", *words), rows, texts=words)
