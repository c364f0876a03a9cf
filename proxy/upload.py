"""Request bodies that are long, chunked or incomplete: each is collected at first, and then streamed.

What comes slowly must not hold an upstream connection: a short body is collected as a whole, and the start of
a long one. An HTTP/1.0 upstream reads no chunks and needs the length before the content (RFC 9112, section
6.1). For it a chunked body is stored as a whole, as nginx does (`proxy_request_buffering`). One that is too
long for that is rejected (RFC 9110, section 15.5.12).
"""

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING

from proxy.body_spool import BodySpool
from proxy.client_side import ClientSide
from proxy.errors import ClientProtocolError, SpoolFailed
from proxy.http11.chunked import ChunkedReader
from proxy.http11.grammar import CHUNKED
from proxy.http11.request import RequestHead

if TYPE_CHECKING:
    from proxy.exchange import Exchange
    from proxy.worker_context import WorkerContext

_HEAD_GROWTH = 4
"""Bound on the growth of a forwarded head: the host comes twice, and the proxy adds its fields."""


class Upload:
    """One such request of an exchange; `is_done`: the body is complete."""

    __slots__ = (
        "_began", "_chunks", "_client", "_context", "_exchange", "_head", "_is_collecting", "_received",
        "_remaining", "_spool", "is_done",
    )  # fmt: skip

    def __init__(
        self, exchange: "Exchange", client: ClientSide, context: "WorkerContext", head: RequestHead
    ) -> None:
        self._exchange = exchange
        self._client = client
        self._context = context
        self._head = head
        self._remaining = head.body
        self._chunks: ChunkedReader | None = None
        self._spool: BodySpool | None = None
        limits, to_http10 = context.limits, context.writer.to_http10
        if head.body == CHUNKED:
            self._chunks = ChunkedReader(ClientProtocolError, limits, keeps_framing=not to_http10)
            self._spool = BodySpool(_HEAD_GROWTH * limits.head_bytes) if to_http10 else None
        self._is_collecting = True
        self.is_done = False
        self.restart_rate()

    @property
    def deadline(self) -> float:
        """Return until when more of the body must arrive, at the lowest rate that is allowed."""
        rate, until = self._context.limits.min_body_rate, self._context.body_until
        return min(until, self._began + self._received / rate) if rate else until

    def restart_rate(self) -> None:
        """Measure the rate from now on: the client could not send until now."""
        self._began = self._context.body_until
        self._received = 0

    def receive(self, data: bytes) -> None:
        """Store or forward more of the body."""
        context, exchange = self._context, self._exchange
        self._received += len(data)
        try:
            framed, rest = self._read_chunks(self._chunks, data) if self._chunks else self._read_content(data)
        except (ClientProtocolError, SpoolFailed) as error:
            exchange.reject(error)
            return
        self._client.deadline = context.response_until if self.is_done else self.deadline
        if self.is_done:
            self._client.push_back(rest)
            exchange.request_done = True
        exchange.forward_body(framed)
        if not self._is_collecting:
            if self.is_done:
                context.uploads.leave(self)
        elif self._spool is not None:
            if self.is_done:
                self._send_spooled(self._spool)
        elif self.is_done:
            exchange.send(is_whole=True)
        elif self._received > context.limits.collected_bytes or self._head.expects_continue:
            self._is_collecting = False
            self._client.pause_reading()
            if context.uploads.enter(self):
                self.start()
            else:
                self._client.deadline = context.queue_until

    def start(self) -> None:
        """Take an upstream connection, and stream the body."""
        self._exchange.send(is_whole=False)

    def _read_content(self, data: bytes) -> tuple[bytes, bytes]:
        """Return the part of the body in `data`, and what comes after it."""
        length = self._remaining
        self._remaining -= len(data)
        self.is_done = self._remaining <= 0
        return (data[:length], data[length:]) if self._remaining < 0 else (data, b"")

    def _read_chunks(self, chunks: ChunkedReader, data: bytes) -> tuple[bytes, bytes]:
        """Return the part of the body in `data`, framed for the upstream, and what comes after it.

        Raises:
            ClientProtocolError: 400, 411 or 413.
            SpoolFailed: 507.
        """
        body = chunks.feed(data)
        size = max(chunks.total, chunks.announced)
        if size > self._context.limits.body_bytes:
            raise ClientProtocolError(f"a body of more than {self._context.limits.body_bytes} bytes", 413)
        self.is_done = chunks.done
        if self._spool is None:
            return body, chunks.rest
        if size > self._context.limits.spool_bytes:
            raise ClientProtocolError(
                "the upstream speaks HTTP/1.0 and must know the length of a body of more than"
                f" {self._context.limits.spool_bytes} bytes",
                411,
            )
        self._spool.add(body)
        return b"", chunks.rest

    def _send_spooled(self, spool: BodySpool) -> None:
        """Send the request now that the length of its body is known."""
        context = self._context
        self._head.set_length(spool.size)
        head = context.writer.write(self._head, self._client.added_fields, context.default_host, b"")
        try:
            request = spool.prepend(head)
        except SpoolFailed as error:
            self._exchange.reject(error)
        else:
            self._exchange.send(request, is_whole=True)


class UploadGate:
    """Bounds the uploads of one worker that hold an upstream connection while their bodies still arrive.

    A body that comes slowly holds the connection as long as its client likes: the others are left to requests
    that are complete.

    Args:
        loop: the event loop.
        most: how many may stream at once; the others wait in order.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, most: int) -> None:
        self._loop = loop
        self._most = most
        self._streaming: set[Upload] = set()
        self._waiting: OrderedDict[Upload, None] = OrderedDict()

    def enter(self, upload: Upload) -> bool:
        """Return whether `upload` may stream now; otherwise its `start` is called later."""
        if len(self._streaming) < self._most:
            self._streaming.add(upload)
            return True
        self._waiting[upload] = None
        return False

    def is_waiting(self, upload: Upload) -> bool:
        """Return whether the upload has not started."""
        return upload in self._waiting

    def leave(self, upload: Upload) -> None:
        """Forget an upload, if it has entered: its body is complete, or it has ended."""
        self._waiting.pop(upload, None)
        if upload not in self._streaming:
            return
        self._streaming.remove(upload)
        if self._waiting:
            following, _ = self._waiting.popitem(last=False)
            self._streaming.add(following)
            # In another turn: one that fails at once lets the next one start.
            self._loop.call_soon(self._start, following)

    def _start(self, upload: Upload) -> None:
        if upload in self._streaming:
            upload.start()
