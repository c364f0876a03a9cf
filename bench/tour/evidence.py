"""What a claim is judged by: the figures of its cases over the trials of one run, and a verdict. Pure.

The sentence of a verdict names figures (`{short[time_wait]}`) and quotes none: whoever shows it fills in what
the table below it shows.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from bench.analysis import claims
from bench.analysis.claims import Sample, Standing
from bench.analysis.metrics import Metric
from bench.runs.record import TrialRecord

_A_COUNT = Metric("hops.back.opened", "")
_UNCOUNTED = "was not counted"
CLEAR = 1.25
"""From which ratio on a difference is told from the noise of single short trials."""


class ClaimVerdict(StrEnum):
    """What becomes of a claim."""

    TRUE = "True"
    FALSE = "False"
    DEPENDS = "It depends"
    UNMEASURED = "Not measured here"


@dataclass(frozen=True, slots=True)
class Ruling:
    """A verdict, and why."""

    verdict: ClaimVerdict
    why: str
    """A template, in which `{CASE[FIGURE]}` stands for a cell of the table."""
    is_partial: bool = False
    """Whether a part of the claim could not be decided, and the verdict is on the rest."""


@dataclass(frozen=True, slots=True)
class ClaimFigure:
    """A figure that a claim is judged by: a row of its table."""

    label: str
    key: str
    """Its path in a trial's line, as `bench.analysis.metrics.Metric` has it."""
    unit: str = ""
    instead: str | None = None
    """The path to take where the trials of a case have nothing at `key`."""
    only: tuple[str, ...] = ()
    """The cases that it is asked of; none: all. Of others it means something else, or nothing."""
    is_needed: bool = True
    absent: str = _UNCOUNTED
    """Why it is missing where the trials count, in half a sentence."""
    is_yes_or_no: bool = False
    """Whether it is 1 or 0 for each trial, and shown as a word."""

    def is_asked_of(self, case: str) -> bool:
        """Return whether it is told of `case`."""
        return not self.only or case in self.only

    def is_needed_of(self, case: str) -> bool:
        """Return whether there is no verdict without it."""
        return self.is_needed and self.is_asked_of(case)


@dataclass(frozen=True, slots=True)
class Evidence:
    """The trials of each case that a claim is about, and the figures that are looked at."""

    cases: Mapping[str, Sequence[TrialRecord]]
    figures: Mapping[str, ClaimFigure]
    refused: Mapping[str, str] = field(default_factory=dict)
    """Cases that could not be measured, and why."""

    def sample(self, case: str, figure: str) -> Sample:
        """Return a figure over the trials of a case, with what it is worth."""
        wanted, trials = self.figures[figure], self.cases.get(case, ())
        found = claims.sample(trials, Metric(wanted.key, wanted.unit))
        if wanted.instead is None or found.standing is not Standing.MISSING:
            return found
        return claims.sample(trials, Metric(wanted.instead, wanted.unit))

    def value(self, case: str, figure: str) -> float | None:
        """Return the median of a figure; None where there is none that counts."""
        return self.sample(case, figure).median

    def get(self, case: str, figure: str) -> float:
        """Return the median of a figure that is needed."""
        value = self.value(case, figure)
        assert value is not None, f"{figure} of {case} is needed, and `find_lack` looked for it"
        return value

    def select(self, cases: Collection[str]) -> "Evidence":
        """Return the evidence of some of the cases."""
        return replace(self, cases={case: trials for case, trials in self.cases.items() if case in cases})

    def count(self, case: str) -> int:
        """Return how many trials of a case count in full."""
        return sum(map(claims.counts, self.cases[case]))

    def count_standing(self, case: str) -> int:
        """Return of how many trials of a case the counts and the CPU stand, whatever the rates are worth."""
        return sum(claims.counts_for(trial, _A_COUNT) for trial in self.cases[case])

    @property
    def trials(self) -> list[TrialRecord]:
        """Return the trials of all cases."""
        return [trial for trials in self.cases.values() for trial in trials]

    def is_more(self, figure: str, case: str, other: str) -> bool:
        """Return whether each trial of `case` has clearly more of `figure` than any of `other`."""
        more, less = self.sample(case, figure).quoted, self.sample(other, figure).quoted
        return bool(more and less) and min(more) > 0 and min(more) >= CLEAR * max(less)

    def find_lack(self, *wanted: str) -> str | None:
        """Return what is missing for a verdict, and why, in a sentence; None where nothing is.

        Looks at the figures `wanted`; without any, at all that a verdict needs.
        """
        for case in self.cases:
            for name, figure in self.figures.items():
                is_asked = name in wanted and figure.is_asked_of(case)
                is_wanted = is_asked if wanted else figure.is_needed_of(case)
                if is_wanted and self.value(case, name) is None:
                    return self._explain_lack(case, name)
        return None

    def find_reservation(self) -> str | None:
        """Return that counts and CPU alone bear the verdict, and why; None where all figures count."""
        bare = [case for case, trials in self.cases.items() if trials and not self.count(case)]
        if not bare:
            return None
        causes = claims.explain(trial for case in bare for trial in self.cases[case])
        return f"Rates and times are void, since {causes}; counts and CPU stand, and bear the verdict."

    def _explain_lack(self, case: str, name: str) -> str:
        trials = self.cases[case]
        if not trials:
            reason = self.refused.get(case)
            return f"There is no trial of {case}{f': {reason}' if reason else ''}."
        figure, standing = self.figures[name], self.sample(case, name).standing
        what = f"The figure '{figure.label}' of {case}"
        if standing is Standing.VOID:
            return f"{what} counts for nothing, since {claims.explain(trials)}."
        if standing is Standing.MIXED:
            return f"{what} is an average over the moment when half of the ports were used."
        causes = [figure.absent] if figure.absent != _UNCOUNTED else []
        causes += [claims.explain(trials)] if not all(map(claims.counts, trials)) else []
        return f"{what} is missing: {'; '.join(causes) or _UNCOUNTED}."
