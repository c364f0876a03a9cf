"""A part reports what is new, and nothing else."""

from __future__ import annotations

import queue
import time
from dataclasses import replace

from bench.cluster.part import PartResult
from bench.cluster.reported import complete, without_reported
from bench.cluster.reporter import PartCounts, PartReport, Reporter
from bench.observe.host_observer import HostSample
from tests.cluster.observed import machine, second

COUNTS = PartCounts("1", (32768, 60999))


def sample(t_ns: int) -> HostSample:
    return HostSample(t_ns, "client", time_wait=1)


def test_a_second_is_reported_at_once_and_what_is_left_at_the_end() -> None:
    found: queue.SimpleQueue[PartReport] = queue.SimpleQueue()
    reporter = Reporter(found.put)
    start_ns = time.monotonic_ns() + 3600 * 10**9  # no second of it is full meanwhile
    reporter.sample(sample(1), 0)
    reporter.start(start_ns, lambda: COUNTS)
    reporter.second(second(0, 5))
    first = found.get(timeout=60)
    assert (first.seconds, first.samples, first.counts) == ((second(0, 5),), (sample(1),), COUNTS)
    reporter.sample(sample(2), 0)
    reporter.stop()
    last = found.get(timeout=60)
    assert (last.seconds, last.samples, last.counts) == ((), (sample(2),), None)
    assert reporter.made == 2
    assert found.empty()


def test_where_nothing_is_new_there_is_no_report() -> None:
    found: queue.SimpleQueue[PartReport] = queue.SimpleQueue()
    reporter = Reporter(found.put)
    reporter.start(time.monotonic_ns() + 3600 * 10**9, lambda: COUNTS)
    reporter.stop()
    assert found.empty()
    assert reporter.made == 0


def test_a_full_second_of_a_trial_is_reported_with_its_counts_once() -> None:
    found: queue.SimpleQueue[PartReport] = queue.SimpleQueue()
    counted: queue.SimpleQueue[None] = queue.SimpleQueue()

    def count() -> PartCounts:
        counted.put(None)
        return COUNTS

    reporter = Reporter(found.put)
    reporter.start(time.monotonic_ns() - 10 * 10**9, count)
    for _ in range(2):
        counted.get(timeout=60)
    reporter.stop()
    assert found.get(timeout=60).counts == COUNTS
    assert found.empty()


def result() -> PartResult:
    found = machine("client-1", seconds=(second(0, 5), second(1, 7)), requests=12).result
    return replace(found, result=replace(found.result, samples=(sample(1), sample(2), sample(3))))


REPORTS = [
    PartReport(0, 1, (second(0, 5),), (sample(1), sample(2)), COUNTS),
    PartReport(0, 2, (second(1, 7),), (sample(3),)),
]


def test_a_result_is_whole_with_its_reports() -> None:
    sent = without_reported(result(), 2)
    assert (sent.rest.seconds, sent.rest.result.samples, sent.reports) == ((), (), 2)
    assert complete(sent, REPORTS) == result()


def test_a_result_without_a_report_has_what_the_others_told() -> None:
    found = complete(without_reported(result(), 2), REPORTS[:1])
    assert (found.seconds, found.result.samples) == ((second(0, 5),), (sample(1), sample(2)))
    assert found.totals == result().totals
