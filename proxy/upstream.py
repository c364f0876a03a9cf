"""One connection to the upstream, and the reading of its responses. Which exchange it serves, `dispatch` says.

An upstream connection trusts nothing: bytes that no request asked for, a length in doubt, a response that came
before its request had left, all make it unfit for another exchange (RFC 9112, sections 6.3 and 9.3).
"""

from __future__ import annotations

import asyncio
import enum
from typing import Protocol

from proxy import http11
from proxy.bodies import ChunkedReader
from proxy.errors import ProxyError, UpstreamProtocolError, UpstreamReset
from proxy.http11 import CHUNKED, UNTIL_CLOSE, ResponseHead
from proxy.settings import Limits

MAX_INTERIM = 64
"""Responses of class 1xx before the final one; more is not progress but noise."""


class State(enum.IntEnum):
    """What an upstream connection is about to receive."""

    NOTHING = 0
    """It is being opened, or idle, or about to close."""
    HEAD = 1
    COUNTED = 2
    CHUNKED = 3
    UNTIL_CLOSE = 4
    CLOSED = 5


class Downstream(Protocol):
    """Whom an upstream connection serves."""

    request_done: bool
    """Whether the request has been sent whole."""

    def interim(self, head: ResponseHead) -> None:
        """Take a 1xx response."""

    def switch(self, head: ResponseHead, data: bytes) -> None:
        """Take over the connection: the upstream now speaks another protocol, `data` its first bytes."""

    def respond(self, head: ResponseHead, data: bytes, content: bytes, *, done: bool) -> None:
        """Take the head of the final response, `content` that came with it, and all of it as `data`."""

    def content(self, content: bytes) -> None:
        """Take more content."""

    def content_done(self) -> None:
        """Take the end of the response."""

    def upstream_failed(self, error: ProxyError) -> None:
        """Learn that no (more of the) response will come."""

    def upstream_full(self) -> None:
        """Stop sending content for now."""

    def upstream_drained(self) -> None:
        """Go on sending content."""


class Dispatch(Protocol):
    """Who owns upstream connections."""

    limits: Limits

    def opened(self, connection: UpstreamConnection) -> None:
        """Learn that the connection is established."""

    def release(self, connection: UpstreamConnection, *, reusable: bool) -> None:
        """Take the connection back: its exchange is over."""

    def lost(self, connection: UpstreamConnection) -> None:
        """Learn that the connection has ended without having been told to."""

    def discard(self, connection: UpstreamConnection) -> None:
        """Take the connection back in the middle of an exchange."""

    def ended(self, connection: UpstreamConnection) -> None:
        """Learn that a connection which was told to close has done so."""


