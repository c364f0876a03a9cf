"""What is known of a trial that lost machines: by what their parts had reported until then. Pure.

A part that does not come back has a result all the same, made of its reports.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from bench.cluster.merge import MachinePart
from bench.cluster.part import PartResult
from bench.cluster.reporter import PartCounts, PartReport
from bench.cluster.shared_window import totals_of
from bench.experiment import summary
from bench.experiment.trial_result import MeterReading, SaturationReading, TrialResult, TrialTimes
from bench.load.counters import ERROR_KINDS
from bench.load.generator import Second, Totals
from bench.observe.host_observer import HostSample, Peaks
from bench.observe.sampler import HostObservation
from bench.observe.tcp_counters import Counters
from bench.runs.record import Trial, TrialWarning

LOST = "machine-lost"
"""The warning of a trial that lost a machine."""
_MOST_NAMES = 4
_NO_COUNTS = PartCounts("-", (1, 0))


def result_of(role: str, times: TrialTimes, reports: Sequence[PartReport]) -> PartResult:
    """Return the result of a part that reported so much and no more; all moments are of its own clock."""
    seconds = tuple(second for report in reports for second in report.seconds)
    samples = tuple(sample for report in reports for sample in report.samples)
    until_ns = max((report.until_ns for report in reports), default=times.start_ns)
    counts = [report.counts for report in reports if report.counts is not None]
    return PartResult(
        result=TrialResult(
            start_ns=times.start_ns,
            first=_reading(role, samples, min(times.window_ns, until_ns)),
            last=_reading(role, samples, until_ns),
            done=(),
            samples=samples,
            seen={role: _observation(role, samples)},
            notes=(),
            observer_cpu_share=0.0,
            interrupted=True,
        ),
        counts=counts[-1] if counts else _NO_COUNTS,
        totals=_totals(times, seconds) if role == "client" else None,
        seconds=seconds,
    )


def known_until_ns(role: str, reports: Sequence[PartReport]) -> int:
    """Return the moment up to which such a part is known, in its own clock; 0 where it reported nothing."""
    if role == "client":
        return max((second.end_ns for report in reports for second in report.seconds), default=0)
    return max((report.until_ns for report in reports), default=0)


def has_seconds(parts: Iterable[MachinePart]) -> bool:
    """Return whether anything was measured of the load."""
    return any(part.result.seconds for part in parts)


def name_others(names: Sequence[str]) -> str:
    """Return in brackets what was lost with the first machine; the rest is counted where there are many."""
    if not names:
        return ""
    shown = (
        [*names[:_MOST_NAMES], f"{len(names) - _MOST_NAMES} others"] if len(names) > _MOST_NAMES else names
    )
    return f" (and with it {', '.join(shown)})"


def mark(trial: Trial, lost: Mapping[str, str]) -> Trial:
    """Return `trial` as one that lost machines, by name and with the reason.

    Other warnings are consequences: counts that were read at different moments, responses that did not come.
    """
    named = "; ".join(f"{name} was lost: {reason}" for name, reason in lost.items())
    warning = TrialWarning(
        LOST, named, "what was measured before is kept; see to the machine, and run again", voids=True
    )
    notes = [each for each in trial.warnings if each.code == "lab"]
    return replace(trial, valid=False, interrupted=False, warnings=(warning, *notes))


def _reading(role: str, samples: Sequence[HostSample], moment_ns: int) -> MeterReading:
    known = [(each.t_ns, each.cpu_s) for each in samples]
    cpu_s = summary.used_at(known, moment_ns) if known else 0.0
    return MeterReading(moment_ns, SaturationReading(moment_ns, (), None), {role: cpu_s}, None, None)


def _observation(role: str, samples: Sequence[HostSample]) -> HostObservation:
    counters = None
    if samples and (last := samples[-1]).active_opens is not None:
        counters = Counters(
            last.active_opens,
            last.passive_opens or 0,
            last.resets or 0,
            last.listen_overflows or 0,
            last.established or 0,
            last.time_wait or 0,
        )
    peaks = Peaks(
        max((sample.time_wait or 0 for sample in samples), default=0),
        max((sample.memory_mib for sample in samples), default=0.0),
    )
    return HostObservation(role, None, counters, peaks)


def _totals(times: TrialTimes, seconds: Sequence[Second]) -> Totals:
    """Return the totals of load workers that told these seconds, and no last event."""
    end_ns = max((second.end_ns for second in seconds), default=times.start_ns)
    whole = Totals(
        interrupted=True,
        first_connect_ns=times.start_ns,
        window_start_ns=times.window_ns,
        window_end_ns=end_ns,
        drained_ns=end_ns,
        requests_total=sum(second.requests for second in seconds),
        opened_total=sum(second.opened for second in seconds),
        errors_total=_errors(seconds),
        requests=0,
        errors=dict.fromkeys(ERROR_KINDS, 0),
        opened=0,
        bytes=0,
        late=0,
        never_started=0,
    )
    return totals_of(whole, seconds, end_ns)


def _errors(seconds: Sequence[Second]) -> dict[str, int]:
    return {kind: sum(second.errors.get(kind, 0) for second in seconds) for kind in ERROR_KINDS}
