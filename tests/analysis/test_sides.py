"""Picking the sides of a comparison, naming them, and what they differ in."""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

import pytest

from bench.analysis import sides
from bench.analysis.sides import AnySide
from bench.commands.compare import select
from bench.errors import PlanError, ResultsError
from bench.runs import read
from tests.synthetic import KEEPALIVE, SHORT, Story, write


class MakeRun(Protocol):
    """Writes a run under a name, and returns where."""

    def __call__(self, name: str, stories: dict[str, Story] | None = None, **plan: object) -> str: ...


BOTH = {"short": SHORT, "keepalive": KEEPALIVE}


@pytest.fixture
def run(tmp_path: Path) -> MakeRun:
    def make(name: str, stories: dict[str, Story] | None = None, **plan: object) -> str:
        return str(write(tmp_path / name, stories or BOTH, trials=1, duration_s=0.5, **plan))

    return make


def pick(specs: Iterable[str]) -> tuple[tuple[AnySide, ...], ...]:
    return sides.match([select(spec) for spec in specs])


def names(picked: Iterable[Sequence[AnySide]]) -> list[list[str]]:
    return [[side.name for side in group] for group in picked]


def test_one_run_is_compared_mode_by_mode(run: MakeRun) -> None:
    ((short, keepalive),) = pick([run("a")])
    assert (short.name, keepalive.name) == ("short", "keepalive")
    assert {moment.mode for moment in short.series.moments} == {"short"}
    assert {latencies.mode for latencies in keepalive.series.latencies} == {"keepalive"}


def test_two_runs_of_both_modes_give_two_comparisons(run: MakeRun) -> None:
    picked = pick([run("a"), run("b", load={"connections": 128})])
    assert names(picked) == [["64 connections", "128 connections"]] * 2
    assert [group[0].mode for group in picked] == ["short", "keepalive"]


@pytest.mark.parametrize(
    ("suffixes", "expected"),
    [
        ((":short", ":keepalive"), [["short", "keepalive"]]),
        ((":short", ":short"), [["A", "B"]]),
        ((":keepalive", ""), [["A", "B"]]),
    ],
)
def test_a_mode_can_be_selected(run: MakeRun, suffixes: tuple[str, str], expected: list[list[str]]) -> None:
    made = run("a")
    assert names(pick([made + suffix for suffix in suffixes])) == expected


def test_runs_of_one_mode_each_are_compared_with_each_other(run: MakeRun) -> None:
    picked = pick([run("a", {"short": SHORT}), run("b", {"keepalive": KEEPALIVE})])
    assert names(picked) == [["short", "keepalive"]]


def test_sides_are_named_after_the_one_thing_that_differs(run: MakeRun) -> None:
    runs = [run(f"run{n}", load={"connections": n}) for n in (64, 256, 1024)]
    assert names(pick([f"{each}:short" for each in runs])) == [
        ["64 connections", "256 connections", "1024 connections"]
    ]
    both = [run("x", closes_first="proxy"), run("y", closes_first="backend")]
    assert names(pick([f"{each}:short" for each in both])) == [["proxy", "backend"]]


@pytest.mark.parametrize("suffix", ["", ":short"])
def test_one_side_alone_is_no_comparison(run: MakeRun, suffix: str) -> None:
    only = run("a", {"short": SHORT}) + suffix
    with pytest.raises(PlanError, match="one mode only; name a second run to compare it with"):
        pick([only])


def test_a_mode_that_the_run_has_not_is_refused(run: MakeRun) -> None:
    with pytest.raises(PlanError, match="no trial of that mode; the run has short"):
        pick([run("a", {"short": SHORT}) + ":keepalive", run("b")])


def test_a_run_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="there is no such result"):
        pick([str(tmp_path / "a:b")])


def test_only_valid_trials_that_ran_to_their_end_count(run: MakeRun) -> None:
    one_run = read.read(Path(run("a", {"short": SHORT})))
    (one,) = one_run.trials
    spoilt = dataclasses.replace(
        one_run,
        trials=(
            one,
            dataclasses.replace(one, trial=2, valid=False),
            dataclasses.replace(one, trial=3, interrupted=True),
        ),
    )
    (side,) = sides.split(spoilt)
    assert [trial.trial for trial in side.trials] == [1, 2, 3]
    assert [trial.trial for trial in side.counted] == [1]


def test_differences_name_the_plan_the_machine_and_the_mode(run: MakeRun) -> None:
    left, right = pick([run("a") + ":short", run("b", load={"connections": 128}) + ":short"])[0]
    other = dataclasses.replace(right.run, machine={**right.run.machine, "kernel": "6.12"})
    assert sides.differences([left, dataclasses.replace(right, run=other)]) == {
        "plan.load.connections": (64, 128),
        "machine.kernel": ("6.1.0-40-amd64", "6.12"),
    }
    assert sides.differences([left, left]) == {}


@pytest.mark.parametrize(
    ("mode", "different"), [("short", {"plan.closes_first": ("proxy", "backend")}), ("keepalive", {})]
)
def test_closes_first_distinguishes_short_sides_only(
    run: MakeRun, mode: str, different: dict[str, tuple[str, str]]
) -> None:
    (pair,) = pick([f"{run('a')}:{mode}", f"{run('b', closes_first='backend')}:{mode}"])
    assert sides.differences(pair) == different


def test_load_average_and_number_of_trials_make_no_difference(run: MakeRun) -> None:
    left, right = pick([run("a") + ":short", run("b") + ":short"])[0]
    busy = dataclasses.replace(
        right.run,
        machine={**right.run.machine, "load_average": [9.0, 9.0, 9.0]},
        plan={**right.run.plan, "trials": 99},
    )
    assert sides.differences([left, dataclasses.replace(right, run=busy)]) == {}


def test_what_an_older_plan_could_not_set_had_its_default(run: MakeRun) -> None:
    older, newer = (sides.split(read.read(Path(run(name))))[0] for name in ("older", "newer"))
    load = {key: value for key, value in older.run.plan["load"].items() if key != "method"}
    older = dataclasses.replace(
        older, run=dataclasses.replace(older.run, plan={**older.run.plan, "load": load})
    )
    assert sides.differences([older, newer]) == {}
    posting = {**newer.run.plan, "load": {**newer.run.plan["load"], "method": "POST"}}
    newer = dataclasses.replace(newer, run=dataclasses.replace(newer.run, plan=posting))
    assert sides.differences([older, newer]) == {"plan.load.method": ("GET", "POST")}
