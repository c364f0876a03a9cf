"""What two readings of the machine amount to."""

import pytest

from bench.analysis.validity import Pressure
from bench.experiment.saturation import Reading

S = 10**9


@pytest.mark.parametrize(
    ("before", "after", "pressure"),
    [
        (Reading(0, [0.0], 5.0, 1.0), Reading(2 * S, [0.5], 6.0, 1.5), Pressure(0.25, 0.5, 0.25)),
        (Reading(S, [1.0, 2.0], 0.0), Reading(2 * S, [1.1, 2.7], 1.01), Pressure(pytest.approx(0.7), 1.0)),
        (Reading(0, [None, 1.0], None), Reading(S, [3.0, None], None), Pressure(0.0, None)),
        (Reading(0, [], None, 1.0), Reading(S, [], 1.0), Pressure(0.0, None)),
    ],
    ids=["all told", "the worst worker counts", "workers that came or went", "told once only"],
)
def test_shares_are_of_the_time_between(before: Reading, after: Reading, pressure: Pressure) -> None:
    assert before.until(after) == pressure
