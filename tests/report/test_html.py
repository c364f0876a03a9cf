"""A page carries all it shows: nothing is fetched, nothing runs, and no text becomes markup."""

from __future__ import annotations

import base64
import os
from html.parser import HTMLParser
from pathlib import Path

import pytest

from bench.errors import ResultsError
from bench.report.html import Block, Code, FactList, Page, Picture, Prose, Section, Table, render, save

HOSTILE = "<script>alert('1')</script><img src=\"http://elsewhere/\"> & </pre></table>"
SVG = '<svg xmlns="http://www.w3.org/2000/svg"><text id="a">hello</text></svg>'


class Read(HTMLParser):
    """What a browser would find: elements with their attributes, the text, and elements left open."""

    EMPTY = ("meta", "img")

    def __init__(self, document: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(document)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text.append(data)

    def named(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag == name]


def page(*blocks: Block, text: str = "x", folded: bool = False) -> Page:
    return Page(text, text, text, [text], [Section(text, blocks, folded)], text)


@pytest.mark.parametrize(
    ("block", "times"),
    [
        (Prose(HOSTILE), 1),
        (Code(HOSTILE), 1),
        (FactList([(HOSTILE, HOSTILE)]), 2),
        (Table([HOSTILE, "b"], [[HOSTILE, HOSTILE]]), 3),
    ],
)
def test_no_text_becomes_markup(block: Block, times: int) -> None:
    found = Read(render(page(block, text=HOSTILE)))
    assert found.open == []
    assert (found.named("script"), found.named("img")) == ([], [])
    # Twice as the title, then the kicker, the sentence, the warning, the heading, the footer.
    assert "".join(found.text).count(HOSTILE) == 7 + times


def test_a_picture_is_inside_and_said_in_words() -> None:
    (image,) = Read(render(page(Picture(SVG, HOSTILE)))).named("img")
    kind, _, data = str(image["src"]).partition(",")
    assert kind == "data:image/svg+xml;base64"
    assert base64.b64decode(data).decode() == SVG
    assert image["alt"] == HOSTILE


def test_nothing_is_fetched_from_anywhere() -> None:
    document = render(
        page(Prose("a"), Code("b"), FactList([("c", "d")]), Table(["e"], [["f"]]), Picture(SVG, "g"))
    )
    found = Read(document)
    assert {tag for tag, _ in found.elements}.isdisjoint({"script", "link", "iframe", "object", "base"})
    fetched = [
        value
        for _, attributes in found.elements
        for name, value in attributes.items()
        if name in ("src", "href", "srcset", "style") and not str(value).startswith("data:")
    ]
    assert fetched == []
    assert "url(" not in document
    assert "@import" not in document


def test_a_folded_section_is_opened_by_who_wants_to_know() -> None:
    found = Read(render(page(Code("a"), folded=True)))
    assert [tag for tag, _ in found.elements if tag in ("details", "summary", "section")] == [
        "details",
        "summary",
    ]


def test_a_table_of_many_columns_is_set_smaller() -> None:
    few, many = (Read(render(page(Table(["a"] * count, [["b"] * count])))) for count in (3, 12))
    assert (few.named("table"), many.named("table")) == ([{}], [{"class": "broad"}])


def test_a_page_replaces_a_file_whole_and_what_a_link_points_at(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("older")
    (tmp_path / "link.html").symlink_to("a.html")
    save(page(), tmp_path / "link.html")
    assert (tmp_path / "link.html").is_symlink()
    assert (tmp_path / "a.html").read_text(encoding="utf-8") == render(page())
    assert len(list(tmp_path.iterdir())) == 2


def test_what_is_no_file_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        save(page(), pipe)
        assert os.read(reader, 1 << 16).decode() == render(page())
    finally:
        os.close(reader)
    assert pipe.is_fifo()


@pytest.mark.parametrize(("name", "said"), [("", "is a folder"), ("missing/a.html", "No such file")])
def test_where_nothing_can_be_written_is_said_and_nothing_left(name: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=said):
        save(page(), tmp_path / name)
    assert list(tmp_path.iterdir()) == []
