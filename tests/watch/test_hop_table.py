"""The hops over the last seconds: rates, bounds, who closes, and requests where a source counts them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.watch.flows import Closer
from bench.watch.hop_table import summarize
from bench.watch.model import Direction, HopFlow, HostFlow, HostState, PeerHop, RequestFlow, Source
from tests.watch.made_up import CLIENT, UPSTREAM, Row, hop, kept, short, watched

SOURCE = "nginx access log up.log"


def test_a_rate_is_over_the_last_ten_seconds() -> None:
    rows = summarize(watched([*kept(UPSTREAM, 4, 20), *short(UPSTREAM, 100, 5)]))
    assert [row.opened_per_s for row in rows] == [50.0]


def test_a_rate_is_over_the_whole_watch_where_that_is_shorter() -> None:
    assert summarize(watched(short(UPSTREAM, 100, 3)))[0].opened_per_s == 100.0


def test_intervals_of_any_length_are_weighed_by_it() -> None:
    (row,) = summarize(watched(short(UPSTREAM, 100, 8), step_s=0.5))
    assert row.opened_per_s == 200.0


def test_nothing_seen_is_no_row() -> None:
    assert summarize([]) == ()
    assert summarize(watched([Row()])) == ()


def test_the_fastest_hop_comes_first_then_the_one_with_most_time_wait() -> None:
    slow, fast = PeerHop(Direction.OUTGOING, "10.0.0.3", 80), PeerHop(Direction.OUTGOING, "10.0.0.4", 80)
    hops = (
        hop(slow, HopFlow(opened=1)),
        hop(UPSTREAM, time_wait=5),
        hop(CLIENT, time_wait=7),
        hop(fast, HopFlow(opened=9)),
    )
    assert [row.hop for row in summarize(watched([Row(hops)]))] == [fast, slow, CLIENT, UPSTREAM]


@pytest.mark.parametrize(
    ("flow", "expected"),
    [
        (HopFlow(closed_here=9, closed_there=1), Closer.HERE),
        (HopFlow(reset_there=10), Closer.THERE),
        (HopFlow(closed_here=5, closed_there=5), Closer.BOTH),
        (HopFlow(), Closer.UNKNOWN),
    ],
)
def test_who_closes_first_is_who_did_nine_times_of_ten(flow: HopFlow, expected: Closer) -> None:
    (row,) = summarize(watched([Row((hop(UPSTREAM, flow),))]))
    assert row.closer is expected


@pytest.mark.parametrize(
    ("source", "flow", "counted", "is_at_least"),
    [
        (Source.EXACT, HopFlow(opened=50, closed_there=50), 90, False),
        (Source.SAMPLED, HopFlow(opened=50, closed_there=50), 90, True),
        (Source.SAMPLED, HopFlow(opened=50, closed_here=50), 90, False),  # it stays in TIME_WAIT here
        (Source.SAMPLED, HopFlow(opened=50, closed_there=50), 50, False),  # the kernel has counted no more
    ],
)
def test_a_count_is_a_lower_bound_where_connections_may_have_come_and_gone_unseen(
    source: Source, flow: HopFlow, counted: int, is_at_least: bool
) -> None:
    row = Row((hop(UPSTREAM, flow),), HostFlow(active_opens=counted))
    assert summarize(watched([row], source))[0].is_at_least is is_at_least


def test_ports_are_those_towards_a_peer_that_this_host_connects_to() -> None:
    host = HostState(port_range=(1001, 2000), reserved_ports=200)
    row = Row((hop(UPSTREAM, ports_used=600), hop(CLIENT, established=3)), host=host)
    by_hop = {each.hop: each for each in summarize(watched([row]))}
    assert (by_hop[UPSTREAM].ports_share, by_hop[UPSTREAM].ports_left) == (0.75, 200)
    assert (by_hop[CLIENT].ports_share, by_hop[CLIENT].ports_left) == (None, None)


def requests(count: int, **of: object) -> RequestFlow:
    return replace(RequestFlow(SOURCE, count), **of)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("flow", "expected"),
    [
        (requests(500, port=8080), 5.0),
        (requests(500, port=8080, peer="10.0.0.2"), 5.0),
        (requests(500), 5.0),
        (requests(500, connections=50), 10.0),  # what the source counted is right
        (requests(500, port=9090), None),
        (requests(500, peer="10.0.0.3"), None),
        (requests(500, direction=Direction.INCOMING), None),
        (requests(0), None),
    ],
)
def test_requests_per_connection_come_from_a_source_of_that_hop(
    flow: RequestFlow, expected: float | None
) -> None:
    rows = [replace(row, requests=(flow,)) for row in short(UPSTREAM, 100, 1)]
    assert summarize(watched(rows))[0].requests_per_connection == expected


def test_requests_without_a_new_connection_are_infinitely_many_for_each() -> None:
    rows = [replace(row, requests=(requests(500),)) for row in kept(UPSTREAM, 4, 3)]
    (row,) = summarize(watched(rows))
    assert (row.requests_per_connection, row.requests_per_s) == (float("inf"), 500.0)


def test_of_two_sources_the_one_that_names_the_peer_is_believed() -> None:
    flows = (requests(100, peer="10.0.0.2"), requests(900, source="another"))
    rows = [replace(row, requests=flows) for row in short(UPSTREAM, 100, 1)]
    assert summarize(watched(rows))[0].requests_per_connection == 1.0


def test_requests_of_several_peers_are_over_the_connections_to_all_of_them() -> None:
    second = PeerHop(Direction.OUTGOING, "10.0.0.3", 8080)
    one, other = short(UPSTREAM, 100, 1)[0], short(second, 300, 1)[0]
    row = Row((*one.hops, *other.hops), requests=(requests(800, port=8080),))
    assert [each.requests_per_connection for each in summarize(watched([row]))] == [2.0, 2.0]


STATUS = RequestFlow(
    "nginx stub_status http://127.0.0.1/status", 900, None, Direction.INCOMING, connections=3
)


@pytest.mark.parametrize(
    ("of_client", "of_other", "expected"),
    [
        (("nginx",), ("python",), (300.0, None)),
        (("nginx",), (), (300.0, None)),
        (("nginx",), ("nginx", "python"), (300.0, 300.0)),
        (("openresty",), ("python",), (None, None)),
        ((), (), (None, None)),
    ],
    ids=["beside a server", "beside one not seen", "two ports of it", "another name", "no names"],
)
def test_requests_of_a_whole_program_are_of_its_ports_and_not_of_a_server_beside_it(
    of_client: tuple[str, ...], of_other: tuple[str, ...], expected: tuple[float | None, ...]
) -> None:
    other = PeerHop(Direction.INCOMING, "127.0.0.1", 9000)
    hops = (
        hop(CLIENT, HopFlow(opened=3), processes=of_client),
        hop(other, HopFlow(opened=300, closed_here=300), processes=of_other),
    )
    by_hop = {each.hop: each for each in summarize(watched([Row(hops, requests=(STATUS,))]))}
    assert (by_hop[CLIENT].requests_per_connection, by_hop[other].requests_per_connection) == expected
