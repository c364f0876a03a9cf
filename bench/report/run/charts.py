"""Build the charts of a run's page: what it comes to at a glance, and what happened along its time."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from bench.analysis import metrics, stats
from bench.analysis.claims import Standing
from bench.analysis.sides import Side
from bench.report.charts import MOST_TRIALS, Bar, BarChart, Chart, Charts, ChartSide, Line, Mark, explain_bars
from bench.report.html import Glance
from bench.report.run import finding, series, target
from bench.report.style import HOSTS, ColouredSides
from bench.report.text_table import format_number
from bench.runs.record import Trial

_RATE = "requests_per_s"
_HELD = "time_wait.proxy.peak"
"""Whether a trial counts for TIME_WAIT, on whichever host: a busy machine voids no count of sockets."""
_REUSE = "upstream.requests_per_connection"
_CPU, _CPU_BEFORE = "cpu_us_per_request.proxy", "cpu_us_per_request_before_cliff.proxy"
_MIXED = "; mixed: before and after half of the ports were used"
_HALF_FREE = "half of the ports in use, but most can be taken again"
SECONDS = "seconds from the first connect"
_SHORTEST_WARMUP_S = 0.02
MANY_PORTS = 0.1
"""Share of the ports from which on it is worth a mark how many there are."""


def build_glance(sides: Sequence[Side]) -> Glance:
    """Return rate, reuse, CPU and latency of each side: medians with the least and the greatest."""
    has_cliff = any(map(finding.has_cliff, sides))
    built = (
        _build_rates(sides),
        BarChart(
            "Upstream connections",
            "per 1,000 requests",
            [
                _build_bar(side, _REUSE, rank, compute=lambda requests: 1000 / requests)
                for side, rank in rank_sides(sides)
            ],
        ),
        BarChart(
            f"CPU of the {'target' if all(target.is_target(side.run) for side in sides) else 'proxy'}",
            "µs per request" + (", before half of the ports were used" if has_cliff else ""),
            [_build_bar(side, _CPU_BEFORE if has_cliff else _CPU, rank) for side, rank in rank_sides(sides)],
        ),
        BarChart(
            "Latency",
            f"ms, on a logarithmic axis{_MIXED if has_cliff else ''}",
            [
                _build_bar(side, f"latency_ms.{key}", rank, f"{side.name}, {key}")
                for side, rank in rank_sides(sides)
                for key in ("p50", "p99")
            ],
            is_log=True,
        ),
    )
    shown = [bars for bars in built if any(bar.value is not None for bar in bars.rows)]
    return Glance(shown, explain_bars(shown))


def build_charts(sides: Sequence[Side]) -> Charts:
    """Return rate and TIME_WAIT over time, and latency by percentile: trials, and their median."""
    named = [ChartSide(side.name, rank, not side.counted) for side, rank in rank_sides(sides)]
    charts = (_build_rate_chart(sides), _build_time_wait_chart(sides), _build_latency_chart(sides))
    return Charts(named, [chart for chart in charts if chart.lines])


def select_trials(side: Side, key: str = _RATE) -> tuple[Trial, ...]:
    """Return the trials that count for a metric; where none does all of them, which are drawn as void."""
    return side.counted_for(metrics.named(key)) or side.trials


def rank_sides(sides: Sequence[Side]) -> Iterator[tuple[Side, int]]:
    """Return each side with the rank of its colour."""
    return iter(zip(sides, ColouredSides.of(sides).ranks, strict=True))


def _median(side: Side, key: str) -> float | None:
    return finding.compute_median(side, key)


def _build_rates(sides: Sequence[Side]) -> BarChart:
    rows: list[Bar] = []
    for side, rank in rank_sides(sides):
        if finding.has_cliff(side):
            rows.append(_build_bar(side, "ports.rate_before", rank, f"{side.name}, before"))
            rows.append(
                replace(_build_bar(side, "ports.rate_after", rank, f"{side.name}, after"), is_light=True)
            )
        else:
            rows.append(_build_bar(side, _RATE, rank))
    has_cliff = any(map(finding.has_cliff, sides))
    return BarChart(
        "Requests",
        "per second" + (", before and after half of the ports were used" if has_cliff else ""),
        rows,
    )


def _build_bar(
    side: Side, key: str, rank: int, label: str = "", compute: Callable[[float], float] = float
) -> Bar:
    """Return a bar of one metric of a side, each value of it passed through `compute`."""
    sample = finding.get_sample(side, key)
    values = [compute(value) for value in sample.values if value or compute is float]
    if not values or sample.standing is Standing.MIXED:
        lacks = Standing.MISSING if sample.standing is Standing.COUNTS else sample.standing
        return Bar(label or side.name, None, str(lacks), colour=rank)
    middle, unit = (
        stats.median(values, sample.is_count),
        "" if compute is not float else metrics.named(key).unit,
    )
    is_void = sample.standing is Standing.VOID
    text = str(sample.standing) if is_void else format_number(middle, unit)
    return Bar(label or side.name, middle, text, min(values), max(values), rank, is_void=is_void)


def _drawn(side: Side) -> tuple[Trial, ...]:
    """Return the trials that are drawn one by one, those that count first."""
    return tuple(sorted(side.trials, key=lambda trial: not trial.valid)[:MOST_TRIALS])


def build_lines(
    rank: int, side: Side, trials: dict[int, series.Points], median: series.Points, host: str = ""
) -> Iterator[Line]:
    """Yield the trials of a side that are drawn one by one, and their median.

    Those of a `host` are counts of sockets, and have dashes of their own.
    """
    counted = side.counted_for(metrics.named(_HELD if host else _RATE))
    dashes, label = (HOSTS[host], f"on the {host}") if host else (0, "")
    invalid = {trial.trial for trial in side.trials if trial not in counted}
    shown = {trial.trial for trial in _drawn(side)}
    for number, points in trials.items():
        if number in shown and points:
            yield Line(rank, points, number, number in invalid, dashes, label)
    if median:
        yield Line(rank, median, None, not counted, dashes, label)


def _build_rate_chart(sides: Sequence[Side]) -> Chart:
    lines: list[Line] = []
    for index, side in enumerate(sides):
        found = series.collect_rates(side, side.trials)
        counted = series.collect_rates(side, select_trials(side))
        lines += build_lines(index, side, found, series.compute_median_line(counted))
    slowed = [side if not finding.is_half_free(side) else None for side in sides]
    freed = [side if finding.is_half_free(side) else None for side in sides]
    marks = [*_mark_moments(slowed, "half_range_passed_s", "half of the ports used")]
    marks += _mark_moments(freed, "half_range_passed_s", _HALF_FREE)
    marks += _mark_moments(sides, "exhausted_s", "all ports used")
    return Chart(
        "Throughput", "requests per second", lines, x_label=SECONDS, marks=marks,
        shaded_until=find_warmup(sides),
    )  # fmt: skip


def find_warmup(sides: Sequence[Side]) -> float:
    """Return when the longest warm-up ended, in seconds; 0 where there was none but the first connects."""
    longest_s = max((trial.warmup_s for side in sides for trial in side.trials), default=0.0)
    return longest_s if longest_s >= _SHORTEST_WARMUP_S else 0.0


def _mark_moments(sides: Sequence[Side | None], key: str, label: str) -> Iterator[Mark]:
    for index, side in enumerate(sides):
        moment_s = None if side is None else _median(side, f"ports.{key}")
        if moment_s is not None:
            yield Mark(label, f"{format_number(moment_s, 's')} s", x=moment_s, side=index)


def _build_time_wait_chart(sides: Sequence[Side]) -> Chart:
    lines: list[Line] = []
    for index, side in enumerate(sides):
        for host in HOSTS:
            found = series.collect_points(side, side.trials, host, lambda row: row.time_wait)
            if not any(value for points in found.values() for _, value in points):
                continue
            chosen = {trial.trial for trial in select_trials(side, _HELD)}
            counted = {number: points for number, points in found.items() if number in chosen}
            lines += build_lines(index, side, found, series.compute_median_line(counted), host)
    # Of several machines the sum is drawn, and that of no number of ports is near.
    several = {id(side): sum(each.role == "proxy" for each in side.run.machines) > 1 for side in sides}
    alone = [side for side in sides if not several[id(side)]]
    ports = [trial.ports for side in alone for trial in select_trials(side, _HELD)]
    tuples = max(
        (each.tuples for each in ports if (each.used_peak or 0) > each.tuples * MANY_PORTS), default=0
    )
    marks = [
        Mark(f"half of the {tuples:,} ports: connect() slows down", y=tuples / 2),
        Mark(f"all {tuples:,} ports: connect() fails", y=tuples),
    ]
    if ports and all(each.reuses for each in ports):
        marks = [Mark(f"half of the {tuples:,} ports, but most can be taken again", y=tuples / 2)]
    return Chart(
        "TIME_WAIT", "sockets", lines, x_label=SECONDS, marks=marks if tuples else (), merge="max",
        shaded_until=find_warmup(sides),
    )  # fmt: skip


def _build_latency_chart(sides: Sequence[Side]) -> Chart:
    lines: list[Line] = []
    mixed = " and ".join(side.name for side in sides if finding.has_cliff(side))
    over = f"; {mixed}: before and after half of the ports were used" if mixed else ""
    for index, side in enumerate(sides):
        curves = {
            trial.trial: series.compute_curve(series.collect_latencies(side, trial)) for trial in side.trials
        }
        chosen = [curves[trial.trial] for trial in select_trials(side)]
        lines += build_lines(index, side, curves, series.compute_median_curve(chosen))
    return Chart(
        "Latency by percentile", f"milliseconds, from the start of a request to its last byte{over}", lines,
        x="percentile", y="log", x_label="share of the requests that was at least as fast",
    )  # fmt: skip
