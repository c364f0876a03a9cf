"""Bring up a cluster for a first try, and hold it until Ctrl-C: what `bench cluster up` does."""

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.cluster import certificates, cluster_file, local
from bench.cluster.certificates import CertificateFiles
from bench.cluster.cluster_file import ClusterFile, Namespaces
from bench.cluster.endpoint import check_packages
from bench.cluster.local import LocalCluster, WorkerOptions
from bench.lab import Lab

_LOOK_S = 0.5
"""How long the end of a process may go unnoticed."""
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Report:
    """Who is told how a cluster fares."""

    announce: Callable[[ClusterFile, Sequence[str]], None]
    """Called once it is ready, with what the file says and the names of the workers."""
    warn: Callable[[str], None]
    """Called with a line for each worker that ends meanwhile."""


@dataclass(frozen=True, slots=True)
class LocalRequest:
    """What `bench cluster up --local` was asked for."""

    hosts: int
    worker: WorkerOptions
    output: Path
    has_tls: bool = True


def ending_signals() -> list[signal.Signals]:
    """Return the signals that end a cluster: not those that who started us has ignored, as nohup does."""
    return [each for each in _ENDING if signal.getsignal(each) is not signal.SIG_IGN]


def run_local(request: LocalRequest, report: Report) -> None:
    """Run a cluster on this machine until Ctrl-C or SIGTERM; when it returns nothing of it is left.

    KeyboardInterrupt where that comes before it is ready, RoleError where its scheduler ends.
    """
    check_packages("distributed")
    with _ended_by_signals(), ExitStack() as stack:
        claim = stack.enter_context(cluster_file.claim(request.output))
        lab = stack.enter_context(local.open_hosts(request.hosts))
        cluster, file = _start(lab, request)
        claim.write(file)
        try:
            report.announce(file, list(cluster.workers))
            _hold(cluster, report.warn)
        except KeyboardInterrupt:
            return


def _start(lab: Lab, request: LocalRequest) -> tuple[LocalCluster, ClusterFile]:
    files = certificates.make(lab.hosts["scheduler"].scratch("tls")) if request.has_tls else None
    cluster = local.start(lab, request.worker, None if files is None else files.security())
    return cluster, describe(cluster.address, files, cluster_file.namespaces_of(cluster.scheduler.pid))


def describe(
    address: str, files: CertificateFiles | None, namespaces: Namespaces | None = None
) -> ClusterFile:
    """Return what the file of a cluster says."""
    if files is None:
        return ClusterFile(address, namespaces=namespaces)
    return ClusterFile(address, files.ca, files.certificate, files.key, namespaces)


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
    before = {each: signal.signal(each, signal.default_int_handler) for each in ending_signals()}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
