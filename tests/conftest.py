"""What holds for every test: the same examples in each run, nothing left open, skips counted in one line.

To search for new examples: `pytest --hypothesis-profile=search`. In random order: `pytest --shuffle=SEED`.
"""

from __future__ import annotations

import gc
import os
import random
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from bench.observe import other_work

os.environ["COLUMNS"] = "240"  # so wide is no terminal: what is printed is the same under all of them

settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("repeat", settings.get_profile("search"), derandomize=True)
settings.load_profile("repeat")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that shuffles."""
    parser.addoption("--shuffle", metavar="SEED", help="modules in random order, and the tests of each")


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say how to have the same order again."""
    seed = config.getoption("--shuffle")
    return None if seed is None else f"order: --shuffle={seed}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Shuffle modules, and the tests of each: what a module sets up for its tests is set up once."""
    seed = config.getoption("--shuffle")
    if seed is not None:
        dice = random.Random(seed)
        modules = sorted({item.path for item in items})
        place = {path: dice.random() for path in modules}
        items.sort(key=lambda item: item.nodeid)
        dice.shuffle(items)
        items.sort(key=lambda item: place[item.path])


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect tests without the collector of garbage: nothing that they are made of goes before the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


@pytest.fixture(autouse=True, scope="module")
def nothing_left_open_by_module() -> Iterator[None]:
    """Collect what the module's own fixtures left open; the error is its last test's.

    What was there before the module is frozen for good: the collector would look at all of it each time.
    """
    gc.freeze()
    yield
    gc.collect()


@pytest.fixture(autouse=True)
def no_other_work(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure a trial as if its machine did nothing else: what a test asserts must not depend on that."""
    if request.path.stem != "test_other_work":
        monkeypatch.setattr(other_work, "read", lambda cores: None)
        monkeypatch.setattr(other_work, "read_cores", lambda cores: None)


@pytest.fixture(autouse=True)
def nothing_left_open(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Collect garbage behind each test: a coroutine or a socket that it left open is its error.

    A worker that runs in the process of the tests freezes nothing: what it leaves open would never go.
    """
    monkeypatch.setattr(gc, "freeze", lambda: None)
    yield
    gc.collect()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line how many tests were skipped for want of what, and what would provide it (needs.py)."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(str(report.longrepr[2]).removeprefix("Skipped: ") for report in skipped)
    if reasons:
        counted = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
        terminalreporter.write_line(f"skipped {len(skipped)}: {counted}")
