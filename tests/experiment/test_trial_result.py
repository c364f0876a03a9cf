"""What two readings of the machine amount to."""

import pytest

from bench.analysis.validity import Pressure
from bench.experiment.trial_result import SaturationReading

S = 10**9


@pytest.mark.parametrize(
    ("before", "after", "pressure"),
    [
        (
            SaturationReading(0, [0.0], 5.0, 1.0),
            SaturationReading(2 * S, [0.5], 6.0, 1.5),
            Pressure(0.25, 0.5, 0.25),
        ),
        (
            SaturationReading(S, [1.0, 2.0], 0.0),
            SaturationReading(2 * S, [1.1, 2.75], 1.01),
            Pressure(0.75, 1.0),
        ),
        (
            SaturationReading(0, [None, 1.0], None),
            SaturationReading(S, [3.0, None], None),
            Pressure(0.0, None),
        ),
        (
            SaturationReading(0, [0.0], 5.0, foreign_s=3.0),
            SaturationReading(2 * S, [0.0], 6.0, foreign_s=3.5),
            Pressure(0.0, 0.5, foreign_cpu=0.25),
        ),
        (
            SaturationReading(0, [0.0], 5.0, foreign_s=3.0),
            SaturationReading(2 * S, [0.0], 6.0, foreign_s=2.99),
            Pressure(0.0, 0.5, foreign_cpu=0.0),
        ),
        (SaturationReading(0, [], None, 1.0), SaturationReading(S, [], 1.0), Pressure(0.0, None)),
    ],
    ids=[
        "all measured",
        "the worst worker counts",
        "workers that came or went",
        "others",
        "fewer ticks than work",
        "measured once only",
    ],
)
def test_shares_are_of_the_time_between(
    before: SaturationReading, after: SaturationReading, pressure: Pressure
) -> None:
    assert before.until(after) == pressure
