"""All instances and subscribers of a trial: which joins when, beats and dies, and what that came to.

How a member talks to the registry is in http_members.py and stream_members.py.
"""

import asyncio
import errno
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from time import monotonic_ns
from typing import Any, Protocol

from bench.load.counters import TimeHistogram
from bench.scenarios.client import process
from bench.scenarios.client.process import Go
from bench.scenarios.registry.changes import Address, ChangeTracker, InstanceChange
from bench.scenarios.registry.timer_wheel import TimerWheel

_AT_ONCE = 256
"""Joins and beats under way at once: where ports are hard to find each connect takes long, and of thousands
that begin together none would end before the last has begun."""


@dataclass(frozen=True, slots=True)
class RegistryJob:
    """What the members are to do; times in seconds, from the start of the trial."""

    variant: str
    address: str
    sources: list[str]
    steps: list[list[float]]
    """[when, up to how many instances join from then on]."""
    joins_per_s: float
    beat_every_s: float
    instances_per_service: int
    subscribers: int
    poll_every_s: float
    changes: int
    """Instances that die in the first part of the window, and as many that come."""
    changes_s: float
    """How long that part is."""
    patience_s: float
    """How long after the window to wait for changes that have not been seen yet."""
    server_closes: bool


@dataclass(frozen=True, slots=True)
class InstanceName:
    """Which instance of which service."""

    service: str
    address: Address


class Instance(Protocol):
    """An instance as the registry sees it."""

    async def join(self) -> None:
        """Connect, where the variant does, and register; OSError where that fails."""

    async def beat(self) -> None:
        """Beat and wait for the response; OSError where that fails."""

    def die(self) -> None:
        """End abruptly, as a process that is killed."""


@dataclass(slots=True)
class RegistryCounts:
    """What the members counted."""

    go: Go
    tracker: ChangeTracker = field(default_factory=ChangeTracker)
    beats: int = 0
    late: int = 0
    polls: int = 0
    reconnects: int = 0
    false_dead: int = 0
    """Living instances that the registry took for dead."""
    errors: Counter[str] = field(default_factory=Counter)
    beat: TimeHistogram = field(default_factory=TimeHistogram)
    newcomer_seen: TimeHistogram = field(default_factory=TimeHistogram)
    death_known: TimeHistogram = field(default_factory=TimeHistogram)
    death_seen: TimeHistogram = field(default_factory=TimeHistogram)

    def receive_list(self, subscriber: int, service: str, listing: dict[str, Any]) -> None:
        """Process a list of instances that has reached a subscriber."""
        now_ns, changed_ns = monotonic_ns(), int(listing.get("changedNs", 0))

        def record(change: InstanceChange) -> None:
            (self.newcomer_seen if change.came else self.death_seen).add(now_ns - change.at_ns)
            if not change.came:
                self.death_known.add(max(1000, changed_ns - change.at_ns))

        there = {(host["ip"], host["port"]) for host in listing["hosts"]}
        self.tracker.compare(subscriber, service, there, record)

    def event(self) -> dict[str, Any]:
        """Return the keys of the `done` event."""
        counts = ("beats", "late", "polls", "reconnects", "false_dead")
        times = ("beat", "newcomer_seen", "death_known", "death_seen")
        return {
            **{name: getattr(self, name) for name in counts},
            **{f"{name}_us": getattr(self, name).histogram() for name in times},
            "errors": dict(self.errors),
            "changes": self.tracker.happened,
            "unseen": self.tracker.unseen,
        }

    def count_error(self, error: OSError) -> None:
        """Count what a member could not do."""
        kind = "address_exhausted" if error.errno in (errno.EADDRNOTAVAIL, errno.EADDRINUSE) else "connect"
        self.errors["reset" if isinstance(error, ConnectionError) else kind] += 1


