"""What became of the trials of a side whose ports ran out: when, and how many requests failed. Pure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from bench.analysis import metrics, stats
from bench.analysis.sides import AnySide
from bench.runs.record import Trial

_PORTS, _ERRORS = metrics.named("ports.used_peak"), metrics.named("errors")
_OF_SERVERS = "5"
"""First digit of the status of a proxy that cannot reach its backend (RFC 9110, section 15.6)."""


@dataclass(frozen=True, slots=True)
class Exhaustion:
    """What is known of the trials in which no port was left."""

    trials: int
    of: int
    """Trials whose ports were counted, with and without one left."""
    after_s: float | None
    """The median of the moments; None where the machine was too busy for times."""
    failed: float
    """Requests of the window that failed: the median over the trials without a port left."""
    status: str = ""
    """The status that most of those were answered with; empty where none of them had an answer."""
    is_only_status: bool = False
    """Whether every one of them was answered with it."""


def find(side: AnySide) -> Exhaustion | None:
    """Return what became of the trials of `side` whose ports ran out; None where those of none did.

    That ports ran out is a count: it stands where others used the machine, and where the window is empty.
    """
    known = side.counted_for(_PORTS)
    trials = [each for each in known if isinstance(each, Trial) and each.ports.exhausted_s is not None]
    if not trials:
        return None
    failed = [_ERRORS.of(trial) or 0.0 for trial in trials]
    status, answered = next(iter(_count_statuses(trials).most_common(1)), ("", 0))
    return Exhaustion(
        len(trials),
        len(known),
        side.sample(metrics.named("ports.exhausted_s")).median,
        stats.median(failed, is_count=True),
        status,
        bool(status) and answered == sum(failed),
    )


def _count_statuses(trials: Iterable[Trial]) -> Counter[str]:
    """Return the responses that were failures, by their status."""
    found: Counter[str] = Counter()
    for trial in trials:
        if trial.errors.get("status"):
            found.update(
                {code: n for code, n in trial.statuses.items() if code.startswith(_OF_SERVERS) and n}
            )
    return found
