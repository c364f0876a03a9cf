"""Intervals and tests: against tables of order statistics, against scipy, and by their properties."""

import itertools
import math
import statistics
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis import stats

positive = st.floats(min_value=1e-3, max_value=1e6)


@pytest.mark.parametrize(
    ("n", "low", "high"),
    [
        # Ranks of the 95 % interval of the median: Hollander, Wolfe and Chicken, table of the sign test.
        (5, None, None),
        (6, 1, 6),
        (8, 1, 8),
        (9, 2, 8),
        (11, 2, 10),
        (12, 3, 10),
        (20, 6, 15),
    ],
)
def test_the_median_lies_between_ranks_that_the_sign_test_gives(
    n: int, low: int | None, high: int | None
) -> None:
    estimate = stats.median_interval([float(rank) for rank in range(n, 0, -1)])
    assert (estimate.low, estimate.high, estimate.n) == (low, high, n)
    assert estimate.center == (n + 1) / 2


@pytest.mark.parametrize(("counts", "whole"), [((5, 6), 6), ((0, 1), 1), ((7, 8, 9), 8), ((4, 8), 6)])
def test_the_median_of_counts_is_whole(counts: tuple[int, ...], whole: int) -> None:
    assert stats.median(counts, is_count=True) == whole
    assert stats.median_interval(counts, is_count=True).center == whole


@given(st.lists(positive, min_size=1, max_size=40))
def test_an_interval_contains_its_median(values: list[float]) -> None:
    estimate = stats.median_interval(values)
    assert estimate.center == statistics.median(values)
    if estimate.low is not None and estimate.high is not None:
        assert estimate.low <= estimate.center <= estimate.high


@pytest.mark.parametrize(
    ("n_old", "n_new", "can"), [(3, 3, False), (4, 4, True), (3, 5, True), (0, 9, False), (1, 30, False)]
)
def test_four_a_side_can_show_a_difference_and_three_cannot(n_old: int, n_new: int, can: bool) -> None:
    assert stats.can_differ(n_old, n_new) is can
    if min(n_old, n_new) > 0:
        least_p = stats.mann_whitney(range(n_old), range(100, 100 + n_new))
        assert (least_p <= stats.ALPHA) is can


@pytest.mark.parametrize(
    ("old", "new", "p"),
    [
        ([1, 2, 3, 4], [5, 6, 7, 8], 2 / 70),
        ([1, 2, 3], [4, 5, 6], 2 / 20),
        ([1, 4, 5, 8], [2, 3, 6, 7], 1.0),
        ([7, 7, 7, 7], [7, 7, 7, 7], 1.0),
        ([1, 1, 1, 1], [2, 2, 2, 2], 2 / 70),  # ties: still exact, by permutation
    ],
)
def test_p_is_exact(old: list[float], new: list[float], p: float) -> None:
    assert stats.mann_whitney(old, new) == pytest.approx(p)


@given(st.lists(positive, min_size=1, max_size=8), st.floats(min_value=0.01, max_value=100))
def test_the_ratio_of_a_scaled_sample_is_the_scale(values: list[float], factor: float) -> None:
    spread = [value * factor for value in values]
    assert stats.ratio(values, spread).center == pytest.approx(factor, rel=1e-6)


@given(st.lists(positive, min_size=1, max_size=7), st.lists(positive, min_size=1, max_size=7))
def test_turning_the_sides_round_turns_the_ratio_round(old: list[float], new: list[float]) -> None:
    there, back = stats.ratio(old, new), stats.ratio(new, old)
    assert there.center == pytest.approx(1 / back.center)
    assert (there.low is None) is (back.high is None)
    if there.low is not None and there.high is not None and back.high is not None:
        assert there.low == pytest.approx(1 / back.high)
        assert there.low <= there.center * (1 + 1e-9)
        assert there.center <= there.high * (1 + 1e-9)


def test_the_interval_of_a_ratio_needs_four_a_side() -> None:
    assert stats.ratio([1, 2, 3], [2, 4, 6]).low is None
    whole = stats.ratio([1, 2, 3, 4], [10, 20, 30, 40])
    assert (whole.low, whole.high) == pytest.approx((10 / 4, 40 / 1))


def test_the_interval_of_a_ratio_drops_as_many_products_as_the_u_distribution_says() -> None:
    """Six a side: P(U <= 5) is 0.0206, P(U <= 6) is above 0.025, so 5 + 1 of 36 ratios go at each end."""
    old, new = [2.0**-k for k in range(6)], [3.0**k for k in range(6)]
    ratios = sorted(b / a for a in old for b in new)
    estimate = stats.ratio(old, new)
    assert (estimate.low, estimate.high) == pytest.approx((ratios[5], ratios[-6]))


