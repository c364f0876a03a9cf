"""Say in a sentence what a search found: the rate with its interval, or why there is none."""

from collections import Counter

from bench import units
from bench.analysis import objective
from bench.analysis.objective import Objective
from bench.analysis.rate_search import SearchOutcome, Threshold
from bench.errors import ExitCode
from bench.runs.sweep_trial import SweepRun

_METHOD = "Bayesian adaptive threshold, 95 % interval"


def summarize(run: SweepRun) -> str:
    """Return the answer of a search."""
    sought = Objective.of(run.objective)
    found = objective.answer(run)
    required = " and ".join(sought.require)
    return f"{_answer(found, sought, required)} ({format_trial_count(run)})."


def format_trial_count(run: SweepRun) -> str:
    """Return how many trials a search took, and how many of them do not count, and why."""
    required = Objective.of(run.objective).conditions
    reasons = Counter(filter(None, (objective.why_void(trial, required) for trial in run.trials)))
    spent = f"{units.plural(len(run.trials), 'trial')}"
    if not reasons:
        return spent
    return f"{spent}, {reasons.total()} of which do not count: {'; '.join(reasons)}"


def _answer(found: Threshold, sought: Objective, required: str) -> str:
    where = sought.where
    if found.outcome is SearchOutcome.FOUND and found.rate and found.low and found.high:
        return (
            f"The highest rate at which {required} holds is {units.rate(found.rate)}:"
            f" {units.rate(found.low)} to {units.rate(found.high)} ({_METHOD})"
        )
    if found.outcome is SearchOutcome.NEVER:
        return f"{required} does not hold at {units.rate(where.low)} already, the lowest rate; lower --from"
    if found.outcome is SearchOutcome.ALWAYS:
        return f"{required} holds at {units.rate(where.high)} still, the highest rate; raise --to"
    if found.low is not None and found.high is not None:
        return (
            f"The highest rate at which {required} holds cannot be told as closely as --within"
            f" {where.within:g}: it is {units.rate(found.low)} to {units.rate(found.high)} ({_METHOD}); allow"
            " more trials, or longer ones"
        )
    if found.low is not None:
        return f"{required} holds at {units.rate(found.low)}, and nothing is known of higher rates"
    return f"Whether {required} holds at any rate cannot be told"


def exit_code(run: SweepRun) -> ExitCode:
    """Return how the command ends: with no rate it is a finding, or it cannot be told."""
    outcome = objective.answer(run).outcome
    if outcome is SearchOutcome.FOUND:
        return ExitCode.OK
    return ExitCode.FINDINGS if outcome is SearchOutcome.NEVER else ExitCode.CANNOT_TELL
