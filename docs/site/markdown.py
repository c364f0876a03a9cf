"""Markdown as the documents use it: blocks of code, and the prose around them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

_COMMENT = re.compile(r"<!--.*?-->", flags=re.DOTALL)
_BLOCK = re.compile(r"^```([^\n`]*)\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)
_OR = "or:"
INPUTS = ("nginx", "haproxy", "toml", "yaml", "json", "dockerfile", "python")
"""The languages of blocks that a reader copies into a file; a block without one holds commands."""


class Block(NamedTuple):
    """A block between two fences: the word behind the first one, and the lines."""

    language: str
    text: str


def find_blocks(text: str) -> list[Block]:
    """Return the blocks of a Markdown text."""
    return [Block(*found) for found in _BLOCK.findall(text)]


def find_command_lines(text: str) -> list[str]:
    """Return the lines of the blocks without a language, without comments: two spaces and `#`.

    A comment that begins with `or:` is a command too, which does the same.
    """
    return [
        command
        for block in find_blocks(text)
        if not block.language
        for line in block.text.splitlines()
        for command in _read_line(line)
    ]


def _read_line(line: str) -> Iterator[str]:
    command, _, comment = line.partition("  #")
    word, _, other = comment.strip().partition(" ")
    yield from (each.strip() for each in (command, other if word == _OR else "") if each.strip())


def remove_blocks(text: str) -> str:
    """Return a Markdown text without its blocks."""
    return _BLOCK.sub("", text)


def remove_comments(text: str) -> str:
    """Return a Markdown text without its comments, which are no words of it."""
    return _COMMENT.sub("", text)


def format_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; a cell may hold any text on one line."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(_escape(cell) for cell in cells)} |\n" for cells in lines)


def _escape(cell: str) -> str:
    return " ".join(cell.split()).replace("|", "\\|")
