"""Differences of counters: what grew, what is new, what began anew, and what reading them has added."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bench.watch.model import Direction, RequestFlow
from bench.watch.requests.counting import CountedHop, CounterReading, CounterSource, Counts, differences
from bench.watch.requests.source import SourceError

HERE = CountedHop(Direction.OUTGOING, 8080, "10.0.0.1")
THERE = CountedHop(Direction.OUTGOING, 8080, "10.0.0.2")


class Script:
    """A reader that gives one answer after the other; None is no answer."""

    def __init__(self, readings: Iterable[CounterReading | None]) -> None:
        self.readings = list(readings)
        self.is_closed = False

    def read(self) -> CounterReading:
        reading = self.readings.pop(0)
        if reading is None:
            raise SourceError("gives no answer within 1 s", "look")
        return reading

    def close(self) -> None:
        self.is_closed = True


def reading(requests: int, connections: int = 0, uptime_s: int | None = None) -> CounterReading:
    return CounterReading({HERE: Counts(requests, connections)}, uptime_s=uptime_s)


GROWN = [
    (reading(10, 1), reading(15, 2), Counts(5, 1), False),
    (reading(10, 1), reading(10, 1), Counts(0, 0), False),
    (CounterReading({}), reading(3, 1), Counts(3, 1), False),
    (reading(10, 1), reading(4, 1), Counts(4, 1), True),
    (reading(10, 9), reading(12, 2), Counts(12, 2), True),
    # More than before, but the server runs for less long: a restart between two looks.
    (reading(10, 1, uptime_s=100), reading(50, 2, uptime_s=1), Counts(50, 2), True),
    (reading(10, 1, uptime_s=100), reading(12, 1, uptime_s=101), Counts(2, 0), False),
]


@pytest.mark.parametrize(("old", "new", "grown", "began_anew"), GROWN)
def test_what_grew(old: CounterReading, new: CounterReading, grown: Counts, began_anew: bool) -> None:
    assert differences(old, new) == ({HERE: grown}, began_anew)


def test_a_hop_that_came_back_counts_from_zero_and_the_others_go_on() -> None:
    old = CounterReading({HERE: Counts(1000, 5), THERE: Counts(700, 5)})
    new = CounterReading({HERE: Counts(1010, 5), THERE: Counts(7, 1)})
    assert differences(old, new) == ({HERE: Counts(10, 0), THERE: Counts(7, 1)}, True)


def test_own_requests_are_not_counted() -> None:
    new = CounterReading({HERE: Counts(16, 3)}, own={HERE: Counts(1, 1)})
    assert differences(reading(10, 1), new) == ({HERE: Counts(5, 1)}, False)


def test_own_requests_that_a_restart_forgot_make_no_negative_count() -> None:
    new = CounterReading({HERE: Counts(1, 1)}, own={HERE: Counts(3, 3)})
    assert differences(reading(10, 2), new) == ({HERE: Counts(0, 0)}, True)


@given(st.lists(st.lists(st.integers(0, 50), min_size=1), min_size=1))
def test_over_restarts_each_request_counts_once(lives: list[list[int]]) -> None:
    """Each life of the server is a list of how many requests came before each look at it."""
    readings = [reading(0, uptime_s=0)]
    for life in lives:
        totals = itertools.accumulate(life)
        readings += [reading(total, uptime_s=uptime_s) for uptime_s, total in enumerate(totals)]
    # A look within the first second of a life, and the first one of the next: only a counter tells.
    for before, after in itertools.pairwise(list(readings)):
        if (
            before.uptime_s == after.uptime_s == 0
            and before.counts[HERE].requests <= after.counts[HERE].requests
        ):
            assume(before.counts[HERE].requests == 0)
    source = CounterSource("a server", Script(readings))
    counted = sum(flow.requests for _ in readings[1:] for flow in source.read())
    assert counted == sum(map(sum, lives))


def test_the_first_answer_is_where_counting_begins() -> None:
    source = CounterSource("a server", Script([reading(100, 7), reading(103, 8)]))
    assert source.read() == (
        RequestFlow("a server", 3, 8080, Direction.OUTGOING, "10.0.0.1", failed=0, connections=1),
    )
    assert source.notes == ()


def test_without_an_answer_there_is_a_note_and_the_next_one_catches_up() -> None:
    source = CounterSource("a server", Script([reading(100), None, None, reading(109), reading(110)]))
    assert source.read() == ()
    assert source.notes == ("a server gives no answer within 1 s: its requests are missing here",)
    assert source.read() == ()
    assert [flow.requests for flow in source.read()] == [9]
    assert source.notes == ("a server answers again: its requests here are also those of the last 2 looks",)
    assert [flow.requests for flow in source.read()] == [1]
    assert not source.notes


def test_a_restart_is_told() -> None:
    source = CounterSource("a server", Script([reading(100), reading(4)]))
    assert [flow.requests for flow in source.read()] == [4]
    assert source.notes == ("a server counts from zero again: what came right before that is missing",)


def test_without_a_first_answer_nothing_stays_open() -> None:
    script = Script([None])
    with pytest.raises(SourceError, match="gives no answer within 1 s; look"):
        CounterSource("a server", script)
    assert script.is_closed
