"""How a consumer reaches its provider: a connection for each call, a pool of them, or one for all calls."""

import asyncio
import struct
from collections.abc import Iterable, Sequence
from itertools import cycle
from typing import Protocol

from bench.scenarios.client import requests
from bench.scenarios.client.requests import TcpConnection

_HEADER = struct.Struct(">HBBQI")
_ARGUMENTS = struct.Struct(">II")
_MAGIC, _TWO_WAY_REQUEST, _OK = 0xDABB, 0xC2, 20
"""Dubbo's framing (backends/scenarios/rpc/server.py), with the number of Hessian among the flags."""


class CallChannel(Protocol):
    """The connections of a consumer to its provider."""

    async def call(self, takes_ms: int, answer_bytes: int) -> None:
        """Call, and wait for the whole answer; OSError where it cannot be had."""


class DubboConnection(TcpConnection):
    """One connection, a channel of any number of calls under way. States: open, closed."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._pending: dict[int, tuple[asyncio.Future[None], int]] = {}
        self._last = 0

    async def call(self, takes_ms: int, answer_bytes: int) -> None:
        """Call besides the others."""
        await self.send(takes_ms, answer_bytes)

    def send(self, takes_ms: int, answer_bytes: int) -> asyncio.Future[None]:
        """Call; the future ends with the whole answer. ConnectionError where the connection ends."""
        if self._transport.is_closing():
            raise ConnectionError("the connection has ended")
        self._last += 1
        waiting = asyncio.get_running_loop().create_future()
        self._pending[self._last] = (waiting, answer_bytes)
        head = _HEADER.pack(_MAGIC, _TWO_WAY_REQUEST, 0, self._last, _ARGUMENTS.size)
        self._transport.write(head + _ARGUMENTS.pack(takes_ms, answer_bytes))
        return waiting

    def data_received(self, data: bytes) -> None:
        """Complete the calls whose answers are whole."""
        buffer = self._buffer
        buffer += data
        at = 0
        while len(buffer) - at >= _HEADER.size:
            magic, _, status, number, length = _HEADER.unpack_from(buffer, at)
            end = at + _HEADER.size + length
            if len(buffer) < end:
                break
            self._complete(number, magic == _MAGIC and status == _OK, length)
            at = end
        if at:
            del buffer[:at]

    def connection_lost(self, error: Exception | None) -> None:
        """Fail the calls that wait."""
        waiting, self._pending = self._pending, {}
        for future, _ in waiting.values():
            if not future.done():
                future.set_exception(ConnectionError("the connection ended before the answer came"))

    def _complete(self, number: int, is_good: bool, length: int) -> None:
        future, expected = self._pending.pop(number, (None, 0))
        is_good = is_good and future is not None and length == expected
        if not is_good:
            self.close()  # the end of the connection fails the other calls
        if future is not None and not future.done():
            if is_good:
                future.set_result(None)
            else:
                future.set_exception(ConnectionError("the answer is not the one that was called for"))


class ShortChannel:
    """A new connection for each call, from each of the addresses in turn; the consumer closes it."""

    def __init__(self, address: str, sources: Sequence[str]) -> None:
        self._address = address
        self._sources = cycle(sources or [None])

    async def call(self, takes_ms: int, answer_bytes: int) -> None:
        """Connect, call, and close."""
        connection = await requests.connect(DubboConnection, self._address, next(self._sources))
        try:
            await connection.send(takes_ms, answer_bytes)
        finally:
            connection.close()


class PoolChannel:
    """Connections that carry one call at a time; a call that finds none waits, first come first served."""

    def __init__(self, connections: Iterable[DubboConnection]) -> None:
        self._idle: asyncio.Queue[DubboConnection] = asyncio.Queue()
        for connection in connections:
            self._idle.put_nowait(connection)

    async def call(self, takes_ms: int, answer_bytes: int) -> None:
        """Wait for a connection, call on it, and pass it on."""
        connection = await self._idle.get()
        try:
            await connection.send(takes_ms, answer_bytes)
        finally:
            self._idle.put_nowait(connection)


async def open_channel(variant: str, address: str, sources: Sequence[str], pool: int) -> CallChannel:
    """Return the channel of a variant, its lasting connections made; OSError where they cannot be."""
    kind = variant.partition("-")[0]
    if kind == "short":
        return ShortChannel(address, sources)
    count = pool if kind == "pool" else 1
    connections = [await requests.connect(DubboConnection, address) for _ in range(count)]
    return PoolChannel(connections) if kind == "pool" else connections[0]
