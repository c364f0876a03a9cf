"""The kernel's sockets around a server of this host that is loaded: towards the clients, and behind it.

A connection that ends leaves a socket in TIME_WAIT on the side that closed first, for 60 seconds
(include/net/tcp.h, TCP_TIMEWAIT_LEN). Dumps twice a second see each of them with the time that it has left,
and so count those that came, also where a port is used again: the kernel does that after a second at the
earliest (net.ipv4.tcp_tw_reuse_delay). Connections that are reset leave nothing: a count is "at least". The
kernel's own count of connections opened on this host, without those of the clients, is "at most".
"""

import socket
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.observe import listener
from bench.observe.listener import Listener, Peer
from bench.observe.sock_diag import (
    CONNECTED,
    ESTABLISHED,
    LISTEN,
    TIME_WAIT,
    AddressedSockets,
    SockDiag,
    address_words,
)
from bench.observe.tcp_counters import CounterFiles

_INTERVAL_S = 0.5
_SETTLE_S = 1.0
_POLL_S = 0.05
_STAYS_MS = 60_000
_SAME_MS = 300
"""A socket in TIME_WAIT is a new one where it came so much later than the last on its port."""
_PEERS_EVERY = 10
"""Dumps from one look at the processes' files to the next, once their peers are known."""
_MOST_TRIES = 10
_HELD = (*(state for state in CONNECTED if state != TIME_WAIT), LISTEN)
"""The states of a socket that a process holds."""
_STEADY = 4
"""Looks that find nothing new, after which the peers are known."""
_EMPTY_LOOKS = 20
"""Looks without any peer after which it is looked for seldom: a server that answers by itself has none."""


@dataclass(frozen=True, slots=True)
class TargetCount:
    """The sockets in TIME_WAIT at one moment, by side; None: that side cannot be seen from this host."""

    t_ns: int
    clients: int
    """On the clients' side of their connections to the server."""
    front: int | None
    """On the server's side of the same."""
    behind: int | None
    """On the server's side of the connections that it opens."""
    upstream: int | None
    """On the other side of those, where that is on this host too."""


@dataclass(frozen=True, slots=True)
class TargetSockets:
    """What the kernel showed of a server over a trial."""

    counts: tuple[TargetCount, ...]
    """Along the time; the last one when all connections had come to rest."""
    peers: tuple[str, ...] | None
    """To whom it connects, HOST:PORT each; None where its processes cannot be read."""
    opened: int | None
    """Connections that it opened to them, at the least."""
    opened_here: int | None
    """Connections that all processes of this host opened, the clients among them; None: it is not here."""


