"""Where the texts of a figure lie, as matplotlib's renderer draws them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox, BboxBase

_TOUCH = 0.5
"""Pixels that two boxes may share: the letters in them do not."""


def list_faults(figure: Figure) -> list[str]:
    """Return which texts of `figure` cover each other, a panel's data, or leave the canvas."""
    figure.canvas.draw()
    boxes = [(text.get_text(), text.get_window_extent()) for text in _list_texts(figure)]
    panels = [axes.get_window_extent() for axes in figure.axes]
    covered = [f"{one!r} over {two!r}" for (one, a), (two, b) in combinations(boxes, 2) if _overlap(a, b)]
    inside = [
        f"{text!r} inside a panel" for text, box in boxes if any(_overlap(box, each) for each in panels)
    ]
    outside = [f"{text!r} leaves the canvas" for text, box in boxes if not _is_within(box, figure.bbox)]
    return covered + inside + outside


def _list_texts(figure: Figure) -> Iterator[Text]:
    """Yield the texts that are drawn: of the ticks only those within their axis."""
    yield from (text for text in figure.texts if text.get_text().strip())
    for axes in figure.axes:
        texts = [*axes.texts, axes.title, axes.xaxis.label, axes.yaxis.label]
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            span = 1e-9 * (high - low)
            ticks = zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=True)
            texts += [label for at, label in ticks if low - span <= at <= high + span]
        yield from (text for text in texts if text.get_visible() and text.get_text().strip())


def _overlap(one: Bbox, two: Bbox) -> bool:
    shared = Bbox.intersection(one, two)
    return shared is not None and min(shared.width, shared.height) > _TOUCH


def _is_within(box: Bbox, canvas: BboxBase) -> bool:
    return bool(box.x0 >= canvas.x0 and box.y0 >= canvas.y0 and box.x1 <= canvas.x1 and box.y1 <= canvas.y1)
