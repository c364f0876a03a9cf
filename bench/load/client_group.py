"""All clients of one worker: what they share, and what each does next."""

import socket
from collections import deque
from collections.abc import Sequence
from time import monotonic_ns
from typing import Any

from bench.load.client import LoadClient
from bench.load.counters import LoadCounters
from bench.load.job import LoadJob
from bench.load.messages import RequestBuilder, ResponseCheck
from bench.load.ordinary import OrdinaryCheck
from bench.load.pacing import LATE_NS, Pacer, build_pacer
from bench.load.poller import Poller
from bench.load.schedule import Phases

MAX_CONNECTING = 64
"""Initial connects at once, and connects retried per tenth of a second: half of the smallest common backlog
(128), so that a dead server is not flooded.
"""


class ClientGroup:
    """All clients of one worker; decides what each does next."""

    would_block: tuple[type[OSError], ...] = (BlockingIOError,)
    """What a socket raises that is not ready, as those of its clients do."""

    def __init__(self, job: LoadJob, poller: Poller, counters: LoadCounters) -> None:
        self.poller = poller
        self.counters = counters
        self.family = socket.AF_INET6 if ":" in job.host else socket.AF_INET
        self.address = (job.host, job.port)
        self.method = job.method.encode()
        self.connect_timeout_ns = round(job.connect_timeout_s * 1e9)
        self.request_timeout_ns = round(job.request_timeout_s * 1e9)
        self.total_timeout_ns = round(job.total_timeout_s * 1e9)
        self.exchanges_per_connection = 1 if job.is_short else job.requests_per_connection
        self.ordinary_check = OrdinaryCheck(job, counters.count_status)
        self.response_check = ResponseCheck(job)
        self.next_request = iter(RequestBuilder(job)).__next__
        """Return number and bytes of the next request."""
        self.pacer: Pacer | None = None
        self.uses_fast_path = False
        """Whether a client continues at once after a correct response that left its connection open."""
        self.on_fast_path: dict[int, LoadClient] = {}
        """By descriptor, the clients that wait for an ordinary response and then continue at once."""
        self._job = job
        self._clients = self._make_clients()
        self._idle: list[LoadClient] = []
        self._waiting: deque[LoadClient] = deque()
        self._draining = False
        self._busy_in_drain = 0

    def _make_clients(self) -> Sequence[LoadClient]:
        return [LoadClient(self) for _ in range(self._job.connections)]

    def start(self, phases: Phases) -> None:
        """Start the clients; in open loop, requests are due until the end of the window."""
        self.pacer = build_pacer(self._job, phases)
        if self.pacer is None:
            self.uses_fast_path = self.exchanges_per_connection is None
            self._waiting.extend(self._clients)
            for _ in range(min(MAX_CONNECTING, len(self._waiting))):
                self.connect_next()
        else:
            self._idle.extend(reversed(self._clients))

    def connect_next(self) -> None:
        """Start the client that has waited longest to connect, if any."""
        if self._waiting and not self._draining:
            self._waiting.popleft().begin()

    def exchange_ended(self, client: LoadClient, is_unreachable: bool = False) -> None:
        """Decide what `client` does next; `is_unreachable`: its connect failed."""
        if self._draining:
            client.close()
            self._busy_in_drain -= 1
        elif self.pacer is not None:
            self._assign_or_idle(client, is_unreachable)
        elif is_unreachable:
            self._waiting.append(client)
        else:
            client.begin()

    def _assign_or_idle(self, client: LoadClient, is_unreachable: bool) -> None:
        assert self.pacer is not None
        now_ns = monotonic_ns()
        # Not to one that cannot connect: `assign_due` would pick it again, one exchange deeper in the stack.
        due_ns = None if is_unreachable else self.pacer.take_due(now_ns)
        if due_ns is None:
            client.wait_idle()
            self._idle.append(client)
        else:
            self.counters.queued += not self._idle
            self._assign(client, due_ns, now_ns)

    def _assign(self, client: LoadClient, due_ns: int, now_ns: int) -> None:
        if now_ns - due_ns > LATE_NS:
            self.counters.late += 1
        client.begin(due_ns)

    def assign_due(self, now_ns: int) -> int | None:
        """Assign due requests to idle clients; return when the next is due, None if unknown."""
        if self.pacer is None or self._draining:
            return None
        while self._idle:
            due_ns = self.pacer.take_due(now_ns)
            if due_ns is None:
                return self.pacer.next_due_ns
            self._assign(self._idle.pop(), due_ns, monotonic_ns())
        return None

    def sweep(self, now_ns: int) -> None:
        """Fail expired exchanges, and retry some of the failed connects."""
        for client in self._clients:
            client.expire(now_ns)
        if self.pacer is not None and not self._draining:
            self.counters.errors["timeout"] += self.pacer.drop_due(now_ns - self.total_timeout_ns)
        for _ in range(min(MAX_CONNECTING, len(self._waiting))):
            self.connect_next()

    def drain(self, now_ns: int) -> None:
        """Start no more exchanges; each client stops when its current one ends."""
        self.uses_fast_path = False
        self.on_fast_path.clear()
        self._draining = True
        if self.pacer is not None:
            self.counters.never_started += self.pacer.drop_due(now_ns)
        self._busy_in_drain = sum(client.busy for client in self._clients)
        for client in self._clients:
            if not client.busy:
                client.close()

    def handshakes(self) -> dict[str, Any] | None:
        """Return what was counted of TLS handshakes, as plain values; None where there are none."""
        return None

    @property
    def is_drained(self) -> bool:
        """Return whether the last exchange of a drain has ended."""
        return self._draining and self._busy_in_drain == 0

    def abandon(self) -> None:
        """End the drain: fail the exchanges that are left."""
        for client in self._clients:
            if client.busy:
                client.abandon()
