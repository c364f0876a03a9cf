"""Medians, differences and ratios with their intervals, and tests that assume no distribution. Pure.

Intervals come from order statistics: David and Nagaraja, Order Statistics, 3rd edition, section 7.1
(one sample); Hollander, Wolfe and Chicken, Nonparametric Statistical Methods, 3rd edition, sections 3.1 to
3.3 (pairs: the signed-rank test, its estimate and its interval) and 4.1 to 4.3 (two samples: the
Mann-Whitney test, the Hodges-Lehmann estimate and its interval). They are exact up to `EXACT` values a side,
and from the normal approximation of the same rank sums beyond.
"""

import bisect
import functools
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Values = npt.NDArray[np.float64]

ALPHA = 0.05
CONFIDENCE = 1 - ALPHA
EXACT = 50
"""Values a side up to which the distributions of the rank sums are counted out."""
EXACT_WITH_TIES = 20
"""The same where values are equal, so that each sample has a distribution of its own."""
_MOST_SORTED = 1_000_000
"""Pairs that are sorted; of more, the few that are needed are searched for."""

Alternative = Literal["two-sided", "less", "greater"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A centre with its interval; `low` and `high` are None where `n` values cannot give one."""

    center: float
    low: float | None
    high: float | None
    n: int


def median(values: Sequence[float], is_count: bool = False) -> float:
    """Return the median; of counts as a whole number, half a socket being rounded up."""
    middle = statistics.median(values)
    return math.floor(middle + 0.5) if is_count else middle


def median_interval(values: Sequence[float], alpha: float = ALPHA, is_count: bool = False) -> Estimate:
    """Return the median of `values` and its interval; at 95 % six values are the fewest that give one."""
    ordered, n = sorted(values), len(values)
    below = _most_below(_flips(n), 2**n, alpha) if n <= EXACT else _normal_below(n / 2, n / 4, alpha)
    if below < 0:
        return Estimate(median(ordered, is_count), None, None, n)
    return Estimate(median(ordered, is_count), ordered[below], ordered[n - 1 - below], n)


def shift(old: Sequence[float], new: Sequence[float], alpha: float = ALPHA) -> Estimate:
    """Return the Hodges-Lehmann estimate of `new - old` and its interval.

    At 95 % four values a side are the fewest that give an interval.
    """
    m, n = len(old), len(new)
    if m <= EXACT and n <= EXACT:
        below = _most_below(_rank_sum_ways(m, n), math.comb(m + n, m), alpha)
    else:
        below = _normal_below(m * n / 2, m * n * (m + n + 1) / 12, alpha)
    return _ordered(_Differences(_sorted(old), _sorted(new)), below, min(m, n))


def ratio(old: Sequence[float], new: Sequence[float], alpha: float = ALPHA) -> Estimate:
    """Return the Hodges-Lehmann estimate of `new / old` and its interval; all values are above 0."""
    return _exp(shift(_logs(old), _logs(new), alpha))


def paired_shift(old: Sequence[float], new: Sequence[float], alpha: float = ALPHA) -> Estimate:
    """Return the estimate of `new - old` over pairs, and its interval: medians of the Walsh averages.

    At 95 % six pairs are the fewest that give an interval.
    """
    n = len(old)
    if n <= EXACT:
        below = _most_below(_signed_rank_ways(n), 2**n, alpha)
    else:
        below = _normal_below(n * (n + 1) / 4, n * (n + 1) * (2 * n + 1) / 24, alpha)
    differences = _sorted([after - before for before, after in zip(old, new, strict=True)])
    return _ordered(_WalshAverages(differences), below, n)


def paired_ratio(old: Sequence[float], new: Sequence[float], alpha: float = ALPHA) -> Estimate:
    """Return the estimate of `new / old` over pairs, and its interval; all values are above 0."""
    return _exp(paired_shift(_logs(old), _logs(new), alpha))


def fewest(alpha: float = ALPHA, *, paired: bool = False) -> int:
    """Return how many values a side, or pairs, can show a difference at `alpha` at all."""
    n = 1
    while 2 / (2**n if paired else math.comb(2 * n, n)) > alpha:
        n += 1
    return n


def can_differ(n_old: int, n_new: int, alpha: float = ALPHA) -> bool:
    """Return whether so many values a side can show a difference at all: four a side can, three cannot."""
    if min(n_old, n_new) == 0:
        return False
    return 2 / math.comb(n_old + n_new, n_old) <= alpha


def mann_whitney(old: Sequence[float], new: Sequence[float], alternative: Alternative = "two-sided") -> float:
    """Return the p of the Mann-Whitney U test of `new` against `old`.

    Exact for up to `EXACT` values a side, with ties for up to `EXACT_WITH_TIES`.
    """
    values, m, n = [*old, *new], len(old), len(new)
    distinct, most = len(set(values)), max(m, n)
    if distinct == 1:
        return 1.0
    if most <= (EXACT_WITH_TIES if distinct < len(values) else EXACT):
        ranks = _doubled_ranks(values)
        chosen = sum(ranks[m:])
        if distinct < len(values):
            return _tail(_sums_of_some(ranks, n), chosen, alternative)
        return _tail(_rank_sum_ways(m, n), (chosen - n * (n + 1)) // 2, alternative)
    from scipy import stats  # noqa: PLC0415  (0.7 s, so only where it is used)

    test = stats.mannwhitneyu(list(new), list(old), alternative=alternative, method="asymptotic")
    return float(test.pvalue)


def signed_rank(old: Sequence[float], new: Sequence[float], alternative: Alternative = "two-sided") -> float:
    """Return the p of Wilcoxon's signed-rank test of `new - old` over pairs; those without one are dropped.

    Exact for up to `EXACT` pairs, with ties for up to `EXACT_WITH_TIES`.
    """
    differences = [after - before for before, after in zip(old, new, strict=True) if after != before]
    if not differences:
        return 1.0
    sizes = [abs(each) for each in differences]
    distinct, n = len(set(sizes)), len(sizes)
    if n <= (EXACT_WITH_TIES if distinct < n else EXACT):
        ranks = _doubled_ranks(sizes)
        positive = sum(rank for rank, each in zip(ranks, differences, strict=True) if each > 0)
        return _tail(_sums_of_any(ranks), positive, alternative)
    from scipy import stats  # noqa: PLC0415

    method: Any = "asymptotic"  # scipy's stubs know it only of other arguments
    return float(stats.wilcoxon(differences, alternative=alternative, method=method).pvalue)


def sign_test(beyond: int, n: int) -> float:
    """Return the p of the sign test that the median is not beyond a value that `beyond` of `n` are beyond."""
    if n <= EXACT:
        return float(sum(_flips(n)[beyond:]) / 2**n)
    from scipy import stats  # noqa: PLC0415

    return float(stats.binomtest(beyond, n, alternative="greater").pvalue)


def false_discovery(ps: Sequence[float]) -> list[float]:
    """Return `ps` adjusted by Benjamini and Hochberg (1995): the false discovery rate at which each shows."""
    adjusted, most, n = [0.0] * len(ps), 1.0, len(ps)
    for rank, index in zip(range(n, 0, -1), sorted(range(n), key=ps.__getitem__, reverse=True), strict=True):
        most = min(most, ps[index] * n / rank)
        adjusted[index] = most
    return adjusted


def holm(ps: Sequence[float]) -> list[float]:
    """Return `ps` adjusted by Holm (1979): the family-wise error rate at which each shows."""
    adjusted, least = [0.0] * len(ps), 0.0
    for rank, index in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        least = max(least, min(1.0, ps[index] * (len(ps) - rank)))
        adjusted[index] = least
    return adjusted


# -- rank sums


def _most_below(ways: Sequence[int], total: int, alpha: float) -> int:
    """Return the largest rank sum whose lower tail holds alpha / 2 at the most; -1 where none does."""
    below, tail = -1, 0
    while (tail := tail + ways[below + 1]) / total <= alpha / 2 and below + 1 < (len(ways) - 1) / 2:
        below += 1
    return below


def _normal_below(mean: float, variance: float, alpha: float) -> int:
    """Return the same by the normal approximation with the correction for continuity."""
    z = statistics.NormalDist().inv_cdf(1 - alpha / 2)
    return math.floor(mean - 0.5 - z * math.sqrt(variance))


@functools.cache
def _flips(n: int) -> tuple[int, ...]:
    """Return in how many of 2^n sequences of signs 0, 1, ..., n are positive."""
    return tuple(math.comb(n, positive) for positive in range(n + 1))


@functools.cache
def _rank_sum_ways(m: int, n: int) -> tuple[int, ...]:
    """Return in how many arrangements U is 0, 1, ..., m * n: the Gaussian binomial coefficient.

    It is the product of (1 - q^(n + i)) / (1 - q^i) over i up to m: Andrews, The Theory of Partitions,
    section 3.2.
    """
    ways = [1] + [0] * (m * n)
    for i in range(1, m + 1):
        for power in range(m * n, n + i - 1, -1):
            ways[power] -= ways[power - n - i]
        for power in range(i, m * n + 1):
            ways[power] += ways[power - i]
    return tuple(ways)


@functools.cache
def _signed_rank_ways(n: int) -> tuple[int, ...]:
    """Return in how many of 2^n sequences of signs the positive ranks add up to 0, 1, ..., n (n + 1) / 2."""
    return tuple(_sums_of_any(range(1, n + 1)))


# -- rank sums where values are equal: conditional on the ranks, as a permutation test has them


def _doubled_ranks(values: Sequence[float]) -> list[int]:
    """Return twice the rank of each value; equal ones share the mean of theirs."""
    ordered = sorted(values)
    return [bisect.bisect_left(ordered, each) + bisect.bisect_right(ordered, each) + 1 for each in values]


def _sums_of_some(ranks: Sequence[int], chosen: int) -> "Values":
    """Return in how many ways so many of `ranks` add up to 0, 1, ..., the sum of all."""
    import numpy as np  # noqa: PLC0415

    ways: Values = np.zeros((chosen + 1, sum(ranks) + 1))
    ways[0, 0] = 1
    for rank in ranks:
        ways[1:, rank:] += ways[:-1, : ways.shape[1] - rank].copy()
    most: Values = ways[chosen]
    return most


def _sums_of_any(ranks: Sequence[int]) -> list[int]:
    """Return in how many ways any of `ranks` add up to 0, 1, ..., the sum of all."""
    ways = [1]
    for rank in ranks:
        without, with_rank = ways + [0] * rank, [0] * rank + ways
        ways = [a + b for a, b in zip(without, with_rank, strict=True)]
    return ways


def _tail(ways: "Sequence[int] | Values", found: int, alternative: Alternative) -> float:
    """Return the share of the ways that are as far out as `found`."""
    total = sum(ways)
    less, greater = float(sum(ways[: found + 1]) / total), float(sum(ways[found:]) / total)
    if alternative == "two-sided":
        return min(1.0, 2 * min(less, greater))
    return less if alternative == "less" else greater


# -- the middle and the ends of all pairs


class _Differences:
    """All differences between two samples, smallest to largest."""

    def __init__(self, old: "Values", new: "Values") -> None:
        self._old, self._new = old, new
        self.count = len(old) * len(new)
        self.least, self.most = float(new[0] - old[-1]), float(new[-1] - old[0])

    def all(self) -> "Values":
        import numpy as np  # noqa: PLC0415

        return np.subtract.outer(self._new, self._old).ravel()

    def up_to(self, value: float) -> int:
        """Return how many are `value` at the most."""
        import numpy as np  # noqa: PLC0415

        return int(np.searchsorted(self._new, self._old + value, side="right").sum())


class _WalshAverages:
    """The averages of all pairs of a sample's values, each value with itself too."""

    def __init__(self, values: "Values") -> None:
        self._values = values
        self.count = len(values) * (len(values) + 1) // 2
        self.least, self.most = float(values[0]), float(values[-1])

    def all(self) -> "Values":
        import numpy as np  # noqa: PLC0415

        first, second = np.triu_indices(len(self._values))
        return (self._values[first] + self._values[second]) / 2

    def up_to(self, value: float) -> int:
        """Return how many are `value` at the most."""
        import numpy as np  # noqa: PLC0415

        ranks = np.searchsorted(self._values, 2 * value - self._values, side="right")
        return int((ranks.sum() + np.count_nonzero(self._values <= value)) // 2)


def _ordered(pairs: _Differences | _WalshAverages, below: int, n: int) -> Estimate:
    """Return the median of `pairs`, and those with `below` on either side of them."""
    middle = ((pairs.count - 1) // 2, pairs.count // 2)
    select = _selector(pairs, {*middle, max(below, 0), pairs.count - 1 - max(below, 0)})
    center = (select(middle[0]) + select(middle[1])) / 2
    if below < 0:
        return Estimate(center, None, None, n)
    return Estimate(center, select(below), select(pairs.count - 1 - below), n)


def _selector(pairs: _Differences | _WalshAverages, ranks: set[int]) -> Callable[[int], float]:
    """Return what gives the value at each of `ranks`, which count from 0."""
    if pairs.count > _MOST_SORTED:
        return functools.partial(_search, pairs)
    import numpy as np  # noqa: PLC0415

    placed = np.partition(pairs.all(), sorted(ranks))
    return lambda rank: float(placed[rank])


def _search(pairs: _Differences | _WalshAverages, rank: int) -> float:
    """Return the value at `rank` by halving: sorting all of them would take too long."""
    low, high = pairs.least, pairs.most
    while low < (middle := low + (high - low) / 2) < high:
        if pairs.up_to(middle) > rank:
            high = middle
        else:
            low = middle
    return high


def _sorted(values: Sequence[float]) -> "Values":
    import numpy as np  # noqa: PLC0415

    return np.sort(np.asarray(values, dtype=np.float64))


def _logs(values: Sequence[float]) -> list[float]:
    return [math.log(value) for value in values]


def _exp(estimate: Estimate) -> Estimate:
    ends = [None if end is None else math.exp(end) for end in (estimate.low, estimate.high)]
    return Estimate(math.exp(estimate.center), ends[0], ends[1], estimate.n)
