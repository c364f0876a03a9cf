"""What is seen of the TCP connections of a host, from one look to the next. Values only.

A hop is all connections that this host has in one direction with one peer at one port of a server. Where
both ends are on this host, a connection belongs to two hops: the one that opened it, the one that took it.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple

OTHER_PEERS = "others"
"""The address of the hop that gathers those peers which are too many to be told apart."""


class Direction(StrEnum):
    """Who opened the connections of a hop: this host, or the peer."""

    OUTGOING = "outgoing"
    INCOMING = "incoming"
    # That of Enum is slow, and a verdict on thousands of hops hashes each of them in each snapshot.
    __hash__ = str.__hash__


class Source(StrEnum):
    """How a snapshot was made: by dumps of the kernel's table, or from its events."""

    SAMPLED = "sampled"
    EXACT = "exact"


@dataclass(frozen=True, slots=True, order=True)
class PeerHop:
    """One hop; `port` is the server's: the peer's where this host connects, else the one it listens on."""

    direction: Direction
    peer: str
    """Address of the peer, IPv4 also where the socket is IPv6 and mapped; or OTHER_PEERS."""
    port: int
    """0 stands for several, where the peers are OTHER_PEERS."""

    def __str__(self) -> str:
        if not self.port and self.peer == OTHER_PEERS:
            return OTHER_PEERS if self.direction is Direction.OUTGOING else f"{OTHER_PEERS} to other ports"
        host = f"[{self.peer}]" if ":" in self.peer else self.peer
        return f"{host}:{self.port}" if self.direction is Direction.OUTGOING else f"{host} to :{self.port}"


@dataclass(frozen=True, slots=True)
class HopFlow:
    """What happened on a hop within one interval, in connections.

    A count of `Source.SAMPLED` is a lower bound, but for what this host closed first: it stays in TIME_WAIT.
    """

    opened: int = 0
    """Came to ESTABLISHED."""
    closed_here: int = 0
    """Ended by a FIN of this host first."""
    closed_there: int = 0
    """Ended by a FIN of the peer first."""
    reset_here: int = 0
    """Ended by an RST of this host."""
    reset_there: int = 0
    """Ended by an RST of the peer."""
    ended_unknown: int = 0
    """Gone, and nothing shows how."""
    failed_opens: int = 0
    """Never came to ESTABLISHED: refused, timed out, or no port was free."""
    reset_after_fin: int = 0
    """Of those that the peer's FIN ended, now or before: an RST of the peer came behind it.

    It answers what the peer did not read any more: of an outgoing hop a request that is lost, or a goodbye.
    """
    no_port: int = 0
    """Of those that never came to ESTABLISHED: no local port was free (EADDRNOTAVAIL); nothing was sent."""
    lifetimes_s: tuple[float, ...] = ()
    """How long connections lived that ended within the interval: a sample, 64 at the most."""
    idle_before_reset_s: tuple[float, ...] = ()
    """How long connections had been idle when an RST of the peer ended them, or the FIN that one came behind.

    A sample, 64 at the most, of those that a dump saw idle for at least half of that time.
    """

    @property
    def ended(self) -> int:
        """Return how many connections ended."""
        return self.closed_here + self.closed_there + self.reset_here + self.reset_there + self.ended_unknown


class DataSent(NamedTuple):
    """How many segments with data a connection has sent (tcpi_data_segs_out), and for how long it was seen.

    A request mostly takes one: a connection that sent several carried several, whoever counts them or not.
    """

    segments: int
    age_s: float


@dataclass(frozen=True, slots=True)
class HopState:
    """What there is on a hop at the end of an interval, in sockets."""

    established: int = 0
    time_wait: int = 0
    close_wait: int = 0
    """Ended by the peer, and not yet closed by the process here: a leak where it only grows."""
    syn_sent: int = 0
    fin_wait: int = 0
    """Ended by this host, whose peer has not ended them yet: it holds the port as TIME_WAIT does."""
    ports_used: int = 0
    """Local ports of the ephemeral range that are taken towards this peer, in any state.

    Each address of this host has the whole range: they are those of the address that most are taken with.
    """
    idle_s: tuple[float, ...] = ()
    """For how long established connections have carried nothing: a sample, 64 at the most."""
    ages_s: tuple[float, ...] = ()
    """For how long established connections have been seen: a sample, 64 at the most."""
    data_sent: tuple[DataSent, ...] = ()
    """What established connections have sent: a sample."""
    processes: tuple[str, ...] = ()
    """Names of the processes that hold or held them, where they may be read."""


