"""Opens sockets to the upstreams, each address in turn, and the next one where one does not answer.

Which connection serves whom is not decided here.
"""

from __future__ import annotations

import errno
import itertools
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from proxy.errors import ConnectFailed, UpstreamTimeout
from proxy.poller import OUT, Poller
from proxy.settings import Address, Settings, is_ipv6
from proxy.transport import Receiver, Transport

# linux/in.h; in Python's socket module from 3.12 on. Without it bind() takes a port for one source address,
# with it connect() takes one for the whole four-tuple.
_IP_BIND_ADDRESS_NO_PORT = 24
_STREAM = socket.SOCK_STREAM | socket.SOCK_NONBLOCK
_UNDER_WAY = (errno.EALREADY, errno.EINPROGRESS)
_DONE = (0, errno.EISCONN)

Failure = ConnectFailed | UpstreamTimeout


class Connecting(Receiver, Protocol):
    """A connection to be, as it learns what becomes of it."""

    def connection_made(self, transport: Transport) -> None:
        """Learn that it is established."""

    def connection_failed(self, error: Failure) -> None:
        """Learn that it did not come to be."""


class Connector:
    """Opens one worker's connections.

    An upstream that refuses, or does not accept in time, has been sent nothing: the next one is asked
    instead, and each at most once for one connection.

    Args:
        on_attempt_failed: learns of each upstream that could not be connected to.
    """

    def __init__(
        self, settings: Settings, poller: Poller, on_attempt_failed: Callable[[Failure], None]
    ) -> None:
        self._poller = poller
        self._timeout_s = settings.limits.connect_timeout_s
        self._upstreams = [(_family(address), address) for address in settings.upstreams]
        self._turns = itertools.cycle(range(len(self._upstreams)))
        self._sources = itertools.cycle(settings.sources) if settings.sources else None
        self._is_kept = settings.mode == "keepalive"
        self._on_attempt_failed = on_attempt_failed
        self._pending: set[_Handshake] = set()

    def open(self, protocol: Connecting, now: float) -> Transport | Failure | None:
        """Connect to the next upstream.

        Returns the transport, or why there is none, when that is known at once; otherwise `protocol` is told.
        """
        return self._ask(protocol, now, next(self._turns), len(self._upstreams) - 1)

    def sweep(self, now: float) -> None:
        """Give up what has taken too long."""
        for handshake in [each for each in self._pending if each.deadline <= now]:
            self._stop_waiting(handshake)
            handshake.sock.close()
            late = UpstreamTimeout("the upstream did not accept the connection in time")
            self._ask_others(handshake, late)

    def _wait(self, handshake: _Handshake) -> None:
        self._pending.add(handshake)
        self._poller.add(handshake.sock.fileno(), handshake, OUT)

    def _stop_waiting(self, handshake: _Handshake) -> None:
        self._pending.discard(handshake)
        self._poller.release(handshake.sock.fileno())

    def _look(self, handshake: _Handshake) -> None:
        """See what has become of a connection that took its time."""
        code = handshake.sock.connect_ex(self._upstreams[handshake.upstream][1])
        if code in _UNDER_WAY:
            return
        self._stop_waiting(handshake)
        if code in _DONE:
            protocol = handshake.protocol
            protocol.connection_made(Transport(self._poller, handshake.sock.detach(), protocol))
        else:
            handshake.sock.close()
            self._ask_others(handshake, _failure(code))

    def _ask(self, protocol: Connecting, now: float, upstream: int, left: int) -> Transport | Failure | None:
        """Connect to `upstream` or, while it cannot be reached, to one of the `left` after it."""
        while True:
            outcome = self._connect(protocol, now, upstream, left)
            if not isinstance(outcome, ConnectFailed):
                return outcome
            self._on_attempt_failed(outcome)
            if not left:
                return outcome
            left -= 1
            upstream = (upstream + 1) % len(self._upstreams)

    def _ask_others(self, failed: _Handshake, failure: Failure) -> None:
        self._on_attempt_failed(failure)
        protocol = failed.protocol
        outcome: Transport | Failure | None = failure
        if failed.upstreams_left:
            upstream = (failed.upstream + 1) % len(self._upstreams)
            outcome = self._ask(protocol, time.monotonic(), upstream, failed.upstreams_left - 1)
        if isinstance(outcome, Transport):
            protocol.connection_made(outcome)
        elif outcome is not None:
            protocol.connection_failed(outcome)

    def _connect(
        self, protocol: Connecting, now: float, upstream: int, left: int
    ) -> Transport | ConnectFailed | None:
        family, address = self._upstreams[upstream]
        try:
            sock = self._socket(family)
        except OSError as error:
            return _failure(error.errno or errno.EIO)
        code = sock.connect_ex(address)
        if code == errno.EINPROGRESS:
            # The handshake with a near host is over by now: asking again is cheaper than a turn.
            code = sock.connect_ex(address)
        if code in _DONE:
            return Transport(self._poller, sock.detach(), protocol)
        if code in _UNDER_WAY:
            self._wait(_Handshake(self._look, sock, protocol, now + self._timeout_s, upstream, left))
            return None
        sock.close()
        return _failure(code)

    def _socket(self, family: int) -> socket.SocketType:
        # The type below socket.socket, which is written in Python and opens and closes at thrice the price.
        sock = socket.SocketType(family, _STREAM)
        # The acknowledgement that ends the handshake can wait for the request, and travel with it.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
        if self._is_kept:
            # What is sent once a connection never waits for an acknowledgement of what went before.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._sources is not None:
            sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
            try:
                sock.bind((next(self._sources), 0))
            except OSError:
                sock.close()
                raise
        return sock


@dataclass(slots=True, eq=False)
class _Handshake:
    """A connection that takes its time; `upstreams_left` may still be asked, should it fail."""

    look: Callable[[_Handshake], None]
    sock: socket.SocketType
    protocol: Connecting
    deadline: float
    upstream: int
    upstreams_left: int

    def read(self) -> None:
        self.look(self)

    def ready(self, events: int) -> None:
        self.look(self)


def _family(address: Address) -> int:
    return socket.AF_INET6 if is_ipv6(address[0]) else socket.AF_INET


def _failure(code: int) -> ConnectFailed:
    return ConnectFailed(f"cannot connect to the upstream: {os.strerror(code).lower()}", code)
