"""A trial in time: its moments, what happens to its lab, what was read, and what came of it."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from bench.analysis.validity import Pressure
from bench.machine.affinity import Cores
from bench.observe import other_work, process_tree
from bench.observe.host_observer import HostSample
from bench.observe.interface_bytes import InterfaceBytes
from bench.observe.other_work import OtherWork
from bench.observe.sampler import HostObservation, Sampler

Event = dict[str, Any]
_HEAD_START_NS = 50_000_000
"""Between the command to go and the first connect: every client has read it by then."""


@dataclass(frozen=True, slots=True)
class SaturationReading:
    """What the load workers had waited for, their cores idled and ksoftirqd done, up to one moment."""

    moment_ns: int
    waited_s: Sequence[float | None]
    idle_s: float | None
    ksoftirqd_s: float | None = None
    foreign_s: float | None = None
    """What others used of their cores, and the hypervisor took, in seconds of one core."""

    @classmethod
    def now(cls, sampler: Sampler, client_cores: Cores) -> "SaturationReading":
        """Read all of it; neither idle time nor others where the workers have no cores of their own."""
        idle_s = foreign_s = None
        if "client" not in sampler.hosts:
            return cls(time.monotonic_ns(), (), None, process_tree.ksoftirqd_s())
        if client_cores is not None:
            idle, own_s = process_tree.idle_s(), sampler.cpu_s("client")
            idle_s = sum(idle[core] for core in client_cores) / len(client_cores)
            if (times := other_work.read_cores(client_cores)) is not None:
                foreign_s = (times.tasks_s + times.stolen_s - own_s) / len(client_cores)
        waited_s, ksoftirqd_s = sampler.run_queue_wait_s("client"), process_tree.ksoftirqd_s()
        return cls(time.monotonic_ns(), waited_s, idle_s, ksoftirqd_s, foreign_s)

    def until(self, later: "SaturationReading") -> Pressure:
        """Return the shares of the time between this moment and a later one."""
        length_s = (later.moment_ns - self.moment_ns) / 1e9
        waits = [
            after - before
            for before, after in zip(self.waited_s, later.waited_s, strict=True)
            if before is not None and after is not None
        ]
        idle = _share(self.idle_s, later.idle_s, length_s)
        foreign = _share(self.foreign_s, later.foreign_s, length_s)
        return Pressure(
            run_queue_wait=max(waits, default=0.0) / length_s,
            core_idle=None if idle is None else min(1.0, idle),
            ksoftirqd_cpu=_share(self.ksoftirqd_s, later.ksoftirqd_s, length_s),
            # The kernel counts by tick what the clients use exactly: a little less than nothing is nothing.
            foreign_cpu=None if foreign is None else min(1.0, max(0.0, foreign)),
        )


def _share(before_s: float | None, after_s: float | None, length_s: float) -> float | None:
    return None if before_s is None or after_s is None else (after_s - before_s) / length_s


class TrialTimes(NamedTuple):
    """The moments of a trial, CLOCK_MONOTONIC in nanoseconds."""

    start_ns: int
    """The first connect."""
    window_ns: int
    end_ns: int | None
    """The end of the window; None: when the clients are done."""

    @classmethod
    def after(cls, now_ns: int, warmup_s: float, duration_s: float | None) -> "TrialTimes":
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
    other_work: OtherWork | None = None
    """What others did on this machine from before the first connect to the window's end."""

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

    @property
    def other_cpu_share(self) -> float | None:
        """Return the share of all cores that others used; None where that is not known."""
        return None if self.other_work is None else self.other_work.cpu_share

    @property
    def stolen_cpu_share(self) -> float | None:
        """Return the share of all cores that the hypervisor took; None where that is not known."""
        return None if self.other_work is None else self.other_work.stolen_share

    def spent_s(self, role: str) -> float:
        """Return the CPU time that a role used in the window."""
        return self.last.cpu_s[role] - self.first.cpu_s[role]

    @property
    def held(self) -> int:
        """Return the most connections that the clients held at one time."""
        return max((sample.established or 0 for sample in self.samples if sample.host == "client"), default=0)
