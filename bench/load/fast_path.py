"""The hot loop: the ordinary exchanges of a closed loop, all that are ready at one go. Nothing else.

Here a microsecond counts. An exchange is one call to receive, one to send, two looks at the clock, and
one comparison of the whole response with the one that is expected. What is not ordinary goes to its
client (http1.py), and so does everything in an open loop or over short connections.
"""

from __future__ import annotations

from time import monotonic_ns

from bench.load.http1 import RECEIVE_BYTES, Client, Crowd
from bench.load.poller import Poller


class Flow:
    """Calls handlers as the poller would, but lets the flowing clients of a crowd exchange by itself."""

    __slots__ = ("_crowd", "_poller", "_usual")

    def __init__(self, crowd: Crowd, poller: Poller) -> None:
        self._crowd = crowd
        self._poller = poller
        self._usual = b"", b""
        """What stood before and after the number in the last ordinary response that was a new one."""

    def run_ready(self, timeout_ns: int) -> None:
        """Wait up to `timeout_ns` until something is ready; read all of it, then write what comes next.

        So each response is read, and timed, as early as can be, and the server is woken once for a
        batch of requests rather than once for each.
        """
        self._write(self._read(self._poller.ready(timeout_ns)))

    def _read(self, ready: list[tuple[int, int]]) -> list[Client]:
        """Handle all that is ready; return the flowing clients that got correct responses."""
        crowd, flowing, handlers = self._crowd, self._crowd.flowing, self._poller.handlers
        expectation, add_latency = crowd.expectation, crowd.tally.latency.add
        (before, after), usual_bytes, body_bytes, new = self._usual, expectation.usual_bytes, 0, b""
        answered: list[Client] = []
        for fd, _ in ready:
            client = flowing.get(fd)
            if client is None:
                handlers[fd]()
                continue
            receive = client.receive  # called off a slot directly, it would be looked up the long way
            try:
                data = receive(RECEIVE_BYTES)
            except BlockingIOError:
                continue
            except OSError:
                client.fail("reset")
                continue
            now_ns = monotonic_ns()
            if before and data == before + client.number + after:
                body_bytes += usual_bytes
            elif (size := expectation.ordinary_bytes(data, client.number)) >= 0:
                body_bytes += size
                new = data
            else:
                client.take(data, now_ns)
                continue
            add_latency(now_ns - client.due_ns)
            answered.append(client)
        crowd.tally.body_bytes += body_bytes
        if new:
            self._usual = expectation.around_number(new)
        return answered

    def _write(self, answered: list[Client]) -> None:
        """Send the next request of each."""
        next_request = self._crowd.next_request
        for client in answered:
            client.number, request = next_request()
            send = client.send
            client.due_ns = client.since_ns = monotonic_ns()
            try:
                sent = send(request)
            except OSError:
                client.fail("reset")
                continue
            if sent != len(request):
                client.send_later(request[sent:])
