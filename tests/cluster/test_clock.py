"""The offset of a worker's clock lies within the error that is named, whatever the network does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cluster import clock
from bench.cluster.clock import ClockDrift, ClockOffset
from bench.errors import LabError

MS = 1_000_000


def trip(sent: int, out: int, back: int, offset: int) -> tuple[int, int, int]:
    """Return a round trip to a clock that is `offset` ahead, with the times of both ways."""
    return sent, sent + out + offset, sent + out + back


delays = st.integers(0, 200 * MS)
ways = st.tuples(st.integers(0, 10**15), delays, delays)


@given(st.lists(ways, min_size=1, max_size=30), st.integers(-(10**15), 10**15))
def test_the_true_offset_lies_within_half_of_the_shortest_round_trip(
    made: list[tuple[int, int, int]], offset: int
) -> None:
    measured = clock.estimate(trip(*way, offset) for way in made)
    shortest = min(out + back for _, out, back in made)
    assert measured.round_trip_ns == shortest
    assert measured.error_ns == (shortest + 1) // 2
    assert abs(measured.offset_ns - offset) <= measured.error_ns


@given(st.lists(ways, min_size=1, max_size=30), ways)
def test_one_more_round_trip_never_makes_the_error_larger(
    made: list[tuple[int, int, int]], more: tuple[int, int, int]
) -> None:
    trips = [trip(*way, 7) for way in made]
    assert clock.estimate([*trips, trip(*more, 7)]).error_ns <= clock.estimate(trips).error_ns


@given(st.lists(st.tuples(st.integers(0, 10**15), delays), min_size=1, max_size=30), st.integers())
def test_equal_ways_give_the_offset_itself(made: list[tuple[int, int]], offset: int) -> None:
    assert clock.estimate(trip(sent, way, way, offset) for sent, way in made).offset_ns == offset


@pytest.mark.parametrize(
    ("out", "back", "offset_ns"),
    [(1 * MS, 1 * MS, 200 * MS), (0, 2 * MS, 199 * MS), (2 * MS, 0, 201 * MS)],
)
def test_an_unequal_way_moves_the_offset_by_half_of_the_inequality(
    out: int, back: int, offset_ns: int
) -> None:
    noisy = [trip(0, 90 * MS, 3 * MS, 200 * MS), trip(0, 4 * MS, 70 * MS, 200 * MS)]
    assert clock.estimate([*noisy, trip(5, out, back, 200 * MS)]) == ClockOffset(offset_ns, MS, 2 * MS)


@pytest.mark.parametrize("trips", [[], [(10, 10, 9)]])
def test_round_trips_that_cannot_be_are_refused(trips: list[tuple[int, int, int]]) -> None:
    with pytest.raises(ValueError, match=r"empty|1 ns before it begins"):
        clock.estimate(trips)


@given(st.integers(), st.integers())
def test_moments_are_translated_both_ways(local_ns: int, offset_ns: int) -> None:
    offset = ClockOffset(offset_ns, 0, 0)
    assert offset.to_local(offset.to_remote(local_ns)) == local_ns
    assert offset.to_remote(local_ns) - local_ns == offset_ns


class Network:
    """Workers whose clocks are ahead of one that moves by the delays of the calls alone."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, offsets: dict[str, int], **delays: list[int]) -> None:
        monkeypatch.setattr(clock, "_LANES", 1)
        self.offsets, self.delays = offsets, delays
        self.calls: list[str] = []
        self.ours = 0

    def measure(self, *addresses: str) -> dict[str, ClockOffset]:
        return clock.measure(self.call, addresses, lambda: self.ours)

    def call(self, address: str, function: object) -> int:
        assert function is clock.read_monotonic_ns
        self.calls.append(address)
        delays = self.delays[address]
        delay = delays.pop(0) if len(delays) > 1 else delays[0]
        self.ours += delay
        return self.ours - delay // 2 + self.offsets[address]


