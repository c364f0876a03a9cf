"""The panels of the picture: rate and TIME_WAIT over time, latency by percentile, three sets of bars.

Each function draws into axes that it is given. Direct labels stand in for legends, every axis has its
unit, and one colour means one side throughout.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench import units
from bench.analysis import histogram, metrics
from bench.analysis.sides import Side
from bench.record import ROLES, Moment, Trial
from bench.report import finding
from bench.report.figures import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, QUIET, FAINT = "#222222", "#5A5A5A", "#E4E4E4"
_DASHES: dict[str, Any] = {"proxy": "-", "backend": (0, (6, 2)), "client": (0, (1, 1.2))}
_PERCENTS = (0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999)
_LABEL_GAP = 0.075  # of the height of the axes: a line of text and some air


@dataclass(frozen=True, slots=True)
class Drawn:
    """The sides of a picture, each with its colour."""

    sides: tuple[Side, ...]
    colours: tuple[str, ...]

    def __iter__(self) -> Any:
        return iter(zip(self.sides, self.colours, strict=True))


@dataclass(frozen=True, slots=True)
class _Label:
    y: float
    text: str
    colour: str


def rate(axes: Axes, drawn: Drawn) -> None:
    """Draw correct responses per second over time, with the moment when half of the ports were used."""
    _title(axes, "Throughput", "requests per second")
    labels, end_s = [], 0.0
    for side, colour in drawn:
        lines = _lines(side, "client", lambda row: None if row.requests is None else row.requests * 10)
        middle = _bundle(axes, lines, colour)
        if middle:
            end_s = max(end_s, middle[-1][0])
            level = statistics.median(y for _, y in middle[-min(10, len(middle)) :])
            labels.append(_Label(level, f"{side.name}\n{units.rate(level)}", colour))
    axes.set_ylim(bottom=0)
    axes.set_ylim(top=axes.get_ylim()[1] * 1.08)
    _over_time(axes, drawn, end_s)
    for side, colour in drawn:
        half_s = finding.median(side, "ports.half_range_passed_s")
        if half_s is not None:
            axes.axvline(half_s, color=colour, lw=1, ls=(0, (2, 2)), zorder=1)
            axes.annotate(
                f" half of the ports used\n after {number(half_s, 's')} s: connect() slows down",
                (half_s, 0.55), xycoords=("data", "axes fraction"), color=colour, va="center", size=9.5,
            )  # fmt: skip
    _label_ends(axes, labels)


def time_wait(axes: Axes, drawn: Drawn) -> None:
    """Draw the sockets in TIME_WAIT over time, on each host that has any, with the marks of the range."""
    _title(axes, "TIME_WAIT", "sockets, by host")
    labels, end_s, highest = [], 0.0, 0.0
    for side, colour in drawn:
        for host in _waiting_hosts(side):
            middle = _bundle(
                axes, _lines(side, host, lambda row: row.time_wait), colour, _DASHES.get(host, "-")
            )
            end_s, highest = max(end_s, middle[-1][0]), max(highest, *(y for _, y in middle))
            labels.append(_Label(middle[-1][1], f"{side.name}, {_place(side, host)}", colour))
        if not _waiting_hosts(side):
            axes.plot([0, end_s or _end_s(side)], [0, 0], color=colour, lw=2.4, clip_on=False, zorder=4)
            end_s = max(end_s, _end_s(side))
            labels.append(_Label(0.0, f"{side.name}: none", colour))
    top = _mark_range(axes, drawn, highest)
    axes.set_ylim(0, max(top, highest, 10) * 1.1)
    _over_time(axes, drawn, end_s)
    _label_ends(axes, labels)


def latency(axes: Axes, drawn: Drawn) -> None:
    """Draw latency by percentile: the further right, the rarer the request."""
    _title(axes, "Latency by percentile", "milliseconds, from before the write to the last byte")
    axes.set_xscale("log")
    axes.set_yscale("log")
    rarest = 100.0
    for side, colour in drawn:
        for trial in finding.shown(side):
            _curve(axes, _counts(side, {trial.trial}), colour, lw=0.8, alpha=0.45)
        merged = _counts(side, {trial.trial for trial in finding.shown(side)})
        points = _curve(axes, merged, colour, lw=2.4)
        rarest = max(rarest, *(x for x, _ in points)) if points else rarest
        _mark_percentiles(axes, merged, colour)
        if points:
            axes.annotate(
                side.name, points[len(points) * 5 // 6], xytext=(0, 9), textcoords="offset points",
                color=colour, weight="bold", ha="right",
            )  # fmt: skip
    ticks = [percent for percent in _PERCENTS if 1 / (1 - percent / 100) <= rarest]
    axes.set_xticks([1 / (1 - percent / 100) for percent in ticks], [f"{percent:g} %" for percent in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlim(1, rarest * 1.1)
    axes.set_xlabel("percentile: this share of the requests was at least as fast")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    axes.grid(axis="both", color=FAINT, lw=0.8)
    axes.margins(y=0.16)


def rate_bars(axes: Axes, drawn: Drawn) -> None:
    """Draw the rate before and after half of the ports were used, or the one of the whole window."""
    _title(axes, "Requests/s", "before and after the cliff")
    bars = [bar for side, colour in drawn for bar in _rates(side, colour)]
    _bars(axes, bars, [side.name for side, _ in drawn])


def connection_bars(axes: Axes, drawn: Drawn) -> None:
    """Draw the upstream connections that a thousand requests took."""
    _title(axes, "Connections", "upstream, per 1,000 requests")
    bars = []
    for side, colour in drawn:
        ratios = metrics.values(metrics.named("upstream.requests_per_connection"), finding.shown(side))
        values = [1000 / ratio for ratio in ratios if ratio]
        bars.append(_Bar(side.name, "", values, colour))
    _bars(axes, bars, [side.name for side, _ in drawn])


def cpu_bars(axes: Axes, drawn: Drawn) -> None:
    """Draw CPU per request by role, up to the cliff where there is one: a fair price for both modes."""
    cliff = any(finding.median(side, "ports.half_range_passed_s") is not None for side, _ in drawn)
    _title(axes, "CPU, µs/request", "by role, before the cliff" if cliff else "by role")
    heights = []
    for index, (side, colour) in enumerate(drawn):
        base = 0.0
        for role, alpha in zip(("proxy", "backend", "client"), (1.0, 0.62, 0.3), strict=True):
            cost = _cost_us(side, role)
            if cost is None:
                continue
            axes.bar(index, cost, bottom=base, width=0.62, color=colour, alpha=alpha, edgecolor="white")
            heights.append((index, base, cost, role, alpha))
            base += cost
        axes.text(
            index, base, f"{number(base)}\n", ha="center", va="center_baseline", weight="bold", size=9.5
        )
    tallest = max((base + cost for _, base, cost, _, _ in heights), default=1.0)
    for index, base, cost, role, alpha in heights:
        if cost > 0.06 * tallest:
            axes.text(index, base + cost / 2, f"{role} {number(cost)}", ha="center", va="center", size=8,
                      color="white" if alpha > 0.5 else INK)  # fmt: skip
    _finish_bars(axes, [side.name for side, _ in drawn], tallest)


def _cost_us(side: Side, role: str) -> float | None:
    costs = [trial.cpu_us_per_request_before_cliff.get(role) for trial in finding.shown(side)]
    known = [cost for cost in costs if cost is not None]
    return statistics.median(known) if known else None


@dataclass(frozen=True, slots=True)
class _Bar:
    side: str
    note: str
    values: Sequence[float]
    colour: str
    alpha: float = 1.0


def _rates(side: Side, colour: str) -> list[_Bar]:
    trials = finding.shown(side)
    before = metrics.values(metrics.named("ports.rate_before"), trials)
    after = metrics.values(metrics.named("ports.rate_after"), trials)
    if before and after:
        return [_Bar(side.name, "before", before, colour), _Bar(side.name, "after", after, colour, 0.55)]
    whole = metrics.values(metrics.named("requests_per_s"), trials)
    return [_Bar(side.name, "", whole, colour)]


def _bars(axes: Axes, bars: Sequence[_Bar], names: Sequence[str]) -> None:
    """Draw bars of medians with a whisker from the least to the greatest, grouped by side."""
    tallest = 0.0
    for bar in (bar for bar in bars if bar.values):
        group = [each for each in bars if each.side == bar.side]
        width = 0.72 / len(group) if len(group) > 1 else 0.62
        x = names.index(bar.side) + (group.index(bar) - (len(group) - 1) / 2) * width
        middle = statistics.median(bar.values)
        axes.bar(x, middle, width=width * 0.94, color=bar.colour, alpha=bar.alpha)
        axes.plot([x, x], [min(bar.values), max(bar.values)], color=INK, lw=1.2)
        tallest = max(tallest, *bar.values)
        label = f"{number(middle)}\n{bar.note}".rstrip()
        axes.annotate(
            label, (x, max(bar.values)), xytext=(0, 3), textcoords="offset points", ha="center",
            va="bottom", size=8.5, weight="bold",
        )  # fmt: skip
    _finish_bars(axes, names, tallest)


def _finish_bars(axes: Axes, names: Sequence[str], tallest: float) -> None:
    axes.set_xticks(range(len(names)), names)
    axes.tick_params(axis="x", length=0)
    axes.set_xlim(-0.55, len(names) - 0.45)
    axes.set_ylim(0, (tallest or 1.0) * 1.2)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)


def _title(axes: Axes, title: str, unit: str) -> None:
    axes.text(0, 1.115, title, transform=axes.transAxes, size=12, weight="bold", va="bottom")
    axes.text(0, 1.045, unit, transform=axes.transAxes, size=9.5, color=QUIET, va="bottom")


def _lines(
    side: Side, host: str, of: Callable[[Moment], float | None]
) -> dict[int, list[tuple[float, float]]]:
    """Return a line of (second, value) for each trial of `side`, from the rows of `host`."""
    wanted = {trial.trial for trial in finding.shown(side)}
    lines: dict[int, list[tuple[float, float]]] = {}
    for row in side.series.moments:
        value = of(row)
        if row.host == host and row.trial in wanted and value is not None and row.t_s >= 0:
            lines.setdefault(row.trial, []).append((row.t_s, value))
    return {trial: sorted(line) for trial, line in lines.items()}


def _bundle(
    axes: Axes, lines: dict[int, list[tuple[float, float]]], colour: str, dashes: Any = "-"
) -> list[tuple[float, float]]:
    """Draw a thin line for each trial and a bold one through their medians, and return the bold one."""
    for line in lines.values():
        axes.plot(*zip(*line, strict=True), color=colour, lw=0.8, alpha=0.45, ls=dashes)
    tenths: dict[int, list[float]] = {}
    for t_s, value in (point for line in lines.values() for point in line):
        tenths.setdefault(round(t_s * 10), []).append(value)
    whole = (tenth for tenth in sorted(tenths) if len(tenths[tenth]) > len(lines) / 2)
    middle = [(tenth / 10, statistics.median(tenths[tenth])) for tenth in whole]
    if middle:
        axes.plot(*zip(*middle, strict=True), color=colour, lw=2.4, ls=dashes, zorder=4)
    return middle


def _over_time(axes: Axes, drawn: Drawn, end_s: float) -> None:
    warmup_s = max((trial.warmup_s for side, _ in drawn for trial in side.trials), default=0.0)
    if warmup_s > 0:
        axes.axvspan(0, warmup_s, color="#F3F3F3", lw=0, zorder=0)
        axes.text(warmup_s / 2, 0.985, "warm-up", transform=axes.get_xaxis_transform(), ha="center",
                  va="top", size=8.5, color=QUIET)  # fmt: skip
    axes.set_xlim(0, end_s or 1.0)
    axes.set_xlabel("seconds from the first connect")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.grid(axis="y", color=FAINT, lw=0.8)
    axes.set_axisbelow(True)


def _label_ends(axes: Axes, labels: Sequence[_Label]) -> None:
    """Write the labels at the right edge, each at its line's end, moved apart where they would collide."""
    bottom, top = axes.get_ylim()
    ordered = sorted(labels, key=lambda label: label.y)
    placed: list[float] = []
    for index, label in enumerate(ordered):
        wanted = (label.y - bottom) / (top - bottom)
        lines_below = ordered[index - 1].text.count("\n") + 1 if placed else 0
        lines = label.text.count("\n") + 1
        floor = placed[-1] + _LABEL_GAP * (lines + lines_below) / 2 if placed else 0.0
        placed.append(max(wanted, floor))
    for label, y in zip(ordered, placed, strict=True):
        axes.annotate(
            label.text, (1.012, y), xycoords="axes fraction", color=label.colour, weight="bold",
            va="center", annotation_clip=False,
        )  # fmt: skip


