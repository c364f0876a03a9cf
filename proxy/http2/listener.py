"""A listening socket without TLS, some of whose clients speak HTTP/2: they say so in their first bytes.

RFC 9113, section 3.3: with prior knowledge a client sends the preface of HTTP/2 at once. No request of HTTP/1
begins so, and who sends anything else is a client of HTTP/1.
"""

import asyncio
import os
import socket

from proxy.client import ClientConnection
from proxy.clock import Clock
from proxy.http2.connection import Http2Connection
from proxy.listener import Listener
from proxy.transport import Transport
from proxy.worker_context import WorkerContext

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""RFC 9113, section 3.4."""


class PrefaceListener(Listener):
    """Accepts the clients of a listening socket: each is one when its first bytes are there."""

    def __init__(self, sock: socket.socket, context: WorkerContext, clock: Clock) -> None:
        self._clock = clock
        self._pending: set[_Newcomer] = set()
        super().__init__(sock, context)

    def sweep(self) -> None:
        """Accept again where that had ended, and let those go that have sent nothing for too long."""
        super().sweep()
        for newcomer in [each for each in self._pending if each.deadline <= self._clock.now]:
            newcomer.transport.abort()

    def close(self) -> None:
        """Accept no more clients, and let those go that have sent nothing."""
        super().close()
        for newcomer in list(self._pending):
            newcomer.transport.abort()

    def forget(self, newcomer: "_Newcomer") -> None:
        """Note that a newcomer is a client, or gone."""
        self._pending.discard(newcomer)

    def _admit(self, descriptor: int, address: str) -> None:
        context = self._context
        if len(self._pending) >= context.limits.clients:
            context.counters.count_client_error(503)
            os.close(descriptor)
            return
        newcomer = _Newcomer(self, context, address)
        self._pending.add(newcomer)
        newcomer.transport = Transport(context.sends, descriptor, newcomer)


class _Newcomer(asyncio.Protocol):
    """A connection whose first bytes are awaited; `deadline`: until when."""

    transport: Transport

    def __init__(self, listener: PrefaceListener, context: WorkerContext, address: str) -> None:
        self._listener = listener
        self._context = context
        self._address = address
        self._data = b""
        self.deadline = context.idle_until

    def data_received(self, data: bytes) -> None:
        """Make it a client once its first bytes tell which."""
        self._data += data
        beginning = self._data[: len(PREFACE)]
        if len(beginning) < len(PREFACE) and PREFACE.startswith(beginning):
            self.deadline = min(self.deadline, self._context.head_until)
            return
        self._listener.forget(self)
        kind = Http2Connection if beginning == PREFACE else ClientConnection
        client = kind(self._context, self._address)
        self.transport.set_protocol(client)
        client.attach(self.transport)
        client.data_received(self._data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it: it never was a client."""
        self._listener.forget(self)