class TargetWatch:
    """Watch the server at an address. States: made, running (`start`), stopped (`stop`).

    OSError where the system has no sock_diag.
    """

    def __init__(self, address: str, port: int) -> None:
        self._address, self._port = address_words(address), port
        self._diag = SockDiag()
        sockets = self._diag.dump_addressed((LISTEN,))
        inodes = listener.listening_inodes(sockets, address, port) if _is_ours(address) else frozenset()
        self.is_local = bool(inodes)
        self.listener: Listener | None = listener.find(inodes) if inodes else None
        self._peers: dict[Peer, _PeerCount] = {}
        self._counts: list[TargetCount] = []
        self._looks = self._nothing_new = 0
        self._start_ms = 0.0
        self._opens = CounterFiles()
        self._opened_before = 0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="target watch", daemon=True)
        self._failure: OSError | None = None

    def start(self) -> None:
        """Start the thread; what is there before the load is not counted."""
        self._start_ms = time.monotonic_ns() / 1e6
        self._opened_before = self._opens.read().active_opens
        self._sample()
        self._thread.start()

    def stop(self) -> TargetSockets:
        """End the sampling and return what was seen; OSError where that failed."""
        self._is_over.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure
        deadline_s = time.monotonic() + _SETTLE_S
        while self._sample() and time.monotonic() < deadline_s:
            time.sleep(_POLL_S)
        peers = sorted(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self._peers)
        is_known = self.listener is not None
        return TargetSockets(
            tuple(self._counts),
            tuple(peers) if is_known else None,
            sum(each.opened for each in self._peers.values()) if is_known else None,
            self._opens.read().active_opens - self._opened_before if self.is_local else None,
        )

    def close(self) -> None:
        """End the thread and close what it reads."""
        self._is_over.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._opens.close()
        self._diag.close()

    def _run(self) -> None:
        while not self._is_over.wait(_INTERVAL_S):
            try:
                self._sample()
            except OSError as error:
                self._failure = error
                return

    def _sample(self) -> bool:
        """Count once; return whether a connection is being opened or closed just now."""
        now_ns = time.monotonic_ns()
        sockets = self._diag.dump_addressed((*CONNECTED, LISTEN))
        self._find_peers()
        to_server = _at(sockets.remote, sockets.remote_port, self._address, self._port)
        of_server = (sockets.local_port == self._port) & ~to_server
        waits = sockets.state == TIME_WAIT
        for each in self._peers.values():
            each.count(sockets)
        behind, beyond = self._sides(sockets)
        self._counts.append(
            TargetCount(
                now_ns,
                clients=int((to_server & waits).sum()),
                front=int((of_server & waits).sum()) if self.is_local else None,
                behind=None if behind is None else int((behind & waits).sum()),
                upstream=None if beyond is None else int((beyond & waits).sum()),
            )
        )
        ours = to_server | (of_server if self.is_local else False)
        ours = ours if behind is None or beyond is None else ours | behind | beyond
        is_at_rest = waits | (sockets.state == ESTABLISHED) | (sockets.state == LISTEN)
        return bool((ours & ~is_at_rest).any())

    def _sides(self, sockets: AddressedSockets) -> tuple[NDArray[np.bool_] | None, NDArray[np.bool_] | None]:
        """Return which sockets are the server's towards its peers, and which are the peers' own."""
        if self.listener is None:
            return None, None
        return _any(sockets, (each.behind(sockets) for each in self._peers.values())), _any(
            sockets, (each.beyond(sockets) for each in self._peers.values())
        )

    def _find_peers(self) -> None:
        self._looks += 1
        is_known = self._nothing_new >= (_STEADY if self._peers else _EMPTY_LOOKS)
        if self.listener is None or (is_known and self._looks % _PEERS_EVERY):
            return
        found = self._look(self.listener) - self._peers.keys()
        self._nothing_new = 0 if found else self._nothing_new + 1
        for peer in found:
            self._peers[peer] = _PeerCount(peer, self._start_ms, is_first=not self._counts)

    def _look(self, target: Listener) -> set[Peer]:
        """Return the peers of one look, or of as many as it takes: a short connection lasts milliseconds."""
        for _ in range(_MOST_TRIES):
            # Of what is held first and in the table a moment later, no number has been given anew.
            held = listener.held_inodes(target)
            found = listener.upstream_peers(self._diag.dump_addressed(_HELD), held)
            if found:
                break
        return found


class _PeerCount:
    """Counts the connections to one peer, by what comes into TIME_WAIT on either side, and what is there."""

    def __init__(self, peer: Peer, start_ms: float, is_first: bool) -> None:
        """`is_first`: it was found before the load, so that what is there then was not opened for it."""
        self._address, self._port = address_words(peer[0]), peer[1]
        self._came_ms = np.full(1 << 16, -1e12)
        """By port of the connection: when its last socket in TIME_WAIT came, on our clock."""
        self._start_ms = start_ms
        self._ended = 0
        self._there = 0
        self._before: int | None = None if is_first else 0

    @property
    def opened(self) -> int:
        return self._ended + max(0, self._there - (self._before or 0))

    def behind(self, sockets: AddressedSockets) -> NDArray[np.bool_]:
        return _at(sockets.remote, sockets.remote_port, self._address, self._port)

    def beyond(self, sockets: AddressedSockets) -> NDArray[np.bool_]:
        found = _at(sockets.local, sockets.local_port, self._address, self._port)
        found[sockets.state == LISTEN] = False
        return found

    def count(self, sockets: AddressedSockets) -> None:
        """Add what came since the last dump."""
        behind, waits = self.behind(sockets), sockets.state == TIME_WAIT
        now_ms = time.monotonic_ns() / 1e6
        for side, ports in ((behind, sockets.local_port), (self.beyond(sockets), sockets.remote_port)):
            at = ports[side & waits]
            came_ms = now_ms - _STAYS_MS + sockets.expires_ms[side & waits]
            is_new = (came_ms > self._start_ms) & (came_ms > self._came_ms[at] + _SAME_MS)
            self._ended += int(is_new.sum())
            self._came_ms[at] = np.maximum(self._came_ms[at], came_ms)
        self._there = int((behind & ~waits).sum())
        if self._before is None:
            self._before = self._there


def _at(
    addresses: NDArray[np.uint32], ports: NDArray[np.uint16], address: NDArray[np.uint32], port: int
) -> NDArray[np.bool_]:
    """Return where `addresses` and `ports` are these."""
    found: NDArray[np.bool_] = ports == port
    found[found] = (addresses[found] == address).all(axis=1)
    return found


def _is_ours(address: str) -> bool:
    """Return whether this host has the address: only then can a socket be bound to it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def _any(sockets: AddressedSockets, masks: Iterable[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    found = np.zeros(len(sockets), np.bool_)
    for mask in masks:
        found |= mask
    return found
