"""`python -m bench.scenarios.registry.clients`: all instances and subscribers, in one process."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from time import monotonic_ns
from typing import Any

from bench.scenarios.client import process
from bench.scenarios.client.process import Control, Go
from bench.scenarios.registry.fleet import Fleet, Instance, Job, Named, Tally, service_name

_LOOK_S = 0.02


async def act(given: dict[str, Any], go: Go, control: Control) -> dict[str, Any]:
    """Let everybody join, beat and follow; change things in the window; wait until all changes are seen."""
    job, tally = Job(**{key: value for key, value in given.items() if key != "command"}), Tally(go)
    make, follow = _members(job, tally)
    fleet = Fleet(job, tally, make)
    for who in range(job.subscribers):
        tally.news.follow(who, service_name(who % fleet.services))
        fleet.spawn(follow(who, fleet, job, tally))
    fleet.spawn(fleet.live())
    assert go.end_ns is not None, "the window of this scenario has an end"
    if not await control.sleep_until(go.window_ns):
        fleet.spawn(fleet.change())
        await control.sleep_until(go.end_ns)
    patient_ns = monotonic_ns() + round(job.patience_s * 1e9)
    while tally.news.unseen and monotonic_ns() < patient_ns and not control.stopped.is_set():
        await asyncio.sleep(_LOOK_S)
    await fleet.stop()
    return _told(tally)


def _members(
    job: Job, tally: Tally
) -> tuple[Callable[[Named, int], Instance], Callable[..., Coroutine[Any, Any, None]]]:
    """Return how an instance is made, and what a subscriber does."""
    if job.variant == "stream":
        from bench.scenarios.registry import stream_members as streaming  # noqa: PLC0415 - its package may be missing elsewhere

        return lambda named, number: streaming.Instance(named, job, tally), streaming.follow
    from bench.scenarios.registry import http_members as requesting  # noqa: PLC0415

    return lambda named, number: requesting.Instance(
        named, requesting.manner(job, number), tally
    ), requesting.follow


def _told(tally: Tally) -> dict[str, Any]:
    return {
        "beats": tally.beats,
        "late": tally.late,
        "polls": tally.polls,
        "reconnects": tally.reconnects,
        "mistaken": tally.mistaken,
        "errors": dict(tally.errors),
        "changes": tally.news.happened,
        "unseen": tally.news.unseen,
        "beat_us": tally.beat.histogram(),
        "came_us": tally.came.histogram(),
        "known_us": tally.known.histogram(),
        "went_us": tally.went.histogram(),
    }


if __name__ == "__main__":
    sys.exit(process.run(act))
