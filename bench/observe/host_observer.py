"""The observer of one host: samples of its kernel's counters, its sockets and its role's processes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from bench.observe.process_tree import Memory, ProcessTree
from bench.observe.sock_diag import CONNECTED, SockDiag, Sockets
from bench.observe.socket_table import SocketTable
from bench.observe.tcp_counters import CounterFiles, Counters
from bench.observe.time_wait import (
    HostPorts,
    HostSockets,
    count_sockets,
    ports_used_since,
    time_wait_since,
)

T = TypeVar("T")

_COUNTERS = "opens, resets, listen overflows and established connections (/proc/net)"
_SOCKETS = "TIME_WAIT and ports in use (sock_diag)"


class LabHost(Protocol):
    """A host of the lab, as far as observing it goes."""

    name: str

    def call(self, function: Callable[[], T]) -> T:
        """Run `function` in the host's network namespace."""

    def port_range(self) -> tuple[int, int]:
        """Return the port range of the host's own connections."""


@dataclass(frozen=True, slots=True)
class HostTarget:
    """A host to observe: the roots of its role's process trees, and the ports its connections end at."""

    host: LabHost
    pids: Sequence[int] = ()
    listens: frozenset[int] = frozenset()
    """The ports on which it listens for the role before it."""
    connects_to: frozenset[int] = frozenset()
    """The ports of the role after it."""


@dataclass(frozen=True, slots=True)
class HostSample:
    """What one host looked like at one moment; None: this system does not expose it.

    Counters (opens, resets, overflows) count from when the observer was made, `cpu_s` from the start of
    the processes. `time_wait` and `ports_used` are exact once a second, and follow the kernel's gauge
    in between (time_wait.py). On loopback all hosts share the kernel's counters, so that these are None.
    """

    t_ns: int
    host: str
    time_wait: int | None = None
    established: int | None = None
    ports_used: int | None = None
    active_opens: int | None = None
    passive_opens: int | None = None
    resets: int | None = None
    listen_overflows: int | None = None
    cpu_s: float = 0.0
    memory_mib: float = 0.0


@dataclass(frozen=True, slots=True)
class Peaks:
    """The highest values of a host: an exact count of sockets, and memory in MiB."""

    time_wait: int = 0
    rss_mib: float = 0.0
    uss_mib: float | None = None


_NO_SOCKETS = HostSockets(0, 0, 0, 0, 0)
_NO_GAUGES = Counters()


class KernelView:
    """The kernel's view of one network namespace: its counters and its table of sockets.

    None stands for what this system does not expose; `missing` names it. Not for several
    threads at once.
    """

    def __init__(self, host: LabHost, *, is_this_machine: bool = False) -> None:
        self.missing: list[str] = []
        self._name = "all hosts" if is_this_machine else host.name
        self._files = self._open(host, CounterFiles, _COUNTERS)
        self._table: SockDiag | SocketTable | None = self._open(host, SockDiag, _SOCKETS)
        if self._table is None and is_this_machine:
            self._table = self._open_socket_table()
        self._base = None if self._files is None else self._files.read()
        self._last = self._base

    def _open(self, host: LabHost, opener: Callable[[], T], what: str) -> T | None:
        try:
            return host.call(opener)
        except OSError as error:
            self.missing.append(f"not measured on {self._name}: {what}: {error.strerror}")
            return None

    def _open_socket_table(self) -> SocketTable | None:
        """Return the table that psutil reads, which is this machine's whatever the thread's namespace."""
        try:
            table = SocketTable()
        except OSError as error:
            self.missing[-1] += f"; nor by psutil: {error.strerror}"
            return None
        self.missing[-1] += "; psutil counts them instead, less often"
        return table

    @property
    def left_over(self) -> int:
        """Return the sockets in TIME_WAIT that were there when this was made."""
        return 0 if self._base is None else self._base.time_wait

    def counters(self, is_full: bool = True) -> Counters | None:
        """Return the counters now, what only grows counted from when this was made.

        Without `is_full` the listen counters are those of the last full reading, for half the cost.
        """
        if self._files is None or self._base is None:
            return None
        self._last = self._files.read(None if is_full else self._last)
        return self._last.since(self._base)

    def sockets(self) -> Sockets | None:
        """Return all sockets that have a peer, which costs milliseconds."""
        return None if self._table is None else self._table.dump(CONNECTED)

    def close(self) -> None:
        """Close what holds the namespace."""
        for source in (self._files, self._table):
            if source is not None:
                source.close()