distinct = st.lists(st.integers(min_value=1, max_value=10_000), min_size=8, max_size=16, unique=True).flatmap(
    lambda values: st.integers(4, len(values) - 4).map(lambda cut: (values[:cut], values[cut:]))
)


@pytest.mark.parametrize("n", range(2, 60))
def test_the_interval_of_the_median_is_scipys(n: int) -> None:
    """The ranks that scipy's quantile test gives, which it leaves open where there are too few values."""
    values = [float(rank) for rank in range(1, n + 1)]
    # Any: scipy's stubs call the interval a number.
    theirs: Any = scipy.stats.quantile_test(values, q=0, p=0.5).confidence_interval(0.95)
    ours = stats.median_interval(values)
    if ours.low is None:
        assert math.isnan(theirs.low) or math.isnan(theirs.high)
    else:
        assert (ours.low, ours.high) == (theirs.low, theirs.high)


@given(distinct)
def test_a_ratio_differs_from_one_exactly_where_the_test_says_so(sides: tuple[list[int], list[int]]) -> None:
    """Interval and test are two views of one distribution: the interval holds the ratios not refused."""
    old, new = sides
    interval, p = stats.ratio(old, new), stats.mann_whitney(old, new)
    assert interval.low is not None
    assert interval.high is not None
    assert (interval.low <= 1 <= interval.high) == (p > stats.ALPHA)


@given(
    st.lists(st.integers(1, 4), min_size=3, max_size=5),
    st.lists(st.integers(1, 4), min_size=3, max_size=5),
)
def test_p_with_ties_is_twice_the_share_of_arrangements_in_the_smaller_tail(
    old: list[float], new: list[float]
) -> None:
    """By hand: every way to deal the values to the two sides, and how often U is as low, or as high."""

    def u(first: Sequence[float], second: Sequence[float]) -> float:
        return sum((a > b) + (a == b) / 2 for a in first for b in second)

    values, places = old + new, range(len(old) + len(new))
    deals = list(itertools.combinations(places, len(old)))
    dealt = [u([values[i] for i in deal], [values[i] for i in places if i not in deal]) for deal in deals]
    low, high = (sum(each <= u(old, new) for each in dealt), sum(each >= u(old, new) for each in dealt))
    expected = 1.0 if len(set(values)) == 1 else min(1.0, 2 * min(low, high) / len(deals))
    assert stats.mann_whitney(old, new) == pytest.approx(expected, abs=1e-9)


ALTERNATIVES: tuple[stats.Alternative, ...] = ("two-sided", "less", "greater")
different = st.lists(st.integers(1, 10_000), min_size=2, max_size=80, unique=True)


@given(different, st.sampled_from(ALTERNATIVES), st.data())
def test_p_of_two_samples_is_scipys(
    values: list[int], alternative: stats.Alternative, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(1, len(values) - 1))
    old, new = values[:cut], values[cut:]
    method: Any = "exact" if max(len(old), len(new)) <= stats.EXACT else "asymptotic"
    theirs = scipy.stats.mannwhitneyu(new, old, alternative=alternative, method=method).pvalue
    assert stats.mann_whitney(old, new, alternative) == pytest.approx(theirs, abs=1e-12)


@given(different, st.sampled_from(ALTERNATIVES), st.data())
def test_p_of_pairs_is_scipys(sizes: list[int], alternative: stats.Alternative, data: st.DataObject) -> None:
    differences = [size * data.draw(st.sampled_from([-1, 1])) for size in sizes]
    method: Any = "exact" if len(sizes) <= stats.EXACT else "asymptotic"
    theirs = scipy.stats.wilcoxon(differences, alternative=alternative, method=method).pvalue
    assert stats.signed_rank([0] * len(sizes), differences, alternative) == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize("n", [1, 7, 50, 51, 80])
def test_p_of_signs_is_scipys(n: int) -> None:
    for beyond in range(n + 1):
        theirs = scipy.stats.binomtest(beyond, n, alternative="greater").pvalue
        assert stats.sign_test(beyond, n) == pytest.approx(theirs, abs=1e-12)


@given(st.lists(st.floats(0, 1), max_size=30))
def test_the_false_discovery_rate_is_scipys(ps: list[float]) -> None:
    theirs = list(scipy.stats.false_discovery_control(ps)) if ps else []
    assert stats.false_discovery(ps) == pytest.approx(theirs, abs=1e-12)


def test_so_few_values_as_runs_have_need_no_import_of_scipy() -> None:
    """It takes longer than all else that `bench compare` does."""
    few = "[1, 2, 3, 4, 5], [2, 4, 4, 6, 9]"
    calls = f"stats.ratio({few}), stats.mann_whitney({few}), stats.signed_rank({few}), stats.sign_test(4, 5)"
    code = f"from bench.analysis import stats; import sys; {calls}; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
