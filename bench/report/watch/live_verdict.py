"""The verdict in the few lines that a live view has for it: what hurts first, and the one change. Pure."""

import textwrap

from bench.watch.verdict import WatchVerdict

_CHANGE_LINES = 2


def condense(verdict: WatchVerdict, width: int, most: int) -> list[str]:
    """Return the first finding in at most `most` lines of `width` columns, its change at their end.

    What does not fit is cut; the last line counts the findings beside it.
    """
    if not verdict.faults:
        notes = [line for note in verdict.notes for line in _wrap(note, width)]
        return [
            *_wrap(f"{verdict.headline.capitalize()}.", width),
            *_wrap(verdict.seen.sentence(), width),
            *notes,
        ][:most]
    first = verdict.faults[0]
    title = f"{first.hop}: {first.pattern.value.replace('-', ' ')} ({first.urgency}, {first.certainty.value})"
    change = _cut(_wrap(f"Change: {first.change}", width), _CHANGE_LINES) if first.change else []
    more = len(verdict.findings) - 1
    rest = f"{more} more finding{'s' if more > 1 else ''}: " if more else ""
    last = f"({rest}v shows all that is known)"
    head = _wrap(title, width)
    meaning = _wrap(" ".join(first.sentences()), width)
    room = most - len(head) - len(change) - 1
    return [*head, *_cut(meaning, max(0, room)), *change, last]


def _wrap(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_on_hyphens=False)


def _cut(lines: list[str], most: int) -> list[str]:
    """Return the first lines, the last of them marked where something is cut off."""
    if len(lines) <= most:
        return lines
    kept = lines[:most]
    return [*kept[:-1], f"{kept[-1][:-1].rstrip()}…"] if kept else []
