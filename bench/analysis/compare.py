"""Sides compared with the first of them, figure by figure: estimate, interval and answer. Pure.

A run has many figures and may have several sides: by chance alone one of twenty tests shows a difference.
Their p are therefore corrected together, over all rows and sides of a comparison: Benjamini and Hochberg,
Controlling the False Discovery Rate, JRSS B 57 (1995). Of the differences that are reported, at most the
share `stats.ALPHA` is expected to be none.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypedDict

from bench.analysis import (
    answers,
    claims,
    cliff,
    looks,
    machine_differences,
    metrics,
    recordings,
    reuse,
    stats,
)
from bench.analysis.answers import Answer, Cell, CellJson, Samples
from bench.analysis.claims import Standing
from bench.analysis.metrics import METRICS, Better, Metric
from bench.analysis.sides import MACHINE_COUNTS, AnySide, are_interleaved, differences
from bench.analysis.stats import Estimate
from bench.runs.record import TrialRecord

_A_COUNT = Metric("errors", "")
Figures: TypeAlias = Sequence[tuple[TrialRecord, float]]


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One metric: a cell for each side, the first side's without a comparison."""

    metric: Metric
    cells: tuple[Cell, ...]

    @property
    def is_moved_by_rate(self) -> bool:
        """Return whether the rate of requests moves it: it is then judged by a second figure too."""
        return self.metric.key in reuse.KEYS

    @property
    def is_telling(self) -> bool:
        """Return whether the row is worth reading: 0 on every side is, only where it counts errors."""
        centers = [cell.estimate.center for cell in self.cells if cell.estimate is not None]
        return any(centers) or self.metric.key == "errors"


class SideJson(TypedDict):
    """A side in the JSON of a comparison."""

    name: str
    case: str
    directory: str | None
    trials: int
    """Those that count."""


class RowJson(TypedDict):
    """A metric in the JSON of a comparison, a cell for each side."""

    metric: str
    unit: str
    better: Better
    cells: list[CellJson]


