"""F3: thousands of clients that begin a request and let the rest of it trickle."""

from __future__ import annotations

import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from bench.errors import RoleError
from tests.attacks import rows
from tests.attacks.arena import Address, Arena, Good, Watched, attacked
from tests.perf.pairs import Row
from tests.perf.settings import Settings

PART = "slow-bodies"
CLIENTS = 4100
"""A few more than the upstream connections that our proxy opens at most (`--pool-max`)."""
_OTHER_FILES = 256
_EVERY_S = 1.0
_TURNS = 100
_OPEN_TIMEOUT_S = 60.0
_POST = b"POST /slow HTTP/1.1\r\nHost: attack\r\n"
_CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Kind:
    """What each client sends at once, and what it sends once a second from then on."""

    what: str
    first: bytes
    then: bytes
    opens: float | None = 1
    """Upstream connections that it may take at most, the good client's own included."""


KINDS = (
    Kind("1 of 1,000 bytes", _POST + b"Content-Length: 1000\r\n\r\nx", b""),
    Kind("1,000 bytes, one a second", _POST + b"Content-Length: 1000\r\n\r\n", b"x"),
    Kind(
        "20 KiB of 1 MB, then a byte a second",
        _POST + b"Content-Length: 1000000\r\n\r\n" + b"x" * 20480,
        b"x",
        None,
    ),
    Kind("1 byte of a chunk", _POST + _CHUNKED + b"3e8\r\nx", b""),
    Kind("chunks of 1 byte, one a second", _POST + _CHUNKED, b"1\r\nx\r\n"),
    Kind("a head, one byte a second", _POST + b"X-Slow: ", b"x"),
)


class SlowClients:
    """So many clients of one kind; `opened` is set once each has sent what it sends at once."""

    def __init__(self, kind: Kind, count: int) -> None:
        self._kind = kind
        self._count = count
        self.opened = threading.Event()

    def run(self, address: Address, stop: threading.Event) -> None:
        """Open the clients, then let each trickle until told to stop."""
        with ExitStack() as stack:
            clients = []
            for _ in range(self._count):
                client = stack.enter_context(socket.create_connection(address, _OPEN_TIMEOUT_S))
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                client.sendall(self._kind.first)
                clients.append(client)
                if stop.is_set():
                    return
            self.opened.set()
            while not stop.is_set() and clients:
                clients = self._trickle_all(clients, stop)

    def _trickle_all(self, clients: list[socket.socket], stop: threading.Event) -> list[socket.socket]:
        """Let each client trickle once, evenly over a second; return those that are still there."""
        kept = []
        for turn in range(_TURNS):
            began = time.monotonic()
            kept += [client for client in clients[turn::_TURNS] if self._trickle(client)]
            stop.wait(max(0.0, began + _EVERY_S / _TURNS - time.monotonic()))
        return kept

    def _trickle(self, client: socket.socket) -> bool:
        """Send a little more; return False once the proxy has enough of this client."""
        try:
            client.sendall(self._kind.then)
        except OSError:
            return False
        return True


def measure(arena: Arena, settings: Settings) -> Iterator[Row]:
    """Yield the rows of each kind of slowness."""
    count = min(CLIENTS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2 - _OTHER_FILES)
    for kind in KINDS:
        yield from _rows(arena, kind, count, settings.window_s * 3)


def _rows(arena: Arena, kind: Kind, count: int, duration_s: float) -> Iterator[Row]:
    what = f"{count:,} clients, {kind.what}"
    quiet: dict[str, Good] = {}
    good: dict[str, Good] = {}
    watched: dict[str, Watched] = {}
    held: dict[str, float] = {}
    for name in arena.names:
        backend = arena.backend()
        with arena.subject(name, backend.address) as subject:
            quiet[name] = arena.good(subject, duration_s)
            before = backend.count()
            slow = SlowClients(kind, count)
            with attacked(subject, slow.run) as watched[name]:
                if not slow.opened.wait(_OPEN_TIMEOUT_S):
                    raise RoleError(name, f"did not accept {count} clients in {_OPEN_TIMEOUT_S:g} s")
                good[name] = arena.good(subject, duration_s)
                held[name] = backend.count().since(before).accepted
        backend.process.kill()
    yield from rows.good_rows(PART, what, quiet, good)
    yield rows.row(PART, f"{what}: upstream connections opened", "", held, limit=kind.opens)
    cpu = {name: 100 * each.cpu_s / each.wall_s for name, each in watched.items()}
    yield rows.row(PART, f"{what}: CPU", "% of a core", cpu)
    grown = {name: each.grown_kib / count for name, each in watched.items()}
    yield rows.row(PART, f"{what}: memory of each", "KiB", grown)
