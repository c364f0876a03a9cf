"""What a search asks of each trial, and what its trials answer. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.analysis import claims, cliff, conditions, metrics, rate_search
from bench.analysis.conditions import REQUIRE, Condition
from bench.analysis.rate_search import Reply, SearchRange, Threshold
from bench.errors import PlanError
from bench.plan.convert import ConvertError, convert
from bench.runs.sweep_trial import SweepRun, SweepTrial

_SERVED = 0.98
"""Of the rate: below it the rate was not sustained, whatever the latency of what was served."""


@dataclass(frozen=True, slots=True)
class Objective:
    """The requirements, all of which must hold, and where to look for the highest rate at which they do."""

    require: tuple[str, ...]
    where: SearchRange

    def to_json(self) -> dict[str, Any]:
        """Return the objective as the header of a run holds it."""
        return {"require": list(self.require), **asdict(self.where)}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Objective":
        """Return the objective that a header holds; PlanError where it is none."""
        try:
            where = convert({key: values.get(key) for key in SearchRange.__slots__}, SearchRange, "objective")
            return cls(convert(values.get("require"), tuple[str, ...], "objective.require"), where)
        except ConvertError as error:
            raise PlanError(str(error)) from error

    @property
    def conditions(self) -> list[Condition]:
        """Return the requirements as conditions on a figure of one trial; PlanError where one is none."""
        return [parse(text) for text in self.require]


def parse(text: str) -> Condition:
    """Return the requirement in `text`; PlanError where it is none, or a ratio to something."""
    condition = conditions.parse(text, REQUIRE, "write METRIC OP VALUE such as 'latency_ms.p99<20'")
    if text.rstrip().endswith("x"):
        raise PlanError(
            f"{REQUIRE} {text!r} is a ratio, and there is nothing to compare with; leave the x out"
        )
    metrics.named(condition.key, metrics.METRICS)
    return condition


def replies(measured: Sequence[SweepTrial], sought: Objective) -> list[Reply]:
    """Return what each trial says of the objective; nothing where it does not count."""
    required = sought.conditions
    return [Reply(float(trial.cell["load.rate"]), holds(trial, required)) for trial in measured]


def holds(trial: SweepTrial, required: Sequence[Condition]) -> bool | None:
    """Return whether a trial sustained its rate and meets every requirement; None where it does not count."""
    if why_void(trial, required):
        return None
    values = [(each, metrics.figure(trial, each.key)) for each in required]
    is_beyond = any(value is not None and each.is_beyond(value, each.value) for each, value in values)
    return _is_sustained(trial) and not is_beyond


def why_void(trial: SweepTrial, required: Sequence[Condition]) -> str:
    """Return why a trial says nothing of what is required, in half a sentence; empty where it does."""
    asked = [metrics.named("requests_per_s"), *(metrics.named(each.key) for each in required)]
    if not all(claims.counts_for(trial, metric) for metric in asked):
        return claims.explain([trial])
    if not _is_sustained(trial):
        return ""
    for each in required:
        if instead := cliff.metric_instead(metrics.named(each.key), [trial]):
            return f"{each.key} means nothing where half of the ports were passed; take {instead}"
        if metrics.figure(trial, each.key) is None:
            return f"{each.key} was not measured"
    return ""


def _is_sustained(trial: SweepTrial) -> bool:
    return trial.requests_per_s >= _SERVED * float(trial.cell["load.rate"])


def answer(run: SweepRun) -> Threshold:
    """Return what a search found."""
    sought = Objective.of(run.objective)
    return rate_search.assess(replies(run.trials, sought), sought.where)
