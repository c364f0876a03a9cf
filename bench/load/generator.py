"""The harness's side of the load workers: starts them, assigns their jobs, merges their reports.

The reports arrive on the reader threads of the processes and wait in a queue; no call blocks longer than
its time-out.
"""

import dataclasses
import queue
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from bench.load import counters
from bench.load.job import LoadJob

Event = dict[str, Any]
OnEvent = Callable[[Event], bool]
"""Handle an event on the reader's thread; return whether it is handled, and so not kept."""


class WorkerProcess(Protocol):
    """A running worker, as bench.lab.Process."""

    @property
    def pid(self) -> int:
        """Return its pid."""

    @property
    def returncode(self) -> int | None:
        """Return its exit code; None while it runs."""

    def send(self, command: Mapping[str, Any], /) -> None:
        """Send one command; raise RoleError if the process is gone."""

    def wait_event(self, name: str, timeout_s: float, /) -> Event:
        """Return the oldest event called `name`; raise RoleError if it does not arrive in time."""

    def wait(self, timeout_s: float, /) -> int:
        """Return the exit code when it has ended; raise RoleError if it does not end in time."""


StartProcess = Callable[[Sequence[str], OnEvent], WorkerProcess]
"""Start the command on the client's host."""

ARGV = (sys.executable, "-m", "bench.load")


@dataclass(frozen=True, slots=True)
class Second:
    """One second of all workers together, or less than one at the edges of the window."""

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
    pacing_us: dict[int, int] = field(default_factory=dict)
    """From due time to sending; empty in closed loop."""
    queued: int = 0
    """Open loop: requests for which no connection was free when they were due."""
    handshake_us: dict[int, int] = field(default_factory=dict)
    """Empty without TLS."""
    statuses: dict[str, int] = field(default_factory=dict)
    """Responses by status, correct or not."""


@dataclass(frozen=True, slots=True)
class HandshakeTotals:
    """The TLS handshakes of all workers, over the whole trial."""

    full: int
    resumed: int
    negotiated: dict[str, int]
    """By version and cipher."""
    failures: dict[str, int]
    """By reason."""


@dataclass(frozen=True, slots=True)
class Totals:
    """The sums of all workers: `..._total` over the whole trial, the rest over the window."""

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
    handshakes: HandshakeTotals | None = None
    """None without TLS."""
    queued: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    """Responses by status, correct or not."""


