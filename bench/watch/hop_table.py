"""The hops of a watch over its last seconds: rates, who closes first, sockets, ports, requests. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.watch.counted_ports import CountedPorts
from bench.watch.evidence import keeps_traces
from bench.watch.flows import Closer, closer, total
from bench.watch.model import Direction, HopFlow, HopState, PeerHop, RequestFlow, Snapshot, Source

SPAN_S = 10.0
"""Over how many seconds a rate is taken: long enough to be steady, short enough to show a change."""


@dataclass(frozen=True, slots=True)
class HopRow:
    """One hop over the last seconds. Rates are per second; counts are those at the end."""

    hop: PeerHop
    opened_per_s: float
    is_at_least: bool
    """Whether more connections may have been opened than were seen."""
    closer: Closer
    state: HopState
    flow: HopFlow
    """What happened within the span."""
    ports: int | None
    """Local ports that there are towards the peer; None where the peer connects, and takes none here."""
    requests_per_s: float | None = None
    """None: no source counts the requests of this hop."""
    requests_per_connection: float | None = None
    """Requests over connections opened, of all hops that the source counts together; infinite for none."""
    is_unattributed: bool = False

    @property
    def ports_share(self) -> float | None:
        """Return the share of the local ports that is taken towards this peer, 0 to 1."""
        return None if not self.ports else self.state.ports_used / self.ports

    @property
    def ports_left(self) -> int | None:
        """Return how many local ports are left towards this peer."""
        return None if self.ports is None else max(0, self.ports - self.state.ports_used)


@dataclass(frozen=True, slots=True)
class _Requests:
    """What one source counted within the span."""

    flow: RequestFlow
    requests: int
    connections: int | None


def summarize(snapshots: Sequence[Snapshot], span_s: float = SPAN_S) -> tuple[HopRow, ...]:
    """Return a row for each hop of the last `span_s` seconds of `snapshots`, the fastest first.

    Hops on which none of the processes that are watched was seen come last.
    """
    recent = _last(snapshots, span_s)
    if not recent:
        return ()
    seconds = sum(each.duration_s for each in recent)
    flows = _flows(recent)
    states = {each.hop: each for each in recent[-1].hops}
    sums = {hop: total(parts) for hop, parts in flows.items()}
    requests = _per_hop(recent, sums)
    keeps = keeps_traces(recent)
    may_miss = {direction: _may_miss(recent, direction) for direction in Direction}
    rows = []
    for hop, flow in sums.items():
        last, closes = states.get(hop), closer(flow, keeps_traces=keeps)
        counted = requests.get(hop)
        rows.append(
            HopRow(
                hop,
                flow.opened / seconds if seconds else 0.0,
                # What this host closes first stays in its TIME_WAIT, and so is seen.
                may_miss[hop.direction] and closes is not Closer.HERE,
                closes,
                last.state if last is not None else HopState(),
                flow,
                recent[-1].host.ports if hop.direction is Direction.OUTGOING else None,
                counted.requests / seconds if counted is not None and seconds else None,
                _ratio(counted),
                last is not None and last.is_unattributed,
            )
        )
    return tuple(sorted(rows, key=_order))


def _order(row: HopRow) -> tuple[bool, float, int, PeerHop]:
    """Return the key of a row: what may be another process's stands apart, at the end."""
    return row.is_unattributed, -row.opened_per_s, -row.state.time_wait, row.hop


def _last(snapshots: Sequence[Snapshot], span_s: float) -> Sequence[Snapshot]:
    """Return the last snapshots that together last for `span_s`, at least one."""
    total, count = 0.0, 0
    for each in reversed(snapshots):
        if count and total + each.duration_s > span_s * 1.05:  # intervals are a little longer than asked for
            break
        total, count = total + each.duration_s, count + 1
    return snapshots[len(snapshots) - count :]


def _may_miss(snapshots: Sequence[Snapshot], direction: Direction) -> bool:
    """Return whether connections may have been opened that no look at the sockets could see.

    None were where the kernel's counters have no more opens than the hops. ActiveOpens counts each SYN that
    is sent, so failed ones too (RFC 4022, tcpActiveOpens).
    """
    sampled = [each for each in snapshots if each.source is Source.SAMPLED]
    seen = counted = 0
    for each in sampled:
        flows = [one.flow for one in each.hops if one.hop.direction is direction]
        seen += sum(flow.opened + flow.failed_opens for flow in flows)
        is_outgoing = direction is Direction.OUTGOING
        counted += each.host_flow.active_opens if is_outgoing else each.host_flow.passive_opens
    return bool(sampled) and (counted > seen or not counted)


def _flows(snapshots: Iterable[Snapshot]) -> Mapping[PeerHop, list[HopFlow]]:
    flows: dict[PeerHop, list[HopFlow]] = defaultdict(list)
    for snapshot in snapshots:
        for each in snapshot.hops:
            flows[each.hop].append(each.flow)
    return flows


def _per_hop(snapshots: Sequence[Snapshot], sums: Mapping[PeerHop, HopFlow]) -> Mapping[PeerHop, _Requests]:
    """Return for each hop what the source that says most about it counted.

    Connections of a source that counts none are those of all hops that it counts together.
    """
    found: dict[PeerHop, _Requests] = {}
    ports = CountedPorts(snapshots)
    for each in sorted(_requests(snapshots), key=lambda one: _narrowness(one.flow)):
        hops = [hop for hop in sums if _is_of(each.flow, hop, ports)]
        opened = sum(sums[hop].opened for hop in hops) if each.connections is None else each.connections
        found |= {hop: _Requests(each.flow, each.requests, opened) for hop in hops}
    return found


def _requests(snapshots: Sequence[Snapshot]) -> Iterator[_Requests]:
    """Yield the sums of each source for each hop that it tells apart."""
    named: dict[tuple[object, ...], list[RequestFlow]] = defaultdict(list)
    for snapshot in snapshots:
        for flow in snapshot.requests:
            named[(flow.source, flow.port, flow.direction, flow.peer)].append(flow)
    for flows in named.values():
        counts = [flow.connections for flow in flows if flow.connections is not None]
        yield _Requests(flows[0], sum(flow.requests for flow in flows), sum(counts) if counts else None)


def _narrowness(flow: RequestFlow) -> int:
    """Return how much a source tells hops apart: what names a peer says more than what names a port."""
    return 2 * (flow.peer is not None) + (flow.port is not None)


def _is_of(flow: RequestFlow, hop: PeerHop, ports: CountedPorts) -> bool:
    return (
        flow.direction is hop.direction
        and hop.port in ports.of(flow)
        and (flow.peer is None or flow.peer == hop.peer)
    )


def _ratio(counted: _Requests | None) -> float | None:
    """Return requests per connection; infinite where there were requests and no connection was opened."""
    if counted is None or not counted.requests:
        return None
    return counted.requests / counted.connections if counted.connections else float("inf")
