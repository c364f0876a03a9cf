"""The edits of one configuration while they are gathered. Knows texts and where they stand, no rules."""

from __future__ import annotations

from collections.abc import Iterable

from nginx.fix import edits
from nginx.fix.edits import Edit
from nginx.loading.sources import Sources
from nginx.model import PassLocation
from nginx.tree import Directive


class RefusedError(Exception):
    """A location that cannot be repaired without changing something else."""


class Draft:
    """Edits in the order in which they were asked for.

    Every method that edits raises RefusedError where the text is of no file that could be written.
    """

    def __init__(self, known: Sources) -> None:
        self.edits: list[Edit] = []
        self._known = known

    def add(self, each: PassLocation, line: str, beside: Directive | None = None) -> None:
        """Adds a line behind the pass directive, or behind another one of its location.

        `if` and limit_except take none, so there it goes before them.
        """
        opener = each.level.opener
        if each.level.kind in {"if", "limit_except"} and opener is not None:
            self.put_before(opener, [line])
        else:
            self.put_after(beside or each.directive, line)

    def put_after(self, directive: Directive, line: str) -> None:
        """Puts a line behind a directive."""
        self.edits.append(edits.line_after(self._text(directive), directive, line))

    def put_before(self, directive: Directive, lines: Iterable[str]) -> None:
        """Puts lines before a directive."""
        self.edits.append(edits.lines_before(self._text(directive), directive, lines))

    def put_at_end(self, block: Directive, line: str) -> None:
        """Puts a line at the end of a block."""
        self.edits.append(edits.line_at_end(self._text(block), block, line))

    def replace_argument(self, directive: Directive, index: int, value: str) -> None:
        """Gives a directive another argument (counted from 0)."""
        self.edits.append(edits.argument_replaced(self._text(directive), directive, index, value))

    def replace(self, directive: Directive, line: str) -> None:
        """Writes a line in the place of a directive."""
        self._text(directive)
        self.edits.append(Edit(directive.place.file, directive.start, directive.end, line))

    def remove(self, directive: Directive) -> None:
        """Takes a directive out."""
        self.edits.append(edits.removed(self._text(directive), directive))

    def raw(self, directive: Directive) -> str:
        """Returns a directive as it is written."""
        return self._text(directive)[directive.start : directive.end]

    def texts(self, files: Iterable[str]) -> list[str]:
        """Returns the texts of files, empty where one is not at hand."""
        return [self._known.text(file) or "" for file in files]

    def _text(self, directive: Directive) -> str:
        file = directive.place.file
        text = self._known.text(file)
        if text is None:
            raise RefusedError(f"{file} is no file that could be written")
        return text
