"""Faults of a running cluster: its processes are killed or stopped, interfaces of its hosts are set down."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from bench.cluster import cluster_file
from tests.cluster.clusters import ROOT, RunningCluster

_WATCHED = (sys.executable, "-m", "tests.cluster.watched_bench")
_LOAD = ("--warmup", "0.5", "--duration", "30", "--connections", "16", "--trials", "1")
_MODULES = {"backend": "backends", "proxy": "proxy", "client": "bench.load"}
_PIDS = """
def pid(dask_worker):
    import os
    return dask_worker.name, os.getpid()

with connect() as client:
    print(json.dumps(dict(client.run(pid).values())))
"""
_ON_HOST = """
import os
from bench.lab import syscalls
from pyroute2 import IPRoute
pid, *given = sys.argv[1:]
syscalls.setns(os.open(f"/proc/{pid}/ns/net", os.O_RDONLY), syscalls.CLONE_NEWNET)
with IPRoute() as route:
    change(route, *given)
print("null")
"""
_SET_LINK = """
def change(route, interface, state):
    route.link("set", index=route.link_lookup(ifname=interface)[0], state=state)
"""
_DROP = """
def change(route, address):
    route.route("add", dst=f"{address}/32", type="blackhole")
"""
_SET_PORTS = """
def change(route, ports):
    Path("/proc/sys/net/ipv4/ip_local_port_range").write_text(ports)
"""


def worker_pids(cluster: RunningCluster) -> dict[str, int]:
    """Return the process of each worker, by its name."""
    found: dict[str, int] = cluster.run(_PIDS)
    return found


def scheduler_pid(cluster: RunningCluster) -> int:
    """Return the process of the scheduler."""
    namespaces = cluster_file.read(cluster.path).namespaces
    assert namespaces is not None
    return namespaces.pid


def set_link(cluster: RunningCluster, pid: int, interface: str, state: str) -> None:
    """Set an interface of the host of a process up or down."""
    cluster.run(_SET_LINK + _ON_HOST, str(pid), interface, state)


def drop(cluster: RunningCluster, pid: int, address: str) -> None:
    """Drop whatever the host of a process sends to an address, as a firewall would."""
    cluster.run(_DROP + _ON_HOST, str(pid), address)


def set_ports(cluster: RunningCluster, pid: int, low: int, high: int) -> None:
    """Set the range of ports of the host of a process."""
    cluster.run(_SET_PORTS + _ON_HOST, str(pid), f"{low} {high}")


def role_processes(pid: int) -> dict[str, int]:
    """Return how many processes of each role there are among the descendants of a process."""
    found: dict[str, int] = {}
    for each in psutil.Process(pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # ended meanwhile, or not reaped yet
            line = " ".join(each.cmdline())
            for role, module in _MODULES.items():
                if f"-m {module} " in f"{line} ":
                    found[role] = found.get(role, 0) + 1
    return found


def worker_with(role: str, pids: dict[str, int]) -> int:
    """Return the process of a worker that has a role right now."""
    return next(pid for pid in pids.values() if psutil.pid_exists(pid) and role in role_processes(pid))


def wait_until_gone(cluster: RunningCluster, since_s: float) -> float:
    """Return how long after `since_s` no role of the cluster ran any more; at most some seconds more."""
    while psutil.pid_exists(cluster.up.pid) and role_processes(cluster.up.pid):
        if time.monotonic() - since_s > 30:
            break
        time.sleep(0.1)
    return time.monotonic() - since_s


@dataclass(slots=True)
class LossyRun:
    """A `bench run` during which something is lost."""

    process: subprocess.Popen[str]
    began_s: float = 0.0
    """When its load began."""
    said: str = ""
    """What it said on stderr, but for its phases."""

    def wait_for_load(self) -> bool:
        """Wait until the load begins; return False where this machine is too busy to know the clocks."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if line.startswith("phase warm-up"):
                self.began_s = int(line.split()[2]) / 1e9
                return True
            self.said += "" if line.startswith("phase") else line
        assert "its clock is known within" in self.said, self.said
        return False

    def finish(self) -> dict[str, Any]:
        """Wait for its end and return its trial."""
        out, err = self.process.communicate(timeout=60)
        self.said += "".join(line for line in err.splitlines(True) if not line.startswith("phase"))
        answer = json.loads(out)
        (trial,) = answer["trials"]
        return {**trial, "directory": answer["directory"]}


@contextmanager
def lossy_run(cluster: RunningCluster, root: Path, *flags: str) -> Iterator[LossyRun]:
    """Start a run of half a minute with two clients; it is killed at the end of the block."""
    where = ("--lab", "cluster", "--scheduler", str(cluster.path), "--data-interface", "data")
    argv = [*_WATCHED, "run", "--json", "-o", str(root), *where, *_LOAD, "--clients", "2", *flags]
    argv += ["--subject", "asyncio", "--mode", "keepalive"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(argv, cwd=ROOT, env=env, **pipes) as process:
        try:
            yield LossyRun(process)
        finally:
            process.kill()


def last_second(directory: str) -> float:
    """Return the end of the last tenth of a second that the clients' responses are recorded of."""
    with (Path(directory) / "timeline.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["host"] == "client" and row["requests"]]
    return max(float(row["t_s"]) for row in rows)


def kill(pid: int) -> None:
    """End a process at once, as if its machine lost its power."""
    os.kill(pid, signal.SIGKILL)
