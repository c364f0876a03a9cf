"""A mode is enforced, witnesses agree, and a starved load generator voids what it measured."""

from __future__ import annotations

import pytest

from bench.analysis import validity
from bench.analysis.validity import OtherShares, Pressure
from bench.plan.run_plan import Mode
from bench.runs.ports_record import Ports
from bench.runs.record import Upstream, Witnesses

SHORT, KEEPALIVE = Mode.SHORT, Mode.KEEPALIVE


@pytest.mark.parametrize(
    ("mode", "total", "opened", "needed", "codes"),
    [
        (SHORT, 1000, 1000, 1000, []),
        (SHORT, 990, 1000, 1000, []),  # some were opened and not used: the end of the trial came first
        (SHORT, 989, 1000, 1000, ["mode-not-short"]),
        (SHORT, 1001, 1000, 1000, ["mode-not-short"]),  # one connection was used twice
        (KEEPALIVE, 100_000, 64, 64, []),
        (KEEPALIVE, 100_000, 63, 64, []),
        (KEEPALIVE, 100_000, 65, 64, ["mode-not-keepalive"]),
        (KEEPALIVE, 0, 0, 0, ["no-traffic"]),
        (SHORT, 0, 5, 0, ["no-traffic"]),
    ],
)
def test_the_reuse_that_was_measured_is_that_of_the_mode(
    mode: Mode, total: int, opened: int, needed: int, codes: list[str]
) -> None:
    upstream = Upstream(requests_total=total, connections_opened=opened, connections_needed=needed)
    warnings = list(validity.mode_warnings(mode, upstream))
    assert [warning.code for warning in warnings] == codes
    assert all(warning.voids for warning in warnings)


def test_a_proxy_that_is_not_ours_may_know_none_of_the_backends() -> None:
    passed = Upstream(requests_total=8, connections_opened=1)
    assert list(validity.traffic_warnings(passed, 9000)) == []
    (warning,) = validity.traffic_warnings(Upstream(requests_total=0, connections_opened=0), 9000)
    assert (warning.code, warning.voids) == ("no-traffic", True)
    assert warning.advice.endswith(
        "at port 9000; where it checks their health, a --warmup longer than that takes lets it find them"
    )


@pytest.mark.parametrize(
    ("mode", "total", "opened", "codes"),
    [
        (SHORT, 1000, 1000, []),
        (SHORT, 1000, 1100, []),  # it looks after its backends by connections without a request
        (SHORT, 1001, 1000, ["mode-not-short"]),
        (SHORT, 100_000, 16, ["mode-not-short"]),
        (KEEPALIVE, 100_000, 64, []),
        (KEEPALIVE, 100_000, 20_000, []),  # its pool is smaller than its clients
        (KEEPALIVE, 1999, 1000, ["mode-not-keepalive"]),
        (KEEPALIVE, 70, 64, []),  # each client had one connection, and little time
        (SHORT, 0, 5, ["no-traffic"]),
        (KEEPALIVE, 0, 0, ["no-traffic"]),
    ],
)
def test_a_proxy_that_is_not_ours_does_what_the_mode_says(
    mode: Mode, total: int, opened: int, codes: list[str]
) -> None:
    # It asks the backend to end each connection, which so counts as one that has to be opened again.
    upstream = Upstream(requests_total=total, connections_opened=opened, connections_needed=64 + opened)
    warnings = list(validity.running_proxy_warnings(mode, upstream, 64, 9000))
    assert [warning.code for warning in warnings] == codes
    assert all(warning.voids for warning in warnings)


def test_a_pool_that_expires_as_asked_may_open_more() -> None:
    upstream = Upstream(requests_total=350, connections_opened=343, connections_needed=1)
    (warning,) = validity.mode_warnings(KEEPALIVE, upstream, may_expire=True)
    assert (warning.code, warning.voids) == ("pool-expired", False)
    enough = Upstream(requests_total=350, connections_opened=1, connections_needed=1)
    assert list(validity.mode_warnings(KEEPALIVE, enough, may_expire=True)) == []


@pytest.mark.parametrize(
    ("lost", "pool_s", "backend_s", "codes"),
    [
        (8, 60.0, 0.02, ["idle-race"]),
        (8, 0.02, 0.02, ["idle-race"]),
        (8, 0.01, 0.02, []),
        (8, 60.0, None, []),  # it ends them for another reason, which its own flags give
        (0, 60.0, 0.02, []),
        (None, 60.0, 0.02, []),
    ],
)
def test_a_backend_that_closes_idle_connections_first_races_with_requests(
    lost: int | None, pool_s: float, backend_s: float | None, codes: list[str]
) -> None:
    warnings = list(validity.race_warnings(Upstream(lost=lost), pool_s, backend_s))
    assert [warning.code for warning in warnings] == codes
    assert not any(warning.voids for warning in warnings)


@pytest.mark.parametrize(
    ("clients", "requests", "limit", "lost", "needed"),
    [
        (64, 100_000, None, 0, 64),
        (64, 10, None, 0, 10),  # fewer requests than clients need fewer connections
        (64, 100_000, 1000, 0, 164),
        (64, 100_000, None, 3, 67),
    ],
)
def test_a_perfect_pool_needs(clients: int, requests: int, limit: int | None, lost: int, needed: int) -> None:
    assert validity.connections_needed(clients, requests, limit, lost) == needed


@pytest.mark.parametrize(
    ("witnesses", "agree"),
    [
        (Witnesses(backend=5, kernel=5, subject=5), True),
        (Witnesses(backend=5, kernel=None, subject=5), True),
        (Witnesses(backend=5), True),
        (Witnesses(backend=5, kernel=6, subject=5), False),
        (Witnesses(backend=5, subject=4), False),
    ],
)
def test_witnesses_that_disagree_are_named(witnesses: Witnesses, agree: bool) -> None:
    warnings = list(validity.witness_warnings(Upstream(witnesses=witnesses)))
    assert [warning.code for warning in warnings] == ([] if agree else ["witnesses-disagree"])
    assert not any(warning.voids for warning in warnings)


