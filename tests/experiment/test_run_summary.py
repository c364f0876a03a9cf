"""What the observations of a trial amount to, on made-up trials small enough to compute by hand."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import pytest

from bench.analysis.validity import Pressure
from bench.experiment import run_summary
from bench.experiment.run_summary import RunFacts
from bench.experiment.trial_result import MeterReading, SaturationReading, TrialResult
from bench.load.generator import Second, Totals
from bench.observe.host_observer import HostSample, Peaks
from bench.observe.sampler import HostObservation
from bench.observe.tcp_counters import Counters
from bench.observe.time_wait import HostSockets
from bench.plan import run_plan
from bench.plan.run_plan import Mode
from bench.runs.record import ERROR_KINDS, TimeWait, Trial, Witnesses
from bench.subjects.subject import SubjectCounts

S = 10**9
NO_ERRORS = dict.fromkeys(ERROR_KINDS, 0)
TOTALS = Totals(
    interrupted=False, first_connect_ns=0, window_start_ns=S, window_end_ns=5 * S, drained_ns=5 * S,
    requests_total=5000, opened_total=64, errors_total=NO_ERRORS, requests=4000, errors=NO_ERRORS, opened=0,
    bytes=0, late=0, never_started=0,
)  # fmt: skip
LOAD = Second(
    second=0, start_ns=0, end_ns=5 * S, in_window=True, ticks=(100,) * 50, requests=5000, errors=NO_ERRORS,
    opened=64, bytes=0, late=0, never_started=0, latency_us={1000: 3999, 9000: 1}, service_us={},
    connect_us={200: 64},
)  # fmt: skip
"""Five seconds at 100 requests a tenth."""
COUNTERS = Counters()


def samples(ports_per_tick: int, late: Collection[int] = ()) -> tuple[HostSample, ...]:
    """Return five seconds with 2 ms of the proxy's CPU, and 1 ms of the clients', each tenth.

    Ticks that come too `late` are left out.
    """
    return tuple(
        HostSample(
            tick * S // 10, host, ports_used=tick * ports_per_tick, cpu_s=tick * used_s, memory_mib=1.0
        )
        for tick in range(51)
        if tick not in late
        for host, used_s in (("proxy", 0.002), ("client", 0.001))
    )


def observed(host: str, opened: int | None, sides: tuple[int, int] | None = (0, 0)) -> HostObservation:
    """Return what was seen of a host; `sides` are its TIME_WAIT toward the clients and the backend."""
    sockets = None if sides is None else HostSockets(sum(sides), *sides, 0, 0)
    counters = None if opened is None else COUNTERS._replace(active_opens=opened)
    return HostObservation(host, sockets, counters, Peaks(rss_mib=1.0))


def readings(pressure: Pressure) -> list[MeterReading]:
    """Return what was read at the edges of a window of four seconds with this pressure."""
    shares = (pressure.run_queue_wait, pressure.core_idle or 0.0, pressure.ksoftirqd_cpu or 0.0)
    return [
        MeterReading(
            at_s * S,
            SaturationReading(at_s * S, [waited * length_s], idle * length_s, ksoftirqd * length_s),
            {"client": at_s * 0.01, "proxy": at_s * 0.02, "backend": 0.0},
            None,
            None,
        )
        for waited, idle, ksoftirqd in [shares]
        for at_s, length_s in ((1, 0), (5, 4))
    ]


def trial(mode: Mode, values: dict[str, Any] | None = None, **changes: Any) -> Trial:
    """Return the trial that an ordinary one's facts give, but for `changes`."""
    opened = 5000 if mode is Mode.SHORT else 64
    known: dict[str, Any] = {
        "accepted": opened, "kernel": opened, "subject": opened, "lost": 0, "errors": {}, "totals": TOTALS,
        "ports_per_tick": 0, "pressure": Pressure(0.0, 0.5, 0.25), "interrupted": False, "proxy": (0, 5000),
        "backend": (0, 0), "requests": 5000, "late": (),
    } | changes  # fmt: skip
    seen = {
        "client": observed("client", known["kernel"]),
        "proxy": observed("proxy", known["kernel"], known["proxy"]),
        "backend": observed("backend", 0, known["backend"]),
    }
    first, last = readings(known["pressure"])
    result = TrialResult(
        0,
        first,
        last,
        (),
        samples(known["ports_per_tick"], known["late"]),
        seen,
        (),
        0.01,
        known["interrupted"],
    )
    facts = RunFacts(
        run_plan.build(values or {}), 1, mode, "namespaces", "1", result, known["totals"], [LOAD],
        port_range=28_232, accepted=known["accepted"], requests=known["requests"], lost=known["lost"],
        counted=SubjectCounts(opened=known["subject"], errors=known["errors"]),
    )  # fmt: skip
    return run_summary.outcome(facts).trial


