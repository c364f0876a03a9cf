"""Carries out the decisions of the pool: opens, assigns and closes upstream connections."""

from typing import TYPE_CHECKING

from proxy.clock import Clock
from proxy.connector import Connector
from proxy.counters import Counters
from proxy.errors import ConnectFailed, ProxyError, UpstreamProtocolError
from proxy.pool import Pool
from proxy.send_queue import SendQueue
from proxy.settings import Settings
from proxy.splice import PipePool
from proxy.transport import Transport
from proxy.upstream import UpstreamConnection

if TYPE_CHECKING:
    from proxy.exchange import Exchange

FIN_WAIT_S = 5.0
"""How long the backend may take to close a connection after `Connection: close`."""

_NO_MAXIMUM = 1 << 29
"""Requests per connection without a maximum: more than any carries, and small enough to compare fast."""


class Dispatcher:
    """The upstream connections of one worker."""

    def __init__(self, settings: Settings, counters: Counters, sends: SendQueue, clock: Clock) -> None:
        self.limits = settings.limits
        self.pipes = PipePool()
        self._clock = clock
        self._counters = counters
        keepalive = settings.mode == "keepalive"
        self._backend_closes = settings.mode == "short" and settings.closes_first == "backend"
        self._max_requests = (settings.requests_per_connection or _NO_MAXIMUM) if keepalive else 0
        self._connector = Connector(settings, sends, counters, clock)
        self._closing: set[UpstreamConnection] = set()
        self._renewing: set[Exchange] = set()
        self._pool: Pool[UpstreamConnection, Exchange] = Pool(
            max_idle=settings.pool_idle if keepalive else 0,
            max_open=settings.pool_max,
            max_waiting=settings.limits.queue_length,
            idle_timeout_s=settings.pool_idle_timeout_s,
            queue_timeout_s=settings.limits.queue_timeout_s,
        )

    # Calls of exchanges.

    def acquire(self, exchange: "Exchange") -> None:
        """Find a connection for `exchange`, now or later: call its `use_connection` or `respond`."""
        pool = self._pool
        connection = pool.take()
        if connection is not None:
            exchange.use_connection(connection)
        elif pool.reserve():
            self._open_for(exchange)
        elif pool.is_full:
            self._refuse(exchange, "too many requests wait for an upstream connection")
        elif pool.enqueue(exchange, self._clock.latest):
            self._open()

    def cancel(self, exchange: "Exchange") -> None:
        """Remove an exchange from the queue."""
        self._renewing.discard(exchange)
        self._pool.cancel(exchange)

    def renew(self, exchange: "Exchange") -> None:
        """Open a fresh connection in the place of that of `exchange`, which has ended without an answer."""
        self._counters.lost += 1
        self._renewing.add(exchange)
        self._open(exchange)

    # Calls of upstream connections.

    def opened(self, connection: UpstreamConnection) -> None:
        """Assign a connection that is established."""
        self._counters.opened += 1
        exchange, connection.reserved_for = connection.reserved_for, None
        if exchange is None:
            self._pool.opened()
            self._assign(connection)
        elif exchange in self._renewing:
            self._renewing.discard(exchange)
            exchange.use_connection(connection)
        else:
            # Its client has gone meanwhile.
            self.release(connection)

    def failed(self, connection: UpstreamConnection, error: ConnectFailed) -> None:
        """Fail the exchange of a connection that could not be established."""
        if self._fail_waiter(connection, error):
            self._open()

    def release(self, connection: UpstreamConnection) -> None:
        """Return a reusable connection to the pool."""
        if connection.request_count >= self._max_requests:
            self.retire(connection)
        elif not self._pool.keep(connection, self._clock.latest):
            self._assign(connection)

    def retire(self, connection: UpstreamConnection) -> None:
        """Close a connection that cannot be reused."""
        if self._backend_closes and connection.request_count:
            connection.await_close(self._clock.latest + FIN_WAIT_S)
            self._closing.add(connection)
        else:
            connection.close()
        self.discard(connection)

    def lost(self, connection: UpstreamConnection, error: ProxyError) -> None:
        """Count and remove a connection that has failed."""
        if isinstance(error, UpstreamProtocolError):
            self._counters.upstream["protocol"] += 1
        else:
            self._counters.lost += 1
        self.discard(connection)

    def discard(self, connection: UpstreamConnection) -> None:
        """Remove a connection from the pool, and open the next one that is wanted."""
        if self._pool.lost(connection):
            self._open()

    def ended(self, connection: UpstreamConnection) -> None:
        """Forget a closing connection: the backend has closed it."""
        self._closing.discard(connection)

    # Time-outs and drain.

    def sweep(self) -> None:
        """End expired waits."""
        now = self._clock.now
        for connection in self._pool.expire_idle(now):
            self.retire(connection)
        for exchange in self._pool.expire_waiting(now):
            self._refuse(exchange, "no upstream connection became free in time")
        for connection in [each for each in self._closing if each.deadline <= now]:
            connection.close()
        self._connector.sweep(now)

    def drain(self) -> None:
        """Close idle connections, and keep none from now on."""
        self._max_requests = 0
        for connection in self._pool.drain():
            self.retire(connection)

    def _assign(self, connection: UpstreamConnection) -> None:
        """Serve the first waiter; without one, keep the connection or close it."""
        waiter = self._pool.next_waiter()
        if waiter is not None:
            waiter.use_connection(connection)
        elif not self._pool.keep(connection, self._clock.latest):
            self.retire(connection)

    def _refuse(self, exchange: "Exchange", reason: str) -> None:
        self._counters.upstream["pool"] += 1
        exchange.respond(503, reason)

    def _open_for(self, exchange: "Exchange") -> None:
        """Open a connection for an exchange that the pool has reserved a place for."""
        connection = UpstreamConnection(self)
        transport = self._connector.open(connection)
        if isinstance(transport, Transport):
            self._counters.opened += 1
            connection.transport = transport
            exchange.use_connection(connection)
        elif transport is None:
            self._pool.wait(exchange, self._clock.latest)
        else:
            is_wanted = self._pool.lost(connection)
            exchange.respond(transport.status, transport.reason)
            if is_wanted:
                self._open()

    def _open(self, reserved_for: "Exchange | None" = None) -> None:
        """Open a connection for the waiters, or for one exchange alone."""
        while True:
            connection = UpstreamConnection(self, reserved_for)
            transport = self._connector.open(connection)
            if isinstance(transport, Transport):
                connection.established(transport)
                return
            # An immediate failure may let the next waiter try.
            if transport is None or not self._fail_waiter(connection, transport):
                return
            reserved_for = None

    def _fail_waiter(self, connection: UpstreamConnection, error: ConnectFailed) -> bool:
        """Fail the exchange of a connection; return whether to open another one for a waiter."""
        waiter = connection.reserved_for
        if waiter is None:
            waiter = self._pool.next_waiter()
            is_wanted = self._pool.failed()
        else:
            is_wanted = self._pool.lost(connection)
            waiter = waiter if waiter in self._renewing else None
            self._renewing.discard(waiter)
        if waiter is not None:
            waiter.respond(error.status, error.reason)
        return is_wanted
