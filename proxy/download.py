"""The body of a response on its way: what the upstream's reader found, written in the client's framing.

A length that is known stays as it is. Content of which only the end is told goes in chunks, or else until the
connection is closed, to an HTTP/1.0 client, which reads no chunks (RFC 9112, section 6.1).
"""

from __future__ import annotations

from proxy import forwarding
from proxy.http11.chunked import LAST_CHUNK, chunk
from proxy.http11.grammar import CHUNKED, UNTIL_CLOSE
from proxy.http11.response import ResponseHead
from proxy.transport import Transport


class Download:
    """One response; `ends_by_close` tells that only the end of the connection ends it."""

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
            # With the end, should that have come too.
            self._transport.write(data + chunk(content) if content else data)
        elif self.ends_by_close:
            self._transport.write(data + content)
        else:
            self._transport.send(data + content)

    def go_on(self, content: bytes) -> None:
        """Send more content."""
        if self._in_chunks:
            self._transport.write(chunk(content))
        else:
            self._transport.send(content)

    def end(self) -> None:
        """Send what tells of the end."""
        if self._in_chunks:
            self._transport.write(LAST_CHUNK)

    def sink(self) -> Transport | None:
        """Return where content may go past this one, as it is; None where it may not."""
        transport = self._transport
        return None if self._in_chunks or transport.unsent or transport.is_closing else transport
