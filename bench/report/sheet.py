"""Compose a picture from charts, bars and heat maps: title, legend, panels, small print, each in its room.

Every text is measured before anything is placed, and no text lies inside the axes but beside the bars: so
nothing covers anything, whatever the names and however many sides. Lengths are in inches, from the top.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.report import style
from bench.report.charts import BarChart, Charts, ChartSide, HeatMap
from bench.report.panels import draw_bars, draw_chart, draw_heat_map, list_mark_lines
from bench.report.style import DASHES, INK, PALETTE, QUIET, WARNING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _MARGIN, _GUTTER = 14.0, 0.45, 0.45
_LEADING = 1.38
"""Height of a line of text, in heights of its letters."""
_LINES_HEIGHT, _ROW_HEIGHT = 2.7, 0.235
_LEFT_OF_LINES, _BELOW_LINES, _BELOW_BARS = 0.72, 0.5, 0.16
_SCALE_HEIGHT = 0.26
_CELL_WIDTH, _CELL_HEIGHT = 1.1, 0.32
_LONGEST_NAME = 2.2
_TAIL = 8
_STATED = 28.0
"""Points: letters of ten pixels where the picture is as wide as a phone."""
_POINTS = 72.0


@dataclass(slots=True)
class Sheet:
    """A figure that grows downwards: what is written next stands below what was."""

    figure: "Figure"
    top: float = 0.3
    _placed: list[Callable[[float], None]] = field(default_factory=list)

    @property
    def inner(self) -> float:
        """Return the width between the margins."""
        return _WIDTH - 2 * _MARGIN

    def write(self, text: str, size: float, gap: float = 0.0, **look: Any) -> None:
        """Write a paragraph over the whole width, and leave a gap below it."""
        self.top = self._write_lines((_MARGIN, self.top, self.inner), text, size, look) + gap

    def add_legend(self, sides: Sequence[ChartSide]) -> None:
        """Write the names of the sides, each with its colour and its dashes, and as many in a row as fit."""
        left, size, swatch = _MARGIN, 10.5, 0.42
        for side in sides:
            name = elide(self.figure, side.name + (" (void)" if side.is_void else ""), size, self.inner - 1)
            width = swatch + measure(self.figure, name, size, weight="bold") + 0.35
            if left > _MARGIN and left + width > _WIDTH - _MARGIN:
                left, self.top = _MARGIN, self.top + size * 1.6 / _POINTS
            colour = PALETTE[side.colour % len(PALETTE)]
            self._draw_swatch(
                left, self.top + size * 0.66 / _POINTS, colour, DASHES[side.dashes % len(DASHES)]
            )
            self._place_text((left + swatch, self.top), name, size, {"weight": "bold", "color": colour})
            left += width
        self.top += 10.5 * 1.6 / _POINTS + 0.1

    def add_charts(self, charts: Charts) -> None:
        """Draw the charts, at most three beside each other."""
        across = {1: 1, 2: 2, 4: 2}.get(len(charts.charts), 3)
        width = (self.inner - (across - 1) * _GUTTER) / across
        for begin in range(0, len(charts.charts), across):
            row = charts.charts[begin : begin + across]
            heads = [self._write_head(index, width, each.title, each.unit) for index, each in enumerate(row)]
            below, feet = max(heads) + 0.08, []
            for index, chart in enumerate(row):
                left = _MARGIN + index * (width + _GUTTER)
                axes = self._add_axes(left + _LEFT_OF_LINES, below, width - _LEFT_OF_LINES, _LINES_HEIGHT)
                draw_chart(axes, chart, charts.sides)
                foot = below + _LINES_HEIGHT + _BELOW_LINES
                for line in list_mark_lines(chart):
                    foot = self._write_lines(
                        (left + _LEFT_OF_LINES, foot, width - _LEFT_OF_LINES), line, 8.5, {"color": QUIET}
                    )
                feet.append(foot)
            self.top = max(feet) + 0.2

    def add_bars(self, charts: Sequence[BarChart]) -> None:
        """Draw the bars, two panels beside each other."""
        width = (self.inner - _GUTTER) / 2
        for begin in range(0, len(charts), 2):
            row = charts[begin : begin + 2]
            heads = [self._write_head(index, width, each.title, each.unit) for index, each in enumerate(row)]
            below = max(heads) + 0.04
            for index, chart in enumerate(row):
                self._add_bar_panel(_MARGIN + index * (width + _GUTTER), below, width, chart)
            scale = _SCALE_HEIGHT if any(chart.ticks for chart in row) else 0.0
            self.top = below + max(len(chart.rows) for chart in row) * _ROW_HEIGHT + scale + _BELOW_BARS

    def add_heat_maps(self, heats: Sequence[HeatMap]) -> None:
        """Draw heat maps, each below the one before."""
        for heat in heats:
            axes_of_it = f"{heat.y_name} downwards, {heat.x_name} to the right"
            below = self._write_head(0, self.inner, heat.title, axes_of_it) + 0.06
            named = max(measure(self.figure, name, 8.5) for name, _ in heat.rows) + 0.15
            width = min(self.inner - named, len(heat.columns) * _CELL_WIDTH)
            height = len(heat.rows) * _CELL_HEIGHT
            draw_heat_map(self._add_axes(_MARGIN + named, below, width, height), heat)
            self.top = below + height + _BELOW_LINES

    def finish(self) -> "Figure":
        """Give the figure its height, and place everything on it; return it."""
        height = self.top + 0.15
        self.figure.set_size_inches(_WIDTH, height)
        for place in self._placed:
            place(height)
        return self.figure

    def _add_bar_panel(self, left: float, top: float, width: float, chart: BarChart) -> None:
        names = [elide(self.figure, bar.label, 8.5, _LONGEST_NAME) for bar in chart.rows]
        named = max(measure(self.figure, name, 8.5) for name in names) + 0.12
        figured = max(measure(self.figure, bar.text, 8.5, weight="bold") for bar in chart.rows) + 0.22
        height = len(chart.rows) * _ROW_HEIGHT
        for row, (bar, name) in enumerate(zip(chart.rows, names, strict=True)):
            at = top + row * _ROW_HEIGHT + 0.045
            self._place_text((left, at), name, 8.5, {"color": INK})
            look = {"color": QUIET if bar.is_void or bar.value is None else INK, "weight": "bold"}
            self._place_text((left + width - figured + 0.14, at), bar.text, 8.5, look)
        draw_bars(self._add_axes(left + named, top, width - named - figured, height), chart)

    def _write_head(self, index: int, width: float, title: str, unit: str) -> float:
        """Write a panel's name, and below it what it measures; return where that ends."""
        left = _MARGIN + index * (width + _GUTTER)
        below = self._write_lines((left, self.top, width), title, 12, {"weight": "bold"})
        return self._write_lines((left, below, width), unit, 9, {"color": QUIET}) if unit else below

    def _write_lines(
        self, place: tuple[float, float, float], text: str, size: float, look: dict[str, Any]
    ) -> float:
        """Write a text at (left, top) and as wide as `place` says; return where it ends."""
        left, top, width = place
        for line in wrap(self.figure, text, size, width, weight=look.get("weight", "normal")):
            self._place_text((left, top), line, size, look)
            top += size * _LEADING / _POINTS
        return top

    def _place_text(self, place: tuple[float, float], text: str, size: float, look: dict[str, Any]) -> None:
        left, top = place
        self._placed.append(
            lambda height: _ignore(
                self.figure.text(left / _WIDTH, 1 - top / height, text, size=size, va="top", **look)
            )
        )

    def _draw_swatch(self, left: float, middle: float, colour: str, dashes: Any) -> None:
        from matplotlib.lines import Line2D  # noqa: PLC0415

        ends = (left / _WIDTH, (left + 0.32) / _WIDTH)
        self._placed.append(
            lambda height: _ignore(
                self.figure.add_artist(Line2D(ends, [1 - middle / height] * 2, color=colour, lw=3, ls=dashes))
            )
        )

    def _add_axes(self, left: float, top: float, width: float, height: float) -> "Axes":
        axes = self.figure.add_axes((0, 0, 1, 1))
        self._placed.append(
            lambda whole: axes.set_position(
                (left / _WIDTH, 1 - (top + height) / whole, width / _WIDTH, height / whole)
            )
        )
        return axes


