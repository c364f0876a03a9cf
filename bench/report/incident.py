"""The incident as a table and as a picture: a row for each configuration, a column for each backend."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.record import Run, Trial
from bench.report import grid, pictures
from bench.report.canvas import INK, QUIET, title
from bench.report.figures import number
from bench.report.page import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SIDES = {"proxy": "#D55E00", "backend": "#E69F00", "nobody": "#0072B2"}
"""Who holds TIME_WAIT: the proxy (its ports run out), the backend, nobody."""
_COLUMNS = (
    "requests/s",
    "least to greatest",
    "p99, ms",
    "connections/request",
    "TIME_WAIT proxy",
    "TIME_WAIT backend",
    "invalid",
)
_ON_INVALID = """! rates and latencies of invalid trials are no evidence; connections and TIME_WAIT are.
  `bench show` on either folder says why each trial is invalid.
"""
_HOLDERS = {
    "proxy": "the proxy holds TIME_WAIT, and loses a port with each",
    "backend": "the backend holds it",
    "nobody": "nobody does",
}
_IDIOMS = (
    "nginx: snippet is HTTP/1.1 and no close, without a pool; pool-only is `keepalive N` alone; pool-http11"
    " adds HTTP/1.1 but not the Connection field; small-pool is all of it with too few; full is all of it."
)
_POOLED = 0.05
"""Connections per request below which a pool works, and TIME_WAIT is what its limits leave behind."""


@dataclass(frozen=True, slots=True)
class Row:
    """What the trials of one configuration gave: medians, with the least and the greatest rate."""

    name: str
    rates: tuple[float, ...]
    invalid: int
    """Trials whose mode was not held, or whose times tell more of the machine than of the proxy."""
    p99_ms: float | None
    per_request: float
    """Upstream connections per request."""
    proxy_side: float
    """TIME_WAIT toward the backend on the proxy's side, and on the backend's own."""
    backend_side: float

    @property
    def rate(self) -> float:
        """Return the median of requests per second."""
        return statistics.median(self.rates)

    @property
    def holder(self) -> str:
        """Return who holds TIME_WAIT: the side with the most of it."""
        if self.per_request < _POOLED or self.proxy_side == self.backend_side == 0:
            return "nobody"
        return "proxy" if self.proxy_side > self.backend_side else "backend"


def rows(run: Run) -> list[Row]:
    """Return a row for each subject of `run`, in the order in which they first ran."""
    grouped: dict[str, list[Trial]] = {}
    for trial in run.trials:
        grouped.setdefault(trial.subject.name, []).append(trial)
    return [_row(name, trials) for name, trials in grouped.items()]


def _row(name: str, trials: Sequence[Trial]) -> Row:
    p99s = [trial.latency_ms.p99 for trial in trials if trial.latency_ms.p99 is not None]
    return Row(
        name=name,
        rates=tuple(trial.requests_per_s for trial in trials),
        invalid=sum(not trial.valid for trial in trials),
        p99_ms=statistics.median(p99s) if p99s else None,
        per_request=statistics.median(
            (trial.upstream.connections_opened or 0) / max(1, trial.upstream.requests_total or 0)
            for trial in trials
        ),
        proxy_side=statistics.median(trial.time_wait_by_hop.get("backend", 0) for trial in trials),
        backend_side=statistics.median(trial.time_wait["backend"].end or 0 for trial in trials),
    )


def table(runs: Mapping[str, Run]) -> str:
    """Return the tables as text, one for each way in which the backend closes."""
    parts = [
        grid.draw(Table((f"backend closes {close}", *_COLUMNS), [_cells(row) for row in rows(run)]))
        for close, run in runs.items()
    ]
    if any(row.invalid for run in runs.values() for row in rows(run)):
        parts.append(_ON_INVALID)
    return "\n".join(parts)


def _cells(row: Row) -> Sequence[str]:
    return (
        row.name,
        f"{row.rate:,.0f}",
        f"{number(min(row.rates))} to {number(max(row.rates))}",
        "-" if row.p99_ms is None else number(row.p99_ms, "ms"),
        f"{row.per_request:.4f}",
        f"{row.proxy_side:,.0f}",
        f"{row.backend_side:,.0f}",
        f"{row.invalid} of {len(row.rates)}" if row.invalid else "-",
    )


def save(runs: Mapping[str, Run], stem: Path) -> tuple[Path, Path]:
    """Draw the picture as `stem`.png and `stem`.svg, and return both paths."""
    return pictures.save(lambda: draw(runs), stem)


def draw(runs: Mapping[str, Run]) -> Figure:
    """Return the picture: a panel of bars for each way in which the backend closes."""
    from matplotlib.figure import Figure  # noqa: PLC0415
    from matplotlib.patches import Patch  # noqa: PLC0415

    height = 2.2 + 0.3 * max(len(rows(run)) for run in runs.values())
    figure = Figure(figsize=(14, height), layout="constrained")
    panels = figure.subplots(1, len(runs), sharex=True, sharey=True, squeeze=False)[0]
    for axes, (close, run) in zip(panels, runs.items(), strict=True):
        _draw(axes, close, rows(run))
    panels[0].invert_yaxis()  # the panels share it
    marks = [Patch(color=_SIDES[side], label=said) for side, said in _HOLDERS.items()]
    figure.legend(
        handles=marks, loc="outside lower center", ncols=3, frameon=False, fontsize=9.5, title=_IDIOMS
    )
    return figure


def _said(close: str) -> str:
    """Return in words how the backend closes (`at-once`, `linger:50ms`)."""
    kind, _, time = close.partition(":")
    return f"lingers for {time} before it closes" if kind == "linger" else "closes at once"


def _draw(axes: Axes, close: str, shown: Sequence[Row]) -> None:
    title(
        axes,
        f"The backend {_said(close)}",
        "requests/s; upstream connections per request; who holds TIME_WAIT",
    )
    places = range(len(shown))
    axes.barh(places, [row.rate for row in shown], 0.68, color=[_SIDES[row.holder] for row in shown])
    for place, row in zip(places, shown, strict=True):
        axes.plot([min(row.rates), max(row.rates)], [place, place], color=INK, linewidth=1)
        note = f"  {row.rate:,.0f}   {row.per_request:.2g} per request, {row.holder}"
        axes.text(max(row.rates), place, note, va="center", fontsize=7.5, color=QUIET)
    axes.set_yticks(places, [row.name for row in shown], fontsize=8.5)
    axes.margins(x=0.42)
    axes.set_xlim(left=0)
    axes.spines[["top", "right"]].set_visible(False)
