"""The answer over HTTP/3 (RFC 9114), by aioquic: a server on the UDP port of the same number.

What the answer is tokens.py says; who tells it over TCP is answer.py.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.asyncio.server import serve
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import ConnectionTerminated, ProtocolNegotiated, QuicEvent

from backends.options import parse_address
from backends.tokens import Answer, AnswerCounters
from backends.tokens import event as as_event


class Told(QuicConnectionProtocol):
    """One QUIC connection: each request on it is answered with the stream of tokens."""

    def __init__(self, quic: QuicConnection, answer: Answer, counters: AnswerCounters, **more: Any) -> None:
        super().__init__(quic, **more)
        self._answer = answer
        self._counters = counters
        self._http: H3Connection | None = None
        self._telling: set[asyncio.Task[None]] = set()
        counters.quic += 1

    def datagram_received(self, data: bytes | str, addr: Any) -> None:
        """Accept a datagram, from wherever it comes: the connection id says that it is this one's."""
        self._counters.seen.add((addr[0], addr[1]))
        super().datagram_received(data, addr)

    def quic_event_received(self, event: QuicEvent) -> None:
        """Answer requests; stops with the connection."""
        if isinstance(event, ProtocolNegotiated):
            self._http = H3Connection(self._quic)
        elif isinstance(event, ConnectionTerminated):
            for task in self._telling:
                task.cancel()
        if self._http is not None:
            for received in self._http.handle_event(event):
                if isinstance(received, HeadersReceived):
                    self._begin(received)

    def _begin(self, request: HeadersReceived) -> None:
        self._counters.requests += 1
        headers = dict(request.headers)
        last = int(headers.get(b"last-event-id", b"0"))
        task = asyncio.ensure_future(self._tell(request.stream_id, last))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell(self, stream_id: int, last: int) -> None:
        http = self._http
        assert http is not None, "a request comes after the protocol was agreed on"
        http.send_headers(stream_id, [(b":status", b"200"), (b"content-type", b"text/event-stream")])
        while numbers := await self._answer.after(last):
            http.send_data(stream_id, b"".join(map(as_event, numbers)), end_stream=False)
            self.transmit()
            last = numbers[-1]
        http.send_data(stream_id, b"", end_stream=True)
        self.transmit()


async def listen(address: str, certificate: str, key: str, answer: Answer, counters: AnswerCounters) -> None:
    """Listen for QUIC on HOST:PORT."""
    configuration = QuicConfiguration(is_client=False, alpn_protocols=H3_ALPN)
    configuration.load_cert_chain(certificate, key)
    host, port = parse_address(address)

    def protocol(quic: QuicConnection, **more: Any) -> Told:
        return Told(quic, answer, counters, **more)

    await serve(host, port, configuration=configuration, create_protocol=protocol)
