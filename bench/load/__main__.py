"""Run a load worker that communicates over its standard streams (docs/pipes.md).

With `--target URL` the same worker runs without a harness and prints one JSON line at the end; `make perf`
compares it with wrk. Nothing is imported that a worker would not import.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from time import monotonic_ns
from typing import Any

from bench.load.job import LoadJob
from bench.load.poller import READABLE, Poller, raise_fd_limit
from bench.load.worker import LoadWorker


class WorkerControl:
    """The worker's end of the command pipe; its end of file means that the harness is gone."""

    def __init__(self, poller: Poller) -> None:
        self._pending = b""
        self._poller = poller
        self.worker: LoadWorker | None = None

    def read_command(self) -> dict[str, Any]:
        """Wait for the next command."""
        while b"\n" not in self._pending:
            self._read()
        line, _, self._pending = self._pending.partition(b"\n")
        command: dict[str, Any] = json.loads(line)
        return command

    def listen(self) -> None:
        """Handle `stop` while the worker runs."""
        self._poller.register(0, READABLE, self._readable)

    def _read(self) -> None:
        data = os.read(0, 65_536)
        if not data:
            os._exit(0)
        self._pending += data

    def _readable(self) -> None:
        self._read()
        while b"\n" in self._pending:
            if self.read_command().get("command") == "stop" and self.worker is not None:
                self.worker.stop()


def emit(event: dict[str, Any]) -> None:
    """Write one event; end the process if the harness is gone."""
    try:
        sys.stdout.write(json.dumps(event, separators=(",", ":")) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os._exit(0)


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