class ComparisonJson(TypedDict):
    """Sides beside the first of them, in the JSON of `bench compare`, `run` and `show`."""

    sides: list[SideJson]
    confidence: float
    tests: int
    rows: list[RowJson]
    warnings: list[str]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Sides in their order, a row for each figure that any of them has, and the warnings."""

    sides: tuple[AnySide, ...]
    rows: tuple[MetricRow, ...]
    warnings: tuple[str, ...]
    metrics: tuple[Metric, ...]
    """What was compared; a metric that no side has is without a row."""
    alpha: float = stats.ALPHA
    """What the intervals leave out, and the share of false differences that is allowed."""
    tests: int = 0
    """How many tests were corrected for together."""

    def row(self, key: str) -> MetricRow:
        """Return the row of the metric called `key`, with empty cells where no side has it."""
        metric = metrics.named(key, self.metrics)
        empty = MetricRow(metric, tuple(Cell(None) for _ in self.sides))
        return next((row for row in self.rows if row.metric == metric), empty)

    def to_json(self) -> ComparisonJson:
        """Return the object that `bench compare --json` prints for it."""
        return {
            "sides": [
                {
                    "name": side.name,
                    "case": side.case,
                    "directory": side.run.directory,
                    "trials": len(side.counted),
                }
                for side in self.sides
            ],
            "confidence": 1 - self.alpha,
            "tests": self.tests,
            "rows": [
                {
                    "metric": row.metric.key,
                    "unit": row.metric.unit,
                    "better": row.metric.better,
                    "cells": [cell.to_json() for cell in row.cells],
                }
                for row in self.rows
            ],
            "warnings": list(self.warnings),
        }


def compare(
    sides: Sequence[AnySide], compared: Sequence[Metric] = METRICS, alpha: float | None = None
) -> Comparison:
    """Return how the second and later `sides` stand to the first in the `compared` metrics.

    Intervals are at the confidence 1 - `alpha`, by default what the looks at the runs on their way have left.
    """
    if alpha is None:
        alpha = min(map(_left, sides), default=stats.ALPHA)
    drawn = {metric: _draw(metric, sides) for metric in compared}
    held = {
        (metric, index): answers.hold(samples, alpha, metric.is_count)
        for metric, row in drawn.items()
        for index, samples in enumerate(row.samples)
        if samples is not None
    }
    ps = _corrected({key: cell.p for key, cell in held.items() if cell.p is not None}, drawn)
    rows = []
    for metric, row in drawn.items():
        cells = [_first(row, alpha)]
        for index, samples in enumerate(row.samples):
            cell = held.get((metric, index))
            if cell is None or samples is None:
                cells.append(_apart(row, index + 1, alpha))
            else:
                corrected = dataclasses.replace(cell, p=ps.get((metric, index)))
                better = _judged_as(metric, (row, index), alpha)
                cells.append(answers.decide(corrected, samples, better, alpha, len(ps)))
        if any(row.values):
            rows.append(MetricRow(metric, tuple(cells)))
    machines = machine_differences.compare([side.run for side in sides])
    warnings = (*_left_out(sides), *_unlike(sides), *machines, *_limits(sides), *_damage(sides))
    return Comparison(tuple(sides), tuple(rows), warnings, tuple(compared), alpha, len(ps))


def _judged_as(metric: Metric, place: tuple["_Row", int], alpha: float) -> Better:
    """Return what is better of `metric` on one more side: neither, where the rate alone moved it."""
    row, index = place
    seconds = row.seconds[index]
    if seconds is None:
        return metric.better
    samples = row.samples[index]
    assert samples is not None, "what has a second figure has a first"
    first, second = (
        answers.decide(answers.hold(each, alpha), each, better, alpha, 1).answer
        for each, better in ((samples, metric.better), (seconds, "less"))
    )
    return metric.better if first is second else "neither"


def _left(side: AnySide) -> float:
    """Return what the last look at a run may leave out of its intervals."""
    if side.run.most_blocks is None:
        return stats.ALPHA
    blocks = max((trial.block for trial in side.run.trials if trial.block is not None), default=0)
    return looks.alpha_at(min(blocks, side.run.most_blocks), side.run.most_blocks) or stats.ALPHA


@dataclass(frozen=True, slots=True)
class _Row:
    """The values of one metric on each side, and the samples of the later sides with the first's."""

    values: Sequence[Sequence[float]]
    samples: Sequence[Samples | None]
    """None where either has no value, or the metric is refused."""
    seconds: Sequence[Samples | None]
    """Of a figure that the rate moves: those of what it does not move; None elsewhere."""
    instead: str | None
    is_count: bool
    mixed: Sequence[bool]
    """For each side, whether its figure is an average over the cliff, which is quoted nowhere."""

    def median(self, side: int, alpha: float) -> Estimate | None:
        """Return the median of a side; None where there is none to quote."""
        if not self.values[side] or self.mixed[side]:
            return None
        return stats.median_interval(self.values[side], alpha, self.is_count)


def _draw(metric: Metric, sides: Sequence[AnySide]) -> _Row:
    counted = [side.counted_for(metric) for side in sides]
    trials = [trial for each in counted for trial in each]
    figures = [claims.figures(metric, each, trials) for each in counted]
    values = [[value for _, value in each] for each in figures]
    instead = cliff.metric_instead(metric, trials)
    samples: list[Samples | None] = [None] * (len(sides) - 1)
    seconds: list[Samples | None] = [None] * (len(sides) - 1)
    others = [_second_figures(metric, side, each) for side, each in zip(sides, figures, strict=True)]
    if instead is None and values[0]:
        for index, side in enumerate(sides[1:], 1):
            if values[index]:
                together = are_interleaved(sides[0], side)
                samples[index - 1] = draw_samples(figures[0], figures[index], together)
                if others[0] and others[index]:
                    seconds[index - 1] = draw_samples(others[0], others[index], together)
    mixed = [claims.sample(side.trials, metric).standing is Standing.MIXED for side in sides]
    return _Row(values, samples, seconds, instead, metric.is_count, mixed)


