"""A client's connections: HTTP/1.1 by httptools, one exchange at a time; HTTP/2 by h2, many at a time.

Both count every byte that they send and receive, so that the overhead is known.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived, StreamEnded, StreamReset
from h2.exceptions import H2Error

from bench.scenarios.client.requests import HttpConnection, TcpConnection

Fields = Sequence[tuple[str, str]]


class ByteCounts:
    """What went over all connections of a client."""

    def __init__(self) -> None:
        self.sent = self.received = self.body = self.connections = 0

    @property
    def overhead(self) -> int:
        """Return the bytes received besides the bodies."""
        return self.received - self.body


class ExchangeConnection(Protocol):
    """A connection that carries exchanges."""

    @property
    def is_closed(self) -> bool:
        """Return whether it carries no further exchange."""

    async def get(self, path: str) -> int:
        """Return the status of the response; ConnectionError where there is none."""

    def close(self) -> None:
        """Close it."""


class CountedHttp1(HttpConnection):
    """One HTTP/1.1 connection. States: idle, waiting for a response, closed."""

    def __init__(self, host: str, fields: Fields, count: ByteCounts, *, closes: bool) -> None:
        super().__init__()
        self._count = count
        more = [*fields, ("connection", "close")] if closes else fields
        self._rest = f" HTTP/1.1\r\nhost: {host}\r\n" + "".join(f"{k}: {v}\r\n" for k, v in more) + "\r\n"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection."""
        super().connection_made(transport)
        self._count.connections += 1

    async def get(self, path: str) -> int:
        """Send a request and return the status of its response."""
        if self.is_closed:
            raise ConnectionError("the connection is closed")
        head = f"GET {path}{self._rest}".encode()
        self._count.sent += len(head)
        return (await self.send(head)).status

    def data_received(self, data: bytes) -> None:
        """Count a piece of a response."""
        self._count.received += len(data)
        super().data_received(data)

    def on_body(self, body: bytes) -> None:
        """Count a piece of the body."""
        self._count.body += len(body)


class CountedHttp2(TcpConnection):
    """One HTTP/2 connection with any number of streams. States: open, closed."""

    def __init__(self, host: str, fields: Fields, count: ByteCounts) -> None:
        self.is_closed = False
        self._count = count
        self._waiting: dict[int, asyncio.Future[int]] = {}
        self._status: dict[int, int] = {}
        self._h2 = H2Connection(
            H2Configuration(
                header_encoding=None, validate_inbound_headers=False, normalize_inbound_headers=False
            )
        )
        self._pseudo = [(":method", "GET"), (":scheme", "http"), (":authority", host)]
        self._fields = list(fields)
        self._settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the preface."""
        super().connection_made(transport)
        self._count.connections += 1
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(2**30)
        self._flush()

    async def get(self, path: str) -> int:
        """Send a request on a stream of its own and return the status of its response."""
        if self.is_closed:
            raise ConnectionError("the connection is closed")
        await asyncio.shield(self._settled)
        try:
            stream = self._h2.get_next_available_stream_id()
            self._h2.send_headers(stream, [*self._pseudo, (":path", path), *self._fields], end_stream=True)
        except H2Error as error:
            raise ConnectionError(str(error)) from error
        waiting: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting[stream] = waiting
        self._flush()
        return await waiting

    def data_received(self, data: bytes) -> None:
        """Handle the events in a piece of data."""
        self._count.received += len(data)
        try:
            events = self._h2.receive_data(data)
        except H2Error as error:
            self._end(str(error))
            return
        for event in events:
            self._handle(event)
        if not self._settled.done():
            self._settled.set_result(None)
        self._flush()

    def connection_lost(self, error: Exception | None) -> None:
        """Fail the requests that wait."""
        self._end("the connection was closed")

    def _handle(self, event: Any) -> None:
        if isinstance(event, ResponseReceived):
            self._status[event.stream_id] = int(dict(event.headers)[b":status"])
        elif isinstance(event, DataReceived):
            self._count.body += len(event.data)
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, StreamEnded | StreamReset):
            waiting = self._waiting.pop(event.stream_id)
            if waiting.done():
                return
            if isinstance(event, StreamEnded):
                waiting.set_result(self._status.pop(event.stream_id))
            else:
                waiting.set_exception(ConnectionError(f"stream reset, error {event.error_code}"))

    def _flush(self) -> None:
        data = self._h2.data_to_send()
        self._count.sent += len(data)
        self._transport.write(data)

    def _end(self, message: str) -> None:
        self.is_closed = True
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ConnectionError(message))
        self._waiting.clear()
