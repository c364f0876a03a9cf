"""One client connection: its requests in order, each given to an upstream connection, each answered."""

from __future__ import annotations

import asyncio
import enum
from email.utils import formatdate

from proxy import forwarding, http11
from proxy.bodies import LAST_CHUNK, ChunkedReader, chunk
from proxy.counters import Counters
from proxy.dispatch import Dispatcher
from proxy.errors import (
    ClientProtocolError,
    ClientTimeout,
    ProxyError,
    UpstreamProtocolError,
    UpstreamTimeout,
)
from proxy.http11 import CHUNKED, UNTIL_CLOSE, RequestHead, ResponseHead
from proxy.settings import Settings, format_address
from proxy.upstream import UpstreamConnection

LINGER_BYTES = 1 << 20
LINGER_S = 2.0
"""After an early answer, what the client may still send before it is cut off: it could lose the answer else."""

# RFC 9110, section 9.2.2, of the methods that pass through.
_IDEMPOTENT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"))


class State(enum.IntEnum):
    """Where a client connection stands."""

    READING = 0
    """It waits for a request, or for the rest of a head."""
    WAITING = 1
    """Its request waits for an upstream connection."""
    RELAYING = 2
    """Its request is with an upstream connection."""
    RESPONDING = 3
    """The response's head has gone out."""
    LINGERING = 4
    """It was answered for the last time, and what it still sends is thrown away."""
    CLOSED = 5


class Relay:
    """What the client connections of one worker share."""

    def __init__(self, settings: Settings, counters: Counters, dispatcher: Dispatcher) -> None:
        self.settings = settings
        self.limits = settings.limits
        self.counters = counters
        self.dispatcher = dispatcher
        self.clients: set[ClientConnection] = set()
        self.draining = False
        self.drained = asyncio.Event()
        self.date = formatdate(usegmt=True).encode("ascii")
        self.default_host = format_address(settings.upstreams[0]).encode("ascii")
        short = settings.mode == "short"
        self.writer = forwarding.RequestWriter(
            is_10=settings.upstream_http == "1.0",
            keep_alive=not short,
            ask_close=short and settings.closer == "backend",
        )

    def sweep(self) -> None:
        """Move the coarse clock on and end what took too long."""
        self.dispatcher.sweep()
        self.date = formatdate(usegmt=True).encode("ascii")
        now = self.dispatcher.now
        for client in [each for each in self.clients if each.deadline < now]:
            client.timed_out()

    def drain(self) -> None:
        """Close idle connections now and the others after their exchange; then `drained` is set."""
        self.draining = True
        self.dispatcher.drain()
        for client in list(self.clients):
            client.drain()
        if not self.clients:
            self.drained.set()

    def forget(self, client: ClientConnection) -> None:
        """Let go of a connection that has ended."""
        self.clients.discard(client)
        if self.draining and not self.clients:
            self.drained.set()


