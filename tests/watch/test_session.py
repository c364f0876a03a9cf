"""The loop of a watch: when it looks, when it ends, what a look holds, and what judging may cost."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence
from dataclasses import replace

import pytest

from bench.watch import verdict
from bench.watch.model import RequestFlow, Snapshot
from bench.watch.session import MOST_KEPT, Look, Session
from bench.watch.stop_signals import heed_signals
from bench.watch.verdict import WatchVerdict
from tests.watch.made_up import UPSTREAM, kept, short, watched
from tests.watch.scripted import ScriptedSource, ScriptedWatch, ToldClock

CHURN = watched(short(UPSTREAM, 2_000, 5))


def session(
    snapshots: Sequence[Snapshot] = CHURN, *sources: ScriptedSource, interval_s: float = 1.0
) -> tuple[Session, ToldClock]:
    clock = ToldClock()
    return Session(ScriptedWatch(snapshots), verdict.judge, sources, interval_s, clock), clock


def test_it_looks_at_each_interval_until_the_time_is_over() -> None:
    watch, clock = session()
    looks: list[Look] = []
    assert watch.run([looks.append], clock.wait, duration_s=3)
    assert clock.waits == [1.0, 1.0, 1.0]
    assert [look.snapshot.t_s for look in looks] == [1.0, 2.0, 3.0]


def test_the_last_interval_is_cut_to_the_end() -> None:
    watch, clock = session()
    watch.run([], clock.wait, duration_s=2.5)
    assert clock.waits == [1.0, 1.0, 0.5]


def test_the_first_look_comes_after_a_second_at_the_latest() -> None:
    watch, clock = session(interval_s=20.0)
    watch.run([], clock.wait, duration_s=45)
    assert clock.waits == [1.0, 20.0, 20.0, 4.0]


def test_what_was_due_while_a_look_went_on_is_left_out() -> None:
    watch, clock = session()

    def slow(look: Look) -> None:
        clock.now_s += 2.3

    watch.run([slow], clock.wait, duration_s=8)
    assert clock.waits == [1.0, pytest.approx(0.7), pytest.approx(0.7), pytest.approx(-1.3)]


def test_a_watch_that_costs_more_is_looked_at_more_seldom() -> None:
    clock = ToldClock()
    watch = Session(ScriptedWatch(CHURN), verdict.judge, (), 1.0, clock, least_interval=lambda: 2.5)
    watch.run([], clock.wait, duration_s=8)
    assert clock.waits == [1.0, 2.5, 2.5, 2.0]


@pytest.mark.parametrize(("duration_s", "came_to_its_end"), [(None, True), (60.0, False)])
def test_it_ends_where_it_is_told_to_and_says_whether_that_was_early(
    duration_s: float | None, came_to_its_end: bool
) -> None:
    watch, _ = session()
    looks: list[Look] = []
    assert watch.run([looks.append], lambda seconds: len(looks) == 2, duration_s) is came_to_its_end
    assert len(looks) == 2


def test_a_look_holds_the_snapshots_with_their_requests_and_notes() -> None:
    flow = RequestFlow("a log", 4_000, port=8080)
    watch, _ = session(CHURN, ScriptedSource([(flow,)], ("the log was rotated",)))
    look = watch.look()
    assert (look.snapshot.requests, look.snapshot.notes) == ((flow,), ("the log was rotated",))
    assert look.rows[0].requests_per_connection == 2.0
    assert watch.look().snapshots[0] == look.snapshot


def test_no_more_snapshots_are_kept_than_two_minutes_have() -> None:
    watch, _ = session()
    for _ in range(MOST_KEPT + 5):
        look = watch.look()
    assert (len(look.snapshots), look.snapshots[0].t_s) == (MOST_KEPT, 6.0)


def test_a_verdict_that_takes_long_is_given_less_often_but_always_at_the_end() -> None:
    clock = ToldClock()
    judged: list[int] = []

    def judge(snapshots: Sequence[Snapshot]) -> WatchVerdict:
        judged.append(len(snapshots))
        clock.now_s += 0.025  # 2.5 s at a hundredth of a core
        return verdict.judge(snapshots)

    ages: list[float] = []
    watch = Session(ScriptedWatch(CHURN), judge, (), 1.0, clock, cost_clock=clock)
    watch.run([lambda look: ages.append(look.verdict_age_s)], clock.wait, duration_s=9)
    assert judged == [1, 4, 7, 9]
    assert ages == [0, 1, 2, 0, 1, 2, 0, 1, 0]


def test_the_verdict_is_that_of_all_snapshots() -> None:
    watch, _ = session()
    assert [each.pattern.value for each in [watch.look() for _ in range(5)][-1].verdict.faults] == [
        "short-connections"
    ]
    healthy, _ = session(watched(kept(UPSTREAM, 8, 5)))
    assert [healthy.look() for _ in range(5)][-1].verdict.faults == ()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_wait_at_once_and_for_good(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with heed_signals() as stopping:
        assert not stopping.wait(0)
        timer = threading.Timer(0.05, os.kill, (os.getpid(), number))
        timer.start()
        assert stopping.wait(60)
        timer.join()
        assert stopping.wait(60)
    assert signal.getsignal(number) is before


def test_a_watch_outlives_its_terminal_where_that_was_asked_for() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with heed_signals() as stopping:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stopping.wait(0)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_snapshot_without_sources_stays_as_it_is() -> None:
    watch, _ = session()
    assert watch.look().snapshot == replace(CHURN[0])
