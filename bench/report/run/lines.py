"""Draw the panels that are lines: rate and TIME_WAIT over time, latency by percentile.

Direct labels replace legends, every axis has its unit, and one colour means one side throughout (style.py
sets it). Thin lines are single trials, bold ones their median.
"""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench import units
from bench.analysis import histogram
from bench.analysis.sides import Side
from bench.report.run import finding, series
from bench.report.run.series import Points
from bench.report.style import (
    FAINT,
    HOST_DASHES,
    INK,
    QUIET,
    SHADE,
    TEXT_GROUND,
    VOID_DASHES,
    ColouredSides,
    annotate,
    compute_rarity,
    draw_title,
    label_percentiles,
)
from bench.report.text_table import format_number
from bench.runs.record import Trial

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PERCENTS = (50.0, 90.0, 99.0, 99.9, 99.99, 99.999)
_VISIBLE = 0.015  # of the greatest value: below it a line lies on the axis
_LAST_TICKS = 10
"""Tenths of a second at the end of a trial, at whose height the label of a line stands."""
_HEADROOM = 1.24
"""Height of the rate's axes over the highest line: words about the ports stand there, and cross no line."""
_LABEL_GAP = 0.075  # of the height of the axes: a line of text and some air


@dataclass(frozen=True, slots=True)
class _Label:
    """Text for the end of a line, whose last point is at `y` and `x`; None: at the right edge."""

    y: float
    text: str
    colour: str
    x: float | None = None


def draw_rate(axes: "Axes", sides: ColouredSides) -> None:
    """Draw correct responses per second over time, with the moments when ports ran low and out."""
    draw_title(axes, "Throughput", "requests per second")
    labels = []
    for side, colour in sides:
        rates = series.collect_rates(side, side.counted or side.trials)
        middle = _draw_bundle(axes, rates, colour, is_void=not side.counted)
        if middle and not side.counted:
            labels.append(_Label(middle[-1][1], f"{side.name}\nvoid", colour))
        elif middle:
            level = statistics.mean(y for _, y in middle[-_LAST_TICKS:])
            label = "errors only" if level == 0 and _fails_at_the_end(side) else _format_rate(side)
            labels.append(_Label(level, f"{side.name}\n{label}", colour))
    axes.set_ylim(0, max(axes.get_ylim()[1] * _HEADROOM, 10))
    _draw_time_axis(axes, sides)
    _mark_moments(axes, sides, "half_range_passed_s", "half of the ports used\nafter {} s", 0.88)
    _mark_moments(axes, sides, "exhausted_s", "all ports used\nafter {} s", 0.3)
    _draw_labels(axes, labels)


def _format_rate(side: Side) -> str:
    """Return the rate at the end of a line as the table and the bars have it."""
    key = "ports.rate_after" if finding.has_cliff(side) else "requests_per_s"
    per_s = finding.compute_median(side, key)
    return "-" if per_s is None else units.rate(per_s)


def draw_time_wait(axes: "Axes", sides: ColouredSides) -> None:
    """Draw the sockets in TIME_WAIT over time, on each host that has any, with the marks of the range."""
    draw_title(axes, "TIME_WAIT", "sockets, by host")
    lines = {
        side.name: {
            host: series.collect_points(side, _select_trials(side), host, lambda row: row.time_wait)
            for host in HOST_DASHES
        }
        for side in sides.sides
    }
    bundles = [bundle for hosts in lines.values() for bundle in hosts.values()]
    highest = max([10.0, *(value for bundle in bundles for value in _list_values(bundle))])
    labels = [
        _Label(0.0, f"{side.name}\nnot measured", colour)
        for side, colour in sides
        if not any(lines[side.name].values())
    ]
    for side, colour in sides:
        for host, bundle in _select_hosts(lines[side.name], highest).items():
            peak = max(_list_values(bundle))
            if peak > highest * _VISIBLE:
                label, dashes = f"on the {host}", HOST_DASHES[host]
            else:
                quoted = finding.compute_median(side, f"time_wait.{host}.peak")
                label, dashes = f"{quoted:,.0f} at most" if peak and quoted else "none", "-"
            middle = _draw_bundle(axes, bundle, colour, dashes)
            labels.append(_Label(middle[-1][1], f"{side.name}\n{label}", colour))
    axes.set_ylim(0, max(_mark_range(axes, sides), highest) * 1.16)
    _draw_time_axis(axes, sides)
    _draw_labels(axes, labels)


