"""Plans as TOML, and their values laid over one another. Pure but for `load()`, which reads one file."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import tomli_w

from bench.errors import PlanError
from bench.plan.convert import ConvertError, check_plain, convert
from nginx import files

T = TypeVar("T")
_LARGEST_BYTES = 1 << 20
"""Of a plan: what is larger is none."""
_CONTENT = frozenset({"load.body"})
"""Keys whose value is sent as it is, whatever it holds."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def load(path: Path) -> dict[str, Any]:
    """Read the TOML plan at `path`; PlanError names the file and what is wrong with it."""
    try:
        values = parse(files.read_bytes(path, _LARGEST_BYTES).decode("utf-8"))
    except OSError as error:
        raise PlanError(f"{path}: cannot be read as a TOML plan: {error.strerror}") from error
    except ValueError as error:  # no UTF-8, or no TOML
        raise PlanError(f"{path}: cannot be read as a TOML plan: {error}") from error
    try:
        check_plain(values, "")
    except ConvertError as error:
        raise PlanError(f"{path}: {error}") from error
    return values


def parse(text: str) -> dict[str, Any]:
    """Return the values of TOML; ValueError where it is none, or none that Python can read."""
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Return `below` with the values of `above` laid over it, section by section."""
    merged = dict(below)
    for key, value in above.items():
        lower = merged.get(key)
        merged[key] = {**lower, **value} if isinstance(value, dict) and isinstance(lower, dict) else value
    return merged


def section(kind: type[T], values: Any, name: str, source: str = "plan") -> T:
    """Return `values` as the dataclass `kind`; `name` is that of the section, or empty.

    PlanError names where they come from, the key, the value and what it should be.
    """
    try:
        converted = convert(values, kind, name, unknown="refused")
        _refuse_controls(values, name)
    except ConvertError as error:
        raise PlanError(f"{source}: {error}") from error
    return converted


def _refuse_controls(values: Any, name: str) -> None:
    """Raise ConvertError where a text holds what no path, address or name of a program can."""
    if isinstance(values, dict):
        for key, value in values.items():
            path = f"{name}.{key}" if name else str(key)
            _refuse_controls(key, path)
            _refuse_controls(value, path)
    elif isinstance(values, list | tuple):
        for value in values:
            _refuse_controls(value, name)
    elif isinstance(values, str) and name not in _CONTENT and _CONTROL.search(values) is not None:
        raise ConvertError(f"{name} = {values!r} holds a control character; leave it out")


def chosen(key: str, value: Any, choices: tuple[str, ...]) -> Any:
    """Return `value`; PlanError where it is none of `choices`."""
    if value not in choices:
        raise PlanError(f"plan: {key} = {value!r} is not one of {', '.join(choices)}")
    return value


def to_toml(values: Mapping[str, Any]) -> str:
    """Return the plan as TOML that `load` reads; what is None is left out, since TOML has no null."""
    return tomli_w.dumps(_without_none(values))


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_none(each) for key, each in value.items() if each is not None}
    if isinstance(value, list | tuple):
        return [_without_none(each) for each in value if each is not None]
    return value
