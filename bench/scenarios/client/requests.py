"""A client of HTTP/1.1: one request at a time, on a kept connection or on a new one for each.

For scenarios whose clients wait more than they work; the hot loop that measures proxies is bench/load/.
"""

import asyncio
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar, cast

import httptools

P = TypeVar("P", bound=asyncio.Protocol)
_BIND_NO_PORT = 24
"""IP_BIND_ADDRESS_NO_PORT (ip(7)): connect() chooses the port, which so is taken for one destination only."""


class HttpResponse(NamedTuple):
    """A response."""

    status: int
    body: bytes


async def connect(make: Callable[[], P], address: str, source: str | None = None) -> P:
    """Connect to HOST:PORT, from the address `source` where there is one; return the protocol; OSError."""
    loop = asyncio.get_running_loop()
    host, _, port = address.rpartition(":")
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        if source is not None:
            if sys.platform == "linux":
                sock.setsockopt(socket.IPPROTO_IP, _BIND_NO_PORT, 1)
            sock.bind((source, 0))
        await loop.sock_connect(sock, (host, int(port)))
        _, protocol = await loop.create_connection(make, sock=sock)
    except BaseException:
        sock.close()
        raise
    return protocol


@dataclass(frozen=True, slots=True)
class RequestOptions:
    """Where and how a client sends its requests."""

    address: str
    """HOST:PORT."""
    is_kept: bool = True
    server_closes: bool = False
    """Asks the server to close a connection of one request; else the client does, and keeps TIME_WAIT."""
    source: str | None = None
    """The address that its connections come from; None: the system chooses."""


class HttpCaller:
    """Sends one request at a time. States: away (no connection), connected, busy, closed.

    OSError where the server cannot be reached, ConnectionError where it ends the connection too early or
    answers with what is no response.
    """

    def __init__(self, options: RequestOptions) -> None:
        self._options = options
        self._connection: HttpConnection | None = None
        close = "Connection: close\r\n" if options.server_closes else ""
        self._rest = f" HTTP/1.1\r\nHost: {options.address}\r\n{close}"

    async def request(self, method: str, target: str, body: bytes | None = None) -> HttpResponse:
        """Send one request and return its response."""
        length = "" if body is None else f"Content-Length: {len(body)}\r\n"
        head = f"{method} {target}{self._rest}{length}\r\n".encode() + (body or b"")
        connection = self._connection
        if connection is None or connection.is_closed:
            options = self._options
            connection = await connect(HttpConnection, options.address, options.source)
            self._connection = connection
        response = await connection.send(head)
        if not self._options.is_kept:
            self._connection = None
            if not self._options.server_closes:
                connection.close()
        return response

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()


class TcpConnection(asyncio.Protocol):
    """One connection, which keeps its transport."""

    _transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()


class HttpConnection(TcpConnection):
    """One connection. States: idle, waiting for a response, closed."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._body = b""
        self._waiting: asyncio.Future[HttpResponse] | None = None
        self._is_last = False

    @property
    def is_closed(self) -> bool:
        """Return whether it carries no further request."""
        return self._is_last or self._transport.is_closing()

    def send(self, request: bytes) -> asyncio.Future[HttpResponse]:
        """Send a request; the future ends with its response."""
        self._transport.write(request)
        self._waiting = asyncio.get_running_loop().create_future()
        return self._waiting

    def data_received(self, data: bytes) -> None:
        """Parse a piece of a response."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(ConnectionError(f"answered with what is no response: {error}"))
            self.close()

    def connection_lost(self, error: Exception | None) -> None:
        """Fail the request that waits."""
        self._fail(error or ConnectionError("the connection ended before the response did"))

    def _fail(self, error: Exception) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error)
        self._waiting = None

    # -- what httptools calls

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body."""
        self._body += body

    def on_message_complete(self) -> None:
        """Answer the request that waits."""
        body, self._body = self._body, b""
        if not self._parser.should_keep_alive():
            self._is_last = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(HttpResponse(self._parser.get_status_code(), body))
        self._waiting = None
