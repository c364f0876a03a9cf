"""Plans as text: TOML files read and written, and their values checked against the fields of a dataclass.

Pure but for `load()`, which reads one file.
"""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

from bench.errors import PlanError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Section = TypeVar("Section", bound="DataclassInstance")


def load(path: Path) -> dict[str, Any]:
    """Read the TOML plan at `path`; PlanError names the file and what is wrong with it."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PlanError(f"{path}: cannot be read as a TOML plan: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PlanError(f"{path}: cannot be read as a TOML plan: {error}") from error


def merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Return `below` with the values of `above` laid over it, section by section."""
    merged = dict(below)
    for key, value in above.items():
        lower = merged.get(key)
        merged[key] = {**lower, **value} if isinstance(value, dict) and isinstance(lower, dict) else value
    return merged


def section(kind: type[Section], values: Any, name: str, skip: frozenset[str] = frozenset()) -> Section:
    """Return the dataclass `kind` made of `values`, all but the fields in `skip`; `name` is the section's.

    PlanError names the key, the value and what it should be.
    """
    if not isinstance(values, dict):
        raise PlanError(f"plan: [{name}] must be a table, not {values!r}")
    kinds = {f.name: str(f.type) for f in dataclasses.fields(kind) if f.name not in skip}
    choices = {key: hint for key, hint in get_type_hints(kind).items() if isinstance(hint, type)}
    where = f"{name}." if name else ""
    given = {}
    for key, value in values.items():
        if key not in kinds:
            raise PlanError(f"plan: unknown key {where}{key}; known here: {', '.join(kinds)}")
        given[key] = _value(kinds[key], choices.get(key), value, where + key)
    return kind(**given)


def chosen(key: str, value: Any, choices: tuple[str, ...]) -> Any:
    """Return `value`; PlanError where it is none of `choices`."""
    if value not in choices:
        raise PlanError(f"plan: {key} = {value!r} is not one of {', '.join(choices)}")
    return value


def to_toml(values: dict[str, Any]) -> str:
    """Return the plan as TOML that `load` reads; what is None is left out, since TOML has no null."""
    top, tables = [], []
    for key, value in values.items():
        if isinstance(value, dict):
            tables.append(f"\n[{key}]")
            tables += [f"{name} = {_toml(setting)}" for name, setting in value.items() if setting is not None]
        else:
            top.append(f"{key} = {_toml(value)}")
    return "\n".join([*top, *tables]) + "\n"


def _value(kind: str, hint: type | None, value: Any, key: str) -> Any:
    """Return `value` as the field's type `kind` (its annotation); PlanError where it cannot be that."""
    wanted, _, optional = kind.partition(" | ")
    if value is None and optional:
        return None
    if hint is not None and issubclass(hint, StrEnum):
        return hint(chosen(key, value, tuple(hint)))
    fits, convert, called = _READERS[wanted.partition("[")[0]]
    if not fits(value):
        raise PlanError(f"plan: {key} = {value!r} is not {called}")
    return convert(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _texts(values: dict[Any, Any]) -> dict[str, str]:
    return {str(name): str(setting) for name, setting in values.items()}


_READERS: dict[str, tuple[Callable[[Any], bool], Callable[[Any], Any], str]] = {
    "int": (lambda value: _is_number(value) and int(value) == value, int, "a whole number"),
    "float": (_is_number, float, "a number"),
    "str": (lambda value: isinstance(value, str), str, "a text"),
    "bool": (lambda value: isinstance(value, bool), bool, "true or false"),
    "dict": (
        lambda value: (
            isinstance(value, dict) and not any(isinstance(each, dict | list) for each in value.values())
        ),
        _texts,
        "a table of texts and numbers",
    ),
    "tuple": (
        lambda value: isinstance(value, list | tuple) and all(isinstance(each, str) for each in value),
        tuple,
        "a list of texts",
    ),
}
"""How a field's annotation is read: what fits, how it is converted, how it is called."""


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)} = {_toml(item)}" for name, item in value.items()) + "}"
    return json.dumps(
        value, ensure_ascii=False
    )  # strings, numbers, booleans and lists are spelled alike in both