def _mark_range(axes: Axes, drawn: Drawn, highest: float) -> float:
    """Mark half and all of the ports where the proxy's TIME_WAIT goes that way; return the upper mark."""
    tuples = max(
        (
            trial.ports.tuples
            for side, _ in drawn
            for trial in finding.shown(side)
            if trial.ports.tuples and trial.ports.used_peak > trial.ports.tuples / 10
        ),
        default=0,
    )
    if not tuples:
        return 0.0
    marks = [(tuples / 2, f"half of the {tuples:,} ports: connect() slows down")]
    if highest > tuples / 10:
        marks.append((float(tuples), "all ports used: connect() fails"))
    for level, said in marks:
        axes.axhline(level, color=INK, lw=1.1, ls=(0, (4, 3)), zorder=2)
        axes.text(0.99, level, said, transform=axes.get_yaxis_transform(), ha="right", va="bottom", size=9)
    return marks[-1][0]


def _waiting_hosts(side: Side) -> list[str]:
    """Return the hosts that had sockets in TIME_WAIT; on loopback there is one host, whatever its rows."""
    rows = [row for row in side.series.moments if row.time_wait]
    hosts = sorted({row.host for row in rows}, key=lambda host: (*ROLES, host).index(host))
    return hosts[:1] if _on_loopback(side) else hosts