def test_an_ordinary_short_trial() -> None:
    done = trial(Mode.SHORT)
    assert (done.valid, done.warnings, done.closes_first) == (True, (), "proxy")
    assert (done.requests, done.requests_per_s, done.latency_ms.p50) == (4000, 1000.0, 1.0)
    assert done.upstream.requests_per_connection == 1.0
    assert done.upstream.witnesses == Witnesses(backend=5000, kernel=5000, subject=5000)
    assert done.time_wait == {
        "client": TimeWait(), "proxy": TimeWait(5000, 5000), "backend": TimeWait()
    }  # fmt: skip


def test_cpu_per_request_is_taken_over_the_window_alone() -> None:
    done = trial(Mode.SHORT)
    assert done.cpu_us_per_request["proxy"] == pytest.approx(20.0)
    assert done.cpu_us_per_request["client"] == pytest.approx(10.0)
    assert done.ksoftirqd_cpu_share == 0.25


@pytest.mark.parametrize("late", [range(8, 13), range(48, 51), range(1, 51)])
def test_cpu_per_request_does_not_suffer_from_ticks_that_came_too_late(late: range) -> None:
    done = trial(Mode.SHORT, late=late)
    assert done.cpu_us_per_request["proxy"] == pytest.approx(20.0)
    assert done.cpu_us_per_request["client"] == pytest.approx(10.0)


def test_an_ordinary_keepalive_trial() -> None:
    done = trial(Mode.KEEPALIVE)
    assert (done.valid, done.closes_first) == (True, None)
    assert (done.upstream.connections_opened, done.upstream.connections_needed) == (64, 64)


@pytest.mark.parametrize(
    ("mode", "changes", "codes", "valid"),
    [
        (Mode.KEEPALIVE, {"accepted": 65}, ["mode-not-keepalive", "witnesses-disagree"], False),
        (Mode.SHORT, {"accepted": 100}, ["mode-not-short", "witnesses-disagree"], False),
        (Mode.SHORT, {"kernel": None}, [], True),
        (Mode.SHORT, {"subject": 4999}, ["witnesses-disagree"], True),
        (Mode.SHORT, {"pressure": Pressure(0.5, 0.0)}, ["generator-saturated"], False),
        (Mode.SHORT, {"interrupted": True}, [], True),
        (Mode.SHORT, {"totals": replace(TOTALS, errors={**NO_ERRORS, "status": 5})}, ["errors"], True),
    ],
)
def test_a_warning_has_a_code_and_may_void_the_trial(
    mode: Mode, changes: dict[str, Any], codes: list[str], valid: bool
) -> None:
    done = trial(mode, **changes)
    assert ([warning.code for warning in done.warnings], done.valid) == (codes, valid)


def test_connections_lost_to_the_backend_are_needed_again() -> None:
    done = trial(Mode.KEEPALIVE, accepted=67, kernel=67, subject=67,
                                lost=3)  # fmt: skip
    assert (done.valid, done.upstream.connections_needed) == (True, 67)


def test_connections_that_an_exchange_has_spoilt_are_needed_again() -> None:
    """After garbage, too long a silence, or a client that went, no request may use a connection again."""
    opened: dict[str, Any] = {"accepted": 70, "kernel": 70, "subject": 70}
    errors = {"protocol": 3, "timeout": 2, "refused": 9}
    totals = replace(TOTALS, errors={**NO_ERRORS, "timeout": 1})
    done = trial(Mode.KEEPALIVE, **opened, errors=errors, totals=totals)
    assert (done.valid, done.upstream.connections_needed) == (True, 70)


