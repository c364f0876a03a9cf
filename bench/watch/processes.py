"""Processes that a watch is about, with their children, and the sockets that they hold.

A process holds its sockets as open files (/proc/PID/fd, proc(5)), which its own user and root may read.
"""

import os
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
import psutil
from numpy.typing import NDArray

from bench.errors import PlanError
from bench.observe.listener import read_socket_inodes
from bench.observe.process_tree import children

_REFRESH_S = 1.0
"""Processes fork seldom; walking through them costs half a millisecond for a dozen."""
_SEARCH_S = 5.0
"""Looking for a name costs a file for each process of this machine."""
_ENDED = (b"Z", b"X")
"""States of a process that has ended (proc(5))."""


class Family:
    """Processes with all below them, followed as they fork and end."""

    def __init__(self, what: str, roots: Collection[int], name: str | None = None) -> None:
        """Take `what` as its name in words; all processes called `name` belong to it, those to come too."""
        self.what = what
        self._name = name
        self._members = {pid: started for pid in roots if (started := _start_time(pid)) is not None}
        self._refreshed_s = self._searched_s = time.monotonic()
        self._add_children()

    @property
    def pids(self) -> frozenset[int]:
        """Return the processes that were there at the last refresh."""
        return frozenset(self._members)

    def has(self, pid: int) -> bool:
        """Return whether a process is one of them now, though it began after the last refresh.

        FileNotFoundError where it, or one between, has ended.
        """
        while pid > 1 and pid not in self._members:
            pid = _parent(pid)
        return pid in self._members

    def refresh(self) -> tuple[str, ...]:
        """Find those that began, forget those that ended; return a sentence where none is left."""
        now_s = time.monotonic()
        if now_s - self._refreshed_s >= _REFRESH_S or not self._members:
            self._refreshed_s = now_s
            # A number that was given anew belongs to another process.
            self._members = {pid: at for pid, at in self._members.items() if _start_time(pid) == at}
            if self._name is not None and (now_s - self._searched_s >= _SEARCH_S or not self._members):
                self._searched_s = now_s
                self._add(find_named(self._name))
            self._add_children()
        if self._members:
            return ()
        return (f"{self.what}: no such process is left; its sockets in TIME_WAIT still are",)

    def _add(self, pids: Iterable[int]) -> None:
        for pid in pids:
            if pid not in self._members and (started := _start_time(pid)) is not None:
                self._members[pid] = started

    def _add_children(self) -> None:
        pending = list(self._members)
        while pending:
            found = [pid for pid in children(pending.pop()) if pid not in self._members]
            self._add(found)
            pending += found


def family_of_pid(pid: int, flag: str = "--pid") -> Family:
    """Return a process and all below it; PlanError where there is none."""
    if _start_time(pid) is None:
        raise PlanError(f"{flag} {pid}: there is no such process; `ps` lists them")
    return Family(f"process {pid} ({name_of(pid) or 'no name'}) and its children", [pid])


def family_of_name(name: str) -> Family:
    """Return all processes of a name, and all below them; PlanError where there is none."""
    found = find_named(name)
    if not found:
        raise PlanError(
            f"--process {name}: no process has this name; `ps -e` lists names, --pid takes a number"
        )
    return Family(f"processes named {name} and their children", found, name)


def find_named(name: str) -> list[int]:
    """Return the processes with a name: their own (15 characters), or their program's."""
    me = os.getpid()
    return [pid for pid in psutil.pids() if pid != me and _is_named(pid, name)]


def name_of(pid: int) -> str:
    """Return the name of a process as the kernel has it (/proc/PID/comm); "" where it ended."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def users_of(pids: Iterable[int]) -> frozenset[int]:
    """Return the users as which processes make sockets (the last number of Uid in /proc/PID/status)."""
    found = set()
    for pid in pids:
        try:
            with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
                found.add(int(file.read().partition("\nUid:")[2].split("\n", 1)[0].split()[3]))
        except OSError:  # it ended, or is hidden
            continue
    return frozenset(found)


def _is_named(pid: int, name: str) -> bool:
    if name_of(pid) == name[:15]:
        return True
    try:
        return os.path.basename(os.readlink(f"/proc/{pid}/exe")).removesuffix(" (deleted)") == name
    except OSError:  # of another user, of the kernel, or ended
        return False


def _parent(pid: int) -> int:
    """Return the parent of a process; 0 where it is in none of our namespaces (proc(5), field 4 of stat)."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[1])


def _start_time(pid: int) -> int | None:
    """Return when a process started, in ticks since the machine did; None where it ended (proc(5)).

    One that ended has a line in /proc until its parent waits for it: a zombie holds no sockets.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in _ENDED else int(fields[19])


@dataclass(frozen=True, slots=True)
class HeldSockets:
    """The sockets that processes held at one moment, in the order of their inodes."""

    inode: NDArray[np.uint32]
    owner: NDArray[np.intp]
    """Which of `names` holds it."""
    names: tuple[str, ...]
    read_ms: float
    """When the reading began, on the monotonic clock."""
    unreadable: int = 0
    """Processes whose files this user may not read."""

    def holds(self, inodes: NDArray[np.uint32]) -> NDArray[np.bool_]:
        """Return which of `inodes` one of the processes held."""
        found: NDArray[np.bool_] = np.isin(inodes, self.inode)
        return found


def held_sockets(pids: Iterable[int]) -> HeldSockets:
    """Return the sockets that processes hold now; five microseconds for each open file."""
    read_ms = time.monotonic() * 1e3
    names: dict[str, int] = {}
    inodes: list[int] = []
    owners: list[int] = []
    unreadable = 0
    for pid in pids:
        try:
            found = read_socket_inodes(pid)
        except PermissionError:
            unreadable += 1
            continue
        if found:
            inodes += found
            owners += [names.setdefault(name_of(pid), len(names))] * len(found)
    held, first = np.unique(np.array(inodes, np.uint32), return_index=True)
    return HeldSockets(held, np.array(owners, np.intp)[first], tuple(names), read_ms, unreadable)
