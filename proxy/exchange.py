"""One request forwarded to an upstream connection, and its response forwarded back."""

import enum

from proxy import forwarding
from proxy.bodies import RequestBody, ResponseBody
from proxy.body_spool import BodySpool
from proxy.errors import (
    ClientProtocolError,
    ClientTimeout,
    ProxyError,
    SpoolFailed,
    UpstreamProtocolError,
    UpstreamReset,
)
from proxy.http11.request import USUAL, RequestHead
from proxy.http11.response import ResponseHead
from proxy.interfaces import ExchangeClient
from proxy.transport import Transport
from proxy.tunnel import Tunnel
from proxy.upstream import UpstreamConnection
from proxy.worker_context import WorkerContext

# RFC 9110, section 9.2.2, without the methods that the proxy rejects.
_IDEMPOTENT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"))


class ExchangeState(enum.Enum):
    """State of an exchange."""

    IDLE = enum.auto()
    """There is none: the last response is sent, or no request has come."""
    SPOOLING = enum.auto()
    """Storing a chunked body: an HTTP/1.0 upstream needs its length first."""
    WAITING = enum.auto()
    """Waiting for an upstream connection."""
    FORWARDING = enum.auto()
    """The request is with an upstream connection."""
    RESPONDING = enum.auto()
    """The head of the response has been sent."""


# Module constants: access to an Enum member costs a descriptor call each time.
_IDLE, _SPOOLING, _WAITING = ExchangeState.IDLE, ExchangeState.SPOOLING, ExchangeState.WAITING
_FORWARDING, _RESPONDING = ExchangeState.FORWARDING, ExchangeState.RESPONDING


