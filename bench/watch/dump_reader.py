"""Make a dump out of the kernel's answer, buffer by buffer. Pure but for the clock that it is given."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bench.observe.sock_diag import ROW_WORDS, TIME_WAIT
from bench.watch.columns import (
    U64,
    Mask,
    SocketColumns,
    concatenated,
    hop_numbers,
    is_loopback,
    matches,
    mix,
    socket_columns,
)
from bench.watch.dump import (
    MARGIN_MS,
    Arrivals,
    Connections,
    Dump,
    HopColumns,
    Places,
    count_places,
    merge_places,
    unique_hops,
)
from bench.watch.listened_ports import ListenedPorts
from bench.watch.shared_ports import SharedPorts

_STAYS_MS = 60_000.0
"""TCP_TIMEWAIT_LEN, which no setting changes (include/net/tcp.h)."""
_KEPT_MS = 2 * MARGIN_MS
"""Sockets that came so long before a dump are kept as well, to know them when the next one shows them."""
_MOST_ADDRESSES = 4096
"""Of this host, that are remembered: more than it has, unless somebody wastes 127.0.0.0/8."""


class KnownPorts:
    """What is known of a namespace from dump to dump: who listens, its ports and its addresses."""

    def __init__(self) -> None:
        self.listened = ListenedPorts()
        self.port_range = (1, 65535)
        """From where to where the kernel chooses the ports of connections."""
        self.untold = 0
        """Sockets of the last dump of which it cannot be told which end is the server's."""
        self._addresses: U64 = np.zeros(0, np.uint64)

    def add_addresses(self, addresses: U64) -> None:
        """Take note of addresses that sockets of this host have."""
        if len(self._addresses) < _MOST_ADDRESSES:
            self._addresses = np.union1d(self._addresses, addresses)[:_MOST_ADDRESSES]

    def may_be_chosen(self, ports: NDArray[np.uint16]) -> Mask:
        """Return which ports are in the range that the kernel chooses from."""
        low, high = self.port_range
        found: Mask = (ports >= low) & (ports <= high)
        return found

    def is_incoming(self, sockets: SocketColumns) -> Mask:
        """Return which sockets belong to connections that peers opened.

        Somebody listens on their port. Or somebody did before the watch began: their port is none that the
        kernel chooses, and their peer's is.
        """
        found = self.listened.is_here(sockets.local, sockets.local_port)
        left_over = ~self.may_be_chosen(sockets.local_port) & self.may_be_chosen(sockets.remote_port)
        return found | left_over

    def add_shared(self, shared: SharedPorts, sockets: SocketColumns) -> None:
        """Count those sockets for which neither who listens nor the range tells the server's end."""
        either = self.may_be_chosen(sockets.remote_port)
        if either.any():
            either &= self.may_be_chosen(sockets.local_port)
            either &= ~self.listened.is_here(sockets.local, sockets.local_port)
            either &= ~self.listened.is_here(sockets.remote, sockets.remote_port)
            shared.add(sockets.local_port, sockets.remote_port, either)

    def learn(self, shared: SharedPorts, now_ms: float) -> None:
        """Take note of the ports of servers that ended, by the sockets of a whole dump."""
        ports, self.untold = shared.find()
        self.listened.add_ended(ports, now_ms)

    def is_ours(self, addresses: U64) -> Mask:
        """Return which addresses are of this host."""
        return is_loopback(addresses) | matches(self._addresses, addresses)[1]


@dataclass(frozen=True, slots=True)
class _Placed:
    """Sockets with where they belong."""

    sockets: SocketColumns
    is_incoming: Mask
    port: NDArray[np.uint16]
    hop: U64
    place: U64
    in_range: Mask

    def hops(self) -> HopColumns:
        """Return the hops of the sockets, each once."""
        which = np.unique(self.hop, return_index=True)[1]
        words = self.sockets.take(which).remote_words
        return HopColumns(self.hop[which], self.is_incoming[which], self.port[which], words)


@dataclass(slots=True)
class _Parts:
    """What has been read of a dump, buffer by buffer; of rows only those are kept that came lately."""

    places: list[Places] = field(default_factory=list)
    hops: list[HopColumns] = field(default_factory=list)
    late: list[SocketColumns] = field(default_factory=list)
    came_ms: list[NDArray[np.float64]] = field(default_factory=list)
    connections: list[Connections] = field(default_factory=list)
    addresses: list[U64] = field(default_factory=list)

    def add_waiting(self, placed: _Placed, came_ms: NDArray[np.float64], since_ms: float) -> None:
        self.places.append(count_places(placed.place, placed.hop, None, placed.in_range))
        self.hops.append(placed.hops())
        is_late = came_ms > since_ms
        self.late.append(placed.sockets.take(is_late))
        self.came_ms.append(came_ms[is_late])

    def add_connections(self, placed: _Placed, seen_ms: float, is_born: bool) -> None:
        sockets, count = placed.sockets, len(placed.hop)
        self.hops.append(placed.hops())
        self.addresses.append(np.unique(sockets.local))
        self.connections.append(
            Connections(
                sockets.tuples,
                sockets.state.copy(),
                sockets.inode,
                sockets.user,
                placed.place,
                placed.hop,
                placed.in_range,
                seen_ms=np.full(count, seen_ms),
                is_born=np.full(count, is_born),
            )
        )


