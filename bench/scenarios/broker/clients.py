"""`python -m bench.scenarios.broker.clients`: one producer and N consumers with a queue each."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass, field
from time import monotonic_ns
from typing import Any, Protocol

from bench.scenarios.broker.got import Got, Job
from bench.scenarios.client import process
from bench.scenarios.client.process import Control, Go
from bench.scenarios.client.requests import Caller

_LOOK_S = 0.02


class Publish(Protocol):
    """Hands a message to the broker; OSError where it cannot."""

    async def __call__(self, queue: int, text: str) -> None: ...


@dataclass(slots=True)
class Crowd:
    """The consumers that pull."""

    job: Job
    got: Got
    _publisher: Caller | None = field(default=None)

    async def consume(self, who: int) -> None:
        """Pull the messages of a queue for good, one pull after the other."""
        job, got = self.job, self.got
        caller = Caller(job.manner(is_kept=job.variant != "short-poll-new"))
        is_held = job.variant == "long-poll"
        wait = f"&wait={job.hold_s:g}" if is_held else ""
        if not is_held:
            # Spread evenly, as clients are that know nothing of each other.
            await asyncio.sleep(job.poll_every_s * who / job.consumers)
        while True:
            try:
                answer = await caller.ask("GET", f"/pull?queue={who}&after={got.last[who]}{wait}")
            except OSError:
                got.failed += 1
                await asyncio.sleep(1.0)
                continue
            lines = answer.body.decode().splitlines()
            got.pulled(lines)
            for line in lines:
                got.take(who, line)
            if not is_held and not lines:
                await asyncio.sleep(job.poll_every_s)

    async def publish(self, queue: int, text: str) -> None:
        """Publish by one request."""
        if self._publisher is None:
            self._publisher = Caller(self.job.manner())
        await self._publisher.ask("POST", f"/publish?queue={queue}", text.encode())


async def produce(job: Job, go: Go, publish: Publish) -> list[int]:
    """Publish to the queues in turn until the window ends; return how many went to each, in all and in it."""
    assert go.end_ns is not None, "the window of this scenario has an end"
    every_ns = round(1e9 / (job.messages_per_s * job.consumers))
    turn = published = 0
    while (due_ns := go.start_ns + (turn + 1) * every_ns) < go.end_ns:
        await asyncio.sleep(max(0, due_ns - monotonic_ns()) / 1e9)
        now_ns = monotonic_ns()
        await publish(turn % job.consumers, str(now_ns))
        published += go.is_in_window(now_ns)
        turn += 1
    return [turn, published]


async def act(given: dict[str, Any], go: Go, control: Control) -> dict[str, Any]:
    """Let the consumers consume, produce until the window ends, and wait for the last messages."""
    job = Job(**{key: value for key, value in given.items() if key != "command"})
    got = Got(go, job.consumers)
    crowd = await _crowd(job, got)
    consuming = [asyncio.ensure_future(crowd.consume(who)) for who in range(job.consumers)]
    producing = asyncio.ensure_future(produce(job, go, crowd.publish))
    stopped = asyncio.ensure_future(control.stopped.wait())
    await asyncio.wait([producing, stopped], return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    total, published = producing.result() if producing.done() else (sum(got.last), got.delivered)
    producing.cancel()
    patient_ns = monotonic_ns() + round(job.patience_s * 1e9)
    while sum(got.last) < total and monotonic_ns() < patient_ns:
        await asyncio.sleep(_LOOK_S)
    for each in consuming:
        each.cancel()
    await asyncio.gather(*consuming, return_exceptions=True)
    return {
        "published": published,
        "delivered": got.delivered,
        "lost": got.lost + total - sum(got.last),
        "doubled": got.doubled,
        "pulls": got.pulls,
        "empty": got.empty,
        "failed": got.failed,
        "delay_us": got.delays.histogram(),
    }


async def _crowd(job: Job, got: Got) -> Any:
    if job.variant == "push":
        from bench.scenarios.broker.websocket import Pushed  # noqa: PLC0415 - its package may be missing elsewhere

        return await Pushed.connect(job, got)
    return Crowd(job, got)


if __name__ == "__main__":
    sys.exit(process.run(act))
