"""Compute how many requests find an idle connection in a pool that is too small for its servers or clients.

Source: ngx_http_upstream_get_round_robin_peer(), ngx_http_upstream_get_least_conn_peer() and the cache of
ngx_http_upstream_keepalive_module.c, whose least recently used connection is closed when it is full, at
release-1.22.1 and release-1.29.7.
"""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from itertools import cycle
from typing import TypedDict

from nginx.tree import Directive
from nginx.upstreams import Pool, Upstream

_BY_KEY = frozenset({"hash", "ip_hash"})
"""Methods by which equal requests go to one server: how many do, only the requests show."""
_UNEVEN = _BY_KEY | {"random"}
"""Methods that do not look at where requests are already."""
FEW_REQUESTS = 9
"""Up to so many requests of a connection, more than a tenth of them opens one."""
NEARLY_ALL = 0.9
"""The share from which on all requests count as reusing: each round may begin with another server."""
_FEWEST_ROUNDS, _FEWEST_REQUESTS = 4, 40
_MOST_ROUNDS = 200
_MOST_REQUESTS = 4_000
_MOST_STEPS = 40_000
_MOST_IN_FLIGHT = 1_000
_MOST_STARTS = 8


class ShareJson(TypedDict):
    """A share in the JSON of a verdict."""

    least: float
    most: float
    in_flight_per_worker: int
    keepalive_needed: int
    cause: str


@dataclass(frozen=True, slots=True)
class ReuseShare:
    """The part of all requests that find an idle connection once the pool is warm, from 0 to 1."""

    least: float
    most: float
    in_flight: int
    """The requests in flight per worker that this is about; 1 where the load is not given."""
    needed: int
    """The `keepalive` from which on all are reused."""
    cause: str
    """What the pool is too small for."""

    def __str__(self) -> str:
        load = f"with {self.in_flight} in flight per worker" if self.in_flight > 1 else "one after the other"
        if self.least == self.most:
            return f"{_percent(self.least)} of requests {load}"
        return f"{_percent(self.least)} to {_percent(self.most)} of requests {load}"

    def to_json(self) -> ShareJson:
        """Return the share as plain values."""
        return {
            "least": round(self.least, 4),
            "most": round(self.most, 4),
            "in_flight_per_worker": self.in_flight,
            "keepalive_needed": self.needed,
            "cause": self.cause,
        }


def _percent(part: float) -> str:
    return f"{100 * part:.0f} %" if part in {0, 1} or part >= 0.01 else "less than 1 %"


def pool_share(upstream: Upstream, pool: Pool, in_flight: int = 0) -> ReuseShare | None:
    """Return what a pool that is too small reuses, or None if it is large enough.

    Too small is a pool with fewer connections than servers in use, or than requests in flight. Above that,
    what requests in flight lose depends on how their number and the servers' weights fit together. A
    balancing method that spreads them unevenly may send all of them to any server: each then needs as many.

    Args:
        upstream: the block with its servers.
        pool: its pool.
        in_flight: requests in flight per worker at the peak; 0 where that is not given.
    """
    number, needed = size_needed(upstream), size_needed(upstream, in_flight)
    method = upstream.balancer
    if pool.idle >= needed:
        return None
    servers = tuple((_address(line), _weight(line)) for line in upstream.servers_in_use) or (("", 1),)
    alone = _reused(servers, method, pool.idle, 1)
    if in_flight <= 1:
        return ReuseShare(alone, 1.0 if method in _BY_KEY else alone, 1, needed, f"{number} servers")
    least = _reused(servers, method, pool.idle, in_flight)
    if pool.idle < number:
        return ReuseShare(min(alone, least), 1.0, in_flight, needed, f"{number} servers")
    cause = f"{in_flight} requests in flight per worker"
    if pool.idle >= in_flight:
        if method not in _UNEVEN and least >= NEARLY_ALL:
            return None
        cause += f" that {method or 'round robin'} spreads over {number} servers"
    return ReuseShare(least, 1.0, in_flight, needed, cause)


def reuse_share(upstream: Upstream, pool: Pool, in_flight: int = 0) -> ReuseShare | None:
    """Return what a pool reuses that is too small, or whose connections serve few requests; None if all.

    Args: as of `pool_share`.
    """
    share = pool_share(upstream, pool, in_flight)
    if pool.requests is None or pool.requests > FEW_REQUESTS:
        return share
    # The first request of each connection opens it.
    others, cause = 1 - 1 / pool.requests, f"{pool.requests} requests each"
    if share is None:
        return ReuseShare(others, others, max(1, in_flight), size_needed(upstream, in_flight), cause)
    causes = f"{share.cause}, and {cause}"
    return replace(share, least=share.least * others, most=share.most * others, cause=causes)


def size_needed(upstream: Upstream, in_flight: int = 0) -> int:
    """Return the size of a pool from which on nothing is closed for want of room.

    Args: as of `pool_share`.
    """
    number = len({_address(line) for line in upstream.servers_in_use})
    return size_for(max(1, number), upstream.balancer, in_flight)


