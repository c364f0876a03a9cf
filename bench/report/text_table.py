"""How a table becomes plain text, and how a warning is noted below it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from bench.report.html import Table

PROSE_WIDTH = 100
_WIDTH = 240  # no row is ever folded; a terminal that is narrower folds it


def draw(table: Table, are_figures: bool = True) -> str:
    """Return `table` as text without colours, as wide as it needs to be.

    The columns after the first hold figures, and so stand to the right, unless told else.
    """
    import io  # noqa: PLC0415

    from rich import box  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table as Drawn  # noqa: PLC0415

    drawn = Drawn(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(table.columns):
        is_figure = are_figures and index > 0
        drawn.add_column(column, justify="right" if is_figure else "left", no_wrap=index == 0)
    for row in table.rows:
        drawn.add_row(*row)
    console = Console(file=io.StringIO(), width=_WIDTH, color_system=None, legacy_windows=False)
    with console.capture() as captured:
        console.print(drawn)
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"


def prose(text: str) -> str:
    """Return `text` folded to lines that are pleasant to read."""
    return textwrap.fill(text, PROSE_WIDTH)


def notes(warnings: Sequence[str]) -> str:
    """Return warnings as they stand below a table."""
    folded = (textwrap.wrap(warning, PROSE_WIDTH, break_on_hyphens=False) for warning in warnings)
    return "".join("! " + "\n  ".join(lines) + "\n" for lines in folded)
