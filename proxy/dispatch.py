"""Carries out what the pool decides: opens, hands out and closes upstream connections. No HTTP."""

from __future__ import annotations

import time

from proxy.conduit import Pipes
from proxy.connecting import Connector, Failure
from proxy.counters import Counters
from proxy.errors import PoolTimeout, ProxyError, UpstreamProtocolError
from proxy.poller import Poller
from proxy.pool import Close, Open, Pool, Refuse, Use
from proxy.settings import Settings
from proxy.transport import Transport
from proxy.upstream import Downstream, UpstreamConnection

FIN_WAIT_S = 5.0
"""How long the backend may take to close a connection that it was asked to close."""

_NO_MAXIMUM = 1 << 29
"""Requests per connection: more than any carries, and as small as numbers are that compare fast."""

_Use = Use[UpstreamConnection, Downstream]
_Action = _Use | Close[UpstreamConnection] | Refuse[Downstream] | None


class Dispatcher:
    """The upstream connections of one worker.

    `now` is the monotonic clock as of the last sweep, in seconds: fine enough for idle connections and
    queues, and free of a call per exchange.
    """

    def __init__(self, settings: Settings, counters: Counters, poller: Poller) -> None:
        self.limits = settings.limits
        self.pipes = Pipes(poller)
        self.now = time.monotonic()
        self._counters = counters
        keeps = settings.mode == "keepalive"
        self._backend_closes = settings.mode == "short" and settings.closer == "backend"
        self._max_requests = (settings.requests_per_connection or _NO_MAXIMUM) if keeps else 0
        self._connector = Connector(settings, poller, counters)
        self._closing: set[UpstreamConnection] = set()
        self._renewing: set[Downstream] = set()
        self._pool: Pool[UpstreamConnection, Downstream] = Pool(
            max_idle=settings.pool_idle if keeps else 0,
            max_open=settings.pool_max,
            max_waiting=settings.limits.queue_length,
            idle_timeout_s=settings.pool_idle_timeout_s,
            queue_timeout_s=settings.limits.queue_timeout_s,
        )

    # What exchanges ask for.

    def acquire(self, exchange: Downstream) -> None:
        """Find a connection for `exchange`, now or later: it is told by `use` or `no_connection`."""
        # The ordinary case first, and without an action: it is most of what a pool does.
        connection = self._pool.take()
        if connection is not None:
            if connection.carried:
                self._counters.reused += 1
            exchange.use(connection)
            return
        if self._pool.reserve():
            self._open_for(exchange)
            return
        action = self._pool.acquire(exchange, self.now)
        if isinstance(action, Use):
            self._use(action)
        elif isinstance(action, Open):
            self._open(action)
        elif action is not None:
            self._counters.upstream["pool"] += 1
            exchange.no_connection(PoolTimeout("too many requests wait for an upstream connection"))

    def cancel(self, exchange: Downstream) -> None:
        """Forget an exchange that waits no more."""
        self._renewing.discard(exchange)
        self._pool.cancel(exchange)

    def renew(self, connection: UpstreamConnection, exchange: Downstream) -> None:
        """Replace a connection that ended before it answered by a fresh one for the same exchange."""
        self._counters.lost += 1
        self._renewing.add(exchange)
        self._open(self._pool.renew(connection, exchange))

    # What upstream connections tell.

    def opened(self, connection: UpstreamConnection) -> None:
        self._counters.opened += 1
        if connection.reserved_for is None:
            self._carry_out(self._pool.opened(connection, self.now))
            return
        exchange, connection.reserved_for = connection.reserved_for, None
        if exchange in self._renewing:
            self._renewing.discard(exchange)
            exchange.use(connection)
        else:
            # Its client has gone meanwhile, and nobody is left to read an answer.
            self.release(connection)

    def failed(self, connection: UpstreamConnection, error: Failure) -> None:
        self._open(self._tell_failure(connection, error))

    def release(self, connection: UpstreamConnection) -> None:
        if connection.carried < self._max_requests:
            action = self._pool.release(connection, self.now)
            if action is not None:
                self._carry_out(action)
        else:
            self._close(connection)

    def retire(self, connection: UpstreamConnection) -> None:
        self._close(connection)

    def lost(self, connection: UpstreamConnection, error: ProxyError) -> None:
        if isinstance(error, UpstreamProtocolError):
            self._counters.upstream["protocol"] += 1
        else:
            self._counters.lost += 1
        self.discard(connection)

    def discard(self, connection: UpstreamConnection) -> None:
        self._open(self._pool.lost(connection))

    def ended(self, connection: UpstreamConnection) -> None:
        self._closing.discard(connection)

    # What time, and the end, bring.

    def sweep(self) -> None:
        """Move the coarse clock on, and end what has waited for too long."""
        self.now = time.monotonic()
        for action in self._pool.expire(self.now):
            self._carry_out(action)
        for connection in [each for each in self._closing if each.deadline <= self.now]:
            connection.close()
        self._connector.sweep(self.now)

    def drain(self) -> None:
        """Close idle connections, and keep none from now on."""
        self._max_requests = 0
        for action in self._pool.drain():
            self._carry_out(action)

    def _carry_out(self, action: _Action) -> None:
        if isinstance(action, Use):
            self._use(action)
        elif isinstance(action, Close):
            self._close(action.connection)
        elif isinstance(action, Refuse):
            self._counters.upstream["pool"] += 1
            action.waiter.no_connection(PoolTimeout("no upstream connection became free in time"))

    def _use(self, action: _Use) -> None:
        connection = action.connection
        if connection.carried:
            self._counters.reused += 1
        action.waiter.use(connection)

    def _close(self, connection: UpstreamConnection) -> None:
        if self._backend_closes and connection.carried:
            connection.leave(self.now + FIN_WAIT_S)
            self._closing.add(connection)
        else:
            connection.close()
        self.discard(connection)

    def _open_for(self, exchange: Downstream) -> None:
        """Open a connection for a newcomer, for whom the pool has made room."""
        connection = UpstreamConnection(self)
        transport = self._connector.open(connection, self.now)
        if isinstance(transport, Transport):
            self._counters.opened += 1
            connection.begin(transport)
            exchange.use(connection)
        elif transport is None:
            self._pool.wait(exchange, self.now)
        else:
            action = self._pool.lost(connection)
            exchange.no_connection(transport)
            self._open(action)

    def _open(self, action: Open[Downstream] | None) -> None:
        # A loop, since a failure that shows at once may let the next one in the queue try.
        while action is not None:
            connection = UpstreamConnection(self, action.reserved_for)
            transport = self._connector.open(connection, self.now)
            if isinstance(transport, Transport):
                connection.connection_made(transport)
                return
            if transport is None:
                return
            action = self._tell_failure(connection, transport)

    def _tell_failure(self, connection: UpstreamConnection, error: Failure) -> Open[Downstream] | None:
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
