"""A page as a browser shows it: no request, no error, at both widths, light, dark and printed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bench.report import html, tour
from bench.report.run.page import build_page
from bench.report.scenario import page as scenario_page
from bench.report.sweep import page as sweep_page
from bench.runs import read
from bench.runs.record import ScenarioTrial
from bench.scenarios import catalogue
from bench.tour import reference
from bench.tour.article import CLAIMS
from bench.tour.ruling import rule
from bench.tour.steps import NAMES
from tests import made_up_sweep, needs, synthetic_cluster
from tests.made_up_sweep import CONNECTIONS, POOL_IDLE, POOLS
from tests.synthetic import KEEPALIVE, SHORT, write

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.long
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
ROOT = Path(__file__).parent.parent.parent
MOST_BYTES = 2 << 20
DARK_PIXELS = """() => [...document.querySelectorAll('canvas')].map((canvas) => {
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    return data.some((value, index) => index % 4 === 3 && value > 0);
})"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    needs.module("playwright")
    needs.need("chromium")
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - an extra of ours

    with sync_playwright() as started:
        opened = started.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("page")
    run = read.read(write(root, {"short": SHORT, "keepalive": KEEPALIVE}, trials=2))
    html.save(build_page(run), root / "page.html")
    return root / "page.html"


def visit(browser: Browser, path: Path, width: int, scheme: str) -> tuple[Page, list[str]]:
    """Open a page; what it requests besides itself, and each message on its console, is in the list."""
    context = browser.new_context(viewport={"width": width, "height": 900})
    opened = context.new_page()
    opened.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    seen: list[str] = []
    opened.on("console", lambda message: seen.append(message.text))
    opened.on("pageerror", lambda error: seen.append(str(error)))
    opened.on("request", lambda request: seen.append(request.url))
    opened.goto(path.as_uri())
    assert seen.pop(0) == path.as_uri()
    return opened, seen


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_is_drawn_whole(browser: Browser, saved: Path, width: int, scheme: str) -> None:
    page, seen = visit(browser, saved, width, scheme)
    assert page.evaluate("document.documentElement.dataset.drawnMs") is not None
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate(DARK_PIXELS) == [True] * 3
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(23, 23, 22)")
    assert saved.stat().st_size < MOST_BYTES
    assert seen == []
    page.context.close()


def _of_run(name: str) -> html.Page:
    return build_page(read.read(ROOT / "results" / name))


def _of_cluster(root: Path) -> html.Page:
    return build_page(read.read(synthetic_cluster.write(root, {"short": SHORT, "keepalive": KEEPALIVE})))


def _of_scenario() -> html.Page:
    run = read.read(ROOT / "results" / "reference-chat")
    assert isinstance(run.trials[0], ScenarioTrial)
    return scenario_page.build_page(catalogue.load(run.scenario), run)


def _of_tour(*, guess: bool = False) -> html.Page:
    """Return the page of a tour that was ended before its first step: every verdict is borrowed."""
    return tour.build_page(rule(CLAIMS, [], reference.find(NAMES)), [], "2026-03-14", guess=guess)


PAGES: dict[str, Callable[[Path], html.Page]] = {
    "run": lambda _: _of_run("reference"),
    "incident": lambda _: _of_run("reference-incident-linger"),
    "cluster": _of_cluster,
    "scenario": lambda _: _of_scenario(),
    "tour": lambda _: _of_tour(),
    "sweep": lambda _: sweep_page.build_page(made_up_sweep.run({POOL_IDLE: POOLS, CONNECTIONS: [16, 64]})),
}
TRACKS = """() => [...document.querySelectorAll('.bars')].map((figure) =>
    new Set([...figure.querySelectorAll('.track')].map((track) => track.offsetWidth)).size)"""


