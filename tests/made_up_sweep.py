"""Sweeps, made up: a pool that is larger or smaller than its load, with what can go wrong in a cell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.plan.grid import Grid
from bench.plan.run_plan import Plan
from bench.runs import storage
from bench.runs.ports_record import Ports
from bench.runs.record import Percentiles, SubjectRecord, TrialWarning, Upstream
from bench.runs.sweep_trial import SweepRun, SweepTrial
from tests.synthetic import MACHINE

POOLS = [0, 1, 2, 4, 8, 16, 32, 64]
POOL_IDLE, CONNECTIONS = "subject.pool_idle", "load.connections"
DISTURBED = TrialWarning("machine-shared", "other processes used 40%", "run one at a time", voids=True)


def trial(number: int, cell: dict[str, Any], case: str) -> SweepTrial:
    """Return a trial of a cell: more pool, more requests, up to 16; without one ports run out."""
    pool = cell.get(POOL_IDLE, 64)
    rate = 10_000 + 1_000 * min(pool, 16) + 10 * pool + 7 * (number % 5)
    cut = Ports(28_232, 28_232, 20_000, 1.5, None, 8_000.0, 400.0) if pool == 0 else Ports(28_232, 28_232, 64)
    return SweepTrial(
        trial=number,
        subject=SubjectRecord("asyncio", "1"),
        lab="namespaces",
        mode="keepalive",
        closes_first=None,
        requests_per_s=float(rate),
        latency_ms=Percentiles(1.0, 2.0, 64_000 / rate, 5.0, 9.0),
        upstream=Upstream(1000, 100, 64, pool + 1.0),
        ports=cut,
        cpu_us_per_request_before_cliff={"proxy": 20 + 60 / (pool + 1)},
        cell=cell,
        case=case,
    )


def run(
    grid: dict[str, list[Any]],
    trials: int = 3,
    change: Callable[[SweepTrial], SweepTrial | None] = lambda each: each,
    **plan: Any,
) -> SweepRun:
    """Return a sweep of `grid`; `change` returns another trial, or none, in the place of each."""
    shape = Grid.of(grid)
    cells = [cell for _ in range(trials) for cell in shape.cells()]
    made = [trial(number, cell, shape.label(cell)) for number, cell in enumerate(cells, 1)]
    kept = [each for each in map(change, made) if each is not None]
    values = {**Plan(mode="keepalive").to_json(), **plan, "seed": 1, "trials": trials}
    return SweepRun(values, MACHINE, "2026-03-14T15:09:26+00:00", tuple(kept), "results/s", grid=grid)


def write(root: Path, made: SweepRun) -> Path:
    """Write a sweep below `root` and return its folder."""
    with storage.create(root, made.plan, made.machine, grid=made.grid) as writer:
        for each in made.trials:
            writer.add(each, [], [])
    return writer.directory
