"""A look of a watch as text: what wastes connections first, in words, then the hops as a table."""

import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bench import units
from bench.report.text_table import terminal_width
from bench.report.watch import words
from bench.watch import verdict_text
from bench.watch.hop_table import HopRow
from bench.watch.model import Direction, Snapshot, Source
from bench.watch.session import Look
from nginx.printable import printable_line

MOST_HOPS = 20
"""Hops of the table; the others are counted below it."""
_WIDEST = 110
_NARROWEST_HOP = 18


@dataclass(frozen=True, slots=True)
class TextColumn:
    """One column of the table: its heading, its cell, and the least width of the terminal that has it."""

    heading: str
    cell: Callable[[HopRow], str]
    needs: int = 0


COLUMNS = (
    TextColumn("opened/s", words.opened),
    TextColumn("closed by", words.closed_by),
    TextColumn("estab", lambda row: units.count(row.state.established), 64),
    TextColumn("TIME_WAIT", lambda row: units.count(row.state.time_wait)),
    TextColumn("ports", words.ports_used),
    TextColumn("req/conn", words.requests_per_connection, 70),
    TextColumn("ports left", words.ports_left, 104),
)


def format_look(look: Look, scope: str, bold: Callable[[str], str] = str) -> str:
    """Return a look from its verdict to its table and what limits it, within the width of the terminal."""
    return "\n".join(
        [
            *format_verdict(look, bold),
            "",
            *format_table(look.rows),
            "",
            *format_foot(look, scope),
        ]
    )


def format_verdict(look: Look, bold: Callable[[str], str] = str) -> Iterator[str]:
    """Yield the lines of the verdict: each finding, what it means, and the one change to make."""
    headline, *others = verdict_text.lines(look.verdict, min(_WIDEST, terminal_width()))
    yield bold(printable_line(headline))
    yield from map(printable_line, others)


def format_table(rows: Sequence[HopRow]) -> Iterator[str]:
    """Yield the lines of the table of the hops."""
    width = min(_WIDEST, terminal_width())
    columns = [each for each in COLUMNS if each.needs <= width]
    shown = rows[:MOST_HOPS]
    cells = [[column.cell(row) for column in columns] for row in shown]
    widths = [
        max(len(text) for text in (column.heading, *(row[index] for row in cells)))
        for index, column in enumerate(columns)
    ]
    room = width - sum(widths) - 2 * len(widths)
    if room < _NARROWEST_HOP:
        yield from _stacked(shown, width)
    else:
        yield from _side_by_side(shown, columns, cells, widths, room)
    if not rows:
        yield "no TCP connection seen"
    if len(rows) > MOST_HOPS:
        yield f"and {units.plural(len(rows) - MOST_HOPS, 'more hop')}"


def _side_by_side(
    shown: Sequence[HopRow],
    columns: Sequence[TextColumn],
    cells: Sequence[Sequence[str]],
    widths: Sequence[int],
    room: int,
) -> Iterator[str]:
    """Yield a line of headings and one for each hop, whose name has `room`."""
    names = [words.name(row, room) for row in shown]
    room = max(map(len, (*names, "hop")))
    for name, row in zip(("hop", *names), ([each.heading for each in columns], *cells), strict=True):
        figures = (text.rjust(size) for text, size in zip(row, widths, strict=True))
        yield "  ".join((name.ljust(room), *figures)).rstrip()


def _stacked(shown: Sequence[HopRow], width: int) -> Iterator[str]:
    """Yield a paragraph for each hop: its name, and a line for each figure that there is."""
    for row in shown:
        yield words.name(row, width)
        figures = ((column.heading, column.cell(row)) for column in COLUMNS)
        for name, cell in figures:
            if cell != "-":
                yield from _wrap(f"{name}: {cell}", "  ", "    ")


def format_foot(look: Look, scope: str) -> Iterator[str]:
    """Yield what was watched, for how long and how, and what limits the answer."""
    snapshot = look.snapshot
    seconds = f"{snapshot.t_s:.0f} s" if snapshot.t_s >= 10 else f"{snapshot.t_s:.1f} s"
    notes = [f"{scope}, {words.source(snapshot)}, {seconds}", *explain(look.rows)]
    for note in notes:
        yield from _wrap(note)


def explain(rows: Sequence[HopRow]) -> Iterator[str]:
    """Yield what the marks in a table of these rows mean."""
    if any(row.hop.direction is Direction.INCOMING for row in rows):
        yield "hop: this host connects to ADDRESS:PORT; ADDRESS to :PORT connects to this host"
    if any(row.is_unattributed for row in rows):
        yield f"{words.NOT_SEEN} none of these processes was seen on this hop: it may be another's"
    if any(row.ports_share for row in rows):
        yield "ports: share of the local ports that is taken towards the peer"
    if any(row.is_at_least and row.opened_per_s for row in rows):
        yield (
            f"{words.AT_LEAST} means at least: what a peer closed between two looks leaves no trace here;"
            " --exact counts it (root)"
        )
    if rows and all(row.requests_per_connection is None for row in rows):
        yield f"req/conn (requests per connection): {words.NOT_COUNTED}"
    if any(row.requests_per_connection == float("inf") for row in rows):
        yield "kept: requests came over connections that were there before"


def format_line(look: Look, is_whole_host: bool = True) -> str:
    """Return a look as one line, for logs: what the host does, or the processes, and its fastest hop."""
    snapshot, rows = look.snapshot, look.rows
    opened, waiting = _count_host(snapshot) if is_whole_host else _count_hops(snapshot)
    per_s = opened / snapshot.duration_s if snapshot.duration_s else 0.0
    # The kernel's counters miss nothing; what a sample shows of processes is a lower bound.
    is_at_least = not is_whole_host and snapshot.source is Source.SAMPLED
    parts = [f"{snapshot.t_s:,.0f} s", f"opened {words.per_second(per_s, is_at_least)}/s"]
    if rows and rows[0].opened_per_s:
        top = rows[0]
        closes = f", closed first by {words.closes_first(top)}" if top.flow.ended else ""
        parts.append(f"{words.opened(top)}/s {words.name(top)}{closes}")
    parts.append(f"TIME_WAIT {units.count(waiting)}")
    if (age := words.age(look)) is not None:
        parts.append(age)
    fullest = max(rows, key=lambda row: row.ports_share or 0.0, default=None)
    if fullest is not None and fullest.ports_share:
        parts.append(f"ports {words.ports_used(fullest)} {words.name(fullest)}")
    return printable_line("; ".join(parts))


def _count_host(snapshot: Snapshot) -> tuple[int, int]:
    """Return what was opened and is in TIME_WAIT by the kernel's count, which misses nothing.

    Where there are no counters, what was opened is that of the hops.
    """
    counted = snapshot.host_flow.active_opens + snapshot.host_flow.passive_opens
    return max(counted, sum(each.flow.opened for each in snapshot.hops)), snapshot.host.time_wait


def _count_hops(snapshot: Snapshot) -> tuple[int, int]:
    """Return the same of the processes that are watched: the kernel counts those of others too."""
    ours = [each for each in snapshot.hops if not each.is_unattributed]
    return sum(each.flow.opened for each in ours), sum(each.state.time_wait for each in ours)


def _wrap(text: str, first: str = "", later: str = "  ") -> list[str]:
    width = min(_WIDEST, terminal_width())
    return textwrap.wrap(
        printable_line(text), width, initial_indent=first, subsequent_indent=later, break_on_hyphens=False
    )
