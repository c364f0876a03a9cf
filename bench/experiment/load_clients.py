"""The load workers as the clients of a trial: starts them, and keeps what they report."""

import time
from collections.abc import Callable, Sequence

from bench.lab import Host, Process
from bench.lab.role_process import READY_TIMEOUT_S
from bench.load.generator import Generator, OnEvent, Second, Totals
from bench.load.job import LoadJob, split
from bench.machine.affinity import Cores


def ignore(second: Second) -> None:
    """Ignore a second: the caller reads all of them at the end."""


class LoadClients:
    """The workers of one load. States: ready, running, finished (`totals` is known)."""

    def __init__(
        self,
        host: Host,
        job: LoadJob,
        jobs: Sequence[LoadJob] = (),
        cores: Cores = None,
        on_second: Callable[[Second], None] = ignore,
    ) -> None:
        """Start the workers on `host` and wait until all are ready; RoleError where one is not.

        Each does one of `jobs`, which are parts of `job`; without them one does all.
        """
        self.job = job
        self.processes: list[Process] = []
        self.seconds: list[Second] = []
        self._on_second = on_second
        self._totals: Totals | None = None

        def start(argv: Sequence[str], on_event: OnEvent) -> Process:
            process = host.start(argv, name="client", cpus=cores, on_event=on_event)
            self.processes.append(process)
            return process

        self._generator = Generator(jobs or split(job, 1), start)
        self._generator.prepare(READY_TIMEOUT_S)

    @property
    def is_over(self) -> bool:
        """Return whether each worker has sent its last event or has ended."""
        return self._generator.is_over

    @property
    def totals(self) -> Totals:
        """Return the sums of all workers."""
        assert self._totals is not None, "the load has not finished"
        return self._totals

    def go(self, start_ns: int) -> None:
        """Start the load at `start_ns` (CLOCK_MONOTONIC)."""
        self._generator.go(start_ns)

    def read_until(self, moment_ns: int) -> None:
        """Keep what the workers report until the moment `moment_ns`, or until their end."""
        while (left_ns := moment_ns - time.monotonic_ns()) > 0 and not self._generator.is_over:
            self._keep(self._generator.read(left_ns / 1e9))

    def finish(self, timeout_s: float) -> Totals:
        """Wait until all workers have drained and ended; RoleError where one does not within `timeout_s`."""
        self._totals = self._generator.wait(timeout_s)
        while self._keep(self._generator.read(0)):
            pass
        return self._totals

    def _keep(self, second: Second | None) -> bool:
        if second is None:
            return False
        self.seconds.append(second)
        self._on_second(second)
        return True
