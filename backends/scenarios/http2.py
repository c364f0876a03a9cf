"""`python -m backends.scenarios.http2`: a small server for HTTP/1.1 and HTTP/2 on one port.

HTTP/1.1 is parsed by httptools, HTTP/2 (with prior knowledge, without TLS) by h2. `/slow/MS` is answered
after so many milliseconds, everything else at once.
"""

import argparse
import asyncio
from collections import deque
from dataclasses import dataclass

import httptools
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

from backends.role.backend import Backend, CountedConnection
from backends.role.command_line import run_server, server_parser
from backends.role.counters import Counters

_PREFACE = b"PRI * HTTP/2.0"
_STREAMS = 1000
"""At a time on one connection: more than any trial needs."""
_SLOW = b"/slow/"
_FIELDS = [(b"content-type", b"text/plain"), (b"server", b"bench"), (b"cache-control", b"no-store")]


@dataclass(slots=True)
class StreamCounters(Counters):
    """The counters of such a server, besides those of all."""

    http2: int = 0
    """Connections that spoke HTTP/2."""


def slow_s(path: bytes) -> float:
    """Return after how long a path is answered."""
    text = path.partition(b"?")[0].removeprefix(_SLOW)
    return int(text) / 1000 if path.startswith(_SLOW) and text.isdigit() else 0.0


class OverHttp1:
    """One connection that speaks HTTP/1.1; answers in the order of the requests."""

    def __init__(self, transport: asyncio.Transport, body: bytes, counters: StreamCounters) -> None:
        self._transport = transport
        self._counters = counters
        self._parser = httptools.HttpRequestParser(self)
        self._path = b""
        self._answers: deque[list[bool]] = deque()
        """Whether each answer is due, in the order of the requests."""
        fields = b"".join(b"%s: %s\r\n" % each for each in [*_FIELDS, (b"content-length", b"%d" % len(body))])
        self._answer = b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n" + body

    def data_received(self, data: bytes) -> None:
        """Read bytes as they come; ProtocolError where they are no HTTP."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            raise ProtocolError(str(error)) from error

    def on_url(self, url: bytes) -> None:
        """Collect a piece of the request's target."""
        self._path += url

    def on_message_complete(self) -> None:
        """Answer the request that is whole, or at its time."""
        self._counters.requests += 1
        wait_s, self._path = slow_s(self._path), b""
        due = [False]
        self._answers.append(due)
        closes = not self._parser.should_keep_alive()
        if wait_s:
            asyncio.get_running_loop().call_later(wait_s, self._due, due, closes)
        else:
            self._due(due, closes)

    def _due(self, due: list[bool], closes: bool) -> None:
        due[0] = True
        while self._answers and self._answers[0][0]:
            self._answers.popleft()
            self._transport.write(self._answer)
        if closes and not self._answers:
            self._transport.close()


class OverHttp2:
    """One connection that speaks HTTP/2; answers each stream when it is due."""

    def __init__(self, transport: asyncio.Transport, body: bytes, counters: StreamCounters) -> None:
        self._transport = transport
        self._counters = counters
        self._body = body
        self._fields = [(b":status", b"200"), *_FIELDS, (b"content-length", b"%d" % len(body))]
        self._h2 = H2Connection(
            H2Configuration(
                client_side=False,
                header_encoding=None,
                validate_inbound_headers=False,
                normalize_inbound_headers=False,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        streams = {SettingCodes.MAX_CONCURRENT_STREAMS: _STREAMS}
        self._h2.local_settings = Settings(client=False, initial_values=streams)
        self._h2.initiate_connection()
        counters.http2 += 1

    def data_received(self, data: bytes) -> None:
        """Read bytes as they come; ProtocolError where they are no HTTP/2."""
        for event in self._h2.receive_data(data):
            if isinstance(event, RequestReceived):
                self._receive(event)
        self._flush()

    def _receive(self, event: RequestReceived) -> None:
        self._counters.requests += 1
        assert event.headers is not None
        assert event.stream_id is not None
        wait_s = slow_s(dict(event.headers)[b":path"])
        if wait_s:
            asyncio.get_running_loop().call_later(wait_s, self._answer_late, event.stream_id)
        else:
            self._answer(event.stream_id)

    def _answer_late(self, stream: int) -> None:
        if not self._transport.is_closing():
            self._answer(stream)
            self._flush()

    def _answer(self, stream: int) -> None:
        self._h2.send_headers(stream, self._fields)
        self._h2.send_data(stream, self._body, end_stream=True)

    def _flush(self) -> None:
        self._transport.write(self._h2.data_to_send())


class SniffingConnection(CountedConnection):
    """One connection; its first bytes decide which version it speaks."""

    def __init__(self, backend: Backend, body: bytes, counters: StreamCounters) -> None:
        super().__init__(backend)
        self._body = body
        self._stream_counters = counters
        self._first = b""
        self._version: OverHttp1 | OverHttp2 | None = None

    def data_received(self, data: bytes) -> None:
        """Pass bytes on to the version that the first ones announced."""
        if self._version is None:
            self._first += data
            if len(self._first) < len(_PREFACE):
                return
            data, is_http2 = self._first, self._first.startswith(_PREFACE)
            version = OverHttp2 if is_http2 else OverHttp1
            self._version = version(self.transport, self._body, self._stream_counters)
        try:
            self._version.data_received(data)
        except ProtocolError:
            self.counters.errors.protocol += 1
            self.transport.close()


async def _make(given: argparse.Namespace) -> Backend:
    body, counters = b"x" * given.response_size, StreamCounters()
    return Backend(counters, lambda backend: SniffingConnection(backend, body, counters))


if __name__ == "__main__":
    parser = server_parser("backends.scenarios.http2", "A small server for HTTP/1.1 and HTTP/2 on one port.")
    parser.add_argument("--response-size", type=int, default=128, metavar="BYTES", help="of each answer")
    run_server(parser, _make)
