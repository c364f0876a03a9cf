"""Opens sockets to the upstreams, each address in turn. Which connection serves whom is not decided here."""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import socket
from collections.abc import Callable

from proxy.errors import ConnectFailed, UpstreamTimeout
from proxy.settings import Address, Settings, is_ipv6
from proxy.transport import Poller, SocketTransport

# linux/in.h; in Python's socket module from 3.12 on. Without it bind() takes a port for one source address,
# with it connect() takes one for the whole four-tuple.
_IP_BIND_ADDRESS_NO_PORT = 24
_STREAM = socket.SOCK_STREAM | socket.SOCK_NONBLOCK


class Connector:
    """Opens one worker's connections.

    Args:
        on_failed: takes the protocol of a connection that did not come to be after all, and why.
    """

    def __init__(
        self,
        settings: Settings,
        loop: asyncio.AbstractEventLoop,
        on_failed: Callable[[asyncio.Protocol, ConnectFailed | UpstreamTimeout], None],
    ) -> None:
        self._loop = loop
        self._timeout_s = settings.limits.connect_timeout_s
        self._upstreams = itertools.cycle([(_family(address), address) for address in settings.upstreams])
        self._sources = itertools.cycle(settings.sources) if settings.sources else None
        self._on_failed = on_failed
        self._pending: dict[asyncio.Protocol, tuple[socket.SocketType, float]] = {}
        self._poller = Poller(loop)

    def open(self, protocol: asyncio.Protocol, now: float) -> ConnectFailed | None:
        """Connect to the next upstream; `protocol` learns by `connection_made` that it is done.

        Returns why not, when that is known at once.
        """
        family, address = next(self._upstreams)
        try:
            sock = self._socket(family)
        except OSError as error:
            return _failure(error.errno or errno.EIO)
        error_number = sock.connect_ex(address)
        if error_number == errno.EINPROGRESS:
            # The handshake with a near host is over by now: asking again is cheaper than a turn of the loop.
            error_number = sock.connect_ex(address)
        if error_number in (errno.EALREADY, errno.EINPROGRESS):
            self._pending[protocol] = (sock, now + self._timeout_s)
            self._loop.add_writer(sock.fileno(), self._writable, protocol)
        elif error_number in (0, errno.EISCONN):
            self._attach(protocol, sock)
        else:
            sock.close()
            return _failure(error_number)
        return None

    def sweep(self, now: float) -> None:
        """Give up what has taken too long."""
        late = [protocol for protocol, (_, deadline) in self._pending.items() if deadline <= now]
        for protocol in late:
            self._take(protocol).close()
            self._on_failed(protocol, UpstreamTimeout("the upstream did not accept the connection in time"))

    def _socket(self, family: int) -> socket.SocketType:
        # The type below socket.socket, which is written in Python and opens and closes at thrice the price.
        sock = socket.SocketType(family, _STREAM)
        if self._sources is not None:
            sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
            try:
                sock.bind((next(self._sources), 0))
            except OSError:
                sock.close()
                raise
        return sock

    def _writable(self, protocol: asyncio.Protocol) -> None:
        sock = self._take(protocol)
        error_number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error_number:
            sock.close()
            self._on_failed(protocol, _failure(error_number))
        else:
            self._attach(protocol, sock)

    def _take(self, protocol: asyncio.Protocol) -> socket.SocketType:
        sock, _ = self._pending.pop(protocol)
        self._loop.remove_writer(sock.fileno())
        return sock

    def _attach(self, protocol: asyncio.Protocol, sock: socket.SocketType) -> None:
        SocketTransport(self._poller, sock, protocol)


def _family(address: Address) -> int:
    return socket.AF_INET6 if is_ipv6(address[0]) else socket.AF_INET


def _failure(error_number: int) -> ConnectFailed:
    return ConnectFailed(f"cannot connect to the upstream: {os.strerror(error_number).lower()}", error_number)
