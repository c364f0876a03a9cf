"""Draw the picture of a run or a comparison, side by side: what its page draws, on one sheet."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.analysis.sides import Side, split
from bench.report import sheet, style
from bench.report.run import charts, finding, machine_charts
from bench.runs import read, timeline

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURE = "picture"


def save_run(directory: Path) -> tuple[Path, Path]:
    """Draw the run in `directory` into it; return the paths of the PNG and the SVG."""
    sides = split(read.read(directory), timeline.read(directory))
    return style.save_figure(directory / PICTURE, draw, sides)


def draw(sides: Sequence[Side]) -> "Figure":
    """Return the figure of one or more sides: rate, TIME_WAIT and latency, and the bars."""
    title, small_print = finding.format_headline(sides), finding.format_conditions(sides)
    title = ["; ".join(title)] if len(title) < 3 else title
    bars, lines = charts.build_glance(sides).blocks, charts.build_charts(sides)
    if any(side.run.machines for side in sides):
        bars = [*bars, *machine_charts.build_glance(sides).blocks]
        lines = replace(lines, charts=[*lines.charts, *machine_charts.build_charts(sides).charts])
    return sheet.compose(
        title,
        "",
        lines,
        bars,
        small_print=small_print,
        stamp=finding.format_stamp(sides),
        statements=finding.state_cliff(sides),
    )
