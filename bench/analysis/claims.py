"""What may be said of a trial, of a case and of a run: the one place that decides it. Pure.

Headline, sentence, table, picture, page and exit code all ask here, for runs, incidents, tours and scenarios.
A figure counts, or it is void (it says more about the machine or the generator than about the subject), or
it is mixed (over the moment when half of the ports were used), or it was not measured.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bench.analysis import metrics, stats
from bench.analysis.metrics import Metric
from bench.errors import ExitCode
from bench.runs.record import RunRecord, ScenarioTrial, Trial, TrialRecord
from bench.runs.sweep_trial import case_of
from bench.runs.watch_trial import WatchTrial

DISTURBED = "machine-shared"
"""The warning of a trial that others disturbed: another machine, or another hour, may give a valid one."""
SATURATED = "generator-saturated"
"""The warning of a trial whose load generator was the limit: the plan asks too much of this machine."""
UNSTEADY = "never-steady"
"""The warning of a trial whose rate drifted throughout: it voids nothing, but is said."""
_PORT_CLIFF = "port-cliff"
"""The warning of a trial of a scenario that used half of its ports; one of a run has the moment."""
_EMPTY = "empty-window"
_DRIFT = "clock-drift"
_VOID_TIMES = frozenset({SATURATED, DISTURBED, _EMPTY, _DRIFT})
"""Warnings that void rates and times, but neither counts nor CPU per request."""
_INSTEAD = {
    "requests_per_s": "ports.rate_before",
    "cpu_us_per_request.client": "cpu_us_per_request_before_cliff.client",
    "cpu_us_per_request.proxy": "cpu_us_per_request_before_cliff.proxy",
    "cpu_us_per_request.backend": "cpu_us_per_request_before_cliff.backend",
}
_CAUSES = {
    SATURATED: "the load generator was the limit",
    DISTURBED: "others used the machine",
    _EMPTY: "no request succeeded in the window",
    _DRIFT: "the clock of a machine moved",
    "no-traffic": "no request reached the backend",
    "no-success": "no response was the expected one",
    "mode-not-short": "connections were used again",
    "mode-not-keepalive": "connections were not kept",
    "interrupted": "the trial was interrupted",
    "machine-lost": "a machine was lost",
    "invalid": "the trial is invalid",
    "failed": "requests failed",
    "lost": "messages were lost",
    "browser-lost": "messages to the browser were lost",
    "doubled": "tokens came twice",
    "unseen": "changes were not seen",
}
_OVER_THE_WINDOW = (*_INSTEAD, "latency_ms.", "service_ms.", "connect_ms.", "second_opinion.")
"""Rates, costs and times that depend on when the cliff came, where it lies in the window."""
_OF_SCENARIOS = ("cpu_us_per_unit.", "times_ms.", "figures.cores")
"""The same of scenarios, which have rates of their own as well."""


class Standing(StrEnum):
    """What a figure is worth."""

    COUNTS = "counts"
    VOID = "void"
    MIXED = "mixed"
    """It holds the time before the cliff and after it: a rate, a cost or a time of neither."""
    MISSING = "not measured"


# -- a trial


def void_reasons(trial: TrialRecord) -> frozenset[str]:
    """Return why `trial` does not count: codes of its voiding warnings, or that it was interrupted."""
    codes = {warning.code for warning in trial.warnings if warning.voids}
    if not trial.valid and not codes:
        codes.add("invalid")
    return frozenset(codes | ({"interrupted"} if trial.interrupted else set()))


def counts(trial: TrialRecord) -> bool:
    """Return whether every figure of `trial` counts."""
    return not void_reasons(trial)


def counts_for(trial: TrialRecord, metric: Metric) -> bool:
    """Return whether `trial` counts for `metric`: a busy machine voids rates and times only."""
    reasons = void_reasons(trial)
    stands = not metric.is_timed and reasons <= _VOID_TIMES
    # What became of the ports was measured from the first connect on, whatever came in the window.
    return not reasons or stands or (reasons <= {_EMPTY} and metric.key.startswith("ports."))


def explain(trials: Iterable[TrialRecord]) -> str:
    """Return in half a sentence why `trials` do not count, the most common cause first."""
    found = Counter(reason for trial in trials for reason in sorted(void_reasons(trial)))
    causes = [_CAUSES.get(code, f"the warning `{code}` voids it") for code, _ in found.most_common()]
    return " and ".join(causes)


def is_unsteady(trial: TrialRecord) -> bool:
    """Return whether the rate of `trial` never became steady."""
    return any(warning.code == UNSTEADY for warning in trial.warnings)


def window_s(trial: TrialRecord) -> float:
    """Return how long the window of `trial` was."""
    if isinstance(trial, ScenarioTrial | WatchTrial):
        return trial.window_s
    return trial.duration_s if isinstance(trial, Trial) else 0.0


def crossed_cliff(trial: TrialRecord) -> bool:
    """Return whether half of the ports were used before the window ended."""
    if isinstance(trial, Trial):
        return trial.ports.rate_after is not None
    return any(warning.code == _PORT_CLIFF for warning in trial.warnings)


def _is_over_window(metric: Metric) -> bool:
    """Return whether `metric` is a rate, a cost or a time over the window, of a run or of a scenario."""
    is_rate = metric.key.startswith("figures.") and metric.key.endswith("_per_s")
    return depends_on_cliff(metric) or metric.key.startswith(_OF_SCENARIOS) or is_rate


def depends_on_cliff(metric: Metric) -> bool:
    """Return whether `metric` depends on when a cliff in the window came: nothing to compare trials by."""
    return metric.key.startswith(_OVER_THE_WINDOW)


def instead_of(metric: Metric) -> str | None:
    """Return the metric to take where a cliff lies in the window; None where no single one is."""
    return _INSTEAD.get(metric.key)


def figures(
    metric: Metric, trials: Iterable[TrialRecord], compared: Iterable[TrialRecord]
) -> list[tuple[TrialRecord, float]]:
    """Return each of `trials` that has the figure, with it.

    Of the trials `compared` with each other some may have met the cliff: the rate before it is then the whole
    rate of those that did not.
    """
    is_whole = metric.key == _INSTEAD["requests_per_s"] and any(map(crossed_cliff, compared))
    found = []
    for trial in trials:
        value = metric.of(trial)
        if value is None and is_whole and not crossed_cliff(trial):
            value = metrics.figure(trial, "requests_per_s")
        if value is not None:
            found.append((trial, value))
    return found


# -- a case


@dataclass(frozen=True, slots=True)
class Sample:
    """One metric over the trials of a case."""

    standing: Standing
    values: tuple[float, ...] = ()
    """Those that count; of a void or mixed sample those that do not."""
    is_count: bool = False
    """Whether they count whole things."""

    @property
    def quoted(self) -> tuple[float, ...]:
        """Return the values that may be quoted: none of a void or mixed sample."""
        return self.values if self.standing is Standing.COUNTS else ()

    @property
    def median(self) -> float | None:
        """Return the median that may be quoted; None where there is none."""
        return stats.median(self.quoted, self.is_count) if self.quoted else None


def sample(trials: Sequence[TrialRecord], metric: Metric) -> Sample:
    """Return `metric` over the `trials` of one case, with what it is worth."""
    counted = [trial for trial in trials if counts_for(trial, metric)]
    values = tuple(value for _, value in figures(metric, counted, counted))
    if not values:
        void = tuple(metrics.values(metric, trials))
        return Sample(Standing.VOID if void else Standing.MISSING, void)
    if _is_over_window(metric) and any(map(crossed_cliff, counted)):
        return Sample(Standing.MIXED, values)
    return Sample(Standing.COUNTS, values, metric.is_count)


# -- a run


class RunVerdict(StrEnum):
    """What a run amounts to."""

    VALID = "valid"
    LEFT_OUT = "valid without the disturbed trials"
    TOO_BUSY = "too busy for rates and times"
    INVALID = "invalid"
    EMPTY = "no trial"


_EXIT_CODES = {
    RunVerdict.VALID: ExitCode.OK,
    RunVerdict.LEFT_OUT: ExitCode.OK,
    RunVerdict.TOO_BUSY: ExitCode.CANNOT_TELL,
    RunVerdict.INVALID: ExitCode.FINDINGS,
    RunVerdict.EMPTY: ExitCode.FINDINGS,
}


def judge(run: RunRecord[Any]) -> RunVerdict:
    """Return what `run` amounts to: interrupted trials are neither valid nor a reason against it."""
    finished = [trial for trial in run.trials if not trial.interrupted]
    if not finished:
        return RunVerdict.EMPTY
    reasons = frozenset().union(*map(void_reasons, finished))
    if not reasons:
        return RunVerdict.VALID
    if reasons - {DISTURBED}:
        return RunVerdict.INVALID
    answered = all(any(map(counts, trials)) for trials in cases(finished))
    return RunVerdict.LEFT_OUT if answered else RunVerdict.TOO_BUSY


def exit_code(runs: Iterable[RunRecord[Any]]) -> ExitCode:
    """Return how a command ends that made `runs`: the gravest of what each of them amounts to."""
    codes = {_EXIT_CODES[judge(run)] for run in runs} or {ExitCode.FINDINGS}
    return next(code for code in (ExitCode.FINDINGS, ExitCode.CANNOT_TELL, ExitCode.OK) if code in codes)


def cases(trials: Iterable[TrialRecord]) -> Iterator[list[TrialRecord]]:
    """Yield the trials of each case: one mode, cell or variant on one subject."""
    grouped: dict[tuple[str, str], list[TrialRecord]] = {}
    for trial in trials:
        grouped.setdefault((case_of(trial), trial.subject.name), []).append(trial)
    yield from grouped.values()
