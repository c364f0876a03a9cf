"""A fleet of proxies, and what each size of its pools does at a rate. Pure.

Requests are taken to spread evenly over proxies and backends, over the workers of a proxy as its client
connections do, and to arrive independently of each other, or in a closed loop.
"""

import math
from dataclasses import dataclass

from bench.analysis import accepting, held, pool_reuse
from bench.analysis.accepting import Accepting, WorkerShare
from bench.analysis.ceiling import TIME_WAIT_S
from bench.analysis.held import Held
from bench.analysis.pool_reuse import Balancing, PoolLoad

_MOSTLY = 1.96
"""Standard deviations on either side of the mean that hold 95 % of the time."""
_ALIKE = 1e-6
"""A share of reuse that lies so near the best one is as good."""
_ALWAYS = 1 - 1e-9
_MOST_UNSPREAD = 2_000.0
"""In flight in one worker: above, it is at its limit before that matters to its pool."""


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
    """Connections of clients, over all proxies; None: one for each request in flight, spread evenly."""
    accepting: Accepting = "turns"
    """How the workers of a proxy share its client connections."""
    closed_loop: bool = False
    """Each client sends its next request after the response to its last one."""
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

    @property
    def parts(self) -> tuple[WorkerShare, ...]:
        """Return the workers of one proxy by their share of its requests."""
        clients = None if self.clients is None else self.clients / self.proxies
        return accepting.parts(clients, self.workers, self.accepting)

    @property
    def busiest_share(self) -> float:
        """Return the largest share that a worker has of the requests of its proxy."""
        return max(part.share for part in self.parts)

    def load(self, rate: float) -> float:
        """Return the requests in flight of one worker on average, at a rate over all (Little's law)."""
        return self.reached(rate) * self.latency_s / self.pools

    def reached(self, rate: float) -> float:
        """Return what of a rate the clients reach: in a closed loop each has one request in flight."""
        if not self.closed_loop or self.clients is None:
            return rate
        return min(rate, self.clients / self.latency_s)

    def pool_load(self, rate: float, share: float) -> PoolLoad:
        """Return what the pool of one worker has to do that has a share of the requests of its proxy."""
        load = self.load(rate) * self.workers * share
        if not self.closed_loop or self.clients is None:
            return PoolLoad(load, self.backends, self.balancing)
        clients = max(1, round(self.clients / self.proxies * share))
        ends = (self.idle_timeout_s / self.latency_s, self.requests_per_connection)
        return PoolLoad(min(load, clients), self.backends, self.balancing, clients, *ends)


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
    """Connections on one backend at the most, to provide for."""
    backend_connections_expected: float
    """On average."""
    backend_connections_low: float
    """This and the next one: between them they are for 95 % of the time."""
    backend_connections_high: float


def _enough(fleet: ProxyFleet) -> int:
    """Return a size at which no pool is ever full."""
    pool = fleet.pool_load(fleet.rate, fleet.busiest_share)
    if pool.clients is not None:
        return pool.clients * fleet.backends
    spread = 1 if fleet.balancing == "round-robin" else 2
    return fleet.backends * (spread * pool_reuse.in_flight(pool.load / fleet.backends, _ALWAYS) + spread)


def smallest(fleet: ProxyFleet, target: float) -> tuple[int, float]:
    """Return the smallest size that reuses at least `target`, and what the largest pool reuses.

    Where none reaches it, it is the smallest that is as good as any.
    """
    high = enough = _enough(fleet)
    most = reused_share(fleet, enough)
    low, goal = 0, min(target, most - _ALIKE)
    step = 1
    while step < enough and reused_share(fleet, step) < goal:
        low, step = step, step * 2
    high = min(step, enough)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reused_share(fleet, middle) >= goal else (middle, high)
    return high, most


def reused_share(fleet: ProxyFleet, keepalive: int) -> float:
    """Return the part of all requests that take a kept connection."""
    return 1 - 1 / _carried(fleet, fleet.parts, fleet.rate, keepalive)


