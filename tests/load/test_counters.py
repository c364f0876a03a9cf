"""Rounded histograms, and counters that add up."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.load import counters
from bench.load.counters import ERROR_KINDS, LoadCounters, LoadSums, TimeHistogram
from bench.runs import record


@pytest.mark.parametrize(
    ("value_us", "rounded"),
    [
        (0, 0),
        (999, 999),
        (1000, 1000),
        (1004, 1000),
        (1005, 1010),
        (9994, 9990),
        (9995, 10_000),
        (123_456, 123_000),
    ],
)
def test_rounds_to_three_digits(value_us: int, rounded: int) -> None:
    assert counters.round_us(value_us) == rounded


@given(st.integers(0, 10**10))
def test_rounding_errs_by_half_a_percent_at_most(value_us: int) -> None:
    rounded = counters.round_us(value_us)
    assert abs(rounded - value_us) <= value_us * 0.005
    assert counters.round_us(rounded) == rounded


@given(st.lists(st.integers(0, 10**10)), st.lists(st.integers(0, 10**10)))
def test_folding_in_parts_counts_each_time_once(first: list[int], second: list[int]) -> None:
    times = TimeHistogram()
    for value_ns in first:
        times.add(value_ns)
    assert times.fold() == len(first)
    for value_ns in second:
        times.add(value_ns)
    expected: dict[int, int] = {}
    for value_ns in first + second:
        value_us = counters.round_us(value_ns // 1000)
        expected[value_us] = expected.get(value_us, 0) + 1
    assert times.flush() == [[value_us, expected[value_us]] for value_us in sorted(expected)]
    assert times.flush() == []


def test_what_is_held_depends_on_the_values_not_on_how_many_there_were() -> None:
    times = TimeHistogram()
    held = []
    for _ in range(50):
        for value_us in range(500):
            times.add(value_us * 1000)
        times.fold()
        held.append((len(times.raw), len(times._counts), sys.getsizeof(times._counts)))
    assert held == [held[0]] * 50
    assert held[0][:2] == (0, 500)


def test_a_stretch_is_the_sum_of_its_ticks_and_leaves_nothing_behind() -> None:
    counters = LoadCounters()
    for responses in (3, 0, 2):
        for _ in range(responses):
            counters.latency.add(1_500_000)
        counters.tick()
    counters.errors["status"] += 2
    counters.body_bytes, counters.opened, counters.late, counters.never_started = 10, 4, 1, 6
    assert (counters.requests, counters.exchanges) == (5, 7)
    flushed = counters.flush(open_loop=False)
    assert flushed["ticks"] == [3, 0, 2]
    assert flushed["latency_us"] == [[1500, 5]]
    assert (flushed["requests"], flushed["bytes"], flushed["opened"]) == (5, 10, 4)
    assert (flushed["late"], flushed["never_started"]) == (1, 6)
    assert flushed["errors"] == dict.fromkeys(ERROR_KINDS, 0) | {"status": 2}
    assert "service_us" not in flushed
    empty = counters.flush(open_loop=True)
    assert empty["ticks"] == empty["latency_us"] == empty["service_us"] == []
    assert not any(empty["errors"].values())
    assert (empty["requests"], empty["bytes"], empty["late"], empty["never_started"]) == (0, 0, 0, 0)


def test_responses_after_the_last_tick_count_too() -> None:
    counters = LoadCounters()
    counters.latency.add(1000)
    assert counters.requests == 1
    counters.tick()
    counters.latency.add(1000)
    assert counters.requests == 2
    assert counters.flush(open_loop=False)["requests"] == 2


def test_sums_add_stretches() -> None:
    sums, counters = LoadSums(), LoadCounters()
    for _ in range(2):
        counters.latency.add(1000)
        counters.errors["reset"] += 1
        counters.opened = 3
        sums.add(counters.flush(open_loop=False))
    assert sums.counts == {"requests": 2, "opened": 6, "bytes": 0, "late": 0, "queued": 0, "never_started": 0}
    assert sums.errors["reset"] == 2
    assert sums.exchanges == 4


def test_histograms_merge() -> None:
    assert counters.merge_histograms([[[1, 2], [5, 1]], [], [[5, 4]]]) == {1: 2, 5: 5}


def test_a_run_is_recorded_with_the_same_kinds_of_errors() -> None:
    # bench.runs may not import bench.load: reading a run starts nothing.
    assert record.ERROR_KINDS == ERROR_KINDS


def test_responses_are_counted_by_status_with_those_that_the_hot_loop_does_not_count() -> None:
    counters = LoadCounters()
    for _ in range(5):
        counters.latency.add(1)  # a correct response
    counters.count_status(204)
    counters.count_status(200)  # correct, and not of the ordinary kind
    counters.count_status(404, is_right=False)
    counters.count_status(200, is_right=False)
    assert counters.flush(False)["statuses"] == {"200": 5, "204": 1, "404": 1}
    assert counters.flush(False)["statuses"] == {}
