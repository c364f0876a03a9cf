"""The trials of a scenario's run by case, and the median and spread of a figure over them. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from bench.analysis import claims, compare, sides, stats
from bench.analysis.claims import Sample
from bench.analysis.metrics import Metric
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
        """Return the trials whose figures all count."""
        return tuple(filter(claims.counts, self.trials))

    def sample(self, key: str) -> Sample:
        """Return the figure at `key` (keys joined by dots) over the trials, with what it is worth."""
        return claims.sample(self.trials, Metric(key, ""))

    def value(self, key: str) -> float | None:
        """Return the median of the figure at `key`; None where there is none that counts."""
        return self.sample(key).median

    def spread(self, key: str) -> Spread | None:
        """Return the figure at `key` over the trials that count for it; None where there are none."""
        sample = self.sample(key)
        if sample.median is None:
            return None
        return Spread(sample.median, min(sample.quoted), max(sample.quoted))

    def ratio_to(self, base: "CaseTrials", key: str) -> float | None:
        """Return the figure at `key` as a ratio to that of `base`, as a comparison estimates it."""
        if self.value(key) is None or base.value(key) is None:
            return None
        metric = Metric(key, "")
        first, later = (
            claims.figures(metric, counted, counted)
            for case in (base, self)
            for counted in [[trial for trial in case.trials if claims.counts_for(trial, metric)]]
        )
        samples = compare.draw_samples(first, later, together=True)
        return samples.ratio(stats.ALPHA).center if samples.is_positive else None


@dataclass(frozen=True, slots=True)
class Summary:
    """A run as its cases, in the order of its plan."""

    rows: tuple[CaseTrials, ...]

    @classmethod
    def of(cls, run: ScenarioRun) -> "Summary":
        """Group the trials of `run` by case."""
        grouped: dict[tuple[str, str], list[ScenarioTrial]] = {}
        for trial in sorted(run.trials, key=partial(sides.rank, run.plan)):
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
