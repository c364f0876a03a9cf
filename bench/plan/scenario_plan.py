"""The plan of a scenario's run: its variants, its subjects, and the scenario's own settings. Pure."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.errors import PlanError
from bench.plan import bounds, run_plan, toml


@dataclass(frozen=True, slots=True)
class Case:
    """One variant on one subject: what one trial measures."""

    variant: str
    subject: run_plan.Subject

    @property
    def name(self) -> str:
        """Return how tables call it."""
        return f"{self.variant} {self.subject_name}"

    @property
    def subject_name(self) -> str:
        """Return NAME or NAME@PROGRAM."""
        program = self.subject.program
        return self.subject.name if program is None else f"{self.subject.name}@{program}"


@dataclass(frozen=True, slots=True)
class ScenarioPlan:
    """One run of one scenario; each default is written out."""

    scenario: str
    variants: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    """NAME or NAME@PROGRAM each, as for `bench run --subject`."""
    lab: str = "auto"
    trials: int = 1
    """Trials of each case; they take turns."""
    seed: int | None = None
    """Of the random order of the trials; None: drawn anew."""
    settings: Any = None
    """The scenario's own dataclass of settings."""

    @property
    def cases(self) -> tuple[Case, ...]:
        """Return every variant on every subject, the subjects of one variant side by side."""
        return tuple(Case(variant, subject(name)) for variant in self.variants for name in self.subjects)

    def to_json(self) -> dict[str, Any]:
        """Return the plan as plain values."""
        return dataclasses.asdict(self)


def build(default: ScenarioPlan, settings_kind: type[Any], values: dict[str, Any]) -> ScenarioPlan:
    """Return the checked plan that `values` request over the `default` one, which has every variant.

    PlanError names the key, the value and the remedy.
    """
    settings = toml.section(settings_kind, values.get("settings", {}), "settings")
    rest = {key: value for key, value in values.items() if key not in ("settings", "scenario")}
    above = {key: value for key, value in rest.items() if value not in ((), [])}
    planned = toml.section(ScenarioPlan, {**default.to_json(), **above}, "")
    _check(default, planned)
    settings.check()
    bounds.check_length(
        f"plan: trials = {planned.trials}", planned.trials * len(planned.cases), settings.lasts_s
    )
    return dataclasses.replace(planned, settings=settings)


def subject(name: str) -> run_plan.Subject:
    """Return the subject that NAME or NAME@PROGRAM stands for."""
    bare, _, program = name.partition("@")
    return run_plan.Subject(name=bare, program=program or None)


def _check(default: ScenarioPlan, planned: ScenarioPlan) -> None:
    toml.chosen("lab", planned.lab, run_plan.LABS)
    if planned.trials < 1:
        raise PlanError(f"plan: trials = {planned.trials} must be at least 1")
    if planned.trials > bounds.MOST_TRIALS:
        raise PlanError(f"plan: trials = {planned.trials} is more than {bounds.MOST_TRIALS:,}; lower it")
    if planned.seed is not None and not 1 <= planned.seed <= bounds.MOST_SEED:
        raise PlanError(f"plan: seed = {planned.seed} must be between 1 and {bounds.MOST_SEED:,}")
    _known("variants", planned.variants, default.variants)
    _known("subjects", tuple(name.partition("@")[0] for name in planned.subjects), run_plan.SUBJECTS)


def _known(key: str, given: Sequence[str], known: tuple[str, ...]) -> None:
    for each in given:
        toml.chosen(key, each, known)
    if len(set(given)) < len(given) and key == "variants":
        raise PlanError(f"plan: {key} = {list(given)} names one twice")
