"""The figures and warnings of a tls trial, from what clients and server reported. Pure."""

from collections.abc import Iterator

from bench import units
from bench.experiment.definition import Figures
from bench.experiment.trial_result import TrialResult
from bench.runs.record import TrialWarning
from bench.scenarios.tls.backend import Handshakes


def compute_figures(result: TrialResult, handshakes: Handshakes, has_tls: bool) -> Figures:
    """Return what a trial measured; `handshakes` are those that the server logged."""
    done = result.done[0]
    requests, failed = int(done["requests"]), sum(done["errors"].values())
    return Figures(
        units=requests,
        figures={
            "requests_per_s": requests / result.window_s,
            "failed": failed,
            "full": handshakes.full if has_tls else None,
            "resumed": handshakes.resumed if has_tls else None,
            "server_connections": handshakes.connections,
        },
        warnings=list(_warnings(result, failed, handshakes.connections)),
    )


def _warnings(result: TrialResult, failed: int, logged: int) -> Iterator[TrialWarning]:
    if failed:
        yield TrialWarning("failed", f"{units.plural(failed, 'request')} failed", voids=True)
    counters = result.seen["proxy"].counters
    opened = None if counters is None else counters.active_opens
    if opened is not None and opened != logged:
        message = f"the kernel opened {units.plural(opened, 'connection')}, the server wrote down {logged:,}"
        remedy = "a connection without a request is not written down"
        yield TrialWarning("witnesses-disagree", message, remedy)
