"""The port range's ceiling: where a trial met it, and where it lies for a rate."""

import math
from dataclasses import replace
from typing import Any

import pytest

from bench.analysis import ceiling
from bench.runs.ports_record import Ports


def ticks(*rates: float) -> list[tuple[float, int]]:
    """Return ticks of a tenth of a second at these rates."""
    return [(round(index * 0.1, 3), round(rate * 0.1)) for index, rate in enumerate(rates, 1)]


CLIFF = ticks(*[10_000] * 14, *[400] * 46)


def test_a_trial_that_passes_half_of_its_ports_has_a_rate_before_and_after() -> None:
    used = [(0.1 * n, min(14_000, 1000 * n) + max(0, n - 14) * 40) for n in range(60)]
    found = ceiling.ports(CLIFF, used, port_range=28_000, tuples=28_000, end_s=6.0)
    assert found.rate_before == pytest.approx(10_000)
    assert found.rate_after == pytest.approx(400)
    assert replace(found, rate_before=None, rate_after=None) == Ports(28_000, 28_000, 15_800, 1.4)


def test_the_moment_lies_on_the_line_between_two_samples() -> None:
    found = ceiling.ports(CLIFF, [(1.0, 900), (1.1, 1100)], port_range=2000, tuples=2000, end_s=6.0)
    assert found.half_range_passed_s == 1.05


def test_the_tick_of_the_cliff_counts_in_neither_rate() -> None:
    found = ceiling.ports(
        ticks(1000, 1000, 600, 10, 10), [(0.0, 0), (0.25, 50)], port_range=100, tuples=100, end_s=0.5
    )
    assert found.rate_before == pytest.approx(1000)
    assert found.rate_after == pytest.approx(10, abs=5)


def test_a_cliff_within_the_first_tick_still_has_a_rate_before() -> None:
    found = ceiling.ports(ticks(5000, 10, 10), [(0.05, 50)], port_range=100, tuples=100, end_s=0.3)
    assert found.rate_before == pytest.approx(5000)


def test_responses_after_the_window_do_not_count() -> None:
    used = [(0.0, 0), (0.2, 50)]
    with_drain = ticks(1000, 1000, 100, 100, 0, 0)
    found = ceiling.ports(with_drain, used, port_range=100, tuples=100, end_s=0.4)
    assert found.rate_after == pytest.approx(100)


def test_a_tick_that_the_window_cut_short_counts_for_its_length() -> None:
    cut = [(0.1, 100), (0.13, 30), (0.2, 70), (0.25, 5), (0.3, 5)]
    found = ceiling.ports(cut, [(0.0, 0), (0.2, 50)], port_range=100, tuples=100, end_s=0.3)
    assert found.rate_before == pytest.approx(1000)
    assert found.rate_after == pytest.approx(100)


@pytest.mark.parametrize("used", [[], [(0.1, 64), (6.0, 64)]])
def test_a_trial_that_stays_below_has_no_cliff(used: list[tuple[float, int]]) -> None:
    found = ceiling.ports(CLIFF, used, port_range=28_232, tuples=28_232, end_s=6.0)
    assert (found.half_range_passed_s, found.exhausted_s, found.rate_before, found.rate_after) == (None,) * 4


def test_without_ports_there_is_nothing_to_pass() -> None:
    assert ceiling.ports(CLIFF, [(1.0, 9)], port_range=0, tuples=0, end_s=6.0) == Ports(0, 0, 9)


@pytest.mark.parametrize(("witnessed_s", "expected_s"), [(None, 3.0), (2.5, 2.5)])
def test_exhaustion_is_when_connect_failed_or_else_when_all_tuples_were_used(
    witnessed_s: float | None, expected_s: float
) -> None:
    used = [(0.0, 0), (1.0, 1000), (3.0, 2000), (4.0, 2000)]
    found = ceiling.ports(CLIFF, used, port_range=2000, tuples=2000, end_s=6.0, exhausted_s=witnessed_s)
    assert found.exhausted_s == expected_s


