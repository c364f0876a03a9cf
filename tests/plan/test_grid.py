"""The grid of a sweep: names, cells, bounds, and what no plan allows."""

from __future__ import annotations

import pytest

from bench.errors import PlanError
from bench.plan import grid as grids
from bench.plan.grid import Axis
from bench.plan.run_plan import Plan

POOLS = Axis("subject.pool_idle", (0, 4, 16))
CONNECTIONS = Axis("load.connections", (16, 64))
KEEPALIVE = Plan(mode="keepalive").to_json()


@pytest.mark.parametrize("name", ["pool-idle", "--pool-idle", "subject.pool_idle"])
def test_a_key_is_named_by_its_flag_or_its_path(name: str) -> None:
    assert grids.flag_of(name).key == "subject.pool_idle"


def test_a_key_may_be_named_by_its_short_flag() -> None:
    assert grids.flag_of("-c").key == "load.connections"


@pytest.mark.parametrize("name", ["pool", "hosts", "", "load.connection", "c"])
def test_what_is_no_key_is_refused(name: str) -> None:
    with pytest.raises(PlanError, match="is no key of a plan"):
        grids.flag_of(name)


def test_a_rate_is_a_number_in_whatever_unit_it_comes() -> None:
    assert [grids.normal("load.rate", each) for each in ("50", "5k", "5000/s")] == [50, 5000, 5000]
    assert grids.normal("load.rate", "fast") == "fast"
    assert grids.normal("subject.pool_idle", 4) == 4


def test_the_cells_are_all_combinations_and_bear_their_values_as_names() -> None:
    grid = grids.check([POOLS, CONNECTIONS])
    assert [grid.label(cell) for cell in grid.cells()] == [
        f"pool-idle={idle},connections={clients}" for idle in (0, 4, 16) for clients in (16, 64)
    ]
    assert len(grid) == 6
    assert grids.Grid.of(grid.to_json()) == grid


def test_a_cell_lies_over_the_plan_that_all_share() -> None:
    found = grids.plans(KEEPALIVE, grids.check([POOLS, CONNECTIONS]))
    assert [(plan.subject.pool_idle, plan.load.connections) for _, plan in found[:3]] == [
        (0, 16),
        (0, 64),
        (4, 16),
    ]
    assert {plan.mode for _, plan in found} == {"keepalive"}


def test_a_subject_may_come_with_its_program() -> None:
    grid = grids.check([Axis("subject.name", ("asyncio", "nginx@wheel"))])
    assert [(plan.subject.name, plan.subject.program) for _, plan in grids.plans(KEEPALIVE, grid)] == [
        ("asyncio", None),
        ("nginx", "wheel"),
    ]


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        ([Axis("load.connections", (1,))], "is one value"),
        ([Axis("load.connections", (1, 1))], "a value is there twice"),
        ([CONNECTIONS, CONNECTIONS], "is given twice"),
        ([Axis("trials", (1, 2))], "it is no axis"),
        ([Axis("load.connections", tuple(range(1, 402)))], "401 = 401 cells are more than 400"),
        ([Axis(f"load.{key}", (1, 2)) for key in "abcde"], "4 axes at the most"),
    ],
)
def test_what_makes_no_grid_is_refused(axes: list[Axis], said: str) -> None:
    with pytest.raises(PlanError, match=said):
        grids.check(axes)


@pytest.mark.parametrize(
    ("axis", "said"),
    [
        (Axis("load.connections", (16, 0)), "connections=0: load.connections = 0 must be at least 1"),
        (Axis("subject.pool_idle", (1, -1)), "pool-idle=-1: subject.pool_idle = -1 must be 0 or more"),
        (Axis("mode", ("keepalive", "fast")), "mode=fast: mode = 'fast' is not one of"),
        (
            Axis("closes_first", ("proxy", "backend")),
            "closes_first = 'proxy' has no effect",
        ),
    ],
)
def test_every_cell_must_be_a_plan(axis: Axis, said: str) -> None:
    with pytest.raises(PlanError, match=said):
        grids.plans(KEEPALIVE, grids.check([axis]))


def test_a_sweep_has_a_longest_time() -> None:
    values = {**KEEPALIVE, "trials": 40_000, "load": {**KEEPALIVE["load"], "duration_s": 10.0}}
    with pytest.raises(PlanError, match="--vary: 2 cells"):
        grids.plans(values, grids.check([CONNECTIONS]))
