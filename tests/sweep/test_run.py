"""A sweep: what it runs, in which order, and how it goes on after an end that came too early."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.errors import PlanError
from bench.experiment import run as experiment
from bench.experiment.summary import Outcome
from bench.machine import describe
from bench.plan import grid as grids
from bench.plan.grid import Axis
from bench.plan.run_plan import Mode, Plan
from bench.report.live import LiveLine
from bench.runs import read
from bench.runs.record import SubjectRecord, Trial
from bench.sweep import run as sweeps
from bench.sweep.run import Sweep
from tests import bench_process, needs

GRID = grids.check([Axis("subject.pool_idle", (0, 4, 16)), Axis("load.connections", (8, 16))])
HERE = experiment.LabStage("loopback")
SILENT = LiveLine(lambda state, now_s: None)


def sweep(**plan: Any) -> Sweep:
    """Return the sweep of GRID with two trials in each cell."""
    return sweeps.prepare(Plan(mode="keepalive", trials=2, seed=5).to_json() | plan, GRID, HERE)


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Callable[[int | None], list[tuple[int, Plan]]]:
    """Trials that start nothing; the one after so many is interrupted by the user."""
    monkeypatch.setattr(experiment, "check", lambda plan: None)

    def let(stop_after: int | None = None) -> list[tuple[int, Plan]]:
        done: list[tuple[int, Plan]] = []

        def trial(plan: Plan, number: int, mode: Mode, *_: object) -> Outcome[Trial]:
            if stop_after is not None and len(done) == stop_after:
                raise KeyboardInterrupt
            done.append((number, plan))
            made = Trial(
                trial=number,
                subject=SubjectRecord("asyncio", "1"),
                lab="loopback",
                mode=mode.value,
                closes_first=None,
            )
            return Outcome(made, [], [])

        monkeypatch.setattr(experiment, "perform_trial", trial)
        return done

    return let


def cells_of(done: list[tuple[int, Plan]]) -> Counter[tuple[int | None, int]]:
    return Counter((plan.subject.pool_idle, plan.load.connections) for _, plan in done)


Played = Callable[..., list[tuple[int, Plan]]]


def test_each_cell_has_its_trials_in_blocks_in_an_order_of_chance(played: Played, tmp_path: Path) -> None:
    done = played()
    made = sweeps.perform(sweep(), HERE, tmp_path, SILENT)
    assert set(cells_of(done).values()) == {2}
    assert len(cells_of(done)) == 6
    order = [trial.case for trial in made.trials]
    assert sorted(order[:6]) == sorted(order[6:])
    assert order[:6] == order[:5:-1]  # the second block is the first, reversed
    assert order[:6] != [GRID.label(cell) for cell in GRID.cells()]
    assert read.read(Path(str(made.directory))).trials == made.trials


def test_a_sweep_goes_on_where_it_was_interrupted(played: Played, tmp_path: Path) -> None:
    first = played(5)
    begun = sweeps.perform(sweep(), HERE, tmp_path, SILENT)
    assert begun.interrupted
    directory = Path(str(begun.directory))
    with open(directory / "run.jsonl", "a") as file:
        file.write('{"trial": 6, "cut off')
    second = played()
    there = read.read(directory)
    assert len(there.damage) == 1
    whole = sweeps.resume(sweep(), there, HERE, SILENT)
    assert set((cells_of(first) + cells_of(second)).values()) == {2}
    again = read.read(directory)
    assert again.damage == ()
    assert [trial.trial for trial in again.trials] == [*range(1, 13)]
    assert again.trials == whole.trials


def test_a_sweep_that_lacks_nothing_is_not_begun_again(played: Played, tmp_path: Path) -> None:
    played()
    made = sweeps.perform(sweep(), HERE, tmp_path, SILENT)
    with pytest.raises(PlanError, match="it lacks no trial"):
        sweeps.resume(sweep(), read.read(Path(str(made.directory))), HERE, SILENT)


def test_a_sweep_without_a_trial_is_begun_anew(played: Played, tmp_path: Path) -> None:
    """As one is whose process died in its first trial: the header stands there alone."""
    played()
    made = sweeps.perform(sweep(), HERE, tmp_path, SILENT)
    file = Path(str(made.directory), "run.jsonl")
    file.write_text(file.read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")
    with pytest.raises(PlanError, match="it has no trial to go on from; begin a new sweep"):
        sweeps.resume(sweep(), read.read(file), HERE, SILENT)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"cpu_model": "another"}, "cpu_model was another and is"),
        ({"cores": 999}, "cores was 999 and is"),
        ({"sysctls": {}}, "sysctls"),
    ],
)
def test_on_another_machine_it_does_not_go_on(
    changed: dict[str, Any], said: str, played: Played, tmp_path: Path
) -> None:
    played(2)
    begun = sweeps.perform(sweep(), HERE, tmp_path, SILENT)
    elsewhere = replace(begun, machine={**begun.machine, **changed})
    with pytest.raises(PlanError, match=f"another machine, or this one has changed: {said}"):
        sweeps.resume(sweep(), elsewhere, HERE, SILENT)


def test_with_another_commit_its_trials_say_so(
    played: Played, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played(2)
    begun = sweeps.perform(sweep(), HERE, tmp_path, SILENT)
    here = describe.describe()
    monkeypatch.setattr(describe, "describe", lambda: {**here, "git": {"commit": "f00", "dirty": False}})
    played()
    whole = sweeps.resume(sweep(), begun, HERE, SILENT)
    warned = [any(warning.code == "resumed" for warning in trial.warnings) for trial in whole.trials]
    assert warned == [False] * 2 + [True] * 10


def test_a_cell_that_no_subject_can_do_is_named_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(plan: Plan) -> None:
        if plan.subject.pool_idle == 4:
            raise PlanError("no such pool")

    monkeypatch.setattr(experiment, "check", refuse)
    with pytest.raises(PlanError, match="--vary pool-idle=4,connections=8: no such pool"):
        sweep()


@pytest.mark.long
@needs.in_namespaces
def test_a_smaller_pool_opens_more_connections(tmp_path: Path) -> None:
    flags = ("--vary", "pool-idle=0,1,16", "--trials", "1", "-c", "16", "--warmup", "0.2s", "-d", "0.8s")
    done = bench_process.run(
        "sweep", *flags, "--rate", "200", "--arrivals", "poisson", "--delay", "30ms", "--json", "-o", tmp_path
    )
    assert done.returncode in (0, 1, 4), done.stderr
    values = json.loads(done.stdout)
    found = [(each["cell"]["subject.pool_idle"], each["upstream"]) for each in values["trials"]]
    opened = {idle: upstream["connections_opened"] for idle, upstream in found}
    assert opened[0] > opened[1] > opened[16], "six requests are in flight"
    assert values["kind"] == "sweep"
    assert values["grid"] == {"subject.pool_idle": [0, 1, 16]}
