"""The fields of a dataclass with their defaults, and the strings that document them."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
from collections.abc import Iterator
from typing import Any, NamedTuple


class Field(NamedTuple):
    """A field: its name, its type as it is written, its default, and what it means."""

    name: str
    type: str
    default: Any
    meaning: str


def read_fields(kind: type[Any]) -> Iterator[Field]:
    """Yield the fields of a dataclass or a msgspec structure in their order, those of its bases first.

    The meaning is the string below the field; empty where there is none. The default of a field that has none
    is `dataclasses.MISSING`.
    """
    meanings = read_meanings(kind)
    for each in dataclasses.fields(kind):
        default = each.default
        if each.default_factory is not dataclasses.MISSING:
            default = each.default_factory()
        yield Field(each.name, str(each.type), default, meanings.get(each.name, ""))


def read_meanings(kind: type[Any]) -> dict[str, str]:
    """Return the string below each field of a class and of its bases, by the field's name."""
    found: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        if each.__module__.partition(".")[0] != "bench":
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(each))).body[0]
        assert isinstance(body, ast.ClassDef)
        for first, second in zip(body.body, body.body[1:], strict=False):
            if isinstance(first, ast.AnnAssign) and isinstance(first.target, ast.Name):
                text = _read_string(second)
                if text:
                    found[first.target.id] = " ".join(text.split())
    return found


def _read_string(node: ast.stmt) -> str:
    is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return str(node.value.value) if is_text else ""  # type: ignore[attr-defined]


def format_default(value: Any) -> str:
    """Return a default as a plan has it; a dash for none."""
    if value is dataclasses.MISSING or value is None or value in ({}, ()):
        return "-"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`"
