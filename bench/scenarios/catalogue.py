"""The scenarios by name, in the order of the story. Each is imported when it is needed.

To add one: copy the smallest with clients of its own, stream/, and add its name to NAMES. Its files are
definition.py (SCENARIO, and how a trial is performed), settings.py, clients.py (the client process; tls
uses the load generator), figures.py (figures and warnings from what clients and servers reported) and
conclusion.py (the sentence of a run). Its servers go into backends/scenarios/. What client processes share
is in client/; clients of real products, each in an environment of its own, are in sdk/. `pytest
tests/golden` shows what lists it.
"""

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


def load_all() -> list[Scenario]:
    """Return all scenarios."""
    return [load(name) for name in NAMES]
