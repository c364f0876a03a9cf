"""How many requests find an idle connection in a pool of a given size, computed. Pure: no file, no clock.

Requests arrive independently of each other (a Poisson process) and hold a connection for a time without
memory (exponential): `load` of them are in flight on average, which is rate times latency (Little, A Proof
for the Queuing Formula L = lambda W, 1961). How many are in flight is then a Poisson variable, whatever the
distribution of the latency (M/G/infinity; Gross et al., Fundamentals of Queueing Theory, 4th edition,
section 2.10); how often the pool is empty depends on it, but little where the pool is small.
"""

import heapq
import math
import random
from bisect import bisect_left
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, count, cycle
from statistics import NormalDist, fmean, pvariance
from typing import Literal

from bench.analysis.held import Held

Balancing = Literal["round-robin", "random"]
BALANCINGS: tuple[Balancing, ...] = ("round-robin", "random")

_REACH = 8.0
"""Standard deviations of the requests in flight that are computed with: beyond lie one in 10^15."""
_NEVER = 1e-7
"""Of a share: what is rarer is not computed."""
_MOST_LOAD = 2_000.0
"""Up to here each level is computed."""
_REQUESTS = 40_000
"""Of a simulation, the first quarter of which fills the pool."""
_ROUNDS = 40
"""Requests of a simulation for each that is in flight: a pool fills over several latencies."""
_FEW_REQUESTS = 8_000
_LOOKS = 2_000
"""Moments of a simulation at which its connections are counted."""


@dataclass(frozen=True, slots=True)
class Reuse:
    """What a pool does for its load."""

    opened_share: float
    """Requests that find no idle connection, of all: each opens one."""
    mean_open: float
    """Connections open at a time, in use or idle."""
    open_variance: float = 0.0

    @property
    def reused_share(self) -> float:
        """Return the part of the requests that find an idle connection, from 0 to 1."""
        return 1 - self.opened_share


def requests_per_connection(opened_share: float, most: int | None) -> float:
    """Return how many requests a connection carries on average; `most` is the limit after which it is closed.

    A connection leaves the pool with the same chance after each request: the mean of a geometric variable,
    cut off at `most`. math.inf where nothing ends it.
    """
    if opened_share <= 0:
        return math.inf if most is None else float(most)
    if most is None:
        return 1 / opened_share
    return -math.expm1(most * math.log1p(-opened_share)) / opened_share if opened_share < 1 else 1.0


@lru_cache(maxsize=4096)
def one_pool(load: float, idle: int) -> Reuse:
    """Return what a pool of at most `idle` connections to one destination reuses; `load` is in flight.

    Exact. Connections that are open (m) and idle (i, from 0 to `idle`) are a Markov chain: a request takes
    one that is idle or opens one, an answer returns one or closes it. m grows at i = 0 and shrinks at i =
    `idle` only, so that each level m is a gambler's ruin, and the levels are balanced cut by cut.
    """
    if idle == 0 or load <= 0:
        return Reuse(1.0, load, load)
    if idle > load and _rarity(load, idle) < _NEVER:
        return Reuse(0.0, float(idle))  # at least `idle` stay open, and so many are never in flight
    if load > _MOST_LOAD:
        return _scaled(load, idle)
    spread = _REACH * math.sqrt(load) + 10
    lowest, highest = max(idle, math.floor(load - spread)), math.ceil(load + spread) + idle
    weights, times, opens = [], [], []
    log_rate, before = 0.0, -math.inf
    for level in range(lowest, highest + 1):
        up, down, low_s, top_s = _level(load, level, idle)
        if level > lowest:
            if not (up > 0 and down > 0):
                break  # so rare that the digits do not suffice
            before, log_rate = log_rate, log_rate + math.log(up) - math.log(down)
        weights.append(log_rate)
        times.append(math.exp(before - log_rate) * low_s + top_s)
        opens.append(level)
    most = max(weights)
    rates = [math.exp(weight - most) for weight in weights]
    spent = [rate * time for rate, time in zip(rates, times, strict=True)]
    total = sum(spent)
    mean = sum(level * time for level, time in zip(opens, spent, strict=True)) / total
    variance = sum((level - mean) ** 2 * time for level, time in zip(opens, spent, strict=True)) / total
    return Reuse(max(0.0, min(1.0, sum(rates) / total / load)), mean, variance)


