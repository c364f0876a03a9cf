"""What runs differ in by their machines: a table of fleets, and the warning that each pair gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from bench.analysis import machine_differences as differences
from bench.analysis.compare import compare
from bench.analysis.sides import AnySide, match, split
from bench.plan import run_plan as plans
from bench.runs.record import Run
from tests import synthetic
from tests.synthetic import KEEPALIVE, MACHINE
from tests.synthetic_cluster import Fleet, spread

NEWER = {"kernel": "6.12.5"}
WIDER = {"sysctls": {"net.ipv4.ip_local_port_range": "1024 65535"}}
LOADED = {"load_average": [9.0, 9.0, 9.0], "memory_mib": 15_990, "git": {"commit": None, "dirty": True}}
ONE = Fleet(1, 1, 1)


def make_run(fleet: Fleet | None, machine: Mapping[str, Any] = MACHINE, **plan: Any) -> Run:
    """Return a run of a fleet, or of one machine, with one trial of keep-alive."""
    trial, _, _ = synthetic.trial(
        1, "keepalive", KEEPALIVE, 1.0, "namespaces" if fleet is None else "cluster"
    )
    values: dict[str, Any] = {"mode": "keepalive", "trials": 1, **plan}
    if fleet is None:
        return Run(plans.build(values).to_json(), dict(machine), "now", (trial,))
    counts = {"clients": fleet.clients, "proxies": fleet.proxies, "backends": fleet.backends}
    values |= {"lab": "cluster", "cluster": {"scheduler": "tls://127.0.0.1:1", **counts}}
    made = plans.build(values).to_json()
    return Run(made, dict(machine), "now", (spread(trial, fleet),), machines=fleet.records())


ON_ONE = "number (one for all roles | 1 client, 1 proxy, 1 backend)"
PAIRS: dict[str, tuple[Fleet | None, Fleet | None, list[str]]] = {
    "the same": (Fleet(), Fleet(), []),
    "load, memory and a dirty checkout": (Fleet(), Fleet(unlike={"proxy-1": LOADED}), []),
    "one machine each": (None, None, []),
    "a sysctl that one of them does not show": (ONE, Fleet(1, 1, 1, unlike={"proxy-1": {"sysctls": {}}}), []),
    "the number of clients": (
        Fleet(1, 1, 1),
        Fleet(4, 1, 1),
        ["number (1 client, 1 proxy, 1 backend | 4 clients, 1 proxy, 1 backend)"],
    ),
    "the kernel of the proxy": (
        ONE,
        Fleet(1, 1, 1, unlike={"proxy-1": NEWER}),
        ["proxy: kernel (6.1.0-40-amd64 | 6.12.5)"],
    ),
    "the kernel of one proxy of two": (
        Fleet(),
        Fleet(unlike={"proxy-2": NEWER}),
        ["proxy: kernel (6.1.0-40-amd64 | 6.1.0-40-amd64 on 1, 6.12.5 on 1)"],
    ),
    "kernel and ports of client and backend": (
        ONE,
        Fleet(1, 1, 1, unlike={"client-1": NEWER | WIDER, "backend-1": NEWER | WIDER}),
        [
            "client and backend: kernel (6.1.0-40-amd64 | 6.12.5), net.ipv4.ip_local_port_range"
            " (32768 60999 | 1024 65535)"
        ],
    ),
    "the ports of all": (
        ONE,
        Fleet(1, 1, 1, unlike=dict.fromkeys(("client-1", "proxy-1", "backend-1"), WIDER)),
        ["net.ipv4.ip_local_port_range (32768 60999 | 1024 65535)"],
    ),
    "one machine and a fleet of the same kind": (None, ONE, [ON_ONE]),
    "one machine and a fleet with another proxy": (
        None,
        Fleet(1, 1, 1, unlike={"proxy-1": NEWER}),
        [ON_ONE, "proxy: kernel (6.1.0-40-amd64 | 6.12.5)"],
    ),
    "a fleet of two kinds and a larger one of the same": (
        Fleet(2, 1, 1, unlike={"client-1": NEWER}),
        Fleet(4, 1, 1, unlike=dict.fromkeys(("client-1", "client-3"), NEWER)),
        ["number (2 clients, 1 proxy, 1 backend | 4 clients, 1 proxy, 1 backend)"],
    ),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_runs_that_differ_in_their_machines_are_told_by_role(pair: str) -> None:
    first, second, expected = PAIRS[pair]
    warnings = differences.compare([make_run(first), make_run(second)])
    assert warnings == ([f"the sides differ in their machines: {'; '.join(expected)}"] if expected else [])


def compare_runs(*runs: Run) -> tuple[str, ...]:
    """Return the warnings of a comparison of `runs`, each of one mode."""
    sides: tuple[AnySide, ...] = tuple(split(run)[0] for run in runs)
    return compare(sides).warnings


def test_a_comparison_warns_of_machines_where_that_is_all_that_differs() -> None:
    other = make_run(Fleet(1, 1, 1, unlike={"proxy-1": NEWER}))
    assert compare_runs(make_run(ONE), other) == (
        "the sides differ in their machines: proxy: kernel (6.1.0-40-amd64 | 6.12.5)",
    )


def test_another_scheduler_is_no_difference_nor_is_the_machine_where_bench_ran() -> None:
    run = make_run(ONE)
    cluster = {**run.plan["cluster"], "scheduler": "tls://192.0.2.7:8786"}
    moved = tuple(replace(each, address="192.0.2.9", worker=f"other-{each.name}") for each in run.machines)
    elsewhere = replace(
        run, plan={**run.plan, "cluster": cluster}, machine={**MACHINE, **NEWER, "cores": 64}, machines=moved
    )
    assert compare_runs(run, elsewhere) == ()


def test_a_run_on_one_machine_and_one_of_a_cluster_differ_in_lab_and_machines() -> None:
    assert compare_runs(make_run(None), make_run(Fleet(4, 1, 1))) == (
        "the sides differ in 2 things: plan.lab (auto | cluster); lab (namespaces | cluster)",
        "the sides differ in their machines: number (one for all roles | 4 clients, 1 proxy, 1 backend)",
    )


def test_the_numbers_of_machines_are_told_once() -> None:
    numbers = "number (2 clients, 2 proxies, 1 backend | 4 clients, 1 proxy, 1 backend)"
    assert compare_runs(make_run(Fleet(2, 2, 1)), make_run(Fleet(4, 1, 1))) == (
        f"the sides differ in their machines: {numbers}",
    )


def test_sides_on_one_machine_and_on_several_are_named_after_the_lab() -> None:
    fleet = make_run(Fleet(4, 2, 2), load={"workers": 1})
    cluster = {**fleet.plan["cluster"], "data_interface": "data"}
    runs = [make_run(None), replace(fleet, plan={**fleet.plan, "cluster": cluster})]
    picked = match([_select(run, str(number)) for number, run in enumerate(runs)])
    assert [side.name for side in picked[0]] == ["auto", "cluster"]


def test_the_machine_is_a_condition_among_the_others_where_there_is_one() -> None:
    runs = [make_run(None), make_run(None, {**MACHINE, **NEWER}, load={"connections": 8})]
    assert compare_runs(*runs) == (
        "the sides differ in 2 things: plan.load.connections (64 | 8); machine.kernel (6.1.0-40-amd64 |"
        " 6.12.5)",
    )


def test_sides_are_named_after_the_number_of_clients() -> None:
    picked = match([_select(make_run(Fleet(clients, 1, 1)), str(clients)) for clients in (1, 2, 4)])
    assert [side.name for side in picked[0]] == ["1 clients", "2 clients", "4 clients"]


def _select(run: Run, spec: str) -> Any:
    from bench.analysis.sides import Selected  # noqa: PLC0415

    return Selected(spec, split(run), False)


@pytest.mark.parametrize(
    ("fleet", "expected"),
    [
        (ONE, "the machines have the same kernel, processor, cores, sysctls, limits and versions"),
        (
            Fleet(2, 1, 1, unlike={"client-2": {"cores": 8}, "proxy-1": NEWER | WIDER}),
            "the machines differ in kernel (6.12.5 on proxy-1; else 6.1.0-40-amd64); cores (8 on client-2;"
            " else 2); net.ipv4.ip_local_port_range (1024 65535 on proxy-1; else 32768 60999)",
        ),
        (
            Fleet(1, 1, 1, unlike={"proxy-1": {"sysctls": {}, "versions": {"python": "3.13.1"}}}),
            "the machines differ in python (3.13.1 on proxy-1; else 3.11.2)",
        ),
    ],
)
def test_what_the_machines_of_a_run_differ_in_is_a_line(fleet: Fleet, expected: str) -> None:
    assert differences.describe_within(fleet.records()) == expected


def test_machines_that_are_not_described_differ_in_nothing() -> None:
    records = tuple(replace(each, description={}) for each in ONE.records())
    assert differences.describe_within(records) == ""
    run = replace(make_run(ONE), machines=records)
    assert differences.compare([make_run(ONE), run]) == []


def test_roles_that_share_a_worker_are_counted_on_it() -> None:
    records = tuple(replace(each, worker="one") for each in Fleet(2, 1, 1).records())
    run = replace(make_run(Fleet(2, 1, 1)), machines=records)
    assert differences.count_roles(run) == "2 clients, 1 proxy, 1 backend, on 1 worker"
