"""How a command that has measured answers: what it compared, what was required, and why it ended early."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.commands import printing
from bench.errors import ExitCode

if TYPE_CHECKING:
    from bench.analysis.compare import Comparison
    from bench.analysis.conditions import Judged
    from bench.experiment.stopping import Stopping
    from bench.runs.record import RunRecord

KEY_ROWS = (
    "requests_per_s",
    "ports.rate_before",
    "latency_ms.p50",
    "latency_ms.p99",
    "upstream.requests_per_connection",
    "time_wait.proxy.peak",
    "cpu_us_per_request.proxy",
    "cpu_us_per_request_before_cliff.proxy",
    "errors",
)
"""What a run answers by itself; `bench compare` has the rest."""


class Answers:
    """What runs that were made together say, under the rules that they were made by."""

    def __init__(self, runs: "Sequence[RunRecord[Any]]", stopping: "Stopping") -> None:
        from bench.analysis import compare, conditions
        from bench.experiment.stopping import groups_of

        measured = [run for run in runs if run.trials]
        groups = groups_of(measured) if len(measured) == len(runs) else []
        self._stopping = stopping
        self._is_cut = any(run.interrupted or run.problem is not None for run in runs)
        self._compared = [compare.compare(group, stopping.known) for group in groups]
        self._judged = conditions.judge(stopping.required, *self._compared)

    @property
    def compared(self) -> "Sequence[Comparison]":
        """Return the comparisons of two sides or more."""
        return [one for one in self._compared if len(one.sides) > 1]

    @property
    def judged(self) -> "Sequence[Judged]":
        """Return the verdicts on what is required."""
        return self._judged

    @property
    def exit_code(self) -> ExitCode:
        """Return how the command ends, as far as what is required decides it."""
        from bench.analysis import conditions

        if self._stopping.required and not self._judged:
            return ExitCode.CANNOT_TELL
        code = conditions.exit_code(self._judged)
        is_unmet = self._stopping.until is not None and not self._stopping.is_narrow
        return ExitCode.CANNOT_TELL if is_unmet and code is ExitCode.OK else code

    def end_after(self, measured: ExitCode) -> ExitCode:
        """Return how the command ends whose runs amount to `measured`.

        Where all that is required holds, it does not matter that a busy machine left other figures open.
        """
        answered = self.exit_code
        is_met = bool(self._judged) and answered is ExitCode.OK
        return answered if is_met and measured is ExitCode.CANNOT_TELL else _worse(measured, answered)

    @property
    def ended(self) -> str | None:
        """Return why the trials ended before the last; None where they did not."""
        return self._stopping.reason or None

    def print(self, keys: Sequence[str] = ()) -> None:
        """Print the comparisons, only the rows of `keys` where there are any, and the verdicts."""
        from bench.report import comparison as report

        if self.compared:
            printing.echo("\n" + report.text(self.compared, keys), nl=False)
        if self._stopping.reason:
            printing.echo(f"ended:   {self._stopping.reason}")
        elif self._stopping.until is not None:
            when = "before" if self._is_cut else "after"
            printing.echo(f"ended:   {when} the last trial; the interval is not as narrow as --until asks")
        printing.echo(report.format_verdicts(self._judged), nl=False)

    def print_unmet(self) -> None:
        """Print on stderr the verdicts on what does not hold, or cannot be told to."""
        from bench.analysis.conditions import Verdict

        for each in self._judged:
            if each.verdict is not Verdict.PASSED:
                printing.echo_error(each)


def _worse(first: ExitCode, second: ExitCode) -> ExitCode:
    """Return the graver of two ends: a failure, then that nothing can be told."""
    order = (ExitCode.FINDINGS, ExitCode.CANNOT_TELL)
    return next((code for code in order if code in (first, second)), ExitCode.OK)
