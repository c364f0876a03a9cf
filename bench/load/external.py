"""Runs wrk, hey, ab or h2load once, and measures its time and CPU.

`python -m bench.load.external` is the same as a role (docs/reference/pipes.md), so that it can run on the
clients' host. tools.py knows the tools' arguments and reports.
"""

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
from bench.load import job_rules, tools
from bench.load.pipes import parse_command
from bench.load.tools import TOOLS, ToolLoad, ToolReport

ARGV = (sys.executable, "-m", "bench.load.external")


@dataclass(frozen=True, slots=True)
class ToolRun:
    """The report of a tool, its duration, and the CPU time of its process tree, user and system."""

    tool: str
    report: ToolReport
    wall_s: float
    cpu_s: float

    @property
    def requests_per_s(self) -> float:
        """Return the rate of answered requests."""
        return self.report.requests / self.wall_s

    @property
    def cpu_us_per_request(self) -> float | None:
        """Return the tool's CPU time per request; None without requests."""
        return self.cpu_s / self.report.requests * 1e6 if self.report.requests else None

    def to_json(self) -> dict[str, Any]:
        """Return the run as plain values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the run that `to_json` wrote; other keys are ignored."""
        report = dict(values["report"])
        # JSON keys are strings.
        report["latency_us"] = {float(percent): value for percent, value in report["latency_us"].items()}
        return cls(values["tool"], ToolReport(**report), values["wall_s"], values["cpu_s"])


def missing(names: Sequence[str]) -> list[str]:
    """Return the tools among `names` that are not installed."""
    return [name for name in names if shutil.which(name) is None]


def check(tool: str) -> None:
    """Raise RoleError if `tool` is not installed."""
    if missing([tool]):
        raise RoleError(tool, "is not installed; install it or leave it out")


def run(tool: str, load: ToolLoad, timeout_s: float = 300.0) -> ToolRun:
    """Run one tool to its end; raise RoleError if it is missing, fails, or its report cannot be parsed."""
    check(tool)
    if load.requests is not None and not TOOLS[tool].counts_requests:
        raise RoleError(tool, "cannot send a number of requests; give it a duration")
    began_s = time.monotonic()
    with TemporaryFile() as stdout_file, TemporaryFile() as stderr_file:
        process = subprocess.Popen([tool, *TOOLS[tool].argv(load)], stdout=stdout_file, stderr=stderr_file)
        cpu_s = _reap(process, timeout_s)
        stdout, stderr = (_text(file.fileno()) for file in (stdout_file, stderr_file))
    wall_s = time.monotonic() - began_s
    if process.returncode == -signal.SIGKILL and wall_s >= timeout_s:
        raise RoleError(tool, f"still runs after {timeout_s:g} s")
    if process.returncode != 0:
        last = (stderr or stdout).strip().rpartition("\n")[2]
        raise RoleError(tool, f"ended with exit code {process.returncode}", last)
    return ToolRun(tool, tools.parse_report(tool, stdout), wall_s, cpu_s)


def _reap(process: subprocess.Popen[bytes], timeout_s: float) -> float:
    """Wait until the tool has ended, and kill it after `timeout_s`; return the CPU seconds of its tree."""
    timer = threading.Timer(timeout_s, process.kill)
    timer.start()
    with ExitStack() as cleanup:
        cleanup.callback(process.wait)
        cleanup.callback(process.kill)
        cleanup.callback(timer.cancel)
        # Popen would discard the rusage.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        cleanup.pop_all()
    timer.cancel()
    return usage.ru_utime + usage.ru_stime


def _text(fd: int) -> str:
    return os.pread(fd, os.fstat(fd).st_size, 0).decode(errors="replace")


def _job(line: bytes) -> tuple[str, ToolLoad, float]:
    """Return the job of a line; raise ValueError if it is none."""
    values = job_rules.read_values(parse_command(line), job_rules.TOOL_JOB, job_rules.TOOL_JOB)
    load = job_rules.read_values(values["load"], job_rules.TOOL_LOAD, ("url", "connections"))
    if values["tool"] not in TOOLS or load.get("requests") is load.get("duration_s") is None:
        raise ValueError(f"give it one of {', '.join(TOOLS)}, and requests or duration_s")
    return values["tool"], ToolLoad(**load), values["timeout_s"]


def main() -> int:
    """Run the job that comes over stdin, and write its result."""
    try:
        tool_run = run(*_job(sys.stdin.buffer.readline()))
    except ValueError as error:
        sys.stderr.write(f"client: the first line is not a job: {error}\n")
        return 2
    except RoleError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(json.dumps({"event": "done"} | tool_run.to_json()) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
