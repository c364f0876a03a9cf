"""What is known of an nginx on this host. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypedDict

from bench.watch.model import Direction, PeerHop
from bench.watch.nginx_here.changes import NginxMarks
from nginx.finding import Finding, FindingJson


class NginxLocationJson(TypedDict):
    """A pass location of a running nginx in JSON."""

    heading: str
    place: str
    target: str
    servers: list[str]
    verdict: str
    is_failing: bool
    reason: str
    fix: str
    rules: list[str]


class NginxHereJson(TypedDict):
    """An nginx on this host in JSON."""

    pid: int
    version: str | None
    conf: str | None
    workers: int
    locations: list[NginxLocationJson]
    findings: list[FindingJson]
    notes: list[str]


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """A server behind nginx, as its configuration names it."""

    name: str
    port: int
    addresses: frozenset[str] = frozenset()
    """What the name stands for; empty where only DNS knows, which is not asked."""

    def __str__(self) -> str:
        return f"{self.name}:{self.port}"


@dataclass(frozen=True, slots=True)
class NginxLocation:
    """A pass location, the verdict on its connections, and the servers that they lead to."""

    heading: str
    """What it is called: `shop.example:443 location /api`."""
    place: str
    """Where it is written: `/etc/nginx/nginx.conf:12`."""
    target: str
    """What it passes to, as written."""
    verdict: str
    """reused, partly reused, not reused, or depends."""
    is_failing: bool
    """Whether it loses connections, and no comment accepts that."""
    reason: str
    """Why, in a sentence or more."""
    fix: str = ""
    """What to change there, all of it together; empty where nothing has to be."""
    rules: tuple[str, ...] = ()
    """Which rules of `bench check` explain it."""
    servers: tuple[ServerAddress, ...] = ()
    named: frozenset[tuple[str, int]] = field(default=frozenset(), repr=False)
    """The servers that the whole configuration names by address: those are no unknown name's."""

    def reaches(self, hop: PeerHop) -> bool:
        """Return whether its connections are those of a hop, as far as can be told.

        A name that only DNS knows may be each peer on its port that the configuration does not name
        otherwise.
        """
        if hop.direction is not Direction.OUTGOING:
            return False
        here = (server for server in self.servers if server.port == hop.port)
        is_named = (hop.peer, hop.port) in self.named
        return any(hop.peer in server.addresses or not (server.addresses or is_named) for server in here)

    def to_json(self) -> NginxLocationJson:
        """Return the location as plain values."""
        return {
            "heading": self.heading,
            "place": self.place,
            "target": self.target,
            "servers": [str(server) for server in self.servers],
            "verdict": self.verdict,
            "is_failing": self.is_failing,
            "reason": self.reason,
            "fix": self.fix,
            "rules": list(self.rules),
        }


@dataclass(frozen=True, slots=True)
class NginxHere:
    """One nginx, found by its master process."""

    pid: int
    version: str | None = None
    """As `1.22.1`; None where its program cannot be read."""
    conf: str | None = None
    """Its main file, as it sees it; None where that is not known."""
    workers: int = 1
    locations: tuple[NginxLocation, ...] = ()
    findings: tuple[Finding, ...] = ()
    """Those of `bench check` for this version and so many workers, the worst first."""
    log_formats: Mapping[str, str] = field(default_factory=dict)
    """The format of each access log by its path on this host; without those of two formats."""
    notes: tuple[str, ...] = ()
    """What could not be read, or may differ from what runs: a sentence each."""
    marks: NginxMarks | None = field(default=None, repr=False, compare=False)
    """By which a change of it is noticed."""

    def locations_of(self, hop: PeerHop) -> tuple[NginxLocation, ...]:
        """Return the locations whose connections are those of a hop."""
        return tuple(location for location in self.locations if location.reaches(hop))

    def to_json(self) -> NginxHereJson:
        """Return it as plain values."""
        return {
            "pid": self.pid,
            "version": self.version,
            "conf": self.conf,
            "workers": self.workers,
            "locations": [location.to_json() for location in self.locations],
            "findings": [finding.to_json() for finding in self.findings],
            "notes": list(self.notes),
        }
