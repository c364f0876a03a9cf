"""What pools of a size do for a fleet: beside pools that are played, and between its bounds."""

from dataclasses import replace
from itertools import product

import pytest

from bench.analysis import fleet_pools
from bench.analysis.fleet_pools import ProxyFleet
from bench.analysis.pool_reuse import Balancing
from tests.analysis.played_pool import PlayedPool, play

EIGHT = ProxyFleet(rate=400, latency_s=0.041, proxies=4, workers=2, backends=4, requests_per_connection=None)


@pytest.mark.parametrize("balancing", ["round-robin", "random"])
@pytest.mark.parametrize("servers", [1, 4])
@pytest.mark.parametrize("load", [0.35, 2.05, 8.0])
@pytest.mark.parametrize("idle", [4, 10, 40])
def test_a_pool_does_what_a_played_one_does(
    balancing: Balancing, servers: int, load: float, idle: int
) -> None:
    timeout = 250.0
    fleet = ProxyFleet(
        rate=load,
        latency_s=1,
        backends=servers,
        balancing=balancing,
        idle_timeout_s=timeout,
        requests_per_connection=None,
    )
    row = fleet_pools.pool_row(fleet, idle)
    played = PlayedPool(idle, servers, timeout)
    reused, held = play(played, load, 60_000, is_random=balancing == "random")
    assert row.reused_share == pytest.approx(reused, rel=0.05)
    assert row.backend_connections_expected == pytest.approx(held, rel=0.05)


@pytest.mark.parametrize("loop", [(4, 2.0), (4, 4.0), (9, 5.0), (16, 16.0)])
@pytest.mark.parametrize("servers", [1, 4])
@pytest.mark.parametrize(
    ("idle", "timeout", "most"), [(2, 1e6, None), (6, 1e6, None), (24, 100.0, None), (24, 1e6, 100)]
)
def test_a_closed_loop_does_what_a_played_one_does(
    loop: tuple[int, float], servers: int, idle: int, timeout: float, most: int | None
) -> None:
    clients, load = loop
    fleet = ProxyFleet(rate=load, latency_s=1, backends=servers, clients=clients, closed_loop=True)
    fleet = replace(fleet, requests_per_connection=most, idle_timeout_s=timeout)
    row = fleet_pools.pool_row(fleet, idle)
    reused, held = play(PlayedPool(idle, servers, timeout, most), load, 60_000, clients=clients)
    assert row.reused_share == pytest.approx(reused, rel=0.05)
    assert row.backend_connections_expected == pytest.approx(held, rel=0.05)


def test_workers_that_share_clients_unevenly_reuse_less() -> None:
    even = fleet_pools.pool_row(EIGHT, 4)
    few = fleet_pools.pool_row(replace(EIGHT, clients=56), 4)
    assert even.reused_share == pytest.approx(0.786, abs=0.005)
    assert few.reused_share == pytest.approx(0.738, abs=0.005)
    one = fleet_pools.pool_row(replace(EIGHT, clients=56, accepting="first"), 4)
    assert one.reused_share == pytest.approx(fleet_pools.unspread_share(EIGHT, 4))
    assert one.reused_share < few.reused_share


def test_what_is_expected_lies_below_what_is_to_be_provided_for() -> None:
    grid = product(
        (1, 2, 12), (1, 8), (1, 4, 40), ("round-robin", "random"), (0.2, 1.7, 12.0), (0, 3, 20, 60)
    )
    for proxies, workers, backends, balancing, load, idle in grid:
        fleet = ProxyFleet(
            rate=load * proxies * workers,
            latency_s=1,
            proxies=proxies,
            workers=workers,
            backends=backends,
            balancing=balancing,  # type: ignore[arg-type]
        )
        row = fleet_pools.pool_row(fleet, idle)
        low, high = row.backend_connections_low, row.backend_connections_high
        assert 0 <= low <= row.backend_connections_expected <= high
        assert high <= row.backend_connections + 1, (fleet, row)


def test_a_shorter_idle_timeout_holds_fewer() -> None:
    held = [
        fleet_pools.pool_row(replace(EIGHT, idle_timeout_s=seconds), 64).backend_connections_expected
        for seconds in (1, 5, 60, 600)
    ]
    assert held == sorted(held)
    assert held[-1] > 1.5 * held[0]


@pytest.mark.parametrize(("most", "reused"), [(1, 0.0), (2, 0.5), (50, 0.98), (1000, 0.999)])
def test_no_pool_reuses_more_than_its_connections_may_carry(most: int, reused: float) -> None:
    fleet = replace(EIGHT, requests_per_connection=most)
    assert fleet_pools.smallest(fleet, 0.9999)[1] == pytest.approx(reused, abs=0.001)


@pytest.mark.parametrize(("servers", "balancing"), [(1, "round-robin"), (6, "round-robin"), (6, "random")])
def test_the_size_for_a_share_is_the_smallest_that_reaches_it(servers: int, balancing: Balancing) -> None:
    fleet = ProxyFleet(rate=400, latency_s=0.01, backends=servers, balancing=balancing)
    needed, most = fleet_pools.smallest(fleet, 0.95)
    assert most > 0.95
    assert fleet_pools.reused_share(fleet, needed) >= 0.95 > fleet_pools.reused_share(fleet, needed - 1)
