"""The harness's side of the load workers: starts them, gives each its job, merges what they report.

The workers' reports arrive on the readers' threads of their processes and wait in a queue; nothing
here blocks for longer than it is told to.
"""

from __future__ import annotations

import queue
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from bench.load import tally
from bench.load.job import Job, split

Event = dict[str, Any]
OnEvent = Callable[[Event], bool]
"""Takes an event on the reader's thread; returns whether it is dealt with, and so not kept."""


class Role(Protocol):
    """A running worker: what bench.lab.Process is."""

    @property
    def pid(self) -> int:
        """Return its pid."""

    @property
    def returncode(self) -> int | None:
        """Return its exit code; None while it runs."""

    def send(self, command: Mapping[str, Any], /) -> None:
        """Send one command; RoleError where the role is gone."""

    def wait_event(self, name: str, timeout_s: float, /) -> Event:
        """Return the oldest event called `name`; RoleError where it does not come in time."""

    def wait(self, timeout_s: float, /) -> int:
        """Return the exit code once it has ended; RoleError where it has not in time."""


Start = Callable[[Sequence[str], OnEvent], Role]
"""Starts the command on the client's host."""

ARGV = (sys.executable, "-m", "bench.load")


@dataclass(frozen=True, slots=True)
class Second:
    """A second, or less of one at the edges of the window, of all workers together."""

    second: int
    """Counts from the start of the load."""
    start_ns: int
    end_ns: int
    in_window: bool
    ticks: tuple[int, ...]
    """Correct responses per tenth of a second from `start_ns` on; the last may be shorter."""
    requests: int
    errors: dict[str, int]
    opened: int
    bytes: int
    late: int
    never_started: int
    latency_us: dict[int, int]
    service_us: dict[int, int]
    """Empty in closed loop, where it would be `latency_us` again."""
    connect_us: dict[int, int]


@dataclass(frozen=True, slots=True)
class Totals:
    """What all workers did: `..._total` over the whole trial, the rest over the window."""

    interrupted: bool
    first_connect_ns: int
    window_start_ns: int
    window_end_ns: int
    drained_ns: int
    requests_total: int
    opened_total: int
    errors_total: dict[str, int]
    requests: int
    errors: dict[str, int]
    opened: int
    bytes: int
    late: int
    never_started: int


class Generator:
    """The load of one trial. States: new, prepared, going, over (`wait` has returned)."""

    def __init__(self, job: Job, workers: int, start: Start) -> None:
        self._jobs = split(job, workers)
        self._start = start
        self._roles: list[Role] = []
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._pending: dict[tuple[int, bool, int], list[Event]] = {}
        self._told: set[int] = set()

    @property
    def pids(self) -> list[int]:
        """Return the workers' pids."""
        return [role.pid for role in self._roles]

    @property
    def is_over(self) -> bool:
        """Return whether each worker has said `done` or has ended."""
        return all(
            job.worker in self._told or role.returncode is not None
            for job, role in zip(self._jobs, self._roles, strict=True)
        )

    def prepare(self, timeout_s: float = 10.0) -> None:
        """Start the workers and wait until all are ready; RoleError where one is not."""
        self._roles = [self._start(ARGV, self._take) for _ in self._jobs]
        for job, role in zip(self._jobs, self._roles, strict=True):
            role.send({"command": "job", **job.to_json()})
        deadline_s = time.monotonic() + timeout_s
        for role in self._roles:
            role.wait_event("ready", max(0.0, deadline_s - time.monotonic()))

    def go(self, start_ns: int) -> None:
        """Let all workers begin at `start_ns` (CLOCK_MONOTONIC)."""
        for role in self._roles:
            role.send({"command": "go", "start_ns": start_ns})

    def stop(self) -> None:
        """End the window now; the workers drain and are then done. RoleError where one is gone."""
        for role in self._roles:
            role.send({"command": "stop"})

    def read(self, timeout_s: float) -> Second | None:
        """Return the next second that all workers have reported; None where none comes in time.

        Returns None at once when the load is over: then what is left are seconds that not every
        worker had, and they come first.
        """
        deadline_s = time.monotonic() + timeout_s
        while True:
            left_s = deadline_s - time.monotonic()
            is_over = self.is_over
            try:
                event = self._events.get(timeout=0 if is_over or left_s < 0 else left_s)
            except queue.Empty:
                return self._oldest_pending() if is_over else None
            if event["event"] == "done":
                self._told.add(event["worker"])
            elif (second := self._merge(event)) is not None:
                return second

    def wait(self, timeout_s: float) -> Totals:
        """Return the totals once every worker has drained and ended; RoleError where one does not."""
        deadline_s = time.monotonic() + timeout_s
        done = [role.wait_event("done", max(0.0, deadline_s - time.monotonic())) for role in self._roles]
        for role in self._roles:
            role.wait(max(0.0, deadline_s - time.monotonic()))
        return totals(done)

    def _take(self, event: Event) -> bool:
        if event["event"] in ("second", "done"):
            self._events.put(event)
        return bool(event["event"] == "second")

    def _merge(self, event: Event) -> Second | None:
        key = (event["second"], event["in_window"], event["start_ns"])
        parts = self._pending.setdefault(key, [])
        parts.append(event)
        return merge(self._pending.pop(key)) if len(parts) == len(self._jobs) else None

    def _oldest_pending(self) -> Second | None:
        if not self._pending:
            return None
        oldest = min(self._pending, key=lambda key: key[2])
        return merge(self._pending.pop(oldest))


def merge(parts: Sequence[Event]) -> Second:
    """Return the same second of several workers as one."""
    first, sums = parts[0], tally.Sums()
    for part in parts:
        sums.add(part)

    def histogram(name: str) -> dict[int, int]:
        return tally.merged(part.get(name, ()) for part in parts)

    return Second(
        second=first["second"],
        start_ns=first["start_ns"],
        end_ns=max(part["end_ns"] for part in parts),
        in_window=first["in_window"],
        ticks=_added([part["ticks"] for part in parts]),
        requests=sums.counts["requests"],
        errors=sums.errors,
        opened=sums.counts["opened"],
        bytes=sums.counts["bytes"],
        late=sums.counts["late"],
        never_started=sums.counts["never_started"],
        latency_us=histogram("latency_us"),
        service_us=histogram("service_us"),
        connect_us=histogram("connect_us"),
    )


def totals(done: Sequence[Event]) -> Totals:
    """Return what several workers did as one."""

    def total(name: str) -> int:
        return sum(event[name] for event in done)

    return Totals(
        interrupted=any(event["interrupted"] for event in done),
        first_connect_ns=min(event["first_connect_ns"] for event in done),
        window_start_ns=min(event["window_start_ns"] for event in done),
        window_end_ns=max(event["window_end_ns"] for event in done),
        drained_ns=max(event["drained_ns"] for event in done),
        requests_total=total("requests_total"),
        opened_total=total("opened_total"),
        errors_total=_errors(event["errors_total"] for event in done),
        requests=total("requests"),
        errors=_errors(event["errors"] for event in done),
        opened=total("opened"),
        bytes=total("bytes"),
        late=total("late"),
        never_started=total("never_started"),
    )


def _errors(parts: Iterable[dict[str, int]]) -> dict[str, int]:
    summed = dict.fromkeys(tally.ERROR_KINDS, 0)
    for part in parts:
        tally.add_errors(summed, part)
    return summed


def _added(rows: Sequence[Sequence[int]]) -> tuple[int, ...]:
    width = max(map(len, rows))
    return tuple(sum(row[at] for row in rows if at < len(row)) for at in range(width))
