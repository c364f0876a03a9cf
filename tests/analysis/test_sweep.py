"""What a sweep found: cells, points, curves."""

from __future__ import annotations

from dataclasses import replace

from bench.analysis import sweep
from bench.analysis.claims import cases
from bench.runs.sweep_trial import SweepTrial
from tests.made_up_sweep import CONNECTIONS, DISTURBED, POOL_IDLE, POOLS, run


def void_at(pool: int, clients: int) -> object:
    def change(trial: SweepTrial) -> SweepTrial:
        is_void = (trial.cell[POOL_IDLE], trial.cell[CONNECTIONS]) == (pool, clients)
        return replace(trial, valid=False, warnings=(DISTURBED,)) if is_void else trial

    return change


def test_a_curve_for_each_value_of_the_other_axis() -> None:
    made = run({POOL_IDLE: POOLS, CONNECTIONS: [16, 64]})
    axis = sweep.grid_of(made).axes[0]
    found = sweep.curves(made, axis, sweep.RATE)
    assert [curve.label for curve in found] == ["connections=16", "connections=64"]
    assert [curve.values for curve in found] == [tuple(POOLS)] * 2
    assert all(len(point.values) == 3 for curve in found for point in curve.points)


def test_a_cell_without_a_trial_that_counts_has_no_rate_but_its_connections() -> None:
    made = run({POOL_IDLE: POOLS, CONNECTIONS: [16, 64]}, change=void_at(8, 64))  # type: ignore[arg-type]
    cell = next(each for each in sweep.cells(made) if each.side.case == "pool-idle=8,connections=64")
    rate, opened = cell.point(sweep.RATE), cell.point(sweep.OPENED)
    assert (rate.center, rate.void) == (None, 3)
    assert opened.center == 1000 / 9


def test_over_the_cliff_the_rate_is_that_before_it_and_there_is_no_latency() -> None:
    made = run({POOL_IDLE: POOLS})
    first = sweep.cells(made)[0]
    assert first.point(sweep.RATE).values == (8_000.0,) * 3
    assert first.point(sweep.RATE).is_cut
    assert first.point(sweep.P99).center is None


def test_the_knee_is_where_the_pool_is_large_enough() -> None:
    made = run({POOL_IDLE: POOLS[1:]})
    (curve,) = sweep.curves(made, sweep.grid_of(made).axes[0], sweep.RATE)
    found = curve.bend().knee
    assert found is not None
    assert found.at == 16


def test_an_open_loop_is_about_its_latency() -> None:
    assert sweep.figures(run({"load.rate": [100.0, 200.0]}))[0] is sweep.P99
    assert sweep.figures(run({POOL_IDLE: POOLS}))[0] is sweep.RATE


def test_each_cell_is_a_case_of_its_own_when_a_run_is_judged() -> None:
    assert len(list(cases(run({POOL_IDLE: POOLS}).trials))) == len(POOLS)
