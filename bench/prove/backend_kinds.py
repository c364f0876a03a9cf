"""Servers as people run them: how each treats its connections, as it is shipped. A table.

A time or a number is the product's default, or what its packaged configuration sets; the source is named.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from bench.errors import PlanError
from bench.prove.inventory import Inventory, Location, Peer, possible_upstreams
from nginx.idle_times import BACKEND_IDLE_S

HTTP = ("http",)
FASTCGI = ("fastcgi",)
HTTP2 = ("h2",)
ANY = ("http", "h2", "fastcgi", "uwsgi", "scgi", "memcached")


@dataclass(frozen=True, slots=True)
class BackendKind:
    """How one kind of server behaves."""

    name: str
    protocols: tuple[str, ...]
    """What it speaks, as the peers of an inventory are called."""
    source: str
    """Where its defaults are documented."""
    processes: int | None = None
    """How many connections a server serves at once, one with each process; None where that is no limit."""
    requests: int | None = None
    """How many requests a connection serves; None for no limit."""
    idle_s: float | None = None
    """After how many idle seconds it ends (or PINGs) a connection; None: never."""
    pings: bool = False
    """Whether it PINGs an idle connection."""
    dialect: str = "1.1"
    """Which HTTP/1 it speaks: backends/protocols/behaviour.py."""
    answer: str = "body"
    """What a response contains: body, empty, or none."""

    def speaks(self, peer: Peer) -> bool:
        """Return whether such a server can be a peer."""
        return peer.kind in self.protocols

    def flags(self) -> list[str]:
        """Return the flags that make one of our servers behave so."""
        return [flag for pair in self._flags() for flag in pair]

    def _flags(self) -> Iterator[tuple[str, ...]]:
        yield ("--dialect", self.dialect)
        yield ("--answer", self.answer)
        if self.processes is not None:
            yield ("--processes", str(self.processes))
        if self.requests is not None:
            yield ("--requests", str(self.requests))
        if self.idle_s is not None:
            yield ("--idle-s", str(self.idle_s))
        if self.pings:
            yield ("--pings",)


def _idle(name: str) -> float:
    return BACKEND_IDLE_S[name]


_TABLE = (
    BackendKind("php-fpm", FASTCGI, "php-src, sapi/fpm/www.conf: pm.max_children = 5", processes=5),
    BackendKind(
        "gunicorn-sync",
        HTTP,
        "gunicorn, Design: the sync worker has no keep-alive; workers = 1",
        processes=1,
        dialect="closing",
    ),
    BackendKind(
        "gunicorn",
        HTTP,
        "gunicorn, Settings: keepalive = 2 (gthread and others)",
        idle_s=_idle("gunicorn"),
    ),
    BackendKind(
        "unicorn",
        HTTP,
        "unicorn, Configurator: worker_processes = 1; no keep-alive",
        processes=1,
        dialect="closing",
    ),
    BackendKind(
        "uwsgi",
        ("uwsgi", "http"),
        "uWSGI, Options: processes = 1; one request on each connection",
        processes=1,
        dialect="closing",
    ),
    BackendKind("waitress", HTTP, "waitress, Arguments: channel_timeout 120", idle_s=120.0),
    BackendKind(
        "spring-boot",
        HTTP,
        "Tomcat, HTTP Connector: connectionTimeout 60000, maxKeepAliveRequests 100",
        requests=100,
        idle_s=60.0,
    ),
    BackendKind("puma", HTTP, "Puma, DSL: persistent_timeout 20 (65 since 7.0)", idle_s=_idle("puma")),
    BackendKind("node", HTTP, "Node.js, http: server.keepAliveTimeout 5000 ms", idle_s=_idle("node")),
    BackendKind("uvicorn", HTTP, "uvicorn, Settings: --timeout-keep-alive 5", idle_s=_idle("uvicorn")),
    BackendKind("hypercorn", HTTP, "Hypercorn, config: keep_alive_timeout 5", idle_s=_idle("hypercorn")),
    BackendKind(
        "apache",
        HTTP,
        "Apache httpd, core: KeepAliveTimeout 5, MaxKeepAliveRequests 100",
        requests=100,
        idle_s=_idle("apache"),
    ),
    BackendKind(
        "apache-prefork",
        HTTP,
        "Apache httpd, prefork: MaxRequestWorkers 256; core as above",
        processes=256,
        requests=100,
        idle_s=_idle("apache"),
    ),
    BackendKind(
        "tomcat",
        HTTP,
        "Tomcat, server.xml: connectionTimeout 20000; HTTP Connector: maxKeepAliveRequests 100",
        requests=100,
        idle_s=_idle("tomcat"),
    ),
    BackendKind("jetty", HTTP, "Jetty, ServerConnector: idleTimeout 30000 ms", idle_s=_idle("jetty")),
    BackendKind("kestrel", HTTP, "Kestrel, Limits: KeepAliveTimeout 130 s", idle_s=_idle("kestrel")),
    BackendKind("go", HTTP, "Go, net/http: IdleTimeout 0 is ReadTimeout, whose 0 is no limit"),
    BackendKind(
        "nginx",
        HTTP,
        "nginx, core: keepalive_timeout 75s, keepalive_requests 1000",
        requests=1000,
        idle_s=_idle("nginx"),
    ),
    BackendKind("envoy", HTTP, "Envoy, HttpProtocolOptions: idle_timeout 1 h", idle_s=_idle("envoy")),
    BackendKind("grpc", HTTP2, "gRPC, keepalive.md: a server PINGs after 2 h", idle_s=7200.0, pings=True),
    BackendKind(
        "grpc-ping",
        HTTP2,
        "gRPC, keepalive.md: GRPC_ARG_KEEPALIVE_TIME_MS set to less than nginx's keepalive_timeout",
        idle_s=10.0,
        pings=True,
    ),
    BackendKind("http-1.0", HTTP, "Python, http.server: protocol_version HTTP/1.0; it closes", dialect="1.0"),
    BackendKind("http-1.0-only", HTTP, "RFC 9110, section 15.6.6: it answers 505", dialect="1.0-only"),
    BackendKind(
        "both-lengths", HTTP, "nginx/nginx#1228: HTTP/1.1 with a length and in chunks", dialect="both-lengths"
    ),
    BackendKind("empty", ANY, "RFC 9110, section 8.6: 200 with Content-Length 0", answer="empty"),
    BackendKind("no-content", ANY, "RFC 9110, section 15.3.5: 204", answer="none"),
)
KINDS = {kind.name: kind for kind in _TABLE}
"""All kinds by name."""


# Which location has which


def kind_of(location: Location, peer: Peer, like: Mapping[str, BackendKind]) -> BackendKind | None:
    """Return how the servers of a location behave; None where nothing is known about them.

    `like` is by the name of an upstream {}, or by an address as written; "" is about all others.
    """
    given = {name.lower(): kind for name, kind in like.items()}  # as nginx compares names
    named = next((given[name] for name in names(location) if name in given), None)
    kind = named if named is not None else like.get("")
    return kind if kind is not None and kind.speaks(peer) else None


def names(location: Location) -> Iterator[str]:
    """Yield what a location's servers are called by, in lower case: their upstream {}, or address."""
    for upstream in possible_upstreams(location.pass_location):
        yield upstream.name.lower()
    target = location.pass_location.target.lower()
    yield target.partition("://")[2].partition("/")[0] or target


