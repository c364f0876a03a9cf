"""The panels of the picture that are bars: rate before and after, connections, CPU per request.

Bars are medians over the trials; the whisker goes from the least to the greatest.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.analysis.sides import Side
from bench.report.canvas import INK, QUIET, Drawn, annotate, title
from bench.report.figures import number
from bench.report.run import finding

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH = 0.66
_SHADES = (("proxy", 1.0), ("backend", 0.62), ("client", 0.3))  # the proxy first: it is what is judged


@dataclass(frozen=True, slots=True)
class _Bar:
    side: str
    note: str
    values: Sequence[float]
    colour: str
    alpha: float = 1.0


def rates(axes: Axes, drawn: Drawn) -> None:
    """Draw the rate before and after half of the ports were used, or the one of the whole window."""
    bars = [bar for side, colour in drawn for bar in _rates(side, colour)]
    cliff = any(bar.note for bar in bars)
    title(axes, "Requests/s", "before and after half of the ports" if cliff else "over the window")
    _draw(axes, bars, drawn)


def connections(axes: Axes, drawn: Drawn) -> None:
    """Draw the upstream connections that a thousand requests took."""
    title(axes, "Connections", "per 1,000 requests")
    bars = []
    for side, colour in drawn:
        reuse = finding.figures(side, "upstream.requests_per_connection")
        bars.append(_Bar(side.name, "", [1000 / each for each in reuse if each], colour))
    _draw(axes, bars, drawn)


def cpu(axes: Axes, drawn: Drawn) -> None:
    """Draw CPU per request by role, up to the cliff where there is one: what reuse saves before it."""
    cliff = any(finding.median(side, "ports.half_range_passed_s") is not None for side, _ in drawn)
    title(axes, "CPU per request, µs", "before half of the ports" if cliff else "over the window")
    sums = [
        sum(finding.median(side, f"cpu_us_per_request_before_cliff.{role}") or 0.0 for role, _ in _SHADES)
        for side, _ in drawn
    ]
    for index, (side, colour) in enumerate(drawn):
        base = 0.0
        for role, alpha in _SHADES:
            cost = _cost_us(side, role)
            if cost is None:
                continue
            axes.bar(index, cost, bottom=base, width=_WIDTH, color=colour, alpha=alpha, edgecolor="white")
            if cost > 0.045 * max(sums):
                ink = "white" if alpha > 0.5 else INK
                axes.text(
                    index, base + cost / 2, number(cost, "us"), ha="center", va="center", size=8.5, color=ink
                )
            if index == 0:
                axes.text(-0.4, base + cost / 2, role, ha="right", va="center", size=9, color=QUIET)
            base += cost
        annotate(axes, number(base, "us"), (index, base), (0, 3), ha="center", weight="bold", size=9)
    _finish(axes, drawn, max(sums))
    axes.set_xlim(left=-0.62 - 0.3 * len(drawn.sides))


def _rates(side: Side, colour: str) -> list[_Bar]:
    before, after = finding.figures(side, "ports.rate_before"), finding.figures(side, "ports.rate_after")
    if before and after:
        return [_Bar(side.name, "before", before, colour), _Bar(side.name, "after", after, colour, 0.55)]
    return [_Bar(side.name, "", finding.figures(side, "requests_per_s"), colour)]


def _cost_us(side: Side, role: str) -> float | None:
    return finding.median(side, f"cpu_us_per_request_before_cliff.{role}")


def _draw(axes: Axes, bars: Sequence[_Bar], drawn: Drawn) -> None:
    names = drawn.names
    tallest = 0.0
    for bar in (bar for bar in bars if bar.values):
        group = [each for each in bars if each.side == bar.side]
        width = 0.84 / len(group) if len(group) > 1 else _WIDTH
        x = names.index(bar.side) + (group.index(bar) - (len(group) - 1) / 2) * width
        middle = statistics.median(bar.values)
        axes.bar(x, middle, width=width * 0.96, color=bar.colour, alpha=bar.alpha)
        axes.plot([x, x], [min(bar.values), max(bar.values)], color=INK, lw=1.2)
        annotate(axes, number(middle), (x, max(bar.values)), (0, 3), ha="center", size=9, weight="bold")
        if bar.note:
            annotate(
                axes,
                bar.note,
                (x, 0),
                (0, -4),
                ha="center",
                va="top",
                size=8.5 if len(names) < 3 else 7,
                color=QUIET,
            )
        tallest = max(tallest, *bar.values)
    _finish(axes, drawn, tallest)


def _finish(axes: Axes, drawn: Drawn, tallest: float) -> None:
    names = drawn.names
    crowded = len(names) > 2  # then the first word, and the colour, have to do
    axes.set_xticks(range(len(names)), [name.split()[0] if crowded else name for name in names])
    axes.tick_params(axis="x", length=0, pad=16)
    for label, colour in zip(axes.get_xticklabels(), drawn.colours, strict=True):
        label.set(color=colour, weight="bold", size=9 if crowded else 9.5)
    axes.set_xlim(-0.55, len(names) - 0.45)
    axes.set_ylim(0, (tallest or 1.0) * 1.1)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
