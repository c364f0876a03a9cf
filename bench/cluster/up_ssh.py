"""Bring up a cluster over ssh, and hold it until Ctrl-C: what `bench cluster up --ssh` does."""

import asyncio
import errno
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.cluster import certificates, cluster_file, interfaces
from bench.cluster.cluster_file import Claim
from bench.cluster.endpoint import check_packages
from bench.cluster.hosts_file import SshHost
from bench.cluster.up import Report, describe, ending_signals
from bench.errors import LabError, PlanError
from bench.lab import supervisor

if TYPE_CHECKING:
    from bench.cluster.ssh import SshOptions

_LOOK_S = 0.5
"""How long the end of a worker may go unnoticed."""
_JOIN_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class SshRequest:
    """What `bench cluster up --ssh` was asked for."""

    hosts: Sequence[SshHost]
    threads: int | None
    """Threads of each worker; None: as many as it offers parts."""
    output: Path
    interface: str = interfaces.LOOPBACK
    """Name or address of the interface on which the scheduler listens."""
    port: int = 8786
    has_tls: bool = True


def run_ssh(request: SshRequest, report: Report) -> None:
    """Run a scheduler here and a worker on each machine, until Ctrl-C or SIGTERM.

    PlanError where the machines cannot reach the scheduler, LabError where one cannot be used,
    KeyboardInterrupt where the end comes before it is ready.
    """
    check_packages("distributed", "asyncssh")
    listen = _listen_address(request)
    with ExitStack() as stack:
        claim = stack.enter_context(cluster_file.claim(request.output))
        # Its init removes the files where this process is killed.
        held = supervisor.process_group()
        stack.callback(held.reap)
        stack.callback(held.end)
        files = certificates.make(held.scratch("tls")) if request.has_tls else None
        from bench.cluster import ssh  # noqa: PLC0415 - it imports Dask

        options = ssh.SshOptions(listen, request.port, request.threads, files, report.warn)
        life = _Life(request, report, claim, options, str(held.scratch("scheduler")))
        try:
            asyncio.run(life.run())
        except asyncio.CancelledError as error:
            raise KeyboardInterrupt from error


def _listen_address(request: SshRequest) -> str:
    """Return where the scheduler listens; PlanError where a machine cannot reach that."""
    known = interfaces.addresses()
    listen = interfaces.address_of(request.interface, known)
    away = [host for host in request.hosts if not host.is_here]
    if away and interfaces.is_loopback(listen):
        choice = ", ".join(name for name, (first, *_) in known.items() if not interfaces.is_loopback(first))
        raise PlanError(
            f"--interface {request.interface}: {away[0].name} ({away[0].host}) cannot reach a scheduler on"
            f" loopback; name the interface that leads there: {choice or 'there is none'}"
        )
    return listen


@dataclass(slots=True)
class _Life:
    """A cluster from its start to its end."""

    request: SshRequest
    report: Report
    claim: Claim
    options: "SshOptions"
    folder: str
    is_ready: bool = False
    ending: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Run it until a signal; CancelledError where that comes before it is ready."""
        from bench.cluster import ssh  # noqa: PLC0415 - it imports Dask

        task = asyncio.current_task()
        assert task is not None
        for each in ending_signals():
            asyncio.get_running_loop().add_signal_handler(each, self._end, task)
        try:
            async with ssh.cluster(self.request.hosts, self.options, self.folder) as cluster:
                await self._wait_for_workers(cluster)
                file = describe(cluster.scheduler.address, self.options.certificates)
                self.claim.write(file)
                self.is_ready = True
                self.report.announce(file, [host.name for host in self.request.hosts])
                await self._hold(cluster)
        except RuntimeError as error:
            cause = error.__cause__ and error.__cause__.__cause__
            if not isinstance(cause, OSError):
                raise
            where = f"{self.options.listen}:{self.options.port}"
            why = "in use" if cause.errno == errno.EADDRINUSE else cause.strerror or str(cause)
            raise LabError(f"cluster: {where}: {why}; choose another with --port, 0 for any") from error

    def _end(self, task: "asyncio.Task[None]") -> None:
        """End at a signal; at the second one, or before it is ready, at once."""
        if self.is_ready and not self.ending.is_set():
            self.ending.set()
        else:
            task.cancel()

    async def _wait_for_workers(self, cluster: Any) -> None:
        """Wait until Dask's scheduler knows each worker."""
        try:
            async with asyncio.timeout(_JOIN_TIMEOUT_S):
                while len(cluster.scheduler.workers) < len(self.request.hosts):
                    await asyncio.sleep(0.05)
        except TimeoutError as error:
            known = {each.name for each in cluster.scheduler.workers.values()}
            missing = next(each for each in self.request.hosts if each.name not in known)
            raise LabError(
                f"cluster: {missing.name} ({missing.host}): its worker does not reach the scheduler"
                f" {cluster.scheduler.address} within {_JOIN_TIMEOUT_S:g} s; open the way, or name another"
                " --interface"
            ) from error

    async def _hold(self, cluster: Any) -> None:
        """Wait for a signal; report each worker that ends meanwhile."""
        running = dict(cluster.workers)
        while not self.ending.is_set():
            for name, worker in list(running.items()):
                if (ending := worker.ending) is not None:
                    del running[name]
                    self.report.warn(
                        f"{ending}; {len(running)} of {len(self.request.hosts)} workers are left"
                    )
            try:
                async with asyncio.timeout(_LOOK_S):
                    await self.ending.wait()
            except TimeoutError:
                continue
