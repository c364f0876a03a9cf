"""Figures of a trial that are made from ticks agree with those of its machines, whatever ticks they lack."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cluster import merge
from bench.cluster.merge import MachinePart
from bench.experiment import run_summary
from bench.experiment.run_summary import RunFacts
from bench.load.generator import Second, Totals, merge_totals
from bench.observe.host_observer import HostSample
from bench.plan import run_plan
from bench.plan.run_plan import Mode
from bench.runs.record import Trial
from bench.subjects.subject import SubjectCounts
from tests.cluster.observed import SECOND_NS, START_NS, machine, reading, second, totals

TICK_NS = SECOND_NS // 10
WINDOW_TICKS = 7
"""A short window: what happens at its edges weighs much."""
LATE_NS = 40_000_000
"""How late a tick may come, and not be left out."""
PLAN = run_plan.build({"lab": "cluster", "cluster": {"scheduler": "tcp://127.0.0.1:8786"}})

ticks = st.lists(
    st.one_of(st.none(), st.tuples(st.integers(0, LATE_NS), st.floats(0, 0.2), st.integers(0, 30_000))),
    min_size=10 + WINDOW_TICKS + 2,
    max_size=10 + WINDOW_TICKS + 2,
)
"""Samples of a proxy: how late each comes, the CPU seconds since the last, ports in use; None: left out."""


def load(requests: int) -> tuple[Totals, list[Second]]:
    """Return the load of a client after a second of warm-up, with as many requests in each tick."""
    end_ns = START_NS + SECOND_NS + WINDOW_TICKS * TICK_NS
    all_told = replace(totals(requests * WINDOW_TICKS), window_end_ns=end_ns)
    inside = replace(second(1, 0), end_ns=end_ns, ticks=(requests,) * WINDOW_TICKS)
    before = replace(second(0, 10 * requests), ticks=(requests,) * 10, in_window=False)
    return all_told, [before, replace(inside, requests=all_told.requests)]


def proxy(name: str, observed: list[tuple[int, float, int] | None], late_ns: tuple[int, int]) -> MachinePart:
    """Return a proxy with these samples, whose readings at the window's edges come late by so much."""
    samples, used_s = [HostSample(START_NS, "proxy", time_wait=0, ports_used=0, memory_mib=1.0)], 0.0
    for tick, seen in enumerate(observed):
        if seen is not None:
            used_s += seen[1]
            at_ns = START_NS + tick * TICK_NS + seen[0] + 1
            samples.append(
                HostSample(
                    at_ns, "proxy", time_wait=seen[2], ports_used=seen[2], cpu_s=used_s, memory_mib=1.0
                )
            )
    edges_ns = [START_NS + SECOND_NS + late_ns[0], START_NS + SECOND_NS + WINDOW_TICKS * TICK_NS + late_ns[1]]
    before_s, after_s = (
        max((each.cpu_s for each in samples if each.t_ns <= edge_ns), default=0.0) for edge_ns in edges_ns
    )
    bare = machine(name)
    result = replace(
        bare.result.result,
        samples=tuple(samples),
        first=reading(edges_ns[0], "proxy", before_s),
        last=reading(edges_ns[1], "proxy", after_s),
    )
    return replace(bare, result=replace(bare.result, result=result))


def trial(parts: list[MachinePart], requests: int) -> tuple[Trial, Totals]:
    """Return the trial of these parts and one client, and its load."""
    told, seconds = load(requests)
    done = merge_totals([told])
    merged = merge.merge_results([*parts, machine("client-1", requests=1)], (), done)
    facts = RunFacts(
        PLAN, 1, Mode.KEEPALIVE, "cluster", "1", merged, done,
        merge.merge_machine_seconds([seconds]), port_range=28_232, accepted=1, requests=1, lost=0,
        counted=SubjectCounts(),
    )  # fmt: skip
    return run_summary.outcome(facts).trial, done


edges = st.tuples(st.integers(0, 5_000_000), st.integers(0, 5_000_000))
fleets = st.lists(st.tuples(ticks, edges), min_size=1, max_size=4).map(
    lambda given: [proxy(f"proxy-{number}", *each) for number, each in enumerate(given, 1)]
)


