"""`python -m bench.load`: a load worker that talks over its standard streams (docs/pipes.md).

With `--target URL` the same worker runs alone, prints one JSON line at the end, and is what
`make perf` holds against wrk: nothing is imported that a worker would not import.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from time import monotonic_ns
from typing import Any

from bench.load.job import Job
from bench.load.limits import allow_descriptors
from bench.load.poller import READABLE, Poller
from bench.load.worker import Worker


class Control:
    """The harness's end of the pipes. Its end of file means that the harness is gone."""

    def __init__(self, poller: Poller) -> None:
        self._pending = b""
        self._poller = poller
        self.worker: Worker | None = None

    def command(self) -> dict[str, Any]:
        """Wait for the next command."""
        while b"\n" not in self._pending:
            self._read()
        line, _, self._pending = self._pending.partition(b"\n")
        command: dict[str, Any] = json.loads(line)
        return command

    def listen(self) -> None:
        """Take `stop` while the worker runs."""
        self._poller.watch(0, READABLE, self._readable)

    def _read(self) -> None:
        data = os.read(0, 65_536)
        if not data:
            os._exit(0)
        self._pending += data

    def _readable(self) -> None:
        self._read()
        while b"\n" in self._pending:
            if self.command().get("command") == "stop" and self.worker is not None:
                self.worker.stop()


def emit(event: dict[str, Any]) -> None:
    """Write one event; ends the process where the harness is gone."""
    try:
        sys.stdout.write(json.dumps(event, separators=(",", ":")) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os._exit(0)


def stop_on_signals(worker: Worker) -> None:
    """Let the first SIGTERM or SIGINT end the window, and the second the process."""

    def stop(number: int, frame: object) -> None:
        worker.stop()
        signal.signal(number, signal.SIG_DFL)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)


def serve() -> int:
    """Do the job that comes over stdin."""
    poller = Poller()
    control = Control(poller)
    try:
        job = Job.from_json(control.command())
    except (TypeError, ValueError) as error:
        sys.stderr.write(f"client: the first line is no job: {error}\n")
        return 2
    if (refusal := allow_descriptors(job.connections)) is not None:
        sys.stderr.write(f"client: {refusal}\n")
        return 3
    worker = control.worker = Worker(job, poller, emit)
    stop_on_signals(worker)
    emit({"event": "ready", "role": "client", "pid": os.getpid(), "worker": job.worker})
    go = control.command()
    if go.get("command") == "stop":
        worker.stop()
    control.listen()
    emit(worker.run(go.get("start_ns", monotonic_ns())))
    return 0


def main() -> int:
    """Run as the harness's worker, or alone where arguments are given."""
    if len(sys.argv) == 1:
        return serve()
    from bench.load import alone  # noqa: PLC0415  A worker of the harness has no use for a command line.

    return alone.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
