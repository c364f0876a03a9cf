"""The result of a part without what its reports have told already: it is sent once. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.cluster.part import PartResult
from bench.cluster.reporter import PartReport


@dataclass(frozen=True, slots=True)
class ReportedResult:
    """A result whose seconds and samples are those of its reports."""

    rest: PartResult
    """All else."""
    reports: int
    """How many reports there are."""


def without_reported(result: PartResult, reports: int) -> ReportedResult:
    """Return a result without what its `reports` have told."""
    return ReportedResult(replace(result, result=replace(result.result, samples=()), seconds=()), reports)


def complete(result: ReportedResult, reports: Sequence[PartReport]) -> PartResult:
    """Return a result with what its reports told; where some are missing, with that of the others."""
    rest = result.rest
    samples = tuple(sample for report in reports for sample in report.samples)
    seconds = tuple(second for report in reports for second in report.seconds)
    return replace(rest, result=replace(rest.result, samples=samples), seconds=seconds)
