"""What the ways of following the feed have in common: the crowd, and what each subscriber of it can do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic_ns
from typing import Protocol

from bench.scenarios.client import Go
from bench.scenarios.push.tally import Tally


@dataclass(frozen=True, slots=True)
class Job:
    """What one client process is told; the keys of its job."""

    way: str
    address: str
    connections: int
    subscribers: int
    messages_per_s: float
    message_bytes: int
    poll_every_s: float
    retry_s: float
    stalled: int
    frame_limit_bytes: int
    publishes: bool
    step_s: float | None
    """Raise the rate each so many seconds until it is too much; None: keep to one rate."""


class Follower(Protocol):
    """One subscriber: it connects, and again when its connection ends, until it is closed."""

    def connect(self) -> None:
        """Connect, and follow from where it is."""

    def read_on(self) -> None:
        """Read again, where it had stopped reading."""

    def close(self) -> None:
        """End for good."""


class Crowd:
    """The subscribers of one process."""

    def __init__(self, job: Job, go: Go, got: Tally, make: Callable[[int, Crowd], Follower]) -> None:
        self.job = job
        self.got = got
        self.host, _, port = job.address.rpartition(":")
        self.port = int(port)
        self._go = go
        self._followers = [make(who, self) for who in range(job.subscribers)]
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self) -> None:
        """Have them connect one after another over a part of the warm-up, so that none has to be refused."""
        loop = asyncio.get_running_loop()
        span_s = (self._go.window_ns - self._go.start_ns) / 1e9 * 0.4
        for place, follower in enumerate(self._followers):
            loop.call_later(span_s * place / len(self._followers), follower.connect)

    def stalls(self, who: int) -> bool:
        """Return whether a subscriber is one of those that do not read until the window ends."""
        return who < self.job.stalled

    def take(self, who: int, number: int, text: bytes) -> None:
        """Record a message that a subscriber has now."""
        self.got.take(who, number, text, monotonic_ns())

    def asked(self) -> None:
        """Record a request that is sent now."""
        self.got.asked(monotonic_ns())

    def again(self, follower: Follower, *, refused: bool = False) -> None:
        """Have a subscriber connect anew after a while: its connection ended, or there never was one."""
        if refused:
            self.got.refused += 1
        else:
            self.got.reconnects += 1
        asyncio.get_running_loop().call_later(self.job.retry_s, follower.connect)

    def spawn(self, act: asyncio.Task[None]) -> None:
        """Keep a task until it ends."""
        self._tasks.add(act)
        act.add_done_callback(self._tasks.discard)

    def read_on(self) -> None:
        """Let those that had stopped read again."""
        for follower in self._followers[: self.job.stalled]:
            follower.read_on()

    async def close(self) -> None:
        """End every subscriber."""
        for follower in self._followers:
            follower.close()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
