"""The sides of a comparison: cases of runs, matched with each other, and what they differ in. Pure.

A case is a mode of a run (`short`), a variant of a scenario on a subject (`sse@nginx`), or a hop of a watch.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from bench.analysis import claims, recordings
from bench.analysis.claims import Sample
from bench.analysis.metrics import Metric
from bench.errors import PlanError
from bench.plan import toml
from bench.plan.run_plan import Mode, Plan
from bench.runs.record import RunRecord, Trial, TrialRecord
from bench.runs.sweep_trial import case_of
from bench.runs.timeline import Series

_NOT_ASKED = frozenset(
    {
        "plan.mode",
        "plan.trials",
        "plan.seed",
        "plan.variants",
        "plan.subjects",
        "plan.cluster.scheduler",
        "machine.load_average",
        "machine.git.dirty",
    }
)
"""What two runs may differ in although the same thing was measured."""
MACHINE_COUNTS = ("plan.cluster.clients", "plan.cluster.proxies", "plan.cluster.backends")
"""What a plan says of the number of machines."""
_OF_CLUSTERS = (*MACHINE_COUNTS, "plan.cluster.data_interface")
"""What means nothing in a plan for one machine."""

_KINDS = {"scenario": "case", "watch": "hop"}
"""What a case is called, by the kind of its run."""
MOST_CELLS = 6
"""Of a sweep, that are compared where none is named."""

T = TypeVar("T", bound=TrialRecord)


@dataclass(frozen=True)  # no slots: as in RunRecord
class ComparedCase(Generic[T]):
    """One case of one run, under its name in tables and pictures."""

    name: str
    mode: str
    """The mode of the trials; of a scenario, their variant."""
    run: RunRecord[T]
    series: Series = field(default_factory=Series)
    subject: str | None = None
    """Of a scenario: the subject of the trials."""

    @property
    def case(self) -> str:
        """Return what selects the case within its run."""
        return self.mode if self.subject is None else f"{self.mode}@{self.subject}"

    @property
    def trials(self) -> tuple[T, ...]:
        """Return the trials of this case."""
        return tuple(
            trial
            for trial in self.run.trials
            if case_of(trial) == self.mode and self.subject in (None, trial.subject.name)
        )

    @property
    def counted(self) -> tuple[T, ...]:
        """Return the trials whose figures all count."""
        return tuple(filter(claims.counts, self.trials))

    def counted_for(self, metric: Metric) -> tuple[T, ...]:
        """Return the trials that count for `metric`."""
        return tuple(trial for trial in self.trials if claims.counts_for(trial, metric))

    def sample(self, metric: Metric) -> Sample:
        """Return `metric` over the trials, with what it is worth."""
        return claims.sample(self.trials, metric)


Side: TypeAlias = ComparedCase[Trial]
AnySide: TypeAlias = ComparedCase[Any]


class Selected(NamedTuple):
    """A run that is to be compared, and those of its cases that are meant."""

    spec: str
    """As it was given, for errors."""
    sides: tuple[AnySide, ...]
    is_part: bool
    """Whether a case was selected."""


CLIENT_MODES = {Mode.SHORT.value: "new client connections", Mode.KEEPALIVE.value: "kept client connections"}
"""What the modes are called where no proxy of ours is between: they are those of the clients' own hop."""


def label(mode: str, run: RunRecord[Any]) -> str:
    """Return how tables and sentences call the trials of a mode, or of a variant."""
    subject = run.plan.get("subject", {}) if run.kind == "run" else {}
    is_clients_own = subject.get("target") is not None or subject.get("name") == "direct"
    return CLIENT_MODES.get(mode, mode) if is_clients_own else mode


def split(run: RunRecord[T], measured: Series | None = None) -> tuple[ComparedCase[T], ...]:
    """Return the sides of one run, one for each case, in the order of its plan."""
    whole = measured or Series()
    is_scenario = run.kind == "scenario"
    trials = sorted(run.trials, key=partial(rank, run.plan))
    cases = dict.fromkeys((case_of(each), each.subject.name if is_scenario else None) for each in trials)
    sides = (ComparedCase(label(mode, run), mode, run, subject=subject) for mode, subject in cases)
    return tuple(dataclasses.replace(side, series=_of(side, whole)) for side in sides)


