"""What a probe measured of a server, and which servers of a configuration that is about.

What is measured counts more than what is assumed of a kind of server.
"""

from collections.abc import Iterable
from dataclasses import dataclass

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_DEFAULT_PORT = 80
"""Of a `server` line without one: ngx_http_upstream_server()."""


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of an address as a `server` line has it; a name of this host is "localhost".

    A socket file stands for itself, with port 0.
    """
    if address.startswith("unix:"):
        return address, 0
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or (":" in host and not host.endswith("]")):
        host, port = address, str(_DEFAULT_PORT)
    host = host.strip("[]").lower()
    return "localhost" if host in _LOOPBACK else host, int(port)


@dataclass(frozen=True, slots=True)
class MeasuredServer:
    """What one probe found out about one server."""

    address: str
    """HOST:PORT that was probed."""
    upstream: str = ""
    """The upstream {} or the `server` that it stands for; empty: each server with that address."""
    idle_s: float | None = None
    """The shortest idle time after which it closed a connection; None where that did not show."""
    kept_s: float | None = None
    """It closed none within so many idle seconds; None where it did, or where that did not show."""
    spread_s: float = 0.0
    """By how much the idle times of its connections differed."""
    idle: str = ""
    """The idle time as it is shown: `4.98..5.02 s`."""
    requests: int | None = None
    """After how many requests it closed a connection; None: it did not."""
    says_last: bool = False
    """The last response before that says `Connection: close`, which nginx obeys."""
    closes: bool = False
    """It closed after each response."""

    @property
    def by(self) -> str:
        """Where the values come from."""
        return f"measured by a probe of {self.address}"

    def is_among(self, name: str, addresses: Iterable[str]) -> bool:
        """Return whether it stands for an upstream {} of that name with those servers, or for one of them."""
        if self.upstream and self.upstream.lower() == name.lower():
            return True
        wanted = split_address(self.upstream or self.address)
        return any(split_address(each) == wanted for each in addresses)
