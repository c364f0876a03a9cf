"""A model of a kernel's table of sockets, which knows what really happened on each hop."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from bench.observe.sock_diag import CLOSE_WAIT, ESTABLISHED, TIME_WAIT
from bench.watch.dump import Dump
from bench.watch.dump_reader import KnownPorts, read_dump
from bench.watch.model import HostFlow
from tests.watch.socket_rows import listener, message, rows, waiting

End = tuple[str, int]
Tuple = tuple[End, End]
HERE = "10.0.0.1"
HopKey = tuple[bool, str, int]
"""Whether it is incoming, the peer's address, the server's port."""


@dataclass
class Truth:
    """What happened on a hop."""

    opened: int = 0
    closed_here: int = 0
    closed_there: int = 0
    reset: int = 0


@dataclass
class ModelKernel:
    """Sockets of a host with the address HERE, at a time that the test moves on."""

    listens: set[int] = field(default_factory=set)
    now_ms: float = 1e6
    reuse_after_ms: float = 1000
    truth: dict[HopKey, Truth] = field(default_factory=lambda: defaultdict(Truth))
    active: int = 0
    passive: int = 0
    resets: int = 0
    waits: int = 0
    _sockets: dict[Tuple, tuple[int, int]] = field(default_factory=dict)
    """State and inode."""
    _waiting: dict[Tuple, float] = field(default_factory=dict)
    """When they came to TIME_WAIT."""
    _inode: int = 100
    _known: KnownPorts = field(default_factory=KnownPorts)

    def hop(self, ends: Tuple) -> HopKey:
        """Return the hop of a socket."""
        (_, port), (peer, peer_port) = ends
        is_incoming = port in self.listens
        return is_incoming, peer, port if is_incoming else peer_port

    def ends(self, ends: Tuple) -> list[Tuple]:
        """Return those ends of a connection that are here."""
        return [ends, ends[::-1]] if ends[1][0] == HERE else [ends]

    def open(self, ends: Tuple) -> bool:
        """Open a connection unless its tuple is taken; return whether that was so."""
        for each in self.ends(ends):
            came_ms = self._waiting.get(each)
            is_waiting = came_ms is not None and self.now_ms - came_ms < self.reuse_after_ms
            if each in self._sockets or is_waiting:
                return False
        for each in self.ends(ends):
            self._waiting.pop(each, None)
            self._inode += 1
            self._sockets[each] = ESTABLISHED, self._inode
            self.truth[self.hop(each)].opened += 1
            if self.hop(each)[0]:
                self.passive += 1
            else:
                self.active += 1
        return True

    def close_here(self, ends: Tuple) -> None:
        """End a connection by a FIN of this end."""
        if self._sockets.get(ends, (0, 0))[0] != ESTABLISHED:
            return
        for each in self.ends(ends):
            del self._sockets[each]
            if each == ends:
                self.truth[self.hop(each)].closed_here += 1
                self._waiting[each] = self.now_ms
                self.waits += 1
            else:
                self.truth[self.hop(each)].closed_there += 1

    def close_there(self, ends: Tuple) -> None:
        """End a connection by a FIN of the peer, which is elsewhere."""
        state = self._sockets.get(ends, (0, 0))[0]
        if state and len(self.ends(ends)) == 1:
            del self._sockets[ends]
            self.truth[self.hop(ends)].closed_there += state == ESTABLISHED

    def half_close_there(self, ends: Tuple) -> None:
        """Have the peer, which is elsewhere, send its FIN: the process here has not closed yet."""
        state, inode = self._sockets.get(ends, (0, 0))
        if state == ESTABLISHED and len(self.ends(ends)) == 1:
            self._sockets[ends] = CLOSE_WAIT, inode
            self.truth[self.hop(ends)].closed_there += 1

    def reset(self, ends: Tuple) -> None:
        """End a connection by an RST."""
        if self._sockets.get(ends, (0, 0))[0] == ESTABLISHED:
            for each in self.ends(ends):
                del self._sockets[each]
                self.truth[self.hop(each)].reset += 1
                self.resets += 1

    def live(self) -> dict[HopKey, int]:
        """Return how many connections there are on each hop."""
        found: dict[HopKey, int] = defaultdict(int)
        for each in self._sockets:
            found[self.hop(each)] += 1
        return found

    def growth(self) -> HostFlow:
        """Return the counters."""
        return HostFlow(self.active, self.passive, 0, self.resets)

    def dump(self, before: Dump | None = None, buffer_rows: int = 7) -> Dump:
        """Return a dump as it is now."""
        self._waiting = {ends: at for ends, at in self._waiting.items() if self.now_ms - at < 60_000}
        self._known.listened.update(rows([listener("0.0.0.0", port) for port in self.listens]), self.now_ms)
        told = [message(state, *ends, inode=inode) for ends, (state, inode) in self._sockets.items()] + [
            waiting(*ends, self.now_ms - came_ms) for ends, came_ms in self._waiting.items()
        ]
        parts = [told[at : at + buffer_rows] for at in range(0, len(told), buffer_rows)]
        return read_dump(map(rows, parts), lambda: self.now_ms, self._known, before)

    def in_time_wait(self) -> int:
        """Return how many sockets are in TIME_WAIT."""
        return len(self._waiting)


__all__ = ["HERE", "TIME_WAIT", "ModelKernel", "Truth"]
