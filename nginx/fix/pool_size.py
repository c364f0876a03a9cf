"""Size the pools that a repair adds or enlarges: by the load, and below what the servers accept.

A server that serves one connection per process or thread has one fewer for each idle connection that a
worker keeps. With as many of them as it has processes, all other requests wait until one times out. Such a
server gets a pool only where its capacity is given.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from nginx import versions
from nginx.fix.edits import CapacityUnknown, Unfixable
from nginx.idle_times import format_time
from nginx.pool_share import FEW_REQUESTS, size_for
from nginx.process_servers import PooledServers
from nginx.rules import RuleContext
from nginx.tree import Directive
from nginx.upstreams import BRIEF_S

USUAL_SIZE = 32
# What holds without keepalive_timeout and keepalive_requests in an upstream {}; the old one before 1.19.10.
_DEFAULT_IDLE_S = 60
_DEFAULT_REQUESTS, _OLD_DEFAULT_REQUESTS = 1000, 100


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """What ends a pooled connection before its server does; None where nginx's default is right."""

    idle_s: float | None = None
    requests: int | None = None

    @property
    def values(self) -> dict[str, str]:
        """The argument of each directive that is needed."""
        found = {} if self.requests is None else {"keepalive_requests": str(self.requests)}
        return found if self.idle_s is None else found | {"keepalive_timeout": format_time(self.idle_s)}

    def are_kept_by(self, line: Directive) -> bool:
        """Return whether a line is about something else, or limits it as much or more."""
        match line.name:
            case "keepalive_timeout":
                return self.idle_s is None or 0 < (line.seconds or 0) <= self.idle_s
            case "keepalive_requests":
                return self.requests is None or (line.number is not None and line.number <= self.requests)
        return True


@dataclass(frozen=True, slots=True)
class PoolSizer:
    """Chooses sizes; `most` bounds those that are not asked for by the load."""

    contexts: Sequence[RuleContext]
    most: int = USUAL_SIZE

    def needed(self, servers: PooledServers) -> int:
        """Return the smallest size with which all requests find a connection."""
        return size_for(max(1, len(set(servers.in_use))), servers.balancer, self.contexts[0].per_worker)

    def is_bounded(self, servers: PooledServers, present: int) -> bool:
        """Return whether idle connections may take something away from requests.

        Who wrote a pool of that size for servers of HTTP has decided that they can bear it; a FastCGI
        application sees none of it while fastcgi_keep_conn is off.
        """
        if self._capacity(servers) is not None:
            return True
        is_decided = servers.protocol != "fastcgi" and present >= self.needed(servers)
        return servers.one_process_each is not None and not is_decided

    def size(self, servers: PooledServers, present: int = 0) -> int:
        """Return how many idle connections each worker may keep to some servers.

        Args:
            servers: the servers of the pool.
            present: the size that the pool has, 0 where it has none.

        Raises:
            Unfixable: none, or not known.
        """
        ctx = self.contexts[0]
        wanted, different = present, len(set(servers.addresses))
        if present < self.needed(servers):
            wanted = max(present or self.most, 2 * different, self.needed(servers))
        capacity = self._capacity(servers)
        if capacity is None:
            if self.is_bounded(servers, present):
                raise CapacityUnknown(
                    f"{servers.one_process_each}: idle connections of a pool can hold all of them while "
                    "requests wait; give how many it has with --backend-max-connections"
                )
            return wanted
        if ctx.workers is None:
            raise Unfixable("each worker has a pool of its own: give the number of workers with --workers")
        allowed = max(1, capacity // (2 * ctx.workers))
        if allowed * ctx.workers >= capacity:
            raise Unfixable(
                f"the servers accept {capacity} connections, and {ctx.workers} workers would hold them all "
                "with one idle connection each"
            )
        if allowed < different:
            raise Unfixable(
                f"{different} servers need {different} idle connections in each of {ctx.workers} workers; if "
                f"all are to one server, that is more than half of the {capacity} that it accepts"
            )
        return min(wanted, allowed)

    def lines(self, servers: PooledServers) -> list[str]:
        """Return the lines of a new pool; the others let nginx close a connection before its server does.

        Raises:
            Unfixable: there can be none.
        """
        limits = self.limits(servers).values
        return [f"keepalive {self.size(servers)};", *(f"{name} {value};" for name, value in limits.items())]

    def limits(self, servers: PooledServers) -> PoolLimits:
        """Return how long connections to some servers may idle, and how many requests they may serve.

        Raises:
            Unfixable: they leave no time for reuse.
        """
        settings, oldest = self.contexts[0].settings, min(ctx.version for ctx in self.contexts)
        limit = settings.idle_limit_of(servers.name, servers.addresses)
        if limit is not None and limit.safe_s < BRIEF_S:
            raise Unfixable(f"the servers close idle connections after {limit}: too soon to reuse them")
        if oldest < versions.POOL_LIMITS:
            return PoolLimits()
        server = settings.request_limit_of(servers.name, servers.addresses)
        requests = None if server is None else server.requests
        default = _DEFAULT_REQUESTS if oldest >= versions.POOL_TIME else _OLD_DEFAULT_REQUESTS
        return PoolLimits(
            idle_s=None if limit is None or limit.safe_s >= _DEFAULT_IDLE_S else limit.safe_s,
            # So few would be a pool that hardly reuses anything, whoever closes.
            requests=requests if requests is not None and FEW_REQUESTS < requests < default else None,
        )

    def _capacity(self, servers: PooledServers) -> int | None:
        return self.contexts[0].settings.max_connections_of(servers.name)
