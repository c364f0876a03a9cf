"""Who connects: the thread that a connection's first event names, and what it belongs to.

A socket that connects goes to SYN_SENT within connect(2) or sendto(2), so that this event, unlike those of
answers, carries the thread that asked for it. Sources: net/ipv4/tcp_ipv4.c (tcp_v4_connect), proc(5).
"""

import os
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bench.watch.scope import Scope

_INITIAL_PID_NAMESPACE = 0xEFFFFFFC
"""PROC_PID_INIT_INO of include/linux/proc_ns.h: the kernel's events carry the numbers of this namespace."""
_GENERATIONS = 8
"""Parents to look through: a worker is one or two below its master."""

IsOurs = Callable[[NDArray[np.int32]], NDArray[np.bool_]]
"""Tells of threads whether what they open belongs to the scope; also true where that is not known."""


class ConnectingThreads:
    """Tells of threads by /proc, once for each until `forget`. None of a thread that ended is known."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._known: dict[int, bool] = {}

    def __call__(self, threads: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Return whether each thread may be one of the scope."""
        unique, where = np.unique(threads, return_inverse=True)
        found = np.array([self._is_ours(thread) for thread in unique.tolist()], np.bool_)
        told: NDArray[np.bool_] = found[where]
        return told

    def forget(self) -> None:
        """Ask again from now on: a number of a process may be given anew."""
        self._known.clear()

    def _is_ours(self, thread: int) -> bool:
        if thread not in self._known:
            self._known[thread] = self._look(thread)
        return self._known[thread]

    def _look(self, thread: int) -> bool:
        pids = self._scope.pids
        try:
            if pids is None:
                return os.stat(f"/proc/{thread}/ns/net").st_ino == self._scope.netns_inode
            return _is_below(thread, pids)
        except OSError:
            # It ended. A process that is asked for lives longer than that; of a namespace it may be any.
            return pids is None


def namespace_of(pid: int) -> int | None:
    """Return the inode of the network namespace of a process or thread; None where it may not be read."""
    try:
        return os.stat(f"/proc/{pid}/ns/net").st_ino
    except OSError:
        return None


def can_name_threads() -> bool:
    """Return whether the numbers that the kernel's events carry are those of this process' /proc."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino == _INITIAL_PID_NAMESPACE
    except OSError:
        return False


def _is_below(thread: int, pids: frozenset[int]) -> bool:
    """Return whether a thread is of one of `pids`, or of a child that came since they were looked for."""
    for _ in range(_GENERATIONS):
        if thread in pids:
            return True
        process, parent = _process_and_parent(thread)
        if process in pids:
            return True
        if parent <= 1:
            break
        thread = parent
    return False


def _process_and_parent(thread: int) -> tuple[int, int]:
    with open(f"/proc/{thread}/status", encoding="utf-8", errors="replace") as file:
        fields = dict(line.split(":\t", 1) for line in file if line.startswith(("Tgid:", "PPid:")))
    return int(fields["Tgid"]), int(fields["PPid"])
