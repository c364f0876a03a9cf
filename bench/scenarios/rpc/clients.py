"""`python -m bench.scenarios.rpc.clients`: the consumers of a provider, in one process and one loop."""

import asyncio
from dataclasses import dataclass
from time import monotonic_ns
from typing import Any

from bench.load.counters import TimeHistogram
from bench.scenarios.client import process
from bench.scenarios.client.process import ClientControl, Go
from bench.scenarios.rpc.connections import CallChannel, open_channel


@dataclass(frozen=True, slots=True)
class RpcJob:
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
    outlier_every: int
    """Each so-many-th call is an outlier; 0: none is."""
    outlier_ms: int
    outlier_bytes: int


class RpcConsumers:
    """Calls, and how long each took."""

    def __init__(self, job: RpcJob, go: Go, channel: CallChannel) -> None:
        self._job = job
        self._go = go
        self._channel = channel
        self._number = 0
        self.done = self.failed = 0
        self.small, self.outlier = TimeHistogram(), TimeHistogram()

    async def call_as_fast_as_answered(self) -> None:
        """Have each caller call again as soon as it has its answer, until the window ends."""
        await asyncio.gather(*(self._call_repeatedly() for _ in range(self._job.callers)))

    async def call_at_rate(self) -> None:
        """Call whenever a call is due, until the window ends; its time counts from that moment."""
        every_ns = round(1e9 / self._job.rate)
        due_ns = self._go.start_ns
        async with asyncio.TaskGroup() as tasks:
            while due_ns < self._go.end_ns:
                await asyncio.sleep(max(0, due_ns - monotonic_ns()) / 1e9)
                while due_ns <= monotonic_ns():
                    tasks.create_task(self._call(due_ns))
                    due_ns += every_ns

    async def _call_repeatedly(self) -> None:
        while (now_ns := monotonic_ns()) < self._go.end_ns:
            await self._call(now_ns)

    async def _call(self, due_ns: int) -> None:
        job, self._number = self._job, self._number + 1
        is_outlier = job.outlier_every > 0 and self._number % job.outlier_every == 0
        takes_ms, answer_bytes = (job.outlier_ms, job.outlier_bytes) if is_outlier else (0, job.answer_bytes)
        try:
            await self._channel.call(takes_ms, answer_bytes)
        except OSError:
            self.failed += 1
            await asyncio.sleep(0.01)
            return
        now_ns = monotonic_ns()
        if self._go.is_in_window(due_ns):
            self.done += 1
            (self.outlier if is_outlier else self.small).add(now_ns - due_ns)


async def act(values: dict[str, Any], go: Go, control: ClientControl) -> dict[str, Any]:
    """Connect, and call until the window ends or the harness wants the end."""
    job = process.read_job(RpcJob, values)
    channel = await open_channel(job.variant, job.address, job.sources, job.pool)
    consumers = RpcConsumers(job, go, channel)
    calls = consumers.call_at_rate() if job.rate else consumers.call_as_fast_as_answered()
    await control.run_unless_stopped(calls)
    return {
        "done": consumers.done,
        "failed": consumers.failed,
        "small_us": consumers.small.histogram(),
        "outlier_us": consumers.outlier.histogram(),
    }


if __name__ == "__main__":
    process.run(act)
