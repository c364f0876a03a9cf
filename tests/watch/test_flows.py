"""What counts of single snapshots amount to: who closes first, what lasts, what comes back."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bench.watch import flows
from bench.watch.flows import NOTHING, Closer
from bench.watch.model import HopFlow


@pytest.mark.parametrize(
    ("flow", "by_events", "by_dumps"),
    [
        (HopFlow(), Closer.UNKNOWN, Closer.UNKNOWN),
        (HopFlow(opened=5), Closer.UNKNOWN, Closer.UNKNOWN),
        (HopFlow(closed_here=9, closed_there=1), Closer.HERE, Closer.HERE),
        (HopFlow(closed_here=5, closed_there=5), Closer.BOTH, Closer.BOTH),
        (HopFlow(closed_there=1), Closer.THERE, Closer.THERE),
        (HopFlow(reset_here=1), Closer.HERE, Closer.HERE),
        (HopFlow(reset_there=1), Closer.THERE, Closer.THERE),
        (HopFlow(ended_unknown=9), Closer.UNKNOWN, Closer.THERE),
        (HopFlow(closed_here=9, ended_unknown=9), Closer.HERE, Closer.BOTH),
    ],
)
def test_who_closes_first(flow: HopFlow, by_events: Closer, by_dumps: Closer) -> None:
    assert flows.closer(flow, keeps_traces=False) is by_events
    assert flows.closer(flow, keeps_traces=True) is by_dumps


@pytest.mark.parametrize(
    ("counts", "lasting"),
    [
        ([10] * 12, 10.0),
        ([0] * 12, 0.0),
        ([0, 0, 500, 0, 0, 0, 0, 0, 0, 0, 0, 0], 0.0),
        ([100, 0, 0, 0, 0, 0, 0, 100, 0, 0, 0, 0], 0.0),
        ([80, 20, 0, 0, 0, 0, 0, 60, 30, 10, 0, 0], 0.0),
        ([30, 0, 0, 0] * 3, 30 / 7),
        ([7], 7.0),
        ([7, 9], 8.0),
    ],
)
def test_what_lasts_is_what_two_bursts_do_not_explain(counts: Sequence[int], lasting: float) -> None:
    assert flows.lasting_rate([1.0] * len(counts), counts) == pytest.approx(lasting)


@pytest.mark.parametrize(
    ("durations", "counts", "lasting"),
    [
        ([1.0, 1.0, 1.0, 5.0], [200, 200, 200, 1_000], 200.0),  # it was stopped for a while
        ([1.0, 12.0, 12.0], [200, 2_400, 2_400], 200.0),  # the first look comes after a second
        ([1.0, 12.0, 12.0], [100, 0, 0], 0.0),
        ([1.02, 0.99, 0.99, 1.0], [204, 198, 198, 200], 200.0),
        ([1.02, 0.99, 0.99, 1.0], [300, 0, 0, 300], 0.0),
    ],
)
def test_intervals_that_differ_hide_no_steady_rate(
    durations: Sequence[float], counts: Sequence[int], lasting: float
) -> None:
    assert flows.lasting_rate(durations, counts) == pytest.approx(lasting)


@example([(2.31, 125)])  # the product of a quotient is not exact
@given(st.lists(st.tuples(st.floats(0.05, 5), st.integers(0, 1000)), min_size=1, max_size=40))
def test_what_lasts_is_no_more_than_what_was_counted(intervals: list[tuple[float, int]]) -> None:
    durations, counts = [each for each, _ in intervals], [count for _, count in intervals]
    lasting = flows.lasting_rate(durations, counts)
    assert 0 <= lasting * min(durations) <= sum(counts) + 1e-6
    assert lasting <= max(count / duration for duration, count in intervals) + 1e-6


@pytest.mark.parametrize(
    ("counts", "is_back"),
    [([0, 0, 0, 0], False), ([1, 0, 0, 0], False), ([1, 9, 9, 0], False), ([1, 0, 0, 0, 1], True)],
)
def test_what_comes_back_is_no_single_burst(counts: Sequence[int], is_back: bool) -> None:
    assert flows.comes_back([float(at) for at in range(len(counts))], counts) is is_back


def test_sums_keep_samples() -> None:
    first = HopFlow(opened=1, closed_here=2, reset_after_fin=1, lifetimes_s=(0.5,))
    last = HopFlow(opened=3, reset_there=4, reset_after_fin=2, idle_before_reset_s=(6.0,))
    assert flows.total([first, NOTHING, last]) == HopFlow(
        opened=4,
        closed_here=2,
        reset_there=4,
        reset_after_fin=3,
        lifetimes_s=(0.5,),
        idle_before_reset_s=(6.0,),
    )
    assert flows.total([NOTHING, NOTHING]) is NOTHING
