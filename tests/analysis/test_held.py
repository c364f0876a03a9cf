"""What a pool holds where age and use end its connections: against known distributions and a played pool."""

import math

import pytest

from bench.analysis import held
from tests.analysis.played_pool import PlayedPool, play


def mean_and_variance(chances: tuple[float, ...]) -> tuple[float, float]:
    mean = sum(count * chance for count, chance in enumerate(chances))
    return mean, sum((count - mean) ** 2 * chance for count, chance in enumerate(chances))


@pytest.mark.parametrize("load", [0.01, 0.5, 4.0, 59.0, 61.0, 900.0])
@pytest.mark.parametrize("every", [1, 2, 7, 40])
def test_what_a_request_finds_in_flight_adds_up(load: float, every: int) -> None:
    assert sum(held.found_in_flight(load, every)) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("load", [0.3, 3.0, 30.0])
def test_independent_requests_find_poissons_distribution(load: float) -> None:
    assert mean_and_variance(held.found_in_flight(load)) == pytest.approx((load, load), rel=1e-6)
    assert held._by_moments(load, 1)[:4] == pytest.approx(held.found_in_flight(load)[:4], rel=1e-6)


def test_requests_in_turn_are_more_regular() -> None:
    mean, variance = mean_and_variance(held.found_in_flight(10.0, 8))
    assert mean == pytest.approx(9.57, abs=0.01)  # one less than the last one would be at a constant rate
    assert variance < 0.7 * mean


def test_large_loads_are_as_good_as_normal() -> None:
    exact, normal = held._by_moments(55.0, 4), held._as_normal(55.0, 4)
    assert mean_and_variance(exact) == pytest.approx(mean_and_variance(normal), rel=0.01)


def test_where_hardly_anything_is_sent_hardly_anything_is_held() -> None:
    # One request in a thousand idle times: it holds its connection while it lasts, and then so long.
    rare = held.by_age(1e-5, 100.0)
    assert rare.mean == pytest.approx(1 - math.exp(-1e-5 * 101), rel=0.01)
    assert rare.opened_share == pytest.approx(math.exp(-1e-5 * 100), rel=0.01)


@pytest.mark.parametrize(
    ("load", "servers", "timeout", "most"),
    [
        (0.4, 1, 100.0, None),
        (4.0, 1, 250.0, None),
        (8.0, 1, 250.0, 100),
        (8.0, 1, 1e9, 200),
        (2.0, 4, 250.0, None),
        (4.0, 4, 1000.0, None),
        (4.0, 4, 1000.0, 100),
        (20.0, 2, 300.0, 200),
    ],
)
def test_a_played_pool_holds_as_many(load: float, servers: int, timeout: float, most: int | None) -> None:
    reused, mean = play(PlayedPool(1000, servers, timeout, most), load, 80_000)
    said = held.by_age(load / servers, timeout, most, servers)
    assert said.mean == pytest.approx(mean, rel=0.05)
    if most is None:
        assert 1 - said.opened_share == pytest.approx(reused, abs=0.005)
