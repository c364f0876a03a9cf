"""How the workers of a proxy share its clients."""

import pytest

from bench.analysis.accepting import ACCEPTING, Accepting, WorkerShare, in_turns, parts


@pytest.mark.parametrize(
    ("clients", "workers", "counts"),
    [
        (1, 2, [1, 0]),
        (2, 2, [1, 1]),
        (14, 2, [13, 1]),
        (18, 2, [17, 1]),
        (20, 2, [17, 3]),
        (34, 2, [17, 17]),
        (50, 2, [33, 17]),
        (30, 4, [17, 11, 1, 1]),
        (100, 1, [100]),
    ],
)
def test_each_worker_accepts_one_and_then_sixteen_in_turn(
    clients: int, workers: int, counts: list[int]
) -> None:
    assert in_turns(clients, workers) == counts


@pytest.mark.parametrize("accepting", ACCEPTING)
@pytest.mark.parametrize("clients", [None, 0.5, 1, 7, 16, 33.3, 500])
@pytest.mark.parametrize("workers", [1, 2, 8])
def test_the_parts_are_the_whole(accepting: Accepting, clients: float | None, workers: int) -> None:
    found = parts(clients, workers, accepting)
    assert sum(part.workers * part.share for part in found) == pytest.approx(1)
    assert sum(part.workers for part in found) <= workers * 1.001
    assert all(0 < part.share <= 1 for part in found)


def test_many_clients_are_shared_evenly() -> None:
    for accepting in ("turns", "random"):
        assert all(part.share == pytest.approx(1 / 4, rel=0.05) for part in parts(1e5, 4, accepting))


def test_the_first_worker_has_all() -> None:
    assert parts(50, 4, "first") == (WorkerShare(1, 1.0),)


def test_drawn_workers_have_a_binomial_share() -> None:
    found = parts(20, 2, "random")
    square = sum(part.workers * part.share**2 for part in found)
    # Of a share with mean p the square is p^2 + p (1 - p) / n on average, for each of both workers.
    assert square == pytest.approx(2 * (0.25 + 0.25 / 20), rel=0.01)
