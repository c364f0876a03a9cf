"""Medians, their intervals and tests that assume no distribution. Pure.

Intervals come from order statistics: David and Nagaraja, Order Statistics, 3rd edition, section 7.1
(one sample); Hollander, Wolfe and Chicken, Nonparametric Statistical Methods, 3rd edition, sections
4.1 to 4.3 (two samples: the Mann-Whitney test, the Hodges-Lehmann estimate and its interval).
"""

import functools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

CONFIDENCE = 0.95
ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Estimate:
    """A centre with its interval; `low` and `high` are None where `n` values cannot give one."""

    center: float
    low: float | None
    high: float | None
    n: int


def median_interval(values: Sequence[float]) -> Estimate:
    """Return the median of `values` and its interval; at 95 % six values are the fewest that give one."""
    ordered, n = sorted(values), len(values)
    outside = (1 - CONFIDENCE) / 2
    below, tail = -1, 0.5**n
    while tail <= outside and below < n // 2:
        below += 1
        tail += math.comb(n, below + 1) * 0.5**n
    if below < 0:
        return Estimate(statistics.median(ordered), None, None, n)
    return Estimate(statistics.median(ordered), ordered[below], ordered[n - 1 - below], n)


def ratio(old: Sequence[float], new: Sequence[float]) -> Estimate:
    """Return the Hodges-Lehmann estimate of `new / old` and its interval; all values are above 0.

    At 95 % four values a side are the fewest that give an interval.
    """
    ratios = sorted(after / before for before in old for after in new)
    center = math.exp(statistics.median(map(math.log, ratios)))
    outside = (1 - CONFIDENCE) / 2
    n = min(len(old), len(new))
    arrangements, below = _rank_sum_ways(len(old), len(new)), -1
    total = math.comb(len(old) + len(new), len(old))
    tail = arrangements[0]
    while tail / total <= outside and below + 1 < len(ratios) // 2:
        below += 1
        tail += arrangements[below + 1]
    if below < 0:
        return Estimate(center, None, None, n)
    return Estimate(center, ratios[below], ratios[len(ratios) - 1 - below], n)


def can_differ(n_old: int, n_new: int) -> bool:
    """Return whether so many values a side can show a difference at all: four a side can, three cannot."""
    if min(n_old, n_new) == 0:
        return False
    return 2 / math.comb(n_old + n_new, n_old) <= ALPHA


def mann_whitney(old: Sequence[float], new: Sequence[float]) -> float:
    """Return the two-sided p of the Mann-Whitney U test: exact without ties, by permutation with them."""
    from scipy import stats  # noqa: PLC0415  (0.9 s, so only where it is used)

    if len(set(old) | set(new)) == 1:
        return 1.0
    tied = len(set(old) | set(new)) < len(old) + len(new)
    # Up to 9,999 arrangements (seven a side) are all tried; beyond that a seeded sample of them is.
    method: Literal["exact"] | stats.PermutationMethod = "exact"
    if tied:
        method = stats.PermutationMethod(n_resamples=9_999, rng=1)
    return float(stats.mannwhitneyu(list(old), list(new), alternative="two-sided", method=method).pvalue)


@functools.cache
def _rank_sum_ways(m: int, n: int) -> tuple[int, ...]:
    """Return in how many arrangements U is 0, 1, ..., m * n: the recurrence of Mann and Whitney (1947)."""
    if m == 0 or n == 0:
        return (1,)
    arrangements = [0] * (m * n + 1)
    for u, count in enumerate(_rank_sum_ways(m - 1, n)):
        arrangements[u + n] += count
    for u, count in enumerate(_rank_sum_ways(m, n - 1)):
        arrangements[u] += count
    return tuple(arrangements)
