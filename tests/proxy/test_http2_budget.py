"""What a client of HTTP/2 may cost while it gets nothing done."""

from __future__ import annotations

from h2 import events

from proxy.http2.budget import (
    CAPACITY,
    LOSSES_PER_SECOND,
    MAX_ALLOWANCE,
    MAX_LOSSES,
    PER_SECOND,
    Budget,
    useful_bytes,
)


def test_what_is_spent_at_once_is_bounded() -> None:
    budget = Budget(0.0)
    assert budget.spend(CAPACITY, 0.0)
    assert not budget.spend(1, 0.0)


def test_time_gives_back_and_does_not_pile_up() -> None:
    budget = Budget(0.0)
    budget.spend(CAPACITY, 0.0)
    assert budget.spend(PER_SECOND, 1.0)
    assert not budget.spend(1, 1.0)
    later = 1.0 + 10 * CAPACITY / PER_SECOND
    assert budget.spend(CAPACITY, later)
    assert not budget.spend(1, later)


def test_work_gives_back() -> None:
    budget = Budget(0.0)
    for _ in range(1000):
        assert budget.spend(CAPACITY, 0.0)
        budget.earn(2 * CAPACITY)


def test_what_may_be_on_its_way_is_allowed_up_to_a_bound() -> None:
    budget = Budget(0.0)
    for _ in range(1000):
        budget.allow(65_535)
    budget.earn(1.0)
    assert budget.spend(CAPACITY + MAX_ALLOWANCE, 0.0)
    assert not budget.spend(1, 0.0)


def test_a_part_of_many_requests_may_be_cancelled() -> None:
    budget = Budget(0.0)
    for _ in range(10_000):
        assert budget.lose(0.0)
        for _ in range(4):
            budget.complete()
    for _ in range(int(MAX_LOSSES)):
        budget.lose(0.0)
    assert not budget.lose(0.0), "and no more than that"


def test_lost_streams_are_bounded_whatever_else_is_sent() -> None:
    budget = Budget(0.0)
    for _ in range(int(MAX_LOSSES)):
        budget.earn(CAPACITY)
        budget.allow(65_535)
        assert budget.lose(0.0)
    assert not budget.lose(0.0)
    assert sum(budget.lose(2.0) for _ in range(100)) == 2 * LOSSES_PER_SECOND - 1


def test_requests_and_their_content_are_of_use() -> None:
    request = events.RequestReceived(stream_id=1, headers=[(b"a", b"bc")])
    data = events.DataReceived(stream_id=1, data=b"12345", flow_controlled_length=6)
    padded = events.DataReceived(stream_id=1, data=b"", flow_controlled_length=200)
    of_no_use = [padded, events.PingReceived(ping_data=b"x" * 8), events.WindowUpdated(stream_id=1, delta=1)]
    assert [useful_bytes(each) for each in (request, data, *of_no_use)] == [12, 15, 0, 0, 0]
