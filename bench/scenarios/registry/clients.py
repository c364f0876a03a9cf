"""`python -m bench.scenarios.registry.clients`: all instances and subscribers, in one process."""

from collections.abc import Callable, Coroutine
from typing import Any

from bench.scenarios.client import process
from bench.scenarios.client.process import ClientControl, Go
from bench.scenarios.registry.fleet import (
    Fleet,
    Instance,
    InstanceName,
    RegistryCounts,
    RegistryJob,
    service_name,
)

Make = Callable[[InstanceName, int], Instance]
Subscribe = Callable[[int, Fleet, RegistryJob, RegistryCounts], Coroutine[Any, Any, None]]


async def act(values: dict[str, Any], go: Go, control: ClientControl) -> dict[str, Any]:
    """Have all join, beat and follow; change instances in the window; wait until all changes are seen."""
    job, counts = process.read_job(RegistryJob, values), RegistryCounts(go)
    make, subscribe = _members(job, counts)
    fleet = Fleet(job, counts, make)
    for number in range(job.subscribers):
        counts.tracker.follow(number, service_name(number % fleet.services))
        fleet.spawn(subscribe(number, fleet, job, counts))
    fleet.spawn(fleet.run())
    if not await control.sleep_until(go.window_ns):
        fleet.spawn(fleet.change())
        await control.sleep_until(go.end_ns)
    await process.wait_until(lambda: not counts.tracker.unseen or control.stopped.is_set(), job.patience_s)
    await fleet.stop()
    return counts.event()


def _members(job: RegistryJob, counts: RegistryCounts) -> tuple[Make, Subscribe]:
    """Return how an instance is made, and what a subscriber does."""
    if job.variant == "stream":
        from bench.scenarios.registry import stream_members  # noqa: PLC0415 - needs an extra of ours

        return lambda name, number: stream_members.StreamInstance(name, job, counts), stream_members.subscribe
    from bench.scenarios.registry import http_members  # noqa: PLC0415

    def make(name: InstanceName, number: int) -> Instance:
        return http_members.HttpInstance(name, http_members.request_options(job, number), counts)

    return make, http_members.subscribe


if __name__ == "__main__":
    process.run(act)
