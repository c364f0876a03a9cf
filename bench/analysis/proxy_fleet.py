"""What a fleet of proxies needs for its rate: the size of its pools, and which limit it meets first. Pure.

Each figure is computed, from a rate, a latency and counts of hosts. Requests are taken to spread evenly over
proxies and backends, over the workers of a proxy as its client connections do, and to arrive independently of
each other, or in a closed loop.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypedDict

from bench.analysis import fleet_pools, pool_reuse
from bench.analysis.ceiling import TIME_WAIT_S, Remedy, RemedyJson, remedies
from bench.analysis.fleet_pools import PoolRow, ProxyFleet

_FURTHEST = 2**12
"""A limit is looked for between the rate over so much and the rate times so much."""
_STEPS = 9
_SMALL = 0.5
"""Of the requests in flight: for a pool below it, requests in groups matter (as `tests/perf` measures)."""
_USES = 5.0
"""Requests to a backend within the idle time, on average, from which on its connections outlive it."""


HALF, END = "half of the ports", "all ports"
"""The two thresholds of a port range: connect() slows down at the first, and fails at the second."""


@dataclass(frozen=True, slots=True)
class Limit:
    """Something of which there is so much, and the rate that uses it up."""

    name: str
    consequence: str
    most: float
    used: float
    """At the fleet's rate, were there enough."""
    rate: float | None
    """Requests per second, over all proxies, from which on it does not suffice; None: beyond all rates."""
    after_s: float | None = None
    """How long it lasts at the fleet's rate, where that is too much, and a matter of time."""

    @property
    def is_passed(self) -> bool:
        """Return whether it does not suffice at the fleet's rate."""
        return self.used > self.most


class FleetLoadJson(TypedDict):
    """Requests in flight, on average and at the most."""

    all: float
    per_worker: float
    per_worker_most: float


class SizingJson(TypedDict):
    """What `bench size --json` prints."""

    fleet: ProxyFleet
    in_flight: FleetLoadJson
    target_share: float
    keepalive_needed: int
    most_share: float
    chosen: PoolRow
    unspread_share: float | None
    even_share: float
    pools: tuple[PoolRow, ...]
    limits: tuple[Limit, ...]
    remedies: list[RemedyJson]
    holds: bool
    stops: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sizing:
    """The answer: what to set, what it does, and what fails first."""

    fleet: ProxyFleet
    target: float
    """The part of the requests that is to be reused."""
    needed: int
    """The smallest size that reaches it, or that is as good as any where none does."""
    most: float
    """The part of the requests that the largest pool reuses."""
    chosen: PoolRow
    unspread: float | None
    """What it reuses where one worker of each proxy has all clients; None where one has no such load."""
    even: float
    """What it reuses where each worker has as many clients as each other."""
    rows: tuple[PoolRow, ...]
    limits: tuple[Limit, ...]
    """Those that are met first, first."""
    remedies: tuple[Remedy, ...]
    """Of the ports, where they do not suffice."""
    stops: tuple[str, ...]
    """Why the prediction does not hold for this fleet; none where it does."""

    def to_json(self) -> SizingJson:
        """Return the sizing as JSON holds it."""
        return {
            "fleet": self.fleet,
            "in_flight": _in_flight(self.fleet),
            "target_share": self.target,
            "keepalive_needed": self.needed,
            "most_share": self.most,
            "chosen": self.chosen,
            "unspread_share": self.unspread,
            "even_share": self.even,
            "pools": self.rows,
            "limits": self.limits,
            "remedies": [remedy.to_json() for remedy in self.remedies],
            "holds": not self.stops,
            "stops": self.stops,
        }


def _in_flight(fleet: ProxyFleet) -> FleetLoadJson:
    load = fleet.load(fleet.rate)
    most = pool_reuse.in_flight(load)
    return {"all": load * fleet.pools, "per_worker": load, "per_worker_most": most}


def size(fleet: ProxyFleet, target: float = 0.99, keepalive: int | None = None) -> Sizing:
    """Return what `fleet` needs for `target` reuse, and what it meets first with it, or with `keepalive`."""
    needed, most = fleet_pools.smallest(fleet, target)
    keepalive = needed if keepalive is None else keepalive
    chosen = fleet_pools.pool_row(fleet, keepalive)
    limits = sorted(
        find_limits(fleet, keepalive), key=lambda limit: math.inf if limit.rate is None else limit.rate
    )
    has_too_few_ports = any(limit.is_passed for limit in limits if limit.name in (HALF, END))
    return Sizing(
        fleet,
        target,
        needed,
        most,
        chosen,
        fleet_pools.unspread_share(fleet, keepalive),
        fleet_pools.even_share(fleet, keepalive),
        tuple(fleet_pools.pool_row(fleet, size) for size in _sizes(keepalive, needed)),
        tuple(limits),
        _remedies(fleet, chosen) if has_too_few_ports else (),
        tuple(_stops(fleet, keepalive, limits)),
    )


