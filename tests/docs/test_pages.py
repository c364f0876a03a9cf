"""The pages have a place in the list, and what they and the other Markdown files point at is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.site import markdown, pages
from docs.site.pages import DOCS, ROOT

FILES = {
    file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8")
    for file in sorted(
        (
            *ROOT.glob("*.md"),
            *DOCS.rglob("*.md"),
            *(ROOT / "results").glob("*.md"),
            *(ROOT / "tests").rglob("README.md"),
        )
    )
}
LINK = re.compile(r"\]\(([^)\s]+)\)")
PATH = re.compile(r"`((?:docs|results|tests|bench|nginx|proxy|backends)/[\w./-]+\.\w+)`")


def slugs(text: str) -> set[str]:
    """Return the anchors of a Markdown text's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", markdown.remove_blocks(text), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(name: str, text: str) -> list[str]:
    """Return the links of a file that lead to no file of the repository, or to no heading of one."""
    broken = []
    for link in LINK.findall(markdown.remove_blocks(text)):
        path, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = (ROOT / name).parent / path if path else ROOT / name
        is_there = target.exists() and target.resolve().is_relative_to(ROOT)
        if not is_there or (anchor and anchor not in slugs(target.read_text(encoding="utf-8"))):
            broken.append(link)
    return broken


def test_the_index_lists_all_pages() -> None:
    index = FILES["docs/index.md"]
    assert index == pages.list_pages(index), "make reference"
    listed = set(re.findall(r"\]\(([\w/.-]+\.md)\)", index))
    assert listed == {page.path for section in pages.SECTIONS for page in pages.find_pages(section)} != set()


def test_each_folder_of_pages_is_a_section() -> None:
    assert {file.parent.name for file in DOCS.rglob("*.md") if file.parent != DOCS} <= set(pages.SECTIONS)


def test_the_rule_that_is_shown_is_the_one_in_the_code() -> None:
    page = FILES["docs/development/add-a-rule.md"]
    shown = [block.text for block in markdown.find_blocks(page) if block.language == "python"]
    code = [(ROOT / path).read_text(encoding="utf-8") for path in PATH.findall(page) if path.endswith(".py")]
    assert len(shown) == 2
    assert [block for block in shown if not any(block in text for text in code)] == []


@pytest.mark.parametrize("name", FILES)
def test_links_lead_somewhere(name: str) -> None:
    assert broken_links(name, FILES[name]) == []


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("[a](README.md)", []),
        ("[a](gone.md)", ["gone.md"]),
        ("[a](../outside.md)", ["../outside.md"]),
        ("# One *two*, `three`\n\n[a](#one-two-three)", []),
        ("# One\n\n[a](#two)", ["#two"]),
        ("```\n[a](gone.md)\n```\n", []),
        ("[a](https://nginx.org/)", []),
    ],
)
def test_a_broken_link_is_found(
    text: str, broken: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "README.md").write_text(text)
    monkeypatch.setattr("tests.docs.test_pages.ROOT", tmp_path)
    assert broken_links("README.md", text) == broken


@pytest.mark.parametrize("name", [name for name in FILES if name != "CHANGELOG.md"])
def test_files_that_are_named_are_there(name: str) -> None:
    assert [path for path in PATH.findall(FILES[name]) if not (ROOT / path).exists()] == []
