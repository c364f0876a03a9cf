"""Compute how many requests find an idle connection in a pool that is too small for its servers or clients.

Source: ngx_http_upstream_get_round_robin_peer() and the cache of ngx_http_upstream_keepalive_module.c, whose
least recently used connection is closed when it is full, at release-1.22.1 and release-1.29.7.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import cycle
from typing import Any

from nginx.tree import Directive
from nginx.upstreams import Pool, Upstream

_BY_KEY = frozenset({"hash", "ip_hash"})
"""Methods by which equal requests go to one server: how many do, only the requests show."""
_UNEVEN = _BY_KEY | {"random"}
"""Methods that do not look at where requests are already."""
FEW_REQUESTS = 9
"""Up to so many requests of a connection, more than a tenth of them opens one."""
_MOST_ROUNDS = 200
_MOST_REQUESTS = 4_000
_MOST_IN_FLIGHT = 1_000


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

    def to_json(self) -> dict[str, Any]:
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

    Too small is a pool with fewer connections than servers in use, or than requests in flight. A balancing
    method that spreads these unevenly may send all of them to any server: each then needs as many.

    Args:
        upstream: the block with its servers.
        pool: its pool.
        in_flight: requests in flight per worker at the peak; 0 where that is not given.
    """
    servers = upstream.servers_in_use
    number, needed = size_needed(upstream), size_needed(upstream, in_flight)
    method = upstream.balancer
    if pool.idle >= needed:
        return None
    weights = tuple(_weight(line) for line in servers) or (1,)
    alone = _reused(weights, method, pool.idle, 1)
    if in_flight <= 1:
        return ReuseShare(alone, 1.0 if method in _BY_KEY else alone, 1, needed, f"{number} servers")
    least = _reused(weights, method, pool.idle, in_flight)
    if pool.idle < number:
        return ReuseShare(min(alone, least), 1.0, in_flight, needed, f"{number} servers")
    cause = f"{in_flight} requests in flight per worker"
    if pool.idle >= in_flight:
        cause += f" that {method} spreads over {number} servers"
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
    """Return the size of a pool from which on nothing is closed for want of room."""
    number = max(1, len({_address(line) for line in upstream.servers_in_use}))
    if upstream.balancer in _UNEVEN and number > 1:
        return number * max(1, in_flight)
    return max(number, in_flight)


def _address(line: Directive) -> str:
    return line.args[0].lower() if line.args else ""


def _weight(line: Directive) -> int:
    given = next((arg.removeprefix("weight=") for arg in line.args if arg.startswith("weight=")), "1")
    return int(given) if given.isdecimal() and 0 < int(given) < 1000 else 1


@lru_cache(maxsize=4096)
def _reused(weights: tuple[int, ...], method: str | None, idle: int, in_flight: int) -> float:
    """Return the share where `in_flight` requests begin together, and the next ones when all have ended."""
    if in_flight > _MOST_IN_FLIGHT:  # as many of a smaller number
        return _reused(weights, method, idle * _MOST_IN_FLIGHT // in_flight, _MOST_IN_FLIGHT)
    rounds = min(_MOST_ROUNDS, max(4, _MOST_REQUESTS // in_flight))
    peers, cache = _peers(weights, method), list[int]()
    reused = 0
    for turn in range(rounds):
        used = [next(peers) for _ in range(in_flight)]
        for peer in used:
            if peer in cache:
                cache.remove(peer)
                reused += turn >= rounds // 2
        cache = [*reversed(used), *cache][:idle]
    return reused / (in_flight * (rounds - rounds // 2))


def _peers(weights: tuple[int, ...], method: str | None) -> Iterator[int]:
    """Yield the servers in the order in which a balancing method chooses them."""
    return _at_random(weights) if method == "random" else _round_robin(weights)


def _at_random(weights: tuple[int, ...]) -> Iterator[int]:
    """Yield servers by their weights, the same ones each time."""
    chance, servers = random.Random(0), range(len(weights))
    while True:
        yield from chance.choices(servers, weights, k=64)


def _round_robin(weights: tuple[int, ...]) -> Iterator[int]:
    """Yield the servers in the order of nginx's smooth weighted round robin."""
    if len(set(weights)) == 1:
        yield from cycle(range(len(weights)))
    current, total = [0] * len(weights), sum(weights)
    while True:
        current = [value + weight for value, weight in zip(current, weights, strict=True)]
        chosen = current.index(max(current))
        current[chosen] -= total
        yield chosen
