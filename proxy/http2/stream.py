"""One stream: the client of one exchange. Its request comes in events of h2, its response goes in frames."""

from collections import deque
from math import inf
from typing import TYPE_CHECKING

from h2.errors import ErrorCodes

from proxy.errors import ClientProtocolError, ProxyError
from proxy.http2.exchange import StreamExchange
from proxy.http2.fields import Fields, MalformedRequest, check_trailers, own_response, request_head
from proxy.http11.chunked import LAST_CHUNK, chunk
from proxy.http11.grammar import CHUNKED
from proxy.http11.request import NO_REQUEST, match_request, read_request
from proxy.transport import Transport
from proxy.worker_context import WorkerContext

if TYPE_CHECKING:
    from proxy.http2.connection import Http2Connection
    from proxy.http2.endpoint import Endpoint

_FRAME_BYTES = 16_384
"""Longest content of a frame, whatever the client allows: the other streams get their turn after it."""

# What a stream is there for.
_EXCHANGING = "the exchange has the request and owes the response"
_SENDING = "the response is complete; some of it is still to be sent"
_CLOSED = "nothing: it has ended"


class Stream:
    """Passes a request to its exchange and sends the response, as flow control allows (RFC 9113, 5.2).

    Attributes:
        number: its identifier.
        added_fields: fields that are added to the request.
        close_after_response: whether nothing more of the request is read after the response.
        is_half_closed: False: a client without its side of the connection is gone.
        deadline: when the current wait times out, on the clock of the sweep.

    `_unread` are parts of the body that came while it was not read, each with its size for flow control: at
    most what the stream's window allows. `_content` is what is still to be sent of the response's.
    """

    __slots__ = (
        "_connection", "_content", "_context", "_exchange", "_has_request", "_head", "_interims",
        "_is_complete", "_is_delivering", "_is_held", "_is_paused", "_request", "_state", "_unread",
        "added_fields", "close_after_response", "deadline", "is_half_closed", "number",
    )  # fmt: skip

    def __init__(self, context: WorkerContext, connection: "Http2Connection", number: int) -> None:
        self.number = number
        self.added_fields = connection.added_fields
        self.close_after_response = False
        self.is_half_closed = False
        self.deadline = inf
        self._context = context
        self._connection = connection
        self._exchange = StreamExchange(context, self)
        self._state = _EXCHANGING
        self._request = NO_REQUEST
        self._has_request = False
        """Whether the client has ended its side."""
        self._is_paused = False
        self._is_delivering = False
        self._unread: deque[tuple[bytes, int]] = deque()
        self._interims: list[Fields] = []
        self._head: Fields | None = None
        self._content = bytearray()
        self._is_complete = False
        self._is_held = False
        """Whether the upstream waits for the client to take what is there."""

    # Calls of the connection: the request.

    def begin(self, fields: Fields, *, has_ended: bool) -> None:
        """Start with the fields of the request; `has_ended`: there is no content."""
        context, limits = self._context, self._context.limits
        self._has_request = has_ended
        try:
            data = request_head(fields, has_content=not has_ended)
            head = read_request(data, limits, 0, match_request(data))
        except MalformedRequest as error:
            self._end_malformed(error)
            return
        except ClientProtocolError as error:
            self._reject(error)
            return
        assert head is not None, "a head of HTTP/1.1 that ends"
        self._request = head
        if has_ended or head.body == 0:
            request = context.writer.write(head, self.added_fields, context.default_host, b"")
            self._exchange.begin(head, request)
        else:
            self._exchange.begin_upload(head, b"")

    def receive(self, data: bytes, size: int) -> None:
        """Take a part of the body; `size` is what it takes of the windows, with its padding."""
        self._unread.append((data, size))
        self._deliver()

    def check_trailers(self, fields: Fields) -> None:
        """Look at the fields after the body, which go no further (RFC 9110, section 6.5.1)."""
        try:
            check_trailers(fields)
        except MalformedRequest as error:
            self._end_malformed(error)

    def end_request(self) -> None:
        """Note the end of the request."""
        self._has_request = True
        self._deliver()

    def cancel(self) -> None:
        """End: the client has reset the stream, or is gone."""
        if self._state is _EXCHANGING:
            self._exchange.abandon()
        self._close()

    def timed_out(self) -> None:
        """End the current wait."""
        if self._state is _EXCHANGING:
            self._exchange.timed_out(client_stalled=self.is_full)
        else:
            # It has not taken what is left of its response.
            self._context.counters.client["timeout"] += 1
            self._reset(ErrorCodes.CANCEL)

    def _deliver(self) -> None:
        """Pass on what has come of the body, as far as it is read."""
        if self._is_delivering:
            return
        self._is_delivering = True
        while self._unread and not self._is_paused:
            data, size = self._unread.popleft()
            if data and self._awaits_body:
                self._exchange.receive_body(chunk(data) if self._request.body == CHUNKED else data)
            self._connection.acknowledge(self.number, size)
        self._is_delivering = False
        if self._has_request and not self._unread and not self._is_paused and self._awaits_body:
            if self._request.body == CHUNKED:
                self._exchange.receive_body(LAST_CHUNK)
            else:
                # h2 compares the length with that of the content, but not where trailers end it.
                self._end_malformed(MalformedRequest("less content than Content-Length says"))

    @property
    def _awaits_body(self) -> bool:
        return self._state is _EXCHANGING and not self._exchange.request_done

    # Calls of the connection: the response.

    def send_some(self, endpoint: "Endpoint") -> bool:
        """Send the heads that wait, and one frame of content; return whether more may be sent."""
        for fields in self._interims:
            endpoint.send_headers(self.number, fields)
        self._interims.clear()
        content = self._content
        if self._head is not None:
            is_last = self._is_complete and not content
            endpoint.send_headers(self.number, self._head, end_stream=is_last)
            self._head = None
            if is_last:
                self._finish()
                return False
        if content or self._is_complete:
            # It is negative where settings of the client have shut it (RFC 9113, section 6.9.2).
            window = max(0, endpoint.local_flow_control_window(self.number))
            size = min(len(content), window, endpoint.max_outbound_frame_size, _FRAME_BYTES)
            if content and not size:
                self.hold()
                return False
            is_last = self._is_complete and size == len(content)
            endpoint.send_data(self.number, bytes(content[:size]), end_stream=is_last)
            del content[:size]
            if is_last:
                self._finish()
                return False
        if content:
            return True
        self._release()
        return False

    def hold(self) -> None:
        """Have the upstream wait: what is there cannot be sent yet."""
        if not self._is_held:
            self._is_held = True
            if self._state is _EXCHANGING:
                self._exchange.pause()

    def _release(self) -> None:
        if self._is_held:
            self._is_held = False
            if self._state is _EXCHANGING:
                self._exchange.resume()

    def _finish(self) -> None:
        """End, with the response sent; what is missing of the request is not wanted any more."""
        self._close()
        self._connection.response_ended(self, has_request=self._has_request)

    # Calls of the exchange.

    @property
    def is_full(self) -> bool:
        """Return whether the client does not read what is sent."""
        return self._is_held or self._connection.is_full

    def pause_reading(self) -> None:
        """Keep what comes of the body, and let the stream's window run out."""
        self._is_paused = True

    def resume_reading(self) -> None:
        """Pass the body on again, in another turn: as from a socket, it comes later than this call."""
        self._is_paused = False
        if self._unread or self._has_request:
            self._context.sends.loop.call_soon(self._deliver)

    def push_back(self, data: bytes) -> None:
        """Do nothing: no bytes follow a body on its stream."""

    def count_error(self, error: ProxyError) -> None:
        """Count an error of the client."""
        self._connection.count_error(error)

    def response_sent(self) -> None:
        """Note that the response is complete: it is sent as the client takes it."""
        self._state = _SENDING
        self.deadline = self._context.body_until

    def abort_response(self) -> None:
        """Reset in the middle of a response: that shows the client that it is incomplete."""
        self._reset(ErrorCodes.INTERNAL_ERROR)

    def send_interim(self, fields: Fields) -> None:
        """Send a 1xx response."""
        self._interims.append(fields)
        self._connection.wants_to_send(self)

    def send_head(self, fields: Fields) -> None:
        """Send the head of the final response."""
        self._head = fields
        self._connection.wants_to_send(self)

    def write(self, content: bytes) -> None:
        """Send content."""
        self._exchange.extend_deadline()
        self._content += content
        self._connection.wants_to_send(self)
        if self._connection.is_full:
            self.hold()

    def end(self) -> None:
        """Send the end of the response."""
        self._is_complete = True
        self._connection.wants_to_send(self)

    def sink(self) -> Transport | None:
        """Return that content must be copied: it goes in frames."""
        return None

    # Ends.

    def _reject(self, error: ProxyError) -> None:
        """Answer a request that the exchange does not get."""
        self.count_error(error)
        fields, content = own_response(error.status, error.reason)
        self.send_head(fields)
        self._content += content
        self.end()
        self.response_sent()

    def _end_malformed(self, error: ProxyError) -> None:
        """Reset the stream (RFC 9113, section 8.1.1); the others go on."""
        self.count_error(error)
        if self._state is _EXCHANGING and self._request is not NO_REQUEST:
            self._exchange.abandon()
        self._reset(ErrorCodes.PROTOCOL_ERROR)

    def _reset(self, code: ErrorCodes) -> None:
        self._close()
        self._connection.reset(self, code)

    def _close(self) -> None:
        self._state = _CLOSED
        self._content.clear()
        # The window of the connection is that of the other streams too.
        self._connection.acknowledge(self.number, sum(size for _, size in self._unread))
        self._unread.clear()
        # They must not keep each other alive: a long connection has many.
        del self._exchange
