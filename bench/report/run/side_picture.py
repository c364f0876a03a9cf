"""Draw the picture of a run or a comparison, side by side: a sentence and six panels.

matplotlib is imported where it is used, with figure objects only: no display, no pyplot, no state
between figures. What each panel shows is in lines.py and bars.py.
"""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.analysis.sides import Side, split
from bench.report import style
from bench.report.run import bars, finding, lines
from bench.runs import read, timeline

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURE = "picture"


def save_run(directory: Path) -> tuple[Path, Path]:
    """Draw the run in `directory` into it; return the paths of the PNG and the SVG."""
    sides = split(read.read(directory), timeline.read(directory))
    return style.save_figure(directory / PICTURE, draw, sides)


def draw(sides: Sequence[Side]) -> "Figure":
    """Return the figure of one or more sides: rate, TIME_WAIT, latency, and the bars."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(14, 9.6), facecolor="white")
    FigureCanvasAgg(figure)
    clauses = finding.format_headline(sides)
    title = textwrap.fill("; ".join(clauses), 100) if len(clauses) < 3 else "\n".join(clauses)
    size = 15 if title.count("\n") < 2 else 11.5
    figure.text(0.04, 0.975, title, size=size, weight="bold", va="top", linespacing=1.35)
    figure.text(0.04, 0.012, finding.format_conditions(sides), size=8.5, color=style.QUIET, va="bottom")
    top = figure.add_gridspec(1, 2, left=0.06, right=0.885, top=0.83, bottom=0.535, wspace=0.44)
    low = figure.add_gridspec(
        1, 2, left=0.06, right=0.985, top=0.415, bottom=0.115, wspace=0.3, width_ratios=(1, 1.32)
    )
    three = low[0, 1].subgridspec(1, 3, width_ratios=(1.5, 1, 1.35), wspace=0.2)
    coloured = style.ColouredSides.of(sides)
    lines.draw_rate(figure.add_subplot(top[0, 0]), coloured)
    lines.draw_time_wait(figure.add_subplot(top[0, 1]), coloured)
    lines.draw_latency(figure.add_subplot(low[0, 0]), coloured)
    bars.draw_rates(figure.add_subplot(three[0, 0]), coloured)
    bars.draw_connections(figure.add_subplot(three[0, 1]), coloured)
    bars.draw_cpu(figure.add_subplot(three[0, 2]), coloured)
    if stamp := finding.format_stamp(sides):
        figure.text(
            0.5, 0.5, stamp, size=60, weight="bold", color=style.QUIET, alpha=0.22, rotation=20, ha="center",
            va="center",
        )  # fmt: skip
    return figure