class Fleet:
    """The instances. They join at a pace, beat each at its own phase, and some of them die."""

    def __init__(
        self, job: RegistryJob, counts: RegistryCounts, make: Callable[[InstanceName, int], Instance]
    ) -> None:
        self._job = job
        self._counts = counts
        self._make = make
        self._wheel: TimerWheel[Instance] = TimerWheel(round(job.beat_every_s * 1e9), counts.go.start_ns)
        self._alive: dict[InstanceName, Instance] = {}
        self._dead: set[Instance] = set()
        self._busy: set[Instance] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._joined = 0
        self.services = max(1, int(job.steps[-1][1]) // job.instances_per_service)

    async def run(self) -> None:
        """Have the instances join, and beat until cancelled."""
        joining = asyncio.ensure_future(self._join_all())
        try:
            while True:
                for instance in self._wheel.due(monotonic_ns()):
                    self._beat(instance)
                await asyncio.sleep(self._wheel.slot_ns / 1e9)
        finally:
            joining.cancel()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a task until it ends or the fleet stops."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Cancel all tasks."""
        await process.cancel(*self._tasks)

    async def change(self) -> None:
        """Have instances die and others join, in turn, in services that are followed."""
        job, gap_s = self._job, self._job.changes_s / max(1, self._job.changes)
        followed = min(job.subscribers, self.services)
        for turn in range(job.changes):
            self._kill(self.instance_name(turn % followed))
            await asyncio.sleep(gap_s / 2)
            newcomer = InstanceName(service_name(turn % followed), ("10.99.0.1", 1000 + turn))
            self._counts.tracker.add(newcomer.service, InstanceChange(newcomer.address, True, monotonic_ns()))
            self._start(newcomer)
            await asyncio.sleep(gap_s / 2)

    def instance_name(self, number: int) -> InstanceName:
        """Return the instance with a number; the services take turns."""
        service, host = number % self.services, number // self.services
        return InstanceName(
            service_name(service),
            (f"10.{service >> 8 & 255}.{service & 255}.{host % 250}", 8000 + host // 250),
        )

    def _kill(self, name: InstanceName) -> None:
        instance = self._alive.pop(name, None)
        if instance is not None:
            self._wheel.remove(instance)
            self._dead.add(instance)
            self._counts.tracker.add(name.service, InstanceChange(name.address, False, monotonic_ns()))
            instance.die()

    async def _join_all(self) -> None:
        start_ns = self._counts.go.start_ns
        for at_s, upto in self._job.steps:
            began_ns = start_ns + round(at_s * 1e9)
            await asyncio.sleep(max(0, began_ns - monotonic_ns()) / 1e9)
            before = self._joined
            while self._joined < upto:
                owed = round((monotonic_ns() - began_ns) / 1e9 * self._job.joins_per_s) + 1
                for _ in range(self._joined, min(int(upto), before + owed)):
                    self._start(self.instance_name(self._joined))
                    self._joined += 1
                await asyncio.sleep(0.002)

    def _start(self, name: InstanceName) -> None:
        instance = self._alive[name] = self._make(name, len(self._alive))
        self._wheel.add(instance, monotonic_ns())
        self._busy.add(instance)
        self.spawn(self._guarded(instance, instance.join))

    def _beat(self, instance: Instance) -> None:
        due_ns = monotonic_ns()
        in_window = self._counts.go.is_in_window(due_ns)
        if instance in self._busy:
            self._counts.late += in_window
            return
        self._busy.add(instance)
        action = partial(self._timed, instance, due_ns) if in_window else instance.beat
        self.spawn(self._guarded(instance, action))

    async def _timed(self, instance: Instance, due_ns: int) -> None:
        await instance.beat()
        self._counts.beats += 1
        self._counts.beat.add(monotonic_ns() - due_ns)

    async def _guarded(self, instance: Instance, action: Callable[[], Coroutine[Any, Any, None]]) -> None:
        # The coroutine is made where it is awaited: a task that is cancelled earlier would never close it.
        try:
            async with self._gate:
                if instance not in self._dead:  # it may have died since the beat was due
                    await action()
        except OSError as error:
            if instance not in self._dead:  # what dies in the middle of a beat is no failure of the registry
                self._counts.count_error(error)
        finally:
            self._busy.discard(instance)


def service_name(number: int) -> str:
    """Return a service's name, its group before it."""
    return f"DEFAULT_GROUP@@service-{number}"
