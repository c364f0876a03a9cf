"""Sides compared with the first of them, figure by figure: ratio, difference, interval and test. Pure.

A difference has one of three answers, as in Go's benchstat: it shows (p at most 0.05), it does not (`~`), or
there are too few trials for a test.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bench.analysis import claims, metrics, stats
from bench.analysis.metrics import METRICS, Metric
from bench.analysis.sides import AnySide, differences
from bench.analysis.stats import Estimate

_A_COUNT = Metric("errors", "")


class Answer(StrEnum):
    """Whether a difference shows."""

    DIFFERS = "differs"
    SAME = "~"
    TOO_FEW = "too few"
    UNMEASURED = "-"


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure of one side, and how it stands to the first side's."""

    estimate: Estimate | None
    """Median over the counted trials; None where the figure was not measured."""
    difference: float | None = None
    """This median less the first side's, in the metric's unit."""
    ratio: Estimate | None = None
    """To the first side, Hodges-Lehmann; None where either has values of 0."""
    p: float | None = None
    answer: Answer = Answer.UNMEASURED


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One metric: a cell for each side, the first side's without a comparison."""

    metric: Metric
    cells: tuple[Cell, ...]

    @property
    def is_telling(self) -> bool:
        """Return whether the row is worth reading: 0 on every side is, only where it counts errors."""
        centers = [cell.estimate.center for cell in self.cells if cell.estimate is not None]
        return any(centers) or self.metric.key == "errors"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Sides in their order, a row for each figure that any of them has, and the warnings."""

    sides: tuple[AnySide, ...]
    rows: tuple[MetricRow, ...]
    warnings: tuple[str, ...]
    metrics: tuple[Metric, ...]
    """What was compared; a metric that no side has is without a row."""

    def row(self, key: str) -> MetricRow:
        """Return the row of the metric called `key`, with empty cells where no side has it."""
        metric = metrics.named(key, self.metrics)
        empty = MetricRow(metric, tuple(Cell(None) for _ in self.sides))
        return next((row for row in self.rows if row.metric == metric), empty)

    def to_json(self) -> dict[str, Any]:
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
            "rows": [
                {
                    "metric": row.metric.key,
                    "unit": row.metric.unit,
                    "cells": [dataclasses.asdict(cell) for cell in row.cells],
                }
                for row in self.rows
            ],
            "warnings": list(self.warnings),
        }


def compare(sides: Sequence[AnySide], compared: Sequence[Metric] = METRICS) -> Comparison:
    """Return how the second and later `sides` stand to the first in the `compared` metrics."""
    rows = tuple(row for metric in compared if (row := _row(metric, sides)) is not None)
    warnings = (*_left_out(sides), *_unlike(sides), *_damage(sides))
    return Comparison(tuple(sides), rows, warnings, tuple(compared))


def _row(metric: Metric, sides: Sequence[AnySide]) -> MetricRow | None:
    samples = [metrics.values(metric, side.counted_for(metric)) for side in sides]
    if not any(samples):
        return None
    return MetricRow(metric, tuple(_cell(samples[0], sample, index) for index, sample in enumerate(samples)))


def _cell(first: list[float], sample: list[float], index: int) -> Cell:
    if not sample:
        return Cell(None)
    estimate = stats.median_interval(sample)
    if index == 0 or not first:
        return Cell(estimate)
    difference = estimate.center - stats.median_interval(first).center
    ratio = stats.ratio(first, sample) if min(*first, *sample, 1) > 0 else None
    if set(first) == set(sample) and len(set(first)) == 1:
        return Cell(estimate, difference, ratio, None, Answer.SAME)
    if not stats.can_differ(len(first), len(sample)):
        return Cell(estimate, difference, ratio, None, Answer.TOO_FEW)
    p = stats.mann_whitney(first, sample)
    return Cell(estimate, difference, ratio, p, Answer.DIFFERS if p <= stats.ALPHA else Answer.SAME)


def _left_out(sides: Sequence[AnySide]) -> list[str]:
    """Return which trials count for nothing, or for counts and CPU only, and why."""
    lines = []
    for side in sides:
        for trial in side.trials:
            reasons = sorted(claims.void_reasons(trial))
            if reasons:
                what = " of rates and times" if trial in side.counted_for(_A_COUNT) else ""
                lines.append(f"{side.name}: trial {trial.trial} is left out{what} ({', '.join(reasons)})")
        if not side.counted:
            lines.append(f"{side.name}: no trial counts; there are no rates and times to compare")
    return lines


def _unlike(sides: Sequence[AnySide]) -> list[str]:
    """Return a warning where the sides differ in more than one thing: any of them may be the cause."""
    different = differences(sides)
    if len(different) < 2:
        return []
    rows = [f"{key} ({' | '.join(str(value) for value in row)})" for key, row in different.items()]
    return [f"the sides differ in {len(rows)} things: {'; '.join(rows)}"]


def _damage(sides: Sequence[AnySide]) -> list[str]:
    lines = (line for side in sides for line in (*side.run.damage, *side.series.damage))
    return list(dict.fromkeys(lines))
