"""The body of a request on its way: read in the client's framing, written in the upstream's. No sockets."""

from __future__ import annotations

from proxy.errors import ClientProtocolError
from proxy.http11.chunked import LAST_CHUNK, ChunkedReader, chunk
from proxy.http11.grammar import CHUNKED
from proxy.settings import Limits


class Upload:
    """One body; `rest` is what came after its end.

    Args:
        length: in bytes, or CHUNKED.
    """

    __slots__ = ("_chunks", "_left", "_max_bytes", "done", "rest")

    def __init__(self, length: int, limits: Limits) -> None:
        self._left = length
        self._max_bytes = limits.body_bytes
        self._chunks = ChunkedReader(ClientProtocolError, limits.head_bytes) if length == CHUNKED else None
        self.done = False
        self.rest = b""

    def take(self, data: bytes) -> bytes:
        """Return what of the body is in `data`, framed for the upstream.

        Raises:
            ClientProtocolError: 400 or 413.
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
        if max(chunks.total, chunks.announced) > self._max_bytes:
            raise ClientProtocolError(f"a body of more than {self._max_bytes} bytes", 413)
        framed = chunk(content) if content else b""
        if not chunks.done:
            return framed
        self.done = True
        self.rest = chunks.rest
        return framed + LAST_CHUNK
