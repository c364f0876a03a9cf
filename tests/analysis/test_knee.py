"""Where a curve bends, and where none is named."""

from __future__ import annotations

import random

import pytest

from bench.analysis import knee

DOUBLING = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0]


def thrice(ys: list[float]) -> list[list[float]]:
    """Return three trials of each point, half a percent apart."""
    return [[0.995 * y, y, 1.005 * y] for y in ys]


@pytest.mark.parametrize("at", [4.0, 8.0, 16.0])
def test_a_curve_that_saturates_levels_off_where_it_does(at: float) -> None:
    # One unit of rate for each doubling, up to `at`.
    ys = [1.0 + DOUBLING.index(min(x, at)) for x in DOUBLING]
    found = knee.find(DOUBLING, thrice(ys)).knee
    assert found is not None
    assert (found.at, found.low, found.high, found.kind) == (at, at, at, "levels off")


def test_what_falls_levels_off_as_well() -> None:
    found = knee.find([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], thrice([100.0, 20.0, 8.0, 6.0, 5.0, 4.0])).knee
    assert found is not None
    assert (found.at, found.kind) == (1.0, "levels off")


def test_a_latency_takes_off_under_load() -> None:
    found = knee.find([1.0, 2.0, 3.0, 4.0, 5.0], thrice([2.0, 2.1, 2.2, 6.0, 40.0]), is_gain=False).knee
    assert found is not None
    assert (found.at, found.kind) == (4.0, "takes off")


def test_of_two_knees_that_of_the_question_is_named() -> None:
    ys = thrice([0.0, 0.1, 0.2, 3.0, 5.8, 5.9, 6.0])
    xs = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    gain, loss = knee.find(xs, ys).knee, knee.find(xs, ys, is_gain=False).knee
    assert gain is not None
    assert loss is not None
    assert (gain.at, loss.at) == (5.0, 3.0)


@pytest.mark.parametrize(
    ("xs", "ys", "reason"),
    [
        ([1.0, 2.0, 3.0], [1.0, 2.0, 2.0], "3 points are too few"),
        ([1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 2.0, 3.0, 4.0, 5.0], "has no knee"),
        ([1.0, 2.0, 3.0, 4.0, 5.0], [7.0] * 5, "has no knee"),
    ],
)
def test_where_none_is_none_is_named(xs: list[float], ys: list[float], reason: str) -> None:
    bend = knee.find(xs, thrice(ys))
    assert bend.knee is None
    assert reason in bend.reason


def test_noise_alone_has_no_knee() -> None:
    named = 0
    for seed in range(40):
        chance = random.Random(seed)
        samples = [[chance.gauss(100, 5) for _ in range(5)] for _ in range(8)]
        named += knee.find([float(x) for x in range(1, 9)], samples).knee is not None
    assert named <= 4


def test_one_trial_a_point_gives_no_interval() -> None:
    found = knee.find(DOUBLING, [[y] for y in (1.0, 2.0, 3.0, 4.0, 4.0, 4.0, 4.0)]).knee
    assert found is not None
    assert (found.at, found.low, found.high) == (8.0, None, None)


def test_a_pool_that_still_opens_half_does_not_level_off_by_doublings() -> None:
    opened = thrice([1000.0, 436.0, 250.0, 86.0, 23.0, 14.0, 14.0, 14.0])
    found = knee.find([0.0, 1.0, 2.0, 4.0, 6.0, 8.0, 12.0, 16.0], opened).knee
    assert found is not None
    assert (found.at, found.kind) == (4.0, "levels off")


def test_the_scatter_of_single_trials_has_no_knee() -> None:
    bend = knee.find([0.0, 1.0, 2.0, 4.0, 8.0], [[y] for y in (163.0, 181.0, 190.0, 191.0, 188.0)])
    assert bend.knee is None
    assert bend.reason == "one trial a cell does not tell so small a change from scatter"
