"""A caller by HTTP/1.1: its connections are kept or not, and come from where it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest

import needs
from bench.scenarios.client.requests import Caller, Manner

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

    def caller(self, *, is_kept: bool, server_closes: bool = False, source: str | None = None) -> Caller:
        return Caller(Manner("127.0.0.1", self.port, is_kept, server_closes, source))


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
        answers = [await caller.ask("GET", "/a"), await caller.ask("POST", "/b", b"xyz")]
        caller.close()
    assert answers == [(200, b"ok")] * 2
    assert len(seen.peers) == 1
    assert seen.requests[1].endswith(b"Content-Length: 3\r\n\r\nxyz")


@pytest.mark.parametrize("server_closes", [False, True])
async def test_else_each_has_its_own(server_closes: bool) -> None:
    async with served() as seen:
        caller = seen.caller(is_kept=False, server_closes=server_closes)
        for _ in range(3):
            assert await caller.ask("GET", "/") == (200, b"ok")
    assert len(seen.peers) == 3
    assert all((b"\r\nConnection: close\r\n" in request) is server_closes for request in seen.requests)


@needs.on_linux
async def test_a_connection_comes_from_the_address_that_is_told() -> None:
    async with served() as seen:
        caller = seen.caller(is_kept=True, source="127.0.0.2")
        await caller.ask("GET", "/")
        caller.close()
    assert seen.peers == ["127.0.0.2"]


async def test_what_is_no_response_is_an_error_and_the_next_request_has_a_new_connection() -> None:
    async with served(b"NONSENSE\r\n\r\n") as seen:
        caller = seen.caller(is_kept=True)
        for _ in range(2):
            with pytest.raises(ConnectionError, match="no response"):
                await caller.ask("GET", "/")
    assert len(seen.peers) == 2


async def test_a_server_that_is_not_there_is_an_error() -> None:
    async with served() as seen:
        pass
    with pytest.raises(ConnectionError):
        await seen.caller(is_kept=True).ask("GET", "/")
