"""The forecast of ports: when half of them is taken at this rate, where it settles, and what hides it."""

from __future__ import annotations

import dataclasses
import math
import statistics

import pytest

from bench.watch import evidence
from bench.watch.forecast import Forecast, Outlook, forecast, seconds
from bench.watch.model import HopFlow, HopSnapshot, HopState, HostState, PeerHop, Snapshot
from tests.watch import made_up
from tests.watch.made_up import LOOPBACK, UPSTREAM, Row

HOST = HostState(port_range=(32768, 60999))  # 28,232 ports, the half of which are 14,116
NARROW = HostState(port_range=(32768, 33767))  # 1,000 ports


def of(snapshots: list[Snapshot], host: HostState = HOST) -> Forecast:
    (found,) = evidence.collect(snapshots)
    return forecast(found, host)


@pytest.mark.parametrize(
    ("per_s", "seconds_seen", "outlook", "settles_at"),
    [
        (10, 5, Outlook.SETTLES, 600),
        (235, 5, Outlook.SETTLES, 14_100),
        (236, 5, Outlook.REACHES_HALF, 14_160),
        (470, 5, Outlook.REACHES_HALF, 28_200),
        (471, 5, Outlook.REACHES_END, 28_260),
        (1000, 5, Outlook.REACHES_END, 60_000),
        (1000, 15, Outlook.PAST_HALF, 60_000),
        (1000, 28, Outlook.EXHAUSTED, 60_000),
    ],
)
def test_a_rate_settles_at_what_it_takes_within_a_minute(
    per_s: int, seconds_seen: int, outlook: Outlook, settles_at: float
) -> None:
    found = of(made_up.watched(made_up.short(UPSTREAM, per_s, seconds_seen)))
    assert found.outlook is outlook
    assert found.settles_at == pytest.approx(settles_at)


@pytest.mark.parametrize(("per_s", "half_in_s", "end_in_s"), [(400, 30.29, None), (1000, 9.116, 23.232)])
def test_half_of_the_ports_is_a_matter_of_seconds(
    per_s: int, half_in_s: float, end_in_s: float | None
) -> None:
    found = of(made_up.watched(made_up.short(UPSTREAM, per_s, 5)))
    assert found.half_in_s is not None
    assert found.half_in_s.center == pytest.approx(half_in_s, abs=0.01)
    assert (found.end_in_s and found.end_in_s.center) == (end_in_s and pytest.approx(end_in_s))


def test_a_rate_that_spreads_gives_an_interval_that_holds_what_then_happens() -> None:
    used, pattern = 0, (90, 110, 95, 105, 100, 100, 92, 108)
    rows = []
    for opened in pattern:
        used += opened
        flow = HopFlow(opened=opened, closed_here=opened)
        rows.append(Row((made_up.hop(UPSTREAM, flow, time_wait=used, ports_used=used),)))
    found = of(made_up.watched(rows), HostState(port_range=(32768, 35767)))
    assert found.half_in_s is not None
    assert found.half_in_s.low is not None
    assert found.half_in_s.high is not None
    assert found.half_in_s.low < (1500 - used) / 100 < found.half_in_s.high
    assert found.half_in_s.high - found.half_in_s.low < 0.5 * found.half_in_s.center


def test_what_was_quiet_before_the_traffic_began_does_not_slow_the_forecast() -> None:
    quiet = [Row((made_up.hop(UPSTREAM),))] * 6
    found = of(made_up.watched([*quiet, *made_up.short(UPSTREAM, 1000, 5)]))
    assert found.half_in_s is not None
    assert found.half_in_s.center == pytest.approx(9.116, abs=0.1)


def test_one_look_gives_a_time_without_an_interval() -> None:
    found = of(made_up.watched(made_up.short(UPSTREAM, 1000, 1)))
    assert found.half_in_s is not None
    assert found.half_in_s.center == pytest.approx(13.116)
    assert found.half_in_s.low is None
    assert seconds(found.half_in_s) == "about 13 s"


def test_what_has_run_for_more_than_a_minute_has_settled() -> None:
    flow = HopFlow(opened=100, closed_here=100)
    row = Row((made_up.hop(UPSTREAM, flow, time_wait=6000, ports_used=6000),))
    found = of(made_up.watched([row] * 10))
    assert (found.outlook, found.growth_per_s) == (Outlook.SETTLES, 0)
    assert found.headroom == pytest.approx(14_116 / 6000)
    assert "settles at 6,000 of 28,232 ports" in " ".join(found.sentences())


