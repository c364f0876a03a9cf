"""A trial in time: its moments, what happens to its lab, and what came of it. Values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from bench.analysis.validity import Pressure
from bench.experiment.saturation import SaturationReading
from bench.observe.host_observer import HostSample
from bench.observe.interface_bytes import InterfaceBytes
from bench.observe.sampler import HostObservation

Event = dict[str, Any]
_HEAD_START_NS = 50_000_000
"""Between the command to go and the first connect: every client has read it by then."""


class TrialTimes(NamedTuple):
    """The moments of a trial, CLOCK_MONOTONIC in nanoseconds."""

    start_ns: int
    """The first connect."""
    window_ns: int
    end_ns: int | None
    """The end of the window; None: when the clients are done."""

    @classmethod
    def after(cls, now_ns: int, warmup_s: float, duration_s: float | None) -> TrialTimes:
        """Return those of a trial that is about to begin."""
        start_ns = now_ns + _HEAD_START_NS
        window_ns = start_ns + round(warmup_s * 1e9)
        return cls(start_ns, window_ns, None if duration_s is None else window_ns + round(duration_s * 1e9))


class Fault(NamedTuple):
    """What happens to the lab at a moment of a trial, in seconds from the first connect."""

    at_s: float
    act: Callable[[], None]


@dataclass(frozen=True, slots=True)
class MeterReading:
    """What was used and sent up to one edge of the window."""

    moment_ns: int
    reading: SaturationReading
    cpu_s: Mapping[str, float]
    front: InterfaceBytes | None
    back: InterfaceBytes | None


@dataclass(frozen=True, slots=True)
class TrialResult:
    """What was observed of one trial."""

    start_ns: int
    """The moment of the first connect (CLOCK_MONOTONIC)."""
    first: MeterReading
    last: MeterReading
    done: tuple[Event, ...]
    """The last event of each client, in the order in which they were started."""
    samples: tuple[HostSample, ...]
    seen: Mapping[str, HostObservation]
    notes: tuple[str, ...]
    observer_cpu_share: float
    interrupted: bool
    opened_by_network: int = 0
    """Connections that the proxy's host opened for others than the proxy."""

    @property
    def load_s(self) -> float:
        """Return the time from the first connect to the window's end."""
        return (self.last.moment_ns - self.start_ns) / 1e9

    @property
    def window_s(self) -> float:
        """Return how long the window was."""
        return (self.last.moment_ns - self.first.moment_ns) / 1e9

    @property
    def pressure(self) -> Pressure:
        """Return how hard the machine was on the clients in the window."""
        return self.first.reading.until(self.last.reading)

    def spent_s(self, role: str) -> float:
        """Return the CPU time that a role used in the window."""
        return self.last.cpu_s[role] - self.first.cpu_s[role]

    @property
    def held(self) -> int:
        """Return the most connections that the clients held at one time."""
        return max((sample.established or 0 for sample in self.samples if sample.host == "client"), default=0)
