"""What a part of a trial reports once a second: what came before its loss is not lost with it."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.errors import RoleError
from bench.load.generator import Second
from bench.observe.host_observer import HostSample
from bench.subjects.subject import SubjectCounts

_SECOND_NS = 1_000_000_000
_AFTER_NS = 30_000_000
"""From the end of a second to the report of it: its last sample is there by then."""


@dataclass(frozen=True, slots=True)
class PartCounts:
    """What the role of a part counted, read while it is still there."""

    version: str
    port_range: tuple[int, int]
    served: dict[str, Any] | None = None
    """The `count` event of a backend of ours (docs/reference/pipes.md)."""
    subject: SubjectCounts | None = None
    reuses_ports: bool = False


@dataclass(frozen=True, slots=True)
class PartReport:
    """What a part observed since its last report; moments are of its own clock."""

    start_ns: int
    """The first moment of the trial that it is of."""
    until_ns: int
    """The moment of the report."""
    seconds: tuple[Second, ...] = ()
    samples: tuple[HostSample, ...] = ()
    counts: PartCounts | None = None
    """Up to now; None in the last report, whose counts come with the result."""


class Reporter:
    """The observer of the part: it gathers what it is told, and reports it. States: made, running, over.

    It reports at each full second of the trial, and a second of the load workers as soon as all have told it;
    where nothing is new, there is no report.
    """

    def __init__(self, report: Callable[[PartReport], None]) -> None:
        """Call `report` with each report, on a thread of its own."""
        self._report = report
        self._count: Callable[[], PartCounts | None] = lambda: None
        self._start_ns = 0
        self._lock = threading.Condition()
        self._seconds: list[Second] = []
        self._samples: list[HostSample] = []
        self._is_over = False
        self._told: PartCounts | None = None
        self.made = 0
        """How many reports there were."""
        self._thread = threading.Thread(target=self._run, name="reporter", daemon=True)

    def start(self, start_ns: int, count: Callable[[], PartCounts | None]) -> None:
        """Begin to report a trial whose first moment is `start_ns`, with what `count` returns."""
        self._start_ns, self._count = start_ns, count
        self._thread.start()

    def stop(self) -> None:
        """Report what is left, and end."""
        with self._lock:
            self._is_over = True
            self._lock.notify()
        self._thread.join()

    def second(self, second: Second) -> None:
        """Gather a second of the load workers."""
        with self._lock:
            self._seconds.append(second)
            self._lock.notify()

    def sample(self, sample: HostSample, tuples: int, reuses: bool = False) -> None:
        """Gather a sample of the host."""
        with self._lock:
            self._samples.append(sample)

    def phase(self, name: str) -> None:
        """Ignore the phases: all parts have the same, which the coordinator shows."""

    def started(self, directory: object, trials: int) -> None:
        """Ignore the beginning of a run."""

    def note(self, text: str) -> None:
        """Ignore a line about the run."""

    def trial(self, number: int, label: str, warmup_s: float, duration_s: float) -> None:
        """Ignore the beginning of a trial."""

    def _run(self) -> None:
        while not self._wait():
            self._send(self._counted())
        self._send(None)

    def _wait(self) -> bool:
        """Wait until there is something to report; return whether that is the last."""
        now_ns = time.monotonic_ns()
        full = max(0, now_ns - self._start_ns - _AFTER_NS) // _SECOND_NS
        due_s = (self._start_ns + (full + 1) * _SECOND_NS + _AFTER_NS - now_ns) / 1e9
        with self._lock:
            self._lock.wait_for(lambda: self._is_over or self._seconds, due_s)
            return self._is_over

    def _counted(self) -> PartCounts | None:
        try:
            return self._count()
        except RoleError:  # the part itself notices that its role is gone, and says so
            return None

    def _send(self, counts: PartCounts | None) -> None:
        with self._lock:
            seconds, self._seconds = self._seconds, []
            samples, self._samples = self._samples, []
            until_ns = time.monotonic_ns()
        if not (seconds or samples or counts not in (None, self._told)):
            return
        self.made, self._told = self.made + 1, counts
        self._report(PartReport(self._start_ns, until_ns, tuple(seconds), tuple(samples), counts))
