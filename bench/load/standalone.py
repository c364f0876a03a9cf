"""The worker without a harness: `python -m bench.load --target URL` prints one JSON line.

For debugging and for `make perf`; users run `bench run --target`.
"""

import argparse
import json
import os
import socket
import sys
from pathlib import Path
from time import monotonic_ns
from typing import Any, NoReturn
from urllib.parse import SplitResult, urlsplit

from bench.load.counters import add_counts
from bench.load.job import LoadJob
from bench.load.poller import Poller, raise_fd_limit
from bench.load.worker import LoadWorker, stop_on_signals

_A_DAY_S = 86_400.0
_PORTS = {"http": 80, "https": 443}
_PERCENTS = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99_9": 99.9, "max": 100.0}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Exit with 2 and one line."""
        self.exit(2, f"client: {message}; see python -m bench.load --help\n")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = _Parser(prog="python -m bench.load", description=__doc__, allow_abbrev=False)
    parser.add_argument("--target", required=True, help="http://HOST:PORT/PATH")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--duration", type=float, help="seconds of the window")
    parser.add_argument("--warmup", type=float, default=0.0, help="seconds before the window")
    parser.add_argument("--requests", type=int, help="end the window after so many responses")
    parser.add_argument("--rate", type=float, help="requests per second of an open loop")
    parser.add_argument("--client-mode", choices=("keepalive", "short"), default="keepalive")
    parser.add_argument("--requests-per-connection", type=int)
    parser.add_argument("--response-size", type=int, help="bytes of a correct body")
    parser.add_argument("--no-echo", action="store_true", help="do not check the echoed identity")
    parser.add_argument("--no-pattern", action="store_true", help="do not check the bytes of the body")
    parser.add_argument(
        "-k", "--insecure", action="store_true", help="do not verify the server's certificate"
    )
    parser.add_argument("--cacert", help="file with the certificates that are trusted, in PEM")
    parser.add_argument("--sni", help="name that the certificate must be for")
    parser.add_argument("--http2", action="store_true", help="speak HTTP/2")
    parser.add_argument("--streams", type=int, default=1, help="HTTP/2: exchanges at a time per connection")
    parser.add_argument("--no-tls-sessions", action="store_true", help="resume no TLS session")
    return parser


def resolve(target: str) -> tuple[SplitResult, str, int]:
    """Return the parts of a URL, the first address of its host, and its port.

    Raise ValueError if the host has no address; another scheme and a user are refused.
    """
    try:
        url = urlsplit(target)
        port = _PORTS.get(url.scheme, 0) if url.port is None else url.port
        if url.scheme not in _PORTS or not url.hostname or "@" in url.netloc:
            raise ValueError("write http://HOST:PORT/PATH or https://HOST:PORT/PATH")
        address = socket.getaddrinfo(url.hostname, port, type=socket.SOCK_STREAM)[0][4][0]
    except (OSError, ValueError) as error:
        raise ValueError(f"--target {target}: {error}") from error
    return url, str(address), port


def build_job(args: argparse.Namespace) -> LoadJob:
    """Return the job of the command line; raise ValueError if it is none."""
    url, address, port = resolve(args.target)
    job = LoadJob(
        host=address,
        port=port,
        host_field=url.netloc,
        paths=(((url.path or "/") + (f"?{url.query}" if url.query else ""), 1),),
        connections=args.connections,
        rate=args.rate,
        warmup_s=args.warmup,
        duration_s=args.duration if args.duration is not None else _A_DAY_S if args.requests else 6.0,
        requests=args.requests,
        client_mode=args.client_mode,
        requests_per_connection=args.requests_per_connection,
        statuses=((200, 399),),
        echo=not args.no_echo,
        body_bytes=None if args.response_size is None else (args.response_size, args.response_size),
        pattern=not args.no_pattern,
        http2=args.http2,
        streams=args.streams,
        tls=url.scheme == "https",
        tls_verify=not args.insecure,
        tls_authority=None if args.cacert is None else _read(args.cacert),
        tls_name=args.sni or url.hostname,
        tls_sessions=not args.no_tls_sessions,
    )
    job.check()
    return job


def _read(path: str) -> str:
    from bench.load import tls  # noqa: PLC0415  Only for TLS.

    try:
        return tls.certificates_in(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"--cacert {path}: {error}") from error


def main(arguments: list[str]) -> int:
    """Run one worker and print its totals; return the exit code."""
    args = build_parser().parse_args(arguments)
    try:
        job = build_job(args)
    except ValueError as error:
        return _refuse(error, 2)
    if (refusal := raise_fd_limit(job.connections)) is not None:
        return _refuse(refusal, 3)
    try:
        sys.stdout.write(json.dumps(_run(job)) + "\n")
        sys.stdout.flush()
    except OSError as error:
        _refuse(f"the totals cannot be written: {error.strerror}", 3)
        # What is left in the buffer cannot be written at the end of the interpreter either.
        os._exit(3)
    return 0


def _refuse(reason: object, code: int) -> int:
    sys.stderr.write(f"client: {reason}\n")
    return code


def _run(job: LoadJob) -> dict[str, Any]:
    histograms: dict[str, dict[int, int]] = {"latency_us": {}, "connect_us": {}}

    def add(second: dict[str, Any]) -> None:
        if second["in_window"]:
            for name, histogram in histograms.items():
                add_counts(histogram, second[name])

    worker = LoadWorker(job, Poller(), add)
    stop_on_signals(worker)
    done = worker.run(monotonic_ns())
    length_s = (done["window_end_ns"] - done["window_start_ns"]) / 1e9
    done["requests_per_s"] = done["requests"] / length_s if length_s > 0 else 0.0
    return done | {name: percentiles(histogram) for name, histogram in histograms.items()}


def percentiles(counts: dict[int, int]) -> dict[str, int | None]:
    """Return the percentiles of a histogram by nearest rank; None if it is empty."""
    total, below = sum(counts.values()), 0
    found: dict[str, int | None] = dict.fromkeys(_PERCENTS)
    for value in sorted(counts):
        below += counts[value]
        for name, percent in _PERCENTS.items():
            if found[name] is None and below * 100 >= percent * total:
                found[name] = value
    return found
