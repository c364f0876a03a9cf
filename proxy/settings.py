"""The settings of the proxy: addresses, mode, limits. Values only."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Literal

Address = tuple[str, int]
"""Host and port; of a Unix socket its absolute path, and 0."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on what a peer may send, and on how long it may take."""

    head_bytes: int = 32 * 1024
    """The longest head, request or response. nginx takes 4 buffers of 8 KiB, Envoy 60 KiB."""
    body_bytes: int = 1 << 30
    """The longest request body; it is streamed, never stored."""
    collected_bytes: int = 16 * 1024
    """A body of up to this length takes an upstream connection only once it is complete; nginx stores as much
    in memory (`client_body_buffer_size`).
    """
    spool_bytes: int = 64 << 20
    """The longest chunked request body that is stored until complete, for an HTTP/1.0 upstream alone."""
    head_timeout_s: float = 15.0
    """From the first byte of a request head to its last."""
    idle_timeout_s: float = 75.0
    """How long a client connection may wait for its next request, as in nginx."""
    body_timeout_s: float = 60.0
    """The longest pause within a request body, or of a client that does not read its response."""
    min_body_rate: int = 500
    """Bytes a second that a request body must have on average, beyond one `body_timeout_s`; 0: any. Apache
    asks for as many (mod_reqtimeout)."""
    connect_timeout_s: float = 5.0
    """Until an upstream has accepted a connection."""
    read_timeout_s: float = 60.0
    """The longest pause of an upstream that owes a response, as in nginx."""
    half_closed_timeout_s: float = 10.0
    """The same once the client has closed its side: it waits, or is gone, as nginx always assumes."""
    max_fails: int = 1
    """Failures to connect that eject an upstream address for a while, as in nginx; 0: never."""
    fail_timeout_s: float = 10.0
    """The time within which failures count, and for which an address is ejected, as in nginx."""
    tunnel_timeout_s: float = 3600.0
    """The longest pause in a tunnel."""
    queue_timeout_s: float = 10.0
    """How long an exchange may wait for an upstream connection, its connect included."""
    queue_length: int = 1024
    """The most exchanges that may wait while `pool_max` connections are open."""
    clients: int = 10_000
    """The most client connections of one worker."""

    @property
    def shortest_s(self) -> float:
        """Return the shortest of the timeouts that the sweep checks."""
        shortest: float = min(
            getattr(self, each.name) for each in fields(self) if each.name.endswith("_timeout_s")
        )
        return shortest


@dataclass(frozen=True, slots=True)
class ServerTls:
    """TLS with clients: files in PEM."""

    certificate: str
    """The certificate, and those between it and the authority."""
    key: str


@dataclass(frozen=True, slots=True)
class UpstreamTls:
    """TLS with upstreams."""

    verify: bool = True
    authority: str | None = None
    """File with the certificates that are trusted, in PEM; None: the system's."""
    name: str | None = None
    """The name that their certificates must be for; None: the address."""
    sessions: bool = True
    """Whether a new connection resumes the session of an earlier one."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one proxy."""

    listen: Address
    upstreams: Sequence[Address]
    mode: Literal["short", "keepalive"] = "keepalive"
    closes_first: Literal["proxy", "backend"] = "proxy"
    upstream_http: Literal["1.0", "1.1"] = "1.1"
    pool_idle: int = 128
    """Idle upstream connections that one worker keeps (nginx's `keepalive N`)."""
    pool_max: int = 4096
    """Upstream connections that one worker opens at most."""
    pool_idle_timeout_s: float = 60.0
    requests_per_connection: int = 0
    """Requests after which an upstream connection is closed; 0 for no maximum."""
    sources: Sequence[str] = ()
    """Addresses to connect from, in turn; if empty, the kernel chooses."""
    workers: int = 1
    drain_timeout_s: float = 10.0
    """How long current exchanges may take after the signal to stop."""
    loop: Literal["auto", "uvloop", "asyncio"] = "auto"
    """The event loop; "auto" is uvloop where it is installed."""
    server_tls: ServerTls | None = None
    """None: clients speak no TLS."""
    http2: bool = False
    """Whether clients may speak HTTP/2: with TLS chosen by ALPN, else known by its preface."""
    upstream_tls: UpstreamTls | None = None
    """None: upstreams speak no TLS."""
    limits: Limits = field(default_factory=Limits)

    @property
    def files(self) -> int:
        """Return the descriptors that one worker may need, with some for other than connections."""
        return self.limits.clients + self.pool_max + 64


def is_unix(host: str) -> bool:
    """Return whether `host` is the path of a Unix socket."""
    return host.startswith("/")


def is_ipv6(host: str) -> bool:
    """Return whether `host` is an IPv6 address."""
    return ":" in host


def format_address(address: Address) -> str:
    """Format an address as in a URL or a Host field; a Unix socket has no such name."""
    host, port = address
    if is_unix(host):
        return "localhost"
    return f"[{host}]:{port}" if is_ipv6(host) else f"{host}:{port}"
