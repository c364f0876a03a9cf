"""One connection to the upstream, and the reading of its responses.

Bytes without a request, an ambiguous length or an early response make it unfit for another exchange
(RFC 9112, sections 6.3 and 9.3).
"""

import asyncio
import re
from typing import TYPE_CHECKING

from proxy.client_side import Body
from proxy.errors import ConnectFailed, ProxyError, UpstreamProtocolError, UpstreamReset
from proxy.http11.chunked import ChunkedReader
from proxy.http11.grammar import CHUNKED
from proxy.http11.partial import PartialLines
from proxy.http11.request import RequestHead
from proxy.http11.response import (
    CLEAN,
    LENGTH_GROUP,
    VERBATIM,
    ResponseHead,
    match_response,
    read_complete,
    read_response,
)
from proxy.splice import Splice
from proxy.transport import Bytes, Transport

if TYPE_CHECKING:
    from proxy.dispatch import Dispatcher
    from proxy.exchange import Exchange

SPLICE_MIN_BYTES = 256 * 1024
"""Shortest rest of a body that is spliced: the content of one read is cheaper to copy."""
MAX_INTERIM = 64
"""Most 1xx responses before the final one."""


# What an upstream connection expects to receive.
_IDLE = "nothing: it is being opened, or idle"
_HEAD = "a head"
_CONTENT_LENGTH = "content of known length"
_SPLICED = "content of known length that is spliced"
_CHUNKED = "content in chunks"
_CLOSE_DELIMITED = "content until the connection ends"
_CLOSED = "nothing that matters: it is closing, carries another protocol, or has ended"


