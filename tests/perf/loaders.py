"""The load generators, ours and those of others, run to their end: what they sent, and what it cost them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from bench.errors import RoleError
from bench.load.job import Job
from bench.observe.processes import Tree
from perf import programs


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


class Counted(Protocol):
    """A load generator that sends a number of requests."""

    def __call__(self, url: str, *, connections: int, requests: int, cores: set[int]) -> Sent:
        """Run it once, on `cores`."""


def wrk(url: str, *, connections: int, duration_s: int, cores: set[int]) -> Sent:
    """Run wrk with one thread; it knows a duration only, in whole seconds."""
    argv = ["wrk", "-t1", f"-c{connections}", f"-d{duration_s}s", "--timeout", "20s", url]
    said, wall_s, cpu_s = _run(argv, cores)
    return Sent(_count(r"(\d+) requests in", said), _wrk_errors(said), wall_s, cpu_s)


def ours(url: str, *, connections: int, requests: int, cores: set[int]) -> Sent:
    """Run one worker of ours, every response checked and timed.

    Its CPU time counts from when it is ready: the start of the interpreter is paid once, not per request.
    """
    address = urlsplit(url)
    job = Job(
        host=address.hostname or "",
        port=address.port or 80,
        host_field=address.netloc,
        connections=connections,
        requests=requests,
        warmup_s=0.0,
        duration_s=600.0,
        body_bytes=(2, 2),
    )
    argv = [sys.executable, "-m", "bench.load"]
    with _on(cores):
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(job.to_json()) + "\n")
    process.stdin.flush()
    process.stdout.readline()  # ready
    before_s, began = Tree(process.pid).cpu_s(), time.monotonic()
    process.stdin.write('{"command": "go"}\n')
    process.stdin.flush()
    said, _, cpu_s = _end(process, "bench.load", began)
    process.stdin.close()
    done = json.loads(said.strip().rpartition("\n")[2])
    wall_s = (done["drained_ns"] - done["first_connect_ns"]) / 1e9
    return Sent(done["requests_total"], sum(done["errors_total"].values()), wall_s, cpu_s - before_s)


def hey(url: str, *, connections: int, requests: int, cores: set[int]) -> Sent:
    """Run hey for a number of requests, on one core."""
    argv = ["env", "GOMAXPROCS=1", "hey", "-n", str(requests), "-c", str(connections), url]
    said, wall_s, cpu_s = _run(argv, cores)
    answered = _count(r"\[200\]\s+(\d+) responses", said)
    return Sent(answered, requests // connections * connections - answered, wall_s, cpu_s)


def ab(url: str, *, connections: int, requests: int, cores: set[int]) -> Sent:
    """Run ab with keep-alive for a number of requests."""
    argv = ["ab", "-q", "-k", "-n", str(requests), "-c", str(connections), url]
    said, wall_s, cpu_s = _run(argv, cores)
    answered = _count(r"Complete requests:\s+(\d+)", said)
    failed = _count(r"Failed requests:\s+(\d+)", said) + _count(r"Non-2xx responses:\s+(\d+)", said)
    return Sent(answered - failed, failed, wall_s, cpu_s)


def h2load(url: str, *, connections: int, requests: int, cores: set[int]) -> Sent:
    """Run h2load over HTTP/1.1 for a number of requests."""
    return _h2load([url], connections, requests, cores)


def h2load_varied(uris: Path, *, connections: int, requests: int, cores: set[int]) -> Sent:
    """Run h2load for a number of requests, whose targets are the lines of `uris` in turn."""
    return _h2load(["-H", "Accept: */*", "-i", str(uris)], connections, requests, cores)


def _h2load(asked: list[str], connections: int, requests: int, cores: set[int]) -> Sent:
    argv = ["h2load", "--h1", "-n", str(requests), "-c", str(connections), "-t1", *asked]
    said, wall_s, cpu_s = _run(argv, cores)
    answered = _count(r"status codes: (\d+) 2xx", said)
    return Sent(answered, requests - answered, wall_s, cpu_s)


def _run(argv: list[str], cores: set[int]) -> tuple[str, float, float]:
    """Return what a program printed, how long it took, and the CPU time of it and its children."""
    name = argv[2] if argv[0] == "env" else argv[0]
    path = programs.find(name)
    if path is None:
        raise RoleError(name, "is not installed")
    argv = [path if word == name else word for word in argv]
    began = time.monotonic()
    with _on(cores):
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return _end(process, name, began)


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
def _on(cores: set[int]) -> Iterator[None]:
    """Have what is started meanwhile run on `cores`."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _count(pattern: str, said: str) -> int:
    match = re.search(pattern, said)
    return int(match[1]) if match else 0


def _wrk_errors(said: str) -> int:
    sockets = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", said)
    errors = sum(map(int, sockets.groups())) if sockets else 0
    return errors + _count(r"Non-2xx or 3xx responses: (\d+)", said)
