"""`python -m backends.rpc`: a provider of remote calls, as Dubbo: each is answered when it is done.

`--ordered` answers the calls of a connection in their order, as an HTTP/1.1 server does.
"""

import argparse
import asyncio
import sys
from collections import deque
from typing import cast

from backends.calls import Call, CallError, Reader, answer
from backends.connections import Connections
from backends.counters import Counters
from backends.role import Backend
from backends.serving import Parser, main


class Provider:
    """Makes the protocols of new connections."""

    def __init__(self, counters: Counters, is_ordered: bool) -> None:
        self.counters = counters
        self.is_ordered = is_ordered
        self.connections: Connections[Connection] = Connections()

    def __call__(self) -> "Connection":
        """Make the protocol of a new connection."""
        return Connection(self)

    async def drain(self, timeout_s: float) -> bool:
        """Close every connection; return whether all went in time."""
        for connection in self.connections:
            connection.close()
        return await self.connections.gone(timeout_s)


class Connection(asyncio.Protocol):
    """One consumer's connection. In order, calls wait for the one before them; else none waits."""

    _transport: asyncio.Transport

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._reader = Reader()
        self._waiting: deque[Call] = deque()
        self._is_busy = False
        self._peer_closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._provider.counters.accepted += 1
        self._provider.connections.add(self)

    def data_received(self, data: bytes) -> None:
        try:
            for call in self._reader.feed(data):
                self._take(call)
        except CallError:
            self._provider.counters.errors.protocol += 1
            self._transport.close()

    def eof_received(self) -> None:
        self._peer_closed = True

    def connection_lost(self, error: Exception | None) -> None:
        self._provider.connections.discard(self)
        self._provider.counters.count_lost(error, peer_closed=self._peer_closed)

    def close(self) -> None:
        """Close the connection, whatever is under way."""
        self._transport.close()

    def _take(self, call: Call) -> None:
        if self._is_busy:
            self._waiting.append(call)
        elif call.takes_ms == 0:
            self._answer(call)
        else:
            self._is_busy = self._provider.is_ordered
            asyncio.get_running_loop().call_later(call.takes_ms / 1000, self._done, call)

    def _done(self, call: Call) -> None:
        self._answer(call)
        self._is_busy = False
        while self._waiting and not self._is_busy:
            self._take(self._waiting.popleft())

    def _answer(self, call: Call) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer(call))
            self._provider.counters.requests += 1


async def _make(given: argparse.Namespace, counters: Counters) -> Backend:
    return Provider(counters, given.ordered)


def _parser() -> Parser:
    parser = Parser("backends.rpc", "A provider of remote calls, as Dubbo.")
    parser.add_argument("--ordered", action="store_true", help="answer the calls of a connection in order")
    return parser


if __name__ == "__main__":
    sys.exit(main(_parser(), sys.argv[1:], _make))
