"""What is said of a run against a server that ran already: what it is, and what it opens itself. Pure."""

from collections.abc import Iterator
from typing import Any

from bench import units
from bench.analysis import metrics
from bench.analysis.sides import Side, split
from bench.analysis.target import describe_answer, right_statuses
from bench.runs.record import Run, Trial

NOT_MEASURED = "not measured"
ROWS = (
    ("opened behind it, at least", "behind_target.opened_at_least"),
    ("  at most", "behind_target.opened_at_most"),
    ("  per request, at least", "behind_target.per_request"),
)
"""Rows of the result table that only such a run has."""
SHOWN_WITHOUT = frozenset({"behind_target.opened_at_least", "time_wait.proxy.peak", "time_wait.backend.peak"})
"""Metrics whose row stands there also where nothing was measured, and says so."""

_ALWAYS, _NEVER = 0.9, 0.1
"""Connections per request from which a target keeps none of them, and up to which it keeps most."""


def is_target(run: Run) -> bool:
    """Return whether the run is against a server that ran already."""
    subject: dict[str, Any] = run.plan.get("subject", {})
    return subject.get("target") is not None


def name_row(label: str) -> str:
    """Return a label of the result table as such a run calls it: the target is in the place of the proxy."""
    return label.replace("TIME_WAIT backend", "TIME_WAIT behind it").replace("proxy", "target")


def format_target(run: Run) -> str:
    """Return a line with what answered before the first trial; nothing without a target."""
    return (
        ""
        if run.target is None
        else f"target:  {describe_answer(run.target, right_statuses(run.plan['load']))}\n"
    )


def summarize(run: Run) -> Iterator[str]:
    """Yield what the modes of such a run are, and what the target opened itself."""
    sides = split(run)
    yield "new and kept are the clients' own connections: what the target does upstream is its own affair"
    known = [side for side in sides if _median(side, "opened_at_least") is not None]
    if not any(_is_measured(trial) for trial in run.trials):
        yield "its own connections were not measured: it is not on this host, or its processes cannot be read"
    for side in known:
        yield _summarize_behind(side)


def _summarize_behind(side: Side) -> str:
    at_least, at_most = _median(side, "opened_at_least") or 0.0, _median(side, "opened_at_most")
    peers = sorted({peer for trial in side.trials for peer in _peers(trial)})
    if not peers:
        most = "" if at_most is None else f"; the kernel counted {units.count(at_most)} at most on this host"
        return f"with {side.name}, no connection that the target opened was seen{most}"
    bounds = f"at least {units.count(at_least)}"
    if at_most is not None:
        bounds = f"{units.count(at_least)} to {units.count(at_most)}"
    text = f"with {side.name}, the target opened {bounds} connections to {', '.join(peers)}"
    per_request = _median(side, "per_request")
    if per_request is None:
        return text
    if per_request >= _ALWAYS:
        return f"{text}, about one per request: it keeps none of them"
    if per_request <= _NEVER:
        return f"{text}, {per_request:.2g} per request: it keeps them"
    return f"{text}, at least {per_request:.2g} per request"


def _is_measured(trial: Trial) -> bool:
    return trial.behind_target is not None and trial.behind_target.opened_at_least is not None


def _peers(trial: Trial) -> tuple[str, ...]:
    return () if trial.behind_target is None else trial.behind_target.peers or ()


def _median(side: Side, key: str) -> float | None:
    return side.sample(metrics.named(f"behind_target.{key}")).median