def select(spec: str, run: RunRecord[Any], measured: Series, case: str = "") -> Selected:
    """Return the sides of `run` that `case` means: a mode, a variant, VARIANT@SUBJECT, or all if empty."""
    if run.kind == "run" and len(run.subjects) > 1:
        raise PlanError(
            f"{spec}: {len(run.subjects)} subjects, side by side already;"
            f" `bench show {run.directory}` shows them"
        )
    found = split(run, measured)
    chosen = tuple(side for side in found if case in ("", side.mode, side.case))
    if not chosen:
        kind = _KINDS.get(run.kind, "mode")
        *others, last = [side.case for side in found] or ["none"]
        known = f"{', '.join(others)} and {last}" if others else last
        raise PlanError(f"{spec}: no trial of that {kind}; the run has {known}")
    return Selected(spec, chosen, bool(case))


def match(picked: Sequence[Selected]) -> tuple[tuple[AnySide, ...], ...]:
    """Return the comparisons that `picked` make, each of two or more sides.

    One run is compared with itself, mode against mode. Several are compared case by case: one comparison for
    each case that all have; or for each subject, where variants were selected; or else a single one.
    """
    _check_kinds(picked)
    if len(picked) == 1:
        return (_named(_within(picked[0])),)
    runs = [each.sides for each in picked]
    if picked[0].sides[0].run.kind == "watch":
        return tuple(map(_named, _match_recordings(picked)))
    for key in ("case", "subject"):
        matched = _matched(runs, key)
        if matched:
            return tuple(map(_named, matched))
    if picked[0].sides[0].subject is not None and any(len(sides) > 1 for sides in runs):
        raise PlanError("compare: the runs have no case in common; select one of each: RUN:VARIANT@SUBJECT")
    return (_named(tuple(side for sides in runs for side in sides)),)


def differences(sides: Sequence[AnySide]) -> dict[str, tuple[Any, ...]]:
    """Return what the sides differ in, key -> value of each side: case, plan, machine and subject.

    Where a side ran on several machines, they are compared in bench/analysis/machine_differences.py instead.
    """
    described = [_described(side) for side in sides]
    keys = dict.fromkeys(key for values in described for key in values)
    rows = {key: tuple(values.get(key) for values in described) for key in keys}
    if len({side.mode for side in sides}) > 1 or sides[0].mode == Mode.KEEPALIVE:
        rows.pop("plan.closes_first", None)  # a pooled connection is closed first by neither side
    if len({side.subject for side in sides}) > 1:
        rows.pop("subject.version", None)
    are_clusters = [bool(side.run.machines) for side in sides]
    if any(are_clusters):
        apart = ("machine.",) if all(are_clusters) else ("machine.", *_OF_CLUSTERS)
        rows = {key: row for key, row in rows.items() if not key.startswith(apart)}
    return {key: row for key, row in rows.items() if any(value != row[0] for value in row)}


def are_interleaved(first: AnySide, later: AnySide) -> bool:
    """Return whether the trials of two sides were run in the same blocks."""
    if first.run is later.run or first.run.directory == later.run.directory is not None:
        return first.case != later.case
    return first.run.interleaved is not None and first.run.interleaved == later.run.interleaved


def rank(plan: Mapping[str, Any], trial: TrialRecord) -> tuple[int, int, int]:
    """Return the place of a trial by the order of its plan: the one in which trials ran is random."""
    variant = _index([*plan.get("variants", ()), *Mode], case_of(trial))
    return variant, _index(plan.get("subjects", ()), trial.subject.name), trial.trial


def _index(values: Sequence[str], value: str) -> int:
    return values.index(value) if value in values else len(values)


def _of(side: AnySide, whole: Series) -> Series:
    """Return the rows of `whole` that are of the trials of `side`."""
    trials = {trial.trial for trial in side.trials}
    return Series(
        tuple(moment for moment in whole.moments if moment.trial in trials),
        tuple(latencies for latencies in whole.latencies if latencies.trial in trials),
        whole.damage,
    )


def _check_kinds(picked: Sequence[Selected]) -> None:
    """Raise PlanError where the runs are not all of one kind and one scenario."""
    kinds: dict[str, str] = {}
    for spec, sides, _ in picked:
        kinds.setdefault(_describe_kind(sides[0].run), spec)
    if len(kinds) > 1:
        each = ", ".join(f"{spec} is a run of {kind}" for kind, spec in kinds.items())
        raise PlanError(f"compare: {each}; runs of one kind have figures in common")


def _describe_kind(run: RunRecord[Any]) -> str:
    """Return what has figures in common with other runs of the same."""
    if run.kind == "watch":
        return "a watch"
    return f"the scenario {run.scenario}" if run.kind == "scenario" else "the load generator"