class HostObserver:
    """Make samples of one host from its kernel's counters, its sockets and its processes.

    `is_shared`: the kernel counts for other hosts too (loopback), so that its counters do not
    describe this one. Not for several threads at once.
    """

    def __init__(self, target: HostTarget, is_shared: bool) -> None:
        self.name = target.host.name
        self.peaks = Peaks()
        self.left_over = 0
        """Sockets in TIME_WAIT of trials before, for which the kernel's gauge is too high."""
        self._is_shared = is_shared
        self._trees = [ProcessTree(pid) for pid in target.pids]
        self._memory = Memory(0.0, None)
        self._ends = HostPorts(target.listens, target.connects_to, target.host.port_range())
        self._sockets, self._gauges = _NO_SOCKETS, _NO_GAUGES
        self.measure_memory()

    def add_process(self, pid: int) -> None:
        """Count the tree under one more process for the role from now on, beside what the others used."""
        self._trees.append(ProcessTree(pid))

    def cpu_s(self) -> float:
        """Return the CPU seconds of the role's processes so far."""
        return sum(tree.cpu_s() for tree in self._trees)

    def run_queue_wait_s(self) -> list[float | None]:
        """Return for each root's tree how long its threads were ready to run but had no core, in seconds."""
        return [tree.run_queue_wait_s() for tree in self._trees]

    def sample(self, t_ns: int, counters: Counters | None) -> HostSample:
        """Return a sample of the host now, from the cheap sources."""
        sample = HostSample(t_ns, self.name, cpu_s=self.cpu_s(), memory_mib=self._memory.mib)
        if counters is None:
            if self._sockets is _NO_SOCKETS:
                return sample
            return replace(sample, time_wait=self._sockets.time_wait, ports_used=self._sockets.ports_used)
        gauges = self._gauges_of(counters)
        if not self._is_shared:
            sample = replace(sample, **counters._asdict())
        return replace(
            sample,
            time_wait=time_wait_since(self._sockets, self._gauges, gauges),
            ports_used=ports_used_since(self._sockets, self._gauges, gauges),
        )

    def needs_socket_counts(self, counters: Counters | None) -> bool:
        """Return whether exact counts of sockets add to the kernel's gauges."""
        has_two_sides = bool(self._ends.listens and self._ends.connects_to)
        return counters is None or has_two_sides or self._is_shared or counters.time_wait > 0

    def count_sockets(self, counters: Counters | None, sockets: Sockets) -> HostSockets:
        """Count the host's own among `sockets`; samples follow `counters` from here, where there are any."""
        self._gauges = _NO_GAUGES if counters is None else self._gauges_of(counters)
        self._sockets = count_sockets(sockets, self._ends)
        self.peaks = replace(self.peaks, time_wait=max(self.peaks.time_wait, self._sockets.time_wait))
        return self._sockets

    def measure_memory(self) -> Memory:
        """Find new processes, and measure the memory of all; half a millisecond a process."""
        self._memory = Memory(0.0, 0.0)
        for tree in self._trees:
            tree.refresh()
            self._memory += tree.memory()
        uss_mib = self._memory.uss_mib
        self.peaks = replace(
            self.peaks,
            rss_mib=max(self.peaks.rss_mib, self._memory.rss_mib),
            uss_mib=self.peaks.uss_mib if uss_mib is None else max(self.peaks.uss_mib or 0.0, uss_mib),
        )
        return self._memory

    def _gauges_of(self, counters: Counters) -> Counters:
        """Return the gauges that samples follow; opens that hosts share do not describe this one."""
        counters = counters._replace(time_wait=max(0, counters.time_wait - self.left_over))
        return counters._replace(active_opens=0, passive_opens=0) if self._is_shared else counters
