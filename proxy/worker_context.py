"""What the client connections of one worker share: limits, counters, a coarse clock, the dispatcher."""

import select
from collections.abc import Callable
from typing import Protocol

from proxy.clock import Clock
from proxy.counters import Counters
from proxy.dispatch import Dispatcher
from proxy.forwarding import RequestWriter, http_date
from proxy.send_queue import SendQueue
from proxy.settings import Settings, format_address
from proxy.transport import Transport
from proxy.tunnel import Tunnel
from proxy.upload import UploadGate

LINGER_S = 2.0
"""How long input is still read after the last response: an immediate close could lose that response."""
LINGER_BYTES = 1 << 20
"""Bound on what is still read after the last response."""


class Client(Protocol):
    """A client connection, whatever version of HTTP it speaks."""

    transport: Transport

    @property
    def deadline(self) -> float:
        """Return when its current wait times out, on the clock of the sweep."""

    @property
    def owes_request(self) -> bool:
        """Return whether a part of a request is awaited."""

    def timed_out(self) -> None:
        """End the wait whose deadline has passed."""

    def drain(self) -> None:
        """Close now if idle, else after what is under way."""


class WorkerContext:
    """The shared state of one worker.

    No exchange sets a timer. It notes one of the deadlines that `sweep` computes, and a later sweep checks
    all connections.
    """

    def __init__(self, settings: Settings, counters: Counters, sends: SendQueue, clock: Clock) -> None:
        self.limits = settings.limits
        self.counters = counters
        self.sends = sends
        self._clock = clock
        self.dispatcher = Dispatcher(settings, counters, sends, clock)
        self.uploads = UploadGate(sends.loop, max(1, settings.pool_max // 2))
        self.draining = False
        self._on_drained: Callable[[], None] = lambda: None
        self.default_host = format_address(settings.upstreams[0]).encode("ascii")
        short = settings.mode == "short"
        self.writer = RequestWriter(
            settings.limits,
            is_http10=settings.upstream_http == "1.0",
            keep_alive=not short,
            request_close=short and settings.closes_first == "backend",
            has_tls=settings.server_tls is not None,
        )
        self._clients: set[Client] = set()
        self._tunnels: set[Tunnel] = set()
        self.sweep()

    def add_client(self, client: Client) -> bool:
        """Add a connection; return False if there are too many."""
        self.counters.accepted += 1
        self._clients.add(client)
        return len(self._clients) + len(self._tunnels) <= self.limits.clients

    def remove_client(self, client: Client) -> None:
        """Remove a connection that has ended."""
        self._clients.discard(client)
        self._check_drained()

    def open_tunnel(self, tunnel: Tunnel, early_data: bytes) -> None:
        """Start a tunnel; `early_data` is what the client has sent for it already."""
        self._tunnels.add(tunnel)
        tunnel.begin(early_data, self._tunnel_ended)

    def sweep(self) -> None:
        """Advance the coarse clock and end expired waits."""
        self._clock.advance()
        self.dispatcher.sweep()
        now, latest, limits = self._clock.now, self._clock.latest, self.limits
        self.now = now
        self.date = f"Date: {http_date()}\r\n".encode("ascii")
        self.linger_until = latest + LINGER_S
        self.idle_until = latest + limits.idle_timeout_s
        self.head_until = latest + limits.head_timeout_s
        self.body_until = latest + limits.body_timeout_s
        self.queue_until = latest + limits.queue_timeout_s
        self.response_until = latest + limits.read_timeout_s
        self.half_closed_until = latest + limits.half_closed_timeout_s
        for client in list(self._clients):
            # What one does may have moved the deadline of another.
            if client.deadline <= now:
                client.timed_out()
        self._end_reset_clients()
        for tunnel in [each for each in self._tunnels if each.is_idle(now, self.limits.tunnel_timeout_s)]:
            tunnel.abort()

    def drain(self, on_drained: Callable[[], None]) -> None:
        """Close idle connections now, the others after their exchange, then call `on_drained`."""
        self.draining = True
        self._on_drained = on_drained
        self.dispatcher.drain()
        for client in list(self._clients):
            client.drain()
        for tunnel in list(self._tunnels):
            tunnel.abort()
        self._check_drained()

    def abort(self) -> None:
        """Abort the connections that the drain has left."""
        for client in list(self._clients):
            client.transport.abort()
        for tunnel in list(self._tunnels):
            tunnel.abort()

    def _end_reset_clients(self) -> None:
        """Look for resets of clients that owe a part of a request, or whose input is paused.

        uvloop reports a reset only once, and not if data was there to be read too; what is paused is not
        watched at all.
        """
        transports = {
            each.transport.descriptor: each.transport
            for each in self._clients
            if each.owes_request or not each.transport.is_reading
        }
        poll = select.poll()
        for descriptor in transports:
            poll.register(descriptor, 0)
        for descriptor, _ in poll.poll(0) if transports else ():
            transport = transports[descriptor]
            if transport.is_reading:
                transport.read_ready()
            else:
                transport.abort()

    def _tunnel_ended(self, tunnel: Tunnel) -> None:
        self._tunnels.discard(tunnel)
        self.dispatcher.discard(tunnel.connection)
        self._check_drained()

    def _check_drained(self) -> None:
        if self.draining and not self._clients and not self._tunnels:
            self._on_drained()
