"""Carries out the decisions of the pool: opens, assigns and closes upstream connections."""

from typing import TYPE_CHECKING

from proxy.clock import Clock
from proxy.connector import ConnectFailure, Connector
from proxy.counters import Counters
from proxy.errors import PoolTimeout, ProxyError, UpstreamProtocolError
from proxy.pool import Close, Open, Pool, Refuse, Use
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

_Use = Use[UpstreamConnection, "Exchange"]
_Action = _Use | Close[UpstreamConnection] | Refuse["Exchange"] | None


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
        """Find a connection for `exchange`, now or later: call its `use_connection` or `no_connection`."""
        # The usual case first, and without an action: it is most of the pool's work.
        connection = self._pool.take()
        if connection is not None:
            if connection.request_count:
                self._counters.reused += 1
            exchange.use_connection(connection)
            return
        if self._pool.reserve():
            self._open_for(exchange)
            return
        action = self._pool.acquire(exchange, self._clock.latest)
        if isinstance(action, Open):
            self._open(action)
        elif isinstance(action, Refuse):
            self._counters.upstream["pool"] += 1
            exchange.no_connection(PoolTimeout("too many requests wait for an upstream connection"))

    def cancel(self, exchange: "Exchange") -> None:
        """Remove an exchange from the queue."""
        self._renewing.discard(exchange)
        self._pool.cancel(exchange)

    def renew(self, connection: UpstreamConnection, exchange: "Exchange") -> None:
        """Replace a connection that ended before it answered with a fresh one for the same exchange."""
        self._counters.lost += 1
        self._renewing.add(exchange)
        self._open(self._pool.renew(connection, exchange))

    # Calls of upstream connections.

    def opened(self, connection: UpstreamConnection) -> None:
        """Assign a connection that is established."""
        self._counters.opened += 1
        if connection.reserved_for is None:
            self._execute(self._pool.opened(connection, self._clock.latest))
            return
        exchange, connection.reserved_for = connection.reserved_for, None
        if exchange in self._renewing:
            self._renewing.discard(exchange)
            exchange.use_connection(connection)
        else:
            # Its client has gone meanwhile.
            self.release(connection)

    def failed(self, connection: UpstreamConnection, error: ConnectFailure) -> None:
        """Fail the exchange of a connection that could not be established."""
        self._open(self._fail_waiter(connection, error))

    def release(self, connection: UpstreamConnection) -> None:
        """Return a reusable connection to the pool."""
        if connection.request_count < self._max_requests:
            action = self._pool.release(connection, self._clock.latest)
            if action is not None:
                self._execute(action)
        else:
            self._close(connection)

    def retire(self, connection: UpstreamConnection) -> None:
        """Close a connection that cannot be reused."""
        self._close(connection)

    def lost(self, connection: UpstreamConnection, error: ProxyError) -> None:
        """Count and remove a connection that has failed."""
        if isinstance(error, UpstreamProtocolError):
            self._counters.upstream["protocol"] += 1
        else:
            self._counters.lost += 1
        self.discard(connection)

    def discard(self, connection: UpstreamConnection) -> None:
        """Remove a connection from the pool, and open the next one that is wanted."""
        self._open(self._pool.lost(connection))

    def ended(self, connection: UpstreamConnection) -> None:
        """Forget a closing connection: the backend has closed it."""
        self._closing.discard(connection)

    # Time-outs and drain.

    def sweep(self) -> None:
        """End expired waits."""
        now = self._clock.now
        for action in self._pool.expire(now):
            self._execute(action)
        for connection in [each for each in self._closing if each.deadline <= now]:
            connection.close()
        self._connector.sweep(now)

    def drain(self) -> None:
        """Close idle connections, and keep none from now on."""
        self._max_requests = 0
        for action in self._pool.drain():
            self._execute(action)

    def _execute(self, action: _Action) -> None:
        if isinstance(action, Use):
            self._use(action)
        elif isinstance(action, Close):
            self._close(action.connection)
        elif isinstance(action, Refuse):
            self._counters.upstream["pool"] += 1
            action.waiter.no_connection(PoolTimeout("no upstream connection became free in time"))

    def _use(self, action: _Use) -> None:
        connection = action.connection
        if connection.request_count:
            self._counters.reused += 1
        action.waiter.use_connection(connection)

    def _close(self, connection: UpstreamConnection) -> None:
        if self._backend_closes and connection.request_count:
            connection.await_close(self._clock.latest + FIN_WAIT_S)
            self._closing.add(connection)
        else:
            connection.close()
        self.discard(connection)

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
            action = self._pool.lost(connection)
            exchange.no_connection(transport)
            self._open(action)

    def _open(self, action: "Open[Exchange] | None") -> None:
        # A loop, since an immediate failure may let the next waiter try.
        while action is not None:
            connection = UpstreamConnection(self, action.reserved_for)
            transport = self._connector.open(connection)
            if isinstance(transport, Transport):
                connection.established(transport)
                return
            if transport is None:
                return
            action = self._fail_waiter(connection, transport)

    def _fail_waiter(self, connection: UpstreamConnection, error: ConnectFailure) -> "Open[Exchange] | None":
        waiter = connection.reserved_for
        if waiter is None:
            waiter, action = self._pool.failed()
        else:
            action = self._pool.lost(connection)
            waiter = waiter if waiter in self._renewing else None
        if waiter is not None:
            self._renewing.discard(waiter)
            waiter.no_connection(error)
        return action
