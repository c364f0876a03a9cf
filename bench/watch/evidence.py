"""What a sequence of snapshots says about one hop, and about the hops that share a port. Pure.

A sampled count is a lower bound, and so is what follows from it here: nothing is estimated upwards.
"""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from bench.watch.counted_ports import CountedPorts
from bench.watch.flows import NOTHING, Closer, closer, has_lasted, lasting_rate, total
from bench.watch.model import (
    OTHER_PEERS,
    DataSent,
    Direction,
    HopFlow,
    HopSnapshot,
    HopState,
    PeerHop,
    RequestFlow,
    Snapshot,
    Source,
)

_FIN_S = 1.0
"""A FIN is answered by one within a round trip; what waits for longer waits for a process to close."""


@dataclass(frozen=True)
class HopEvidence:
    """One hop along a sequence of snapshots, an entry for each; a hop that one does not name had nothing."""

    hop: PeerHop
    durations_s: tuple[float, ...]
    moments_s: tuple[float, ...]
    """The end of each snapshot, in seconds from when the watch began."""
    listed_s: tuple[float, ...]
    """When the sockets of its state were listed, which may be before it; from when the watch began."""
    flows: tuple[HopFlow, ...]
    states: tuple[HopState, ...]
    is_exact: bool
    requests: tuple[tuple[RequestFlow, ...], ...] = ()
    """What named sources counted for this hop."""
    opened_on_host: int = 0
    """Connections that the kernel counted in this direction, of all hops."""
    keeps_traces: bool = False
    """It was sampled, and each connection that this host closed first came to TIME_WAIT."""

    @cached_property
    def seconds(self) -> float:
        """Return how long was watched, at least a millisecond."""
        return max(math.fsum(self.durations_s), 1e-3)

    @property
    def last(self) -> HopState:
        """Return the state at the end."""
        return self.states[-1]

    @cached_property
    def total(self) -> HopFlow:
        """Return the sums of all counts, and all samples behind each other."""
        return total(self.flows)

    @cached_property
    def closes_first(self) -> Closer:
        """Return which end closes first."""
        return closer(self.total, keeps_traces=self.keeps_traces)

    @cached_property
    def waits_in(self) -> str:
        """Return the state in which most of what this host closed stays.

        FIN_WAIT2 where the peer takes longer than any round trip to close its side, or never does.
        """
        closed_per_s = self.total.closed_here / self.seconds
        lasts = self.last.fin_wait > max(self.last.time_wait, _FIN_S * closed_per_s)
        return "FIN_WAIT2" if lasts else "TIME_WAIT"

    @cached_property
    def young(self) -> int:
        """Return how many of the established connections may have been opened while it was watched.

        The share among the ages that were sampled, two standard errors up: too many rather than too few.
        """
        ages, established = self.last.ages_s, self.last.established
        if not ages or not established:
            return established
        share = sum(age < self.seconds for age in ages) / len(ages)
        if len(ages) < established:
            share += 2 * math.sqrt(share * (1 - share) / len(ages)) + 1 / len(ages)
        return min(established, math.ceil(established * share))

    @cached_property
    def turned_over(self) -> int:
        """Return how many connections at least were opened and ended while it was watched.

        Neither connections that stay nor old ones that end count: after a restart it is 0. What there is may
        be of a moment before the last events, so that there are no more than have ended.
        """
        opened = min(self.total.opened - self.young - self.last.close_wait, self.total.ended)
        return max(0, opened)

    @cached_property
    def repeated(self) -> int:
        """Return how many of them could have been spared: a peer's first connection could not.

        0 for the hop that gathers many peers: each of them may have come once.
        """
        return 0 if self.hop.peer == OTHER_PEERS else max(0, self.turned_over - 1)

    @cached_property
    def lasting_per_s(self) -> float:
        """Return the rate of opened connections outside of the busiest stretch: what is no single burst."""
        return lasting_rate(self.durations_s, [flow.opened for flow in self.flows])

    @cached_property
    def churn_per_s(self) -> float:
        """Return the rate of connections that could have been spared, and that go on to be opened."""
        return min(self.repeated / self.seconds, self.lasting_per_s)


