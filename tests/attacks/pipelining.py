"""F1: one client streams requests without pause, and reads what is answered never, slowly, or all of it."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Iterator
from functools import partial

from tests.attacks import rows
from tests.attacks.arena import Address, Arena, Attack, Good, Watched, attacked
from tests.perf.pairs import Row
from tests.perf.settings import Settings

PART = "pipelining"
_REQUESTS = b"GET /attack HTTP/1.1\r\nHost: attack\r\n\r\n" * 1700
"""About 64 KiB: one write fills the largest buffer that a proxy reads into."""
_SLOW_BYTES, _SLOW_S = 1024, 0.02
_SMALL = 4096
"""A receive buffer that takes few answers in the place of a client that reads none."""
KINDS = ("never", "slowly", "all")


class Pipeliner:
    """A client that pipelines; `sent` counts what left it, into the kernel's buffers or the proxy."""

    def __init__(self, reads: str) -> None:
        self._reads = reads
        self.sent = 0
        self.read = 0

    def run(self, address: Address, stop: threading.Event) -> None:
        """Stream until told to stop, or until the proxy ends the connection."""
        with socket.socket() as client:
            if self._reads != "all":
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL)
            client.connect(address)
            client.setblocking(False)
            try:
                self._stream(client, stop)
            except (BrokenPipeError, ConnectionResetError):
                return

    def _stream(self, client: socket.socket, stop: threading.Event) -> None:
        unsent, next_read_s = memoryview(b""), 0.0
        while not stop.is_set():
            wants = [client] if self._reads == "all" else []
            readable, writable, _ = select.select(wants, [client], [], _SLOW_S)
            if readable or (self._reads == "slowly" and time.monotonic() >= next_read_s):
                next_read_s = time.monotonic() + _SLOW_S
                self._take(client, 1 << 18 if readable else _SLOW_BYTES)
            if writable:
                unsent = unsent or memoryview(_REQUESTS)
                count = client.send(unsent)
                unsent = unsent[count:]
                self.sent += count

    def _take(self, client: socket.socket, size: int) -> None:
        try:
            self.read += len(client.recv(size))
        except BlockingIOError:
            return


def measure(arena: Arena, settings: Settings) -> Iterator[Row]:
    """Yield the rows of each way to read."""
    backend = arena.backend()
    for reads in KINDS:
        yield from _rows(arena, backend.address, reads, settings.window_s * 3)


def _rows(arena: Arena, upstream: str, reads: str, duration_s: float) -> Iterator[Row]:
    what = f"pipelines without pause, reads {reads if reads != 'never' else 'nothing'}"
    quiet: dict[str, Good] = {}
    good: dict[str, Good] = {}
    watched: dict[str, Watched] = {}
    taken: dict[str, Pipeliner] = {}
    for name in arena.names:
        with arena.subject(name, upstream) as subject:
            quiet[name] = arena.good(subject, duration_s)
            taken[name] = Pipeliner(reads)
            attack: Attack = partial(Pipeliner.run, taken[name])
            with attacked(subject, attack) as watched[name]:
                good[name] = arena.good(subject, duration_s)
    yield from rows.good_rows(PART, what, quiet, good)
    grown = {name: each.grown_kib for name, each in watched.items()}
    yield rows.row(PART, f"{what}: memory grows by", "KiB", grown, limit=rows.ONE_CLIENT_KIB)
    cpu = {name: 100 * each.cpu_s / each.wall_s for name, each in watched.items()}
    yield rows.row(PART, f"{what}: CPU", "% of a core", cpu)
    rate = {name: each.sent / watched[name].wall_s / 1024 for name, each in taken.items()}
    yield rows.row(PART, f"{what}: taken", "KiB/s", rate)
