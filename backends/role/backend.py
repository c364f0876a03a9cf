"""A protocol around another one that counts what happens to a connection, and the server that makes them.

Whatever serves by protocols (an aiohttp application, a WebSocket server) is counted alike.
"""

import asyncio
from collections.abc import Callable

from backends.connections import Connections
from backends.counters import Counters


class Watched(asyncio.Protocol):
    """Counts what happens to one connection and passes everything on to the protocol inside."""

    def __init__(self, server: "WatchedServer", inner: asyncio.Protocol) -> None:
        self._server = server
        self._inner = inner
        self._peer_closed = False
        self.transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = self._server.dress(transport)
        self._server.counters.accepted += 1
        self._server.connections.add(self)
        self._inner.connection_made(self.transport)

    def data_received(self, data: bytes) -> None:
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        self._peer_closed = True
        return self._inner.eof_received()

    def connection_lost(self, error: Exception | None) -> None:
        if self.transport is not None:
            self._server.on_lost(self.transport)
        self._server.connections.discard(self)
        self._server.counters.count_lost(error, peer_closed=self._peer_closed)
        self._inner.connection_lost(error)

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()


class WatchedServer:
    """Makes the protocols of new connections, each of `inner` behind one that counts."""

    def __init__(
        self,
        inner: Callable[[], asyncio.Protocol],
        counters: Counters,
        on_lost: Callable[[asyncio.BaseTransport], object] = lambda transport: None,
        dress: Callable[[asyncio.BaseTransport], asyncio.BaseTransport] = lambda transport: transport,
    ) -> None:
        """Accept what makes the protocols inside, and what to call with a transport that is gone.

        `dress` returns what the protocol inside is given for its transport, and `on_lost` is called with.
        """
        self.counters = counters
        self.dress = dress
        self.on_lost = on_lost
        self.connections: Connections[Watched] = Connections()
        self._inner = inner

    def __call__(self) -> Watched:
        """Make the protocol of a new connection."""
        return Watched(self, self._inner())

    async def drain(self, timeout_s: float) -> bool:
        """Close every connection, since streams end by nothing else; return whether all went in time."""
        for connection in self.connections:
            if connection.transport is not None:
                connection.transport.close()
        return await self.connections.gone(timeout_s)
