"""Columns become hops: what there is on each, at most a thousand of them, and whose they are."""

from __future__ import annotations

import numpy as np
import pytest

from bench.observe.sock_diag import CLOSE_WAIT, ESTABLISHED, FIN_WAIT2, SYN_SENT
from bench.watch import hops
from bench.watch.attribution import Attribution
from bench.watch.difference import difference
from bench.watch.dump import Dump
from bench.watch.dump_reader import KnownPorts, read_dump
from bench.watch.hops import HopInterval, hop_snapshots
from bench.watch.model import OTHER_PEERS, Direction, HopFlow, HopSnapshot, HostFlow, PeerHop
from bench.watch.processes import HeldSockets
from bench.watch.reconciliation import Reconciliation
from bench.watch.scope import Scope
from tests.watch.socket_rows import listener, message, rows, waiting

NOW_MS = 1e6


class ScopeOf(Scope):
    """A scope of one process among others, or of all."""

    def __init__(self, *pids: int) -> None:
        super().__init__("process 7 and its children", 1)
        self._pids = frozenset(pids) or None

    @property
    def pids(self) -> frozenset[int] | None:
        return self._pids

    def is_alone(self) -> bool:
        return self._pids is None


def held(*inodes: int, read_ms: float = NOW_MS, unreadable: int = 0) -> HeldSockets:
    return HeldSockets(
        np.array(sorted(inodes), np.uint32), np.zeros(len(inodes), np.intp), ("nginx",), read_ms, unreadable
    )


def snapshots(
    *messages: bytes,
    first: tuple[bytes, ...] = (),
    listens: tuple[bytes, ...] = (),
    scope: Scope | None = None,
    holds: HeldSockets | None = None,
) -> dict[str, HopSnapshot]:
    """Return the hops of the second of two dumps, two seconds apart; unattributed ones with a star."""
    known = KnownPorts()
    known.port_range = (32768, 60999)
    known.listened.update(rows(listens), NOW_MS)
    before = read_dump([rows(first)], lambda: NOW_MS - 2000, known)
    now = read_dump([rows(messages)], lambda: NOW_MS, known, before)
    whose = Attribution(scope or ScopeOf())
    if holds is not None:
        whose._held = holds
    whose.learn(rows(listens), now)
    return {
        f"{each.hop}{'*' if each.is_unattributed else ''}": each
        for each in hop_snapshots(seen(before, now), whose)
    }


def seen(before: Dump, now: Dump) -> HopInterval:
    found = difference(before, now)
    settled = Reconciliation().settle(found, HostFlow(), None, 0)
    idle_ms = np.where(now.connections.state == ESTABLISHED, 1500.0, np.nan)
    return HopInterval(found.hops, settled, found.lifetimes, now, idle_ms, idle_ms / 500)


def out(port: int, state: int, peer: str = "10.0.0.2", inode: int = 0, source: str = "10.0.0.1") -> bytes:
    return message(state, (source, port), (peer, 80), inode=inode)


def test_a_hop_says_what_there_is_and_what_happened() -> None:
    found = snapshots(
        *(out(40_000 + port, ESTABLISHED) for port in range(3)),
        *(out(41_000 + port, CLOSE_WAIT) for port in range(2)),
        out(42_000, SYN_SENT),
        out(42_001, FIN_WAIT2),
        waiting(("10.0.0.1", 43_000), ("10.0.0.2", 80), 50_000),
        waiting(("10.0.0.1", 43_001), ("10.0.0.2", 80), 500),
        first=(out(40_000, ESTABLISHED),),
    )
    assert list(found) == ["10.0.0.2:80"]
    state, flow = found["10.0.0.2:80"].state, found["10.0.0.2:80"].flow
    assert (state.established, state.close_wait, state.syn_sent, state.fin_wait, state.time_wait) == (
        3,
        2,
        1,
        1,
        2,
    )
    assert state.ports_used == 9
    assert state.idle_s == (1.5,) * 3
    assert sorted(state.data_sent) == [(3, 0.0), (3, 0.0), (3, 2.0)]
    assert sorted(state.ages_s) == [0.0, 0.0, 2.0]
    assert flow == HopFlow(opened=6, closed_here=2)


