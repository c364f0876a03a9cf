"""Format tables, paragraphs, figures and warnings as plain text."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

from bench.analysis.claims import Sample, Standing
from bench.report.html import Table
from nginx.printable import printable_line

_CELLS = {
    Standing.MIXED.value: "over the moment when half of the ports were used an average means nothing",
    Standing.VOID.value: "it says more about the machine or the load generator than about the proxy",
}
_PROSE_WIDTH = 100
_TABLE_WIDTH = 240  # no row is ever folded; a terminal that is narrower folds it


def format_table(table: Table, are_figures: bool = True) -> str:
    """Return `table` as text without colours, as wide as it needs to be.

    The columns after the first hold figures, and so stand to the right, unless `are_figures` is false.
    """
    import io  # noqa: PLC0415

    from rich import box  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table as RichTable  # noqa: PLC0415

    grid = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(table.columns):
        is_figure = are_figures and index > 0
        grid.add_column(printable_line(column), justify="right" if is_figure else "left", no_wrap=index == 0)
    for row in table.rows:
        grid.add_row(*map(printable_line, row))
    console = Console(
        file=io.StringIO(),
        width=_TABLE_WIDTH,
        color_system=None,
        legacy_windows=False,
        # Brackets and colons in a name are no markup, and no picture.
        markup=False,
        emoji=False,
        highlight=False,
    )
    with console.capture() as captured:
        console.print(grid)
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"


def format_number(value: float, unit: str = "") -> str:
    """Return a figure with three significant digits or more; counts (no unit) without a fraction of .0.

    Seconds get a tenth and no more from 1 s on: that is how often the ports are polled.
    """
    if abs(value) >= 100 or (unit == "" and value == round(value)):
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= (1 if unit == "s" else 10) else f"{value:.2f}"


def format_spread(center: float, low: float, high: float, unit: str) -> str:
    """Return a median with the least and the greatest value, where they differ: `5 (4 to 6)`."""
    middle, least, greatest = (format_number(value, unit) for value in (center, low, high))
    return middle if least == greatest else f"{middle} ({least} to {greatest})"


def format_sample(sample: Sample, unit: str) -> str:
    """Return the median of a sample with its least and greatest value, or what is wrong with the sample."""
    if sample.median is None:
        return "-" if sample.standing is Standing.MISSING else sample.standing.value
    return format_spread(sample.median, min(sample.quoted), max(sample.quoted), unit)


def explain_cells(table: Table) -> str:
    """Return what stands in a table in the place of figures, a line for each kind."""
    shown = {cell for row in table.rows for cell in row[1:]}
    return "".join(f"{cell}: {meaning}\n" for cell, meaning in _CELLS.items() if cell in shown)


def format_paths(directory: str | None, picture: Path | None) -> str:
    """Return where the results of a run and its picture are, a line for each that there is."""
    named = (("results", directory), ("picture", picture))
    return "".join(f"{name}: {path}\n" for name, path in named if path is not None)


def wrap(text: str) -> str:
    """Return `text` folded to lines that are pleasant to read."""
    return textwrap.fill(text, _PROSE_WIDTH)


def format_warnings(warnings: Sequence[str]) -> str:
    """Return warnings as they stand below a table."""
    folded = (textwrap.wrap(warning, _PROSE_WIDTH, break_on_hyphens=False) for warning in warnings)
    return "".join("! " + "\n  ".join(lines) + "\n" for lines in folded)
