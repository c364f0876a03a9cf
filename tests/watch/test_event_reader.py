"""The reader of the kernel's events, on real sockets: exact to the connection, or it says that it is not."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from dataclasses import astuple

import pytest

from bench.watch import event_reader
from bench.watch.event_reader import EventReader, EventsTaken, Selection
from bench.watch.model import Direction, HopFlow, PeerHop
from tests.watch.conftest import Traffic

pytestmark = pytest.mark.usefixtures("may_trace")
Start = Callable[..., EventReader]


@pytest.fixture
def start() -> Iterator[Start]:
    """Return a function that starts a reader, which is closed at the end."""
    started: list[EventReader] = []

    def begin(**how: float) -> EventReader:
        reader = EventReader(Selection(), **how)
        started.append(reader)
        return reader

    yield begin
    for reader in started:
        reader.close()


def flow(reading: EventsTaken, direction: Direction, traffic: Traffic, port: int | None = None) -> HopFlow:
    """Return the counts of one hop of `traffic`, without its lifetimes."""
    assert reading.is_whole, reading.reason
    hop = PeerHop(direction, traffic.address, traffic.port if port is None else port)
    return HopFlow(*astuple(reading.flows.get(hop, HopFlow()))[:8])


def wait_for(reader: EventReader, whole: bool) -> EventsTaken:
    """Take until the counts are whole, or not; a deadline keeps it from waiting for ever."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        reading = reader.take()
        if reading.is_whole is whole:
            return reading
    raise AssertionError("the reader never came to it")


def test_each_end_of_a_connection_counts_for_who_made_it(traffic: Traffic, start: Start) -> None:
    reader = start()
    traffic.close(5, client=True)
    traffic.close(3, client=False)
    traffic.reset(4, client=True)
    traffic.reset(2, client=False)
    traffic.leave_unread(1, client=True)
    traffic.leave_unread(6, client=False)
    refused = traffic.refuse(7)
    reading = reader.take()
    assert flow(reading, Direction.OUTGOING, traffic) == HopFlow(21, 5, 3, 5, 8)
    assert flow(reading, Direction.INCOMING, traffic) == HopFlow(21, 3, 5, 8, 5)
    assert flow(reading, Direction.OUTGOING, traffic, refused) == HopFlow(failed_opens=7)


def test_many_short_connections_are_counted_to_the_last(traffic: Traffic, start: Start) -> None:
    reader = start()
    traffic.close(1500, client=False)
    reading = reader.take()
    assert flow(reading, Direction.OUTGOING, traffic) == HopFlow(opened=1500, closed_there=1500)
    assert flow(reading, Direction.INCOMING, traffic) == HopFlow(opened=1500, closed_here=1500)


def test_a_connection_that_was_there_before_ends_on_its_hop(traffic: Traffic) -> None:
    near, far = traffic.connect()
    reader = EventReader(Selection(lambda: frozenset([traffic.port])))
    try:
        near.close()
        assert far.recv(1) == b""
        reading = reader.take()
    finally:
        reader.close()
    assert flow(reading, Direction.OUTGOING, traffic) == HopFlow(closed_here=1)
    assert flow(reading, Direction.INCOMING, traffic) == HopFlow(closed_there=1)


def test_two_readers_count_the_same(traffic: Traffic, start: Start) -> None:
    one, other = start(), start()
    traffic.close(5, client=True)
    for reader in (one, other):
        assert flow(reader.take(), Direction.OUTGOING, traffic) == HopFlow(opened=5, closed_here=5)


def test_a_reader_that_costs_too_much_stops_says_so_and_comes_back(
    traffic: Traffic, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_reader, "_SHARE_OVER_S", 0.1)
    reader = start(max_share=0.0, first_pause_s=0.1)
    stopped = wait_for(reader, whole=False)
    assert stopped.reason is not None
    assert "of a core, more than 0%: sampled from here on" in stopped.reason
    reader._max_share = 1.0
    back = wait_for(reader, whole=True)
    assert back.reason is None
    traffic.close(2, client=True)
    assert flow(reader.take(), Direction.OUTGOING, traffic) == HopFlow(opened=2, closed_here=2)


def test_a_reader_that_lost_events_stops_and_says_how_many(traffic: Traffic, start: Start) -> None:
    reader = start(first_pause_s=0.1)
    with reader._lock:  # nobody reads meanwhile
        reader._instance._write("buffer_size_kb", "8")
        traffic.close(300, client=True)
    stopped = wait_for(reader, whole=False)
    assert stopped.reason is not None
    assert "the reader fell behind (" in stopped.reason


def test_a_reader_that_cannot_read_any_more_says_so_and_stays_away(start: Start) -> None:
    reader = start(first_pause_s=0.0)

    def fail() -> None:
        raise OSError(errno.ENODEV, "No such device")

    with reader._lock:
        reader._instance.read = fail  # type: ignore[method-assign, assignment]
    for _ in range(2):
        stopped = wait_for(reader, whole=False)
        assert stopped.reason is not None
        assert stopped.reason.startswith("the events cannot be read any more (")