def test_ports_in_use_are_those_of_the_address_that_has_the_most() -> None:
    found = snapshots(
        *(out(40_000 + port, ESTABLISHED, source="10.0.0.1") for port in range(5)),
        *(waiting(("10.0.0.3", 40_000 + port), ("10.0.0.2", 80), 30_000) for port in range(7)),
    )
    assert found["10.0.0.2:80"].state.ports_used == 7


def test_an_incoming_connection_takes_up_no_port() -> None:
    client = message(ESTABLISHED, ("10.0.0.1", 40_000), ("10.0.0.9", 5))
    found = snapshots(client, listens=(listener("0.0.0.0", 40_000),))
    assert found["10.0.0.9 to :40000"].hop == PeerHop(Direction.INCOMING, "10.0.0.9", 40_000)
    assert found["10.0.0.9 to :40000"].state.ports_used == 0


def test_a_hop_that_is_empty_is_left_out() -> None:
    assert snapshots(first=(waiting(("10.0.0.1", 40_000), ("10.0.0.2", 80), 59_000),)) == {}


def test_peers_beyond_the_largest_stand_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hops, "MOST_HOPS", 2)
    peers = {"10.0.0.2": 5, "10.0.0.3": 4, "10.0.0.4": 3, "10.0.0.5": 2}
    found = snapshots(
        *(out(40_000 + at, ESTABLISHED, peer) for peer, count in peers.items() for at in range(count)),
        message(ESTABLISHED, ("10.0.0.1", 8080), ("10.0.0.9", 5)),
        listens=(listener("0.0.0.0", 8080),),
    )
    assert {name: each.state.established for name, each in found.items()} == {
        "10.0.0.2:80": 5,
        "10.0.0.3:80": 4,
        f"{OTHER_PEERS}:80": 5,
        f"{OTHER_PEERS} to :8080": 1,
    }
    assert found[f"{OTHER_PEERS}:80"].state.ports_used == 3


def test_ports_of_others_beyond_the_largest_stand_together_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hops, "MOST_HOPS", 0)
    monkeypatch.setattr(hops, "_MOST_OTHERS", 1)
    found = snapshots(
        *(message(ESTABLISHED, ("10.0.0.1", 40_000 + port), ("10.0.0.2", port)) for port in (1, 2, 3)),
        message(ESTABLISHED, ("10.0.0.1", 50_000), ("10.0.0.3", 3)),
    )
    assert {name: each.state.established for name, each in found.items()} == {
        f"{OTHER_PEERS}:3": 2,
        OTHER_PEERS: 2,
    }


def test_a_sample_is_bounded() -> None:
    found = snapshots(*(out(33_000 + port, ESTABLISHED) for port in range(300)))
    assert len(found["10.0.0.2:80"].state.ages_s) == len(found["10.0.0.2:80"].state.idle_s) == 64


# -- whose they are


def one_process(
    *messages: bytes, holds: HeldSockets, listens: tuple[bytes, ...] = ()
) -> dict[str, HopSnapshot]:
    first = tuple(each for each in messages if each[17] != 6)
    return snapshots(*messages, first=first, listens=listens, scope=ScopeOf(7), holds=holds)


def test_what_waits_belongs_to_the_process_that_was_seen_on_its_hop() -> None:
    found = one_process(
        out(40_000, ESTABLISHED, inode=5),
        *(waiting(("10.0.0.1", 41_000 + at), ("10.0.0.2", 80), 30_000) for at in range(4)),
        out(40_001, ESTABLISHED, "10.0.0.3", inode=6),  # another's
        waiting(("10.0.0.1", 42_000), ("10.0.0.3", 80), 30_000),
        waiting(("10.0.0.1", 43_000), ("10.0.0.4", 80), 30_000),  # nobody's any more
        holds=held(5),
    )
    assert {name: each.state.time_wait for name, each in found.items()} == {
        "10.0.0.2:80": 4,
        "10.0.0.4:80*": 1,
    }
    assert found["10.0.0.2:80"].state.processes == ("nginx",)


