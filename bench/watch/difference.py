"""What happened between two dumps, by hop. Pure.

A connection that this host closed first is in TIME_WAIT in the second dump, unless its port was used again
since; or in FIN_WAIT2, as long as the peer does not close. One that the peer closed leaves nothing: it is
known to have ended where the first dump showed it, or where its other end is on this host too. What neither
dump showed is for the kernel's counters to tell (reconciliation.py).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.observe.sock_diag import (
    CLOSE_WAIT,
    CLOSING,
    ESTABLISHED,
    FIN_WAIT1,
    FIN_WAIT2,
    LAST_ACK,
    SYN_SENT,
)
from bench.watch.columns import U64, Mask, matches
from bench.watch.dump import MARGIN_MS, Arrivals, Connections, Dump, HopColumns, unique_hops
from bench.watch.dump_reader import is_same

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long connections lived that ended, of those whose birth was seen."""

    hop: NDArray[np.intp]
    """Row of the hop."""
    seconds: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Difference:
    """What happened on each hop, a row each."""

    hops: HopColumns
    opened: Counts
    closed_here: Counts
    closed_there: Counts
    uncertain: Counts
    """Were established and are gone: the peer closed them, or a reset ended them."""
    failed: Counts
    """Were in SYN_SENT and are gone."""
    lifetimes: Lifetimes
    came: int
    """Sockets that came to the kernel's table of those that wait, be it for the peer's FIN (FIN_WAIT2)."""


def difference(before: Dump, now: Dump) -> Difference:
    """Return what happened from `before` to `now`."""
    hops = unique_hops([before.hops, now.hops])
    came = new_arrivals(before, now)
    old, new = before.connections, now.connections
    old_open, new_open = old.take(old.is_open), new.take(new.is_open)
    stays, comes = _stays(old_open, new_open), ~_stays(new_open, old_open)
    ended = old_open.take(~stays)
    was_open, at = _find(old_open, came.tuples)
    # A port was used again where its last connection came to TIME_WAIT and there is one now.
    again = was_open & matches(new_open.tuples, came.tuples)[1]
    again[again] = stays[at[again]]
    gone = ended.take(~matches(came.tuples, ended.tuples)[1])
    kinds = _kinds_of_end(gone, came)
    halves_before, halves = old.take(old.is_orphan), new.take(new.is_orphan)
    is_over = ~stays | matches(halves.tuples, old_open.tuples)[1]
    halved = halves.take(~_stays(halves, halves_before))
    # An end is counted once: where it was counted by FIN_WAIT2, neither by TIME_WAIT nor when that is over.
    is_news = ~matches(halves_before.tuples, came.tuples)[1]
    kinds[matches(halves_before.tuples, gone.tuples)[1]] = 0
    beyond = _other_ends_unseen(came, old, new)

    def count(*parts: U64) -> Counts:
        return np.bincount(matches(hops.hop, np.concatenate(parts))[0], minlength=len(hops))

    return Difference(
        hops,
        opened=count(new_open.hop[comes], came.hop[~was_open | again], beyond),
        closed_here=count(came.hop[is_news], halved.hop, gone.hop[kinds == FIN_WAIT1]),
        closed_there=count(gone.hop[kinds == CLOSE_WAIT], beyond),
        uncertain=count(gone.hop[kinds == ESTABLISHED]),
        failed=count(_given_up(old, new, came)),
        lifetimes=_lifetimes(hops, old_open.take(is_over & ~old_open.is_orphan), came, now),
        came=len(came) + len(halves) - len(halves_before) + int(gone.is_orphan.sum()),
    )


def new_arrivals(before: Dump, now: Dump) -> Arrivals:
    """Return what came to TIME_WAIT between the dumps."""
    came = now.arrivals.take(now.arrivals.came_ms > before.start_ms - MARGIN_MS)
    known = before.arrivals
    at, was_there = matches(known.tuples, came.tuples)
    if was_there.any():
        was_there &= np.abs(known.came_ms[at] - came.came_ms) < MARGIN_MS
    return came.take(~was_there)


def _stays(these: Connections, those: Connections) -> Mask:
    """Return which of `these` are among `those`, and no others of the same tuple."""
    at, is_there = matches(those.tuples, these.tuples)
    if is_there.any():
        is_there &= is_same(these.inode, those.inode[at])
    return is_there


def _find(connections: Connections, tuples: U64) -> tuple[Mask, NDArray[np.intp]]:
    at, is_there = matches(connections.tuples, tuples)
    return is_there, at


def _kinds_of_end(gone: Connections, came: Arrivals) -> NDArray[np.uint8]:
    """Return who closed first as the last state shows it: FIN_WAIT1 this host, CLOSE_WAIT the peer.

    ESTABLISHED stands for those of which nothing shows it.
    """
    kinds = np.full(len(gone), ESTABLISHED, np.uint8)
    kinds[np.isin(gone.state, (FIN_WAIT1, FIN_WAIT2, CLOSING))] = FIN_WAIT1
    other_end_waits = matches(np.sort(came.other_ends), gone.tuples)[1]
    kinds[np.isin(gone.state, (CLOSE_WAIT, LAST_ACK)) | (other_end_waits & (kinds == ESTABLISHED))] = (
        CLOSE_WAIT
    )
    return kinds


def _other_ends_unseen(came: Arrivals, old: Connections, new: Connections) -> U64:
    """Return the hops of those ends of new arrivals that are on this host too and that no dump showed."""
    other_ends, hop = came.other_ends[came.is_both_here], came.other_hop[came.is_both_here]
    is_seen = matches(came.tuples, other_ends)[1]  # both closed at once, and wait both
    for connections in (old, new):
        is_seen |= matches(connections.tuples, other_ends)[1]
    return hop[~is_seen]


def _given_up(old: Connections, new: Connections, came: Arrivals) -> U64:
    tried = old.take(old.state == SYN_SENT)
    is_known = matches(new.tuples, tried.tuples)[1] | matches(came.tuples, tried.tuples)[1]
    return tried.hop[~is_known]


def _lifetimes(hops: HopColumns, ended: Connections, came: Arrivals, now: Dump) -> Lifetimes:
    born = ended.take(ended.is_born)
    at, waits = matches(came.tuples, born.tuples)
    end_ms = np.full(len(born), now.start_ms)
    end_ms[waits] = came.came_ms[at[waits]]
    seconds = np.maximum(0.0, (end_ms - born.seen_ms) / 1e3)
    return Lifetimes(matches(hops.hop, born.hop)[0], seconds)
