"""Format tables, paragraphs, figures and warnings as plain text."""

import re
import shutil
import textwrap
from collections.abc import Sequence
from pathlib import Path

from bench.analysis.claims import Sample, Standing
from bench.report.html import Table
from nginx.printable import printable_line

_CELLS = {
    Standing.MIXED.value: "before and after half of the ports were used; a figure over both means nothing",
    Standing.VOID.value: "it says more about the machine or the load generator than about the proxy",
}
_CLIFF = "cliff: the moment when half of the ports were used; in a trial without it, the whole window counts"
_PROSE_WIDTH = 100
"""Columns of text that are pleasant to read."""
_NARROWEST = 20
_WORD = re.compile(r"\([^()]{1,30}\)|\S+")
_HUNDRED, _TEN, _ONE = 99.95, 9.995, 0.995
_GAPS = (3, 2)
"""Columns between two columns of a table; the second where there is too little room for the first."""


def terminal_width() -> int:
    """Return how many columns there are: $COLUMNS, else those of the terminal, else 80."""
    return max(_NARROWEST, shutil.get_terminal_size().columns)


def prose_width() -> int:
    """Return how wide a paragraph is."""
    return min(_PROSE_WIDTH, terminal_width())


def format_table(table: Table, are_figures: bool = True) -> str:
    """Return `table` as text without colours, within the width of the terminal.

    Cells are folded between words where the columns need it. Where words would have to be broken each row
    becomes a paragraph, with a line for each cell. The columns after the first hold figures, and so stand to
    the right, unless `are_figures` is false.
    """
    columns = [printable_line(column) for column in table.columns]
    rows = [[printable_line(cell) for cell in row] for row in table.rows]
    for gap in _GAPS:
        widths = _fit(columns, rows, terminal_width() - 1, gap)
        if widths is not None:
            return _lay_out(columns, rows, widths, are_figures, gap)
    return "\n" + "".join(_stack(columns, row) for row in rows)


def _lay_out(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    widths: Sequence[int],
    are_figures: bool,
    gap: int,
) -> str:
    import io  # noqa: PLC0415

    from rich import box  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table as RichTable  # noqa: PLC0415

    # The box itself draws one of the columns between.
    grid = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, gap - 2))
    for index, (column, width) in enumerate(zip(columns, widths, strict=True)):
        grid.add_column(
            _fold(column, width), justify="right" if are_figures and index > 0 else "left", width=width
        )
    for row in rows:
        grid.add_row(*map(_fold, row, widths))
    console = Console(
        file=io.StringIO(),
        width=sum(widths) + gap * len(widths) + 2,
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


def _fit(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int, gap: int) -> list[int] | None:
    """Return the widths of the columns within `width`; None where a word would have to be broken."""
    from rich.cells import cell_len  # noqa: PLC0415

    cells = [[column, *(row[index] for row in rows)] for index, column in enumerate(columns)]
    widths = [max(map(cell_len, each)) for each in cells]
    least = [max(cell_len(word) for cell in each for word in _WORD.findall(cell) or [""]) for each in cells]
    # Names that were folded could not be told from two names.
    least[0] = max([least[0], *(cell_len(row[0]) for row in rows)])
    room = width - gap * (len(widths) - 1)
    while sum(widths) > room:
        spare = [each - fewest for each, fewest in zip(widths, least, strict=True)]
        if max(spare) <= 0:
            return None
        widths[spare.index(max(spare))] -= 1
    return widths


def _fold(cell: str, width: int) -> str:
    """Return a cell in lines of at most `width`; what stands in brackets stays together."""
    from rich.cells import cell_len  # noqa: PLC0415

    if cell_len(cell) <= width:
        return cell
    lines: list[str] = []
    for word in _WORD.findall(cell):
        if lines and cell_len(lines[-1]) + 1 + cell_len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return "\n".join(lines)


def _stack(columns: Sequence[str], row: Sequence[str]) -> str:
    """Return a row as a paragraph: its name, and below it a line for each of the other cells."""
    name, *cells = row
    lines = textwrap.wrap(name, terminal_width(), break_on_hyphens=False) or [columns[0]]
    for column, cell in zip(columns[1:], cells, strict=True):
        lines += textwrap.wrap(
            f"{column}: {cell}", terminal_width(), initial_indent="  ", subsequent_indent="    ",
            break_on_hyphens=False,
        )  # fmt: skip
    return "\n".join(lines) + "\n"


def format_number(value: float, unit: str = "") -> str:
    """Return a figure with three significant digits or more; counts (no unit) without a fraction of .0.

    Seconds get a tenth and no more from 1 s on: that is how often the ports are polled.
    """
    return format_numbers((value,), unit)[0]


def format_numbers(values: Sequence[float], unit: str = "") -> list[str]:
    """Return figures that stand together, all with as many decimals as the first one needs."""
    decimals = _decimals(values, unit)
    return [f"{value:,.{decimals}f}" for value in values]


def _decimals(values: Sequence[float], unit: str) -> int:
    first = abs(values[0])
    # What would be rounded up to the next power of ten has as many decimals as that.
    if first >= _HUNDRED or (unit == "" and all(value == round(value) for value in values)):
        return 0
    return 1 if first >= (_ONE if unit == "s" else _TEN) else 2


def format_spread(center: float, low: float, high: float, unit: str) -> str:
    """Return a median with the least and the greatest value, where they differ: `5 (4 to 6)`."""
    middle, least, greatest = format_numbers((center, low, high), unit)
    return middle if least == greatest else f"{middle} ({least} to {greatest})"


def format_sample(sample: Sample, unit: str) -> str:
    """Return the median of a sample with its least and greatest value, or what is wrong with the sample."""
    if sample.median is None:
        return "-" if sample.standing is Standing.MISSING else sample.standing.value
    return format_spread(sample.median, min(sample.quoted), max(sample.quoted), unit)


def explain_cells(table: Table) -> str:
    """Return what stands in a table in the place of figures, a line for each kind."""
    shown = {cell for row in table.rows for cell in row[1:]}
    notes = [f"{cell}: {meaning}" for cell, meaning in _CELLS.items() if cell in shown]
    notes += [_CLIFF] if any("before cliff" in row[0] for row in table.rows) else []
    return "".join(f"{wrap(note)}\n" for note in notes)


def format_paths(directory: str | None, picture: Path | None) -> str:
    """Return where the results of a run and its picture are, a line for each that there is."""
    named = (("results", directory), ("picture", picture))
    return "".join(f"{name}: {path}\n" for name, path in named if path is not None)


def wrap(text: str) -> str:
    """Return `text` folded to lines that are pleasant to read."""
    return textwrap.fill(text, prose_width())


def format_warnings(warnings: Sequence[str]) -> str:
    """Return warnings as they stand below a table."""
    folded = (textwrap.wrap(warning, prose_width() - 2, break_on_hyphens=False) for warning in warnings)
    return "".join("! " + "\n  ".join(lines) + "\n" for lines in folded)
