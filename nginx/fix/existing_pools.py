"""Repair the pool of an upstream {} that is there: declare it, move it, enlarge it, or leave it alone."""

import re
from collections.abc import Iterator, Sequence

from nginx import versions
from nginx.fix.edits import EditList, Unfixable
from nginx.fix.pool_size import PoolSizer
from nginx.model import Model
from nginx.pool_share import FEW_REQUESTS, pool_share
from nginx.process_servers import PooledServers
from nginx.rules import RuleContext
from nginx.targets import PROTOCOLS
from nginx.tree import Directive
from nginx.upstreams import Upstream, is_balancer, is_brief

# Limits that let no second request onto a connection, or only a few, and nginx's defaults for them.
_LIMITS = {"keepalive_requests": "1000", "keepalive_timeout": "60s", "keepalive_time": "1h"}
_HEALTH_CHECK = re.compile(r"check(?:_\w+)?")
_BESIDE_A_POOL = frozenset({"include", "server", "zone", "state", "queue", "resolver", "resolver_timeout"})
_BESIDE_A_POOL |= {"keepalive", "keepalive_requests", "keepalive_time", "keepalive_timeout"}
"""What leaves connections alone, besides balancing methods: lines of nginx, and health checks."""
_REUSED = frozenset({"reused", "partly reused"})


