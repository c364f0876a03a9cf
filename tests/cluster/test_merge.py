"""What the machines of a cluster observed becomes one trial: one clock, sums, the fullest machine."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.cluster import merge
from bench.observe.host_observer import Peaks
from bench.subjects.subject import SubjectCounts
from tests.cluster.observed import AHEAD_NS, SECOND_NS, START_NS, machine, second, totals


def test_every_moment_is_told_in_our_clock() -> None:
    there = machine("client-1", requests=7, seconds=(second(0, 7),))
    late = replace(
        there.result, counts=replace(there.result.counts, subject=SubjectCounts(first_exhausted_ns=START_NS))
    )
    here = merge.in_our_clock(late, AHEAD_NS)
    assert here.result.start_ns == START_NS - AHEAD_NS
    assert here.result.first.moment_ns == START_NS + SECOND_NS - AHEAD_NS
    assert here.result.last.reading.moment_ns == START_NS + 3 * SECOND_NS - AHEAD_NS
    assert here.result.samples[0].t_ns == START_NS + 100_000_000 - AHEAD_NS
    assert here.totals is not None
    assert here.totals.window_end_ns == START_NS + 3 * SECOND_NS - AHEAD_NS
    assert here.seconds[0].start_ns == START_NS - AHEAD_NS
    assert here.counts.subject is not None
    assert here.counts.subject.first_exhausted_ns == START_NS - AHEAD_NS


def test_counts_of_the_machines_of_a_role_are_summed_and_ports_are_those_of_the_fullest() -> None:
    parts = [machine("proxy-1", opens=10, ports_used=5), machine("proxy-2", opens=30, ports_used=9)]
    seen = merge.merge_results(parts, (), totals(1)).seen["proxy"]
    assert seen.counters is not None
    assert seen.counters.active_opens == 40
    assert seen.sockets is not None
    assert (seen.sockets.time_wait, seen.sockets.ports_used) == (6, 9)
    assert seen.peaks == Peaks(8, 40.0, 20.0)


def test_one_machine_without_counters_leaves_the_sum_unknown() -> None:
    parts = [machine("proxy-1"), machine("proxy-2", opens=None)]
    assert merge.merge_results(parts, (), totals(1)).seen["proxy"].counters is None


def test_a_role_without_a_machine_was_not_seen() -> None:
    seen = merge.merge_results([machine("client-1", requests=1)], (), totals(1)).seen["proxy"]
    assert (seen.sockets, seen.counters) == (None, None)


def test_cpu_is_summed_and_the_worst_machine_says_how_hard_it_was_on_the_clients() -> None:
    parts = [
        machine("client-1", requests=1, cpu_s=0.5, waited_s=0.1, idle_s=1.0),
        machine("client-2", requests=1, cpu_s=0.25, waited_s=0.4, idle_s=0.2),
        machine("proxy-1", cpu_s=1.5),
    ]
    merged = merge.merge_results(parts, (), totals(1))
    assert merged.spent_s("client") == pytest.approx(0.75)
    assert merged.spent_s("proxy") == pytest.approx(1.5)
    assert merged.pressure.run_queue_wait == pytest.approx(0.2)
    assert merged.pressure.core_idle == pytest.approx(0.1)


def test_samples_of_several_machines_are_those_of_the_role_and_of_each() -> None:
    parts = [machine("backend-1", time_wait=3), machine("backend-2", time_wait=4)]
    rows = [(row.host, row.time_wait, row.ports_used) for row in merge.merge_samples(parts, START_NS)]
    assert sorted(rows) == [("backend", 7, 5), ("backend-1", 3, 5), ("backend-2", 4, 5)]


def test_a_single_machine_of_a_role_has_no_rows_of_its_own() -> None:
    assert [row.host for row in merge.merge_samples([machine("proxy-1")], START_NS)] == ["proxy"]


def test_seconds_of_all_machines_are_merged_without_loss() -> None:
    first, other = (second(0, 3), second(1, 4)), (second(0, 5, latency_us=900), second(1, 6))
    merged = merge.merge_machine_seconds([first, other])
    assert [(each.second, each.requests, each.errors["timeout"], each.opened) for each in merged] == [
        (0, 8, 2, 4),
        (1, 10, 2, 4),
    ]
    assert merged[0].latency_us == {500: 3, 900: 5}
    assert merged[1].latency_us == {500: 10}


def test_what_one_proxy_does_not_count_is_not_known_of_all() -> None:
    counted = SubjectCounts(opened=3, lost=1, errors={"refused": 2}, first_exhausted_ns=9)
    other = SubjectCounts(opened=4, lost=None, errors={"refused": 1, "reset": 5})
    assert merge.sum_subjects([counted, other]) == SubjectCounts(
        opened=7, lost=None, errors={"refused": 3, "reset": 5}, first_exhausted_ns=9
    )
    assert merge.sum_subjects([]) == SubjectCounts()


def test_a_machine_has_a_row_of_its_own() -> None:
    row = merge.machine_trial(machine("backend-1", served={"accepted": 4, "requests": 90}), totals(1))
    assert (row.name, row.role, row.requests, row.accepted, row.port_range) == (
        "backend-1",
        "backend",
        90,
        4,
        28232,
    )
    assert (row.time_wait_peak, row.time_wait_end, row.ports_used_peak, row.cpu_s) == (4, 3, 5, 0.5)
    assert (row.clock_offset_ms, row.clock_error_ms) == (0.0, 0.001)