def limited_kinds(
    like: Mapping[str, BackendKind], most_connections: Mapping[str, int]
) -> dict[str, BackendKind]:
    """Return the kinds of servers, each with the number of connections that was given for it."""
    found = dict(like)
    for name, most in most_connections.items():
        kind = like.get(name) or like.get("") or BackendKind("server", ANY, "")
        found[name] = replace(kind, processes=most)
    return found


def check_kinds(inventory: Inventory, like: Mapping[str, BackendKind]) -> None:
    """Raise PlanError where a kind is about no location, or about one that it does not speak to."""
    for name, kind in like.items():
        users = [each for each in inventory.locations if not name or name.lower() in names(each)]
        if not users and name:
            known = _some(dict.fromkeys(each for other in inventory.locations for each in names(other)))
            raise PlanError(f"--backend-like {name}={kind.name}: nothing passes to it; there is {known}")
        if users and not any(kind.speaks(peer) for each in users for peer in each.peers):
            spoken = _some(dict.fromkeys(peer.kind for each in users for peer in each.peers))
            speaks = f"{kind.name} speaks {' or '.join(kind.protocols)}"
            raise PlanError(f"--backend-like {speaks}, but what passes to it speaks {spoken}")


def _some(texts: Iterable[str]) -> str:
    return ", ".join(texts) or "nothing"
