"""What a sequence of snapshots says about a hop: what turned over, and what could have been spared."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.watch import evidence
from bench.watch.evidence import HopEvidence
from bench.watch.model import OTHER_PEERS, Direction, HopFlow, PeerHop, RequestFlow, Source
from tests.watch import made_up
from tests.watch.made_up import CLIENT, UPSTREAM, Row


def only(rows: list[Row], source: Source = Source.EXACT) -> HopEvidence:
    (found,) = evidence.collect(made_up.watched(rows, source))
    return found


def row(flow: HopFlow, **state: object) -> Row:
    return Row((made_up.hop(UPSTREAM, flow, **state),))


@pytest.mark.parametrize(
    ("flow", "established", "ages_s", "turned_over"),
    [
        (HopFlow(opened=100, closed_here=100), 0, (), 100),
        (HopFlow(opened=100), 100, (0.5,) * 64, 0),
        (HopFlow(opened=100, closed_here=100), 100, (0.5,) * 64, 0),
        (HopFlow(opened=100, closed_here=100), 100, (9.0,) * 64, 100),
        (HopFlow(opened=100, closed_here=40), 0, (), 40),
        (HopFlow(closed_here=100), 0, (), 0),
    ],
    ids=["short", "fills", "restarts", "short beside old ones", "not all have ended yet", "shrinks"],
)
def test_what_turns_over_was_opened_and_ended(
    flow: HopFlow, established: int, ages_s: tuple[float, ...], turned_over: int
) -> None:
    found = only([row(HopFlow()), row(flow, established=established, ages_s=ages_s)])
    assert abs(found.turned_over - turned_over) <= 2  # of 100, of which 64 ages are a sample


@given(
    st.lists(
        st.tuples(*[st.integers(0, 50)] * 4, st.lists(st.floats(0, 9), max_size=5)), min_size=1, max_size=8
    )
)
def test_no_more_turns_over_than_was_opened_or_has_ended(
    seen: list[tuple[int, int, int, int, list[float]]],
) -> None:
    found = only(
        [
            row(
                HopFlow(opened=opened, closed_here=here, closed_there=there),
                established=established,
                ages_s=tuple(ages_s),
            )
            for opened, here, there, established, ages_s in seen
        ]
    )
    assert 0 <= found.turned_over <= min(found.total.opened, found.total.ended)
    assert found.churn_per_s * found.seconds <= found.turned_over


def test_a_peers_first_connection_could_not_have_been_spared() -> None:
    once = HopFlow(opened=1, closed_there=1)
    assert only([row(once)]).repeated == 0
    assert only([row(once), row(once)]).repeated == 1


def test_peers_that_nobody_tells_apart_may_each_have_come_once() -> None:
    others = PeerHop(Direction.INCOMING, OTHER_PEERS, 443)
    assert only(made_up.short(others, 100, 5)).repeated == 0


def test_a_hop_that_a_snapshot_does_not_name_had_nothing_in_it() -> None:
    found = only([Row(), row(HopFlow(opened=3)), Row()])
    assert [flow.opened for flow in found.flows] == [0, 3, 0]


def test_sockets_of_nobody_are_left_out() -> None:
    ours, nobodys = made_up.hop(UPSTREAM, HopFlow(opened=1)), made_up.hop(UPSTREAM, HopFlow(opened=50))
    found = only([Row((ours, replace(nobodys, is_unattributed=True)))])
    assert found.total.opened == 1


@pytest.mark.parametrize(
    ("flow", "hops", "about"),
    [
        (RequestFlow("log", 5, 8080), (UPSTREAM, CLIENT), [5, 0]),
        (RequestFlow("log", 5, 8080, peer="10.0.0.3"), (UPSTREAM, CLIENT), [0, 0]),
        (RequestFlow("status", 5, direction=Direction.INCOMING), (UPSTREAM, CLIENT), [0, 5]),
        (RequestFlow("all", 5), (UPSTREAM, replace(UPSTREAM, port=81)), [0, 0]),
    ],
    ids=["its port", "another server", "the only port of a direction", "one of two ports"],
)
def test_requests_belong_to_the_hop_that_they_name(
    flow: RequestFlow, hops: tuple[PeerHop, ...], about: list[int]
) -> None:
    seen = evidence.collect(made_up.watched([Row(tuple(map(made_up.hop, hops)), requests=(flow,))]))
    assert [sum(each.requests for flows in hop.requests for each in flows) for hop in seen] == about


def test_requests_of_a_whole_program_are_of_the_one_port_where_it_was_seen() -> None:
    beside = replace(CLIENT, port=9000)
    hops = (made_up.hop(CLIENT, processes=("nginx",)), made_up.hop(beside, processes=("python",)))
    flow = RequestFlow("nginx stub_status", 5, direction=Direction.INCOMING)
    seen = evidence.collect(made_up.watched([Row(hops, requests=(flow,)), Row(requests=(flow,))]))
    assert [sum(each.requests for flows in of.requests for each in flows) for of in seen] == [10, 0]


def test_requests_of_many_servers_count_once() -> None:
    servers = [PeerHop(Direction.OUTGOING, f"10.0.0.{n}", 8080) for n in range(4)]
    rows = [Row(tuple(map(made_up.hop, servers)), requests=(RequestFlow("log", 100, 8080, connections=20),))]
    (group,) = evidence.group(evidence.collect(made_up.watched(rows)))
    assert group.requests_per_connection == 5
