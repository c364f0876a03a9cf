"""Summarize, tabulate and draw the incident: a row for each configuration, a part for each backend."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench import units
from bench.analysis import claims, metrics, stats
from bench.analysis.claims import Sample
from bench.plan.run_plan import IDIOMS, SUBJECTS
from bench.report import sheet
from bench.report.charts import Bar, BarChart, ChartSide
from bench.report.html import Glance, Table
from bench.report.run import text
from bench.report.style import HOLDER_RANKS
from bench.report.text_table import (
    format_number,
    format_numbers,
    format_paths,
    format_table,
    format_warnings,
    wrap,
)
from bench.runs.record import UNSEEN, Run, Trial

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURE = "incident"
_COLUMNS = (
    "requests/s",
    "least to greatest",
    "p99, ms",
    "connections/request",
    "TIME_WAIT proxy",
    "TIME_WAIT backend",
    "invalid",
)
_ON_CLIFF = "requests/s: before half of the ports were used, where a trial used so many."
_ON_INVALID = (
    "rates and latencies of invalid trials are void; connections and TIME_WAIT stand. `bench show` on either"
    " folder says why each trial is invalid."
)
_HOLDERS = {
    "proxy": "the proxy holds TIME_WAIT, and loses a port with each",
    "backend": "the backend holds it",
    "nobody": "nobody does",
    "unseen": "not measured here",
}
_IDIOMS = (
    "nginx: snippet is HTTP/1.1 and no close, without a pool; pool-only is `keepalive N` alone; pool-http11"
    " adds HTTP/1.1 but not the Connection field; small-pool is all of it with too few; full is all of it."
)
_ON_BUILDS = (
    "Each version comes from another maker, with other compiler options: compare the configurations of one"
    " version, not the rates of two."
)
_POOLED = 0.05
"""Connections per request below which a pool works, and TIME_WAIT is what its limits leave behind."""


@dataclass(frozen=True, slots=True)
class SubjectRow:
    """What the trials of one configuration gave: medians, with the least and the greatest rate."""

    name: str
    trials: tuple[Trial, ...]
    rates: Sample
    p99_ms: Sample
    per_request: float
    """Upstream connections per request."""
    proxy_side: float | None
    """TIME_WAIT toward the backend on the proxy's side, and on the backend's; None: not measured."""
    backend_side: float | None

    @property
    def rate(self) -> float | None:
        """Return the median of requests per second, before the cliff where there is one; None: it is void."""
        return self.rates.median

    @property
    def invalid(self) -> int:
        """Return how many trials do not count."""
        return sum(not claims.counts(trial) for trial in self.trials)

    @property
    def holder(self) -> str:
        """Return who holds TIME_WAIT: the side with the most of it."""
        if self.proxy_side is None or self.backend_side is None:
            return "unseen"
        if self.per_request < _POOLED or self.proxy_side == self.backend_side == 0:
            return "nobody"
        return "proxy" if self.proxy_side > self.backend_side else "backend"


def build_rows(run: Run) -> list[SubjectRow]:
    """Return a row for each subject of `run`, by proxy, version and configuration."""
    grouped: dict[str, list[Trial]] = {}
    for trial in sorted(run.trials, key=_rank):
        grouped.setdefault(trial.subject.name, []).append(trial)
    return [_build_row(name, trials) for name, trials in grouped.items()]


def format_title(run: Run) -> str:
    """Return what a run of the incident is."""
    return f"{_count_configurations(run)}; the backend {_describe_close(get_close(run))}"


def _count_configurations(run: Run) -> str:
    return f"{len(run.subjects)} configurations side by side"


def summarize(run: Run) -> str:
    """Return which configurations serve most and least, and where the proxy holds TIME_WAIT."""
    rows = build_rows(run)
    if not rows:
        return "No trial was finished, so there is nothing to tell."
    reusing = sum(row.per_request < _POOLED for row in rows)
    holding = sum(row.holder == "proxy" for row in rows)
    counted = (
        f"{reusing} of {len(rows)} configurations reuse their connections;"
        f" with {holding} the proxy holds TIME_WAIT."
    )
    return f"{_summarize_rates(rows)} {counted}"


def _summarize_rates(rows: Sequence[SubjectRow]) -> str:
    """Return which configurations serve most and least, as far as their rates count."""
    rated = sorted((rate, row) for row in rows if (rate := row.rate) is not None)
    if not rated:
        causes = claims.explain(trial for row in rows for trial in row.trials)
        return f"No rate counts, since {causes}."
    (least, last), (most, first) = rated[0], rated[-1]
    text = f"{first.name} serves most, {units.rate(most)} on {first.per_request:.2g} connections a request"
    if len(rated) > 1:
        text += f"; {last.name} serves least, {units.rate(least)} on {last.per_request:.2g}"
    void = len(rows) - len(rated)
    return f"{text}." + (f" The rates of {void} configurations are void." if void else "")


def _has_builds(run: Run) -> bool:
    """Return whether one proxy is there in several versions."""
    proxies = {(trial.subject.name.partition(" ")[0], trial.subject.version) for trial in run.trials}
    return len({name for name, _ in proxies}) < len(proxies)


def _rank(trial: Trial) -> tuple[int, list[str], int, str]:
    name, version = trial.subject.name, trial.subject.version
    proxy, idiom = name.partition(" ")[0], name.rpartition(" ")[2]
    return _at(SUBJECTS, proxy), version.split("."), _at(IDIOMS, idiom), name


def _at(known: tuple[str, ...], name: str) -> int:
    return known.index(name) if name in known else len(known)


def _build_row(name: str, trials: Sequence[Trial]) -> SubjectRow:
    key = "ports.rate_before" if any(map(claims.crossed_cliff, trials)) else "requests_per_s"
    return SubjectRow(
        name=name,
        trials=tuple(trials),
        rates=claims.sample(trials, metrics.named(key)),
        p99_ms=claims.sample(trials, metrics.named("latency_ms.p99")),
        per_request=statistics.median(
            (trial.upstream.connections_opened or 0) / max(1, trial.upstream.requests_total or 0)
            for trial in trials
        ),
        proxy_side=_median([trial.time_wait_by_hop.get("backend") for trial in trials]),
        backend_side=_median([trial.time_wait.get("backend", UNSEEN).end for trial in trials]),
    )


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return stats.median(known, is_count=True) if known else None


def get_close(run: Run) -> str:
    """Return how the backend of `run` closes (`at-once`, `linger:50ms`)."""
    return str(run.plan["backend"]["close"])


def build_table(run: Run) -> Table:
    """Return the table of one way in which the backend closes."""
    return Table(
        (f"backend closes {get_close(run)}", *_COLUMNS), [_format_cells(row) for row in build_rows(run)]
    )


def format_tables(runs: Sequence[Run]) -> str:
    """Return the tables as text, one for each way in which the backend closes, each with its summary."""
    parts = [f"{format_table(build_table(run))}\n{wrap(summarize(run))}\n" for run in runs]
    if any(claims.crossed_cliff(trial) for run in runs for trial in run.trials):
        parts.append(f"{wrap(_ON_CLIFF)}\n")
    if any(map(_has_builds, runs)):
        parts.append(f"{wrap(_ON_BUILDS)}\n")
    if any(row.invalid for run in runs for row in build_rows(run)):
        parts.append(format_warnings([_ON_INVALID]))
    return "\n".join(parts)


def _format_cells(row: SubjectRow) -> Sequence[str]:
    rates = row.rates.quoted
    return (
        row.name,
        "void" if row.rate is None else f"{row.rate:,.0f}",
        " to ".join(format_numbers((min(rates), max(rates)))) if rates else "-",
        str(row.p99_ms.standing) if row.p99_ms.median is None else format_number(row.p99_ms.median, "ms"),
        f"{row.per_request:.4f}",
        *("-" if held is None else f"{held:,.0f}" for held in (row.proxy_side, row.backend_side)),
        f"{row.invalid} of {len(row.trials)}" if row.invalid else "-",
    )


def format_command(run: Run) -> str:
    """Return the command that measures it again."""
    rounds = max(len(row.trials) for row in build_rows(run))
    return f"bench incident --trials {rounds} --duration {run.plan['load']['duration_s']:g}"


def format_run(run: Run, picture: Path | None = None) -> str:
    """Return what `bench show` prints of one run: its table, its warnings, and where its picture is."""
    warnings = format_warnings(text.summarize_warnings(run))
    return f"{format_tables([run])}{warnings}\n{format_paths(run.directory, picture)}"


def build_bars(runs: Sequence[Run]) -> Glance:
    """Return the rates, a panel for each way in which the backend closes, coloured by who holds TIME_WAIT."""
    parts = [build_rows(run) for run in runs]
    held = {row.holder for shown in parts for row in shown}
    legend = [ChartSide(text, HOLDER_RANKS[holder]) for holder, text in _HOLDERS.items() if holder in held]
    crossed = any(claims.crossed_cliff(trial) for run in runs for trial in run.trials)
    before = " before half of the ports were used" if crossed else ""
    unit = f"requests/s{before}; in brackets: upstream connections per request; colour: who holds TIME_WAIT"
    charts = [
        BarChart(f"The backend {_describe_close(get_close(run))}", unit, list(map(_build_bar, shown)))
        for run, shown in zip(runs, parts, strict=True)
    ]
    return Glance(charts, " ".join(_notes(runs)), legend)


def _notes(runs: Sequence[Run]) -> list[str]:
    return [_IDIOMS, *([_ON_BUILDS] if any(map(_has_builds, runs)) else [])]


def draw(runs: Sequence[Run]) -> "Figure":
    """Return the picture: a panel of bars for each way in which the backend closes."""
    bars = build_bars(runs)
    title = format_title(runs[0]) if len(runs) == 1 else _count_configurations(runs[0])
    return sheet.compose([title], "", None, bars.blocks, small_print=_notes(runs), legend=bars.legend)


def _build_bar(row: SubjectRow) -> Bar:
    values, per_request = row.rates.values, f"({row.per_request:.2g})"
    colour = HOLDER_RANKS[row.holder]
    if not values:
        return Bar(row.name, None, f"- {per_request}", colour=colour)
    rate = "void" if row.rate is None else f"{row.rate:,.0f}"
    middle, span = statistics.median(values), (min(values), max(values))
    return Bar(row.name, middle, f"{rate} {per_request}", *span, colour, is_void=row.rate is None)


def _describe_close(how: str) -> str:
    """Return in words how the backend closes."""
    kind, _, time = how.partition(":")
    return f"lingers for {time} before it closes" if kind == "linger" else "closes at once"
