"""What was measured and counted becomes a trial: shares for each unit, hops, witnesses, warnings."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from bench.experiment import scenario_summary
from bench.experiment.definition import Figures
from bench.experiment.scenario_summary import ScenarioFacts
from bench.experiment.trial_result import MeterReading, SaturationReading, TrialResult
from bench.observe.host_observer import HostSample, Peaks
from bench.observe.interface_bytes import InterfaceBytes
from bench.observe.sampler import HostObservation
from bench.observe.tcp_counters import Counters
from bench.observe.time_wait import HostSockets
from bench.plan.run_plan import Subject
from bench.plan.scenario_plan import Case
from bench.runs.record import TrialWarning
from bench.subjects.subject import SubjectCounts

WINDOW_NS = 2_000_000_000
NO_COUNTERS = Counters()


def facts(
    subject: str = "nginx", servers: int | None = 12, counted: SubjectCounts | None = None, **changes: Any
) -> ScenarioFacts:
    """Return what was observed of an ordinary trial: 12 connections on either hop, 100 units."""
    start_ns = 5_000_000_000
    edges = [
        MeterReading(
            moment_ns=start_ns + after_ns,
            reading=SaturationReading(start_ns + after_ns, [waited_s], idle_s),
            cpu_s={"client": used_s, "proxy": 2 * used_s, "backend": 3 * used_s},
            front=InterfaceBytes(round(1000 * used_s), round(9000 * used_s)),
            back=InterfaceBytes(round(2000 * used_s), 0),
        )
        for after_ns, waited_s, idle_s, used_s in (
            (10**9, 0.0, 0.0, 0.5),
            (10**9 + WINDOW_NS, 0.01, 1.0, 0.6),
        )
    ]
    seen = {
        host: HostObservation(
            host,
            HostSockets(time_wait, 0, 0, 0, 0),
            NO_COUNTERS._replace(active_opens=12),
            Peaks(time_wait=1, rss_mib=9.0, uss_mib=8.0),
        )
        for host, time_wait in (("client", 0), ("proxy", 3), ("backend", 0))
    }
    result = TrialResult(start_ns, edges[0], edges[1], (), (), seen, ("a note",), 0.01, False)
    case = Case("sse", Subject(subject))
    figures = Figures(units=100, figures={"lost": 0}, times_us={"delay": {1000: 90, 5000: 10}})
    known = ScenarioFacts(7, case, "namespaces", "1.2", result, figures, counted or SubjectCounts(), servers)
    return known._replace(**changes)


def test_a_trial_holds_what_was_used_for_each_unit() -> None:
    trial = scenario_summary.outcome(facts()).trial
    assert (trial.trial, trial.variant, trial.subject.name, trial.window_s, trial.valid) == (
        7,
        "sse",
        "nginx",
        2.0,
        True,
    )
    assert trial.cpu_us_per_unit == pytest.approx({"client": 1000.0, "proxy": 2000.0, "backend": 3000.0})
    assert trial.bytes_per_unit == pytest.approx({"front": 10.0, "back": 2.0})
    assert (trial.hops["front"].opened, trial.hops["back"].accepted) == (12, 12)
    assert (trial.time_wait["proxy"].end, trial.time_wait["proxy"].peak) == (3, 3)
    assert trial.times_ms["delay"].p50 == 1.0
    assert [warning.message for warning in trial.warnings] == ["a note"]


def test_a_warning_that_voids_makes_a_trial_invalid() -> None:
    warnings = [
        TrialWarning("unexpected", "something was unexpected"),
        TrialWarning("lost", "3 messages were lost", voids=True),
    ]
    for each, valid in (([], True), (warnings[:1], True), (warnings, False)):
        assert scenario_summary.outcome(facts(figures=Figures(units=1, warnings=each))).trial.valid is valid


def test_clients_that_had_no_core_void_what_is_not_paced() -> None:
    known = facts()
    starved = replace(known.result.last, reading=SaturationReading(known.result.last.moment_ns, [1.5], 0.0))
    for is_paced, valid in ((True, True), (False, False)):
        result = replace(known.result, last=starved)
        figures = Figures(units=1, is_paced=is_paced)
        trial = scenario_summary.outcome(known._replace(result=result, figures=figures)).trial
        assert (trial.valid, trial.warnings[-1].code) == (valid, "generator-saturated")


def test_time_wait_may_have_been_higher_between_or_at_the_end() -> None:
    known = facts()
    proxy = known.result.seen["proxy"]
    for sampled, surveyed, peak in ((9, 3, 9), (1, 3, 3)):
        seen = replace(proxy, peaks=Peaks(time_wait=sampled), sockets=HostSockets(surveyed, 0, 0, 0, 0))
        result = replace(known.result, seen={**known.result.seen, "proxy": seen})
        counted = scenario_summary.outcome(known._replace(result=result)).trial.time_wait["proxy"]
        assert (counted.peak, counted.end) == (peak, surveyed)


def test_what_the_network_between_opened_on_the_proxys_host_is_not_the_proxys() -> None:
    known = facts(servers=10)
    trial = scenario_summary.outcome(known._replace(result=replace(known.result, opened_by_network=2))).trial
    assert (trial.hops["back"].opened, trial.hops["back"].accepted) == (10, 10)


def test_histograms_are_kept_with_the_variant_as_their_mode() -> None:
    (kept,) = scenario_summary.outcome(facts()).latencies
    assert (kept.mode, kept.kind, kept.t_s, kept.duration_s, kept.counts) == (
        "sse",
        "delay",
        1.0,
        2.0,
        {1000: 90, 5000: 10},
    )


def test_without_a_proxy_there_is_one_hop_and_no_proxy() -> None:
    trial = scenario_summary.outcome(facts("direct")).trial
    assert list(trial.hops) == ["front"]
    assert trial.hops["front"].accepted == 12
    assert trial.roles["proxy"].cpu_s is None
    assert trial.cpu_us_per_unit["proxy"] is None


def test_where_nothing_was_done_nothing_is_divided() -> None:
    trial = scenario_summary.outcome(facts(figures=Figures(units=0))).trial
    assert set(trial.cpu_us_per_unit.values()) == {None}


@pytest.mark.parametrize(
    ("counted", "servers", "hop", "counts"),
    [
        (SubjectCounts(), 11, "back", ["12", "11"]),
        (SubjectCounts(opened=13), 12, "back", ["12", "12", "13"]),
        (SubjectCounts(accepted=10), 12, "front", ["12", "10"]),
    ],
)
def test_witnesses_that_disagree_are_a_warning(
    counted: SubjectCounts, servers: int, hop: str, counts: list[str]
) -> None:
    trial = scenario_summary.outcome(facts(servers=servers, counted=counted)).trial
    (message,) = (each.message for each in trial.warnings if each.code == "witnesses-disagree")
    assert f"{hop} hop" in message
    assert re.findall(r"\d+", message) == counts


def test_clients_that_cost_more_than_all_they_ask_are_a_warning() -> None:
    known = facts()
    used = {"client": 9.0, "proxy": 1.2, "backend": 1.8}
    heavy = replace(known.result, last=replace(known.result.last, cpu_s=used))
    trial = scenario_summary.outcome(known._replace(result=heavy)).trial
    assert "client-heavier" in [warning.code for warning in trial.warnings]


@pytest.mark.parametrize(
    ("subject", "host", "changes", "said"),
    [
        ("nginx", "proxy", {"port_range": 1000}, "half of the 1,000 ports were used after 1.0 s"),
        ("direct", "client", {"port_range": 1000}, "half of the 1,000 ports were used after 1.0 s"),
        ("nginx", "client", {"port_range": 1000}, ""),
        ("nginx", "proxy", {"port_range": 1000, "addresses": 9}, ""),
        ("nginx", "proxy", {}, ""),  # others use the ports too: loopback
        ("nginx", "proxy", {"port_range": 1000, "figures": Figures(units=100, is_paced=True)}, ""),
    ],
)
def test_a_trial_that_used_half_of_its_ports_is_marked(
    subject: str, host: str, changes: dict[str, Any], said: str
) -> None:
    known = facts(subject=subject)
    samples = tuple(
        HostSample(known.result.start_ns + tenth * 10**8, host, ports_used=tenth * 50) for tenth in range(31)
    )
    done = scenario_summary.outcome(known._replace(result=replace(known.result, samples=samples), **changes))
    found = [warning for warning in done.trial.warnings if warning.code == "port-cliff"]
    assert [said in warning.message for warning in found] == [True] * bool(said)
    assert not any(warning.voids for warning in found)