class UpstreamConnection(asyncio.Protocol):
    """Sends one request at a time and reads its response."""

    __slots__ = (
        "_chunks", "_downstream", "_interim_count", "_is_to_head", "_keep_alive", "_owner", "_partial",
        "_paused", "_remaining", "_response", "_splice", "_state", "deadline", "has_response",
        "never_sent", "request_count", "reserved_for", "transport",
    )  # fmt: skip

    transport: Transport
    _chunks: ChunkedReader
    _splice: Splice
    _downstream: "Exchange"
    _remaining: int
    _response: Body

    def __init__(self, owner: "Dispatcher", reserved_for: "Exchange | None" = None) -> None:
        self._owner = owner
        self.reserved_for = reserved_for
        self._state = _IDLE
        self._partial: PartialLines | None = None
        self._is_to_head = False
        self._keep_alive = False
        self._paused = False
        self._interim_count = 0
        self.request_count = 0
        self.has_response = False
        self.never_sent: Bytes | None = None
        """The request, if the connection failed before a byte of it was sent."""
        self.deadline = 0.0

    def send(self, request: Bytes, downstream: "Exchange", head: RequestHead) -> None:
        """Start an exchange with `request`: its head, and the part of its body that is there."""
        self._downstream = downstream
        self._state = _HEAD
        self._is_to_head = head.is_head
        self._interim_count = 0
        self.has_response = False
        self.request_count += 1
        # Input that has arrived on a used connection by now cannot answer the request, and is read first.
        if self.request_count == 1:
            self.transport.send(request)
        elif head.may_repeat:
            self.transport.write(request)
        else:
            self.transport.write_careful(request)

    def pause(self) -> None:
        """Stop reading the response: the client does not read."""
        if self._state not in (_CLOSED, _IDLE) and not self._paused:
            self._paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """Read the response again."""
        if self._paused:
            self._paused = False
            self.transport.resume_reading()
            if self._state is _SPLICED:
                self._splice.resume()

    def abandon(self) -> None:
        """Abandon the exchange: its client has gone."""
        if self._state is not _CLOSED:
            if self._state is _SPLICED:
                self._splice.end()
            self._state = _CLOSED
            self.transport.abort()
            self._owner.discard(self)

    def close(self) -> None:
        """Close now, before the upstream does; drop unsent request bytes."""
        self._state = _CLOSED
        if self.transport.unsent:
            self.transport.abort()
        else:
            self.transport.close()

    def await_close(self, deadline: float) -> None:
        """Wait for the upstream to close first, until `deadline`."""
        self._state = _CLOSED
        self.deadline = deadline

    def detach_transport(self) -> Transport:
        """Return the transport to its new owner, which discards the connection at its end."""
        self._state = _CLOSED
        return self.transport

    def established(self, transport: Transport) -> None:
        """Report the established connection to the owner."""
        self.transport = transport
        self._owner.opened(self)

    def connection_failed(self, error: ConnectFailed) -> None:
        """Report the failure to the owner."""
        self._state = _CLOSED
        self._owner.failed(self, error)

    def data_received(self, data: bytes) -> None:
        """Read a part of the response, by state."""
        state = self._state
        try:
            if state is _HEAD:
                self._read_head(data)
            elif state is _CONTENT_LENGTH:
                self._read_content(data)
            elif state is _CHUNKED:
                self._read_chunks(data)
            elif state is _CLOSE_DELIMITED:
                self._response.write(data)
            elif state is _IDLE:
                # It must not be read as the response to the next request.
                self._fail(UpstreamProtocolError("unsolicited bytes on an idle connection"))
        except UpstreamProtocolError as error:
            self._fail(error)

    def eof_received(self) -> bool:
        """End a close-delimited response; fail any other."""
        if self._state is _CLOSE_DELIMITED:
            self._complete(reusable=False)
        elif self._state is not _CLOSED:
            self._fail(UpstreamReset("the upstream closed the connection"))
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the exchange, if there is one."""
        if self._state is not _CLOSED:
            self._fail(UpstreamReset("the upstream reset the connection"))
        if self.deadline:
            self._owner.ended(self)

    def pause_writing(self) -> None:
        """Pause the request body."""
        if self._state not in (_CLOSED, _IDLE):
            self._downstream.pause_request_body()

    def resume_writing(self) -> None:
        """Resume the request body."""
        if self._state not in (_CLOSED, _IDLE):
            self._downstream.resume_request_body()

    def _read_head(self, data: bytes) -> None:
        if not self.has_response:
            # An early response, as to a body that is too long, may come before the rest of the request.
            if self.transport.unsent and self.transport.is_deferred:
                raise UpstreamProtocolError("a response before its request was sent")
            self.has_response = True
        if self._partial is not None:
            whole = self._partial.add(data)
            if whole is None:
                return
            self._partial = None
            data = whole
        match = match_response(data)
        if match is not None and (match.lastindex or 0) >= CLEAN and self._forward_complete(match, data):
            return
        self._read_responses(data, match)

    def _read_responses(self, data: bytes, match: re.Match[bytes] | None) -> None:
        """Read interim responses, and the head of the final one; `match` is that of the first."""
        while (head := read_response(data, self._owner.limits, match, to_head=self._is_to_head)) is not None:
            if head.status >= 200:
                self._begin_response(head, data)
                return
            data = data[head.end :]
            if head.status == 101:
                self._downstream.switch_protocols(head, data)
                return
            self._interim_count += 1
            if self._interim_count > MAX_INTERIM:
                raise UpstreamProtocolError(f"more than {MAX_INTERIM} interim responses")
            self._downstream.forward_interim(head)
            if not data:
                return
            match = match_response(data)
        self._partial = PartialLines(data, self._owner.limits.head_bytes)

    def _forward_complete(self, match: re.Match[bytes], data: bytes) -> bool:
        """Forward a response of clean fields, if it has arrived completely."""
        downstream, end = self._downstream, match.end()
        if self.transport.unsent or end > self._owner.limits.head_bytes:
            return False
        keep_alive = True
        if not (
            match.lastindex == VERBATIM
            and not self._is_to_head
            and end + int(match[LENGTH_GROUP]) == len(data)
            and downstream.forward_verbatim(data)
        ):
            complete = read_complete(match, data, to_head=self._is_to_head)
            if complete is None or not downstream.forward_complete(data, complete):
                return False
            keep_alive = complete.keep_alive
        self._state = _IDLE
        del self._downstream
        if keep_alive:
            self._owner.release(self)
        else:
            self._owner.retire(self)
        return True

    def _begin_response(self, head: ResponseHead, data: bytes) -> None:
        end, body, downstream = head.end, head.body, self._downstream
        self._keep_alive = head.keep_alive
        if body >= 0:
            self._remaining = body - len(data) + end
            self._state = _CONTENT_LENGTH
            self._response = downstream.begin_response(head, data[end : end + body])
            if self._remaining >= SPLICE_MIN_BYTES:
                splice = self._owner.pipes.splice(
                    self.transport, self._response.sink(), self._remaining, self
                )
                if splice is not None:
                    self._splice, self._state = splice, _SPLICED
            elif self._remaining <= 0:
                self._complete(reusable=self._keep_alive and self._remaining == 0)
        elif body == CHUNKED:
            self._chunks = ChunkedReader(
                UpstreamProtocolError, self._owner.limits, keeps_framing=downstream.reads_chunks
            )
            # Read before the head is sent: a body that is malformed from its start becomes a 502.
            content = self._chunks.feed(data, end)
            self._state = _CHUNKED
            self._response = downstream.begin_response(head, content)
            if self._chunks.done:
                self._complete(reusable=self._keep_alive and not self._chunks.rest)
        else:
            self._state = _CLOSE_DELIMITED
            self._response = downstream.begin_response(head, data[end:])

    def spliced(self, splice: Splice) -> None:
        """Note progress; complete the response at its end."""
        self._downstream.extend_deadline()
        if splice.is_done:
            splice.end()
            self._complete(reusable=self._keep_alive)

    def splice_ended(self, remaining: int) -> None:
        """Copy the rest of the content instead."""
        self._remaining = remaining
        self._state = _CONTENT_LENGTH

    def _read_content(self, data: bytes) -> None:
        self._remaining -= len(data)
        if self._remaining > 0:
            self._response.write(data)
            return
        self._response.write(data if self._remaining == 0 else data[: self._remaining])
        self._complete(reusable=self._keep_alive and self._remaining == 0)

    def _read_chunks(self, data: bytes) -> None:
        content = self._chunks.feed(data)
        if content:
            self._response.write(content)
        if self._chunks.done:
            self._complete(reusable=self._keep_alive and not self._chunks.rest)

    def _complete(self, *, reusable: bool) -> None:
        downstream, response = self._downstream, self._response
        reusable = reusable and downstream.request_done and not self.transport.unsent
        self._state = _IDLE
        del self._response
        self._clear_exchange()
        # First the connection, then the client: its next request may use this connection.
        if reusable:
            self._owner.release(self)
        else:
            self._owner.retire(self)
        response.end()
        downstream.finish()

    def _fail(self, error: ProxyError) -> None:
        state, self._state = self._state, _CLOSED
        if state is not _IDLE and self.transport.is_deferred:
            self.never_sent = self.transport.unsent
        if state is _SPLICED:
            self._splice.end()
        self.transport.abort()
        if state is _IDLE:
            self._owner.lost(self, error)
            return
        downstream = self._downstream
        self._clear_exchange()
        # The exchange first: it may reuse the place of this connection for a fresh one.
        downstream.upstream_failed(self, error)

    def _clear_exchange(self) -> None:
        """Drop the state of the exchange: an idle connection must not keep a client alive."""
        del self._downstream
        if self._paused and self._state is not _CLOSED:
            self.resume()
        self._partial = None