class Generator:
    """The load of one trial. States: new, prepared, running, over (`wait` has returned)."""

    def __init__(self, jobs: Sequence[LoadJob], start: StartProcess) -> None:
        """Prepare one worker for each of `jobs` (job.split)."""
        self._jobs = jobs
        self._start = start
        self._processes: list[WorkerProcess] = []
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._pending: dict[tuple[int, bool, int], list[Event]] = {}
        self._done_workers: set[int] = set()

    @property
    def pids(self) -> list[int]:
        """Return the workers' pids."""
        return [process.pid for process in self._processes]

    @property
    def is_over(self) -> bool:
        """Return whether each worker has sent `done` or has ended."""
        return all(
            job.worker in self._done_workers or process.returncode is not None
            for job, process in zip(self._jobs, self._processes, strict=True)
        )

    def prepare(self, timeout_s: float = 10.0) -> None:
        """Start the workers and wait until all are ready; raise RoleError if one is not."""
        self._processes = [self._start(ARGV, self._receive) for _ in self._jobs]
        for job, process in zip(self._jobs, self._processes, strict=True):
            process.send({"command": "job", **job.to_json()})
        deadline_s = time.monotonic() + timeout_s
        for process in self._processes:
            process.wait_event("ready", max(0.0, deadline_s - time.monotonic()))

    def go(self, start_ns: int) -> None:
        """Start the load of all workers at `start_ns` (CLOCK_MONOTONIC)."""
        for process in self._processes:
            process.send({"command": "go", "start_ns": start_ns})

    def read(self, timeout_s: float) -> Second | None:
        """Return the next second that all workers have reported; None if none arrives in time.

        At the end of the load it returns the seconds that only some workers have reported, then None at
        once.
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
                self._done_workers.add(event["worker"])
            elif (second := self._merge(event)) is not None:
                return second

    def wait(self, timeout_s: float) -> Totals:
        """Return the totals when every worker has drained and ended; raise RoleError if one does not."""
        deadline_s = time.monotonic() + timeout_s
        done = [
            process.wait_event("done", max(0.0, deadline_s - time.monotonic())) for process in self._processes
        ]
        for process in self._processes:
            process.wait(max(0.0, deadline_s - time.monotonic()))
        return sum_totals(done)

    def _receive(self, event: Event) -> bool:
        if event["event"] in ("second", "done"):
            self._events.put(event)
        return bool(event["event"] == "second")

    def _merge(self, event: Event) -> Second | None:
        key = (event["second"], event["in_window"], event["start_ns"])
        parts = self._pending.setdefault(key, [])
        parts.append(event)
        return merge_seconds(self._pending.pop(key)) if len(parts) == len(self._jobs) else None

    def _oldest_pending(self) -> Second | None:
        if not self._pending:
            return None
        oldest = min(self._pending, key=lambda key: key[2])
        return merge_seconds(self._pending.pop(oldest))


def merge_seconds(parts: Sequence[Event]) -> Second:
    """Return the same second of several workers as one."""
    first, sums = parts[0], counters.LoadSums()
    for part in parts:
        sums.add(part)

    def histogram(name: str) -> dict[int, int]:
        return counters.merge_histograms(part.get(name, ()) for part in parts)

    return Second(
        second=first["second"],
        start_ns=first["start_ns"],
        end_ns=max(part["end_ns"] for part in parts),
        in_window=first["in_window"],
        ticks=_add_rows([part["ticks"] for part in parts]),
        requests=sums.counts["requests"],
        errors=sums.errors,
        opened=sums.counts["opened"],
        bytes=sums.counts["bytes"],
        late=sums.counts["late"],
        queued=sums.counts["queued"],
        never_started=sums.counts["never_started"],
        statuses=dict(sorted(sums.statuses.items())),
        latency_us=histogram("latency_us"),
        service_us=histogram("service_us"),
        connect_us=histogram("connect_us"),
        handshake_us=histogram("handshake_us"),
        pacing_us=histogram("pacing_us"),
    )


def sum_totals(done: Sequence[Event]) -> Totals:
    """Return the `done` events of several workers as one."""
    return merge_totals([_totals(event) for event in done])


def merge_totals(parts: Sequence[Totals]) -> Totals:
    """Return the totals of several groups of workers as one; the window is from the first to the last."""
    handshakes = [part.handshakes for part in parts if part.handshakes is not None]

    def total(name: str) -> int:
        return sum(getattr(part, name) for part in parts)

    return Totals(
        interrupted=any(part.interrupted for part in parts),
        first_connect_ns=min(part.first_connect_ns for part in parts),
        window_start_ns=min(part.window_start_ns for part in parts),
        window_end_ns=max(part.window_end_ns for part in parts),
        drained_ns=max(part.drained_ns for part in parts),
        requests_total=total("requests_total"),
        opened_total=total("opened_total"),
        errors_total=_sum_errors(part.errors_total for part in parts),
        requests=total("requests"),
        errors=_sum_errors(part.errors for part in parts),
        statuses=_sum_statuses(part.statuses for part in parts),
        opened=total("opened"),
        bytes=total("bytes"),
        late=total("late"),
        queued=total("queued"),
        never_started=total("never_started"),
        handshakes=_sum_handshakes(handshakes),
    )


def _totals(event: Event) -> Totals:
    """Return one worker's `done` event."""
    names = {each.name for each in dataclasses.fields(Totals)} - {"handshakes"}
    tls = event["tls"]
    return Totals(
        **{name: event[name] for name in names}, handshakes=None if tls is None else HandshakeTotals(**tls)
    )


def _sum_handshakes(parts: Sequence[HandshakeTotals]) -> HandshakeTotals | None:
    if not parts:
        return None

    def total(name: str) -> dict[str, int]:
        return dict(sum((Counter(getattr(part, name)) for part in parts), Counter()))

    return HandshakeTotals(
        full=sum(part.full for part in parts),
        resumed=sum(part.resumed for part in parts),
        negotiated=total("negotiated"),
        failures=total("failures"),
    )


def _sum_errors(parts: Iterable[dict[str, int]]) -> dict[str, int]:
    summed = dict.fromkeys(counters.ERROR_KINDS, 0)
    for part in parts:
        counters.add_errors(summed, part)
    return summed


def _sum_statuses(parts: Iterable[dict[str, int]]) -> dict[str, int]:
    summed: Counter[str] = Counter()
    for part in parts:
        summed.update(part)
    return dict(sorted(summed.items()))


def _add_rows(rows: Sequence[Sequence[int]]) -> tuple[int, ...]:
    width = max(map(len, rows))
    return tuple(sum(row[at] for row in rows if at < len(row)) for at in range(width))
