"""Carries out what the pool decides: opens, hands out and closes upstream connections. No HTTP."""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from typing import Protocol

from proxy.counters import Counters
from proxy.errors import ConnectFailed, PoolTimeout, ProxyError, UpstreamTimeout
from proxy.pool import Close, Open, Pool, Refuse, Use
from proxy.settings import Settings, is_ipv6
from proxy.upstream import Downstream, UpstreamConnection

FIN_WAIT_S = 5.0
"""How long a connection that the backend shall close first is waited for."""


# linux/in.h; not in Python's socket module before 3.12. Without it bind() would take a port that serves one
# destination only.
_IP_BIND_ADDRESS_NO_PORT = 24


class Exchange(Downstream, Protocol):
    """Who waits for an upstream connection."""

    def use(self, connection: UpstreamConnection) -> None:
        """Go on with this connection."""

    def no_connection(self, error: ProxyError) -> None:
        """Learn that there is none."""


class Dispatcher:
    """The upstream connections of one worker; `now` is coarse, set by the sweep (seconds of the loop's clock)."""

    def __init__(self, settings: Settings, counters: Counters, loop: asyncio.AbstractEventLoop) -> None:
        self.limits = settings.limits
        self.now = loop.time()
        self._settings = settings
        self._counters = counters
        self._loop = loop
        self._keeps = settings.mode == "keepalive"
        self._max_requests = settings.requests_per_connection or 1 << 62
        self._opened_in_turn = 0
        self._connecting: dict[UpstreamConnection, socket.socket] = {}
        self._closing: set[UpstreamConnection] = set()
        self._pool: Pool[UpstreamConnection, Exchange] = Pool(
            max_idle=settings.pool_idle if self._keeps else 0,
            max_open=settings.pool_max,
            max_waiting=settings.limits.queue_length,
            idle_timeout=settings.pool_idle_timeout_s,
            queue_timeout=settings.limits.queue_timeout_s,
        )

    def acquire(self, exchange: Exchange) -> None:
        """Find a connection for `exchange`, now or later."""
        action = self._pool.acquire(exchange, self.now)
        if type(action) is Use:
            connection = action.connection
            if connection.carried:
                self._counters.reused += 1
            exchange.use(connection)
        elif type(action) is Open:
            self._open(action)
        elif action is not None:
            self._counters.upstream["pool"] += 1
            exchange.no_connection(PoolTimeout("too many requests wait for an upstream connection"))

    def cancel(self, exchange: Exchange) -> None:
        """Forget an exchange that waits no more."""
        self._pool.cancel(exchange)

    def opened(self, connection: UpstreamConnection) -> None:
        self._counters.opened += 1
        if connection.reserved_for is not None:
            exchange, connection.reserved_for = connection.reserved_for, None
            exchange.use(connection)
            return
        self._carry_out(self._pool.opened(connection, self.now))

    def release(self, connection: UpstreamConnection, *, reusable: bool) -> None:
        reusable = reusable and self._keeps and connection.carried < self._max_requests
        self._carry_out(self._pool.release(connection, self.now, reusable=reusable))

    def lost(self, connection: UpstreamConnection) -> None:
        self._counters.lost += 1
        self.discard(connection)

    def discard(self, connection: UpstreamConnection) -> None:
        self._open(self._pool.lost(connection))

    def ended(self, connection: UpstreamConnection) -> None:
        self._closing.discard(connection)

    def renew(self, connection: UpstreamConnection, exchange: Exchange) -> None:
        """Replace a connection that was lost before it answered by a fresh one for the same exchange."""
        self._open(self._pool.renew(connection, exchange))

    def sweep(self) -> None:
        """End what has waited for too long."""
        self.now = self._loop.time()
        for action in self._pool.expire(self.now):
            self._carry_out(action)
        for connection in [each for each in self._closing if each.deadline < self.now]:
            connection.close()
        for connection in [each for each in self._connecting if each.deadline < self.now]:
            self._failed(connection, UpstreamTimeout("the upstream did not accept the connection in time"))

    def drain(self) -> None:
        """Close idle connections, and keep none from now on."""
        self._keeps = False
        for action in self._pool.drain():
            self._carry_out(action)

    def _carry_out(self, action: Use | Close | Refuse | None) -> None:
        if type(action) is Use:
            if action.connection.carried:
                self._counters.reused += 1
            action.waiter.use(action.connection)
        elif type(action) is Close:
            self._close(action.connection)
        elif type(action) is Refuse:
            self._counters.upstream["pool"] += 1
            action.waiter.no_connection(PoolTimeout("no upstream connection became free in time"))

    def _close(self, connection: UpstreamConnection) -> None:
        connection.released = True
        if self._settings.closer == "backend" and not self._keeps:
            connection.deadline = self.now + FIN_WAIT_S
            self._closing.add(connection)
        else:
            connection.close()
        self.discard(connection)

    def _open(self, action: Open | None) -> None:
        if action is None:
            return
        connection = UpstreamConnection(self, action.reserved_for)
        address = self._settings.upstreams[self._opened_in_turn % len(self._settings.upstreams)]
        family = socket.AF_INET6 if is_ipv6(address[0]) else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        if self._settings.sources:
            sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind((self._settings.sources[self._opened_in_turn % len(self._settings.sources)], 0))
        self._opened_in_turn += 1
        error = sock.connect_ex(address)
        if error not in (0, errno.EINPROGRESS):
            sock.close()
            self._connect_failed(connection, error)
            return
        connection.deadline = self.now + self.limits.connect_timeout_s
        self._connecting[connection] = sock
        self._loop.add_writer(sock, self._connected, connection, sock)

    def _connected(self, connection: UpstreamConnection, sock: socket.socket) -> None:
        self._loop.remove_writer(sock)
        del self._connecting[connection]
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            sock.close()
            self._connect_failed(connection, error)
            return
        self._loop.create_task(self._loop.create_connection(lambda: connection, sock=sock))

    def _connect_failed(self, connection: UpstreamConnection, error: int) -> None:
        if error == errno.EADDRNOTAVAIL:
            self._counters.upstream["address_exhausted"] += 1
            if self._counters.first_exhausted_ns is None:
                self._counters.first_exhausted_ns = time.monotonic_ns()
        else:
            self._counters.upstream["refused"] += 1
        self._failed(
            connection, ConnectFailed(f"cannot connect to the upstream: {errno.errorcode[error]}", error)
        )

    def _failed(self, connection: UpstreamConnection, error: ProxyError) -> None:
        sock = self._connecting.pop(connection, None)
        if sock is not None:
            self._loop.remove_writer(sock)
            sock.close()
            self._counters.upstream["timeout"] += 1
        if connection.reserved_for is not None:
            connection.reserved_for.no_connection(error)
            self._open(self._pool.lost(connection))
            return
        waiter, action = self._pool.failed()
        if waiter is not None:
            waiter.no_connection(error)
        self._open(action)
