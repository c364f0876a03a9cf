"""`python -m bench.scenarios.migration.tcp`: the answer by SSE, WebSocket or polls, timed or not."""

from __future__ import annotations

import asyncio
import sys
from types import SimpleNamespace
from typing import Any

import aiohttp

from bench.scenarios.migration import clients
from bench.scenarios.migration.receipts import Receipts

_AGAIN_S = 0.05
"""Between two attempts to connect, while there is no network."""


class OverTcp:
    """Follows the answer over TCP; comes back where a connection ended, with what it has got so far."""

    def __init__(self, job: dict[str, Any], receipts: Receipts) -> None:
        kind, suffix, _ = job["variant"].partition("-timeout")
        self._follow = {"sse": self._events, "websocket": self._socket, "keep-alive": self._polls}[kind]
        self._timeout_s: float | None = job["timeout_s"] if suffix else None
        self._url = f"http://{job['address']}"
        self._source: str | None = job["old"] if job["binds"] else None
        self._binds: bool = job["binds"]
        self._receipts = receipts

    def moved(self, address: str) -> None:
        """Take note of the new address: whoever connects from now on does it from there."""
        if self._binds:
            self._source = address

    async def follow(self) -> None:
        """Follow until the answer is whole."""
        while not self._receipts.whole.is_set():
            try:
                async with self._session() as session:
                    await self._follow(session)
            except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
                self._receipts.ends.append(type(error).__name__)
                await asyncio.sleep(_AGAIN_S)

    def _session(self) -> aiohttp.ClientSession:
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(self._connected)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(local_addr=None if self._source is None else (self._source, 0)),
            timeout=aiohttp.ClientTimeout(total=None),
            trace_configs=[trace],
        )

    async def _connected(
        self,
        session: aiohttp.ClientSession,
        context: SimpleNamespace,
        params: aiohttp.TraceConnectionCreateEndParams,
    ) -> None:
        self._receipts.connections += 1

    async def _events(self, session: aiohttp.ClientSession) -> None:
        self._receipts.again()
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=self._timeout_s, sock_read=self._timeout_s)
        headers = {"Last-Event-ID": str(self._receipts.last)}
        async with session.get(f"{self._url}/events", headers=headers, timeout=timeout) as answer:
            answer.raise_for_status()
            async for data in answer.content.iter_any():
                self._receipts.feed(data)

    async def _socket(self, session: aiohttp.ClientSession) -> None:
        since = self._receipts.last
        async with session.ws_connect(
            f"{self._url}/socket?since={since}", heartbeat=self._timeout_s, compress=0
        ) as socket:
            async for frame in socket:
                if frame.type is not aiohttp.WSMsgType.TEXT:
                    break  # no pong came in time
                self._receipts.take(int(str(frame.data).partition(" ")[0]))
            if not self._receipts.whole.is_set():
                self._receipts.ends.append(f"close {socket.close_code}")

    async def _polls(self, session: aiohttp.ClientSession) -> None:
        timeout = aiohttp.ClientTimeout(total=self._timeout_s)
        while not self._receipts.whole.is_set():
            url = f"{self._url}/token?since={self._receipts.last}"
            async with session.get(url, timeout=timeout) as answer:
                answer.raise_for_status()
                for number in (await answer.text()).split():
                    self._receipts.take(int(number))


if __name__ == "__main__":
    sys.exit(clients.run(OverTcp))
