"""Opens sockets to the upstreams, each address in turn, and the next one where one does not answer.

Which connection serves whom is not decided here, nor whose turn it is.
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

from proxy.counters import Counters
from proxy.errors import ConnectFailed, UpstreamTimeout
from proxy.poller import OUT, Poller
from proxy.rotation import Rotation
from proxy.settings import Address, Settings, is_ipv6
from proxy.transport import Receiver, Transport

# linux/in.h; in Python's socket module from 3.12 on. Without it bind() takes a port for one source address,
# with it connect() takes one for the whole four-tuple.
_IP_BIND_ADDRESS_NO_PORT = 24
_STREAM = socket.SOCK_STREAM | socket.SOCK_NONBLOCK
_UNDER_WAY = (errno.EALREADY, errno.EINPROGRESS)
_DONE = (0, errno.EISCONN)

_OURS = (errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
"""Reasons that say nothing about the upstream: this side has run out of something."""

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
        counters: count what becomes of each attempt.
    """

    def __init__(self, settings: Settings, poller: Poller, counters: Counters) -> None:
        self._poller = poller
        self._counters = counters
        self._timeout_s = settings.limits.connect_timeout_s
        self._upstreams = [(_family(address), address) for address in settings.upstreams]
        self._rotation = Rotation(
            len(self._upstreams),
            max_fails=settings.limits.max_fails,
            fail_timeout_s=settings.limits.fail_timeout_s,
        )
        self._sources = itertools.cycle(settings.sources) if settings.sources else None
        self._is_kept = settings.mode == "keepalive"
        self._pending: set[_Handshake] = set()

    def open(self, protocol: Connecting, now: float) -> Transport | Failure | None:
        """Connect to the next upstream.

        Returns the transport, or why there is none, when that is known at once; otherwise `protocol` is told.
        """
        return self._ask(protocol, now, (self._rotation.turn(now),))

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
        upstream = handshake.asked[-1]
        code = handshake.sock.connect_ex(self._upstreams[upstream][1])
        if code in _UNDER_WAY:
            return
        self._stop_waiting(handshake)
        if code in _DONE:
            self._rotation.connected(upstream)
            protocol = handshake.protocol
            protocol.connection_made(Transport(self._poller, handshake.sock.detach(), protocol))
        else:
            handshake.sock.close()
            self._ask_others(handshake, _failure(code))

    def _ask(self, protocol: Connecting, now: float, asked: tuple[int, ...]) -> Transport | Failure | None:
        """Connect to the last of `asked` or, while nobody can be reached, to the others."""
        while True:
            outcome = self._connect(protocol, now, asked)
            if not isinstance(outcome, ConnectFailed):
                return outcome
            self._note_failure(outcome, asked[-1], now)
            another = self._rotation.another(asked, now)
            if another is None:
                return outcome
            asked = (*asked, another)

    def _ask_others(self, failed: _Handshake, failure: Failure) -> None:
        now = time.monotonic()
        self._note_failure(failure, failed.asked[-1], now)
        protocol = failed.protocol
        outcome: Transport | Failure | None = failure
        another = self._rotation.another(failed.asked, now)
        if another is not None:
            outcome = self._ask(protocol, now, (*failed.asked, another))
        if isinstance(outcome, Transport):
            protocol.connection_made(outcome)
        elif outcome is not None:
            protocol.connection_failed(outcome)

    def _note_failure(self, failure: Failure, upstream: int, now: float) -> None:
        counts = self._counters.upstream
        code = failure.errno if isinstance(failure, ConnectFailed) else errno.ETIMEDOUT
        if isinstance(failure, UpstreamTimeout):
            counts["timeout"] += 1
        elif code == errno.EADDRNOTAVAIL:
            counts["address_exhausted"] += 1
            if self._counters.first_exhausted_ns is None:
                self._counters.first_exhausted_ns = time.monotonic_ns()
        else:
            counts["refused"] += 1
        if code not in _OURS and self._rotation.failed(upstream, now):
            self._counters.left_out += 1

    def _connect(
        self, protocol: Connecting, now: float, asked: tuple[int, ...]
    ) -> Transport | ConnectFailed | None:
        family, address = self._upstreams[asked[-1]]
        try:
            sock = self._socket(family)
        except OSError as error:
            return _failure(error.errno or errno.EIO)
        code = sock.connect_ex(address)
        if code == errno.EINPROGRESS:
            # The handshake with a near host is over by now: asking again is cheaper than a turn.
            code = sock.connect_ex(address)
        if code in _DONE:
            self._rotation.connected(asked[-1])
            return Transport(self._poller, sock.detach(), protocol)
        if code in _UNDER_WAY:
            self._wait(_Handshake(self._look, sock, protocol, now + self._timeout_s, asked))
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
    """A connection that takes its time, to the last of `asked`; the others before it have failed."""

    look: Callable[[_Handshake], None]
    sock: socket.SocketType
    protocol: Connecting
    deadline: float
    asked: tuple[int, ...]

    def read(self) -> None:
        self.look(self)

    def ready(self, events: int) -> None:
        self.look(self)


def _family(address: Address) -> int:
    return socket.AF_INET6 if is_ipv6(address[0]) else socket.AF_INET


def _failure(code: int) -> ConnectFailed:
    return ConnectFailed(f"cannot connect to the upstream: {os.strerror(code).lower()}", code)
