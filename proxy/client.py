"""One client connection: reads requests in order, has the exchange answer each, and closes."""

import asyncio
import re

from proxy import forwarding
from proxy.errors import ClientProtocolError, ProxyError
from proxy.http1_exchange import Http1Exchange
from proxy.http11.chunked import find_end
from proxy.http11.grammar import CHUNKED
from proxy.http11.partial import PartialLines
from proxy.http11.request import SIMPLE, match_request, read_request
from proxy.transport import Transport
from proxy.worker_context import LINGER_BYTES, WorkerContext

_IDLE = "waiting for a request; none of its bytes have arrived"
_READING = "a part of a request head has arrived, or all of it"
_EXCHANGING = "the exchange has the request and owes the response"
_LINGERING = "the last response is sent; further input is discarded"
_CLOSED = "nothing more is read or written here; a tunnel may own the transport"


class ClientConnection(asyncio.Protocol):
    """Reads requests and passes them to the exchange in order.

    Attributes:
        added_fields: fields that are added to each of its requests.
        close_after_response: whether the connection ends with the current response.
        is_half_closed: whether the client has closed its side: it waits for the response, or is gone.
        deadline: when the current wait times out, on the clock of the sweep.

    `_buffer[_at:]` is what has arrived beyond the current request.
    """

    __slots__ = (
        "_at", "_buffer", "_context", "_exchange", "_lingered_bytes", "_partial", "_skipped_bytes", "_state",
        "added_fields", "close_after_response", "deadline", "is_half_closed", "transport",
    )  # fmt: skip

    transport: Transport

    def __init__(self, context: WorkerContext, address: str) -> None:
        self._context = context
        self._exchange = Http1Exchange(context, self)
        self._state = _IDLE
        self._buffer = b""
        self._at = 0
        self._partial: PartialLines | None = None
        self._lingered_bytes = 0
        self._skipped_bytes = 0
        self.added_fields = context.writer.added_fields(address)
        self.close_after_response = False
        self.is_half_closed = False
        self.deadline = context.idle_until

    @property
    def owes_request(self) -> bool:
        """Return whether a part of a request is awaited."""
        return self._state is _READING or (self._state is _EXCHANGING and not self._exchange.request_done)

    @property
    def is_full(self) -> bool:
        """Return whether the client does not read what is sent."""
        return self.transport.is_full

    # Calls of the transport.

    def attach(self, transport: Transport) -> None:
        """Register the connection; reject it if there are too many."""
        self.transport = transport
        if not self._context.add_client(self):
            self._reject(ProxyError("too many clients", 503))

    def data_received(self, data: bytes) -> None:
        """Route received bytes by state: a request, a body, or bytes to discard."""
        state = self._state
        if state is _IDLE and not self.transport.is_full:
            # Most requests arrive alone and complete, with nothing special about them.
            match = match_request(data)
            if match is not None and match.lastindex == SIMPLE:
                simple = self._context.writer.write_simple(match, data, self.added_fields)
                if simple is not None:
                    self._state = _EXCHANGING
                    self._exchange.begin(*simple)
                    return
            self._read_request(data, 0, match)
        elif state is _READING and not self.transport.is_full and not self._buffer:
            if self._partial is not None:
                whole = self._partial.add(data)
                if whole is None:
                    return
                self._partial = None
                data = whole
            self._read_request(data, 0, match_request(data))
        elif state is _EXCHANGING and not self._exchange.request_done:
            self._exchange.receive_body(data)
        elif state is _LINGERING:
            self._lingered_bytes += len(data)
            if self._lingered_bytes > LINGER_BYTES:
                self.transport.abort()
        elif state is not _CLOSED:
            # Pipelined requests wait until the response is sent, and no more of them are read.
            if self._partial is not None:
                self._buffer = self._partial.data
                self._partial = None
            self._buffer = self._buffer[self._at :] + data
            self._at = 0
            self.pause_reading()

    def eof_received(self) -> bool:
        """Handle the client's FIN; return whether the transport stays open for a response."""
        if self._state is _READING and self._buffer:
            self.is_half_closed = True
            return True
        if self._state is not _EXCHANGING or not self._exchange.request_done:
            return False
        # RFC 9112, section 9.6: a client may close its side and still wait for the response. One that is gone
        # looks the same until data is sent to it, hence the shorter deadline.
        self.is_half_closed = True
        self.close_after_response = self.close_after_response or not self._buffer
        self.deadline = min(self.deadline, self._context.half_closed_until)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Abandon the current exchange and unregister the connection."""
        if self._state is _EXCHANGING:
            self._exchange.abandon()
        self._state = _CLOSED
        self._context.remove_client(self)

    def pause_writing(self) -> None:
        """Pause the response: the client does not read."""
        if self._state is _EXCHANGING:
            self._exchange.pause()

    def resume_writing(self) -> None:
        """Resume the response, or read the next request."""
        if self._state is _EXCHANGING:
            self._exchange.resume()
        else:
            self._next_request()

    # Reading requests.

    def _read_request(self, data: bytes, start: int, match: re.Match[bytes] | None) -> None:
        """Read the request at `start`; what comes after it is stored."""
        context = self._context
        try:
            head = read_request(data, context.limits, start, match)
        except ClientProtocolError as error:
            self._reject(error)
            return
        if head is None:
            self._await_head(data[start:] if start else data)
            return
        self._state = _EXCHANGING
        self._skipped_bytes = 0
        end = head.end
        size = len(data)
        body = head.body
        if body == CHUNKED and not context.writer.to_http10 and (after := find_end(data, end)) >= 0:
            body = after - end
        if 0 <= body <= min(context.limits.collected_bytes, context.limits.body_bytes) and end + body <= size:
            content = data[end : end + body]
            end += body
            if end < size:
                self._buffer = data
                self._at = end
            self.close_after_response = (
                not head.keep_alive or context.draining or (self.is_half_closed and end == size)
            )
            request = context.writer.write(head, self.added_fields, context.default_host, content)
            self._exchange.begin(head, request)
        elif self.is_half_closed:
            self.transport.close()
        else:
            self.close_after_response = not head.keep_alive or context.draining
            self._exchange.begin_upload(head, data[end:])

    def _await_head(self, data: bytes) -> None:
        """Store the start of a head until more of it arrives."""
        if self.is_half_closed:
            self.transport.close()
            return
        # RFC 9112, section 2.2: empty lines before a request are ignored. A CR may be the start of one more.
        head = data.lstrip(b"\r\n") or data[len(data) // 2 * 2 :]
        self._skipped_bytes += len(data) - len(head)
        if self._skipped_bytes >= self._context.limits.head_bytes:
            self._reject(ClientProtocolError("too many empty lines before a request"))
            return
        if not head:
            return
        self._partial = PartialLines(head, self._context.limits.head_bytes)
        if self._state is _IDLE:
            self._state = _READING
            self.deadline = self._context.head_until

    def _next_request(self) -> None:
        if self._state in (_IDLE, _READING) and not self.transport.is_full:
            data, start = self._buffer, self._at
            self._buffer = b""
            self._at = 0
            if data:
                self._read_request(data, start, match_request(data, start))
            if not self._buffer:
                self.resume_reading()

    # Calls of the exchange.

    def push_back(self, data: bytes) -> None:
        """Store the bytes after the end of a request body."""
        self._buffer = data
        self._at = 0

    def response_sent(self) -> None:
        """Start the next request, or close."""
        if self.close_after_response:
            if self._buffer or not self._exchange.request_done:
                self._linger()
            else:
                self._state = _CLOSED
                self.transport.close()
        elif self._buffer:
            self._state = _READING
            self.deadline = self._context.head_until
            # Deferred: a long pipeline must neither recurse nor keep the others waiting.
            self._context.sends.loop.call_soon(self._next_request)
        else:
            self._state = _IDLE
            self.deadline = self._context.idle_until
            if not self.transport.is_reading and not self.transport.is_full:
                self.resume_reading()

    def abort_response(self) -> None:
        """Reset in the middle of a response: only that shows the client that it is incomplete."""
        self._state = _CLOSED
        self.transport.abort()

    def detach(self) -> tuple[Transport, bytes]:
        """Return the transport and the bytes received so far to the new owner."""
        self._state = _CLOSED
        early_data, self._buffer = self._buffer[self._at :], b""
        self.resume_reading()
        self._context.remove_client(self)
        return self.transport, early_data

    def count_error(self, error: ProxyError) -> None:
        """Count a client error; the connection cannot be trusted and closes after the response."""
        self._context.counters.count_client_error(error.status)
        self.close_after_response = True

    def pause_reading(self) -> None:
        """Stop reading from the client."""
        self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Read from the client again."""
        self.transport.resume_reading()

    # Ends of the connection.

    def timed_out(self) -> None:
        """End the current wait."""
        if self._state is _READING:
            self._reject(ProxyError("the head took too long", 408))
        elif self._state is _EXCHANGING:
            self._exchange.timed_out(client_stalled=self.transport.is_full)
        else:
            self.transport.abort()

    def drain(self) -> None:
        """Close now if idle, else after the current exchange."""
        if self._state is _IDLE:
            self._state = _CLOSED
            self.transport.close()
        else:
            self.close_after_response = True

    def _reject(self, error: ProxyError) -> None:
        """Send an error response outside of any exchange, then close."""
        self.count_error(error)
        response = forwarding.proxy_response(error.status, error.reason, keep_alive=False, with_body=True)
        self.transport.write(response)
        self._linger()

    def _linger(self) -> None:
        """Shut down the sending side and read on for a while: unread bytes would cause a reset."""
        self._state = _LINGERING
        self._buffer = b""
        self._partial = None
        context = self._context
        self.deadline = context.body_until if self.transport.unsent else context.linger_until
        if not self.transport.is_closing:
            self.transport.write_eof()
        self.resume_reading()
