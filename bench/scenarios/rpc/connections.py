"""How a consumer reaches its provider: a connection for each call, a pool of them, or one for all calls."""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from collections.abc import Sequence
from itertools import cycle
from typing import Protocol, cast

from bench.scenarios.client import requests

_HEADER = struct.Struct(">HBBQI")
_WISH = struct.Struct(">II")
_MAGIC, _TWO_WAY_REQUEST, _OK = 0xDABB, 0xC2, 20
"""Dubbo's framing (backends/scenarios/rpc/server.py), with the number of Hessian among the flags."""


class Reach(Protocol):
    """A way to the provider."""

    async def call(self, takes_ms: int, answer_bytes: int) -> None:
        """Call, and wait for the whole answer; OSError where it cannot be had."""


class Wire(asyncio.Protocol):
    """One connection, with any number of calls under way. States: open, closed."""

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._waiting: dict[int, tuple[asyncio.Future[None], int]] = {}
        self._last = 0

    def send(self, takes_ms: int, answer_bytes: int) -> asyncio.Future[None]:
        """Call; the future ends with the whole answer. ConnectionError where the connection ends."""
        if self._transport.is_closing():
            raise ConnectionError("the connection has ended")
        self._last += 1
        waiting = asyncio.get_running_loop().create_future()
        self._waiting[self._last] = (waiting, answer_bytes)
        head = _HEADER.pack(_MAGIC, _TWO_WAY_REQUEST, 0, self._last, _WISH.size)
        self._transport.write(head + _WISH.pack(takes_ms, answer_bytes))
        return waiting

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        at = 0
        while len(buffer) - at >= _HEADER.size:
            magic, _, status, number, length = _HEADER.unpack_from(buffer, at)
            end = at + _HEADER.size + length
            if len(buffer) < end:
                break
            self._answered(number, magic == _MAGIC and status == _OK, length)
            at = end
        if at:
            del buffer[:at]

    def connection_lost(self, error: Exception | None) -> None:
        waiting, self._waiting = self._waiting, {}
        for future, _ in waiting.values():
            if not future.done():
                future.set_exception(ConnectionError("the connection ended before the answer came"))

    def _answered(self, number: int, is_good: bool, length: int) -> None:
        future, expected = self._waiting.pop(number, (None, 0))
        is_good = is_good and future is not None and length == expected
        if not is_good:
            self.close()  # whoever else waits is told by the end of the connection
        if future is not None and not future.done():
            if is_good:
                future.set_result(None)
            else:
                future.set_exception(ConnectionError("the answer is not the one that was called for"))


class Short:
    """A new connection for each call, from each of the addresses in turn; the consumer closes it."""

    def __init__(self, address: str, sources: Sequence[str]) -> None:
        self._host, _, port = address.rpartition(":")
        self._port = int(port)
        self._sources = cycle(sources or [None])

    async def call(self, takes_ms: int, answer_bytes: int) -> None:
        """Connect, call, and close."""
        wire = await requests.connect(Wire, self._host, self._port, next(self._sources))
        try:
            await wire.send(takes_ms, answer_bytes)
        finally:
            wire.close()


class Pool:
    """Connections that carry one call at a time; who finds none waits, first come first served."""

    def __init__(self, wires: Sequence[Wire]) -> None:
        self._idle = deque(wires)
        self._waiting: deque[asyncio.Future[Wire]] = deque()

    async def call(self, takes_ms: int, answer_bytes: int) -> None:
        """Wait for a connection, call on it, and hand it on."""
        wire = self._idle.popleft() if self._idle else await self._wait()
        try:
            await wire.send(takes_ms, answer_bytes)
        finally:
            self._hand_on(wire)

    def _wait(self) -> asyncio.Future[Wire]:
        waiting: asyncio.Future[Wire] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        return waiting

    def _hand_on(self, wire: Wire) -> None:
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(wire)
                return
        self._idle.append(wire)


class Multiplexed:
    """One connection that carries all calls at once."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def call(self, takes_ms: int, answer_bytes: int) -> None:
        """Call beside the others."""
        await self._wire.send(takes_ms, answer_bytes)


async def reach(variant: str, address: str, sources: Sequence[str], pool: int) -> Reach:
    """Return the way called `way`, its lasting connections made; OSError where they cannot be."""
    kind = variant.partition("-")[0]
    if kind == "short":
        return Short(address, sources)
    host, _, port = address.rpartition(":")
    count = pool if kind == "pool" else 1
    wires = [await requests.connect(Wire, host, int(port)) for _ in range(count)]
    return Pool(wires) if kind == "pool" else Multiplexed(wires[0])