class ExistingPools:
    """Repairs pools where their upstream {} stands."""

    def __init__(
        self, model: Model, edits: EditList, contexts: Sequence[RuleContext], sizer: PoolSizer
    ) -> None:
        self._model = model
        self._edits = edits
        self._contexts = contexts
        self._sizer = sizer

    def repair(self, upstream: Upstream, protocol: str) -> None:
        """Give an upstream {} a pool that holds what it has to, and no more than its servers accept.

        Raises:
            Unfixable: it has none for a reason, or what it may hold is not known.
        """
        self._reject_owned(upstream)
        # Who bears a pool least decides for all that share it.
        protocols = {protocol, *(each.protocol for each in self._model.users(upstream))}
        strictest = next((each for each in ("fastcgi", "http") if each in protocols), protocol)
        line, servers = upstream.keepalive, PooledServers.of(upstream, strictest)
        pools = [pool for ctx in self._contexts if (pool := upstream.pool(ctx.version)) is not None]
        in_flight = self._contexts[0].per_worker
        fits = len(pools) == len(self._contexts) and not any(
            pool_share(upstream, pool, in_flight) for pool in pools
        )
        is_limited = any(map(_is_low, upstream.directive.block or ()))
        if fits and not is_limited and self._is_used(upstream):
            # The size is right, but one location more now meets the end of the servers' idle time.
            self._limit(upstream, servers)
            return
        if line is not None and line.number == 0:
            raise Unfixable(f"`{line}` ({line.place}) switches its pool off: remove it if that is not meant")
        present = 0 if line is None else line.number or 0
        if not fits or self._sizer.is_bounded(servers, present):
            size = self._sizer.size(servers, present)
            if line is not None:
                self._resize(upstream, line, size)
            elif not fits or size < min(pool.idle for pool in pools):
                self._edits.append(upstream.directive, f"keepalive {size}{self._local(upstream)};")
        self._limit(upstream, servers)

    def outlasts(self, upstream: Upstream) -> bool:
        """Return whether connections of a pool may still be there when their servers end them."""
        settings = self._contexts[0].settings
        limit = settings.idle_limit_of(upstream.name, upstream.addresses)
        if self._is_accepted(upstream, "NK021"):
            limit = None
        server = settings.request_limit_of(upstream.name, upstream.addresses)
        if server is None or server.says_last or self._is_accepted(upstream, "NK059"):
            served = None
        else:
            served = server.requests
        pools = [pool for ctx in self._contexts if (pool := upstream.pool(ctx.version)) is not None]
        return any(
            (limit is not None and not limit.allows(pool.idle_timeout_s))
            or (served is not None and (pool.requests is None or pool.requests > served))
            for pool in pools
        )

    def _is_accepted(self, upstream: Upstream, rule: str) -> bool:
        """Return whether somebody accepts what a rule finds about the limits of a pool."""
        lines = (upstream.directive.child(name) for name in _LIMITS)
        places = [upstream.keepalive_place(), *(line.place for line in lines if line is not None)]
        model, settings = self._model, self._contexts[0].settings
        return any(
            rule in model.configuration.ignored.get((place.file, place.line), {})
            or settings.is_ignored(rule, place.file)
            for place in places
        )

    def limit(self, upstream: Upstream, protocol: str) -> None:
        """Have nginx end the connections of a pool before their servers do, and change nothing else.

        Raises:
            Unfixable: the servers leave no time for reuse, or a version cannot do it.
        """
        self._reject_owned(upstream)
        oldest = min(ctx.version for ctx in self._contexts)
        if oldest < versions.POOL_LIMITS:
            raise Unfixable(
                f'the servers of upstream "{upstream.name}" end connections that nginx keeps, and nginx '
                f"{oldest} has no keepalive_timeout for an upstream {{}}: it came with {versions.POOL_LIMITS}"
            )
        self._limit(upstream, PooledServers.of(upstream, protocol))

    def _reject_owned(self, upstream: Upstream) -> None:
        """Reject an upstream {} in which something else takes care of connections."""
        for line in upstream.directive.block or ():
            if line.name.startswith("balancer_by_lua"):
                raise Unfixable(f"the Lua at {line.place} may keep connections itself")
            is_known = line.name in _BESIDE_A_POOL or _HEALTH_CHECK.fullmatch(line.name)
            if not is_known and not is_balancer(line):
                raise Unfixable(f"what {line.name} ({line.place}) does to connections is not known")
        for other in self._other_passes(upstream):
            raise Unfixable(f"{other.name} ({other.place}) passes to it too: a pool may be wrong for it")

    def _other_passes(self, upstream: Upstream) -> Iterator[Directive]:
        """Yield the pass directives of other modules that name an upstream {}."""
        for level in self._model.levels:
            for line in level.block:
                is_ours = line.name in PROTOCOLS or not line.name.endswith("_pass") or not line.args
                if not is_ours and line.args[0].rpartition("/")[2].lower() == upstream.name.lower():
                    yield line

    def _is_used(self, upstream: Upstream) -> bool:
        """Return whether connections are in the pool already, under all versions."""
        users = self._model.users(upstream)
        return all(any(ctx.verdict(each).answer in _REUSED for each in users) for ctx in self._contexts)

    def _local(self, upstream: Upstream) -> str:
        """Return the parameter that keeps locations apart, where the pool by default does so."""
        is_new = any(ctx.version < versions.POOL_BY_DEFAULT for ctx in self._contexts)
        return " local" if not is_new and len(self._model.users(upstream)) > 1 else ""

    def _resize(self, upstream: Upstream, line: Directive, size: int) -> None:
        """Write another size, and the line behind the balancing method that would take its place."""
        balancer = upstream.balancer_after_keepalive()
        if balancer is not None:
            self._edits.remove(line)
            self._edits.insert_after(balancer, " ".join(("keepalive", str(size), *line.args[1:])) + ";")
        elif size != line.number:
            self._edits.replace_argument(line, 0, str(size))

    def _limit(self, upstream: Upstream, servers: PooledServers) -> None:
        """Let a connection serve many requests, and end before its server ends it.

        Raises:
            Unfixable: the servers leave no time for reuse.
        """
        limits = self._sizer.limits(servers)
        values = limits.values
        for name, default in _LIMITS.items():
            line = upstream.directive.child(name)
            if line is None and name in values:
                self._edits.append(upstream.directive, f"{name} {values[name]};")
            elif line is not None and (_is_low(line) or not limits.are_kept_by(line)):
                self._edits.replace_argument(line, 0, values.get(name, default))


def _is_low(line: Directive) -> bool:
    """Return whether a limit lets no second request onto a connection, or only a few."""
    if line.name == "keepalive_requests":
        return line.number is not None and line.number <= FEW_REQUESTS
    return line.name in _LIMITS and is_brief(line)
