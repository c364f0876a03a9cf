"""How a figure becomes a picture: one style for all, PNG and SVG, the same bytes for the same figures."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import ResultsError
from bench.report import canvas

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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


def save(draw: Callable[[], Figure], stem: Path) -> tuple[Path, Path]:
    """Write what `draw` returns as `stem`.png and `stem`.svg; return their paths. ResultsError on failure."""
    import matplotlib  # noqa: PLC0415

    png, svg_ = stem.with_name(f"{stem.name}.png"), stem.with_name(f"{stem.name}.svg")
    with matplotlib.rc_context(_STYLE):
        figure = draw()
        try:
            stem.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(png, dpi=130)
            figure.savefig(svg_, metadata={"Date": None})
        except OSError as error:
            reason = f"the picture cannot be written: {error.strerror}; choose another path with -o"
            raise ResultsError(png, None, reason) from error
    return png, svg_


def svg(draw: Callable[[], Figure]) -> str:
    """Return what `draw` returns as SVG."""
    import matplotlib  # noqa: PLC0415

    drawn = io.StringIO()
    with matplotlib.rc_context(_STYLE):
        draw().savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue()
