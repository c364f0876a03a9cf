"""What is printed is what is seen."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nginx.printable import printable, printable_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, ✓ ä 日本", "plain, ✓ ä 日本"),
        ("a\u00a0b", "a\u00a0b"),
        ("\x1b[2J", r"\x1b[2J"),
        ("\x9b2J", r"\x9b2J"),
        ("a\rb\x08c\x7f\x00", r"a\rb\x08c\x7f\x00"),
        ("\u202egnp.exe\u2066", r"\u202egnp.exe\u2066"),
        ("\u2028\ufeff", r"\u2028\ufeff"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
    ],
)
def test_what_cannot_be_seen_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == printable_line(text) == shown


def test_lines_and_tabs_stay_unless_it_is_to_be_one_line() -> None:
    assert printable("a\n\tb") == "a\n\tb"
    assert printable_line("a\n\tb") == r"a\n\tb"


@given(st.text())
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    kinds = {unicodedata.category(each) for each in printable_line(text)}
    assert kinds.isdisjoint({"Cc", "Cf", "Cs", "Zl", "Zp"})
    assert printable_line(printable_line(text)) == printable_line(text)
