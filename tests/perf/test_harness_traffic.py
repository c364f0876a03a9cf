"""Bytes of the harness are those of a second of load, of a trial besides, and of a command."""

from __future__ import annotations

import pytest

from tests.perf.harness_traffic import Moment, Phase, Traffic, phases

KB = 1000


def moments(*steps: tuple[float, int, int]) -> list[Moment]:
    """Return the moments between steps of some seconds, with kB of the harness and of data in each."""
    found = [Moment(0.0, 0, 0)]
    for length_s, harness, data in steps:
        at_s, before, told = found[-1]
        found.append(Moment(at_s + length_s, before + harness * KB, told + data * KB))
    return found


IDLE, LOAD = (1.0, 10, 0), (1.0, 6, 900)
STALL, BURST = (0.1, 1, 0), (0.1, 3, 400)


def test_load_and_no_load_take_turns() -> None:
    found = phases(moments(IDLE, LOAD, LOAD, IDLE, IDLE, LOAD, IDLE))
    assert [each.has_load for each in found] == [False, True, False, True, False]
    assert found[1] == Phase(True, 2.0, 12 * KB, 1800 * KB)


def test_a_stall_of_a_load_is_load_and_a_burst_is_none() -> None:
    found = phases(moments(IDLE, BURST, IDLE, LOAD, STALL, LOAD, IDLE))
    assert [each.has_load for each in found] == [False, True, False]
    assert found[0].harness == 23 * KB
    assert found[1].length_s == pytest.approx(2.1)


def test_no_byte_is_lost_or_counted_twice() -> None:
    steps = [IDLE, BURST, IDLE, LOAD, STALL, LOAD, IDLE, LOAD, LOAD, IDLE]
    found = phases(moments(*steps))
    assert sum(each.harness for each in found) == KB * sum(step[1] for step in steps)
    assert sum(each.data for each in found) == KB * sum(step[2] for step in steps)


def test_the_harness_of_a_trial_is_that_of_its_load_and_that_around_it() -> None:
    traffic = Traffic(phases(moments(IDLE, IDLE, LOAD, LOAD, LOAD, (2.0, 9, 0), LOAD, LOAD, LOAD, IDLE)))
    assert (traffic.per_second, traffic.data_per_second) == (6 * KB, 900 * KB)
    assert (traffic.per_trial, traffic.once) == (9 * KB, 21 * KB)
    assert traffic.share_of_load == pytest.approx(100 * 6 / 900)
    assert traffic.share(3.0) == pytest.approx(100 * (9 + 18) / 2700)
    assert traffic.enough_per_second(3.0) == pytest.approx(900 * KB)
