"""The figures and warnings of an http2 trial, from what clients and server reported. Pure."""

from collections.abc import Mapping

from bench.experiment.definition import Figures
from bench.experiment.trial_result import TrialResult
from bench.runs.record import TrialWarning


def compute_figures(result: TrialResult, counted: Mapping[str, int]) -> Figures:
    """Return what a trial measured; `counted` is what the server counted."""
    done = result.done[0]
    requests = int(done["requests"])
    failed = TrialWarning("failed", f"{done['failed']:,} requests failed", voids=True)
    return Figures(
        units=requests,
        figures={
            "requests_per_s": requests / result.window_s,
            "failed": done["failed"],
            "connections": done["connections"],
            "server_connections": counted["accepted"],
            "server_http2_connections": counted["http2"],
            "sent_bytes": _per_request(done.get("sent"), requests),
            "overhead_bytes": _per_request(done.get("overhead"), requests),
        },
        times_us={
            "latency": dict(done.get("latency_us", ())),
            "during_slow": dict(done.get("during_slow_us", ())),
        },
        warnings=[failed] if done["failed"] else [],
    )


def _per_request(total: int | None, requests: int) -> float | None:
    return total / requests if total is not None and requests else None
