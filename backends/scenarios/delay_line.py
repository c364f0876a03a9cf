"""`python -m backends.scenarios.delay_line`: the network between two roles, late and with a gap.

It relays TCP and UDP. Everything arrives after a delay, in order. On the command `vanish` one address of the
clients ceases to exist: nothing that comes from it or goes to it is passed on any more, without notice.
"""

import argparse
import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from backends.role.backend import Backend, WrappingBackend
from backends.role.command_line import run_server, server_parser
from backends.role.counters import Counters
from backends.role.listening import parse_address

_DATAGRAM_BYTES = 65_536
_EARLY_S = 0.0005
"""How much too early a timer may be: uvloop's know milliseconds only."""


@dataclass(slots=True)
class LineCounters(Counters):
    """The counters of a delay line, besides those of all."""

    opened: int = 0
    """TCP connections to the other side that were established."""


class Network:
    """What all traffic of one line shares: the delay, and which address is gone."""

    def __init__(self, delay_s: float, vanishing: str | None) -> None:
        self.delay_s = delay_s
        self._vanishing = vanishing
        self._is_gone = False

    def vanish(self) -> None:
        """Make the address that was to vanish be gone from now on."""
        self._is_gone = True

    def reaches(self, address: str) -> bool:
        """Return whether anything from or to a client's address arrives."""
        return not (self._is_gone and address == self._vanishing)


class Delay:
    """Calls functions after a delay, in order."""

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._loop = asyncio.get_running_loop()
        self._due: deque[tuple[float, Callable[[], None]]] = deque()

    def __call__(self, act: Callable[[], None]) -> None:
        """Call `act` when the delay is over."""
        if self._delay_s == 0:
            act()
            return
        due_s = self._loop.time() + self._delay_s
        self._due.append((due_s, act))
        if len(self._due) == 1:
            self._loop.call_at(due_s, self._run)

    def _run(self) -> None:
        ready_s = self._loop.time() + _EARLY_S
        ready = []
        while self._due and self._due[0][0] <= ready_s:
            ready.append(self._due.popleft()[1])
        if self._due:
            self._loop.call_at(self._due[0][0], self._run)
        for act in ready:
            act()


class End(asyncio.Protocol):
    """One end of a relayed TCP connection; what it receives leaves through the other end, later."""

    def __init__(self, client: str, network: Network) -> None:
        self._client = client
        self._network = network
        self._delay = Delay(network.delay_s)
        self._early: list[Callable[[], None]] = []
        """What came before the other end was there."""
        self.other: End | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class

    def data_received(self, data: bytes) -> None:
        """Write the bytes at the other end."""
        self._pass(lambda: self._out().write(data))

    def eof_received(self) -> bool:
        """Send a FIN at the other end."""
        self._pass(lambda: self._out().write_eof())
        return True

    def connection_lost(self, error: Exception | None) -> None:
        """Close the other end."""
        self._pass(lambda: self._out().close())

    def joined(self, other: "End") -> None:
        """Pass on what has come before `other` was there."""
        self.other = other
        for act in self._early:
            self._delay(act)
        self._early.clear()

    def _pass(self, act: Callable[[], None]) -> None:
        if self._network.reaches(self._client):
            if self.other is None:
                self._early.append(act)
            else:
                self._delay(lambda: self._arrive(act))

    def _arrive(self, act: Callable[[], None]) -> None:
        if self._network.reaches(self._client) and not self._out().is_closing():
            act()

    def _out(self) -> asyncio.Transport:
        assert self.other is not None
        assert self.other.transport is not None
        return self.other.transport


class Entrance(End):
    """The clients' end: opens the other one when it is connected to."""

    def __init__(self, to: tuple[str, int], network: Network, counters: LineCounters) -> None:
        super().__init__("", network)
        self._to = to
        self._counters = counters
        self._opening: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Open the other end."""
        super().connection_made(transport)
        self._client = transport.get_extra_info("peername")[0]
        self._opening = asyncio.ensure_future(self._open())

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        exit_ = End(self._client, self._network)
        try:
            await loop.create_connection(lambda: exit_, *self._to)
        except OSError:
            # Behind this line, a server that refuses appears as one that hangs up.
            assert self.transport is not None
            self.transport.abort()
            return
        self._counters.opened += 1
        exit_.joined(self)
        self.joined(exit_)


class Datagrams(asyncio.DatagramProtocol):
    """The UDP port: a socket to the other side for each address and port that datagrams come from."""

    def __init__(self, to: tuple[str, int], network: Network) -> None:
        self._to = to
        self._network = network
        self._delay = Delay(network.delay_s)
        self._sockets: dict[Any, socket.socket] = {}
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Send the datagram to the other side."""
        if self._network.reaches(addr[0]):
            self._delay(lambda: self._send(data, addr))

    def _send(self, data: bytes, client: Any) -> None:
        if self._network.reaches(client[0]):
            with contextlib.suppress(ConnectionRefusedError):  # none listens, which UDP does not report
                self._socket(client).send(data)

    def _socket(self, client: Any) -> socket.socket:
        if client not in self._sockets:
            opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            opened.setblocking(False)
            if client[0].startswith("127."):  # all of them are ours: the server sees which one it was
                opened.bind((client[0], 0))
            opened.connect(self._to)
            self._sockets[client] = opened
            asyncio.get_running_loop().add_reader(opened, self._receive, opened, client)
        return self._sockets[client]

    def _receive(self, from_: socket.socket, client: Any) -> None:
        try:
            data = from_.recv(_DATAGRAM_BYTES)
        except (BlockingIOError, ConnectionRefusedError):
            return  # nothing there after all; or none listens, which UDP does not report
        if self._network.reaches(client[0]):
            self._delay(lambda: self._back(data, client))

    def _back(self, data: bytes, client: Any) -> None:
        assert self._transport is not None
        if self._network.reaches(client[0]):
            self._transport.sendto(data, client)


async def _make(given: argparse.Namespace) -> Backend:
    network, counters = Network(given.delay_ms / 1000, given.vanishing), LineCounters()
    loop, to = asyncio.get_running_loop(), parse_address(given.to)
    for each in given.listen:
        await loop.create_datagram_endpoint(lambda: Datagrams(to, network), parse_address(each))
    backend = WrappingBackend(lambda: Entrance(to, network, counters), counters)
    backend.commands = {"vanish": lambda _: network.vanish()}
    return backend


if __name__ == "__main__":
    parser = server_parser(
        "backends.scenarios.delay_line", "A network: what arrives is late, and an address may vanish."
    )
    parser.add_argument("--to", required=True, metavar="HOST:PORT", help="the other side")
    parser.add_argument("--delay-ms", type=float, default=0.0, metavar="MS", help="one way")
    parser.add_argument("--vanishing", metavar="HOST", help="the address that `vanish` is about")
    run_server(parser, _make)
