"""Run a load worker that communicates over its standard streams (docs/pipes.md).

With `--target URL` the same worker runs without a harness and prints one JSON line at the end; `make perf`
compares it with wrk. Nothing is imported that a worker would not import.
"""

import os
import signal
import sys
from collections import deque
from time import monotonic_ns
from typing import Any

from bench.load.job import LoadJob
from bench.load.pipes import CommandPipe, emit
from bench.load.poller import READABLE, Poller, raise_fd_limit
from bench.load.worker import LoadWorker


class WorkerControl:
    """The commands to one worker."""

    def __init__(self, poller: Poller) -> None:
        self._pipe = CommandPipe()
        self._pending: deque[dict[str, Any]] = deque()
        self._poller = poller
        self.worker: LoadWorker | None = None

    def read_command(self) -> dict[str, Any]:
        """Wait for the next command."""
        while not self._pending:
            self._pending += self._pipe.read()
        return self._pending.popleft()

    def listen(self) -> None:
        """Handle `stop` while the worker runs."""
        self._poller.register(0, READABLE, self._readable)

    def _readable(self) -> None:
        self._pending += self._pipe.read()
        while self._pending:
            if self._pending.popleft().get("command") == "stop" and self.worker is not None:
                self.worker.stop()


def stop_on_signals(worker: LoadWorker) -> None:
    """End the window with the first SIGTERM or SIGINT, and the process with the second."""

    def stop(number: int, frame: object) -> None:
        worker.stop()
        signal.signal(number, signal.SIG_DFL)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)


def run_job() -> int:
    """Run the job that comes over stdin; return the exit code."""
    poller = Poller()
    control = WorkerControl(poller)
    try:
        job = LoadJob.from_json(control.read_command())
    except (TypeError, ValueError) as error:
        sys.stderr.write(f"client: the first line is not a job: {error}\n")
        return 2
    if (refusal := raise_fd_limit(job.connections)) is not None:
        sys.stderr.write(f"client: {refusal}\n")
        return 3
    worker = control.worker = LoadWorker(job, poller, emit)
    stop_on_signals(worker)
    emit({"event": "ready", "role": "client", "pid": os.getpid(), "worker": job.worker})
    go = control.read_command()
    if go.get("command") == "stop":
        worker.stop()
    control.listen()
    emit(worker.run(go.get("start_ns", monotonic_ns())))
    return 0


def main() -> int:
    """Run as a worker of the harness, or without one if there are arguments."""
    if len(sys.argv) == 1:
        return run_job()
    from bench.load import standalone  # noqa: PLC0415  A worker of the harness needs no command line.

    return standalone.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
