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

from docs.site import pages
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
def test_the_search_works_from_a_folder(site: Path, browser: Browser) -> None:
    with browser.new_context() as context:
        opened = context.new_page()
        opened.goto(f"{(site / 'search.html').as_uri()}?q=TIME_WAIT")
        opened.wait_for_selector("#search-results li a")
        assert "diagnose-time-wait" in " ".join(
            link.get_attribute("href") or "" for link in opened.query_selector_all("#search-results li a")
        )
