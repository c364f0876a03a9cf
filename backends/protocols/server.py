"""`python -m backends.protocols.server`: servers that speak one protocol and count each address apart.

They stand behind a proxy of many locations (`bench prove`), with TLS or without. What a protocol responds is
responder.py's and its kin's.
"""

import argparse
import asyncio
import importlib
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, cast

from backends.protocols.responder import PeerError, Responder, Response
from backends.role.backend import Backend, CountedConnection
from backends.role.closing import Close, CloseKind, parse_close
from backends.role.command_line import run_server, server_parser
from backends.role.counters import Counters, sum_counters
from backends.role.errors import MisuseError
from backends.role.listening import format_address

_RESPONDERS = {
    "http": "http1.Http1",
    "h2": "http2.Http2",
    "fastcgi": "fastcgi.FastCgi",
    "uwsgi": "uwsgi_scgi.Uwsgi",
    "scgi": "uwsgi_scgi.Scgi",
    "memcached": "memcached.Memcached",
}
KINDS = tuple(_RESPONDERS)
_BODY = b" !"  # what the HTTP backend responds by default

MakeResponder = Callable[[bytes], Responder]
"""Makes one connection's side of a protocol, given the body of each response."""


def responder(kind: str) -> MakeResponder:
    """Return what makes the responders of a protocol."""
    # Each is imported for its kind only: h2 costs more than all others together.
    module, _, name = _RESPONDERS[kind].partition(".")
    return cast(MakeResponder, getattr(importlib.import_module(f"backends.protocols.{module}"), name))


class ProtocolServer(Backend):
    """What all connections share: how they respond and close, and the counters of each address."""

    def __init__(self, make_responder: MakeResponder, close: Close, tls: ssl.SSLContext | None) -> None:
        super().__init__(Counters())
        self.close = close
        self.tls = tls
        self.by_listen: dict[str, Counters] = {}
        self._make_responder = make_responder

    def __call__(self) -> "ResponderConnection":
        """Make the protocol of a new connection."""
        return ResponderConnection(self, self._make_responder(_BODY))

    def event(self, name: str) -> dict[str, object]:
        """Return the counters as the event `name`: the sum, then each address that was connected to."""
        still_open = Counter(connection.listen for connection in self.connections)
        apart = {
            address: {**asdict(counters), "open": still_open[address]}
            for address, counters in self.by_listen.items()
        }
        return {**sum_counters(apart.values()).event(name), "by_listen": apart}


class ResponderConnection(CountedConnection):
    """One connection. States: open, closing (input is ignored)."""

    listen: str

    def __init__(self, server: ProtocolServer, responder: Responder) -> None:
        super().__init__(server)
        self._server = server
        self._responder = responder
        self._is_closing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection on its address, and greet."""
        self.listen = format_address(*transport.get_extra_info("sockname")[:2])
        self.counters = self._server.by_listen.setdefault(self.listen, Counters())
        super().connection_made(transport)
        if greeting := self._responder.greeting():
            self.transport.write(greeting)

    def data_received(self, data: bytes) -> None:
        """Respond to what is whole."""
        if self._is_closing:
            return
        try:
            for response in self._responder.feed(data):
                self._send(response)
        except PeerError:
            self.counters.errors.protocol += 1
            self._is_closing = True
            self.transport.close()

    def _send(self, response: Response) -> None:
        self.counters.requests += response.requests
        if response.data:
            self.transport.write(response.data)
        if not response.stays:
            self._close_as_configured()

    def _close_as_configured(self) -> None:
        self._is_closing = True
        close = self._server.close
        if close.kind is CloseKind.AT_ONCE:
            self.transport.close()
        elif close.kind is CloseKind.LINGER:
            asyncio.get_running_loop().call_later(close.linger_s, self.transport.close)

    def connection_lost(self, error: Exception | None) -> None:
        """Count how the connection ended."""
        self._is_closing = True
        super().connection_lost(error)


async def _make(given: argparse.Namespace) -> ProtocolServer:
    tls = _context(given.tls) if given.tls else None
    return ProtocolServer(responder(given.kind), parse_close(given.close), tls)


def _context(files: tuple[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(*files)
    except (OSError, ssl.SSLError) as error:
        raise MisuseError(f"--tls {' '.join(files)}: no certificate with its key: {error}") from error
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


if __name__ == "__main__":
    parser = server_parser("backends.protocols.server", "Servers that count each address apart.")
    add: Callable[..., Any] = parser.add_argument
    add("--kind", choices=KINDS, required=True, help="the protocol of all addresses")
    add("--close", default="at-once", metavar="HOW", help="after a last answer: at-once, linger:MS or never")
    add("--tls", nargs=2, metavar=("CERT", "KEY"), help="speak TLS with this certificate")
    run_server(parser, _make)