@pytest.mark.parametrize(
    ("pressure", "others", "code"),
    [
        (Pressure(run_queue_wait=0.02, core_idle=0.5), None, None),
        (Pressure(run_queue_wait=0.00, core_idle=None), None, None),
        (Pressure(run_queue_wait=0.30, core_idle=0.5), None, "generator-saturated"),
        (Pressure(run_queue_wait=0.00, core_idle=0.01), None, "generator-saturated"),
        # It fills its own cores: what others do on the other ones is not why.
        (Pressure(0.0, 0.01, foreign_cpu=0.01), OtherShares(0.4, 0.0), "generator-saturated"),
        (Pressure(0.3, 0.01, foreign_cpu=0.30), OtherShares(0.2, 0.0), "machine-shared"),
        (Pressure(0.0, 0.01, foreign_cpu=0.05), None, "machine-shared"),
        # Without cores of its own the whole machine is all there is to tell by.
        (Pressure(run_queue_wait=0.3, core_idle=None), OtherShares(0.2, 0.0), "machine-shared"),
        (Pressure(run_queue_wait=0.3, core_idle=None), OtherShares(0.02, 0.0), "generator-saturated"),
    ],
)
def test_a_generator_that_cannot_keep_up_is_saturated_or_disturbed(
    pressure: Pressure, others: OtherShares | None, code: str | None
) -> None:
    warnings = list(validity.machine_warnings(pressure, others))
    assert [warning.code for warning in warnings] == ([] if code is None else [code])
    assert all(warning.voids for warning in warnings)
    fewer = ["use fewer connections" in warning.advice for warning in warnings]
    assert fewer == ([] if code is None else [code == "generator-saturated"])


def test_a_disturbed_generator_says_by_whom_and_how_much() -> None:
    pressure, others = Pressure(0.24, 0.0, foreign_cpu=0.4), OtherShares(0.73, 0.0, "cc1")
    (warning,) = validity.machine_warnings(pressure, others)
    assert warning.message == (
        "other processes used 40% of the time of the load generator's cores, most of it cc1;"
        " it waited for a processor during 24% of the window"
    )


@pytest.mark.parametrize(
    ("others", "void", "said"),
    [
        (None, None, ""),
        (OtherShares(0.0, 0.0), None, ""),
        (OtherShares(0.09, 0.009), None, ""),
        (OtherShares(0.1, 0.0), False, "other processes used 10% of the time of all cores"),
        (
            OtherShares(0.09, 0.05, "cc1"),
            False,
            "9% of the time of all cores, most of it cc1; 5% was taken by the hypervisor",
        ),
        (OtherShares(0.0, 0.3), True, "30% was taken by the hypervisor"),
        (
            OtherShares(0.5, 0.0, "another run of bench (process 7)"),
            True,
            "most of it another run of bench (process 7)",
        ),
    ],
)
def test_other_work_is_named_with_its_share_and_much_of_it_voids_the_trial(
    others: OtherShares | None, void: bool | None, said: str
) -> None:
    warnings = list(validity.machine_warnings(None, others))
    assert [warning.voids for warning in warnings] == ([] if void is None else [void])
    assert said in "".join(warning.message for warning in warnings)


@pytest.mark.parametrize(
    ("requests", "exhausted_s", "said"),
    [
        (1, 0.3, None),
        (0, 0.3, "all 2,000 ports were used after 0.3 s, in the warm-up; shorten it (--warmup 0s)"),
        (0, 1.5, "no request succeeded in the window, 7 failed; see the errors by kind"),
        (0, None, "no request succeeded in the window, 7 failed; see the errors by kind"),
    ],
)
def test_a_window_without_a_correct_response_is_void_with_its_cause_and_remedy(
    requests: int, exhausted_s: float | None, said: str | None
) -> None:
    ports = Ports(range=2000, tuples=2000, exhausted_s=exhausted_s)
    warnings = list(validity.window_warnings(requests, 7, ports, warmup_s=1.0))
    assert [(warning.code, warning.voids) for warning in warnings] == [("empty-window", True)] * (
        said is not None
    )
    assert (said or "") in "".join(f"{warning.message}; {warning.advice}" for warning in warnings)


def test_errors_are_named_with_their_share() -> None:
    (warning,) = validity.error_warnings({"status": 25, "reset": 0}, 75)
    assert "25.0% of the exchanges failed: status 25" in warning.message


@pytest.mark.parametrize(
    ("whole", "voids", "advice"),
    [
        (validity.OTHER_WORK_LIMIT, False, "rates and latencies may be off: "),
        (validity.OTHER_WORK_VOIDS, True, "rates and latencies are void, CPU per request stands: "),
    ],
)
def test_only_what_is_void_is_called_so(whole: float, voids: bool, advice: str) -> None:
    (warning,) = validity.machine_warnings(None, OtherShares(whole, whole))
    assert warning.voids == voids
    assert warning.advice.startswith(advice)


@pytest.mark.parametrize(("exhausted_s", "is_said"), [(None, False), (2.34, True)])
def test_a_scenario_that_used_half_of_its_ports_says_whether_it_used_all(
    exhausted_s: float | None, is_said: bool
) -> None:
    (warning,) = validity.cliff_warnings(Ports(1000, 1000, 1000, 1.2, exhausted_s), 5.0)
    assert "half of the 1,000 ports were used after 1.2 s, and connect() slowed down" in warning.message
    assert ("none was left after 2.3 s, and connect() failed" in warning.message) is is_said