def _scaled(load: float, idle: int) -> Reuse:
    """Return the same from a smaller load: the walk of i is a diffusion there, whose unit is the root of it.

    So `opened_share` times (idle + 1) depends on (idle + 1) over the root of the load alone.
    """
    root = math.sqrt(_MOST_LOAD / load)
    smaller = max(1, round((idle + 1) * root) - 1)
    alike = one_pool(_MOST_LOAD, smaller)
    share = alike.opened_share * (smaller + 1) / (idle + 1)
    return Reuse(share, load + (alike.mean_open - _MOST_LOAD) / root, alike.open_variance / root**2)


def _rarity(load: float, busy: int) -> float:
    """Return a bound on how often `busy` or more are in flight (Chernoff's, for Poisson's distribution)."""
    return math.exp(busy - load - busy * math.log(busy / load))


def _level(load: float, level: int, idle: int) -> tuple[float, float, float, float]:
    """Return of one level: the chance to leave upwards from i = 0, downwards from i = `idle`, and both times.

    The unit of time is the mean latency.
    """
    import numpy  # noqa: PLC0415  (with scipy half a second, so only where it is used)
    from scipy.linalg import solve_banded  # noqa: PLC0415

    free = numpy.arange(idle + 1)
    answered = level - free  # rate of i -> i + 1; of i -> i - 1 it is `load`
    bands = numpy.zeros((3, idle + 1))
    bands[0, 1:], bands[1], bands[2, :-1] = -answered[:-1], load + answered, -load
    sides = numpy.zeros((idle + 1, 3))
    sides[0, 0], sides[-1, 1], sides[:, 2] = load, answered[-1], 1.0
    solved = solve_banded((1, 1), bands, sides)
    return float(solved[0, 0]), float(solved[-1, 1]), float(solved[0, 2]), float(solved[-1, 2])


@dataclass(frozen=True, slots=True)
class PoolSizes:
    """What a pool that several servers share did in a simulation, for each of its sizes."""

    shares: tuple[float, ...]
    """The reused share, from 0 idle connections on; the last is that of every larger size."""
    looks: tuple[tuple[int, tuple[int, ...]], ...]
    """Of one server at several moments: its requests in flight, and its places among the idle ones."""

    def reused_share(self, idle: int) -> float:
        """Return the part of the requests that find an idle connection."""
        return self.shares[min(idle, len(self.shares) - 1)]

    def held(self, idle: int) -> Held:
        """Return the connections to one server, in use or idle."""
        counts = [busy + bisect_left(places, idle) for busy, places in self.looks]
        return Held(fmean(counts), pvariance(counts))


@dataclass(frozen=True, slots=True)
class PoolLoad:
    """What one pool has to do."""

    load: float
    """Requests in flight, on average."""
    servers: int = 1
    balancing: Balancing = "round-robin"
    clients: int | None = None
    """Of a closed loop; None: requests arrive independently of each other."""
    idle_timeout: float = math.inf
    """In a closed loop, in mean latencies; for an open one `held.py` says what it does."""
    most_requests: int | None = None
    """In a closed loop: after so many, on average, a connection ends."""

    def reused_share(self, idle: int, is_rough: bool = False) -> float:
        """Return the part of the requests that find an idle connection, from 0 to 1.

        Where it is needed for many loads, a rough one is within about a hundredth for several servers.
        """
        if self.servers == 1 and self.clients is None:
            return one_pool(self.load, idle).reused_share
        if is_rough:
            return shared_pool(self, _FEW_REQUESTS, idle).shares[-1]
        return shared_pool(self).reused_share(idle)

    def held(self, idle: int) -> Held:
        """Return the connections to one server, in use or idle, where only the size of the pool ends them."""
        if self.servers == 1 and self.clients is None:
            pool = one_pool(self.load, idle)
            return Held(pool.mean_open, pool.open_variance)
        held = shared_pool(self).held(idle)
        if self.clients is not None:
            return held
        # None of a pool that is not full is ever closed: what a simulation did not fill is filled in the end.
        return held if held.mean >= idle / self.servers else Held(idle / self.servers, held.variance)


