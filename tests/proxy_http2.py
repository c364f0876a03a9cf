"""Clients of the proxy that speak HTTP/2: blocking sockets, whose frames h2 writes and reads."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
import hpack
from h2.settings import SettingCodes
from hyperframe.frame import Frame, GoAwayFrame, RstStreamFrame

from tests.proxy_process import ProxyProcess, Response

Field = tuple[str, str]
GET = [(":method", "GET"), (":scheme", "http"), (":authority", "localhost"), (":path", "/")]
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def fields_of(method: str = "GET", path: str = "/", *others: Field) -> list[Field]:
    """Return the fields of a request."""
    pseudo = {":method": method, ":scheme": "http", ":authority": "localhost", ":path": path}
    return [*pseudo.items(), *others]


@dataclass(slots=True)
class Answer:
    """What has come of one stream; `reset` is the code of a RST_STREAM."""

    interims: list[int] = field(default_factory=list)
    status: int = 0
    fields: dict[bytes, bytes] = field(default_factory=dict)
    content: bytes = b""
    frames: int = 0
    ended: bool = False
    reset: int | None = None

    @property
    def is_over(self) -> bool:
        return self.ended or self.reset is not None

    @property
    def response(self) -> Response:
        return Response(self.status, self.fields, self.content, self.ended, tuple(self.interims))


class _Connection(h2.connection.H2Connection):
    """Goes on after a GOAWAY, as RFC 9113, section 6.8, has it."""

    def _receive_goaway_frame(self, frame: Any) -> tuple[list[Any], list[h2.events.Event]]:
        event = h2.events.ConnectionTerminated()
        event.error_code, event.last_stream_id = frame.error_code, frame.last_stream_id
        return [], [event]


class Http2Client:
    """A connection with prior knowledge, or with TLS and ALPN; it has the `request` of an HTTP/1 client.

    Args:
        context: speak TLS.
        window: bytes that the proxy may send ahead on each stream, and on the connection.
        acknowledges: whether the windows are opened again by what has come.
    """

    def __init__(
        self,
        proxy: ProxyProcess,
        context: ssl.SSLContext | None = None,
        *,
        window: int = 65_535,
        acknowledges: bool = True,
    ) -> None:
        self.sock: socket.socket = proxy.connect()
        if context is not None:
            self.sock = context.wrap_socket(self.sock, server_hostname="127.0.0.1")
            assert isinstance(self.sock, ssl.SSLSocket)
            assert self.sock.selected_alpn_protocol() == "h2"
        self._acknowledges = acknowledges
        config = h2.config.H2Configuration(
            header_encoding=None,
            # What the proxy must refuse is sent as it is.
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        self.h2 = _Connection(config)
        self.h2.local_settings = h2.settings.Settings(
            initial_values={
                SettingCodes.ENABLE_PUSH: 0,
                SettingCodes.INITIAL_WINDOW_SIZE: min(window, 1 << 30),
            }
        )
        self.h2.initiate_connection()
        if window > 65_535:
            self.h2.increment_flow_control_window(window - 65_535)
        self.answers: dict[int, Answer] = {}
        self.goaway: h2.events.ConnectionTerminated | None = None
        self.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    # What is sent.

    def flush(self) -> None:
        self.sock.sendall(self.h2.data_to_send())

    def begin(self, fields: Sequence[Field] = GET, *, end: bool = True, waits: bool = False) -> int:
        """Send the head of a request, and its end; return the number of its stream.

        Args:
            waits: whether it is sent later, with what comes next.
        """
        number = self.h2.get_next_available_stream_id()
        self.h2.send_headers(number, fields, end_stream=end)
        self.answers[number] = Answer()
        if not waits:
            self.flush()
        return number

    def leave(self) -> None:
        """Send a GOAWAY, and go on with the streams that there are."""
        self.sock.sendall(GoAwayFrame(last_stream_id=0).serialize())

    def send(self, number: int, content: bytes, *, end: bool = False) -> None:
        """Send content, as the proxy lets it."""
        while content:
            size = min(
                len(content), self.h2.local_flow_control_window(number), self.h2.max_outbound_frame_size
            )
            if size:
                self.h2.send_data(number, content[:size])
                content = content[size:]
                self.flush()
            else:
                self.receive()
        if end:
            self.h2.end_stream(number)
            self.flush()

    # What comes.

    def receive(self) -> bool:
        """Take in what comes next; return False at the end of the connection."""
        try:
            data = self.sock.recv(65536)
        except ConnectionResetError:
            data = b""
        for event in self.h2.receive_data(data):
            self._take(event)
        if data:
            self.flush()
        return bool(data)

    def until(self, happened: Callable[[], object]) -> None:
        """Take in what comes until something has happened."""
        while not happened():
            assert self.receive(), "the proxy has closed"

    def read(self, number: int) -> Answer:
        """Return the answer of a stream when it is over."""
        self.until(lambda: self.answers[number].is_over)
        return self.answers[number]

    def request(self, target: str, method: str = "GET", fields: str = "", content: bytes = b"") -> Response:
        """Send a correct request, and return its response; `fields` are lines as in HTTP/1."""
        others = [
            (name.lower(), value.strip())
            for name, _, value in (line.partition(":") for line in fields.split("\r\n"))
            if name
        ]
        number = self.begin(fields_of(method, target, *others), end=not content)
        if content:
            self.send(number, content, end=True)
        return self.read(number).response

    def ended(self) -> bool:
        """Return whether the proxy ends the connection, whatever comes before."""
        while self.receive():
            pass
        return True

    def _take(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.ConnectionTerminated):
            self.goaway = event
            return
        answer = self.answers.get(getattr(event, "stream_id", None) or 0)
        if answer is None:
            return
        if isinstance(event, h2.events.InformationalResponseReceived):
            answer.interims.append(int(dict(event.headers)[b":status"]))
        elif isinstance(event, h2.events.ResponseReceived):
            answer.fields = {bytes(name): bytes(value) for name, value in event.headers}
            answer.status = int(answer.fields[b":status"])
        elif isinstance(event, h2.events.DataReceived):
            answer.content += event.data
            answer.frames += 1
            if self._acknowledges and event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            answer.ended = True
        elif isinstance(event, h2.events.StreamReset):
            answer.reset = int(event.error_code)


class RawClient:
    """A client whose frames a test writes itself: what h2 as a client would never send."""

    def __init__(
        self, proxy: ProxyProcess, begin: bytes = PREFACE + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
    ) -> None:
        self.sock = proxy.connect()
        self._unread = b""
        self.sock.sendall(begin)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def block(self, fields: Sequence[Field] = GET) -> bytes:
        """Return the block of a head; it refers to no other, so that their order does not matter."""
        return hpack.Encoder().encode(fields)

    def send(self, *frames: Frame) -> None:
        self.sock.sendall(b"".join(each.serialize() for each in frames))

    def read(self, *kinds: type[Frame]) -> Frame | None:
        """Return the next frame of these kinds; None if the connection ends before it comes."""
        while True:
            while (frame := self._whole()) is not None:
                if isinstance(frame, kinds):
                    return frame
            try:
                data = self.sock.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                return None
            self._unread += data

    def refusal(self) -> tuple[str, int] | None:
        """Return how the proxy refuses: `stream` or `connection`, and the code; None if it just closes."""
        frame = self.read(GoAwayFrame, RstStreamFrame)
        if frame is None:
            return None
        assert isinstance(frame, GoAwayFrame | RstStreamFrame)
        return "connection" if isinstance(frame, GoAwayFrame) else "stream", frame.error_code

    def _whole(self) -> Frame | None:
        if len(self._unread) < 9:
            return None
        frame, length = Frame.parse_frame_header(memoryview(self._unread[:9]))
        if len(self._unread) < 9 + length:
            return None
        frame.parse_body(memoryview(self._unread[9 : 9 + length]))
        self._unread = self._unread[9 + length :]
        return frame
