"""One HTML file that carries all it needs: a page of sections, to text. Knows HTML, not what was measured.

Nothing in it is fetched from anywhere: style and pictures are inside, there is no script, and every text is
escaped. What goes into the page of a run is bench/report/run/page.py's.
"""

from __future__ import annotations

import base64
import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from bench.errors import ResultsError

_STYLE = """
:root { --ink: #222; --quiet: #5a5a5a; --line: #ddd; --ground: #f6f6f4; --warning: #b45309; }
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); background: #fff; font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 2.5rem 1.5rem 4rem; }
.kicker { margin: 0; color: var(--quiet); font-size: .9rem; }
h1 { margin: .2rem 0 .8rem; font-size: 2rem; line-height: 1.2; }
h2 { margin: 2.6rem 0 .6rem; font-size: 1.15rem; }
.sentence { margin: 0; max-width: 46rem; font-size: 1.1rem; }
.warnings { margin: 1.2rem 0 0; padding: .7rem 1rem .7rem 2rem; background: #fffbeb;
  border-left: 4px solid var(--warning); }
.warnings li + li { margin-top: .4rem; }
img { display: block; width: 100%; height: auto; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem; }
table.broad { font-size: .8rem; }
th, td { padding: .3rem .9rem; border-bottom: 1px solid var(--line); text-align: right; }
.broad th, .broad td { padding: .25rem .45rem; }
th:first-child, td:first-child { padding-left: 0; text-align: left; }
td { white-space: pre; }
thead th { border-bottom: 2px solid var(--ink); vertical-align: bottom; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1.4rem; margin: 0;
  font-size: .92rem; }
dt { color: var(--quiet); }
dd { margin: 0; overflow-wrap: anywhere; }
pre { margin: 0 0 .6rem; padding: .8rem 1rem; overflow-x: auto; background: var(--ground);
  font-size: .85rem; }
summary { margin: 1rem 0 .6rem; font-weight: 600; cursor: pointer; }
footer { margin-top: 3rem; color: var(--quiet); font-size: .85rem; }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr; } dd { margin-bottom: .4rem; } }
@media print { main { padding: 0; max-width: none; } h2 { break-after: avoid; } }
"""


_BROAD = 6
"""A table of more columns is set in smaller type, so that it fits on the page."""


@dataclass(frozen=True, slots=True)
class Prose:
    """A paragraph."""

    text: str


@dataclass(frozen=True, slots=True)
class Code:
    """What stands in a file or on a command line, as it is."""

    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under their columns; the first column names the row, the others hold figures."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Facts:
    """Names with their values."""

    pairs: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawing; `says` stands in for it where it cannot be seen."""

    svg: str
    says: str


Block = Prose | Code | Table | Facts | Picture


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, which may be empty, with its blocks; a folded one is opened by whoever wants to know."""

    heading: str
    blocks: Sequence[Block]
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """What a stranger reads from the top: the finding, what it rests on, and what is doubtful about it."""

    kicker: str
    title: str
    sentence: str
    warnings: Sequence[str]
    sections: Sequence[Section]
    footer: str


def html(page: Page) -> str:
    """Return `page` as one HTML document."""
    return "\n".join(_document(page)) + "\n"


def save(page: Page, path: Path) -> None:
    """Write `page` to `path`, whole or not at all; ResultsError where that cannot be done."""
    try:
        if path.is_dir():
            raise ResultsError(path, None, "is a folder; name a file with -o")
        if path.exists() and not path.is_file():
            path.write_text(html(page), encoding="utf-8")  # a device or a pipe is written to, never replaced
        else:
            _write_whole(html(page), path.resolve())
    except OSError as error:
        reason = f"cannot be written: {error.strerror}; choose another path with -o"
        raise ResultsError(path, None, reason) from error


def _write_whole(text: str, path: Path) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise


def _document(page: Page) -> Iterator[str]:
    yield "<!doctype html>"
    yield '<html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{escape(page.title)}</title>"
    yield f"<style>{_STYLE}</style></head><body><main>"
    yield f'<p class="kicker">{escape(page.kicker)}</p>'
    yield f"<h1>{escape(page.title)}</h1>"
    yield f'<p class="sentence">{escape(page.sentence)}</p>'
    if page.warnings:
        items = "".join(f"<li>{escape(warning)}</li>" for warning in page.warnings)
        yield f'<ul class="warnings">{items}</ul>'
    for section in page.sections:
        yield from _section(section)
    yield f"<footer>{escape(page.footer)}</footer>"
    yield "</main></body></html>"


def _section(section: Section) -> Iterator[str]:
    if section.folded:
        yield f"<details><summary>{escape(section.heading)}</summary>"
    elif section.heading:
        yield f"<section><h2>{escape(section.heading)}</h2>"
    else:
        yield "<section>"
    yield from map(_block, section.blocks)
    yield "</details>" if section.folded else "</section>"


def _block(block: Block) -> str:
    match block:
        case Prose(text):
            return f"<p>{escape(text)}</p>"
        case Code(text):
            return f"<pre>{escape(text)}</pre>"
        case Facts(pairs):
            told = (f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in pairs)
            return f"<dl>{''.join(told)}</dl>"
        case Picture(svg, says):
            # As an image: names in the drawing meet no others on the page, and no script of it runs.
            data = base64.b64encode(svg.encode()).decode("ascii")
            return f'<img alt="{escape(says)}" src="data:image/svg+xml;base64,{data}">'
        case Table(columns, rows):
            return _table(columns, rows)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "\n".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    broad = ' class="broad"' if len(columns) > _BROAD else ""
    table = f"<table{broad}><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"
    return f'<div class="wide">{table}</div>'
