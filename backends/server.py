"""The raw backend: one protocol object per connection, no task per request, one write per ordinary answer.

Framing is http11.py's, what to do to the client behaviours.py's; this file moves bytes and closes sockets.
"""

import asyncio
import socket
import struct
from typing import Final, cast

from backends.behaviours import CloseKind, Failure, Failures, pattern
from backends.connections import Connections
from backends.counters import Counters
from backends.http11 import ProtocolError, RequestHead, RequestReader
from backends.options import Options

SLICE: Final = 95 * 11_000
"""Bytes of the one shared buffer (a multiple of the pattern's unit) that large bodies are written from."""

SMALL: Final = 16 * 1024
"""Bodies up to here go out in one write with their head; copying them costs less than a second write."""

REFUSAL_GRACE_S: Final = 0.5  # RFC 9112, section 9.6: let the client read the answer before a reset may come
SWEEPS_PER_TIMEOUT: Final = 4
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
_GARBAGE: Final = b"\x00this is no HTTP response\x00\r\n"
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Server:
    """What all connections of one worker share: options, counters, the buffer, the set of connections."""

    def __init__(self, options: Options, counters: Counters) -> None:
        self.options = options
        self.counters = counters
        self.failures = Failures(options.failures) if options.failures else None
        self.connections: Connections[Connection] = Connections()
        self.draining = False
        self.buffer = memoryview(pattern(min(SLICE, options.body.high)))
        self.fixed = self._answer_parts(options.body.low) if options.body.constant else None
        if options.idle_timeout_s:
            self._sweep_every(options.idle_timeout_s / SWEEPS_PER_TIMEOUT)

    def __call__(self) -> "Connection":
        """Makes the protocol of a new connection."""
        return Connection(self)

    def answer_parts(self) -> tuple[bytes, bytes, int]:
        """Returns the next answer: its head up to the optional fields, its body if small, the body's size."""
        return self.fixed or self._answer_parts(self.options.body.draw())

    def _answer_parts(self, size: int) -> tuple[bytes, bytes, int]:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n" % size
        return head, bytes(self.buffer[:size]) if size <= SMALL else b"", size

    def _sweep_every(self, period_s: float) -> None:
        """Visits all connections a few times per idle timeout: no timer per connection or request."""
        for connection in self.connections:
            connection.sweep()
        asyncio.get_running_loop().call_later(period_s, self._sweep_every, period_s)

    async def drain(self, timeout_s: float) -> bool:
        """Closes idle connections, lets busy ones finish; returns whether all went in time."""
        self.draining = True
        for connection in self.connections:
            connection.drain()
        return await self.connections.gone(timeout_s)


