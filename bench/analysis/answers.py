"""What two samples of one figure answer: better, worse, no difference shown, or cannot tell. Pure.

A difference shows where its test, corrected for the other rows of its comparison, is significant. Where none
shows, the interval says how large a difference would have been missed. Where that is more than `MARGIN`, the
answer is that these trials cannot tell, and how many more would.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypedDict

from bench.analysis import stats
from bench.analysis.metrics import Better
from bench.analysis.stats import Estimate

MARGIN = 0.10
"""The largest X, as a share of the first side, that "no difference larger than X shown" is said of."""
FEWEST_PAIRS = 10
"""Pairs from which pairs are compared: of fewer, ranks of pairs can hardly show what ranks of trials can."""
MOST_MORE = 100_000


class Answer(StrEnum):
    """What a comparison says of one figure of one side."""

    BASELINE = "baseline"
    BETTER = "better"
    WORSE = "worse"
    HIGHER = "higher"
    LOWER = "lower"
    NO_DIFFERENCE = "no difference"
    CANNOT_TELL = "cannot tell"
    NOT_MEASURED = "not measured"
    REFUSED = "refused"

    @property
    def differs(self) -> bool:
        """Return whether it says that there is a difference."""
        return self in (Answer.BETTER, Answer.WORSE, Answer.HIGHER, Answer.LOWER)


class CellJson(TypedDict):
    """One figure of one side in the JSON of a comparison; the keys are those of a Cell."""

    estimate: Estimate | None
    difference: Estimate | None
    ratio: Estimate | None
    p: float | None
    answer: Answer
    no_more_than: float | None
    more_trials: int | None
    instead: str | None
    pairs: int | None


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure of one side, and how it stands to the first side's."""

    estimate: Estimate | None
    """Median over the counted trials; None where the figure was not measured."""
    difference: Estimate | None = None
    """To the first side, in the metric's unit: Hodges-Lehmann, over pairs where there are pairs."""
    ratio: Estimate | None = None
    """The same as a ratio; None where either side has values of 0."""
    p: float | None = None
    """Of the test that there is no difference, corrected for the other rows and sides."""
    answer: Answer = Answer.NOT_MEASURED
    no_more_than: float | None = None
    """The largest difference that the interval leaves open: as a share of the first side, or, where there is
    no ratio, in the metric's unit."""
    more_trials: int | None = None
    """Where the trials cannot tell: how many more a side would, about."""
    instead: str | None = None
    """Where the metric is refused: the one to compare."""
    pairs: int | None = None
    """Pairs that were compared; None: the sides' trials were compared without pairs."""
    values: tuple[float, ...] = ()
    """The figure of each trial that counts."""
    samples: "Samples | None" = None
    """What was compared."""
    alpha: float = stats.ALPHA
    """What the intervals leave out."""

    def to_json(self) -> CellJson:
        """Return it without the trials' own values."""
        return {
            "estimate": self.estimate,
            "difference": self.difference,
            "ratio": self.ratio,
            "p": self.p,
            "answer": self.answer,
            "no_more_than": self.no_more_than,
            "more_trials": self.more_trials,
            "instead": self.instead,
            "pairs": self.pairs,
        }


@dataclass(frozen=True, slots=True)
class Samples:
    """A figure of two sides, in pairs where both were measured block by block."""

    old: Sequence[float]
    new: Sequence[float]
    paired: bool = False

    @property
    def is_positive(self) -> bool:
        """Return whether there is a ratio: all values are above 0."""
        return min(*self.old, *self.new) > 0

    @property
    def are_equal(self) -> bool:
        """Return whether all values are one and the same."""
        return len({*self.old, *self.new}) == 1

    def times(self, factor: float) -> "Samples":
        """Return the same with the old values multiplied by `factor`."""
        return replace(self, old=[value * factor for value in self.old])

    def ratio(self, alpha: float) -> Estimate:
        """Return the estimate of new / old and its interval."""
        estimate = stats.paired_ratio if self.paired else stats.ratio
        return estimate(self.old, self.new, alpha)

    def difference(self, alpha: float) -> Estimate:
        """Return the estimate of new - old and its interval."""
        estimate = stats.paired_shift if self.paired else stats.shift
        return estimate(self.old, self.new, alpha)

    def can_differ(self, alpha: float) -> bool:
        """Return whether so many values can show a difference at all."""
        if self.paired:
            return len(self.old) >= stats.fewest(alpha, paired=True)
        return stats.can_differ(len(self.old), len(self.new), alpha)

    def p(self, alternative: stats.Alternative = "two-sided", bound: float = 1.0) -> float:
        """Return the p of the test that new is `bound` times old, against an alternative."""
        old = [value * bound for value in self.old]
        if not self.paired:
            return stats.mann_whitney(old, self.new, alternative)
        if min(*old, *self.new) > 0:  # a ratio is a difference of logarithms
            return stats.signed_rank([*map(math.log, old)], [*map(math.log, self.new)], alternative)
        return stats.signed_rank(old, self.new, alternative)


