"""Sparse histograms of times: value in microseconds -> count. Pure.

A percentile is the nearest-rank one: the smallest recorded value with at least that share of the
values at or below it (Hyndman and Fan 1996, definition 1), as HdrHistogram computes it.
"""

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from operator import itemgetter

from bench.runs.record import Percentiles

_POINTS_PER_DECADE = 24


def merge(histograms: Iterable[Mapping[int, int]]) -> dict[int, int]:
    """Return the sum of `histograms`."""
    total: Counter[int] = Counter()
    for histogram in histograms:
        total.update(histogram)
    return total


def percentile(counts: Mapping[int, int], percent: float) -> int | None:
    """Return the value in microseconds at `percent` (0 to 100); None for an empty histogram."""
    return _at(_cumulated(counts), percent)


def percentiles_ms(counts: Mapping[int, int]) -> Percentiles:
    """Return the percentiles that a trial reports, in milliseconds; None throughout when empty."""
    cumulated = _cumulated(counts)
    p50, p90, p99, p99_9, highest = (_ms(_at(cumulated, p)) for p in (50, 90, 99, 99.9, 100))
    return Percentiles(p50, p90, p99, p99_9, highest)


def curve(counts: Mapping[int, int]) -> list[tuple[float, float]]:
    """Return latency by percentile as (share of requests that were slower, milliseconds) pairs.

    The shares fall from 1 in even steps of their logarithm, down to one request of all.
    """
    cumulated = _cumulated(counts)
    if not cumulated:
        return []
    total = cumulated[-1][1]
    steps = math.ceil(math.log10(total) * _POINTS_PER_DECADE)
    shares = [10 ** (-step / _POINTS_PER_DECADE) for step in range(steps)] + [1 / total]
    points = ((share, _at(cumulated, 100 * (1 - share))) for share in shares)
    return [(share, value / 1000) for share, value in points if value is not None]


def _cumulated(counts: Mapping[int, int]) -> list[tuple[int, int]]:
    values_us = sorted(value_us for value_us, count in counts.items() if count > 0)
    return list(zip(values_us, accumulate(map(counts.__getitem__, values_us)), strict=True))


def _at(cumulated: Sequence[tuple[int, int]], percent: float) -> int | None:
    if not cumulated:
        return None
    # Rounded first: 99.9 % of 1000 is 999.0000000000001 in floating point, and must not mean the 1000th.
    rank = max(1, math.ceil(round(percent / 100 * cumulated[-1][1], 6)))
    return cumulated[bisect_left(cumulated, rank, key=itemgetter(1))][0]


def _ms(value_us: int | None) -> float | None:
    return None if value_us is None else value_us / 1000
