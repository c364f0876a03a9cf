"""The inventory of a configuration: its server blocks, its pass locations and the backends they need. Pure.

A location is identified by the chain of blocks around it: an included file may be used in several places.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from nginx.inheritance import Level
from nginx.model import Model, PassLocation
from nginx.targets import STREAM
from nginx.tree import Directive
from nginx.upstreams import Upstream
from nginx.versions import NEWEST

Chain = tuple[int, ...]
"""Identities of the blocks around a directive, the nearest first; http {} itself is `id(None)`."""

MAX_BACKEND_PORTS = 16_000
"""Ports that the backends of one configuration may use: each location has its own."""
MAX_SERVER_BLOCKS = 8_000
"""Servers {} that are run: each listens on up to three ports."""
MAX_UPSTREAM_SERVERS = 64
"""Servers of one upstream {} that get a backend each."""
_PEER_KINDS = {"http": "http", "grpc": "h2"} | {
    protocol: protocol for protocol in ("fastcgi", "uwsgi", "scgi", "memcached")
}


@dataclass(frozen=True, slots=True)
class Peer:
    """A backend that a location needs: the protocol it speaks, and whether over TLS."""

    kind: str
    is_tls: bool


@dataclass(frozen=True, slots=True, eq=False)
class ServerBlock:
    """One server {} that contains pass locations."""

    number: int
    level: Level | None
    """None for a snippet without a server {}."""

    @property
    def listens(self) -> list[Directive]:
        """Its `listen` lines."""
        return [] if self.level is None else self.level.all("listen")

    @property
    def accepts_http2(self) -> bool:
        """Whether clients may speak HTTP/2 to it."""
        line = None if self.level is None else self.level.inherited("http2")
        return (line is not None and line.is_on) or any("http2" in line.args for line in self.listens)

    @property
    def names(self) -> list[str]:
        """Its names as written."""
        lines = [] if self.level is None else self.level.all("server_name")
        return [name for line in lines for name in line.args]


@dataclass(frozen=True, slots=True, eq=False)
class Location:
    """One pass location to prove."""

    number: int
    pass_location: PassLocation
    server: ServerBlock
    peers: tuple[Peer, ...]
    """The backends that it may use, each with a port of its own for this location."""
    obstacle: str | None = None
    """Why it cannot be proven, if so."""

    @property
    def upstream(self) -> Upstream | None:
        """The upstream {} that all its targets mean, if it is one."""
        found = {id(target.upstream): target.upstream for target in self.pass_location.targets}
        return next(iter(found.values())) if len(found) == 1 else None

    @property
    def upstream_servers(self) -> list[Directive]:
        """The servers of that upstream {}."""
        return [] if self.upstream is None else self.upstream.servers

    @property
    def enclosing_location(self) -> Level | None:
        """The location {} around the pass directive."""
        return self.pass_location.level.enclosing("location")


@dataclass(slots=True)
class Inventory:
    """The server blocks and locations of one configuration, found again by chain and directive."""

    model: Model
    servers: list[ServerBlock] = field(default_factory=list)
    locations: list[Location] = field(default_factory=list)
    server_of: dict[Chain, ServerBlock] = field(default_factory=dict)
    location_of: dict[tuple[Chain, int], Location] = field(default_factory=dict)


def _chain(level: Level) -> Chain:
    return tuple(id(outer.opener) for outer in level.up())


def build_inventory(model: Model) -> Inventory:
    """Return the inventory of a configuration; what is beyond the limits has an obstacle."""
    found, ports = Inventory(model), 0
    for pass_location in model.passes:
        if pass_location.protocol == STREAM:
            continue  # no request reaches it: it holds sessions
        key = (_chain(pass_location.level), id(pass_location.directive))
        if key in found.location_of:
            continue
        server = _server_block(found, pass_location.level.enclosing("server"))
        peers = tuple(_peers(pass_location))
        ports += len(peers)
        obstacle = _obstacle(pass_location, ports, server)
        location = Location(len(found.locations) + 1, pass_location, server, peers, obstacle)
        found.locations.append(location)
        found.location_of[key] = location
    return found


def _server_block(found: Inventory, level: Level | None) -> ServerBlock:
    key = (id(None),) if level is None else _chain(level)
    if key not in found.server_of:
        server = ServerBlock(len(found.servers) + 1, level)
        found.servers.append(server)
        found.server_of[key] = server
    return found.server_of[key]


def _peers(pass_location: PassLocation) -> Iterator[Peer]:
    kind = _PEER_KINDS.get(pass_location.protocol, "http")
    if kind == "http" and pass_location.http.effective(NEWEST) == "2":
        kind = "h2"
    tls = {target.is_tls for target in pass_location.targets} or {False}
    for is_tls in (False, True):
        if is_tls in tls or None in tls:
            yield Peer(kind, is_tls)


def _obstacle(pass_location: PassLocation, ports: int, server: ServerBlock) -> str | None:
    if server.number > MAX_SERVER_BLOCKS:
        return f"only the first {MAX_SERVER_BLOCKS:,} server {{}} with pass directives are run"
    if ports > MAX_BACKEND_PORTS:
        return f"the {MAX_BACKEND_PORTS:,} ports for backends of one run are used by the locations before it"
    if pass_location.protocol not in _PEER_KINDS:
        return f"no backend here speaks {pass_location.protocol}"
    for upstream in possible_upstreams(pass_location):
        for line in upstream.directive.block or ():
            if "lua" in line.name:
                return f"{line.name} ({line.place}) chooses the peers, and no code is run here"
    return None


def possible_upstreams(pass_location: PassLocation) -> Sequence[Upstream]:
    """Return the upstreams that a location may turn out to use."""
    found: dict[str, Upstream] = {}
    for target in pass_location.targets:
        for upstream in (target.upstream, *target.candidates):
            if upstream is not None:
                found.setdefault(upstream.name, upstream)
    return list(found.values())