def unspread_share(fleet: ProxyFleet, keepalive: int) -> float | None:
    """Return the same where one worker of each proxy has all clients; None: no worker bears that."""
    if fleet.load(fleet.rate) * fleet.workers > _MOST_UNSPREAD:
        return None
    return 1 - 1 / _carried(fleet, (WorkerShare(1, 1.0),), fleet.rate, keepalive)


def even_share(fleet: ProxyFleet, keepalive: int) -> float:
    """Return the same where each worker of a proxy has as many clients."""
    even = (WorkerShare(fleet.workers, 1 / fleet.workers),)
    return 1 - 1 / _carried(fleet, even, fleet.rate, keepalive)


def _carried(
    fleet: ProxyFleet, parts: tuple[WorkerShare, ...], rate: float, keepalive: int, is_rough: bool = False
) -> float:
    """Return how many requests a connection carries, of all workers."""
    opened = 0.0
    for part in parts:
        pool = fleet.pool_load(rate, part.share)
        missed = 1 - pool.reused_share(keepalive, is_rough)
        if pool.clients is None:
            # What time would end, a pool that is full has closed before.
            missed = max(missed, _by_age(fleet, pool).opened_share)
            missed = 1 / pool_reuse.requests_per_connection(missed, fleet.requests_per_connection)
        opened += part.workers * part.share * missed
    return 1 / opened if opened else math.inf


def _by_age(fleet: ProxyFleet, pool: PoolLoad) -> Held:
    """Return what a pool that is never full holds to one backend."""
    if pool.clients is not None:
        return Held(math.inf, 0.0)
    every = fleet.backends if fleet.balancing == "round-robin" else 1
    timeout = fleet.idle_timeout_s / fleet.latency_s
    return held.by_age(pool.load / fleet.backends, timeout, fleet.requests_per_connection, every)


def pool_row(fleet: ProxyFleet, keepalive: int) -> PoolRow:
    """Return what pools of this size do."""
    carried = _carried(fleet, fleet.parts, fleet.rate, keepalive)
    opened = fleet.rate / fleet.proxies / carried
    expected = expected_on_backend(fleet, keepalive)
    around = _MOSTLY * math.sqrt(expected.variance)
    most = most_on_backend(fleet, fleet.rate, keepalive)
    return PoolRow(
        keepalive,
        1 - 1 / carried,
        carried,
        opened,
        opened * TIME_WAIT_S,
        most,
        expected.mean,
        max(0.0, expected.mean - around),
        expected.mean + around,
    )


def expected_on_backend(fleet: ProxyFleet, keepalive: int) -> Held:
    """Return the connections on one backend: the sum of those of all pools, which are independent."""
    mean = variance = 0.0
    for part in fleet.parts:
        pool = fleet.pool_load(fleet.rate, part.share)
        # A pool holds what its size leaves, or what time and use leave of that.
        least = min(pool.held(keepalive), _by_age(fleet, pool), key=lambda each: each.mean)
        mean += fleet.proxies * part.workers * least.mean
        variance += fleet.proxies * part.workers * least.variance
    return Held(mean, variance)


def most_on_backend(fleet: ProxyFleet, rate: float, keepalive: int) -> float:
    """Return the most connections on one backend: those in flight, and its part of what all pools keep."""
    in_flight = pool_reuse.in_flight(fleet.load(rate) * fleet.pools / fleet.backends)
    kept = fleet.pools * keepalive / fleet.backends
    # Each pool keeps as many to each backend only where they take turns, and it is large enough.
    is_even = fleet.balancing == "round-robin" and keepalive >= fleet.backends
    return in_flight + (math.ceil(kept) if is_even else pool_reuse.in_flight(kept))


def opened_per_s(fleet: ProxyFleet, rate: float, keepalive: int) -> float:
    """Return the new connections per second of one proxy at a rate over all."""
    rate = fleet.reached(rate)
    return rate / fleet.proxies / _carried(fleet, fleet.parts, rate, keepalive, is_rough=True)
