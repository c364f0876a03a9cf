"""Settle what dumps showed with what the kernel counted. Pure.

The counters belong to a whole namespace and name no hop. What they count beyond what dumps showed is given
to a hop only where it can be but one; otherwise it stays a number, for the notes. Sums are compared from
the start on, since a counter and a dump are never read at the same moment.
"""

from dataclasses import dataclass

import numpy as np

from bench.watch.difference import Counts, Difference
from bench.watch.model import HostFlow


@dataclass(frozen=True, slots=True)
class Settled:
    """What happened on each hop of a difference, a row each, at the least."""

    opened: Counts
    closed_here: Counts
    closed_there: Counts
    ended_unknown: Counts
    failed: Counts
    unseen_outgoing: int = 0
    """Opened by this host and seen in no dump, with more than one hop that they may belong to."""
    unseen_incoming: int = 0
    unseen_waits: int = 0
    """Came to TIME_WAIT and left it between two dumps; counted to hops as those that were seen."""


class Reconciliation:
    """The sums of one watch."""

    def __init__(self) -> None:
        self._waits = _Excess()
        self._outgoing = _Excess()
        self._incoming = _Excess()

    def settle(
        self, found: Difference, growth: HostFlow, waits_counted: int | None, syn_sent_change: int
    ) -> Settled:
        """Return what `found` comes to.

        `waits_counted`: sockets that came to TIME_WAIT by the kernel's count; None: it does not say.
        `syn_sent_change`: by how many more connections are being opened than before.
        """
        opened, closed_here = found.opened.copy(), found.closed_here.copy()
        missed = 0 if waits_counted is None else self._waits.take(waits_counted - found.came)
        shares = _shared_out(missed, found.closed_here)
        opened += shares
        closed_here += shares
        is_incoming = found.hops.is_incoming
        seen_out, seen_in = int(opened[~is_incoming].sum()), int(opened[is_incoming].sum())
        # A connection attempt that fails was counted as an active open, if it was one of this host.
        active = growth.active_opens - growth.attempt_fails - syn_sent_change
        hidden_out = self._outgoing.take(active - seen_out)
        hidden_in = self._incoming.take(growth.passive_opens - seen_in)
        # Each of these makes an end look as if the peer had closed.
        doubtful = growth.estab_resets + (growth.time_wait_overflows or 0) + (growth.aborts_on_data or 0)
        closed_there = found.closed_there + np.maximum(0, found.uncertain - doubtful)
        unknown = np.minimum(found.uncertain, doubtful)
        doubtful = max(0, doubtful - int(found.uncertain.sum()))
        unseen = {False: 0, True: 0}
        for side, hidden in ((False, hidden_out), (True, hidden_in)):
            hops = np.flatnonzero(is_incoming == side)
            if len(hops) == 1:
                opened[hops] += hidden
                closed_there[hops] += max(0, hidden - doubtful)
                unknown[hops] += min(hidden, doubtful)
            else:
                unseen[side] = hidden
        return Settled(
            opened,
            closed_here,
            closed_there,
            unknown,
            found.failed,
            unseen_outgoing=unseen[False],
            unseen_incoming=unseen[True],
            unseen_waits=missed,
        )


@dataclass(slots=True)
class _Excess:
    """By how much a sum is ahead of another, handed out once."""

    ahead: int = 0
    handed_out: int = 0

    def take(self, more: int) -> int:
        """Add `more`, and return what the sum is ahead beyond what was handed out."""
        self.ahead += more
        found = max(0, self.ahead - self.handed_out)
        self.handed_out += found
        return found


def _shared_out(total: int, like: Counts) -> Counts:
    """Return `total` in parts that are to each other as `like`, whole numbers; zeros where that is zeros."""
    sum_of = int(like.sum())
    if not total or not sum_of:
        return np.zeros(len(like), np.int64)
    ends = np.cumsum(like) * total // sum_of
    shares: Counts = np.diff(ends, prepend=0)
    return shares
