"""Serialize directives as the text of a configuration, with the place of each line.

The other direction is nginx.tree; comments and formatting are not kept.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from nginx.tree import Directive, Place

_PLAIN = re.compile(r"[\w./:@*+=,?&^|~()!<>%$-]+")
_ESCAPE = str.maketrans({"\\": "\\\\", '"': '\\"'})


@dataclass(slots=True)
class SerializedConfig:
    """A text, and for each of its lines the place of the directive that it comes from."""

    text: str = ""
    places: list[Place] = field(default_factory=list)

    def place(self, line: int) -> Place | None:
        """Return where line number `line` (from 1) comes from, or None beyond the end."""
        return self.places[line - 1] if 0 < line <= len(self.places) else None


def serialize(directives: Iterable[Directive]) -> SerializedConfig:
    """Return directives as text, one a line, blocks indented."""
    lines: list[tuple[str, Place]] = []
    _write(directives, 0, lines)
    # A quoted word may hold line breaks, so that a directive may take several lines.
    places = [place for text, place in lines for _ in range(text.count("\n") + 1)]
    return SerializedConfig("".join(f"{text}\n" for text, _ in lines), places)


def quote(text: str) -> str:
    """Return a word as it has to be written to be read as `text`."""
    if _PLAIN.fullmatch(text):
        return text
    return f'"{text.translate(_ESCAPE)}"'


def _write(directives: Iterable[Directive], depth: int, lines: list[tuple[str, Place]]) -> None:
    indent = "    " * depth
    for directive in directives:
        words = " ".join(map(quote, (directive.name, *directive.args)))
        if directive.block is None:
            lines.append((f"{indent}{words};", directive.place))
            continue
        lines.append((f"{indent}{words} {{", directive.place))
        _write(directive.block, depth + 1, lines)
        lines.append((f"{indent}}}", directive.place))
