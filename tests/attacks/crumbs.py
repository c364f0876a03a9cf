"""F2: heads, chunks, trailers and bodies that come one byte a segment, from clients and from upstreams."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote

from tests.attacks import rows
from tests.attacks.arena import Address, Arena, Good, attacked
from tests.attacks.crumb_messages import REQUESTS, RESPONSES, Message
from tests.attacks.upstream import GOOD, Upstream
from tests.perf.pairs import Row
from tests.perf.settings import Settings
from tests.perf.subjects import Subject

PART = "crumbs"
SHORT, LONG = 8 * 1024, 30 * 1024
"""Both below the limits on a head: ours, and four buffers of 8 KiB in nginx."""
LINEAR = 1.5
"""A byte of the long message costs at most so many times what one of the short message costs."""
OF_NGINX = 5.0
"""A byte costs at most so many times what it costs nginx: linear, but dear, is no better."""
PATIENT_PAUSE_S = 0.0003
"""With it each client sends some 3 kB/s."""
_TIMEOUT_S = 15.0
"""For one message: what it cost by then tells enough."""


class CrumbClients:
    """Clients that send their messages in crumbs, in step with one another, once or again and again.

    `sent` counts the crumbs, `statuses` what was answered; `pause` is called after each step.
    """

    def __init__(self, messages: Sequence[Message], pause: Callable[[], None], *, again: bool) -> None:
        self._messages = messages
        self._pause = pause
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
                    self._pause()
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


class CrumbUpstream:
    """An upstream whose response to `/crumbs/KIND/SIZE` comes in crumbs; `sent` counts them."""

    def __init__(self) -> None:
        self.sent = 0
        self.pause: Callable[[], None] = lambda: None
        self._upstream = Upstream(self._answer)
        self.address = self._upstream.address

    @contextmanager
    def running(self) -> Iterator[None]:
        """Serve in a thread."""
        thread = threading.Thread(target=self._upstream.serve)
        thread.start()
        try:
            yield
        finally:
            self._upstream.close()
            thread.join()

    def _answer(self, connection: socket.socket, target: str) -> None:
        if not target.startswith("/crumbs/"):
            connection.sendall(GOOD)
            return
        kind, _, size = target.removeprefix("/crumbs/").partition("/")
        message = RESPONSES[unquote(kind)](int(size))
        connection.sendall(message.before)
        for at in range(len(message.crumbs)):
            connection.send(message.crumbs[at : at + 1])
            self.sent += 1
            self.pause()
        connection.sendall(message.after)


class Asleep:
    """Waits until the proxy sleeps: it has then read what was sent, and each crumb by itself."""

    def __init__(self, subject: Subject) -> None:
        self._files = [Path(f"/proc/{pid}/stat") for pid in subject.tree.pids]

    def __call__(self) -> None:
        """Wait."""
        while any(file.read_bytes().rpartition(b") ")[2][:1] != b"S" for file in self._files):
            pass


def measure(arena: Arena, settings: Settings) -> Iterator[Row]:
    """Yield what a KiB in crumbs costs, of each kind, and what the good client is given meanwhile."""
    upstream = CrumbUpstream()
    with upstream.running():
        for kind in REQUESTS:
            yield from _cost_rows(arena, upstream, f"request {kind}", kind, by_client=True)
        for kind in RESPONSES:
            yield from _cost_rows(arena, upstream, f"response {kind}", kind, by_client=False)
    yield from _good_rows(arena, settings.window_s * 3)


def _cost_rows(
    arena: Arena, upstream: CrumbUpstream, what: str, kind: str, *, by_client: bool
) -> Iterator[Row]:
    """Yield the rows of one kind: CPU per KiB of the long message, and how that is to the short one."""
    costs: dict[str, float] = {}
    growth: dict[str, float] = {}
    notes: list[str] = []
    for name in arena.names:
        with arena.subject(name, upstream.address) as subject:
            measure_one = _request_cost if by_client else _response_cost
            found = [measure_one(subject, upstream, kind, size) for size in (SHORT, LONG)]
        notes.append(f"{name}: answered {found[0][1]}, {found[1][1]}")
        costs[name], growth[name] = 1e3 * found[1][0], found[1][0] / found[0][0]
    title = f"{what}, a byte a segment: CPU of a KiB"
    limit = OF_NGINX * costs["nginx-default"] if "nginx-default" in costs else None
    yield rows.row(PART, title, "ms", costs, limit=limit, notes=tuple(notes))
    yield rows.row(PART, f"{title}, of 30 KiB to 8 KiB", "x", growth, limit=LINEAR)


def _request_cost(subject: Subject, _: CrumbUpstream, kind: str, size: int) -> tuple[float, str]:
    """Return the CPU seconds that a KiB of a request cost the proxy, and what it answered."""
    crumbs = CrumbClients([REQUESTS[kind](size)], Asleep(subject), again=False)
    with attacked(subject, crumbs.run) as watched:
        crumbs.done.wait(_TIMEOUT_S)
    return watched.cpu_s / crumbs.sent * 1024, " ".join(crumbs.statuses) or "nothing in time"


def _response_cost(subject: Subject, upstream: CrumbUpstream, kind: str, size: int) -> tuple[float, str]:
    """Return the CPU seconds that a KiB of a response cost the proxy, and what the client got."""
    upstream.sent, upstream.pause = 0, Asleep(subject)
    done = threading.Event()
    status = ""

    def ask(address: Address, stop: threading.Event) -> None:
        nonlocal status
        fields = "Host: attack\r\nConnection: close\r\n"
        with socket.create_connection(address, 2 * _TIMEOUT_S) as client:
            client.sendall(f"GET /crumbs/{quote(kind)}/{size} HTTP/1.1\r\n{fields}\r\n".encode())
            status = client.recv(65_536)[9:12].decode()
            while not stop.is_set() and client.recv(65_536):
                pass
        done.set()

    with attacked(subject, ask) as watched:
        done.wait(2 * _TIMEOUT_S)
    return watched.cpu_s / upstream.sent * 1024, status


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
            clients = CrumbClients(messages, lambda: time.sleep(PATIENT_PAUSE_S), again=True)
            with attacked(subject, clients.run) as watched:
                good[name] = arena.good(subject, duration_s)
            cpu[name] = 100 * watched.cpu_s / watched.wall_s
    what = f"{len(messages)} clients, each 3 kB/s in crumbs"
    yield from rows.good_rows(PART, what, quiet, good)
    yield rows.row(PART, f"{what}: CPU", "% of a core", cpu)