def _remedies(fleet: ProxyFleet, chosen: PoolRow) -> tuple[Remedy, ...]:
    here = (fleet.ports, fleet.addresses, fleet.backends, chosen.requests_per_connection)
    return remedies(fleet.rate / fleet.proxies, *here)


def _sizes(keepalive: int, needed: int) -> list[int]:
    """Return the sizes that are shown: none, halves of the one that counts, that one, and its double."""
    around = max(1, keepalive, needed)
    halves = {around >> shift for shift in range(5)}
    return sorted({0, keepalive, needed, *halves, 2 * around})


# -- limits


_Used = Callable[[ProxyFleet, float, int], float]
"""What is used of something, at a rate over all proxies and with a size of the pools."""


def find_limits(fleet: ProxyFleet, keepalive: int) -> Iterator[Limit]:
    """Yield what the fleet can run out of, with the rate from which on it does."""
    opened_per_s = fleet_pools.opened_per_s(fleet, fleet.rate, keepalive)
    table: tuple[tuple[str, str, int | None, _Used], ...] = (
        (HALF, "connect() slows down", fleet.tuples // 2, _ports),
        (END, "connect() fails, EADDRNOTAVAIL", fleet.tuples, _ports),
        ("worker_connections", "clients are refused", fleet.worker_connections, _of_worker),
        ("open files of a worker", "accept(), socket(): EMFILE", fleet.open_files, _of_worker),
        (
            "connections of a backend",
            "it refuses, or they wait",
            fleet.backend_connections,
            fleet_pools.most_on_backend,
        ),
    )
    for name, consequence, most, use in table:
        if most is None:
            continue
        used = use(fleet, fleet.rate, keepalive)
        # What a second takes is back after a minute.
        after_s = most / opened_per_s if use is _ports and used > most else None
        rate = _rate_of(fleet.rate, partial(_used_at, use, fleet, keepalive), most)
        yield Limit(name, consequence, most, used, rate, after_s)


def _used_at(use: _Used, fleet: ProxyFleet, keepalive: int, rate: float) -> float:
    return use(fleet, rate, keepalive)


def _ports(fleet: ProxyFleet, rate: float, keepalive: int) -> float:
    """Return the ports of one proxy in use: in TIME_WAIT, in flight and idle."""
    in_time_wait = fleet_pools.opened_per_s(fleet, rate, keepalive) * TIME_WAIT_S
    return in_time_wait + fleet.workers * (fleet.load(rate) + keepalive)


def _of_worker(fleet: ProxyFleet, rate: float, keepalive: int) -> float:
    """Return the connections of one worker at the most, to both sides."""
    busiest = fleet.busiest_share
    in_flight = pool_reuse.in_flight(fleet.pool_load(rate, busiest).load)
    clients = in_flight if fleet.clients is None else fleet.clients / fleet.proxies * busiest
    return clients + in_flight + keepalive


def _rate_of(near: float, used: Callable[[float], float], most: float) -> float | None:
    """Return the least rate at which `used` is above `most`, which grows with it; 0 where it always is."""
    low, high = near, near
    while used(low) > most:
        if low <= near / _FURTHEST:
            return 0.0
        low, high = low / 2, low
    while used(high) <= most:
        if high >= near * _FURTHEST:
            return None
        low, high = high, high * 2
    for _ in range(_STEPS):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if used(middle) > most else (middle, high)
    return high


def _stops(fleet: ProxyFleet, keepalive: int, limits: list[Limit]) -> Iterator[str]:
    """Yield why the prediction does not hold: what it takes for granted and this fleet lacks."""
    uses = fleet.rate / fleet.pools / fleet.backends * fleet.idle_timeout_s
    if uses < _USES:
        yield (
            f"a worker sends {uses:.2g} requests to a backend within the idle timeout of"
            f" {fleet.idle_timeout_s:g} s: connections end for want of use, whatever the size of the pool"
        )
    in_flight = fleet.rate * fleet.latency_s
    if fleet.closed_loop and fleet.clients is not None and in_flight > fleet.clients:
        yield (
            f"{fleet.clients:,} clients in a closed loop have no {in_flight:,.3g} requests in flight: they"
            f" reach {fleet.clients / fleet.latency_s:,.4g} requests per second"
        )
    load = fleet.pool_load(fleet.rate, fleet.busiest_share).load
    if 0 < keepalive < _SMALL * load:
        yield (
            f"a pool of {keepalive:,} is less than half of the {load:,.3g} requests in flight: what it reuses"
            " depends on the order of single requests, and those that a worker handles together empty it;"
            " it reuses this much at the most"
        )
    for limit in limits:
        if limit.is_passed:
            yield (
                f"{limit.name}: {limit.used:,.0f} are needed where there are {limit.most:,.0f}:"
                f" {limit.consequence}, and latency grows beyond the one that was given"
            )
