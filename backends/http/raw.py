"""The raw backend: one protocol object per connection, no task per request, one write per ordinary answer.

Framing is http11.py's, what to do to the client behaviours.py's; this file moves bytes and closes sockets.
"""

import asyncio

from backends.http.behaviours import GARBAGE, Failure, Failures, NextNumber, pattern
from backends.http.options import Options
from backends.protocols.http11 import ProtocolError, RequestHead, RequestReader, varying_fields
from backends.role.backend import Backend, CountedConnection
from backends.role.closing import CloseKind, reset
from backends.role.counters import Counters

SLICE = 95 * 11_000
"""Bytes of the one shared buffer (a multiple of the pattern's unit) that large bodies are written from."""

SMALL = 16 * 1024
"""Bodies up to here go out in one write with their head; copying them costs less than a second write."""

READ_AHEAD = 64 * 1024
"""Bytes of pipelined requests that may wait while a connection is busy, before it stops reading."""

REFUSAL_GRACE_S = 0.5  # RFC 9112, section 9.6: the client reads the answer before a reset may come
SWEEPS_PER_TIMEOUT = 4
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

Answer = tuple[bytes, bytes, int]
"""An answer's head up to the fields that vary, its body if that is small, and the body's size in bytes."""


class RawServer(Backend):
    """What all connections of one worker share: options, counters, the buffer."""

    def __init__(self, options: Options, counters: Counters, next_number: NextNumber) -> None:
        super().__init__(counters)
        self.options = options
        self.failures = Failures(options.failures, next_number) if options.failures else None
        self.draining = False
        self.requests_max = options.requests_per_connection or -1
        self.buffer = memoryview(pattern(min(SLICE, options.response_size.high)))
        self.fixed = self._answer(options.response_size.low) if options.response_size.constant else None
        if options.idle_timeout_s:
            self._sweep_every(options.idle_timeout_s / SWEEPS_PER_TIMEOUT)

    def __call__(self) -> "RawConnection":
        """Make the protocol of a new connection."""
        return RawConnection(self)

    def draw_answer(self) -> Answer:
        """Draw the next response's size and return the answer."""
        return self._answer(self.options.response_size.draw())

    def _answer(self, size: int) -> Answer:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n" % size
        return head, bytes(self.buffer[:size]) if size <= SMALL else b"", size

    def _sweep_every(self, period_s: float) -> None:
        """Visit all connections a few times per idle timeout: no timer per connection or request."""
        for connection in self.connections:
            connection.sweep()
        asyncio.get_running_loop().call_later(period_s, self._sweep_every, period_s)

    async def drain(self, timeout_s: float) -> bool:
        """Close idle connections, allow busy ones to finish; return whether all went in time."""
        self.draining = True
        for connection in self.connections:
            connection.drain()
        return await self.connections.wait_empty(timeout_s)