@dataclass(frozen=True)
class HopGroup:
    """The hops of one direction that share a server's port: the servers of one upstream, or all clients."""

    hops: tuple[HopEvidence, ...]
    """Never empty; the one with most opened connections first."""

    @property
    def first(self) -> HopEvidence:
        """Return the hop with most opened connections."""
        return self.hops[0]

    @property
    def direction(self) -> Direction:
        """Return who opens the connections."""
        return self.first.hop.direction

    @property
    def port(self) -> int:
        """Return the server's port."""
        return self.first.hop.port

    @property
    def key(self) -> tuple[Direction, int]:
        """Return what its hops have in common."""
        return self.direction, self.port

    @property
    def is_exact(self) -> bool:
        """Whether its counts are no lower bounds."""
        return self.first.is_exact

    @property
    def seconds(self) -> float:
        """Return how long was watched."""
        return self.first.seconds

    @cached_property
    def total(self) -> HopFlow:
        """Return the sums of all counts, and all samples behind each other."""
        return total(hop.total for hop in self.hops)

    @cached_property
    def flows(self) -> tuple[HopFlow, ...]:
        """Return the sums of each snapshot."""
        return tuple(map(total, zip(*(hop.flows for hop in self.hops), strict=True)))

    @property
    def opened_per_s(self) -> float:
        """Return the rate of all opened connections."""
        return self.total.opened / self.seconds

    @cached_property
    def churn_per_s(self) -> float:
        """Return the rate of connections that could have been spared and go on to be opened."""
        return sum(hop.churn_per_s for hop in self.hops)

    @cached_property
    def has_lasted(self) -> bool:
        """Whether what it opens is no single burst."""
        waiting = sum(hop.last.time_wait + hop.last.fin_wait for hop in self.hops)
        return has_lasted(len(self.first.flows), waiting, self.opened_per_s)

    @cached_property
    def closes_first(self) -> Closer:
        """Return which end closes first."""
        return closer(self.total, keeps_traces=self.first.keeps_traces)

    @property
    def counts_all(self) -> bool:
        """Whether `total.opened` is all of them: by events, or since TIME_WAIT here shows each."""
        return self.is_exact or self.closes_first is Closer.HERE

    @cached_property
    def established(self) -> tuple[int, ...]:
        """Return the established connections at the end of each snapshot."""
        return self._column("established")

    @cached_property
    def close_wait(self) -> tuple[int, ...]:
        """Return the connections at the end of each snapshot that the peer ended and nobody closed here."""
        return self._column("close_wait")

    @cached_property
    def processes(self) -> tuple[str, ...]:
        """Return the names of the processes that hold or held the connections, each once."""
        named = {state.processes for hop in self.hops for state in hop.states}
        return tuple(sorted({name for names in named for name in names}))

    @cached_property
    def data_sent(self) -> tuple[int, ...]:
        """Return how many segments with data sampled connections had sent, over all snapshots."""
        return tuple(sent.segments for _, sent in self._data_sent)

    @cached_property
    def data_sent_by_renewed(self) -> tuple[int, ...]:
        """Return the same of those connections that are like the ones which were opened and ended.

        A look finds each connection that stays, and hardly one that ends at once. So only those count that
        are not older than one typically becomes, in looks at which one that stays was older.
        """
        lifetime_s = self._renewed_lifetime_s
        if self.seconds <= lifetime_s:
            return self.data_sent  # none that stays is older yet
        return tuple(
            sent.segments
            for elapsed_s, sent in self._data_sent
            if elapsed_s > lifetime_s and sent.age_s <= lifetime_s
        )

    @cached_property
    def _data_sent(self) -> tuple[tuple[float, DataSent], ...]:
        """Return each sample, with the seconds watched when it was taken."""
        return tuple(
            (elapsed_s, sent)
            for hop in self.hops
            for elapsed_s, state in zip(accumulate(hop.durations_s), hop.states, strict=True)
            for sent in state.data_sent
        )

    @cached_property
    def _renewed_lifetime_s(self) -> float:
        """Return how long connections typically live that were opened and ended while it was watched.

        Where dumps alone are there, which do not show short ones: the most by Little's law, as if no
        connection stayed (J. D. C. Little, "A Proof for the Queuing Formula L = lambda W", 1961).
        """
        if self.is_exact and self.total.lifetimes_s:
            return statistics.median(self.total.lifetimes_s)
        turned_over = sum(hop.turned_over for hop in self.hops)
        return statistics.fmean(self.established) * self.seconds / turned_over if turned_over else math.inf

    @cached_property
    def requests(self) -> tuple[RequestFlow, ...]:
        """Return what named sources counted, each flow once, however many hops it is about."""
        return tuple(flow for flows in self._requests_each for flow in flows)

    @cached_property
    def requests_per_connection(self) -> float | None:
        """Return how many requests a connection carried on average.

        None where no source counts them, or where nobody counts all connections.
        """
        counted = [flow.connections for flow in self.requests if flow.connections is not None]
        is_counted = len(counted) == len(self.requests)
        if not self.requests or not (is_counted or self.counts_all):
            return None
        opened = sum(counted) if is_counted else self.total.opened
        requests = sum(flow.requests for flow in self.requests)
        return requests / opened if opened else (math.inf if requests else None)

    @cached_property
    def fewest_requests_per_connection(self) -> float | None:
        """Return how many requests a connection carried on average, at the least.

        Where dumps did not show all connections, the kernel's count of all hops says how many they can be.
        """
        if self.requests_per_connection is not None or not self.requests:
            return self.requests_per_connection
        most = max(self.total.opened, self.first.opened_on_host)
        return sum(flow.requests for flow in self.requests) / most if most else None

    @cached_property
    def failed_requests_each(self) -> tuple[int, ...]:
        """Return how many requests named sources saw fail, for each snapshot."""
        return tuple(sum(flow.failed for flow in flows) for flows in self._requests_each)

    @property
    def failed_requests(self) -> int:
        """Return how many requests named sources saw fail."""
        return sum(self.failed_requests_each)

    @cached_property
    def _requests_each(self) -> tuple[tuple[RequestFlow, ...], ...]:
        rows = zip(*(hop.requests for hop in self.hops), strict=True)
        return tuple(tuple({id(flow): flow for flows in row for flow in flows}.values()) for row in rows)

    def _column(self, name: str) -> tuple[int, ...]:
        rows = zip(*(hop.states for hop in self.hops), strict=True)
        return tuple(sum(getattr(state, name) for state in row) for row in rows)