def test_workers_take_turns_and_a_certain_one_is_asked_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(monkeypatch, {"near": 200 * MS, "far": -MS}, near=[MS], far=[10 * MS])
    measured = network.measure("near", "far")
    assert measured == {
        "near": ClockOffset(200 * MS, MS // 2, MS),
        "far": ClockOffset(-MS, 5 * MS, 10 * MS),
    }
    assert network.calls[:8] == ["near", "far"] * 4
    assert network.calls[8:] == ["far"] * 26


def test_a_slow_beginning_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(monkeypatch, {"w": 5}, w=[90 * MS, 30 * MS, 4 * MS, 9 * MS])
    assert network.measure("w")["w"] == ClockOffset(5, 2 * MS, 4 * MS)


@pytest.mark.parametrize(("way", "error", "calls"), [(9, 4.5, 30), (120, 60, 25), (600, 300, 5)])
def test_a_long_way_is_measured_for_three_seconds_at_most(
    monkeypatch: pytest.MonkeyPatch, way: int, error: float, calls: int
) -> None:
    network = Network(monkeypatch, {"w": 0}, w=[way * MS])
    assert network.measure("w")["w"].error_ns == error * MS
    assert len(network.calls) == calls


@pytest.mark.parametrize(("way", "calls"), [(2, 4), (3, 8), (4, 8), (5, 30)])
def test_the_more_round_trips_there_were_the_larger_an_error_is_enough(
    monkeypatch: pytest.MonkeyPatch, way: int, calls: int
) -> None:
    network = Network(monkeypatch, {"w": 0}, w=[way * MS])
    network.measure("w")
    assert len(network.calls) == calls


def test_a_busy_worker_is_asked_until_one_round_trip_is_short_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(monkeypatch, {"w": 5}, w=[*[80 * MS] * 20, 9 * MS, 80 * MS])
    assert network.measure("w")["w"] == ClockOffset(5, 9 * MS // 2, 9 * MS)
    assert len(network.calls) == 21


def test_nobody_to_measure_is_no_error() -> None:
    assert clock.measure(lambda address, function: 0, []) == {}


def test_a_worker_that_is_lost_meanwhile_is_the_error_of_the_call() -> None:
    def call(address: str, function: object) -> int:
        raise LabError(f"{address} is gone")

    with pytest.raises(LabError, match="b is gone"):
        clock.measure(call, ["b"])


def test_a_clock_that_is_too_uncertain_is_refused_with_a_remedy() -> None:
    clock.check_error("w1", ClockOffset(0, clock.LARGEST_ERROR_NS, 10 * MS))
    with pytest.raises(LabError) as refused:
        clock.check_error("w1", ClockOffset(0, clock.LARGEST_ERROR_NS + 1, 10 * MS + 1))
    assert str(refused.value).startswith("cluster: worker w1: its clock is known within 5.00 ms only")
    assert "run `bench` and the scheduler in the same network" in str(refused.value)


@pytest.mark.parametrize(
    ("moved", "is_warned", "voids"),
    [
        (0, False, False),
        (2, False, False),
        (-2, False, False),
        (3, True, False),
        (-3, True, False),
        (11, True, True),  # of a window of a second
        (-2000, True, True),
    ],
)
def test_a_drift_beyond_both_errors_is_a_warning(moved: int, is_warned: bool, voids: bool) -> None:
    drift = ClockDrift(ClockOffset(200 * MS, MS, 2 * MS), ClockOffset((200 + moved) * MS, MS, 2 * MS))
    assert (drift.difference_ns, drift.error_ns) == (moved * MS, 2 * MS)
    warning = clock.summarize_drift("client-2", drift, 1.0)
    assert (warning is not None) is is_warned
    if warning is not None:
        assert (warning.code, warning.voids) == ("clock-drift", voids)
        assert warning.message == (
            f"client-2: its clock moved against ours by {moved:,}.00 ms during the trial"
            f" (offset 200.00 ms before, {200 + moved:,}.00 ms after, each within 1.00 ms)"
        )
