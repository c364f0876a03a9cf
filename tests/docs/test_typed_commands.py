"""Each command of README.md and of the pages in `docs/` is run by bash, in the form in which it stands there.

What is known of them is reader/expected.py; the machine that they are typed on is reader/machine.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests import needs
from tests.docs.reader import expected, machine, pages, typing_page
from tests.docs.reader.machine import Outcome
from tests.docs.reader.pages import COMMANDS, TEXTS, Command

RUN = [each for each in COMMANDS if each.reason is None and pages.first_of(each) == each]
pytestmark = pytest.mark.timeout(1800)
"""All commands are run before the first test."""
AT_A_TIME = 3
"""Pages whose commands are run at the same time, on machines of their own: many commands wait."""


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest) -> Mapping[Command, Outcome]:
    """What the commands left that are asked for in this run of the tests."""
    machine.need()
    asked = [getattr(item, "callspec", None) for item in request.session.items]
    params = [spec.params.get("command") for spec in asked if spec is not None]
    chosen = pages.choose({each for each in params if isinstance(each, Command)})
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        typed = list(pool.map(typing_page.type_page, chosen.values()))
    return {command: outcome for page in typed for command, outcome in page.items()}


def marked(command: Command) -> object:
    marks = [pytest.mark.long] if command.is_long else []
    return pytest.param(command, marks=marks, id=f"{command.page}: {command.line}")


@pytest.mark.parametrize("command", [marked(each) for each in RUN])
def test_it_does_what_its_page_says(command: Command, outcomes: Mapping[Command, Outcome]) -> None:
    needs.need(*typing_page.lacks(command.line))
    outcome = outcomes[command]
    # Dask itself prints one of a connection that it was sending on when it was ended.
    assert "Traceback" not in outcome.stderr or command.line.startswith("dask ")
    may_end = expected.statuses(command.page, command.line)
    assert outcome.status in may_end, f"{outcome.stderr[-3000:]}\n{outcome.stdout[-2000:]}"


@pytest.mark.parametrize(("page", "line"), [*expected.NOT_RUN, *expected.STATUS])
def test_what_is_known_is_about_a_command_that_is_shown(page: str, line: str) -> None:
    assert (page, line) in {(each.page, each.line) for each in COMMANDS}


@pytest.mark.parametrize("page", sorted({page for page, _ in expected.NOT_RUN}))
def test_a_page_says_which_of_its_commands_are_not_run(page: str) -> None:
    assert expected.SAYS_SO.search(TEXTS[page])
