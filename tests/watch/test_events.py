"""What the kernel's events mean: who opened a connection, who ended it first, how long it lived."""

from __future__ import annotations

import itertools
from dataclasses import astuple, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench.observe.sock_diag import address_words
from bench.watch.columns import tuple_numbers
from bench.watch.events import ConnectionLedger
from bench.watch.half_closed import HalfClosed
from bench.watch.hop_numbers import HopNumbers
from bench.watch.model import OTHER_PEERS, Direction, HopFlow, PeerHop
from tests.watch.rows import CLIENT, HERE, SERVER, THERE, Event, rows

OUT = PeerHop(Direction.OUTGOING, THERE, SERVER)
IN = PeerHop(Direction.INCOMING, THERE, SERVER)
LATER = 1_000_000_000
RESET = ["connected", "gone", "RST out"]


def outgoing(ledger: ConnectionLedger, *events: Event, until_ns: int = LATER) -> None:
    ledger.feed(rows(events), until_ns)


def incoming(ledger: ConnectionLedger, *events: Event, until_ns: int = LATER) -> None:
    ledger.feed(rows(events, local_port=SERVER, remote_port=CLIENT), until_ns)


@pytest.mark.parametrize(
    ("events", "flow"),
    [
        (["connected"], HopFlow(opened=1)),
        (["connected", "FIN out"], HopFlow(opened=1, closed_here=1)),
        (["connected", "FIN in"], HopFlow(opened=1, closed_there=1)),
        (["connected", "RST in", "gone"], HopFlow(opened=1, reset_there=1)),
        (["connected", "gone", "RST out"], HopFlow(opened=1, reset_here=1)),
        (["connected", "RST out", "gone"], HopFlow(opened=1, reset_here=1)),
        (["connected", "gone"], HopFlow(opened=1, ended_unknown=1)),
        (["refused"], HopFlow(failed_opens=1)),
        (["RST in", "refused"], HopFlow(failed_opens=1)),
        (["connects", "refused"], HopFlow(failed_opens=1)),
        (["both connect", "accepted", "FIN out"], HopFlow(opened=1, closed_here=1)),
        # A reset behind the first FIN changes nothing any more.
        (["connected", "FIN out", "RST in"], HopFlow(opened=1, closed_here=1)),
        # The peer does not read any more what comes to it: it is lost.
        (["connected", "FIN in", "RST in"], HopFlow(opened=1, closed_there=1, reset_after_fin=1)),
        (["FIN in", "RST in"], HopFlow(closed_there=1, reset_after_fin=1)),
        (["connected", "FIN in", "RST in", "RST in"], HopFlow(1, closed_there=1, reset_after_fin=1)),
        (["connected", "FIN in", "RST out", "RST in"], HopFlow(opened=1, closed_there=1)),
        (["connected", "FIN in", "connected", "RST in", "gone"], HopFlow(2, closed_there=1, reset_there=1)),
        (
            ["connected", "FIN in", "RST in", "connected", "FIN in"],
            HopFlow(opened=2, closed_there=2, reset_after_fin=1),
        ),
        # The kernel gives the address of a socket to the next one.
        (
            ["connected", "FIN in", "connected", "gone", "RST out"],
            HopFlow(opened=2, closed_there=1, reset_here=1),
        ),
        (
            ["connected", "gone", "RST out", "connected", "FIN in"],
            HopFlow(opened=2, closed_there=1, reset_here=1),
        ),
        (["connected", "gone", "connected", "RST out"], HopFlow(opened=2, ended_unknown=1)),
        # Its end was lost: the next birth is a connection all the same.
        (["connected", "connected", "FIN in"], HopFlow(opened=2, closed_there=1)),
    ],
)
def test_who_ended_a_connection_follows_from_its_events(events: list[str], flow: HopFlow) -> None:
    ledger = ConnectionLedger()
    outgoing(ledger, *((time_ns, 7, what) for time_ns, what in enumerate(events)))
    (hop, found) = ledger.take().popitem()
    assert hop == OUT
    assert astuple(found)[:8] == astuple(flow)[:8]


