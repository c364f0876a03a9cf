"""Opens sockets to the upstreams, each address in turn, and the next one where one does not answer.

Which connection serves whom is not decided here.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass

from proxy.errors import ConnectFailed, UpstreamTimeout
from proxy.settings import Address, Settings, is_ipv6
from proxy.transport import Poller, SocketTransport

# linux/in.h; in Python's socket module from 3.12 on. Without it bind() takes a port for one source address,
# with it connect() takes one for the whole four-tuple.
_IP_BIND_ADDRESS_NO_PORT = 24
_STREAM = socket.SOCK_STREAM | socket.SOCK_NONBLOCK

Failure = ConnectFailed | UpstreamTimeout


@dataclass(slots=True)
class _Handshake:
    """One that takes its time; `upstreams_left` may still be asked, should it fail."""

    sock: socket.SocketType
    deadline: float
    upstream: int
    upstreams_left: int


class Connector:
    """Opens one worker's connections.

    An upstream that refuses, or does not accept in time, has been sent nothing: the next one is asked
    instead, and each at most once for one connection.

    Args:
        on_attempt_failed: learns of each upstream that could not be connected to.
        on_failed: takes the protocol of a connection that did not come to be after all, and why.
    """

    def __init__(
        self,
        settings: Settings,
        loop: asyncio.AbstractEventLoop,
        on_attempt_failed: Callable[[Failure], None],
        on_failed: Callable[[asyncio.Protocol, Failure], None],
    ) -> None:
        self._loop = loop
        self._timeout_s = settings.limits.connect_timeout_s
        self._upstreams = [(_family(address), address) for address in settings.upstreams]
        self._turns = itertools.cycle(range(len(self._upstreams)))
        self._sources = itertools.cycle(settings.sources) if settings.sources else None
        self._on_attempt_failed = on_attempt_failed
        self._on_failed = on_failed
        self._pending: dict[asyncio.Protocol, _Handshake] = {}
        self._poller = Poller(loop)

    def open(self, protocol: asyncio.Protocol, now: float) -> Failure | None:
        """Connect to the next upstream; `protocol` learns by `connection_made` that it is done.

        Returns why not, when that is known at once.
        """
        return self._ask(protocol, now, next(self._turns), len(self._upstreams) - 1)

    def sweep(self, now: float) -> None:
        """Give up what has taken too long."""
        late = [protocol for protocol, handshake in self._pending.items() if handshake.deadline <= now]
        for protocol in late:
            handshake = self._take(protocol)
            self._ask_others(
                protocol, handshake, UpstreamTimeout("the upstream did not accept the connection in time")
            )

    def _ask(self, protocol: asyncio.Protocol, now: float, upstream: int, left: int) -> Failure | None:
        """Connect to `upstream` or, while it cannot be reached, to one of the `left` after it."""
        while True:
            failure = self._connect(protocol, now, upstream, left)
            if failure is None:
                return None
            self._on_attempt_failed(failure)
            if not left:
                return failure
            left -= 1
            upstream = (upstream + 1) % len(self._upstreams)

    def _ask_others(self, protocol: asyncio.Protocol, failed: _Handshake, failure: Failure) -> None:
        failed.sock.close()
        self._on_attempt_failed(failure)
        last: Failure | None = failure
        if failed.upstreams_left:
            upstream = (failed.upstream + 1) % len(self._upstreams)
            last = self._ask(protocol, self._loop.time(), upstream, failed.upstreams_left - 1)
        if last is not None:
            self._on_failed(protocol, last)

    def _connect(self, protocol: asyncio.Protocol, now: float, upstream: int, left: int) -> Failure | None:
        family, address = self._upstreams[upstream]
        try:
            sock = self._socket(family)
        except OSError as error:
            return _failure(error.errno or errno.EIO)
        error_number = sock.connect_ex(address)
        if error_number == errno.EINPROGRESS:
            # The handshake with a near host is over by now: asking again is cheaper than a turn of the loop.
            error_number = sock.connect_ex(address)
        if error_number in (errno.EALREADY, errno.EINPROGRESS):
            self._pending[protocol] = _Handshake(sock, now + self._timeout_s, upstream, left)
            self._loop.add_writer(sock.fileno(), self._writable, protocol)
        elif error_number in (0, errno.EISCONN):
            self._attach(protocol, sock)
        else:
            sock.close()
            return _failure(error_number)
        return None

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
        handshake = self._take(protocol)
        error_number = handshake.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error_number:
            self._ask_others(protocol, handshake, _failure(error_number))
        else:
            self._attach(protocol, handshake.sock)

    def _take(self, protocol: asyncio.Protocol) -> _Handshake:
        handshake = self._pending.pop(protocol)
        self._loop.remove_writer(handshake.sock.fileno())
        return handshake

    def _attach(self, protocol: asyncio.Protocol, sock: socket.SocketType) -> None:
        SocketTransport(self._poller, sock, protocol)


def _family(address: Address) -> int:
    return socket.AF_INET6 if is_ipv6(address[0]) else socket.AF_INET


def _failure(error_number: int) -> ConnectFailed:
    return ConnectFailed(f"cannot connect to the upstream: {os.strerror(error_number).lower()}", error_number)
