"""The highest rate at which a requirement holds, from trials that answer yes or no with errors. Pure.

Bayesian adaptive estimation of a threshold, as psychophysics has it: a trial at a rate holds with a chance
that falls from 1 to 0 around the threshold (a normal distribution over the logarithm of the rate), as steeply
as trials are alike. Threshold and steepness are both unknown; what is believed of them is updated with each
answer, and the next trial is made near its median (Watson and Pelli, QUEST: A Bayesian adaptive psychometric
method, Perception & Psychophysics 33, 1983; Kontsevich and Tyler, Bayesian adaptive estimation of
psychometric slope and threshold, Vision Research 39, 1999). The threshold is the rate at which a trial holds
as often as not.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

CONFIDENCE = 0.95
_STEPS = 600
_SPREADS = tuple(0.004 * 2 ** (step / 2) for step in range(12))
"""How far trials of one rate differ, as a share of it: from 0.4 % to 18 %."""
_ASKED = (0.3, 0.7)
"""Quantiles of the belief, in turn: on both sides of its median an answer tells of the steepness as well."""
_LAPSE = 0.01
"""The chance of an answer that has nothing to do with the rate."""
_AGREE = 2
"""Answers of one kind, more than of the other, that settle an end of the range."""
_MOST_VOID = 4
"""Trials without an answer, one after the other, that end a search."""


class SearchOutcome(StrEnum):
    """How a search ended, or that it has not."""

    FOUND = "found"
    NEVER = "never"
    """It does not hold at the lowest rate."""
    ALWAYS = "always"
    """It holds at the highest rate."""
    CANNOT_TELL = "cannot tell"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Reply:
    """What a trial says; `holds` is None where it does not count."""

    rate: float
    holds: bool | None


@dataclass(frozen=True, slots=True)
class SearchRange:
    """Where to look, and how closely."""

    low: float
    high: float
    within: float
    """Width of the interval that ends the search, as a share of the rate."""
    most_trials: int


@dataclass(frozen=True, slots=True)
class Threshold:
    """The highest rate at which the requirement holds, as far as it is known."""

    outcome: SearchOutcome
    next_rate: float | None
    """What to try next; None where nothing is."""
    rate: float | None = None
    low: float | None = None
    high: float | None = None


def assess(replies: Sequence[Reply], where: SearchRange) -> Threshold:
    """Return what `replies` say, and the rate to try next.

    First the lowest rate, then twice as much each time until it does not hold, then the median of the belief.
    """
    void = next(
        (index for index, each in enumerate(reversed(replies)) if each.holds is not None), len(replies)
    )
    told = [each for each in replies if each.holds is not None]
    spent = len(replies) >= where.most_trials or void >= _MOST_VOID
    lead = _lead(told, where.low)
    if lead <= -_AGREE:
        return Threshold(SearchOutcome.NEVER, None, None, None, where.low)
    if lead < 1:
        return (
            Threshold(SearchOutcome.CANNOT_TELL, None) if spent else Threshold(SearchOutcome.OPEN, where.low)
        )
    failing = min((each.rate for each in told if not each.holds and each.rate > where.low), default=None)
    if failing is None:
        return _climb(told, where, spent)
    if failing >= where.high and _lead(told, where.high) >= _AGREE:
        return Threshold(SearchOutcome.ALWAYS, None, None, where.high)
    return _bisect(told, where, spent)


def _lead(told: Sequence[Reply], rate: float) -> int:
    """Return how many more trials at `rate` say that it holds than that it does not."""
    return sum(1 if each.holds else -1 for each in told if each.rate == rate)


def _climb(told: Sequence[Reply], where: SearchRange, spent: bool) -> Threshold:
    """Return what is known while no rate has failed: the next is twice the highest that was tried."""
    highest = max(each.rate for each in told)
    if highest >= where.high and _lead(told, where.high) >= _AGREE:
        return Threshold(SearchOutcome.ALWAYS, None, None, where.high)
    if spent:
        return Threshold(SearchOutcome.CANNOT_TELL, None, None, highest)
    return Threshold(SearchOutcome.OPEN, min(where.high, highest * 2), None, highest)


def _bisect(told: Sequence[Reply], where: SearchRange, spent: bool) -> Threshold:
    import numpy  # noqa: PLC0415
    from scipy.special import ndtr  # noqa: PLC0415

    thetas = numpy.linspace(math.log(where.low), math.log(where.high), _STEPS)
    spreads = numpy.array(_SPREADS)[:, None]
    belief = numpy.zeros((len(_SPREADS), _STEPS))
    for each in told:
        chance = _LAPSE / 2 + (1 - _LAPSE) * ndtr((thetas - math.log(each.rate)) / spreads)
        belief += numpy.log(chance if each.holds else 1 - chance)
    weights = numpy.exp(belief - belief.max()).sum(axis=0)
    passed = numpy.cumsum(weights) / weights.sum()
    outside = (1 - CONFIDENCE) / 2
    shares = (outside, 0.5, 1 - outside, _ASKED[len(told) % 2])
    low, median, high, next_rate = (math.exp(numpy.interp(share, passed, thetas)) for share in shares)
    if high / low - 1 <= where.within:
        return Threshold(SearchOutcome.FOUND, None, median, low, high)
    if spent:
        return Threshold(SearchOutcome.CANNOT_TELL, None, median, low, high)
    return Threshold(SearchOutcome.OPEN, next_rate, median, low, high)
