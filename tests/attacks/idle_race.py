"""F4: requests come just when the upstream closes the connection that they would be sent on."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Iterator

import uvloop

from bench.lab import Process
from tests.attacks import rows
from tests.attacks.arena import Address, Arena, address_of
from tests.perf.pairs import Row
from tests.perf.settings import Settings
from tests.perf.stage import READY_TIMEOUT_S

PART = "idle-race"
IDLE_S = 0.02
"""What the upstream waits before it closes an idle connection."""
SPREAD_S = 0.0015
"""Requests come so much before or after that."""
CLIENTS = 128
_TIMEOUT_S = 30.0
_SEED = 20261130


class Race:
    """Clients that send requests of one method; `statuses` counts answers, 0 where there was none."""

    def __init__(self, address: Address, method: str, duration_s: float) -> None:
        self.statuses: Counter[int] = Counter()
        self._address = address
        self._method = method
        self._duration_s = duration_s
        self._numbers = itertools.count()

    @property
    def failed_percent(self) -> float:
        """Return the share of requests that were not answered with 200."""
        return 100 * (1 - self.statuses[200] / self.statuses.total())

    async def run(self) -> None:
        """Run to the end."""
        async with asyncio.TaskGroup() as tasks:
            for number in range(CLIENTS):
                tasks.create_task(self._client(random.Random(_SEED + number)))

    async def _client(self, dice: random.Random) -> None:
        """Send request after request, each when the connection of the last is about to be closed."""
        end = time.monotonic() + self._duration_s
        reader, writer = await asyncio.open_connection(*self._address)
        while time.monotonic() < end:
            writer.write(self._request())
            status = await _status(reader)
            self.statuses[status] += 1
            if status != 200:
                writer.close()
                reader, writer = await asyncio.open_connection(*self._address)
            await asyncio.sleep(IDLE_S + dice.uniform(-SPREAD_S, SPREAD_S))
        writer.close()

    def _request(self) -> bytes:
        body = b"hello" if self._method == "POST" else b""
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        target = f"/race/{next(self._numbers)}"
        return f"{self._method} {target} HTTP/1.1\r\nHost: race\r\n{length}\r\n".encode() + body


def measure(arena: Arena, settings: Settings) -> Iterator[Row]:
    """Yield the failures of GET and of POST; nginx has its own default (GET repeated, POST not)."""
    duration_s = settings.window_s * 5.0
    for method in ("GET", "POST"):
        failed: dict[str, float] = {}
        twice: dict[str, float] = {}
        notes = []
        for name in arena.names:
            address, upstream = arena.upstream("race_upstream", str(IDLE_S))
            with arena.subject(name, address) as subject:
                race = Race(address_of(subject), method, duration_s)
                uvloop.run(race.run())
                count = _count(upstream)
            upstream.kill()
            failed[name], twice[name] = race.failed_percent, count["twice"]
            answered = dict(sorted(race.statuses.items()))
            notes.append(f"{name}: {method} answered {answered}, upstream saw {count['requests']}")
        limit = 0.0 if method == "GET" else failed.get("nginx-default", 0.0)
        what = f"{method} within {1e3 * SPREAD_S:g} ms of the upstream's close"
        yield rows.row(PART, f"{what}: failed", "%", failed, limit=limit, notes=tuple(notes))
        yield rows.row(PART, f"{what}: came twice", "", twice, limit=0)


def _count(upstream: Process) -> dict[str, int]:
    upstream.send({"command": "count"})
    count: dict[str, int] = upstream.wait_event("count", READY_TIMEOUT_S)
    return count


async def _status(reader: asyncio.StreamReader) -> int:
    """Return the status of an answer that has been read whole; 0 where none came."""
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length or 0))
    except (asyncio.IncompleteReadError, OSError):
        return 0
    return int(head[9:12])
