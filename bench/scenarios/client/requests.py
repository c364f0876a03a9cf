"""A caller of a server by HTTP/1.1: one request at a time, on a kept connection or on a new one for each.

For scenarios whose clients wait more than they work; the hot loop that measures proxies is bench/load/.
"""

from __future__ import annotations

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


class Response(NamedTuple):
    """What was answered."""

    status: int
    body: bytes


async def connect(make: Callable[[], P], host: str, port: int, source: str | None = None) -> P:
    """Connect, from the address `source` where there is one, and return the protocol; OSError."""
    loop = asyncio.get_running_loop()
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        if source is not None:
            if sys.platform == "linux":
                sock.setsockopt(socket.IPPROTO_IP, _BIND_NO_PORT, 1)
            sock.bind((source, 0))
        await loop.sock_connect(sock, (host, port))
        _, protocol = await loop.create_connection(make, sock=sock)
    except BaseException:
        sock.close()
        raise
    return protocol


@dataclass(frozen=True, slots=True)
class Manner:
    """How a caller asks."""

    host: str
    port: int
    is_kept: bool
    server_closes: bool = False
    """Asks the server to close a connection of one request; else the caller does, and keeps TIME_WAIT."""
    source: str | None = None
    """The address that its connections come from; None: the system chooses."""


class Caller:
    """Asks one request at a time. States: away (no connection), connected, busy, closed.

    OSError where the server cannot be reached, ConnectionError where it ends the connection too early or
    answers with what is no response.
    """

    def __init__(self, manner: Manner) -> None:
        self._manner = manner
        self._exchange: _Exchange | None = None
        close = "Connection: close\r\n" if manner.server_closes else ""
        self._rest = f" HTTP/1.1\r\nHost: {manner.host}:{manner.port}\r\n{close}"

    async def ask(self, method: str, target: str, body: bytes | None = None) -> Response:
        """Send one request and return its response."""
        length = "" if body is None else f"Content-Length: {len(body)}\r\n"
        request = f"{method} {target}{self._rest}{length}\r\n".encode() + (body or b"")
        exchange = self._exchange
        if exchange is None or exchange.is_closed:
            exchange = self._exchange = await self._connect()
        response = await exchange.send(request)
        if not self._manner.is_kept:
            self._exchange = None
            if not self._manner.server_closes:
                exchange.close()
        return response

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._exchange is not None:
            self._exchange.close()

    async def _connect(self) -> _Exchange:
        manner = self._manner
        return await connect(_Exchange, manner.host, manner.port, manner.source)


class _Exchange(asyncio.Protocol):
    """One connection. States: idle, waiting for a response, closed."""

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._body = b""
        self._waiting: asyncio.Future[Response] | None = None
        self._is_last = False

    @property
    def is_closed(self) -> bool:
        return self._is_last or self._transport.is_closing()

    def send(self, request: bytes) -> asyncio.Future[Response]:
        self._transport.write(request)
        self._waiting = asyncio.get_running_loop().create_future()
        return self._waiting

    def close(self) -> None:
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(ConnectionError(f"answered with what is no response: {error}"))
            self.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(error or ConnectionError("the connection ended before the response did"))

    def _fail(self, error: Exception) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error)
        self._waiting = None

    # -- what httptools calls

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        body, self._body = self._body, b""
        if not self._parser.should_keep_alive():
            self._is_last = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(Response(self._parser.get_status_code(), body))
        self._waiting = None
