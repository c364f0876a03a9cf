"""The picture of a run or a comparison: a sentence, four panels, PNG and SVG.

matplotlib is imported where it is used, with figure objects only: no display, no pyplot, no state
between figures. What each panel shows is in panels.py and bars.py.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import results, series
from bench.analysis.sides import Side, split
from bench.errors import ResultsError
from bench.report import bars, canvas, finding, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURE = "picture"
_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.5,
    "axes.edgecolor": canvas.QUIET,
    "axes.labelcolor": canvas.QUIET,
    "axes.labelsize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": canvas.INK,
    "xtick.color": canvas.QUIET,
    "ytick.color": canvas.QUIET,
    "svg.hashsalt": "bench",
}


def save_run(directory: Path) -> tuple[Path, Path]:
    """Draw the run in `directory` into it; return the paths of the PNG and the SVG."""
    return save(split(results.read(directory), series.read(directory)), directory / PICTURE)


def save(sides: Sequence[Side], stem: Path) -> tuple[Path, Path]:
    """Draw `sides` and write `stem`.png and `stem`.svg; return their paths, ResultsError if unwritable."""
    import matplotlib  # noqa: PLC0415

    png, svg = stem.with_name(f"{stem.name}.png"), stem.with_name(f"{stem.name}.svg")
    with matplotlib.rc_context(_STYLE):
        figure = draw(sides)
        try:
            stem.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(png, dpi=130)
            figure.savefig(svg, metadata={"Date": None})
        except OSError as error:
            reason = f"the picture cannot be written: {error.strerror}; choose another path with -o"
            raise ResultsError(png, None, reason) from error
    return png, svg


def as_svg(sides: Sequence[Side]) -> str:
    """Return the picture of `sides` as SVG, the same for the same sides."""
    import io  # noqa: PLC0415

    import matplotlib  # noqa: PLC0415

    drawn = io.StringIO()
    with matplotlib.rc_context(_STYLE):
        draw(sides).savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue()


def draw(sides: Sequence[Side]) -> Figure:
    """Return the figure of one or more sides: rate, TIME_WAIT, latency, and the bars."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(14, 9.6), facecolor="white")
    FigureCanvasAgg(figure)
    clauses = finding.headline(sides)
    title = textwrap.fill("; ".join(clauses), 100) if len(clauses) < 3 else "\n".join(clauses)
    size = 15 if title.count("\n") < 2 else 11.5
    figure.text(0.04, 0.975, title, size=size, weight="bold", va="top", linespacing=1.35)
    figure.text(0.04, 0.012, finding.conditions(sides), size=8.5, color=canvas.QUIET, va="bottom")
    top = figure.add_gridspec(1, 2, left=0.06, right=0.885, top=0.83, bottom=0.535, wspace=0.44)
    low = figure.add_gridspec(
        1, 2, left=0.06, right=0.985, top=0.415, bottom=0.115, wspace=0.3, width_ratios=(1, 1.32)
    )
    three = low[0, 1].subgridspec(1, 3, width_ratios=(1.5, 1, 1.35), wspace=0.2)
    drawn = canvas.Drawn.of(sides)
    panels.rate(figure.add_subplot(top[0, 0]), drawn)
    panels.time_wait(figure.add_subplot(top[0, 1]), drawn)
    panels.latency(figure.add_subplot(low[0, 0]), drawn)
    bars.rates(figure.add_subplot(three[0, 0]), drawn)
    bars.connections(figure.add_subplot(three[0, 1]), drawn)
    bars.cpu(figure.add_subplot(three[0, 2]), drawn)
    return figure
