"""How the workers of a proxy share its client connections, and with them its requests. Pure.

All workers wait at one listening socket, and the kernel wakes the one that has waited there longest. nginx
since 1.21.6 steps back in that queue with its first connection, and then with each 16th
(`ngx_reorder_accept_events`): few connections are shared unevenly, many evenly. Before, from 1.11.3 on, the
first worker takes all that it can; with `reuseport` the kernel draws a worker for each connection.
"""

import math
from collections.abc import Iterator
from typing import Literal, NamedTuple

Accepting = Literal["turns", "random", "first"]
ACCEPTING: tuple[Accepting, ...] = ("turns", "random", "first")

_TURN = 16
"""Connections that nginx accepts before it steps back."""
_PARTS = 6
"""Into which a distribution is cut: more change the reuse by less than a thousandth."""
_RARE = 1e-6


class WorkerShare(NamedTuple):
    """Workers of one proxy that have the same share of its requests."""

    workers: float
    """How many they are, on average."""
    share: float
    """Of each of them."""


def parts(clients: float | None, workers: int, accepting: Accepting = "turns") -> tuple[WorkerShare, ...]:
    """Return how the workers share the connections of one proxy; those without any are left out.

    `clients` None: so many connections that each worker has its part, unless the first has all. A connection
    carries as many requests as each other does.
    """
    if accepting == "first":
        return (WorkerShare(1, 1.0),)
    if clients is None or workers == 1:
        return (WorkerShare(workers, 1 / workers),)
    whole = max(1, round(clients))
    if accepting == "random":
        return tuple(_drawn(whole, workers))
    counts = in_turns(whole, workers)
    return tuple(WorkerShare(counts.count(each), each / whole) for each in sorted(set(counts)) if each)


def in_turns(clients: int, workers: int) -> list[int]:
    """Return the connections of each worker where the first round gives one to each, and each further 16."""
    if clients <= workers:
        return [int(place < clients) for place in range(workers)]
    rounds, rest = divmod(clients - workers, _TURN * workers)
    return [1 + _TURN * rounds + min(_TURN, max(0, rest - _TURN * place)) for place in range(workers)]


def _drawn(clients: int, workers: int) -> Iterator[WorkerShare]:
    """Yield the binomial distribution of the connections of one worker, in a few parts."""
    likely = [
        (count, chance)
        for count in range(1, clients + 1)
        if (chance := _chance(count, clients, workers)) > _RARE
    ]
    width = math.ceil(len(likely) / _PARTS)
    total = sum(count * chance for count, chance in likely)
    for first in range(0, len(likely), width):
        group = likely[first : first + width]
        weight = sum(chance for _, chance in group)
        share = sum(count * chance for count, chance in group) / weight / clients
        yield WorkerShare(weight * clients / total, share)


def _chance(count: int, clients: int, workers: int) -> float:
    """Return how likely a worker gets `count` of the connections (binomial distribution)."""
    ways = math.lgamma(clients + 1) - math.lgamma(count + 1) - math.lgamma(clients - count + 1)
    return math.exp(ways - count * math.log(workers) + (clients - count) * math.log1p(-1 / workers))
