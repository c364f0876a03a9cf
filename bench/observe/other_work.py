"""What other work a machine did during a trial: CPU of processes that are not ours, and of whom (Linux).

Another run at the same time is one kind of it. There are two accounts. The kernel's count of each core
(/proc/stat) misses nothing, but is sampled by tick. The processes (/proc/PID/stat) are exact and have names,
but those of other containers cannot be seen, and some may run on cores that we do not use.
"""

import os
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import NamedTuple

_PROC = Path("/proc")
_IS_LINUX = sys.platform == "linux"
_KTHREADD = 2
"""The parent of all kernel threads (kernel/kthread.c): what they do may be for us."""
_COMMANDS = frozenset({"bench", "keepalive-bench"})
_NAMED_SHARE = 0.25
"""Of the other work: a process that did less of it is not worth a name."""


class CoreTimes(NamedTuple):
    """The time that cores spent, in seconds since the machine started (proc_stat(5))."""

    tasks_s: float
    """In processes and system calls."""
    interrupts_s: float
    stolen_s: float
    """Taken by the hypervisor for other machines."""


class ProcessTimes(NamedTuple):
    """One process: what it used so far, and its children that ended, in seconds (proc_pid_stat(5))."""

    started: int
    parent: int
    name: str
    own_s: float
    children_s: float


Processes = Mapping[int, ProcessTimes]


class CpuReading(NamedTuple):
    """What all of a machine had done up to one moment."""

    moment_ns: int
    cores: CoreTimes
    processes: Processes


@dataclass(frozen=True, slots=True)
class OtherWork:
    """What others used during a trial, as shares of the time of all cores that the trial may use."""

    cpu_share: float
    stolen_share: float
    busiest: str = ""
    """Who used most of it, where that can be seen."""


def read(cores: Collection[int], proc: Path = _PROC) -> CpuReading | None:
    """Return a reading of these cores and all processes; None where the system does not expose it."""
    times = read_cores(cores, proc)
    return None if times is None else CpuReading(time.monotonic_ns(), times, dict(_read_processes(proc)))


