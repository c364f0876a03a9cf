"""What a proxy under test forwards to: servers of blocking sockets and threads, and the sockets' ends."""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from tests.messages.model import Step

TIMEOUT_S = 60.0
"""Longer than anything here takes on the busiest machine: a longer wait means a fault."""
DATE = b"Date: Sun, 22 Nov 2026 23:34:31 GMT\r\n"


@dataclass(frozen=True, slots=True)
class Received:
    """A request that arrived complete at the upstream; connections count from 0."""

    connection: int
    head: bytes
    content: bytes

    @property
    def target(self) -> bytes:
        return self.head.split(b" ", 2)[1]

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of a field, in order."""
        lines = self.head.split(b"\r\n")[1:]
        return [
            line.partition(b":")[2].strip() for line in lines if line.lower().startswith(name.lower() + b":")
        ]


Script = Callable[[Received], Sequence[Step]]


def send(data: bytes) -> Sequence[Step]:
    return (Step("send", data),)


def echo(request: Received) -> Sequence[Step]:
    """Answer with the target, so that a mixed-up response shows."""
    body = request.target
    return send(b"HTTP/1.1 200 OK\r\n" + DATE + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))


class Upstream:
    """A server that plays a script for each request; `script` may be changed at any time."""

    def __init__(self) -> None:
        self.script: Script = echo
        self.requests: list[Received] = []
        self.connections = 0
        self.partial: list[bytes] = []
        self.ended = threading.Semaphore(0)
        self._sock = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._sockets: list[socket.socket] = []
        self.address = f"127.0.0.1:{self._sock.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop listening, and end all connections."""
        self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()
        self.hang_up()

    def hang_up(self) -> None:
        """End all connections."""
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._sock.accept()
            except OSError:
                return
            self._sockets.append(sock)
            number, self.connections = self.connections, self.connections + 1
            threading.Thread(target=self._serve, args=(sock, number), daemon=True).start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        sock.settimeout(TIMEOUT_S)
        reader = _Requests(sock, number)
        try:
            for request in reader:
                self.requests.append(request)
                for step in self.script(request):
                    if not run_step(sock, step):
                        return
        except OSError:
            return
        finally:
            if reader.unread:
                self.partial.append(reader.unread)
            sock.close()
            self.ended.release()


def run_step(sock: socket.socket, step: Step) -> bool:
    """Run one step; return False if it ends the connection."""
    if step.action == "send":
        sock.sendall(step.data)
    elif step.action == "close":
        return False
    elif step.action == "rst":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False
    elif step.action == "sleep":
        threading.Event().wait(step.seconds)
    else:
        # To hold, or to drain: until the other side has closed, or for a while.
        sock.settimeout(step.seconds)
        with contextlib.suppress(TimeoutError):
            while sock.recv(65536):
                pass
        sock.settimeout(TIMEOUT_S)
    return True


class Listener:
    """A bare socket in the place of an upstream: the test scripts it step by step.

    `takes_little` keeps the kernel from taking megabytes in its place.
    """

    def __init__(self, *, takes_little: bool = False) -> None:
        self._sock = socket.create_server(("127.0.0.1", 0))
        if takes_little:
            # Inherited by what is accepted.
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self._sock.settimeout(TIMEOUT_S)
        self.address = f"127.0.0.1:{self._sock.getsockname()[1]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()

    def accept(self) -> socket.socket:
        """Return the next connection, to be closed by the caller."""
        sock, _ = self._sock.accept()
        sock.settimeout(TIMEOUT_S)
        return sock


def until(sock: socket.socket, mark: bytes) -> bytes:
    """Read up to `mark`, which must be the last input."""
    data = b""
    while not data.endswith(mark):
        piece = sock.recv(65536)
        assert piece, data
        data += piece
    return data


def fill(sock: socket.socket, data: bytes = b"x" * 65536) -> int:
    """Send `data` repeatedly until the socket stays full; return the number of bytes sent."""
    sock.settimeout(0.4)
    sent = 0
    with contextlib.suppress(TimeoutError):
        while True:
            sent += sock.send(data)
    sock.settimeout(TIMEOUT_S)
    return sent


def accepts_more(sock: socket.socket) -> bool:
    """Wait until the socket accepts more data."""
    return sock.send(b"x") > 0


def read_exactly(sock: socket.socket, size: int) -> None:
    """Read so many bytes."""
    while size > 0:
        piece = sock.recv(min(size, 1 << 20))
        assert piece
        size -= len(piece)


def reset(sock: socket.socket) -> None:
    """Close with a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class _Requests:
    """Reads requests from a socket, framed by Content-Length or chunks that the proxy has written itself."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        self._sock = sock
        self._number = number
        self.unread = b""

    def __iter__(self) -> Iterator[Received]:
        while True:
            head = self._until(b"\r\n\r\n")
            if head is None:
                return
            content = self._content(head)
            if content is None:
                return
            yield Received(self._number, head, content)

    def _content(self, head: bytes) -> bytes | None:
        length = re.search(rb"\r\ncontent-length: *(\d+)", head.lower())
        if length:
            return self._exactly(int(length[1]))
        if b"\r\ntransfer-encoding: chunked" not in head.lower():
            return b""
        content = b""
        while (line := self._until(b"\r\n")) is not None:
            size = int(line, 16)
            piece = self._exactly(size + 2)
            if piece is None or size == 0:
                return None if piece is None else content
            content += piece[:-2]
        return None

    def _until(self, mark: bytes) -> bytes | None:
        while mark not in self.unread:
            if not self._more():
                return None
        found, _, self.unread = self.unread.partition(mark)
        return found + mark

    def _exactly(self, size: int) -> bytes | None:
        while len(self.unread) < size:
            if not self._more():
                return None
        found, self.unread = self.unread[:size], self.unread[size:]
        return found

    def _more(self) -> bool:
        data = self._sock.recv(65536)
        self.unread += data
        return bool(data)