def size_for(servers: int, method: str | None, in_flight: int) -> int:
    """Return the size of a pool for so many different servers.

    In turn, each server but one may get a request more than in the round before.
    """
    if method in _UNEVEN and servers > 1:
        return servers * max(1, in_flight)
    return in_flight + servers - 1 if in_flight > 1 else servers


def rounds_counted(in_flight: int) -> int:
    """Return how many rounds of requests in flight show their share: one server's turn is a small part."""
    return max(_FEWEST_ROUNDS, -(-_FEWEST_REQUESTS // in_flight))


def total_weight(upstream: Upstream) -> int:
    """Return after how many requests in turn each server had its own."""
    return sum(map(_weight, upstream.servers_in_use)) or 1


def _address(line: Directive) -> str:
    return line.args[0].lower() if line.args else ""


def _weight(line: Directive) -> int:
    given = next((arg.removeprefix("weight=") for arg in line.args if arg.startswith("weight=")), "1")
    return int(given) if given.isdecimal() and 0 < int(given) < 1000 else 1


@lru_cache(maxsize=4096)
def _reused(servers: tuple[tuple[str, int], ...], method: str | None, idle: int, in_flight: int) -> float:
    """Return the share where `in_flight` requests begin together, and the next ones when all have ended.

    With several in flight it is the smallest of as many rounds as are counted, once the pool is filled.

    Args:
        servers: the address and the weight of each.
        method: the balancing method; None for round robin.
        idle: the size of the pool.
        in_flight: the requests of a round.
    """
    if in_flight > _MOST_IN_FLIGHT:  # as many of a smaller number
        return _reused(servers, method, idle * _MOST_IN_FLIGHT // in_flight, _MOST_IN_FLIGHT)
    if in_flight == 1:
        hits = _hits(servers, method, idle, 1)
        return sum(hits) / len(hits)
    # Where the servers' turns and the rounds fit together, all rounds begin with one of a few servers.
    starts = min(_MOST_STARTS, math.gcd(in_flight, sum(weight for _, weight in servers)))
    return min(
        _smallest(_hits(servers, method, idle, in_flight, start), in_flight) for start in range(starts)
    )


def _smallest(hits: Sequence[int], in_flight: int) -> float:
    """Return the smallest share of as many successive rounds as are counted."""
    counted = rounds_counted(in_flight)
    sums = [sum(hits[start : start + counted]) for start in range(len(hits) - counted + 1)]
    return min(sums) / (in_flight * counted)


def _hits(
    servers: tuple[tuple[str, int], ...], method: str | None, idle: int, in_flight: int, start: int = 0
) -> list[int]:
    """Return how many requests of each round find a connection, once the pool is filled.

    The requests before the first round, `start` of them, come one after the other.
    """
    most = min(_MOST_REQUESTS, _MOST_STEPS // len(servers))
    rounds = 2 * max(rounds_counted(in_flight), min(_MOST_ROUNDS, most // in_flight) // 2)
    peers = _peers([weight for _, weight in servers], method, in_flight, start)
    cache, hits = list[str](), []
    for _ in range(rounds):
        used, found = [servers[next(peers)][0] for _ in range(in_flight)], 0
        for address in used:
            if address in cache:
                cache.remove(address)
                found += 1
        cache = [*reversed(used), *cache][:idle]
        hits.append(found)
    return hits[rounds // 2 :]


def _peers(weights: Sequence[int], method: str | None, in_flight: int, start: int) -> Iterator[int]:
    """Yield the servers in the order in which a balancing method chooses them."""
    if method == "random":
        return _at_random(weights)
    current = [0] * len(weights)
    for _ in range(start):
        _next_in_turn(current, weights, range(len(weights)))
    if method == "least_conn":
        return _least_conn(current, weights, in_flight)
    return _round_robin(current, weights)


def _at_random(weights: Sequence[int]) -> Iterator[int]:
    """Yield servers by their weights, the same ones each time."""
    chance, servers = random.Random(0), range(len(weights))
    while True:
        yield from chance.choices(servers, weights, k=64)


def _round_robin(current: list[int], weights: Sequence[int]) -> Iterator[int]:
    """Yield the servers in the order of nginx's smooth weighted round robin."""
    if len(set(weights)) == 1 and not any(current):
        yield from cycle(range(len(weights)))
    while True:
        yield _next_in_turn(current, weights, range(len(weights)))


def _least_conn(current: list[int], weights: Sequence[int], in_flight: int) -> Iterator[int]:
    """Yield the servers with the fewest requests for their weight; each round begins with none."""
    while True:
        busy = [0] * len(weights)
        for _ in range(in_flight):
            loads = [Fraction(count, weight) for count, weight in zip(busy, weights, strict=True)]
            least = min(loads)
            equal = [index for index, load in enumerate(loads) if load == least]
            chosen = equal[0] if len(equal) == 1 else _next_in_turn(current, weights, equal)
            busy[chosen] += 1
            yield chosen


def _next_in_turn(current: list[int], weights: Sequence[int], among: Sequence[int]) -> int:
    """Return the next of some servers by smooth weighted round robin, and note its turn."""
    for index in among:
        current[index] += weights[index]
    chosen = max(among, key=current.__getitem__)
    current[chosen] -= sum(weights[index] for index in among)
    return chosen
