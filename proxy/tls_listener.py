"""A listening socket whose clients speak TLS: a client is one when its handshake is over."""

import os
import socket
import ssl
from typing import TYPE_CHECKING

from proxy import tls
from proxy.client import ClientConnection
from proxy.clock import Clock
from proxy.listener import Listener
from proxy.tls import Handshake
from proxy.tls_transport import TlsTransport
from proxy.worker_context import WorkerContext

if TYPE_CHECKING:
    from proxy.http2.connection import Http2Connection


class TlsListener(Listener):
    """Accepts the clients of a listening socket, and shakes hands with each."""

    def __init__(
        self, sock: socket.socket, context: WorkerContext, clock: Clock, tls_context: ssl.SSLContext
    ) -> None:
        self._tls_context = tls_context
        self._clock = clock
        self._pending: dict[Handshake, str] = {}
        """The handshakes under way, each with the client's address."""
        super().__init__(sock, context)

    def sweep(self) -> None:
        """Accept again where that had ended, and end the handshakes that take too long."""
        super().sweep()
        for handshake in [each for each in self._pending if each.deadline <= self._clock.now]:
            handshake.end(TimeoutError())

    def close(self) -> None:
        """Accept no more clients, and shake no more hands."""
        super().close()
        for handshake in list(self._pending):
            handshake.end(TimeoutError())

    def _admit(self, descriptor: int, address: str) -> None:
        counts, limits = self._context.counters.client, self._context.limits
        if len(self._pending) >= limits.clients:
            counts["too_many"] += 1
            os.close(descriptor)
            return
        try:
            sock = tls.wrap(self._tls_context, descriptor)
        except OSError:
            counts["tls"] += 1
            return
        deadline = self._clock.latest + limits.head_timeout_s
        handshake = Handshake(self._context.sends.loop, sock, deadline, self._shaken)
        self._pending[handshake] = address

    def _shaken(self, handshake: Handshake, sock: ssl.SSLSocket, error: OSError | None) -> None:
        address = self._pending.pop(handshake)
        if error is not None:
            self._context.counters.client["tls"] += 1
            sock.close()
            return
        client = self._client(sock.selected_alpn_protocol(), address)
        client.attach(TlsTransport(self._context.sends, sock, client))

    def _client(self, protocol: str | None, address: str) -> "ClientConnection | Http2Connection":
        if protocol != tls.HTTP2:
            return ClientConnection(self._context, address)
        from proxy.http2.connection import Http2Connection  # noqa: PLC0415 - most listeners never need h2

        return Http2Connection(self._context, address)
