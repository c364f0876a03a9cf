"""Where a curve bends: Kneedle, with an interval from resampled trials. Pure.

Satopaa, Albrecht, Irwin and Raghavan, Finding a "Kneedle" in a Haystack: Detecting Knee Points in System
Behavior, ICDCS workshops 2011, with their sensitivity S = 1, on the medians of the points. The interval is
the bootstrap's (Efron and Tibshirani, An Introduction to the Bootstrap, chapter 13), over the trials of each
point.
"""

import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

FEWEST_POINTS = 4
_RESAMPLES = 400
_OUTSIDE = 0.025
_LEAST_CHANGE = 0.5
"""Of the largest value: where points have one trial each, a smaller change may be their scatter."""
_LEAST_BEND = 0.1
"""Of the distance of a curve from a straight line, both scaled to 1: what is straighter has no knee."""


@dataclass(frozen=True, slots=True)
class Knee:
    """The value of the axis at which a curve bends most, and what it does there."""

    at: float
    low: float | None
    """Between which values of the axis it lies in 95 % of the resamples, which of few trials are too much
    alike for a confidence of 95 %; None where a point has one trial only."""
    high: float | None
    kind: Literal["levels off", "takes off"]
    """Whether the curve is steep before the knee, or behind it."""


@dataclass(frozen=True, slots=True)
class Bend:
    """The knee of a curve, or why there is none."""

    knee: Knee | None
    reason: str = ""


def find(xs: Sequence[float], samples: Sequence[Sequence[float]], is_gain: bool = True) -> Bend:
    """Return where the medians of `samples` bend over `xs`, which rise; each has a value or more.

    A curve may have two knees, as an S has. Of one that gains the one where it levels off is named, of one
    that loses the one where it takes off, and the other one only where that is not there.
    """
    if len(xs) < FEWEST_POINTS:
        return Bend(None, f"{len(xs)} points are too few to see a bend: {FEWEST_POINTS} are needed")
    centers = [statistics.median(each) for each in samples]
    has_scatter = all(len(each) > 1 for each in samples)
    if not has_scatter and max(centers) - min(centers) < _LEAST_CHANGE * max(map(abs, centers)):
        return Bend(None, "one trial a cell does not tell so small a change from scatter")
    # As they are, also where a picture has a logarithmic axis: a pool of 16 costs 15 connections more than
    # one of 1. By doublings, a curve that still falls by half would be said to level off.
    places = [float(x) for x in xs]
    found = _kneedle(places, centers, is_gain)
    if found is None:
        return Bend(None, "the curve has no knee")
    index, kind = found
    if not has_scatter:
        return Bend(Knee(xs[index], None, None, kind))
    chance = random.Random(1)
    drawn = [
        _kneedle(places, [statistics.median(chance.choices(each, k=len(each))) for each in samples], is_gain)
        for _ in range(_RESAMPLES)
    ]
    indices = sorted(each[0] for each in drawn if each is not None and each[1] == kind)
    if len(indices) < (1 - 2 * _OUTSIDE) * _RESAMPLES:
        return Bend(None, "whether the curve has a knee cannot be told from so few trials, or so spread ones")
    outside = int(_OUTSIDE * len(indices))
    return Bend(Knee(xs[index], xs[indices[outside]], xs[indices[-1 - outside]], kind))


def _kneedle(
    xs: Sequence[float], ys: Sequence[float], is_gain: bool
) -> tuple[int, Literal["levels off", "takes off"]] | None:
    """Return the index of the knee and its kind; None where there is none."""
    if max(ys) == min(ys):
        return None
    scaled_x = [(x - xs[0]) / (xs[-1] - xs[0]) for x in xs]
    falls = ys[-1] < ys[0]
    low, span = min(ys), max(ys) - min(ys)
    scaled_y = [1 - (y - low) / span if falls else (y - low) / span for y in ys]
    above = [y - x for x, y in zip(scaled_x, scaled_y, strict=True)]
    below = [-each for each in above]
    kinds = ((above, "levels off"), (below, "takes off"))
    for distances, kind in kinds if is_gain else reversed(kinds):
        index = max(range(len(xs)), key=lambda place: distances[place])
        # A knee is one where the distance falls again, by the mean step of the axis (S = 1).
        threshold = distances[index] - 1 / (len(xs) - 1)
        if distances[index] >= _LEAST_BEND and 0 < index < len(xs) - 1 and distances[-1] < threshold:
            return index, ("levels off" if kind == "levels off" else "takes off")
    return None
