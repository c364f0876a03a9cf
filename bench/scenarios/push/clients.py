"""`python -m bench.scenarios.push.clients`: one publisher and N subscribers, in one process and one loop."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable
from time import monotonic_ns
from typing import Any

import aiohttp

from bench.scenarios import client
from bench.scenarios.client import Control, Go, Times


class Subscribers:
    """What all subscribers got: delays in the window, and whether each saw every number of the feed once."""

    def __init__(self, go: Go, count: int) -> None:
        self.delays = Times()
        self.delivered = self.lost = self.doubled = self.requests = self.reconnects = 0
        self.last = [0] * count
        self._go = go

    def take(self, who: int, number: int, published_ns: int) -> None:
        """Record one message that reached a subscriber."""
        now_ns = monotonic_ns()
        expected = self.last[who] + 1
        if number < expected:
            self.doubled += 1
            return
        if self.last[who]:  # who has just come begins with whatever is the newest
            self.lost += number - expected
        self.last[who] = number
        if self._go.is_in_window(published_ns):
            self.delivered += 1
            self.delays.add(now_ns - published_ns)

    def asked(self) -> None:
        """Record one request in the window."""
        if self._go.is_in_window(monotonic_ns()):
            self.requests += 1


class Crowd:
    """N subscribers that follow the feed in one way."""

    def __init__(self, job: dict[str, Any], session: aiohttp.ClientSession, got: Subscribers) -> None:
        self._job = job
        self._url = f"http://{job['address']}"
        self._session = session
        self._got = got

    @property
    def follow(self) -> Callable[[int], Awaitable[None]]:
        """Return what a subscriber does, given its index."""
        ways: dict[str, Callable[[int], Awaitable[None]]] = {
            "short-poll-new": self._poll,
            "short-poll": self._poll,
            "long-poll": self._long_poll,
            "sse": self._events,
            "websocket": self._socket,
        }
        return ways[self._job["way"]]

    async def _poll(self, who: int) -> None:
        every_s = self._job["poll_every_s"]
        # Spread evenly, as clients are that know nothing of each other.
        await asyncio.sleep(every_s * who / self._job["subscribers"])
        while True:
            await self._ask(who, "/poll")
            await asyncio.sleep(every_s)

    async def _long_poll(self, who: int) -> None:
        while True:
            await self._ask(who, "/long-poll")

    async def _ask(self, who: int, path: str) -> None:
        self._got.asked()
        async with self._session.get(f"{self._url}{path}?since={self._got.last[who]}") as answer:
            answer.raise_for_status()
            self._take(who, (await answer.text()).splitlines())

    async def _events(self, who: int) -> None:
        self._got.asked()
        async with self._session.get(f"{self._url}/events", headers=self._since(who)) as answer:
            answer.raise_for_status()
            number = ""
            async for line in answer.content:
                field, _, value = line.decode().rstrip("\n").partition(": ")
                if field == "id":
                    number = value
                elif field == "data":
                    self._take(who, [f"{number} {value}"])

    async def _socket(self, who: int) -> None:
        self._got.asked()
        since = self._got.last[who]
        async with self._session.ws_connect(f"{self._url}/socket?since={since}", compress=0) as socket:
            async for frame in socket:
                self._take(who, [str(frame.data)])

    def _since(self, who: int) -> dict[str, str]:
        last = self._got.last[who]
        return {"Last-Event-ID": str(last)} if last else {}

    def _take(self, who: int, lines: Iterable[str]) -> None:
        for line in lines:
            number, _, text = line.partition(" ")
            self._got.take(who, int(number), int(text))


async def publish(job: dict[str, Any], session: aiohttp.ClientSession, go: Go, got: Subscribers) -> int:
    """Publish at the rate until the window ends; return how many messages lay in the window."""
    published, turn = 0, 0
    every_ns = round(1e9 / job["messages_per_s"])
    while go.end_ns is None or monotonic_ns() < go.end_ns:
        turn += 1
        due_ns = go.start_ns + turn * every_ns
        await asyncio.sleep(max(0, due_ns - monotonic_ns()) / 1e9)
        now_ns = monotonic_ns()
        published += go.is_in_window(now_ns)
        async with session.post(f"http://{job['address']}/publish", data=str(now_ns)) as answer:
            answer.raise_for_status()
    return published


async def act(job: dict[str, Any], go: Go, control: Control) -> dict[str, Any]:
    """Let the subscribers follow the feed, publish until the window ends, and wait for the last message."""
    got = Subscribers(go, job["subscribers"])
    connector = aiohttp.TCPConnector(limit=0, force_close=job["way"] == "short-poll-new")
    timeout = aiohttp.ClientTimeout(total=None)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
        aiohttp.ClientSession(timeout=timeout) as own,
    ):
        crowd = Crowd(job, session, got)
        following = [asyncio.ensure_future(crowd.follow(who)) for who in range(job["subscribers"])]
        published = await publish(job, own, go, got)
        await asyncio.sleep(1.0)
        for each in following:
            each.cancel()
        await asyncio.gather(*following, return_exceptions=True)
    return {
        "published": published,
        "delivered": got.delivered,
        "lost": got.lost,
        "doubled": got.doubled,
        "requests": got.requests,
        "reconnects": got.reconnects,
        "delay_us": got.delays.histogram(),
    }


if __name__ == "__main__":
    sys.exit(client.run(act))
