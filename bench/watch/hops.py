"""Make the hops of a snapshot out of columns: the largest ones each, the rest together.

Arrays end here: from a thousand hops on, those that are left become one object for each port of a server.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

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
from bench.watch.model import OTHER_PEERS, DataSent, Direction, HopFlow, HopSnapshot, HopState, PeerHop
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
_PORTS = "ports_used"
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


def hop_snapshots(interval: HopInterval, whose: Attribution) -> tuple[HopSnapshot, ...]:
    """Return the hops on which there is something or was, those of the scope and those of nobody."""
    owners = whose.owners(interval.hops)
    held = whose.held(interval.dump.connections)
    found: list[HopSnapshot] = []
    is_shared = owners == Owner.SCOPE | Owner.OTHERS
    for which, sockets, flows, is_unattributed in (
        (owners == Owner.SCOPE, None, True, False),
        (is_shared, held, False, False),
        (is_shared | (owners == Owner.NOBODY), ~held, True, True),
    ):
        if which.any():
            table = _table(interval, which, sockets, has_flows=flows)
            found += _snapshots(table, interval, whose, is_unattributed)
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Table:
    """Counts of some hops, by the names of HopFlow and HopState; rows of other hops are zero."""

    counts: dict[str, Counts]
    idle_s: "_Samples"
    data_sent: "_Samples"
    data_sent_ages_s: "_Samples"
    """Of the same connections, in the same order."""
    ages_s: "_Samples"
    lifetimes_s: "_Samples"

    @property
    def weight(self) -> Counts:
        """Return what makes a hop worth to be shown: what is open or happened, and less, what waits."""
        active = [column for name, column in self.counts.items() if name not in (_PORTS, "time_wait")]
        weight: Counts = _ACTIVE_WEIGHT * np.sum(active, axis=0) + self.counts["time_wait"]
        return weight

    def grouped(self, group: NDArray[np.intp], count: int) -> Iterator[dict[str, int]]:
        """Yield the counts of `count` groups of rows; `group` says which one each row is of, or -1."""
        rows = np.flatnonzero(group >= 0)
        columns = []
        for name, column in self.counts.items():
            of_group = np.zeros(count, np.int64)
            add = np.maximum if name == _PORTS else np.add
            add.at(of_group, group[rows], column[rows])
            columns.append(of_group.tolist())
        for values in zip(*columns, strict=True):
            yield dict(zip(self.counts, values, strict=True))


def _table(interval: HopInterval, which: Mask, sockets: Mask | None, *, has_flows: bool) -> _Table:
    """Return the counts of the hops `which`, of their connections those in `sockets` only."""
    rows = len(interval.hops)
    live = interval.dump.connections
    row = matches(interval.hops.hop, live.hop)[0]
    counted = which[row] if sockets is None else which[row] & sockets
    live, row = live.take(counted), row[counted]
    idle_ms, data_sent = interval.idle_ms[counted], interval.data_sent[counted]
    counts = {
        name: np.bincount(row[np.isin(live.state, states)], minlength=rows)
        for name, states in _STATES.items()
    }
    waits = interval.dump.waits
    if has_flows:
        wait_row = matches(interval.hops.hop, waits.hop)[0]
        counts["time_wait"] = np.bincount(wait_row, waits.sockets, rows).astype(np.int64) * which
        flows = interval.flows
        columns = (flows.opened, flows.closed_here, flows.closed_there, flows.ended_unknown, flows.failed)
        counts |= {name: column * which for name, column in zip(_FLOWS, columns, strict=True)}
    else:
        counts |= dict.fromkeys(("time_wait", *_FLOWS), np.zeros(rows, np.int64))
    counts[_PORTS] = _ports_used(interval, live, which if has_flows else np.zeros(rows, np.bool_))
    is_idle, lived = live.state == ESTABLISHED, which[interval.lifetimes.hop] & has_flows
    ages_s = (interval.dump.end_ms - live.seen_ms[is_idle]) / 1e3
    return _Table(
        counts,
        _Samples(row[is_idle], idle_ms[is_idle] / 1e3),
        _Samples(row[is_idle], data_sent[is_idle]),
        _Samples(row[is_idle], np.where(np.isnan(data_sent[is_idle]), np.nan, ages_s)),
        _Samples(row[is_idle], ages_s),
        _Samples(interval.lifetimes.hop[lived], interval.lifetimes.seconds[lived]),
    )


def _ports_used(interval: HopInterval, live: Connections, which: Mask) -> Counts:
    """Return the ports in use on each hop, from that address of this host from which they are most."""
    ones = count_places(live.place, live.hop, None, live.in_range)
    places = merge_places(
        [ones, interval.dump.waits.take(which[matches(interval.hops.hop, interval.dump.waits.hop)[0]])]
    )
    most = np.zeros(len(interval.hops), np.int64)
    np.maximum.at(most, matches(interval.hops.hop, places.hop)[0], places.in_range)
    return most


class _Samples:
    """Some values of each hop."""

    def __init__(self, row: NDArray[np.intp], values: NDArray[np.float64]) -> None:
        known = ~np.isnan(values)
        self._row, self._values = row[known], np.round(values[known], 3)

    def grouped(self, group: NDArray[np.intp], count: int) -> Iterator[tuple[float, ...]]:
        """Yield a sample of the values of each group; see `_Table.grouped`."""
        of_value = group[self._row]
        # Connections are in the order of a hash, so that the first ones are a sample without a bias.
        order = np.argsort(of_value, kind="stable")
        values, of_value = self._values[order], of_value[order]
        starts = np.searchsorted(of_value, np.arange(count))
        ends = np.minimum(np.searchsorted(of_value, np.arange(count), "right"), starts + _SAMPLE)
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            yield tuple(values[start:end].tolist())


def _snapshots(
    table: _Table, interval: HopInterval, whose: Attribution, is_unattributed: bool
) -> Iterator[HopSnapshot]:
    hops, weight = interval.hops, table.weight
    # The heaviest first; of equals those with the lower number, so that they are the same each time.
    order = np.argsort(-weight, kind="stable")[: int((weight > 0).sum())]
    shown = order[:MOST_HOPS]
    named = [_named(hops, row, whose) for row in shown.tolist()]
    group = np.full(len(hops), -1, np.intp)
    group[shown] = np.arange(len(shown))
    for hop, rows in _leftover(order[MOST_HOPS:], hops):
        group[rows] = len(named)
        named.append((hop, ()))
    samples = zip(
        *(
            each.grouped(group, len(named))
            for each in (
                table.lifetimes_s,
                table.idle_s,
                table.data_sent,
                table.data_sent_ages_s,
                table.ages_s,
            )
        ),
        strict=True,
    )
    for (hop, names), counts, (lifetimes_s, idle_s, segments, sent_ages_s, ages_s) in zip(
        named, table.grouped(group, len(named)), samples, strict=True
    ):
        flow = HopFlow(
            opened=counts["opened"],
            closed_here=counts["closed_here"],
            closed_there=counts["closed_there"],
            ended_unknown=counts["ended_unknown"],
            failed_opens=counts["failed_opens"],
            lifetimes_s=lifetimes_s,
        )
        state = HopState(
            established=counts["established"],
            time_wait=counts["time_wait"],
            close_wait=counts["close_wait"],
            syn_sent=counts["syn_sent"],
            fin_wait=counts["fin_wait"],
            ports_used=counts[_PORTS],
            idle_s=idle_s,
            ages_s=ages_s,
            data_sent=tuple(map(DataSent, map(int, segments), sent_ages_s)),
            processes=names,
        )
        yield HopSnapshot(hop, flow, state, is_unattributed)


def _named(hops: HopColumns, row: int, whose: Attribution) -> tuple[PeerHop, tuple[str, ...]]:
    """Return a hop and the names of the processes on it."""
    is_incoming, port = bool(hops.is_incoming[row]), int(hops.port[row])
    hop = PeerHop(_direction(is_incoming), _text(hops.peer_words[row].tobytes()), port)
    return hop, whose.names(int(hops.hop[row]), port if is_incoming else None)


@lru_cache(maxsize=4 * MOST_HOPS)
def _text(address: bytes) -> str:
    return address_text(np.frombuffer(address, np.uint32))


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


def _direction(is_incoming: bool) -> Direction:
    return Direction.INCOMING if is_incoming else Direction.OUTGOING
