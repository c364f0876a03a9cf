"""A response body in transit: read in the upstream's framing, written in the client's.

A body with a known length keeps it, and so does one in chunks. Content that only its end delimits is sent in
chunks. To an HTTP/1.0 client, which reads no chunks, the close of the connection delimits it.
"""

from typing import TYPE_CHECKING

from proxy import forwarding
from proxy.http11.chunked import LAST_CHUNK, chunk
from proxy.http11.grammar import CHUNKED, UNTIL_CLOSE
from proxy.http11.response import ResponseHead
from proxy.transport import Transport

if TYPE_CHECKING:
    from proxy.exchange import Exchange


class ResponseBody:
    """One response body, written to the client; `ends_by_close`: only the close of the connection ends it.

    Content in chunks comes framed to a client that reads them, see `Exchange.reads_chunks`.
    """

    __slots__ = ("_exchange", "_head", "_is_framed_here", "_to_http10", "_transport", "ends_by_close")

    def __init__(
        self, exchange: "Exchange", head: ResponseHead, transport: Transport, *, to_http10: bool
    ) -> None:
        self._exchange = exchange
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
        self._exchange.extend_deadline()
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