class RawConnection(CountedConnection):
    """One client connection.

    States: reading (the next request is awaited or not whole), `busy` (its answer is delayed, or the client
    is slow to read it; further requests wait in the reader), `closing` (input is ignored).
    """

    __slots__ = (
        "busy",
        "closing",
        "idle_sweeps",
        "left",
        "paused",
        "reader",
        "request",
        "served",
        "server",
        "timer",
    )

    def __init__(self, server: RawServer) -> None:
        super().__init__(server)
        self.server = server
        self.reader = RequestReader()
        self.request: RequestHead | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.busy = False
        self.closing = False
        self.paused = False
        self.served = 0
        self.left = -1  # bytes of a large body still to write, -1 when none is under way
        self.idle_sweeps = 0

    # What the transport calls.

    def data_received(self, data: bytes) -> None:
        """Answer what is whole; keep the rest."""
        if self.closing:
            return
        self.idle_sweeps = 0
        self.reader.feed(data)
        if not self.busy:
            self._advance()
        elif len(self.reader.unread) > READ_AHEAD:
            self.transport.pause_reading()

    def connection_lost(self, error: Exception | None) -> None:
        """Count how the connection ended; stop its timer."""
        self.closing = True
        if self.timer is not None:
            self.timer.cancel()
        super().connection_lost(error)

    def pause_writing(self) -> None:
        """Stop answering: the client is slow."""
        self.paused = self.busy = True

    def resume_writing(self) -> None:
        """Go on where the slow client held the connection up."""
        self.paused = False
        if self.timer is not None:
            return
        if self.left < 0 or self.request is None or self._write_body(self.request):
            self._go_on()

    # From requests to answers.

    def _advance(self) -> None:
        """Answer the requests that are there, in order, until one is not whole or not answered at once."""
        reader = self.reader
        try:
            while not (self.busy or self.closing):
                request = self.request or reader.head()
                if request is None:
                    return
                self.request = request
                if reader.in_body and not self._skip_body(request):
                    return
                self._answer(request)
        except ProtocolError as error:
            self._refuse(error)

    def _skip_body(self, request: RequestHead) -> bool:
        """Read the request's body away; return whether it was all there."""
        if request.expects_continue and not self.reader.unread:
            request.expects_continue = False
            self.transport.write(_CONTINUE)
        return self.reader.skip_body()

    def _answer(self, request: RequestHead) -> None:
        delay = self.server.options.delay
        if delay is None:
            self._answer_now(request)
            return
        self.busy = True
        self.timer = asyncio.get_running_loop().call_later(delay(), self._answer_delayed, request)

    def _answer_delayed(self, request: RequestHead) -> None:
        self.timer = None
        self._answer_now(request)
        if not self.paused:
            self._go_on()

    def _go_on(self) -> None:
        """Go on with what arrived while this connection was busy."""
        self.busy = False
        if not (self.closing or self.transport.is_reading()):
            self.transport.resume_reading()
        self._advance()

    def _answer_now(self, request: RequestHead) -> None:
        server = self.server
        self.served += 1
        if self.served == server.requests_max or server.draining:
            request.keep_alive = False
        if server.failures is not None and (failure := server.failures.draw()) is not None:
            self._fail(request, failure)
            return
        head, body, size = server.fixed or server.draw_answer()
        if request.method == b"HEAD":
            self.transport.write(head + varying_fields(request))
        elif size <= SMALL:
            self.transport.write(head + varying_fields(request) + body)
        else:
            self.transport.write(head + varying_fields(request))
            self.left = size
            self._write_body(request)
            return
        self._finish(request)

    def _write_body(self, request: RequestHead) -> bool:
        """Write the rest of a large body as far as the client reads it; return whether all went out."""
        while self.left > 0 and not self.paused:
            piece = self.server.buffer[: self.left]
            self.left -= len(piece)
            self.transport.write(piece)
        if self.paused:
            return False
        self.left = -1
        self._finish(request)
        return True

    def _finish(self, request: RequestHead) -> None:
        self.server.counters.requests += 1
        self.request = None
        if not request.keep_alive:
            self._close_as_configured()

    # Ends.

    def _close_as_configured(self) -> None:
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
        """Spoil an answer on purpose."""
        self.server.counters.failed += 1
        self.closing = True
        self.request = None
        if failure is Failure.RESET:
            reset(self.transport)
            return
        if failure is Failure.CUT:
            head, _, size = self.server.fixed or self.server.draw_answer()
            half = min(size // 2, SLICE)
            self.transport.write(head + varying_fields(request) + bytes(self.server.buffer[:half]))
        else:
            self.transport.write(GARBAGE)
        self.transport.close()

    def sweep(self) -> None:
        """Count one sweep; close when a whole idle timeout went by."""
        if self.busy or self.closing:
            return
        self.idle_sweeps += 1
        if self.idle_sweeps > SWEEPS_PER_TIMEOUT:
            self.transport.close()

    def drain(self) -> None:
        """Close now if no request is under way, else after its answer."""
        if self.request is None or self.closing:
            self.transport.close()