def read_dump(
    buffers: Iterable[NDArray[np.uint32]],
    clock_ms: Callable[[], float],
    known: KnownPorts,
    before: Dump | None = None,
) -> Dump:
    """Return what the rows of a dump show (sock_diag.socket_rows; each valid until the next is asked for).

    `before` is the last dump: connections that it showed keep their hop and their age.
    """
    start_ms = clock_ms()
    since_ms = start_ms - _KEPT_MS
    if before is not None:
        since_ms = min(since_ms, before.start_ms - MARGIN_MS)
    parts, nothing = _Parts(), _place(socket_columns(np.zeros((0, ROW_WORDS), np.uint32)), known)
    parts.add_waiting(nothing, np.zeros(0), since_ms)
    parts.add_connections(nothing, start_ms, is_born=False)
    shared = SharedPorts()
    for rows in buffers:
        now_ms = clock_ms()
        sockets = socket_columns(rows)
        known.add_shared(shared, sockets)
        is_waiting = sockets.state == TIME_WAIT
        if not is_waiting.all():
            alive = _place(sockets.take(~is_waiting), known)
            parts.add_connections(alive, start_ms, is_born=before is not None)
            sockets = sockets.take(is_waiting)
        if len(sockets):
            parts.add_waiting(_place(sockets, known), now_ms - _STAYS_MS + sockets.stays_ms, since_ms)
    end_ms = clock_ms()
    known.learn(shared, end_ms)
    late = concatenated(parts.late)
    known.add_addresses(np.unique(np.concatenate((late.local, *parts.addresses))))
    arrivals, hops_beyond = _arrivals(late, np.concatenate(parts.came_ms), known, before)
    connections = _known_again(concatenated(parts.connections), before)
    # What ended while the dump went on may have shown twice; its end is what counts.
    ended = arrivals.take(arrivals.came_ms >= start_ms).tuples
    connections = connections.take(~matches(ended, connections.tuples)[1])
    waits = merge_places(parts.places)
    hops = unique_hops([*parts.hops, hops_beyond, *([] if before is None else [before.hops])])
    named = np.unique(np.concatenate((waits.hop, connections.hop, arrivals.hop, arrivals.other_hop)))
    return Dump(start_ms, end_ms, connections, waits, arrivals, hops.take(matches(named, hops.hop)[1]))


def _place(sockets: SocketColumns, known: KnownPorts) -> _Placed:
    is_incoming = known.is_incoming(sockets)
    port = np.where(is_incoming, sockets.local_port, sockets.remote_port)
    hop = hop_numbers(sockets.remote, port, is_incoming)
    in_range = ~is_incoming & known.may_be_chosen(sockets.local_port)
    return _Placed(sockets, is_incoming, port, hop, mix(hop ^ mix(sockets.local)), in_range)


def _arrivals(
    sockets: SocketColumns, came_ms: NDArray[np.float64], known: KnownPorts, before: Dump | None
) -> tuple[Arrivals, HopColumns]:
    """Return what came lately, and the hops of those other ends that are here too."""
    tuples = sockets.tuples
    order = np.argsort(tuples)
    sockets, tuples = sockets.take(order), tuples[order]
    placed = _place(sockets, known)
    hop = placed.hop
    if before is not None and len(before.connections):
        # What was a connection before belongs where that did, whoever listens now.
        at, was_there = matches(before.connections.tuples, tuples)
        hop = np.where(was_there, before.connections.hop[at], hop)
    listens_beyond = known.listened.is_here(sockets.remote, sockets.remote_port)
    is_both_here = known.is_ours(sockets.remote) & (placed.is_incoming | listens_beyond)
    other_hop = hop_numbers(sockets.local, placed.port, ~placed.is_incoming)
    beyond = HopColumns(other_hop, ~placed.is_incoming, placed.port, sockets.local_words)
    found = Arrivals(tuples, sockets.other_ends, came_ms[order], hop, other_hop, is_both_here)
    return found, beyond.take(is_both_here)


def _known_again(connections: Connections, before: Dump | None) -> Connections:
    """Return connections in order; those that the last dump showed keep what was known of them."""
    found = connections.take(np.unique(connections.tuples, return_index=True)[1])
    if before is not None and len(before.connections):
        old = before.connections
        at, was_there = matches(old.tuples, found.tuples)
        was_there &= is_same(old.inode[at], found.inode)
        for name in ("place", "hop", "in_range", "seen_ms", "is_born"):
            getattr(found, name)[was_there] = getattr(old, name)[at[was_there]]
    return found


def is_same(before: NDArray[np.uint32], now: NDArray[np.uint32]) -> Mask:
    """Return where a socket of a tuple is still the same by its inode, as far as a process holds it."""
    same: Mask = (before == now) | (before == 0) | (now == 0)
    return same