def draw_latency(axes: "Axes", sides: ColouredSides) -> None:
    """Draw latency by percentile: the further right, the rarer the request."""
    draw_title(axes, "Latency by percentile", "milliseconds, from before the write to the last byte")
    axes.set_xscale("log")
    axes.set_yscale("log")
    rarest, labels = 100.0, []
    silent: list[tuple[Side, str]] = []
    for side, colour in sides:
        style: dict[str, Any] = {"lw": 0.8, "alpha": 0.45, "ls": "-" if side.counted else VOID_DASHES}
        for trial in _select_trials(side):
            _draw_curve(axes, _merge_latencies(side, [trial]), colour, **style)
        if side.counted:
            style = {"lw": 2.4}
        points = _draw_curve(axes, _merge_latencies(side, _select_trials(side)), colour, **style)
        if points and not side.counted:
            labels.append(_Label(points[-1][1], f"{side.name}: void", colour))
        elif points:
            rarest = max(rarest, points[-1][0])
            end = points[-1][0] if len(sides.sides) < 3 else None  # many labels are tidier in one column
            labels.append(_Label(points[-1][1], side.name, colour, end))
        else:
            silent.append((side, colour))
    for row, (side, colour) in enumerate(silent):
        text, at = f"{side.name}: no correct response in the window", (0.99, 0.03 + row * _LABEL_GAP)
        annotate(axes, text, at, (0, 0), xycoords="axes fraction", color=colour, weight="bold", ha="right")
    label_percentiles(axes, _PERCENTS, rarest)
    axes.set_xlim(1, rarest * 1.1)
    axes.set_xlabel("percentile: this share of the requests was at least as fast")
    axes.yaxis.set_minor_formatter(lambda value, _: "")
    axes.grid(axis="both", color=FAINT, lw=0.8)
    axes.margins(y=0.16)
    _mark_percentiles(axes, sides)
    _draw_labels(axes, labels)


def _select_trials(side: Side) -> tuple[Trial, ...]:
    """Return the trials that count; where none does all of them, which are then drawn as void."""
    return side.counted or side.trials


def _fails_at_the_end(side: Side) -> bool:
    """Return whether exchanges failed within the last second of any trial."""
    ends_s = {trial.trial: series.window(trial)[1] for trial in _select_trials(side)}
    return any(row.errors and row.t_s > ends_s.get(row.trial, row.t_s) - 1.05 for row in side.series.moments)


def _list_values(lines: dict[int, Points]) -> list[float]:
    return [value for line in lines.values() for _, value in line]


def _select_hosts(hosts: dict[str, dict[int, Points]], highest: float) -> dict[str, dict[int, Points]]:
    """Return the hosts whose lines would stand out from the axis, or else the one with the most sockets."""
    measured = {host: lines for host, lines in hosts.items() if lines}
    peaks = {host: max(_list_values(lines)) for host, lines in measured.items()}
    visible = {host: measured[host] for host, peak in peaks.items() if peak > highest * _VISIBLE}
    if visible or not measured:
        return visible
    most = max(peaks, key=peaks.__getitem__)
    return {most: measured[most]}


def _draw_bundle(
    axes: "Axes", lines: dict[int, Points], colour: str, dashes: Any = "-", is_void: bool = False
) -> Points:
    """Draw a thin line for each trial and a bold one through their medians, and return the bold one.

    What is void has no bold line, and dotted thin ones.
    """
    for line in lines.values():
        thin = VOID_DASHES if is_void else dashes
        axes.plot(*zip(*line, strict=True), color=colour, lw=0.8, alpha=0.45, ls=thin)
    middle = series.compute_median_line(lines)
    if middle and not is_void:
        axes.plot(*zip(*middle, strict=True), color=colour, lw=2.4, ls=dashes, zorder=4, clip_on=False)
    return middle


def _draw_time_axis(axes: "Axes", sides: ColouredSides) -> None:
    end_s = max((series.window(trial)[1] for side, _ in sides for trial in side.trials), default=1.0)
    warmup_s = max((trial.warmup_s for side, _ in sides for trial in side.trials), default=0.0)
    if warmup_s > 0:
        axes.axvspan(0, warmup_s, color=SHADE, lw=0, zorder=0)
        axes.text(
            warmup_s / 2, 0.985, "warm-up", transform=axes.get_xaxis_transform(), ha="center", va="top",
            size=8.5, color=QUIET,
        )  # fmt: skip
    axes.set_xlim(0, end_s)
    axes.set_xlabel("seconds from the first connect")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.grid(axis="y", color=FAINT, lw=0.8)
    axes.set_axisbelow(True)


