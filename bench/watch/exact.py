"""The exact watch: what happened on each hop is from the kernel's events, what there is from dumps.

Where there are no events, or not all of them, an interval is the sampled one, and says why. A dump of many
sockets costs more than all events, so that it may be taken more seldom; events and counters never wait.
"""

import time
from collections import defaultdict
from dataclasses import astuple, dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bench.watch.columns import U64
from bench.watch.counters import NamespaceCounters
from bench.watch.event_reader import EventReader
from bench.watch.events import FlowCount, IdleTimes, hop_flow
from bench.watch.model import (
    OTHER_PEERS,
    HopFlow,
    HopSnapshot,
    HopState,
    HostFlow,
    HostState,
    PeerHop,
    Snapshot,
    Source,
)
from bench.watch.sampled import COST_SHARE, SampledWatch
from bench.watch.sampled_notes import is_of_dumps
from bench.watch.scope import Scope
from bench.watch.scope_events import ScopeEvents
from bench.watch.tracefs import TracingError

_OLD_S = 3.0
"""From this age on it is said that sockets are not listed at each look."""
MOST_HOPS = 1000
"""Hops that only events saw and that are told apart, as many as of those that dumps see."""
_SAMPLE = 64


class DumpingWatch(Protocol):
    """What shows by dumps which sockets there are: the sampled watch."""

    shortest_interval_s: float

    def snapshot(self) -> Snapshot:
        """Return the interval since the last call."""

    def idle_times(self, tuples: U64, at_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return how long connections had been idle at some time, in seconds; NaN where no dump told."""

    def close(self) -> None:
        """Close what was opened."""


class ExactWatch:
    """A watch by events and dumps; by dumps alone where this kernel or this user has no events.

    The first interval begins when this is made. Not for several threads at once.
    """

    def __init__(self, scope: Scope, sampled: DumpingWatch | None = None) -> None:
        self._sampled = SampledWatch(scope) if sampled is None else sampled
        self._dumped: Snapshot | None = None
        self._dump_due_s = self._dumped_s = 0.0
        self.reason: str | None = None
        """Why there are no events at all; None where there are."""
        self._events: _Events | None = None
        try:
            self._events = _Events(scope)
        except TracingError as error:
            self.reason = str(error)
        except BaseException:
            self._sampled.close()
            raise

    @property
    def shortest_interval_s(self) -> float:
        """Return the time between looks that keeps dumps cheap where there is nothing else; else 0."""
        return self._sampled.shortest_interval_s if self._events is None else 0.0

    def snapshot(self) -> Snapshot:
        """Return what happened since the last call, or since the start."""
        if self._events is None:
            sampled = self._sampled.snapshot()
            return replace(sampled, notes=(*sampled.notes, f"sampled only, not exact: {self.reason}"))
        interval = self._events.take(self._sampled.idle_times)
        is_late = self._dumped is not None and self._dumped_s < interval.began_s
        dumped = self._dump(interval)
        of_dumps = [note for note in dumped.notes if not (interval.is_whole and is_of_dumps(note))]
        notes = tuple(dict.fromkeys((*of_dumps, *interval.notes)))
        cost_s = interval.cost_s + (dumped.cost_s if self._dumped_s >= interval.ended_s else 0.0)
        if not interval.is_whole and not is_late:
            return replace(dumped, notes=notes, cost_s=cost_s)
        self._events.learn(dumped.hops)
        flows = self._events.of_scope(interval.flows)
        return Snapshot(
            t_s=interval.ended_s - self._events.begun_s,
            duration_s=interval.ended_s - interval.began_s,
            source=Source.EXACT if interval.is_whole else Source.SAMPLED,
            hops=joined(dumped.hops, flows),
            host_flow=interval.host_flow,
            host=interval.host.with_dump(dumped.host.fin_wait2, dumped.host.syn_backlogs),
            notes=notes,
            cost_s=cost_s,
            sockets_age_s=max(0.0, interval.ended_s - self._dumped_s),
        )

    def _dump(self, interval: "_Interval") -> Snapshot:
        """Return what dumps show at the end of an interval, or before where another one would cost much."""
        now_s = interval.ended_s
        if self._dumped is None or not interval.is_whole or now_s >= self._dump_due_s:
            dumped = self._sampled.snapshot()
            self._dumped, self._dumped_s = dumped, now_s
            self._dump_due_s = now_s + dumped.cost_s / COST_SHARE
            return dumped
        age_s, cost_s = now_s - self._dumped_s, self._dumped.cost_s
        if age_s < _OLD_S:
            return self._dumped
        note = f"sockets are those of {age_s:.0f} s ago: to list them takes {cost_s * 1e3:.0f} ms"
        return replace(self._dumped, notes=(*self._dumped.notes, note))

    def close(self) -> None:
        """End both watches, and remove the instance of tracing; the scope stays open."""
        try:
            if self._events is not None:
                self._events.close()
        finally:
            self._sampled.close()


@dataclass(frozen=True, slots=True)
class _Interval:
    """What events and counters tell of one interval; times are monotonic."""

    began_s: float
    ended_s: float
    flows: dict[PeerHop, HopFlow]
    is_whole: bool
    host_flow: HostFlow
    host: HostState
    notes: tuple[str, ...]
    cost_s: float


class _Events:
    """Reads events and counters of a scope; TracingError where there are no events."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._of = ScopeEvents(scope)
        self._reader = EventReader(self._of.selection)
        try:
            self._counters = scope.call(NamespaceCounters)
        except BaseException:
            self._reader.close()
            raise
        self._counted = self._counters.read()
        self.begun_s = self._looked_s = time.monotonic()
        self.learn, self.of_scope = self._of.learn, self._of.of_scope

    def take(self, idle_times: IdleTimes) -> _Interval:
        """Return the interval since the last call, or since the start; see EventReader.take()."""
        before_s = time.thread_time()
        # Dumps may come seldom: that a process ended or a namespace went is said at once.
        scope_notes = self._scope.refresh()
        self._of.refresh()
        taken = self._reader.take(idle_times)
        counted, ended_s = self._counters.read(), time.monotonic()
        notes = [note for note in (taken.reason, self._of.doubt(taken.flows)) if note is not None]
        interval = _Interval(
            self._looked_s,
            ended_s,
            taken.flows,
            taken.is_whole,
            counted.since(self._counted),
            counted.state,
            (*scope_notes, *notes),
            taken.cost_s + time.thread_time() - before_s,
        )
        self._counted, self._looked_s = counted, ended_s
        return interval

    def close(self) -> None:
        """Stop reading, and remove the instance of tracing."""
        try:
            self._reader.close()
        finally:
            self._counters.close()


def joined(sampled: tuple[HopSnapshot, ...], flows: dict[PeerHop, HopFlow]) -> tuple[HopSnapshot, ...]:
    """Return the hops of a sampled snapshot with `flows` instead of theirs.

    A hop that only events saw has nothing in any state; the busiest of these are told apart. Who opened a
    connection is known by events, so that nothing happens on what dumps attribute to nobody. Where dumps saw
    no process, what waits belongs to those who open: a short connection is in TIME_WAIT before a dump.
    """
    seen = {each.hop for each in sampled}
    unseen = sorted(flows.keys() - seen, key=lambda hop: (-flows[hop].opened - flows[hop].ended, str(hop)))
    gathered = {hop: _gathering(hop, seen) for hop in unseen[MOST_HOPS:]}
    parts: dict[PeerHop, list[HopFlow]] = defaultdict(list)
    for hop, flow in flows.items():
        parts[gathered.get(hop, hop)].append(flow)
    exact = {hop: _sum(each) for hop, each in parts.items()}
    found = []
    attributed = {each.hop for each in sampled if not each.is_unattributed}
    for each in sampled:
        is_theirs = not each.is_unattributed or (each.hop in exact and each.hop not in attributed)
        flow = exact.pop(each.hop, HopFlow()) if is_theirs else HopFlow()
        found.append(replace(each, flow=flow, is_unattributed=not is_theirs))
    return (*found, *(HopSnapshot(hop, flow, HopState()) for hop, flow in exact.items()))


def _gathering(hop: PeerHop, seen: set[PeerHop]) -> PeerHop:
    """Return the hop that gathers peers to which `hop` belongs: as the dumps do, else by port."""
    by_port, all_ports = replace(hop, peer=OTHER_PEERS), PeerHop(hop.direction, OTHER_PEERS, 0)
    return all_ports if all_ports in seen and by_port not in seen else by_port


def _sum(flows: list[HopFlow]) -> HopFlow:
    """Return what happened on several hops together; their samples are drawn evenly from all."""
    if len(flows) == 1:
        return flows[0]
    columns = zip(*(astuple(flow)[: len(FlowCount)] for flow in flows), strict=True)
    idle_s = _thinned([each for flow in flows for each in flow.idle_before_reset_s])
    lived = _thinned([each for flow in flows for each in flow.lifetimes_s])
    return replace(hop_flow([sum(column) for column in columns], lived), idle_before_reset_s=idle_s)


def _thinned(values: list[float]) -> tuple[float, ...]:
    return tuple(values[:: -(-len(values) // _SAMPLE) or 1])
