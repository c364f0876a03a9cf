"""A page carries all it shows: nothing is fetched, no script but its own runs, and no text becomes markup."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from html.parser import HTMLParser
from pathlib import Path

import pytest

from bench.errors import ResultsError
from bench.report.charts import (
    MOST_POINTS,
    Bar,
    BarChart,
    Chart,
    Charts,
    ChartSide,
    HeatCell,
    HeatMap,
    Line,
    Mark,
)
from bench.report.html import (
    Block,
    Code,
    FactList,
    Glance,
    Page,
    Prose,
    Section,
    Table,
    render,
    save,
)

HOSTILE = "<script>alert('1')</script><img src=\"http://elsewhere/\"> & </pre></table>"
BARS = BarChart(
    HOSTILE, HOSTILE, [Bar(HOSTILE, 1.0, HOSTILE, 0.5, 2.0), Bar(HOSTILE, None, HOSTILE)], is_log=True
)
CHART = Chart(HOSTILE, HOSTILE, [Line(0, [(0.0, 1.0)], label=HOSTILE)], marks=[Mark(HOSTILE, x=0.0, side=0)])
HEAT = HeatMap(HOSTILE, HOSTILE, HOSTILE, HOSTILE, [HOSTILE], [(HOSTILE, [HeatCell(HOSTILE, 1.0)])])


class Read(HTMLParser):
    """What a browser would find: elements with their attributes, the text, and elements left open."""

    EMPTY = ("meta", "img")

    def __init__(self, document: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.scripts: list[str] = []
        self.feed(document)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.text.append(data)
        elif self.open and self.open[-1] == "script":
            self.scripts.append(data)

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
        (BARS, 6),
        (Glance([BARS], HOSTILE), 7),
        (HEAT, 7),
    ],
)
def test_no_text_becomes_markup(block: Block, times: int) -> None:
    found = Read(render(page(block, text=HOSTILE)))
    assert found.open == []
    assert (found.named("script"), found.named("img")) == ([], [])
    # Twice as the title, then the kicker, the sentence, the warning, the heading, the footer.
    assert "".join(found.text).count(HOSTILE) == 7 + times


def test_only_the_script_that_the_policy_names_runs_and_its_data_is_no_markup() -> None:
    document = render(page(Charts([ChartSide(HOSTILE, 0)], [CHART])))
    found = Read(document)
    assert found.open == []
    data, script = found.scripts
    assert json.loads(data)["sides"] == [{"name": HOSTILE, "colour": 0, "void": False, "dashes": 0}]
    assert [each.get("type") for each in found.named("script")] == ["application/json", None]
    (policy,) = (meta["content"] for meta in found.named("meta") if "http-equiv" in meta)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    )
    assert "Permission is hereby granted" in script


def test_a_line_of_many_points_is_thinned_and_keeps_its_height() -> None:
    points = [(tenth / 10, float(tenth == 5_000)) for tenth in range(36_000)]
    mean, peak = (Chart("a", "b", [Line(0, points)], merge=merge).to_json() for merge in ("mean", "max"))
    assert len(mean["xs"]) == len(peak["xs"]) <= MOST_POINTS + 2
    assert max(peak["lines"][0]["y"]) == 1
    assert sum(mean["lines"][0]["y"]) * 90 == pytest.approx(1, rel=0.02)


@pytest.mark.parametrize(
    ("values", "is_log", "ends", "ticks"),
    [
        ((50.0, 100.0), False, [50, 100], []),
        ((0.0, 0.0), False, [0, 0], []),
        ((1.0, 10.0, 1000.0), True, [0, 33.33, 100], ["1", "10", "100", "1,000"]),
        ((5.0,), True, [69.9], ["1", "10"]),
        ((0.0, 10.0), True, [0, 100], []),  # there is no zero on a logarithmic axis
        ((None, 10.0), False, [None, 100], []),
    ],
)
def test_bars_begin_at_zero_and_dots_stand_between_powers_of_ten(
    values: tuple[float | None, ...], is_log: bool, ends: list[float | None], ticks: list[str]
) -> None:
    bars = BarChart("a", "b", [Bar("c", value, "d") for value in values], is_log)
    assert [drawn.end for drawn in bars.drawn] == ends
    assert [label for _, label in bars.ticks] == ticks


def test_nothing_is_fetched_from_anywhere() -> None:
    document = render(
        page(
            *(Prose("a"), Code("b"), FactList([("c", "d")]), Table(["e"], [["f"]])),
            *(BARS, HEAT, Charts([ChartSide("a", 0)], [CHART])),
        )
    )
    found = Read(document)
    assert {tag for tag, _ in found.elements}.isdisjoint({"link", "iframe", "object", "base"})
    fetched = [
        value
        for _, attributes in found.elements
        for name, value in attributes.items()
        if name in ("src", "href", "srcset") and not str(value).startswith("data:")
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


def test_a_table_of_many_columns_is_set_smaller_and_becomes_cards_on_a_phone() -> None:
    tables = [
        Read(render(page(Table(["a"] * count, [["b"] * count])))).named("table") for count in (3, 5, 12)
    ]
    assert tables == [[{}], [{"class": "cards"}], [{"class": "broad cards"}]]


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


def test_words_between_backticks_are_code_and_columns_of_words_stand_left() -> None:
    text = "set `a <b>` and `c`, not ` alone"
    found = Read(render(page(Table(["name", "says", "n"], [["x", text, "1"]], texts=["says"]), text=text)))
    assert [each.get("class") for each in found.named("td")] == [None, "words", None]
    assert [each.get("class") for each in found.named("th")] == [None, "words", None]
    # The cell, the sentence and the warning; a heading and a title are plain text.
    assert (len(found.named("code")), found.named("b"), found.open) == (6, [], [])
    assert "".join(found.text).count("set a <b> and c, not ` alone") == 3
