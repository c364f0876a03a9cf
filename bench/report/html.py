"""Write one HTML file that carries all it needs: a page of sections, rendered from templates.

The file loads nothing, and its policy says so to the browser: style, data and the one script are inside. The
script is known by its hash, so that no text on the page can become another; the templates escape every text.
"""

import re
from base64 import b64encode
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from bench.report import saving
from bench.report.charts import BarChart, Charts, ChartSide, HeatMap
from nginx.printable import printable

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

_BACKTICKED = re.compile("`([^`\n]+)`")


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
    texts: Collection[str] = ()
    """Those of the other columns that hold words instead, which a page aligns left."""


@dataclass(frozen=True, slots=True)
class FactList:
    """Names with their values."""

    kind: ClassVar = "facts"
    pairs: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Glance:
    """BarChart beside each other, where the screen is wide enough."""

    kind: ClassVar = "glance"
    blocks: Sequence[BarChart]
    hint: str = ""
    legend: Sequence[ChartSide] = ()
    """What the colours mean, where they do not mean the names."""


@dataclass(frozen=True, slots=True)
class Hint:
    """A note in small letters: what a figure means, or how sure it is."""

    kind: ClassVar = "hint"
    text: str


Tone = Literal["yes", "no", "mixed", "open"]


@dataclass(frozen=True, slots=True)
class Badge:
    """A word that stands out, with a sign and a colour: none of the three is needed to tell it."""

    text: str
    sign: str
    tone: Tone
    is_borrowed: bool = False
    """Whether it stands for something that was not found here."""


@dataclass(frozen=True, slots=True)
class JudgedClaim:
    """What is said, why its section has the badge that it has, and the documents that say so."""

    kind: ClassVar = "claim"
    text: str
    """Empty, where it was said above."""
    tone: Tone
    why: str
    documents: Sequence[tuple[str, str]] = ()
    """Name and address of each: a link, which loads nothing by itself."""


Block = Hint | JudgedClaim | Prose | Code | Table | FactList | BarChart | Charts | HeatMap | Glance


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, which may be empty, with its blocks; a folded one is opened by a click."""

    heading: str
    blocks: Sequence[Block]
    folded: bool = False
    badge: Badge | None = None
    """What stands beside the heading, here and in the contents."""
    second_badge: Badge | None = None
    """What stands behind the first one."""
    is_guessed: bool = False
    """Whether all but the heading and the claim can be hidden until a click."""
    is_listed: bool = True
    """Whether it is in the contents."""


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
    certainty: str = ""
    """How sure the title is, in a sentence."""
    guess: Literal["", "offered", "yes"] = ""
    """Whether a box at the top hides what is to be guessed, and whether it is ticked at first."""
    place: str = "one machine"
    """What it was measured on; the foot of the page states it too."""

    @property
    def contents(self) -> list[tuple[str, Section]]:
        """Return each section that is listed under its heading, with its anchor."""
        numbered = enumerate(self.sections, 1)
        return [
            (f"s{number}", section) for number, section in numbered if section.heading and section.is_listed
        ]

    @property
    def has_badges(self) -> bool:
        """Return whether the contents tell more than headings, and so have a line for each."""
        return any(section.badge is not None for section in self.sections)

    @property
    def has_charts(self) -> bool:
        """Return whether the page needs its script."""
        return any(isinstance(block, Charts) for section in self.sections for block in section.blocks)


def render(page: Page) -> str:
    """Return `page` as one HTML document."""
    from markupsafe import Markup  # noqa: PLC0415

    environment = _load_environment()
    script = _read_script() if page.has_charts else ""
    digest = b64encode(sha256(script.encode()).digest()).decode("ascii")
    sheets = ("style.css", "uplot/uPlot.min.css") if script else ("style.css",)
    return environment.get_template("page.html.j2").render(
        page=page,
        style=Markup("\n".join(map(_read, sheets))),
        script=Markup(script),
        script_hash=f"sha256-{digest}",
    )


@cache
def _load_environment() -> "Environment":
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
    environment.filters["coded"] = _coded
    return environment


def _read(name: str) -> str:
    """Return a file beside the templates as it is."""
    environment = _load_environment()
    assert environment.loader is not None, "it has been given one"
    return environment.loader.get_source(environment, name)[0]


def _read_script() -> str:
    """Return the library, which its licence goes with, and what draws with it."""
    licence = f"/*\n{_read('uplot/LICENSE')}\n*/"
    return "\n".join((licence, _read("uplot/uPlot.iife.min.js"), _read("page.js")))


def _printable(value: object) -> object:
    """Return what stands for `value` in the page: browsers obey controls of writing direction, too."""
    return printable(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _coded(text: str) -> "Markup":
    """Return `text` as markup, what stands between backticks as code; one that has no partner stays."""
    from markupsafe import Markup, escape  # noqa: PLC0415

    return Markup(_BACKTICKED.sub(r"<code>\1</code>", str(escape(printable(text)))))


def save(page: Page, path: Path) -> None:
    """Write `page` to `path`, whole or not at all; WriteError where that cannot be done."""
    saving.save(path, render(page).encode())
