"""A directive's first argument is read as nginx reads it: a number, a time, a size; anything else is none."""

from __future__ import annotations

import pytest

from nginx import tree

READ = {
    # argument: number, seconds, size
    "0": (0, 0.0, 0),
    "12": (12, 12.0, 12),
    "0k": (None, None, 0),
    "10k": (None, None, 10_240),
    "1m": (None, 60.0, 1_048_576),
    "2M": (None, 2 * 30 * 86400.0, 2_097_152),
    "1G": (None, None, 1_073_741_824),
    "1m30s": (None, 90.0, None),
    "500ms": (None, 0.5, None),
    "1.5k": (None, None, None),
    "-1": (None, None, None),
    "k": (None, None, None),
    "$rate": (None, None, None),
    "off": (None, None, None),
}


@pytest.mark.parametrize("argument", READ)
def test_a_value_is_read_as_what_it_is(argument: str) -> None:
    (line,) = tree.parse(f"a {argument};", "x").directives
    assert (line.number, line.seconds, line.size) == READ[argument]


def test_without_an_argument_there_is_no_value() -> None:
    (line,) = tree.parse("a;", "x").directives
    assert (line.number, line.seconds, line.size) == (None, None, None)
