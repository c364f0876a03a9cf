"""What one dump of a namespace showed: connections one by one, sockets in TIME_WAIT counted by hop.

A socket in TIME_WAIT says for how long it stays, so when it came: 60 seconds before it goes. Only those that
came lately are kept one by one, so that the memory that a dump takes does not grow with TIME_WAIT.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.observe.sock_diag import FIN_WAIT2, SYN_RECV, SYN_SENT
from bench.watch.columns import U64, Columns, Mask, concatenated

MARGIN_MS = 800.0
"""How much the time at which a socket came to TIME_WAIT may be off: the kernel's tick, a reader that waited.

A port is used again after a second at the earliest (net.ipv4.tcp_tw_reuse_delay), which this tells apart.
"""


@dataclass(frozen=True, slots=True)
class HopColumns(Columns):
    """Hops, each once, in the order of their numbers (columns.hop_numbers)."""

    hop: U64
    is_incoming: Mask
    port: NDArray[np.uint16]
    """The server's."""
    peer_words: NDArray[np.uint32]
    """(hops, 4), as sock_diag.address_words."""


@dataclass(frozen=True, slots=True)
class Places(Columns):
    """Sockets counted by place: their hop, and their address on this side."""

    place: U64
    hop: U64
    sockets: NDArray[np.int64]
    in_range: NDArray[np.int64]
    """Those of outgoing connections whose port is one that the kernel chooses."""


@dataclass(frozen=True, slots=True)
class Arrivals(Columns):
    """Sockets that came to TIME_WAIT lately, in the order of their tuples."""

    tuples: U64
    other_ends: U64
    came_ms: NDArray[np.float64]
    hop: U64
    other_hop: U64
    """The hop of the other end, where that is on this host too."""
    is_both_here: Mask


@dataclass(frozen=True, slots=True)
class Connections(Columns):
    """Sockets that have a peer and are not in TIME_WAIT, in the order of their tuples."""

    tuples: U64
    state: NDArray[np.uint8]
    inode: NDArray[np.uint32]
    """What processes call them; 0 where none holds it."""
    user: NDArray[np.uint32]
    """Who made them."""
    place: U64
    hop: U64
    in_range: Mask
    seen_ms: NDArray[np.float64]
    """When they were seen first."""
    is_born: Mask
    """They came while the watch went on."""

    @property
    def is_open(self) -> Mask:
        """Return which have come to ESTABLISHED."""
        is_opening: Mask = np.isin(self.state, (SYN_SENT, SYN_RECV))
        return ~is_opening

    @property
    def is_orphan(self) -> Mask:
        """Return which were closed here, and wait for the peer to close: in FIN_WAIT2, held by no process.

        The kernel counts them among the sockets in TIME_WAIT.
        """
        is_orphan: Mask = (self.state == FIN_WAIT2) & (self.inode == 0)
        return is_orphan


@dataclass(frozen=True, slots=True)
class Dump:
    """What one dump showed; times of the monotonic clock."""

    start_ms: float
    end_ms: float
    connections: Connections
    waits: Places
    arrivals: Arrivals
    hops: HopColumns
    """All that the others name by number."""

    @property
    def sockets(self) -> int:
        """Return how many sockets there are."""
        return len(self.connections) + int(self.waits.sockets.sum())


def unique_hops(parts: list[HopColumns]) -> HopColumns:
    """Return the hops of all parts, each once."""
    hops = concatenated(parts)
    return hops.take(np.unique(hops.hop, return_index=True)[1])


def count_places(
    place: U64, hop: U64, sockets: NDArray[np.int64] | None, in_range: NDArray[np.int64] | Mask
) -> Places:
    """Return how many sockets there are at each place, each row being one or `sockets` of them."""
    places, first, group = np.unique(place, return_index=True, return_inverse=True)
    count = len(places)
    return Places(
        places,
        hop[first],
        np.bincount(group, sockets, count).astype(np.int64),
        np.bincount(group, in_range, count).astype(np.int64),
    )


def merge_places(parts: list[Places]) -> Places:
    """Return the counts of all parts together."""
    whole = concatenated(parts)
    return count_places(whole.place, whole.hop, whole.sockets, whole.in_range)
