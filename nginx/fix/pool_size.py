"""Size the pools that a repair adds or enlarges: by the load, and below what the servers accept.

A server that serves one connection per process or thread has one fewer for each idle connection that a
worker keeps. With as many of them as it has processes, all other requests wait until one times out. Such a
server gets a pool only where its capacity is given.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from nginx import versions
from nginx.fix.edits import CapacityUnknown, Unfixable
from nginx.pool_share import size_for
from nginx.process_servers import PooledServers
from nginx.rules import RuleContext

USUAL_SIZE = 32


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
        """Return the lines of a new pool; the second closes an idle connection before its server does.

        Raises:
            Unfixable: there can be none.
        """
        timeout_s = self.timeout_s(servers.name)
        limit = [] if timeout_s is None else [f"keepalive_timeout {timeout_s}s;"]
        return [f"keepalive {self.size(servers)};", *limit]

    def timeout_s(self, name: str) -> int | None:
        """Return how long connections to the servers of an upstream {} may idle; None for nginx's default."""
        idle_s = self.contexts[0].settings.idle_s_of(name)
        oldest = min(ctx.version for ctx in self.contexts)
        if idle_s is None or idle_s > 60 or oldest < versions.POOL_LIMITS:
            return None
        return max(1, int(idle_s) - 1)

    def _capacity(self, servers: PooledServers) -> int | None:
        return self.contexts[0].settings.max_connections_of(servers.name)
