"""What a fleet needs and what it meets first."""

import json
from dataclasses import replace

import msgspec
import pytest

from bench.analysis import proxy_fleet as fleets
from bench.analysis.fleet_pools import ProxyFleet
from bench.analysis.proxy_fleet import END, HALF, Limit, Sizing

ONE = ProxyFleet(rate=5000, latency_s=0.005)
FORTY = ProxyFleet(rate=20_000, latency_s=0.008, proxies=12, workers=8, backends=40)


def limit(sizing: Sizing, name: str) -> Limit:
    return next(each for each in sizing.limits if each.name == name)


def test_what_is_in_flight_is_rate_times_latency() -> None:
    assert FORTY.load(20_000) * FORTY.pools == pytest.approx(160)


def test_each_worker_keeps_a_connection_to_each_backend() -> None:
    sizing = fleets.size(FORTY)
    assert (sizing.needed, sizing.chosen.keepalive, sizing.stops) == (40, 40, ())
    assert sizing.chosen.requests_per_connection == pytest.approx(1000, rel=0.001)
    assert sizing.chosen.backend_connections == 96 + 11


def test_without_a_pool_the_two_thresholds_are_those_of_the_ports() -> None:
    sizing = fleets.size(ONE, keepalive=0)
    half, end = limit(sizing, HALF), limit(sizing, END)
    assert half.rate == pytest.approx(28_232 / 2 / 60, rel=0.002)
    assert end.rate == pytest.approx(28_232 / 60, rel=0.002)
    assert half.after_s == pytest.approx(2.82, abs=0.01)
    assert end.after_s == pytest.approx(5.65, abs=0.01)
    assert [each.name for each in sizing.limits[:2]] == [HALF, END]
    assert len(sizing.stops) == 2
    assert next(each for each in sizing.remedies if each.name == "as it is").holds is False


@pytest.mark.parametrize(
    ("changed", "factor"),
    [
        ({"ports": 56_464}, 2),
        ({"addresses": 3}, 3),
        ({"backends": 4}, 4),
        ({"proxies": 5}, 5),
    ],
)
def test_what_there_is_more_of_moves_both_thresholds(changed: dict[str, int], factor: int) -> None:
    before = fleets.size(ONE, keepalive=0)
    after = fleets.size(replace(ONE, **changed), keepalive=0)  # type: ignore[arg-type]
    for name in (HALF, END):
        assert limit(after, name).rate == pytest.approx(factor * (limit(before, name).rate or 0), rel=0.01)


def test_a_limit_holds_just_below_its_rate_and_not_above() -> None:
    for each in fleets.size(replace(ONE, backend_connections=100), keepalive=4).limits:
        assert each.rate is not None
        for share, is_passed in ((0.98, False), (1.02, True)):
            there = replace(ONE, rate=each.rate * share, backend_connections=100)
            (found,) = (other for other in fleets.find_limits(there, 4) if other.name == each.name)
            assert found.is_passed is is_passed


def test_what_is_used_whatever_the_rate_fails_at_any() -> None:
    sizing = fleets.size(replace(ONE, backend_connections=10), keepalive=50)
    assert limit(sizing, "connections of a backend").rate == 0
    assert sizing.limits[0].name == "connections of a backend"


def test_connections_that_are_hardly_used_end_whatever_the_size() -> None:
    slow = ProxyFleet(rate=1, latency_s=0.01, proxies=10, workers=4)
    assert "requests to a backend within the idle timeout" in fleets.size(slow).stops[0]
    assert fleets.size(replace(slow, rate=100)).stops == ()


def test_the_answer_is_plain_values() -> None:
    values = json.loads(msgspec.json.encode(fleets.size(ONE).to_json()))
    assert values["in_flight"] == {"all": 25.0, "per_worker": 25.0, "per_worker_most": 42}
    assert values["holds"] is True
    assert {row["keepalive"] for row in values["pools"]} >= {0, values["keepalive_needed"]}


def test_clients_of_a_closed_loop_reach_no_more_than_one_request_each() -> None:
    fleet = replace(ONE, clients=10, closed_loop=True)
    sizing = fleets.size(fleet)
    assert "10 clients in a closed loop" in sizing.stops[0]
    assert "they reach 2,000 requests per second" in sizing.stops[0]
    assert all(each.rate is None for each in sizing.limits if each.name == "worker_connections")
    assert fleets.size(replace(fleet, rate=1500)).stops == ()


def test_where_no_size_reaches_the_reuse_the_smallest_that_is_as_good_is_named() -> None:
    sizing = fleets.size(replace(ONE, requests_per_connection=20))
    assert sizing.most == pytest.approx(0.95, abs=0.001)
    assert sizing.chosen.reused_share == pytest.approx(sizing.most, abs=1e-4)


def test_the_reuse_lies_between_that_of_one_worker_and_that_of_all() -> None:
    sizing = fleets.size(replace(ONE, workers=2, clients=60), keepalive=10)
    assert sizing.unspread is not None
    assert sizing.unspread < sizing.chosen.reused_share < sizing.even


def test_one_worker_that_has_all_clients_reuses_less() -> None:
    sizing = fleets.size(replace(ONE, workers=4))
    assert sizing.unspread is not None
    assert sizing.unspread < sizing.chosen.reused_share
    assert fleets.size(replace(ONE, workers=4, accepting="first")).unspread == pytest.approx(
        fleets.size(replace(ONE, workers=4, accepting="first")).chosen.reused_share
    )
