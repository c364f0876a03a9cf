"""HTTP/1.1 served by a function: a whole request in, an answer out, at once or whenever it is there.

What a request means is the function's affair; framing is http11.py's; this file moves bytes. One protocol
object per connection, no task per request.
"""

import asyncio
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import parse_qsl

from backends.protocols.http11 import ProtocolError, RequestHead, RequestReader
from backends.role.backend import Backend, CountedConnection
from backends.role.counters import Counters

JSON = b"application/json"
TEXT = b"text/plain"
BODY_MAX = 1 << 20
"""Bytes of a request's body that are collected."""
_REASONS = {200: b"OK", 204: b"No Content", 400: b"Bad Request", 404: b"Not Found"}


class Request(NamedTuple):
    """A whole request."""

    method: bytes
    path: str
    query: dict[str, str]
    body: bytes


class Answer(NamedTuple):
    """What is sent in return."""

    body: bytes = b""
    status: int = 200
    content_type: bytes = TEXT


Reply = Callable[[Answer], None]
"""Answers a request; to be called once, and without effect where the connection is gone by then."""
Handle = Callable[[Request, Reply], None]
"""Receives a request, and answers it now or later."""


def handler_backend(handle: Handle, counters: Counters) -> Backend:
    """Return a backend whose requests go to `handle`."""
    return Backend(counters, lambda backend: HandlerConnection(backend, handle))


class HandlerConnection(CountedConnection):
    """One client's connection. States: reading, answering (further requests wait in the reader), closed."""

    __slots__ = ("_body", "_handle_request", "_head", "_is_answering", "_reader")

    def __init__(self, backend: Backend, handle: Handle) -> None:
        super().__init__(backend)
        self._handle_request = handle
        self._reader = RequestReader()
        self._head: RequestHead | None = None
        self._body = bytearray()
        self._is_answering = False

    def data_received(self, data: bytes) -> None:
        """Pass on the requests that are whole, one at a time."""
        self._reader.feed(data)
        if not self._is_answering:
            self._read()

    def connection_lost(self, error: Exception | None) -> None:
        """Count how the connection ended."""
        self._is_answering = False
        super().connection_lost(error)

    def _read(self) -> None:
        """Handle the requests that are whole, until one of them is not answered at once."""
        try:
            while not self._is_answering and not self.transport.is_closing() and self._is_whole():
                self._pass_on()
        except ProtocolError as error:
            self.counters.errors.protocol += 1
            self.transport.write(_bytes(Answer(str(error).encode(), error.status), keep_alive=False))
            self.transport.close()

    def _is_whole(self) -> bool:
        """Read on in the next request; return whether it is there in full."""
        if self._head is None:
            self._head = self._reader.head()
            if self._head is None:
                return False
        while self._reader.in_body:
            piece = self._reader.body()
            if piece is None:
                return False
            self._body += piece
            if len(self._body) > BODY_MAX:
                raise ProtocolError(413, "body too large")
        return True

    def _pass_on(self) -> None:
        head, body = self._head, bytes(self._body)
        assert head is not None, "a request that is whole has a head"
        self._head = None
        self._body.clear()
        self._is_answering = True
        path, _, query = head.target.decode("ascii").partition("?")
        request = Request(head.method, path, dict(parse_qsl(query, keep_blank_values=True)), body)
        self._handle_request(request, lambda answer: self._answer(answer, head.keep_alive))

    def _answer(self, answer: Answer, keep_alive: bool) -> None:
        if self.transport.is_closing():
            return
        self.transport.write(_bytes(answer, keep_alive))
        self.counters.requests += 1
        self._is_answering = False
        if not keep_alive:
            self.transport.close()
        elif self._reader.unread:
            # Not from here: an answer that is given at once is called by the loop that reads.
            asyncio.get_running_loop().call_soon(self._read)


def _bytes(answer: Answer, keep_alive: bool) -> bytes:
    status, reason = answer.status, _REASONS.get(answer.status, b"Error")
    close = b"" if keep_alive else b"Connection: close\r\n"
    if status == 204:  # RFC 9110, section 8.6: no Content-Length
        return b"HTTP/1.1 204 No Content\r\n%b\r\n" % close
    head = b"HTTP/1.1 %d %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n%b\r\n"
    return head % (status, reason, answer.content_type, len(answer.body), close) + answer.body
