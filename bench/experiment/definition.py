"""What a scenario is: the variants of one thing, what a trial of each measures, and how it is shown.

Values and the types of functions; a trial runs in testbed.py, which scenarios there are is in catalogue.py.
"""

import dataclasses
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.errors import PlanError
from bench.lab.hosts import LabRequest
from bench.plan import bounds, run_plan, scenario_plan
from bench.plan.scenario_plan import Case, ScenarioPlan
from bench.runs.record import TrialWarning

if TYPE_CHECKING:
    from bench.analysis.cases import Summary
    from bench.experiment.environments import Environment
    from bench.experiment.proxy_setup import ProxySetup
    from bench.experiment.testbed import Testbed

_LARGEST_BYTES = 1 << 30
"""Of anything that a process of a scenario holds in its memory."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a scenario lets be set, each with its default; a scenario's own settings extend it."""

    def check(self) -> None:
        """Raise PlanError where a value makes no sense.

        By a field's metadata a number is `least` or more, by default above 0, and `most` or less, by default
        what `_most` says; a text is one of `choices`.
        """
        for each in dataclasses.fields(self):
            value, name = getattr(self, each.name), f"plan: settings.{each.name}"
            choices = each.metadata.get("choices")
            if choices is not None and value not in choices:
                raise PlanError(f"{name} = {value!r} is not one of {', '.join(choices)}")
            if isinstance(value, int | float) and not isinstance(value, bool):
                most = each.metadata.get("most", _most(each.name))
                _check_number(name, value, each.metadata.get("least"), most)

    @property
    def lasts_s(self) -> float:
        """Return how long a trial lasts, about."""
        parts = (getattr(self, name, 0.0) for name in ("warmup_s", "duration_s", "watch_s"))
        return float(sum(parts))


def _most(name: str) -> float:
    """Return the most that a setting may be, by the unit in its name."""
    by_unit = {
        "_per_s": bounds.MOST_PER_S,
        "_s": bounds.LONGEST_S,
        "_ms": bounds.LONGEST_S * 1000,
        "_bytes": _LARGEST_BYTES,
        "rate": bounds.MOST_PER_S,
    }
    return next((most for unit, most in by_unit.items() if name.endswith(unit)), bounds.MOST_CONNECTIONS)


def _check_number(name: str, value: float, least: float | None, most: float) -> None:
    is_low = value < bounds.SHORTEST_S if least is None else value < least
    if is_low or bounds.is_negative(value):
        bound = "above 0" if least is None else f"{least} or more"
        least_above = f" ({bounds.SHORTEST_S:g} at the least)" if least is None and value > 0 else ""
        raise PlanError(f"{name} = {value:g} must be {bound}{least_above}")
    if value > most:
        raise PlanError(f"{name} = {value:,.15g} is more than {most:,.15g}; lower it")


@dataclass(frozen=True, slots=True)
class Need:
    """A package that a variant needs, and our extra that installs it."""

    module: str
    extra: str

    @property
    def is_met(self) -> bool:
        """Return whether it is installed."""
        return importlib.util.find_spec(self.module) is not None

    @property
    def label(self) -> str:
        """Return what is needed."""
        return self.module

    @property
    def remedy(self) -> str:
        """Return the one command that installs it."""
        return f"pip install '.[{self.extra}]'"


@dataclass(frozen=True, slots=True)
class Variant:
    """One variant of what the scenario is about."""

    name: str
    summary: str
    """What it is, in half a sentence."""
    needs: "tuple[Need | Environment, ...]" = ()
    illustrates: str = ""
    """The product whose own client it shows, without a proxy: not comparable, and in no picture."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What a trial measured besides what the harness observes by itself."""

    units: int
    """How many of the scenario's unit were done in the window: what CPU and bytes are divided by."""
    figures: Mapping[str, float | int | None] = field(default_factory=dict)
    times_us: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    """Sparse histograms: microseconds -> count."""
    curves: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)
    warnings: Sequence[TrialWarning] = ()
    is_paced: bool = False
    """Whether the clients only wait for what comes at its own pace: a busy machine then makes it late, which
    shows in the times, and voids nothing."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table: where its figure stands in a trial (keys joined by dots), and its title."""

    key: str
    title: str
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Bars:
    """A panel of bars, one for each case."""

    key: str
    title: str
    subtitle: str
    """What is measured, with its unit."""
    unit: str = ""
    log: bool = False


@dataclass(frozen=True, slots=True)
class Curves:
    """A panel of lines, one for each case: `curves.NAME` of a trial."""

    curve: str
    title: str
    subtitle: str
    x: str
    step: bool = False
    log: bool = False
    """Both axes by powers of ten."""
    mark: str | None = None
    """A figure (of `figures`) whose moment on the x axis is marked; `marked` is its label."""
    marked: str = ""
    subjects: tuple[str, ...] = ()
    """Only these, where there are any in the run; none: all."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """A panel of a distribution of times by percentile, a line for each case."""

    times: str
    title: str
    subtitle: str


Panel = Bars | Curves | Distribution
Perform = Callable[["Testbed", Case, Any], Figures]
"""Run one trial on the testbed; RoleError where a role does not come up."""
Conclude = Callable[["Summary"], str]
"""Return what the run shows, in one plain sentence, from what was measured."""
ProxySetupOf = Callable[[Case, Any], "ProxySetup"]
"""Return what a case needs its proxy to do."""
Refuse = Callable[[Case, Any], str | None]
"""Return why a case cannot be measured, in half a sentence; None where it can. What a proxy
cannot do is not among the reasons: its adapter gives those."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario: all that the harness, the tables and the pictures need to know of it."""

    name: str
    title: str
    claim: str
    """A common belief, which is put to the test here: one sentence."""
    unit: str
    """What is counted, in the singular: `delivered message`."""
    variants: tuple[Variant, ...]
    settings: type[Settings]
    columns: tuple[Column, ...]
    panels: tuple[Panel, ...]
    perform: Perform
    conclude: Conclude
    proxy_setup: ProxySetupOf
    refuse: Refuse = field(default=lambda _case, _settings: None)
    lab_request: Callable[[Case, Any], LabRequest] = field(default=lambda _case, _settings: LabRequest())
    """Return what a case needs of its lab; by default nothing more than it has anyhow."""
    subjects: tuple[str, ...] = run_plan.SUBJECTS
    """Those that have a part in it."""
    unfit: str = "has no part in this scenario"
    """Why the others have none, in half a sentence."""
    default_subjects: tuple[str, ...] = ("direct", "nginx")
    brief: Mapping[str, Any] = field(default_factory=dict)
    """The plan of the short form that `bench tour` runs: its variants, subjects and settings."""

    def variant(self, name: str) -> Variant:
        """Return the variant called `name`."""
        return next(variant for variant in self.variants if variant.name == name)

    def plan(self, values: dict[str, Any]) -> ScenarioPlan:
        """Return the checked plan that `values` request; PlanError names key, value and remedy."""
        variants = tuple(variant.name for variant in self.variants)
        default = ScenarioPlan(self.name, variants, self.default_subjects)
        return scenario_plan.build(default, self.settings, values)
