"""Set the style of every picture: colours, inks and dashes, text on axes, and how a figure is written."""

import io
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, ParamSpec

from bench.analysis.sides import Side
from bench.report import saving

if TYPE_CHECKING:
    from matplotlib.figure import Figure

P = ParamSpec("P")

INK, QUIET, FAINT, SHADE = "#222222", "#5A5A5A", "#E4E4E4", "#F3F3F3"
WARNING = "#B45309"
PALETTE = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A4B1E", "#6E6E6E")
"""The palette of Okabe and Ito (Color Universal Design, 2008), distinct with any kind of colour vision, with
a brown and a grey in place of their yellow and black, which do not show on white and beside text."""
_MODE_RANKS = {"short": 0, "keepalive": 1}
HOLDER_RANKS = {"proxy": 0, "backend": 4, "nobody": 1, "unseen": 7}
"""Of colours, by who holds TIME_WAIT: the proxy (its ports run out), the backend, none; or not measured."""
HOSTS = {"proxy": 0, "backend": 1, "client": 3}
"""The rank of the dashes of their lines; dots are those of trials that do not count."""
VOID_DASHES: Any = (0, (1, 2))
"""Of trials that do not count."""
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (3, 1, 1, 1)), (0, (8, 2)), (0, (2, 2)))
"""By rank: of lines of one colour. A variant's colour is the same on every subject, and the dashes differ."""
TEXT_GROUND = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.0}
"""The ground behind text that lies on lines."""
FONTS = ("DejaVu Sans",)
_SETTINGS: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": list(FONTS),
    "font.size": 9.5,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": QUIET,
    "axes.labelsize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "svg.hashsalt": "bench",
    # Names come from files: a dollar sign in one begins no formula.
    "text.parse_math": False,
}
_UNSAVED = "the picture cannot be written"


@dataclass(frozen=True, slots=True)
class ColouredSides:
    """The sides of a picture, each with the rank of its colour in the palette."""

    sides: tuple[Side, ...]
    ranks: tuple[int, ...]

    @classmethod
    def of(cls, sides: Sequence[Side]) -> "ColouredSides":
        """Colour each side after its mode, or in turn where a mode is there twice."""
        modes = [side.mode for side in sides]
        if len(set(modes)) == len(modes):
            return cls(tuple(sides), tuple(_MODE_RANKS.get(mode, 2) for mode in modes))
        return cls(tuple(sides), tuple(index % len(PALETTE) for index in range(len(sides))))

    @property
    def colours(self) -> tuple[str, ...]:
        """Return the colour of each side."""
        return tuple(PALETTE[rank] for rank in self.ranks)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the sides."""
        return tuple(side.name for side in self.sides)

    def __iter__(self) -> Iterator[tuple[Side, str]]:
        return iter(zip(self.sides, self.colours, strict=True))


def save_figure(
    stem: Path, draw: "Callable[P, Figure]", *args: P.args, **kwargs: P.kwargs
) -> tuple[Path, Path]:
    """Write what `draw` returns as `stem`.png and `stem`.svg; return their paths. WriteError on failure."""
    matplotlib = _import_matplotlib()
    png, svg = stem.with_name(f"{stem.name}.png"), stem.with_name(f"{stem.name}.svg")
    drawn, vectors = io.BytesIO(), io.BytesIO()
    with matplotlib.rc_context(_SETTINGS):
        figure = draw(*args, **kwargs)
        figure.savefig(drawn, format="png", dpi=130)
        figure.savefig(vectors, format="svg", metadata={"Date": None})
    saving.make_folder(stem.parent, _UNSAVED)
    saving.save(png, drawn.getvalue(), _UNSAVED)
    saving.save(svg, vectors.getvalue(), _UNSAVED)
    return png, svg


def _import_matplotlib() -> ModuleType:
    """Import matplotlib without the user's choice of windows: pictures need none, and it may be no choice."""
    os.environ.pop("MPLBACKEND", None)
    # Where the disk is full its cache of fonts is not kept: that is no concern of who asks for a picture.
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    import matplotlib  # noqa: PLC0415

    return matplotlib


def render_svg(draw: "Callable[P, Figure]", *args: P.args, **kwargs: P.kwargs) -> str:
    """Return what `draw` returns as SVG: the same text for the same figures."""
    matplotlib = _import_matplotlib()
    written = io.StringIO()
    with matplotlib.rc_context(_SETTINGS):
        draw(*args, **kwargs).savefig(written, format="svg", metadata={"Date": None})
    return written.getvalue()