class Exchange:
    """The exchanges of one client connection, one after another; see ExchangeState.

    Attributes:
        request_done: whether the request has arrived completely.

    `_unsent` is the unsent part of a spooled body at the last check, in bytes.
    """

    __slots__ = (
        "_client",
        "_context",
        "_head",
        "_request",
        "_request_body",
        "_response_body",
        "_state",
        "_unsent",
        "_upstream",
        "request_done",
    )  # fmt: skip

    _response_body: ResponseBody
    _request_body: RequestBody
    _upstream: UpstreamConnection

    def __init__(self, context: WorkerContext, client: ExchangeClient) -> None:
        self._context = context
        self._client = client
        self._state = _IDLE
        self._head = USUAL
        self._request: bytes | memoryview = b""
        self._unsent = 0
        self.request_done = True

    # Calls of the client connection.

    def begin(self, head: RequestHead, data: bytes) -> None:
        """Start an unusual request; `data` is the part of its body that has arrived."""
        self._head = head
        if head.max_forwards == 0:
            # RFC 9110, section 7.6.2: it must not be forwarded.
            self.request_done = not head.body
            self._respond(200, "Max-Forwards does not allow to forward the request")
            return
        context = self._context
        request = context.writer.write(head, self._client.added_fields, context.default_host)
        if head.body:
            self._begin_body(request, data)
        else:
            self.send_request(request)

    def send_request(self, request: bytes | memoryview) -> None:
        """Request a connection for `request`: its head, and the part of its body that is there."""
        context = self._context
        self._request = request
        self._state = _WAITING
        self._client.deadline = context.response_until if self.request_done else context.body_until
        context.counters.requests += 1
        context.dispatcher.acquire(self)

    def receive_body(self, data: bytes) -> None:
        """Forward more of the request body."""
        body = self._request_body
        framed = self._read_body(body, data)
        if framed is None:
            return
        if body.spool is not None:
            self._spool_body(body.spool)
        elif self._state is _WAITING:
            self._request = b"".join((self._request, framed))
            self._client.pause_reading()
        elif framed:
            context = self._context
            self._client.deadline = context.response_until if self.request_done else context.body_until
            self._upstream.send_content(framed)

    def pause(self) -> None:
        """Pause the response: the client does not read."""
        if self._state is _RESPONDING:
            self._upstream.pause()

    def resume(self) -> None:
        """Resume the response."""
        if self._state is _RESPONDING:
            self._upstream.resume()

    def timed_out(self, *, client_stalled: bool) -> None:
        """End the current wait; `client_stalled`: the client does not read the response."""
        if self._state is _FORWARDING and self.request_done:
            if self._upstream.unsent < self._unsent:
                # A long spooled body is still being sent.
                self._unsent = self._upstream.unsent
                self._client.deadline = self._context.response_until
                return
            self._count_read_timeout()
            self._respond(504, "the upstream took too long to answer")
        elif self._state in (_SPOOLING, _FORWARDING):
            self._reject(ClientTimeout("the body took too long"))
        elif self._state is _RESPONDING:
            if client_stalled:
                self._context.counters.client["timeout"] += 1
            else:
                self._count_read_timeout()
            self._release_upstream()
            self._client.abort_response()

    def abandon(self) -> None:
        """Abandon the exchange: the client has gone."""
        self._context.counters.client["aborted"] += 1
        self._release_upstream()

    # The request body.

    def _begin_body(self, request: bytes, data: bytes) -> None:
        context, head = self._context, self._head
        self.request_done = False
        self._request_body = body = RequestBody(head.body, context.limits, spools=context.writer.to_http10)
        framed = self._read_body(body, data)
        if framed is None:
            return
        if head.expects_continue and context.writer.to_http10 and not self.request_done:
            # RFC 9110, section 10.1.1: an HTTP/1.0 upstream cannot.
            self._client.transport.write(forwarding.CONTINUE)
        if body.spool is not None:
            self._state = _SPOOLING
            self._spool_body(body.spool)
        else:
            self.send_request(request + framed)

    def _read_body(self, body: RequestBody, data: bytes) -> bytes | None:
        """Return the part of the body in `data`; None if it was rejected."""
        try:
            framed = body.feed(data)
        except (ClientProtocolError, SpoolFailed) as error:
            self._reject(error)
            return None
        if body.done:
            self.request_done = True
            self._client.push_back(body.rest)
            del self._request_body
        return framed

    def _spool_body(self, spool: BodySpool) -> None:
        """Send the request once its body is complete and its length known."""
        context = self._context
        if not self.request_done:
            self._client.deadline = context.body_until
            return
        self._head.set_length(spool.size)
        head = context.writer.write(self._head, self._client.added_fields, context.default_host)
        try:
            request = spool.prepend(head)
        except SpoolFailed as error:
            self._reject(error)
            return
        self._unsent = len(request)
        self.send_request(request)

    # Calls of the dispatcher.

    def use_connection(self, connection: UpstreamConnection) -> None:
        """Send the request, as far as it has arrived, on `connection`."""
        self._upstream = connection
        self._state = _FORWARDING
        connection.send(self._request, self)
        if not self.request_done:
            self._client.resume_reading()

    def no_connection(self, error: ProxyError) -> None:
        """Respond that there is no connection."""
        self._respond(error.status, error.reason)

    # Calls of the upstream connection.

    @property
    def is_head_request(self) -> bool:
        """Return whether the response has no content."""
        return self._head.method == b"HEAD"

    def forward_verbatim(self, data: bytes, date_at: int) -> bool:
        """Forward a complete response unchanged; return False if it must be rewritten."""
        client, head = self._client, self._head
        if client.close_after_response or (head is not USUAL and not self._allows_verbatim(head)):
            return False
        if date_at:
            # RFC 9110, section 6.6.1.
            data = b"".join((data[:date_at], self._context.date, data[date_at:]))
        client.transport.send(data)
        self._finish()
        return True

    def _allows_verbatim(self, head: RequestHead) -> bool:
        return self.request_done and not head.is_http10 and head.method != b"HEAD"

    def forward_interim(self, head: ResponseHead) -> None:
        """Forward a 1xx response, unless the client speaks HTTP/1.0."""
        if not self._head.is_http10:
            # RFC 9110, section 15.2: never to an HTTP/1.0 client.
            self._client.transport.write(forwarding.interim_head(head))

    def switch_protocols(self, head: ResponseHead, data: bytes) -> None:
        # RFC 9110, section 7.8: only to a protocol that the client has offered.
        """Replace the exchange with a tunnel, if the client has offered the protocol."""
        if not head.upgrade or head.upgrade.lower() not in self._head.upgrade.lower().split(b", "):
            raise UpstreamProtocolError("a switch to a protocol that was not offered")
        upstream = self._upstream.detach_transport()
        del self._upstream
        self._state = _IDLE
        client, early_data = self._client.detach()
        client.write(forwarding.interim_head(head) + data)
        self._context.open_tunnel(Tunnel(client, upstream), early_data)

    def begin_response(self, head: ResponseHead, content: bytes) -> None:
        """Send the head of the final response, and the content that came with it."""
        context, client = self._context, self._client
        self._state = _RESPONDING
        self._request = b""
        self._unsent = 0
        self._extend_deadline()
        self._response_body = body = ResponseBody(head, client.transport, to_http10=self._head.is_http10)
        if not self.request_done or body.ends_by_close:
            client.close_after_response = True
        body.begin(content, keep_alive=not client.close_after_response, date=context.date)

    def forward_content(self, content: bytes) -> None:
        """Send more content."""
        self._extend_deadline()
        self._response_body.write(content)

    def sink(self) -> Transport | None:
        """Return the transport that content may be spliced to; None if it must be copied."""
        return self._response_body.sink()

    def content_spliced(self) -> None:
        """Extend the deadline: content has been spliced."""
        self._extend_deadline()

    def end_response(self) -> None:
        # Ended before the last bytes are sent: the upstream connection may serve another exchange by now.
        """End the response and the exchange."""
        self._state = _IDLE
        self._response_body.end()
        del self._response_body
        self._finish()

    def upstream_failed(self, connection: UpstreamConnection, error: ProxyError) -> None:
        """Retry on a fresh connection if that is safe, else respond with the error."""
        dispatcher = self._context.dispatcher
        is_stale = connection.request_count > 1 and not connection.has_response
        if is_stale and not self._head.body and self._head.method in _IDEMPOTENT:
            # RFC 9112, section 9.3.1: the end of a reused connection may be a race, so the request is retried
            # on a fresh one.
            self._state = _WAITING
            del self._upstream
            dispatcher.renew(connection, self)
            return
        if isinstance(error, UpstreamReset):
            self._context.counters.upstream["reset"] += 1
        state, self._state = self._state, _IDLE
        if state is _RESPONDING:
            self._client.abort_response()
        else:
            self._respond(error.status, error.reason)
        dispatcher.lost(connection, error)

    def pause_request_body(self) -> None:
        """Stop reading the request body: the upstream does not accept more."""
        if not self.request_done:
            self._client.pause_reading()

    def resume_request_body(self) -> None:
        """Read the request body again."""
        if not self.request_done:
            self._client.resume_reading()

    # Ends of an exchange.

    def _extend_deadline(self) -> None:
        """Set the deadline for the next part of the response."""
        context, client = self._context, self._client
        client.deadline = context.half_closed_until if client.is_half_closed else context.response_until

    def _count_read_timeout(self) -> None:
        """Count a timeout of the upstream, unless the client may be gone."""
        counters = self._context.counters
        if self._client.is_half_closed:
            counters.client["aborted"] += 1
        else:
            counters.upstream["timeout"] += 1

    def _respond(self, status: int, reason: str) -> None:
        """Respond in place of the upstream."""
        client, head = self._client, self._head
        if not self.request_done or head.is_http10:
            client.close_after_response = True
        self._unsent = 0
        self._release_upstream()
        response = forwarding.proxy_response(
            status, reason, keep_alive=not client.close_after_response, with_body=head.method != b"HEAD"
        )
        client.transport.write(response)
        self._finish()

    def _reject(self, error: ProxyError) -> None:
        """Send the last response: the end of the body, and so the next request, is unknown."""
        self._client.count_error(error)
        if self._state is _RESPONDING:
            self._release_upstream()
            self._client.abort_response()
        else:
            self._respond(error.status, error.reason)

    def _finish(self) -> None:
        self._state = _IDLE
        self._request = b""
        self._head = USUAL
        self._client.response_sent()

    def _release_upstream(self) -> None:
        """Leave the queue, or abandon the upstream connection."""
        state, self._state = self._state, _IDLE
        if state is _WAITING:
            self._context.dispatcher.cancel(self)
        elif state in (_FORWARDING, _RESPONDING):
            self._upstream.abandon()
