"""A machine that is lost in a trial: what its part had reported until then is a result."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.analysis import claims
from bench.cluster import lost_part, merge, shared_window
from bench.cluster.merge import MachinePart
from bench.cluster.reporter import PartCounts, PartReport
from bench.experiment.trial_result import TrialTimes
from bench.observe.host_observer import HostSample
from bench.runs.record import SubjectRecord, Trial, TrialWarning
from bench.subjects.subject import SubjectCounts
from tests.cluster.observed import EXACT, SECOND_NS, START_NS, machine, second, totals

TIMES = TrialTimes(START_NS, START_NS + SECOND_NS, START_NS + 9 * SECOND_NS)
"""A second of warm-up."""
PORTS = (32768, 60999)


def sample(at_s: float, role: str, cpu_s: float, opens: int | None = 4) -> HostSample:
    at_ns = START_NS + round(at_s * SECOND_NS)
    return HostSample(at_ns, role, time_wait=int(at_s), active_opens=opens, cpu_s=cpu_s, memory_mib=20.0)


def report(until_s: float, **found: object) -> PartReport:
    return PartReport(START_NS, START_NS + round(until_s * SECOND_NS), **found)  # type: ignore[arg-type]


def client(*requests: int) -> list[PartReport]:
    """Return what a client reported that was lost after as many seconds, the first of which warmed up."""
    seconds = [replace(second(n, count), in_window=n > 0) for n, count in enumerate(requests)]
    return [report(each.second + 1.01, seconds=(each,)) for each in seconds]


def lost(name: str, reports: list[PartReport]) -> MachinePart:
    role = name.partition("-")[0]
    return MachinePart(name, role, lost_part.result_of(role, TIMES, reports), EXACT, "its worker is gone")


def test_the_seconds_of_a_lost_client_are_its_totals() -> None:
    found = lost("client-1", client(50, 7, 8)).result
    assert [each.requests for each in found.seconds] == [50, 7, 8]
    assert found.totals is not None
    assert (found.totals.requests, found.totals.requests_total) == (15, 65)
    assert found.totals.window_start_ns == TIMES.window_ns
    assert found.totals.window_end_ns == START_NS + 3 * SECOND_NS
    assert (found.totals.errors["timeout"], found.totals.errors_total["timeout"]) == (2, 3)


def test_what_a_lost_proxy_counted_and_used_is_that_of_its_last_report() -> None:
    early = PartCounts("1", PORTS, subject=SubjectCounts(opened=4, accepted=8))
    late = PartCounts("1", PORTS, subject=SubjectCounts(opened=5, accepted=9))
    reports = [
        report(1.03, samples=(sample(0.9, "proxy", 1.0),), counts=early),
        report(2.03, samples=(sample(1.9, "proxy", 3.0), sample(2.0, "proxy", 3.5, 6)), counts=late),
        report(2.1),
    ]
    found = lost("proxy-1", reports)
    assert found.result.counts == late
    assert found.result.result.spent_s("proxy") == pytest.approx(2.3)  # 1.2 s of it by the window
    row = merge.machine_trial(found, totals(9))
    assert (row.opened, row.accepted, row.memory_mib, row.port_range) == (6, 9, 20.0, 28232)
    assert row.lost == "its worker is gone"


def test_nothing_is_made_up_of_a_part_that_reported_nothing() -> None:
    found = lost("proxy-1", []).result
    assert (found.counts.served, found.counts.subject, found.seconds) == (None, None, ())
    assert found.result.seen["proxy"].counters is None
    assert lost_part.known_until_ns("proxy", []) == lost_part.known_until_ns("client", []) == 0
    assert not lost_part.has_seconds([lost("client-1", [])])


@pytest.mark.parametrize(
    ("limit_s", "requests", "window_s"),
    [
        (9.0, 15 + 150, 2.0),  # until the last second that both clients told
        (2.5, 7 + 70, 1.0),  # until the last one before the proxy was lost
        (0.5, 0, 0.0),
    ],
)
def test_the_window_ends_with_the_last_second_that_is_known_of_all(
    limit_s: float, requests: int, window_s: float
) -> None:
    whole = tuple(replace(second(n, count), in_window=n > 0) for n, count in enumerate((500, 70, 80, 90, 99)))
    other = machine("client-2", requests=239, seconds=whole)
    parts = shared_window.end_window(
        [lost("client-1", client(50, 7, 8)), other, machine("proxy-1")],
        START_NS + round(limit_s * SECOND_NS),
    )
    held = [part.result.totals for part in parts if part.result.totals is not None]
    assert sum(each.requests for each in held) == requests
    assert {(each.window_end_ns - each.window_start_ns) / SECOND_NS for each in held} == {window_s}
    assert len(parts[1].result.seconds) == 5
    inside = [each.end_ns for each in parts[1].result.seconds if each.in_window]
    assert len(inside) == window_s


def test_parts_that_are_lost_are_merged_like_the_others() -> None:
    parts = [lost("client-1", client(50, 7)), machine("client-2", requests=9), machine("proxy-1")]
    merged = merge.merge_results([*parts, lost("backend-1", [])], (), totals(9))
    assert merged.interrupted
    assert merged.seen["proxy"].counters is not None
    assert merged.seen["backend"].counters is None
    assert totals(9) == parts[1].result.totals


def test_a_trial_that_lost_a_machine_is_void_and_says_why() -> None:
    trial = Trial(
        trial=1,
        mode="short",
        closes_first="proxy",
        subject=SubjectRecord("asyncio", "1"),
        lab="cluster",
        interrupted=True,
        warnings=(TrialWarning("lab", "no counters"), TrialWarning("witnesses", "5 and 7", voids=True)),
    )
    marked = lost_part.mark(trial, {"proxy-1": "its worker is gone"})
    assert [(each.code, each.voids) for each in marked.warnings] == [("machine-lost", True), ("lab", False)]
    assert "proxy-1 was lost: its worker is gone" in marked.warnings[0].message
    assert not marked.valid
    assert not marked.interrupted
    assert claims.explain([marked]) == "a machine was lost"


def test_what_is_lost_with_a_machine_is_named_and_counted_where_it_is_much() -> None:
    names = [f"client-{number}" for number in range(1, 8)]
    assert lost_part.name_others([]) == ""
    assert lost_part.name_others(names[:2]) == " (and with it client-1, client-2)"
    assert lost_part.name_others(names) == (" (and with it client-1, client-2, client-3, client-4, 3 others)")
