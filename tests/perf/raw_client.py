"""A client for what wrk cannot send: a body in a later segment, a HEAD. It is cheap, on a plain epoll loop.

`python -m tests.perf.raw_client ADDRESS SHAPE CONNECTIONS` keeps its connections busy until its stdin
ends, and then says how many responses came and how many of them were wrong.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import time
from collections import deque
from itertools import cycle

from tests.perf.framing import response_end
from tests.perf.messages import Pieces
from tests.perf.shapes import SHAPES, Shape

LATER_S = 0.001
"""How much later a later segment is: by then the one before has been read."""
_EVENTS = 64
_STDIN = 0


class Client:
    """Connections as file descriptors, each with what it has received of its response."""

    def __init__(self, address: str, shape: Shape, connections: int) -> None:
        host, _, port = address.rpartition(":")
        self._address = (host.strip("[]"), int(port))
        self._requests = cycle(shape.requests())
        self._is_head = shape.is_head
        self._status = str(shape.status).encode()
        self._poll = select.epoll()
        self._received: dict[int, bytes] = {}
        self._later: deque[tuple[float, int, Pieces]] = deque()
        self.answered = self.errors = 0
        for _ in range(connections):
            self._connect()

    def run(self) -> None:
        """Send and receive until stdin ends."""
        self._poll.register(_STDIN, select.EPOLLIN)
        while True:
            wait = max(0.0, self._later[0][0] - time.monotonic()) if self._later else -1
            for fd, _ in self._poll.poll(wait, _EVENTS):
                if fd == _STDIN:
                    return
                self._read(fd)
            while self._later and self._later[0][0] <= time.monotonic():
                _, fd, pieces = self._later.popleft()
                self._send(fd, pieces)

    def _connect(self) -> None:
        connection = socket.create_connection(self._address)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        fd = connection.detach()
        self._received[fd] = b""
        self._poll.register(fd, select.EPOLLIN)
        self._send(fd, next(self._requests))

    def _send(self, fd: int, pieces: Pieces) -> None:
        """Send a piece, and the others later; each is small, and the socket idle, so that it fits."""
        try:
            os.write(fd, pieces[0])
        except ConnectionError:
            return  # the next read says so too
        if len(pieces) > 1:
            self._later.append((time.monotonic() + LATER_S, fd, pieces[1:]))

    def _read(self, fd: int) -> None:
        try:
            data = os.read(fd, 1 << 16)
        except ConnectionError:
            data = b""
        received = self._received[fd] + data
        end = response_end(received, self._is_head)
        if end >= 0:
            self.answered += 1
            self.errors += received[9:12] != self._status or end < len(received)
            self._received[fd] = b""
            self._send(fd, next(self._requests))
        elif data:
            self._received[fd] = received
        else:
            self.errors += bool(received)
            self._later = deque(later for later in self._later if later[1] != fd)
            del self._received[fd]
            os.close(fd)
            self._connect()


def main() -> None:
    """Run the client of the command line."""
    address, name, connections = sys.argv[1:]
    client = Client(address, SHAPES[name], int(connections))
    client.run()
    sys.stdout.write(json.dumps({"answered": client.answered, "errors": client.errors}) + "\n")


if __name__ == "__main__":
    main()
