"""Figures that stand together in a cell have the same decimals."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import units
from bench.report.text_table import format_number, format_numbers, format_spread

UNITS = st.sampled_from(["", "ms", "s", "1/s", "us"])
FIGURES = st.floats(0, 1e9)


@pytest.mark.parametrize(
    ("center", "low", "high", "unit", "text"),
    [
        (99.96, 99.95, 100.2, "1/s", "100"),
        (99.94, 99.9, 100.2, "1/s", "99.9 (99.9 to 100.2)"),
        (0.85, 0.4, 3, "", "0.85 (0.40 to 3.00)"),
        (26.5, 19, 36, "", "26.5 (19.0 to 36.0)"),
        (5, 4, 6, "", "5 (4 to 6)"),
        (9.996, 9.99, 10.2, "ms", "10.0 (10.0 to 10.2)"),
        (0.996, 0.95, 1.2, "s", "1.0 (0.9 to 1.2)"),
        (101, 97.5, 104, "us", "101 (98 to 104)"),
    ],
)
def test_a_spread_has_one_number_of_decimals(
    center: float, low: float, high: float, unit: str, text: str
) -> None:
    assert format_spread(center, low, high, unit) == text


@given(st.lists(FIGURES, min_size=1, max_size=4), UNITS)
def test_figures_have_the_decimals_of_the_first(values: list[float], unit: str) -> None:
    texts = format_numbers(values, unit)
    assert len({len(text.partition(".")[2]) for text in texts}) == 1
    if unit:
        assert texts[0] == format_number(values[0], unit)


@given(st.floats(0.1, 1e6), UNITS.filter(lambda unit: unit not in ("", "s")))
def test_a_figure_has_three_digits_or_more_and_no_fourth_for_its_fraction(value: float, unit: str) -> None:
    text = format_number(value, unit)
    digits = re.sub(r"[.,]", "", text).lstrip("0")
    assert len(digits) == 3 or ("." not in text and len(digits) > 3) or value < 1


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ((1.0, 0.996, 1.004), ["1.00x", "1.00x", "1.00x"]),
        ((0.999, 0.99, 1.01), ["0.999x", "0.990x", "1.010x"]),
        ((13.9, 13.7, 14), ["13.9x", "13.7x", "14.0x"]),
        ((9.999, 9.9, 10.1), ["10.0x", "9.9x", "10.1x"]),
        ((995, 399, 1007), ["995x", "399x", "1,007x"]),
        ((0.00106, 0.000968, 0.00114), ["0.00106x", "0.00097x", "0.00114x"]),
        ((0.0, 0.0, 0.5), ["0.00x", "0.00x", "0.50x"]),
    ],
)
def test_ratios_have_the_decimals_that_the_first_needs(values: tuple[float, ...], texts: list[str]) -> None:
    assert units.ratios(values) == texts
