"""The load generators, ours and those of others, run to their end: what they sent, and what it cost them."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from bench.errors import RoleError
from bench.load import external
from bench.load.tools import ToolLoad
from bench.observe.process_tree import ProcessTree
from tests.perf import checkouts


@dataclass(frozen=True, slots=True)
class Sent:
    """What one run of a load generator came to. `cpu_s` is its whole process tree, user and system."""

    requests: int
    errors: int
    wall_s: float
    cpu_s: float

    @property
    def cpu_us_per_request(self) -> float:
        """Return what one request cost the generator."""
        return self.cpu_s / self.requests * 1e6

    @property
    def cpu_share(self) -> float:
        """Return the share of one core that it took."""
        return self.cpu_s / self.wall_s


def theirs(tool: str, load: ToolLoad, cores: set[int]) -> Sent:
    """Run wrk, hey, ab or h2load once, on `cores`."""
    with on(cores):
        opinion = external.run(tool, load)
    return Sent(opinion.report.requests, opinion.report.errors, opinion.wall_s, opinion.cpu_s)


def ours(
    url: str,
    *,
    connections: int,
    requests: int,
    cores: set[int],
    body_bytes: int = 2,
    checkout: Path | None = None,
    more: Mapping[str, Any] = MappingProxyType({}),
) -> Sent:
    """Run one worker of ours, or of another checkout, every response checked and timed.

    `more` are further keys of its job.

    Its CPU time counts from when it is ready: the start of the interpreter is paid once, not per request.
    """
    address = urlsplit(url)
    # No more than what all our generators know, from the first on; those before paths had weights know one.
    has_weights = checkout is None or (checkout / "bench" / "load" / "pacing.py").is_file()
    path = address.path or "/"
    job = {
        "host": address.hostname or "",
        "port": address.port or 80,
        "host_field": address.netloc,
        **({"paths": [[path, 1]]} if has_weights else {"path": path}),
        "connections": connections,
        "requests": requests,
        "warmup_s": 0.0,
        "duration_s": 600.0,
        "body_bytes": (body_bytes, body_bytes),
        # A server's page is not the text that our own backends send.
        "pattern": body_bytes == 2,
        **more,
    }
    argv = [*checkouts.python(checkout), "-m", "bench.load"]
    with on(cores):
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(job) + "\n")
    process.stdin.flush()
    process.stdout.readline()  # ready
    before_s, began = ProcessTree(process.pid).cpu_s(), time.monotonic()
    process.stdin.write('{"command": "go"}\n')
    process.stdin.flush()
    said, _, cpu_s = _end(process, "bench.load", began)
    process.stdin.close()
    done = json.loads(said.strip().rpartition("\n")[2])
    wall_s = (done["drained_ns"] - done["first_connect_ns"]) / 1e9
    return Sent(done["requests_total"], sum(done["errors_total"].values()), wall_s, cpu_s - before_s)


def _end(process: subprocess.Popen[str], name: str, began: float) -> tuple[str, float, float]:
    assert process.stdout is not None
    said = process.stdout.read()
    # Popen would reap it and throw its rusage away.
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close()
    if process.returncode != 0:
        raise RoleError(name, f"exit code {process.returncode}", said.strip().rpartition("\n")[2])
    return said, time.monotonic() - began, usage.ru_utime + usage.ru_stime


@contextmanager
def on(cores: set[int]) -> Iterator[None]:
    """Have what is started meanwhile run on `cores`."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
