"""One request on its way to an upstream connection, and the response on its way back."""

from __future__ import annotations

import enum
from typing import Protocol

from proxy import forwarding
from proxy.errors import ClientProtocolError, ClientTimeout, ProxyError, UpstreamProtocolError, UpstreamReset
from proxy.http11.chunked import LAST_CHUNK, chunk
from proxy.http11.grammar import CHUNKED, UNTIL_CLOSE
from proxy.http11.request import USUAL as _USUAL
from proxy.http11.request import RequestHead
from proxy.http11.response import ResponseHead
from proxy.service import Service
from proxy.transport import Transport
from proxy.tunnel import Tunnel
from proxy.upload import Upload
from proxy.upstream import UpstreamConnection

# RFC 9110, section 9.2.2, of the methods that pass through.
_IDEMPOTENT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"))


class State(enum.Enum):
    """Where an exchange stands."""

    OVER = enum.auto()
    """There is none: the client was answered, or has not asked."""
    COLLECTING = enum.auto()
    """It reads a chunked body to its end: an HTTP/1.0 upstream must be told the length first."""
    WAITING = enum.auto()
    """Its request waits for an upstream connection."""
    RELAYING = enum.auto()
    """Its request is with an upstream connection."""
    RESPONDING = enum.auto()
    """The head of the response has gone out."""


# Looked up once: a member of an Enum costs a descriptor call each time.
_OVER, _COLLECTING, _WAITING = State.OVER, State.COLLECTING, State.WAITING
_RELAYING, _RESPONDING = State.RELAYING, State.RESPONDING


class Client(Protocol):
    """Who asks."""

    tail: bytes
    transport: Transport
    closes: bool
    deadline: float

    def unread(self, data: bytes) -> None:
        """Take back what came after the end of the request's body."""

    def answered(self) -> None:
        """Go on, since the answer is out."""

    def cut(self) -> None:
        """End in the middle of an answer."""

    def leave(self) -> tuple[Transport, bytes]:
        """Hand over the transport, and what has come for whoever has it from now on."""

    def count_refusal(self, error: ProxyError) -> None:
        """Count what is wrong with what the client sent."""

    def pause_reading(self) -> None:
        """Send nothing for now."""

    def resume_reading(self) -> None:
        """Send on."""


