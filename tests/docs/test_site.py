"""`make docs` builds a site without a warning, with a search, and it loads nothing from the network."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pygments.token import Comment

from docs.site import blocks, pages
from docs.site.pages import DOCS, ROOT
from tests import needs

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND"]
NAMES = ["index", *(page.name for section in pages.SECTIONS for page in pages.find_pages(section))]
LOADS = {
    "link": "href",
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "object": "data",
    "use": "href",
}
"""The attribute of each element by which a browser loads something without being asked."""

HIDDEN_COMMANDS = """
[...document.querySelectorAll(".highlight-commands pre")]
    .filter(each => each.scrollWidth > each.clientWidth).map(each => each.textContent)
"""
LEFTS_OF_COMMENTS = """
[...document.querySelectorAll(".highlight-commands .c1")].map(comment => {
    const text = document.createRange();
    text.selectNodeContents(comment);
    return text.getClientRects()[0].left - comment.closest("pre").getBoundingClientRect().left;
})
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built site."""
    needs.module("furo")
    root = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going", "--fresh-env"]
    folders = ["-c", str(DOCS / "site"), "-d", str(root / "doctrees"), str(DOCS), str(root / "html")]
    done = subprocess.run([*build, *folders], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return root / "html"


class LoadReader(HTMLParser):
    """Collects what a page loads."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in LOADS:
            self.loads.append(dict(attrs).get(LOADS[tag]) or "")


def read_loads(file: Path) -> list[str]:
    """Return the addresses that a page or a style sheet loads."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".css":
        return re.findall(r"(?:url\(|@import\s+)[\"']?([^\"')]+)", text)
    reader = LoadReader()
    reader.feed(text)
    return reader.loads


def test_each_page_is_built_and_can_be_searched_for(site: Path) -> None:
    index = (site / "searchindex.js").read_text(encoding="utf-8")
    for name in NAMES:
        assert (site / f"{name}.html").exists()
        assert f'"{name}"' in index


def test_the_start_page_has_the_picture_and_how_to_read_it(site: Path) -> None:
    start = (site / "index.html").read_text(encoding="utf-8")
    assert 'src="_images/picture.png"' in start
    assert "How to read it" in start
    assert 'href="how-to/read-a-result.html"' in start.partition("How to read it")[2]


def test_links_of_the_readme_lead_from_the_start_page_too() -> None:
    index = pages.add_picture("# bench\n\n<!-- pages -->\n<!-- /pages -->\n")
    assert index.startswith("# bench\n\n## The picture\n")
    assert index.endswith("<!-- pages -->\n<!-- /pages -->\n")
    targets = re.findall(r"\]\(([^)]+)\)", index)
    assert [target for target in targets if not (DOCS / target).exists()] == []
    assert "../results/reference/picture.png" in targets


@pytest.mark.parametrize(
    ("line", "comment"),
    [
        ("bench run  # a minute", "# a minute"),
        ("sed '/^ *#/d' a > b", ""),
        ("bench run # no comment of ours", ""),
        ("  # a comment alone", "# a comment alone"),
    ],
)
def test_a_comment_begins_behind_two_spaces(line: str, comment: str) -> None:
    tokens = list(blocks.CommandLexer().get_tokens(f"{line}\n"))
    assert "".join(text for _, text in tokens) == f"{line}\n"
    assert "".join(text for kind, text in tokens if kind is Comment.Single) == comment


def test_what_a_command_prints_is_no_block_of_commands() -> None:
    text = "```\nbench run\n```\n<!-- output bench run -->\n```\n100\n```\n<!-- /output -->\n"
    assert blocks.name_outputs(text) == text.replace("-->\n```\n", "-->\n```text\n", 1)


def test_no_page_loads_anything_from_the_network(site: Path) -> None:
    loads = {
        load
        for suffix in ("html", "css")
        for file in site.rglob(f"*.{suffix}")
        for load in read_loads(file)
        if not load.startswith("data:")
    }
    assert any(load.endswith(".css") or ".css?" in load for load in loads)
    assert [load for load in loads if "//" in load] == []


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    needs.module("playwright")
    needs.need("chromium")
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - an extra of ours

    with sync_playwright() as started:
        opened = started.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        yield opened
        opened.close()


@pytest.mark.long
@pytest.mark.parametrize("width", [390, 1280])
def test_pages_fit_and_request_only_files_of_the_site(site: Path, browser: Browser, width: int) -> None:
    with browser.new_context(viewport={"width": width, "height": 900}) as context:
        opened = context.new_page()
        elsewhere: list[str] = []
        opened.on("request", lambda request: elsewhere.append(request.url))
        for name in NAMES:
            opened.goto((site / f"{name}.html").as_uri(), wait_until="load")
            assert opened.evaluate("document.documentElement.scrollWidth") <= width, name
        assert [url for url in elsewhere if not url.startswith((site.as_uri(), "data:"))] == []


@pytest.mark.long
@pytest.mark.parametrize("width", [390, 1280])
def test_commands_and_their_comments_are_seen_without_scrolling(
    site: Path, browser: Browser, width: int
) -> None:
    with browser.new_context(viewport={"width": width, "height": 900}) as context:
        opened = context.new_page()
        for name in NAMES:
            opened.goto((site / f"{name}.html").as_uri(), wait_until="load")
            assert opened.evaluate(HIDDEN_COMMANDS) == [], name
            opened.emulate_media(media="print")
            assert opened.evaluate(HIDDEN_COMMANDS) == [], name
            opened.emulate_media(media="screen")


@pytest.mark.long
def test_a_comment_has_lines_of_its_own_on_a_narrow_page(site: Path, browser: Browser) -> None:
    # Wide enough for both: nothing but the rule breaks the line.
    with browser.new_context(viewport={"width": 700, "height": 900}) as context:
        opened = context.new_page()
        opened.goto((site / "how-to/read-a-result.html").as_uri(), wait_until="load")
        lefts = opened.evaluate(LEFTS_OF_COMMENTS)
        assert lefts
        assert max(lefts) - min(lefts) < 1
        opened.set_viewport_size({"width": 1280, "height": 900})
        wide = opened.evaluate(LEFTS_OF_COMMENTS)
        assert min(wide) > max(lefts)


@pytest.mark.long
def test_on_paper_nothing_of_the_frame_is_left(site: Path, browser: Browser) -> None:
    with browser.new_context() as context:
        opened = context.new_page()
        opened.goto((site / "concepts/on-one-page.html").as_uri(), wait_until="load")
        opened.emulate_media(media="print")
        frame = ".skip-to-content, .back-to-top, .sidebar-drawer, .toc-drawer, .mobile-header, footer"
        shown = f"[...document.querySelectorAll('{frame}')].filter(each => each.offsetHeight > 0).length"
        assert opened.evaluate(shown) == 0
        opened.emulate_media(media="screen")
        assert opened.evaluate(shown) > 0
        opened.emulate_media(media="print")
        for paper in ("A4", "Letter"):
            printed = opened.pdf(
                format=paper, margin={"top": "10mm", "right": "10mm", "bottom": "10mm", "left": "10mm"}
            )
            assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 1, paper


@pytest.mark.long
def test_the_search_works_from_a_folder(site: Path, browser: Browser) -> None:
    with browser.new_context() as context:
        opened = context.new_page()
        opened.goto(f"{(site / 'search.html').as_uri()}?q=TIME_WAIT")
        opened.wait_for_selector("#search-results li a")
        assert "diagnose-time-wait" in " ".join(
            link.get_attribute("href") or "" for link in opened.query_selector_all("#search-results li a")
        )