def read_cores(cores: Collection[int], proc: Path = _PROC) -> CoreTimes | None:
    """Return what these cores did so far; None where the system does not expose it."""
    if not _IS_LINUX:
        return None
    try:
        return _read_cores(cores, (proc / "stat").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def between(before: CpuReading, after: CpuReading, cores: int, ours: Collection[int]) -> OtherWork:
    """Return what others did between two readings; no descendant of the processes `ours` is another.

    The count of the cores bounds that of the processes from above, and is the least that it was: without
    interrupts it may be short of what our own processes used, since they are charged for some of these.
    """
    length_s = max(1e-9, (after.moment_ns - before.moment_ns) / 1e9) * cores
    used_s = _used(before.processes, after.processes)
    own = _descendants(ours, before.processes) | _descendants(ours, after.processes)
    own_s = sum(seconds for pid, seconds in used_s.items() if pid in own)
    others_s = {pid: seconds for pid, seconds in used_s.items() if pid not in own}
    tasks_s = after.cores.tasks_s - before.cores.tasks_s
    interrupts_s = after.cores.interrupts_s - before.cores.interrupts_s
    at_most_s, at_least_s = max(0.0, tasks_s + interrupts_s - own_s), max(0.0, tasks_s - own_s)
    other_s = max(min(sum(others_s.values()), at_most_s), at_least_s)
    stolen_s = after.cores.stolen_s - before.cores.stolen_s
    return OtherWork(
        cpu_share=min(1.0, other_s / length_s),
        stolen_share=min(1.0, max(0.0, stolen_s) / length_s),
        busiest=_name_busiest(others_s, after.processes, other_s),
    )


def _read_cores(cores: Collection[int], text: str) -> CoreTimes:
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    wanted = {f"cpu{core}" for core in cores}
    rows = [line.split() for line in text.splitlines()]
    # user nice system idle iowait irq softirq steal; guests are within user
    times = [[int(ticks) * tick_s for ticks in row[1:9]] for row in rows if row and row[0] in wanted]
    return CoreTimes(
        tasks_s=sum(sum(row[:3]) for row in times),
        interrupts_s=sum(sum(row[5:7]) for row in times),
        stolen_s=sum(sum(row[7:8]) for row in times),
    )


def _read_processes(proc: Path) -> Iterator[tuple[int, ProcessTimes]]:
    """Yield every process but the kernel's own threads; one that ends meanwhile is left out."""
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    for entry in os.listdir(proc):
        if not entry.isdecimal():
            continue
        with suppress(OSError):
            text = (proc / entry / "stat").read_text(encoding="utf-8", errors="replace")
            head, _, tail = text.rpartition(")")
            fields = tail.split()
            if int(entry) != _KTHREADD != (parent := int(fields[1])):
                user, system, child_user, child_system = (int(ticks) * tick_s for ticks in fields[11:15])
                name = head.partition("(")[2]
                times = (user + system, child_user + child_system)
                yield int(entry), ProcessTimes(int(fields[19]), parent, name, *times)


def _used(before: Processes, after: Processes) -> dict[int, float]:
    """Return what each process that is still there used meanwhile, by itself and through children that ended.

    A child that ended takes along what it had used before: that was not now.
    """
    gone_s: dict[int, float] = {}
    for pid, times in before.items():
        if not _is_same(times, after.get(pid)):
            heir = _surviving(times.parent, before, after)
            gone_s[heir] = gone_s.get(heir, 0.0) + times.own_s + times.children_s
    used_s = {}
    for pid, times in after.items():
        earlier = before.get(pid)
        if earlier is None or not _is_same(times, earlier):
            used_s[pid] = times.own_s + times.children_s
            continue
        children_s = times.children_s - earlier.children_s - gone_s.get(pid, 0.0)
        used_s[pid] = max(0.0, times.own_s - earlier.own_s) + max(0.0, children_s)
    return used_s


def _surviving(pid: int, before: Processes, after: Processes) -> int:
    """Return the nearest of a process and its ancestors that is still there; 0 where there is none."""
    while pid in before and not _is_same(before[pid], after.get(pid)):
        pid = before[pid].parent
    return pid


def _is_same(times: ProcessTimes, other: ProcessTimes | None) -> bool:
    """Return whether two readings of one number are of one process: numbers are used again."""
    return other is not None and times.started == other.started


def _descendants(roots: Collection[int], processes: Processes) -> set[int]:
    children: dict[int, list[int]] = {}
    for pid, times in processes.items():
        children.setdefault(times.parent, []).append(pid)
    found, pending = set(), [*roots]
    while pending:
        pid = pending.pop()
        if pid not in found:
            found.add(pid)
            pending += children.get(pid, [])
    return found


def _name_busiest(others_s: Mapping[int, float], processes: Processes, other_s: float) -> str:
    """Return who used most, where that is a good part of all: another run as a whole, or a program."""
    summed: dict[str, float] = {}
    for pid, seconds in others_s.items():
        if seconds > 0:
            name = _name(pid, processes)
            summed[name] = summed.get(name, 0.0) + seconds
    busiest = max(summed, key=lambda name: summed[name], default="")
    return busiest if busiest and summed[busiest] >= _NAMED_SHARE * other_s else ""


def _name(pid: int, processes: Processes) -> str:
    """Return the run that a process belongs to, or else its own name."""
    ancestor, seen = pid, set()
    while ancestor in processes and ancestor not in seen:
        seen.add(ancestor)
        if is_run(_read_arguments(ancestor)):
            return f"another run of bench (process {ancestor})"
        ancestor = processes[ancestor].parent
    return processes[pid].name


def is_run(arguments: list[str]) -> bool:
    """Return whether this is the command line of a `bench`, however it was started."""
    called = [PurePath(argument).name for argument in arguments[:2]]
    module = [arguments[index + 1] for index, each in enumerate(arguments[:-1]) if each == "-m"][:1]
    return any(name in _COMMANDS for name in called) or module == ["bench"]


def _read_arguments(pid: int) -> list[str]:
    with suppress(OSError):
        text = (_PROC / str(pid) / "cmdline").read_bytes().decode("utf-8", "replace")
        return text.split("\0")[:-1]
    return []
