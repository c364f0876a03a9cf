"""Servers for a proxy of many locations: `python -m backends.peers --kind fastcgi --listen HOST:PORT ...`.

Each address is counted apart; the protocol of all of them is one of KINDS, through TLS or not. What a
protocol answers is dialogue.py's and its kin's.
"""

import argparse
import asyncio
import ssl
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any, Final, cast

from backends.behaviours import Close, CloseKind, parse_close, pattern
from backends.connections import Connections
from backends.counters import Counters, summed
from backends.dialogue import Answer, DialogueError, Speaker
from backends.errors import MisuseError
from backends.listening import show
from backends.serving import Parser, Part, run

KINDS: Final = ("http", "h2", "fastcgi", "uwsgi", "scgi", "memcached")
_BODY: Final = pattern(2)


def speaker(kind: str) -> Callable[[bytes], Speaker]:
    """Return what makes one connection's side of a dialogue, given the body of each answer."""
    # Each is imported for its kind only: h2 costs more than all others together.
    if kind == "h2":
        from backends.http2 import Http2  # noqa: PLC0415

        return Http2
    from backends.fastcgi import FastCgi  # noqa: PLC0415
    from backends.gateways import Scgi, Uwsgi  # noqa: PLC0415
    from backends.memcached import Memcached  # noqa: PLC0415
    from backends.plain import Http1  # noqa: PLC0415

    known: dict[str, Callable[[bytes], Speaker]] = {
        "http": Http1,
        "fastcgi": FastCgi,
        "uwsgi": Uwsgi,
        "scgi": Scgi,
        "memcached": Memcached,
    }
    return known[kind]


class Peers:
    """What all connections share: how they speak and close, and the counters of each address."""

    def __init__(self, speaker: Callable[[bytes], Speaker], close: Close) -> None:
        self.close = close
        self.connections: Connections[Speaking] = Connections()
        self.by_listen: dict[str, Counters] = {}
        self._speaker = speaker

    def __call__(self) -> "Speaking":
        """Make the protocol of a new connection."""
        return Speaking(self, self._speaker(_BODY))

    def event(self, name: str) -> dict[str, object]:
        """Return the counters as the event `name`: the sum, then each address that was connected to."""
        still_open = _by_address(connection.listen for connection in self.connections)
        apart = {
            address: {**asdict(counters), "open": still_open.get(address, 0)}
            for address, counters in self.by_listen.items()
        }
        return {**summed(apart.values()).event(name), "by_listen": apart}

    async def drain(self, timeout_s: float) -> bool:
        """Close all connections: an answer goes out as soon as its request is whole."""
        for connection in self.connections:
            connection.transport.close()
        return await self.connections.gone(timeout_s)


def _by_address(addresses: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for address in addresses:
        found[address] = found.get(address, 0) + 1
    return found


class Speaking(asyncio.Protocol):
    """One connection. States: open, closing (input is ignored)."""

    transport: asyncio.Transport
    listen: str

    def __init__(self, peers: Peers, speaker: Speaker) -> None:
        self._peers = peers
        self._speaker = speaker
        self._closing = False
        self._peer_closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.listen = show(*transport.get_extra_info("sockname")[:2])
        self._counters = self._peers.by_listen.setdefault(self.listen, Counters())
        self._counters.accepted += 1
        self._peers.connections.add(self)
        if greeting := self._speaker.greeting():
            self.transport.write(greeting)

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        try:
            for answer in self._speaker.feed(data):
                self._send(answer)
        except DialogueError:
            self._counters.errors.protocol += 1
            self._closing = True
            self.transport.close()

    def _send(self, answer: Answer) -> None:
        self._counters.requests += answer.requests
        if answer.data:
            self.transport.write(answer.data)
        if not answer.stays:
            self._close_as_told()

    def _close_as_told(self) -> None:
        self._closing = True
        close = self._peers.close
        if close.kind is CloseKind.AT_ONCE:
            self.transport.close()
        elif close.kind is CloseKind.LINGER:
            asyncio.get_running_loop().call_later(close.linger_s, self.transport.close)

    def eof_received(self) -> None:
        # Returning None closes the transport, as in server.py.
        self._peer_closed = True

    def connection_lost(self, error: Exception | None) -> None:
        self._closing = True
        self._peers.connections.discard(self)
        self._counters.count_lost(error, peer_closed=self._peer_closed)


def _part(given: argparse.Namespace) -> Part:
    peers = Peers(speaker(given.kind), parse_close(given.close))

    async def make() -> Peers:
        return peers

    return Part(make, peers, _context(given.tls) if given.tls else None)


def _context(files: tuple[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(*files)
    except (OSError, ssl.SSLError) as error:
        raise MisuseError(f"--tls {' '.join(files)}: no certificate with its key: {error}") from error
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


def _parser() -> Parser:
    parser = Parser("backends.peers", "Servers that count each address apart.")
    add: Callable[..., Any] = parser.add_argument
    add("--kind", choices=KINDS, required=True, help="the protocol of all addresses")
    add("--close", default="at-once", metavar="HOW", help="when told to close: at-once, linger:MS or never")
    add("--tls", nargs=2, metavar=("CERT", "KEY"), help="speak TLS with this certificate")
    return parser


if __name__ == "__main__":
    sys.exit(run(_parser(), sys.argv[1:], _part))
