"""What means nothing where half of the ports were passed within a trial, and what to take instead. Pure.

Beyond that point connect() is slower by one or two orders of magnitude: a rate, a time or a cost over a
window that holds both is an average of two different things, and moves with the moment of the cliff.
"""

from collections.abc import Iterable

from bench.analysis import claims
from bench.analysis.metrics import Metric
from bench.runs.record import TrialRecord

_RATE, _COST = "ports.rate_before", "cpu_us_per_request_before_cliff"
_OTHERS = {
    "second_opinion.requests_per_s": _RATE,
    "second_opinion.cpu_us_per_request": f"{_COST}.client",
    "late": "upstream.requests_per_connection",
    "never_started": "upstream.requests_per_connection",
}


def metric_instead(metric: Metric, trials: Iterable[TrialRecord]) -> str | None:
    """Return the metric to take instead of `metric`; None where it means what it says in all `trials`."""
    if not any(map(claims.crossed_cliff, trials)):
        return None
    if (other := claims.instead_of(metric) or _OTHERS.get(metric.key)) is not None:
        return other
    return f"{_COST}.proxy" if claims.depends_on_cliff(metric) else None
