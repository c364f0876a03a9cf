"""Edit the text of configuration files and leave everything else in them as it is."""

import difflib
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

from nginx.lexer import TokenKind, tokenize
from nginx.loading.embedded import NOWHERE
from nginx.loading.sources import Sources
from nginx.model import PassLocation
from nginx.tree import Directive


class Unfixable(Exception):
    """A location that cannot be repaired without changing something else."""


class CapacityUnknown(Unfixable):
    """A location whose servers may not bear a pool: how many connections they accept is not known."""


@dataclass(frozen=True, order=True, slots=True)
class Edit:
    """Replaces the text of a file between two offsets; equal offsets insert."""

    file: str
    start: int
    end: int
    text: str


class EditList:
    """The edits of one configuration, in the order in which they were added.

    Every method that adds an edit raises Unfixable where the text is not that of a file, or where the file is
    one of those that others may include (`shared`).
    """

    def __init__(self, sources: Sources, shared: Container[str] = ()) -> None:
        self.edits: list[Edit] = []
        self._sources = sources
        self._shared = shared
        self._in_location: dict[tuple[int, str], Edit] = {}

    def add_to_location(self, each: PassLocation, line: str, after: Directive | None = None) -> None:
        """Insert a line behind the pass directive, or behind another one of its location.

        `if` and limit_except accept no such line, so there it goes before them. Where the location has
        several passes, the line is inserted once, at the same place for all of them.
        """
        location = each.level.enclosing("location") or each.level
        known = self._in_location.get((id(location), line))
        if known is not None:
            self.edits.append(known)
            return
        opener = each.level.opener
        if each.level.kind in {"if", "limit_except"} and opener is not None:
            self.insert_before(opener, [line])
        else:
            self.insert_after(after or each.directive, line)
        self._in_location[id(location), line] = self.edits[-1]

    def insert_after(self, directive: Directive, line: str) -> None:
        """Insert a line behind a directive, indented like it, or into the same line."""
        text = self._writable(directive)
        indent = _indent(text, directive.start)
        rest, _, _ = text[directive.end :].partition("\n")
        if indent is None or (rest.strip() and not rest.lstrip().startswith("#")):
            self._insert(directive, directive.end, f" {line}")
            return
        newline = "\r\n" if rest.endswith("\r") else "\n"
        self._insert(directive, directive.end + len(rest.rstrip("\r")), f"{newline}{indent}{line}")

    def insert_before(self, directive: Directive, lines: Iterable[str]) -> None:
        """Insert lines before a directive, indented like it, or into the same line."""
        text = self._writable(directive)
        indent = _indent(text, directive.start)
        if indent is None:
            self._insert(directive, directive.start, "".join(f"{line} " for line in lines if line))
            return
        newline = _newline(text, directive.start, indent)
        # An empty line stays empty: its indentation would be that of the line behind it.
        added = newline.join(f"{indent}{line}" if line else "" for line in lines)
        self._insert(directive, directive.start, f"{added.removeprefix(indent)}{newline}{indent}")

    def insert_copy(self, block: Directive, values: Mapping[tuple[Directive, int], str]) -> None:
        """Insert a copy of a block before it, with other arguments of itself or of its directives."""
        text, start = self._writable(block), block.start
        changes = [
            Edit(block.place.file, first - start, last - start, value)
            for (directive, index), value in values.items()
            for first, last in [self._argument(directive, index)]
        ]
        copy, indent = apply_edits(self.raw(block), changes), _indent(text, start)
        between = " " if indent is None else f"{_newline(text, start, indent)}{indent}"
        self._insert(block, start, f"{copy}{between}")

    def append(self, block: Directive, line: str) -> None:
        """Insert a line at the end of a block, indented like its last directive.

        The directives of an include stand in another file; the line then goes before the brace.
        """
        last = block.block[-1] if block.block else None
        if last is not None and last.place.file == block.place.file:
            self.insert_after(last, line)
            return
        text, closing = self._writable(block), block.end - 1
        indent = _indent(text, closing)
        newline = "\n" if indent is None else _newline(text, closing, indent)
        self._insert(block, closing, f"{line} " if indent is None else f"    {line}{newline}{indent}")

    def replace_argument(self, directive: Directive, index: int, value: str) -> None:
        """Replace an argument of a directive (counted from 0)."""
        self._writable(directive)
        self.edits.append(Edit(directive.place.file, *self._argument(directive, index), value))

    def replace(self, directive: Directive, line: str) -> None:
        """Replace a directive by a line."""
        self._writable(directive)
        self.edits.append(Edit(directive.place.file, directive.start, directive.end, line))

    def remove(self, directive: Directive) -> None:
        """Remove a directive, with its line if nothing else stands in it."""
        text, start, end = self._writable(directive), directive.start, directive.end
        indent = _indent(text, start)
        rest, newline, _ = text[end:].partition("\n")
        if indent is not None and not rest.strip():
            start, end = start - len(indent), end + len(rest) + len(newline)
        self.edits.append(Edit(directive.place.file, start, end, ""))

    def raw(self, directive: Directive) -> str:
        """Return a directive as it is written."""
        return self._text(directive)[directive.start : directive.end]

    def texts(self, files: Iterable[str]) -> list[str]:
        """Return the texts of files, empty for those that were not read."""
        return [self._sources.text(file) or "" for file in files]

    def _argument(self, directive: Directive, index: int) -> tuple[int, int]:
        """Return where an argument of a directive begins and ends."""
        found = tokenize(self.raw(directive))
        words = [token for token in found if token.kind in {TokenKind.WORD, TokenKind.QUOTED}]
        return directive.start + words[index + 1].start, directive.start + words[index + 1].end

    def _insert(self, directive: Directive, offset: int, text: str) -> None:
        self.edits.append(Edit(directive.place.file, offset, offset, text))

    def _text(self, directive: Directive) -> str:
        file = directive.place.file
        text = self._sources.text(file)
        if text is None:
            raise Unfixable(f"{file} is no file that could be written")
        if directive.start == NOWHERE:
            raise Unfixable(f"{directive.place} is quoted or encoded: write it as a block (|) of YAML first")
        return text

    def _writable(self, directive: Directive) -> str:
        """Return the text of a directive's file, which an edit changes."""
        file = directive.place.file
        if file in self._shared:
            raise Unfixable(f"{file} may be included elsewhere: give the whole configuration, nginx.conf")
        return self._text(directive)


def apply_edits(text: str, edits: Iterable[Edit]) -> str:
    """Return a text with its edits; equal ones count once, insertions at one place keep their order."""
    unique = list(dict.fromkeys(edits))
    for edit in sorted(unique, key=lambda each: (each.start, each.end, unique.index(each)), reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


def unified_diff(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Return the unified diff of the files that differ."""
    parts = []
    for file in before:
        old, new = before[file].splitlines(keepends=True), after[file].splitlines(keepends=True)
        for line in difflib.unified_diff(old, new, f"a/{file.lstrip('/')}", f"b/{file.lstrip('/')}"):
            parts.append(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n")
    return "".join(parts)


def _indent(text: str, start: int) -> str | None:
    """Return the white space before an offset, or None if something else stands before it in its line."""
    before = text[text.rfind("\n", 0, start) + 1 : start]
    return before if not before.strip() else None


def _newline(text: str, start: int, indent: str) -> str:
    """Return how the line before an indented offset ends."""
    return "\r\n" if text[:start].endswith(f"\r\n{indent}") else "\n"
