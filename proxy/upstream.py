"""One connection to the upstream, and the reading of its responses; `dispatch` says for which exchange.

An upstream connection trusts nothing: bytes that no request asked for, a length in doubt, a response that
came before its request had left, all make it unfit for another exchange (RFC 9112, sections 6.3 and 9.3).
"""

from __future__ import annotations

import enum
from typing import Protocol

from proxy.conduit import Conduit, Pipes
from proxy.errors import ConnectFailed, ProxyError, UpstreamProtocolError, UpstreamReset, UpstreamTimeout
from proxy.http11.chunked import ChunkedReader
from proxy.http11.grammar import CHUNKED, UNTIL_CLOSE
from proxy.http11.response import ResponseHead, read_response, read_usual_response
from proxy.settings import Limits
from proxy.transport import Transport

SPLICED_BYTES = 256 * 1024
"""From this length on a body is moved within the kernel: what one read takes is cheaper copied."""
MAX_INTERIM = 64
"""Responses of class 1xx before the final one; more is not progress but noise."""


class State(enum.Enum):
    """What an upstream connection is about to receive."""

    NOTHING = enum.auto()
    """It is being opened, or idle."""
    HEAD = enum.auto()
    COUNTED = enum.auto()
    MOVED = enum.auto()
    """Counted content that a conduit moves."""
    CHUNKED = enum.auto()
    TO_THE_END = enum.auto()
    """Content until the connection ends."""
    CLOSED = enum.auto()
    """Nothing that matters: it was told to close, carries another protocol, or has ended."""


# Looked up once: a member of an Enum costs a descriptor call each time.
_HEAD, _COUNTED, _CHUNKED, _TO_THE_END = State.HEAD, State.COUNTED, State.CHUNKED, State.TO_THE_END
_MOVED = State.MOVED
_NOTHING, _CLOSED = State.NOTHING, State.CLOSED


class Downstream(Protocol):
    """Whom an upstream connection serves."""

    request_done: bool
    """Whether the request has been sent whole."""

    @property
    def asks_for_head(self) -> bool:
        """Whether the response has a head only."""

    def pass_on(self, data: bytes, date_at: int) -> bool:
        """Take a whole response as it is, its end included; False, and nothing done, if it must be rewritten.

        A Date is to be added where `date_at` says, if that is not 0.
        """

    def interim(self, head: ResponseHead) -> None:
        """Take a 1xx response."""

    def switch(self, head: ResponseHead, data: bytes) -> None:
        """Take over the connection: the upstream now speaks another protocol, `data` its first bytes."""

    def respond(self, head: ResponseHead, content: bytes) -> None:
        """Take the head of the final response, and the content that came with it."""

    def content(self, content: bytes) -> None:
        """Take more content."""

    def sink(self) -> Transport | None:
        """Return where content may go past this one, as it is; None where it may not."""

    def content_moved(self) -> None:
        """Learn that some content has gone there."""

    def content_done(self) -> None:
        """Take the end of the response."""

    def upstream_failed(self, connection: UpstreamConnection, error: ProxyError) -> None:
        """Learn that no (more of the) response will come."""

    def no_connection(self, error: ProxyError) -> None:
        """Learn that there is no connection to be had."""

    def use(self, connection: UpstreamConnection) -> None:
        """Go on with this connection."""

    def upstream_full(self) -> None:
        """Stop sending content for now."""

    def upstream_drained(self) -> None:
        """Go on sending content."""


class Owner(Protocol):
    """Who owns upstream connections."""

    limits: Limits
    pipes: Pipes

    def opened(self, connection: UpstreamConnection) -> None:
        """Learn that the connection is established."""

    def failed(self, connection: UpstreamConnection, error: ConnectFailed | UpstreamTimeout) -> None:
        """Learn that the connection did not come to be."""

    def release(self, connection: UpstreamConnection) -> None:
        """Take the connection back: its exchange is over, and it may carry another."""

    def retire(self, connection: UpstreamConnection) -> None:
        """Take the connection back: its exchange is over, and it may not carry another."""

    def lost(self, connection: UpstreamConnection, error: ProxyError) -> None:
        """Learn that the connection has failed: it cannot be used further."""

    def discard(self, connection: UpstreamConnection) -> None:
        """Learn that the connection was given up in the middle of an exchange."""

    def ended(self, connection: UpstreamConnection) -> None:
        """Learn that a connection which was left to the backend to close has ended."""


