"""All instances and subscribers of a trial: who joins when, who beats, who dies, and what came of it.

How a member talks to the registry is requesting.py's and streaming.py's.
"""

from __future__ import annotations

import asyncio
import errno
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from time import monotonic_ns
from typing import Any, Protocol

from bench.scenarios.client.process import Go, Times
from bench.scenarios.registry.changes import Address, Change, News
from bench.scenarios.registry.timer_wheel import Wheel

_AT_ONCE = 256
"""Joins and beats under way at once: where ports are hard to find each connect takes long, and of thousands
that begin together none would end before the last has begun."""


@dataclass(frozen=True, slots=True)
class Job:
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
    """How long after the window to wait for changes that nobody has seen yet."""
    server_closes: bool
    connections: int


@dataclass(frozen=True, slots=True)
class Named:
    """Which instance of which service."""

    service: str
    address: Address


class Instance(Protocol):
    """An instance as the registry sees it."""

    async def join(self) -> None:
        """Connect, as far as the way does, and register; OSError where that fails."""

    async def beat(self) -> None:
        """Give a sign of life and have it answered; OSError where that fails."""

    def die(self) -> None:
        """End without a word, as a process that is killed."""


@dataclass(slots=True)
class Tally:
    """What came of it."""

    go: Go
    news: News = field(default_factory=News)
    beats: int = 0
    late: int = 0
    polls: int = 0
    reconnects: int = 0
    mistaken: int = 0
    """Living instances that the registry took for dead."""
    errors: Counter[str] = field(default_factory=Counter)
    beat: Times = field(default_factory=Times)
    came: Times = field(default_factory=Times)
    known: Times = field(default_factory=Times)
    went: Times = field(default_factory=Times)

    def listed(self, who: int, service: str, listing: dict[str, Any]) -> None:
        """Take a list of instances that has reached a subscriber."""
        now_ns, changed_ns = monotonic_ns(), int(listing.get("changedNs", 0))

        def record(change: Change) -> None:
            (self.came if change.came else self.went).add(now_ns - change.at_ns)
            if not change.came:
                self.known.add(max(0, changed_ns - change.at_ns))

        there = {(host["ip"], host["port"]) for host in listing["hosts"]}
        self.news.look(who, service, there, record)

    def failed(self, error: OSError) -> None:
        """Count what a member could not do."""
        kind = "address_exhausted" if error.errno in (errno.EADDRNOTAVAIL, errno.EADDRINUSE) else "connect"
        self.errors["reset" if isinstance(error, ConnectionError) else kind] += 1


class Fleet:
    """The instances. They join at a pace, beat each at its own phase, and some of them die."""

    def __init__(self, job: Job, tally: Tally, make: Callable[[Named, int], Instance]) -> None:
        self._job = job
        self._tally = tally
        self._make = make
        self._wheel: Wheel[Instance] = Wheel(round(job.beat_every_s * 1e9), tally.go.start_ns)
        self._alive: dict[Named, Instance] = {}
        self._dead: set[Instance] = set()
        self._busy: set[Instance] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._joined = 0
        self.services = max(1, int(job.steps[-1][1]) // job.instances_per_service)

    async def live(self) -> None:
        """Have the instances join, and beat for good."""
        joining = asyncio.ensure_future(self._join_all())
        try:
            while True:
                for instance in self._wheel.due(monotonic_ns()):
                    self._beat(instance)
                await asyncio.sleep(self._wheel.slot_ns / 1e9)
        finally:
            joining.cancel()

    def spawn(self, doing: Coroutine[Any, Any, None]) -> None:
        """Do something beside everything else."""
        task = asyncio.ensure_future(doing)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """End all that is being done."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def change(self) -> None:
        """Let instances die and others come, in turn, in services that are followed."""
        job, gap_s = self._job, self._job.changes_s / max(1, self._job.changes)
        followed = min(job.subscribers, self.services)
        for turn in range(job.changes):
            self._kill(self.name(turn % followed))
            await asyncio.sleep(gap_s / 2)
            newcomer = Named(service_name(turn % followed), ("10.99.0.1", 1000 + turn))
            self._tally.news.add(newcomer.service, Change(newcomer.address, True, monotonic_ns()))
            self._start(newcomer)
            await asyncio.sleep(gap_s / 2)

    def name(self, number: int) -> Named:
        """Return the instance with a number; numbers deal out the services in turn."""
        service, host = number % self.services, number // self.services
        return Named(
            service_name(service),
            (f"10.{service >> 8 & 255}.{service & 255}.{host % 250}", 8000 + host // 250),
        )

    def _kill(self, named: Named) -> None:
        instance = self._alive.pop(named, None)
        if instance is not None:
            self._wheel.remove(instance)
            self._dead.add(instance)
            self._tally.news.add(named.service, Change(named.address, False, monotonic_ns()))
            instance.die()

    async def _join_all(self) -> None:
        start_ns = self._tally.go.start_ns
        for at_s, upto in self._job.steps:
            began_ns = start_ns + round(at_s * 1e9)
            await asyncio.sleep(max(0, began_ns - monotonic_ns()) / 1e9)
            before = self._joined
            while self._joined < upto:
                owed = round((monotonic_ns() - began_ns) / 1e9 * self._job.joins_per_s) + 1
                for _ in range(self._joined, min(int(upto), before + owed)):
                    self._start(self.name(self._joined))
                    self._joined += 1
                await asyncio.sleep(0.002)

    def _start(self, named: Named) -> None:
        instance = self._alive[named] = self._make(named, len(self._alive))
        self._wheel.add(instance, monotonic_ns())
        self._busy.add(instance)
        self.spawn(self._guarded(instance, instance.join))

    def _beat(self, instance: Instance) -> None:
        due_ns = monotonic_ns()
        in_window = self._tally.go.is_in_window(due_ns)
        if instance in self._busy:
            self._tally.late += in_window
            return
        self._busy.add(instance)
        action = partial(self._timed, instance, due_ns) if in_window else instance.beat
        self.spawn(self._guarded(instance, action))

    async def _timed(self, instance: Instance, due_ns: int) -> None:
        await instance.beat()
        self._tally.beats += 1
        self._tally.beat.add(monotonic_ns() - due_ns)

    async def _guarded(self, instance: Instance, action: Callable[[], Coroutine[Any, Any, None]]) -> None:
        # The coroutine is made where it is awaited: a task that is cancelled earlier would never close it.
        try:
            async with self._gate:
                if instance not in self._dead:  # it may have died since the beat was due
                    await action()
        except OSError as error:
            if instance not in self._dead:  # what dies in the middle of a beat is no failure of the registry
                self._tally.failed(error)
        finally:
            self._busy.discard(instance)


def service_name(number: int) -> str:
    """Return a service's name, its group before it."""
    return f"DEFAULT_GROUP@@service-{number}"
