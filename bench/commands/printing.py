"""What a command prints: all of it goes through here, so that nothing from a file or a program is obeyed.

Names, warnings and lines of configurations come from files that others wrote.
"""

import os
import sys
from typing import Any, TextIO

import click
import msgspec

from nginx.printable import printable, printable_line


def echo(text: object, *, nl: bool = True, err: bool = False) -> None:
    """Print `text`, its control characters as escapes."""
    click.echo(printable(str(text)), nl=nl, err=err)


def echo_error(text: object) -> None:
    """Print one line on stderr, whatever breaks the text has."""
    click.echo(printable_line(str(text)), err=True)


def echo_json(value: Any) -> None:
    """Print one JSON value on a line, its dataclasses as objects; JSON has escapes of its own."""
    click.echo(msgspec.json.encode(value).decode())


def echo_data(text: str) -> None:
    """Print what a program is to read, such as a patch: as it is, unless a person looks at it."""
    click.echo(printable(text) if is_terminal(sys.stdout) else text, nl=False)


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a stream leads to a terminal; None stands for one that was closed (sys.stdout)."""
    return stream is not None and stream.isatty()


def has_colours(stream: TextIO | None) -> bool:
    """Return whether what goes to a stream may be marked (no-color.org; TERM of dumb terminals)."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def echo_coloured(text: str) -> None:
    """Print what was made printable before it got its colours."""
    click.echo(text, nl=False)
