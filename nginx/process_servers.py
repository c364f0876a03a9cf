"""Recognise servers that serve one connection per process or thread, whose idle connections cost one each."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from nginx.upstreams import Upstream

_NAMED_AFTER = re.compile(
    r"(?<![a-z])(php\d*|fpm|f?cgi|fastcgi|u?wsgi|g?unicorn|puma|starman|starlet|apache2?|httpd|prefork|"
    r"passenger|webrick)(?![a-z])",
    re.IGNORECASE,
)
"""Servers that are run with a process or a thread per connection, as names of upstreams and hosts."""


@dataclass(frozen=True, slots=True)
class PooledServers:
    """The servers behind one pool."""

    name: str
    """The name of the upstream {}."""
    protocol: str
    addresses: Sequence[str]
    """As their `server` lines have them."""
    in_use: Sequence[str]
    """Those of them that requests go to while all work."""
    balancer: str | None = None
    """The balancing method; None for round robin."""

    @classmethod
    def of(cls, upstream: Upstream, protocol: str) -> "PooledServers":
        """Return the servers of an upstream {}, to which a location passes with a protocol."""
        in_use = [line.args[0] for line in upstream.servers_in_use if line.args]
        return cls(upstream.name, protocol, upstream.addresses, in_use, upstream.balancer)

    @classmethod
    def alone(cls, name: str, protocol: str, address: str) -> "PooledServers":
        """Return one server for an upstream {} that is not there yet."""
        return cls(name, protocol, [address], [address])

    @property
    def one_process_each(self) -> str | None:
        """Why each connection probably occupies a process of a server; None if nothing says so."""
        if self.protocol == "fastcgi":
            return "an open FastCGI connection occupies a process of the application (PHP-FPM, spawn-fcgi)"
        if self.protocol != "http":
            return None
        unix = next((each for each in self.addresses if each.startswith("unix:")), None)
        if unix is not None:
            return f"{unix} may have one process per connection, and a Unix socket has no port to save"
        named = next(filter(None, map(_NAMED_AFTER.search, (self.name, *self.addresses))), None)
        if named is not None:
            return f"{named[0]} often has one process or thread per connection"
        return None
