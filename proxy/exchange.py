"""One request forwarded to an upstream connection, and its response forwarded back.

What is written to the client, and how, is left to subclasses: one for each version of HTTP.
"""

from abc import ABC, abstractmethod

from proxy.client_side import Body, ClientSide
from proxy.errors import ProxyError, UpstreamProtocolError, UpstreamReset
from proxy.http11.request import NO_REQUEST, RequestHead
from proxy.http11.response import CompleteResponse, ResponseHead
from proxy.upload import Upload
from proxy.upstream import UpstreamConnection
from proxy.worker_context import WorkerContext

_IDLE = "there is none: the last response is sent, or no request has come"
_RECEIVING = "the start of a body, or all of it, is collected; or it waits until fewer are streamed"
_WAITING = "waiting for an upstream connection"
_FORWARDING = "the request is with an upstream connection"
_RESPONDING = "the head of the response has been sent"


class Exchange(ABC):
    """The exchanges of one client, one after another.

    Attributes:
        request_done: whether the request has arrived completely.

    `_request` is what is to be sent, or has been sent, until the response begins. It is all of the request
    unless there is an `_upload`. `_unsent` is the unsent part of a spooled body at the last check, in bytes.
    """

    __slots__ = (
        "_client", "_context", "_head", "_request", "_state", "_unsent", "_upload", "_upstream",
        "request_done",
    )  # fmt: skip

    _upstream: UpstreamConnection

    def __init__(self, context: WorkerContext, client: ClientSide) -> None:
        self._context = context
        self._client = client
        self._state = _IDLE
        self._head = NO_REQUEST
        self._request: bytes | bytearray | memoryview = b""
        self._upload: Upload | None = None
        self._unsent = 0
        self.request_done = True

    def begin(self, head: RequestHead, request: bytes) -> None:
        """Start a request that has arrived completely: its head, and what is forwarded."""
        self._head = head
        self._request = request
        if head.max_forwards == 0:
            # RFC 9110, section 7.6.2: it must not be forwarded.
            self.respond(200, "Max-Forwards does not allow to forward the request")
            return
        self._send()

    def begin_upload(self, head: RequestHead, data: bytes) -> None:
        """Start a request whose body is long, chunked or incomplete; `data` is the part that is there."""
        context, client = self._context, self._client
        self._head = head
        self.request_done = False
        if head.max_forwards == 0:
            self.respond(200, "Max-Forwards does not allow to forward the request")
            return
        self._state = _RECEIVING
        if head.expects_continue and context.writer.to_http10:
            # RFC 9110, section 10.1.1: an HTTP/1.0 upstream cannot.
            self._write_continue()
        self._request = bytearray(context.writer.write(head, client.added_fields, context.default_host, b""))
        self._upload = Upload(self, client, context, head)
        self._upload.receive(data)

    def receive_body(self, data: bytes) -> None:
        """Store or forward more of the request body."""
        assert self._upload is not None
        self._upload.receive(data)

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
        state = self._state
        if state is _FORWARDING and (self.request_done or len(self._upstream.transport.unsent)):
            if len(self._upstream.transport.unsent) < self._unsent:
                # A long spooled body is still being sent.
                self._unsent = len(self._upstream.transport.unsent)
                self._client.deadline = self._context.response_until
                return
            self._count_read_timeout()
            self.respond(504, "the upstream took too long")
        elif state is _RECEIVING and self._upload and self._context.uploads.is_waiting(self._upload):
            self._context.counters.upstream["pool"] += 1
            self.respond(503, "too many request bodies are being received")
        elif state is _FORWARDING or state is _RECEIVING:
            self.reject(ProxyError("the body took too long", 408))
        elif state is _RESPONDING:
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

    def forward_body(self, framed: bytes) -> None:
        """Send a part of the body, or store it with the request until there is a connection."""
        if self._state is _FORWARDING or self._state is _RESPONDING:
            self._upstream.transport.send(framed)
            return
        if self._state is _WAITING:
            self._client.pause_reading()
        if isinstance(self._request, bytearray):
            self._request += framed
        elif framed:
            self._request = b"".join((self._request, framed))

    def send(self, spooled: bytes | memoryview = b"", *, is_whole: bool) -> None:
        """Request a connection for what is stored of the request, here or in a spool."""
        if spooled:
            self._unsent = len(spooled)
            self._request = spooled
        if is_whole:
            self._upload = None
        self._send()

    def reject(self, error: ProxyError) -> None:
        """Send the last response: the end of the body, and so the next request, is unknown."""
        self._client.count_error(error)
        if self._state is _RESPONDING:
            self._release_upstream()
            self._client.abort_response()
        else:
            self.respond(error.status, error.reason)

    def _send(self) -> None:
        context = self._context
        self._state = _WAITING
        context.counters.requests += 1
        context.dispatcher.acquire(self)
        if self._state is _WAITING:
            self._client.deadline = context.response_until

    def use_connection(self, connection: UpstreamConnection) -> None:
        """Send the request, as far as it has arrived, on `connection`."""
        context = self._context
        if connection.request_count:
            context.counters.reused += 1
        self._upstream = connection
        self._state = _FORWARDING
        self._client.deadline = context.response_until
        if self._upload is None:
            connection.send(self._request, self, self._head)
            return
        request, self._request = self._request, b""
        self._upload.restart_rate()
        if not self.request_done and not self._head.expects_continue:
            self._client.deadline = self._upload.deadline
        self._client.resume_reading()
        connection.send(request, self, self._head)

    # Calls of the upstream connection.

    @property
    @abstractmethod
    def reads_chunks(self) -> bool:
        """Return whether the client reads the chunked coding."""

    @abstractmethod
    def forward_verbatim(self, data: bytes) -> bool:
        """Forward a complete response as it came; return False, without effect, if it must be changed."""

    @abstractmethod
    def forward_complete(self, data: bytes, response: CompleteResponse) -> bool:
        """Forward a complete response with a few lines cut or added; as `forward_verbatim`."""

    def switch_protocols(self, head: ResponseHead, data: bytes) -> None:
        """Replace the exchange with a tunnel, if the client has offered the protocol."""
        # RFC 9110, section 7.8: only to a protocol that the client has offered.
        raise UpstreamProtocolError("a switch to a protocol that was not offered")

    def forward_interim(self, head: ResponseHead) -> None:
        """Forward a 1xx response, unless the client speaks HTTP/1.0 or does not read."""
        if self._upload is None or self.request_done:
            # The upstream is at work.
            self._client.deadline = self._context.response_until
        elif self._head.expects_continue:
            self._upload.restart_rate()
            self._client.deadline = self._upload.deadline
        if not self._head.is_http10 and not self._client.is_full:
            # RFC 9110, section 15.2: never to an HTTP/1.0 client.
            self._write_interim(head)

    def begin_response(self, head: ResponseHead, content: bytes) -> Body:
        """Send the head of the final response, and the content that came with it."""
        client = self._client
        self._state = _RESPONDING
        self._request = b""
        self.extend_deadline()
        if not self.request_done:
            client.close_after_response = True
        body = self._begin_body(head, content)
        if client.is_full:
            self._upstream.pause()
        return body

    def extend_deadline(self) -> None:
        """Set the deadline for the next part of the response."""
        context, client = self._context, self._client
        client.deadline = context.half_closed_until if client.is_half_closed else context.response_until

    def upstream_failed(self, connection: UpstreamConnection, error: ProxyError) -> None:
        """Retry on a fresh connection if that is safe, else respond with the error."""
        context, dispatcher = self._context, self._context.dispatcher
        if connection.never_sent is not None:
            self._request = connection.never_sent
        is_stale = connection.request_count > 1 and not connection.has_response and self._upload is None
        if connection.never_sent is not None or (is_stale and self._head.may_repeat):
            # RFC 9112, section 9.3.1: the end of a reused connection may be a race, so the request is retried
            # on a fresh one; whatever its method if no byte of it was sent.
            if isinstance(error, UpstreamProtocolError):
                context.counters.upstream["protocol"] += 1
            self._state = _WAITING
            del self._upstream
            dispatcher.renew(self)
            return
        if isinstance(error, UpstreamReset):
            context.counters.upstream["reset"] += 1
        state, self._state = self._state, _IDLE
        try:
            if state is _RESPONDING:
                self._client.abort_response()
            else:
                self.respond(error.status, error.reason)
        finally:
            dispatcher.lost(connection, error)

    def pause_request_body(self) -> None:
        """Stop reading the request body: the upstream does not accept more."""
        if not self.request_done:
            self._client.pause_reading()
            self._client.deadline = self._context.response_until

    def resume_request_body(self) -> None:
        """Read the request body again."""
        if self._upload is not None and not self.request_done:
            self._upload.restart_rate()
            self._client.deadline = self._upload.deadline
            self._client.resume_reading()

    # Ends of an exchange.

    def _count_read_timeout(self) -> None:
        """Count a timeout of the upstream, unless the client may be gone."""
        counters = self._context.counters
        if self._client.is_half_closed:
            counters.client["aborted"] += 1
        else:
            counters.upstream["timeout"] += 1

    def respond(self, status: int, reason: str) -> None:
        """Respond in place of the upstream."""
        client, head = self._client, self._head
        if not self.request_done or head.is_http10:
            client.close_after_response = True
        self._release_upstream()
        self._write_own(status, reason, with_body=head.method != b"HEAD")
        self.finish()

    def finish(self) -> None:
        """End the exchange: the response has been written."""
        self._state = _IDLE
        self._request = b""
        self._unsent = 0
        self._head = NO_REQUEST
        if self._upload is not None:
            self._end_upload(self._upload)
        self._client.response_sent()

    def _end_upload(self, upload: Upload) -> None:
        self._upload = None
        self._context.uploads.leave(upload)

    def _detach_upstream(self) -> UpstreamConnection:
        """Return the upstream connection, which is no longer that of an exchange."""
        connection = self._upstream
        del self._upstream
        self._state = _IDLE
        return connection

    def _release_upstream(self) -> None:
        """Leave the queues, or abandon the upstream connection."""
        state, self._state = self._state, _IDLE
        if self._upload is not None:
            self._end_upload(self._upload)
        if state is _WAITING:
            self._context.dispatcher.cancel(self)
        elif state in (_FORWARDING, _RESPONDING):
            self._upstream.abandon()

    # What is written to the client.

    @abstractmethod
    def _write_continue(self) -> None:
        """Write a 100 (Continue) response of the proxy."""

    @abstractmethod
    def _write_interim(self, head: ResponseHead) -> None:
        """Write a 1xx response of the upstream."""

    @abstractmethod
    def _begin_body(self, head: ResponseHead, content: bytes) -> Body:
        """Write the head of the final response, and the content that came with it."""

    @abstractmethod
    def _write_own(self, status: int, reason: str, *, with_body: bool) -> None:
        """Write a response of the proxy itself, with a line that gives the reason."""