@pytest.mark.parametrize("kind", PAGES)
def test_every_kind_of_page_fits_a_phone_and_its_bars_are_of_one_scale(
    browser: Browser, kind: str, tmp_path: Path
) -> None:
    html.save(PAGES[kind](tmp_path), tmp_path / "page.html")
    page, seen = visit(browser, tmp_path / "page.html", 390, "dark")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert set(page.evaluate(TRACKS)) <= {1}
    assert len(page.query_selector_all("canvas")) == len(page.query_selector_all(".plot"))
    assert (tmp_path / "page.html").stat().st_size < MOST_BYTES
    assert seen == []
    page.context.close()


def test_trials_and_sides_are_switched_off_and_a_chart_is_zoomed_and_read(
    browser: Browser, saved: Path
) -> None:
    page, seen = visit(browser, saved, 1280, "light")
    values = page.locator("figure:has(.plot) output").first
    plot = page.locator(".u-over").first
    plot.hover()
    assert "short" in values.inner_text()
    assert "(" in values.inner_text()  # the spread of the trials
    page.get_by_role("checkbox", name="short").uncheck()
    plot.hover(position={"x": 100, "y": 60})
    assert "short" not in values.inner_text()
    assert "keepalive" in values.inner_text()
    page.get_by_role("checkbox", name="2", exact=True).uncheck()
    plot.hover(position={"x": 120, "y": 60})
    assert "(" not in values.inner_text()
    first_tick = "() => document.querySelectorAll('.charts')[0].querySelectorAll('canvas')[0].toDataURL()"
    before = page.evaluate(first_tick)
    page.get_by_role("button", name="zoom in").first.click()
    zoomed = page.evaluate(first_tick)
    page.get_by_role("button", name="show all").first.click()
    assert zoomed != before
    assert seen == []
    page.context.close()


def test_it_is_printed_in_light_colours_and_gets_its_own_back(browser: Browser, saved: Path) -> None:
    page, seen = visit(browser, saved, 1280, "dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate(ground) == "rgb(255, 255, 255)"
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate(ground) == "rgb(23, 23, 22)"
    assert page.pdf().startswith(b"%PDF")
    assert seen == []
    page.context.close()


def _count_shown(page: Page, selector: str) -> int:
    return page.locator(selector).filter(visible=True).count()


@pytest.mark.parametrize("medium", ["screen", "print"])
def test_verdicts_are_hidden_until_a_click_and_the_claims_are_not(
    browser: Browser, tmp_path: Path, medium: str
) -> None:
    html.save(_of_tour(guess=True), tmp_path / "page.html")
    page, seen = visit(browser, tmp_path / "page.html", 1280, "light")
    opened = (".badge", ".claim > :not(.said)", ".guessed table", ".guessed figure")

    def look() -> list[int]:
        page.emulate_media(media="print" if medium == "print" else "screen")
        shown = [_count_shown(page, selector) for selector in opened]
        assert _count_shown(page, ".claim .said") == _count_shown(page, ".guessed h2") == len(CLAIMS)
        assert _count_shown(page, "nav a") >= len(CLAIMS)
        if medium == "print":
            assert _count_shown(page, "input, .pointing, .reveal, .ask") == 0
        page.emulate_media(media="screen")
        return shown

    assert look() == [0, 0, 0, 0]
    page.locator("#s2 .reveal").click()
    assert min(look()) > 0
    assert _count_shown(page, "#s1 table") == 0
    page.locator("label[for=guess]").click()
    assert look()[0] > 2 * len(CLAIMS)
    assert seen == []
    page.context.close()


def test_without_guessing_the_page_shows_all_and_no_box_in_its_sections(
    browser: Browser, tmp_path: Path
) -> None:
    html.save(_of_tour(), tmp_path / "page.html")
    page, _ = visit(browser, tmp_path / "page.html", 1280, "light")
    assert _count_shown(page, ".reveal") == 0
    assert _count_shown(page, ".guessed .badge") >= len(CLAIMS)
    page.locator("label[for=guess]").click()
    assert _count_shown(page, ".badge") == 0
    assert _count_shown(page, ".reveal") == len(CLAIMS)
    page.context.close()
