"""Export a run as Markdown that fits the summary page of a CI job: verdict, claim, table, warnings."""

from collections.abc import Iterator, Sequence

from bench.analysis.claims import RunVerdict
from bench.report.html import Table
from nginx.markdown_text import escape, format_row

_INDENT = "  "


def format_run(
    title: str,
    verdict: RunVerdict,
    sentence: str,
    table: Table | None,
    warnings: Sequence[str],
    *,
    machines: Sequence[Table] = (),
) -> str:
    """Return the page of a run; what it amounts to and what it found come first.

    `machines` are the tables of a run on several of them.
    """
    lines = [f"### {escape(title)}", "", f"**Run: {escape(verdict)}.** {escape(sentence)}"]
    if table is not None and table.rows:
        lines += ["", *_table_lines(table)]
    for each in machines:
        lines += ["", *_table_lines(each)]
    if warnings:
        lines += ["", *(f"- {escape(warning)}" for warning in warnings)]
    return "\n".join(lines) + "\n"


def _table_lines(table: Table) -> Iterator[str]:
    """Yield the lines of a table, its figures to the right."""
    yield format_row(map(escape, table.columns))
    yield f"|---|{'--:|' * (len(table.columns) - 1)}"
    for row in table.rows:
        yield format_row(map(_format_cell, row))


def _format_cell(text: str) -> str:
    """Return a cell; spaces before a row's name say that it belongs to the row above."""
    indented = text.startswith(_INDENT)
    return f"{'&nbsp;&nbsp;' if indented else ''}{escape(text.strip())}"
