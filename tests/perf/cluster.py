"""Measure what several machines do to figures, in namespaces of one: `python -m tests.perf.cluster`.

hosts    1, 2 and 4 client hosts: the same rate where the proxy is the limit, else the sum
start    how long a trial takes to start, beside one machine; and 60 roles on 16 workers
traffic  bytes of the harness beside those that are measured: in a second of load, for a trial, and once
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

from bench.analysis.fleet_pools import ProxyFleet, pool_row
from bench.analysis.proxy_fleet import size
from bench.runs import timeline
from tests import bench_process
from tests.cluster import clusters, faults
from tests.cluster.clusters import RunningCluster
from tests.perf import harness_traffic
from tests.perf.harness_traffic import Traffic
from tests.perf.predictions import table

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
    """Count the bytes of the harness, at the workers, beside those that are measured."""
    loads: dict[str, tuple[str, ...]] = {"1,000 requests/s": ("--rate", "1000"), "as fast as it goes": ()}
    found: dict[str, list[Traffic]] = {name: [] for name in loads}
    idle: list[float] = []
    flags = ("--mode", "keepalive", "--clients", "2", "--trials", "2")
    with cluster("--local", "4") as (running, folder):
        pids = list(faults.worker_pids(running).values())
        for _ in range(rounds):
            time.sleep(_SETTLED_S)
            before = harness_traffic.read_bytes(pids)
            time.sleep(_IDLE_S)
            after = harness_traffic.read_bytes(pids)
            idle.append((after.harness - before.harness) / (after.at_s - before.at_s) / 1000)
            for name, load in loads.items():
                found[name].append(harness_traffic.count(pids, partial(run, running, folder, *flags, *load)))
    rows = [
        [name, *(interval([value(each) for each in found[name]]) for value in _TRAFFIC.values())]
        for name in loads
    ]
    print(table(("4 workers, kB", *_TRAFFIC), rows))  # noqa: T201
    print(f"harness of four idle workers: {interval(idle)} kB/s")  # noqa: T201


_TRAFFIC: dict[str, Callable[[Traffic], float]] = {
    "data/s": lambda each: each.data_per_second / 1000,
    "harness/s of load": lambda each: each.per_second / 1000,
    "% of data": lambda each: each.share_of_load,
    "for a trial besides": lambda each: each.per_trial / 1000,
    "once for a command": lambda each: each.once / 1000,
    "% for a trial of 3 s": lambda each: each.share(3.0),
    "of 10.5 s": lambda each: each.share(10.5),
    "1 % from data/s on, 3 s": lambda each: each.enough_per_second(3.0) / 1000,
    "10.5 s": lambda each: each.enough_per_second(10.5) / 1000,
}
"""A trial has 3 s of load by default: half a second of warm-up, and the window."""


@dataclasses.dataclass(frozen=True)
class FleetShape:
    """A fleet of proxies with its load; the pool and the loop that it is tried with."""

    proxies: int
    workers: int
    backends: int
    rate: int | None
    """None: a closed loop."""
    connections: int
    idle: int | None
    """The size of the pools; None: the one that `bench size` names for 99 % of reuse."""

    def fleet(self, rate: float, latency_s: float, clients: int | None = None) -> ProxyFleet:
        """Return what `bench size` is told."""
        return ProxyFleet(
            rate=rate,
            latency_s=latency_s,
            proxies=self.proxies,
            workers=self.workers,
            backends=self.backends,
            requests_per_connection=None,
            idle_timeout_s=POOL_IDLE_TIMEOUT_S,
            clients=clients,
            closed_loop=self.rate is None,
        )

    def flags(self, idle: int) -> list[str]:
        """Return the flags of `bench run`."""
        load = ["--mode", "keepalive", "-c", str(self.connections), "--clients", "2"]
        if self.rate is not None:
            load += ["--rate", str(self.rate), "--arrivals", "poisson"]
        # One load worker for each proxy: all have as many clients.
        load += ["--load-workers", str(math.ceil(self.proxies / 2))]
        proxies = ["--proxies", str(self.proxies), "--subject", "nginx", "--subject-workers"]
        pool = ["--pool-idle", str(idle), "--pool-idle-timeout", str(POOL_IDLE_TIMEOUT_S)]
        behind = ["--backends", str(self.backends), "--delay", f"exponential:{DELAY_MS}ms"]
        times = ["--warmup", str(POOL_IDLE_TIMEOUT_S + 1), "-d", "20", "--trials", "1"]
        return [*load, *proxies, str(self.workers), *pool, *behind, *times]


DELAY_MS = 40
POOL_IDLE_TIMEOUT_S = 5
"""Shorter than a trial, so that it holds as many connections as in the long run."""
SHAPES = (
    FleetShape(4, 2, 4, 400, 128, None),
    FleetShape(4, 2, 4, 400, 128, 4),
    FleetShape(2, 3, 3, 300, 192, 8),
    FleetShape(4, 2, 4, None, 64, 12),
)


def sizing(rounds: int) -> None:
    """Hold `bench size` against fleets of proxies, in turn."""
    rows: list[list[str]] = []
    means: dict[str, list[tuple[float, float]]] = {}
    with cluster("--local", "10") as (running, folder):
        for _ in range(rounds):
            for shape in SHAPES:
                row, apart = _sized(running, folder, shape)
                rows.append(row)
                means.setdefault(f"{row[0]}, keepalive {row[1]}", []).append(apart)
    columns = ("proxies x workers x backends", "keepalive", "requests/s", "latency of clients, ms", "clients")
    reuse = ("reuse predicted", "(clients not given)", "measured", "apart")
    held = ("per backend predicted", "between", "at most", "measured", "apart", "most")
    print(table((*columns, *reuse, *held), sorted(rows)))  # noqa: T201
    for shape_name, trials in means.items():
        by_reuse, by_held = ([100 * each for each in column] for column in zip(*trials, strict=True))
        # A trial's connections are a draw: the kernel deals clients to workers. The mean is what was said.
        print(  # noqa: T201
            f"{shape_name}: measured less predicted, mean of {len(trials)}: reuse"
            f" {statistics.fmean(by_reuse):+.1f} %, connections {statistics.fmean(by_held):+.1f} %"
        )


def _sized(running: RunningCluster, folder: Path, shape: FleetShape) -> tuple[list[str], tuple[float, float]]:
    """Return the row of one trial, and how far reuse and connections are from what was said, as shares."""
    told = shape.fleet(shape.rate or 1, 0.001 * DELAY_MS, shape.connections)
    idle = size(told).needed if shape.idle is None else shape.idle
    (trial,) = run(running, folder, *shape.flags(idle))
    series = timeline.read(Path(trial["directory"]))
    # In an open loop only so many of the clients connect as are needed at a time.
    clients = sum(row["opened"] for row in trial["machines"] if row["role"] == "client")
    # The time at the backend, as it is told: what clients measure has their own waits in it.
    fleet = shape.fleet(trial["requests_per_s"], 0.001 * DELAY_MS, clients)
    said = pool_row(fleet, idle)
    evenly = pool_row(dataclasses.replace(fleet, clients=None, closed_loop=False), idle)
    requests, opened = trial["upstream"]["requests_total"], trial["upstream"]["connections_opened"]
    # A trial begins with empty pools: what they hold is opened once more than in the long run.
    filled = shape.backends * said.backend_connections_expected / requests
    predicted, measured = said.reused_share - filled, 1 - opened / requests
    mean, most = _on_backends(series)
    times = "latency_ms" if shape.rate is None else "service_ms"
    expected = said.backend_connections_expected
    row = [
        f"{shape.proxies} x {shape.workers} x {shape.backends}{', closed loop' * (shape.rate is None)}",
        f"{idle}",
        f"{trial['requests_per_s']:.0f}",
        f"{trial[times]['p50'] / math.log(2):.1f}",
        f"{clients}",
        f"{predicted:.4f}",
        f"{evenly.reused_share - filled:.4f}",
        f"{measured:.4f}",
        f"{100 * abs(measured / predicted - 1):.1f} %",
        f"{expected:.1f}",
        f"{said.backend_connections_low:.0f} to {said.backend_connections_high:.0f}",
        f"{said.backend_connections:.0f}",
        f"{mean:.1f}",
        f"{100 * abs(mean / expected - 1):.1f} %",
        f"{most}",
    ]
    return row, (measured / predicted - 1, mean / expected - 1)


def _on_backends(series: timeline.Series) -> tuple[float, int]:
    """Return the connections of a backend: the mean once the pools are filled, and the most of any.

    The kernel counts those of Dask too, as many on each machine, which alone are there at first.
    """
    moments = [each for each in series.moments if each.host.startswith("backend-")]
    others = min(each.established or 0 for each in series.moments if "-" in each.host)
    filled = [each.established or 0 for each in moments if each.t_s > POOL_IDLE_TIMEOUT_S + 1]
    most = max(each.established or 0 for each in moments)
    return statistics.fmean(filled) - others, most - others


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