@given(fleets, st.integers(1, 1000))
def test_the_cpu_of_a_role_is_the_sum_of_that_of_its_machines(
    parts: list[MachinePart], requests: int
) -> None:
    done, shared = trial(parts, requests)
    used_s = sum(merge.machine_trial(part, shared).cpu_s or 0.0 for part in parts)
    assert done.cpu_us_per_request["proxy"] == pytest.approx(used_s / done.requests * 1e6, abs=1e-3)
    assert set(done.cpu_us_per_request) == {"client", "proxy"}


@given(fleets)
def test_the_ports_of_a_trial_are_those_of_its_fullest_machine(parts: list[MachinePart]) -> None:
    done, shared = trial(parts, 1)
    own = [merge.machine_trial(part, shared).ports_used_peak or 0 for part in parts]
    assert done.ports.used_peak == min(max(own), done.ports.tuples)


@given(fleets)
def test_sums_lie_between_those_of_what_each_machine_showed_before_and_after(
    parts: list[MachinePart],
) -> None:
    rows = merge.merge_samples(parts, START_NS)
    most = sum(max(each.time_wait or 0 for each in part.result.result.samples) for part in parts)
    of_role = [row for row in rows if row.host == "proxy"]
    assert all(0 <= row.time_wait <= most for row in of_role if row.time_wait is not None)
    begin_ns = max(part.result.result.samples[0].t_ns for part in parts)
    end_ns = min(part.result.result.samples[-1].t_ns for part in parts)
    assert all(row.time_wait is not None for row in of_role if begin_ns <= row.t_ns <= end_ns)


@given(st.lists(st.integers(1, 20), min_size=2, max_size=4), st.data())
def test_what_grows_evenly_is_summed_exactly_though_machines_lack_ticks(
    rates: list[int], data: st.DataObject
) -> None:
    parts = []
    for number, rate in enumerate(rates, 1):
        there = data.draw(st.sets(st.integers(1, 18), min_size=3))
        samples = tuple(
            HostSample(START_NS + tick * TICK_NS, "proxy", active_opens=tick * rate, cpu_s=tick * rate / 100)
            for tick in sorted(there | {0, 19})
        )
        bare = machine(f"proxy-{number}")
        result = replace(bare.result.result, samples=samples)
        parts.append(replace(bare, result=replace(bare.result, result=result)))
    for row in merge.merge_samples(parts, START_NS):
        if row.host == "proxy":
            tick = (row.t_ns - START_NS) / TICK_NS
            assert row.cpu_s == pytest.approx(tick * sum(rates) / 100)
            assert row.active_opens == pytest.approx(tick * sum(rates))


def test_ports_are_unknown_where_a_machine_shows_none() -> None:
    shows, hides = machine("proxy-1"), machine("proxy-2")
    bare = tuple(replace(each, ports_used=None) for each in hides.result.result.samples)
    hides = replace(hides, result=replace(hides.result, result=replace(hides.result.result, samples=bare)))
    (row,) = [each for each in merge.merge_samples([shows, hides], START_NS) if each.host == "proxy"]
    assert (row.time_wait, row.ports_used) == (6, None)


def test_two_machines_that_waited_alike_are_as_hard_on_clients_as_each_though_one_read_its_edges_late() -> (
    None
):
    prompt, late = machine("client-1", waited_s=0.2), machine("client-2", waited_s=0.3)
    result = late.result.result
    last = replace(result.last, reading=replace(result.last.reading, moment_ns=START_NS + 4 * SECOND_NS))
    late = replace(late, result=replace(late.result, result=replace(result, last=last)))
    merged = merge.merge_results([prompt, late], (), totals(1))
    rows = [merge.machine_trial(each, totals(1)) for each in (prompt, late)]
    assert [row.run_queue_wait for row in rows] == [pytest.approx(0.1)] * 2
    assert merged.pressure.run_queue_wait == pytest.approx(0.1)


def test_the_memory_of_a_role_is_the_sum_of_that_of_its_machines() -> None:
    parts = [machine("proxy-1"), machine("proxy-2")]
    done, shared = trial(parts, 1)
    rows = [merge.machine_trial(each, shared).memory_mib for each in parts]
    assert (done.memory_mib["proxy"], rows) == (20.0, [10.0, 10.0])