@pytest.mark.parametrize(("local_port", "no_port"), [(0, 1), (CLIENT, 0)])
def test_a_connect_that_finds_no_free_port_never_had_one(local_port: int, no_port: int) -> None:
    ledger = ConnectionLedger()
    ledger.feed(rows([(1, 7, "connects"), (2, 7, "refused")], local_port=local_port), LATER)
    assert ledger.take() == {OUT: HopFlow(failed_opens=1, no_port=no_port)}


def test_an_rst_behind_the_fin_counts_when_it_comes_on_the_hop_of_its_connection() -> None:
    ledger = ConnectionLedger(frozenset({SERVER}))
    outgoing(ledger, (1, 7, "connected"), (2, 8, "connected"), (5, 8, "FIN in"), (6, 7, "FIN in"))
    assert ledger.take()[OUT].reset_after_fin == 0
    outgoing(ledger, (900, 8, "RST in"))
    assert ledger.take() == {OUT: HopFlow(reset_after_fin=1)}
    outgoing(ledger, (1_000, 8, "RST in"), (1_001, 7, "RST in"))
    assert ledger.take() == {OUT: HopFlow(reset_after_fin=1)}


def test_an_rst_of_another_connection_with_the_same_memory_is_none_behind_the_fin() -> None:
    ledger = ConnectionLedger()
    outgoing(ledger, (1, 7, "connected"), (2, 7, "FIN in"))
    # Of a namespace whose changes of state are left out: its RST is not, since it names no address.
    ledger.feed(rows([(5, 7, "RST in")], local_port=CLIENT + 1), LATER)
    ledger.feed(rows([(6, 7, "RST in")], local_port=CLIENT), LATER)
    assert ledger.take()[OUT].reset_after_fin == 0


@pytest.mark.parametrize("life", [["refused"], ["connected"], ["both connect"], ["FIN out"], ["gone"]])
def test_a_socket_that_goes_on_has_left_the_fin_of_its_peer_behind(life: list[str]) -> None:
    ledger = ConnectionLedger()
    outgoing(ledger, (1, 7, "connected"), (2, 7, "FIN in"))
    outgoing(ledger, *((3 + at, 7, what) for at, what in enumerate(life)), until_ns=10_000_000)
    outgoing(ledger, (20_000_000, 7, "RST in"))
    assert ledger.take()[OUT].reset_after_fin == 0


def test_the_latest_connections_that_a_peer_ended_are_remembered() -> None:
    ledger = ConnectionLedger()
    ledger._half_closed = HalfClosed(most=4)
    for at in range(9):
        ledger.feed(rows([(at, 100 - at, "FIN in")], remote_port=at), LATER)
        assert len(ledger._half_closed) <= 4
    ledger.take()
    for at in range(9):
        ledger.feed(rows([(1000, 100 - at, "RST in")], remote_port=at), LATER)
    # Two of more than four stay: so at the fifth and at the eighth, and the ninth comes to them.
    assert sorted(hop.port for hop in ledger.take()) == [6, 7, 8]


def test_a_hop_that_is_forgotten_takes_its_ended_connections_along() -> None:
    ledger = ConnectionLedger()
    ledger._numbers.most = 4
    lives: list[tuple[int, list[Event]]] = [
        (2, [(2, 2, "connected"), (3, 3, "FIN in")]),
        (1, [(1, 1, "FIN in")]),
    ]
    for port, events in lives:
        ledger.feed(rows(events, remote_port=port), LATER)
        ledger.take()
    for round_ in range(4):
        ledger.feed(rows([(9, 9, "connected"), (10, 9, "FIN out")], remote_port=50 + round_), LATER)
        ledger.take()
    for port, socket in ((1, 1), (2, 3)):
        ledger.feed(rows([(20, socket, "RST in")], remote_port=port), LATER)
    # The hop of port 2 has a connection still.
    assert ledger.take() == {PeerHop(Direction.OUTGOING, THERE, 2): HopFlow(reset_after_fin=1)}


