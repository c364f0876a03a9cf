"""The verdict in the few lines that a live view has for it: what hurts first, and the one change. Pure."""

import textwrap
from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

from bench.watch.verdict import WatchVerdict
from nginx.printable import printable_line

_CHANGE_LINES = 4
"""Half of a change may do nothing: one for a whole location has room, before what the finding means."""


class LineKind(Enum):
    """What a line says, by which a view marks it."""

    HEAD = "head"
    MEANING = "meaning"
    CHANGE = "change"
    MORE = "more"


class VerdictLine(NamedTuple):
    """One line of a verdict."""

    text: str
    kind: LineKind


def condense(verdict: WatchVerdict, width: int, most: int) -> list[VerdictLine]:
    """Return the first finding in at most `most` lines of `width` columns, its change at their end.

    What does not fit is cut; the last line counts the findings beside it.
    """
    if not verdict.faults:
        said = (verdict.seen.sentence(), *verdict.notes)
        head = _wrap(f"{verdict.headline.capitalize()}.", width)
        meaning = [line for sentence in said for line in _wrap(sentence, width)]
        return [*_lines(head, LineKind.HEAD), *_lines(meaning, LineKind.MEANING)][:most]
    first = verdict.faults[0]
    title = f"{first.hop}: {first.pattern.value.replace('-', ' ')} ({first.urgency}, {first.certainty.value})"
    head = _wrap(title, width)
    room = min(_CHANGE_LINES, max(1, most - len(head) - 1))
    change = _cut(_wrap(f"Change: {first.change}", width), room) if first.change else []
    meaning = _wrap(" ".join(first.sentences()), width)
    room = max(0, most - len(head) - len(change) - 1)
    more = len(verdict.findings) - 1
    rest = f"{more} more finding{'s' if more > 1 else ''}; " if more else ""
    return [
        *_lines(head, LineKind.HEAD),
        *_lines(_cut(meaning, room), LineKind.MEANING),
        *_lines(change, LineKind.CHANGE),
        VerdictLine(f"({rest}v shows all that is known)", LineKind.MORE),
    ]


def _lines(texts: Iterable[str], kind: LineKind) -> list[VerdictLine]:
    return [VerdictLine(text, kind) for text in texts]


def _wrap(text: str, width: int) -> list[str]:
    return textwrap.wrap(printable_line(text), width, break_on_hyphens=False)


def _cut(lines: list[str], most: int) -> list[str]:
    """Return the first lines, the last of them marked where something is cut off."""
    if len(lines) <= most:
        return lines
    kept = lines[:most]
    return [*kept[:-1], f"{kept[-1][:-1].rstrip()}…"] if kept else []
