"""Bring up a cluster for a first try, and hold it until Ctrl-C: what `bench cluster up` does."""

import importlib.util
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.cluster import certificates, cluster_file, local
from bench.cluster.cluster_file import Claim, ClusterFile
from bench.cluster.local import LocalCluster, WorkerOptions
from bench.errors import LabError
from bench.lab import Lab

_LOOK_S = 0.5
"""How long the end of a process may go unnoticed."""
EXTRA = "keepalive-bench[cluster]"

Announce = Callable[[ClusterFile, Sequence[str]], None]
"""Called once the cluster is ready, with what the file says and the names of the workers."""


@dataclass(frozen=True, slots=True)
class LocalRequest:
    """What `bench cluster up --local` was asked for."""

    hosts: int
    worker: WorkerOptions
    output: Path
    has_tls: bool = True


def check_packages(*names: str) -> None:
    """Raise LabError unless the packages are installed."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise LabError(f"cluster: the package {name} is not installed; pip install '{EXTRA}'")


def run_local(request: LocalRequest, announce: Announce, warn: Callable[[str], None]) -> None:
    """Run a cluster on this machine until Ctrl-C or SIGTERM; when it returns nothing of it is left.

    `warn` is given a line for each worker that ends meanwhile. KeyboardInterrupt before it is ready,
    RoleError where its scheduler ends.
    """
    check_packages("distributed")
    with _ended_by_signals(), ExitStack() as stack:
        claim = stack.enter_context(cluster_file.claim(request.output))
        lab = stack.enter_context(local.open_hosts(request.hosts))
        cluster, file = _start(lab, request)
        _announce(claim, file, cluster, announce)
        try:
            _hold(cluster, warn)
        except KeyboardInterrupt:
            return


def _start(lab: Lab, request: LocalRequest) -> tuple[LocalCluster, ClusterFile]:
    files = certificates.make(lab.hosts["scheduler"].scratch("tls")) if request.has_tls else None
    cluster = local.start(lab, request.worker, None if files is None else files.security())
    namespaces = cluster_file.namespaces_of(cluster.scheduler.pid)
    if files is None:
        return cluster, ClusterFile(cluster.address, namespaces=namespaces)
    return cluster, ClusterFile(cluster.address, files.ca, files.certificate, files.key, namespaces)


def _announce(claim: Claim, file: ClusterFile, cluster: LocalCluster, announce: Announce) -> None:
    claim.write(file)
    announce(file, list(cluster.workers))


def _hold(cluster: LocalCluster, warn: Callable[[str], None]) -> None:
    """Wait for the end of the scheduler, which is raised as RoleError; `warn` of workers that end."""
    running = dict(cluster.workers)
    while True:
        if (error := cluster.scheduler.ended()) is not None:
            raise error
        for name, worker in list(running.items()):
            if (error := worker.ended()) is not None:
                del running[name]
                warn(f"{error}; {len(running)} of {len(cluster.workers)} workers are left")
        time.sleep(_LOOK_S)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Raise KeyboardInterrupt at SIGTERM and SIGHUP too."""
    before = {each: signal.signal(each, signal.default_int_handler) for each in _ENDING}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
