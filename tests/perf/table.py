"""Rows as people read them: a table for the terminal, the same in Markdown, and plain values for JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from rich.table import Table

from tests.perf.pairs import Row, Spread

COLUMNS = ("what", "unit", "ours", "other", "its", "ours / its", "target", "")


def rich(rows: Sequence[Row]) -> Table:
    """Return the table for the terminal."""
    table = Table(*COLUMNS, title="Side by side: median (lowest - highest), ratio with its 95 % interval")
    for row in rows:
        style = {True: "green", False: "red", None: ""}[row.met]
        table.add_row(*cells(row), style=style)
    return table


def markdown(rows: Sequence[Row]) -> str:
    """Return the tables, one a part, with the notes below each."""
    parts = []
    for part, members in groupby(rows, key=lambda row: row.part):
        lines = [f"## {part}", "", _line(COLUMNS), _line(["---"] * len(COLUMNS))]
        group = list(members)
        lines += [_line(cells(row)) for row in group]
        notes = dict.fromkeys(f"- {row.what}: {note}" for row in group for note in row.notes)
        parts.append("\n".join([*lines, "", *notes, ""]))
    return "\n".join(parts)


def cells(row: Row) -> list[str]:
    """Return the words of one row."""
    verdict = {True: "met", False: "NOT met", None: ""}[row.met]
    if row.ours is None:
        return [row.what, "", "", row.other, "missing: " + "; ".join(row.notes), "", "", ""]
    return [
        row.what,
        row.unit,
        _spread(row.ours),
        row.other,
        _spread(row.theirs),
        _ratio(row),
        row.target,
        verdict,
    ]


def plain(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the rows as plain values."""
    return [dataclasses.asdict(row) for row in rows]


def _line(words: Sequence[str]) -> str:
    return f"| {' | '.join(words)} |"


def _spread(spread: Spread | None) -> str:
    if spread is None:
        return ""
    return f"{_number(spread.median)} ({_number(spread.low)} - {_number(spread.high)})"


def _number(value: float) -> str:
    """Return three significant digits, thousands separated."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _ratio(row: Row) -> str:
    if row.ratio is None:
        return ""
    if row.ratio.low is None or row.ratio.high is None:
        return f"{row.ratio.center:.2f} (too few rounds)"
    return f"{row.ratio.center:.2f} ({row.ratio.low:.2f} - {row.ratio.high:.2f})"
