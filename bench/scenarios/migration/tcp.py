"""Follows the answer over TCP: by SSE, WebSocket or polls, with a time-out or without."""

import asyncio
from types import SimpleNamespace
from typing import Any

import aiohttp

from bench.scenarios.client.session import open_session
from bench.scenarios.migration.clients import TokenReceiver

_AGAIN_S = 0.05
"""Between two attempts to connect, while there is no network."""


class TcpFollower:
    """Follows the answer over TCP; connects again where a connection ended, and goes on from what it has."""

    def __init__(self, job: dict[str, Any], receiver: TokenReceiver) -> None:
        kind, suffix, _ = job["variant"].partition("-timeout")
        self._follow = {"sse": self._events, "websocket": self._socket, "keep-alive": self._polls}[kind]
        self._timeout_s: float | None = job["timeout_s"] if suffix else None
        self._url = f"http://{job['address']}"
        self._source: str | None = job["old"] if job["binds"] else None
        self._binds: bool = job["binds"]
        self._receiver = receiver

    def move(self, address: str) -> None:
        """Connect from the new address from now on."""
        if self._binds:
            self._source = address

    async def follow(self) -> None:
        """Follow until the answer is whole."""
        while not self._receiver.whole.is_set():
            try:
                async with self._session() as session:
                    await self._follow(session)
            except (aiohttp.ClientError, OSError):  # TimeoutError is an OSError
                await asyncio.sleep(_AGAIN_S)

    def _session(self) -> aiohttp.ClientSession:
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(self._connected)
        source = None if self._source is None else (self._source, 0)
        return open_session(connector=aiohttp.TCPConnector(local_addr=source), trace_configs=[trace])

    async def _connected(
        self,
        session: aiohttp.ClientSession,
        context: SimpleNamespace,
        params: aiohttp.TraceConnectionCreateEndParams,
    ) -> None:
        self._receiver.connections += 1

    async def _events(self, session: aiohttp.ClientSession) -> None:
        self._receiver.restart()
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=self._timeout_s, sock_read=self._timeout_s)
        headers = {"Last-Event-ID": str(self._receiver.last)}
        async with session.get(f"{self._url}/events", headers=headers, timeout=timeout) as response:
            response.raise_for_status()
            async for data in response.content.iter_any():
                self._receiver.feed(data)

    async def _socket(self, session: aiohttp.ClientSession) -> None:
        url = f"{self._url}/socket?since={self._receiver.last}"
        async with session.ws_connect(url, heartbeat=self._timeout_s, compress=0) as socket:
            async for frame in socket:
                if frame.type is not aiohttp.WSMsgType.TEXT:
                    break  # no pong came in time
                self._receiver.receive(int(str(frame.data).partition(" ")[0]))

    async def _polls(self, session: aiohttp.ClientSession) -> None:
        timeout = aiohttp.ClientTimeout(total=self._timeout_s)
        while not self._receiver.whole.is_set():
            url = f"{self._url}/token?since={self._receiver.last}"
            async with session.get(url, timeout=timeout) as response:
                response.raise_for_status()
                for number in (await response.text()).split():
                    self._receiver.receive(int(number))
