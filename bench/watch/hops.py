"""Make the hops of a snapshot out of columns: the largest ones each, the rest together.

Arrays end here: from a thousand hops on, those that are left become one object for each port of a server.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.observe.sock_diag import (
    CLOSE_WAIT,
    CLOSING,
    ESTABLISHED,
    FIN_WAIT1,
    FIN_WAIT2,
    SYN_SENT,
    address_text,
)
from bench.watch.attribution import Attribution, Owner
from bench.watch.columns import Mask, matches
from bench.watch.difference import Counts, Lifetimes
from bench.watch.dump import Connections, Dump, HopColumns, count_places, merge_places
from bench.watch.model import OTHER_PEERS, Direction, HopFlow, HopSnapshot, HopState, PeerHop
from bench.watch.reconciliation import Settled

MOST_HOPS = 1000
_MOST_OTHERS = 100
"""Ports that what is left over is told apart by; beyond these it has port 0."""
_ACTIVE_WEIGHT = 10
"""Of a connection and of an event, beside 1 of a socket in TIME_WAIT."""
_SAMPLE = 64
_STATES = {
    "established": (ESTABLISHED,),
    "close_wait": (CLOSE_WAIT,),
    "syn_sent": (SYN_SENT,),
    "fin_wait": (FIN_WAIT1, FIN_WAIT2, CLOSING),
}
_FLOWS = ("opened", "closed_here", "closed_there", "ended_unknown", "failed_opens")


@dataclass(frozen=True, slots=True)
class HopInterval:
    """What an interval comes to, a row for each of `hops`."""

    hops: HopColumns
    flows: Settled
    lifetimes: Lifetimes
    dump: Dump
    idle_ms: NDArray[np.float64]
    """Of each connection of the dump; NaN where it was not asked for."""
    data_sent: NDArray[np.float64]
    """Segments with data, in the same way."""


def hop_snapshots(seen: HopInterval, whose: Attribution) -> tuple[HopSnapshot, ...]:
    """Return the hops on which there is something or was, those of the scope and those of nobody."""
    owners = whose.owners(seen.hops)
    held = whose.held(seen.dump.connections)
    found: list[HopSnapshot] = []
    is_shared = owners == Owner.SCOPE | Owner.OTHERS
    for which, sockets, flows, is_unattributed in (
        (owners == Owner.SCOPE, None, True, False),
        (is_shared, held, False, False),
        (is_shared | (owners == Owner.NOBODY), ~held, True, True),
    ):
        if which.any():
            table = _table(seen, which, sockets, has_flows=flows)
            found += _snapshots(table, seen, whose, is_unattributed)
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Table:
    """Counts of some hops, by the names of HopFlow and HopState; rows of other hops are zero."""

    counts: dict[str, Counts]
    idle_s: "_Samples"
    data_sent: "_Samples"
    ages_s: "_Samples"
    lifetimes_s: "_Samples"

    @property
    def weight(self) -> Counts:
        """Return what makes a hop worth to be shown: what is open or happened, and less, what waits."""
        active = [column for name, column in self.counts.items() if name not in ("ports_used", "time_wait")]
        weight: Counts = _ACTIVE_WEIGHT * np.sum(active, axis=0) + self.counts["time_wait"]
        return weight


def _table(seen: HopInterval, which: Mask, sockets: Mask | None, *, has_flows: bool) -> _Table:
    """Return the counts of the hops `which`, of their connections those in `sockets` only."""
    rows = len(seen.hops)
    live = seen.dump.connections
    row = matches(seen.hops.hop, live.hop)[0]
    counted = which[row] if sockets is None else which[row] & sockets
    live, row = live.take(counted), row[counted]
    idle_ms, data_sent = seen.idle_ms[counted], seen.data_sent[counted]
    counts = {
        name: np.bincount(row[np.isin(live.state, states)], minlength=rows)
        for name, states in _STATES.items()
    }
    waits = seen.dump.waits
    if has_flows:
        wait_row = matches(seen.hops.hop, waits.hop)[0]
        counts["time_wait"] = np.bincount(wait_row, waits.sockets, rows).astype(np.int64) * which
        flows = seen.flows
        columns = (flows.opened, flows.closed_here, flows.closed_there, flows.ended_unknown, flows.failed)
        counts |= {name: column * which for name, column in zip(_FLOWS, columns, strict=True)}
    else:
        counts |= dict.fromkeys(("time_wait", *_FLOWS), np.zeros(rows, np.int64))
    counts["ports_used"] = _ports_used(seen, live, which if has_flows else np.zeros(rows, np.bool_))
    is_idle, lived = live.state == ESTABLISHED, which[seen.lifetimes.hop] & has_flows
    ages_s = (seen.dump.end_ms - live.seen_ms[is_idle]) / 1e3
    return _Table(
        counts,
        _Samples(row[is_idle], idle_ms[is_idle] / 1e3),
        _Samples(row[is_idle], data_sent[is_idle]),
        _Samples(row[is_idle], ages_s),
        _Samples(seen.lifetimes.hop[lived], seen.lifetimes.seconds[lived]),
    )


def _ports_used(seen: HopInterval, live: Connections, which: Mask) -> Counts:
    """Return the ports in use on each hop, from that address of this host from which they are most."""
    ones = count_places(live.place, live.hop, None, live.in_range)
    places = merge_places([ones, seen.dump.waits.take(which[matches(seen.hops.hop, seen.dump.waits.hop)[0]])])
    most = np.zeros(len(seen.hops), np.int64)
    np.maximum.at(most, matches(seen.hops.hop, places.hop)[0], places.in_range)
    return most


class _Samples:
    """Some values of each hop."""

    def __init__(self, row: NDArray[np.intp], values: NDArray[np.float64]) -> None:
        known = ~np.isnan(values)
        # Connections are in the order of a hash, so that the first ones are a sample without a bias.
        order = np.argsort(row[known], kind="stable")
        self._row, self._values = row[known][order], values[known][order]

    def of(self, rows: NDArray[np.intp]) -> tuple[float, ...]:
        """Return a sample of the values of some hops, which are few or one."""
        found: list[float] = []
        for first, last in zip(
            np.searchsorted(self._row, rows).tolist(),
            np.searchsorted(self._row, rows, "right").tolist(),
            strict=True,
        ):
            found += self._values[first : min(last, first + _SAMPLE - len(found))].tolist()
            if len(found) == _SAMPLE:
                break
        return tuple(round(value, 3) for value in found)


def _snapshots(
    table: _Table, seen: HopInterval, whose: Attribution, is_unattributed: bool
) -> Iterator[HopSnapshot]:
    weight = table.weight
    # The heaviest first; of equals those with the lower number, so that they are the same each time.
    order = np.argsort(-weight, kind="stable")[: int((weight > 0).sum())]
    for row in order[:MOST_HOPS].tolist():
        is_incoming, port = bool(seen.hops.is_incoming[row]), int(seen.hops.port[row])
        hop = PeerHop(_direction(is_incoming), address_text(seen.hops.peer_words[row]), port)
        names = whose.names(int(seen.hops.hop[row]), port if is_incoming else None)
        yield _snapshot(hop, table, np.array([row]), names, is_unattributed)
    for hop, rows in _leftover(order[MOST_HOPS:], seen.hops):
        yield _snapshot(hop, table, rows, (), is_unattributed)


def _leftover(rows: NDArray[np.intp], hops: HopColumns) -> Iterator[tuple[PeerHop, NDArray[np.intp]]]:
    """Yield the rows that are left, by direction and port of the server."""
    keys = hops.port[rows].astype(np.int64) * 2 + hops.is_incoming[rows]
    kinds, counts = np.unique(keys, return_counts=True)
    told_apart = kinds[np.argsort(-counts, kind="stable")[:_MOST_OTHERS]]
    for key in told_apart.tolist():
        yield PeerHop(_direction(bool(key & 1)), OTHER_PEERS, key >> 1), rows[keys == key]
    for is_incoming in (False, True):
        rest = rows[~np.isin(keys, told_apart) & (hops.is_incoming[rows] == is_incoming)]
        if len(rest):
            yield PeerHop(_direction(is_incoming), OTHER_PEERS, 0), rest


def _snapshot(
    hop: PeerHop, table: _Table, rows: NDArray[np.intp], names: tuple[str, ...], is_unattributed: bool
) -> HopSnapshot:
    def total(name: str) -> int:
        return int(table.counts[name][rows].sum())

    flow = HopFlow(
        opened=total("opened"),
        closed_here=total("closed_here"),
        closed_there=total("closed_there"),
        ended_unknown=total("ended_unknown"),
        failed_opens=total("failed_opens"),
        lifetimes_s=table.lifetimes_s.of(rows),
    )
    state = HopState(
        established=total("established"),
        time_wait=total("time_wait"),
        close_wait=total("close_wait"),
        syn_sent=total("syn_sent"),
        fin_wait=total("fin_wait"),
        ports_used=int(table.counts["ports_used"][rows].max()),
        idle_s=table.idle_s.of(rows),
        ages_s=table.ages_s.of(rows),
        data_sent=tuple(map(int, table.data_sent.of(rows))),
        processes=names,
    )
    return HopSnapshot(hop, flow, state, is_unattributed)


def _direction(is_incoming: bool) -> Direction:
    return Direction.INCOMING if is_incoming else Direction.OUTGOING
