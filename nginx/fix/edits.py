"""Edits of a configuration's text that leave everything else as it is. Knows texts, no rules."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from nginx.lexer import Kind, Token, tokens
from nginx.tree import Directive


@dataclass(frozen=True, order=True, slots=True)
class Edit:
    """Replaces the text of a file between two offsets; equal offsets insert."""

    file: str
    start: int
    end: int
    text: str


def applied(text: str, edits: Iterable[Edit]) -> str:
    """Returns a text with its edits; equal ones count once, insertions at one place keep their order."""
    unique = list(dict.fromkeys(edits))
    for edit in sorted(unique, key=lambda each: (each.start, each.end, unique.index(each)), reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


def line_after(text: str, directive: Directive, line: str) -> Edit:
    """Returns the edit that puts a line behind a directive, indented like it, or into the same line."""
    indent = _indent(text, directive.start)
    rest, _, _ = text[directive.end :].partition("\n")
    if indent is None or (rest.strip() and not rest.lstrip().startswith("#")):
        return Edit(directive.place.file, directive.end, directive.end, f" {line}")
    end = directive.end + len(rest.rstrip("\r"))
    newline = "\r\n" if rest.endswith("\r") else "\n"
    return Edit(directive.place.file, end, end, f"{newline}{indent}{line}")


def line_at_end(text: str, block: Directive, line: str) -> Edit:
    """Returns the edit that puts a line at the end of a block, indented like its last directive.

    What an include put into the block stands in another file; the line then goes before the brace.
    """
    last = block.block[-1] if block.block else None
    if last is not None and last.place.file == block.place.file:
        return line_after(text, last, line)
    closing = block.end - 1
    indent = _indent(text, closing)
    if indent is None:
        return Edit(block.place.file, closing, closing, f"{line} ")
    return Edit(block.place.file, closing, closing, f"    {line}\n{indent}")


def lines_before(text: str, directive: Directive, lines: Iterable[str]) -> Edit:
    """Returns the edit that puts lines before a directive, indented like it."""
    indent = _indent(text, directive.start) or ""
    before = "".join(f"{line}\n{indent}" for line in lines)
    return Edit(directive.place.file, directive.start, directive.start, before)


def argument_replaced(text: str, directive: Directive, index: int, value: str) -> Edit:
    """Returns the edit that gives a directive another argument (counted from 0)."""
    word = _words(text, directive)[index + 1]
    start, end = directive.start + word.start, directive.start + word.end
    return Edit(directive.place.file, start, end, value)


def removed(text: str, directive: Directive) -> Edit:
    """Returns the edit that takes a directive out, with its line if nothing else stands in it."""
    start, end = directive.start, directive.end
    indent = _indent(text, start)
    rest, newline, _ = text[end:].partition("\n")
    if indent is not None and not rest.strip():
        return Edit(directive.place.file, start - len(indent), end + len(rest) + len(newline), "")
    return Edit(directive.place.file, start, end, "")


def diff(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Returns the unified diff of the files that differ."""
    parts = []
    for file in before:
        old, new = before[file].splitlines(keepends=True), after[file].splitlines(keepends=True)
        for line in difflib.unified_diff(old, new, f"a/{file.lstrip('/')}", f"b/{file.lstrip('/')}"):
            parts.append(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n")
    return "".join(parts)


def _words(text: str, directive: Directive) -> list[Token]:
    found = tokens(text[directive.start : directive.end])
    return [token for token in found if token.kind in {Kind.WORD, Kind.QUOTED}]


def _indent(text: str, start: int) -> str | None:
    """Returns the white space before an offset, or None if something else stands before it in its line."""
    before = text[text.rfind("\n", 0, start) + 1 : start]
    return before if not before.strip() else None
