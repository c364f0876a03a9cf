"""What the texts share: a table, how it becomes text, and how a doubt is noted below it."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

PROSE_WIDTH = 100
_WIDTH = 240  # no row is ever folded; a terminal that is narrower folds it


def new(first: str, *columns: str, are_figures: bool = True) -> Table:
    """Return an empty table; the columns after the first hold figures unless told else."""
    from rich import box  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(first, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right" if are_figures else "left")
    return table


def render(table: Table) -> str:
    """Return `table` as text without colours, as wide as it needs to be."""
    import io  # noqa: PLC0415

    from rich.console import Console  # noqa: PLC0415

    console = Console(file=io.StringIO(), width=_WIDTH, color_system=None, legacy_windows=False)
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"


def noted(doubt: str) -> str:
    """Return a doubt as it stands below a table."""
    folded = textwrap.wrap(doubt, PROSE_WIDTH, break_on_hyphens=False)
    return "! " + "\n  ".join(folded) + "\n"
