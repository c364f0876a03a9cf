"""The answer over HTTP/3 (RFC 9114), by aioquic: a server on the UDP port of the same number."""

import asyncio
from typing import Any

from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.asyncio.server import serve
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import ConnectionTerminated, ProtocolNegotiated, QuicEvent

from backends.protocols import sse
from backends.role.listening import parse_address
from backends.scenarios.tokens.answer import TokenAnswer, TokenCounters


class TokenConnection(QuicConnectionProtocol):
    """One QUIC connection: each request on it is answered with the stream of tokens."""

    def __init__(
        self, quic: QuicConnection, answer: TokenAnswer, counters: TokenCounters, **more: Any
    ) -> None:
        super().__init__(quic, **more)
        self._answer = answer
        self._counters = counters
        self._http: H3Connection | None = None
        self._sending: set[asyncio.Task[None]] = set()
        counters.quic += 1

    def datagram_received(self, data: bytes | str, addr: Any) -> None:
        """Read a datagram, from wherever it comes: the connection id assigns it to this connection."""
        self._counters.paths.add((addr[0], addr[1]))
        super().datagram_received(data, addr)

    def quic_event_received(self, event: QuicEvent) -> None:
        """Answer requests; stop with the connection."""
        if isinstance(event, ProtocolNegotiated):
            self._http = H3Connection(self._quic)
        elif isinstance(event, ConnectionTerminated):
            for task in self._sending:
                task.cancel()
        if self._http is not None:
            for received in self._http.handle_event(event):
                if isinstance(received, HeadersReceived):
                    self._begin(received)

    def _begin(self, request: HeadersReceived) -> None:
        self._counters.requests += 1
        headers = dict(request.headers)
        last = int(headers.get(b"last-event-id", b"0"))
        task = asyncio.ensure_future(self._send(request.stream_id, last))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send(self, stream_id: int, last: int) -> None:
        http = self._http
        assert http is not None, "a request comes after the protocol was agreed on"
        http.send_headers(stream_id, [(b":status", b"200"), (b"content-type", b"text/event-stream")])
        async for batch in self._answer.batches(last):
            data = b"".join(sse.format_event(*token) for token in batch)
            http.send_data(stream_id, data, end_stream=False)
            self.transmit()
        http.send_data(stream_id, b"", end_stream=True)
        self.transmit()


async def listen(
    address: str, certificate: str, key: str, answer: TokenAnswer, counters: TokenCounters
) -> None:
    """Listen for QUIC on HOST:PORT."""
    configuration = QuicConfiguration(is_client=False, alpn_protocols=H3_ALPN)
    configuration.load_cert_chain(certificate, key)
    host, port = parse_address(address)

    def protocol(quic: QuicConnection, **more: Any) -> TokenConnection:
        return TokenConnection(quic, answer, counters, **more)

    await serve(host, port, configuration=configuration, create_protocol=protocol)