def _second_figures(metric: Metric, side: AnySide, figures: Figures) -> Figures:
    """Return what must say the same as `figures`, of the same trials; nothing where one of them has none."""
    found = [(trial, reuse.second_figure(side, metric, trial)) for trial, _ in figures]
    known = [(trial, value) for trial, value in found if value is not None]
    return known if len(known) == len(found) else []


def draw_samples(first: Figures, later: Figures, together: bool) -> Samples:
    """Return the values in pairs, where the trials were run in blocks and enough blocks are whole.

    `together`: the trials of both are of the same blocks.
    """
    if together:
        old, new = _by_block(first), _by_block(later)
        blocks = [block for block in old if block in new]
        if len(blocks) >= answers.FEWEST_PAIRS:
            return Samples([old[each] for each in blocks], [new[each] for each in blocks], paired=True)
    return Samples([value for _, value in first], [value for _, value in later])


def _by_block(figures: Figures) -> dict[int, float]:
    return {trial.block: value for trial, value in figures if trial.block is not None}


def _corrected(
    ps: Mapping[tuple[Metric, int], float], drawn: Mapping[Metric, _Row]
) -> dict[tuple[Metric, int], float]:
    """Return the p corrected for one another; rows with the same values are one test."""
    kinds: dict[tuple[int, tuple[float, ...]], list[tuple[Metric, int]]] = {}
    for metric, index in ps:
        samples = drawn[metric].samples[index]
        assert samples is not None, "what has a p has samples"
        kinds.setdefault((index, (*samples.old, *samples.new)), []).append((metric, index))
    adjusted = stats.false_discovery([ps[keys[0]] for keys in kinds.values()])
    return {key: p for keys, p in zip(kinds.values(), adjusted, strict=True) for key in keys}


def _first(row: _Row, alpha: float) -> Cell:
    values = tuple(row.values[0])
    if not values:
        return Cell(None)
    return Cell(row.median(0, alpha), answer=Answer.BASELINE, values=values, alpha=alpha)


def _apart(row: _Row, side: int, alpha: float) -> Cell:
    """Return the cell of a side that is not compared."""
    estimate, values = row.median(side, alpha), tuple(row.values[side])
    if row.instead is not None and values:
        return Cell(estimate, answer=Answer.REFUSED, instead=row.instead, values=values, alpha=alpha)
    return Cell(estimate, values=values, alpha=alpha)


def _left_out(sides: Sequence[AnySide]) -> list[str]:
    """Return which trials count for nothing, or for counts and CPU only, and why."""
    lines = []
    for side in sides:
        for trial in side.trials:
            reasons = sorted(claims.void_reasons(trial))
            if side.run.kind == "watch" and trial.interrupted:
                lines.append(
                    f"{side.name}: the last stretch is left out: it lasted {trial.window_s:.0f} s only"
                )
            elif reasons:
                what = " of rates and times" if trial in side.counted_for(_A_COUNT) else ""
                lines.append(f"{side.name}: trial {trial.trial} is left out{what} ({', '.join(reasons)})")
        if not side.counted:
            lines.append(f"{side.name}: no trial counts; there are no rates and times to compare")
    return lines


def _unlike(sides: Sequence[AnySide]) -> list[str]:
    """Return a warning where the sides differ in more than one thing: any of them may be the cause."""
    # How many machines each role has is told with what else their machines differ in.
    different = {key: row for key, row in differences(sides).items() if key not in MACHINE_COUNTS}
    if len(different) < 2:
        return []
    rows = [f"{key} ({' | '.join(str(value) for value in row)})" for key, row in different.items()]
    return [f"the sides differ in {len(rows)} things: {'; '.join(rows)}"]


def _limits(sides: Sequence[AnySide]) -> list[str]:
    """Return what recordings of a watch cannot show."""
    if len(sides) < 2 or any(side.run.kind != "watch" for side in sides):
        return []
    return list(recordings.warn(sides[0].case, [side.name for side in sides], [side.run for side in sides]))


def _damage(sides: Sequence[AnySide]) -> list[str]:
    lines = (line for side in sides for line in (*side.run.damage, *side.series.damage))
    return list(dict.fromkeys(lines))
