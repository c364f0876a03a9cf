"""One client connection: its requests in order, each given to an upstream connection, each answered."""

from __future__ import annotations

import enum

from proxy import forwarding
from proxy.errors import ClientProtocolError, ClientTimeout, ProxyError, UpstreamProtocolError, UpstreamReset
from proxy.http11.chunked import LAST_CHUNK, chunk
from proxy.http11.grammar import CHUNKED, UNTIL_CLOSE
from proxy.http11.request import RequestHead, read_request
from proxy.http11.response import ResponseHead
from proxy.service import Service
from proxy.transport import Transport
from proxy.tunnel import Tunnel
from proxy.upload import Upload
from proxy.upstream import UpstreamConnection

LINGER_BYTES = 1 << 20
LINGER_S = 2.0
"""After a last answer, what the client may still send: cut off at once, it could lose the answer."""

# RFC 9110, section 9.2.2, of the methods that pass through.
_IDEMPOTENT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"))
_ERROR_KINDS = {408: "timeout", 413: "body_too_large", 414: "head_too_large", 431: "head_too_large"}


class State(enum.Enum):
    """Where a client connection stands."""

    READING = enum.auto()
    """It waits for a request, or for the rest of a head."""
    COLLECTING = enum.auto()
    """It reads a chunked body to its end: an HTTP/1.0 upstream must be told the length first."""
    WAITING = enum.auto()
    """Its request waits for an upstream connection."""
    RELAYING = enum.auto()
    """Its request is with an upstream connection."""
    RESPONDING = enum.auto()
    """The head of the response has gone out."""
    LINGERING = enum.auto()
    """It was answered for the last time, and what it still sends is thrown away."""
    CLOSED = enum.auto()
    """Nothing more is read or written here; a tunnel may have the transport."""


# Looked up once: a member of an Enum costs a descriptor call each time.
_READING, _COLLECTING, _WAITING, _RELAYING = State.READING, State.COLLECTING, State.WAITING, State.RELAYING
_RESPONDING, _LINGERING, _CLOSED = State.RESPONDING, State.LINGERING, State.CLOSED


