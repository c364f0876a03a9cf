"""Bound the hops that are told apart over a long time: in a recording, in the labels of metrics. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from bench.watch.flows import total
from bench.watch.model import OTHER_PEERS, Direction, HopSnapshot, HopState, PeerHop, Snapshot

MOST_HOPS = 64
MOST_CLIENTS = 8
"""Peers of one listening port that are told apart: clients come and go, the port stays."""


class KnownHops:
    """The hops that are told apart, first come, first kept.

    Peers beyond them share a hop named `others`: one for each port that is listened on, and one for all that
    this host connects to.
    """

    def __init__(self) -> None:
        self._known: dict[PeerHop, None] = {}
        self._clients: Counter[int] = Counter()

    def __iter__(self) -> Iterator[PeerHop]:
        return iter(self._known)

    def fold(self, snapshot: Snapshot) -> Snapshot:
        """Return a snapshot whose hops are all known, the fastest of new ones first."""
        folded: dict[PeerHop, list[HopSnapshot]] = defaultdict(list)
        for each in sorted(snapshot.hops, key=lambda one: (-one.flow.opened, -one.state.time_wait, one.hop)):
            folded[self._find(each.hop)].append(each)
        return replace(snapshot, hops=tuple(_merge(hop, parts) for hop, parts in folded.items()))

    def _find(self, hop: PeerHop) -> PeerHop:
        if hop in self._known:
            return hop
        is_client = hop.direction is Direction.INCOMING
        has_room = len(self._known) < MOST_HOPS and not (
            is_client and self._clients[hop.port] >= MOST_CLIENTS
        )
        port = hop.port if is_client and len(self._known) < 2 * MOST_HOPS else 0
        kept = hop if has_room else PeerHop(hop.direction, OTHER_PEERS, port)
        if kept not in self._known:
            self._known[kept] = None
            self._clients[kept.port] += is_client
        return kept


def _merge(hop: PeerHop, parts: Sequence[HopSnapshot]) -> HopSnapshot:
    """Return one hop for several; ports are those towards the peer that has most, since each has its own."""
    if len(parts) == 1:
        return replace(parts[0], hop=hop)
    states = [part.state for part in parts]
    state = HopState(
        established=sum(each.established for each in states),
        time_wait=sum(each.time_wait for each in states),
        close_wait=sum(each.close_wait for each in states),
        syn_sent=sum(each.syn_sent for each in states),
        fin_wait=sum(each.fin_wait for each in states),
        ports_used=max(each.ports_used for each in states),
        processes=tuple(dict.fromkeys(name for each in states for name in each.processes)),
    )
    return HopSnapshot(hop, total(part.flow for part in parts), state)
