"""The pages of the documents: which there are, their titles, and the order in which they are listed.

A folder is a section, and a Markdown file in it a page. What `ORDER` does not name comes last.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parents[1]
ROOT = DOCS.parent
SECTIONS = {
    "how-to": "How-to",
    "concepts": "Concepts",
    "reference": "Reference",
    "development": "Development",
}
ORDER = {
    "how-to": (
        "diagnose-time-wait",
        "find-an-idle-timeout",
        "gate-a-change-in-ci",
        "accept-a-finding",
        "check-and-repair-a-configuration",
        "upgrade-nginx-across-1.29.7",
        "choose-the-pool-size",
        "compare-two-proxies-or-versions",
        "measure-with-your-own-traffic",
        "read-a-result",
        "run-on-several-machines",
        "run-on-kubernetes-or-slurm",
        "teach-it-in-twenty-minutes",
    ),
    "concepts": (
        "time-wait",
        "half-range-cliff",
        "loopback-hides-it",
        "keep-alive-two-meanings",
        "what-a-pool-holds",
        "idle-timeout-race",
        "how-far-to-trust-a-verdict",
        "enforced-modes",
        "open-and-closed-loop",
        "statistics",
        "vocabulary",
        "questions",
        "on-one-page",
    ),
    "reference": ("commands", "plan", "result-format", "rules", "scenarios", "exit-codes", "pipes"),
    "development": ("house", "add-a-rule", "add-a-subject", "add-a-scenario", "write-a-page"),
}
"""The pages of each section that have a place, and pages to come: those that stand in no folder yet."""
READERS = {
    "In production": ("how-to/diagnose-time-wait", "how-to/find-an-idle-timeout"),
    "In CI": ("how-to/gate-a-change-in-ci", "how-to/accept-a-finding"),
    "Before a change": (
        "how-to/check-and-repair-a-configuration",
        "how-to/upgrade-nginx-across-1.29.7",
        "how-to/choose-the-pool-size",
        "how-to/compare-two-proxies-or-versions",
        "how-to/measure-with-your-own-traffic",
        "how-to/read-a-result",
        "how-to/run-on-several-machines",
        "how-to/run-on-kubernetes-or-slurm",
    ),
    "In a class": ("how-to/teach-it-in-twenty-minutes", "concepts/on-one-page", "concepts/questions"),
    "To contribute": tuple(f"development/{name}" for name in ORDER["development"]),
}
"""The pages that the index lists first, by who reads them; it lists the others by section below."""
_LIST = re.compile(r"(<!-- pages -->\n).*?(<!-- /pages -->)", flags=re.DOTALL)
_PICTURE = re.compile(r"^## The picture\n.*?(?=^## )", flags=re.DOTALL | re.MULTILINE)
_TARGET = re.compile(r"\]\((?!\w+:|#)([^)\s]+)\)")


@dataclass(frozen=True)
class Page:
    """A page: its path below `docs/`, such as `how-to/teach-it.md`, and its first heading."""

    path: str
    title: str

    @property
    def name(self) -> str:
        """The path without its suffix, as Sphinx calls a document."""
        return self.path.removesuffix(".md")


def find_pages(section: str) -> list[Page]:
    """Return the pages of a section in their order."""
    order = ORDER[section]
    files = sorted(
        (DOCS / section).glob("*.md"),
        key=lambda file: (order.index(file.stem) if file.stem in order else len(order), file.stem),
    )
    return [Page(f"{section}/{file.name}", read_title(file.read_text(encoding="utf-8"))) for file in files]


def read_title(text: str) -> str:
    """Return the first heading of a Markdown text; a page without one is an error."""
    found = re.search(r"^# (.+)$", text, flags=re.MULTILINE)
    if found is None:
        raise ValueError("a page begins with a heading: # Title")
    return found[1]


def list_pages(index: str) -> str:
    """Return the text of `docs/index.md` with the list of all pages between its two marks."""
    return _LIST.sub(lambda found: found[1] + "".join(_sections()) + found[2], index)


def add_picture(index: str) -> str:
    """Return the text of `docs/index.md` with the part of README.md about the picture before the list."""
    found = _PICTURE.search((ROOT / "README.md").read_text(encoding="utf-8"))
    if found is None:
        raise ValueError("README.md: no part called The picture")
    part = _TARGET.sub(lambda link: f"]({_from_docs(link[1])})", found[0])
    return _LIST.sub(lambda listed: f"{part}{listed[0]}", index)


def _from_docs(target: str) -> str:
    """Return the target of a link of README.md as a page in `docs/` has it."""
    return target.removeprefix("docs/") if target.startswith("docs/") else f"../{target}"


def _sections() -> Iterator[str]:
    pages = {page.name: page for section in SECTIONS for page in find_pages(section)}
    for caption, names in READERS.items():
        yield from _list(caption, [pages[name] for name in names])
    first = {name for names in READERS.values() for name in names}
    for section, caption in SECTIONS.items():
        yield from _list(caption, [page for page in find_pages(section) if page.name not in first])
    yield "\n"


def _list(caption: str, pages: Sequence[Page]) -> Iterator[str]:
    if pages:
        yield f"\n## {caption}\n\n"
        yield from (f"- [{page.title}]({page.path})\n" for page in pages)


def format_toctrees() -> str:
    """Return what Sphinx makes the side bar of: a toctree for each section, below the text of the index."""
    return "".join(
        "\n".join(["", "```{toctree}", ":hidden:", f":caption: {caption}", "", *names, "```", ""])
        for section, caption in SECTIONS.items()
        if (names := [page.name for page in find_pages(section)])
    )
