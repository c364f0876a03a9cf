"""Expand values with variables in them into the set of what they can be.

A piece of a value is text or an Unknown; a value is a tuple of pieces; what a parameter can be is a
set of values. A set that grows too large gives way to one Unknown.
"""

import itertools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_MOST = 64
_LONGEST = 4096
_MOST_TRIED = 4096  # values that come out the same count too: 2 ** 30 of them would never end


@dataclass(frozen=True, slots=True)
class Unknown:
    """A variable whose value the text does not show."""

    name: str
    why: str
    """Why it is unknown before a request comes."""
    is_clients: bool = False
    """Whether the client writes it, as a field or an argument of its request."""

    def __str__(self) -> str:
        return f"${self.name}"


Piece = str | Unknown
Value = tuple[Piece, ...]
Values = frozenset[Value]

EMPTY: Values = frozenset({()})


def literal(*texts: str) -> Values:
    """Return the set of these texts."""
    return frozenset((text,) if text else () for text in texts)


def unknown(name: str, why: str) -> Values:
    """Return the set of one value about which nothing is known."""
    return frozenset({(Unknown(name, why),)})


def pieces(template: str) -> list[tuple[str, bool]]:
    """Split a parameter into texts and variable names; the flag marks a name."""
    found: list[tuple[str, bool]] = []
    position = 0
    for match in _VARIABLE.finditer(template):
        if match.start() > position:
            found.append((template[position : match.start()], False))
        found.append((match[1] or match[2], True))
        position = match.end()
    if position < len(template):
        found.append((template[position:], False))
    return found


def has_variables(template: str) -> bool:
    """Return whether a parameter names a variable."""
    return "$" in template and _VARIABLE.search(template) is not None


def expand(template: str, lookup: Callable[[str], Values]) -> Values:
    """Return what a parameter can be, given what its variables can be."""
    options: list[Iterable[Value]] = [
        lookup(text) if is_name else [(text,)] for text, is_name in pieces(template)
    ]
    combined: set[Value] = set()
    for tried, combination in enumerate(itertools.product(*options)):
        length = sum(len(piece) if isinstance(piece, str) else 1 for value in combination for piece in value)
        if len(combined) > _MOST or tried > _MOST_TRIED or length > _LONGEST:
            return unknown(template.lstrip("$"), f"takes more than {_MOST} values, or very long ones")
        combined.add(_joined(itertools.chain.from_iterable(combination)))
    return frozenset(combined)


def known_text(value: Value) -> str | None:
    """Return a value's text, or None if a piece of it is unknown."""
    if not value:
        return ""
    return value[0] if len(value) == 1 and isinstance(value[0], str) else None


def format_value(value: Value) -> str:
    """Return a value as text, unknown pieces by their variable's name."""
    return "".join(str(piece) for piece in value)


def unknowns(values: Iterable[Value]) -> list[Unknown]:
    """Return the unknown pieces of some values, each once, in order of their names."""
    found = {piece for value in values for piece in value if isinstance(piece, Unknown)}
    return sorted(found, key=lambda piece: piece.name)


def _joined(parts: Iterable[Piece]) -> Value:
    """Join neighbouring texts, so that equal values are equal tuples."""
    joined: list[Piece] = []
    for part in parts:
        if joined and isinstance(part, str) and isinstance(joined[-1], str):
            joined[-1] += part
        elif part:
            joined.append(part)
    return tuple(joined)
