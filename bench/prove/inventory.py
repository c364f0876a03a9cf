"""What stands on the stage: a configuration's servers and pass locations, and the peers that they need. Pure.

A location is known by the chain of blocks around it: the same included file may stand in several places.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from nginx.inheritance import Level
from nginx.model import Model, PassLocation
from nginx.tree import Directive
from nginx.upstreams import Upstream
from nginx.versions import NEWEST

Chain = tuple[int, ...]
"""Identities of the blocks around a directive, the nearest first; http {} itself is `id(None)`."""

MOST_ADDRESSES = 16_000
"""Ports that the backends of one configuration may take: each location has its own."""
MOST_SITES = 8_000
"""Servers {} that are run: each listens on up to three ports."""
MOST_SERVERS = 64
"""Servers of one upstream {} that are told apart."""
_KINDS = {
    "http": "http",
    "grpc": "h2",
    "fastcgi": "fastcgi",
    "uwsgi": "uwsgi",
    "scgi": "scgi",
    "memcached": "memcached",
}


@dataclass(frozen=True, slots=True)
class Peer:
    """A backend that a location needs: the protocol it speaks, and whether through TLS."""

    kind: str
    is_tls: bool


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """One server {} with pass locations in it; `level` is None for a snippet without a server {}."""

    number: int
    level: Level | None

    @property
    def listens(self) -> list[Directive]:
        """Its `listen` lines."""
        return [] if self.level is None else self.level.all("listen")

    @property
    def says_http2(self) -> bool:
        """Whether clients may speak HTTP/2 to it."""
        line = None if self.level is None else self.level.inherited("http2")
        return (line is not None and line.args == ("on",)) or any(
            "http2" in line.args for line in self.listens
        )

    @property
    def names(self) -> list[str]:
        """Its names as written."""
        lines = [] if self.level is None else self.level.all("server_name")
        return [name for line in lines for name in line.args]


@dataclass(frozen=True, slots=True, eq=False)
class Spot:
    """One pass location on the stage.

    Attributes:
        peers: the backends that it may come to use, each with a port of its own for this location.
        obstacle: why it cannot be proven, if so.
    """

    number: int
    location: PassLocation
    site: Site
    peers: tuple[Peer, ...]
    obstacle: str | None = None

    @property
    def upstream(self) -> Upstream | None:
        """The upstream {} that all its targets mean, if it is one."""
        found = {id(target.upstream): target.upstream for target in self.location.targets}
        return next(iter(found.values())) if len(found) == 1 else None

    @property
    def servers(self) -> list[Directive]:
        """The servers of that upstream {}."""
        return [] if self.upstream is None else self.upstream.servers

    @property
    def location_level(self) -> Level | None:
        """The location {} around the pass directive."""
        return self.location.level.enclosing("location")


@dataclass(slots=True)
class Scene:
    """All that stands on the stage, found again by chain and directive."""

    model: Model
    sites: list[Site] = field(default_factory=list)
    spots: list[Spot] = field(default_factory=list)
    site_of: dict[Chain, Site] = field(default_factory=dict)
    spot_of: dict[tuple[Chain, int], Spot] = field(default_factory=dict)

    def here(self, site: Site) -> list[Spot]:
        """Returns the spots of one site."""
        return [spot for spot in self.spots if spot.site is site]


def chain(level: Level) -> Chain:
    """Returns what tells a level from every other one."""
    return tuple(id(outer.opener) for outer in level.up())


def scene(model: Model) -> Scene:
    """Returns the stage for a configuration; what is beyond MOST_ADDRESSES is a spot with an obstacle."""
    found, addresses = Scene(model), 0
    for location in model.passes:
        key = (chain(location.level), id(location.directive))
        if key in found.spot_of:
            continue
        site = _site(found, location.level.enclosing("server"))
        number = len(found.spots) + 1
        peers = tuple(_peers(location))
        addresses += len(peers)
        spot = Spot(number, location, site, peers, _obstacle(location, addresses, site))
        found.spots.append(spot)
        found.spot_of[key] = spot
    return found


def _site(found: Scene, server: Level | None) -> Site:
    key = (id(None),) if server is None else chain(server)
    if key not in found.site_of:
        site = Site(len(found.sites) + 1, server)
        found.sites.append(site)
        found.site_of[key] = site
    return found.site_of[key]


def _peers(location: PassLocation) -> Iterator[Peer]:
    kind = _KINDS.get(location.protocol, "http")
    if kind == "http" and location.http.effective(NEWEST) == "2":
        kind = "h2"
    tls = {target.is_tls for target in location.targets} or {False}
    for is_tls in (False, True):
        if is_tls in tls or None in tls:
            yield Peer(kind, is_tls)


def _obstacle(location: PassLocation, addresses: int, site: Site) -> str | None:
    if site.number > MOST_SITES:
        return f"only the first {MOST_SITES:,} server {{}} that pass something on are run"
    if addresses > MOST_ADDRESSES:
        return f"the {MOST_ADDRESSES:,} ports for backends of one run are taken by the locations before it"
    if location.protocol not in _KINDS:
        return f"there is no backend here that speaks {location.protocol}"
    for upstream in possible_upstreams(location):
        for line in upstream.directive.block or ():
            if "lua" in line.name:
                return f"{line.name} ({line.place}) chooses the peers, and no code is run here"
    return None


def possible_upstreams(location: PassLocation) -> Sequence[Upstream]:
    """Returns the upstreams that a location may turn out to use."""
    found: dict[str, Upstream] = {}
    for target in location.targets:
        for upstream in (target.upstream, *target.candidates):
            if upstream is not None:
                found.setdefault(upstream.name, upstream)
    return list(found.values())
