"""What the servers of an upstream {} do with its pool when they take their turns: counts, and what to expect.

A verdict is about one server: whether its connection is kept. Whether the pool holds one for each of them is
another question, NK022's. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bench.prove.inventory import MOST_ADDRESSES, MOST_SERVERS, Scene, Spot
from nginx.tree import Directive, Place
from nginx.upstreams import Upstream, is_balancer
from nginx.versions import Version

ROUNDS = 4
"""How many requests each server gets at least, where all of them get as many."""
Expected = Literal["one each", "none kept"]
_TAKES_TURNS = frozenset({"least_conn"})  # one request at a time, it does what no method at all does


@dataclass(frozen=True, slots=True)
class Share:
    """What one server got."""

    server: str
    place: Place
    requests: int
    connections: int


@dataclass(frozen=True, slots=True)
class Turns:
    """What the servers got, in the order of the text.

    Attributes:
        expected: that each server's connection stays ("one each"), or that none does ("none kept"); None
            where it hangs on which server a request goes to.
        pool: how many idle connections the pool holds; None where there is none.
        limit: how many requests a connection serves; None for no limit.
    """

    shares: Sequence[Share]
    expected: Expected | None
    pool: int | None
    limit: int | None

    @property
    def requests(self) -> int:
        """All requests."""
        return sum(share.requests for share in self.shares)

    @property
    def connections(self) -> int:
        """All connections."""
        return sum(share.connections for share in self.shares)

    @property
    def is_crowded(self) -> bool:
        """Whether the pool holds no connection for each server that is asked."""
        return self.pool is not None and self.pool < sum(share.requests > 0 for share in self.shares)

    @property
    def disagreement(self) -> str | None:
        """What was expected and did not come true, if something did not."""
        if self.expected == "none kept" and self.connections < self.requests:
            return f"no connection is expected to stay, {self.requests - self.connections} did"
        most = sum(-(-share.requests // (self.limit or share.requests or 1)) for share in self.shares)
        if self.expected == "one each" and self.connections > most:
            return f"{most} connections are expected for the servers in turn, {self.connections} were opened"
        return None

    def to_json(self) -> dict[str, Any]:
        """Returns the counts as plain values."""
        servers = [
            {
                "server": share.server,
                "file": share.place.file,
                "line": share.place.line,
                "requests": share.requests,
                "connections": share.connections,
            }
            for share in self.shares
        ]
        return {
            "requests": self.requests,
            "connections": self.connections,
            "pool": self.pool,
            "expected": self.expected,
            "servers": servers,
        }


def apart(scene: Scene) -> dict[int, int]:
    """Returns how many servers are told apart of each location (by number), as far as ports last."""
    left = MOST_ADDRESSES - sum(len(spot.peers) for spot in scene.spots)
    found: dict[int, int] = {}
    for spot in scene.spots:
        count = len(spot.servers)
        needed = (count - 1) * len(spot.peers)
        if spot.obstacle is None and 1 < count <= MOST_SERVERS and needed <= left:
            found[spot.number] = count
            left -= needed
    return found


def requests(spot: Spot, at_least: int) -> int:
    """Returns how many requests show what the servers of a location do."""
    return max(at_least, ROUNDS * len(spot.servers))


def turns(spot: Spot, version: Version, counted: Sequence[tuple[int, int]]) -> Turns:
    """Returns what the servers of a location got, given requests and connections of each."""
    shares = [
        Share(" ".join(line.args), line.place, *counts)
        for line, counts in zip(spot.servers, counted, strict=True)
    ]
    pool = spot.location.verdict(version).pool
    idle, limit = (None, None) if pool is None else (pool.idle, pool.requests)
    return Turns(shares, _expected(spot, version), idle, limit)


def _expected(spot: Spot, version: Version) -> Expected | None:
    verdict, upstream = spot.location.verdict(version), spot.upstream
    assert upstream is not None
    if verdict.answer == "not reused":
        return "none kept"
    if verdict.answer == "depends" or verdict.pool is None:
        return None
    asked = _asked(upstream)
    if verdict.pool.idle >= len(asked):
        return "one each"
    # Of a cycle that is longer than it, a list that drops what was used longest ago keeps nothing.
    return "none kept" if _takes_turns(upstream, asked) else None


def _asked(upstream: Upstream) -> list[Directive]:
    """Returns the servers that get requests while all are well."""
    up = [line for line in upstream.servers if "down" not in line.args]
    return [line for line in up if "backup" not in line.args] or up


def _takes_turns(upstream: Upstream, servers: Sequence[Directive]) -> bool:
    """Tells whether servers get one request each, in a fixed order."""
    methods = {line.name for line in upstream.directive.block or () if is_balancer(line)}
    weights = {arg for line in servers for arg in line.args if arg.startswith("weight=")}
    return methods <= _TAKES_TURNS and weights <= {"weight=1"}
