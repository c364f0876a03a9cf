"""A second opinion: runs wrk, hey, ab or h2load to its end, and tells what it said and what it cost.

`python -m bench.load.external` is that as a role (docs/pipes.md), so that it can be started wherever
the clients live. What the tools are told and how they are read: tools.py.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import Any, Self

from bench.errors import RoleError
from bench.load import tools
from bench.load.tools import TOOLS, Load, Report

ARGV = (sys.executable, "-m", "bench.load.external")


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a tool said, how long it ran, and the CPU time of its whole process tree, user and system."""

    tool: str
    said: Report
    wall_s: float
    cpu_s: float

    @property
    def requests_per_s(self) -> float:
        """Return the rate of the requests that were answered."""
        return self.said.requests / self.wall_s

    @property
    def cpu_us_per_request(self) -> float | None:
        """Return what one of them cost the tool; None where there was none."""
        return self.cpu_s / self.said.requests * 1e6 if self.said.requests else None

    def to_json(self) -> dict[str, Any]:
        """Return the opinion as plain values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the opinion that `to_json` wrote, whatever else stands beside it."""
        said = dict(values["said"])
        # JSON knows texts as keys only.
        said["latency_us"] = {float(percent): value for percent, value in said["latency_us"].items()}
        return cls(values["tool"], Report(**said), values["wall_s"], values["cpu_s"])


def missing(names: Sequence[str]) -> list[str]:
    """Return those of the tools called `names` that are not installed."""
    return [name for name in names if shutil.which(name) is None]


def check(tool: str) -> None:
    """Raise RoleError where `tool` is not installed."""
    if missing([tool]):
        raise RoleError(tool, "is not installed; install it or leave it out")


def run(tool: str, load: Load, timeout_s: float = 300.0) -> Opinion:
    """Run one tool to its end; RoleError where it is missing, fails, or says what cannot be read."""
    check(tool)
    if load.requests is not None and not TOOLS[tool].counts_requests:
        raise RoleError(tool, "cannot send a number of requests; give it a duration")
    began_s = time.monotonic()
    with TemporaryFile() as report, TemporaryFile() as complaint:
        process = subprocess.Popen([tool, *TOOLS[tool].argv(load)], stdout=report, stderr=complaint)
        cpu_s = _reap(process, timeout_s)
        said, complained = (_text(file.fileno()) for file in (report, complaint))
    wall_s = time.monotonic() - began_s
    if process.returncode == -signal.SIGKILL and wall_s >= timeout_s:
        raise RoleError(tool, f"still runs after {timeout_s:g} s")
    if process.returncode != 0:
        last = (complained or said).strip().rpartition("\n")[2]
        raise RoleError(tool, f"ended with exit code {process.returncode}", last)
    return Opinion(tool, tools.read(tool, said), wall_s, cpu_s)


def _reap(process: subprocess.Popen[bytes], timeout_s: float) -> float:
    """Wait until the tool has ended, and end it after `timeout_s`; return the CPU seconds of its tree."""
    timer = threading.Timer(timeout_s, process.kill)
    timer.start()
    with ExitStack() as undo:
        undo.callback(process.wait)
        undo.callback(process.kill)
        undo.callback(timer.cancel)
        # Popen would throw its rusage away.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        undo.pop_all()
    timer.cancel()
    return usage.ru_utime + usage.ru_stime


def _text(fd: int) -> str:
    return os.pread(fd, os.fstat(fd).st_size, 0).decode(errors="replace")


def main() -> int:
    """Do the one job that comes over stdin, and say what came of it."""
    job = json.loads(sys.stdin.readline())
    try:
        opinion = run(job["tool"], Load(**job["load"]), job["timeout_s"])
    except RoleError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(json.dumps({"event": "done"} | opinion.to_json()) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
