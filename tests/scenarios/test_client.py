"""A client of HTTP/1.1: its connections are kept or not, and come from where it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest

from bench.scenarios.client.event_stream import EventStream
from bench.scenarios.client.process import ClientControl
from bench.scenarios.client.requests import HttpCaller, RequestOptions
from tests import needs

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Script(asyncio.Protocol):
    """A connection that answers every request alike, and tells the test what it saw."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._seen.peers.append(transport.get_extra_info("peername")[0])

    def data_received(self, data: bytes) -> None:
        self._seen.requests.append(data)
        self._transport.write(self._seen.answer)
        if b"Connection: close" in data:
            self._transport.close()

    def eof_received(self) -> None:
        self._seen.closed_by_caller += 1


class Seen:
    """What a server is to answer, and what it saw."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.peers: list[str] = []
        self.requests: list[bytes] = []
        self.closed_by_caller = 0
        self.port = 0

    def caller(self, *, is_kept: bool, server_closes: bool = False, source: str | None = None) -> HttpCaller:
        return HttpCaller(RequestOptions(f"127.0.0.1:{self.port}", is_kept, server_closes, source))


@asynccontextmanager
async def served(answer: bytes = OK) -> AsyncIterator[Seen]:
    seen = Seen(answer)
    server = await asyncio.get_running_loop().create_server(lambda: Script(seen), "127.0.0.1", 0)
    seen.port = server.sockets[0].getsockname()[1]
    try:
        yield seen
    finally:
        server.close()


async def test_requests_share_a_connection_that_is_kept() -> None:
    async with served() as seen:
        caller = seen.caller(is_kept=True)
        answers = [await caller.request("GET", "/a"), await caller.request("POST", "/b", b"xyz")]
        caller.close()
    assert answers == [(200, b"ok")] * 2
    assert len(seen.peers) == 1
    assert seen.requests[1].endswith(b"Content-Length: 3\r\n\r\nxyz")


@pytest.mark.parametrize("server_closes", [False, True])
async def test_else_each_has_its_own(server_closes: bool) -> None:
    async with served() as seen:
        caller = seen.caller(is_kept=False, server_closes=server_closes)
        for _ in range(3):
            assert await caller.request("GET", "/") == (200, b"ok")
    assert len(seen.peers) == 3
    assert all((b"\r\nConnection: close\r\n" in request) is server_closes for request in seen.requests)


@needs.on_linux
async def test_a_connection_comes_from_the_address_that_is_told() -> None:
    async with served() as seen:
        caller = seen.caller(is_kept=True, source="127.0.0.2")
        await caller.request("GET", "/")
        caller.close()
    assert seen.peers == ["127.0.0.2"]


async def test_what_is_no_response_is_an_error_and_the_next_request_has_a_new_connection() -> None:
    async with served(b"NONSENSE\r\n\r\n") as seen:
        caller = seen.caller(is_kept=True)
        for _ in range(2):
            with pytest.raises(ConnectionError, match="no response"):
                await caller.request("GET", "/")
    assert len(seen.peers) == 2


async def test_a_server_that_is_not_there_is_an_error() -> None:
    async with served() as seen:
        pass
    with pytest.raises(ConnectionError):
        await seen.caller(is_kept=True).request("GET", "/")


def test_events_are_read_in_whatever_pieces_they_come() -> None:
    stream = EventStream()
    data = b"id: 1\ndata: 17 a\n\nid: 12\ndata: 18 b c\n\nid: 13\nda"
    events = [event for byte in data for event in stream.feed(bytes([byte]))]
    assert events == [(1, b"17 a"), (12, b"18 b c")]
    assert list(stream.feed(b"ta: x\n\n")) == [(13, b"x")]


async def test_work_that_is_stopped_is_cancelled_and_has_no_result() -> None:
    control, ended = ClientControl(), asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.set()

    running = asyncio.ensure_future(control.run_unless_stopped(work()))
    await asyncio.sleep(0)
    control.stopped.set()
    await running
    assert ended.is_set()


async def test_work_that_ends_by_itself_has_its_result_or_its_error() -> None:
    async def work(divisor: int) -> float:
        return 6 / divisor

    assert await ClientControl().run_unless_stopped(work(2)) == 3
    with pytest.raises(ZeroDivisionError):
        await ClientControl().run_unless_stopped(work(0))
