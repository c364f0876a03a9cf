"""Opens sockets to the upstreams: the selected address first, the others if it fails.

The dispatcher decides which exchange a connection serves, and the selector which address comes next.
"""

import errno
import itertools
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.clock import Clock
from proxy.counters import Counters
from proxy.errors import ConnectFailed
from proxy.send_queue import SendQueue
from proxy.settings import Address, Settings, is_ipv6, is_unix
from proxy.transport import MAX_UPSTREAM_READ_BYTES, Transport
from proxy.upstream_selector import UpstreamSelector
from proxy.watch import EpollWatcher

if TYPE_CHECKING:
    from ssl import SSLSocket

    from proxy.tls_connector import TlsConnector
    from proxy.upstream import UpstreamConnection

# linux/in.h; in Python's socket module from 3.12 on. Without it bind() takes a port for one source address,
# with it connect() takes one for the whole four-tuple.
_IP_BIND_ADDRESS_NO_PORT = 24
_STREAM = socket.SOCK_STREAM | socket.SOCK_NONBLOCK
_IN_PROGRESS = (errno.EALREADY, errno.EINPROGRESS)
_DONE = (0, errno.EISCONN)

_LOCAL_ERRORS = (errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
"""Errors that do not blame the upstream: this side has run out of a resource."""


class Connector:
    """Opens the connections of one worker.

    An upstream that refuses, or does not accept in time, has received nothing. The next one is tried
    instead, each at most once per connection.

    Args:
        counters: counts the result of each attempt.
    """

    def __init__(self, settings: Settings, sends: SendQueue, counters: Counters, clock: Clock) -> None:
        self._sends = sends
        self._counters = counters
        self._clock = clock
        self._timeout_s = settings.limits.connect_timeout_s
        self._upstreams = [
            (family, address[0] if family == socket.AF_UNIX else address)
            for address in settings.upstreams
            for family in (_family(address),)
        ]
        self._selector = UpstreamSelector(
            len(self._upstreams),
            max_fails=settings.limits.max_fails,
            fail_timeout_s=settings.limits.fail_timeout_s,
        )
        self._sources = itertools.cycle(settings.sources) if settings.sources else None
        self._watch = EpollWatcher(sends.loop)
        self._keepalive = settings.mode == "keepalive"
        self._pending: set[_Handshake] = set()
        self._addresses = settings.upstreams
        self._tls = _tls_connector(settings, sends)

    def open(self, protocol: "UpstreamConnection") -> Transport | ConnectFailed | None:
        """Connect to the next upstream.

        Return the transport or the failure if it is known at once; otherwise `protocol` is called later.
        """
        tried = (self._selector.select(self._clock.now),)
        return self._try_others(protocol, tried, self._connect(protocol, tried))

    def sweep(self, now: float) -> None:
        """Fail the attempts whose deadline has passed."""
        for handshake in [each for each in self._pending if each.deadline <= now]:
            self._complete(handshake, errno.ETIMEDOUT)
        if self._tls is not None:
            self._tls.sweep(now)

    def _check(self, handshake: "_Handshake") -> None:
        """Complete a pending attempt, if its result is known."""
        code = handshake.sock.connect_ex(self._upstreams[handshake.tried[-1]][1])
        if code not in _IN_PROGRESS:
            self._complete(handshake, code)

    def _complete(self, handshake: "_Handshake", code: int) -> None:
        self._pending.discard(handshake)
        self._sends.loop.remove_writer(handshake.sock.fileno())
        protocol, tried = handshake.protocol, handshake.tried
        self._deliver(protocol, tried, self._result(handshake.sock, protocol, tried, code))

    def _deliver(
        self, protocol: "UpstreamConnection", tried: tuple[int, ...], result: Transport | ConnectFailed | None
    ) -> None:
        result = self._try_others(protocol, tried, result)
        if isinstance(result, Transport):
            protocol.established(result)
        elif result is not None:
            protocol.connection_failed(result)

    def _try_others(
        self, protocol: "UpstreamConnection", tried: tuple[int, ...], result: Transport | ConnectFailed | None
    ) -> Transport | ConnectFailed | None:
        """Return the result of the last of `tried` or, while attempts fail at once, of the others."""
        while isinstance(result, ConnectFailed):
            self._count_failure(result.code, tried[-1])
            following = self._selector.select_next(tried, self._clock.now)
            if following is None:
                break
            tried = (*tried, following)
            result = self._connect(protocol, tried)
        return result

    def _count_failure(self, code: int, upstream: int) -> None:
        counts = self._counters.upstream
        if code == errno.ETIMEDOUT:
            counts["timeout"] += 1
        elif code == errno.EADDRNOTAVAIL:
            counts["address_exhausted"] += 1
            if self._counters.first_exhausted_ns is None:
                self._counters.first_exhausted_ns = time.monotonic_ns()
        else:
            counts["refused"] += 1
        if code not in _LOCAL_ERRORS and self._selector.report_failure(upstream, self._clock.latest):
            self._counters.ejected += 1

    def _connect(
        self, protocol: "UpstreamConnection", tried: tuple[int, ...]
    ) -> Transport | ConnectFailed | None:
        family, address = self._upstreams[tried[-1]]
        try:
            sock = self._socket(family)
        except OSError as error:
            return ConnectFailed(error.errno or errno.EIO)
        code = sock.connect_ex(address)
        if code == errno.EINPROGRESS:
            # The handshake with a near host is over by now: a second call is cheaper than an iteration.
            code = sock.connect_ex(address)
        if code not in _IN_PROGRESS:
            return self._result(sock, protocol, tried, code)
        handshake = _Handshake(sock, protocol, self._clock.latest + self._timeout_s, tried)
        self._pending.add(handshake)
        self._sends.loop.add_writer(sock.fileno(), self._check, handshake)
        return None

    def _result(
        self, sock: socket.SocketType, protocol: "UpstreamConnection", tried: tuple[int, ...], code: int
    ) -> Transport | ConnectFailed | None:
        if code in _DONE and self._tls is not None:
            self._shake_hands(self._tls, sock, protocol, tried)
            return None
        if code in _DONE:
            self._selector.report_success(tried[-1])
            return Transport(self._sends, sock.detach(), protocol, self._watch, MAX_UPSTREAM_READ_BYTES)
        sock.close()
        return ConnectFailed(code)

    def _shake_hands(
        self,
        connector: "TlsConnector",
        sock: socket.SocketType,
        protocol: "UpstreamConnection",
        tried: tuple[int, ...],
    ) -> None:
        upstream = self._addresses[tried[-1]]

        def deliver(result: "SSLSocket | ConnectFailed") -> None:
            if isinstance(result, ConnectFailed):
                self._deliver(protocol, tried, result)
                return
            self._selector.report_success(tried[-1])
            self._deliver(protocol, tried, connector.transport(result, upstream, protocol, self._watch))

        deadline = self._clock.latest + self._timeout_s
        connector.shake_hands(sock.detach(), upstream, deadline, deliver)

    def _socket(self, family: int) -> socket.SocketType:
        # The base type: socket.socket is written in Python and triples the cost of opening and closing.
        sock = socket.SocketType(family, _STREAM)
        if family == socket.AF_UNIX:
            return sock
        # The ACK that ends the handshake is delayed and sent with the request.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
        if self._keepalive:
            # Short connections send once, and so never wait for the ACK of earlier data.
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
    """A pending attempt to connect to the last of `tried`; those before it have failed."""

    sock: socket.SocketType
    protocol: "UpstreamConnection"
    deadline: float
    tried: tuple[int, ...]


def _tls_connector(settings: Settings, sends: SendQueue) -> "TlsConnector | None":
    if settings.upstream_tls is None:
        return None
    # The module `ssl` takes some milliseconds to load, which plain connections shall not pay.
    from proxy.tls_connector import TlsConnector  # noqa: PLC0415

    return TlsConnector(settings.upstream_tls, sends)


def _family(address: Address) -> int:
    if is_unix(address[0]):
        return socket.AF_UNIX
    return socket.AF_INET6 if is_ipv6(address[0]) else socket.AF_INET
