"""The figures of single machines: what they are relative to, and what they are worth."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bench.analysis import machine_figures as figures
from bench.analysis.claims import Standing
from bench.analysis.machine_figures import FIGURES, MachineFigure
from bench.analysis.sides import Side, split
from bench.plan import run_plan as plans
from bench.runs.machine_record import MachineRecord, MachineTrial
from bench.runs.ports_record import Ports
from bench.runs.record import Run, SubjectRecord, Trial, TrialWarning

RANGE = 1_000


def make_trial(*machines: MachineTrial, number: int = 1, **changes: Any) -> Trial:
    made = Trial(
        trial=number, mode="short", closes_first="proxy", subject=SubjectRecord("asyncio", "1"),
        lab="cluster", duration_s=2.0, requests=4_000, machines=machines,
    )  # fmt: skip
    return replace(made, **changes)


def make_side(*trials: Trial, counts: tuple[int, int, int] = (1, 1, 1), workers: int = 1) -> Side:
    """Return the trials as a side of a run with so many clients, proxies and backends."""
    roles = zip(("client", "proxy", "backend"), counts, strict=True)
    names = [(f"{role}-{n}", role) for role, count in roles for n in range(1, count + 1)]
    records = tuple(MachineRecord(name, role, "192.0.2.1", "w") for name, role in names)
    plan = plans.build({"mode": "short", "load": {"workers": workers}}).to_json()
    return split(Run(plan, {}, "now", trials, machines=records))[0]


CLIENT = MachineTrial("client-1", "client", requests=3_000, cpu_s=0.06, run_queue_wait=0.2, core_idle=0.1)
PROXY = MachineTrial("proxy-1", "proxy", port_range=RANGE, ports_used_peak=400, cpu_s=0.2, opened=4_000)
BACKEND = MachineTrial("backend-1", "backend", requests=5_000, cpu_s=0.08, accepted=4_000, ports_used_peak=4)


@pytest.mark.parametrize(
    ("name", "figure", "expected"),
    [
        ("client-1", figures.RATE, 1_500.0),
        ("client-1", figures.CPU, 20.0),
        ("client-1", figures.WAITED, 0.2),
        ("client-1", figures.PORTS_USED, None),
        ("client-1", figures.SHARE_OF_HALF, None),
        ("proxy-1", figures.RATE, None),
        ("proxy-1", figures.CPU, 50.0),
        ("proxy-1", figures.OPENED, 4_000.0),
        ("proxy-1", figures.TUPLES, 1_000.0),
        ("proxy-1", figures.SHARE_OF_HALF, 0.8),
        ("backend-1", figures.RATE, None),
        ("backend-1", figures.REQUESTS, 5_000.0),
        ("backend-1", figures.CPU, 20.0),
        ("backend-1", figures.PORTS_USED, None),
        ("backend-1", figures.TUPLES, None),
        ("backend-1", figures.ACCEPTED, 4_000.0),
        ("backend-2", figures.ACCEPTED, None),
    ],
)
def test_a_machine_has_figures_of_its_own(name: str, figure: MachineFigure, expected: float | None) -> None:
    side = make_side(make_trial(CLIENT, PROXY, BACKEND))
    assert figures.sample(side, name, figure).median == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "counts", "workers", "tuples"),
    [
        ("proxy-1", (1, 1, 1), 1, 1),
        ("proxy-1", (1, 1, 4), 1, 4),
        ("proxy-1", (4, 2, 4), 1, 4),
        ("client-1", (1, 1, 4), 8, 1),
        ("client-1", (4, 4, 1), 2, 1),
        ("client-1", (3, 2, 1), 2, 2),
        ("client-1", (3, 2, 1), 1, 1),
        ("client-1", (2, 4, 1), 8, 2),
        ("client-1", (1, 2, 1), 8, 2),
        ("client-1", (1, 0, 3), 2, 3),
        ("proxy-1", (1, 1, 0), 1, 1),
    ],
)
def test_there_are_ports_for_each_destination(
    name: str, counts: tuple[int, int, int], workers: int, tuples: int
) -> None:
    """Load workers are dealt to proxies in turn: of two clients and two proxies each client has one."""
    machine = MachineTrial(name, name.partition("-")[0], port_range=RANGE, ports_used_peak=1)
    side = make_side(make_trial(machine), counts=counts, workers=workers)
    assert figures.sample(side, name, figures.TUPLES).median == tuples * RANGE


@pytest.mark.parametrize(
    ("change", "void"),
    [
        ({"warnings": (TrialWarning("generator-saturated", "it waited", voids=True),)}, {"requests_per_s"}),
        (
            {"warnings": (TrialWarning("machine-lost", "it went", voids=True),)},
            {"requests_per_s", "cpu_us_per_request", "requests"},
        ),
        ({}, set()),
    ],
)
def test_what_voids_a_figure_of_the_clients_voids_that_of_each(
    change: dict[str, Any], void: set[str]
) -> None:
    side = make_side(make_trial(CLIENT, PROXY, valid=not change, **change))
    found = {each.key: figures.sample(side, "client-1", each).standing for each in FIGURES}
    assert {key for key, standing in found.items() if standing is Standing.VOID} == void
    assert found["run_queue_wait"] == found["core_idle"] == Standing.COUNTS  # they say why


def test_over_the_cliff_rates_and_cpu_are_mixed_and_counts_stand() -> None:
    ports = Ports(RANGE, RANGE, 800, 1.0, None, 3_000.0, 100.0)
    side = make_side(make_trial(CLIENT, PROXY, ports=ports))
    assert figures.sample(side, "client-1", figures.RATE).standing is Standing.MIXED
    assert figures.sample(side, "proxy-1", figures.CPU).standing is Standing.MIXED
    assert figures.sample(side, "proxy-1", figures.PORTS_USED).median == 400


def test_a_machine_has_no_figure_of_a_trial_in_which_it_was_lost() -> None:
    lost = replace(PROXY, lost="its worker ended", ports_used_peak=7)
    trials = [make_trial(PROXY, number=1), make_trial(lost, number=2)]
    side = make_side(*trials)
    assert figures.sample(side, "proxy-1", figures.PORTS_USED).values == (400.0,)
    assert [(trial.trial, each.name) for trial, each in figures.list_lost(trials)] == [(2, "proxy-1")]


def test_the_fullest_machine_is_that_with_the_largest_share_not_with_the_most_ports() -> None:
    wide = replace(PROXY, port_range=64_000, ports_used_peak=20_000)
    narrow = replace(PROXY, name="proxy-2", port_range=RANGE, ports_used_peak=900)
    fullest = figures.find_fullest(make_side(make_trial(wide, narrow), counts=(1, 2, 1)))
    assert fullest is not None
    assert (fullest.name, fullest.used, fullest.tuples) == ("proxy-2", 900, RANGE)
    assert fullest.share_of_half == pytest.approx(1.8)


@pytest.mark.parametrize("used", [None, 0])
def test_no_machine_is_fullest_where_no_ports_were_used(used: int | None) -> None:
    side = make_side(make_trial(replace(PROXY, ports_used_peak=used)))
    assert figures.find_fullest(side) is None


def test_machines_are_sorted_by_role_and_number() -> None:
    names = ("backend-2", "proxy-1", "client-10", "backend-1", "client-9", "client-1")
    machines = [MachineTrial(name, name.split("-")[0]) for name in names]
    run = make_side(make_trial(*machines)).run
    expected = ("client-1", "client-9", "client-10", "proxy-1", "backend-1", "backend-2")
    assert figures.sort_names(run) == expected
