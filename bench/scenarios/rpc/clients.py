"""`python -m bench.scenarios.rpc.clients`: the consumers of a provider, in one process and one loop."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from dataclasses import dataclass
from time import monotonic_ns
from typing import Any

from bench.scenarios.client import process
from bench.scenarios.client.process import Control, Go, Times
from bench.scenarios.rpc.connections import Reach, reach


@dataclass(frozen=True, slots=True)
class Job:
    """What the consumers are to do."""

    variant: str
    address: str
    sources: list[str]
    pool: int
    callers: int
    """Each calls, waits, and calls again, where there is no rate."""
    rate: float
    """Calls per second, due one by one; 0: as fast as the callers get answers."""
    answer_bytes: int
    odd_every: int
    """Each so-many-th call is an odd one; 0: none is."""
    odd_ms: int
    odd_bytes: int
    connections: int


class Consumers:
    """Calls, and how long each took."""

    def __init__(self, job: Job, go: Go, reach: Reach) -> None:
        self._job = job
        self._go = go
        self._reach = reach
        self._number = 0
        self._under_way: set[asyncio.Task[None]] = set()
        self.done = self.failed = 0
        self.small, self.odd = Times(), Times()

    async def as_fast_as_answered(self) -> None:
        """Let each caller call again as soon as it has its answer, until the window ends."""
        await asyncio.gather(*(self._calls() for _ in range(self._job.callers)))

    async def at_a_rate(self) -> None:
        """Call whenever a call is due, until the window ends; its time counts from that moment."""
        every_ns = round(1e9 / self._job.rate)
        due_ns = self._go.start_ns
        while not self._is_over(due_ns):
            await asyncio.sleep(max(0, due_ns - monotonic_ns()) / 1e9)
            while due_ns <= monotonic_ns():
                self._spawn(self._call(due_ns))
                due_ns += every_ns
        await asyncio.gather(*self._under_way)

    async def _calls(self) -> None:
        while not self._is_over(now_ns := monotonic_ns()):
            await self._call(now_ns)

    async def _call(self, due_ns: int) -> None:
        job, self._number = self._job, self._number + 1
        is_odd = job.odd_every > 0 and self._number % job.odd_every == 0
        wish = (job.odd_ms, job.odd_bytes) if is_odd else (0, job.answer_bytes)
        try:
            await self._reach.call(*wish)
        except OSError:
            self.failed += 1
            await asyncio.sleep(0.01)
            return
        now_ns = monotonic_ns()
        if self._go.is_in_window(due_ns):
            self.done += 1
            (self.odd if is_odd else self.small).add(now_ns - due_ns)

    def _is_over(self, now_ns: int) -> bool:
        return self._go.end_ns is not None and now_ns >= self._go.end_ns

    def _spawn(self, call: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(call)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)


async def act(given: dict[str, Any], go: Go, control: Control) -> dict[str, Any]:
    """Connect, and call until the window ends or the harness wants the end."""
    job = Job(**{key: value for key, value in given.items() if key != "command"})
    consumers = Consumers(job, go, await reach(job.variant, job.address, job.sources, job.pool))
    calling = asyncio.ensure_future(consumers.at_a_rate() if job.rate else consumers.as_fast_as_answered())
    stopped = asyncio.ensure_future(control.stopped.wait())
    await asyncio.wait([calling, stopped], return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if calling.done():
        calling.result()
    calling.cancel()
    return {
        "done": consumers.done,
        "failed": consumers.failed,
        "small_us": consumers.small.histogram(),
        "odd_us": consumers.odd.histogram(),
    }


if __name__ == "__main__":
    sys.exit(process.run(act))
