"""`python -m bench.scenarios.push.clients`: N subscribers, and in one of the processes the publisher."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from bench.scenarios.client import process
from bench.scenarios.client.process import Control, Go
from bench.scenarios.push import publisher as publishing
from bench.scenarios.push import rising_rate as limit
from bench.scenarios.push.http import Asker
from bench.scenarios.push.publisher import Published, Publisher
from bench.scenarios.push.subscribers import Crowd, Job
from bench.scenarios.push.tally import Tally
from bench.scenarios.push.websocket import Socket

DRAIN_S = 10.0
"""How long the last message may take to reach everybody: what has not come by then is lost."""
_LONGEST_S = 600.0


@asynccontextmanager
async def gathered(job: Job, go: Go, got: Tally) -> AsyncIterator[Crowd]:
    """Make the crowd of the job's way, and end it at the end."""
    timeout = aiohttp.ClientTimeout(total=None)
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session,
        asyncio.TaskGroup() as tasks,
    ):
        match job.variant:
            case "websocket":
                crowd = Crowd(job, go, got, lambda who, crowd: Socket(who, crowd, session), tasks)
            case "websocket-picows":
                from bench.scenarios.push.picows_websocket import Listener  # noqa: PLC0415 - an extra of ours

                crowd = Crowd(job, go, got, Listener, tasks)
            case _:
                crowd = Crowd(job, go, got, Asker, tasks)
        try:
            yield crowd
        finally:
            crowd.close()


async def publish(job: Job, go: Go, control: Control, got: Tally) -> Published:
    """Publish what the job asks for, and the last message."""
    how = publishing.by_socket if job.variant == "websocket-picows" else publishing.by_post
    async with how(job) as hand:
        publisher = Publisher(job, go, control, hand)
        if job.step_s is None:
            await publisher.steadily()
        else:
            await publisher.ever_faster(lambda step: _is_too_much(got, step))
        await publisher.end()
    return publisher.published


def _is_too_much(got: Tally, step: int) -> bool:
    times = got.steps.get(step)
    return times is None or limit.is_late(times.counts())


async def act(values: dict[str, Any], go: Go, control: Control) -> dict[str, Any]:
    """Let the subscribers follow the feed, publish until the window ends, and wait for the last message."""
    job = Job(**{name: values[name] for name in Job.__slots__})
    finished = asyncio.Event()
    step_ns = None if job.step_s is None else round(job.step_s * 1e9)
    got = Tally(go, job.subscribers, job.stalled, step_ns, finished.set)
    published = Published()
    async with gathered(job, go, got) as crowd:
        crowd.begin()
        if job.publishes:
            published = await publish(job, go, control, got)
        elif go.end_ns is not None:
            await control.sleep_until(go.end_ns)
        crowd.read_on()
        await _within(finished, DRAIN_S if job.publishes or go.end_ns is not None else _LONGEST_S)
    return {
        **got.event(),
        "published": published.window,
        "published_total": published.total,
        "published_steps": {str(step): count for step, count in published.steps.items()},
    }


async def _within(finished: asyncio.Event, timeout_s: float) -> None:
    try:
        await asyncio.wait_for(finished.wait(), timeout_s)
    except TimeoutError:
        return  # who has not the last message by now is told by `behind`


if __name__ == "__main__":
    sys.exit(process.run(act))
