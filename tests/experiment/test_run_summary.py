"""What the observations of a trial amount to, on made-up trials small enough to compute by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from bench.analysis.validity import Pressure
from bench.experiment import run_summary
from bench.experiment.run_summary import ClientTotals, RunFacts, WindowSpan
from bench.plan import run_plan
from bench.plan.run_plan import Mode
from bench.runs.record import ERROR_KINDS, Moment, TimeWait, Witnesses

NO_ERRORS = dict.fromkeys(ERROR_KINDS, 0)
CLIENTS = ClientTotals(
    requests=4000, errors=NO_ERRORS, requests_total=5000, late=0, never_started=0,
    latency_us={1000: 3999, 9000: 1}, service_us={}, connect_us={200: 64},
)  # fmt: skip


def moments(ports_per_tick: int = 0) -> Iterator[Moment]:
    """Yield five seconds at 100 requests a tenth, with 2 ms of the proxy's CPU each."""
    for tick in range(51):
        t_s = tick / 10
        yield Moment(1, "short", "proxy", t_s, ports_used=tick * ports_per_tick, cpu_s=tick * 0.002)
        yield Moment(1, "short", "client", t_s, cpu_s=tick * 0.001)
        if tick:
            yield Moment(1, "short", "client", t_s, requests=100, errors=0)


def facts(mode: Mode, asked: dict[str, Any] | None = None, **changes: Any) -> RunFacts:
    """Return the facts of an ordinary trial, but for `changes`."""
    opened = 5000 if mode is Mode.SHORT else 64
    ordinary = RunFacts(
        plan=run_plan.build(asked or {}), number=1, mode=mode, lab="namespaces", subject_version="1",
        window=WindowSpan(1.0, 5.0), clients=CLIENTS, moments=list(moments()), port_range=28_232,
        backend_accepted=opened, backend_requests=5000, subject_opened=opened, kernel_opened=opened,
        time_wait={"proxy": TimeWait(5000, 5000)}, pressure=Pressure(0.0, 0.5, 0.25),
    )  # fmt: skip
    return replace(ordinary, **changes)


def test_an_ordinary_short_trial() -> None:
    trial = run_summary.trial(facts(Mode.SHORT))
    assert (trial.valid, trial.warnings, trial.closes_first) == (True, (), "proxy")
    assert (trial.requests, trial.requests_per_s, trial.latency_ms.p50) == (4000, 1000.0, 1.0)
    assert trial.upstream.requests_per_connection == 1.0
    assert trial.upstream.witnesses == Witnesses(backend=5000, kernel=5000, subject=5000)
    assert trial.time_wait == {
        "client": TimeWait(), "proxy": TimeWait(5000, 5000), "backend": TimeWait()
    }  # fmt: skip


def test_cpu_per_request_is_taken_over_the_window_alone() -> None:
    trial = run_summary.trial(facts(Mode.SHORT))
    assert trial.cpu_us_per_request["proxy"] == pytest.approx(20.0)
    assert trial.cpu_us_per_request["client"] == pytest.approx(10.0)
    assert trial.ksoftirqd_cpu_share == 0.25


def test_an_ordinary_keepalive_trial() -> None:
    trial = run_summary.trial(facts(Mode.KEEPALIVE))
    assert (trial.valid, trial.closes_first) == (True, None)
    assert (trial.upstream.connections_opened, trial.upstream.connections_needed) == (64, 64)


@pytest.mark.parametrize(
    ("mode", "changes", "codes", "valid"),
    [
        (Mode.KEEPALIVE, {"backend_accepted": 65}, ["mode-not-keepalive", "witnesses-disagree"], False),
        (Mode.SHORT, {"backend_accepted": 100}, ["mode-not-short", "witnesses-disagree"], False),
        (Mode.SHORT, {"kernel_opened": None}, [], True),
        (Mode.SHORT, {"subject_opened": 4999}, ["witnesses-disagree"], True),
        (Mode.SHORT, {"pressure": Pressure(0.5, 0.0)}, ["generator-saturated"], False),
        (Mode.SHORT, {"pressure": None}, [], True),
        (Mode.SHORT, {"clients": replace(CLIENTS, errors={**NO_ERRORS, "status": 5})}, ["errors"], True),
    ],
)
def test_warnings_are_told(mode: Mode, changes: dict[str, Any], codes: list[str], valid: bool) -> None:
    trial = run_summary.trial(facts(mode, **changes))
    assert ([warning.code for warning in trial.warnings], trial.valid) == (codes, valid)


def test_connections_lost_to_the_backend_are_needed_again() -> None:
    trial = run_summary.trial(facts(Mode.KEEPALIVE, backend_accepted=67, kernel_opened=67, subject_opened=67,
                                subject_lost=3))  # fmt: skip
    assert (trial.valid, trial.upstream.connections_needed) == (True, 67)


def test_connections_that_an_exchange_has_spoilt_are_needed_again() -> None:
    """After garbage, too long a silence, or a client that went, nobody may use a connection again."""
    opened = {"backend_accepted": 70, "kernel_opened": 70, "subject_opened": 70}
    errors = {"protocol": 3, "timeout": 2, "refused": 9}
    clients = replace(CLIENTS, errors={**NO_ERRORS, "timeout": 1})
    trial = run_summary.trial(facts(Mode.KEEPALIVE, **opened, subject_errors=errors, clients=clients))
    assert (trial.valid, trial.upstream.connections_needed) == (True, 70)


