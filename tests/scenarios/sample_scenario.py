"""A scenario that never runs, and trials of it as if it had been."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bench.analysis.cases import Summary
from bench.experiment.definition import (
    Bars,
    Column,
    Curves,
    Distribution,
    Figures,
    Scenario,
    Settings,
    Variant,
)
from bench.experiment.proxy_setup import ProxySetup
from bench.experiment.testbed import Testbed
from bench.plan.scenario_plan import Case
from bench.runs.record import Hop, Percentiles, RoleUsage, ScenarioTrial, SubjectRecord, TrialWarning


@dataclass(frozen=True, slots=True)
class TeaSettings(Settings):
    """How much tea."""

    cups: int = 3
    steep_s: float = 2.0
    sugar: bool = False


def perform(testbed: Testbed, case: Case, settings: Any) -> Figures:
    """Is never called."""
    raise AssertionError(case)


def proxy_setup(case: Case, settings: Any) -> ProxySetup:
    """Ask for nothing special."""
    return ProxySetup(clients=3)


def conclude(summary: Summary) -> str:
    """Say one figure of one row."""
    return f"A bag takes {summary.value('times_ms.steep.p50', 'bag'):g} ms."


SCENARIO = Scenario(
    name="tea",
    title="Tea: in the bag and loose",
    claim="Loose tea takes longer.",
    unit="cup",
    variants=(Variant("bag", "a bag a cup"), Variant("loose-leaf", "a pot for all")),
    settings=TeaSettings,
    columns=(
        Column("times_ms.steep.p50", "steeping, ms", "ms"),
        Column("figures.spilt", "spilt"),
        Column("figures.never_measured", "never measured"),
        Column("hops.back.opened", "to the kitchen"),
        Column("cpu_us_per_unit.backend", "CPU server, us/cup", "us"),
    ),
    panels=(
        Bars("figures.spilt", "Spilt", "drops a cup"),
        Distribution("steep", "Steeping", "milliseconds"),
        Curves("warmth", "Warmth", "degrees", "seconds", mark="milk_s", marked="milk"),
    ),
    perform=perform,
    conclude=conclude,
    proxy_setup=proxy_setup,
    subjects=("direct", "nginx"),
)


def trial(number: int, variant: str, subject: str = "direct", **changes: Any) -> ScenarioTrial:
    """Return a trial of one way."""
    known: dict[str, Any] = {
        "window_s": 3.0,
        "units": 10,
        "figures": {"spilt": number, "milk_s": 1.5},
        "times_ms": {"steep": Percentiles(100.0 * number, 2.0, 3.0, 4.0, 5.0)},
        "curves": {"warmth": [(0.0, 95.0), (1.0, 90.0), (2.0, 80.5)]},
        "hops": {"front": Hop(10, 10, 1000, 500)},
        "roles": {"client": RoleUsage(0.1, 20.0), "proxy": RoleUsage(), "backend": RoleUsage(0.2, 30.0)},
        "cpu_us_per_unit": {"client": 10.0, "proxy": None, "backend": 20.0},
        "bytes_per_unit": {"front": 150.0},
        "warnings": (TrialWarning("lab", "made up"),),
    }
    return ScenarioTrial(
        trial=number,
        variant=variant,
        subject=SubjectRecord(subject, "-"),
        lab="loopback",
        **{**known, **changes},
    )
