"""How load balancing over the servers of an upstream {} uses its pool: counts, and what to expect. Pure.

A verdict is about one server: whether its connection is kept. Whether the pool holds one for each of them is
another question, that of rule NK022.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict

from bench import units
from bench.prove.inventory import MAX_BACKEND_PORTS, MAX_UPSTREAM_SERVERS, Inventory, Location
from nginx.finding import PlaceJson
from nginx.pool_share import ReuseShare, ShareJson
from nginx.tree import Place
from nginx.upstreams import Upstream, is_balancer
from nginx.verdict import Verdict, compute_verdict
from nginx.versions import Version

REQUESTS_PER_SERVER = 4
"""At least, where all servers get as many."""
ExpectedReuse = Literal["one per server", "none kept"]
MeasuredVerdict = Literal["reused", "not reused", "partly reused"]
_ROUND_ROBIN = frozenset({"least_conn"})  # with one request at a time, it does what no method at all does


class ServerCountsJson(PlaceJson):
    """What one server counted, in the JSON of a proof."""

    server: str
    requests: int
    connections: int


@dataclass(frozen=True, slots=True)
class ServerCounts:
    """What one server counted."""

    server: str
    place: Place
    requests: int
    connections: int

    def to_json(self) -> ServerCountsJson:
        """Return the counts as plain values."""
        return {
            "server": self.server,
            "file": self.place.file,
            "line": self.place.line,
            "requests": self.requests,
            "connections": self.connections,
        }


class BalancingJson(TypedDict):
    """What the servers of one location counted, in the JSON of a proof."""

    requests: int
    connections: int
    pool: int | None
    expected: ExpectedReuse | None
    expected_share: ShareJson | None
    servers: list[ServerCountsJson]


@dataclass(frozen=True, slots=True)
class Balancing:
    """What the servers of one location counted, in the order of the text."""

    servers: Sequence[ServerCounts]
    expected: ExpectedReuse | None
    """Whether each server's connection is kept, or none is; None where that depends on the server chosen."""
    pool: int | None
    """How many idle connections the pool holds; None where there is none."""
    limit: int | None
    """How many requests a connection serves; None for no limit."""
    share: ReuseShare | None = None
    """The part of the requests that is expected to reuse, where the pool is too small for all servers."""

    @property
    def requests(self) -> int:
        """All requests."""
        return sum(server.requests for server in self.servers)

    @property
    def connections(self) -> int:
        """All connections."""
        return sum(server.connections for server in self.servers)

    @property
    def verdict(self) -> MeasuredVerdict:
        """The verdict that the counts of all servers give."""
        return verdict_of(self.connections, self.requests)

    @property
    def is_pool_too_small(self) -> bool:
        """Whether the pool cannot hold a connection for each server that is used."""
        return self.pool is not None and self.pool < sum(server.requests > 0 for server in self.servers)

    @property
    def disagreement(self) -> str | None:
        """How the counts differ from what was expected, if they do."""
        if self.expected == "none kept" and self.connections < self.requests:
            return f"no connection is expected to stay open, {self.requests - self.connections} did"
        most = sum(-(-server.requests // (self.limit or server.requests or 1)) for server in self.servers)
        if self.expected == "one per server" and self.connections > most:
            return f"{most} connections are expected for all servers, {self.connections} were opened"
        if self.share is not None and not self._fewest() <= self.connections <= self._most():
            were = "was" if self.connections == 1 else "were"
            opened = f"{units.plural(self.connections, 'connection')} {were} opened"
            return f"reuse is expected for {self.share}, {opened}"
        return None

    def _fewest(self) -> int:
        return math.floor((1 - self.share.most) * self.requests) if self.share else 0

    def _most(self) -> int:
        """Return how many connections may be opened: those that miss, and one for each server at first."""
        missing = math.ceil((1 - self.share.least) * self.requests) if self.share else self.requests
        return min(self.requests, missing + len(self.servers))

    def to_json(self) -> BalancingJson:
        """Return the counts as plain values."""
        return {
            "requests": self.requests,
            "connections": self.connections,
            "pool": self.pool,
            "expected": self.expected,
            "expected_share": None if self.share is None else self.share.to_json(),
            "servers": [server.to_json() for server in self.servers],
        }


def verdict_of(connections: int, requests: int) -> MeasuredVerdict:
    """Return the verdict that the counts of a series of requests give."""
    if connections >= requests:
        return "not reused"
    return "reused" if 2 * connections <= requests else "partly reused"


def separate_servers(inventory: Inventory) -> dict[int, int]:
    """Return how many servers of each location (by number) get a backend each, as far as ports suffice."""
    left = MAX_BACKEND_PORTS - sum(len(location.peers) for location in inventory.locations)
    found: dict[int, int] = {}
    for location in inventory.locations:
        count = len(location.upstream_servers)
        needed = (count - 1) * len(location.peers)
        if location.obstacle is None and 1 < count <= MAX_UPSTREAM_SERVERS and needed <= left:
            found[location.number] = count
            left -= needed
    return found


def request_count(location: Location, at_least: int) -> int:
    """Return how many requests show how a location's servers are balanced."""
    return max(at_least, REQUESTS_PER_SERVER * len(location.upstream_servers))


def summarize_balancing(location: Location, version: Version, counts: Sequence[tuple[int, int]]) -> Balancing:
    """Return what the servers of a location counted, given requests and connections of each."""
    servers = [
        ServerCounts(" ".join(line.args), line.place, *each)
        for line, each in zip(location.upstream_servers, counts, strict=True)
    ]
    verdict = compute_verdict(location.pass_location, version)
    pool = verdict.pool
    idle, limit = (None, None) if pool is None else (pool.idle, pool.requests)
    assert location.upstream is not None
    share = verdict.share if is_round_robin(location.upstream) else None
    return Balancing(servers, _expected(verdict, share), idle, limit, share)


def _expected(verdict: Verdict, share: ReuseShare | None) -> ExpectedReuse | None:
    if verdict.answer == "not reused" or (share is not None and share.most == 0):
        return "none kept"
    if verdict.pool is None:
        return None
    # Where connections serve few requests, the limit bounds the connections of each server.
    is_kept = verdict.answer == "reused" or (share is not None and share.needed <= verdict.pool.idle)
    return "one per server" if is_kept else None


def is_round_robin(upstream: Upstream) -> bool:
    """Return whether servers get requests in a fixed order."""
    return {line.name for line in upstream.directive.block or () if is_balancer(line)} <= _ROUND_ROBIN