class UpstreamConnection(asyncio.Protocol):
    """Sends one request at a time and reads its response; see State."""

    __slots__ = (
        "_buffer", "_chunks", "_dispatch", "_downstream", "_interims", "_keep_alive", "_left", "_paused", "_state",
        "_to_head", "_transport", "_unsent", "carried", "deadline", "has_answered", "released", "reserved_for",
    )  # fmt: skip

    def __init__(self, dispatch: Dispatch, reserved_for: Downstream | None) -> None:
        self._dispatch = dispatch
        self._transport: asyncio.Transport | None = None
        self._downstream: Downstream | None = None
        self._state = State.NOTHING
        self._buffer = b""
        self._left = 0
        self._chunks: ChunkedReader | None = None
        self._to_head = False
        self._keep_alive = False
        self._paused = False
        self._interims = 0
        self.reserved_for = reserved_for
        self.released = False
        self.carried = 0
        self.has_answered = False
        self.deadline = 0.0

    # What the downstream side asks for.

    def send(self, request: bytes, downstream: Downstream, *, to_head: bool) -> None:
        """Begin an exchange with `request`: its head, and as much of its body as there is."""
        self._downstream = downstream
        self._to_head = to_head
        self._state = State.HEAD
        self.has_answered = False
        self._interims = 0
        self.carried += 1
        self._transport.write(request)

    def send_content(self, content: bytes) -> None:
        """Send more of the request's body, in its framing."""
        self._transport.write(content)

    def pause(self) -> None:
        """Stop reading the response: the client cannot take more."""
        if self._state != State.CLOSED and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Go on reading the response."""
        if self._paused:
            self._paused = False
            if self._state != State.CLOSED:
                self._transport.resume_reading()

    def abandon(self) -> None:
        """Give up the exchange: nobody wants its response any more."""
        if self._state != State.CLOSED:
            self._end()
            self._state = State.CLOSED
            self._transport.abort()
            self._dispatch.discard(self)

    def close(self) -> None:
        """Close now, without waiting for the upstream to do so."""
        self._state = State.CLOSED
        self._transport.close()

    def take_transport(self) -> asyncio.Transport:
        """Hand over the transport: the connection carries another protocol from now on."""
        self._state = State.CLOSED
        self._downstream = None
        return self._transport

    # What the transport tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._dispatch.opened(self)

    def data_received(self, data: bytes) -> None:
        state = self._state
        try:
            if state == State.HEAD:
                self._read_head(data)
            elif state == State.COUNTED:
                self._read_counted(data)
            elif state == State.CHUNKED:
                self._read_chunks(data)
            elif state == State.UNTIL_CLOSE:
                self._downstream.content(data)
            elif state == State.NOTHING and not self.released:
                # Bytes that no request asked for: whatever they are, they must not answer the next one.
                self.close()
                self._dispatch.lost(self)
        except UpstreamProtocolError as error:
            self._fail(error)

    def eof_received(self) -> bool:
        if self._state == State.UNTIL_CLOSE:
            self._complete(b"")
            return False
        self._lost(UpstreamReset("the upstream closed the connection"))
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost(UpstreamReset("the upstream reset the connection"))
        if self.released:
            self._dispatch.ended(self)

    def pause_writing(self) -> None:
        if self._downstream is not None:
            self._downstream.upstream_full()

    def resume_writing(self) -> None:
        if self._downstream is not None:
            self._downstream.upstream_drained()

    # Reading responses.

    def _read_head(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        downstream = self._downstream
        if not self.has_answered and downstream.request_done and self._transport.get_write_buffer_size():
            raise UpstreamProtocolError("a response before its request was sent")
        self.has_answered = True
        while True:
            head = http11.read_response(data, self._dispatch.limits, to_head=self._to_head)
            if head is None:
                self._buffer = data
                return
            if head.status >= 200:
                break
            data = data[head.size :]
            if head.status == 101:
                downstream.switch(head, data)
                return
            self._interims += 1
            if self._interims > MAX_INTERIM:
                raise UpstreamProtocolError(f"more than {MAX_INTERIM} interim responses")
            downstream.interim(head)
            if not data:
                return
        self._begin_response(head, data)

    def _begin_response(self, head: ResponseHead, data: bytes) -> None:
        downstream = self._downstream
        self._keep_alive = head.keep_alive
        body = head.body
        have = len(data) - head.size
        if 0 <= body <= have:
            end = head.size + body
            excess = data[end:]
            whole = data if body == have else data[:end]
            downstream.respond(head, whole, whole[head.size :], done=True)
            self._complete(excess)
            return
        content = data[head.size :]
        if body >= 0:
            self._state = State.COUNTED
            self._left = body - have
            downstream.respond(head, data, content, done=False)
        elif body == UNTIL_CLOSE:
            self._state = State.UNTIL_CLOSE
            downstream.respond(head, data, content, done=False)
        else:
            self._state = State.CHUNKED
            self._chunks = ChunkedReader(UpstreamProtocolError, self._dispatch.limits.head_bytes)
            # Read before the head goes out: a body that is broken from its start is a clean 502.
            content = self._chunks.feed(content)
            downstream.respond(head, b"", content, done=False)
            if self._chunks.done:
                self._complete(self._chunks.rest)

    def _read_counted(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left > 0:
            self._downstream.content(data)
        elif self._left == 0:
            self._downstream.content(data)
            self._complete(b"")
        else:
            end = len(data) + self._left
            self._downstream.content(data[:end])
            self._complete(data[end:])

    def _read_chunks(self, data: bytes) -> None:
        content = self._chunks.feed(data)
        if content:
            self._downstream.content(content)
        if self._chunks.done:
            self._complete(self._chunks.rest)

    def _complete(self, excess: bytes) -> None:
        downstream = self._downstream
        reusable = (
            self._keep_alive and not excess and self._state != State.UNTIL_CLOSE and downstream.request_done
        )
        self._end()
        self._dispatch.release(self, reusable=reusable)
        downstream.content_done()

    def _fail(self, error: ProxyError) -> None:
        downstream = self._downstream
        self._end()
        self.close()
        self._dispatch.lost(self)
        if downstream is not None:
            downstream.upstream_failed(error)

    def _lost(self, error: ProxyError) -> None:
        if self._state != State.CLOSED and not self.released:
            self._fail(error)

    def _end(self) -> None:
        self._downstream = None
        self._chunks = None
        self._buffer = b""
        self._state = State.NOTHING
        if self._paused:
            self.resume()