def compose(
    title: Sequence[str],
    sentence: str,
    charts: Charts | None,
    bars: Sequence[BarChart],
    *,
    heats: Sequence[HeatMap] = (),
    small_print: Sequence[str] = (),
    legend: Sequence[ChartSide] = (),
    stamp: str = "",
    statements: Sequence[tuple[str, str]] = (),
) -> "Figure":
    """Return the picture of a title of one or more lines, a sentence, charts with their legend, and the rest.

    `statements`, each with what it rests on, stand where the title would, and are read on a phone as well.
    `legend` is that of the bars, where their colours mean something else than their names; `stamp` says above
    all else that nothing here counts.
    """
    sheet = Sheet(begin())
    if stamp:
        sheet.write(stamp, 24, 0.05, weight="bold", color=WARNING)
    for text, detail in statements:
        sheet.write(text, _STATED, 0.02, weight="bold")
        sheet.write(detail, 14, 0.12, color=QUIET)
    for line in () if statements else title:
        sheet.write(line, 15 if len(title) < 3 else 11.5, 0.02, weight="bold")
    sheet.top += 0.08
    if sentence:
        sheet.write(sentence, 10.5, 0.12, color=QUIET)
    if charts is not None and charts.charts:
        sheet.add_legend(charts.sides)
        sheet.add_charts(charts)
    if legend:
        sheet.add_legend(legend)
    sheet.add_bars(bars)
    sheet.add_heat_maps(heats)
    for line in small_print:
        sheet.write(line, 8.5, color=QUIET)
    return sheet.finish()


