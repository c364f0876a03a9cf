"""A clock that was measured after a trial is known before the next one, and is not measured twice."""

from __future__ import annotations

import queue
import time
from dataclasses import replace

import pytest

from bench.cluster import trial
from bench.cluster.connection import WorkerFacts
from bench.cluster.placement import RolePlace
from bench.cluster.trial import Machines
from bench.cluster.worker import WorkerDescription


class Cluster:
    """Workers whose clocks are ours; `calls` are the addresses of those that were asked."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def begin(self, address: str, function: object) -> str:
        self.calls.append(address)
        return address

    def result(self, address: str, future: str, deadline_s: float) -> int:
        return time.monotonic_ns()

    def name_of(self, address: str) -> str:
        return address


def place(name: str) -> RolePlace:
    nothing = WorkerDescription(1, "", "", (), {}, {})
    return RolePlace(name, name, "client", WorkerFacts(name, name, {}), nothing, "10.0.0.1")


def open_machines(*names: str) -> tuple[Cluster, Machines]:
    cluster = Cluster()
    places = [place(name) for name in names]
    return cluster, Machines(cluster, places, None, queue.SimpleQueue())  # type: ignore[arg-type]


def test_a_clock_that_was_just_measured_is_known() -> None:
    cluster, machines = open_machines("a", "b")
    first = machines.know_clocks()
    assert set(cluster.calls) == set(first) == {"a", "b"}
    cluster.calls.clear()
    assert machines.know_clocks() == first
    assert cluster.calls == []


def test_it_is_known_to_the_next_plan_of_the_run_and_another_machine_is_measured() -> None:
    cluster, machines = open_machines("a")
    first = machines.know_clocks()
    cluster.calls.clear()
    both = replace(machines, places=[place("a"), place("b")]).know_clocks()
    assert set(cluster.calls) == {"b"}
    assert both["a"] == first["a"]


def test_one_that_was_measured_long_ago_is_measured_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster, machines = open_machines("a")
    machines.know_clocks()
    cluster.calls.clear()
    monkeypatch.setattr(trial, "_RECENT_NS", 0)
    machines.know_clocks()
    assert set(cluster.calls) == {"a"}


def test_after_a_trial_each_is_measured() -> None:
    cluster, machines = open_machines("a", "b")
    machines.know_clocks()
    cluster.calls.clear()
    after = machines.measure_clocks()
    assert set(cluster.calls) == {"a", "b"}
    assert machines.know_clocks() == after