class Connection(asyncio.Protocol):
    """One client connection.

    States: reading (a request is awaited or not whole), answering (`busy`: delayed or not yet written out;
    further requests wait in the reader), closing (the last answer is out; input is ignored).
    """

    __slots__ = (
        "busy",
        "closing",
        "idle_sweeps",
        "left",
        "left_of",
        "paused",
        "peer_closed",
        "reader",
        "request",
        "served",
        "server",
        "timer",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self, server: Server) -> None:
        self.server = server
        self.reader = RequestReader()
        self.request: RequestHead | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.busy = False
        self.closing = False
        self.paused = False
        self.peer_closed = False
        self.served = 0
        self.left = 0
        self.left_of: RequestHead | None = None
        self.idle_sweeps = 0

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.server.counters.accepted += 1
        self.server.connections.add(self)

    def data_received(self, data: bytes) -> None:
        if self.closing:
            return
        self.idle_sweeps = 0
        self.reader.feed(data)
        if not self.busy:
            self._advance()

    def eof_received(self) -> None:
        # Returning None closes the transport: a half-closed client gets no answer, but no CLOSE_WAIT stays.
        self.peer_closed = True

    def connection_lost(self, error: Exception | None) -> None:
        self.server.connections.discard(self)
        if self.timer is not None:
            self.timer.cancel()
        self.server.counters.count_lost(error, peer_closed=self.peer_closed)

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        if self.left_of is not None and self._write_body(self.left_of):
            self._advance()

    # From requests to answers.

    def _advance(self) -> None:
        """Answers the requests that are there, in order, until one is not whole or not answered at once."""
        try:
            while not self.busy and not self.closing:
                if self.request is None:
                    self.request = self.reader.head()
                    if self.request is None:
                        return
                    if self.request.expects_continue and not self.reader.unread:
                        self.transport.write(_CONTINUE)
                if self.reader.in_body and not self._skip_body():
                    return
                self._begin_answer(self.request)
        except ProtocolError as error:
            self._refuse(error)

    def _skip_body(self) -> bool:
        while piece := self.reader.body():
            pass
        return piece is not None

    def _begin_answer(self, request: RequestHead) -> None:
        delay = self.server.options.delay
        if delay is None:
            self._answer(request)
        else:
            self.busy = True
            loop = asyncio.get_running_loop()
            self.timer = loop.call_later(delay(), self._answer_late, request)

    def _answer_late(self, request: RequestHead) -> None:
        self.timer = None
        self.busy = False
        self._answer(request)
        self._advance()

    def _answer(self, request: RequestHead) -> None:
        server = self.server
        self.served += 1
        if self.served == server.options.requests_per_connection or server.draining:
            request.keep_alive = False
        if server.failures is not None and (failure := server.failures.draw()) is not None:
            self._fail(request, failure)
            return
        head, body, size = server.answer_parts()
        fields = self._fields(request)
        if request.method == b"HEAD":
            self.transport.write(head + fields)
        elif size <= SMALL:
            self.transport.write(head + fields + body)
        else:
            self.transport.write(head + fields)
            self.left = size
            self._write_body(request)
            return
        self._finish(request)

    def _fields(self, request: RequestHead) -> bytes:
        """Returns the fields that differ from answer to answer, and the empty line."""
        fields = b"X-Bench-Id: " + request.bench_id + b"\r\n" if request.bench_id else b""
        if not request.keep_alive:
            return fields + b"Connection: close\r\n\r\n"
        if request.http10:
            return fields + b"Connection: keep-alive\r\n\r\n"
        return fields + b"\r\n"

    def _write_body(self, request: RequestHead) -> bool:
        """Writes the rest of a large body as far as the client takes it; returns whether all went out."""
        while self.left and not self.paused:
            piece = self.server.buffer[: self.left]
            self.left -= len(piece)
            self.transport.write(piece)
        self.busy = self.paused
        self.left_of = request if self.paused else None
        if not self.paused:
            self._finish(request)
        return not self.paused

    def _finish(self, request: RequestHead) -> None:
        self.server.counters.requests += 1
        self.request = None
        if not request.keep_alive:
            self._close_as_told()

    # Ends.

    def _close_as_told(self) -> None:
        self.closing = True
        close = self.server.options.close
        if close.kind is CloseKind.AT_ONCE or self.server.draining:
            self.transport.close()
        elif close.kind is CloseKind.LINGER:
            self._close_in(close.linger_s)

    def _close_in(self, delay_s: float) -> None:
        self.timer = asyncio.get_running_loop().call_later(delay_s, self.transport.close)

    def _refuse(self, error: ProtocolError) -> None:
        self.server.counters.errors.protocol += 1
        self.closing = True
        self.request = None
        reason = str(error).encode()
        self.transport.write(
            b"HTTP/1.1 %d %b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % (error.status, reason)
        )
        self.transport.write_eof()
        self._close_in(REFUSAL_GRACE_S)

    def _fail(self, request: RequestHead, failure: Failure) -> None:
        """Spoils an answer on purpose."""
        self.server.counters.failed += 1
        self.closing = True
        self.request = None
        if failure is Failure.RESET:
            connection = self.transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self.transport.abort()
            return
        if failure is Failure.CUT:
            head, _, size = self.server.answer_parts()
            half = min(size // 2, SLICE)
            self.transport.write(head + self._fields(request) + bytes(self.server.buffer[:half]))
        else:
            self.transport.write(_GARBAGE)
        self.transport.close()

    def sweep(self) -> None:
        """Counts one sweep; closes when a whole idle timeout went by."""
        if self.busy or self.closing:
            return
        self.idle_sweeps += 1
        if self.idle_sweeps > SWEEPS_PER_TIMEOUT:
            self.transport.close()

    def drain(self) -> None:
        """Closes now if no request is under way, else after its answer."""
        if self.request is None or self.closing:
            self.transport.close()
