"""Count requests by the counters of a server: the difference of two answers, over a restart too.

The counters only grow while the server runs. Where one has shrunk, the server has begun anew: what it shows
then has happened since its start, and what came before that start and after the last answer is lost.
"""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from bench.watch.model import Direction, RequestFlow
from bench.watch.requests.source import SourceError

_PORT = re.compile(r"(.*):(\d{1,5})", re.DOTALL)


@dataclass(frozen=True, slots=True, order=True)
class CountedHop:
    """Whose requests are counted; None: all ports, all peers."""

    direction: Direction
    port: int | None = None
    peer: str | None = None


def server_hop(address: str) -> CountedHop | None:
    """Return the hop to `IPv4:PORT` or `[IPv6]:PORT`; None for another text, such as an upstream's name."""
    match = _PORT.fullmatch(address)
    try:
        peer = ipaddress.ip_address((match[1] if match else "").removeprefix("[").removesuffix("]"))
    except ValueError:
        return None
    mapped = peer.ipv4_mapped if isinstance(peer, ipaddress.IPv6Address) else None
    return CountedHop(Direction.OUTGOING, int(match[2]) if match else None, str(mapped or peer))


@dataclass(frozen=True, slots=True)
class Counts:
    """Counters since the server started, or their difference; `connections` None: not counted."""

    requests: int = 0
    connections: int | None = None
    failed: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.requests + other.requests,
            _both(self.connections, other.connections, 1),
            self.failed + other.failed,
        )

    def __sub__(self, other: "Counts") -> "Counts":
        return Counts(
            self.requests - other.requests,
            _both(self.connections, other.connections, -1),
            self.failed - other.failed,
        )

    @property
    def has_shrunk(self) -> bool:
        """Whether this, as a difference, shows that a counter went down."""
        return min(self.requests, self.connections or 0, self.failed) < 0

    def at_least_zero(self) -> "Counts":
        """Return the same without negative numbers: a restart took counters along that were own ones."""
        connections = None if self.connections is None else max(self.connections, 0)
        return Counts(max(self.requests, 0), connections, max(self.failed, 0))


def _both(one: int | None, other: int | None, sign: int) -> int | None:
    return None if one is None or other is None else one + sign * other


@dataclass(frozen=True, slots=True)
class CounterReading:
    """One answer of a server."""

    counts: Mapping[CountedHop, Counts]
    own: Mapping[CountedHop, Counts] = field(default_factory=dict)
    """What reading it has added to the counters: no requests of others."""
    uptime_s: int | None = None
    """For how long the server runs; None where it does not say."""
    pid: int | None = None
    """Which process counted; None where it does not say."""
    notes: tuple[str, ...] = ()


class CounterReader(Protocol):
    """Asks one server for its counters."""

    def read(self) -> CounterReading:
        """Return the counters; SourceError where there is no answer."""

    def close(self) -> None:
        """Close the connection."""


class CounterSource:
    """A source of requests that compares each answer of a server with the one before."""

    def __init__(self, label: str, reader: CounterReader) -> None:
        """Read the first answer; SourceError where there is none."""
        self._label = label
        self._reader = reader
        self._missed = 0
        self._notes: tuple[str, ...] = ()
        try:
            self._last = reader.read()
        except SourceError:
            reader.close()
            raise

    @property
    def notes(self) -> tuple[str, ...]:
        """Return what limits the last answer."""
        return self._notes

    def read(self) -> tuple[RequestFlow, ...]:
        """Return the requests since the last answer."""
        try:
            reading = self._reader.read()
        except SourceError as error:
            self._missed += 1
            self._notes = (f"{self._label} {error.reason}: its requests are missing here",)
            return ()
        grown, began_anew = differences(self._last, reading)
        self._notes = (*self._catching_up(), *self._beginning_anew(began_anew), *reading.notes)
        self._last, self._missed = reading, 0
        return tuple(
            RequestFlow(
                self._label,
                counts.requests,
                hop.port,
                hop.direction,
                hop.peer,
                counts.failed,
                counts.connections,
            )
            for hop, counts in grown.items()
        )

    def close(self) -> None:
        """Close the connection to the server."""
        self._reader.close()

    def _catching_up(self) -> Iterator[str]:
        if self._missed:
            looks = "look" if self._missed == 1 else f"{self._missed} looks"
            yield f"{self._label} answers again: its requests here are also those of the last {looks}"

    def _beginning_anew(self, began_anew: bool) -> Iterator[str]:
        if began_anew:
            yield f"{self._label} counts from zero again: what came right before that is missing"


def differences(old: CounterReading, new: CounterReading) -> tuple[dict[CountedHop, Counts], bool]:
    """Return by how much the counters of each hop grew, and whether any of them began anew.

    A hop that was not there before counts from zero. One whose counters have shrunk does too: the server was
    restarted, or the hop was taken out of it and came back. Own requests are taken out.
    """
    has_restarted = old.pid != new.pid or _has_shrunk(old.uptime_s, new.uptime_s)
    began_anew = has_restarted
    grown: dict[CountedHop, Counts] = {}
    for hop, counts in new.counts.items():
        zero = Counts(connections=None if counts.connections is None else 0)
        before = zero if has_restarted else old.counts.get(hop, zero)
        change = counts - before
        if change.has_shrunk:
            began_anew, change = True, counts
        grown[hop] = change - new.own[hop] if hop in new.own else change
    return {hop: counts.at_least_zero() for hop, counts in grown.items()}, began_anew


def _has_shrunk(old: int | None, new: int | None) -> bool:
    return old is not None and new is not None and new < old