def test_a_rate_that_rose_reaches_the_half_before_a_minute_is_over() -> None:
    """200/s for a minute, then 300/s: TIME_WAIT frees 200 ports a second meanwhile."""
    rows = []
    for at in range(5):
        waiting = 12_000 + 100 * at
        flow = HopFlow(opened=300, closed_here=300)
        rows.append(Row((made_up.hop(UPSTREAM, flow, time_wait=waiting, ports_used=waiting),)))
    found = of(made_up.watched(rows))
    assert found.outlook is Outlook.REACHES_HALF
    assert found.half_in_s is not None
    assert found.half_in_s.center == pytest.approx((14_116 - 12_400) / 100)


def test_the_other_side_closes_and_the_ports_come_back() -> None:
    found = of(made_up.watched(made_up.short(UPSTREAM, 5000, 5, closed_there=True)))
    assert (found.outlook, found.half_in_s) == (Outlook.FREE, None)


@pytest.mark.parametrize(
    ("hop", "tw_reuse", "outlook"),
    [
        (LOOPBACK, 2, Outlook.REUSED),
        (LOOPBACK, None, Outlook.REUSED),
        (LOOPBACK, 0, Outlook.REACHES_END),
        (UPSTREAM, 2, Outlook.REACHES_END),
        (UPSTREAM, None, Outlook.REACHES_END),
        (UPSTREAM, 1, Outlook.REUSED),
        (PeerHop(UPSTREAM.direction, "::1", 80), 2, Outlook.REUSED),
        (PeerHop(UPSTREAM.direction, "fd00::1", 80), 2, Outlook.REACHES_END),
    ],
)
def test_ports_in_time_wait_are_taken_again_where_tcp_tw_reuse_allows_it(
    hop: PeerHop, tw_reuse: int | None, outlook: Outlook
) -> None:
    host = dataclasses.replace(HOST, tw_reuse=tw_reuse)
    found = of(made_up.watched(made_up.short(hop, 1000, 5, host=host)), host)
    assert found.outlook is outlook
    assert ("hides" in " ".join(found.sentences())) == (outlook is Outlook.REUSED)


def test_each_local_address_has_a_range_of_ports() -> None:
    """Of 30 connections a second an address has 10, and they settle at 600 of its 1,000 ports."""
    flow = HopFlow(opened=30, closed_here=30)
    rows = [Row((made_up.hop(UPSTREAM, flow, time_wait=30 * n, ports_used=10 * n),)) for n in range(1, 6)]
    found = of(made_up.watched(rows), NARROW)
    assert found.outlook is Outlook.REACHES_HALF
    assert found.settles_at == pytest.approx(600)
    assert found.half_in_s is not None
    assert found.half_in_s.center == pytest.approx(45)


def test_past_the_half_it_says_that_the_end_need_not_come() -> None:
    """TIME_WAIT frees 12/s of 700 ports a minute."""
    for per_s, words in (
        (20, "may fall to the 12/s that TIME_WAIT frees"),
        (9, "frees 12/s, and 9.0/s are taken"),
    ):
        rows = []
        for at in range(6):
            flow = HopFlow(opened=per_s, closed_here=per_s)
            rows.append(Row((made_up.hop(UPSTREAM, flow, time_wait=700, ports_used=700 + at % 2),)))
        found = of(made_up.watched(rows), NARROW)
        assert found.outlook is Outlook.PAST_HALF
        assert (found.end_in_s is None) == (per_s < 12)
        assert words in " ".join(found.sentences())


def test_json_has_no_number_that_json_does_not_know() -> None:
    for per_s in (0, 1, 1000):
        found = of(made_up.watched(made_up.short(UPSTREAM, per_s, 2))).to_json()
        numbers = [value for value in found.values() if isinstance(value, float)]
        assert all(map(math.isfinite, numbers))


RACED_PER_S = 600
SHARES = (0.3, 0.7)
"""How often this host closes first, ten seconds each in turn: half of the time over twenty."""


