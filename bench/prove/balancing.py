"""How load balancing over the servers of an upstream {} uses its pool: counts, and what to expect. Pure.

A verdict is about one server: whether its connection is kept. Whether the pool holds one for each of them is
another question, that of rule NK022.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from bench.prove.inventory import MAX_BACKEND_PORTS, MAX_UPSTREAM_SERVERS, Inventory, Location
from nginx.tree import Directive, Place
from nginx.upstreams import Upstream, is_balancer
from nginx.verdict import compute_verdict
from nginx.versions import Version

REQUESTS_PER_SERVER = 4
"""At least, where all servers get as many."""
ExpectedReuse = Literal["one per server", "none kept"]
MeasuredVerdict = Literal["reused", "not reused", "partly reused"]
_ROUND_ROBIN = frozenset({"least_conn"})  # with one request at a time, it does what no method at all does


@dataclass(frozen=True, slots=True)
class ServerCounts:
    """What one server counted."""

    server: str
    place: Place
    requests: int
    connections: int

    def to_json(self) -> dict[str, Any]:
        """Return the counts as plain values."""
        values = asdict(self)
        return {"server": values.pop("server"), **values.pop("place"), **values}


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
        return None

    def to_json(self) -> dict[str, Any]:
        """Return the counts as plain values."""
        return {
            "requests": self.requests,
            "connections": self.connections,
            "pool": self.pool,
            "expected": self.expected,
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
    pool = compute_verdict(location.pass_location, version).pool
    idle, limit = (None, None) if pool is None else (pool.idle, pool.requests)
    return Balancing(servers, _expected(location, version), idle, limit)


def _expected(location: Location, version: Version) -> ExpectedReuse | None:
    verdict, upstream = compute_verdict(location.pass_location, version), location.upstream
    assert upstream is not None
    if verdict.answer == "not reused":
        return "none kept"
    if verdict.answer == "depends" or verdict.pool is None:
        return None
    used = _used(upstream)
    if verdict.pool.idle >= len(used):
        return "one per server"
    # A list that drops the least recently used entry keeps nothing of a cycle that is longer than it.
    return "none kept" if _is_round_robin(upstream, used) else None


def _used(upstream: Upstream) -> list[Directive]:
    """Return the servers that get requests while all are up."""
    up = [line for line in upstream.servers if "down" not in line.args]
    return [line for line in up if "backup" not in line.args] or up


def _is_round_robin(upstream: Upstream, servers: Sequence[Directive]) -> bool:
    """Return whether servers get one request each, in a fixed order."""
    methods = {line.name for line in upstream.directive.block or () if is_balancer(line)}
    weights = {arg for line in servers for arg in line.args if arg.startswith("weight=")}
    return methods <= _ROUND_ROBIN and weights <= {"weight=1"}
