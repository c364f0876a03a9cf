"""When a trial became steady, by MSER-5, and what is said where that was in the window or never."""

from __future__ import annotations

import random

import pytest

from bench.analysis import steady
from bench.runs.ports_record import Ports

WARMUP_S, END_S = 1.0, 7.0


def ticks(*levels: tuple[float, float], seed: int = 1) -> list[tuple[float, int]]:
    """Return seven seconds of tenths; a level is (from second, mean rate), with noise of 3 %."""
    chance = random.Random(seed)
    line = []
    for index in range(70):
        level = [rate for since_s, rate in levels if since_s <= index / 10][-1]
        line.append((round(index / 10 + 0.1, 3), round(level / 10 * chance.gauss(1, 0.03))))
    return line


def codes(line: list[tuple[float, int]], ports: Ports | None = None) -> list[str]:
    warnings = steady.steadiness_warnings(line, ports or Ports(), warmup_s=WARMUP_S, end_s=END_S)
    return [warning.code for warning in warnings]


def test_the_start_is_cut_off_where_the_rest_is_steadiest() -> None:
    assert steady.truncation([1.0] * 20 + [9.0] * 50) == 20
    assert steady.truncation([9.0] * 70) == 0
    assert steady.truncation([1.0] * 45) is None, "too few to tell"


def test_the_standard_error_is_that_of_the_paper() -> None:
    # MSER(d) = sum of squares over (n - d) squared.
    assert steady._standard_error([1.0, 2.0, 3.0]) == pytest.approx(2 / 9)


@pytest.mark.parametrize("seed", range(20))
def test_noise_is_no_warm_up(seed: int) -> None:
    assert codes(ticks((0, 10_000), seed=seed)) == []
    assert codes(ticks((0, 4_000), (0.8, 10_000), seed=seed)) == [], "it was over before the window"


@pytest.mark.parametrize(
    ("levels", "code"),
    [
        ([(0, 4_000), (3.0, 10_000)], "warm-up-short"),
        ([(0, 10_000), (4.0, 8_000), (5.5, 6_000)], "never-steady"),
        ([(0, 4_000), (4.5, 6_000), (5.5, 9_000)], "never-steady"),
    ],
)
def test_a_window_that_was_not_steady_is_told(levels: list[tuple[float, float]], code: str) -> None:
    assert codes(ticks(*levels)) == [code]


def test_the_remedy_is_the_warm_up_that_would_have_done() -> None:
    line = [(at_s, 400 if at_s <= 3.0 else 1_000) for at_s, _ in ticks((0, 1))]
    (warning,) = steady.steadiness_warnings(line, Ports(), warmup_s=WARMUP_S, end_s=END_S)
    assert "steady only after 3.0 s" in warning.message
    assert warning.advice == "warm up for longer: --warmup 3s"
    assert not warning.voids


def test_a_cliff_is_no_matter_of_warming_up() -> None:
    line = ticks((0, 10_000), (1.5, 400))
    assert codes(line) != []
    assert codes(line, Ports(half_range_passed_s=1.5, rate_before=10_000.0, rate_after=400.0)) == []


def test_a_window_without_a_response_has_no_rate_to_be_steady() -> None:
    assert codes([(at_s, 0) for at_s, _ in ticks((0, 1))]) == []
