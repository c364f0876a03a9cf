"""`python -m bench.scenarios.sdk.nacos`: instances and subscribers that are Nacos's own clients."""

from time import monotonic_ns
from typing import Any, Protocol

from bench.load.counters import TimeHistogram
from bench.scenarios.client import process
from bench.scenarios.client.process import ClientControl, Go

SERVICE = "orders"


class SeenChanges:
    """The changes that subscribers have yet to see, and how late they saw others. Called on any thread."""

    def __init__(self) -> None:
        self.newcomer_seen, self.death_seen = TimeHistogram(), TimeHistogram()
        self.unseen: dict[tuple[int, str, bool], int] = {}

    def expect(self, subscribers: int, ip: str, came: bool) -> None:
        """Add an instance that came or died, which every subscriber has yet to see."""
        now_ns = monotonic_ns()
        self.unseen.update({(number, ip, came): now_ns for number in range(subscribers)})

    def record(self, subscriber: int, ip: str, came: bool) -> None:
        """Record that a subscriber sees an instance come or die."""
        at_ns = self.unseen.pop((subscriber, ip, came), None)
        if at_ns is not None:
            (self.newcomer_seen if came else self.death_seen).add(monotonic_ns() - at_ns)


class BeatTimes:
    """Beats that were answered in the window, as far as a client reports them."""

    def __init__(self, go: Go) -> None:
        self._go = go
        self.times = TimeHistogram()

    def add(self, began_ns: int) -> None:
        """Record one."""
        if self._go.is_in_window(began_ns):
            self.times.add(monotonic_ns() - began_ns)


class NacosMember(Protocol):
    """One of Nacos's clients, which is an instance, or a subscriber."""

    async def register(self, ip: str, port: int) -> None:
        """Register an instance, which beats from now on."""

    async def follow(self, seen: SeenChanges) -> None:
        """Subscribe to the service's instances."""

    async def die(self) -> None:
        """End abruptly, as far as this client can."""


def _make_members(job: dict[str, Any], beats: BeatTimes) -> Any:
    if job["variant"] == "sdk-1":
        from bench.scenarios.sdk.nacos_http import HttpMember  # noqa: PLC0415 - the other is not imported

        return lambda number: HttpMember(number, job, beats)
    from bench.scenarios.sdk.nacos_grpc import GrpcMember  # noqa: PLC0415

    return lambda number: GrpcMember(number, job)


async def act(job: dict[str, Any], go: Go, control: ClientControl) -> dict[str, Any]:
    """Have all join; in the window, have some die and as many come; wait until all is seen."""
    beats, seen = BeatTimes(go), SeenChanges()
    make = _make_members(job, beats)
    subscribers = [make(number) for number in range(job["subscribers"])]
    for each in subscribers:
        await each.follow(seen)
    instances: list[NacosMember] = [make(len(subscribers) + number) for number in range(job["instances"])]
    for number, each in enumerate(instances, 1):
        await each.register(f"10.1.0.{number}", 8080)
    await control.sleep_until(go.window_ns)
    for number, dying in enumerate(instances[: job["changes"]], 1):
        seen.expect(len(subscribers), f"10.1.0.{number}", came=False)
        await dying.die()
        seen.expect(len(subscribers), f"10.2.0.{number}", came=True)
        await make(1000 + number).register(f"10.2.0.{number}", 8080)
    await control.sleep_until(go.end_ns)
    await process.wait_until(lambda: not seen.unseen or control.stopped.is_set(), job["patience_s"])
    return {
        "beats": beats.times.total(),
        **dict.fromkeys(("late", "polls", "reconnects", "false_dead"), 0),
        "errors": {},
        "changes": 2 * job["changes"],
        "unseen": len(seen.unseen),
        "beat_us": beats.times.histogram(),
        "newcomer_seen_us": seen.newcomer_seen.histogram(),
        "death_known_us": [],
        "death_seen_us": seen.death_seen.histogram(),
    }


if __name__ == "__main__":
    process.run_beside_threads(act)
