"""What a request over TLS 1.3 costs the load generator, beside wrk; one in HTTP/2, too.

`python -m tests.perf.tls`: nginx answers on kept connections, and all take turns. Printed are the medians of
the CPU time per request, user and system, of each, and of the ratios of each round, with their 95 % interval.
"""

from __future__ import annotations

import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.load.tools import ToolLoad
from bench.subjects import certificates, programs
from bench.subjects.certificates import CHAIN, KEY
from tests.perf import checkouts, loaders, pairs
from tests.perf.loaders import Sent

CONNECTIONS = 64
STREAMS = 8
_PAIRS = (
    ("ours https", "wrk https"),
    ("ours http", "wrk http"),
    ("ours http", "before http"),
    ("ours HTTP/2", "ours https"),
)
_AUTHORITY = "authority.pem"
_START_S = 10.0
_CONF = """\
daemon off;
{user}worker_processes 1;
error_log stderr error;
pid {folder}/nginx.pid;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/client_body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    ssl_certificate {folder}/{chain};
    ssl_certificate_key {folder}/{key};
    ssl_protocols TLSv1.3;
    server {{
        listen 127.0.0.1:{https} ssl http2 backlog=4096;
        listen 127.0.0.1:{http} backlog=4096;
        location / {{
            add_header X-Bench-Id $http_x_bench_id;
            return 200 " !";
        }}
    }}
}}
"""


def main() -> int:
    """Measure, and print a line for each pair."""
    parser = ArgumentParser(prog="python -m tests.perf.tls", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--requests", type=int, default=40_000, help="of each run of ours")
    parser.add_argument("--seconds", type=int, default=2, help="of each run of wrk")
    parser.add_argument("--baseline", type=checkouts.path, metavar="FOLDER", help="another checkout")
    given = parser.parse_args()
    with TemporaryDirectory() as made:
        folder = Path(made)
        ports = _free_port(), _free_port()
        server = _serve(folder, *ports)
        try:
            runs = _runs(folder, *ports, given, {max(os.sched_getaffinity(0))})
            costs: dict[str, list[float]] = {name: [] for name in runs}
            for round_ in range(-1, given.rounds):  # the first warms up, and does not count
                for name in pairs.order(list(runs), round_ + 1):
                    sent = runs[name]()
                    if round_ >= 0:
                        costs[name].append(sent.cpu_us_per_request)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(_START_S)
    for ours, theirs in _PAIRS:
        if theirs in costs:
            _print_pair(ours, costs[ours], theirs, costs[theirs])
    return 0


def _print_pair(ours: str, mine: Sequence[float], theirs: str, others: Sequence[float]) -> None:
    ratio = pairs.paired_ratio(others, mine)
    sys.stdout.write(
        f"{ours} {statistics.median(mine):.1f} us, {theirs} {statistics.median(others):.1f} us,"
        f" {len(mine)} rounds: ratio {ratio.center:.2f} ({_bound(ratio.low)} to {_bound(ratio.high)})\n"
    )


def _bound(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _runs(
    folder: Path, https: int, http: int, given: Namespace, cores: set[int]
) -> dict[str, Callable[[], Sent]]:
    """Return what runs each generator once; ours sends the requests, theirs takes the time."""
    secure, plain = f"https://127.0.0.1:{https}/", f"http://127.0.0.1:{http}/"
    tls = {"tls": True, "tls_authority": (folder / _AUTHORITY).read_text(), "tls_name": "127.0.0.1"}
    http2 = {**tls, "http2": True, "streams": STREAMS}

    def ours(url: str, requests: int, **more: Any) -> Callable[[], Sent]:
        return partial(loaders.ours, url, connections=CONNECTIONS, requests=requests, cores=cores, more=more)

    def theirs(tool: str, url: str) -> Callable[[], Sent]:
        flags = ("-m", str(STREAMS)) if tool == "h2load" else ()
        load = ToolLoad(url, CONNECTIONS, duration_s=given.seconds, flags=flags)
        return partial(loaders.theirs, tool, load, cores)

    runs = {
        "ours https": ours(secure, given.requests, **tls),
        "wrk https": theirs("wrk", secure),
        "ours http": ours(plain, given.requests),
        "wrk http": theirs("wrk", plain),
        "ours HTTP/2": ours(secure, given.requests // 10, **http2),
    }
    if given.baseline is not None:
        runs["before http"] = partial(
            loaders.ours,
            plain,
            connections=CONNECTIONS,
            requests=given.requests,
            cores=cores,
            checkout=given.baseline,
        )
    return runs


def _serve(folder: Path, https: int, http: int) -> subprocess.Popen[bytes]:
    issued = certificates.issue(["127.0.0.1"])
    for name, text in {**issued.files, _AUTHORITY: issued.authority}.items():
        (folder / name).write_text(text)
    user = "user root;\n" if os.geteuid() == 0 else ""
    conf = folder / "nginx.conf"
    named = {"folder": folder, "chain": CHAIN, "key": KEY, "https": https, "http": http}
    conf.write_text(_CONF.format(user=user, **named))
    program = programs.find("nginx")
    process = subprocess.Popen([program.path, "-p", str(folder), "-c", str(conf)])
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", http), 1.0).close()
        except OSError:
            time.sleep(0.05)
        else:
            return process
    process.kill()
    raise RuntimeError(f"nginx does not listen on port {http}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
