"""Hold what `bench size` predicts against what is measured here: `python -m tests.perf.predictions`.

The reuse of pools over a sweep of 24 cells, and when paced connections use up half of the ports, and all.
The table goes to standard output, the sweep into the folder that `--output` names.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.analysis.ceiling import ceiling
from bench.analysis.fleet_pools import ProxyFleet
from bench.analysis.pool_reuse import in_flight, one_pool
from bench.analysis.proxy_fleet import size
from bench.runs import read, timeline
from bench.runs.record import RunRecord
from bench.runs.sweep_trial import SweepTrial
from tests import bench_process

POOLS = (0, 1, 2, 4, 6, 8, 12, 16)
RATES = (50, 100, 200)
DELAY = "exponential:40ms"
SWEEP = (
    "--vary",
    f"rate={','.join(map(str, RATES))}",
    "--vary",
    f"pool-idle={','.join(map(str, POOLS))}",
    *("--arrivals", "poisson", "--delay", DELAY, "-c", "64", "--warmup", "1s"),
)
WITHIN = 0.05


def sweep(root: Path, trials: int, window_s: float) -> Path:
    """Run the sweep and return its folder."""
    flags = ("--trials", str(trials), "-d", f"{window_s}s", "--quiet", "-o", root)
    argv = [*bench_process.ARGV, "sweep", *SWEEP, *map(str, flags)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1, 4):
        sys.exit(done.stderr)
    return Path(done.stdout.split()[-1])


def mean_service_s(run: RunRecord[SweepTrial], folder: Path) -> dict[str, float]:
    """Return for each cell the mean time from a request to its response, what `--latency` asks for."""
    cases = {trial.trial: trial.case for trial in run.trials}
    sums: dict[str, list[float]] = {}
    for each in timeline.read(folder).latencies:
        if each.kind == "service" and each.trial in cases:
            total = sums.setdefault(cases[each.trial], [0.0, 0.0])
            total[0] += sum(value * count for value, count in each.counts.items()) / 1e6
            total[1] += sum(each.counts.values())
    return {case: seconds / count for case, (seconds, count) in sums.items()}


def compare_reuse(folder: Path) -> Iterator[tuple[str, ...]]:
    """Yield a row for each cell: what was predicted, what was measured, and how far they lie apart."""
    run: RunRecord[SweepTrial] = read.read(folder)
    latency_s = mean_service_s(run, folder)
    for case in dict.fromkeys(trial.case for trial in sorted(run.trials, key=_place)):
        trials = [trial for trial in run.trials if trial.case == case]
        rate, idle = float(trials[0].cell["load.rate"]), int(trials[0].cell["subject.pool_idle"])
        sizing = size(
            ProxyFleet(rate=rate, latency_s=latency_s[case], requests_per_connection=None), 0.99, idle
        )
        requests = sum(trial.upstream.requests_total or 0 for trial in trials)
        opened = sum(trial.upstream.connections_opened or 0 for trial in trials)
        # A trial begins with an empty pool: each of its connections is opened once more than in the long run.
        load = rate * latency_s[case]
        filled = len(trials) * min(one_pool(load, idle).mean_open, in_flight(load)) if idle else 0.0
        predicted = max(0.0, sizing.chosen.reused_share - filled / requests)
        measured = 1 - opened / requests
        apart = abs(measured - predicted) / predicted if predicted else abs(measured)
        yield (
            case,
            f"{1000 * latency_s[case]:.1f}",
            f"{predicted:.4f}",
            f"{measured:.4f}",
            f"{100 * apart:.1f} %",
            f"{1000 * (1 - predicted):.1f}",
            f"{1000 * opened / requests:.1f}",
            "yes" if not sizing.stops else "no",
        )


def _place(trial: SweepTrial) -> tuple[float, int]:
    return float(trial.cell["load.rate"]), int(trial.cell["subject.pool_idle"])


def compare_ports(ports: int, rate: int, root: Path) -> tuple[str, ...]:
    """Return a row about connections at a constant rate through so many ports: half of them, and all."""
    here = ceiling(ports)
    half_s, end_s = here.slows_after_s(rate), here.exhausted_after_s(rate)
    assert half_s is not None
    assert end_s is not None
    flags = ("--mode", "short", "--rate", str(rate), "--ports", str(ports), "-c", "32", "--trials", "1")
    done = bench_process.run("run", *flags, "--warmup", "0.2s", "-d", f"{end_s + 1}s", "--json", "-o", root)
    measured: dict[str, Any] = json.loads(done.stdout)["trials"][-1]["ports"]
    pairs = ((half_s, measured["half_range_passed_s"]), (end_s, measured["exhausted_s"]))
    apart = max(abs(seen - told) / told if seen else 1.0 for told, seen in pairs)
    times = (value for told, seen in pairs for value in (f"{told:.2f}", f"{seen:.2f}" if seen else "-"))
    return (f"{ports:,} ports, {rate}/s", *times, f"{100 * apart:.1f} %")


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    """Measure, and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("results"))
    parser.add_argument("--trials", type=int, default=1)
    parser.add_argument("--window", type=float, default=10.0)
    parser.add_argument("--sweep", type=Path, help="a sweep that was made already")
    given = parser.parse_args()
    folder = given.sweep or sweep(given.output, given.trials, given.window)
    rows = list(compare_reuse(folder))
    columns = (
        "cell",
        "latency, ms",
        "reuse predicted",
        "measured",
        "apart",
        "new/1,000 predicted",
        "measured",
        "holds",
    )
    print(table(columns, rows))  # noqa: T201
    apart = [float(row[4].split()[0]) for row in rows if row[7] == "yes"]
    within = sum(each <= 100 * WITHIN for each in apart)
    print(  # noqa: T201
        f"{within} of {len(apart)} cells where it holds lie within 5 %; median {statistics.median(apart)} %\n"
    )
    ports = [compare_ports(*each, given.output) for each in ((1000, 200), (2000, 400), (2000, 800))]
    print(table(("ports", "half, s", "measured", "all, s", "measured", "apart"), ports))  # noqa: T201


if __name__ == "__main__":
    main()
