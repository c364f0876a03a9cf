"""What a command leaves, as lines that a person can review: JSON, HTML pages and the data of pictures."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import to_hex
from matplotlib.ticker import FixedLocator

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DIGITS = 6
"""Of a float: more would tell releases of numpy apart."""
_HEADINGS_AND_PROSE = (
    "title",
    "h1",
    "h2",
    "h3",
    "p",
    "li",
    "dt",
    "dd",
    "summary",
    "footer",
    "th",
    "td",
    "figcaption",
)
_INLINE = ("a", "b", "i", "input", "label")
_SPACE = re.compile(r"\s+")


def flat(value: Any, path: str = "") -> Iterator[str]:
    """Yield a line `path = value` for each leaf of a JSON value, by the order of the keys' names."""
    if isinstance(value, dict) and value:
        for key in sorted(value):
            yield from flat(value[key], f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value:
        for index, each in enumerate(value):
            yield from flat(each, f"{path}[{index}]")
    else:
        yield f"{path or '.'} = {json.dumps(_rounded(value), ensure_ascii=False)}"


def kinds(value: Any) -> list[str]:
    """Return a line `path: type | type` for each path of a JSON value, whatever the index in a list."""
    found: dict[str, set[str]] = {}
    _collect(value, "", found)
    return [f"{path}: {' | '.join(sorted(names))}" for path, names in sorted(found.items())]


def paths(value: Any, opaque: Sequence[str]) -> list[str]:
    """Return each path of a JSON value without its type, and nothing below those that are opaque."""
    found: dict[str, set[str]] = {}
    _collect(value, "", found)
    inside = tuple(f"{path}{mark}" for path in opaque for mark in ".[")
    return sorted(path for path in found if not path.startswith(inside))


def json_lines(text: str) -> list[Any] | None:
    """Return the objects of `text`, one in each line, or None where it is something else."""
    lines = text.strip().splitlines()
    if not lines or not all(line.startswith("{") and line.endswith("}") for line in lines):
        return None
    return [json.loads(line) for line in lines]


class Page(HTMLParser):
    """A page as lines: its headings, sentences, tables, lists and bars, and what its charts hold."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._row: list[str] = []
        self._text: list[str] = []
        self._is_data = False
        self.feed(document)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _INLINE:
            return
        self._text = []
        self._is_data = dict(attrs).get("type") == "application/json"
        if tag in ("section", "details", "table", "script", "link"):
            self.lines.append(f"<{tag}>")

    def handle_data(self, data: str) -> None:
        self._text.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag in _INLINE:
            return
        text, self._text = "".join(self._text), []
        if tag in ("th", "td"):
            self._row.append(text.rstrip())
        elif tag == "tr":
            self.lines.append(f"row: {' | '.join(self._row)}")
            self._row = []
        elif tag == "span":
            self._row += [text.strip()] if text.strip() else []
        elif tag == "div" and self._row:
            self.lines.append(f"bar: {' | '.join(self._row)}")
            self._row = []
        elif tag == "script" and self._is_data:
            self.lines.extend(_charts(json.loads(text)))
        elif tag == "pre":
            self.lines.extend(_preformatted(text))
        elif tag in _HEADINGS_AND_PROSE:
            self.lines.append(f"{tag}: {_SPACE.sub(' ', text).strip()}")


def _charts(group: dict[str, Any]) -> Iterator[str]:
    """Yield the sides of a group of charts, and of each of its lines what is drawn."""
    yield f"sides: {', '.join(side['name'] + (' (void)' if side['void'] else '') for side in group['sides'])}"
    for chart in group["charts"]:
        marks = [mark["x"] if mark["y"] is None else mark["y"] for mark in chart["marks"]]
        yield f"chart: {chart['unit']}, {chart['x']} by {chart['y']}, marks {marks}"
        for line in chart["lines"]:
            whose = group["sides"][line["side"]]["name"] + (f" {line['label']}" if line["label"] else "")
            ys = [y for y in line["y"] if y is not None]
            yield f"  line {whose}, trial {line['trial']}: {len(ys)} points, y {_summed(ys)}"


def picture(figure: Figure) -> Iterator[str]:
    """Yield what is drawn in `figure`: its texts and, panel by panel, labels, lines, bars and areas."""
    yield from (f"text: {_quoted(text.get_text())}" for text in figure.texts if text.get_text())
    for legend in figure.legends:
        yield f"legend: {', '.join(_quoted(text.get_text()) for text in legend.get_texts())}"
    for index, axes in enumerate(figure.axes, 1):
        yield f"panel {index}: {_panel(axes)}"
        yield from (f"  text: {_quoted(text.get_text())}" for text in axes.texts if text.get_text())
        for name, axis in (("x", axes.xaxis), ("y", axes.yaxis)):
            if isinstance(fixed := axis.get_major_locator(), FixedLocator):
                ticks = axis.get_major_formatter().format_ticks([float(each) for each in fixed()])
                yield f"  {name} ticks: {', '.join(map(_quoted, ticks))}"
        if (inside := axes.get_legend()) is not None:
            yield f"  legend: {', '.join(_quoted(text.get_text()) for text in inside.get_texts())}"
        for line in axes.lines:
            xs, ys = np.asarray(line.get_data(), dtype=float).tolist()
            kind = f"{line.get_color()} {line.get_linestyle()}"
            yield f"  line {kind}: {len(xs)} points, x {_summed(xs)}, y {_summed(ys)}"
        for patch in axes.patches:
            box = patch.get_path().transformed(patch.get_patch_transform()).get_extents()
            colour = to_hex(patch.get_facecolor())
            yield f"  patch {colour}: x {_span(box.x0, box.x1)}, y {_span(box.y0, box.y1)}"
        for collection in axes.collections:
            yield f"  {type(collection).__name__}: {len(collection.get_paths())} paths"


def _panel(axes: Axes) -> str:
    scales = f"{axes.get_xscale()} by {axes.get_yscale()}"
    labels = " by ".join(map(_quoted, (axes.get_xlabel(), axes.get_ylabel())))
    return f"title {_quoted(axes.get_title())}, axes {labels}, {scales}{'' if axes.axison else ', hidden'}"


def _preformatted(text: str) -> Iterator[str]:
    objects = json_lines(text)
    if objects is None:
        yield from (f"pre: {line}" for line in text.rstrip().splitlines())
    else:
        yield f"pre: JSON lines, {len(objects)} of them"
        yield from (f"pre: {line}" for line in kinds(objects))


def _collect(value: Any, path: str, found: dict[str, set[str]]) -> None:
    if path:
        found.setdefault(path, set()).add("number" if _is_number(value) else type(value).__name__)
    if isinstance(value, dict):
        for key, each in value.items():
            _collect(each, f"{path}.{key}" if path else key, found)
    elif isinstance(value, list):
        for each in value:
            _collect(each, f"{path}[]", found)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _rounded(value: Any) -> Any:
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _summed(values: Sequence[float]) -> str:
    if not values:
        return "none"
    return f"{_span(min(values), max(values))} sum {sum(values):.{_DIGITS}g}"


def _span(low: float, high: float) -> str:
    return f"{low:.{_DIGITS}g} to {high:.{_DIGITS}g}"