def begin() -> "Figure":
    """Return an empty figure, on which texts can be measured."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(_WIDTH, 10), facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def measure(figure: "Figure", text: str, size: float, weight: str = "normal") -> float:
    """Return how wide a text is, in inches."""
    from matplotlib.font_manager import FontProperties  # noqa: PLC0415

    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    font = FontProperties(family=style.FONTS, size=size, weight=weight)
    return float(renderer.get_text_width_height_descent(text, font, False)[0]) / figure.dpi


def wrap(figure: "Figure", text: str, size: float, width: float, weight: str = "normal") -> list[str]:
    """Return `text` in lines that are not wider than `width`; a word that is wider is broken."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in _split_words(figure, paragraph, size, width, weight):
            longer = f"{line} {word}" if line else word
            if line and measure(figure, longer, size, weight) > width:
                lines.append(line)
                longer = word
            line = longer
        lines.append(line)
    return lines


def elide(figure: "Figure", text: str, size: float, width: float) -> str:
    """Return `text`, or of one that is wider than `width` its begin and its end with an ellipsis between."""
    text = " ".join(text.split())
    cuts = (_cut(text, kept) for kept in range(len(text) - 1, 0, -1))
    return next((each for each in (text, *cuts) if measure(figure, each, size, "bold") <= width), "…")


def _cut(text: str, kept: int) -> str:
    """Return `kept` characters of a text: the end tells two long names apart as often as the begin."""
    tail = min(_TAIL, kept // 2)
    return f"{text[: kept - tail]}…{text[len(text) - tail :]}"


def _split_words(figure: "Figure", text: str, size: float, width: float, weight: str) -> Iterator[str]:
    for word in text.split():
        rest = word
        while measure(figure, rest, size, weight) > width and len(rest) > 1:
            fitting = max(1, int(len(rest) * width / measure(figure, rest, size, weight)) - 1)
            yield rest[:fitting]
            rest = rest[fitting:]
        yield rest


def _ignore(_drawn: object) -> None:
    """Return nothing of what was drawn."""
