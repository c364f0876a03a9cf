"""Which of the kernel's events belong to a scope: they name no network namespace, and mostly no process.

An address that only this namespace has tells it apart. Of 127.0.0.0/8 and ::1, which every one has, and of
processes, a connection that opens is told apart by the thread that connects (connecting.py). What came in and
what was open before, counts on a hop that a dump of the scope showed too. Source: network_namespaces(7).
"""

import socket
import time
from collections.abc import Iterable, Mapping

import numpy as np
import psutil
from numpy.typing import NDArray

from bench.observe.sock_diag import LISTEN, SockDiag, address_words
from bench.watch import connecting, socket_events
from bench.watch.connecting import ConnectingThreads
from bench.watch.event_reader import Selection
from bench.watch.model import Direction, HopFlow, HopSnapshot, PeerHop
from bench.watch.scope import Scope
from bench.watch.socket_events import CONNECT_FILTER, STATE_FILTER, RowKind, Rows
from bench.watch.strangers import Strangers

_LOOK_AGAIN_S = 10.0
"""For other namespaces: it takes a look at each process."""
_LOOK_SHARE = 0.01
"""Of the time, for looks in between, where an address is none of this namespace."""
_INTERNET = (socket.AF_INET, socket.AF_INET6)
_ODD = np.uint64(0x9E3779B97F4A7C15)
"""Any odd factor without a pattern: it spreads one half of an address over the other."""


class ScopeEvents:
    """Tells what happened in a scope from what happened beside it."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._threads = ConnectingThreads(scope)
        self._neighbours = 0
        self._look_due_s = self._look_allowed_s = 0.0
        self._addresses = np.empty(0, np.uint64)
        self._peers: set[PeerHop] = set()
        self._ports: set[int] = set()
        """On which the scope was seen to take connections, or where it is a namespace, to listen."""
        self.refresh()
        self._names_threads = self._is_narrow and connecting.can_name_threads()

    @property
    def selection(self) -> Selection:
        """Return what a reader of events is to count."""
        return Selection(
            listening=self._listening,
            condition=CONNECT_FILTER if self._names_threads else STATE_FILTER,
            select=self._select,
            strangers=self._strangers,
        )

    def refresh(self) -> None:
        """Look again for the addresses of the namespace, and now and then for other namespaces."""
        self._threads.forget()
        if time.monotonic() >= self._look_due_s:
            self._look_for_neighbours()
        self._addresses = _keys(self._scope.call(own_addresses))

    def learn(self, hops: Iterable[HopSnapshot]) -> None:
        """Remember the hops that dumps of the scope showed."""
        for each in hops:
            if each.is_unattributed:
                continue
            if each.hop.direction is Direction.INCOMING:
                self._ports.add(each.hop.port)
            else:
                self._peers.add(each.hop)

    def of_scope(self, flows: Mapping[PeerHop, HopFlow]) -> dict[PeerHop, HopFlow]:
        """Return what happened on hops of the scope."""
        return {hop: flow for hop, flow in flows.items() if self._has(hop, flow)}

    def doubt(self, hops: Iterable[PeerHop]) -> str | None:
        """Return what cannot be told apart among `hops`, in a sentence; None: nothing."""
        if self._names_threads or not self._is_narrow:
            return None
        if self._scope.pids is not None:
            return (
                "an event names no process here: on a hop of these processes counts what others did there too"
            )
        if any(_is_shared(hop) for hop in hops):
            others = f"{self._neighbours} other network namespace{'s' if self._neighbours > 1 else ''}"
            return f"{others} may have loopback hops with the same ports: an event does not tell them apart"
        return None

    @property
    def _is_narrow(self) -> bool:
        """Return whether a scope is less than this host."""
        return self._scope.pids is not None or self._neighbours > 0

    def _listening(self) -> frozenset[int]:
        ports = self._scope.call(listened_ports)
        if self._scope.pids is None:
            self._ports |= ports
        return ports

    def _strangers(self) -> Strangers | None:
        if not self._names_threads:
            return None
        return Strangers(self._threads, also_other_ends=self._scope.pids is None)

    def _look_for_neighbours(self) -> None:
        before_s = time.monotonic()
        self._neighbours = len(namespaces_in_use() - {self._scope.netns_inode})
        now_s = time.monotonic()
        self._look_due_s = now_s + _LOOK_AGAIN_S
        self._look_allowed_s = now_s + (now_s - before_s) / _LOOK_SHARE

    def _select(self, rows: Rows) -> Rows:
        """Return the rows that may belong to the namespace, by the address on this side.

        Without other namespaces they are all of them: a transparent proxy has connections of any address.
        """
        local = rows["local"]
        is_ours = np.isin(_keys(local), self._addresses) | socket_events.is_loopback(local)
        is_ours |= rows["kind"] != RowKind.STATE
        if not self._neighbours and not is_ours.all() and time.monotonic() >= self._look_allowed_s:
            self._look_for_neighbours()
        selected: Rows = rows[is_ours] if self._neighbours else rows
        return selected

    def _has(self, hop: PeerHop, flow: HopFlow) -> bool:
        """Return whether a hop that events told of is one of the scope."""
        if self._scope.pids is None and not (self._neighbours and _is_shared(hop)):
            return True
        if hop.direction is Direction.INCOMING:
            return hop.port in self._ports
        is_named = self._names_threads and flow.opened + flow.failed_opens > 0
        if self._scope.pids is None:
            # Over loopback whoever takes a connection listens here too; a thread that ended says nothing.
            is_named &= hop.port in self._ports or flow.opened == 0
        return is_named or hop in self._peers


def own_addresses() -> NDArray[np.uint32]:
    """Return the addresses of the calling thread's namespace, (addresses, 4), as address_words does."""
    families = psutil.net_if_addrs().values()
    texts = [each.address for found in families for each in found if each.family in _INTERNET]
    return np.array([address_words(text) for text in texts], np.uint32).reshape(-1, 4)


def listened_ports() -> frozenset[int]:
    """Return the ports that are listened on in the calling thread's namespace."""
    diag = SockDiag()
    try:
        return frozenset(diag.dump((LISTEN,)).local_port.tolist())
    finally:
        diag.close()


def namespaces_in_use() -> set[int | None]:
    """Return the inodes of the network namespaces that processes are in, as far as they may be read."""
    found: set[int | None] = set()
    for pid in psutil.pids():
        found.add(connecting.namespace_of(pid))
    return found - {None}


def _is_shared(hop: PeerHop) -> bool:
    """Return whether every network namespace may have the hop."""
    return hop.peer.startswith("127.") or hop.peer == "::1"


def _keys(words: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """Return a number for each address; those of IPv4 never share one."""
    halves = np.ascontiguousarray(words).view(np.uint64)
    return halves[:, 0] * _ODD ^ halves[:, 1]