def test_what_waits_on_a_hop_of_several_stands_apart() -> None:
    found = one_process(
        out(40_000, ESTABLISHED, inode=5),
        out(40_001, ESTABLISHED, inode=6),
        *(waiting(("10.0.0.1", 41_000 + at), ("10.0.0.2", 80), 30_000) for at in range(4)),
        holds=held(5),
    )
    assert {name: (each.state.established, each.state.time_wait) for name, each in found.items()} == {
        "10.0.0.2:80": (1, 0),
        "10.0.0.2:80*": (1, 4),
    }


def test_a_connection_that_came_after_the_files_were_read_is_nobodys_proof() -> None:
    found = one_process(
        out(40_000, ESTABLISHED, inode=5),
        out(40_001, ESTABLISHED, inode=6),
        holds=held(5, read_ms=NOW_MS - 3000),
    )
    assert {name: each.state.established for name, each in found.items()} == {"10.0.0.2:80": 2}


def test_incoming_connections_belong_to_who_listens() -> None:
    def client(port: int) -> bytes:
        return waiting(("10.0.0.1", port), ("10.0.0.9", 5), 30_000)

    found = one_process(
        client(80),
        client(81),
        client(82),
        listens=(
            listener("0.0.0.0", 80, inode=5),
            listener("0.0.0.0", 81, inode=6),
            listener("0.0.0.0", 82, inode=5),
            listener("0.0.0.0", 82, inode=6),
        ),
        holds=held(5),
    )
    assert list(found) == ["10.0.0.9 to :80", "10.0.0.9 to :82*"]
    assert found["10.0.0.9 to :80"].state.processes == ("nginx",)


def test_of_a_process_that_may_not_be_read_everything_stands_apart() -> None:
    found = one_process(out(40_000, ESTABLISHED, inode=5), holds=held(unreadable=1))
    assert list(found) == ["10.0.0.2:80*"]


def test_a_user_that_only_the_process_has_tells_its_short_connections() -> None:
    def client(user: int, inode: int) -> bytes:
        return message(ESTABLISHED, ("10.0.0.1", 40_000), ("10.0.0.2", 80), user=user, inode=inode)

    def names(user: int, inode: int) -> list[str]:
        known = KnownPorts()
        first = read_dump([rows([])], lambda: NOW_MS - 2000, known)
        seen_once = read_dump([rows([client(user, inode)])], lambda: NOW_MS - 1000, known, first)
        now = read_dump(
            [rows([waiting(("10.0.0.1", 41_000), ("10.0.0.2", 80))])], lambda: NOW_MS, known, seen_once
        )
        whose = Attribution(ScopeOf(7))
        whose._users = frozenset((33,))
        whose.learn_by_user(seen_once)
        return [
            f"{each.hop}{'*' if each.is_unattributed else ''}"
            for each in hop_snapshots(seen(seen_once, now), whose)
        ]

    assert names(user=33, inode=5) == ["10.0.0.2:80"]
    assert names(user=34, inode=5) == ["10.0.0.2:80*"]
    assert names(user=33, inode=0) == ["10.0.0.2:80*"]  # no process holds it any more


@pytest.mark.parametrize(
    ("direction", "port", "name"),
    [
        (Direction.OUTGOING, 0, "others"),
        (Direction.OUTGOING, 443, "others:443"),
        (Direction.INCOMING, 0, "others to other ports"),
        (Direction.INCOMING, 443, "others to :443"),
    ],
)
def test_others_are_named_with_the_port_that_they_share(direction: Direction, port: int, name: str) -> None:
    assert str(PeerHop(direction, OTHER_PEERS, port)) == name
