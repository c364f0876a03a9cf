"""Sparse histograms of times: value in microseconds -> count. Pure.

A percentile is the nearest-rank one: the smallest recorded value with at least that share of the
values at or below it (Hyndman and Fan 1996, definition 1), as HdrHistogram computes it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from bench.runs.record import Percentiles


def merge(histograms: Iterable[Mapping[int, int]]) -> dict[int, int]:
    """Return the sum of `histograms`."""
    total: dict[int, int] = {}
    for histogram in histograms:
        for value_us, count in histogram.items():
            total[value_us] = total.get(value_us, 0) + count
    return total


def percentile(counts: Mapping[int, int], percent: float) -> int | None:
    """Return the value in microseconds at `percent` (0 to 100); None for an empty histogram."""
    return _at(_cumulated(counts), percent)


def percentiles_ms(counts: Mapping[int, int]) -> Percentiles:
    """Return the percentiles that a trial reports, in milliseconds; None throughout when empty."""
    cumulated = _cumulated(counts)
    p50, p90, p99, p99_9, highest = (_ms(_at(cumulated, p)) for p in (50, 90, 99, 99.9, 100))
    return Percentiles(p50, p90, p99, p99_9, highest)


def curve(counts: Mapping[int, int], points_per_decade: int = 24) -> list[tuple[float, float]]:
    """Return latency by percentile as (share of requests that were slower, milliseconds) pairs.

    The shares fall from 1 in even steps of their logarithm, down to one request of all.
    """
    cumulated = _cumulated(counts)
    if not cumulated:
        return []
    total = cumulated[-1][1]
    steps = math.ceil(math.log10(total) * points_per_decade)
    shares = [10 ** (-step / points_per_decade) for step in range(steps)] + [1 / total]
    points = ((share, _at(cumulated, 100 * (1 - share))) for share in shares)
    return [(share, value / 1000) for share, value in points if value is not None]


def _cumulated(counts: Mapping[int, int]) -> list[tuple[int, int]]:
    below, cumulated = 0, []
    for value_us in sorted(counts):
        if counts[value_us] > 0:
            below += counts[value_us]
            cumulated.append((value_us, below))
    return cumulated


def _at(cumulated: Sequence[tuple[int, int]], percent: float) -> int | None:
    if not cumulated:
        return None
    # Rounded first: 99.9 % of 1000 is 999.0000000000001 in floating point, and must not mean the 1000th.
    rank = max(1, math.ceil(round(percent / 100 * cumulated[-1][1], 6)))
    low, high = 0, len(cumulated) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if cumulated[middle][1] >= rank else (middle + 1, high)
    return cumulated[low][0]


def _ms(value_us: int | None) -> float | None:
    return None if value_us is None else value_us / 1000
