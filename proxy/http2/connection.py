"""One client connection that speaks HTTP/2: passes events of h2 to its streams, and sends what they have.

What the streams send goes out at the end of a turn of the event loop, a frame of each in turn.
"""

import asyncio
import contextlib
from collections import OrderedDict

from h2 import events
from h2.errors import ErrorCodes
from h2.exceptions import DenialOfServiceError, ProtocolError, StreamClosedError

from proxy.errors import ProxyError
from proxy.http2.budget import BYTE_GAIN, Budget, useful_bytes
from proxy.http2.endpoint import MAX_STREAMS, STREAM_WINDOW, Endpoint
from proxy.http2.stream import Stream
from proxy.transport import Transport
from proxy.worker_context import LINGER_BYTES, WorkerContext

_SEND_BYTES = 64 * 1024
"""What is written at once: beyond it the kernel is asked whether the client still reads."""
_OPEN = "it serves streams"
_LEAVING = "it serves the streams that there are: one side has sent a GOAWAY"
_LINGERING = "the last frame is written; further input is discarded"
_CLOSED = "the transport is gone"


class Http2Connection(asyncio.Protocol):
    """The streams of one client.

    Attributes:
        added_fields: fields that are added to each request.
    """

    __slots__ = (
        "_budget", "_context", "_deadline", "_endpoint", "_is_flush_due", "_lingered_bytes", "_out",
        "_senders", "_state", "_streams", "added_fields", "transport",
    )  # fmt: skip

    transport: Transport

    def __init__(self, context: WorkerContext, address: str) -> None:
        self._context = context
        self._endpoint = Endpoint(context.limits.head_bytes)
        self._streams: dict[int, Stream] = {}
        self._senders: OrderedDict[Stream, None] = OrderedDict()
        """Those with something to send, in turn."""
        self._budget = Budget(context.now)
        self._out = bytearray()
        self._lingered_bytes = 0
        self._is_flush_due = False
        self._state = _OPEN
        self._deadline = context.idle_until
        self.added_fields = context.writer.added_fields(address, b"2.0")

    @property
    def deadline(self) -> float:
        """Return when the next wait of a stream times out, or that of a connection without streams."""
        if not self._streams:
            return self._deadline
        return min([each.deadline for each in self._streams.values()])

    @property
    def owes_request(self) -> bool:
        """Return whether the client may be missed: there are streams."""
        return bool(self._streams)

    @property
    def is_full(self) -> bool:
        """Return whether the client does not read what is sent."""
        return self.transport.is_full

    # Calls of the transport.

    def attach(self, transport: Transport) -> None:
        """Register the connection; end it if there are too many."""
        self.transport = transport
        if self._context.add_client(self):
            self._wants_flush()
        else:
            self._context.counters.count_client_error(503)
            self._end(ErrorCodes.NO_ERROR, "too many clients")

    def data_received(self, data: bytes) -> None:
        """Pass on what the frames say."""
        if self._has_ended:
            self._lingered_bytes += len(data)
            if self._lingered_bytes > LINGER_BYTES:
                self.transport.abort()
            return
        try:
            received = self._endpoint.receive_data(data)
        except ProtocolError as error:
            self._fail(error)
            return
        self._spend(len(data) - sum(map(useful_bytes, received)))
        for event in received:
            if self._has_ended:
                return
            self._handle(event)
        self._wants_flush()

    def eof_received(self) -> bool:
        """Close: a client that sends nothing any more opens no windows either."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Abandon the streams and unregister the connection."""
        self._state = _CLOSED
        self._cancel_all()
        self._context.remove_client(self)

    def pause_writing(self) -> None:
        """Read no more: each frame may need an answer, which the client does not read."""
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """Read again, and send what waits."""
        self.transport.resume_reading()
        self._wants_flush()

    # Events of h2.

    def _handle(self, event: events.Event) -> None:
        if isinstance(event, events.RequestReceived):
            self._open_stream(event)
        elif isinstance(event, events.DataReceived):
            self._receive(event)
        elif isinstance(event, events.StreamEnded):
            if (stream := self._streams.get(event.stream_id)) is not None:
                stream.end_request()
        elif isinstance(event, events.WindowUpdated):
            self._update_window(event.stream_id or 0)
        else:
            self._handle_rare(event)

    def _handle_rare(self, event: events.Event) -> None:
        if isinstance(event, events.StreamReset):
            self._cancel(event.stream_id)
        elif isinstance(event, events.TrailersReceived):
            if (stream := self._streams.get(event.stream_id)) is not None:
                stream.check_trailers(event.headers)
        elif isinstance(event, events.RemoteSettingsChanged):
            self._endpoint.bound_table()
            # The initial window changes those of all streams.
            self._update_window(0)
        elif isinstance(event, events.ConnectionTerminated):
            self._leave(event)

    def _open_stream(self, event: events.RequestReceived) -> None:
        number = event.stream_id
        if self._state is not _OPEN or len(self._streams) >= MAX_STREAMS:
            # RFC 9113, sections 5.1.2 and 8.7: nothing was done for it, so that the client may repeat it.
            self._write_reset(number, ErrorCodes.REFUSED_STREAM)
            self._lose()
            return
        stream = self._streams[number] = Stream(self._context, self, number)
        stream.begin(event.headers, has_ended=event.stream_ended is not None)

    def _receive(self, event: events.DataReceived) -> None:
        size = event.flow_controlled_length
        stream = self._streams.get(event.stream_id)
        if stream is None:
            self.acknowledge(event.stream_id, size)
        else:
            stream.receive(event.data, size)

    def _cancel(self, number: int) -> None:
        """End a stream that the client has reset, or that h2 has for an error of the client."""
        self._lose()
        if (stream := self._streams.get(number)) is not None:
            self._forget(stream)
            stream.cancel()

    def _update_window(self, number: int) -> None:
        """Send what a larger window of a stream allows; 0: of the connection."""
        if number == 0:
            self._senders.update(dict.fromkeys(self._streams.values()))
        elif (stream := self._streams.get(number)) is not None:
            self._senders[stream] = None

    def _leave(self, event: events.ConnectionTerminated) -> None:
        """Note a GOAWAY of the client: the streams that there are go on, unless it has failed."""
        if event.error_code:
            self.transport.abort()
        elif self._state is _OPEN:
            self._state = _LEAVING

    # Calls of the streams.

    def wants_to_send(self, stream: Stream) -> None:
        """Send what `stream` has, at the end of this turn."""
        self._senders[stream] = None
        self._wants_flush()

    def acknowledge(self, number: int, size: int) -> None:
        """Let the client send as much again as was taken of the stream's body."""
        if size and not self._has_ended:
            self._endpoint.acknowledge_received_data(size, number)
            self._wants_flush()

    def response_ended(self, stream: Stream, *, has_request: bool) -> None:
        """Forget a stream whose response is sent; what is missing of its request is not wanted any more."""
        self._budget.complete()
        if not has_request:
            # RFC 9113, section 8.1.
            self._write_reset(stream.number, ErrorCodes.NO_ERROR)
        self._forget(stream)

    def reset(self, stream: Stream, code: ErrorCodes) -> None:
        """End a stream with an error."""
        self._write_reset(stream.number, code)
        self._forget(stream)
        if code is ErrorCodes.PROTOCOL_ERROR:
            self._lose()

    def count_error(self, error: ProxyError) -> None:
        """Count an error of the client."""
        self._context.counters.count_client_error(error.status)

    def _write_reset(self, number: int, code: ErrorCodes) -> None:
        if self._has_ended:
            return
        # It raises where the client has ended the stream as well.
        with contextlib.suppress(StreamClosedError):
            self._endpoint.reset_stream(number, code)
        # Content may be on its way.
        self._budget.allow(STREAM_WINDOW)
        self._wants_flush()

    def _forget(self, stream: Stream) -> None:
        self._streams.pop(stream.number, None)
        self._senders.pop(stream, None)
        if not self._streams:
            self._deadline = self._context.idle_until
            if self._state is _LEAVING:
                self._wants_flush()

    # Output.

    def _wants_flush(self) -> None:
        if not self._is_flush_due:
            self._is_flush_due = True
            self._context.sends.loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Send what the streams have, as far as the client reads it and its windows allow."""
        self._is_flush_due = False
        if self._has_ended:
            return
        senders, endpoint = self._senders, self._endpoint
        while senders and not self.transport.is_full:
            stream, _ = senders.popitem(last=False)
            if stream.send_some(endpoint):
                senders[stream] = None
            self._out += endpoint.data_to_send()
            if len(self._out) >= _SEND_BYTES:
                self._send_out()
        self._out += endpoint.data_to_send()
        self._send_out()
        self._end_if_unused()

    def _send_out(self) -> None:
        out, self._out = self._out, bytearray()
        self._budget.earn(len(out) * BYTE_GAIN)
        if out:
            self.transport.send(out)

    # Limits, and ends of the connection.

    @property
    def _has_ended(self) -> bool:
        return self._state is _LINGERING or self._state is _CLOSED

    def _spend(self, size: float) -> None:
        """Charge bytes that the client has sent for nothing; a negative size is given back."""
        if size < 0:
            self._budget.earn(-size)
        elif not self._budget.spend(size, self._context.now):
            self._calm("too many frames that carry nothing")

    def _lose(self) -> None:
        """Charge a stream that has ended without a response by the client's doing."""
        if not self._budget.lose(self._context.now):
            self._calm("too many streams without a response")

    def _calm(self, reason: str) -> None:
        if not self._has_ended:
            self._context.counters.count_client_error(400)
            self._end(ErrorCodes.ENHANCE_YOUR_CALM, reason)

    def _fail(self, error: ProtocolError) -> None:
        """End for an error of the client; h2 has written the GOAWAY."""
        is_too_long = isinstance(error, DenialOfServiceError)
        self._context.counters.count_client_error(431 if is_too_long else 400)
        self._linger()

    def timed_out(self) -> None:
        """End the waits that have taken too long."""
        if self._has_ended:
            self.transport.abort()
        elif not self._streams:
            self._end(ErrorCodes.NO_ERROR, "idle")
        else:
            now = self._context.now
            for stream in [each for each in self._streams.values() if each.deadline <= now]:
                stream.timed_out()

    def drain(self) -> None:
        """Accept no more streams, and close after those that there are."""
        if self._state is _OPEN:
            self._state = _LEAVING
            self._endpoint.announce_end(ErrorCodes.NO_ERROR)
            self._wants_flush()

    def _end_if_unused(self) -> None:
        if self._state is _LEAVING and not self._streams:
            self._linger()

    def _end(self, code: ErrorCodes, reason: str) -> None:
        """Send a GOAWAY and close; the streams that there are end with it."""
        self._endpoint.announce_end(code, reason)
        self._linger()

    def _linger(self) -> None:
        """Shut down the sending side and read on for a while: unread bytes would cause a reset."""
        self._out += self._endpoint.data_to_send()
        self._send_out()
        self._state = _LINGERING
        self._cancel_all()
        context = self._context
        self._deadline = context.body_until if self.transport.unsent else context.linger_until
        if not self.transport.is_closing:
            self.transport.write_eof()
        self.transport.resume_reading()

    def _cancel_all(self) -> None:
        streams = list(self._streams.values())
        self._streams.clear()
        self._senders.clear()
        for stream in streams:
            stream.cancel()
