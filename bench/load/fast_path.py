"""The hot loop: the ordinary exchanges of a closed loop, in batches of all that are ready.

Every microsecond counts here. An exchange is one receive, one send, two clock reads, and one check of the
whole response: that it is the last one but for the number, or else the ordinary check (ordinary.py).
Anything else goes to the client (client.py), as do open loops and short connections.
"""

from time import monotonic_ns

from bench.load.client import RECEIVE_BYTES, LoadClient
from bench.load.client_group import ClientGroup
from bench.load.poller import Poller

_NONE = b"", b"", 0
"""No response is expected byte for byte."""

_LONGEST_PAUSE = 63
"""Batches until responses that all differ in more than the number are compared once more."""


class FastPath:
    """Calls handlers as the poller would, but runs the exchanges of fast-path clients itself."""

    __slots__ = ("_group", "_last_response", "_pause", "_poller", "_rest")

    def __init__(self, group: ClientGroup, poller: Poller) -> None:
        self._group = group
        self._poller = poller
        self._last_response = _NONE
        """The bytes before and after the number in the last new ordinary response, and those of its body."""
        self._rest = self._pause = 0
        """Batches that are still to be read without it, and how many there were to be."""

    def run_ready(self, timeout_ns: int) -> None:
        """Wait up to `timeout_ns` for events; read everything that is ready, then send what comes next.

        So each response is read, and timed, as early as possible, and the server is woken once per batch
        rather than once per request.
        """
        self._write(self._read(self._poller.ready(timeout_ns)))

    def _read(self, ready: list[tuple[int, int]]) -> list[LoadClient]:
        """Handle all that is ready; return the fast-path clients with correct responses."""
        group, on_fast_path, handlers = self._group, self._group.on_fast_path, self._poller.handlers
        check, add_latency = group.ordinary_check.check, group.counters.latency.add
        (before, after, expected_bytes), body_bytes = self._last_response, 0
        new, new_bytes, was_alike = b"", 0, False
        answered: list[LoadClient] = []
        for fd, _ in ready:
            client = on_fast_path.get(fd)
            if client is None:
                handlers[fd]()
                continue
            receive = client.receive  # a local variable: a call of a slot attribute is slower
            try:
                data = receive(RECEIVE_BYTES)
            except group.would_block:
                continue
            except OSError:
                client.fail("reset")
                continue
            now_ns = monotonic_ns()
            if before and data == before + client.number + after:
                body_bytes += expected_bytes
                was_alike = True
            elif (checked := check(data, client.number)) is None:
                client.read_unusual(data, now_ns)
                continue
            elif checked[1]:
                new, new_bytes = data, checked[0]
                body_bytes += new_bytes
            else:
                client.succeed(*checked, now_ns)
                continue
            add_latency(now_ns - client.due_ns)
            answered.append(client)
        group.counters.body_bytes += body_bytes
        if new:
            self._learn(new, new_bytes, was_alike)
        return answered

    def _learn(self, new: bytes, body_bytes: int, was_alike: bool) -> None:
        """Expect the like of a new response; where that has not helped, not for twice as long as before."""
        if self._rest:
            self._rest -= 1
        elif self._last_response is not _NONE and not was_alike:
            self._rest = self._pause = min(2 * self._pause + 1, _LONGEST_PAUSE)
            self._last_response = _NONE
        else:
            self._pause = self._pause if self._last_response is _NONE else 0
            self._last_response = *self._group.ordinary_check.split_at_number(new), body_bytes

    def _write(self, answered: list[LoadClient]) -> None:
        """Send the next request of each client."""
        next_request = self._group.next_request
        for client in answered:
            client.number, request = next_request()
            send = client.send
            client.due_ns = client.since_ns = monotonic_ns()
            try:
                sent = send(request)
            except self._group.would_block:
                sent = 0
            except OSError:
                client.fail("reset")
                continue
            if sent != len(request):
                client.send_later(memoryview(request)[sent:])
