"""Sample every host ten times a second while a trial runs, and count its sockets once a second.

A thread of its own with absolute deadlines; a tick that comes too late is left out, never made up
for. What is read, and how exact it is: host_observer.py.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.observe.host_observer import HostObserver, HostSample, HostTarget, KernelView, Peaks
from bench.observe.tcp_counters import Counters
from bench.observe.time_wait import HostSockets

_INTERVAL_NS = 100_000_000
_TICKS_PER_COUNT = 10
_TICKS_PER_MEMORY = 20
_COUNT_SHARE = 0.015
"""Where counting sockets would cost more of a core than this, it comes less often than once a second."""


@dataclass(frozen=True, slots=True)
class HostObservation:
    """One host at the end of a trial, exactly; None: this system does not expose it."""

    host: str
    sockets: HostSockets | None
    counters: Counters | None
    """Since the sampler was made; None on loopback too, where all hosts share them."""
    peaks: Peaks


@dataclass(slots=True)
class _Namespace:
    """One kernel's namespace with the hosts that live in it, and the ticks when a costlier reading is due.

    The namespaces take turns, so that no tick costs as much as all of them.
    """

    kernel: KernelView
    hosts: Sequence[HostObserver]
    count_due: int
    memory_due: int

    def sample(self, tick: int, interval_ns: int) -> list[HostSample]:
        """Return a sample of each host."""
        is_due = tick >= self.count_due
        counters = self.kernel.counters(is_full=is_due)
        if is_due:
            cost_ticks = self._count_sockets(counters) * 1e9 / interval_ns
            pause = max(_TICKS_PER_COUNT, int(cost_ticks / _COUNT_SHARE))
            # Where hosts share their gauges, only counts attribute the first connections.
            self.count_due = tick + (min(pause, tick + 1) if len(self.hosts) > 1 else pause)
        if tick >= self.memory_due:
            self.memory_due = tick + _TICKS_PER_MEMORY
            for host in self.hosts:
                host.measure_memory()
        now_ns = time.monotonic_ns()
        return [host.sample(now_ns, counters) for host in self.hosts]

    def _count_sockets(self, counters: Counters | None) -> float:
        """Count sockets exactly where that adds to the gauges; return the cost in CPU seconds."""
        before_s = time.thread_time()
        if any(host.needs_socket_counts(counters) for host in self.hosts):
            sockets = self.kernel.sockets()
            if sockets is not None:
                for host in self.hosts:
                    host.count_sockets(counters, sockets)
        return time.thread_time() - before_s


class Sampler:
    """Observe the hosts of `targets`. States: made, running, stopped, closed.

    Each sample goes to `on_sample`, on the sampler's own thread. `is_shared`: the hosts share one
    kernel's counters (loopback). Make it when the roles are ready and before the first connect.
    """

    def __init__(
        self,
        targets: Sequence[HostTarget],
        on_sample: Callable[[HostSample], None],
        *,
        is_shared: bool = False,
        interval_ns: int = _INTERVAL_NS,
    ) -> None:
        self._hosts = {each.host.name: HostObserver(each, is_shared) for each in targets}
        groups = [list(self._hosts.values())] if is_shared else [[host] for host in self._hosts.values()]
        self._namespaces = [
            _Namespace(
                KernelView(each.host, is_this_machine=is_shared),
                hosts,
                count_due=3 * number,
                memory_due=5 + 3 * number,
            )
            for number, (each, hosts) in enumerate(zip(targets, groups, strict=False))
        ]
        for namespace in self._namespaces:
            for host in namespace.hosts:
                host.left_over = namespace.kernel.left_over
        self._is_shared = is_shared
        self._on_sample = on_sample
        self._interval_ns = interval_ns
        self._is_over = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._began_ns = time.monotonic_ns()
        self._ended_ns: int | None = None
        self._cpu_s = 0.0
        self._failure: OSError | None = None

    @property
    def hosts(self) -> tuple[str, ...]:
        """Return the names of the hosts."""
        return tuple(self._hosts)

    @property
    def missing(self) -> list[str]:
        """Return what this system does not expose, a sentence each."""
        return [sentence for namespace in self._namespaces for sentence in namespace.kernel.missing]

    @property
    def cpu_share(self) -> float:
        """Return what observing cost so far, as a share of one core."""
        ended_ns = time.monotonic_ns() if self._ended_ns is None else self._ended_ns
        return self._cpu_s / max(1e-9, (ended_ns - self._began_ns) / 1e9)

    def start(self) -> None:
        """Start the thread; the first sample comes at once."""
        self._began_ns = time.monotonic_ns()
        self._thread.start()

    def stop(self) -> None:
        """End the sampling; `observe` and the like still work. OSError when sampling failed."""
        self._is_over.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._ended_ns = time.monotonic_ns()
        if self._failure is not None:
            raise self._failure
        for host in self._hosts.values():
            host.measure_memory()

    def close(self) -> None:
        """Close what holds the hosts' namespaces."""
        if self._thread.is_alive():
            self.stop()
        for namespace in self._namespaces:
            namespace.kernel.close()

    def add_process(self, host: str, pid: int) -> None:
        """Count the tree under `pid` for the host's role as well: a process that replaces another."""
        with self._lock:
            self._hosts[host].add_process(pid)

    def observe(self, host: str) -> HostObservation:
        """Return the host as it is now, its sockets counted exactly."""
        with self._lock:
            observer, kernel = self._hosts[host], self._kernel(host)
            counters, sockets = kernel.counters(), kernel.sockets()
            exact = None if sockets is None else observer.count_sockets(counters, sockets)
            return HostObservation(host, exact, None if self._is_shared else counters, observer.peaks)

    def cpu_s(self, host: str) -> float:
        """Return the CPU seconds of the host's processes so far."""
        with self._lock:
            return self._hosts[host].cpu_s()

    def run_queue_wait_s(self, host: str) -> list[float | None]:
        """Return for each of the host's roots how long its tree was ready to run but had no core."""
        with self._lock:
            return self._hosts[host].run_queue_wait_s()

    def _run(self) -> None:
        cpu_before_s = time.thread_time()
        start_ns, tick = time.monotonic_ns(), 0
        while True:
            try:
                self._tick(tick)
            except OSError as error:
                self._failure = error
                break
            self._cpu_s = time.thread_time() - cpu_before_s
            tick = max(tick + 1, (time.monotonic_ns() - start_ns) // self._interval_ns)
            due_ns = start_ns + tick * self._interval_ns
            if self._is_over.wait(max(0, due_ns - time.monotonic_ns()) / 1e9):
                break

    def _kernel(self, host: str) -> KernelView:
        return next(each.kernel for each in self._namespaces if self._hosts[host] in each.hosts)

    def _tick(self, tick: int) -> None:
        for namespace in self._namespaces:
            with self._lock:
                samples = namespace.sample(tick, self._interval_ns)
            for sample in samples:
                self._on_sample(sample)
