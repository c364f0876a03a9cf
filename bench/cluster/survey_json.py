"""A survey of a cluster as JSON."""

from typing import Any, TypedDict

from bench.cluster.clock import ClockOffset
from bench.cluster.paths import NetworkPath
from bench.cluster.survey import ClusterSurvey, SurveyedMachine
from bench.cluster.survey_differences import MachineDifference, find_differences
from bench.cluster.survey_findings import find_obstacles
from bench.doctor.checks import Check, check_machine


class SurveyedMachineJson(TypedDict):
    """One worker with its machine."""

    name: str
    address: str
    """Where Dask finds it."""
    data_address: str | None
    """Where its roles are, on the network that is measured."""
    resources: dict[str, float]
    code: dict[str, str | None]
    """The versions of what it runs; empty where it has no bench."""
    problem: str
    """Why it can take no role; empty where nothing is in the way."""
    machine: dict[str, Any] | None
    addresses: dict[str, str]
    """By network interface."""
    checks: list[Check]
    """What `bench doctor` says there."""
    clock: ClockOffset | None
    paths: list[NetworkPath]


class ClusterSurveyJson(TypedDict):
    """What `bench doctor --scheduler` prints."""

    scheduler: str
    machines: list[SurveyedMachineJson]
    obstacles: list[Check]
    """What is in the way of a run."""
    differences: list[MachineDifference]


def to_json(survey: ClusterSurvey) -> ClusterSurveyJson:
    """Return the survey with what it amounts to."""
    return {
        "scheduler": survey.scheduler,
        "machines": [_machine(each) for each in survey.machines],
        "obstacles": list(find_obstacles(survey)),
        "differences": find_differences(survey),
    }


def _machine(machine: SurveyedMachine) -> SurveyedMachineJson:
    found = machine.examination
    return {
        "name": machine.name,
        "address": machine.worker.address,
        "data_address": machine.data_address,
        "resources": machine.worker.resources,
        "code": {} if machine.code is None else machine.code._asdict(),
        "problem": machine.problem,
        "machine": None if found is None else found.description.machine,
        "addresses": {} if found is None else found.description.addresses,
        "checks": [] if found is None else list(check_machine(found.facts)),
        "clock": machine.clock,
        "paths": list(machine.paths),
    }