def _on_loopback(side: Side) -> bool:
    return any(trial.lab == "loopback" for trial in side.trials)


def _place(side: Side, host: str) -> str:
    return "\nall roles" if _on_loopback(side) else f"\non the {host}"


def _end_s(side: Side) -> float:
    return max((row.t_s for row in side.series.moments), default=1.0)


def _counts(side: Side, trials: Iterable[int]) -> dict[int, int]:
    """Return the latencies of the windows of `trials`, merged."""
    windows = {trial.trial: _window(trial) for trial in side.trials}
    return histogram.merge(
        each.counts
        for each in side.series.latencies
        if each.kind == "latency" and each.trial in trials
        and windows[each.trial][0] - 0.01 <= each.t_s < windows[each.trial][1]
    )  # fmt: skip


def _window(trial: Trial) -> tuple[float, float]:
    return trial.warmup_s, trial.warmup_s + trial.duration_s


def _curve(axes: Axes, counts: dict[int, int], colour: str, **style: Any) -> list[tuple[float, float]]:
    points = [(1 / share, value_ms) for share, value_ms in histogram.curve(counts)]
    if points:
        axes.plot(*zip(*points, strict=True), color=colour, **style)
    return points


def _mark_percentiles(axes: Axes, counts: dict[int, int], colour: str) -> None:
    for percent in (50.0, 99.0):
        value_us = histogram.percentile(counts, percent)
        if value_us is not None:
            at = (1 / (1 - percent / 100), value_us / 1000)
            axes.plot(*at, "o", color=colour, ms=6, zorder=5)
            axes.annotate(
                units.milliseconds(value_us / 1000), at, xytext=(5, -13), textcoords="offset points",
                color=colour, size=9,
            )  # fmt: skip
