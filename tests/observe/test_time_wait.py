"""Which side a socket belongs to, and what follows from the gauge between two surveys."""

from __future__ import annotations

import numpy as np
import pytest

from bench.observe.sock_diag import ESTABLISHED, FIN_WAIT2, SYN_SENT, TIME_WAIT, Sockets
from bench.observe.tcp_counters import Counters
from bench.observe.time_wait import (
    HostPorts,
    HostSockets,
    count_sockets,
    ports_used_since,
    time_wait_since,
)

PROXY, BACKEND = 8080, 9000
PROXY_HOST = HostPorts(frozenset({PROXY}), frozenset({BACKEND}), (32768, 33000))


def table(*rows: tuple[int, int, int]) -> Sockets:
    state, local, remote = zip(*rows, strict=True) if rows else ((), (), ())
    return Sockets(np.array(state, np.uint8), np.array(local, np.uint16), np.array(remote, np.uint16))


ROWS = (
    (ESTABLISHED, PROXY, 40000),  # a client
    (TIME_WAIT, PROXY, 40001),  # a client whose connection the proxy closed
    (TIME_WAIT, PROXY, BACKEND),  # a client whose own port happens to be the backend's
    (ESTABLISHED, 32768, BACKEND),
    (TIME_WAIT, 32769, BACKEND),
    (TIME_WAIT, 32771, BACKEND),
    (FIN_WAIT2, 32773, BACKEND),
    (SYN_SENT, 33000, BACKEND),
    (TIME_WAIT, 33001, BACKEND),  # bound outside of the range
    (TIME_WAIT, 32780, 443),  # of another host
)


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        (PROXY_HOST, HostSockets(5, 2, 3, in_transition=2, ports_used=5)),
        (HostPorts(frozenset(), frozenset({BACKEND}), (32768, 33000)), HostSockets(4, 0, 4, 2, 5)),
        (
            HostPorts(frozenset({PROXY}), frozenset()),
            HostSockets(2, 2, 0, in_transition=0, ports_used=0),
        ),
        (HostPorts(), HostSockets(0, 0, 0, 0, 0)),
    ],
)
def test_sides_are_distinguished_by_ports(ends: HostPorts, expected: HostSockets) -> None:
    assert count_sockets(table(*ROWS), ends) == expected


def test_an_empty_table_is_counted() -> None:
    assert count_sockets(table(), PROXY_HOST) == HostSockets(0, 0, 0, 0, 0)


def test_a_survey_names_the_sides() -> None:
    assert count_sockets(table(*ROWS), PROXY_HOST).time_wait_by_hop == {"client": 2, "backend": 3}


def gauges(time_wait: int, established: int, active_opens: int = 0, passive_opens: int = 0) -> Counters:
    return Counters(active_opens, passive_opens, established=established, time_wait=time_wait)


LAST = HostSockets(1000, 0, 1000, in_transition=0, ports_used=1064)
THEN = gauges(1000, 128, 1064, 64)


@pytest.mark.parametrize(
    ("now", "ports_used", "why"),
    [
        (THEN, 1064, "nothing happened"),
        (gauges(1500, 128, 1564, 64), 1564, "all new connections are the host's own"),
        (gauges(1000, 628, 1064, 564), 1064, "all new connections are others'"),
        (gauges(1000, 1128, 1564, 564), 1564, "half and half"),
        (gauges(0, 0, 1064, 64), 0, "all have gone"),
    ],
)
def test_ports_follow_the_gauge_by_who_opened(now: Counters, ports_used: int, why: str) -> None:
    assert ports_used_since(LAST, THEN, now) == ports_used, why


def test_without_a_survey_all_that_connects_takes_a_port() -> None:
    nothing = HostSockets(0, 0, 0, 0, 0)
    assert ports_used_since(nothing, gauges(0, 0), gauges(7, 64, 71, 0)) == 71
    assert ports_used_since(nothing, gauges(0, 0), gauges(7, 64, 0, 71)) == 0
    assert time_wait_since(nothing, gauges(0, 0), gauges(7, 64)) == 7


@pytest.mark.parametrize(
    ("then", "now", "time_wait"),
    [
        (1000, 1500, 1500),
        (1250, 1250, 1000),  # the gauge counts FIN-WAIT-2, and on loopback other hosts too
        (1250, 2500, 2000),
        (1000, 0, 0),
    ],
)
def test_time_wait_follows_the_gauge_by_its_share(then: int, now: int, time_wait: int) -> None:
    assert time_wait_since(LAST, gauges(then, 0), gauges(now, 0)) == time_wait
