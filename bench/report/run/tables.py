"""Build the tables of a run: which rows and which figures. Draws nothing."""

from collections.abc import Iterable, Sequence

from bench.analysis import claims, metrics, stats
from bench.analysis.claims import Standing
from bench.analysis.metrics import Metric
from bench.analysis.sides import Side, label, split
from bench.report.html import Table
from bench.report.run import finding, target
from bench.report.text_table import format_sample, format_spread
from bench.runs.record import Run, Trial

_SECOND = "second opinion"
# (row of the result table, metric); rows that no trial has a figure for are left out
_ROWS = (
    ("requests/s", "requests_per_s"),
    ("  before half of the ports", "ports.rate_before"),
    ("  after it", "ports.rate_after"),
    ("latency p50, ms", "latency_ms.p50"),
    ("latency p99, ms", "latency_ms.p99"),
    ("latency p99.9, ms", "latency_ms.p99_9"),
    ("TLS handshakes, full", "tls.full"),
    ("  resumed", "tls.resumed"),
    ("  handshake p50, ms", "tls.handshake_ms.p50"),
    ("upstream connections", "upstream.connections_opened"),
    ("requests per connection", "upstream.requests_per_connection"),
    ("  ended by the backend", "upstream.lost"),
    *target.ROWS,
    ("half of the ports used, s", "ports.half_range_passed_s"),
    ("ports exhausted, s", "ports.exhausted_s"),
    ("ports used, peak", "ports.used_peak"),
    ("TIME_WAIT client, peak", "time_wait.client.peak"),
    ("TIME_WAIT proxy, peak", "time_wait.proxy.peak"),
    ("TIME_WAIT backend, peak", "time_wait.backend.peak"),
    ("CPU client, us/request", "cpu_us_per_request.client"),
    ("CPU proxy, us/request", "cpu_us_per_request.proxy"),
    ("CPU backend, us/request", "cpu_us_per_request.backend"),
    ("memory proxy, MiB", "memory_mib.proxy"),
    (f"{_SECOND}, requests/s", "second_opinion.requests_per_s"),
    ("  CPU client, us/request", "second_opinion.cpu_us_per_request"),
    ("errors", "errors"),
    ("sent/s", "sent_per_s"),
    ("  after they were due, p99, ms", "pacing_ms.p99"),
    ("  no connection free", "queued"),
    ("late", "late"),
    ("never started", "never_started"),
)
_STATUSES = Metric("statuses", "")
_HIDDEN_AT_ZERO = frozenset(
    {"upstream.lost", "late", "queued", "never_started", "time_wait.client.peak", "ports.used_peak"}
)
ONLY_WITH_CLIFF = "cpu_us_per_request_before_cliff"
_CPU, _CPU_BEFORE = "cpu_us_per_request.", f"{ONLY_WITH_CLIFF}."
# (column of the table of trials, metric)
_COLUMNS = (
    ("requests/s", "requests_per_s"),
    ("before half of the ports", "ports.rate_before"),
    ("after it", "ports.rate_after"),
    ("p50, ms", "latency_ms.p50"),
    ("p99, ms", "latency_ms.p99"),
    ("requests", "upstream.requests_total"),
    ("connections", "upstream.connections_opened"),
    ("per connection", "upstream.requests_per_connection"),
    ("half of the ports, s", "ports.half_range_passed_s"),
    ("TIME_WAIT proxy", "time_wait.proxy.peak"),
    ("TIME_WAIT backend", "time_wait.backend.peak"),
    ("CPU proxy, us/request", "cpu_us_per_request.proxy"),
    ("errors", "errors"),
)


