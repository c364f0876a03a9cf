"""The worker without a harness: `python -m bench.load --target URL ...` prints one JSON line.

For debugging and for `make perf`; `bench run --target` is the command for people.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
from time import monotonic_ns
from typing import Any, NoReturn
from urllib.parse import urlsplit

from bench.load.job import Job
from bench.load.limits import allow_descriptors
from bench.load.poller import Poller
from bench.load.tally import add_counts
from bench.load.worker import Worker

_A_DAY_S = 86_400.0
_PERCENTS = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99_9": 99.9, "max": 100.0}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"client: {message}; see python -m bench.load --help\n")


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parse = _Parser(prog="python -m bench.load", description=__doc__, allow_abbrev=False)
    parse.add_argument("--target", required=True, help="http://HOST:PORT/PATH")
    parse.add_argument("--connections", type=int, default=64)
    parse.add_argument("--duration", type=float, help="seconds of the window")
    parse.add_argument("--warmup", type=float, default=0.0, help="seconds before the window")
    parse.add_argument("--requests", type=int, help="end the window after so many responses")
    parse.add_argument("--rate", type=float, help="requests per second of an open loop")
    parse.add_argument("--client-mode", choices=("keepalive", "short"), default="keepalive")
    parse.add_argument("--requests-per-connection", type=int)
    parse.add_argument("--body", type=int, help="bytes of a correct body")
    parse.add_argument("--no-echo", action="store_true", help="do not check the echoed identity")
    parse.add_argument("--no-pattern", action="store_true", help="do not check the bytes of the body")
    return parse


def resolve(host: str, port: int) -> str:
    """Return the first address of `host`; OSError where it has none."""
    address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4][0]
    return str(address)


def job_of(given: argparse.Namespace) -> Job:
    """Return the job that the command line asks for."""
    url = urlsplit(given.target)
    if url.scheme != "http" or not url.hostname:
        raise ValueError("write http://HOST:PORT/PATH")
    port = url.port or 80
    timed = given.duration or (_A_DAY_S if given.requests else 6.0)
    return Job(
        host=resolve(url.hostname, port),
        port=port,
        host_field=url.netloc,
        path=(url.path or "/") + (f"?{url.query}" if url.query else ""),
        connections=given.connections,
        rate=given.rate,
        warmup_s=given.warmup,
        duration_s=timed,
        requests=given.requests,
        client_mode=given.client_mode,
        requests_per_connection=given.requests_per_connection,
        statuses=(200, 399),
        echo=not given.no_echo,
        body_bytes=None if given.body is None else (given.body, given.body),
        pattern=not given.no_pattern,
    )


def main(arguments: list[str]) -> int:
    """Run one worker and print its totals."""
    given = parser().parse_args(arguments)
    try:
        job = job_of(given)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"client: --target {given.target}: {error}\n")
        return 2
    if (refusal := allow_descriptors(job.connections)) is not None:
        sys.stderr.write(f"client: {refusal}\n")
        return 3
    histograms: dict[str, dict[int, int]] = {"latency_us": {}, "connect_us": {}}

    def add(second: dict[str, Any]) -> None:
        if second["in_window"]:
            for name, histogram in histograms.items():
                add_counts(histogram, second[name])

    done = Worker(job, Poller(), add).run(monotonic_ns())
    length_s = (done["window_end_ns"] - done["window_start_ns"]) / 1e9
    done["requests_per_s"] = done["requests"] / length_s if length_s > 0 else 0.0
    done |= {name: percentiles(histogram) for name, histogram in histograms.items()}
    sys.stdout.write(json.dumps(done) + "\n")
    return 0


def percentiles(counts: dict[int, int]) -> dict[str, int | None]:
    """Return the percentiles of a histogram by nearest rank; None where it is empty."""
    total, below = sum(counts.values()), 0
    found: dict[str, int | None] = dict.fromkeys(_PERCENTS)
    for value in sorted(counts):
        below += counts[value]
        for name, percent in _PERCENTS.items():
            if found[name] is None and below * 100 >= percent * total:
                found[name] = value
    return found
