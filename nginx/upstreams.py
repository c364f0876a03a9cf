"""upstream {} blocks, and the pool of idle connections that each of them keeps.

Source: src/http/modules/ngx_http_upstream_keepalive_module.c and ngx_http_upstream.c at release-1.22.1
and release-1.29.7.
"""

import itertools
from dataclasses import dataclass

from nginx import third_party, versions
from nginx.tree import Directive, Place, parse_time_s
from nginx.versions import Version

IMPLICIT_IDLE = 32
BRIEF_S = 0.1
"""A shorter time lets hardly any request follow on a connection."""
_TIMES = {"keepalive_timeout": versions.POOL_LIMITS, "keepalive_time": versions.POOL_TIME}
"""Lines of times after which connections are closed, and since when they are there."""
_BALANCERS = third_party.BALANCERS | {"least_conn", "ip_hash", "hash", "random", "least_time", "sticky"}


@dataclass(frozen=True, slots=True)
class Pool:
    """The idle connections that each worker keeps to the servers of one upstream {}."""

    upstream: str
    idle: int
    """How many at most (`keepalive N`)."""
    is_local: bool
    """Only for the location that opened them (since 1.29.7)."""
    directive: Directive | None
    """The `keepalive` line; None for the implicit pool since 1.29.7."""
    requests: int | None
    """How many requests a connection serves; None for no limit."""
    idle_timeout_s: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Upstream:
    """One upstream {} block."""

    directive: Directive
    changed_by: Directive | None = None
    """What changes upstreams at run time, if anything does."""

    @property
    def name(self) -> str:
        """The block's name; names are compared without case."""
        return self.directive.args[0] if self.directive.args else ""

    @property
    def keepalive(self) -> Directive | None:
        """The `keepalive` line, if there is one."""
        return self.directive.child("keepalive")

    @property
    def servers(self) -> list[Directive]:
        """The `server` lines."""
        return list(self.directive.children("server"))

    @property
    def addresses(self) -> list[str]:
        """The addresses of the `server` lines, as written."""
        return [line.args[0] for line in self.servers if line.args]

    @property
    def servers_in_use(self) -> list[Directive]:
        """The `server` lines that requests go to while all work: backups where the others are down."""
        up = [line for line in self.servers if "down" not in line.args]
        return [line for line in up if "backup" not in line.args] or up

    @property
    def left_out_s(self) -> float | None:
        """How long nginx sends nothing to a server after one failure (`fail_timeout`); the longest of all.

        None where no single failure does that: it has one server, or `max_fails` is another number than 1.
        """
        up = [line for line in self.servers if "down" not in line.args]
        once = [line for line in up if _parameter(line, "max_fails", "1").lstrip("0") == "1"]
        times = [parse_time_s(_parameter(line, "fail_timeout", "10s")) for line in once]
        return None if len(up) < 2 else max((each for each in times if each), default=None)

    @property
    def is_down(self) -> bool:
        """Whether all its servers are marked as down, and nothing else chooses one."""
        has_others = any(
            "_by_lua" in each.name or each.name == "include" for each in self.directive.block or ()
        )
        return bool(self.servers) and not self.servers_in_use and not has_others

    @property
    def deciding_lines(self) -> list[tuple[Directive, str]]:
        """Return the lines of other modules that decide about connections in an unknown way, and why."""
        found = list(third_party.deciding_lines(self.directive))
        if self.changed_by is not None:
            found.append((self.changed_by, "by which an upstream loses its pool when it is changed"))
        return found

    @property
    def is_resolving(self) -> bool:
        """Whether nginx goes on resolving a server's name (`resolve`, since 1.27.3)."""
        return any("resolve" in line.args for line in self.servers)

    @property
    def missing(self) -> Directive | None:
        """An include inside the block whose file is not here."""
        return self.directive.child("include")

    def brief_limit(self, version: Version) -> Directive | None:
        """Return a line that closes connections within a tenth of a second: few requests follow that soon."""
        for name, since in _TIMES.items():
            line = self.directive.child(name)
            if version >= since and line is not None and is_brief(line):
                return line
        return None

    def keepalive_place(self) -> Place:
        """Return where the `keepalive` line stands, or where the block begins."""
        return (self.keepalive or self.directive).place

    @property
    def balancer(self) -> str | None:
        """The name of the balancing method in force, the last one; None for round robin."""
        return next(
            (child.name for child in reversed(self.directive.block or ()) if is_balancer(child)), None
        )

    def balancer_after_keepalive(self) -> Directive | None:
        """Return the balancing method behind `keepalive`, which takes its place before 1.29.7."""
        children = list(self.directive.block or ())
        behind = list(itertools.takewhile(lambda child: child.name != "keepalive", reversed(children)))
        if len(behind) == len(children):
            return None
        return next(filter(is_balancer, behind), None)

    @property
    def size_to_fill_in(self) -> Directive | None:
        """The `keepalive` line whose number is not here but filled in, as by a template."""
        line = self.keepalive
        return line if line is not None and line.number is None and line.is_filled_in else None

    def pool(self, version: Version, filled_in: int = 0) -> Pool | None:
        """Return the pool that this block has under a version of nginx, or None if it keeps nothing.

        A pool whose limits allow no second request (one request, no idle time) keeps nothing either.

        Args:
            version: the version of nginx.
            filled_in: the size of the pool where that is filled in before nginx reads it.
        """
        if version < versions.POOL:
            return None
        line = self.keepalive
        idle, is_local = self._size(line, version)
        if self.size_to_fill_in is not None:
            idle = filled_in
        if idle == 0 or (version < versions.POOL_BY_DEFAULT and self.balancer_after_keepalive()):
            return None
        pool = Pool(self.name, idle, is_local, line, self._requests(version), self._idle_timeout_s(version))
        return None if pool.requests in {0, 1} or pool.idle_timeout_s == 0 else pool

    def _size(self, line: Directive | None, version: Version) -> tuple[int, bool]:
        by_default = version >= versions.POOL_BY_DEFAULT
        if line is not None and len(line.args) > 1 and not by_default:
            return 0, False  # refused: `local` came with the default pools
        if line is None:
            return (IMPLICIT_IDLE, True) if by_default else (0, False)
        return line.number or 0, by_default and "local" in line.args[1:]

    def _requests(self, version: Version) -> int | None:
        if version < versions.POOL_LIMITS:
            return None
        line = self.directive.child("keepalive_requests")
        if line is not None and line.number is not None:
            return line.number
        return 1000 if version >= versions.POOL_TIME else 100

    def _idle_timeout_s(self, version: Version) -> float | None:
        if version < versions.POOL_LIMITS:
            return None
        line = self.directive.child("keepalive_timeout")
        return 60.0 if line is None or line.seconds is None else line.seconds


def _parameter(server: Directive, name: str, default: str) -> str:
    """Return the value of a parameter of a `server` line; the last one counts."""
    given = [arg.removeprefix(f"{name}=") for arg in server.args[1:] if arg.startswith(f"{name}=")]
    return given[-1] if given else default


def is_brief(line: Directive) -> bool:
    """Return whether a time is so short that few connections are reused within it."""
    return line.seconds is not None and line.seconds < BRIEF_S


def is_balancer(directive: Directive) -> bool:
    """Return whether a directive of an upstream {} sets the load-balancing method."""
    return directive.name in _BALANCERS or directive.name.startswith("balancer_by_lua")
