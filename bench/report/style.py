"""What the panels share: the sides with their colours, the inks, and how text is put on axes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.analysis.sides import Side

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, QUIET, FAINT = "#222222", "#5A5A5A", "#E4E4E4"
VEIL = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.0}
"""The ground behind text that lies on lines."""
_BY_MODE = {"short": "#D55E00", "keepalive": "#0072B2"}
IN_TURN = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""The palette of Okabe and Ito (Color Universal Design, 2008), told apart with any kind of colour vision."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """The sides of a picture, each with its colour."""

    sides: tuple[Side, ...]
    colours: tuple[str, ...]

    @classmethod
    def of(cls, sides: Sequence[Side]) -> Drawn:
        """Colour each side after its mode, or in turn where a mode is there twice."""
        modes = [side.mode for side in sides]
        if len(set(modes)) == len(modes):
            return cls(tuple(sides), tuple(_BY_MODE.get(mode, IN_TURN[2]) for mode in modes))
        return cls(tuple(sides), tuple(IN_TURN[index % len(IN_TURN)] for index in range(len(sides))))

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the sides."""
        return tuple(side.name for side in self.sides)

    def __iter__(self) -> Iterator[tuple[Side, str]]:
        return iter(zip(self.sides, self.colours, strict=True))


def title(axes: Axes, name: str, unit: str) -> None:
    """Write a panel's name above it, and below the name what it measures."""
    annotate(axes, name, (0, 1), (0, 24), xycoords="axes fraction", size=12, weight="bold", va="bottom")
    annotate(axes, unit, (0, 1), (0, 9), xycoords="axes fraction", size=9.5, color=QUIET, va="bottom")


def annotate(
    axes: Axes, text: str, at: tuple[float, float], offset: tuple[float, float], **style: Any
) -> None:
    """Write `text` at `offset` points from `at`, which is in data coordinates unless `xycoords` says else."""
    axes.annotate(text, at, xytext=offset, textcoords="offset points", **style)
