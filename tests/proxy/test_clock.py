"""No time-out fires early, however the sweeps fall; on a punctual loop, none is late by more than two."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.clock import Clock

SWEEP_S = 1.0
GAPS = st.lists(st.floats(0, 5), min_size=1, max_size=30)


class Time:
    """The true time."""

    def __init__(self) -> None:
        self.s = 1000.0

    def monotonic(self) -> float:
        return self.s


def measured(before: float, gaps: list[float], timeout_s: float) -> float | None:
    """Return how long a wait has truly lasted when it times out; None if it does not within these sweeps.

    Args:
        before: true seconds from a sweep until the wait begins.
        gaps: true seconds between the sweeps.
    """
    time = Time()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("proxy.clock.time", time)
        clock = Clock(SWEEP_S)
        began = time.s + before
        deadline = clock.latest + timeout_s
        for gap in gaps:
            time.s += gap
            clock.advance()
            if deadline <= clock.now and time.s >= began:
                return time.s - began
    return None


@given(GAPS, st.floats(0, 1), st.floats(0.1, 10))
def test_no_timeout_is_early(gaps: list[float], share: float, timeout_s: float) -> None:
    waited = measured(share * gaps[0], gaps, timeout_s)
    assert waited is None or waited >= timeout_s - 1e-9


@given(st.floats(0, 1), st.floats(0.1, 10))
def test_none_is_late_by_more_than_two_sweeps(share: float, timeout_s: float) -> None:
    waited = measured(share * SWEEP_S, [SWEEP_S] * 15, timeout_s)
    assert waited is not None
    assert waited <= timeout_s + 2 * SWEEP_S + 1e-9


def test_a_loop_that_stood_still_times_nothing_out() -> None:
    """Nobody could have been heard meanwhile."""
    assert measured(0.0, [100.0], 5.0) is None
