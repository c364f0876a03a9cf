"""The trials of a scenario's run by case, and the median and spread of a figure over them. Pure."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bench.analysis import metrics
from bench.runs.record import ScenarioRun, ScenarioTrial


class Spread(NamedTuple):
    """A figure over the trials of a case: the median, the least and the greatest."""

    median: float
    least: float
    greatest: float


@dataclass(frozen=True, slots=True)
class CaseTrials:
    """The trials of one case: one variant on one subject."""

    variant: str
    subject: str
    trials: tuple[ScenarioTrial, ...]

    @property
    def name(self) -> str:
        """Return the name of the case in tables and pictures."""
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
        found = [metrics.figure(trial, key) for trial in self.counted]
        values = [value for value in found if value is not None]
        if not values:
            return None
        return Spread(statistics.median(values), min(values), max(values))


@dataclass(frozen=True, slots=True)
class Summary:
    """A run as its cases, in the order of its plan."""

    rows: tuple[CaseTrials, ...]

    @classmethod
    def of(cls, run: ScenarioRun) -> "Summary":
        """Group the trials of `run` by case."""
        grouped: dict[tuple[str, str], list[ScenarioTrial]] = {}
        for trial in sorted(run.trials, key=lambda trial: trial.trial):
            grouped.setdefault((trial.variant, trial.subject.name), []).append(trial)
        return cls(
            tuple(
                CaseTrials(variant, subject, tuple(trials)) for (variant, subject), trials in grouped.items()
            )
        )

    def row(self, variant: str, subject: str | None = None) -> CaseTrials | None:
        """Return the row of `variant` on `subject`, by default its first one; None where there is none."""
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

    def of_subject(self, subject: str) -> Sequence[CaseTrials]:
        """Return the rows of one subject."""
        return [row for row in self.rows if row.subject == subject]