@dataclass(frozen=True, slots=True)
class HostFlow:
    """How the kernel's counters grew within an interval; None: this kernel has no such counter."""

    active_opens: int = 0
    passive_opens: int = 0
    attempt_fails: int = 0
    estab_resets: int = 0
    out_resets: int = 0
    listen_overflows: int | None = None
    listen_drops: int | None = None
    time_wait_overflows: int | None = None
    """Sockets that were not put into TIME_WAIT since `tcp_max_tw_buckets` was reached."""
    time_wait_reused: int | None = None
    aborts_on_data: int | None = None
    conntrack_drops: int | None = None


@dataclass(frozen=True, slots=True)
class HostState:
    """The host at the end of an interval; None: not to be read here."""

    port_range: tuple[int, int] = (32768, 60999)
    reserved_ports: int = 0
    """Ports of the range that the kernel gives to nobody (ip_local_reserved_ports)."""
    time_wait: int = 0
    max_time_wait: int | None = None
    fin_wait2: int = 0
    """Held by no process. The kernel's count of TIME_WAIT has them, and `time_wait` has not."""
    orphans: int = 0
    conntrack: int | None = None
    max_conntrack: int | None = None
    syn_backlogs: dict[int, tuple[int, int]] = field(default_factory=dict)
    """By port that is listened on: connections that wait for accept(), and how many may."""
    tw_reuse: int | None = None
    """net.ipv4.tcp_tw_reuse: 1 lets connect() take a port in TIME_WAIT after a second, 2 on loopback only."""

    def with_dump(self, fin_wait2: int, syn_backlogs: dict[int, tuple[int, int]]) -> "HostState":
        """Return the state that the kernel counted, with what a dump told of nearly the same moment."""
        waiting = max(0, self.time_wait - fin_wait2)
        return replace(self, time_wait=waiting, fin_wait2=fin_wait2, syn_backlogs=syn_backlogs)

    @property
    def ports(self) -> int:
        """Return how many local ports there are towards one peer."""
        low, high = self.port_range
        return high - low + 1 - self.reserved_ports


@dataclass(frozen=True, slots=True)
class RequestFlow:
    """Requests of a hop within an interval, as a source that was named counted them."""

    source: str
    """In words, its program first, as in "nginx access log /var/log/nginx/up.log"."""
    requests: int
    port: int | None = None
    """The server's port that they belong to; None: all that the source's process takes or sends."""
    direction: Direction = Direction.OUTGOING
    peer: str | None = None
    failed: int = 0
    """Answered with 502 or 504, or reset by the upstream."""
    connections: int | None = None
    """Connections that the source counted for them, where it does."""

    @property
    def program(self) -> str:
        """Return the name of the program that counts, as its processes have it."""
        return self.source.partition(" ")[0].lower()


@dataclass(frozen=True, slots=True)
class HopSnapshot:
    """One hop in one interval."""

    hop: PeerHop
    flow: HopFlow
    state: HopState
    is_unattributed: bool = False
    """Sockets in TIME_WAIT that fit none of the processes asked for."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One interval of a watch: it ends `t_s` seconds after the watch began."""

    t_s: float
    duration_s: float
    source: Source
    hops: tuple[HopSnapshot, ...] = ()
    host_flow: HostFlow = field(default_factory=HostFlow)
    host: HostState = field(default_factory=HostState)
    requests: tuple[RequestFlow, ...] = ()
    notes: tuple[str, ...] = ()
    """What limits this snapshot, one sentence each: "the reader fell behind: sampled from here on"."""
    cost_s: float = 0.0
    """CPU time that this interval took the watcher."""
    sockets_age_s: float = 0.0
    """How old the states of the hops are at its end: sockets are not listed at each look."""
