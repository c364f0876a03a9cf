"""Plans as TOML, and their values laid over one another. Pure but for `load()`, which reads one file."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import tomli_w

from bench.errors import PlanError
from bench.plan.convert import ConvertError, convert

T = TypeVar("T")


def load(path: Path) -> dict[str, Any]:
    """Read the TOML plan at `path`; PlanError names the file and what is wrong with it."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PlanError(f"{path}: cannot be read as a TOML plan: {error.strerror}") from error
    except RecursionError as error:
        raise PlanError(f"{path}: cannot be read as a TOML plan: it is nested too deeply") from error
    except ValueError as error:  # no UTF-8, no TOML, or a number of thousands of digits
        raise PlanError(f"{path}: cannot be read as a TOML plan: {error}") from error


def merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Return `below` with the values of `above` laid over it, section by section."""
    merged = dict(below)
    for key, value in above.items():
        lower = merged.get(key)
        merged[key] = {**lower, **value} if isinstance(value, dict) and isinstance(lower, dict) else value
    return merged


def section(kind: type[T], values: Any, name: str) -> T:
    """Return `values` as the dataclass `kind`; `name` is that of the section, or empty.

    PlanError names the key, the value and what it should be.
    """
    try:
        return convert(values, kind, name, unknown="refused")
    except ConvertError as error:
        raise PlanError(f"plan: {error}") from error


def chosen(key: str, value: Any, choices: tuple[str, ...]) -> Any:
    """Return `value`; PlanError where it is none of `choices`."""
    if value not in choices:
        raise PlanError(f"plan: {key} = {value!r} is not one of {', '.join(choices)}")
    return value


def to_toml(values: Mapping[str, Any]) -> str:
    """Return the plan as TOML that `load` reads; what is None is left out, since TOML has no null."""
    return tomli_w.dumps(_without_none(values))


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _without_none(value) if isinstance(value, Mapping) else value
        for key, value in values.items()
        if value is not None
    }