def _draw_labels(axes: "Axes", labels: Sequence[_Label]) -> None:
    """Write the labels at the right edge, each at its line's end, moved apart where they would collide."""
    ordered = sorted(labels, key=lambda label: label.y)
    axes.autoscale_view()
    to_axes = axes.transData + axes.transAxes.inverted()
    heights = [_LABEL_GAP * (label.text.count("\n") + 1) for label in ordered]
    placed = _move_apart([float(to_axes.transform((1, label.y))[1]) for label in ordered], heights)
    for label, y in zip(ordered, placed, strict=True):
        x = 1.0 if label.x is None else float(to_axes.transform((label.x, label.y))[0])
        annotate(
            axes, label.text, (x, y), (5, 0), xycoords="axes fraction", color=label.colour, weight="bold",
            va="center", annotation_clip=False,
        )  # fmt: skip


def _move_apart(wanted: Sequence[float], heights: Sequence[float]) -> list[float]:
    """Return the middles of labels of these heights, none over another, within the axes, near `wanted`.

    Both are in heights of the axes, from the lowest label up.
    """
    placed: list[float] = []
    floor = -0.02
    for middle, height in zip(wanted, heights, strict=True):
        placed.append(max(middle, floor + height / 2))
        floor = placed[-1] + height / 2
    ceiling = max(1.0, sum(heights))
    for index in reversed(range(len(placed))):
        placed[index] = min(placed[index], ceiling - heights[index] / 2)
        ceiling = placed[index] - heights[index] / 2
    return placed


def _mark_moments(axes: "Axes", sides: ColouredSides, key: str, label: str, height: float) -> None:
    """Mark when each side came to a point of its ports, in words once for all of them."""
    moments = [(finding.compute_median(side, f"ports.{key}"), colour) for side, colour in sides]
    reached = [(moment_s, colour) for moment_s, colour in moments if moment_s is not None]
    for moment_s, colour in reached:
        axes.axvline(moment_s, color=colour, lw=1.1, ls=(0, (2, 2)), zorder=1)
    if reached:
        first, last = min(reached)[0], max(reached)[0]
        is_late = last > 0.6 * axes.get_xlim()[1]  # then the words stand before the line
        moment = " to ".join(dict.fromkeys(format_number(each, "s") for each in (first, last)))
        annotate(
            axes, label.format(moment), (first if is_late else last, height), (-6 if is_late else 6, 0),
            color=reached[0][1] if len(reached) == 1 else INK, xycoords=("data", "axes fraction"),
            va="center", ha="right" if is_late else "left", bbox=TEXT_GROUND,
        )  # fmt: skip


def _mark_range(axes: "Axes", sides: ColouredSides) -> float:
    """Mark half and all of the ports where a trial used many of them; return the upper mark."""
    ports = [trial.ports for side, _ in sides for trial in _select_trials(side)]
    tuples = max((each.tuples for each in ports if (each.used_peak or 0) > each.tuples / 10), default=0)
    if not tuples:
        return 0.0
    marks = (
        (tuples / 2, f"half of the {tuples:,} ports used: connect() slows down", -4, "top"),
        (float(tuples), "all ports used: connect() fails", 4, "bottom"),
    )
    for level, label, offset, side_of_line in marks:
        axes.axhline(level, color=INK, lw=1.1, ls=(0, (4, 3)), zorder=2)
        annotate(
            axes, label, (0.99, level), (0, offset), xycoords=axes.get_yaxis_transform(), ha="right",
            va=side_of_line, size=9, zorder=6, bbox=TEXT_GROUND,
        )  # fmt: skip
    return float(tuples)


def _merge_latencies(side: Side, trials: Iterable[Trial]) -> dict[int, int]:
    """Return the latencies of the windows of `trials`, merged."""
    return histogram.merge(series.collect_latencies(side, trial) for trial in trials)


def _draw_curve(axes: "Axes", counts: dict[int, int], colour: str, **style: Any) -> Points:
    points = [(1 / share, value_ms) for share, value_ms in histogram.curve(counts)]
    if points:
        axes.plot(*zip(*points, strict=True), color=colour, **style)
    return points


def _mark_percentiles(axes: "Axes", sides: ColouredSides) -> None:
    """Dot p50 and p99, as in the table; their figures stand above the slowest side and below the fastest."""
    for percent in (50.0, 99.0):
        at_ms = [finding.compute_median(side, f"latency_ms.p{percent:g}") for side, _ in sides]
        known = [value_ms for value_ms in at_ms if value_ms is not None]
        for (_, colour), value_ms in zip(sides, at_ms, strict=True):
            if value_ms is None:
                continue
            point = (compute_rarity(percent), value_ms)
            axes.plot(*point, "o", color=colour, ms=6, zorder=5)
            style: dict[str, Any] = {"color": colour, "size": 9, "weight": "bold", "zorder": 6}
            if value_ms == max(known):
                annotate(axes, units.milliseconds(value_ms), point, (0, 9), ha="center", **style)
            elif value_ms == min(known):
                annotate(axes, units.milliseconds(value_ms), point, (5, -14), **style)
