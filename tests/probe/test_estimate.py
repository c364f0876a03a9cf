"""From single connections to an interval: as wide as what they showed, and a gap more at either end."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.probe import estimate

seconds = st.floats(0.0, 1e5, allow_nan=False)


def test_a_timer_that_is_exact_shows_as_a_point() -> None:
    assert estimate.estimate([5.0, 5.0, 5.0], 0.0) == (5.0, 5.0)


def test_the_ends_of_a_spread_are_a_gap_away() -> None:
    assert estimate.estimate([2.0, 2.5, 3.0], 0.0) == (1.5, 3.5)


def test_one_connection_says_less() -> None:
    assert estimate.estimate([10.0], 0.1) == pytest.approx((9.4, 10.6))


@given(st.lists(seconds, min_size=1), st.floats(0, 10))
def test_the_interval_holds_what_was_seen(seen_s: list[float], error_s: float) -> None:
    low_s, high_s = estimate.estimate(seen_s, error_s)
    assert 0 <= low_s <= min(seen_s)
    assert max(seen_s) <= high_s


def test_a_sweep_is_found_in_most_cases() -> None:
    """Both ends of what a server shows that looks every 4 s, by five connections."""
    dice = random.Random(1)
    held = 0
    for _ in range(1000):
        seen_s = [10 + 4 * dice.random() for _ in range(5)]
        low_s, high_s = estimate.estimate(seen_s, 0.0)
        held += low_s <= 10 + 0.5 and high_s >= 14 - 0.5
    assert held > 500


def test_waits_divide_an_interval() -> None:
    assert estimate.waits(1.0, 2.0, 3) == [1.25, 1.5, 1.75]


@pytest.mark.parametrize(
    ("answered", "expected"),
    [
        ([(1.2, True), (1.5, True), (1.8, False)], (1.5, 1.8)),
        ([(1.2, False), (1.5, False)], (1.0, 1.2)),
        ([(1.5, True)], (1.5, 2.0)),
        ([], (1.0, 2.0)),
        # Contradictions: the shortest wait without an answer counts.
        ([(1.2, False), (1.5, True)], (1.0, 1.2)),
        ([(0.5, False)], (1.0, 1.0)),
    ],
)
def test_tries_narrow_the_bounds(answered: list[tuple[float, bool]], expected: tuple[float, float]) -> None:
    assert estimate.narrow(1.0, 2.0, answered) == expected


@given(seconds, seconds, st.lists(st.tuples(seconds, st.booleans())))
def test_bounds_stay_in_order(one: float, other: float, answered: list[tuple[float, bool]]) -> None:
    low_s, high_s = estimate.narrow(min(one, other), max(one, other), answered)
    assert min(one, other) <= low_s <= high_s <= max(one, other)
    assert math.isfinite(low_s)
