"""The exact watch: what happened on each hop is from the kernel's events, what there is from dumps.

Where there are no events, or not all of them, an interval is the sampled one, and says why.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import astuple, replace
from typing import Protocol

from bench.watch.event_reader import EventReader
from bench.watch.model import OTHER_PEERS, HopFlow, HopSnapshot, HopState, PeerHop, Snapshot, Source
from bench.watch.tracefs import TracingError

_COUNTS = 7
"""The fields of HopFlow that count; its samples come behind them."""


class Watch(Protocol):
    """What gives a snapshot for each interval."""

    def snapshot(self) -> Snapshot:
        """Return what happened since the last call, or since the start."""
        ...

    def close(self) -> None:
        """End the watch."""
        ...


class ExactWatch:
    """A watch by events and dumps; by dumps alone where this kernel or this user has no events.

    It closes `sampled` with itself. Not for several threads at once.
    """

    def __init__(
        self,
        sampled: Watch,
        listening: Callable[[], frozenset[int]],
        is_in_scope: Callable[[PeerHop], bool] = lambda hop: True,
    ) -> None:
        self._sampled, self._is_in_scope = sampled, is_in_scope
        self._reader: EventReader | None = None
        self._reason: str | None = None
        try:
            self._reader = EventReader(listening)
        except TracingError as error:
            self._reason = f"sampled only, not exact: {error}"
        except BaseException:
            sampled.close()
            raise

    @property
    def reason(self) -> str | None:
        """Return why there are no events at all; None where there are."""
        return self._reason

    def snapshot(self) -> Snapshot:
        """Return what happened since the last call, or since the start."""
        reading = None if self._reader is None else self._reader.take()
        sampled = self._sampled.snapshot()
        if reading is None:
            return replace(sampled, notes=(*sampled.notes, self._reason or ""))
        notes = sampled.notes if reading.reason is None else (*sampled.notes, reading.reason)
        cost_s = sampled.cost_s + reading.cost_s
        if reading.flows is None:
            return replace(sampled, notes=notes, cost_s=cost_s)
        flows = {hop: flow for hop, flow in reading.flows.items() if self._is_in_scope(hop)}
        hops = joined(sampled.hops, flows)
        return replace(sampled, source=Source.EXACT, hops=hops, notes=notes, cost_s=cost_s)

    def close(self) -> None:
        """End both watches, and remove the instance of tracing."""
        try:
            if self._reader is not None:
                self._reader.close()
        finally:
            self._sampled.close()


def joined(sampled: tuple[HopSnapshot, ...], flows: dict[PeerHop, HopFlow]) -> tuple[HopSnapshot, ...]:
    """Return the hops of a sampled snapshot with `flows` instead of theirs.

    A hop that only events saw has nothing in any state. Where the sampled side gathers peers, it joins those.
    """
    seen = {each.hop for each in sampled}
    gathered: dict[PeerHop, list[HopFlow]] = defaultdict(list)
    for hop, flow in flows.items():
        others = replace(hop, peer=OTHER_PEERS)
        gathered[others if hop not in seen and others in seen else hop].append(flow)
    exact = {hop: _sum(each) for hop, each in gathered.items()}
    found = [replace(each, flow=_flow(exact.pop(each.hop, HopFlow()), each)) for each in sampled]
    return (*found, *(HopSnapshot(hop, flow, HopState()) for hop, flow in exact.items()))


def _flow(exact: HopFlow, sampled: HopSnapshot) -> HopFlow:
    """Return the exact flow with what no event tells: how long a connection had been idle."""
    if sampled.is_unattributed:
        return sampled.flow
    return replace(exact, idle_before_reset_s=sampled.flow.idle_before_reset_s)


def _sum(flows: list[HopFlow]) -> HopFlow:
    """Return what happened on several hops together; their lifetimes are drawn evenly from all."""
    if len(flows) == 1:
        return flows[0]
    counts = (sum(column) for column in zip(*(astuple(flow)[:_COUNTS] for flow in flows), strict=True))
    lived = [each for flow in flows for each in flow.lifetimes_s]
    return HopFlow(*counts, lifetimes_s=tuple(lived[:: -(-len(lived) // 64) or 1]))
