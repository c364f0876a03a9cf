"""Who runs where."""

from __future__ import annotations

import pytest

from bench.machine import affinity


@pytest.mark.parametrize(
    ("available", "workers", "client", "proxy", "backend"),
    [
        ([0], 1, None, None, None),
        ([0, 1], 1, {0}, {1}, {1}),
        ([0, 1], 4, {0}, {1}, {1}),
        ([4, 2, 7], 1, {2}, {7}, {4}),
        (range(8), 2, {0, 1}, {5, 6, 7}, {2, 3, 4}),
        (range(8), 8, {0, 1, 2, 3}, {6, 7}, {4, 5}),
    ],
)
def test_the_client_has_cores_of_its_own(
    available: list[int], workers: int, client: affinity.Cores, proxy: affinity.Cores, backend: affinity.Cores
) -> None:
    assigned = affinity.assign(available, workers, pin=True)
    assert assigned == {"client": client, "proxy": proxy, "backend": backend}


def test_without_pinning_nobody_is_bound() -> None:
    assert set(affinity.assign(range(8), 2, pin=False).values()) == {None}
