"""What a backend counts."""

import pytest

from backends.role.counters import Counters, Errors, sum_counters


def test_the_event_has_the_documented_keys() -> None:
    assert Counters(accepted=1, requests=2).event("done") == {
        "event": "done",
        "role": "backend",
        "accepted": 1,
        "requests": 2,
        "failed": 0,
        "errors": {"protocol": 0, "reset": 0},
        "closed_first": 0,
    }


def test_workers_are_sum_counters() -> None:
    one = Counters(1, 20, 300, Errors(4000, 50_000), 600_000)
    two = Counters(2, 30, 400, Errors(5000, 60_000), 700_000)
    assert sum_counters([one.event("count"), two.event("count")]) == Counters(
        3, 50, 700, Errors(9000, 110_000), 1_300_000
    )


@pytest.mark.parametrize(
    ("error", "peer_closed", "resets", "closed_first"),
    [
        (None, True, 0, 0),
        (None, False, 0, 1),
        (ConnectionResetError(), False, 1, 0),
        (BrokenPipeError(), False, 1, 0),
    ],
)
def test_the_end_of_a_connection(
    error: Exception | None, peer_closed: bool, resets: int, closed_first: int
) -> None:
    counters = Counters()
    counters.count_lost(error, peer_closed=peer_closed)
    assert (counters.errors.reset, counters.closed_first) == (resets, closed_first)