def test_the_default_range_sustains_470_connections_per_second_and_235_smoothly() -> None:
    here = ceiling.ceiling(28_232)
    assert here.connections_per_s == pytest.approx(470.5, abs=0.1)
    assert here.smooth_per_s == pytest.approx(235.3, abs=0.1)
    assert here.slows_after_s(10_000) == pytest.approx(1.41, abs=0.01)
    assert here.exhausted_after_s(10_000) == pytest.approx(2.82, abs=0.01)
    assert here.slows_after_s(235) is None
    assert here.exhausted_after_s(470) is None


def test_addresses_and_destinations_multiply_the_range() -> None:
    assert ceiling.ceiling(1000, addresses=3, destinations=2).tuples == 6000


@pytest.mark.parametrize(
    ("name", "most", "holds"),
    [
        ("as it is", 235.3, False),
        ("keep-alive", 2117.4, True),
        ("wider range", 537.6, False),
        ("more source addresses", 2117.4, True),
        ("more destinations", 2117.4, True),
        ("tcp_tw_reuse", 14_116.0, True),
        ("backend closes first", math.inf, True),
    ],
)
def test_each_remedy_moves_the_ceiling_so_far(name: str, most: float, holds: bool) -> None:
    remedy = next(each for each in ceiling.remedies(2000.0, 28_232) if each.name == name)
    assert remedy.requests_per_s == pytest.approx(most, abs=0.1)
    assert remedy.holds is holds


def test_a_rate_below_the_ceiling_needs_no_remedy() -> None:
    assert ceiling.remedies(200.0, 28_232)[0].holds
    assert "1 instead of 1" in next(r.change for r in ceiling.remedies(200.0, 28_232) if "source" in r.name)


def test_the_half_never_comes_after_the_end_that_the_subject_reports() -> None:
    found = ceiling.ports(
        [(0.1, 90)], [(0.0, 0), (0.1, 100)], port_range=100, tuples=100, end_s=1.0, exhausted_s=0.04
    )
    assert (found.half_range_passed_s, found.exhausted_s) == (0.04, 0.04)


@pytest.mark.parametrize(
    ("after", "reuses", "has_cliff"),
    [(1000, True, False), (900, True, False), (400, True, True), (1000, False, True)],
)
def test_where_ports_are_taken_again_half_of_them_is_a_cliff_only_if_the_rate_fell(
    after: float, reuses: bool, has_cliff: bool
) -> None:
    steps = ticks(*[1000] * 20, *[after] * 40)
    used = [(0.0, 0), (2.0, 1000), (6.0, 1400)]
    found = ceiling.ports(steps, used, port_range=2000, tuples=2000, end_s=6.0, reuses=reuses)
    assert found.half_range_passed_s == 2.0, "that they were in use is seen all the same"
    assert (found.rate_after is not None) is has_cliff
    assert found.is_half_free is not has_cliff
    assert found.slowed_s == (2.0 if has_cliff else None)


def test_ports_that_are_taken_again_are_exhausted_only_where_connect_fails() -> None:
    used = [(0.0, 0), (1.0, 2000)]
    known: dict[str, Any] = {"port_range": 2000, "tuples": 2000, "end_s": 6.0, "reuses": True}
    assert ceiling.ports(CLIFF, used, **known).exhausted_s is None
    assert ceiling.ports(CLIFF, used, **known, exhausted_s=1.2).exhausted_s == 1.2


@pytest.mark.parametrize(
    ("used", "at_end", "peak"), [([(1.0, 2026)], None, 2000), ([(1.0, 1947)], 1969, 1969), ([], 7, 7)]
)
def test_the_peak_is_no_more_than_there_are_and_no_less_than_after_the_drain(
    used: list[tuple[float, int]], at_end: int | None, peak: int
) -> None:
    found = ceiling.ports(CLIFF, used, port_range=2000, tuples=2000, end_s=6.0, at_end=at_end)
    assert found.used_peak == peak
