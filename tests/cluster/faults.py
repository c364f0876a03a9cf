"""Faults of a running cluster: its processes are killed or stopped, interfaces of its hosts are set down."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.cluster.clusters import RunningCluster

_PIDS = """
def pid(dask_worker):
    import os
    return dask_worker.name, os.getpid()

with connect() as client:
    print(json.dumps(dict(client.run(pid).values())))
"""
_SET_LINK = """
import ctypes, os
from bench.lab import syscalls
from pyroute2 import IPRoute
pid, interface, state = sys.argv[1:]
syscalls.setns(os.open(f"/proc/{pid}/ns/net", os.O_RDONLY), syscalls.CLONE_NEWNET)
with IPRoute() as route:
    route.link("set", index=route.link_lookup(ifname=interface)[0], state=state)
print("null")
"""


def worker_pids(cluster: RunningCluster) -> dict[str, int]:
    """Return the process of each worker, by its name."""
    found: dict[str, int] = cluster.run(_PIDS)
    return found


def scheduler_pid(cluster: RunningCluster) -> int:
    """Return the process of the scheduler."""
    found: int = cluster.run("print(json.dumps(file.namespaces.pid))")
    return found


def kill(pid: int) -> None:
    """End a process at once, as if its machine lost its power."""
    os.kill(pid, signal.SIGKILL)


def set_link(cluster: RunningCluster, pid: int, interface: str, state: str) -> None:
    """Set an interface of the host of a process up or down."""
    cluster.run(_SET_LINK, str(pid), interface, state)


def descendants(pid: int) -> list[str]:
    """Return the command lines of what the process started, and what that started."""
    lines = []
    for each in psutil.Process(pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # ended meanwhile, or not reaped yet
            lines.append(" ".join(each.cmdline()))
    return lines


def roles(cluster: RunningCluster) -> Iterator[str]:
    """Yield the command lines of the roles that run on the cluster."""
    for line in descendants(cluster.up.pid):
        if any(f"-m {module}" in line for module in ("backends", "proxy", "bench.load")):
            yield line


def scratch(folder: Path) -> list[str]:
    """Return what is in a folder that was the TMPDIR of a cluster."""
    return sorted(each.name for each in folder.iterdir())