def raced(seconds: int) -> list[Row]:
    """Return a steady rate of connections that either end may close first."""
    used, rows = 0, []
    for at in range(seconds):
        here = round(RACED_PER_S * SHARES[at // 10 % 2])
        used += here
        flow = HopFlow(opened=RACED_PER_S, closed_here=here, closed_there=RACED_PER_S - here)
        rows.append(Row((made_up.hop(UPSTREAM, flow, time_wait=used, ports_used=used),)))
    return rows


def test_where_either_end_may_close_first_one_steady_load_has_one_forecast() -> None:
    rows = raced(60)
    ports = [row.hops[0].state.ports_used for row in rows]
    half_s = next(at + 1 for at, used in enumerate(ports) if used >= 14_116)
    moments_s = []
    for seen in range(16, half_s - 8):
        found = of(made_up.watched(rows[:seen]))
        estimate = found.half_in_s
        assert estimate is not None
        assert estimate.low is not None
        assert estimate.high is not None
        left_s = half_s - seen
        assert estimate.low <= left_s <= estimate.high, seen
        moments_s += [seen + estimate.center] if seen >= 20 else []
    assert max(moments_s) < 1.15 * min(moments_s)
    assert half_s == pytest.approx(statistics.fmean(moments_s), rel=0.1)


def test_the_range_of_a_race_is_what_its_shares_would_make() -> None:
    found = of(made_up.watched(raced(20)))
    left = 14_116 - found.used
    assert found.taken_per_s == pytest.approx(RACED_PER_S * 0.5)
    assert found.half_in_s is not None
    assert found.half_in_s.center == pytest.approx(left / (RACED_PER_S * 0.5))
    assert found.half_in_s.low is not None
    assert found.half_in_s.high is not None
    assert found.half_in_s.low <= left / (RACED_PER_S * 0.7)
    assert found.half_in_s.high >= left / (RACED_PER_S * 0.3)


def test_where_one_end_closes_but_for_mishaps_nothing_is_smoothed() -> None:
    used, rows = 0, []
    for _ in range(20):
        used += 990
        flow = HopFlow(opened=1000, closed_here=990, closed_there=10)
        rows.append(Row((made_up.hop(UPSTREAM, flow, time_wait=used, ports_used=used),)))
    found = of(made_up.watched(rows), HostState(port_range=(1024, 65535)))
    assert found.taken_per_s == pytest.approx(990)
    assert found.half_in_s is not None
    assert found.half_in_s.low == found.half_in_s.high == pytest.approx(found.half_in_s.center)


@pytest.mark.parametrize("ages_s", [(0, 0, 0, 0), (0, 1, 0, 1), (0, 0, 1, 2), (0, 1, 2, 3)])
def test_sockets_that_were_listed_before_the_last_look_give_the_same_time(ages_s: tuple[int, ...]) -> None:
    seen = made_up.watched(made_up.short(UPSTREAM, 1000, 4))
    listed = [
        dataclasses.replace(seen[at], hops=_with_state(seen[at], seen[at - age]), sockets_age_s=float(age))
        for at, age in enumerate(ages_s)
    ]
    found = of(listed)
    assert found.half_in_s is not None
    assert found.half_in_s.center == pytest.approx(10.116, abs=0.01), (
        "14,116 ports after 14.1 s, and 4 are over"
    )


def test_what_appears_at_once_was_there_before_and_is_no_growth() -> None:
    seen = made_up.watched(made_up.short(UPSTREAM, 200, 8), step_s=1.0)
    (hop,) = seen[0].hops
    nothing = dataclasses.replace(seen[0], hops=(dataclasses.replace(hop, state=HopState()),))
    before = [dataclasses.replace(each, hops=nothing.hops) for each in seen[:6]]
    narrow = HostState(port_range=(32768, 37767))  # 5,000 ports
    found = of([*before, *seen[6:]], narrow)
    assert found.used == 1600
    assert found.growth_per_s == pytest.approx(200)
    assert found.half_in_s is not None
    assert found.half_in_s.center == pytest.approx((2500 - 1600) / 200)


def _with_state(snapshot: Snapshot, of_sockets: Snapshot) -> tuple[HopSnapshot, ...]:
    (hop,), (listed,) = snapshot.hops, of_sockets.hops
    return (dataclasses.replace(hop, state=listed.state),)
