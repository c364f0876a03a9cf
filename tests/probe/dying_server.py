"""A server that meets each idle race: once its idle time is over, it answers a request by closing.

That is what a real server does whose close and a proxy's request cross. Here the window in which they can
cross stays open until a request comes, so that no test depends on being quick.
"""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from tests.nginx.real import read_request

PATIENCE_S = 60.0
"""Longer than anything here takes on the busiest machine."""
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class DyingServer:
    """Counts what became of its connections."""

    idle_s: float
    together: int
    """It answers the first requests once so many are there, so that each has a connection of its own."""
    window_s: float = PATIENCE_S
    """How long after its idle time it still has the connection; the rest of the world sees its end then."""
    most_requests: int | None = None
    """After so many it closes a connection, in the same way."""
    accepted: int = 0
    left: int = 0
    """The proxy closed before the idle time was over."""
    dying: int = 0
    """The idle time was over, or the last request answered, before the proxy closed."""
    met: int = 0
    """Requests that came to a dying connection: they are lost."""
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    _open: list[socket.socket] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._met = threading.Barrier(self.together, timeout=PATIENCE_S)
        self._is_first = self.together

    @property
    def address(self) -> str:
        host, port = self._listener.getsockname()
        return f"{host}:{port}"

    def wait_for_ends(self, count: int) -> None:
        """Wait until so many connections have ended, or are dying."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.left + self.dying >= count, timeout=PATIENCE_S)

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            thread = threading.Thread(target=self._converse, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _converse(self, connection: socket.socket) -> None:
        with connection:
            try:
                self._count("accepted")
                self._answer_all(connection)
            except (OSError, EOFError, ValueError):
                return  # the test is over, or the proxy has gone

    def _answer_all(self, connection: socket.socket) -> None:
        answered = 0
        while answered != self.most_requests:
            if answered and not _is_readable(connection, self.idle_s):
                break
            if not _has_request(connection):
                self._count("left")
                return
            read_request(connection)
            self._wait_for_others()
            connection.sendall(ANSWER)
            answered += 1
        self._count("dying")
        if _is_readable(connection, self.window_s) and _has_request(connection):
            self._count("met")
        # What it has not read makes the kernel answer with RST (tcp_close() in net/ipv4/tcp.c).

    def _wait_for_others(self) -> None:
        with self._changed:
            self._is_first, is_first = max(0, self._is_first - 1), self._is_first > 0
        if is_first:
            self._met.wait()

    def _count(self, name: str) -> None:
        with self._changed:
            setattr(self, name, getattr(self, name) + 1)
            self._changed.notify_all()

    def stop(self) -> None:
        self._met.abort()
        for each in (self._listener, *self._open):
            with suppress(OSError):  # it was not connected any more
                each.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(PATIENCE_S)


def _is_readable(connection: socket.socket, timeout_s: float) -> bool:
    return bool(select.select([connection], [], [], timeout_s)[0])


def _has_request(connection: socket.socket) -> bool:
    """Return whether what is readable is a request, and not the end of the connection."""
    try:
        return bool(connection.recv(1, socket.MSG_PEEK))
    except ConnectionResetError:  # HAProxy ends its idle connections with RST, so that none is in TIME_WAIT
        return False


@contextmanager
def dying_server(
    idle_s: float, together: int = 1, window_s: float = PATIENCE_S, most_requests: int | None = None
) -> Iterator[DyingServer]:
    """Run such a server."""
    server = DyingServer(idle_s, together, window_s, most_requests)
    accepting = threading.Thread(target=server.serve, daemon=True)
    accepting.start()
    try:
        yield server
    finally:
        server.stop()
        accepting.join(PATIENCE_S)
