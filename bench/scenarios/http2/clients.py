"""`python -m bench.scenarios.http2.clients`: many ask at a time, each in the job's way."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic_ns
from typing import Any

from bench.scenarios.client import process
from bench.scenarios.client.process import Control, Go, Times
from bench.scenarios.http2.connections import Bytes, Connection, Failed, Http1, Http2


class Connections:
    """Lends connections to whoever asks: a new one each time, a free one, or always the same."""

    def __init__(self, job: dict[str, Any], count: Bytes) -> None:
        self._job = job
        self._count = count
        self._free: list[Connection] = []
        self._one: Connection | None = None
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[Connection]:
        """Lend a connection for one exchange."""
        match self._job["client"]:
            case "short":
                connection = await self._open()
                try:
                    yield connection
                finally:
                    connection.close()
            case "one":
                async with self._turn:
                    yield await self._same()
            case "http2":
                yield await self._same()
            case _:
                connection = self._free.pop() if self._free else await self._open()
                yield connection
                if connection.is_open:
                    self._free.append(connection)

    async def _same(self) -> Connection:
        if self._job["client"] == "http2":
            async with self._turn:
                return await self._renewed()
        return await self._renewed()

    async def _renewed(self) -> Connection:
        if self._one is None or not self._one.is_open:
            self._one = await self._open()
        return self._one

    async def _open(self) -> Connection:
        host, _, port = self._job["address"].rpartition(":")
        fields = [(name, value) for name, value in self._job["fields"]]
        address = self._job["address"]

        def make() -> Http1 | Http2:
            if self._job["client"] == "http2":
                return Http2(address, fields, self._count)
            return Http1(address, fields, self._count, closes=self._job["client"] == "short")

        _, made = await asyncio.get_running_loop().create_connection(make, host, int(port))
        return made


class Askers:
    """Who asks, and what came of it in the window."""

    def __init__(self, job: dict[str, Any], go: Go) -> None:
        self.count = Bytes()
        self.latency, self.beside = Times(), Times()
        self.requests = self.failed = 0
        self.window = (0, 0, 0)
        self._job = job
        self._go = go
        self._connections = Connections(job, self.count)
        self._slow = 0

    async def ask(self) -> None:
        """Ask again and again, each time when the last response is there."""
        while True:
            times = self.beside if self._slow else self.latency
            began_ns = monotonic_ns()
            right = await self._exchange("/")
            ended_ns = monotonic_ns()
            if self._go.is_in_window(began_ns):
                self.requests += right
                self.failed += not right
                if right:
                    times.add(ended_ns - began_ns)
            if not right:
                await asyncio.sleep(0.01)  # who was refused is in no hurry

    async def ask_slowly(self) -> None:
        """Ask for something slow every so often."""
        while True:
            await asyncio.sleep(self._job["slow_every_s"])
            self._slow += 1
            right = await self._exchange(f"/slow/{round(self._job['slow_ms'])}")
            self._slow -= 1
            self.failed += not right

    async def _exchange(self, path: str) -> bool:
        try:
            async with self._connections.lend() as connection:
                return await connection.get(path) == 200
        except (Failed, OSError):
            return False


async def act(job: dict[str, Any], go: Go, control: Control) -> dict[str, Any]:
    """Let all ask until the window ends."""
    askers = Askers(job, go)
    asking = [asyncio.ensure_future(askers.ask()) for _ in range(job["concurrent"])]
    asking.append(asyncio.ensure_future(askers.ask_slowly()))
    assert go.end_ns is not None, "the window has an end"
    await control.sleep_until(go.window_ns)
    count = askers.count
    before = (count.sent, count.received - count.body)
    await control.sleep_until(go.end_ns)
    after = (count.sent, count.received - count.body)
    for each in asking:
        each.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    return {
        "requests": askers.requests,
        "failed": askers.failed,
        "connections": count.connections,
        "sent": after[0] - before[0],
        "beside_body": after[1] - before[1],
        "latency_us": askers.latency.histogram(),
        "beside_us": askers.beside.histogram(),
    }


if __name__ == "__main__":
    sys.exit(process.run(act))
