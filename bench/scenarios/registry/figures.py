"""The figures and warnings of a registry trial, from what its members reported. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench import units
from bench.experiment.definition import Figures
from bench.experiment.trial_result import TrialResult
from bench.runs.record import TrialWarning
from bench.scenarios.registry.settings import JoinStep, RegistrySettings

_COUNTED = ("beats", "late", "polls", "changes", "unseen", "reconnects", "false_dead")
_ERRORS = ("connect", "address_exhausted", "reset")
_TIMES = ("beat", "newcomer_seen", "death_known", "death_seen")
_LATE_SHARE = 0.01


def compute_figures(
    result: TrialResult, settings: RegistrySettings, steps: Sequence[JoinStep] = ()
) -> Figures:
    """Return what a trial measured, whose instances joined in `steps`."""
    done = result.done[0]
    beats = int(done["beats"])
    due_per_s = settings.instances / settings.beat_every_s
    return Figures(
        units=beats,
        figures={
            "instances": settings.instances,
            "cores": result.spent_s("backend") / beats * due_per_s if beats else None,
            **{name: done[name] for name in _COUNTED},
            "failed": sum(done["errors"].values()),
            **{kind: done["errors"].get(kind, 0) for kind in _ERRORS},
            "held": result.held,
        },
        times_us={name: dict(done[f"{name}_us"]) for name in _TIMES},
        curves={"cores": list(_cores(result, steps, settings.beat_every_s))},
        warnings=list(_warnings(done)),
    )


def _cores(
    result: TrialResult, steps: Sequence[JoinStep], beat_every_s: float
) -> Iterator[tuple[float, float]]:
    """Yield for each step how many cores the registry took while every instance beat once."""
    samples = [sample for sample in result.samples if sample.host == "backend"]
    if not samples:
        return  # interrupted before the first sample
    for step in steps:
        first, last = (
            min(samples, key=lambda sample: abs(sample.t_ns - result.start_ns - round(at_s * 1e9)))
            for at_s in (step.steady_s, step.steady_s + beat_every_s)
        )
        spent_ns = last.t_ns - first.t_ns
        if spent_ns > 0:
            yield float(step.instances), (last.cpu_s - first.cpu_s) / (spent_ns / 1e9)


def _warnings(done: Mapping[str, Any]) -> Iterator[TrialWarning]:
    errors, false_dead = done["errors"], done["false_dead"]
    if done["unseen"]:
        message = f"{done['unseen']:,} changes had not been seen by a subscriber when the trial ended"
        is_unexplained = not errors and not false_dead
        yield TrialWarning("unseen", message, "beats that failed may be why", voids=is_unexplained)
    if false_dead:
        message = f"living instances were taken for dead {units.plural(false_dead, 'time')}"
        remedy = "their beats came too late: see the ports and the CPU of the clients"
        yield TrialWarning("false-dead", message, remedy)
    failed = sum(errors.values())
    if failed:
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in errors.items())
        message = f"{failed:,} beats or polls failed: {kinds}"
        yield TrialWarning("failed", message, "an instance that cannot beat is taken for dead")
    if done["late"] > _LATE_SHARE * (done["beats"] + done["late"]):
        message = f"{done['late']:,} beats were still under way when the next was due"
        yield TrialWarning("late", message, "someone is too slow")