def test_what_keep_alive_costs_is_told() -> None:
    asked = {"backend": {"idle_timeout_s": 0.02}}
    lost = {"backend_accepted": 67, "kernel_opened": 67, "subject_opened": 67, "subject_lost": 3}
    trial = run_summary.trial(facts(Mode.KEEPALIVE, asked, **lost))
    assert (trial.upstream.lost, [warning.code for warning in trial.warnings]) == (3, ["idle-race"])
    assert run_summary.trial(facts(Mode.SHORT, asked, subject_lost=3)).upstream.lost is None
    expiring = {**asked, "subject": {"pool_idle_timeout_s": 0.01}}
    opened = {"backend_accepted": 99, "kernel_opened": 99, "subject_opened": 99}
    trial = run_summary.trial(facts(Mode.KEEPALIVE, expiring, **opened))
    assert (trial.valid, [warning.code for warning in trial.warnings]) == (True, ["pool-expired"])


def test_the_cliff_lies_at_half_of_the_tuples() -> None:
    trial = run_summary.trial(facts(Mode.SHORT, moments=list(moments(ports_per_tick=1000))))
    assert trial.ports.half_range_passed_s == pytest.approx(1.4116, abs=0.001)
    assert trial.ports.exhausted_s == pytest.approx(2.8232, abs=0.001)
    assert trial.ports.rate_before == pytest.approx(1000.0)


def test_more_sources_and_destinations_are_more_tuples() -> None:
    asked = {"hosts": {"proxy_addresses": 2, "backend_addresses": 3}}
    trial = run_summary.trial(facts(Mode.SHORT, asked, moments=list(moments(ports_per_tick=1000))))
    assert (trial.ports.tuples, trial.ports.half_range_passed_s) == (6 * 28_232, None)


def test_at_a_target_nobody_counts_connections() -> None:
    asked = {"subject": {"target": "http://127.0.0.1:1/"}}
    trial = run_summary.trial(facts(Mode.KEEPALIVE, asked))
    upstream = trial.upstream
    assert (trial.valid, upstream.witnesses.counts(), upstream.lost) == (True, {}, None)
    assert (upstream.connections_opened, upstream.requests_total, upstream.connections_needed) == (None,) * 3
    assert trial.ports.used_peak is None


def test_without_a_proxy_the_generator_may_be_the_limit_and_the_client_closes() -> None:
    asked = {"subject": {"name": "direct"}}
    trial = run_summary.trial(facts(Mode.SHORT, asked, subject_opened=None, pressure=Pressure(0.5, 0.0)))
    assert (trial.valid, trial.closes_first) == (True, "client")


def test_a_target_has_no_upstream_hop_to_judge() -> None:
    asked = {"subject": {"target": "http://127.0.0.1:1/"}}
    trial = run_summary.trial(facts(Mode.SHORT, asked, backend_accepted=0, backend_requests=0,
                                subject_opened=None, kernel_opened=None))  # fmt: skip
    assert (trial.valid, trial.subject.name, trial.upstream.connections_opened) == (True, "target", None)


def test_an_interrupted_warm_up_leaves_a_window_of_no_length() -> None:
    clients = replace(CLIENTS, requests=0, latency_us={})
    trial = run_summary.trial(
        facts(Mode.SHORT, window=WindowSpan(0.5, 0.5), clients=clients, interrupted=True)
    )
    assert (trial.interrupted, trial.requests_per_s, trial.latency_ms.p50) == (True, 0.0, None)


@pytest.mark.parametrize(
    ("asked", "needed"),
    [
        ({"subject": {"name": "asyncio"}, "hosts": {"backend_addresses": 3}}, 64),
        ({"subject": {"name": "nginx"}}, 64),
        ({"subject": {"name": "nginx", "workers": 4}}, 64),
        ({"subject": {"name": "nginx"}, "hosts": {"backend_addresses": 3, "proxy_addresses": 2}}, 3 * 64),
        ({"subject": {"name": "haproxy"}, "hosts": {"backend_addresses": 3, "proxy_addresses": 2}}, 6 * 64),
        ({"subject": {"name": "caddy"}, "hosts": {"backend_addresses": 2}}, 2 * 64),
    ],
)
def test_each_separate_pool_may_need_a_connection_for_every_client(
    asked: dict[str, Any], needed: int
) -> None:
    assert run_summary.trial(facts(Mode.KEEPALIVE, asked)).upstream.connections_needed == needed


@pytest.mark.parametrize(
    ("closes_first", "proxy_side", "backend_side", "codes"),
    [
        ("proxy", 5000, 0, []),
        ("backend", 0, 5000, []),
        ("backend", 20, 4980, []),
        ("backend", 500, 4500, ["closes-first-mixed"]),
        ("proxy", 0, 5000, ["closes-first-mixed"]),
        ("proxy", 0, 0, ["closes-first-reset"]),
    ],
)
def test_time_wait_tells_who_closed_first(
    closes_first: str, proxy_side: int, backend_side: int, codes: list[str]
) -> None:
    sides = {"proxy": TimeWait(proxy_side, proxy_side), "backend": TimeWait(backend_side, backend_side)}
    hops = {"client": 7, "backend": proxy_side}
    trial = run_summary.trial(
        facts(Mode.SHORT, {"closes_first": closes_first}, time_wait=sides, time_wait_by_hop=hops)
    )
    assert ([warning.code for warning in trial.warnings], trial.valid) == (codes, True)


def test_what_was_a_race_is_reported_as_one() -> None:
    asked = {"subject": {"name": "nginx", "upstream_http": "1.0"}}
    sides = {"proxy": TimeWait(500, 500), "backend": TimeWait(4500, 4500)}
    trial = run_summary.trial(facts(Mode.SHORT, asked, time_wait=sides, time_wait_by_hop={"backend": 500}))
    assert (trial.closes_first, trial.warnings) == ("race", ())