def _match_recordings(picked: Sequence[Selected]) -> list[tuple[AnySide, ...]]:
    """Return a side of each recording for each hop that is compared; PlanError where none is in all."""
    runs = [each.sides for each in picked]
    if all(len(sides) == 1 for sides in runs):
        return [tuple(sides[0] for sides in runs)]
    found = _matched(runs, "case")
    if not any(each.is_part for each in picked):
        chosen = recordings.choose_hops([sides[0].run for sides in runs])
        found = [sides for sides in found if sides[0].case in chosen]
    if not found:
        specs = " and ".join(each.spec for each in picked)
        raise PlanError(f"compare: {specs} have no hop in common; select one of each: RUN:HOP")
    return found


def _within(picked: Selected) -> tuple[AnySide, ...]:
    """Return the sides of one run that are compared with each other."""
    spec, sides, is_part = picked
    if sides[0].run.kind == "watch":
        raise PlanError(f"{spec}: name a second recording to compare it with")
    is_scenario = sides[0].subject is not None
    if is_scenario and not is_part:
        raise PlanError(f"{spec}: name a second run, or two of its cases: RUN:VARIANT or RUN:VARIANT@SUBJECT")
    if sides[0].run.kind == "sweep" and not is_part and len(sides) > MOST_CELLS:
        names = " ".join(f"{spec}:{side.case}" for side in (sides[0], sides[-1]))
        raise PlanError(f"{spec}: it has {len(sides)} cells; name those to compare: {names}")
    if len(sides) < 2:
        kind = "case" if is_scenario else "mode"
        raise PlanError(f"{spec}: one {kind} only; name a second run to compare it with")
    return sides


def _matched(runs: Sequence[tuple[AnySide, ...]], key: str) -> list[tuple[AnySide, ...]]:
    """Return a side of each run for each `key` that all have once; none where a key is there twice."""
    keyed = [{getattr(side, key): side for side in sides} for sides in runs]
    if any(len(by_key) < len(sides) for by_key, sides in zip(keyed, runs, strict=True)):
        return []
    shared = [name for name in keyed[0] if name is not None and all(name in by_key for by_key in keyed)]
    return [tuple(by_key[name] for by_key in keyed) for name in shared]


def _named(sides: tuple[AnySide, ...]) -> tuple[AnySide, ...]:
    """Name the sides after their mode, their subject, the one thing that differs, or else A, B, C."""
    by_case = (
        [label(side.mode, side.run) for side in sides],
        [side.subject or "" for side in sides],
        [s.case for s in sides],
        [Path(str(side.run.directory)).name if side.run.kind == "watch" else "" for side in sides],
    )
    for names in (*by_case, _one_difference(sides)):
        if len(set(names)) == len(sides):
            break
    else:
        names = [chr(ord("A") + index) for index in range(len(sides))]
    return tuple(dataclasses.replace(side, name=name) for side, name in zip(sides, names, strict=True))


def _one_difference(sides: Sequence[AnySide]) -> list[str]:
    """Return the one value of the plan that differs, of each side; nothing where there is not just one."""
    different = {key: row for key, row in differences(sides).items() if key.startswith("plan.")}
    if len(different) != 1:
        return []
    ((key, row),) = different.items()
    word = key.rpartition(".")[2].replace("_", " ")
    return [str(value) if isinstance(value, str) else f"{value} {word}" for value in row]


def _described(side: AnySide) -> dict[str, Any]:
    flat: dict[str, Any] = {"mode": side.mode, "subject": side.subject}
    # What a plan could not say yet when it was written was as it is by default now.
    is_own = side.run.kind in ("scenario", "watch")
    plan = side.run.plan if is_own else toml.merge(Plan().to_json(), side.run.plan)
    _flatten("plan", plan, flat)
    _flatten("machine", side.run.machine, flat)
    versions = {trial.subject.version for trial in side.trials}
    flat["subject.version"] = ", ".join(sorted(versions))
    flat["lab"] = ", ".join(sorted({trial.lab for trial in side.trials}))
    return {key: value for key, value in flat.items() if key not in _NOT_ASKED}


def _flatten(path: str, values: Any, flat: dict[str, Any]) -> None:
    if isinstance(values, dict):
        for key, value in values.items():
            _flatten(f"{path}.{key}", value, flat)
    else:
        flat[path] = values
