"""`python -m backends.streams`: a small server for HTTP/1.1 and HTTP/2 on one port, that counts streams.

HTTP/1.1 is parsed by httptools, HTTP/2 (known beforehand, without TLS) by h2. `/slow/MS` is answered after so
many milliseconds, everything else at once.
"""

import argparse
import asyncio
import sys
from collections import deque
from dataclasses import asdict, dataclass
from typing import Final, cast

import httptools
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

from backends.counters import Counters
from backends.role import Backend
from backends.serving import Parser, main
from backends.watched import WatchedServer

_PREFACE: Final = b"PRI * HTTP/2.0"
_STREAMS: Final = 1000
"""At a time on one connection: more than any trial asks for."""
_SLOW: Final = b"/slow/"
_FIELDS: Final = [(b"content-type", b"text/plain"), (b"server", b"bench"), (b"cache-control", b"no-store")]


@dataclass(slots=True)
class StreamCounters(Counters):
    """What such a server counts beside what all do."""

    http2: int = 0
    """Connections that spoke HTTP/2."""

    def event(self, name: str) -> dict[str, object]:
        """Return the counters as the event `name` of a backend."""
        return {"event": name, "role": "backend", **asdict(self)}


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
        self._turns: deque[list[bool]] = deque()
        """Whether each answer is due; the first must go before the others."""
        fields = b"".join(b"%s: %s\r\n" % each for each in [*_FIELDS, (b"content-length", b"%d" % len(body))])
        self._answer = b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n" + body

    def data_received(self, data: bytes) -> None:
        """Accept what came; ProtocolError where it is no HTTP."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            raise ProtocolError(str(error)) from error

    def on_url(self, url: bytes) -> None:
        """Accept a piece of the request's target."""
        self._path += url

    def on_message_complete(self) -> None:
        """Answer the request that is whole, or lets it wait for its time."""
        self._counters.requests += 1
        wait_s, self._path = slow_s(self._path), b""
        turn = [False]
        self._turns.append(turn)
        closes = not self._parser.should_keep_alive()
        if wait_s:
            asyncio.get_running_loop().call_later(wait_s, self._due, turn, closes)
        else:
            self._due(turn, closes)

    def _due(self, turn: list[bool], closes: bool) -> None:
        turn[0] = True
        while self._turns and self._turns[0][0]:
            self._turns.popleft()
            self._transport.write(self._answer)
        if closes and not self._turns:
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
        """Accept what came; ProtocolError where it is no HTTP/2."""
        for event in self._h2.receive_data(data):
            if isinstance(event, RequestReceived):
                self._asked(event)
        self._flush()

    def _asked(self, event: RequestReceived) -> None:
        self._counters.requests += 1
        assert event.headers is not None
        assert event.stream_id is not None
        wait_s = slow_s(dict(event.headers)[b":path"])
        if wait_s:
            asyncio.get_running_loop().call_later(wait_s, self._late, event.stream_id)
        else:
            self._answer(event.stream_id)

    def _late(self, stream: int) -> None:
        if not self._transport.is_closing():
            self._answer(stream)
            self._flush()

    def _answer(self, stream: int) -> None:
        self._h2.send_headers(stream, self._fields)
        self._h2.send_data(stream, self._body, end_stream=True)

    def _flush(self) -> None:
        self._transport.write(self._h2.data_to_send())


class Connection(asyncio.Protocol):
    """One connection; its first bytes say what it speaks."""

    def __init__(self, body: bytes, counters: StreamCounters) -> None:
        self._body = body
        self._counters = counters
        self._first = b""
        self._speaks: OverHttp1 | OverHttp2 | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        if self._speaks is None:
            self._first += data
            if len(self._first) < len(_PREFACE):
                return
            data, is_http2 = self._first, self._first.startswith(_PREFACE)
            speaks = OverHttp2 if is_http2 else OverHttp1
            self._speaks = speaks(self._transport, self._body, self._counters)
        try:
            self._speaks.data_received(data)
        except ProtocolError:
            self._counters.errors.protocol += 1
            self._transport.close()


async def _make(given: argparse.Namespace, counters: Counters) -> Backend:
    assert isinstance(counters, StreamCounters)
    body = b"x" * given.body
    return WatchedServer(lambda: Connection(body, counters), counters)


def _parser() -> Parser:
    parser = Parser("backends.streams", "A small server for HTTP/1.1 and HTTP/2 on one port.")
    parser.add_argument("--body", type=int, default=128, metavar="BYTES", help="of each answer")
    return parser


if __name__ == "__main__":
    sys.exit(main(_parser(), sys.argv[1:], _make, StreamCounters()))