def build_result_table(run: Run) -> Table:
    """Return the medians of each mode over its counted trials, with the least and the greatest."""
    sides = split(run)
    cliff = any(map(finding.has_cliff, sides))
    rows = []
    is_target = target.is_target(run)
    for title, key in map(_before_cliff, _ROWS) if cliff else _ROWS:
        samples = [finding.get_sample(side, key) for side in sides]
        hidden = key in _HIDDEN_AT_ZERO and not any(any(sample.values) for sample in samples)
        is_measured = any(sample.standing is not Standing.MISSING for sample in samples)
        if is_measured and not hidden:
            named = title.replace(_SECOND, f"{_SECOND} ({name_tools(run.trials)})")
            named = target.name_row(named) if is_target else named
            rows.append((named, *(format_sample(sample, metrics.named(key).unit) for sample in samples)))
        elif is_target and key in target.SHOWN_WITHOUT:
            rows.append((target.name_row(title), *(target.NOT_MEASURED for _ in sides)))
    rows += _build_status_rows(sides)
    return Table(("", *(f"{side.name} ({format_trial_count(side)})" for side in sides)), rows)


def _build_status_rows(sides: Sequence[Side]) -> list[tuple[str, ...]]:
    """Return a row for each status of a response; none where there was no other than 200."""
    statuses = {status for side in sides for trial in side.trials for status in trial.statuses}
    if statuses <= {"200"}:
        return []
    return [
        (f"responses of status {status}", *(_count_status(side, status) for side in sides))
        for status in sorted(statuses)
    ]


def _count_status(side: Side, status: str) -> str:
    counts = [trial.statuses.get(status, 0) for trial in side.counted_for(_STATUSES)]
    return (
        format_spread(stats.median(counts, is_count=True), min(counts), max(counts), "") if counts else "void"
    )


def _before_cliff(row: tuple[str, str]) -> tuple[str, str]:
    """Return a row of CPU per request as that before the cliff: over it, the average means nothing."""
    title, key = row
    if not key.startswith(_CPU):
        return row
    return title.replace(", us/request", " before cliff, us"), key.replace(_CPU, _CPU_BEFORE)


def name_tools(trials: Iterable[Trial]) -> str:
    """Return the tools that gave `trials` a second opinion."""
    opinions = (trial.second_opinion for trial in trials)
    return " and ".join(dict.fromkeys(opinion.tool for opinion in opinions if opinion is not None))


def build_trial_table(run: Run) -> Table:
    """Return a row for each trial, as it was measured, and how each witness counted its connections."""
    has_cliff = any(map(claims.crossed_cliff, run.trials))
    shown = [
        (title, metric)
        for title, key in (map(_before_cliff, _COLUMNS) if has_cliff else _COLUMNS)
        if any(map((metric := metrics.named(key)).of, run.trials)) or key == "errors"
    ]
    rows = [
        (_name(trial, run), *(_format_metric(metric, trial) for _, metric in shown), _format_witnesses(trial))
        for trial in run.trials
    ]
    return Table(("trial", *(title for title, _ in shown), "witnesses"), rows)


def format_trial_count(side: Side) -> str:
    """Return how many trials of a side there are, and how many of them count."""
    counted, total = len(side.counted), len(side.trials)
    label = f"{total} {name_trials(side)[total != 1]}"
    return label if counted == total else f"{counted} of {label}"


def name_trials(side: Side) -> tuple[str, str]:
    """Return what one trial of a side is called, and several: a recording is cut into stretches."""
    return ("stretch", "stretches") if side.run.kind == "watch" else ("trial", "trials")


def _format_metric(metric: Metric, trial: Trial) -> str:
    return format_sample(claims.sample([trial], metric), metric.unit)


def _name(trial: Trial, run: Run) -> str:
    state = "" if trial.valid else ", invalid"
    return f"{trial.trial} {label(trial.mode, run)}{', interrupted' if trial.interrupted else state}"


def _format_witnesses(trial: Trial) -> str:
    counts = trial.upstream.witnesses.counts()
    if len(set(counts.values())) == 1:
        return f"{len(counts)} agree" if len(counts) > 1 else f"{next(iter(counts))} alone"
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "none"
