"""The order of trials, and what is recorded of those that end, are interrupted, or never began."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import RoleError
from bench.experiment import recorder
from bench.experiment.recorder import PlannedTrial, interleave, numbered
from bench.experiment.summary import Outcome, TrialCutShort
from bench.plan.run_plan import Plan
from bench.runs import read, storage
from bench.runs.record import SubjectRecord, Trial, TrialWarning

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


def fails() -> Outcome[Trial]:
    """Fail: a role does not come up."""
    raise RoleError("proxy", "ended with 1")


def test_what_fails_after_a_trial_ends_the_run_and_is_its_problem(tmp_path: Path) -> None:
    with storage.create(tmp_path, Plan().to_json(), {}) as writer:
        planned = (ends, fails, never)
        assert not recorder.record(PlannedTrial(writer, perform) for perform in planned)
        done = recorder.finished(writer, False)
    assert (len(done.trials), done.problem) == (1, "proxy: ended with 1")


@pytest.mark.parametrize("before", [(), (ends,)])
def test_a_trial_that_is_cut_short_is_kept_and_the_last(
    before: tuple[Callable[[], Outcome[Trial]], ...], tmp_path: Path
) -> None:
    def cut_short() -> Outcome[Trial]:
        raise TrialCutShort("cluster: client-1 was lost", Outcome(replace(TRIAL, valid=False), [], []))

    with storage.create(tmp_path, Plan().to_json(), {}) as writer:
        assert not recorder.record(PlannedTrial(writer, each) for each in (*before, cut_short, never))
        done = recorder.finished(writer, False)
    (recorded,) = (read.read(each) for each in tmp_path.iterdir())
    assert [trial.valid for trial in recorded.trials] == [*(True for _ in before), False]
    assert done.problem == "cluster: client-1 was lost"


def test_what_fails_before_a_trial_is_raised_and_leaves_nothing(tmp_path: Path) -> None:
    with storage.create(tmp_path, Plan().to_json(), {}) as writer, pytest.raises(RoleError):
        recorder.record([PlannedTrial(writer, fails)])
    assert list(tmp_path.iterdir()) == []


def test_a_trial_that_cannot_be_written_is_shown_and_the_run_is_over(tmp_path: Path) -> None:
    with storage.create(tmp_path, Plan().to_json(), {}) as writer:
        assert not recorder.record([PlannedTrial(writer, ends)])
        with open("/dev/full", "wb") as full:
            os.dup2(full.fileno(), writer._lines.fileno())
        assert not recorder.record(PlannedTrial(writer, perform) for perform in (ends, never))
        done = recorder.finished(writer, False)
    assert len(done.trials) == 2
    assert done.problem is not None
    assert "cannot be written to: No space left on device; trial 1 is not in it; make room" in done.problem
    assert len(read.read(writer.directory).trials) == 1


def test_trials_of_several_runs_may_take_turns(tmp_path: Path) -> None:
    with (
        storage.create(tmp_path, Plan().to_json(), {}, label="a") as a,
        storage.create(tmp_path, Plan().to_json(), {}, label="b") as b,
    ):
        assert not recorder.record([PlannedTrial(a, ends), PlannedTrial(b, ends), PlannedTrial(a, ends)])
        assert [len(writer.run.trials) for writer in (a, b)] == [2, 1]


def test_trials_and_blocks_are_numbered_from_one() -> None:
    places = [place for place, _ in numbered(["short", "keepalive"], 2, seed=1)]
    assert places == [(1, 1), (2, 1), (3, 2), (4, 2)]


def test_the_seed_draws_the_order_and_each_item_comes_first_as_often() -> None:
    orders = {tuple(interleave("abc", 2, seed)) for seed in range(1, 200)}
    assert len(orders) == 6
    assert {order[0] for order in orders} == set("abc")


def test_the_block_of_a_trial_is_recorded(tmp_path: Path) -> None:
    with storage.create(tmp_path, Plan().to_json(), {}) as writer:
        recorder.record([PlannedTrial(writer, ends, 3)])
    assert [trial.block for trial in read.read(writer.directory).trials] == [3]


DISTURBED = replace(
    TRIAL,
    valid=False,
    duration_s=5.0,
    warnings=(TrialWarning("machine-shared", "others used 40%", voids=True),),
)
SATURATED = replace(DISTURBED, warnings=(TrialWarning("generator-saturated", "full", voids=True),))
CALM = replace(TRIAL, duration_s=5.0)
CUT = replace(CALM, interrupted=True)


@pytest.mark.parametrize(
    ("attempts", "kept", "repeated"),
    [
        ([CALM], [CALM], 0),
        ([DISTURBED, CALM, CALM], [CALM, CALM], 1),
        ([DISTURBED, DISTURBED, CALM], [DISTURBED, CALM], 1),
        # After two second attempts in vain there are no more.
        ([DISTURBED] * 5, [DISTURBED] * 3, 2),
        ([DISTURBED, DISTURBED, DISTURBED, CALM, DISTURBED, CALM], [DISTURBED, CALM, CALM], 3),
        ([SATURATED, CALM], [SATURATED, CALM], 0),
        ([replace(DISTURBED, duration_s=0.8), CALM], [DISTURBED, CALM], 0),
        ([DISTURBED, CUT], [DISTURBED], 0),
    ],
)
def test_a_disturbed_trial_is_repeated_once_and_says_so(
    attempts: list[Trial], kept: list[Trial], repeated: int, tmp_path: Path
) -> None:
    coming = iter(attempts)

    def perform() -> Outcome[Trial]:
        return Outcome(next(coming), [], [])

    with storage.create(tmp_path, Plan().to_json(), {}) as writer:
        was_cut = recorder.record([PlannedTrial(writer, perform) for _ in kept])
    assert next(coming, None) is None, "every attempt was made"
    recorded = read.read(writer.directory).trials
    assert [trial.valid for trial in recorded] == [trial.valid for trial in kept]
    notes = [
        warning.message for trial in recorded for warning in trial.warnings if warning.code == "repeated"
    ]
    assert notes == ["this is the second attempt; the first is left out, since others used 40%"] * repeated
    assert was_cut == (CUT in attempts)


def test_what_fails_in_the_second_attempt_leaves_the_first(tmp_path: Path) -> None:
    coming = iter([Outcome(DISTURBED, [], [])])

    def perform() -> Outcome[Trial]:
        return next(coming, None) or fails()

    with storage.create(tmp_path, Plan().to_json(), {}) as writer:
        assert not recorder.record([PlannedTrial(writer, perform)])
        done = recorder.finished(writer, False)
    assert (len(done.trials), done.problem) == (1, "proxy: ended with 1")


@given(st.lists(st.integers(), unique=True), st.integers(0, 9), st.integers(1, 1 << 30))
def test_each_block_has_every_item_once_and_over_two_none_comes_earlier(
    items: list[int], rounds: int, seed: int
) -> None:
    order = list(interleave(items, rounds, seed))
    assert len(order) == len(items) * rounds
    for number in range(rounds):
        assert set(order[number * len(items) : (number + 1) * len(items)]) == set(items)
    for number in range(0, rounds - 1, 2):
        two = order[number * len(items) : (number + 2) * len(items)]
        assert two == two[::-1]
