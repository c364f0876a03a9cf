"""HTTP/2 as servers of gRPC and of plain responses speak it; the framing is h2's.

Whether a response is gRPC is the request's affair: its content type decides.
"""

from collections.abc import Iterator
from typing import cast

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

from backends.protocols.behaviour import Behaviour
from backends.protocols.responder import PeerError, Responder, Response

# A gRPC message: not compressed, empty (gRPC over HTTP2, "Length-Prefixed-Message").
_EMPTY_MESSAGE = bytes(5)


_PREFACE = 24  # bytes of a client's connection preface (RFC 9113, section 3.4)
_FRAME_HEAD, _LONGEST_FRAME = 9, 1 << 14  # sections 4.1 and 4.2


class FrameLengths:
    """Finds a frame that is too long as soon as its head is there; h2 waits for all of it."""

    def __init__(self) -> None:
        self._skipped = _PREFACE
        self._head = b""

    def check(self, data: bytes) -> None:
        """Raise PeerError where the bytes of a client hold the head of a frame that is too long."""
        while data:
            passed = min(self._skipped, len(data))
            self._skipped -= passed
            missing = _FRAME_HEAD - len(self._head)
            self._head += data[passed : passed + missing]
            data = data[passed + missing :]
            if len(self._head) == _FRAME_HEAD:
                self._skipped, self._head = int.from_bytes(self._head[:3], "big"), b""
                if self._skipped > _LONGEST_FRAME:
                    raise PeerError("a frame is too long: this is no HTTP/2")


class Http2(Responder):
    """Answers each stream when its request has ended; the connection stays."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        self._connection = h2.connection.H2Connection(config)
        self._lengths = FrameLengths()
        self._fields: dict[int, dict[str, str]] = {}

    def greeting(self) -> bytes:
        """Return the server's preface."""
        self._connection.initiate_connection()
        return bytes(self._connection.data_to_send())

    def feed(self, data: bytes) -> Iterator[Response]:
        """Yield one response with all that is to be sent now."""
        self._lengths.check(data)
        try:
            answered = sum(self._take(event) for event in self._connection.receive_data(data))
        except h2.exceptions.ProtocolError as error:
            raise PeerError(str(error)) from error
        yield Response(bytes(self._connection.data_to_send()), requests=answered)

    def _take(self, event: h2.events.Event) -> int:
        """Deal with one event; return how many requests it answered."""
        if isinstance(event, h2.events.RequestReceived):
            fields = cast(list[tuple[str, str]], event.headers)  # decoded: header_encoding
            self._fields[event.stream_id] = dict(fields)
        elif isinstance(event, h2.events.DataReceived):
            self._connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self._respond(event.stream_id)
            return 1
        elif isinstance(event, h2.events.StreamReset):
            self._fields.pop(event.stream_id, None)
        return 0

    def _respond(self, stream: int) -> None:
        connection, fields = self._connection, self._fields.pop(stream, {})
        if fields.get("content-type", "").startswith("application/grpc"):
            connection.send_headers(stream, [(":status", "200"), ("content-type", "application/grpc")])
            connection.send_data(stream, _EMPTY_MESSAGE)
            connection.send_headers(stream, [("grpc-status", "0")], end_stream=True)
            return
        status, body = self._behaviour.status, self._behaviour.content
        length = [] if status == 204 else [("content-length", str(len(body)))]
        shown = b"" if fields.get(":method") == "HEAD" else body
        ends = not shown and self._behaviour.ends == "head"
        connection.send_headers(stream, [(":status", str(status)), *length], end_stream=ends)
        if not ends:
            connection.send_data(stream, shown, end_stream=True)

    def goaway(self) -> bytes:
        """Return a GOAWAY for what is no HTTP/2 (RFC 9113, section 6.8)."""
        self._connection.close_connection(h2.errors.ErrorCodes.FRAME_SIZE_ERROR)
        return bytes(self._connection.data_to_send())

    def ping(self) -> bytes:
        """Return a PING (RFC 9113, section 6.7)."""
        self._connection.ping(bytes(8))
        return bytes(self._connection.data_to_send())
