"""Lines in pieces: looked at only where that can tell something new, and nothing is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http11.partial import PartialLines

PIECES = st.lists(st.text("aB:\r\n\0 ", min_size=1, max_size=4).map(str.encode), min_size=1, max_size=20)


def looks(pieces: list[bytes], limit: int = 1000) -> list[bytes | None]:
    first, *others = pieces
    lines = PartialLines(first, limit)
    return [lines.add(piece) for piece in others]


@given(PIECES)
def test_every_look_is_at_all_that_has_come(pieces: list[bytes]) -> None:
    for number, seen in enumerate(looks(pieces), 2):
        if seen is not None:
            assert seen == b"".join(pieces[:number])


@given(PIECES)
def test_no_byte_is_lost(pieces: list[bytes]) -> None:
    lines = PartialLines(pieces[0], 1000)
    for piece in pieces[1:]:
        lines.add(piece)
    assert lines.data == b"".join(pieces)


@pytest.mark.parametrize(
    ("pieces", "is_seen"),
    [
        ([b"GET", b" "], False),
        ([b"GET", b" / HTTP/1.1\r"], False),
        ([b"GET / HTTP/1.1\r", b"\n"], True),
        ([b"GET / HTTP/1.1\r", b"x"], True),
        ([b"GET / HTTP/1.1", b"\rx"], True),
        ([b"GET", b"\0"], True),
        ([b"GET", b"\x7f"], True),
        ([b"GET", b"\n"], True),
        ([b"A: ", b"\t\x80\xff"], False),
    ],
)
def test_when_there_is_something_to_judge(pieces: list[bytes], is_seen: bool) -> None:
    assert (looks(pieces)[-1] is not None) is is_seen


def test_the_limit_is_judged_once_it_is_reached() -> None:
    assert looks([b"a", b"b", b"c", b"d"], 4) == [None, None, b"abcd"]


def test_a_crumb_costs_a_look_a_line_and_no_more() -> None:
    """A head a byte at a time: else its cost would grow with the square of its length."""
    line = b"X-Name: " + b"v" * 500 + b"\r\n"
    data = line * 40
    seen = looks([data[at : at + 1] for at in range(len(data))], 1 << 20)
    assert sum(each is not None for each in seen) == 40
