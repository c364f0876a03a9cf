"""What a sweep found: the figures of its cells, as points along an axis, and where each curve bends. Pure."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.analysis import claims, knee, metrics
from bench.analysis.knee import Bend
from bench.analysis.metrics import Metric
from bench.analysis.sides import ComparedCase, split
from bench.plan.grid import Axis, Grid
from bench.runs.sweep_trial import SweepRun, SweepTrial

_MUCH = 2.0
"""What changes by less may be scatter, and is not what a reader asks a grid for."""


@dataclass(frozen=True, slots=True)
class SweepFigure:
    """One figure that is drawn over the axes of a sweep."""

    metric: Metric
    title: str
    column: str
    """The title where there is little room."""
    of: Callable[[SweepTrial], float | None]

    @property
    def unit(self) -> str:
        """Return the unit."""
        return self.metric.unit


def _rate(trial: SweepTrial) -> float | None:
    """Return the rate; before half of the ports were used, where they were: over both it means nothing."""
    return trial.requests_per_s if trial.ports.rate_before is None else trial.ports.rate_before


def _p99(trial: SweepTrial) -> float | None:
    return None if claims.crossed_cliff(trial) else trial.latency_ms.p99


def _opened(trial: SweepTrial) -> float | None:
    carried = trial.upstream.requests_per_connection
    return None if not carried else 1000 / carried


RATE = SweepFigure(metrics.named("requests_per_s"), "requests/s", "requests/s", _rate)
P99 = SweepFigure(metrics.named("latency_ms.p99"), "latency p99, ms", "p99, ms", _p99)
OPENED = SweepFigure(
    metrics.named("upstream.requests_per_connection"),
    "connections per 1,000 requests",
    "connections/1,000",
    _opened,
)
CPU = SweepFigure(
    metrics.named("cpu_us_per_request_before_cliff.proxy"),
    "CPU of the proxy per request, µs",
    "proxy CPU, µs",
    lambda trial: trial.cpu_us_per_request_before_cliff.get("proxy"),
)


def figures(run: SweepRun) -> tuple[SweepFigure, ...]:
    """Return the figures that a sweep is about, the first of them first: of an open loop the latency is."""
    is_open = run.plan["load"]["rate"] is not None or "load.rate" in run.grid
    return (P99, OPENED, CPU, RATE) if is_open else (RATE, P99, OPENED, CPU)


def leading(run: SweepRun) -> SweepFigure:
    """Return what a sweep is about: the first of its figures that changes much over the cells.

    Else it is the first that any cell has: of a busy machine only counts and CPU stand.
    """
    known = {
        figure: centers
        for figure in figures(run)
        if (centers := [center for each in cells(run) if (center := each.point(figure).center) is not None])
    }
    changing = (figure for figure, centers in known.items() if max(centers) > _MUCH * min(centers))
    return next(changing, next(iter(known), figures(run)[0]))


@dataclass(frozen=True, slots=True)
class Point:
    """A figure of one cell: the median over the trials that count, with the least and the greatest."""

    values: tuple[float, ...]
    void: int
    """Trials that do not count for the figure."""
    is_cut: bool = False
    """Whether half of the ports were used in a trial, so that the figure is of the time before, or none."""

    @property
    def center(self) -> float | None:
        """Return the median; None where no trial counts."""
        return statistics.median(self.values) if self.values else None


@dataclass(frozen=True, slots=True)
class SweepCell:
    """One cell of the grid in one mode, with its trials."""

    values: dict[str, Any]
    mode: str
    side: ComparedCase[SweepTrial]

    def point(self, figure: SweepFigure) -> Point:
        """Return what its trials say of a figure."""
        counted = self.side.counted_for(figure.metric)
        values = [value for value in map(figure.of, counted) if value is not None]
        passed = any(map(claims.crossed_cliff, counted))
        return Point(tuple(values), len(self.side.trials) - len(counted), passed)


@dataclass(frozen=True, slots=True)
class Curve:
    """The points of a figure along an axis, with all other keys fixed."""

    figure: SweepFigure
    label: str
    """The fixed keys; empty where there are none."""
    values: tuple[Any, ...]
    points: tuple[Point, ...]

    @property
    def is_numeric(self) -> bool:
        """Return whether the values of the axis are numbers."""
        return all(isinstance(value, int | float) and not isinstance(value, bool) for value in self.values)

    def bend(self) -> Bend:
        """Return where it bends, from the points that have a trial that counts."""
        if not self.is_numeric:
            return Bend(None, "its values are no numbers")
        known = sorted(
            (float(value), point.values)
            for value, point in zip(self.values, self.points, strict=True)
            if point.values
        )
        samples = [values for _, values in known]
        return knee.find([value for value, _ in known], samples, self._is_gain)

    @property
    def _is_gain(self) -> bool:
        """Return whether the figure gets better along the axis."""
        centers = [point.center for point in self.points if point.center is not None]
        rises = centers[-1] > centers[0] if centers else False
        return rises if self.figure is RATE else not rises


def grid_of(run: SweepRun) -> Grid:
    """Return the grid of a sweep; of a search that of the rates that its trials had."""
    tried = {key: {trial.cell[key] for trial in run.trials} for key, values in run.grid.items() if not values}
    return Grid.of(run.grid | {key: sorted(values) for key, values in tried.items()})


def cells(run: SweepRun) -> list[SweepCell]:
    """Return the cells of a sweep that have a trial, in the order of the grid."""
    found = []
    for side in split(run):
        trial = side.trials[0]
        found.append(SweepCell(trial.cell, trial.mode, side))
    order = [tuple(cell.items()) for cell in grid_of(run).cells()]
    return sorted(found, key=lambda cell: (_place(order, cell.values), cell.mode))


def _place(order: Sequence[tuple[tuple[str, Any], ...]], cell: dict[str, Any]) -> int:
    known = tuple(cell.items())
    return order.index(known) if known in order else len(order)


def points(run: SweepRun, figure: SweepFigure) -> dict[tuple[str, str], Point]:
    """Return a figure of every cell of a grid of two axes, by the values of the shorter axis and the other.

    Where cells have both modes, of the one that keeps connections.
    """
    across, down = axes_by_length(run)
    return {
        (str(cell.values[across.key]), str(cell.values[down.key])): cell.point(figure)
        for cell in sorted(cells(run), key=lambda cell: cell.mode, reverse=True)
    }


def axes_by_length(run: SweepRun) -> list[Axis]:
    """Return the axes, that of the fewest values first."""
    return sorted(grid_of(run).axes, key=lambda axis: len(axis.values))


def curves(run: SweepRun, axis: Axis, figure: SweepFigure) -> list[Curve]:
    """Return the curves of a figure along an axis, one for each combination of the other keys, and mode."""
    grid = grid_of(run)
    found = cells(run)
    has_modes = len({cell.mode for cell in found}) > 1 and "mode" not in run.grid
    lines: dict[str, list[SweepCell]] = {}
    for cell in found:
        fixed = {key: value for key, value in cell.values.items() if key != axis.key}
        parts = [grid.label(fixed), cell.mode if has_modes else ""]
        lines.setdefault(", ".join(filter(None, parts)), []).append(cell)
    return [
        Curve(
            figure,
            label,
            tuple(cell.values[axis.key] for cell in line),
            tuple(cell.point(figure) for cell in line),
        )
        for label, line in lines.items()
    ]
