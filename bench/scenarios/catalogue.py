"""The scenarios by name, in the order of the story. Each is imported when it is asked for.

To add one: copy the smallest, broker/, and add its name to NAMES. Its files are definition.py (what the
scenario is, and perform), settings.py, clients.py (the client process; none where bench.load does),
figures.py (what clients and servers reported becomes figures and warnings) and conclusion.py (the sentence
of a run). What client processes share is in client/; the clients of real products, each run in an
environment of its own without our other dependencies, are in sdk/.
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