def collect(snapshots: Sequence[Snapshot]) -> tuple[HopEvidence, ...]:
    """Return the evidence of every hop that one of `snapshots` names; they are in order, and not empty.

    Sockets that belong to none of the processes asked for are left out.
    """
    rows: dict[PeerHop, list[HopSnapshot | None]] = {}
    for at, snapshot in enumerate(snapshots):
        for each in snapshot.hops:
            if not each.is_unattributed:
                if (row := rows.get(each.hop)) is None:
                    row = rows[each.hop] = [None] * len(snapshots)
                row[at] = each
    ports = CountedPorts(snapshots if any(snapshot.requests for snapshot in snapshots) else ())
    durations = tuple(snapshot.duration_s for snapshot in snapshots)
    moments_s = tuple(snapshot.t_s for snapshot in snapshots)
    listed_s = tuple(snapshot.t_s - snapshot.sockets_age_s for snapshot in snapshots)
    is_exact = all(snapshot.source is Source.EXACT for snapshot in snapshots)
    keeps = keeps_traces(snapshots)
    nothing = HopState()
    requests = [snapshot.requests for snapshot in snapshots]
    opened_on_host = {
        Direction.OUTGOING: sum(snapshot.host_flow.active_opens for snapshot in snapshots),
        Direction.INCOMING: sum(snapshot.host_flow.passive_opens for snapshot in snapshots),
    }
    no_requests = ((),) * len(snapshots)
    return tuple(
        HopEvidence(
            hop,
            durations,
            moments_s,
            listed_s,
            tuple([NOTHING if each is None else each.flow for each in row]),
            tuple([nothing if each is None else each.state for each in row]),
            is_exact,
            _requests_about(hop, requests, ports) if any(requests) else no_requests,
            opened_on_host[hop.direction],
            keeps,
        )
        for hop, row in rows.items()
    )


def keeps_traces(snapshots: Iterable[Snapshot]) -> bool:
    """Return whether dumps were taken, and each connection that this host closed first came to TIME_WAIT."""
    return all(
        snapshot.source is Source.SAMPLED and not snapshot.host_flow.time_wait_overflows
        for snapshot in snapshots
    )


def group(hops: Iterable[HopEvidence]) -> tuple[HopGroup, ...]:
    """Return the hops by direction and port, each group with its busiest hop first."""
    by_hop = {each.hop: each for each in hops}
    return tuple(
        HopGroup(tuple(sorted((by_hop[hop] for hop in same), key=_by_size)))
        for same in _by_port(by_hop).values()
    )


def _by_size(evidence: HopEvidence) -> tuple[int, int, PeerHop]:
    return -evidence.total.opened, -evidence.last.established, evidence.hop


def _by_port(hops: Iterable[PeerHop]) -> dict[tuple[Direction, int], list[PeerHop]]:
    found: dict[tuple[Direction, int], list[PeerHop]] = {}
    for hop in hops:
        found.setdefault((hop.direction, hop.port), []).append(hop)
    return found


def _requests_about(
    hop: PeerHop, requests: Sequence[Sequence[RequestFlow]], ports: CountedPorts
) -> tuple[tuple[RequestFlow, ...], ...]:
    """Return the requests of a hop in each snapshot.

    Of sources that count them twice, such as the log of a proxy and its counters, those count that tell hops
    apart.
    """
    about = [[flow for flow in flows if _is_about(flow, hop, ports)] for flows in requests]
    narrowest = max((_narrowness(flow) for flows in about for flow in flows), default=0)
    return tuple(tuple(flow for flow in flows if _narrowness(flow) == narrowest) for flows in about)


def _narrowness(flow: RequestFlow) -> tuple[bool, bool]:
    return flow.peer is not None, flow.port is not None


def _is_about(flow: RequestFlow, hop: PeerHop, ports: CountedPorts) -> bool:
    """Return whether requests belong to a hop, and to no other port."""
    if flow.direction is not hop.direction or flow.peer not in (None, hop.peer):
        return False
    return ports.of(flow) == {hop.port}