class UpstreamConnection:
    """Sends one request at a time and reads its response; see State."""

    __slots__ = (
        "_buffer", "_chunks", "_conduit", "_downstream", "_interims", "_keep_alive", "_left", "_owner",
        "_paused", "_state", "_transport", "carried", "deadline", "has_answered", "reserved_for",
    )  # fmt: skip

    _transport: Transport
    _chunks: ChunkedReader
    _conduit: Conduit
    _downstream: Downstream
    _left: int

    def __init__(self, owner: Owner, reserved_for: Downstream | None = None) -> None:
        self._owner = owner
        self.reserved_for = reserved_for
        self._state = _NOTHING
        self._buffer = b""
        self._keep_alive = False
        self._paused = False
        self._interims = 0
        self.carried = 0
        self.has_answered = False
        self.deadline = 0.0

    # What the downstream side, and the owner, ask for.

    def begin(self, transport: Transport) -> None:
        """Carry exchanges on `transport` from now on."""
        self._transport = transport

    def send(self, request: bytes | memoryview, downstream: Downstream) -> None:
        """Begin an exchange with `request`: its head, and as much of its body as there is."""
        self._downstream = downstream
        self._state = _HEAD
        self.has_answered = False
        self.carried += 1
        if self.carried > 1:
            # What has come in by now is no answer to it, and must be read first.
            self._transport.hold(request)
        else:
            self._transport.send(request)

    @property
    def unsent(self) -> int:
        """Bytes of the request that the upstream has not taken yet."""
        return len(self._transport.unsent)

    def send_content(self, content: bytes) -> None:
        """Send more of the request's body, in its framing."""
        self._transport.send(content)

    def pause(self) -> None:
        """Stop reading the response: the client cannot take more."""
        if self._state is not _CLOSED and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Go on reading the response."""
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
            if self._state is _MOVED:
                self._conduit.resume()

    def abandon(self) -> None:
        """Give up the exchange: nobody wants its response any more."""
        if self._state is not _CLOSED:
            if self._state is _MOVED:
                self._conduit.end()
            self._state = _CLOSED
            self._transport.abort()
            self._owner.discard(self)

    def close(self) -> None:
        """Close now: this side ends first. What is left of a request, nobody wants any more."""
        self._state = _CLOSED
        if self._transport.unsent:
            self._transport.abort()
        else:
            self._transport.close()

    def leave(self, deadline: float) -> None:
        """Wait for the upstream to end first, until `deadline`."""
        self._state = _CLOSED
        self.deadline = deadline

    def take_transport(self) -> Transport:
        """Hand over the transport: it carries another protocol from now on."""
        self._state = _CLOSED
        self._owner.discard(self)
        return self._transport

    # What the transport tells.

    def connection_made(self, transport: Transport) -> None:
        self._transport = transport
        self._owner.opened(self)

    def connection_failed(self, error: ConnectFailed | UpstreamTimeout) -> None:
        self._state = _CLOSED
        self._owner.failed(self, error)

    def data_received(self, data: bytes) -> None:
        state = self._state
        try:
            if state is _HEAD:
                if self.has_answered or not self._pass_on(data):
                    self._read_head(data)
            elif state is _COUNTED:
                self._read_counted(data)
            elif state is _CHUNKED:
                self._read_chunks(data)
            elif state is _TO_THE_END:
                self._downstream.content(data)
            elif state is _NOTHING:
                # Whatever this is, it must not answer the next request.
                self._fail(UpstreamProtocolError("bytes that no request asked for"))
        except UpstreamProtocolError as error:
            self._fail(error)

    def eof_received(self) -> bool:
        if self._state is _TO_THE_END:
            self._complete(reusable=False)
        elif self._state is not _CLOSED:
            self._fail(UpstreamReset("the upstream closed the connection"))
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self._state is not _CLOSED:
            self._fail(UpstreamReset("the upstream reset the connection"))
        if self.deadline:
            self._owner.ended(self)

    def pause_writing(self) -> None:
        if self._state is not _CLOSED:
            self._downstream.upstream_full()

    def resume_writing(self) -> None:
        if self._state is not _CLOSED and self._state is not _NOTHING:
            self._downstream.upstream_drained()

    # Reading responses.

    def _pass_on(self, data: bytes) -> bool:
        """Take the first of a response; True where that is all of it, and went to the client as it is."""
        downstream = self._downstream
        if self._transport.unsent:
            if self._transport.is_held:
                raise UpstreamProtocolError("a response before its request was sent")
            # An early one, as to a body that is too long: the rest of the request is never sent.
            self.has_answered = True
            return False
        self.has_answered = True
        date_at = read_usual_response(data, self._owner.limits)
        if date_at is None or not downstream.pass_on(data, date_at):
            return False
        # As `_complete` does, but that here is nothing more to forget.
        self._state = _NOTHING
        del self._downstream
        self._owner.release(self)
        return True

    def _read_head(self, data: bytes) -> None:
        downstream = self._downstream
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        while True:
            head = read_response(data, self._owner.limits, to_head=downstream.asks_for_head)
            if head is None:
                self._buffer = data
                return
            content = data[head.size :]
            if head.status >= 200:
                self._interims = 0
                self._begin_response(head, content)
                return
            self._take_interim(head, content)
            if self._state is not _HEAD or not content:
                return
            data = content

    def _take_interim(self, head: ResponseHead, data: bytes) -> None:
        if head.status == 101:
            self._downstream.switch(head, data)
            return
        self._interims += 1
        if self._interims > MAX_INTERIM:
            raise UpstreamProtocolError(f"more than {MAX_INTERIM} interim responses")
        self._downstream.interim(head)

    def _begin_response(self, head: ResponseHead, content: bytes) -> None:
        downstream = self._downstream
        self._keep_alive = head.keep_alive
        if head.body == CHUNKED:
            self._state = _CHUNKED
            self._chunks = ChunkedReader(UpstreamProtocolError, self._owner.limits.head_bytes)
            # Read before the head goes out: a body that is broken from its start is a clean 502.
            content = self._chunks.feed(content)
            downstream.respond(head, content)
            if self._chunks.done:
                self._complete(reusable=self._keep_alive and not self._chunks.rest)
        elif head.body == UNTIL_CLOSE:
            self._state = _TO_THE_END
            downstream.respond(head, content)
        else:
            self._left = head.body - len(content)
            self._state = _COUNTED
            downstream.respond(head, content if self._left >= 0 else content[: head.body])
            if self._left <= 0:
                self._complete(reusable=self._keep_alive and self._left == 0)
            elif self._left >= SPLICED_BYTES:
                self._move()

    def _move(self) -> None:
        """Let the rest of the content go past here, where it may."""
        pipes, sink = self._owner.pipes, self._downstream.sink()
        pipe = pipes.take() if sink is not None else None
        if sink is not None and pipe is not None:
            self._state = _MOVED
            self._conduit = Conduit(pipes, pipe, self._transport, sink, size=self._left, owner=self)

    # What the conduit tells.

    def moved(self, conduit: Conduit) -> None:
        self._downstream.content_moved()
        if conduit.is_done:
            conduit.end()
            self._complete(reusable=self._keep_alive)

    def ended(self, left: int) -> None:
        self._left = left
        self._state = _COUNTED

    def _read_counted(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left > 0:
            self._downstream.content(data)
            return
        self._downstream.content(data if self._left == 0 else data[: self._left])
        self._complete(reusable=self._keep_alive and self._left == 0)

    def _read_chunks(self, data: bytes) -> None:
        content = self._chunks.feed(data)
        if content:
            self._downstream.content(content)
        if self._chunks.done:
            self._complete(reusable=self._keep_alive and not self._chunks.rest)

    def _complete(self, *, reusable: bool) -> None:
        downstream = self._downstream
        reusable = reusable and downstream.request_done and not self._transport.unsent
        self._state = _NOTHING
        self._forget()
        # First the connection, then the client: its next request may want this very connection.
        if reusable:
            self._owner.release(self)
        else:
            self._owner.retire(self)
        downstream.content_done()

    def _fail(self, error: ProxyError) -> None:
        state, self._state = self._state, _CLOSED
        self._transport.abort()
        if state is _NOTHING:
            self._owner.lost(self, error)
            return
        downstream = self._downstream
        self._forget()
        # The exchange first: it may want the place of this connection for a fresh one.
        downstream.upstream_failed(self, error)

    def _forget(self) -> None:
        """Let go of what belongs to one exchange; an idle connection keeps no client alive."""
        del self._downstream
        if self._paused and self._state is not _CLOSED:
            self.resume()
        if self._buffer:
            self._buffer = b""
