"""The scenarios by name, in the order of the story. Each is imported when it is asked for."""

from __future__ import annotations

import importlib

from bench.errors import PlanError
from bench.experiment.definition import Scenario

NAMES = ("push", "stream", "chat", "http2", "tls", "migration", "registry", "broker", "rpc")


def load(name: str) -> Scenario:
    """Return the scenario called `name`; PlanError where there is none."""
    if name not in NAMES:
        raise PlanError(
            f"scenario {name!r} is not one of {', '.join(NAMES)}; `bench scenario list` tells more"
        )
    scenario: Scenario = importlib.import_module(f"bench.scenarios.{name}.definition").SCENARIO
    return scenario


def everything() -> list[Scenario]:
    """Return all scenarios."""
    return [load(name) for name in NAMES]
