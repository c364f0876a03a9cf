"""CPU and memory of a role's whole process tree, and the machine's idle time and soft interrupts.

The CPU time of children that ended is not lost: their parent's `cutime` and `cstime` (proc(5)) hold
it once they are reaped, and until then, or where their parent never waits, the last reading of them counts.
"""

import contextlib
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

_MIB = 1 << 20
_IS_LINUX = sys.platform == "linux"
_KTHREADD = 2
"""The parent of all kernel threads (kernel/kthread.c)."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of a process tree in MiB. `uss_mib` is None where the system does not expose it."""

    rss_mib: float
    uss_mib: float | None
    """Unique set size: what would be free if the tree ended."""

    @property
    def mib(self) -> float:
        """Return the unique set size, or the resident one where that is unknown."""
        return self.rss_mib if self.uss_mib is None else self.uss_mib

    def __add__(self, other: "Memory") -> "Memory":
        is_complete = self.uss_mib is not None and other.uss_mib is not None
        uss_mib = (self.uss_mib or 0.0) + (other.uss_mib or 0.0)
        return Memory(self.rss_mib + other.rss_mib, uss_mib if is_complete else None)


@dataclass(slots=True)
class _Member:
    """One process of the tree: what it used by itself, and what it used through children that ended."""

    process: psutil.Process
    parent: int
    own_s: float = 0.0
    reaped_s: float = 0.0
    """Of the children that it has waited for, by the kernel's count."""
    lost_s: float = 0.0
    """What its children had used at the last refresh before they ended."""
    before_s: float = 0.0
    """Its `reaped_s` when it was added: children may have ended before."""

    @property
    def total_s(self) -> float:
        return self.own_s + max(self.reaped_s, self.before_s + self.lost_s)


class ProcessTree:
    """The process tree under `pid`, followed from when this is made; its CPU time never goes down.

    `cpu_s()` is cheap (a system call a process) and sees the processes known so far; `refresh()`
    finds new ones and those that ended.
    """

    def __init__(self, pid: int) -> None:
        self._root = pid
        self._members: dict[int, _Member] = {}
        self._gone_s = 0.0
        self._highest_s = 0.0
        self.refresh()

    @property
    def pids(self) -> list[int]:
        """Return the processes that were alive at the last refresh."""
        return list(self._members)

    def refresh(self) -> None:
        """Add new members and remove those that ended."""
        for pid in [pid for pid, member in self._members.items() if not _update(member)]:
            self._remove(self._members.pop(pid))
        if not self._members and (root := _find_process(self._root)) is not None:
            self._add(root, 0)
        pending = list(self._members)
        while pending:
            parent = pending.pop()
            for pid in children(parent):
                if pid not in self._members and (process := _find_process(pid)) is not None:
                    self._add(process, parent)
                    pending.append(pid)

    def cpu_s(self) -> float:
        """Return the CPU seconds, user and system, of the tree so far, ended members included."""
        for member in self._members.values():
            own_s = _own_cpu_s(member.process)
            if own_s is not None:
                member.own_s = max(member.own_s, own_s)
        total_s = self._gone_s + sum(member.total_s for member in self._members.values())
        # A child may end a moment before its parent's cutime holds it, in ticks of 10 ms.
        self._highest_s = max(self._highest_s, total_s)
        return self._highest_s

    def memory(self) -> Memory:
        """Return the memory of the living members; about half a millisecond a process."""
        rss = uss = 0
        is_complete = True
        for member in self._members.values():
            try:
                full = member.process.memory_full_info()
                rss, uss = rss + full.rss, uss + full.uss
            except psutil.NoSuchProcess:
                continue
            except psutil.AccessDenied:
                is_complete = False
                with contextlib.suppress(psutil.Error):
                    rss += member.process.memory_info().rss
        return Memory(rss / _MIB, uss / _MIB if is_complete else None)

    def run_queue_wait_s(self) -> float | None:
        """Return the seconds that the living threads were ready to run but had no core; None: unknown.

        Source: /proc/PID/task/TID/schedstat, second field (Documentation/scheduler/sched-stats.rst).
        """
        waits = [wait for pid in self._members if (wait := _run_queue_wait_s(pid)) is not None]
        return sum(waits) if waits else None

    def _add(self, process: psutil.Process, parent: int) -> None:
        member = _Member(process, parent)
        if _update(member):
            member.before_s = member.reaped_s
            self._members[process.pid] = member

    def _remove(self, member: _Member) -> None:
        parent = self._members.get(member.parent)
        if parent is None:
            self._gone_s += member.total_s
        else:
            parent.lost_s += member.total_s


def _find_process(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None


def _update(member: _Member) -> bool:
    """Read what the process used so far; return False where it is gone."""
    try:
        times = member.process.cpu_times()
        running = member.process.is_running()
    except psutil.Error:
        return False
    member.own_s = max(member.own_s, times.user + times.system)
    member.reaped_s = times.children_user + times.children_system
    return bool(running)


def _own_cpu_s(process: psutil.Process) -> float | None:
    """Return the CPU seconds of one process, to the nanosecond on Linux; None where it is gone."""
    if _IS_LINUX:
        # The CPU clock of another process (clock_getcpuclockid(3)); its number is built as in
        # include/linux/posix-timers.h, MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED).
        try:
            return time.clock_gettime((~process.pid << 3) | 2)
        except OSError:
            return None
    try:
        times = process.cpu_times()
    except psutil.Error:
        return None
    return float(times.user + times.system)


def children(pid: int) -> list[int]:
    """Return the children of `pid`, whichever of its threads started them."""
    found: list[int] = []
    if not _IS_LINUX:
        with contextlib.suppress(psutil.Error):
            found = [child.pid for child in psutil.Process(pid).children()]
        return found
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            text = Path(f"/proc/{pid}/task/{thread}/children").read_text(encoding="ascii")
            found.extend(map(int, text.split()))
    return found


def ksoftirqd_s() -> float | None:
    """Return the CPU seconds so far of all ksoftirqd threads; None where they are hidden.

    What a network device has to do beyond what fits into an interrupt (kernel/softirq.c), veth's work
    among it, is theirs, and in no process tree. They serve the whole machine.
    """
    found: list[float] = []
    with contextlib.suppress(PermissionError):  # /proc mounted with hidepid (proc(5))
        found = [seconds for pid in children(_KTHREADD) if (seconds := _ksoftirqd_s(pid)) is not None]
    return sum(found) if found else None


def _ksoftirqd_s(pid: int) -> float | None:
    """Return the CPU seconds of `pid` (first field of its schedstat) where it is a ksoftirqd."""
    try:
        if not Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").startswith("ksoftirqd/"):
            return None
        return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) / 1e9
    except (FileNotFoundError, ProcessLookupError):
        return None


def _run_queue_wait_s(pid: int) -> float | None:
    total_ns = 0
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            total_ns += int(
                Path(f"/proc/{pid}/task/{thread}/schedstat").read_text(encoding="ascii").split()[1]
            )
    except (FileNotFoundError, ProcessLookupError):
        return None
    return total_ns / 1e9


def idle_s() -> dict[int, float]:
    """Return each core's idle seconds since the machine started (waiting for disks counts as idle)."""
    idle: dict[int, float] = {}
    for core, times in enumerate(psutil.cpu_times(percpu=True)):
        idle[core] = times.idle + getattr(times, "iowait", 0.0)
    return idle
