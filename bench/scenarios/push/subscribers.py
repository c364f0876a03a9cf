"""What the ways of following the feed have in common: the crowd, and what each subscriber of it can do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from bench.scenarios.client.process import Go
from bench.scenarios.push.tally import Tally

_FOLD_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Job:
    """What one client process is told; the keys of its job."""

    variant: str
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

    def __init__(
        self,
        job: Job,
        go: Go,
        got: Tally,
        make: Callable[[int, Crowd], Follower],
        tasks: asyncio.TaskGroup,
    ) -> None:
        self.job = job
        self.got = got
        self.host, _, port = job.address.rpartition(":")
        self.port = int(port)
        self._go = go
        self._followers = [make(who, self) for who in range(job.subscribers)]
        self._group = tasks
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self) -> None:
        """Have them connect one after another over a part of the warm-up, so that none has to be refused."""
        loop = asyncio.get_running_loop()
        span_s = (self._go.window_ns - self._go.start_ns) / 1e9 * 0.4
        for place, follower in enumerate(self._followers):
            loop.call_later(span_s * place / len(self._followers), follower.connect)
        loop.call_later(_FOLD_EVERY_S, self._fold)

    def _fold(self) -> None:
        self.got.fold()
        asyncio.get_running_loop().call_later(_FOLD_EVERY_S, self._fold)

    def stalls(self, who: int) -> bool:
        """Return whether a subscriber is one of those that do not read until the window ends."""
        return who < self.job.stalled

    def again(self, follower: Follower, *, refused: bool = False) -> None:
        """Have a subscriber connect anew after a while: its connection ended, or there never was one."""
        if refused:
            self.got.refused += 1
        else:
            self.got.reconnects += 1
        asyncio.get_running_loop().call_later(self.job.retry_s, follower.connect)

    def spawn(self, act: Coroutine[Any, Any, None]) -> None:
        """Do something beside the rest, until it ends or the crowd is closed."""
        task = self._group.create_task(act)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def read_on(self) -> None:
        """Let those that had stopped read again."""
        for follower in self._followers[: self.job.stalled]:
            follower.read_on()

    def close(self) -> None:
        """End every subscriber."""
        for follower in self._followers:
            follower.close()
        for task in tuple(self._tasks):
            task.cancel()
