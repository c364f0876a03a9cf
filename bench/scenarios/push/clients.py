"""`python -m bench.scenarios.push.clients`: N subscribers, and in one of the processes the publisher."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from bench.scenarios.client import process
from bench.scenarios.client.process import ClientControl, Go
from bench.scenarios.client.session import open_session
from bench.scenarios.push import publisher, rising_rate
from bench.scenarios.push.http import HttpSubscriber
from bench.scenarios.push.publisher import Published, Publisher
from bench.scenarios.push.subscribers import PushJob, SubscriberCounts, SubscriberGroup
from bench.scenarios.push.websocket import WebSocketSubscriber

DRAIN_S = 10.0
"""How long the last message may take to reach all subscribers: a later one is lost."""
_LONGEST_S = 600.0


@asynccontextmanager
async def open_group(job: PushJob, go: Go, counts: SubscriberCounts) -> AsyncIterator[SubscriberGroup]:
    """Make the subscribers of the job's variant, and end them at the end."""
    async with open_session() as session, asyncio.TaskGroup() as tasks:
        match job.variant:
            case "websocket":
                group = SubscriberGroup(
                    job, go, counts, lambda number, group: WebSocketSubscriber(number, group, session), tasks
                )
            case "websocket-picows":
                from bench.scenarios.push.picows_websocket import PicowsSubscriber  # noqa: PLC0415 - an extra

                group = SubscriberGroup(job, go, counts, PicowsSubscriber, tasks)
            case _:
                group = SubscriberGroup(job, go, counts, HttpSubscriber, tasks)
        try:
            yield group
        finally:
            group.close()


async def publish(job: PushJob, go: Go, control: ClientControl, counts: SubscriberCounts) -> Published:
    """Publish what the job asks for, and the last message."""

    def is_too_much(step: int) -> bool:
        times = counts.steps.get(step)
        return times is None or rising_rate.is_late(times.counts())

    connect = publisher.by_socket if job.variant == "websocket-picows" else publisher.by_post
    async with connect(job) as send:
        publishing = Publisher(job, go, control, send)
        if job.step_s is None:
            await publishing.publish_steadily()
        else:
            await publishing.publish_ever_faster(is_too_much)
        await publishing.publish_last()
    return publishing.published


async def act(values: dict[str, Any], go: Go, control: ClientControl) -> dict[str, Any]:
    """Have the subscribers follow the feed, publish until the window ends, and wait for the last message."""
    job = process.read_job(PushJob, values)
    finished = asyncio.Event()
    step_ns = None if job.step_s is None else round(job.step_s * 1e9)
    counts = SubscriberCounts(go, job.subscribers, job.stalled, step_ns, finished.set)
    published = Published()
    async with open_group(job, go, counts) as group:
        group.start()
        if job.publishes:
            published = await publish(job, go, control, counts)
        elif job.step_s is None:
            await control.sleep_until(go.end_ns)
        group.resume_reading()
        timeout_s = DRAIN_S if job.publishes or job.step_s is None else _LONGEST_S
        await process.wait_until(finished.is_set, timeout_s)
    return {
        **counts.event(),
        "published": published.window,
        "published_total": published.total,
        "published_steps": {str(step): count for step, count in published.steps.items()},
    }


if __name__ == "__main__":
    process.run(act)
