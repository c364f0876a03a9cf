"""The order of trials, and what is recorded of those that end, are interrupted, or never began."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.experiment import recorder
from bench.experiment.recorder import PlannedTrial, interleave, numbered
from bench.experiment.summary import Outcome
from bench.plan.run_plan import Plan
from bench.runs import storage
from bench.runs.record import SubjectRecord, Trial

TRIAL = Trial(trial=1, mode="short", closes_first=None, subject=SubjectRecord("nginx", "1"), lab="loopback")


def ends() -> Outcome[Trial]:
    """Return a trial that has ended."""
    return Outcome(TRIAL, [], [])


def ends_early() -> Outcome[Trial]:
    """Return a trial that was interrupted under load."""
    return Outcome(replace(TRIAL, interrupted=True), [], [])


def interrupted() -> Outcome[Trial]:
    """Be interrupted before the load."""
    raise KeyboardInterrupt


def never() -> Outcome[Trial]:
    """Fail: what follows an interrupted trial is not run."""
    raise AssertionError


@pytest.mark.parametrize(
    ("planned", "kept", "early"),
    [
        ((ends, ends), 2, False),
        ((ends, ends_early, never), 2, True),
        ((ends, interrupted, never), 1, True),
        ((interrupted, never), 0, True),
    ],
)
def test_an_interrupted_trial_is_the_last(
    planned: tuple[Callable[[], Outcome[Trial]], ...], kept: int, early: bool, tmp_path: Path
) -> None:
    with storage.create(tmp_path, Plan().to_json(), {}) as writer:
        was_interrupted = recorder.record(PlannedTrial(writer, perform) for perform in planned)
        done = recorder.finished(writer, was_interrupted)
    assert (len(done.trials), done.interrupted) == (kept, early)
    assert len(list(tmp_path.iterdir())) == (1 if kept else 0)


def test_trials_of_several_runs_may_take_turns(tmp_path: Path) -> None:
    with (
        storage.create(tmp_path, Plan().to_json(), {}, label="a") as a,
        storage.create(tmp_path, Plan().to_json(), {}, label="b") as b,
    ):
        assert not recorder.record([PlannedTrial(a, ends), PlannedTrial(b, ends), PlannedTrial(a, ends)])
        assert [len(writer.run.trials) for writer in (a, b)] == [2, 1]


def test_every_other_round_is_reversed() -> None:
    assert list(interleave("ab", 3)) == ["a", "b", "b", "a", "a", "b"]


def test_trials_are_numbered_from_one() -> None:
    assert list(numbered(["short", "keepalive"], 1)) == [(1, "short"), (2, "keepalive")]


@given(st.lists(st.integers(), unique=True), st.integers(0, 9))
def test_each_round_has_every_item_once(items: list[int], rounds: int) -> None:
    order = list(interleave(items, rounds))
    assert len(order) == len(items) * rounds
    for number in range(rounds):
        assert set(order[number * len(items) : (number + 1) * len(items)]) == set(items)
