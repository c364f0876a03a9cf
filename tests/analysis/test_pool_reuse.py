"""The reuse of a pool, computed: against its limits, a direct simulation, and itself."""

import heapq
import math
import random

import pytest

from bench.analysis import pool_reuse
from bench.analysis.pool_reuse import PoolLoad, one_pool, shared_pool


def played(load: float, idle: int, requests: int = 60_000) -> float:
    """Return the share that finds an idle connection in a pool that is played through, request by request."""
    chance, now, free, found = random.Random(7), 0.0, 0, 0
    ends: list[float] = []
    for number in range(requests):
        now += chance.expovariate(1)
        while ends and ends[0] <= now:
            heapq.heappop(ends)
            free = min(idle, free + 1)
        found += free > 0 and number >= requests // 3
        free = max(0, free - 1)
        heapq.heappush(ends, now + chance.expovariate(1 / load))
    return found / (requests - requests // 3)


@pytest.mark.parametrize("load", [0.3, 1.67, 8.0, 40.0])
@pytest.mark.parametrize("idle", [1, 3, 8])
def test_the_chain_says_what_a_pool_does(load: float, idle: int) -> None:
    assert one_pool(load, idle).reused_share == pytest.approx(played(load, idle), abs=0.01)


@pytest.mark.parametrize("idle", [1, 2, 8, 20])
def test_a_pool_that_is_small_for_its_load_carries_one_request_more_than_its_size(idle: int) -> None:
    assert 1 / one_pool(5e6, idle).opened_share == pytest.approx(idle + 1, rel=0.01)


def test_a_pool_larger_than_what_is_ever_in_flight_opens_nothing() -> None:
    assert one_pool(8.0, 64).opened_share == 0
    assert one_pool(8.0, 0).opened_share == 1


@pytest.mark.parametrize("load", [0.5, 160.0, 1900.0])
def test_a_pool_that_is_hardly_ever_full_has_a_figure_too(load: float) -> None:
    enough = pool_reuse.in_flight(load, 1 - 1e-9) + 2
    assert 0 <= one_pool(load, enough).opened_share < 1e-6


def test_more_idle_connections_never_reuse_less() -> None:
    for load in (0.05, 5.0, 300.0):
        shares = [one_pool(load, idle).reused_share for idle in range(1, 80, 9)]
        assert shares == sorted(shares)


def test_a_large_load_is_computed_from_a_smaller_one(monkeypatch: pytest.MonkeyPatch) -> None:
    scaled = [pool_reuse.one_pool(4000.0, idle) for idle in (5, 60, 150)]
    monkeypatch.setattr(pool_reuse, "_MOST_LOAD", math.inf)
    one_pool.cache_clear()
    whole = [pool_reuse.one_pool(4000.0, idle) for idle in (5, 60, 150)]
    one_pool.cache_clear()
    for one, other in zip(scaled, whole, strict=True):
        assert one.opened_share == pytest.approx(other.opened_share, rel=0.01)
        assert one.mean_open == pytest.approx(other.mean_open, rel=0.001)


def test_one_server_of_a_shared_pool_is_a_pool_of_its_own() -> None:
    shared = shared_pool(PoolLoad(8.0))
    for idle in (1, 2, 4, 8, 16):
        assert shared.reused_share(idle) == pytest.approx(one_pool(8.0, idle).reused_share, abs=0.01)
        assert shared.held(idle).mean == pytest.approx(one_pool(8.0, idle).mean_open, rel=0.03)
        assert shared.held(idle).variance == pytest.approx(one_pool(8.0, idle).open_variance, rel=0.15)


def test_a_simulation_up_to_one_size_says_the_same_of_it() -> None:
    pool = PoolLoad(3.0, 6, "random")
    every = shared_pool(pool, 8_000)
    for idle in (2, 5, 9):
        assert shared_pool(pool, 8_000, idle).shares[-1] == every.shares[idle]


@pytest.mark.parametrize(
    ("idle", "least", "most"), [(5, 0.0, 0.0), (30, 0.0, 0.01), (39, 0.1, 0.5), (40, 1.0, 1.0)]
)
def test_servers_in_turn_need_a_connection_each(idle: int, least: float, most: float) -> None:
    assert least <= PoolLoad(0.2, 40).reused_share(idle) <= most


def test_servers_at_random_find_theirs_as_often_as_it_is_kept() -> None:
    assert PoolLoad(0.01, 40, "random").reused_share(10) == pytest.approx(10 / 40, abs=0.02)


@pytest.mark.parametrize(("servers", "balancing"), [(1, "round-robin"), (4, "round-robin"), (4, "random")])
@pytest.mark.parametrize("clients", [4, 9])
def test_a_pool_for_each_client_of_a_closed_loop_opens_nothing_more(
    servers: int, balancing: pool_reuse.Balancing, clients: int
) -> None:
    pool = PoolLoad(3.0, servers, balancing, clients)
    assert pool.reused_share(clients * servers) > 0.999


def test_clients_that_never_pause_hand_their_connection_on() -> None:
    assert PoolLoad(64.0, clients=64).reused_share(1) == 1
    assert one_pool(64.0, 1).reused_share < 0.6


@pytest.mark.parametrize(
    ("opened", "most", "expected"),
    [
        (1.0, None, 1.0),
        (0.5, None, 2.0),
        (0.0, None, math.inf),
        (0.0, 1000, 1000.0),
        (1.0, 9, 1.0),
        (0.5, 2, 1.5),
    ],
)
def test_a_connection_carries_so_many_requests(opened: float, most: int | None, expected: float) -> None:
    assert pool_reuse.requests_per_connection(opened, most) == pytest.approx(expected)


@pytest.mark.parametrize(("load", "most"), [(0.001, 0), (1.0, 5), (8.0, 18), (1000.0, 1098)])
def test_so_many_are_in_flight_at_the_most(load: float, most: int) -> None:
    assert pool_reuse.in_flight(load) == most