class ClientConnection(asyncio.Protocol):
    """Reads requests and answers them in order; see State."""

    __slots__ = (
        "_body_left", "_buffer", "_chunks", "_chunks_out", "_closes", "_head", "_lingered", "_read_paused", "_relay",
        "_request", "_retried", "_state", "_tail", "_to_http10", "_transport", "_upstream", "_write_paused",
        "deadline", "request_done",
    )  # fmt: skip

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._transport: asyncio.Transport | None = None
        self._state = State.READING
        self._buffer = b""
        self._head: RequestHead | None = None
        self._request = b""
        self._upstream: UpstreamConnection | None = None
        self._chunks: ChunkedReader | None = None
        self._body_left = 0
        self._chunks_out = False
        self._closes = False
        self._to_http10 = False
        self._retried = False
        self._read_paused = False
        self._write_paused = False
        self._lingered = 0
        self._tail = b""
        self.request_done = True
        self.deadline = 0.0

    # What the transport tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        relay = self._relay
        self._transport = transport
        relay.counters.accepted += 1
        relay.clients.add(self)
        self.deadline = relay.dispatcher.now + relay.limits.idle_timeout_s
        self._tail = relay.writer.tail(transport.get_extra_info("peername")[0])
        if len(relay.clients) > relay.limits.clients:
            relay.counters.client["too_many"] += 1
            self._answer(503, "too many clients")

    def data_received(self, data: bytes) -> None:
        if self._state == State.READING:
            if self._buffer:
                data = self._buffer + data
                self._buffer = b""
            self._read_request(data)
        elif self._state == State.LINGERING:
            self._lingered += len(data)
            if self._lingered > LINGER_BYTES:
                self._transport.abort()
        elif not self.request_done:
            self._read_body(data)
        else:
            # The next request, before this one was answered: it waits, and so does the client.
            self._buffer += data
            self._pause_reading()

    def eof_received(self) -> bool:
        if self._state == State.READING or not self.request_done:
            if self._upstream is not None:
                self._relay.counters.client["aborted"] += 1
            return False
        # RFC 9112, section 9.6: a client may close its side and still wait for the answer.
        self._closes = True
        return self._state != State.LINGERING

    def connection_lost(self, exc: Exception | None) -> None:
        self._relay.forget(self)
        if self._state in (State.WAITING, State.RELAYING, State.RESPONDING):
            self._relay.counters.client["aborted"] += 1
        self._let_go()
        self._state = State.CLOSED

    def pause_writing(self) -> None:
        self._write_paused = True
        if self._upstream is not None:
            self._upstream.pause()

    def resume_writing(self) -> None:
        self._write_paused = False
        if self._upstream is not None:
            self._upstream.resume()
        elif self._state == State.READING and self._buffer:
            self._next_request()

    # Reading requests.

    def _read_request(self, data: bytes) -> None:
        relay = self._relay
        try:
            head = http11.read_request(data, relay.limits)
            if head is None:
                if not self._buffer and self._head is None:
                    self.deadline = relay.dispatcher.now + relay.limits.head_timeout_s
                self._buffer = data
                return
            self._begin_request(head, data)
        except ClientProtocolError as error:
            self._refuse(error)

    def _begin_request(self, head: RequestHead, data: bytes) -> None:
        relay = self._relay
        self._head = head
        self._to_http10 = head.is_10
        self._closes = not head.keep_alive or relay.draining
        self._retried = False
        request = relay.writer.write(head, self._tail, relay.default_host)
        body = head.body
        if body == 0:
            self._buffer = data[head.size :]
        else:
            self.request_done = False
            if body == CHUNKED:
                self._chunks = ChunkedReader(ClientProtocolError, relay.limits.head_bytes)
            self._body_left = body
            request += self._take_body(data[head.size :])
        self._request = request
        self._state = State.WAITING
        self.deadline = relay.dispatcher.now + relay.limits.read_timeout_s
        relay.counters.requests += 1
        relay.dispatcher.acquire(self)

    def _take_body(self, data: bytes) -> bytes:
        """Return what of the body is in `data`, framed for the upstream; keep what follows the body."""
        if self._chunks is not None:
            content = self._chunks.feed(data)
            if self._chunks.total > self._relay.limits.body_bytes:
                raise ClientProtocolError("the body is too long", 413)
            framed = chunk(content) if content else b""
            if not self._chunks.done:
                return framed
            self._buffer = self._chunks.rest
            self._chunks = None
            self.request_done = True
            return framed + LAST_CHUNK
        if len(data) < self._body_left:
            self._body_left -= len(data)
            return data
        left, self._body_left = self._body_left, 0
        self.request_done = True
        self._buffer = data[left:]
        return data[:left]

    def _read_body(self, data: bytes) -> None:
        try:
            framed = self._take_body(data)
        except ClientProtocolError as error:
            self._refuse(error)
            return
        self.deadline = self._relay.dispatcher.now + self._relay.limits.read_timeout_s
        if self._upstream is None:
            self._request += framed
            self._pause_reading()
        elif framed:
            self._upstream.send_content(framed)

    # What the dispatcher tells.

    def use(self, connection: UpstreamConnection) -> None:
        """Send the request, as far as it has come, on `connection`."""
        self._upstream = connection
        self._state = State.RELAYING
        head = self._head
        connection.send(self._request, self, to_head=head.method == b"HEAD")
        if self._read_paused and not self.request_done:
            self._resume_reading()
        if not (self.request_done and head.body == 0 and head.method in _IDEMPOTENT):
            self._request = b""

    def no_connection(self, error: ProxyError) -> None:
        """Tell the client that there is no connection."""
        self._answer(error.status, error.reason)

    # What the upstream connection tells.

    def interim(self, head: ResponseHead) -> None:
        if not self._to_http10:
            self._transport.write(forwarding.interim_head(head))

    def switch(self, head: ResponseHead, data: bytes) -> None:
        raise UpstreamProtocolError("a switch of protocols that nobody asked for")

    def respond(self, head: ResponseHead, data: bytes, content: bytes, *, done: bool) -> None:
        relay = self._relay
        self._state = State.RESPONDING
        self._request = b""
        self.deadline = relay.dispatcher.now + relay.limits.read_timeout_s
        if not self.request_done:
            self._closes = True
        if head.is_plain and not self._closes and not self._to_http10 and head.has_date and head.body >= 0:
            self._transport.write(data)
            return
        framed = head.body in (CHUNKED, UNTIL_CLOSE)
        self._chunks_out = framed and not self._to_http10
        if framed and self._to_http10:
            self._closes = True
        self._transport.write(
            forwarding.response_head(
                head, keep_alive=not self._closes, to_http10=self._to_http10, date=relay.date
            )
        )
        if content:
            self.content(content)

    def content(self, content: bytes) -> None:
        self.deadline = self._relay.dispatcher.now + self._relay.limits.read_timeout_s
        self._transport.write(chunk(content) if self._chunks_out else content)

    def content_done(self) -> None:
        if self._chunks_out:
            self._chunks_out = False
            self._transport.write(LAST_CHUNK)
        self._upstream = None
        self._finish()

    def upstream_failed(self, error: ProxyError) -> None:
        connection, self._upstream = self._upstream, None
        if self._state == State.RESPONDING:
            # Too late for a status: only the end of the connection says that the response is cut.
            self._transport.abort()
            return
        if self._request and not self._retried and connection.carried > 1 and not connection.has_answered:
            # RFC 9110, section 9.2.2: a kept connection that closes is a race, not an answer.
            self._retried = True
            self._relay.dispatcher.renew(connection, self)
            return
        self._answer(error.status, error.reason)

    def upstream_full(self) -> None:
        if not self.request_done:
            self._pause_reading()

    def upstream_drained(self) -> None:
        if not self.request_done:
            self._resume_reading()

    # Ends.

    def timed_out(self) -> None:
        """End what has taken too long."""
        counters = self._relay.counters
        if self._state == State.READING and not self._buffer:
            self._transport.close()
        elif self._state in (State.LINGERING, State.CLOSED):
            self._transport.abort()
        elif self._state == State.RESPONDING:
            self._transport.abort()
        elif self._state == State.READING or not self.request_done:
            counters.client["timeout"] += 1
            self._refuse(ClientTimeout("the request took too long"))
        elif self._state == State.RELAYING:
            counters.upstream["timeout"] += 1
            self._let_go()
            self._answer(504, UpstreamTimeout("the upstream took too long to answer").reason)

    def drain(self) -> None:
        """Close, now if idle, else after the exchange under way."""
        if self._state == State.READING and not self._buffer:
            self._transport.close()
        else:
            self._closes = True

    def _finish(self) -> None:
        self._head = None
        if self._closes:
            if self._buffer or not self.request_done:
                self._linger()
            else:
                self._transport.close()
                self._state = State.CLOSED
            return
        self._state = State.READING
        self.deadline = self._relay.dispatcher.now + self._relay.limits.idle_timeout_s
        if self._buffer and not self._write_paused:
            self._next_request()
        elif self._read_paused:
            self._resume_reading()

    def _next_request(self) -> None:
        data, self._buffer = self._buffer, b""
        if self._read_paused:
            self._resume_reading()
        self._read_request(data)

    def _refuse(self, error: ProxyError) -> None:
        kind = {408: "timeout", 413: "body_too_large", 414: "head_too_large", 431: "head_too_large"}
        self._relay.counters.client[kind.get(error.status, "bad_request")] += 1
        self._closes = True
        self.request_done = False
        if self._state == State.RESPONDING:
            self._transport.abort()
            return
        self._answer(error.status, error.reason)

    def _answer(self, status: int, reason: str) -> None:
        if not self.request_done or self._state == State.READING:
            self._closes = True
        self._let_go()
        with_body = self._head is None or self._head.method != b"HEAD"
        self._transport.write(
            forwarding.own_response(status, reason, keep_alive=not self._closes, with_body=with_body)
        )
        if self._closes:
            self._linger()
        else:
            self._finish()

    def _let_go(self) -> None:
        if self._state == State.WAITING:
            self._relay.dispatcher.cancel(self)
        if self._upstream is not None:
            upstream, self._upstream = self._upstream, None
            upstream.abandon()

    def _linger(self) -> None:
        """Close the sending side, and read on for a while: unread bytes would turn into a reset."""
        self._state = State.LINGERING
        self._buffer = b""
        self._chunks = None
        self.deadline = self._relay.dispatcher.now + LINGER_S
        if self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()
        self._resume_reading()

    def _pause_reading(self) -> None:
        if not self._read_paused and not self._transport.is_closing():
            self._read_paused = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._read_paused:
            self._read_paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()
