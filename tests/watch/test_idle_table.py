"""For how long a connection had been idle, by the look before it ended."""

from __future__ import annotations

import numpy as np
import pytest

from bench.watch.idle_table import IdleTable

TABLE = IdleTable(np.array([3, 5, 9], np.uint64), np.array([4_000.0, 200.0, np.nan]), 10_000.0)
"""Looked at 10 s: one had been idle for 4 s, one for 0.2 s, and of one it is not known."""


@pytest.mark.parametrize(
    ("connection", "at_s", "idle_s"),
    [
        (3, 10.0, 4.0),
        (3, 11.5, 5.5),
        # Half of the time nobody has looked: it may have been used meanwhile.
        (3, 14.0, 8.0),
        (3, 14.1, None),
        (5, 10.2, 0.4),
        (5, 10.3, None),
        # It ended before the look, and waited to be closed.
        (3, 8.0, 2.0),
        # It was used, and ended later: it is another connection with the same ports.
        (3, 5.9, None),
        (9, 10.0, None),
        (4, 10.0, None),
    ],
)
def test_a_look_says_how_long_a_connection_was_idle_later(
    connection: int, at_s: float, idle_s: float | None
) -> None:
    (found,) = TABLE.at(np.array([connection], np.uint64), np.array([1e3 * at_s]))
    assert found == pytest.approx(np.nan if idle_s is None else idle_s, nan_ok=True)


def test_without_a_look_nothing_is_known() -> None:
    assert np.isnan(IdleTable().at(np.array([3, 5], np.uint64), np.array([1.0, 2.0]))).all()
