"""The body of a request on its way: read in the client's framing, written in the upstream's. No sockets.

An HTTP/1.0 upstream reads no chunks and must be told the length before the content (RFC 9112, section 6.1):
for it a chunked body is collected first, as nginx does (`proxy_request_buffering`), and one too long for that
is refused (RFC 9110, section 15.5.12).
"""

from __future__ import annotations

from proxy.collecting import Collected
from proxy.errors import ClientProtocolError
from proxy.http11.chunked import LAST_CHUNK, ChunkedReader, chunk
from proxy.http11.grammar import CHUNKED
from proxy.settings import Limits

_MOST_HEAD = 4
"""How many times as long as it came a head may go on: the host comes twice, and the proxy adds its fields."""


class Upload:
    """One body; `rest` is what came after its end.

    Args:
        length: in bytes, or CHUNKED.
        collects: whether a chunked body is kept, bare, until it is whole: then it is all in `collected`.
    """

    __slots__ = ("_chunks", "_left", "_limits", "collected", "done", "rest")

    def __init__(self, length: int, limits: Limits, *, collects: bool = False) -> None:
        self._left = length
        self._limits = limits
        self._chunks = ChunkedReader(ClientProtocolError, limits.head_bytes) if length == CHUNKED else None
        self.collected = Collected(_MOST_HEAD * limits.head_bytes) if collects and self._chunks else None
        self.done = False
        self.rest = b""

    def take(self, data: bytes) -> bytes:
        """Return what of the body is in `data`, framed for the upstream; nothing while it is collected.

        Raises:
            ClientProtocolError: 400, 411 or 413.
            NoRoom: 507.
        """
        if self._chunks is not None:
            return self._take_chunks(self._chunks, data)
        if len(data) < self._left:
            self._left -= len(data)
            return data
        self.done = True
        self.rest = data[self._left :]
        return data[: self._left]

    def _take_chunks(self, chunks: ChunkedReader, data: bytes) -> bytes:
        content = chunks.feed(data)
        size = max(chunks.total, chunks.announced)
        if size > self._limits.body_bytes:
            raise ClientProtocolError(f"a body of more than {self._limits.body_bytes} bytes", 413)
        if chunks.done:
            self.done = True
            self.rest = chunks.rest
        if self.collected is not None:
            self._collect(self.collected, content, size)
            return b""
        framed = chunk(content) if content else b""
        return framed + LAST_CHUNK if chunks.done else framed

    def _collect(self, collected: Collected, content: bytes, size: int) -> None:
        if size > self._limits.collected_bytes:
            raise ClientProtocolError(
                f"the upstream speaks HTTP/1.0 and must know the length of a body of more than"
                f" {self._limits.collected_bytes} bytes",
                411,
            )
        collected.add(content)
