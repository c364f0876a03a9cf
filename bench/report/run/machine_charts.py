"""Build the charts of the machines of a cluster: bars of each one's figures, and its TIME_WAIT over time."""

from collections.abc import Callable, Iterator, Sequence

from bench.analysis import machine_figures as figures
from bench.analysis.claims import Standing
from bench.analysis.machine_figures import MachineFigure
from bench.analysis.sides import Side
from bench.report.charts import Bar, BarChart, Chart, Charts, ChartSide, Line, Mark, explain_bars
from bench.report.html import Glance
from bench.report.run import series
from bench.report.run.charts import MANY_PORTS, SECONDS, build_lines, find_warmup, rank_sides, select_trials
from bench.report.text_table import format_number
from bench.runs.record import Moment

_MOST_BARS = 32
"""Of one chart: more of them are a table."""
_MOST_CHARTS = 9
_LEAST_SHARE = 0.01
"""Share of a machine's port range that sockets must have come to, for it to be worth a chart; and of the
highest bar, for it to be worth another."""
_BARS: tuple[tuple[str, str, MachineFigure], ...] = (
    ("Ports used", "percent of half of them, beyond which connect() slows down", figures.SHARE_OF_HALF),
    ("TIME_WAIT", "sockets, the most at one time", figures.TIME_WAIT),
    ("Requests", "per second", figures.RATE),
    ("CPU", "µs per request; of a proxy or a backend over those of all clients", figures.CPU),
)


def build_glance(sides: Sequence[Side]) -> Glance:
    """Return the figures of each machine on each side, as bars; none where no run had several machines."""
    built = (_build_bars(sides, *each) for each in _BARS)
    legend = [ChartSide(side.name, rank) for side, rank in rank_sides(sides)]
    shown = [bars for bars in built if any(bar.value for bar in bars.rows)]
    return Glance(shown, explain_bars(shown), legend)


def build_charts(sides: Sequence[Side]) -> Charts:
    """Return a chart for each machine that used many ports or held much TIME_WAIT: those over time.

    Of more than there is room for those with the most are drawn.
    """
    named = [ChartSide(side.name, rank, not side.counted) for side, rank in rank_sides(sides)]
    charts = ((name, _build_chart(sides, name)) for name in _list_names(sides))
    built = [chart for name, chart in charts if _find_height(chart) >= _find_least(sides, name)]
    most = sorted(built, key=_find_height, reverse=True)[:_MOST_CHARTS]
    return Charts(named, [chart for chart in built if chart in most])


def _list_names(sides: Sequence[Side]) -> list[str]:
    """Return the machines of all sides, each once."""
    return list(dict.fromkeys(name for side in sides for name in figures.sort_names(side.run)))


def _build_bars(sides: Sequence[Side], title: str, unit: str, figure: MachineFigure) -> BarChart:
    groups = [list(_build_group(sides, name, figure)) for name in _list_names(sides)]
    least = _LEAST_SHARE * max(map(_find_value, groups), default=0.0)
    drawn = [
        group for group in groups if _find_value(group) > least or any(bar.value is None for bar in group)
    ]
    shown = sorted(drawn, key=_find_value, reverse=True)[: max(1, _MOST_BARS // max(1, len(sides)))]
    most = f"; the {len(shown)} highest of {len(drawn)} machines" if len(shown) < len(drawn) else ""
    return BarChart(
        f"{title}, by machine", unit + most, [bar for group in drawn if group in shown for bar in group]
    )


def _find_value(group: Sequence[Bar]) -> float:
    return max((bar.value or 0.0 for bar in group), default=0.0)


def _build_group(sides: Sequence[Side], name: str, figure: MachineFigure) -> Iterator[Bar]:
    """Yield a bar of a machine for each side that has the figure."""
    for side, rank in rank_sides(sides):
        sample = figures.sample(side, name, figure)
        label = name if len(sides) == 1 else f"{name}, {side.name}"
        if sample.median is None:
            if sample.standing is Standing.VOID:  # a chart of what is mixed would be empty
                yield Bar(label, None, str(sample.standing), colour=rank)
            continue
        factor, unit = (100, " %") if figure.unit == "share" else (1, "")
        middle, least, greatest = (
            factor * each for each in (sample.median, min(sample.quoted), max(sample.quoted))
        )
        text = f"{middle:.0f}{unit}" if unit else format_number(middle, figure.unit)
        yield Bar(label, middle, text, least, greatest, rank)


def _build_chart(sides: Sequence[Side], name: str) -> Chart:
    """Return the ports that a machine used over time; of one that opens no connections its TIME_WAIT."""
    is_opener = any(figures.sample(side, name, figures.PORTS_USED).values for side in sides)
    title, unit = ("ports used", "towards the next role") if is_opener else ("TIME_WAIT", "sockets")
    lines = list(_build_machine_lines(sides, name, _get_ports_used if is_opener else _get_time_wait))
    return Chart(
        f"{name}: {title}", unit, lines, x_label=SECONDS, marks=list(_mark_ports(sides, name, lines)),
        merge="max", shaded_until=find_warmup(sides),
    )  # fmt: skip


def _get_ports_used(row: Moment) -> float | None:
    return row.ports_used


def _get_time_wait(row: Moment) -> float | None:
    return row.time_wait


def _build_machine_lines(
    sides: Sequence[Side], name: str, of: Callable[[Moment], float | None]
) -> Iterator[Line]:
    for index, side in enumerate(sides):
        found = series.collect_points(side, side.trials, _find_host(side, name), of)
        if not any(value for points in found.values() for _, value in points):
            continue
        chosen = {trial.trial for trial in select_trials(side)}
        counted = {number: points for number, points in found.items() if number in chosen}
        yield from build_lines(index, side, found, series.compute_median_line(counted))


def _find_host(side: Side, name: str) -> str:
    """Return whose rows of the timeline are those of a machine: the only one of a role has the role's."""
    roles = {each.name: each.role for each in side.run.machines}
    role = roles.get(name, name)
    return role if list(roles.values()).count(role) == 1 else name


def _mark_ports(sides: Sequence[Side], name: str, lines: Sequence[Line]) -> Iterator[Mark]:
    """Yield where half of a machine's ports are used, and where all are, if it comes near enough."""
    tuples = max(
        (value for side in sides for value in figures.sample(side, name, figures.TUPLES).values), default=0.0
    )
    if lines and tuples and max(y for line in lines for _, y in line.points) > tuples * MANY_PORTS:
        yield Mark(f"half of its {tuples:,.0f} ports: connect() slows down", y=tuples / 2)
        yield Mark(f"all {tuples:,.0f} ports: connect() fails", y=tuples)


def _find_height(chart: Chart) -> float:
    return max((y for line in chart.lines for _, y in line.points), default=0.0)


def _find_least(sides: Sequence[Side], name: str) -> float:
    """Return from how many sockets on a machine is worth a chart."""
    seen = (figures.find(trial, name) for side in sides for trial in side.trials)
    return max(
        1.0, _LEAST_SHARE * max((each.port_range or 0 for each in seen if each is not None), default=0)
    )
