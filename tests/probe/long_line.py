"""A long line between a proxy and a server: the server's end of a connection is on its way until it is met.

Requests and answers pass at once. An end stays on the line until a request of the proxy has crossed it, so
that no test depends on being quick.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from tests.probe.dying_server import PATIENCE_S

_RESET = struct.pack("ii", 1, 0)


@dataclass
class LongLine:
    """Counts what becomes of the connections through it."""

    port: int
    """Of the server on 127.0.0.1."""
    kept: int = 0
    """They carried a request, and neither side has ended them.

    A proxy may open one that it needs no more, and a server may wait long for the first request of one.
    """
    left: int = 0
    """The proxy ended them first."""
    ended: int = 0
    """The server ended them first."""
    crossed: int = 0
    """Requests that met such an end."""
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    _open: list[socket.socket] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)
    _is_over: threading.Event = field(default_factory=threading.Event)

    @property
    def port_of_line(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port_of_line}"

    def wait_for_ends(self) -> None:
        """Wait until each connection that carried a request was ended, by one side or the other."""
        with self._changed:
            is_met = self._changed.wait_for(lambda: self.kept == 0, timeout=PATIENCE_S)
        assert is_met

    def serve(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self.port))
            self._open += [near, far]
            ways = _Ways(self, near, far)
            for way in (ways.towards_server, ways.towards_proxy):
                self._threads.append(threading.Thread(target=way, daemon=True))
                self._threads[-1].start()

    def count(self, name: str, change: int = 1) -> None:
        """Count one more of `name`, or one less, and wake who waits for it."""
        with self._changed:
            setattr(self, name, getattr(self, name) + change)
            self._changed.notify_all()

    def stop(self) -> None:
        self._is_over.set()
        for each in (self._listener, *self._open):
            with suppress(OSError):  # it was not connected any more
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE_S)
        for each in (self._listener, *self._open):
            each.close()


class _Ways:
    """One connection, in both directions."""

    def __init__(self, line: LongLine, near: socket.socket, far: socket.socket) -> None:
        self._line, self._near, self._far = line, near, far
        self._lock = threading.Lock()
        self._is_used = self._is_ended = self._is_left = False
        self._is_crossed = threading.Event()

    def towards_server(self) -> None:
        while data := _receive(self._near):
            with self._lock:
                is_ended, is_first = self._is_ended, not self._is_used
                self._is_used |= not is_ended
            if is_ended:
                self._line.count("crossed")
                break
            if is_first:
                self._line.count("kept")
            with suppress(OSError):
                self._far.sendall(data)
        with self._lock:
            self._is_left = not self._is_ended
        if self._is_left:
            self._end("left")
        self._is_crossed.set()
        with suppress(OSError):
            self._far.shutdown(socket.SHUT_RDWR)

    def towards_proxy(self) -> None:
        while data := _receive(self._far):
            with suppress(OSError):
                self._near.sendall(data)
        with self._lock:
            self._is_ended = not self._is_left
        if not self._is_ended:
            return
        self._end("ended")
        self._is_crossed.wait(PATIENCE_S)
        # What the server has not read its kernel answers with RST (tcp_close() in net/ipv4/tcp.c).
        with suppress(OSError):
            self._near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._near.close()

    def _end(self, how: str) -> None:
        self._line.count(how)
        if self._is_used:
            self._line.count("kept", -1)


def _receive(one: socket.socket) -> bytes:
    """Return what came; nothing where the connection has ended, in whatever way."""
    try:
        return one.recv(65536)
    except OSError:
        return b""


@contextmanager
def long_line(port: int) -> Iterator[LongLine]:
    """Lay such a line to a server."""
    line = LongLine(port)
    accepting = threading.Thread(target=line.serve, daemon=True)
    accepting.start()
    try:
        yield line
    finally:
        line.stop()
        accepting.join(PATIENCE_S)
