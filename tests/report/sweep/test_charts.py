"""Where the values of an axis stand in a picture."""

from bench.report.sweep import charts


def test_spread_values_stand_on_a_logarithmic_axis_with_zero_one_doubling_below() -> None:
    assert charts.positions([0, 1, 2, 4, 64]) == [-1, 0, 1, 2, 6]
    assert charts.positions([10, 20, 30]) == [10, 20, 30]
