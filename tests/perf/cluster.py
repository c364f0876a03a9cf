"""Measure what several machines do to figures, in namespaces of one: `python -m tests.perf.cluster`.

hosts    1, 2 and 4 client hosts: the same rate where the proxy is the limit, else the sum
start    how long a trial takes to start, beside one machine; and 60 roles on 16 workers
traffic  bytes of the harness beside those that are measured
size     connections per backend and reuse beside what `bench size` says, 4 proxies x 2 workers x 4 backends

Tables go to standard output. Each part brings up clusters of its own.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from scipy.stats import bootstrap

from bench.analysis.pool_reuse import in_flight, one_pool
from bench.analysis.proxy_fleet import ProxyFleet, size
from bench.runs import timeline
from tests import bench_process
from tests.cluster import clusters
from tests.cluster.clusters import RunningCluster
from tests.perf.predictions import table

INTERFACE_BYTES = """
def interface_bytes():
    import psutil
    found = psutil.net_io_counters(pernic=True)
    return {name: each.bytes_sent + each.bytes_recv for name, each in found.items()}

with connect() as client:
    print(json.dumps(client.run(interface_bytes)))
"""


_SETTLED_S = 3.0
"""After the start of a cluster: each worker has sent a heartbeat."""
_IDLE_S = 20.0
"""Long beside what two looks at the counters cost."""


@contextmanager
def cluster(*flags: str) -> Iterator[tuple[RunningCluster, Path]]:
    """Bring up a cluster for a block, with a folder for its runs."""
    with tempfile.TemporaryDirectory() as folder, clusters.started(Path(folder), *flags) as running:
        yield running, Path(folder)


def run(running: RunningCluster | None, folder: Path, *flags: str) -> list[dict[str, Any]]:
    """Return the trials of `bench run`, on the cluster or else in namespaces."""
    lab = ["--lab", "namespaces"]
    if running is not None:
        lab = ["--lab", "cluster", "--scheduler", str(running.path), "--data-interface", "data"]
    done = bench_process.run("run", *lab, *flags, "--json", "-o", folder)
    assert done.returncode in (0, 1, 4), done.stderr
    answer = json.loads(done.stdout)
    return [{**trial, "directory": answer["directory"]} for trial in answer["trials"]]


def interval(values: Sequence[float]) -> str:
    """Return the median with its 95 % interval, by bootstrap."""
    if len(values) < 3:
        return f"{statistics.median(values):,.1f}"
    found = bootstrap((values,), statistics.median, method="percentile", random_state=1).confidence_interval
    return f"{statistics.median(values):,.1f} ({found.low:,.1f} to {found.high:,.1f})"


def _not_accepted(trial: dict[str, Any]) -> float:
    opened = sum(row["opened"] for row in trial["machines"] if row["role"] == "proxy")
    return float(opened - trial["upstream"]["connections_opened"])


def hosts(rounds: int) -> None:
    """Compare 1, 2 and 4 client hosts, in turn."""
    figures: dict[str, Callable[[dict[str, Any]], float]] = {
        "as fast as it goes, CPU us per request of the proxy": lambda trial: trial["cpu_us_per_request"][
            "proxy"
        ],
        "as fast as it goes, requests/s": lambda trial: trial["requests_per_s"],
        "500/s for each host, requests/s": lambda trial: trial["requests_per_s"],
        "short, 300/s for each host, opened less accepted": _not_accepted,
    }
    found: dict[tuple[str, int], list[float]] = {(kind, count): [] for kind in figures for count in (1, 2, 4)}
    quick = ("--trials", "1", "--warmup", "0.5", "-d", "2")
    with cluster("--local", "6") as (running, folder):
        for _ in range(rounds):
            for count in (1, 2, 4):
                flags = ("--clients", str(count), *quick)
                (fast,) = run(running, folder, "--mode", "keepalive", "-c", "64", *flags)
                paced = ("--rate", str(500 * count), "-c", str(16 * count))
                (held,) = run(running, folder, "--mode", "keepalive", *paced, *flags)
                paced = ("--rate", str(300 * count), "-c", str(16 * count))
                (short,) = run(running, folder, "--mode", "short", *paced, *flags)
                for (kind, figure), trial in zip(figures.items(), (fast, fast, held, short), strict=True):
                    found[kind, count].append(float(figure(trial)))
    rows = [[kind, *(interval(found[kind, count]) for count in (1, 2, 4))] for kind in figures]
    print(table(("figure", "1 client host", "2", "4"), rows))  # noqa: T201


def start(rounds: int) -> None:
    """Compare how long a trial takes besides its window, and start 60 roles on 16 workers."""
    quick = ("--mode", "keepalive", "--trials", "1", "--warmup", "0.2", "-d", "1", "-c", "16")
    alone, apart = [], []
    with cluster("--local", "3") as (running, folder):
        for _ in range(rounds):
            alone.append(run(None, folder, *quick)[0]["overhead_s"])
            apart.append(run(running, folder, *quick)[0]["overhead_s"])
    print(f"trial without its window: {interval(alone)} s alone, {interval(apart)} s on a cluster")  # noqa: T201
    with cluster("--local", "16", "--resources", "client=4,proxy=1,backend=1") as (running, folder):
        many = ("--clients", "56", "--proxies", "2", "--backends", "2", "-c", "112")
        began_s = time.monotonic()
        (trial,) = run(running, folder, *many, *quick[:-2])
        print(  # noqa: T201
            f"60 roles on 16 workers: trial without its window {trial['overhead_s']:.1f} s, whole command"
            f" {time.monotonic() - began_s:.1f} s"
        )


def traffic(rounds: int) -> None:
    """Count the bytes on the control interfaces of the workers beside those on the data interfaces."""
    loads: dict[str, tuple[str, ...]] = {"as fast as it goes": (), "1,000 requests/s": ("--rate", "1000")}
    shares: dict[str, list[float]] = {name: [] for name in loads}
    idle: list[float] = []
    flags = ("--mode", "keepalive", "--clients", "2", "-c", "64", "--trials", "1", "-d", "5")
    with cluster("--local", "4") as (running, folder):
        time.sleep(_SETTLED_S)
        for _ in range(rounds):
            began_s = time.monotonic()
            found = _bytes_of(running, lambda: time.sleep(_IDLE_S))
            idle.append(found["control"] / (time.monotonic() - began_s) / 1000)
            for name, load in loads.items():
                found = _bytes_of(running, partial(run, running, folder, *flags, *load))
                shares[name].append(100 * found["control"] / found["data"])
    for name, each in shares.items():
        print(f"harness traffic, {name}: {interval(each)} % of the data traffic")  # noqa: T201
    print(f"harness traffic of four idle workers: {interval(idle)} kB/s")  # noqa: T201


def _bytes_of(running: RunningCluster, act: Callable[[], object]) -> dict[str, int]:
    """Return the bytes on the interfaces of all workers while something happens."""
    before = running.run(INTERFACE_BYTES)
    act()
    after = running.run(INTERFACE_BYTES)
    return {
        name: sum(after[worker][name] - before[worker][name] for worker in after)
        for name in ("control", "data")
    }


def _fullest_backend(trial: dict[str, Any]) -> int:
    """Return the most connections that one backend had at a time."""
    moments = timeline.read(Path(trial["directory"])).moments
    return max(each.established or 0 for each in moments if each.host.startswith("backend-"))


def sizing(rounds: int) -> None:
    """Hold `bench size` against a fleet of proxies: with a small pool, and with the one that it names."""
    with cluster("--local", "10") as (running, folder):
        rows = [_sized(running, folder, idle) for _ in range(rounds) for idle in (4, None)]
    columns = ("keepalive", "latency, ms", "reuse predicted", "measured", "apart")
    print(table((*columns, "most per backend predicted", "measured"), rows))  # noqa: T201


def _sized(running: RunningCluster, folder: Path, idle: int | None) -> list[str]:
    """Return the row of one size of the pools; None: the size that is predicted to reach 99 % of reuse."""
    rate = 400
    fleet = ProxyFleet(
        rate=rate, latency_s=0.041, proxies=4, workers=2, backends=4, requests_per_connection=None
    )
    pool = size(fleet, 0.99).needed if idle is None else idle
    proxies = ("--proxies", "4", "--subject", "nginx", "--subject-workers", "2", "--backends", "4")
    load = (
        "--rate",
        str(rate),
        "--arrivals",
        "poisson",
        "-c",
        "128",
        "--clients",
        "2",
        "--load-workers",
        "2",
    )
    rest = ("--delay", "exponential:40ms", "--pool-idle", str(pool), "--warmup", "1", "-d", "20")
    (trial,) = run(running, folder, "--mode", "keepalive", "--trials", "1", *proxies, *load, *rest)
    # Of an exponential distribution the mean is the median / ln 2.
    latency_s = trial["service_ms"]["p50"] / 1000 / math.log(2)
    said = size(dataclasses.replace(fleet, latency_s=latency_s), 0.99, pool)
    requests, opened = trial["upstream"]["requests_total"], trial["upstream"]["connections_opened"]
    per_worker = rate * latency_s / fleet.pools
    # A trial begins with empty pools: each of their connections is opened once more than in the long run.
    filled = fleet.pools * min(one_pool(per_worker, pool).mean_open, in_flight(per_worker))
    predicted, measured = said.chosen.reused_share - filled / requests, 1 - opened / requests
    return [
        str(pool),
        f"{1000 * latency_s:.1f}",
        f"{predicted:.4f}",
        f"{measured:.4f}",
        f"{100 * abs(measured - predicted) / predicted:.1f} %",
        f"{said.chosen.backend_connections:.1f}",
        f"{_fullest_backend(trial)}",
    ]


PARTS: dict[str, Callable[[int], None]] = {"hosts": hosts, "start": start, "traffic": traffic, "size": sizing}


def main() -> None:
    """Measure the parts that are named, or all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="by default all")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    for part in given.parts or PARTS:
        PARTS[part](given.rounds)


if __name__ == "__main__":
    main()