def hold(samples: Samples, alpha: float, is_count: bool = False) -> Cell:
    """Return what `samples` show by themselves: estimates and, not corrected yet, p."""
    estimate = stats.median_interval(samples.new, alpha, is_count)
    ratio = samples.ratio(alpha) if samples.is_positive else None
    p = samples.p() if samples.can_differ(alpha) and not samples.are_equal else None
    pairs = len(samples.new) if samples.paired else None
    return Cell(
        estimate,
        samples.difference(alpha),
        ratio,
        p,
        Answer.CANNOT_TELL,
        pairs=pairs,
        values=tuple(samples.new),
        samples=samples,
        alpha=alpha,
    )


def decide(cell: Cell, samples: Samples, better: Better, alpha: float, tests: int) -> Cell:
    """Return `cell`, whose p is one of `tests` and has been corrected for them, with its answer."""
    if samples.are_equal:
        return replace(cell, answer=Answer.NO_DIFFERENCE, no_more_than=0.0)
    if cell.p is not None and cell.p <= alpha:
        return replace(cell, answer=_direction(cell, samples, better))
    if cell.difference is None or cell.difference.low is None:
        lacking = stats.fewest(alpha, paired=samples.paired) - min(len(samples.old), len(samples.new))
        return replace(cell, more_trials=max(1, lacking))
    span = _Span.of(cell, samples)
    if span.includes_none and span.most <= span.margin:
        return replace(cell, answer=Answer.NO_DIFFERENCE, no_more_than=span.shown(span.most))
    needed = span.trials_needed(alpha, tests)
    more = min(MOST_MORE, max(1, needed - min(len(samples.old), len(samples.new))))
    return replace(cell, no_more_than=span.shown(span.most), more_trials=more)


@dataclass(frozen=True, slots=True)
class _Span:
    """The interval of a difference, of logarithms where there is a ratio."""

    center: float
    low: float
    high: float
    margin: float
    n: int
    is_ratio: bool

    @classmethod
    def of(cls, cell: Cell, samples: Samples) -> "_Span":
        n = min(len(samples.old), len(samples.new))
        if cell.ratio is not None:
            center, low, high = (math.log(_known(end)) for end in _ends(cell.ratio))
            return cls(center, low, high, math.log1p(MARGIN), n, True)
        assert cell.difference is not None, "what is judged was estimated"
        size = max(abs(statistics.median(samples.old)), abs(statistics.median(samples.new)))
        center, low, high = (_known(end) for end in _ends(cell.difference))
        return cls(center, low, high, MARGIN * size, n, False)

    @property
    def includes_none(self) -> bool:
        """Return whether no difference at all is within it."""
        return self.low <= 0 <= self.high

    @property
    def most(self) -> float:
        """Return the end that is farther from no difference."""
        return max(-self.low, self.high)

    def shown(self, size: float) -> float:
        """Return a size as it is said: a share of the first side, or in the metric's unit."""
        return max(1 - math.exp(self.low), math.expm1(self.high)) if self.is_ratio else size

    def trials_needed(self, alpha: float, tests: int) -> int:
        """Return how many trials a side are about enough for an answer.

        An interval narrows with the root of the number of trials. It is narrow enough when it excludes no
        difference, corrected for all `tests`, or else when it lies within the margin: whichever comes first.
        """
        normal = statistics.NormalDist()
        half = (self.high - self.low) / 2
        sigma = half / normal.inv_cdf(1 - alpha / 2)
        corrected = sigma * normal.inv_cdf(1 - alpha / (2 * max(1, tests)))
        shares = [half / (self.margin - abs(self.center))] if abs(self.center) < self.margin else []
        shares += [corrected / abs(self.center)] if self.center else []
        share = min(shares, default=math.inf)
        return MOST_MORE if share > math.sqrt(MOST_MORE) else math.ceil(self.n * max(1.0, share) ** 2)


def _ends(estimate: Estimate) -> tuple[float | None, float | None, float | None]:
    return estimate.center, estimate.low, estimate.high


def _known(end: float | None) -> float:
    assert end is not None, "an estimate with an interval has both ends"
    return end


def _direction(cell: Cell, samples: Samples, better: Better) -> Answer:
    assert cell.difference is not None, "what was tested was estimated"
    change = cell.difference.center or statistics.fmean(samples.new) - statistics.fmean(samples.old)
    if better == "neither":
        return Answer.HIGHER if change > 0 else Answer.LOWER
    return Answer.BETTER if (change > 0) is (better == "more") else Answer.WORSE