class Exchange:
    """The exchanges of one client connection, one after another; see State.

    Attributes:
        request_done: whether the request has come whole.
    """

    __slots__ = (
        "_chunks_out", "_client", "_head", "_request", "_retried", "_service", "_state", "_upload",
        "_upstream", "request_done",
    )  # fmt: skip

    _upload: Upload
    _upstream: UpstreamConnection

    def __init__(self, service: Service, client: Client) -> None:
        self._service = service
        self._client = client
        self._state = _OVER
        self._head = _USUAL
        self._request = b""
        self._chunks_out = False
        self._retried = False
        self.request_done = True

    # What the client asks for.

    def begin(self, head: RequestHead, data: bytes) -> None:
        """Ask for what is unusual; `data` is what has come of its body."""
        self._head = head
        if head.max_forwards == 0:
            # RFC 9110, section 7.6.2: this far and no further.
            self.request_done = not head.body
            self._answer(200, "the request went no further than it was allowed to")
            return
        service = self._service
        request = service.writer.write(head, self._client.tail, service.default_host)
        if head.body:
            self._begin_body(request, data)
        else:
            self.ask(request)

    def ask(self, request: bytes) -> None:
        """Ask for `request`: its head, and as much of its body as there is."""
        service = self._service
        self._request = request
        self._state = _WAITING
        self._client.deadline = service.response_until if self.request_done else service.body_until
        service.counters.requests += 1
        service.dispatcher.acquire(self)

    def take(self, data: bytes) -> None:
        """Take more of the request's body."""
        try:
            framed = self._take_body(data)
        except ClientProtocolError as error:
            self._refuse(error)
            return
        if self._state is _COLLECTING:
            self._collect(framed)
        elif self._state is _WAITING:
            self._request += framed
            self._client.pause_reading()
        elif framed:
            service = self._service
            self._client.deadline = service.response_until if self.request_done else service.body_until
            self._upstream.send_content(framed)

    def pause(self) -> None:
        """Learn that the client does not read the response."""
        if self._state is _RESPONDING:
            self._upstream.pause()

    def resume(self) -> None:
        """Learn that it has read what there was."""
        if self._state is _RESPONDING:
            self._upstream.resume()

    def timed_out(self, *, of_client: bool) -> None:
        """End what has taken too long; `of_client` tells that it does not read."""
        counters = self._service.counters
        if self._state is _RELAYING and self.request_done:
            counters.upstream["timeout"] += 1
            self._answer(504, "the upstream took too long to answer")
        elif self._state in (_COLLECTING, _RELAYING):
            self._refuse(ClientTimeout("the body took too long"))
        elif self._state is _RESPONDING:
            (counters.client if of_client else counters.upstream)["timeout"] += 1
            self._let_go()
            self._client.cut()

    def abandon(self) -> None:
        """Give up, since the client has gone."""
        self._service.counters.client["aborted"] += 1
        self._let_go()

    # The request's body.

    def _begin_body(self, request: bytes, data: bytes) -> None:
        service, head = self._service, self._head
        self.request_done = False
        self._retried = True
        self._upload = upload = Upload(head.body, service.limits, collects=service.writer.to_http10)
        try:
            framed = self._take_body(data)
        except ClientProtocolError as error:
            self._refuse(error)
            return
        if head.expects_continue and service.writer.to_http10 and not upload.done:
            # RFC 9110, section 10.1.1: the upstream cannot.
            self._client.transport.write(forwarding.CONTINUE)
        if upload.collects:
            self._state = _COLLECTING
            self._collect(framed)
        else:
            self.ask(request + framed)

    def _take_body(self, data: bytes) -> bytes:
        upload = self._upload
        framed = upload.take(data)
        if upload.done:
            self.request_done = True
            self._client.unread(upload.rest)
            del self._upload
        return framed

    def _collect(self, content: bytes) -> None:
        """Ask once the body is whole: only then its length can be told."""
        service = self._service
        if not self.request_done:
            self._client.deadline = service.body_until
            return
        self._head.set_length(len(content))
        self.ask(service.writer.write(self._head, self._client.tail, service.default_host) + content)

    # What the dispatcher tells.

    def use(self, connection: UpstreamConnection) -> None:
        """Send the request, as far as it has come, on `connection`."""
        self._upstream = connection
        self._state = _RELAYING
        connection.send(self._request, self)
        if not self.request_done:
            self._client.resume_reading()

    def no_connection(self, error: ProxyError) -> None:
        """Tell the client that there is no connection."""
        self._answer(error.status, error.reason)

    # What the upstream connection tells.

    @property
    def asks_for_head(self) -> bool:
        return self._head.method == b"HEAD"

    def pass_on(self, data: bytes, date_at: int) -> bool:
        client, head = self._client, self._head
        if client.closes or (head is not _USUAL and not self._takes_as_is(head)):
            return False
        if date_at:
            # RFC 9110, section 6.6.1.
            data = b"".join((data[:date_at], self._service.date, data[date_at:]))
        client.transport.send(data)
        self._finish()
        return True

    def _takes_as_is(self, head: RequestHead) -> bool:
        return self.request_done and not head.is_10 and head.method != b"HEAD"

    def interim(self, head: ResponseHead) -> None:
        if not self._head.is_10:
            # RFC 9110, section 15.2: passed on, but never to an HTTP/1.0 client.
            self._client.transport.write(forwarding.interim_head(head))

    def switch(self, head: ResponseHead, data: bytes) -> None:
        # RFC 9110, section 7.8: only to a protocol that the client has offered.
        if not head.upgrade or head.upgrade.lower() not in self._head.upgrade.lower().split(b", "):
            raise UpstreamProtocolError("a switch of protocols that nobody asked for")
        upstream = self._upstream.take_transport()
        del self._upstream
        self._state = _OVER
        client, early = self._client.leave()
        client.write(forwarding.interim_head(head) + data)
        self._service.open_tunnel(Tunnel(client, upstream), early)

    def respond(self, head: ResponseHead, content: bytes) -> None:
        service, client = self._service, self._client
        self._state = _RESPONDING
        self._request = b""
        client.deadline = service.response_until
        to_http10 = self._head.is_10
        has_no_length = head.body in (CHUNKED, UNTIL_CLOSE)
        self._chunks_out = has_no_length and not to_http10
        if not self.request_done or (has_no_length and to_http10):
            client.closes = True
        data = forwarding.response_head(
            head, keep_alive=not client.closes, to_http10=to_http10, date=service.date
        )
        if has_no_length:
            client.transport.write(data + chunk(content) if content and self._chunks_out else data + content)
        else:
            client.transport.send(data + content)

    def content(self, content: bytes) -> None:
        client = self._client
        client.deadline = self._service.response_until
        if self._chunks_out:
            client.transport.write(chunk(content))
        else:
            client.transport.send(content)

    def sink(self) -> Transport | None:
        transport = self._client.transport
        return None if self._chunks_out or transport.unsent or transport.is_closing else transport

    def content_moved(self) -> None:
        self._client.deadline = self._service.response_until

    def content_done(self) -> None:
        chunks_out = self._chunks_out
        self._chunks_out = False
        # Over before the last chunk goes out: the upstream connection may serve another one by now.
        self._state = _OVER
        if chunks_out:
            self._client.transport.write(LAST_CHUNK)
        self._finish()

    def upstream_failed(self, connection: UpstreamConnection, error: ProxyError) -> None:
        dispatcher = self._service.dispatcher
        is_stale = connection.carried > 1 and not connection.has_answered
        if is_stale and not self._retried and self._head.method in _IDEMPOTENT:
            # RFC 9112, section 9.3.1: a kept connection that ends is a race, not an answer.
            self._retried = True
            self._state = _WAITING
            del self._upstream
            dispatcher.renew(connection, self)
            return
        if isinstance(error, UpstreamReset):
            self._service.counters.upstream["reset"] += 1
        state, self._state = self._state, _OVER
        if state is _RESPONDING:
            self._client.cut()
        else:
            self._answer(error.status, error.reason)
        dispatcher.lost(connection, error)

    def upstream_full(self) -> None:
        if not self.request_done:
            self._client.pause_reading()

    def upstream_drained(self) -> None:
        if not self.request_done:
            self._client.resume_reading()

    # Ends.

    def _answer(self, status: int, reason: str) -> None:
        """Answer in place of the upstream."""
        client, head = self._client, self._head
        if not self.request_done or head.is_10:
            client.closes = True
        self._let_go()
        response = forwarding.own_response(
            status, reason, keep_alive=not client.closes, with_body=head.method != b"HEAD"
        )
        client.transport.write(response)
        self._finish()

    def _refuse(self, error: ProxyError) -> None:
        """Answer for the last time: where the body ends, and the next request begins, is not known."""
        self._client.count_refusal(error)
        if self._state is _RESPONDING:
            self._let_go()
            self._client.cut()
        else:
            self._answer(error.status, error.reason)

    def _finish(self) -> None:
        self._state = _OVER
        self._request = b""
        self._retried = False
        self._head = _USUAL
        self._client.answered()

    def _let_go(self) -> None:
        """Leave the queue, or the upstream connection."""
        state, self._state = self._state, _OVER
        if state is _WAITING:
            self._service.dispatcher.cancel(self)
        elif state in (_RELAYING, _RESPONDING):
            self._upstream.abandon()
