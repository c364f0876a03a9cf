"""`python -m bench.scenarios.client.browser`: a headless Chromium that reports what one page received.

The page (backends/scenarios/page.py) keeps each message with its moment in `window.received`, until
one ends with `end`; what the messages mean is the scenario's affair. Chromium is Debian's, driven by
playwright ([browser] extra).
"""

import importlib.util
import shutil
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from bench.experiment.definition import Need
from bench.experiment.proxy_setup import Absent
from bench.scenarios.client import process
from bench.scenarios.client.process import NEVER_NS, ClientControl, Go

if TYPE_CHECKING:
    from playwright.async_api import Page

NEED = Need("playwright", "browser")
_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = ("--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu")
"""Inside a lab there is no namespace left to give to a sandbox; the only page that it opens is ours."""
_HAS_ENDED = "() => received.length > 0 && received.at(-1)[1].endsWith('end')"
_LONGEST_S = 600.0
_DRAIN_S = 10.0


def missing() -> str | None:
    """Return what is missing here, and the command that installs it; None where all is here."""
    if importlib.util.find_spec(NEED.module) is None:
        return Absent(f"needs {NEED.module}: {NEED.remedy}")
    if _program() is None:
        return Absent("needs chromium: apt install chromium")
    return None


def _program() -> str | None:
    return next((path for name in _PROGRAMS if (path := shutil.which(name)) is not None), None)


class PageVisit:
    """One visit to one page."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._page: Page | None = None

    async def open(self, job: dict[str, Any]) -> None:
        """Start the browser, with an empty page."""
        from playwright.async_api import async_playwright  # noqa: PLC0415 - an extra of ours

        playwright = await self._stack.enter_async_context(async_playwright())
        browser = await playwright.chromium.launch(executable_path=_program(), args=list(_FLAGS))
        self._stack.push_async_callback(browser.close)
        self._page = await browser.new_page()

    async def act(self, job: dict[str, Any], go: Go, control: ClientControl) -> dict[str, Any]:
        """Open the page, wait for the last message, and return all that came with its moments."""
        assert self._page is not None, "opened before"
        async with self._stack:
            await self._page.goto(f"http://{job['address']}{job['path']}")
            timeout_s = (go.end_ns - time.monotonic_ns()) / 1e9 + _DRAIN_S
            if go.end_ns == NEVER_NS:
                timeout_s = _LONGEST_S
            await control.run_unless_stopped(self._wait_for_end(self._page, timeout_s))
            shift_ns = time.time_ns() - time.monotonic_ns()
            received = await self._page.evaluate("window.received")
        return {"received": [[round(moment_ms * 1e6) - shift_ns, text] for moment_ms, text in received]}

    async def _wait_for_end(self, page: "Page", timeout_s: float) -> None:
        from playwright.async_api import Error  # noqa: PLC0415 - an extra of ours

        try:
            await page.wait_for_function(_HAS_ENDED, timeout=timeout_s * 1000)
        except Error:
            return  # A page without the last message reports what it has.


if __name__ == "__main__":
    visit = PageVisit()
    process.run(visit.act, visit.open)
