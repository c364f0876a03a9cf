"""The trials of a run, by case: what a figure was over them. Pure; no text."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from typing import Any, NamedTuple

from bench.runs.record import ScenarioRun, ScenarioTrial


class Spread(NamedTuple):
    """A figure over the trials of a case: the median, the least and the greatest."""

    median: float
    least: float
    greatest: float


@dataclass(frozen=True, slots=True)
class Row:
    """The trials of one case: one way on one subject."""

    variant: str
    subject: str
    trials: tuple[ScenarioTrial, ...]

    @property
    def name(self) -> str:
        """Return how tables and pictures call it."""
        return self.variant if self.subject == "direct" else f"{self.variant}, {self.subject}"

    @property
    def counted(self) -> tuple[ScenarioTrial, ...]:
        """Return the trials that ended by themselves: all but the interrupted ones."""
        return tuple(trial for trial in self.trials if not trial.interrupted)

    def value(self, key: str) -> float | None:
        """Return the median of the figure at `key` (keys joined by dots); None where it was not measured."""
        spread = self.spread(key)
        return None if spread is None else spread.median

    def spread(self, key: str) -> Spread | None:
        """Return the figure at `key` over the counted trials; None where no trial has it."""
        found = [figure(trial, key) for trial in self.counted]
        values = [value for value in found if value is not None]
        if not values:
            return None
        return Spread(statistics.median(values), min(values), max(values))


@dataclass(frozen=True, slots=True)
class Summary:
    """A run as its rows, in the order of its plan."""

    rows: tuple[Row, ...]

    @classmethod
    def of(cls, run: ScenarioRun) -> Summary:
        """Group the trials of `run` by case."""
        grouped: dict[tuple[str, str], list[ScenarioTrial]] = {}
        for trial in sorted(run.trials, key=lambda trial: trial.trial):
            grouped.setdefault((trial.variant, trial.subject.name), []).append(trial)
        return cls(
            tuple(Row(variant, subject, tuple(trials)) for (variant, subject), trials in grouped.items())
        )

    def row(self, variant: str, subject: str | None = None) -> Row | None:
        """Return the row of `way` on `subject`; without a subject its first row. None where there is none."""
        for row in self.rows:
            if row.variant == variant and subject in (None, row.subject):
                return row
        return None

    def value(self, key: str, variant: str, subject: str | None = None) -> float | None:
        """Return the median of a figure of one row; None where either is not there."""
        row = self.row(variant, subject)
        return None if row is None else row.value(key)

    @property
    def subjects(self) -> tuple[str, ...]:
        """Return the subjects, each once."""
        return tuple(dict.fromkeys(row.subject for row in self.rows))

    def of_subject(self, subject: str) -> Sequence[Row]:
        """Return the rows of one subject."""
        return [row for row in self.rows if row.subject == subject]


def figure(trial: ScenarioTrial, key: str) -> float | None:
    """Return the number at `key` of a trial, its keys joined by dots; None where there is none."""
    value: Any = trial
    for name in key.split("."):
        if isinstance(value, Mapping):
            value = value.get(name)
        elif is_dataclass(value):
            value = getattr(value, name)
        else:
            return None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
