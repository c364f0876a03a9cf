"""The parts of push without sockets: what a subscriber saw, when messages are due, where the limit lies."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from itertools import islice, pairwise
from time import monotonic_ns
from typing import cast

import pytest

from bench.errors import PlanError
from bench.observe.host_observer import HostSample
from bench.scenarios.client.process import NEVER_NS, ClientControl, Go, read_job
from bench.scenarios.push import publisher as publisher_module
from bench.scenarios.push import rising_rate
from bench.scenarios.push.http import HttpSubscriber
from bench.scenarios.push.publisher import Publisher
from bench.scenarios.push.rising_rate import RateStep
from bench.scenarios.push.settings import PushSettings, jobs
from bench.scenarios.push.subscribers import PushJob, SubscriberCounts, SubscriberGroup


def make_counts(count: int = 1, stalled: int = 0) -> tuple[SubscriberCounts, list[str]]:
    """Return a tally whose window began a while ago, and a list that tells when all are done."""
    now_ns, ended = monotonic_ns(), list[str]()
    go = Go(now_ns - 10**10, now_ns - 10**9)
    return SubscriberCounts(go, count, stalled, None, lambda: ended.append("finished")), ended


@pytest.mark.parametrize(
    ("numbers", "gaps", "doubled"),
    [
        ([1, 2, 3], 0, 0),
        ([1, 3], 1, 0),  # 2 never came
        ([2], 1, 0),  # nor did the first
        ([1, 2, 2, 3], 0, 1),
        ([1, 2, 1, 2, 3], 0, 2),  # a reconnect that began anew
        ([1, 4, 2], 2, 1),
    ],
)
def test_numbers_tell_what_was_lost_and_what_doubled(numbers: list[int], gaps: int, doubled: int) -> None:
    counts, _ = make_counts()
    for number in numbers:
        counts.receive(0, number, b"%d" % monotonic_ns())
    assert (counts.gaps, counts.doubled) == (gaps, doubled)


def test_the_last_message_ends_a_subscriber_and_who_has_it_not_is_behind() -> None:
    counts, ended = make_counts(count=3)
    for who in (0, 2):
        counts.receive(who, 1, b"%d" % monotonic_ns())
    for who in (0, 1):
        counts.receive(who, 2, b"%d end" % monotonic_ns())
    assert (counts.event()["behind"], ended) == ([1], [])
    counts.receive(2, 2, b"%d end" % monotonic_ns())
    assert (counts.event()["behind"], ended) == ([], ["finished"])


def test_nobody_waits_for_a_subscriber_that_a_message_was_too_large_for_and_it_stays_behind() -> None:
    counts, ended = make_counts(count=2)
    counts.count_too_large(1)
    counts.receive(0, 1, b"%d" % monotonic_ns())
    assert ended == []
    counts.receive(0, 2, b"%d end" % monotonic_ns())
    assert (ended, counts.event()["behind"], counts.event()["too_large"]) == (["finished"], [0], 1)


def test_only_what_was_due_in_the_window_counts_and_stalled_subscribers_count_apart() -> None:
    counts, _ = make_counts(count=2, stalled=1)
    counts.receive(1, 1, b"%d" % (monotonic_ns() - 5 * 10**9))  # in the warm-up
    counts.receive(1, 2, b"%d xxx" % monotonic_ns())
    counts.receive(0, 1, b"%d" % monotonic_ns())
    assert (counts.event()["delivered"], counts.event()["stalled_delivered"]) == (1, 1)


def test_only_what_is_asked_in_the_window_counts() -> None:
    hour_ns = 3600 * 10**9
    now_ns, counted = monotonic_ns(), list[int]()
    for window_ns, end_ns in ((now_ns, now_ns + hour_ns), (now_ns + hour_ns, NEVER_NS), (0, now_ns)):
        counts = SubscriberCounts(Go(0, window_ns, end_ns), 1, 0, None, lambda: None)
        counts.count_request()
        counted.append(counts.requests)
    assert counted == [1, 0, 0]


def test_messages_are_due_evenly() -> None:
    moments = list(islice(publisher_module.dues(1000, 4.0), 4))
    assert moments == [250_001_000, 500_001_000, 750_001_000, 1_000_001_000]


def test_a_rising_rate_grows_by_its_factor_from_step_to_step() -> None:
    dues = list(islice(rising_rate.rising(0, 2.0, 10.0), 200))
    counts = [sum(step == each for step, _ in dues) for each in range(4)]
    assert counts == [20, 30, 45, 68]
    assert all(before <= after for (_, before), (_, after) in pairwise(dues))


def test_the_limit_is_the_last_step_before_the_first_that_was_not_kept() -> None:
    fine, late = {1000: 99, 90_000: 1}, {1000: 98, 101_000: 2}
    steps = [RateStep(20, 20, fine), RateStep(30, 30, fine), RateStep(45, 45, late), RateStep(60, 60, fine)]
    assert rising_rate.sustained(steps, subscribers=100, step_s=2.0) == (2, 1500.0)
    assert rising_rate.sustained([RateStep(20, 20, late)], 100, 2.0) == (0, None)
    assert rising_rate.sustained([RateStep(20, 20, {})], 100, 2.0) == (0, None)  # nothing came at all
    assert rising_rate.sustained([RateStep(20, 20, fine), RateStep(30, 29, fine)], 100, 2.0) == (
        1,
        1000.0,
    )  # not all was sent


class Clock:
    """A clock that goes as somebody sleeps, or as publishing takes it; its own control and its own server."""

    def __init__(self, cost_s: float = 0.0, stops_at_s: float = math.inf) -> None:
        self.now_ns = 0
        self.texts: list[bytes] = []
        self._cost_ns, self._stop_ns = round(cost_s * 1e9), stops_at_s * 1e9

    async def sleep_until(self, moment_ns: int) -> bool:
        self.now_ns = max(self.now_ns, moment_ns)
        return self.now_ns >= self._stop_ns

    async def hand(self, text: bytes) -> None:
        self.now_ns += self._cost_ns
        self.texts.append(text)


async def rise(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, is_too_much: Callable[[int], bool] = lambda step: False
) -> dict[int, int]:
    """Let a publisher raise its rate from 10/s, in steps of 2 s; return what it published in each."""
    monkeypatch.setattr(publisher_module, "monotonic_ns", lambda: clock.now_ns)
    (job,) = jobs(PushSettings(subscribers=1, messages_per_s=10.0, find_limit=True), "sse", "127.0.0.1:1")
    publisher = Publisher(read_job(PushJob, job), Go(0, 0), cast(ClientControl, clock), clock.hand)
    await publisher.publish_ever_faster(is_too_much)
    assert sum(publisher.published.steps.values()) == publisher.published.total == len(clock.texts)
    return publisher.published.steps


async def steadily(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> tuple[list[float], Publisher]:
    """Let a publisher publish each second from 2 s on, over a window from 4 s to 8 s; return the moments."""
    monkeypatch.setattr(publisher_module, "monotonic_ns", lambda: clock.now_ns)
    (job,) = jobs(PushSettings(subscribers=1, messages_per_s=1.0), "sse", "127.0.0.1:1")
    go = Go(0, 4 * 10**9, 8 * 10**9)
    publisher = Publisher(read_job(PushJob, job), go, cast(ClientControl, clock), clock.hand)
    await publisher.publish_steadily()
    return [int(text) / 1e9 for text in clock.texts], publisher


async def test_what_is_published_bears_the_moment_at_which_it_was_due(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moments, publisher = await steadily(Clock(cost_s=1.5), monkeypatch)  # it cannot keep up
    assert moments == [3.0, 4.0, 5.0, 6.0, 7.0]
    assert (publisher.published.total, publisher.published.window) == (5, 4)


async def test_what_was_overdue_before_the_window_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    clock.now_ns = 3_500_000_000  # while all connected
    moments, _ = await steadily(clock, monkeypatch)
    assert moments == [4.0, 5.0, 6.0, 7.0]


async def test_a_rate_rises_until_a_step_is_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[int]()

    def is_too_much(step: int) -> bool:
        asked.append(step)
        return step == 2

    assert await rise(Clock(), monkeypatch, is_too_much) == {0: 20, 1: 30, 2: 45}
    assert asked == [0, 1, 2]


async def test_a_publisher_that_falls_behind_by_a_step_leaves_the_rest_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    published = await rise(Clock(cost_s=0.05), monkeypatch)  # 20 messages a second, and no more
    assert (published[0], published[1]) == (20, 30)
    last = max(published)
    assert published[last] < rising_rate.due_in(last, 2.0, 10.0)


async def test_a_rising_rate_ends_when_it_is_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await rise(Clock(stops_at_s=2.5), monkeypatch) == {0: 20, 1: 8}


def test_cores_are_counted_between_two_moments() -> None:
    samples = [HostSample(t_ns=tenth * 10**8, host="proxy", cpu_s=tenth * 0.08) for tenth in range(1, 30)]
    used = rising_rate.cores_used(samples, 10**9, 2 * 10**9)
    assert used["proxy"] == pytest.approx(0.8)
    assert used["client"] is None


def test_subscribers_are_shared_out_and_one_process_publishes() -> None:
    told = list(jobs(PushSettings(subscribers=10, client_processes=3, stalled=2), "sse", "127.0.0.1:1"))
    assert [job["subscribers"] for job in told] == [4, 3, 3]
    assert [job["stalled"] for job in told] == [1, 1, 0]
    assert [job["publishes"] for job in told] == [True, False, False]


class Line:
    """A transport that notes whether somebody reads from it."""

    def __init__(self) -> None:
        self.written = b""
        self.is_read = True

    def write(self, data: bytes) -> None:
        self.written += data

    def pause_reading(self) -> None:
        self.is_read = False

    def resume_reading(self) -> None:
        self.is_read = True


async def test_who_was_refused_had_no_connection_to_come_back_from() -> None:
    (job,) = jobs(PushSettings(subscribers=1), "sse", "127.0.0.1:1")
    counts, _ = make_counts()
    group = SubscriberGroup(
        read_job(PushJob, job), Go(0, 0), counts, HttpSubscriber, cast(asyncio.TaskGroup, None)
    )
    asker = HttpSubscriber(0, group)
    group.reconnect(asker, refused=True)
    assert (counts.refused, counts.reconnects) == (1, 0)
    group.reconnect(asker)
    assert (counts.refused, counts.reconnects) == (1, 1)


def test_who_stalls_reads_no_event_until_it_is_let() -> None:
    (job,) = jobs(PushSettings(subscribers=2, stalled=1), "sse", "127.0.0.1:1")
    askers, lines = list[HttpSubscriber](), [Line(), Line()]

    def make(who: int, group: SubscriberGroup) -> HttpSubscriber:
        askers.append(HttpSubscriber(who, group))
        return askers[-1]

    counts, _ = make_counts(count=2, stalled=1)
    group = SubscriberGroup(read_job(PushJob, job), Go(0, 0), counts, make, cast(asyncio.TaskGroup, None))
    for asker, line in zip(askers, lines, strict=True):
        asker.connection_made(cast(asyncio.Transport, line))
        asker.data_received(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert [line.is_read for line in lines] == [False, True]
    assert all(line.written.startswith(b"GET /events HTTP/1.1\r\n") for line in lines)
    group.resume_reading()
    assert [line.is_read for line in lines] == [True, True]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (PushSettings(stalled=301), r"settings.stalled = 301 is more than the 300 subscribers"),
        (PushSettings(subscribers=1, client_processes=2), r"settings.client_processes = 2 is more than"),
        (PushSettings(message_bytes=40_000_000), r"settings.message_bytes = 40000000 is above 33554432"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: PushSettings, said: str) -> None:
    with pytest.raises(PlanError, match=said):
        settings.check()