def test_what_keep_alive_costs_is_a_warning() -> None:
    values = {"backend": {"idle_timeout_s": 0.02}}
    lost = {"accepted": 67, "kernel": 67, "subject": 67, "lost": 3}
    done = trial(Mode.KEEPALIVE, values, **lost)
    assert (done.upstream.lost, [warning.code for warning in done.warnings]) == (3, ["idle-race"])
    assert trial(Mode.SHORT, values, lost=3).upstream.lost is None
    expiring = {**values, "subject": {"pool_idle_timeout_s": 0.01}}
    opened = {"accepted": 99, "kernel": 99, "subject": 99}
    done = trial(Mode.KEEPALIVE, expiring, **opened)
    assert (done.valid, [warning.code for warning in done.warnings]) == (True, ["pool-expired"])


def test_the_cliff_lies_at_half_of_the_tuples() -> None:
    done = trial(Mode.SHORT, ports_per_tick=1000)
    assert done.ports.half_range_passed_s == pytest.approx(1.4116, abs=0.001)
    assert done.ports.exhausted_s == pytest.approx(2.8232, abs=0.001)
    assert done.ports.rate_before == pytest.approx(1000.0)


def test_more_sources_and_destinations_are_more_tuples() -> None:
    values = {"hosts": {"proxy_addresses": 2, "backend_addresses": 3}}
    done = trial(Mode.SHORT, values, ports_per_tick=1000)
    assert (done.ports.tuples, done.ports.half_range_passed_s) == (6 * 28_232, None)


def test_at_a_target_no_connections_are_counted() -> None:
    values = {"subject": {"target": "http://127.0.0.1:1/"}}
    done = trial(Mode.KEEPALIVE, values)
    upstream = done.upstream
    assert (done.valid, upstream.witnesses.counts(), upstream.lost) == (True, {}, None)
    assert (upstream.connections_opened, upstream.requests_total, upstream.connections_needed) == (None,) * 3
    assert done.ports.used_peak is None


def test_without_a_proxy_the_generator_may_be_the_limit_and_the_client_closes() -> None:
    values = {"subject": {"name": "direct"}}
    done = trial(Mode.SHORT, values, subject=None, pressure=Pressure(0.5, 0.0))
    assert (done.valid, done.closes_first) == (True, "client")


def test_a_target_has_no_upstream_hop_to_judge() -> None:
    values = {"subject": {"target": "http://127.0.0.1:1/"}}
    done = trial(Mode.SHORT, values, accepted=0, requests=0,
                                subject=None, kernel=None)  # fmt: skip
    assert (done.valid, done.subject.name, done.upstream.connections_opened) == (True, "target", None)


def test_an_interrupted_warm_up_leaves_a_window_of_no_length() -> None:
    totals = replace(TOTALS, requests=0, window_start_ns=S // 2, window_end_ns=S // 2)
    done = trial(Mode.SHORT, totals=totals, interrupted=True)
    assert (done.interrupted, done.requests_per_s, done.duration_s) == (True, 0.0, 0.0)


@pytest.mark.parametrize(
    ("values", "needed"),
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
    values: dict[str, Any], needed: int
) -> None:
    assert trial(Mode.KEEPALIVE, values).upstream.connections_needed == needed


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
def test_time_wait_shows_who_closed_first(
    closes_first: str, proxy_side: int, backend_side: int, codes: list[str]
) -> None:
    values = {"closes_first": closes_first}
    done = trial(Mode.SHORT, values, proxy=(7, proxy_side), backend=(backend_side, 0))
    assert ([warning.code for warning in done.warnings], done.valid) == (codes, True)


def test_what_was_a_race_is_reported_as_one() -> None:
    values = {"subject": {"name": "nginx", "upstream_http": "1.0"}}
    done = trial(Mode.SHORT, values, proxy=(0, 500), backend=(4500, 0))
    assert (done.closes_first, done.warnings) == ("race", ())
