"""The commands of README.md and of the pages in `docs/`, in their order, as a reader types them."""

from __future__ import annotations

import re
from typing import NamedTuple

from docs.site import figures, markdown
from docs.site.pages import DOCS, ROOT
from tests.docs.reader import expected

TEXTS = {"README.md": (ROOT / "README.md").read_text(encoding="utf-8")} | {
    file.relative_to(DOCS).as_posix(): file.read_text(encoding="utf-8") for file in sorted(DOCS.rglob("*.md"))
}
_ALIKE = re.compile(
    r"(make|\.venv/bin/pytest|bench (run|ab|incident|tour|sweep|search|scenario|check --(explain|rules)))\b"
    r"(?!.*(RUN|cluster|--target|\.toml|> ))"
)
"""Commands that read nothing of their page: on another page they do the same."""


class Command(NamedTuple):
    """A command line of a page, and its place there: a line may stand twice."""

    page: str
    place: int
    line: str

    @property
    def is_long(self) -> bool:
        """Return whether it is left to the long tests."""
        return re.search(expected.LONG, self.line) is not None

    @property
    def reason(self) -> str | None:
        """Return why it is not run; None where it is."""
        return expected.NOT_RUN.get((self.page, self.line))


def _read(page: str) -> list[Command]:
    lines = markdown.find_command_lines(figures.remove(TEXTS[page]))
    return [Command(page, place, line) for place, line in enumerate(lines, 1)]


COMMANDS = [command for page in TEXTS for command in _read(page)]


def first_of(command: Command) -> Command:
    """Return the command that is run for this one: of those that are alike, the first."""
    if not _ALIKE.match(command.line):
        return command
    return next(each for each in COMMANDS if each.line == command.line)


def choose(wanted: set[Command]) -> dict[str, list[Command]]:
    """Return what is run on each page so that `wanted` are: in the order of the page, with what stands above.

    A long command needs all above it. One that is not runs without those that are.
    """
    chosen: dict[str, list[Command]] = {}
    are_long = any(each.is_long for each in wanted)
    for page in dict.fromkeys(each.page for each in sorted(wanted)):
        last = max(each.place for each in wanted if each.page == page)
        chosen[page] = [
            each
            for each in COMMANDS
            if each.page == page
            and each.place <= last
            and each.reason is None
            and first_of(each) == each
            and (are_long or not each.is_long)
        ]
    return chosen
