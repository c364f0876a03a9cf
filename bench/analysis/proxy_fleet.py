"""What a fleet of proxies needs for its rate: the size of its pools, and which limit it meets first. Pure.

Each figure is computed, from a rate, a latency and counts of hosts. Requests are taken to spread evenly over
proxies, workers and backends, and to arrive independently of each other.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypedDict

from bench.analysis import pool_reuse
from bench.analysis.ceiling import TIME_WAIT_S, Remedy, RemedyJson, remedies
from bench.analysis.pool_reuse import Balancing

_FURTHEST = 2**12
"""A limit is looked for between the rate over so much and the rate times so much."""
_STEPS = 9
_SMALL = 0.5
"""Of the requests in flight: for a pool below it, requests in groups matter (as `tests/perf` measures)."""
_USES = 5.0
"""Uses of a connection within its idle time, on average, from which on it hardly ever ends: one in e^5."""


HALF, END = "half of the ports", "all ports"
"""The two thresholds of a port range: connect() slows down at the first, and fails at the second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyFleet:
    """Proxies that share a load, each with workers that have a pool each, and the backends behind them."""

    rate: float
    """Requests per second, over all proxies."""
    latency_s: float
    """Mean time from the request that is sent upstream to the end of its response."""
    proxies: int = 1
    workers: int = 1
    """Of one proxy."""
    backends: int = 1
    balancing: Balancing = "round-robin"
    requests_per_connection: int | None = 1000
    """After which the proxy closes a connection; None: no limit."""
    idle_timeout_s: float = 60.0
    """After which the proxy closes an idle connection."""
    ports: int = 28_232
    addresses: int = 1
    """Source addresses of one proxy."""
    clients: int | None = None
    """Connections of clients, over all proxies; None: one for each request in flight."""
    worker_connections: int = 512
    """Connections that one worker may have, to both sides."""
    open_files: int = 1024
    """Of one worker."""
    backend_connections: int | None = None
    """Connections that one backend accepts; None: not known."""

    @property
    def pools(self) -> int:
        """Return the number of pools: one for each worker of each proxy."""
        return self.proxies * self.workers

    @property
    def tuples(self) -> int:
        """Return what one proxy has for connections: ports times source addresses times backends."""
        return self.ports * self.addresses * self.backends

    def load(self, rate: float) -> float:
        """Return the requests in flight of one worker at a rate over all proxies (Little's law)."""
        return rate * self.latency_s / self.pools


@dataclass(frozen=True, slots=True)
class PoolRow:
    """What one size of the pools does at the fleet's rate."""

    keepalive: int
    """Idle connections that one worker keeps, to all backends together."""
    reused_share: float
    requests_per_connection: float
    opened_per_s: float
    """New upstream connections per second of one proxy."""
    time_wait: float
    """Sockets in TIME_WAIT of one proxy, where it closes first and the ports suffice."""
    backend_connections: float
    """Connections on one backend at the most."""


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
    chosen: PoolRow
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
    """The smallest size that reaches it."""
    chosen: PoolRow
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
            "chosen": self.chosen,
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
    load = fleet.load(fleet.rate)
    needed = pool_reuse.size_for(target, load, fleet.backends, fleet.balancing)
    keepalive = needed if keepalive is None else keepalive
    chosen = _row(fleet, keepalive)
    limits = sorted(
        find_limits(fleet, keepalive), key=lambda limit: math.inf if limit.rate is None else limit.rate
    )
    has_too_few_ports = any(limit.is_passed for limit in limits if limit.name in (HALF, END))
    return Sizing(
        fleet,
        target,
        needed,
        chosen,
        tuple(_row(fleet, size) for size in _sizes(keepalive, needed)),
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


def _row(fleet: ProxyFleet, keepalive: int) -> PoolRow:
    load = fleet.load(fleet.rate)
    reused = pool_reuse.reused_share(load, keepalive, fleet.backends, fleet.balancing)
    carried = pool_reuse.requests_per_connection(1 - reused, fleet.requests_per_connection)
    opened = fleet.rate / fleet.proxies / carried
    behind = _on_backend(fleet, fleet.rate, keepalive)
    return PoolRow(keepalive, reused, carried, opened, opened * TIME_WAIT_S, behind)


def _on_backend(fleet: ProxyFleet, rate: float, keepalive: int) -> float:
    """Return the most connections on one backend: those in flight, and its part of what all pools keep."""
    in_flight = pool_reuse.in_flight(rate * fleet.latency_s / fleet.backends)
    return in_flight + math.ceil(fleet.pools * keepalive / fleet.backends)


# -- limits


_Used = Callable[[ProxyFleet, float, int], float]
"""What is used of something, at a rate over all proxies and with a size of the pools."""


def find_limits(fleet: ProxyFleet, keepalive: int) -> Iterator[Limit]:
    """Yield what the fleet can run out of, with the rate from which on it does."""
    opened_per_s = _opened_per_s(fleet, fleet.rate, keepalive)
    table: tuple[tuple[str, str, int | None, _Used], ...] = (
        (HALF, "connect() slows down", fleet.tuples // 2, _ports),
        (END, "connect() fails, EADDRNOTAVAIL", fleet.tuples, _ports),
        ("worker_connections", "clients are refused", fleet.worker_connections, _of_worker),
        ("open files of a worker", "accept(), socket(): EMFILE", fleet.open_files, _of_worker),
        ("connections of a backend", "it refuses, or they wait", fleet.backend_connections, _on_backend),
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
    in_time_wait = _opened_per_s(fleet, rate, keepalive) * TIME_WAIT_S
    return in_time_wait + fleet.workers * (fleet.load(rate) + keepalive)


def _of_worker(fleet: ProxyFleet, rate: float, keepalive: int) -> float:
    """Return the connections of one worker at the most, to both sides."""
    in_flight = pool_reuse.in_flight(fleet.load(rate))
    clients = in_flight if fleet.clients is None else fleet.clients / fleet.pools
    return clients + in_flight + keepalive


def _opened_per_s(fleet: ProxyFleet, rate: float, keepalive: int) -> float:
    """Return the new connections per second of one proxy at a rate over all."""
    reused = pool_reuse.rough_share(fleet.load(rate), keepalive, fleet.backends, fleet.balancing)
    carried = pool_reuse.requests_per_connection(1 - reused, fleet.requests_per_connection)
    return rate / fleet.proxies / carried


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
    load = fleet.load(fleet.rate)
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
