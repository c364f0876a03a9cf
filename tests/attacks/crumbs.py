"""F2: heads, chunks, trailers and bodies that come one byte a segment, from clients and from upstreams."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from urllib.parse import quote

from tests.attacks import rows
from tests.attacks.arena import Address, Arena, Good, attacked
from tests.attacks.crumb_messages import PAUSE_S, REQUESTS, RESPONSES, Message
from tests.perf.pairs import Row
from tests.perf.settings import Settings
from tests.perf.subjects import Subject

PART = "crumbs"
SHORT, LONG = 8 * 1024, 30 * 1024
"""Both below the limits on a head: ours, and four buffers of 8 KiB in nginx."""
LINEAR = 1.5
"""A byte of the long message costs at most so many times what one of the short message costs."""
CLIENTS = 4
PATIENT_PAUSE_S = 0.0003
"""With it each client sends some 3 kB/s."""
_TIMEOUT_S = 30.0


class CrumbClients:
    """Clients that send their messages in crumbs, in step with one another, once or again and again.

    `sent` counts the crumbs that the proxy has taken, `statuses` what it answered.
    """

    def __init__(self, messages: Sequence[Message], pause_s: float, *, again: bool) -> None:
        self._messages = messages
        self._pause_s = pause_s
        self._again = again
        self.sent = 0
        self.statuses: Counter[str] = Counter()
        self.done = threading.Event()

    def run(self, address: Address, stop: threading.Event) -> None:
        """Send until done or told to stop."""
        try:
            while not stop.is_set():
                clients = [self._crumbs(address, message) for message in self._messages]
                while clients and not stop.is_set():
                    clients = [client for client in clients if next(client, False)]
                    time.sleep(self._pause_s)
                for client in clients:
                    client.close()
                if not self._again:
                    return
        finally:
            self.done.set()

    def _crumbs(self, address: Address, message: Message) -> Generator[bool, None, None]:
        """Send a crumb a step."""
        with socket.create_connection(address, _TIMEOUT_S) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                client.sendall(message.before)
                for at in range(len(message.crumbs)):
                    client.send(message.crumbs[at : at + 1])
                    self.sent += 1
                    yield True
                client.sendall(message.after)
                self.statuses[client.recv(65_536)[9:12].decode() or "end"] += 1
            except ConnectionError:
                self.statuses["reset"] += 1


class CrumbReaders:
    """Clients that ask for a response that the upstream sends in crumbs; `sent` counts these."""

    def __init__(self, kind: str, size: int, count: int) -> None:
        self._request = (
            f"GET /crumbs/{quote(kind)}/{size} HTTP/1.1\r\nHost: attack\r\nConnection: close\r\n\r\n"
        )
        self._count = count
        self.sent = len(RESPONSES[kind](size).crumbs) * count
        self.statuses: Counter[str] = Counter()
        self.done = threading.Event()

    def run(self, address: Address, stop: threading.Event) -> None:
        """Ask, and read all responses to their ends."""
        clients = [socket.create_connection(address, _TIMEOUT_S) for _ in range(self._count)]
        try:
            for client in clients:
                client.sendall(self._request.encode())
            for client in clients:
                first = client.recv(65_536)
                while not stop.is_set() and client.recv(65_536):
                    pass
                self.statuses[first[9:12].decode() or "end"] += 1
        finally:
            for client in clients:
                client.close()
            self.done.set()


Crumbs = CrumbClients | CrumbReaders


def measure(arena: Arena, settings: Settings) -> Iterator[Row]:
    """Yield what a KiB in crumbs costs, of each kind, and what the good client is given meanwhile."""
    upstream, _ = arena.upstream("crumb_upstream")
    for kind in REQUESTS:
        yield from _cost_rows(arena, upstream, f"request {kind}", kind, by_client=True)
    for kind in RESPONSES:
        yield from _cost_rows(arena, upstream, f"response {kind}", kind, by_client=False)
    yield from _good_rows(arena, settings.window_s * 3)


def _cost_rows(arena: Arena, upstream: str, what: str, kind: str, *, by_client: bool) -> Iterator[Row]:
    """Yield the rows of one kind: CPU per KiB of the long message, and how that is to the short one."""
    costs: dict[str, float] = {}
    growth: dict[str, float] = {}
    notes: list[str] = []
    for name in arena.names:
        with arena.subject(name, upstream) as subject:
            found = []
            for size in (SHORT, LONG):
                crumbs: Crumbs
                if by_client:
                    crumbs = CrumbClients([REQUESTS[kind](size)] * CLIENTS, PAUSE_S, again=False)
                else:
                    crumbs = CrumbReaders(kind, size, CLIENTS)
                found.append(_cost(subject, crumbs))
                notes.append(f"{name}: {size // 1024} KiB answered {dict(crumbs.statuses)}")
        costs[name], growth[name] = 1e3 * found[1], found[1] / found[0]
    title = f"{what}, a byte a segment: CPU of a KiB"
    yield rows.row(PART, title, "ms", costs, notes=tuple(notes))
    yield rows.row(PART, f"{title}, of 30 KiB to 8 KiB", "x", growth, limit=LINEAR)


def _cost(subject: Subject, crumbs: Crumbs) -> float:
    """Return the CPU seconds that a KiB cost the proxy."""
    with attacked(subject, crumbs.run) as watched:
        crumbs.done.wait(2 * _TIMEOUT_S)
    return watched.cpu_s / crumbs.sent * 1024


def _good_rows(arena: Arena, duration_s: float) -> Iterator[Row]:
    """Yield the rows of the good client, while one client of each kind sends some 3 kB/s."""
    quiet: dict[str, Good] = {}
    good: dict[str, Good] = {}
    cpu: dict[str, float] = {}
    backend = arena.backend()
    messages = [make(LONG) for make in REQUESTS.values()]
    for name in arena.names:
        with arena.subject(name, backend.address) as subject:
            quiet[name] = arena.good(subject, duration_s)
            with attacked(subject, CrumbClients(messages, PATIENT_PAUSE_S, again=True).run) as watched:
                good[name] = arena.good(subject, duration_s)
            cpu[name] = 100 * watched.cpu_s / watched.wall_s
    what = f"{len(messages)} clients, each 3 kB/s in crumbs"
    yield from rows.good_rows(PART, what, quiet, good)
    yield rows.row(PART, f"{what}: CPU", "% of a core", cpu)
