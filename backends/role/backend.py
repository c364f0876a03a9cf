"""A backend as its process sees it: it accepts connections, counts them and ends them all in a drain."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Generic, TypeVar, cast

from backends.role.counters import Counters
from backends.role.listening import BACKLOG
from backends.role.pipes import Values

Connection = TypeVar("Connection")
Command = Callable[[Values], None]
_NO_COMMANDS: Mapping[str, Command] = MappingProxyType({})


class Connections(Generic[Connection]):
    """The open connections of one worker: a set that can be waited for to become empty."""

    def __init__(self) -> None:
        self._open: set[Connection] = set()
        self._none_left: asyncio.Future[None] | None = None

    def __iter__(self) -> Iterator[Connection]:
        # A copy: the caller may close some of them on the way.
        return iter(tuple(self._open))

    def add(self, connection: Connection) -> None:
        """Add a connection that was accepted."""
        self._open.add(connection)

    def discard(self, connection: Connection) -> None:
        """Remove a connection that was lost."""
        self._open.discard(connection)
        if self._none_left is not None and not self._open and not self._none_left.done():
            self._none_left.set_result(None)

    async def wait_empty(self, timeout_s: float) -> bool:
        """Wait until no connection is left; return whether that came true in time."""
        self._none_left = asyncio.get_running_loop().create_future()
        if not self._open:
            return True
        await asyncio.wait([self._none_left], timeout=timeout_s)
        return self._none_left.done()


class Backend:
    """One worker's server. `connect` makes the protocol of a new connection; or a kind of backend does it."""

    tls: ssl.SSLContext | None = None
    commands: Mapping[str, Command] = _NO_COMMANDS
    """The commands that it obeys besides `count` and `stop`."""

    def __init__(
        self, counters: Counters, connect: Callable[["Backend"], asyncio.Protocol] | None = None
    ) -> None:
        self.counters = counters
        self.connections: Connections[Any] = Connections()
        self._connect = connect

    def __call__(self) -> asyncio.Protocol:
        """Make the protocol of a new connection."""
        assert self._connect is not None, "this kind of backend accepts by itself"
        return self._connect(self)

    async def accept(self, listener: socket.socket) -> asyncio.AbstractServer | None:
        """Serve the connections that come to a socket; return None where only the drain ends that."""
        loop = asyncio.get_running_loop()
        return await loop.create_server(self, sock=listener, backlog=BACKLOG, ssl=self.tls)

    def event(self, name: str) -> dict[str, object]:
        """Return the counters as the event `name`."""
        return self.counters.event(name)

    async def drain(self, timeout_s: float) -> bool:
        """Close every connection; return whether all went in time."""
        for connection in self.connections:
            connection.close()
        return await self.connections.wait_empty(timeout_s)


class CountedConnection(asyncio.Protocol):
    """One connection, counted from its accept to its end."""

    __slots__ = ("backend", "counters", "peer_closed", "transport")

    transport: asyncio.Transport

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.counters = backend.counters
        self.peer_closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class
        self.counters.accepted += 1
        self.backend.connections.add(self)

    def eof_received(self) -> bool | None:
        """Return None, which closes the transport: no late answer to a half-closed client, no CLOSE_WAIT."""
        self.peer_closed = True
        return None

    def connection_lost(self, error: Exception | None) -> None:
        """Count how the connection ended."""
        self.backend.connections.discard(self)
        self.counters.count_lost(error, peer_closed=self.peer_closed)

    def close(self) -> None:
        """Close the connection, whatever is under way."""
        self.transport.close()


class WrappedConnection(CountedConnection):
    """Counts what happens to a connection and passes everything on to the protocol inside."""

    def __init__(self, backend: "WrappingBackend", inner: asyncio.Protocol) -> None:
        super().__init__(backend)
        self._wrapping = backend
        self._inner = inner

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection, and pass it on."""
        super().connection_made(self._wrapping.wrap(transport))
        self._inner.connection_made(self.transport)

    def data_received(self, data: bytes) -> None:
        """Pass bytes on."""
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """Pass the peer's FIN on; the protocol inside decides whether the transport closes."""
        self.peer_closed = True
        return self._inner.eof_received()

    def connection_lost(self, error: Exception | None) -> None:
        """Count how the connection ended, and pass it on."""
        self._wrapping.on_lost(self.transport)
        super().connection_lost(error)
        self._inner.connection_lost(error)

    def pause_writing(self) -> None:
        """Pass on that the peer is slow."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Pass on that the peer reads again."""
        self._inner.resume_writing()


class WrappingBackend(Backend):
    """Serves by the protocols that `inner` makes (those of a library), each behind one that counts."""

    def __init__(self, inner: Callable[[], asyncio.Protocol], counters: Counters) -> None:
        super().__init__(counters)
        self._inner = inner

    def __call__(self) -> WrappedConnection:
        """Make the protocol of a new connection."""
        return WrappedConnection(self, self._inner())

    def wrap(self, transport: asyncio.BaseTransport) -> asyncio.BaseTransport:
        """Return what the protocol inside gets for its transport."""
        return transport

    def on_lost(self, transport: asyncio.BaseTransport) -> None:
        """Note that a transport is gone."""
