"""Write one HTML file that carries all it needs: a page of sections, rendered from a template.

The file loads nothing: style and pictures are inside, it has no script, and the template escapes every text.
"""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from bench.report import saving
from nginx.printable import printable


@dataclass(frozen=True, slots=True)
class Prose:
    """A paragraph."""

    kind: ClassVar = "prose"
    text: str


@dataclass(frozen=True, slots=True)
class Code:
    """What stands in a file or on a command line, as it is."""

    kind: ClassVar = "code"
    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under their columns; the first column names the row, the others hold figures."""

    kind: ClassVar = "table"
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class FactList:
    """Names with their values."""

    kind: ClassVar = "facts"
    pairs: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawing; `label` replaces it where it cannot be seen."""

    kind: ClassVar = "picture"
    svg: str
    label: str

    @property
    def base64(self) -> str:
        """Return the drawing as it stands in a data URL."""
        return b64encode(self.svg.encode()).decode("ascii")


Block = Prose | Code | Table | FactList | Picture


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, which may be empty, with its blocks; a folded one is opened by a click."""

    heading: str
    blocks: Sequence[Block]
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """A page from its top: the finding, its warnings, and what it rests on."""

    kicker: str
    title: str
    sentence: str
    warnings: Sequence[str]
    sections: Sequence[Section]
    started: str
    """When the measuring began; the foot of the page states it."""


def render(page: Page) -> str:
    """Return `page` as one HTML document."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415

    environment = Environment(
        loader=PackageLoader("bench.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_printable,
    )
    return environment.get_template("page.html.j2").render(page=page)


def _printable(value: object) -> object:
    """Return what stands for `value` in the page: browsers obey controls of writing direction, too."""
    return printable(value) if isinstance(value, str) else value


def save(page: Page, path: Path) -> None:
    """Write `page` to `path`, whole or not at all; WriteError where that cannot be done."""
    saving.save(path, render(page).encode())
