"""Sparse histograms: nearest-rank percentiles, merging, and the curve."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis import histogram
from bench.runs.record import Percentiles

sparse = st.dictionaries(st.integers(1, 10_000_000), st.integers(1, 10_000), min_size=1, max_size=60)
small = st.lists(st.integers(0, 1000), min_size=1, max_size=300)


@pytest.mark.parametrize(
    ("counts", "percent", "value_us"),
    [
        ({100: 1}, 50, 100),
        ({100: 1, 200: 1}, 50, 100),
        ({100: 1, 200: 1}, 50.1, 200),
        ({100: 99, 900: 1}, 99, 100),
        ({100: 99, 900: 1}, 99.01, 900),
        ({100: 999, 900: 1}, 99.9, 100),  # 0.999 * 1000 is a little more than 999 in floating point
        ({100: 5, 900: 0}, 100, 100),
        ({100: 1, 200: 1}, 0, 100),
        ({}, 50, None),
    ],
)
def test_a_percentile_is_the_smallest_value_with_its_share_at_or_below(
    counts: dict[int, int], percent: float, value_us: int | None
) -> None:
    assert histogram.percentile(counts, percent) == value_us


@given(small, st.floats(0.1, 100))
def test_percentiles_agree_with_a_sorted_list(values: list[int], percent: float) -> None:
    counts = histogram.merge({value: 1} for value in values)
    rank = max(1, math.ceil(round(percent / 100 * len(values), 6)))
    assert histogram.percentile(counts, percent) == sorted(values)[rank - 1]


@given(st.lists(sparse, max_size=5))
def test_merging_keeps_every_count(histograms: list[dict[int, int]]) -> None:
    merged = histogram.merge(histograms)
    assert sum(merged.values()) == sum(sum(each.values()) for each in histograms)
    assert set(merged) == {value for each in histograms for value in each}


@given(sparse)
def test_the_curve_rises_from_the_fastest_request_to_the_slowest(counts: dict[int, int]) -> None:
    points = histogram.curve(counts)
    shares, values_ms = [share for share, _ in points], [value for _, value in points]
    assert shares == sorted(shares, reverse=True)
    assert values_ms == sorted(values_ms)
    assert shares[0] == 1.0 or sum(counts.values()) == 1
    assert shares[-1] == 1 / sum(counts.values())
    median_us = histogram.percentile(counts, 50)
    assert median_us is not None
    assert values_ms[-1] >= median_us / 1000


def test_a_trials_percentiles_are_in_milliseconds() -> None:
    counts = {1000: 900, 2000: 90, 5000: 9, 70_000: 1}
    assert histogram.percentiles_ms(counts) == Percentiles(p50=1, p90=1, p99=2, p99_9=5, max=70)
    assert histogram.percentiles_ms({}) == Percentiles()
    assert histogram.curve({}) == []
