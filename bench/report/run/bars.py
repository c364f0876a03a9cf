"""Draw the panels that are bars: rate before and after the cliff, connections, CPU per request.

Bars are medians over the trials; the whisker goes from the least to the greatest.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.analysis.claims import Standing
from bench.analysis.sides import Side
from bench.report.run import finding
from bench.report.style import INK, QUIET, ROLE_OPACITIES, ColouredSides, annotate, draw_title
from bench.report.text_table import format_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH = 0.66


@dataclass(frozen=True, slots=True)
class _Bar:
    side: str
    note: str
    values: Sequence[float]
    colour: str
    alpha: float = 1.0
    is_void: bool = False
    """Whether the values do not count: the bar is hatched, and bears no figure."""


def draw_rates(axes: "Axes", sides: ColouredSides) -> None:
    """Draw the rate before and after half of the ports were used, or the one of the whole window."""
    bars = [bar for side, colour in sides for bar in _rate_bars(side, colour)]
    cliff = any(bar.note for bar in bars)
    draw_title(axes, "Requests/s", "before and after half of the ports" if cliff else "over the window")
    _draw(axes, bars, sides)


def draw_connections(axes: "Axes", sides: ColouredSides) -> None:
    """Draw the upstream connections that a thousand requests took."""
    draw_title(axes, "Connections", "per 1,000 requests")
    bars = []
    for side, colour in sides:
        reuse = finding.get_sample(side, "upstream.requests_per_connection").quoted
        bars.append(_Bar(side.name, "", [1000 / each for each in reuse if each], colour))
    _draw(axes, bars, sides)


def draw_cpu(axes: "Axes", sides: ColouredSides) -> None:
    """Draw CPU per request by role, up to the cliff where there is one: what reuse saves before it."""
    cliff = any(finding.has_cliff(side) for side, _ in sides)
    draw_title(axes, "CPU per request, µs", "before half of the ports" if cliff else "over the window")
    key = "cpu_us_per_request_before_cliff"
    costs = [
        {role: finding.compute_median(side, f"{key}.{role}") for role in ROLE_OPACITIES} for side, _ in sides
    ]
    highest = max(sum(cost or 0.0 for cost in stack.values()) for stack in costs)
    for index, (stack, colour) in enumerate(zip(costs, sides.colours, strict=True)):
        base = 0.0
        for role, alpha in ROLE_OPACITIES.items():
            cost = stack[role]
            if cost is None:
                continue
            axes.bar(index, cost, bottom=base, width=_WIDTH, color=colour, alpha=alpha, edgecolor="white")
            middle = base + cost / 2
            if cost > 0.045 * highest:
                ink, figure = "white" if alpha > 0.5 else INK, format_number(cost, "us")
                axes.text(index, middle, figure, ha="center", va="center", size=8.5, color=ink)
            if index == 0:
                axes.text(-0.4, middle, role, ha="right", va="center", size=9, color=QUIET)
            base += cost
        annotate(axes, format_number(base, "us"), (index, base), (0, 3), ha="center", weight="bold", size=9)
    _finish(axes, sides, highest)
    axes.set_xlim(left=-0.62 - 0.3 * len(sides.sides))


def _rate_bars(side: Side, colour: str) -> list[_Bar]:
    before, after = (finding.get_sample(side, f"ports.rate_{when}").quoted for when in ("before", "after"))
    if before and after:
        return [_Bar(side.name, "before", before, colour), _Bar(side.name, "after", after, colour, 0.55)]
    rate = finding.get_sample(side, "requests_per_s")
    return [_Bar(side.name, "", rate.values, colour, is_void=rate.standing is not Standing.COUNTS)]


def _draw(axes: "Axes", bars: Sequence[_Bar], sides: ColouredSides) -> None:
    names = sides.names
    note_size = 8.5 if len(names) < 3 else 7
    tallest = 0.0
    for bar in (bar for bar in bars if bar.values):
        group = [each for each in bars if each.side == bar.side]
        width = 0.84 / len(group) if len(group) > 1 else _WIDTH
        x = names.index(bar.side) + (group.index(bar) - (len(group) - 1) / 2) * width
        middle, highest = statistics.median(bar.values), max(bar.values)
        if bar.is_void:
            axes.bar(x, middle, width=width * 0.96, fill=False, edgecolor=bar.colour, hatch="//", lw=0.8)
        else:
            axes.bar(x, middle, width=width * 0.96, color=bar.colour, alpha=bar.alpha)
            axes.plot([x, x], [min(bar.values), highest], color=INK, lw=1.2)
        label = "void" if bar.is_void else format_number(middle)
        annotate(axes, label, (x, highest), (0, 3), ha="center", size=9, weight="bold")
        if bar.note:
            annotate(axes, bar.note, (x, 0), (0, -4), ha="center", va="top", size=note_size, color=QUIET)
        tallest = max(tallest, highest)
    _finish(axes, sides, tallest)


def _finish(axes: "Axes", sides: ColouredSides, tallest: float) -> None:
    names = sides.names
    crowded = len(names) > 2  # then the first word, and the colour, have to do
    axes.set_xticks(range(len(names)), [next(iter(name.split()), "") if crowded else name for name in names])
    axes.tick_params(axis="x", length=0, pad=16)
    for label, colour in zip(axes.get_xticklabels(), sides.colours, strict=True):
        label.set(color=colour, weight="bold", size=9 if crowded else 9.5)
    axes.set_xlim(-0.55, len(names) - 0.45)
    axes.set_ylim(0, (tallest or 1.0) * 1.1)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