def test_how_long_a_connection_was_idle_is_asked_of_who_knows_it() -> None:
    asked: list[tuple[int, int]] = []

    def idle_times(tuples: NDArray[np.uint64], at_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        asked.extend(zip(tuples.tolist(), at_ns.tolist(), strict=True))
        return np.where(at_ns == 41, np.nan, at_ns / 10)

    ledger = ConnectionLedger()
    outgoing(ledger, (20, 1, "FIN in"), (30, 1, "RST in"))
    outgoing(ledger, (40, 2, "RST in"), (41, 2, "gone"))
    outgoing(ledger, (50, 3, "RST in"), (51, 3, "gone"))
    outgoing(ledger, (60, 4, "FIN in"), (61, 5, "gone"), (62, 5, "RST out"))
    assert sorted(ledger.take(idle_times)[OUT].idle_before_reset_s) == [2.0, 5.1]
    # Of the FIN, or of the RST where there was none; all have the same addresses and ports here.
    local, remote = (np.array([address_words(text)], np.uint32) for text in (HERE, THERE))
    ports = np.array([CLIENT, SERVER], np.uint16)
    number = int(tuple_numbers(local, ports[:1], remote, ports[1:])[0])
    assert sorted(asked) == [(number, 20), (number, 41), (number, 51)]
    outgoing(ledger, (90, 7, "connected"))
    assert ledger.take(idle_times)[OUT].idle_before_reset_s == ()


def test_a_connection_that_the_peer_opened_is_on_the_hop_of_our_port() -> None:
    ledger = ConnectionLedger()
    incoming(ledger, (1, 7, "accepted"), (2, 7, "FIN in"))
    assert list(ledger.take()) == [IN]


@pytest.mark.parametrize(
    ("listening", "hop"), [({SERVER}, IN), (set(), PeerHop(Direction.OUTGOING, THERE, CLIENT))]
)
def test_a_connection_that_opened_unseen_came_in_if_its_port_is_listened_on(
    listening: set[int], hop: PeerHop
) -> None:
    ledger = ConnectionLedger(frozenset(listening))
    incoming(ledger, (2, 7, "FIN in"))
    assert ledger.take() == {hop: HopFlow(closed_there=1)}


def test_a_lifetime_goes_from_the_opening_to_the_first_end_across_reads() -> None:
    ledger = ConnectionLedger()
    outgoing(ledger, (1_000, 7, "connected"), (2_000, 8, "connected"))
    assert len(ledger) == 2
    outgoing(ledger, (500_001_000, 7, "FIN in"))
    outgoing(ledger, (250_002_000, 8, "FIN out"))
    assert ledger.take()[OUT].lifetimes_s == (0.5, 0.25)
    assert len(ledger) == 0


def test_a_socket_whose_end_was_lost_begins_anew() -> None:
    ledger = ConnectionLedger()
    for began_ns in (1_000, 9_000):
        outgoing(ledger, (began_ns, 7, "connected"))
        assert len(ledger) == 1
    outgoing(ledger, (10_000, 7, "FIN in"))
    assert len(ledger) == 0
    assert ledger.take() == {OUT: HopFlow(2, closed_there=1, lifetimes_s=(1e-6,))}


def test_at_most_64_lifetimes_stand_for_all_of_an_interval() -> None:
    ledger = ConnectionLedger()
    for socket in range(1000):
        outgoing(ledger, (0, socket, "connected"), (socket, socket, "FIN out"))
    lived = ledger.take()[OUT].lifetimes_s
    assert len(lived) == 64
    assert (lived[0], lived[-1]) == (0.0, 999e-9)


def test_what_was_taken_is_not_told_again_and_stays_open() -> None:
    ledger = ConnectionLedger()
    outgoing(ledger, (1, 7, "connected"))
    assert ledger.take() == {OUT: HopFlow(opened=1)}
    assert ledger.take() == {}
    outgoing(ledger, (4, 7, "FIN in"))
    assert ledger.take() == {OUT: HopFlow(closed_there=1, lifetimes_s=(3e-9,))}


def test_what_is_later_than_the_read_waits_for_the_next() -> None:
    ledger = ConnectionLedger()
    outgoing(ledger, (5, 7, "connected"), (9, 7, "FIN in"), until_ns=8)
    assert ledger.take() == {OUT: HopFlow(opened=1)}
    outgoing(ledger, until_ns=9)
    assert ledger.take()[OUT].closed_there == 1


def test_a_reset_whose_segment_is_in_the_next_read_is_told_then() -> None:
    ledger = ConnectionLedger()
    outgoing(ledger, (1, 7, "connected"), (LATER, 7, "gone"))
    assert ledger.take() == {OUT: HopFlow(opened=1)}
    outgoing(ledger, (LATER + 900, 7, "RST out"), until_ns=LATER + 1000)
    assert ledger.take()[OUT].reset_here == 1


def test_an_end_without_any_segment_is_told_when_none_can_come_any_more() -> None:
    ledger = ConnectionLedger()
    outgoing(ledger, (1, 7, "connected"), (LATER, 7, "gone"))
    outgoing(ledger, until_ns=LATER + 5_000_000)
    assert ledger.take()[OUT].ended_unknown == 1


def in_any_order(flows: dict[PeerHop, HopFlow]) -> dict[PeerHop, HopFlow]:
    """Return flows with their lifetimes sorted: they come by read and by socket."""
    return {hop: replace(flow, lifetimes_s=tuple(sorted(flow.lifetimes_s))) for hop, flow in flows.items()}


lives = st.lists(
    st.sampled_from(
        [
            ["connected", "FIN out"],
            ["connected", "FIN in"],
            ["connected", "FIN in", "RST in"],
            ["connected", "RST in", "gone"],
            ["connected", "gone", "RST out"],
            ["refused"],
        ]
    ),
    max_size=30,
)


@given(lives=lives, cuts=st.lists(st.integers(0, 90), max_size=5), seed=st.integers(0, 999))
def test_where_reads_cut_the_stream_makes_no_difference(
    lives: list[list[str]], cuts: list[int], seed: int
) -> None:
    # Four addresses are used again and again; a life of one is over before its next begins.
    events = [
        (1000 * at + 10 * step, at % 4, what)
        for at, life in enumerate(lives)
        for step, what in enumerate(life)
    ]
    whole, cut = ConnectionLedger(), ConnectionLedger()
    outgoing(whole, *events)
    dice = np.random.default_rng(seed)
    edges = [0, *sorted(min(each, len(events)) for each in cuts), len(events)]
    for start, stop in itertools.pairwise(edges):
        part = events[start:stop]
        mixed = [part[at] for at in dice.permutation(len(part))]
        outgoing(cut, *mixed, until_ns=max((time for time, _, _ in part), default=0))
    outgoing(cut)
    assert in_any_order(cut.take()) == in_any_order(whole.take())


def test_too_many_peers_are_gathered_by_port() -> None:
    numbers = HopNumbers(most=2)
    peers = np.arange(20, dtype=np.uint32).reshape(5, 4)
    port = np.array([80, 80, 80, 443, 80], np.uint16)
    found = numbers.find(np.zeros(5, np.bool_), port, peers)
    hops = [numbers.hops[number] for number in found.tolist()]
    assert [hop.port for hop in hops] == port.tolist()
    assert len({hop.peer for hop in hops if hop.peer != OTHER_PEERS}) == 2
    assert sum(hop.peer == OTHER_PEERS for hop in hops) == 3


def test_hops_without_connections_make_room_for_others() -> None:
    ledger = ConnectionLedger()
    ledger._numbers.most = 4
    for round_ in range(8):
        events = rows([(1, round_, "connected"), (2, round_, "FIN in")], remote_port=round_)
        ledger.feed(events, LATER)
        (hop,) = ledger.take()
        assert hop == PeerHop(Direction.OUTGOING, THERE, round_)
