"""`python -m bench.scenarios.http2.clients`: many requests at a time, by our clients or by h2load."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic_ns
from typing import Any

from bench.load.counters import TimeHistogram
from bench.scenarios.client import process, requests
from bench.scenarios.client.process import ClientControl, Go
from bench.scenarios.http2 import h2load
from bench.scenarios.http2.connections import ByteCounts, CountedHttp1, CountedHttp2, ExchangeConnection


class ConnectionPool:
    """Lends connections for exchanges: a new one each time, a free one, or always the same."""

    def __init__(self, job: dict[str, Any], count: ByteCounts) -> None:
        self._job = job
        self._count = count
        self._free: list[ExchangeConnection] = []
        self._one: ExchangeConnection | None = None
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[ExchangeConnection]:
        """Lend a connection for one exchange."""
        match self._job["client"]:
            case "short":
                connection = await self._open()
                try:
                    yield connection
                finally:
                    connection.close()
            case "one":
                async with self._lock:
                    yield await self._same()
            case "http2":
                async with self._lock:
                    connection = await self._same()
                yield connection
            case _:
                connection = self._free.pop() if self._free else await self._open()
                yield connection
                if not connection.is_closed:
                    self._free.append(connection)

    async def _same(self) -> ExchangeConnection:
        if self._one is None or self._one.is_closed:
            self._one = await self._open()
        return self._one

    async def _open(self) -> ExchangeConnection:
        address: str = self._job["address"]
        fields = [(name, value) for name, value in self._job["fields"]]

        def make() -> CountedHttp1 | CountedHttp2:
            if self._job["client"] == "http2":
                return CountedHttp2(address, fields, self._count)
            return CountedHttp1(address, fields, self._count, closes=self._job["client"] == "short")

        return await requests.connect(make, address)


def next_due(due_ns: int, now_ns: int, every_ns: int) -> int:
    """Return when the next request is due: one that comes too late is not made up for."""
    return max(due_ns + every_ns, now_ns)


class RequestLoops:
    """Loops of requests, and what came of them in the window."""

    def __init__(self, job: dict[str, Any], go: Go) -> None:
        self.bytes = ByteCounts()
        self.latency, self.during_slow = TimeHistogram(), TimeHistogram()
        self.requests = self.failed = 0
        self._job = job
        self._go = go
        self._pool = ConnectionPool(job, self.bytes)
        self._slow = 0

    async def run(self) -> None:
        """Send one request after the other, each when it is due and the last response is there."""
        due_ns, every_ns = monotonic_ns(), round(self._job["every_s"] * 1e9)
        while True:
            times = self.during_slow if self._slow else self.latency
            began_ns = monotonic_ns()
            is_right = await self._exchange("/")
            ended_ns = monotonic_ns()
            if self._go.is_in_window(began_ns):
                self.requests += is_right
                self.failed += not is_right
                if is_right:
                    times.add(ended_ns - began_ns)
            if not is_right:
                await asyncio.sleep(0.01)  # a client that was refused is in no hurry
            due_ns = next_due(due_ns, monotonic_ns(), every_ns)
            if (left_ns := due_ns - monotonic_ns()) > 0:
                await asyncio.sleep(left_ns / 1e9)

    async def run_slow(self) -> None:
        """Request something slow every so often."""
        while True:
            await asyncio.sleep(self._job["slow_every_s"])
            self._slow += 1
            is_right = await self._exchange(f"/slow/{round(self._job['slow_ms'])}")
            self._slow -= 1
            self.failed += not is_right

    async def _exchange(self, path: str) -> bool:
        try:
            async with self._pool.lend() as connection:
                return await connection.get(path) == 200
        except OSError:
            return False


async def act(job: dict[str, Any], go: Go, control: ClientControl) -> dict[str, Any]:
    """Send requests until the window ends."""
    if job["generator"] == "h2load":
        return await h2load.run(job, go)
    loops = RequestLoops(job, go)
    running = [asyncio.ensure_future(loops.run()) for _ in range(job["concurrent"])]
    running.append(asyncio.ensure_future(loops.run_slow()))
    await control.sleep_until(go.window_ns)
    sent, overhead = loops.bytes.sent, loops.bytes.overhead
    await control.sleep_until(go.end_ns)
    sent, overhead = loops.bytes.sent - sent, loops.bytes.overhead - overhead
    await process.cancel(*running)
    return {
        "requests": loops.requests,
        "failed": loops.failed,
        "connections": loops.bytes.connections,
        "sent": sent,
        "overhead": overhead,
        "latency_us": loops.latency.histogram(),
        "during_slow_us": loops.during_slow.histogram(),
    }


if __name__ == "__main__":
    process.run(act)
