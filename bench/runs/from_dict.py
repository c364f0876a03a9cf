"""Plain values, as JSON has them, as the dataclasses that their annotations describe. Pure."""

from __future__ import annotations

import dataclasses
import math
import typing
from types import NoneType, UnionType
from typing import Any, TypeVar

T = TypeVar("T")


def build(kind: type[T], values: Any, name: str) -> T:
    """Return the dataclass `kind` made of `values`, down to the last field; `name` is how it is called.

    Keys that it does not know are left out. KeyError names a key that is missing, ValueError a value that is
    of another kind than annotated.
    """
    if not isinstance(values, dict):
        raise ValueError(f"{name} is {values!r}, which is no {kind.__name__}")
    hints = typing.get_type_hints(kind)
    made = {}
    for each in dataclasses.fields(kind):  # type: ignore[arg-type]  # a dataclass, which no bound can say
        if each.name in values:
            made[each.name] = _built(hints[each.name], values[each.name], f"{name}.{each.name}")
        elif each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING:
            raise KeyError(each.name)
    return kind(**made)


def _built(kind: Any, value: Any, name: str) -> Any:
    """Return `value` as the annotation `kind` has it."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any or (value is None and NoneType in arguments):
        return value
    if origin is UnionType:
        kinds = [each for each in arguments if each is not NoneType]
        return _built(float if set(kinds) == {int, float} else kinds[0], value, name)
    if dataclasses.is_dataclass(kind):
        return build(kind, value, name)  # type: ignore[arg-type]  # a class, for it is an annotation
    if origin is dict and isinstance(value, dict):
        return {key: _built(arguments[1], item, f"{name}.{key}") for key, item in value.items()}
    if origin in (tuple, list) and isinstance(value, list | tuple):
        return origin(_built(arguments[0], item, f"{name}.{index}") for index, item in enumerate(value))
    return _plain(origin or kind, value, name)


def _plain(kind: type[Any], value: Any, name: str) -> Any:
    wanted = (int, float) if kind is float else kind
    if not isinstance(value, wanted) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{name} is {value!r}, which is no {kind.__name__}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name} is {value!r}, which is no finite number")
    return value
