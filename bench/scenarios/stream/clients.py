"""`python -m bench.scenarios.stream.clients`: asks for answers, and notes when each token comes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from time import monotonic_ns
from typing import Any

import aiohttp

from bench.scenarios.client import process
from bench.scenarios.client.process import Control, Go, Times

END = "end"
_SPACING_S = 0.05
"""Between the requests of two readers: each has its own stream, and not all ask at once."""


@dataclass(slots=True)
class Reading:
    """What one reader got: when it asked, and when each token came, counted from then."""

    asked_ns: int
    came_ns: list[int] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    ended: bool = False


class Reader:
    """Reads answers in one way, one after another, and keeps their times."""

    def __init__(self, job: dict[str, Any], session: aiohttp.ClientSession) -> None:
        self._job = job
        self._session = session
        self.first, self.gaps, self.held = Times(), Times(), Times()
        self.readings: list[Reading] = []

    async def read(self) -> None:
        """Ask for one answer and read it to its end, or to where it is cut."""
        reading = Reading(monotonic_ns())
        self.readings.append(reading)
        source = self._socket() if self._job["socket"] else self._events()
        try:
            async for number, token in source:
                if self._take(reading, number, token):
                    break
        except (aiohttp.ClientError, OSError):
            return  # cut: what came until then is told

    def _take(self, reading: Reading, number: int, token: str) -> bool:
        """Note one token; return whether it was the end."""
        now_ns = monotonic_ns()
        moment, _, word = token.partition(" ")
        if word == END:
            reading.ended = True
            return True
        since_ns = now_ns - (reading.asked_ns + reading.came_ns[-1] if reading.came_ns else reading.asked_ns)
        (self.gaps if reading.came_ns else self.first).add(since_ns)
        self.held.add(now_ns - int(moment))
        reading.came_ns.append(now_ns - reading.asked_ns)
        reading.numbers.append(number)
        return False

    async def _events(self) -> AsyncIterator[tuple[int, str]]:
        headers = {"Accept": "text/event-stream", "Accept-Encoding": self._job["encoding"]}
        url = f"http://{self._job['address']}/events"
        async with self._session.get(url, headers=headers) as answer:
            answer.raise_for_status()
            number = 0
            async for line in answer.content:
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name == "id":
                    number = int(value)
                elif name == "data":
                    yield number, value

    async def _socket(self) -> AsyncIterator[tuple[int, str]]:
        async with self._session.ws_connect(f"http://{self._job['address']}/socket", compress=0) as socket:
            async for frame in socket:
                if frame.type is not aiohttp.WSMsgType.TEXT:
                    return
                number, _, token = str(frame.data).partition(" ")
                yield int(number), token


async def act(job: dict[str, Any], go: Go, control: Control) -> dict[str, Any]:
    """Have every reader read one answer in the window; they begin shortly one after another."""
    timeout = aiohttp.ClientTimeout(total=None)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        reader = Reader(job, session)
        await control.sleep_until(go.window_ns)
        async with asyncio.TaskGroup() as tasks:
            reading = []
            for _ in range(job["streams"]):
                reading.append(tasks.create_task(reader.read()))
                await asyncio.sleep(_SPACING_S)
            stopping = tasks.create_task(_stop(control, reading))
            await asyncio.wait(reading)
            stopping.cancel()
    return _told(reader)


async def _stop(control: Control, reading: list[asyncio.Task[None]]) -> None:
    """End the readers when the harness wants the window to end."""
    await control.stopped.wait()
    for each in reading:
        each.cancel()


def _told(reader: Reader) -> dict[str, Any]:
    readings = reader.readings
    return {
        "first_us": reader.first.histogram(),
        "gaps_us": reader.gaps.histogram(),
        "held_us": reader.held.histogram(),
        "tokens": sum(len(each.numbers) for each in readings),
        "doubled": sum(len(each.numbers) - len(set(each.numbers)) for each in readings),
        "cut": sum(not each.ended for each in readings),
        "came_s": [each / 1e9 for each in readings[0].came_ns],
    }


if __name__ == "__main__":
    sys.exit(process.run(act))
