"""A finding of a watch: a known pattern on a hop or on the host, what it means and what to change. Values."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Protocol, TypedDict

from bench import units
from bench.watch.flows import Closer
from bench.watch.forecast import Forecast, ForecastJson
from bench.watch.model import PeerHop


class Pattern(StrEnum):
    """What is recognised; the value is its name in JSON."""

    SYN_BACKLOG = "syn-backlog-overflow"
    CONNTRACK = "conntrack-full"
    FAILED_CONNECTS = "failed-connects"
    IDLE_RACE = "idle-race"
    LEAK = "leak"
    TIME_WAIT_OVERFLOW = "time-wait-overflow"
    PORTS_HELD = "ports-held"
    SHORT_CONNECTIONS = "short-connections"
    SMALL_POOL = "small-pool"
    SHORT_CLIENTS = "short-client-connections"
    DNS_OVER_TCP = "dns-over-tcp"
    UNSEEN_CONNECTIONS = "unseen-connections"
    HEALTH_CHECKS = "health-checks"


CHURN = frozenset(
    {Pattern.SHORT_CONNECTIONS, Pattern.SMALL_POOL, Pattern.SHORT_CLIENTS, Pattern.DNS_OVER_TCP}
)
"""The patterns of connections that are opened where kept ones would do; a hop has one of them at the most."""


class Urgency(IntEnum):
    """How soon it hurts, in order."""

    NOTE = 0
    """Not a fault."""
    WASTE = 1
    """It costs processor time and handshakes, and no request fails of it."""
    SOON = 2
    """Within a minute or two requests become slow, or fail."""
    SLOW = 3
    """Requests are slow of it now."""
    FAILING = 4
    """Requests fail of it now."""

    def __str__(self) -> str:
        return self.name.lower()


class Certainty(StrEnum):
    """How sure a finding is, given what was seen."""

    SURE = "sure"
    LIKELY = "likely"
    POSSIBLE = "possible"


class ConfiguredHop(Protocol):
    """What a configuration on this host says about a hop: a pass location of nginx, for one."""

    @property
    def heading(self) -> str:
        """What it is called: `shop.example:443 location /api`."""

    @property
    def place(self) -> str:
        """Where it is written: `/etc/nginx/nginx.conf:12`."""

    @property
    def is_failing(self) -> bool:
        """Whether it loses connections."""

    @property
    def reason(self) -> str:
        """Why, in a sentence."""

    @property
    def fix(self) -> str:
        """What to change there; empty where nothing has to be."""

    def reaches(self, hop: PeerHop) -> bool:
        """Return whether its connections are those of `hop`."""


class ConfiguredHopJson(TypedDict):
    """What a configuration says about the hop of a finding."""

    heading: str
    place: str
    reason: str
    fix: str


class WatchFindingJson(TypedDict):
    """A finding of `bench watch` in JSON."""

    pattern: str
    urgency: str
    certainty: str
    hop: str
    peers: list[str]
    port: int | None
    rate_per_s: float | None
    is_lower_bound: bool
    closes_first: str
    forecast: ForecastJson | None
    sentences: list[str]
    change: str
    surer: str
    configured: list[ConfiguredHopJson]


@dataclass(frozen=True, slots=True)
class WatchFinding:
    """One known pattern, seen."""

    pattern: Pattern
    urgency: Urgency
    hop: str
    """The hop in words, or "this host"."""
    summary: str
    """What is seen, in one sentence."""
    facts: tuple[str, ...]
    """What it means: who closes first, headroom, time until it hurts. A sentence each."""
    change: str
    """The one change to make; empty where nothing has to be changed."""
    certainty: Certainty = Certainty.SURE
    surer: str = ""
    """What would make it surer; empty where nothing would."""
    hops: tuple[PeerHop, ...] = ()
    rate_per_s: float | None = None
    is_lower_bound: bool = False
    closes_first: Closer = Closer.UNKNOWN
    forecast: Forecast | None = None
    """Of the hop of `hops` whose ports are nearest to half of the range."""
    configured: tuple[ConfiguredHop, ...] = ()
    """What configurations on this host say about it."""

    @property
    def is_fault(self) -> bool:
        """Whether there is something to change."""
        return self.urgency > Urgency.NOTE

    @property
    def rank(self) -> tuple[int, float, str]:
        """Return the place among others: what hurts first, then the higher rate."""
        return -self.urgency, -(self.rate_per_s or 0.0), self.hop

    def sentences(self) -> Iterator[str]:
        """Yield all that it says but for the change."""
        yield self.summary
        yield from self.facts
        if self.forecast is not None:
            yield from self.forecast.sentences()

    def to_json(self) -> WatchFindingJson:
        """Return the finding as plain values."""
        return {
            "pattern": self.pattern.value,
            "urgency": str(self.urgency),
            "certainty": self.certainty.value,
            "hop": self.hop,
            "peers": sorted({hop.peer for hop in self.hops}),
            "port": self.hops[0].port if self.hops else None,
            "rate_per_s": None if self.rate_per_s is None else round(self.rate_per_s, 2),
            "is_lower_bound": self.is_lower_bound,
            "closes_first": self.closes_first.value,
            "forecast": None if self.forecast is None else self.forecast.to_json(),
            "sentences": list(self.sentences()),
            "change": self.change,
            "surer": self.surer,
            "configured": [configured_json(each) for each in self.configured],
        }


def configured_json(configured: ConfiguredHop) -> ConfiguredHopJson:
    """Return what a configuration says as plain values."""
    return {
        "heading": configured.heading,
        "place": configured.place,
        "reason": configured.reason,
        "fix": configured.fix,
    }


def rate_words(rate_per_s: float, *, is_lower_bound: bool) -> str:
    """Return a rate of connections in words: `at least 320 connections/s`."""
    words = f"{units.rate(rate_per_s).removesuffix('/s')} connections/s"
    return f"at least {words}" if is_lower_bound else words


def names(all_names: Sequence[str], most: int = 3) -> str:
    """Return names in a row, and how many more there are: `a, b, c and 4 more`."""
    if len(all_names) <= most:
        return ", ".join(all_names)
    return f"{', '.join(all_names[:most])} and {len(all_names) - most} more"
