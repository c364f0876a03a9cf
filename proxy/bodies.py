"""Message bodies in transit: each is read in one side's framing and written in the other's.

An HTTP/1.0 upstream reads no chunks and needs the length before the content (RFC 9112, section 6.1). For
it a chunked request body is spooled first, as nginx does (`proxy_request_buffering`). One that is too long
for that is rejected (RFC 9110, section 15.5.12).

A response body with a known length keeps it, and so does one in chunks. Content that only its end delimits
is sent in chunks. To an HTTP/1.0 client, which reads no chunks, the close of the connection delimits it.
"""

from typing import Protocol

from proxy import forwarding
from proxy.body_spool import BodySpool
from proxy.errors import ClientProtocolError
from proxy.http11.chunked import LAST_CHUNK, ChunkedReader, chunk
from proxy.http11.grammar import CHUNKED, UNTIL_CLOSE
from proxy.http11.response import ResponseHead
from proxy.settings import Limits
from proxy.transport import Transport

_HEAD_GROWTH = 4
"""Bound on the growth of a forwarded head: the host comes twice, and the proxy adds its fields."""


class BodyClock(Protocol):
    """What a body needs to know of the worker."""

    limits: Limits
    body_until: float


class RequestBody:
    """One request body.

    Attributes:
        done: whether it is complete.
        rest: the bytes after its end.
        received: bytes of it so far, or since the proxy itself has stopped it last.

    Args:
        length: in bytes, or CHUNKED.
        spools: whether a chunked body is stored, unframed, in `spool` until it is complete.
    """

    __slots__ = ("_began", "_chunks", "_clock", "_remaining", "done", "received", "rest", "spool")

    def __init__(self, length: int, clock: BodyClock, *, spools: bool = False) -> None:
        limits = clock.limits
        self._clock = clock
        self._remaining = length
        self._chunks: ChunkedReader | None = None
        self.spool: BodySpool | None = None
        if length == CHUNKED:
            self._chunks = ChunkedReader(ClientProtocolError, limits, keeps_framing=not spools)
            self.spool = BodySpool(_HEAD_GROWTH * limits.head_bytes) if spools else None
        self.done = False
        self.rest = b""
        self.restart_rate()

    @property
    def deadline(self) -> float:
        """Return until when more of the body must arrive, at the lowest rate that is allowed."""
        clock = self._clock
        rate = clock.limits.min_body_rate
        if not rate:
            return clock.body_until
        return min(clock.body_until, self._began + self.received / rate)

    def restart_rate(self) -> None:
        """Measure the rate from now on: the client could not send until now."""
        self._began = self._clock.body_until
        self.received = 0

    def feed(self, data: bytes) -> bytes:
        """Return the part of the body in `data`, framed for the upstream; nothing while it is spooled.

        Raises:
            ClientProtocolError: 400, 411 or 413.
            SpoolFailed: 507.
        """
        self.received += len(data)
        if self._chunks is not None:
            return self._feed_chunks(self._chunks, data)
        if len(data) < self._remaining:
            self._remaining -= len(data)
            return data
        self.done = True
        self.rest = data[self._remaining :]
        return data[: self._remaining]

    def _feed_chunks(self, chunks: ChunkedReader, data: bytes) -> bytes:
        body = chunks.feed(data)
        size = max(chunks.total, chunks.announced)
        if size > self._clock.limits.body_bytes:
            raise ClientProtocolError(f"a body of more than {self._clock.limits.body_bytes} bytes", 413)
        if chunks.done:
            self.done = True
            self.rest = chunks.rest
        if self.spool is None:
            return body
        self._spool(self.spool, body, size)
        return b""

    def _spool(self, spool: BodySpool, content: bytes, size: int) -> None:
        limits = self._clock.limits
        if size > limits.spool_bytes:
            raise ClientProtocolError(
                f"the upstream speaks HTTP/1.0 and must know the length of a body of more than"
                f" {limits.spool_bytes} bytes",
                411,
            )
        spool.add(content)


class ResponseBody:
    """One response body, written to the client; `ends_by_close`: only the close of the connection ends it.

    Content in chunks comes framed to a client that reads them, see `Downstream.reads_chunks`.
    """

    __slots__ = ("_head", "_is_framed_here", "_to_http10", "_transport", "ends_by_close")

    def __init__(self, head: ResponseHead, transport: Transport, *, to_http10: bool) -> None:
        self._head = head
        self._transport = transport
        self._to_http10 = to_http10
        self._is_framed_here = head.body == UNTIL_CLOSE and not to_http10
        self.ends_by_close = head.body in (CHUNKED, UNTIL_CLOSE) and to_http10

    def begin(self, content: bytes, *, keep_alive: bool, date: bytes) -> None:
        """Send the head, and the content that came with it."""
        if self._is_framed_here and content:
            content = chunk(content)
        data = forwarding.response_head(
            self._head, keep_alive=keep_alive, to_http10=self._to_http10, date=date, content=content
        )
        if self._is_framed_here:
            # In one write with the end, if that has come too.
            self._transport.write(data)
        else:
            self._transport.send(data)

    def write(self, content: bytes) -> None:
        """Send more content."""
        if self._is_framed_here:
            self._transport.write(chunk(content))
        else:
            self._transport.send(content)

    def end(self) -> None:
        """Send the end of the body, if the upstream has not."""
        if self._is_framed_here:
            self._transport.write(LAST_CHUNK)

    def sink(self) -> Transport | None:
        """Return the transport that content may be spliced to; None if it must be copied."""
        transport = self._transport
        return None if transport.unsent or transport.is_closing else transport
