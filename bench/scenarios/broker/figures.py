"""The figures and warnings of a broker trial, from what its clients reported. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from bench.experiment.definition import Figures
from bench.experiment.trial_result import TrialResult
from bench.runs.record import TrialWarning


def compute_figures(result: TrialResult) -> Figures:
    """Return what a trial measured."""
    done = result.done[0]
    delivered = int(done["delivered"])
    return Figures(
        units=delivered,
        figures={
            **{name: done[name] for name in ("published", "delivered", "lost", "doubled", "failed")},
            "pulls": done["pulls"],
            "empty": done["empty"],
            "empty_per_message": done["empty"] / delivered if delivered else None,
            "held": result.held,
        },
        times_us={"delay": dict(done["delay_us"])},
        warnings=list(_warnings(done)),
    )


def _warnings(done: Mapping[str, Any]) -> Iterator[TrialWarning]:
    if done["lost"] or done["doubled"]:
        message = f"{done['lost']:,} messages were lost and {done['doubled']:,} doubled"
        yield TrialWarning("lost", message, "a consumer missed numbers of its queue", voids=True)
    if done["failed"]:
        message = f"{done['failed']:,} pulls or connections failed"
        yield TrialWarning("failed", message, "each was tried again after a second")
