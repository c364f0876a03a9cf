"""Message bodies in transit: each is read in one side's framing and written in the other's.

An HTTP/1.0 upstream reads no chunks and needs the length before the content (RFC 9112, section 6.1). For
it a chunked request body is spooled first, as nginx does (`proxy_request_buffering`). One that is too long
for that is rejected (RFC 9110, section 15.5.12).

A response body with a known length keeps it. Content that only its end delimits is sent in chunks; to an
HTTP/1.0 client, which reads no chunks, it is delimited by the close of the connection.
"""

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


class RequestBody:
    """One request body; `rest` holds the bytes after its end.

    Args:
        length: in bytes, or CHUNKED.
        spools: whether a chunked body is stored, unframed, in `spool` until it is complete.
    """

    __slots__ = ("_chunks", "_limits", "_remaining", "done", "rest", "spool")

    def __init__(self, length: int, limits: Limits, *, spools: bool = False) -> None:
        self._remaining = length
        self._limits = limits
        self._chunks = ChunkedReader(ClientProtocolError, limits.head_bytes) if length == CHUNKED else None
        self.spool = BodySpool(_HEAD_GROWTH * limits.head_bytes) if spools and self._chunks else None
        self.done = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """Return the part of the body in `data`, framed for the upstream; nothing while it is spooled.

        Raises:
            ClientProtocolError: 400, 411 or 413.
            SpoolFailed: 507.
        """
        if self._chunks is not None:
            return self._feed_chunks(self._chunks, data)
        if len(data) < self._remaining:
            self._remaining -= len(data)
            return data
        self.done = True
        self.rest = data[self._remaining :]
        return data[: self._remaining]

    def _feed_chunks(self, chunks: ChunkedReader, data: bytes) -> bytes:
        content = chunks.feed(data)
        size = max(chunks.total, chunks.announced)
        if size > self._limits.body_bytes:
            raise ClientProtocolError(f"a body of more than {self._limits.body_bytes} bytes", 413)
        if chunks.done:
            self.done = True
            self.rest = chunks.rest
        if self.spool is not None:
            self._spool(self.spool, content, size)
            return b""
        framed = chunk(content) if content else b""
        return framed + LAST_CHUNK if chunks.done else framed

    def _spool(self, spool: BodySpool, content: bytes, size: int) -> None:
        if size > self._limits.spool_bytes:
            raise ClientProtocolError(
                f"the upstream speaks HTTP/1.0 and must know the length of a body of more than"
                f" {self._limits.spool_bytes} bytes",
                411,
            )
        spool.add(content)


class ResponseBody:
    """One response body, written to the client; `ends_by_close`: only the close of the connection ends it."""

    __slots__ = ("_head", "_in_chunks", "_to_http10", "_transport", "ends_by_close")

    def __init__(self, head: ResponseHead, transport: Transport, *, to_http10: bool) -> None:
        has_no_length = head.body in (CHUNKED, UNTIL_CLOSE)
        self._head = head
        self._transport = transport
        self._to_http10 = to_http10
        self._in_chunks = has_no_length and not to_http10
        self.ends_by_close = has_no_length and to_http10

    def begin(self, content: bytes, *, keep_alive: bool, date: bytes) -> None:
        """Send the head, and the content that came with it."""
        data = forwarding.response_head(
            self._head, keep_alive=keep_alive, to_http10=self._to_http10, date=date
        )
        if self._in_chunks:
            # In one write with the end, if that has come too.
            self._transport.write(data + chunk(content) if content else data)
        elif self.ends_by_close:
            self._transport.write(data + content)
        else:
            self._transport.send(data + content)

    def write(self, content: bytes) -> None:
        """Send more content."""
        if self._in_chunks:
            self._transport.write(chunk(content))
        else:
            self._transport.send(content)

    def end(self) -> None:
        """Send the end of the body, if its framing has one."""
        if self._in_chunks:
            self._transport.write(LAST_CHUNK)

    def sink(self) -> Transport | None:
        """Return the transport that content may be spliced to; None if it must be copied."""
        transport = self._transport
        return None if self._in_chunks or transport.unsent or transport.is_closing else transport