@lru_cache(maxsize=256)
def shared_pool(pool: PoolLoad, requests: int | None = None, largest: int | None = None) -> PoolSizes:
    """Return what each size of a pool that several servers share does.

    nginx keeps the connections of a worker to all servers of an `upstream {}` in one cache, and closes the
    one that was used longest ago where it is full. One simulation tells all sizes at once: a cache of N holds
    what stands in the first N places of the stack of the returned connections, where one that is taken leaves
    a hole that the next to be returned closes (Mattson et al., Evaluation techniques for storage hierarchies,
    1970). Sizes beyond `largest` are left out. The same numbers each time.

    In a closed loop each client sends its next request after its response, and after a pause of exponential
    length that makes `load` of them be in flight.
    """
    if requests is None:
        requests = _REQUESTS + math.ceil(_ROUNDS * pool.load)
    chance = random.Random(1)
    arrivals = _Arrivals(chance, pool)
    servers_in_turn = cycle(range(pool.servers))
    stack = _Stack(pool.idle_timeout * pool.load, largest)
    ended_share = 0.0 if pool.most_requests is None else 1 / pool.most_requests
    ends: list[tuple[float, int, int]] = []
    busy = [0] * pool.servers
    found: list[int] = []
    looks: list[tuple[int, tuple[int, ...]]] = []
    stride, filled = max(1, requests // _LOOKS), requests // 4
    for number in range(requests):
        clock_s = arrivals.next_s()
        while ends and ends[0][0] <= clock_s:
            end_s, _, ended = heapq.heappop(ends)
            busy[ended] -= 1
            if not ended_share or chance.random() >= ended_share:
                stack.put(ended, end_s)
        stack.expire(clock_s)
        if number >= filled and number % stride == 0:
            watched = number // stride % pool.servers
            looks.append((busy[watched], stack.places(watched)))
        server = next(servers_in_turn) if pool.balancing == "round-robin" else chance.randrange(pool.servers)
        place = stack.take(server)
        if place is not None and number >= filled:
            found += [0] * (place + 1 - len(found))
            found[place] += 1
        busy[server] += 1
        heapq.heappush(ends, (arrivals.end_s(clock_s), number, server))
    counted = requests - filled
    return PoolSizes((0.0, *(hits / counted for hits in accumulate(found))), tuple(looks))


class _Arrivals:
    """When requests come and end; the unit of time is their mean distance."""

    def __init__(self, chance: random.Random, pool: PoolLoad) -> None:
        self._chance = chance
        self._load = pool.load
        self._pause = None if pool.clients is None else max(0.0, pool.clients - pool.load)
        self._now_s = 0.0
        count = pool.clients or 0
        self._due = sorted(chance.random() * count for _ in range(count))

    def next_s(self) -> float:
        """Return when the next request comes."""
        if self._pause is None:
            self._now_s += self._chance.expovariate(1.0)
            return self._now_s
        return heapq.heappop(self._due)

    def end_s(self, start_s: float) -> float:
        """Return when the request that comes at `start_s` ends."""
        end_s = start_s + self._chance.expovariate(1 / self._load)
        if self._pause is not None:
            pause_s = self._chance.expovariate(1 / self._pause) if self._pause else 0.0
            heapq.heappush(self._due, end_s + pause_s)
        return end_s


class _Stack:
    """Idle connections, those that were used last on top; what was taken leaves a hole."""

    def __init__(self, timeout_s: float, largest: int | None) -> None:
        self._servers: list[int | None] = []
        self._times: list[float] = []
        """When each was put here: newest first, since holes are closed from above."""
        self._timeout_s = timeout_s
        self._largest = largest

    def put(self, server: int, now_s: float) -> None:
        """Put a connection on top; what lies above the first hole moves down by one."""
        if None in self._servers:
            hole = self._servers.index(None)
            del self._servers[hole], self._times[hole]
        self._servers.insert(0, server)
        self._times.insert(0, now_s)
        if self._largest is not None:
            del self._servers[self._largest :], self._times[self._largest :]

    def expire(self, now_s: float) -> None:
        """Remove what has been here for too long."""
        while self._times and now_s - self._times[-1] >= self._timeout_s:
            del self._servers[-1], self._times[-1]

    def take(self, server: int) -> int | None:
        """Take the uppermost connection to a server, and return its place; None where there is none."""
        if server not in self._servers:
            return None
        place = self._servers.index(server)
        self._servers[place] = None
        return place

    def places(self, server: int) -> tuple[int, ...]:
        """Return where the connections to a server are."""
        return tuple(place for place, each in enumerate(self._servers) if each == server)


def in_flight(load: float, share: float = 0.999) -> int:
    """Return how many requests are in flight at the most for `share` of the time (Poisson's distribution)."""
    term = cumulated = math.exp(-load) if load < 700 else 0.0
    if not term:  # as good as normal from here on
        return math.ceil(NormalDist(load, math.sqrt(load)).inv_cdf(share))
    for most in count(1):
        if cumulated >= share:
            return most - 1
        term *= load / most
        cumulated += term
    raise AssertionError("a distribution adds up to 1")
