"""The sides of `bench ab`: plans whose trials take turns. Pure.

Nothing here imports what starts threads: the lab is chosen once the sides are known.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.errors import PlanError
from bench.plan.run_plan import Plan


@dataclass(frozen=True, slots=True)
class AbSide:
    """One plan, and the label of its run."""

    label: str
    plan: Plan


def agreed_trials(given: Sequence[AbSide]) -> int:
    """Return the trials of each mode; PlanError where the plans disagree on their number."""
    trials = {side.plan.trials for side in given}
    if len(trials) > 1:
        counts = ", ".join(f"{side.label}: {side.plan.trials}" for side in given)
        raise PlanError(f"the plans differ in their trials ({counts}); give --trials")
    return trials.pop()
