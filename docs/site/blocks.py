"""Blocks of code on the site: commands, whose comments a narrow page puts on lines of their own, and outputs.

Markdown has both without a language (docs/development/write-a-page.md).
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

from pygments.lexer import RegexLexer, bygroups
from pygments.token import Comment, Name, Whitespace

COMMANDS = "commands"
"""The language of blocks without one."""
_OUTPUT = re.compile(r"(<!-- output [^\n]+ -->\n```)(?=\n)")


class CommandLexer(RegexLexer):  # type: ignore[misc, unused-ignore]
    """Tells a comment, which two spaces and `#` begin, from the words of a command."""

    name = "Commands"
    aliases: ClassVar[list[str]] = [COMMANDS]
    tokens: ClassVar[dict[str, list[tuple[str, Any]]]] = {
        "root": [
            (r"( {2,})(#[^\n]*)", bygroups(Whitespace, Comment.Single)),
            (r"\s+?", Whitespace),
            (r"\S+", Name),
        ]
    }


def name_outputs(text: str) -> str:
    """Return a Markdown text in which what a command prints is a block of the language `text`."""
    return _OUTPUT.sub(r"\1text", text)
