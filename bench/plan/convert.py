"""Plain values, as JSON, TOML and CSV have them, converted to the dataclasses that describe them. Pure."""

import dataclasses
import math
import re
import typing
from collections.abc import Iterator
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar

import msgspec

T = TypeVar("T")
UnknownKeys = Literal["ignored", "refused"]

_EXPECTED: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
    dict: "a table",
    list: "a list",
    tuple: "a list",
}
_MAX_DEPTH = 32
"""Of tables within tables: far more than any file of ours has, far less than Python can follow."""
_LARGEST_WHOLE = (1 << 63) - 1
_MOST_SHOWN = 80
"""Characters of a wrong value that an error repeats."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_PLURALS = {int: "whole numbers", float: "numbers", str: "texts"}


class ConvertError(ValueError):
    """A value is not what its annotation says; `str()` names the path, the value and what it should be."""


def convert(
    values: Any, kind: type[T], name: str, *, unknown: UnknownKeys = "ignored", from_text: bool = False
) -> T:
    """Return `values` as a `kind`, down to the last field; `name` begins the path in errors, or is empty.

    Types are strict: "1" and true are no numbers, NaN and Infinity are refused, and so is what `check_plain`
    refuses. With `from_text` every value is a text, as in CSV, and "1" is a number. ConvertError where
    something is missing or wrong.
    """
    check_plain(values, name)
    if unknown == "refused":
        _refuse_unknown(values, kind, name)
    try:
        converted = msgspec.convert(values, kind, strict=not from_text)
    except msgspec.ValidationError:
        raise _first_error(values, kind, name, from_text) from None
    if from_text:
        check_plain(msgspec.to_builtins(converted), name)
    return converted


def check_plain(values: Any, name: str) -> None:
    """Raise ConvertError where no part of this program could go on with `values`, whatever they stand for.

    That is a number that is not finite, or a whole one beyond 64 bits, which no float may hold; a text that
    is not Unicode, which cannot be printed; and tables within tables without an end. Values
    come from JSON and TOML, whose readers let all of these pass.
    """
    pending = [(name, values, 0)]
    while pending:
        path, value, depth = pending.pop()
        if depth > _MAX_DEPTH:
            raise ConvertError(f"{_shortened(path)} is nested more than {_MAX_DEPTH} deep")
        if isinstance(value, dict):
            pending += ((_joined(path, key), key, depth) for key in value)
            pending += ((_joined(path, key), each, depth + 1) for key, each in value.items())
        elif isinstance(value, list | tuple):
            pending += ((_joined(path, index), each, depth + 1) for index, each in enumerate(value))
        elif isinstance(value, float) and not math.isfinite(value):
            raise ConvertError(f"{path} = {value!r} is not a finite number")
        elif isinstance(value, int) and not -_LARGEST_WHOLE <= value <= _LARGEST_WHOLE:
            bits = value.bit_length()
            raise ConvertError(f"{path} is a whole number of {bits:,} bits; the most are 63")
        elif isinstance(value, str) and _SURROGATE.search(value) is not None:
            raise ConvertError(f"{path} = {_shortened(value)!a} is not valid Unicode")


def _refuse_unknown(values: Any, kind: Any, name: str) -> None:
    for table in filter(dataclasses.is_dataclass, _choices(kind)):
        known = [each.name for each in dataclasses.fields(table)]
        for key in values if isinstance(values, dict) else ():
            if key not in known:
                raise ConvertError(f"unknown key {_joined(name, key)}; known here: {', '.join(known)}")
    for part, part_kind, key in _parts(values, kind):
        _refuse_unknown(part, part_kind, _joined(name, key))


def _first_error(value: Any, kind: Any, name: str, from_text: bool) -> ConvertError:
    """Return the error of the innermost part of `value` that is not what `kind` says."""
    if dataclasses.is_dataclass(kind) and isinstance(value, dict):
        for each in dataclasses.fields(kind):
            if each.name not in value and _is_required(each):
                return ConvertError(f"{_joined(name, each.name)} is missing")
    for part, part_kind, key in _parts(value, kind):
        try:
            msgspec.convert(part, part_kind, strict=not from_text)
        except msgspec.ValidationError:
            return _first_error(part, part_kind, _joined(name, key), from_text)
    return ConvertError(f"{name or 'this'} = {_shortened(repr(value))} is not {_expected(kind)}")


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _parts(value: Any, kind: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Yield each part of `value`, its annotation and its key, where `value` is of the outer `kind`."""
    for choice in _choices(kind):
        origin, arguments = typing.get_origin(choice), typing.get_args(choice)
        if dataclasses.is_dataclass(choice) and isinstance(value, dict):
            hints = typing.get_type_hints(choice)
            yield from ((value[key], hint, key) for key, hint in hints.items() if key in value)
        elif origin is dict and isinstance(value, dict):
            yield from ((item, arguments[1], key) for key, item in value.items())
        elif origin in (tuple, list) and isinstance(value, list | tuple):
            yield from ((item, arguments[0], index) for index, item in enumerate(value))


def _choices(kind: Any) -> list[Any]:
    """Return the members of a union but None, or `kind` alone."""
    if isinstance(kind, UnionType) or typing.get_origin(kind) is typing.Union:
        return [each for each in typing.get_args(kind) if each is not NoneType]
    return [kind]


def _expected(kind: Any) -> str:
    """Return the words of an error for the values of `kind`; that None may be one is not said."""
    choices = _choices(kind)
    return " or ".join(_expected_one(each) for each in choices if each is not int or float not in choices)


def _expected_one(kind: Any) -> str:
    origin = typing.get_origin(kind)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return f"one of {', '.join(str(each.value) for each in kind)}"
    if origin is Literal:
        return f"one of {', '.join(map(str, typing.get_args(kind)))}"
    called = _EXPECTED.get(origin or kind, "a table")
    items = [argument for argument in typing.get_args(kind) if argument is not Ellipsis][-1:]
    return f"{called} of {_PLURALS[items[0]]}" if items and items[0] in _PLURALS else called


def _joined(name: str, key: Any) -> str:
    word = _shortened(str(key))
    return f"{name}.{word}" if name else word


def _shortened(text: str) -> str:
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."