class ClientConnection:
    """Reads requests and answers them in order; see State."""

    __slots__ = (
        "_buffer", "_chunks_out", "_closes", "_head", "_lingered", "_read_paused", "_request", "_retried",
        "_service", "_state", "_tail", "_transport", "_upload", "_upstream", "_write_paused", "deadline",
        "request_done",
    )  # fmt: skip

    _transport: Transport
    _head: RequestHead
    _upload: Upload
    _upstream: UpstreamConnection

    def __init__(self, service: Service, address: str) -> None:
        self._service = service
        self._tail = service.writer.tail(address)
        self._state = _READING
        self._buffer = b""
        self._request = b""
        self._chunks_out = False
        self._closes = False
        self._retried = False
        self._read_paused = False
        self._write_paused = False
        self._lingered = 0
        self.request_done = True
        self.deadline = service.idle_until

    # What the transport tells.

    def connection_made(self, transport: Transport) -> None:
        self._transport = transport
        if not self._service.admit(self):
            self._answer(503, "too many clients")

    def data_received(self, data: bytes) -> None:
        state = self._state
        if state is _READING and not self._write_paused:
            self._read_request(data)
        elif state is _LINGERING:
            self._lingered += len(data)
            if self._lingered > LINGER_BYTES:
                self._transport.abort()
        elif not self.request_done:
            self._read_body(data)
        elif state is not _CLOSED:
            # The next request, before this one was answered, or before the client has read the answers to the
            # ones before: it waits, and so does the client.
            self._buffer += data
            self._pause_reading()

    def eof_received(self) -> bool:
        if self._state in (_READING, _LINGERING, _CLOSED) or not self.request_done:
            return False
        # RFC 9112, section 9.6: a client may close its side and still wait for the answer.
        self._closes = True
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        if self._state in (_COLLECTING, _WAITING, _RELAYING, _RESPONDING):
            self._service.counters.client["aborted"] += 1
        self._let_go()
        self._state = _CLOSED
        self._service.forget(self)

    def pause_writing(self) -> None:
        self._write_paused = True
        if self._state is _RESPONDING:
            self._upstream.pause()

    def resume_writing(self) -> None:
        self._write_paused = False
        if self._state is _RESPONDING:
            self._upstream.resume()
        elif self._state is _READING:
            self._next_request()

    # Reading requests.

    def _read_request(self, data: bytes) -> None:
        service = self._service
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
            begun = True
        else:
            begun = False
        try:
            head = read_request(data, service.limits)
            if head is None:
                self._buffer = data
                if not begun:
                    self.deadline = service.head_until
                return
            self._head = head
            self._request = service.writer.write(head, self._tail, service.default_host)
            if head.is_usual:
                self._closes = service.draining
                if head.size < len(data):
                    self._buffer = data[head.size :]
            elif self._is_done_with(head, data):
                return
        except ClientProtocolError as error:
            self._refuse(error)
            return
        self._ask()

    def _ask(self) -> None:
        service = self._service
        self._state = _WAITING
        self.deadline = service.response_until if self.request_done else service.body_until
        service.counters.requests += 1
        service.dispatcher.acquire(self)

    def _is_done_with(self, head: RequestHead, data: bytes) -> bool:
        """Prepare for what is unusual about a request; True when it is not to be asked for, or not yet."""
        service = self._service
        self._closes = not head.keep_alive or service.draining
        if head.body:
            self._begin_body(head.body, data[head.size :])
        elif head.size < len(data):
            self._buffer = data[head.size :]
        if head.max_forwards == 0:
            # RFC 9110, section 7.6.2: this far and no further.
            self._answer(200, "the request went no further than it was allowed to")
            return True
        if head.expects_continue and service.writer.to_http10:
            # RFC 9110, section 10.1.1: the upstream cannot.
            self._transport.write(forwarding.CONTINUE)
        if self.request_done or not self._upload.collects:
            return False
        self._state = _COLLECTING
        self.deadline = service.body_until
        return True

    def _begin_body(self, length: int, data: bytes) -> None:
        service = self._service
        self.request_done = False
        self._retried = True
        self._upload = Upload(length, service.limits, collects=service.writer.to_http10)
        framed = self._take_body(data)
        self._request += framed

    def _take_body(self, data: bytes) -> bytes:
        upload = self._upload
        framed = upload.take(data)
        if upload.done:
            self.request_done = True
            self._buffer = upload.rest
            del self._upload
            if upload.collects:
                service = self._service
                self._head.set_length(len(framed))
                self._request = service.writer.write(self._head, self._tail, service.default_host)
        return framed

    def _read_body(self, data: bytes) -> None:
        try:
            framed = self._take_body(data)
        except ClientProtocolError as error:
            self._refuse(error)
            return
        if self._state is _COLLECTING:
            self._request += framed
            self.deadline = self._service.body_until
            if self.request_done:
                self._ask()
        elif self._state is _WAITING:
            self._request += framed
            self._pause_reading()
        elif framed:
            service = self._service
            self.deadline = service.response_until if self.request_done else service.body_until
            self._upstream.send_content(framed)

    # What the dispatcher tells.

    def use(self, connection: UpstreamConnection) -> None:
        """Send the request, as far as it has come, on `connection`."""
        self._upstream = connection
        self._state = _RELAYING
        connection.send(self._request, self)
        if not self.request_done:
            self._resume_reading()

    def no_connection(self, error: ProxyError) -> None:
        """Tell the client that there is no connection."""
        self._answer(error.status, error.reason)

    # What the upstream connection tells.

    @property
    def asks_for_head(self) -> bool:
        return self._head.method == b"HEAD"

    def pass_on(self, data: bytes, date_at: int) -> bool:
        head = self._head
        if self._closes or not self.request_done or head.method == b"HEAD":
            return False
        if not head.is_usual and head.is_10:
            return False
        self._transport.send(forwarding.dated(data, date_at, self._service.date) if date_at else data)
        return True

    def interim(self, head: ResponseHead) -> None:
        if not self._head.is_10:
            # RFC 9110, section 15.2: passed on, but never to an HTTP/1.0 client.
            self._transport.write(forwarding.interim_head(head))

    def switch(self, head: ResponseHead, data: bytes) -> None:
        # RFC 9110, section 7.8: only to a protocol that the client has offered.
        if not head.upgrade or head.upgrade.lower() not in self._head.upgrade.lower().split(b", "):
            raise UpstreamProtocolError("a switch of protocols that nobody asked for")
        transport, early = self._transport, self._buffer
        upstream = self._upstream.take_transport()
        self._let_go()
        self._state = _CLOSED
        self._buffer = b""
        transport.write(forwarding.interim_head(head) + data)
        self._resume_reading()
        self._service.forget(self)
        self._service.open_tunnel(Tunnel(transport, upstream), early)

    def respond(self, head: ResponseHead, content: bytes) -> None:
        self._state = _RESPONDING
        self._request = b""
        self.deadline = self._service.response_until
        to_http10 = self._head.is_10
        has_no_length = head.body in (CHUNKED, UNTIL_CLOSE)
        self._chunks_out = has_no_length and not to_http10
        if not self.request_done or (has_no_length and to_http10):
            self._closes = True
        date = self._service.date
        data = forwarding.response_head(head, keep_alive=not self._closes, to_http10=to_http10, date=date)
        if has_no_length:
            self._transport.write(data + chunk(content) if content and self._chunks_out else data + content)
        else:
            self._transport.send(data + content)

    def content(self, content: bytes) -> None:
        self.deadline = self._service.response_until
        if self._chunks_out:
            self._transport.write(chunk(content))
        else:
            self._transport.send(content)

    def sink(self) -> Transport | None:
        transport = self._transport
        return None if self._chunks_out or transport.unsent or transport.is_closing else transport

    def content_moved(self) -> None:
        self.deadline = self._service.response_until

    def content_done(self) -> None:
        if self._chunks_out:
            self._chunks_out = False
            self._transport.write(LAST_CHUNK)
        del self._upstream
        self._finish()

    def upstream_failed(self, connection: UpstreamConnection, error: ProxyError) -> None:
        dispatcher = self._service.dispatcher
        is_stale = connection.carried > 1 and not connection.has_answered
        del self._upstream
        if is_stale and not self._retried and self._head.method in _IDEMPOTENT:
            # RFC 9112, section 9.3.1: a kept connection that ends is a race, not an answer.
            self._retried = True
            self._state = _WAITING
            dispatcher.renew(connection, self)
            return
        if isinstance(error, UpstreamReset):
            self._service.counters.upstream["reset"] += 1
        state, self._state = self._state, _READING
        if state is _RESPONDING:
            # Too late for a status: only the end of the connection can say that the response is cut.
            self._state = _CLOSED
            self._transport.abort()
        else:
            self._answer(error.status, error.reason)
        dispatcher.lost(connection, error)

    def upstream_full(self) -> None:
        if not self.request_done:
            self._pause_reading()

    def upstream_drained(self) -> None:
        if not self.request_done:
            self._resume_reading()

    # Ends.

    def timed_out(self) -> None:
        """End what has taken too long."""
        counters = self._service.counters
        if self._state is _READING and self._buffer:
            self._refuse(ClientTimeout("the head took too long"))
        elif self._state is _RELAYING and self.request_done:
            counters.upstream["timeout"] += 1
            self._let_go()
            self._answer(504, "the upstream took too long to answer")
        elif self._state in (_COLLECTING, _RELAYING):
            self._refuse(ClientTimeout("the body took too long"))
        elif self._state is _RESPONDING:
            (counters.client if self._write_paused else counters.upstream)["timeout"] += 1
            self._let_go()
            self._state = _CLOSED
            self._transport.abort()
        elif self._state is not _WAITING:
            self._transport.abort()

    def drain(self) -> None:
        """Close: now if idle, else after the exchange under way."""
        if self._state is _READING and not self._buffer:
            self._state = _CLOSED
            self._transport.close()
        else:
            self._closes = True

    def abort(self) -> None:
        """Close now, whatever is under way."""
        self._transport.abort()

    def _finish(self) -> None:
        """Go on to the next request, or close."""
        del self._head
        self._request = b""
        self._retried = False
        if self._closes:
            if self._buffer or not self.request_done:
                self._linger()
            else:
                self._state = _CLOSED
                self._transport.close()
            return
        self._state = _READING
        self.deadline = self._service.idle_until
        if self._buffer:
            # Later, so that a long pipeline of refusals is no deep recursion.
            self._service.poller.later(self._next_request)
        elif self._read_paused and not self._write_paused:
            self._resume_reading()

    def _next_request(self) -> None:
        if self._state is _READING and not self._write_paused:
            self._resume_reading()
            if self._buffer:
                self._read_request(b"")

    def _refuse(self, error: ProxyError) -> None:
        """Answer for the last time: where the next request begins is not known."""
        self._service.counters.client[_ERROR_KINDS.get(error.status, "bad_request")] += 1
        self._closes = True
        if self._state is _RESPONDING:
            self._let_go()
            self._state = _CLOSED
            self._transport.abort()
        else:
            self.request_done = False
            self._answer(error.status, error.reason)

    def _answer(self, status: int, reason: str) -> None:
        """Answer in place of the upstream."""
        has_head = hasattr(self, "_head")
        if not has_head or not self.request_done or self._head.is_10:
            self._closes = True
        self._let_go()
        with_body = not has_head or self._head.method != b"HEAD"
        self._transport.write(
            forwarding.own_response(status, reason, keep_alive=not self._closes, with_body=with_body)
        )
        if has_head:
            self._finish()
        else:
            self._linger()

    def _let_go(self) -> None:
        """Leave the queue, or the upstream connection."""
        if self._state is _WAITING:
            self._service.dispatcher.cancel(self)
        elif self._state in (_RELAYING, _RESPONDING) and hasattr(self, "_upstream"):
            upstream = self._upstream
            del self._upstream
            upstream.abandon()

    def _linger(self) -> None:
        """Close the sending side, and read on for a while: unread bytes would turn into a reset."""
        self._state = _LINGERING
        self._buffer = b""
        self.deadline = self._service.dispatcher.now + LINGER_S
        if not self._transport.is_closing:
            self._transport.write_eof()
        self._resume_reading()

    def _pause_reading(self) -> None:
        if not self._read_paused:
            self._read_paused = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._read_paused:
            self._read_paused = False
            self._transport.resume_reading()
