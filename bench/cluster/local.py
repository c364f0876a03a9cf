"""A cluster on this machine: each host is a network namespace of its own, and nothing else is changed.

              scheduler 10.88.0.1
                   |
    ---------- control: 10.88.0.0/16 ----------      what Dask says
       |                |                |
    host-1           host-2           host-3 ..      10.88.1.N and 10.89.1.N
       |                |                |
    ------------ data: 10.89.0.0/16 -----------      the traffic under test

Both networks are bridges in a namespace between. Who talks to the scheduler joins its namespace
(cluster_file.enter). All processes hang together by a process group (lab/supervisor.py): in a PID namespace
a worker would have other pids than /proc shows.
"""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from bench.cluster.offers import Offers
from bench.errors import LabError
from bench.lab import supervisor, syscalls, veth
from bench.lab.hosts import Host, Lab
from bench.lab.namespaces import available, enter
from bench.lab.role_process import Process
from bench.lab.veth import VethEnd

CONTROL, DATA = "control", "data"
"""The interfaces of each host."""
SCHEDULER_PORT = 8786
MOST_HOSTS = 64
_SCHEDULER = "scheduler"
_PREFIX = 16
_START_TIMEOUT_S = 120.0
"""Each process takes a second of CPU time; they share what cores there are."""


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """What each worker offers."""

    offers: Offers
    threads: int


@dataclass(slots=True)
class LocalCluster:
    """The processes of a cluster on this machine, all of which are ready."""

    address: str
    """That of the scheduler, in its namespace."""
    scheduler: Process
    workers: dict[str, Process] = field(default_factory=dict)


@contextmanager
def open_hosts(count: int) -> Iterator[Lab]:
    """Open the scheduler's namespace and those of `count` hosts; LabError where the machine forbids it.

    Call it while the process has one thread. At the end of the block, or however this process ends, all that
    was started on the hosts is killed.
    """
    if (why_not := available()) is not None:
        raise LabError(f"cluster: {why_not}")
    enter()
    hub = Host("hub", [], [])
    hosts = [
        Host(_SCHEDULER, ["10.88.0.1"], []),
        *(Host(f"host-{n}", [f"10.88.1.{n}", f"10.89.1.{n}"], []) for n in range(1, count + 1)),
    ]
    with ExitStack() as undo:
        for host in (hub, *hosts):
            undo.callback(host.close)
        try:
            for host in (hub, *hosts):
                host.call(syscalls.unshare, syscalls.CLONE_NEWNET)
            _connect(hub, hosts)
            if os.getuid() != 0:
                for host in hosts:
                    host.call(syscalls.keep_rights)
        except OSError as error:
            raise LabError(
                f"cluster: cannot make the namespaces: {error}; `bench doctor` says more"
            ) from error
        supervised = supervisor.process_group()
        for host in hosts:
            host.join(supervised)
        undo.pop_all()
    with Lab("cluster", [hub, *hosts], supervised) as lab:
        yield lab


def _connect(hub: Host, hosts: Sequence[Host]) -> None:
    """Connect the hosts by bridges in the namespace of `hub`; each has the near end of two veth pairs."""
    members: dict[str, list[str]] = {CONTROL: [], DATA: []}
    middle = hub.call(os.open, "/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        for host in hosts:
            ends = [
                VethEnd(name, [at], _PREFIX)
                for name, at in zip((CONTROL, DATA), host.addresses, strict=False)
            ]
            for end in ends:
                far = VethEnd(f"{end.interface[0]}-{host.name}", [], _PREFIX)
                members[end.interface].append(far.interface)
                host.call(veth.add_pair, end, far, middle)
            host.call(veth.configure, ends)
    finally:
        os.close(middle)
    for name, interfaces in members.items():
        hub.call(veth.add_bridge, name, interfaces)


def start(lab: Lab, options: WorkerOptions, security: Mapping[str, Any] | None) -> LocalCluster:
    """Start the scheduler and a worker on each host, and wait until all are ready.

    `security` holds the arguments of Dask's Security, None without TLS. RoleError where one does not start.
    """
    place = lab.hosts[_SCHEDULER]
    at = {"host": place.front, "port": SCHEDULER_PORT}
    scheduler = _start(place, "Scheduler", at, security)
    address = str(scheduler.wait_event("ready", _START_TIMEOUT_S)["address"])
    cluster = LocalCluster(address, scheduler)
    for name, host in lab.hosts.items():
        if name not in ("hub", _SCHEDULER):
            worker = {
                "scheduler_ip": address,
                "name": name,
                "host": host.front,
                "nthreads": options.threads,
                "resources": dict(options.offers),
            }
            cluster.workers[name] = _start(host, "Worker", worker, security)
    for each in cluster.workers.values():
        each.wait_event("ready", _START_TIMEOUT_S)
    return cluster


def _start(
    host: Host, dask_class: str, options: Mapping[str, Any], security: Mapping[str, Any] | None
) -> Process:
    folder = str(host.scratch(host.name))
    spec = {"class": dask_class, "options": options, "security": security, "folder": folder}
    process = host.start([sys.executable, "-m", "bench.cluster.dask_process", host.name], name=host.name)
    process.send({"command": "start", **spec})
    return process
