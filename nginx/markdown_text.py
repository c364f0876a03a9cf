"""Texts as parts of Markdown: nothing in them is read as a mark of Markdown or HTML."""

from collections.abc import Iterable

from nginx.printable import printable_line


def format_row(cells: Iterable[str]) -> str:
    """Return a row of a table from cells that are Markdown already."""
    return f"| {' | '.join(cells)} |"


def format_code(text: str) -> str:
    """Return a text as code in a table, whose cells end at each bar."""
    shown = printable_line(text).replace("|", "\\|")
    fence = "``" if "`" in shown else "`"
    padding = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{padding}{shown}{padding}{fence}"


def format_prose(text: str) -> str:
    """Return a text whose lines of configuration, in backticks, are code and whose other parts are text."""
    parts = printable_line(text).split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    return "".join(format_code(part) if number % 2 else escape(part) for number, part in enumerate(parts))


def escape(text: str) -> str:
    """Return a text in which nothing is a mark of Markdown or HTML."""
    shown = printable_line(text).replace("&", "&amp;").replace("<", "&lt;")
    return "".join(f"\\{each}" if each in "\\`*_[]|#~$@" else each for each in shown)
