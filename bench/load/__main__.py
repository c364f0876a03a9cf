"""Run a load worker that communicates over its standard streams (docs/reference/pipes.md).

With `--target URL` the same worker runs without a harness and prints one JSON line at the end; `make perf`
compares it with wrk. Nothing is imported that a worker would not import.
"""

import os
import reprlib
import signal
import sys
from collections import deque
from time import monotonic_ns
from typing import Any

from bench.load.job import LoadJob
from bench.load.pipes import CommandError, CommandPipe, emit
from bench.load.poller import READABLE, Poller, raise_fd_limit
from bench.load.worker import LoadWorker, stop_on_signals

_LATEST_NS = 1 << 62
"""The latest moment of a start: no clock comes to it."""


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

    def read_start(self) -> int:
        """Wait for `go`, and return the moment of the start; stop the worker if `stop` comes in its place."""
        go = self.read_command()
        if go.get("command") == "stop" and self.worker is not None:
            self.worker.stop()
        start_ns = go.get("start_ns", monotonic_ns())
        if type(start_ns) is not int or not 0 <= start_ns <= _LATEST_NS:
            raise CommandError(f"start_ns = {reprlib.repr(start_ns)} is not a moment in nanoseconds")
        return start_ns

    def listen(self) -> None:
        """Handle `stop` while the worker runs."""
        try:
            self._poller.register(0, READABLE, self._readable)
        except PermissionError:
            # epoll does not watch a file: all its commands have been read.
            return

    def _readable(self) -> None:
        self._pending += self._pipe.read()
        while self._pending:
            if self._pending.popleft().get("command") == "stop" and self.worker is not None:
                self.worker.stop()


def run_job() -> int:
    """Run the job that comes over stdin; return the exit code."""
    poller = Poller()
    control = WorkerControl(poller)
    try:
        job = LoadJob.from_json(control.read_command())
    except ValueError as error:
        return _refuse(f"the first line is not a job: {error}")
    if (refusal := raise_fd_limit(job.connections)) is not None:
        sys.stderr.write(f"client: {refusal}\n")
        return 3
    worker = control.worker = LoadWorker(job, poller, emit)
    stop_on_signals(worker)
    emit({"event": "ready", "role": "client", "pid": os.getpid(), "worker": job.worker})
    try:
        start_ns = control.read_start()
        control.listen()
        emit(worker.run(start_ns))
    except CommandError as error:
        return _refuse(f"a line is not a command: {error}")
    return 0


def _refuse(reason: str) -> int:
    sys.stderr.write(f"client: {reason}\n")
    return 2


def main() -> int:
    """Run as a worker of the harness, or without one if there are arguments."""
    # Until there is something to drain, a signal ends the process at once.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if len(sys.argv) == 1:
        return run_job()
    from bench.load import standalone  # noqa: PLC0415  A worker of the harness needs no command line.

    return standalone.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
