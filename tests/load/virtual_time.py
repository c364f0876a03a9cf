"""A worker in virtual time: its clock stands still while it works, and jumps while it waits.

The server lives in the poller of the worker, over real sockets. What a request takes is what its script says,
to the nanosecond, however busy the machine is.
"""

from __future__ import annotations

import heapq
import re
import select
import socket
from collections.abc import Callable

import pytest

from bench.load import client, client_group, fast_path, worker
from bench.load.poller import Poller
from tests.load.scripted import Request, answer

AnswerAt = Callable[[int], int]
"""Returns when a request that arrives at a moment is answered."""

_HEAD = re.compile(rb".*?\r\n\r\n", re.DOTALL)


class VirtualServer(Poller):
    """The poller of a worker whose connections all end in a scripted server."""

    def __init__(self, answer_at: AnswerAt) -> None:
        super().__init__()
        self.now_ns = 0
        self.arrived = 0
        self._answer_at = answer_at
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self._accepted: dict[int, socket.socket] = {}
        self._due: list[tuple[int, int, socket.socket, bytes]] = []

    def ready(self, timeout_ns: int) -> list[tuple[int, int]]:
        """Return what is ready now; else let the time pass until something is, or the time-out is over."""
        end_ns = self.now_ns + max(0, timeout_ns)
        while True:
            self._serve()
            if found := self._wait(0.0):
                return found
            if self.now_ns == end_ns:
                return []
            self.now_ns = min(end_ns, self._due[0][0]) if self._due else end_ns

    def close(self) -> None:
        """Close all sockets."""
        for sock in (self._listener, *self._accepted.values()):
            sock.close()

    def _serve(self) -> None:
        """Read the requests that have come, and send the answers that are due."""
        while select.select([self._listener], [], [], 0)[0]:
            sock = self._listener.accept()[0]
            self._accepted[sock.fileno()] = sock
        for fd in select.select(list(self._accepted), [], [], 0)[0] if self._accepted else ():
            self._read(self._accepted[fd])
        while self._due and self._due[0][0] <= self.now_ns:
            _, _, sock, response = heapq.heappop(self._due)
            sock.sendall(response)

    def _read(self, sock: socket.socket) -> None:
        data = sock.recv(65_536)
        if not data:
            del self._accepted[sock.fileno()]
            sock.close()
        for head in _HEAD.findall(data):
            response = answer(Request(self.arrived, head))
            heapq.heappush(self._due, (self._answer_at(self.now_ns), self.arrived, sock, response))
            self.arrived += 1


def virtual(monkeypatch: pytest.MonkeyPatch, answer_at: AnswerAt) -> VirtualServer:
    """Return a server, and let the worker read its clock."""
    server = VirtualServer(answer_at)
    for module in (client, client_group, fast_path, worker):
        monkeypatch.setattr(module, "monotonic_ns", lambda: server.now_ns)
    return server
