"""Snapshots that are made up: a hop with so much in each interval of a second, and a host around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bench.watch.model import (
    DataSent,
    Direction,
    HopFlow,
    HopSnapshot,
    HopState,
    HostFlow,
    HostState,
    PeerHop,
    RequestFlow,
    Snapshot,
    Source,
)

UPSTREAM = PeerHop(Direction.OUTGOING, "10.0.0.2", 8080)
CLIENT = PeerHop(Direction.INCOMING, "10.0.0.9", 80)
LOOPBACK = PeerHop(Direction.OUTGOING, "127.0.0.1", 8080)

_COUNTERS = {Direction.OUTGOING: "active_opens", Direction.INCOMING: "passive_opens"}


@dataclass(frozen=True)
class Row:
    """What one interval of a second holds."""

    hops: tuple[HopSnapshot, ...] = ()
    flow: HostFlow = field(default_factory=HostFlow)
    host: HostState = field(default_factory=HostState)
    requests: tuple[RequestFlow, ...] = ()


def hop(of: PeerHop, flow: HopFlow | None = None, **state: Any) -> HopSnapshot:
    """Return a hop with what happened on it, and the state that it is in."""
    return HopSnapshot(of, flow or HopFlow(), HopState(**state))


def sent(*segments: int, age_s: float = 0.0) -> tuple[DataSent, ...]:
    """Return what connections of one age have sent."""
    return tuple(DataSent(each, age_s) for each in segments)


def watched(seconds: Sequence[Row], source: Source = Source.EXACT, *, step_s: float = 1.0) -> list[Snapshot]:
    """Return the snapshots of a watch, one for each of `seconds`."""
    return [
        Snapshot((at + 1) * step_s, step_s, source, each.hops, each.flow, each.host, each.requests)
        for at, each in enumerate(seconds)
    ]


def short(
    of: PeerHop, per_s: int, seconds: int, *, closed_there: bool = False, host: HostState | None = None
) -> list[Row]:
    """Return seconds in which connections are opened at a rate and closed again at once."""
    found = []
    for at in range(1, seconds + 1):
        flow = HopFlow(opened=per_s, lifetimes_s=(0.002,) * min(per_s, 64))
        flow = replace(flow, closed_there=per_s) if closed_there else replace(flow, closed_here=per_s)
        waiting = 0 if closed_there else per_s * min(at, 60)
        state = hop(of, flow, time_wait=waiting, ports_used=waiting)
        counted = HostFlow(**{_COUNTERS[of.direction]: per_s})
        found.append(Row((state,), counted, host or HostState()))
    return found


def kept(of: PeerHop, count: int, seconds: int) -> list[Row]:
    """Return seconds in which connections stay open, and nothing else happens."""
    ages = (float(seconds),) * min(count, 64)
    return [Row((hop(of, established=count, ports_used=count, ages_s=ages),))] * seconds
