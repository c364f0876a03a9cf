"""A socket's transport keeps what asyncio promises, over a pair of sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from proxy.transport import Poller, SocketTransport


class Recorder(asyncio.Protocol):
    def __init__(self) -> None:
        self.received = b""
        self.ended = False
        self.keeps_open = False
        self.error: Exception | None = None
        self.lost = asyncio.Event()
        self.came = asyncio.Event()
        self.full = False

    def data_received(self, data: bytes) -> None:
        self.received += data
        self.came.set()

    def eof_received(self) -> bool:
        self.ended = True
        self.came.set()
        return self.keeps_open

    def connection_lost(self, exc: Exception | None) -> None:
        self.error = exc
        self.lost.set()

    def pause_writing(self) -> None:
        self.full = True

    def resume_writing(self) -> None:
        self.full = False
        self.came.set()


class Pair:
    """A transport, and the socket at its other end."""

    def __init__(self) -> None:
        self.poller = Poller(asyncio.get_running_loop())
        here, self.there = socket.socketpair()
        here.setblocking(False)
        self.there.setblocking(False)
        self.protocol = Recorder()
        self.transport = SocketTransport(self.poller, here, self.protocol)


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    pair = Pair()
    yield pair
    pair.transport.abort()
    pair.there.close()
    pair.poller.close()


async def read(pair: Pair, size: int) -> bytes:
    loop = asyncio.get_running_loop()
    data = b""
    while len(data) < size:
        data += await loop.sock_recv(pair.there, size - len(data))
    return data


async def test_bytes_both_ways(pair: Pair) -> None:
    pair.there.send(b"hello")
    await pair.protocol.came.wait()
    assert pair.protocol.received == b"hello"
    pair.transport.write(b"good")
    pair.transport.write(b"bye")
    assert pair.transport.get_write_buffer_size() == 7, "it leaves at the end of the turn"
    assert await read(pair, 7) == b"goodbye"
    assert pair.transport.get_write_buffer_size() == 0


async def test_what_has_come_in_is_read_before_anything_is_sent(pair: Pair) -> None:
    sizes: list[int] = []
    pair.protocol.data_received = lambda data: sizes.append(pair.transport.get_write_buffer_size())  # type: ignore[method-assign]
    pair.there.send(b"early")
    pair.transport.write(b"request")
    assert await read(pair, 7) == b"request"
    assert sizes == [7]


async def test_a_full_socket(pair: Pair) -> None:
    size = 8 << 20
    pair.transport.write(bytes(size))
    await asyncio.sleep(0)
    assert pair.protocol.full
    pair.transport.write(b"end")
    pair.transport.close()
    assert (await read(pair, size + 3))[-3:] == b"end", "closed only after what was to be sent"
    await pair.protocol.lost.wait()
    assert pair.protocol.error is None


async def test_reading_can_wait(pair: Pair) -> None:
    pair.transport.pause_reading()
    pair.there.send(b"hello")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert pair.protocol.received == b""
    pair.transport.resume_reading()
    await pair.protocol.came.wait()
    assert pair.protocol.received == b"hello"


@pytest.mark.parametrize("keeps_open", [False, True])
async def test_the_other_side_ends(keeps_open: bool, pair: Pair) -> None:
    pair.protocol.keeps_open = keeps_open
    pair.there.shutdown(socket.SHUT_WR)
    await pair.protocol.came.wait()
    assert pair.protocol.ended
    assert pair.transport.is_closing() is not keeps_open
    if keeps_open:
        pair.transport.write(b"last words")
        pair.transport.write_eof()
        assert await read(pair, 10) == b"last words"
        assert await asyncio.get_running_loop().sock_recv(pair.there, 1) == b""


async def test_a_broken_connection(pair: Pair) -> None:
    pair.there.close()
    pair.transport.pause_reading()
    pair.transport.write(b"x")
    await pair.protocol.lost.wait()
    assert pair.transport.is_closing()
    pair.transport.write(b"x")
    pair.transport.close()
    assert pair.transport.get_write_buffer_size() == 0
